"""The typed graph: every repeat, every copy and every boundary value is a node, and every node has the
axes, the shape and the kind that its operation gives.

What follows schedules these nodes, gives each a place and prints each; no later stage adds a value.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np

from unfold.core.axis import Axis
from unfold.core.dims import Shape
from unfold.core.leaves import Constant, Symbol, constant
from unfold.core.node import Node, Op, call
from unfold.core.op import Elementwise
from unfold.core.system import System, rebuild
from unfold.engine.binding import Binding
from unfold.engine.plan.arraycalls import DTYPES, Held, array_calls
from unfold.engine.plan.view import NotPlanned
from unfold.engine.rewrites.passes import Copy, Passed, SumOfProducts
from unfold.ops.array.linear import Contract
from unfold.ops.array.shape import Broadcast_to, Concat, Reshape
from unfold.ops.time.delays import Delay, Structural, Zeros

Axes = dict[Node, tuple[Axis, ...]]


@dataclass(frozen=True)
class Boundary(Op):
    """a value of a sequence outside 1..T: number `number` before its first step (side 1) or behind its
    last one (side -1), written where the delayed sequence reads it"""

    axis: Axis = Axis("t")
    side: int = 1
    number: int = 0
    shape: Shape = ()
    to: str = "float"

    symbol: ClassVar[str] = "0"

    def infer(self, *inputs: Node) -> tuple[Shape, str]:
        return self.shape, self.to

    def forward(self, xp: Any, a: Any) -> Any:
        return a


# ---------------------------------------------------------------------- before the passes
def declared(graph: System) -> System:
    """The graph where every definition has the shape and the kind of its symbol."""
    definitions = dict(graph.definitions)
    for symbol, node in graph.definitions.items():
        node = _held(node, (), symbol.dtype)
        definitions[symbol] = call("broadcast_to", node, symbol.shape)
    return System(graph.outputs, definitions, graph.spare)


def settled(graph: System) -> Passed:
    """Every node with the axes along which it really varies: a boundary value may vary along more than
    the equation it stands for. The least axes that fit, by a fixed point over the cycles."""
    axes = _axes_of(graph)
    if all(len(axes[n]) == len(n.axes) for n in graph.order):
        return graph, {n: n for n in graph.order}
    done: dict[Node, Node] = {}
    for n in graph.order:
        inputs = tuple(done[u] for u in n.inputs)
        same = len(axes[n]) == len(n.axes) and all(a is b for a, b in zip(inputs, n.inputs, strict=True))
        done[n] = n if same else Node(n.op, inputs, axes[n], n.shape, n.dtype, n.where)
    definitions = {done[s]: done[d] for s, d in graph.definitions.items() if s in done}
    return System({k: done[u] for k, u in graph.outputs.items()}, definitions, graph.spare), done


def _axes_of(graph: System) -> Axes:
    axes: Axes = {n: n.axes for n in graph.order}
    waiting, queued = deque(graph.order), set(graph.order)
    while waiting:
        n = waiting.popleft()
        queued.discard(n)
        given = [SimpleNamespace(axes=axes[u]) for u in graph.inputs_of(n)]
        found = given[0].axes if isinstance(n.op, Symbol) else n.op.infer_axes(*given)  # type: ignore[arg-type]
        new = tuple(a for a in found if a not in axes[n])
        if new:
            axes[n] += new
            for user in graph.users.get(n, ()):
                if user not in queued:
                    queued.add(user)
                    waiting.append(user)
    return axes


# ---------------------------------------------------------------------- the graph itself
@dataclass
class _Typing:
    """What has been made so far."""

    graph: System
    bound: Binding
    done: dict[Node, Node]
    made: dict[Any, Node]

    def resolve(self, node: Node) -> Node:
        """The node behind a symbol, in the graph that is typed."""
        while isinstance(node.op, Symbol):
            node = self.graph.definitions[node]
        return node

    def held(self, node: Node, axes: tuple[Axis, ...], kind: str) -> Node:
        """The node over at least these axes and of this kind; one for all who ask."""
        key = (node, frozenset(axes), kind)
        if key not in self.made:
            self.made[key] = _held(node, axes, kind)
        return self.made[key]


def typed(graph: System, bound: Binding) -> Passed:
    """The request as a typed graph, and what became of each node. Raises `NotPlanned` where a node is not
    what its operation makes."""
    graph, settling = settled(graph)
    work = _Typing(graph, bound, {}, {})
    for node in graph.order:
        inputs = tuple(work.done[u] for u in node.inputs)
        rule = next((_RULES[cls] for cls in type(node.op).__mro__ if cls in _RULES), _as_it_is)
        work.done[node] = rule(work, node, inputs)
    definitions = {}
    for symbol, node in graph.definitions.items():
        if symbol in work.done:
            new = work.done[symbol]
            definitions[new] = work.held(work.done[node], new.axes, new.dtype)
    result = System({k: work.done[u] for k, u in graph.outputs.items()}, definitions, graph.spare)
    valid(result)
    return result, {n: work.done[u] for n, u in settling.items()}


Rule = Callable[[_Typing, Node, tuple[Node, ...]], Node]


def _as_it_is(work: _Typing, node: Node, inputs: tuple[Node, ...]) -> Node:
    return rebuild(node, inputs)


def _delay(work: _Typing, node: Node, inputs: tuple[Node, ...]) -> Node:
    """x[t - k]: reads a buffer as wide as its boundary values, which are written by nodes of their own."""
    op = node.op
    assert isinstance(op, Delay)
    source = inputs[0]
    if set(source.axes) != set(node.axes) or source.dtype != node.dtype:
        source = work.held(source, node.axes, node.dtype)
    rest = tuple(a for a in node.axes if a != op.axis)
    ends = []
    values = [_ZERO if is_zero(u, work.resolve) else work.done[u] for u in node.inputs[1:]]
    for m, value in enumerate((values or [_ZERO] * abs(op.lag))[: abs(op.lag)]):
        key = (source, op.axis, op.lag > 0, m)
        if key not in work.made:
            edge = Boundary(op.axis, 1 if op.lag > 0 else -1, m, node.shape, node.dtype)
            work.made[key] = Node(edge, (value,), rest, node.shape, node.dtype, node.where)
        ends.append(work.made[key])
    return Node(op, (source, *ends), node.axes, node.shape, node.dtype, node.where)


def _moved(work: _Typing, node: Node, inputs: tuple[Node, ...]) -> Node:
    """The other time operations look at what they read: it must be of their kind."""
    return rebuild(node, tuple(work.held(u, (), node.dtype) for u in inputs))


def _alike(work: _Typing, node: Node, inputs: tuple[Node, ...]) -> Node:
    """Products and concatenations take values of one kind."""
    return rebuild(node, tuple(work.held(u, (), node.dtype) for u in inputs))


def _elementwise(work: _Typing, node: Node, inputs: tuple[Node, ...]) -> Node:
    found = array_calls(node, inputs, work.bound, lambda u, kind: work.held(u, (), kind))
    return rebuild(node, inputs) if found is None else found


def _copy(work: _Typing, node: Node, inputs: tuple[Node, ...]) -> Node:
    return Node(Held(node.dtype), inputs, node.axes, node.shape, node.dtype, node.where)


_RULES: Mapping[type[Op], Rule] = {
    Delay: _delay,
    Structural: _moved,
    Contract: _alike,
    SumOfProducts: _alike,
    Concat: _alike,
    Copy: _copy,
    Held: _as_it_is,
    Elementwise: _elementwise,
}
_ZERO = constant(np.zeros((), np.bool_))


def _held(node: Node, axes: tuple[Axis, ...], kind: str) -> Node:
    """The node over at least these axes and of this kind; itself where it is that already."""
    if set(axes) <= set(node.axes) and node.dtype == kind:
        return node
    if isinstance(node.op, Constant) and not axes:
        return constant(node.op.value.astype(DTYPES[kind]))
    if isinstance(node.op, Broadcast_to) and isinstance(node.inputs[0].op, Constant) and not axes:
        return Node(node.op, (_held(node.inputs[0], (), kind),), node.axes, node.shape, kind, node.where)
    wide = (*node.axes, *(a for a in axes if a not in node.axes))
    return Node(Held(kind), (node,), wide, node.shape, kind, node.where)


def is_zero(node: Node, resolve: Callable[[Node], Node] = lambda node: node) -> bool:
    """Whether a node is known to be 0 everywhere."""
    node = resolve(node)
    while isinstance(node.op, Held | Copy | Broadcast_to | Reshape):
        node = resolve(node.inputs[0])
    if isinstance(node.op, Concat):
        return all(isinstance(resolve(u).op, Zeros | Constant) and is_zero(u, resolve) for u in node.inputs)
    return isinstance(node.op, Zeros) or (isinstance(node.op, Constant) and not node.op.value.any())


# ---------------------------------------------------------------------- valid
def valid(graph: System) -> None:
    """Raise `NotPlanned` where a node is not what its operation makes of its inputs: another shape, another
    kind, or fewer axes than its inputs have."""
    for node in graph.order:
        if isinstance(node.op, Symbol):
            body = graph.definitions[node]
            want: tuple[Shape, str, set[Axis]] = body.shape, body.dtype, set(body.axes)
        elif node.op.leaf:
            continue
        else:
            want = *node.op.infer(*node.inputs), set(node.op.infer_axes(*node.inputs))
        have = node.shape, node.dtype, set(node.axes)
        if have[:2] != want[:2] or not want[2] <= have[2]:
            raise NotPlanned(f"{node.op.name}: a value {_told(*have)} stands in place of one {_told(*want)}")


def _told(shape: Shape, kind: str, axes: set[Axis]) -> str:
    return f"of {kind} {shape} over {sorted(a.name for a in axes)}"
