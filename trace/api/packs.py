"""Units and packs for packing lines and warehouses: pack, unpack, replace a code, ship, receive and return by packs."""

from typing import Annotated, Literal

from django.http import HttpRequest
from django.utils.translation import gettext_lazy
from pydantic import Field, WithJsonSchema

from trace.access import organisation_for, shipment_for
from trace.actions.pack_shipments import receive_packs, ship_packs, take_back_packs
from trace.actions.packs import MOST, REASON_MAX, pack_units, replace_code, unpack_units
from trace.actor import Actor
from trace.api import examples
from trace.api.auth import acting
from trace.api.errors import inside
from trace.api.events import Recorded, recorded_out
from trace.api.given import Data, Happening, Portions, Remark, own_place, portions_of
from trace.api.operations import Area
from trace.api.schemas import AmountOut, Named, Out, Text, Uid
from trace.api.shapes import SHIPMENT_PARTS, LotRef, ShipmentOut, lot_ref, shipments_out
from trace.models import Lot, Shipment
from trace.pack_page import unit_page
from trace.packs import Share, contents, micros_of, totals, unit_for

packing = Area("events", gettext_lazy("单件与包装"))
moving = Area("shipments", gettext_lazy("单件与包装"))

UnitCode = Annotated[str, Text(400, required=True)]
"""A serial, an SSCC, or the address in a QR code that ends with one."""
Units = Annotated[list[UnitCode], Field(max_length=MOST)]
InPath = Annotated[str, WithJsonSchema({"type": "string", "maxLength": 100})]
"""A code in a path: what is none is simply not found."""


class PackGoodsOut(Out):
    """Leaves of one lot in a pack; `amount` is null where the product does not say what one holds."""

    lot: LotRef
    level: str
    count: int
    amount: AmountOut | None


class PackOut(Out):
    """One unit or pack. `in_hand` says that the caller has it; what is in it is told to who has, sent, issued or
    supervises it. `children` are what lies directly in it.
    """

    code: str
    level: str
    state: str
    parent: str | None
    in_hand: bool
    shipment: str | None
    replaced_by: str | None
    goods: list[PackGoodsOut]
    children: list[str]


PACK = {
    "code": "095200000000000011",
    "level": "carton",
    "state": "applied",
    "parent": None,
    "in_hand": True,
    "shipment": None,
    "replaced_by": None,
    "goods": [{"lot": examples.LOT_REF, "level": "item", "count": 6, "amount": {"value": "3", "unit": "LTR"}}],
    "children": ["7K3M0QX9ZB2T"],
}


def pack_out(actor: Actor, code: str) -> PackOut:
    """A unit as this actor may see it."""
    unit = unit_for(actor, code)
    page = unit_page(actor, unit)
    told = page.inside_told
    shares = contents([unit.pk]).get(unit.pk, []) if told else []
    children = unit.children.order_by("id").values_list("code", flat=True) if told else []
    return PackOut(
        code=unit.code,
        level=unit.level,
        state=unit.state,
        parent=unit.parent.code if unit.parent is not None and told else None,
        in_hand=page.mine,
        shipment=str(page.shipment.uid) if page.shipment is not None else None,
        replaced_by=unit.replaced_by.code if unit.replaced_by is not None and told else None,
        goods=_goods(shares),
        children=list(children),
    )


def _goods(shares: list[Share]) -> list[PackGoodsOut]:
    """Leaves by lot and level."""
    lots = Lot.objects.select_related("product__current", "product_version").in_bulk({share.lot for share in shares})
    found = []
    for lot, levels in totals(shares).items():
        for level, count in levels.items():
            micros = micros_of(lots[lot], {level: count})
            unit = lots[lot].product.base_unit
            found.append(
                PackGoodsOut(
                    lot=lot_ref(lots[lot]),
                    level=level,
                    count=count,
                    amount=AmountOut.of(micros, unit) if micros is not None else None,
                )
            )
    return found


