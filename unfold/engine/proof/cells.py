"""The memory of a plan with a tag in every cell, addressed as the plan says: the arena by places, so that
buffers which share room really share it here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from unfold.core.axis import Axis
from unfold.engine.plan.arena import Places
from unfold.engine.plan.view import Buffer, Memory, Sizes, View
from unfold.engine.proof.tags import NOTHING, Ids, PlanFault


@dataclass(frozen=True)
class Window:
    """A view in the memory: everything about it that is the same at every step."""

    buffer: Buffer
    start: int  # of entry 0, 0, .. where all counters are 0
    shape: Sizes
    strides: Sizes
    steps: tuple[tuple[Axis, int], ...]
    least: int  # the lowest and the highest address, from the start
    most: int
    floor: int  # the addresses of its buffer
    ceiling: int

    @property
    def empty(self) -> bool:
        """Whether it has no entries."""
        return 0 in self.shape

    def at(self, counters: Mapping[Axis, int]) -> int:
        """The address of entry 0, 0, ... Raises where an entry lies outside of the buffer."""
        start = self.start
        for axis, stride in self.steps:
            start += stride * counters[axis]
        if not self.empty and (start + self.least < self.floor or start + self.most >= self.ceiling):
            raise PlanFault(f"goes outside of the memory of {self.buffer!r}")
        return start

    def alike(self, other: Window) -> bool:
        """Whether it goes through its entries as another one does."""
        k = len(self.shape) - len(other.shape)
        if k < 0 or self.shape[k:] != other.shape or math.prod(self.shape[:k]) != 1:
            return False
        pairs = zip(self.shape[k:], self.strides[k:], other.strides, strict=True)
        return all(s == t for n, s, t in pairs if n > 1)

    def apart(self, addresses: Ids) -> bool:
        """Whether no two entries are one; `addresses` are scratch of the size of the memory."""
        room = 1
        pairs = [(n, abs(s)) for n, s in zip(self.shape, self.strides, strict=True) if n > 1]
        for n, stride in sorted(pairs, key=lambda pair: pair[1]):
            if stride < room:
                break
            room += stride * (n - 1)
        else:
            return True
        seen = _window(addresses, self, self.floor - self.least)
        numbers = np.arange(seen.size).reshape(seen.shape)
        seen[...] = numbers
        return bool((seen == numbers).all())


class Cells:
    """All memory of a plan: the blocks of the arena, then every other buffer alone."""

    def __init__(self, buffers: Iterable[Buffer], places: Places) -> None:
        self._floors: dict[Buffer, int] = {}
        total = 0
        blocks: dict[object, int] = {}
        for dtype, size in places.sizes.items():
            blocks[dtype] = total
            total += size
        for b in buffers:
            if b.role is Memory.WORK:
                at = places.offsets[b]
                if at < 0 or at + b.size > places.sizes[b.dtype]:
                    raise PlanFault(f"the place of {b!r} is not inside of its block")
                self._floors[b] = blocks[b.dtype] + at
            else:
                self._floors[b] = total
                total += b.size
        self.tags: Ids = np.full(total, NOTHING)
        self.scratch: Ids = np.zeros(total, np.int64)

    def window(self, view: View) -> Window:
        """A view in this memory."""
        if view.buffer not in self._floors:
            raise PlanFault(f"{view.buffer!r} is no buffer of the plan")
        floor = self._floors[view.buffer]
        reach = [(n - 1) * s for n, s in zip(view.shape, view.strides, strict=True)]
        return Window(
            view.buffer,
            floor + view.offset,
            view.shape,
            view.strides,
            view.steps,
            sum(r for r in reach if r < 0),
            sum(r for r in reach if r > 0),
            floor,
            floor + view.buffer.size,
        )

    def whole(self, buffer: Buffer) -> Ids:
        """The tags of a buffer."""
        start = self._floors[buffer]
        return self.tags[start : start + buffer.size].reshape(buffer.shape)

    def seen(self, window: Window, start: int) -> Ids:
        """The tags in a window: no copy."""
        return _window(self.tags, window, start)

    def meet(self, a: Window, start: int, b: Window, begin: int) -> bool:
        """Whether two windows have a cell in common."""
        if a.empty or b.empty or start + a.most < begin + b.least or begin + b.most < start + a.least:
            return False
        one, other = _window(self.scratch, a, start), _window(self.scratch, b, begin)
        one[...] = 0
        other[...] = 1
        return bool(one.any())


def _window(memory: Ids, w: Window, start: int) -> Ids:
    if w.empty:
        return np.empty(w.shape, np.int64)
    return np.ndarray(w.shape, np.int64, memory, start * 8, tuple(8 * s for s in w.strides))
