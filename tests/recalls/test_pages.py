"""Pages of recalls: each works, strangers get 404, and nothing of a drill or another firm's customers leaks."""

import re
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from recalls.access import notice_link
from recalls.actions.announcements import draft_notice
from recalls.actions.campaigns import announce, carry_out
from recalls.models import Campaign, OutboxMessage, Signal
from recalls.queries import unread_notices
from recalls.transitions import Status
from tests.goods import day, passed
from tests.recalls.story import (
    ANNOUNCEMENT,
    KNEW,
    Chain,
    announced,
    assessed,
    closed,
    decided,
    notice_to,
    scoped,
    started,
    summarised,
)
from tests.world import World, sign_in
from trace.actor import Actor
from trace.models import User


@pytest.fixture
def go(client: Client) -> Callable[..., Any]:
    """Open a page by its name as somebody: ``go(actor, "campaign", uid)``."""

    def open_page(who: Actor | User | None, name: str, /, *args: Any, query: str = "", **post: Any) -> Any:
        if who is None:
            client.logout()
        else:
            sign_in(client, who)
        url = reverse(f"recalls:{name}", args=args) + query
        return client.post(url, post) if post else client.get(url)

    return open_page


def text_of(response: Any) -> str:
    content: str = response.content.decode()
    return content


# --- Every page answers ---------------------------------------------------------------------------------------------


STAGES: dict[str, Callable[[Chain], Campaign]] = {
    "assessed": assessed,
    "scoped": scoped,
    "decided": decided,
    "started": started,
    "announced": announced,
    "summarised": summarised,
    "closed": closed,
}


@pytest.mark.parametrize("stage", STAGES)
def test_the_campaigns_pages_answer_at_every_stage(chain: Chain, go: Callable[..., Any], stage: str) -> None:
    campaign = STAGES[stage](chain)
    for who in (chain.world.walnuts, chain.world.county_approver):
        for name in ("campaign", "campaign_scope", "campaign_assess", "campaign_figures", "campaign_notices"):
            assert go(who, name, campaign.uid).status_code == 200, name
        assert campaign.title in text_of(go(who, "campaign", campaign.uid))
        for which in ("open", "closed", "drills"):
            assert go(who, "campaign_list", query=f"?which={which}").status_code == 200


@pytest.mark.parametrize("who", ["walnuts", "county_approver"])
def test_a_campaigns_page_leads_nobody_to_a_closed_door(chain: Chain, go: Callable[..., Any], who: str) -> None:
    campaign = announced(chain)
    actor = getattr(chain.world, who)
    links = set(
        re.findall(rf'href="/recall/campaigns/{campaign.uid}/([a-z-]+)/"', text_of(go(actor, "campaign", campaign.uid)))
    )
    assert {"figures", "notices"} <= links
    assert ("disposal" in links) == (who == "walnuts")
    client = Client()
    sign_in(client, actor)
    for link in links:
        assert client.get(f"/recall/campaigns/{campaign.uid}/{link}/").status_code == 200, link


def test_the_lists_answer_when_empty(world: World, go: Callable[..., Any]) -> None:
    for who in (world.shop, world.county):
        for name in ("campaign_list", "signal_list", "notice_list"):
            assert go(who, name).status_code == 200
    assert go(None, "public_list").status_code == 200
    assert go(None, "public_feed").status_code == 200


PAGES = ["campaign", "campaign_scope", "campaign_assess", "campaign_figures", "campaign_notices", "campaign_notice"]


def test_a_strangers_campaign_and_notice_are_not_found(chain: Chain, go: Callable[..., Any]) -> None:
    campaign = announced(chain)
    for who in ("distillery", "shop", "lab", "other_county"):
        for name in PAGES:
            assert go(getattr(chain.world, who), name, campaign.uid).status_code == 404, (who, name)
    notice = notice_to(campaign, chain.world.shop.organisation)
    for who in ("distillery", "cooperative", "other_county"):
        for name in ("notice", "notice_answer", "notice_disposal", "letter_print"):
            assert go(getattr(chain.world, who), name, notice.uid).status_code == 404, (who, name)


def test_nobody_signed_in_is_sent_to_sign_in(chain: Chain, go: Callable[..., Any]) -> None:
    campaign = started(chain)
    assert go(None, "campaign", campaign.uid).status_code == 302
    assert go(None, "notice_list").status_code == 302


