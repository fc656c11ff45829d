"""Whether the integers of a call choose what is there: classes, words, rows, steps.

An index is checked before anything is computed, in every backend. What it is computed from are integers
of the call and numbers of steps, so its values are found for all steps at once; where no index that
could be read lies outside, the arrays as they came answer at the cost of one reduction each. Padding
that a batch with lengths never reads may hold anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from unfold.core import dims
from unfold.core.axis import Axis
from unfold.core.errors import BadIndex
from unfold.core.leaves import Constant, Input, Param, Symbol
from unfold.core.node import Node
from unfold.core.op import Elementwise
from unfold.core.system import System, postorder
from unfold.engine.binding import Array, Binding
from unfold.ops.time.delays import Size, Step, Structural, Zeros, sources


@dataclass(frozen=True)
class Choice:
    """An operation that chooses by an index: among so many things, counted from `base`."""

    node: Node
    index: Node
    among: dims.Dim | Axis
    base: int
    cone: tuple[Node, ...]  # what the index is computed from, inputs first

    def limit(self, bound: Binding) -> int:
        """How many things there are."""
        if isinstance(self.among, Axis):
            return bound.extents[self.among]
        return dims.evaluate(self.among, bound.sizes)


def choices(graph: System) -> list[Choice]:
    """The operations whose indices a call fixes, each index once."""
    if "choices" not in graph.known:
        found: dict[Any, Choice] = {}
        for node in graph.order:
            for index, among, base in _chosen(node):
                cone = _cone(graph, index)
                if cone and any(isinstance(u.op, Input | Param | Step) for u in cone):
                    found.setdefault((index, among, base), Choice(node, index, among, base, cone))
        graph.known["choices"] = list(found.values())
    made: list[Choice] = graph.known["choices"]
    return made


def _chosen(node: Node) -> list[tuple[Node, dims.Dim | Axis, int]]:
    op, inputs = node.op, node.inputs
    if op.name == "take":
        return [(inputs[1], inputs[0].shape[0], 0)]
    if op.name == "cross_entropy":
        return [(inputs[1], inputs[0].shape[-1], 0)]
    if op.name == "one_hot":
        return [(inputs[0], op.parameters["size"], 0)]
    if op.name == "scatter":
        return [(inputs[1], op.parameters["size"], 0)]
    if op.name in ("take_along", "add_along"):
        (over,) = op.parameters["over"]
        source = op.parameters.get("size") or (inputs[0].shape[over] if isinstance(over, int) else None)
        return [(inputs[1], over if source is None else source, op.parameters["base"])]
    return []


def _cone(graph: System, index: Node) -> tuple[Node, ...]:
    """What an index is computed from; nothing where that is more than integers of the call."""
    cone = postorder([index], below=graph.inputs_of)
    done: set[Node] = set()
    for node in cone:
        if node.dtype not in ("int", "bool") or not set(graph.inputs_of(node)) <= done:
            return ()  # numbers that the system computes; a recurrence
        alone = len(node.inputs) == 1 and not node.op.spans
        if not (node.op.leaf or isinstance(node.op, Elementwise | Structural) or alone):
            return ()
        done.add(node)
    return tuple(cone)


def checker(graph: System, bound: Binding) -> Callable[[Mapping[str, Array]], None] | None:
    """A function of the arrays of calls like this one that raises `BadIndex`; None where nothing chooses."""
    cheap: dict[tuple[str, int, int], None] = {}
    costly: list[Choice] = []
    for choice in choices(graph):
        limit = choice.limit(bound)
        labels = {u.op.label for u in choice.cone if isinstance(u.op, Input | Param) and u.dtype == "int"}
        if not labels:  # steps and constants: the same in every call
            _check(graph, choice, bound)
        elif _kept(choice, limit):
            cheap.update(dict.fromkeys((label, limit, choice.base) for label in labels))
        else:
            costly.append(choice)
    if not cheap and not costly:
        return None
    limits = list(cheap)

    def check(arrays: Mapping[str, Array]) -> None:
        good = not costly
        for label, limit, base in limits:
            array = arrays[label].view(np.uint64)  # what is below zero is large there
            greatest = (array - np.uint64(base) if base else array).max(initial=0)
            good = good and (greatest < limit or not array.size)
        if not good:
            call = Binding(dict(arrays), bound.dtype, bound.sizes, bound.extents)
            for choice in choices(graph):
                _check(graph, choice, call)

    return check


def _kept(choice: Choice, limit: int) -> bool:
    """Whether an index is an integer of the call as it came, or one that is in range."""
    for node in choice.cone:
        if isinstance(node.op, Constant | Zeros) and node.dtype == "int":
            values = node.op.value if isinstance(node.op, Constant) else np.zeros(1)
            if np.any((values < choice.base) | (values >= limit + choice.base)):
                return False
        elif isinstance(node.op, Step | Size) or (node.dtype == "int" and not _passes(node)):
            return False
    return True


def _passes(node: Node) -> bool:
    moves = isinstance(node.op, Input | Param | Symbol | Structural | Constant | Zeros)
    return moves or node.op.name == "where"


# ---------------------------------------------------------------------- the values of an index
def _check(graph: System, choice: Choice, bound: Binding) -> None:
    limit, value = choice.limit(bound), _values(graph, choice, bound)
    bad = (value < choice.base) | (value >= limit + choice.base)
    if not bad.any():
        return
    at = tuple(int(k) for k in np.argwhere(bad)[0])
    steps = [
        f"{a.name} = {k + 1}" for a, k in zip(choice.index.axes, at, strict=False) if bound.extents[a] > 1
    ]
    steps += [f"entry {list(at[len(choice.index.axes) :])}"] if len(at) > len(choice.index.axes) else []
    names = {u.op.label for u in choice.cone if isinstance(u.op, Input | Param) and u.dtype == "int"}
    plain = len(names) == 1 and all(_passes(u) for u in choice.cone if u.dtype == "int")
    who = f"{names.pop()} holds" if plain else f"the index {choice.index} is"
    what = f"{limit} {choice.among}" if isinstance(choice.among, str) else f"{limit}"
    where = f" ({choice.node.where})" if choice.node.where else ""
    place = f", at {', '.join(steps)}" if steps else ""
    raise BadIndex(
        f"{who} {value[at]}, but {choice.node} chooses from {what}: "
        f"{choice.base} to {limit - 1 + choice.base}{place}{where}"
    )


def _values(graph: System, choice: Choice, bound: Binding) -> Array:
    """The index over all steps of its axes."""
    found: dict[Node, Array] = {}
    for node in choice.cone:
        found[node] = _value(graph, node, bound, found)
    index = choice.index
    lead = [bound.extents[a] for a in index.axes]
    shape = tuple(dims.evaluate(d, bound.sizes) for d in index.shape)
    return np.broadcast_to(found[index], (*lead, *shape))


def _value(graph: System, node: Node, bound: Binding, found: Mapping[Node, Array]) -> Array:
    op = node.op
    if isinstance(op, Input | Param):
        return bound.leaf(node)
    if isinstance(op, Step):
        return np.arange(1, bound.extents[op.axis] + 1)
    if isinstance(op, Size):
        return np.asarray(bound.extents[op.axis])
    if isinstance(op, Zeros):
        return np.zeros((1,) * (len(node.axes) + len(node.shape)), int)
    if isinstance(op, Structural):
        return _moved(node, op, bound, found)
    inputs = graph.inputs_of(node)
    rank = max([len(node.shape), *(len(u.shape) for u in inputs)])
    same = isinstance(op, Elementwise)
    arrays = [_aligned(found[u], u, node.axes, rank if same else len(u.shape)) for u in inputs]
    if isinstance(op, Symbol):
        return arrays[0]
    out: Array = np.asarray(op.at_sizes(bound.sizes).forward(np, *arrays))
    return out


def _aligned(value: Array, node: Node, axes: tuple[Axis, ...], rank: int) -> Array:
    """A value over these axes in their order, with so many dimensions behind them."""
    n = len(node.axes)
    order = [node.axes.index(a) for a in axes if a in node.axes]
    value = value.transpose([*order, *range(n, value.ndim)])
    shape = iter(value.shape)
    lead = [next(shape) if a in node.axes else 1 for a in axes]
    return value.reshape([*lead, *[1] * (rank - (value.ndim - n)), *shape])


def _moved(node: Node, op: Structural, bound: Binding, found: Mapping[Node, Array]) -> Array:
    """Delays, fixed reads and the like: each step from where it is read."""
    size, rank = bound.extents[op.axis], len(node.shape)
    axes = (op.axis, *(a for a in node.axes if a != op.axis))
    fixed = op.axis not in node.axes
    at = np.asarray(0) if fixed else np.arange(1, size + 1)
    which, index = (np.atleast_1d(a) for a in np.broadcast_arrays(*sources(node, at, size)))
    one = (-1, *(1,) * (len(axes) - 1 + rank))
    out: Array = np.zeros((len(which), *(1,) * (len(axes) - 1 + rank)), int)
    for number, u in enumerate(node.inputs):
        if not (which == number).any():
            continue
        value = _aligned(found[u], u, axes, rank)
        if len(value) > 1 or size == len(value):
            value = value[np.clip(index - 1, 0, len(value) - 1)]
        out = np.where((which == number).reshape(one), value, out)
    if fixed:
        first: Array = out[0]
        return first
    back = [axes.index(a) for a in node.axes]
    return out.transpose([*back, *range(len(axes), out.ndim)])
