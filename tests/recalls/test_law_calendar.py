"""Working days: the shipped table, published vectors, and the honest guess beyond the table."""

import json
from datetime import date, timedelta
from pathlib import Path

import chinese_calendar
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recalls.law import DayRow, WorkCalendar, read_workdays, seed_calendar

KNOWN = st.dates(date(2024, 1, 1), date(2026, 9, 1))
ANY_DAY = st.dates(date(2023, 6, 1), date(2028, 6, 1))
AMOUNT = st.integers(0, 40)


def test_shipped_table_has_every_day_of_2024_to_2026_once() -> None:
    days = [row.on for row in read_workdays()]
    assert days == [date(2024, 1, 1) + timedelta(days=n) for n in range(1096)]
    assert days[-1] == date(2026, 12, 31)


def test_shipped_table_agrees_with_the_library_it_was_made_from() -> None:
    wrong = [row.on for row in read_workdays() if row.is_workday != chinese_calendar.is_workday(row.on)]
    assert wrong == []


def test_vectors_of_the_reference_data_hold(shared_data: Path) -> None:
    vectors = json.loads((shared_data / "cn_workday_vectors.json").read_text(encoding="utf-8"))
    checked = 0
    for vector in vectors:
        start = date.fromisoformat(vector["start"])
        for key, expected in vector.items():
            if not key.startswith("+"):
                continue
            count = seed_calendar().add_workdays(start, int(key[1:-2]))
            if expected == "NO-2027-DATA":
                assert count.unknown_from == date(2027, 1, 1), (start, key)
            else:
                assert (count.last_day.isoformat(), count.unknown_from) == (expected, None), (start, key)
            checked += 1
    assert checked > 100


@pytest.mark.parametrize(
    ("start", "amount", "expected"),
    [
        ("2026-09-24", 10, "2026-10-15"),  # a plain Monday-to-Friday count says 10-08
        ("2025-01-24", 10, "2025-02-13"),  # across Spring Festival
        ("2026-02-13", 1, "2026-02-14"),  # a Saturday that is worked
        ("2026-12-01", 20, "2026-12-29"),
        ("2024-02-08", 1, "2024-02-09"),  # the eve of Spring Festival 2024 was no public holiday
        ("2024-02-09", 1, "2024-02-18"),
    ],
)
def test_working_days_follow_the_published_holidays(start: str, amount: int, expected: str) -> None:
    count = seed_calendar().add_workdays(date.fromisoformat(start), amount)
    assert count.last_day.isoformat() == expected


def test_a_count_says_how_many_rest_and_makeup_days_it_met() -> None:
    # 2026-02-13 Fri: 14 Sat is worked, 15–23 are the festival, 24–27 Tue–Fri are worked.
    count = seed_calendar().add_workdays(date(2026, 2, 13), 3)
    assert (count.last_day, count.rest_days, count.makeup_days) == (date(2026, 2, 25), 9, 1)


def test_beyond_the_table_monday_to_friday_is_guessed_and_said_to_be() -> None:
    count = seed_calendar().add_workdays(date(2026, 12, 31), 2)
    assert count.last_day == date(2027, 1, 4)  # Friday and Monday, as if New Year were no holiday
    assert count.unknown_from == date(2027, 1, 1)


def test_a_row_that_is_not_official_stays_provisional() -> None:
    calendar = WorkCalendar([DayRow(date(2027, 1, 4), is_workday=False, official=False)])
    assert not calendar.is_workday(date(2027, 1, 4))
    assert calendar.add_workdays(date(2027, 1, 3), 1).unknown_from == date(2027, 1, 4)


def test_loading_a_later_notice_changes_the_answer_and_lifts_the_mark() -> None:
    start = date(2026, 12, 30)
    rows = list(read_workdays())
    year = [date(2027, 1, 1) + timedelta(days=n) for n in range(31)]
    rows += [DayRow(day, day.weekday() < 5 and day != date(2027, 1, 1)) for day in year]
    before = seed_calendar().add_workdays(start, 2)
    after = WorkCalendar(rows).add_workdays(start, 2)
    assert (before.last_day, before.unknown_from) == (date(2027, 1, 1), date(2027, 1, 1))
    assert (after.last_day, after.unknown_from) == (date(2027, 1, 4), None)


def test_counting_backwards_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        seed_calendar().add_workdays(date(2026, 1, 5), -1)


@given(ANY_DAY, AMOUNT, AMOUNT)
def test_adding_in_two_steps_is_adding_at_once(start: date, first: int, second: int) -> None:
    calendar = seed_calendar()
    halfway = calendar.add_workdays(start, first).last_day
    assert calendar.add_workdays(halfway, second).last_day == calendar.add_workdays(start, first + second).last_day


@given(ANY_DAY, ANY_DAY, AMOUNT)
def test_a_later_start_never_ends_earlier(one: date, other: date, amount: int) -> None:
    earlier, later = sorted((one, other))
    calendar = seed_calendar()
    assert calendar.add_workdays(earlier, amount).last_day <= calendar.add_workdays(later, amount).last_day


@given(ANY_DAY, st.integers(1, 40))
def test_the_last_day_is_a_working_day_and_exactly_that_many_lie_between(start: date, amount: int) -> None:
    calendar = seed_calendar()
    last = calendar.add_workdays(start, amount).last_day
    days = [start + timedelta(days=n) for n in range(1, (last - start).days + 1)]
    assert calendar.is_workday(last)
    assert sum(calendar.is_workday(day) for day in days) == amount


@given(KNOWN, AMOUNT)
def test_within_the_table_nothing_is_guessed(start: date, amount: int) -> None:
    assert seed_calendar().add_workdays(start, amount).unknown_from is None
