"""Operations that rearrange the dimensions of a value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unfold.core import dims
from unfold.core.dims import Dim, Shape, shape_of
from unfold.core.errors import ShapeMismatch
from unfold.core.leaves import Expression, as_node
from unfold.core.node import Node, Op, call, register
from unfold.core.op import apply, enlist, promote

Cts = Sequence[Node | None]


@enlist
@dataclass(frozen=True)
class Broadcast_to(Op):
    """a repeated to a shape, by NumPy's broadcasting"""

    shape: Shape = ()
    rank: int = 0  # of the value that is repeated

    symbol, linear, sized = "⇉", True, ("shape",)

    def infer(self, *inputs: Node) -> tuple[Shape, str]:
        (a,) = inputs
        fits = len(a.shape) <= len(self.shape) and all(
            n in (1, m) for n, m in zip(a.shape[::-1], self.shape[::-1], strict=False)
        )
        if not fits:
            raise self.mismatch(a, why=f"it cannot be repeated to {dims.show(self.shape)}")
        return self.shape, a.dtype

    def forward(self, xp: Any, a: Any) -> Any:
        at = a.ndim - self.rank
        a = a.reshape(a.shape[:at] + (1,) * (len(self.shape) - self.rank) + a.shape[at:])
        return xp.broadcast_to(a, (*a.shape[:at], *self.shape))

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (ct,)  # the engine sums what was repeated


@enlist
@dataclass(frozen=True)
class Reshape(Op):
    """the entries of a, in row-major order, in another shape"""

    shape: Shape = ()
    rank: int = 0  # of the value that is reshaped

    linear, sized = True, ("shape",)

    def infer(self, *inputs: Node) -> tuple[Shape, str]:
        (a,) = inputs
        if dims.multiply(*a.shape) != dims.multiply(*self.shape):
            raise self.mismatch(
                a, why=f"{dims.multiply(*a.shape)} entries do not fill {dims.show(self.shape)}"
            )
        return self.shape, a.dtype

    def forward(self, xp: Any, a: Any) -> Any:
        return a.reshape((*a.shape[: a.ndim - self.rank], *self.shape))

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (apply(Reshape(a.shape, len(self.shape)), ct),)


@enlist
@dataclass(frozen=True)
class Transpose(Op):
    """the dimensions of a in another order"""

    order: tuple[int, ...] = ()

    symbol, linear, tex = "ᵀ", True, "{0}^\\top"

    def infer(self, *inputs: Node) -> tuple[Shape, str]:
        (a,) = inputs
        if sorted(self.order) != list(range(len(a.shape))):
            raise self.mismatch(a, why=f"{self.order} is no order of its dimensions")
        return tuple(a.shape[i] for i in self.order), a.dtype

    def forward(self, xp: Any, a: Any) -> Any:
        lead = a.ndim - len(self.order)
        return xp.transpose(a, (*range(lead), *(lead + i for i in self.order)))

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        back = tuple(self.order.index(i) for i in range(len(self.order)))
        return (apply(Transpose(back), ct),)


@enlist
@dataclass(frozen=True)
class Concat(Op):
    """values joined along a dimension"""

    dim: int = -1

    symbol, linear = "[ ; ]", True

    def infer(self, *inputs: Node) -> tuple[Shape, str]:
        first = inputs[0].shape
        rest = [u.shape[: self.dim] + u.shape[len(u.shape) + self.dim + 1 :] for u in inputs]
        if any(len(u.shape) != len(first) for u in inputs) or any(r != rest[0] for r in rest):
            raise self.mismatch(*inputs)
        at = len(first) + self.dim
        total = dims.add(*(u.shape[at] for u in inputs))
        return (*first[:at], total, *first[at + 1 :]), promote(None, *inputs)

    def forward(self, xp: Any, *arrays: Any) -> Any:
        sizes = [a.shape[self.dim] for a in arrays]
        others = [(*a.shape[: self.dim], 1, *a.shape[a.ndim + self.dim + 1 :]) for a in arrays]
        whole = list(np.broadcast_shapes(*others))
        for k, n in enumerate(sizes):
            whole[self.dim] = n
            others[k] = tuple(whole)
        return xp.concatenate(list(map(xp.broadcast_to, arrays, others)), axis=self.dim)

    def vjp(self, ct: Node, out: Node, *inputs: Node) -> Cts:
        start: Dim = 0
        parts = []
        for u in inputs:
            stop = dims.add(start, u.shape[self.dim])
            parts.append(call("narrow", ct, start, stop, self.dim))
            start = stop
        return parts


