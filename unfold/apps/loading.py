"""`FILE:NAME`: a graph out of a Python file, or a ready-made one as `systems:lstm`."""

from __future__ import annotations

import contextlib
import sys
import traceback
import types
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from unfold.core.errors import UnfoldError
from unfold.graph import Graph


class BadSource(UnfoldError):
    """No graph could be had from what `FILE:NAME` names."""


def load(source: str) -> Graph:
    """The graph that `FILE:NAME` names. NAME is a graph in the file, or a function without
    arguments that returns one; it may be left out where the file has one graph only."""
    file, _, name = source.rpartition(":")
    if not file or "/" in name or "\\" in name:
        file, name = source, ""
    if not file:
        raise BadSource("no file is named: write FILE:NAME, or systems:NAME for a ready-made graph")
    if file == "systems":
        return _system(name)
    space = _run(Path(file))
    found = {key: value for key, value in space.items() if isinstance(value, Graph)}
    if not name:
        if len(found) != 1:
            have = f"has {', '.join(found)}" if found else "has no graph"
            raise BadSource(f"which graph of {file}? it {have}: write {file}:NAME")
        return next(iter(found.values()))
    if name not in space:
        near = get_close_matches(name, space, 1)
        hint = f"; did you mean {near[0]}?" if near else f"; its graphs: {', '.join(found) or 'none'}"
        raise BadSource(f"{file} has no {name!r}{hint}")
    value = space[name]
    if not isinstance(value, Graph) and callable(value):
        with _told(Path(file)):
            value = value()
    if not isinstance(value, Graph):
        raise BadSource(f"{source} is of type {type(value).__name__}, not a graph made by uf.graph(...)")
    return value


def _system(name: str) -> Graph:
    from unfold import systems

    makers = systems.all()
    if name not in makers:
        raise BadSource(f"no ready-made system {name!r}; there are {', '.join(makers)}")
    return makers[name]()


def _run(path: Path) -> dict[str, Any]:
    """The names a file defines. What it prints goes to stderr."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise BadSource(f"cannot read {path}: {error.strerror}") from None
    module = types.ModuleType("__unfold_file__")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # dataclasses look their module up
    sys.path.insert(0, str(path.resolve().parent))
    try:
        with _told(path):
            exec(compile(text, str(path), "exec"), module.__dict__)
    finally:
        sys.path.pop(0)
    return vars(module)


@contextlib.contextmanager
def _told(path: Path) -> Any:
    """Errors of the user's file as one line that says where."""
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except SyntaxError as error:
        where = f"{error.filename or path}:{error.lineno}" if error.lineno else str(path)
        raise BadSource(f"{where}: {error.msg}") from None
    except (Exception, SystemExit) as error:
        lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
        where = f"{path}:{lines[-1]}" if lines else str(path)
        kind = "" if isinstance(error, UnfoldError) else f"{type(error).__name__}: "
        raise BadSource(f"{where}: {kind}{error}") from None
