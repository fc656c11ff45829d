"""Compiled parts of a plan: their text run by Python, and by Numba where it is installed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from interpreted import interpreted
from test_plan import agree, request, rnn

import unfold as uf
from unfold.backends import kernels, modules
from unfold.backends import numpy as printed
from unfold.binding import bind, example
from unfold.run import _joint

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
    monkeypatch.setattr("unfold.backends.jit.has_blas", lambda: blas)
    monkeypatch.setattr(kernels, "SMALL", 0 if seed % 2 else 512)
    graph, arrays = request(seed, batched=seed % 3 == 1)
    expected = graph.compile(backend="reference")(**arrays)
    outputs, parts = run_text(graph, arrays, None if seed % 5 else ())
    for name, value in expected.items():
        scale = 1 + np.abs(value).max(initial=0)
        assert np.abs(outputs[name] - value).max(initial=0) <= 1e-9 * scale, name


