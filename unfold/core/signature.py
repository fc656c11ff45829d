"""The arrays that a call of a system takes: their names and leading dimensions."""

from __future__ import annotations

from unfold.core.axis import Axis
from unfold.core.leaves import Named, label_of
from unfold.core.node import Node
from unfold.core.system import System


def by_label(graph: System) -> dict[str, list[Node]]:
    """The inputs and parameters by the name of their array; unfolded, one array has many nodes."""
    leaves: dict[str, list[Node]] = {}
    for node in [*graph.inputs.values(), *graph.params.values()]:
        leaves.setdefault(label_of(node), []).append(node)
    return leaves


def leading(nodes: list[Node]) -> list[Axis | int]:
    """The leading dimensions of a leaf's array: axes, or the number of steps unfolded."""
    op = nodes[0].op
    assert isinstance(op, Named)
    if not op.index:
        return list(nodes[0].axes)
    indices = [n.op.index for n in nodes if isinstance(n.op, Named)]
    out: list[Axis | int] = []
    for place, first in enumerate(op.index):
        steps = [i[place] for i in indices]
        out.append(max(s for s in steps if isinstance(s, int)) if isinstance(first, int) else first.axis)
    return out


def signature(graph: System) -> dict[str, tuple[Node, tuple[Axis | int, ...]]]:
    """The arrays a call takes: name -> (a leaf that reads it, the leading dimensions)."""
    own = {name: (nodes[0], tuple(leading(nodes))) for name, nodes in by_label(graph).items()}
    return own | dict(graph.spare)
