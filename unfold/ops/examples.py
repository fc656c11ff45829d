"""One call of every operation, with what its inputs are drawn from: tests, the table of
operations and documentation are made from these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from unfold.core.node import FUNCTIONS, OPERATIONS
from unfold.core.op import Elementwise

F = FUNCTIONS


@dataclass(frozen=True)
class Given:
    """An input: its shape, its kind, and the interval its entries are drawn from (for
    integers, the range)."""

    shape: tuple[int, ...] = ()
    low: float = -2.0
    high: float = 2.0
    kind: str = "float"

    def draw(self, rng: np.random.Generator) -> Any:
        """An array of it."""
        if self.kind == "bool":
            return rng.random(self.shape) < 0.5
        if self.kind == "int":
            return rng.integers(int(self.low), int(self.high), self.shape)
        return rng.uniform(self.low, self.high, self.shape)


@dataclass(frozen=True)
class Example:
    """`call` on inputs like `given`; what it calls is `name`."""

    name: str
    call: Callable[..., Any]
    given: tuple[Given, ...]


def R(*shape: int, low: float = -2.0, high: float = 2.0) -> Given:
    """Real numbers."""
    return Given(shape, low, high)


def Z(*shape: int, below: int = 3, low: int = 0) -> Given:
    """Integers."""
    return Given(shape, low, below, "int")


def B(*shape: int) -> Given:
    """Booleans."""
    return Given(shape, kind="bool")


P = (0.1, 0.9)  # probabilities
MASK = np.array([True, False, True])

# name: calls, each a function and its inputs; an operation missing here is elementwise, on its domain
CALLS: dict[str, list[tuple[Any, ...]]] = {
    # elementwise with parameters, or on a domain of their own
    "add": [(lambda a, b, c: F["add"](a, b, c), R(3), R(2, 3), R())],
    "clip": [(lambda a: F["clip"](a, -1.0, 0.5), R(5)), (lambda a, b: F["clip"](a, b), R(5), R())],
    "round": [(lambda a: F["round"](a, 1), R(4))],
    "xlogy": [(F["xlogy"], R(3), R(3, low=0.2))],
    "logit": [(F["logit"], R(3, low=0.1, high=0.9))],
    "elu": [(lambda a: F["elu"](a, 0.7), R(4))],
    "celu": [(lambda a: F["celu"](a, 0.7), R(4))],
    "leaky_relu": [(lambda a: F["leaky_relu"](a, 0.1), R(4))],
    "glu": [(F["glu"], R(3, 4))],
    "power": [(F["power"], R(3, low=0.5), R(3)), (lambda a: a**3, R(3)), (lambda a: a**-2, R(3, low=0.5))],
    "where": [(F["where"], B(3), R(3), R(2, 3))],
    "angle": [(lambda a, b: F["angle"](a + 1j * b), R(3, low=0.5), R(3))],
    "hard_sigmoid": [(F["hard_sigmoid"], R(5, low=-5, high=5))],
    "hard_swish": [(F["hard_swish"], R(5, low=-5, high=5))],
    "relu6": [(F["relu6"], R(5, low=-2, high=8))],
    "real": [(lambda a, b: F["real"](F["exp"](a + 1j * b)), R(3), R(3))],
    "imag": [(lambda a, b: F["imag"](F["exp"](a + 1j * b)), R(3), R(3))],
    "conj": [(lambda a, b: F["real"](F["conj"](a + 1j * b) * (a * 1j + b)), R(3), R(3))],
    # reductions and scans
    **{
        name: [
            (lambda a, n=name: F[n](a), R(3, 4)),
            (lambda a, n=name: F[n](a, over=(0, 2), keepdims=True), R(2, 3, 2)),
            (lambda a, n=name: F[n](a, over=-1), R(2, 3)),
        ]
        for name in ("sum", "prod", "mean", "max", "min", "logsumexp", "variance", "std", "norm")
    },
    **{
        name: [(lambda a, n=name: F[n](a, over=0), R(3, 2)), (lambda a, n=name: F[n](a), R(2, 4))]
        for name in ("softmax", "log_softmax", "cumsum", "cumprod", "cummax", "cummin", "sort")
    },
    **{name: [(lambda a, n=name: F[n](a, over=0), R(3, 2))] for name in ("argmax", "argmin", "argsort")},
    **{name: [(lambda a, n=name: F[n](a, over=-1), B(3, 2))] for name in ("any", "all", "count_nonzero")},
    # linear
    "matmul": [
        (F["matmul"], R(2, 3), R(3)),
        (F["matmul"], R(3), R(3)),
        (F["matmul"], R(3), R(3, 2)),
        (F["matmul"], R(2, 3), R(3, 2)),
        (F["matmul"], R(2, 2, 3), R(3, 2)),
    ],
    "dot": [(F["dot"], R(2, 3), R(3)), (F["dot"], R(3), R())],
    "outer": [(F["outer"], R(2), R(3))],
    "inner": [(F["inner"], R(2, 3), R(4, 3))],
    "vdot": [(F["vdot"], R(2, 2), R(2, 2))],
    "tensordot": [
        (F["tensordot"], R(2, 3, 2), R(3, 2, 4)),
        (lambda a, b: F["tensordot"](a, b, axes=((0, 2), (1, 0))), R(2, 3, 4), R(4, 2)),
    ],
    "einsum": [
        (lambda a, b, c: F["einsum"]("ij,jk,k->i", a, b, c), R(2, 3), R(3, 4), R(4)),
        (lambda a: F["einsum"]("iij->j", a), R(3, 3, 2)),
        (lambda a: F["einsum"]("iji->ij", a), R(2, 3, 2)),
        (lambda a, b: F["einsum"]("...ij,jk", a, b), R(2, 3, 4), R(4, 2)),
        (lambda a: F["einsum"]("ij->", a), R(2, 3)),
    ],
    "kron": [(F["kron"], R(2, 3), R(3, 2)), (F["kron"], R(2), R(3))],
    "trace": [(F["trace"], R(3, 3))],
    "diag": [(F["diag"], R(3, 3)), (F["diag"], R(3))],
    "diagonal": [(F["diagonal"], R(2, 3, 3)), (lambda a: F["diagonal"](a, 0, 2), R(3, 2, 3))],
    "diagonal_matrix": [(F["diagonal_matrix"], R(2, 3))],
    "tril": [(lambda a: F["tril"](a, 1), R(3, 4))],
    "triu": [(lambda a: F["triu"](a, -1), R(3, 4))],
    "eye": [(lambda a: F["eye"](3) @ a, R(3))],
    "inv": [(lambda a: F["inv"](a + 3.0 * np.eye(3)), R(3, 3, low=-1, high=1))],
    "det": [(F["det"], R(3, 3))],
    "logdet": [(lambda a: F["logdet"](a - 3.0 * np.eye(3)), R(3, 3, low=-1, high=1))],
    "slogdet": [(lambda a: F["slogdet"](a - 3.0 * np.eye(3)), R(3, 3, low=-1, high=1))],
    "solve": [
        (lambda a, b: F["solve"](a + 3.0 * np.eye(3), b), R(3, 3, low=-1, high=1), R(3)),
        (lambda a, b: F["solve"](a + 3.0 * np.eye(3), b), R(3, 3, low=-1, high=1), R(3, 2)),
    ],
    "cholesky": [(lambda a: F["cholesky"](a + 4.0 * np.eye(3)), R(3, 3, low=-1, high=1))],
    "matrix_power": [
        (lambda a: F["matrix_power"](a, 3), R(2, 2)),
        (lambda a: F["matrix_power"](a + 3.0 * np.eye(2), -2), R(2, 2, low=-1, high=1)),
    ],
    "cross": [(F["cross"], R(3), R(3))],
    # shape
    "broadcast_to": [(lambda a: F["broadcast_to"](a, (2, 3, 4)), R(3, 1))],
    "reshape": [(lambda a: F["reshape"](a, -1, 2), R(3, 4))],
    "transpose": [(F["transpose"], R(2, 3)), (lambda a: F["transpose"](a, (1, 2, 0)), R(2, 3, 4))],
    "concat": [(F["concat"], R(2, 3), R(2, 1)), (lambda a, b: F["concat"](a, b, axis=0), R(2, 3), R(1, 3))],
    "stack": [(F["stack"], R(3), R(3)), (lambda a, b: F["stack"](a, b, axis=-1), R(3), R(3))],
    "hstack": [(F["hstack"], R(2, 3), R(2, 1))],
    "vstack": [(F["vstack"], R(3), R(3))],
    "ravel": [(F["ravel"], R(2, 3))],
    "moveaxis": [(lambda a: F["moveaxis"](a, 0, -1), R(2, 3, 4))],
    "swapaxes": [(lambda a: F["swapaxes"](a, 0, 2), R(2, 3, 4))],
    "expand_dims": [(lambda a: F["expand_dims"](a, (0, 2)), R(2, 3))],
    "squeeze": [(F["squeeze"], R(2, 1, 3, 1))],
    "split": [(lambda a: F["split"](a, 2, axis=1), R(2, 4)), (lambda a: F["split"](a, [1, 3]), R(4))],
    "unstack": [(F["unstack"], R(2, 3))],
    "flip": [(F["flip"], R(2, 3)), (lambda a: F["flip"](a, 1), R(2, 3))],
    "roll": [(lambda a: F["roll"](a, 2, 1), R(2, 5)), (lambda a: F["roll"](a, -1), R(2, 3))],
    "pad": [(lambda a: F["pad"](a, ((1, 2), (0, 1)), 0.5), R(2, 3))],
    "repeat": [(lambda a: F["repeat"](a, 2, 1), R(2, 3)), (lambda a: F["repeat"](a, 2), R(2, 3))],
    "tile": [(lambda a: F["tile"](a, (2, 1, 2)), R(2, 3))],
    "diff": [(F["diff"], R(2, 4))],
    # index
    "getitem": [
        (lambda a: a[1, ..., ::-2], R(2, 3, 5)),
        (lambda a: a[:, MASK], R(2, 3)),
        (lambda a, i: a[:, i], R(2, 3), Z(4)),
        (lambda a, i, j: a[i, j], R(2, 3, 2), Z(4, below=2), Z(2, 4, below=3, low=-3)),
        (lambda a: a[0:1, [2, 0, -1], 1:], R(1, 3, 3)),
    ],
    "narrow": [(lambda a: F["narrow"](a, 1, 3, 0), R(4, 2))],
    "take": [
        (F["take"], R(3, 2), Z(2, 2)),
        (lambda a, i: F["take"](a, i, axis=1), R(2, 3), Z(4)),
    ],
    "embedding": [(F["embedding"], R(3, 2), Z())],
    "take_along_axis": [(lambda a, i: F["take_along_axis"](a, i, 0), R(3, 2), Z(4, 2))],
    "scatter_add": [(F["scatter_add"], R(3, 2), Z(4), R(4, 2))],
    "top_k": [(lambda a: F["top_k"](a, 2), R(2, 4))],
    "searchsorted": [(lambda v: F["searchsorted"]([-1.0, 0.0, 1.0], v), R(2, 2))],
    "one_hot": [(lambda i: F["one_hot"](i, 3), Z(2))],
    # neural
    "cross_entropy": [
        (F["cross_entropy"], R(3), Z()),
        (lambda o, y, w: F["cross_entropy"](o, y, weights=w, smoothing=0.1), R(3), Z(), R(3, low=0.1)),
    ],
    "nll": [(F["nll"], R(3), Z())],
    "bce": [(F["bce"], R(3, low=0.1, high=0.9), R(3, low=0.1, high=0.9))],
    "mse": [(F["mse"], R(3), R(3))],
    "mae": [(F["mae"], R(3), R(3))],
    "huber": [(lambda a, b: F["huber"](a, b, 0.5), R(6), R(6))],
    "hinge": [(F["hinge"], R(4), R(4))],
    "kl_div": [(F["kl_div"], R(3, low=0.1, high=0.9), R(3, low=0.1, high=0.9))],
    "entropy": [(F["entropy"], R(3, low=0.1, high=0.9))],
    "cosine_similarity": [(F["cosine_similarity"], R(3), R(3))],
    "layer_norm": [(F["layer_norm"], R(2, 4), R(4), R(4))],
    "rms_norm": [(F["rms_norm"], R(4), R(4))],
    "dropout": [(lambda a, m: F["dropout"](a, m, 0.25), R(4), B(4))],
    "conv1d": [(F["conv1d"], R(5, 2), R(3, 2, 2))],
    "max_pool": [(lambda a: F["max_pool"](a, 2), R(4, 2))],
    "mean_pool": [(lambda a: F["mean_pool"](a, 2, axis=-1), R(2, 4))],
}

# what needs an axis, or is a leaf: examples would say nothing
WITHOUT = {"extent", "last_valid", "named", "step", "window"}


def examples(name: str) -> list[Example]:
    """The example calls of a registered function."""
    if name in CALLS:
        return [Example(name, call, tuple(given)) for call, *given in CALLS[name]]
    op = OPERATIONS.get(name)
    intervals = op.domain if op is not None and issubclass(op, Elementwise) else ((-2.0, 2.0),)
    if name in ("greater", "greater_equal", "not_equal", "logical_xor", "floor_divide", "logaddexp2"):
        intervals = ((-2.0, 2.0), (0.5, 2.0))
    shapes = [(2, 3), (3,), ()]
    given = tuple(Given(shapes[k], *interval) for k, interval in enumerate(intervals))
    return [Example(name, FUNCTIONS[name], given)]


def all_examples() -> list[Example]:
    """Every example of every registered function, users' own included."""
    return [e for name in sorted(FUNCTIONS) if name not in WITHOUT for e in examples(name)]
