"""What sequence models do along an axis, beyond sums: windows, and the last step that counts."""

from __future__ import annotations

from typing import Any

from unfold.core.axis import Axis
from unfold.core.errors import ShapeMismatch
from unfold.core.leaves import Expression, as_node
from unfold.core.node import Node, call, register
from unfold.ops.time.delays import delay, step


@register
def window(a: Expression, width: int, over: Axis) -> Node:
    """The last `width` steps of a up to this one, a[t - width + 1], ..., a[t], as a new first
    dimension; zeros before the start.

    >>> import unfold as uf
    >>> t = uf.axis("t")
    >>> x = uf.input("x", over=t)
    >>> uf.graph(w=uf.window(x[t], 2, over=t))(x=[1.0, 2.0, 3.0]).w.tolist()
    [[0.0, 1.0], [1.0, 2.0], [2.0, 3.0]]
    """
    a = as_node(a)
    _check(a, over)
    if isinstance(width, bool) or not isinstance(width, int) or width < 1:
        raise ShapeMismatch(f"window of {a}: the width is a number of steps, not {width!r}")
    return call("stack", [delay(a, over, lag) for lag in range(width - 1, -1, -1)])


@register
def last_valid(a: Expression, valid: Expression, over: Axis) -> Node:
    """a at the last step where `valid` holds; zero where it never does."""
    a, valid = as_node(a), as_node(valid)
    _check(a, over)
    last = call("max", call("where", valid, step(over), 0), over=over)
    return call("sum", call("where", call("equal", step(over), last), a, 0), over=over)


def _check(a: Node, over: Any) -> None:
    if not isinstance(over, Axis) or over not in a.axes:
        have = ", ".join(x.name for x in a.axes) or "no axis"
        raise ShapeMismatch(f"{a} does not vary over {over!r} (it has {have})", shapes=(a.shape,))
