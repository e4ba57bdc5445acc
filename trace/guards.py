"""Rules a fact may break. They refuse commands and flag reports (architecture.md, rule 1); they never write.

Each guard looks at a whole draft at once and returns what it found, naming the other record, so that one event costs a
fixed number of queries however many lots it touches.
"""

from __future__ import annotations

import datetime
import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db.models import Exists, Min, OuterRef, Q, Sum

from trace import moments
from trace.among import among
from trace.balance import balance_guards
from trace.batch import current, once_per_batch
from trace.day_guards import arrival_guards, circle_guards, day_guards, expiry_guards
from trace.errors import BrokenGuard
from trace.event_templates import template
from trace.lineage import lineage_guards
from trace.models import (
    Event,
    EventItem,
    HoldMember,
    HoldRelease,
    HoldSet,
    Lot,
    Organisation,
    Product,
    Stock,
    TestReport,
    Transfer,
    Unit,
)
from trace.pack_guards import unit_guards
from trace.packs import contents, micros_of, numbers_of, totals
from trace.sentences import gettext as _
from trace.sentences import in_each_language
from trace.solar_terms import solar_term
from trace.spirits import alcohol_guards
from trace.units import amount_said

if TYPE_CHECKING:
    from trace.actions.capture import Draft

# What holds and recalls call for is never blocked by them (architecture.md, rule 1).
BLOCKED_MOVES = frozenset({"transform", "ship", "retail", "pack", "place_on_sale", "code", "recode"})
CALLED_IN = Q(event__template="common.destroy") | Q(event__template="common.return", event__data__has_key="recall_case")
"""Items by which goods are destroyed or go back in a recall: the rest that was not put right, never what was let go."""
SHANGHAI = datetime.timezone(datetime.timedelta(hours=8))


@dataclass(frozen=True)
class Blocking:
    """Why a lot may not move: the active hold and, in a partial hold, to whom or which numbers it applies, and how much
    the holder must keep where it may move the rest.
    """

    lot_id: int
    hold: HoldSet
    holder_id: int | None
    unit_from: int | None
    unit_to: int | None
    keep_micros: int | None = None


def blocking(
    lots: Iterable[Lot | int], *, holder: Organisation | None = None, sides: Collection[int] | None = None
) -> dict[int, list[Blocking]]:
    """Active holds per lot id, one query.

    Holds on what some holders have are told once for each lot and range of numbers. Where one ``holder`` (or several
    ``sides``, by row numbers) is named, only those on what it has are, and those on what somebody has from whom it got
    goods of the lot since the hold is active.
    """
    ids = [lot if isinstance(lot, int) else lot.pk for lot in lots]
    found: dict[int, list[Blocking]] = defaultdict(list)
    members = _members(ids, [holder.pk] if holder is not None else sides)
    back = _back_since([member for member in members if member.keep_micros is not None])
    for member in members:
        keep = member.keep_micros
        if keep is not None:
            keep += back[member.pk]
            if keep <= 0:
                continue
        facts = (member.holder_id, member.unit_from, member.unit_to, keep)
        found[member.lot_id].append(Blocking(member.lot_id, member.hold, *facts))
    return dict(found)


def _back_since(members: Collection[HoldMember]) -> dict[int, int]:
    """By member how much of its lot its holder took back since the hold is active, less what it destroyed in a recall
    (what else it destroys is its own and not what came back). One query, none where there is no member.
    """
    found = dict.fromkeys((member.pk for member in members), 0)
    if not members:
        return found
    first = min(member.hold.active_from for member in members if member.hold.active_from is not None)
    recalled = Q(event__template="common.destroy", event__data__has_key="recall_case")
    moved = EventItem.objects.filter(
        Q(event__template="common.return") | recalled,
        among("lot", {member.lot_id for member in members}),
        holder__in={member.holder_id for member in members},
        event__recorded_at__gte=first,
        event__corrections__isnull=True,
        event__corrects=None,
    ).order_by()
    rows = list(moved.values_list("lot", "holder", "event__recorded_at", "micros"))
    for member in members:
        for lot, holder, at, micros in rows:
            since = member.hold.active_from
            if (lot, holder) == (member.lot_id, member.holder_id) and since is not None and at >= since:
                found[member.pk] += micros
    return found


