"""Losses and layers of neural networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from unfold.core import dims
from unfold.core.dims import Shape, show
from unfold.core.errors import ShapeMismatch
from unfold.core.kinds import Dtype
from unfold.core.leaves import Expression, as_node
from unfold.core.node import Node, Op, call, register
from unfold.core.op import Elementwise, Over, operation, promote
from unfold.ops.array.shape import dim_of

Cts = Sequence[Node | None]


@dataclass(frozen=True)
class Cross_entropy(Op):
    """-log softmax(o)[y], for scores o and a class index y (from 0)"""

    symbol, kind = "CE", "float"
    tex = r"-\log \mathrm{{softmax}}({0})_{{{1}}}"

    def infer(self, *inputs: Node) -> tuple[Shape, str]:
        o, y = inputs
        if len(o.shape) != 1 or y.shape or y.dtype != Dtype.INT:
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


_cross_entropy = operation(Cross_entropy)
bce_with_logits = operation(Bce_with_logits)


@register
def cross_entropy(
    o: Expression, y: Expression, weights: Expression | None = None, smoothing: float = 0.0
) -> Node:
    """-log softmax(o)[y], for scores o and a class index y (from 0).

    `weights` (a vector) multiplies it by weights[y]; `smoothing` mixes the target with the
    uniform distribution over the classes.

    >>> import unfold as uf
    >>> graph = uf.graph(loss=cross_entropy(uf.input("o", 3), uf.input("y", dtype=int)))
    >>> round(float(graph(o=[0.0, 0.0, 0.0], y=1).loss), 4)
    1.0986
    """
    loss = _cross_entropy(o, y)
    if smoothing:
        even = -call("mean", call("log_softmax", o))
        loss = (1.0 - smoothing) * loss + smoothing * even
    return loss if weights is None else call("take", weights, y) * loss


@register
def nll(log_p: Expression, y: Expression) -> Node:
    """-log_p[y], for logarithms of probabilities and a class index y (from 0)."""
    return -call("take", log_p, y)


@register
def bce(p: Expression, y: Expression) -> Node:
    """-(y log p + (1 - y) log(1 - p)), for probabilities p; `bce_with_logits` is safer."""
    p, y = as_node(p), as_node(y)
    return -(call("xlogy", y, p) + call("xlogy", 1.0 - y, 1.0 - p))


@register
def mse(a: Expression, b: Expression) -> Node:
    """The mean of (a - b)**2 over all dimensions of the value."""
    return call("mean", call("square", as_node(a) - as_node(b)))


@register
def mae(a: Expression, b: Expression) -> Node:
    """The mean of |a - b| over all dimensions of the value; the gradient is 0 where a = b."""
    return call("mean", call("abs", as_node(a) - as_node(b)))


@register
def huber(a: Expression, b: Expression, delta: Expression = 1.0) -> Node:
    """(a - b)**2 / 2 up to a distance of delta, then delta (|a - b| - delta / 2), entry by entry."""
    gap = call("abs", as_node(a) - as_node(b))
    near = call("minimum", gap, delta)
    return near * (gap - 0.5 * near)


@register
def hinge(a: Expression, y: Expression) -> Node:
    """max(0, 1 - y a), for a label y of -1 or 1"""
    return call("relu", 1.0 - as_node(y) * as_node(a))


@register
def kl_div(p: Expression, q: Expression, over: Over = -1) -> Node:
    """The sum of p log(p / q): the divergence of distribution q from p."""
    return call("sum", call("xlogy", p, p) - call("xlogy", p, q), over=over)


@register
def entropy(p: Expression, over: Over = -1) -> Node:
    """-sum p log p of a distribution."""
    return -call("sum", call("xlogy", p, p), over=over)


@register
def cosine_similarity(a: Expression, b: Expression, eps: float = 1e-8) -> Node:
    """a · b / (|a| |b|), for vectors."""
    size = call("norm", a) * call("norm", b)
    return call("matmul", a, b) / call("maximum", size, eps)


@register
def layer_norm(
    a: Expression,
    gain: Expression | None = None,
    bias: Expression | None = None,
    over: Over = -1,
    eps: float = 1e-5,
) -> Node:
    """gain (a - mean) / sqrt(variance + eps) + bias, over dimensions or an axis."""
    a = as_node(a)
    centred = a - call("mean", a, over, keepdims=True)
    spread = call("mean", call("square", centred), over, keepdims=True)
    out = centred / call("sqrt", spread + eps)
    out = out if gain is None else call("multiply", gain, out)
    return out if bias is None else call("add", out, bias)


@register
def rms_norm(a: Expression, gain: Expression | None = None, over: Over = -1, eps: float = 1e-5) -> Node:
    """gain a / sqrt(mean(a**2) + eps), over dimensions or an axis."""
    a = as_node(a)
    size = call("mean", call("square", a), over, keepdims=True)
    out = a / call("sqrt", size + eps)
    return out if gain is None else call("multiply", gain, out)


@register
def dropout(a: Expression, mask: Expression, rate: float = 0.5) -> Node:
    """a / (1 - rate) where the mask (an input of booleans, or of 0 and 1) holds, 0 elsewhere."""
    mask = as_node(mask)
    keep = mask if mask.dtype == Dtype.BOOL else call("less", 0, mask)
    return call("where", keep, as_node(a) / (1.0 - rate), 0.0)


@register
def conv1d(a: Expression, filters: Expression) -> Node:
    """out[i, o] = sum over k, c of filters[o, k, c] a[i + k, c]: sliding dot products along the
    first dimension, without padding. Along time: filters with `uf.window`."""
    a, filters = as_node(a), as_node(filters)
    if len(a.shape) != 2 or len(filters.shape) != 3 or not isinstance(filters.shape[1], int):
        raise ShapeMismatch(
            f"conv1d: a is (length, channels), here {show(a.shape)}; filters are "
            f"(outputs, width, channels) with a width that is a number, here {show(filters.shape)}",
            operation="conv1d",
            shapes=(a.shape, filters.shape),
        )
    width = filters.shape[1]
    n = dims.subtract(a.shape[0], width - 1)
    parts = [call("narrow", a, k, dims.add(n, k), 0) @ filters[:, k, :].T for k in range(width)]
    return call("add", *parts) if width > 1 else parts[0]


@register
def max_pool(a: Expression, width: int, axis: int = 0) -> Node:
    """The greatest of every `width` neighbours along a dimension; at a tie the gradient is shared."""
    return call("max", _blocks(a, width, axis), over=axis if axis < 0 else axis + 1)


@register
def mean_pool(a: Expression, width: int, axis: int = 0) -> Node:
    """The mean of every `width` neighbours along a dimension."""
    return call("mean", _blocks(a, width, axis), over=axis if axis < 0 else axis + 1)


def _blocks(a: Any, width: int, axis: int) -> Node:
    a = as_node(a)
    d = dim_of(a, axis) + len(a.shape)
    blocks = (dims.divide(a.shape[d], width), width)
    return call("reshape", a, (*a.shape[:d], *blocks, *a.shape[d + 1 :]))
