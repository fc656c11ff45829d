"""From a schedule to a statement list over buffers: loops, and what each node becomes.

A loop over one axis is a sweep. Where its nodes stand at different steps (a retimed loop) the first and
last few steps are written out, and between them one sweep computes each node at its own distance from
the counter. A loop across several axes (a wavefront) is written out front by front, each front a sweep
along the line of its points.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, product
from typing import Any

import numpy as np

from unfold.analysis.schedule import Loop
from unfold.core.axis import Axis
from unfold.core.errors import UnfoldError
from unfold.core.leaves import Symbol
from unfold.core.node import Node
from unfold.engine.lower.builder import Body, Builder, Fixed, Stepping, Walking
from unfold.engine.lower.computing import compute
from unfold.engine.lower.reading import Lookup
from unfold.engine.plan.keeping import LOOKS, Keeping
from unfold.engine.plan.outline import Outline
from unfold.engine.plan.statement import Verb
from unfold.engine.plan.view import Buffer, Memory, NotPlanned, View, whole

Point = tuple[int, ...]
MOST = 200_000  # points of a wavefront that are written out


class Lowering:
    """The statements of an outline, and where its results lie."""

    def __init__(self, outline: Outline, keeping: Keeping) -> None:
        self.outline = outline
        self.builder = Builder()
        self.reading = Lookup(outline, keeping, self.builder)
        self.results: dict[str, View] = {}
        self._done: set[Node] = set()
        self._items(outline.schedule)
        for name, node in outline.graph.outputs.items():
            self.results[name] = self._result(name, outline.resolve(node))

    @property
    def prepare(self) -> Body:
        """What runs once."""
        return self.builder.prepare

    @property
    def program(self) -> Body:
        """What runs at every call."""
        return self.builder.program

    @property
    def buffers(self) -> list[Buffer]:
        """All buffers."""
        return self.builder.buffers

    def _items(self, items: Iterable[Node | Loop]) -> None:
        for item in items:
            if isinstance(item, Loop):
                self._loop(item)
            else:
                self._node(item)

    def _node(self, node: Node) -> None:
        builder = self.builder
        if node.op.leaf or isinstance(node.op, Symbol) or node in self._done:
            return
        if not all(context.has(node, self.outline.extent) for context in builder.contexts):
            return
        builder.node = node
        try:
            self._done |= self._computed(node)
        except UnfoldError:
            raise
        except Exception as error:  # no error of ours: say at least which operation
            where = f" ({node.where})" if node.where else ""
            raise NotPlanned(f"{node}{where}: {type(error).__name__}: {error}") from error

    def _computed(self, node: Node) -> set[Node]:
        """Writes down what computes a node; gives what else that computes."""
        if isinstance(node.op, LOOKS):
            self.reading.view(node)
            if node not in self.reading.copies:
                return set()
        return compute(self.reading, node)

    # ------------------------------------------------------------------ loops
    def _loop(self, loop: Loop) -> None:
        if len(loop.direction) > 1:
            self._fronts(loop)
            return
        ((axis, sign),) = loop.direction
        if abs(sign) != 1:
            raise NotPlanned(f"a loop over {axis.name} in steps of {sign}")
        self._swept(loop, axis, sign, self.outline.extent(axis))

    def _swept(self, loop: Loop, axis: Axis, sign: int, size: int) -> None:
        """A loop over one axis. With the counter at k, a node is at step k + its shift: 0 .. `spread`."""
        offsets = loop.offsets
        least, most = min(offsets.values()), max(offsets.values())
        spread = most - least
        shifts = {n: o - least if sign > 0 else most - o for n, o in offsets.items()} if spread else {}
        counters = list(range(-spread, size) if sign > 0 else range(size - 1, -spread - 1, -1))
        inner = range(size - spread)
        before = [k for k in counters if (k < 0 if sign > 0 else k >= len(inner))]
        after = [k for k in counters if (k >= len(inner) if sign > 0 else k < 0)]
        if not inner:
            before, after = counters, []
        for k in before:
            self._at(loop, Fixed(axis, k, shifts))
        if inner:
            with self.builder.sweep(axis, sign, len(inner)), self.builder.within(Stepping(axis, shifts)):
                self._items(loop.body)
        for k in after:
            self._at(loop, Fixed(axis, k, shifts))

    def _at(self, loop: Loop, context: Fixed) -> None:
        with self.builder.within(context):
            self._items(loop.body)

    def _fronts(self, loop: Loop) -> None:
        """A loop across several axes, point by point in the order of its fronts."""
        count = sum(math.prod(self.outline.extent(a) for a in _axes_around(loop, n)) for n in loop.nodes)
        if count > MOST:
            raise NotPlanned(f"{loop.nodes[0]}: a loop across {len(loop.axes)} axes at {count} points")
        points = sorted(self._points(loop), key=lambda entry: entry[0])
        for (_, node), group in groupby(points, key=lambda entry: (entry[0], entry[1])):
            axes = _axes_around(loop, node)
            for line in _lines(axes, [point for _, _, point in group]):
                self._line(node, axes, line)

    def _points(self, loop: Loop) -> Iterator[tuple[tuple[int, ...], Node, Point]]:
        """(when, what, where) for every node of a loop and every point of its axes."""
        for node in loop.nodes:
            if isinstance(node.op, Symbol):
                continue
            axes, path = _axes_around(loop, node), list(_path(loop, node))
            for point in product(*(range(self.outline.extent(a)) for a in axes)):
                at = dict(zip(axes, point, strict=True))
                when = [
                    (sum(f * (at[a] + 1) for a, f in direction) - offset, place)
                    for direction, offset, place in path
                ]
                yield tuple(x for pair in when for x in pair), node, point

    def _line(self, node: Node, axes: Sequence[Axis], line: list[Point]) -> None:
        first = line[0]
        if len(line) == 1:
            for a, k in zip(axes, first, strict=True):
                self.builder.contexts.append(Fixed(a, k))
            self._node(node)
            del self.builder.contexts[len(self.builder.contexts) - len(axes) :]
            return
        rates = {a: q - p for a, p, q in zip(axes, first, line[1], strict=True)}
        along = Axis(" and ".join(a.name for a in axes))
        walking = Walking(dict(zip(axes, first, strict=True)), rates, along)
        with self.builder.sweep(along, 1, len(line)), self.builder.within(walking):
            self._node(node)

    # ------------------------------------------------------------------ results
    def _result(self, name: str, node: Node) -> View:
        """Where an output lies, its axes in the order wanted: in memory that is the caller's alone."""
        outline, builder = self.outline, self.builder
        type = outline.type(node)
        letters = (*outline.wanted[name], *range(-len(type.shape), 0))
        view = self.reading.view(node)
        dtype = outline.bound.dtype_of(outline.graph.outputs[name].dtype)
        own = outline.outputs[node] == name and view.buffer.role is Memory.OUTPUT and _apart(view)
        if own and view.buffer.dtype == dtype and all(_disjoint(view, v) for v in self.results.values()):
            return view.order(letters)
        sizes = outline.sizes(type)
        out = whole(builder.buffer(name, [sizes[x] for x in letters], dtype, Memory.OUTPUT), letters)
        builder.node = node
        builder.emit(Verb.COPY, [out], [view.order(letters)], [(node, None)])
        return out


