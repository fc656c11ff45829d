"""Where loops go over pieces of vectors, the axis of a batch is innermost; values stay what they are."""

from __future__ import annotations

import pytest

import unfold as uf
from tests.engine.conftest import agrees, arrays_for
from unfold.engine.plan.statement import statements
from unfold.engine.planning import PASSES
from unfold.engine.proof import prove
from unfold.engine.run import _joint

WITHOUT = tuple(p for p in PASSES if p != "turn")


def planned(name, n, passes=PASSES):
    graph = _joint(uf.systems.SYSTEMS[name]().batch("n"), "loss", None)
    return agrees(graph, arrays_for(graph, t=5, n=n), passes)


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_gates_of_a_batch_are_blocks(name):
    program = planned(name, 3)
    prove(program)
    assert program.keeping.turned
    inside = [s for s, nest in statements(program.program) if nest and s.kind.value == "ufunc"]
    assert all(v.packed for s in inside for v in s.outputs)
    plain = planned(name, 3, WITHOUT)
    assert not all(v.packed for s, nest in statements(plain.program) if nest for v in s.operands)


@pytest.mark.parametrize(("name", "n"), [("rnn", 3), ("lstm", 1)])
def test_without_pieces_or_without_a_batch_nothing_is_turned(name, n):
    assert not planned(name, n).keeping.turned


def test_what_the_caller_gets_has_its_entries_in_order():
    graph = uf.systems.lstm().batch("n")
    program = agrees(graph, arrays_for(graph, t=5, n=3))
    assert not program.keeping.turned & program.keeping.given
    assert all(v.packed for v in program.results.values())


def test_what_several_products_read_is_copied_once():
    copies = [
        s.operands[0].address for s, _ in statements(planned("gru", 3).program) if s.kind.value == "keep"
    ]
    assert len(copies) == len(set(copies))
