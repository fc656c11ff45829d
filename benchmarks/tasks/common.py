"""One training loop for all tasks, and the files of results."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from unfold.graph import Graph
from unfold.learn import optim

RESULTS = Path(__file__).parent / "results"
Arrays = Mapping[str, Any]


def fit(
    graph: Graph,
    weights: Arrays,
    batch: Callable[[np.random.Generator], Arrays],
    steps: int,
    *,
    rate: optim.Rate = 3e-3,
    clip: float = 1.0,
    seed: int = 0,
    every: int = 100,
    score: Callable[[Arrays], float] | None = None,
    goal: Callable[[float], bool] | None = None,
    update: Callable[..., optim.Updated] = optim.adam,
) -> tuple[dict[str, Any], list[tuple[int, float]]]:
    """Weights after training on batches, and (step, score) every so many steps; the score is
    the mean training loss since the last one unless `score(weights)` is given. Stops early
    where `goal(score)` holds."""
    rng, gradients = np.random.default_rng(seed), graph.value_and_grad("loss")
    new: dict[str, Any] = {name: np.asarray(w, dtype=np.float32) for name, w in weights.items()}
    memory: dict[str, Any] = {}
    history, total = [], 0.0
    for step in range(1, steps + 1):
        loss, grads = gradients(**batch(rng), **new)
        total += float(loss)
        new, memory = update(new, optim.clip_norm(grads, clip), memory, rate=rate)
        if step % every == 0:
            value = total / every if score is None else score(new)
            history.append((step, value))
            total = 0.0
            if goal is not None and goal(value):
                break
    return new, history


def write(name: str, lines: list[str], data: Mapping[str, Any]) -> None:
    """The result of a task: text for people, JSON for plots."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (RESULTS / f"{name}.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    print("\n".join(lines))


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    """A Markdown table."""
    return ["| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows]]


class Clock:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self.begin = time.perf_counter()

    def __str__(self) -> str:
        return f"{time.perf_counter() - self.begin:.0f} s"


def float32(**arrays: Any) -> dict[str, Any]:
    """Arrays of a batch, floats in single precision."""
    out = {}
    for name, a in arrays.items():
        a = np.asarray(a)
        out[name] = a.astype(np.float32) if a.dtype.kind == "f" else a
    return out
