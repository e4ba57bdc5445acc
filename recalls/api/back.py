"""Goods that came back and goods destroyed, as written down: what was announced, what arrived, what was no recalled
goods.
"""

import datetime
from collections.abc import Iterable
from typing import Annotated, Literal

from django.http import HttpRequest
from django.utils.translation import gettext_lazy
from ninja import Query

from recalls.access import campaign_for, received_notice_for, require_side
from recalls.actions.disposal import note_oddity
from recalls.api import examples
from recalls.api.area import area
from recalls.api.beside import DISPATCH, DispatchOut, dispatch_out
from recalls.api.shapes import HolderOut, SeenLotOut
from recalls.models import Campaign, Disposal, Notice, ReturnDispatch, ReturnReceipt
from recalls.sight import Sight, known_notice
from trace.actor import Actor
from trace.api.auth import acting
from trace.api.examples import page
from trace.api.paging import Feed, Page, turn
from trace.api.schemas import AmountOut, In, Named, Out, Text, Whole
from trace.api.shapes import OrganisationRef
from trace.personal import reveal

MOST = 200
_LOT = ("lot__product", "lot__product_version", "lot__organisation__division", "lot__origin_place__division")


def _side(actor: Actor, uid: str) -> tuple[Campaign, Sight]:
    campaign = campaign_for(actor, uid)
    require_side(actor, campaign)
    return campaign, Sight(actor, campaign)


def _seen(rows: Iterable[ReturnReceipt | ReturnDispatch | Disposal], sight: Sight) -> dict[int, SeenLotOut]:
    """The lots of rows as the side may see them."""
    lots = {row.lot_id: row.lot for row in rows}
    opened = sight.open_lots(lots)
    return {pk: SeenLotOut.of(Sight.lot(lot, pk in opened)) for pk, lot in lots.items()}


# --- Announced and arrived ------------------------------------------------------------------------------------------


class ArrivalOut(Out):
    """One lot that came back from one holder. `declared` is what the holder said it sends (null where it said
    nothing), `difference` what arrived more (or, negative, less) than that.
    """

    uid: str
    holder: HolderOut
    lot: SeenLotOut
    received: AmountOut | None
    declared: AmountOut | None
    difference: AmountOut | None
    condition: str
    event: str
    at: datetime.datetime


def _arrivals(rows: list[ReturnReceipt], sight: Sight) -> list[ArrivalOut]:
    lots = _seen(rows, sight)
    found = []
    for row in rows:
        unit = row.lot.product.base_unit
        told = sight.knows(row.organisation_id) and lots[row.lot_id].lot is not None
        said = row.declared_micros if told else None
        found.append(
            ArrivalOut(
                uid=str(row.uid),
                holder=HolderOut.of(sight.holder(row.organisation)),
                lot=lots[row.lot_id],
                received=AmountOut.of(row.micros, unit) if told else None,
                declared=AmountOut.of(said, unit) if said is not None else None,
                difference=AmountOut.of(row.micros - said, unit) if said is not None else None,
                condition=row.condition,
                event=str(row.event.uid),
                at=row.at,
            )
        )
    return found


ARRIVAL = {
    "uid": "0199b0c0-0000-7000-8000-0000000000a2",
    "holder": examples.HOLDER,
    "lot": examples.SEEN_LOT,
    "received": {"value": "8", "unit": "KGM"},
    "declared": {"value": "9", "unit": "KGM"},
    "difference": {"value": "-1", "unit": "KGM"},
    "condition": "sealed",
    "event": "0199b0c0-0000-7000-8000-000000000027",
    "at": "2026-11-24T02:00:00Z",
}


@area.read(
    "/campaigns/{uid}/returns",
    who="signed_in",
    answer=Page[ArrivalOut],
    example=page(ARRIVAL),
    summary=gettext_lazy("收回记录：寄回多少，收到多少，差多少"),
)
def list_recall_returns(request: HttpRequest, uid: Named, paging: Query[Feed]) -> Page[ArrivalOut]:
    """What came back, beside what the holders said they send."""
    campaign, sight = _side(acting(request), uid)
    rows = campaign.returns.select_related("organisation__division", "event", *_LOT)
    return turn(rows, paging, lambda found: _arrivals(list(found), sight))


