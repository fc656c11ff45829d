"""What a pass leaves: nodes as their operations make them, and every value as it was (tests/passes.py)."""

from __future__ import annotations

import random
import warnings

import numpy as np
import pytest
from passes import all_faults, changed, invalid
from programs.drawing import Impossible, draw
from programs.trying import Case

import unfold as uf
from unfold.core.leaves import Symbol
from unfold.core.node import Node
from unfold.core.op import apply
from unfold.engine.binding import bind
from unfold.engine.made_up import zeros as example
from unfold.engine.rewrites.passes import Copy, inline, separate
from unfold.engine.rewrites.stacking import sums
from unfold.graph import Graph
from unfold.ops.array.reduction import Sum
from unfold.transform.simplify import simplify

SIZES = {"t": 3, "i": 3, "j": 2, "k": 2, "m": 4}
SYSTEMS = [
    "feed_forward", "dynamical", "driven", "rnn", "vector_to_sequence", "encoder_decoder", "attention",
    "bidirectional", "stacked", "lstm", "gru", "memory_network", "grid",
]  # fmt: skip


def arrays_for(graph: Graph, seed: int = 0) -> dict[str, object]:
    """Random arrays of small sizes, and the lengths of the axes."""
    rng = np.random.default_rng(seed)
    bound = example(graph, {a.name: SIZES.get(a.name, 3) for a in graph.axes if a.size is None})
    made = {n: rng.normal(size=a.shape) if a.dtype == float else a for n, a in bound.arrays.items()}
    return {**made, **{a.name: n for a, n in bound.extents.items() if a.size is None}}


