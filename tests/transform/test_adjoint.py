"""Gradients on cyclic and unfolded graphs against the complex step, and as graphs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_systems import model

import unfold as uf
from unfold import systems
from unfold.core.errors import NotDifferentiable, UnknownName
from unfold.core.leaves import Constant, Symbol
from unfold.core.node import Node
from unfold.graph import Graph
from unfold.transform.simplify import simplify

STEP = 1e-30


def evaluate(graph, arrays):
    """The outputs by the reference interpreter."""
    return graph.compile("reference")(**arrays)


def complex_step(graph, arrays, name, output="loss"):
    """d output / d array, entry by entry."""
    out = np.zeros_like(arrays[name], dtype=float)
    for i in np.ndindex(out.shape):
        moved = {k: a.astype(complex) if a.dtype.kind == "f" else a for k, a in arrays.items()}
        moved[name][i] += STEP * 1j
        out[i] = evaluate(graph, moved)[output].imag / STEP
    return out


def assert_gradients(graph, steps, of="loss", wrt=None, **arrays):
    """Cyclic, unfolded before and unfolded after: all equal the complex step."""
    arrays = {k: np.asarray(a) for k, a in arrays.items()}
    wrt = wrt or [k for k, a in arrays.items() if a.dtype.kind == "f"]
    cyclic = graph.grad(of, wrt)
    forms = [cyclic]
    if steps:
        forms += [graph.unfold(**steps).grad(of, wrt), cyclic.unfold(**steps)]
    values = [evaluate(form, arrays) for form in forms]
    for name in wrt:
        numeric = complex_step(graph, arrays, name, of)
        for value in values:
            assert value[name].shape == numeric.shape
            np.testing.assert_allclose(value[name], numeric, rtol=1e-9, atol=1e-11)


def normal(*shape):
    return np.random.default_rng(len(shape) + sum(shape)).normal(size=shape)


# ---------------------------------------------------------------------- random models
@settings(max_examples=25)
@given(st.integers(0, 10**6))
def test_gradients_of_random_systems_equal_the_complex_step_in_every_form(seed):
    drawn = model(seed)
    if drawn.graph.inputs:
        assert_gradients(drawn.graph, {"t": drawn.steps}, **drawn.arrays)


@settings(max_examples=10)
@given(st.integers(0, 10**6))
def test_second_derivatives_of_random_systems_equal_the_complex_step_of_the_first(seed):
    drawn = model(seed)
    graph, arrays = drawn.graph, drawn.arrays
    if not graph.inputs or not graph.params:
        return
    rng = np.random.default_rng(seed)
    direction = {n: rng.normal(size=arrays[n].shape) for n in graph.params}
    first = graph.grad("loss")
    pieces = [first.outputs[n] * uf.param("v_" + n, *graph.params[n].shape) for n in direction]
    total = sum((uf.sum(p) if p.shape else p for p in pieces), start=uf.constant(0.0))
    second = Graph({"q": total}, first.definitions, first.spare).grad("q", list(direction))
    takes = {*second.params, *second.inputs, *second.spare}
    given_arrays = {**arrays, **{"v_" + n: v for n, v in direction.items()}}
    product = evaluate(second, {n: a for n, a in given_arrays.items() if n in takes})
    moved = {n: a + 1j * STEP * direction[n] if n in direction else a for n, a in arrays.items()}
    numeric = evaluate(first, moved)
    for n in direction:
        np.testing.assert_allclose(product[n], numeric[n].imag / STEP, rtol=1e-8, atol=1e-10)


# ---------------------------------------------------------------------- time operations
def test_boundary_values_receive_the_first_adjoints_once_each(t):
    x, a, b = uf.input("x", over=t), uf.param("a"), uf.param("b")
    h = uf.var("h", over=t)
    h[0], h[-1] = a, b * 2
    h[t] = uf.tanh(0.5 * h[t - 1] + h[t - 2] * x[t])
    graph = uf.graph(loss=uf.sum(h[t] * h[t], over=t))
    for steps in (1, 2, 4):
        assert_gradients(graph, {"t": steps}, x=normal(steps), a=0.3, b=-0.4)


def test_negative_lags_and_boundaries_after_the_end(t):
    x, a, b = uf.input("x", over=t), uf.param("a"), uf.param("b")
    g = uf.var("g", over=t)
    g[t.last + 1], g[t.last + 2] = a, b
    g[t] = uf.tanh(g[t + 1] * x[t] + 0.3 * g[t + 2])
    graph = uf.graph(loss=uf.sum(g[t], over=t) + g[1] ** 2)
    for steps in (1, 2, 4):
        assert_gradients(graph, {"t": steps}, x=normal(steps), a=0.3, b=-0.4)


def test_a_delayed_input_with_its_own_boundary(t):
    x, a = uf.input("x", over=t), uf.param("a")
    x[0] = a
    graph = uf.graph(loss=uf.sum(x[t] * x[t - 1], over=t))
    for steps in (1, 3):
        assert_gradients(graph, {"t": steps}, x=normal(steps), a=0.7)


def test_fixed_and_reversed_reads(t):
    x, a = uf.input("x", over=t), uf.param("a")
    h = uf.var("h", over=t)
    h[0] = a
    h[t] = uf.tanh(h[t - 1] + x[t])
    mirrored = h[t] * h[t.last + 1 - t]
    graph = uf.graph(loss=uf.sum(mirrored, over=t) + h[t.last] * h[1] + h[2] ** 2)
    assert_gradients(graph, {"t": 4}, x=normal(4), a=0.2)


def test_the_final_state_of_an_empty_sequence_is_the_boundary(t):
    x, a = uf.input("x", over=t), uf.param("a")
    h, g = uf.var("h", over=t), uf.var("g", over=t)
    h[0] = a
    h[t] = h[t - 1] * x[t]
    g[t.last + 1] = a * a
    g[t] = g[t + 1] * x[t]
    graph = uf.graph(loss=h[t.last] * 3 + g[1])
    for steps in (1, 3):
        assert_gradients(graph, {"t": steps}, x=normal(steps), a=0.5)
    empty = {"x": normal(0), "a": np.float64(0.5)}
    assert evaluate(graph.grad("loss", ["a", "x"]), empty)["x"].shape == (0,)
    for form in (graph.grad("loss"), graph.unfold(t=0).grad("loss"), graph.grad("loss").unfold(t=0)):
        assert evaluate(form, empty)["a"] == 3 + 2 * 0.5


def test_a_boundary_that_repeats_a_value_along_another_axis_sums_its_adjoints():
    i, j = uf.axis("i"), uf.axis("j")
    x, a, b = uf.input("x", over=(i, j)), uf.param("a"), uf.param("b")
    h, s = uf.var("h", over=(i, j)), uf.var("s", over=j)
    shared = uf.tanh(a)
    h[0, j] = shared
    s[j] = shared
    h[i, j] = h[i - 1, j] * x[i, j]
    graph = uf.graph(loss=uf.sum(h[i, j], over=(i, j)) + shared * b + uf.sum(s[j], over=j))
    assert_gradients(graph, {"i": 2, "j": 3}, x=normal(2, 3), a=0.3, b=0.7)


# ---------------------------------------------------------------------- broadcasts and sums
def test_a_constant_over_time_counts_every_step(t):
    x, a = uf.input("x", over=t), uf.param("a")
    graph = uf.graph(loss=uf.sum(a * a + 0 * x[t], over=t))
    assert evaluate(graph.grad("loss", "a"), {"x": np.ones(5), "a": np.float64(3.0)})["a"] == 30


def test_parameters_broadcast_over_axes_and_dimensions(t):
    x = uf.input("x", 2, 3, over=t)
    row, number, column = uf.param("row", 3), uf.param("number"), uf.param("column", 2, 1)
    value = uf.tanh(row * x[t] + number) * column
    graph = uf.graph(loss=uf.sum(uf.sum(value), over=t))
    assert_gradients(graph, {"t": 3}, x=normal(3, 2, 3), row=normal(3), number=0.3, column=normal(2, 1))


def test_two_axes_with_sums_over_either_and_both():
    i, j = uf.axis("i"), uf.axis("j")
    x, y, a = uf.input("x", over=i), uf.input("y", over=j), uf.param("a")
    z = uf.tanh(x[i] * y[j] + a)
    loss = uf.sum(z, over=(i, j)) + uf.sum(uf.sum(z, over=i) ** 2, over=j) * uf.sum(x[i], over=i)
    assert_gradients(
        uf.graph(loss=loss + uf.sum(a * x[i], over=i)), {"i": 2, "j": 3}, x=normal(2), y=normal(3), a=0.1
    )


def test_a_grid_with_boundaries_on_two_sides():
    i, j = uf.axis("i"), uf.axis("j")
    x, a, b, c = uf.input("x", over=(i, j)), uf.param("a"), uf.param("b"), uf.param("c")
    h = uf.var("h", over=(i, j))
    h[0, j], h[i, 0], h[0, 0] = a, b * uf.step(i), c
    h[i, j] = uf.tanh(h[i - 1, j] + 0.5 * h[i, j - 1] + h[i - 1, j - 1] * x[i, j])
    graph = uf.graph(loss=h[i.last, j.last] + uf.sum(h[i, 1], over=i))
    for rows, columns in ((1, 1), (3, 2)):
        assert_gradients(graph, {"i": rows, "j": columns}, x=normal(rows, columns), a=0.3, b=0.2, c=-0.5)


def test_softmax_max_and_logsumexp_along_an_axis(t):
    x, w = uf.input("x", 2, over=t), uf.param("w", 2)
    weights = uf.softmax(x[t] @ w, over=t)
    context = uf.sum(weights * x[t], over=t)
    loss = uf.sum(context**2) + uf.sum(uf.max(x[t] * w, over=t)) + uf.logsumexp(x[t] @ w, over=t)
    for steps in (1, 4):
        assert_gradients(uf.graph(loss=loss), {"t": steps}, x=normal(steps, 2), w=normal(2))


# ---------------------------------------------------------------------- every system
@pytest.mark.parametrize(
    "name", ["rnn", "lstm", "gru", "bidirectional", "stacked", "attention", "memory_network", "grid"]
)
def test_the_gradients_of_a_system_commute_with_unfolding(name):
    build = getattr(systems, name, None)
    if build is None:
        pytest.skip(f"there is no system {name}")
    graph = build()
    sizes = {n: 2 + k % 2 for k, n in enumerate(sorted(names_of(graph)))}
    rng = np.random.default_rng(0)
    steps = {a.name: a.size or 2 + k for k, a in enumerate(graph.axes)}
    lengths = {a: steps[a.name] for a in graph.axes}
    arrays = {n: 0.5 * rng.normal(size=shape(u, sizes)) for n, u in graph.params.items()}
    for n, u in graph.inputs.items():
        whole = (*(lengths[a] for a in u.axes), *shape(u, sizes))
        arrays[n] = rng.normal(size=whole) if u.dtype == "float" else rng.integers(0, 2, whole)
    one = evaluate(graph.unfold(**steps).grad("loss"), arrays)
    other = evaluate(graph.grad("loss").unfold(**steps), arrays)
    cyclic = evaluate(graph.grad("loss"), arrays)
    assert set(one) == set(other) == set(cyclic)
    for n in one:
        np.testing.assert_allclose(one[n], other[n], rtol=1e-10, atol=1e-13)
        np.testing.assert_allclose(one[n], cyclic[n], rtol=1e-10, atol=1e-13)


def names_of(graph):
    from unfold.core import dims

    return {n for u in graph.order for d in u.shape for n in dims.names(d)}


def shape(node, sizes):
    from unfold.core import dims

    return tuple(dims.evaluate(d, sizes) for d in node.shape)


def test_differentiating_and_unfolding_the_rnn_give_the_same_graph():
    rnn = vanilla()
    one = simplify(rnn.unfold(t=3).grad("loss"))
    other = simplify(rnn.grad("loss").unfold(t=3))

    def equations(graph):
        return {
            str(s.op): operations(graph, graph.definitions[s])
            for s in graph.order
            if isinstance(s.op, Symbol)
        }

    assert equations(one) == equations(other)
    assert {n: operations(one, u) for n, u in one.outputs.items()} == {
        n: operations(other, u) for n, u in other.outputs.items()
    }


def operations(graph, root):
    """An expression down to names, sums in any order, as text."""
    text = {}
    for node in Graph({"": root}, graph.definitions).order:
        below = [text[u] for u in node.inputs]
        if node.op.name == "add":
            below = sorted(
                flat for b in below for flat in (b[4:-1].split(" ; ") if b.startswith("add(") else [b])
            )
        name = str(node.op) if node.op.leaf else node.op.name
        text[node] = name if node.op.leaf else f"{name}({' ; '.join(below)})"
    return text[root]


# ---------------------------------------------------------------------- what is asked for
def vanilla():
    t = uf.axis("t")
    x, y = uf.input("x", "input", over=t), uf.input("y", over=t, dtype=int)
    U, W, V = (
        uf.param("U", "hidden", "input"),
        uf.param("W", "hidden", "hidden"),
        uf.param("V", "classes", "hidden"),
    )
    b, c = uf.param("b", "hidden"), uf.param("c", "classes")
    h, o, L = uf.var("h", "hidden", over=t), uf.var("o", "classes", over=t), uf.var("L", over=t)
    h[0] = 0
    h[t] = uf.tanh(b + W @ h[t - 1] + U @ x[t])
    o[t] = c + V @ h[t]
    L[t] = uf.cross_entropy(o[t], y[t])
    return uf.graph(loss=uf.sum(L[t], over=t), o=o)


def test_by_default_the_gradient_is_in_every_parameter():
    assert set(vanilla().grad("loss").outputs) == {"U", "W", "V", "b", "c"}


def test_the_gradient_in_an_input_has_the_inputs_axes(t):
    x = uf.input("x", over=t)
    gradient = uf.graph(loss=uf.sum(x[t], over=t)).grad("loss", "x")
    assert evaluate(gradient, {"x": np.zeros(3)})["x"].tolist() == [1, 1, 1]
    assert gradient.outputs["x"].axes == (t,)


def test_a_parameter_off_the_path_has_gradient_zero():
    a, b = uf.param("a", 2), uf.param("b", "n")
    graph = uf.graph(loss=uf.sum(a), other=uf.sum(b))
    gradient = evaluate(graph.grad("loss", ["a", "b"]), {"a": np.ones(2), "b": np.ones(3)})
    assert gradient["a"].tolist() == [1, 1]
    assert gradient["b"].tolist() == [0, 0, 0]


def test_an_output_that_does_not_reach_the_loss_adds_nothing(t):
    x, a = uf.input("x", over=t), uf.param("a")
    h = uf.var("h", over=t)
    h[0] = 0
    h[t] = a * h[t - 1] + x[t]
    graph = uf.graph(loss=a * 3, h=h[t])
    assert evaluate(graph.grad("loss", "a"), {"a": np.float64(2)})["a"] == 3


def test_stop_gradient_cuts_a_loop(t):
    x, a = uf.input("x", over=t), uf.param("a")
    h = uf.var("h", over=t)
    h[0] = 1.0
    h[t] = a * uf.stop_gradient(h[t - 1]) + x[t]
    gradient = uf.graph(loss=uf.sum(h[t], over=t)).grad("loss", "a")
    states = [1.0, 2 * 1.0 + 1, 2 * 3.0 + 1]
    assert evaluate(gradient, {"a": np.float64(2), "x": np.ones(3)})["a"] == sum(states)


def test_a_variable_of_the_user_called_dh_is_left_alone(t):
    x, a = uf.input("x", over=t), uf.param("a")
    h, dh = uf.var("h", over=t), uf.var("dh", over=t)
    h[0] = 0
    h[t] = uf.tanh(a * h[t - 1] + x[t])
    dh[t] = h[t] * 2
    graph = uf.graph(loss=uf.sum(dh[t] ** 2, over=t))
    labels = {s.op.label for s in graph.grad("loss", ["a", "x"]).symbols.values()}
    assert {"h", "dh", "dh'"} <= labels
    assert_gradients(graph, {"t": 3}, x=normal(3), a=0.5)


def test_the_gradient_of_the_gradient_does_not_reuse_names():
    graph = vanilla()
    first = graph.grad("loss")
    total = Graph({"q": uf.sum(first.outputs["W"] ** 2)}, first.definitions, first.spare)
    second = total.grad("q", "W")
    names = [str(s.op) for s in second.order if isinstance(s.op, Symbol)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("of", "shown"), [("o", r"float \(classes\) over t"), ("k", r"int \(\)"), ("v", r"float \(3\)")]
)
def test_only_one_real_number_has_a_gradient(of, shown):
    t = uf.axis("t")
    graph = vanilla()
    others = uf.graph(
        k=uf.input("k", dtype=int), v=uf.param("v", 3), y=uf.sum(uf.input("x", over=t)[t], over=t)
    )
    with pytest.raises(
        NotDifferentiable, match=f"the gradient of '{of}' needs one real number, it is {shown}"
    ):
        (graph if of == "o" else others).grad(of)


def test_a_gradient_in_integer_data_is_refused():
    with pytest.raises(NotDifferentiable, match="wrt: y is int data; it has no gradient"):
        vanilla().grad("loss", "y")


def test_a_gradient_in_an_unknown_name_lists_the_known():
    with pytest.raises(UnknownName, match=r"wrt: no parameter or input 'w'; this graph has .*W"):
        vanilla().grad("loss", ["W", "w"])


def test_no_primal_is_computed_outside_its_steps(t):
    """0 * inf at the step after the last would be NaN."""
    x, a = uf.input("x", over=t), uf.param("a")
    h = uf.var("h", over=t)
    h[0] = 1.0
    h[t] = uf.log(h[t - 1] * a) + x[t]
    graph = uf.graph(loss=h[t.last])
    gradient = evaluate(graph.grad("loss", ["a", "x"]), {"a": np.float64(2), "x": np.full(4, 3.0)})
    assert np.isfinite(gradient["a"])
    assert np.isfinite(gradient["x"]).all()


# ---------------------------------------------------------------------- simplification
@settings(max_examples=15)
@given(st.integers(0, 10**6))
def test_simplifying_changes_no_value_and_is_done_after_once(seed):
    drawn = model(seed)
    if not drawn.graph.inputs:
        return
    for graph in (drawn.graph, drawn.graph.grad("loss"), drawn.graph.unfold(t=drawn.steps)):
        simple = simplify(graph)
        before, after = evaluate(graph, drawn.arrays), evaluate(simple, drawn.arrays)
        assert set(before) == set(after)
        for name, value in before.items():
            np.testing.assert_allclose(after[name], value, rtol=1e-12, atol=1e-13)
            assert np.asarray(after[name]).dtype == np.asarray(value).dtype
        again = simplify(simple)
        assert [u.op.name for u in again.order] == [u.op.name for u in simple.order]


def pieces():
    a, n = uf.param("a", 2), uf.param("n")
    k = uf.input("k", 2, dtype=int)
    zero, one, m = uf.constant(0.0), uf.constant(1.0), uf.param("m", 2, 2)
    return {
        "a + 0": a + zero, "0 - a": zero - a, "a * 1": a * one, "1 * a": one * a, "a * 0": a * zero,
        "a / 1": a / one, "0 / a": zero / a, "negative twice": uf.negative(-a),
        "a + (-n)": a + -n, "a - (-n)": a - (-n),
        "k + 0.0": k + zero, "k * 1.0": k * one, "-a * n": (-a) * n, "a * -1": a * -1,
        "n * ones": n * np.ones(2),
        "sum of sums": (a + n) + (n + (a + 2.0)), "where of zeros": uf.where(a > 0, 0.0, 0.0),
        "square of 0": uf.square(uf.constant(np.zeros(2))) + a, "reshape": m.reshape(4).reshape(2, 2),
        "transposed twice": uf.transpose(uf.transpose(m)), "broadcast": uf.broadcast_to(n, (2, 2)) * m,
        "k - k * 0": k - k * 0, "bool": uf.where(k > 0, a, a), "0 @ a": uf.constant(np.zeros((2, 2))) @ a,
    }  # fmt: skip


@pytest.mark.parametrize("name", pieces())
def test_each_rule_keeps_value_shape_and_dtype(name):
    graph = uf.graph(y=pieces()[name])
    simple = simplify(graph)
    arrays = {
        "a": np.array([1.5, -2]),
        "n": np.float64(3),
        "k": np.array([4, -5]),
        "m": np.arange(4.0).reshape(2, 2),
    }
    arrays = {n: arrays[n] for n in (*graph.params, *graph.inputs)}
    spared = Graph(
        simple.outputs, simple.definitions, {n: (u, ()) for n, u in {**graph.params, **graph.inputs}.items()}
    )
    before, after = evaluate(graph, arrays)["y"], evaluate(spared, arrays)["y"]
    np.testing.assert_array_equal(after, before)
    assert np.asarray(after).shape == np.asarray(before).shape
    assert simple.outputs["y"].dtype == graph.outputs["y"].dtype


def test_the_adjoint_of_the_rnn_holds_no_trivial_operation():
    for node in vanilla().grad("loss").order:
        assert not any(
            isinstance(u.op, Constant) and not u.op.value.any() for u in node.inputs if node.op.name == "add"
        )
        assert not (node.op.name == "negative" and node.inputs[0].op.name == "negative")


def test_equal_operations_become_one_node(t):
    x, a = uf.input("x", over=t), uf.param("a")
    total = uf.tanh(a * x[t]) + uf.tanh(a * x[t])
    simple = simplify(uf.graph(y=total))
    assert sum(isinstance(u, Node) and u.op.name == "tanh" for u in simple.order) == 1


def test_definitions_that_nothing_reads_do_not_keep_simplifying_from_ending():
    t = uf.axis("t")
    x, s = uf.input("x", over=t), uf.var("s", over=t)
    s[0] = 0
    s[t] = s[t - 1] + x[t]
    graph = uf.graph(y=uf.sum(x[t], over=t), s=s[t])
    unread = dict.fromkeys(graph.symbols.values(), uf.constant(0.0))
    alone = Graph({"y": graph.outputs["y"]}, unread)
    assert dict(simplify(alone, inline=unread).definitions) == {}
