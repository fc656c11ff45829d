"""Legality against brute force, and schedules against the order they claim."""

import random
import re
from itertools import product

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from random_systems import Lags, lag_system

import unfold as uf
from unfold.analysis.instances import needs
from unfold.analysis.legality import check_legality
from unfold.analysis.schedule import Loop, components, edges, schedule
from unfold.core.errors import DefinitionError, InstantaneousLoop, NotProven, TwoWayTime, ZeroDelayLoop
from unfold.graph import Graph
from unfold.transform.adjoint import adjoints
from unfold.transform.unfolding import written_out

LENGTHS = [(n,) for n in (1, 2, 3, 4, 5, 6, 9, 12)]
GRIDS = [(1, 1), (1, 4), (4, 1), (3, 3), (4, 6), (7, 7)]


def accepted(system):
    """The error that refuses a system, or None."""
    try:
        system.graph()
    except DefinitionError as error:
        return error
    return None


def computed(items, sizes, fixed=()):
    """The order in which a schedule computes: (node, its steps), one at a time."""
    for item in items:
        if isinstance(item, Loop):
            reach = sum(abs(f) * (sizes[a] + 1) for a, f in item.direction)
            reach += max(map(abs, item.offsets.values())) + 1
            for tau in range(-reach, reach + 1):
                yield from computed(item.body, sizes, (*fixed, (item.direction, tau, item.offsets)))
        else:
            for steps in product(*(range(1, sizes[a] + 1) for a in item.axes)):
                at = dict(zip(item.axes, steps, strict=True))
                if all(sum(f * at[a] for a, f in d) == tau + offsets[item] for d, tau, offsets in fixed):
                    yield item, at


def assert_an_order(graph, sizes):
    """Every value is computed once, after all it reads."""
    done = set()

    def key(node, at):
        return node, tuple(at[a] for a in node.axes)

    for node, at in computed(schedule(graph), sizes):
        for read in needs(graph, node, at, sizes):
            assert key(*read) in done, f"{node} at {at} reads {read[0]} at {read[1]} too early"
        assert key(node, at) not in done, f"{node} at {at} is computed twice"
        done.add(key(node, at))
    everything = [
        (n, steps) for n in graph.order for steps in product(*(range(1, sizes[a] + 1) for a in n.axes))
    ]
    assert done == set(everything)


@given(st.integers(0, 10**6))
def test_one_axis_is_legal_exactly_when_no_concrete_cycle_exists(seed):
    system = lag_system(random.Random(seed), axes=1, largest=3)
    error = accepted(system)
    assert (error is None) == all(system.has_order(n) for n in LENGTHS), error


def test_one_axis_never_ends_in_not_proven():
    errors = {type(accepted(lag_system(random.Random(seed), 1, 3))) for seed in range(300)}
    assert errors == {type(None), InstantaneousLoop, ZeroDelayLoop, TwoWayTime}


@given(st.integers(0, 10**6))
@example(490)  # a cycle that closes only at eleven steps
def test_two_axes_are_refused_only_with_a_reason_and_never_accepted_wrongly(seed):
    system = lag_system(random.Random(seed), axes=2, largest=2)
    error = accepted(system)
    if error is None:
        assert all(system.has_order(n) for n in GRIDS)
    elif not isinstance(error, NotProven):
        assert not system.has_order((9, 9))


def test_two_axes_are_seldom_not_proven():
    systems = [lag_system(random.Random(seed), 2, 2) for seed in range(200)]
    unsure = [s for s in systems if isinstance(accepted(s), NotProven)]
    assert len(unsure) <= 4
    assert not [s for s in unsure if s.has_order((16, 16))]


@pytest.mark.parametrize("axes", [1, 2])
def test_a_schedule_computes_everything_after_what_it_reads(axes):
    legal = 0
    for seed in range(60):
        system = lag_system(random.Random(seed), axes, 2)
        if accepted(system) is None:
            graph, legal = system.graph(), legal + 1
            for lengths in [(1, 1), (2, 3), (5, 4)]:
                assert_an_order(graph, dict(zip(graph.axes, lengths, strict=False)))
    assert legal > 20


