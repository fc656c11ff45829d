"""Trigonometric functions and their inverses, and complex numbers, on every entry alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from unfold.core.kinds import Dtype
from unfold.core.leaves import Expression, as_node
from unfold.core.node import Node, call, register
from unfold.core.op import Elementwise, operation
from unfold.ops.scalar.arithmetic import Ufunc
from unfold.ops.scalar.exponential import sqrt

Cts = Sequence[Node | None]


@dataclass(frozen=True)
class Sin(Ufunc):
    """the sine of a"""

    kind, tex = "float", r"\sin({0})"

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (ct * cos(a),)


@dataclass(frozen=True)
class Cos(Ufunc):
    """the cosine of a"""

    kind, tex = "float", r"\cos({0})"

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (-ct * sin(a),)


@dataclass(frozen=True)
class Tan(Ufunc):
    """the tangent of a"""

    kind, tex, domain = "float", r"\tan({0})", ((-1.2, 1.2),)

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (ct * (1.0 + call("square", out)),)


@dataclass(frozen=True)
class Arcsin(Ufunc):
    """the inverse of sin, for a between -1 and 1"""

    kind, tex, domain = "float", r"\arcsin({0})", ((-0.8, 0.8),)

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (ct / sqrt(1.0 - call("square", a)),)


@dataclass(frozen=True)
class Arccos(Ufunc):
    """the inverse of cos, for a between -1 and 1"""

    kind, tex, domain = "float", r"\arccos({0})", ((-0.8, 0.8),)

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (-ct / sqrt(1.0 - call("square", a)),)


@dataclass(frozen=True)
class Arctan(Ufunc):
    """the inverse of tan"""

    kind, tex = "float", r"\arctan({0})"

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (ct / (1.0 + call("square", a)),)


@dataclass(frozen=True)
class Arctan2(Ufunc):
    """the angle of the point (b, a), in all four quadrants"""

    kind, tex, domain = "float", r"\operatorname{{atan2}}({0}, {1})", ((0.5, 2.0), (-2.0, 2.0))
    complex_safe, real = False, True

    def vjp(self, ct: Node, out: Node, a: Node, b: Node) -> Cts:
        square = call("square", a) + call("square", b)
        return ct * b / square, -ct * a / square


@dataclass(frozen=True)
class Hypot(Elementwise):
    """sqrt(a**2 + b**2), without overflow; the gradient at 0 is 0"""

    kind, tex, domain = "float", r"\sqrt{{{0}^2 + {1}^2}}", ((0.5, 2.0), (-2.0, 2.0))
    real = True

    def forward(self, xp: Any, a: Any, b: Any) -> Any:
        p, q = xp.abs(xp.real(a)), xp.abs(xp.real(b))
        scale = xp.where(xp.less(p, q), q, p)
        scale = xp.where(xp.logical_and(xp.less(0, scale), xp.isfinite(scale)), scale, 1)
        p, q = xp.divide(a, scale), xp.divide(b, scale)
        return xp.multiply(scale, xp.sqrt(xp.add(xp.multiply(p, p), xp.multiply(q, q))))

    def vjp(self, ct: Node, out: Node, a: Node, b: Node) -> Cts:
        part = ct / call("where", call("equal", out, 0), 1.0, out)
        return part * a, part * b


@dataclass(frozen=True)
class Sinc(Elementwise):
    """sin(pi a) / (pi a), and 1 at 0"""

    kind, tex = "float", r"\operatorname{{sinc}}({0})"

    def forward(self, xp: Any, a: Any) -> Any:
        x = xp.multiply(a, math.pi)
        zero = xp.equal(x, 0)
        return xp.where(zero, 1, xp.divide(xp.sin(x), xp.where(zero, 1, x)))

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        small = call("less", call("abs", a), 1e-2)  # there the difference cancels: its series
        safe = call("where", small, 1.0, a)
        x2 = call("square", math.pi * a)
        series = -(math.pi**2) * a * (1 / 3 - x2 * (1 / 30 - x2 * (1 / 840 - x2 / 45360)))
        return (ct * call("where", small, series, (cos(math.pi * safe) - out) / safe),)


@dataclass(frozen=True)
class Real(Elementwise):
    """the real part of a complex a"""

    symbol, tex, linear, complex_safe = "Re", r"\operatorname{{Re}} {0}", True, False

    def infer(self, *inputs: Node) -> Any:
        return super().infer(*inputs)[0], "float"

    def forward(self, xp: Any, a: Any) -> Any:
        return xp.real(a)

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (ct + 0j,)


@dataclass(frozen=True)
class Imag(Real):
    """the imaginary part of a complex a"""

    symbol, tex = "Im", r"\operatorname{{Im}} {0}"

    def forward(self, xp: Any, a: Any) -> Any:
        return xp.imag(a)

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (ct * -1j,)


@dataclass(frozen=True)
class Conj(Ufunc):
    """the complex conjugate of a"""

    symbol, tex, linear, complex_safe = "a*", r"\overline{{{0}}}", True, False

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (conj(ct),)


sin, cos, tan = map(operation, (Sin, Cos, Tan))
arcsin, arccos, arctan, arctan2 = map(operation, (Arcsin, Arccos, Arctan, Arctan2))
hypot, sinc = map(operation, (Hypot, Sinc))
_real, _imag, _conj = map(operation, (Real, Imag, Conj))


@register
def real(a: Expression) -> Node:
    """The real part of a; a itself where it is real."""
    a = as_node(a)
    return _real(a) if a.dtype == Dtype.COMPLEX else a


@register
def imag(a: Expression) -> Node:
    """The imaginary part of a; zero where it is real."""
    a = as_node(a)
    return _imag(a) if a.dtype == Dtype.COMPLEX else 0.0 * a


@register
def conj(a: Expression) -> Node:
    """The complex conjugate of a; a itself where it is real."""
    a = as_node(a)
    return _conj(a) if a.dtype == Dtype.COMPLEX else a


@register
def angle(a: Expression) -> Node:
    """The argument of a complex number."""
    return arctan2(imag(a), real(a))


@register
def deg2rad(a: Expression) -> Node:
    """Degrees as radians."""
    return as_node(a) * (math.pi / 180)


@register
def rad2deg(a: Expression) -> Node:
    """Radians as degrees."""
    return as_node(a) * (180 / math.pi)
