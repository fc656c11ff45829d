"""Affine addresses with letters: which entries of a buffer are read or written, and what each
dimension of them means.

Nothing here knows NumPy. Offsets and strides count entries, not bytes. Every operation on a view has
a NumPy counterpart on the array it stands for; the tests compare the two.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from unfold.core.axis import Axis
from unfold.core.errors import UnfoldError

Letter = Axis | int | str | None | tuple[Any, ...]
"""What a dimension means: an axis; a dimension of the value, counted from the end (-1 is the last); a
letter of a contraction; nothing, of size 1; or several of these, merged into one dimension."""

Sizes = tuple[int, ...]


class NotPlanned(UnfoldError):
    """A plan that cannot be made or would be wrong; the message names the operation."""


class Memory(Enum):
    """Whose memory a buffer is."""

    WORK = "work"  # the plan's: it has a place in the arena
    GIVEN = "given"  # the caller's, only read
    CONSTANT = "constant"  # made once with the plan, only read
    OUTPUT = "output"  # made at every call, and given away


@dataclass(frozen=True)
class Type:
    """What is known of a value before it runs: its axes in the order of every buffer, the shape of
    one step, the dtype."""

    axes: tuple[Axis, ...]
    shape: Sizes
    dtype: np.dtype[Any]

    @property
    def letters(self) -> tuple[Letter, ...]:
        """The dimensions of the value over all its steps: its axes, then -rank .. -1."""
        return (*self.axes, *range(-len(self.shape), 0))


@dataclass(eq=False)
class Buffer:
    """A run of memory with a shape; two are the same only if they are one object.

    Not every buffer of the plan has memory of its own in the end: `places` may put several in the
    same room, one after the other. A `pinned` one keeps its room from call to call.
    """

    name: str
    shape: Sizes
    dtype: np.dtype[Any]
    role: Memory = Memory.WORK
    value: Any = None  # of a constant
    pinned: bool = False

    @property
    def size(self) -> int:
        """How many entries it has."""
        return math.prod(self.shape)

    def __repr__(self) -> str:
        return f"{self.name}{list(self.shape)}"


@dataclass(frozen=True)
class View:
    """Entries of a buffer: entry (i, j, ...) lies at offset + i strides[0] + j strides[1] + ...,
    plus `step` * `stride` for each loop around that `steps` names."""

    buffer: Buffer
    offset: int
    letters: tuple[Letter, ...]
    shape: Sizes
    strides: Sizes
    steps: tuple[tuple[Axis, int], ...] = ()

    # ------------------------------------------------------------------ what it is
    @property
    def size(self) -> int:
        """How many entries it has."""
        return math.prod(self.shape)

    @property
    def packed(self) -> bool:
        """Whether its entries lie one behind the other, the last dimension first."""
        count = 1
        for n, stride in zip(reversed(self.shape), reversed(self.strides), strict=True):
            if n != 1 and stride != count:
                return False
            count *= n
        return True

    @property
    def address(self) -> tuple[Buffer, int, Sizes, Sizes, tuple[tuple[Axis, int], ...]]:
        """What tells whether two views are of the same entries in the same order."""
        strides = tuple(0 if n == 1 else s for n, s in zip(self.shape, self.strides, strict=True))
        return self.buffer, self.offset, self.shape, strides, self.steps

    def place(self, letter: Letter) -> int:
        """Which dimension a letter is. Raises `NotPlanned` where it is none."""
        if letter not in self.letters:
            raise NotPlanned(f"{self.buffer!r} has no dimension {letter!r}; it has {self.letters!r}")
        return self.letters.index(letter)

    def length(self, letter: Letter) -> int:
        """The size of the dimension of a letter."""
        return self.shape[self.place(letter)]

    # ------------------------------------------------------------------ fewer entries
    def step(self, axis: Axis, shift: int = 0) -> View:
        """The entries of one step of a loop over `axis`, `shift` steps from where the loop is; all of
        them where it does not vary along the axis. NumPy: `a[k + shift]` in the loop over k."""
        if axis not in self.letters:
            return self
        i = self.place(axis)
        stride = self.strides[i]
        moves = stride and self.shape[i] > 1
        return self._without(
            i, self.offset + shift * stride, (*self.steps, (axis, stride)) if moves else self.steps
        )

    def walk(self, starts: Mapping[Axis, int], rates: Mapping[Axis, int], along: Axis) -> View:
        """The entry at `starts[a] + rates[a] k` of each axis a, in step k of a loop over `along`: a
        walk across several axes. NumPy: `a[i + p * k, j + q * k]`."""
        view, total = self, 0
        for axis, start in starts.items():
            if axis in view.letters:
                total += rates[axis] * view.strides[view.place(axis)]
                view = view.at(axis, start)
        if not total:
            return view
        return View(
            view.buffer, view.offset, view.letters, view.shape, view.strides, (*view.steps, (along, total))
        )

    def at(self, letter: Letter, k: int) -> View:
        """The entries at place k of a dimension, counted from 0; it may lie outside (in a pad).
        NumPy: `a[..., k, ...]`."""
        i = self.place(letter)
        return self._without(i, self.offset + k * self.strides[i], self.steps)

    def part(self, letter: Letter, start: int, count: int, step: int = 1) -> View:
        """`count` entries of a dimension. NumPy: `a[start : start + count * step : step]`."""
        i = self.place(letter)
        return View(
            self.buffer,
            self.offset + start * self.strides[i],
            self.letters,
            _with(self.shape, i, count),
            _with(self.strides, i, self.strides[i] * step),
            self.steps,
        )

    # ------------------------------------------------------------------ the same number, elsewhere
    def shift(self, letter: Letter, k: int) -> View:
        """As many entries, k places further along a dimension. NumPy: `a[1:5]` becomes `a[1 + k : 5 + k]`."""
        return self._moved(self.offset + k * self.strides[self.place(letter)])

    def flip(self, letter: Letter) -> View:
        """A dimension in reversed order. NumPy: `a[::-1]`."""
        i = self.place(letter)
        n, stride = self.shape[i], self.strides[i]
        return View(
            self.buffer,
            self.offset + max(n - 1, 0) * stride,
            self.letters,
            self.shape,
            _with(self.strides, i, -stride),
            self.steps,
        )

    # ------------------------------------------------------------------ other letters, other order
    def name(self, letters: Iterable[Letter]) -> View:
        """The same dimensions with other letters."""
        new = tuple(letters)
        assert len(new) == len(self.letters)
        return View(self.buffer, self.offset, new, self.shape, self.strides, self.steps)

    def order(self, letters: Sequence[Letter]) -> View:
        """The dimensions in the order of `letters`: this is how operands are lined up.

        A letter it lacks becomes a dimension of size 1, without a letter; one that is not asked for
        is an error. NumPy: `transpose` and `a[:, None]`.
        """
        extra = [x for x in self.letters if x is not None and x not in letters]
        if extra:
            raise NotPlanned(f"{self.buffer!r} varies along {extra!r}, what reads it only along {letters!r}")
        found = [self.letters.index(x) if x is not None and x in self.letters else None for x in letters]
        return View(
            self.buffer,
            self.offset,
            tuple(None if i is None else self.letters[i] for i in found),
            tuple(1 if i is None else self.shape[i] for i in found),
            tuple(0 if i is None else self.strides[i] for i in found),
            self.steps,
        )

    @property
    def by_memory(self) -> tuple[Letter, ...]:
        """Its letters, those of larger strides first."""
        key = dict(zip(self.letters, self.strides, strict=True))
        ones = {x for x, n in zip(self.letters, self.shape, strict=True) if n == 1 or not key[x]}
        moved = iter(sorted((x for x in self.letters if x not in ones), key=lambda x: -abs(key[x])))
        return tuple(x if x in ones else next(moved) for x in self.letters)

    def repeat(self, sizes: Mapping[Letter, int]) -> View:
        """With every letter of `sizes`: one it lacks is added in front, with stride 0.
        NumPy: `broadcast_to`."""
        new = {x: n for x, n in sizes.items() if x not in self.letters}
        return View(
            self.buffer,
            self.offset,
            (*reversed(new), *self.letters),
            (*reversed(new.values()), *self.shape),
            (*[0] * len(new), *self.strides),
            self.steps,
        )

    def squeezed(self) -> View:
        """Without the dimensions in front that have no letter: what NumPy adds by itself."""
        k = next((i for i, x in enumerate(self.letters) if x is not None), len(self.letters))
        return View(self.buffer, self.offset, self.letters[k:], self.shape[k:], self.strides[k:], self.steps)

    def merged(self, *groups: Sequence[Letter]) -> View | None:
        """Each group of letters as one dimension, or None where that is no view. Every letter stands
        in one group. NumPy: `transpose` and `reshape`, when that needs no copy."""
        flat = [x for group in groups for x in group]
        if any(x is not None and x not in flat for x in self.letters):
            return None
        v = self.order(flat)
        shape, strides, letters, start = [], [], [], 0
        for group in groups:
            stop = start + len(group)
            one = _nested(v.shape[start:stop], v.strides[start:stop], v.size == 0)
            if one is None or (len(group) > 1 and None in v.letters[start:stop]):
                return None
            shape.append(one[0])
            strides.append(one[1])
            letters.append(v.letters[start] if len(group) == 1 else tuple(group))
            start = stop
        return View(self.buffer, self.offset, tuple(letters), tuple(shape), tuple(strides), self.steps)

    def split(self, letter: Letter, shape: Sizes) -> View:
        """The last dimension as several, -k .. -1. NumPy: `a.reshape(..., *shape)`."""
        i = self.place(letter)
        assert i == len(self.letters) - 1
        assert self.shape[i] == math.prod(shape)
        strides = tuple(self.strides[i] * s for s in contiguous_strides(shape))
        letters = (*self.letters[:i], *range(-len(shape), 0))
        return View(
            self.buffer,
            self.offset,
            letters,
            (*self.shape[:i], *shape),
            (*self.strides[:i], *strides),
            self.steps,
        )

    # ------------------------------------------------------------------
    def _without(self, i: int, offset: int, steps: tuple[tuple[Axis, int], ...]) -> View:
        """Without dimension i, starting elsewhere."""
        return View(
            self.buffer,
            offset,
            self.letters[:i] + self.letters[i + 1 :],
            self.shape[:i] + self.shape[i + 1 :],
            self.strides[:i] + self.strides[i + 1 :],
            steps,
        )

    def _moved(self, offset: int) -> View:
        return View(self.buffer, offset, self.letters, self.shape, self.strides, self.steps)

    def __repr__(self) -> str:
        steps = "".join(f" + {s} {a.name}" for a, s in self.steps)
        dims = ", ".join(
            f"{_spelled(x)}:{n}({s})" for x, n, s in zip(self.letters, self.shape, self.strides, strict=True)
        )
        return f"{self.buffer.name}@{self.offset}{steps}[{dims}]"


def whole(buffer: Buffer, letters: Iterable[Letter]) -> View:
    """All of a buffer, its dimensions named by `letters`."""
    strides = contiguous_strides(buffer.shape)
    names = tuple(letters)
    assert len(names) == len(buffer.shape), f"{buffer!r} has not the dimensions {names!r}"
    return View(buffer, 0, names, buffer.shape, strides)


def contiguous_strides(shape: Sizes) -> Sizes:
    """How far neighbours of each dimension are apart where all lie one behind the other."""
    strides, count = [], 1
    for n in reversed(shape):
        strides.append(count)
        count *= n
    return tuple(reversed(strides))


def _nested(shape: Sizes, strides: Sizes, empty: bool) -> tuple[int, int] | None:
    """The size and stride of several dimensions as one, or None where the strides do not nest."""
    if empty:
        return math.prod(shape), 1
    size, stride = 1, 0
    for n, s in zip(reversed(shape), reversed(strides), strict=True):
        if n == 1:
            continue
        if size == 1:
            size, stride = n, s
        elif s == stride * size:
            size *= n
        else:
            return None
    return size, stride


def _with(values: Sizes, i: int, value: int) -> Sizes:
    return (*values[:i], value, *values[i + 1 :])


def _spelled(letter: Letter) -> str:
    if isinstance(letter, tuple):
        return "".join(map(_spelled, letter))
    return letter.name if isinstance(letter, Axis) else "_" if letter is None else str(letter)