def test_a_loop_that_looks_ahead_on_one_edge_is_retimed():
    t = uf.axis("t")
    h, g = uf.var("h", over=t), uf.var("g", over=t)
    for v in (h, g):
        v[0] = v[-1] = v[t.last + 1] = 1.0
    h[t] = g[t + 1] * 0.5
    g[t] = h[t - 2] + uf.step(t)
    graph = uf.graph(h=h[t], g=g[t])
    (loop,) = [item for item in schedule(graph) if isinstance(item, Loop)]
    assert len(set(loop.offsets.values())) > 1
    for steps in range(7):
        assert_an_order(graph, {t: steps})
        values = {"h": dict.fromkeys((0, -1, steps + 1), 1.0), "g": dict.fromkeys((0, -1, steps + 1), 1.0)}
        for k in range(1, steps + 2):  # g[k] then h[k-1], by hand
            if k <= steps:
                values["g"][k] = values["h"][k - 2] + k
            if k > 1:
                values["h"][k - 1] = values["g"][k] * 0.5
        run = graph.compile("reference")(t=steps)
        assert run.h.tolist() == [values["h"][k] for k in range(1, steps + 1)]
        assert run.g.tolist() == [values["g"][k] for k in range(1, steps + 1)]


def test_a_diagonal_system_runs_along_a_wavefront():
    i, j = uf.axis("i"), uf.axis("j")
    h = uf.var("h", over=(i, j))
    h[0, j] = h[i, 0] = h[i.last + 1, j] = h[i, j.last + 1] = h[0, 0] = 0
    h[i.last + 1, 0] = h[0, j.last + 1] = 0
    h[i, j] = h[i - 1, j + 1] + h[i, j - 1] + 1
    graph = uf.graph(h=h[i, j])
    assert_an_order(graph, {i: 4, j: 3})


@pytest.mark.parametrize("order", ["ij", "ji"])
def test_an_attention_loop_runs_over_the_decoder_only(order):
    i, j = axes = uf.axis("i"), uf.axis("j")
    over = axes if order == "ij" else axes[::-1]
    x, d = uf.input("x", over=i), uf.var("d", over=j)
    a = uf.var("a", over=over)
    d[0] = 0
    a[over] = uf.softmax(x[i] * d[j - 1], over=i)
    d[j] = uf.sum(a[over] * x[i], over=i)
    graph = uf.graph(d=d[j])
    loops = [item for item in schedule(graph) if isinstance(item, Loop)]
    assert [loop.direction for loop in loops] == [((j, 1),)]
    assert_an_order(graph, {i: 3, j: 4})


@pytest.mark.parametrize("size", range(4))
def test_an_axis_of_fixed_size_is_judged_at_that_size(size):
    t = uf.axis("t", size=size)
    h = uf.var("h", over=t)
    h[0] = h[t.last + 1] = 1.0
    h[t] = h[t - 1] + h[t + 1]
    if size < 2:
        graph = uf.graph(h=h[t])
        assert graph.unfold(t=size)().get("h", []) == [2.0] * size
    else:
        with pytest.raises(TwoWayTime, match="T >= 2"):
            uf.graph(h=h[t])


@given(st.integers(0, 10**6), st.integers(0, 4))
def test_random_systems_of_fixed_size_are_judged_by_brute_force(seed, size):
    system = lag_system(random.Random(seed), axes=1, largest=3)
    if system.has_order((size,)):
        graph = system.graph((size,))
        if graph.axes:
            graph.unfold(i=size)
    else:
        with pytest.raises(DefinitionError):
            system.graph((size,))


