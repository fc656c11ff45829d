"""Part by part, a plan gives the values it gives for all steps at once, in less room."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unfold as uf
from tests.engine.test_plan import agree, request
from unfold.engine import made_up
from unfold.engine.binding import bind
from unfold.engine.run import _joint


def filled(graph: Any, **sizes: int) -> dict[str, Any]:
    """Random arrays for a request."""
    rng = np.random.default_rng(0)
    return {
        k: rng.integers(0, 3, a.shape) if a.dtype.kind == "i" else rng.standard_normal(a.shape)
        for k, a in made_up.zeros(graph, sizes).arrays.items()
    }


@pytest.mark.parametrize("seed", range(16))
def test_a_random_system_and_its_gradients_agree(seed):
    graph, arrays = request(seed, batched=seed % 2 == 1)
    agree(graph, arrays, 1e-9)


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru", "bidirectional", "stacked", "attention", "grid"])
def test_a_ready_made_system_agrees(name):
    graph = _joint(uf.systems.SYSTEMS[name]().batch("n"), "loss", None)
    agree(graph, filled(graph, **{a.name: 7 for a in graph.axes if a.size is None}), 1e-9)


def far_sighted() -> Any:
    """Both directions, reads three steps away, and boundary values that are given."""
    t = uf.axis("t")
    x, W, V = uf.input("x", 3, over=t), uf.param("W", 3, 3), uf.param("V", 3, 3)
    f, g = uf.var("f", 3, over=t), uf.var("g", 3, over=t)
    for k in range(3):
        f[-k] = uf.param(f"f{k}", 3)
        g[t.last + 1 + k] = uf.param(f"g{k}", 3)
    f[t] = uf.tanh(W @ f[t - 3] + 0.5 * f[t - 1] + x[t])
    g[t] = uf.tanh(V @ g[t + 3] + f[t])
    return uf.graph(loss=uf.sum(uf.sum(g[t] * f[t - 2] + f[t]), over=t), last=f[t.last], g=g[t])


@pytest.mark.parametrize("steps", [2, 4, 7, 9])
@pytest.mark.parametrize("batched", [False, True])
def test_reads_far_away_agree(steps, batched):
    graph = far_sighted().batch("n") if batched else far_sighted()
    joint = _joint(graph, "loss", None)
    agree(joint, filled(joint, t=steps), 1e-9)


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(np.float32, 2e-4), (np.float64, 1e-9), (np.complex128, 1e-9)]
)
def test_every_precision_agrees(dtype, tolerance):
    for seed in range(4):
        graph, arrays = request(seed, batched=True)
        cast = {
            k: v.astype(dtype) if isinstance(v, np.ndarray) and v.dtype.kind == "f" else v
            for k, v in arrays.items()
        }
        agree(graph, cast, tolerance, [None])


def test_a_second_call_starts_from_the_boundary_values_again():
    graph = _joint(far_sighted(), "loss", None)
    bound = bind(graph, filled(graph, t=8))
    run = graph.compile()
    first = {k: v.copy() for k, v in run(**bound.arrays).items()}
    for name, value in run(**bound.arrays).items():
        np.testing.assert_array_equal(value, first[name])
