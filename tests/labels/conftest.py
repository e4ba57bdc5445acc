"""The cache keeps the counts of limits; no test may inherit another's."""

from collections.abc import Iterator

import pytest
from django.core.cache import cache


@pytest.fixture(autouse=True)
def fresh_limits() -> Iterator[None]:
    """An empty cache before each test."""
    cache.clear()
    yield
    cache.clear()
