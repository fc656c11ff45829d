"""The time operations: they move values along an axis and compute nothing.

They come in transpose pairs, so reverse mode is closed over them:

    delay by k, boundary values outside     delay by -k, zeros outside
    read at a fixed index                   place at that index, zero elsewhere
    reversed order                          itself

Each says in `sources` which input, at which index, a step is read from; unfolding and the
reference interpreter need nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from unfold.core.axis import Axis, Index
from unfold.core.dims import Shape
from unfold.core.errors import OutOfRange
from unfold.core.kinds import IndexKind
from unfold.core.leaves import Leaf, as_node
from unfold.core.node import Node, Op, call, register
from unfold.core.op import apply, enlist, promote

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Structural(Op):
    """Moves values along `axis`."""

    axis: Axis = Axis("t")

    structural, linear = True, True

    def infer(self, *inputs: Node) -> tuple[Shape, str]:
        if any(u.shape != inputs[0].shape for u in inputs):
            raise self.mismatch(*inputs)
        return inputs[0].shape, promote(None, *inputs)

    def infer_axes(self, *inputs: Node) -> tuple[Axis, ...]:
        axes = super().infer_axes(*inputs)
        return axes if self.axis in axes else (*axes, self.axis)

    def sources(self, at: Ints, size: int, inputs: int) -> tuple[Ints, Ints]:
        """For steps `at` of an axis of `size`: (number of the input or -1 for zero, index in it)."""
        raise NotImplementedError

    def fills(self, node: Node) -> bool:
        """Whether some of its values may be zeros of its own making."""
        return False


@enlist
@dataclass(frozen=True)
class Delay(Structural):
    """x[t - lag]: inputs x, then its boundary values x[0], x[-1], ... (lag > 0) or
    x[T+1], x[T+2], ... (lag < 0); none given means zeros."""

    lag: int = 1

    symbol: ClassVar[str] = "z⁻¹"

    def sources(self, at: Ints, size: int, inputs: int) -> tuple[Ints, Ints]:
        index = at - self.lag
        outside = -index if self.lag > 0 else index - size - 1
        inside = (index >= 1) & (index <= size)
        which = np.where(inside, 0, outside + 1 if inputs > 1 else -1)
        return which, index

    def fills(self, node: Node) -> bool:
        return len(node.inputs) == 1

    def boundary(self, m: int) -> Index:
        """The index of boundary value m (input m + 1)."""
        return Index(self.axis, IndexKind.AT, -m) if self.lag > 0 else Index(self.axis, IndexKind.LAST, 1 + m)

    def vjp(self, ct: Node, out: Node, *inputs: Node) -> Sequence[Node | None]:
        reads = [self.boundary(m) + self.lag for m in range(len(inputs) - 1)]
        return [delay(ct, self.axis, -self.lag), *(read_at(ct, i, outside="zero") for i in reads)]


@enlist
@dataclass(frozen=True)
class At(Structural):
    """x[index] for a fixed index; inputs x, then for sequences too short x[0], x[-1], ... (an
    index from the end) or x[T+1], x[T+2], ... (an index from the start).
    Outside of all that: an error, or zero where `outside="zero"`."""

    index: Index = Axis("t").last
    outside: str = "error"

    def fills(self, node: Node) -> bool:
        return self.outside == "zero"

    def infer_axes(self, *inputs: Node) -> tuple[Axis, ...]:
        return tuple(a for a in super().infer_axes(*inputs) if a != self.axis)

    def sources(self, at: Ints, size: int, inputs: int) -> tuple[Ints, Ints]:
        index = self.index.resolve(0, size)
        if 1 <= index <= size:
            return np.asarray(0), np.asarray(index)
        beyond = -index if self.index.kind == IndexKind.LAST else index - size - 1
        if 0 <= beyond < inputs - 1:
            return np.asarray(1 + beyond), np.asarray(0)
        if self.outside == "zero":
            return np.asarray(-1), np.asarray(0)
        raise OutOfRange(
            f"a read at {self.axis} = {self.index!r} is outside 1..{self.axis.length}: "
            f"here {self.axis.length} = {size}"
            + (f", so it would be step {index}" if self.index.kind == IndexKind.LAST else "")
        )

    def boundary(self, m: int) -> Index:
        """The index of boundary value m (input m + 1)."""
        first = Index(self.axis, IndexKind.AT, -m)
        return first if self.index.kind == IndexKind.LAST else Index(self.axis, IndexKind.LAST, 1 + m)

    def vjp(self, ct: Node, out: Node, *inputs: Node) -> Sequence[Node | None]:
        place = apply(Place(self.axis, self.index), ct)
        here = call("step", self.index)
        ends = [call("step", self.boundary(m)) for m in range(len(inputs) - 1)]
        on = [call("where", call("equal", here, end), ct, 0.0) for end in ends]
        return [place, *on]


@enlist
@dataclass(frozen=True)
class Place(Structural):
    """x at one index, zero elsewhere."""

    index: Index = Axis("t").last

    def fills(self, node: Node) -> bool:
        return True

    def sources(self, at: Ints, size: int, inputs: int) -> tuple[Ints, Ints]:
        return np.where(at == self.index.resolve(0, size), 0, -1), at

    def vjp(self, ct: Node, out: Node, *inputs: Node) -> Sequence[Node | None]:
        return [read_at(ct, self.index, outside="zero")]


@enlist
@dataclass(frozen=True)
class Reverse(Structural):
    """x[T + 1 - t]: the axis in reversed order."""

    def sources(self, at: Ints, size: int, inputs: int) -> tuple[Ints, Ints]:
        return np.zeros_like(at), size + 1 - at

    def vjp(self, ct: Node, out: Node, *inputs: Node) -> Sequence[Node | None]:
        return [apply(self, ct)]


@enlist
@dataclass(frozen=True)
class Step(Leaf):
    """t as a number: 1, 2, ..., T."""

    axis: Axis = Axis("t")
    symbol: ClassVar[str] = "t"


@enlist
@dataclass(frozen=True)
class Size(Leaf):
    """T, the number of steps, as a number."""

    axis: Axis = Axis("t")
    symbol: ClassVar[str] = "T"


@enlist
@dataclass(frozen=True)
class Zeros(Leaf):
    """Zeros of the node's shape."""

    symbol: ClassVar[str] = "0"


