"""Acts of the authority by served documents, who is competent, and where an announcement must stand."""

from __future__ import annotations

import datetime
import io
from typing import Any
from zoneinfo import ZoneInfo

from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from recalls.actions.acts import is_competent, issue_act
from recalls.actions.announcements import draft_notice, prove_publication
from recalls.actions.answers import acknowledge
from recalls.actions.assessment import assess, licence_tier_of
from recalls.actions.campaigns import (
    announce,
    cancel,
    close,
    decide,
    evaluate,
    grant_extension,
    order,
    propose,
    refuse_recall,
    start_campaign,
)
from recalls.actions.moves import proposal_of
from recalls.actions.scopes import freeze_scope, narrow_scope
from recalls.channels import channel_for, owed
from recalls.law import LegalEvent
from recalls.models import Campaign, Publication, RegulatorAct
from recalls.scope import Question
from tests.goods import day
from tests.recalls.story import (
    ANNOUNCEMENT,
    FINDING,
    Chain,
    announced,
    assessed,
    notice_to,
    scoped,
    started,
    summarised,
)
from tests.recalls.test_papers import refused
from tests.world import sign_in
from trace.actor import Actor
from trace.models import Division, Licence, Organisation

CHINA = ZoneInfo("Asia/Shanghai")


def serve(by: Actor, campaign: Campaign, kind: str, number: str, **how: object) -> RegulatorAct:
    facts: dict[str, object] = {"served_at": day(32).at, "content": "示例要求"} | how
    return issue_act(by=by, campaign=campaign, kind=kind, number=number, **facts)  # type: ignore[arg-type]


def test_an_act_is_written_once_with_its_law_and_by_whom_it_may(chain: Chain) -> None:
    world = chain.world
    campaign = started(chain)
    talk = serve(world.county_approver, campaign, "interview", "示例约〔2026〕1号")
    assert talk.legal_basis == "《食品安全法》第一百一十四条"
    assert serve(world.county_approver, campaign, "interview", "示例约〔2026〕1号") == talk, "the same twice is one"
    refused(lambda: serve(world.county_approver, campaign, "order_stop", "示例约〔2026〕1号"), "number_used")
    refused(lambda: serve(world.county, campaign, "order_stop", "示例停〔2026〕1号"), "role_required")
    refused(lambda: serve(world.other_county_approver, campaign, "interview", "x"), "role_required")
    refused(lambda: serve(world.walnuts, campaign, "interview", "x"), "role_required")
    refused(lambda: serve(world.county_approver, campaign, "interview", " "), "required")
    refused(lambda: serve(world.county_approver, campaign, "interview", "x", content="\x00"), "text_nul")
    refused(lambda: serve(world.county_approver, campaign, "love", "x"), "unknown_choice")
    later = timezone.now() + datetime.timedelta(hours=1)
    refused(lambda: serve(world.county_approver, campaign, "interview", "x", served_at=later), "in_future")
    stop = serve(world.county_approver, campaign, "order_stop", "示例停〔2026〕1号", due_on=day(40).at.date())
    assert "第六十三条" in stop.legal_basis
    assert "第八条" in stop.legal_basis
    step = campaign.steps.filter(action="act").order_by("-id").first()
    assert step is not None
    assert (step.document, step.data["kind"]) == ("示例停〔2026〕1号", "order_stop")
    assert serve(world.county, campaign, "ask_report", "示例报〔2026〕1号").officer == world.county.user


def test_a_step_rests_on_its_own_served_act(chain: Chain) -> None:
    world = chain.world
    campaign = scoped(chain)

    def ordered(which: Campaign, reason: str) -> Campaign:
        number, at = "示例责〔2026〕1号", day(31).at
        return order(by=world.county_approver, campaign=which, reason=reason, document=number, served_at=at)

    ordered(campaign, "逾期未召回")
    act = campaign.acts.get()
    assert (act.kind, act.number, act.content) == ("order_recall", "示例责〔2026〕1号", "逾期未召回")
    other = scoped(chain)
    refused(lambda: ordered(other, "另一件"), "number_used")
    assert not other.acts.exists()
    refused(
        lambda: order(by=world.county_approver, campaign=other, document=" ", served_at=day(31).at),
        "guard_served_document",
    )


def extension_asked(chain: Chain) -> Campaign:
    campaign = announced(chain)
    propose(
        by=chain.world.walnuts,
        campaign=campaign,
        action="grant_extension",
        reason="涉及单位多",
        until=day(120).at.date(),
    )
    return campaign


