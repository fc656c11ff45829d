"""Arrays that fit a graph, made up: for checks, pictures and plans of a system without data at hand."""

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
from unfold.core.system import System, by_label, leading, reach
from unfold.engine.binding import Array, Binding, bind
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
    _check_names(graph, sizes)
    known = _sizes(graph, _from_arrays(graph, leaves, result, sizes))
    for axis in graph.axes:
        over_input = any(axis in leading(nodes) for nodes in leaves.values())
        if axis.size is None and not over_input and axis.name not in result:
            result[axis.name] = np.asarray(known[axis.name])
    for name, nodes in leaves.items():
        if name not in result:
            result[name] = _drawn(graph, nodes, known, rng)
    return {name: value if value.ndim else value[()] for name, value in result.items()}


def zeros(graph: System, sizes: Mapping[str, int]) -> Binding:
    """Arrays of zeros that fit a graph, bound to it: of the given sizes, or of small stand-ins
    (six steps, dimensions of 3, 4, ...)."""
    _check_names(graph, sizes)
    stand_ins = {name: 3 + k for k, name in enumerate(_dimensions(graph))}
    stand_ins |= {a.name: 6 for a in graph.axes if a.size is None}
    known = _sizes(graph, {**stand_ins, **sizes})
    arrays: dict[str, Any] = {
        name: np.zeros(_shape(nodes, known), _NUMPY.get(nodes[0].dtype, np.float64))
        for name, nodes in by_label(graph).items()
    }
    lengths = {a.name: known[a.name] for a in graph.axes if not isinstance(a.size, str)}
    return bind(graph, {**lengths, **arrays})


_NUMPY = {"int": np.int64, "bool": np.bool_}


def _drawn(graph: System, nodes: list[Node], known: Mapping[str, int], rng: np.random.Generator) -> Array:
    """One random array: numbers, or integers below what they index."""
    shape, kind, op = _shape(nodes, known), nodes[0].dtype, nodes[0].op
    most = op.most if isinstance(op, Input) else None
    if most is not None:
        return np.asarray(rng.integers(1, known[most.name] + 1, shape))
    if kind in ("int", "bool"):
        stop = min([dims.evaluate(d, known) for d in bounds(graph, nodes)], default=2)
        return np.asarray(rng.integers(0, max(stop, 1), shape)).astype(kind)
    real, imaginary = rng.standard_normal((2, *shape)) * (_scale(shape) if isinstance(op, Param) else 1.0)
    return np.asarray(real + 1j * imaginary if kind == "complex" else real)


def _shape(nodes: list[Node], known: Mapping[str, int]) -> list[int]:
    lead = [known[a.name] if isinstance(a, Axis) else a for a in leading(nodes)]
    return lead + [dims.evaluate(d, known) for d in nodes[0].shape]


def _scale(shape: list[int]) -> float:
    return float(1 / np.sqrt(max(1, shape[-1]))) if len(shape) > 1 else 0.5


def _dimensions(graph: System) -> list[str]:
    """The named dimensions."""
    return sorted({n for u in graph.order for d in u.shape for n in dims.names(d)})


def _check_names(graph: System, sizes: Mapping[str, int]) -> None:
    names = [*(a.name for a in graph.axes), *_dimensions(graph)]
    unknown = [name for name in sizes if name not in names]
    if unknown:
        have = ", ".join(names) or "none"
        raise BindingError(f"no axis or dimension {unknown[0]!r}; this graph has {have}")


def _from_arrays(
    graph: System, leaves: Mapping[str, list[Node]], given: Mapping[str, Array], sizes: Mapping[str, int]
) -> dict[str, int]:
    """The sizes that the given arrays have, beside those asked for."""
    axes = {a.name for a in graph.axes}
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
    return known


def _sizes(graph: System, known: Mapping[str, int]) -> dict[str, int]:
    """A size for every axis and named dimension: known, fixed, or made up, all different."""
    axes = {a.name: a for a in graph.axes}
    sizes = dict(known)
    free = (n for n in range(3, 1000) if n not in sizes.values())
    for name in (*_dimensions(graph), *axes):
        if name not in sizes:
            fixed = axes[name].size if name in axes else None
            sizes[name] = next(free) if fixed is None else dims.evaluate(fixed, sizes)
    return sizes


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
