"""What every entry of every value is, as one integer: its tag.

A value that an operation computes has a tag of its own for each step and entry. What only moves values
(a delay, a fixed read, a transpose, a concatenation, a copy) has the tags of what it moves, found by
the operation itself: by its `sources`, or by its `forward` on tags. Numbers that the equations fix have
one tag for each number. Nothing here knows of views, places or statements.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unfold.core import dims
from unfold.core.axis import Axis
from unfold.core.errors import UnfoldError
from unfold.core.leaves import Constant, Input, Named, Param, Symbol
from unfold.core.node import Node, Op
from unfold.core.system import System
from unfold.engine.binding import Binding
from unfold.engine.plan.arraycalls import Held
from unfold.engine.plan.typed import Boundary
from unfold.engine.plan.view import Sizes
from unfold.engine.rewrites.augmenting import Eye
from unfold.ops.array.indexing import Extent, Narrow
from unfold.ops.array.shape import Broadcast_to, Concat, Reshape, Transpose
from unfold.ops.time.delays import Size, Step, Structural, Zeros, sources

Ids = NDArray[np.int64]
NOTHING = -1
"""The tag of memory that nobody has written."""


class PlanFault(UnfoldError):
    """A plan that does not compute what the equations ask. Fields, where they are known: `number` and
    `statement` (which, as text), `node`, `steps`, `entry`, `holds` and `due` (in words)."""


@dataclass(frozen=True)
class Meant:
    """What a tag stands for: an entry of a value, of an array of the call, or a number; of a value, it
    may be the sum over some steps (from, to) only."""

    of: Node | str | complex
    index: Sizes = ()
    part: tuple[int, int] | None = None


class Tags:
    """The tags of all values of a graph at the sizes of a call."""

    def __init__(self, graph: System, bound: Binding) -> None:
        self.graph, self.bound = graph, bound
        self.nodes = [n for n in graph.order if not isinstance(n.op, Symbol)]
        self._sizes = {n: self._dims(n) for n in self.nodes}
        self._numbers, numbers = self._constants()
        self._other: dict[complex, int] = {}
        self.first = len(self._numbers)  # from here on tags are of what differs from call to call
        self._start: dict[Node | str, int] = {}
        self._owners: list[Node | str] = []
        self._starts: list[int] = []
        total = self.first
        for owner, size in self._rooms():
            self._start[owner] = total
            self._owners.append(owner)
            self._starts.append(total)
            total += size
        self._every = np.arange(total)
        self._partial: dict[tuple[Node, int, int], int] = {}
        self._parts: list[tuple[int, tuple[Node, int, int]]] = []
        self._next = total
        self._roots = self._followed(numbers)

    # ------------------------------------------------------------------ what others ask
    def resolve(self, node: Node) -> Node:
        """The node behind a symbol."""
        while isinstance(node.op, Symbol):
            node = self.graph.definitions[node]
        return node

    def inputs(self, node: Node) -> list[Node]:
        """What a node reads, symbols resolved."""
        return [self.resolve(u) for u in node.inputs]

    def dims(self, node: Node) -> Sizes:
        """The size of every axis and dimension of a value, in the order of the node."""
        return self._sizes[node]

    def of(self, node: Node) -> Ids:
        """The tags of a value: its axes in the order of the node, then its dimensions."""
        return self._slot(self._roots, node, self._sizes[node])

    def array(self, label: str) -> Ids:
        """The tags of an array of the call."""
        return self._slot(self._roots, label, self.bound.arrays[label].shape)

    def numbers(self, values: Any) -> Ids:
        """The tags of numbers; those that no equation has get new ones."""
        found = np.atleast_1d(_normal(values))
        at = np.searchsorted(self._numbers, found).clip(0, len(self._numbers) - 1)
        known = self._numbers[at]
        tags = np.where((known == found) | (np.isnan(known) & np.isnan(found)), at, NOTHING)
        for k in np.flatnonzero(tags == NOTHING).tolist():
            tags.flat[k] = self._other.setdefault(complex(found.flat[k]), NOTHING - 1 - len(self._other))
        return tags.reshape(np.shape(values))

    def partial(self, node: Node, first: int, last: int) -> Ids:
        """The tags of the sum over steps first .. last - 1 of what a node sums."""
        key = node, first, last
        if key not in self._partial:
            self._partial[key] = self._next
            self._parts.append((self._next, key))
            self._next += math.prod(self.dims(node))
        return self._partial[key] + np.arange(math.prod(self.dims(node))).reshape(self.dims(node))

    def meant(self, tag: int) -> Meant | None:
        """What a tag stands for; None for memory that nobody has written."""
        if tag >= len(self._every):
            start, (node, first, last) = self._parts[bisect_right(self._parts, tag, key=lambda p: p[0]) - 1]
            return Meant(node, _unraveled(tag - start, self.dims(node)), (first, last))
        if tag >= self.first:
            k = bisect_right(self._starts, tag) - 1
            owner = self._owners[k]
            shape = self.bound.arrays[owner].shape if isinstance(owner, str) else self.dims(owner)
            return Meant(owner, _unraveled(tag - self._starts[k], shape))
        if tag >= 0:
            return Meant(complex(self._numbers[tag]))
        other = next((v for v, k in self._other.items() if k == tag), None)
        return None if other is None else Meant(other)

    def shift(self) -> int:
        """More than every tag: added to those that an earlier call has left."""
        return 1 << 48

    # ------------------------------------------------------------------ sizes and slots
    def _dims(self, node: Node) -> Sizes:
        lead = [self.bound.extents[a] for a in node.axes]
        return (*lead, *(dims.evaluate(d, self.bound.sizes) for d in node.shape))

    def _rooms(self) -> list[tuple[Node | str, int]]:
        arrays: list[tuple[Node | str, int]] = [(label, a.size) for label, a in self.bound.arrays.items()]
        return [*arrays, *((n, math.prod(self._sizes[n])) for n in self.nodes)]

    def _slot(self, ids: Ids, owner: Node | str, shape: Sizes) -> Ids:
        start = self._start[owner]
        return ids[start : start + math.prod(shape)].reshape(shape)

    def _constants(self) -> tuple[NDArray[np.complex128], dict[Node, Any]]:
        """All numbers that the equations fix, in order, and the values of the nodes that are such."""
        rules = {n: _rule(n.op, _NUMBERS) for n in self.nodes if n.op.leaf}
        values = {n: rule(self, n) for n, rule in rules.items() if rule is not None}
        if unknown := [n for n in rules if n not in values and _rule(n.op, _MOVES) is None]:
            raise PlanFault(f"no rule says what {unknown[0].op.name} is")
        flat = [np.ravel(_normal(v)) for v in values.values()]
        return np.unique(np.concatenate([np.zeros(1, np.complex128), *flat])), values

    # ------------------------------------------------------------------ what is moved from where
    def _followed(self, numbers: Mapping[Node, Any]) -> Ids:
        """For every entry the one it is moved from, through all moves: by doubling the steps."""
        parent = self._every.copy()
        for n in self.nodes:
            if n in numbers:
                moved: Ids | None = np.broadcast_to(self.numbers(numbers[n]), self.dims(n))
            else:
                moved = self._moved(n)
            if moved is not None:
                self._slot(parent, n, self.dims(n))[...] = moved
        is_root = parent == self._every
        for _ in range(max(1, len(parent)).bit_length() + 1):
            further = parent[parent]
            if np.array_equal(further, parent):
                break
            parent = further
        if not is_root[parent].all():
            tag = int(np.flatnonzero(~is_root[parent])[0])
            raise PlanFault(f"what is moved comes from itself: {self.meant(tag)}")
        return parent

    def _moved(self, node: Node) -> Ids | None:
        """Of every entry of a node that only moves values, the entry of an input that it is."""
        if 0 in self.dims(node) or not moves(node, self.inputs(node)):
            return None
        rule = _rule(node.op, _MOVES)
        return None if rule is None else rule(self, node)

    def own(self, node: Node) -> Ids:
        """A number for every entry of a value, before anything is followed."""
        return self._slot(self._every, node, self.dims(node))

    def lined(self, node: Node, axes: Sequence[Axis]) -> Ids:
        """`own`, with just these axes in front: repeated along those that the value lacks."""
        ids = self.own(node)
        extra = [a for a in node.axes if a not in axes]
        if extra:
            raise PlanFault(f"{node.op.name} varies along {extra[0]!r}, what moves it does not")
        turned = ids.transpose(
            *(node.axes.index(a) for a in axes if a in node.axes), *range(len(node.axes), ids.ndim)
        )
        wide = turned[tuple(slice(None) if a in node.axes else None for a in axes)]
        lead = [self.bound.extents[a] for a in axes]
        return np.broadcast_to(wide, (*lead, *wide.shape[len(axes) :]))


Rule = Callable[[Tags, Node], Any]


def moves(node: Node, inputs: Sequence[Node]) -> bool:
    """Whether a node only moves values. A copy of another kind computes: numbers are rounded."""
    if isinstance(node.op, Held):
        return node.dtype == inputs[0].dtype
    return _rule(node.op, _MOVES) is not None


def _rule(op: Op, rules: Mapping[type[Op], Rule]) -> Rule | None:
    return next((rules[c] for c in type(op).__mro__ if c in rules), None)


def _by_forward(tags: Tags, node: Node) -> Ids:
    op: Op = node.op.at_sizes(tags.bound.sizes)
    out = op.forward(np, *(tags.lined(u, node.axes) for u in tags.inputs(node)))
    return np.broadcast_to(out, tags.dims(node))


def _boundary(tags: Tags, node: Node) -> Ids:
    (u,) = tags.inputs(node)
    ids = tags.lined(u, node.axes)
    lead = len(node.axes)
    wide = ids.reshape((*ids.shape[:lead], *[1] * (len(node.shape) - len(u.shape)), *ids.shape[lead:]))
    return np.broadcast_to(wide, tags.dims(node))


def _structural(tags: Tags, node: Node) -> Ids:
    """By what the operation says of its sources: which input, at which step; a zero where none."""
    op = node.op
    assert isinstance(op, Structural)
    size, zero = tags.bound.extents[op.axis], int(tags.numbers(0))
    rest = [a for a in node.axes if a != op.axis]
    varies = op.axis in node.axes
    steps = np.arange(1, size + 1) if varies else np.ones(1, np.int64)
    which, index = (np.broadcast_to(x, steps.shape) for x in sources(node, steps, size))
    lead = [tags.bound.extents[a] for a in rest]
    out = np.full((len(steps), *lead, *tags.dims(node)[len(node.axes) :]), zero)
    for k, u in enumerate(tags.inputs(node)):
        here = which == k
        if not here.any():
            continue
        if op.axis in u.axes:
            out[here] = tags.lined(u, [op.axis, *rest])[index[here] - 1]
        else:
            out[here] = tags.lined(u, rest)
    return np.moveaxis(out, 0, node.axes.index(op.axis)) if varies else out[0]


def _array(tags: Tags, node: Node) -> Ids:
    """A leaf that the call gives: its leading dimensions are its axes, or steps of an unfolded graph."""
    op = node.op
    assert isinstance(op, Named)
    ids = tags._slot(tags._every, op.label, tags.bound.arrays[op.label].shape)
    lead = op.index or tuple(a.now for a in node.axes)
    ids = ids[tuple(i - 1 if isinstance(i, int) else slice(None) for i in lead)]
    axes = [i.axis for i in lead if not isinstance(i, int)]
    return ids.transpose(*(axes.index(a) for a in node.axes), *range(len(axes), ids.ndim))


_MOVES: Mapping[type[Op], Rule] = {
    Structural: _structural,
    Boundary: _boundary,
    Held: _by_forward,
    Transpose: _by_forward,
    Reshape: _by_forward,
    Narrow: _by_forward,
    Broadcast_to: _by_forward,
    Concat: _by_forward,
    Input: _array,
    Param: _array,
}


def _step(tags: Tags, node: Node) -> Any:
    return np.arange(1, tags.dims(node)[0] + 1)


def _size(tags: Tags, node: Node) -> Any:
    assert isinstance(node.op, Size)
    return tags.bound.extents[node.op.axis]


def _extent(tags: Tags, node: Node) -> Any:
    return node.op.at_sizes(tags.bound.sizes).parameters["dim"]


def _constant(tags: Tags, node: Node) -> Any:
    assert isinstance(node.op, Constant)
    return np.asarray(node.op.value).astype(tags.bound.dtype_of(node.dtype))


def _eye(tags: Tags, node: Node) -> Any:
    return np.eye(tags.dims(node)[0])


def _zeros(tags: Tags, node: Node) -> Any:
    return 0


_NUMBERS: Mapping[type[Op], Rule] = {
    Constant: _constant,
    Step: _step,
    Size: _size,
    Extent: _extent,
    Zeros: _zeros,
    Eye: _eye,
}


def _normal(values: Any) -> NDArray[np.complex128]:
    """Numbers of all kinds as one; 0 has no sign."""
    return np.asarray(values).astype(np.complex128) + 0.0


def _unraveled(k: int, shape: Sizes) -> Sizes:
    return tuple(int(i) for i in np.unravel_index(k, shape))
