"""The gallery: every system drawn, unfolded, differentiated, checked and run on a real text.

samples.py   text -> arrays for each system
exhibits.py  one system with all there is to say about it
page.py      exhibits -> one HTML page
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from unfold import systems
from unfold.apps.gallery.exhibits import Exhibit, make
from unfold.apps.gallery.samples import Samples, default_text, read_text
from unfold.core.errors import UnfoldError


def add(subparsers: Any) -> None:
    """`unfold gallery DIR`"""
    text = "draw, unfold, differentiate, check and run every system on a real text; writes a page"
    parser = subparsers.add_parser("gallery", help=text, description=text)
    parser.add_argument("directory", metavar="DIR", help="where the page and the pictures go")
    parser.add_argument("--text", metavar="FILE", help="what the systems read (default: the Zen of Python)")
    parser.add_argument("--only", metavar="NAME", action="append", help="this system (may be repeated)")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    start = time.perf_counter()
    exhibits = build(args.directory, args.text, args.only, tell=lambda line: print(line, file=sys.stderr))
    wrong = [e.name for e in exhibits if not e.report.ok]
    proven = f"{len(exhibits) - len(wrong)} of {len(exhibits)} systems have proven gradients"
    print(f"{Path(args.directory) / 'index.html'}: {proven} ({time.perf_counter() - start:.1f} s)")
    for name in wrong:
        print(f"unfold: the gradients of {name} are not proven; its report is on the page", file=sys.stderr)
    return 1 if wrong else 0


def build(
    directory: str | Path,
    text: str | None = None,
    only: Sequence[str] | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> list[Exhibit]:
    """Write the gallery into a directory; every file is written whole or not at all."""
    from unfold.apps.gallery.page import page
    from viz.drawing import write

    makers = systems.all()
    for name in only or ():
        if name not in makers:
            raise UnfoldError(f"no system {name!r}; there are {', '.join(makers)}")
    words, called = read_text(text) if text else default_text()
    samples, folder = Samples(words), Path(directory)
    _ready(folder)
    exhibits: list[Exhibit] = []
    names = list(dict.fromkeys(only or makers))
    for n, name in enumerate(names, 1):
        start = time.perf_counter()
        exhibit = make(name, makers[name], samples[name])
        for file, drawing in exhibit.drawings.items():
            drawing.save(folder / file)
        exhibits.append(exhibit)
        spent, verdict = time.perf_counter() - start, "proven" if exhibit.report.ok else "NOT PROVEN"
        losses = f"loss {exhibit.losses[0]:8.2f} -> {exhibit.losses[-1]:6.2f}"
        tell(f"[{n:2}/{len(names)}] {name:24} gradients {verdict}, {losses}, {spent:4.1f} s")
    write(folder / "index.html", page(exhibits, called).encode())
    return exhibits


def _ready(folder: Path) -> None:
    """Make the directory, or refuse it before any work is done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise UnfoldError(f"{folder} is a file; the gallery needs a directory") from None
    except OSError as error:
        raise UnfoldError(f"cannot make the directory {folder}: {error.strerror}") from None
