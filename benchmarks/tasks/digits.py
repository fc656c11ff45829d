"""scikit-learn's handwritten digits (8 x 8 pixels): read row by row by a vanilla network and an
LSTM, and pixel by pixel as a grid, each beside the same model in PyTorch: same initial
weights, order of data, and Adam. Skips what is not installed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import unfold as uf
from benchmarks.tasks.common import Clock, table, write
from unfold import systems
from unfold.apps.train.models import LAYERS
from unfold.graph import Graph
from unfold.learn import init, optim

BATCH, HIDDEN, GRID = 32, 48, 24


def by_rows(kind: str) -> Graph:
    """loss = cross entropy of c + V h[T] after the last row"""
    t = uf.axis("t")
    x, y = uf.input("x", 8, over=t), uf.input("y", dtype=int)
    h = LAYERS[kind](t, 1, x[t], 8, HIDDEN)["h"]
    o = uf.param("c", 10) + uf.param("V", 10, HIDDEN) @ h[t.last]
    return uf.graph(loss=uf.cross_entropy(o, y), o=o)


def torch_rows(torch: Any, kind: str) -> Callable[..., Any]:
    """The same function of the same weights, in PyTorch operations."""

    def run(w: Any, x: Any) -> Any:
        h = c = torch.zeros(x.shape[1], HIDDEN)
        for row in x:
            if kind == "rnn":
                h = torch.tanh(h @ w["W1"].T + row @ w["U1"].T + w["b1"])
                continue
            i, f, q, g = (h @ w[f"W{n}1"].T + row @ w[f"U{n}1"].T + w[f"b{n}1"] for n in "ifqg")
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(q) * torch.tanh(c)
        return h @ w["V"].T + w["c"]

    return run


def torch_grid(torch: Any) -> Callable[..., Any]:
    def run(w: Any, x: Any) -> Any:
        above = [torch.zeros(x.shape[2], GRID)] * 8
        for i in range(8):
            left = torch.zeros(x.shape[2], GRID)
            for j in range(8):
                left = torch.tanh(above[j] @ w["Wr"].T + left @ w["Wc"].T + x[i, j] @ w["U"].T + w["b"])
                above = [*above[:j], left, *above[j + 1 :]]
        return above[7] @ w["V"].T + w["c"]

    return run


def train(
    graph: Graph, w: Any, data: Any, epochs: int, zeros: Callable[[int], Any]
) -> tuple[float, list[float]]:
    """Test accuracy and the loss of every step."""
    (x, y), (tx, ty) = data
    g = graph.batch("n")
    gradients, memory, losses = g.value_and_grad("loss"), {}, []
    for rows in order(len(y), epochs):
        loss, grads = gradients(x=x[..., rows, :], y=y[rows], **zeros(len(rows)), **w)
        w, memory = optim.adam(w, grads, memory, rate=2e-3)
        losses.append(float(loss))
    o = g.select("o")(x=tx, **zeros(len(ty)), **w).o
    return float(np.mean(o.argmax(-1) == ty)), losses


def train_torch(torch: Any, model: Any, w: Any, data: Any, epochs: int) -> tuple[float, list[float]]:
    (x, y), (tx, ty) = [tuple(map(torch.tensor, part)) for part in data]
    weights = {k: torch.nn.Parameter(torch.tensor(v)) for k, v in w.items()}
    adam, losses = torch.optim.Adam(weights.values(), lr=2e-3), []
    for rows in order(len(y), epochs):
        loss = torch.nn.functional.cross_entropy(model(weights, x[..., rows, :]), y[rows])
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    with torch.no_grad():
        return float((model(weights, tx).argmax(-1) == ty).float().mean()), losses


def order(count: int, epochs: int) -> Any:
    """The rows of every batch."""
    rng = np.random.default_rng(0)
    for _ in range(epochs):
        rows = rng.permutation(count)
        yield from (rows[k : k + BATCH] for k in range(0, count - BATCH + 1, BATCH))


def main(epochs: int = 12) -> None:
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        print("skipped: scikit-learn is not installed")
        return
    try:
        import torch
    except ImportError:
        torch = None
        print("without PyTorch: it is not installed")
    images, labels = load_digits(return_X_y=True)
    images = (images.reshape(-1, 8, 8) / 16).astype(np.float32)
    cut = 1400
    rows = images.transpose(1, 0, 2)  # (row, picture, pixel)
    pixels = images.transpose(1, 2, 0)[..., None]  # (row, column, picture, 1)
    result, data = [], {}
    for name in ("rnn", "lstm", "grid"):
        grid = name == "grid"
        graph = systems.grid(input=1, hidden=GRID, classes=10) if grid else by_rows(name)
        split = [
            (a[..., part, :], labels[part])
            for part in (slice(cut), slice(cut, None))
            for a in [pixels if grid else rows]
        ]
        states = [n[:-2] for n in graph.inputs if n.endswith("_0")]

        def zeros(n: int) -> Any:
            return {f"{s}_0": np.zeros((n, HIDDEN), np.float32) for s in states}  # noqa: B023

        rule = {"W*": init.orthogonal(0.6 if grid else 1.0)}
        w = {k: v.astype(np.float32) for k, v in init.weights(graph, rule, 0).items()}
        clock = Clock()
        right, losses = train(graph, w, split, epochs, zeros)
        row = [name if grid else f"{name}, row by row", f"{right:.1%}", str(clock)]
        if torch is not None:
            clock = Clock()
            model = torch_grid(torch) if grid else torch_rows(torch, name)
            theirs, curve = train_torch(torch, model, w, split, epochs)
            row += [f"{theirs:.1%}", str(clock), f"{np.max(np.abs(np.subtract(losses, curve)[:100])):.0e}"]
        result.append(row)
        data[name] = {"accuracy": right, "losses": losses}
        print(row, flush=True)
    head = ["network", "right", "time"] + (
        ["PyTorch", "its time", "losses differ"] if torch is not None else []
    )
    lines = [
        "# Handwritten digits",
        "",
        f"scikit-learn's digits, 8 x 8 pixels: {cut} to learn from, {len(labels) - cut} others to test;",
        f"{epochs} times through in batches of {BATCH}; losses differ: the greatest difference in 100 steps.",
        "",
        *table(head, result),
    ]
    write("digits", lines, data)


if __name__ == "__main__":
    main()
