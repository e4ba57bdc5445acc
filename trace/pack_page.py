"""What the page of one unit or pack says: what is in it, who has it, where it went, what happened to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from trace.access import entered_for, events_visible_to, lots_visible_to, shipments_visible_to
from trace.actions.unit_states import standing_events
from trace.actor import Actor
from trace.derive import UnitState, unit_effects
from trace.event_templates import template
from trace.models import Event, EventItem, Lot, Shipment, Transfer, Unit
from trace.packs import Share, contents, micros_of, totals
from trace.parts import Entry
from trace.units import format_amount

MOST_EVENTS = 60


@dataclass(frozen=True)
class Goods:
    """How much of one lot lies in a pack: leaves by level in words, and the amount where the product says it."""

    lot: Lot
    counts: str
    amount: str
    may_open: bool


@dataclass(frozen=True)
class Child:
    """One unit in a pack, with what is in it in words."""

    unit: Unit
    counts: str


@dataclass
class UnitPage:
    """One unit or pack for its page. ``around`` are the packs around it, outermost first; ``answered``: what lies in it
    was answered for on the slip it was sent with, without it.
    """

    unit: Unit
    around: list[Unit]
    inside_told: bool
    custody: str
    mine: bool
    shipment: Shipment | None = None
    answered: bool = False
    replaced_by: Unit | None = None
    replaces: list[Unit] = field(default_factory=list)
    goods: list[Goods] = field(default_factory=list)
    leaves: int = 0


def unit_page(actor: Actor, unit: Unit) -> UnitPage:
    """The page of a unit that came through ``unit_for``."""
    around: list[Unit] = []
    step = unit
    while step.parent is not None:
        step = step.parent
        around.insert(0, step)
    top = around[0] if around else unit
    if top is not unit:
        top = Unit.objects.select_related("holder", "transit__shipment__receiver").get(pk=top.pk)
    shipment = getattr(top.transit, "shipment", None) if top.transit is not None else None
    visible = shipment is not None and shipments_visible_to(actor).filter(pk=shipment.pk).exists()
    shares = contents([unit.pk]).get(unit.pk, [])
    receipts = _receipts(shipment, shares) if shipment is not None else []
    answered = bool(receipts) and all(row.received_by_id is not None for row in receipts)
    mine = top.holder_id in entered_for(actor)
    issued = unit.organisation_id in entered_for(actor)
    page = UnitPage(
        unit=unit,
        around=around,
        inside_told=actor.is_regulator or mine or issued or visible,
        custody=_custody(
            actor,
            unit,
            top,
            shipment if visible else None,
            mine=mine,
            issued=issued,
            receipts=receipts if answered else (),
        ),
        mine=mine,
        shipment=shipment if visible else None,
        answered=answered,
        replaced_by=unit.replaced_by,
        replaces=list(unit.replaces.order_by("id")),
    )
    if page.inside_told:
        page.goods = goods_of(actor, shares)
        page.leaves = sum(share.count for share in shares)
    return page


def _receipts(shipment: Shipment, shares: Sequence[Share]) -> list[Transfer]:
    """The lines of a slip that the goods in a pack are part of."""
    rows = shipment.transfers.filter(lot__in={share.lot for share in shares}, voided_by=None)
    return list(rows.select_related("received_by"))


def _custody(
    actor: Actor,
    unit: Unit,
    top: Unit,
    shipment: Shipment | None,
    *,
    mine: bool,
    issued: bool,
    receipts: Sequence[Transfer],
) -> str:
    """Who has it, in words; another holder is named only to who sent it there and to regulators. ``receipts`` are the
    lines of its slip that answered for its goods: a captured event does so by amounts and names no packs.
    """
    answered = bool(receipts)
    if unit.replaced_by_id is not None:
        return _("这个码已经换掉，货物在新码上。")
    by_amount = any(
        row.received_micros and row.received_by is not None and "epcis_sha256" in row.received_by.data
        for row in receipts
    )
    if shipment is not None and by_amount:
        return _("%(sent)s 发给 %(receiver)s，对方的系统已按批次数量登记收货，没有逐个登记包装") % {
            "sent": shipment.organisation.label,
            "receiver": shipment.receiver.label,
        }
    if shipment is not None and answered:
        return _("没有收到：%(sent)s 发给 %(receiver)s，对方已按实收登记，里面没有它") % {
            "sent": shipment.organisation.label,
            "receiver": shipment.receiver.label,
        }
    if shipment is not None:
        return _("在途：%(sent)s 发给 %(receiver)s，等对方确认收货") % {
            "sent": shipment.organisation.label,
            "receiver": shipment.receiver.label,
        }
    if top.transit_id is not None:
        if by_amount:
            return _("收货方已按批次数量登记收货，没有逐个登记包装")
        return _("发出后没有收到") if answered else _("在途，还没有确认收货")
    if mine:
        return _("在本单位")
    if top.holder is None:
        return _("没有单独登记过去向，随批次走")
    sent_there = issued and Transfer.objects.filter(sender__in=entered_for(actor), receiver=top.holder).exists()
    return top.holder.label if actor.is_regulator or sent_there else _("不在本单位")


def counts_of(levels: Mapping[str, int]) -> str:
    """Leaves by level in words: 12 件, 3 箱."""
    words = {
        Unit.Level.ITEM: lambda n: ngettext("%(n)d 件", "%(n)d 件", n) % {"n": n},
        Unit.Level.BOX: lambda n: ngettext("%(n)d 盒", "%(n)d 盒", n) % {"n": n},
        Unit.Level.CARTON: lambda n: ngettext("%(n)d 箱", "%(n)d 箱", n) % {"n": n},
        Unit.Level.PALLET: lambda n: ngettext("%(n)d 托盘", "%(n)d 托盘", n) % {"n": n},
    }
    return _("、").join(words[Unit.Level(level)](count) for level, count in sorted(levels.items()) if count)


def goods_of(actor: Actor, shares: Iterable[Share]) -> list[Goods]:
    """Leaves by lot, in words. Two queries."""
    found = totals(shares)
    lots = Lot.objects.select_related("product__current", "product_version", "organisation").in_bulk(found)
    visible = set(lots_visible_to(actor).filter(pk__in=found).values_list("pk", flat=True))
    return [
        Goods(
            lot=lots[pk],
            counts=counts_of(levels),
            amount=_amount(lots[pk], levels),
            may_open=pk in visible,
        )
        for pk, levels in sorted(found.items())
    ]


def _amount(lot: Lot, levels: Mapping[str, int]) -> str:
    micros = micros_of(lot, levels)
    return "" if micros is None else format_amount(micros, lot.product.base_unit)


def children_of(unit: Unit) -> QuerySet[Unit]:
    """What lies directly in a pack, in the order of packing."""
    return unit.children.select_related("lot__product_version").order_by("id")


def with_counts(units: Sequence[Unit]) -> list[Child]:
    """Units with what is in each, in words. Four queries however many."""
    shares = contents([unit.pk for unit in units])
    return [Child(unit, _inside_words(totals(shares.get(unit.pk, [])))) for unit in units]


def _inside_words(by_lot: Mapping[int, Mapping[str, int]]) -> str:
    """The leaves of all lots together."""
    levels: dict[str, int] = {}
    for counts in by_lot.values():
        for level, count in counts.items():
            levels[level] = levels.get(level, 0) + count
    return counts_of(levels)


def history_of(actor: Actor, page: UnitPage) -> list[Entry]:
    """What happened to it and to the packs it lies in, latest first, as far as the actor may read."""
    units = {unit.pk: unit for unit in [page.unit, *page.around]}
    items = EventItem.objects.filter(unit__in=units).values_list("event", "unit")
    of_event: dict[int, list[int]] = {}
    for event_id, unit in items:
        of_event.setdefault(event_id, []).append(unit)
    parted = _parted(page.unit)
    of_event |= {event_id: [] for event_id in parted if event_id not in of_event}
    rows = events_visible_to(actor).filter(pk__in=of_event).select_related("place", "counterparty", "organisation")
    rows = rows.prefetch_related("corrections").order_by("-log__number")[:MOST_EVENTS]
    return [
        _entry(event, [units[pk] for pk in of_event[event.pk]], page.unit, parted.get(event.pk, [])) for event in rows
    ]


def _parted(pack: Unit) -> dict[int, list[Unit]]:
    """What went on alone out of a pack, by the event that took it: a partial shipment names the cartons, not the
    pallet. Four queries for a pack, none beyond the first for anything else.
    """
    named = list(EventItem.objects.filter(unit=pack).order_by("event", "number").values_list("event", flat=True))
    packings = [facts.id for facts in standing_events([pack.pk]) if facts.moves == "pack"] if named else []
    packed = EventItem.objects.filter(event__in=packings, unit__isnull=False).exclude(unit=pack)
    inside = list(packed.order_by().values_list("unit", flat=True).distinct())
    states: dict[int, UnitState] = {}
    left: dict[int, list[int]] = {}
    for facts in standing_events([pack.pk, *inside]) if inside else ():
        after = unit_effects(facts, states)
        if not any(item.unit == pack.pk for item in facts.items):
            gone = [unit for unit in after if unit in states and states[unit].parent == pack.pk != after[unit].parent]
            if gone:
                left[facts.id] = gone
        states.update(after)
    rows = Unit.objects.in_bulk({pk for gone in left.values() for pk in gone})
    return {event: [rows[pk] for pk in gone] for event, gone in left.items()}


def _entry(event: Event, units: Sequence[Unit], own: Unit, parted: Sequence[Unit]) -> Entry:
    """One event for the time line; ``parted`` are those that left this pack by it."""
    found = template(event.template)
    wrong = bool(event.corrections.all())
    others = [unit.code for unit in units if unit.pk != own.pk]
    codes = [unit.code for unit in parted]
    words = [
        event.counterparty.label if event.counterparty is not None else "",
        _("随 %(pack)s") % {"pack": others[0]} if others and own not in units else "",
        _("从中取走 %(packs)s%(more)s")
        % {"packs": _("、").join(codes[:3]), "more": _("等 %(n)d 个") % {"n": len(codes)} if len(codes) > 3 else ""}
        if codes
        else "",
        _("已声明有误") if wrong else "",
    ]
    return Entry(
        at=event.occurred_at,
        title=found.label(),
        place=event.place.label if event.place is not None else "",
        text=" · ".join(word for word in words if word),
        who=event.organisation.label,
        icon="void" if wrong else "dot",
        url=f"/events/{event.uid}/",
        precision=event.precision,
        offset=event.tz_offset,
    )


def packs_with_counts(units: Sequence[Unit]) -> list[tuple[Unit, str, list[Lot]]]:
    """Packs of a list with their leaves and lots. Five queries however many."""
    shares = contents([unit.pk for unit in units])
    lots = Lot.objects.select_related("product_version").in_bulk({s.lot for each in shares.values() for s in each})
    found = []
    for unit in units:
        by_lot = totals(shares.get(unit.pk, []))
        found.append((unit, _inside_words(by_lot), [lots[pk] for pk in by_lot]))
    return found
