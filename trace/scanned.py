"""The one lot (and unit) a typed or scanned code means in a form; several or none is an error that says so."""

from __future__ import annotations

import re
from dataclasses import dataclass

from django.utils.translation import gettext as _

from trace.actor import Actor
from trace.errors import Invalid, NotFound
from trace.finding import TEXT_MAX, find_lots, wanted_text
from trace.identifiers import normalise_serial
from trace.models import Lot, Organisation, Stock, Unit
from trace.text import clean_text, printable

_GTIN = re.compile(r"/01/([0-9]{8,14})/")


@dataclass(frozen=True)
class Scanned:
    """A lot, and the single unit where the code named one."""

    lot: Lot
    unit: Unit | None = None


def scanned_lot(actor: Actor, text: str) -> Scanned:
    """The lot a code names among those the actor may open: a serial, a label's public code, a lot code, one's own code.

    A laboratory also finds by serial or public code what it was given to test: who holds the goods reads the code on
    them. Lots declared wrong do not count; of several products with the same code, the one of the address's GTIN or in
    the actor's hands is meant. Raises NotFound ``lot_not_found``; Invalid ``lot_ambiguous``, ``required`` and the
    errors of ``clean_text``.
    """
    text = clean_text(text, TEXT_MAX, required=True)
    found = find_lots(actor, text)
    lots = [lot for lot in found.lots if lot.voided_by_id is None] if found.exact else []
    gtin = _GTIN.search(text)
    if gtin is not None:
        lots = [lot for lot in lots if lot.product.gtin == gtin[1].zfill(14)] or lots
    if not lots and actor.organisation.kind == Organisation.Kind.LABORATORY:
        return _given_to_test(text)
    return Scanned(_the_one(actor, lots, wanted_text(text)), found.unit)


def _given_to_test(text: str) -> Scanned:
    """The lot whose label a laboratory can read."""
    try:
        serial = normalise_serial(wanted_text(text))
    except Invalid:
        raise _unknown(text) from None
    unit = Unit.objects.filter(code=serial).select_related("lot").first()
    rows = Lot.objects.filter(voided_by=None).select_related("product__current", "product_version", "organisation")
    lot = rows.filter(pk=unit.lot_id).first() if unit is not None else rows.filter(public_code=serial).first()
    if lot is None:
        raise _unknown(text)
    return Scanned(lot, unit)


def _the_one(actor: Actor, lots: list[Lot], code: str) -> Lot:
    """The one lot meant, or why there is none."""
    if not lots:
        raise _unknown(code)
    if len(lots) > 1:
        rows = Stock.objects.filter(lot__in=lots, organisation=actor.owner, micros__gt=0)
        held = set(rows.values_list("lot", flat=True))
        in_hand = [lot for lot in lots if lot.pk in held]
        lots = in_hand if len(in_hand) == 1 else lots
    if len(lots) > 1:
        names = _("、").join(lot.product_version.label for lot in lots[:4])
        raise Invalid(
            _("批号“%(code)s”有不止一个批次（%(names)s），请从列表中选择，或扫描标签上的码。")
            % {"code": printable(code, 40), "names": names},
            code="lot_ambiguous",
        )
    return lots[0]


def _unknown(code: str) -> NotFound:
    return NotFound(
        _("没有找到批号或追溯码“%(code)s”，或者不是本单位的。") % {"code": printable(code, 40)}, code="lot_not_found"
    )
