"""HIPS autograd: the eager loop in its NumPy namespace."""

from __future__ import annotations

from typing import Any

import autograd.numpy as np
from autograd import value_and_grad
from autograd.scipy.special import logsumexp

from benchmarks.models import Arrays, Case, Run


def gate(w: Arrays, k: str, h: Any, x: Any) -> Any:
    return np.dot(h, w["W" + k].T) + np.dot(x, w["U" + k].T) + w["b" + k]


def sigmoid(z: Any) -> Any:
    return 0.5 * (np.tanh(0.5 * z) + 1)


def loss_of(w: Arrays, h: list[Any], y: Any) -> Any:
    o = np.dot(np.concatenate(h), w["V"].T) + w["c"]
    flat = y.reshape(-1)
    return np.sum(logsumexp(o, axis=1) - o[np.arange(len(flat)), flat]) / y.shape[1]


def zeros(w: Arrays, k: str, x: Any) -> Any:
    return np.zeros((x.shape[1], w[k].shape[0]), x.dtype)


def chain(w: Arrays, k: str, xs: Any, hidden_zeros: Any) -> list[Any]:
    h, out = hidden_zeros, []
    for x in xs:
        h = np.tanh(gate(w, k, h, x))
        out.append(h)
    return out


def rnn(w: Arrays, x: Any, y: Any) -> Any:
    return loss_of(w, chain(w, "", x, zeros(w, "W", x)), y)


def bidirectional(w: Arrays, x: Any, y: Any) -> Any:
    start = zeros(w, "Wf", x)
    f, g = chain(w, "f", x, start), chain(w, "g", x[::-1], start)[::-1]
    return loss_of(w, [np.concatenate(pair, 1) for pair in zip(f, g, strict=True)], y)


def stacked(w: Arrays, x: Any, y: Any) -> Any:
    start = zeros(w, "W1", x)
    return loss_of(w, chain(w, "2", chain(w, "1", x, start), start), y)


def lstm(w: Arrays, x: Any, y: Any) -> Any:
    h = s = zeros(w, "Wi", x)
    out = []
    for xt in x:
        i, f, q = (sigmoid(gate(w, k, h, xt)) for k in "ifq")
        s = f * s + i * np.tanh(gate(w, "g", h, xt))
        h = q * np.tanh(s)
        out.append(h)
    return loss_of(w, out, y)


def gru(w: Arrays, x: Any, y: Any) -> Any:
    h, out = zeros(w, "Wr", x), []
    for xt in x:
        r, z = sigmoid(gate(w, "r", h, xt)), sigmoid(gate(w, "z", h, xt))
        n = np.tanh(np.dot(xt, w["Un"].T) + w["bn"] + r * np.dot(h, w["Wn"].T))
        h = (1 - z) * n + z * h
        out.append(h)
    return loss_of(w, out, y)


def attention(w: Arrays, x: Any, y: Any) -> Any:
    memory = np.array(chain(w, "", x, zeros(w, "W", x)))
    keys = np.dot(memory, w["B"].T)
    d, out = np.tanh(np.dot(memory[-1], w["Q"].T)), []
    words = w["E"][np.concatenate([np.zeros_like(y[:1]), y[:-1]])]
    for word in words:
        e = np.dot(np.tanh(np.dot(d, w["A"].T) + keys), w["v"])
        a = np.exp(e - np.max(e, 0))
        k = np.sum((a / np.sum(a, 0))[:, :, None] * memory, 0)
        d = np.tanh(np.dot(d, w["P"].T) + np.dot(k, w["S"].T) + word + w["p"])
        out.append(d)
    return loss_of(w, out, y)


LOOPS = {f.__name__: f for f in (rnn, lstm, gru, bidirectional, stacked, attention)}


def prepare(case: Case) -> Run:
    function = value_and_grad(lambda w: LOOPS[case.model](w, case.x, case.y))
    return Run(lambda: function(case.weights), lambda r: (float(r[0]), r[1]))


PEERS = {"HIPS autograd": prepare}
