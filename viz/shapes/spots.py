"""What shapes are called: `h` for a variable, `h@3` at a step, `h@2,1` in a grid, `h@…` for the
steps left out. Made here and read here, so that no other module takes such a name apart."""

from __future__ import annotations

import re

LEFT_OUT = "…"
_SPOT = re.compile(r"(.+)@((?:-?\d+|[…*<>])(?:,(?:-?\d+|[…*<>]))*)", re.DOTALL)


def spot(label: str, *steps: int | str | None) -> str:
    """The name of a shape at steps; None is an ellipsis.

    >>> spot("h"), spot("h", 3), spot("h", 1, None)
    ('h', 'h@3', 'h@1,…')
    """
    return f"{label}@{','.join(LEFT_OUT if s is None else str(s) for s in steps)}" if steps else label


def told(name: str) -> tuple[str, tuple[int | str, ...]]:
    """The label and the steps that a name tells.

    >>> told("h@1,…"), told("me@home")
    (('h', (1, '…')), ('me@home', ()))
    """
    found = _SPOT.fullmatch(name)
    if found is None:
        return name, ()
    return found[1], tuple(s if s in "…*<>" else int(s) for s in found[2].split(","))
