"""Operations on every entry alone. Forwards are complex-safe: ties and branches look at the
real part, so that the complex step follows the declared subgradient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from unfold.node import Node, call, operation
from unfold.op import Elementwise, register

Cts = Sequence[Node | None]


@dataclass(frozen=True)
class Add(Elementwise):
    """a + b + ..."""

    symbol, infix = "+", ("+", 10)

    def forward(self, xp: Any, *xs: Any) -> Any:
        return reduce(xp.add, xs)

    def vjp(self, ct: Node, out: Node, *xs: Node) -> Cts:
        return [ct] * len(xs)


@dataclass(frozen=True)
class Subtract(Elementwise):
    """a - b"""

    symbol, infix = "−", ("-", 10)

    def forward(self, xp: Any, a: Any, b: Any) -> Any:
        return xp.subtract(a, b)

    def vjp(self, ct: Node, out: Node, a: Node, b: Node) -> Cts:
        return ct, -ct


@dataclass(frozen=True)
class Multiply(Elementwise):
    """a * b, entry by entry"""

    symbol, infix, tex = "×", ("*", 20), r"{0} \odot {1}"

    def forward(self, xp: Any, a: Any, b: Any) -> Any:
        return xp.multiply(a, b)

    def vjp(self, ct: Node, out: Node, a: Node, b: Node) -> Cts:
        return ct * b, ct * a


@dataclass(frozen=True)
class Divide(Elementwise):
    """a / b"""

    symbol, infix, tex, kind = "÷", ("/", 20), r"\frac{{{0}}}{{{1}}}", "float"
    domain = ((-2.0, 2.0), (0.5, 2.0))

    def forward(self, xp: Any, a: Any, b: Any) -> Any:
        return xp.divide(a, b)

    def vjp(self, ct: Node, out: Node, a: Node, b: Node) -> Cts:
        return ct / b, -ct * out / b


@dataclass(frozen=True)
class Negative(Elementwise):
    """-a"""

    symbol, tex = "−", "-{0}"

    def forward(self, xp: Any, a: Any) -> Any:
        return xp.negative(a)

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (-ct,)


@dataclass(frozen=True)
class Power(Elementwise):
    """a ** b; the gradient in b is 0 where a is 0"""

    symbol, infix, tex = "^", ("**", 40), "{{{0}}}^{{{1}}}"
    domain = ((0.5, 2.0), (-2.0, 2.0))

    def forward(self, xp: Any, a: Any, b: Any) -> Any:
        return xp.power(a, b)

    def vjp(self, ct: Node, out: Node, a: Node, b: Node) -> Cts:
        zero = call("equal", a, 0)
        log = call("log", call("where", zero, 1.0, a))
        return ct * b * a ** (b - 1), call("where", zero, 0.0, ct * out * log)


@dataclass(frozen=True)
class Square(Elementwise):
    """a ** 2"""

    tex = "{0}^2"

    def forward(self, xp: Any, a: Any) -> Any:
        return xp.multiply(a, a)

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (2.0 * ct * a,)


@dataclass(frozen=True)
class Exp(Elementwise):
    """e ** a"""

    kind, tex = "float", r"\exp({0})"

    def forward(self, xp: Any, a: Any) -> Any:
        return xp.exp(a)

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (ct * out,)


@dataclass(frozen=True)
class Log(Elementwise):
    """the natural logarithm of a"""

    kind, tex, domain = "float", r"\log({0})", ((0.2, 3.0),)

    def forward(self, xp: Any, a: Any) -> Any:
        return xp.log(a)

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (ct / a,)


@dataclass(frozen=True)
class Sqrt(Elementwise):
    """the square root of a"""

    kind, tex, domain, symbol = "float", r"\sqrt{{{0}}}", ((0.2, 3.0),), "√"

    def forward(self, xp: Any, a: Any) -> Any:
        return xp.sqrt(a)

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (0.5 * ct / out,)


@dataclass(frozen=True)
class Tanh(Elementwise):
    """the hyperbolic tangent of a"""

    kind, tex = "float", r"\tanh({0})"

    def forward(self, xp: Any, a: Any) -> Any:
        return xp.tanh(a)

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (ct * (1.0 - call("square", out)),)


@dataclass(frozen=True)
class Sigmoid(Elementwise):
    """1 / (1 + exp(-a))"""

    kind, tex, symbol = "float", r"\sigma({0})", "σ"

    def forward(self, xp: Any, a: Any) -> Any:
        return xp.add(xp.multiply(xp.tanh(xp.multiply(a, 0.5)), 0.5), 0.5)

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (ct * (out * (1.0 - out)),)


@dataclass(frozen=True)
class Maximum(Elementwise):
    """the greater of a and b; at a tie the gradient goes to a"""

    symbol, tex, domain = "max", r"\max({0}, {1})", ((-2.0, 2.0), (-2.0, 2.0))

    def forward(self, xp: Any, a: Any, b: Any) -> Any:
        return xp.where(xp.real(a) >= xp.real(b), a, b)

    def vjp(self, ct: Node, out: Node, a: Node, b: Node) -> Cts:
        first = call("less_equal", b, a)
        return call("where", first, ct, 0.0), call("where", first, 0.0, ct)


@dataclass(frozen=True)
class Minimum(Elementwise):
    """the smaller of a and b; at a tie the gradient goes to a"""

    symbol, tex, domain = "min", r"\min({0}, {1})", ((-2.0, 2.0), (-2.0, 2.0))

    def forward(self, xp: Any, a: Any, b: Any) -> Any:
        return xp.where(xp.real(a) <= xp.real(b), a, b)

    def vjp(self, ct: Node, out: Node, a: Node, b: Node) -> Cts:
        first = call("less_equal", a, b)
        return call("where", first, ct, 0.0), call("where", first, 0.0, ct)


@dataclass(frozen=True)
class Relu(Elementwise):
    """max(a, 0); the gradient at 0 is 0"""

    tex = r"\mathrm{{relu}}({0})"

    def forward(self, xp: Any, a: Any) -> Any:
        return xp.where(xp.real(a) > 0, a, 0)

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (call("where", call("less", 0, a), ct, 0.0),)


@dataclass(frozen=True)
class Softplus(Elementwise):
    """log(1 + exp(a))"""

    kind, tex = "float", r"\mathrm{{softplus}}({0})"

    def forward(self, xp: Any, a: Any) -> Any:
        positive = xp.where(xp.real(a) > 0, a, 0)
        return xp.add(positive, xp.log1p(xp.exp(xp.where(xp.real(a) > 0, -a, a))))

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (ct * call("sigmoid", a),)


@dataclass(frozen=True)
class Sign(Elementwise):
    """-1, 0 or 1; its gradient is 0"""

    def forward(self, xp: Any, a: Any) -> Any:
        return xp.sign(xp.real(a))

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (None,)


@dataclass(frozen=True)
class Abs(Elementwise):
    """|a|; the gradient at 0 is 0"""

    tex, symbol = r"\left|{0}\right|", "|·|"

    def forward(self, xp: Any, a: Any) -> Any:
        return xp.multiply(a, xp.sign(xp.real(a)))

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (ct * call("sign", a),)


@dataclass(frozen=True)
class Where(Elementwise):
    """a where the condition holds, b elsewhere"""

    symbol = "?"
    domain = ((0.0, 1.0), (-2.0, 2.0), (-2.0, 2.0))

    def infer(self, *inputs: Node) -> Any:
        shape, _ = super().infer(*inputs)
        return shape, super().infer(*inputs[1:])[1]

    def forward(self, xp: Any, condition: Any, a: Any, b: Any) -> Any:
        return xp.where(condition, a, b)

    def vjp(self, ct: Node, out: Node, condition: Node, a: Node, b: Node) -> Cts:
        return None, call("where", condition, ct, 0.0), call("where", condition, 0.0, ct)


@dataclass(frozen=True)
class Comparison(Elementwise):
    """Data, not differentiable: the result is bool."""

    differentiable = False
    domain = ((-2.0, 2.0), (-2.0, 2.0))

    def infer(self, *inputs: Node) -> Any:
        return super().infer(*inputs)[0], "bool"

    def vjp(self, ct: Node, out: Node, *inputs: Node) -> Cts:
        return [None] * len(inputs)


@dataclass(frozen=True)
class Less(Comparison):
    """a < b"""

    symbol, infix = "<", ("<", 5)

    def forward(self, xp: Any, a: Any, b: Any) -> Any:
        return xp.less(xp.real(a), xp.real(b))


@dataclass(frozen=True)
class Less_equal(Comparison):
    """a <= b"""

    symbol, infix, tex = "≤", ("<=", 5), r"{0} \le {1}"

    def forward(self, xp: Any, a: Any, b: Any) -> Any:
        return xp.less_equal(xp.real(a), xp.real(b))


@dataclass(frozen=True)
class Equal(Comparison):
    """a == b (write `uf.equal(a, b)`)"""

    symbol, infix, tex = "=", ("==", 5), "{0} = {1}"

    def forward(self, xp: Any, a: Any, b: Any) -> Any:
        return xp.equal(xp.real(a), xp.real(b))


@dataclass(frozen=True)
class Logical_and(Comparison):
    """a and b"""

    symbol, infix, tex = "∧", ("&", 6), r"{0} \land {1}"

    def forward(self, xp: Any, a: Any, b: Any) -> Any:
        return xp.logical_and(a, b)


@dataclass(frozen=True)
class Logical_or(Comparison):
    """a or b"""

    symbol, infix, tex = "∨", ("|", 6), r"{0} \lor {1}"

    def forward(self, xp: Any, a: Any, b: Any) -> Any:
        return xp.logical_or(a, b)


@dataclass(frozen=True)
class Logical_not(Comparison):
    """not a"""

    symbol, tex = "¬", r"\lnot {0}"
    domain = ((-2.0, 2.0),)

    def forward(self, xp: Any, a: Any) -> Any:
        return xp.logical_not(a)


@dataclass(frozen=True)
class Stop_gradient(Elementwise):
    """a, held constant by gradients"""

    symbol = "stop"

    def forward(self, xp: Any, a: Any) -> Any:
        return xp.positive(a)

    def vjp(self, ct: Node, out: Node, a: Node) -> Cts:
        return (None,)


add, subtract, multiply, divide = map(operation, (Add, Subtract, Multiply, Divide))
negative, square = map(operation, (Negative, Square))
_power = operation(Power)
exp, log, sqrt, tanh, sigmoid = map(operation, (Exp, Log, Sqrt, Tanh, Sigmoid))
maximum, minimum, relu, softplus, sign, abs = map(operation, (Maximum, Minimum, Relu, Softplus, Sign, Abs))
where, less, less_equal, equal = map(operation, (Where, Less, Less_equal, Equal))
logical_and, logical_or, logical_not = map(operation, (Logical_and, Logical_or, Logical_not))
stop_gradient = operation(Stop_gradient)


@register
def power(a: Any, b: Any) -> Node:
    """a ** b; a square where b is the number 2."""
    if isinstance(b, int | float) and b == 2:
        return square(a)
    return _power(a, b)


@register
def greater(a: Any, b: Any) -> Node:
    """a > b"""
    return less(b, a)


@register
def greater_equal(a: Any, b: Any) -> Node:
    """a >= b"""
    return less_equal(b, a)
