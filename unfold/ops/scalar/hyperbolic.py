"""Hyperbolic functions, on every entry alone: tanh, the activation of plain recurrent networks; its kin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from unfold.core.node import Node, call
from unfold.core.op import operation
from unfold.ops.scalar.arithmetic import Ufunc
from unfold.ops.scalar.exponential import sqrt

Cts = Sequence[Node | None]


@dataclass(frozen=True)
class Sinh(Ufunc):
    """the hyperbolic sine of a"""

    kind, tex = "float", r"\sinh({0})"

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (ct * cosh(a),)


@dataclass(frozen=True)
class Cosh(Ufunc):
    """the hyperbolic cosine of a"""

    kind, tex = "float", r"\cosh({0})"

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (ct * sinh(a),)


@dataclass(frozen=True)
class Tanh(Ufunc):
    """the hyperbolic tangent of a"""

    kind, tex = "float", r"\tanh({0})"

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (ct * (1.0 - call("square", out)),)


@dataclass(frozen=True)
class Arcsinh(Ufunc):
    """the inverse of sinh"""

    kind, tex = "float", r"\operatorname{{arsinh}}({0})"

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (ct / sqrt(call("square", a) + 1.0),)


@dataclass(frozen=True)
class Arccosh(Ufunc):
    """the inverse of cosh, for a >= 1"""

    kind, tex, domain = "float", r"\operatorname{{arcosh}}({0})", ((1.2, 4.0),)

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (ct / (sqrt(a - 1.0) * sqrt(a + 1.0)),)


@dataclass(frozen=True)
class Arctanh(Ufunc):
    """the inverse of tanh, for a between -1 and 1"""

    kind, tex, domain = "float", r"\operatorname{{artanh}}({0})", ((-0.8, 0.8),)

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (ct / (1.0 - call("square", a)),)


sinh, cosh, tanh = map(operation, (Sinh, Cosh, Tanh))
arcsinh, arccosh, arctanh = map(operation, (Arcsinh, Arccosh, Arctanh))
