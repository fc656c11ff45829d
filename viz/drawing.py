"""What a picture is: immutable shapes in points, y downwards. Writers turn it into files.

Colours are *tones* (`"state"`, `"input"`), looked up in `viz.style` by each writer, so that
one drawing serves light and dark. Curves are chains of cubic Béziers.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path as FilePath
from typing import Any

from unfold.core.errors import UnfoldError
from unfold.core.files import write_whole
from viz.labels import Label

Point = tuple[float, float]
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
class Text:
    """A line of text whose middle (or start, or end) is at a point."""

    at: Point
    label: Label
    size: float = 14.0
    tone: str = "ink"
    anchor: str = "middle"
    name: str = ""

    @property
    def bounds(self) -> Bounds:
        from viz.labels import width

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


Shape = Circle | Box | Text | Path | Group | Repeat


@dataclass(frozen=True)
class Drawing:
    """A picture. `.save("x.svg")` writes it; in a notebook it shows itself."""

    parts: tuple[Shape, ...]
    title: str = ""
    desc: str = ""
    margin: float = 10.0
    page: Any = field(default=None, compare=False, repr=False)  # what only `.html` shows

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

    def moved(self, dx: float, dy: float) -> Drawing:
        """The drawing shifted by (dx, dy)."""
        return replace(self, parts=(Group(self.parts, (dx, dy)),))

    def svg(self, theme: str = "auto", prefix: str | None = None) -> str:
        """The SVG text. `theme` is "light", "dark", or "auto" (what the reader prefers); `prefix`
        starts every id (by default a digest of the picture)."""
        from viz.svg import render

        return render(self, theme, prefix)

    def dot(self) -> str:
        """The DOT text, every position pinned."""
        from viz.dot import render

        return render(self)

    def save(self, path: str | os.PathLike[str]) -> FilePath:
        """Write the file, in the format its suffix names; the old file stays until the new
        one is complete. Returns the path."""
        target = FilePath(path)
        suffix = target.suffix.lower()
        if suffix not in _FORMATS:
            raise UnfoldError(f"{target.name}: a drawing is saved as one of {', '.join(_FORMATS)}")
        return write(target, _FORMATS[suffix](self, suffix))

    def _repr_svg_(self) -> str:
        return self.svg()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"image/svg+xml": self.svg(), "text/plain": repr(self)}

    def __repr__(self) -> str:
        return f"<Drawing {self.title!r}: {self.size[0]:.0f} x {self.size[1]:.0f} pt>"


def _svg(drawing: Drawing, suffix: str) -> bytes:
    return drawing.svg().encode()


def _dot(drawing: Drawing, suffix: str) -> bytes:
    return drawing.dot().encode()


def _program(drawing: Drawing, suffix: str) -> bytes:
    from viz.dot import pipe

    return pipe(drawing, suffix[1:])


def _html(drawing: Drawing, suffix: str) -> bytes:
    from viz.html import render

    return render(drawing).encode()


def _tex(drawing: Drawing, suffix: str) -> bytes:
    from viz.tex import render

    return render(drawing).encode()


_FORMATS = {
    ".svg": _svg,
    ".html": _html,
    ".dot": _dot,
    ".gv": _dot,
    ".pdf": _program,
    ".png": _program,
    ".tex": _tex,
}


def write(target: FilePath, data: bytes) -> FilePath:
    """Write a file so that nobody ever sees half of it."""
    if not target.parent.is_dir():
        raise UnfoldError(f"{target}: the folder {target.parent} does not exist; make it first")
    try:
        write_whole(target, data)
    except OSError as error:
        raise UnfoldError(f"{target} cannot be written: {error.strerror}") from error
    return target


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


def line(a: Point, b: Point) -> tuple[Point, ...]:
    """A straight stroke as one cubic."""
    return a, lerp(a, b, 1 / 3), lerp(a, b, 2 / 3), b


def polyline(corners: Sequence[Point], radius: float = 10.0) -> tuple[Point, ...]:
    """Straight strokes joined by round corners."""
    points: list[Point] = [corners[0]]
    for i in range(1, len(corners)):
        a, b = points[-1], corners[i]
        if i + 1 == len(corners):
            points += line(a, b)[1:]
            break
        c = corners[i + 1]
        r = min(radius, math.dist(corners[i - 1], b) / 2, math.dist(b, c) / 2)
        p, q = toward(b, a, r), toward(b, c, r)
        points += line(a, p)[1:]
        points += [lerp(p, b, 0.55), lerp(q, b, 0.55), q]
    return tuple(points)


def lerp(a: Point, b: Point, s: float) -> Point:
    """The point a + s (b - a)."""
    return a[0] + (b[0] - a[0]) * s, a[1] + (b[1] - a[1]) * s


def toward(a: Point, b: Point, distance: float) -> Point:
    """The point at a distance from `a` in the direction of `b`."""
    whole = math.dist(a, b)
    return lerp(a, b, distance / whole) if whole else a


def bezier(p: Sequence[Point], s: float) -> Point:
    """A point of one cubic."""
    u = 1 - s
    k = (u * u * u, 3 * u * u * s, 3 * u * s * s, s * s * s)
    return sum(w * q[0] for w, q in zip(k, p, strict=True)), sum(w * q[1] for w, q in zip(k, p, strict=True))


def straight(p: Sequence[Point]) -> bool:
    """Whether one cubic is a straight stroke."""
    (x0, y0), (x3, y3) = p[0], p[3]
    return all(
        abs((x - x0) * (y3 - y0) - (y - y0) * (x3 - x0)) <= 1e-6 * (1 + abs(x3 - x0) + abs(y3 - y0))
        for x, y in p[1:3]
    )


def pieces(points: Sequence[Point]) -> list[Sequence[Point]]:
    """The cubics of a chain, four points each."""
    return [points[i : i + 4] for i in range(0, len(points) - 1, 3)]


def flatten(points: Sequence[Point], steps: int = 12) -> list[Point]:
    """Points along a chain of cubics, dense enough to measure with."""
    out = [points[0]]
    for p in pieces(points):
        n = 4 if straight(p) else steps
        out += [bezier(p, (k + 1) / n) for k in range(n)]
    return out
