"""Which values hold the axis of a batch innermost: (hidden, n) at each step, not (n, hidden).

A gate of an LSTM is a piece of a row. In rows of (n, 4 hidden) numbers a piece is strided, and a call
on it costs two to four times as much as one on numbers that lie end to end. With the batch innermost each
piece is one block, and a product is W @ h as it is written. Only strides differ: the letters of a view
have the same order.
"""

from __future__ import annotations

from collections.abc import Iterable

from unfold.analysis.schedule import Loop
from unfold.core.axis import Axis
from unfold.core.leaves import Symbol
from unfold.core.node import Node
from unfold.engine.plan.arraycalls import ArrayCall, Held
from unfold.engine.plan.outline import Outline
from unfold.engine.plan.typed import Boundary
from unfold.ops.array.indexing import Narrow
from unfold.ops.array.linear import Contract
from unfold.ops.array.shape import Concat
from unfold.ops.time.delays import Delay, Structural

BY_ENTRY = (ArrayCall, Held, Concat, Narrow)


def innermost(outline: Outline, given: set[Node]) -> tuple[Axis | None, set[Node]]:
    """The axis, and the values that hold it innermost: those of loops over pieces of vectors, and
    all that is combined with them entry by entry. None that the caller will own."""
    axis = outline.order[-1] if outline.order else None
    loops = [item for item in outline.schedule if isinstance(item, Loop)]
    if axis is None or outline.extent(axis) < 2 or any(axis in dict(loop.direction) for loop in loops):
        return None, set()
    groups = _groups(outline, axis)
    wanted = {id(groups[n]) for loop in loops if _worthy(loop, axis) for n in loop.nodes if n in groups}
    fits = {
        id(g): g
        for g in groups.values()
        if id(g) in wanted and all(len(n.shape) < 2 and n not in given for n in g)
    }
    return axis, {n for g in fits.values() for n in g}


def _groups(outline: Outline, axis: Axis) -> dict[Node, list[Node]]:
    """Values over an axis that are combined entry by entry, each with all of its group."""
    groups: dict[Node, list[Node]] = {}
    for node in outline.graph.order:
        for u in _alike(outline, node):
            if axis in node.axes and axis in u.axes:
                one, other = groups.setdefault(node, [node]), groups.setdefault(u, [u])
                if one is not other:
                    less, more = sorted((one, other), key=len)
                    more += less
                    groups.update(dict.fromkeys(less, more))
    return groups


def _alike(outline: Outline, node: Node) -> Iterable[Node]:
    """The operands that a value is combined from entry by entry."""
    if isinstance(node.op, Structural):
        inputs = outline.inputs(node)[:1]
    else:
        inputs = outline.inputs(node) if isinstance(node.op, BY_ENTRY) else []
    return [u for u in inputs if not u.op.leaf]


def _worthy(loop: Loop, axis: Axis) -> bool:
    """Whether a loop works on pieces of vectors, and does nothing that wants its values in rows."""
    nodes = [n for n in loop.nodes if not isinstance(n.op, Symbol | Boundary)]
    known = all(isinstance(n.op, (*BY_ENTRY, Contract, Delay)) for n in nodes)
    vectors = all(len(n.shape) < 2 and axis in n.axes for n in nodes)
    return known and vectors and any(isinstance(n.op, Narrow) and n.shape for n in nodes)
