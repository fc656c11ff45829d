"""A picture in the making: shapes with names, edges between them, labels beside the edges.

Edges avoid the shapes they do not join, labels avoid everything. Both are chosen for a whole
*kind* of edges at once (all the `W` from step to step), so that columns come out identical.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from viz.drawing import Drawing
from viz.shapes.curves import Point, flatten, line
from viz.shapes.figures import Box, Circle, Path, Shape, Words
from viz.shapes.labels import Label, width
from viz.shapes.style import EDGE, SQUARE

CELL = 64.0

BOWS = (0.0, 16.0, -16.0, 28.0, -28.0, 42.0, -42.0, 58.0, -58.0, 78.0, -78.0, 104.0, -104.0, 140.0, -140.0)

SPOTS = (0.5, 0.42, 0.58, 0.34, 0.66, 0.26, 0.74, 0.82, 0.18)

Key = tuple[str, int, int]


@dataclass(frozen=True)
class Connection:
    """From one named shape to another; `path` is given, or found by `Scene.drawing`."""

    ends: tuple[str, str]
    kind: str = ""
    tone: str = "ink"
    label: Label = ()
    carries: tuple[str, ...] = ()
    dashed: bool = False
    arrow: bool = True
    width: float = 1.2
    title: str = ""
    path: tuple[Point, ...] = ()
    bows: tuple[float, ...] = BOWS
    delay: str = ""  # a square on the way: a delay, with these words


class Scene:
    """Collects shapes and edges; `drawing` routes the edges and sets their labels."""

    def __init__(self) -> None:
        self.back: list[Shape] = []  # frames, behind everything
        self.nodes: dict[str, Circle | Box | Words] = {}
        self.edges: list[Connection] = []
        self.extra: list[Shape] = []

    def add(self, shape: Circle | Box | Words) -> None:
        self.nodes[shape.name] = shape

    def connect(self, edge: Connection) -> None:
        if edge.path or (edge.ends[0] in self.nodes and edge.ends[1] in self.nodes):
            self.edges.append(edge)

    def drawing(self, title: str, desc: str) -> Drawing:
        """The finished picture: frames, edges, shapes, labels, in this order."""
        grid = _Grid(self.nodes)
        routed: dict[int, tuple[Point, ...]] = {n: e.path for n, e in enumerate(self.edges) if e.path}
        for path in routed.values():
            grid.strike(path)
        kinds = self._kinds(routed)
        for members in sorted(kinds.values(), key=lambda m: (self._length(m[0]), m[0])):
            paths = self._route(members, grid)
            routed.update(zip(members, paths, strict=True))
            for path in paths:
                grid.strike(path)
        strokes = [
            Path(routed[n], e.tone, e.arrow, e.dashed, e.width, e.ends, e.carries, e.title)
            for n, e in enumerate(self.edges)
        ]
        for n, e in enumerate(self.edges):
            if e.delay:
                here = flatten(routed[n])
                self.add(
                    Box(
                        here[len(here) // 2],
                        SQUARE,
                        SQUARE,
                        "ink",
                        name=f"delay {n}",
                        title=e.delay,
                        corner=0,
                    )
                )
                grid.place(f"delay {n}", self.nodes[f"delay {n}"])
        for frame in self.back:
            l, t, r, b = frame.bounds
            for side in (((l, t), (l, b)), ((r, t), (r, b)), ((l, t), (r, t)), ((l, b), (r, b))):
                grid.strike(line(*side))
        texts = self._labels(routed, grid)
        return Drawing((*self.back, *strokes, *self.nodes.values(), *texts, *self.extra), title, desc)

    # ------------------------------------------------------------------ edges
    def _length(self, n: int) -> float:
        a, b = self.edges[n].ends
        return round(math.dist(self.nodes[a].at, self.nodes[b].at), 3)

    def _kinds(self, routed: dict[int, tuple[Point, ...]]) -> dict[Key, list[int]]:
        kinds: dict[Key, list[int]] = defaultdict(list)
        for n, e in enumerate(self.edges):
            if n not in routed:
                (x0, y0), (x1, y1) = self.nodes[e.ends[0]].at, self.nodes[e.ends[1]].at
                kinds[e.kind or f"#{n}", round(x1 - x0), round(y1 - y0)].append(n)
        return kinds

    def _route(self, members: list[int], grid: _Grid) -> list[tuple[Point, ...]]:
        """The bow that hits least, over a few members of the kind; all get the same."""
        probe = sorted(
            {members[0], members[len(members) // 2], members[-1], members[:2][-1], members[-2:][0]}
        )
        best, cost = 0.0, math.inf
        for bow in self.edges[members[0]].bows:
            total = 1.6 * abs(bow) * len(probe)
            for n in probe:
                total += grid.hits(self._curve(n, bow), self.edges[n].ends)
                if total >= cost:
                    break
            if total < cost - 1e-9:
                best, cost = bow, total
            if cost <= 1.6 * abs(bow) * len(probe) + 1e-9:
                break
        return [self._curve(n, best) for n in members]

    def _curve(self, n: int, bow: float) -> tuple[Point, ...]:
        a, b = (self.nodes[k] for k in self.edges[n].ends)
        (x0, y0), (x1, y1) = a.at, b.at
        d = math.dist(a.at, b.at) or 1.0
        nx, ny = (y1 - y0) / d * bow * 4 / 3, -(x1 - x0) / d * bow * 4 / 3
        if not bow:
            return line(border(a, b.at), border(b, a.at))
        c = (x0 + (x1 - x0) * 0.22 + nx, y0 + (y1 - y0) * 0.22 + ny)
        e = (x0 + (x1 - x0) * 0.78 + nx, y0 + (y1 - y0) * 0.78 + ny)
        return border(a, c), c, e, border(b, e)

    # ------------------------------------------------------------------ labels
    def _labels(self, routed: dict[int, tuple[Point, ...]], grid: _Grid) -> list[Words]:
        kinds: dict[Key, list[int]] = defaultdict(list)
        for n, e in enumerate(self.edges):
            if e.label:
                (x0, y0), (x1, y1) = routed[n][0], routed[n][-1]
                kinds[e.kind or f"#{n}", round(x1 - x0), round(y1 - y0)].append(n)
        texts: list[Words] = []
        for members in kinds.values():
            probe = sorted({members[0], members[len(members) // 2], members[-1]})
            label = self.edges[members[0]].label
            best, cost = (0.5, 1), math.inf
            for s in SPOTS:
                for side in (1, -1):
                    total = sum(self._label_cost(routed[n], label, s, side, grid) for n in probe)
                    if total < cost - 1e-9:
                        best, cost = (s, side), total
            for n in members:
                at = _beside(routed[n], label, *best)
                text = Words(at, self.edges[n].label, EDGE, self.edges[n].tone)
                texts.append(text)
                grid.letters.append(text.bounds)
        return texts

    def _label_cost(self, path: Sequence[Point], label: Label, s: float, side: int, grid: _Grid) -> float:
        l, t, r, b = Words(_beside(path, label, s, side), label, EDGE).bounds
        box = (l, t - (3.0 if any(run.shift > 0 for run in label) else 0.0), r, b)
        return grid.crowding(box) + 22 * abs(s - 0.5) + (0.0 if side > 0 else 3.0)


def _beside(path: Sequence[Point], label: Label, s: float, side: int) -> Point:
    """Where a label's middle stands: beside the path at a share of its length; side 1 is above
    a horizontal stroke and to the right of a vertical one."""
    dots = flatten(path)
    far = [0.0]
    for p, q in pairwise(dots):
        far.append(far[-1] + math.dist(p, q))
    want = s * far[-1]
    k = next((i for i in range(1, len(far)) if far[i] >= want), len(far) - 1)
    (x0, y0), (x1, y1) = dots[k - 1], dots[k]
    part = (want - far[k - 1]) / ((far[k] - far[k - 1]) or 1.0)
    x, y = x0 + (x1 - x0) * part, y0 + (y1 - y0) * part
    d = math.dist((x0, y0), (x1, y1)) or 1.0
    nx, ny = -(y1 - y0) / d, (x1 - x0) / d
    if ny > 0.35 or (abs(ny) <= 0.35 and nx < 0):
        nx, ny = -nx, -ny
    w, h = width(label, EDGE) / 2 + 4, EDGE * 0.42 + 3.5
    reach = abs(nx) * w + abs(ny) * h
    return x + side * nx * reach, y + side * ny * reach


def border(shape: Circle | Box | Words, to: Point) -> Point:
    """Where the stroke from a shape's middle towards a point leaves the shape."""
    x, y = shape.at if not isinstance(shape, Words) else _middle(shape)
    dx, dy = to[0] - x, to[1] - y
    d = math.hypot(dx, dy) or 1.0
    if isinstance(shape, Circle):
        return x + dx / d * shape.r, y + dy / d * shape.r
    l, t, r, b = shape.bounds
    gap = 5.0 if isinstance(shape, Words) else 0.0
    w, h = (r - l) / 2 + gap, (b - t) / 2
    s = min(w / abs(dx) if dx else math.inf, h / abs(dy) if dy else math.inf)
    return (x + dx * s, y + dy * s) if math.isfinite(s) else (x, y)


