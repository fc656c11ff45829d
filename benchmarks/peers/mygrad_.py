"""MyGrad: the eager loop on its tensors."""

from __future__ import annotations

from typing import Any

import mygrad as mg
import numpy as np
from mygrad.nnet import losses

from benchmarks.models import Arrays, Case, Run

Tensors = dict[str, Any]


def gate(w: Tensors, k: str, h: Any, x: Any) -> Any:
    return h @ w["W" + k].T + x @ w["U" + k].T + w["b" + k]


def loss_of(w: Tensors, h: list[Any], y: Any) -> Any:
    """MyGrad's softmax_crossentropy is a mean over the rows."""
    o = mg.concatenate(h) @ w["V"].T + w["c"]
    return losses.softmax_crossentropy(o, y.reshape(-1)) * len(y)


def zeros(w: Tensors, k: str, x: Any) -> Any:
    return np.zeros((x.shape[1], w[k].shape[0]), x.dtype)


def sigmoid(z: Any) -> Any:
    return mg.nnet.activations.sigmoid(z)


def chain(w: Tensors, k: str, xs: Any, h: Any) -> list[Any]:
    out = []
    for x in xs:
        h = mg.tanh(gate(w, k, h, x))
        out.append(h)
    return out


def rnn(w: Tensors, x: Any, y: Any) -> Any:
    return loss_of(w, chain(w, "", x, zeros(w, "W", x)), y)


def bidirectional(w: Tensors, x: Any, y: Any) -> Any:
    start = zeros(w, "Wf", x)
    f, g = chain(w, "f", x, start), chain(w, "g", x[::-1], start)[::-1]
    return loss_of(w, [mg.concatenate(pair, axis=1) for pair in zip(f, g, strict=True)], y)


def stacked(w: Tensors, x: Any, y: Any) -> Any:
    start = zeros(w, "W1", x)
    return loss_of(w, chain(w, "2", chain(w, "1", x, start), start), y)


def lstm(w: Tensors, x: Any, y: Any) -> Any:
    h: Any = zeros(w, "Wi", x)
    s: Any = h
    out = []
    for xt in x:
        i, f, q = (sigmoid(gate(w, k, h, xt)) for k in "ifq")
        s = f * s + i * mg.tanh(gate(w, "g", h, xt))
        h = q * mg.tanh(s)
        out.append(h)
    return loss_of(w, out, y)


def gru(w: Tensors, x: Any, y: Any) -> Any:
    h: Any = zeros(w, "Wr", x)
    out = []
    for xt in x:
        r, z = sigmoid(gate(w, "r", h, xt)), sigmoid(gate(w, "z", h, xt))
        n = mg.tanh(xt @ w["Un"].T + w["bn"] + r * (h @ w["Wn"].T))
        h = (1 - z) * n + z * h
        out.append(h)
    return loss_of(w, out, y)


def attention(w: Tensors, x: Any, y: Any) -> Any:
    memory = mg.stack(chain(w, "", x, zeros(w, "W", x)))
    keys = memory @ w["B"].T
    d, out = mg.tanh(memory[-1] @ w["Q"].T), []
    previous = np.concatenate([np.zeros_like(y[:1]), y[:-1]])
    for index in previous:
        e = mg.tanh(d @ w["A"].T + keys) @ w["v"]
        a = mg.exp(e - e.data.max(0))
        k = ((a / a.sum(axis=0)).reshape(*e.shape, 1) * memory).sum(axis=0)
        d = mg.tanh(d @ w["P"].T + k @ w["S"].T + w["E"][index] + w["p"])
        out.append(d)
    return loss_of(w, out, y)


LOOPS = {f.__name__: f for f in (rnn, lstm, gru, bidirectional, stacked, attention)}


def prepare(case: Case) -> Run:
    def step() -> Any:
        w = {k: mg.tensor(a, copy=False) for k, a in case.weights.items()}
        loss = LOOPS[case.model](w, case.x, case.y)
        loss.backward()
        return loss.item(), {k: a.grad for k, a in w.items()}

    def read(result: Any) -> tuple[float, Arrays]:
        return float(result[0]), result[1]

    return Run(step, read)


PEERS = {"MyGrad": prepare}
