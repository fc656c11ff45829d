"""Where statements go while they are made: buffers, the list, and the loops around what is made now."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from unfold.core.axis import Axis
from unfold.core.node import Node
from unfold.engine.plan.statement import Statement, StepAt, Sweep, Verb
from unfold.engine.plan.view import Buffer, Memory, Sizes, View, whole

Body = list[Statement | Sweep]
Source = tuple[Node, str | None]


@dataclass(frozen=True)
class Stepping:
    """Inside a sweep over an axis: the node at hand is at the step that the counter names, or
    `shifts` steps from it."""

    axis: Axis
    shifts: Mapping[Node, int] = field(default_factory=dict)

    @property
    def axes(self) -> tuple[Axis, ...]:
        return (self.axis,)

    def has(self, node: Node, extent: Callable[[Axis], int]) -> bool:
        """Whether the node has a value at this step."""
        return True

    def seen(self, view: View, node: Node) -> View:
        """What the node sees of a view."""
        return view.step(self.axis, self.shifts.get(node, 0))

    def where(self, node: Node) -> Iterator[StepAt]:
        """Which step of the axis the node is at, where it is not the counter's."""
        if shift := self.shifts.get(node, 0):
            yield StepAt(self.axis, shift, ((self.axis, 1),))


@dataclass(frozen=True)
class Fixed:
    """At one step of an axis, written out: `step`, plus what `shifts` says for the node."""

    axis: Axis
    step: int
    shifts: Mapping[Node, int] = field(default_factory=dict)

    @property
    def axes(self) -> tuple[Axis, ...]:
        return (self.axis,)

    def index(self, node: Node) -> int:
        """The step, from 0."""
        return self.step + self.shifts.get(node, 0)

    def has(self, node: Node, extent: Callable[[Axis], int]) -> bool:
        """Whether the node has a value at this step."""
        return 0 <= self.index(node) < extent(self.axis)

    def seen(self, view: View, node: Node) -> View:
        """What the node sees of a view."""
        return view.at(self.axis, self.index(node)) if self.axis in view.letters else view

    def where(self, node: Node) -> Iterator[StepAt]:
        """Which step of the axis the node is at."""
        yield StepAt(self.axis, self.index(node))


@dataclass(frozen=True)
class Walking:
    """Inside a sweep along a line across several axes, the points start + rate k."""

    starts: Mapping[Axis, int]
    rates: Mapping[Axis, int]
    along: Axis

    @property
    def axes(self) -> tuple[Axis, ...]:
        return tuple(self.starts)

    def has(self, node: Node, extent: Callable[[Axis], int]) -> bool:
        """Whether the node has a value at this step."""
        return True

    def seen(self, view: View, node: Node) -> View:
        """What the node sees of a view."""
        return view.walk(self.starts, self.rates, self.along)

    def where(self, node: Node) -> Iterator[StepAt]:
        """Which step of each axis the node is at."""
        for a, start in self.starts.items():
            yield StepAt(a, start, ((self.along, self.rates[a]),))


Context = Stepping | Fixed | Walking


@dataclass(eq=False)
class Builder:
    """A statement list in the making.

    `program` runs at every call, `prepare` once before the first. `body` is where statements go now;
    `node` the node they compute, which `contexts` place at a step of the loops around.
    """

    buffers: list[Buffer] = field(default_factory=list)
    prepare: Body = field(default_factory=list)
    program: Body = field(default_factory=list)
    contexts: list[Context] = field(default_factory=list)
    node: Node | None = None

    def __post_init__(self) -> None:
        self.body = self.program
        self._names: dict[str, int] = {}
        self._copies: dict[Any, View] = {}

    # ------------------------------------------------------------------ buffers
    def buffer(
        self, name: str, shape: Iterable[int], dtype: Any, role: Memory = Memory.WORK, value: Any = None
    ) -> Buffer:
        """A new buffer; its name is made unique, but for an array of the caller's."""
        if role is not Memory.GIVEN:
            number = self._names[name] = self._names.get(name, 0) + 1
            name = name if number == 1 else f"{name}_{number}"
        made = Buffer(name, tuple(shape), np.dtype(dtype), role, value)
        self.buffers.append(made)
        return made

    def temporary(self, view: View, shape: Sizes) -> View:
        """Room for the entries of a view in another order: its letters are those of the view."""
        return whole(self.buffer("copied", shape, view.buffer.dtype), view.letters)

    # ------------------------------------------------------------------ statements
    def emit(
        self,
        kind: Verb,
        outputs: Iterable[View],
        operands: Iterable[View] = (),
        sources: Iterable[Source] = (),
        what: Any = None,
        alias: bool = False,
        nodes: Iterable[Node] = (),
        at: Iterable[StepAt] = (),
    ) -> None:
        """A statement for the node at hand; none where nothing would be written."""
        made = self.statement(kind, outputs, operands, sources, what, alias, nodes, at)
        if any(v.size for v in made.outputs):
            self.body.append(made)

    def statement(
        self,
        kind: Verb,
        outputs: Iterable[View],
        operands: Iterable[View] = (),
        sources: Iterable[Source] = (),
        what: Any = None,
        alias: bool = False,
        nodes: Iterable[Node] = (),
        at: Iterable[StepAt] = (),
    ) -> Statement:
        """The same, to be put anywhere."""
        assert self.node is not None
        steps = [w for context in self.contexts for w in context.where(self.node)]
        return Statement(
            kind,
            tuple(outputs),
            tuple(operands),
            tuple(nodes) or (self.node,),
            tuple(sources),
            what,
            alias,
            (*steps, *at),
        )

    def copied(self, view: View, source: Source, before_loops: bool = False) -> View:
        """The entries of a view in memory of their own, packed in the order of its dimensions;
        with `before_loops`, what no loop changes is copied before the outermost one. What stands outside
        loops is copied once for all who ask."""
        if self.contexts and not before_loops:
            out = self.temporary(view, view.shape)
            self.emit(Verb.KEEP, [out], [view], [source])
            return out
        assert not view.steps
        if view.address not in self._copies:
            self._copies[view.address] = self.temporary(view, view.shape)
            with self._outside() if self.contexts else nullcontext():
                self.emit(Verb.KEEP, [self._copies[view.address]], [view], [source])
        return self._copies[view.address].name(view.letters)

    # ------------------------------------------------------------------ loops
    def seen(self, view: View) -> View:
        """What the node at hand sees of a view of all steps."""
        assert self.node is not None
        for context in self.contexts:
            view = context.seen(view, self.node)
        return view

    @property
    def axes(self) -> set[Axis]:
        """The axes of which the node at hand has one step."""
        return {a for context in self.contexts for a in context.axes}

    @contextmanager
    def within(self, context: Context) -> Iterator[None]:
        """Make what follows in a context."""
        self.contexts.append(context)
        try:
            yield
        finally:
            self.contexts.pop()

    @contextmanager
    def sweep(self, axis: Axis, sign: int, size: int) -> Iterator[None]:
        """Make what follows the body of a loop; one without statements is left out."""
        outside, loop = self.body, Sweep(axis, sign, size)
        self.body = loop.body
        try:
            yield
        finally:
            self.body = outside
        if loop.body and size:
            outside.append(loop)

    @contextmanager
    def _outside(self) -> Iterator[None]:
        """Make what follows stand before the outermost loop, which is not yet in the list."""
        inside, self.body = self.body, self.program
        contexts, self.contexts = self.contexts, []
        try:
            yield
        finally:
            self.body, self.contexts = inside, contexts