def _middle(shape: Words) -> Point:
    l, t, r, b = shape.bounds
    return (l + r) / 2, (t + b) / 2


class _Grid:
    """What stands where, in square cells, so that every question looks at neighbours only."""

    def __init__(self, nodes: dict[str, Circle | Box | Words]) -> None:
        self.shapes: dict[tuple[int, int], list[tuple[str, Circle | Box | Words]]] = defaultdict(list)
        self.dots: dict[tuple[int, int], list[Point]] = defaultdict(list)
        self.ink: set[tuple[int, int]] = set()
        self.letters: list[tuple[float, float, float, float]] = []
        for name, shape in nodes.items():
            self.place(name, shape)

    def place(self, name: str, shape: Circle | Box | Words) -> None:
        l, t, r, b = shape.bounds
        for i in range(int((l - 12) // CELL), int((r + 12) // CELL) + 1):
            for j in range(int((t - 12) // CELL), int((b + 12) // CELL) + 1):
                self.shapes[i, j].append((name, shape))

    def strike(self, path: Sequence[Point]) -> None:
        """Remember a stroke."""
        for x, y in _dense(path):
            self.dots[int(x // CELL), int(y // CELL)].append((x, y))
            self.ink.add(_fine((x, y)))

    def hits(self, path: Sequence[Point], ends: tuple[str, str]) -> float:
        """How bad a stroke is: through shapes (very), along other strokes (a little)."""
        cost, hit = 0.0, set()
        dots = _dense(path)
        start, stop = dots[0], dots[-1]
        for p in dots:
            cell = int(p[0] // CELL), int(p[1] // CELL)
            for name, shape in self.shapes.get(cell, ()):
                if name not in ends and name not in hit and _inside(shape, p, 5.0):
                    hit.add(name)
            if math.dist(p, start) > 10 and math.dist(p, stop) > 14:
                cost += 5.0 * (_fine(p) in self.ink)
        return cost + 1500.0 * len(hit)

    def crowding(self, box: tuple[float, float, float, float]) -> float:
        """How much a label at a rectangle would cover."""
        l, t, r, b = box[0] - 1.5, box[1] + 1.5, box[2] + 1.5, box[3] - 1.5
        cost, seen = 0.0, set()
        for i in range(int(l // CELL), int(r // CELL) + 1):
            for j in range(int(t // CELL), int(b // CELL) + 1):
                for name, shape in self.shapes.get((i, j), ()):
                    if name not in seen and _touches(shape, (l, t, r, b)):
                        seen.add(name)
                cost += 14.0 * sum(l <= x <= r and t <= y <= b for x, y in self.dots.get((i, j), ()))
        over = sum(l < m[2] and m[0] < r and t < m[3] and m[1] < b for m in self.letters[-400:])
        return cost + 300.0 * len(seen) + 300.0 * over


def _fine(p: Point) -> tuple[int, int]:
    """The small square a point is in."""
    return round(p[0] / 5), round(p[1] / 5)


def _dense(path: Sequence[Point]) -> list[Point]:
    """Points along a path, about 6 apart."""
    dots = flatten(path)
    out = [dots[0]]
    for p, q in pairwise(dots):
        n = max(1, int(math.dist(p, q) / 6))
        out += [(p[0] + (q[0] - p[0]) * k / n, p[1] + (q[1] - p[1]) * k / n) for k in range(1, n + 1)]
    return out


def _inside(shape: Circle | Box | Words, p: Point, gap: float) -> bool:
    if isinstance(shape, Circle):
        return math.dist(shape.at, p) < shape.r + gap
    l, t, r, b = shape.bounds
    return l - gap < p[0] < r + gap and t - gap < p[1] < b + gap


def _touches(shape: Circle | Box | Words, box: tuple[float, float, float, float]) -> bool:
    l, t, r, b = box
    if isinstance(shape, Circle):
        x, y = min(max(shape.at[0], l), r), min(max(shape.at[1], t), b)
        return math.dist((x, y), shape.at) < shape.r
    L, T, R, B = shape.bounds
    return l < R and r > L and t < B and b > T
