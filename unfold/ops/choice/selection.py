"""Choosing entries by data along a dimension or an axis: gather, sort, look up.

Indices along a dimension count from 0, as in NumPy; steps along an axis count from 1, as in
the equations (`uf.take(h[t], n, over=t)` is h[n]).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from typing import Any

import numpy as np

from unfold.core.axis import Axis
from unfold.core.dims import Dim, Shape, show
from unfold.core.errors import ShapeMismatch
from unfold.core.kinds import INEXACT, Dtype
from unfold.core.leaves import Expression, as_node
from unfold.core.node import Node, call, register
from unfold.core.op import Along, apply, enlist
from unfold.ops.array.indexing import Scatter, Take
from unfold.ops.array.reduction import one, split_over
from unfold.ops.array.shape import dim_of
from unfold.ops.time.delays import step

Cts = Sequence[Node | None]


@enlist
@dataclass(frozen=True)
class Take_along(Along):
    """a at the indices i along a dimension or an axis, position by position"""

    base: int = 0  # of the indices

    symbol, linear, data = "a[i]", True, (1,)

    def infer(self, *inputs: Node) -> tuple[Shape, str]:
        a, i = inputs
        d = self.dims[0] if self.dims else None
        others = [[n for k, n in enumerate(u.shape) if k - len(u.shape) != d] for u in inputs]
        if len(a.shape) != len(i.shape) or others[0] != others[1] or i.dtype != Dtype.INT:
            raise self.mismatch(a, i, why="indices are integers (dtype=int) with the other dimensions of a")
        return i.shape, a.dtype

    def forward(self, xp: Any, a: Any, i: Any) -> Any:
        return xp.take_along_axis(a, i - self.base, axis=self.dims[0])

    def vjp(self, ct: Node, out: Node, a: Node, i: Node) -> Cts:
        size = a.shape[self.dims[0]] if self.dims else None
        return apply(Add_along(self.over, self.base, size), ct, i), None


@enlist
@dataclass(frozen=True)
class Add_along(Along):
    """zeros, with the entries of a added at the indices i: the transpose of `take_along`"""

    base: int = 0
    size: Dim | None = None  # of the dimension; None: that of i

    linear, data, sized = True, (1,), ("size",)

    def infer(self, *inputs: Node) -> tuple[Shape, str]:
        a, _ = inputs
        d = self.dims[0] + len(a.shape) if self.dims else None
        return tuple(
            self.size if k == d and self.size is not None else n for k, n in enumerate(a.shape)
        ), a.dtype

    def forward(self, xp: Any, a: Any, i: Any) -> Any:
        (d,) = self.dims
        a, i = xp.broadcast_arrays(xp.moveaxis(a, d, -1), xp.moveaxis(i, d, -1))
        n = i.shape[-1] if self.size is None else self.size
        out = xp.zeros((int(np.prod(a.shape[:-1])), n), dtype=a.dtype)
        rows = xp.arange(len(out))[:, None]
        flat = (len(out), a.shape[-1])
        np.add.at(out, (rows, i.reshape(flat) - self.base), a.reshape(flat))
        return xp.moveaxis(out.reshape((*a.shape[:-1], n)), -1, d)

    def vjp(self, ct: Node, out: Node, a: Node, i: Node) -> Cts:
        return apply(Take_along(self.over, self.base), ct, i), None


@enlist
@dataclass(frozen=True)
class Argsort(Along):
    """the indices that sort a, ties in their order; data, without a gradient"""

    differentiable, real = False, True

    def infer(self, *inputs: Node) -> tuple[Shape, str]:
        return super().infer(*inputs)[0], "int"

    def forward(self, xp: Any, a: Any) -> Any:
        return xp.argsort(xp.real(a), axis=self.dims[0], kind="stable")

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (None,)


@register
def take_along_axis(a: Expression, i: Expression, over: int | Axis = -1) -> Node:
    """a at the indices i (from 0) along a dimension, or an axis: out[.., j] = a[.., i[.., j]]."""
    a, i = as_node(a), as_node(i)
    axes, dims = split_over(a, over)
    if axes and i.shape != a.shape:
        i = call("broadcast_to", i, a.shape)
    return apply(Take_along(axes or dims), a, i)


@register
def argsort(a: Expression, over: int | Axis = -1) -> Node:
    """The indices (from 0) that sort a, ties in their order; data, without a gradient."""
    return one(Argsort, a, over)


@register
def sort(a: Expression, over: int | Axis = -1) -> Node:
    """a in ascending order along a dimension or an axis; at a tie in the order they had."""
    return take_along_axis(a, argsort(a, over), over)


@register
def top_k(a: Expression, k: int, over: int = -1) -> tuple[Node, Node]:
    """The k greatest entries along a dimension, greatest first, and their indices.

    >>> import unfold as uf
    >>> values, i = top_k(uf.constant([3.0, 1.0, 2.0]), 2)
    >>> uf.graph(values=values, i=i)()
    {'values': array([3., 2.]), 'i': array([0, 2])}
    """
    a = as_node(a)
    d = dim_of(a, over)
    i = call("narrow", argsort(-a, d), 0, k, d)
    return take_along_axis(a, i, d), i


@register
def searchsorted(a: Expression, v: Expression, side: str = "left") -> Node:
    """How many entries of the sorted vector a lie below v (not above it, for side="right");
    data, without a gradient."""
    a, v = as_node(a), as_node(v)
    if len(a.shape) != 1 or side not in ("left", "right"):
        raise ShapeMismatch(f"searchsorted({a}, {v}, {side!r}): a is a vector, side 'left' or 'right'")
    v = call("reshape", v, (*v.shape, 1))
    below = call("less", a, v) if side == "left" else call("less_equal", a, v)
    return call("count_nonzero", below, -1)


@register
def take(a: Expression, i: Expression, axis: int = 0, over: Axis | None = None) -> Node:
    """The entries of a at integer indices i (from 0) along a dimension, the first by default.

    With `over=t`: a at step i (from 1), for i one number or several; NaN outside of 1..T. Where
    i varies over t as well, step by step: out[t] = a[i[t]].

    >>> import unfold as uf
    >>> t = uf.axis("t")
    >>> graph = uf.graph(y=uf.take(uf.input("x", over=t)[t], 2, over=t))
    >>> float(graph(x=[10.0, 20.0, 30.0]).y)
    20.0
    """
    a, i = as_node(a), as_node(i)
    if over is None:
        if not a.shape:
            raise ShapeMismatch(
                f"take: {a} is one number; there is nothing to choose from", shapes=(a.shape,)
            )
        d = dim_of(a, axis) + len(a.shape)
        front = call("moveaxis", a, d, 0)
        out = apply(Take((len(a.shape), len(i.shape))), front, i)
        rank = len(i.shape)
        return out if not d else call("moveaxis", out, list(range(rank)), list(range(d, d + rank)))
    split_over(a, over)
    if i.dtype != Dtype.INT:
        raise ShapeMismatch(
            f"take: a step is an integer, {i} is {i.dtype}; declare dtype=int", shapes=(i.shape,)
        )
    if over in i.axes:
        return apply(Take_along((over,), 1), a, call("broadcast_to", i, a.shape))
    here = call("reshape", call("equal", step(over), i), (*i.shape, *(1,) * len(a.shape)))
    out = call("sum", call("where", here, a, 0), over=over)
    if a.dtype not in INEXACT:
        return out
    found = call("any", here, over=over)
    return call("where", found, out, nan)


@register
def scatter_add(a: Expression, i: Expression, b: Expression) -> Node:
    """a with the rows of b added at the integer indices i of its first dimension."""
    a, i, b = as_node(a), as_node(i), as_node(b)
    if not a.shape or (*i.shape, *a.shape[1:]) != b.shape:
        raise ShapeMismatch(
            f"scatter_add: at indices {show(i.shape)} of {show(a.shape)} go rows of shape "
            f"{show((*i.shape, *a.shape[1:]))}, not {show(b.shape)}",
            operation="scatter_add",
            shapes=(a.shape, i.shape, b.shape),
        )
    return call("add", a, apply(Scatter(a.shape[0], (len(b.shape), len(i.shape))), b, i))
