"""The cyclic picture: one circle a variable; a loop through time passes a black square, its delay."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from viz.drawing import Drawing
from viz.layouts.by_variable.groups import place
from viz.layouts.by_variable.looks import circle, describe, label_of, looks, said, tone_of, variants
from viz.layouts.scene import Connection, Scene, border
from viz.model.variable_model import Model, Reading
from viz.shapes import labels
from viz.shapes.curves import Point, line
from viz.shapes.figures import Box, Words
from viz.shapes.style import EDGE, PITCH, RADIUS, ROW, SQUARE

REACH = 30.0  # from a circle to the square of its loop


Lags = tuple[int, ...]


@dataclass
class _Sketch:
    """A cyclic picture in the making."""

    model: Model
    places: Mapping[str, Point]
    scene: Scene = field(default_factory=Scene)
    delayed: dict[tuple[str, Lags], list[Reading]] = field(default_factory=dict)
    depths: dict[tuple[str, int], int] = field(default_factory=dict)  # loops on a side of a variable
    wires: int = 0  # delayed values that others read, so far

    def __post_init__(self) -> None:
        self.colours = variants(self.model)

    def side(self, source: str, lags: Lags) -> int:
        return _side(self.model, self.places, source, lags)


def draw(model: Model) -> Drawing:
    """The picture of a graph that still has its axes (or never had any)."""
    sketch = _Sketch(model, place(model))
    for key, at in sketch.places.items():
        sketch.scene.add(circle(model.variables[key], at, size=20.0))
    for a in model.arrows:
        if a.target in model.boundaries:
            _initial(sketch, a)
        elif a.moves:
            lags = tuple(-i.offset for i in a.at if i is not None)
            sketch.delayed.setdefault((a.source, lags), []).append(a)
        else:
            _plain(sketch, a)
    for (source, lags), group in sketch.delayed.items():
        _delayed(sketch, source, lags, group)
    return sketch.scene.drawing(model.title or "Cyclic graph", describe(model))


def _initial(s: _Sketch, a: Reading) -> None:
    """An initial value: a dashed arrow into the variable."""
    target = s.model.boundaries[a.target].name
    if a.source in s.places and target in s.places and a.source != target:
        tone, label = tone_of(s.model, a, s.colours), label_of(a)
        ends, words = (a.source, target), said(s.model, a)
        s.scene.connect(Connection(ends, f"init {ends}", tone, label, a.carries, dashed=True, title=words))


def _plain(s: _Sketch, a: Reading) -> None:
    tone, label, hint = looks(s.model, a, s.colours)
    label += labels.expression(_when(a)) if _when(a) else ()
    ends = (a.source, a.target)
    s.scene.connect(Connection(ends, str(ends), tone, label, a.carries, hint, title=said(s.model, a)))


def _delayed(s: _Sketch, source: str, lags: Lags, group: list[Reading]) -> None:
    """What reads a variable at one lag: itself, one other far away, or several through one square."""
    others = [a for a in group if a.target != source]
    apart = len(others) == 1 and abs(s.places[others[0].target][0] - s.places[source][0]) > PITCH
    if apart or not others:  # else it shares the square of the others
        for a in group:
            if a.target == source:
                _loop(s, a, lags)
    if apart:
        (a,) = others
        words = f"delay of {_steps(lags, s.model, a)}"
        tone, label, hint = looks(s.model, a, s.colours)
        ends = (source, a.target)
        s.scene.connect(
            Connection(ends, "", tone, label, a.carries, hint, title=said(s.model, a), delay=words)
        )
    elif others:
        _register(s, source, lags, group)
        s.wires += 1


def _side(model: Model, places: Mapping[str, Point], source: str, lags: Lags) -> int:
    """On which side of its variable a loop is drawn: where nothing else is."""
    axes = model.variables[source].axes
    if len(axes) > 1:
        return -1 if lags.index(max(lags, key=abs)) == 0 else 1
    x, y = places[source]
    joined = {a.target for a in model.out_of(source)} | {a.source for a in model.into(source)}
    beside = {1 if places[k][0] > x else -1 for k in joined if k in places and abs(places[k][0] - x) > PITCH}
    near = [
        px
        for k, (px, py) in places.items()
        if k != source and abs(py - y) < 1.2 * ROW and abs(px - x) < PITCH
    ]
    lean = sum(1 if px > x + 20 else -1 if px < x - 20 else 0 for px in near)
    if len(beside) == 1:
        return -beside.pop()
    return -1 if lean > 0 or (not lean and max(lags, key=abs) < 0) else 1


def _when(a: Reading) -> str:
    """At which step a fixed read looks: "t=T"; nothing for ordinary reads."""
    fixed = [i for i in a.at if i is not None and i.kind in ("last", "at")]
    return ",".join(f"{i.axis.name}={i!r}" for i in fixed) if fixed and not a.carries else ""


def _loop(s: _Sketch, a: Reading, lags: Lags) -> None:
    """A variable that reads itself: round through the square and back."""
    side = s.side(a.source, lags)
    depth = s.depths.get((a.source, side), 0)
    s.depths[a.source, side] = depth + 1
    own = [k for k, g in s.delayed.items() if k[0] == a.source and any(b.target == a.source for b in g)]
    alone = sum(s.side(*k) == side for k in own) == 1
    tone, label, _ = looks(s.model, a, s.colours)
    x, y = s.places[a.source]
    angle = math.radians(36 + 9 * depth)
    far = RADIUS + REACH + 26 * depth
    sx, half = x + side * far, SQUARE / 2
    out = (x + side * RADIUS * math.cos(angle), y - RADIUS * math.sin(angle))
    back = (x + side * RADIUS * math.cos(angle), y + RADIUS * math.sin(angle))
    rise = 21 + 10 * depth
    first = (out, (out[0] + side * 12, out[1] - 13 - 5 * depth), (sx, y - half - rise), (sx, y - half))
    second = ((sx, y + half), (sx, y + half + rise), (back[0] + side * 13, back[1] + 14 + 5 * depth), back)
    square = _square(s, f"loop {a.source} {lags}", (sx, y), a, lags)
    s.scene.connect(Connection((a.source, square), "", tone, carries=a.carries, arrow=False, path=first))
    ends, mine, words = (square, a.target), () if alone else label, said(s.model, a)
    s.scene.connect(Connection(ends, "", tone, mine, a.carries, path=second, title=words))
    if label and alone:
        w = labels.width(label, EDGE) / 2
        s.scene.extra.append(Words((sx + side * (w + 1), y + half + rise + 2), label, EDGE, tone))


def _register(s: _Sketch, source: str, lags: Lags, group: list[Reading]) -> None:
    """A delayed value that others read: one square at the side, strokes from it to each."""
    side = 1 if max(lags, key=abs) > 0 else -1
    here = s.places[source]
    x, y = _beside(s, here, side, [s.places[a.target][1] for a in group])
    square = _square(s, f"{source} {lags}", (x, y), group[0], lags)
    role = s.model.variables[source].role
    tone = {"state": "recur", "reverse": "back"}.get(role, "ink")
    out = border(s.scene.nodes[source], (x, here[1]))
    bend = 16.0 if y > here[1] else -16.0
    stop = (x, y - math.copysign(SQUARE / 2, bend))
    turn = (x - side * abs(bend), here[1])
    path = (
        *line(out, turn),
        (x, here[1]),
        (x, here[1]),
        (x, here[1] + bend),
        *line((x, here[1] + bend), stop)[1:],
    )
    s.scene.connect(Connection((source, square), "", tone, arrow=False, path=path))
    for a in group:
        own, label, hint = looks(s.model, a, s.colours)
        ends, shade, words = (square, a.target), own if own != "ink" else tone, said(s.model, a)
        s.scene.connect(Connection(ends, "", shade, label, a.carries, hint, title=words))


def _beside(s: _Sketch, here: Point, side: int, over: list[float]) -> Point:
    """Where the square of a delayed value stands, given the heights of what reads it."""
    xs = [x for x, _ in s.places.values()]
    y = (here[1] + sum(over) / len(over)) / 2
    x = (max(xs) if side > 0 else min(xs)) + side * (RADIUS + 34 + 26 * s.wires)
    if len(over) > 2 and len(set(over)) == 1 and here[1] < over[0]:
        return x, over[0] + 1.3 * ROW  # reach a row of gates from below
    return x, here[1] + 33 if abs(y - here[1]) < 20 else y


def _square(s: _Sketch, name: str, at: Point, a: Reading, lags: Lags) -> str:
    name = f"delay {name}"
    lag = max(lags, key=abs)
    words = f"delay of {_steps(lags, s.model, a)}"
    s.scene.add(Box(at, SQUARE, SQUARE, "ink", name=name, title=words, corner=0))
    axes = s.model.variables[a.source].axes
    beside = [str(abs(lag))] if abs(lag) > 1 else []
    beside += [axes[lags.index(lag)].name] if len(axes) > 1 else []
    if beside:
        up = (at[0] + 8, at[1] - 9)
        s.scene.extra.append(Words(up, labels.expression(" ".join(beside)), 11.0, anchor="start"))
    return name


def _steps(lags: Lags, model: Model, a: Reading) -> str:
    axes = model.variables[a.source].axes
    parts = [
        f"{abs(n)} step{'s' if abs(n) > 1 else ''} along {axis.name}"
        + (" (from the future)" if n < 0 else "")
        for n, axis in zip(lags, axes, strict=True)
        if n
    ]
    return " and ".join(parts)