def test_what_is_not_proven_in_general_is_decided_at_fixed_sizes():
    reads = ((0, 0, (1, -33)), (0, 1, (-1, 34)), (1, 0, (0, 0)), (1, 1, (-1, 32)))
    system = Lags(2, 2, reads)  # not proven without sizes: its cycles need three steps by 67
    assert system.has_order((3, 66))
    assert not system.has_order((3, 67))
    with pytest.raises(InstantaneousLoop, match=re.escape("v0[1, 67] -> v1[2, 33] -> ")):
        system.graph((3, 67))


def test_the_cycle_named_in_an_error_is_a_cycle_of_the_system():
    named = 0
    for seed in range(200):
        system = lag_system(random.Random(seed), 1, 2)
        error = accepted(system)
        if isinstance(error, ZeroDelayLoop | InstantaneousLoop):
            reads = {(r, s, lag) for r, s, (lag,) in system.reads}
            cycle = [int(name[1:]) for name in error.cycle]
            lags = getattr(error, "lags", [0] * len(cycle))
            hops = list(zip(cycle, [*cycle[1:], cycle[0]], lags, strict=True))
            assert set(hops) <= reads
            assert sum(lags) == 0
            named += 1
    assert named > 20


def test_components_come_sources_first():
    for seed in range(40):
        system = lag_system(random.Random(seed), 1, 2)
        if accepted(system) is None:
            graph = system.graph()
            parts = components(graph.order, edges(graph))
            place = {n: k for k, part in enumerate(parts) for n in part}
            assert all(place[e.source] <= place[e.target] for e in edges(graph))


def test_the_adjoint_of_a_legal_system_is_legal():
    checked = 0
    for seed in range(100):
        system = lag_system(random.Random(seed), 1 + seed % 2, 2)
        if accepted(system) is None:
            graph = system.graph()
            seeds = {node: uf.constant(1.0) for node in graph.outputs.values()}
            ct, definitions = adjoints(graph, seeds, list(graph.symbols.values()))
            backward = Graph(
                {str(s): ct[s] for s in graph.symbols.values() if s in ct},
                {**dict(graph.definitions), **definitions},
            )
            check_legality(backward, written_out)
            assert_an_order(backward, dict.fromkeys(graph.axes, 3))
            checked += 1
    assert checked > 30


@pytest.mark.filterwarnings("ignore:no plan was made")
def test_a_system_legal_only_at_its_fixed_size_runs_and_differentiates():
    t = uf.axis("t", size=2)
    h, x = uf.var("h", over=t), uf.input("x", over=t)
    h[0] = h[-1] = h[t.last + 1] = 1.0
    h[t] = h[t - 2] * 2 + h[t + 1] * x[t]
    graph = uf.graph(h=h[t], loss=uf.sum(h[t], over=t))
    for form in (graph, graph.unfold(t=2)):
        assert form(x=[1.0, 2.0]).h.tolist() == [2 + (2 + 2) * 1, 2 + 2]
        assert form.grad("loss", "x")(x=[1.0, 2.0])["x"].tolist() == [4, 1 + 1]


def test_a_loop_along_one_axis_may_need_another_whole():
    i, j = uf.axis("i"), uf.axis("j")
    h = uf.var("h", over=(i, j))
    h[i, 0] = 0.5
    h[i, j] = uf.softmax(h[i, j - 1] * 2, over=i)
    graph = uf.graph(h=h[i, j])
    assert np.allclose(graph(i=3, j=4).h, 1 / 3)


def test_of_a_loop_without_an_order_the_part_that_has_none_is_named():
    i, j = uf.axis("i"), uf.axis("j")
    g, h = uf.var("g", over=(i, j)), uf.var("h", over=(i, j))
    h[i, 0] = 0
    g[i, j] = uf.tanh(uf.sum(h[i, j - 1], over=i))
    h[i, j] = uf.tanh(g[i, j] + uf.sum(h[i, j], over=i))
    with pytest.raises(uf.UnfoldError, match="h -> h: sum over i needs every step of h"):
        uf.graph(h=h[i, j])
