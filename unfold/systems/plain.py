"""Systems without a hidden recurrence of their own: a plain network, and dynamical systems."""

from __future__ import annotations

import unfold as uf
from unfold.core.dims import Dim


def feed_forward(*, input: Dim = "input", hidden: Dim = "hidden", classes: Dim = "classes") -> uf.Graph:
    """yhat = softmax(W2 tanh(W1 x + b1) + b2), loss = -log yhat[y]

    A network with one hidden layer, which is a graph without an axis: its unfolded form is
    itself. x: (input,), y: a class index; outputs loss: (), o and yhat: (classes,).

    Source: Goodfellow, Bengio, Courville, Deep Learning (2016), section 6.1.
    """
    x, y = uf.input("x", input), uf.input("y", dtype=int)
    W1, b1 = uf.param("W1", hidden, input), uf.param("b1", hidden)
    W2, b2 = uf.param("W2", classes, hidden), uf.param("b2", classes)
    h, o = uf.var("h", hidden), uf.var("o", classes)

    h[...] = uf.tanh(W1 @ x + b1)
    o[...] = W2 @ h + b2
    return uf.graph(loss=uf.cross_entropy(o, y), o=o, yhat=uf.softmax(o))


def dynamical(*, state: Dim = "state") -> uf.Graph:
    """s[t] = tanh(A s[t-1]), s[0] = s0, loss = |s[T] - target|**2

    A system that evolves by itself. The matrix A and the start s0 are parameters, so the
    gradient says where to start, and how to move, to arrive at the target after T steps.
    target: (state,); outputs loss: (), s: (T, state).

    Source: Goodfellow et al. (2016), equation 10.1.
    """
    t = uf.axis("t")
    target = uf.input("target", state)
    A, s0 = uf.param("A", state, state), uf.param("s0", state)
    s = uf.var("s", state, over=t)

    s[0] = s0
    s[t] = uf.tanh(A @ s[t - 1])
    return uf.graph(loss=uf.sum(uf.square(s[t.last] - target)), s=s)


def driven(*, state: Dim = "state") -> uf.Graph:
    """s[t] = tanh(A s[t-1] + x[t]), s[0] = s0, loss = |s[T] - target|**2

    A dynamical system driven by an external signal. x: (T, state), target: (state,);
    outputs loss: (), s: (T, state).

    Source: Goodfellow et al. (2016), equation 10.4.
    """
    t = uf.axis("t")
    x, target = uf.input("x", state, over=t), uf.input("target", state)
    A, s0 = uf.param("A", state, state), uf.param("s0", state)
    s = uf.var("s", state, over=t)

    s[0] = s0
    s[t] = uf.tanh(A @ s[t - 1] + x[t])
    return uf.graph(loss=uf.sum(uf.square(s[t.last] - target)), s=s)
