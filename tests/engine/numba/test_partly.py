"""Compiled programs: the text of their functions run by Python, and by Numba where it is installed."""

from __future__ import annotations

import random
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from interpreted import interpreted
from random_systems import lag_system, model

import unfold as uf
from tests.engine.conftest import arrays_for
from tests.engine.test_planning import MAKERS, batched, with_gradients
from unfold.core.errors import UnfoldError
from unfold.engine import reference
from unfold.engine.binding import bind
from unfold.engine.numba import compiled_text, modules, partly
from unfold.engine.numba.partly import PASSES, compiled, rendered, stretches
from unfold.engine.planning import plan
from unfold.engine.run import _joint

needs_numba = pytest.mark.skipif(
    not modules.available(), reason="Numba is not installed (pip install 'unfold[jit]')"
)


def agrees(
    graph: Any,
    arrays: dict[str, Any],
    passes: Any = PASSES,
    load: Any = interpreted,
    tolerance: float = 1e-9,
) -> Any:
    """Plan, run twice, and compare with the definition."""
    bound = bind(graph, arrays)
    program = plan(graph, bound, passes=passes)
    with np.errstate(all="ignore"):
        run, want = compiled(program, load), reference.compile(graph)(bound)
        for _ in range(2):  # what the first call leaves behind must not matter
            got = run(bound.arrays)
            for name, value in want.items():
                assert got[name].shape == value.shape, name
                assert got[name].dtype == value.dtype, name
                np.testing.assert_allclose(got[name], value, rtol=tolerance, atol=tolerance, err_msg=name)
    return program


def parts(program: Any) -> int:
    """How many functions are compiled."""
    return len(rendered(program)[1])


# ---------------------------------------------------------------------- the text, run by Python
@pytest.mark.parametrize(
    ("how", "blas"),
    [("plain", True), ("batch", False), ("lengths", True)],
    ids=["with BLAS", "batch", "lengths, with BLAS"],
)
@pytest.mark.parametrize("name", MAKERS)
def test_the_text_of_a_system_gives_the_values_of_the_definition(name, how, blas, monkeypatch):
    monkeypatch.setattr(partly.modules, "has_blas", lambda: blas)
    monkeypatch.setattr(compiled_text, "SMALL", 0 if how == "batch" else 512)
    try:
        graph = batched(MAKERS[name](), how)
    except UnfoldError:
        pytest.skip("it has no such batch")
    request = with_gradients(graph)
    assert parts(agrees(request, arrays_for(request, t=3)))


@pytest.mark.parametrize("seed", range(16))
def test_the_text_of_a_random_system_gives_the_values_of_the_definition(seed):
    m = model(seed, None if seed % 5 else seed % 4)
    graph, arrays = m.graph, dict(m.arrays)
    if not graph.inputs:
        arrays |= {a.name: m.steps for a in graph.axes}
    request = _joint(graph, "loss", [*graph.params, *graph.inputs])
    try:
        reference.compile(request)(bind(request, arrays))
    except ValueError:
        pytest.skip("the definition has no value there")  # the greatest of nothing
    for passes in (PASSES, ()):
        agrees(request, arrays, passes)


@pytest.mark.parametrize("seed", range(20))
def test_any_order_of_computation_is_compiled(seed):
    rng = random.Random(seed)
    axes = rng.choice([1, 2, 2, 3])
    system = lag_system(rng, axes=axes, largest=rng.choice([1, 2]))
    sizes = {"ijk"[a]: rng.choice([1, 2, 3, 4]) for a in range(axes)}
    try:
        graph = system.graph()
    except UnfoldError:
        pytest.skip("it has no order of computation")
    agrees(graph, sizes)


@pytest.mark.parametrize("steps", [0, 1, 2])
@pytest.mark.parametrize("name", ["rnn", "lstm", "bidirectional", "attention"])
def test_few_steps_or_none_are_no_special_case(name, steps):
    graph = with_gradients(MAKERS[name]().batch("n"))
    arrays = arrays_for(graph, **{a.name: steps for a in graph.axes if a.name != "n"}, n=2)
    try:
        reference.compile(graph)(bind(graph, arrays))
    except (UnfoldError, ValueError):
        pytest.skip("the definition has no value there")
    agrees(graph, arrays)


def test_what_runs_step_by_step_and_what_does_not_become_one_function():
    graph = with_gradients(uf.systems.rnn())
    assert parts(agrees(graph, arrays_for(graph))) == 1


def test_values_that_one_pass_makes_and_uses_have_no_memory():
    t = uf.axis("t")
    x = uf.input("x", "n", over=t)
    graph = uf.graph(y=uf.exp(uf.tanh(x[t] + 1) * 2) + x[t])
    _, (function,), _ = rendered(agrees(graph, arrays_for(graph)))
    assert function.count("] = ") == 1


def test_what_cannot_be_compiled_stays_and_the_source_says_why():
    t = uf.axis("t")
    x, h = uf.input("x", "n", over=t), uf.var("h", "n", over=t)
    h[0] = 0
    h[t] = uf.cumsum(h[t - 1] + x[t])
    graph = uf.graph(loss=uf.sum(h[t] ** 2, over=t))
    program = agrees(graph, arrays_for(graph))
    assert "# not compiled: it calls cumsum" in rendered(program)[0]
    assert [s.why for s in stretches(program, True) if s.why] == ["it calls cumsum"]