@pytest.mark.parametrize("uid", ["x", "0198a000-0000-7000-8000-000000000000", "%00"])
def test_a_name_that_is_none_is_not_found(world: World, client: Client, uid: str) -> None:
    sign_in(client, world.walnuts)
    for path in (f"/recall/campaigns/{uid}/", f"/recall/signals/{uid}/", f"/recall/notices/{uid}/", f"/recalls/{uid}"):
        assert client.get(path).status_code == 404, path


# --- The way through the pages --------------------------------------------------------------------------------------


def test_a_failed_test_becomes_a_signal_an_assessment_and_a_scope(chain: Chain, go: Callable[..., Any]) -> None:
    world = chain.world
    report = passed(world.walnuts, chain.pouch_a, when=day(20), value="9.9", number="示例-9")
    page = text_of(go(world.walnuts_quality, "signal_new", query=f"?report={report.uid}"))
    assert "示例-9" in page
    posted = go(
        world.walnuts_quality,
        "signal_new",
        source="self_check",
        lot=chain.pouch_a.public_code,
        text="复检不合格",
        received_at="2026-10-20 08:00",
    )
    signal = Signal.objects.get()
    assert posted.url == reverse("recalls:signal", args=[signal.uid])
    assert signal.lot == chain.pouch_a
    facts = {
        "title": "示例核桃仁",
        "knew_at": "2026-10-20 08:00",
        "hazard": "toxin",
        "severity": "serious",
        "probability": "likely",
        "verdict": "recall",
        "level": "1",
        "basis": "报告 示例-9",
    }
    go(world.walnuts_quality, "signal_assess", signal.uid, **facts)
    campaign = Campaign.objects.get()
    assert campaign.knew_at == KNEW
    page = text_of(go(world.walnuts_quality, "campaign_scope", campaign.uid))
    assert chain.pouch_a.code in page
    assert campaign.scopes.count() == 0
    go(world.walnuts_quality, "campaign_scope", campaign.uid, lot=str(chain.pouch_a.uid), reason="抽检")
    assert campaign.scopes.get().lot_count == 1


def test_a_form_says_what_is_missing(chain: Chain, go: Callable[..., Any]) -> None:
    answered = go(
        chain.world.walnuts_quality, "signal_new", source="self_check", text="", received_at="2026-02-30 08:00"
    )
    assert answered.status_code == 422
    assert not Signal.objects.exists()


def test_the_steps_are_taken_from_their_pages(chain: Chain, go: Callable[..., Any]) -> None:
    world = chain.world
    campaign = scoped(chain)
    refused = go(world.walnuts_quality, "campaign_step", campaign.uid, "decide", revision=campaign.revision)
    assert refused.status_code == 403
    go(world.walnuts, "campaign_step", campaign.uid, "decide", revision=campaign.revision)
    campaign.refresh_from_db()
    assert campaign.status == Status.DECIDED
    lacking = go(world.walnuts, "campaign_step", campaign.uid, "start", revision=campaign.revision)
    assert lacking.status_code == 422
    done = go(world.walnuts, "campaign_step", campaign.uid, "start", revision=campaign.revision, stop_order="on")
    assert done.url == reverse("recalls:campaign_done", args=[campaign.uid, "start"])
    assert campaign.number is not None
    assert campaign.number in text_of(go(world.walnuts, "campaign_done", campaign.uid, "start"))


def test_a_step_on_an_old_page_is_told_so(chain: Chain, go: Callable[..., Any]) -> None:
    campaign = decided(chain)
    answered = go(chain.world.walnuts, "campaign_step", campaign.uid, "start", revision=0, stop_order="on")
    assert answered.status_code == 422
    assert "有人已先办理" in text_of(answered)
    campaign.refresh_from_db()
    assert campaign.status == Status.DECIDED


def test_a_step_that_is_none_is_not_found(chain: Chain, go: Callable[..., Any]) -> None:
    campaign = decided(chain)
    assert go(chain.world.walnuts, "campaign_step", campaign.uid, "nonsense").status_code == 404
    assert go(chain.world.walnuts, "campaign_step", campaign.uid, "close").status_code == 409


def test_drafting_and_publishing_through_the_pages(chain: Chain, go: Callable[..., Any]) -> None:
    world = chain.world
    campaign = started(chain)
    words = {**ANNOUNCEMENT.__dict__, "begins_on": "2026-10-21", "ends_on": "2026-11-20"}
    go(world.walnuts_quality, "campaign_notice", campaign.uid, **words)
    page = text_of(go(world.walnuts_quality, "campaign_step", campaign.uid, "announce"))
    assert "公告的起草和发布须由两人分别办理" in page or "岗位不能办理" in page
    post = {"revision": campaign.revision, "channel": "公告页", "why": "示例"}
    assert "有人已先办理" in text_of(go(world.walnuts, "campaign_step", campaign.uid, "announce", **post))
    campaign.refresh_from_db()
    go(world.walnuts, "campaign_step", campaign.uid, "announce", **post | {"revision": campaign.revision})
    assert ANNOUNCEMENT.what_to_do in text_of(go(None, "public_recall", campaign.uid))


