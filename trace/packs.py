"""Questions about units and packs: what lies in a pack down to its leaves, how much of which lot that is, who has it.

A pack's goods follow from its leaves, the units in it that hold no others; so a pallet of several lots needs no lot of
its own. Packs are at most four deep (item, box, carton, pallet), so every question is a fixed number of queries.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any
from uuid import UUID

from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce
from django.utils.translation import gettext as _

from trace.access import entered_for, lots_visible_to
from trace.actor import Actor
from trace.among import among
from trace.errors import Invalid, NotFound
from trace.identifiers import fold_code, normalise_serial, normalise_sscc
from trace.models import Event, Lot, Organisation, PackPlan, Shipment, Unit
from trace.units import EnteredAmount, decimal_text, parse_amount

RANK = {Unit.Level.ITEM: 0, Unit.Level.BOX: 1, Unit.Level.CARTON: 2, Unit.Level.PALLET: 3}
WITH = ("lot__product__current", "lot__product_version", "lot__organisation", "parent__parent__parent")
"""What is read along with a unit so that its lot and the packs around it need no further query."""
_UP = ("pk", "parent", "parent__parent", "parent__parent__parent")
_NAMES = {
    Unit.Level.BOX: ("盒", "提", "box"),
    Unit.Level.CARTON: ("箱", "件", "carton", "case"),
    Unit.Level.PALLET: ("托盘", "托", "板", "pallet"),
}


def unit_code(text: str) -> str:
    """A unit's code as typed or scanned: a serial, an SSCC, or the address in a QR code that ends with one.

    Raises Invalid ``code_too_long``, ``serial_length`` … as the identifiers do.
    """
    if "/" in text[:400]:
        text = text[:400].split("?")[0].rstrip("/").rpartition("/")[2]
    code = fold_code(text)
    bare = code.removeprefix("(00)")
    return normalise_sscc(code) if bare.isdigit() and len(bare) >= 17 else normalise_serial(code)


# --- What lies in packs ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Share:
    """How many leaves of one level of one lot lie in a pack."""

    lot: int
    level: str
    count: int


def _inside(roots: Sequence[int], depth: int) -> QuerySet[Unit]:
    """The units exactly so many packs below these."""
    return Unit.objects.filter(**{f"{_UP[depth]}__in": roots})


def leaves(rows: QuerySet[Unit]) -> QuerySet[Unit]:
    """Those that hold no others and are goods: emptied packs, replaced codes, bare pack numbers and labels of cartons
    that wait for units with codes of their own are nothing.
    """
    holds = Unit.objects.filter(parent=OuterRef("pk"))
    bare = Q(run__isnull=True, number=0) & ~Q(level=Unit.Level.ITEM)
    waits = ~Q(level=Unit.Level.ITEM) & Exists(PackPlan.objects.filter(run=OuterRef("run")))
    return rows.filter(~Exists(holds), container=False, replaced_by=None).exclude(bare).exclude(waits)


def contents(roots: Iterable[int]) -> dict[int, list[Share]]:
    """The leaves of each of these units (itself, where it holds nothing), counted by lot and level. Four queries."""
    wanted = list(roots)
    found: dict[int, list[Share]] = defaultdict(list)
    for depth, root in enumerate(_UP):
        rows = leaves(_inside(wanted, depth)).values_list(root, "lot", "level").annotate(Count("pk"))
        for pack, lot, level, count in rows.order_by(root, "lot", "level"):
            found[pack].append(Share(lot, level, count))
    return found


def totals(shares: Iterable[Share]) -> dict[int, dict[str, int]]:
    """Leaves by lot, then level, over several packs."""
    found: dict[int, dict[str, int]] = {}
    for share in shares:
        levels = found.setdefault(share.lot, {})
        levels[share.level] = levels.get(share.level, 0) + share.count
    return found


def spans(numbers: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """Numbers as the fewest ranges (first, last), in order."""
    found: list[tuple[int, int]] = []
    for number in sorted(set(numbers)):
        if found and number == found[-1][1] + 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return tuple(found)


def numbers_of(units: Iterable[Unit], lot: int) -> set[int]:
    """The numbers of a lot that these units answer to: their own, those of the codes they took the place of (a new
    label changes no scope), and of all that lies in them, or is meant to lie in packs nobody has packed yet. Six
    queries, and four more where there are packs among them.
    """
    given = list(units)
    ids = {unit.pk for unit in given}
    wanted = set(ids)
    for depth in range(1, len(_UP)):
        wanted |= set(_inside(sorted(ids), depth).values_list("pk", flat=True))
    found: set[int] = set()
    while wanted:
        rows = Unit.objects.filter(among("pk", wanted), lot=lot, number__gt=0)
        found |= set(rows.values_list("number", flat=True))
        wanted = set(Unit.objects.filter(among("replaced_by", wanted)).values_list("pk", flat=True))
    if any(unit.level != Unit.Level.ITEM for unit in given):
        found |= _planned_numbers(lot, found)
    return found


def _planned_numbers(lot: int, numbers: set[int]) -> set[int]:
    """The numbers meant to lie in those of these numbers that are packs nobody has packed yet, down to the leaves."""
    plans = list(PackPlan.objects.filter(lot=lot))
    found: set[int] = set()
    wanted = numbers
    while wanted and plans:
        empty = Unit.objects.filter(among("number", wanted), run__in=[plan.run for plan in plans], container=False)
        by_run: dict[UUID | None, PackPlan] = {plan.run: plan for plan in plans}
        meant: set[int] = set()
        for run, number in empty.values_list("run", "number"):
            first, last = by_run[run].numbers(number)
            meant.update(range(first, last + 1))
        loose = Unit.objects.filter(among("number", meant), run__in=[plan.inside for plan in plans], parent=None)
        wanted = set(loose.values_list("number", flat=True)) - found
        found |= wanted
    return found


def plan_of(pack: Unit) -> PackPlan | None:
    """What a pack's label was issued for; None where it was issued alone. One query, none for a single item."""
    if pack.level == Unit.Level.ITEM or pack.run is None:
        return None
    return PackPlan.objects.filter(run=pack.run).first()


