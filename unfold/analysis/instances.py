"""The nodes of an unfolded graph, made when somebody looks: one for each operation and index."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np

from unfold.core.axis import Axis, Index
from unfold.core.key import Key
from unfold.core.leaves import Named, Symbol, constant
from unfold.core.node import Node, call
from unfold.core.system import System
from unfold.ops.array.reduction import Collect, Pick
from unfold.ops.time.delays import Size, Step, Structural, sources, zeros

Steps = Mapping[Axis, int]


def needs(graph: System, node: Node, at: Steps, extents: Mapping[Axis, int]) -> list[tuple[Node, Steps]]:
    """What the value of a node at an index is computed from: nodes and their indices."""
    op = node.op
    if isinstance(op, Structural) and op.axis in extents:
        which, index = sources(node, np.asarray(at.get(op.axis, 0)), extents[op.axis])
        return [(node.inputs[int(which)], {**at, op.axis: int(index)})] if which >= 0 else []
    whole = [a for a in op.spans if a in extents]
    out: list[tuple[Node, Steps]] = []
    for u in graph.inputs_of(node):
        mine = [a for a in whole if a in u.axes]
        for steps in product(*(range(1, extents[a] + 1) for a in mine)):
            out.append((u, {**at, **dict(zip(mine, steps, strict=True))}))
    return out


class Instances(Mapping[Node, Node]):
    """The definitions of an unfolded graph: symbol `h[3]` -> its node, made when asked for."""

    def __init__(self, graph: System, extents: Mapping[Axis, int]) -> None:
        self.graph, self.extents = graph, extents
        self._made: dict[tuple[Node, tuple[int, ...]], Node] = {}
        self._origin: dict[Node, tuple[Node, Steps]] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return Instances, (self.graph, dict(self.extents))

    def __getitem__(self, symbol: Node) -> Node:
        if symbol not in self._origin:
            raise KeyError(symbol)
        template, at = self._origin[symbol]
        return self.make(self.graph.definitions[template], at)

    def __len__(self) -> int:
        return sum(1 for _ in self._places())

    def __iter__(self) -> Iterator[Node]:
        return (self.make(s, at) for s, at in self._places())

    def _places(self) -> Iterator[tuple[Node, Steps]]:
        for s in self.graph.order:
            if isinstance(s.op, Symbol):
                yield from ((s, at) for at in self.places(s))

    def places(self, node: Node) -> Iterator[Steps]:
        """All steps of a node: assignments of its unfolded axes."""
        axes = [a for a in node.axes if a in self.extents]
        for steps in product(*(range(1, self.extents[a] + 1) for a in axes)):
            yield dict(zip(axes, steps, strict=True))

    def make(self, node: Node, at: Steps) -> Node:
        """The instance of a node at the given steps; the same object each time."""
        stack = [(node, at)]
        while stack:
            n, here = stack[-1]
            if self._key(n, here) in self._made:
                stack.pop()
                continue
            reads = [] if n.op.leaf else needs(self.graph, n, here, self.extents)
            missing = [r for r in reads if self._key(*r) not in self._made]
            if missing:
                stack.extend(missing)
            else:
                made = self._instance(n, here, tuple(self._made[self._key(*r)] for r in reads))
                self._made[self._key(n, here)] = made
                stack.pop()
        return self._made[self._key(node, at)]

    def origin(self, node: Node) -> tuple[Node, Steps] | None:
        """The node of the cyclic graph, and the steps, that an instance was made from."""
        if node in self._origin:
            return self._origin[node]
        for (base, steps), made in self._made.items():
            if made is node and not base.op.structural:
                return base, dict(zip((a for a in base.axes if a in self.extents), steps, strict=True))
        return None

    def _key(self, node: Node, at: Steps) -> tuple[Node, tuple[int, ...]]:
        return node, tuple(at[a] for a in node.axes if a in self.extents)

    def _instance(self, node: Node, at: Steps, inputs: tuple[Node, ...]) -> Node:
        op = node.op
        axes = tuple(a for a in node.axes if a not in self.extents)
        if isinstance(op, Structural) and op.axis in self.extents:
            return inputs[0] if inputs else zeros(node.shape, node.dtype)
        if isinstance(op, Step | Size) and op.axis in self.extents:
            return constant(at[op.axis] if isinstance(op, Step) else self.extents[op.axis])
        if isinstance(op, Symbol):
            return self._symbol(node, op, at, axes)
        if isinstance(op, Named):
            places = (op.index or tuple(a.now for a in node.axes)) if axes != node.axes else op.index
            return Node(
                replace(op, index=self._index(places, at)), (), axes, node.shape, node.dtype, node.where
            )
        if isinstance(op, Pick) and op.axis in self.extents:
            picked = Pick(op.axis, at[op.axis], len(inputs[0].shape))
            return Node(picked, inputs, axes, node.shape, node.dtype, node.where)
        if any(a in self.extents for a in op.spans):
            if not inputs:
                return zeros(node.shape, node.dtype)
            return call("stack" if isinstance(op, Collect) else "add", *inputs)
        return Node(op, inputs, axes, node.shape, node.dtype, node.where)

    def _symbol(self, node: Node, op: Symbol, at: Steps, axes: tuple[Axis, ...]) -> Node:
        index = self._index(op.index, at)
        index += tuple(at[a] for a in node.axes if a in self.extents and not _mentions(op, a))
        made = Node(replace(op, index=index), (), axes, node.shape, node.dtype, node.where)
        self._origin[made] = (node, at)
        return made

    def _index(self, places: tuple[Index | int, ...], at: Steps) -> tuple[Index | int, ...]:
        return tuple(
            i.resolve(at.get(i.axis, 0), self.extents[i.axis])
            if isinstance(i, Index) and i.axis in self.extents
            else i
            for i in places
        )


def _mentions(op: Symbol, axis: Axis) -> bool:
    return any(isinstance(i, Index) and i.axis == axis for i in op.index)


class Outputs(Mapping[str, Node]):
    """The outputs of an unfolded graph: `loss`, and `o[1]`, `o[2]`, ... for one over an axis."""

    def __init__(self, nodes: Instances) -> None:
        self.nodes = nodes

    def __reduce__(self) -> tuple[Any, ...]:
        return Outputs, (self.nodes,)

    def _places(self) -> Iterator[tuple[Key, Node, Steps]]:
        for name, node in self.nodes.graph.outputs.items():
            for at in self.nodes.places(node):
                yield Key(name, tuple(at.values())), node, at

    @cached_property
    def _index(self) -> dict[str, tuple[Node, Steps]]:
        return {str(key): (node, at) for key, node, at in self._places()}

    def __getitem__(self, name: str) -> Node:
        if name in self.nodes.graph.outputs and not self.nodes.graph.outputs[name].axes:
            return self.nodes.make(self.nodes.graph.outputs[name], {})
        return self.nodes.make(*self._index[name])

    def __iter__(self) -> Iterator[str]:
        return (str(key) for key, _, _ in self._places())

    def __len__(self) -> int:
        return sum(1 for _ in self._places())

    @cached_property
    def keys_by_name(self) -> dict[str, Key]:
        """The outputs that are steps of one."""
        return {str(key): key for key, _, _ in self._places() if key.steps}


class OutputSteps(Mapping[str, Key]):
    """The outputs of an unfolded graph that are steps of one, found when somebody asks."""

    def __init__(self, outputs: Outputs) -> None:
        self.outputs = outputs

    def __getitem__(self, name: str) -> Key:
        return self.outputs.keys_by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.outputs.keys_by_name)

    def __len__(self) -> int:
        return len(self.outputs.keys_by_name)


def made_from(graph: System) -> tuple[System, dict[Axis, int]]:
    """The graph that an unfolded one was made from, if it still knows, and the lengths; else itself."""
    made = graph.definitions
    return (made.graph, dict(made.extents)) if isinstance(made, Instances) else (graph, {})


def template(graph: System) -> System:
    """The graph that an unfolded one was made from, if it still knows; itself otherwise."""
    return made_from(graph)[0]
