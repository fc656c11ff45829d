"""What values are called in printed code: by the equations that define them, as a person would."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from unfold.core.leaves import Named
from unfold.core.node import Node
from unfold.engine.plan.arraycalls import ArrayCall, Held
from unfold.engine.plan.typed import Boundary
from unfold.ops.array.linear import Contract
from unfold.ops.array.shape import Transpose
from unfold.ops.time.delays import Delay

LONGEST = 8  # letters of a name that is put together from two
DEEPEST = 3  # nodes below a node that say what it is called


@dataclass
class Identifiers:
    """Names for the nodes of a typed graph, from the labels ("h[t]") of those that equations define."""

    labels: Mapping[Node, str]
    resolve: Callable[[Node], Node]
    _known: dict[Node, str] = field(default_factory=dict)

    def of(self, node: Node) -> str:
        """A Python identifier, the same for all nodes of one label."""
        if node not in self._known:
            self._known[node] = self._made(node, DEEPEST)
        return self._known[node]

    def _made(self, node: Node, depth: int) -> str:
        node = self.resolve(node)
        op = node.op
        if node in self.labels:
            return identifier(self.labels[node])
        if isinstance(op, Named):
            return identifier(str(op))
        if not depth or isinstance(op, ArrayCall):
            return "a"
        if isinstance(op, Delay):
            steps = f"{'m' if op.lag > 0 else 'p'}{abs(op.lag)}"
            return f"{self._made(node.inputs[0], depth - 1)}_{identifier(op.axis.name)}{steps}"
        if isinstance(op, Boundary):
            return "start" if op.side > 0 else "end"
        if isinstance(op, Transpose | Held):
            return self._made(node.inputs[0], depth - 1)
        if isinstance(op, Contract):
            name = "".join(self._made(u, depth - 1) for u in node.inputs)
            return name if len(name) <= LONGEST else "a"
        return identifier(op.name)


def identifier(label: str) -> str:
    """A label without its axes, as Python allows it: `h[t, n]` is h, `h[0]` is h_0."""
    name, _, index = label.partition("[")
    if any(c.isdigit() for c in index):
        name += "_" + index
    text = re.sub(r"\W+", "_", name).strip("_")
    return text if text and not text[0].isdigit() else f"_{text}"
