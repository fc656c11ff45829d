"""Where every buffer lies: what is never needed at the same time shares memory.

The last stage: it reads the statements as they are, so that a temporary or a copy that some stage has
added has a place like any value. Buffers of one dtype lie in one block.
"""

from __future__ import annotations

import heapq
from bisect import insort
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from unfold.engine.plan.statement import Items, Statement, Sweep, Verb
from unfold.engine.plan.view import Buffer, Memory, View

UNIT = 16  # entries: places start at multiples of it
FOREVER = 1 << 60
LARGEST = 1 << 20  # entries of a buffer of which is looked up whether several statements fill it


@dataclass(frozen=True)
class Places:
    """The place of every buffer of the plan in the block of its dtype, and the sizes of the blocks,
    counted in entries."""

    offsets: Mapping[Buffer, int]
    sizes: Mapping[np.dtype[Any], int]

    @property
    def bytes(self) -> int:
        """How much memory that is."""
        return sum(n * int(dtype.itemsize) for dtype, n in self.sizes.items())

    def __str__(self) -> str:
        lines = [f"{dtype}: {n} entries" for dtype, n in self.sizes.items()]
        return "\n".join([*lines, *(f"    {b!r} at {at}" for b, at in self.offsets.items())])


@dataclass(frozen=True)
class Life:
    """From the first to the last statement that needs a buffer. `heirs`: buffers that end with its first
    statement and may lie exactly where it lies."""

    buffer: Buffer
    first: int
    last: int
    heirs: tuple[Buffer, ...] = ()


@dataclass(frozen=True)
class _Access:
    """One statement that reads or writes a buffer."""

    position: int
    nest: tuple[Sweep, ...]
    view: View
    writes: bool
    statement: Statement


@dataclass
class _Lives:
    """All accesses of a list, by buffer; the positions at which each sweep begins and ends."""

    position: int = 0
    accesses: dict[Buffer, list[_Access]] = field(default_factory=dict)
    spans: dict[Sweep, tuple[int, int]] = field(default_factory=dict)

    def items(self, items: Items, nest: tuple[Sweep, ...] = ()) -> None:
        """Number the statements."""
        for item in items:
            self.position += 1
            if isinstance(item, Sweep):
                start = self.position
                self.items(item.body, (*nest, item))
                self.position += 1
                self.spans[item] = start, self.position
            else:
                nothing = item.kind is Verb.PIECE and item.what[2]
                for v in item.operands:
                    self._add(_Access(self.position, nest, v, False, item))
                for v in item.outputs:
                    self._add(_Access(self.position, nest, v, not nothing, item))

    def _add(self, access: _Access) -> None:
        self.accesses.setdefault(access.view.buffer, []).append(access)


def lives(program: Items) -> list[Life]:
    """The life of every buffer that needs a place."""
    walk = _Lives()
    walk.items(program)
    return [_life(walk, b, a) for b, a in walk.accesses.items() if b.role is Memory.WORK]


def _life(walk: _Lives, buffer: Buffer, accesses: list[_Access]) -> Life:
    if buffer.pinned:
        return Life(buffer, 0, FOREVER)
    nest = _common(accesses)
    depth = len(nest)

    def lifted(a: _Access, end: int) -> int:
        """The position of a statement, or of the loop around it below the common nest."""
        return a.position if len(a.nest) == depth else walk.spans[a.nest[depth]][end]

    first, last = min(lifted(a, 0) for a in accesses), max(lifted(a, 1) for a in accesses)
    if nest and not _within_a_step(buffer, accesses, nest):
        first, last = walk.spans[nest[0]]
    return Life(buffer, first, last, _heirs(buffer, accesses, first))


def _common(accesses: list[_Access]) -> tuple[Sweep, ...]:
    """The loops around all of them."""
    nest = accesses[0].nest
    for a in accesses:
        k = 0
        while k < min(len(nest), len(a.nest)) and nest[k] is a.nest[k]:
            k += 1
        nest = nest[:k]
    return nest