# --- Holders --------------------------------------------------------------------------------------------------------


def test_a_shop_answers_from_its_inbox(chain: Chain, go: Callable[..., Any]) -> None:
    world = chain.world
    campaign = announced(chain)
    notice = notice_to(campaign, world.shop.organisation)
    assert unread_notices(world.shop) == 1
    assert campaign.title in text_of(go(world.shop, "notice_list"))
    page = text_of(go(world.shop, "notice", notice.uid))
    assert chain.pouch_a.code in page
    go(world.shop, "notice_acknowledge", notice.uid, x=1)
    answered = go(
        world.shop,
        "notice_answer",
        notice.uid,
        unit_0="KGM",
        on_hand_0="8",
        sealed_0="8",
        sold_0="2",
        unknown_0="0",
    )
    assert answered.status_code == 302
    notice.refresh_from_db()
    assert notice.status == "isolated"
    assert unread_notices(world.shop) == 0
    assert "8 千克" in text_of(go(world.walnuts, "campaign_notice_page", campaign.uid, notice.uid))


def test_a_get_changes_nothing(chain: Chain, go: Callable[..., Any]) -> None:
    notice = notice_to(announced(chain), chain.far_outsider)
    go(None, "letter", notice_link(notice))
    go(None, "letter_answer", notice_link(notice))
    notice.refresh_from_db()
    assert notice.status == "created"
    assert not notice.steps.exists()


def test_the_letter_answers_without_an_account(chain: Chain, go: Callable[..., Any]) -> None:
    notice = notice_to(announced(chain), chain.far_outsider)
    token = notice_link(notice)
    assert chain.pouch_a.code in text_of(go(None, "letter", token))
    go(None, "letter", token, name="示例丙")
    page = text_of(go(None, "letter", token))
    assert "示例丙" in page
    go(
        None,
        "letter_answer",
        token,
        name="示例丙",
        unit_0="袋",
        on_hand_0="10",
        sealed_0="10",
        sold_0="0",
        unknown_0="0",
    )
    notice.refresh_from_db()
    assert notice.stock.get().on_hand_micros == 2_000_000


def test_a_forged_letter_is_not_found(chain: Chain, client: Client) -> None:
    notice = notice_to(announced(chain), chain.far_outsider)
    assert client.get(reverse("recalls:letter", args=[notice_link(notice)[:-2] + "xx"])).status_code == 404


def test_the_printed_letter_is_for_who_knows_the_outsider(chain: Chain, go: Callable[..., Any]) -> None:
    world = chain.world
    notice = notice_to(announced(chain), chain.far_outsider)
    page = text_of(go(world.distributor, "letter_print", notice.uid))
    assert "<svg" in page
    assert chain.far_outsider.name in page
    assert go(world.walnuts, "letter_print", notice.uid).status_code == 403
    assert go(world.county, "letter_print", notice.uid).status_code == 200


def test_a_producer_does_not_learn_its_distributors_customers(chain: Chain, go: Callable[..., Any]) -> None:
    world = chain.world
    campaign = announced(chain)
    hidden = [world.shop.organisation.name, chain.far_outsider.name]
    for name in ("campaign", "campaign_scope", "campaign_scope_csv", "campaign_notices", "campaign_figures"):
        page = text_of(go(world.walnuts, name, campaign.uid))
        assert not [name for name in hidden if name in page], name
    seen = text_of(go(world.county, "campaign_notices", campaign.uid))
    assert all(name in seen for name in hidden)
    notice = notice_to(campaign, world.shop.organisation)
    go(world.shop, "notice_acknowledge", notice.uid, x=1)
    assert hidden[0] in text_of(go(world.walnuts, "campaign_notices", campaign.uid))


