"""The ladder of notices: customers told by customers, forwarded letters, telephone, waiting times, many holders."""

import datetime
import hashlib
import hmac
import json
from typing import Any

import pytest
from django.core import mail
from django.core.exceptions import ValidationError
from django.test import Client
from django.utils import timezone

from recalls.access import notice_by_link, notice_link
from recalls.actions import notices as notice_actions
from recalls.actions.announcements import draft_notice
from recalls.actions.answers import acknowledge_by_link, answer_stock, answer_stock_by_link, latest_answers
from recalls.actions.calls import (
    disown_by_link,
    dispute_by_link,
    log_call,
    set_aside,
    set_waiting_times,
    uphold,
)
from recalls.actions.campaigns import announce
from recalls.actions.notices import age_notices, run_next_notices, waiting_times
from recalls.actions.outbox import note_bounce, note_delivered, send_due
from recalls.actions.tree import Customer, parse_customers, pass_on, pass_on_by_link
from recalls.figures import figures
from recalls.forms import Moment
from recalls.law import Level
from recalls.models import Acknowledgement, Notice, NoticeRun, OutboxMessage
from recalls.notice_states import EscalationStep, NoticeStatus
from recalls.sms import SmsLater, SmsRefused, mobile_number
from tests.recalls.story import ANNOUNCEMENT, Chain, announced, answer, notice_to, started
from tests.world import sign_in
from trace.actor import Actor
from trace.errors import DomainError, NotFound
from trace.forms.fields import Day
from trace.units import MICROS

SHOP = Customer("示例小卖部", phone="13900000000")


def refusal(run: Any, *args: Any, **kwargs: Any) -> str:
    """The code with which an action refuses."""
    with pytest.raises(DomainError) as refused:
        run(*args, **kwargs)
    return refused.value.code


def test_a_list_is_read_however_it_was_pasted() -> None:
    text = "示例甲，0358-1234567\n\n示例乙\ta@example.org\n示例丙；示例村 3 号，13900000000"
    assert parse_customers(text) == [
        Customer("示例甲", phone="0358-1234567"),
        Customer("示例乙", email="a@example.org"),
        Customer("示例丙", phone="13900000000", address="示例村 3 号"),
    ]


@pytest.mark.parametrize(
    ("phone", "mobile"),
    [("13900000000", "13900000000"), ("+86 139-0000-0000", "13900000000"), ("0358-1234567", ""), ("", "")],
)
def test_only_mobile_numbers_get_text_messages(phone: str, mobile: str) -> None:
    assert mobile_number(phone) == mobile


def test_a_partner_without_account_passes_it_on_and_the_tree_grows_tier_after_tier(chain: Chain) -> None:
    campaign = announced(chain)
    top = notice_to(campaign, chain.outsider)
    token = notice_link(top)
    (child,) = pass_on_by_link(token=token, name="示例张三", customers=[SHOP])
    assert (child.tier, child.parent, child.carrier) == (2, top, chain.world.walnuts.organisation)
    assert set(child.lots.values_list("lot", flat=True)) == {chain.pouch_a.pk}
    assert pass_on_by_link(token=token, name="示例张三", customers=[SHOP]) == []
    (grandchild,) = pass_on_by_link(
        token=notice_link(child), name="示例李四", customers=[Customer("示例村店", email="deep@example.org")]
    )
    assert grandchild.tier == 3
    assert send_due() == 2
    assert {one.to[0] for one in mail.outbox} == {"outsider@example.org", "deep@example.org"}
    # What the grandchild has came out of what was sold above it: nothing is counted twice.
    answer_stock_by_link(token=token, name="示例张三", lots=[answer(chain.pouch_a, 1, 1, 4)])
    answer_stock_by_link(token=notice_link(grandchild), name="示例王五", lots=[answer(chain.pouch_a, 3, 3)])
    amounts = next(one.amounts for one in figures(campaign).lots if one.lot == chain.pouch_a)
    assert (amounts.held, amounts.sold, amounts.excess) == (4 * MICROS, 1 * MICROS, 0)
    answer_stock_by_link(token=notice_link(grandchild), name="示例王五", lots=[answer(chain.pouch_a, 90, 90)])
    amounts = next(one.amounts for one in figures(campaign).lots if one.lot == chain.pouch_a)
    assert amounts.excess > 0


