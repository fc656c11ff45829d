"""Gated loops, whatever their gates do: what runs agrees with the definition."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

import unfold as uf
from tests.engine.test_plan import agree
from unfold.engine.binding import bind
from unfold.engine.planning import PASSES, rewritten
from unfold.engine.run import _joint
from unfold.transform.adjoint import with_gradients


def gated(seed: int) -> tuple[Any, dict[str, Any]]:
    """A random relative of the LSTM over a random direction, batch and size, and arrays for it."""
    rng = np.random.default_rng(seed)

    def one_of(*choices: Any) -> Any:
        return choices[rng.integers(len(choices))]

    t, hidden, inputs = uf.axis("t"), int(rng.integers(1, 6)), int(rng.integers(1, 4))
    x = uf.input("x", inputs, over=t)
    h, s = uf.var("h", hidden, over=t), uf.var("s", hidden, over=t)
    back, edge = one_of((1, 0), (-1, t.last + 1))
    zero = one_of(True, True, False)
    s[edge] = 0 if zero else uf.param("s0", hidden)
    h[edge] = 0 if one_of(zero, True) else uf.param("h0", hidden)

    def inner(k: str) -> Any:
        out = uf.param("W" + k, hidden, hidden) @ h[t - back] + uf.param("U" + k, hidden, inputs) @ x[t]
        out = out + uf.param("b" + k, hidden) if one_of(True, True, False) else out
        return out + uf.param("p" + k, hidden) * s[t - back] if rng.random() < 0.15 else out

    gate = {}
    for k in rng.permutation(list("ifqg")):
        gate[k] = uf.var(k, hidden, over=t)
        gate[k][t] = (uf.tanh if k == "g" else one_of(*[uf.sigmoid] * 9, uf.tanh))(inner(k))
    i, f, q, g = (gate[k][t] for k in "ifqg")
    plain = [f * s[t - back] + i * g, i * g + s[t - back] * f]
    odd = [f * s[t - back] + (1 - f) * g, f * g + i * s[t - back], plain[0] + 0.1 * s[t - back]]
    s[t] = one_of(*plain, *plain, *plain, *odd)
    h[t] = one_of(*[q * uf.tanh(s[t])] * 6, q * s[t], uf.tanh(s[t]), uf.tanh(s[t]) * q + 0.1 * q)
    o = uf.param("V", 3, hidden) @ one_of(h[t], h[t], h[t], h[t] * gate["q"][t])
    y = uf.input("y", over=t, dtype=int)
    graph = uf.graph(
        loss=uf.sum(uf.cross_entropy(o, y[t]), over=t), h=h[t], **one_of({}, {"s": s[t], "f": f})
    )
    steps, batch = int(rng.integers(1, 6)), one_of(None, 1, 2, 3)
    lead = (steps,) if batch is None else (steps, batch)
    graph = graph if batch is None else graph.batch("n")
    arrays = {k: v + 0.3 * rng.standard_normal(v.shape) for k, v in graph.init(seed=seed).items()}
    arrays |= {"x": rng.standard_normal((*lead, inputs)), "y": rng.integers(0, 3, lead)}
    return graph, arrays


@pytest.mark.parametrize("seed", range(60))
def test_random_gated_loops_and_their_gradients_agree_with_the_definition(seed):
    graph, arrays = gated(seed)
    agree(_joint(graph, "loss", None), arrays, 1e-9)


@pytest.mark.parametrize("seed", range(30))
def test_the_adjoints_of_gates_and_states_may_be_asked_for(seed):
    graph, arrays = gated(seed)
    rng = np.random.default_rng(seed)
    states = {f"d{n}": u for n, u in graph.symbols.items() if u.axes and rng.random() < 0.4}
    weights = {f"d{n}": u for n, u in graph.params.items()}
    agree(with_gradients(graph, "loss", states | weights, ["loss"]), arrays, 1e-9)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("left_out", PASSES)
def test_gated_loops_agree_without_an_optimisation(seed, left_out):
    graph, arrays = gated(seed)
    kept = tuple(o for o in PASSES if o != left_out)
    agree(_joint(graph, "loss", None), arrays, 1e-9, [kept])


def test_an_lstm_of_a_small_size_takes_six_calls_a_step_forward_and_six_back():
    source = uf.systems.lstm().code("loss", t=50, input=16, hidden=16, classes=16)
    forward, backward = (
        part[part.index("for ") :].split("\n\n")[0].splitlines()[1:]
        for part in source.split("# step by step")[1:]
    )
    assert [len(forward), len(backward)] == [6, 6]


def test_what_a_call_left_behind_does_not_reach_the_next_one():
    graph = _joint(uf.systems.lstm(input=3, hidden=4, classes=3), "loss", None)
    rng = np.random.default_rng(0)
    arrays = {**graph.init(seed=0), "x": rng.standard_normal((6, 3)), "y": rng.integers(0, 3, 6)}
    run = graph.compile()
    expected = run(**arrays)
    for bad in (np.nan, np.inf):
        with np.errstate(all="ignore"):
            run(**{**arrays, "x": np.full((6, 3), bad)})
        again = run(**arrays)
        assert all(np.array_equal(again[name], value) for name, value in expected.items())


def test_the_random_gated_loops_hold_what_is_done_to_gates():
    seen: Counter[str] = Counter()
    for seed in range(120):
        graph, arrays = gated(seed)
        graph = _joint(graph, "loss", None)
        bound = bind(graph, arrays)
        before, after = (rewritten(graph, bound, passes)[0].order for passes in ((), PASSES))
        seen["blended"] += any(_is_half_sum(u) for u in after)
        fewer = (sum(u.op.name == "contract" for u in order) for order in (after, before))
        seen["joined"] += int.__lt__(*fewer)
    assert min(seen[k] for k in ("blended", "joined")) >= 5, seen


def _is_half_sum(node: Any) -> bool:
    first = node.inputs[0] if node.op.name == "contract" else None
    return first is not None and first.op.name == "constant" and bool((first.op.value == 0.5).all())


def test_large_buffers_lie_in_one_block():
    graph = _joint(uf.systems.lstm(input=8, hidden=256, classes=3).batch("n"), "loss", None)
    rng = np.random.default_rng(0)
    arrays = {"x": rng.standard_normal((5, 48, 8)), "y": rng.integers(0, 3, (5, 48))}
    arrays |= {k: v + 0.1 * rng.standard_normal(v.shape) for k, v in graph.init(seed=0).items()}
    assert graph.code(t=5, n=48).count(" = block(") == 1
    agree(graph, arrays, 1e-9, [None])
