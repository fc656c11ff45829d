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
from dataclasses import dataclass
from math import comb
from typing import Any

import numpy as np

from unfold.core.axis import Index
from unfold.core.errors import BindingError, NotDifferentiable, UnfoldError
from unfold.core.leaves import Input, Symbol, constant
from unfold.core.node import Node, call
from unfold.core.op import apply
from unfold.core.system import Wrt, rebuild
from unfold.engine.binding import check_lengths
from unfold.engine.run import Result
from unfold.graph import Graph
from unfold.learn.states import Builder, Stream, only
from unfold.learn.streaming import causal_axis
from unfold.ops.time.delays import At, Delay, Size, Step, Structural, read_at, size
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


def schedule(windows: int, snapshots: int) -> Iterator[tuple[str, int, int]]:
    """What to do, in order: ("advance", a, b) from the state before window a to the one before
    b; ("save", a, _) and ("load", a, _) the state before window a; ("back", a, _) through it.

    Iterative; the loop invariant is a stack of (begin, end, snapshots left) yet to be undone,
    the state before `begin` of the top one being at hand.
    """
    if windows < 1:
        return
    stack = [(0, windows, snapshots)]
    yield "save", 0, 0
    at = 0
    while stack:
        begin, end, left = stack.pop()
        if at != begin:
            yield "load", begin, 0
            at = begin
        if end - begin == 1:
            yield "back", begin, 0
            continue
        middle = begin + (_split(end - begin, left) if left else end - begin - 1)
        yield "advance", begin, middle
        at = middle
        stack.append((begin, middle, left))
        if left:
            yield "save", middle, 0
        stack.append((middle, end, left - 1 if left else 0))


def _split(windows: int, snapshots: int) -> int:
    """Where to put the next snapshot: what stands left of it may be run forward once less."""
    r = repetitions(windows, snapshots)
    most_right = comb(snapshots + r, r)
    least_left = comb(snapshots + r - 1, r - 2) if r > 1 else 1
    return min(windows - 1, max(1, least_left, windows - most_right))


def advances(windows: int, snapshots: int) -> int:
    """How many windows are run forward in all, besides the backward passes."""
    return sum(b - a for what, a, b in schedule(windows, snapshots) if what == "advance")


# ---------------------------------------------------------------------- windows
class Windows(Builder):
    """Like a stream, but of several steps at a time: the axis stays."""

    def copy(self, node: Node) -> Node:
        op, axis = node.op, self.axis
        if isinstance(op, Symbol | Input):
            return node
        if isinstance(op, Step | Size) and op.axis == axis:
            count = self.count()
            return count if isinstance(op, Size) else node + (count - size(axis))
        if isinstance(op, Delay) and op.axis == axis:
            return self.delayed(node)
        if isinstance(op, At) and op.axis == axis and op.index == Index(axis, "last", 0):
            return read_at(self.now(node.inputs[0]), op.index)
        if axis in op.spans:
            return self.total(node)
        if isinstance(op, Structural) and op.axis == axis:
            raise self.refuse(node)
        return rebuild(node, tuple(map(self.now, node.inputs)))

    def count(self) -> Node:
        """The number of steps up to the end of this window."""
        if self.counter is None:
            before = Node(Input(name := self.fresh(self.axis.name + " before")), (), (), (), "int")
            self.first[name] = constant(0)
            self.after[name] = self.counter = before + size(self.axis)
        return self.counter

    def delayed(self, node: Node) -> Node:
        """The same delay, its boundary values being the states before the window."""
        op = node.op
        assert isinstance(op, Delay)
        source, *boundary = node.inputs
        states: list[Node] = []
        for m in range(op.lag):
            value = boundary[m] if boundary else None
            key = (source, m, value)
            if key not in self.registers:
                name = self.fresh(f"{self.label(source)}[{self.axis.name}-{m + 1}]")
                self.registers[key] = self.state(name, node, value)
                self.ends.append((name, source, [*states, self.registers[key]]))
            states.append(self.registers[key])
        return Node(op, (self.now(source), *states), node.axes, node.shape, node.dtype, node.where)

    def finish(self) -> None:
        """The states after the window: the last steps, or states before where it is shorter."""
        for name, source, states in self.ends:
            body = self.now(source)
            index = Index(self.axis, "last", 1 - len(states))
            after = read_at(body, index, *states) if self.axis in body.axes else body
            self.after[name] = after

    def total(self, node: Node) -> Node:
        """A sum or maximum: of the steps before the window, and of those in it."""
        op, x = node.op, self.now(node.inputs[0])
        if op.name not in ("sum", "max", "cumsum") or getattr(op, "backward", False):
            raise self.refuse(node)
        start = call("broadcast_to", constant(-np.inf if op.name == "max" else 0.0), node.shape)
        name = self.fresh(f"{op.name} {self.label(node.inputs[0])}")
        before = self.state(name, node, start)
        here = apply(op, x)
        out = call("maximum", before, here) if op.name == "max" else before + here
        self.after[name] = read_at(out, Index(self.axis, "last", 0)) if self.axis in out.axes else out
        return out


