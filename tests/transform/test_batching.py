"""A batch is one more axis; padding is never seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import unfold as uf

SYSTEMS = ["rnn", "lstm", "bidirectional", "stacked"]
SIZES = {"input": 2, "hidden": 3, "classes": 4}


def weights(graph: Any) -> dict[str, Any]:
    sizes = {n: SIZES[n] for n in SIZES}
    return graph.init(seed=1, **sizes)


def data(seed: int, steps: int, n: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {"x": rng.standard_normal((steps, n, 2)), "y": rng.integers(0, 4, (steps, n))}


def one_by_one(
    graph: Any, w: dict[str, Any], given: dict[str, Any], lengths: list[int]
) -> tuple[float, dict[str, Any]]:
    runs = [
        graph.value_and_grad("loss")(**{k: a[:n, i] for k, a in given.items()}, **w)
        for i, n in enumerate(lengths)
    ]
    return np.mean([v for v, _ in runs]), {k: np.mean([g[k] for _, g in runs], 0) for k in w}


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_batch_is_the_mean_over_its_examples(name):
    graph = uf.systems.SYSTEMS[name]()
    w, arrays = weights(graph), data(0, 5, 3)
    value, grads = graph.batch("n").value_and_grad("loss")(**arrays, **w)
    wanted, wanted_grads = one_by_one(graph, w, arrays, [5, 5, 5])
    assert value == pytest.approx(wanted)
    for k in grads:
        np.testing.assert_allclose(grads[k], wanted_grads[k], atol=1e-12)


def test_batch_first_swaps_the_two_leading_dimensions():
    graph = uf.systems.rnn()
    w, arrays = weights(graph), data(0, 5, 3)
    first = {k: np.swapaxes(a, 0, 1) for k, a in arrays.items()}
    a, b = graph.batch("n")(**arrays, **w), graph.batch("n", batch_first=True)(**first, **w)
    assert a.loss == pytest.approx(b.loss)
    np.testing.assert_allclose(np.swapaxes(a.o, 0, 1), b.o)


def test_reduce_sums_or_keeps_each_example():
    graph = uf.systems.rnn()
    w, arrays = weights(graph), data(0, 5, 3)
    each = graph.batch("n", reduce=None)(**arrays, **w).loss
    assert each.shape == (3,)
    assert graph.batch("n", reduce="sum")(**arrays, **w).loss == pytest.approx(each.sum())
    assert graph.batch("n")(**arrays, **w).loss == pytest.approx(each.mean())


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    name=st.sampled_from(SYSTEMS),
    lengths=st.lists(st.integers(0, 5), min_size=1, max_size=4),
    extra=st.integers(0, 3),
    filling=st.sampled_from([0.0, 1e3, np.nan, np.inf]),
    side=st.sampled_from(["left", "right"]),
    seed=st.integers(0, 5),
)
def test_padding_value_amount_and_side_change_nothing(name, lengths, extra, filling, side, seed):
    graph = uf.systems.SYSTEMS[name]()
    w, arrays = weights(graph), data(seed, 5, len(lengths))
    longest = 5 + extra
    padded = {
        "x": np.full((longest, len(lengths), 2), filling),
        "y": np.full((longest, len(lengths)), 3),
    }
    for i, n in enumerate(lengths):
        at = slice(longest - n, longest) if side == "left" else slice(0, n)
        for k in padded:
            padded[k][at, i] = arrays[k][:n, i]
    batched = graph.batch("n", lengths="len", pad=side)
    value, grads = batched.value_and_grad("loss")(**padded, len=np.array(lengths), **w)
    wanted, wanted_grads = one_by_one(graph, w, arrays, lengths)
    assert value == pytest.approx(wanted, abs=1e-12)
    for k in grads:
        np.testing.assert_allclose(grads[k], wanted_grads[k], atol=1e-12)


def test_a_final_state_is_that_of_the_examples_own_last_step():
    t = uf.axis("t")
    x, s = uf.input("x", over=t), uf.var("s", over=t)
    s[0] = 7.0
    s[t] = s[t - 1] + x[t]
    graph = uf.graph(end=s[t.last], mean=uf.mean(x[t], over=t), best=uf.max(x[t], over=t))
    batched = graph.batch("n", lengths="len", reduce=None)
    out = batched(x=np.array([[1.0, 2, 5], [3, 4, 6], [100, 100, 100]]), len=[2, 3, 1])
    np.testing.assert_allclose(out.end, [7 + 1 + 3, 7 + 2 + 4 + 100, 7 + 5])
    np.testing.assert_allclose(out.mean, [2, 106 / 3, 5])
    np.testing.assert_allclose(out.best, [3, 100, 5])


def test_lengths_outside_the_sequence_are_refused():
    graph = uf.systems.rnn().batch("n", lengths="len")
    w = weights(uf.systems.rnn())
    with pytest.raises(uf.BindingError, match="len: 9 is no length of a sequence of 5 steps"):
        graph(**data(0, 5, 2), len=[3, 9], **w)


def test_the_name_of_the_batch_axis_must_be_free():
    with pytest.raises(uf.BadName, match="has an axis 't' already"):
        uf.systems.rnn().batch("t")
    with pytest.raises(uf.UnfoldError, match="reduce is 'mean', 'sum' or None"):
        uf.systems.rnn().batch("n", reduce="median")
