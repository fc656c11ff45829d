"""A system over an axis as a start and a step: what is carried from one step to the next.

`StepBuilder` copies a graph node by node. A delay becomes states that go in and come out; so does
a running sum; what does not depend on the step is computed at the start and held.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unfold.core import dims
from unfold.core.axis import Axis
from unfold.core.errors import BindingError, NotCausal, UnfoldError
from unfold.core.leaves import Input, Named, Param, Symbol, constant
from unfold.core.node import Node, Op, call
from unfold.core.op import apply
from unfold.core.system import postorder, reach, rebuild, rewrite
from unfold.engine.run import Result
from unfold.graph import Graph
from unfold.ops.time.delays import At, Delay, Size, Step, Structural
from unfold.transform.simplify import with_axes


@dataclass(frozen=True)
class Stream:
    """A system ready to run step by step.

    `step` is the graph of one step (inputs: the step's data, the state; outputs: the wanted
    ones, the next state); `start` gives the first state. `state` has the names of what is
    carried: what changes ("h[t-1]") and what is only held (a context).
    """

    start: Graph
    step: Graph
    state: tuple[str, ...]
    moving: frozenset[str]  # the states that change
    axes: Mapping[str, tuple[Axis, ...]]  # of each state
    known: frozenset[str]  # what a call may give: arrays, and lengths of the axes that are left

    def init(self, /, **arrays: Any) -> dict[str, Any]:
        """The state before the first step, from parameters and whatever inputs it needs.
        For a batch without such inputs, give its size: `init(n=32, **weights)`."""
        names = {a.name for axes in self.axes.values() for a in axes}
        sizes = {name: int(arrays[name]) for name in names if name in arrays}
        outputs = self.start(**only(self.start, arrays, self.known))
        return {name: self._spread(name, np.asarray(outputs[name]), sizes) for name in self.state}

    def _spread(self, name: str, value: NDArray[Any], sizes: Mapping[str, int]) -> NDArray[Any]:
        """A first value over all axes of its state, in their order."""
        have, want = self.start.outputs[name].axes, self.axes[name]
        order = [have.index(a) for a in want if a in have]
        value = value.transpose(*order, *range(len(have), value.ndim))
        for place, axis in enumerate(want):
            if axis not in have:
                if axis.name not in sizes:
                    raise BindingError(
                        f"how many? init needs the size of axis {axis.name}: init({axis.name}=...)"
                    )
                value = np.repeat(np.expand_dims(value, place), sizes[axis.name], axis=place)
        return value

    def __call__(self, state: Mapping[str, Any], /, **arrays: Any) -> tuple[Result, dict[str, Any]]:
        """The outputs of one step, and the state after it."""
        out = self.step(**only(self.step, arrays, self.known), **only(self.step, state, None))
        return out, {name: out.pop(name) if name in self.moving else state[name] for name in self.state}


def depends(graph: Graph, axis: Axis) -> set[Node]:
    """What depends on the step: everything over the axis, and what is computed from that."""
    here = [u for u in graph.order if axis in u.axes or (isinstance(u.op, Size) and u.op.axis == axis)]
    return reach(here, lambda n: graph.users.get(n, ()))


def name_of(graph: Graph, node: Node) -> str:
    """What the node, or the variable that it defines, is called; else its operation."""
    op = graph.names.get(node, node).op
    return op.label if isinstance(op, Named) else op.name


def only(graph: Graph, arrays: Mapping[str, Any], known: frozenset[str] | None) -> dict[str, Any]:
    """Those arrays and lengths that a graph takes; raises for a name that none would take."""
    for name in arrays:
        if known is not None and name not in known:
            raise BindingError(f"unknown argument {name!r}: this system takes {', '.join(sorted(known))}")
    taken = {*graph.inputs, *graph.params, *(a.name for a in graph.axes)}
    return {k: v for k, v in arrays.items() if k in taken}


@dataclass
class StepBuilder:
    """Collects the states while nodes are copied without the axis."""

    graph: Graph
    axis: Axis
    done: dict[Node, Node] = field(default_factory=dict)
    first: dict[str, Node] = field(default_factory=dict)  # state -> its value before the first step
    after: dict[str, Node] = field(default_factory=dict)  # state -> its next value
    late: list[tuple[str, Node]] = field(default_factory=list)  # state -> original node it remembers
    registers: dict[tuple[Node, int, Node | None], Node] = field(default_factory=dict)
    lead: dict[str, tuple[Axis, ...]] = field(default_factory=dict)
    counts: Node | None = None
    taken: set[str] = field(default_factory=set)

    def stream(self) -> Stream:
        inner = depends(self.graph, self.axis)
        self.taken = {*self.graph.params, *self.graph.outputs}
        self.taken.update(u.op.label for u in inner if isinstance(u.op, Named))
        for node in self.graph.order:
            if node in inner:
                self.done[node] = self.copy(node)
        step = self._step(inner)
        axes = {name: self.lead.get(name, node.axes) for name, node in self.first.items()}
        leaves = [*self.graph.inputs.values(), *self.graph.params.values()]
        known = {u.op.label for u in leaves if isinstance(u.op, Named)} | set(self.graph.spare)
        known |= {a.name for a in self.graph.axes if a != self.axis}
        return Stream(
            self._start(axes), step, tuple(self.first), frozenset(self.after), axes, frozenset(known)
        )

    def _step(self, inner: set[Node]) -> Graph:
        """From the state and the data at hand to the outputs and the next state."""
        outputs = {name: self.now(u) for name, u in self.graph.outputs.items()}
        definitions = {
            self.done[s]: self.now(self.graph.definitions[s])
            for s in self.graph.order
            if s in inner and isinstance(s.op, Symbol)
        }
        self.finish()
        return self.ordered(self.freed(Graph({**outputs, **self.after}, definitions)))

    def _start(self, axes: Mapping[str, tuple[Axis, ...]]) -> Graph:
        """The first state, and parameters that tell its sizes."""
        fixed = {name: tuple(a for a in own if a.size is not None) for name, own in axes.items()}
        first = {**self.first, **self.anchors(fixed.values())}
        start = self.freed(Graph(first, self.graph.definitions))
        return with_axes(
            start, {n: tuple(dict.fromkeys((*u.axes, *fixed.get(n, ())))) for n, u in first.items()}
        )

    def freed(self, graph: Graph) -> Graph:
        """The graph without the axis that bounds the lengths of sequences in it."""

        def rule(node: Node, inputs: tuple[Node, ...]) -> Node:
            if isinstance(node.op, Input) and node.op.most == self.axis:
                return Node(replace(node.op, most=None), (), node.axes, node.shape, node.dtype, node.where)
            return rebuild(node, inputs)

        bounded = any(isinstance(u.op, Input) and u.op.most == self.axis for u in graph.inputs.values())
        return rewrite(graph, rule) if bounded else graph

    def finish(self) -> None:
        """The next values of states that remember a node as a whole."""
        self.after.update((name, self.now(u)) for name, u in self.late)

    def now(self, node: Node) -> Node:
        """What a node is in the graph of one step."""
        return self.done[node] if node in self.done else self.held(node)

    def copy(self, node: Node) -> Node:
        """A node that depends on the step, for the step at hand."""
        op, axis = node.op, self.axis
        if isinstance(op, Step | Size) and op.axis == axis:
            return self.counted(node)
        if axis in op.spans:
            return self.total(node)
        if not (isinstance(op, Structural) and op.axis == axis):
            return self.same(node)
        if isinstance(op, Delay):
            return self.delayed(node)
        if isinstance(op, At) and op.index == axis.last:
            return self.last(self.now(node.inputs[0]))
        raise self.refuse(node)

    def refuse(self, node: Node) -> UnfoldError:
        return NotCausal(
            f"{node} needs more of {self.axis.name} than the steps so far, one by one "
            f"({node.where or 'an operation ' + node.op.name}); choose other outputs",
            output=str(node),
            lookahead=np.inf,
        )

    # ------------------------------------------------------------------ states
    def held(self, node: Node) -> Node:
        """Something that stays the same: computed at the start and passed on."""
        if isinstance(node.op, Param) or (node.op.leaf and not isinstance(node.op, Input | Symbol)):
            return node
        if node not in self.done:
            written = isinstance(node.op, Named) and not node.axes  # h[0] is not h
            name = self.fresh(str(node.op) if written else name_of(self.graph, node))
            self.first[name] = node
            self.done[node] = Node(Input(name), (), node.axes, node.shape, node.dtype, node.where)
        return self.done[node]

    def row(self, node: Node) -> list[Node]:
        """source[t - 1] to source[t - lag] as states, shared where they can be."""
        assert isinstance(node.op, Delay)
        source, *boundary = node.inputs
        states: list[Node] = []
        for m in range(node.op.lag):
            value = boundary[m] if boundary else None
            key = (source, m, value)
            if key not in self.registers:
                name = self.fresh(f"{name_of(self.graph, source)}[{self.axis.name}-{m + 1}]")
                self.registers[key] = self.state(name, node, value)
                self.remember(name, source, [*states, self.registers[key]])
            states.append(self.registers[key])
        return states

    def state(self, name: str, node: Node, first: Node | None) -> Node:
        """A new state with the axes of `node` but this one."""
        if first is None:
            first = call("broadcast_to", constant(np.zeros((), _NUMPY[node.dtype])), node.shape)
        axes = tuple(a for a in node.axes if a != self.axis)
        self.first[name] = first
        self.lead[name] = axes
        return Node(Input(name), (), axes, node.shape, node.dtype, node.where)

    def counter(self, name: str, more: Node | int) -> Node:
        """The number of steps so far, as a state that grows by `more`."""
        if self.counts is None:
            before = Node(Input(name := self.fresh(name)), (), (), (), "int")
            self.first[name] = constant(0)
            self.after[name] = self.counts = before + more
        return self.counts

    def total(self, node: Node) -> Node:
        """A sum or maximum over the axis: of the steps before, and of what is at hand."""
        op, x = node.op, self.now(node.inputs[0])
        if op.name not in ("sum", "max", "cumsum") or getattr(op, "backward", False):
            raise self.refuse(node)
        here = self.here(op, x)
        start: Any = -np.inf if op.name == "max" else np.zeros((), _NUMPY[node.dtype])
        name = self.fresh(f"{op.name} {name_of(self.graph, node.inputs[0])}")
        before = self.state(name, node, call("broadcast_to", constant(start), node.shape))
        out = call("maximum", before, here) if op.name == "max" else before + here
        self.after[name] = self.last(out)
        return out

    # ------------------------------------------------------------------ one step, not several
    def same(self, node: Node) -> Node:
        """What does the same at every step, at one."""
        op = node.op
        if isinstance(op, Symbol | Input):
            op = replace(op, index=tuple(i for i in op.index if getattr(i, "axis", None) != self.axis))
        axes = tuple(a for a in node.axes if a != self.axis)
        return Node(op, tuple(map(self.now, node.inputs)), axes, node.shape, node.dtype, node.where)

    def counted(self, node: Node) -> Node:
        """The number of the step, and the number of steps so far: the same."""
        return self.counter(self.axis.name, 1)

    def delayed(self, node: Node) -> Node:
        """source[t - lag] as a state; a longer lag is a row of states."""
        return self.row(node)[-1]

    def remember(self, name: str, source: Node, states: list[Node]) -> None:
        """The last of these states takes the place of the one before it, or of the source."""
        if len(states) == 1:
            self.late.append((name, source))
        else:
            self.after[name] = states[-2]

    def here(self, op: Op, x: Node) -> Node:
        """The part of a sum or maximum that lies in the step."""
        rest = tuple(d for d in op.over if d != self.axis)  # type: ignore[attr-defined]
        return apply(replace(op, over=rest), x) if rest else x  # type: ignore[call-arg]

    def ordered(self, step: Graph) -> Graph:
        """The step with axes in the order of the graph: the states keep it, so do the outputs."""
        axes = {n: tuple(a for a in u.axes if a != self.axis) for n, u in self.graph.outputs.items()}
        return with_axes(step, {n: axes.get(n, self.lead.get(n, u.axes)) for n, u in step.outputs.items()})

    def last(self, node: Node) -> Node:
        """A value at the last of the steps at hand."""
        return node

    # ------------------------------------------------------------------ names
    def fresh(self, name: str) -> str:
        while name in self.taken or name in self.first:
            name += "'"
        return name

    def anchors(self, axes: Iterable[tuple[Axis, ...]]) -> dict[str, Node]:
        """Parameters that tell the sizes of the first state's dimensions."""
        shapes = [
            *(u.shape for u in postorder(self.first.values())),
            *([a.size or 0 for a in g] for g in axes),
        ]
        needed = {n for shape in shapes for d in shape for n in dims.names(d)}
        return {
            self.fresh(name): p
            for name, p in self.graph.params.items()
            if any(isinstance(d, str) and d in needed for d in p.shape)
        }


_NUMPY = {"bool": np.bool_, "int": np.int64, "float": np.float64, "complex": np.complex128}
