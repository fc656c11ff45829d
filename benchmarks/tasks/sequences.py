"""Reversing and sorting digits with an encoder-decoder, with and without attention.

Without attention all that the encoder read must pass through one vector; with it, the decoder
looks back. The attention picture (results/attention.svg) shows at which input it looks.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.tasks.common import RESULTS, fit, table, write
from unfold import systems
from unfold.learn import init
from unfold.learn.generate import free_running

LENGTH, DIGITS, BATCH, STEPS, HIDDEN = 8, 10, 32, 6000, 64


def batch(task: str, rng: np.random.Generator, n: int = BATCH) -> dict[str, Any]:
    """x: one-hot digits; z: the same reversed or sorted, as classes 1..10 (0 is the start)."""
    digits = rng.integers(0, DIGITS, (LENGTH, n))
    z = digits[::-1] if task == "reverse" else np.sort(digits, axis=0)
    return {"x": np.eye(DIGITS, dtype=np.float32)[digits], "z": z + 1}


def picture(a: Any, read: list[int], wrote: list[int]) -> str:
    """Attention weights a[j, i] as an SVG: a row for every digit written, a column for every one read."""
    cell, left = 28, 60
    rows, columns = a.shape
    parts = [
        f'<rect x="{left + cell * i}" y="{left + cell * j}" width="{cell}" height="{cell}" '
        f'fill="#1f4e8c" fill-opacity="{a[j, i]:.3f}" stroke="#c8c8c8"/>'
        for j in range(rows)
        for i in range(columns)
    ]
    style = 'text-anchor="middle" font-family="sans-serif" font-size="14"'
    parts += [
        f'<text x="{left + cell * (i + 0.5)}" y="{left - 8}" {style}>{d}</text>' for i, d in enumerate(read)
    ]
    parts += [
        f'<text x="{left - 14}" y="{left + cell * (j + 0.65)}" {style}>{d}</text>'
        for j, d in enumerate(wrote)
    ]
    parts.append(f'<text x="{left + cell * columns / 2}" y="22" {style}>read</text>')
    parts.append(f'<text x="18" y="{left + cell * rows / 2}" {style}>wrote</text>')
    size = f'width="{left + cell * columns + 10}" height="{left + cell * rows + 10}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>\n' + "\n".join(parts) + "\n</svg>\n"


def train(task: str, name: str, steps: int, goal: float) -> tuple[Any, Any, list[tuple[int, float]]]:
    """The system, its weights, and (batches, part of the sequences right)."""
    sizes = {"input": DIGITS, "hidden": HIDDEN, "decoder": HIDDEN, "classes": DIGITS + 1}
    one = getattr(systems, name)(**sizes, **({"align": 32} if name == "attention" else {}))
    g, free = one.batch("n"), free_running(one, feed="z").batch("n")
    test = batch(task, np.random.default_rng(99), 200)

    def score(w: Any) -> float:
        used = {k: v for k, v in w.items() if k in free.params}
        return float((free(j=LENGTH, x=test["x"], **used).z == test["z"]).all(axis=0).mean())

    w = init.weights(one, {"W": init.orthogonal(), "P": init.orthogonal()}, 0)
    trained, history = fit(
        g, w, lambda rng: batch(task, rng), steps,
        rate=lambda step: 2e-3 if step < 0.7 * steps else 5e-4,
        every=500, score=score, goal=lambda right: right > goal,
    )  # fmt: skip
    return one, trained, history


def draw(steps: int = 2500) -> None:
    """The picture: digits reversed by a network with attention, trained on after it succeeds."""
    one, trained, _ = train("reverse", "attention", steps, goal=2.0)
    digits = np.random.default_rng(5).permutation(DIGITS)[:LENGTH]
    ask = one.select("a")
    x = np.eye(DIGITS, dtype=np.float32)[digits]
    a = ask(x=x, z=digits[::-1] + 1, **{k: v for k, v in trained.items() if k in ask.params}).a
    RESULTS.mkdir(exist_ok=True)
    svg = picture(a, [int(d) for d in digits], [int(d) for d in digits[::-1]])
    (RESULTS / "attention.svg").write_text(svg, encoding="utf-8")
    print(np.round(a, 2))


def main(steps: int = STEPS) -> None:
    rows = []
    for task in ("reverse", "sort"):
        for name in ("encoder_decoder", "attention"):
            _, _, history = train(task, name, steps, goal=0.995)
            rows.append([task, name.replace("_", "-"), f"{history[-1][1]:.1%}", str(history[-1][0])])
            print(rows[-1], flush=True)
    draw()
    lines = [
        f"# Reversing and sorting {LENGTH} digits",
        "",
        f"Whole sequences right of 200 new ones, free-running, after at most {steps} batches of {BATCH};",
        f"tanh networks with {HIDDEN} units. Where the one with attention looks: attention.svg.",
        "",
        *table(["task", "network", "right", "batches"], rows),
    ]
    write("sequences", lines, {"rows": rows})


if __name__ == "__main__":
    main()
