"""Columns of steps at one pitch; above a number of them an ellipsis stands for the middle."""

from __future__ import annotations

from dataclasses import dataclass

from unfold.core.axis import Axis

LIMIT = 8  # columns before an ellipsis is used


def shown(n: int, limit: int = LIMIT) -> tuple[int | None, ...]:
    """1, ..., n; above the limit 1, 2, 3, an ellipsis, n-1, n."""
    return tuple(range(1, n + 1)) if n <= max(limit, 6) else (1, 2, 3, None, n - 1, n)


@dataclass(frozen=True)
class Columns:
    """The columns of one axis: which steps are shown (None: the ellipsis), and where."""

    axis: Axis
    steps: tuple[int | None, ...]
    size: int
    left: float
    pitch: float
    relative: bool = False  # steps are t-1, t, t+1 of some longer sequence

    def x(self, at: int | None) -> float:
        """The middle of a step's column; of the place beside the first or last one."""
        if at in self.steps:
            return self.left + self.pitch * self.steps.index(at)
        ends = [s for s in self.steps if s is not None]
        if at is None or not ends:
            return self.left
        if at < ends[0]:
            return self.left - 0.8 * self.pitch * min(ends[0] - at, 3)
        return self.left + self.pitch * (len(self.steps) - 1 + 0.8 * min(at - ends[-1], 3))

    @property
    def right(self) -> float:
        return self.left + self.pitch * max(0, len(self.steps) - 1)

    def shown(self, at: int) -> bool:
        return at in self.steps

    def name(self, at: int) -> str:
        """How a step is written above a variable."""
        if not self.relative:
            return str(at)
        return self.axis.name + (f"{at:+d}" if at else "")
