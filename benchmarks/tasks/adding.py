"""The adding problem and the copy task (Hochreiter and Schmidhuber 1997): what is said early
is needed late. Vanilla against LSTM against GRU, same sizes, same data.

Adding: two of T numbers are marked; say their sum at the end. Copy: repeat what was said
before a long pause.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import unfold as uf
from benchmarks.tasks.common import Clock, fit, float32, table, write
from unfold.apps.train.models import LAYERS, carried
from unfold.graph import Graph
from unfold.learn import init

KINDS = ("rnn", "lstm", "gru")
HIDDEN, BATCH = 64, 32


def adder(kind: str) -> Graph:
    """loss = (c + v . h[T] - y)**2"""
    t = uf.axis("t")
    x, y = uf.input("x", 2, over=t), uf.input("y")
    states = LAYERS[kind](t, 1, x[t], 2, "hidden")
    guess = uf.param("c") + uf.param("v", "hidden") @ states["h"][t.last]
    return uf.graph(loss=uf.square(guess - y), guess=guess, **_last(states, t))


def copier(kind: str, symbols: int) -> Graph:
    """loss = the mean of the cross entropies over all steps; symbol 0 is the pause"""
    t = uf.axis("t")
    x, y = uf.input("x", over=t, dtype=int), uf.input("y", over=t, dtype=int)
    states = LAYERS[kind](t, 1, uf.one_hot(x[t], symbols), symbols, "hidden")
    o = uf.param("c", symbols) + uf.param("V", symbols, "hidden") @ states["h"][t]
    return uf.graph(loss=uf.mean(uf.cross_entropy(o, y[t]), over=t), o=o, **_last(states, t))


def _last(states: Any, t: Any) -> dict[str, Any]:
    return {f"{s.name}_T": s[t.last] for s in states.values()}


def start(graph: Graph, batch: int) -> dict[str, Any]:
    """The state at the beginning: zeros."""
    return {f"{s}_0": np.zeros((batch, HIDDEN), np.float32) for s in carried(graph)}


def weights(graph: Graph, seed: int = 0) -> dict[str, Any]:
    rules = {"W1": init.orthogonal(), "bf1": init.constant(2.0)}  # vanilla's matrix, the LSTM's forget gate
    return init.weights(graph, {p: r for p, r in rules.items() if p in graph.params}, seed, hidden=HIDDEN)


def sums(rng: np.random.Generator, T: int, n: int) -> dict[str, Any]:
    x = np.zeros((T, n, 2))
    x[..., 0] = rng.random((T, n))
    first, second = rng.integers(0, T // 2, n), rng.integers(T // 2, T, n)
    rows = np.arange(n)
    x[first, rows, 1] = x[second, rows, 1] = 1
    return float32(x=x, y=x[first, rows, 0] + x[second, rows, 0])


def copies(rng: np.random.Generator, said: int, pause: int, symbols: int, n: int) -> dict[str, Any]:
    words = rng.integers(2, symbols, (said, n))
    x = np.concatenate([words, np.zeros((pause, n), int), np.ones((1, n), int), np.zeros((said - 1, n), int)])
    return {"x": x, "y": np.concatenate([np.zeros((said + pause, n), int), words])}


def run_adding(T: int, steps: int) -> list[list[str]]:
    rows = []
    for kind in KINDS:
        one, clock = adder(kind), Clock()
        g = one.batch("n")
        ask = one.select("guess").batch("n", reduce=None)  # a guess for each example
        begin = start(one, BATCH)
        test = sums(np.random.default_rng(99), T, 500)

        def score(w: Any) -> float:
            out = ask(x=test["x"], **start(one, 500), **w)  # noqa: B023
            return float(np.mean((out.guess - test["y"]) ** 2))  # noqa: B023

        _, history = fit(
            g, weights(one), lambda rng: {**sums(rng, T, BATCH), **begin}, steps,  # noqa: B023
            rate=1e-2, every=100, score=score, goal=lambda e: e < 0.002,
        )  # fmt: skip
        step, error = history[-1]
        rows.append([kind, f"{error:.4f}", f"{step}" + (" (solved)" if error < 0.01 else ""), str(clock)])
        print(rows[-1], flush=True)
    return rows


def run_copying(said: int, pause: int, symbols: int, steps: int) -> list[list[str]]:
    rows = []
    for kind in KINDS:
        one, clock = copier(kind, symbols), Clock()
        g = one.batch("n")
        begin = start(one, BATCH)
        test = copies(np.random.default_rng(99), said, pause, symbols, 300)

        def score(w: Any) -> float:
            o = g.select("o")(x=test["x"], **start(one, 300), **w).o  # noqa: B023
            return float(np.mean(o.argmax(-1)[-said:] == test["y"][-said:]))  # noqa: B023

        _, history = fit(
            g, weights(one), lambda rng: {**copies(rng, said, pause, symbols, BATCH), **begin}, steps,  # noqa: B023
            rate=1e-2, every=100, score=score, goal=lambda a: a > 0.995,
        )  # fmt: skip
        step, right = history[-1]
        rows.append([kind, f"{right:.1%}", f"{step}" + (" (solved)" if right > 0.99 else ""), str(clock)])
        print(rows[-1], flush=True)
    return rows


def main(
    adding: tuple[int, int] = (40, 1500), copying: tuple[int, int, int, int] = (3, 20, 10, 1500)
) -> None:
    T, steps = adding
    added = run_adding(T, steps)
    said, pause, symbols, most = copying
    copied = run_copying(said, pause, symbols, most)
    lines = [
        f"# Adding, T = {T}",
        "",
        f"Mean squared error on new sequences after at most {steps} batches of {BATCH}; {HIDDEN} units.",
        "Always guessing the mean has 0.167.",
        "",
        *table(["network", "error", "batches", "time"], added),
        "",
        f"# Copying {said} symbols after a pause of {pause}",
        "",
        f"Symbols right, of {symbols - 2}: by chance {1 / (symbols - 2):.1%}.",
        "",
        *table(["network", "right", "batches", "time"], copied),
    ]
    write("adding", lines, {"adding": added, "copying": copied})


if __name__ == "__main__":
    main()
