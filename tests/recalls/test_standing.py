"""Who recalls as what, label corrections, objections, the four red lines, public pictures, the calendar as a file."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import io
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import DatabaseError, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from PIL import Image

from recalls import letters
from recalls.actions.acts import object_to_recall, pending_objection
from recalls.actions.announcements import Shown, draft_notice
from recalls.actions.answers import answer_stock
from recalls.actions.assessment import Finding, Standing, assess, reassess
from recalls.actions.campaigns import (
    amend_notice,
    announce,
    close,
    decide,
    finish_collecting,
    order,
    start_campaign,
    take_back,
    turn_recall,
)
from recalls.actions.hooks import add_webhook
from recalls.actions.papers import make_paper
from recalls.actions.scopes import freeze_scope
from recalls.actions.signals import raise_signal
from recalls.figures import figures
from recalls.first_words import first_plan
from recalls.guards import red_lines
from recalls.models import (
    CalendarLoad,
    Campaign,
    ClockInstance,
    DisposalFile,
    NoticePicture,
    OutboxMessage,
    WebhookDelivery,
)
from recalls.scope import Question
from tests.goods import amount, day, receive, ship
from tests.recalls.story import (
    ANNOUNCEMENT,
    FINDING,
    KNEW,
    Chain,
    announced,
    answer,
    notice_to,
    scoped,
    started,
    summarised,
)
from tests.recalls.test_acts import serve
from tests.recalls.test_papers import refused
from tests.world import make_actor, sign_in
from trace.actions.files import path_of, store_file
from trace.actions.transfers import take_in
from trace.actor import Actor
from trace.guards import blocking
from trace.models import Organisation

Initiator, Ground = Campaign.Initiator, Campaign.Ground


def by_the_distributor(chain: Chain, standing: Standing | None) -> tuple[Campaign, Actor]:
    """The distributor's quality officer assesses what the walnut firm made."""
    firm = chain.world.distributor.organisation
    quality = make_actor(firm, "quality")
    signal = raise_signal(by=quality, source="self_check", text="示例:仓库进水", lot=chain.pouch_a, received_at=KNEW)
    campaign = assess(
        by=quality,
        organisation=firm,
        track="food",
        title="示例核桃仁受潮",
        knew_at=KNEW,
        finding=FINDING,
        signals=[signal],
        standing=standing,
    )
    freeze_scope(by=quality, campaign=campaign, question=Question.of([chain.pouch_a]))
    return campaign, quality


def test_a_trader_recalls_for_its_own_fault_and_no_producer_is_named_as_the_cause(chain: Chain) -> None:
    owner = chain.world.distributor
    refused(lambda: Standing(Initiator.TRADER).checked(), "ground_required")
    refused(lambda: Standing(Initiator.TRADER, Ground.PRODUCER_GONE).checked(), "ground_words_required")
    refused(lambda: Standing(Initiator.PRODUCER, Ground.OWN_FAULT).checked(), "unknown_choice")
    refused(lambda: Standing("king").checked(), "unknown_choice")
    campaign, quality = by_the_distributor(chain, None)
    refused(lambda: decide(by=owner, campaign=campaign), "initiator_wrong")
    reassess(by=quality, campaign=campaign, finding=FINDING, standing=Standing(Initiator.BRAND_OWNER))
    refused(lambda: decide(by=owner, campaign=campaign), "initiator_wrong")
    reassess(by=quality, campaign=campaign, finding=FINDING, standing=Standing(Initiator.TRADER, Ground.OWN_FAULT))
    campaign = decide(by=owner, campaign=campaign)
    campaign = start_campaign(by=quality, campaign=campaign, stop_order=True)
    assert blocking([chain.pouch_a])[chain.pouch_a.pk], "the lot is blocked at every holder"
    told = set(campaign.notices.values_list("organisation__name", flat=True))
    assert chain.world.shop.organisation.name in told
    assert chain.world.walnuts.organisation.name in told, "the maker is told as well"
    paper = make_paper(by=quality, campaign=campaign, kind="stop")
    words = str(paper.data)
    assert "经营者自身原因" in words


