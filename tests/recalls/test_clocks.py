"""Clocks as rows: they follow facts, survive changes of the calendar with their history, and stop."""

import datetime
import html
import re
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone

from recalls.actions.acts import report_defect
from recalls.actions.assessment import assess
from recalls.actions.campaigns import (
    finish_collecting,
    finish_disposal,
    report_progress,
    start_campaign,
    strengthen,
    summarise,
)
from recalls.actions.clocks import load_calendar, record_fact, sync_clocks
from recalls.law import DayRow, LegalEvent, due, regime
from recalls.models import ClockChange, ClockInstance, WorkCalendarDay
from recalls.queries import clocks_of, running_clock, work_calendar
from tests.recalls.story import FINDING, KNEW, Chain, announced, assessed, summarised
from tests.world import make_product, sign_in
from trace.errors import DomainError

CHINA = datetime.timezone(datetime.timedelta(hours=8))


def at(*parts: int) -> datetime.datetime:
    return datetime.datetime(*parts, tzinfo=CHINA)  # type: ignore[arg-type, misc]


@pytest.mark.django_db
def test_the_calendar_is_seeded_with_make_up_days() -> None:
    assert WorkCalendarDay.objects.count() == 1096
    assert WorkCalendarDay.objects.get(on="2026-02-14").is_workday
    assert not WorkCalendarDay.objects.get(on="2026-10-01").is_workday


def test_a_limit_into_an_unannounced_year_is_provisional_and_moves_with_its_history(chain: Chain) -> None:
    campaign = announced(chain)
    clock = campaign.clocks.get(key="complete")
    ClockInstance.objects.filter(pk=clock.pk).update(started_at=at(2026, 12, 25, 10), due_at=at(2027, 1, 9))
    days = [DayRow(datetime.date(2027, 1, 1) + datetime.timedelta(days=n), n > 2) for n in range(60)]
    assert load_calendar(rows=days, source="示例通知") == 1
    clock.refresh_from_db()
    assert not clock.provisional
    change = ClockChange.objects.get(clock=clock)
    assert change.old_due_at == at(2027, 1, 9)
    assert change.new_due_at == clock.due_at
    assert load_calendar(rows=days, source="示例通知") == 0


def test_a_limit_that_rests_on_a_guess_says_so(chain: Chain) -> None:
    campaign = assessed(chain)
    record_fact(campaign=campaign, event=LegalEvent.ANNOUNCED, by=chain.world.walnuts, happened_at=at(2026, 12, 25, 10))
    clock = campaign.clocks.get(key="complete")
    assert clock.provisional
    assert clock.unknown_from == datetime.date(2027, 1, 1)


def test_the_file_of_a_notice_is_loaded_by_command(chain: Chain, tmp_path: Path) -> None:
    notice = tmp_path / "2027.csv"
    notice.write_text("# 示例\ndate,is_workday,holiday\n2027-01-01,0,元旦\n2027-01-02,1,\n", encoding="utf-8")
    call_command("load_workdays", str(notice), "示例通知")
    assert WorkCalendarDay.objects.get(on="2027-01-02").source == "示例通知"


def test_facts_told_twice_start_no_second_clock(chain: Chain) -> None:
    campaign = assessed(chain)
    record_fact(campaign=campaign, event=LegalEvent.KNEW, by=chain.world.walnuts)
    sync_clocks(campaign)
    assert campaign.clocks.count() == 1
    assert campaign.facts.filter(event="knew").count() == 1


def test_a_consumer_product_reports_a_defect_within_two_working_days(chain: Chain) -> None:
    world = chain.world
    make_product(world.walnuts.organisation, track="consumer_product")
    finding = FINDING.__class__(**{**FINDING.__dict__, "level": None, "hazard": "tip_over"})
    campaign = assess(
        by=world.walnuts_quality,
        organisation=world.walnuts.organisation,
        track="consumer_product",
        title="示例柜子倾倒",
        knew_at=at(2026, 10, 20, 9),
        finding=finding,
    )
    clock = campaign.clocks.get(key="incident_report")
    assert clock.due_at == at(2026, 10, 23, 0)
    told: dict[str, Any] = {"by": world.walnuts_quality, "campaign": campaign, "words": "示例：已书面报告省局"}
    for moment, code in ((at(2026, 10, 19, 9), "before_knowing"), (at(2099, 1, 1), "in_future")):
        with pytest.raises(DomainError) as refused:
            report_defect(**told, reported_at=moment)
        assert refused.value.code == code
    report_defect(**told, reported_at=at(2026, 10, 21, 9))
    clock.refresh_from_db()
    assert clock.met_at == at(2026, 10, 21, 9)
    assert campaign.authority == world.province.organisation
    (shown,) = [one for one in clocks_of([campaign])[campaign.pk] if one.clock == clock]
    assert not shown.verified
    assert "未经核实" in shown.law


def test_a_defect_report_is_for_goods_with_that_duty(chain: Chain) -> None:
    with pytest.raises(DomainError) as refused:
        report_defect(by=chain.world.walnuts_quality, campaign=assessed(chain), reported_at=KNEW, words="示例")
    assert refused.value.code == "no_such_duty"


