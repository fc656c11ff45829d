"""What a gradient can be asked of and in: names, leaves nobody reads, complex numbers, refusals."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pytest

import unfold as uf
from unfold.core.errors import NotDifferentiable, UnknownName
from unfold.core.leaves import Symbol
from unfold.core.node import Op
from unfold.graph import Graph
from unfold.transform.adjoint import adjoints, grad, select


def only(graph: Graph, output: str) -> Graph:
    """One output, in a graph that takes the same arrays."""
    return Graph({"q": graph.outputs[output]}, graph.definitions, graph.spare)


def test_a_name_of_several_letters_may_stand_alone():
    weights, bias = uf.param("weights"), uf.param("bias")
    graph = uf.graph(loss=weights * bias)
    assert {n: float(v) for n, v in graph.grad("loss", "weights")(weights=2.0, bias=3.0).items()} == {
        "weights": 3
    }


def test_a_gradient_in_what_is_no_longer_read_is_zero_of_its_shape(t):
    x, a, b = uf.input("x", 2, over=t), uf.param("a"), uf.param("b", 3)
    first = uf.graph(loss=uf.sum(x[1]) * a * a + uf.sum(b)).grad("loss", ["a", "b"])
    second = only(first, "b")
    assert not second.params
    with pytest.raises(NotDifferentiable):
        second.grad("q", "b")
    twice = only(first, "a").grad("q", ["a", "b", "x"])
    got = twice(x=np.ones((4, 2)), a=3.0, b=np.ones(3))
    assert got["a"] == 2 * 2
    assert got["b"].tolist() == [0, 0, 0]
    assert got["x"].tolist() == [[6, 6], [0, 0], [0, 0], [0, 0]]
    assert twice.outputs["x"].axes == (t,)
    assert twice.outputs["b"].axes == ()


def test_an_unfolded_input_has_a_gradient_at_every_step_read_or_not(t):
    x, a = uf.input("x", over=t), uf.param("a")
    unfolded = uf.graph(loss=a * x[2]).unfold(t=3)
    assert set(unfolded.inputs) == {"x[2]"}
    gradient = unfolded.grad("loss", "x")
    assert list(gradient.outputs) == ["x[1]", "x[2]", "x[3]"]
    assert gradient(x=[1.0, 2.0, 3.0], a=5.0)["x"].tolist() == [0, 5, 0]
    assert list(select(unfolded, "x[2]")) == ["x[2]"]


def test_an_input_unfolded_along_one_of_two_axes_keeps_the_other():
    i, j = uf.axis("i"), uf.axis("j")
    x, a = uf.input("x", over=(i, j)), uf.param("a")
    graph = uf.graph(loss=a * uf.sum(x[2, j], over=j))
    half = graph.unfold(i=3).grad("loss", "x")
    assert [u.axes for u in half.outputs.values()] == [(j,)] * 3
    got = half(x=np.ones((3, 2)), a=5.0)
    assert [got[f"x[{k}, j]"].tolist() for k in (1, 2, 3)] == [[0, 0], [5, 5], [0, 0]]
    assert graph.grad("loss", "x")(x=np.ones((3, 2)), a=5.0)["x"].tolist() == [[0, 0], [5, 5], [0, 0]]


def test_by_default_data_has_no_gradient_and_every_floating_parameter_has():
    a, z, k = uf.param("a"), uf.param("z", dtype=complex), uf.param("k", dtype=int)
    graph = uf.graph(y=uf.real(a * z) * k)
    assert list(graph.grad("y").outputs) == ["a", "z"]
    assert list(graph.grad("y", ["z"]).outputs) == ["z"]


def test_a_complex_output_has_its_complex_derivative():
    z, w = uf.param("z", dtype=complex), 1.0 + 2.0j
    graph = uf.graph(y=uf.exp(z) * z)
    np.testing.assert_allclose(graph.grad("y", "z")(z=w)["z"], np.exp(w) * (w + 1), rtol=1e-12)


def test_a_real_number_times_a_complex_one_has_the_real_part_for_gradient():
    a = uf.param("a", 2)
    graph = uf.graph(y=uf.sum(uf.exp(1j * a)))
    points = np.array([0.3, -1.0])
    np.testing.assert_allclose(graph.grad("y")(a=points)["a"], (1j * np.exp(1j * points)).real, rtol=1e-12)


REFUSED = {
    "over an axis": ("o", "it is float () over t; give the graph an output such as uf.sum(..., over=t)"),
    "over two axes": ("g", "it is float () over t, s; give the graph an output such as uf.sum(..., over=t)"),
    "a vector": ("v", "it is float (3); give the graph an output such as uf.sum(..., over=t)"),
    "an integer": ("k", "it is int (); give the graph an output such as uf.sum(..., over=t)"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_output_that_is_no_single_number_is_refused_with_what_it_is(case, t):
    of, message = REFUSED[case]
    s = uf.axis("s")
    x, y = uf.input("x", over=t), uf.input("y", over=s)
    graph = uf.graph(o=x[t], g=x[t] * y[s], v=uf.param("v", 3), k=uf.input("k", dtype=int), a=uf.param("a"))
    with pytest.raises(NotDifferentiable) as error:
        grad(graph, of)
    assert error.value.message.startswith(f"the gradient of {of!r} needs one real number, {message}")


def test_an_unknown_name_is_answered_with_the_known_ones(t):
    graph = uf.graph(loss=uf.param("a") * uf.param("b") * uf.sum(uf.input("x", over=t)[t], over=t))
    text = "wrt: no parameter or input ''; this graph has a, b, x"
    with pytest.raises(UnknownName, match=re.escape(text)):
        graph.grad("loss", ["a", ""])


def test_an_adjoint_symbol_is_called_like_its_variable_and_lies_over_its_axes(t):
    x, a, ds = uf.input("x", over=t), uf.param("a"), uf.param("ds")
    h, s = uf.var("h", over=t), uf.var("s", over=t)
    h[0] = s[0] = 0
    h[t] = uf.tanh(a * h[t - 1] + x[t])
    s[t] = s[t - 1] + h[t] * ds
    graph = uf.graph(loss=s[t.last])
    symbols = graph.grad("loss", ["a", "x", "ds"]).symbols.values()
    roles = {u.op.label: (u.op.role, u.axes, u.shape) for u in symbols if isinstance(u.op, Symbol)}
    assert roles["dh"] == ("adjoint", (t,), ())
    assert roles["ds'"] == ("adjoint", (t,), ())  # ds is taken
    assert all((u.where or "").startswith(__file__) for u in symbols)
    assert "ds" not in roles


def test_adjoints_along_an_axis_are_a_jacobian(t):
    i = uf.axis("i", size=3)
    x, v = uf.input("x", over=t), uf.param("v", 3)
    h = uf.var("h", 3, over=t)
    h[0] = v
    h[t] = uf.tanh(h[t - 1] * x[t])
    graph = uf.graph(h=h[t.last])
    seed = uf.where(uf.equal(uf.step(i), 1 + np.arange(3)), 1.0, 0.0)
    found, definitions = adjoints(graph, {graph.outputs["h"]: seed}, [graph.params["v"]], (i,))
    assert [str(symbol.op) for symbol in definitions] == ["dh[t, i]", "dh[0, i]"]
    jacobian = Graph({"J": found[graph.params["v"]]}, {**dict(graph.definitions), **definitions})
    arrays = {"x": np.array([0.5, -1.5]), "v": np.array([0.1, 0.2, 0.3])}
    got = jacobian.compile("reference")(**arrays)["J"]
    step = [
        graph.compile("reference")(x=arrays["x"], v=arrays["v"] + 1e-30j * e)["h"].imag / 1e-30
        for e in np.eye(3)
    ]
    np.testing.assert_allclose(got, np.array(step).T, rtol=1e-12, atol=1e-15)


def test_a_rule_may_leave_out_what_is_the_same_at_every_entry():
    @dataclass(frozen=True)
    class Total(Op):
        """the sum of a vector"""

        def infer(self, *inputs):
            return (), inputs[0].dtype

        def forward(self, xp, a):
            return xp.sum(a, axis=-1)

        def vjp(self, ct, out, a):
            return (ct,)

    a = uf.param("a", 3)
    gradient = uf.graph(y=uf.operation(Total)(a)).grad("y")
    assert gradient.outputs["a"].shape == (3,)
    assert gradient(a=[1.0, 2.0, 3.0])["a"].tolist() == [1, 1, 1]


def test_a_gradient_reads_the_variables_not_their_equations_again(t):
    x, a = uf.input("x", over=t), uf.param("a")
    h = uf.var("h", over=t)
    h[0] = 0
    h[t] = uf.tanh(a * h[t - 1] + x[t])
    text = str(uf.graph(loss=uf.sum(h[t], over=t)).grad("loss"))
    assert "dh[t] = dh[t+1] * (1 - h[t+1]**2) * a + 1\n" in text
    assert "da = sum(dh[t] * (1 - h[t]**2) * h[t-1], over=t)\n" in text


def test_a_gradient_off_the_path_is_zero_of_its_own_kind():
    a, z = uf.param("a"), uf.param("z", 2, dtype=complex)
    gradient = uf.graph(y=a * a, other=z).grad("y", ["a", "z"])
    assert {n: (u.dtype, u.shape) for n, u in gradient.outputs.items()} == {
        "a": ("float", ()),
        "z": ("complex", (2,)),
    }


def test_an_adjoint_that_needs_no_loop_is_written_where_it_is_read(t):
    x, a = uf.input("x", over=t), uf.param("a")
    h, o = uf.var("h", over=t), uf.var("o", over=t)
    h[0] = 0
    h[t] = uf.tanh(a * h[t - 1] + x[t])
    o[t] = h[t] * h[t] * a
    gradient = uf.graph(loss=uf.sum(o[t], over=t)).grad("loss")
    assert {str(u.op) for u in gradient.symbols.values()} == {"dh[t]", "h[t]", "h[0]"}


@pytest.mark.parametrize("verb", ["grad", "jvp", "hvp", "value_and_grad", "code", "checkpoint", "uf.hvp"])
def test_names_may_come_from_a_generator(t, verb):
    x, a, b = uf.input("x", over=t), uf.param("a"), uf.param("b")
    h = uf.var("h", over=t)
    h[0] = b
    h[t] = uf.tanh(a * h[t - 1] + x[t])
    graph = uf.graph(loss=uf.sum(h[t], over=t))
    verbs = {"uf.hvp": lambda of, wrt: uf.hvp(graph, of, wrt)}
    verbs["checkpoint"] = lambda of, wrt: uf.checkpoint(graph, of, wrt, window=2)
    make = verbs.get(verb) or getattr(graph, verb)
    arrays = {"x": [0.1, 0.2, 0.3], "a": 0.5, "b": 0.2}
    arrays |= {"a_dot": 1.0, "b_dot": 1.0} if verb in ("jvp", "hvp", "uf.hvp") else {}

    def result(wrt):
        made = make("loss", wrt)
        return made if verb == "code" else made(**arrays)

    assert str(result(name for name in ("b", "a"))) == str(result(["b", "a"]))
