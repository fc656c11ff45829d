"""What is measured: six models at five sizes, one definition of shapes, weights and data for every peer.

    rnn            h[t] = tanh(W h[t-1] + U x[t] + b)
    lstm           i, f, q = sigmoid(W. h[t-1] + U. x[t] + b.);  g = tanh(Wg h[t-1] + Ug x[t] + bg)
                   s[t] = f s[t-1] + i g;  h[t] = q tanh(s[t])
    gru            r, z = sigmoid(W. h[t-1] + U. x[t] + b.);  n = tanh(Un x[t] + bn + r (Wn h[t-1]))
                   h[t] = (1 - z) n + z h[t-1]
    bidirectional  f[t] = tanh(Wf f[t-1] + Uf x[t] + bf);  g[t] = tanh(Wg g[t+1] + Ug x[t] + bg)
                   o[t] = c + V [f[t], g[t]]
    stacked        h1[t] = tanh(W1 h1[t-1] + U1 x[t] + b1);  h2[t] = tanh(W2 h2[t-1] + U2 h1[t] + b2)
    attention      h[i] = tanh(W h[i-1] + U x[i] + b);  d[0] = tanh(Q h[T])
                   e[j, i] = v . tanh(A d[j-1] + B h[i]);  a = softmax(e, over i);  k[j] = sum_i a[j, i] h[i]
                   d[j] = tanh(P d[j-1] + S k[j] + E[y[j-1]] + p);  o[j] = c + V d[j];  y[0] = 0

with o[t] = c + V h[t] where nothing else is said, and loss = mean over the batch of
sum_t -log softmax(o[t])[y[t]]. Arrays are x (T, n, input) and y (T, n).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Arrays = dict[str, Any]


@dataclass(frozen=True)
class Size:
    """The length of the sequence, the batch, and the three dimensions."""

    name: str
    steps: int
    batch: int
    input: int
    hidden: int
    classes: int


SIZES = {
    s.name: s
    for s in (
        Size("small", 50, 1, 16, 16, 16),
        Size("char-rnn", 25, 1, 65, 100, 65),
        Size("medium", 100, 32, 64, 128, 64),
        Size("large", 128, 64, 256, 512, 256),
        Size("long", 2000, 4, 16, 32, 16),
        Size("tiny", 5, 2, 3, 4, 6),  # for the tests of this harness
    )
}

READOUT = {"V": "ch", "c": "c"}


def gated(gates: str) -> dict[str, str]:
    """One W, U and b for each gate."""
    return {k + g: s for g in gates for k, s in (("W", "hh"), ("U", "hi"), ("b", "h"))}


# the shape of each parameter: h hidden, i input, c classes, d two hidden
MODELS: dict[str, dict[str, str]] = {
    "rnn": {"W": "hh", "U": "hi", "b": "h", **READOUT},
    "lstm": {**gated("ifqg"), **READOUT},
    "gru": {**gated("rzn"), **READOUT},
    "bidirectional": {**gated("fg"), "V": "cd", "c": "c"},
    "stacked": {"W1": "hh", "U1": "hi", "b1": "h", "W2": "hh", "U2": "hh", "b2": "h", **READOUT},
    "attention": {
        "W": "hh",
        "U": "hi",
        "b": "h",
        "Q": "hh",
        "A": "hh",
        "B": "hh",
        "v": "h",
        "P": "hh",
        "S": "hh",
        "E": "ch",
        "p": "h",
        **READOUT,
    },
}

# e[j, i] holds T * T * batch * hidden numbers: gigabytes at these sizes, in every peer
TOO_LARGE = {("attention", "large"), ("attention", "long")}


@dataclass(frozen=True)
class Case:
    """One cell of the table: a model at a size in a precision, with its weights and data."""

    model: str
    size: Size
    dtype: np.dtype[Any]
    x: np.ndarray[Any, Any]
    y: np.ndarray[Any, Any]
    weights: Arrays

    @property
    def title(self) -> str:
        return f"{self.model} {self.size.name} {self.dtype}"

    def astype(self, dtype: str) -> Case:
        """The same numbers in another precision."""
        weights = {k: w.astype(dtype) for k, w in self.weights.items()}
        return Case(self.model, self.size, np.dtype(dtype), self.x.astype(dtype), self.y, weights)


def case(model: str, size: Size, dtype: str, seed: int = 0) -> Case:
    """Weights scaled by fan-in (biases a tenth), a normal x, uniform classes y; float32 values throughout."""
    rng = np.random.default_rng(seed)
    dims = {"h": size.hidden, "i": size.input, "c": size.classes, "d": 2 * size.hidden}
    weights = {}
    for name, letters in MODELS[model].items():
        shape = tuple(dims[k] for k in letters)
        fan_in = shape[-1] if len(shape) > 1 else 100
        weights[name] = (rng.standard_normal(shape) / np.sqrt(fan_in)).astype("float32").astype(dtype)
    x = rng.standard_normal((size.steps, size.batch, size.input)).astype("float32").astype(dtype)
    y = rng.integers(0, size.classes, (size.steps, size.batch))
    return Case(model, size, np.dtype(dtype), x, y, weights)


@dataclass(frozen=True)
class Run:
    """A peer ready to be timed.

    `step()` computes loss and gradients; `read(step())` is (loss, {parameter: gradient}) as NumPy
    arrays in the names and shapes of `MODELS`, outside the timing. `read` is None for a bound
    that computes no gradients.
    """

    step: Callable[[], Any]
    read: Callable[[Any], tuple[float, Arrays]] | None


class Unsupported(Exception):
    """This peer does not do this case; the message says why."""


Peer = Callable[[Case], Run]
