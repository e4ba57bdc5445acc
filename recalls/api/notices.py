"""Notices: who was told, what they answered, what came back and what was destroyed."""

from typing import Annotated, Literal

from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from ninja import Query
from pydantic import Field

from recalls.access import (
    campaign_for,
    campaign_notice_for,
    campaign_notices,
    notices_received_by,
    received_notice_for,
    require_side,
)
from recalls.actions.answers import LotAnswer, acknowledge, answer_stock
from recalls.actions.goods import GoodsLine, destroy, receive_return
from recalls.api import examples
from recalls.api.area import area
from recalls.api.shapes import GoodsOut, NoticeOut, goods_out, notices_out
from recalls.models import Campaign, Notice
from recalls.scope import latest_scope
from recalls.sight import Sight
from trace.access import organisation_for
from trace.actions.files import FILES_PER_EVENT
from trace.actor import Actor
from trace.api.auth import acting
from trace.api.examples import page
from trace.api.given import MOST_LINES, Happening, Remark, amount_of, files_of, own_place, party
from trace.api.paging import Feed, Page, turn
from trace.api.schemas import AmountIn, In, Moment, Named, Text, Uid
from trace.errors import NotFound
from trace.models import Lot, Organisation


@area.read(
    "/notices",
    who="signed_in",
    answer=Page[NoticeOut],
    example=page(examples.NOTICE),
    summary=gettext_lazy("收到的召回通知"),
    description=gettext_lazy("发给本单位的通知，以及由本单位转交系统外单位的通知。"),
)
def list_notices(request: HttpRequest, paging: Query[Feed]) -> Page[NoticeOut]:
    """Notices the caller answers."""
    return turn(notices_received_by(acting(request)), paging, notices_out)


@area.read(
    "/notices/{uid}",
    who="signed_in",
    answer=NoticeOut,
    example=examples.NOTICE,
    summary=gettext_lazy("查看一份召回通知"),
)
def get_notice(request: HttpRequest, uid: Named) -> NoticeOut:
    """One notice the caller answers."""
    return notices_out([received_notice_for(acting(request), uid)])[0]


class AcknowledgeIn(In):
    """That the holder knows and will act."""

    will_act: bool = True
    remark: Remark = ""


@area.write(
    "/notices/{uid}/acknowledgement",
    who="signed_in",
    answer=NoticeOut,
    example=examples.NOTICE,
    body_example={"will_act": True},
    status=200,
    summary=gettext_lazy("确认收到召回通知"),
)
def acknowledge_notice(request: HttpRequest, uid: Named, body: AcknowledgeIn) -> NoticeOut:
    """Confirm receipt."""
    actor = acting(request)
    notice = received_notice_for(actor, uid)
    acknowledge(by=actor, notice=notice, will_act=body.will_act, remark=body.remark)
    return notices_out([received_notice_for(actor, uid)])[0]


class StockIn(In):
    """What a holder has of one lot. `sealed` is part of `on_hand`; nothing is said by 0."""

    lot: Uid
    on_hand: AmountIn
    sealed: AmountIn
    sold: AmountIn
    unknown: AmountIn


class StockAnswerIn(In):
    """Every lot the notice asks about, each once."""

    lots: list[StockIn] = Field(min_length=1, max_length=MOST_LINES)
    remark: Remark = ""


STOCK_IN = {
    "lots": [
        {
            "lot": examples.LOT_REF["uid"],
            "on_hand": {"value": "9"},
            "sealed": {"value": "9"},
            "sold": {"value": "3"},
            "unknown": {"value": "0"},
        }
    ]
}


@area.write(
    "/notices/{uid}/stock",
    who="signed_in",
    answer=NoticeOut,
    example=examples.NOTICE,
    body_example=STOCK_IN,
    status=200,
    summary=gettext_lazy("反馈库存"),
    description=gettext_lazy("逐批填写现有、已封存、已售出和去向不明的数量；以后的反馈以最近一次为准。"),
)
def answer_notice(request: HttpRequest, uid: Named, body: StockAnswerIn) -> NoticeOut:
    """Answer with stock; confirms receipt too."""
    actor = acting(request)
    notice = received_notice_for(actor, uid)
    answer_stock(by=actor, notice=notice, lots=_answers(notice, body), remark=body.remark)
    return notices_out([received_notice_for(actor, uid)])[0]


