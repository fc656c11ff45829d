"""From a graph about one example to the graph over a batch, sequences of one or many lengths.

A batch is one more axis that every input has and no parameter. Lengths turn the end (or the
start) of the sequence into data: a boundary is met, a sum stops and `t.last` lies where the
example's own sequence ends, so padding is never seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from unfold.core.axis import Axis
from unfold.core.errors import BadName, UnfoldError
from unfold.core.kinds import INEXACT, Dtype, IndexKind
from unfold.core.leaves import Input, as_node
from unfold.core.node import Node, call
from unfold.core.op import Along, apply
from unfold.core.system import G, System, reach, rewrite
from unfold.ops.time.delays import At, Delay, Place, Reverse, Size, Step, size, step
from unfold.transform.simplify import with_axes


def batch(
    graph: G,
    name: str = "n",
    *,
    batch_first: bool = False,
    reduce: str | None = "mean",
    lengths: str | Mapping[str, str] | None = None,
    pad: str = "right",
) -> G:
    """The graph over a batch axis: inputs are (T, n, ...), or (n, T, ...) with `batch_first`.

    Outputs that are one number are reduced by "mean" or "sum" (None keeps one an example);
    all others keep the axis. `lengths="len"` adds an integer input `len`, (n,): how many
    steps of each sequence are its own, the first ones (`pad="right"`) or the last ones
    (`pad="left"`); several axes take a mapping {"i": "source_len", "j": "target_len"}.
    Outputs over such an axis are zero where an example has no steps left.
    """
    if reduce not in ("mean", "sum", None) or pad not in ("right", "left"):
        raise UnfoldError(
            f"batch: reduce is 'mean', 'sum' or None, pad 'right' or 'left'; got {reduce!r}, {pad!r}"
        )
    if any(a.name == name for a in graph.axes):
        raise BadName(f"the graph has an axis {name!r} already; name the batch axis differently")
    axis, own = Axis(name), {key: node.axes for key, node in graph.outputs.items()}
    if lengths is not None:
        graph = _with_lengths(graph, axis, _length_names(graph, lengths), pad)
    mapped = reach(graph.inputs.values(), lambda n: graph.users.get(n, ()))

    def over(axes: tuple[Axis, ...]) -> tuple[Axis, ...]:
        return (axis, *axes) if batch_first else (*axes, axis)

    def rule(node: Node, inputs: tuple[Node, ...]) -> Node:
        if node not in mapped or (node.op.leaf and axis in node.axes):
            return node
        axes = over(node.axes) if node.op.leaf else node.op.infer_axes(*inputs)
        return Node(node.op, inputs, axes, node.shape, node.dtype, node.where)

    result = rewrite(graph, rule)
    result = with_axes(
        result, {key: over(own[key]) if axis in u.axes else own[key] for key, u in result.outputs.items()}
    )
    outputs = dict(result.outputs)
    for key, node in outputs.items():
        if not reduce or node.shape or node.dtype not in INEXACT:
            continue
        if node.axes == (axis,):
            outputs[key] = call(reduce, node, over=axis)
        elif not node.axes and reduce == "sum":  # the same for every example
            outputs[key] = node * size(axis)
    spare = dict(graph.spare)  # what nothing reads has the axis too, if it is an input
    for label, (u, lead) in graph.spare.items():
        if isinstance(u.op, Input):
            wide = (axis, *lead) if batch_first else (*lead, axis)
            spare[label] = Node(u.op, (), over(u.axes), u.shape, u.dtype, u.where), wide
    return graph.remade(outputs, result.definitions, spare)


def _length_names(graph: System, lengths: str | Mapping[str, str]) -> dict[Axis, str]:
    axes = {a.name: a for u in graph.inputs.values() for a in u.axes}
    if isinstance(lengths, str):
        if len(axes) != 1:
            raise UnfoldError(f"lengths of which axis? pass a mapping over {', '.join(axes) or 'an axis'}")
        lengths = {next(iter(axes)): lengths}
    unknown = [a for a in lengths if a not in axes]
    if unknown:
        raise UnfoldError(f"lengths: no input is over an axis {unknown[0]!r}; there are {', '.join(axes)}")
    taken = [n for n in lengths.values() if n in graph.inputs or n in graph.params]
    if taken:
        raise BadName(f"lengths: the name {taken[0]!r} is taken")
    return {axes[a]: label for a, label in lengths.items()}


def _with_lengths(graph: G, axis: Axis, labels: Mapping[Axis, str], pad: str) -> G:
    for time, label in labels.items():
        length = Node(Input(label, most=time), (), (axis,), (), "int")
        graph = rewrite(graph, _Masked(time, length, pad == "left").rule)
        inside = _Masked(time, length, pad == "left").inside
        outputs = {
            name: call("where", inside, u, _zero(u)) if time in u.axes else u
            for name, u in graph.outputs.items()
        }
        graph = graph.remade(outputs, graph.definitions)
    return graph


def _zero(node: Node) -> Any:
    return {Dtype.BOOL: False, Dtype.INT: 0}.get(node.dtype, 0.0)


class _Masked:
    """The rewriting of one time axis so that an example's steps are start + 1 .. start + length."""

    def __init__(self, time: Axis, length: Node, left: bool) -> None:
        self.time, self.length = time, length
        self.start: Node | int = size(time) - length if left else 0
        self.here = step(time) - self.start if left else step(time)  # the example's own t
        own = call("less_equal", 1, self.here) if left else call("less_equal", self.here, length)
        self.inside = own

    def rule(self, node: Node, inputs: tuple[Node, ...]) -> Node:
        op = node.op
        if isinstance(op, Step) and op.axis == self.time:
            return self.here
        if isinstance(op, Size) and op.axis == self.time:
            return self.length
        if isinstance(op, Input) and self.time in node.axes:
            return call("where", self.inside, node, _zero(node))
        if isinstance(op, Delay) and op.axis == self.time:
            return self._delay(node, op, inputs)
        if isinstance(op, At) and op.axis == self.time:
            return self._at(node, op, inputs)
        if isinstance(op, Place) and op.axis == self.time:
            return call("where", call("equal", self.here, self._index(op)), inputs[0], _zero(node))
        if isinstance(op, Reverse) and op.axis == self.time:
            raise UnfoldError(f"{node}: a reversed read has no batch with lengths; reverse the data instead")
        if self.time in op.spans and isinstance(op, Along):
            if op.neutral is None:
                raise UnfoldError(f"{op.name} over {self.time.name} has no batch with lengths")
            masked = [call("where", self.inside, u, op.neutral) for u in inputs]
            return apply(op, *masked)
        if op.leaf:
            return node
        return Node(op, inputs, op.infer_axes(*inputs), node.shape, node.dtype, node.where)

    def _index(self, op: At | Place) -> Node:
        """The index of a fixed read, in the example's own steps."""
        return self.length + op.index.offset if op.index.kind == IndexKind.LAST else as_node(op.index.offset)

    def _delay(self, node: Node, op: Delay, inputs: tuple[Node, ...]) -> Node:
        out = apply(op, *inputs)
        ends = inputs[1:] or [None] * abs(op.lag)
        for m, value in enumerate(ends):
            edge = 0 - m if op.lag > 0 else self.length + (1 + m)
            met = call("equal", self.here - op.lag, edge)
            out = call("where", met, _zero(node) if value is None else value, out)
        return out

    def _at(self, node: Node, op: At, inputs: tuple[Node, ...]) -> Node:
        index = self._index(op)
        chosen = call("where", call("equal", self.here, index), inputs[0], _zero(node))
        out = call("sum", chosen, over=self.time)
        for m, value in enumerate(inputs[1:]):
            out = out + call("where", call("equal", index, -m), value, _zero(node))
        return out
