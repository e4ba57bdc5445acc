"""Who and what a partner's document names: own places and products where they are known, else named outsiders.

Nothing a document says makes anybody trusted: a party it brings is an external organisation kept by the one that
captured the document, its products are claimed at most, its place lies in no known division.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext as _

from trace.access import entered_for
from trace.actor import Actor
from trace.contents import content_of
from trace.door.names import Names, chunks
from trace.epcis.formats import EpcInvalid, canonical, parse
from trace.epcis.vocabulary import OURS, local
from trace.identifiers import uuid7
from trace.models import Division, EpcisMaster, EpcisName, Organisation, Place, Product, ProductVersion
from trace.prepared import NUMBER, Prepared, planned_cursor
from trace.rows import insert, new, update
from trace.text import clean_text
from trace.units import MAX_BASE_UNITS, MICROS, UNITS, EnteredAmount

UNKNOWN_DIVISION = "000000"
MOST_ELEMENTS = 50_000
PARTY_PATH, PLACE_PATH = "/id/party/", "/id/place/"


def unknown_division() -> Division:
    """The division of a place nobody knows; in no regulator's territory."""
    found, _made = Division.objects.get_or_create(
        code=UNKNOWN_DIVISION, defaults={"name": "未知地区", "name_en": "Unknown region", "kind": "unknown"}
    )
    return found


MasterData = Mapping[str, Mapping[str, str]]
"""Canonical identifier to attributes by their local names (name, streetAddressOne, descriptionShort, …)."""


