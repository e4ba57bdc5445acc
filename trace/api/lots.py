"""Lots: find, open, release."""

from typing import Annotated

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy
from ninja import Query
from pydantic import Field

from trace.access import entered_for, events_visible_to, lot_for, lots_visible_to
from trace.actions.evidence import release_lot
from trace.actor import Actor
from trace.api import examples
from trace.api.auth import acting
from trace.api.events import Recorded, recorded_out
from trace.api.given import Reason, when
from trace.api.operations import Area
from trace.api.paging import Feed, Page, turn
from trace.api.schemas import In, Moment, Named, Text, Uid
from trace.api.shapes import EVENT_PARTS, LOT_PARTS, EventOut, LotOut, events_out, lots_out
from trace.models import Lot, LotAlias

area = Area("lots", gettext_lazy("批次与谱系"))


class WantedLots(Feed):
    """Which lots."""

    q: Annotated[str, Text(40)] = Field("", description="Part of the lot code, or the whole public or own code.")
    product: Uid | None = None
    mine: bool = Field(False, description="Only lots the caller issued.")
    released: bool | None = None


@area.read(
    "/lots",
    who="signed_in",
    answer=Page[LotOut],
    example=examples.page(examples.LOT),
    summary=gettext_lazy("查找批次"),
    description=gettext_lazy("本单位生产、持有、收到或检验过的批次；监管部门见辖区内的批次。"),
)
def list_lots(request: HttpRequest, wanted: Query[WantedLots]) -> Page[LotOut]:
    """Lots the caller may open."""
    actor = acting(request)
    rows = _found(lots_visible_to(actor), actor, wanted).select_related(*LOT_PARTS)
    return turn(rows, wanted, lambda found: lots_out(found, actor))


def _found(rows: QuerySet[Lot], actor: Actor, wanted: WantedLots) -> QuerySet[Lot]:
    """The rows asked for."""
    if wanted.q:
        own_codes = LotAlias.objects.filter(lot=OuterRef("pk"), organisation__in=entered_for(actor))
        rows = rows.filter(
            Q(lot_code__icontains=wanted.q)
            | Q(display_code__icontains=wanted.q)
            | Q(public_code__iexact=wanted.q)
            | Exists(own_codes.filter(code__iexact=wanted.q))
        )
    if wanted.product:
        rows = rows.filter(product__uid=wanted.product)
    if wanted.mine:
        rows = rows.filter(organisation__in=entered_for(actor))
    if wanted.released is not None:
        rows = rows.filter(released_by__isnull=not wanted.released)
    return rows


@area.read("/lots/{uid}", who="signed_in", answer=LotOut, example=examples.LOT, summary=gettext_lazy("查看一个批次"))
def get_lot(request: HttpRequest, uid: Named) -> LotOut:
    """One lot."""
    actor = acting(request)
    return lots_out([lot_for(actor, uid)], actor)[0]


@area.read(
    "/lots/{uid}/events",
    who="signed_in",
    answer=Page[EventOut],
    example=examples.page(examples.EVENT),
    summary=gettext_lazy("批次的环节"),
    description=gettext_lazy("只列出调用方可以看到的环节。"),
)
def list_lot_events(request: HttpRequest, uid: Named, paging: Query[Feed]) -> Page[EventOut]:
    """Events that name the lot and that the caller may read."""
    actor = acting(request)
    lot = lot_for(actor, uid)
    rows = events_visible_to(actor).filter(items__lot=lot).distinct().select_related(*EVENT_PARTS)
    return turn(rows, paging, events_out, by="log__number")


class ReleaseIn(In):
    """The quality officer's release; `reason` is needed to release without a passing report, and the regulator sees
    it.
    """

    occurred_at: Moment | None = None
    reason: Reason = ""


@area.write(
    "/lots/{uid}/release",
    who="party",
    answer=Recorded,
    example=examples.RECORDED,
    body_example={},
    roles=("quality",),
    summary=gettext_lazy("放行批次"),
    description=gettext_lazy("只有质量负责人能放行，因此要由本人登录，API 密钥不能放行。"),
)
def release(request: HttpRequest, uid: Named, body: ReleaseIn) -> Recorded:
    """Release a lot."""
    actor = acting(request)
    lot = lot_for(actor, uid, write=True)
    captured = release_lot(by=actor, lot=lot, when=when(body.occurred_at), reason=body.reason)
    return recorded_out(captured, actor)
