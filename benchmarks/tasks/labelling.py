"""Labels that need the future: is the next bracket after a dot closing or opening?

A text of dots and brackets; every dot is labelled by the first bracket to its right. What
stands left of it says nothing, so a network that reads forward cannot do better than chance.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.tasks.common import fit, table, write
from unfold import systems
from unfold.learn import init

T, BATCH, STEPS = 20, 32, 1500


def batch(rng: np.random.Generator, n: int = BATCH) -> dict[str, Any]:
    """x: one-hot of (dot, opening, closing); y: 0 or 1 by the next bracket, its own for a bracket."""
    kind = rng.choice(3, (T, n), p=[0.6, 0.2, 0.2])
    kind[-1] = rng.integers(1, 3, n)
    y = np.zeros((T, n), int)
    following = kind[-1] - 1
    for t in range(T - 1, -1, -1):
        following = np.where(kind[t] > 0, kind[t] - 1, following)
        y[t] = following
    return {"x": np.eye(3, dtype=np.float32)[kind], "y": y}


def main(steps: int = STEPS) -> None:
    test = batch(np.random.default_rng(99), 500)
    dots = test["x"][..., 0] == 1
    rows = []
    for name in ("rnn", "lstm", "gru", "bidirectional"):
        one = getattr(systems, name)(input=3, hidden=24, classes=2)
        g = one.batch("n")

        def score(w: Any) -> float:
            right = g.select("o")(x=test["x"], **w).o.argmax(-1) == test["y"]  # noqa: B023
            return float(right[dots].mean())

        w = init.weights(one, {"W*": init.orthogonal()}, 0)
        _, history = fit(g, w, batch, steps, every=250, rate=5e-3, score=score, goal=lambda a: a > 0.999)
        rows.append([name, f"{history[-1][1]:.1%}", str(history[-1][0])])
        print(rows[-1], flush=True)
    lines = [
        "# Labelling each dot by the next bracket to its right",
        "",
        f"Dots labelled right in 500 new texts of {T} characters, after batches of {BATCH}; chance is 50%.",
        "",
        *table(["network", "right", "batches"], rows),
    ]
    write("labelling", lines, {"rows": rows})


if __name__ == "__main__":
    main()
