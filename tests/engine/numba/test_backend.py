"""backend="numba" and "auto": when loops are compiled, and the functions that compiled code calls."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import unfold as uf
from tests.engine.conftest import arrays_for
from unfold.engine.numba import modules

needs_numba = pytest.mark.skipif(
    not modules.available(), reason="Numba is not installed (pip install 'unfold[jit]')"
)


def rnn() -> tuple[Any, dict[str, Any]]:
    """A small system with arrays."""
    graph = uf.systems.rnn()
    return graph, arrays_for(graph)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("UNFOLD_CACHE", str(tmp_path))
    return tmp_path


@needs_numba
def test_the_source_of_compiled_functions_is_shown():
    text = uf.systems.rnn().code("loss", backend="numba", t=4)
    assert "def part1(" in text
    assert "# step by step, backward over t:" in text


@needs_numba
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["exp", "tanh"])
def test_compiled_exp_and_tanh_are_right_to_three_units_in_the_last_place(name, dtype):
    from numba import njit

    from unfold.engine.numba import native

    function = getattr(native, f"{name}_{dtype}")

    @njit
    def run(a, out):
        for k in range(a.size):
            out[k] = function(a[k])

    rng, real = np.random.default_rng(0), np.dtype(dtype).type
    reach = 88 if dtype == "float32" else 709
    spread = [rng.standard_normal(20_000) * 10.0**p for p in range(-6, 3)]
    a = np.concatenate([*spread, np.linspace(-reach, reach, 20_001)]).clip(-reach, reach).astype(dtype)
    out = np.empty_like(a)
    run(a, out)
    exact = getattr(np, name)(a.astype(np.longdouble))
    shown = exact.astype(dtype)
    normal = np.abs(shown) > 4 * np.finfo(dtype).tiny
    assert (np.abs(out - exact) / np.spacing(np.abs(shown)))[normal].max() < 3.1
    ends = np.array([np.inf, -np.inf, np.nan, 0, 1e6, -1e6], real)
    out = np.empty_like(ends)
    run(ends, out)
    with np.errstate(over="ignore"):
        assert np.array_equal(out, getattr(np, name)(ends), equal_nan=True)


@needs_numba
def test_auto_compiles_when_plain_calls_have_taken_as_long(cache, monkeypatch):
    graph, arrays = rnn()
    run = graph.compile(backend="auto")
    first = run(**arrays)
    assert not list(cache.rglob("*.py"))
    monkeypatch.setattr("unfold.engine.run.COMPILING", 0.0)
    for _ in range(2):
        later = run(**arrays)
    assert list(cache.rglob("*.py"))
    assert np.allclose(first.loss, later.loss)


@pytest.mark.skipif(modules.available(), reason="Numba is installed")
def test_without_numba_the_backend_says_what_to_install():
    graph, arrays = rnn()
    with pytest.raises(uf.UnfoldError, match=r"pip install 'unfold\[jit\]'"):
        graph.compile(backend="numba")(**arrays)
    assert np.isfinite(graph.compile(backend="auto")(**arrays).loss)
