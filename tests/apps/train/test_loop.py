"""Training a character model: it learns, it can be stopped and taken up, it says what is wrong."""

import itertools
import json

import numpy as np
import pytest

from unfold.apps import cli
from unfold.apps.train import checkpoint, command, models
from unfold.apps.train.checkpoint import BadCheckpoint
from unfold.apps.train.corpus import Vocabulary
from unfold.apps.train.loop import Diverged, Options, Trainer, resume
from unfold.apps.train.sampling import sample
from unfold.core.errors import UnfoldError
from unfold.learn.generate import choose

SMALL = Options(
    model="rnn", hidden=8, embed=4, steps=6, streams=2, epochs=3, every=4, rate=0.02, validation=0.2
)


def trainer(text="abcab " * 20, **changes):
    vocabulary = Vocabulary("".join(sorted(set(text))))
    return Trainer(Options(**{**vars(SMALL), **changes}), vocabulary, vocabulary.encode(text))


def run(t, now, steps=None):
    """Progress after so many steps, or to the end, validating on the way as the command does."""
    for _ in itertools.count() if steps is None else range(steps):
        if t.due(now):
            now = t.validate(now)
        if t.finished(now):
            break
        now = t.advance(now)
    return now


def assert_same(a, b):
    for name in a.__dataclass_fields__:
        x, y = getattr(a, name), getattr(b, name)
        if isinstance(x, dict):
            assert {k: v.tobytes() for k, v in x.items()} == {k: v.tobytes() for k, v in y.items()}, name
        else:
            assert x == y, name


@pytest.mark.parametrize("model", models.LAYERS)
def test_every_model_learns_a_simple_text(model):
    t = trainer(model=model, layers=2 if model == "rnn" else 1, epochs=6)
    now = run(t, t.start())
    first, last = now.log[0][2], now.best
    assert last < 0.7 * first
    assert last < np.log2(4)


def test_the_loss_is_that_of_the_whole_row_read_at_once():
    t = trainer(
        rate=0.0, optimiser="sgd", validation=0.0, streams=1, every=10**6, precision="float64", epochs=1
    )
    now = t.start()
    while now.epoch < 1:
        now = t.advance(now)
    x, y = t.codes[:-1][:, None], t.codes[1:][:, None]
    whole = t.model.batch("n")(x=x, y=y, **t.zeros(t.train), **now.weights)
    parts = [len(t.train[k][0]) for k in range(len(t.train))]
    assert sum(parts) == len(x)
    weighted = t.validate(now).log[-1][2] * np.log(2)
    assert weighted == pytest.approx(float(whole.loss), rel=1e-12)


@pytest.mark.parametrize("at", [1, 4, 17])
def test_a_resumed_run_continues_bit_for_bit(at):
    t = trainer()
    straight = run(t, t.start())
    broken = run(t, t.start(), at)
    saved = t.checkpoint(broken)
    facts = json.loads(json.dumps(saved.facts))  # as from a file
    again, now = resume(checkpoint.Checkpoint(saved.graph, facts, saved.groups), t.vocabulary, t.codes, "f")
    assert_same(run(again, now), straight)


def test_training_stops_early_without_progress():
    t = trainer(rate=0.0, optimiser="sgd", patience=2, epochs=100)
    now = run(t, t.start())
    assert t.finished(now).startswith("no progress in 2 validations")
    assert now.epoch < 5


def test_the_best_weights_are_kept_when_later_ones_are_worse():
    t = trainer(optimiser="sgd", rate=0.1, epochs=2)
    now = run(t, t.start())
    worse = t.advance(now)
    spoiled = t.validate(
        type(now)(**{**vars(worse), "weights": {k: w * 30 for k, w in worse.weights.items()}})
    )
    assert spoiled.stale == 1
    assert spoiled.best == now.best
    assert spoiled.best_weights is now.best_weights


def test_a_run_that_diverges_says_so():
    t = trainer()
    now = t.start()
    bad = type(now)(**{**vars(now), "weights": {k: np.full_like(w, np.nan) for k, w in now.weights.items()}})
    with pytest.raises(Diverged, match="the loss is nan at step 1: try a lower --rate"):
        t.advance(bad)


@pytest.mark.parametrize("text", ["ab", "aaa", "aé漢"])
def test_a_few_characters_are_enough(text):
    t = trainer(text)
    now = run(t, t.start())
    assert now.epoch == 3
    assert np.isfinite(now.best)
    assert set("".join(itertools.islice(sample(t.model, now.weights, t.vocabulary), 5))) <= set(text)


def test_a_resume_on_another_text_is_refused():
    t = trainer()
    saved = t.checkpoint(t.start())
    with pytest.raises(BadCheckpoint, match="was trained on another text"):
        resume(saved, t.vocabulary, t.codes[:-1], "f")


def test_a_checkpoint_of_something_else_is_refused():
    t = trainer()
    other = checkpoint.Checkpoint(t.model, {}, {})
    with pytest.raises(BadCheckpoint, match="f is no checkpoint of `unfold train`"):
        resume(other, t.vocabulary, t.codes, "f")


