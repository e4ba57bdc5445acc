"""The working calendar as rows, seeded after each migration from ``recalls/data/workdays.csv``."""

from __future__ import annotations

from typing import Any

from recalls.law.calendar import read_workdays
from recalls.models import WorkCalendarDay

SEED_SOURCE = "recalls/data/workdays.csv"


def load_workdays(using: str = "default", **kwargs: Any) -> None:
    """Add the days of the shipped file that are not there yet (connected to ``post_migrate``). What an operator loaded
    from a later notice is never overwritten.
    """
    WorkCalendarDay.objects.using(using).bulk_create(
        [
            WorkCalendarDay(on=row.on, is_workday=row.is_workday, official=row.official, source=SEED_SOURCE)
            for row in read_workdays()
        ],
        ignore_conflicts=True,
        batch_size=500,
    )