@packing.read(
    "/packs/{code}",
    who="signed_in",
    answer=PackOut,
    example=PACK,
    summary=gettext_lazy("查看一个单件或包装"),
)
def get_pack(request: HttpRequest, code: InPath) -> PackOut:
    """One unit or pack by its code."""
    return pack_out(acting(request), code)


class PackIn(Happening):
    """Units into a pack. Without `code` it gets one: the next SSCC of the caller's GS1 prefix, else an own code.
    Without `units` a code issued together with what belongs into it takes that.
    """

    level: Literal["box", "carton", "pallet"] = "carton"
    code: Annotated[str, Text(400)] = ""
    units: Units = Field(default_factory=list)
    place: Uid | None = None
    remark: Remark = ""
    insist: bool = False


PACK_IN = {
    "occurred_at": "2026-11-18T08:30:00+08:00",
    "level": "carton",
    "code": "095200000000000011",
    "units": ["7K3M0QX9ZB2T"],
}


@packing.write(
    "/packs",
    who="party",
    answer=PackOut,
    example=PACK,
    body_example=PACK_IN,
    roles=("operator", "quality"),
    summary=gettext_lazy("装箱、码垛"),
    description=gettext_lazy("已装在别处、不在手里、没有库存或超过库存的单件不能装（409）；每个单件只在一个包装里。"),
)
def pack_goods(request: HttpRequest, body: PackIn) -> PackOut:
    """Put units into a pack."""
    actor = acting(request)
    captured = pack_units(
        by=actor,
        parent=body.code,
        children=body.units,
        when=body.when(),
        code="common.palletise" if body.level == "pallet" else "common.pack",
        level=body.level,
        place=own_place(request, body.place),
        remark=body.remark,
        insist=body.insist,
    )
    return pack_out(actor, captured.event.data["parent"])


class UnpackIn(Happening):
    """Units out of a pack: those named, or all."""

    units: Units = Field(default_factory=list)
    place: Uid | None = None
    remark: Remark = ""
    insist: bool = False


@packing.write(
    "/packs/{code}/unpack",
    who="party",
    answer=PackOut,
    example={**PACK, "goods": [], "children": []},
    body_example={"occurred_at": "2026-11-19T08:30:00+08:00"},
    roles=("operator", "quality"),
    summary=gettext_lazy("拆箱"),
)
def unpack_goods(request: HttpRequest, code: InPath, body: UnpackIn) -> PackOut:
    """Take units out of a pack."""
    actor = acting(request)
    unpack_units(
        by=actor,
        parent=unit_for(actor, code).code,
        children=body.units,
        when=body.when(),
        place=own_place(request, body.place),
        remark=body.remark,
        insist=body.insist,
    )
    return pack_out(actor, code)


class ReplaceIn(Happening):
    """A new code for a damaged one: a spare label of the same lot and level, or left out to have one made."""

    reason: Annotated[str, Text(REASON_MAX, required=True)]
    new_code: Annotated[str, Text(400)] = ""
    insist: bool = False


@packing.write(
    "/packs/{code}/replacement",
    who="party",
    answer=PackOut,
    example=PACK,
    body_example={"occurred_at": "2026-11-19T09:00:00+08:00", "reason": "标签刮破"},
    roles=("operator", "quality"),
    summary=gettext_lazy("换码"),
    description=gettext_lazy("货物不动，新码接替旧码在包装里的位置；旧码仍可查到，并指向新码。返回新码。"),
)
def replace_pack_code(request: HttpRequest, code: InPath, body: ReplaceIn) -> PackOut:
    """Put a new code in a damaged one's place."""
    actor = acting(request)
    captured = replace_code(
        by=actor,
        old=unit_for(actor, code).code,
        new=body.new_code,
        reason=body.reason,
        when=body.when(),
        insist=body.insist,
    )
    return pack_out(actor, captured.event.data["new_code"])


