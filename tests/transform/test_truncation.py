"""Truncated gradients are those of chunked training; tangents run forward give the full ones."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import unfold as uf
from unfold import systems
from unfold.core.errors import DefinitionError, UnknownName
from unfold.learn.diagnose import truncation_bias as bias
from unfold.learn.streaming import stream
from unfold.transform.online import rtrl
from unfold.transform.truncation import truncate

SIZES = {"input": 2, "hidden": 3, "classes": 4}


def data(T, seed=0):
    rng = np.random.default_rng(seed)
    return {"x": rng.standard_normal((T, 2)), "y": rng.integers(0, 4, T)}


def carried_rnn(lag=1):
    t = uf.axis("t")
    x, h, h0 = uf.input("x", 2, over=t), uf.var("h", 3, over=t), uf.input("h0", 3)
    W, U = uf.param("W", 3, 3), uf.param("U", 3, 2)
    for m in range(lag):
        h[-m] = h0 if m == 0 else 0
    h[t] = uf.tanh(W @ h[t - lag] + U @ x[t])
    return uf.graph(loss=uf.sum(uf.sum(h[t] * h[t]), over=t), last=h[t.last])


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 4), st.integers(1, 7), st.integers(0, 5))
def test_a_truncated_gradient_is_the_sum_over_chunks_with_carried_state(k, T, seed):
    g, x, rng = carried_rnn(), data(T, seed)["x"], np.random.default_rng(seed)
    w, h0 = g.init(seed=seed), rng.standard_normal(3)
    total, state = dict.fromkeys(w, 0.0), h0
    for begin in range(0, T, k):
        part = {"x": x[begin : begin + k], "h0": state}
        total = {n: total[n] + v for n, v in g.grad("loss")(**part, **w).items()}
        state = g(**part, **w).last
    cut = truncate(g, k)
    assert cut(x=x, h0=h0, **w).loss == pytest.approx(g(x=x, h0=h0, **w).loss, rel=1e-14)
    for name, value in cut.grad("loss")(x=x, h0=h0, **w).items():
        np.testing.assert_allclose(value, total[name], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ["rnn", "lstm", "bidirectional"])
def test_one_window_over_everything_cuts_nothing_and_smaller_ones_do(name):
    g = getattr(systems, name)(**SIZES)
    w, arrays = g.init(seed=3), data(6)
    errors = [max(bias(g, "loss", k, **arrays, **w).values()) for k in (1, 3, 6, 50)]
    assert errors[0] > 0.01
    assert errors[1] > 0.0
    assert max(errors[2:]) < 1e-12


def test_boundary_values_belong_to_the_first_window():
    g = carried_rnn(lag=2)
    w, x = g.init(seed=1), data(5)["x"]
    h0 = np.ones(3)
    full = g.grad("loss", wrt="h0")(x=x[:2], h0=h0, **w)["h0"]
    np.testing.assert_allclose(truncate(g, 2).grad("loss", wrt="h0")(x=x[:2], h0=h0, **w)["h0"], full)


def test_truncation_and_unfolding_commute():
    g, arrays = truncate(systems.rnn(**SIZES), 2), data(5)
    w = g.init(seed=2)
    whole, dag = g.grad("loss")(**arrays, **w), g.unfold(t=5).grad("loss")(**arrays, **w)
    for name in w:
        np.testing.assert_allclose(whole[name], dag[name], rtol=1e-12)


def test_impossible_windows_are_refused():
    g = systems.rnn(**SIZES)
    for k in (0, -1, 2.5, True):
        with pytest.raises(DefinitionError, match="at least one step"):
            truncate(g, k)
    with pytest.raises(UnknownName, match="no axis 's'; this graph has t"):
        truncate(g, 2, over="s")
    with pytest.raises(UnknownName, match="truncate it before it is unfolded"):
        truncate(g.unfold(t=3), 2)


# ---------------------------------------------------------------------- real-time recurrent learning
@settings(max_examples=6, deadline=None)
@given(st.sampled_from(["rnn", "lstm", "gru", "stacked"]), st.integers(1, 4), st.integers(0, 99))
def test_real_time_recurrent_learning_is_backpropagation_through_time(name, T, seed):
    g = getattr(systems, name)(input=2, hidden=2, classes=2)
    w, arrays = g.init(seed=seed), data(T, seed)
    arrays["y"] %= 2
    forward, back = rtrl(g, "loss")(**arrays, **w), g.grad("loss")(**arrays, **w)
    assert set(forward) == set(back) == set(w)
    for p in w:
        np.testing.assert_allclose(forward[p], back[p], rtol=1e-10, atol=1e-12)


def test_gradients_stream_in_constant_memory():
    g = systems.rnn()
    w, arrays = g.init(seed=4, input=2, hidden=2, classes=2), data(4)
    arrays["y"] %= 2
    online = stream(rtrl(g, "loss", wrt=["W", "b"]))
    state = online.init(**w)
    sizes = {np.size(v) for v in state.values()}
    for T in range(1, 5):
        now = {k: v[T - 1] for k, v in arrays.items()}
        sofar, state = online(state, **now, **w)
        full = g.grad("loss")(**{k: v[:T] for k, v in arrays.items()}, **w)
        for p in ("W", "b"):
            np.testing.assert_allclose(sofar[p], full[p], rtol=1e-10, atol=1e-12)
    assert {np.size(v) for v in state.values()} == sizes
