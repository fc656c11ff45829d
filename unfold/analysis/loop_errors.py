"""What to say about a loop that no order of computation exists for.

An arrow `h[t] -> g[t-1]` means that h[t] reads g[t-1]. Cycles are told in the order in which
one reads equations: they start at the one written first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import product

from unfold.analysis.lags import Edge, components, potentials
from unfold.core.axis import Axis, indexed
from unfold.core.errors import (
    DefinitionError,
    InstantaneousLoop,
    NotComputable,
    NotProven,
    TwoWayTime,
    ZeroDelayLoop,
)
from unfold.core.leaves import Symbol
from unfold.core.node import Node

Value = tuple[Node, tuple[int, ...]]  # that of a node at one step
Hop = tuple[Node, dict[Axis, int], Node]  # (reader, lag along each axis, what it reads)


def explain(nodes: Sequence[Node], edges: Sequence[Edge], axes: Sequence[Axis]) -> DefinitionError:
    """The error for a strongly connected component that cannot be computed."""
    zero = [e for e in edges if all(lag == 0 for _, lag in e.lags)]
    for part in components(nodes, zero):
        inside = [e for e in zero if e.source in part and e.target in part]
        if inside:
            return _instantaneous(_cycle_in(part, inside))
    whole = [e for e in edges if e.whole]
    if whole:
        return _needs_whole(whole, edges, nodes)
    along_one = _along_one(nodes, edges, axes[0]) if len(axes) == 1 else None
    return along_one or _no_order(nodes, edges, axes)


def _along_one(nodes: Sequence[Node], edges: Sequence[Edge], axis: Axis) -> DefinitionError | None:
    """The error of a component over a single axis: a cycle of no delay, or one of each direction."""
    n = len(nodes) + 1
    bad = [potentials(nodes, edges, [s * e.lag(axis) * n - 1 for e in edges]) for s in (1, -1)]
    cycles = [c for c in bad if isinstance(c, list)]
    for cycle in cycles:
        if sum(e.lag(axis) for e in cycle) == 0:
            return _zero_delay(cycle, axis)
    return _two_way(nodes, edges, cycles, axis) if len(cycles) == 2 else None


# ---------------------------------------------------------------------- cycles
def _cycle_in(part: list[Node], edges: Sequence[Edge]) -> list[Edge]:
    """Some cycle of a strongly connected part, as edges in order."""
    into = {e.target: e for e in edges}
    node, seen = part[0], set()
    while node not in seen:
        seen.add(node)
        node = into[node].source
    cycle = [into[node]]
    while cycle[-1].source is not node:
        cycle.append(into[cycle[-1].source])
    return cycle[::-1]


def _hops(cycle: Sequence[Edge]) -> list[Hop]:
    """The cycle from variable to variable, each reading the next, from the first equation on."""
    cycle = cycle[::-1]
    symbols = [i for i, e in enumerate(cycle) if isinstance(e.target.op, Symbol)]
    if not symbols:
        return [(cycle[0].target, {}, cycle[0].target)]
    first = min(symbols, key=lambda i: _line(cycle[i].target))
    hops: list[Hop] = []
    lags: dict[Axis, int] = {}
    reader = cycle[first].target
    for e in [*cycle[first:], *cycle[:first]]:
        for axis, lag in e.lags:
            lags[axis] = lags.get(axis, 0) + (lag or 0)
        if isinstance(e.source.op, Symbol):
            hops.append((reader, lags, e.source))
            reader, lags = e.source, {}
    return hops


def _line(node: Node) -> tuple[str, int]:
    file, _, number = (node.where or "").rpartition(":")
    return file, int(number) if number.isdigit() else 0


def _concrete(nodes: Sequence[Node], edges: Sequence[Edge], axes: Sequence[Axis]) -> tuple[int, list[Value]]:
    """The smallest number of steps (the same along every axis) at which values wait for each
    other, and such a cycle; 0 when none is found at small sizes."""
    steps = 1
    while len(nodes) * steps ** len(axes) <= 20_000 and steps <= 64:
        cycle = _cycle_at(nodes, edges, axes, steps)
        if cycle:
            return steps, cycle
        steps += 1
    return 0, []


def _cycle_at(nodes: Sequence[Node], edges: Sequence[Edge], axes: Sequence[Axis], steps: int) -> list[Value]:
    reads: dict[Node, list[Edge]] = {n: [] for n in nodes}
    for e in edges:
        reads[e.target].append(e)

    def below(place: Value) -> Iterator[Value]:
        node, at = place
        for e in reads[node]:
            to = tuple(i - e.lag(a) for a, i in zip(axes, at, strict=True))
            if all(1 <= i <= steps for i in to):
                yield e.source, to

    done: set[Value] = set()
    for start in product(nodes, product(range(1, steps + 1), repeat=len(axes))):
        path, on = [(start, below(start))], {start}
        while path and start not in done:
            place, rest = path[-1]
            for to in rest:
                if to in on:
                    places = [p for p, _ in path]
                    return places[places.index(to) :]
                if to not in done:
                    path.append((to, below(to)))
                    on.add(to)
                    break
            else:
                path.pop()
                on.discard(place)
                done.add(place)
    return []


def _walk(places: Sequence[Value]) -> str:
    """A concrete cycle as text: `h[1] -> h[2] -> h[1]`."""
    named = [(n, at) for n, at in places if isinstance(n.op, Symbol)]
    if not named:
        return ""
    first = min(range(len(named)), key=lambda i: (_line(named[i][0]), named[i][1]))
    named = [*named[first:], *named[: first + 1]]
    return " -> ".join(indexed(_label(n), at) for n, at in named)


# ---------------------------------------------------------------------- words
def _label(node: Node) -> str:
    return node.op.label if isinstance(node.op, Symbol) else node.op.name


def _names(nodes: Iterable[Node]) -> list[str]:
    named = sorted((n for n in nodes if isinstance(n.op, Symbol)), key=_line)
    return list(dict.fromkeys(_label(n) for n in named)) or ["a node"]


def _lines(nodes: Iterable[Node]) -> tuple[tuple[str, ...], str]:
    """The source lines of symbols, as a field and as the end of a message."""
    named = sorted((n for n in nodes if isinstance(n.op, Symbol)), key=_line)
    where = tuple(dict.fromkeys(n.where for n in named if n.where))
    return where, (f" ({', '.join(where)})" if where else "")


def _shifted(node: Node, axis: Axis, lag: int) -> str:
    """A variable read `lag` steps back along one of its axes: `h[i-1, j]`."""
    return indexed(_label(node), [a - lag if a == axis else a for a in node.axes])


def _instantaneous(cycle: Sequence[Edge]) -> DefinitionError:
    hops = _hops(cycle)
    where, lines = _lines(n for n, _, _ in hops)
    text = " -> ".join(str(n.op) for n in [hops[0][0], *[to for _, _, to in hops]])
    delayed = [_shifted(n, n.axes[0], 1) for n, _, _ in hops if n.axes]
    advice = f"read {' or '.join(delayed)} on one edge" if delayed else "each needs the other's value first"
    return InstantaneousLoop(
        f"{text} has no delay; {advice}{lines}",
        cycle=[_label(n) for n, _, _ in hops],
        where=where,
    )


def _zero_delay(cycle: Sequence[Edge], axis: Axis) -> DefinitionError:
    hops = _hops(cycle)
    where, lines = _lines(n for n, _, _ in hops)
    lags = [lag.get(axis, 0) for _, lag, _ in hops]
    reads = [
        f"{_label(n)} reads {_label(to)} at {axis - lag!r}"
        for (n, _, to), lag in zip(hops, lags, strict=True)
    ]
    at, walk = 1, [f"{_label(hops[0][0])}[1]"]
    for (_, _, to), lag in zip(hops, lags, strict=True):
        at -= lag
        walk.append(f"{_label(to)}[{at}]")
    return ZeroDelayLoop(
        f"{' and '.join(reads)}: total delay 0: {' -> '.join(walk)}; "
        f"make the delays of the loop add up to at least 1{lines}",
        cycle=[_label(n) for n, _, _ in hops],
        lags=lags,
        where=where,
    )


def _two_way(
    nodes: Sequence[Node], edges: Sequence[Edge], cycles: Sequence[Sequence[Edge]], axis: Axis
) -> DefinitionError:
    both = [_hops(c) for c in cycles]
    where, lines = _lines(n for hops in both for n, _, _ in hops)
    totals = [sum(lag.get(axis, 0) for _, lag, _ in hops) for hops in both]
    shared = {n for n, _, _ in both[0]} & {n for n, _, _ in both[1]}
    pairs = list(zip(both, totals, strict=True))
    name, need = _needs_itself(min(shared, key=_line), pairs, axis) if shared else _needs_both(pairs)
    steps, places = _concrete(nodes, edges, [axis])
    walk = f": {_walk(places)}" if places else ""
    return TwoWayTime(
        f"{name} needs {need}: no order exists for {axis.length} >= {steps or 2}{walk}; "
        f"split it into two variables{lines}",
        cycle=[_label(n) for n, _, _ in both[0]],
        lags=[lag.get(axis, 0) for hops in both for _, lag, _ in hops],
        where=where,
    )


def _needs_itself(node: Node, pairs: Sequence[tuple[list[Hop], int]], axis: Axis) -> tuple[str, str]:
    """A variable on both cycles, and where it needs itself."""
    ways = []
    for hops, total in sorted(pairs, key=lambda pair: -pair[1]):
        through = _names(n for n, _, _ in hops if n is not node) if len(hops) > 1 else []
        ways.append(_shifted(node, axis, total) + (f" (through {', '.join(through)})" if through else ""))
    return _label(node), " and ".join(ways)


def _needs_both(pairs: Sequence[tuple[list[Hop], int]]) -> tuple[str, str]:
    """The first variable of two cycles that share none, and both cycles with what they last."""
    name = _names(n for hops, _ in pairs for n, _, _ in hops)[0]
    loops = [" -> ".join(_label(n) for n in [*(n for n, _, _ in hops), hops[0][0]]) for hops, _ in pairs]
    delays = [f"{loop} (total delay {total})" for loop, (_, total) in zip(loops, pairs, strict=True)]
    return name, "both the past and the future: " + " and ".join(delays)


def _no_order(nodes: Sequence[Node], edges: Sequence[Edge], axes: Sequence[Axis]) -> DefinitionError:
    """Several axes: illegal where values wait for each other at small sizes, else not proven."""
    where, lines = _lines(nodes)
    over, names = ", ".join(a.name for a in axes), _names(nodes)
    uniform = all(set(n.axes) == set(axes) for n in nodes)
    steps, places = _concrete(nodes, edges, axes) if uniform else (0, [])
    if places:
        sizes = ", ".join(a.length for a in axes)
        return TwoWayTime(
            f"{', '.join(names)}: values wait for each other: no order exists for {sizes} >= {steps}: "
            f"{_walk(places)}; split it into two variables{lines}",
            cycle=names,
            where=where,
        )
    return NotProven(
        f"no order of computation was found for {', '.join(names)} over {over} (searched: directions "
        f"of up to 2 steps an axis); this does not prove that there is none: fix the sizes, "
        f"uf.axis({axes[0].name!r}, size=...), to have it judged there{lines}"
        if axes
        else f"{', '.join(names)} need each other{lines}",
        cycle=names,
        where=where,
    )


def _needs_whole(whole: Sequence[Edge], edges: Sequence[Edge], nodes: Sequence[Node]) -> DefinitionError:
    acting = [e for e in whole if any(a in e.target.op.spans or a in e.source.axes for a in e.whole)]
    edge = (acting or list(whole))[0]
    axis = edge.whole[0]
    names = _names(nodes)
    where, lines = _lines(nodes)
    doing = {"at": "a fixed read", "reverse": "a reversed read"}.get(edge.target.op.name, edge.target.op.name)
    source = edge.source if isinstance(edge.source.op, Symbol) else _symbol_below(edge.source, edges)
    return NotComputable(
        f"{' -> '.join([*names, names[0]])}: {doing} over {axis.name} needs every step of {_label(source)} "
        f"along {axis.name}, and those steps need its result; take it over a variable outside the "
        f"loop, or along another axis{lines}",
        cycle=names,
        where=where,
    )


def _symbol_below(node: Node, edges: Sequence[Edge]) -> Node:
    """The nearest variable of the loop that a node is computed from."""
    reads: dict[Node, list[Node]] = {}
    for e in edges:
        reads.setdefault(e.target, []).append(e.source)
    seen, waiting = {node}, [node]
    for u in waiting:
        if isinstance(u.op, Symbol):
            return u
        fresh = [v for v in reads.get(u, []) if v not in seen]
        seen.update(fresh)
        waiting += fresh
    return node
