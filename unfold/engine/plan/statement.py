"""The statement list: what every renderer, the liveness analysis and the proof read.

A statement writes `outputs` from `operands`; both are views. It says nothing about names, addresses or
NumPy. A `Sweep` is a loop over one axis around statements and other sweeps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from unfold.core.axis import Axis
from unfold.core.node import Node
from unfold.engine.plan.view import View


class Verb(Enum):
    """What a statement does; `what` holds the rest.

    FILL     every entry of the output is `what`, a number
    COPY     the output is the operand, repeated where it lacks a letter
             (`what` is None, or (axis, k): it is the entries at place k of the node's axis)
    KEEP     the output is the operand, entry by entry: the same value in another order of memory
             (its source is the value that is copied)
    UFUNC    the output is the NumPy ufunc named `what` of the operands
    WHERE    the output is operand 1 where operand 0 is true, else operand 2
    DOT      the product of two matrices, or of a matrix and a vector; `what` is (rows, summed,
             columns), tuples of letters; one of rows and columns may be empty: a vector
    MATMUL   the same for every step of the dimensions in front
    EINSUM   the sum of products over the letters that the output lacks
    TOTAL    the sum over the first dimension; `what` is (summed, kept), tuples of letters
    PIECE    a part of a concatenation; `what` is (dimension, start, whether the operand lies there
             already, so that nothing is done)
    SOFTMAX  exp(a) / sum exp(a) along dimension `what` of the view
    ENTROPY  outputs -log softmax(a)[y] and softmax(a) - one_hot(y), row by row
    CALL     the output is `forward` of an operation; `what` is (operation, the axes in front of
             the dimensions of its operands)
    PARTIAL  the sum over some steps of an axis; `what` is (summed, kept, first, last)
    ACCUMULATE  the output, the sum over steps 0..first, becomes the sum over 0..last
             (`what` as for PARTIAL; operands: the output, the partial sum)
    """

    FILL = "fill"
    COPY = "copy"
    KEEP = "keep"
    UFUNC = "ufunc"
    WHERE = "where"
    DOT = "dot"
    MATMUL = "matmul"
    EINSUM = "einsum"
    TOTAL = "total"
    PIECE = "piece"
    SOFTMAX = "softmax"
    ENTROPY = "entropy"
    CALL = "call"
    PARTIAL = "partial"
    ACCUMULATE = "accumulate"


@dataclass(frozen=True)
class StepAt:
    """Which step of an axis a statement is about: `start`, plus `rate` times the counter of each sweep
    in `rates`. Steps count from 0. Where a statement says nothing about the axis of a sweep around
    it, it is about the step that the counter names."""

    axis: Axis
    start: int
    rates: tuple[tuple[Axis, int], ...] = ()

    def index(self, counters: dict[Axis, int]) -> int:
        """The step, given the counters of the sweeps around."""
        return self.start + sum(rate * counters[a] for a, rate in self.rates)


@dataclass(frozen=True, eq=False)
class Statement:
    """One line of a plan.

    `nodes` are the values that the outputs hold, one for each output. `sources` are, for each
    operand, the value it holds and the letters of that value's dimensions where they have names of
    their own (the letters of a contraction; None: -rank .. -1). The proof reads them; renderers
    need not. `alias`: an output may lie exactly where an operand lies. `at`: see `Where`.
    """

    kind: Verb
    outputs: tuple[View, ...]
    operands: tuple[View, ...] = ()
    nodes: tuple[Node, ...] = ()
    sources: tuple[tuple[Node, str | None], ...] = ()
    what: Any = None
    alias: bool = False
    at: tuple[StepAt, ...] = ()

    def __str__(self) -> str:
        what = f" {self.what!r}" if self.what is not None else ""
        outputs, operands = (", ".join(map(repr, views)) for views in (self.outputs, self.operands))
        return f"{outputs} = {self.kind.value}{what}({operands})"


@dataclass(eq=False)
class Sweep:
    """A loop over an axis: its counter runs 0, 1, .., size - 1 (sign 1) or back (sign -1)."""

    axis: Axis
    sign: int
    size: int
    body: list[Statement | Sweep] = field(default_factory=list)

    @property
    def counters(self) -> range:
        """The values of the counter, in order."""
        return range(self.size) if self.sign > 0 else range(self.size - 1, -1, -1)


Items = Sequence[Statement | Sweep]


def statements(items: Items, nest: tuple[Sweep, ...] = ()) -> Iterator[tuple[Statement, tuple[Sweep, ...]]]:
    """Every statement in order, with the sweeps around it, outermost first."""
    for item in items:
        if isinstance(item, Sweep):
            yield from statements(item.body, (*nest, item))
        else:
            yield item, nest


def listing(items: Items, indent: str = "") -> Iterator[str]:
    """The list as text, a statement a line."""
    for item in items:
        if isinstance(item, Sweep):
            arrow = "forward" if item.sign > 0 else "backward"
            yield f"{indent}for {item.axis.name} of {item.size}, {arrow}:"
            yield from listing(item.body, indent + "    ")
        else:
            yield f"{indent}{item}"