class UnderWayOut(DispatchOut):
    """Goods a holder says it sent back, and who it is."""

    holder: HolderOut
    notice: str


@area.read(
    "/campaigns/{uid}/dispatches",
    who="signed_in",
    answer=Page[UnderWayOut],
    example=page({**DISPATCH, "holder": examples.HOLDER, "notice": examples.NOTICE["uid"]}),
    summary=gettext_lazy("持有单位登记的寄回"),
)
def list_campaign_dispatches(request: HttpRequest, uid: Named, paging: Query[Feed]) -> Page[UnderWayOut]:
    """What holders the caller may know said they send back."""
    campaign, sight = _side(acting(request), uid)
    rows = ReturnDispatch.objects.filter(notice__campaign=campaign)
    rows = rows.select_related("notice__organisation__division", *_LOT)

    def shape(found: list[ReturnDispatch]) -> list[UnderWayOut]:
        opened = sight.open_lots({row.lot_id for row in found})
        return [
            UnderWayOut(
                **dict(dispatch_out(row)),
                holder=HolderOut.of(sight.holder(row.notice.organisation)),
                notice=str(row.notice.uid),
            )
            for row in found
            if row.lot_id in opened and sight.knows(row.notice.organisation_id)
        ]

    return turn(rows, paging, shape)


@area.read(
    "/notices/{uid}/dispatches",
    who="signed_in",
    answer=list[DispatchOut],
    example=[DISPATCH],
    summary=gettext_lazy("本单位登记的寄回（最近 200 条）"),
)
def list_dispatches(request: HttpRequest, uid: Named) -> list[DispatchOut]:
    """What the caller said it sends back, the newest first."""
    notice = received_notice_for(acting(request), uid)
    return [dispatch_out(row) for row in notice.dispatches.select_related(*_LOT).order_by("-id")[:MOST]]


# --- No recalled goods ----------------------------------------------------------------------------------------------


class OddityOut(Out):
    """Something that came back and is no recalled goods; it moved no stock and counts in no figure."""

    uid: str
    kind: str
    count: int
    code: str
    handling: str
    words: str
    at: datetime.datetime


def _oddities(notice: Notice) -> list[OddityOut]:
    return [
        OddityOut(
            uid=str(row.uid),
            kind=row.kind,
            count=row.count,
            code=row.code,
            handling=row.handling,
            words=row.words,
            at=row.at,
        )
        for row in notice.oddities.order_by("-id")[:MOST]
    ]


ODDITY_IN = {"kind": "wrong_lot", "count": 2, "code": "20260901-004", "handling": "sent_back", "words": ""}
ODDITY = {"uid": "0199b0c0-0000-7000-8000-0000000000a3", **ODDITY_IN, "at": "2026-11-24T02:00:00Z"}


@area.read(
    "/campaigns/{uid}/notices/{notice}/oddities",
    who="signed_in",
    answer=list[OddityOut],
    example=[ODDITY],
    summary=gettext_lazy("退回异常：不是召回批次、空瓶空袋等（最近 200 条）"),
)
def list_oddities(request: HttpRequest, uid: Named, notice: Named) -> list[OddityOut]:
    """What came back from one holder and is no recalled goods."""
    return _oddities(known_notice(acting(request), uid, notice)[1])


class OddityIn(In):
    """What came back, how many pieces, what its label says, what was done with it."""

    kind: Literal["wrong_lot", "empty", "foreign", "unreadable"]
    count: Annotated[int, Whole(1, 1_000_000)]
    handling: Literal["apart", "sent_back", "discarded"]
    code: Annotated[str, Text(100)] = ""
    words: Annotated[str, Text(300)] = ""


