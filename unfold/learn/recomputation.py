"""Gradients over long sequences in bounded memory: recompute instead of store.

    gradient = checkpoint(rnn, "loss", window=100, snapshots=10)
    loss, grads = gradient(x=X, y=Y, **weights)          # like rnn.value_and_grad("loss")

The axis is cut into windows; a window is a graph from the state before it to the state after
it. Only states at some of the cuts are kept (`snapshots` at a time); the others are computed
again when the backward pass needs them, in the order that needs the fewest repetitions
(Griewank and Walther 2000, "revolve"). With s snapshots and every window run forward at most
r times, C(s + 1 + r, r) windows can be differentiated: memory grows with the logarithm of T.
Any number of snapshots gives the same gradients, bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from math import comb
from typing import Any

import numpy as np

from unfold.core.dims import evaluate
from unfold.core.errors import BindingError, NotDifferentiable, UnfoldError
from unfold.core.key import unused
from unfold.core.leaves import Input, Symbol, constant
from unfold.core.node import Node, Op, call
from unfold.core.op import apply
from unfold.core.system import Wrt, rebuild
from unfold.engine.binding import Binding, bind
from unfold.engine.run import Result
from unfold.graph import Graph
from unfold.learn.states import StepBuilder, Stream, only
from unfold.learn.streaming import causal_axis
from unfold.ops.time.delays import Size, read_at, size
from unfold.transform.adjoint import select, with_gradients

State = dict[str, Any]


# ---------------------------------------------------------------------- the schedule
def repetitions(windows: int, snapshots: int) -> int:
    """The least r for which C(snapshots + 1 + r, r) windows are enough: how often a window is
    run forward at most, before its own backward pass.

    >>> repetitions(1000, 10), repetitions(1000, 999), repetitions(5, 0)
    (4, 1, 4)
    """
    r = 0
    while comb(snapshots + 1 + r, r) < windows:
        r += 1
    return r


class Act(StrEnum):
    """What there is to do in a pass with few snapshots."""

    ADVANCE = "advance"
    SAVE = "save"
    LOAD = "load"
    BACK = "back"


def schedule(windows: int, snapshots: int) -> Iterator[tuple[Act, int, int]]:
    """What to do, in order: (ADVANCE, a, b) from the state before window a to the one before
    b; (SAVE, a, _) and (LOAD, a, _) the state before window a; (BACK, a, _) through it.

    Iterative; the loop invariant is a stack of (begin, end, snapshots left) yet to be undone,
    the state before `begin` of the top one being at hand.
    """
    if windows < 1:
        return
    stack = [(0, windows, snapshots)]
    yield Act.SAVE, 0, 0
    at = 0
    while stack:
        begin, end, left = stack.pop()
        if at != begin:
            yield Act.LOAD, begin, 0
            at = begin
        if end - begin == 1:
            yield Act.BACK, begin, 0
            continue
        middle = begin + (_split(end - begin, left) if left else end - begin - 1)
        yield Act.ADVANCE, begin, middle
        at = middle
        stack.append((begin, middle, left))
        if left:
            yield Act.SAVE, middle, 0
        stack.append((middle, end, left - 1 if left else 0))


def _split(windows: int, snapshots: int) -> int:
    """Where to put the next snapshot: what stands left of it may be run forward once less."""
    r = repetitions(windows, snapshots)
    most_right = comb(snapshots + r, r)
    least_left = comb(snapshots + r - 1, r - 2) if r > 1 else 1
    return min(windows - 1, max(1, least_left, windows - most_right))


def advances(windows: int, snapshots: int) -> int:
    """How many windows are run forward in all, besides the backward passes."""
    return sum(b - a for act, a, b in schedule(windows, snapshots) if act is Act.ADVANCE)


# ---------------------------------------------------------------------- windows
@dataclass
class WindowBuilder(StepBuilder):
    """Like a stream, but of several steps at a time: the axis stays."""

    ends: list[tuple[str, Node, list[Node]]] = field(default_factory=list)

    def same(self, node: Node) -> Node:
        return (
            node if isinstance(node.op, Symbol | Input) else rebuild(node, tuple(map(self.now, node.inputs)))
        )

    def counted(self, node: Node) -> Node:
        """The number of steps up to the end of this window, or the numbers of the steps in it."""
        inside = size(self.axis)
        count = self.counter(self.axis.name + " before", inside)
        return count if isinstance(node.op, Size) else node + (count - inside)

    def delayed(self, node: Node) -> Node:
        """The same delay, its boundary values being the states before the window."""
        inputs = (self.now(node.inputs[0]), *self.row(node))
        return Node(node.op, inputs, node.axes, node.shape, node.dtype, node.where)

    def remember(self, name: str, source: Node, states: list[Node]) -> None:
        self.ends.append((name, source, states))

    def finish(self) -> None:
        """The states after the window: the last steps, or states before where it is shorter."""
        for name, source, states in self.ends:
            body = self.now(source)
            index = self.axis.last + (1 - len(states))
            after = read_at(body, index, *states) if self.axis in body.axes else body
            self.after[name] = after

    def here(self, op: Op, x: Node) -> Node:
        return apply(op, x)

    def ordered(self, step: Graph) -> Graph:
        return step

    def last(self, node: Node) -> Node:
        return read_at(node, self.axis.last) if self.axis in node.axes else node


# ---------------------------------------------------------------------- gradients
Key = tuple[str, str]  # ("input" or "state", its name)


@dataclass(frozen=True)
class Pulled:
    """Outputs of a graph turned around: from their cotangents (`ct h[t-1]`) to those of `wrt`."""

    graph: Graph
    cotangents: Mapping[str, str]  # for each output the input that is its cotangent
    gradients: Mapping[str, Key]  # for each further output what it is the cotangent of

    @classmethod
    def of(cls, graph: Graph, outputs: list[str], wrt: Mapping[Key, Node], keep: list[str]) -> Pulled:
        cotangents: dict[str, str] = {}
        total: Node = constant(0.0)
        for name in outputs:
            node = graph.output(name)
            taken = {*graph.inputs, *graph.params, *cotangents.values()}
            label = cotangents[name] = unused(f"ct {name}", taken)
            product = Node(Input(label), (), node.axes, node.shape, node.dtype) * node
            product = call("sum", product) if product.shape else product
            for axis in product.axes:
                product = call("sum", product, over=axis)
            total = total + product
        pulled = unused("pulled back", keep)
        joint = Graph({**{name: graph.output(name) for name in keep}, pulled: total}, graph.definitions)
        gradients: dict[str, Key] = {}
        for key in wrt:
            if wrt[key] in set(joint.order):
                gradients[unused(f"d {key[1]}", {*keep, *gradients})] = key
        made = with_gradients(joint, pulled, {d: wrt[key] for d, key in gradients.items()}, keep)
        return cls(made, cotangents, gradients)

    def __call__(self, cts: Mapping[str, Any], arrays: Mapping[str, Any]) -> tuple[Result, dict[Key, Any]]:
        """The kept outputs, and the cotangents."""
        given = {**arrays, **{label: cts[name] for name, label in self.cotangents.items()}}
        out = self.graph(**only(self.graph, given, None))
        return out, {key: out.pop(d) for d, key in self.gradients.items()}


class Checkpointed:
    """Value and gradients of an output, window by window; call it with arrays."""

    def __init__(
        self, graph: Graph, of: str, wrt: Wrt, window: int, snapshots: int, over: str | None
    ) -> None:
        if window < 1 or snapshots < 0:
            raise UnfoldError(
                f"checkpoint: a window has 1 step or more, snapshots are 0 or more; got {window}, {snapshots}"
            )
        target = graph.output(of)
        if target.axes or target.shape or target.dtype != "float":
            raise NotDifferentiable(f"checkpoint needs {of!r} to be one real number")
        self.graph, self.of, self.window, self.snapshots = graph.select(of), of, window, snapshots
        self.axis = causal_axis(graph, self.graph, over)
        needed = {*self.graph.spare, *(a.name for a in self.graph.axes)}
        self.idle = {a.name for a in graph.axes} - needed  # axes of other outputs, whose length may be given
        self.parts: Stream = WindowBuilder(self.graph, self.axis).stream()
        self.wrt = select(graph, wrt)
        step = self.parts.step
        self.floats = [n for n in self.parts.state if n in step.inputs and step.inputs[n].dtype == "float"]
        moving = [n for n in self.floats if n in self.parts.moving]
        own: dict[Key, Node] = {("input", n): u for n, u in self.wrt.items()}
        sources: dict[Key, Node] = {**own, **{("state", n): step.inputs[n] for n in self.floats}}
        self.forward = step.select(*(n for n in self.parts.state if n in self.parts.moving))
        self.back = Pulled.of(step, [of, *moving], sources, [of])
        self.begin = Pulled.of(self.parts.start, self.floats, own, [])

    def windows(self, steps: int) -> int:
        """How many windows a sequence has."""
        return -(-steps // self.window)

    def factor(self, steps: int) -> float:
        """Forward passes for one gradient, in passes over the whole sequence, besides the one
        that every backward pass makes for itself."""
        return advances(self.windows(steps), self.snapshots) / max(1, self.windows(steps))

    def __call__(self, /, **arrays: Any) -> tuple[Any, dict[str, Any]]:
        """The value and {name: gradient} of all that was asked for."""
        bound = bind(self.graph, {n: a for n, a in arrays.items() if n not in self.idle})
        steps = bound.extents.get(self.axis, 1)  # what does not vary along the axis is one window
        if not steps:
            return self.graph.value_and_grad(self.of, list(self.wrt))(**arrays)
        return WindowSweep(self, bound, steps).run(self.windows(steps))

    def unspread(self, name: str, ct: Any) -> Any:
        """A cotangent summed over the axes along which the first state was repeated."""
        have, want = self.parts.start.outputs[name].axes, self.parts.axes[name]
        ct = np.sum(ct, axis=tuple(i for i, a in enumerate(want) if a not in have))
        left = [a for a in want if a in have]
        return np.transpose(ct, [*(left.index(a) for a in have), *range(len(have), np.ndim(ct))])


class WindowSweep:
    """One gradient on its way: the state at hand, the states kept, the gradients so far."""

    def __init__(self, work: Checkpointed, bound: Binding, steps: int) -> None:
        self.work, self.bound, self.steps = work, bound, steps
        axis, inputs = work.axis, work.graph.inputs
        self.over = {n: u.axes.index(axis) for n, u in inputs.items() if axis in u.axes}
        lengths = {a.name: bound.extents[a] for a in work.graph.axes if a != axis}
        self.fixed = {**lengths, **{n: a for n, a in bound.arrays.items() if n not in self.over}}
        self.state: State = work.parts.init(**self.fixed)
        self.cts: dict[str, Any] = {work.of: 1.0}
        self.cts |= {n: np.zeros_like(self.state[n]) for n in work.floats}
        self.grads = {n: self._zeros(n) for n in work.wrt}
        self.kept: dict[int, State] = {}
        self.value: Any = None

    def run(self, windows: int) -> tuple[Any, dict[str, Any]]:
        """Through the windows as the schedule says, and through the start: value and gradients."""
        for act, a, b in schedule(windows, self.work.snapshots):
            if act is Act.SAVE:
                self.kept[a] = self.state
            elif act is Act.LOAD:
                self.state = self.kept[a]
            elif act is Act.ADVANCE:
                self._advance(a, b)
            else:
                self._back(a)
        work = self.work
        _, first = work.begin({n: work.unspread(n, self.cts[n]) for n in work.floats}, self.fixed)
        found = {n: first.get(("input", n)) for n in self.grads}
        return self.value, {n: g if found[n] is None else g + found[n] for n, g in self.grads.items()}

    def _zeros(self, name: str) -> Any:
        """A gradient before the first window. What the output does not read need not be given."""
        if name in self.bound.arrays:
            return np.zeros_like(self.bound.arrays[name])
        leaf, lead = self.work.graph.spare[name]
        try:
            axes = [a if isinstance(a, int) else self.bound.extents[a] for a in lead]
            dimensions = [evaluate(d, self.bound.sizes) for d in leaf.shape]
        except (KeyError, UnfoldError):
            raise BindingError(
                f"nothing says how large the gradient of {name} is, which {self.work.of} does not read: "
                f"give {name}, or leave it out of wrt"
            ) from None
        return np.zeros((*axes, *dimensions), self.bound.dtype_of(leaf.dtype))

    def _here(self, name: str, window: int) -> tuple[slice, ...]:
        """Where the steps of a window lie in an array."""
        steps = slice(window * self.work.window, (window + 1) * self.work.window)
        return (*[slice(None)] * self.over[name], steps)

    def _given(self, window: int) -> dict[str, Any]:
        length = min(self.work.window, self.steps - window * self.work.window)
        part = {n: self.bound.arrays[n][self._here(n, window)] for n in self.over}
        return {self.work.axis.name: length, **self.fixed, **part, **self.state}

    def _advance(self, begin: int, end: int) -> None:
        for window in range(begin, end):
            forward = self.work.forward
            self.state = {**self.state, **forward(**only(forward, self._given(window), None))}

    def _back(self, window: int) -> None:
        """Back through a window; its cotangents become those of the state before it."""
        work = self.work
        out, pulled = work.back(self.cts, self._given(window))
        self.value = out[work.of] if self.value is None else self.value
        self.cts[work.of] = 0.0
        for n in work.floats:
            before = np.zeros_like(self.cts[n]) if n in work.parts.moving else self.cts[n]
            self.cts[n] = before + pulled.get(("state", n), 0.0)
        for n, g in self.grads.items():
            here = self._here(n, window) if n in self.over else ...
            g[here] += pulled.get(("input", n), 0.0)
        self.kept.pop(window, None)


def checkpoint(
    graph: Graph,
    of: str,
    wrt: Wrt = None,
    *,
    window: int = 100,
    snapshots: int = 10,
    over: str | None = None,
) -> Checkpointed:
    """`graph.value_and_grad(of)` in memory for `snapshots` + 1 states and one window.

    For systems that run forward over one open axis (others raise `NotCausal`). Gradients equal
    those of the graph up to the order of sums, and each other's for any number of snapshots
    bit for bit. `repetitions` and `.factor(steps)` say what it costs.
    """
    return Checkpointed(graph, of, wrt, window, snapshots, over)