def test_an_application_stands_when_the_first_answer_moves_the_recall_on(chain: Chain) -> None:
    campaign = extension_asked(chain)
    asked = proposal_of(campaign, "grant_extension")
    acknowledge(by=chain.world.distributor, notice=notice_to(campaign, chain.world.distributor.organisation))
    campaign.refresh_from_db()
    assert campaign.status == "in_progress"
    assert proposal_of(campaign, "grant_extension") == asked


def test_a_county_reads_along_where_the_province_judges_the_recall(chain: Chain, client: Client) -> None:
    world = chain.world
    campaign = summarised(chain)
    Campaign.objects.filter(pk=campaign.pk).update(authority=world.province.organisation)
    campaign.refresh_from_db()
    for step in (evaluate, close):
        error = refused(lambda step=step: step(by=world.county_approver, campaign=campaign), "not_competent")
        assert world.province.organisation.name in error.message
    sign_in(client, world.county_approver)
    assert "do/close/" not in client.get(f"/recall/campaigns/{campaign.uid}/").content.decode()
    sign_in(client, world.province_approver)
    assert "do/close/" in client.get(f"/recall/campaigns/{campaign.uid}/").content.decode()
    assert close(by=world.province_approver, campaign=campaign).status == "closed"


def test_an_extension_is_refused_by_an_act_and_the_application_is_answered(chain: Chain) -> None:
    campaign = extension_asked(chain)
    by = chain.world.county_approver
    due = campaign.clocks.get(key="complete").due_at
    serve(by, campaign, "refuse_extension", "示例延〔2026〕1号", content="理由不足")
    assert proposal_of(campaign, "grant_extension") is None
    assert campaign.clocks.get(key="complete").due_at == due
    refused(lambda: serve(by, campaign, "refuse_extension", "示例延〔2026〕2号"), "no_proposal")
    when = timezone.now()
    refused(
        lambda: grant_extension(
            by=by,
            campaign=campaign,
            until=day(120).at.date(),
            document="示例延〔2026〕3号",
            served_at=when,
            reason="改主意",
        ),
        "second_person_required",
    )


def licensed_by_the_province(chain: Chain) -> Campaign:
    """Ten past midnight of the new rule, a firm whose licence is the province's: the province supervises."""
    world = chain.world
    Licence.objects.create(
        organisation=world.walnuts.organisation,
        kind="other",
        number="示例证1号",
        issued_by=world.province.organisation.name,
    )
    return assess(
        by=world.walnuts_quality,
        organisation=world.walnuts.organisation,
        track="food",
        title="示例核桃仁",
        knew_at=datetime.datetime(2026, 12, 1, 0, 10, tzinfo=CHINA),
        finding=FINDING,
        at=datetime.datetime(2026, 12, 1, 1, tzinfo=CHINA),
    )


def test_a_county_officer_does_not_extend_for_a_firm_licensed_by_the_province(chain: Chain) -> None:
    world = chain.world
    campaign = licensed_by_the_province(chain)
    assert campaign.authority == world.province.organisation
    when = datetime.datetime(2026, 12, 1, 2, tzinfo=CHINA)
    for who in (world.county_approver, world.prefecture_approver):
        assert not is_competent(who, campaign)
        error = refused(
            lambda who=who: serve(
                who,
                campaign,
                "grant_extension",
                "示例延〔2026〕9号",
                until=datetime.date(2027, 1, 9),
                served_at=when,
                at=when,
            ),
            "not_competent",
        )
        assert world.province.organisation.name in error.message
    assert is_competent(world.province_approver, campaign)
    assert not campaign.acts.exists()
    running = extension_asked(chain)
    Campaign.objects.filter(pk=running.pk).update(authority=world.province.organisation)
    running.refresh_from_db()
    long = running.clocks.get(key="complete").due_at.date() + datetime.timedelta(days=30)
    how = {"until": long, "served_at": timezone.now(), "reason": "情况复杂"}
    refused(
        lambda: grant_extension(by=world.county_approver, campaign=running, document="示例县延1号", **how),  # type: ignore[arg-type]
        "not_competent",
    )
    assert not running.clocks.get(key="complete").changes.exists()
    grant_extension(by=world.province_approver, campaign=running, document="示例省延1号", **how)  # type: ignore[arg-type]
    act = running.acts.get()
    assert (act.kind, act.until, act.organisation) == ("grant_extension", long, world.province.organisation)


def test_a_notice_to_recall_a_consumer_product_starts_the_window_to_object(chain: Chain) -> None:
    world = chain.world
    campaign = scoped(chain)
    serve(world.county_approver, campaign, "notify_recall", "示例通〔2026〕1号")
    assert campaign.facts.filter(event=LegalEvent.NOTICE_SERVED.value).get().happened_at == day(32).at


# --- Where an announcement must stand -------------------------------------------------------------------------------