def master_data(head: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """The vocabularies in a document's header: what it says of places, parties and classes. Unreadable parts are left
    out: they are words beside the events, nothing depends on them.
    """
    found: dict[str, dict[str, str]] = {}
    for element in _elements(head):
        if len(found) > MOST_ELEMENTS:
            break
        about = found.setdefault(canonical(element["id"]), {})
        attributes = element.get("attributes")
        for each in attributes if isinstance(attributes, list) else ():
            if isinstance(each, Mapping) and isinstance(each.get("id"), str):
                value = each.get("attribute")
                if isinstance(value, str | int | float) and not isinstance(value, bool):
                    # What our own installations say keeps its namespace: others use the same words.
                    name = each["id"] if each["id"].startswith(OURS) else local(each["id"])
                    about[name] = str(value)[:300]
    return found


def children_of(head: Mapping[str, Any]) -> dict[str, str]:
    """What lies in what by a document's header: child to parent (``children`` of a vocabulary element)."""
    found: dict[str, str] = {}
    for element in _elements(head):
        listed = element.get("children")
        for child in listed if isinstance(listed, list) else ():
            if isinstance(child, str) and len(found) < MOST_ELEMENTS and _fits(child, element["id"]):
                found[canonical(child)] = canonical(element["id"])
    return found


def _fits(*uris: str) -> bool:
    return all(len(uri) <= 500 and "\x00" not in uri and uri.isprintable() for uri in uris)


def _elements(head: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The vocabulary elements in a document's header that have an id."""
    data = head.get("epcisHeader")
    data = data.get("epcisMasterData") if isinstance(data, Mapping) else None
    listed = data.get("vocabularyList") if isinstance(data, Mapping) else None
    for vocabulary in listed if isinstance(listed, list) else ():
        elements = vocabulary.get("vocabularyElementList") if isinstance(vocabulary, Mapping) else None
        for element in elements if isinstance(elements, list) else ():
            if isinstance(element, Mapping) and isinstance(element.get("id"), str):
                yield element


def keep_master(owner: Organisation, master: MasterData, children: Mapping[str, str]) -> None:
    """Remember what a document's header says of things, for questions by attribute and by what lies in what. Later
    documents add to it and change it. The head of the log is held.
    """
    wanted = [value for value in dict.fromkeys([*master, *children]) if _fits(value)]
    for part in chunks(wanted):
        rows = {row.value: row for row in EpcisMaster.objects.filter(owner=owner, value__in=part)}
        fresh = []
        for value in part:
            row = rows.get(value)
            if row is None:
                row = new(EpcisMaster, owner=owner, value=value)
                fresh.append(row)
            row.attributes = {**row.attributes, **_clean(master.get(value, {}))}
            row.parent = children.get(value, row.parent)
        insert(fresh)
        update(list(rows.values()), "attributes", "parent")


def _clean(attributes: Mapping[str, str]) -> dict[str, str]:
    """Attributes that a database can hold."""
    return {name[:100]: value for name, value in list(attributes.items())[:200] if value.isprintable()}


def _words(text: str, most: int) -> str:
    """A stranger's words made safe; empty where they are none."""
    from trace.errors import Invalid

    try:
        return clean_text(text[: most * 2], most * 2)[:most].strip()
    except Invalid:
        return ""


# Asked for each event that comes alone.
_ORGANISATION = Prepared(lambda _text: Organisation.objects.filter(pk=NUMBER).select_related("division"))
_ENTRY = Prepared(
    lambda code: (
        Product.objects.filter(organisation=NUMBER, code=code, current__isnull=False)
        .select_related("current__standard", "organisation__division")
        .order_by("id")
    )
)


@dataclass
class Parties:
    """Names resolved for one organisation. The head of the log is held, so nobody else makes the same ones."""

    by: Actor
    names: Names
    master: MasterData = field(default_factory=dict)
    _mine: list[int] = field(default_factory=list)
    _products: dict[tuple[str, int | None], Product] = field(default_factory=dict)
    _not_own: set[str] = field(default_factory=set)
    _by_gtin: dict[tuple[str, int], Product] = field(default_factory=dict)
    _amounts: dict[tuple[int, str, str], EnteredAmount | None] = field(default_factory=dict)
    _organisations: dict[int, Organisation] = field(default_factory=dict)
    _places: dict[int, Place] = field(default_factory=dict)

    @property
    def owner(self) -> Organisation:
        """Whose facts are written."""
        return self.by.owner

    @property
    def mine(self) -> list[int]:
        """Row numbers of the organisations written for."""
        if not self._mine:
            self._mine = entered_for(self.by)
        return self._mine

    # --- Parties and places -----------------------------------------------------------------------------------------

    def at(self, uri: str, of: Organisation | None = None) -> tuple[Organisation | None, Place | None]:
        """Whose place a location is, and the place where it is our own or an outsider's. Made where it is new: ``of``
        is whose it is said to be.
        """
        if not uri:
            return None, None
        name = self._name("location", uri)
        if name.party_id is None:
            self._settle_location(name, of)
        return self._organisation(name.party_id), self._place(name.place_id)

    def party(self, uri: str) -> Organisation:
        """The organisation behind a party's identifier; a named outsider where nobody knows it."""
        name = self._name("party", uri)
        if name.party_id is None:
            found = self._ours(uri) or self._by_gln(uri) or self._outsider(uri)
            self._keep(name, found, None)
        party = self._organisation(name.party_id)
        if party is None:
            raise ValueError("a party was not kept")
        return party

    def unknown(self) -> Organisation:
        """The outsider that stands for makers nobody named."""
        name = self._name("party", "unknown")
        if name.party_id is None:
            # Kept in both languages, whatever the first to need it speaks.
            with translation.override("zh-hans"):
                label = _("来源未知（EPCIS 文件未注明）")
            with translation.override("en"):
                label_en = _("来源未知（EPCIS 文件未注明）")
            self._keep(name, self._external(label, label_en=label_en), None)
        found = self._organisation(name.party_id)
        if found is None:
            raise ValueError("a party was not kept")
        return found

    def _name(self, kind: str, uri: str) -> EpcisName:
        known = self.names.known.get((kind, uri))
        if known is None:
            self.names.load([(kind, uri)])
            known = self.names.known[(kind, uri)]
        return known

    def _keep(self, name: EpcisName, party: Organisation, place: Place | None) -> None:
        self._organisations[party.pk] = party
        if place is not None:
            self._places[place.pk] = place
        name.party, name.place = party, place
        name.save(update_fields=["party", "place"])

    def _organisation(self, pk: int | None) -> Organisation | None:
        if pk is None:
            return None
        if pk not in self._organisations:
            found = _ORGANISATION.first("", pk)
            if found is None:
                raise ValueError("a party was not kept")
            self._organisations[pk] = found
        return self._organisations[pk]

    def _place(self, pk: int | None) -> Place | None:
        if pk is None:
            return None
        if pk not in self._places:
            self._places[pk] = Place.objects.get(pk=pk)
        return self._places[pk]

    def _settle_location(self, name: EpcisName, of: Organisation | None = None) -> None:
        """What a location is: our place, a registered party's (the party is named, its place is not taken), or an
        outsider's.
        """
        uri = name.value
        own = self._own_place(uri)
        if own is not None:
            self._keep(name, own.organisation, own)
            return
        found = self._by_gln(uri) or of
        if found is not None and not found.is_external:
            self._keep(name, found, None)
            return
        party = found or self._outsider(uri)
        label = _words(self.master.get(uri, {}).get("name", ""), 60) or uri.rpartition("/")[2][-60:] or uri[-60:]
        taken = Place.objects.filter(organisation=party, name=label).exists()
        place = Place.objects.create(
            organisation=party,
            name=f"{label} {hashlib.sha256(uri.encode()).hexdigest()[:8]}" if taken else label,
            kind=Place.Kind.OFFICE,
            division=party.division,
            address=_words(self.master.get(uri, {}).get("streetAddressOne", ""), 200),
            gln=_gln(uri),
        )
        self._keep(name, party, place)

    def _own_place(self, uri: str) -> Place | None:
        own = Place.objects.filter(organisation__in=self.mine).select_related("organisation")
        start = settings.PUBLIC_BASE_URL + PLACE_PATH
        if uri.startswith(start):
            return own.filter(uid=_uid(uri[len(start) :])).first()
        gln = _gln(uri)
        return own.filter(gln=gln).order_by("ended_at", "id").first() if gln else None

    def _ours(self, uri: str) -> Organisation | None:
        """A party under our own host: one the actor may name."""
        from trace.access import organisations_visible_to

        start = settings.PUBLIC_BASE_URL + PARTY_PATH
        if not uri.startswith(start):
            return None
        return organisations_visible_to(self.by).filter(uid=_uid(uri[len(start) :])).first()

    def _by_gln(self, uri: str) -> Organisation | None:
        """An organisation known by this GLN: ours, a registered one, or an outsider met before."""
        gln = _gln(uri)
        if not gln:
            return None
        kept = self._name("gln", gln)
        if kept.party_id is not None:
            return self._organisation(kept.party_id)
        rows = Place.objects.filter(gln=gln).select_related("organisation__division")
        place = rows.filter(organisation__in=self.mine).first()
        place = place or rows.filter(organisation__status=Organisation.Status.ACTIVE).order_by("id").first()
        return place.organisation if place is not None else None

    def _outsider(self, uri: str) -> Organisation:
        """A named outsider for an identifier nobody knows."""
        about = self.master.get(uri, {})
        label = _words(about.get("name", ""), 110)
        gln = _gln(uri)
        if not label:
            label = f"GLN {gln}" if gln else uri[-100:]
        party = self._external(label, _words(about.get("streetAddressOne", ""), 200))
        if gln:
            self._keep(self._name("gln", gln), party, None)
        return party

    def _external(self, name: str, address: str = "", label_en: str = "") -> Organisation:
        found = Organisation.objects.filter(
            kept_by=self.owner, status=Organisation.Status.EXTERNAL, name=name, registered_as=None
        ).first()
        if found is not None:
            return found
        return Organisation.objects.create(
            name=name,
            name_en=label_en,
            kind=Organisation.Kind.DISTRIBUTOR,
            status=Organisation.Status.EXTERNAL,
            division=unknown_division(),
            address=address,
            kept_by=self.owner,
        )

    # --- Products ---------------------------------------------------------------------------------------------------

    def product(self, uri: str, gtin: str, performer: Organisation, uom: str) -> Product:
        """The product behind a class: our own by its GTIN, else an outsider's entry made from what the document says.

        ``performer`` made or had the goods when they were first met. An own GTIN that is under our GS1 prefix and was
        not entered yet is entered as claimed.
        """
        found = self._by_gtin.get((gtin, performer.pk)) if gtin else None
        if found is None:
            found = self._product(uri, gtin, performer, uom)
            self._by_gtin[(gtin, performer.pk)] = found
        return found

    def amount(self, product: Product, quantity: int | float | None, uom: str) -> EnteredAmount | None:
        """``amount_in``, once for each product, quantity and unit. Raises NotExact."""
        key = (product.pk, str(quantity), uom)
        if key not in self._amounts:
            self._amounts[key] = amount_in(product, quantity, uom)
            if len(self._amounts) > 10_000:
                return self._amounts.pop(key)
        return self._amounts[key]

    def _product(self, uri: str, gtin: str, performer: Organisation, uom: str) -> Product:
        issuer = performer
        about = self.master.get(uri) or self.master.get(f"https://id.gs1.org/01/{gtin}", {})
        said = about.get(f"{OURS}issuer", "")
        # One of our own installations says whose it is. Nothing is entered as ours or a registered one's by that.
        maker = self.party(canonical(said)) if ":" in said and _fits(said) else None
        if maker is not None and (maker.is_external or not gtin):
            issuer = maker
        if gtin:
            own = self._own_product(gtin)
            if own is not None:
                return own
            kept = self._name("gtin", gtin)
            if kept.party_id is not None:
                issuer = self._organisation(kept.party_id) or performer
            else:
                if performer.pk in self.mine and not self._under_own_prefix(gtin):
                    issuer = self.unknown()
                elif not performer.is_external and performer.pk not in self.mine:
                    issuer = self._mirror(performer)
                self._keep(kept, issuer, None)
        elif not issuer.is_external and issuer.pk not in self.mine:
            issuer = self._mirror(issuer)
        label = _words(about.get("descriptionShort", "") or about.get("productName", ""), 110)
        label = label or (f"GTIN {gtin}" if gtin else _("未命名产品"))
        code = gtin or hashlib.sha256(label.encode()).hexdigest()[:16].upper()
        key = (code, issuer.pk)
        if key not in self._products:
            kind = about.get(f"{OURS}kind", "")
            self._products[key] = self._entry(issuer, code, gtin, label, about.get(f"{OURS}unit", "") or uom, kind)
            self._not_own.discard(gtin)
        return self._products[key]

    def _mirror(self, registered: Organisation) -> Organisation:
        """An outsider of ours that stands for a registered organisation where we only heard of its goods: nothing is
        entered among a registered organisation's own products.
        """
        return self._external(registered.name, registered.address)

    def _own_product(self, gtin: str) -> Product | None:
        key = (gtin, None)
        if gtin in self._not_own:
            return None
        if key not in self._products:
            if not self._is_entered(gtin):
                self._not_own.add(gtin)
                return None
            rows = Product.objects.filter(organisation__in=self.mine, gtin=gtin, ended_at=None, current__isnull=False)
            found = rows.select_related("current__standard", "organisation__division").order_by("id").first()
            if found is None:
                self._not_own.add(gtin)
                return None
            self._products[key] = found
        return self._products[key]

    def _is_entered(self, gtin: str) -> bool:
        """Whether one of our own has a product with this GTIN: asked for each event, mostly no."""
        marks = ", ".join(["%s"] * len(self.mine))
        with planned_cursor() as cursor:
            cursor.execute(
                f"SELECT 1 FROM trace_product WHERE gtin = %s AND organisation_id IN ({marks}) LIMIT 1",  # noqa: S608
                [gtin, *self.mine],
            )
            return cursor.fetchone() is not None

    def _under_own_prefix(self, gtin: str) -> bool:
        prefix = self.owner.gs1_prefix
        return bool(prefix) and gtin[1:].startswith(prefix)

    def _entry(self, issuer: Organisation, code: str, gtin: str, label: str, uom: str, kind: str) -> Product:
        found = _ENTRY.first(code, issuer.pk)
        if found is not None:
            return found
        product = Product.objects.create(
            organisation=issuer,
            code=code,
            track=Product.Track.FOOD,
            kind=kind if kind in Product.Kind.values else Product.Kind.FINISHED,
            base_unit=UNITS[uom].base.value if uom in UNITS else "C62",
            gtin=gtin or None,
            gtin_claim=Product.GtinClaim.CLAIMED if gtin else Product.GtinClaim.NONE,
        )
        version = ProductVersion.objects.create(uid=uuid7(), product=product, number=1, name=label)
        product.current = version
        product.save(update_fields=["current"])
        product.organisation = issuer
        return product


def _gln(uri: str) -> str:
    """The GLN in an identifier of a place or party."""
    try:
        return parse(uri).gln
    except EpcInvalid:
        return ""


def _uid(text: str) -> Any:
    """A UUID, or one nobody has."""
    import uuid

    try:
        return uuid.UUID(text[:36])
    except ValueError:
        return uuid.UUID(int=0)


class NotExact(ValueError):
    """An amount that millionths of the base unit cannot say, or that is too large."""


def amount_in(product: Product, quantity: int | float | None, uom: str) -> EnteredAmount | None:
    """An entered quantity in the product's base unit; None where nothing was said or the unit has no way to it.

    Pieces of what is counted in litres or kilograms go by the net content or the pack of the product. Raises NotExact.
    """
    if quantity is None:
        return None
    text = _plain(quantity)
    unit = uom or "C62"
    factor: Fraction | None = None
    if unit in UNITS and UNITS[unit].base.value == product.base_unit:
        factor = UNITS[unit].factor
    elif unit in ("C62", "EA", "H87") and product.base_unit == "C62":
        factor, unit = Fraction(1), "C62"
    elif unit in ("C62", "EA", "H87"):
        factor = _content(product)
        unit = "C62"
    if factor is None:
        return None
    micros = Fraction(text) * factor * MICROS
    if micros.denominator != 1 or micros > MAX_BASE_UNITS * MICROS:
        raise NotExact(text)
    return EnteredAmount(text, unit, f"{factor.numerator}/{factor.denominator}", int(micros))


def _plain(quantity: int | float) -> str:
    """The plain decimal as it was sent."""
    from decimal import Decimal

    text = format(Decimal(str(quantity)), "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    if len(text) > 30:
        raise NotExact(text)
    return text or "0"


def _content(product: Product) -> Fraction | None:
    """Base units in one piece."""
    version = product.current
    if version is None:
        return None
    sizes = [Fraction(str(size)) for size in (version.packs or {}).values()]
    if sizes:
        return min(sizes)
    found = content_of(version.net_content) or content_of(version.spec)
    return found[1] if found is not None and found[0] == product.base_unit else None
