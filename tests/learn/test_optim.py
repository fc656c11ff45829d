"""Optimisers against PyTorch's (skipped without it) and against their definitions."""

import numpy as np
import pytest

from unfold.core.errors import BindingError, UnfoldError
from unfold.learn import optim


def problem(seed, dtype=np.float64):
    rng = np.random.default_rng(seed)
    weights = {"W": rng.standard_normal((3, 4)).astype(dtype), "b": rng.standard_normal(5).astype(dtype)}
    grads = [{k: rng.standard_normal(w.shape).astype(dtype) for k, w in weights.items()} for _ in range(12)]
    return weights, grads


CASES = [
    (optim.sgd, "SGD", {}, {}),
    (optim.sgd, "SGD", {"momentum": 0.9}, {"momentum": 0.9}),
    (optim.sgd, "SGD", {"momentum": 0.9, "nesterov": True, "decay": 0.1},
     {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    (optim.rmsprop, "RMSprop", {}, {}),
    (optim.rmsprop, "RMSprop", {"smoothing": 0.9, "momentum": 0.5, "decay": 0.1},
     {"alpha": 0.9, "momentum": 0.5, "weight_decay": 0.1}),
    (optim.adagrad, "Adagrad", {"decay": 0.1}, {"weight_decay": 0.1}),
    (optim.adam, "Adam", {}, {}),
    (optim.adam, "Adam", {"betas": (0.8, 0.9), "decay": 0.1}, {"betas": (0.8, 0.9), "weight_decay": 0.1}),
    (optim.adamw, "AdamW", {"decay": 0.3}, {"weight_decay": 0.3}),
]  # fmt: skip


@pytest.mark.parametrize(("ours", "theirs", "options", "torch_options"), CASES)
def test_every_optimiser_follows_pytorch(ours, theirs, options, torch_options):
    torch = pytest.importorskip("torch")
    weights, grads = problem(1)
    peers = {k: torch.nn.Parameter(torch.tensor(w)) for k, w in weights.items()}
    peer = getattr(torch.optim, theirs)(peers.values(), lr=0.05, **torch_options)
    state = {}
    for g in grads:
        weights, state = ours(weights, g, state, rate=0.05, **options)
        for k, p in peers.items():
            p.grad = torch.tensor(g[k])
        peer.step()
    for k, p in peers.items():
        np.testing.assert_allclose(weights[k], p.detach().numpy(), rtol=1e-6, atol=1e-12)


def test_clipping_by_norm_follows_pytorch():
    torch = pytest.importorskip("torch")
    _, (grads, *_) = problem(2)
    peers = [torch.nn.Parameter(torch.zeros(g.shape, dtype=torch.float64)) for g in grads.values()]
    for p, g in zip(peers, grads.values(), strict=True):
        p.grad = torch.tensor(g)
    total = torch.nn.utils.clip_grad_norm_(peers, 1.0)
    assert optim.norm(grads) == pytest.approx(float(total), rel=1e-12)
    for ours, p in zip(optim.clip_norm(grads, 1.0).values(), peers, strict=True):
        np.testing.assert_allclose(ours, p.grad.numpy(), rtol=1e-6)


# The same updates written as one formula a step, for machines without PyTorch.
def test_adam_is_its_published_recurrence():
    weights, grads = problem(3)
    w, m, v = weights["b"].copy(), np.zeros(5), np.zeros(5)
    state = {}
    for step, g in enumerate(grads, 1):
        weights, state = optim.adam(weights, g, state, rate=0.1)
        m, v = 0.9 * m + 0.1 * g["b"], 0.999 * v + 0.001 * g["b"] ** 2
        w = w - 0.1 * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
    np.testing.assert_allclose(weights["b"], w, rtol=1e-12)


@pytest.mark.parametrize("name", optim.OPTIMISERS)
def test_every_optimiser_descends_a_bowl_and_changes_nothing_in_place(name):
    weights, state = {"w": np.array([3.0, -2.0])}, {}
    start = weights["w"]
    for _ in range(400):
        weights, state = optim.OPTIMISERS[name](weights, {"w": weights["w"]}, state, rate=0.05)
    assert np.abs(weights["w"]).max() < np.abs(start).max()
    assert start.tolist() == [3.0, -2.0]


@pytest.mark.parametrize("name", optim.OPTIMISERS)
def test_the_precision_of_the_weights_is_kept(name):
    weights, grads = problem(4, np.float32)
    state = {}
    for g in grads[:3]:
        weights, state = optim.OPTIMISERS[name](weights, g, state, rate=lambda step: 0.1 / step)
    assert {a.dtype for a in weights.values()} == {np.dtype(np.float32)}
    assert {a.dtype for k, a in state.items() if k != "step"} <= {np.dtype(np.float32)}


def test_a_weight_without_a_gradient_stays():
    weights, state = optim.adamw({"a": np.ones(2), "b": np.ones(2)}, {"a": np.ones(2)}, {}, decay=0.5)
    assert weights["b"].tolist() == [1, 1]
    assert weights["a"].tolist() != [1, 1]
    assert set(state) == {"step", "mean/a", "square/a"}


def test_gradients_that_do_not_fit_are_refused():
    with pytest.raises(BindingError, match="no weight; there are a"):
        optim.sgd({"a": np.ones(2)}, {"z": np.ones(2)}, {})
    with pytest.raises(BindingError, match=r"shape \(3,\), the weight \(2,\)"):
        optim.sgd({"a": np.ones(2)}, {"a": np.ones(3)}, {})


def test_clipping_keeps_small_gradients_as_they_are():
    grads = {"a": np.array([0.3, -0.4])}
    assert optim.clip_norm(grads, 1.0)["a"] is grads["a"]
    assert optim.norm(optim.clip_norm({"a": np.array([30.0, 40.0])}, 1.0)) == pytest.approx(1)
    assert optim.clip_value({"a": np.array([5.0, -0.5, -9.0])}, 1.0)["a"].tolist() == [1, -0.5, -1]
    with pytest.raises(UnfoldError, match="positive limit"):
        optim.clip_norm(grads, 0)


def test_schedules_reach_their_ends():
    for schedule in (optim.cosine(1.0, 10, last=0.1), optim.linear(1.0, 10, last=0.1)):
        rates = [schedule(step) for step in range(1, 14)]
        assert rates[0] == 1.0
        assert rates[10:] == pytest.approx([0.1] * 3)
        assert rates == sorted(rates, reverse=True)
    assert optim.warmup(5, optim.cosine(1.0, 10))(1) == pytest.approx(0.2)
