"""Variables over two axes: weights of attention as a fan, a two-dimensional recurrence as a lattice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unfold.core.axis import Axis
from viz import labels
from viz.cyclic import said
from viz.drawing import Box, Circle, Point, Text
from viz.layout import circle, label_of, shown, step, tone_of
from viz.scene import Edge
from viz.style import EDGE, MATH, ROW
from viz.variables import Arrow

if TYPE_CHECKING:
    from viz.unfolded import Builder

RISE = 104.0  # from the frame below to the box of the weights
CELL = 128.0  # from cell to cell of a lattice
Shown = tuple[int | None, ...]


# ---------------------------------------------------------------------- attention, memory
def fan(build: Builder, keys: list[str]) -> None:
    """One step's weights over another axis: a fan of edges into a box, what it makes above."""
    model = build.model
    weights = [k for k in keys if len(model.variables[k].axes) > 1]
    uses = [a for k in weights for a in model.out_of(k) if None in a.at and len(_axes(build, a.target)) == 1]
    if not uses:
        return
    over = next(
        axis for axis, i in zip(model.variables[uses[0].source].axes, uses[0].at, strict=True) if i is None
    )
    main = next((a for a in model.variables[uses[0].source].axes if a != over), over)
    below, beside = build.column.get(over), build.column.get(main)
    known = [s for s in beside.steps if s is not None] if beside else []
    if below is None or beside is None or not known or not build.members[over]:
        return
    at = known[min(1, len(known) - 1)]
    x = (below.left + below.right) / 2
    top = min(build.scene.nodes[n].bounds[1] for n in build.members[over])
    place = (x, top - RISE)
    word = "softmax" if any(model.variables[k].makes == "softmax" for k in weights) else uses[0].source
    name = uses[0].source
    box = f"{name}@{at},*"
    said_ = f"{name}[{at}, {over.name}], one for every {over.name}"
    build.scene.add(Box(place, 66, 26, "gate", labels.upright(word), box, said_))
    for k in weights:
        for a in model.into(k):
            _into_box(build, a, over, at, box, name)
    build.gathered |= {a.target for a in uses}
    _out_of_box(build, uses, keys, over, at, box, place)


def _axes(build: Builder, key: str) -> tuple[Axis, ...]:
    v = build.model.variables.get(key) or build.model.boundaries.get(key)
    return v.axes if v is not None else ()


def _into_box(build: Builder, a: Arrow, over: Axis, at: int, box: str, name: str) -> None:
    axes = _axes(build, a.source)
    if axes == (over,):
        _rays(build, a, over, at, box, name)
    elif len(axes) == 1 and a.at[0] is not None:
        source = f"{a.source}@{a.at[0].resolve(at, build.sizes[axes[0]])}"
        bows = (-34.0, 34.0, -60.0, 60.0, -90.0, 90.0, 0.0)
        edge = Edge((source, box), "query", "back", label_of(a), a.carries, dashed=True, bows=bows)
        build.scene.connect(edge)
    elif not axes:
        build.scene.connect(Edge((a.source, box), "", "ink", label_of(a), a.carries))


def _rays(build: Builder, a: Arrow, over: Axis, at: int, box: str, name: str) -> None:
    """From every step of the axis into the box, as wide as the weights if they are known."""
    c = build.column[over]
    target = build.scene.nodes[box]
    l, _, r, bottom = target.bounds
    given = build.weights.get(name)
    for n, s in enumerate(c.steps):
        source = build.scene.nodes.get(f"{a.source}@{'…' if s is None else s}")
        if source is None or s is None:
            continue
        x, y = source.at[0], source.bounds[1]
        tip = (l + (r - l) * (n + 1) / (len(c.steps) + 1), bottom)
        rise = (y - bottom) * 0.55
        path = ((x, y), (x, y - rise), (tip[0], bottom + rise), tip)
        weight = float(given[at - 1, s - 1]) if given is not None else 0.0
        sub = f"{at}{s}" if at < 10 and s < 10 else f"{at},{s}"
        mark = labels.math(name, sub=sub) if name else ()
        words = said(build.model, a) + (f"; weight {weight:.3g}" if given is not None else "")
        build.scene.connect(
            Edge((source.name, box), "", "out", (), a.carries, width=1.2 + 4 * weight, title=words, path=path)
        )
        right = s > c.size / 2
        spot = (x + (9 if right else -9), y - 29)
        build.scene.extra.append(Text(spot, mark, EDGE, "out", "start" if right else "end"))


def _out_of_box(
    build: Builder, uses: list[Arrow], keys: list[str], over: Axis, at: int, box: str, place: Point
) -> None:
    """What the weights make: a context above the box, or a sum beside it."""
    model = build.model
    for a in uses:
        target = f"{a.target}@{at}"
        values = [b for b in model.into(a.target) if None in b.at and _axes(build, b.source) == (over,)]
        queries = {b.source for k in keys for b in model.into(k)}
        if a.target in keys:
            spot = (place[0], place[1] - ROW - 6)
            build.scene.add(circle(model.variables[a.target], spot, target, str(at)))
            build.scene.connect(Edge((box, target), "", "ink", title=said(model, a)))
            continue
        total = f"sum {target}"
        build.scene.add(Circle((place[0] + 130, place[1]), 15, "pointwise", labels.upright("Σ"), total))
        build.scene.connect(Edge((box, total), "", "out", labels.math(a.source), title=said(model, a)))
        build.scene.connect(Edge((total, target), "", "ink", title=said(model, a)))
        for b in values:
            if b.source not in queries:
                for s in build.column[over].steps:
                    ends = (f"{b.source}@{'…' if s is None else s}", total)
                    build.scene.connect(Edge(ends, "", "feed", (), b.carries, title=said(model, b)))


