"""Legal clocks: when a time limit ends, and which limits a fact starts or stops.

Counting follows 民法典 201–203: the starting day is not counted; a limit in hours runs from the moment
itself, through nights and holidays; a limit in days or months ends at 24:00 of its last day in Asia/Shanghai;
a month ends on the matching day; a last day that is a holiday moves to the next working day. Working days
include make-up days (see ``calendar``).
"""

import calendar as gregorian
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from django.utils.translation import gettext_lazy as _

from recalls.law.calendar import ONE_DAY, WorkCalendar
from recalls.law.regimes import SHANGHAI, ClockRule, Regime, shanghai_date
from recalls.law.terms import Form, LegalEvent, Level, Unit


@dataclass(frozen=True, slots=True)
class Due:
    """When a limit ends. ``at`` is the last instant (UTC) that is still in time: 24:00 of ``last_day`` is
    16:00 UTC of it.

    ``last_day`` is None for a limit in hours. ``nominal`` is the matching day of a month limit before it
    moved. ``unknown_from`` is the first day of the count that no published holiday notice covers.
    """

    rule: ClockRule
    started_at: datetime
    at: datetime
    last_day: date | None = None
    nominal: date | None = None
    rest_days: int = 0
    makeup_days: int = 0
    unknown_from: date | None = None
    occurrence: int = 1

    @property
    def provisional(self) -> bool:
        """True (shown as 暂定) when the calendar was guessed or the rule itself is unverified."""
        return self.unknown_from is not None or not self.rule.verified

    def breached(self, now: datetime) -> bool:
        """Whether the limit is over at ``now`` (for a clock that nothing has stopped)."""
        return now > self.at

    @property
    def explanation(self) -> str:
        """How the instant was counted, in the reader's language, with each reason why it is provisional."""
        sentences = [self._counted()]
        if self.unknown_from is not None:
            sentences.append(
                str(_("%(day)s起的放假安排尚未公布或未载入，按周一至周五推算，暂定。"))
                % {"day": self.unknown_from.isoformat()}
            )
        if not self.rule.verified:
            sentences.append(str(_("规则条文尚未与正式文本核对，暂定。")))
        return "".join(sentences)

    def _counted(self) -> str:
        facts = {
            "start": self.started_at.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M"),
            "amount": self.rule.amount * self.occurrence,
            "end": self.at.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M"),
            "last": self.last_day.isoformat() if self.last_day else "",
            "nominal": self.nominal.isoformat() if self.nominal else "",
            "rest": self.rest_days,
            "makeup": self.makeup_days,
        }
        if self.rule.unit is Unit.HOUR:
            return str(_("自%(start)s起连续计%(amount)s小时，休息日照算，至%(end)s止。")) % facts
        if self.rule.unit is Unit.WORKDAY:
            return (
                str(
                    _(
                        "自%(start)s的次日起计%(amount)s个工作日，跳过休息日%(rest)s天，"
                        "调休上班%(makeup)s天计入，至%(last)s 24:00止。"
                    )
                )
                % facts
            )
        if self.nominal != self.last_day:
            return str(_("自%(start)s起%(amount)s个月，对应日%(nominal)s为休息日，顺延至%(last)s 24:00止。")) % facts
        return str(_("自%(start)s起%(amount)s个月，至%(last)s 24:00止。")) % facts


def due(rule: ClockRule, started_at: datetime, calendar: WorkCalendar, occurrence: int = 1) -> Due:
    """When the limit ends that began at ``started_at`` (an aware instant, else ValueError).

    ``occurrence`` is which report of a recurring limit is meant, counted from 1; each is counted from the
    start and not from the one before, so that a moved day moves only itself. ValueError for an occurrence
    above 1 of a limit that does not recur.
    """
    if occurrence < 1 or (occurrence > 1 and not rule.recurring):
        raise ValueError("this limit does not recur")
    first_day = shanghai_date(started_at)
    amount = rule.amount * occurrence
    if rule.unit is Unit.HOUR:
        at = started_at.astimezone(UTC) + timedelta(hours=amount)
        return Due(rule, started_at, at, occurrence=occurrence)
    if rule.unit is Unit.WORKDAY:
        nominal, count = None, calendar.add_workdays(first_day, amount)
    else:
        nominal = add_months(first_day, amount)
        count = calendar.next_workday_from(nominal)
    return Due(
        rule,
        started_at,
        end_of_day(count.last_day),
        last_day=count.last_day,
        nominal=nominal,
        rest_days=count.rest_days,
        makeup_days=count.makeup_days,
        unknown_from=count.unknown_from,
        occurrence=occurrence,
    )


def add_months(day: date, months: int) -> date:
    """The matching day ``months`` later, or the last day of that month where it has no such day (民法典 art.
    202).
    """
    index = day.year * 12 + day.month - 1 + months
    year, month = divmod(index, 12)
    return date(year, month + 1, min(day.day, gregorian.monthrange(year, month + 1)[1]))


def end_of_day(day: date) -> datetime:
    """24:00 of that day in Asia/Shanghai, as an instant in UTC (民法典 art. 203)."""
    return datetime.combine(day + ONE_DAY, time(), SHANGHAI).astimezone(UTC)


def rules_started_by(regime: Regime, event: LegalEvent, level: Level | None, form: Form) -> tuple[ClockRule, ...]:
    """The limits that begin when ``event`` happens in a campaign of this level and form.

    A rule with several start events begins at the first of them: the caller leaves a clock that already runs
    alone.
    """
    return tuple(rule for rule in regime.rules(level, form) if event in rule.start_events)


def rules_stopped_by(regime: Regime, event: LegalEvent, level: Level | None, form: Form) -> tuple[ClockRule, ...]:
    """The limits that end when ``event`` happens; closing ends every one that still runs."""
    rules = regime.rules(level, form)
    if event is LegalEvent.CLOSED:
        return rules
    return tuple(rule for rule in rules if rule.stop_event is event)
