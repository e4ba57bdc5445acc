"""Versions of a scope compared, what would shrink it, buyers told by a list; nobody is un-notified silently."""

from typing import Any

import pytest
from django.core import mail
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from recalls.access import notice_link
from recalls.actions.answers import answer_stock, answer_stock_by_link
from recalls.actions.assessment import Standing, assess
from recalls.actions.campaigns import decide, propose, start_campaign
from recalls.actions.distribution import Buyer, CellError, check_list
from recalls.actions.outbox import send_due
from recalls.actions.papers import make_paper
from recalls.actions.scopes import expand_scope, freeze_scope, narrow_scope
from recalls.actions.tree import Customer, pass_on
from recalls.api.shapes import notices_out
from recalls.comparing import compare, levers, what_would_shrink
from recalls.figures import figures
from recalls.gs1 import recall_notification
from recalls.letters import letter_lots
from recalls.models import Campaign, Notice
from recalls.notice_states import NoticeStatus
from recalls.scope import Question, preview_scope
from tests.goods import amount, day, make_lot, receive, ship
from tests.recalls.story import FINDING, KNEW, Chain, announced, answer, notice_to, scoped, started
from tests.world import make_actor, make_product, sign_in
from trace.actions.events import Portion, record_event
from trace.errors import DomainError
from trace.imports.reading import Line
from trace.models import HoldSet, Lot
from trace.units import MICROS


def test_expanding_and_narrowing_tells_the_right_people_and_the_page_shows_both(chain: Chain, client: Client) -> None:
    world = chain.world
    ship(world.walnuts, world.shop.organisation, chain.pouch_b, "7", when=day(6))
    campaign = announced(chain)
    send_due()
    wide = Question.of([chain.pouch_a, chain.pouch_b], same_run=False)
    campaign = expand_scope(by=world.walnuts_quality, campaign=campaign, question=wide, reason="同一次加工")
    shop = campaign.notices.filter(organisation=world.shop.organisation)
    assert shop.count() == 2
    assert campaign.notices.filter(organisation=chain.outsider).count() == 1
    mail.outbox.clear()
    narrow = Question.of([chain.pouch_b], same_run=False)
    propose(by=world.walnuts_quality, campaign=campaign, action="narrow_scope", reason="乙批复检合格", question=narrow)
    narrow_scope(by=world.walnuts, campaign=campaign, question=narrow, reason="甲批合格", evidence="示例报告 3 号")
    told = notice_to(campaign, chain.outsider)
    assert told.status == NoticeStatus.WITHDRAWN
    send_due()
    (message,) = [one for one in mail.outbox if one.to == ["outsider@example.org"]]
    assert "不再受这次召回影响" in message.body
    assert chain.pouch_a.code in message.body
    one, two, three = campaign.scopes.order_by("number")
    assert [lot.pk for lot in compare(one, two).lots_in] == [chain.pouch_b.pk]
    back = compare(two, three)
    assert [lot.pk for lot in back.lots_out] == [chain.pouch_a.pk]
    assert chain.outsider in back.holders_out
    sign_in(client, world.county)
    base = f"/recall/campaigns/{campaign.uid}/versions/"
    body = client.get(base).content.decode()
    assert "示例报告 3 号" in body
    assert chain.pouch_a.code in body
    assert client.get(f"{base}?a=1&b=2").status_code == 200
    for wrong in ("a=1&b=9", "a=x&b=2", "a=" + "9" * 50 + "&b=1", "a=٣&b=1"):
        assert client.get(f"{base}?{wrong}").status_code == 404, wrong
    sign_in(client, world.distillery)
    assert client.get(base).status_code == 404
    # Who has an account reads in the inbox, too, that its goods are no longer concerned.
    gone = shop.get(status=NoticeStatus.WITHDRAWN)
    sign_in(client, world.shop)
    body = client.get("/recall/notices/").content.decode()
    assert "不再在这次召回之内" in body
    assert body.index(str(gone.uid)) < body.index("查看并答复")
    assert str(gone.uid) in client.get("/recall/notices/?which=done").content.decode()


