"""Initial weights: rules (shape, generator) -> array, and `weights`, which applies them by name.

    init.weights(lstm, {"W*": init.orthogonal(), "bf": init.constant(1.0)}, seed=0, input=8, hidden=16)

Parameters that no rule names get what `graph.init` gives: variance 1 / fan-in for matrices,
zeros for vectors. Fan-in is the last dimension, since a matrix stands left of its vector.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from unfold.core.errors import ShapeMismatch, UnknownName
from unfold.graph import Graph

Array = NDArray[Any]
Rule = Callable[[tuple[int, ...], Generator], Array]


def weights(
    graph: Graph, rules: Mapping[str, Rule] | None = None, seed: int = 0, **sizes: int
) -> dict[str, Array]:
    """All parameters of a graph, each by the first rule whose pattern (`W*`) fits its name.
    Every parameter draws from its own generator, so adding one does not change the others."""
    result = graph.init(seed=seed, sizes=sizes)
    used = set()
    for name, value in result.items():
        pattern = next((p for p in rules or {} if fnmatchcase(name, p)), None)
        if pattern is not None and rules is not None:
            used.add(pattern)
            rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
            result[name] = np.asarray(rules[pattern](value.shape, rng), dtype=value.dtype)
    for pattern in set(rules or {}) - used:
        raise UnknownName(f"the rule {pattern!r} names no parameter; there are {', '.join(result)}")
    return result


def constant(value: float) -> Rule:
    """The same number everywhere; `constant(1.0)` for the bias of an LSTM's forget gate keeps
    its memory open at the start (Gers et al. 2000, Jozefowicz et al. 2015)."""
    return lambda shape, rng: np.full(shape, value)


def normal(scale: float = 1.0) -> Rule:
    """Normal with a given standard deviation."""
    return lambda shape, rng: scale * rng.standard_normal(shape)


def uniform(bound: float | None = None) -> Rule:
    """Uniform in -bound..bound; 1 / sqrt(fan-in) by default."""

    def rule(shape: tuple[int, ...], rng: Generator) -> Array:
        limit = _fan_in(shape) ** -0.5 if bound is None else bound
        return rng.uniform(-limit, limit, shape)

    return rule


def fan_in(gain: float = 1.0) -> Rule:
    """Normal with variance gain**2 / fan-in (LeCun et al. 1998); gain sqrt(2) suits relu (He et al. 2015)."""
    return lambda shape, rng: gain * _fan_in(shape) ** -0.5 * rng.standard_normal(shape)


def glorot(gain: float = 1.0) -> Rule:
    """Uniform with variance 2 gain**2 / (fan-in + fan-out) (Glorot and Bengio 2010)."""

    def rule(shape: tuple[int, ...], rng: Generator) -> Array:
        limit = gain * (6.0 / (_fan_in(shape) + (shape[0] if shape else 1))) ** 0.5
        return rng.uniform(-limit, limit, shape)

    return rule


def orthogonal(gain: float = 1.0) -> Rule:
    """A random matrix with orthonormal rows or columns, whichever are fewer: it keeps the
    length of a state (Saxe et al. 2014). More than two dimensions: stacked matrices.

    >>> Q = orthogonal()((3, 3), np.random.default_rng(0))
    >>> bool(np.allclose(Q @ Q.T, np.eye(3)))
    True
    """

    def rule(shape: tuple[int, ...], rng: Generator) -> Array:
        if len(shape) < 2:
            raise ShapeMismatch(f"orthogonal wants a matrix, not shape {shape}", shapes=(shape,))
        rows, columns = shape[-2:]
        q, r = np.linalg.qr(rng.standard_normal((*shape[:-2], max(rows, columns), min(rows, columns))))
        q = q * np.where(np.diagonal(r, axis1=-2, axis2=-1) < 0, -1.0, 1.0)[..., None, :]
        return gain * (q if rows >= columns else np.swapaxes(q, -2, -1))

    return rule


def identity(gain: float = 1.0) -> Rule:
    """The identity matrix: a relu network with it starts as a sum over time (Le et al. 2015)."""

    def rule(shape: tuple[int, ...], rng: Generator) -> Array:
        if len(shape) != 2:
            raise ShapeMismatch(f"identity wants a matrix, not shape {shape}", shapes=(shape,))
        return gain * np.eye(*shape)

    return rule


def _fan_in(shape: tuple[int, ...]) -> int:
    return max(1, shape[-1] if shape else 1)
