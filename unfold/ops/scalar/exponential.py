"""Exponentials, logarithms and roots, on every entry alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from unfold.core.leaves import Expression, as_node
from unfold.core.node import Node, call, register
from unfold.core.op import Elementwise, operation
from unfold.ops.scalar.arithmetic import Ufunc

Cts = Sequence[Node | None]
LOG2 = math.log(2.0)


@dataclass(frozen=True)
class Exp(Ufunc):
    """e ** a"""

    kind, tex = "float", r"\exp({0})"

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (ct * out,)


@dataclass(frozen=True)
class Exp2(Ufunc):
    """2 ** a"""

    kind, tex = "float", "2^{{{0}}}"

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (ct * (LOG2 * out),)


@dataclass(frozen=True)
class Expm1(Ufunc):
    """e ** a - 1, exact near 0"""

    kind, tex = "float", r"(\exp({0}) - 1)"

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (ct * (out + 1.0),)


@dataclass(frozen=True)
class Log(Ufunc):
    """the natural logarithm of a"""

    kind, tex, domain = "float", r"\log({0})", ((0.2, 3.0),)

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (ct / a,)


@dataclass(frozen=True)
class Log2(Ufunc):
    """the logarithm of a to the base 2"""

    kind, tex, domain = "float", r"\log_2({0})", ((0.2, 3.0),)

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (ct / (LOG2 * a),)


@dataclass(frozen=True)
class Log10(Ufunc):
    """the logarithm of a to the base 10"""

    kind, tex, domain = "float", r"\log_{{10}}({0})", ((0.2, 3.0),)

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (ct / (math.log(10.0) * a),)


@dataclass(frozen=True)
class Log1p(Ufunc):
    """log(1 + a), exact near 0"""

    kind, tex, domain = "float", r"\log(1 + {0})", ((-0.7, 3.0),)

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (ct / (1.0 + a),)


@dataclass(frozen=True)
class Logaddexp(Elementwise):
    """log(exp(a) + exp(b)), without overflow"""

    kind, tex = "float", r"\log(e^{{{0}}} + e^{{{1}}})"
    domain = ((-2.0, 2.0), (-2.0, 2.0))

    def forward(self, xp: Any, a: Any, b: Any) -> Any:
        greater = xp.less(xp.real(b), xp.real(a))
        high, low = xp.where(greater, a, b), xp.where(greater, b, a)
        infinite = xp.isinf(high)  # inf - inf is no number
        gap = xp.subtract(xp.where(infinite, 0, low), xp.where(infinite, 0, high))
        return xp.add(high, xp.log1p(xp.exp(gap)))

    def vjp(self, ct: Node, out: Node, a: Node, b: Node) -> Cts:
        return ct * call("sigmoid", a - b), ct * call("sigmoid", b - a)


@dataclass(frozen=True)
class Sqrt(Ufunc):
    """the square root of a"""

    kind, tex, domain, symbol = "float", r"\sqrt{{{0}}}", ((0.2, 3.0),), "√"

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (0.5 * ct / out,)


@dataclass(frozen=True)
class Cbrt(Ufunc):
    """the cube root of a, a real number"""

    kind, tex, domain, symbol = "float", r"\sqrt[3]{{{0}}}", ((0.2, 3.0),), "∛"
    complex_safe, real = False, True

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (ct / (3.0 * call("square", out)),)


exp, exp2, expm1 = map(operation, (Exp, Exp2, Expm1))
log, log2, log10, log1p, logaddexp = map(operation, (Log, Log2, Log10, Log1p, Logaddexp))
sqrt, cbrt = map(operation, (Sqrt, Cbrt))


@register
def logaddexp2(a: Expression, b: Expression) -> Node:
    """log2(2**a + 2**b), without overflow."""
    return logaddexp(as_node(a) * LOG2, as_node(b) * LOG2) / LOG2


@register
def xlogy(a: Expression, b: Expression) -> Node:
    """a * log(b), and 0 where a is 0."""
    a, b = as_node(a), as_node(b)
    zero = call("equal", a, 0)
    return call("where", zero, 0.0, a * log(call("where", zero, 1.0, b)))


@register
def logit(a: Expression) -> Node:
    """log(a / (1 - a)), the inverse of the sigmoid, for a between 0 and 1."""
    a = as_node(a)
    return log(a) - log1p(-a)
