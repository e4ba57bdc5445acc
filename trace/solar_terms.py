"""The 24 solar terms (节气) by the sun's apparent longitude. Pure.

GB/T 33661-2017 defines a term as the instant the sun's apparent geocentric longitude reaches a multiple of 15° and
counts
its day in Beijing time. The longitude is that of Meeus, Astronomical Algorithms, chapter 25 (low accuracy, 0.01°, about
a quarter of an hour), enough for a warning; compared with published dates of 1950 to 2100 in the tests' table.
"""

from __future__ import annotations

import datetime
import math

BEIJING = datetime.timezone(datetime.timedelta(hours=8))
LONGITUDES = {"立秋": 135, "处暑": 150, "白露": 165, "秋分": 180, "寒露": 195}
"""The terms of the harvest, in degrees."""
_J2000 = datetime.datetime(2000, 1, 1, 12, tzinfo=datetime.UTC)
_TT_MINUS_UTC = 69 / 86_400


def apparent_longitude(at: datetime.datetime) -> float:
    """The sun's apparent longitude in degrees, 0–360."""
    days = (at - _J2000).total_seconds() / 86_400 + _TT_MINUS_UTC
    century = days / 36_525
    mean = 280.46646 + 36_000.76983 * century + 0.0003032 * century**2
    anomaly = math.radians(357.52911 + 35_999.05029 * century - 0.0001537 * century**2)
    centre = (
        (1.914602 - 0.004817 * century - 0.000014 * century**2) * math.sin(anomaly)
        + (0.019993 - 0.000101 * century) * math.sin(2 * anomaly)
        + 0.000289 * math.sin(3 * anomaly)
    )
    node = math.radians(125.04 - 1934.136 * century)
    return (mean + centre - 0.00569 - 0.00478 * math.sin(node)) % 360


def solar_term(name: str, year: int) -> datetime.date:
    """The day of a term in Beijing time: ``solar_term("白露", 2025)`` is 2025-09-07. KeyError for another name."""
    target = LONGITUDES[name]
    low = datetime.datetime(year, 7, 1, tzinfo=datetime.UTC)
    high = datetime.datetime(year, 11, 1, tzinfo=datetime.UTC)
    while high - low > datetime.timedelta(seconds=30):
        middle = low + (high - low) / 2
        low, high = (middle, high) if apparent_longitude(middle) < target else (low, middle)
    return high.astimezone(BEIJING).date()
