"""Random programs: the library against an interpreter that shares nothing with it (tests/programs).

`python tests/many_programs.py 20000` runs them by the thousand and prints those that fail.
"""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import Expr, Place, Program, Quantity, build, draw, script
from programs.data import NOW, const, make, num, read
from programs.drawing import Impossible
from programs.oracle import Oracle, Outside, slope
from programs.smaller import smaller
from programs.trying import WAYS, Verdict, attempt, kind_of, repro

import unfold as uf

PROGRAMS = 8  # for each way; many_programs.py draws as many as one likes


@st.composite
def programs(draw_from: st.DrawFn) -> Program:
    """Random programs that shrink."""
    rng = draw_from(st.randoms(use_true_random=False))
    try:
        return draw(rng, 2)
    except Impossible:
        return draw(random.Random(0), 1)


@settings(max_examples=60)
@given(programs())
def test_the_definition_gives_what_the_equations_say(program):
    try:
        want = Oracle(program, program.arrays()).outputs()
    except Outside:
        return
    graph = build(program)
    lengths = {a.name: program.sizes[a.name] for a in graph.axes}
    arrays = program.arrays()
    got = graph.compile("reference")(**arrays, **lengths)
    for name, value in want.items():
        assert np.shape(got[name]) == value.shape, script(program)
        if np.isfinite(value).all():
            np.testing.assert_allclose(got[name], value, 1e-7, 1e-7, err_msg=script(program))


@pytest.mark.parametrize("way", [w for w in WAYS if w != "numba"])
def test_programs_are_right_in_every_way(way):
    for number in range(PROGRAMS):
        try:
            program = draw(random.Random(number))
        except Impossible:
            continue
        verdict = attempt(program, way)
        assert verdict.what != "wrong", repro(program, verdict)


# ---------------------------------------------------------------------- the programs and their oracle
def rnn() -> Program:
    """h[t] = tanh(W h[t-1] + x[t]) with h[0] = b; the sum of all of them."""
    x = Quantity("x", "input", (2,), ("t",), reach=((0, 0),))
    w, b = Quantity("W", "param", (2, 2)), Quantity("b", "param", (2,))
    h = Quantity("h", "var", (2,), ("t",), reach=((1, 0),))
    body = make("tanh", make("add", make("matmul", read(w), read(h, [Place("lag", 1)])), read(x, [Place()])))
    h = Quantity("h", "var", (2,), ("t",), body=body, bounds=(((Place("at", 0),), read(b)),), reach=h.reach)
    loss = make("sum", make("sum", read(h, [Place()]), static=(-1,)), static=("t",))
    quantities = {q.name: q for q in (x, w, b, h)}
    return Program({"t": 3}, quantities, {"loss": loss, "last": read(h, [Place("last")])})


def test_the_oracle_is_a_loop_over_the_steps():
    program = rnn()
    a = program.arrays()
    state, total = a["b"], 0.0
    for row in a["x"]:
        state = np.tanh(a["W"] @ state + row)
        total += state.sum()
    got = Oracle(program, a).outputs()
    np.testing.assert_allclose(got["loss"], total)
    np.testing.assert_allclose(got["last"], state)


def test_the_oracles_slope_is_the_limit_of_differences():
    program = rnn()
    a = program.arrays()
    u = {"W": np.ones((2, 2))}
    up, down = ({**a, "W": a["W"] + s * 1e-6 * u["W"]} for s in (1, -1))
    difference = (Oracle(program, up).output("loss") - Oracle(program, down).output("loss")) / 2e-6
    np.testing.assert_allclose(slope(program, a, u), difference, 1e-8)


def test_a_program_is_written_as_its_equations():
    text = script(rnn())
    assert "h[0] = b\n" in text
    assert "h[t] = uf.tanh(((W @ h[t-1]) + x[t]))\n" in text
    assert "g = uf.graph(loss=uf.sum(uf.sum(h[t], over=-1), over=t), last=h[t.last])\n" in text


def test_a_value_used_twice_is_written_once():
    x = Quantity("x", "param", (2,))
    e = make("tanh", read(x))
    program = Program({}, {"x": x}, {"loss": make("dot", e, e)})
    assert "s0 = uf.tanh(x)\n" in script(program)
    assert "loss=uf.dot(s0, s0)" in script(program)


def test_what_no_read_meets_is_neither_written_nor_asked_for():
    x = Quantity("x", "input", (), ("t",), bounds=(((Place("at", 0),), num(2.0)),), reach=((1, 0),))
    y = Quantity("y", "input", (), ("t",), reach=((0, 0),))
    loss = make("add", read(x, [Place("at", 0)]), make("sum", read(y, [Place()]), static=("t",)))
    program = Program({"t": 2}, {"x": x, "y": y}, {"loss": loss})
    assert [q.name for q in program.leaves] == ["y"]
    assert build(program)(**program.arrays()).loss == pytest.approx(2 + program.arrays()["y"].sum())


def test_a_read_that_nothing_defines_is_outside():
    v = Quantity("v", "var", (), ("t",), body=num(1.0), reach=((0, 0),))
    program = Program({"t": 1}, {"v": v}, {"loss": read(v, [Place("at", 3)])})
    with pytest.raises(Outside):
        Oracle(program, {}).output("loss")


def test_a_wrong_value_is_called_wrong(monkeypatch):
    monkeypatch.setattr("programs.meaning.FUNCTIONS", {})
    right = attempt(rnn(), "forward")
    assert right == Verdict("forward", "right")
    monkeypatch.setattr(Oracle, "outputs", lambda self: {"loss": np.array(1.0), "last": np.zeros(2)})
    wrong = attempt(rnn(), "forward")
    assert wrong.what == "wrong"
    assert "output loss: got" in wrong.said


def test_a_failing_program_is_made_smaller():
    program = draw(random.Random(3))

    def fails(p: Program) -> bool:
        return any(e.op == "num" for e in walk_all(p))

    small = smaller(program, fails, 5.0)
    assert len(script(small)) < len(script(program)) / 2
    assert fails(small)


def walk_all(program: Program) -> list[Expr]:
    from programs.data import walk, written_of

    return list(walk([*program.outputs.values(), *(e for q in program.used() for e in written_of(q))]))


def test_failures_that_say_the_same_count_as_one_kind():
    assert kind_of("output v3: got [1.5], right is [2.0]") == kind_of("output v12: got [0.5], right is [3.0]")


def test_a_script_stands_alone():
    names: dict[str, object] = {}
    exec(repro(rnn(), Verdict("forward", "wrong", "an example")).replace("print(", "str("), names)
    assert isinstance(names["g"], uf.Graph)


def test_constants_and_boundaries_are_what_they_were_written_as():
    c = const([[1.0, 2.0]])
    v = Quantity("v", "var", (1, 2), ("t",), body=c, bounds=(((Place("last", 1),), num(3)),), reach=((0, 1),))
    program = Program({"t": 2}, {"v": v}, {"loss": num(0.0), "v": read(v, [Place("lag", -1)])})
    assert Oracle(program, {}).output("v").tolist() == [[[1.0, 2.0]], [[3.0, 3.0]]]
    assert v.bounds[0][0] != (NOW,)
