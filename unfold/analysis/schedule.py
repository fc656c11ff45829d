"""Who needs whom and how many steps apart: components, legality, retiming, schedules.

A system is a weighted graph: an edge u -> v with lag d says that v[t] needs u[t - d]. It can
be unfolded for every T when an order of computation exists; `schedule` finds one (Karp,
Miller and Winograd 1967; Leiserson and Saxe 1991 for the retiming; Allen and Kennedy's loop
distribution across components), or says which cycle forbids it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import product

from unfold.analysis.lags import Edge as Edge
from unfold.analysis.lags import components as components
from unfold.analysis.lags import edges as edges
from unfold.analysis.lags import edges_into as edges_into
from unfold.analysis.lags import potentials
from unfold.analysis.loop_errors import explain
from unfold.core.axis import Axis
from unfold.core.errors import DefinitionError
from unfold.core.node import Node
from unfold.core.system import System

Direction = tuple[tuple[Axis, int], ...]


@dataclass(frozen=True)
class Loop:
    """A component computed step by step along `direction` (one axis, or a wavefront), each
    node at step tau + offset; within a step, in the order of `body`: nodes and inner loops."""

    direction: Direction
    offsets: dict[Node, int]
    body: tuple[Node | Loop, ...]

    @property
    def axes(self) -> tuple[Axis, ...]:
        return tuple(a for a, _ in self.direction)

    @cached_property
    def retimed(self) -> bool:
        """Whether some of its nodes stand at other steps than others."""
        return len(set(self.offsets.values())) > 1

    @cached_property
    def straight(self) -> bool:
        """Whether it and the loops inside it are nested loops over single axes, each over the values of one
        step of those around it."""
        inner = [item for item in self.body if isinstance(item, Loop)]
        apart = any(len({self.offsets[n] for n in loop.nodes}) > 1 for loop in inner)
        return len(self.direction) == 1 and not apart and all(loop.straight for loop in inner)

    @property
    def nodes(self) -> list[Node]:
        return [n for item in self.body for n in (item.nodes if isinstance(item, Loop) else [item])]


Schedule = list[Node | Loop]


def schedule(graph: System) -> Schedule:
    """An order of computation for every number of steps: single nodes (all steps at once)
    and loops. Raises a `DefinitionError` naming the offending cycle where there is none."""
    return _schedule(graph.order, edges(graph))


def _schedule(nodes: Iterable[Node], edges: list[Edge]) -> Schedule:
    nodes = list(nodes)
    result: Schedule = []
    parts = components(nodes, edges)
    part_of = {n: i for i, part in enumerate(parts) for n in part}
    inner: list[list[Edge]] = [[] for _ in parts]
    for e in edges:
        if part_of[e.source] == part_of[e.target]:
            inner[part_of[e.source]].append(e)
    for part, own in zip(parts, inner, strict=True):
        if own:
            result.append(_loop(part, own))
        else:
            result.extend(part)
    return result


def _loop(nodes: list[Node], edges: list[Edge]) -> Loop:
    """A loop for one cyclic component: try directions, retime, recurse on what is left."""
    axes = list(dict.fromkeys(a for n in nodes for a in n.axes))
    evidence: DefinitionError | None = None
    for direction in _directions(axes):
        found = _along(direction, nodes, edges)
        if found is None:
            continue
        offsets, left = found
        try:
            return Loop(direction, offsets, tuple(_schedule(nodes, left)))
        except DefinitionError as error:
            evidence = evidence or error
    lagged = [e for e in edges if not e.whole]
    if len(lagged) < len(edges):
        _schedule(nodes, lagged)  # when the lags alone forbid it, that says more
    raise evidence or explain(nodes, edges, axes)


def _along(
    direction: Direction, nodes: list[Node], edges: list[Edge]
) -> tuple[dict[Node, int], list[Edge]] | None:
    """The steps at which a loop along a direction computes its nodes, and the edges left within one step;
    None where no edge would be gone, or some edge cannot be met."""
    if any(axis not in n.axes for n in nodes for axis, _ in direction):
        return None
    weights = [w for e in edges if (w := e.weight(direction)) is not None]
    offsets = _retime(nodes, edges, weights) if len(weights) == len(edges) else None
    if offsets is None:
        return None
    retimed = [w + offsets[e.source] - offsets[e.target] for e, w in zip(edges, weights, strict=True)]
    left = [e for e, w in zip(edges, retimed, strict=True) if w == 0]
    return (offsets, left) if len(left) < len(edges) else None


def _directions(axes: list[Axis]) -> Iterable[Direction]:
    """Small integer directions: single axes forward and backward first, then combinations."""
    for axis in axes:
        yield ((axis, 1),)
        yield ((axis, -1),)
    if len(axes) > 1:
        combos = [c for c in product(range(-2, 3), repeat=len(axes)) if sum(map(bool, c)) > 1]
        for combo in sorted(combos, key=lambda c: sum(map(abs, c))):
            yield tuple((a, f) for a, f in zip(axes, combo, strict=True) if f)


def _retime(nodes: list[Node], edges: list[Edge], weights: list[int]) -> dict[Node, int] | None:
    """Offsets that make every retimed lag w + offset[u] - offset[v] >= 0; None if a cycle of
    weight < 0 forbids it. Bellman-Ford from zeros."""
    if min(weights) < 0 and max(weights) <= 0:
        return None  # every edge of a strongly connected component is on a cycle
    pi = potentials(nodes, edges, weights)
    return pi if isinstance(pi, dict) else None
