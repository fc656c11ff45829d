"""Every value of a graph at once: for each node an array (steps of its axes..., value).

Nodes on no cycle are computed for all steps in one call, loops step by step, in any dtype
(complex128 and long double included). It is written for checking, from the schedule of
`unfold.analysis.schedule` alone: it shares no code with the backends it judges.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np

from unfold.analysis.instances import Steps
from unfold.analysis.schedule import Loop, schedule
from unfold.check.numbers.rounding import Nudge
from unfold.core import dims
from unfold.core.axis import Axis
from unfold.core.leaves import Constant, Input, Param, Symbol
from unfold.core.node import Node
from unfold.core.op import Along, Elementwise
from unfold.engine.binding import Array, Binding
from unfold.graph import Graph
from unfold.ops.time.delays import Size, Step, Structural, Zeros

EVERYWHERE: Steps = {}
Constraint = tuple[tuple[tuple[Axis, int], ...], int]


class NodeFunction:
    """One node as a function of the whole arrays of its inputs, all steps at once or, given
    the step of some axes, there only."""

    def __init__(
        self, node: Node, bound: Binding, fixed: Sequence[Axis] = (), nudge: Nudge | None = None
    ) -> None:
        self.node, self.bound, self.nudge = node, bound, nudge
        self._factors: list[Array | None] | None = None  # the same at every step
        self.axes = [a for a in node.axes if a not in fixed]
        self.fixed = tuple(fixed)
        self.shape = tuple(dims.evaluate(d, bound.sizes) for d in node.shape)
        self.sizes = [bound.extents[a] for a in self.axes]
        self.op = node.op.at_sizes(bound.sizes)
        self.over = [*self.op.spans, *(a for a in self.axes if a not in self.op.spans)]
        if isinstance(self.op, Along) and self.op.spans:
            self.op = self.op.bind(self.over, len(node.inputs[0].shape))
        self.pads = [
            len(node.shape) - len(u.shape) if isinstance(self.op, Elementwise) and self.over else 0
            for u in node.inputs
        ]
        self.joins = not isinstance(self.op, Elementwise) and node.op.name not in ("contract", "take")
        self.dtype = bound.dtype_of(node.dtype)

    def __call__(self, operands: Sequence[Array], at: Steps = EVERYWHERE) -> Any:
        """The value over the axes that are not fixed; broadcasts to (sizes, shape)."""
        node, op = self.node, self.op
        if isinstance(op, Structural):
            return self._move(op, operands, at)
        if op.leaf:
            return self._leaf(at)
        arrays = [
            self.align(read(x, u, at), u, self.over, pad)
            for x, u, pad in zip(operands, node.inputs, self.pads, strict=True)
        ]
        if self.nudge is not None:
            arrays = self._nudged(arrays, self.nudge)
        if self.joins and self.over and len(arrays) > 1:
            arrays = self._join(arrays)
        out = op.forward(np, *arrays)
        out = out if self.nudge is None else np.asarray(out)
        spans = node.op.spans
        if spans and not op.reduces:  # type: ignore[attr-defined]
            out = np.moveaxis(out, range(len(self.over)), [self.axes.index(a) for a in self.over])
        return out

    def whole(self, operands: Sequence[Array]) -> Array:
        """The value over all steps, as an array of its full shape and dtype."""
        out = np.asarray(self(operands))
        return np.broadcast_to(out.astype(self.dtype, copy=False), (*self.sizes, *self.shape))

    def _nudged(self, arrays: list[Array], nudge: Nudge) -> list[Array]:
        if self._factors is None:
            self._factors = [nudge.factors(x) for x in arrays]
        moved = [x if f is None else x * f for x, f in zip(arrays, self._factors, strict=True)]
        return [nudge.inside(x) for x in moved]

    def align(self, x: Array, u: Node, axes: Sequence[Axis], pad: int = 0) -> Array:
        """An operand with its axes in the order of `axes` (1 where it does not vary)."""
        if not axes:
            return x
        own = [a for a in u.axes if a not in self.fixed]
        order = [own.index(a) for a in axes if a in own]
        if order != list(range(len(order))):
            x = x.transpose(*order, *range(len(own), x.ndim))
        if len(own) == len(axes) and not pad:
            return x
        lead = iter(x.shape)
        sizes = [next(lead) if a in own else 1 for a in axes]
        return x.reshape((*sizes, *[1] * pad, *x.shape[len(own) :]))

    def _join(self, arrays: list[Array]) -> list[Array]:
        n = len(self.over)
        lead = np.broadcast_shapes(*(x.shape[:n] for x in arrays))
        return [np.broadcast_to(x, (*lead, *x.shape[n:])) for x in arrays]

    def _leaf(self, at: Steps) -> Any:
        op = self.op
        if isinstance(op, Input | Param):
            return read(self.bound.leaf(self.node), self.node, at)
        if isinstance(op, Constant):
            return op.value
        if isinstance(op, Step):
            return at[op.axis] if op.axis in at else np.arange(1, self.bound.extents[op.axis] + 1)
        if isinstance(op, Size):
            return self.bound.extents[op.axis]
        return 0 if isinstance(op, Zeros) else op.forward(np)

    def _move(self, op: Structural, operands: Sequence[Array], at: Steps) -> Any:
        axis, inputs = op.axis, self.node.inputs
        size = self.bound.extents[axis]
        if axis not in self.axes:
            which, index = op.sources(np.asarray(at.get(axis, 0)), size, len(inputs))
            if which < 0:
                return np.zeros(self.shape, self.dtype)
            u = inputs[int(which)]
            out = read(operands[int(which)], u, {**at, axis: int(index)})
            return self._align_without(out, u, axis)
        which, index = op.sources(np.arange(1, size + 1), size, len(inputs))
        which, index = np.broadcast_to(which, size), np.clip(np.broadcast_to(index, size), 1, max(1, size))
        place = self.axes.index(axis)
        out = np.zeros((*self.sizes, *self.shape), self.dtype)
        for number in sorted(set(which.tolist()) - {-1}):
            here = np.nonzero(which == number)[0]
            u = inputs[number]
            x = self.align(read(operands[number], u, at), u, self.axes)
            if axis in u.axes:
                x = np.take(x, index[here] - 1, axis=place)
            where: tuple[Any, ...] = (*[slice(None)] * place, here)
            out[where] = x
        return out

    def _align_without(self, x: Array, u: Node, axis: Axis) -> Array:
        own = [a for a in u.axes if a not in self.fixed and a != axis]
        order = [own.index(a) for a in self.axes if a in own]
        x = x.transpose(*order, *range(len(own), x.ndim)) if order != list(range(len(order))) else x
        if len(own) == len(self.axes):
            return x
        lead = iter(x.shape)
        sizes = [next(lead) if a in own else 1 for a in self.axes]
        return x.reshape((*sizes, *x.shape[len(own) :]))


def read(x: Array, u: Node, at: Steps) -> Array:
    """An array over the axes of `u`, at the given steps."""
    if not at:
        return x
    here = tuple(at[a] - 1 if a in at else slice(None) for a in u.axes)
    return x[here] if here else x


def record(
    graph: Graph, bound: Binding, keep: Iterable[Node] | None = None, nudge: Nudge | None = None
) -> dict[Node, Array]:
    """The value of every node over all steps of its axes; of those in `keep` only, the
    others forgotten as soon as nothing needs them, where it is given."""
    return _Recorder(graph, bound, keep, nudge).values


def choices(graph: Graph) -> list[Node]:
    """The nodes that decide instead of computing: truths and integers."""
    return [n for n in graph.order if n.dtype in ("bool", "int")]


class _Recorder:
    def __init__(
        self, graph: Graph, bound: Binding, keep: Iterable[Node] | None, nudge: Nudge | None
    ) -> None:
        self.graph, self.bound, self.nudge = graph, bound, nudge
        self._given = {} if nudge is None else {n: nudge.plain[n] for n in choices(graph)}
        self.values: dict[Node, Array] = {}
        self._keep = None if keep is None else set(keep)
        self._readers = {n: len(users) for n, users in graph.users.items()}
        for item in schedule(graph):
            if isinstance(item, Loop):
                self._allocate(item)
                self._kernels: dict[Node, NodeFunction] = {}
                self._prepare(item, ())
                self._run(item, [])
            elif item in self._given:
                self.values[item] = self._given[item]
            elif isinstance(item.op, Symbol):
                self.values[item] = self._over(graph.definitions[item], item)
            else:
                kernel = NodeFunction(item, bound, nudge=nudge)
                self.values[item] = kernel.whole([self.values[u] for u in item.inputs])
            self._forget(item.nodes if isinstance(item, Loop) else [item])

    def _forget(self, done: Iterable[Node]) -> None:
        if self._keep is None:
            return
        for node in done:
            for u in self.graph.inputs_of(node):
                self._readers[u] -= 1
                if not self._readers[u] and u not in self._keep:
                    self.values.pop(u, None)

    def _full(self, node: Node) -> tuple[int, ...]:
        sizes = [self.bound.extents[a] for a in node.axes]
        return (*sizes, *(dims.evaluate(d, self.bound.sizes) for d in node.shape))

    def _over(self, body: Node, symbol: Node) -> Array:
        """The value of a definition over the axes of its symbol."""
        x = self.values[body]
        if body.axes == symbol.axes:
            return x
        x = NodeFunction(symbol, self.bound).align(x, body, symbol.axes)
        return np.broadcast_to(x, self._full(symbol))

    def _allocate(self, loop: Loop) -> None:
        for node in loop.nodes:
            self.values[node] = np.zeros(self._full(node), self.bound.dtype_of(node.dtype))
        for node in loop.nodes:
            body = self.graph.definitions.get(node) if isinstance(node.op, Symbol) else None
            if body is not None and body.axes == node.axes:
                self.values[node] = self.values[body]
        self.values |= {n: x for n, x in self._given.items() if n in self.values}

    def _prepare(self, loop: Loop, fixed: tuple[Axis, ...]) -> None:
        fixed = (*fixed, *(a for a, _ in loop.direction if a not in fixed))
        for item in loop.body:
            if isinstance(item, Loop):
                self._prepare(item, fixed)
            else:
                self._kernels[item] = NodeFunction(item, self.bound, fixed, self.nudge)

    def _run(self, loop: Loop, outer: list[tuple[Loop, int]]) -> None:
        ends = [f * n for a, f in loop.direction for n in (self.bound.extents[a],)]
        low = sum(min(f, e) for (_, f), e in zip(loop.direction, ends, strict=True))
        high = sum(max(f, e) for (_, f), e in zip(loop.direction, ends, strict=True))
        if any(self.bound.extents[a] == 0 for a, _ in loop.direction):
            return
        offsets = loop.offsets.values()
        for tau in range(low - max(offsets), high - min(offsets) + 1):
            around = [*outer, (loop, tau)]
            for item in loop.body:
                if isinstance(item, Loop):
                    self._run(item, around)
                    continue
                for at in self._points([(k.direction, n + k.offsets[item]) for k, n in around]):
                    self._compute(item, at)

    def _compute(self, node: Node, at: Steps) -> None:
        if node in self._given:
            return
        here = tuple(at[a] - 1 if a in at else slice(None) for a in node.axes)
        if isinstance(node.op, Symbol):
            body = self.graph.definitions[node]
            if self.values[body] is not self.values[node]:
                kernel = self._kernels[node]
                self.values[node][here] = kernel.align(read(self.values[body], body, at), body, kernel.axes)
            return
        self.values[node][here] = self._kernels[node]([self.values[u] for u in node.inputs], at)

    def _points(self, constraints: Sequence[Constraint]) -> Iterator[Steps]:
        """The steps, over the axes of the enclosing loops, at which all of them stand."""
        at: dict[Axis, int] = {}
        for direction, value in constraints:
            if len(direction) == 1:
                ((axis, factor),) = direction
                step, rest = divmod(value, factor)
                if rest or at.setdefault(axis, step) != step or not 1 <= step <= self.bound.extents[axis]:
                    return
        wide = [(d, v) for d, v in constraints if len(d) > 1]
        free = [a for a in dict.fromkeys(a for d, _ in wide for a, _ in d) if a not in at]
        for steps in product(*(range(1, self.bound.extents[a] + 1) for a in free)):
            here = {**at, **dict(zip(free, steps, strict=True))}
            if all(sum(f * here[a] for a, f in d) == v for d, v in wide):
                yield here