def _members(lots: list[int], sides: Collection[int] | None) -> list[HoldMember]:
    """Members of active holds, the oldest hold first; in a batch each lot is asked about once."""
    batch = current()
    asked = lots if batch is None else [lot for lot in lots if lot not in batch.holds]
    rows = HoldMember.objects.filter(
        among("lot", asked), hold__active_from__isnull=False, hold__ended_at__isnull=True
    ).select_related("hold", "hold__organisation")
    if batch is None:
        rows = rows.filter(_concerning(asked, sides))
    members = list(rows.order_by("hold_id", "id")) if asked else []
    if batch is None:
        return members
    batch.holds |= {lot: [] for lot in asked}
    for member in members:
        batch.holds[member.lot_id].append(member)
    known = [member for lot in lots for member in batch.holds[lot]]
    if sides is not None:
        known = [
            member
            for member in known
            if member.holder_id is None or member.holder_id in sides or _passed_on(member, lots, sides)
        ]
    return sorted(known, key=lambda member: (member.hold_id, member.pk))


def _passed_on(member: HoldMember, lots: list[int], sides: Collection[int]) -> bool:
    """In a batch: whether these got goods of the lot from the member's holder since its hold is active. Asked once for
    all members.
    """
    if member.keep_micros is not None or member.hold.active_from is None:
        return False

    def find() -> list[tuple[int, int, datetime.datetime]]:
        rows = Transfer.objects.filter(among("lot", lots), receiver__in=list(sides), voided_by=None).order_by()
        return list(rows.values_list("lot", "sender", "shipment__event__recorded_at"))

    got, since = once_per_batch("got", (tuple(sorted(lots)), tuple(sorted(sides))), find), member.hold.active_from
    return any((lot, sender) == (member.lot_id, member.holder_id) and at >= since for lot, sender, at in got)


def _concerning(lots: list[int], sides: Collection[int] | None) -> Q:
    """Members on a lot itself, and of those on what somebody has: with ``sides`` theirs and those they got goods from
    since, without them the first for each hold, lot and range of numbers.
    """
    if sides is None:
        # Who keeps only what came back may come to have nothing of it: never the one that tells of the hold.
        at_holders = HoldMember.objects.filter(
            among("lot", lots), holder__isnull=False, keep_micros__isnull=True
        ).order_by()
        first = at_holders.values("hold", "lot", "unit_from").annotate(first=Min("pk"))
        return Q(holder__isnull=True) | Q(pk__in=first.values("first"))
    later = Transfer.objects.filter(
        lot=OuterRef("lot"),
        receiver__in=list(sides),
        sender=OuterRef("holder"),
        voided_by=None,
        shipment__event__recorded_at__gte=OuterRef("hold__active_from"),
    )
    passed_on = Q(Q(holder__isnull=False, keep_micros__isnull=True), Exists(later))
    return Q(holder__isnull=True) | Q(holder__in=list(sides)) | passed_on


def stock_there(lots: Iterable[int], holders: Iterable[int]) -> dict[tuple[int, int, int | None], int]:
    """Millionths by lot, holder and place, with what an open batch has moved already. One query."""
    batch = current()
    if batch is not None:
        batch.load_stock(lots, holders)
        return batch.stock
    rows = Stock.objects.filter(lot__in=lots, organisation__in=holders).values_list("lot", "organisation", "place")
    return {(lot, holder, place): n for lot, holder, place, n in rows.annotate(n=Sum("micros"))}


def broken_guards(draft: Draft) -> list[BrokenGuard]:
    """Every guard this draft breaks, in a fixed order."""
    found: list[BrokenGuard] = []
    for guard in _ALL if draft.uses or draft.template.moves == "release" or _restates(draft) else _OF_BEGINNINGS:
        found.extend(guard(draft))
    return found


def _restates(draft: Draft) -> bool:
    return any(new.restates is not None for new in draft.outputs)


def _receipt(draft: Draft) -> Iterator[BrokenGuard]:
    """A receipt that differs from what was sent, or was earlier than the sending."""
    latest = _latest(draft)
    for use in draft.uses:
        if use.transfer is None or use.lot is None:
            continue
        unit = use.lot.product.base_unit
        if use.micros != use.transfer.sent_micros:
            yield BrokenGuard(
                "received_differs",
                _("批次 %(lot)s 发出 %(sent)s，收到 %(got)s，数量不一致。")
                % {
                    "lot": use.lot.code,
                    "sent": amount_said(use.transfer.sent_micros, unit),
                    "got": amount_said(use.micros, unit),
                },
                lot=use.lot,
                shipment=use.transfer.shipment.number,
            )
        if latest < _of(use.transfer.shipment.event).first:
            yield BrokenGuard(
                "before_shipping",
                _("收货时间早于发货单 %(number)s 的发货时间，请核对。") % {"number": use.transfer.shipment.number},
                lot=use.lot,
                shipment=use.transfer.shipment.number,
            )