def test_unknown_models_and_optimisers_are_named():
    with pytest.raises(UnfoldError, match="no model 'transformer'; there are rnn, lstm, gru"):
        models.character("transformer")
    with pytest.raises(UnfoldError, match="no optimiser 'magic'; there are sgd"):
        trainer(optimiser="magic")
    with pytest.raises(UnfoldError, match="at least one layer"):
        models.character("gru", layers=0)


# ---------------------------------------------------------------------- sampling
def test_a_temperature_of_zero_is_greedy_and_high_ones_are_even():
    rng, scores = np.random.default_rng(0), np.array([1.0, 3.0, 2.0])
    assert {choose(scores, 0.0, rng) for _ in range(20)} == {1}
    assert {choose(scores, 1e-310, rng) for _ in range(20)} == {1}
    drawn = np.bincount([choose(scores, 1.0, rng) for _ in range(4000)], minlength=3) / 4000
    expected = np.exp(scores) / np.exp(scores).sum()
    assert np.abs(drawn - expected).max() < 0.03
    with pytest.raises(UnfoldError, match="0 or more"):
        choose(scores, -1.0, rng)
    with pytest.raises(UnfoldError, match="not finite"):
        choose(np.array([np.nan, 1.0]), 1.0, rng)


def test_samples_follow_the_prompt_and_the_seed():
    t = trainer(epochs=8, model="gru")
    now = run(t, t.start())
    options = {"temperature": 0.0, "prompt": "abc"}
    text = "".join(itertools.islice(sample(t.model, now.weights, t.vocabulary, **options), 9))
    assert text == "ab abcab "
    one, two = (
        "".join(itertools.islice(sample(t.model, now.weights, t.vocabulary, seed=3), 40)) for _ in "12"
    )
    assert one == two


# ---------------------------------------------------------------------- the commands
ARGS = ["--model", "rnn", "--hidden", "8", "--embed", "4", "--steps", "6", "--streams", "2", "--sample", "20"]


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "some.txt"
    path.write_text("abcab " * 20)
    return path


def unfold(capsys, *args):
    code = cli.main([str(a) for a in args])
    out = capsys.readouterr()
    return code, out.out, out.err


def test_train_then_sample(capsys, text, tmp_path):
    model = tmp_path / "m.npz"
    code, out, err = unfold(capsys, "train", text, "-o", model, *ARGS, "--epochs", "2")
    assert (code, err) == (0, "")
    assert "120 characters, 4 different; 1 x 8 rnn" in out
    assert "bits/char" in out
    assert f"2 epochs done; saved to {model}" in out
    code, out, err = unfold(capsys, "sample", model, "--length", "30", "--prompt", "ab")
    assert (code, err) == (0, "")
    assert out.startswith("ab")
    assert len(out) == 2 + 30 + 1


def test_an_interrupt_saves_and_resume_ends_where_a_straight_run_does(capsys, text, tmp_path, monkeypatch):
    straight, broken = tmp_path / "straight.npz", tmp_path / "broken.npz"
    assert unfold(capsys, "train", text, "-o", straight, *ARGS, "--epochs", "3")[0] == 0
    advance, count = Trainer.advance, itertools.count()

    def interrupted(self, now):
        if next(count) == 7:
            raise KeyboardInterrupt
        return advance(self, now)

    monkeypatch.setattr(Trainer, "advance", interrupted)
    code, out, _ = unfold(capsys, "train", text, "-o", broken, *ARGS, "--epochs", "3")
    assert code == 130
    assert "interrupted at step 7, saved; go on with: unfold train" in out
    monkeypatch.undo()
    assert unfold(capsys, "train", text, "--resume", broken)[0] == 0
    assert broken.read_bytes() == straight.read_bytes()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["train", "{missing}"], "cannot be read: No such file"),
        (["train", "{text}", "--hidden", "0"], "--hidden cannot be 0"),
        (["train", "{text}", "--validation", "1"], "less than 1"),
        (["train", "{text}", "-o", "{text}"], "exists: go on with it"),
        (["train", "{text}", "--resume", "{text}"], "is not a checkpoint"),
        (["sample", "{text}"], "is not a checkpoint"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(capsys, text, args, message):
    names = {"{text}": text, "{missing}": text.with_name("none.txt")}
    code, _, err = unfold(capsys, *(names.get(a, a) for a in args))
    assert code == 2
    assert message in err
    assert err.count("\n") == 1


def test_options_that_are_no_numbers_are_refused(capsys, text):
    with pytest.raises(SystemExit) as stop:
        cli.main(["train", str(text), "--rate", "nan"])
    assert stop.value.code == 2
    assert "'nan' is not a number, 0 or more" in capsys.readouterr().err


def test_a_resumed_run_keeps_what_it_is_made_of(capsys, text, tmp_path):
    model = tmp_path / "m.npz"
    assert unfold(capsys, "train", text, "-o", model, *ARGS, "--epochs", "1")[0] == 0
    code, _, err = unfold(capsys, "train", text, "--resume", model, "--hidden", "9")
    assert (code, "keeps its --hidden" in err) == (2, True)
    code, out, _ = unfold(capsys, "train", text, "--resume", model, "--epochs", "2")
    assert (code, "2 epochs done" in out) == (0, True)


def test_every_option_has_a_word_of_help():
    assert set(command.HELP) == set(vars(SMALL))
