"""Helpers of the operation tests: arrays into expressions, and derivatives by other means."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

import unfold as uf
from unfold.core.leaves import Input
from unfold.core.node import Node
from unfold.core.op import Elementwise
from unfold.core.system import postorder
from unfold.graph import Graph
from unfold.ops.examples import Example, Given

STEP = 2.0**-200


def inputs_of(example: Example, axis: Any = None) -> list[Node]:
    """Input nodes a, b, c for an example; over an axis if one is given."""
    made = []
    for name, g in zip("abcdef", example.given, strict=False):
        x = uf.input(name, *g.shape, over=() if axis is None else axis, dtype=g.kind)
        made.append(x if axis is None else x[axis])
    return made


def draw(given: tuple[Given, ...], rng: np.random.Generator) -> dict[str, Any]:
    return {name: g.draw(rng) for name, g in zip("abcdef", given, strict=False)}


def results(value: Any) -> list[Node]:
    return list(value) if isinstance(value, tuple | list) else [value]


def graph_of(example: Example) -> Graph:
    """Its results y0, y1, ... as a graph."""
    return uf.graph(**{f"y{k}": y for k, y in enumerate(results(example.call(*inputs_of(example))))})


def number_of(example: Example, rng: np.random.Generator) -> Graph | None:
    """A graph with one number y, a random mixture of the floating results; None without any."""
    parts = [y for y in results(example.call(*inputs_of(example))) if y.dtype == "float"]
    weights = [rng.normal(size=[int(n) for n in y.shape]) for y in parts]
    terms = [uf.sum(w * y) for w, y in zip(weights, parts, strict=True)]
    return uf.graph(y=terms[0] if len(terms) == 1 else uf.add(*terms)) if terms else None


def floating(example: Example) -> list[str]:
    return [name for name, g in zip("abcdef", example.given, strict=False) if g.kind == "float"]


def is_complex_safe(graph: Graph) -> bool:
    return all(u.op.complex_safe for u in graph.order)


def run(graph: Graph, **arrays: Any) -> Any:
    """The outputs, by the reference interpreter; arrays the graph does not take are left out."""
    known = {u.op.label for u in (*graph.inputs.values(), *graph.params.values())}
    known |= {a.name for a in graph.axes if a.size is None}
    return graph.compile("reference")(**{n: a for n, a in arrays.items() if n in known})


def along(graph: Graph, output: str, arrays: dict[str, Any], direction: dict[str, Any]) -> float:
    """The derivative of an output along a direction: by complex step, or by extrapolated
    differences where an operation is not made for that."""
    if is_complex_safe(graph):
        moved = {n: a + 1j * STEP * direction[n] if n in direction else a for n, a in arrays.items()}
        return np.imag(run(graph, **moved)[output]) / STEP

    def difference(h: float) -> Any:
        up = {n: a + h * direction[n] if n in direction else a for n, a in arrays.items()}
        down = {n: a - h * direction[n] if n in direction else a for n, a in arrays.items()}
        return (run(graph, **up)[output] - run(graph, **down)[output]) / (2 * h)

    table = [difference(0.02 / 2**k) for k in range(5)]
    for order in range(1, 5):  # Richardson
        table = [(4**order * b - a) / (4**order - 1) for a, b in pairwise(table)]
    return table[0]


def stacked(root: Node, arrays: dict[str, Any]) -> Any:
    """A value over one leading axis, every operation run once on whole arrays: what a plan does
    for a node on no loop. Arrays of nodes without the axis have size 1 there."""
    values: dict[Node, Any] = {}
    for node in postorder([root]):
        if isinstance(node.op, Input):
            values[node] = arrays[node.op.label]
            continue
        parts = [values[u] for u in node.inputs]
        if isinstance(node.op, Elementwise):
            rank = len(node.shape)
            parts = [p.reshape(p.shape[:1] + (1,) * (rank + 1 - p.ndim) + p.shape[1:]) for p in parts]
        out = node.op.at_sizes({}).forward(np, *parts)
        values[node] = np.asarray(out)[None] if node.op.leaf else out
    return values[root]
