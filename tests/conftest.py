"""What tests share: an axis, and hypothesis without a clock (machines differ)."""

import pytest
from hypothesis import settings

import unfold as uf

settings.register_profile("suite", deadline=None, derandomize=True)
settings.load_profile("suite")


@pytest.fixture
def t():
    return uf.axis("t")
