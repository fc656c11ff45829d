"""What tests share: an axis, and hypothesis without a clock (machines differ)."""

import pytest
from hypothesis import settings

import unfold as uf
from unfold.op import FUNCTIONS, OPERATIONS

settings.register_profile("suite", deadline=None, derandomize=True)
settings.load_profile("suite")


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
