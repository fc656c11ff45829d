"""Checkpoint files: whole or refused."""

import os

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unfold.apps.train import checkpoint, models
from unfold.apps.train.checkpoint import BadCheckpoint, Checkpoint, load, save


@pytest.fixture(scope="module")
def saved():
    graph = models.character("rnn")
    weights = models.initial(graph, 0, vocabulary=3, embed=2, hidden=2)
    return Checkpoint(graph, {"step": 7, "best": None}, {"weights": weights, "memory": {}})


@pytest.fixture
def path(saved, tmp_path):
    path = tmp_path / "model.npz"
    save(path, saved)
    return path


def same(a, b):
    return (
        a.facts == b.facts
        and a.graph.to_json() == b.graph.to_json()
        and all(np.array_equal(a.groups[g][n], v) for g, vs in b.groups.items() for n, v in vs.items())
        and {g: list(v) for g, v in a.groups.items()} == {g: list(v) for g, v in b.groups.items()}
    )


def test_what_is_saved_comes_back(saved, path):
    assert same(load(path), saved)
    assert os.listdir(path.parent) == ["model.npz"]


def test_numpy_reads_the_file_without_pickle(path):
    with np.load(path, allow_pickle=False) as file:
        assert file["weights/W1"].shape == (2, 2)


def test_a_save_that_fails_leaves_the_file_before(saved, path, monkeypatch):
    before = path.read_bytes()

    def fail(file, **kwargs):
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint.np, "savez", fail)
    with pytest.raises(KeyboardInterrupt):
        save(path, saved)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == ["model.npz"]


def test_a_folder_that_is_not_there_is_one_clear_error(saved, tmp_path):
    with pytest.raises(BadCheckpoint, match="cannot be written: No such file"):
        save(tmp_path / "no" / "model.npz", saved)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_file_is_refused_or_was_not_damaged_where_it_counts(saved, path, data):
    whole = path.read_bytes()
    if data.draw(st.booleans(), "cut"):
        bad = whole[: data.draw(st.integers(0, len(whole) - 1))]
    else:
        at = data.draw(st.integers(0, len(whole) - 1), "at")
        bad = whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255), "bits")]) + whole[at + 1 :]
    damaged = path.with_name("damaged.npz")
    damaged.write_bytes(bad)
    try:
        read = load(damaged)
    except BadCheckpoint:
        return
    assert same(read, saved)


def test_foreign_files_are_told_apart(tmp_path, saved, path):
    other = tmp_path / "other.npz"
    other.write_text("no numbers here")
    with pytest.raises(BadCheckpoint, match="is not a checkpoint"):
        load(other)
    np.savez(other, x=np.ones(3))
    with pytest.raises(BadCheckpoint, match=r"an \.npz file, but not a checkpoint of this program"):
        load(other)
    np.savez(other, x=np.array([{}], dtype=object))
    with pytest.raises(BadCheckpoint, match="damaged"):
        load(other)
    with pytest.raises(BadCheckpoint, match="cannot be read: No such file"):
        load(tmp_path / "none.npz")
    whole = path.read_bytes()
    other.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadCheckpoint, match="is damaged"):
        load(other)


def test_a_newer_version_is_named(saved, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "VERSION", 99)
    save(tmp_path / "new.npz", saved)
    monkeypatch.undo()
    with pytest.raises(BadCheckpoint, match="has version 99 of the format, this program reads 1"):
        load(tmp_path / "new.npz")
