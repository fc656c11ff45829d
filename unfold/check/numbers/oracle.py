"""Derivatives without derivative rules: the complex step, and Richardson's extrapolation.

    f'(x) u = Im f(x + i h u) / h,  h = 2^-200        exact to rounding: nothing cancels
    f'(x) u = extrapolation of (f(x + h u) - f(x - h u)) / 2h to h = 0, with its error

Squire and Trapp (1998) for the first, Ridders (1982) for the choice of the second's entry.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

STEP = 2.0**-200
DOUBLE = float(np.finfo(np.float64).eps)
LONG = np.dtype(np.longdouble)
CLONG = np.dtype(np.clongdouble)
HAS_LONG = bool(np.finfo(LONG).eps < 1e-18)
SLACK = 1e3  # allowed rounding, in units of eps * S
TRUST = 30.0  # Richardson's error estimate is exceeded often, 30 times it almost never
VAGUE = 0.01  # an oracle in more doubt than this part of the terms proves nothing


def complex_step(f: Callable[[Any], Array], dtype: Any = np.complex128, at: Any = 1.0) -> Array:
    """d f(e) / d e at e = 0, entry by entry, for an f that takes a complex number; the step is
    small beside every number in `at`, where f is looked at."""
    near = abs(np.asarray(at))
    least = near[(near > 0) & (near < 1)].min(initial=1.0)
    kind = CLONG if least < STEP**0.7 else np.dtype(dtype)  # for its range: the products are tiny
    real = kind.type(0).real.dtype.type
    h = max(min(real(STEP), real(2.0**-60) * real(least)), np.finfo(real).tiny * real(2.0**60))
    e = np.array(h, kind) * np.array(1j, kind)
    slope = np.imag(np.asarray(f(e))) / h
    return np.asarray(slope.astype(np.dtype(dtype).type(0).real.dtype))


def richardson(f: Callable[[Any], Array], scale: float, dtype: Any = LONG) -> tuple[Array, Array]:
    """d f(e) / d e at e = 0 and its estimated error, entry by entry.

    Central differences at steps halved from 0.05 to 1e-6 of `scale`, extrapolated up to
    third order; of all entries of the tableau, the one with the smallest estimated error.
    """
    best: Array | None = None
    error: Array | None = None
    before: list[Array] = []
    step = 0.05 * scale
    while step > 1e-6 * scale:
        h = np.asarray(step, dtype)
        up, down = np.asarray(f(h)), np.asarray(f(-h))
        noise = DOUBLE * np.maximum(abs(up), abs(down)) / h  # some forwards compute in double
        row = [np.asarray((up - down) / (2 * h))]
        for order, older in enumerate(before[:3], start=1):
            row.append(row[-1] + (row[-1] - older) / (4**order - 1))
            guess = np.maximum(abs(row[-1] - row[-2]), abs(row[-1] - older)) + noise
            if best is None or error is None:
                best, error = row[-1], guess
            else:
                better = guess < error
                best, error = np.where(better, row[-1], best), np.where(better, guess, error)
        before = row
        step /= 2
    assert best is not None
    assert error is not None
    return best, error


def one_sided(f: Callable[[Any], Array], scale: float) -> tuple[Array, Array]:
    """The slopes of f(e) to the left and to the right of e = 0."""
    h = np.asarray((1e-9 if HAS_LONG else 1e-7) * scale, LONG)
    here = np.asarray(f(np.zeros((), LONG)))
    return np.asarray((here - f(-h)) / h), np.asarray((f(h) - here) / h)


def agree(left: Array, right: Array) -> Array:
    """Whether one-sided derivatives are those of a derivative: numbers, and the same."""
    return np.asarray(abs(left - right) <= 1e-5 * (abs(left) + abs(right)))


def allowed(eps: float, size: Any) -> Any:
    """How far two sums of terms of total size S may lie apart by rounding alone."""
    return SLACK * eps * size + 1e-290
