"""A plan is proven before it runs: right plans are, and what is wrong is found and told in words."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from random_systems import lag_system, model

import unfold as uf
from tests.engine.conftest import arrays_for
from tests.engine.proof.planting import KINDS, divided, planted
from tests.engine.test_planning import MAKERS, batched, with_gradients
from unfold.core.errors import UnfoldError
from unfold.engine.binding import bind
from unfold.engine.made_up import zeros as example
from unfold.engine.numpy.executable import compiled
from unfold.engine.plan.statement import Statement, Sweep, Verb, statements
from unfold.engine.planning import PASSES, plan
from unfold.engine.proof import PlanFault, Proof, engine_fault, prove, prove_graph, proven, proving
from unfold.systems import SYSTEMS


def planned(graph, **sizes):
    return plan(graph, example(graph, sizes))


def recurrence():
    """h[t] = tanh(W h[t-1] + x[t]), from h[0] = a."""
    t = uf.axis("t")
    x, W, h = uf.input("x", 3, over=t), uf.param("W", 3, 3), uf.var("h", 3, over=t)
    h[0] = uf.param("a", 3)
    h[t] = uf.tanh(W @ h[t - 1] + x[t])
    return uf.graph(h=h[t], loss=uf.sum(uf.sum(h[t], over=-1), over=t))


# ---------------------------------------------------------------------- right plans
@pytest.mark.parametrize("name", MAKERS)
def test_the_plans_of_a_system_and_of_its_gradients_are_proven(name):
    graph = MAKERS[name]()
    assert prove_graph(graph)
    assert prove_graph(with_gradients(graph))


@pytest.mark.parametrize("how", ["batch", "lengths"])
@pytest.mark.parametrize("name", SYSTEMS)
def test_the_plans_of_a_batch_are_proven(name, how):
    try:
        graph = batched(SYSTEMS[name](), how)
    except UnfoldError:
        pytest.skip("it has no such batch")
    assert prove_graph(with_gradients(graph), steps=3)


@pytest.mark.parametrize("without", PASSES)
def test_whatever_is_left_out_of_a_plan_it_is_proven(without):
    passes = [name for name in PASSES if name != without]
    assert prove_graph(with_gradients(MAKERS["lstm"]()), passes=passes, steps=3)


@pytest.mark.parametrize("seed", range(10))
def test_random_systems_are_proven(seed):
    made = (lambda: with_gradients(model(seed).graph), lambda: lag_system(random.Random(seed)).graph())
    for make in made:
        try:
            program = planned(make())
        except UnfoldError:
            continue
        assert prove(program).comparisons


def test_sums_in_parts_are_proven():
    program = planned(with_gradients(MAKERS["rnn"]()))
    parts = divided(program)
    assert len(list(statements(parts.program))) >= len(list(statements(program.program))) + 4
    assert prove(parts)


def test_a_proof_says_how_much_it_compared():
    proof = prove(planned(recurrence(), t=3))
    assert isinstance(proof, Proof)
    assert "operands" in str(proof)
    assert proof.entries > proof.comparisons > proof.statements


def test_lengths_for_which_the_equations_read_outside_are_left_out():
    t = uf.axis("t")
    x = uf.input("x", over=t)
    graph = uf.graph(y=x[t.last - 1])
    assert len(prove_graph(graph, steps=4)) == 2


# ---------------------------------------------------------------------- planted faults
HOME = {
    "letters of a product": lambda: with_gradients(MAKERS["attention"]().batch("n")),
    "a piece said to lie there": lambda: with_gradients(MAKERS["lstm"]()),
    "an output not given away": lambda: recurrence(),
}
SOMETIMES = {
    "an entry beside", "a step beside", "a reversed dimension", "swapped statements", "another value",
    "room shared", "a place beside", "left out", "another number", "out of its loop", "outputs",
    "bound of a loop",
}  # fmt: skip


def home_of(kind):
    graph = HOME.get(kind, lambda: with_gradients(MAKERS["rnn"]()))()
    return planned(graph, **{a.name: 3 for a in graph.axes})


@pytest.mark.parametrize("kind", KINDS)
def test_a_planted_fault_is_found_without_numbers(kind):
    program = home_of(kind)
    prove(program)
    faults = [fault_of(wrong) for _, wrong in islice(planted(program, [kind]), 25)]
    assert all(fault.statement is not None for fault in faults if fault is not None)
    assert any(fault is not None for fault in faults)
    if kind not in SOMETIMES:
        assert None not in faults


def fault_of(program):
    try:
        prove(program)
    except PlanFault as fault:
        return fault
    return None


@pytest.mark.parametrize("name", ["rnn", "memory_network"])
def test_what_changes_a_number_is_found(name):
    """A sample of all faults: each that gives another number, in the first call or the second, is found."""
    graph = with_gradients(MAKERS[name]())
    first, second = (arrays_for(graph, seed, t=3) for seed in (1, 2))
    bound = bind(graph, first)
    program = plan(graph, bound)
    given = bound.arrays, bind(graph, second).arrays
    want = numbers(program, given)
    wrong = 0
    for k, (kind, mutant) in enumerate(planted(program)):
        if k % 29:
            continue
        try:
            got = numbers(mutant, given)
        except Exception:
            continue  # NumPy refuses it
        if not all(np.allclose(a, b, equal_nan=True) for a, b in zip(got, want, strict=True)):
            wrong += 1
            assert fault_of(mutant) is not None, f"missed: {kind}"
    assert wrong > 10


def numbers(program, given):
    run = compiled(program)
    with np.errstate(all="ignore"):
        return [np.array(v) for arrays in given for v in run(arrays).values()]


# ---------------------------------------------------------------------- in words
def only(program, kind):
    """The first statement of a kind."""
    return next(s for s, _ in statements(program.program) if s.kind is kind)


def instead(program, old, *new):
    def copy(items):
        out = []
        for item in items:
            if item is old:
                out += new
            else:
                out.append(replace(item, body=copy(item.body)) if isinstance(item, Sweep) else item)
        return out

    return replace(program, program=copy(program.program))


def test_a_read_of_the_wrong_step_is_told_with_both_steps():
    program = planned(recurrence(), t=3)
    s = only(program, Verb.DOT)
    k = next(k for k, v in enumerate(s.operands) if v.steps)
    view = s.operands[k]
    later = replace(view, offset=view.offset + view.steps[0][1])
    wrong = instead(program, s, replace(s, operands=(*s.operands[:k], later, *s.operands[k + 1 :])))
    with pytest.raises(PlanFault, match=r"reads what nobody has written where a.* is due"):
        prove(wrong)
    with pytest.raises(PlanFault) as caught:
        prove(replace_direction(program))
    assert "where h[t-1]" in str(caught.value)
    assert "at t = 3" in str(caught.value)
    assert caught.value.steps
    assert caught.value.number
    assert caught.value.entry == (0,)


def replace_direction(program):
    for item in program.program:
        if isinstance(item, Sweep):
            program = instead(program, item, replace(item, sign=-item.sign))
    return program


def test_what_a_call_leaves_behind_is_seen():
    """A boundary that only the preparation writes is gone where its room is used again."""
    graph = MAKERS["rnn"]()
    program = planned(graph, t=3)
    prepared = [s.outputs[0].buffer for s, _ in statements(program.prepare)]
    assert prepared
    faults = []
    for b in program.places.offsets:
        for p in prepared:
            if b is not p and b.dtype == p.dtype and b.size:
                offsets = {**program.places.offsets, b: program.places.offsets[p]}
                fault = fault_of(replace(program, places=replace(program.places, offsets=offsets)))
                faults.append(str(fault))
    assert any("of the call before" in text for text in faults), faults


def test_the_size_of_the_plan_is_told():
    def broken(graph, bound, *rest):
        return replace_direction(plan(graph, bound, *rest))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(proving, "plan", broken)
        with pytest.raises(PlanFault, match=r"planned for t = 2"):
            prove_graph(recurrence())


def test_check_can_say_that_it_is_the_engine():
    graph = recurrence()
    assert engine_fault(graph) is None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(proving, "plan", lambda *request: replace_direction(plan(*request)))
        said = engine_fault(graph)
    assert said is not None
    assert said.startswith("the engine: statement")
    assert "h[t-1]" in said


def test_a_variable_of_the_environment_has_every_plan_proven(monkeypatch):
    wrong = replace_direction(planned(recurrence(), t=3))
    monkeypatch.delenv("UNFOLD_PROVE", raising=False)
    assert proven(wrong) is wrong
    monkeypatch.setenv("UNFOLD_PROVE", "0")
    assert proven(wrong) is wrong
    monkeypatch.setenv("UNFOLD_PROVE", "1")
    with pytest.raises(PlanFault):
        proven(wrong)


def test_a_kind_of_statement_without_a_rule_is_refused():
    program = planned(recurrence(), t=3)
    s = next(s for s, _ in statements(program.program))
    odd = Statement(Verb.SOFTMAX, s.outputs, s.operands, s.nodes, s.sources, 0)
    with pytest.raises(PlanFault, match="softmax"):
        prove(instead(program, s, odd))
