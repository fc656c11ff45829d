"""Compiled parts of a plan: their text run by Python, and by Numba where it is installed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from interpreted import interpreted
from test_plan import agree, request, rnn

import unfold as uf
from unfold.engine import made_up
from unfold.engine.binding import bind
from unfold.engine.numba import kernels, modules
from unfold.engine.numpy import printed as printed
from unfold.engine.run import _joint

needs_numba = pytest.mark.skipif(
    not modules.available(), reason="Numba is not installed (pip install 'unfold[jit]')"
)


def run_text(graph: Any, arrays: dict[str, Any], optimise: Any, calls: int = 2) -> tuple[dict[str, Any], int]:
    """The outputs of the last of some calls (buffers are used again), and how many parts are compiled."""
    bound = bind(graph, arrays)
    text, env = printed.source(graph, bound, optimise, jit=True)
    functions = env.pop("functions", [])
    names = {**printed.GLOBALS, **env, **interpreted(functions, bound.dtype)}
    exec(text, names)
    run = names["make"](bound.dtype)
    for _ in range(calls):
        outputs = run(*bound.arrays.values())
    return outputs, len(functions)


@pytest.mark.parametrize("blas", [True, False], ids=["with BLAS", "without"])
@pytest.mark.parametrize("seed", range(40))
def test_the_text_of_compiled_parts_gives_the_values_of_the_definition(seed, blas, monkeypatch):
    monkeypatch.setattr("unfold.engine.numba.jit.has_blas", lambda: blas)
    monkeypatch.setattr(kernels, "SMALL", 0 if seed % 2 else 512)
    graph, arrays = request(seed, batched=seed % 3 == 1)
    expected = graph.compile(backend="reference")(**arrays)
    outputs, _ = run_text(graph, arrays, None if seed % 5 else ())
    for name, value in expected.items():
        scale = 1 + np.abs(value).max(initial=0)
        assert np.abs(outputs[name] - value).max(initial=0) <= 1e-9 * scale, name


@pytest.mark.parametrize("batched", [False, True], ids=["one", "batch"])
@pytest.mark.parametrize("name", uf.systems.SYSTEMS)
def test_the_text_of_every_system_gives_the_values_of_the_definition(name, batched):
    graph, arrays = example_of(name, batched)
    expected = graph.compile(backend="reference")(**arrays)
    outputs, parts = run_text(graph, arrays, None)
    assert parts
    for key, value in expected.items():
        assert np.allclose(outputs[key], value, rtol=1e-9, atol=1e-11), key


def example_of(name: str, batched: bool) -> tuple[Any, dict[str, Any]]:
    """A system with its gradients, and random arrays for it."""
    graph = uf.systems.SYSTEMS[name]()
    graph = _joint(graph.batch("n") if batched else graph, "loss", None)
    rng = np.random.default_rng(0)
    arrays = {
        k: rng.integers(0, 3, a.shape) if a.dtype.kind == "i" else rng.standard_normal(a.shape)
        for k, a in made_up.zeros(graph, {}).arrays.items()
    }
    over = {a for u in graph.inputs.values() for a in u.axes}
    return graph, {**arrays, **{a.name: 4 for a in graph.axes if a not in over and a.size is None}}


def test_what_runs_step_by_step_and_what_does_not_become_one_function():
    graph, arrays = rnn(t=4)
    _, parts = run_text(_joint(graph, "loss", None), arrays, None)
    assert parts == 1


def test_values_that_one_pass_makes_and_uses_have_no_buffer():
    t = uf.axis("t")
    x = uf.input("x", "n", over=t)
    graph = uf.graph(y=uf.exp(uf.tanh(x[t] + 1) * 2) + x[t])
    text = graph.code(t=3, n=4, backend="numba") if modules.available() else _code(graph, t=3, n=4)
    function = text[text.index("def part") :]
    assert function.count("] = ") == 1


def _code(graph: Any, **sizes: int) -> str:
    return printed.code(graph, made_up.zeros(graph, sizes), jit=True)


def test_a_label_outside_the_classes_is_refused_as_the_plain_backend_refuses_it():
    graph = uf.systems.rnn()
    arrays = {k: np.ones(a.shape, a.dtype) for k, a in made_up.zeros(graph, {"t": 3}).arrays.items()}
    arrays["y"] = np.array([0, 99, 1])
    joint = _joint(graph, "loss", None)
    with pytest.raises(IndexError):
        run_text(joint, arrays, None)
    with pytest.raises(IndexError):
        joint.compile()(**arrays)


def test_what_cannot_be_compiled_stays_and_says_why():
    t = uf.axis("t")
    x, h = uf.input("x", "n", over=t), uf.var("h", "n", over=t)
    h[0] = 0
    h[t] = uf.cumsum(h[t - 1] + x[t])
    text = _code(uf.graph(loss=uf.sum(h[t] ** 2, over=t)), t=3, n=2)
    assert "# not compiled: it runs copyto" in text


def test_contractions_of_nothing_are_left_to_the_plain_backend():
    graph, arrays = example_of("memory_network", batched=True)
    over = {name: [a.name for a in u.axes] for name, u in graph.inputs.items()}
    lead = {k: over[k].index("n") for k in over if "n" in over[k]}
    empty = {k: np.take(a, [], axis=lead[k]) if k in lead else a for k, a in arrays.items()}
    with np.errstate(all="ignore"):  # a mean over no sequence
        expected = graph.compile(backend="reference")(**empty)
        outputs, _ = run_text(graph, empty, None)
    for key, value in expected.items():
        assert np.shape(outputs[key]) == np.shape(value), key


def test_transposed_and_reversed_arrays_are_read_right():
    graph, arrays = rnn(t=4)
    joint = _joint(graph, "loss", None)
    expected = joint.compile(backend="reference")(**arrays)
    turned = {k: np.asfortranarray(a)[::-1][::-1] for k, a in arrays.items()}
    outputs, _ = run_text(joint, turned, None)
    assert all(np.allclose(outputs[k], v) for k, v in expected.items())


@pytest.mark.parametrize("name", ["total", "top", "inner", "shift", "at", "bool", "memory_dtype"])
def test_arrays_may_be_named_like_what_compiled_parts_call(name):
    t = uf.axis("t")
    x, w, h = uf.input(name, "n", over=t), uf.param("w", "n", "n"), uf.var("h", "n", over=t)
    h[0] = 0
    h[t] = uf.tanh(w @ h[t - 1] + x[t])
    graph = uf.graph(loss=uf.sum(uf.sum(h[t] ** 2), over=t), p=uf.softmax(h[t]), q=x[t] > 0)
    same_values(graph, {name: np.linspace(-1, 2, 12).reshape(4, 3), "w": np.eye(3)[::-1] / 2})


def test_a_piece_of_a_concatenation_does_not_overwrite_what_it_reads():
    t = uf.axis("t")
    x, w, v = uf.input("x", 4, over=t), uf.param("w", 2, 4), uf.param("v", 2, 4)
    graph = uf.graph(y=uf.exp(uf.concat(v @ uf.cos(x[t]), w @ uf.tanh(x[t]))) * 2)
    rng = np.random.default_rng(0)
    same_values(graph, {k: rng.standard_normal(n) for k, n in (("x", (5, 4)), ("w", (2, 4)), ("v", (2, 4)))})


def test_a_concatenation_times_one_of_its_pieces_has_a_place_of_its_own():
    t = uf.axis("t")
    x, y = uf.input("x", 1, 3, over=t), uf.input("y", 2, 3, over=t)
    piece = uf.tanh(x[t])
    graph = uf.graph(z=uf.exp(uf.concat(piece, uf.sin(y[t]), axis=0) * piece))
    rng = np.random.default_rng(0)
    same_values(graph, {"x": rng.standard_normal((4, 1, 3)), "y": rng.standard_normal((4, 2, 3))})


def test_signs_of_no_numbers_and_conditions_of_numbers_are_those_of_numpy():
    t = uf.axis("t")
    x, y = uf.input("x", over=t), uf.input("y", over=t)
    both, either = uf.logical_and(x[t], y[t]), uf.logical_or(x[t], y[t])
    graph = uf.graph(
        a=uf.sign(x[t]) * 2, b=uf.where(both, x[t], y[t]) + 1, c=uf.where(either, x[t], y[t]) * 3
    )
    rows = np.array([[np.nan, -0.0, 0.5, 0.0, -3.0, 2.5], [0.5, 0.5, 0.25, 0.0, 0.0, 0.7]])
    same_values(graph, dict(zip("xy", rows, strict=True)))


def same_values(graph: Any, arrays: dict[str, Any]) -> None:
    expected = graph.compile(backend="reference")(**arrays)
    outputs, parts = run_text(graph, arrays, None)
    assert parts
    for key, value in expected.items():
        assert np.allclose(outputs[key], value, equal_nan=True), key


# ---------------------------------------------------------------------- with Numba
@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("UNFOLD_CACHE", str(tmp_path))
    return tmp_path


@needs_numba
@pytest.mark.parametrize("name", ["rnn", "lstm", "gru", "bidirectional", "grid", "attention"])
def test_compiled_systems_agree(name):
    graph, arrays = example_of(name, batched=True)
    agree(graph, arrays, 1e-9, jit=True)


@needs_numba
@pytest.mark.parametrize("seed", range(10))
def test_compiled_random_systems_agree(seed):
    graph, arrays = request(seed, batched=seed % 2 == 1)
    agree(graph, arrays, 1e-9, [None if seed % 3 else ()], jit=True)


@needs_numba
def test_compiled_single_precision_agrees():
    graph, arrays = request(1, batched=True)
    single = {
        k: np.asarray(a, np.float32) if np.asarray(a).dtype.kind == "f" else a for k, a in arrays.items()
    }
    agree(graph, single, 2e-4, [None], jit=True)


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
def test_a_damaged_cache_is_rebuilt(cache):
    graph, arrays = rnn(t=4)
    agree(graph, arrays, 1e-9, [None], jit=True)
    kept = list(cache.rglob("*.nb*"))
    assert kept
    for path in kept:
        path.write_bytes(b"not what was written")
    for path in cache.glob("*.py"):
        path.write_text("damaged")
    agree(graph, arrays, 1e-9, [None], jit=True)


@needs_numba
def test_auto_compiles_when_plain_calls_have_taken_as_long(cache, monkeypatch):
    graph, arrays = rnn(t=4)
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
    graph, arrays = rnn(t=2)
    with pytest.raises(uf.UnfoldError, match=r"pip install 'unfold\[jit\]'"):
        graph.compile(backend="numba")(**arrays)
    assert np.isfinite(graph.compile(backend="auto")(**arrays).loss)
