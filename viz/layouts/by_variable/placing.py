"""Where the variables of ONE step stand; pictures repeat the step at a fixed pitch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from viz.model.order import ranks
from viz.model.roles import counterpart
from viz.model.variable_model import DERIVED, Model, Reading
from viz.shapes.style import PITCH, RADIUS, ROW

SPACING = 2 * RADIUS + 18

STAGGER = 27.0

FAN = 0.45 * ROW  # more room around a row of three or more


@dataclass(frozen=True)
class StepPlaces:
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


def step(model: Model, keys: Sequence[str]) -> StepPlaces:
    """Rows by topological order; several of a row side by side, those with a loop of their
    own at heights of their own (so that no loop of one runs through another)."""
    adjoint = {k: counterpart(k, keys) for k in keys if model.variables[k].role in DERIVED}
    if any(adjoint.values()):
        return _beside(step(model, [k for k in keys if k not in adjoint]), adjoint)
    rows = _rows(model, keys)
    places: dict[str, tuple[float, float]] = {}
    height = 0.0
    for r in sorted(set(rows.values())):
        row = [k for k in keys if rows[k] == r]
        if len(row) == 1:
            places[row[0]] = (0.0, height)
            height += ROW
            continue
        loops = [k for k in row if _loops(model, k)]
        others = _ordered(model, [k for k in row if k not in loops], rows)
        height = _level(places, others, height)
        height = _staggered(places, loops, height)
    return StepPlaces(places)


def _level(places: dict[str, tuple[float, float]], keys: Sequence[str], height: float) -> float:
    """Variables side by side, with more room around three or more; returns the height above."""
    if not keys:
        return height
    room = FAN * min(1.0, (len(keys) - 1) / 2)
    height += room if height else 0.0
    for n, k in enumerate(keys):
        places[k] = ((n - (len(keys) - 1) / 2) * SPACING, height)
    return height + (ROW + (room if height else 0.0))


def _staggered(places: dict[str, tuple[float, float]], keys: Sequence[str], height: float) -> float:
    """Variables one above the other, by turns left and right; returns the height above."""
    for n, k in enumerate(keys):
        off = STAGGER * (-1 if n % 2 == 0 else 1) if len(keys) > 1 else 0.0
        places[k] = (off, height)
        height += ROW
    return height


def _beside(primal: StepPlaces, adjoint: Mapping[str, str]) -> StepPlaces:
    """Every adjoint to the right of its variable and half a row lower, so that neither the
    forward nor the backward edges of a row meet a circle of the other."""
    right = max((x for x, _ in primal.places.values()), default=0.0)
    places = {k: (x - STAGGER, 1.3 * y) for k, (x, y) in primal.places.items()}
    for k, base in adjoint.items():
        x, y = primal.places.get(base, (right, 0.0))
        places[k] = (x + STAGGER + right, 1.3 * y - 0.6 * ROW)
    return StepPlaces(places)


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
    role = {k: model.variables[k].role for k in keys}
    plain = [k for k in keys if role[k] != "target"]
    rank = ranks(plain, inside)
    lift = 1 if _needs_room(role, plain, rank) else 0
    rows = {k: r + (lift if role[k] != "input" else 0) for k, r in rank.items()}
    for k in plain:
        readers = _readers(inside, rows, k)
        if role[k] == "input" and readers:
            rows[k] = max(0, min(readers) - 1)
    for k in keys:
        if role[k] == "target":
            top = max(rows.values(), default=-1)
            rows[k] = max(_readers(inside, rows, k), default=top) + 1
    return rows


def _readers(inside: Sequence[Reading], rows: Mapping[str, int], key: str) -> list[int]:
    """The rows of what reads a variable, but for itself."""
    return [rows[a.target] for a in inside if a.source == key and a.target != key and a.target in rows]


def _needs_room(role: Mapping[str, str], keys: Sequence[str], rank: Mapping[str, int]) -> bool:
    """Whether a variable that nothing feeds at its own step would stand among the inputs."""
    low = {role[k] == "input" for k in keys if rank[k] == 0}
    return len(low) == 2


def state_height(model: Model, keys: Sequence[str], s: StepPlaces) -> float:
    """How high the lowest state of a step stands."""
    heights = [s.places[k][1] for k in keys if model.variables[k].role in ("state", "reverse")]
    return min(heights, default=0.0)
