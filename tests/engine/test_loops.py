"""A plan keeps every value until its last reader has read it, and no longer than that.

Plans are replayed on paper: each value of each step, in the order of the schedule, is put where the plan
says, and whoever reads it must find that very value there.
"""

from __future__ import annotations

import math
from typing import Any

import loop_systems
import numpy as np
import pytest
from random_systems import model

import unfold as uf
from tests.engine.test_plan import agree
from unfold.analysis.schedule import Loop
from unfold.engine import made_up
from unfold.engine.binding import bind
from unfold.engine.planning import PASSES, Program, plan
from unfold.engine.proof import prove
from unfold.engine.run import _joint

STEPS = 4
SYSTEMS = [n for n in uf.systems.SYSTEMS if n != "driven"]
DRAWN = [*SYSTEMS, *loop_systems.SYSTEMS, *range(12)]


def planned(name: Any, passes: tuple[str, ...] = PASSES) -> Program:
    """The plan of a system with all of its gradients: a ready-made one, or a random one; those of
    `loop_systems` stand for themselves."""
    if name in loop_systems.SYSTEMS:
        graph = loop_systems.SYSTEMS[name]()
        return plan(graph, bind(graph, loop_systems.arrays(graph)), passes=passes)
    if isinstance(name, str):
        graph = _joint(uf.systems.SYSTEMS[name](), "loss", None)
        return plan(
            graph, made_up.zeros(graph, {a.name: STEPS for a in graph.axes if a.size is None}), passes=passes
        )
    drawn = model(name)
    graph = _joint(drawn.graph, "loss", [*drawn.graph.params, *drawn.graph.inputs])
    lengths = {} if drawn.graph.inputs else {a.name: drawn.steps for a in drawn.graph.axes}
    return plan(graph, bind(graph, {**drawn.arrays, **lengths}), passes=passes)


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize("passes", [PASSES, ()], ids=["all passes", "none"])
def test_no_value_is_overwritten_before_its_last_reader(name, passes):
    prove(planned(name, passes))


@pytest.mark.parametrize("name", DRAWN)
def test_the_axes_that_are_stepped_over_lead_in_every_buffer(name):
    outline = planned(name).outline
    for node, nest in outline.nest.items():
        looped = [loop.direction[0][0] for loop in nest if len(loop.direction) == 1]
        assert list(outline.type(node).axes)[: len(looped)] == looped


def test_a_loop_over_diagonals_takes_its_places_in_order():
    i, j = uf.axis("i"), uf.axis("j")
    h = uf.var("h", over=(i, j))
    for place in ((0, j), (i.last + 1, j), (0, j.last + 1), (i.last + 1, 0), (i.last + 1, -1)):
        h[place] = 0
    h[i, j.last + 1] = h[i, 0] = h[i, -1] = 0
    h[i, j] = h[i - 1, j + 1] + h[i + 1, j - 2] + 1
    graph = uf.graph(h=h[i, j])
    assert graph(i=2, j=3).h.tolist() == [[1, 1, 3], [2, 4, 1]]


def test_loops_over_diagonals_and_their_gradients_agree_with_the_definition():
    odd = 0
    for seed in range(90):
        found = loop_systems.over_diagonals(seed)
        if found is None:
            continue
        graph, arrays = found
        joint = _joint(graph, "loss", None)
        made = plan(joint, bind(joint, arrays))
        if not all(item.straight for item in made.outline.schedule if isinstance(item, Loop)):
            odd += 1
            agree(joint, arrays, 1e-9)
    assert odd >= 8


def nests(items: Any, around: tuple[bool, ...] = ()) -> set[tuple[bool, ...]]:
    """For each loop, which of it and those around it are retimed, the outermost first."""
    out: set[tuple[bool, ...]] = set()
    for item in items:
        if isinstance(item, Loop):
            here = (*around, len(set(item.offsets.values())) > 1)
            out |= {here} | nests(item.body, here)
    return out


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("inner", [True, False])
def test_a_retimed_loop_may_lie_inside_another_or_around_one(seed, inner):
    graph, arrays = loop_systems.nested_and_retimed(seed, inner)
    joint = _joint(graph, "loss", None)
    made = plan(joint, bind(joint, arrays))
    assert ((False, True) if inner else (True, False)) in nests(made.outline.schedule)
    agree(joint, arrays, 1e-9)


