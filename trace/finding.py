"""From whatever somebody types or scans to the lots it names, among those the actor may open. Nothing writes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import unquote, urlsplit

from django.db import connection
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from trace.access import entered_for, lots_visible_to, organisation_for, organisations_visible_to, parse_uid
from trace.actor import Actor
from trace.among import among
from trace.errors import Invalid, NotFound
from trace.models import Lot, LotAlias, NameTerm, OldCode, Organisation, Product, Transfer, Unit
from trace.names import folded, span
from trace.packs import contents, unit_code, units_visible_to
from trace.text import clean_text, fold_width

MOST = 20
CANDIDATES = 2_000
"""Rows an index may offer before it is asked who may see them."""
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


def find_lots(actor: Actor, text: str) -> Found:
    """Lots by unit code, public code, lot code (the supplier's too), display code, own code or slip number; else by
    the beginning of a lot code.

    Every question goes to an index, so that the cost does not grow with the world. Seven queries at most.
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
    whole = list(visible.filter(among("pk", _named(actor, wanted, serial, text))).order_by("-id")[:MOST])
    if whole:
        return Found(whole)
    if len(wanted) < 3:
        return Found([], exact=False)
    part = visible.filter(among("pk", _beginning(actor, wanted)))
    return Found(list(part.order_by("-id")[:MOST]), exact=False)


def _lots_of(unit: Unit) -> list[int]:
    """The lots a unit's code names: its own; for a pack those of what lies in it."""
    if not unit.container:
        return [unit.lot_id]
    return [share.lot for shares in contents([unit.pk]).values() for share in shares]


def _cases(text: str) -> list[str]:
    """The ways a code may be written; codes are compared by index, which knows no case."""
    return list(dict.fromkeys([text, text.upper(), text.lower()]))


def _old_code(asked: str) -> QuerySet[OldCode]:
    """Codes issued elsewhere that this is, brought in by a statement that stands."""
    try:
        key = clean_text(fold_width(asked), TEXT_MAX)
    except Invalid:
        key = ""
    return OldCode.objects.filter(key=key, event__corrections__isnull=True) if key else OldCode.objects.none()


def _named(actor: Actor, wanted: str, serial: str, asked: str) -> set[int]:
    """Row numbers of the lots one of whose whole names this is, whoever may open them; ``asked`` is the text before a
    code was taken out of an address.
    """
    codes = _cases(wanted)
    found = set(Lot.objects.filter(lot_code__in=codes).values_list("pk", flat=True)[:CANDIDATES])
    found |= set(Lot.objects.filter(display_code__in=codes).values_list("pk", flat=True)[:CANDIDATES])
    if serial:
        found |= set(Lot.objects.filter(public_code=serial).values_list("pk", flat=True))
    found |= set(_old_code(asked).values_list("lot", flat=True)[:CANDIDATES])
    own = LotAlias.objects.filter(organisation__in=entered_for(actor), code__in=codes)
    found |= set(own.values_list("lot", flat=True)[:CANDIDATES])
    if _SLIP.fullmatch(wanted):
        sent = Transfer.objects.filter(shipment__number__in=codes)
        found |= set(sent.values_list("lot", flat=True)[:CANDIDATES])
    return found


def _beginning(actor: Actor, wanted: str) -> set[int]:
    """Row numbers of lots whose code begins so; who may open them is asked afterwards.

    First among everybody's: a beginning that only some lots have, or none, costs a look into the index of codes,
    whatever the world. One that very many have is looked for where the actor's own are: among one's own lots and what
    one was sent, for a regulator among those of its territory's organisations.
    """
    begins, sent = Q(), Q()
    for code in _cases(wanted):
        begins |= begins_with("lot_code", code)
        sent |= begins_with("lot__lot_code", code)
    everybodys = set(Lot.objects.filter(begins).values_list("pk", flat=True)[: CANDIDATES + 1])
    if len(everybodys) <= CANDIDATES:
        return everybodys
    if actor.is_regulator:
        owners = Organisation.objects.in_territory(actor.organisation.territory).values("pk")
        rows = Lot.objects.filter(begins, organisation__in=owners)
        return set(rows.values_list("pk", flat=True)[:CANDIDATES])
    mine = entered_for(actor)
    found = set(Lot.objects.filter(begins, organisation__in=mine).values_list("pk", flat=True)[:CANDIDATES])
    arrived = Transfer.objects.filter(sent, receiver__in=mine)
    return found | set(arrived.values_list("lot", flat=True)[:CANDIDATES])


def begins_with(field: str, text: str) -> Q:
    """Rows whose text begins so, asked in the way each database has an index for."""
    if connection.vendor == "postgresql":
        return Q(**{f"{field}__startswith": text})
    return Q(**{f"{field}__gte": text, f"{field}__lt": text + "\U0010ffff"})


# --- By name --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Names:
    """Products and organisations a text names, best first; ``more`` says that there are others."""

    products: list[Product]
    organisations: list[Organisation]
    more: bool = False

    def __bool__(self) -> bool:
        return bool(self.products or self.organisations)


def find_names(actor: Actor, text: str) -> Names:
    """Products and organisations by any part of a Chinese name, the beginning of a word, or a code.

    Products are one's own and those one was sent lots of, for a regulator those of its territory; organisations are
    those one may name. Five queries at most.
    """
    bounds = span(wanted_text(text))
    if bounds is None:
        return Names([], [])
    key = folded(wanted_text(text))
    rows = NameTerm.objects.filter(term__gte=bounds[0], term__lt=bounds[1])
    goods = rows.filter(kind=NameTerm.Kind.PRODUCT)
    known = Product.objects.filter(pk__in=_product_rows(actor, goods)).select_related("current", "organisation")
    parties = rows.filter(kind=NameTerm.Kind.ORGANISATION).values_list("row", flat=True).distinct()[:CANDIDATES]
    named = organisations_visible_to(actor).filter(pk__in=list(parties)).select_related("division").distinct()
    products = _ranked([(one, [one.code, *_words(one)]) for one in known], key)
    organisations = _ranked([(one, [one.name, one.name_en, one.uscc or "", *one.former_names]) for one in named], key)
    return Names(products[:MOST], organisations[:MOST], max(len(products), len(organisations)) > MOST)


def _words(product: Product) -> list[str]:
    """A product's names."""
    version = product.current
    return [version.name, version.name_en, version.brand] if version is not None else []


def _product_rows(actor: Actor, terms: QuerySet[NameTerm]) -> set[int]:
    """Row numbers of the products with such a term that the actor may know."""
    if actor.is_regulator:
        owners = Organisation.objects.in_territory(actor.organisation.territory).values("pk")
        return set(terms.filter(owner__in=owners).values_list("row", flat=True).distinct()[:CANDIDATES])
    mine = entered_for(actor)
    own = set(terms.filter(owner__in=mine).values_list("row", flat=True).distinct()[:CANDIDATES])
    others = set(terms.values_list("row", flat=True).distinct()[:CANDIDATES]) - own
    sent = Transfer.objects.filter(receiver__in=mine, lot__product__in=others)
    return own | set(sent.values_list("lot__product", flat=True).distinct()) if others else own


Row = TypeVar("Row", Product, Organisation)


def _ranked(rows: list[tuple[Row, list[str]]], key: str) -> list[Row]:
    """Rows that have the whole text in a name: the same name first, then names that begin with it, then the others."""
    ranked = []
    for row, names in rows:
        ranks = [0 if name == key else 1 if name.startswith(key) else 2 for name in map(folded, names) if key in name]
        if ranks:
            ranked.append((min(ranks), -row.pk, row))
    return [row for _rank, _pk, row in sorted(ranked, key=lambda one: one[:2])]


def lots_of_product(actor: Actor, uid: str) -> tuple[Product, QuerySet[Lot]]:
    """A product the actor may know, and its lots that it may open, newest first. NotFound for any other."""
    product = Product.objects.select_related("current", "organisation").filter(uid=parse_uid(uid)).first()
    if product is None:
        raise NotFound(_("没有找到，或者您无权查看。"))
    mine = entered_for(actor)
    rows = lots_visible_to(actor).filter(product=product)
    if not actor.is_regulator and product.organisation_id not in mine:
        sent = Transfer.objects.filter(receiver__in=mine, lot__product=product)
        rows = rows.filter(pk__in=sent.values("lot"))
    if product.organisation_id not in mine and not rows.exists():
        raise NotFound(_("没有找到，或者您无权查看。"))
    return product, rows.select_related(*_WITH).order_by("-id")


def lots_of_organisation(actor: Actor, uid: str) -> tuple[Organisation, QuerySet[Lot]]:
    """An organisation the actor may name, and the lots between them, newest first: made by it, or handed over between
    the two, as far as the actor may open them.
    """
    party = organisation_for(actor, uid)
    mine = entered_for(actor)
    rows = lots_visible_to(actor)
    if actor.is_regulator or party.pk in mine:
        return party, rows.filter(organisation=party).select_related(*_WITH).order_by("-id")
    between = Transfer.objects.filter(Q(sender=party, receiver__in=mine) | Q(sender__in=mine, receiver=party))
    return party, rows.filter(pk__in=between.values("lot")).select_related(*_WITH).order_by("-id")


def _serial(text: str) -> str:
    """The serial (look-alikes forgiven) or SSCC this may be, or nothing."""
    try:
        return unit_code(text)
    except Invalid:
        return ""
