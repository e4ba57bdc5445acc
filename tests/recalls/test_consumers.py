"""Consumers: a claim with a receipt, a subscription confirmed and told once, a person forgotten, a warning refused."""

from __future__ import annotations

import datetime
import io
import re
from typing import Any

import pytest
from django.core import mail
from django.core.management import call_command
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone
from PIL import Image

from recalls.actions.announcements import draft_notice
from recalls.actions.campaigns import amend_notice, propose
from recalls.actions.cases import (
    Told,
    accept,
    file_claim,
    file_complaint,
    forget_old_cases,
    hand_over,
    named,
    refuse,
    reply,
    set_target,
    settle,
)
from recalls.actions.scopes import expand_scope, narrow_scope
from recalls.actions.subscriptions import forget_unconfirmed, send_next, tell_next
from recalls.actions.warnings import draft_warning, publish_warning, submit_warning
from recalls.models import (
    Campaign,
    ConsumerCase,
    Fanout,
    Publication,
    PublicMessage,
    RiskWarning,
    Signal,
    Subscription,
)
from recalls.plausible import Claimed, flags_of
from recalls.scope import Question
from tests.recalls.story import ANNOUNCEMENT, Chain, announced, started
from tests.world import World, sign_in
from trace import throttle
from trace.errors import DomainError
from trace.models import Lot, PersonalRecord, Product

PHONE = "13912345678"


@pytest.fixture(autouse=True)
def fresh_limits() -> None:
    throttle.forget_all()


@pytest.fixture
def campaign(chain: Chain) -> Campaign:
    return announced(chain)


def word_on(page: str) -> str:
    found = re.search(r'name="word" value="([^"]+)"', page)
    assert found is not None
    return found[1]


def claim_by_page(client: Client, campaign: Campaign, lot: Lot, **more: Any) -> Any:
    """Send the claim form as a browser without script does."""
    url = f"/recalls/{campaign.uid}/claim?code={lot.public_code}"
    page = client.get(url).content.decode()
    given = {"word": word_on(page), "code": lot.public_code, "remedy": "refund", "pieces": "2", **more}
    return client.post(url, given)


def picture() -> io.BytesIO:
    out = io.BytesIO()
    Image.new("RGB", (40, 30), "brown").save(out, "JPEG")
    out.seek(0)
    out.name = "label.jpg"
    return out


def test_a_claim_from_page_to_payment(campaign: Campaign, chain: Chain) -> None:
    client = Client(enforce_csrf_checks=True)
    by = chain.world
    answer = claim_by_page(
        client, campaign, chain.pouch_a, contact="a@example.org", consent="on", words="两袋", photo=picture()
    )
    case = ConsumerCase.objects.get()
    assert answer.status_code == 302
    assert answer["Location"] == f"/receipts/{case.number}?new=1"
    assert not client.cookies
    assert (case.owner, case.lot, case.remedy, case.flags) == (campaign.organisation, chain.pouch_a, "refund", [])
    shop = sign_in(Client(), by.shop)
    assert shop.get(f"/recall/cases/{case.uid}/").status_code == 404
    maker = sign_in(Client(), by.walnuts_quality)
    page = maker.get(f"/recall/cases/{case.uid}/").content.decode()
    assert "两袋" in page
    assert "a@example.org" not in page
    photo = case.photos.get()
    assert maker.get(f"/recall/cases/{case.uid}/photos/{photo.pk}/")["Content-Type"] == "image/jpeg"
    assert shop.get(f"/recall/cases/{case.uid}/photos/{photo.pk}/").status_code == 404
    assert "a@example.org" in sign_in(Client(), by.county).get(f"/recall/cases/{case.uid}/").content.decode()
    assert maker.post(f"/recall/cases/{case.uid}/do/accept/", {"words": "请寄回示例地址"}).status_code == 302
    wrong = maker.post(f"/recall/cases/{case.uid}/do/settle/", {"payer": "advance", "paid": "58"})
    assert wrong.status_code == 422
    assert "由谁支付" in wrong.content.decode()
    good = {"payer": "advance", "payer_name": "示例便民商店", "paid": "58.50", "words": "已退款"}
    assert maker.post(f"/recall/cases/{case.uid}/do/settle/", good).status_code == 302
    case.refresh_from_db()
    assert (case.status, case.payer, case.paid_cents) == ("settled", "advance", 5850)
    page = client.get(f"/receipts/{case.number}").content.decode()
    for words in ("请寄回示例地址", "已退款", "先行赔付", "58.50"):
        assert words in page
    while send_next():
        pass
    assert [one.to for one in mail.outbox] == [["a@example.org"]] * 2
    assert case.number in mail.outbox[0].body