def test_loops_that_look_ahead_agree_with_the_definition():
    legal = retimed = 0
    for seed in [1832, *range(400)]:  # the first: an earlier round computes what is read before its turn
        graph = loop_systems.looking_ahead(seed)
        if graph is None:
            continue
        steps = {"t": (1, 2, 5, 7)[seed % 4]}
        given = {k: np.full(a.shape, 0.4) for k, a in made_up.zeros(graph, steps).arrays.items()} or steps
        agree(graph, given, 1e-9)
        legal += 1
        retimed += (True,) in nests(plan(graph, bind(graph, given), passes=()).outline.schedule)
    assert legal > 100
    assert retimed > 10


def test_an_output_that_is_the_state_before_is_kept_for_all_steps(t):
    x, a = uf.input("x", over=t), uf.param("a")
    h = uf.var("h", over=t)
    h[0] = a
    h[t] = uf.tanh(h[t - 1] + x[t])
    graph = uf.graph(before=h[t - 1])
    arrays = {"x": [0.5, -1.0, 2.0], "a": 0.25}
    steps = [0.25]
    for value in arrays["x"][:-1]:
        steps.append(math.tanh(steps[-1] + value))
    assert graph(**arrays).before.tolist() == pytest.approx(steps)


def test_what_a_node_is_called_is_the_output_or_the_variable_it_defines(t):
    x, y = uf.input("x", over=t), uf.input("y")
    h = uf.var("h", over=t)
    h[0] = 0
    h[t] = uf.tanh(h[t - 1] + x[t])
    graph = uf.graph(total=uf.sum(h[t], over=t), same=y)
    made = plan(graph, made_up.zeros(graph, {}), passes=())
    assert sorted(made.outline.labels.values()) == ["h[0]", "h[t]", "total"]
    assert {u.op.name for u, label in made.outline.labels.items() if label == "total"} == {"sum"}


def test_outputs_over_the_axis_of_a_loop_are_kept_for_all_steps(t):
    x, a = uf.input("x", over=t), uf.param("a")
    h, g = uf.var("h", over=t), uf.var("g", over=t)
    h[0] = a
    g[t] = uf.tanh(h[t - 1] * x[t])
    h[t] = g[t] + h[t - 1] * 0.5
    graph = uf.graph(h=h[t], g=g[t], twice=2 * (h[t - 1] * x[t]))
    arrays = {"x": [0.5, -1.0, 2.0], "a": 0.25}
    before, want = 0.25, []
    for value in arrays["x"]:
        product = before * value
        before = math.tanh(product) + before * 0.5
        want.append((before, math.tanh(product), 2 * product))
    got = graph.compile("numpy")(**arrays)
    assert list(zip(got.h, got.g, got.twice, strict=True)) == [pytest.approx(w) for w in want]


@pytest.mark.parametrize("name", [*loop_systems.SYSTEMS, "one in another"])
def test_a_system_with_demands_on_storage_agrees_with_the_definition(name):
    graph = {**loop_systems.SYSTEMS, "one in another": loop_systems.one_in_another}[name]()
    arrays = loop_systems.arrays(graph)
    agree(graph, arrays or {a.name: 3 for a in graph.axes}, 1e-12, (None, (), ("hoist",)))


def test_three_loops_in_one_another_lead_from_the_outermost():
    graph = loop_systems.one_in_another()
    made = plan(graph, made_up.zeros(graph, {a.name: 2 for a in graph.axes}), passes=())
    i, j, k = graph.axes
    outline = made.outline
    (deep,) = [u for u in outline.graph.order if outline.labels.get(u) == "h[i, j, k]"]
    assert [loop.direction for loop in outline.nest[deep]] == [((k, 1),), ((j, 1),), ((i, 1),)]
    assert outline.order == list(outline.type(deep).axes) == [k, j, i]
