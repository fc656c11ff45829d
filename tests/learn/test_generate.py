"""Generation: greedy and beam search against exhaustive search, choices fed back."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unfold import systems
from unfold.apps.train import models
from unfold.core.errors import DefinitionError, UnfoldError, UnknownName
from unfold.learn.generate import beam, free_running, generate

CLASSES = 3


def translator(name="encoder_decoder", seed=0, classes=CLASSES):
    g = getattr(systems, name)(
        input=2, hidden=3, decoder=4, classes=classes, **({"align": 2} if name == "attention" else {})
    )
    weights = {k: 2 * w for k, w in g.init(seed=seed).items()}
    return g, {"x": np.random.default_rng(seed).standard_normal((4, 2)), **weights}


def log_probability(g, arrays, z):
    """Of a whole sequence, by teacher forcing."""
    return -float(g(z=np.array(z), **arrays).loss)


def exhaustive(g, arrays, length, stop=None):
    found = {}
    for z in product(range(CLASSES), repeat=length):
        end = z.index(stop) + 1 if stop in z else length
        found.setdefault(z[:end], log_probability(g, arrays, z[:end]))
    return sorted(found.items(), key=lambda item: -item[1])


@settings(max_examples=6, deadline=None)
@given(st.sampled_from(["encoder_decoder", "attention"]), st.integers(0, 50), st.sampled_from([None, 0]))
def test_a_beam_as_wide_as_everything_finds_the_likeliest(name, seed, stop):
    g, arrays = translator(name, seed)
    best = exhaustive(g, arrays, 3, stop)
    found = beam(g, feed="z", length=3, width=27, stop=stop, **arrays)
    assert [s.symbols for s in found[:5]] == [z for z, _ in best[:5]]
    np.testing.assert_allclose([s.log_probability for s in found[:5]], [p for _, p in best[:5]], rtol=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_a_beam_of_one_is_greedy_and_free_running_is_the_same_as_a_graph(seed):
    g, arrays = translator(seed=seed)
    greedy = generate(g, feed="z", length=6, **arrays)
    (one,) = beam(g, feed="z", length=6, width=1, **arrays)
    assert one.symbols == greedy.symbols
    assert greedy.log_probability == pytest.approx(log_probability(g, arrays, greedy.symbols), rel=1e-9)
    free = free_running(g, feed="z")
    used = {k: a for k, a in arrays.items() if k in free.inputs or k in free.params}
    assert tuple(free(j=6, **used).z) == greedy.symbols


def test_sequences_end_with_the_stop_symbol():
    g, arrays = translator(seed=3)
    stop = generate(g, feed="z", length=6, **arrays).symbols[2]
    short = generate(g, feed="z", length=6, stop=stop, **arrays).symbols
    assert short[-1] == stop
    assert stop not in short[:-1]
    for s in beam(g, feed="z", length=4, width=3, stop=stop, normalise=0.6, **arrays):
        assert stop not in s.symbols[:-1]


def test_samples_have_the_probabilities_of_the_model():
    g, arrays = translator(seed=5)
    counts = {}
    for seed in range(600):
        z = generate(g, feed="z", length=1, temperature=1.0, seed=seed, **arrays).symbols
        counts[z] = counts.get(z, 0) + 1
    for z, logp in exhaustive(g, arrays, 1):
        assert abs(counts.get(z, 0) / 600 - np.exp(logp)) < 0.08


def test_gumbel_noise_makes_the_graph_sample():
    g, arrays = translator(seed=5)
    free = free_running(g, feed="z", noise="gumbel")
    used = {k: a for k, a in arrays.items() if k in free.inputs or k in free.params}
    rng = np.random.default_rng(0)
    draws = [int(free(gumbel=rng.gumbel(size=(1, CLASSES)), **used).z[0]) for _ in range(600)]
    for (z,), logp in exhaustive(g, arrays, 1):
        assert abs(draws.count(z) / 600 - np.exp(logp)) < 0.08


def test_a_model_that_reads_the_symbol_at_once_is_fed_at_once():
    g = models.character("gru", vocabulary=5, embed=3, hidden=4)
    weights = {k: 2 * w for k, w in g.init(seed=1).items()}
    found = generate(g, feed="x", length=5, start=2, h1_0=np.zeros(4), **weights)
    x = np.array([2, *found.symbols[:-1]])
    whole = g.select("o")(x=x, h1_0=np.zeros(4), **weights).o
    assert tuple(whole.argmax(axis=-1)) == found.symbols


def test_what_cannot_be_fed_back_is_named():
    g, arrays = translator()
    with pytest.raises(UnknownName, match="no integer input 'q' over an axis; there are z"):
        generate(g, feed="q", length=2, **arrays)
    with pytest.raises(UnfoldError, match="width is at least 1"):
        beam(g, feed="z", length=2, width=0, **arrays)
    rnn = systems.rnn(input=2, hidden=2, classes=2)
    with pytest.raises(DefinitionError, match="nothing to feed back"):
        generate(rnn, feed="y", length=2, **rnn.init())