def test_the_same_form_twice_is_one_claim_and_bad_input_comes_back(campaign: Campaign, chain: Chain) -> None:
    client = Client()
    url = f"/recalls/{campaign.uid}/claim"
    fields = {"word": word_on(client.get(url).content.decode()), "code": chain.pouch_a.public_code}
    fields |= {"remedy": "return", "pieces": "1"}
    assert client.post(url, fields)["Location"] == client.post(url, fields)["Location"]
    for bad in (
        {"word": "forged"},
        {"code": "\x00"},
        {"remedy": "repair"},
        {"pieces": "9" * 30},
        {"price": "1e400"},
        {"words": "x" * 1001},
        {"contact": PHONE},
        {"photo": io.BytesIO(b"MZ not a picture")},
    ):
        word = {} if "word" in bad else {"word": word_on(client.get(url).content.decode())}
        throttle.forget_all()
        assert client.post(url, {**fields, **word, **bad}).status_code == 422, bad
    assert ConsumerCase.objects.count() == 1
    assert client.get("/recalls/2026-nothing/claim").status_code == 404


def test_a_drill_takes_no_claims(chain: Chain) -> None:
    drill = started(chain, is_drill=True)
    assert Client().get(f"/recalls/{drill.uid}/claim").status_code == 404
    with pytest.raises(DomainError) as caught:
        file_claim(nonce="d", campaign=drill, code=chain.pouch_a.public_code, remedy="refund", pieces=1, told=Told())
    assert caught.value.code == "recall_not_open"
    Subscription.objects.all().delete()
    assert not tell_next()


def test_a_code_never_issued_makes_a_flag_and_a_signal(campaign: Campaign, chain: Chain) -> None:
    before = Signal.objects.count()
    case = file_claim(nonce="n", campaign=campaign, code="ZZZZZZZZZZZZ", remedy="refund", pieces=1, told=Told())
    assert (case.flags, case.lot) == (["never_issued"], None)
    assert Signal.objects.count() == before + 1
    huge = file_claim(
        nonce="m", campaign=campaign, code=chain.pouch_a.public_code, remedy="refund", pieces=5000, told=Told()
    )
    assert "many_pieces" in huge.flags
    late = Told(bought_on=timezone.localdate() + datetime.timedelta(days=1))
    again = file_claim(
        nonce="o", campaign=campaign, code=chain.pouch_a.public_code, remedy="refund", pieces=1, told=late
    )
    assert "after_stop" in again.flags


@pytest.mark.once
def test_what_is_implausible() -> None:
    assert flags_of(Claimed(1, is_unit=True, issued=True, covered=True)) == []
    assert flags_of(Claimed(3, is_unit=True, issued=True, covered=False, same_code=1)) == [
        "not_covered",
        "more_than_one",
        "claimed_before",
    ]
    assert flags_of(Claimed(21, is_unit=False, issued=True, covered=True, lot_pieces=80, made=100, void=True)) == [
        "many_pieces",
        "more_than_made",
        "void_code",
    ]
    made, stopped = datetime.date(2026, 10, 1), datetime.date(2026, 10, 20)
    for bought, flags in (
        (datetime.date(2026, 9, 30), ["before_made"]),
        (datetime.date(2026, 10, 1), []),
        (datetime.date(2026, 10, 20), []),
        (datetime.date(2026, 10, 21), ["after_stop"]),
    ):
        said = Claimed(1, is_unit=True, issued=True, covered=True, bought_on=bought, made_on=made, stopped_on=stopped)
        assert flags_of(said) == flags


def test_a_claim_may_be_refused_with_a_reason_and_handed_over_by_a_regulator_only(
    campaign: Campaign, chain: Chain
) -> None:
    by = chain.world
    case = file_claim(
        nonce="r", campaign=campaign, code=chain.pouch_a.public_code, remedy="refund", pieces=1, told=Told()
    )
    with pytest.raises(DomainError) as caught:
        hand_over(by=by.walnuts_quality, case=case, to=by.shop.organisation, reason="他先卖的")
    assert caught.value.code == "regulator_only"
    hand_over(by=by.county, case=case, to=by.shop.organisation, reason="首负责任")
    accept(by=by.shop, case=case)
    with pytest.raises(DomainError) as caught:
        accept(by=by.shop, case=case)
    assert caught.value.code == "stale_state"
    with pytest.raises(DomainError) as caught:
        settle(by=by.shop, case=case, payer="seller", payer_name="店")
    assert caught.value.code == "amount_required"
    refuse(by=by.shop, case=case, words="实物不是本批次")
    assert "实物不是本批次" in Client().get(f"/receipts/{case.number}").content.decode()


