"""Limits are counted in a file of the installation; no test may inherit another's counts."""

from collections.abc import Iterator

import pytest

from labels.actions.suspicions import spool_path
from trace import throttle


@pytest.fixture(autouse=True)
def fresh_limits() -> Iterator[None]:
    """All allowances whole before each test."""
    throttle.forget_all()
    spool_path().unlink(missing_ok=True)
    yield
    throttle.forget_all()