def test_a_trader_recalls_when_the_producer_is_gone_and_only_then(chain: Chain) -> None:
    gone = Standing(Initiator.TRADER, Ground.PRODUCER_GONE, "登记机关公示：已注销（示例）")
    campaign, _quality = by_the_distributor(chain, gone)
    error = refused(lambda: decide(by=chain.world.distributor, campaign=campaign), "initiator_wrong")
    assert "仍在经营" in error.message
    maker = chain.world.walnuts.organisation
    Organisation.objects.filter(pk=maker.pk).update(status=Organisation.Status.SUSPENDED)
    assert decide(by=chain.world.distributor, campaign=campaign).status == "decided"


def test_a_label_correction_is_a_type_of_its_own(chain: Chain) -> None:
    world = chain.world
    finding = Finding("labelling", "none", "possible", "correct", "示例:净含量字高不足", level=3)
    how: dict[str, Any] = {
        "by": world.walnuts_quality,
        "organisation": world.walnuts.organisation,
        "track": "food",
        "title": "示例标签",
        "knew_at": KNEW,
    }
    for wrong in (
        Finding("toxin", "none", "possible", "correct", "示例", level=3),
        Finding("labelling", "general", "possible", "correct", "示例", level=3),
        Finding("labelling", "none", "possible", "correct", "示例", level=1),
    ):
        refused(lambda wrong=wrong: assess(finding=wrong, **how), "not_label_only")
    campaign = assess(finding=finding, **how)
    assert (campaign.kind, str(campaign.get_kind_display())) == ("label", "标签更正（不影响安全）")


def test_a_withdrawal_needs_no_announcement_until_some_of_it_was_sold(chain: Chain, client: Client) -> None:
    world = chain.world
    campaign = scoped(chain)
    reassess(by=world.walnuts_quality, campaign=campaign, finding=dataclasses.replace(FINDING, verdict="withdraw"))
    add_webhook(by=world.distributor, url="https://8.8.8.8/recalls")
    campaign = start_campaign(
        by=world.walnuts_quality, campaign=decide(by=world.walnuts, campaign=campaign), stop_order=True
    )
    told = notice_to(campaign, world.distributor.organisation)
    assert (
        "这是追回" in letters.compose(told.messages.filter(channel="email").first() or OutboxMessage(notice=told)).body
    )
    refused(lambda: take_back(by=world.walnuts_quality, campaign=campaign, reason="示例"), "role_required")
    sign_in(client, world.walnuts)
    at = reverse("recalls:campaign_step", args=[campaign.uid, "take_back"])
    assert "第十一条：尚未售给消费者的" in client.get(at).content.decode()
    Campaign.objects.filter(pk=campaign.pk).update(regime="CN-FOOD-2026")
    page = client.get(at).content.decode()
    assert "第十一条准许只追回" in page
    assert "条文未经核实" in page, "nobody here has read the rule of December"
    Campaign.objects.filter(pk=campaign.pk).update(regime="CN-FOOD-2015")
    campaign = take_back(by=world.walnuts, campaign=campaign, reason="示例：都在仓库")
    assert (campaign.status, campaign.announced_at) == ("in_progress", None)
    refused(lambda: amend_notice(by=world.walnuts, campaign=campaign, channel="示例", reason="示例"), "no_such_step")

    answer_stock(by=world.distributor, notice=told, lots=[answer(chain.pouch_a, 14, 14, sold=2)])
    campaign.refresh_from_db()
    refused(lambda: finish_collecting(by=world.walnuts, campaign=campaign, reason="示例"), "guard_not_sold")
    sign_in(client, world.county)
    page = client.get(reverse("recalls:campaign", args=[campaign.uid])).content.decode()
    assert "追回的货物已有售出" in page
    campaign = turn_recall(by=world.county, campaign=campaign, reason="示例：已售两袋")
    assert (campaign.status, campaign.kind) == ("started", "recall")
    assert not told.messages.filter(kind="change").exists(), "the scope is what it was"
    said = told.messages.filter(kind="turned")
    assert "现已转为召回" in letters.compose(said.first() or OutboxMessage(notice=told)).body
    assert set(WebhookDelivery.objects.values_list("event", flat=True)) == {"notice", "turned"}
    sign_in(client, world.walnuts)
    listed = client.get(reverse("recalls:campaign_notice_page", args=[campaign.uid, told.uid])).content.decode()
    assert "转为召回" in listed
    assert "范围变更" not in listed
    refused(lambda: turn_recall(by=world.county, campaign=campaign, reason="示例"), "no_such_step")
    # A later change of the scope tells of the scope, not of the turning once more.
    later = letters.compose(OutboxMessage(notice=told, kind="change", round=2))
    assert "召回范围变更" in later.subject
    assert "转为召回" not in later.body
    sign_in(client, world.distributor)
    letter = reverse("recalls:letter_print", args=[notice_to(campaign, chain.far_outsider).uid])
    assert "已转为召回" in client.get(letter).content.decode(), "who has nothing but letters hears of it, too"
    draft_notice(by=world.walnuts_quality, campaign=campaign, announcement=ANNOUNCEMENT)
    assert announce(by=world.walnuts, campaign=campaign, channel="示例").status == "announced"


