"""Kinds of programs that an engine computes wrongly in silence, each with loops by hand to compare with.

A case is a few equations and what they mean, in NumPy. It runs with every pass and with none, twice, and
its plan is proven; what is differentiable is compared with differences of the loops by hand.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unfold as uf
from unfold.engine.binding import bind
from unfold.engine.numpy.executable import compiled
from unfold.engine.planning import PASSES, plan
from unfold.engine.proof import prove
from unfold.engine.run import _joint

rng = np.random.default_rng(7)
t, i, j, k = (uf.axis(name) for name in "tijk")
SETTINGS = [PASSES, (), *((p,) for p in PASSES), *(tuple(q for q in PASSES if q != p) for p in PASSES)]


def drawn(*shape: int) -> Any:
    """Numbers that are all different."""
    return rng.normal(size=shape)


def holds(graph: Any, arrays: dict[str, Any], name: str, want: Any) -> None:
    """An output is what the loops by hand give, whatever is left out of the plan."""
    bound = bind(graph, arrays)
    for passes in SETTINGS:
        program = plan(graph, bound, passes=passes)
        prove(program)
        run = compiled(program)
        for _ in range(2):
            got = run(bound.arrays)[name]
            assert np.shape(got) == np.shape(want), passes
            np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12, err_msg=str(passes))


def slopes_hold(graph: Any, arrays: dict[str, Any], by_hand: Any, *names: str) -> None:
    """Gradients of the loss are the differences of the loops by hand."""
    joint = _joint(graph, "loss", names)
    step = 1e-6
    for name in names:
        want = np.zeros(np.shape(arrays[name]))
        for at in np.ndindex(want.shape):
            moved = np.zeros(want.shape)
            moved[at] = step
            ends = [by_hand(**{**arrays, name: arrays[name] + s * moved}) for s in (1, -1)]
            want[at] = (ends[0] - ends[1]) / (2 * step)
        bound = bind(joint, arrays)
        for passes in SETTINGS[:2]:
            program = plan(joint, bound, passes=passes)
            prove(program)
            got = compiled(program)(bound.arrays)["d" + name]
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-7, err_msg=f"{name} {passes}")


# ---------------------------------------------------------------------- products over different axes
PRODUCTS = {
    "matrix, matrix": ((2, 3), (3, 2), "ab,bc->ac"),
    "matrix, vector": ((2, 3), (3,), "ab,b->a"),
    "vector, matrix": ((3,), (3, 2), "a,ab->b"),
    "vector, vector": ((3,), (3,), "a,a->"),
}


@pytest.mark.parametrize("sizes", [(3, 3, 3), (2, 4, 3), (1, 3, 2), (0, 2, 2)])
@pytest.mark.parametrize(
    "axes", [("t", "j"), ("tj", "j"), ("t", "tj"), ("jt", "tk"), ("", "jt"), ("tjk", "")]
)
@pytest.mark.parametrize("name", PRODUCTS)
def test_products_of_values_over_different_axes(name, axes, sizes):
    (one, other, spec), known = PRODUCTS[name], {"t": t, "j": j, "k": k}
    extents = dict(zip("tjk", sizes, strict=True))
    over = [tuple(known[a] for a in letters) for letters in axes]
    A, B = uf.input("A", *one, over=over[0]), uf.input("B", *other, over=over[1])
    product = A[over[0]] @ B[over[1]] if over[0] and over[1] else None
    if product is None:
        product = (A[over[0]] if over[0] else A) @ (B[over[1]] if over[1] else B)
    a, b = (
        drawn(*(extents[x] for x in letters), *shape)
        for letters, shape in zip(axes, (one, other), strict=True)
    )
    graph = uf.graph(y=product)
    letters = {"t": "T", "j": "J", "k": "K"}
    order = "".join(letters[x.name] for x in graph.outputs["y"].axes)
    left, right, out = spec.replace("->", ",").split(",")
    lead = ["".join(letters[x] for x in text) for text in axes]
    want = np.einsum(f"{lead[0]}{left},{lead[1]}{right}->{order}{out}", a, b)
    holds(graph, {"A": a, "B": b}, "y", want)


def test_a_loop_over_one_axis_multiplies_by_what_varies_over_another():
    M, x, h = uf.input("M", 2, 2, over=j), uf.input("x", 2, over=t), uf.var("h", 2, over=(t, j))
    h[0, j] = 0
    h[t, j] = uf.tanh(M[j] @ h[t - 1, j] + x[t])
    graph = uf.graph(h=h[t, j], loss=uf.sum(uf.sum(h[t, j] ** 2), over=(t, j)))

    def by_hand(M, x):
        out = np.zeros((len(x), len(M), 2))
        for n, matrix in enumerate(M):
            state = np.zeros(2)
            for step, row in enumerate(x):
                state = out[step, n] = np.tanh(matrix @ state + row)
        return out

    arrays = {"M": drawn(3, 2, 2), "x": drawn(3, 2)}
    holds(graph, arrays, "h", by_hand(**arrays))
    slopes_hold(graph, arrays, lambda **a: (by_hand(**a) ** 2).sum(), "M", "x")


# ---------------------------------------------------------------------- values that lack an axis
@pytest.mark.parametrize("sizes", [(3, 3), (3, 2), (1, 3)])
def test_values_that_lack_an_axis_are_the_same_along_it(sizes):
    steps, width = sizes
    c, x, v = uf.param("c", 2), uf.input("x", 2, over=i), uf.var("v", 2, over=(t, i))
    v[0, i] = x[i]
    v[t, i] = c
    graph = uf.graph(y=v[t - 1, i] * x[i])
    arrays = {"c": drawn(2), "x": drawn(width, 2), "t": steps}
    want = np.broadcast_to(arrays["c"] * arrays["x"], (steps, width, 2)).copy()
    want[0] = arrays["x"] ** 2
    holds(graph, arrays, "y", want)


def test_a_state_without_an_axis_joins_one_with_it():
    a, x = uf.param("a", 2), uf.input("x", 2, over=(t, i))
    s, h = uf.var("s", 2, over=t), uf.var("h", 4, over=(t, i))
    s[0] = a
    s[t] = 0.5 * s[t - 1]
    h[t, i] = uf.concat([s[t], x[t, i]])
    arrays = {"a": drawn(2), "x": drawn(3, 3, 2)}
    halves = arrays["a"] * 0.5 ** np.arange(1, 4)[:, None]
    want = np.concatenate([np.broadcast_to(halves[:, None], (3, 3, 2)), arrays["x"]], 2)
    holds(uf.graph(h=h[t, i]), arrays, "h", want)


# ---------------------------------------------------------------------- boundaries
def test_a_boundary_of_more_axes_than_its_equation():
    p, x, v = uf.param("p"), uf.input("x", over=i), uf.var("v", over=(t, i))
    v[0, i] = x[i]
    v[t, i] = p
    graph = uf.graph(loss=uf.sum(v[t - 1, i] ** 2, over=(t, i)))

    def by_hand(p, x, t):
        return (x**2).sum() + (t - 1) * len(x) * p**2

    arrays = {"p": np.array(0.7), "x": drawn(3), "t": 4}
    holds(graph, arrays, "loss", by_hand(**arrays))
    slopes_hold(graph, arrays, by_hand, "p", "x")


def test_a_boundary_of_fewer_axes_than_its_equation():
    a, x, h = uf.param("a"), uf.input("x", over=(i, t)), uf.var("h", over=(t, i))
    h[0, i] = a
    h[t, i] = h[t - 1, i] * x[i, t]
    graph = uf.graph(h=h[t, i], loss=uf.sum(h[t, i] ** 2, over=(t, i)))

    def by_hand(a, x):
        return a * np.cumprod(x.T, 0)

    arrays = {"a": np.array(0.7), "x": drawn(3, 3)}
    holds(graph, arrays, "h", by_hand(**arrays))
    slopes_hold(graph, arrays, lambda **n: (by_hand(**n) ** 2).sum(), "a", "x")


@pytest.mark.parametrize("sizes", [(3, 4), (3, 3), (1, 2), (4, 1)])
def test_a_boundary_that_an_outer_loop_computes(sizes):
    b, h = uf.input("b", over=(j, i)), uf.var("h", over=(j, i))
    h[0, i] = 0
    h[j, 0] = h[j - 1, i.last]
    h[j, i] = 0.9 * h[j, i - 1] + b[j, i]
    graph = uf.graph(h=h[j, i], loss=uf.sum(h[j, i] ** 2, over=(j, i)))

    def by_hand(b):
        state, out = 0.0, np.zeros(b.shape)
        for at in np.ndindex(b.shape):
            state = out[at] = 0.9 * state + b[at]
        return out

    arrays = {"b": drawn(*sizes)}
    holds(graph, arrays, "h", by_hand(**arrays))
    slopes_hold(graph, arrays, lambda b: (by_hand(b) ** 2).sum(), "b")


@pytest.mark.parametrize("back", [1, 2])
@pytest.mark.parametrize("first", [True, False])
def test_a_fixed_read_that_meets_a_boundary_in_a_batch(back, first):
    h0, h1, x, h = uf.param("h0"), uf.param("h1"), uf.input("x", over=t), uf.var("h", over=t)
    h[0], h[-1] = h0, h1
    h[t] = h[t - 1] * x[t] + 0.5 * h[t - 2]
    graph = uf.graph(loss=uf.sum(h[t.last - back] ** 2)).batch("n", batch_first=first)
    for steps in (1, 2, 3):
        arrays = {
            "h0": np.array(0.3),
            "h1": np.array(0.8),
            "x": drawn(*((4, steps) if first else (steps, 4))),
        }
        want = []
        for row in arrays["x"] if first else arrays["x"].T:
            line = [0.8, 0.3]
            for number in row:
                line.append(line[-1] * number + 0.5 * line[-2])
            want.append(line[-1 - back] ** 2)
        holds(graph, arrays, "loss", np.mean(want) if not graph.outputs["loss"].axes else np.array(want))


# ---------------------------------------------------------------------- constants and halves
CONSTANTS = {
    "a vector": lambda W, U, p: U @ uf.constant(np.array([0.5, 0.25])),
    "one number": lambda W, U, p: U[:, :1] @ uf.constant(np.array([0.5])),
    "ones": lambda W, U, p: U @ uf.constant(np.ones(2)),
    "a matrix": lambda W, U, p: uf.constant(np.array([[0.5, 1.0], [2.0, 0.25], [1.0, 1.0]])) @ U[0],
    "a number that broadcasts": lambda W, U, p: uf.sum(p),
}


@pytest.mark.parametrize("function", ["tanh", "sigmoid"])
@pytest.mark.parametrize("scale", [None, 0.5])
@pytest.mark.parametrize("name", CONSTANTS)
def test_products_with_constants_in_a_small_recurrence(name, scale, function):
    W, U, p, x = uf.param("W", 3, 3), uf.param("U", 3, 2), uf.param("p", 3), uf.input("x", 2, over=t)
    h = uf.var("h", 3, over=t)
    h[0] = 0
    scaled = W if scale is None else W * scale
    h[t] = getattr(uf, function)(scaled @ h[t - 1] + U @ x[t] + CONSTANTS[name](W, U, p) + p)
    graph = uf.graph(loss=uf.sum(uf.sum(h[t]), over=t))
    more = {
        "a vector": lambda U, p: U @ [0.5, 0.25],
        "one number": lambda U, p: U[:, 0] * 0.5,
        "ones": lambda U, p: U.sum(1),
        "a matrix": lambda U, p: np.array([[0.5, 1.0], [2.0, 0.25], [1.0, 1.0]]) @ U[0],
        "a number that broadcasts": lambda U, p: p.sum(),
    }[name]

    def by_hand(W, U, p, x):
        state, total = np.zeros(3), 0.0
        for row in x:
            z = (scale or 1.0) * W @ state + U @ row + more(U, p) + p
            state = np.tanh(z) if function == "tanh" else 1 / (1 + np.exp(-z))
            total += state.sum()
        return total

    arrays = {"W": drawn(3, 3), "U": drawn(3, 2), "p": drawn(3), "x": drawn(4, 2)}
    holds(graph, arrays, "loss", by_hand(**arrays))
    slopes_hold(graph, arrays, by_hand, "W", "U", "p")


@pytest.mark.parametrize("scales", [(0.5, None), (0.5, 0.5), (None, 0.5), (0.25, 0.5)])
def test_gates_of_halves_of_matrices(scales):
    Wz, Wg, x, h = (
        uf.param("Wz", 2, 2),
        uf.param("Wg", 2, 2),
        uf.input("x", 2, over=t),
        uf.var("h", 2, over=t),
    )
    h[0] = 0
    A, B = (m if s is None else m * s for m, s in zip((Wz, Wg), scales, strict=True))
    z, g = uf.sigmoid(A @ h[t - 1] + x[t]), uf.tanh(B @ h[t - 1] + x[t])
    h[t] = z * h[t - 1] + (1 - z) * g
    graph = uf.graph(loss=uf.sum(uf.sum(h[t]), over=t))

    def by_hand(Wz, Wg, x):
        state, total = np.zeros(2), 0.0
        a, b = (m * (s or 1.0) for m, s in zip((Wz, Wg), scales, strict=True))
        for row in x:
            gate = 1 / (1 + np.exp(-(a @ state + row)))
            state = gate * state + (1 - gate) * np.tanh(b @ state + row)
            total += state.sum()
        return total

    arrays = {"Wz": drawn(2, 2), "Wg": drawn(2, 2), "x": drawn(4, 2)}
    holds(graph, arrays, "loss", by_hand(**arrays))
    slopes_hold(graph, arrays, by_hand, "Wz", "Wg", "x")


# ---------------------------------------------------------------------- nothing at all
@pytest.mark.parametrize("backend", ["numpy", "reference"])
@pytest.mark.parametrize("start", [[20.0, 30.0], [0.5, -0.5]])
def test_no_steps_at_all(start, backend):
    h0, x, h = uf.param("h0", 2), uf.input("x", 2, over=t), uf.var("h", 2, over=t)
    h[0] = h0
    h[t] = h[t - 1] * x[t]
    total = uf.sum(uf.sum(h[t]), over=t)
    graph = uf.graph(loss=uf.sum(h[t.last]) + total, total=total, h=h)
    arrays = {"x": np.zeros((0, 2)), "h0": np.array(start)}
    out = graph.compile(backend)(**arrays)
    assert (out.loss, out.total, out.h.shape) == (sum(start), 0.0, (0, 2))
    value, grads = graph.value_and_grad("loss", ["h0", "x"], backend=backend)(**arrays)
    assert (value, grads["h0"].tolist(), grads["x"].shape) == (sum(start), [1.0, 1.0], (0, 2))


@pytest.mark.parametrize("backend", ["numpy", "reference"])
@pytest.mark.parametrize("sizes", [(0, 2, 3), (2, 0, 3), (2, 3, 0), (0, 0, 0)])
def test_dimensions_of_nothing(sizes, backend):
    inputs, hidden, batch = sizes
    graph = uf.systems.rnn().batch("n", reduce="sum")
    weights = {
        "W": np.ones((hidden, hidden)),
        "U": np.ones((hidden, inputs)),
        "b": np.ones(hidden),
        "V": np.ones((2, hidden)),
        "c": np.array([0.5, 0.25]),
    }
    arrays = {"x": np.ones((3, batch, inputs)), "y": np.zeros((3, batch), int), **weights}
    value, grads = graph.value_and_grad("loss", backend=backend)(**arrays)
    want = graph.value_and_grad("loss", backend="reference")(**arrays)
    np.testing.assert_allclose(value, want[0])
    for name, gradient in want[1].items():
        assert grads[name].shape == arrays[name].shape
        np.testing.assert_allclose(grads[name], gradient, atol=1e-12)
