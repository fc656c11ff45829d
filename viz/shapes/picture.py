"""A picture as data: what the writers are given. `viz.drawing.Drawing` is one that can save itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from viz.shapes.curves import Point
from viz.shapes.figures import Bounds, Shape, bounds


@dataclass(frozen=True)
class Picture:
    """Shapes, the title, and a description for those who cannot see it."""

    parts: tuple[Shape, ...]
    title: str = ""
    desc: str = ""
    margin: float = 10.0
    # what only `.html` shows
    page: Callable[[], Page] | None = field(default=None, compare=False, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        """For pickle: the page made, not how it is made."""
        return {**self.__dict__, "page": self.page and Made(self.page())}

    @property
    def bounds(self) -> Bounds:
        l, t, r, b = bounds(self.parts) if self.parts else (0.0, 0.0, 0.0, 0.0)
        m = self.margin
        return l - m, t - m, r + m, b + m

    @property
    def size(self) -> Point:
        """Width and height in points."""
        l, t, r, b = self.bounds
        return r - l, b - t


@dataclass(frozen=True)
class Page:
    """What a page shows beside its picture: the other form, and facts by name of a disc."""

    folded: Picture | None = None
    unfolded: Picture | None = None
    facts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Made:
    """A page that is there already."""

    page: Page

    def __call__(self) -> Page:
        return self.page
