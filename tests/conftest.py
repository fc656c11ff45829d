"""What tests share: an axis, and hypothesis without a clock (machines differ)."""

import os

import pytest
from hypothesis import Phase, settings

import unfold as uf
from unfold.core.node import FUNCTIONS, OPERATIONS

os.environ["UNFOLD_STRICT"] = "1"  # a plan that fails is an error, never interpreted in silence
settings.register_profile("suite", deadline=None, derandomize=True)
settings.register_profile("mutation", settings.get_profile("suite"), phases=(Phase.explicit, Phase.generate))
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))


@pytest.fixture
def t():
    return uf.axis("t")


@pytest.fixture(autouse=True)
def _operations_stay_as_they_were():
    """An operation that a test registers is gone after it."""
    before = dict(OPERATIONS), dict(FUNCTIONS)
    yield
    for registry, saved in zip((OPERATIONS, FUNCTIONS), before, strict=True):
        registry.clear()
        registry.update(saved)