def test_a_notice_asks_no_more_about_a_lot_that_left_the_recall(chain: Chain, client: Client) -> None:
    world = chain.world
    sent = ship(world.walnuts, world.distributor.organisation, chain.pouch_b, "1", when=day(30))
    receive(world.distributor, sent, when=day(30))
    campaign = started(chain, same_run=True)
    notice = notice_to(campaign, world.distributor.organisation)
    sign_in(client, world.distributor)
    at = f"/recall/notices/{notice.uid}/"
    assert "不再召回的批次" not in client.get(at).content.decode()
    narrow = Question.of([chain.pouch_a], same_run=False)
    propose(by=world.walnuts_quality, campaign=campaign, action="narrow_scope", reason="B 合格", question=narrow)
    narrow_scope(by=world.walnuts, campaign=campaign, question=narrow, reason="B 合格", evidence="示例报告 2 号")
    notice.refresh_from_db()
    stop, out = client.get(at).content.decode().split("不再召回的批次")
    assert chain.pouch_a.code in stop
    assert chain.pouch_b.code not in stop
    assert chain.pouch_b.code in out
    assert [one.code for one in letter_lots(notice)] == [chain.pouch_a.code]
    assert chain.pouch_b.code not in str(recall_notification(notice))
    assert [one.in_scope for one in notices_out([notice])[0].lots] == [True, False]
    # A supplier hands on what is recalled now; an answer typed before the change still counts.
    (child,) = pass_on(by=world.distributor, notice=notice, customers=[Customer("示例小店", phone="0358-0000001")])
    assert child.scope.number == 2
    assert [row.lot.pk for row in child.lots.all()] == [chain.pouch_a.pk]
    answer_stock(by=world.distributor, notice=notice, lots=[answer(chain.pouch_a, 4, 4), answer(chain.pouch_b, 1, 1)])
    answer_stock(by=world.distributor, notice=notice, lots=[answer(chain.pouch_a, 3, 3)])
    with pytest.raises(DomainError) as refused:
        answer_stock(by=world.distributor, notice=notice, lots=[answer(chain.pouch_b, 1, 1)])
    assert refused.value.code == "lots_incomplete"


def test_what_was_typed_stays_with_its_lot_when_the_recall_is_narrowed_meanwhile(chain: Chain, client: Client) -> None:
    world = chain.world
    receive(world.distributor, ship(world.walnuts, world.distributor.organisation, chain.pouch_b, "1"), when=day(4))
    campaign = scoped(chain)
    both = Question.of([chain.pouch_a, chain.pouch_b], same_run=False)
    freeze_scope(by=world.walnuts_quality, campaign=campaign, question=both)
    campaign = decide(by=world.walnuts, campaign=campaign)
    campaign = start_campaign(by=world.walnuts_quality, campaign=campaign, stop_order=True)
    notice = notice_to(campaign, world.distributor.organisation)
    answering = reverse("recalls:notice_answer", args=[notice.uid])
    returning = reverse("recalls:campaign_return", args=[campaign.uid, notice.uid])
    asked = {"asked": f"{chain.pouch_a.uid.hex}.{chain.pouch_b.uid.hex}"}
    for who, at in ((world.distributor, answering), (world.walnuts, returning)):
        sign_in(client, who)
        assert f'value="{asked["asked"]}"' in client.get(at).content.decode()
    less = Question.of([chain.pouch_b], same_run=False)
    propose(by=world.walnuts_quality, campaign=campaign, action="narrow_scope", reason="A 合格", question=less)
    narrow_scope(by=world.walnuts, campaign=campaign, question=less, reason="A 合格", evidence="示例报告 5 号")
    # The first lot of the open form is not the first any more: nothing typed for it is taken for the other.
    back = {**asked, "amount_0": "9", "unit_0": "KGM", "condition": "sealed", "when": "2026-11-01 09:00"}
    refused = client.post(returning, back)
    assert refused.status_code == 422
    assert "所列批次刚刚有了变化" in refused.content.decode()
    assert not campaign.returns.exists()
    sign_in(client, world.distributor)
    typed = {"on_hand": ("9", "1"), "sealed": ("9", "1"), "sold": ("2", "0"), "unknown": ("0", "0")}
    form = {f"{name}_{number}": text for name, texts in typed.items() for number, text in enumerate(texts)}
    assert client.post(answering, {**asked, **form, "unit_0": "KGM", "unit_1": "KGM"}).status_code == 302
    (row,) = notice.stock.all()
    assert (row.lot, row.on_hand_micros, row.sold_micros) == (chain.pouch_b, MICROS, 0)


