"""`uf.check` where rounding is large: what is right is not called wrong, what is wrong still is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mutation_cases import cases

import unfold as uf
from tests.check.test_mutants import EXPECTED, system_for
from unfold.check.mutants import engine_mutant, mutate
from unfold.check.numbers.oracle import HAS_LONG, LONG
from unfold.check.numbers.recorder import record
from unfold.check.numbers.rounding import furthest, nudges
from unfold.check.rules.certificates import Rule
from unfold.check.trial import Trial
from unfold.graph import Graph

W = np.array([1.0, 0.3, -0.7])


def squashed(name: str) -> Graph:
    squash = getattr(uf, name)
    return uf.graph(loss=uf.sum(squash(uf.param("w", 3)) * np.array([1.0, 2.0, -3.0])))


def chain(steps: int) -> tuple[Graph, dict[str, Any]]:
    """h[t] = tanh(w h[t-1] + x[t]), of which some steps may be driven into saturation."""
    t = uf.axis("t")
    x, w, h = uf.input("x", over=t), uf.param("w"), uf.var("h", over=t)
    h[0] = 0
    h[t] = uf.tanh(w * h[t - 1] + x[t])
    graph = uf.graph(loss=uf.sum(h[t] ** 2, over=t))
    return graph, {"x": np.random.default_rng(0).normal(size=steps), "w": 0.7}


@pytest.mark.parametrize("size", [1, 5, 8, 12, 15, 18, 19.5, 22, 25, 40, 400])
@pytest.mark.parametrize("name", ["tanh", "sigmoid"])
def test_a_saturated_activation_is_right(name: str, size: float) -> None:
    report = uf.check(squashed(name), "loss", w=W * size)
    assert report.verdict == "OK", str(report)
    assert report.error <= report.allowed


@pytest.mark.parametrize("size", [18, 25, 400])
@pytest.mark.parametrize("change", ["negate", "double", "one in a million", "ct missing", "extra ct"])
def test_a_wrong_rule_is_found_beside_saturated_entries(change: str, size: float) -> None:
    graph = squashed("tanh")
    node = next(n for n in graph.order if n.op.name == "tanh")
    report = uf.check(mutate(graph, node, 0, change), "loss", w=np.array([size, 0.3, -size]))
    assert report.culprit == "tanh, argument 0"


def test_only_the_steps_at_which_a_rule_is_wrong_are_named_not_the_saturated_ones() -> None:
    graph, arrays = chain(6)
    arrays["x"][[1, 4]] = 17.0, -30.0
    assert uf.check(graph, "loss", **arrays).verdict == "OK"
    node = next(n for n in graph.order if n.op.name == "tanh")
    report = uf.check(mutate(graph, node, 0, "double"), "loss", **arrays)
    assert report.operation == "tanh"
    assert report.steps == (1, 3, 4, 6)


@pytest.mark.skipif(not HAS_LONG, reason="long double is double here")
def test_in_long_double_a_rule_is_given_a_value_computed_in_long_double() -> None:
    graph = squashed("tanh")
    check = Trial(graph, "loss", None, 0, {"w": W * 12})
    rule = next(e for e in check.rules if e.node.op.name == "tanh")
    precise = check.certificate(rule).precisely(LONG)
    assert precise.out.dtype == LONG
    assert (precise.out != precise.out.astype(np.float64)).any()
    assert precise.compare().error < 1e-2 * check.certificate(rule).compare().error


@pytest.mark.parametrize("fault", ["sum over t dropped", "one reader only", "delay off by one"])
def test_a_fault_of_the_engine_is_not_blamed_on_a_saturated_operation(fault: str) -> None:
    with engine_mutant(fault):
        graph, arrays = system_for(fault)
        arrays["x"] = np.full((3, 3), 13.0)
        report = uf.check(graph, "loss", **arrays)
    assert report.verdict == "WRONG"
    assert report.operation in EXPECTED[fault], str(report)


def test_a_gradient_that_is_zero_because_its_terms_cancel_is_right() -> None:
    p = uf.param("p", 3)  # the sum of a softmax is 1, whatever p is
    report = uf.check(uf.graph(loss=uf.tanh(uf.sum(uf.softmax(p)))), "loss", p=W)
    assert report.verdict == "OK"
    assert report.error <= report.allowed < 1e-12


def test_second_derivatives_that_cancel_are_right() -> None:
    p = uf.param("p", 2)
    graph = uf.graph(loss=uf.sum(uf.tanh(uf.sum(uf.softmax(abs(p)))) ** 2 * np.ones(3)))
    for k in range(20):
        point = np.random.default_rng(k).normal(size=2)
        report = uf.check(graph, "loss", order=2, p=point)
        assert report.verdict == "OK", str(report)


def test_a_choice_stays_what_it_was_when_rounding_is_measured() -> None:
    a, b = uf.param("a", 4), uf.param("b", 4)
    graph = uf.graph(y=uf.sum(uf.where(a + 0.0 < b + 0.0, 1e9 * a, b)))
    work = Trial(graph, "y", None, 0, {"a": W[[0, 0, 1, 2]], "b": W[[0, 1, 1, 2]]})
    y = graph.outputs["y"]
    for nudge in nudges(np.float64, work.values):
        moved = record(graph, work.wide, nudge=nudge)[y]
        assert 0 < abs(moved - work.values[y]) < 1e-10


def test_at_ordinary_points_rounding_excuses_next_to_nothing() -> None:
    excused = {}
    for case in cases():
        check = Trial(case.graph, "y", case.names, 0, case.arrays(0))
        cert = check.certificate(Rule(case.node, case.argument))
        share = np.max(cert.rounding() / (cert.compare().size + 1e-300), initial=0.0)
        if not share < 1e-10:
            excused[str(case)] = share
    assert excused == {}


def test_numbers_are_nudged_as_they_are_computed_unless_that_is_exact() -> None:
    nudge = next(nudges(np.float64, {}))
    x = nudge.inside(np.array([1.0, 2.0]))
    assert ((x + 1.0) != [2.0, 3.0]).all()
    assert np.allclose(x + 1.0, [2.0, 3.0], rtol=1e-11)
    assert (np.maximum(x, 1.5) == [1.5, 2.0]).all()
    assert (np.maximum(x, 0.0) + 1.0 != [2.0, 3.0]).all()
    x -= 0.5
    assert (x != [0.5, 1.5]).all()
    assert np.frexp(np.asarray(x))[1].dtype.kind == "i"


def test_the_furthest_change_is_the_largest_finite_one():
    changes = [np.array([1.0, np.inf, np.nan, -2.0]), np.array([-3.0, 0.5, np.inf, 1.0])]
    assert furthest(changes).tolist() == [3.0, 0.5, 0.0, 2.0]
