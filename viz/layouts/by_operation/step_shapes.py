"""The shapes of one step at operation level: its parts, and the lines between them, each led
round whatever stands in its way."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from viz.layouts.by_operation.rails import BUS, LEVEL, SLOT, Rails, half
from viz.model.operation_level import Operation, Port, StepOperations
from viz.shapes import labels
from viz.shapes.curves import Point, polyline
from viz.shapes.figures import Box, Circle, Path, Shape, Words
from viz.shapes.spots import spot
from viz.shapes.style import MATH

PAD = 52.0  # from the outermost part to the edge of the step

HEIGHT = 13.0  # half the height of a box

COLOURS = ("recur", "recur4", "recur2", "recur3", "out")

Segment = tuple[Point, Point, str]


@dataclass
class StepShapes:
    """The shapes of one step around its own origin: x from the first part, y downwards."""

    cell: StepOperations
    plan: Rails
    roles: Mapping[str, str]
    strokes: list[Path] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    circles: dict[str, Point] = field(default_factory=dict)  # inputs and shown outputs
    tones: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = dict.fromkeys(p.name for p in self.cell.ports.values())
        for n, name in enumerate(names):
            self.tones[name] = COLOURS[n % len(COLOURS)]
        self.left, self.right = -PAD - 8, self.plan.width + PAD
        self._inputs()
        self._outputs()
        for port in self.cell.ports.values():
            self._rail(port) if port.key in self.plan.rails else self._bus(port)
        for part in self.cell.parts.values():
            for s in part.sources:
                if s in self.cell.parts and not self._on_rail(s, part.key):
                    self._join(s, part.key)

    # ------------------------------------------------------------------ places
    @property
    def pitch(self) -> float:
        return self.right - self.left

    def at(self, key: str) -> Point:
        return self.plan.x[key], -self.plan.y(key)

    def enters(self, port: Port) -> Point:
        """Where a port's value comes into the step."""
        return (self.left if port.lag > 0 else self.right), -self.plan.lanes[port.key]

    def leaves(self, port: Port) -> Point:
        return (self.right if port.lag > 0 else self.left), -self.plan.lanes[port.key]

    def _on_rail(self, a: str, b: str) -> bool:
        return any((a, b) in pairwise(keys) for keys in self.plan.rails.values())

    def part(self, key: str) -> Circle | Box:
        """A gate as a box, an operation on entries as a disc."""
        p = self.cell.parts[key]
        title = f"{p.name + ': ' if p.name else ''}{p.node.op.name}" + (
            f" with {', '.join(p.carries)}" if p.carries else ""
        )
        w = half(self.plan, key)
        if p.layer:
            return Box(self.at(key), 2 * w, 2 * HEIGHT, "gate", p.label, key, title, 4, 13.0)
        if w > 13.5:
            return Box(self.at(key), 2 * w, 2 * HEIGHT - 2, "pointwise", p.label, key, title, 11, 13.0)
        return Circle(self.at(key), 13.0, "pointwise", p.label, key, title, 13.0)

    # ------------------------------------------------------------------ lines
    def _rail(self, port: Port) -> None:
        keys = self.plan.rails[port.key]
        tone = self.tones[port.name]
        forward = 1 if port.lag > 0 else -1
        stops = [self.enters(port)]
        for k in keys:
            x, y = self.at(k)
            w = half(self.plan, k) * forward
            self._stroke([stops[-1], (x - w, y)], tone, port.key, ((stops and port.key) or "", k))
            stops.append((x + w, y))
        self._stroke([stops[-1], self.leaves(port)], tone, port.maker, (keys[-1], ""), arrow=False)
        for r in self.cell.readers(port.key):
            if r != keys[0]:
                self._tap(port, r, tone)

    def _tap(self, port: Port, reader: str, tone: str) -> None:
        """From a rail down (or up) to a part beside it."""
        x0, y0 = self.enters(port)
        first = self.plan.x[self.plan.rails[port.key][0]]
        inward = 1 if port.lag > 0 else -1
        (x, y), h = self.at(reader), HEIGHT
        down = 1 if y > y0 else -1
        start = x0 + 18 * inward
        low = -self.plan.bottom + 4
        ways = [
            [(x0, y0), (x, y0), (x, y - down * h)],
            [(x0, y0), (start, y0), (start, low), (x, low), (x, y + h)],
            [(x0, y0), (start, y0), (start, y), (x - inward * half(self.plan, reader), y)],
            [(x0, y0), (x - 9 * inward, y0), (x - 9 * inward, y - down * h)],
        ]
        w = half(self.plan, reader)
        for k in (-1, 1):
            side = x + k * (w + 11)
            for level in (y - LEVEL / 2, y + LEVEL / 2, low):
                ways.append([(x0, y0), (start, y0), (start, level), (side, level), (side, y), (x + k * w, y)])
        if (first - x) * inward < 0:
            del ways[3], ways[0]
        self._best(ways, tone, port.key, (port.key, reader))

    def _bus(self, port: Port) -> None:
        """A line below the gates with a branch up to each reader; on the right, what the step
        makes goes out on it again."""
        tone = self.tones[port.name]
        x0, y0 = self.enters(port)
        for r in self.cell.readers(port.key):
            self._branch((x0, y0), r, tone, port.key)
        end = self.leaves(port)
        if abs(port.lag) > 1:
            before = next(
                (
                    p
                    for p in self.cell.ports.values()
                    if (p.name, abs(p.lag)) == (port.name, abs(port.lag) - 1)
                ),
                None,
            )
            if before is not None:
                start = self.enters(before)
                inward = 1 if port.lag > 0 else -1
                a, b = start[0] + 9 * inward, end[0] - 9 * inward
                low = y0 + BUS * 0.6
                self._stroke(
                    [start, (a, start[1]), (a, low), (b, low), (b, y0), end], tone, before.key, arrow=False
                )
        elif port.maker:
            x, y = self.at(port.maker)
            self._stroke([(x, y + HEIGHT), (x, end[1]), end], tone, port.maker, (port.maker, ""), arrow=False)
        elif f"in {port.name}" in self.circles:
            x, y = self.circles[f"in {port.name}"]
            side = 14 if port.lag > 0 else -14
            self._stroke(
                [(x + side, y), (end[0] - side, y), (end[0] - side, end[1]), end], tone, "", arrow=False
            )

    def _branch(self, start: Point, reader: str, tone: str, source: str) -> None:
        (x, y), w = self.at(reader), half(self.plan, reader)
        n = sum(
            s.startswith(("port", "in ")) and not self._merged(s) for s in self.cell.parts[reader].sources
        )
        shifts = (0.0, -7.0, 7.0) if n < 2 else (-6.0, 6.0, 0.0)
        ways = [[start, (x + d, start[1]), (x + d, y + HEIGHT)] for d in shifts]
        ways += [
            [start, (x + s * (w + 11), start[1]), (x + s * (w + 11), y), (x + s * w, y)] for s in (-1, 1)
        ]
        self._best(ways, tone, source, (source, reader))

    def _join(self, a: str, b: str) -> None:
        """From one part to another."""
        (xa, ya), (xb, yb) = self.at(a), self.at(b)
        wa, wb = half(self.plan, a), half(self.plan, b)
        h = HEIGHT
        tone = next((self.tones[p.name] for p in self.cell.ports.values() if p.maker == a), "ink")
        ways: list[list[Point]] = []
        side = 1 if xb > xa else -1
        up = -1 if yb < ya else 1
        if abs(ya - yb) < 1:
            over = ya - 0.5 * LEVEL
            ways = [
                [(xa + side * wa, ya), (xb - side * wb, yb)],
                [(xa, ya - h), (xa, over), (xb, over), (xb, yb - h)],
            ]
        elif abs(xa - xb) < 1:
            ways = [[(xa, ya + up * h), (xb, yb - up * h)]]
            for d in (0.42, -0.42, 0.6, -0.6):
                x = xa + d * SLOT
                s = 1 if d > 0 else -1
                ways.append([(xa + s * wa, ya), (x, ya), (x, yb), (xb + s * wb, yb)])
        else:
            ways = [
                [(xa, ya + up * h), (xa, yb), (xb - side * wb, yb)],
                [(xa + side * wa, ya), (xb, ya), (xb, yb - up * h)],
            ]
            if a in self.plan.makers or any(a in keys for keys in self.plan.rails.values()):
                ways.reverse()
            for f in (0.5, 0.3, 0.7):
                mid = ya + (yb - ya) * f
                ways.append([(xa, ya + up * h), (xa, mid), (xb, mid), (xb, yb - up * h)])
        port = next(
            (p for p in self.cell.ports.values() if p.maker == a and p.key not in self.plan.rails), None
        )
        if port is not None and a in self.plan.makers and xb > xa and up < 0:
            lane = -self.plan.lanes[port.key]
            ways.insert(0, [(xa, ya + h), (xa, lane), (xb, lane), (xb, yb + h)])
        self._best(ways, tone, a, (a, b))

    def _best(self, ways: Sequence[Sequence[Point]], tone: str, source: str, ends: tuple[str, str]) -> None:
        """The way that runs through no part and along no other line."""
        costs = [(self._cost(way, source, ends) + 4 * len(way), n) for n, way in enumerate(ways)]
        self._stroke(ways[min(costs)[1]], tone, source, ends)

    def _cost(self, way: Sequence[Point], source: str, ends: tuple[str, str]) -> float:
        cost = 0.0
        for a, b in pairwise(way):
            for key in self.cell.parts:
                if key not in ends and self._crosses(a, b, key):
                    cost += 300
            for name, (x, y) in self.circles.items():
                if name not in ends and _near(a, b, (x, y)) < 20:
                    cost += 300
            for p, q, other in self.segments:
                if other != source:
                    cost += 40 * _overlap(a, b, p, q)
        return cost

    def _crosses(self, a: Point, b: Point, key: str) -> bool:
        (x, y), w = self.at(key), half(self.plan, key) + 3
        l, r = min(a[0], b[0]), max(a[0], b[0])
        t, d = min(a[1], b[1]), max(a[1], b[1])
        return l < x + w and x - w < r and t < y + HEIGHT + 3 and y - HEIGHT - 3 < d

    def _stroke(
        self,
        way: Sequence[Point],
        tone: str,
        source: str,
        ends: tuple[str, str] = ("", ""),
        arrow: bool = True,
    ) -> None:
        self.segments += [(a, b, source) for a, b in pairwise(way)]
        clean = [p for n, p in enumerate(way) if not n or p != way[n - 1]]
        self.strokes.append(Path(polyline(clean, 8.0), tone, arrow, ends=ends, width=1.3))

    # ------------------------------------------------------------------ inputs and outputs
    def _inputs(self) -> None:
        self.low = -self.plan.bottom + 6
        bases: list[float] = []
        for name in self.cell.inputs:
            key = f"in {name}"
            readers = self.cell.readers(key)
            if not readers:
                continue
            beside = len(readers) == 1 and self.plan.row[readers[0]] > 2.5 and not self._below(readers[0])
            if beside:
                x, y = self.at(readers[0])
                self.circles[key] = (x, y - LEVEL * 0.95) if not self._over(readers[0]) else (x + SLOT, y)
                continue
            joined = len(readers) > 1
            x = (self.left + 26) if joined else self.plan.x[readers[0]]
            while any(abs(x - b) < 44 for b in bases):
                x += 44
            bases.append(x)
            self.circles[key] = (x, self.low + 44)
        for key, (x, y) in self.circles.items():
            readers = self.cell.readers(key)
            for r in readers:
                if self.circles[key][1] < self.at(r)[1]:
                    self._stroke([(x, y + 17), (x, self.at(r)[1] - HEIGHT)], "feed", key, (key, r))
                elif abs(y - self.at(r)[1]) < 1:
                    self._stroke(
                        [(x - 17, y), (self.at(r)[0] + half(self.plan, r), y)], "feed", key, (key, r)
                    )
                elif len(readers) == 1:
                    self._up((x, y - 17), r, key)
                elif not self._merged(key):
                    self._up((x, y - 17), r, key, self.low)
            if line_ := self._merged(key):
                level = -self.plan.lanes[line_]
                self._stroke(
                    [(x, y - 17), (x, level), (x + 26, level)], "feed", line_, (key, ""), arrow=False
                )

    def _merged(self, key: str) -> str:
        """The line below the gates that an input joins: one with the same readers."""
        readers = self.cell.readers(key)
        lines = [p for p in self.cell.ports if p not in self.plan.rails and self.cell.readers(p) == readers]
        return lines[0] if lines and len(readers) > 1 else ""

    def _below(self, key: str) -> bool:
        """Whether nothing stands between a part and the bottom of the step."""
        return not any(
            abs(self.plan.x[o] - self.plan.x[key]) < 30 and self.plan.row[o] < self.plan.row[key]
            for o in self.plan.x
        )

    def _over(self, key: str) -> bool:
        return any(
            abs(self.plan.x[o] - self.plan.x[key]) < 30 and self.plan.row[o] > self.plan.row[key]
            for o in self.plan.x
        )

    def _up(self, start: Point, reader: str, source: str, level: float | None = None) -> None:
        (x, y), w = self.at(reader), half(self.plan, reader)
        if level is None and abs(start[0] - x) < 1:
            ways = [[start, (x, y + HEIGHT)]]
        else:
            line_ = level if level is not None else start[1] - 12
            d = 6.0 if level is None or level == self.low else 0.0
            ways = [[start, (start[0], line_), (x + d, line_), (x + d, y + HEIGHT)]]
        s = start
        mid = level if level is not None else start[1] - 12
        ways += [
            [s, (s[0], mid), (x + k * (w + 11), mid), (x + k * (w + 11), y), (x + k * w, y)] for k in (-1, 1)
        ]
        self._best(ways, "feed", source, (source, reader))

    def _outputs(self) -> None:
        """A disc above for every output that nothing in the step reads further up."""
        for name, key in self.cell.outputs.items():
            part = self.cell.parts[key]
            higher = [r for r in self.cell.readers(key) if self.plan.row[r] > self.plan.row[key]]
            shown = part.name or name
            if higher or f"out {shown}" in self.circles or (not part.node.axes and any(self.cell.ports)):
                continue
            x, y = self.at(key)
            if key in self.plan.makers:
                port = next(p for p in self.cell.ports.values() if p.maker == key)
                lane = -self.plan.lanes[port.key]
                out = self.right - 24
                top = -self.plan.top - 62
                self.circles[f"out {shown}"] = (out, top)
                way = [(x, y + HEIGHT), (x, lane), (out, lane), (out, top + 17)]
                self._stroke(way, self.tones[port.name], key, (key, f"out {shown}"))
            elif any(abs(a - x) < 36 and b < y for a, b in self.circles.values()):
                taken = any(math.dist((x + SLOT, y), self.at(k)) < 40 for k in self.cell.parts)
                side = -1 if taken else 1
                self.circles[f"out {shown}"] = (x + side * SLOT, y)
                way = [(x + side * half(self.plan, key), y), (x + side * (SLOT - 17), y)]
                self._stroke(way, "out", key, (key, f"out {shown}"))
            else:
                top = min(y, -self.plan.top) - 62
                self.circles[f"out {shown}"] = (x, top)
                ways = [[(x, y - HEIGHT), (x, top + 17)]]
                self._best(ways, "out", key, (key, f"out {shown}"))

    # ------------------------------------------------------------------ shapes
    def body(self) -> tuple[Shape, ...]:
        """What is the same in every column."""
        shapes: list[Shape] = [*self.strokes]
        shapes += [self.part(k) for k in self.cell.parts]
        shapes += [self._note(p) for p in self.cell.parts.values() if p.note]
        return tuple(shapes)

    def _note(self, p: Operation) -> Words:
        x, y = self.at(p.key)
        w = half(self.plan, p.key)
        place = (x + w + 3, y + HEIGHT + 5) if p.layer else (x + w * 0.72 + 3, y - HEIGHT - 2)
        return Words(place, p.note, 11.5, "ink", "start")

    def frame(self) -> Box:
        top, bottom = -self.plan.top - 30, self.low + 12
        l, r = self.left + 12, self.right - 12
        return Box(((l + r) / 2, (top + bottom) / 2), r - l, bottom - top, "cell", corner=12)

    def discs(self, step: str) -> list[Shape]:
        """Inputs and outputs, with the step they belong to."""
        shapes: list[Shape] = []
        for key, at in self.circles.items():
            name = key.split(" ", 1)[1]
            over = self.cell.inputs[name].axes if name in self.cell.inputs else (step,)
            label = labels.math(name, sup=step if over else "")
            tone = self.roles.get(name, "input" if key.startswith("in ") else "output")
            size = labels.fitted(label, MATH, 29.0)
            shapes.append(Circle(at, 17.0, tone, label, spot(key, step), name, size))
        return shapes


