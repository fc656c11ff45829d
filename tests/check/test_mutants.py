"""The checker checked: every planted fault is found, and the right operation is blamed."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from mutation_cases import Case, cases

import unfold as uf
from unfold import systems
from unfold.check.mutants import ENGINE, EQUIVALENT, RULES, NotApplicable, engine_mutant, mutate
from unfold.graph import Graph


def found(case: Case, change: str) -> tuple[str, int] | None:
    """What is blamed for a mutant, at the first of three points that shows it."""
    return next((blamed for seed in range(3) if (blamed := case.blamed(change, seed))), None)


@pytest.mark.parametrize("change", RULES)
def test_every_wrong_rule_of_every_operation_is_caught_and_blamed(change: str) -> None:
    missed, misblamed, count = [], [], 0
    for case in cases():
        try:
            blamed = found(case, change)
        except NotApplicable:
            continue
        count += 1
        if blamed is None:
            missed.append(case)
        elif blamed != (case.node.op.name, case.argument):
            misblamed.append((str(case), blamed))
    assert [str(c) for c in missed if (c.node.op.name, change) not in EQUIVALENT] == []
    assert misblamed == []
    assert count > 80


def test_every_equivalent_mutant_has_a_reason_and_names_an_operation_and_a_change() -> None:
    names = {case.node.op.name for case in cases()}
    for (operation, change), reason in EQUIVALENT.items():
        assert operation in names
        assert change in RULES
        assert reason


def test_the_right_rules_are_not_blamed() -> None:
    from unfold.check.trial import Trial

    blamed = Counter[str]()
    for case in cases():
        check = Trial(case.graph, "y", case.names, 0, case.arrays(0))
        if any(f is not None and f.kind == "WRONG" for f in map(check.judge, check.rules)):
            blamed[str(case)] += 1
    assert not blamed


def arrays_of(graph: Graph, steps: int = 5, size: int = 3) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    out: dict[str, Any] = {}
    for name, u in {**graph.inputs, **graph.params}.items():
        shape = [steps - i for i, _ in enumerate(u.axes)] + [int(n) for n in u.shape]
        out[name] = rng.integers(0, size, shape) if u.dtype == "int" else rng.normal(size=shape)
    return out


SYSTEMS = {
    "rnn": lambda: systems.rnn(input=3, hidden=3, classes=3),
    "lstm": lambda: systems.lstm(input=3, hidden=3, classes=3),
    "driven": lambda: systems.driven(state=3),
    "grid": lambda: systems.grid(input=3, hidden=3, classes=3),
}


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("change", ["negate", "one in a million", "ct missing", "wrong above", "drop"])
def test_a_wrong_rule_inside_a_system_is_named_with_its_equation(system: str, change: str) -> None:
    graph = SYSTEMS[system]()
    arrays = arrays_of(graph)
    for node in graph.order:
        if node.op.name in ("tanh", "sigmoid", "multiply"):
            report = uf.check(mutate(graph, node, 0, change, above=-0.5), "loss", **arrays)
            assert report.verdict == "WRONG"
            assert (report.operation, report.argument) == (node.op.name, 0)
            assert report.steps
            return


# what each engine fault should be blamed on: an operation, or the sum over readers
EXPECTED = {
    "delay off by one": {"delay"},
    "boundary dropped": {"delay"},
    "wrong direction": {"delay"},
    "detach": {"delay"},
    "sum over t dropped": {"contract", "add", "delay"},
    "missing un-broadcast": {"add", "multiply", "power"},
    "one reader only": {"h[t]", "c[t]", "s[t]", "W", "h"},
}


def system_for(fault: str) -> tuple[Graph, dict[str, Any]]:
    t = uf.axis("t")
    x, W, b, s0 = uf.input("x", 3, over=t), uf.param("W", 3, 3), uf.param("b"), uf.param("s0", 3)
    h = uf.var("h", 3, over=t)
    h[0] = s0
    h[t] = uf.tanh(W @ h[t - 1] + x[t] + b)
    graph = uf.graph(loss=uf.sum(uf.sum(h[t] * h[t]), over=t))
    return graph, arrays_of(graph)


@pytest.mark.parametrize("fault", ENGINE)
def test_every_engine_fault_is_caught_and_placed(fault: str) -> None:
    graph, arrays = system_for(fault)
    assert uf.check(graph, "loss", **arrays).ok
    with engine_mutant(fault):
        graph, arrays = system_for(fault)
        report = uf.check(graph, "loss", **arrays)
    assert report.verdict == "WRONG"
    assert report.operation in EXPECTED[fault], str(report)
