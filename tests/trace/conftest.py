"""What tests of the trace app share."""

import datetime

import pytest
from django.utils import timezone

from tests.goods import START
from trace.forms import field


@pytest.fixture(autouse=True)
def _the_season_is_not_long_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    """A phone may bring what was entered up to 400 days ago; the tests' season stays where it is as years go by."""
    since = timezone.now() - START + datetime.timedelta(days=30)
    if since > field.LATEST:
        monkeypatch.setattr(field, "LATEST", since)