def test_goods_come_back_and_are_destroyed_through_the_pages(chain: Chain, go: Callable[..., Any]) -> None:
    world = chain.world
    campaign = announced(chain)
    notice = notice_to(campaign, world.distributor.organisation)
    go(
        world.walnuts, "campaign_return", campaign.uid, notice.uid,
        amount_0="10", unit_0="KGM", condition="sealed", when="2026-11-01 09:00",
    )  # fmt: skip
    assert campaign.returns.get().micros == 10_000_000
    refused = go(
        world.walnuts, "campaign_disposal", campaign.uid,
        amount_0="10", unit_0="KGM", method="destroy", where="处理厂", when="2026-11-02 09:00",
    )  # fmt: skip
    assert refused.status_code == 422
    go(
        world.walnuts, "campaign_disposal", campaign.uid,
        amount_0="10", unit_0="KGM", method="destroy", where="处理厂", when="2026-11-02 09:00", witness_name="示例见证",
    )  # fmt: skip
    assert campaign.disposals.get().micros == 10_000_000


# --- The public -----------------------------------------------------------------------------------------------------


def test_the_public_page_has_all_of_article_16(chain: Chain, go: Callable[..., Any]) -> None:
    campaign = announced(chain)
    page = text_of(go(None, "public_recall", campaign.uid))
    for words in (
        ANNOUNCEMENT.producer, ANNOUNCEMENT.address, ANNOUNCEMENT.legal_representative, ANNOUNCEMENT.person_in_charge,
        ANNOUNCEMENT.phone, ANNOUNCEMENT.email, "示例核桃仁", chain.pouch_a.code, ANNOUNCEMENT.reason,
        ANNOUNCEMENT.risk, "一级召回", "2026年10月21日", ANNOUNCEMENT.area, ANNOUNCEMENT.duties,
        ANNOUNCEMENT.what_to_do, ANNOUNCEMENT.compensation, "12315", campaign.number,
    ):  # fmt: skip
        assert str(words) in page, words
    assert "正品" not in page
    by_number = go(None, "public_recall", campaign.number)
    assert by_number.url == reverse("recalls:public_recall", args=[campaign.uid])


def test_nothing_of_a_drill_or_an_unannounced_recall_is_public(chain: Chain, go: Callable[..., Any]) -> None:
    drill, real = started(chain, is_drill=True), started(chain)
    for campaign in (drill, real):
        assert go(None, "public_recall", campaign.uid).status_code == 404
        assert go(None, "public_recall", campaign.number).status_code == 404
    for name in ("public_list", "public_feed"):
        page = text_of(go(None, name))
        assert str(drill.uid) not in page
        assert str(real.uid) not in page
    inbox = text_of(go(chain.world.distributor, "notice_list"))
    assert str(notice_to(drill, chain.world.distributor.organisation).uid) not in inbox
    assert not OutboxMessage.objects.filter(notice__campaign=drill).exists()


def test_the_feed_is_atom_with_stable_names(chain: Chain, go: Callable[..., Any]) -> None:
    campaign = announced(chain)
    answered = go(None, "public_feed")
    assert answered["Content-Type"].startswith("application/atom+xml")
    root = ET.fromstring(answered.content)  # noqa: S314
    atom = "{http://www.w3.org/2005/Atom}"
    (entry,) = root.findall(f"{atom}entry")
    assert entry.findtext(f"{atom}id") == f"urn:uuid:{campaign.uid}"
    assert chain.pouch_a.code in (entry.findtext(f"{atom}summary") or "")


def test_the_public_list_finds_by_lot(chain: Chain, go: Callable[..., Any]) -> None:
    campaign = announced(chain)
    assert campaign.title in text_of(go(None, "public_list", query=f"?q={chain.pouch_a.code}"))
    assert campaign.title not in text_of(go(None, "public_list", query="?q=没有的批号"))


def test_words_of_others_are_escaped(chain: Chain, go: Callable[..., Any]) -> None:
    from recalls.actions.signals import raise_signal

    signal = raise_signal(source="complaint", text="<script>alert(1)</script>", lot=chain.pouch_a)
    assert "<script>alert" not in text_of(go(chain.world.walnuts, "signal", signal.uid))


def test_a_table_runs_no_formula(chain: Chain, go: Callable[..., Any]) -> None:
    organisation = chain.outsider
    organisation.name = "=HYPERLINK(1)"
    organisation.save(update_fields=["name"])
    page = text_of(go(chain.world.walnuts, "campaign_scope_csv", scoped(chain).uid))
    assert "'=HYPERLINK(1)" in page


def test_a_list_costs_the_same_for_one_campaign_as_for_many(
    chain: Chain, client: Client, django_assert_max_num_queries: Any
) -> None:
    started(chain)
    sign_in(client, chain.world.county)
    url = reverse("recalls:campaign_list")
    client.get(url)
    with django_assert_max_num_queries(30) as first:
        client.get(url)
    for _more in range(6):
        started(chain)
    with django_assert_max_num_queries(len(first)):
        client.get(url)


