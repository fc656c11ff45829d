"""Initial weights."""

import numpy as np
import pytest

import unfold as uf
from unfold.core.errors import ShapeMismatch, UnknownName
from unfold.learn import init


@pytest.fixture
def cell():
    t = uf.axis("t")
    x, h = uf.input("x", "input", over=t), uf.var("h", "hidden", over=t)
    W, U, b = uf.param("W", "hidden", "hidden"), uf.param("U", "hidden", "input"), uf.param("b", "hidden")
    h[0] = 0
    h[t] = uf.tanh(W @ h[t - 1] + U @ x[t] + b)
    return uf.graph(h=h[t.last])


def test_rules_apply_by_name_and_the_rest_stays_scaled_by_fan_in(cell):
    w = init.weights(cell, {"W": init.orthogonal(), "b*": init.constant(1.0)}, seed=3, input=5, hidden=40)
    np.testing.assert_allclose(w["W"] @ w["W"].T, np.eye(40), atol=1e-12)
    assert w["b"].tolist() == [1.0] * 40
    assert np.array_equal(w["U"], cell.init(seed=3, input=5, hidden=40)["U"])


def test_the_same_seed_gives_the_same_weights_whatever_other_rules_there_are(cell):
    one = init.weights(cell, {"W": init.orthogonal()}, seed=3, input=5, hidden=8)
    two = init.weights(cell, {"U": init.glorot(), "W": init.orthogonal()}, seed=3, input=5, hidden=8)
    assert np.array_equal(one["W"], two["W"])


def test_a_rule_for_nothing_is_refused(cell):
    with pytest.raises(UnknownName, match="the rule 'Wh' names no parameter; there are"):
        init.weights(cell, {"Wh": init.normal()}, input=2, hidden=2)


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 4), (2, 4, 3), (1, 1)])
def test_orthogonal_matrices_keep_lengths(shape):
    q = init.orthogonal()(shape, np.random.default_rng(0))
    small = min(shape[-2:])
    gram = q @ np.swapaxes(q, -1, -2) if shape[-2] == small else np.swapaxes(q, -1, -2) @ q
    np.testing.assert_allclose(gram, np.broadcast_to(np.eye(small), gram.shape), atol=1e-12)


def test_scales_are_those_of_their_authors():
    rng, shape = np.random.default_rng(0), (300, 500)
    assert init.fan_in(2.0)(shape, rng).std() == pytest.approx(2 / 500**0.5, rel=0.02)
    assert init.glorot()(shape, rng).var() == pytest.approx(2 / 800, rel=0.02)
    assert np.abs(init.uniform()(shape, rng)).max() == pytest.approx(500**-0.5, rel=0.01)
    assert np.array_equal(init.identity(0.5)((3, 3), rng), np.eye(3) / 2)


@pytest.mark.parametrize("rule", [init.orthogonal(), init.identity()])
def test_matrix_rules_refuse_vectors(rule):
    with pytest.raises(ShapeMismatch, match="wants a matrix, not shape"):
        rule((3,), np.random.default_rng(0))