def test_receipts_are_not_guessed(campaign: Campaign) -> None:
    client = Client()
    answers = [client.get(f"/receipts/T20260101-{n:012d}").status_code for n in range(25)]
    assert answers[:20] == [404] * 20
    assert set(answers[20:]) == {429}
    assert client.get("/receipts", {"number": "\x00'"}).status_code == 422


def test_overdue_cases_are_listed_for_the_regulator(world: World, chain: Chain) -> None:
    set_target(by=world.county_approver, key="complaint", hours=24, reason="示例：从严")
    long_ago = timezone.now() - datetime.timedelta(days=2)
    file_complaint(
        nonce="o",
        what="quality",
        kind_words="质量",
        goods=named(chain.pouch_a.public_code),
        told=Told(words="发霉"),
        at=long_ago,
    )
    case = ConsumerCase.objects.get()
    assert case.due_rule["hours"] == 24
    county = sign_in(Client(), world.county)
    assert case.number in county.get("/recall/cases/?state=overdue").content.decode()
    assert case.number not in sign_in(Client(), world.other_county).get("/recall/cases/?state=all").content.decode()
    assert "超过办理目标" in county.get("/home/").content.decode() or county.get("/home/").status_code in (302, 404)
    with pytest.raises(DomainError):
        set_target(by=world.walnuts, key="complaint", hours=9999, reason="x")


# --- Privacy (31 simulated days) ------------------------------------------------------------------------------------


def test_a_person_is_forgotten_at_one_tap_and_by_the_retention_job(world: World, chain: Chain) -> None:
    ended = timezone.now()
    goods = named(chain.pouch_a.public_code)
    told = Told(words=f"住示例街 7 号，{PHONE}", contact=PHONE, consent=True)
    first = file_complaint(nonce="1", what="dates", kind_words="日期", goods=goods, told=told, at=ended)
    second = file_complaint(nonce="2", what="dates", kind_words="日期", goods=goods, told=told, at=ended)
    client = Client(enforce_csrf_checks=True)
    page = client.get(f"/receipts/{first.number}").content.decode()
    assert PHONE in page
    assert client.post(f"/receipts/{first.number}/forget", {"word": "forged"}).status_code == 422
    assert client.post(f"/receipts/{first.number}/forget", {"word": word_on(page)}).status_code == 302
    page = client.get(f"/receipts/{first.number}").content.decode()
    assert PHONE not in page
    assert "示例街" not in page
    assert first.number in page
    reply(by=world.walnuts_quality, case=second, words=f"已电话 {PHONE} 说明", at=ended)
    assert forget_old_cases(now=ended + datetime.timedelta(days=29)) == 0
    assert forget_old_cases(now=ended + datetime.timedelta(days=31)) == 1
    assert forget_old_cases(now=ended + datetime.timedelta(days=31)) == 0
    assert PHONE not in client.get(f"/receipts/{second.number}").content.decode()
    records = PersonalRecord.objects.filter(purpose__startswith="case_")
    assert records.count() == 5
    assert not records.exclude(key=None).exists()
    dump = io.StringIO()
    call_command("dumpdata", "recalls", "labels", "trace.personalrecord", stdout=dump)
    assert PHONE not in dump.getvalue()
    assert "示例街" not in dump.getvalue()


# --- Subscriptions --------------------------------------------------------------------------------------------------


