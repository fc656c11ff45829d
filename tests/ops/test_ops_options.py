"""Every option of every operation, set and left out, against NumPy and SciPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from evaluation import run
from scipy import special

import unfold as uf

RNG = np.random.default_rng(11)
A, B = RNG.normal(size=(3, 4)), RNG.normal(size=(3, 4))
V, W = RNG.normal(size=4), RNG.normal(size=4)
C = RNG.normal(size=(2, 3, 4))
P, Q = RNG.dirichlet(np.ones(4)), RNG.dirichlet(np.ones(4))
K = np.array([[2, 0, 1, 3], [3, 3, 0, 1], [1, 2, 2, 0]])
FAR = np.array([-7.0, -3.0, -1.5, -0.5, 0.0, 0.5, 1.5, 3.0, 7.0])
Z = RNG.normal(size=4) + 1j * RNG.normal(size=4)


def sigmoid(a: Any) -> Any:
    return special.expit(a)


def log_softmax(a: Any) -> Any:
    return special.log_softmax(a, axis=-1)


def normalised(a: Any, axis: int = -1, eps: float = 1e-5) -> Any:
    return (a - a.mean(axis, keepdims=True)) / np.sqrt(a.var(axis, keepdims=True) + eps)


def rms(a: Any, axis: int = -1, eps: float = 1e-5) -> Any:
    return a / np.sqrt((a**2).mean(axis, keepdims=True) + eps)


def slid(a: Any, filters: Any) -> Any:
    """conv1d by its definition, one number at a time."""
    out = np.zeros((len(a) - filters.shape[1] + 1, len(filters)))
    for i, o, k, c in np.ndindex(*out.shape, *filters.shape[1:]):
        out[i, o] += filters[o, k, c] * a[i + k, c]
    return out


def smoothed(o: Any, y: int, s: float) -> float:
    target = np.full(len(o), s / len(o))
    target[y] += 1 - s
    return float(-(target * log_softmax(o)).sum())


# what is called, what it must equal, and on which arrays
OPTIONS: dict[str, tuple[Callable[..., Any], Callable[..., Any], tuple[Any, ...]]] = {
    "elu": (uf.elu, lambda a: np.where(a > 0, a, np.expm1(a)), (FAR,)),
    "elu, alpha": (lambda a: uf.elu(a, 0.3), lambda a: np.where(a > 0, a, 0.3 * np.expm1(a)), (FAR,)),
    "celu": (uf.celu, lambda a: np.where(a > 0, a, np.expm1(a)), (FAR,)),
    "celu, alpha": (lambda a: uf.celu(a, 2.0), lambda a: np.where(a > 0, a, 2 * np.expm1(a / 2)), (FAR,)),
    "selu": (
        uf.selu,
        lambda a: 1.0507009873554805 * np.where(a > 0, a, 1.6732632423543772 * np.expm1(a)),
        (FAR,),
    ),
    "leaky_relu": (uf.leaky_relu, lambda a: np.where(a > 0, a, 0.01 * a), (FAR,)),
    "leaky_relu, slope": (lambda a: uf.leaky_relu(a, 0.2), lambda a: np.where(a > 0, a, 0.2 * a), (FAR,)),
    "relu6": (uf.relu6, lambda a: np.clip(a, 0, 6), (FAR,)),
    "hard_tanh": (uf.hard_tanh, lambda a: np.clip(a, -1, 1), (FAR,)),
    "hard_sigmoid": (uf.hard_sigmoid, lambda a: np.clip(a / 6 + 0.5, 0, 1), (FAR,)),
    "hard_swish": (uf.hard_swish, lambda a: a * np.clip(a / 6 + 0.5, 0, 1), (FAR,)),
    "softsign": (uf.softsign, lambda a: a / (1 + np.abs(a)), (FAR,)),
    "log_cosh": (uf.log_cosh, lambda a: np.log(np.cosh(a)), (FAR,)),
    "mish": (uf.mish, lambda a: a * np.tanh(np.log1p(np.exp(a))), (FAR,)),
    "silu": (uf.silu, lambda a: a * sigmoid(a), (FAR,)),
    "gelu": (uf.gelu, lambda a: a * special.ndtr(a), (FAR,)),
    "norm_pdf": (uf.norm_pdf, lambda a: np.exp(-a * a / 2) / np.sqrt(2 * np.pi), (FAR,)),
    **{
        f"power {b}": (lambda a, b=b: a**b, lambda a, b=b: a**b, (np.exp(A),))
        for b in (-2, -1, 0, 0.5, 1, 2, 3)
    },
    "erf": (uf.erf, special.erf, (np.linspace(-3, 3, 25),)),
    "glu": (uf.glu, lambda a: a[:, :2] * sigmoid(a[:, 2:]), (A,)),
    "glu along the first": (lambda a: uf.glu(a, 0), lambda a: a[:1] * sigmoid(a[1:]), (A[:2],)),
    "round": (uf.round, np.round, (FAR * 1.03,)),
    "round to digits": (lambda a: uf.round(a, 2), lambda a: np.round(a, 2), (A,)),
    "clip below": (lambda a: uf.clip(a, -0.5, None), lambda a: np.clip(a, -0.5, None), (A,)),
    "clip above": (lambda a: uf.clip(a, None, 0.5), lambda a: np.clip(a, None, 0.5), (A,)),
    # statistics
    "variance": (uf.variance, np.var, (A,)),
    "variance, ddof": (lambda a: uf.variance(a, ddof=2), lambda a: np.var(a, ddof=2), (A,)),
    "variance, all options": (
        lambda a: uf.variance(a, over=1, keepdims=True, ddof=1),
        lambda a: np.var(a, axis=1, keepdims=True, ddof=1),
        (A,),
    ),
    "variance kept": (lambda a: uf.variance(a, 0, True), lambda a: np.var(a, 0, keepdims=True), (A,)),
    "std, ddof": (
        lambda a: uf.std(a, over=0, keepdims=True, ddof=1),
        lambda a: np.std(a, axis=0, keepdims=True, ddof=1),
        (A,),
    ),
    "std": (uf.std, np.std, (A,)),
    "norm of order 1": (lambda a: uf.norm(a, 1, over=0), lambda a: np.abs(a).sum(0), (A,)),
    "norm of order inf": (
        lambda a: uf.norm(a, np.inf, over=1, keepdims=True),
        lambda a: np.abs(a).max(1, keepdims=True),
        (A,),
    ),
    "norm of order 3": (
        lambda a: uf.norm(a, 3, over=1, keepdims=True),
        lambda a: (np.abs(a) ** 3).sum(1, keepdims=True) ** (1 / 3),
        (A,),
    ),
    "norm of order 1 kept": (lambda a: uf.norm(a, 1, 0, True), lambda a: np.abs(a).sum(0)[None], (A,)),
    "norm of order 2 kept": (
        lambda a: uf.norm(a, over=0, keepdims=True),
        lambda a: np.linalg.norm(a, axis=0, keepdims=True),
        (A,),
    ),
    "norm of order 3 of zeros": (lambda a: uf.norm(a * 0, 3), lambda a: 0.0, (A,)),
    "norm of complex numbers": (uf.norm, np.linalg.norm, (Z,)),
    "any": (lambda a: uf.any(a > 1, 0, True), lambda a: np.any(a > 1, axis=0, keepdims=True), (A,)),
    "all": (lambda a: uf.all(a > -1, 1, True), lambda a: np.all(a > -1, axis=1, keepdims=True), (A,)),
    "any of all": (lambda a: uf.any(a > 9), lambda a: np.any(a > 9), (A,)),
    "all of all": (lambda a: uf.all(a < 9), lambda a: np.all(a < 9), (A,)),
    "count_nonzero": (
        lambda k: uf.count_nonzero(k, 0, True),
        lambda k: np.count_nonzero(k, axis=0, keepdims=True),
        (K,),
    ),
    # reductions
    **{
        f"{name}, {options}": (
            lambda a, f=getattr(uf, name), o=options: f(a, over=o[0], keepdims=o[1]),
            lambda a, f=theirs, o=options: f(a, axis=o[0], keepdims=o[1]),
            (C,),
        )
        for name, theirs in {
            "sum": np.sum, "mean": np.mean, "max": np.max, "min": np.min, "prod": np.prod,
            "logsumexp": special.logsumexp,
        }.items()
        for options in ((None, False), (None, True), (1, True), ((0, -1), False), ((0, 2), True))
    },
    "argmin": (lambda a: uf.argmin(a, 0), lambda a: np.argmin(a, 0), (A,)),
    "mean of integers": (lambda k: uf.mean(k, 0), lambda k: np.mean(k, 0), (K,)),
    "mean of one integer": (lambda k: uf.mean(k[:1], 0), lambda k: np.mean(k[:1], 0), (K,)),
    "softmax along the first": (lambda a: uf.softmax(a, 0), lambda a: special.softmax(a, 0), (A,)),
    "log_softmax, first": (lambda a: uf.log_softmax(a, 0), lambda a: special.log_softmax(a, 0), (A,)),
    # linear
    "tensordot": (uf.tensordot, np.tensordot, (C, RNG.normal(size=(3, 4, 2)))),
    "tensordot, 0": (lambda a, b: uf.tensordot(a, b, 0), lambda a, b: np.tensordot(a, b, 0), (V, A)),
    "tensordot, pairs": (
        lambda a, b: uf.tensordot(a, b, ((0, -1), (1, 0))),
        lambda a, b: np.tensordot(a, b, ((0, -1), (1, 0))),
        (C, RNG.normal(size=(4, 2, 5))),
    ),
    "tensordot, one pair": (
        lambda a, b: uf.tensordot(a, b, (1, -2)),
        lambda a, b: np.tensordot(a, b, (1, -2)),
        (C, RNG.normal(size=(3, 2))),
    ),
    "einsum with spaces": (
        lambda a, b: uf.einsum("i j, k j -> k i", a, b),
        lambda a, b: np.einsum("ij,kj->ki", a, b),
        (A, B),
    ),
    "einsum in alphabetical order": (
        lambda a, b: uf.einsum("zj,aj", a, b), lambda a, b: np.einsum("zj,aj", a, b), (A, B),
    ),
    "einsum, dots of different ranks": (
        lambda a, b: uf.einsum("...i,...ij->...j", a, b),
        lambda a, b: np.einsum("...i,...ij->...j", a, b),
        (RNG.normal(size=3), C),
    ),
    "einsum, dots without arrow": (
        lambda a, b: uf.einsum("...ij,jk", a, b),
        lambda a, b: np.einsum("...ij,jk", a, b),
        (C, RNG.normal(size=(4, 2))),
    ),
    "einsum, a letter three times": (
        lambda a: uf.einsum("iii->i", a), lambda a: np.einsum("iii->i", a), (RNG.normal(size=(3, 3, 3)),),
    ),
    "matmul of stacks": (lambda a, b: a @ b, np.matmul, (C, RNG.normal(size=(2, 4, 3)))),
    "matmul of a stack and a matrix": (lambda a, b: a @ b, np.matmul, (C, RNG.normal(size=(4, 3)))),
    "matmul of a matrix and a stack": (lambda a, b: a @ b, np.matmul, (A.T, C)),
    "matmul of a vector and a stack": (lambda a, b: a @ b, np.matmul, (RNG.normal(size=3), C)),
    "matmul of a stack and a vector": (lambda a, b: a @ b, np.matmul, (C, V)),
    "matmul of stacks of stacks": (
        lambda a, b: a @ b, np.matmul, (RNG.normal(size=(5, 2, 3, 4)), RNG.normal(size=(2, 4, 3))),
    ),
    "dot with a number": (lambda a, b: uf.dot(a, b[0]), lambda a, b: a * b[0], (A, V)),
    "dot with a number first": (lambda a, b: uf.dot(b[0], a), lambda a, b: a * b[0], (A, V)),
    "inner": (uf.inner, np.inner, (C, B)),
    "vdot": (uf.vdot, np.vdot, (Z, Z[::-1] * 2j)),
    # neural
    "cross_entropy": (lambda o: uf.cross_entropy(o, 2), lambda o: -log_softmax(o)[2], (V,)),
    "cross_entropy, smoothing": (
        lambda o: uf.cross_entropy(o, 1, smoothing=0.3), lambda o: smoothed(o, 1, 0.3), (V,),
    ),
    "cross_entropy, weights": (
        lambda o, w: uf.cross_entropy(o, 1, w), lambda o, w: -w[1] * log_softmax(o)[1], (V, W),
    ),
    "nll": (lambda a: uf.nll(a, 3), lambda a: -a[3], (V,)),
    "bce": (uf.bce, lambda p, y: -(y * np.log(p) + (1 - y) * np.log(1 - p)), (P, Q)),
    "bce_with_logits": (
        uf.bce_with_logits,
        lambda o, y: -(y * np.log(sigmoid(o)) + (1 - y) * np.log(sigmoid(-o))),
        (FAR, np.linspace(0, 1, 9)),
    ),
    "mse": (uf.mse, lambda a, b: ((a - b) ** 2).mean(), (A, B)),
    "mae": (uf.mae, lambda a, b: np.abs(a - b).mean(), (A, B)),
    "huber": (uf.huber, lambda a, b: special.huber(1.0, a - b), (FAR, FAR[::-1])),
    "huber, delta": (
        lambda a, b: uf.huber(a, b, 2.5), lambda a, b: special.huber(2.5, a - b), (FAR, FAR[::-1]),
    ),
    "hinge": (uf.hinge, lambda a, y: np.maximum(0, 1 - y * a), (FAR, np.sign(FAR[::-1] + 0.1))),
    "kl_div": (uf.kl_div, lambda p, q: special.rel_entr(p, q).sum(), (P, Q)),
    "kl_div along the first": (
        lambda p, q: uf.kl_div(p, q, 0), lambda p, q: special.rel_entr(p, q).sum(0), (np.exp(A), np.exp(B)),
    ),
    "entropy": (uf.entropy, lambda p: special.entr(p).sum(), (P,)),
    "entropy along the first": (lambda p: uf.entropy(p, 0), lambda p: special.entr(p).sum(0), (np.exp(A),)),
    "cosine_similarity": (
        uf.cosine_similarity, lambda a, b: a @ b / np.sqrt(a @ a) / np.sqrt(b @ b), (V, W),
    ),
    "cosine_similarity of short vectors": (
        lambda a, b: uf.cosine_similarity(a * 1e-6, b * 1e-6), lambda a, b: a @ b * 1e-12 / 1e-8, (V, W),
    ),
    "cosine_similarity, eps": (lambda a, b: uf.cosine_similarity(a, b, 9.0), lambda a, b: a @ b / 9, (V, W)),
    "layer_norm": (lambda a: uf.layer_norm(a * 1e-2), lambda a: normalised(a * 1e-2), (A,)),
    "layer_norm, all options": (
        lambda a, g, b: uf.layer_norm(a, g, b, over=0, eps=0.5),
        lambda a, g, b: g * normalised(a, 0, 0.5) + b,
        (A, V, W),
    ),
    "layer_norm, gain": (lambda a, g: uf.layer_norm(a, g), lambda a, g: g * normalised(a), (A, V)),
    "rms_norm": (lambda a: uf.rms_norm(a * 1e-2), lambda a: rms(a * 1e-2), (A,)),
    "rms_norm, all options": (
        lambda a, g: uf.rms_norm(a, g, over=0, eps=0.5), lambda a, g: g * rms(a, 0, 0.5), (A, V),
    ),
    "dropout": (lambda a, m: uf.dropout(a, m), lambda a, m: 2 * a * m, (A, (B > 0) * 1.0)),
    "dropout, rate": (lambda a, m: uf.dropout(a, m > 0, 0.2), lambda a, m: a / 0.8 * (m > 0), (A, B)),
    "conv1d": (uf.conv1d, slid, (RNG.normal(size=(5, 3)), RNG.normal(size=(2, 3, 3)))),
    "conv1d of width 1": (uf.conv1d, slid, (RNG.normal(size=(4, 2)), RNG.normal(size=(3, 1, 2)))),
    "max_pool": (lambda a: uf.max_pool(a, 2), lambda a: a.reshape(2, 2, 3).max(1), (A.T,)),
    "max_pool along the last": (
        lambda a: uf.max_pool(a, 2, axis=-1), lambda a: a.reshape(3, 2, 2).max(-1), (A,),
    ),
    "mean_pool": (lambda a: uf.mean_pool(a, 2), lambda a: a.reshape(2, 2, 3).mean(1), (A.T,)),
    "mean_pool along the second": (
        lambda a: uf.mean_pool(a, 2, axis=1), lambda a: a.reshape(3, 2, 2).mean(-1), (A,),
    ),
    # matrices
    "trace": (uf.trace, np.trace, (A[:, :3],)),
    "diagonal": (lambda a: uf.diagonal(a, 0, 2), lambda a: np.diagonal(a, 0, 0, 2), (C[:, :, :2],)),
    "tril": (uf.tril, np.tril, (A,)),
    "triu": (uf.triu, np.triu, (A,)),
    "tril below": (lambda a: uf.tril(a, -1), lambda a: np.tril(a, -1), (A,)),
    "triu above": (lambda a: uf.triu(a, 2), lambda a: np.triu(a, 2), (A,)),
    "cross": (uf.cross, np.cross, (V[:3], W[:3])),
    **{
        f"matrix_power {n}": (
            lambda a, n=n: uf.matrix_power(a, n), lambda a, n=n: np.linalg.matrix_power(a, n), (A[:, :3],),
        )
        for n in range(-3, 6)
    },
    # shape
    "ravel": (uf.ravel, np.ravel, (C,)),
    "moveaxis": (
        lambda a: uf.moveaxis(a, (0, 2), (-1, 0)), lambda a: np.moveaxis(a, (0, 2), (-1, 0)), (C,),
    ),
    "squeeze": (uf.squeeze, np.squeeze, (C[:1, :, :1],)),
    "squeeze one": (lambda a: uf.squeeze(a, -1), lambda a: np.squeeze(a, -1), (C[:1, :, :1],)),
    "expand_dims": (lambda a: uf.expand_dims(a, -1), lambda a: np.expand_dims(a, -1), (A,)),
    "expand_dims twice": (lambda a: uf.expand_dims(a, (0, -1)), lambda a: np.expand_dims(a, (0, -1)), (A,)),
    "flip": (uf.flip, np.flip, (C,)),
    "flip two": (lambda a: uf.flip(a, (0, -1)), lambda a: np.flip(a, (0, -1)), (C,)),
    **{f"roll {n}": (lambda a, n=n: uf.roll(a, n), lambda a, n=n: np.roll(a, n), (A,)) for n in (0, 5, -7)},
    "roll a dimension": (lambda a: uf.roll(a, -9, 1), lambda a: np.roll(a, -9, 1), (A,)),
    "roll nothing": (lambda a: uf.roll(a, 3, 0), lambda a: np.roll(a, 3, 0), (np.zeros((0, 2)),)),
    "pad": (lambda a: uf.pad(a, 2), lambda a: np.pad(a, 2), (A,)),
    "pad by a pair": (
        lambda a: uf.pad(a, (0, 2), -1.5), lambda a: np.pad(a, (0, 2), constant_values=-1.5), (A,),
    ),
    "pad by pairs": (
        lambda a: uf.pad(a, ((1, 0), 3)), lambda a: np.pad(a, ((1, 0), (3, 3))), (A,),
    ),
    "pad by nothing": (lambda a: uf.pad(a, 0), lambda a: a, (A,)),
    "repeat": (lambda a: uf.repeat(a, 3), lambda a: np.repeat(a, 3), (A,)),
    "repeat along the last": (lambda a: uf.repeat(a, 3, -1), lambda a: np.repeat(a, 3, -1), (C,)),
    "tile": (lambda a: uf.tile(a, 2), lambda a: np.tile(a, 2), (C,)),
    "tile beyond": (lambda a: uf.tile(a, (2, 1, 3)), lambda a: np.tile(a, (2, 1, 3)), (A,)),
    "diff": (uf.diff, np.diff, (A,)),
    "diff along the first": (lambda a: uf.diff(a, 0), lambda a: np.diff(a, axis=0), (A,)),
    "concat": (uf.concat, lambda a, b: np.concatenate([a, b], -1), (A, B)),
    "concat along the first": (
        lambda a, b: uf.concat(a, b, axis=0), lambda a, b: np.concatenate([a, b], 0), (A, B),
    ),
    "stack": (uf.stack, lambda a, b: np.stack([a, b]), (A, B)),
    "stack last": (lambda a, b: uf.stack(a, b, axis=-1), lambda a, b: np.stack([a, b], -1), (A, B)),
    "hstack": (lambda a, b: uf.hstack(a, b), lambda a, b: np.hstack([a, b]), (A, B)),
    "hstack of vectors": (lambda a, b: uf.hstack([a, b]), lambda a, b: np.hstack([a, b]), (V, W)),
    "vstack": (lambda a, b: uf.vstack([a, b]), lambda a, b: np.vstack([a, b]), (A, B)),
    "vstack of vectors": (lambda a, b: uf.vstack(a, b), lambda a, b: np.vstack([a, b]), (V, W)),
    "split": (lambda a: uf.split(a, 3)[1], lambda a: np.split(a, 3)[1], (A,)),
    "split at places": (
        lambda a: uf.split(a, [1, 3], axis=-1)[1], lambda a: np.split(a, [1, 3], axis=-1)[1], (A,),
    ),
    "the last part": (lambda a: uf.split(a, [1, 3], axis=1)[-1], lambda a: a[:, 3:], (A,)),
    "unstack": (lambda a: uf.unstack(a)[2], lambda a: a[2], (A,)),
    "unstack along the last": (lambda a: uf.unstack(a, -1)[2], lambda a: a[..., 2], (C,)),
    "swapaxes": (lambda a: uf.swapaxes(a, 0, -1), lambda a: np.swapaxes(a, 0, -1), (C,)),
    "reshape with a free one": (lambda a: uf.reshape(a, (2, -1)), lambda a: a.reshape(2, -1), (A,)),
    "transpose": (uf.transpose, np.transpose, (C,)),
    # choosing
    "narrow": (lambda a: uf.narrow(a, 1, 3), lambda a: a[:, 1:3], (A,)),
    "take": (lambda a: uf.take(a, [2, 0]), lambda a: a[[2, 0]], (A,)),
    "take a table": (lambda a: uf.take(a, K, axis=-1), lambda a: np.take(a, K, axis=-1), (C,)),
    "take_along_axis": (uf.take_along_axis, lambda a, k: np.take_along_axis(a, k, -1), (A, K)),
    "sort": (uf.sort, np.sort, (A,)),
    "sort along the first": (lambda a: uf.sort(a, 0), lambda a: np.sort(a, 0), (A,)),
    "argsort": (uf.argsort, np.argsort, (A,)),
    "top_k": (lambda a: uf.top_k(a, 2)[0], lambda a: -np.sort(-a)[:, :2], (A,)),
    "top_k along the first": (lambda a: uf.top_k(a, 2, 0)[1], lambda a: np.argsort(-a, 0)[:2], (A,)),
    **{
        f"searchsorted {side}": (
            lambda v, s=side: uf.searchsorted([-1.0, 0.0, 0.5, 3.0], v, *s),
            lambda v, s=side: np.searchsorted([-1.0, 0.0, 0.5, 3.0], v, *s),
            (FAR.reshape(3, 3),),
        )
        for side in ((), ("left",), ("right",))
    },
    "scatter_add": (
        lambda a, b: uf.scatter_add(a, [2, 2, 0], b),
        lambda a, b: a + np.array([b[2], 0 * b[0], b[0] + b[1]]),
        (A, B),
    ),
    "one_hot": (lambda k: uf.one_hot(k, 5), lambda k: np.eye(5)[k], (K,)),
    "embedding": (lambda a: uf.embedding(a, [2, 2]), lambda a: a[[2, 2]], (A,)),
}  # fmt: skip


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_means_what_it_means_in_numpy(name: str) -> None:
    call, reference, arrays = OPTIONS[name]
    kinds = {"i": "int", "c": "complex", "f": "float"}
    nodes = [uf.input(n, *x.shape, dtype=kinds[x.dtype.kind]) for n, x in zip("abc", arrays, strict=False)]
    out, want = call(*nodes), np.asarray(reference(*arrays))
    got = np.asarray(run(uf.graph(y=out), **dict(zip("abc", arrays, strict=False)))["y"])
    assert tuple(map(int, out.shape)) == got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-14)


def test_powers_by_small_numbers_are_written_as_what_they_are() -> None:
    a, k = uf.input("a"), uf.input("k", dtype=int)
    assert a**1 is a
    assert [(a**b).op.name for b in (2, -1, 3, 0.5)] == ["square", "reciprocal", "power", "power"]
    assert (a ** uf.constant(2.0)).op.name == "square"
    assert (k**2).op.name == "power"


def test_erf_of_small_numbers_keeps_its_digits() -> None:
    points = np.array([1e-300, 1e-12, 1e-3, 0.2, 0.4999, 0.5001])
    got = run(uf.graph(y=uf.erf(uf.input("a", 6))), a=points)["y"]
    np.testing.assert_allclose(got, special.erf(points), rtol=4e-15, atol=0)
