"""What a check at one point cannot say: where numbers stop being finite, what was not seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unfold.check.rules.fault import Fault, Kind, places
from unfold.check.trial import Trial
from unfold.check.why.equation import describe
from unfold.core.axis import Axis
from unfold.core.leaves import Named, Symbol
from unfold.core.node import Node
from unfold.core.system import reach
from unfold.graph import Graph

Array = NDArray[Any]


def obstacle(work: Trial, faults: Sequence[Fault]) -> tuple[str, dict[str, Any]]:
    """Why nothing can be said here - a value that is not finite, or else a derivative - with
    what to do about it, and where: the fields of a report."""
    found = origin(work.graph, work.values)
    if found is not None:
        node, here = found
        return _of_value(node), _where(work, node, node.axes, places(here))
    fault = next((f for f in faults if f.kind.unknown), None)
    if fault is not None:
        steps = fault.steps
        if fault.kind is Kind.VAGUE:
            steps = places(fault.found.vague) if fault.cert.axes else ()
        return _of_derivative(fault), _where(work, fault.rule.node, fault.cert.axes, steps)
    return f"the derivative of {work.of} is not known numerically here: check at another point", {}


def _of_value(node: Node) -> str:
    if node.op.leaf:
        return f"{node} is not finite: give it numbers"
    return f"{node.op.name} is not finite, though its operands are: outside its domain, or too large"


def _of_derivative(fault: Fault) -> str:
    node, k = fault.rule
    what = "not finite" if fault.kind is Kind.UNDEFINED else "not known numerically"
    text = f"the derivative of {node.op.name}, argument {k}, is {what} here: "
    return text + "check at another point, or guard the operand by uf.where"


def _where(work: Trial, node: Node, axes: Sequence[Axis], steps: tuple[Any, ...]) -> dict[str, Any]:
    equation, source = (str(node), None) if node.op.leaf else describe(work.graph, node)
    return {
        "equation": equation,
        "source": source,
        "steps": steps,
        "axis": ", ".join(a.name for a in axes) or "t",
        "size": int(np.prod([work.bound.extents[a] for a in axes], dtype=int)),
        "node": node,
    }


def unseen(work: Trial) -> list[str]:
    """What this point could not show, though nothing is wrong at it."""
    empty = [a.name for a in work.graph.axes if work.bound.extents.get(a) == 0]
    if empty:
        return [f"{', '.join(empty)} has no steps here: nothing along it was compared"]
    target = reach([work.graph.output(work.of)], work.graph.inputs_of)
    read = {u.op.label for u in work.sources.values() if u in target and isinstance(u.op, Named)}
    unread = [label for label in work.labels if label not in read]
    notes = [f"{work.of} does not depend on {', '.join(unread)}"] if unread else []
    if work.idle:
        names = list(dict.fromkeys(node.op.name for node, _ in work.idle))
        shown = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
        text = f"{len(work.idle)} of {len(work.rules)} rules met nothing but zeros here ({shown}): "
        notes.append(text + "other arrays would test them")
    return notes


def origin(graph: Graph, values: Mapping[Node, Array]) -> tuple[Node, Array] | None:
    """A node, and over its axes where it is not finite while its operands are: an operation
    before an input, of which what is not finite may be padding."""
    inner = [n for n in graph.order if not n.op.leaf and not n.op.structural]
    for node in [*inner, *(n for n in graph.order if n.op.leaf and not isinstance(n.op, Symbol))]:
        if node not in values or np.isfinite(values[node]).all():
            continue
        here = _bad(node, values)
        for u in node.inputs:
            here = here & ~_over(_bad(u, values), u, node)
        if here.any():
            return node, here
    return None


def _bad(node: Node, values: Mapping[Node, Array]) -> Array:
    """The steps at which some entry is not finite."""
    x = ~np.isfinite(values[node])
    return np.asarray(x.any(axis=tuple(range(len(node.axes), x.ndim))))


def _over(bad: Array, u: Node, node: Node) -> Array:
    """Steps of an operand as steps of the node; an axis that the operation mixes counts as a whole."""
    for place, axis in enumerate(u.axes):
        if axis in node.op.spans:
            bad = np.broadcast_to(bad.any(axis=place, keepdims=True), bad.shape)
    gone = tuple(i for i, a in enumerate(u.axes) if a not in node.axes)
    own = [a for a in u.axes if a in node.axes]
    bad = np.asarray(bad.any(axis=gone)).transpose([own.index(a) for a in node.axes if a in own])
    lead = iter(bad.shape)
    return bad.reshape([next(lead) if a in own else 1 for a in node.axes])