def _void_lots(draft: Draft) -> Iterator[BrokenGuard]:
    for lot in draft.known_lots():
        if lot.voided_by_id is not None:
            yield BrokenGuard(
                "lot_void", _("批次 %(lot)s 的登记已被声明有误，不能再使用。") % {"lot": lot.code}, lot=lot
            )


def _blocked_lots(draft: Draft) -> Iterator[BrokenGuard]:
    if draft.template.moves not in BLOCKED_MOVES:
        return
    outgoing = {use.lot.pk: use.lot for use in draft.uses if use.lot is not None}
    if not outgoing:
        return
    for lot_id, holds in blocking(outgoing.values(), holder=draft.organisation).items():
        lot = outgoing[lot_id]
        if _outside(draft, lot, holds) or _let_go(draft, lot, holds) or _kept(draft, lot, holds):
            continue
        hold = holds[0].hold
        keep = max(one.keep_micros or 0 for one in holds)
        if keep and all(one.keep_micros is not None for one in holds):
            yield BrokenGuard(
                "lot_blocked",
                _("批次 %(lot)s 里退回的 %(keep)s 处于“%(kind)s”，须单独封存；超出部分才能使用、发货。原因：%(reason)s")
                % {
                    "lot": lot.code,
                    "keep": amount_said(keep, lot.product.base_unit),
                    "kind": in_each_language(hold.get_kind_display),
                    "reason": hold.reason,
                },
                lot=lot,
                hold=hold.uid,
            )
            continue
        if all(one.unit_from is not None for one in holds):
            yield BrokenGuard(
                "lot_blocked",
                _("批次 %(lot)s 的一部分处于“%(kind)s”，请按箱码或单件码登记，范围外的可以照常流通。原因：%(reason)s")
                % {"lot": lot.code, "kind": in_each_language(hold.get_kind_display), "reason": hold.reason},
                lot=lot,
                hold=hold.uid,
            )
            continue
        yield BrokenGuard(
            "lot_blocked",
            _("批次 %(lot)s 处于“%(kind)s”，不能使用、发货或赋码。原因：%(reason)s")
            % {"lot": lot.code, "kind": in_each_language(hold.get_kind_display), "reason": hold.reason},
            lot=lot,
            hold=hold.uid,
        )


def _outside(draft: Draft, lot: Lot, holds: list[Blocking]) -> bool:
    """Whether only numbers of units are held and the draft names this lot's goods by units and packs that all lie
    outside. What goes beyond the units named cannot be told from the held ones and does not.
    """
    units = {use.unit.pk: use.unit for use in draft.uses if use.unit is not None}
    if not units or any(one.unit_from is None for one in holds):
        return False
    numbers = numbers_of(units.values(), lot.pk)
    if not numbers or any(
        (one.unit_from or 0) <= number <= (one.unit_to or one.unit_from or 0) for one in holds for number in numbers
    ):
        return False
    wanted = -sum(use.micros for use in draft.uses if use.lot is not None and use.lot.pk == lot.pk and use.micros < 0)
    if not wanted:
        return True
    named = totals(share for shares in contents(units).values() for share in shares).get(lot.pk, {})
    known = micros_of(lot, named)
    return known is not None and wanted <= known


def _kept(draft: Draft, lot: Lot, holds: list[Blocking]) -> bool:
    """Whether only so much must be kept and what would be left after the draft is no less."""
    if any(one.keep_micros is None for one in holds):
        return False
    units = [use.unit for use in draft.uses if use.unit is not None]
    if units and _meant(units, lot, holds):
        return False
    there = sum(
        micros
        for (pk, holder, _place), micros in stock_there([lot.pk], [draft.organisation.pk]).items()
        if (pk, holder) == (lot.pk, draft.organisation.pk)
    )
    moved = sum(use.micros for use in draft.uses if use.lot is not None and use.lot.pk == lot.pk and use.micros < 0)
    return bool(there + moved >= max(one.keep_micros or 0 for one in holds))


