"""The diagnosis against gradients and Jacobians taken one by one from the unfolded graph."""

import numpy as np
import pytest

import unfold as uf
from unfold import systems
from unfold.learn.diagnose import Look, diagnose, sparkline
from unfold.learn.streaming import stream


def data(T, seed=0, classes=3):
    rng = np.random.default_rng(seed)
    return {"x": rng.standard_normal((T, 2)), "y": rng.integers(0, classes, T)}


def linear(w):
    """s[t] = w s[t-1] + x[t], so every Jacobian is w."""
    t = uf.axis("t")
    x, s, a = uf.input("x", over=t), uf.var("s", over=t), uf.param("a")
    s[0] = 0
    s[t] = a * s[t - 1] + x[t]
    return uf.graph(loss=uf.sum(s[t], over=t)), {"x": np.ones(30), "a": w}


@pytest.mark.parametrize("name", ["rnn", "lstm", "bidirectional"])
def test_norms_are_those_of_the_adjoints_step_by_step(name):
    g = getattr(systems, name)(input=2, hidden=3, classes=3)
    w, arrays = g.init(seed=1), data(5)
    report = diagnose(g, "loss", **arrays, **w)
    run = g.run(of="loss", **arrays, **w)
    for var, norms in report.norms.items():
        for t in range(1, 6):
            assert norms[t - 1] == pytest.approx(np.linalg.norm(run.adjoint[var, t]), rel=1e-10)
    assert set(report.norms) == {"rnn": {"h"}, "lstm": {"h", "c"}, "bidirectional": {"f", "g"}}[name]


def test_contributions_are_the_gradients_of_each_loss_alone():
    g = systems.rnn(input=2, hidden=3, classes=3)
    w, arrays = g.init(seed=1), data(5)
    matrix = diagnose(g, "loss", **arrays, **w).contributions["h"]
    assert np.array_equal(matrix == 0, np.triu(np.ones((5, 5)), 1) > 0)  # no loss before its cause
    dag = g.unfold(t=5)
    for k in (1, 4):
        one = uf.Graph({"L": dag.definitions[dag.symbols[f"L[{k}]"]]}, dag.definitions)
        run = one.run(of="L", x=arrays["x"][:k], y=arrays["y"][:k], **{n: w[n] for n in one.params})
        for t in range(1, k + 1):
            assert matrix[k - 1, t - 1] == pytest.approx(np.linalg.norm(run.adjoint["h", t]), rel=1e-10)


def test_the_state_of_an_lstm_is_both_its_variables():
    g = systems.lstm(input=2, hidden=3, classes=3)
    w, arrays = g.init(seed=1), data(4)
    look = Look(g, {**arrays, **w})
    blocks = look.jacobians()
    assert blocks.shape == (4, 6, 6)
    names = [f"{v}[t-1]" for v in look.variables]
    s = stream(g, "o")

    def after(state, t):
        state = dict(zip(names, np.split(state, 2), strict=True))
        new = s(state, x=arrays["x"][t], **w)[1]
        return np.concatenate([new[n] for n in names])

    state = np.zeros(6)
    for t in range(4):
        columns = [(after(state + e, t) - after(state - e, t)) / 2e-6 for e in 1e-6 * np.eye(6)]
        np.testing.assert_allclose(blocks[t], np.transpose(columns), atol=1e-8)
        state = after(state, t)


def test_a_longer_lag_is_a_longer_state():
    t = uf.axis("t")
    s, a = uf.var("s", over=t), uf.param("a")
    x = uf.input("x", over=t)
    s[0] = s[-1] = 0
    s[t] = 0.5 * s[t - 1] + a * s[t - 2] + x[t]
    g = uf.graph(loss=uf.sum(s[t], over=t))
    blocks = Look(g, {"x": np.ones(3), "a": 2.0}).jacobians()
    np.testing.assert_allclose(blocks, np.broadcast_to([[0.5, 2.0], [1.0, 0.0]], (3, 2, 2)))


@pytest.mark.parametrize(("w", "verdict"), [(0.5, "vanishing"), (1.0, "healthy"), (2.0, "exploding")])
def test_the_verdict_follows_the_jacobians(w, verdict):
    g, arrays = linear(w)
    report = diagnose(g, "loss", **arrays)
    np.testing.assert_allclose(report.jacobians, w)
    assert report.verdict == verdict
    assert str(report).startswith(f"gradient of loss: {verdict}\n  s")
    expected = sum(w**n for n in range(30))
    assert report.norms["s"][0] == pytest.approx(expected)


def test_the_first_infinity_is_named_with_what_led_to_it():
    g, arrays = linear(1e30)
    report = diagnose(g, "loss", **arrays)
    assert report.verdict == "not finite"
    assert "infinity first at" in str(report)
    assert "t = 12" in str(report.bad)
    assert report.chain[0].text == "s[t] at t = 11"
    assert report.chain[0].high == pytest.approx(1e300, rel=1e-9)


def test_a_batch_and_a_feed_forward_network_are_looked_at_too():
    g = systems.gru(input=2, hidden=3, classes=3).batch("n")
    w = systems.gru(input=2, hidden=3, classes=3).init(seed=1)
    rng = np.random.default_rng(0)
    report = diagnose(g, "loss", x=rng.standard_normal((4, 2, 2)), y=rng.integers(0, 3, (4, 2)), **w)
    assert report.norms["h"].shape == report.jacobians.shape == (4,)
    f = systems.feed_forward(input=2, hidden=3, classes=3)
    arrays = {"x": np.ones(2), **({"y": 1} if "y" in f.inputs else {})}
    assert diagnose(f, "loss", **arrays, **f.init(seed=0)).verdict == "healthy"


def test_a_sparkline_shows_powers_of_ten():
    assert sparkline(np.array([])) == ""
    assert sparkline(np.zeros(3)) == "▁▁▁"
    assert len(sparkline(np.ones(1000))) == 40
