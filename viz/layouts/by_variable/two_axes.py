"""Variables over two axes: weights of attention as a fan, a two-dimensional recurrence as a lattice."""

from __future__ import annotations

from unfold.core.axis import Axis
from viz.layouts.by_variable.filling import Filling
from viz.layouts.by_variable.looks import circle, label_of, said, tone_of
from viz.layouts.by_variable.placing import step
from viz.layouts.columns import shown
from viz.layouts.scene import Connection
from viz.model.shown import Reading
from viz.shapes import labels
from viz.shapes.curves import Point
from viz.shapes.figures import Box, Circle, Words
from viz.shapes.style import EDGE, MATH, ROW

RISE = 104.0  # from the frame below to the box of the weights

CELL = 128.0  # from cell to cell of a lattice

Shown = tuple[int | None, ...]


# ---------------------------------------------------------------------- attention, memory
def fan(f: Filling, keys: list[str]) -> None:
    """One step's weights over another axis: a fan of edges into a box, what it makes above."""
    model = f.model
    weights = [k for k in keys if len(model.variables[k].axes) > 1]
    uses = [a for k in weights for a in model.out_of(k) if None in a.at and len(f.axes(a.target)) == 1]
    if not uses:
        return
    over = next(
        axis for axis, i in zip(model.variables[uses[0].source].axes, uses[0].at, strict=True) if i is None
    )
    main = next((a for a in model.variables[uses[0].source].axes if a != over), over)
    below, beside = f.column.get(over), f.column.get(main)
    known = [s for s in beside.steps if s is not None] if beside else []
    if below is None or beside is None or not known or not f.members[over]:
        return
    at = known[min(1, len(known) - 1)]
    x = (below.left + below.right) / 2
    top = min(f.scene.nodes[n].bounds[1] for n in f.members[over])
    place = (x, top - RISE)
    word = "softmax" if any(model.variables[k].makes == "softmax" for k in weights) else uses[0].source
    name = uses[0].source
    box = f"{name}@{at},*"
    said_ = f"{name}[{at}, {over.name}], one for every {over.name}"
    f.scene.add(Box(place, 66, 26, "gate", labels.upright(word), box, said_))
    for k in weights:
        for a in model.into(k):
            _into_box(f, a, over, at, box, name)
    f.gathered |= {a.target for a in uses}
    _out_of_box(f, uses, keys, over, at, box, place)


def _into_box(f: Filling, a: Reading, over: Axis, at: int, box: str, name: str) -> None:
    axes = f.axes(a.source)
    if axes == (over,):
        _rays(f, a, over, at, box, name)
    elif len(axes) == 1 and a.at[0] is not None:
        source = f"{a.source}@{a.at[0].resolve(at, f.sizes[axes[0]])}"
        bows = (-34.0, 34.0, -60.0, 60.0, -90.0, 90.0, 0.0)
        edge = Connection((source, box), "query", "back", label_of(a), a.carries, dashed=True, bows=bows)
        f.scene.connect(edge)
    elif not axes:
        f.scene.connect(Connection((a.source, box), "", "ink", label_of(a), a.carries))


def _rays(f: Filling, a: Reading, over: Axis, at: int, box: str, name: str) -> None:
    """From every step of the axis into the box, as wide as the weights if they are known."""
    c = f.column[over]
    target = f.scene.nodes[box]
    l, _, r, bottom = target.bounds
    given = f.weights.get(name)
    for n, s in enumerate(c.steps):
        source = f.scene.nodes.get(f"{a.source}@{'…' if s is None else s}")
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
        f.scene.connect(
            Connection(
                (source.name, box), "", "out", (), a.carries, width=1.2 + 4 * weight, title=words, path=path
            )
        )
        right = s > c.size / 2
        spot = (x + (9 if right else -9), y - 29)
        f.scene.extra.append(Words(spot, mark, EDGE, "out", "start" if right else "end"))


def _out_of_box(
    f: Filling, uses: list[Reading], keys: list[str], over: Axis, at: int, box: str, place: Point
) -> None:
    """What the weights make: a context above the box, or a sum beside it."""
    model = f.model
    for a in uses:
        target = f"{a.target}@{at}"
        values = [b for b in model.into(a.target) if None in b.at and f.axes(b.source) == (over,)]
        queries = {b.source for k in keys for b in model.into(k)}
        if a.target in keys:
            spot = (place[0], place[1] - ROW - 6)
            f.scene.add(circle(model.variables[a.target], spot, target, str(at)))
            f.scene.connect(Connection((box, target), "", "ink", title=said(model, a)))
            continue
        total = f"sum {target}"
        f.scene.add(Circle((place[0] + 130, place[1]), 15, "pointwise", labels.upright("Σ"), total))
        f.scene.connect(Connection((box, total), "", "out", labels.math(a.source), title=said(model, a)))
        f.scene.connect(Connection((total, target), "", "ink", title=said(model, a)))
        for b in values:
            if b.source not in queries:
                for s in f.column[over].steps:
                    ends = (f"{b.source}@{'…' if s is None else s}", total)
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
                    f.scene.add(circle(v, (x + dx, y + dy), f"{k}@{i},{j}", f"{i},{j}"))
                elif (dx, dy) == (0.0, 0.0):
                    dots = "⋱" if i is None and j is None else "⋮" if i is None else "⋯"
                    f.scene.add(Words((x, y), labels.upright(dots), 22.0, name=f"{k}@{_or(i)},{_or(j)}"))
    _edges(f, inner, (rows, cols), (down, right))
    alone = [k for k in keys if k not in inner]
    mine = step(model, alone)
    for k in alone:
        dx, y = mine.places[k]
        at = (x0 + CELL * (len(right) - 0.2) + dx, CELL * (len(down) - 1) - y)
        f.free[k] = at
        f.scene.add(circle(model.variables[k], at, k))
    return CELL * (len(right) + (1 if alone else 0))


def _or(i: int | None) -> str:
    return "…" if i is None else str(i)


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
                ends = (source, f"{a.target}@{_or(i)},{_or(j)}")
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
    name = f"{a.source}@{r},{c}"
    if name in f.scene.nodes:
        return name
    if 1 <= r <= f.sizes[axes[0]] and 1 <= c <= f.sizes[axes[1]]:
        return f"{a.source}@{_or(r if r in steps[0] else None)},{_or(c if c in steps[1] else None)}"
    if any(b.name == a.source for b in f.model.boundaries.values()):
        x, y = f.scene.nodes[f"{a.target}@{at[0]},{at[1]}"].at
        spot = (x + back[1] * 0.62 * CELL, y + back[0] * 0.62 * CELL)
        f.scene.add(Words(spot, labels.math(a.source, sup=f"{r},{c}"), MATH - 2, name=name))
    return name


def _beside(a: Reading, place: tuple[int, int], steps: tuple[Shown, Shown], back: tuple[int, ...]) -> str:
    """The cell before the dots at a place of the lattice, if there is one."""
    m, n = place[0] + back[0], place[1] + back[1]
    inside = 0 <= m < len(steps[0]) and 0 <= n < len(steps[1]) and any(back)
    real = inside and steps[0][m] is not None and steps[1][n] is not None
    return f"{a.source}@{steps[0][m]},{steps[1][n]}" if real else ""
