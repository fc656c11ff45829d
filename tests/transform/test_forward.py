"""Forward mode, Hessian-vector products, Jacobians and Hessians as graphs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from evaluation import STEP, run
from hypothesis import given, settings
from hypothesis import strategies as st

import unfold as uf
from unfold import systems
from unfold.core.node import Op
from unfold.transform.forward import jvp


def rnn() -> uf.Graph:
    t = uf.axis("t")
    x = uf.input("x", "input", over=t)
    y = uf.input("y", over=t, dtype=int)
    U, W = uf.param("U", "hidden", "input"), uf.param("W", "hidden", "hidden")
    V, b = uf.param("V", "classes", "hidden"), uf.param("b", "hidden")
    h = uf.var("h", "hidden", over=t)
    o = uf.var("o", "classes", over=t)
    h[0] = 0
    h[t] = uf.tanh(b + W @ h[t - 1] + U @ x[t])
    o[t] = V @ h[t]
    loss = uf.sum(uf.cross_entropy(o[t], y[t]), over=t)
    return uf.graph(loss=loss, o=o, last=h[t.last])


RNG = np.random.default_rng(0)
T = 4
SIZES = {"input": 3, "hidden": 3, "classes": 2}
GRAPH = rnn()
WEIGHTS = {n: a + 0.3 * RNG.normal(size=a.shape) for n, a in GRAPH.init(seed=0, **SIZES).items()}
DATA: dict[str, Any] = {"x": RNG.normal(size=(T, 3)), "y": RNG.integers(0, 2, T)}
DIRECTION = {n: RNG.normal(size=a.shape) for n, a in WEIGHTS.items()}
DOTS = {n + "_dot": v for n, v in DIRECTION.items()}


def test_tangents_are_directional_derivatives() -> None:
    got = run(GRAPH.jvp(), **DATA, **WEIGHTS, **DOTS)
    shifted = run(GRAPH, **DATA, **{n: a + 1j * STEP * DIRECTION[n] for n, a in WEIGHTS.items()})
    for name in ("loss", "o", "last"):
        np.testing.assert_allclose(got[name + "_dot"], shifted[name].imag / STEP, rtol=1e-12)
        np.testing.assert_allclose(got[name], shifted[name].real, rtol=1e-13)


def test_a_tangent_is_the_gradient_times_the_direction() -> None:
    got = run(GRAPH.jvp("loss"), **DATA, **WEIGHTS, **DOTS)
    _, gradient = GRAPH.value_and_grad("loss", backend="reference")(**DATA, **WEIGHTS)
    expected = sum(np.sum(gradient[n] * DIRECTION[n]) for n in WEIGHTS)
    np.testing.assert_allclose(got["loss_dot"], expected, rtol=1e-12)


def test_the_tangent_graph_is_cyclic_with_the_same_lags() -> None:
    forward = GRAPH.jvp("loss")
    assert "h_dot[t]" in forward.symbols
    assert not any("h[t+1]" in s for s in forward.symbols)
    assert [a.name for a in forward.axes] == ["t"]


def test_jvp_of_the_unfolded_graph_is_the_unfolded_jvp() -> None:
    one = run(GRAPH.jvp().unfold(t=T), **DATA, **WEIGHTS, **DOTS)
    two = run(GRAPH.unfold(t=T).jvp(), **DATA, **WEIGHTS, **DOTS)
    for name in ("loss_dot", "last_dot"):
        np.testing.assert_allclose(one[name], two[name], rtol=1e-12)


def test_tangents_of_inputs_over_an_axis() -> None:
    v = RNG.normal(size=DATA["x"].shape)
    got = run(jvp(GRAPH, "loss", "x"), **DATA, **WEIGHTS, x_dot=v)
    shifted = run(GRAPH, y=DATA["y"], x=DATA["x"] + 1j * STEP * v, **WEIGHTS)
    np.testing.assert_allclose(got["loss_dot"], shifted["loss"].imag / STEP, rtol=1e-12)


def test_an_output_that_does_not_depend_has_a_zero_tangent_of_its_shape() -> None:
    got = run(jvp(GRAPH, ["o", "last"], "V"), **DATA, **WEIGHTS, V_dot=DIRECTION["V"])
    assert got["o_dot"].shape == (T, 2)
    np.testing.assert_array_equal(got["last_dot"], np.zeros(3))


def test_integer_outputs_have_no_tangent() -> None:
    x = uf.input("x", 3)
    graph = uf.graph(y=uf.argmax(x), z=uf.sum(x))
    assert set(graph.jvp(wrt="x").outputs) == {"y", "z", "z_dot"}
    with pytest.raises(uf.NotDifferentiable, match="int data"):
        graph.jvp("y", "x")


def test_real_time_recurrent_learning_is_backpropagation_through_time() -> None:
    """The Jacobian of the state in a parameter, carried forward, gives the same gradient."""
    t = uf.axis("t")
    x, w = uf.input("x", over=t), uf.param("w")
    s = uf.var("s", over=t)
    s[0] = 0
    s[t] = uf.tanh(w * s[t - 1] + x[t])
    graph = uf.graph(loss=uf.sum(s[t] ** 2, over=t))
    X = RNG.normal(size=7)
    forward = run(graph.jvp("loss"), x=X, w=0.7, w_dot=1.0)
    np.testing.assert_allclose(forward["loss_dot"], run(graph.grad("loss"), x=X, w=0.7)["w"], rtol=1e-12)


def test_a_hessian_vector_product_is_the_derivative_of_the_gradient() -> None:
    got = run(GRAPH.hvp("loss"), **DATA, **WEIGHTS, **DOTS)
    moved = {n: a + 1j * STEP * DIRECTION[n] for n, a in WEIGHTS.items()}
    expected = run(GRAPH.grad("loss"), **DATA, **moved)
    for n in WEIGHTS:
        np.testing.assert_allclose(got[n], expected[n].imag / STEP, rtol=1e-10, atol=1e-13)


def test_the_hessian_is_symmetric_and_agrees_with_its_products() -> None:
    names = ["W", "b"]
    H = run(GRAPH.hessian("loss", names), **DATA, **WEIGHTS)
    assert {n: a.shape for n, a in H.items()} == {
        "W, W": (3, 3, 3, 3),
        "W, b": (3, 3, 3),
        "b, W": (3, 3, 3),
        "b, b": (3, 3),
    }
    np.testing.assert_allclose(H["W, b"], np.moveaxis(H["b, W"], 0, -1), rtol=1e-10, atol=1e-14)
    products = run(GRAPH.hvp("loss", names), **DATA, **WEIGHTS, W_dot=DIRECTION["W"], b_dot=DIRECTION["b"])
    rows = np.tensordot(H["W, W"], DIRECTION["W"], 2) + H["W, b"] @ DIRECTION["b"]
    np.testing.assert_allclose(products["W"], rows, rtol=1e-10, atol=1e-13)


def test_a_jacobian_times_a_direction_is_the_tangent() -> None:
    J = run(uf.jacobian(GRAPH, "last", ["W", "U"]), **DATA, **WEIGHTS)
    assert J["W"].shape == (3, 3, 3)
    got = np.tensordot(J["W"], DIRECTION["W"], 2) + np.tensordot(J["U"], DIRECTION["U"], 2)
    tangent = run(jvp(GRAPH, "last", ["W", "U"]), **DATA, **WEIGHTS, **DOTS)["last_dot"]
    np.testing.assert_allclose(got, tangent, rtol=1e-12)


def test_the_jacobian_of_an_output_over_an_axis_has_a_row_for_each_step() -> None:
    J = run(uf.jacobian(GRAPH, "o", "b"), **DATA, **WEIGHTS)["b"]
    assert J.shape == (T, 2, 3)
    tangent = run(jvp(GRAPH, "o", "b"), **DATA, **WEIGHTS, b_dot=DIRECTION["b"])["o_dot"]
    np.testing.assert_allclose(J @ DIRECTION["b"], tangent, rtol=1e-12)


def test_the_jacobian_of_a_state_in_an_earlier_one() -> None:
    dag = GRAPH.unfold(t=T)
    J = run(dag.jacobian(("h", T), ("h", 1)), **DATA, **WEIGHTS)["h_1"]
    h = GRAPH.run(**DATA, **WEIGHTS)["h"]
    product = np.eye(3)
    for k in range(2, T + 1):
        product = np.diag(1 - h[k - 1] ** 2) @ WEIGHTS["W"] @ product
    np.testing.assert_allclose(J, product, rtol=1e-12)


def test_the_jacobian_of_a_later_state_in_an_earlier_one_is_zero_the_other_way() -> None:
    t = uf.axis("t")
    h = uf.var("h", 3, over=t)
    h[0] = 0
    h[t] = uf.tanh(h[t - 1] + 1.0)
    dag = uf.graph(last=h[t.last]).unfold(t=T)
    np.testing.assert_array_equal(run(dag.jacobian(("h", 1), ("h", 3)))["h_3"], np.zeros((3, 3)))


def test_the_jacobian_of_a_number_is_the_gradient() -> None:
    J = run(uf.jacobian(GRAPH, "loss"), **DATA, **WEIGHTS)
    gradient = run(GRAPH.grad("loss"), **DATA, **WEIGHTS)
    for n in WEIGHTS:
        np.testing.assert_allclose(J[n], gradient[n], rtol=1e-13)


def test_the_jacobian_of_a_matrix_in_a_matrix() -> None:
    A = uf.param("A", "n", "n")
    J = run(uf.jacobian(uf.graph(B=A @ A), "B", "A"), A=WEIGHTS["W"])["A"]
    eye, W = np.eye(3), WEIGHTS["W"]
    np.testing.assert_allclose(
        J, np.einsum("ik,lj->ijkl", eye, W) + np.einsum("ik,lj->ijkl", W, eye), rtol=1e-12
    )


def test_a_jacobian_in_something_over_an_axis_asks_for_an_unfolding() -> None:
    with pytest.raises(uf.NotDifferentiable, match=r"unfold the graph first.*\('x', 1\)"):
        uf.jacobian(GRAPH, "last", "x")
    J = run(uf.jacobian(GRAPH.unfold(t=T), "last", ("x", T)), **DATA, **WEIGHTS)["x_4"]
    assert J.shape == (3, 3)


def test_a_jacobian_of_data_is_refused() -> None:
    with pytest.raises(uf.NotDifferentiable, match="int data"):
        uf.jacobian(GRAPH.unfold(t=T), "loss", ("y", 1))
    with pytest.raises(uf.UnknownName, match="nothing is named"):
        uf.jacobian(GRAPH, "lost")


def test_third_derivatives() -> None:
    x = uf.input("x")
    third = uf.graph(y=uf.sin(x) * x**3).grad("y", "x").grad("x", "x").grad("x", "x")
    a = 0.7
    exact = -np.cos(a) * a**3 - 9 * a**2 * np.sin(a) + 18 * a * np.cos(a) + 6 * np.sin(a)
    np.testing.assert_allclose(run(third, x=a)["x"], exact, rtol=1e-13)


@pytest.mark.parametrize("name", systems.SYSTEMS)
def test_tangents_and_gradients_of_the_systems_are_transposes(name: str) -> None:
    graph = systems.SYSTEMS[name]()
    rng = np.random.default_rng(1)
    sizes = {d: 2 for p in graph.params.values() for d in p.shape if str(d).isidentifier()}
    given = {a for u in graph.inputs.values() for a in u.axes}
    lengths = {a.name: 3 for a in graph.axes if a not in given}
    weights = {n: rng.normal(size=a.shape) for n, a in graph.init(**sizes).items()}
    arrays = {}
    for u in graph.inputs.values():
        shape = (*[3] * len(u.axes), *(d if isinstance(d, int) else sizes.get(d, 2) for d in u.shape))
        arrays[u.op.label] = rng.integers(0, 2, shape) if u.dtype == "int" else rng.normal(size=shape)
    direction = {n: rng.normal(size=np.shape(a)) for n, a in weights.items()}
    _, gradient = graph.value_and_grad("loss", backend="reference")(**arrays, **weights, **lengths)
    got = run(
        graph.jvp("loss"), **arrays, **weights, **lengths, **{n + "_dot": v for n, v in direction.items()}
    )
    expected = sum(np.sum(gradient[n] * direction[n]) for n in weights)
    np.testing.assert_allclose(got["loss_dot"], expected, rtol=1e-10)


@given(st.integers(1, 5), st.integers(-2, 3), st.integers(0, 10**6))
@settings(max_examples=10, deadline=None)
def test_forward_and_reverse_agree_for_any_length_and_lag(size: int, lag: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    t = uf.axis("t")
    x, w = uf.input("x", 2, over=t), uf.param("w", 2, 2)
    h, g = uf.var("h", 2, over=t), uf.var("g", 2, over=t)
    h[0] = w @ [1.0, -1.0]
    h[t] = uf.tanh(w @ h[t - 1] + x[t])
    for k in range(max(lag, 0)):
        if k:
            h[-k] = 0.5 * k
    for k in range(max(-lag, 0)):
        h[t.last + 1 + k] = -0.5
    g[t] = h[t - lag] * x[t]
    graph = uf.graph(y=uf.sum(uf.sum(uf.sin(g[t])), over=t))
    arrays = {"x": rng.normal(size=(size, 2)), "w": rng.normal(size=(2, 2))}
    v = {"x": rng.normal(size=(size, 2)), "w": rng.normal(size=(2, 2))}
    got = run(graph.jvp("y", ["x", "w"]), **arrays, x_dot=v["x"], w_dot=v["w"])["y_dot"]
    _, gradient = graph.value_and_grad("y", ["x", "w"], backend="reference")(**arrays)
    np.testing.assert_allclose(got, sum(np.sum(gradient[n] * v[n]) for n in v), rtol=1e-9, atol=1e-12)


def test_every_operation_has_one_jvp_rule_or_none() -> None:
    """Forward mode is derived: only operations where that is shorter or exact write their own."""
    from unfold.core.node import OPERATIONS

    own = {n for n, op in OPERATIONS.items() if "jvp" in op.__dict__}
    assert own <= {"contract"}
    assert Op.jvp is not None
