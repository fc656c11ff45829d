"""A planned request gives what its definition says, whatever is left out of the plan."""

from __future__ import annotations

import random
from itertools import combinations

import numpy as np
import pytest
from random_systems import lag_system, model

import unfold as uf
from tests.engine.conftest import agrees, arrays_for
from unfold.core.errors import UnfoldError
from unfold.engine import reference
from unfold.engine.binding import bind
from unfold.engine.numpy.executable import compiled
from unfold.engine.plan.view import Memory, NotPlanned
from unfold.engine.planning import PASSES, plan
from unfold.engine.run import _joint
from unfold.systems import SYSTEMS, VARIANTS

MAKERS = {**SYSTEMS, **VARIANTS}


def with_gradients(graph):
    floats = [n for n, u in graph.inputs.items() if u.dtype == "float"]
    return _joint(graph, "loss", [*graph.params, *floats])


def batched(graph, how):
    options = {
        "plain": None,
        "batch": {},
        "batch first": {"batch_first": True},
        "lengths": {"lengths": "len"},
    }
    return graph if options[how] is None else graph.batch("n", **options[how])


@pytest.mark.parametrize("how", ["plain", "batch", "batch first", "lengths"])
@pytest.mark.parametrize("name", MAKERS)
def test_a_system_and_its_gradients_agree_with_the_definition(name, how):
    try:
        graph = batched(MAKERS[name](), how)
    except UnfoldError:
        pytest.skip("it has no such batch")
    for request in (graph, with_gradients(graph)):
        agrees(request, arrays_for(request, t=3))


@pytest.mark.parametrize("steps", [0, 1, 2])
@pytest.mark.parametrize("name", ["rnn", "lstm", "bidirectional", "attention"])
def test_few_steps_or_none_are_no_special_case(name, steps):
    graph = with_gradients(MAKERS[name]().batch("n"))
    arrays = arrays_for(graph, **{a.name: steps for a in graph.axes if a.name != "n"}, n=2)
    try:
        reference.compile(graph)(bind(graph, arrays))
    except (UnfoldError, ValueError):
        pytest.skip("the definition has no value there")
    agrees(graph, arrays)


@pytest.mark.parametrize("seed", range(20))
def test_a_random_system_and_its_gradients_agree_with_the_definition(seed):
    m = model(seed, None if seed % 5 else seed % 4)
    graph, arrays = m.graph, dict(m.arrays)
    if not graph.inputs:
        arrays |= {a.name: m.steps for a in graph.axes}
    elif seed % 2:
        graph = graph.batch("n")
        arrays |= {k: np.stack([arrays[k], 0.7 * arrays[k] + 0.1], 1) for k in graph.inputs}
    request = _joint(graph, "loss", [*graph.params, *graph.inputs])
    try:
        reference.compile(request)(bind(request, arrays))
    except ValueError:
        pytest.skip("the definition has no value there")  # the greatest of nothing
    for passes in (PASSES, ()):
        agrees(request, arrays, passes)


@pytest.mark.parametrize("seed", range(40))
def test_any_order_of_computation_is_planned(seed):
    """Retimed loops, wavefronts, loops in loops: nothing is refused or left to an interpreter."""
    rng = random.Random(seed)
    axes = rng.choice([1, 2, 2, 3])
    system = lag_system(rng, axes=axes, largest=rng.choice([1, 2]))
    sizes = {"ijk"[a]: rng.choice([1, 2, 3, 4]) for a in range(axes)}
    try:
        graph = system.graph()
    except UnfoldError:
        pytest.skip("it has no order of computation")
    agrees(graph, sizes)


FEW = len(PASSES) - 1


@pytest.mark.parametrize("passes", [*combinations(PASSES, 1), *combinations(PASSES, FEW)], ids=" ".join)
def test_every_pass_can_be_left_out(passes):
    graph = with_gradients(uf.systems.lstm().batch("n"))
    agrees(graph, arrays_for(graph), passes)


def test_an_unknown_pass_is_refused():
    graph = uf.systems.rnn()
    with pytest.raises(NotPlanned, match="no pass 'fast'"):
        plan(graph, bind(graph, arrays_for(graph)), passes=["fast"])


def test_an_output_has_the_order_of_axes_that_is_wanted():
    t, n = uf.axis("t"), uf.axis("n")
    x = uf.input("x", 2, over=(t, n))
    graph = uf.graph(y=x[t, n] * 2.0)
    arrays = {"x": np.arange(12.0).reshape(3, 2, 2)}
    bound = bind(graph, arrays)
    got = compiled(plan(graph, bound, {"y": (n, t)}))(bound.arrays)["y"]
    assert np.array_equal(got, 2 * arrays["x"].swapaxes(0, 1))


def test_outputs_are_the_callers_alone():
    t = uf.axis("t")
    x, h = uf.input("x", 2, over=t), uf.var("h", 2, over=t)
    h[0] = 0
    h[t] = uf.tanh(h[t - 1] + x[t])
    graph = uf.graph(h=h, same=h, last=h[t.last], part=h[t][:1], x=x[t])
    bound = bind(graph, {"x": np.ones((4, 2))})
    program = plan(graph, bound)
    run = compiled(program)
    assert {v.buffer.role for v in program.results.values()} == {Memory.OUTPUT}
    first, arrays = run(bound.arrays), run(bound.arrays)
    for name in first:
        want = {k: v.copy() for k, v in arrays.items()}
        arrays[name][...] = 7.0
        for other in arrays.keys() - {name}:
            assert np.array_equal(arrays[other], want[other]), (name, other)
        arrays[name][...] = want[name]
    assert np.array_equal(bound.arrays["x"], np.ones((4, 2)))
    assert all(np.array_equal(first[k], v) for k, v in run(bound.arrays).items())


def test_a_plan_can_be_read_stage_by_stage():
    graph = with_gradients(uf.systems.rnn())
    stages = plan(graph, bind(graph, arrays_for(graph))).stages
    assert list(stages) == ["graph", "schedule", "keeping", "statements", "places"]
    assert all(stages.values())


def test_many_coupled_equations_are_planned_in_time():
    t, count = uf.axis("t"), 60
    x, vs = uf.input("x", over=t), [uf.var(f"v{k}", over=t) for k in range(60)]
    for k, v in enumerate(vs):
        v[0] = 0
        v[t] = uf.tanh(vs[k][t - 1] + vs[k - 1][t - 1] * x[t])
    graph = with_gradients(uf.graph(loss=uf.sum(sum((v[t] for v in vs[1:]), vs[0][t]), over=t)))
    program = agrees(graph, {"x": np.full(4, 0.3)})
    assert len(program.program) < 100 * count
