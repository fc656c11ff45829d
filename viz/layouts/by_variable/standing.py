"""Where the variables of an unfolded picture stand: columns of steps, what stands below, above and
beside them, boundary values at their ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from unfold.core.axis import Axis
from viz.layouts.by_variable.filling import Filling
from viz.layouts.by_variable.groups import groups
from viz.layouts.by_variable.looks import circle
from viz.layouts.by_variable.placing import StepPlaces, state_height, step
from viz.layouts.by_variable.two_axes import fan, lattice
from viz.layouts.columns import Columns, shown
from viz.model.variable_model import Reading
from viz.shapes import labels
from viz.shapes.figures import Box, Words, bounds
from viz.shapes.spots import spot
from viz.shapes.style import EDGE, MATH, ROW

GAP = 120.0  # between groups


@dataclass(frozen=True)
class _Band:
    """Variables that stand together: those of the columns, laid out for one step, and the others."""

    keys: list[str]
    inside: list[str]
    places: StepPlaces
    up: float  # by how much it is lifted, so that the states of all bands are level


def stand(f: Filling) -> None:
    """Place every variable of every shown step."""
    homes = groups(f.model)
    bands = _bands(f, {h: keys for h, keys in homes.items() if len(h) < 2})
    several = sum(len(h) == 1 for h in bands) > 1
    x = 0.0
    for h, band in bands.items():
        f.offset.update({k: (dx, -(y + band.up)) for k, (dx, y) in band.places.places.items()})
        axis = next((a for a in f.sizes if (a.name,) == h), None)
        x = _still(f, band, x, several) if axis is None else _over(f, band, axis, x, several)
    for h, keys in homes.items():
        if len(h) > 1 and all(any(a.name == n for a in f.column) for n in h):
            fan(f, keys)
        elif len(h) == 2:
            x += lattice(f, keys, x)


def _bands(f: Filling, homes: dict[tuple[str, ...], list[str]]) -> dict[tuple[str, ...], _Band]:
    inside = {h: [k for k in keys if f.model.variables[k].axes] if h else keys for h, keys in homes.items()}
    places = {h: step(f.model, inside[h]) for h in homes}
    base = {h: state_height(f.model, inside[h], places[h]) for h in homes}
    level = max(base.values(), default=0.0)
    return {h: _Band(keys, inside[h], places[h], level - base[h]) for h, keys in homes.items()}


def _still(f: Filling, band: _Band, x: float, several: bool) -> float:
    """Variables over no axis, in one column; returns where the next band may start."""
    for k in band.keys:
        dx, y = f.offset[k]
        fans = any(f.axes(a.target) and a.target not in f.model.boundaries for a in f.model.out_of(k))
        f.alone(k, (x + dx, y + (1.6 * ROW if fans and several else 0.0)), 20.0)
    return x + GAP


def _over(f: Filling, band: _Band, axis: Axis, x: float, several: bool) -> float:
    """The columns of an axis and what stands with them; returns where the next band may start."""
    s, ends = band.places, f.sizes[axis]
    starts = any(b.name in band.keys for b in f.model.boundaries.values())
    x += 0.8 * s.pitch if several and starts else 0.0
    steps = tuple(range(-1, ends - 1)) if f.relative else shown(ends, f.limit)
    f.column[axis] = c = Columns(axis, steps, ends, x, s.pitch, f.relative)
    _fill(f, c, band.inside)
    _beside(f, c, band)
    _boundaries(f, c, band.keys)
    if several:
        _frame(f, c, band.inside)
    f.members[axis] = [spot(k, at) for k in band.inside for at in c.steps if at is not None]
    return c.right + s.width / 2 + GAP


def _fill(f: Filling, c: Columns, keys: Sequence[str]) -> None:
    for at in c.steps:
        for k in keys:
            dx, y = f.offset[k]
            if at is None:
                dots = labels.upright("\u2009\u22ef\u2009")
                f.scene.add(Words((c.x(None) + dx, y), dots, 22.0, name=spot(k, None)))
            else:
                f.scene.add(circle(f.model.variables[k], (c.x(at) + dx, y), spot(k, at), c.name(at)))


# ---------------------------------------------------------------------- variables without the axis
def _beside(f: Filling, c: Columns, band: _Band) -> None:
    """What is made of the last step above it, of all steps in the middle, what feeds every step
    below."""
    keys = [k for k in band.keys if k not in band.inside]
    above = [k for k in keys if _depends(f, k)]
    below = [k for k in keys if k not in above]
    tall = (band.places.height + band.up + ROW) if above else 0.0
    _above(f, c, above, tall)
    targets = [k for k in below if f.model.variables[k].role == "target" and above]
    for k in targets:
        reader = next(a.target for a in f.model.out_of(k))
        x, y = f.free.get(reader, (c.right, -tall))
        f.alone(k, (x, y - ROW))
    _below(f, c, band, [k for k in below if k not in targets])


def _above(f: Filling, c: Columns, keys: Sequence[str], tall: float) -> None:
    whole = any(None in a.at for k in keys for a in f.model.into(k))
    middle = (c.left + c.right) / 2 if whole and c.steps else c.right
    places = step(f.model, keys).places
    for k in keys:
        dx, y = places[k]
        f.alone(k, (middle + dx, -(tall + y)))


def _below(f: Filling, c: Columns, band: _Band, keys: Sequence[str]) -> None:
    """Below the boundary value that a variable makes; else in the middle, below everything."""
    low = min((y for _, y in band.places.places.values()), default=0.0)
    for n, k in enumerate(keys):
        readers = [a.target for a in f.model.out_of(k)]
        if readers and all(b in f.model.boundaries for b in readers):
            b = f.model.boundaries[readers[0]]
            y = f.offset[b.name][1] if b.name in f.offset else 0.0
            f.alone(k, (c.x(f.place(b.index)), y + ROW))
        else:
            x = (c.left + c.right) / 2 + (n - (len(keys) - 1) / 2) * 62
            f.alone(k, (x, -(low + band.up) + 1.25 * ROW))


def _depends(f: Filling, key: str) -> bool:
    """Whether a variable is made of something over an axis."""
    waiting, seen = [key], {key}
    while waiting:
        for a in f.model.into(waiting.pop()):
            v = f.model.variables.get(a.source)
            if v is not None and v.axes:
                return True
            if a.source not in seen:
                seen.add(a.source)
                waiting.append(a.source)
    return False


# ---------------------------------------------------------------------- the ends and the frame
def _boundaries(f: Filling, c: Columns, keys: Sequence[str]) -> None:
    if f.relative:
        return
    read = {(a.source, at) for a in f.model.arrows for at in _outside(a, c)}
    for (name, at), b in f.fixed.items():
        if name not in keys or name not in f.offset or (name, at) not in read:
            continue
        dx, y = f.offset[name]
        where = (c.x(at) + dx, y)
        if any(a.target == b.key for a in f.model.arrows):
            f.scene.add(circle(f.model.variables[name], where, spot(name, at), str(at)))
        else:
            f.scene.add(Words(where, labels.math(name, sup=str(at)), MATH, name=spot(name, at)))


def _outside(a: Reading, c: Columns) -> set[int]:
    """The steps before the first and after the last at which an arrow reads."""
    if not (len(a.at) == 1 and (i := a.at[0]) is not None and i.axis == c.axis and i.kind == "now"):
        return set()
    reads = {at + i.offset for at in c.steps if at is not None}
    return {s for s in reads if s < 1 or s > c.size}


def _frame(f: Filling, c: Columns, keys: Sequence[str]) -> None:
    shapes = [f.scene.nodes[spot(k, at)] for k in keys for at in c.steps if at is not None]
    if not shapes:
        return
    l, t, r, b = bounds(shapes)
    w, h = r - l + 32, b - t + 32
    tone = "cell" if not f.scene.back else "cell2"
    f.scene.back.append(Box(((l + r) / 2, (t + b) / 2), w, h, tone, corner=12))
    words = labels.expression(f"{c.axis.name}=1,…,{c.size}")
    f.scene.add(Words(((l + r) / 2, b + 30), words, EDGE, name=f"caption {c.axis.name}"))
