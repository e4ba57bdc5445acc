"""GS1's recall messages in and out, and what a partner does with a notice beyond answering it."""

from collections.abc import Collection, Sequence
from typing import Annotated, Any, Literal

from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from pydantic import BaseModel, ConfigDict, Field

from recalls.access import received_notice_for
from recalls.actions.answers import LotAnswer, answer_stock
from recalls.actions.signals import raise_signal
from recalls.actions.tree import Customer, pass_on
from recalls.api import examples
from recalls.api.area import area
from recalls.api.shapes import NoticeOut, notices_out
from recalls.asked import still_asked
from recalls.gs1 import closeout_notification, recall_notification, removal_confirmation
from trace.api.auth import acting
from trace.api.schemas import In, Named, Out, Text, Uid
from trace.errors import Invalid, NotFound
from trace.models import Lot, Product
from trace.units import parse_amount

Message = Literal["productRecallNotification", "productRemovalConfirmation", "productRecallCloseoutNotification"]
Words = Annotated[str, Text(300)]
Long = Annotated[str, Text(1000, multiline=True)]
MOST_ITEMS = 2_000
"""Lots in one message: a notice may ask about as many, and what is given out must be taken in."""


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


class Gs1Part(BaseModel):
    """A part of a partner's message. The standard has far more names than are asked about here, and what is not asked
    about is passed over: another system sends its whole message.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)


class Gs1Party(Gs1Part):
    """A party by name."""

    organisationName: Words = ""  # noqa: N815  (GS1's name)


class Gs1Reason(Gs1Part):
    """Why goods are recalled."""

    text: Long = ""


class Gs1Item(Gs1Part):
    """A lot as a trade item."""

    batchNumber: Annotated[str, Text(60)] = ""  # noqa: N815
    gtin: Annotated[str, Text(14)] | None = None
    tradeItemDescription: Words = ""  # noqa: N815


class RemovedItem(Gs1Item):
    """What was removed of one lot, in `measurementUnitCode` or else its base unit; two lots of one code are told apart
    by `gtin` or `tradeItemDescription`.
    """

    batchNumber: Annotated[str, Text(60, required=True)]  # noqa: N815
    quantityOnHand: Words  # noqa: N815
    quantityRemoved: Words  # noqa: N815
    quantitySold: Words = "0"  # noqa: N815
    quantityUnknown: Words = "0"  # noqa: N815
    measurementUnitCode: Annotated[str, Text(20)] = ""  # noqa: N815


class Gs1In(Gs1Part):
    """One of the three messages, as `/notices/{uid}/gs1/{kind}` gives them. A confirmation answers the notice it names;
    a notification or close-out of another system becomes a signal, for a person to judge. `issuer`, `reason` and
    `batchNumbers` say in one word what the nested fields say.
    """

    messageType: Message  # noqa: N815
    noticeIdentification: Uid | None = None  # noqa: N815
    pRNTitle: Words = ""  # noqa: N815
    recallNumber: Annotated[str, Text(60)] | None = None  # noqa: N815
    productRecallInitiator: Gs1Party = Gs1Party()  # noqa: N815
    productRecallReason: Gs1Reason = Gs1Reason()  # noqa: N815
    recalledTradeItem: list[Gs1Item] = Field([], max_length=MOST_ITEMS)  # noqa: N815
    instructions: Long = ""
    issuer: Words = ""
    reason: Long = ""
    batchNumbers: list[Words] = Field([], max_length=200)  # noqa: N815
    removedTradeItem: list[RemovedItem] = Field([], max_length=MOST_ITEMS)  # noqa: N815

    def said(self) -> str:
        """A notification or close-out in lines for a person; refuses one that says nothing (``required``)."""
        items = [
            " ".join(each for each in (one.tradeItemDescription, one.gtin, one.batchNumber) if each)
            for one in self.recalledTradeItem
        ]
        lines = [
            self.pRNTitle,
            self.recallNumber or "",
            self.issuer or self.productRecallInitiator.organisationName,
            self.reason or self.productRecallReason.text,
            " ".join(self.batchNumbers),
            *items,
            self.instructions,
        ]
        told = [one for one in lines if one.strip()]
        if not told:
            raise Invalid(_("请至少写明名称（pRNTitle）、发出单位、原因或批号中的一项。"), code="required")
        return "\n".join([self.messageType, *told])


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
        rows = notice.lots.select_related("lot__product", "lot__product_version").order_by("id")
        left = [row.lot for row in rows]
        asked = set(still_asked(notice.lots.all()).values_list("lot", flat=True))
        answers = []
        for item in body.removedTradeItem:
            lot = lot_of(item, left, asked)
            left.remove(lot)
            base = lot.product.base_unit
            texts = (item.quantityOnHand, item.quantityRemoved, item.quantitySold, item.quantityUnknown)
            unit = item.measurementUnitCode or base
            packs = lot.product_version.packs
            amounts = [parse_amount(text, unit, base, packs, allow_zero=True).micros for text in texts]
            answers.append(LotAnswer(lot, *amounts))
        row = answer_stock(by=actor, notice=notice, lots=answers)
        return Gs1Taken(became="answer", uid=str(row.uid))
    signal = raise_signal(by=actor, source="supplier", text=body.said()[:2000])
    return Gs1Taken(became="signal", uid=str(signal.uid))


def lot_of(item: RemovedItem, left: Sequence[Lot], asked: Collection[int]) -> Lot:
    """Which of the lots not answered yet an item means. Among several of one code the GTIN decides (with or without
    leading zeros), or else the name, or else that one alone is ``asked`` about still (row numbers). Refuses
    (``lots_incomplete``) one the notice does not ask about, by its code or by a GTIN that is another product's, and
    (``required``) one that may mean several.
    """
    found = [lot for lot in left if lot.code == item.batchNumber and not _of_another(lot, item.gtin)]
    if not found:
        raise Invalid(
            _("通知没有问到批次 %(code)s %(gtin)s，或者已经填过。请逐个批次填写，没有的填 0。")
            % {"code": item.batchNumber, "gtin": item.gtin or ""},
            code="lots_incomplete",
        )
    if len(found) > 1 and item.gtin:
        found = [lot for lot in found if (lot.product.gtin or "").zfill(14) == item.gtin.zfill(14)] or found
    if len(found) > 1 and item.tradeItemDescription:
        found = [lot for lot in found if lot.product_version.label == item.tradeItemDescription] or found
    if len(found) > 1:
        found = [lot for lot in found if lot.pk in asked] or found
    if len(found) > 1:
        words = _("有不止一个批次叫 %(code)s：请写明 gtin 或与通知中相同的 tradeItemDescription。")
        raise Invalid(words % {"code": item.batchNumber}, code="required")
    return found[0]


def _of_another(lot: Lot, gtin: str | None) -> bool:
    """Whether a GTIN names another product than the lot's, where the lot's own is confirmed. The first digit and the
    last tell apart packs of one product (GS1 General Specifications, indicator and check digit) and are left aside.
    """
    own = lot.product.gtin if lot.product.gtin_claim == Product.GtinClaim.CONFIRMED else None
    return bool(gtin and own) and str(own).zfill(14)[1:13] != str(gtin).zfill(14)[1:13]


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
