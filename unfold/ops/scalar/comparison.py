"""Choice and comparison, on every entry alone. Comparisons are data: they have no gradient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from unfold.core.kinds import Dtype
from unfold.core.leaves import Expression, as_node
from unfold.core.node import Node, call, register
from unfold.core.op import Elementwise, operation

Cts = Sequence[Node | None]


@dataclass(frozen=True)
class Maximum(Elementwise):
    """the greater of a and b; at a tie the gradient goes to a"""

    symbol, tex, domain = "max", r"\max({0}, {1})", ((-2.0, 2.0), (-2.0, 2.0))
    real = True

    def forward(self, xp: Any, a: Any, b: Any) -> Any:
        return xp.where(xp.logical_or(xp.less(xp.real(a), xp.real(b)), xp.isnan(b)), b, a)

    def vjp(self, ct: Node, out: Node, a: Node, b: Node) -> Cts:
        first = call("less_equal", b, a)
        return call("where", first, ct, 0.0), call("where", first, 0.0, ct)


@dataclass(frozen=True)
class Minimum(Elementwise):
    """the smaller of a and b; at a tie the gradient goes to a"""

    symbol, tex, domain = "min", r"\min({0}, {1})", ((-2.0, 2.0), (-2.0, 2.0))
    real = True

    def forward(self, xp: Any, a: Any, b: Any) -> Any:
        return xp.where(xp.logical_or(xp.less(xp.real(b), xp.real(a)), xp.isnan(b)), b, a)

    def vjp(self, ct: Node, out: Node, a: Node, b: Node) -> Cts:
        first = call("less_equal", a, b)
        return call("where", first, ct, 0.0), call("where", first, 0.0, ct)


@dataclass(frozen=True)
class Where(Elementwise):
    """a where the condition holds, b elsewhere"""

    symbol, linear, data = "?", True, (0,)
    domain = ((0.0, 1.0), (-2.0, 2.0), (-2.0, 2.0))

    def infer(self, *inputs: Node) -> Any:
        shape, _ = super().infer(*inputs)
        return shape, super().infer(*inputs[1:])[1]

    def forward(self, xp: Any, condition: Any, a: Any, b: Any) -> Any:
        return xp.where(condition, a, b)

    def vjp(self, ct: Node, out: Node, condition: Node, a: Node, b: Node) -> Cts:
        return None, call("where", condition, ct, 0.0), call("where", condition, 0.0, ct)


@dataclass(frozen=True)
class Truth(Elementwise):
    """Data, not differentiable: the result is bool."""

    differentiable = False

    def infer(self, *inputs: Node) -> Any:
        return super().infer(*inputs)[0], "bool"

    def forward(self, xp: Any, *xs: Any) -> Any:
        return getattr(xp, self.name)(*map(xp.real, xs))


@dataclass(frozen=True)
class Predicate(Truth):
    """What holds of one value."""

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (None,)


@dataclass(frozen=True)
class Relation(Truth):
    """What holds between two values."""

    domain: ClassVar[tuple[tuple[float, float], ...]] = ((-2.0, 2.0), (-2.0, 2.0))

    def vjp(self, ct: Node, out: Node, a: Node, b: Node) -> Cts:
        return None, None


@dataclass(frozen=True)
class Less(Relation):
    """a < b"""

    symbol, infix, real = "<", ("<", 5), True


@dataclass(frozen=True)
class Less_equal(Relation):
    """a <= b"""

    symbol, infix, tex, real = "≤", ("<=", 5), r"{0} \le {1}", True


@dataclass(frozen=True)
class Equal(Relation):
    """a == b (write `uf.equal(a, b)`)"""

    symbol, infix, tex, real = "=", ("==", 5), "{0} = {1}", True


@dataclass(frozen=True)
class Logical_and(Relation):
    """a and b"""

    symbol, infix, tex = "∧", ("&", 6), r"{0} \land {1}"


@dataclass(frozen=True)
class Logical_or(Relation):
    """a or b"""

    symbol, infix, tex = "∨", ("|", 6), r"{0} \lor {1}"


@dataclass(frozen=True)
class Logical_not(Predicate):
    """not a"""

    symbol, tex = "¬", r"\lnot {0}"


@dataclass(frozen=True)
class Isnan(Predicate):
    """whether a is not a number"""


@dataclass(frozen=True)
class Isfinite(Predicate):
    """whether a is neither infinite nor NaN"""


maximum, minimum, where = map(operation, (Maximum, Minimum, Where))
less, less_equal, _equal = map(operation, (Less, Less_equal, Equal))
logical_and, logical_or, logical_not = map(operation, (Logical_and, Logical_or, Logical_not))
isnan, isfinite = map(operation, (Isnan, Isfinite))


@register
def equal(a: Expression, b: Expression) -> Node:
    """a == b"""
    a, b = as_node(a), as_node(b)
    if Dtype.COMPLEX not in (a.dtype, b.dtype):
        return _equal(a, b)
    same = _equal(call("real", a), call("real", b))
    return logical_and(same, _equal(call("imag", a), call("imag", b)))


@register
def greater(a: Expression, b: Expression) -> Node:
    """a > b"""
    return less(b, a)


@register
def greater_equal(a: Expression, b: Expression) -> Node:
    """a >= b"""
    return less_equal(b, a)


@register
def not_equal(a: Expression, b: Expression) -> Node:
    """a != b"""
    return logical_not(equal(a, b))


@register
def logical_xor(a: Expression, b: Expression) -> Node:
    """a or b, not both"""
    return logical_or(logical_and(a, logical_not(b)), logical_and(logical_not(a), b))


@register
def clip(a: Expression, low: Expression | None = None, high: Expression | None = None) -> Node:
    """a, no less than `low` and no more than `high`; at a bound the gradient goes to a.

    >>> import unfold as uf
    >>> uf.graph(y=uf.clip(uf.constant([-1.0, 0.5, 3.0]), 0.0, 1.0))().y.tolist()
    [0.0, 0.5, 1.0]
    """
    a = as_node(a)
    a = a if low is None else maximum(a, low)
    return a if high is None else minimum(a, high)
