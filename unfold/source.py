"""Where in the user's program an equation was written."""

from __future__ import annotations

import linecache
import sys

_INNER = (
    "unfold.node",
    "unfold.op",
    "unfold.ops",
    "unfold.language",
    "unfold.errors",
    "unfold.dims",
    "numpy",
)


def caller() -> str | None:
    """`file:line` of the equation being written; None inside a transformation."""
    frame = sys._getframe(1)
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module != __name__ and not _within(module, _INNER):
            if _within(module, ("unfold",)) and not _within(module, ("unfold.systems",)):
                return None
            return f"{frame.f_code.co_filename}:{frame.f_lineno}"
        if frame.f_back is None:
            return None
        frame = frame.f_back
    return None


def _within(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == p or module.startswith(p + ".") for p in packages)


def line(where: str | None) -> str:
    """The text of a source line `file:line`; empty when it cannot be read."""
    file, _, number = (where or "").rpartition(":")
    return linecache.getline(file, int(number)).strip() if file and number.isdigit() else ""


def place(where: str | None) -> str:
    """An equation and its line, to end a message; empty inside a transformation."""
    text = line(where)
    text = text if len(text) < 100 else text[:97] + "..."
    return (f", in `{text}`" if text else "") + (f" ({where})" if where else "")
