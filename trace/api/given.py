"""From what a client sent to what actions take: doors for every name, exact amounts, moments with their offset."""

import datetime
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from pydantic import Field

from trace.access import loose_files_of, lots_visible_to, organisation_for, place_for
from trace.actions.events import Portion, When
from trace.actor import Actor
from trace.api.auth import acting
from trace.api.schemas import AmountIn, Code, In, Moment, Text, Uid
from trace.errors import Invalid, NotFound
from trace.models import Lot, Organisation, Place, Product, StoredFile
from trace.packs import sizes_of
from trace.units import EnteredAmount, parse_amount

MOST_LINES = 500
Remark = Annotated[str, Text(500, multiline=True)]
Reason = Annotated[str, Text(300, multiline=True)]
WrittenReason = Annotated[str, Text(300, multiline=True, required=True)]
Data = dict[str, Any]


class Happening(In):
    """When something happened. The offset is kept; `day` precision means that only the day is known."""

    occurred_at: Moment = Field(examples=["2026-11-22T08:30:00+08:00"])
    precision: Literal["minute", "day"] = "minute"

    def when(self) -> When:
        """As actions take it."""
        return when(self.occurred_at, self.precision)


class PortionIn(In):
    """How much of which lot; `place` where it is taken from (found by stock when left out), `unit` one serial of the
    lot.
    """

    lot: Uid
    amount: AmountIn | None = None
    place: Uid | None = None
    unit: Code | None = None


Portions = Annotated[list[PortionIn], Field(max_length=MOST_LINES)]


def when(at: datetime.datetime | None, precision: str = "minute") -> When:
    """A moment as actions take it; now where none was sent."""
    if at is None:
        return When(timezone.now())
    offset = at.utcoffset() or datetime.timedelta()
    return When(at, int(offset.total_seconds() // 60), precision)


def amount_of(sent: AmountIn, product: Product, *, lot: Lot | None = None, allow_zero: bool = False) -> EnteredAmount:
    """An amount in the product's base unit by its unit codes and packs; of a lot there is, by the lot's own packs."""
    packs = sizes_of(lot) if lot is not None else product.current.packs if product.current else {}
    return parse_amount(sent.value, sent.unit or product.base_unit, product.base_unit, packs, allow_zero=allow_zero)


def lots_of(actor: Actor, uids: Iterable[str]) -> dict[str, Lot]:
    """Lots the actor may open, by uid, in one query; NotFound where one is not among them."""
    wanted = list(dict.fromkeys(uids))
    rows = (
        lots_visible_to(actor)
        .filter(uid__in=wanted)
        .select_related("product__current", "product_version", "organisation__division")
    )
    found = {str(row.uid): row for row in rows}
    missing = [uid for uid in wanted if uid not in found]
    if missing:
        raise NotFound(_("没有找到，或者您无权查看。"), lots=missing)
    return found


def portions_of(actor: Actor, sent: Iterable[PortionIn]) -> list[Portion]:
    """Portions with their lots, places and units resolved."""
    lines = list(sent)
    lots = lots_of(actor, [line.lot for line in lines])
    places = {uid: place_for(actor, uid) for uid in {line.place for line in lines if line.place}}
    return [_portion(line, lots[line.lot], places) for line in lines]


def _portion(line: PortionIn, lot: Lot, places: Mapping[str, Place]) -> Portion:
    """One portion."""
    unit = None
    if line.unit is not None:
        unit = lot.units.filter(code=line.unit).first()
        if unit is None:
            raise Invalid(_("批次 %(lot)s 里没有这个唯一码。") % {"lot": lot.code}, code="unit_not_of_lot")
    return Portion(
        lot=lot,
        amount=amount_of(line.amount, lot.product, lot=lot) if line.amount else None,
        place=places[line.place] if line.place else None,
        unit=unit,
    )


def files_of(actor: Actor, uids: Iterable[str]) -> list[StoredFile]:
    """Files the caller uploaded and no event has yet; NotFound where one is not among them."""
    wanted = list(dict.fromkeys(uids))
    found = loose_files_of(actor, wanted)
    missing = sorted(set(wanted) - {str(row.uid) for row in found})
    if missing:
        raise NotFound(_("没有找到，或者您无权查看。"), files=missing)
    return found


def own_place(request: HttpRequest, uid: str | None) -> Place | None:
    """A place of the caller's, or None where none was named."""
    return place_for(acting(request), uid) if uid else None


def party(request: HttpRequest, uid: str | None) -> Organisation | None:
    """An organisation the caller may name, or None."""
    return organisation_for(acting(request), uid) if uid else None
