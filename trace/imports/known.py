"""What the words in a sheet can mean for one actor: products, places, parties and lots, read in a few queries."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from trace.access import lots_visible_to, organisations_visible_to
from trace.actor import Actor
from trace.composition import edition_typed, is_title
from trace.errors import Invalid, NotFound
from trace.imports.earlier import Promised, said
from trace.models import Division, Licence, Lot, LotAlias, Organisation, Place, Product, Standard, Stock
from trace.shipping import party_candidates
from trace.text import fold_width, printable
from trace.units import unit_name, units_for

CHUNK = 300
Item = TypeVar("Item", int, str)
MOST_OFFERED = 1000
LONGEST_STANDARD = 120
"""Signs of a cell that may name an edition of the catalogue; longer text is not read for one."""
SEPARATOR = " · "


@dataclass
class Known:
    """The actor's own things by the words a sheet may use for them."""

    actor: Actor
    lots: dict[str, list[Lot]] = field(default_factory=lambda: defaultdict(list))
    parties: dict[str, list[Organisation]] = field(default_factory=lambda: defaultdict(list))
    in_hand: set[int] = field(default_factory=set)

    @cached_property
    def promised(self) -> Promised:
        """The lots that the rows read so far will make."""
        return Promised(self.actor.owner)

    # --- Lists to choose from -----------------------------------------------------------------------------------

    def offers(self, name: str) -> list[str]:
        """The words of a drop-down list."""
        return list(getattr(self, f"_offer_{name}")())

    def _offer_products(self) -> Iterable[str]:
        return (f"{row.code}{SEPARATOR}{row.current.name if row.current else ''}" for row in self.products_list)

    def _offer_places(self) -> Iterable[str]:
        return (row.name for row in self.places_list)

    def _offer_parties(self) -> Iterable[str]:
        return (row.name for row in party_candidates(self.actor, "")[:MOST_OFFERED])

    def _offer_lots(self) -> Iterable[str]:
        rows = Lot.objects.filter(stocks__organisation=self.actor.owner, stocks__micros__gt=0, voided_by=None)
        rows = rows.select_related("product").only("lot_code", "public_code", "product__code").order_by("-id")
        return _told_apart(list({row.pk: row for row in rows[: 2 * MOST_OFFERED]}.values())[:MOST_OFFERED])

    def _offer_units(self) -> Iterable[str]:
        words = (
            unit_name(code)
            for row in self.products_list
            for code, _factor in units_for(row.base_unit, row.current.packs if row.current else {})
        )
        return dict.fromkeys(words)

    def _offer_standards(self) -> Iterable[str]:
        return Standard.objects.filter(ended_on=None).order_by("number").values_list("number", flat=True)

    def _offer_licences(self) -> Iterable[str]:
        rows = Licence.objects.filter(organisation=self.actor.owner, kind=Licence.Kind.SC, ended_at=None)
        return rows.order_by("number").values_list("number", flat=True)

    def _offer_divisions(self) -> Iterable[str]:
        near = [row for row in self.divisions_list if row.pk.startswith("14")]
        return [row.name for row in sorted(near, key=lambda row: (not row.pk.startswith("141182"), row.pk))]

    # --- Products, places, divisions, standards -----------------------------------------------------------------

    @cached_property
    def products_list(self) -> list[Product]:
        """The owner's products."""
        rows = Product.objects.filter(organisation=self.actor.owner, ended_at=None)
        return list(rows.select_related("current", "organisation").order_by("code"))

    @cached_property
    def places_list(self) -> list[Place]:
        """The owner's places."""
        rows = Place.objects.filter(organisation=self.actor.owner, ended_at=None)
        return list(rows.select_related("organisation", "division").order_by("kind", "name", "id"))

    @cached_property
    def divisions_list(self) -> list[Division]:
        """All divisions."""
        return list(Division.objects.order_by("code"))

    @cached_property
    def _products(self) -> Mapping[str, list[Product]]:
        found: dict[str, list[Product]] = defaultdict(list)
        for row in self.products_list:
            found[said(row.code)].append(row)
            if row.current is not None and said(row.current.name) != said(row.code):
                found[said(row.current.name)].append(row)
        return found

    def product(self, text: str) -> Product:
        """The product of a code, a name or both. Invalid ``product_unknown``, ``product_ambiguous``."""
        rows = self._products.get(said(text)) or self._products.get(said(text.partition(SEPARATOR)[0])) or []
        if not rows:
            raise Invalid(
                _("没有产品“%(name)s”。请从列表中选择，或先登记产品。") % {"name": printable(text, 40)},
                code="product_unknown",
            )
        if len(rows) > 1:
            raise Invalid(
                _("有几个产品都叫“%(name)s”，请填内部编号。") % {"name": printable(text, 40)}, code="product_ambiguous"
            )
        return rows[0]

    @cached_property
    def _places(self) -> Mapping[str, Place]:
        return {said(row.name): row for row in self.places_list}

    def place(self, text: str) -> Place:
        """The place of a name. Invalid ``place_unknown``."""
        found = self._places.get(said(text))
        if found is None:
            raise Invalid(
                _("没有地点“%(name)s”。请从列表中选择，或先登记地点。") % {"name": printable(text, 40)},
                code="place_unknown",
            )
        return found

    @cached_property
    def _divisions(self) -> Mapping[str, list[Division]]:
        found: dict[str, list[Division]] = defaultdict(list)
        for row in self.divisions_list:
            for word in {said(row.pk), said(row.name), said(row.name_en)} - {""}:
                found[word].append(row)
        return found

    def division(self, text: str) -> Division:
        """The division of a name or code. Invalid ``division_unknown``."""
        rows = self._divisions.get(said(text), [])
        if len(rows) != 1:
            raise Invalid(
                _("没有找到“%(name)s”，或有几处同名。请从列表中选择，或填行政区划代码。")
                % {"name": printable(text, 40)},
                code="division_unknown",
            )
        return rows[0]

    @cached_property
    def _standards(self) -> Mapping[str, Standard]:
        return {said(row.number): row for row in Standard.objects.all()}

    def standard(self, text: str) -> Standard | None:
        """The edition in the catalogue with this number, alone or before its title; None for any other words."""
        found = self._standards.get(said(text)) or self._standards.get(said(text.partition(" ")[0]))
        if found is not None or len(text) > LONGEST_STANDARD:
            return found
        edition, words = edition_typed(text) or (None, "")
        row = self._editions.get(edition) if edition is not None else None
        return row if row is not None and is_title(words, row.title) else None

    @cached_property
    def _editions(self) -> Mapping[tuple[str, str], Standard]:
        rows = [(edition_typed(row.number), row) for row in self._standards.values()]
        return {typed[0]: row for typed, row in rows if typed is not None and not typed[1]}

    # --- Parties ------------------------------------------------------------------------------------------------

    def read_parties(self, words: Collection[str]) -> None:
        """Look up the parties a sheet names, all at once."""
        rows = organisations_visible_to(self.actor).exclude(kind=Organisation.Kind.REGULATOR)
        rows = rows.exclude(pk=self.actor.owner.pk).select_related("division")
        names = sorted({fold_width(word).strip() for word in words} | {word.strip() for word in words})
        for part in _chunks(names):
            for row in rows.filter(Q(name__in=part) | Q(uscc__in=[name.upper() for name in part])):
                for word in {said(row.name), said(row.uscc or "")} - {""}:
                    if row not in self.parties[word]:
                        self.parties[word].append(row)

    def party(self, text: str) -> Organisation:
        """The party of a name or credit code. Invalid ``party_unknown``, ``party_ambiguous``."""
        rows = self.parties.get(said(text), [])
        vetted = [row for row in rows if row.status == Organisation.Status.ACTIVE]
        rows = vetted if len(vetted) == 1 else rows
        if not rows:
            raise Invalid(
                _(
                    "没有单位“%(name)s”。请核对全称；系统外的单位，请在同一行填“对方类型”“对方所在地”和地址或电话，"
                    "导入时一并登记。"
                )
                % {"name": printable(text, 40)},
                code="party_unknown",
            )
        if len(rows) > 1:
            raise Invalid(
                _("有几个单位都叫“%(name)s”，请填统一社会信用代码。") % {"name": printable(text, 40)},
                code="party_ambiguous",
            )
        return rows[0]

    # --- Lots ---------------------------------------------------------------------------------------------------

    def read_lots(self, words: Collection[str]) -> None:
        """Look up the lots a sheet names: by lot code, printed code, public code or the owner's own name for it."""
        rows = lots_visible_to(self.actor).filter(voided_by=None)
        rows = rows.select_related("product__current", "product__organisation", "product_version", "organisation")
        forms = {word.strip() for word in words} | {fold_width(word).strip().upper() for word in words}
        for part in _chunks(sorted(forms)):
            plain = [word.replace("-", "") for word in part]
            self._take(rows.filter(Q(lot_code__in=part) | Q(display_code__in=part) | Q(public_code__in=plain)))
            aliases = LotAlias.objects.filter(organisation=self.actor.owner, code__in=part)
            named = dict(aliases.values_list("lot", "code"))
            for lot in rows.filter(pk__in=named) if named else []:
                self._name(named[lot.pk], lot)
        ids = sorted({lot.pk for lots in self.lots.values() for lot in lots})
        for numbers in _chunks(ids):
            held = Stock.objects.filter(lot__in=numbers, organisation=self.actor.owner, micros__gt=0)
            self.in_hand |= set(held.values_list("lot", flat=True))

    def _take(self, rows: QuerySet[Lot]) -> None:
        for lot in rows:
            for word in {lot.lot_code, lot.display_code, lot.public_code} - {""}:
                self._name(word, lot)

    def _name(self, word: str, lot: Lot) -> None:
        rows = self.lots[said(word)]
        if all(each.pk != lot.pk for each in rows):
            rows.append(lot)

    def lot(self, text: str) -> Lot:
        """The one lot a code means, of several the one in hand. NotFound ``lot_not_found``; Invalid ``lot_ambiguous``.

        The same rule as ``trace.scanned`` for forms. ``code · product`` tells lots with one code apart.
        """
        code, _dot, product = text.partition(SEPARATOR)
        rows = (
            self.lots.get(said(text)) or self.lots.get(said(code)) or self.lots.get(said(code.replace("-", ""))) or []
        )
        rows = [*rows, *(self.promised.lots.get(said(text)) or self.promised.lots.get(said(code)) or [])]
        if not rows:
            raise NotFound(
                _("没有找到批号或追溯码“%(code)s”，或者不是本单位的。本表里要产生的批次，请写在用它的那一行前面。")
                % {"code": printable(text, 40)},
                code="lot_not_found",
            )
        if product:
            own = said(product)
            rows = [row for row in rows if own in (said(row.product.code), said(row.product_version.name))] or rows
        if len(rows) > 1:
            held = [row for row in rows if row.pk in self.in_hand or row.pk < 0]
            rows = held if len(held) == 1 else rows
        if len(rows) > 1:
            names = _("、").join(_told_apart(rows[:4]))
            raise Invalid(
                _("批号“%(code)s”有不止一个批次，请写成：%(names)s") % {"code": printable(code, 40), "names": names},
                code="lot_ambiguous",
            )
        return rows[0]


def _told_apart(lots: Sequence[Lot]) -> list[str]:
    """A word for each lot that means no other of them: its code, with its product, or else its public code."""
    codes = Counter(lot.lot_code for lot in lots)
    both = Counter((lot.lot_code, lot.product.code) for lot in lots)
    found = []
    for lot in lots:
        named = f"{lot.lot_code}{SEPARATOR}{lot.product.code}"
        twins = both[lot.lot_code, lot.product.code] > 1
        found.append(lot.lot_code if codes[lot.lot_code] == 1 else lot.public_code if twins else named)
    return found


def _chunks(items: list[Item]) -> Iterator[list[Item]]:
    for start in range(0, len(items), CHUNK):
        yield items[start : start + CHUNK]