def planned_units(pack: Unit, plan: PackPlan) -> QuerySet[Unit]:
    """The units meant to lie in a pack, in the order of their numbers, whatever became of them."""
    first, last = plan.numbers(pack.number)
    return Unit.objects.filter(lot=pack.lot_id, run=plan.inside, number__gte=first, number__lte=last).order_by("number")


# --- How much that is -----------------------------------------------------------------------------------------------


def sizes_of(lot: Lot) -> dict[str, Any]:
    """Base units in each pack of a lot: as its product said when it was made, and packs that were named since.

    A carton of twelve introduced later does not double the cartons of six in store.
    """
    return {**(lot.product.current.packs if lot.product.current else {}), **lot.product_version.packs}


def pack_of_level(lot: Lot, level: str) -> tuple[str, Fraction] | None:
    """The pack of the lot's product that a unit of this level is, with the base units in one; None where the product
    does not say.

    An item is a piece where the product is counted in pieces, else the smallest pack; a carton is the pack named 箱.
    """
    packs = sizes_of(lot)
    sizes = {name: Fraction(size) for name, size in packs.items()}
    if level == Unit.Level.ITEM:
        if lot.product.base_unit == "C62":
            return "C62", Fraction(1)
        return min(sizes.items(), key=lambda each: each[1], default=None)
    return next(((name, sizes[name]) for name in _NAMES[Unit.Level(level)] if name in sizes), None)


def amount_of(lot: Lot, levels: Mapping[str, int]) -> EnteredAmount:
    """How much of the lot so many leaves are, exactly: as a number of packs where all are of one level.

    Raises Invalid ``content_unknown`` where the product does not say what is in a unit of that level.
    """
    found = [(pack_of_level(lot, level), level, count) for level, count in levels.items() if count]
    total = Fraction(0)
    for pack, level, count in found:
        if pack is None:
            raise Invalid(
                _("产品“%(product)s”没有写明一%(level)s是多少，算不出数量。请在产品资料的“包装规格”里补上。")
                % {"product": lot.product_version.label, "level": Unit.Level(level).label},
                code="content_unknown",
            )
        total += pack[1] * count
    base = lot.product.base_unit
    packs = sizes_of(lot)
    if len(found) == 1 and found[0][0] is not None:
        name, size = found[0][0]
        if name == base or (name in packs and Fraction(packs[name]) == size):
            return parse_amount(str(found[0][2]), name, base, packs)
    return parse_amount(decimal_text(int(total * 1_000_000)), base, base, packs)


def micros_of(lot: Lot, levels: Mapping[str, int]) -> int | None:
    """The same in millionths of the base unit; None where it is not known."""
    try:
        return amount_of(lot, levels).micros
    except Invalid:
        return None


# --- Who has it -----------------------------------------------------------------------------------------------------

TOP_HOLDER = Coalesce("parent__parent__parent__holder", "parent__parent__holder", "parent__holder", "holder")
"""Who has a unit: only the outermost pack carries a holder."""


def packed_of(lots: Sequence[int], holder: Organisation) -> dict[int, dict[str, int]]:
    """Leaves of these lots that lie in packs of this holder, by lot and level. One query."""
    rows = leaves(Unit.objects.filter(lot__in=lots, parent__isnull=False)).annotate(who=TOP_HOLDER)
    found: dict[int, dict[str, int]] = {}
    for row in rows.filter(who=holder.pk).values("lot", "level").annotate(n=Count("pk")).order_by():
        found.setdefault(row["lot"], {})[row["level"]] = row["n"]
    return found


def arriving(shipment: Shipment) -> QuerySet[Unit]:
    """The packs (and loose units) that are on their way by this shipment."""
    return Unit.objects.filter(transit=shipment.event_id).select_related(*WITH).order_by("id")


def sent_by(event: Event) -> QuerySet[Unit]:
    """The packs and loose units that a shipping (receiving, returning) event names."""
    return Unit.objects.filter(items__event=event).select_related(*WITH).order_by("items__number")


# --- Whose ----------------------------------------------------------------------------------------------------------


def units_visible_to(actor: Actor) -> QuerySet[Unit]:
    """Units of the actor's own, those it has, and those of lots it may open."""
    seen = Q(lot__in=lots_visible_to(actor))
    if not actor.is_regulator:
        mine = entered_for(actor)
        seen |= Q(organisation__in=mine) | Q(holder__in=mine)
    return Unit.objects.filter(seen)


def unit_for(actor: Actor, code: str) -> Unit:
    """One unit by its code, with its lot and the packs around it; NotFound for strangers."""
    try:
        wanted = unit_code(code)
    except Invalid:
        wanted = ""
    rows = units_visible_to(actor).filter(code=wanted) if wanted else Unit.objects.none()
    found = rows.select_related(*WITH, "organisation", "holder", "transit__shipment", "replaced_by").first()
    if found is None:
        raise NotFound(_("没有找到，或者您无权查看。"))
    return found


def packs_of(actor: Actor) -> QuerySet[Unit]:
    """The outermost packs the actor has, newest first."""
    rows = Unit.objects.filter(parent=None, holder__in=entered_for(actor), container=True, replaced_by=None)
    return rows.filter(Exists(Unit.objects.filter(parent=OuterRef("pk")))).select_related(*WITH).order_by("-id")
