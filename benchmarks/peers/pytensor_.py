"""PyTensor: scan with its gradient, compiled in the default mode for the shapes of the case."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytensor
import pytensor.tensor as pt

from benchmarks.models import Case, Run

Variables = dict[str, Any]


def gate(w: Variables, k: str, h: Any, x: Any) -> Any:
    return h @ w["W" + k].T + x @ w["U" + k].T + w["b" + k]


def loss_of(w: Variables, h: Any, y: Any) -> Any:
    """h (T, n, hidden), y (T, n)."""
    o = (h @ w["V"].T + w["c"]).reshape((-1, w["c"].shape[0]))
    flat = y.flatten()
    picked = pt.special.log_softmax(o, axis=1)[pt.arange(flat.shape[0]), flat]
    return -picked.sum() / y.shape[1].astype(o.dtype)


def zeros(w: Variables, k: str, x: Any) -> Any:
    return pt.zeros((x.shape[1], w[k].shape[0]), dtype=x.dtype)


def scan(step: Any, sequences: Any, start: list[Any], keep: list[Any], reverse: bool = False) -> Any:
    """All steps of each state."""
    return pytensor.scan(
        step,
        sequences=sequences,
        outputs_info=start,
        non_sequences=keep,
        strict=True,
        go_backwards=reverse,
        return_updates=False,
    )


def chain(w: Variables, k: str, x: Any, reverse: bool = False) -> Any:
    """The input projection outside, as PyTensor's own rewrites do too."""

    def step(a: Any, h: Any, recurrent: Any) -> Any:
        return pt.tanh(a + h @ recurrent.T)

    a = x @ w["U" + k].T + w["b" + k]
    h = scan(step, [a], [zeros(w, "W" + k, x)], [w["W" + k]], reverse)
    return h[::-1] if reverse else h


def rnn(w: Variables, x: Any, y: Any) -> Any:
    return loss_of(w, chain(w, "", x), y)


def bidirectional(w: Variables, x: Any, y: Any) -> Any:
    return loss_of(w, pt.concatenate([chain(w, "f", x), chain(w, "g", x, reverse=True)], axis=2), y)


def stacked(w: Variables, x: Any, y: Any) -> Any:
    return loss_of(w, chain(w, "2", chain(w, "1", x)), y)


def gated(w: Variables, gates: str, x: Any) -> tuple[list[Any], list[Any]]:
    """The input projections and the recurrent weights of the gates."""
    return [x @ w["U" + k].T + w["b" + k] for k in gates], [w["W" + k] for k in gates]


def lstm(w: Variables, x: Any, y: Any) -> Any:
    def step(ai: Any, af: Any, aq: Any, ag: Any, h: Any, s: Any, *recurrent: Any) -> Any:
        i, f, q, g = (a + h @ r.T for a, r in zip((ai, af, aq, ag), recurrent, strict=True))
        s = pt.sigmoid(f) * s + pt.sigmoid(i) * pt.tanh(g)
        return pt.sigmoid(q) * pt.tanh(s), s

    projected, recurrent = gated(w, "ifqg", x)
    start = zeros(w, "Wi", x)
    return loss_of(w, scan(step, projected, [start, start], recurrent)[0], y)


def gru(w: Variables, x: Any, y: Any) -> Any:
    def step(ar: Any, az: Any, an: Any, h: Any, wr: Any, wz: Any, wn: Any) -> Any:
        r, z = pt.sigmoid(ar + h @ wr.T), pt.sigmoid(az + h @ wz.T)
        return (1 - z) * pt.tanh(an + r * (h @ wn.T)) + z * h

    projected, recurrent = gated(w, "rzn", x)
    return loss_of(w, scan(step, projected, [zeros(w, "Wr", x)], recurrent), y)


def attention(w: Variables, x: Any, y: Any) -> Any:
    memory = chain(w, "", x)
    keys = memory @ w["B"].T
    previous = pt.concatenate([pt.zeros_like(y[:1]), y[:-1]])
    names = ("A", "v", "P", "S", "p")

    def step(word: Any, d: Any, memory: Any, keys: Any, A: Any, v: Any, P: Any, S: Any, p: Any) -> Any:
        e = pt.tanh(d @ A.T + keys) @ v
        a = pt.exp(e - e.max(axis=0))
        k = ((a / a.sum(axis=0))[:, :, None] * memory).sum(axis=0)
        return pt.tanh(d @ P.T + k @ S.T + word + p)

    start = pt.tanh(memory[-1] @ w["Q"].T)
    d = scan(step, [w["E"][previous]], [start], [memory, keys, *(w[k] for k in names)])
    return loss_of(w, d, y)


SCANS = {f.__name__: f for f in (rnn, lstm, gru, bidirectional, stacked, attention)}


def prepare(case: Case) -> Run:
    dtype = str(case.dtype)
    w = {k: pt.tensor(k, dtype=dtype, shape=a.shape) for k, a in case.weights.items()}
    x, y = pt.tensor("x", dtype=dtype, shape=case.x.shape), pt.tensor("y", dtype="int64", shape=case.y.shape)
    with pytensor.config.change_flags(floatX=dtype, on_unused_input="ignore"):
        loss = SCANS[case.model](w, x, y)
        grads = pt.grad(loss, list(w.values()))
        function = pytensor.function([x, y, *w.values()], [loss, *grads], trust_input=True)
    values = [case.x, case.y, *case.weights.values()]

    def read(result: Any) -> tuple[float, dict[str, Any]]:
        return float(result[0]), {k: np.asarray(g) for k, g in zip(w, result[1:], strict=True)}

    return Run(lambda: function(*values), read)


PEERS = {"PyTensor scan": prepare}
