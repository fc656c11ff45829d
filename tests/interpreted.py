"""The functions written for Numba, run by Python itself: slow, and needing nothing installed."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np

PLAIN, TRANSPOSED = 111, 112


class Pointer:
    """A pointer into an array; what lies outside the array cannot be reached."""

    def __init__(self, array, start=0):
        assert array.flags.c_contiguous
        self.flat, self.start = array.reshape(-1), start

    def _place(self, k):
        place = self.start + k
        assert 0 <= place < self.flat.size, f"entry {place} of {self.flat.size}"
        return place

    def __getitem__(self, k):
        return self.flat[self._place(k)]

    def __setitem__(self, k, value):
        self.flat[self._place(k)] = value

    def matrix(self, rows, columns, ahead):
        at = [[self._place(r * ahead + c) for c in range(columns)] for r in range(rows)]
        return np.array(at, int).reshape(rows, columns)


def at(array, offset):
    return Pointer(array, offset)


def shift(pointer, offset):
    return Pointer(pointer.flat, pointer.start + offset)


def gemm(a, b, c, m, n, k, ta, tb, la, lb, lc):
    left = a.flat[a.matrix(m, k, la)] if ta == PLAIN else a.flat[a.matrix(k, m, la)].T
    right = b.flat[b.matrix(k, n, lb)] if tb == PLAIN else b.flat[b.matrix(n, k, lb)].T
    c.flat[c.matrix(m, n, lc)] = left @ right


def gemv(a, x, y, m, n, ta, la, step_x, step_y):
    assert min(step_x, step_y) > 0
    matrix = a.flat[a.matrix(m, n, la)] if ta == PLAIN else a.flat[a.matrix(m, n, la)].T
    vector = np.array([x[step_x * k] for k in range(matrix.shape[1])])
    for k, value in enumerate(matrix @ vector):
        y[step_y * k] = value


def inner(a, b, n, step_a, step_b, zero):
    return sum((a[step_a * k] * b[step_b * k] for k in range(n)), zero)


def total(a, n, step, zero):
    return sum((a[step * k] for k in range(n)), zero)


def top(a, n, step):
    return max(a[step * k] for k in range(n))


def interpreted(functions, dtype):
    """The functions by name."""
    real = np.dtype(dtype).type
    scalar = {k: getattr(np, k) for k in ("log", "log1p", "expm1", "sqrt", "sin", "cos")}
    names = {
        "_D": real, "_I": np.int64, "_B": np.uint8, "_exp": np.exp, "_tanh": np.tanh,
        "_math": SimpleNamespace(**scalar),
        "inf": math.inf, "nan": math.nan,
        "at": at, "shift": shift, "gemm": gemm, "gemv": gemv, "inner": inner, "total": total, "top": top,
    }  # fmt: skip
    exec("\n\n".join(functions), names)
    return names
