"""Which picture a graph gets: the table row by row, and what is drawn in the end."""

from __future__ import annotations

import itertools

import pytest

import unfold as uf
import viz
from viz.layouts.choosing import FORMS, Form, Subject, form

EVERY = [
    Subject(operations, axes, *rest)
    for operations in (False, True)
    for axes in (0, 1, 2)
    for rest in itertools.product((False, True), repeat=3)
]


def test_every_row_of_the_table_is_the_first_that_fits_somewhere():
    first = {next(n for n, (fits, _) in enumerate(FORMS) if fits(s)) for s in EVERY}
    assert first == set(range(len(FORMS)))


def test_operations_are_never_drawn_as_variables_nor_variables_as_a_step():
    assert {form(s) for s in EVERY if s.operations} == {Form.LAYERED, Form.STEP, Form.STEPS}
    assert {form(s) for s in EVERY if not s.operations} == {Form.CYCLIC, Form.UNFOLDED, Form.LAYERED}


def test_a_step_is_repeated_along_one_axis_only():
    for s in EVERY:
        if form(s) in (Form.STEP, Form.STEPS):
            assert s.axes < 2
            assert not s.bare
            assert s.unfolded == (form(s) is Form.STEPS)


def test_what_is_unfolded_along_some_axes_only_is_drawn_in_layers():
    assert form(Subject(axes=2, unfolded=True, partly=True)) is Form.LAYERED
    assert form(Subject(axes=2, unfolded=True)) is Form.UNFOLDED
    assert form(Subject(axes=2, partly=True)) is Form.CYCLIC


@pytest.mark.parametrize(
    ("level", "steps", "title"),
    [
        ("variables", {}, "Cyclic graph"),
        ("variables", {"i": 3, "j": 2}, "Unfolded graph, i = 1..3, j = 1..2"),
        ("variables", {"i": 3}, "Computational graph"),
        ("operations", {}, "Computational graph"),
    ],
)
def test_a_graph_over_two_axes(level, steps, title):
    graph = uf.systems.encoder_decoder()
    assert viz.draw(graph.unfold(**steps) if steps else graph, level).title == title


@pytest.mark.parametrize(
    ("steps", "title"), [({}, "The operations of one step"), ({"t": 3}, "The operations of 3 steps")]
)
def test_the_operations_of_a_graph_over_one_axis(steps, title):
    graph = uf.systems.rnn()
    assert viz.draw(graph.unfold(**steps) if steps else graph, "operations").title == title