def test_passing_on_refuses_what_leads_nowhere(chain: Chain) -> None:
    campaign = announced(chain)
    top = notice_to(campaign, chain.outsider)
    token = notice_link(top)

    def code(*customers: Customer) -> str:
        return refusal(pass_on_by_link, token=token, name="示例", customers=list(customers))

    assert code() == "customers_required"
    assert code(Customer("示例无地址")) == "contact_required"
    assert code(Customer(chain.outsider.name, phone="13900000000")) == "own_name"
    assert code(Customer(campaign.organisation.name, phone="13900000000")) == "own_name"
    assert code(Customer("\x00坏", phone="13900000000")) == "text_nul"
    assert code(Customer("\ud800", phone="13900000000")) == "text_surrogate"
    assert code(*[SHOP] * 101) == "too_many_customers"
    assert Notice.objects.filter(parent__isnull=False).count() == 0
    assert refusal(pass_on_by_link, token=token, name=" ", customers=[SHOP]) == "required"
    assert refusal(pass_on, by=chain.world.lab, notice=top, customers=[SHOP]) == "not_your_notice"
    Notice.objects.filter(pk=top.pk).update(tier=8, parent=top)
    assert code(SHOP) == "too_deep"


def test_who_holds_a_letter_changes_nothing_written_down_of_a_customer(chain: Chain) -> None:
    campaign = announced(chain)
    by = chain.world.distributor
    told = notice_to(campaign, by.organisation)
    pass_on(by=by, notice=told, customers=[Customer(chain.far_outsider.name, phone="13911111111")])
    chain.far_outsider.refresh_from_db()
    assert chain.far_outsider.recall_contact_phone == "13911111111"
    pass_on_by_link(
        token=notice_link(told), name="示例", customers=[Customer(chain.far_outsider.name, phone="13922222222")]
    )
    chain.far_outsider.refresh_from_db()
    assert chain.far_outsider.recall_contact_phone == "13911111111"
    # It had a notice of its own from the records: it gets no second one.
    assert campaign.notices.filter(organisation=chain.far_outsider).count() == 1


def test_an_answer_that_was_not_theirs_is_judged_by_a_person_and_the_old_link_dies(chain: Chain) -> None:
    campaign = announced(chain)
    told = notice_to(campaign, chain.outsider)
    token = notice_link(told)
    assert refusal(dispute_by_link, token=token, reason="没人答过") == "no_answer_yet"
    answer_stock_by_link(token=token, name="示例陌生人", lots=[answer(chain.pouch_a, 0, 0, 5)])
    dispute_by_link(token=token, reason="不是我们店的人")
    told.refresh_from_db()
    assert told.disputed_at is not None
    assert latest_answers(told)
    uphold(by=chain.world.walnuts, notice=told, reason="电话核实无误")
    told = told.__class__.objects.get(pk=told.pk)
    assert told.disputed_at is None
    row = told.acknowledgements.get()
    assert refusal(set_aside, by=chain.world.lab, notice=told, acknowledgement=row, reason="x") == "not_your_notice"
    set_aside(by=chain.world.walnuts, notice=told, acknowledgement=row, reason="链接被转发，本人不知情")
    told.refresh_from_db()
    assert (told.status, told.acknowledged_at, told.answered_at) == (NoticeStatus.SEEN, None, None)
    assert latest_answers(told) == {}
    assert Acknowledgement.objects.filter(notice=told).count() == 1
    with pytest.raises(NotFound):
        notice_by_link(token)
    fresh = notice_link(told)
    assert fresh != token
    answer_stock_by_link(token=fresh, name="示例店主", lots=[answer(chain.pouch_a, 5, 5)])
    told.refresh_from_db()
    assert told.status == NoticeStatus.ISOLATED


