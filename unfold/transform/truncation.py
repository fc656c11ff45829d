"""Truncated backpropagation through time, as a transformation of graphs.

The values of `truncate(graph, k)` are those of `graph`; its gradient lacks the adjoint edges
that cross from one window of k steps into the one before: what chunked training with a
carried state computes, in one graph.
"""

from __future__ import annotations

from unfold.core.errors import DefinitionError, UnknownName
from unfold.core.kinds import INEXACT
from unfold.core.node import Node, call
from unfold.core.system import G, rebuild, rewrite
from unfold.ops.time.delays import Delay, size, step


def truncate(graph: G, k: int, over: str | None = None) -> G:
    """The graph with no gradient between the windows 1..k, k+1..2k, ... of an axis.

    Every delay `h[t-1]` becomes `h[t-1]` inside a window and `stop_gradient(h[t-1])` where it
    reads from another one; boundary values belong to the first (Williams and Peng 1990).

    >>> import unfold as uf
    >>> t, w = uf.axis("t"), uf.param("w")
    >>> s = uf.var("s", over=t)
    >>> s[0] = 1.0
    >>> s[t] = w * s[t-1]
    >>> x = uf.input("x", over=t)
    >>> g = uf.graph(y=uf.sum(s[t] * x[t], over=t))
    >>> float(g.grad("y")(w=2.0, x=[0, 0, 1.0])["w"])
    12.0
    >>> float(truncate(g, 2).grad("y")(w=2.0, x=[0, 0, 1.0])["w"])
    4.0
    """
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise DefinitionError(f"a window has at least one step, not {k!r}")
    by_name = {a.name: a for a in graph.axes}
    if over is not None and over not in by_name:
        raise UnknownName(f"truncate: no axis {over!r}; this graph has {', '.join(by_name) or 'none'}")
    if over is None and not by_name:
        raise UnknownName("truncate: this graph has no axis left; truncate it before it is unfolded")

    def rule(node: Node, inputs: tuple[Node, ...]) -> Node:
        new = rebuild(node, inputs)
        op = node.op
        if not isinstance(op, Delay) or node.dtype not in INEXACT or over not in (None, op.axis.name):
            return new
        cut = call("where", _inside(op, k), new, call("stop_gradient", new))
        return Node(cut.op, cut.inputs, node.axes, node.shape, node.dtype, node.where)

    return rewrite(graph, rule)


def _inside(op: Delay, k: int) -> Node:
    """Whether a delay reads a step of the same window (a boundary value is in the outermost)."""
    here = step(op.axis) - 1  # from 0
    if op.lag > 0:
        there = call("maximum", here - op.lag, 0)
    else:
        there = call("minimum", here - op.lag, size(op.axis) - 1)
    return call("equal", here - call("remainder", here, k), there - call("remainder", there, k))