@enlist
@dataclass(frozen=True)
class Stack(Op):
    """values of one shape side by side, along a new dimension"""

    dim: int = -1

    linear = True

    def infer(self, *inputs: Node) -> tuple[Shape, str]:
        shape = inputs[0].shape
        if any(u.shape != shape for u in inputs):
            raise self.mismatch(*inputs)
        at = len(shape) + 1 + self.dim
        return (*shape[:at], len(inputs), *shape[at:]), promote(None, *inputs)

    def forward(self, xp: Any, *arrays: Any) -> Any:
        return xp.stack(xp.broadcast_arrays(*arrays), axis=self.dim)

    def vjp(self, ct: Node, out: Node, *inputs: Node) -> Cts:
        at = len(out.shape) + self.dim
        return [ct[(*[slice(None)] * at, i)] for i in range(len(inputs))]


@register
def broadcast_to(a: Expression, shape: Dim | Sequence[Dim]) -> Node:
    """a repeated to a shape (dimensions may be names)."""
    a, shape = as_node(a), shape_of((shape,) if isinstance(shape, str | int) else shape)
    return a if a.shape == shape else apply(Broadcast_to(shape, len(a.shape)), a)


@register
def reshape(a: Expression, *shape: Dim | Sequence[Dim]) -> Node:
    """a in another shape; one dimension may be -1."""
    a = as_node(a)
    one = len(shape) == 1 and isinstance(shape[0], tuple | list)
    want: list[Any] = [*shape[0]] if one else [*shape]  # type: ignore[misc]
    if want.count(-1) == 1:
        known = dims.multiply(*(d for d in want if d != -1))
        total = dims.multiply(*a.shape)
        if isinstance(known, int) and known:
            want[want.index(-1)] = dims.divide(total, known)
        elif known == total:
            want[want.index(-1)] = 1
        else:
            raise ShapeMismatch(
                f"reshape of {a}: {dims.show(a.shape)} leaves no whole number for -1 in {tuple(want)}",
                operation="reshape",
                shapes=(a.shape,),
            )
    new = shape_of(want)
    return a if new == a.shape else apply(Reshape(new, len(a.shape)), a)


@register
def transpose(a: Expression, order: Sequence[int] | None = None) -> Node:
    """The dimensions of a in another order; reversed when none is given."""
    a = as_node(a)
    rank = len(a.shape)
    new = tuple(range(rank))[::-1] if order is None else tuple(i % rank for i in order)
    return a if new == tuple(range(rank)) else apply(Transpose(new), a)


def dim_of(a: Node, dim: int, extra: int = 0) -> int:
    """A dimension counted from the end; raises when the value has no such dimension."""
    rank = len(a.shape) + extra
    if isinstance(dim, bool) or not isinstance(dim, int) or not -rank <= dim < rank:
        raise ShapeMismatch(f"{a} has shape {dims.show(a.shape)}: no dimension {dim}", shapes=(a.shape,))
    return dim - rank if dim >= 0 else dim


@register
def concat(*values: Expression | Sequence[Expression], axis: int = -1) -> Node:
    """Values joined along a dimension: `concat(f, g)`; the last dimension by default.

    Also takes one list, as NumPy's does (whose default `axis` is 0: here it is -1).
    """
    parts = values[0] if len(values) == 1 and isinstance(values[0], tuple | list) else values
    nodes = [as_node(v) for v in parts]
    return apply(Concat(dim_of(nodes[0], axis)), *nodes) if len(nodes) > 1 else nodes[0]


@register
def stack(*values: Expression | Sequence[Expression], axis: int = 0) -> Node:
    """Values of one shape side by side, along a new dimension (the first by default)."""
    parts = values[0] if len(values) == 1 and isinstance(values[0], tuple | list) else values
    nodes = [as_node(v) for v in parts]
    return apply(Stack(dim_of(nodes[0], axis, extra=1)), *nodes)
