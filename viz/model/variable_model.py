"""What a variable-level picture shows: variables, who reads whom, and at what index."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from unfold.core.axis import Axis, Index, indexed
from unfold.core.node import Node

DERIVED = ("adjoint", "tangent")

Pattern = tuple[Index | None, ...]  # where a source is read, per axis of it; None: all of it


@dataclass(frozen=True)
class Variable:
    """A named thing; `index` is () or the fixed places of a boundary, as in h[0]."""

    name: str
    axes: tuple[Axis, ...]
    node: Node = field(compare=False)
    role: str = "hidden"
    index: tuple[Index, ...] = ()
    makes: str = ""  # the operation that computes it

    @property
    def key(self) -> str:
        return indexed(self.name, self.index)


@dataclass(frozen=True)
class Reading:
    """`target` at its own index reads `source` at `at`."""

    source: str
    target: str
    at: Pattern
    carries: tuple[str, ...] = ()
    only: Pattern = ()  # the target's indices at which it does so, where not at all of them

    def lag(self, axis: Axis) -> int | None:
        """Steps back along an axis; 0 where it plays no part, None for a fixed or whole read."""
        for i in self.at:
            if i is None or i.axis == axis:
                return -i.offset if i is not None and i.kind == "now" else None
        return 0

    @property
    def near(self) -> bool:
        """Read at the very same step."""
        return all(i is not None and i.kind == "now" and not i.offset for i in self.at) and not self.only

    @property
    def moves(self) -> bool:
        """Read at another step of the same axes."""
        inside = all(i is not None and i.kind == "now" for i in self.at)
        return inside and any(i is not None and i.offset for i in self.at)


@dataclass(frozen=True)
class Model:
    """Variables by key, in topological order, and the arrows between them."""

    variables: Mapping[str, Variable]
    arrows: tuple[Reading, ...]
    boundaries: Mapping[str, Variable]
    title: str = ""
    gradients: tuple[str, ...] = ()  # parameters whose gradients the graph gives

    @cached_property
    def axes(self) -> tuple[Axis, ...]:
        return tuple(dict.fromkeys(a for v in self.variables.values() for a in v.axes))

    def over(self, *axes: Axis) -> list[Variable]:
        """The variables over exactly these axes."""
        return [v for v in self.variables.values() if set(v.axes) == set(axes)]

    def into(self, key: str) -> list[Reading]:
        return [a for a in self.arrows if a.target == key]

    def out_of(self, key: str) -> list[Reading]:
        return [a for a in self.arrows if a.source == key]


def without(found: Model, *axes: Axis) -> Model:
    """The same picture for one place of the axes: what stands on a plate, drawn once."""
    over = {k: v.axes for k, v in (*found.variables.items(), *found.boundaries.items())}
    variables = {k: replace(v, axes=_less(v.axes, axes)) for k, v in found.variables.items()}
    boundaries = {
        k: replace(v, axes=_less(v.axes, axes), index=tuple(i for i in v.index if i.axis not in axes))
        for k, v in found.boundaries.items()
    }
    names = {k: b.key for k, b in boundaries.items()}
    arrows = tuple(
        replace(
            a,
            source=names.get(a.source, a.source),
            target=names.get(a.target, a.target),
            at=tuple(i for i, axis in zip(a.at, over.get(a.source, ()), strict=False) if axis not in axes),
        )
        for a in found.arrows
    )
    return replace(
        found, variables=variables, boundaries={b.key: b for b in boundaries.values()}, arrows=arrows
    )


def plates(found: Model) -> tuple[Axis, ...]:
    """Axes along which nothing depends on anything, such as the examples of a batch; never all."""
    busy: set[Axis] = set()
    for a in found.arrows:
        source = found.variables.get(a.source) or found.boundaries.get(a.source)
        for axis, i in zip(source.axes if source else (), a.at, strict=False):
            if i is None or i.kind != "now" or i.offset:
                busy.add(axis)
    quiet = tuple(a for a in found.axes if a not in busy)
    return quiet if len(quiet) < len(found.axes) else quiet[1:]


def _less(axes: tuple[Axis, ...], gone: tuple[Axis, ...]) -> tuple[Axis, ...]:
    return tuple(a for a in axes if a not in gone)
