"""Optimisers as plain functions over dictionaries of arrays.

    weights, state = adam(weights, grads, state, rate=1e-3)

Nothing is changed in place: new weights and a new state come back. The state is a flat
dictionary of arrays too (`{}` at the start), so a checkpoint is the two dictionaries. A
weight without a gradient stays as it is. `rate` is a number or a function of the step
(1, 2, ...), such as the schedules at the end. The formulas are PyTorch's, to the last epsilon.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import cos, pi
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unfold.core.errors import BindingError, UnfoldError

Array = NDArray[Any]
Arrays = Mapping[str, Array]
Rate = float | Callable[[int], float]
Updated = tuple[dict[str, Array], dict[str, Array]]


def sgd(
    weights: Arrays,
    grads: Arrays,
    state: Arrays,
    *,
    rate: Rate = 0.01,
    momentum: float = 0.0,
    nesterov: bool = False,
    decay: float = 0.0,
) -> Updated:
    """w - rate * u with u = momentum * u + g; `nesterov` looks ahead: g + momentum * u.

    >>> sgd({"w": np.array([1.0])}, {"w": np.array([2.0])}, {}, rate=0.25)[0]
    {'w': array([0.5])}
    """
    step, now = _start(weights, grads, state, rate)

    def update(w: Array, g: Array, u: Array) -> tuple[Array, Array]:
        u = momentum * u + g
        return w - now * (g + momentum * u if nesterov else u), u

    return _each(update, ("velocity",), weights, grads, state, step, decay)


def rmsprop(
    weights: Arrays,
    grads: Arrays,
    state: Arrays,
    *,
    rate: Rate = 0.01,
    smoothing: float = 0.99,
    eps: float = 1e-8,
    momentum: float = 0.0,
    decay: float = 0.0,
) -> Updated:
    """w - rate * g / (sqrt(v) + eps) with v the running mean of g**2 (Tieleman and Hinton 2012)."""
    step, now = _start(weights, grads, state, rate)

    def update(w: Array, g: Array, v: Array, u: Array) -> tuple[Array, Array, Array]:
        v = smoothing * v + (1 - smoothing) * g * g
        u = momentum * u + g / (np.sqrt(v) + eps)
        return w - now * u, v, u

    return _each(update, ("square", "velocity"), weights, grads, state, step, decay)


def adagrad(
    weights: Arrays,
    grads: Arrays,
    state: Arrays,
    *,
    rate: Rate = 0.01,
    eps: float = 1e-10,
    decay: float = 0.0,
) -> Updated:
    """w - rate * g / (sqrt(v) + eps) with v the sum of all g**2 (Duchi, Hazan and Singer 2011)."""
    step, now = _start(weights, grads, state, rate)

    def update(w: Array, g: Array, v: Array) -> tuple[Array, Array]:
        v = v + g * g
        return w - now * g / (np.sqrt(v) + eps), v

    return _each(update, ("square",), weights, grads, state, step, decay)


def adam(
    weights: Arrays,
    grads: Arrays,
    state: Arrays,
    *,
    rate: Rate = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    decay: float = 0.0,
) -> Updated:
    """w - rate * m / (sqrt(v) + eps): running means of g and g**2, without their bias
    towards zero at the start (Kingma and Ba 2015). `decay` adds decay * w to the gradient."""
    step, now = _start(weights, grads, state, rate)
    b1, b2 = betas

    def update(w: Array, g: Array, m: Array, v: Array) -> tuple[Array, Array, Array]:
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g * g
        return w - now / (1 - b1**step) * m / (np.sqrt(v) / (1 - b2**step) ** 0.5 + eps), m, v

    return _each(update, ("mean", "square"), weights, grads, state, step, decay)


def adamw(
    weights: Arrays,
    grads: Arrays,
    state: Arrays,
    *,
    rate: Rate = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    decay: float = 0.01,
) -> Updated:
    """Adam on weights that shrink by rate * decay first (Loshchilov and Hutter 2019)."""
    _, now = _start(weights, grads, state, rate)
    shrunk = {name: w * (1 - now * decay) if name in grads else w for name, w in weights.items()}
    return adam(shrunk, grads, state, rate=now, betas=betas, eps=eps)


OPTIMISERS: dict[str, Callable[..., Updated]] = {f.__name__: f for f in (sgd, rmsprop, adagrad, adam, adamw)}


def _start(weights: Arrays, grads: Arrays, state: Arrays, rate: Rate) -> tuple[int, float]:
    """The number of this step and its rate; raises where gradients do not fit the weights."""
    for name, g in grads.items():
        if name not in weights:
            raise BindingError(f"a gradient for {name!r}, which is no weight; there are {', '.join(weights)}")
        if np.shape(g) != np.shape(weights[name]):
            raise BindingError(
                f"the gradient of {name} has shape {np.shape(g)}, the weight {np.shape(weights[name])}"
            )
    step = int(state.get("step", 0)) + 1
    return step, float(rate(step) if callable(rate) else rate)


def _each(
    update: Callable[..., tuple[Array, ...]],
    slots: Sequence[str],
    weights: Arrays,
    grads: Arrays,
    state: Arrays,
    step: int,
    decay: float = 0.0,
) -> Updated:
    """`update(w, g + decay * w, *memory)` for every weight; its memory lives in the state as
    "slot/name"."""
    new, memory = dict(weights), {**state, "step": np.asarray(step)}
    for name, g in grads.items():
        w, g = np.asarray(weights[name]), np.asarray(g)
        g = g + decay * w if decay else g
        keys = [f"{slot}/{name}" for slot in slots]
        new[name], *kept = update(w, g, *(state.get(key, np.zeros_like(w)) for key in keys))
        memory.update(zip(keys, kept, strict=True))
    return new, memory


# ---------------------------------------------------------------------- clipping
def norm(grads: Arrays) -> float:
    """sqrt(sum of |g|**2) over all entries of all gradients."""
    return float(sum(float(np.vdot(g, g).real) for g in map(np.asarray, grads.values())) ** 0.5)


def clip_norm(grads: Arrays, limit: float) -> dict[str, Array]:
    """All gradients scaled by one factor, so that their common norm is at most `limit`
    (Pascanu, Mikolov and Bengio 2013)."""
    factor = min(1.0, _positive(limit) / (norm(grads) + 1e-6))
    return {name: g * factor if factor < 1 else g for name, g in grads.items()}


def clip_value(grads: Arrays, limit: float) -> dict[str, Array]:
    """Every entry moved into -limit..limit."""
    return {name: np.clip(g, -_positive(limit), limit) for name, g in grads.items()}


def _positive(limit: float) -> float:
    if not limit > 0:
        raise UnfoldError(f"a gradient is clipped to a positive limit, not {limit!r}")
    return limit


# ---------------------------------------------------------------------- schedules
def warmup(steps: int, then: Rate) -> Callable[[int], float]:
    """From 0 up to the rate `then` over the first steps.

    >>> [warmup(4, 0.1)(step) for step in (1, 2, 4, 9)]
    [0.025, 0.05, 0.1, 0.1]
    """
    return lambda step: min(1.0, step / max(1, steps)) * (then(step) if callable(then) else then)


def cosine(rate: float, steps: int, last: float = 0.0) -> Callable[[int], float]:
    """From `rate` to `last` along half a cosine (Loshchilov and Hutter 2017)."""
    return lambda step: last + (rate - last) * (1 + cos(pi * min(1.0, (step - 1) / max(1, steps)))) / 2


def linear(rate: float, steps: int, last: float = 0.0) -> Callable[[int], float]:
    """From `rate` to `last` in a straight line."""
    return lambda step: rate + (last - rate) * min(1.0, (step - 1) / max(1, steps))


def exponential(rate: float, factor: float, every: int = 1) -> Callable[[int], float]:
    """`rate`, multiplied by `factor` after every so many steps.

    >>> [exponential(1.0, 0.5, every=2)(step) for step in (1, 2, 3, 5)]
    [1.0, 1.0, 0.5, 0.25]
    """
    return lambda step: float(rate * factor ** ((step - 1) // every))
