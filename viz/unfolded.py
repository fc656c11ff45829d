"""The unfolded picture: one column a step, time from left to right, boundary values at the ends.

Above a number of columns an ellipsis stands for the middle: 1, 2, 3, ..., T-1, T. Columns are
one step laid out once and repeated, so they are identical however many there are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from unfold.core.axis import Axis, Index
from viz import labels
from viz.cyclic import describe, said
from viz.drawing import Box, Drawing, Point, Text, bounds
from viz.layout import LIMIT, Step, circle, groups, looks, shown, step, variants
from viz.scene import BOWS, Edge, Scene
from viz.several import fan, lattice
from viz.style import EDGE, MATH, ROW
from viz.variables import Arrow, Model, Variable

GAP = 120.0  # between groups
OVER = (58.0, 42.0, 78.0, 104.0, 140.0)  # a context is led over the edges that ask for it


@dataclass(frozen=True)
class Columns:
    """The columns of one axis: which steps are shown (None: the ellipsis), and where."""

    axis: Axis
    steps: tuple[int | None, ...]
    size: int
    left: float
    pitch: float
    relative: bool = False  # steps are t-1, t, t+1 of some longer sequence

    def x(self, at: int | None) -> float:
        """The middle of a step's column; of the place beside the first or last one."""
        if at in self.steps:
            return self.left + self.pitch * self.steps.index(at)
        ends = [s for s in self.steps if s is not None]
        if at is None or not ends:
            return self.left
        if at < ends[0]:
            return self.left - 0.8 * self.pitch * min(ends[0] - at, 3)
        return self.left + self.pitch * (len(self.steps) - 1 + 0.8 * min(at - ends[-1], 3))

    @property
    def right(self) -> float:
        return self.left + self.pitch * max(0, len(self.steps) - 1)

    def shown(self, at: int) -> bool:
        return at in self.steps

    def name(self, at: int) -> str:
        """How a step is written above a variable."""
        if not self.relative:
            return str(at)
        return self.axis.name + (f"{at:+d}" if at else "")


def draw(
    model: Model,
    sizes: Mapping[Axis, int],
    limit: int = LIMIT,
    relative: bool = False,
    weights: Mapping[str, Any] | None = None,
) -> Drawing:
    """The picture of a system unfolded to `sizes` steps; `relative` names them t-1, t, t+1;
    `weights` are values of variables over two axes, drawn as widths."""
    builder = Builder(model, sizes, limit, relative, weights or {})
    builder.columns()
    builder.arrows()
    steps = ", ".join(f"{a.name} = 1..{n}" for a, n in sizes.items())
    title = model.title or (f"Unfolded graph, {steps}" if steps else "Graph")
    return builder.scene.drawing(title, describe(model))


