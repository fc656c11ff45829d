"""Which values hold the axis of a batch innermost: (hidden, n) at each step, not (n, hidden).

A gate of an LSTM is a piece of a row. In rows of (n, 4 hidden) numbers a piece is strided, and a call
on it costs two to four times as much as one on numbers that lie end to end. Turned, each piece is one
block, and a product is W @ h as it is written.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from unfold.analysis.schedule import Loop
from unfold.core.axis import Axis
from unfold.core.leaves import Symbol
from unfold.core.node import Node
from unfold.core.op import Elementwise
from unfold.engine.rewrites.blending import Blend
from unfold.engine.rewrites.packing import Fan
from unfold.ops.array.linear import Contract
from unfold.ops.array.shape import Concat
from unfold.ops.time.delays import Delay, Structural

if TYPE_CHECKING:
    from unfold.engine.plan.plan import Plan


def turned(plan: Plan) -> tuple[Axis | None, set[Node]]:
    """The axis, and the values that hold it innermost: those of loops over pieces of vectors, and
    all that is combined with them entry by entry."""
    axis = plan.order[-1] if plan.order else None
    loops = [item for item in plan.schedule if isinstance(item, Loop)]
    if axis is None or plan.bound.extents[axis] < 2 or any(axis in dict(loop.direction) for loop in loops):
        return None, set()
    group: dict[Node, Node] = {}  # union-find

    def find(node: Node) -> Node:
        while group.setdefault(node, node) is not node:
            node = group[node]
        return node

    for node in plan.graph.order:
        for u in _alike(plan, node):
            if axis in node.axes and axis in u.axes:
                group[find(u)] = find(node)
    groups: dict[Node, list[Node]] = {}
    for node in group:
        groups.setdefault(find(node), []).append(node)
    wanted = {find(n) for loop in loops if _worthy(loop, axis) for n in loop.nodes if n in group}
    fits = [g for root, g in groups.items() if root in wanted and all(len(n.shape) < 2 for n in g)]
    return axis, {n for g in fits for n in g}


def _alike(plan: Plan, node: Node) -> Iterable[Node]:
    """The operands that a value is combined from entry by entry."""
    if isinstance(node.op, Structural):
        inputs = [plan.resolve(node.inputs[0])]
    else:
        known = isinstance(node.op, Elementwise | Blend | Fan | Concat) or node.op.name == "narrow"
        inputs = plan.inputs(node) if known else []
    return [u for u in inputs if not u.op.leaf]


def _worthy(loop: Loop, axis: Axis) -> bool:
    """Whether a loop works on pieces of vectors, and does nothing that wants its values in rows."""
    nodes = [n for n in loop.nodes if not isinstance(n.op, Symbol)]
    plain = (Elementwise, Contract, Concat, Blend, Fan, Delay)
    known = all(isinstance(n.op, plain) or n.op.name == "narrow" for n in nodes)
    vectors = all(len(n.shape) < 2 and axis in n.axes for n in nodes)
    return known and vectors and any(n.op.name == "narrow" and n.shape for n in nodes)
