"""Goods changing hands: ship, receive, take in from outside, take back."""

from typing import Annotated, Literal

from django.db.models import Exists, OuterRef
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from ninja import Query
from pydantic import Field

from trace.access import entered_for, organisation_for, product_for, shipment_for, shipments_visible_to
from trace.actions.transfers import receive_shipment, ship_lots, take_back, take_in
from trace.api import examples
from trace.api.auth import acting
from trace.api.errors import inside
from trace.api.events import Recorded, recorded_out
from trace.api.given import (
    MOST_LINES,
    Data,
    Happening,
    Portions,
    Remark,
    amount_of,
    own_place,
    portions_of,
)
from trace.api.operations import Area
from trace.api.paging import Feed, Page, turn
from trace.api.schemas import AmountIn, Code, Day, In, Named, Text, Uid
from trace.api.shapes import SHIPMENT_PARTS, ShipmentOut, shipments_out
from trace.errors import NotFound
from trace.models import Shipment, Transfer

area = Area("shipments", gettext_lazy("发货与收货"))


class WantedShipments(Feed):
    """Which shipments."""

    direction: Literal["", "out", "in"] = Field("", description="Sent by the caller, or to it.")
    open: bool = Field(False, description="Only those not yet confirmed by the receiver.")


@area.read(
    "/shipments",
    who="signed_in",
    answer=Page[ShipmentOut],
    example=examples.page(examples.SHIPMENT),
    summary=gettext_lazy("列出发货单"),
)
def list_shipments(request: HttpRequest, wanted: Query[WantedShipments]) -> Page[ShipmentOut]:
    """Shipments the caller is a side of."""
    actor = acting(request)
    rows = shipments_visible_to(actor)
    if wanted.direction:
        side = "organisation__in" if wanted.direction == "out" else "receiver__in"
        rows = rows.filter(**{side: entered_for(actor)})
    if wanted.open:
        waiting = Transfer.objects.filter(shipment=OuterRef("pk"), received_by=None, voided_by=None)
        rows = rows.filter(Exists(waiting))
    return turn(rows.select_related(*SHIPMENT_PARTS), wanted, shipments_out)


@area.read(
    "/shipments/{uid}",
    who="signed_in",
    answer=ShipmentOut,
    example=examples.SHIPMENT,
    summary=gettext_lazy("查看一张发货单"),
)
def get_shipment(request: HttpRequest, uid: Named) -> ShipmentOut:
    """One shipment."""
    return shipments_out([shipment_for(acting(request), uid)])[0]


class ShipIn(Happening):
    """Portions of lots sent to one receiver. With `insist` it is a report of what already happened."""

    receiver: Uid
    lots: Portions = Field(min_length=1)
    place: Uid | None = None
    data: Data = Field(default_factory=dict)
    remark: Remark = ""
    insist: bool = False


SHIP_IN = {
    "receiver": examples.SHOP_REF["uid"],
    "occurred_at": "2026-11-18T09:00:00+08:00",
    "lots": [{"lot": examples.LOT_REF["uid"], "amount": {"value": "100", "unit": "箱"}}],
    "place": examples.PLACE["uid"],
}


@area.write(
    "/shipments",
    who="party",
    answer=ShipmentOut,
    example=examples.SHIPMENT,
    body_example=SHIP_IN,
    summary=gettext_lazy("发货"),
    description=gettext_lazy("已封存、已召回、未放行、已过期或数量不够的批次不能发货（409）。"),
)
def ship(request: HttpRequest, body: ShipIn) -> ShipmentOut:
    """Send lots."""
    actor = acting(request)
    with inside("data"):
        row = ship_lots(
            by=actor,
            receiver=organisation_for(actor, body.receiver),
            portions=portions_of(actor, body.lots),
            when=body.when(),
            place=own_place(request, body.place),
            data=body.data,
            remark=body.remark,
            insist=body.insist,
        )
    return shipments_out([Shipment.objects.select_related(*SHIPMENT_PARTS).get(pk=row.pk)])[0]


class ReceivedIn(In):
    """How much of one line arrived; zero is an answer. `own_code` is the receiver's own code for the lot."""

    transfer: Uid
    amount: AmountIn
    own_code: Annotated[str, Text(20)] = ""


class ReceiptIn(Happening):
    """A receipt: every line of the slip, each with what arrived."""

    lines: list[ReceivedIn] = Field(min_length=1, max_length=MOST_LINES)
    place: Uid | None = None
    data: Data = Field(default_factory=dict)
    remark: Remark = ""


