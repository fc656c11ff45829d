"""Random systems by the thousand, judged as brute force judges them.

Brute force unrolls the reads at small sizes and looks for a concrete cycle.
"""

from __future__ import annotations

import random

import pytest
from random_systems import Lags, lag_system

from unfold.core.errors import DefinitionError, NotProven

ONE_AXIS, TWO_AXES, PARTS = 2000, 500, 4


def verdict(system: Lags) -> DefinitionError | None:
    try:
        system.graph()
    except DefinitionError as error:
        return error
    return None


@pytest.mark.parametrize("part", range(PARTS))
def test_systems_over_one_axis_are_legal_exactly_when_no_cycle_exists_at_any_size(part: int) -> None:
    legal = 0
    for seed in range(part, ONE_AXIS, PARTS):
        system = lag_system(random.Random(seed), axes=1, largest=3)
        error = verdict(system)
        assert (error is None) == all(system.has_order((n,)) for n in range(1, 13)), (seed, system, error)
        legal += error is None
    assert 0.2 < legal / (ONE_AXIS / PARTS) < 0.8  # both kinds are common


def test_systems_over_two_axes_are_judged_as_brute_force_judges_them() -> None:
    unsure = legal = 0
    for seed in range(TWO_AXES):
        system = lag_system(random.Random(seed), axes=2, largest=2)
        error = verdict(system)
        if isinstance(error, NotProven):
            unsure += 1
            continue
        if error is None:
            assert all(system.has_order(n) for n in ((1, 4), (4, 1), (3, 3), (5, 5))), (seed, system)
            legal += 1
        else:
            assert not system.has_order((12, 12)), (seed, system, error)
    assert unsure <= 0.02 * TWO_AXES
    assert 0.5 < legal / TWO_AXES < 0.95
