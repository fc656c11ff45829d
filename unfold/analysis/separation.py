"""What separates what in an unfolded graph: the Markov property, checked."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TypeAlias

from unfold.analysis.instances import template
from unfold.analysis.table import table_of
from unfold.analysis.views import Asked, above, at_row, below, reach_rows, view
from unfold.core.errors import UnfoldError
from unfold.core.leaves import Named, Param
from unfold.core.system import System

Sides: TypeAlias = "Asked | list[Asked] | set[Asked]"


@dataclass(frozen=True)
class Separation:
    """True where the cut separates; otherwise `path` is a connection around it."""

    separated: bool
    path: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.separated

    def __str__(self) -> str:
        return "separated" if self.separated else f"not separated: {' - '.join(self.path)}"


def separates(graph: System, cut: Sides, a: Sides, b: Sides) -> Separation:
    """Whether `cut` separates a from b in an unfolded graph; each is a key or a list of keys.

    Separation of a directed graph (d-separation: Pearl 1988, by the reachability of
    Shachter 1998): a common effect connects its causes only where it, or what follows from
    it, is in the cut. Parameters and constants are known, so they connect nothing.

    >>> import unfold as uf
    >>> t = uf.axis("t")
    >>> x, s = uf.input("x", over=t), uf.var("s", over=t)
    >>> s[0] = 0
    >>> s[t] = s[t-1] + x[t]
    >>> dag = uf.graph(s=s[t]).unfold(t=3)
    >>> bool(separates(dag, ("s", 2), ("s", 1), ("s", 3)))
    True
    >>> print(separates(dag, [], ("x", 1), ("s", 3)))
    not separated: x[1] - s[1] - s[2] - s[3]
    """
    axes = [a.name for a in template(graph).axes if a not in getattr(graph.definitions, "extents", {})]
    if axes:
        raise UnfoldError(
            f"separates is about single steps: unfold the graph first, .unfold({axes[0]}=...)", axes=axes
        )
    sides = [{view(graph, k).row for k in (s if isinstance(s, list | set) else [s])} for s in (cut, a, b)]
    known, start, end = sides
    known |= _fixed(graph)
    trail = _trail(graph, known, start - known, end - known)
    names = []
    for row in trail:
        v = at_row(graph, row)
        if v.is_named or row in (trail[0], trail[-1]):
            names.append(v.name)
    return Separation(not trail, tuple(names))


def _fixed(graph: System) -> set[int]:
    """The rows of parameters and constants: leaves that are not data."""
    return {
        b.base
        for b in table_of(graph).blocks
        if b.node.op.leaf
        and not b.axes
        and (isinstance(b.node.op, Param) or not isinstance(b.node.op, Named))
    }


def _trail(graph: System, known: set[int], start: set[int], end: set[int]) -> list[int]:
    """An active trail from start to end given the known rows; empty when there is none."""
    up, users = above(graph), below(graph)
    opened = {*reach_rows(*up, known), *known}
    came: dict[tuple[int, bool], tuple[int, bool] | None] = {(row, True): None for row in sorted(start)}
    waiting = deque(came)
    while waiting:
        here = waiting.popleft()
        row, upward = here
        if row in end:
            trail: list[int] = []
            step: tuple[int, bool] | None = here
            while step is not None:
                trail.append(step[0])
                step = came[step]
            return trail[::-1]
        onward: list[tuple[int, bool]] = []
        if row not in known:
            onward += [(u, False) for u in users[1][users[0][row] : users[0][row + 1]]]
        if (upward and row not in known) or (not upward and row in opened):
            onward += [(u, True) for u in up[1][up[0][row] : up[0][row + 1]]]
        for state in onward:
            if state not in came:
                came[state] = here
                waiting.append(state)
    return []