class Builder:
    """A scene being filled, column by column, then arrow by arrow."""

    def __init__(
        self, model: Model, sizes: Mapping[Axis, int], limit: int, relative: bool, weights: Mapping[str, Any]
    ) -> None:
        self.model, self.sizes, self.limit, self.relative = model, sizes, limit, relative
        self.weights = weights
        self.gathered: set[str] = set()  # variables whose sums over an axis are drawn as a fan
        self.members: dict[Axis, list[str]] = {}  # the shapes of each axis's columns
        self.scene = Scene()
        self.colours = variants(model)
        self.column: dict[Axis, Columns] = {}
        self.offset: dict[str, tuple[float, float]] = {}  # from the column's middle; y downwards
        self.free: dict[str, Point] = {}
        self.fixed = {
            (b.name, self._place(b.index)): b for b in model.boundaries.values() if len(b.index) == 1
        }

    def _place(self, index: Sequence[Index]) -> int:
        (i,) = index
        return i.resolve(0, self.sizes.get(i.axis, 0))

    # ------------------------------------------------------------------ columns
    def columns(self) -> None:
        """Place every variable of every shown step."""
        parts = [(h, keys) for h, keys in groups(self.model).items()]
        layouts: dict[tuple[str, ...], Step] = {}
        inside: dict[tuple[str, ...], list[str]] = {}
        grids = {h: keys for h, keys in parts if len(h) > 1}
        parts = [(h, keys) for h, keys in parts if h not in grids]
        for h, keys in parts:
            inside[h] = [k for k in keys if self.model.variables[k].axes] if h else keys
            layouts[h] = step(self.model, inside[h])
        level = max((self._level(layouts[h], inside[h]) for h, _ in parts), default=0.0)
        x = 0.0
        several = sum(len(h) == 1 for h, _ in parts) > 1
        for h, keys in parts:
            s = layouts[h]
            up = level - self._level(s, inside[h])
            for k in inside[h]:
                self.offset[k] = (s.places[k][0], -(s.places[k][1] + up))
            axis = next((a for a in self.sizes if (a.name,) == h), None)
            if axis is None:
                for k in keys:
                    fans = any(
                        self._axes(a.target) and a.target not in self.model.boundaries
                        for a in self.model.out_of(k)
                    )
                    drop = 1.6 * ROW if fans and several else 0.0
                    self.free[k] = (x + self.offset[k][0], self.offset[k][1] + drop)
                    self.scene.add(circle(self.model.variables[k], self.free[k], k, size=20.0))
                x += GAP
                continue
            starts = any(b.name in keys for b in self.model.boundaries.values())
            x += 0.8 * s.pitch if several and starts else 0.0
            ends = self.sizes[axis]
            steps = tuple(range(-1, ends - 1)) if self.relative else shown(ends, self.limit)
            self.column[axis] = c = Columns(axis, steps, ends, x, s.pitch, self.relative)
            self._fill(c, inside[h])
            self._free(c, [k for k in keys if k not in inside[h]], s, up)
            self._boundaries(c, keys)
            if several:
                self._frame(c, inside[h])
            self.members[axis] = [f"{k}@{at}" for k in inside[h] for at in c.steps if at is not None]
            x = c.right + s.width / 2 + GAP
        for h, keys in grids.items():
            if all(any(a.name == n for a in self.column) for n in h):
                fan(self, keys)
            elif len(h) == 2:
                x += lattice(self, keys, x)

    def _axes(self, key: str) -> tuple[Axis, ...]:
        v = self.model.variables.get(key) or self.model.boundaries.get(key)
        return v.axes if v is not None else ()

    def _level(self, s: Step, keys: Sequence[str]) -> float:
        states = [s.places[k][1] for k in keys if self.model.variables[k].role in ("state", "reverse")]
        return min(states, default=0.0)

    def _fill(self, c: Columns, keys: Sequence[str]) -> None:
        for at in c.steps:
            for k in keys:
                dx, y = self.offset[k]
                if at is None:
                    self.scene.add(
                        Text((c.x(None) + dx, y), labels.upright("\u2009\u22ef\u2009"), 22.0, name=f"{k}@…")
                    )
                else:
                    self.scene.add(
                        circle(self.model.variables[k], (c.x(at) + dx, y), f"{k}@{at}", c.name(at))
                    )

    def _free(self, c: Columns, keys: Sequence[str], s: Step, up: float) -> None:
        """Variables without the axis: what is made of the last step above it, of all steps in
        the middle, what feeds every step below."""
        below = [k for k in keys if not self._depends(k)]
        above = [k for k in keys if k not in below]
        whole = any(None in a.at for k in above for a in self.model.into(k))
        mine = step(self.model, above)
        tall = (s.height + up + ROW) if above else 0.0
        for k in above:
            dx, y = mine.places[k]
            x = (c.left + c.right) / 2 if whole and c.steps else c.right
            self._alone(k, (x + dx, -(tall + y)))
        targets = [k for k in below if self.model.variables[k].role == "target" and above]
        others = [k for k in below if k not in targets]
        for k in targets:
            reader = next(a.target for a in self.model.out_of(k))
            x, y = self.free.get(reader, (c.right, -tall))
            self._alone(k, (x, y - ROW))
        for n, k in enumerate(others):
            readers = [a.target for a in self.model.out_of(k)]
            initial = [b for b in readers if b in self.model.boundaries]
            if initial and len(initial) == len(readers):
                b = self.model.boundaries[initial[0]]
                y = self.offset[b.name][1] if b.name in self.offset else 0.0
                self._alone(k, (c.x(self._place(b.index)), y + ROW))
            else:
                low = min((y for y in (s.places[q][1] for q in s.places)), default=0.0)
                x = (c.left + c.right) / 2 + (n - (len(others) - 1) / 2) * 62
                self._alone(k, (x, -(low + up) + 1.25 * ROW))

    def _alone(self, k: str, at: Point) -> None:
        self.free[k] = at
        self.scene.add(circle(self.model.variables[k], at, k))

    def _depends(self, key: str) -> bool:
        """Whether a variable is made of something over an axis."""
        waiting, seen = [key], {key}
        while waiting:
            for a in self.model.into(waiting.pop()):
                v = self.model.variables.get(a.source)
                if v is not None and v.axes:
                    return True
                if a.source not in seen:
                    seen.add(a.source)
                    waiting.append(a.source)
        return False

    def _boundaries(self, c: Columns, keys: Sequence[str]) -> None:
        if self.relative:
            return
        read = {(a.source, at) for a in self.model.arrows for at in self._outside(a, c)}
        for (name, at), b in self.fixed.items():
            if name not in keys or name not in self.offset or (name, at) not in read:
                continue
            dx, y = self.offset[name]
            spot = (c.x(at) + dx, y)
            if any(a.target == b.key for a in self.model.arrows):
                v = self.model.variables[name]
                self.scene.add(circle(v, spot, f"{name}@{at}", str(at)))
            else:
                self.scene.add(Text(spot, labels.math(name, sup=str(at)), MATH, name=f"{name}@{at}"))

    def _outside(self, a: Arrow, c: Columns) -> set[int]:
        """The steps before the first and after the last at which an arrow reads."""
        if not (len(a.at) == 1 and (i := a.at[0]) is not None and i.axis == c.axis and i.kind == "now"):
            return set()
        reads = {at + i.offset for at in c.steps if at is not None}
        return {s for s in reads if s < 1 or s > c.size}

    def _frame(self, c: Columns, keys: Sequence[str]) -> None:
        shapes = [self.scene.nodes[f"{k}@{at}"] for k in keys for at in c.steps if at is not None]
        if not shapes:
            return
        l, t, r, b = bounds(shapes)
        w, h = r - l + 32, b - t + 32
        tone = "cell" if not self.scene.back else "cell2"
        self.scene.back.append(Box(((l + r) / 2, (t + b) / 2), w, h, tone, corner=12))
        words = labels.expression(f"{c.axis.name}=1,…,{c.size}")
        self.scene.add(Text(((l + r) / 2, b + 30), words, EDGE, name=f"caption {c.axis.name}"))

    # ------------------------------------------------------------------ arrows
    def arrows(self) -> None:
        for a in self.model.arrows:
            source, target = self.model.variables.get(a.source), self._target(a)
            if target is None or source is None or len(target.axes) > 1:
                continue
            if (len(source.axes) > 1 and target.axes) or (None in a.at and a.target in self.gathered):
                continue
            self._arrow(a, target)

    def _target(self, a: Arrow) -> Variable | None:
        return self.model.variables.get(a.target) or self.model.boundaries.get(a.target)

    def _arrow(self, a: Arrow, target: Variable) -> None:
        tone, label, hint = looks(self.model, a, self.colours)
        kind = f"{a.source}->{a.target} {a.at}"

        def edge(source: str, into: str, dashed: bool = False, words: bool = True) -> None:
            ends = (source, into)
            mine = label if words else ()
            lines = dashed or hint
            over = a.source in self.gathered and self.model.variables[a.source].role == "hidden"
            bows = OVER if over else BOWS
            words_ = said(self.model, a)
            self.scene.connect(Edge(ends, kind, tone, mine, a.carries, lines, title=words_, bows=bows))

        if a.target in self.model.boundaries:
            into = f"{target.name}@{self._place(target.index)}" if len(target.index) == 1 else ""
            for source in self._sources(a, None):
                edge(source, into)
            return
        if not target.axes:
            for source in self._sources(a, None):
                edge(source, a.target, words=a.at != (None,))
            return
        c = self.column.get(target.axes[0])
        if c is None:
            return
        moving = a.moves and a.at[0] is not None and a.at[0].axis == c.axis
        for at in c.steps:
            if at is None:
                continue
            if a.only and any(i is not None and i.resolve(at, c.size) != at for i in a.only):
                continue
            for source in self._sources(a, at):
                if source in self.scene.nodes:
                    edge(source, f"{a.target}@{at}")
        if moving and a.at[0] is not None:
            self._ends(a, c, -a.at[0].offset, edge)

    def _sources(self, a: Arrow, at: int | None) -> list[str]:
        """The names of the shapes an arrow starts from, for its target at a step."""
        if not a.at:
            return [a.source]
        if len(a.at) > 1:
            steps = [i.resolve(0, self.sizes[i.axis]) for i in a.at if i is not None and i.kind != "now"]
            return [f"{a.source}@{','.join(map(str, steps))}"] if len(steps) == len(a.at) else []
        (i,) = a.at
        axis = self.model.variables[a.source].axes[0]
        c = self.column.get(axis)
        if c is None:
            return []
        if i is None:
            return [f"{a.source}@{'…' if s is None else s}" for s in c.steps]
        if i.kind == "now" and at is None:
            return []
        step = i.resolve(at or 0, c.size)
        if step == 0 and self.relative and i.kind == "at":
            return []
        hidden = not c.shown(step) and 1 <= step <= c.size and not self.relative
        return [f"{a.source}@…" if hidden else f"{a.source}@{step}"]

    def _ends(self, a: Arrow, c: Columns, lag: int, edge: Callable[..., None]) -> None:
        """Arrows into the ellipsis and, in a picture of some steps of many, beyond both ends."""
        known = [s for s in c.steps if s is not None]
        done: set[str] = set()
        for s in known:
            t = s + lag
            if t in known:
                continue
            if not self.relative:
                if 1 <= t <= c.size and f"{a.target}@…" in self.scene.nodes:
                    edge(f"{a.source}@{s}", f"{a.target}@…")
                continue
            end = f"{a.source}@>"
            first = end not in done
            done.add(end)
            if first or abs(lag) == 1:
                self._beyond(c, a.source, a.target == a.source, end, right=lag > 0)
                edge(f"{a.source}@{s}", end, True, a.target == a.source)
        if self.relative:
            for t in known:
                if t - lag not in known:
                    end = f"{a.source}@<"
                    self._beyond(c, a.source, True, end, right=lag < 0)
                    edge(end, f"{a.target}@{t}", True)

    def _beyond(self, c: Columns, name: str, whole: bool, end: str, right: bool) -> None:
        if end in self.scene.nodes:
            return
        dx, y = self.offset[name]
        x = (c.right + 0.95 * c.pitch if right else c.left - 0.95 * c.pitch) + dx
        label = labels.math(name, sup="…") if whole else labels.upright("…")
        self.scene.add(Text((x, y), label, MATH, name=end))
