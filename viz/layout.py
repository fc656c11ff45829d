"""Where the variables of ONE step stand; pictures repeat the step at a fixed pitch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from unfold.core.dims import show
from viz.drawing import Circle
from viz.labels import Label, Run, fitted, join, math
from viz.style import MATH, PITCH, RADIUS, ROW
from viz.variables import DERIVED, Arrow, Model, Variable, counterpart, ranks

LIMIT = 8  # columns before an ellipsis is used
SPACING = 2 * RADIUS + 18
STAGGER = 27.0
FAN = 0.45 * ROW  # more room around a row of three or more


def shown(n: int, limit: int = LIMIT) -> tuple[int | None, ...]:
    """1, ..., n; above the limit 1, 2, 3, an ellipsis, n-1, n."""
    return tuple(range(1, n + 1)) if n <= max(limit, 6) else (1, 2, 3, None, n - 1, n)


@dataclass(frozen=True)
class Step:
    """Places of variables in one step: x from the middle of the column, y upwards from 0."""

    places: Mapping[str, tuple[float, float]]

    @property
    def width(self) -> float:
        return max((2 * abs(x) for x, _ in self.places.values()), default=0.0)

    @property
    def height(self) -> float:
        return max((y for _, y in self.places.values()), default=0.0)

    @property
    def pitch(self) -> float:
        """From column to column."""
        return max(PITCH, self.width + 2 * RADIUS + 36 + (10 if self.width else 0))


def step(model: Model, keys: Sequence[str]) -> Step:
    """Rows by topological order; several of a row side by side, those with a loop of their
    own at heights of their own (so that no loop of one runs through another)."""
    adjoint = {k: counterpart(k) for k in keys if model.variables[k].role in DERIVED}
    if any(base in keys for base in adjoint.values()):
        return _beside(step(model, [k for k in keys if k not in adjoint]), adjoint)
    rows = _rows(model, keys)
    places: dict[str, tuple[float, float]] = {}
    height = 0.0
    for r in sorted(set(rows.values())):
        row = [k for k in keys if rows[k] == r]
        loops = [k for k in row if _loops(model, k)]
        others = [k for k in row if k not in loops]
        if len(row) == 1:
            places[row[0]] = (0.0, height)
            height += ROW
            continue
        if others:
            room = FAN * min(1.0, (len(others) - 1) / 2)
            height += room if height else 0.0
            others = _ordered(model, others, rows)
            for n, k in enumerate(others):
                places[k] = ((n - (len(others) - 1) / 2) * SPACING, height)
            height += ROW + (room if height else 0.0)
        for n, k in enumerate(loops):
            off = STAGGER * (-1 if n % 2 == 0 else 1) if len(loops) > 1 else 0.0
            places[k] = (off, height)
            height += ROW
    return Step(places)


def _beside(primal: Step, adjoint: Mapping[str, str]) -> Step:
    """Every adjoint to the right of its variable and half a row lower, so that neither the
    forward nor the backward edges of a row meet a circle of the other."""
    right = max((x for x, _ in primal.places.values()), default=0.0)
    places = {k: (x - STAGGER, 1.3 * y) for k, (x, y) in primal.places.items()}
    for k, base in adjoint.items():
        x, y = primal.places.get(base, (right, 0.0))
        places[k] = (x + STAGGER + right, 1.3 * y - 0.6 * ROW)
    return Step(places)


def _loops(model: Model, key: str) -> bool:
    return any(a.moves and a.target == key for a in model.out_of(key))


def _ordered(model: Model, row: list[str], rows: Mapping[str, int]) -> list[str]:
    """Those that skip rows on the left, so that their edges pass outside; then what is looked
    up by (the keys of a memory), then what is looked up."""

    def leap(k: str) -> int:
        return max(
            (rows[a.target] - rows[k] for a in model.out_of(k) if a.near and a.target in rows), default=0
        )

    def width(k: str) -> int:
        found = [model.variables[a.target] for a in model.out_of(k) if a.target in model.variables]
        return max((len(v.axes) for v in found), default=0)

    return sorted(row, key=lambda k: (-leap(k), -width(k)))


def _rows(model: Model, keys: Sequence[str]) -> dict[str, int]:
    """Longest paths, except: a target stands above its loss, an input just below its reader."""
    known = set(keys)
    inside = [a for a in model.arrows if a.source in known and a.target in known]
    plain = [k for k in keys if model.variables[k].role != "target"]
    rank = ranks(plain, inside)
    fed = {
        a.target for a in model.arrows if a.source not in known or model.variables[a.source].role == "input"
    }
    lift = 1 if _needs_room(model, plain, rank, fed) else 0
    rows = {k: r + (lift if model.variables[k].role != "input" else 0) for k, r in rank.items()}
    for k in plain:
        readers = [rows[a.target] for a in inside if a.source == k and a.target != k and a.target in rows]
        if model.variables[k].role == "input" and readers:
            rows[k] = max(0, min(readers) - 1)
    for k in keys:
        if model.variables[k].role == "target":
            readers = [rows[a.target] for a in inside if a.source == k and a.target in rows]
            rows[k] = max(readers, default=max(rows.values(), default=-1)) + 1
    return rows


def _needs_room(model: Model, keys: Sequence[str], rank: Mapping[str, int], fed: set[str]) -> bool:
    """Whether a variable that nothing feeds at its own step would stand among the inputs."""
    low = [k for k in keys if rank[k] == 0]
    return any(model.variables[k].role == "input" for k in low) and any(
        model.variables[k].role != "input" for k in low
    )


def tone_of(model: Model, arrow: Arrow, variants: Mapping[str, str]) -> str:
    """The colour of an edge: by the first parameter it carries, else by what it joins."""
    source = model.variables.get(arrow.source)
    if arrow.carries and arrow.carries[0] in variants:
        return variants[arrow.carries[0]]
    if source is not None and arrow.moves and source.role in ("state", "reverse"):
        return "recur" if source.role == "state" else "back"
    return "ink"


def variants(model: Model) -> dict[str, str]:
    """A colour for every parameter: recurrent ones green and its neighbours, those into an
    output ochre, backward ones violet, the others blue."""
    colours: dict[str, str] = {}
    greens = ["recur", "recur2", "recur3", "recur4"]
    used = 0
    place = {k: n for n, k in enumerate(model.variables)}
    for a in sorted(model.arrows, key=lambda a: (not a.moves, place.get(a.target, -1))):
        for p in a.carries[:1]:
            if p in colours:
                continue
            target = model.variables.get(a.target)
            source = model.variables.get(a.source)
            if a.moves and source is not None and source.role not in ("input", "target"):
                back = source.role == "reverse"
                colours[p] = "back" if back else greens[used % len(greens)]
                used += not back
            else:
                colours[p] = "out" if target is not None and target.role == "output" else "feed"
    return colours


# ---------------------------------------------------------------------- the cyclic picture
def homes(model: Model) -> dict[str, tuple[str, ...]]:
    """For each variable the axes of the group it is drawn with: its own, or, without an axis,
    those of the only group that feeds or reads it; () for one that stands between groups."""
    result: dict[str, tuple[str, ...]] = {}
    for key, v in model.variables.items():
        result[key] = tuple(a.name for a in v.axes)
    for key, v in model.variables.items():
        whole = [a.source for a in model.into(key) if None in a.at and len(_axes(model, a.source)) > 1]
        if whole and v.role not in ("state", "reverse"):
            result[key] = _axes(model, whole[0])  # a context stands with its weights
        if not v.axes:
            above = {h for k in _reach(model, key, back=True) if len(h := _axes(model, k)) == 1}
            below = {h for k in _reach(model, key, back=False) if len(h := _axes(model, k)) == 1}
            if len(below) == 1 and not above:
                result[key] = next(iter(below))
            elif (above or len(model.axes) > 1) and not below:
                above = above or {h for k in _reach(model, key, back=True) if (h := _axes(model, k))}
                result[key] = max(above, key=lambda h: _last(model, h), default=())
    for key in reversed(list(model.variables)):
        near = [result[a.target] for a in model.out_of(key) if a.target in result]
        if not result[key] and near and all(near) and not model.into(key):
            result[key] = near[0]
    return result


def _axes(model: Model, key: str) -> tuple[str, ...]:
    v = model.variables.get(key) or model.boundaries[key]
    name = model.variables.get(v.name, v)
    return tuple(a.name for a in name.axes)


def _last(model: Model, home: tuple[str, ...]) -> int:
    keys = list(model.variables)
    return max(n for n, k in enumerate(keys) if _axes(model, k) == home)


def _reach(model: Model, key: str, back: bool) -> set[str]:
    found: set[str] = set()
    waiting = [key]
    while waiting:
        k = waiting.pop()
        arrows = model.into(k) if back else model.out_of(k)
        onward = [a.source if back else a.target for a in arrows]
        if not back and k in model.boundaries:
            onward.append(model.boundaries[k].name)
        if back and k in model.variables:
            onward += [b for b, v in model.boundaries.items() if v.name == k]
        for n in onward:
            if n not in found:
                found.add(n)
                waiting.append(n)
    return found


def groups(model: Model) -> dict[tuple[str, ...], list[str]]:
    """Variables by home, the groups in order of dependence: encoder, context, decoder."""
    home = homes(model)
    members: dict[tuple[str, ...], list[str]] = {}
    for key in model.variables:
        members.setdefault(home[key], []).append(key)
    before: dict[tuple[str, ...], set[tuple[str, ...]]] = {h: set() for h in members}
    for a in model.arrows:
        s, t = (_owner(model, k) for k in (a.source, a.target))
        if home[s] != home[t]:
            before[home[t]].add(home[s])
    order: list[tuple[str, ...]] = []
    while len(order) < len(members):
        left = [h for h in members if h not in order]
        order.append(min(left, key=lambda h: (len(before[h] - set(order) - {h}), -len(h))))
    return {h: members[h] for h in order}


def _owner(model: Model, key: str) -> str:
    return model.boundaries[key].name if key in model.boundaries else key


def place(model: Model) -> dict[str, tuple[float, float]]:
    """Where every variable of the cyclic picture stands (y downwards)."""
    places: dict[str, tuple[float, float]] = {}
    parts = [(h, keys, step(model, keys)) for h, keys in groups(model).items()]
    base = {h: _state_height(model, keys, s) for h, keys, s in parts}
    level = max(base.values(), default=0.0)
    x = 0.0
    for n, (h, keys, s) in enumerate(parts):
        up = level - base[h] if len(h) == 1 or not model.axes else level + (ROW if h else 0.0)
        x += s.width / 2 if n else 0.0
        for key in keys:
            dx, y = s.places[key]
            places[key] = (x + dx, -(y + up))
        x += s.width / 2 + (PITCH + 46 if len(parts) > 1 else 0.0)
    return places


def _state_height(model: Model, keys: Sequence[str], s: Step) -> float:
    heights = [s.places[k][1] for k in keys if model.variables[k].role in ("state", "reverse")]
    return min(heights, default=0.0)


# ---------------------------------------------------------------------- what a variable looks like
def circle(v: Variable, at: tuple[float, float], name: str = "", sup: str = "", size: float = MATH) -> Circle:
    """The disc of a variable, its letters fitted into it."""
    label = math(v.name, sup=sup)
    fit = fitted(label, size, 2 * RADIUS - 7)
    index = f"[{sup}]" if sup else f"[{', '.join(map(repr, v.axes))}]" if v.axes else ""
    title = f"{v.name}{index}: {v.role}, {show(v.node.shape) if v.node.shape else 'a number'}"
    return Circle(at, RADIUS, v.role, label, name or v.key, title, fit)


def looks(model: Model, a: Arrow, colours: Mapping[str, str]) -> tuple[str, Label, bool]:
    """Colour, label and dashes of an arrow. What flows back is labelled by transposes; a value
    that a derivative looks up is only hinted at."""
    target, source = (model.variables.get(k) for k in (a.target, a.source))
    if target is not None and target.role in DERIVED:
        if source is None or source.role not in DERIVED:
            return "faint", (), True
        if target.role == "tangent":
            return "gradient", label_of(a), False
        return "gradient", join([(*math(p), Run("⊤", shift=1)) for p in a.carries[:2]], ""), False
    return tone_of(model, a, colours), label_of(a), False


def label_of(a: Arrow) -> Label:
    """The parameters on an edge; more than two are cut."""
    parts = [math(p) for p in a.carries[:2]]
    return join(parts, ",") + ((Run("…"),) if len(a.carries) > 2 else ())
