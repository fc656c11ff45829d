"""What a picture is made of: immutable shapes in points, y downwards. Writers turn them into files.

Colours are *tones* (`"state"`, `"input"`), looked up in `viz.shapes.style` by each writer, so that
one drawing serves light and dark. Curves are chains of cubic Béziers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from viz.shapes.curves import Point, flatten
from viz.shapes.labels import Label, width

Bounds = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True)
class Circle:
    """A disc with a label: a variable, or a small operation."""

    at: Point
    r: float
    tone: str
    label: Label = ()
    name: str = ""  # what it is called by edges and by the page's script
    title: str = ""  # said on hover and by screen readers
    size: float = 16.0

    @property
    def bounds(self) -> Bounds:
        return self.at[0] - self.r, self.at[1] - self.r, self.at[0] + self.r, self.at[1] + self.r


@dataclass(frozen=True)
class Box:
    """A rectangle around `at`: an operation, a delay square, the frame of a column."""

    at: Point
    width: float
    height: float
    tone: str
    label: Label = ()
    name: str = ""
    title: str = ""
    corner: float = 4.0
    size: float = 14.0
    outline: bool = True

    @property
    def bounds(self) -> Bounds:
        w, h = self.width / 2, self.height / 2
        return self.at[0] - w, self.at[1] - h, self.at[0] + w, self.at[1] + h


@dataclass(frozen=True)
class Words:
    """A line of text whose middle (or start, or end) is at a point."""

    at: Point
    label: Label
    size: float = 14.0
    tone: str = "ink"
    anchor: str = "middle"
    name: str = ""

    @property
    def bounds(self) -> Bounds:
        w = width(self.label, self.size)
        left = self.at[0] - {"start": 0.0, "middle": w / 2, "end": w}[self.anchor]
        return left, self.at[1] - 0.6 * self.size, left + w, self.at[1] + 0.6 * self.size


@dataclass(frozen=True)
class Path:
    """A chain of cubic Béziers p0 c c p c c p ..., with an arrowhead at its end."""

    points: tuple[Point, ...]
    tone: str = "ink"
    arrow: bool = True
    dashed: bool = False
    width: float = 1.2
    ends: tuple[str, str] = ("", "")  # names of the shapes it joins
    carries: tuple[str, ...] = ()  # the parameters on the way
    title: str = ""

    @property
    def bounds(self) -> Bounds:
        xs, ys = zip(*flatten(self.points), strict=True)
        return min(xs), min(ys), max(xs), max(ys)


@dataclass(frozen=True)
class Group:
    """Shapes that belong together, moved by `at`."""

    parts: tuple[Shape, ...]
    at: Point = (0.0, 0.0)
    kind: str = ""

    @property
    def bounds(self) -> Bounds:
        l, t, r, b = bounds(self.parts)
        return l + self.at[0], t + self.at[1], r + self.at[0], b + self.at[1]


@dataclass(frozen=True)
class Repeat:
    """The same shapes at many places: one copy in the file, however many columns."""

    parts: tuple[Shape, ...]
    places: tuple[Point, ...]

    @property
    def bounds(self) -> Bounds:
        l, t, r, b = bounds(self.parts)
        xs, ys = zip(*self.places, strict=True)
        return l + min(xs), t + min(ys), r + max(xs), b + max(ys)


Shape = Circle | Box | Words | Path | Group | Repeat


# ---------------------------------------------------------------------- geometry
def bounds(parts: Sequence[Shape]) -> Bounds:
    """The rectangle around shapes."""
    boxes = [p.bounds for p in parts]
    return (
        min(b[0] for b in boxes),
        min(b[1] for b in boxes),
        max(b[2] for b in boxes),
        max(b[3] for b in boxes),
    )


def walk(parts: Sequence[Shape], at: Point = (0.0, 0.0)) -> Iterator[tuple[Shape, Point]]:
    """Every elementary shape with the shift of the groups around it."""
    for p in parts:
        if isinstance(p, Group):
            yield from walk(p.parts, (at[0] + p.at[0], at[1] + p.at[1]))
        elif isinstance(p, Repeat):
            for place in p.places:
                yield from walk(p.parts, (at[0] + place[0], at[1] + place[1]))
        else:
            yield p, at
