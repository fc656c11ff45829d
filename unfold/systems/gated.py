"""Gated recurrent networks: LSTM and GRU."""

from __future__ import annotations

from collections.abc import Callable

import unfold as uf
from unfold.core.dims import Dim


def lstm(*, input: Dim = "input", hidden: Dim = "hidden", classes: Dim = "classes") -> uf.Graph:
    """c[t] = f[t] * c[t-1] + i[t] * g[t], h[t] = q[t] * tanh(c[t])

    Long short-term memory: the cell c is carried on by addition, so that its gradient
    neither vanishes nor explodes while the forget gate is open. The gates i (input),
    f (forget) and q (output) are sigmoid(W h[t-1] + U x[t] + b), the candidate g is the same
    with tanh, each with its own W, U, b. Output o[t] = b + V h[t].
    x: (T, input), y: (T,) class indices; outputs loss: (), o: (T, classes).

    Sources: Hochreiter and Schmidhuber (1997); the forget gate: Gers, Schmidhuber and
    Cummins (2000); Goodfellow et al. (2016), section 10.10.1.
    """
    t = uf.axis("t")
    x, y = uf.input("x", input, over=t), uf.input("y", over=t, dtype=int)
    V, b = uf.param("V", classes, hidden), uf.param("b", classes)
    c, h = uf.var("c", hidden, over=t), uf.var("h", hidden, over=t)
    o, L = uf.var("o", classes, over=t), uf.var("L", over=t)

    def gate(name: str, squash: Callable[..., uf.Node]) -> uf.Var:
        W, U = uf.param(f"W{name}", hidden, hidden), uf.param(f"U{name}", hidden, input)
        v = uf.var(name, hidden, over=t)
        v[t] = squash(W @ h[t - 1] + U @ x[t] + uf.param(f"b{name}", hidden))
        return v

    i, f, q = gate("i", uf.sigmoid), gate("f", uf.sigmoid), gate("q", uf.sigmoid)
    g = gate("g", uf.tanh)
    c[0] = 0
    h[0] = 0
    c[t] = f[t] * c[t - 1] + i[t] * g[t]
    h[t] = q[t] * uf.tanh(c[t])
    o[t] = b + V @ h[t]
    L[t] = uf.cross_entropy(o[t], y[t])
    return uf.graph(loss=uf.sum(L[t], over=t), o=o)


def gru(*, input: Dim = "input", hidden: Dim = "hidden", classes: Dim = "classes") -> uf.Graph:
    """h[t] = z[t] * h[t-1] + (1 - z[t]) * g[t], g[t] = tanh(Wg (r[t] * h[t-1]) + Ug x[t] + bg)

    The gated recurrent unit as its authors wrote it: the reset gate r acts before the
    product with Wg, and the update gate z keeps the old state where it is 1. Both gates are
    sigmoid(W h[t-1] + U x[t] + b). Output o[t] = c + V h[t].
    x: (T, input), y: (T,) class indices; outputs loss: (), o: (T, classes).

    Sources: Cho et al. (2014); Goodfellow et al. (2016), section 10.10.2.
    """
    t = uf.axis("t")
    x, y = uf.input("x", input, over=t), uf.input("y", over=t, dtype=int)
    Wr, Ur, br = uf.param("Wr", hidden, hidden), uf.param("Ur", hidden, input), uf.param("br", hidden)
    Wz, Uz, bz = uf.param("Wz", hidden, hidden), uf.param("Uz", hidden, input), uf.param("bz", hidden)
    Wg, Ug, bg = uf.param("Wg", hidden, hidden), uf.param("Ug", hidden, input), uf.param("bg", hidden)
    V, c = uf.param("V", classes, hidden), uf.param("c", classes)
    r, z = uf.var("r", hidden, over=t), uf.var("z", hidden, over=t)
    g, h = uf.var("g", hidden, over=t), uf.var("h", hidden, over=t)
    o, L = uf.var("o", classes, over=t), uf.var("L", over=t)

    h[0] = 0
    r[t] = uf.sigmoid(Wr @ h[t - 1] + Ur @ x[t] + br)
    z[t] = uf.sigmoid(Wz @ h[t - 1] + Uz @ x[t] + bz)
    g[t] = uf.tanh(Wg @ (r[t] * h[t - 1]) + Ug @ x[t] + bg)
    h[t] = z[t] * h[t - 1] + (1 - z[t]) * g[t]
    o[t] = c + V @ h[t]
    L[t] = uf.cross_entropy(o[t], y[t])
    return uf.graph(loss=uf.sum(L[t], over=t), o=o)
