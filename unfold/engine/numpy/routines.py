"""What printed code calls beside NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from unfold.engine.binding import Array
from unfold.engine.numpy.printed import Softmax, SoftmaxCrossEntropy, rows
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


GLOBALS = {
    "np": np,
    "block": block,
    "strided": strided,
    "rows": rows,
    "matmul": np.matmul,
    "einsum": np.einsum,
    "copyto": np.copyto,
    "add_reduce": np.add.reduce,
    "Softmax": Softmax,
    "SoftmaxCrossEntropy": SoftmaxCrossEntropy,
}
