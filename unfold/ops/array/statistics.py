"""What is made of sums: counts, variances and norms, over dimensions or an axis."""

from __future__ import annotations

from unfold.core.dims import multiply
from unfold.core.kinds import Dtype
from unfold.core.leaves import Expression, as_node
from unfold.core.node import Node, call, register
from unfold.core.op import Over
from unfold.ops.array.reduction import max, mean, split_over, sum
from unfold.ops.time.delays import size


@register
def any(a: Expression, over: Over = None, keepdims: bool = False) -> Node:
    """Whether an entry holds (is not 0); data, without a gradient."""
    return call("less", 0, count_nonzero(a, over, keepdims))


@register
def all(a: Expression, over: Over = None, keepdims: bool = False) -> Node:
    """Whether every entry holds (is not 0); data, without a gradient."""
    return call("logical_not", any(call("logical_not", a), over, keepdims))


@register
def count_nonzero(a: Expression, over: Over = None, keepdims: bool = False) -> Node:
    """How many entries are not 0; data, without a gradient."""
    return sum(call("where", call("logical_not", a), 0, 1), over, keepdims)


@register
def variance(a: Expression, over: Over = None, keepdims: bool = False, ddof: int = 0) -> Node:
    """The mean of (a - mean(a))**2, over n - ddof; NumPy's `var` (here `uf.var` is a variable)."""
    a = as_node(a)
    axes, numbers = split_over(a, over)
    square = call("square", a - mean(a, over, keepdims=True))
    if not ddof:
        return mean(square, over, keepdims)
    n = call("extent", multiply(*(a.shape[d] for d in numbers)))
    for axis in axes:
        n = n * size(axis)
    return sum(square, over, keepdims) / (n - ddof)


@register
def std(a: Expression, over: Over = None, keepdims: bool = False, ddof: int = 0) -> Node:
    """The square root of the variance; the gradient is 0 where it is 0."""
    return _root(variance(a, over, keepdims, ddof))


@register
def norm(a: Expression, order: float = 2, over: Over = None, keepdims: bool = False) -> Node:
    """The norm sum(|a|**order)**(1/order), the greatest |a| for `order=inf`; the gradient at 0 is 0.

    >>> import unfold as uf
    >>> float(uf.graph(y=norm(uf.constant([3.0, 4.0])))().y)
    5.0
    """
    a = as_node(a)
    size = call("abs", a)
    if order == float("inf"):
        return max(size, over, keepdims)
    if order == 1:
        return sum(size, over, keepdims)
    if order == 2:
        squares = call("square", a) if a.dtype != Dtype.COMPLEX else call("real", a * call("conj", a))
        return _root(sum(squares, over, keepdims))
    total = sum(size**order, over, keepdims)
    zero = call("equal", total, 0)
    return call("where", zero, 0.0, call("where", zero, 1.0, total) ** (1 / order))


def _root(a: Node) -> Node:
    """The square root, with the gradient 0 at 0."""
    zero = call("equal", a, 0)
    return call("where", zero, 0.0, call("sqrt", call("where", zero, 1.0, a)))
