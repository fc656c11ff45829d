"""A gradient over T = 100,000 steps in bounded memory: store everything against recompute."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.tasks.common import table, write
from unfold import systems
from unfold.learn.recomputation import checkpoint, repetitions

T, SIZES = 100_000, {"input": 16, "hidden": 32, "classes": 16}


def measure(gradient: Callable[..., Any], arrays: Any) -> tuple[float, float, Any]:
    """Seconds, megabytes at the peak beside the arguments, and the result."""
    small = {n: a[:200] if n in "xy" else a for n, a in arrays.items()}
    gradient(**small)  # compiled
    tracemalloc.start()
    begin, before = perf_counter(), tracemalloc.get_traced_memory()[0]
    result = gradient(**arrays)
    seconds, peak = perf_counter() - begin, tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    return seconds, peak / 1e6, result


def main() -> None:
    g = systems.rnn(**SIZES)
    rng = np.random.default_rng(0)
    w = {n: a.astype(np.float32) for n, a in g.init(seed=0).items()}
    arrays = {"x": rng.standard_normal((T, 16)).astype(np.float32), "y": rng.integers(0, 16, T), **w}
    seconds, peak, (_, full) = measure(g.value_and_grad("loss"), arrays)
    print(peak, seconds, flush=True)
    rows = [["everything stored", f"{peak:.1f}", f"{seconds:.1f}", "", "", ""]]
    first = None
    for window, snapshots in ((100, 999), (100, 10)):
        c = checkpoint(g, "loss", window=window, snapshots=snapshots)
        seconds, peak, (_, grads) = measure(c, arrays)
        first = grads if first is None else first
        same = all(np.array_equal(first[n], grads[n]) for n in w)
        worst = max(float(np.abs(grads[n] - full[n]).max() / np.abs(full[n]).max()) for n in w)
        most = repetitions(c.windows(T), snapshots)
        rows.append(
            [f"{snapshots} snapshots", f"{peak:.1f}", f"{seconds:.1f}", f"{c.factor(T):.2f} (at most {most})",
             "yes" if same else "no", f"{worst:.0e}"]
        )  # fmt: skip
        print(rows[-1], flush=True)
    head = [
        "kept",
        "MB at the peak",
        "seconds",
        "times run forward again",
        "bit for bit the same",
        "from the stored one",
    ]
    lines = [
        f"# The gradient of a vanilla network over T = {T:,} steps",
        "",
        f"{SIZES['hidden']} units, float32, windows of 100 steps. Inputs are not counted;",
        "rounding apart (sums in another order, float32), all gradients are the same.",
        "",
        *table(head, rows),
    ]
    write("long", lines, {"rows": rows})


if __name__ == "__main__":
    main()