def _axes_around(loop: Loop, node: Node) -> list[Axis]:
    """The axes of a loop and of the loops inside it around a node."""
    axes = dict.fromkeys(loop.axes)
    for item in loop.body:
        if isinstance(item, Loop) and node in item.offsets:
            axes.update(dict.fromkeys(_axes_around(item, node)))
    return list(axes)


def _path(loop: Loop, node: Node) -> Iterator[tuple[tuple[tuple[Axis, int], ...], int, int]]:
    """The direction, the offset of the node and its place in the body, of each loop around it."""
    for place, item in enumerate(loop.body):
        if item is node:
            yield loop.direction, loop.offsets[node], place
        elif isinstance(item, Loop) and node in item.offsets:
            yield loop.direction, loop.offsets[node], place
            yield from _path(item, node)


def _lines(axes: Sequence[Axis], points: list[Point]) -> Iterator[list[Point]]:
    """Points that are computed at the same time, in lines of equal distances."""
    line: list[Point] = []
    for point in points:
        if len(line) > 1 and tuple(np.subtract(point, line[-1])) != tuple(np.subtract(line[1], line[0])):
            yield line
            line = []
        line.append(point)
    if line:
        yield line


def _apart(view: View) -> bool:
    """Whether no two entries of a view are the same."""
    return all(s != 0 for n, s in zip(view.shape, view.strides, strict=True) if n > 1)


def _disjoint(a: View, b: View) -> bool:
    """Whether two views have no entry in common."""
    if a.buffer is not b.buffer or not a.size or not b.size:
        return True
    marks: Any = np.zeros(a.buffer.size, np.bool_)
    for view in (a, b):
        some = np.lib.stride_tricks.as_strided(marks[view.offset :], view.shape, view.strides)
        if view is b:
            return not some.any()
        some[...] = True
    return True
