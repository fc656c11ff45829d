"""`unfold.testing`: specs that print and build, strategies a user can lean on."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, find, given, settings
from hypothesis import strategies as st

import unfold as uf
from unfold.core.node import Node
from unfold.core.op import Elementwise, operation
from unfold.graph import Graph
from unfold.testing import BlockSpec, EquationSpec, SystemSpec, build
from unfold.testing.strategies import (
    broadcastable,
    expressions,
    illegal_systems,
    inputs,
    kinky_inputs,
    op_calls,
    shapes,
    systems,
    time_lengths,
)

pytest_plugins = ["pytester"]

RECURRENCE = SystemSpec(
    2, (BlockSpec(1, (EquationSpec(True, ("tanh", ("add", ("read", 0, 1), ("x", 0)))),)),)
)


def test_a_spec_says_what_it_builds() -> None:
    graph = build(RECURRENCE).graph
    assert str(graph.definitions[graph.symbols["v0[t]"]]) == "tanh(v0[t-1] + x[t])"
    assert eval(repr(RECURRENCE)) == RECURRENCE


def test_the_arrays_of_a_system_fit_it_and_repeat() -> None:
    system = build(RECURRENCE)
    one, other = system.arrays(5, steps=3), system.arrays(5, steps=3)
    assert one["x"].shape == (3, 2)
    assert all(np.array_equal(one[n], other[n]) for n in one)
    assert system.graph(**one)["out0"].shape == (3, 2)


def test_what_is_no_spec_is_refused() -> None:
    with pytest.raises(TypeError, match="not a spec"):
        build("h[t] = 0")


@settings(max_examples=30, suppress_health_check=list(HealthCheck))
@given(systems(max_vars=3, max_lag=2, max_depth=2), st.data())
def test_systems_build_and_run_within_their_bounds(spec: SystemSpec, data: st.DataObject) -> None:
    assert spec.max_lag <= 2
    assert sum(len(b.equations) for b in spec.blocks) <= 3
    system = build(spec)
    assert isinstance(system.graph, Graph)
    result = system.graph(**data.draw(inputs(system)))
    assert np.isfinite(result["loss"])


@settings(max_examples=20, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_kinky_inputs_hit_kinks(data: st.DataObject) -> None:
    arrays = data.draw(kinky_inputs(build(RECURRENCE), steps=20))
    assert np.isin(arrays["x"], [0.0, 1.0, -1.0, 0.5]).any()


@settings(max_examples=30)
@given(broadcastable(3))
def test_broadcastable_shapes_broadcast(drawn: tuple[tuple[int, ...], ...]) -> None:
    np.broadcast_shapes(*drawn)


@settings(max_examples=20)
@given(time_lengths(3))
def test_time_lengths_are_positive(steps: int) -> None:
    assert steps >= 1


def test_time_lengths_lie_below_at_and_above_the_largest_lag() -> None:
    assert all(find(time_lengths(3), lambda n, k=k: n == k) == k for k in (1, 2, 3, 4))


def test_shapes_reach_empty_and_single_dimensions() -> None:
    assert find(shapes("(m,n),(n)->(m)"), lambda s: s[0] == (0, 1)) == ((0, 1), (1,))


@settings(max_examples=20, suppress_health_check=list(HealthCheck))
@given(expressions(max_depth=2))
def test_expressions_have_no_time(spec: Any) -> None:
    assert build(spec).graph.axes == ()


def test_every_kind_of_illegal_system_is_drawn() -> None:
    kinds = ["InstantaneousLoop", "ZeroDelayLoop", "TwoWayTime", "MissingBoundary", "Undefined", "Redefined"]
    assert all(find(illegal_systems(), lambda s, k=k: s.error == k).error == k for k in kinds)


def test_a_failing_system_shrinks_to_a_small_one() -> None:
    small = systems(max_vars=2, max_depth=1)
    spec = find(small, lambda s: any(b.direction < 0 for b in s.blocks), settings=settings(max_examples=50))
    assert len(spec.blocks) == 1
    assert spec.size == 1


# ---------------------------------------------------------------------- the example of the documentation
@dataclass(frozen=True)
class Softclip_of_test(Elementwise):
    """a / sqrt(1 + a**2)"""

    domain = ((-3.0, 3.0),)
    slip = 1.0

    def forward(self, xp: Any, a: Any) -> Any:
        return a / xp.sqrt(1.0 + a * a)

    def vjp(self, ct: Node, out: Node, a: Node) -> tuple[Node]:
        return (self.slip * ct / uf.sqrt(1.0 + a * a) ** 3,)


@pytest.fixture
def softclip() -> Any:
    return operation(Softclip_of_test)


def property_of_softclip() -> None:
    @settings(max_examples=25, suppress_health_check=list(HealthCheck))
    @given(op_calls("softclip_of_test"))
    def holds(spec: Any) -> None:
        system = build(spec)
        uf.assert_gradients(system.graph, "loss", wrt=list(system.graph.inputs), **system.arrays())

    holds()


def test_a_user_property_tests_an_operation_in_five_lines(softclip: Any) -> None:
    property_of_softclip()


def test_and_a_slip_in_its_rule_is_found(softclip: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Softclip_of_test, "slip", 1.000001)
    with pytest.raises(uf.GradientError, match=r"softclip_of_test, argument 0"):
        property_of_softclip()


def test_without_hypothesis_the_strategies_say_what_to_install() -> None:
    program = (
        "import sys; sys.modules['hypothesis'] = None\n"
        "import unfold.testing as t\n"
        "print(t.build.__name__)\n"
        "try:\n    t.systems\nexcept ImportError as error:\n    print(error)\n"
    )
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert "build" in out
    assert "pip install hypothesis" in out


# ---------------------------------------------------------------------- the pytest fixture
MODULE = """
    import unfold as uf
    from unfold.testing import mutate

    w = uf.param("w", 3)
    graph = uf.graph(loss=uf.sum(uf.tanh(w)))

    def test_right(gradcheck):
        assert gradcheck(graph, w=gradcheck.rng.normal(size=3)).seed == gradcheck.seed

    def test_wrong(gradcheck):
        wrong = mutate(graph, graph.outputs["loss"].inputs[0], 0, "double")
        gradcheck(wrong, "loss", w=gradcheck.rng.normal(size=3))
"""


def run_with_fixture(pytester: pytest.Pytester, *options: str) -> str:
    pytester.makepyfile(MODULE)
    result = pytester.runpytest("-p", "unfold.testing.plugin", *options)
    result.assert_outcomes(passed=1, failed=1)
    return result.stdout.str()


def test_the_fixture_fails_a_test_with_the_report_and_the_seed(pytester: pytest.Pytester) -> None:
    first = run_with_fixture(pytester)
    assert "culprit    rule of tanh, argument 0" in first
    (seed,) = re.findall(r"--gradcheck-seed=(\d+) repeats this test", first)
    assert f"seed={seed}," in first
    worst = re.search(r"worst .*", first)
    again = run_with_fixture(pytester, f"--gradcheck-seed={seed}")
    assert worst
    assert worst[0] in again
    assert worst[0] not in run_with_fixture(pytester, "--gradcheck-seed=0")


def test_the_fixture_needs_no_hypothesis_and_is_not_imported_with_unfold() -> None:
    program = (
        "import sys; sys.modules['hypothesis'] = None\n"
        "import unfold, unfold.testing\n"
        "assert 'pytest' not in sys.modules and 'unfold.testing.plugin' not in sys.modules\n"
        "import unfold.testing.plugin\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
