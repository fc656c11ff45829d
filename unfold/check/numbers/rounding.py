"""What rounding may do to a value: measured, by chance, as in Monte Carlo arithmetic (Parker, 1997).

An expression is computed a few more times with every operand off by about SLACK eps of
itself when it is read. How far the result moves is the bar rounding sets to it, large
where digits cancel on the way: in 1 - y**2 at y = 1 - 1e-9 nine of them do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unfold.check.numbers.oracle import SLACK
from unfold.core.node import Node

Array = NDArray[Any]

DRAWS = 3  # that all of them are by chance a hundred times too small is unlikely

# functions whose result is as exact as what they are given
EXACT = {
    "maximum", "minimum", "fmax", "fmin", "absolute", "fabs", "negative", "positive", "conjugate",
    "sign", "copysign", "floor", "ceil", "trunc", "rint",
}  # fmt: skip


@dataclass(frozen=True)
class Nudge:
    """Numbers off by about `size` of themselves, whenever they are read or computed; choices
    (truths and integers) are those of the run without it, `plain`."""

    size: float
    rng: np.random.Generator
    plain: Mapping[Node, Array]

    def factors(self, x: Any) -> Array | None:
        """By what an array is multiplied; None for what is exact."""
        if isinstance(x, tuple) or np.asarray(x).dtype.kind not in "fc":
            return None
        return np.asarray(1 + self.size * self.rng.standard_normal(np.shape(x)))

    def inside(self, x: Array) -> Array:
        """An array whose further use is nudged too."""
        noisy = np.asarray(x).view(_Noisy)
        noisy.nudge = self
        return noisy


class _Noisy(np.ndarray[Any, Any]):
    """An array with which NumPy computes inexactly, function by function."""

    nudge: Nudge | None

    def __array_finalize__(self, other: Any) -> None:
        self.nudge = getattr(other, "nudge", None)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        nudge = next((x.nudge for x in inputs if isinstance(x, _Noisy)), self.nudge)
        if "out" in kwargs:
            kwargs["out"] = tuple(_bare(x) for x in kwargs["out"])
        result = getattr(ufunc, method)(*(_bare(x) for x in inputs), **kwargs)
        factors = None if nudge is None else nudge.factors(result)
        if nudge is None or factors is None:  # nothing to nudge: truths, integers, pairs
            return result
        return nudge.inside(result if ufunc.__name__ in EXACT else np.asarray(result * factors))


def _bare(x: Any) -> Any:
    return x.view(np.ndarray) if isinstance(x, _Noisy) else x


def nudges(dtype: Any, plain: Mapping[Node, Array]) -> Iterator[Nudge]:
    """The same few, every time, for computations in a precision."""
    for draw in range(DRAWS):
        yield Nudge(SLACK * float(np.finfo(dtype).eps), np.random.default_rng(draw), plain)


def furthest(changes: Sequence[Any]) -> Array:
    """The largest of some changes, entry by entry, of those that are finite; 0 where none is."""
    sizes = [np.where(np.isfinite(x), np.abs(x), np.nan) for x in changes]
    return np.asarray(np.nan_to_num(np.fmax.reduce(sizes)))
