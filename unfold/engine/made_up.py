"""Arrays that fit a graph, made up: for checks and pictures of a system without data at hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from unfold.core import dims
from unfold.core.axis import Axis
from unfold.core.dims import Dim
from unfold.core.errors import BindingError
from unfold.core.leaves import Input, Param, Symbol
from unfold.core.node import Node
from unfold.core.signature import by_label, leading
from unfold.core.system import System, reach
from unfold.engine.binding import Array
from unfold.ops.array.indexing import One_hot, Scatter, Take
from unfold.ops.choice.losses import Cross_entropy
from unfold.ops.time.delays import Structural


def arrays(
    graph: System, seed: int = 0, given: Mapping[str, Any] | None = None, **sizes: int
) -> dict[str, Any]:
    """Random inputs and parameters, beside the `given` arrays. `sizes` are those of named
    dimensions and axes; what is left open gets small sizes, all different, so that a
    transposed matrix never fits by chance. Integers stay below what they index.

    >>> from unfold import systems
    >>> {name: a.shape for name, a in arrays(systems.rnn(), t=7, hidden=4).items() if name in "xW"}
    {'x': (7, 5), 'W': (4, 4)}
    """
    rng = np.random.default_rng(seed)
    result = {name: np.asarray(value) for name, value in (given or {}).items()}
    leaves = by_label(graph)
    known = _sizes(graph, leaves, result, sizes)
    for axis in graph.axes:
        over_input = any(axis in leading(nodes) for nodes in leaves.values())
        if axis.size is None and not over_input and axis.name not in result:
            result[axis.name] = np.asarray(known[axis.name])
    for name, nodes in leaves.items():
        if name in result:
            continue
        lead = leading(nodes)
        shape = [known[a.name] if isinstance(a, Axis) else a for a in lead]
        shape += [dims.evaluate(d, known) for d in nodes[0].shape]
        kind = nodes[0].dtype
        most = nodes[0].op.most if isinstance(nodes[0].op, Input) else None
        if most is not None:
            result[name] = rng.integers(1, known[most.name] + 1, shape)
        elif kind in ("int", "bool"):
            stop = min([dims.evaluate(d, known) for d in bounds(graph, nodes)], default=2)
            result[name] = rng.integers(0, max(stop, 1), shape).astype(kind)
        else:
            scale = _scale(shape) if isinstance(nodes[0].op, Param) else 1.0
            real, imaginary = rng.standard_normal((2, *shape)) * scale
            result[name] = real + 1j * imaginary if kind == "complex" else np.asarray(real)
    return {name: value if value.ndim else value[()] for name, value in result.items()}


def _scale(shape: list[int]) -> float:
    return float(1 / np.sqrt(max(1, shape[-1]))) if len(shape) > 1 else 0.5


def _sizes(
    graph: System, leaves: Mapping[str, list[Node]], given: Mapping[str, Array], sizes: Mapping[str, int]
) -> dict[str, int]:
    """A size for every axis and named dimension: asked for, from given arrays, or made up."""
    names = sorted({n for u in graph.order for d in u.shape for n in dims.names(d)})
    axes = {a.name: a for a in graph.axes}
    for name in sizes:
        if name not in names and name not in axes:
            have = ", ".join([*axes, *names]) or "none"
            raise BindingError(f"no axis or dimension {name!r}; this graph has {have}")
    known = dict(sizes)
    for name, array in given.items():
        if name in axes:
            known.setdefault(name, int(array))
            continue
        nodes = leaves.get(name, [])
        places = [*leading(nodes), *nodes[0].shape] if nodes else []
        for place, n in zip(places, array.shape, strict=False):
            if isinstance(place, Axis):
                known.setdefault(place.name, n)
            elif isinstance(place, str) and (found := dims.solve(place, n, known)):
                known.setdefault(*found)
    free = (n for n in range(3, 1000) if n not in known.values())
    for name in (*names, *axes):
        if name not in known:
            fixed = axes[name].size if name in axes else None
            known[name] = next(free) if fixed is None else dims.evaluate(fixed, known)
    return known


def bounds(graph: System, nodes: list[Node]) -> set[Dim]:
    """The numbers of things that integer nodes choose from: classes, rows of a table."""
    found: set[Dim] = set()

    def onward(node: Node) -> list[Node]:
        users = graph.users.get(node, [])
        for u in users:
            if isinstance(u.op, Cross_entropy | Take) and node is u.inputs[1]:
                found.add(u.inputs[0].shape[0])
            elif isinstance(u.op, One_hot | Scatter) and node is u.inputs[-1]:
                found.add(u.op.size)
        return [u for u in users if isinstance(u.op, Structural | Symbol)]

    reach(nodes, onward)
    return found