# ---------------------------------------------------------------------- gradients
@dataclass(frozen=True)
class Pulled:
    """Outputs of a graph turned around: from their cotangents (`ct h[t-1]`) to those of `wrt`."""

    graph: Graph
    outputs: tuple[str, ...]

    @classmethod
    def of(cls, graph: Graph, outputs: list[str], wrt: Mapping[str, Node], keep: list[str]) -> Pulled:
        total: Node = constant(0.0)
        for name in outputs:
            node = graph.output(name)
            ct = Node(Input(f"ct {name}"), (), node.axes, node.shape, node.dtype)
            product = ct * node
            product = call("sum", product) if product.shape else product
            for axis in product.axes:
                product = call("sum", product, over=axis)
            total = total + product
        joint = Graph(
            {**{name: graph.output(name) for name in keep}, "pulled back": total}, graph.definitions
        )
        found = {name: node for name, node in wrt.items() if node in set(joint.order)}
        made = with_gradients(joint, "pulled back", {f"d {n}": u for n, u in found.items()}, keep)
        return cls(made, tuple(outputs))

    def __call__(self, cts: Mapping[str, Any], arrays: Mapping[str, Any]) -> tuple[Result, dict[str, Any]]:
        """The kept outputs, and the cotangents."""
        given = {**arrays, **{f"ct {name}": cts[name] for name in self.outputs}}
        out = self.graph(**only(self.graph, given, None))
        return out, {name[2:]: out.pop(name) for name in list(out) if name.startswith("d ")}


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
        self.axis = causal_axis(self.graph, over)
        self.parts: Stream = Windows(self.graph, self.axis).stream()
        self.wrt = select(graph, wrt)
        step = self.parts.step
        self.floats = [n for n in self.parts.state if n in step.inputs and step.inputs[n].dtype == "float"]
        moving = [n for n in self.floats if n in self.parts.moving]
        own = {f"of {n}": u for n, u in self.wrt.items()}
        sources = {**own, **{f"at {n}": step.inputs[n] for n in self.floats}}
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
        over = {n: u.axes.index(self.axis) for n, u in self.graph.inputs.items() if self.axis in u.axes}
        lengths = {np.shape(arrays[n])[place] for n, place in over.items() if n in arrays}
        if len(lengths) != 1:
            raise BindingError(
                f"checkpoint needs inputs over {self.axis.name} of one length, not {sorted(lengths)}"
            )
        (steps,) = lengths
        check_lengths(self.graph, arrays, {self.axis: steps})
        if not steps:
            return self.graph.value_and_grad(self.of, list(self.wrt))(**arrays)
        fixed = {n: a for n, a in arrays.items() if n not in over}

        def part(k: int) -> dict[str, Any]:
            here = slice(k * self.window, (k + 1) * self.window)
            return {n: np.asarray(arrays[n])[(slice(None),) * place + (here,)] for n, place in over.items()}

        sizes = {
            a.name: np.shape(arrays[n])[i] for n, u in self.graph.inputs.items() for i, a in enumerate(u.axes)
        }
        needed = {a.name for own in self.parts.axes.values() for a in own}
        state = self.parts.init(**fixed, **{n: s for n, s in sizes.items() if n in needed})
        cts = {self.of: 1.0, **{n: np.zeros_like(state[n]) for n in self.floats}}
        grads = {n: _zeros(np.asarray(arrays[n])) for n in self.wrt}
        kept: dict[int, State] = {}
        value: Any = None
        for what, a, b in schedule(self.windows(steps), self.snapshots):
            if what == "save":
                kept[a] = state
            elif what == "load":
                state = kept[a]
            elif what == "advance":
                for k in range(a, b):
                    after = self.forward(**only(self.forward, {**fixed, **part(k), **state}, None))
                    state = {**state, **after}
            else:
                out, pulled = self.back(cts, {**fixed, **part(a), **state})
                value = out[self.of] if value is None else value
                cts = {**cts, self.of: 0.0}
                for n in self.floats:
                    more = pulled.get(f"at {n}", 0.0)
                    cts[n] = np.zeros_like(cts[n]) + more if n in self.parts.moving else cts[n] + more
                for n, g in grads.items():
                    if n in over:
                        here = slice(a * self.window, (a + 1) * self.window)
                        g[(slice(None),) * over[n] + (here,)] += pulled.get(f"of {n}", 0.0)
                    elif f"of {n}" in pulled:
                        g += pulled[f"of {n}"]
                kept.pop(a, None)
        cts = {n: self._unspread(n, cts[n]) for n in self.floats}
        _, first = self.begin(cts, fixed)
        return value, {n: g + first[f"of {n}"] if f"of {n}" in first else g for n, g in grads.items()}

    def _unspread(self, name: str, ct: Any) -> Any:
        """A cotangent summed over the axes along which the first state was repeated."""
        have, want = self.parts.start.outputs[name].axes, self.parts.axes[name]
        ct = np.sum(ct, axis=tuple(i for i, a in enumerate(want) if a not in have))
        left = [a for a in want if a in have]
        return np.transpose(ct, [*(left.index(a) for a in have), *range(len(have), np.ndim(ct))])


def _zeros(array: Any) -> Any:
    return np.zeros(array.shape, array.dtype if array.dtype.kind in "fc" else np.float64)


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