def test_a_letter_says_what_changed_to_who_has_nothing_but_letters(chain: Chain, client: Client) -> None:
    world = chain.world
    ship(world.distributor, chain.far_outsider, chain.pouch_a, "1", when=day(6))
    campaign = scoped(chain)
    both = Question.of([chain.pouch_a, chain.pouch_b], same_run=False)
    freeze_scope(by=world.walnuts_quality, campaign=campaign, question=both)
    campaign = decide(by=world.walnuts, campaign=campaign)
    campaign = start_campaign(by=world.walnuts_quality, campaign=campaign, stop_order=True)
    notice = notice_to(campaign, chain.far_outsider)
    at = reverse("recalls:letter_print", args=[notice.uid])
    sign_in(client, world.distributor)
    words = client.get(at).content.decode()
    assert "立即停止购进" in words
    assert "已撤回" not in words
    less = Question.of([chain.pouch_b], same_run=False)
    propose(by=world.walnuts_quality, campaign=campaign, action="narrow_scope", reason="A 合格", question=less)
    narrow_scope(by=world.walnuts, campaign=campaign, question=less, reason="A 合格", evidence="示例报告 6 号")
    assert notice.messages.filter(channel="letter", kind="change", sent_at=None).exists()
    words = client.get(at).content.decode()
    assert "已撤回" in words
    assert "不再召回的批次" in words
    assert "立即停止购进" not in words, "the letter to post would tell them to go on holding what is free"
    paper = make_paper(by=world.county, campaign=campaign, kind="notice", subject=str(notice.uid))
    assert "这份通知已撤回" in str(paper.data)
    assert "停止购进" not in str(paper.data)


def test_a_row_of_a_list_of_buyers_means_one_lot(chain: Chain) -> None:
    world = chain.world
    other = make_product(world.walnuts.organisation, "HTR-500", "示例核桃仁大袋", family="walnut_fenzhou")
    twin = make_lot(world.walnuts, other, "10", when=day(2))
    Lot.objects.filter(pk=twin.pk).update(lot_code=chain.pouch_a.lot_code)
    campaign = scoped(chain)
    both = Question.of([chain.pouch_a, twin], same_run=False)
    freeze_scope(by=world.walnuts_quality, campaign=campaign, question=both)

    def read(code: str) -> tuple[list[Buyer], list[CellError]]:
        return check_list(
            campaign, [Line(1, ["名称", "批号", "数量", "电话"]), Line(2, ["示例小店", code, "2", "13900000000"])]
        )

    buyers, errors = read(chain.pouch_a.lot_code)
    assert buyers == []
    assert ["不止一个批次" in one.why for one in errors] == [True], "which of both they have, nobody knows"
    assert [one.lot for one in read(twin.public_code)[0]] == [twin]


def test_who_proposes_a_narrower_scope_reads_no_code_of_a_lot_it_never_had(chain: Chain, client: Client) -> None:
    trader = chain.world.distributor
    quality = make_actor(trader.organisation, "quality")
    campaign = assess(
        by=quality,
        organisation=trader.organisation,
        track="food",
        title="示例核桃仁 受潮",
        knew_at=KNEW,
        finding=FINDING,
        standing=Standing("trader", "unknown", "示例：无法确定"),
    )
    freeze_scope(by=quality, campaign=campaign, question=Question.of([chain.pouch_a], same_run=True))
    campaign = start_campaign(by=quality, campaign=decide(by=trader, campaign=campaign), stop_order=True)
    sign_in(client, quality)
    page = client.get(f"/recall/campaigns/{campaign.uid}/propose/narrow_scope/?lot={chain.pouch_a.uid}")
    words = page.content.decode()
    assert "他方批次" in words
    assert chain.pouch_b.code not in words


def test_evidence_is_asked_for_possible_lots_only() -> None:
    found = what_would_shrink(["named", "descends", "same_run", "same_run", "same_gear"])
    assert [one.lots for one in found] == [2, 1]


@pytest.mark.parametrize("suspect", [False, True])
def test_the_scope_page_says_what_evidence_would_shrink_it(chain: Chain, client: Client, suspect: bool) -> None:
    campaign = announced(chain)
    question = Question.of([chain.pouch_a], [chain.mother] if suspect else [], same_run=True)
    answer = preview_scope(question)
    possible = [line for line in answer.lines if line.shell == "possible"]
    assert sum(one.lots for one in levers(answer.lines)) == len(possible) > 0
    sign_in(client, chain.world.walnuts)
    asked = {"lot": str(chain.pouch_a.uid), "run": "1"} | ({"source": str(chain.mother.uid)} if suspect else {})
    page = client.get(f"/recall/campaigns/{campaign.uid}/scope/", asked).content.decode()
    assert "什么证据能缩小范围" in page
    assert ("共同来源批次检验合格" in page) or ("同一次加工的留样检验合格" in page)


def test_two_campaigns_on_one_lot_stand_beside_each_other(chain: Chain) -> None:
    first, second = started(chain), started(chain)
    assert HoldSet.objects.filter(members__lot=chain.pouch_a, ended_at=None, active_from__isnull=False).count() == 2
    holders = chain.world.distributor.organisation
    assert notice_to(first, holders).pk != notice_to(second, holders).pk


# --- Lists ----------------------------------------------------------------------------------------------------------


def _upload(client: Client, campaign: Campaign, text: str) -> Any:
    file = SimpleUploadedFile("名单.csv", text.encode("utf-8-sig"))
    return client.post(f"/recall/campaigns/{campaign.uid}/distribution/", {"file": file})


