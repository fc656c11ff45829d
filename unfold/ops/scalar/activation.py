"""The error function and its relatives, and the nonlinearities of neural networks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from unfold.core.leaves import Expression, as_node
from unfold.core.node import Node, call, register
from unfold.core.op import Elementwise, operation
from unfold.ops.scalar.comparison import clip, where

Cts = Sequence[Node | None]

# erfc(x) exp(x**2) / t as a polynomial in 2 t - 1, t = 2 / (2 + x): Chebyshev interpolation of
# degree 24 over all x >= 0, computed in 40 digits; the relative error is below 1e-15.
_ERFC = (
    0.5107913526210115,
    0.3435803422069066,
    0.13973604627802544,
    0.018221115753306545,
    -0.010755330944543402,
    -0.0032395925298231458,
    0.0015453060235237155,
    0.00041864797455347,
    -0.0003315366672107297,
    -1.7185277049606434e-05,
    7.223470153006039e-05,
    -1.7076546276097942e-05,
    -1.0844830478580393e-05,
    8.066868949358842e-06,
    -5.732747033044422e-07,
    -1.8346763716451883e-06,
    1.023671759497573e-06,
    1.527560153078624e-08,
    -3.1904880762943956e-07,
    1.5002373169874064e-07,
    3.1237899528464255e-08,
    -5.1579015426615876e-08,
    8.331398302988539e-09,
    6.618547737616718e-09,
    -2.2124653785049848e-09,
)
# erf(x) / x as a polynomial in x**2 (Taylor), for |x| < 1/2
_ERF = tuple((-1) ** n * 2 / math.sqrt(math.pi) / (math.factorial(n) * (2 * n + 1)) for n in range(13))


def _polynomial(xp: Any, coefficients: Sequence[float], x: Any) -> Any:
    out = xp.add(xp.multiply(x, coefficients[-1]), coefficients[-2])
    for c in coefficients[-3::-1]:
        out = xp.add(xp.multiply(out, x), c)
    return out


def _erfc(xp: Any, a: Any) -> Any:
    below = xp.less(xp.real(a), 0)
    x = xp.where(below, xp.negative(a), a)
    x = xp.where(xp.less(xp.real(x), 30), x, 30.0)  # there the result is 0
    x = xp.where(xp.isnan(a), a, x)
    t = xp.divide(2.0, xp.add(x, 2.0))
    series = _polynomial(xp, _ERFC, xp.subtract(xp.multiply(t, 2.0), 1.0))
    tail = xp.multiply(xp.multiply(t, xp.exp(xp.negative(xp.multiply(x, x)))), series)
    return xp.where(below, xp.subtract(2.0, tail), tail)


@dataclass(frozen=True)
class Erf(Elementwise):
    """the error function, 2 / sqrt(pi) times the integral of exp(-x**2) from 0 to a"""

    kind, tex, real = "float", r"\operatorname{{erf}}({0})", True

    def forward(self, xp: Any, a: Any) -> Any:
        small = xp.less(xp.abs(xp.real(a)), 0.5)
        x = xp.where(small, a, 0.0)
        near = xp.multiply(x, _polynomial(xp, _ERF, xp.multiply(x, x)))
        return xp.where(small, near, xp.subtract(1.0, _erfc(xp, a)))

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (ct * (2 / math.sqrt(math.pi) * call("exp", -call("square", a))),)


@dataclass(frozen=True)
class Erfc(Elementwise):
    """1 - erf(a), exact for great a"""

    kind, tex, real = "float", r"\operatorname{{erfc}}({0})", True

    def forward(self, xp: Any, a: Any) -> Any:
        return _erfc(xp, a)

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (ct * (-2 / math.sqrt(math.pi) * call("exp", -call("square", a))),)


@dataclass(frozen=True)
class Sigmoid(Elementwise):
    """1 / (1 + exp(-a))"""

    kind, tex, symbol = "float", r"\sigma({0})", "σ"

    def forward(self, xp: Any, a: Any) -> Any:
        return xp.add(xp.multiply(xp.tanh(xp.multiply(a, 0.5)), 0.5), 0.5)

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (ct * (out * (1.0 - out)),)


@dataclass(frozen=True)
class Relu(Elementwise):
    """max(a, 0); the gradient at 0 is 0"""

    tex, real = r"\mathrm{{relu}}({0})", True

    def forward(self, xp: Any, a: Any) -> Any:
        return xp.where(xp.real(a) <= 0, 0, a)

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (where(call("less", 0, a), ct, 0.0),)


@dataclass(frozen=True)
class Softplus(Elementwise):
    """log(1 + exp(a))"""

    kind, tex = "float", r"\mathrm{{softplus}}({0})"

    def forward(self, xp: Any, a: Any) -> Any:
        above = xp.real(a) > 0
        return xp.add(xp.where(above, a, 0), xp.log1p(xp.exp(xp.where(above, xp.negative(a), a))))

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (ct * call("sigmoid", a),)


erf, erfc = map(operation, (Erf, Erfc))
sigmoid, relu, softplus = map(operation, (Sigmoid, Relu, Softplus))


@register
def norm_pdf(a: Expression) -> Node:
    """The density of the standard normal distribution."""
    return call("exp", -0.5 * call("square", a)) / math.sqrt(2 * math.pi)


@register
def norm_cdf(a: Expression) -> Node:
    """The distribution function of the standard normal distribution."""
    return 0.5 * erfc(as_node(a) * -math.sqrt(0.5))


@register
def log_sigmoid(a: Expression) -> Node:
    """log sigmoid(a), without overflow."""
    return -softplus(-as_node(a))


@register
def gelu(a: Expression) -> Node:
    """a * norm_cdf(a)

    >>> import unfold as uf
    >>> round(float(uf.graph(y=gelu(uf.constant(1.0)))().y), 6)
    0.841345
    """
    return as_node(a) * norm_cdf(a)


@register
def silu(a: Expression) -> Node:
    """a * sigmoid(a), also called swish"""
    return as_node(a) * sigmoid(a)


@register
def mish(a: Expression) -> Node:
    """a * tanh(softplus(a))"""
    return as_node(a) * call("tanh", softplus(a))


@register
def elu(a: Expression, alpha: Expression = 1.0) -> Node:
    """a above 0, alpha (exp(a) - 1) below; the gradient at 0 is alpha"""
    a = as_node(a)
    above = call("less", 0, a)
    return where(above, a, alpha * call("expm1", where(above, 0.0, a)))


@register
def celu(a: Expression, alpha: Expression = 1.0) -> Node:
    """a above 0, alpha (exp(a / alpha) - 1) below"""
    a = as_node(a)
    above = call("less", 0, a)
    return where(above, a, alpha * call("expm1", where(above, 0.0, a) / alpha))


@register
def selu(a: Expression) -> Node:
    """the elu whose activations keep mean 0 and variance 1 (Klambauer et al. 2017)"""
    return 1.0507009873554805 * elu(a, 1.6732632423543772)


@register
def softsign(a: Expression) -> Node:
    """a / (1 + |a|)"""
    a = as_node(a)
    return call("divide", a, 1.0 + call("abs", a))


@register
def leaky_relu(a: Expression, slope: Expression = 0.01) -> Node:
    """a above 0, slope * a below; the gradient at 0 is the slope"""
    a = as_node(a)
    return where(call("less", 0, a), a, slope * a)


@register
def relu6(a: Expression) -> Node:
    """min(max(a, 0), 6); the gradient at 0 and 6 is 1"""
    return clip(a, 0.0, 6.0)


@register
def hard_tanh(a: Expression) -> Node:
    """a between -1 and 1; the gradient at -1 and 1 is 1"""
    return clip(a, -1.0, 1.0)


@register
def hard_sigmoid(a: Expression) -> Node:
    """a / 6 + 1/2 between 0 and 1; the gradient at -3 and 3 is 1/6"""
    return clip(as_node(a) / 6.0 + 0.5, 0.0, 1.0)


@register
def hard_swish(a: Expression) -> Node:
    """a * hard_sigmoid(a)"""
    return as_node(a) * hard_sigmoid(a)


@register
def log_cosh(a: Expression) -> Node:
    """log cosh(a), without overflow"""
    a = as_node(a)
    return call("add", a, softplus(-2.0 * a), -math.log(2.0))


@register
def glu(a: Expression, axis: int = -1) -> Node:
    """p * sigmoid(q), for the halves p and q of a along a dimension"""
    p, q = call("split", a, 2, axis)
    return p * sigmoid(q)