def _meant(units: Collection[Unit], lot: Lot, holds: list[Blocking]) -> bool:
    """Whether one of these units or what lies in them has a number that one of the holds names at any holder."""
    numbers = numbers_of(units, lot.pk)
    rows = HoldMember.objects.filter(hold__in={one.hold.pk for one in holds}, lot=lot, unit_from__isnull=False)
    ranges = rows.order_by().values_list("unit_from", "unit_to").distinct()
    return any(first <= number <= (last or first) for first, last in ranges if first is not None for number in numbers)


def _let_go(draft: Draft, lot: Lot, holds: list[Blocking]) -> bool:
    """Whether every hold on the lot lets this holder move so much of it: released to it, or come from one it was
    released to, and not moved since.
    """
    if draft.template.moves not in ("ship", "retail", "place_on_sale"):
        return False
    if current() is not None:
        return False  # What the batch has moved already is not written yet and could not be counted.
    rows = list(HoldRelease.objects.filter(lot=lot, hold__in={one.hold.pk for one in holds}))
    if {row.hold_id for row in rows} != {one.hold.pk for one in holds}:
        return False
    wanted = -sum(use.micros for use in draft.uses if use.lot is not None and use.lot.pk == lot.pk and use.micros < 0)
    moved = EventItem.objects.filter(
        lot=lot, holder=draft.organisation, micros__lt=0, event__corrections__isnull=True
    ).exclude(CALLED_IN)
    for hold in {one.hold.pk for one in holds}:
        mine = [row for row in rows if row.hold_id == hold]
        since = min(row.at for row in mine)
        gone = moved.filter(event__recorded_at__gte=since).aggregate(n=Sum("micros"))["n"] or 0
        if wanted > _free(lot, mine, since).get(draft.organisation.pk, 0) + gone or not _units_let_go(draft, lot, mine):
            return False
    return True


def _free(lot: Lot, released: list[HoldRelease], since: datetime.datetime) -> dict[int, int]:
    """How much of a held lot each may move, counted from ``since``: what was released to it, and what came from those
    it was released to, tier after tier.
    """
    free: dict[int, int] = defaultdict(int)
    for row in released:
        free[row.holder_id] += row.micros
    later = Transfer.objects.filter(lot=lot, voided_by=None, shipment__event__recorded_at__gte=since).order_by("id")
    for sender, receiver, sent, got in later.values_list("sender", "receiver", "sent_micros", "received_micros"):
        if sender in free:
            free[receiver] += sent if got is None else min(sent, got)
    return free


def _units_let_go(draft: Draft, lot: Lot, released: list[HoldRelease]) -> bool:
    """Where only numbered units were put right and the draft names units, whether all of those are among them."""
    ranges = [(row.unit_from, row.unit_to or row.unit_from) for row in released if row.unit_from is not None]
    units = [use.unit for use in draft.uses if use.unit is not None and use.unit.lot_id == lot.pk]
    if not units or len(ranges) != len(released):
        return True
    return all(
        unit.level == Unit.Level.ITEM and any(first <= unit.number <= last for first, last in ranges if last)
        for unit in units
    )


def _span(draft: Draft) -> moments.Span:
    """When the event may have happened: a day-precise one may be any minute of its day."""
    return moments.span(draft.occurred_at, draft.precision, draft.tz_offset)


def _latest(draft: Draft) -> datetime.datetime:
    """The last instant the event may have happened at."""
    return _span(draft).last


def _words(draft: Draft) -> str:
    """The draft's moment for a message."""
    return moments.words(draft.occurred_at, draft.precision, draft.tz_offset)


def _of(event: Event) -> moments.Span:
    """When a recorded event may have happened."""
    return moments.span(event.occurred_at, event.precision, event.tz_offset)


def _event_words(event: Event) -> str:
    return moments.words(event.occurred_at, event.precision, event.tz_offset)


