"""More ways to rearrange the dimensions of a value, in terms of the few in `shape`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from unfold.core import dims
from unfold.core.dims import Dim, Shape
from unfold.core.errors import ShapeMismatch
from unfold.core.leaves import Expression, as_node
from unfold.core.node import Node, Op, call, register
from unfold.core.op import apply, enlist
from unfold.ops.array.shape import concat, dim_of, reshape, stack, transpose

Cts = Sequence[Node | None]


@enlist
@dataclass(frozen=True)
class Flip(Op):
    """a in reversed order along dimensions"""

    over: tuple[int, ...] = (-1,)

    linear = True

    def infer(self, *inputs: Node) -> tuple[Shape, str]:
        return inputs[0].shape, inputs[0].dtype

    def forward(self, xp: Any, a: Any) -> Any:
        return xp.flip(a, axis=self.over)

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (apply(self, ct),)


def _dims(a: Node, axis: Any) -> list[int]:
    """Dimensions counted from the start."""
    return [dim_of(a, d) + len(a.shape) for d in (axis if isinstance(axis, tuple | list) else (axis,))]


@register
def ravel(a: Expression) -> Node:
    """The entries of a in one dimension, in row-major order."""
    return reshape(a, (dims.multiply(*as_node(a).shape),))


@register
def moveaxis(a: Expression, source: int | Sequence[int], destination: int | Sequence[int]) -> Node:
    """Dimensions of a moved to other places, the others in their order."""
    a = as_node(a)
    start, end = _dims(a, source), _dims(a, destination)
    if len(set(start)) != len(start) or len(set(end)) != len(end) or len(start) != len(end):
        raise ShapeMismatch(
            f"moveaxis of {a}: {source} to {destination}: give each dimension one place", shapes=(a.shape,)
        )
    order = [d for d in range(len(a.shape)) if d not in start]
    for place, d in sorted(zip(end, start, strict=True)):
        order.insert(place, d)
    return transpose(a, order)


@register
def swapaxes(a: Expression, first: int, second: int) -> Node:
    """Two dimensions of a, exchanged."""
    a = as_node(a)
    (i,), (j,) = _dims(a, first), _dims(a, second)
    order = list(range(len(a.shape)))
    order[i], order[j] = j, i
    return transpose(a, order)


@register
def expand_dims(a: Expression, axis: int | tuple[int, ...]) -> Node:
    """a with dimensions of size 1 at the given places of the result."""
    a = as_node(a)
    places = axis if isinstance(axis, tuple) else (axis,)
    rank = len(a.shape) + len(places)
    at = {dim_of(a, d, extra=len(places)) + rank for d in places}
    rest = iter(a.shape)
    return reshape(a, tuple(1 if d in at else next(rest) for d in range(rank)))


@register
def squeeze(a: Expression, axis: int | Sequence[int] | None = None) -> Node:
    """a without its dimensions of size 1, or without the given ones of them."""
    a = as_node(a)
    gone = [d for d, n in enumerate(a.shape) if n == 1] if axis is None else _dims(a, axis)
    if any(a.shape[d] != 1 for d in gone):
        raise ShapeMismatch(f"squeeze of {a}: {dims.show(a.shape)} is not 1 at {axis}", shapes=(a.shape,))
    return reshape(a, tuple(n for d, n in enumerate(a.shape) if d not in gone))


@register
def split(a: Expression, parts: int | Sequence[Dim], axis: int = 0) -> list[Node]:
    """a cut into equal parts, or at the given places, along a dimension (the first by default).

    >>> import unfold as uf
    >>> [part.shape for part in split(uf.input("z", "2*hidden"), 2)]
    [('hidden',), ('hidden',)]
    """
    a = as_node(a)
    d = dim_of(a, axis)
    n = a.shape[d]
    if isinstance(parts, int):
        each = dims.divide(n, parts)
        cuts = [dims.multiply(each, k) for k in range(parts)]
    else:
        cuts = [0, *map(dims.canonical, parts)]
    return [call("narrow", a, i, j, d) for i, j in zip(cuts, [*cuts[1:], n], strict=True)]


@register
def unstack(a: Expression, axis: int = 0) -> list[Node]:
    """The values side by side along a dimension of fixed size, as a list."""
    a = as_node(a)
    (d,) = _dims(a, axis)
    n = a.shape[d]
    if not isinstance(n, int):
        raise ShapeMismatch(f"unstack of {a}: dimension {n} has no fixed size", shapes=(a.shape,))
    return [a[(*[slice(None)] * d, i)] for i in range(n)]


@register
def flip(a: Expression, axis: int | Sequence[int] | None = None) -> Node:
    """a in reversed order along dimensions (all of them by default)."""
    a = as_node(a)
    over = tuple(range(-len(a.shape), 0)) if axis is None else tuple(d - len(a.shape) for d in _dims(a, axis))
    return apply(Flip(over), a)


@register
def roll(a: Expression, shift: int, axis: int | None = None) -> Node:
    """a shifted along a dimension, what leaves at the end entering at the start."""
    a = as_node(a)
    if axis is None:
        return reshape(roll(ravel(a), shift, 0), a.shape)
    d = dim_of(a, axis)
    n = a.shape[d]
    shift = shift % n if isinstance(n, int) and n else shift
    if not shift or n == 0:
        return as_node(a)
    cut = dims.subtract(n, shift) if shift > 0 else -shift
    return concat(call("narrow", a, cut, n, d), call("narrow", a, 0, cut, d), axis=d)


@register
def pad(a: Expression, width: Any, value: Expression = 0.0) -> Node:
    """a between constants: `width` is a number, a pair (before, after), or a pair a dimension."""
    a = as_node(a)
    pairs = [width] * len(a.shape) if isinstance(width, int) or isinstance(width[0], int) else list(width)
    pairs = [(w, w) if isinstance(w, int) else tuple(w) for w in pairs]
    if len(pairs) != len(a.shape) or any(len(p) != 2 or min(p) < 0 for p in pairs):
        raise ShapeMismatch(f"pad of {a}: {width} is no pair for each dimension of {dims.show(a.shape)}")
    for d, (before, after) in enumerate(pairs):
        ends = []
        for n in (before, after):
            shape = (*a.shape[:d], n, *a.shape[d + 1 :])
            ends.append([call("broadcast_to", value, shape)] if n else [])
        parts = [*ends[0], a, *ends[1]]
        a = concat(*parts, axis=d) if len(parts) > 1 else a
    return as_node(a)


@register
def repeat(a: Expression, repeats: int, axis: int | None = None) -> Node:
    """Each entry several times in a row along a dimension; of all entries by default."""
    a = as_node(a)
    if axis is None:
        a, axis = ravel(a), 0
    (d,) = _dims(a, axis)
    wide = (*a.shape[: d + 1], repeats, *a.shape[d + 1 :])
    out = call("broadcast_to", expand_dims(a, d + 1), wide)
    return reshape(out, (*a.shape[:d], dims.multiply(a.shape[d], repeats), *a.shape[d + 1 :]))


@register
def tile(a: Expression, times: int | Sequence[int]) -> Node:
    """a several times side by side, along each dimension."""
    a = as_node(a)
    counts = [times] if isinstance(times, int) else list(times)
    rank = max(len(counts), len(a.shape))
    counts = [1] * (rank - len(counts)) + counts
    shape = (1,) * (rank - len(a.shape)) + a.shape
    single = tuple(n for size in shape for n in (1, size))
    wide = tuple(n for k, size in zip(counts, shape, strict=True) for n in (k, size))
    out = call("broadcast_to", reshape(a, single), wide)
    return reshape(out, tuple(dims.multiply(k, size) for k, size in zip(counts, shape, strict=True)))


@register
def diff(a: Expression, axis: int = -1) -> Node:
    """The differences of neighbours along a dimension."""
    a = as_node(a)
    d = dim_of(a, axis)
    n = a.shape[d]
    return call("narrow", a, 1, n, d) - call("narrow", a, 0, dims.subtract(n, 1), d)


@register
def hstack(*values: Expression | Sequence[Expression]) -> Node:
    """Values joined along their second dimension; vectors along their only one."""
    parts = values[0] if len(values) == 1 and isinstance(values[0], tuple | list) else values
    nodes = [as_node(v) for v in parts]
    return concat(nodes, axis=1 if len(nodes[0].shape) > 1 else 0)


@register
def vstack(*values: Expression | Sequence[Expression]) -> Node:
    """Values joined along their first dimension; vectors become rows."""
    parts = values[0] if len(values) == 1 and isinstance(values[0], tuple | list) else values
    nodes = [as_node(v) for v in parts]
    return stack(nodes, axis=0) if len(nodes[0].shape) == 1 else concat(nodes, axis=0)
