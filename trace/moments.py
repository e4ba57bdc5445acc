"""When something can have happened: an entered instant known to the minute, or a day of which any minute may be meant.

Chronology compares intervals (architecture.md, rule 9): a fact contradicts another only when no minute of its day would
do. The day is the one of the offset it was entered in.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass

DAY = "day"
CHINA = 480
"""Minutes east of UTC of the time everybody here goes by."""


@dataclass(frozen=True)
class Span:
    """The first and the last instant that may be meant, both included."""

    first: datetime.datetime
    last: datetime.datetime


def span(at: datetime.datetime, precision: str, tz_offset: int = 480) -> Span:
    """The interval of an instant with its precision (``minute`` or ``day``) and entered offset in minutes. Who writes
    a minute means any moment of it: goods taken in at 9:43:20 may leave at 9:43.
    """
    if precision != DAY:
        first = at.replace(second=0, microsecond=0)
        return Span(first, first + datetime.timedelta(seconds=59, microseconds=999_999))
    zone = datetime.timezone(datetime.timedelta(minutes=tz_offset))
    day = at.astimezone(zone).date()
    return Span(
        datetime.datetime.combine(day, datetime.time.min, zone), datetime.datetime.combine(day, datetime.time.max, zone)
    )


def words(at: datetime.datetime, precision: str = "minute", tz_offset: int = CHINA) -> str:
    """The moment for a message: with the minute only where it is known, with the zone where it is not that of China.

    So that two moments of different zones beside each other can be compared: ``2026-11-29 10:00 UTC+09:00``.
    """
    zone = datetime.timezone(datetime.timedelta(minutes=tz_offset))
    text = at.astimezone(zone).strftime("%Y-%m-%d" if precision == DAY else "%Y-%m-%d %H:%M")
    return text if tz_offset == CHINA else f"{text} {zone_words(tz_offset)}"


def zone_words(tz_offset: int) -> str:
    """Minutes east of UTC as ``UTC+05:30``."""
    return f"UTC{'-' if tz_offset < 0 else '+'}{abs(tz_offset) // 60:02d}:{abs(tz_offset) % 60:02d}"
