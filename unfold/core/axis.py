"""Axes (time and its like) and the indices written in brackets: `t`, `t-1`, `t.last + 1`, `0`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from numbers import Number

from unfold.core.errors import DefinitionError
from unfold.core.kinds import IndexKind


@dataclass(frozen=True)
class Axis:
    """An index variable t = 1, 2, ..., T.

    `size` is None while T is open (the usual case); a fixed size makes every rule about
    legality and boundaries speak of exactly that many steps. It may be a named dimension
    ("hidden"), whose steps are the entries of a value (see `unfold.transform.jacobians`).

    >>> t = Axis("t")
    >>> t - 1, t.last + 1
    (t-1, T+1)
    """

    name: str
    size: int | str | None = None

    @property
    def length(self) -> str:
        """How the number of steps is written: T for t, J for j."""
        return self.name.upper() if self.name.upper() != self.name else f"|{self.name}|"

    @property
    def now(self) -> Index:
        """The step at hand, t."""
        return Index(self, IndexKind.NOW, 0)

    @property
    def first(self) -> Index:
        """The first step, 1."""
        return Index(self, IndexKind.AT, 1)

    @property
    def last(self) -> Index:
        """The last step, T."""
        return Index(self, IndexKind.LAST, 0)

    def __add__(self, steps: int) -> Index:
        return self.now + steps

    __radd__ = __add__

    def __sub__(self, steps: int) -> Index:
        return self.now - steps

    def __repr__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Index:
    """A place on an axis: t + offset ("now"), offset itself ("at"), T + offset ("last"),
    or T - t + offset ("back", a read in reversed order)."""

    axis: Axis
    kind: IndexKind
    offset: int

    def __add__(self, steps: int) -> Index:
        if not _whole(steps, f"{self!r} + {steps!r}"):
            return NotImplemented
        return replace(self, offset=self.offset + int(steps))

    __radd__ = __add__

    def __sub__(self, steps: int | Axis | Index) -> Index:
        if isinstance(steps, Axis):
            steps = steps.now
        if (
            isinstance(steps, Index)
            and (self.kind, steps.kind) == (IndexKind.LAST, IndexKind.NOW)
            and self.axis == steps.axis
        ):
            return Index(self.axis, IndexKind.BACK, self.offset - steps.offset)
        if not _whole(steps, f"{self!r} - {steps!r}"):
            return NotImplemented
        assert not isinstance(steps, Index)
        return replace(self, offset=self.offset - int(steps))

    def resolve(self, step: int, size: int) -> int:
        """The concrete index at the given step of a sequence of the given size."""
        K = IndexKind
        base = {K.NOW: step, K.AT: 0, K.LAST: size, K.BACK: size - step}[self.kind]
        return base + self.offset

    def __repr__(self) -> str:
        name, T, offset = self.axis.name, self.axis.length, f"{self.offset:+d}" if self.offset else ""
        now, last, K = f"{name}{offset}", f"{T}{offset}", IndexKind
        return {K.AT: str(self.offset), K.NOW: now, K.LAST: last, K.BACK: f"{last}-{name}"}[self.kind]


def _whole(steps: object, written: str) -> bool:
    """Whether `steps` is an integer; raises for what can never move an index."""
    if isinstance(steps, Axis | Index | Number) and (
        isinstance(steps, bool) or not hasattr(steps, "__index__")
    ):
        raise DefinitionError(
            f"{written}: an index moves by whole steps, as in t-1 or t.last + 1; "
            f"a reversed read is written t.last + 1 - t"
        )
    return hasattr(steps, "__index__")


def written(place: Index | int) -> str:
    """How an index is written in an equation: `t-1`, `t.last + 1`, `0`."""
    if isinstance(place, int):
        return str(place)
    if place.kind in (IndexKind.AT, IndexKind.NOW):
        return repr(place)
    name, n = place.axis.name, place.offset
    last = f"{name}.last" + (f" {'+' if n > 0 else '-'} {abs(n)}" if n else "")
    return last if place.kind == IndexKind.LAST else f"{last} - {name}"


def indexed(label: str, indices: Iterable[object]) -> str:
    """A name with indices in brackets, where there are any.

    >>> indexed("h", [3, Axis("t") - 1]), indexed("W", [])
    ('h[3, t-1]', 'W')
    """
    inside = ", ".join(map(str, indices))
    return f"{label}[{inside}]" if inside else label


def mirrored(here: Index) -> Index:
    """T + 1 - here."""
    return Index(here.axis, _MIRRORED[here.kind], 1 - here.offset)


_MIRRORED = {
    IndexKind.NOW: IndexKind.BACK,
    IndexKind.BACK: IndexKind.NOW,
    IndexKind.AT: IndexKind.LAST,
    IndexKind.LAST: IndexKind.AT,
}
