"""The facts the law counts from, and the clocks that follow from them."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from recalls.access import supervises_campaign
from recalls.law import ClockRule, DayRow, Due, Form, LegalEvent, WorkCalendar, due, parse_workdays, regime
from recalls.law.clocks import end_of_day
from recalls.models import CalendarLoad, Campaign, ClockChange, ClockInstance, LegalFact, WorkCalendarDay
from recalls.queries import counted_anew, work_calendar
from trace.actor import Actor
from trace.errors import Clash, Invalid, NotAllowed
from trace.models import User
from trace.text import clean_text

ONCE = frozenset(
    {LegalEvent.KNEW, LegalEvent.DECIDED, LegalEvent.STARTED, LegalEvent.ANNOUNCED, LegalEvent.INCIDENT_REPORTED}
)
"""Facts that happen once; a repeat (a second plan filed, a second order) does not move the first."""


AGAIN = frozenset({LegalEvent.DISPOSED})
"""Facts that happen again where the authority orders stronger measures after the summary (食品召回管理办法（2015）
第三十四条): what is counted from them is counted anew.
"""
Round = tuple[datetime.datetime, datetime.datetime | None]
"""From when a limit is counted, and what ended it."""


@transaction.atomic
def record_fact(
    *,
    campaign: Campaign,
    event: LegalEvent,
    by: Actor,
    happened_at: datetime.datetime | None = None,
    at: datetime.datetime | None = None,
) -> LegalFact:
    """Write down a legal fact and let the clocks follow. A fact that happens once is kept as first told."""
    now = at or timezone.now()
    told = campaign.facts.filter(event=event.value).first() if event in ONCE else None
    fact = told or LegalFact.objects.create(
        campaign=campaign, event=event.value, happened_at=happened_at or now, by=by.user, recorded_at=now
    )
    sync_clocks(campaign)
    return fact


def sync_clocks(campaign: Campaign) -> None:
    """Bring the clocks of a campaign in line with its facts, level and form. Safe to repeat; keeps due times that an
    extension moved.
    """
    rule_book = regime(campaign.regime)
    facts = list(campaign.facts.order_by("happened_at", "id"))
    closed = next((fact.happened_at for fact in facts if fact.event == LegalEvent.CLOSED.value), None)
    calendar = work_calendar()
    running = {(clock.rule, clock.occurrence): clock for clock in campaign.clocks.all()}
    wanted: set[str] = set()
    for rule in rule_book.rules(campaign.legal_level, Form(campaign.form)):
        for number, (start, stop) in enumerate(_rounds(rule, facts), 1):
            wanted.add(rule.id)
            _keep(campaign, rule, number, start, stop or closed, calendar, running)
    for clock in running.values():
        if clock.rule not in wanted and clock.superseded_at is None:
            clock.superseded_at = timezone.now()
            clock.save(update_fields=["superseded_at"])


def _rounds(rule: ClockRule, facts: Sequence[LegalFact]) -> Iterator[Round]:
    """From when a limit was counted, and what ended it: once, or each time what begins it happened after it had ended
    (``AGAIN``).
    """
    begins = {event.value for event in rule.start_events}
    again = not rule.recurring and AGAIN.issuperset(rule.start_events)
    start: datetime.datetime | None = None
    for fact in facts:
        if start is None and fact.event in begins:
            start = fact.happened_at
        elif start is not None and fact.event == rule.stop_event.value:
            yield start, fact.happened_at
            if not again:
                return
            start = None
    if start is not None:
        yield start, None


def _keep(
    campaign: Campaign,
    rule: ClockRule,
    number: int,
    start: datetime.datetime,
    stop: datetime.datetime | None,
    calendar: WorkCalendar,
    running: dict[tuple[str, int], ClockInstance],
) -> None:
    """One rule's clock: made where missing, stopped where its end happened, brought back where it applies again. What
    recurs is stopped whichever of its reports is due.
    """
    clock = running.get((rule.id, number))
    if clock is None:
        counted = due(rule, start, calendar)
        ClockInstance.objects.create(
            campaign=campaign,
            rule=rule.id,
            key=rule.key,
            snapshot=rule.snapshot(),
            occurrence=number,
            started_at=start,
            due_at=counted.at,
            unknown_from=counted.unknown_from,
            provisional=counted.provisional,
            met_at=stop,
        )
        return
    for one in [each for (rule_id, _n), each in running.items() if rule_id == rule.id] if rule.recurring else [clock]:
        changed = [name for name, value in (("superseded_at", None),) if getattr(one, name) != value]
        if one.met_at is None and stop is not None:
            one.met_at = stop
            changed.append("met_at")
        if changed:
            one.superseded_at = None
            one.save(update_fields=changed)


@transaction.atomic
def meet_recurring(*, campaign: Campaign, at: datetime.datetime) -> list[ClockInstance]:
    """A periodic report was filed: the running occurrence of each recurring clock is met, the next one begins."""
    rule_book = regime(campaign.regime)
    calendar = work_calendar()
    begun: list[ClockInstance] = []
    for clock in campaign.clocks.filter(met_at=None, superseded_at=None):
        rule = next((r for r in rule_book.clocks if r.id == clock.rule and r.recurring), None)
        if rule is None:
            continue
        clock.met_at = at
        clock.save(update_fields=["met_at"])
        counted = due(rule, clock.started_at, calendar, clock.occurrence + 1)
        begun.append(
            ClockInstance.objects.create(
                campaign=campaign,
                rule=rule.id,
                key=rule.key,
                snapshot=rule.snapshot(),
                occurrence=clock.occurrence + 1,
                started_at=clock.started_at,
                due_at=counted.at,
                unknown_from=counted.unknown_from,
                provisional=counted.provisional,
            )
        )
    return begun


def extendable_clocks(campaign: Campaign) -> QuerySet[ClockInstance]:
    """The running limits that the authority may extend."""
    rules = {rule.id for rule in regime(campaign.regime).clocks if rule.extendable}
    return campaign.clocks.filter(rule__in=rules, met_at=None, superseded_at=None)


@transaction.atomic
def extend_clocks(
    *, by: Actor, campaign: Campaign, until: datetime.date, document: str, reason: str, at: datetime.datetime
) -> list[ClockInstance]:
    """Move the extendable limits that run to the end of a later day, keeping the old time.

    Called by ``grant_extension`` only. Refuses a day that is not later (``not_later``) and where nothing can be
    extended (``not_extendable``).
    """
    if not supervises_campaign(by, campaign):
        raise NotAllowed(_("延期只能由主管部门同意。"), code="role_required")
    rows = list(extendable_clocks(campaign))
    if not rows:
        raise Clash(_("没有可以延长的时限。"), code="not_extendable")
    new = end_of_day(until)
    for clock in rows:
        if new <= clock.due_at:
            raise Invalid(_("延长后的日期须晚于现在的期限。"), code="not_later")
        _move_due(clock, new, reason, by.user, at)
        clock.extension = document
        clock.save(update_fields=["extension"])
    return rows


def _move_due(
    clock: ClockInstance, new: datetime.datetime, reason: str, by: User | None, at: datetime.datetime
) -> None:
    """Another due time, the old one kept."""
    ClockChange.objects.create(clock=clock, old_due_at=clock.due_at, new_due_at=new, reason=reason[:300], by=by, at=at)
    clock.due_at = new
    clock.save(update_fields=["due_at"])


@transaction.atomic
def load_calendar(
    *, rows: Iterable[DayRow], source: str, by: User | None = None, at: datetime.datetime | None = None
) -> int:
    """Load the days of a State Council notice and count every running limit again; returns how many limits moved.

    A limit that was extended stays where the authority put it. The old time of each is kept in ``ClockChange``.
    """
    now = at or timezone.now()
    WorkCalendarDay.objects.bulk_create(
        [WorkCalendarDay(on=row.on, is_workday=row.is_workday, official=row.official, source=source) for row in rows],
        update_conflicts=True,
        unique_fields=["on"],
        update_fields=["is_workday", "official", "source"],
        batch_size=500,
    )
    moved = 0
    for clock, counted in _recounted(work_calendar()):
        if counted.at != clock.due_at:
            _move_due(clock, counted.at, _("放假安排已公布，重新计算（%(source)s）。") % {"source": source}, by, now)
            moved += 1
        if (counted.provisional, counted.unknown_from) != (clock.provisional, clock.unknown_from):
            clock.provisional, clock.unknown_from = counted.provisional, counted.unknown_from
            clock.save(update_fields=["provisional", "unknown_from"])
    return moved


def _recounted(calendar: WorkCalendar) -> Iterator[tuple[ClockInstance, Due]]:
    """Every running limit nobody extended, with the time the calendar gives it."""
    running = ClockInstance.objects.filter(met_at=None, superseded_at=None, extension="").select_related("campaign")
    for clock in running:
        rule = next((r for r in regime(clock.campaign.regime).clocks if r.id == clock.rule), None)
        if rule is not None:
            yield clock, counted_anew(clock, rule, calendar)


@dataclass(frozen=True, slots=True)
class CalendarPreview:
    """What loading a notice would do: the days it names, how many are new or differ, how many limits move."""

    first: datetime.date
    last: datetime.date
    workdays: int
    makeup_days: list[datetime.date]
    weekday_holidays: list[datetime.date]
    new: int
    changed: int
    moves: int


def preview_notice(*, by: Actor, text: str) -> CalendarPreview:
    """Check a notice and say what loading it would change, without changing anything. Refuses as ``load_notice``."""
    rows = _checked_notice(by, text)
    known = {day.on: day for day in WorkCalendarDay.objects.all()}
    after = {on: DayRow(on, day.is_workday, day.official) for on, day in known.items()} | {row.on: row for row in rows}
    calendar = WorkCalendar(after.values())
    return CalendarPreview(
        first=rows[0].on,
        last=rows[-1].on,
        workdays=sum(row.is_workday for row in rows),
        makeup_days=[row.on for row in rows if row.is_workday and row.on.weekday() >= 5],
        weekday_holidays=[row.on for row in rows if not row.is_workday and row.on.weekday() < 5],
        new=sum(row.on not in known for row in rows),
        changed=sum(row.on in known and known[row.on].is_workday != row.is_workday for row in rows),
        moves=sum(counted.at != clock.due_at for clock, counted in _recounted(calendar)),
    )


@transaction.atomic
def load_notice(*, by: Actor, text: str, source: str) -> int:
    """Load a State Council notice from a page; returns how many limits moved. By a regulator's approver. Each loading
    is written down (``CalendarLoad``) with the hash of its text.

    Refuses others (``role_required``), a file with a wrong, doubled or missing day (``bad_calendar``) and one that
    changes official days already past (``past_days``): limits that ended were counted with them.
    """
    rows = _checked_notice(by, text)
    words = clean_text(source, 120, required=True)
    seen = preview_notice(by=by, text=text)
    named = f"{words} · {by.organisation.name}"
    moved = load_calendar(rows=rows, source=named, by=by.user)
    CalendarLoad.objects.create(
        source=named,
        first_on=seen.first,
        last_on=seen.last,
        days=len(rows),
        new=seen.new,
        changed=seen.changed,
        moved=moved,
        sha256=hashlib.sha256("\n".join(text.splitlines()).encode()).hexdigest(),
        by=by.user,
        by_organisation=by.organisation,
    )
    return moved


def _checked_notice(by: Actor, text: str) -> list[DayRow]:
    """The rows, or a refusal in words."""
    if not by.is_regulator:
        raise NotAllowed(_("放假安排由监管部门录入。"), code="role_required")
    by.require("approver")
    try:
        rows = parse_workdays(text)
    except ValueError as problem:
        if str(problem) == "0":
            raise Invalid(_("文件是空的，或者超过 800 行。"), code="bad_calendar") from problem
        raise Invalid(
            _("第 %(line)s 行不对：每行一天，日期连续，后面写 1（上班）或 0（休息）。") % {"line": problem},
            code="bad_calendar",
        ) from problem
    past = {row.on: row.is_workday for row in rows if row.on < timezone.localdate()}
    known = WorkCalendarDay.objects.filter(on__in=past, official=True)
    if any(day.is_workday != past[day.on] for day in known):
        raise Invalid(_("已经过去的日子不能改：当时的时限是按它算的。"), code="past_days")
    return rows
