"""A typed graph with its schedule and the sizes of a call: what every later stage asks about a node."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from unfold.analysis.schedule import Loop, Schedule, schedule
from unfold.core import dims
from unfold.core.axis import Axis
from unfold.core.leaves import Symbol
from unfold.core.node import Node, Op
from unfold.core.system import System
from unfold.engine.binding import Binding
from unfold.engine.plan.identifiers import Identifiers
from unfold.engine.plan.view import Letter, Sizes, Type
from unfold.ops.time.delays import Delay

Nest = tuple[Loop, ...]


@dataclass(eq=False)
class Outline:
    """What is computed, in which order, of which sizes. Nothing about memory.

    `wanted` is the order of the axes of every output, `labels` what equations call the nodes they define.
    """

    graph: System
    bound: Binding
    wanted: Mapping[str, tuple[Axis, ...]]
    labels: Mapping[Node, str]

    @cached_property
    def schedule(self) -> Schedule:
        """Nodes (over all their steps at once) and loops, in an order of computation."""
        return schedule(self.graph)

    # ------------------------------------------------------------------ one node
    def resolve(self, node: Node) -> Node:
        """The node behind a symbol."""
        while isinstance(node.op, Symbol):
            node = self.graph.definitions[node]
        return node

    def inputs(self, node: Node) -> list[Node]:
        """What a node reads, symbols resolved."""
        return [self.resolve(u) for u in node.inputs]

    def shape(self, node: Node) -> Sizes:
        """The shape of one step of a value."""
        return tuple(dims.evaluate(d, self.bound.sizes) for d in node.shape)

    def type(self, node: Node) -> Type:
        """Its axes in the order of every buffer, its shape and dtype."""
        if node not in self._types:
            axes = tuple(sorted(node.axes, key=self.order.index))
            self._types[node] = Type(axes, self.shape(node), self.bound.dtype_of(node.dtype))
        return self._types[node]

    def extent(self, axis: Axis) -> int:
        """How many steps an axis has."""
        return self.bound.extents[axis]

    def sizes(self, type: Type) -> dict[Letter, int]:
        """The size of every dimension of a value over all its steps."""
        lead = [self.extent(a) for a in type.axes]
        return dict(zip(type.letters, (*lead, *type.shape), strict=True))

    def op(self, node: Node) -> Op:
        """The operation with every dimension a number."""
        return node.op.at_sizes(self.bound.sizes)

    @cached_property
    def identifiers(self) -> Identifiers:
        """What the nodes are called in printed code."""
        return Identifiers(self.labels, self.resolve)

    def parameter(self, node: Node, name: str) -> Any:
        """A parameter of the operation of a node, as a number."""
        return self.op(node).parameters[name]

    # ------------------------------------------------------------------ among the others
    @cached_property
    def users(self) -> dict[Node, list[Node]]:
        """The nodes that read each node, through symbols."""
        out: dict[Node, list[Node]] = {}
        for node in self.graph.order:
            if not isinstance(node.op, Symbol):
                for u in self.inputs(node):
                    out.setdefault(u, []).append(node)
        return out

    @cached_property
    def delays(self) -> dict[Node, list[Node]]:
        """The delays of each node."""
        out: dict[Node, list[Node]] = {}
        for node in self.graph.order:
            if isinstance(node.op, Delay):
                out.setdefault(self.resolve(node.inputs[0]), []).append(node)
        return out

    @cached_property
    def outputs(self) -> dict[Node, str]:
        """The nodes that are outputs, each with the first name it has."""
        out: dict[Node, str] = {}
        for name, u in self.graph.outputs.items():
            out.setdefault(self.resolve(u), name)
        return out

    @cached_property
    def nest(self) -> dict[Node, Nest]:
        """The loops around each node, outermost first."""
        return dict(self._walk(self.schedule, ()))

    @cached_property
    def position(self) -> dict[Node, int]:
        """The place of each node in the schedule."""
        return {node: k for k, node in enumerate(self.nest)}

    def _walk(self, items: Iterable[Node | Loop], nest: Nest) -> Iterable[tuple[Node, Nest]]:
        for item in items:
            if isinstance(item, Loop):
                yield from self._walk(item.body, (*nest, item))
            else:
                yield item, nest

    @cached_property
    def order(self) -> list[Axis]:
        """All axes: those that are stepped over stand before those that a step holds whole."""
        axes = list(dict.fromkeys(a for n in self.graph.order for a in (*n.axes, *n.op.spans)))
        before: dict[Axis, set[Axis]] = {a: set() for a in axes}
        for node, nest in self.nest.items():
            looped = [a for loop in nest for a in loop.axes]
            for i, a in enumerate(looped):
                for b in [*looped[i + 1 :], *(b for b in node.axes if b not in looped)]:
                    if b not in before[a]:
                        before[b].add(a)
        out: list[Axis] = []
        while len(out) < len(axes):
            left = [a for a in axes if a not in out]
            out.append(next((a for a in left if before[a] <= set(out)), left[0]))
        return out

    @cached_property
    def _types(self) -> dict[Node, Type]:
        return {}
