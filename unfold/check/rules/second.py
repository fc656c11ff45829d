"""Second derivatives: the gradient is a graph, so the same check runs on it.

For random v the number <v, dL> is an output like any other; its gradient is H v. That H is
symmetric, <u, H v> = <v, H u>, is one more test, of the two together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from unfold.check.numbers.oracle import allowed
from unfold.check.numbers.recorder import choices, record
from unfold.check.numbers.rounding import Nudge, furthest, nudges
from unfold.check.rules.certificates import full_shape, gaussian
from unfold.core.key import unused
from unfold.core.leaves import Input
from unfold.core.node import Node, call
from unfold.core.system import Wrt, by_label
from unfold.engine.binding import Array, Binding, bind
from unfold.graph import Graph
from unfold.transform import adjoint

PRODUCT = "<v, dL>"


@dataclass(frozen=True)
class Directional:
    """The graph of <v, d of / d wrt> (named `PRODUCT`), with v as further inputs; its arrays; and
    for each variable the input that is its part of v."""

    graph: Graph
    arrays: Mapping[str, Any]
    directions: Mapping[str, str]


def directional(graph: Graph, of: str, wrt: Wrt, seed: int, arrays: Mapping[str, Any]) -> Directional:
    """The derivative of `of` along random directions in all of `wrt`, as a graph."""
    bound = bind(graph, arrays)
    sources = adjoint.select(graph, wrt)
    names = {unused(f"d {name}", [of]): name for name in sources}
    gradient = adjoint.with_gradients(graph, of, {d: sources[name] for d, name in names.items()}, [of])
    rng = np.random.default_rng([seed, 2])
    terms: list[Node] = []
    given, directions = dict(arrays), {}
    for i, (d, name) in enumerate(names.items()):
        node, label = sources[name], unused(f"v_{i}", bound.arrays)
        v = Node(Input(label), (), node.axes, node.shape, node.dtype)
        directions[name] = label
        given[label] = gaussian(rng, full_shape(node, bound), node.dtype == "complex")
        term = call("sum", v * gradient.outputs[d])
        terms.append(call("sum", term, over=term.axes) if term.axes else term)
    total = terms[0] if len(terms) == 1 else call("add", *terms)
    result = Graph({PRODUCT: total, of: gradient.outputs[of]}, gradient.definitions)
    taken = {*by_label(result), *(a.name for a in result.axes)}
    return Directional(result, {name: x for name, x in given.items() if name in taken}, directions)


def asymmetry(second: Directional, names: list[str], seed: int, bound: Binding) -> tuple[float, float]:
    """|<u, H v> - <v, H u>| for a random u in the variables of these names, and what rounding may
    do to it."""
    rng = np.random.default_rng([seed, 3])
    graph, sources = second.graph, adjoint.select(second.graph, names)
    labels = [second.directions[name] for name in sources]
    v = {name: bound.arrays[name] for name in labels}
    u = {name: gaussian(rng, v[name].shape, v[name].dtype.kind == "c") for name in labels}
    joint = adjoint.with_gradients(graph, PRODUCT, sources, [PRODUCT])
    keep = [*joint.outputs.values(), *choices(joint)]
    pairs = list(zip(sources, labels, strict=True))

    def run(direction: Mapping[str, Array], nudge: Nudge | None = None) -> dict[Node, Array]:
        return record(joint, replace(bound, arrays={**bound.arrays, **direction}), keep, nudge)

    def terms(values: Mapping[Node, Array], other: Mapping[str, Array]) -> Array:
        return np.concatenate(
            [np.real(values[joint.outputs[n]] * other[label]).ravel() for n, label in pairs]
        )

    at_v, at_u = run(v), run(u)
    left, right = terms(at_v, u), terms(at_u, v)
    difference, size = float(left.sum() - right.sum()), float(abs(left).sum() + abs(right).sum())
    bar = float(allowed(float(np.finfo(np.float64).eps), size))
    if abs(difference) > bar:
        moved = [
            (terms(run(v, a), u) - left).sum() - (terms(run(u, b), v) - right).sum()
            for a, b in zip(nudges(np.float64, at_v), nudges(np.float64, at_u), strict=True)
        ]
        bar += float(furthest(moved))
    return abs(difference), bar