def test_whoever_is_ordered_to_recall_cannot_do_with_a_withdrawal(chain: Chain) -> None:
    world = chain.world
    campaign = scoped(chain)
    reassess(by=world.walnuts_quality, campaign=campaign, finding=dataclasses.replace(FINDING, verdict="withdraw"))
    campaign = order(by=world.county_approver, campaign=campaign, document="示例责〔2026〕9号", served_at=day(31).at)
    campaign = start_campaign(by=world.walnuts_quality, campaign=campaign, stop_order=True)
    refused(lambda: take_back(by=world.walnuts, campaign=campaign, reason="示例：都在仓库"), "no_such_step")
    told = notice_to(campaign, world.distributor.organisation)
    assert "这是追回" not in letters.compose(OutboxMessage(notice=told, kind="notice")).body
    draft_notice(by=world.walnuts_quality, campaign=campaign, announcement=ANNOUNCEMENT)
    assert announce(by=world.walnuts, campaign=campaign, channel="示例").status == "announced"


def test_a_withdrawal_of_consumer_products_is_published_as_their_rule_asks(chain: Chain) -> None:
    campaign = consumer_campaign(chain)
    Campaign.objects.filter(pk=campaign.pk).update(kind="withdrawal")
    campaign.refresh_from_db()
    assert not campaign.quiet
    campaign.track = "food"
    assert campaign.quiet


def test_a_brand_owner_recalls_what_another_made_and_the_announcement_says_who(chain: Chain, client: Client) -> None:
    world = chain.world
    lot = take_in(
        by=world.walnuts,
        supplier=chain.outsider,
        product=world.kernels,
        supplier_lot="HT-1",
        amount=amount("10", world.kernels),
        when=day(2),
        data={"inspection_result": "合格"},
    ).lots[0]
    receive(world.shop, ship(world.walnuts, world.shop.organisation, lot, "4", when=day(3)), when=day(3))
    ship(world.shop, world.walnuts.organisation, lot, "1", when=day(4))  # some came back and stays counted
    campaign = assess(
        by=world.walnuts_quality,
        organisation=world.walnuts.organisation,
        track="food",
        title="示例贴牌核桃仁",
        knew_at=KNEW,
        finding=FINDING,
        standing=Standing(Initiator.BRAND_OWNER),
    )
    freeze_scope(by=world.walnuts_quality, campaign=campaign, question=Question.of([lot]))
    assert campaign.scopes.get().lots.get().shipped_micros == 4_000_000
    campaign = decide(by=world.walnuts, campaign=campaign)
    assert f"生产者：{chain.outsider.name}" in first_plan(campaign)["plan_producer"]
    campaign = start_campaign(by=world.walnuts_quality, campaign=campaign, stop_order=True)
    assert figures(campaign).totals["KGM"].shipped == 4_000_000
    draft_notice(by=world.walnuts_quality, campaign=campaign, announcement=ANNOUNCEMENT)
    announce(by=world.walnuts, campaign=campaign, channel="示例")
    words = client.get(reverse("recalls:public_recall", args=[campaign.uid])).content.decode()
    assert "召回单位（委托方，产品由他人生产）" in words
    assert f"生产者：{chain.outsider.name}" in words


def consumer_campaign(chain: Chain) -> Campaign:
    """A consumer product (the walnuts' firm as its maker) whose authority is asked to have it recalled."""
    world = chain.world
    campaign = assess(
        by=world.county,
        organisation=world.walnuts.organisation,
        track="consumer_product",
        title="示例斗柜倾倒",
        knew_at=KNEW,
        finding=Finding("tip_over", "serious", "possible", "recall", "示例事故"),
    )
    freeze_scope(by=world.county, campaign=campaign, question=Question.of([chain.pouch_a]))
    return campaign


