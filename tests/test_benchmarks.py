"""The benchmark harness works: sizes that take milliseconds, nothing about speed is asserted."""

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

from benchmarks import __main__, machine, measure, models, peers, profile, report
from benchmarks.models import MODELS, SIZES, Run, Unsupported, case

TINY = SIZES["tiny"]
NUMPY = ["naive", "plan", "unfold", "GEMM"]


@pytest.fixture(scope="module")
def numpy_peers():
    return peers.load(NUMPY)[0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("model", MODELS)
def test_peers_in_numpy_agree_on_every_gradient(model, dtype, numpy_peers):
    runs, known, excluded = measure.prepare(case(model, TINY, dtype), numpy_peers)
    assert {"naive NumPy", "unfold"} <= set(runs)
    assert not [why for why in excluded.values() if why.startswith(("wrong", "failed"))]
    assert all(k.get("error", 0) <= measure.TOLERANCE[dtype] for k in known.values())


@pytest.mark.parametrize("model", MODELS)
def test_the_reference_is_the_derivative_of_its_loss(model):
    small = case(model, models.Size("s", 3, 2, 2, 3, 4), "float64")
    rng, step = np.random.default_rng(1), 1e-6
    direction = {k: rng.standard_normal(w.shape) for k, w in small.weights.items()}

    def loss(amount):
        weights = {k: w + amount * direction[k] for k, w in small.weights.items()}
        return measure.reference(models.Case(model, small.size, small.dtype, small.x, small.y, weights))[0]

    slope = sum((g * direction[k]).sum() for k, g in measure.reference(small)[1].items())
    assert slope == pytest.approx((loss(step) - loss(-step)) / (2 * step), rel=1e-7)


@pytest.mark.parametrize("shape", [(1, 1, 1, 1, 2), (7, 1, 5, 40, 3), (6, 3, 2, 9, 4), (70, 40, 3, 50, 3)])
@pytest.mark.parametrize("model", ["rnn", "lstm", "stacked", "bidirectional"])
def test_plans_by_hand_agree_at_every_kind_of_size(model, shape, numpy_peers):
    given = case(model, models.Size("given", *shape), "float64")
    runs, _, excluded = measure.prepare(given, {"plan by hand": numpy_peers["plan by hand"]})
    assert set(runs) == {"plan by hand"}, excluded


def test_a_peer_that_is_wrong_broken_or_unable_is_left_out_and_named():
    def wrong(given):
        loss, grads = measure.reference(given)
        return Run(lambda: None, lambda _: (loss, grads | {"W": -grads["W"]}))

    def partial(given):
        loss, grads = measure.reference(given)
        return Run(lambda: None, lambda _: (loss, {"W": grads["W"]}))

    def broken(given):
        raise RuntimeError("no device")

    def unable(given):
        raise Unsupported("no such layer")

    found = {"wrong": wrong, "partial": partial, "broken": broken, "unable": unable}
    runs, _, excluded = measure.prepare(case("rnn", TINY, "float64"), found)
    assert runs == {}
    assert "relative error 2.0e+00 in W" in excluded["wrong"]
    assert "missing" in excluded["partial"]
    assert "RuntimeError: no device" in excluded["broken"]
    assert excluded["unable"] == "no such layer"


def test_every_peer_is_listed_under_the_name_its_module_gives():
    found, missing = peers.load()
    assert set(found) | set(missing) == set(peers.NAMES)
    assert not set(found) & set(missing)


def test_threads_are_set_for_every_library():
    settings = machine.environment(2)
    assert settings["OPENBLAS_NUM_THREADS"] == settings["NPROC"] == settings["OMP_NUM_THREADS"] == "2"


def test_a_run_writes_json_a_table_and_a_plot_and_merges_with_earlier_cells(tmp_path, capsys):
    arguments = [
        "--sizes",
        "tiny",
        "--dtypes",
        "float64",
        "--peers",
        "naive,unfold",
        "--quick",
        "--repeat",
        "1",
    ]
    for model in ("rnn", "gru", "rnn"):
        assert __main__.main([*arguments, "--models", model, "--out", str(tmp_path), "--here", "1"]) == 0
    cells = json.loads((tmp_path / "speed.json").read_text())["cells"]
    assert [c["model"] for c in cells] == ["rnn", "gru"]
    assert all(p["best"] <= p["median"] for c in cells for p in c["peers"].values())
    table = (tmp_path / "speed.md").read_text()
    assert "| rnn tiny float64 |" in table
    assert "Machine: " in table
    assert ElementTree.parse(tmp_path / "speed.svg").getroot().tag.endswith("svg")
    assert {p.name for p in tmp_path.iterdir()} == {"speed.json", "speed.md", "speed.svg"}
    assert "| rnn tiny float64 |" in capsys.readouterr().out


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "kept.md"
    report.write(path, "old")
    with pytest.raises(UnicodeEncodeError):
        report.write(path, "\ud800")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_unknown_words_are_refused_with_the_known_ones(capsys):
    with pytest.raises(SystemExit):
        __main__.main(["--models", "transformer"])
    assert "unknown: transformer" in capsys.readouterr().err


def test_the_table_of_the_readme_is_that_of_the_results():
    readme = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    cells = report.load(__main__.RESULTS)
    assert len(cells) > 40
    assert report.summary(cells) in readme


def test_every_statement_of_what_runs_is_timed():
    rows = list(profile._statements(case("lstm", TINY, "float64")))
    *statements, total = rows
    assert total["statement"] == "every statement"
    assert total["us"] == pytest.approx(sum(row["us"] for row in statements))
    assert [row["calls"] for row in statements if row["calls"] > 1] == [9 * TINY.steps, 8 * TINY.steps]
