"""Where in the user's program an equation was written."""

from __future__ import annotations

import linecache
import re
import sys
from functools import cache

_PLACE = re.compile(r"(?:[A-Za-z]:)?(?:[/\\][^\s/\\:()]+)*[/\\]([^\s/\\:()]+:\d+)")
_INNER = ("unfold.core", "unfold.ops", "unfold.language", "numpy")


def caller() -> str | None:
    """`file:line` of the equation being written; None inside a transformation."""
    frame = sys._getframe(1)
    while (kind := _kind(frame.f_globals.get("__name__", ""))) == "inner" and frame.f_back is not None:
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if kind == "user" else None


@cache
def _kind(module: str) -> str:
    """Whose frames those of a module are: of whoever is asked, of a transformation, or the user's."""

    def within(packages: tuple[str, ...]) -> bool:
        return any(module == p or module.startswith(p + ".") for p in packages)

    if within(_INNER):
        return "inner"
    return "library" if within(("unfold",)) and not within(("unfold.systems",)) else "user"


def portable(where: str | None) -> str | None:
    """`file:line` without the folders of this machine."""
    return where and where.replace("\\", "/").rpartition("/")[2]


def portable_text(text: str) -> str:
    """A message without the folders of this machine in the `file:line`s that it names."""
    return _PLACE.sub(lambda found: found[1], text)


def line(where: str | None) -> str:
    """The text of a source line `file:line`; empty when it cannot be read."""
    file, _, number = (where or "").rpartition(":")
    return linecache.getline(file, int(number)).strip() if file and number.isdigit() else ""


def place(where: str | None) -> str:
    """An equation and its line, to end a message; empty inside a transformation."""
    text = line(where)
    text = text if len(text) < 100 else text[:97] + "..."
    return (f", in `{text}`" if text else "") + (f" ({where})" if where else "")