def test_a_firm_finds_how_to_ask_for_more_time_and_how_to_explain_a_silence(chain: Chain, client: Client) -> None:
    world = chain.world
    campaign = announced(chain)
    at = reverse("recalls:campaign", args=[campaign.uid])
    ask = reverse("recalls:campaign_propose", args=[campaign.uid, "grant_extension"])
    grant = reverse("recalls:campaign_step", args=[campaign.uid, "grant_extension"])
    sign_in(client, world.county_approver)
    assert grant not in client.get(at).content.decode(), "nothing was applied for"
    sign_in(client, world.walnuts_quality)
    running = campaign.clocks.filter(key="complete")
    running.update(met_at=timezone.now())
    assert ask not in client.get(at).content.decode(), "no limit runs that could be extended"
    assert client.post(ask, {"reason": "门店分散", "until": "2099-01-01"}).status_code == 422
    running.update(met_at=None)
    assert ask in client.get(at).content.decode()
    assert "由主管部门决定" in client.get(ask).content.decode()
    assert client.post(ask, {"reason": "门店分散", "until": "2099-01-01"}).status_code == 302
    body = client.get(at).content.decode()
    assert ask not in body
    assert "等主管部门答复" in body
    Campaign.objects.filter(pk=campaign.pk).update(authority=world.province.organisation)
    sign_in(client, world.county_approver)
    assert grant not in client.get(at).content.decode(), "the province decides, and the county is offered no button"
    Campaign.objects.filter(pk=campaign.pk).update(authority=world.county.organisation)
    sign_in(client, world.county_approver)
    assert grant in client.get(at).content.decode()
    assert 'value="2099-01-01"' in client.get(grant).content.decode(), "the day applied for"
    # A silence: the page offers the step with a field for the reason, and refuses without one.
    carry_out(by=world.walnuts, campaign=campaign)
    step = reverse("recalls:campaign_step", args=[campaign.uid, "finish_collecting"])
    sign_in(client, world.walnuts_quality)
    assert step in client.get(at).content.decode()
    page = client.get(step).content.decode()
    assert "请在下面写明原因" in page
    campaign.refresh_from_db()
    assert client.post(step, {"revision": campaign.revision, "reason": ""}).status_code in (409, 422)
    assert client.post(step, {"revision": campaign.revision, "reason": "已电话核实"}).status_code == 302


def test_who_asks_is_never_told_to_do_nothing_about_goods_that_are_stopped(chain: Chain, client: Client) -> None:
    at = reverse("recalls:affected")
    safe = "您不用为召回做什么"
    assert safe in client.get(at, {"lot": chain.pouch_a.code}).content.decode()
    drill = started(chain, is_drill=True)
    assert safe in client.get(at, {"lot": chain.pouch_a.code}).content.decode(), "an exercise stops nothing"
    campaign = started(chain)
    body = client.get(at, {"lot": chain.pouch_a.code}).content.decode()
    assert "这个批次现在停止销售" in body
    assert safe not in body
    assert campaign.title not in body, "what is not announced is not told"
    assert drill.title not in body
    draft_notice(by=chain.world.walnuts_quality, campaign=campaign, announcement=ANNOUNCEMENT)
    announce(by=chain.world.walnuts, campaign=campaign, channel="本系统公告页")
    body = client.get(at, {"lot": chain.pouch_a.code}).content.decode()
    assert "这个批次正在召回" in body
    assert "这个批次现在停止销售" not in body


def test_a_notice_nobody_answered_waits_no_more_when_the_recall_is_over(chain: Chain, client: Client) -> None:
    campaign = announced(chain)
    by = chain.world.shop
    told = notice_to(campaign, by.organisation)
    sign_in(client, by)
    assert str(told.uid) in client.get("/recall/notices/").content.decode()
    assert unread_notices(by) == 1
    Campaign.objects.filter(pk=campaign.pk).update(status="closed", ended_at=timezone.now(), ended_by=by.user)
    assert str(told.uid) not in client.get("/recall/notices/").content.decode()
    done = client.get("/recall/notices/?which=done").content.decode()
    assert str(told.uid) in done
    assert "召回已结束，不用再答复" in done
    assert unread_notices(by) == 0


def test_food_is_not_offered_a_repair(chain: Chain) -> None:
    campaign = announced(chain)
    for page in (f"/recalls/{campaign.uid}", f"/recalls/{campaign.uid}/claim"):
        body = Client().get(page).content.decode()
        assert "退货、换货或退款" in body
        assert "修理" not in body
