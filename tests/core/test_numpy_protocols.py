"""NumPy's functions and operators work on expressions, and say so where they do not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import unfold as uf

A = np.array([[0.2, -0.4, 0.6], [1.2, 0.3, -0.7]])
V = np.array([0.5, -1.5, 2.5])
S = np.array([[2.0, 0.3, 0.1], [0.2, 3.0, 0.4], [0.1, 0.5, 1.5]])

CALLS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "ufunc": lambda a, v, s: np.exp(a) + np.tanh(v) * np.arctan2(a, v),
    "array on the left": lambda a, v, s: A + a - A * a / (2 + A * a * a),
    "array @ expression": lambda a, v, s: A @ v + S[:2] @ v,
    "expression @ array": lambda a, v, s: a @ V,
    "power of an array": lambda a, v, s: np.abs(A) ** a,
    "NumPy number on the left": lambda a, v, s: np.float64(2.0) * a - np.int64(3),
    "comparison": lambda a, v, s: np.where(A > a * 2, a, -a),  # noqa: SIM300
    "logic": lambda a, v, s: np.where((a > 0) & (A < 1) | ~(a < 0.1), 1.0, a),
    "maximum": lambda a, v, s: np.maximum(np.minimum(a, 0.1), V),
    "concatenate": lambda a, v, s: np.concatenate([a, a, A]),
    "concatenate along 1": lambda a, v, s: np.concatenate([a, A], axis=1),
    "concatenate, positional": lambda a, v, s: np.concatenate([a, A], 1),
    "stack": lambda a, v, s: np.stack([v, V], axis=1),
    "hstack, vstack": lambda a, v, s: np.vstack([np.hstack([v, V]), np.hstack([V, v])]),
    "einsum": lambda a, v, s: np.einsum("ij,jk,k->i", a, s, v),
    "einsum diagonal": lambda a, v, s: np.einsum("ii->i", s),
    "einsum implicit": lambda a, v, s: np.einsum("ij,kj", a, A),
    "tensordot": lambda a, v, s: np.tensordot(a, s, axes=1),
    "dot, inner, outer": lambda a, v, s: np.dot(a, v)[0] * np.inner(v, V) + np.outer(v, V),
    "kron": lambda a, v, s: np.kron(a, s),
    "sum": lambda a, v, s: np.sum(a, axis=0) + np.sum(a) + np.sum(a, axis=1, keepdims=True),
    "mean, std, var": lambda a, v, s: np.mean(a, 0) + np.std(a, axis=0) + np.var(a, axis=0, ddof=1),
    "max, min, prod": lambda a, v, s: np.max(a, axis=1) + np.amin(a, axis=1) * np.prod(a, axis=1),
    "add.reduce": lambda a, v, s: np.add.reduce(a) + np.multiply.reduce(a, axis=0),
    "add.accumulate": lambda a, v, s: np.add.accumulate(a) * np.maximum.accumulate(a, axis=1),
    "multiply.outer": lambda a, v, s: np.multiply.outer(a, v),
    "cumsum": lambda a, v, s: np.cumsum(a, axis=1) + np.cumsum(a, axis=0),
    "cumsum of all": lambda a, v, s: np.cumsum(a),
    "cumprod": lambda a, v, s: np.cumprod(a, axis=1),
    "argmax": lambda a, v, s: np.argmax(a, axis=1) + np.argmin(a),
    "sort": lambda a, v, s: np.sort(a, axis=1) + np.argsort(a, axis=1),
    "any, all": lambda a, v, s: np.where(np.any(a > 1, axis=1), 1, 0) + np.where(np.all(a > -1), 1, 0),
    "clip": lambda a, v, s: np.clip(a, -0.1, 0.5) + np.clip(a, None, 0.3),
    "round, floor": lambda a, v, s: np.round(a, 1) + np.floor(a) + np.ceil(a) + np.trunc(a),
    "reshape": lambda a, v, s: np.reshape(a, (3, 2)) + np.ravel(a)[:2],
    "transpose": lambda a, v, s: np.transpose(a) @ a + a.T @ a,
    "moveaxis, swapaxes": lambda a, v, s: np.moveaxis(a, 0, 1) + np.swapaxes(a, 0, 1),
    "expand, squeeze": lambda a, v, s: np.squeeze(np.expand_dims(a, 1), axis=1),
    "split": lambda a, v, s: np.split(a, 3, axis=1)[1],
    "flip, roll": lambda a, v, s: np.flip(a, axis=1) + np.roll(a, 1, axis=1) + np.roll(a, 2),
    "pad": lambda a, v, s: np.pad(a, ((0, 1), (2, 0)), constant_values=1.5),
    "repeat, tile": lambda a, v, s: np.repeat(a, 2, axis=0) + np.tile(a, (2, 1)),
    "diff": lambda a, v, s: np.diff(a, axis=1) + np.diff(a)[:, :1],
    "take": lambda a, v, s: np.take(a, [0, 2], axis=1) + np.take(a, [0, 5]),
    "take_along_axis": lambda a, v, s: np.take_along_axis(a, np.array([[1], [2]]), axis=1),
    "searchsorted": lambda a, v, s: np.searchsorted(np.sort(V), a),
    "trace, diag, tril": lambda a, v, s: np.trace(s) + np.diag(s) + np.diag(v) + np.tril(s) + np.triu(s, 1),
    "linalg": lambda a, v, s: np.linalg.inv(s) @ np.linalg.solve(s, v) * np.linalg.det(s),
    "slogdet": lambda a, v, s: np.linalg.slogdet(s)[0] * np.linalg.slogdet(s)[1],
    "cholesky": lambda a, v, s: np.linalg.cholesky(s + s.T),
    "norm": lambda a, v, s: np.linalg.norm(v) + np.linalg.norm(v, ord=1) + np.linalg.norm(a, axis=1).sum(),
    "multi_dot": lambda a, v, s: np.linalg.multi_dot([a, s, v]),
    "zeros_like": lambda a, v, s: np.zeros_like(a) + np.ones_like(a) * a + np.ndim(a) + np.shape(a)[1],
    "sinc, hypot, logaddexp": lambda a, v, s: np.sinc(a) + np.hypot(a, V) + np.logaddexp(a, V),
    "degrees": lambda a, v, s: np.degrees(a) + np.radians(a) + np.deg2rad(a),
    "real, imag": lambda a, v, s: np.real(np.exp(1j * a)) + np.imag(np.exp(1j * a)) + np.angle(a + 2j),
    "broadcast_to": lambda a, v, s: np.broadcast_to(v, (2, 3)) + np.broadcast_arrays(a, v)[1],
}


@pytest.mark.parametrize("name", CALLS)
def test_a_numpy_call_means_the_same_on_expressions(name: str) -> None:
    a, v, s = uf.input("a", 2, 3), uf.input("v", 3), uf.input("s", 3, 3)
    out = CALLS[name](a, v, s)
    assert isinstance(out, uf.Node)
    graph = uf.graph(y=out)
    got = graph.compile("reference")(
        **{n: x for n, x in {"a": A, "v": V, "s": S}.items() if n in graph.inputs}
    )
    np.testing.assert_allclose(got["y"], CALLS[name](A, V, S), rtol=1e-12, atol=1e-14)


REFUSED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "an unknown function": (lambda a: np.linalg.svd(a), "numpy.linalg.svd is not available"),
    "a name near it is given": (lambda a: np.nansum(a), "sum"),
    "an unknown ufunc": (lambda a: np.spacing(a), "numpy.spacing is not available"),
    "where=": (lambda a: np.exp(a, where=A > 0), "where="),
    "an argument we lack": (lambda a: np.sum(a, initial=2.0), "initial"),
    "another mode": (lambda a: np.pad(a, 1, mode="edge"), "edge"),
    "where with one argument": (lambda a: np.where(a), "numpy.where"),
    "values": (lambda a: np.asarray(a), "call a graph"),
    "truth": (lambda a: bool(a > 0), "uf.where"),
    "iteration": (lambda a: list(a), "by index"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_supported_says_so(name: str) -> None:
    call, message = REFUSED[name]
    with pytest.raises(uf.UnfoldError, match=message):
        call(uf.input("a", 2, 3))


def test_in_place_operators_on_arrays_are_refused() -> None:
    array = A.copy()
    with pytest.raises(uf.UnfoldError, match="in place"):
        array += uf.input("a", 2, 3)
    np.testing.assert_array_equal(array, A)
