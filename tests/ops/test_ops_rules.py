"""Rules of operations beyond values: ties, errors, complex numbers, names, axes, a user's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from evaluation import inputs_of, results, run
from hypothesis import given, settings
from hypothesis import strategies as st

import unfold as uf
from unfold.core.node import FUNCTIONS, OPERATIONS
from unfold.core.op import Elementwise
from unfold.notation.latex import equation as tex_of
from unfold.ops.examples import all_examples


def gradient(call: Callable[..., Any], *arrays: Any) -> list[Any]:
    """The gradient of the sum of what `call` gives, in each argument."""
    given_arrays = dict(zip("abc", (np.asarray(x, float) for x in arrays), strict=False))
    nodes = [uf.input(n, *x.shape) for n, x in given_arrays.items()]
    graph = uf.graph(y=uf.sum(call(*nodes)))
    g = graph.value_and_grad("y", list(given_arrays), backend="reference")(**given_arrays)[1]
    return [g[n].tolist() for n in given_arrays]


TIES: dict[str, tuple[Callable[..., Any], tuple[Any, ...], list[Any]]] = {
    "maximum: to the first": (uf.maximum, (1.0, 1.0), [1.0, 0.0]),
    "minimum: to the first": (uf.minimum, (1.0, 1.0), [1.0, 0.0]),
    "max: shared": (uf.max, ([2.0, 1.0, 2.0],), [[0.5, 0.0, 0.5]]),
    "min: shared": (uf.min, ([1.0, 1.0, 2.0],), [[0.5, 0.5, 0.0]]),
    "relu at 0: 0": (uf.relu, (0.0,), [0.0]),
    "leaky_relu at 0: the slope": (uf.leaky_relu, (0.0,), [0.01]),
    "abs at 0: 0": (uf.abs, (0.0,), [0.0]),
    "sign: 0": (uf.sign, (3.0,), [0.0]),
    "clip at a bound: to a": (lambda a: uf.clip(a, 0.0, 1.0), ([0.0, 1.0, 2.0],), [[1.0, 1.0, 0.0]]),
    "elu at 0: alpha": (lambda a: uf.elu(a, 0.5), (0.0,), [0.5]),
    "norm at 0: 0": (uf.norm, ([0.0, 0.0],), [[0.0, 0.0]]),
    "hypot at 0: 0": (uf.hypot, (0.0, 0.0), [0.0, 0.0]),
    "std of equal entries: 0": (uf.std, ([1.0, 1.0],), [[0.0, 0.0]]),
    "power with base 0": (lambda a: a**3, (0.0,), [0.0]),
    "power to the 0": (uf.power, (0.0, 0.0), [0.0, 0.0]),
    "sort: in their order": (lambda a: uf.sort(a)[0], ([1.0, 1.0],), [[1.0, 0.0]]),
    "cummax: to the first": (uf.cummax, ([1.0, 1.0, 0.0],), [[3.0, 0.0, 0.0]]),
    "prod with one zero": (uf.prod, ([2.0, 0.0, 3.0],), [[0.0, 6.0, 0.0]]),
    "prod with two zeros": (uf.prod, ([2.0, 0.0, 0.0],), [[0.0, 0.0, 0.0]]),
    "cumprod with a zero": (uf.cumprod, ([2.0, 0.0, 3.0],), [[1.0, 2.0 + 6.0, 0.0]]),
    "cumprod with two zeros": (uf.cumprod, ([2.0, 0.0, 0.0],), [[1.0, 2.0, 0.0]]),
    "sinc at 0": (uf.sinc, (0.0,), [0.0]),
    "mae where equal: 0": (uf.mae, ([1.0], [1.0]), [[0.0], [0.0]]),
    "floor: 0": (uf.floor, (1.5,), [0.0]),
    "stop_gradient: 0": (lambda a: uf.stop_gradient(a) * a, (3.0,), [3.0]),
}


@pytest.mark.parametrize("name", TIES)
def test_subgradients_at_ties_are_the_declared_ones(name: str) -> None:
    call, arrays, expected = TIES[name]
    assert gradient(call, *arrays) == expected


@given(st.lists(st.floats(-0.05, 0.05), min_size=1, max_size=6))
@settings(max_examples=30, deadline=None)
def test_the_derivative_of_sinc_is_smooth_where_its_series_takes_over(points: list[float]) -> None:
    x = np.array(points)
    (got,) = gradient(uf.sinc, x)
    near = -(np.pi**2) * x / 3 + np.pi**4 * x**3 / 30 - np.pi**6 * x**5 / 840 + np.pi**8 * x**7 / 45360
    np.testing.assert_allclose(got, near, rtol=1e-8, atol=1e-15)


# ---------------------------------------------------------------------- complex numbers
COMPLEX: dict[str, Callable[[Any], Any]] = {
    **{
        name: FUNCTIONS[name]
        for name, op in OPERATIONS.items()
        if issubclass(op, Elementwise) and len(op.domain) == 1 and not op.real and op.differentiable
        if name in FUNCTIONS and name != "stop_gradient"
    },
    "multiply": lambda z: z * (z + 1j),
    "divide": lambda z: (z + 1) / (z + 3j),
    "power": lambda z: z**3,
    "absolute": uf.abs,
    "angle": uf.angle,
    "matmul": lambda z: z @ z,
    "inner product with a conjugate": lambda z: uf.vdot(z, z * 2j),
    "sum, cumsum, prod": lambda z: uf.sum(z) * uf.cumsum(z) + uf.prod(z),
    "inv, det": lambda z: uf.inv(z) * uf.det(z),
    "solve": lambda z: uf.solve(z, uf.conj(z)),
    "softmax": uf.softmax,
    "norm": uf.norm,
    "take, concat": lambda z: uf.concat(z[[1, 0, 1]], uf.conj(z), axis=0),
}


@pytest.mark.parametrize("name", COMPLEX)
def test_gradients_in_complex_numbers(name: str) -> None:
    """dL = Re(sum(gradient * dz)), for real L; checked by extrapolated differences."""
    rng = np.random.default_rng(3)
    low, high = OPERATIONS[name].domain[0] if name in OPERATIONS else (0.5, 1.5)
    z = rng.uniform(low, high, (2, 2)) + 0.3j * rng.normal(size=(2, 2))
    d = rng.normal(size=(2, 2)) + 1j * rng.normal(size=(2, 2))
    node = uf.param("z", 2, 2, dtype=complex)
    y = COMPLEX[name](node)
    weights = rng.normal(size=tuple(map(int, y.shape))) + 1j * rng.normal(size=tuple(map(int, y.shape)))
    graph = uf.graph(y=uf.sum(uf.real(weights * y)))
    g = run(graph.grad("y"), z=z)["z"]
    assert np.iscomplexobj(g)
    table = [
        (run(graph, z=z + h * d)["y"] - run(graph, z=z - h * d)["y"]) / (2 * h) for h in (1e-2, 5e-3, 2.5e-3)
    ]
    for order in (1, 2):
        table = [(4**order * b - a) / (4**order - 1) for a, b in pairwise(table)]
    np.testing.assert_allclose(np.sum(g * d).real, np.real(table[0]), rtol=1e-7)
    tangent = run(graph.jvp("y"), z=z, z_dot=d)["y_dot"]
    np.testing.assert_allclose(np.real(tangent), np.sum(g * d).real, rtol=1e-10)


def test_a_real_parameter_among_complex_numbers_has_a_real_gradient() -> None:
    a, z = uf.param("a", 2), uf.input("z", 2, dtype=complex)
    graph = uf.graph(y=uf.sum(uf.real(a * z * 1j)))
    g = run(graph.grad("y"), a=np.ones(2), z=np.array([1 + 2j, 3 - 1j]))["a"]
    np.testing.assert_allclose(g, [-2.0, 1.0])


@pytest.mark.parametrize("name", sorted(n for n, op in OPERATIONS.items() if op.real and n in FUNCTIONS))
def test_operations_on_real_numbers_refuse_complex_ones(name: str) -> None:
    if name in ("abs", "equal"):
        return
    z = uf.input("z", 2, 2, dtype=complex)
    op = OPERATIONS[name]
    count = len(op.domain) if issubclass(op, Elementwise) else 1
    with pytest.raises(uf.ShapeMismatch, match="real numbers"):
        FUNCTIONS[name](*[z] * count)


# ---------------------------------------------------------------------- names and errors
def test_shapes_with_names() -> None:
    a, b = uf.input("a", "n", "m"), uf.input("b", "m")
    shapes: list[tuple[Any, tuple[Any, ...]]] = [
        (uf.kron(a, a), ("n*n", "m*m")),
        (uf.ravel(a), ("m*n",)),
        (uf.repeat(a, 2, 0), ("2*n", "m")),
        (uf.tile(b, 3), ("3*m",)),
        (uf.pad(b, (1, 2)), ("m + 3",)),
        (uf.diff(b), ("m - 1",)),
        (uf.roll(b, 1), ("m",)),
        (uf.eye("n"), ("n", "n")),
        (uf.tensordot(a, b, 1), ("n",)),
        (uf.split(uf.tile(b, 2), 2)[1], ("m",)),
        (uf.moveaxis(a, 0, 1), ("m", "n")),
        (uf.conv1d(a, uf.input("f", "o", 3, "m")), ("n - 2", "o")),
        (uf.diag(b), ("m", "m")),
        (uf.layer_norm(a), ("n", "m")),
    ]
    for node, shape in shapes:
        assert node.shape == shape, node


def test_operations_with_names_have_the_right_gradients() -> None:
    a, b = uf.input("a", "n", "m"), uf.input("b", "m")
    parts = [
        uf.sum(uf.sin(uf.kron(a, a))),
        uf.sum(uf.sin(uf.roll(uf.pad(b, (1, 2)), 2))),
        uf.mean(uf.sin(uf.tile(uf.diff(b), 2))),
        uf.sum(uf.eye("m") @ uf.variance(a, over=0)),
        uf.sum(uf.flip(a, 1) @ b * a[-1, 0]),
    ]
    graph = uf.graph(y=uf.add(*parts))
    rng = np.random.default_rng(0)
    arrays = {"a": rng.normal(size=(2, 3)), "b": rng.normal(size=3)}
    d = {n: rng.normal(size=x.shape) for n, x in arrays.items()}
    _, g = graph.value_and_grad("y", ["a", "b"], backend="reference")(**arrays)
    step = run(graph, **{n: x + 1e-100j * d[n] for n, x in arrays.items()})["y"].imag / 1e-100
    np.testing.assert_allclose(sum(np.sum(g[n] * d[n]) for n in d), step, rtol=1e-12)


A, V = uf.input("A", 2, 3), uf.input("v", "n")
I = uf.input("i", dtype=int)
ERRORS: dict[str, tuple[Callable[[], Any], str]] = {
    "inverse of a rectangle": (lambda: uf.inv(A), r"inv: .*\(2, 3\).*square matrix"),
    "solve with another size": (
        lambda: uf.solve(uf.eye(3), uf.input("b", 2)),
        "solve: .*vector or matrix of its size",
    ),
    "triangle of a vector": (lambda: uf.tril(V), "part of a matrix"),
    "diagonal of a number": (lambda: uf.diag(uf.input("s")), "square matrix"),
    "no such dimension": (lambda: uf.sum(A, over=2), r"\(2, 3\): no dimension 2"),
    "unequal parts": (lambda: uf.split(A, 2, axis=1), "3 cannot be split into 2 equal parts"),
    "squeeze of more than 1": (lambda: uf.squeeze(A, 0), "is not 1"),
    "unstack of a name": (lambda: uf.unstack(V), "no fixed size"),
    "float indices": (lambda: uf.take(A, V), "indices are integers"),
    "index out of range": (lambda: A[:, [0, 3]], r"no index \[0, 3\]"),
    "mask of another size": (lambda: A[np.array([True, False, True])], r"the mask is \(3,\)"),
    "a condition as an index": (lambda: A[A > 0], "uf.where"),
    "mixed indices": (lambda: A[I, :, None, I], "index in two steps"),
    "rows that do not fit": (lambda: uf.scatter_add(A, I, V), "go rows of shape"),
    "einsum, one letter too many": (lambda: uf.einsum("ijk->i", A), "wants 3 dimensions"),
    "einsum, unknown letter": (lambda: uf.einsum("ij->k", A), "k stands only after the arrow"),
    "kron of different ranks": (lambda: uf.kron(A, V), "two vectors or two matrices"),
    "class that is no integer": (lambda: uf.cross_entropy(V, uf.input("y")), "dtype=int"),
    "conv1d filters": (lambda: uf.conv1d(A, A), "filters are"),
    "an axis it does not have": (lambda: uf.sum(A, over=uf.axis("t")), "does not vary over t"),
    "a window over nothing": (lambda: uf.window(A, 2, over=uf.axis("t")), "does not vary over t"),
    "matrix with a number": (lambda: A @ 2.0, "use \\*"),
    "too few arguments": (lambda: uf.multiply(A), "multiply takes 2 arguments"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_what_does_not_fit_is_told(name: str) -> None:
    call, message = ERRORS[name]
    with pytest.raises(uf.UnfoldError, match=message):
        call()


# ---------------------------------------------------------------------- along an axis
T = 6
X = np.random.default_rng(5).normal(size=(T, 2))


def over_time(call: Callable[[Any, Any], Any], **more: Any) -> Any:
    t = uf.axis("t")
    return run(uf.graph(y=call(uf.input("x", 2, over=t)[t], t)), x=X, **more)["y"]


ALONG: dict[str, tuple[Callable[[Any, Any], Any], Any]] = {
    "sum": (lambda x, t: uf.sum(x, over=t), X.sum(0)),
    "mean of all": (lambda x, t: uf.mean(x, over=(t, 0)), X.mean()),
    "max": (lambda x, t: uf.max(x, over=t), X.max(0)),
    "min": (lambda x, t: uf.min(x, over=t), X.min(0)),
    "prod": (lambda x, t: uf.prod(x, over=t), X.prod(0)),
    "variance": (lambda x, t: uf.variance(x, over=t, ddof=1), X.var(0, ddof=1)),
    "norm": (lambda x, t: uf.norm(x, over=t), np.linalg.norm(X, axis=0)),
    "logsumexp": (lambda x, t: uf.logsumexp(x, over=t), np.log(np.exp(X).sum(0))),
    "softmax": (lambda x, t: uf.softmax(x, over=t), np.exp(X) / np.exp(X).sum(0)),
    "cumsum": (lambda x, t: uf.cumsum(x, over=t), X.cumsum(0)),
    "cumprod": (lambda x, t: uf.cumprod(x, over=t), X.cumprod(0)),
    "cummax": (lambda x, t: uf.cummax(x, over=t), np.maximum.accumulate(X)),
    "sort": (lambda x, t: uf.sort(x, over=t), np.sort(X, axis=0)),
    "argmax": (lambda x, t: uf.argmax(x, over=t), X.argmax(0)),
    "any": (lambda x, t: uf.where(uf.any(x > 1, over=t), 1, 0), (X > 1).any(0)),
    "window": (lambda x, t: uf.window(x, 3, over=t)[0], np.vstack([np.zeros((2, 2)), X[:-2]])),
    "window of one": (lambda x, t: uf.window(x, 1, over=t)[0], X),
    "step 4": (lambda x, t: uf.take(x, 4, over=t), X[3]),
    "steps 2 and 5": (lambda x, t: uf.take(x, [2, 5], over=t), X[[1, 4]]),
    "no such step": (lambda x, t: uf.take(x, 0, over=t), [np.nan, np.nan]),
    "last valid": (lambda x, t: uf.last_valid(x, uf.step(t) < 4, over=t), X[2]),
    "never valid": (lambda x, t: uf.last_valid(x, uf.step(t) < 0, over=t), [0.0, 0.0]),
    "back and forth": (lambda x, t: uf.take(x, uf.step(t.last) + 1 - uf.step(t), over=t), X[::-1]),
    "layer_norm": (lambda x, t: uf.layer_norm(x, over=t, eps=0.0), (X - X.mean(0)) / X.std(0)),
}


@pytest.mark.parametrize("name", ALONG)
def test_along_an_axis(name: str) -> None:
    call, want = ALONG[name]
    np.testing.assert_allclose(over_time(call), want, rtol=1e-12)


@pytest.mark.parametrize(
    "name", [n for n in ALONG if n not in ("argmax", "any", "no such step", "never valid")]
)
def test_gradients_along_an_axis(name: str) -> None:
    t = uf.axis("t")
    y = ALONG[name][0](uf.input("x", 2, over=t)[t], t)
    rng = np.random.default_rng(0)
    out = uf.sin(y * rng.normal(size=[int(n) for n in y.shape]))
    number = uf.sum(out) if y.shape else out
    graph = uf.graph(y=uf.sum(number, over=t) if number.axes else number)
    d = rng.normal(size=X.shape)
    step = run(graph, x=X + 1e-100j * d)["y"].imag / 1e-100
    for form in (graph, graph.unfold(t=T)):
        analytic = np.sum(run(form.grad("y", "x"), x=X)["x"] * d)
        np.testing.assert_allclose(analytic, step, rtol=1e-11)
        np.testing.assert_allclose(run(form.jvp("y", "x"), x=X, x_dot=d)["y_dot"], step, rtol=1e-11)


# ---------------------------------------------------------------------- a user's own
def test_a_users_operation_is_one_small_class() -> None:
    from unfold import Elementwise, operation

    @dataclass(frozen=True)
    class Gaussian(Elementwise):
        """exp(-a**2)"""

        def forward(self, xp: Any, a: Any) -> Any:
            return xp.exp(-(a * a))

        def vjp(self, ct: Any, y: Any, a: Any) -> Any:
            return (-2.0 * ct * a * y,)

    gaussian = operation(Gaussian)
    try:
        t = uf.axis("t")
        x, w = uf.input("x", over=t), uf.param("w")
        s = uf.var("s", over=t)
        s[0] = 0
        s[t] = gaussian(w * s[t - 1] + x[t])
        graph = uf.graph(y=uf.sum(s[t], over=t))
        data = {"x": X[:, 0], "w": 0.5}
        step = run(graph, x=X[:, 0], w=0.5 + 1e-100j)["y"].imag / 1e-100
        np.testing.assert_allclose(run(graph.grad("y"), **data)["w"], step, rtol=1e-12)
        np.testing.assert_allclose(run(graph.jvp("y"), **data, w_dot=1.0)["y_dot"], step, rtol=1e-12)
        assert uf.gaussian is gaussian
        assert "exp(-a**2)" in __import__("unfold.apps.operations", fromlist=["table"]).table("gaussian")
    finally:
        del OPERATIONS["gaussian"], FUNCTIONS["gaussian"]


def test_every_operation_has_text_latex_and_a_symbol() -> None:
    for example in all_examples():
        for y in results(example.call(*inputs_of(example))):
            assert str(y)
            assert tex_of(y)
    for op in OPERATIONS.values():
        assert op.symbol
        assert op.__doc__
