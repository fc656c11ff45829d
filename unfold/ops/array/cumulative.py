"""Running sums, products and maxima, along a dimension or an axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from unfold.core.axis import Axis
from unfold.core.dims import Shape
from unfold.core.leaves import Expression, as_node
from unfold.core.node import Node, call, register
from unfold.core.op import Along, apply, enlist
from unfold.ops.array.reduction import LARGE, one

Cts = Sequence[Node | None]


@enlist
@dataclass(frozen=True)
class Cumsum(Along):
    """the running sum of a; `backward` sums from the end"""

    backward: bool = False

    linear, kind, symbol = True, "int", "Σ⃗"
    neutral: ClassVar[float | None] = 0.0

    def forward(self, xp: Any, a: Any) -> Any:
        (d,) = self.dims
        if self.backward:
            return xp.flip(xp.cumsum(xp.flip(a, axis=d), axis=d), axis=d)
        return xp.cumsum(a, axis=d)

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (apply(Cumsum(self.over, not self.backward), ct),)


@enlist
@dataclass(frozen=True)
class Cumprod(Along):
    """the running product of a; its second derivatives take at most one zero"""

    kind, symbol = "int", "Π⃗"
    neutral: ClassVar[float | None] = 1.0

    def forward(self, xp: Any, a: Any) -> Any:
        return xp.cumprod(a, axis=self.dims[0])

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        zero = call("equal", a, 0)
        zeros = apply(Cumsum(self.over), call("where", zero, 1.0, 0.0))
        first = call("logical_and", zero, call("less", zeros, 1.5))
        others = apply(Cumprod(self.over), call("where", first, 1.0, a))
        at_zero = call("where", first, apply(Cumsum(self.over, True), ct * others), 0.0)
        elsewhere = apply(Cumsum(self.over, True), ct * out) / call("where", zero, 1.0, a)
        return (call("where", zero, at_zero, elsewhere),)


@enlist
@dataclass(frozen=True)
class Argcummax(Along):
    """the index of the greatest entry so far, the first one at a tie; data, without a gradient"""

    differentiable, real = False, True
    neutral: ClassVar[float | None] = -LARGE

    def infer(self, *inputs: Node) -> tuple[Shape, str]:
        return super().infer(*inputs)[0], "int"

    def forward(self, xp: Any, a: Any) -> Any:
        (d,) = self.dims
        top = xp.maximum.accumulate(xp.moveaxis(xp.real(a), d, -1), axis=-1)
        fresh = xp.concatenate([top[..., :1] != top[..., :1], top[..., 1:] != top[..., :-1]], axis=-1)
        at = xp.maximum.accumulate(xp.where(fresh, xp.arange(top.shape[-1]), 0), axis=-1)
        return xp.moveaxis(at, -1, d)

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (None,)


@register
def cumsum(a: Expression, over: int | Axis = -1) -> Node:
    """The running sum along an axis or dimension (the last by default)."""
    return one(Cumsum, a, over)


@register
def cumprod(a: Expression, over: int | Axis = -1) -> Node:
    """The running product along an axis or dimension (the last by default)."""
    return one(Cumprod, a, over)


@register
def cummax(a: Expression, over: int | Axis = -1) -> Node:
    """The greatest entry so far; at a tie the gradient goes to the first.

    >>> import unfold as uf
    >>> uf.graph(y=cummax(uf.constant([1.0, 3.0, 2.0])))().y.tolist()
    [1.0, 3.0, 3.0]
    """
    return call("take_along_axis", a, one(Argcummax, a, over), over)


@register
def cummin(a: Expression, over: int | Axis = -1) -> Node:
    """The smallest entry so far; at a tie the gradient goes to the first."""
    return -cummax(-as_node(a), over)