def _chronology(draft: Draft) -> Iterator[BrokenGuard]:
    """Nothing is used, looked at or moved before it began; nothing begins after what is recorded of it.

    Enough for the whole graph: every lot begins after its parents, so a lot after its parents is after all ancestors,
    and
    a beginning that moves is held against everything recorded of its lot.
    """
    latest = _latest(draft)
    for lot in draft.known_lots():
        if latest < _of(lot.origin_event).first:
            yield BrokenGuard(
                "before_parent",
                _("时间不对：批次 %(lot)s 到 %(begun)s 才产生，这一环节写的是 %(when)s。请核对时间。")
                % {"lot": lot.code, "begun": _event_words(lot.origin_event), "when": _words(draft)},
                lot=lot,
                other_event=lot.origin_event.uid,
            )
    restated = {new.restates.pk: new.restates for new in draft.outputs if new.restates is not None}
    if restated:
        yield from _begins_after_use(draft, restated)


def _begins_after_use(draft: Draft, restated: Mapping[int, Lot]) -> Iterator[BrokenGuard]:
    """A beginning stated again that is later than what was done with the lot since; the first such event of each."""
    rows = (
        EventItem.objects.filter(lot__in=restated, event__occurred_at__lt=_span(draft).first)
        .filter(event__corrections__isnull=True, event__corrects__isnull=True)
        .exclude(ilmd__has_key="begins")
        .select_related("event")
        .order_by("event__occurred_at", "pk")
    )
    told: set[int] = set()
    for item in rows[:1000]:
        lot = restated[item.lot_id or 0]
        if lot.pk in told or _of(item.event).last >= _span(draft).first:
            continue
        told.add(lot.pk)
        yield BrokenGuard(
            "begins_after_use",
            _("批次 %(lot)s 的产生时间改成 %(when)s，但 %(used)s 已经登记过“%(step)s”。请核对两处的时间。")
            % {
                "lot": lot.code,
                "when": _words(draft),
                "used": _event_words(item.event),
                "step": in_each_language(template(item.event.template).label),
            },
            lot=lot,
            other_event=item.event.uid,
        )


def _report_dates(draft: Draft) -> Iterator[BrokenGuard]:
    """A report is signed after its sample was taken, and a lot is released after the report it relies on."""
    if draft.issued_on is not None and draft.issued_on < _span(draft).first.astimezone(SHANGHAI).date():
        for lot in draft.known_lots():
            yield BrokenGuard(
                "report_before_sample",
                _("批次 %(lot)s 的检验报告 %(issued)s 签发，取样却在 %(when)s。请核对日期。")
                % {"lot": lot.code, "issued": draft.issued_on.isoformat(), "when": _words(draft)},
                lot=lot,
            )
    if draft.template.moves != "release":
        return
    for report in _reports_named(draft.data.get("test_report")):
        if _latest(draft).astimezone(SHANGHAI).date() < report.issued_on:
            yield BrokenGuard(
                "release_before_report",
                _("报告 %(report)s 到 %(issued)s 才签发，放行却在 %(when)s。请核对时间。")
                % {"report": report.report_number, "issued": report.issued_on.isoformat(), "when": _words(draft)},
                lot=next(draft.known_lots(), None),
                report=report.uid,
            )


def _reports_named(value: object) -> Iterable[TestReport]:
    """The report a release relies on."""
    try:
        return TestReport.objects.filter(uid=uuid.UUID(str(value)))
    except ValueError:
        return ()


def _early_harvest(draft: Draft) -> Iterator[BrokenGuard]:
    """Walnuts picked before 白露 are unripe by the custom the indication rests on: a warning."""
    if not draft.template.solar_term:
        return
    day = _span(draft).first.astimezone(SHANGHAI).date()
    typed = draft.data.get(draft.template.produced_on_field)
    if typed:
        day = min(day, datetime.date.fromisoformat(str(typed)))
    # What was captured says its day with the goods.
    day = min([day, *(new.produced_on for new in draft.outputs if new.produced_on is not None)])
    term = solar_term(draft.template.solar_term, day.year)
    if day < term:
        yield BrokenGuard(
            "early_harvest",
            _("%(day)s 采收，早于当年的%(term)s（%(date)s）。汾州核桃按习惯在白露后采收，早采影响成熟度。")
            % {
                "day": day.isoformat(),
                "term": _("白露") if draft.template.solar_term == "白露" else draft.template.solar_term,
                "date": term.isoformat(),
            },
            warns=True,
        )


