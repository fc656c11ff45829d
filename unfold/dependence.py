"""Who needs whom and how many steps apart: components, legality, retiming, schedules.

A system is a weighted graph: an edge u -> v with lag d says that v[t] needs u[t - d]. It can
be unfolded for every T when an order of computation exists; `schedule` finds one (Karp,
Miller and Winograd 1967; Leiserson and Saxe 1991 for the retiming; Allen and Kennedy's loop
distribution across components), or `check_legality` says which cycle forbids it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from unfold.axis import Axis
from unfold.errors import (
    DefinitionError,
    InstantaneousLoop,
    NotComputable,
    NotProven,
    TwoWayTime,
    ZeroDelayLoop,
)
from unfold.node import Node, Symbol
from unfold.ops.time import Delay

if TYPE_CHECKING:
    from unfold.graph import Graph

Lags = dict[Axis, int | None]  # None: the edge needs the axis as a whole


@dataclass(frozen=True)
class Edge:
    """`target[t]` needs `source[t - lag]`; a lag of None needs every step of that axis."""

    source: Node
    target: Node
    lags: tuple[tuple[Axis, int | None], ...]

    def weight(self, direction: Sequence[tuple[Axis, int]]) -> int | None:
        """Lag along an integer direction of the axes; None if it needs a whole axis of it."""
        lags = dict(self.lags)
        total = 0
        for axis, factor in direction:
            lag = lags.get(axis, 0)
            if lag is None:
                return None
            total += factor * lag
        return total


@dataclass(frozen=True)
class Loop:
    """A component computed step by step along `direction` (one axis, or a wavefront), each
    node at step tau + offset; within a step, in the order of `body`: nodes and inner loops."""

    direction: tuple[tuple[Axis, int], ...]
    offsets: dict[Node, int]
    body: tuple[Node | Loop, ...]

    @property
    def nodes(self) -> list[Node]:
        return [n for item in self.body for n in (item.nodes if isinstance(item, Loop) else [item])]


Schedule = list[Node | Loop]


def edges(graph: Graph) -> list[Edge]:
    """All dependences of a graph, node by node, with their lags."""
    return [edge for node in graph.order for edge in edges_into(graph, node)]


def edges_into(graph: Graph, node: Node) -> list[Edge]:
    """What one node needs."""
    out = []
    for number, source in enumerate(graph.inputs_of(node)):
        lags: Lags = {}
        for axis in dict.fromkeys((*source.axes, *node.axes)):
            inside = axis in source.axes and axis in node.axes and axis not in node.op.spans
            lags[axis] = 0 if inside else None
        if isinstance(node.op, Delay) and number == 0 and node.op.axis in source.axes:
            lags[node.op.axis] = node.op.lag
        elif node.op.structural and number == 0:
            lags[node.op.axis] = None  # type: ignore[attr-defined]
        out.append(Edge(source, node, tuple(lags.items())))
    return out


def components(nodes: Iterable[Node], edges: Iterable[Edge]) -> list[list[Node]]:
    """Strongly connected components, sources first (Tarjan 1972, iterative)."""
    nodes = list(nodes)
    below: dict[Node, list[Node]] = {n: [] for n in nodes}
    for e in edges:
        below[e.target].append(e.source)
    number: dict[Node, int] = {}
    low: dict[Node, int] = {}
    held: set[Node] = set()
    stack: list[Node] = []
    out: list[list[Node]] = []
    for root in nodes:
        if root in number:
            continue
        work = [(root, iter(below[root]))]
        number[root] = low[root] = len(number)
        stack.append(root)
        held.add(root)
        while work:
            node, rest = work[-1]
            for u in rest:
                if u not in number:
                    number[u] = low[u] = len(number)
                    stack.append(u)
                    held.add(u)
                    work.append((u, iter(below[u])))
                    break
                if u in held:
                    low[node] = min(low[node], number[u])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == number[node]:
                    part = []
                    while not part or part[-1] is not node:
                        part.append(stack.pop())
                        held.discard(part[-1])
                    out.append(part[::-1])
    return out


def schedule(graph: Graph) -> Schedule:
    """An order of computation for every number of steps: single nodes (all steps at once)
    and loops. Raises a `DefinitionError` naming the offending cycle where there is none."""
    return _schedule(graph, graph.order, edges(graph), ())


def check_legality(graph: Graph) -> None:
    """Raise unless the system has an order of computation. Axes of fixed size are judged at
    that size (a system that is illegal in general may still unfold there)."""
    if any(isinstance(a.size, int) for a in graph.axes):
        from unfold.unfolding import check_at_size

        check_at_size(graph)
        return
    schedule(graph)


def _schedule(
    graph: Graph, nodes: Iterable[Node], edges: list[Edge], outer: tuple[tuple[Axis, int], ...]
) -> Schedule:
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
            result.append(_loop(graph, part, own))
        else:
            result.extend(part)
    return result


def _loop(graph: Graph, nodes: list[Node], edges: list[Edge]) -> Loop:
    """A loop for one cyclic component: try directions, retime, recurse on what is left."""
    axes = list(dict.fromkeys(a for n in nodes for a in n.axes))
    evidence: DefinitionError | None = None
    for direction in _directions(axes):
        if any(axis not in n.axes for n in nodes for axis, _ in direction):
            continue
        weights = [e.weight(direction) for e in edges]
        if any(w is None for w in weights):
            continue
        offsets = _retime(nodes, edges, [w for w in weights if w is not None])
        if offsets is None:
            continue
        left = [
            e
            for e, w in zip(edges, weights, strict=True)
            if w is not None and w + offsets[e.source] - offsets[e.target] == 0
        ]
        if len(left) == len(edges):
            continue
        try:
            body = _schedule(graph, nodes, left, direction)
        except DefinitionError as error:
            evidence = error
            continue
        return Loop(direction, offsets, tuple(body))
    raise evidence or _explain(nodes, edges, axes)


def _directions(axes: list[Axis]) -> Iterable[tuple[tuple[Axis, int], ...]]:
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
    pi = _potentials(nodes, edges, weights)
    return pi if isinstance(pi, dict) else None


def _potentials(
    nodes: list[Node], edges: list[Edge], weights: Sequence[int]
) -> dict[Node, int] | list[Edge]:
    """Shortest distances from zeros, or the edges of a negative cycle."""
    pi = dict.fromkeys(nodes, 0)
    via: dict[Node, Edge] = {}
    changed: Node | None = None
    for _ in range(len(nodes) + 1):
        changed = None
        for e, w in zip(edges, weights, strict=True):
            if pi[e.source] + w < pi[e.target]:
                pi[e.target] = pi[e.source] + w
                via[e.target] = e
                changed = e.target
        if changed is None:
            return pi
    node = changed
    assert node is not None
    for _ in nodes:
        node = via[node].source
    cycle = [via[node]]
    while cycle[-1].source is not node:
        cycle.append(via[cycle[-1].source])
    return cycle[::-1]


# ---------------------------------------------------------------------- saying what is wrong
def _explain(nodes: list[Node], edges: list[Edge], axes: list[Axis]) -> DefinitionError:
    whole = next((e for e in edges if None in dict(e.lags).values()), None)
    zero = [e for e in edges if all(lag == 0 for _, lag in e.lags)]
    for part in components(nodes, zero):
        inside = [e for e in zero if e.source in part and e.target in part]
        if inside:
            return _instantaneous(_cycle_in(part, inside))
    if whole is not None:
        return _needs_whole(whole, edges)
    if len(axes) == 1:
        (axis,) = axes
        plus = [dict(e.lags)[axis] or 0 for e in edges]
        n = len(nodes) + 1
        bad = [_potentials(nodes, edges, [s * d * n - 1 for d in plus]) for s in (1, -1)]
        cycles = [c for c in bad if isinstance(c, list)]
        for cycle in cycles:
            if sum(dict(e.lags)[axis] or 0 for e in cycle) == 0:
                return _zero_delay(cycle, axis)
        if len(cycles) == 2:
            return _two_way(cycles, axis)
    return NotProven(
        f"no order of computation was found for {', '.join(_names(nodes))} over "
        f"{', '.join(a.name for a in axes)} (searched: directions up to 2 steps an axis); "
        f"this is not proven illegal: unfold it at a fixed size, uf.axis(name, size=...)"
    )


def _cycle_in(part: list[Node], edges: list[Edge]) -> list[Edge]:
    """Some cycle of a strongly connected part, as edges in order."""
    into = {e.target: e for e in edges}
    node, seen = part[0], []
    while node not in seen:
        seen.append(node)
        node = into[node].source
    cycle = [into[node]]
    while cycle[-1].source is not node:
        cycle.append(into[cycle[-1].source])
    return cycle[::-1]


def _hops(cycle: list[Edge]) -> list[tuple[Node, dict[Axis, int], Node]]:
    """The cycle at the level of symbols: (read symbol, lags so far, reading symbol)."""
    start = next((i for i, e in enumerate(cycle) if isinstance(e.source.op, Symbol)), None)
    if start is None:
        return [(cycle[0].source, {}, cycle[0].source)]
    hops, lags, source = [], {}, cycle[start].source
    for e in cycle[start:] + cycle[:start]:
        for a, lag in e.lags:
            lags[a] = lags.get(a, 0) + (lag or 0)
        if isinstance(e.target.op, Symbol):
            hops.append((source, {a: n for a, n in lags.items() if n}, e.target))
            source, lags = e.target, {}
    return hops


def _label(node: Node) -> str:
    return node.op.label if isinstance(node.op, Symbol) else node.op.name


def _names(nodes: Iterable[Node]) -> list[str]:
    return list(dict.fromkeys(_label(n) for n in nodes if isinstance(n.op, Symbol)))


def _lines(hops: list[tuple[Node, dict[Axis, int], Node]]) -> tuple[tuple[str, ...], str]:
    where = tuple(dict.fromkeys(t.where for _, _, t in hops if t.where))
    return where, (f" ({', '.join(where)})" if where else "")


def _instantaneous(cycle: list[Edge]) -> DefinitionError:
    hops = _hops(cycle)
    where, lines = _lines(hops)
    text = " -> ".join(str(n.op) for n in [hops[0][0], *[t for _, _, t in hops]])
    axes = hops[0][0].axes
    back = axes[0].name + "-1" if axes else None
    reads = " or ".join(f"{_label(s)}[{back}]" for s, _, _ in hops) if back else "an earlier step"
    return InstantaneousLoop(
        f"{text} has no delay; read {reads} on one edge{lines}",
        cycle=[_label(s) for s, _, _ in hops],
        where=where,
    )


def _shift(axis: Axis, steps: int) -> str:
    return axis.name + (f"{steps:+d}" if steps else "")


def _zero_delay(cycle: list[Edge], axis: Axis) -> DefinitionError:
    hops = _hops(cycle)
    where, lines = _lines(hops)
    reads = [f"{_label(t)} reads {_label(s)} at {_shift(axis, -n.get(axis, 0))}" for s, n, t in hops[::-1]]
    at, walk = 1, [f"{_label(hops[-1][2])}[1]"]
    for s, n, _ in hops[::-1]:
        at -= n.get(axis, 0)
        walk.append(f"{_label(s)}[{at}]")
    return ZeroDelayLoop(
        f"{' and '.join(reads)}: total delay 0: {' -> '.join(walk)}{lines}",
        cycle=[_label(s) for s, _, _ in hops],
        lags=[n.get(axis, 0) for _, n, _ in hops],
        where=where,
    )


def _two_way(cycles: list[list[Edge]], axis: Axis) -> DefinitionError:
    both = [_hops(c) for c in cycles]
    where, lines = _lines([h for hops in both for h in hops])
    name = _label(both[0][0][2])
    if all(len(hops) == 1 for hops in both) and _label(both[1][0][2]) == name:
        lags = sorted((hops[0][1].get(axis, 0) for hops in both), reverse=True)
        need = " and ".join(f"{name}[{_shift(axis, -n)}]" for n in lags)
    else:
        totals = [sum(n.get(axis, 0) for _, n, _ in hops) for hops in both]
        ways = [
            " -> ".join(f"{_label(s)}" for s, _, _ in [*hops, hops[0]]) + f" (total delay {n:+d})"
            for hops, n in zip(both, totals, strict=True)
        ]
        need = "both directions: " + " and ".join(ways)
    return TwoWayTime(
        f"{name} needs {need}: no order exists for {axis.length} >= 2; split it into two variables{lines}",
        cycle=[_label(s) for s, _, _ in both[0]],
        lags=[n.get(axis, 0) for hops in both for _, n, _ in hops],
        where=where,
    )


def _needs_whole(edge: Edge, edges: list[Edge]) -> DefinitionError:
    axis = next(a for a, lag in edge.lags if lag is None)
    names = _names(n for e in edges for n in (e.target, e.source)) or ["a node"]
    where = tuple(
        dict.fromkeys(n.where for e in edges for n in (e.target,) if isinstance(n.op, Symbol) and n.where)
    )
    doing = {"at": "a fixed read", "reverse": "a reversed read"}.get(edge.target.op.name, edge.target.op.name)
    return NotComputable(
        f"{' -> '.join([*names, names[0]])}: {doing} over {axis.name} needs every step of "
        f"{_label(edge.source)} along {axis.name}, and those steps need its result; break the loop with a "
        f"delay or use a different axis ({', '.join(where)})",
        cycle=names,
        where=where,
    )
