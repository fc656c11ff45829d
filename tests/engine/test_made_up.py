"""Arrays made up for a graph: random ones for checks, zeros for plans, of the same sizes rules."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unfold as uf
from unfold.core.axis import Axis
from unfold.engine import made_up
from unfold.engine.binding import bind


def test_random_arrays_and_zeros_fit_the_graph_they_are_made_for() -> None:
    for make in (uf.systems.rnn, uf.systems.lstm, uf.systems.gru):
        graph = make()
        arrays = made_up.arrays(graph)
        bound, zeros = bind(graph, arrays), made_up.zeros(graph, {})
        assert bound.arrays.keys() == zeros.arrays.keys()
        assert all(zeros.arrays[name].dtype == a.dtype for name, a in bound.arrays.items())
        assert not any(a.any() for a in zeros.arrays.values())


def test_sizes_left_open_all_differ() -> None:
    bound = bind(graph := uf.systems.rnn(), made_up.arrays(graph, hidden=3))
    sizes = [*bound.sizes.values(), *bound.extents.values()]
    assert bound.sizes["hidden"] == 3
    assert len(set(sizes)) == len(sizes)


def test_zeros_have_six_steps_unless_told_otherwise() -> None:
    graph = uf.systems.rnn()
    (axis,) = graph.axes
    assert made_up.zeros(graph, {}).extents[axis] == 6
    assert made_up.zeros(graph, {"t": 50}).extents[axis] == 50


def test_an_axis_as_long_as_a_named_dimension_gets_its_size() -> None:
    t = Axis("t", "n")
    graph = uf.graph(y=uf.input("x", over=t)[t] + uf.param("b", "n")[0])
    assert made_up.zeros(graph, {"n": 4}).arrays["x"].shape == (4,)
    assert made_up.arrays(graph, n=4)["x"].shape == (4,)


def test_the_sizes_of_given_arrays_are_kept() -> None:
    made = made_up.arrays(uf.systems.rnn(), given={"W": np.zeros((7, 7))})
    assert made["U"].shape[0] == 7


@pytest.mark.parametrize("make", [lambda g: made_up.arrays(g, m=3), lambda g: made_up.zeros(g, {"m": 3})])
def test_a_size_that_nothing_has_is_refused(make: Any) -> None:
    with pytest.raises(uf.BindingError, match=r"no axis or dimension 'm'; this graph has t, "):
        make(uf.systems.rnn())
