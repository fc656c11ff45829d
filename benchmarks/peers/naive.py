"""Hand-written NumPy as a tutorial would have it: one step after the other, everything inside the loop.

In float64 it is also the reference that every peer's gradients are compared with.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.models import Arrays, Case, Run

Array = np.ndarray[Any, Any]


def sigmoid(z: Array) -> Array:
    return 1 / (1 + np.exp(-z))


def zeros(weights: Arrays) -> Arrays:
    return {k: np.zeros_like(w) for k, w in weights.items()}


def readout(w: Arrays, g: Arrays, h: Array, y: Array) -> tuple[Any, Array]:
    """The loss of one step and its gradient with respect to h, adding those of V and c to g."""
    o = h @ w["V"].T + w["c"]
    p = np.exp(o - o.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    rows = np.arange(len(y))
    loss = -np.log(p[rows, y]).mean()
    p[rows, y] -= 1
    p /= len(y)
    g["V"] += p.T @ h
    g["c"] += p.sum(0)
    return loss, p @ w["V"]


def rnn(w: Arrays, x: Array, y: Array) -> tuple[Any, Arrays]:
    g = zeros(w)
    h = {-1: np.zeros((x.shape[1], len(w["W"])), x.dtype)}
    loss, back = x.dtype.type(0), {}
    for t in range(len(x)):
        h[t] = np.tanh(h[t - 1] @ w["W"].T + x[t] @ w["U"].T + w["b"])
        step, back[t] = readout(w, g, h[t], y[t])
        loss += step
    dh = np.zeros_like(h[-1])
    for t in reversed(range(len(x))):
        dz = (back[t] + dh) * (1 - h[t] ** 2)
        g["W"] += dz.T @ h[t - 1]
        g["U"] += dz.T @ x[t]
        g["b"] += dz.sum(0)
        dh = dz @ w["W"]
    return loss, g


def gate(w: Arrays, k: str, h: Array, x: Array) -> Array:
    return h @ w["W" + k].T + x @ w["U" + k].T + w["b" + k]


def gate_back(w: Arrays, g: Arrays, k: str, dz: Array, h: Array, x: Array) -> Array:
    g["W" + k] += dz.T @ h
    g["U" + k] += dz.T @ x
    g["b" + k] += dz.sum(0)
    return dz @ w["W" + k]


def lstm(w: Arrays, x: Array, y: Array) -> tuple[Any, Arrays]:
    grads = zeros(w)
    h = {-1: np.zeros((x.shape[1], len(w["Wi"])), x.dtype)}
    s = {-1: np.zeros_like(h[-1])}
    loss, back, gates = x.dtype.type(0), {}, {}
    for t in range(len(x)):
        i, f, q = (sigmoid(gate(w, k, h[t - 1], x[t])) for k in "ifq")
        g = np.tanh(gate(w, "g", h[t - 1], x[t]))
        s[t] = f * s[t - 1] + i * g
        h[t] = q * np.tanh(s[t])
        gates[t] = i, f, q, g
        step, back[t] = readout(w, grads, h[t], y[t])
        loss += step
    dh, ds = np.zeros_like(h[-1]), np.zeros_like(h[-1])
    for t in reversed(range(len(x))):
        i, f, q, g = gates[t]
        dh = dh + back[t]
        u = np.tanh(s[t])
        ds = ds + dh * q * (1 - u * u)
        dz = {
            "i": ds * g * i * (1 - i),
            "f": ds * s[t - 1] * f * (1 - f),
            "q": dh * u * q * (1 - q),
            "g": ds * i * (1 - g * g),
        }
        dh = sum(gate_back(w, grads, k, dz[k], h[t - 1], x[t]) for k in "ifqg")
        ds = ds * f
    return loss, grads


def gru(w: Arrays, x: Array, y: Array) -> tuple[Any, Arrays]:
    grads = zeros(w)
    h = {-1: np.zeros((x.shape[1], len(w["Wr"])), x.dtype)}
    loss, back, gates = x.dtype.type(0), {}, {}
    for t in range(len(x)):
        r, z = (sigmoid(gate(w, k, h[t - 1], x[t])) for k in "rz")
        m = h[t - 1] @ w["Wn"].T
        n = np.tanh(x[t] @ w["Un"].T + w["bn"] + r * m)
        h[t] = (1 - z) * n + z * h[t - 1]
        gates[t] = r, z, m, n
        step, back[t] = readout(w, grads, h[t], y[t])
        loss += step
    dh = np.zeros_like(h[-1])
    for t in reversed(range(len(x))):
        r, z, m, n = gates[t]
        dh = dh + back[t]
        dn = dh * (1 - z) * (1 - n * n)
        dr = dn * m * r * (1 - r)
        dz = dh * (h[t - 1] - n) * z * (1 - z)
        dm = dn * r
        grads["Wn"] += dm.T @ h[t - 1]
        grads["Un"] += dn.T @ x[t]
        grads["bn"] += dn.sum(0)
        dh = dh * z + dm @ w["Wn"]
        dh += gate_back(w, grads, "r", dr, h[t - 1], x[t])
        dh += gate_back(w, grads, "z", dz, h[t - 1], x[t])
    return loss, grads


def bidirectional(w: Arrays, x: Array, y: Array) -> tuple[Any, Arrays]:
    grads = zeros(w)
    steps, size = len(x), len(w["Wf"])
    start = np.zeros((x.shape[1], size), x.dtype)
    f, g = {-1: start}, {steps: start}
    for t in range(steps):
        f[t] = np.tanh(gate(w, "f", f[t - 1], x[t]))
    for t in reversed(range(steps)):
        g[t] = np.tanh(gate(w, "g", g[t + 1], x[t]))
    loss, back = x.dtype.type(0), {}
    for t in range(steps):
        step, back[t] = readout(w, grads, np.concatenate([f[t], g[t]], 1), y[t])
        loss += step
    dh = np.zeros_like(start)
    for t in reversed(range(steps)):
        dz = (back[t][:, :size] + dh) * (1 - f[t] ** 2)
        dh = gate_back(w, grads, "f", dz, f[t - 1], x[t])
    dh = np.zeros_like(start)
    for t in range(steps):
        dz = (back[t][:, size:] + dh) * (1 - g[t] ** 2)
        dh = gate_back(w, grads, "g", dz, g[t + 1], x[t])
    return loss, grads


def stacked(w: Arrays, x: Array, y: Array) -> tuple[Any, Arrays]:
    grads = zeros(w)
    start = np.zeros((x.shape[1], len(w["W1"])), x.dtype)
    h1, h2 = {-1: start}, {-1: start}
    loss, back = x.dtype.type(0), {}
    for t in range(len(x)):
        h1[t] = np.tanh(gate(w, "1", h1[t - 1], x[t]))
        h2[t] = np.tanh(gate(w, "2", h2[t - 1], h1[t]))
        step, back[t] = readout(w, grads, h2[t], y[t])
        loss += step
    d1, d2 = np.zeros_like(start), np.zeros_like(start)
    for t in reversed(range(len(x))):
        dz2 = (back[t] + d2) * (1 - h2[t] ** 2)
        d2 = gate_back(w, grads, "2", dz2, h2[t - 1], h1[t])
        dz1 = (dz2 @ w["U2"] + d1) * (1 - h1[t] ** 2)
        d1 = gate_back(w, grads, "1", dz1, h1[t - 1], x[t])
    return loss, grads


def attention(w: Arrays, x: Array, y: Array) -> tuple[Any, Arrays]:
    grads = zeros(w)
    steps = len(x)
    h = {-1: np.zeros((x.shape[1], len(w["W"])), x.dtype)}
    for i in range(steps):
        h[i] = np.tanh(gate(w, "", h[i - 1], x[i]))
    memory = np.stack([h[i] for i in range(steps)])  # (source, n, hidden)
    keys = memory @ w["B"].T
    d = {-1: np.tanh(h[steps - 1] @ w["Q"].T)}
    previous = np.concatenate([np.zeros_like(y[:1]), y[:-1]])
    loss, back, saved = x.dtype.type(0), {}, {}
    for j in range(steps):
        u = np.tanh(d[j - 1] @ w["A"].T + keys)
        e = u @ w["v"]
        a = np.exp(e - e.max(0))
        a /= a.sum(0)
        k = (a[:, :, None] * memory).sum(0)
        d[j] = np.tanh(d[j - 1] @ w["P"].T + k @ w["S"].T + w["E"][previous[j]] + w["p"])
        saved[j] = u, a, k
        step, back[j] = readout(w, grads, d[j], y[j])
        loss += step
    dmemory, dkeys, dd = np.zeros_like(memory), np.zeros_like(memory), np.zeros_like(d[-1])
    for j in reversed(range(steps)):
        u, a, k = saved[j]
        dz = (dd + back[j]) * (1 - d[j] ** 2)
        grads["p"] += dz.sum(0)
        np.add.at(grads["E"], previous[j], dz)
        grads["P"] += dz.T @ d[j - 1]
        grads["S"] += dz.T @ k
        dk = dz @ w["S"]
        da = (memory * dk).sum(2)
        dmemory += a[:, :, None] * dk
        de = a * (da - (a * da).sum(0))
        grads["v"] += np.tensordot(de, u, 2)
        du = de[:, :, None] * w["v"] * (1 - u * u)
        dkeys += du
        dq = du.sum(0)
        grads["A"] += dq.T @ d[j - 1]
        dd = dz @ w["P"] + dq @ w["A"]
    dz = dd * (1 - d[-1] ** 2)
    grads["Q"] += dz.T @ h[steps - 1]
    grads["B"] += np.tensordot(dkeys, memory, ((0, 1), (0, 1)))
    dmemory += dkeys @ w["B"]
    dh = dz @ w["Q"]
    for i in reversed(range(steps)):
        dz = (dh + dmemory[i]) * (1 - h[i] ** 2)
        dh = gate_back(w, grads, "", dz, h[i - 1], x[i])
    return loss, grads


STEPS = {f.__name__: f for f in (rnn, lstm, gru, bidirectional, stacked, attention)}


def naive(case: Case) -> Run:
    function = STEPS[case.model]
    return Run(lambda: function(case.weights, case.x, case.y), lambda result: (float(result[0]), result[1]))


PEERS = {"naive NumPy": naive}
