"""The definition, step by step: the value of a node at an index is its operation applied to
the values it reads. Slow, obvious, and what every other backend is compared with."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np

from unfold.analysis.instances import Steps, needs
from unfold.core import dims
from unfold.core.errors import UnfoldError
from unfold.core.leaves import Input, Param, Symbol
from unfold.core.node import Node
from unfold.core.op import Along
from unfold.core.system import System
from unfold.engine.binding import Array, Binding
from unfold.ops.time.delays import Size, Step, Structural, Zeros


class Reference:
    """Values of a graph on bound arrays, each computed once, when asked for."""

    def __init__(self, graph: System, bound: Binding) -> None:
        self.graph, self.bound = graph, bound
        self.values: dict[tuple[Node, tuple[int, ...]], Array] = {}

    def shape(self, node: Node) -> tuple[int, ...]:
        return tuple(dims.evaluate(d, self.bound.sizes) for d in node.shape)

    def value(self, node: Node, at: Steps) -> Array:
        """The value of a node at an index, by demand (an explicit stack: no recursion)."""
        stack: list[tuple[Node, Steps]] = [(node, at)]
        asked: set[tuple[Node, tuple[int, ...]]] = set()
        while stack:
            n, here = stack[-1]
            key = self.key(n, here)
            if key in self.values:
                stack.pop()
                continue
            reads = needs(self.graph, n, here, self.bound.extents)
            missing = [r for r in reads if self.key(*r) not in self.values]
            if not missing:
                self.values[key] = self._compute(n, here, [self.values[self.key(*r)] for r in reads])
                stack.pop()
            elif key in asked:
                raise UnfoldError(f"{n} at {dict(here)} needs itself: the system has no order of computation")
            else:
                asked.add(key)
                stack.extend(missing)
        return self.values[self.key(node, at)]

    def key(self, node: Node, at: Steps) -> tuple[Node, tuple[int, ...]]:
        return node, tuple(at[a] for a in node.axes)

    def whole(self, node: Node, at: Steps | None = None, like: Node | None = None) -> Array:
        """The value over all steps of its axes (or of those of `like`) but the ones in `at`:
        an array (T, ..., *shape) that is the caller's own."""
        fixed = at or {}
        axes = [a for a in (node if like is None else like).axes if a not in fixed]
        sizes = [self.bound.extents[a] for a in axes]
        out = np.empty((*sizes, *self.shape(node)), self.bound.dtype_of(node.dtype))
        for place in product(*map(range, sizes)):
            out[place] = self.value(node, {**fixed, **{a: i + 1 for a, i in zip(axes, place, strict=True)}})
        return out

    def _compute(self, node: Node, at: Steps, values: list[Array]) -> Array:
        op, shape = node.op, self.shape(node)
        if isinstance(op, Input | Param):
            return np.asarray(self.bound.leaf(node)[tuple(at[a] - 1 for a in node.axes)])
        if isinstance(op, Step | Size):
            return np.asarray(at[op.axis] if isinstance(op, Step) else self.bound.extents[op.axis])
        if isinstance(op, Symbol):
            value = values[0]
        elif isinstance(op, Structural | Zeros):
            value = values[0] if values else np.asarray(0)
        else:
            value = self._apply(node, at, values)
        dtype = self.bound.dtype_of(node.dtype)
        return np.broadcast_to(np.asarray(value).astype(dtype, copy=False), shape)

    def _apply(self, node: Node, at: Steps, values: list[Array]) -> Any:
        op = node.op.at_sizes(self.bound.sizes)
        if not op.spans:
            return op.forward(np, *values)
        assert isinstance(op, Along)
        # the steps of the axes it spans, side by side in front of the value
        axes, arrays = list(op.spans), []
        rest = iter(values)
        sizes = [self.bound.extents[a] for a in axes]
        for u in node.inputs:
            here = [n if a in u.axes else 1 for a, n in zip(axes, sizes, strict=True)]
            steps = [next(rest) for _ in range(int(np.prod(here)))]
            joined = np.stack(steps) if steps else np.empty((0, *self.shape(u)), self.bound.dtype_of(u.dtype))
            arrays.append(np.broadcast_to(joined.reshape(*here, *self.shape(u)), (*sizes, *self.shape(u))))
        out = op.bind(axes, len(node.inputs[0].shape)).forward(np, *arrays)
        return out if op.reduces else out[tuple(at[a] - 1 for a in axes)]


def compile(graph: System) -> Callable[[Binding], dict[str, Array]]:
    """A function from bound arrays to the outputs."""

    def run(bound: Binding) -> dict[str, Array]:
        reference = Reference(graph, bound)
        return {name: reference.whole(node) for name, node in graph.outputs.items()}

    return run