def test_a_count_that_was_not_theirs_leaves_the_confirmation_and_is_shown_no_more(chain: Chain) -> None:
    campaign = announced(chain)
    told = notice_to(campaign, chain.outsider)
    acknowledge_by_link(token=notice_link(told), name="示例店主")
    answer_stock_by_link(token=notice_link(told), name="示例陌生人", lots=[answer(chain.pouch_a, 0, 0, 5)])
    told.refresh_from_db()
    count = told.acknowledgements.get(stock__isnull=False)
    set_aside(by=chain.world.walnuts, notice=told, acknowledgement=count, reason="点数的不是店里的人")
    told = told.__class__.objects.get(pk=told.pk)
    assert (told.status, told.answered_at) == (NoticeStatus.ACKNOWLEDGED, None)
    assert told.acknowledged_at is not None
    page = sign_in(Client(), chain.world.walnuts_quality).get(f"/recall/campaigns/{campaign.uid}/notices/{told.uid}/")
    assert "库存反馈</caption>" not in page.content.decode()


def test_a_letter_at_the_wrong_door_makes_the_notice_unreachable(chain: Chain) -> None:
    campaign = announced(chain)
    send_due()
    told = notice_to(campaign, chain.outsider)
    disown_by_link(token=notice_link(told), reason="我们不卖核桃")
    told.refresh_from_db()
    assert told.status == NoticeStatus.UNREACHABLE
    acknowledge_by_link(token=notice_link(told), name="示例")
    told.refresh_from_db()
    assert told.status == NoticeStatus.ACKNOWLEDGED
    disown_by_link(token=notice_link(told), reason="不是我们")
    told.refresh_from_db()
    assert told.status == NoticeStatus.ACKNOWLEDGED
    assert told.disputed_at is not None


def test_mail_that_came_back_makes_a_letter_and_a_receipt_says_delivered(chain: Chain) -> None:
    campaign = announced(chain)
    send_due()
    message = OutboxMessage.objects.get(channel="email")
    note_delivered(message=message)
    told = notice_to(campaign, chain.outsider)
    assert told.status == NoticeStatus.DELIVERED
    note_bounce(message=message, reason="550 mailbox gone")
    note_bounce(message=message, reason="550 mailbox gone")
    told.refresh_from_db()
    assert told.status == NoticeStatus.UNREACHABLE
    assert told.messages.filter(channel="letter").count() == 1
    assert note_delivered(message=message).delivered_at is None
    assert told.steps.filter(action="give_up").count() == 1


def test_receipts_are_taken_only_with_the_signature(chain: Chain, client: Client, settings: Any) -> None:
    announced(chain)
    send_due()
    message = OutboxMessage.objects.get(channel="email")
    body = json.dumps({"message": str(message.uid), "state": "bounced", "reason": "550"}).encode()
    signed = hmac.new(b"secret", body, hashlib.sha256).hexdigest()

    def post(signature: str, what: bytes = body) -> int:
        return client.post(
            "/recalls/receipts", what, content_type="application/json", headers={"X-Signature": signature}
        ).status_code

    assert post(signed) == 404
    settings.RECEIPTS_SECRET = "secret"
    assert post("") == 404
    assert post("汉") == 404
    assert post(signed, body + b" ") == 404
    broken = b'{"message": 3}'
    assert post(hmac.new(b"secret", broken, hashlib.sha256).hexdigest(), broken) == 400
    assert post(signed) == 200
    message.refresh_from_db()
    assert message.bounced_at is not None


class FakeGateway:
    """A gateway that says what it is told to."""

    def __init__(self, problem: Exception | None = None) -> None:
        self.problem, self.sent = problem, list[tuple[str, str, str]]()

    def send(self, *, number: str, text: str, key: str) -> None:
        if self.problem:
            raise self.problem
        self.sent.append((number, text, key))


