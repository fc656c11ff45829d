"""The cyclic picture: one circle a variable; a loop through time passes a black square, its delay."""

from __future__ import annotations

import math
from collections.abc import Mapping

from viz.drawing import Drawing
from viz.layouts.by_variable.groups import place
from viz.layouts.by_variable.looks import circle, describe, label_of, looks, said, tone_of, variants
from viz.layouts.scene import Connection, Scene, border
from viz.model.shown import Model, Reading
from viz.shapes import labels
from viz.shapes.curves import Point, line
from viz.shapes.figures import Box, Words
from viz.shapes.style import EDGE, PITCH, RADIUS, ROW, SQUARE

REACH = 30.0  # from a circle to the square of its loop


def draw(model: Model) -> Drawing:
    """The picture of a graph that still has its axes (or never had any)."""
    scene = Scene()
    places = place(model)
    for key, at in places.items():
        scene.add(circle(model.variables[key], at, size=20.0))
    _arrows(scene, model, places)
    return scene.drawing(model.title or "Cyclic graph", describe(model))


def _arrows(scene: Scene, model: Model, places: Mapping[str, Point]) -> None:
    colours = variants(model)
    delayed: dict[tuple[str, tuple[int, ...]], list[Reading]] = {}
    for a in model.arrows:
        if a.target in model.boundaries:  # an initial value: a dashed arrow into the variable
            target = model.boundaries[a.target].name
            if a.source in places and target in places and a.source != target:
                tone, label = tone_of(model, a, colours), label_of(a)
                ends = (a.source, target)
                scene.connect(
                    Connection(
                        ends, f"init {ends}", tone, label, a.carries, dashed=True, title=said(model, a)
                    )
                )
        elif a.moves:
            lags = tuple(-i.offset for i in a.at if i is not None)
            delayed.setdefault((a.source, lags), []).append(a)
        else:
            tone, label, hint = looks(model, a, colours)
            label += labels.expression(_when(a)) if _when(a) else ()
            ends = (a.source, a.target)
            scene.connect(Connection(ends, str(ends), tone, label, a.carries, hint, title=said(model, a)))
    loops: dict[tuple[str, int], int] = {}
    wires = 0
    for (source, lags), group in delayed.items():
        side = _side(model, places, source, lags)
        others = [a for a in group if a.target != source]
        apart = len(others) == 1 and abs(places[others[0].target][0] - places[source][0]) > PITCH
        for a in group:
            if a.target == source and (apart or not others):  # else it shares the square of the others
                depth = loops.get((source, side), 0)
                loops[source, side] = depth + 1
                same = [
                    k for k, g in delayed.items() if k[0] == source and any(b.target == source for b in g)
                ]
                alone = sum(_side(model, places, *k) == side for k in same) == 1
                _loop(scene, model, places[source], a, side, depth, colours, lags, alone)
        if apart:
            (a,) = others
            words = f"delay of {_steps(lags, model, a)}"
            tone, label, hint = looks(model, a, colours)
            ends = (source, a.target)
            scene.connect(
                Connection(ends, "", tone, label, a.carries, hint, title=said(model, a), delay=words)
            )
        elif others:
            _register(
                scene,
                model,
                places,
                source,
                group,
                1 if max(lags, key=abs) > 0 else -1,
                wires,
                colours,
                lags,
            )
            wires += 1


def _side(model: Model, places: Mapping[str, Point], source: str, lags: tuple[int, ...]) -> int:
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


def _loop(
    scene: Scene,
    model: Model,
    at: Point,
    a: Reading,
    side: int,
    depth: int,
    colours: Mapping[str, str],
    lags: tuple[int, ...],
    alone: bool,
) -> None:
    """A variable that reads itself: round through the square and back."""
    tone, label, _ = looks(model, a, colours)
    x, y = at
    angle = math.radians(36 + 9 * depth)
    far = RADIUS + REACH + 26 * depth
    sx, half = x + side * far, SQUARE / 2
    out = (x + side * RADIUS * math.cos(angle), y - RADIUS * math.sin(angle))
    back = (x + side * RADIUS * math.cos(angle), y + RADIUS * math.sin(angle))
    rise = 21 + 10 * depth
    first = (out, (out[0] + side * 12, out[1] - 13 - 5 * depth), (sx, y - half - rise), (sx, y - half))
    second = ((sx, y + half), (sx, y + half + rise), (back[0] + side * 13, back[1] + 14 + 5 * depth), back)
    square = _square(scene, f"loop {a.source} {lags}", (sx, y), model, a, lags)
    scene.connect(Connection((a.source, square), "", tone, carries=a.carries, arrow=False, path=first))
    scene.connect(
        Connection(
            (square, a.target), "", tone, () if alone else label, a.carries, path=second, title=said(model, a)
        )
    )
    if label and alone:
        w = labels.width(label, EDGE) / 2
        scene.extra.append(Words((sx + side * (w + 1), y + half + rise + 2), label, EDGE, tone))


def _register(
    scene: Scene,
    model: Model,
    places: Mapping[str, Point],
    source: str,
    group: list[Reading],
    side: int,
    wire: int,
    colours: Mapping[str, str],
    lags: tuple[int, ...],
) -> None:
    """A delayed value that others read: one square at the side, strokes from it to each."""
    xs = [x for x, _ in places.values()]
    here = places[source]
    over = [places[a.target][1] for a in group]
    y = (here[1] + sum(over) / len(over)) / 2
    x = (max(xs) if side > 0 else min(xs)) + side * (RADIUS + 34 + 26 * wire)
    if len(over) > 2 and len(set(over)) == 1 and here[1] < over[0]:
        y = over[0] + 1.3 * ROW  # reach a row of gates from below
    elif abs(y - here[1]) < 20:
        y = here[1] + 33
    square = _square(scene, f"{source} {lags}", (x, y), model, group[0], lags)
    role = model.variables[source].role
    tone = {"state": "recur", "reverse": "back"}.get(role, "ink")
    out = border(scene.nodes[source], (x, here[1]))
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
    scene.connect(Connection((source, square), "", tone, arrow=False, path=path))
    for a in group:
        own, label, hint = looks(model, a, colours)
        ends = (square, a.target)
        scene.connect(
            Connection(ends, "", own if own != "ink" else tone, label, a.carries, hint, title=said(model, a))
        )


def _square(scene: Scene, name: str, at: Point, model: Model, a: Reading, lags: tuple[int, ...]) -> str:
    name = f"delay {name}"
    lag = max(lags, key=abs)
    scene.add(Box(at, SQUARE, SQUARE, "ink", name=name, title=f"delay of {_steps(lags, model, a)}", corner=0))
    axes = model.variables[a.source].axes
    beside = [str(abs(lag))] if abs(lag) > 1 else []
    beside += [axes[lags.index(lag)].name] if len(axes) > 1 else []
    if beside:
        up = (at[0] + 8, at[1] - 9)
        scene.extra.append(Words(up, labels.expression(" ".join(beside)), 11.0, anchor="start"))
    return name


def _steps(lags: tuple[int, ...], model: Model, a: Reading) -> str:
    axes = model.variables[a.source].axes
    parts = [
        f"{abs(n)} step{'s' if abs(n) > 1 else ''} along {axis.name}"
        + (" (from the future)" if n < 0 else "")
        for n, axis in zip(lags, axes, strict=True)
        if n
    ]
    return " and ".join(parts)
