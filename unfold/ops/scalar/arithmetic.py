"""Arithmetic and rounding, on every entry alone.

Forwards are complex-safe: branches look at the real part, so that the complex step follows
the declared subgradient. A NaN in an argument is a NaN in the result.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from unfold.core.kinds import INEXACT, Dtype
from unfold.core.leaves import Constant, Expression, as_node
from unfold.core.node import Node, call, register
from unfold.core.op import Elementwise, operation

Cts = Sequence[Node | None]


@dataclass(frozen=True)
class Ufunc(Elementwise):
    """One NumPy function of the same name."""

    def forward(self, xp: Any, *xs: Any) -> Any:
        return getattr(xp, self.name)(*xs)


@dataclass(frozen=True)
class Add(Elementwise):
    """a + b + ..."""

    symbol, infix = "+", ("+", 10)

    def forward(self, xp: Any, *xs: Any) -> Any:
        return reduce(xp.add, xs)

    def vjp(self, ct: Node, out: Node, *xs: Node) -> Cts:
        return [ct] * len(xs)


@dataclass(frozen=True)
class Subtract(Ufunc):
    """a - b"""

    symbol, infix, domain = "−", ("-", 10), ((-2.0, 2.0), (-2.0, 2.0))

    def vjp(self, ct: Node, out: Node, a: Node, b: Node) -> Cts:
        return ct, -ct


@dataclass(frozen=True)
class Multiply(Ufunc):
    """a * b, entry by entry"""

    symbol, infix, tex = "×", ("*", 20), r"{0} \odot {1}"
    domain = ((-2.0, 2.0), (-2.0, 2.0))

    def vjp(self, ct: Node, out: Node, a: Node, b: Node) -> Cts:
        return ct * b, ct * a


@dataclass(frozen=True)
class Divide(Ufunc):
    """a / b"""

    symbol, infix, tex, kind = "÷", ("/", 20), r"\frac{{{0}}}{{{1}}}", "float"
    domain = ((-2.0, 2.0), (0.5, 2.0))

    def vjp(self, ct: Node, out: Node, a: Node, b: Node) -> Cts:
        return ct / b, -ct * out / b


@dataclass(frozen=True)
class Negative(Ufunc):
    """-a"""

    symbol, tex = "−", "-{0}"

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (-ct,)


@dataclass(frozen=True)
class Reciprocal(Elementwise):
    """1 / a"""

    symbol, tex, kind, domain = "1/a", r"\frac{{1}}{{{0}}}", "float", ((0.5, 2.0),)

    def forward(self, xp: Any, a: Any) -> Any:
        return xp.divide(1.0, a)

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (-ct * call("square", out),)


@dataclass(frozen=True)
class Power(Ufunc):
    """a ** b; the gradient in b is 0 where a is 0"""

    symbol, infix, tex = "^", ("**", 40), "{{{0}}}^{{{1}}}"
    domain = ((0.5, 2.0), (-2.0, 2.0))

    def vjp(self, ct: Node, out: Node, a: Node, b: Node) -> Cts:
        one_less = b - 1
        if isinstance(b.op, Constant) and b.op.value.all():
            one_less = as_node(b.op.value - 1)
        else:  # a ** 0 is 1, with a slope of 0 also where a is 0
            one_less = call("where", call("equal", b, 0), 1, one_less)
        zero = call("equal", a, 0)
        log = call("log", call("where", zero, 1.0, a))
        return ct * (b * power(a, one_less)), call("where", zero, 0.0, ct * (out * log))


@dataclass(frozen=True)
class Square(Elementwise):
    """a ** 2"""

    tex = "{0}^2"

    def forward(self, xp: Any, a: Any) -> Any:
        return xp.multiply(a, a)

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (2.0 * ct * a,)


@dataclass(frozen=True)
class Remainder(Ufunc):
    """a - floor(a / b) * b"""

    symbol, tex, domain = "mod", r"{0} \bmod {1}", ((-2.0, 2.0), (0.5, 2.0))
    complex_safe, real = False, True

    def vjp(self, ct: Node, out: Node, a: Node, b: Node) -> Cts:
        return ct, -ct * call("floor", a / b)


@dataclass(frozen=True)
class Sign(Elementwise):
    """-1, 0 or 1; its gradient is 0"""

    real = True

    def forward(self, xp: Any, a: Any) -> Any:
        return xp.sign(xp.real(a))

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (None,)


@dataclass(frozen=True)
class Abs(Elementwise):
    """|a|; the gradient at 0 is 0"""

    tex, symbol, real = r"\left|{0}\right|", "|·|", True

    def forward(self, xp: Any, a: Any) -> Any:
        return xp.multiply(a, xp.sign(xp.real(a)))

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (ct * call("sign", a),)


@dataclass(frozen=True)
class Stepped(Elementwise):
    """A step function: its gradient is 0."""

    real = True

    def forward(self, xp: Any, a: Any) -> Any:
        return getattr(xp, self.name)(xp.real(a))

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (None,)


@dataclass(frozen=True)
class Floor(Stepped):
    """the greatest integer not above a; its gradient is 0"""

    symbol, tex = "⌊a⌋", r"\lfloor {0} \rfloor"


@dataclass(frozen=True)
class Ceil(Stepped):
    """the smallest integer not below a; its gradient is 0"""

    symbol, tex = "⌈a⌉", r"\lceil {0} \rceil"


@dataclass(frozen=True)
class Rint(Stepped):
    """the nearest integer, halves to the even one; its gradient is 0"""

    kind = "float"


@dataclass(frozen=True)
class Trunc(Stepped):
    """a without its fraction; its gradient is 0"""


@dataclass(frozen=True)
class Stop_gradient(Elementwise):
    """a, held constant by gradients"""

    symbol = "stop"

    def forward(self, xp: Any, a: Any) -> Any:
        return xp.positive(a)

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (None,)


add, subtract, multiply, divide = map(operation, (Add, Subtract, Multiply, Divide))
negative, square, reciprocal, remainder = map(operation, (Negative, Square, Reciprocal, Remainder))
_power = operation(Power)
sign = operation(Sign)
_abs = operation(Abs)
floor, ceil, rint, trunc = map(operation, (Floor, Ceil, Rint, Trunc))
stop_gradient = operation(Stop_gradient)


@register
def power(a: Expression, b: Expression) -> Node:
    """a ** b; a, its square or its reciprocal where b is the number 1, 2 or -1."""
    if isinstance(b, Node) and isinstance(b.op, Constant) and not b.shape:
        b = b.op.value[()]
    number = isinstance(b, int | float | np.integer | np.floating)
    if number and b in (1, 2, -1) and as_node(a).dtype in INEXACT:
        return as_node(a) if b == 1 else square(a) if b == 2 else reciprocal(a)
    return _power(a, b)


@register
def abs(a: Expression) -> Node:
    """|a|; the gradient at 0 is 0. Of a complex number, its modulus."""
    a = as_node(a)
    if a.dtype != Dtype.COMPLEX:
        return _abs(a)
    return call("hypot", call("real", a), call("imag", a))


@register
def floor_divide(a: Expression, b: Expression) -> Node:
    """floor(a / b); its gradient is 0"""
    return floor(divide(a, b))


@register
def round(a: Expression, decimals: int = 0) -> Node:
    """a rounded to a number of decimals, halves to the even digit; its gradient is 0."""
    scale = math.pow(10.0, decimals)
    return rint(as_node(a) * scale) / scale if decimals else rint(a)
