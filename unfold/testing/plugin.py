"""A pytest fixture: `gradcheck(graph, "loss", w=gradcheck.rng.normal(size=3))` fails a test whose
gradients are wrong, and prints the seed that repeats it.

Put `pytest_plugins = "unfold.testing.plugin"` into a conftest.py, or call pytest with
`-p unfold.testing.plugin`.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from unfold.check import Report
    from unfold.core.system import Wrt
    from unfold.graph import Graph


def pytest_addoption(parser: pytest.Parser) -> None:
    """--gradcheck-seed=N: the same seed in every test, instead of one from each test's name."""
    text = "seed of the fixture gradcheck (default: from the name of each test)"
    parser.addoption("--gradcheck-seed", type=int, default=None, help=text)


class Gradcheck:
    """`assert_gradients` with a seed of its test, and `rng` to draw arrays with."""

    def __init__(self, seed: int) -> None:
        self.seed, self.rng = seed, np.random.default_rng(seed)

    def __call__(
        self,
        graph: Graph,
        of: str = "loss",
        wrt: Wrt = None,
        seed: int | None = None,
        gradients: Mapping[str, Any] | None = None,
        order: int = 1,
        only: tuple[str, str, int | None] | None = None,
        *,
        arrays: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> Report:
        """The report; `GradientError` unless the gradients hold. Arguments are those of `uf.check`."""
        arrays = {**(arrays or {}), **more}
        from unfold.check import assert_gradients

        __tracebackhide__ = True
        seed = self.seed if seed is None else seed
        return assert_gradients(graph, of, wrt, seed, gradients, order, only, arrays=arrays)


@pytest.fixture
def gradcheck(request: pytest.FixtureRequest) -> Gradcheck:
    """Check gradients, and raise `GradientError` with the report unless they hold."""
    given = request.config.getoption("--gradcheck-seed")
    seed = zlib.crc32(request.node.nodeid.encode()) if given is None else given
    request.node.add_report_section("setup", "gradcheck", f"--gradcheck-seed={seed} repeats this test")
    return Gradcheck(seed)
