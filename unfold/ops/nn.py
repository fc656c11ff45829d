"""Losses of neural networks, with the cheap form of their gradients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from unfold.dims import Shape
from unfold.node import Node, as_node, call, operation
from unfold.op import Elementwise, Op, promote, register

Cts = Sequence[Node | None]


@dataclass(frozen=True)
class Cross_entropy(Op):
    """-log softmax(o)[y], for scores o and a class index y (from 0)"""

    symbol, kind = "CE", "float"
    tex = r"-\log \mathrm{{softmax}}({0})_{{{1}}}"

    def infer(self, *inputs: Node) -> tuple[Shape, str]:
        o, y = inputs
        if len(o.shape) != 1 or y.shape or y.dtype != "int":
            raise self.mismatch(o, y, why="scores are one vector, the class one integer (dtype=int)")
        return (), promote("float", o)

    def forward(self, xp: Any, o: Any, y: Any) -> Any:
        z = xp.subtract(o, xp.max(xp.real(o), axis=-1, keepdims=True))
        picked = xp.take_along_axis(*_match(xp, z, y[..., None]), axis=-1)[..., 0]
        return xp.subtract(xp.log(xp.sum(xp.exp(z), axis=-1)), picked)

    def vjp(self, ct: Node, out: Node, o: Node, y: Node) -> Cts:
        return ct * (call("softmax", o) - call("one_hot", y, o.shape[0])), None


def _match(xp: Any, a: Any, i: Any) -> tuple[Any, Any]:
    lead = xp.broadcast_shapes(a.shape[:-1], i.shape[:-1])
    return xp.broadcast_to(a, (*lead, a.shape[-1])), xp.broadcast_to(i, (*lead, i.shape[-1]))


@dataclass(frozen=True)
class Bce_with_logits(Elementwise):
    """-(y log sigmoid(o) + (1 - y) log(1 - sigmoid(o)))"""

    symbol, kind = "BCE", "float"
    domain = ((-2.0, 2.0), (0.1, 0.9))

    def forward(self, xp: Any, o: Any, y: Any) -> Any:
        positive = xp.where(xp.real(o) > 0, o, 0)
        soft = xp.log1p(xp.exp(xp.where(xp.real(o) > 0, -o, o)))
        return xp.add(xp.subtract(positive, xp.multiply(o, y)), soft)

    def vjp(self, ct: Node, out: Node, o: Node, y: Node) -> Cts:
        return ct * (call("sigmoid", o) - y), -ct * o


cross_entropy = operation(Cross_entropy)
bce_with_logits = operation(Bce_with_logits)


@register
def mse(a: Any, b: Any) -> Node:
    """The mean of (a - b)**2 over all dimensions of the value."""
    return call("mean", call("square", as_node(a) - as_node(b)))
