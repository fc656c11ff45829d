"""unfold: the models in its language, as a user writes them, batched, compiled once."""

from __future__ import annotations

from typing import Any

import unfold as uf
from benchmarks.models import MODELS, Case, Run

NAMES = {"h": "hidden", "i": "input", "c": "classes", "d": "2*hidden"}
t, j = uf.axis("t"), uf.axis("j")
Params = dict[str, Any]


def params(model: str) -> Params:
    return {name: uf.param(name, *(NAMES[k] for k in dims)) for name, dims in MODELS[model].items()}


def inputs() -> tuple[Any, Any]:
    return uf.input("x", "input", over=t), uf.input("y", over=t, dtype=int)


def gate(p: Params, k: str, h: Any, x: Any) -> Any:
    return p["W" + k] @ h + p["U" + k] @ x + p["b" + k]


def loss_of(p: Params, h: Any, y: Any) -> uf.Graph:
    """o[t] = c + V h[t]; loss = sum of -log softmax(o[t])[y[t]]."""
    o = uf.var("o", "classes", over=t)
    o[t] = p["c"] + p["V"] @ h
    return uf.graph(loss=uf.sum(uf.cross_entropy(o[t], y[t]), over=t))


def chain(p: Params, k: str, name: str, x: Any) -> Any:
    h = uf.var(name, "hidden", over=t)
    h[0] = 0
    h[t] = uf.tanh(gate(p, k, h[t - 1], x[t]))
    return h


def rnn(p: Params) -> uf.Graph:
    x, y = inputs()
    return loss_of(p, chain(p, "", "h", x)[t], y)


def lstm(p: Params) -> uf.Graph:
    x, y = inputs()
    h, s = uf.var("h", "hidden", over=t), uf.var("s", "hidden", over=t)
    i, f, q, g = (uf.var(k, "hidden", over=t) for k in "ifqg")
    h[0] = 0
    s[0] = 0
    i[t] = uf.sigmoid(gate(p, "i", h[t - 1], x[t]))
    f[t] = uf.sigmoid(gate(p, "f", h[t - 1], x[t]))
    q[t] = uf.sigmoid(gate(p, "q", h[t - 1], x[t]))
    g[t] = uf.tanh(gate(p, "g", h[t - 1], x[t]))
    s[t] = f[t] * s[t - 1] + i[t] * g[t]
    h[t] = q[t] * uf.tanh(s[t])
    return loss_of(p, h[t], y)


def gru(p: Params) -> uf.Graph:
    x, y = inputs()
    h, r, z, n = (uf.var(k, "hidden", over=t) for k in "hrzn")
    h[0] = 0
    r[t] = uf.sigmoid(gate(p, "r", h[t - 1], x[t]))
    z[t] = uf.sigmoid(gate(p, "z", h[t - 1], x[t]))
    n[t] = uf.tanh(p["Un"] @ x[t] + p["bn"] + r[t] * (p["Wn"] @ h[t - 1]))
    h[t] = (1 - z[t]) * n[t] + z[t] * h[t - 1]
    return loss_of(p, h[t], y)


def bidirectional(p: Params) -> uf.Graph:
    x, y = inputs()
    f, g = chain(p, "f", "f", x), uf.var("g", "hidden", over=t)
    g[t.last + 1] = 0
    g[t] = uf.tanh(gate(p, "g", g[t + 1], x[t]))
    return loss_of(p, uf.concat(f[t], g[t]), y)


def stacked(p: Params) -> uf.Graph:
    x, y = inputs()
    h1 = chain(p, "1", "h1", x)
    return loss_of(p, chain(p, "2", "h2", h1)[t], y)


def attention(p: Params) -> uf.Graph:
    x, y = uf.input("x", "input", over=t), uf.input("y", over=j, dtype=int)
    h = chain(p, "", "h", x)
    d, k = uf.var("d", "hidden", over=j), uf.var("k", "hidden", over=j)
    e, a = uf.var("e", over=(j, t)), uf.var("a", over=(j, t))
    o = uf.var("o", "classes", over=j)
    y[0] = 0
    d[0] = uf.tanh(p["Q"] @ h[t.last])
    e[j, t] = p["v"] @ uf.tanh(p["A"] @ d[j - 1] + p["B"] @ h[t])
    a[j, t] = uf.softmax(e[j, t], over=t)
    k[j] = uf.sum(a[j, t] * h[t], over=t)
    d[j] = uf.tanh(p["P"] @ d[j - 1] + p["S"] @ k[j] + uf.embedding(p["E"], y[j - 1]) + p["p"])
    o[j] = p["c"] + p["V"] @ d[j]
    return uf.graph(loss=uf.sum(uf.cross_entropy(o[j], y[j]), over=j))


GRAPHS = {f.__name__: f for f in (rnn, lstm, gru, bidirectional, stacked, attention)}


def graph(model: str) -> uf.Graph:
    """The model over a batch, loss averaged over it."""
    return GRAPHS[model](params(model)).batch("n")


def ours(case: Case, backend: str = "numpy") -> Run:
    function = graph(case.model).value_and_grad("loss", backend=backend)

    def step() -> Any:
        return function(x=case.x, y=case.y, **case.weights)

    return Run(step, lambda result: (float(result[0]), result[1]))


PEERS = {"unfold": ours}