def test_text_messages_go_to_mobile_numbers_and_a_refused_one_becomes_a_letter(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = FakeGateway()
    monkeypatch.setattr("recalls.sms.gateway", lambda: gateway)
    chain.far_outsider.recall_contact_phone = "139 0000 0001"
    chain.far_outsider.save()
    campaign = started(chain)
    told = notice_to(campaign, chain.far_outsider)
    message = told.messages.get(channel="sms")
    gateway.problem = SmsLater("busy")
    send_due()
    message.refresh_from_db()
    assert message.attempts == 1
    assert message.sent_at is None
    gateway.problem = None
    send_due(now=message.next_at)
    (sent,) = gateway.sent
    assert (sent[0], sent[2]) == ("13900000001", str(message.uid))
    assert "recalls/notice/" in sent[1]
    told.refresh_from_db()
    assert told.status == NoticeStatus.SENT
    OutboxMessage.objects.filter(pk=message.pk).update(sent_at=None)
    gateway.problem = SmsRefused("blocked")
    send_due(now=timezone.now() + datetime.timedelta(days=1))
    assert told.messages.filter(channel="letter").exists()


def test_waiting_times_are_data_with_history(chain: Chain) -> None:
    campaign = started(chain)
    by = chain.world.county_approver
    how: dict[str, Any] = {"by": by, "level": 1, "reason": "试行"}
    assert refusal(set_waiting_times, **how, resend=60, telephone=60, regulator=90) == "times_out_of_order"
    assert refusal(set_waiting_times, **how, resend=5, telephone=6, regulator=99_999) == "times_too_long"
    owner = how | {"by": chain.world.walnuts}
    assert refusal(set_waiting_times, **owner, resend=5, telephone=6, regulator=7) == "role_required"
    assert waiting_times(Level.ONE)[0][0] == datetime.timedelta(hours=2)
    set_waiting_times(**how, resend=10, telephone=20, regulator=30)
    told = notice_to(campaign, chain.world.distributor.organisation)
    assert told.sent_at is not None
    for minutes, step in ((9, ""), (10, EscalationStep.RESEND), (20, "telephone"), (30, "regulator")):
        age_notices(now=told.sent_at + datetime.timedelta(minutes=minutes))
        told.refresh_from_db()
        assert told.escalation == step
    assert told.status == NoticeStatus.ESCALATED


def test_a_call_is_written_down_and_moves_what_it_settles(chain: Chain) -> None:
    campaign = announced(chain)
    send_due()
    told = notice_to(campaign, chain.outsider)
    now = timezone.now()
    how: dict[str, Any] = {"notice": told, "called_at": now}
    assert refusal(log_call, by=chain.world.lab, outcome="reached", **how) == "not_your_notice"
    by = chain.world.walnuts
    assert refusal(log_call, by=by, outcome="sang", **how) == "unknown_choice"
    late = how | {"called_at": now + datetime.timedelta(days=1)}
    assert refusal(log_call, by=by, outcome="reached", **late) == "in_future"
    log_call(by=by, outcome="no_answer", **how)
    told.refresh_from_db()
    assert told.status == NoticeStatus.SENT
    log_call(by=chain.world.county, outcome="reached", spoke_with="示例店主", words="马上停售", **how)
    log_call(by=by, outcome="refused", **how)
    told.refresh_from_db()
    assert told.status == NoticeStatus.REFUSED
    assert told.calls.count() == 3


@pytest.mark.once
@pytest.mark.parametrize("field", [Day(), Moment()])
@pytest.mark.parametrize("year", ["0001", "1899", "2200", "9999"])
def test_no_day_lies_where_a_time_zone_leaves_the_calendar(field: Day | Moment, year: str) -> None:
    with pytest.raises(ValidationError) as error:
        field.clean(f"{year}-01-01")
    assert error.value.code == "out_of_range"
    assert field.clean("1900-01-01").year == field.clean("2199-12-31").year - 299


def test_many_holders_are_told_by_the_worker_and_a_second_worker_doubles_nothing(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notice_actions, "INLINE", 1)
    monkeypatch.setattr(notice_actions, "CHUNK", 2)
    campaign = started(chain)
    run = NoticeRun.objects.get()
    assert (campaign.notices.count(), run.total, run.done) == (0, 4, 0)
    assert run_next_notices()
    run.refresh_from_db()
    assert (campaign.notices.count(), run.done, run.finished_at) == (2, 2, None)
    # A worker that died here holds a lease; another waits for it and then goes on.
    NoticeRun.objects.update(lease="0198a000-0000-7000-8000-000000000000", leased_until=timezone.now())
    assert run_next_notices(now=timezone.now() - datetime.timedelta(minutes=1)) is False
    assert run_next_notices()
    assert run_next_notices() is False
    run.refresh_from_db()
    assert run.finished_at is not None
    assert campaign.notices.count() == campaign.notices.values("organisation").distinct().count() == 4
    assert OutboxMessage.objects.count() == 4


# --- Pages ----------------------------------------------------------------------------------------------------------


def _page(client: Client, url: str, **form: str) -> Any:
    return client.post(url, form) if form else client.get(url)


def test_the_shop_without_account_does_it_all_from_the_letter(chain: Chain, client: Client) -> None:
    campaign = announced(chain)
    send_due()
    told = notice_to(campaign, chain.outsider)
    url = f"/recalls/notice/{notice_link(told)}"
    assert client.head(url).status_code == 200
    told.refresh_from_db()
    assert told.status == NoticeStatus.SENT
    assert "转告客户" in client.get(url).content.decode()
    told.refresh_from_db()
    assert told.status == NoticeStatus.SEEN
    told_again = _page(client, f"{url}/customers", customers="示例小卖部，13900000000", name="示例张三")
    assert told_again.status_code == 302
    assert told.children.count() == 1
    assert "示例小卖部" in client.get(f"{url}/customers").content.decode()
    bad = _page(client, f"{url}/customers", customers="示例无地址", name="示例张三")
    assert bad.status_code == 422
    huge = _page(client, f"{url}/customers", customers="甲" * 1_000_000, name="示例张三")
    assert huge.status_code == 422
    assert _page(client, f"{url}/not-ours", what="addressee", reason="不卖这个").status_code == 302
    told.refresh_from_db()
    assert told.status == NoticeStatus.UNREACHABLE
    assert client.get(f"{url[:-1]}x/customers").status_code == 404


def test_pages_of_the_ladder_are_for_the_two_sides_only(chain: Chain, client: Client) -> None:
    campaign = announced(chain)
    told = notice_to(campaign, chain.outsider)
    answer_stock_by_link(token=notice_link(told), name="示例", lots=[answer(chain.pouch_a, 5)])
    pass_on_by_link(token=notice_link(told), name="示例", customers=[SHOP])
    base = f"/recall/campaigns/{campaign.uid}"
    pages = ["tree/", "calls/", f"notices/{told.uid}/call/", f"notices/{told.uid}/answers/"]
    for who in (chain.world.walnuts, chain.world.county):
        sign_in(client, who)
        assert [client.get(f"{base}/{one}").status_code for one in pages] == [200] * 4
    tree = client.get(f"{base}/tree/").content.decode()
    assert "示例小卖部" in tree
    sign_in(client, chain.world.walnuts)
    # The initiator knows a customer's customer by region until it answers.
    assert "示例小卖部" not in client.get(f"{base}/tree/").content.decode()
    call = _page(client, f"{base}/notices/{told.uid}/call/", outcome="reached", called_at="2026-11-20 10:00")
    assert call.status_code == 302
    row = told.acknowledgements.get(with_stock=True)
    aside = _page(client, f"{base}/notices/{told.uid}/answers/", reason="核实有误", answer=str(row.uid))
    assert aside.status_code == 302
    sign_in(client, chain.world.distillery)
    assert [client.get(f"{base}/{one}").status_code for one in pages] == [404] * 4
    client.logout()
    assert client.get(f"{base}/tree/").status_code in (302, 401)


def test_the_regulator_changes_waiting_times_on_a_page(chain: Chain, client: Client) -> None:
    sign_in(client, chain.world.county)
    url = "/recall/waiting-times/"
    assert client.get(url).status_code == 200
    form = {"level": "1", "resend": "30", "telephone": "60", "regulator": "90", "reason": "试行"}
    assert client.post(url, form).status_code == 403
    sign_in(client, chain.world.county_approver)
    assert client.post(url, form | {"telephone": "10"}).status_code == 422
    assert client.post(url, form).status_code == 302
    assert "试行" in client.get(url).content.decode()
    sign_in(client, chain.world.walnuts)
    assert client.get(url).status_code == 404


def test_who_asks_is_told_whether_the_lot_is_affected(chain: Chain, client: Client) -> None:
    def ask(**query: str) -> str:
        return client.get("/recalls/affected", query).content.decode()

    campaign = started(chain)
    code = chain.pouch_a.code
    assert "这个批次正在召回" not in ask(lot=code)
    draft_notice(by=chain.world.walnuts_quality, campaign=campaign, announcement=ANNOUNCEMENT)
    announce(by=chain.world.walnuts, campaign=campaign, channel="本系统公告页")
    assert "这个批次正在召回" in ask(lot=code)
    assert "通知名单里有这个名称" in ask(lot=code, name=chain.outsider.name)
    assert "通知名单里没有这个名称" in ask(lot=code, name="示例别家")
    assert "没有已公告的召回涉及这个批号" in ask(lot=chain.pouch_b.code)
    assert "通知名单里有这个" not in ask(name=chain.outsider.name, lot="不存在")
    for hostile in ("\x00", "%", "9" * 5000, "\ud800".encode("utf-8", "surrogatepass").decode("latin-1")):
        assert client.get("/recalls/affected", {"lot": hostile}).status_code in (200, 422)


def test_an_answer_by_account_stands_beside_the_letters(chain: Chain) -> None:
    campaign = announced(chain)
    by = chain.world.distributor
    told = notice_to(campaign, by.organisation)
    answer_stock_by_link(token=notice_link(told), name="示例店员", lots=[answer(chain.pouch_a, 3, 0, 27)])
    told.refresh_from_db()
    answer_stock(by=by, notice=told, lots=[answer(chain.pouch_a, 16, 16, 14)])
    assert latest_answers(told)[chain.pouch_a.pk].on_hand_micros == 16 * MICROS
    assert told.acknowledgements.count() == 2


def test_who_must_act_on_silence_reads_it_at_home(chain: Chain, client: Client) -> None:
    world = chain.world
    campaign = started(chain)
    sent = timezone.now()
    campaign.notices.update(sent_at=sent, status=NoticeStatus.SENT)
    hour = datetime.timedelta(hours=1)

    def home(actor: Actor) -> str:
        sign_in(client, actor)
        return client.get("/").content.decode()

    firm, authority = "召回通知没有答复，请打电话", "召回通知一直没有答复，已报监管部门"
    age_notices(now=sent + 2 * hour)
    assert firm not in home(world.walnuts), "it was sent again, nobody has to do anything"
    age_notices(now=sent + 4 * hour)
    assert firm in home(world.walnuts)
    assert f"/recall/campaigns/{campaign.uid}/calls/" in home(world.walnuts)
    assert authority not in home(world.county)
    age_notices(now=sent + 8 * hour)
    assert authority in home(world.county)
    assert client.get(f"/recall/campaigns/{campaign.uid}/calls/").status_code == 200
    assert authority not in home(world.other_county)
    for notice in campaign.notices.select_related("organisation"):
        acknowledge_by_link(token=notice_link(notice), name="示例店主")
    assert firm not in home(world.walnuts)
    assert authority not in home(world.county)
