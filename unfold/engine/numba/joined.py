"""Neighbouring elementwise statements as one pass over their entries.

A pass goes through all of its statements at one entry before it goes to the next. So two statements
stand in one only where neither writes, at one entry, what the other has at another; and the places of
buffers are chosen for the list of passes, never for the list they were made of.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from unfold.engine.plan.statement import Items, Statement, Sweep, Verb, statements
from unfold.engine.plan.view import Buffer, Memory, View

ELEMENTWISE = (
    Verb.UFUNC,
    Verb.WHERE,
    Verb.COPY,
    Verb.KEEP,
    Verb.PIECE,
    Verb.FILL,
    Verb.ACCUMULATE,
)
WORK = 1000  # how long is searched for an entry that two views share; after that they are taken to
Uses = Counter[Buffer]


@dataclass(frozen=True, eq=False)
class Pass(Statement):
    """Elementwise statements over the same entries. Its operands are what is read from memory, its outputs
    what is written there; `hidden` buffers have no memory: each entry lives in a register."""

    chain: tuple[Statement, ...] = ()
    hidden: frozenset[Buffer] = frozenset()


def uses(*lists: Items) -> Uses:
    """How many views statements have of each buffer."""
    found = (v.buffer for items in lists for s, _ in statements(items) for v in (*s.outputs, *s.operands))
    return Counter(found)


def joined(items: Items, used: Uses) -> list[Statement | Sweep]:
    """A list with neighbours joined. `used`: of the whole program, which tells what only a pass needs."""
    out: list[Statement | Sweep] = []
    chain: list[Statement] = []

    def close() -> None:
        if chain:
            out.append(_pass(chain, used))
            chain.clear()

    for item in items:
        if isinstance(item, Sweep):
            close()
            out.append(Sweep(item.axis, item.sign, item.size, joined(item.body, used)))
        elif item.kind is Verb.PIECE and item.what[2]:
            continue  # nothing to do
        elif item.kind in ELEMENTWISE:
            if not _joins(chain, item):
                close()
            chain.append(item)
        else:
            close()
            out.append(item)
    close()
    return out


def _joins(chain: Sequence[Statement], s: Statement) -> bool:
    (out,) = s.outputs
    return all(_may_share(before, s, out) for before in chain)


def _may_share(before: Statement, s: Statement, out: View) -> bool:
    (first,) = before.outputs
    if first.shape != out.shape:
        return False
    pairs = [*product((first,), (*s.operands, out)), *product(before.operands, (out,))]
    return all(not meet(a, b) or _same(a, b, len(out.shape)) for a, b in pairs)


def strides_over(view: View, rank: int) -> tuple[int, ...]:
    """How far apart neighbours are, for a view that is broadcast to so many dimensions."""
    mine = [s if n != 1 else 0 for n, s in zip(view.shape, view.strides, strict=True)]
    return (*[0] * (rank - len(mine)), *mine)


def _same(a: View, b: View, rank: int) -> bool:
    """Whether both have the same entry at every place of a shape of so many dimensions."""
    first, second = ((v.offset, v.steps, strides_over(v, rank)) for v in (a, b))
    return first == second


def meet(a: View, b: View) -> bool:
    """Whether two views may share an entry within a step."""
    if a.buffer is not b.buffer or not a.size or not b.size:
        return False
    if sorted(a.steps, key=str) != sorted(b.steps, key=str):
        return True
    (low, high), (least, most) = _reach(a), _reach(b)
    if high < least or most < low:
        return False
    memory = np.empty(max(high, most) - min(low, least) + 1, np.uint8)
    start = min(low, least)
    rows: list[Any] = [
        np.lib.stride_tricks.as_strided(memory[v.offset - start :], v.shape, v.strides) for v in (a, b)
    ]
    try:
        return bool(np.shares_memory(*rows, max_work=WORK))  # type: ignore[arg-type,misc,unused-ignore]
    except np.exceptions.TooHardError:
        return True


def _reach(view: View) -> tuple[int, int]:
    """The first and the last entry."""
    ends = [(n - 1) * s for n, s in zip(view.shape, view.strides, strict=True)]
    return view.offset + sum(min(e, 0) for e in ends), view.offset + sum(max(e, 0) for e in ends)


def _pass(chain: Sequence[Statement], used: Uses) -> Pass:
    rank = len(chain[0].outputs[0].shape)
    written: set[Any] = set()
    read: list[View] = []
    for s in chain:
        read += [v for v in s.operands if _entry(v, rank) not in written]
        written.add(_entry(s.outputs[0], rank))
    hidden = frozenset(_hidden(chain, read, used))
    outputs = tuple(v for s in chain for v in s.outputs if v.buffer not in hidden)
    nodes = tuple(n for s in chain for n in s.nodes)
    return Pass(Verb.UFUNC, outputs, tuple(read), nodes, what="pass", chain=tuple(chain), hidden=hidden)


def _entry(view: View, rank: int) -> tuple[Any, ...]:
    return view.buffer, view.offset, view.steps, strides_over(view, rank)


def _hidden(chain: Sequence[Statement], read: Iterable[View], used: Uses) -> Iterator[Buffer]:
    """The plan's buffers that only this pass uses, each entry written before it is read."""
    mine = Counter(v.buffer for s in chain for v in (*s.outputs, *s.operands))
    early = {v.buffer for v in read}
    for b, count in mine.items():
        if b.role is Memory.WORK and not b.pinned and count == used[b] and b not in early:
            yield b
