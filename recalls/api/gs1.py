"""GS1's recall messages in and out, and what a partner does with a notice beyond answering it."""

from typing import Annotated, Any, Literal

from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from pydantic import Field

from recalls.access import received_notice_for
from recalls.actions.answers import LotAnswer, answer_stock
from recalls.actions.signals import raise_signal
from recalls.actions.tree import Customer, pass_on
from recalls.api import examples
from recalls.api.area import area
from recalls.api.shapes import NoticeOut, notices_out
from recalls.gs1 import closeout_notification, recall_notification, removal_confirmation
from trace.api.auth import acting
from trace.api.schemas import In, Named, Out, Text, Uid
from trace.errors import Invalid, NotFound
from trace.models import Lot
from trace.units import parse_amount

Message = Literal["productRecallNotification", "productRemovalConfirmation", "productRecallCloseoutNotification"]
Words = Annotated[str, Text(300)]


class Gs1Out(Out):
    """One message with the names of GS1's standard."""

    message: dict[str, Any]


GS1_OUT = {"message": {"messageType": "productRecallNotification", "pRNStatusCode": "ISSUED"}}


@area.read(
    "/notices/{uid}/gs1/{kind}",
    who="signed_in",
    answer=Gs1Out,
    example=GS1_OUT,
    summary=gettext_lazy("一份通知的 GS1 消息"),
    description=gettext_lazy(
        "kind 为 productRecallNotification、productRemovalConfirmation 或 productRecallCloseoutNotification。"
    ),
)
def get_gs1(request: HttpRequest, uid: Named, kind: Named) -> Gs1Out:
    """The notification, the confirmation as answered, or the close-out of one received notice."""
    notice = received_notice_for(acting(request), uid)
    make = {
        "productRecallNotification": recall_notification,
        "productRemovalConfirmation": removal_confirmation,
        "productRecallCloseoutNotification": closeout_notification,
    }.get(kind)
    if make is None:
        raise NotFound(_("没有找到，或者您无权查看。"))
    return Gs1Out(message=make(notice))


class RemovedItem(In):
    """What was removed of one lot, in its base unit."""

    batchNumber: Annotated[str, Text(60, required=True)]  # noqa: N815  (GS1's name)
    quantityOnHand: Words  # noqa: N815
    quantityRemoved: Words  # noqa: N815
    quantitySold: Words = "0"  # noqa: N815
    quantityUnknown: Words = "0"  # noqa: N815


class Gs1In(In):
    """One of the three messages. A confirmation answers the notice it names; a notification or close-out of another
    system becomes a signal, for a person to judge.
    """

    messageType: Message  # noqa: N815
    noticeIdentification: Uid | None = None  # noqa: N815
    pRNTitle: Words = ""  # noqa: N815
    issuer: Words = ""
    reason: Words = ""
    batchNumbers: list[Words] = Field([], max_length=200)  # noqa: N815
    removedTradeItem: list[RemovedItem] = Field([], max_length=200)  # noqa: N815


class Gs1Taken(Out):
    """What became of a message."""

    became: Literal["answer", "signal"]
    uid: str


@area.write(
    "/gs1/messages",
    who="signed_in",
    answer=Gs1Taken,
    example={"became": "signal", "uid": examples.SIGNAL["uid"]},
    body_example={
        "messageType": "productRecallNotification",
        "pRNTitle": "示例供货商召回",
        "issuer": "示例供货商",
        "reason": "示例原因",
        "batchNumbers": ["20261101-001"],
    },
    status=200,
    roles=("operator", "quality", "officer", "approver"),
    summary=gettext_lazy("接收一条 GS1 召回消息"),
)
def take_gs1(request: HttpRequest, body: Gs1In) -> Gs1Taken:
    """Take a message of a partner's system."""
    actor = acting(request)
    if body.messageType == "productRemovalConfirmation":
        if body.noticeIdentification is None:
            raise Invalid(_("请写明 noticeIdentification。"), code="required")
        notice = received_notice_for(actor, body.noticeIdentification)
        rows = notice.lots.select_related("lot__product", "lot__product_version")
        asked: dict[str, Lot] = {row.lot.code: row.lot for row in rows}
        answers = []
        for item in body.removedTradeItem:
            lot = asked.get(item.batchNumber)
            if lot is None:
                raise Invalid(_("请逐个批次填写，没有的填 0。"), code="lots_incomplete")
            unit = lot.product.base_unit
            texts = (item.quantityOnHand, item.quantityRemoved, item.quantitySold, item.quantityUnknown)
            amounts = [parse_amount(text, unit, unit, allow_zero=True).micros for text in texts]
            answers.append(LotAnswer(lot, *amounts))
        row = answer_stock(by=actor, notice=notice, lots=answers)
        return Gs1Taken(became="answer", uid=str(row.uid))
    words = [body.messageType, body.pRNTitle, body.issuer, body.reason, " ".join(body.batchNumbers)]
    signal = raise_signal(by=actor, source="supplier", text="\n".join(one for one in words if one)[:2000])
    return Gs1Taken(became="signal", uid=str(signal.uid))


class CustomerIn(In):
    """One of the caller's own customers; one of phone, e-mail and address must be there."""

    name: Annotated[str, Text(120, required=True)]
    phone: Annotated[str, Text(40)] = ""
    email: Annotated[str, Text(254)] = ""
    address: Annotated[str, Text(200)] = ""


class CustomersIn(In):
    """To whom a notice is passed on."""

    customers: list[CustomerIn] = Field(min_length=1, max_length=100)


@area.write(
    "/notices/{uid}/customers",
    who="signed_in",
    answer=list[NoticeOut],
    example=[examples.NOTICE],
    body_example={"customers": [{"name": "示例小卖部", "phone": "13900000000"}]},
    summary=gettext_lazy("转告自己的客户"),
)
def pass_notice_on(request: HttpRequest, uid: Named, body: CustomersIn) -> list[NoticeOut]:
    """Pass a notice on: the notices that were made."""
    actor = acting(request)
    notice = received_notice_for(actor, uid)
    customers = [Customer(one.name, one.phone, one.email, one.address) for one in body.customers]
    return notices_out(pass_on(by=actor, notice=notice, customers=customers))
