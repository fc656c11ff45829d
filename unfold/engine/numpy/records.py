"""Statements of a plan as data: what a compiling backend makes its loops of.

A `Cell` is an operand where it is used: its buffer, and for each loop and each dimension of its row
how far apart neighbours are. From that follows which statements may share one pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from unfold.engine.binding import Array

ELEMENTWISE = ("ufunc", "choose", "copy", "fill")


@dataclass(frozen=True)
class Cell:
    """An operand: entry (i, j, ...) of its row lies at `offset + steps of the loops + i * strides[0] + ...`
    of its buffer. A number has a value and no buffer."""

    buffer: str
    offset: int = 0
    loops: tuple[tuple[str, int], ...] = ()  # counter, stride
    shape: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()
    value: Any = None
    row: Array = field(default_factory=lambda: np.empty(0), compare=False)  # what it is at the first step

    def place(self, counters: Sequence[str] = ()) -> str:
        """Where in the buffer an entry lies, for counters over a row it broadcasts against."""
        mine = zip(counters[len(counters) - len(self.shape) :], self.shape, self.strides, strict=False)
        terms = [*self.loops, *((c, s) for c, n, s in mine if n != 1 and s)]
        parts = [c if s == 1 else f"{s} * {c}" for c, s in terms if c != "0"]
        return " + ".join([*parts, *([str(self.offset)] if self.offset or not parts else [])])

    def entry(self, counters: Sequence[str] = ()) -> str:
        """The entry itself."""
        if self.value is not None:
            kind = self.row.dtype.kind
            return f"_D({self.value!r})" if kind == "f" else repr(self.value)
        return f"{self.buffer}[{self.place(counters)}]"

    def pointer(self, counters: Sequence[str] = ()) -> str:
        """A pointer to the entry."""
        return f"shift({self.buffer}, {self.place(counters)})"

    def steps(self, rank: int) -> tuple[int, ...]:
        """How far apart neighbours are, in a row of the given rank that it broadcasts against."""
        mine = [s if n != 1 else 0 for n, s in zip(self.shape, self.strides, strict=True)]
        return (*[0] * (rank - len(mine)), *mine)

    def same_place(self, other: Cell, rank: int) -> bool:
        """Whether both are the same entry at every step and counter."""
        mine, theirs = ((c.offset, c.loops, c.steps(rank)) for c in (self, other))
        return self.buffer == other.buffer and mine == theirs

    def meets(self, other: Cell) -> bool:
        """Whether the two share any entry within a step."""
        if self.buffer != other.buffer or self.value is not None or other.value is not None:
            return False
        if self.loops != other.loops:
            return True
        try:
            return bool(np.shares_memory(self.row, other.row, max_work=1000))  # type: ignore[arg-type]
        except np.exceptions.TooHardError:
            return True


@dataclass(frozen=True)
class Record:
    """A statement: an elementwise one ("ufunc", "choose", "copy", "fill"), a product ("dot", its first
    `batch` dimensions shared), a "sum" over the first dimension, a "softmax" over dimension `dim`, the
    cross-entropy with its slope ("loss", operands scores and labels, outs loss and slope), a "contract"ion
    (all cells over the same counters, the first `batch` of them kept), the rows of a table at indices
    ("gather") or added there ("scatter")."""

    kind: str
    outs: tuple[Cell, ...]
    operands: tuple[Cell, ...] = ()
    function: str = ""
    batch: int = 0
    dim: int = 0

    @property
    def out(self) -> Cell:
        return self.outs[0]

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Outs and operands that have a buffer."""
        return tuple(c for c in (*self.outs, *self.operands) if c.value is None)


@dataclass
class Steps:
    """Statements repeated for every step of a loop."""

    counter: str
    size: int
    sign: int
    body: list[Record | Steps | str]


Body = Sequence["Record | Steps | str"]  # a text is a comment


def records(body: Body) -> Iterator[Record]:
    """All statements, those inside loops too."""
    for item in body:
        if isinstance(item, Record):
            yield item
        elif isinstance(item, Steps):
            yield from records(item.body)


def chains(body: Body) -> Iterator[list[Record] | Record | Steps | str]:
    """The body with neighbouring elementwise statements over rows of one shape gathered: what one of them
    reads at one entry, none of them writes at another. Comments inside a chain stand before it."""
    chain: list[Record] = []
    comments: list[str] = []
    for item in [*body, None]:
        elementwise = isinstance(item, Record) and item.kind in ELEMENTWISE
        if isinstance(item, Record) and elementwise and (not chain or _joins(chain, item)):
            chain.append(item)
        elif isinstance(item, str) and chain:
            comments.append(item)
        else:
            yield from comments  # on what the chain does
            if chain:
                yield chain
            chain, comments = [], []
            if isinstance(item, Record) and elementwise:
                chain.append(item)
            elif item is not None:
                yield item


def _joins(chain: Iterable[Record], record: Record) -> bool:
    for before in chain:
        if before.out.shape != record.out.shape:
            return False
        rank = len(record.out.shape)
        pairs = [(before.out, c) for c in record.cells] + [(record.out, c) for c in before.operands]
        if any(a.meets(b) and not a.same_place(b, rank) for a, b in pairs):
            return False
    return True