def _restated_short(draft: Draft) -> Iterator[BrokenGuard]:
    """A beginning stated again with less than was used, sent or sold of it since."""
    restated = {new.restates.pk: new for new in draft.outputs if new.restates is not None}
    if not restated:
        return
    rows = Stock.objects.filter(lot__in=restated, micros__lt=0).order_by().values_list("lot").annotate(n=Sum("micros"))
    have = dict(rows)
    for pk, new in restated.items():
        short = -(have.get(pk, 0) + new.micros)
        lot = new.restates
        if short <= 0 or lot is None:
            continue
        unit = lot.product.base_unit
        yield BrokenGuard(
            "below_zero",
            _("批次 %(lot)s 改成产出 %(made)s，但已经用掉、发出的比它多 %(short)s。")
            % {"lot": lot.code, "made": amount_said(new.micros, unit), "short": amount_said(short, unit)},
            lot=lot,
        )


def _unreleased(draft: Draft) -> Iterator[BrokenGuard]:
    if draft.template.moves not in ("ship", "retail"):
        return
    latest = _latest(draft)
    for lot in draft.known_lots():
        if not lot.needs_release:
            continue
        if lot.released_by is None:
            sentence = _("批次 %(lot)s 还没有放行，不能出厂。请先由质量负责人放行。")
            if "epcis_sha256" in lot.origin_event.data:
                sentence = _(
                    "批次 %(lot)s 由 EPCIS 文件带来，在本系统还没有放行，文件里说的放行不算数。请质量负责人凭报告放行。"
                )
            yield BrokenGuard("not_released", sentence % {"lot": lot.code}, lot=lot)
        elif latest < _of(lot.released_by).first and lot.organisation_id == draft.organisation.pk:
            yield BrokenGuard(
                "before_release",
                _("批次 %(lot)s 到 %(released)s 才放行，发货时间却更早。请核对时间。")
                % {"lot": lot.code, "released": _event_words(lot.released_by)},
                lot=lot,
                other_event=lot.released_by.uid,
            )


def _expired(draft: Draft) -> Iterator[BrokenGuard]:
    if draft.template.moves not in ("ship", "retail", "transform"):
        return
    day = draft.occurred_at.astimezone(SHANGHAI).date()
    for use in draft.uses:
        if use.lot is not None and use.lot.expires_on is not None and day > use.lot.expires_on:
            yield BrokenGuard(
                "lot_expired",
                _("批次 %(lot)s 的保质期到 %(day)s 为止，已经过期。")
                % {"lot": use.lot.code, "day": use.lot.expires_on.isoformat()},
                lot=use.lot,
            )


def _closed_lots(draft: Draft) -> Iterator[BrokenGuard]:
    """Vessels: a lot takes no input after its first output (architecture.md, rule 5). Captured events come in any
    order: of those the time counts at which they happened.
    """
    told = "epcis_sha256" in draft.data
    before = Q(event__occurred_at__lt=_span(draft).first) if told else Q()
    sent_before = Q(shipment__event__occurred_at__lt=_span(draft).first) if told else Q()
    for lot in draft.added_to:
        used = lot.links_down.filter(before, voided_by__isnull=True)
        if used.exists() or lot.transfers.filter(sent_before, voided_by=None).exists():
            yield BrokenGuard(
                "lot_closed",
                _("批次 %(lot)s 已经用过或发出过，不能再往里加。续加请登记为一个新批次。") % {"lot": lot.code},
                lot=lot,
            )


def _more_after_release(draft: Draft) -> Iterator[BrokenGuard]:
    """What was tested and let go is all there is of a lot: nothing is added to it, and its beginning is not stated
    again with more.
    """
    for lot in draft.added_to:
        if lot.released_by_id is not None:
            yield BrokenGuard(
                "more_after_release",
                _("批次 %(lot)s 已经检验放行，不能再往里加。续加请登记为一个新批次。") % {"lot": lot.code},
                lot=lot,
                other_event=lot.released_by.uid if lot.released_by is not None else "",
            )
    again = {new.restates.pk: new for new in draft.outputs if new.restates is not None}
    if not again:
        # An empty query set costs as much as one that is asked, but for the asking.
        return
    released = Lot.objects.filter(pk__in=again, released_by__isnull=False)
    for lot in released.select_related("released_by", "product"):
        rows = EventItem.objects.filter(event=lot.origin_event_id, lot=lot, role="output")
        was = rows.aggregate(n=Sum("micros"))["n"] or 0
        if again[lot.pk].micros > was and lot.released_by is not None:
            unit = lot.product.base_unit
            yield BrokenGuard(
                "more_after_release",
                _(
                    "批次 %(lot)s 是按 %(was)s 检验放行的，这里改成 %(now)s。多出的没有检验放行："
                    "请把放行声明有误，检验后重新放行，或把多出的登记为另一批次。"
                )
                % {
                    "lot": lot.code,
                    "was": amount_said(was, unit),
                    "now": amount_said(again[lot.pk].micros, unit),
                },
                lot=lot,
                other_event=lot.released_by.uid,
            )


