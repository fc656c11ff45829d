"""An unfolded picture that is being filled: what is known of it, and where its columns stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from unfold.core.axis import Axis, Index
from viz.layouts.by_variable.looks import circle, variants
from viz.layouts.columns import Columns
from viz.layouts.scene import Scene
from viz.model.variable_model import Model, Variable
from viz.shapes.curves import Point


@dataclass
class Filling:
    """A scene being filled, column by column, then arrow by arrow."""

    model: Model
    sizes: Mapping[Axis, int]
    limit: int
    relative: bool  # steps are named t-1, t, t+1
    weights: Mapping[str, Any]  # values of variables over two axes, drawn as widths
    scene: Scene = field(default_factory=Scene)
    column: dict[Axis, Columns] = field(default_factory=dict)
    members: dict[Axis, list[str]] = field(default_factory=dict)  # the shapes of each axis's columns
    offset: dict[str, Point] = field(default_factory=dict)  # from the column's middle; y downwards
    free: dict[str, Point] = field(default_factory=dict)  # where variables without a column stand
    gathered: set[str] = field(default_factory=set)  # whose sums over an axis are drawn as a fan

    def __post_init__(self) -> None:
        self.colours = variants(self.model)
        one = [b for b in self.model.boundaries.values() if len(b.index) == 1]
        self.fixed = {(b.name, self.place(b.index)): b for b in one}

    def place(self, index: Sequence[Index]) -> int:
        """The step that a boundary value stands at."""
        (i,) = index
        return i.resolve(0, self.sizes.get(i.axis, 0))

    def target(self, key: str) -> Variable | None:
        """A variable or a boundary value."""
        return self.model.variables.get(key) or self.model.boundaries.get(key)

    def axes(self, key: str) -> tuple[Axis, ...]:
        v = self.target(key)
        return v.axes if v is not None else ()

    def alone(self, key: str, at: Point, size: float | None = None) -> None:
        """A variable that stands in no column."""
        self.free[key] = at
        v = self.model.variables[key]
        self.scene.add(circle(v, at, key) if size is None else circle(v, at, key, size=size))
