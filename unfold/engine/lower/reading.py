"""The view of every value over all its steps: a delay is a shift, a fixed read an index, a reversed
read a flip, a repeat a stride of 0, a row a stride of 0 along the axes of its loops.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from unfold.core.axis import Axis
from unfold.core.leaves import Constant, Named
from unfold.core.node import Node, Op
from unfold.core.system import leading
from unfold.engine.lower.builder import Builder
from unfold.engine.plan.keeping import Keeping
from unfold.engine.plan.outline import Outline
from unfold.engine.plan.typed import Boundary
from unfold.engine.plan.view import Buffer, Letter, Memory, NotPlanned, Type, View, contiguous_strides, whole
from unfold.engine.rewrites.augmenting import Eye
from unfold.ops.array.indexing import Extent, Narrow
from unfold.ops.array.shape import Broadcast_to, Reshape, Transpose
from unfold.ops.time.delays import At, Delay, Reverse, Size, Step, Zeros, sources


@dataclass(eq=False)
class Lookup:
    """The views of the values of a plan, made when asked for."""

    outline: Outline
    keeping: Keeping
    builder: Builder
    copies: set[Node] = field(default_factory=set)  # looks of which no view can be had

    def __post_init__(self) -> None:
        self._views: dict[Node, View] = {}
        self._given: dict[str, Buffer] = {}
        self._constants: dict[Any, View] = {}

    # ------------------------------------------------------------------ what others ask
    def view(self, node: Node) -> View:
        """A value over all its steps; its letters are those of its type."""
        node = self.outline.resolve(node)
        if node not in self._views:
            self._views[node] = self._checked(node, self._view(node))
        return self._views[node]

    def seen(self, node: Node) -> View:
        """A value at the steps at which it is read now."""
        return self.builder.seen(self.view(node))

    def number(self, value: Any, dtype: Any) -> View:
        """A constant array, dimensions -rank .. -1; one for all who ask."""
        array = np.array(value, dtype, order="C")
        key = array.tobytes(), array.dtype.str, array.shape
        if key not in self._constants:
            made = self.builder.buffer(_written(array), array.shape, array.dtype, Memory.CONSTANT, array)
            self._constants[key] = whole(made, range(-array.ndim, 0))
        return self._constants[key]

    @property
    def values(self) -> Mapping[Node, View]:
        """The views of all values asked for so far."""
        return self._views

    # ------------------------------------------------------------------ one node
    def _view(self, node: Node) -> View:
        look = next((_LOOKS[c] for c in type(node.op).__mro__ if c in _LOOKS), None)
        if look is None:
            return self._room(node)
        kind = self.outline.type(node)
        found = look(self, node, kind)
        if found is None:
            self.copies.add(node)
            return self._room(node)
        return found if found.letters == kind.letters else self.spread(found, kind)

    def _checked(self, node: Node, view: View) -> View:
        want = self.outline.type(node)
        if view.letters != want.letters or view.buffer.dtype != want.dtype:
            raise NotPlanned(f"{node.op.name}: {view!r} is not what it should be, {want}")
        return view

    def _room(self, node: Node) -> View:
        """The place of a computed value: in a concatenation, or in a buffer with its pads."""
        outline, keeping, type = self.outline, self.keeping, self.outline.type(node)
        if node in keeping.within:
            there = keeping.within[node]
            count = type.shape[there.dim] if not there.rows else type.shape[0] * type.shape[1]
            view = self.view(there.joint).part(there.dim, there.start, count)
            view = view.split(there.dim, type.shape) if there.rows else view
            return view if there.axis is None else view.shift(there.axis, there.lag)
        pads = keeping.pads.get(node, {})
        row = {a for loop in outline.nest[node] for a in loop.axes} if node in keeping.rows else set()
        sizes = outline.sizes(type)
        room: dict[Letter, int] = {a: sum(pads[a]) for a in pads}
        inner = [keeping.inner] if node in keeping.turned else []
        order = [*(x for x in sizes if x not in inner), *inner]
        shape = [1 if x in row else sizes[x] + room.get(x, 0) for x in order]
        role = Memory.OUTPUT if node in keeping.given and not pads else Memory.WORK
        name = outline.identifiers.of(node) + ("_all" if pads else "")
        view = whole(self.builder.buffer(name, shape, type.dtype, role), order).order(type.letters)
        for x, n in sizes.items():
            if x in row:
                view = view.at(x, 0).repeat({x: n}).order(type.letters) if n != 1 else view
            elif isinstance(x, Axis) and x in pads:
                view = view.part(x, pads[x][0], n)
        return view

    def spread(self, view: View, type: Type) -> View:
        """A view with all letters of a type, in their order."""
        return view.repeat(self.outline.sizes(type)).order(type.letters)


def _written(array: Any) -> str:
    """What a constant is called."""
    if array.ndim:
        return "numbers"
    value = array.item()
    known = {0: "zero", 1: "one", 2: "two", 0.5: "half"}
    return known.get(value, "number")


Look = Callable[[Lookup, Node, Type], View | None]


# ---------------------------------------------------------------------- leaves
def _named(reading: Lookup, node: Node, type: Type) -> View:
    """An array of the caller's: its leading dimensions are axes, or the steps of an unfolded graph."""
    op = node.op
    assert isinstance(op, Named)
    array = reading.outline.bound.arrays[op.label]
    if op.label not in reading._given:
        reading._given[op.label] = reading.builder.buffer(op.label, array.shape, type.dtype, Memory.GIVEN)
    lead = [i if isinstance(i, int) else i.axis for i in op.index] if op.index else leading([node])
    names = [x if isinstance(x, Axis) else f"step {place}" for place, x in enumerate(lead)]
    view = whole(reading._given[op.label], (*names, *range(-len(type.shape), 0)))
    for name, step in zip(names, lead, strict=True):
        if isinstance(step, int):
            view = view.at(name, step - 1)
    return view.order(type.letters)


