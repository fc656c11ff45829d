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

from unfold.axis import Axis
from unfold.dims import Dim, Shape, multiply, show
from unfold.errors import DefinitionError, ShapeMismatch
from unfold.node import Node, apply, as_node, call, enlist
from unfold.op import Along, register
from unfold.ops.index import Scatter, Take
from unfold.ops.reduce import one, split_over
from unfold.ops.shape import dim_of
from unfold.ops.time import step

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
        if len(a.shape) != len(i.shape) or others[0] != others[1] or i.dtype != "int":
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
def take_along_axis(a: Any, i: Any, over: Any = -1) -> Node:
    """a at the indices i (from 0) along a dimension, or an axis: out[.., j] = a[.., i[.., j]]."""
    a, i = as_node(a), as_node(i)
    axes, _ = split_over(a, over)
    if axes and i.shape != a.shape:
        i = call("broadcast_to", i, a.shape)
    dims = axes or (dim_of(a, over),)
    return apply(Take_along(dims), a, i)


@register
def argsort(a: Any, over: Any = -1) -> Node:
    """The indices (from 0) that sort a, ties in their order; data, without a gradient."""
    return one(Argsort, a, over)


@register
def sort(a: Any, over: Any = -1) -> Node:
    """a in ascending order along a dimension or an axis; at a tie in the order they had."""
    return take_along_axis(a, argsort(a, over), over)


@register
def top_k(a: Any, k: int, over: int = -1) -> tuple[Node, Node]:
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
def searchsorted(a: Any, v: Any, side: str = "left") -> Node:
    """How many entries of the sorted vector a lie below v (not above it, for side="right");
    data, without a gradient."""
    a, v = as_node(a), as_node(v)
    if len(a.shape) != 1 or side not in ("left", "right"):
        raise ShapeMismatch(f"searchsorted({a}, {v}, {side!r}): a is a vector, side 'left' or 'right'")
    v = call("reshape", v, (*v.shape, 1))
    below = call("less", a, v) if side == "left" else call("less_equal", a, v)
    return call("count_nonzero", below, -1)


@register
def take(a: Any, i: Any, axis: int = 0, over: Axis | None = None) -> Node:
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
    if i.dtype != "int":
        raise ShapeMismatch(
            f"take: a step is an integer, {i} is {i.dtype}; declare dtype=int", shapes=(i.shape,)
        )
    if over in i.axes:
        return apply(Take_along((over,), 1), a, call("broadcast_to", i, a.shape))
    here = call("reshape", call("equal", step(over), i), (*i.shape, *(1,) * len(a.shape)))
    out = call("sum", call("where", here, a, 0), over=over)
    if a.dtype not in ("float", "complex"):
        return out
    found = call("any", here, over=over)
    return call("where", found, out, nan)


@register
def scatter_add(a: Any, i: Any, b: Any) -> Node:
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


def choose_by_data(a: Node, keys: list[Any]) -> Node:
    """a[keys], where some keys are integer expressions, or arrays of integers or booleans."""
    keys = [np.asarray(k) if isinstance(k, list) else k for k in keys]
    data = [k for k, key in enumerate(keys) if isinstance(key, Node | np.ndarray)]
    if any(isinstance(keys[k], Node) and keys[k].dtype == "bool" for k in data):
        raise DefinitionError(
            f"{a}[condition]: how many entries there are would depend on data; "
            f"use uf.where(condition, a, 0), or a constant boolean array"
        )
    if len(data) == 1 and all(k is Ellipsis or isinstance(k, slice) for k in keys if k is not keys[data[0]]):
        return _one_by_data(a, keys, data[0])
    if data != list(range(len(data))) or any(as_node(keys[k]).dtype != "int" for k in data):
        raise DefinitionError(
            f"{a}[...]: indices by data go together only as the first ones (a[i, j, ...]), "
            f"or one of them among slices; index in two steps, or use uf.take(a, i, axis)"
        )
    sizes = a.shape[: len(data)]
    flat: Any = 0
    for k, n in zip(data, sizes, strict=True):
        i, size = as_node(keys[k]), call("extent", n)
        flat = flat * size + call("where", call("less", i, 0), i + size, i)
    a = call("reshape", a, (multiply(*sizes), *a.shape[len(data) :]))
    rest = keys[len(data) :]
    out = take(a, flat)
    return out[(*[slice(None)] * len(flat.shape), *rest)] if rest else out


def _one_by_data(a: Node, keys: list[Any], at: int) -> Node:
    key = keys[at]
    used = key.ndim if isinstance(key, np.ndarray) and key.dtype == bool else 1
    if Ellipsis in [k for k in keys if not isinstance(k, Node | np.ndarray)]:
        dots = next(k for k, x in enumerate(keys) if x is Ellipsis)
        fill = len(a.shape) - (len(keys) - 1 + used - 1)
        keys = [*keys[:dots], *[slice(None)] * fill, *keys[dots + 1 :]]
        at = at + fill - 1 if dots < at else at
    a = a[(*keys[:at], *[slice(None)] * used, *keys[at + 1 :])]
    if isinstance(key, np.ndarray) and key.dtype == bool:
        if a.shape[at : at + used] != key.shape:
            raise ShapeMismatch(
                f"{a}[mask]: the mask is {key.shape}, the value {show(a.shape)}", shapes=(a.shape,)
            )
        a = call("reshape", a, (*a.shape[:at], key.size, *a.shape[at + used :]))
        key = np.flatnonzero(key)
    n = a.shape[at]
    if isinstance(key, np.ndarray):
        if isinstance(n, int) and key.size and not (-n <= key.min() and key.max() < n):
            raise ShapeMismatch(f"{a} has shape {show(a.shape)}: no index {key.tolist()}", shapes=(a.shape,))
        if isinstance(n, int):
            key = key % n if n else key
    return take(a, key, at)
