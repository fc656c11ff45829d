"""Choosing entries: by fixed indices and slices, and by integer data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unfold.core import dims
from unfold.core.axis import Axis, Index
from unfold.core.dims import Dim, Shape
from unfold.core.errors import DefinitionError, ShapeMismatch
from unfold.core.kinds import Dtype
from unfold.core.leaves import Expression, Leaf, as_node
from unfold.core.node import Node, Op, call, register
from unfold.core.op import apply, enlist
from unfold.ops.array.by_data import choose_by_data
from unfold.ops.array.shape import dim_of

Cts = Sequence[Node | None]


@enlist
@dataclass(frozen=True)
class Narrow(Op):
    """the entries start, start + step, ... before stop, along a dimension"""

    start: Dim = 0
    stop: Dim = 1
    step: int = 1
    dim: int = -1

    symbol, linear, sized = "[:]", True, ("start", "stop")

    def infer(self, *inputs: Node) -> tuple[Shape, str]:
        (a,) = inputs
        at = len(a.shape) + self.dim
        n = dims.subtract(self.stop, self.start)
        if self.step != 1:
            if not isinstance(self.start, int) or not isinstance(self.stop, int):
                raise self.mismatch(a, why="a slice with a step needs integer dimensions")
            n = len(range(self.start, self.stop, self.step))
        return (*a.shape[:at], n, *a.shape[at + 1 :]), a.dtype

    def forward(self, xp: Any, a: Any) -> Any:
        return a[(..., _slice(self.start, self.stop, self.step), *[slice(None)] * (-1 - self.dim))]

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (apply(Widen(self.start, self.stop, self.step, self.dim, a.shape[self.dim]), ct),)


@enlist
@dataclass(frozen=True)
class Widen(Op):
    """zeros, with a at the places a slice names: the transpose of `narrow`"""

    start: Dim = 0
    stop: Dim = 1
    step: int = 1
    dim: int = -1
    size: Dim = 1

    linear, sized = True, ("start", "stop", "size")

    def infer(self, *inputs: Node) -> tuple[Shape, str]:
        (a,) = inputs
        at = len(a.shape) + self.dim
        return (*a.shape[:at], self.size, *a.shape[at + 1 :]), a.dtype

    def forward(self, xp: Any, a: Any) -> Any:
        at = a.ndim + self.dim
        out = xp.zeros((*a.shape[:at], self.size, *a.shape[at + 1 :]), dtype=a.dtype)
        out[(..., _slice(self.start, self.stop, self.step), *[slice(None)] * (-1 - self.dim))] = a
        return out

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (apply(Narrow(self.start, self.stop, self.step, self.dim), ct),)


def _slice(start: Dim, stop: Dim, step: int) -> slice:
    assert isinstance(start, int)
    assert isinstance(stop, int)
    return slice(start, stop if stop >= 0 else None, step)


@enlist
@dataclass(frozen=True)
class Take(Op):
    """the entries of a at integer indices i (from 0), along its first dimension: a[i]"""

    ranks: tuple[int, int] = (1, 0)  # of a and of i

    symbol, linear, data = "a[i]", True, (1,)

    def infer(self, *inputs: Node) -> tuple[Shape, str]:
        a, i = inputs
        if i.dtype != Dtype.INT or not a.shape:
            raise self.mismatch(a, i, why=f"indices are integers, here {i.dtype}; declare dtype=int")
        return (*i.shape, *a.shape[1:]), a.dtype

    def forward(self, xp: Any, a: Any, i: Any) -> Any:
        lead = a.shape[: a.ndim - self.ranks[0]]
        if all(n == 1 for n in lead):
            return xp.take(a.reshape(a.shape[len(lead) :]), i, axis=0)
        at = _grid(lead, self.ranks[1])
        return a[(*at, i)]

    def vjp(self, ct: Node, out: Node, a: Node, i: Node) -> Cts:
        return apply(Scatter(a.shape[0], (len(ct.shape), len(i.shape))), ct, i), None


@enlist
@dataclass(frozen=True)
class Scatter(Op):
    """zeros of `size` rows, with the rows of a added at integer indices: the transpose of `take`"""

    size: Dim = 1
    ranks: tuple[int, int] = (0, 0)  # of a and of i

    linear, data, sized = True, (1,), ("size",)

    def infer(self, *inputs: Node) -> tuple[Shape, str]:
        a, i = inputs
        return (self.size, *a.shape[len(i.shape) :]), a.dtype

    def forward(self, xp: Any, a: Any, i: Any) -> Any:
        rank = self.ranks[1]
        lead = np.broadcast_shapes(a.shape[: a.ndim - self.ranks[0]], i.shape[: i.ndim - rank])
        rest, shape = a.shape[a.ndim - self.ranks[0] + rank :], i.shape[i.ndim - rank :]
        out = xp.zeros((*lead, self.size, *rest), dtype=a.dtype)
        a, i = xp.broadcast_to(a, (*lead, *shape, *rest)), xp.broadcast_to(i, (*lead, *shape))
        np.add.at(out, (*_grid(lead, rank), i), a)
        return out

    def vjp(self, ct: Node, out: Node, a: Node, i: Node) -> Cts:
        return apply(Take((len(ct.shape), len(i.shape))), ct, i), None


def _grid(lead: tuple[int, ...], rank: int) -> list[Any]:
    """Index arrays over the leading axes, to stand beside an index of the given rank."""
    return [g.reshape(g.shape + (1,) * rank) for g in np.ogrid[tuple(slice(n) for n in lead)]]


@enlist
@dataclass(frozen=True)
class One_hot(Op):
    """a vector of `size` zeros with a one at index i; data, without a gradient"""

    size: Dim = 1

    symbol, tex, differentiable, sized = "1[i]", r"\mathbf{{1}}_{{{0}}}", False, ("size",)

    def infer(self, *inputs: Node) -> tuple[Shape, str]:
        (i,) = inputs
        if i.dtype != Dtype.INT:
            raise self.mismatch(i, why=f"an index is an integer, here {i.dtype}; declare dtype=int")
        return (*i.shape, self.size), "float"

    def forward(self, xp: Any, i: Any) -> Any:
        return xp.equal(i[..., None], np.arange(self.size))

    def vjp(self, ct: Node, out: Node, i: Node) -> Cts:
        return (None,)


@enlist
@dataclass(frozen=True)
class Extent(Leaf):
    """the size of a dimension, as a number"""

    dim: Dim = 1

    sized = ("dim",)

    def forward(self, xp: Any, *arrays: Any) -> Any:
        return self.dim


@register
def extent(dim: Dim) -> Node:
    """The size of a dimension as an expression: `uf.extent("hidden")`."""
    dim = dims.canonical(dim)
    return as_node(dim) if isinstance(dim, int) else Node(Extent(dim), dtype="int")


@register
def narrow(a: Expression, start: Dim, stop: Dim, dim: int = -1) -> Node:
    """The entries from start up to stop along a dimension; bounds may be names."""
    a = as_node(a)
    start, stop, dim = dims.canonical(start), dims.canonical(stop), dim_of(a, dim)
    return a if (start, stop) == (0, a.shape[dim]) else apply(Narrow(start, stop, 1, dim), a)


@register
def getitem(a: Expression, key: Any) -> Node:
    """a[key]: integers, slices, ..., None; integer expressions; arrays of integers or booleans."""
    a = as_node(a)
    keys = list(key) if isinstance(key, tuple) else [key]
    if any(isinstance(k, Node | np.ndarray | list) for k in keys):
        return choose_by_data(a, keys)
    used = len([k for k in keys if k is not None and k is not Ellipsis])
    if used > len(a.shape):
        raise ShapeMismatch(
            f"{a} has shape {dims.show(a.shape)}: too many indices {key!r}", shapes=(a.shape,)
        )
    if not any(k is Ellipsis for k in keys):
        keys.append(Ellipsis)
    at = next(i for i, k in enumerate(keys) if k is Ellipsis)
    keys[at : at + 1] = [slice(None)] * (len(a.shape) - used)
    shape: list[Dim] = []
    rank, place, out = len(a.shape), 0, a
    for k in keys:
        if k is None:
            shape.append(1)
            continue
        n = a.shape[place]
        if isinstance(k, slice):
            start, stop, step = _bounds(a, k, n)
            narrowed = (start, stop, step) != (0, n, 1)
            out = apply(Narrow(start, stop, step, place - rank), out) if narrowed else out
            shape.append(out.shape[place])
        else:
            i = _integer(a, k, n)
            out = apply(Narrow(i, dims.add(i, 1), 1, place - rank), out)
        place += 1
    return call("reshape", out, tuple(shape))


def _integer(a: Node, k: Any, n: Dim) -> Dim:
    if isinstance(k, Axis | Index):
        over = ", ".join(x.name for x in a.axes) or "no axis"
        raise DefinitionError(
            f"{a}[{k!r}]: {a} is a value over {over}; declare it over an axis to read its steps"
        )
    if isinstance(k, bool) or not hasattr(k, "__index__"):
        raise DefinitionError(f"{a}[{k!r}]: an index is an integer, a slice, ..., None or integer data")
    i = int(k)
    if isinstance(n, int) and not -n <= i < n:
        raise ShapeMismatch(f"{a} has shape {dims.show(a.shape)}: no index {i}", shapes=(a.shape,))
    return i if i >= 0 else dims.add(n, i)


def _bounds(a: Node, k: slice, n: Dim) -> tuple[Dim, Dim, int]:
    if isinstance(n, int):
        start, stop, step = k.indices(n)
        return (start, stop, step) if range(start, stop, step) else (0, 0, 1)
    if k.step not in (None, 1):
        raise ShapeMismatch(f"{a}[{k}]: a step needs an integer dimension, {n} is a name", shapes=(a.shape,))

    def bound(b: Any, default: Dim) -> Dim:
        if b is None:
            return default
        b = dims.canonical(b) if isinstance(b, str) else int(b)
        return dims.add(n, b) if isinstance(b, int) and b < 0 else b

    return bound(k.start, 0), bound(k.stop, n), 1


@register
def embedding(table: Expression, i: Expression) -> Node:
    """Row i of a table: the vector of a word."""
    return call("take", table, i)


@register
def one_hot(i: Expression, size: Dim) -> Node:
    """A vector of zeros with a one at index i (from 0)."""
    i, size = as_node(i), dims.canonical(size)
    value = getattr(i.op, "value", None)
    if isinstance(size, int) and isinstance(value, np.ndarray) and i.dtype == "int":
        bad = value[(value < 0) | (value >= size)]
        if bad.size:
            raise ShapeMismatch(
                f"one_hot: {bad.flat[0]} is none of {size}: 0 to {size - 1}", shapes=(i.shape,)
            )
    return apply(One_hot(size), i)