def test_the_producer_objects_within_its_time_and_an_order_waits_or_says_why_not(chain: Chain) -> None:
    world = chain.world
    by = world.county_approver
    campaign = consumer_campaign(chain)
    refused(lambda: object_to_recall(by=world.walnuts, campaign=campaign, reason="不认可"), "no_notice")
    now = timezone.now()
    serve(by, campaign, "notify_recall", "示例通〔2026〕2号", served_at=now)
    window = campaign.clocks.get(key="objection")
    assert window.provisional, "the article is unverified"

    def ordered(number: str, reason: str = "") -> Campaign:
        return order(by=by, campaign=campaign, document=number, served_at=timezone.now(), reason=reason)

    refused(lambda: ordered("示例责〔2026〕2号"), "objection_open")
    refused(lambda: object_to_recall(by=world.distributor, campaign=campaign, reason="不认可"), "role_required")
    refused(lambda: object_to_recall(by=world.walnuts, campaign=campaign, reason=" "), "required")
    late = window.due_at + datetime.timedelta(seconds=1)
    refused(lambda: object_to_recall(by=world.walnuts, campaign=campaign, reason="不认可", at=late), "window_over")
    object_to_recall(by=world.walnuts, campaign=campaign, reason="柜体另有固定件")
    refused(lambda: object_to_recall(by=world.walnuts, campaign=campaign, reason="再说一次"), "window_over")
    assert pending_objection(campaign) is not None
    refused(lambda: ordered("示例责〔2026〕2号"), "objection_open")
    serve(by, campaign, "no_defect", "示例认〔2026〕1号")
    assert pending_objection(campaign) is None
    refused(lambda: ordered("示例责〔2026〕2号", "很急"), "no_defect")
    serve(by, campaign, "defect_found", "示例认〔2026〕2号")
    assert ordered("示例责〔2026〕2号").status == "ordered"


def test_the_page_of_acts_takes_an_objection(chain: Chain, client: Client) -> None:
    campaign = consumer_campaign(chain)
    serve(chain.world.county_approver, campaign, "notify_recall", "示例通〔2026〕3号", served_at=timezone.now())
    at = reverse("recalls:campaign_acts", args=[campaign.uid])
    sign_in(client, chain.world.walnuts)
    assert "提出异议" in client.get(at).content.decode()
    assert client.post(at, {"do": "object", "reason": ""}).status_code == 422
    assert client.post(at, {"do": "object", "reason": "不认可"}).status_code == 302
    assert "不认可" in client.get(at).content.decode()


# --- Red lines ------------------------------------------------------------------------------------------------------


def test_publishing_or_answering_late_is_a_red_line_until_it_is_done(chain: Chain) -> None:
    campaign = started(chain)
    assert red_lines(campaign) == []
    when = timezone.now() - datetime.timedelta(days=9)
    clock = ClockInstance.objects.create(
        campaign=campaign,
        rule="CN-CONSUMER-2020/publish/*",
        key="publish",
        snapshot={"stop_event": "announced"},
        started_at=when,
        due_at=when + datetime.timedelta(days=3),
    )
    assert red_lines(campaign) == ["late"]
    ClockInstance.objects.filter(pk=clock.pk).update(met_at=timezone.now())
    assert red_lines(campaign) == []


def test_records_that_are_not_kept_are_a_red_line_and_bar_closing(chain: Chain) -> None:
    campaign = summarised(chain)
    assert red_lines(campaign) == []
    silent = campaign.notices.get(organisation=chain.outsider)
    with transaction.atomic():
        campaign.notices.filter(pk=silent.pk).update(
            status="returned", acknowledged_at=timezone.now(), answered_at=timezone.now()
        )
        assert red_lines(campaign) == ["no_records"], "counted as sent back, and nobody wrote down how much"
        refused(lambda: close(by=chain.world.county_approver, campaign=campaign), "guard_red_lines")
        transaction.set_rollback(True)
    picture = picture_of(chain.world.walnuts)
    DisposalFile.objects.create(disposal=campaign.disposals.get(), file=picture, sha256=picture.sha256)
    assert red_lines(campaign) == []
    kept = path_of(picture.sha256)
    moved = kept.rename(kept.with_suffix(".gone"))
    assert red_lines(campaign) == ["no_records"]
    moved.rename(kept)
    assert close(by=chain.world.county_approver, campaign=campaign).status == "closed"


# --- Pictures -------------------------------------------------------------------------------------------------------


def png(shade: int = 200) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (60, 40), (shade, 120, 40)).save(out, "PNG")
    return out.getvalue()


