"""Axes (time and its like) and the indices one writes in brackets: `t`, `t-1`, `t.last + 1`, `0`."""

from __future__ import annotations

from dataclasses import dataclass, replace

from unfold.errors import DefinitionError


@dataclass(frozen=True)
class Axis:
    """An index variable t = 1, 2, ..., T.

    `size` is None while T is open (the usual case); a fixed size makes every rule about
    legality and boundaries speak of exactly that many steps.

    >>> t = Axis("t")
    >>> t - 1, t.last + 1
    (t - 1, T + 1)
    """

    name: str
    size: int | None = None

    @property
    def length(self) -> str:
        """How the number of steps is written: T for t, J for j."""
        return self.name.upper() if self.name.upper() != self.name else f"|{self.name}|"

    @property
    def now(self) -> Index:
        return Index(self, "now", 0)

    @property
    def first(self) -> Index:
        """The first step, 1."""
        return Index(self, "at", 1)

    @property
    def last(self) -> Index:
        """The last step, T."""
        return Index(self, "last", 0)

    def __add__(self, steps: int) -> Index:
        return self.now + steps

    def __sub__(self, steps: int) -> Index:
        return self.now - steps

    def __repr__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Index:
    """A place on an axis: t + offset ("now"), offset itself ("at"), T + offset ("last"),
    or T - t + offset ("back", a read in reversed order)."""

    axis: Axis
    kind: str
    offset: int

    def __add__(self, steps: int) -> Index:
        if isinstance(steps, Axis | Index):
            raise DefinitionError(f"cannot add {steps!r} to {self!r}: an index moves by whole steps")
        return replace(self, offset=self.offset + int(steps))

    def __sub__(self, steps: int | Axis | Index) -> Index:
        if isinstance(steps, Axis):
            steps = steps.now
        if isinstance(steps, Index):
            if self.kind == "last" and steps.kind == "now" and steps.axis == self.axis:
                return Index(self.axis, "back", self.offset - steps.offset)
            raise DefinitionError(
                f"cannot subtract {steps!r} from {self!r}; a reversed read is written t.last + 1 - t"
            )
        return replace(self, offset=self.offset - int(steps))

    def resolve(self, step: int, size: int) -> int:
        """The concrete index at the given step of a sequence of the given size."""
        base = {"now": step, "at": 0, "last": size, "back": size - step}[self.kind]
        return base + self.offset

    def __repr__(self) -> str:
        if self.kind == "at":
            return str(self.offset)
        base = {
            "now": self.axis.name,
            "last": self.axis.length,
            "back": f"{self.axis.length} - {self.axis.name}",
        }[self.kind]
        if not self.offset:
            return base
        return f"{base} {'+' if self.offset > 0 else '-'} {abs(self.offset)}"
