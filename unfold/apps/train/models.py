"""Networks that predict the next character, written in the language.

Every model takes x (characters as class indices) and y (the next ones) and the state it
starts from (`h1_0`, ...), and gives the mean loss, the scores o and the state it ends in
(`h1_T`, ...): text is read in windows, each starting where the one before ended.
"""

from __future__ import annotations

from collections.abc import Callable

import unfold as uf
from unfold.core.axis import Axis
from unfold.core.dims import Dim
from unfold.core.errors import UnfoldError
from unfold.core.node import Node
from unfold.graph import Graph
from unfold.language.variables import Var
from unfold.learn import init

States = dict[str, Var]
Layer = Callable[[Axis, int, Node, Dim, Dim], States]


def rnn(t: Axis, layer: int, below: Node, size: Dim, hidden: Dim) -> States:
    """h[t] = tanh(W h[t-1] + U below[t] + b)"""
    W, U = uf.param(f"W{layer}", hidden, hidden), uf.param(f"U{layer}", hidden, size)
    h = _state(f"h{layer}", t, hidden)
    h[t] = uf.tanh(W @ h[t - 1] + U @ below + uf.param(f"b{layer}", hidden))
    return {"h": h}


def lstm(t: Axis, layer: int, below: Node, size: Dim, hidden: Dim) -> States:
    """c[t] = f[t] * c[t-1] + i[t] * g[t], h[t] = q[t] * tanh(c[t]) (Gers et al. 2000)"""
    h, c = _state(f"h{layer}", t, hidden), _state(f"c{layer}", t, hidden)

    def gate(name: str, squash: Callable[[Node], Node]) -> Node:
        W, U = uf.param(f"W{name}{layer}", hidden, hidden), uf.param(f"U{name}{layer}", hidden, size)
        v = uf.var(f"{name}{layer}", hidden, over=t)
        v[t] = squash(W @ h[t - 1] + U @ below + uf.param(f"b{name}{layer}", hidden))
        return v[t]

    i, f, q, g = gate("i", uf.sigmoid), gate("f", uf.sigmoid), gate("q", uf.sigmoid), gate("g", uf.tanh)
    c[t] = f * c[t - 1] + i * g
    h[t] = q * uf.tanh(c[t])
    return {"h": h, "c": c}


def gru(t: Axis, layer: int, below: Node, size: Dim, hidden: Dim) -> States:
    """h[t] = z[t] * h[t-1] + (1 - z[t]) * g[t], g[t] = tanh(U below[t] + b + r[t] * (W h[t-1] + a))

    The reset gate acts after the product, as in PyTorch and cuDNN: one product a step.
    """
    h = _state(f"h{layer}", t, hidden)

    def read(name: str) -> tuple[Node, Node]:
        W, U = uf.param(f"W{name}{layer}", hidden, hidden), uf.param(f"U{name}{layer}", hidden, size)
        return W @ h[t - 1], U @ below + uf.param(f"b{name}{layer}", hidden)

    r, z, g = (uf.var(f"{name}{layer}", hidden, over=t) for name in "rzg")
    (rh, rx), (zh, zx), (gh, gx) = read("r"), read("z"), read("g")
    r[t] = uf.sigmoid(rh + rx)
    z[t] = uf.sigmoid(zh + zx)
    g[t] = uf.tanh(gx + r[t] * (gh + uf.param(f"ag{layer}", hidden)))
    h[t] = z[t] * h[t - 1] + (1 - z[t]) * g[t]
    return {"h": h}


LAYERS: dict[str, Layer] = {"rnn": rnn, "lstm": lstm, "gru": gru}


def character(
    kind: str = "lstm",
    *,
    vocabulary: Dim = "vocabulary",
    embed: Dim = "embed",
    hidden: Dim = "hidden",
    layers: int = 1,
) -> Graph:
    """loss = mean over t of -log softmax(c + V h[t])[y[t]], h[t] the top of `layers` recurrent
    layers over E[x[t]]. Outputs loss, o and, for every state s, its last value `s_T`."""
    if kind not in LAYERS:
        raise UnfoldError(f"no model {kind!r}; there are {', '.join(LAYERS)}")
    if layers < 1:
        raise UnfoldError(f"a model has at least one layer, not {layers}")
    t = uf.axis("t")
    x, y = uf.input("x", over=t, dtype=int), uf.input("y", over=t, dtype=int)
    o, L = uf.var("o", vocabulary, over=t), uf.var("L", over=t)
    below: Node = uf.embedding(uf.param("E", vocabulary, embed), x[t])
    size, last = embed, {}
    for layer in range(1, layers + 1):
        states = LAYERS[kind](t, layer, below, size, hidden)
        last.update({f"{s.name}_T": s[t.last] for s in states.values()})
        below, size = states["h"][t], hidden
    o[t] = uf.param("c", vocabulary) + uf.param("V", vocabulary, hidden) @ below
    L[t] = uf.cross_entropy(o[t], y[t])
    return uf.graph(loss=uf.mean(L[t], over=t), o=o, **last)


def initial(graph: Graph, seed: int, **sizes: int) -> dict[str, init.Array]:
    """Weights to start from: orthogonal from step to step, the forget gates open."""
    rules = {"E": init.normal(1.0), "W*": init.orthogonal(), "bf*": init.constant(1.0)}
    return init.weights(
        graph, {p: r for p, r in rules.items() if p != "bf*" or "bf1" in graph.params}, seed, **sizes
    )


def carried(graph: Graph) -> list[str]:
    """The states a model carries from window to window: "h1", "c1", ..."""
    return [name[:-2] for name in graph.outputs if name.endswith("_T")]


def _state(name: str, t: Axis, hidden: Dim) -> Var:
    v = uf.var(name, hidden, over=t)
    v[0] = uf.input(f"{name}_0", hidden)
    return v