def sold_to_beijing(chain: Chain, campaign: Campaign) -> None:
    """A holder of the scope sits in another province."""
    Organisation.objects.filter(pk=chain.outsider.pk).update(division=Division.objects.get(pk="110000"))


def test_the_channel_follows_the_provinces_the_goods_went_to(chain: Chain) -> None:
    world = chain.world
    Division.objects.get_or_create(code="110000", defaults={"name": "北京市"})
    campaign = started(chain)
    channel = channel_for(campaign)
    assert channel is not None
    assert (channel.several, channel.needed) == (False, ("province_site", "province_media"))
    assert "第十七条" in channel.words
    sold_to_beijing(chain, campaign)
    channel = channel_for(campaign)
    assert channel is not None
    assert channel.several
    assert channel.needed == ("national_site", "central_media")
    assert "北京市" in channel.words
    draft_notice(by=world.walnuts_quality, campaign=campaign, announcement=ANNOUNCEMENT)
    wrong = ["province_site", "province_media"]
    error = refused(lambda: announce(by=world.walnuts, campaign=campaign, channel="省里", sites=wrong), "channel_wrong")
    assert "国家市场监督管理总局网站" in error.message
    assert "不止一个省份" in error.message
    refused(lambda: announce(by=world.walnuts, campaign=campaign, channel="x", sites=["moon"]), "unknown_choice")
    assert not Publication.objects.exists()
    campaign = announce(by=world.walnuts, campaign=campaign, channel="省里", sites=wrong, why="总局网站排队中")
    publication = Publication.objects.get()
    assert publication.sites == wrong
    assert (publication.needed, publication.provinces) == (["national_site", "central_media"], ["11", "14"])
    assert len(owed(campaign)) == 2
    how = {"publication": publication, "site": "national_site", "seen_at": day(33).at}
    refused(lambda: prove_publication(by=world.walnuts, **how), "proof_required")  # type: ignore[arg-type]
    refused(lambda: prove_publication(by=world.walnuts, url="javascript:x", **how), "url_wrong")  # type: ignore[arg-type]
    refused(lambda: prove_publication(by=world.distributor, url="https://a.example", **how), "role_required")  # type: ignore[arg-type]
    prove_publication(by=world.walnuts, url="https://www.example.org/recall/1", **how)  # type: ignore[arg-type]
    assert owed(campaign) == ["中央主要媒体"]


def test_words_alone_publish_at_once_and_what_is_owed_is_shown(chain: Chain, client: Client) -> None:
    campaign = announced(chain)
    assert owed(campaign) == ["省级市场监督管理部门网站", "省级主要媒体"]
    sign_in(client, chain.world.walnuts)
    page = client.get(reverse("recalls:campaign", args=[campaign.uid])).content.decode()
    assert "公告渠道还缺" in page
    assert "2026-12-01" in page, "the rule that would apply by another date"
    assert "为什么适用这部规则" in page
    at = reverse("recalls:campaign_channels", args=[campaign.uid])
    assert client.get(at).status_code == 200
    post = {"site": "province_site", "url": "https://www.example.org/1", "seen_at": "2026-10-30 10:00"}
    assert client.post(at, post | {"url": ""}).status_code == 422
    assert client.post(at, post).status_code == 302
    assert owed(campaign) == ["省级主要媒体"]
    sign_in(client, chain.world.distributor)
    assert client.get(at).status_code == 404


# --- Pages ----------------------------------------------------------------------------------------------------------


def test_the_page_of_acts_takes_a_document_and_keeps_its_hash(chain: Chain, client: Client) -> None:
    from PIL import Image

    world = chain.world
    campaign = started(chain)
    at = reverse("recalls:campaign_acts", args=[campaign.uid])
    sign_in(client, world.walnuts)
    assert "登记监管行为" not in client.get(at).content.decode()
    picture = io.BytesIO()
    Image.new("RGB", (40, 30), "white").save(picture, "PNG")
    post = {"kind": "order_stop", "number": "示例停〔2026〕7号", "served_at": "2026-10-25 09:00", "content": "立即停止"}
    assert client.post(at, post).status_code == 422
    sign_in(client, world.county_approver)
    assert "登记监管行为" in client.get(at).content.decode()
    assert client.post(at, post | {"file": SimpleUploadedFile("a.png", b"no picture")}).status_code == 422
    assert not RegulatorAct.objects.exists()
    assert client.post(at, post | {"file": SimpleUploadedFile("a.png", picture.getvalue())}).status_code == 302
    act = RegulatorAct.objects.get()
    assert len(act.sha256) == 64
    assert client.post(at, post | {"content": "另一件"}).status_code == 422
    sign_in(client, world.walnuts)
    file = client.get(reverse("recalls:act_file", args=[campaign.uid, act.uid]))
    assert file.status_code == 200
    assert b"".join(file.streaming_content)[:3] == b"\xff\xd8\xff"  # type: ignore[attr-defined]
    assert act.number in client.get(at).content.decode()
    sign_in(client, world.distributor)
    assert client.get(at).status_code == 404
    assert client.get(reverse("recalls:act_file", args=[campaign.uid, act.uid])).status_code == 404