class ShipPacksIn(Happening):
    """Packs and loose units to one receiver; lines follow from what is in them. `lots` are uncoded goods besides."""

    receiver: Uid
    packs: Units = Field(min_length=1)
    lots: Portions = Field(default_factory=list)
    place: Uid | None = None
    data: Data = Field(default_factory=dict)
    remark: Remark = ""
    insist: bool = False


@moving.write(
    "/pack-shipments",
    who="party",
    answer=ShipmentOut,
    example=examples.SHIPMENT,
    body_example={
        "receiver": examples.SHOP_REF["uid"],
        "occurred_at": "2026-11-18T09:00:00+08:00",
        "packs": ["095200000000000011"],
    },
    roles=("operator", "quality"),
    summary=gettext_lazy("按包装发货"),
    description=gettext_lazy("托盘连同里面的货一起发出；只发其中几箱就只列那几箱，它们会离开原来的托盘。"),
)
def ship_by_packs(request: HttpRequest, body: ShipPacksIn) -> ShipmentOut:
    """Send packs."""
    actor = acting(request)
    with inside("data"):
        row = ship_packs(
            by=actor,
            receiver=organisation_for(actor, body.receiver),
            packs=body.packs,
            portions=portions_of(actor, body.lots),
            when=body.when(),
            place=own_place(request, body.place),
            data=body.data,
            remark=body.remark,
            insist=body.insist,
        )
    return shipments_out([Shipment.objects.select_related(*SHIPMENT_PARTS).get(pk=row.pk)])[0]


class PackReceiptIn(Happening):
    """The packs of a slip that were scanned. What was not scanned did not arrive; `insist` confirms that."""

    packs: Units = Field(min_length=1)
    place: Uid | None = None
    data: Data = Field(default_factory=dict)
    remark: Remark = ""
    insist: bool = False


@moving.write(
    "/shipments/{uid}/pack-receipt",
    who="party",
    answer=Recorded,
    example=examples.RECORDED,
    body_example={"occurred_at": "2026-11-20T10:00:00+08:00", "packs": ["095200000000000011"]},
    roles=("operator", "quality"),
    summary=gettext_lazy("按包装收货"),
    description=gettext_lazy(
        "托盘扫一次即可。有包装没有扫到时以 409（packs_missing）退回，确认未收到后带 insist=true 再发。"
    ),
)
def receive_by_packs(request: HttpRequest, uid: Named, body: PackReceiptIn) -> Recorded:
    """Confirm a slip by its packs."""
    actor = acting(request)
    with inside("data"):
        captured = receive_packs(
            by=actor,
            shipment=shipment_for(actor, uid),
            packs=body.packs,
            when=body.when(),
            place=own_place(request, body.place),
            data=body.data,
            remark=body.remark,
            insist=body.insist,
        )
    return recorded_out(captured, actor)


class PackReturnIn(Happening):
    """Packs and units that came back from a holder."""

    source: Uid
    packs: Units = Field(min_length=1)
    place: Uid | None = None
    data: Data = Field(default_factory=dict)
    remark: Remark = ""


@moving.write(
    "/pack-returns",
    who="party",
    answer=Recorded,
    example=examples.RECORDED,
    body_example={
        "source": examples.SHOP_REF["uid"],
        "occurred_at": "2026-11-25T15:00:00+08:00",
        "packs": ["7K3M0QX9ZB2T"],
    },
    roles=("operator", "quality"),
    summary=gettext_lazy("按包装登记退货"),
)
def take_back_by_packs(request: HttpRequest, body: PackReturnIn) -> Recorded:
    """Take packs back."""
    actor = acting(request)
    with inside("data"):
        captured = take_back_packs(
            by=actor,
            source=organisation_for(actor, body.source),
            packs=body.packs,
            when=body.when(),
            place=own_place(request, body.place),
            data=body.data,
            remark=body.remark,
        )
    return recorded_out(captured, actor)