RECEIPT_IN = {
    "occurred_at": "2026-11-20T10:00:00+08:00",
    "lines": [{"transfer": "0199b0c0-0000-7000-8000-000000000009", "amount": {"value": "297", "unit": "LTR"}}],
}


@area.write(
    "/shipments/{uid}/receipt",
    who="party",
    answer=Recorded,
    example={**examples.RECORDED, "conflicts": [examples.CONFLICT]},
    body_example=RECEIPT_IN,
    summary=gettext_lazy("收货"),
    description=gettext_lazy("收货是对已发生事情的报告，总会记录；与发货数量不同的标为矛盾，双方可见。"),
)
def receive(request: HttpRequest, uid: Named, body: ReceiptIn) -> Recorded:
    """Confirm a shipment or report a difference."""
    actor = acting(request)
    row = shipment_for(actor, uid)
    lines = {str(line.uid): line for line in row.transfers.select_related("lot__product__current")}
    strange = [line.transfer for line in body.lines if line.transfer not in lines]
    if strange:
        raise NotFound(_("没有找到，或者您无权查看。"), transfers=strange)
    received = {
        lines[line.transfer]: amount_of(
            line.amount, lines[line.transfer].lot.product, lot=lines[line.transfer].lot, allow_zero=True
        )
        for line in body.lines
    }
    with inside("data"):
        captured = receive_shipment(
            by=actor,
            shipment=row,
            received=received,
            when=body.when(),
            place=own_place(request, body.place),
            data=body.data,
            aliases={lines[line.transfer]: line.own_code for line in body.lines if line.own_code},
            remark=body.remark,
        )
    return recorded_out(captured, actor)


class IntakeIn(Happening):
    """Goods that came without a slip of this system: a lot of a named supplier, by the supplier's lot code."""

    supplier: Uid
    product: Uid = Field(description="The receiver's own entry for the material.")
    supplier_lot: Code
    amount: AmountIn
    place: Uid | None = None
    produced_on: Day | None = None
    expires_on: Day | None = None
    data: Data = Field(default_factory=dict)
    remark: Remark = ""
    insist: bool = False


INTAKE_IN = {
    "supplier": "0199b0c0-0000-7000-8000-00000000000c",
    "product": "0199b0c0-0000-7000-8000-00000000000d",
    "supplier_lot": "GL-2026-08-15",
    "amount": {"value": "5", "unit": "TNE"},
    "occurred_at": "2026-09-02T14:00:00+08:00",
    "data": {"inspection_result": "合格"},
}


@area.write(
    "/intakes",
    who="party",
    answer=Recorded,
    example=examples.RECORDED,
    body_example=INTAKE_IN,
    summary=gettext_lazy("登记外购进货"),
    description=gettext_lazy("供货单位不用本系统时，按其名称和批号登记（食品安全法第五十条）。"),
)
def take_in_goods(request: HttpRequest, body: IntakeIn) -> Recorded:
    """Take in goods from outside."""
    actor = acting(request)
    product = product_for(actor, body.product, write=True)
    with inside("data"):
        captured = take_in(
            by=actor,
            supplier=organisation_for(actor, body.supplier),
            product=product,
            supplier_lot=body.supplier_lot,
            amount=amount_of(body.amount, product),
            when=body.when(),
            place=own_place(request, body.place),
            data=body.data,
            produced_on=body.produced_on,
            expires_on=body.expires_on,
            remark=body.remark,
            insist=body.insist,
        )
    return recorded_out(captured, actor)


class ReturnIn(Happening):
    """Goods that came back from a holder. Recalls call for it, so no hold blocks it."""

    source: Uid
    lots: Portions = Field(min_length=1)
    place: Uid | None = None
    data: Data = Field(default_factory=dict)
    remark: Remark = ""


RETURN_IN = {
    "source": examples.SHOP_REF["uid"],
    "lots": [{"lot": examples.LOT_REF["uid"], "amount": {"value": "12", "unit": "瓶"}}],
    "occurred_at": "2026-11-25T15:00:00+08:00",
    "data": {"reason": "召回"},
}


@area.write(
    "/returns",
    who="party",
    answer=Recorded,
    example=examples.RECORDED,
    body_example=RETURN_IN,
    summary=gettext_lazy("登记退货"),
)
def take_back_goods(request: HttpRequest, body: ReturnIn) -> Recorded:
    """Take goods back."""
    actor = acting(request)
    with inside("data"):
        captured = take_back(
            by=actor,
            source=organisation_for(actor, body.source),
            portions=portions_of(actor, body.lots),
            when=body.when(),
            place=own_place(request, body.place),
            data=body.data,
            remark=body.remark,
        )
    return recorded_out(captured, actor)
