"""Variables over two axes: weights of attention as a fan, a two-dimensional recurrence as a lattice."""

from __future__ import annotations

from dataclasses import dataclass

from unfold.core.axis import Axis
from viz.layouts.by_variable.filling import Filling
from viz.layouts.by_variable.looks import circle, label_of, said, tone_of
from viz.layouts.by_variable.placing import step
from viz.layouts.columns import shown
from viz.layouts.scene import Connection
from viz.model.variable_model import Reading
from viz.shapes import labels
from viz.shapes.curves import Point
from viz.shapes.figures import Box, Circle, Words
from viz.shapes.spots import spot
from viz.shapes.style import EDGE, MATH, ROW

RISE = 104.0  # from the frame below to the box of the weights

CELL = 128.0  # from cell to cell of a lattice

Shown = tuple[int | None, ...]


# ---------------------------------------------------------------------- attention, memory
@dataclass(frozen=True)
class _Fan:
    """The weights that one step of an axis gives to all steps of another."""

    f: Filling
    keys: list[str]
    uses: list[Reading]  # what sums up the weighted values
    over: Axis
    at: int
    place: Point  # of the box

    @property
    def name(self) -> str:
        return self.uses[0].source

    @property
    def box(self) -> str:
        return spot(self.name, self.at, "*")

    @property
    def weights(self) -> list[str]:
        return [k for k in self.keys if len(self.f.axes(k)) > 1]


def fan(f: Filling, keys: list[str]) -> None:
    """One step's weights over another axis: a fan of edges into a box, what it makes above."""
    fan = _fan(f, keys)
    if fan is None:
        return
    softmax = any(f.model.variables[k].makes == "softmax" for k in fan.weights)
    word = labels.upright("softmax" if softmax else fan.name)
    words = f"{fan.name}[{fan.at}, {fan.over.name}], one for every {fan.over.name}"
    f.scene.add(Box(fan.place, 66, 26, "gate", word, fan.box, words))
    for k in fan.weights:
        for a in f.model.into(k):
            _into_box(fan, a)
    f.gathered |= {a.target for a in fan.uses}
    for a in fan.uses:
        _out_of_box(fan, a)


def _fan(f: Filling, keys: list[str]) -> _Fan | None:
    """Which weights are drawn, and where; nothing if they are not summed or no step is shown."""
    model = f.model
    weights = [k for k in keys if len(model.variables[k].axes) > 1]
    uses = [a for k in weights for a in model.out_of(k) if None in a.at and len(f.axes(a.target)) == 1]
    if not uses:
        return None
    axes = model.variables[uses[0].source].axes
    over = next(axis for axis, i in zip(axes, uses[0].at, strict=True) if i is None)
    main = next((a for a in axes if a != over), over)
    below, beside = f.column.get(over), f.column.get(main)
    known = [s for s in beside.steps if s is not None] if beside else []
    if below is None or not known or not f.members[over]:
        return None
    top = min(f.scene.nodes[n].bounds[1] for n in f.members[over])
    place = ((below.left + below.right) / 2, top - RISE)
    return _Fan(f, keys, uses, over, known[min(1, len(known) - 1)], place)


def _into_box(fan: _Fan, a: Reading) -> None:
    f, axes = fan.f, fan.f.axes(a.source)
    if axes == (fan.over,):
        _rays(fan, a)
    elif len(axes) == 1 and a.at[0] is not None:
        source = spot(a.source, a.at[0].resolve(fan.at, f.sizes[axes[0]]))
        bows = (-34.0, 34.0, -60.0, 60.0, -90.0, 90.0, 0.0)
        edge = Connection((source, fan.box), "query", "back", label_of(a), a.carries, dashed=True, bows=bows)
        f.scene.connect(edge)
    elif not axes:
        f.scene.connect(Connection((a.source, fan.box), "", "ink", label_of(a), a.carries))


def _rays(fan: _Fan, a: Reading) -> None:
    """From every step of the axis into the box, as wide as the weights if they are known."""
    f, at, name = fan.f, fan.at, fan.name
    c = f.column[fan.over]
    l, _, r, bottom = f.scene.nodes[fan.box].bounds
    given = f.weights.get(name)
    for n, s in enumerate(c.steps):
        source = f.scene.nodes.get(spot(a.source, s))
        if source is None or s is None:
            continue
        x, y = source.at[0], source.bounds[1]
        tip = (l + (r - l) * (n + 1) / (len(c.steps) + 1), bottom)
        rise = (y - bottom) * 0.55
        path = ((x, y), (x, y - rise), (tip[0], bottom + rise), tip)
        weight = float(given[at - 1, s - 1]) if given is not None else 0.0
        sub = f"{at}{s}" if at < 10 and s < 10 else f"{at},{s}"
        mark = labels.math(name, sub=sub) if name else ()
        words = said(f.model, a) + (f"; weight {weight:.3g}" if given is not None else "")
        ends, wide = (source.name, fan.box), 1.2 + 4 * weight
        f.scene.connect(Connection(ends, "", "out", (), a.carries, width=wide, title=words, path=path))
        right = s > c.size / 2
        where = (x + (9 if right else -9), y - 29)
        f.scene.extra.append(Words(where, mark, EDGE, "out", "start" if right else "end"))