def _answers(notice: Notice, body: StockAnswerIn) -> list[LotAnswer]:
    """The answers with their lots; a lot the notice does not ask about is not found."""
    rows = {
        str(line.lot.uid): line.lot for line in notice.lots.select_related("lot__product__current", "lot__organisation")
    }
    answers: list[LotAnswer] = []
    for said in body.lots:
        lot = rows.get(said.lot)
        if lot is None:
            raise NotFound(_("没有找到，或者您无权查看。"), lots=[said.lot])
        on_hand, sealed, sold, unknown = (
            amount_of(sent, lot.product, allow_zero=True).micros
            for sent in (said.on_hand, said.sealed, said.sold, said.unknown)
        )
        answers.append(LotAnswer(lot, on_hand, sealed, sold, unknown))
    return answers


# --- The issuing side -----------------------------------------------------------------------------------------------


@area.read(
    "/campaigns/{uid}/notices",
    who="signed_in",
    answer=Page[NoticeOut],
    example=page(examples.NOTICE),
    summary=gettext_lazy("一次召回的通知"),
)
def list_campaign_notices(request: HttpRequest, uid: Named, paging: Query[Feed]) -> Page[NoticeOut]:
    """Who was told and what they answered, for who has a side in the recall."""
    actor = acting(request)
    campaign = campaign_for(actor, uid)
    require_side(actor, campaign)
    sight = Sight(actor, campaign)
    return turn(campaign_notices(actor, campaign), paging, lambda found: notices_out(found, sight))


@area.write(
    "/campaigns/{uid}/notices/{notice}/stock",
    who="signed_in",
    answer=NoticeOut,
    example=examples.NOTICE,
    body_example=STOCK_IN,
    status=200,
    summary=gettext_lazy("代记电话反馈"),
)
def write_down_answer(request: HttpRequest, uid: Named, notice: Named, body: StockAnswerIn) -> NoticeOut:
    """Write down what a holder said by telephone."""
    actor = acting(request)
    campaign = campaign_for(actor, uid)
    require_side(actor, campaign)
    row = campaign_notice_for(actor, campaign, notice)
    answer_stock(by=actor, notice=row, lots=_answers(row, body), remark=body.remark)
    return notices_out([campaign_notice_for(actor, campaign, notice)], Sight(actor, campaign))[0]


class GoodsIn(In):
    """How much of one lot; `declared` is what the sender said it sends back."""

    lot: Uid
    amount: AmountIn
    declared: AmountIn | None = None


Lines = Annotated[list[GoodsIn], Field(min_length=1, max_length=MOST_LINES)]


def goods_lines(campaign: Campaign, sent: list[GoodsIn]) -> list[GoodsLine]:
    """Lines with lots of the scope in force; any other lot is not found."""
    scope = latest_scope(campaign)
    wanted = [line.lot for line in sent]
    rows: dict[str, Lot] = {}
    if scope is not None:
        inside = Lot.objects.filter(scope_lots__scope=scope, uid__in=wanted)
        rows = {str(lot.uid): lot for lot in inside.select_related("product__current", "product_version")}
    missing = [uid for uid in wanted if uid not in rows]
    if missing:
        raise NotFound(_("没有找到，或者您无权查看。"), lots=missing)
    return [
        GoodsLine(
            rows[line.lot],
            amount_of(line.amount, rows[line.lot].product),
            amount_of(line.declared, rows[line.lot].product) if line.declared else None,
        )
        for line in sent
    ]


class RecallReturnIn(Happening):
    """Recalled goods that came back from one holder."""

    organisation: Uid
    lines: Lines
    condition: Literal["sealed", "opened", "empty", "damaged"] = "sealed"
    place: Uid | None = None
    remark: Remark = ""


