"""What variables are for: the table of roles row by row, and what it says of systems."""

from __future__ import annotations

import itertools
from dataclasses import fields

import pytest

import unfold as uf
from viz.model.roles import REVISED, ROLES, Evidence, Readers, counterpart, revised, role
from viz.model.variable_level import model

YES_NO = [f.name for f in fields(Evidence) if f.name != "derives"]
EVERY = [
    Evidence(derives=derives, **dict(zip(YES_NO, values, strict=True)))
    for derives in ("", "adjoint", "tangent")
    for values in itertools.product((False, True), repeat=len(YES_NO))
]


def roles(graph):
    return {k: v.role for k, v in model(graph).variables.items()}


def test_every_row_of_the_table_is_the_first_that_fits_somewhere():
    first = {next(n for n, (fits, _) in enumerate(ROLES) if fits(v)) for v in EVERY}
    assert first == set(range(len(ROLES)))
    assert ROLES[-1][0](Evidence())
    names = [name for _, name in ROLES]
    assert len(set(names)) == len(names)


def test_what_is_given_is_an_input_whatever_else_is_true_of_it():
    assert {role(v) for v in EVERY if v.given} == {"input"}


def test_a_derivative_is_called_so_before_it_is_called_a_state():
    assert {role(v) for v in EVERY if not v.given and v.derives == "adjoint"} == {"adjoint"}
    assert {role(v) for v in EVERY if not v.given and v.derives == "tangent"} == {"tangent"}


def test_a_loop_that_runs_back_only_is_reversed():
    assert role(Evidence(loops=True, back=True)) == "reverse"
    assert role(Evidence(loops=True, back=True, forth=True)) == "state"
    assert role(Evidence(loops=True, forth=True)) == "state"


def test_a_loss_is_a_number_that_nothing_reads():
    for v in EVERY:
        if role(v) == "loss":
            assert v.number
            assert not v.read
            assert v.summed or v.whole
            assert not v.loops
    assert role(Evidence(number=True, summed=True)) == "loss"
    assert role(Evidence(number=True, summed=True, read=True)) == "hidden"
    assert role(Evidence(number=True, answer=True)) == "output"


def test_a_role_is_revised_by_who_reads_the_variable():
    assert revised(Readers("input", losses=True)) == "target"
    assert revised(Readers("input")) == "input"
    assert revised(Readers("hidden", losses=True, fed=True)) == "output"
    assert revised(Readers("hidden", losses=True)) == "hidden"
    assert {revised(Readers(r, losses=True, fed=True)) for r in ("state", "loss")} == {"state", "loss"}
    assert len(REVISED) == 2


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("rnn", {"x": "input", "y": "target", "h": "state", "o": "output"}),
        ("bidirectional", {"x": "input", "f": "state", "g": "reverse"}),
        ("lstm", {"x": "input", "c": "state", "h": "state"}),
    ],
)
def test_the_roles_in_a_ready_made_system(name, expected):
    found = roles(uf.systems.all()[name]())
    assert {k: found[k] for k in expected} == expected


def test_adjoints_and_tangents_are_those_of_what_is_there():
    graph = uf.systems.rnn()
    assert {k for k, r in roles(graph.grad("loss")).items() if r == "adjoint"} >= {"dh", "do"}
    assert {k for k, r in roles(graph.jvp("loss")).items() if r == "tangent"} >= {"h_dot"}


def test_a_name_that_only_looks_like_an_adjoint_is_none():
    t = uf.axis("t")
    x, dose = uf.input("x", over=t), uf.var("dose", over=t)
    dose[0] = 0.0
    dose[t] = dose[t - 1] + x[t]
    assert roles(uf.graph(total=dose[t.last]))["dose"] == "state"


def test_the_variable_of_an_adjoint_or_a_tangent_goes_by_its_name():
    known = {"h", "W"}
    assert counterpart("dh", known) == "h"
    assert counterpart("dh'", known) == "h"
    assert counterpart("h_dot", known) == "h"
    assert counterpart("h_dot'", known) == "h"
    assert counterpart("h", known) == ""
    assert counterpart("dose", known) == ""


def test_a_variable_with_a_prime_has_its_own_adjoint():
    assert counterpart("dh'", {"h", "h'"}) == "h'"


def test_a_velocity_is_no_adjoint_whatever_it_is_called():
    t = uf.axis("t")
    x, dx, x_dot = uf.var("x", over=t), uf.var("dx", over=t), uf.var("x_dot", over=t)
    x[0], dx[0], x_dot[0] = 1.0, 0.0, 0.0
    dx[t] = -x[t - 1]
    x_dot[t] = 2.0 * x[t - 1]
    x[t] = x[t - 1] + 0.1 * dx[t - 1] + 0.1 * x_dot[t - 1]
    graph = uf.graph(end=x[t.last])
    found = model(graph)
    assert {found.variables[k].role for k in ("x", "dx", "x_dot")} == {"state"}
    read = {(a.source, a.target) for a in found.arrows}
    assert read >= {("x", "dx"), ("x", "x_dot"), ("dx", "x"), ("x_dot", "x")}
    assert {k for k, r in roles(graph.grad("end", [])).items() if r == "adjoint"} == set()


def test_an_input_named_like_a_tangent_is_drawn_and_a_tangent_given_for_a_parameter_is_not():
    W, W_dot, x = uf.param("W"), uf.input("W_dot"), uf.input("x")
    assert set(roles(uf.graph(y=uf.tanh(W * x + W_dot)))) >= {"x", "W_dot"}
    tangents = uf.graph(y=uf.tanh(W * x)).jvp("y")
    assert "W_dot" in tangents.inputs
    assert "W_dot" not in roles(tangents)


def test_roles_survive_json_and_unfolding():
    graph = uf.systems.rnn().jvp("loss")
    again = uf.Graph.from_json(graph.to_json())
    assert roles(again) == roles(graph)
    assert "W_dot" not in roles(again)
    small = {a.name: 2 for a in graph.axes}
    assert roles(graph.unfold(**small)) == roles(again.unfold(**small))