def test_complex_numbers_are_left_to_numpy():
    graph = with_gradients(uf.systems.rnn())
    arrays = {k: a + 0.1j if a.dtype.kind == "f" else a for k, a in arrays_for(graph).items()}
    bound = bind(graph, arrays, holomorphic=True)
    program = plan(graph, bound)
    assert parts(program) == 0
    want = reference.compile(graph)(bound)
    got = compiled(program)(bound.arrays)
    assert all(np.allclose(got[k], v) for k, v in want.items())


def test_a_label_outside_the_classes_is_refused():
    graph = with_gradients(uf.systems.rnn())
    arrays = arrays_for(graph)
    arrays["y"] = np.array([0, 99, 1, 1])
    bound = bind(graph, arrays)
    with pytest.raises(IndexError, match="a label is not one of"):
        compiled(plan(graph, bound), interpreted)(bound.arrays)


def test_transposed_and_reversed_arrays_are_read_right():
    graph = with_gradients(uf.systems.lstm())
    arrays = arrays_for(graph)
    bound = bind(graph, arrays)
    run = compiled(plan(graph, bound), interpreted)
    want = run(bound.arrays)
    turned = {k: np.asfortranarray(a)[::-1].copy()[::-1] for k, a in bound.arrays.items()}
    got = run(turned)
    assert all(np.allclose(got[k], v) for k, v in want.items())


CALLED = ["total", "top", "inner", "shift", "at", "bool", "part1", "_m0", "_i0", "_v1", "_c0", "_D", "_y"]


@pytest.mark.parametrize("name", CALLED)
def test_arrays_may_be_named_like_what_functions_call(name):
    t = uf.axis("t")
    x, w, h = uf.input(name, "n", over=t), uf.param("w", "n", "n"), uf.var("h", "n", over=t)
    h[0] = 0
    h[t] = uf.tanh(w @ h[t - 1] + x[t])
    graph = uf.graph(loss=uf.sum(uf.sum(h[t] ** 2), over=t), p=uf.softmax(h[t]), q=x[t] > 0)
    agrees(graph, {name: np.linspace(-1, 2, 12).reshape(4, 3), "w": np.eye(3)[::-1] / 2})


def test_a_pass_does_not_overwrite_what_its_next_entry_reads():
    t = uf.axis("t")
    x, y = uf.input("x", 1, 3, over=t), uf.input("y", 2, 3, over=t)
    piece = uf.tanh(x[t])
    graph = uf.graph(z=uf.exp(uf.concat(piece, uf.sin(y[t]), axis=0) * piece))
    agrees(graph, {k: np.random.default_rng(0).standard_normal((4, n, 3)) for k, n in (("x", 1), ("y", 2))})


def test_signs_of_no_numbers_and_conditions_of_numbers_are_those_of_numpy():
    t = uf.axis("t")
    x, y = uf.input("x", over=t), uf.input("y", over=t)
    both, either = uf.logical_and(x[t], y[t]), uf.logical_or(x[t], y[t])
    graph = uf.graph(
        a=uf.sign(x[t]) * 2, b=uf.where(both, x[t], y[t]) + 1, c=uf.where(either, x[t], y[t]) * 3
    )
    rows = np.array([[np.nan, -0.0, 0.5, 0.0, -3.0, 2.5], [0.5, 0.5, 0.25, 0.0, 0.0, 0.7]])
    agrees(graph, dict(zip("xy", rows, strict=True)))


# ---------------------------------------------------------------------- with Numba
@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("UNFOLD_CACHE", str(tmp_path))
    return tmp_path


@needs_numba
@pytest.mark.parametrize("name", ["rnn", "lstm", "bidirectional", "grid", "attention"])
def test_compiled_systems_agree(name):
    graph = with_gradients(MAKERS[name]().batch("n"))
    agrees(graph, arrays_for(graph), load=modules.load)


@needs_numba
@pytest.mark.parametrize("seed", range(6))
def test_compiled_random_systems_agree(seed):
    m = model(seed)
    request = _joint(m.graph, "loss", [*m.graph.params, *m.graph.inputs])
    agrees(request, m.arrays, PASSES if seed % 3 else (), modules.load)


@needs_numba
def test_compiled_single_precision_agrees():
    graph = with_gradients(uf.systems.gru().batch("n"))
    arrays = {k: a.astype(np.float32) if a.dtype.kind == "f" else a for k, a in arrays_for(graph).items()}
    agrees(graph, arrays, load=modules.load, tolerance=2e-4)


@needs_numba
def test_a_damaged_cache_is_rebuilt(cache):
    graph = with_gradients(uf.systems.rnn())
    agrees(graph, arrays_for(graph), load=modules.load)
    kept = list(cache.rglob("*.nb*"))
    assert kept
    for path in kept:
        path.write_bytes(b"not what was written")
    for path in cache.glob("*.py"):
        path.write_text("damaged")
    agrees(graph, arrays_for(graph), load=modules.load)


SECOND = """
import numpy as np, unfold as uf
from unfold.engine.binding import bind
from unfold.engine.numba.partly import compiled
from unfold.engine.planning import plan
t = uf.axis("t")
x = uf.input("x", 3, over=t)
graph = uf.graph(y=uf.tanh(x[t]) * 2 + 1)
bound = bind(graph, {"x": np.ones((4, 3))})
print(compiled(plan(graph, bound))(bound.arrays)["y"].sum())
"""


@needs_numba
def test_what_is_kept_is_found_by_a_second_process_where_numba_is_told_a_folder(cache, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(cache / "numba"))
    said = [
        subprocess.run([sys.executable, "-c", SECOND], check=True, capture_output=True).stdout
        for _ in range(2)
    ]
    assert said[0] == said[1]
    assert len(list(cache.rglob("*.nbc"))) == 1
