"""Strokes as chains of cubic Béziers: straight, with round corners, cut into pieces, measured."""

from __future__ import annotations

import math
from collections.abc import Sequence

Point = tuple[float, float]


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