@area.write(
    "/campaigns/{uid}/returns",
    who="party",
    answer=list[GoodsOut],
    example=[examples.GOODS],
    body_example={
        "organisation": examples.SHOP_REF["uid"],
        "occurred_at": "2026-11-24T10:00:00+08:00",
        "lines": [{"lot": examples.LOT_REF["uid"], "amount": {"value": "9"}}],
    },
    summary=gettext_lazy("登记收回"),
)
def add_recall_return(request: HttpRequest, uid: Named, body: RecallReturnIn) -> list[GoodsOut]:
    """Goods came back."""
    actor = acting(request)
    campaign = campaign_for(actor, uid)
    rows = receive_return(
        by=actor,
        campaign=campaign,
        organisation=organisation_for(actor, body.organisation),
        lines=goods_lines(campaign, body.lines),
        when=body.when(),
        condition=body.condition,
        place=own_place(request, body.place),
        remark=body.remark,
    )
    return goods_out(rows)


class DisposalIn(Happening):
    """Recalled goods destroyed or made harmless, before a witness of another organisation."""

    lines: Lines
    method: Literal["destroy", "harmless", "recycle"]
    place: Annotated[str, Text(120, required=True)]
    witness: Uid | None = None
    witness_name: Annotated[str, Text(60)] = ""
    announced_at: Moment | None = Field(None, description="When time and place were reported beforehand.")
    plan: Uid | None = Field(None, description="The report beforehand, where it was filed here.")
    executor: Annotated[str, Text(60)] = Field("", description="Who did it; never the witness. Kept sealed.")
    files: list[Uid] = Field(default_factory=list, max_length=FILES_PER_EVENT, description="From `/files`.")
    holder: Uid | None = Field(None, description="Where a holder destroys on the spot; else the caller.")
    remark: Remark = ""


DISPOSAL_IN = {
    "occurred_at": "2026-11-26T10:00:00+08:00",
    "lines": [{"lot": examples.LOT_REF["uid"], "amount": {"value": "9"}}],
    "method": "destroy",
    "place": "汾阳市示例填埋场",
    "witness": examples.BUREAU_REF["uid"],
}


@area.write(
    "/campaigns/{uid}/disposals",
    who="party",
    answer=list[GoodsOut],
    example=[examples.GOODS],
    body_example=DISPOSAL_IN,
    summary=gettext_lazy("登记销毁或无害化处理"),
)
def add_disposal(request: HttpRequest, uid: Named, body: DisposalIn) -> list[GoodsOut]:
    """The initiator destroys, or writes down what a holder destroyed."""
    actor = acting(request)
    return _destroyed(request, actor, campaign_for(actor, uid), body)


@area.write(
    "/notices/{uid}/disposals",
    who="party",
    answer=list[GoodsOut],
    example=[examples.GOODS],
    body_example=DISPOSAL_IN,
    summary=gettext_lazy("持有单位就地销毁"),
)
def add_disposal_on_site(request: HttpRequest, uid: Named, body: DisposalIn) -> list[GoodsOut]:
    """A holder destroys on the spot what its notice asks about: goods of the notice's recipient, whoever opens it."""
    actor = acting(request)
    notice = received_notice_for(actor, uid)
    return _destroyed(request, actor, notice.campaign, body, notice.organisation)


def _destroyed(
    request: HttpRequest, actor: Actor, campaign: Campaign, body: DisposalIn, holder: Organisation | None = None
) -> list[GoodsOut]:
    """The disposal written down, at this holder unless the body names one."""
    plan = None
    if body.plan is not None:
        plan = campaign.disposal_plans.filter(uid=body.plan).first()
        if plan is None:
            raise NotFound(_("没有找到，或者您无权查看。"))
    rows = destroy(
        plan=plan,
        executor=body.executor,
        files=files_of(actor, body.files),
        by=actor,
        campaign=campaign,
        lines=goods_lines(campaign, body.lines),
        when=body.when(),
        method=body.method,
        place=body.place,
        witness=party(request, body.witness),
        witness_name=body.witness_name,
        announced_at=body.announced_at,
        holder=party(request, body.holder) or holder,
        remark=body.remark,
    )
    return goods_out(rows)
