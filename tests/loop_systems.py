"""Small systems whose loops make demands on storage: each is a graph and arrays for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import unfold as uf
from unfold.engine import made_up

STEPS = 4


def under_two_names() -> Any:
    """The state of the step before is read under both of its names."""
    t = uf.axis("t")
    x, a = uf.input("x", over=t), uf.param("a")
    h, g, o = uf.var("h", over=t), uf.var("g", over=t), uf.var("o", over=t)
    h[0] = g[0] = a
    o[0] = 0
    h[t] = uf.tanh(h[t - 1] * o[t - 1] + 2 * g[t - 1] + x[t])
    g[t] = h[t]
    o[t] = uf.exp(h[t])
    return uf.graph(o=o[t])


def reads_itself() -> Any:
    """A product whose own value of the step before is a factor."""
    t = uf.axis("t")
    x, h, o = uf.input("x", over=t), uf.var("h", over=t), uf.var("o", over=t)
    h[0] = uf.param("a")
    o[0] = 1
    h[t] = h[t - 1] * o[t - 1]
    o[t] = uf.exp(-h[t]) + x[t]
    return uf.graph(o=o[t])


def retimed() -> Any:
    """A loop that is retimed, with a state that only it reads, and a value that is read at two
    different times of one step."""
    t = uf.axis("t")
    x, h, g, s = uf.input("x", over=t), uf.var("h", over=t), uf.var("g", over=t), uf.var("s", over=t)
    k = uf.var("k", over=t)
    for v in (h, g, s):
        v[0] = v[-1] = v[t.last + 1] = 1.0
    h[t] = g[t + 1] * 0.5 + k[t]
    s[t] = uf.tanh(s[t - 1] + h[t - 2])
    k[t] = uf.exp(-h[t - 2])
    g[t] = s[t] + k[t] * x[t]
    return uf.graph(h=h[t], g=g[t])


def looked_at() -> Any:
    """An output that is a piece of a state, which itself is none."""
    t = uf.axis("t")
    x, W, h, g = uf.input("x", 3, over=t), uf.param("W", 3, 2), uf.var("h", 3, over=t), uf.var("g", 2, over=t)
    g[0] = 0
    h[t] = uf.tanh(W @ g[t - 1] + x[t])
    g[t] = h[t][:2]
    return uf.graph(g=g[t])


def nested() -> Any:
    """A value of an outer loop that only the inner one reads."""
    i, j = uf.axis("i"), uf.axis("j")
    x, h = uf.input("x", over=(i, j)), uf.var("h", over=(i, j))
    s, k = uf.var("s", over=j), uf.var("k", over=j)
    s[0] = h[0, j] = 0.5
    k[j] = uf.exp(-s[j - 1])
    h[i, j] = uf.tanh(h[i - 1, j] * k[j] + x[i, j])
    s[j] = uf.sum(h[i, j], over=i)
    return uf.graph(s=s[j])


def one_in_another() -> Any:
    """Three loops, the last axis outermost."""
    i, j, k = uf.axis("i"), uf.axis("j"), uf.axis("k")
    h = uf.var("h", over=(i, j, k))
    for places in np.ndindex(3, 2, 2):
        place = tuple([a, 0, a.last + 1][p] for a, p in zip((i, j, k), places, strict=True))
        if any(places):
            h[place] = 1.0
    h[i, j.last + 1, k] = h[i, j.last + 1, 0] = 1.0
    h[0, j.last + 1, 0] = h[i.last + 1, j.last + 1, 0] = h[0, j.last + 1, k] = 1.0
    h[i.last + 1, j.last + 1, k] = 1.0
    h[i, j, k] = uf.sin(h[i - 1, j, k] + 2 * h[i + 1, j - 1, k] + 3 * h[i - 1, j + 1, k - 1])
    return uf.graph(h=h[i, j, k])


def joined(both: bool) -> Any:
    """A state joined with an input: that of the step before (and read two steps on, too), or
    that of this step, which the next one reads as well."""
    t = uf.axis("t")
    x, W = uf.input("x", 2, over=t), uf.param("W", 3, 5)
    h, o = uf.var("h", 3, over=t), uf.var("o", 3, over=t)
    h[0] = h[-1] = o[0] = 0.5
    h[t] = uf.tanh(W @ uf.concat([h[t - 1], x[t]]) + h[t - 2]) if both else uf.tanh(o[t - 1] - h[t - 1])
    o[t] = W @ uf.concat([uf.sin(h[t]) if both else h[t], x[t]])
    return uf.graph(o=o[t])


def joined_alone() -> Any:
    """A state joined with an input, which nothing outside its loop reads."""
    t = uf.axis("t")
    x, W, h, o = uf.input("x", 2, over=t), uf.param("W", 3, 5), uf.var("h", 3, over=t), uf.var("o", 3, over=t)
    h[0] = o[0] = 0.5
    h[t] = uf.tanh(W @ uf.concat([h[t - 1], x[t]]) * o[t - 1])
    o[t] = uf.exp(-h[t])
    return uf.graph(o=o[t])


def joined_and_shown() -> Any:
    """A value joined with an input that only its loop reads, while it is an output itself."""
    t = uf.axis("t")
    x, W = uf.input("x", 2, over=t), uf.param("W", 3, 5)
    h, s, o = uf.var("h", 3, over=t), uf.var("s", 3, over=t), uf.var("o", 3, over=t)
    h[0] = o[0] = 0.5
    h[t] = uf.tanh(o[t - 1] - h[t - 1])
    s[t] = uf.sin(h[t])
    o[t] = W @ uf.concat([s[t], x[t]])
    return uf.graph(s=s[t])


def two_joined() -> Any:
    """Two states of the step before, joined with an input."""
    t = uf.axis("t")
    x, W, V = uf.input("x", over=t), uf.param("W", 3, 5), uf.param("V", 1, 5)
    h, g = uf.var("h", 3, over=t), uf.var("g", 1, over=t)
    h[0] = g[0] = 0.5
    both = uf.concat([h[t - 1], g[t - 1], uf.reshape(x[t], (1,))])
    h[t] = uf.tanh(W @ both)
    g[t] = uf.sin(V @ both)
    return uf.graph(g=g[t])


def spread() -> Any:
    """A state joined with an input that varies along one more axis."""
    t, n = uf.axis("t"), uf.axis("n")
    x, W = uf.input("x", 2, over=(t, n)), uf.param("W", 3, 5)
    h, m = uf.var("h", 3, over=t), uf.var("m", 3, over=(t, n))
    h[0] = 0.5
    m[t, n] = uf.tanh(W @ uf.concat([h[t - 1], x[t, n]]))
    h[t] = uf.sum(m[t, n], over=n)
    return uf.graph(h=h[t])


def concatenations_in_one_another() -> Any:
    """Two states, each delayed into a concatenation, of which one lies in the other."""
    t = uf.axis("t")
    x, A, B, W = uf.input("x", 2, over=t), uf.param("A", 3, 5), uf.param("B", 2, 4), uf.param("W", 4, 9)
    h, s, g = uf.var("h", 4, over=t), uf.var("s", 3, over=t), uf.var("g", 2, over=t)
    h[0], s[0] = uf.param("h0", 4), 0.5
    g[t] = uf.tanh(x[t] + B @ h[t - 1])
    inner = uf.concat([s[t - 1], g[t]])
    s[t] = uf.tanh(A @ inner)
    h[t] = uf.tanh(W @ uf.concat([h[t - 1], inner]))
    return uf.graph(h=h[t])


SYSTEMS: dict[str, Callable[[], Any]] = {
    "under two names": under_two_names,
    "concatenations in one another": concatenations_in_one_another,
    "reads itself": reads_itself,
    "retimed": retimed,
    "looked at": looked_at,
    "nested": nested,
    "joined before": lambda: joined(True),
    "joined now": lambda: joined(False),
    "joined alone": joined_alone,
    "joined and shown": joined_and_shown,
    "two joined": two_joined,
    "spread": spread,
}


def arrays(graph: Any) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    free = {a.name: STEPS for a in graph.axes}
    return {k: rng.standard_normal(a.shape) for k, a in made_up.zeros(graph, free).arrays.items()}


def nested_and_retimed(seed: int, inner: bool) -> tuple[Any, dict[str, Any]]:
    """A random system over two axes in which the inner loop is retimed, or the outer one, and arrays."""
    rng = np.random.default_rng(seed)
    i, j = uf.axis("i"), uf.axis("j")
    n, ahead = int(rng.integers(1, 4)), int(rng.integers(1, 3))
    x, W = uf.input("x", n, over=(i, j)), uf.param("W", n, n)
    h, g, s = (uf.var(k, n, over=(i, j)) for k in "hgs")
    for v in (h, g, s):
        v[0, j] = 0.5
        v[-1, j] = v[-2, j] = v[i.last + 1, j] = v[i.last + 2, j] = 0
        v[i, 0] = v[i, -1] = v[i, -2] = v[i, j.last + 1] = v[i, j.last + 2] = 0.1
    if inner:
        h[i, j] = uf.tanh(W @ g[i, j + ahead] + h[i - int(rng.integers(1, 3)), j] + x[i, j])
        g[i, j] = uf.tanh(h[i, j - ahead - 1] + (s[i, j] if rng.random() < 0.5 else s[i, j - 1]))
        s[i, j] = uf.sin(h[i - 1, j] + (g[i - 1, j] if rng.random() < 0.5 else s[i, j - 1]))
    else:
        h[i, j] = uf.tanh(W @ g[i + ahead, j] + h[i, j - 1] + x[i, j])
        g[i, j] = uf.tanh(h[i - ahead - 1, j] + s[i - 1, j])
        s[i, j] = uf.sin(s[i, j - 1])
    graph = uf.graph(loss=uf.sum(uf.sum(uf.sum(h[i, j] * g[i, j], over=j), over=i)), h=h[i, j])
    graph, batch = (graph.batch("n"), (2,)) if rng.random() < 0.4 else (graph, ())
    shape = (int(rng.integers(1, 5)), int(rng.integers(1, 6)), *batch, n)
    weights = {k: v + 0.2 * rng.standard_normal(v.shape) for k, v in graph.init(seed=seed).items()}
    return graph, weights | {"x": rng.standard_normal(shape)}


def looking_ahead(seed: int) -> Any | None:
    """A random system over one axis that reads forward and back; None where no order exists."""
    rng = np.random.default_rng(seed)

    def one_of(*choices: Any) -> Any:
        return choices[rng.integers(len(choices))]

    t, count = uf.axis("t"), int(rng.integers(2, 6))
    x = uf.input("x", over=t)
    variables = [uf.var(f"v{k}", over=t) for k in range(count)]
    for v in variables:
        for step in (0, -1, -2, -3, t.last + 1, t.last + 2):
            v[step] = 0.3

    def read() -> Any:
        v, lag = one_of(*variables), one_of(0, 0, -1, -1, -2, -3, 1)
        return v[t + lag] if lag else v[t]

    for v in variables:
        value = read()
        for _ in range(rng.integers(0, 3)):
            other = read()
            value = one_of(value * other, value + other, value - other)
        value = one_of(uf.tanh, uf.sin)(value) if rng.random() < 0.7 else 0.5 * value
        v[t] = value + x[t] if rng.random() < 0.4 else value
    try:
        return uf.graph(first=variables[0][t], last=variables[-1][t] * 2, middle=variables[count // 2][t])
    except uf.DefinitionError:
        return None


def over_diagonals(seed: int) -> tuple[Any, dict[str, Any]] | None:
    """A random system of vectors over two axes that reads in many directions, and arrays for it; None
    where no order is known."""
    rng = np.random.default_rng(seed)
    i, j = uf.axis("i"), uf.axis("j")
    n = int(rng.integers(1, 4))
    x, W = uf.input("x", n, over=(i, j)), uf.param("W", n, n)
    variables = [uf.var(name, n, over=(i, j)) for name in "hg"[: rng.integers(1, 3)]]
    steps_i, steps_j = ([a, *(range(0, -3, -1)), a.last + 1, a.last + 2] for a in (i, j))
    for v in variables:
        for a in steps_i:
            for b in steps_j:
                if a is not i or b is not j:
                    v[a, b] = 0.2

    def read() -> Any:
        v = variables[rng.integers(len(variables))]
        a, b = (int(k) for k in rng.integers(-2, 3, 2))
        return v[i + a if a else i, j + b if b else j]

    for v in variables:
        v[i, j] = uf.tanh(W @ read() + read() + x[i, j])
    h = variables[0][i, j]
    try:
        graph = uf.graph(loss=uf.sum(uf.sum(uf.sum(h * h, over=j), over=i)), h=h)
    except uf.DefinitionError:
        return None
    graph, batch = (graph.batch("n"), (2,)) if rng.random() < 0.4 else (graph, ())
    shape = (int(rng.integers(1, 5)), int(rng.integers(1, 6)), *batch, n)
    return graph, {"W": 0.5 * rng.standard_normal((n, n)), "x": rng.standard_normal(shape)}
