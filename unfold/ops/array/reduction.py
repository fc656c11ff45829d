"""Reductions and normalisations, over dimensions of a value or along an axis.

`over=` takes an axis (`over=t`), dimensions as in NumPy (`over=-1`, `over=(0, 1)`), or
nothing for all dimensions of the value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from unfold.core.axis import Axis
from unfold.core.dims import Dim, Shape, multiply
from unfold.core.errors import ShapeMismatch
from unfold.core.kinds import Dtype
from unfold.core.leaves import Expression, as_node
from unfold.core.node import Node, Op, call, register
from unfold.core.op import Along, Over, apply, enlist
from unfold.ops.array.indexing import Widen
from unfold.ops.array.shape import dim_of
from unfold.ops.time.delays import size, step

Cts = Sequence[Node | None]
LARGE = 1e30  # stands for infinity where padding is masked; float32 holds it


def lift(x: Node, like: Node, over: tuple[int | Axis, ...]) -> Node:
    """A reduced value with the reduced dimensions back, as repetitions."""
    gone = {len(like.shape) + d for d in over if isinstance(d, int)}
    if gone:
        ones = tuple(1 if i in gone else n for i, n in enumerate(like.shape))
        x = call("broadcast_to", call("reshape", x, ones), like.shape)
    return x


@enlist
@dataclass(frozen=True)
class Sum(Along):
    """the sum of a"""

    symbol, reduces, linear, neutral, kind = "Σ", True, True, 0.0, "int"

    def forward(self, xp: Any, a: Any) -> Any:
        return xp.sum(a, axis=self.dims)

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (lift(ct, a, self.over),)


@enlist
@dataclass(frozen=True)
class Prod(Along):
    """the product of a; its second derivatives take at most one zero among the factors"""

    symbol, reduces, neutral, kind, tex = "Π", True, 1.0, "int", r"\prod {0}"

    def forward(self, xp: Any, a: Any) -> Any:
        return xp.prod(a, axis=self.dims)

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        zero = call("equal", a, 0)
        safe = call("where", zero, 1.0, a)
        zeros = apply(Sum(self.over), call("where", zero, 1.0, 0.0))
        others = call("where", call("less", zeros, 1.5), ct * apply(Prod(self.over), safe), 0.0)
        return (call("where", zero, lift(others, a, self.over), lift(ct * out, a, self.over) / safe),)


@enlist
@dataclass(frozen=True)
class Max(Along):
    """the greatest of a; the gradient is shared equally at a tie"""

    symbol, reduces, tex, neutral, real = "max", True, r"\max {0}", -LARGE, True

    def forward(self, xp: Any, a: Any) -> Any:
        return xp.max(a, axis=self.dims)

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        hit = call("where", call("equal", a, lift(out, a, self.over)), 1.0, 0.0)
        count = apply(Sum(self.over), hit)
        return (lift(ct / count, a, self.over) * hit,)


@enlist
@dataclass(frozen=True)
class Logsumexp(Along):
    """log sum exp(a)"""

    reduces, kind, neutral = True, "float", -LARGE

    def forward(self, xp: Any, a: Any) -> Any:
        top = xp.max(xp.real(a), axis=self.dims, keepdims=True, initial=-xp.inf)
        shift = xp.where(xp.isfinite(top), top, 0)
        total = xp.sum(xp.exp(xp.subtract(a, shift)), axis=self.dims)
        nothing = xp.equal(total, 0)  # every entry is -inf
        out = xp.add(xp.log(xp.where(nothing, 1, total)), xp.squeeze(shift, axis=self.dims))
        return xp.where(nothing, -xp.inf, out)

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (lift(ct, a, self.over) * apply(Softmax(self.over), a),)


@enlist
@dataclass(frozen=True)
class Softmax(Along):
    """exp(a) / sum exp(a)"""

    kind, tex, neutral = "float", r"\mathrm{{softmax}}({0})", -LARGE

    def forward(self, xp: Any, a: Any) -> Any:
        top = xp.max(xp.real(a), axis=self.dims, keepdims=True, initial=-xp.inf)
        e = xp.exp(xp.subtract(a, top))
        return xp.divide(e, xp.sum(e, axis=self.dims, keepdims=True))

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        inner = lift(apply(Sum(self.over), ct * out), a, self.over)
        return (out * (ct - inner),)


@enlist
@dataclass(frozen=True)
class Log_softmax(Along):
    """a - log sum exp(a)"""

    kind, neutral = "float", -LARGE

    def forward(self, xp: Any, a: Any) -> Any:
        if not a.size:
            return a
        z = xp.subtract(a, xp.max(xp.real(a), axis=self.dims, keepdims=True, initial=-xp.inf))
        return xp.subtract(z, xp.log(xp.sum(xp.exp(z), axis=self.dims, keepdims=True)))

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (ct - apply(Softmax(self.over), a) * lift(apply(Sum(self.over), ct), a, self.over),)


@enlist
@dataclass(frozen=True)
class Argmax(Along):
    """the index of the greatest entry, from 0; data, without a gradient"""

    reduces, differentiable, neutral, real = True, False, -LARGE, True

    def infer(self, *inputs: Node) -> tuple[Shape, str]:
        return super().infer(*inputs)[0], "int"

    def forward(self, xp: Any, a: Any) -> Any:
        (d,) = self.dims
        return xp.argmax(xp.real(a), axis=d)

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (None,)


@enlist
@dataclass(frozen=True)
class Collect(Along):
    """the steps of an axis side by side, as a new first dimension of the value"""

    size: Dim = 0

    reduces, linear, sized = True, True, ("size",)

    def infer(self, *inputs: Node) -> tuple[Shape, str]:
        return (self.size, *inputs[0].shape), inputs[0].dtype

    def bind(self, axes: Sequence[Axis], rank: int) -> Along:
        return replace(super().bind(axes, rank), over=(*super().bind(axes, rank).over, -rank - 1))

    def forward(self, xp: Any, a: Any) -> Any:
        here, there = self.dims
        return xp.moveaxis(a, here, there)

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        (axis,) = self.spans
        return (call("take", ct, step(axis) - 1),)


def split_over(a: Node, over: Any) -> tuple[tuple[Axis, ...], tuple[int, ...]]:
    """`over` as axes and as dimensions counted from the end."""
    if over is None:
        return (), tuple(range(-len(a.shape), 0))
    items = over if isinstance(over, tuple | list) else (over,)
    axes = tuple(d for d in items if isinstance(d, Axis))
    numbers = tuple(dim_of(a, d) for d in items if not isinstance(d, Axis))
    if len(set(items)) != len(items):
        raise ShapeMismatch(f"over={over!r} names one twice", shapes=(a.shape,))
    for axis in axes:
        if axis not in a.axes:
            have = ", ".join(x.name for x in a.axes) or "no axis"
            raise ShapeMismatch(f"{a} does not vary over {axis.name} (it has {have})", shapes=(a.shape,))
    return axes, numbers


def reduction(op: type[Along], a: Any, over: Any, keepdims: bool = False) -> Node:
    """A reduction over dimensions, then over axes."""
    a = as_node(a)
    axes, numbers = split_over(a, over)
    if numbers:
        ones = tuple(1 if i - len(a.shape) in numbers else n for i, n in enumerate(a.shape))
        a = apply(op(numbers), a)
        if keepdims:
            a = call("reshape", a, ones)
    return apply(op(axes), a) if axes else a


def one(op: type[Along], a: Any, over: Any, **parameters: Any) -> Node:
    """An operation along exactly one axis or dimension (or several dimensions at once)."""
    a = as_node(a)
    axes, numbers = split_over(a, over)
    if (axes and numbers) or not (axes or numbers):
        raise ShapeMismatch(f"{op.name} of {a}: over={over!r}; give one axis or dimension", shapes=(a.shape,))
    return apply(op(axes or numbers, **parameters), a)


@register
def sum(a: Expression, over: Over = None, keepdims: bool = False) -> Node:
    """The sum over an axis or dimensions; all dimensions of the value by default."""
    return reduction(Sum, a, over, keepdims)


@register
def mean(a: Expression, over: Over = None, keepdims: bool = False) -> Node:
    """The mean over an axis or dimensions; all dimensions of the value by default."""
    a = as_node(a)
    axes, numbers = split_over(a, over)
    total = reduction(Sum, a, over, keepdims)
    for axis in axes:
        total = total / size(axis)
    n = multiply(*(a.shape[d] for d in numbers))
    return total / call("extent", n) if n != 1 or total.dtype == Dtype.INT else total


@register
def max(a: Expression, over: Over = None, keepdims: bool = False) -> Node:
    """The greatest entry; at a tie the gradient is shared equally."""
    return reduction(Max, a, over, keepdims)


@register
def min(a: Expression, over: Over = None, keepdims: bool = False) -> Node:
    """The smallest entry; at a tie the gradient is shared equally."""
    return -reduction(Max, -as_node(a), over, keepdims)


@register
def logsumexp(a: Expression, over: Over = None, keepdims: bool = False) -> Node:
    """log sum exp, without overflow."""
    return reduction(Logsumexp, a, over, keepdims)


@register
def softmax(a: Expression, over: Over = -1) -> Node:
    """exp(a) / sum exp(a) along an axis or dimension (the last by default)."""
    return one(Softmax, a, over)


@register
def log_softmax(a: Expression, over: Over = -1) -> Node:
    """a - log sum exp(a) along an axis or dimension (the last by default)."""
    return one(Log_softmax, a, over)


@register
def argmax(a: Expression, over: Over = -1) -> Node:
    """The index of the greatest entry, from 0; it has no gradient."""
    return one(Argmax, a, over)


@register
def argmin(a: Expression, over: Over = -1) -> Node:
    """The index of the smallest entry, from 0; it has no gradient."""
    return one(Argmax, -as_node(a), over)


@register
def prod(a: Expression, over: Over = None, keepdims: bool = False) -> Node:
    """The product over an axis or dimensions; all dimensions of the value by default."""
    return reduction(Prod, a, over, keepdims)


@enlist
@dataclass(frozen=True)
class Pick(Op):
    """entry t of the first dimension of a: step t of what `collect` put side by side"""

    axis: Axis = Axis("t")
    step: int = 0  # 0: the step at hand
    rank: int = 1  # of the value that is read

    symbol, linear = "[t]", True

    def infer_axes(self, *inputs: Node) -> tuple[Axis, ...]:
        return inputs[0].axes if self.step else (*inputs[0].axes, self.axis)

    def infer(self, *inputs: Node) -> tuple[Shape, str]:
        return inputs[0].shape[1:], inputs[0].dtype

    def forward(self, xp: Any, a: Any) -> Any:
        return a[(..., self.step - 1, *[slice(None)] * (self.rank - 1))]

    def vjp(self, ct: Node, out: Node, a: Node) -> Sequence[Node | None]:
        row = call("reshape", ct, (1, *ct.shape))
        return (apply(Widen(self.step - 1, self.step, 1, -self.rank, a.shape[0]), row),)
