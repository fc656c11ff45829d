"""The weighted graph of a system: components and shortest distances against networkx, lags against the reads
of single steps."""

from __future__ import annotations

from typing import Any

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_systems import model

import unfold as uf
from unfold.analysis.instances import needs
from unfold.analysis.lags import Edge, components, edges, edges_into, potentials
from unfold.analysis.schedule import Loop, schedule
from unfold.core.node import Node

VERTICES: list[Any] = [uf.input(f"v{k}") for k in range(7)]
I, J = uf.axis("i"), uf.axis("j")


@st.composite
def digraphs(draw: st.DrawFn) -> tuple[list[Node], list[Edge]]:
    """Vertices, and weighted edges between them (also several, also loops)."""
    n = draw(st.integers(1, 7))
    ends = st.integers(0, n - 1)
    arrows = draw(st.lists(st.tuples(ends, ends, st.integers(-2, 4)), max_size=14))
    return VERTICES[:n], [Edge(VERTICES[u], VERTICES[v], ((I, w),)) for u, v, w in arrows]


def as_networkx(nodes: list[Node], arrows: list[Edge]) -> Any:
    graph = nx.MultiDiGraph()
    graph.add_nodes_from(n.op.label for n in nodes)
    graph.add_weighted_edges_from((e.source.op.label, e.target.op.label, e.lag(I)) for e in arrows)
    return graph


@given(digraphs())
def test_components_are_those_of_networkx_and_come_sources_first(drawn):
    nodes, arrows = drawn
    parts = components(nodes, arrows)
    want = {frozenset(part) for part in nx.strongly_connected_components(as_networkx(nodes, arrows))}
    assert {frozenset(n.op.label for n in part) for part in parts} == want
    assert sorted(n.op.label for part in parts for n in part) == sorted(n.op.label for n in nodes)
    place = {n: k for k, part in enumerate(parts) for n in part}
    assert all(place[e.source] <= place[e.target] for e in arrows)


@given(digraphs())
def test_potentials_are_shortest_distances_or_a_negative_cycle(drawn):
    nodes, arrows = drawn
    found = potentials(nodes, arrows, [e.lag(I) for e in arrows])
    graph = as_networkx(nodes, arrows)
    graph.add_weighted_edges_from(("start", n.op.label, 0) for n in nodes)
    if nx.negative_edge_cycle(graph):
        assert isinstance(found, list)
        assert all(e.target is after.source for e, after in zip(found, [*found[1:], found[0]], strict=True))
        assert len({e.source for e in found}) == len(found)
        assert sum(e.lag(I) for e in found) < 0
    else:
        distance = nx.single_source_bellman_ford_path_length(graph, "start")
        assert found == {n: distance[n.op.label] for n in nodes}


@pytest.mark.parametrize("seed", range(30))
def test_the_lag_of_an_edge_is_how_far_back_a_step_reads(seed):
    """One edge for every input, in order; a lag where each step in the middle reads one step, none (the whole
    axis) where it does not."""
    graph = model(seed).graph
    size = 9
    extents = dict.fromkeys(graph.axes, size)
    assert edges(graph) == [e for node in graph.order for e in edges_into(graph, node)]
    for node in graph.order:
        into = edges_into(graph, node)
        assert [(e.source, e.target) for e in into] == [(u, node) for u in graph.inputs_of(node)]
        for number, e in enumerate(into):
            assert {a for a, _ in e.lags} == {*e.source.axes, *node.axes}
            for axis in set(e.source.axes) & set(node.axes):
                reads = [
                    sorted({at[axis] for u, at in needs(graph, node, {axis: step}, extents) if u is e.source})
                    for step in (4, 5)
                ]
                lag = dict(e.lags)[axis]
                if lag is None:
                    assert axis in e.whole
                    assert e.lag(axis) == 0
                    assert e.weight([(axis, 1)]) is None
                    apart = reads[0] != [i - 1 for i in reads[1]]
                    assert apart or len(reads[0]) > 1 or number > 0 or node.op.structural
                else:
                    assert axis not in e.whole
                    assert e.lag(axis) == lag
                    assert number > 0 or reads == [[4 - lag], [5 - lag]]
                    assert e.weight([(axis, 3)]) == 3 * lag


def test_the_weight_of_an_edge_is_its_lag_along_a_direction():
    u, v = VERTICES[:2]
    edge = Edge(u, v, ((I, 2), (J, -1)))
    assert edge.weight([(I, 1)]) == 2
    assert edge.weight([(I, 1), (J, 2)]) == 0
    assert edge.weight([(I, 2), (J, -1)]) == 5
    assert edge.weight([]) == 0
    assert Edge(u, v, ((I, None), (J, 3))).weight([(J, 2)]) == 6
    assert Edge(u, v, ((J, 3), (I, None))).weight([(J, 2), (I, 1)]) is None
    assert Edge(u, v, ()).weight([(J, 2)]) == 0
    assert Edge(u, v, ((J, 3), (I, None))).whole == (I,)


def boundaries(v: Any, reach: int) -> None:
    """Zeros on every side of a variable over i and j."""
    sides = [[a, *range(-reach, 1), *(a.last + 1 + k for k in range(reach + 1))] for a in (I, J)]
    for i in sides[0]:
        for j in sides[1]:
            if (i, j) != (I, J):
                v[i, j] = 0


# the reads of h[i, j], as lags, and the direction a loop must take: the first that works, single axes before
# combinations, forwards before backwards, small steps before great ones
DIRECTIONS: dict[str, tuple[list[tuple[int, int]], list[tuple[Any, int]]]] = {
    "rows": ([(1, 0), (1, -3)], [(I, 1)]),
    "rows from below": ([(-1, 2), (-1, -2)], [(I, -1)]),
    "rows, then columns": ([(1, 1), (0, 1)], [(I, 1)]),
    "columns": ([(1, 1), (-1, 1)], [(J, 1)]),
    "columns from the right": ([(1, -1), (-1, -1)], [(J, -1)]),
    "a diagonal": ([(1, -1), (-1, 2)], [(I, 1), (J, 1)]),
    "a diagonal upwards": ([(-1, -1), (1, 2)], [(I, -1), (J, 1)]),
    "a diagonal leftwards": ([(1, 1), (-1, -2)], [(I, 1), (J, -1)]),
    "a steep diagonal": ([(2, -3), (-1, 2)], [(I, 2), (J, 1)]),
    "a flat diagonal": ([(-3, 2), (2, -1)], [(I, 1), (J, 2)]),
}


@pytest.mark.parametrize("name", DIRECTIONS)
def test_a_loop_takes_the_simplest_direction(name):
    reads, direction = DIRECTIONS[name]
    h = uf.var("h", over=(I, J))
    boundaries(h, 2)
    h[I, J] = uf.tanh(sum((h[I - a, J - b] for a, b in reads), start=uf.constant(0.5)))
    graph = uf.graph(h=h[I, J])
    (loop,) = [item for item in schedule(graph) if isinstance(item, Loop)]
    assert list(loop.direction) == direction
    assert set(loop.nodes) <= set(graph.order)
    assert all(sum(f * lag for (_, f), lag in zip(loop.direction, r, strict=False)) >= 0 for r in reads) or (
        len(direction) == 1
    )
