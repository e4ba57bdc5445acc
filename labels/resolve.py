"""From what a code says to the goods it names. Host names do not matter: old paper resolves for ever. Nothing is
written.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Exists, OuterRef, Q, QuerySet

from labels.digital_link import Kind, Scanned, parse_scanned
from labels.models import CodeRun
from trace.errors import Invalid
from trace.identifiers import normalise_captured_lot_code, normalise_gtin, normalise_serial
from trace.models import Lot, Product, Unit

WITH = (
    "organisation__division",
    "product",
    "product_version__standard",
    "origin_place__division",
    "origin_event",
    "released_by",
    "voided_by",
)
MOST_LOTS = 20


@dataclass(frozen=True)
class Target:
    """What a code names: one unit of a lot, a lot, or (``lot`` None) only a product. ``gtin`` as it was given."""

    product: Product
    lot: Lot | None = None
    unit: Unit | None = None
    gtin: str = ""

    @property
    def code(self) -> str:
        """The code people type for it; "" for a product."""
        if self.unit is not None:
            return self.unit.code
        return self.lot.public_code if self.lot is not None else ""


def by_code(text: str) -> Target | None:
    """A unit by its serial or a lot by its public code. Refuses what cannot be a code (``serial_length``,
    ``serial_characters``).
    """
    code = normalise_serial(text)
    unit = Unit.objects.filter(code=code).select_related(*(f"lot__{name}" for name in WITH)).first()
    if unit is not None and unit.run is None and unit.level != Unit.Level.ITEM and unit.number == 0:
        return None  # A pack's own code says nothing to the public: several lots may lie in it.
    if unit is not None:
        return Target(unit.lot.product, unit.lot, unit)
    lot = Lot.objects.filter(public_code=code).select_related(*WITH).first()
    return Target(lot.product, lot) if lot is not None else None


def by_gtin(gtin: str, *, lot_code: str = "", serial: str = "") -> Target | None:
    """What a Digital Link names: ``gtin`` alone a product, with ``lot_code`` a lot, with ``serial`` a unit (of that
    lot, if given).

    A GTIN counts where its claim is confirmed, and for codes printed while it was. Refuses GTINs, lot codes and
    serials that cannot be (``gtin_…``, ``lot_code_…``).
    """
    number = normalise_gtin(gtin)
    wanted_lot = normalise_captured_lot_code(lot_code) if lot_code else ""
    if serial:
        return _unit(number, wanted_lot, serial)
    if wanted_lot:
        return _lot(number, wanted_lot)
    product = (
        Product.objects.filter(gtin=number, gtin_claim=Product.GtinClaim.CONFIRMED)
        .select_related("organisation__division", "current__standard")
        .first()
    )
    return Target(product, gtin=number) if product is not None else None


def _unit(gtin: str, lot_code: str, serial: str) -> Target | None:
    """One unit by GTIN and serial. A serial of other characters or length was never issued by us."""
    try:
        code = normalise_serial(serial)
    except Invalid:
        return None
    printed = CodeRun.objects.filter(uid=OuterRef("run"), gtin=gtin)
    rows = Unit.objects.filter(
        Q(lot__product__gtin=gtin, lot__product__gtin_claim=Product.GtinClaim.CONFIRMED) | Exists(printed), code=code
    )
    if lot_code:
        rows = rows.filter(lot__lot_code=lot_code)
    unit = rows.select_related(*(f"lot__{name}" for name in WITH)).first()
    return Target(unit.lot.product, unit.lot, unit, gtin) if unit is not None else None


def _lot(gtin: str, lot_code: str) -> Target | None:
    """One lot by GTIN and lot code; of several, one whose registration stands, and the latest."""
    printed = CodeRun.objects.filter(lot=OuterRef("pk"), gtin=gtin)
    rows = Lot.objects.filter(
        Q(product__gtin=gtin, product__gtin_claim=Product.GtinClaim.CONFIRMED) | Exists(printed), lot_code=lot_code
    )
    found = sorted(rows.select_related(*WITH)[:MOST_LOTS], key=lambda lot: (lot.voided_by_id is not None, -lot.pk))
    return Target(found[0].product, found[0], gtin=gtin) if found else None


def walk_up(gtin: str, *, lot_code: str = "") -> Target | None:
    """The nearest thing above what was not found: the lot, else the product; None where neither is ours."""
    try:
        found = by_gtin(gtin, lot_code=lot_code) if lot_code else None
        return found if found is not None else by_gtin(gtin)
    except Invalid:
        return None


def by_scanned(scanned: Scanned) -> Target | None:
    """What a text sorted out by ``parse_scanned`` names, if it names anything of ours."""
    if scanned.kind == Kind.UNKNOWN:
        return None
    if scanned.kind == Kind.CODE:
        return by_code(scanned.code)
    found = by_gtin(scanned.gtin, lot_code=scanned.lot, serial=scanned.serial)
    return by_code(scanned.code) if found is None and scanned.code else found


def by_text(text: str) -> Target | None:
    """What was typed or pasted: an address, a code with look-alikes, a GTIN. None when nothing of ours is named."""
    try:
        return by_scanned(parse_scanned(text))
    except Invalid:
        return None


def labelled_lots(lot_code: str) -> QuerySet[Lot]:
    """Standing lots with this lot code for which labels were issued: what a person who reads only 批号 on a pack may
    mean.
    """
    try:
        code = normalise_captured_lot_code(lot_code.upper())
    except Invalid:
        return Lot.objects.none()
    labelled = CodeRun.objects.filter(lot=OuterRef("pk"))
    rows = Lot.objects.filter(Exists(labelled), lot_code=code, voided_by=None)
    return rows.select_related(*WITH).order_by("-id")
