"""The bound: the time of the needed matrix products alone, each in its best shape.

Products inside a loop are done step by step with the operands of that step, the others once over all
steps. No elementwise operation, no loss, no indexing. Values flow through preallocated buffers.
"""

from __future__ import annotations

import numpy as np

from benchmarks.models import Case, Run, Unsupported

# recurrent products (out, in) in multiples of hidden, and stacked ones (rows in, columns out)
LOOPS: dict[str, list[tuple[int, int]]] = {
    "rnn": [(1, 1)],
    "lstm": [(4, 1)],
    "gru": [(3, 1)],
    "bidirectional": [(1, 1), (1, 1)],
    "stacked": [(1, 1), (1, 1)],
}


def gemm(case: Case) -> Run:
    if case.model not in LOOPS:
        raise Unsupported("no bound is stated for this model")
    size, rng = case.size, np.random.default_rng(1)
    steps, n, hidden = size.steps, size.batch, size.hidden

    def array(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(case.dtype)

    jobs = []
    for out, inside in LOOPS[case.model]:
        wide = out * hidden
        weight, transposed = array(wide, inside * hidden), array(inside * hidden, wide)
        h, z = array(steps, n, hidden), array(steps, n, wide)
        forward = [(a, transposed, o) for a, o in zip(h, np.empty_like(z), strict=True)]
        backward = [(a, weight, o) for a, o in zip(z, np.empty_like(h), strict=True)]
        jobs += [forward, backward, [(z.reshape(-1, wide).T, h.reshape(-1, hidden), array(wide, hidden))]]
    below = {"stacked": [(1, size.input, False), (1, hidden, True)]}
    layers = below.get(case.model) or [(out, size.input, False) for out, _ in LOOPS[case.model]]
    for out, inner, deep in layers:  # input projection, its weight gradient, for a deep layer its input's
        x, u, z = array(steps * n, inner), array(out * hidden, inner), array(steps * n, out * hidden)
        jobs.append([(x, u.T, np.empty_like(z)), (z.T, x, np.empty_like(u))])
        if deep:
            jobs.append([(z, u, np.empty_like(x))])
    width = hidden * (2 if case.model == "bidirectional" else 1)
    h, v, o = array(steps * n, width), array(size.classes, width), array(steps * n, size.classes)
    jobs.append([(h, v.T, np.empty_like(o)), (o, v, np.empty_like(h)), (o.T, h, np.empty_like(v))])
    calls = [(a.dot, b, o) for job in jobs for a, b, o in job]

    def step() -> None:
        for dot, b, o in calls:
            dot(b, o)

    return Run(step, None)


PEERS = {"GEMM bound": gemm}