def test_the_step_of_an_order_asks_for_law_and_contents(chain: Chain, client: Client) -> None:
    campaign = scoped(chain)
    sign_in(client, chain.world.county_approver)
    at = reverse("recalls:campaign_step", args=[campaign.uid, "order"])
    page = client.get(at).content.decode()
    assert "第六十三条" in page
    post = {
        "revision": campaign.revision,
        "document": "示例责〔2026〕8号",
        "served_at": "2026-10-25 09:00",
        "legal_basis": "《食品安全法》第六十三条",
        "content": "立即召回全部批次",
        "due_on": "2026-11-30",
        "reason": "",
    }
    assert client.post(at, post | {"content": ""}).status_code == 422
    assert client.post(at, post).status_code == 302
    act = RegulatorAct.objects.get()
    assert (act.content, act.due_on) == ("立即召回全部批次", datetime.date(2026, 11, 30))


def test_the_level_of_the_licence_follows_from_the_name_of_who_issued_it(chain: Chain) -> None:
    firm = chain.world.walnuts.organisation
    licence = Licence.objects.create(organisation=firm, kind="other", number="示例-1", issued_by="示例审批局")
    for issuer, tier in (
        ("示例审批局", ""),
        ("山西省市场监督管理局", "province"),
        ("山西省吕梁市行政审批服务管理局", "prefecture"),
        ("吕梁市汾阳市行政审批服务管理局", "county"),
        (chain.world.province.organisation.name, "province"),
    ):
        licence.issued_by = issuer
        licence.save()
        assert licence_tier_of(firm) == tier, issuer


def test_a_licence_to_produce_food_says_more_than_one_to_sell(chain: Chain) -> None:
    firm = chain.world.walnuts.organisation
    Licence.objects.create(organisation=firm, kind="other", number="示例-酒", issued_by="汾阳市行政审批服务管理局")
    assert licence_tier_of(firm) == "county"
    Licence.objects.create(organisation=firm, kind="sc", number="示例-产", issued_by="山西省市场监督管理局")
    assert licence_tier_of(firm) == "province", "one bureau is a regulator here, none of both need be"
    Licence.objects.filter(number="示例-酒").update(issued_by=chain.world.county.organisation.name)
    assert licence_tier_of(firm) == "province"


def test_a_county_neither_ends_nor_lessens_a_recall_of_the_province(chain: Chain, client: Client) -> None:
    world = chain.world

    def of_the_province(campaign: Campaign) -> Campaign:
        Campaign.objects.filter(pk=campaign.pk).update(authority=world.province.organisation)
        campaign.refresh_from_db()
        return campaign

    for made, action, step in ((assessed, "refuse", refuse_recall), (started, "cancel", cancel)):
        campaign = of_the_province(made(chain))
        if action == "cancel":
            propose(by=world.county, campaign=campaign, action=action, reason="示例")
        lower = {"by": world.county_approver, "campaign": campaign, "reason": "示例：县里认为不必"}
        error = refused(lambda step=step, lower=lower: step(**lower), "not_competent")
        assert world.province.organisation.name in error.message
        assert step(by=world.province_approver, campaign=campaign, reason="示例").ended_at is not None

    both = Question.of([chain.pouch_a, chain.pouch_b], same_run=False)
    campaign = assessed(chain)
    freeze_scope(by=world.walnuts_quality, campaign=campaign, question=both)
    campaign = decide(by=world.walnuts, campaign=campaign)
    campaign = of_the_province(start_campaign(by=world.walnuts_quality, campaign=campaign, stop_order=True))
    less = {"question": Question.of([chain.pouch_a], same_run=False), "reason": "示例"}
    propose(by=world.county, campaign=campaign, action="narrow_scope", **less)  # type: ignore[arg-type]
    how: dict[str, Any] = {**less, "campaign": campaign, "evidence": "示例报告"}
    refused(lambda: narrow_scope(by=world.county_approver, **how), "not_competent")
    sign_in(client, world.county_approver)
    page = client.get(f"/recall/campaigns/{campaign.uid}/scope/?lot={chain.pouch_a.uid}").content.decode()
    assert "下面就是提出的范围" in page
    assert 'name="evidence"' not in page, "it is not theirs to narrow"
    assert narrow_scope(by=world.province_approver, **how).scopes.count() == 2