def _within_a_step(buffer: Buffer, accesses: list[_Access], nest: tuple[Sweep, ...]) -> bool:
    """Whether a buffer that only one loop uses is written anew at every step, before it is read."""
    axes = {loop.axis for loop in nest}
    if any(stride and axis in axes for a in accesses for axis, stride in a.view.steps):
        return False
    read = min((a.position for a in accesses if not a.writes), default=FOREVER)
    early = [a.view for a in accesses if a.writes and len(a.nest) == len(nest) and a.position < read]
    return _fills(buffer, early)


def _fills(buffer: Buffer, views: list[View]) -> bool:
    """Whether all entries of a buffer are among those of some views."""
    if any(v.size == buffer.size and v.packed for v in views):
        return True
    if sum(v.size for v in views) < buffer.size or buffer.size > LARGEST:
        return False
    marks: Any = np.zeros(max(1, buffer.size), np.bool_)
    for v in views:
        np.lib.stride_tricks.as_strided(marks[v.offset :], v.shape, v.strides)[...] = True
    return bool(marks[: buffer.size].all())


def _heirs(buffer: Buffer, accesses: list[_Access], first: int) -> tuple[Buffer, ...]:
    """The operands of the first statement that the buffer may lie on: all views that the statement has of
    such an operand go through the same entries in the same order as its result."""
    start = [a for a in accesses if a.position == first]
    if len(start) != 1 or not start[0].writes or not start[0].statement.alias:
        return ()
    view, operands = start[0].view, start[0].statement.operands
    found = dict.fromkeys(v.buffer for v in operands if v.buffer.role is Memory.WORK)
    return tuple(b for b in found if all(_alike(v, view) for v in operands if v.buffer is b))


def _alike(a: View, b: View) -> bool:
    same = a.address[1:] == b.address[1:]
    return same and (a.buffer.size, a.buffer.dtype) == (b.buffer.size, b.buffer.dtype)


class _Block:
    """Free places in the block of one dtype."""

    def __init__(self) -> None:
        self.size = 0
        self.free: list[tuple[int, int]] = []  # (start, entries), in order

    def take(self, count: int) -> int:
        """The smallest free place with room for `count` entries, or a new one at the end."""
        fits = [(n, at) for at, n in self.free if n >= count]
        if not fits:
            at = self.size
            if self.free and sum(self.free[-1]) == self.size:  # the last place only needs to grow
                at = self.free.pop()[0]
            self.size = at + count
            return at
        n, at = min(fits)
        self.free.remove((at, n))
        if n > count:
            insort(self.free, (at + count, n - count))
        return at

    def give(self, at: int, count: int) -> None:
        """A place is free again; neighbours become one."""
        insort(self.free, (at, count))
        k = self.free.index((at, count))
        for i in (k, k - 1):
            if 0 <= i < len(self.free) - 1 and sum(self.free[i]) == self.free[i + 1][0]:
                start, n = self.free[i]
                self.free[i : i + 2] = [(start, n + self.free[i + 1][1])]


def places(program: Items, buffers: Iterable[Buffer], reuse: bool = True) -> Places:
    """A place for every buffer of a program; without `reuse`, one of its own for each."""
    offsets: dict[Buffer, int] = {}
    blocks: dict[np.dtype[Any], _Block] = {}
    ending: list[tuple[int, int, Life]] = []
    held: dict[Buffer, Life] = {}  # that have their places now
    found = sorted(lives(program), key=lambda life: (life.first, life.last))
    known = {life.buffer for life in found}
    unread = [Life(b, 0, FOREVER) for b in buffers if b.role is Memory.WORK and b not in known]
    for number, life in enumerate([*unread, *found]):
        b = life.buffer
        block = blocks.setdefault(b.dtype, _Block())
        while reuse and ending and ending[0][0] < life.first:
            old = heapq.heappop(ending)[2].buffer
            if held.pop(old, None) is not None:
                blocks[old.dtype].give(offsets[old], _room(old))
        heir = next((o for o in life.heirs if reuse and o in held and held[o].last == life.first), None)
        if heir is not None:
            del held[heir]
            offsets[b] = offsets[heir]
        else:
            offsets[b] = block.take(_room(b))
        held[b] = life
        heapq.heappush(ending, (life.last, number, life))
    return Places(offsets, {dtype: block.size for dtype, block in blocks.items()})


def _room(buffer: Buffer) -> int:
    return -(-max(1, buffer.size) // UNIT) * UNIT
