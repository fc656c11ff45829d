"""What operations compute, in plain NumPy, on values that may carry a derivative as a tiny imaginary
part: whatever compares or chooses looks at the real part alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np


def _choosing(pick: Callable[..., Any]) -> Callable[..., Any]:
    """A reduction that gives the entry of one index along an axis."""

    def function(a: Any, axis: int) -> Any:
        index = np.expand_dims(pick(np.real(a), axis=axis), axis)
        return np.squeeze(np.take_along_axis(a, index, axis), axis)

    return function


def _softmax(a: Any, axis: int) -> Any:
    e = np.exp(a - np.max(np.real(a), axis=axis, keepdims=True))
    return e / np.sum(e, axis=axis, keepdims=True)


def _logsumexp(a: Any, axis: int) -> Any:
    top = np.max(np.real(a), axis=axis, keepdims=True)
    return np.squeeze(np.log(np.sum(np.exp(a - top), axis=axis, keepdims=True)) + top, axis)


def _sort(a: Any, axis: int) -> Any:
    return np.take_along_axis(a, np.argsort(np.real(a), axis=axis, kind="stable"), axis)


def _cummax(a: Any, axis: int) -> Any:
    rows = np.moveaxis(a, axis, 0)
    out = np.array(rows)
    for k in range(1, len(out)):
        out[k] = np.where(np.real(out[k - 1]) > np.real(rows[k]), out[k - 1], rows[k])
    return np.moveaxis(out, 0, axis)


REDUCING: dict[str, Callable[..., Any]] = {
    "sum": lambda a, axis: np.sum(a, axis=axis),
    "mean": lambda a, axis: np.mean(a, axis=axis),
    "prod": lambda a, axis: np.prod(a, axis=axis),
    "max": _choosing(np.argmax),
    "min": _choosing(np.argmin),
    "logsumexp": _logsumexp,
}
"""Along one axis or dimension, which goes."""

KEEPING: dict[str, Callable[..., Any]] = {
    "softmax": _softmax,
    "log_softmax": lambda a, axis: np.log(_softmax(a, axis)),
    "cumsum": lambda a, axis: np.cumsum(a, axis=axis),
    "cumprod": lambda a, axis: np.cumprod(a, axis=axis),
    "cummax": _cummax,
    "sort": _sort,
}
"""Along one axis or dimension, which stays."""

ALONG = {**REDUCING, **KEEPING}
NEEDS_ENTRIES = ("mean", "max", "min", "logsumexp", "softmax", "log_softmax", "cummax", "sort")
SMOOTH = (
    *("tanh", "sigmoid", "sin", "cos", "exp", "square", "negative", "reciprocal"),
    *("add", "subtract", "multiply", "divide", "matmul", "outer", "dot", "einsum"),
    *("concat", "stack", "narrow", "entry", "transpose", "swapaxes", "reshape", "broadcast", "flip", "roll"),
    *("sum", "mean", "prod", "cumsum", "cumprod", "num", "const", "read", "step"),
)
"""Holomorphic operations, which take complex numbers too."""


def _lifted(function: Callable[[float], float], slope: Callable[[Any], Any]) -> Callable[..., Any]:
    """A real function of one number and its derivative, for arrays with imaginary parts."""
    each = np.vectorize(function, otypes=[float])

    def whole(a: Any) -> Any:
        a = np.asarray(a)
        value = each(a.real) if a.size else a.real.astype(float)
        return value + 1j * a.imag * slope(a.real) if np.iscomplexobj(a) else value

    return whole


_erf = _lifted(math.erf, lambda x: 2 / math.sqrt(math.pi) * np.exp(-x * x))


def _sigmoid(a: Any) -> Any:
    return 1 / (1 + np.exp(-a))


def _where(condition: Any, a: Any, b: Any) -> Any:
    return np.where(condition, a, b)


def _cross_entropy(o: Any, y: Any) -> Any:
    return _logsumexp(o, -1) - o[int(y)]


def _one_hot(y: Any, n: int) -> Any:
    out = np.zeros(n)
    out[int(y)] = 1
    return out


def _clip(a: Any, low: float, high: float) -> Any:
    return np.where(np.real(a) < low, low, np.where(np.real(a) > high, high, a))


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "tanh": np.tanh,
    "sigmoid": _sigmoid,
    "sin": np.sin,
    "cos": np.cos,
    "exp": np.exp,
    "square": lambda a: a * a,
    "negative": lambda a: -a,
    "reciprocal": lambda a: 1 / a,
    "sqrt": np.sqrt,
    "log": np.log,
    "relu": lambda a: np.where(np.real(a) > 0, a, 0),
    "abs": lambda a: np.where(np.real(a) < 0, -a, a),
    "softplus": lambda a: np.log(1 + np.exp(a)),
    "silu": lambda a: a * _sigmoid(a),
    "erf": _erf,
    "gelu": lambda a: a * 0.5 * (1 + _erf(a / math.sqrt(2))),
    "elu": lambda a: np.where(np.real(a) > 0, a, np.exp(a) - 1),
    "log_sigmoid": lambda a: -np.log(1 + np.exp(-a)),
    "stop_gradient": np.real,
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "divide": lambda a, b: a / b,
    "maximum": lambda a, b: np.where(np.real(a) < np.real(b), b, a),
    "minimum": lambda a, b: np.where(np.real(b) < np.real(a), b, a),
    "less": lambda a, b: np.real(a) < np.real(b),
    "equal": lambda a, b: np.real(a) == np.real(b),
    "where": _where,
    "clip": _clip,
    "matmul": lambda a, b: a @ b,
    "einsum": lambda a, b, spec: np.einsum(spec, a, b),
    "outer": lambda a, b: a[:, None] * b[None, :],
    "dot": lambda a, b: np.sum(a * b),
    "concat": lambda *values: np.concatenate(values[:-1], axis=values[-1]),
    "stack": lambda *values: np.stack(values[:-1], axis=values[-1]),
    "narrow": lambda a, start, stop, step: a[start:stop:step],
    "entry": lambda a, k: a[k],
    "transpose": np.transpose,
    "swapaxes": lambda a: np.swapaxes(a, 0, 1),
    "reshape": lambda a, *shape: np.reshape(a, shape),
    "broadcast": lambda a, *shape: np.broadcast_to(a, shape),
    "flip": lambda a: a[::-1],
    "roll": lambda a, k: np.roll(a, k),
    "take": lambda a, y: a[int(y)],
    "embedding": lambda table, y: table[int(y)],
    "one_hot": _one_hot,
    "cross_entropy": _cross_entropy,
}
"""The other operations: arguments, then what is static."""
