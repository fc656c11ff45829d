"""Names and steps: what a name stands for is known by structure, not by its text."""

import numpy as np
import pytest

import unfold as uf
from unfold.analysis.naming import steps_at
from unfold.core.axis import Axis
from unfold.core.errors import UnknownName
from unfold.core.key import Key, NewNames, key_of, steps_among, unused


def two_that_look_like_steps():
    a, b = uf.param("W[1]", 2), uf.param("W[2]", 3)
    return uf.graph(loss=uf.sum(uf.sin(a)) + uf.sum(b * b))


ARRAYS = {"W[1]": np.ones(2), "W[2]": np.ones(3)}


def counting():
    t = uf.axis("t")
    x, s = uf.input("x", over=t), uf.var("s", over=t)
    s[0] = 0
    s[t] = s[t - 1] + x[t] * x[t]
    return uf.graph(loss=s[t.last], s=s[t], twice=2 * s[t])


@pytest.mark.parametrize(
    ("text", "label", "steps"),
    [
        ("h[3]", "h", (3,)),
        ("h[3, -1]", "h", (3, -1)),
        ("h[3,1]", "h", (3, 1)),
        ("W[1][2]", "W[1]", (2,)),
        ("h", "h", ()),
        ("h[t]", "h[t]", ()),
        ("h[]", "h[]", ()),
        ("[3]", "[3]", ()),
        ("h[3", "h[3", ()),
    ],
)
def test_a_name_is_parsed_into_its_label_and_steps(text, label, steps):
    assert Key(text).parsed == Key(label, steps)


def test_a_key_that_has_steps_is_not_parsed_again():
    assert Key("W[1]", (2,)).parsed == Key("W[1]", (2,))
    assert str(Key("W[1]", (2,))) == "W[1][2]"


def test_what_is_asked_is_not_taken_apart():
    assert Key.asked("h[3]") == Key("h[3]")
    assert Key.asked(("h", 3)) == Key("h", (3,))
    assert Key.asked("h") == Key.asked(("h",)) == Key("h")


def test_an_unfolded_leaf_knows_its_step_and_a_name_with_brackets_has_none():
    dag = counting().unfold(t=2)
    assert key_of(dag.inputs["x[2]"]) == Key("x", (2,))
    assert key_of(uf.param("W[2]")) == Key("W[2]")


def test_outputs_of_an_unfolded_graph_know_their_steps():
    dag = counting().unfold(t=2)
    assert dag.key("twice[2]") == Key("twice", (2,))
    assert dag.key("loss") == Key("loss")
    assert list(dag.steps) == ["s[1]", "s[2]", "twice[1]", "twice[2]"]
    assert two_that_look_like_steps().unfold().key("loss") == Key("loss")


def test_gradients_of_leaves_are_steps_where_the_leaves_are():
    dag = counting().unfold(t=2)
    sources = {"dx[1]": dag.inputs["x[1]"], "dW[1]": uf.param("W[1]"), "other": dag.inputs["x[2]"]}
    assert steps_among(sources) == {"dx[1]": Key("dx", (1,))}


def test_gradients_come_back_under_exactly_the_names_of_the_parameters():
    graph = two_that_look_like_steps()
    gradients = graph.value_and_grad("loss")(**ARRAYS)[1]
    assert list(gradients) == ["W[1]", "W[2]"]
    np.testing.assert_allclose(gradients["W[1]"], np.cos(1) * np.ones(2))
    np.testing.assert_allclose(gradients["W[2]"], 2 * np.ones(3))
    assert list(graph.grad("loss")(**ARRAYS)) == ["W[1]", "W[2]"]
    assert list(graph.hvp("loss")(**ARRAYS, **{k + "_dot": v for k, v in ARRAYS.items()})) == ["W[1]", "W[2]"]
    assert list(graph.jacobian("loss")(**ARRAYS)) == ["W[1]", "W[2]"]
    assert list(uf.rtrl(graph, "loss")(**ARRAYS)) == ["W[1]", "W[2]"]