def test_buyers_on_an_uploaded_list_are_told_and_every_wrong_cell_is_named(chain: Chain, client: Client) -> None:
    campaign = started(chain)
    sign_in(client, chain.world.walnuts)
    code = chain.pouch_a.code
    before = campaign.notices.count()
    wrong = f"名称,批号,数量,电话\n示例甲,{code},x,13900000001\n,{code},1,13900000002\n示例丙,ZZZ,1,\n"
    body = _upload(client, campaign, wrong)
    assert body.status_code == 422
    text = body.content.decode()
    assert "这个批号不在召回范围内" in text
    assert "电话、邮箱、地址至少填一项" in text
    assert campaign.notices.count() == before
    assert _upload(client, campaign, "甲,乙\n1,2\n").status_code == 422
    assert _upload(client, campaign, "").status_code == 422
    right = (
        f"名称,批号,数量,电话\n示例甲,{code},2,13900000001\n示例乙,{code},1,13900000002\n示例甲,{code},1,13900000001\n"
    )
    assert _upload(client, campaign, right).status_code == 302
    assert _upload(client, campaign, right).status_code == 302
    assert campaign.notices.count() == before + 2
    told = campaign.notices.get(organisation__name="示例甲")
    assert told.lots.get().unconfirmed_micros == 3_000_000
    assert told.organisation.is_external
    assert "上传分销名单" in client.get(f"/recall/campaigns/{campaign.uid}/").content.decode()
    # Who is told before anything is public reads why.
    assert FINDING.basis in Client().get(f"/recalls/notice/{notice_link(told)}").content.decode()
    sign_in(client, chain.world.county)
    assert _upload(client, campaign, right).status_code == 404
    sign_in(client, chain.world.distillery)
    assert _upload(client, campaign, right).status_code in (403, 404)


def test_a_list_waits_for_the_start(chain: Chain, client: Client) -> None:
    campaign = scoped(chain)
    sign_in(client, chain.world.walnuts)
    text = f"名称,批号,数量,电话\n示例甲,{chain.pouch_a.code},2,13900000001\n"
    assert _upload(client, campaign, text).status_code == 422
    assert campaign.notices.count() == 0


def test_who_was_told_of_one_lot_is_told_of_the_next_one_on_a_list(chain: Chain, client: Client) -> None:
    campaign = started(chain)
    wide = Question.of([chain.pouch_a, chain.pouch_b], same_run=False)
    expand_scope(by=chain.world.walnuts_quality, campaign=campaign, question=wide, reason="同一次加工")
    sign_in(client, chain.world.walnuts)
    first, second = (
        f"名称,批号,数量,邮箱\n示例甲,{lot.code},2,jia@example.org\n" for lot in (chain.pouch_a, chain.pouch_b)
    )
    for text in (first, second, second):
        assert _upload(client, campaign, text).status_code == 302
    told = campaign.notices.get(organisation__name="示例甲")
    assert set(told.lots.values_list("lot", flat=True)) == {chain.pouch_a.pk, chain.pouch_b.pk}
    mail.outbox.clear()
    send_due()
    assert len([one for one in mail.outbox if one.to == ["jia@example.org"]]) == 2
    Notice.objects.filter(pk=told.pk).update(status=NoticeStatus.WITHDRAWN)
    refused = _upload(client, campaign, first)
    assert refused.status_code == 422
    assert "请先与对方核实" in refused.content.decode()


def test_what_the_listed_have_not_said_is_unknown_not_sold(chain: Chain, client: Client) -> None:
    world = chain.world
    when = day(6)
    sold = [Portion(chain.pouch_a, amount("4", world.kernels))]
    record_event(by=world.walnuts, code="common.sell", when=when, subjects=sold, data={"sold_at": when.at.isoformat()})
    campaign = announced(chain)
    before = figures(campaign).lots[0].amounts
    assert before.sold == 4 * MICROS
    sign_in(client, world.walnuts)
    text = f"名称,批号,数量,电话\n示例甲,{chain.pouch_a.code},3.5,13900000001\n"
    assert _upload(client, campaign, text).status_code == 302
    after = figures(campaign).lots[0].amounts
    assert (after.sold, after.unknown - before.unknown, after.excess) == (MICROS // 2, 7 * MICROS // 2, 0)
    told = notice_to(campaign, campaign.notices.get(organisation__name="示例甲").organisation)
    answer_stock_by_link(token=notice_link(told), name="示例", lots=[answer(chain.pouch_a, 1, 1)])
    said = figures(campaign).lots[0].amounts
    assert (said.held - after.held, said.unknown - before.unknown, said.excess) == (MICROS, 5 * MICROS // 2, 0)