def test_a_subscriber_confirms_is_told_once_and_ends_it(chain: Chain) -> None:
    client = Client(enforce_csrf_checks=True)
    url = f"/tell-me?code={chain.pouch_a.public_code}"
    page = client.get(url).content.decode()
    fields = {"word": word_on(page), "scope": "product", "channel": "email", "address": "b@Example.org"}
    assert client.post(url, fields).status_code == 422
    fields["consent"] = "on"
    for _ in range(2):
        assert client.post(url, fields).status_code == 200
    fields["word"] = word_on(client.get(url).content.decode())
    client.post(url, fields)
    row = Subscription.objects.get()
    assert "b@example.org" not in str(list(Subscription.objects.values()))
    while send_next():
        pass
    assert len(mail.outbox) == 1
    link = re.search(r"/tell-me/\S+", str(mail.outbox[0].body))
    assert link is not None
    client.get(link[0])
    row.refresh_from_db()
    assert row.status == "waiting", "a mail program that opens links confirms nothing"
    client.post(link[0])
    campaign = announced(chain)

    def told() -> None:
        while tell_next():
            pass
        while send_next():
            pass

    for _ in range(3):
        told()
    assert len(mail.outbox) == 2
    assert "/recalls/" in mail.outbox[1].body
    assert Fanout.objects.get().told == 1
    with pytest.raises(IntegrityError), transaction.atomic():
        PublicMessage.objects.create(
            kind="recall", subscription=row, campaign=campaign, publication=Publication.objects.get()
        )
    assert mail.outbox[1].extra_headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"

    # Told again where an announcement covers more of the product, not where its words alone are others.
    def announced_anew() -> None:
        draft_notice(by=chain.world.walnuts_quality, campaign=campaign, announcement=ANNOUNCEMENT)
        amend_notice(by=chain.world.walnuts, campaign=campaign, channel="本系统公告页", reason="示例：补充")
        told()

    announced_anew()
    assert len(mail.outbox) == 2
    wider = Question.of([chain.pouch_a, chain.pouch_b], same_run=False)
    expand_scope(by=chain.world.walnuts_quality, campaign=campaign, question=wider, reason="同一次加工")
    mail.outbox.clear()
    announced_anew()
    assert ["召回范围扩大" in one.subject for one in mail.outbox] == [True]
    announced_anew()
    assert len(mail.outbox) == 1
    # A lot that was out for a while is told of again: whoever looked meanwhile read that it is not meant.
    mail.outbox.clear()
    narrow = Question.of([chain.pouch_a], same_run=False)
    by = chain.world.walnuts_quality
    propose(by=by, campaign=campaign, action="narrow_scope", reason="B 合格", question=narrow)
    narrow_scope(by=chain.world.walnuts, campaign=campaign, question=narrow, reason="B 合格", evidence="示例报告 2 号")
    announced_anew()
    assert mail.outbox == []
    expand_scope(by=by, campaign=campaign, question=wider, reason="B 复检不合格")
    announced_anew()
    assert ["召回范围扩大" in one.subject for one in mail.outbox] == [True]
    assert client.post(f"{link[0]}/end").status_code == 200
    row.refresh_from_db()
    assert (row.status, row.address_hash, row.address.key) == ("ended", "", None)
    assert client.get("/tell-me/forged").status_code == 404


def test_who_does_not_confirm_is_never_told_and_soon_forgotten(chain: Chain) -> None:
    client = Client()
    url = f"/tell-me?code={chain.pouch_a.public_code}"
    fields = {"word": word_on(client.get(url).content.decode()), "scope": "all", "channel": "email"}
    client.post(url, {**fields, "address": "c@example.org", "consent": "on"})
    announced(chain)
    while tell_next():
        pass
    assert not PublicMessage.objects.filter(kind="recall").exists()
    assert forget_unconfirmed(now=timezone.now() + datetime.timedelta(days=3)) == 1
    assert Subscription.objects.get().status == "ended"


# --- Risk warnings --------------------------------------------------------------------------------------------------

ITEMS: dict[str, Any] = dict.fromkeys(("title", "text", "advice", "goods", "area", "basis"), "示例")


def test_a_risk_warning_is_published_by_a_province_alone(world: World) -> None:
    warning = draft_warning(by=world.county, **ITEMS)
    for lower in (world.county_approver, world.prefecture_approver):
        with pytest.raises(DomainError) as caught:
            publish_warning(by=lower, warning=warning)
        assert caught.value.code == "level_too_low"
    submit_warning(by=world.county, warning=warning)
    assert Client().get(f"/warnings/{warning.uid}").status_code == 404
    with pytest.raises(IntegrityError), transaction.atomic():
        RiskWarning.objects.filter(pk=warning.pk).update(
            status="published",
            published_at=timezone.now(),
            publisher=world.county.organisation,
            publisher_level="county",
        )
    county = sign_in(Client(), world.county_approver)
    assert county.post(f"/recall/warnings/{warning.uid}/", {"do": "publish"}).status_code == 403
    province = sign_in(Client(), world.province_approver)
    assert province.post(f"/recall/warnings/{warning.uid}/", {"do": "publish"}).status_code == 302
    assert "示例" in Client().get(f"/warnings/{warning.uid}").content.decode()
    assert sign_in(Client(), world.walnuts).get("/recall/warnings/").status_code == 404
    assert Product.objects.exists()