def sources(node: Node, at: NDArray[Any], size: int) -> tuple[Ints, Ints]:
    """`sources` of a time operation at the given steps; an error names the read and its line."""
    assert isinstance(node.op, Structural)
    try:
        return node.op.sources(at, size, len(node.inputs))
    except OutOfRange as error:
        where = f" ({node.where})" if node.where else ""
        raise OutOfRange(f"{node}: {error.message}{where}", axis=node.op.axis, size=size) from None


def zeros(shape: Shape, dtype: str = "float") -> Node:
    """Zeros of a shape (dimensions may be names)."""
    return Node(Zeros(), shape=shape, dtype=dtype)


def delay(x: Node, axis: Axis, lag: int, *boundary: Node) -> Node:
    """x shifted by `lag` steps along `axis`; zeros, or the boundary values, outside."""
    return apply(Delay(axis, lag), x, *boundary) if lag else x


def read_at(x: Node, index: Index, *boundary: Node, outside: str = "error") -> Node:
    """x at a fixed index of its axis; x itself where it does not vary along it."""
    if index.axis not in x.axes and outside == "error":
        return x
    return apply(At(index.axis, index, outside), x, *boundary)


def reverse(x: Node, axis: Axis) -> Node:
    """x in reversed order along `axis`: x[T + 1 - t]."""
    return apply(Reverse(axis), x) if axis in x.axes else x


def size(axis: Axis) -> Node:
    """The number of steps T as an expression."""
    return Node(Size(axis), dtype="int")


@register
def step(index: Axis | Index) -> Node:
    """An index as a number: `uf.step(t)` is 1, 2, ..., T; `uf.step(t.last)` is T."""
    index = index.now if isinstance(index, Axis) else index
    if index.kind == IndexKind.AT:
        return as_node(index.offset)
    here = Node(Step(index.axis), (), (index.axis,), (), "int")
    n = {"now": here, "last": size(index.axis)}.get(index.kind)
    node = n if n is not None else size(index.axis) - here
    return node + index.offset if index.offset else node