def broken(graph: Graph, arrays: dict[str, object] | None = None) -> list[tuple[str, str]]:
    """What the passes break, of the graph and of its gradients."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return list(all_faults(graph, arrays or arrays_for(graph), list(graph.params)))


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_pass_keeps_what_a_system_is(name):
    assert broken(getattr(uf.systems, name)()) == []


@pytest.mark.parametrize("name", ["lstm", "attention"])
def test_every_pass_keeps_what_a_batch_is(name):
    assert broken(getattr(uf.systems, name)().batch("n")) == []


@pytest.mark.parametrize("number", range(12))
def test_every_pass_keeps_what_a_random_program_is(number):
    try:
        case = Case(draw(random.Random(number)))
    except Impossible:
        return
    if case.finite:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert list(all_faults(case.graph, case.given, case.names)) == []


# ---------------------------------------------------------------------- what was mended, by kind
def rnn(equation) -> Graph:
    """A small recurrence h[t] = equation(h[t-1], x[t]), and the sum of its values as loss."""
    t = uf.axis("t")
    x, h = uf.input("x", 2, over=t), uf.var("h", 3, over=t)
    h[0] = 0
    h[t] = equation(h[t - 1], x[t])
    return uf.graph(loss=uf.sum(uf.sum(h[t], over=t)))


def agrees(graph: Graph, **options: object) -> None:
    """The plan gives what the reference gives, forward and backward."""
    given = arrays_for(graph)
    lengths = {a.name for a in graph.axes} & given.keys()
    given = {n: a for n, a in given.items() if n not in lengths or not covered(graph, n)}
    loss, grads = graph.value_and_grad("loss")(**given)
    right, wanted = graph.value_and_grad("loss", backend="reference")(**given)
    np.testing.assert_allclose(loss, right, 1e-9)
    for name, g in wanted.items():
        np.testing.assert_allclose(grads[name], g, 1e-7, 1e-9)


def covered(graph: Graph, axis: str) -> bool:
    return any(a.name == axis for u in graph.inputs.values() for a in u.axes)


W, V, b = uf.param("W", 3, 3), uf.param("V", 3, 2), uf.param("b", 3)


def test_half_a_matrix_is_not_taken_for_the_half_of_a_sigmoid():
    graph = rnn(lambda h, x: uf.sigmoid((W * 0.5) @ h + V @ x + b))
    assert broken(graph) == []
    agrees(graph)


def test_a_number_on_a_number_on_a_matrix_stays():
    agrees(rnn(lambda h, x: uf.tanh(((W * 0.5) * 3.0) @ h + (V * 0.5) @ x + b * 0.5)))


def test_a_product_with_a_constant_is_no_bias():
    U = uf.param("U", 3, 1)
    graph = rnn(lambda h, x: uf.tanh(W @ h + V @ x + U @ uf.constant(np.array([0.5]))))
    assert broken(graph) == []
    agrees(graph)


def test_products_of_different_lengths_are_not_joined():
    A, B = uf.param("A", 3, 1), uf.param("B", 2, 3)
    graph = rnn(lambda h, x: uf.tanh(h @ A + x @ B + W @ h))
    assert broken(graph) == []
    assert sums(graph) == {}
    agrees(graph)


def test_a_row_beside_vectors_is_repeated():
    A = uf.param("A", 1, 2)
    graph = rnn(lambda h, x: uf.tanh(W @ h + A @ x + b))
    assert broken(graph) == []
    agrees(graph)


def test_a_running_sum_of_what_is_the_same_at_every_step_varies():
    t = uf.axis("t")
    w, z = uf.param("w"), uf.input("z", over=t)
    graph = uf.graph(loss=uf.sum(uf.cumsum(w * z[t], over=t), over=t))
    assert broken(graph) == []
    for backend in ("numpy", "reference"):
        g = graph.value_and_grad("loss", backend=backend)(w=1.0, z=np.array([1.0, 2, 4]))[1]["w"]
        assert g == pytest.approx(11.0)


def declared_wider() -> Graph:
    """A variable over t and i whose equation varies along t alone."""
    t, i = uf.axis("t"), uf.axis("i")
    x, z, v = uf.input("x", 2, over=t), uf.input("z", over=(t, i)), uf.var("v", 2, over=(t, i))
    v[0, i] = uf.param("p", 2)
    v[t, i] = uf.tanh(x[t])
    return uf.graph(y=v[t - 1, i] * z[t, i], last=v[t, i.last])


def test_a_node_is_over_the_axes_that_its_inputs_vary_along():
    before, _ = inline(declared_wider())
    assert list(invalid(before)) == []
    (tanh,) = (n for n in before.order if n.op.name == "tanh")
    assert [a.name for a in tanh.axes] == ["t"]
    arrays = {"x": np.ones((3, 2)), "z": np.arange(12.0).reshape(3, 4), "p": np.zeros(2)}
    got, right = (declared_wider().compile(backend)(**arrays) for backend in ("numpy", "reference"))
    np.testing.assert_allclose(got.y, right.y)
    np.testing.assert_allclose(got.last, right.last)


def test_a_variable_of_numbers_that_integers_define_is_one_of_floats():
    t = uf.axis("t")
    v, u, z = uf.var("v", over=t), uf.var("u", over=t), uf.input("z", over=t)
    v[0], v[t] = 1, 2
    u[0], u[t] = 0.5, v[t - 1] * uf.step(t) + z[t] * 0
    graph = uf.graph(u=u[t], v=v[t - 1])
    plain, _ = inline(graph)
    assert list(invalid(plain)) == []
    assert all(d.dtype == s.dtype for s, d in plain.definitions.items())
    got = graph(z=np.zeros(3))
    np.testing.assert_allclose(got.u, [1.0, 4.0, 6.0])
    assert got.v.dtype == float


def test_integers_that_steps_count_become_floats_where_a_float_is_declared():
    t = uf.axis("t")
    v = uf.var("v", over=t)
    v[0], v[t] = 0.5, uf.step(t) + 1
    graph = uf.graph(v=v[t - 1])
    plain, _ = inline(graph)
    assert any(n.op == Copy("float") for n in plain.order)
    np.testing.assert_allclose(graph(t=3).v, [0.5, 2.0, 3.0])


def test_a_boundary_over_more_axes_than_its_equation_has_a_buffer_of_its_own():
    t = uf.axis("t")
    p, x, v = uf.param("p"), uf.input("x", over=t), uf.var("v", over=t)
    v[t] = p
    v[0] = x[t.last]
    graph = uf.graph(loss=uf.sum(v[t - 1] * x[t], over=t)).batch("n", reduce="sum")
    apart, _ = separate(inline(graph)[0])
    (copy,) = (n for n in apart.order if isinstance(n.op, Copy) and len(n.axes) > 1)
    assert {a.name for a in copy.axes} == {"t", "n"}
    rows = np.random.default_rng(0).normal(size=(3, 2))
    assert graph(p=0.5, x=rows).loss == pytest.approx((rows[-1] * rows[0] + 0.5 * rows[1:].sum(0)).sum())


def test_a_table_of_no_columns_has_a_gradient_of_no_columns():
    t = uf.axis("t")
    E, y, x = uf.param("E", 3, 0), uf.input("y", over=t, dtype=int), uf.input("x", over=t)
    graph = uf.graph(loss=uf.sum(x[t] + uf.sum(uf.embedding(E, y[t]) ** 2), over=t))
    grads = graph.value_and_grad("loss")(E=np.zeros((3, 0)), y=np.array([0, 2]), x=np.ones(2))[1]
    assert grads["E"].shape == (3, 0)


def test_a_gradient_has_its_axes_in_the_order_of_the_array():
    t, i = uf.axis("t"), uf.axis("i")
    x, a, h = uf.input("x", over=(t, i)), uf.param("a"), uf.var("h", over=(i, t))
    h[0, t] = 0
    h[i, t] = uf.tanh(a * h[i - 1, t] + x[t, i])
    graph = uf.graph(loss=uf.sum(uf.sum(h[i, t], over=i), over=t))
    rows = np.random.default_rng(0).normal(size=(4, 2))
    for backend in ("numpy", "reference"):
        got = graph.value_and_grad("loss", "x", backend=backend)(x=rows, a=0.7)[1]["x"]
        assert got.shape == (4, 2)
    assert [k.name for k in graph.grad("loss", "x").outputs["x"].axes] == ["t", "i"]
    assert [k.name for k in graph.jvp("loss", "x").grad("loss_dot", "x").outputs["x"].axes] == ["t", "i"]


@pytest.mark.parametrize("first", [False, True])
def test_outputs_of_a_padded_batch_have_their_axes_in_the_order_of_its_inputs(first):
    t, i = uf.axis("t"), uf.axis("i")
    x, v = uf.input("x", over=(t, i)), uf.var("v", over=(i, t))
    v[i, t] = uf.tanh(x[t, i])
    graph = uf.graph(v=v[i, t], w=x[t, i] * v[i, t])
    batch = graph.batch("n", batch_first=first, lengths={"t": "len"})
    names = {key: "".join(a.name for a in node.axes) for key, node in batch.outputs.items()}
    assert names == ({"v": "nit", "w": "nti"} if first else {"v": "itn", "w": "tin"})


# ---------------------------------------------------------------------- the checks themselves
def test_a_node_that_claims_another_shape_kind_or_axis_is_invalid():
    t = uf.axis("t")
    x = uf.input("x", 2, over=t)
    g = uf.graph(y=uf.tanh(x[t]))
    y = g.outputs["y"]
    wrong = [
        Node(y.op, y.inputs, y.axes, (3,), y.dtype),
        Node(y.op, y.inputs, y.axes, y.shape, "int"),
        Node(y.op, y.inputs, (), y.shape, y.dtype),
    ]
    assert [len(list(invalid(Graph({"y": node}, {})))) for node in wrong] == [1, 1, 1]
    assert list(invalid(g)) == []


def test_a_symbol_defined_over_more_axes_than_its_own_is_invalid():
    t = uf.axis("t")
    x = uf.input("x", over=t)[t].op.var.symbols[(t.now,)]
    s = Node(Symbol("s"), (), (), (), "float")
    assert len(list(invalid(Graph({"y": s}, {s: x})))) == 1


def test_a_value_that_changes_is_found():
    t = uf.axis("t")
    x = uf.input("x", over=t)
    before = uf.graph(y=uf.sum(x[t], over=t))
    after = Graph(
        {"y": apply(Sum((t,)), before.inputs["x[t]"] if "x[t]" in before.inputs else before.inputs["x"])}, {}
    )
    bound = bind(before, {"x": np.ones(3)})
    assert list(changed(before, after, {}, bound)) == []
    other = Graph({"y": after.outputs["y"] * 2}, {})
    assert list(changed(before, other, {}, bound)) == ["an output has another value"]


def test_simplify_leaves_valid_graphs():
    graph = uf.systems.lstm().grad("loss")
    assert list(invalid(simplify(graph))) == []
