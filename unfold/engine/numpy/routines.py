"""What printed code calls beside NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from unfold.engine.binding import Array
from unfold.engine.plan.view import Sizes

ALIGNED = 64  # bytes


def block(count: int, dtype: Any) -> Array:
    """Memory for `count` numbers that starts at a cache line."""
    one = np.dtype(dtype)
    raw = np.empty(count * one.itemsize + ALIGNED, np.uint8)
    start = -raw.ctypes.data % ALIGNED
    out: Array = raw[start : start + count * one.itemsize].view(one)
    return out


def strided(base: Array, offset: int, shape: Sizes, strides: Sizes) -> Array:
    """The entries of an array at offset + i strides[0] + j strides[1] + ..., counted in numbers."""
    if not base.flags.c_contiguous:
        base = np.ascontiguousarray(base)
    size = base.itemsize
    return np.ndarray(shape, base.dtype, base, offset * size, tuple(s * size for s in strides))


def rows(array: Array) -> list[Array]:
    """Views of the rows of an array, 0-d ones of a vector."""
    return list(array) if array.ndim > 1 else [array[i, ...] for i in range(len(array))]


class SoftmaxCrossEntropy:
    """loss = -log softmax(o)[y] and slope = softmax(o) - one_hot(y), row by row; slope may be o.

    Scores that lie within `NEAR` of each other share one maximum, which a reduction over everything finds
    much faster than one for each row; where it is itself that near to 0 it need not be taken off.
    """

    NEAR = 16

    def __init__(self, rows: int, classes: int, dtype: Any) -> None:
        self.first, self.labels = np.arange(rows) * classes, np.arange(classes)
        self.ones, self.one = np.ones(classes, dtype), np.array(1, dtype)
        self.top, self.least, self.chosen = np.empty((), dtype), np.empty((), dtype), np.empty(rows, dtype)
        self.tops, self.total = np.empty((rows, 1), dtype), np.empty(rows, dtype)

    def __call__(self, o: Array, y: Array, loss: Array, slope: Array) -> None:
        n, out = len(o), slope  # the last part of an axis may be short
        tops, total, chosen = self.tops[:n], self.total[:n], self.chosen[:n]
        top, shifted = self.shared(o), out
        if top is None:
            np.maximum.reduce(o, 1, out=tops, keepdims=True)
            np.subtract(o, tops, out)
        elif abs(top) < self.NEAR:
            shifted = o
        else:
            np.subtract(o, self.top, out)
        at, numbers = self.labels.take(y), out.reshape(-1)  # those below zero count from the end
        np.add(at, self.first[:n], at)
        shifted.reshape(-1).take(at, 0, chosen, "wrap")
        np.exp(shifted, out)
        out.dot(self.ones, total)
        np.log(total, loss)
        np.subtract(loss, chosen, loss)
        np.divide(out, total[:, None], out)
        numbers.take(at, 0, chosen, "wrap")
        numbers[at] = np.subtract(chosen, self.one, chosen)

    def shared(self, o: Array) -> float | None:
        """The greatest score, where all lie near it."""
        if not o.size:
            return None
        scores = o.reshape(-1)
        np.maximum.reduce(scores, out=self.top)
        np.minimum.reduce(scores, out=self.least)
        top: float = self.top.item()
        return top if top - self.least.item() < self.NEAR else None


class RowSoftmax:
    """out = exp(a) / sum exp(a) along one dimension."""

    def __init__(self, shape: tuple[int, ...], dim: int, dtype: Any) -> None:
        self.alone = shape[dim] == np.prod(shape)  # a single vector: nothing to broadcast
        self.dim = 0 if self.alone else dim
        whole = () if self.alone else tuple(1 if d == dim else n for d, n in enumerate(shape))
        self.work = np.empty(whole, dtype)

    def __call__(self, a: Array, out: Array) -> None:
        if self.alone:
            a, out, work = a.reshape(-1), out.reshape(-1), self.work
        else:  # the last part of an axis may be short
            work = self.work if self.dim == 0 else self.work[: len(a)]
        np.maximum.reduce(a, axis=self.dim, out=work, keepdims=not self.alone)
        np.subtract(a, work, out)
        np.exp(out, out)
        np.add.reduce(out, axis=self.dim, out=work, keepdims=not self.alone)
        np.divide(out, work, out)


GLOBALS = {
    "np": np,
    "block": block,
    "strided": strided,
    "rows": rows,
    "matmul": np.matmul,
    "einsum": np.einsum,
    "copyto": np.copyto,
    "add_reduce": np.add.reduce,
    "Softmax": RowSoftmax,
    "SoftmaxCrossEntropy": SoftmaxCrossEntropy,
}
