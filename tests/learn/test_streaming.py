"""One step at a time equals the whole sequence at once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import unfold as uf
from unfold import systems
from unfold.core.errors import BindingError, NotCausal, UnknownName
from unfold.learn.streaming import steps_ahead, stream

SIZES = {"input": 3, "hidden": 4, "classes": 5}


def data(rng, T):
    return {"x": rng.standard_normal((T, 3)), "y": rng.integers(0, 5, T)}


def feed(s, arrays, over, state=None, **fixed):
    """All outputs of a stream fed step by step, stacked; and the last state."""
    state = s.init(**fixed) if state is None else state
    outs = []
    for now in range(len(arrays[over[0]])):
        out, state = s(state, **{k: arrays[k][now] for k in over}, **fixed)
        outs.append(out)
    return {k: np.stack([o[k] for o in outs]) for k in outs[0]}, state


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru", "stacked"])
def test_a_stream_gives_every_step_and_the_loss_so_far(name):
    g = getattr(systems, name)(**SIZES)
    w, arrays = g.init(seed=1), data(np.random.default_rng(0), 6)
    outs, _ = feed(stream(g), arrays, ["x", "y"], **w)
    np.testing.assert_allclose(outs["o"], g(**arrays, **w).o, rtol=1e-12)
    for T in (1, 3, 6):
        prefix = {k: a[:T] for k, a in arrays.items()}
        np.testing.assert_allclose(outs["loss"][T - 1], g(**prefix, **w).loss, rtol=1e-12)


def test_a_stream_needs_only_what_its_outputs_need():
    g = systems.rnn(**SIZES)
    s = stream(g, "o")
    assert set(s.step.inputs) == {"x", "h[t-1]"}
    assert set(s.step.outputs) == {"o", "h[t-1]"}
    assert s.state == ("h[t-1]",)
    assert not s.step.axes


def test_the_state_can_be_kept_and_taken_up_again():
    g = systems.lstm(**SIZES)
    w, arrays = g.init(seed=1), data(np.random.default_rng(0), 6)
    s = stream(g, "o")
    one, state = feed(s, {"x": arrays["x"][:2]}, ["x"], **w)
    two, _ = feed(s, {"x": arrays["x"][2:]}, ["x"], state, **w)
    np.testing.assert_allclose(np.concatenate([one["o"], two["o"]]), g(**arrays, **w).o, rtol=1e-12)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 3), min_size=1, max_size=3), st.integers(1, 6), st.integers(0, 9))
def test_any_lags_and_boundaries_stream(lags, T, seed):
    rng = np.random.default_rng(seed)
    t = uf.axis("t")
    x, h = uf.input("x", 2, over=t), uf.var("h", 2, over=t)
    start = uf.input("start", 2)
    for m in range(max(lags)):
        h[-m] = (m + 1) * start
        x[-m] = m
    read = x[t] * uf.step(t)
    for k in lags:
        read = read + 0.3 * h[t - k] + x[t - k]
    h[t] = uf.tanh(read)
    g = uf.graph(
        h=h,
        top=uf.max(h[t], over=t),
        mean=uf.mean(h[t], over=t),
        last=h[t.last],
        sofar=uf.cumsum(h[t], over=t),
    )
    arrays, s0 = {"x": rng.standard_normal((T, 2))}, rng.standard_normal(2)
    outs, _ = feed(stream(g), arrays, ["x"], start=s0)
    whole = g(**arrays, start=s0)
    np.testing.assert_allclose(outs["h"], whole.h, rtol=1e-12)
    np.testing.assert_allclose(outs["sofar"], whole.sofar, rtol=1e-12)
    for name in ("top", "mean", "last"):
        np.testing.assert_allclose(outs[name][-1], whole[name], rtol=1e-12)


def test_a_decoder_streams_over_its_own_axis_and_the_encoder_runs_once():
    g = systems.attention(input=3, hidden=4, decoder=6, align=2, classes=5)
    w, rng = g.init(seed=2), np.random.default_rng(1)
    x, z = rng.standard_normal((7, 3)), rng.integers(0, 5, 4)
    s = stream(g, "o", "a", over="j")
    assert {"h", "z[j-1]", "d[j-1]"} <= set(s.state)
    assert "U" not in s.step.params  # the encoder's weights: used at the start only
    outs, _ = feed(s, {"z": z}, ["z"], state=s.init(x=x, **w), **w)
    whole = g(x=x, z=z, **w)
    np.testing.assert_allclose(outs["o"], whole.o, rtol=1e-12)
    np.testing.assert_allclose(outs["a"], whole.a, rtol=1e-12)


def test_a_batch_streams():
    g = systems.gru(**SIZES)
    w, rng = g.init(seed=2), np.random.default_rng(1)
    x, y = rng.standard_normal((4, 2, 3)), rng.integers(0, 5, (4, 2))
    s = stream(g.batch("n"), "o", over="t")
    with pytest.raises(BindingError, match=r"init needs the size of axis n: init\(n=...\)"):
        s.init(**w)
    outs, _ = feed(s, {"x": x}, ["x"], state=s.init(n=2, **w), **w)
    np.testing.assert_allclose(outs["o"], g.batch("n")(x=x, y=y, **w).o, rtol=1e-12)


def test_an_output_that_looks_ahead_is_refused_with_the_number_of_steps():
    t = uf.axis("t")
    x, a = uf.input("x", over=t), uf.var("a", over=t)
    x[t.last + 1] = 0
    x[t.last + 2] = 0
    a[t] = x[t + 2] + x[t + 1]
    g = uf.graph(a=a, x=x[t] * 2)
    assert steps_ahead(g, t) == {"a": 2, "x": 0}
    with pytest.raises(NotCausal, match=r"a looks ahead along t \(2 steps\)") as error:
        stream(g)
    assert (error.value.output, error.value.lookahead) == ("a", 2)
    assert stream(g, "x").state == ()


def test_bidirectional_and_normalised_systems_are_refused():
    with pytest.raises(NotCausal, match=r"looks ahead along t \(without end\)"):
        stream(systems.bidirectional(**SIZES), "o")
    t = uf.axis("t")
    x = uf.input("x", over=t)
    for refused in (uf.softmax(x[t], over=t), x[t] - uf.mean(x[t], over=t), uf.sum(x[t], over=t) * x[t]):
        with pytest.raises(NotCausal):
            stream(uf.graph(y=refused))
    with pytest.raises(NotCausal, match="needs more of t than the steps so far"):
        stream(uf.graph(y=x[2]))


def test_mistakes_are_named():
    g = systems.attention(input=3, hidden=4, decoder=6, align=2, classes=5)
    with pytest.raises(UnknownName, match="over which axis"):
        stream(g)
    with pytest.raises(UnknownName, match="no axis 'q'"):
        stream(g, over="q")
    s = stream(systems.rnn(**SIZES), "o")
    with pytest.raises(BindingError, match="unknown argument 'w'"):
        s.init(w=1)


def test_the_length_of_another_axis_is_given_where_no_input_tells_it():
    t, i = uf.axis("t"), uf.axis("i")
    w, h = uf.param("w"), uf.var("h", over=(t, i))
    h[0, i] = uf.sum(uf.where(uf.greater(i, 1), 2.0, 1.0), over=i)
    h[t, i] = w * h[t - 1, i] + uf.mean(uf.where(uf.greater(i, 1), 2.0, 1.0), over=i)
    g = uf.graph(total=uf.sum(h[t, i], over=i))
    want = g(t=4, i=3, w=0.5).total
    s = uf.stream(g, over="t")
    state = s.init(i=3, w=0.5)
    for k in range(4):
        out, state = s(state, i=3, w=0.5)
        np.testing.assert_allclose(out.total, want[k])


def test_outputs_that_do_not_vary_along_the_axis_are_held():
    t, i = uf.axis("t"), uf.axis("i")
    x, y = uf.input("x", over=t), uf.input("y", over=i)
    g = uf.graph(whole=uf.sum(y[i], over=i), steps=uf.cumsum(x[t], over=t))
    s = uf.stream(g, "whole", over="t")
    state = s.init(y=[1.0, 2.0])
    out, state = s(state, x=3.0)
    assert out.whole == 3.0
