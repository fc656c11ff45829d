"""Gradients by recomputation: the best schedule, the same gradients."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import unfold as uf
from unfold import systems
from unfold.core.errors import BindingError, NotCausal, NotDifferentiable, UnfoldError
from unfold.learn.recomputation import advances, checkpoint, repetitions, schedule


@cache
def least(windows, snapshots):
    """The fewest forward runs, by dynamic programming (Griewank and Walther 2000)."""
    if windows <= 1:
        return 0
    if not snapshots:
        return windows * (windows - 1) // 2
    return min(m + least(windows - m, snapshots - 1) + least(m, snapshots) for m in range(1, windows))


def test_the_schedule_needs_the_fewest_forward_runs():
    for windows in range(1, 45):
        for snapshots in range(6):
            assert advances(windows, snapshots) == least(windows, snapshots), (windows, snapshots)


@given(st.integers(0, 300), st.integers(0, 12))
def test_the_schedule_goes_back_through_every_window_with_the_states_it_may_keep(windows, snapshots):
    kept, at, back, runs = set(), None, [], [0] * windows
    for what, a, b in schedule(windows, snapshots):
        if what == "save":
            at = 0 if at is None else at
            assert at == a
            kept.add(a)
            assert len(kept) <= snapshots + 1
        elif what == "load":
            assert a in kept
            at = a
        elif what == "advance":
            assert at == a < b
            runs[a:b] = [r + 1 for r in runs[a:b]]
            at = b
        else:
            assert at == a
            back.append(a)
            kept.discard(a)
    assert back == list(range(windows))[::-1]
    assert max(runs, default=0) <= repetitions(windows, snapshots) if windows else not runs


def data(T, seed=0, n=None):
    rng = np.random.default_rng(seed)
    lead = (T,) if n is None else (T, n)
    return {"x": rng.standard_normal((*lead, 2)), "y": rng.integers(0, 3, lead)}


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru", "stacked"])
def test_gradients_are_those_of_the_graph_and_the_same_for_any_snapshots(name):
    g = getattr(systems, name)(input=2, hidden=3, classes=3)
    w, arrays = g.init(seed=1), data(11)
    value, full = g.value_and_grad("loss")(**arrays, **w)
    first = None
    for snapshots in (0, 1, 2, 20):
        loss, grads = checkpoint(g, "loss", window=2, snapshots=snapshots)(**arrays, **w)
        assert loss == pytest.approx(float(value), rel=1e-12)
        for p in w:
            np.testing.assert_allclose(grads[p], full[p], rtol=1e-9, atol=1e-12)
        first = grads if first is None else first
        assert all(np.array_equal(first[p], grads[p]) for p in w)


@settings(max_examples=8, deadline=None)
@given(st.integers(1, 3), st.integers(1, 9), st.integers(1, 12), st.integers(0, 3))
def test_any_lag_boundary_and_window_will_do(lag, T, window, snapshots):
    t = uf.axis("t")
    x, h, s, W = uf.input("x", 2, over=t), uf.var("h", 2, over=t), uf.param("s", 2), uf.param("W", 2, 2)
    for m in range(lag):
        h[-m] = uf.tanh((m + 1) * s)
        x[-m] = m
    h[t] = uf.tanh(W @ h[t - lag] + x[t] + x[t - lag] + 0.1 * uf.step(t) * s)
    g = uf.graph(y=uf.mean(uf.sum(h[t]), over=t) + uf.sum(h[t.last] * s))
    rng = np.random.default_rng(T)
    w, arrays = (
        {"W": rng.standard_normal((2, 2)), "s": rng.standard_normal(2)},
        {"x": rng.standard_normal((T, 2))},
    )
    value, full = g.value_and_grad("y")(**arrays, **w)
    loss, grads = checkpoint(g, "y", window=window, snapshots=snapshots)(**arrays, **w)
    assert loss == pytest.approx(float(value), rel=1e-12)
    for p in w:
        np.testing.assert_allclose(grads[p], full[p], rtol=1e-9, atol=1e-12)


def test_batches_and_what_is_computed_once_are_handled():
    one = systems.vector_to_sequence(context=2, hidden=3, classes=3)
    g = one.batch("n")
    w, arrays = one.init(seed=1), {"context": np.ones((4, 2)), "y": data(7, n=4)["y"]}
    value, full = g.value_and_grad("loss")(**arrays, **w)
    loss, grads = checkpoint(g, "loss", window=3, snapshots=1, over="t")(**arrays, **w)
    assert loss == pytest.approx(float(value), rel=1e-12)
    for p in w:
        np.testing.assert_allclose(grads[p], full[p], rtol=1e-9, atol=1e-12)


def test_what_cannot_be_done_is_said():
    g = systems.bidirectional(input=2, hidden=2, classes=2)
    with pytest.raises(NotCausal):
        checkpoint(g, "loss")
    r = systems.rnn(input=2, hidden=2, classes=2)
    with pytest.raises(UnfoldError, match="a window has 1 step or more"):
        checkpoint(r, "loss", window=0)
    with pytest.raises(NotDifferentiable, match="one real number"):
        checkpoint(r, "o")


def test_the_price_is_stated():
    c = checkpoint(systems.rnn(input=2, hidden=2, classes=2), "loss", window=100, snapshots=10)
    assert c.windows(100_000) == 1000
    assert repetitions(1000, 10) == 4
    assert c.factor(100_000) < 4


def test_running_sums_of_integers_go_through_windows():
    t = uf.axis("t")
    k, x = uf.input("k", over=t, dtype="int"), uf.input("x", over=t)
    w, h = uf.param("w"), uf.var("h", over=t)
    h[0] = 0
    h[t] = uf.tanh(w * h[t - 1] + x[t] * uf.cumsum(k[t], over=t))
    graph = uf.graph(loss=uf.sum(h[t] * h[t], over=t))
    arrays = {"k": np.array([1, 0, 2, 1, 0]), "x": np.linspace(-0.3, 0.4, 5), "w": 0.5}
    value, grads = graph.value_and_grad("loss")(**arrays)
    again, found = checkpoint(graph, "loss", window=2, snapshots=1)(**arrays)
    np.testing.assert_allclose([again, found["w"]], [value, grads["w"]], rtol=1e-12)


def two_outputs():
    """A loss over t, and another output of an input that the loss does not read."""
    t, i = uf.axis("t"), uf.axis("i")
    x, more = uf.input("x", over=t), uf.input("more", over=i)
    w, b = uf.param("w"), uf.param("b", 3)
    h = uf.var("h", over=t)
    h[0] = 0.0
    h[t] = uf.tanh(w * h[t - 1] + x[t])
    return uf.graph(loss=uf.sum(h[t], over=t), other=uf.sum(more[i], over=i) * uf.sum(b))


def test_it_takes_the_arguments_of_its_graph():
    g = two_outputs()
    arrays = {"x": np.linspace(-1, 1, 7), "more": np.ones(4), "w": 0.5, "b": np.ones(3)}
    value, want = g.value_and_grad("loss")(**arrays)
    for some in (arrays, {"x": arrays["x"], "w": 0.5, "b": arrays["b"]}):
        loss, grads = uf.checkpoint(g, "loss", window=2, snapshots=1, over="t")(**some)
        np.testing.assert_allclose(loss, value)
        assert set(grads) == set(want)
        for name in want:
            np.testing.assert_allclose(grads[name], want[name])


def test_a_gradient_of_what_the_loss_does_not_read_is_zero_also_where_it_is_not_given():
    g = two_outputs()
    grads = uf.checkpoint(g, "loss", ["w", "b"], window=2, over="t")(x=np.ones(5), w=0.5)[1]
    assert grads["b"].tolist() == [0.0, 0.0, 0.0]
    with pytest.raises(BindingError, match="nothing says how large the gradient of more is"):
        uf.checkpoint(g, "loss", ["more"], window=2, over="t")(x=np.ones(5), w=0.5)


def test_an_axis_that_the_loss_does_not_vary_along_is_one_window():
    g = two_outputs()
    arrays = {"x": np.ones(5), "w": 0.5}
    value, want = g.value_and_grad("loss", "w")(**arrays, more=np.ones(4), b=np.ones(3))
    for some in (arrays, {**arrays, "i": 4}, {**arrays, "more": np.ones(4)}):
        loss, grads = uf.checkpoint(g, "loss", "w", window=2, over="i")(**some)
        np.testing.assert_allclose(loss, value)
        np.testing.assert_allclose(grads["w"], want["w"])


def test_the_length_of_an_axis_that_no_input_is_over_is_given():
    t, i = uf.axis("t"), uf.axis("i")
    w, h = uf.param("w"), uf.var("h", over=(t, i))
    h[0, i] = 1.0
    h[t, i] = w * h[t - 1, i]
    g = uf.graph(loss=uf.sum(uf.sum(h[t, i], over=t), over=i))
    value, want = g.value_and_grad("loss")(t=5, i=3, w=0.5)
    loss, grads = uf.checkpoint(g, "loss", window=2, snapshots=1, over="t")(t=5, i=3, w=0.5)
    np.testing.assert_allclose(loss, value)
    np.testing.assert_allclose(grads["w"], want["w"])