def test_a_progress_report_meets_one_occurrence_and_begins_the_next(chain: Chain) -> None:
    from recalls.actions.campaigns import order
    from recalls.actions.scopes import freeze_scope
    from recalls.scope import Question

    world = chain.world
    later = at(2026, 12, 3, 9)
    campaign = assess(
        by=world.county,
        organisation=world.walnuts.organisation,
        track="food",
        title="示例核桃仁",
        knew_at=at(2026, 12, 2, 9),
        finding=FINDING,
        at=later,
    )
    freeze_scope(by=world.county, campaign=campaign, question=Question.of([chain.pouch_a]), at=later)
    order(by=world.county_approver, campaign=campaign, document="示例1号", served_at=later, at=later)
    start_campaign(by=world.county, campaign=campaign, stop_order=True, at=later)
    first = campaign.clocks.get(key="progress_daily")
    assert (first.due_at, first.provisional) == (later + datetime.timedelta(hours=24), True)
    report_progress(by=world.county, campaign=campaign, text="第一天", at=later + datetime.timedelta(hours=20))
    first.refresh_from_db()
    second = campaign.clocks.get(key="progress_daily", occurrence=2)
    assert first.met_at == later + datetime.timedelta(hours=20)
    assert second.due_at == later + datetime.timedelta(hours=48)


def test_a_second_disposal_after_an_order_to_do_more_has_a_limit_of_its_own(chain: Chain) -> None:
    world = chain.world
    campaign = summarised(chain)
    first = campaign.clocks.get(key="report")
    assert first.met_at is not None
    served = timezone.now()
    campaign = strengthen(
        by=world.county_approver, campaign=campaign, reason="示例：还有货在售", document="示例2号", served_at=served
    )
    campaign = finish_collecting(by=world.walnuts_quality, campaign=campaign, reason="其余单位已电话核实")
    assert campaign.clocks.filter(key="report").count() == 1
    campaign = finish_disposal(by=world.walnuts_quality, campaign=campaign)
    second = campaign.clocks.get(key="report", occurrence=2)
    calendar = work_calendar()
    rule = next(one for one in regime(campaign.regime).clocks if one.id == second.rule)
    assert second.met_at is None
    assert second.started_at > served
    assert second.due_at == due(rule, second.started_at, calendar).at
    assert [running_clock(one).clock for one in (first, second)] == [first, second]
    campaign = summarise(by=world.walnuts_quality, campaign=campaign, summary="示例再次总结")
    ended = list(campaign.clocks.filter(key="report").order_by("occurrence"))
    assert [one.met_at is not None for one in ended] == [True, True]
    assert ended[0].met_at == first.met_at


def test_the_database_refuses_a_limit_that_ends_before_it_begins(chain: Chain) -> None:
    clock = assessed(chain).clocks.get()
    with pytest.raises(IntegrityError), transaction.atomic():
        ClockInstance.objects.filter(pk=clock.pk).update(due_at=clock.started_at - datetime.timedelta(seconds=1))


def test_an_authority_loads_a_holiday_notice_on_a_page_after_looking_at_it(chain: Chain, client: Client) -> None:
    campaign = announced(chain)
    clock = campaign.clocks.get(key="complete")
    ClockInstance.objects.filter(pk=clock.pk).update(started_at=at(2026, 12, 25, 10), due_at=at(2027, 1, 9))
    days = [datetime.date(2027, 1, 1) + datetime.timedelta(days=n) for n in range(365)]
    text = "date,is_workday,holiday\r\n" + "\r\n".join(f"{day},{int(day.day > 3)}," for day in days)
    form, url = {"source": "示例通知", "text": text}, "/recall/working-days/"
    sign_in(client, chain.world.walnuts)
    assert client.get(url).status_code == 404
    sign_in(client, chain.world.county)
    assert client.get(url).status_code == 200
    assert client.post(url, form).status_code == 403
    sign_in(client, chain.world.county_approver)
    for bad in ("", "x", "2027-01-01,2", "2027-01-01,1\n2027-01-03,1", "2027-01-01,1\n2027-01-01,1", "2026-02-14,0"):
        assert client.post(url, form | {"text": bad, "do": "check"}).status_code == 422
    shown = client.post(url, form | {"do": "check"})
    assert "1 个时限会改变" in shown.content.decode()
    assert "新增 365 天" in shown.content.decode()
    repeated = re.search(r"<textarea[^>]*>(.*?)</textarea>", shown.content.decode(), re.DOTALL)
    assert repeated is not None
    assert repeated[1].split() == text.split()
    seen = re.search(r'name="seen" value="(\w+)"', shown.content.decode())
    assert seen is not None
    other = form | {"text": "\n".join(text.splitlines()[:100]), "do": "load", "seen": seen[1]}
    assert "新增 99 天" in client.post(url, other).content.decode()
    assert WorkCalendarDay.objects.count() == 1096
    form = {"source": "示例通知", "text": html.unescape(repeated[1]), "seen": seen[1]}
    assert client.post(url, form | {"do": "load"}).status_code == 302
    assert WorkCalendarDay.objects.count() == 1461
    assert ClockChange.objects.get(clock=clock).by == chain.world.county_approver.user
    assert client.post(url, form | {"do": "load"}).status_code == 302
    assert ClockChange.objects.filter(clock=clock).count() == 1
    assert "示例通知" in client.get(url).content.decode()