@area.write(
    "/campaigns/{uid}/notices/{notice}/oddities",
    who="party",
    answer=list[OddityOut],
    example=[ODDITY],
    body_example=ODDITY_IN,
    summary=gettext_lazy("登记退回异常"),
)
def add_oddity(request: HttpRequest, uid: Named, notice: Named, body: OddityIn) -> list[OddityOut]:
    """Write down what came back and is no recalled goods; answers with all of this holder."""
    actor = acting(request)
    _campaign, found = known_notice(actor, uid, notice)
    note_oddity(by=actor, notice=found, **body.model_dump())
    return _oddities(found)


# --- Destroyed ------------------------------------------------------------------------------------------------------


class DeedFileOut(Out):
    """A photograph or certificate, by the hash it had when it was handed in."""

    name: str
    sha256: str


class DeedOut(Out):
    """One lot destroyed or made harmless: where, before whom, reported when, with which files. `executor` and
    `witness_name` are sealed names, empty once they were forgotten.
    """

    uid: str
    organisation: HolderOut
    lot: SeenLotOut
    amount: AmountOut | None
    method: str
    place: str
    announced_at: datetime.datetime | None
    plan: str | None
    executor: str
    witness: OrganisationRef | None
    witness_name: str
    files: list[DeedFileOut]
    event: str
    at: datetime.datetime


def _deeds(rows: list[Disposal], sight: Sight) -> list[DeedOut]:
    lots = _seen(rows, sight)
    found = []
    for row in rows:
        told = sight.knows(row.organisation_id) and lots[row.lot_id].lot is not None
        fact = getattr(row, "fact", None)
        found.append(
            DeedOut(
                uid=str(row.uid),
                organisation=HolderOut.of(sight.holder(row.organisation)),
                lot=lots[row.lot_id],
                amount=AmountOut.of(row.micros, row.lot.product.base_unit) if told else None,
                method=row.method,
                place=row.place if told else "",
                announced_at=row.announced_at,
                plan=str(fact.plan.uid) if fact is not None and fact.plan is not None else None,
                executor=reveal(fact.executor) if told and fact is not None else "",
                witness=OrganisationRef.of(row.witness) if row.witness is not None else None,
                witness_name=reveal(row.witness_name) if told else "",
                files=[DeedFileOut(name=one.file.name, sha256=one.sha256) for one in row.files.all()] if told else [],
                event=str(row.event.uid),
                at=row.at,
            )
        )
    return found


@area.read(
    "/campaigns/{uid}/disposals",
    who="signed_in",
    answer=Page[DeedOut],
    example=page(
        {
            "uid": "0199b0c0-0000-7000-8000-0000000000a4",
            "organisation": {"organisation": examples.ORGANISATION_REF, "label": "示例单位", "region": "汾阳市"},
            "lot": examples.SEEN_LOT,
            "amount": {"value": "9", "unit": "KGM"},
            "method": "destroy",
            "place": "汾阳市示例填埋场",
            "announced_at": "2026-11-25T02:00:00Z",
            "plan": "0199b0c0-0000-7000-8000-000000000032",
            "executor": "示例执行人",
            "witness": examples.BUREAU_REF,
            "witness_name": "",
            "files": [{"name": "销毁现场.jpg", "sha256": examples.SCOPE_REF["sha256"]}],
            "event": "0199b0c0-0000-7000-8000-000000000027",
            "at": "2026-11-26T02:00:00Z",
        }
    ),
    summary=gettext_lazy("销毁和无害化处理记录"),
)
def list_disposals(request: HttpRequest, uid: Named, paging: Query[Feed]) -> Page[DeedOut]:
    """What was destroyed, where, before which witness, with which evidence."""
    campaign, sight = _side(acting(request), uid)
    rows = campaign.disposals.select_related(
        "organisation__division", "witness", "witness_name", "event", "fact__plan", "fact__executor", *_LOT
    ).prefetch_related("files__file")
    return turn(rows, paging, lambda found: _deeds(list(found), sight))