def _out_of_box(fan: _Fan, a: Reading) -> None:
    """What the weights make: a context above the box, or a sum beside it."""
    f, model, box = fan.f, fan.f.model, fan.box
    x, y = fan.place
    target = spot(a.target, fan.at)
    if a.target in fan.keys:
        f.scene.add(circle(model.variables[a.target], (x, y - ROW - 6), target, str(fan.at)))
        f.scene.connect(Connection((box, target), "", "ink", title=said(model, a)))
        return
    total = f"sum {target}"
    f.scene.add(Circle((x + 130, y), 15, "pointwise", labels.upright("Σ"), total))
    f.scene.connect(Connection((box, total), "", "out", labels.math(a.source), title=said(model, a)))
    f.scene.connect(Connection((total, target), "", "ink", title=said(model, a)))
    queries = {b.source for k in fan.keys for b in model.into(k)}
    values = [b for b in model.into(a.target) if None in b.at and f.axes(b.source) == (fan.over,)]
    for b in values:
        if b.source not in queries:
            for s in f.column[fan.over].steps:
                ends = (spot(b.source, s), total)
                f.scene.connect(Connection(ends, "", "feed", (), b.carries, title=said(model, b)))


# ---------------------------------------------------------------------- lattices
def lattice(f: Filling, keys: list[str], x0: float) -> float:
    """Variables over two axes as a grid of cells: the first axis downwards, the second to the
    right. Returns the width it takes."""
    model = f.model
    rows, cols = model.variables[next(k for k in keys if len(model.variables[k].axes) > 1)].axes[:2]
    down, right = shown(f.sizes[rows], 6), shown(f.sizes[cols], 6)
    x0 += 0.6 * CELL
    inner = [k for k in keys if len(model.variables[k].axes) > 1]
    offsets = _cell(f, inner)

    def middle(r: int, c: int) -> Point:
        return x0 + CELL * c, CELL * r

    for m, i in enumerate(down):
        for n, j in enumerate(right):
            x, y = middle(m, n)
            for k in inner:
                dx, dy = offsets[k]
                if i is not None and j is not None:
                    v = model.variables[k]
                    f.scene.add(circle(v, (x + dx, y + dy), spot(k, i, j), f"{i},{j}"))
                elif (dx, dy) == (0.0, 0.0):
                    dots = "⋱" if i is None and j is None else "⋮" if i is None else "⋯"
                    f.scene.add(Words((x, y), labels.upright(dots), 22.0, name=spot(k, i, j)))
    _edges(f, inner, (rows, cols), (down, right))
    alone = [k for k in keys if k not in inner]
    mine = step(model, alone)
    for k in alone:
        dx, y = mine.places[k]
        at = (x0 + CELL * (len(right) - 0.2) + dx, CELL * (len(down) - 1) - y)
        f.free[k] = at
        f.scene.add(circle(model.variables[k], at, k))
    return CELL * (len(right) + (1 if alone else 0))


def _cell(f: Filling, keys: list[str]) -> dict[str, Point]:
    """Within a cell: states in the middle, what feeds them below left, what they make above right."""
    roles = {k: f.model.variables[k].role for k in keys}
    offsets: dict[str, Point] = {}
    place = {"input": (-1, 1), "state": (0, 0), "reverse": (0, 0)}
    count: dict[tuple[int, int], int] = {}
    for k in keys:
        sx, sy = place.get(roles[k], (1, -1))
        n = count[sx, sy] = count.get((sx, sy), 0) + 1
        far = 46.0 * n if (sx, sy) != (0, 0) else 24.0 * (n - 1)
        offsets[k] = (far * (sx or 1), far * (sy or -1)) if far else (0.0, 0.0)
    return offsets


def _edges(f: Filling, keys: list[str], axes: tuple[Axis, Axis], steps: tuple[Shown, Shown]) -> None:
    """The arrows between cells, from boundary values, and into the dots."""
    for a in f.model.arrows:
        inner = all(i is not None and i.kind == "now" for i in a.at)
        if a.target not in keys or a.source not in keys or not inner or len(a.at) != 2:
            continue
        back = tuple(0 if i is None else i.offset for i in a.at)
        for m, i in enumerate(steps[0]):
            for n, j in enumerate(steps[1]):
                if i is None or j is None:
                    source = _beside(a, (m, n), steps, back)
                else:
                    source = _reads(f, a, (i, j), axes, steps, back)
                words = label_of(a) if i is not None and j is not None else ()
                tone = tone_of(f.model, a, f.colours)
                ends = (source, spot(a.target, i, j))
                kind = f"{a.source}->{a.target} {a.at} {bool(words)}"
                f.scene.connect(Connection(ends, kind, tone, words, a.carries, title=said(f.model, a)))


def _reads(
    f: Filling,
    a: Reading,
    at: tuple[int, int],
    axes: tuple[Axis, Axis],
    steps: tuple[Shown, Shown],
    back: tuple[int, ...],
) -> str:
    """The shape a cell reads: another cell, dots in its place, or a boundary value (made here)."""
    r, c = at[0] + back[0], at[1] + back[1]
    name = spot(a.source, r, c)
    if name in f.scene.nodes:
        return name
    if 1 <= r <= f.sizes[axes[0]] and 1 <= c <= f.sizes[axes[1]]:
        return spot(a.source, r if r in steps[0] else None, c if c in steps[1] else None)
    if any(b.name == a.source for b in f.model.boundaries.values()):
        x, y = f.scene.nodes[spot(a.target, at[0], at[1])].at
        where = (x + back[1] * 0.62 * CELL, y + back[0] * 0.62 * CELL)
        f.scene.add(Words(where, labels.math(a.source, sup=f"{r},{c}"), MATH - 2, name=name))
    return name


def _beside(a: Reading, place: tuple[int, int], steps: tuple[Shown, Shown], back: tuple[int, ...]) -> str:
    """The cell before the dots at a place of the lattice, if there is one."""
    m, n = place[0] + back[0], place[1] + back[1]
    inside = 0 <= m < len(steps[0]) and 0 <= n < len(steps[1]) and any(back)
    real = inside and steps[0][m] is not None and steps[1][n] is not None
    return spot(a.source, steps[0][m], steps[1][n]) if real else ""