# ---------------------------------------------------------------------- lattices
def lattice(build: Builder, keys: list[str], x0: float) -> float:
    """Variables over two axes as a grid of cells: the first axis downwards, the second to the
    right. Returns the width it takes."""
    model = build.model
    rows, cols = model.variables[next(k for k in keys if len(model.variables[k].axes) > 1)].axes[:2]
    down, right = shown(build.sizes[rows], 6), shown(build.sizes[cols], 6)
    x0 += 0.6 * CELL
    inner = [k for k in keys if len(model.variables[k].axes) > 1]
    offsets = _cell(build, inner)

    def middle(r: int, c: int) -> Point:
        return x0 + CELL * c, CELL * r

    for m, i in enumerate(down):
        for n, j in enumerate(right):
            x, y = middle(m, n)
            for k in inner:
                dx, dy = offsets[k]
                if i is not None and j is not None:
                    v = model.variables[k]
                    build.scene.add(circle(v, (x + dx, y + dy), f"{k}@{i},{j}", f"{i},{j}"))
                elif (dx, dy) == (0.0, 0.0):
                    dots = "⋱" if i is None and j is None else "⋮" if i is None else "⋯"
                    build.scene.add(Text((x, y), labels.upright(dots), 22.0, name=f"{k}@{_or(i)},{_or(j)}"))
    _edges(build, inner, (rows, cols), (down, right))
    alone = [k for k in keys if k not in inner]
    mine = step(model, alone)
    for k in alone:
        dx, y = mine.places[k]
        at = (x0 + CELL * (len(right) - 0.2) + dx, CELL * (len(down) - 1) - y)
        build.free[k] = at
        build.scene.add(circle(model.variables[k], at, k))
    return CELL * (len(right) + (1 if alone else 0))


def _or(i: int | None) -> str:
    return "…" if i is None else str(i)


def _cell(build: Builder, keys: list[str]) -> dict[str, Point]:
    """Within a cell: states in the middle, what feeds them below left, what they make above right."""
    roles = {k: build.model.variables[k].role for k in keys}
    offsets: dict[str, Point] = {}
    place = {"input": (-1, 1), "state": (0, 0), "reverse": (0, 0)}
    count: dict[tuple[int, int], int] = {}
    for k in keys:
        sx, sy = place.get(roles[k], (1, -1))
        n = count[sx, sy] = count.get((sx, sy), 0) + 1
        far = 46.0 * n if (sx, sy) != (0, 0) else 24.0 * (n - 1)
        offsets[k] = (far * (sx or 1), far * (sy or -1)) if far else (0.0, 0.0)
    return offsets


def _edges(build: Builder, keys: list[str], axes: tuple[Axis, Axis], steps: tuple[Shown, Shown]) -> None:
    """The arrows between cells, from boundary values, and into the dots."""
    for a in build.model.arrows:
        inner = all(i is not None and i.kind == "now" for i in a.at)
        if a.target not in keys or a.source not in keys or not inner or len(a.at) != 2:
            continue
        back = tuple(0 if i is None else i.offset for i in a.at)
        for m, i in enumerate(steps[0]):
            for n, j in enumerate(steps[1]):
                if i is None or j is None:
                    source = _beside(a, (m, n), steps, back)
                else:
                    source = _reads(build, a, (i, j), axes, steps, back)
                words = label_of(a) if i is not None and j is not None else ()
                tone = tone_of(build.model, a, build.colours)
                ends = (source, f"{a.target}@{_or(i)},{_or(j)}")
                kind = f"{a.source}->{a.target} {a.at} {bool(words)}"
                build.scene.connect(Edge(ends, kind, tone, words, a.carries, title=said(build.model, a)))


def _reads(
    build: Builder,
    a: Arrow,
    at: tuple[int, int],
    axes: tuple[Axis, Axis],
    steps: tuple[Shown, Shown],
    back: tuple[int, ...],
) -> str:
    """The shape a cell reads: another cell, dots in its place, or a boundary value (made here)."""
    r, c = at[0] + back[0], at[1] + back[1]
    name = f"{a.source}@{r},{c}"
    if name in build.scene.nodes:
        return name
    if 1 <= r <= build.sizes[axes[0]] and 1 <= c <= build.sizes[axes[1]]:
        return f"{a.source}@{_or(r if r in steps[0] else None)},{_or(c if c in steps[1] else None)}"
    if any(b.name == a.source for b in build.model.boundaries.values()):
        x, y = build.scene.nodes[f"{a.target}@{at[0]},{at[1]}"].at
        spot = (x + back[1] * 0.62 * CELL, y + back[0] * 0.62 * CELL)
        build.scene.add(Text(spot, labels.math(a.source, sup=f"{r},{c}"), MATH - 2, name=name))
    return name


def _beside(a: Arrow, place: tuple[int, int], steps: tuple[Shown, Shown], back: tuple[int, ...]) -> str:
    """The cell before the dots at a place of the lattice, if there is one."""
    m, n = place[0] + back[0], place[1] + back[1]
    inside = 0 <= m < len(steps[0]) and 0 <= n < len(steps[1]) and any(back)
    real = inside and steps[0][m] is not None and steps[1][n] is not None
    return f"{a.source}@{steps[0][m]},{steps[1][n]}" if real else ""
