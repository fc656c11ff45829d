"""From a cyclic graph to the explicit one: one node per (operation, index), no axis left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from unfold.analysis.instances import Instances, Outputs, OutputSteps
from unfold.analysis.table import build
from unfold.core.axis import Axis
from unfold.core.errors import UnfoldError
from unfold.core.node import Node, call
from unfold.core.op import Along, apply
from unfold.core.system import G, rebuild, rewrite, signature
from unfold.ops.array.reduction import Collect, Pick
from unfold.ops.time.delays import At, sources


def unfold(graph: G, sizes: Mapping[str, int]) -> G:
    """The graph with the named axes written out: `unfold(g, {"t": 4})`.

    Every variable `h` becomes `h[1]`, ..., `h[4]`; delays become edges. Nodes are made when
    looked at; the table of rows and parents is made at once, in time and memory proportional
    to the number of nodes with a small constant.
    """
    by_name = {a.name: a for a in graph.axes}
    for name, n in sizes.items():
        if name not in by_name:
            raise UnfoldError(f"no axis {name!r}; this graph has {', '.join(by_name) or 'none'}")
        if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 0:
            raise UnfoldError(f"{name}={n!r}: the number of steps is an integer, 0 or more")
        fixed = by_name[name].size
        if isinstance(fixed, int) and fixed != n:
            raise UnfoldError(f"{name}={n}: axis {name} has a fixed size of {fixed}")
    extents = {by_name[name]: int(n) for name, n in sizes.items()}
    extents.update({a: a.size for a in graph.axes if isinstance(a.size, int)})
    if isinstance(graph.definitions, Instances) and isinstance(graph.outputs, Outputs):
        # unfolded in part: the same tiles over more axes
        extents = {**graph.definitions.extents, **extents}
        base = graph.definitions.graph
        graph = graph.remade(base.outputs, base.definitions, base.spare, base.steps)
    return written_out(graph, extents)


def written_out(graph: G, extents: Mapping[Axis, int]) -> G:
    """The graph written out over the axes in `extents`."""
    return tile(lower(graph, extents), extents)


def tile(graph: G, extents: Mapping[Axis, int]) -> G:
    """A graph that is lowered, written out over the axes in `extents`."""
    nodes = Instances(graph, extents)
    spare = {
        name: (leaf, tuple(extents.get(a, a) if isinstance(a, Axis) else a for a in lead))
        for name, (leaf, lead) in signature(graph).items()
    }
    outputs = Outputs(nodes)
    result = graph.remade(outputs, nodes, spare, OutputSteps(outputs))
    result.known["table"] = build(graph, extents)
    for node in graph.outputs.values():
        while isinstance(node.op, At) and node.op.axis in extents:
            sources(node, np.asarray(0), extents[node.op.axis])  # raises where the read is outside
            node = node.inputs[0]
    return result


_NESTING = ("sum", "max", "min", "prod", "logsumexp", "any", "all")  # one axis after the other


def lower(graph: G, extents: Mapping[Axis, int]) -> G:
    """Operations along an axis become operations on a dimension; sums become additions of
    all steps, which unfolding gives one node."""

    def lowered(node: Node, inputs: tuple[Node, ...]) -> Node:
        whole = [a for a in node.op.spans if a in extents]
        rest = tuple(a for a in node.op.spans if a not in extents)
        if whole and rest and isinstance(node.op, Along):
            if node.op.name not in _NESTING:
                names = ", ".join(a.name for a in node.op.spans)
                raise UnfoldError(f"{node} acts along {names} at once; unfold these axes together")
            inputs = tuple(apply(replace(node.op, over=rest), u) for u in inputs)
            node = apply(replace(node.op, over=tuple(whole)), *inputs)
        if node.op.name == "sum" and isinstance(node.op, Along):
            for axis in (a for a in whole if a not in inputs[0].axes):  # the same at every step
                inputs = (inputs[0] * extents[axis],)
        if not whole or not isinstance(node.op, Along) or node.op.name == "sum":
            return rebuild(node, inputs)
        if node.op.name == "collect" and whole[0] in inputs[0].axes:
            return rebuild(node, inputs)
        op, gathered = node.op, list(inputs)
        for axis in whole:
            n = extents[axis]
            gathered = [
                apply(Collect((axis,), n), u) if axis in u.axes else call("broadcast_to", u, (n, *u.shape))
                for u in gathered
            ]
            place = -len(gathered[0].shape)
            op = replace(op, over=tuple(place if d == axis else d for d in op.over))
        out = apply(op, *gathered)
        if not op.reduces:
            for axis in reversed(whole):
                out = apply(Pick(axis), out)
        return Node(out.op, out.inputs, out.axes, node.shape, node.dtype, node.where)

    return rewrite(graph, lowered)
