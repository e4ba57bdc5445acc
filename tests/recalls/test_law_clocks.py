"""When limits end: hours, working days, months, zones, festivals, and years whose holidays are not out."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recalls.law import (
    ClockRule,
    DayRow,
    Form,
    LegalEvent,
    Level,
    Track,
    Unit,
    WorkCalendar,
    due,
    read_workdays,
    regime,
    regime_for,
    regimes,
    rules_started_by,
    rules_stopped_by,
    seed_calendar,
)
from recalls.law.clocks import add_months

SHANGHAI = ZoneInfo("Asia/Shanghai")
RULES = [rule for law in regimes() for rule in law.clocks]
INSTANTS = st.datetimes(
    datetime(2024, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC)  # noqa: DTZ001
)  # fmt: skip


def local(year: int, month: int, day: int, hour: int = 9, minute: int = 0) -> datetime:
    """An instant by the clock on the wall in Fenyang."""
    return datetime(year, month, day, hour, minute, tzinfo=SHANGHAI)


def rule(rule_id: str) -> ClockRule:
    """The rule with this id."""
    return next(candidate for candidate in RULES if candidate.id == rule_id)


def test_level_two_known_around_the_change_of_law_has_48_then_36_hours() -> None:
    for knew, hours in ((local(2026, 11, 30, 23, 50), 48), (local(2026, 12, 1, 0, 10), 36)):
        law = regime_for(Track.FOOD, knew).regime
        (start,) = rules_started_by(law, LegalEvent.KNEW, Level.TWO, Form.VOLUNTARY)
        assert due(start, knew, seed_calendar()).at - knew == timedelta(hours=hours)


def test_hours_run_through_spring_festival() -> None:
    answer = due(rule("CN-FOOD-2015/start/1"), local(2026, 2, 16, 22, 15), seed_calendar())
    assert answer.at == local(2026, 2, 17, 22, 15)
    assert answer.at.tzinfo is UTC
    assert not answer.provisional


def test_working_days_begin_next_day_and_end_at_midnight_in_shanghai() -> None:
    answer = due(rule("CN-FOOD-2015/complete/1"), local(2026, 9, 24, 0, 1), seed_calendar())
    assert answer.last_day == date(2026, 10, 15)
    assert answer.at == datetime(2026, 10, 15, 16, 0, tzinfo=UTC)
    assert not answer.breached(local(2026, 10, 15, 23, 59))
    assert not answer.breached(answer.at)
    assert answer.breached(local(2026, 10, 16, 0, 1))


def test_the_starting_day_is_the_one_in_shanghai() -> None:
    late_evening_utc = datetime(2026, 9, 23, 16, 30, tzinfo=UTC)  # already the 24th in Shanghai
    answer = due(rule("CN-FOOD-2015/complete/1"), late_evening_utc, seed_calendar())
    assert answer.last_day == date(2026, 10, 15)


def test_a_recall_announced_before_spring_festival_gets_the_festival() -> None:
    answer = due(rule("CN-FOOD-2015/complete/1"), local(2026, 2, 13), seed_calendar())
    assert answer.last_day == date(2026, 3, 5)
    assert (answer.rest_days, answer.makeup_days) == (10, 2)


def test_a_level_three_clock_that_reaches_2027_is_provisional_until_the_calendar_is_loaded() -> None:
    announced = local(2026, 11, 22)
    guessed = due(rule("CN-FOOD-2015/complete/3"), announced, seed_calendar())
    assert (guessed.provisional, guessed.unknown_from) == (True, date(2027, 1, 1))
    assert "暂定" in guessed.explanation

    year = [date(2027, 1, 1) + timedelta(days=n) for n in range(365)]
    loaded = WorkCalendar(
        [*read_workdays(), *(DayRow(day, day.weekday() < 5 and day != date(2027, 1, 1)) for day in year)]
    )
    known = due(rule("CN-FOOD-2015/complete/3"), announced, loaded)
    assert (known.provisional, known.unknown_from) == (False, None)
    assert known.at == guessed.at + timedelta(days=3)  # New Year's Day is a Friday
    assert "暂定" not in known.explanation


def test_an_unverified_rule_is_provisional_even_when_the_calendar_is_known() -> None:
    answer = due(rule("CN-FOOD-2026/start/2"), local(2026, 12, 1), seed_calendar())
    assert answer.unknown_from is None
    assert answer.provisional
    assert "尚未与正式文本核对" in answer.explanation


def test_a_month_limit_ends_on_the_matching_day_or_the_working_day_after() -> None:
    interim = rule("CN-CONSUMER-2020/interim/*")
    plain = due(interim, local(2026, 3, 5), seed_calendar())
    assert (plain.last_day, plain.nominal) == (date(2026, 6, 5), date(2026, 6, 5))
    moved = due(interim, local(2026, 7, 1), seed_calendar())
    assert (moved.nominal, moved.last_day) == (date(2026, 10, 1), date(2026, 10, 8))
    assert "顺延至2026-10-08" in moved.explanation


def test_a_month_without_the_matching_day_ends_on_its_last_day() -> None:
    assert add_months(date(2025, 11, 30), 3) == date(2026, 2, 28)
    assert add_months(date(2023, 11, 30), 3) == date(2024, 2, 29)
    assert add_months(date(2026, 12, 15), 1) == date(2027, 1, 15)


def test_each_interim_report_counts_from_the_start_and_not_from_a_moved_one() -> None:
    interim = rule("CN-CONSUMER-2020/interim/*")
    start = local(2025, 7, 1)
    days = [due(interim, start, seed_calendar(), occurrence=n).last_day for n in (1, 2, 3)]
    # 1 October 2025 moves to the 9th; 1 January 2026 to the 4th, a Sunday that is worked; 1 April stays.
    assert days == [date(2025, 10, 9), date(2026, 1, 4), date(2026, 4, 1)]


def test_only_a_recurring_limit_has_a_second_occurrence() -> None:
    with pytest.raises(ValueError, match="recur"):
        due(rule("CN-FOOD-2015/start/1"), local(2026, 3, 1), seed_calendar(), occurrence=2)
    with pytest.raises(ValueError, match="recur"):
        due(rule("CN-CONSUMER-2020/interim/*"), local(2026, 3, 1), seed_calendar(), occurrence=0)


def test_an_instant_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        due(rule("CN-FOOD-2015/start/1"), datetime(2026, 3, 1), seed_calendar())  # noqa: DTZ001


def test_an_explanation_names_start_amount_and_end() -> None:
    hours = due(rule("CN-FOOD-2015/start/2"), local(2026, 11, 22, 8, 5), seed_calendar()).explanation
    assert hours == "自2026-11-22 08:05起连续计48小时，休息日照算，至2026-11-24 08:05止。"
    days = due(rule("CN-FOOD-2015/report/*"), local(2026, 2, 13), seed_calendar()).explanation
    assert days == ("自2026-02-13 09:00的次日起计5个工作日，跳过休息日9天，调休上班1天计入，至2026-02-27 24:00止。")


def test_facts_start_and_stop_the_clocks_of_their_level() -> None:
    law = regime("CN-FOOD-2015")
    started = rules_started_by(law, LegalEvent.ANNOUNCED, Level.THREE, Form.VOLUNTARY)
    stopped = rules_stopped_by(law, LegalEvent.STARTED, Level.ONE, Form.ORDERED)
    assert [r.id for r in started] == ["CN-FOOD-2015/complete/3"]
    assert [r.id for r in stopped] == ["CN-FOOD-2015/start/1"]


def test_closing_stops_every_clock() -> None:
    law = regime("CN-CONSUMER-2020")
    stopped = rules_stopped_by(law, LegalEvent.CLOSED, None, Form.VOLUNTARY)
    assert stopped == law.rules(None, Form.VOLUNTARY)
    assert len(stopped) == 6


def test_a_campaign_without_level_has_no_levelled_limits() -> None:
    assert [r.id for r in regime("CN-FOOD-2015").rules(None, Form.VOLUNTARY)] == ["CN-FOOD-2015/report/*"]


@given(st.sampled_from(RULES), INSTANTS, INSTANTS)
def test_who_starts_later_is_never_due_earlier(limit: ClockRule, one: datetime, other: datetime) -> None:
    earlier, later = sorted((one, other))
    assert due(limit, earlier, seed_calendar()).at <= due(limit, later, seed_calendar()).at


@given(st.sampled_from(RULES), INSTANTS)
def test_a_limit_ends_after_it_began_and_days_end_at_midnight(limit: ClockRule, start: datetime) -> None:
    answer = due(limit, start, seed_calendar())
    assert answer.at > start
    if limit.unit is not Unit.HOUR:
        assert answer.at.astimezone(SHANGHAI).strftime("%H:%M:%S") == "00:00:00"
        assert answer.last_day is not None
        assert seed_calendar().is_workday(answer.last_day)


@given(st.sampled_from([r for r in RULES if r.recurring]), INSTANTS, st.integers(1, 12))
def test_recurring_reports_come_one_after_the_other(limit: ClockRule, start: datetime, n: int) -> None:
    calendar = seed_calendar()
    assert due(limit, start, calendar, n).at < due(limit, start, calendar, n + 1).at