def picture_of(by: Actor, shade: int = 77) -> Any:
    return store_file(by=by, name="示例.png", content=io.BytesIO(png(shade)))


def test_pictures_come_to_the_public_page_with_their_version_and_not_before(chain: Chain, client: Client) -> None:
    world = chain.world
    campaign = started(chain)
    sign_in(client, world.walnuts_quality)
    at = reverse("recalls:campaign_notice", args=[campaign.uid])
    words = {**ANNOUNCEMENT.__dict__, "begins_on": "2026-10-21", "ends_on": "2026-11-20", "pictures_shown": "1"}
    first = {"pictures": [SimpleUploadedFile("a.png", png())], "caption": "正面"}
    assert client.post(at, words | {"pictures": [SimpleUploadedFile("a.pdf", b"%PDF-1.4 x %%EOF")]}).status_code == 422
    assert client.post(at, words | first).status_code == 302
    shown = NoticePicture.objects.get()
    public = reverse("recalls:public_picture", args=[campaign.uid, shown.sha256])
    assert client.get(public).status_code == 404, "a draft is nobody's but the firm's"
    draft = client.get(reverse("recalls:draft_picture", args=[campaign.uid, 1]))
    assert hashlib.sha256(b"".join(draft.streaming_content)).hexdigest() == shown.sha256  # type: ignore[attr-defined]
    second = {"pictures": [SimpleUploadedFile("b.png", png(40))], "keep": ["1"], "caption": "批号处"}
    assert client.post(at, words | second).status_code == 302
    campaign.refresh_from_db()
    announce(by=world.walnuts, campaign=campaign, channel="本系统公告页")
    client.logout()
    page = client.get(reverse("recalls:public_recall", args=[campaign.uid])).content.decode()
    assert page.count("/pictures/") == 2
    assert "批号处" in page
    answer = client.get(public)
    assert answer.status_code == 200
    assert b"".join(answer.streaming_content)[:3] == b"\xff\xd8\xff"  # type: ignore[attr-defined]
    for wrong in ("0" * 64, "x" * 64, "A" * 64):
        assert client.get(reverse("recalls:public_picture", args=[campaign.uid, wrong])).status_code == 404
    strange = picture_of(world.distributor)
    refused(
        lambda: draft_notice(
            by=world.walnuts_quality, campaign=campaign, announcement=ANNOUNCEMENT, pictures=[Shown(strange)]
        ),
        "not_found",
    )
    many = [Shown(picture_of(world.walnuts_quality, shade)) for shade in range(7)]
    refused(
        lambda: draft_notice(by=world.walnuts_quality, campaign=campaign, announcement=ANNOUNCEMENT, pictures=many),
        "too_many_pictures",
    )
    with pytest.raises(DatabaseError), transaction.atomic():
        NoticePicture.objects.filter(pk=shown.pk).update(caption="另一张")


# --- The calendar's file --------------------------------------------------------------------------------------------


def test_a_holiday_notice_is_loaded_from_a_file_and_the_loading_is_kept(chain: Chain, client: Client) -> None:
    announced(chain)
    first = datetime.date(2027, 1, 1)
    days = [first + datetime.timedelta(days=n) for n in range(31)]
    text = "\n".join(f"{one.isoformat()},{int(one.weekday() < 5 and one != first)}" for one in days)
    at = reverse("recalls:workdays")
    sign_in(client, chain.world.county_approver)
    file = SimpleUploadedFile("2027.csv", text.encode("gb18030"))
    post = {"source": "国办发明电〔2026〕示例号", "text": "", "do": "check"}
    assert client.post(at, post).status_code == 422, "neither text nor file"
    assert client.post(at, post | {"file": SimpleUploadedFile("a.csv", b"\xff\xfe\x00\x81")}).status_code == 422
    page = client.post(at, post | {"file": file}).content.decode()
    assert "2027-01-31" in page, "the file is shown where text is pasted"
    seen = hashlib.sha256(text.encode()).hexdigest()
    assert client.post(at, post | {"text": text, "do": "load", "seen": seen}).status_code == 302
    load = CalendarLoad.objects.get()
    assert (load.first_on, load.days, load.new, load.sha256) == (first, 31, 31, seen)
    assert load.source in client.get(at).content.decode()
    with pytest.raises(DatabaseError), transaction.atomic():
        CalendarLoad.objects.filter(pk=load.pk).delete()
