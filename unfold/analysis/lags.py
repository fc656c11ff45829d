"""A system as a weighted graph: an edge u -> v with lag d says that v[t] needs u[t - d]."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from unfold.core.axis import Axis
from unfold.core.node import Node
from unfold.core.system import System
from unfold.ops.time.delays import Delay, Structural

Lags = dict[Axis, int | None]  # None: the edge needs the axis as a whole


@dataclass(frozen=True)
class Edge:
    """`target[t]` needs `source[t - lag]`; a lag of None needs every step of that axis."""

    source: Node
    target: Node
    lags: tuple[tuple[Axis, int | None], ...]

    @property
    def whole(self) -> tuple[Axis, ...]:
        """The axes of which it needs every step."""
        return tuple(a for a, lag in self.lags if lag is None)

    def lag(self, axis: Axis) -> int:
        """How many steps back it reads along an axis; 0 where it needs the whole axis."""
        return dict(self.lags).get(axis) or 0

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


def edges(graph: System) -> list[Edge]:
    """All dependences of a graph, node by node, with their lags."""
    return [edge for node in graph.order for edge in edges_into(graph, node)]


def edges_into(graph: System, node: Node) -> list[Edge]:
    """What one node needs."""
    out = []
    for number, source in enumerate(graph.inputs_of(node)):
        lags: Lags = {}
        for axis in dict.fromkeys((*source.axes, *node.axes)):
            inside = axis in source.axes and axis in node.axes and axis not in node.op.spans
            lags[axis] = 0 if inside else None
        if isinstance(node.op, Delay) and number == 0 and node.op.axis in source.axes:
            lags[node.op.axis] = node.op.lag
        elif isinstance(node.op, Structural) and number == 0:
            lags[node.op.axis] = None
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
                    part: list[Node] = []
                    while not part or part[-1] is not node:
                        part.append(stack.pop())
                        held.discard(part[-1])
                    out.append(part[::-1])
    return out


def potentials(
    nodes: Sequence[Node], edges: Sequence[Edge], weights: Sequence[int]
) -> dict[Node, int] | list[Edge]:
    """Shortest distances from zeros, or the edges of a negative cycle.

    Bellman-Ford, only from what changed. A negative cycle shows in the edges by which distances came
    about; they are looked through as often as there were as many changes as there are nodes.
    """
    pi = dict.fromkeys(nodes, 0)
    if all(w >= 0 for w in weights):
        return pi
    onward: dict[Node, list[tuple[Edge, int]]] = {n: [] for n in nodes}
    for e, w in zip(edges, weights, strict=True):
        onward[e.source].append((e, w))
    via: dict[Node, Edge] = {}
    changes = 0
    waiting, queued = deque(nodes), set(nodes)
    while waiting:
        node = waiting.popleft()
        queued.discard(node)
        for e, w in onward[node]:
            if (near := pi[node] + w) >= pi[e.target]:
                continue
            pi[e.target], via[e.target] = near, e
            changes += 1
            if e.target not in queued:
                queued.add(e.target)
                waiting.append(e.target)
            if changes % len(nodes) == 0 and (cycle := _circle(via)):
                return cycle
    return pi


def _circle(via: Mapping[Node, Edge]) -> list[Edge]:
    """A cycle among edges of which each node has at most one that leads to it; none: an empty list."""
    done: set[Node] = set()
    for start in via:
        path: dict[Node, Edge] = {}
        node = start
        while node in via and node not in done and node not in path:
            path[node] = via[node]
            node = via[node].source
        if node in path:
            cycle = [path[node]]
            while cycle[-1].source is not node:
                cycle.append(path[cycle[-1].source])
            return cycle[::-1]
        done.update(path)
    return []