def _constant(reading: Lookup, node: Node, type: Type) -> View:
    assert isinstance(node.op, Constant)
    return reading.number(node.op.value, type.dtype)


def _step(reading: Lookup, node: Node, type: Type) -> View:
    assert isinstance(node.op, Step)
    steps = np.arange(1, reading.outline.extent(node.op.axis) + 1)
    return reading.number(steps, type.dtype).name([node.op.axis])


def _size(reading: Lookup, node: Node, type: Type) -> View:
    assert isinstance(node.op, Size)
    return reading.number(reading.outline.extent(node.op.axis), type.dtype)


def _extent(reading: Lookup, node: Node, type: Type) -> View:
    return reading.number(reading.outline.parameter(node, "dim"), type.dtype)


def _zeros(reading: Lookup, node: Node, type: Type) -> View:
    return reading.spread(reading.number(0, type.dtype), type)


def _eye(reading: Lookup, node: Node, type: Type) -> View:
    return reading.number(np.eye(type.shape[0]), type.dtype)


# ---------------------------------------------------------------------- along an axis
def _delay(reading: Lookup, node: Node, type: Type) -> View:
    assert isinstance(node.op, Delay)
    source = reading.outline.resolve(node.inputs[0])
    view = reading.view(source)
    return view if source in reading.keeping.rows else view.shift(node.op.axis, -node.op.lag)


def _at(reading: Lookup, node: Node, type: Type) -> View:
    assert isinstance(node.op, At)
    which, index = sources(node, np.asarray(0), reading.outline.extent(node.op.axis))
    if which < 0:
        return reading.spread(reading.number(0, type.dtype), type)
    view = reading.view(node.inputs[int(which)])
    if node.op.axis in view.letters:
        view = view.at(node.op.axis, int(index) - 1)
    return reading.spread(view, type)


def _reverse(reading: Lookup, node: Node, type: Type) -> View:
    assert isinstance(node.op, Reverse)
    return reading.spread(reading.view(node.inputs[0]), type).flip(node.op.axis)


def _boundary(reading: Lookup, node: Node, type: Type) -> View:
    """A place in the pad of what is delayed; for a row, the row itself, before the loop."""
    op, outline = node.op, reading.outline
    assert isinstance(op, Boundary)
    source = next(outline.resolve(u.inputs[0]) for u in outline.users[node] if isinstance(u.op, Delay))
    view = reading.view(source)
    if source in reading.keeping.rows:
        return view.at(op.axis, 0)
    return view.at(op.axis, -1 - op.number if op.side > 0 else outline.extent(op.axis) + op.number)


# ---------------------------------------------------------------------- along dimensions
def _transpose(reading: Lookup, node: Node, type: Type) -> View:
    assert isinstance(node.op, Transpose)
    view, rank = reading.view(node.inputs[0]), len(type.shape)
    turned = view.order((*type.axes, *(i - rank for i in node.op.order)))
    return turned.name(type.letters)


def _narrow(reading: Lookup, node: Node, type: Type) -> View:
    op = reading.outline.op(node)
    assert isinstance(op, Narrow)
    assert isinstance(op.start, int)
    assert isinstance(op.stop, int)
    view = reading.view(node.inputs[0])
    kept = range(view.length(op.dim))[op.start : op.stop if op.stop >= 0 else None : op.step]
    return view.part(op.dim, kept.start if len(kept) else 0, len(kept), kept.step)


def _broadcast(reading: Lookup, node: Node, type: Type) -> View:
    assert isinstance(node.op, Broadcast_to)
    view = reading.view(node.inputs[0])
    for x, n in zip(reversed(view.letters), reversed(type.shape), strict=False):
        if isinstance(x, int) and view.length(x) != n:
            view = view.at(x, 0)
    return reading.spread(view, type)


def _reshape(reading: Lookup, node: Node, type: Type) -> View | None:
    """None where the entries are not neighbours in the order of the new shape."""
    assert isinstance(node.op, Reshape)
    view = reading.view(node.inputs[0])
    k = len(type.axes)
    shape, strides = (*view.shape[:k], *type.shape), (*view.strides[:k], *contiguous_strides(type.shape))
    if view.size and len(view.shape) > k:
        probe = np.lib.stride_tricks.as_strided(np.empty(1, np.int8), view.shape, view.strides)
        try:
            strides = probe.reshape(shape, copy=False).strides
        except ValueError:
            return None
    return View(view.buffer, view.offset, type.letters, shape, strides, view.steps)


_LOOKS: dict[type[Op], Look] = {
    Named: _named,
    Constant: _constant,
    Step: _step,
    Size: _size,
    Extent: _extent,
    Zeros: _zeros,
    Eye: _eye,
    Delay: _delay,
    At: _at,
    Reverse: _reverse,
    Boundary: _boundary,
    Transpose: _transpose,
    Narrow: _narrow,
    Broadcast_to: _broadcast,
    Reshape: _reshape,
}
