"""Values of every operation against NumPy and SciPy: shapes, dtypes, layouts, edges."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.special as special
from evaluation import draw, graph_of, run
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import unfold as uf
from unfold.core.node import FUNCTIONS, OPERATIONS
from unfold.core.op import Elementwise
from unfold.ops import examples
from unfold.ops.examples import Example, all_examples


def _softplus(a: Any) -> Any:
    return np.logaddexp(0, a)


def _clip(a: Any, low: Any = None, high: Any = None) -> Any:
    return np.clip(a, low, high)


def _by_over(f: Callable[..., Any]) -> Callable[..., Any]:
    def function(a: Any, over: Any = None, keepdims: bool = False, **rest: Any) -> Any:
        return f(a, axis=over, keepdims=keepdims, **rest)

    return function


def _along(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda a, over=-1: f(a, axis=over)


def _softmax(a: Any, over: Any = -1) -> Any:
    return special.softmax(a, axis=over)


def _cross_entropy(o: Any, y: Any, weights: Any = None, smoothing: float = 0.0) -> Any:
    target = (1 - smoothing) * np.eye(len(o))[y] + smoothing / len(o)
    return -(target * special.log_softmax(o)).sum() * (1 if weights is None else weights[y])


def _conv1d(a: Any, w: Any) -> Any:
    n, k = len(a) - w.shape[1] + 1, w.shape[1]
    return np.stack([np.einsum("okc,kc->o", w, a[i : i + k]) for i in range(n)])


def _layer_norm(a: Any, gain: Any, bias: Any) -> Any:
    return gain * (a - a.mean(-1, keepdims=True)) / np.sqrt(a.var(-1, keepdims=True) + 1e-5) + bias


def _scatter_add(a: Any, i: Any, b: Any) -> Any:
    out = a.copy()
    np.add.at(out, i, b)
    return out


def _take_along_axis(a: Any, i: Any, over: Any = -1) -> Any:
    return np.take_along_axis(a, i, axis=over)


def _top_k(a: Any, k: int) -> Any:
    i = np.argsort(-a, axis=-1, kind="stable")[..., :k]
    return np.take_along_axis(a, i, -1), i


def _diagonal(a: Any, first: int = -2, second: int = -1) -> Any:
    return np.diagonal(a, axis1=first, axis2=second)


def _einsum(spec: str, *arrays: Any) -> Any:
    return np.einsum(spec, *arrays)


def _pool(f: Callable[..., Any]) -> Callable[..., Any]:
    def pool(a: Any, width: int, axis: int = 0) -> Any:
        return np.stack([f(b, axis=axis) for b in np.split(a, a.shape[axis] // width, axis=axis)], axis=axis)

    return pool


def _elu(a: Any, alpha: float = 1.0) -> Any:
    return np.where(a > 0, a, alpha * np.expm1(a))


def _norm(a: Any, order: Any = 2, over: Any = None, keepdims: bool = False) -> Any:
    return np.sqrt(np.sum(np.square(a), axis=over, keepdims=keepdims))


REFERENCE: dict[str, Callable[..., Any]] = {
    "add": lambda *xs: sum(xs[1:], xs[0]),
    "bce": lambda p, y: -(y * np.log(p) + (1 - y) * np.log1p(-p)),
    "bce_with_logits": lambda o, y: _softplus(o) - y * o,
    "broadcast_to": np.broadcast_to,
    "celu": lambda a, alpha: np.where(a > 0, a, alpha * np.expm1(a / alpha)),
    "cholesky": lambda a: np.linalg.cholesky((a + a.T) / 2),
    "clip": _clip,
    "concat": lambda *xs, axis=-1: np.concatenate(xs, axis=axis),
    "conv1d": _conv1d,
    "cosine_similarity": lambda a, b: a @ b / np.linalg.norm(a) / np.linalg.norm(b),
    "cross_entropy": _cross_entropy,
    "cummax": _along(np.maximum.accumulate),
    "cummin": _along(np.minimum.accumulate),
    "diagonal": _diagonal,
    "diagonal_matrix": lambda a: np.stack([np.diag(row) for row in a]),
    "dropout": lambda a, m, rate: np.where(m, a / (1 - rate), 0),
    "einsum": _einsum,
    "elu": _elu,
    "embedding": lambda e, i: e[i],
    "entropy": lambda p: special.entr(p).sum(),
    "erf": special.erf,
    "erfc": special.erfc,
    "eye": np.eye,
    "gelu": lambda a: a * special.ndtr(a),
    "glu": lambda a: a[..., :2] * special.expit(a[..., 2:]),
    "hard_sigmoid": lambda a: np.clip(a / 6 + 0.5, 0, 1),
    "hard_swish": lambda a: a * np.clip(a / 6 + 0.5, 0, 1),
    "hard_tanh": lambda a: np.clip(a, -1, 1),
    "hinge": lambda a, y: np.maximum(0, 1 - a * y),
    "huber": lambda a, b, d=1.0: special.huber(d, a - b),
    "kl_div": lambda p, q: special.rel_entr(p, q).sum(),
    "layer_norm": _layer_norm,
    "leaky_relu": lambda a, slope=0.01: np.where(a > 0, a, slope * a),
    "log_cosh": lambda a: np.log(np.cosh(a)),
    "log_sigmoid": special.log_expit,
    "log_softmax": lambda a, over=-1: special.log_softmax(a, axis=over),
    "logdet": lambda a: np.linalg.slogdet(a)[1],
    "logit": special.logit,
    "logsumexp": _by_over(special.logsumexp),
    "mae": lambda a, b: np.abs(a - b).mean(),
    "max_pool": _pool(np.max),
    "mean_pool": _pool(np.mean),
    "mish": lambda a: a * np.tanh(_softplus(a)),
    "mse": lambda a, b: np.square(a - b).mean(),
    "narrow": lambda a, i, j, d: a[i:j] if d == 0 else a[..., i:j],
    "nll": lambda a, y: -a[y],
    "norm": _norm,
    "norm_cdf": special.ndtr,
    "norm_pdf": lambda a: np.exp(-a * a / 2) / np.sqrt(2 * np.pi),
    "one_hot": lambda i, n: np.eye(n)[i],
    "pad": lambda a, width, value: np.pad(a, width, constant_values=value),
    "relu": lambda a: np.maximum(a, 0),
    "relu6": lambda a: np.clip(a, 0, 6),
    "reshape": lambda a, *shape: a.reshape(*shape),
    "rms_norm": lambda a, gain: gain * a / np.sqrt(np.square(a).mean() + 1e-5),
    "scatter_add": _scatter_add,
    "selu": lambda a: 1.0507009873554805 * _elu(a, 1.6732632423543772),
    "sigmoid": special.expit,
    "silu": lambda a: a * special.expit(a),
    "softmax": _softmax,
    "softplus": _softplus,
    "softsign": lambda a: a / (1 + np.abs(a)),
    "stack": lambda *xs, axis=0: np.stack(xs, axis=axis),
    "hstack": lambda *xs: np.hstack(xs),
    "vstack": lambda *xs: np.vstack(xs),
    "stop_gradient": lambda a: a,
    "take": lambda a, i, axis=0: np.take(a, i, axis=axis),
    "take_along_axis": _take_along_axis,
    "top_k": _top_k,
    "unstack": list,
    "variance": _by_over(np.var),
    "xlogy": special.xlogy,
    **{name: _by_over(getattr(np, name)) for name in ("sum", "prod", "mean", "std", "max", "min")},
    **{name: _by_over(getattr(np, name)) for name in ("any", "all", "count_nonzero")},
    **{
        name: _along(getattr(np, name))
        for name in ("cumsum", "cumprod", "sort", "argsort", "argmax", "argmin")
    },
    **{name: getattr(np.linalg, name) for name in ("inv", "det", "slogdet", "solve", "matrix_power")},
}


def reference(name: str) -> Callable[..., Any]:
    return REFERENCE[name] if name in REFERENCE else getattr(np, name)


class References(dict[str, Any]):
    """NumPy's and SciPy's functions under our names."""

    def __missing__(self, name: str) -> Callable[..., Any]:
        return reference(name)


EXAMPLES = all_examples()


@pytest.mark.parametrize("example", EXAMPLES, ids=[f"{e.name}-{k}" for k, e in enumerate(EXAMPLES)])
def test_values_are_those_of_numpy_and_scipy(example: Example, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = draw(example.given, np.random.default_rng(0))
    got = run(graph_of(example), **arrays)
    if example.call is FUNCTIONS[example.name]:
        want = reference(example.name)(*arrays.values())
    else:
        monkeypatch.setattr(examples, "F", References())
        want = example.call(*arrays.values())
    for k, w in enumerate(want if isinstance(want, tuple | list) else [want]):
        assert np.shape(got[f"y{k}"]) == np.shape(w)
        np.testing.assert_allclose(got[f"y{k}"], w, rtol=1e-13, atol=1e-14)


UFUNCS = [
    n for n, op in OPERATIONS.items() if issubclass(op, Elementwise) and hasattr(np, n) and n in FUNCTIONS
]
HOLOMORPHIC = [
    n for n in UFUNCS if not OPERATIONS[n].real and OPERATIONS[n].differentiable and n != "logaddexp"
]
SCIPY = {"erf": special.erf, "erfc": special.erfc, "sigmoid": special.expit, "softplus": _softplus}


def entries(name: str, dtype: str) -> Callable[[int], st.SearchStrategy[Any]]:
    def interval(k: int) -> st.SearchStrategy[Any]:
        low, high = OPERATIONS[name].domain[k]
        width = 32 if dtype in ("float32", "complex64") else 64
        real = st.floats(np.float32(low).item(), np.float32(high).item(), width=width)
        if not dtype.startswith("complex"):
            return real
        return st.builds(complex, real, st.floats(-0.5, 0.5, width=width))

    return interval


@pytest.mark.parametrize("name", [*UFUNCS, *SCIPY])
@given(data=st.data())
@settings(max_examples=8, deadline=None)
def test_elementwise_forwards_are_numpys_on_any_arrays(name: str, data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(["float64", "float32", *["complex128"] * (name in HOLOMORPHIC)]))
    op = OPERATIONS[name]
    n = 2 if name == "add" else len(op.domain)
    shapes = data.draw(hnp.mutually_broadcastable_shapes(num_shapes=n, min_side=0, max_side=3, max_dims=3))
    arrays = []
    for k, shape in enumerate(shapes.input_shapes):
        domain = entries(name, dtype)(0 if name == "add" else k)
        array = data.draw(hnp.arrays(dtype, shape, elements=domain))
        if name == "where" and k == 0:
            array = np.asarray(array > 0.5)
        if data.draw(st.booleans()):
            array = np.asfortranarray(array)
        if array.ndim and data.draw(st.booleans()):
            array = np.repeat(array, 2, axis=-1)[..., ::2]
        array.flags.writeable = False
        arrays.append(array)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        got = op().forward(np, *arrays)
        want = SCIPY.get(name, getattr(np, name, None))(*arrays)
    assert got.dtype == want.dtype or name in ("logical_not", "logical_and", "logical_or")
    eps = np.finfo(want.dtype).eps if want.dtype.kind in "fc" else 0
    np.testing.assert_allclose(got, want, rtol=16 * eps, atol=4 * eps)


@pytest.mark.parametrize("name", [n for n in UFUNCS if OPERATIONS[n].differentiable and n != "imag"])
def test_nan_in_is_nan_out(name: str) -> None:
    n = 2 if name == "add" else len(OPERATIONS[name].domain)
    for k in range(1 if name == "where" else 0, n):
        arrays = [np.array([np.nan if j == k else 0.7]) for j in range(n)]
        if name == "where":
            arrays[0] = np.array([k == 1])
        assert np.isnan(OPERATIONS[name]().forward(np, *arrays)).all(), (name, k)


@pytest.mark.parametrize("name", ["relu", "sigmoid", "softplus", "erf", "erfc"])
def test_nan_in_is_nan_out_of_activations(name: str) -> None:
    assert np.isnan(OPERATIONS[name]().forward(np, np.array([np.nan]))).all()


EDGES: dict[str, tuple[Callable[..., Any], tuple[Any, ...], Any]] = {
    "sigmoid far out": (lambda a: uf.sigmoid(a), ([-1000.0, 1000.0],), [0.0, 1.0]),
    "softplus far out": (lambda a: uf.softplus(a), ([-1000.0, 1000.0],), [0.0, 1000.0]),
    "log_sigmoid far out": (lambda a: uf.log_sigmoid(a), ([-1000.0, 1000.0],), [-1000.0, 0.0]),
    "logaddexp of infinities": (
        lambda a: uf.logaddexp(a, a),
        ([-np.inf, np.inf, 0.0],),
        [-np.inf, np.inf, np.log(2)],
    ),
    "logsumexp of -inf": (lambda a: uf.logsumexp(a), ([-np.inf, -np.inf],), -np.inf),
    "logsumexp of great numbers": (lambda a: uf.logsumexp(a), ([1000.0, 1000.0],), 1000 + np.log(2)),
    "softmax of great numbers": (lambda a: uf.softmax(a), ([1000.0, -1000.0],), [1.0, 0.0]),
    "hypot of great numbers": (lambda a: uf.hypot(a, a), ([1e300, 0.0],), [np.sqrt(2) * 1e300, 0.0]),
    "erfc far out": (lambda a: uf.erfc(a), ([10.0, 40.0, -40.0],), [special.erfc(10.0), 0.0, 2.0]),
    "normal tail": (lambda a: uf.norm_cdf(a), ([-20.0],), [special.ndtr(-20.0)]),
    "sinc at 0": (lambda a: uf.sinc(a), ([0.0],), [1.0]),
    "xlogy at 0": (lambda a: uf.xlogy(a, a), ([0.0],), [0.0]),
    "sum of nothing": (lambda a: uf.sum(a), (np.zeros((0,)),), 0.0),
    "prod of nothing": (lambda a: uf.prod(a), (np.zeros((0,)),), 1.0),
    "sum along nothing": (lambda a: uf.sum(a, over=0), (np.zeros((0, 2)),), [0.0, 0.0]),
    "cumsum of nothing": (lambda a: uf.cumsum(a), (np.zeros((0,)),), np.zeros(0)),
    "cummax of nothing": (lambda a: uf.cummax(a), (np.zeros((0,)),), np.zeros(0)),
    "sort of nothing": (lambda a: uf.sort(a), (np.zeros((0,)),), np.zeros(0)),
    "matmul over nothing": (lambda a, b: a @ b, (np.zeros((2, 0)), np.zeros((0,))), [0.0, 0.0]),
    "concat with nothing": (lambda a, b: uf.concat(a, b), (np.zeros((0,)), np.ones(2)), [1.0, 1.0]),
    "inverse of nothing": (lambda a: uf.inv(a), (np.zeros((0, 0)),), np.zeros((0, 0))),
    "take nothing": (lambda a: a[np.zeros(3, bool)], (np.ones(3),), np.zeros(0)),
}


@pytest.mark.parametrize("name", EDGES)
def test_edges(name: str) -> None:
    call, arrays, want = EDGES[name]
    arrays = tuple(np.asarray(a, float) for a in arrays)
    nodes = [uf.input(n, *a.shape) for n, a in zip("ab", arrays, strict=False)]
    got = run(uf.graph(y=call(*nodes)), **dict(zip("ab", arrays, strict=False)))["y"]
    np.testing.assert_allclose(got, want, rtol=1e-14)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", [e.name for e in EXAMPLES if e.given and e.given[0].kind == "float"][::3])
def test_precision_is_that_of_the_arrays(name: str, dtype: str) -> None:
    example = next(e for e in EXAMPLES if e.name == name)
    arrays = draw(example.given, np.random.default_rng(0))
    arrays = {n: a.astype(dtype) if np.asarray(a).dtype.kind == "f" else a for n, a in arrays.items()}
    for y in run(graph_of(example), **arrays).values():
        assert np.asarray(y).dtype.kind != "f" or np.asarray(y).dtype == dtype
