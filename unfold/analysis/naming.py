"""What things are called: the index a leaf is read at, and the expressions that a symbol names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from unfold.core.axis import Axis, Index, indexed, mirrored, written
from unfold.core.kinds import IndexKind
from unfold.core.leaves import Constant, Named, label_of
from unfold.core.node import Node
from unfold.core.system import System
from unfold.ops.time.delays import Zeros

Reads = Mapping[Axis, Index]  # where each axis is read; missing: at its own index


def moved(place: Index | int, at: Reads) -> Index | int:
    """An index where the axes are read at `at`: t - 1 read at t + 1 is t."""
    if isinstance(place, int) or place.axis not in at:
        return place
    here = at[place.axis]
    if place.kind == IndexKind.NOW:
        return here + place.offset
    return place if place.kind != IndexKind.BACK else mirrored(here) + (place.offset - 1)


def places(node: Node) -> tuple[Index | int, ...]:
    """The indices a leaf is written with; axes it varies over and does not name (those of an
    input, of a batch) are at their present steps."""
    index = node.op.index if isinstance(node.op, Named) else ()
    told = {i.axis for i in index if isinstance(i, Index)}
    return (*index, *(a.now for a in node.axes if a not in told))


def written_places(leaf: Node) -> tuple[Index | int, ...]:
    """The indices a leaf is asked by: those of its equation, otherwise its axes at their present steps."""
    index: tuple[Index | int, ...] = leaf.op.index if isinstance(leaf.op, Named) else ()
    return index or tuple(a.now for a in leaf.axes)


def steps_at(
    places: Sequence[Index | int], steps: Sequence[Any], extents: Mapping[Axis, int]
) -> dict[Axis, int] | None:
    """The steps of the axes in `extents` at which what is written with `places` stands for `steps`
    (numbers, or indices such as t - 1 and t.last); None where it never does."""
    if len(places) != len(steps):
        return None
    at: dict[Axis, int] = {}
    for place, step in zip(places, steps, strict=True):
        step = step.now if isinstance(step, Axis) else step
        if isinstance(place, int) or place.axis not in extents:
            if not _is_said(place, step):
                return None
        elif place.kind == IndexKind.NOW:
            step = step.resolve(0, extents[place.axis]) if isinstance(step, Index) else step
            if not isinstance(step, int | np.integer) or not 1 <= step <= extents[place.axis]:
                return None
            at[place.axis] = int(step)
        elif step not in (place, place.resolve(0, extents[place.axis])):
            return None
    return at


def _is_said(place: Index | int, step: Any) -> bool:
    """Whether a step names a place on an axis of open length."""
    return bool(
        place == step or (isinstance(place, Index) and place.kind == IndexKind.AT and place.offset == step)
    )


def written_at(leaf: Node, at: Reads) -> str:
    """A leaf as written where its axes are read at `at`: `h[t-1]`."""
    return indexed(label_of(leaf), [written(moved(i, at)) for i in places(leaf)])


def unrepeated(node: Node) -> Node:
    """The node without repetitions over dimensions, which a formula need not say."""
    while node.op.name == "broadcast_to" or (node.op.name == "reshape" and node.inputs[0].shape == ()):
        node = node.inputs[0]
    return node


def is_zeros(node: Node) -> bool:
    """Zeros, perhaps repeated."""
    node = unrepeated(node)
    return isinstance(node.op, Zeros) or (isinstance(node.op, Constant) and not node.op.value.any())


def named_bodies(graph: System) -> dict[Node, Node]:
    """The expressions that are written by the symbol they define: those that compute
    something, over all the axes of the symbol."""
    return {
        body: symbol
        for body, symbol in graph.names.items()
        if not body.op.leaf
        and not isinstance(unrepeated(body).op, Constant | Zeros)
        and set(body.axes) == set(symbol.axes)
    }
