"""Where the variables of ONE step stand; pictures repeat the step at a fixed pitch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from viz.model.order import ranks
from viz.model.roles import counterpart
from viz.model.shown import DERIVED, Model
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
    return StepPlaces(places)


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


def state_height(model: Model, keys: Sequence[str], s: StepPlaces) -> float:
    """How high the lowest state of a step stands."""
    heights = [s.places[k][1] for k in keys if model.variables[k].role in ("state", "reverse")]
    return min(heights, default=0.0)
