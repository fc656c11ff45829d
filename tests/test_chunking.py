"""Part by part, a plan gives the values it gives for all steps at once, in less room."""

from __future__ import annotations

import math
import re
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from test_plan import agree, request

import unfold as uf
from unfold.engine import made_up
from unfold.engine.binding import bind
from unfold.engine.numpy import printed as printed
from unfold.engine.plan import chunking
from unfold.engine.rewrites.passes import OPTIMISATIONS
from unfold.engine.run import _joint
from unfold.graph import Graph

WITHOUT = tuple(o for o in OPTIMISATIONS if o != "chunk")


@pytest.fixture(params=[1, 2, 3])
def parts(request, monkeypatch):
    """Parts of so many steps, whatever the cache holds."""
    monkeypatch.setattr(chunking, "length", lambda size, row: request.param)
    return request.param


def filled(graph: Any, **sizes: int) -> dict[str, Any]:
    """Random arrays for a request."""
    rng = np.random.default_rng(0)
    return {
        k: rng.integers(0, 3, a.shape) if a.dtype.kind == "i" else rng.standard_normal(a.shape)
        for k, a in made_up.zeros(graph, sizes).arrays.items()
    }


@pytest.mark.parametrize("seed", range(16))
def test_a_random_system_and_its_gradients_agree_in_parts(seed, parts):
    graph, arrays = request(seed, batched=seed % 2 == 1)
    agree(graph, arrays, 1e-9, (None, ("chunk",)))


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru", "bidirectional", "stacked", "attention", "grid"])
def test_a_ready_made_system_agrees_in_parts(name, parts):
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
def test_reads_further_than_a_part_agree(steps, batched, parts):
    graph = far_sighted().batch("n") if batched else far_sighted()
    joint = _joint(graph, "loss", None)
    agree(joint, filled(joint, t=steps), 1e-9)


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(np.float32, 2e-4), (np.float64, 1e-9), (np.complex128, 1e-9)]
)
def test_every_precision_agrees_in_parts(dtype, tolerance, parts):
    for seed in range(4):
        graph, arrays = request(seed, batched=True)
        cast = {
            k: v.astype(dtype) if isinstance(v, np.ndarray) and v.dtype.kind == "f" else v
            for k, v in arrays.items()
        }
        agree(graph, cast, tolerance, [None])


def test_a_second_call_starts_from_the_boundary_values_again(parts):
    graph = _joint(far_sighted(), "loss", None)
    bound = bind(graph, filled(graph, t=8))
    run = printed.compile(graph, bound)
    first = {k: v.copy() for k, v in run(bound).items()}
    for name, value in run(bound).items():
        np.testing.assert_array_equal(value, first[name])


def long_buffers(source: str, steps: int) -> dict[str, int]:
    """The buffers with room for all steps, and how many numbers each keeps of a step."""
    made = re.findall(r"(\w+) = (?:empty|zeros|np\.ones)\(\(([\d, ]+)\)", source)
    shapes = {name: [int(n) for n in shape.split(",") if n.strip()] for name, shape in made}
    return {name: math.prod(shape[1:]) for name, shape in shapes.items() if shape[0] >= steps}


def test_only_what_the_backward_loop_reads_is_kept_for_all_steps():
    steps, sizes = 5003, {"input": 16, "hidden": 32, "classes": 16}
    rnn, lstm = uf.systems.rnn(), uf.systems.lstm()
    assert long_buffers(rnn.code("loss", t=steps, **sizes), steps) == {"h_whole_all": 32}
    kept = long_buffers(lstm.code("loss", t=steps, input=16, hidden=32), steps)
    assert sum(kept.values()) <= 7 * 32, "four gates, the state, its tanh and the output"
    without = rnn.code("loss", t=steps, optimise=WITHOUT, **sizes)
    assert len(long_buffers(without, steps)) > 3


def test_a_forward_pass_alone_keeps_nothing_for_all_steps():
    rnn = uf.systems.rnn()
    loss = Graph({"loss": rnn.outputs["loss"]}, rnn.definitions)
    source = loss.code(t=5003, input=16, hidden=32, classes=16)
    assert "steps at a time, forward over t" in source
    assert long_buffers(source, 5003) == {}


def test_what_fits_into_one_part_is_printed_as_if_there_were_no_parts():
    graph = uf.systems.lstm()
    sizes = {"t": 50, "input": 16, "hidden": 16}
    assert graph.code("loss", **sizes) == graph.code("loss", optimise=WITHOUT, **sizes)


def test_the_parts_run_backward_after_they_ran_forward():
    source = uf.systems.rnn().code("loss", t=20_000, input=16, hidden=32, classes=16)
    ways = re.findall(r"# \d+ steps at a time, (\w+) over t", source)
    assert ways == ["forward", "backward"]


@pytest.mark.parametrize(("size", "row"), [(1, 1), (7, 10**9), (2003, 512), (100_000, 1), (128, 32_768)])
def test_parts_cover_all_steps_and_differ_little(size, row):
    steps = chunking.length(size, row)
    bounds = [*range(0, size, steps), size]
    assert 1 <= steps <= size
    assert all(0 < b - a <= steps for a, b in pairwise(bounds))
    assert steps * row <= max(chunking.PART, chunking.STEPS * row)