# ---------------------------------------------------------------------- measuring
def _near(a: Point, b: Point, p: Point) -> float:
    """The distance of a point from an upright or level stroke."""
    x = min(max(p[0], min(a[0], b[0])), max(a[0], b[0]))
    y = min(max(p[1], min(a[1], b[1])), max(a[1], b[1]))
    return max(abs(p[0] - x), abs(p[1] - y))


def _overlap(a: Point, b: Point, p: Point, q: Point) -> float:
    """1 where two strokes run along each other, a little where they cross."""
    level = abs(a[1] - b[1]) < 1 and abs(p[1] - q[1]) < 1 and abs(a[1] - p[1]) < 4
    upright = abs(a[0] - b[0]) < 1 and abs(p[0] - q[0]) < 1 and abs(a[0] - p[0]) < 4
    for along, k in ((level, 0), (upright, 1)):
        if along:
            common = min(max(a[k], b[k]), max(p[k], q[k])) - max(min(a[k], b[k]), min(p[k], q[k]))
            return 1.0 if common > 6 else 0.0
    if abs(a[0] - b[0]) < 1 and abs(p[1] - q[1]) < 1:
        a, b, p, q = p, q, a, b
    if abs(a[1] - b[1]) < 1 and abs(p[0] - q[0]) < 1:
        inside = min(a[0], b[0]) < p[0] < max(a[0], b[0]) and min(p[1], q[1]) < a[1] < max(p[1], q[1])
        return 0.15 if inside else 0.0
    return 0.0
