"""Programs as plain data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from programs.meaning import ALONG, FUNCTIONS, REDUCING


@dataclass(frozen=True)
class Place:
    """An index along one axis: t - n ("lag"), n itself ("at"), T + n ("last"), T + n - t ("back"),
    or, on the left of an equation, every step ("now")."""

    kind: str = "lag"
    n: int = 0

    @property
    def moves(self) -> bool:
        """Whether it changes from step to step."""
        return self.kind in ("lag", "back", "now")

    def step(self, t: int, size: int) -> int:
        """The step it stands for."""
        return {"lag": t - self.n, "now": t, "at": self.n, "last": size + self.n, "back": size + self.n - t}[
            self.kind
        ]


NOW = Place("now")


@dataclass(frozen=True, eq=False)
class Expr:
    """An operation on expressions. One object used twice is one value in the written program.

    Some operations have a meaning of their own: `num`, `const`, `step`, `size` (an axis), `read`
    (the quantity, the places) and those along an axis (its name) or a dimension (a number).
    """

    op: str
    args: tuple[Expr, ...] = ()
    static: tuple[Any, ...] = ()
    shape: tuple[int, ...] = ()
    axes: tuple[str, ...] = ()
    kind: str = "float"


@dataclass(frozen=True, eq=False)
class Quantity:
    """An input, a parameter or a variable, and what it is outside 1..T: {places: expression}."""

    name: str
    role: str  # input, param, var
    shape: tuple[int, ...] = ()
    axes: tuple[str, ...] = ()
    kind: str = "float"
    below: int = 0  # an integer input holds numbers below it
    body: Expr | None = None
    bounds: tuple[tuple[tuple[Place, ...], Expr], ...] = ()
    reach: tuple[tuple[int, int], ...] = ()  # for each axis: how many steps are given before and after


@dataclass(frozen=True, eq=False)
class Program:
    """Quantities in the order of their definition, by name, and outputs; `loss` is one number."""

    sizes: dict[str, int]
    quantities: dict[str, Quantity]
    outputs: dict[str, Expr]
    seed: int = 0
    known: dict[str, Any] = field(default_factory=dict)  # found out about it: not part of it

    @property
    def leaves(self) -> list[Quantity]:
        """The inputs and parameters that it reads, in order."""
        found = {q.name for q in self.used() if q.role != "var"}
        return [q for q in self.quantities.values() if q.name in found]

    def used(self) -> list[Quantity]:
        """The quantities that the outputs need, through every equation and boundary."""
        return reached(self.outputs.values(), self.quantities)

    def arrays(self, seed: int = 0, sizes: dict[str, int] | None = None, batch: int = 0) -> dict[str, Any]:
        """Arrays for the leaves; over a batch, inputs have the examples in front."""
        rng, sizes = np.random.default_rng([self.seed, seed]), sizes or self.sizes
        out = {}
        for q in self.leaves:
            lead = [batch] if batch and q.role == "input" else []
            shape = [*lead, *(sizes[a] for a in q.axes), *q.shape]
            out[q.name] = rng.integers(0, q.below, shape) if q.kind == "int" else 0.6 * rng.normal(size=shape)
        return out


def walk(roots: Iterable[Expr]) -> Iterator[Expr]:
    """Every expression below some, each object once, arguments first."""
    seen: set[int] = set()

    def below(e: Expr) -> Iterator[Expr]:
        if id(e) not in seen:
            seen.add(id(e))
            for a in e.args:
                yield from below(a)
            yield e

    for root in roots:
        yield from below(root)


def written_of(q: Quantity) -> list[Expr]:
    """The expressions that define a quantity."""
    return [*([q.body] if q.body else []), *(e for _, e in q.bounds)]


def reached(roots: Iterable[Expr], quantities: dict[str, Quantity]) -> list[Quantity]:
    """The quantities below some expressions."""
    waiting, found = list(roots), dict[str, Quantity]()
    while waiting:
        for e in walk([waiting.pop()]):
            if e.op == "read" and e.static[0] not in found:
                q = found[e.static[0]] = quantities[e.static[0]]
                waiting += needed(q, quantities)
    return list(found.values())


def needed(q: Quantity, quantities: dict[str, Quantity]) -> list[Expr]:
    """What defines a quantity, as far as anything reads it: all of it, where it is read at all."""
    return written_of(q)


# ---------------------------------------------------------------------- made with their shapes
def num(value: float) -> Expr:
    """A number."""
    return Expr("num", static=(value,))


def const(value: Any) -> Expr:
    """A fixed array."""
    array = np.asarray(value)
    return Expr("const", static=(array.tolist(), array.shape), shape=array.shape)


def step(axis: str) -> Expr:
    """The step itself."""
    return Expr("step", static=(axis,), axes=(axis,), kind="int")


def read(q: Quantity, places: Iterable[Place] = ()) -> Expr:
    """A quantity at some places."""
    places = tuple(places)
    axes = tuple(a for a, p in zip(q.axes, places, strict=True) if p.moves)
    return Expr("read", static=(q.name, places), shape=q.shape, axes=axes, kind=q.kind)


def make(op: str, *args: Expr, static: tuple[Any, ...] = ()) -> Expr:
    """An operation on expressions; NumPy says which shape it has."""
    axes = tuple(dict.fromkeys(a for e in args for a in e.axes))
    if op in ALONG:
        (over,) = static
        if isinstance(over, str):
            axes = tuple(a for a in axes if a != over or op not in REDUCING)
            return Expr(op, args, static, args[0].shape, axes)
        shape = list(args[0].shape)
        if op in REDUCING:
            del shape[over]
        return Expr(op, args, static, tuple(shape), axes)
    blanks = [np.zeros(e.shape, int if e.kind == "int" else float) for e in args]
    out = FUNCTIONS[op](*blanks, *static)
    kind = "bool" if out.dtype == bool else "float"
    return Expr(op, args, static, tuple(np.shape(out)), axes, kind)
