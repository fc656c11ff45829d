"""The interpreter: what a program means, entry by entry, in plain NumPy.

Nothing here is the library's. A quantity at a step is its equation evaluated at that step, or its
boundary where the step lies outside 1..T; each is computed once, when something reads it.
"""

from __future__ import annotations

import sys
from itertools import product
from typing import Any

import numpy as np

from programs.data import NOW, Expr, Place, Program, Quantity
from programs.meaning import ALONG, FUNCTIONS, REDUCING

TINY = 2.0**-200
sys.setrecursionlimit(20_000)


class Outside(Exception):
    """A read that nothing defines at these sizes."""


class Oracle:
    """Values of a program on arrays, at given sizes of its axes."""

    def __init__(self, program: Program, arrays: dict[str, Any], sizes: dict[str, int] | None = None) -> None:
        self.program, self.arrays, self.sizes = program, arrays, sizes or program.sizes
        self.known: dict[Any, Any] = {}
        inexact = [np.asarray(a).dtype for a in arrays.values() if np.asarray(a).dtype.kind in "fc"]
        self.dtype = np.result_type(np.float64, *inexact)
        self.bounds = {q.name: dict(q.bounds) for q in program.quantities.values()}

    def output(self, name: str) -> Any:
        """An output over all steps of its axes, in their order."""
        return self.whole(self.program.outputs[name])

    def outputs(self) -> dict[str, Any]:
        """All of them."""
        return {name: self.output(name) for name in self.program.outputs}

    def whole(self, e: Expr) -> Any:
        """The value of an expression over all steps."""
        sizes = [self.sizes[a] for a in e.axes]
        out = np.empty((*sizes, *e.shape), self.dtype)
        for place in product(*map(range, sizes)):
            out[place] = self.value(e, {a: k + 1 for a, k in zip(e.axes, place, strict=True)})
        return out

    def value(self, e: Expr, at: dict[str, int]) -> Any:
        """The value of an expression at one step of each axis."""
        key = (id(e), *(at[a] for a in e.axes))
        if key not in self.known:
            self.known[key] = self._compute(e, at)
        return self.known[key]

    def _compute(self, e: Expr, at: dict[str, int]) -> Any:
        if e.op == "num":
            return np.asarray(float(e.static[0]))
        if e.op == "const":
            return np.asarray(e.static[0], float).reshape(e.static[1])
        if e.op == "step":
            return np.asarray(at[e.static[0]])
        if e.op == "read":
            name, places = e.static
            q = self.program.quantities[name]
            steps = [p.step(at.get(a, 0), self.sizes[a]) for a, p in zip(q.axes, places, strict=True)]
            return self.at(q, tuple(steps))
        if e.op in ALONG and isinstance(e.static[0], str):
            return self._along(e, at, e.static[0])
        values = [self.value(a, at) for a in e.args]
        if e.op in ALONG:
            return ALONG[e.op](values[0], axis=e.static[0])
        return FUNCTIONS[e.op](*values, *e.static)

    def _along(self, e: Expr, at: dict[str, int], axis: str) -> Any:
        """An operation along an axis: on the values of all its steps, side by side."""
        (a,) = e.args
        steps = [self.value(a, {**at, axis: k + 1}) for k in range(self.sizes[axis])]
        rows = np.array(steps) if steps else np.empty((0, *a.shape))
        out = ALONG[e.op](rows, axis=0)
        return out if e.op in REDUCING else out[at[axis] - 1]

    def at(self, q: Quantity, steps: tuple[int, ...]) -> Any:
        """A quantity at given steps, inside or outside."""
        key = (q.name, steps)
        if key not in self.known:
            self.known[key] = self._defined(q, steps)
        return self.known[key]

    def _defined(self, q: Quantity, steps: tuple[int, ...]) -> Any:
        sizes = [self.sizes[a] for a in q.axes]
        places = tuple(
            NOW if 1 <= k <= n else Place("at", k) if k < 1 else Place("last", k - n)
            for k, n in zip(steps, sizes, strict=True)
        )
        if all(p is NOW for p in places):
            if q.body is None:
                return np.asarray(self.arrays[q.name])[tuple(k - 1 for k in steps)]
            e = q.body
        elif places in self.bounds[q.name]:
            e = self.bounds[q.name][places]
        else:
            raise Outside(f"{q.name}{list(steps)}")
        here = {a: k for a, k, p in zip(q.axes, steps, places, strict=True) if p is NOW}
        return np.broadcast_to(self.value(e, here), q.shape)


# ---------------------------------------------------------------------- derivatives
def moved(arrays: dict[str, Any], direction: dict[str, Any], by: complex) -> dict[str, Any]:
    """The arrays, some of them moved along a direction."""
    return {n: a + by * direction[n] if n in direction else a for n, a in arrays.items()}


def slopes(
    program: Program, arrays: dict[str, Any], direction: dict[str, Any], sizes: Any = None
) -> dict[str, Any]:
    """The derivative of every output along a direction, by the complex step."""
    values = Oracle(program, moved(arrays, direction, 1j * TINY), sizes).outputs()
    return {name: np.imag(v) / TINY for name, v in values.items()}


def slope(program: Program, arrays: dict[str, Any], direction: dict[str, Any], sizes: Any = None) -> float:
    """The derivative of the loss along a direction."""
    value = Oracle(program, moved(arrays, direction, 1j * TINY), sizes).output("loss")
    return float(np.imag(value) / TINY)


def curvature(
    program: Program, arrays: dict[str, Any], u: dict[str, Any], v: dict[str, Any]
) -> tuple[float, float]:
    """The second derivative of the loss along u and v, and how far it can be trusted: differences of
    complex steps, extrapolated."""

    def difference(h: float) -> float:
        up, down = (slope(program, moved(arrays, v, s * h), u) for s in (1, -1))
        return (up - down) / (2 * h)

    coarse, fine, finest = (difference(2e-3 / 2**k) for k in range(3))
    first, second = (4 * fine - coarse) / 3, (4 * finest - fine) / 3
    return (16 * second - first) / 15, abs(second - first)
