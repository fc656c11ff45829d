"""The language: what the textbook writes runs as it stands."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import unfold as uf
from unfold.core.axis import written
from unfold.core.errors import BadName, UnfoldError


def evaluate(graph, **arrays):
    return graph.compile("reference")(**arrays)


# ---------------------------------------------------------------------- axes and indices
@given(st.integers(-5, 5), st.integers(1, 6), st.integers(1, 6))
def test_an_index_resolves_as_it_is_written(k, size, step):
    t = uf.axis("t")
    assert (t + k).resolve(step, size) == step + k
    assert (k + t).resolve(step, size) == step + k
    assert (t - k).resolve(step, size) == step - k
    assert (t.last + k).resolve(step, size) == size + k
    assert (t.last + k - t).resolve(step, size) == size + k - step
    assert (t.last - (t - k)).resolve(step, size) == size - step + k
    assert t.first.resolve(step, size) == 1
    assert t.now.resolve(step, size) == step


def test_an_index_prints_as_mathematics_and_as_it_is_written(t):
    indices = [t.now, t - 1, t + 2, t.last, t.last + 1, t.last + 1 - t, t.first]
    assert [repr(k) for k in indices] == ["t", "t-1", "t+2", "T", "T+1", "T+1-t", "1"]
    spelled = ["t", "t-1", "t+2", "t.last", "t.last + 1", "t.last + 1 - t", "1"]
    assert [written(k) for k in indices] == spelled
    for text, index in zip(spelled[:-1], indices, strict=False):
        value = eval(text, {"t": t})
        assert (value.now if value is t else value) == index


def test_numpy_integers_are_indices(t):
    x = uf.input("x", over=t)
    assert evaluate(uf.graph(y=x[np.int64(2)]), x=[1.0, 5.0]).y == 5
    x[np.int32(0)] = 1.0
    assert evaluate(uf.graph(y=x[t - np.int8(1)]), x=[1.0, 5.0]).y.tolist() == [1, 1]


def test_two_axes_of_one_name_are_one_axis():
    assert uf.axis("t") == uf.axis("t")
    x, y = uf.input("x", over=uf.axis("t")), uf.input("y", over=uf.axis("t"))
    t = uf.axis("t")
    assert evaluate(uf.graph(z=x[t] * y[t]), x=[1.0, 2.0], y=[3.0, 4.0]).z.tolist() == [3, 8]


# ---------------------------------------------------------------------- equations
def test_the_order_of_equations_does_not_matter(t):
    def build(order):
        x, a = uf.input("x", over=t), uf.param("a")
        h, o = uf.var("h", over=t), uf.var("o", over=t)

        def boundary():
            h[0] = a

        def state():
            h[t] = uf.tanh(h[t - 1] + x[t])

        def output():
            o[t] = h[t] * 2 + h[t - 1]

        for k in order:
            (boundary, state, output)[k]()
        return evaluate(uf.graph(o=o), x=[0.5, 1.0, -1.0], a=0.2).o.tolist()

    assert build((0, 1, 2)) == build((2, 1, 0)) == build((1, 2, 0))


def test_equations_after_the_graph_do_not_change_it(t):
    x, h = uf.input("x", over=t), uf.var("h", over=t)
    h[t] = x[t]
    graph = uf.graph(y=h[t])
    h[0] = 5.0
    other = uf.graph(y=h[t - 1])
    assert evaluate(graph, x=[1.0, 2.0]).y.tolist() == [1, 2]
    assert evaluate(other, x=[1.0, 2.0]).y.tolist() == [5, 1]


@pytest.mark.parametrize("boundary", ["number", "param", "input", "expression", "integer"])
def test_a_boundary_is_a_number_a_parameter_an_input_or_an_expression(t, boundary):
    x, a, b = uf.input("x", 2, over=t), uf.param("a", 2), uf.input("b", 2)
    h = uf.var("h", 2, over=t)
    h[0] = {"number": 0.5, "param": a, "input": b, "expression": uf.tanh(a) + b, "integer": 3}[boundary]
    h[t] = h[t - 1] + x[t]
    graph = uf.graph(y=h[t.last])
    arrays = {"a": np.array([1.0, 2]), "b": np.array([3.0, 4])}
    first = {"number": 0.5, "param": arrays["a"], "input": arrays["b"], "integer": 3.0,
             "expression": np.tanh(arrays["a"]) + arrays["b"]}[boundary]  # fmt: skip
    used = {n: v for n, v in arrays.items() if n in (*graph.params, *graph.inputs)}
    np.testing.assert_allclose(evaluate(graph, x=np.ones((3, 2)), **used).y, 3 + first * np.ones(2))


def test_a_constant_variable_is_defined_with_dots(t):
    C, x = uf.var("C", 2), uf.input("x", 2, over=t)
    C[...] = x[t.last] * 2
    graph = uf.graph(y=C + x[t])
    assert evaluate(graph, x=np.array([[1.0, 2], [3, 4]])).y.tolist() == [[7, 10], [9, 12]]
    assert "C" in graph.symbols


def test_an_equation_may_not_vary_over_its_axis(t):
    h, a = uf.var("h", over=t), uf.param("a")
    h[t] = a * 2
    graph = uf.graph(h=h, s=uf.sum(h[t], over=t))
    out = evaluate(graph, a=1.5, t=3)
    assert out.h.tolist() == [3, 3, 3]
    assert out.s == 9


def test_an_unnamed_intermediate_and_a_named_one_mean_the_same(t):
    x = uf.input("x", over=t)
    inner = uf.tanh(x[t])
    one, other = uf.graph(y=inner * 2), uf.graph(y=inner.named("a") * 2)
    assert set(other.symbols) == {"a[t]"}
    assert not one.symbols
    assert evaluate(one, x=[1.0]).y == evaluate(other, x=[1.0]).y


def test_a_named_expression_without_an_axis():
    graph = uf.graph(y=(uf.param("a") * 2).named("twice") + 1)
    assert "twice" in graph.symbols
    assert evaluate(graph, a=2.0).y == 5


def test_a_variable_as_an_output_is_all_its_steps(t):
    x, h = uf.input("x", over=t), uf.var("h", over=t)
    h[t] = x[t] * 2
    assert evaluate(uf.graph(h=h, x=x), x=[1.0, 2.0]).h.tolist() == [2, 4]


def test_only_what_the_outputs_need_is_in_the_graph(t):
    x, h, unused = uf.input("x", over=t), uf.var("h", over=t), uf.var("unused", over=t)
    h[t] = x[t]
    unused[t] = unused[t] * uf.param("W")  # illegal, and not asked for
    assert set(uf.graph(h=h).symbols) == {"h[t]"}


def test_over_takes_one_axis_or_several(t):
    i = uf.axis("i")
    assert uf.var("h", over=t).axes == uf.var("h", over=[t]).axes == (t,)
    assert uf.input("x", over=(t, i)).axes == (t, i)
    assert uf.input("x", 3).shape == (3,)


# ---------------------------------------------------------------------- dimensions and dtypes
def test_named_dimensions_add_and_multiply():
    a, b = uf.param("a", "n"), uf.param("b", "n + 1")
    joined = uf.concat(a, b)
    assert joined.shape == ("2*n + 1",)
    assert evaluate(uf.graph(y=joined), a=np.ones(2), b=np.zeros(3)).y.tolist() == [1, 1, 0, 0, 0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
def test_the_precision_of_the_arrays_is_the_precision_of_the_result(t, dtype):
    x, h, a = uf.input("x", over=t), uf.var("h", over=t), uf.param("a")
    h[0] = 0
    h[t] = a * h[t - 1] + x[t] * 0.5
    graph = uf.graph(loss=uf.sum(h[t] * h[t], over=t), h=h)
    arrays = {"x": np.ones(3, dtype), "a": np.asarray(0.5, dtype)}
    out = evaluate(graph, **arrays)
    assert np.asarray(out.loss).dtype == out.h.dtype == dtype
    gradient = evaluate(graph.grad("loss", ["a", "x"]), **arrays)
    assert np.asarray(gradient["a"]).dtype == gradient["x"].dtype == dtype


def test_integers_and_booleans_are_data(t):
    y, keep, E = uf.input("y", over=t, dtype=int), uf.input("keep", over=t, dtype=bool), uf.param("E", 3, 2)
    n = uf.var("n", over=t, dtype=int)
    n[0] = 0
    n[t] = n[t - 1] + uf.where(keep[t], 1, 0)
    graph = uf.graph(n=n, e=uf.where(keep[t], uf.embedding(E, y[t]), 0.0))
    out = evaluate(graph, y=[2, 0], keep=[True, False], E=np.arange(6.0).reshape(3, 2))
    assert out.n.tolist() == [1, 1]
    assert out.n.dtype.kind == "i"
    assert out.e.tolist() == [[4, 5], [0, 0]]


def test_inputs_are_never_changed(t):
    x, h = uf.input("x", 2, over=t), uf.var("h", 2, over=t)
    x[0] = 0
    h[0] = 0
    h[t] = h[t - 1] * 2 + x[t - 1]
    graph = uf.graph(h=h, x=x, loss=uf.sum(uf.sum(h[t]), over=t))
    X = np.ones((3, 2))
    X.flags.writeable = False
    out = evaluate(graph, x=X)
    out.x[:] = 7
    out.h[:] = 7
    assert (X == 1).all()


# ---------------------------------------------------------------------- programs
def test_bidirectional_stacked_and_attention_in_one_program(t):
    j = uf.axis("j")
    x = uf.input("x", "d", over=t)
    W, v = uf.param("W", "d", "d"), uf.param("v", "d")
    f, g, s, c = (uf.var(n, "d", over=t) for n in "fgsc")
    d, a = uf.var("d", "d", over=j), uf.var("a", over=(j, t))
    f[0] = g[t.last + 1] = s[0] = 0
    f[t] = uf.tanh(W @ f[t - 1] + x[t])
    g[t] = uf.tanh(W @ g[t + 1] + x[t])
    s[t] = uf.tanh(W @ s[t - 1] + f[t])
    c[t] = s[t] * g[t]
    d[0] = c[t.last]
    a[j, t] = uf.softmax(v @ uf.tanh(d[j - 1] + c[t]), over=t)
    d[j] = uf.tanh(W @ d[j - 1] + uf.sum(a[j, t] * c[t], over=t))
    graph = uf.graph(d=d, a=a)
    rng = np.random.default_rng(0)
    X, Wv, vv = rng.normal(size=(4, 3)), rng.normal(size=(3, 3)), rng.normal(size=3)
    F, G, S = np.zeros((6, 3)), np.zeros((6, 3)), np.zeros((6, 3))
    for k in range(1, 5):
        F[k] = np.tanh(Wv @ F[k - 1] + X[k - 1])
        S[k] = np.tanh(Wv @ S[k - 1] + F[k])
    for k in range(4, 0, -1):
        G[k] = np.tanh(Wv @ G[k + 1] + X[k - 1])
    C = (S * G)[1:5]
    state, states, weights = C[-1], [], []
    for _ in range(2):
        scores = np.tanh(state + C) @ vv
        w = np.exp(scores - scores.max())
        weights.append(w / w.sum())
        state = np.tanh(Wv @ state + weights[-1] @ C)
        states.append(state)
    out = evaluate(graph, x=X, W=Wv, v=vv, j=2)
    np.testing.assert_allclose(out.d, states, rtol=1e-12)
    np.testing.assert_allclose(out.a, weights, rtol=1e-12)


def test_a_call_says_what_is_unknown_missing_or_misshapen(t):
    x, W = uf.input("x", "d", over=t), uf.param("W", "d", "d")
    graph = uf.graph(y=W @ x[t])
    good = {"x": np.ones((2, 3)), "W": np.ones((3, 3))}
    for change, message in (
        ({"z": 1.0}, "unknown argument 'z'"),
        ({"x": np.ones(3)}, r"x should be \(T, d\)"),
        ({"W": np.ones((3, 4))}, "W should be"),
        ({"x": "abc"}, "x: str is no array of numbers"),
        ({"x": np.ones((2, 3), complex) > 0}, None),
    ):
        arrays = {**good, **change}
        if message is None:
            assert evaluate(graph, **arrays).y.shape == (2, 3)
        else:
            with pytest.raises(UnfoldError, match=message):
                evaluate(graph, **arrays)
    with pytest.raises(UnfoldError, match="missing argument x"):
        evaluate(graph, W=good["W"])


def test_an_input_may_share_no_name_with_an_output_of_another_kind_but_an_output_may():
    a = uf.param("a")
    assert evaluate(uf.graph(a=a * 2), a=3.0).a == 6
    with pytest.raises(BadName):
        uf.graph(y=uf.input("a") * a)
