"""The unfolded picture: one column a step, time from left to right, boundary values at the ends.

Above a number of columns an ellipsis stands for the middle: 1, 2, 3, ..., T-1, T. Columns are
one step laid out once and repeated, so they are identical however many there are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from unfold.core.axis import Axis
from viz.drawing import Drawing
from viz.layouts.by_variable.filling import Filling
from viz.layouts.by_variable.looks import describe, looks, said
from viz.layouts.by_variable.standing import stand
from viz.layouts.columns import LIMIT, Columns
from viz.layouts.scene import BOWS, Connection
from viz.model.variable_model import Model, Reading, Variable
from viz.shapes import labels
from viz.shapes.figures import Words
from viz.shapes.spots import spot
from viz.shapes.style import MATH

OVER = (58.0, 42.0, 78.0, 104.0, 140.0)  # a context is led over the edges that ask for it


def draw(
    model: Model,
    sizes: Mapping[Axis, int],
    limit: int = LIMIT,
    relative: bool = False,
    weights: Mapping[str, Any] | None = None,
) -> Drawing:
    """The picture of a system unfolded to `sizes` steps; `relative` names them t-1, t, t+1;
    `weights` are values of variables over two axes, drawn as widths."""
    filling = Filling(model, sizes, limit, relative, weights or {})
    stand(filling)
    _arrows(filling)
    steps = ", ".join(f"{a.name} = 1..{n}" for a, n in sizes.items())
    title = model.title or (f"Unfolded graph, {steps}" if steps else "Graph")
    return filling.scene.drawing(title, describe(model))


# ------------------------------------------------------------------ arrows


def _arrows(f: Filling) -> None:
    for a in f.model.arrows:
        source, target = f.model.variables.get(a.source), f.target(a.target)
        if target is None or source is None or len(target.axes) > 1:
            continue
        if (len(source.axes) > 1 and target.axes) or (None in a.at and a.target in f.gathered):
            continue
        _arrow(f, a, target)


def _arrow(f: Filling, a: Reading, target: Variable) -> None:
    tone, label, hint = looks(f.model, a, f.colours)
    kind = f"{a.source}->{a.target} {a.at}"

    def edge(source: str, into: str, dashed: bool = False, words: bool = True) -> None:
        ends = (source, into)
        mine = label if words else ()
        lines = dashed or hint
        over = a.source in f.gathered and f.model.variables[a.source].role == "hidden"
        bows = OVER if over else BOWS
        words_ = said(f.model, a)
        f.scene.connect(Connection(ends, kind, tone, mine, a.carries, lines, title=words_, bows=bows))

    if a.target in f.model.boundaries:
        into = spot(target.name, f.place(target.index)) if len(target.index) == 1 else ""
        for source in _sources(f, a, None):
            edge(source, into)
        return
    if not target.axes:
        for source in _sources(f, a, None):
            edge(source, a.target, words=a.at != (None,))
        return
    c = f.column.get(target.axes[0])
    if c is None:
        return
    moving = a.moves and a.at[0] is not None and a.at[0].axis == c.axis
    for at in c.steps:
        if at is None:
            continue
        if a.only and any(i is not None and i.resolve(at, c.size) != at for i in a.only):
            continue
        for source in _sources(f, a, at):
            if source in f.scene.nodes:
                edge(source, spot(a.target, at))
    if moving and a.at[0] is not None:
        _ends(f, a, c, -a.at[0].offset, edge)


def _sources(f: Filling, a: Reading, at: int | None) -> list[str]:
    """The names of the shapes an arrow starts from, for its target at a step."""
    if not a.at:
        return [a.source]
    if len(a.at) > 1:
        steps = [i.resolve(0, f.sizes[i.axis]) for i in a.at if i is not None and i.kind != "now"]
        return [spot(a.source, *steps)] if len(steps) == len(a.at) else []
    (i,) = a.at
    axis = f.model.variables[a.source].axes[0]
    c = f.column.get(axis)
    if c is None:
        return []
    if i is None:
        return [spot(a.source, s) for s in c.steps]
    if i.kind == "now" and at is None:
        return []
    step = i.resolve(at or 0, c.size)
    if step == 0 and f.relative and i.kind == "at":
        return []
    hidden = not c.shown(step) and 1 <= step <= c.size and not f.relative
    return [spot(a.source, None if hidden else step)]


def _ends(f: Filling, a: Reading, c: Columns, lag: int, edge: Callable[..., None]) -> None:
    """Arrows into the ellipsis and, in a picture of some steps of many, beyond both ends."""
    known = [s for s in c.steps if s is not None]
    done: set[str] = set()
    for s in known:
        t = s + lag
        if t in known:
            continue
        if not f.relative:
            if 1 <= t <= c.size and spot(a.target, None) in f.scene.nodes:
                edge(spot(a.source, s), spot(a.target, None))
            continue
        end = spot(a.source, ">")
        first = end not in done
        done.add(end)
        if first or abs(lag) == 1:
            _beyond(f, c, a.source, a.target == a.source, end, right=lag > 0)
            edge(spot(a.source, s), end, True, a.target == a.source)
    if f.relative:
        for t in known:
            if t - lag not in known:
                end = spot(a.source, "<")
                _beyond(f, c, a.source, True, end, right=lag < 0)
                edge(end, spot(a.target, t), True)


def _beyond(f: Filling, c: Columns, name: str, whole: bool, end: str, right: bool) -> None:
    if end in f.scene.nodes:
        return
    dx, y = f.offset[name]
    x = (c.right + 0.95 * c.pitch if right else c.left - 0.95 * c.pitch) + dx
    label = labels.math(name, sup="…") if whole else labels.upright("…")
    f.scene.add(Words((x, y), label, MATH, name=end))