def _source_dropped(draft: Draft) -> Iterator[BrokenGuard]:
    """What was said to be made of other lots and is now said to have begun by itself: that washes an origin off, so it
    is flagged, though a step may have been picked by mistake.
    """
    again = [new.restates for new in draft.outputs if new.restates is not None]
    if not again or draft.replaces is None or any(use.role == "input" for use in draft.uses):
        return
    rows = EventItem.objects.filter(event=draft.replaces, role="input", lot__isnull=False)
    source = rows.exclude(lot__product__kind=Product.Kind.PACKAGING).select_related("lot").order_by("number").first()
    if source is not None and source.lot is not None:
        yield BrokenGuard(
            "source_dropped",
            _("批次 %(lot)s 原来登记是用批次 %(source)s 等做成的，更正后不再有来源。请核对来源是否漏填。")
            % {"lot": again[0].code, "source": source.lot.code},
            lot=again[0],
            warns=True,
            other_lot=source.lot.uid,
        )


def _not_enough(draft: Draft) -> Iterator[BrokenGuard]:
    wanted: dict[tuple[int, int, int | None], int] = defaultdict(int)
    lots: dict[int, Lot] = {}
    for use in draft.uses:
        if use.lot is not None and use.micros < 0:
            wanted[(use.lot.pk, use.holder.pk, use.place.pk if use.place else None)] += -use.micros
            lots[use.lot.pk] = use.lot
    if not wanted:
        return
    have = stock_there(lots, {holder for _lot, holder, _place in wanted})
    for (lot_id, holder_id, place_id), micros in wanted.items():
        there = have.get((lot_id, holder_id, place_id), 0)
        if micros > there:
            lot = lots[lot_id]
            unit = lot.product.base_unit
            yield BrokenGuard(
                "not_enough",
                _("批次 %(lot)s 在该处只有 %(have)s，不够 %(want)s。")
                % {"lot": lot.code, "have": amount_said(there, unit), "want": amount_said(micros, unit)},
                lot=lot,
                have=there,
                want=micros,
            )


def _count(draft: Draft) -> Iterator[BrokenGuard]:
    """A count that differs from what the records say is there: at the place counted, or in all where none is named."""
    if draft.template.code != "common.count":
        return
    counted = [use for use in draft.uses if use.lot is not None and use.amount is not None]
    rows = Stock.objects.filter(lot__in=[use.lot for use in counted], organisation=draft.organisation)
    kept = {(lot, place): micros for lot, place, micros in rows.values_list("lot", "place", "micros")}
    for use in counted:
        if use.lot is None or use.amount is None:
            continue
        here = kept.get((use.lot.pk, use.place.pk)) if use.place is not None else None
        have = sum(micros for (lot, _place), micros in kept.items() if lot == use.lot.pk) if here is None else here
        if have == use.amount.micros:
            continue
        unit = use.lot.product.base_unit
        yield BrokenGuard(
            "count_differs",
            _("批次 %(lot)s 账上有 %(have)s，实盘 %(counted)s，数量不一致。")
            % {
                "lot": use.lot.code,
                "have": amount_said(have, unit),
                "counted": amount_said(use.amount.micros, unit),
            },
            lot=use.lot,
        )


_ALL = (
    _void_lots,
    _blocked_lots,
    _chronology,
    _unreleased,
    _expired,
    _closed_lots,
    _more_after_release,
    _source_dropped,
    _not_enough,
    _restated_short,
    arrival_guards,
    day_guards,
    expiry_guards,
    circle_guards,
    _report_dates,
    _receipt,
    unit_guards,
    _early_harvest,
    balance_guards,
    alcohol_guards,
    lineage_guards,
    _count,
)
_OF_BEGINNINGS = (day_guards, expiry_guards, _report_dates, _early_harvest, alcohol_guards, lineage_guards)
"""Those that may find something in a draft that only begins lots: the others look at the lots it uses."""
