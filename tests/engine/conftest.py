"""Requests to plan, and arrays for them."""

from __future__ import annotations

from typing import Any

import numpy as np

from unfold.core import dims
from unfold.core.axis import Axis
from unfold.core.node import Op
from unfold.core.system import by_label, leading
from unfold.engine import reference
from unfold.engine.binding import bind
from unfold.engine.numpy.executable import compiled
from unfold.engine.planning import PASSES, Program, plan


def arrays_for(graph: Any, seed: int = 0, **sizes: int) -> dict[str, Any]:
    """Random arrays for a graph: axes and dimensions of the given sizes, small where none is given."""
    rng = np.random.default_rng(seed)
    names = sorted({n for u in graph.order for d in u.shape for n in dims.names(d)})
    known = {n: sizes.get(n, 3 + k) for k, n in enumerate(names)}
    steps = {a: sizes.get(a.name, 4) if a.size is None else dims.evaluate(a.size, known) for a in graph.axes}
    out: dict[str, Any] = {}
    for label, nodes in by_label(graph).items():
        lead = [steps[a] if isinstance(a, Axis) else a for a in leading(nodes)]
        shape = [*lead, *(dims.evaluate(d, known) for d in nodes[0].shape)]
        out[label] = _numbers(rng, nodes[0].op, nodes[0].dtype, shape, steps)
    told = {a for nodes in by_label(graph).values() for a in leading(nodes)}
    return out | {a.name: n for a, n in steps.items() if a not in told and a.size is None}


def _numbers(rng: Any, op: Op, kind: str, shape: list[int], steps: dict[Axis, int]) -> Any:
    most = getattr(op, "most", None)
    if most is not None:  # the length of a sequence
        return rng.integers(min(1, steps[most]), steps[most] + 1, shape)
    if kind in ("int", "bool"):
        return rng.integers(0, 2, shape).astype(kind)
    return rng.normal(size=shape) * 0.7


def agrees(graph: Any, arrays: dict[str, Any], passes: Any = PASSES, tolerance: float = 1e-9) -> Program:
    """Plan, run twice, and compare with the definition node by node."""
    bound = bind(graph, arrays)
    program = plan(graph, bound, passes=passes)
    run, want = compiled(program), reference.compile(graph)(bound)
    for _ in range(2):  # what the first call leaves behind must not matter
        got = run(bound.arrays)
        for name, value in want.items():
            assert got[name].shape == value.shape, name
            assert got[name].dtype == value.dtype, name
            np.testing.assert_allclose(got[name], value, rtol=tolerance, atol=tolerance, err_msg=name)
    return program
