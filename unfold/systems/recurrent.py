"""Recurrent networks with a tanh state: one step to the next, both ways, and one above another."""

from __future__ import annotations

from typing import Literal

import unfold as uf
from unfold.core.dims import Dim, add


def rnn(
    *,
    input: Dim = "input",
    hidden: Dim = "hidden",
    classes: Dim = "classes",
    recurrence: Literal["state", "output", "target"] = "state",
) -> uf.Graph:
    """h[t] = tanh(b + W h[t-1] + U x[t]), o[t] = c + V h[t], loss = sum_t -log softmax(o[t])[y[t]]

    The vanilla recurrent network; `recurrence` says what comes back from the step before:

        "state"    W h[t-1]    h[0] = 0; the usual one (fig. 10.3)
        "output"   W o[t-1]    o[0] = 0; weaker, as o is trained to be the answer (fig. 10.4)
        "target"   E[y[t-1]]   teacher forcing: the true answer is fed back, so no step waits
                               for the one before (fig. 10.6); y[0] = 0 is the start symbol

    x: (T, input), y: (T,) class indices; outputs loss: (), o: (T, classes).

    Source: Goodfellow et al. (2016), sections 10.2, 10.2.1, 10.2.2.
    """
    t = uf.axis("t")
    x, y = uf.input("x", input, over=t), uf.input("y", over=t, dtype=int)
    U, V = uf.param("U", hidden, input), uf.param("V", classes, hidden)
    b, c = uf.param("b", hidden), uf.param("c", classes)
    h, o, L = uf.var("h", hidden, over=t), uf.var("o", classes, over=t), uf.var("L", over=t)

    if recurrence == "state":
        h[0] = 0
        back = uf.param("W", hidden, hidden) @ h[t - 1]
    elif recurrence == "output":
        o[0] = 0
        back = uf.param("W", hidden, classes) @ o[t - 1]
    elif recurrence == "target":
        y[0] = 0
        back = uf.embedding(uf.param("E", classes, hidden), y[t - 1])
    else:
        raise uf.DefinitionError(f'recurrence is "state", "output" or "target", not {recurrence!r}')
    h[t] = uf.tanh(b + back + U @ x[t])
    o[t] = c + V @ h[t]
    L[t] = uf.cross_entropy(o[t], y[t])
    return uf.graph(loss=uf.sum(L[t], over=t), o=o)


def vector_to_sequence(
    *, context: Dim = "context", hidden: Dim = "hidden", classes: Dim = "classes"
) -> uf.Graph:
    """h[t] = tanh(W h[t-1] + R context + E[y[t-1]] + b), o[t] = c + V h[t]

    One vector (a picture, say) to a sequence (its caption): R context acts as a bias of every
    step, and the word before is fed back; y[0] = 0 is the start symbol. loss is the sum of
    the cross entropies. context: (context,), y: (T,) words; outputs loss: (), o: (T, classes).

    Source: Goodfellow et al. (2016), section 10.2.4, fig. 10.9.
    """
    t = uf.axis("t")
    vector, y = uf.input("context", context), uf.input("y", over=t, dtype=int)
    W, R, b = uf.param("W", hidden, hidden), uf.param("R", hidden, context), uf.param("b", hidden)
    E, V, c = uf.param("E", classes, hidden), uf.param("V", classes, hidden), uf.param("c", classes)
    h, o, L = uf.var("h", hidden, over=t), uf.var("o", classes, over=t), uf.var("L", over=t)

    h[0] = 0
    y[0] = 0
    h[t] = uf.tanh(W @ h[t - 1] + R @ vector + uf.embedding(E, y[t - 1]) + b)
    o[t] = c + V @ h[t]
    L[t] = uf.cross_entropy(o[t], y[t])
    return uf.graph(loss=uf.sum(L[t], over=t), o=o)


def bidirectional(*, input: Dim = "input", hidden: Dim = "hidden", classes: Dim = "classes") -> uf.Graph:
    """f[t] from f[t-1] and x[t], g[t] from g[t+1] and x[t], o[t] = c + V (f[t]; g[t])

    Two tanh recurrences, f forward and g backward in time, so that every output sees the
    whole sequence. x: (T, input), y: (T,) class indices; outputs loss: (), o: (T, classes).

    Source: Goodfellow et al. (2016), section 10.3, fig. 10.11; Schuster and Paliwal (1997).
    """
    t = uf.axis("t")
    x, y = uf.input("x", input, over=t), uf.input("y", over=t, dtype=int)
    Wf, Uf, bf = uf.param("Wf", hidden, hidden), uf.param("Uf", hidden, input), uf.param("bf", hidden)
    Wg, Ug, bg = uf.param("Wg", hidden, hidden), uf.param("Ug", hidden, input), uf.param("bg", hidden)
    V, c = uf.param("V", classes, add(hidden, hidden)), uf.param("c", classes)
    f, g = uf.var("f", hidden, over=t), uf.var("g", hidden, over=t)
    o, L = uf.var("o", classes, over=t), uf.var("L", over=t)

    f[0] = 0
    f[t] = uf.tanh(Wf @ f[t - 1] + Uf @ x[t] + bf)
    g[t.last + 1] = 0
    g[t] = uf.tanh(Wg @ g[t + 1] + Ug @ x[t] + bg)
    o[t] = c + V @ uf.concat(f[t], g[t])
    L[t] = uf.cross_entropy(o[t], y[t])
    return uf.graph(loss=uf.sum(L[t], over=t), o=o)


def stacked(
    *, input: Dim = "input", hidden: Dim = "hidden", classes: Dim = "classes", depth: int = 2
) -> uf.Graph:
    """hl[t] = tanh(Wl hl[t-1] + Ul h(l-1)[t] + bl) for each layer l, where h0[t] = x[t]

    A deep recurrent network: `depth` layers, each reading the states of the one below.
    x: (T, input), y: (T,) class indices; outputs loss: (), o: (T, classes).

    Source: Goodfellow et al. (2016), section 10.5, fig. 10.13a; Graves et al. (2013).
    """
    if depth < 1:
        raise uf.DefinitionError(f"a stacked network has at least one layer, not depth={depth}")
    t = uf.axis("t")
    x, y = uf.input("x", input, over=t), uf.input("y", over=t, dtype=int)
    V, c = uf.param("V", classes, hidden), uf.param("c", classes)
    o, L = uf.var("o", classes, over=t), uf.var("L", over=t)

    below, size = x, input
    for layer in range(1, depth + 1):
        W, U = uf.param(f"W{layer}", hidden, hidden), uf.param(f"U{layer}", hidden, size)
        h, b = uf.var(f"h{layer}", hidden, over=t), uf.param(f"b{layer}", hidden)
        h[0] = 0
        h[t] = uf.tanh(W @ h[t - 1] + U @ below[t] + b)
        below, size = h, hidden
    o[t] = c + V @ below[t]
    L[t] = uf.cross_entropy(o[t], y[t])
    return uf.graph(loss=uf.sum(L[t], over=t), o=o)
