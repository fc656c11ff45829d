"""Messages about names, axes and outputs: what, where, what to do."""

import re

import numpy as np
import pytest

import unfold as uf
from tests.core.test_errors import said
from unfold.core import errors
from unfold.core.errors import BadName, DefinitionError, UnfoldError, UnknownName

LINE = r"\S*?test_errors_names\.py:\d+"


@pytest.mark.parametrize("name", ["", "  ", "a\n", "a\x00b", "\x7f", "a\x9bb", "\ud800", 3, None])
def test_a_name_is_text_without_control_characters(name):
    for make in (uf.param, uf.input, uf.var, uf.axis):
        with pytest.raises(BadName, match="a name"):
            make(name)


@pytest.mark.parametrize("name", ["h", "ħ", "名前", "a b", "<script>", "h'", "$x$", "a.b", "e\u0301", "🎉"])
def test_any_other_text_is_a_name(t, name):
    h = uf.var(name, over=t)
    h[t] = uf.step(t) * 1.0
    assert uf.graph(**{name: h[t]})(t=2)[name].tolist() == [1, 2]


def test_two_things_of_one_name_are_refused_with_both_places():
    with pytest.raises(BadName) as error:
        uf.graph(y=uf.param("W") + uf.param("W"))
    said(error, "two different things are named 'W'", rf"declared at {LINE}", rf"at {LINE}", "rename")


def test_a_variable_cannot_share_the_name_of_an_input(t):
    x, other = uf.input("x", over=t), uf.var("x", over=t)
    other[t] = x[t] * 2
    with pytest.raises(BadName, match="two different things are named 'x'"):
        uf.graph(y=other[t])


def test_a_name_that_reads_like_a_step_of_another_is_refused(t):
    x = uf.input("x", over=t)
    with pytest.raises(BadName, match=re.escape("'x[1]' reads like a step of 'x'")):
        uf.graph(y=(x[t] * 2).named("x[1]"))


def test_two_axes_of_one_name_and_two_sizes_are_refused(t):
    x, y = uf.input("x", over=t), uf.input("y", over=uf.axis("t", size=3))
    with pytest.raises(BadName, match="two axes are named 't', of sizes"):
        uf.graph(z=uf.sum(x[t], over=t) + y[3])


@pytest.mark.parametrize("size", [-1, 2.5, "hidden", True])
def test_the_size_of_an_axis_is_a_number_of_steps(size):
    with pytest.raises(DefinitionError, match="the size of axis 't' is a number of steps, not"):
        uf.axis("t", size=size)


def test_over_takes_axes_once_each(t):
    with pytest.raises(DefinitionError, match=re.escape("an axis is made by uf.axis(name)")):
        uf.var("h", over="t")
    with pytest.raises(BadName, match="an axis twice"):
        uf.var("h", over=(t, t))


def test_a_graph_needs_an_output():
    with pytest.raises(DefinitionError, match="a graph needs an output"):
        uf.graph()


# ---------------------------------------------------------------------- other verbs
def test_unfolding_names_the_axes_there_are(t):
    g = uf.graph(y=uf.input("x", over=t)[t])
    with pytest.raises(UnfoldError, match="no axis 's'; this graph has t"):
        g.unfold(s=3)
    for steps in (-1, 2.5, True, "3"):
        with pytest.raises(UnfoldError, match="the number of steps is an integer, 0 or more"):
            g.unfold(t=steps)


def test_unfolding_a_fixed_axis_otherwise_is_refused():
    t = uf.axis("t", size=3)
    with pytest.raises(UnfoldError, match="axis t has a fixed size of 3"):
        uf.graph(y=uf.input("x", over=t)[t]).unfold(t=4)


def test_an_unknown_output_is_told_with_those_there_are(t):
    g = uf.graph(y=uf.input("x", over=t)[t])
    with pytest.raises(UnknownName, match="no output 'loss'; this graph has y"):
        g.grad("loss")


def test_every_error_is_an_unfold_error_and_a_value_error_with_a_docstring():
    kinds = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, Exception)]
    assert len(kinds) > 12
    for kind in kinds:
        assert issubclass(kind, UnfoldError)
        assert issubclass(kind, ValueError)
        assert kind.__doc__


@pytest.mark.parametrize("backend", ["numpy", "reference"])
@pytest.mark.parametrize("bad", [5, -6, 99])
def test_an_index_that_chooses_nothing_is_named_with_what_it_chooses_from(backend, bad, t):
    x, y = uf.input("x", over=t, dtype=int), uf.input("y", over=t, dtype=int)
    table = uf.param("E", "words", "classes")
    loss = uf.cross_entropy(uf.embedding(table, x[t]), y[t])
    run = uf.graph(loss=uf.sum(loss, over=t)).compile(backend=backend)
    given = {"E": np.zeros((3, 5)), "x": np.array([0, 1, 2]), "y": np.array([0, 4, 1])}
    for _ in range(2):  # the second call checks less
        run(**given)
        with pytest.raises(uf.BadIndex, match=rf"y holds {bad}, but cross_entropy\(.*from 5 classes: 0 to 4"):
            run(**given | {"y": np.array([0, bad, 1])})
        with pytest.raises(IndexError, match=rf"x holds {bad}, but .* chooses from 3 words: 0 to 2"):
            run(**given | {"x": np.array([0, bad, 1])})
