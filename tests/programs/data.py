"""Programs as plain data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import product
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
    read: bool = True  # whether anything reads its steps 1..T


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
        return [q for q in self.used() if q.role != "var" and q.read]

    def used(self) -> list[Quantity]:
        """The quantities that the outputs need, through every equation and boundary that they may meet."""
        if "used" not in self.known:
            self.known["used"] = reached(self.outputs.values(), self.quantities)
        used: list[Quantity] = self.known["used"]
        return used

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
    """The quantities below some expressions, each with the equations that some read may meet: an
    input whose steps nothing reads has no bound but only its boundary, and is not asked for."""
    waiting, seen = list(roots), set[tuple[str, tuple[Place, ...]]]()
    while waiting:
        for e in walk([waiting.pop()]):
            if e.op != "read":
                continue
            q = quantities[e.static[0]]
            bounds = dict(q.bounds)
            for places in product(*(_met(q, k, p) for k, p in enumerate(e.static[1]))):
                if (q.name, places) not in seen:
                    seen.add((q.name, places))
                    body = bounds.get(places, q.body)
                    waiting += [body] if body is not None else []
    return [_only(q, seen) for q in quantities.values() if any(name == q.name for name, _ in seen)]


def _only(q: Quantity, seen: set[tuple[str, tuple[Place, ...]]]) -> Quantity:
    bounds = tuple((places, e) for places, e in q.bounds if (q.name, places) in seen)
    now = (q.name, tuple(NOW for _ in q.axes)) in seen
    return replace(q, bounds=bounds, body=q.body if now else None, read=now)


def _met(q: Quantity, k: int, p: Place) -> list[Place]:
    """What a read at a place may meet along an axis, whatever its length: steps and boundaries."""
    before = [Place("at", -m) for m in range(q.reach[k][0])]
    after = [Place("last", 1 + m) for m in range(q.reach[k][1])]
    if (p.kind == "at" and p.n < 1) or (p.kind == "last" and p.n > 0):
        return [p]
    if p.kind in ("at", "last"):
        return [NOW, *(after if p.kind == "at" else before)]
    lag = p.n if p.kind == "lag" else 1 - p.n
    return [NOW, *(before[:lag] if lag > 0 else after[:-lag])]


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
    with np.errstate(invalid="ignore"):
        out = FUNCTIONS[op](*blanks, *static)
    kind = "bool" if out.dtype == bool else "float"
    return Expr(op, args, static, tuple(np.shape(out)), axes, kind)