def test_names_that_look_like_steps_are_found_everywhere():
    graph = two_that_look_like_steps()
    assert graph["W[2]"].shape == (3,)
    assert graph.run(**ARRAYS)["W[2]"].shape == (3,)
    assert graph.run(**ARRAYS).adjoint["W[2]"].shape == (3,)
    assert list(graph.grad("loss", "W[2]").outputs) == ["W[2]"]
    again = uf.Graph.from_json(graph.grad("loss").to_json())
    assert list(again(**ARRAYS)) == ["W[1]", "W[2]"]
    assert "W[1] (2), W[2] (3)" in str(graph)


def test_outputs_named_like_steps_stay_apart():
    x = uf.input("x")
    graph = uf.graph(**{"o[1]": x + 1, "o[2]": x * 2})
    assert graph(x=3.0) == {"o[1]": 4.0, "o[2]": 6.0}


def test_the_outputs_and_gradients_of_an_unfolded_graph_come_back_as_arrays():
    dag, x = counting().unfold(t=3), np.array([1.0, 2.0, 3.0])
    outputs = dag(x=x)
    assert outputs["twice"].tolist() == [2, 10, 28]
    assert dag.grad("loss", "x")(x=x)["x"].tolist() == [2, 4, 6]
    value, gradients = dag.value_and_grad("loss", ["x"])(x=x)
    assert value == 14
    assert list(gradients) == ["x"]
    assert gradients["x"].tolist() == [2, 4, 6]
    assert dag.run(x=x)["s"].tolist() == [1, 5, 14]
    assert uf.Graph.from_json(dag.to_json())(x=x)["twice"].tolist() == [2, 10, 28]
    assert dag.select("twice[2]")(x=x)["twice"].tolist() == [0, 10]


def test_a_step_may_be_asked_for_by_its_text():
    dag, x = counting().unfold(t=3), np.array([1.0, 2.0, 3.0])
    assert dag["s[2]"].node is dag["s", 2].node
    assert dag["twice[2]"].equation == "twice[2] = 2 * s[2]"
    with pytest.raises(UnknownName, match=r"no node s\[4\]: s stands for"):
        dag["s[4]"]
    assert dag.jacobian(("s", 3), ("s", 1))(x=x)["s_1"] == 1


def test_places_stand_for_steps_within_their_axes():
    t, j = Axis("t"), Axis("j")
    assert steps_at((t - 0, j - 0), (2, 3), {t: 4, j: 4}) == {t: 2, j: 3}
    assert steps_at((t - 0,), (5,), {t: 4}) is None
    assert steps_at((t - 0,), (t.last,), {t: 4}) == {t: 4}
    assert steps_at((t - 0,), ("one",), {t: 4}) is None
    assert steps_at((t.first - 1,), (0,), {t: 4}) == {}
    assert steps_at((t.last + 1,), (5,), {t: 4}) == {}
    assert steps_at((t.last + 1,), (4,), {t: 4}) is None
    assert steps_at((t.first - 1,), (0,), {}) == {}
    assert steps_at((t - 0,), (t,), {}) == {}
    assert steps_at((t - 0,), (1, 2), {t: 4}) is None
    assert steps_at((3,), (3,), {}) == {}


def test_new_names_are_one_for_each_label_and_none_that_is_taken():
    new = NewNames({"dh", "dh'"})
    assert [new("h", "dh"), new("g", "dg"), new("h", "dh"), new("k", "dg")] == ["dh''", "dg", "dh''", "dg'"]
    assert unused("a", {"a", "a'"}) == "a''"


def test_tangents_are_found_whatever_they_had_to_be_called():
    x = uf.input("x")
    graph = uf.graph(y=x**2, y_dot=3 * x)
    assert list(graph.jvp(wrt="x").outputs) == ["y", "y_dot'", "y_dot", "y_dot_dot"]
    assert graph.jvp(wrt="x")(x=2.0, x_dot=1.0) == {"y": 4, "y_dot'": 4, "y_dot": 6, "y_dot_dot": 3}
    assert graph.hvp("y", "x")(x=2.0, x_dot=1.0) == {"x": 2}


def test_the_steps_of_outputs_are_found_when_somebody_asks():
    dag = counting().unfold(t=1000)
    assert "keys_by_name" not in vars(dag.outputs)
    assert dag.key("s[1000]") == Key("s", (1000,))
