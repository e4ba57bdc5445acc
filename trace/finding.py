"""From whatever somebody types or scans to the lots it names, among those the actor may open. Nothing writes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _

from trace.access import entered_for, lots_visible_to
from trace.actor import Actor
from trace.errors import Invalid, NotFound
from trace.models import Lot, LotAlias, OldCode, Transfer, Unit
from trace.packs import contents, unit_code, units_visible_to
from trace.text import clean_text, fold_width, printable

MOST = 20
_SLIP = re.compile(r"S\d{8}-\w{8}", re.IGNORECASE)
TEXT_MAX = 300
_WITH = ("organisation__division", "product__current", "product_version", "released_by", "origin_place__division")


@dataclass(frozen=True)
class Found:
    """What a text names: ``lots`` (20 at most), ``unit`` where it was one unit's code, ``exact`` whether the text is a
    whole code rather than part of one."""

    lots: list[Lot]
    unit: Unit | None = None
    exact: bool = True


def wanted_text(text: str) -> str:
    """The code in what was typed or pasted: the last part of an address, without spaces around it."""
    plain = "".join(char for char in text[:TEXT_MAX] if char.isprintable()).strip()
    if re.match(r"https?://", plain):
        parts = [part for part in urlsplit(plain).path.split("/") if part]
        return unquote(parts[-1]) if parts else ""
    return plain


@dataclass(frozen=True)
class Named:
    """The one lot a code names, with the unit where it was a unit's code."""

    lot: Lot
    unit: Unit | None = None


def find_lot(actor: Actor, text: str) -> Named:
    """The one lot that this whole code names for the actor. For forms: what is typed there must be clear.

    Refuses a code that names nothing the actor may open (NotFound, ``lot_not_found``) and one of several lots (Invalid,
    ``lot_ambiguous``).
    """
    found = find_lots(actor, text)
    if not found.exact or not found.lots:
        raise NotFound(
            _("没有找到批次“%(code)s”，请核对批号或追溯码。") % {"code": printable(text, 40)}, code="lot_not_found"
        )
    if len(found.lots) > 1:
        names = _("、").join(f"{lot.product_version.label} ({lot.public_code})" for lot in found.lots[:5])
        raise Invalid(
            _("批号“%(code)s”有几个批次：%(lots)s。请改填括号里的追溯码。")
            % {"code": printable(text, 40), "lots": names},
            code="lot_ambiguous",
        )
    return Named(found.lots[0], found.unit)


def find_lots(actor: Actor, text: str) -> Found:
    """Lots by unit code, public code, lot code (the supplier's too), display code, own code or slip number; else by
    part of a lot code. Four queries at most.
    """
    wanted = wanted_text(text)
    if not wanted:
        return Found([])
    visible = lots_visible_to(actor).select_related(*_WITH)
    serial = _serial(wanted)
    if serial:
        unit = units_visible_to(actor).filter(code=serial).select_related("lot", "replaced_by").first()
        if unit is not None:
            return Found(list(visible.filter(pk__in=_lots_of(unit))[:MOST]), unit)
    whole = list(_named(actor, visible, wanted, serial, text).order_by("-id")[:MOST])
    if whole:
        return Found(whole)
    if len(wanted) < 3:
        return Found([], exact=False)
    part = visible.filter(Q(lot_code__icontains=wanted) | Q(display_code__icontains=wanted))
    return Found(list(part.order_by("-id")[:MOST]), exact=False)


def _lots_of(unit: Unit) -> list[int]:
    """The lots a unit's code names: its own; for a pack those of what lies in it."""
    if not unit.container:
        return [unit.lot_id]
    return [share.lot for shares in contents([unit.pk]).values() for share in shares]


def _old_code(asked: str) -> QuerySet[OldCode]:
    """Codes issued elsewhere that this is, brought in by a statement that stands."""
    try:
        key = clean_text(fold_width(asked), TEXT_MAX)
    except Invalid:
        key = ""
    if not key:
        return OldCode.objects.none()
    return OldCode.objects.filter(lot=OuterRef("pk"), key=key, event__corrections__isnull=True)


def _named(actor: Actor, rows: QuerySet[Lot], wanted: str, serial: str, asked: str) -> QuerySet[Lot]:
    """Lots one of whose whole names this is; ``asked`` is the text before a code was taken out of an address."""
    own = LotAlias.objects.filter(lot=OuterRef("pk"), organisation__in=entered_for(actor), code__iexact=wanted)
    named = Q(lot_code__iexact=wanted) | Q(display_code__iexact=wanted)
    if serial:
        named |= Q(public_code=serial)
    named |= Q(Exists(_old_code(asked)))
    if _SLIP.fullmatch(wanted):
        named |= Q(Exists(Transfer.objects.filter(lot=OuterRef("pk"), shipment__number__iexact=wanted)))
    return rows.filter(named | Q(Exists(own)))


def _serial(text: str) -> str:
    """The serial (look-alikes forgiven) or SSCC this may be, or nothing."""
    try:
        return unit_code(text)
    except Invalid:
        return ""
