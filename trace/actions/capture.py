"""The kernel every event goes through: guards, the event row, its items, the derived rows and the log entry, at
once.
"""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from functools import lru_cache
from json.encoder import encode_basestring as json_text
from typing import Any, NamedTuple

from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from trace import derive, ledger
from trace.actions.lot_codes import lot_codes, refuse_given_meanwhile
from trace.actions.unit_states import apply_units
from trace.actor import Actor
from trace.batch import LOT_PARTS, Batch, current, keep, refuse_in_batch, settle, whole
from trace.errors import BrokenGuard, GuardBroken, Invalid
from trace.event_templates import EventTemplate
from trace.guards import broken_guards
from trace.identifiers import new_serials, uuid7
from trace.models import (
    Conflict,
    Event,
    EventItem,
    Lot,
    LotLink,
    Organisation,
    Place,
    Product,
    Stock,
    StoredFile,
    Transfer,
    Unit,
)
from trace.personal import sealed
from trace.rows import Mould, Told, new
from trace.units import EnteredAmount


@lru_cache(maxsize=4_096)
def _uid(number: int) -> str:
    """A name many lots share. By its number: a UUID takes longer to be looked up than to be told."""
    return str(uuid.UUID(int=number))


SKEW = datetime.timedelta(minutes=5)
_REMEMBERED = frozenset({"report", "receive", "create", "observe"})
"""Movements whose guards know all they ask from the lots themselves while these lose nothing."""
WEST, EAST = -12 * 60, 14 * 60
"""Minutes from UTC that clocks on earth show: a stranger offset would move the day an event is known to."""
COMMANDS = frozenset({"release"})
"""Movements that never just happened: this system permits them, so nobody can insist that they did."""


@dataclass(slots=True)
class Use:
    """One known lot in a draft. ``amount`` is what was entered; ``sign`` −1 takes it from ``holder`` at ``place``, +1
    adds it there, 0 only names the lot. ``transfer`` is set when the item answers a shipment. ``told`` are millionths
    that another event of the same transformation moved: they count in its balance and nowhere else."""

    lot: Lot | None
    role: str
    holder: Organisation
    amount: EnteredAmount | None = None
    sign: int = 0
    place: Place | None = None
    transfer: Transfer | None = None
    unit: Unit | None = None
    told: int = 0

    @property
    def micros(self) -> int:
        """Signed millionths of the lot's base unit."""
        return self.sign * self.amount.micros if self.amount else 0


@dataclass(slots=True)
class NewLot:
    """A lot that this event begins. Without ``lot_code`` one is made from the date and a running number.

    ``captured`` says that the code was given by another program of the issuer: it keeps the characters GS1 allows.
    ``restates`` names a lot whose beginning was declared wrong and is stated again: it keeps its identity and
    descendants. ``holder`` has the goods where it is not who records the event.
    """

    product: Product
    amount: EnteredAmount
    place: Place | None = None
    lot_code: str = ""
    display_code: str = ""
    produced_on: datetime.date | None = None
    expires_on: datetime.date | None = None
    is_external: bool = False
    issuer: Organisation | None = None
    restates: Lot | None = None
    captured: bool = False
    holder: Organisation | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def micros(self) -> int:
        """Millionths of the product's base unit that come to be."""
        return self.amount.micros


@dataclass(slots=True)
class Draft:
    """An event before it is written: checked data, resolved rows. Made by the actions, looked at by the guards.

    ``found`` are guards the action itself found broken and the user insisted on. ``issued_on`` is the date of a
    report on
    the sample.
    """

    template: EventTemplate
    organisation: Organisation
    occurred_at: datetime.datetime
    uses: Sequence[Use] = ()
    outputs: Sequence[NewLot] = ()
    place: Place | None = None
    precision: str = "minute"
    tz_offset: int = 480
    data: Mapping[str, Any] = field(default_factory=dict)
    counterparty: Organisation | None = None
    remark: str = ""
    files: Sequence[StoredFile] = ()
    corrects: Event | None = None
    error_reason: str = ""
    replaces: Event | None = None
    disposition: str | None = None
    found: Sequence[BrokenGuard] = ()
    issued_on: datetime.date | None = None

    def known_lots(self) -> Iterator[Lot]:
        """Each existing lot once, in the order named."""
        seen: set[int] = set()
        for use in self.uses:
            if use.lot is not None and use.lot.pk not in seen:
                seen.add(use.lot.pk)
                yield use.lot

    @property
    def added_to(self) -> list[Lot]:
        """Existing lots that more goods would be added to."""
        return [use.lot for use in self.uses if use.lot is not None and use.role == "output"]


@dataclass(frozen=True)
class Captured:
    """What was written: the event, the lots it began (in the order of ``outputs``), conflicts it was flagged with, its
    items, the step it was.
    """

    event: Event
    lots: list[Lot]
    conflicts: list[Conflict]
    items: list[EventItem]
    template: EventTemplate


@whole
def capture(
    *, draft: Draft, by: Actor, insist: bool = False, guarded: bool = True, at: datetime.datetime | None = None
) -> Captured:
    """Write one event and all that follows from it, or nothing.

    With ``insist`` the fact is a report: broken guards become conflicts. Without it they refuse (``GuardBroken``, 409;
    its ``guards`` name the other records); those that only warn refuse nothing and are flagged. ``guarded=False`` is
    for what rules must never stop (error declarations).
    Refuses always: times in the future (``in_future``) and in zones there are none (``no_such_zone``), data of the
    wrong form, lot codes already taken.
    """
    if draft.occurred_at > (at or timezone.now()) + SKEW:
        raise Invalid(_("时间在将来，请核对日期和时间。"), code="in_future")
    if not WEST <= draft.tz_offset <= EAST:
        raise Invalid(_("时区不存在，请核对时间的写法。"), code="no_such_zone")
    number = ledger.take_log_head()
    # Not before: an event that waited for a hold is recorded after it, and whoever asks by times finds it there.
    now = at or timezone.now()
    draft = _fresh(draft)
    if _asks_rows(draft):
        settle(lot.pk for lot in draft.known_lots())
    broken = [*draft.found, *(broken_guards(draft) if guarded else [])]
    refusing = [guard for guard in broken[len(draft.found) :] if not guard.warns]
    if refusing and not insist:
        insistable = draft.template.moves not in COMMANDS
        raise GuardBroken(" ".join(guard.message for guard in broken), broken, insistable=insistable)
    event, frame = _write_event(draft, by, broken, insist or bool(draft.found), now)
    lots = _begin_lots(draft, event)
    items, told = _write_items(draft, event, lots)
    _apply(draft, event, items, lots)
    conflicts = _flag(draft, event, broken, lots, now)
    keep([ledger.entry(number, event, told, frame)])
    return Captured(event, lots, conflicts, items, draft.template)


def _asks_rows(draft: Draft) -> bool:
    """Whether a guard may look the draft's lots up in the database, so that a batch must have written them."""
    return draft.template.moves not in _REMEMBERED or any(
        use.micros < 0 or use.role != "subject" or use.unit is not None for use in draft.uses
    )


def _fresh(draft: Draft) -> Draft:
    """The same draft with its lots read again under the log head, so that guards judge what is true now."""
    known = [lot.pk for lot in draft.known_lots()]
    if not known:
        return draft
    batch = current()
    if batch is not None:
        rows = batch.fresh_lots(known)
    else:
        rows = {lot.pk: lot for lot in Lot.objects.filter(pk__in=known).select_related(*LOT_PARTS)}
    uses = [replace(use, lot=rows[use.lot.pk]) if use.lot is not None else use for use in draft.uses]
    return replace(draft, uses=uses)


class _Alike(NamedTuple):
    """What events of a batch have in common that differ in their time, data and items only."""

    mould: Mould[Event]
    frame: ledger.Frame
    kept: tuple[EventTemplate, Actor]
    """The key knows these by their address, which stays theirs as long as they are kept."""


def _write_event(
    draft: Draft, by: Actor, broken: list[BrokenGuard], insist: bool, now: datetime.datetime
) -> tuple[Event, ledger.Frame | None]:
    """Insert the event row itself; answers with what the log says of all events like it, where that is known."""
    batch = current()
    if batch is None or broken or draft.remark or draft.corrects is not None or draft.replaces is not None:
        event = _new_event(draft, by, broken, insist, now)
        keep([event])
        return event, None
    place, party = draft.place, draft.counterparty
    key = (
        id(draft.template),
        id(by),
        draft.organisation.id,
        None if place is None else place.id,
        None if party is None else party.id,
        draft.precision,
        draft.tz_offset,
        draft.disposition,
        insist,
    )
    alike: _Alike | None = batch.alike.get(key)
    if alike is None:
        event = _new_event(draft, by, broken, insist, now)
        batch.alike[key] = _Alike(Mould(event), ledger.frame_of(event), (draft.template, by))
        keep([event])
        return event, batch.alike[key].frame
    data = draft.data
    event = alike.mould.pour(
        {},
        {
            "uid": batch.next_uid(),
            "occurred_at": draft.occurred_at,
            "recorded_at": now,
            "data": data if type(data) is Told else dict(data),
            "flags": [],
        },
    )
    batch.keep([event])
    return event, alike.frame


def _new_event(draft: Draft, by: Actor, broken: list[BrokenGuard], insist: bool, now: datetime.datetime) -> Event:
    """The event row, not yet written; its remark is."""
    template = draft.template
    remark = None
    if draft.remark:
        remark = sealed(draft.remark, organisation=draft.organisation, purpose="event_remark")
        keep([remark])
    return new(
        Event,
        uid=uuid7(),
        organisation=draft.organisation,
        entered_by_organisation=by.organisation,
        entered_by=by.user,
        template=template.code,
        event_type=template.event_type,
        action=template.action or "",
        biz_step=template.biz_step,
        disposition=(template.disposition or "") if draft.disposition is None else draft.disposition,
        local_step=template.local_step or "",
        mode=Event.Mode.REPORT if insist else Event.Mode.COMMAND,
        occurred_at=draft.occurred_at,
        tz_offset=draft.tz_offset,
        precision=draft.precision,
        recorded_at=now,
        place=draft.place,
        counterparty=draft.counterparty,
        data=draft.data if type(draft.data) is Told else dict(draft.data),
        flags=[guard.as_dict() for guard in broken],
        corrects=draft.corrects,
        error_reason=draft.error_reason,
        replaces=draft.replaces,
        remark=remark,
    )


def _begin_lots(draft: Draft, event: Event) -> list[Lot]:
    """Insert the lots this event begins; refuses a code the issuer has already given to this product."""
    lots: list[Lot] = []
    # First, since what is stated again has its code already.
    again = {begun.restates.pk: _restate(begun, begun.restates, event) for begun in draft.outputs if begun.restates}
    codes = iter(
        lot_codes([new for new in draft.outputs if new.restates is None], draft.organisation, draft.occurred_at)
    )
    batch = current()
    for begun in draft.outputs:
        if begun.restates is not None:
            lots.append(again[begun.restates.pk])
        elif batch is not None:
            lots.append(_lot_in_batch(draft, event, begun, next(codes), batch))
        else:
            lots.append(_new_lot(draft, event, begun, next(codes)))
    keep([lot for lot in lots if lot.id is None])
    return lots


def _new_lot(draft: Draft, event: Event, begun: NewLot, code: str) -> Lot:
    """A lot that begins, not yet written."""
    version = begun.product.current
    if version is None:
        raise Invalid(_("产品还没有资料，请先填写产品资料。"), code="product_without_version")
    return new(
        Lot,
        uid=uuid7(),
        organisation=begun.issuer or draft.organisation,
        product=begun.product,
        product_version=version,
        lot_code=code,
        display_code=begun.display_code,
        public_code=new_serials(1)[0],
        origin_event=event,
        origin_place=draft.place,
        begun_at=event.occurred_at,
        made_micros=begun.micros,
        produced_on=begun.produced_on,
        expires_on=begun.expires_on,
        needs_release=_needs_release(draft, begun),
        is_external=begun.is_external,
    )


def _lot_in_batch(draft: Draft, event: Event, begun: NewLot, code: str, batch: Batch) -> Lot:
    """The same in a batch, where most lots have most in common."""
    version, place, issuer = begun.product.current, draft.place, begun.issuer or draft.organisation
    key = (
        "lot",
        issuer.id,
        begun.product.id,
        None if version is None else version.id,
        None if place is None else place.id,
        begun.is_external,
        _needs_release(draft, begun),
    )
    mould: Mould[Lot] | None = batch.alike.get(key)
    if mould is None:
        lot = _new_lot(draft, event, begun, code)
        batch.alike[key] = Mould(lot)
        return lot
    return mould.pour(
        {"origin_event": event},
        {
            "uid": batch.next_uid(),
            "lot_code": code,
            "display_code": begun.display_code,
            "public_code": batch.next_serial(),
            "origin_event_id": event.id,
            "begun_at": event.occurred_at,
            "made_micros": begun.amount.micros,
            "produced_on": begun.produced_on,
            "expires_on": begun.expires_on,
        },
    )


def _needs_release(draft: Draft, begun: NewLot) -> bool:
    """Finished goods leave after a release, and so does whatever a step makes whose template says so, however its
    product was entered; goods from outside were released there.
    """
    kinds = Product.Kind
    gated = draft.template.gate == "release" and begun.product.kind in (kinds.RAW, kinds.INTERMEDIATE)
    return (begun.product.kind == kinds.FINISHED or gated) and not begun.is_external


def _restate(new: NewLot, lot: Lot, event: Event) -> Lot:
    """Give a lot its beginning again, by a corrected event or by one that tells it late; its code and public code stay
    as printed.
    """
    refuse_in_batch(lot)
    if lot.voided_by_id is not None:
        refuse_given_meanwhile(lot)
    lot.origin_event = event
    lot.origin_place = event.place
    lot.begun_at = event.occurred_at
    lot.made_micros = new.micros
    lot.produced_on = new.produced_on
    lot.expires_on = new.expires_on
    lot.voided_by = None
    lot.save(
        update_fields=[
            "origin_event",
            "origin_place",
            "begun_at",
            "made_micros",
            "produced_on",
            "expires_on",
            "voided_by",
        ]
    )
    return lot


def _write_items(draft: Draft, event: Event, lots: list[Lot]) -> tuple[list[EventItem], list[str]]:
    """Insert the items: known lots first, then the lots begun. Answers with them and with what the log says of each."""
    items: list[EventItem] = []
    told: list[str] = []
    for use in draft.uses:
        item, frame = _item(event, len(items), use.role, use.lot, use.holder, use.place, use.micros, use.amount)
        if use.transfer is not None:
            item.transfer = use.transfer
        if use.unit is not None:
            item.unit = use.unit
        items.append(item)
        told.append(ledger.item_text(item, frame))
    for begun, lot in zip(draft.outputs, lots, strict=True):
        place = begun.place or draft.place
        holder = begun.holder or draft.organisation
        item, frame = _item(event, len(items), "output", lot, holder, place, begun.amount.micros, begun.amount)
        item.ilmd = _ilmd(lot, dict(begun.facts), _master_of(lot))
        items.append(item)
        told.append(ledger.item_text(item, frame))
    keep(items)
    return items, told


def _item(
    event: Event,
    number: int,
    role: str,
    lot: Lot | None,
    holder: Organisation,
    place: Place | None,
    micros: int,
    amount: EnteredAmount | None,
) -> tuple[EventItem, ledger.ItemFrame | None]:
    """One unsaved item row; and what the log says of all like it, where that is known."""
    batch = current()
    key = None if batch is None else ("item", role, holder.id, None if place is None else place.id, amount)
    known: tuple[Mould[EventItem], ledger.ItemFrame] | None = None if batch is None else batch.alike.get(key)
    if known is None:
        item = new(
            EventItem,
            event=event,
            number=number,
            role=role,
            lot=lot,
            holder=holder,
            place=place,
            micros=micros,
            entered=amount.text if amount else "",
            entered_unit=amount.unit if amount else "",
            factor=amount.factor if amount else "",
        )
        if batch is not None:
            batch.alike[key] = Mould(item), ledger.item_frame_of(item)
        return item, None
    item = known[0].pour(
        {"event": event, "lot": lot},
        {
            "event_id": event.id,
            "number": number,
            "lot_id": None if lot is None else lot.id,
            "micros": micros,
            "ilmd": {},
        },
    )
    return item, known[1]


class _Master(NamedTuple):
    """What lots alike say in their master data: names, and the text between what is their own."""

    issuer: str
    product: str
    version: str
    external: str
    issued: str
    released: str
    of: str


@lru_cache(maxsize=4_096)
def _master(external: bool, issuer: int, needs_release: bool, product: int, version: int) -> _Master:
    names = (_uid(issuer), _uid(product), _uid(version))
    return _Master(
        *names,
        f'"external":{"true" if external else "false"},"facts":',
        f',"issuer":"{names[0]}","lotCode":',
        f',"needsRelease":{"true" if needs_release else "false"},"producedOn":',
        f',"product":"{names[1]}","productVersion":"{names[2]}","publicCode":',
    )


def _master_of(lot: Lot) -> _Master:
    # What is known already, past the descriptors of the ORM.
    known = lot._state.fields_cache
    return _master(
        lot.is_external,
        (known.get("organisation") or lot.organisation).uid.int,
        lot.needs_release,
        (known.get("product") or lot.product).uid.int,
        (known.get("product_version") or lot.product_version).uid.int,
    )


def _ilmd(lot: Lot, facts: dict[str, Any], master: _Master) -> Told:
    """The lot's own master data as the event carries it, so that the lot can be made again from the log."""
    made = lot.produced_on.isoformat() if lot.produced_on else None
    until = lot.expires_on.isoformat() if lot.expires_on else None
    found = {
        "begins": True,
        "displayCode": lot.display_code,
        "expiresOn": until,
        "external": lot.is_external,
        "facts": facts,
        "issuer": master.issuer,
        "lotCode": lot.lot_code,
        "needsRelease": lot.needs_release,
        "producedOn": made,
        "product": master.product,
        "productVersion": master.version,
        "publicCode": lot.public_code,
    }
    return Told(
        found,
        f'{{"begins":true,"displayCode":{json_text(lot.display_code)},"expiresOn":{_quoted(until)},{master.external}'
        f"{ledger.text_of(facts)}{master.issued}{json_text(lot.lot_code)}{master.released}{_quoted(made)}{master.of}"
        f"{json_text(lot.public_code)}}}",
    )


def _quoted(text: str | None) -> str:
    return "null" if text is None else json_text(text)


class Beginning(NamedTuple):
    """An event of the open batch that began one lot and did nothing else, as the mould of others like it."""

    event: Mould[Event]
    frame: ledger.Frame
    lot: Mould[Lot]
    master: _Master
    item: Mould[EventItem]
    told: tuple[str, str, str]
    """What the log says of the item, around its master data and its lot."""
    issuer: int
    product: int
    holder: int
    place: int | None
    micros: int
    recorded_at: datetime.datetime


def beginning(captured: Captured) -> Beginning | None:
    """The mould of an event just captured in a batch; None where others like it must be judged one by one.

    Guards find in a beginning what its step, product, place and data say (``_OF_BEGINNINGS``), never when it was but
    for steps that wait for a solar term: what they found nothing against in one they find nothing against in the next.
    """
    if captured.template.solar_term or captured.conflicts or len(captured.lots) != 1 or len(captured.items) != 1:
        return None
    (lot,), (item,), event = captured.lots, captured.items, captured.event
    if item.role != "output" or lot.produced_on or lot.expires_on or item.ilmd.get("facts") or event.remark_id:
        return None
    first, rest = ledger.item_text(item).split(ledger.text_of(item.ilmd))
    between, end = rest.split(str(lot.uid))
    return Beginning(
        Mould(event),
        ledger.frame_of(event),
        Mould(lot),
        _master_of(lot),
        Mould(item),
        (first, between, end),
        lot.organisation_id,
        lot.product_id,
        item.holder_id,
        item.place_id,
        item.micros,
        event.recorded_at,
    )


def begin_like(
    like: Beginning, *, occurred_at: datetime.datetime, data: Mapping[str, Any], lot_code: str, display_code: str
) -> tuple[Event, Lot] | None:
    """Write an event that begins a lot as the one of the mould did, in the batch that is open; of what ``capture``
    writes nothing else differs but times, codes and ``data`` (which says nothing guards ask for). None, and nothing is
    written, where ``capture`` has to look: at a code that is given or was not read, a time to come.
    """
    batch = current()
    if batch is None or batch.ahead or occurred_at > like.recorded_at + SKEW:
        return None
    if lot_code in batch.codes[like.issuer, like.product] or lot_code not in batch.asked_codes:
        return None
    # Four tables and the log say it, all in UTC.
    occurred_at = occurred_at.astimezone(datetime.UTC)
    event = like.event.pour(
        {},
        {
            "id": batch.new_id(Event),
            "uid": batch.next_uid(),
            "occurred_at": occurred_at,
            "data": data,
            "flags": [],
        },
    )
    lot = like.lot.pour(
        {"origin_event": event},
        {
            "id": batch.new_id(Lot),
            "uid": batch.next_uid(),
            "lot_code": lot_code,
            "display_code": display_code,
            "public_code": batch.next_serial(),
            "origin_event_id": event.id,
            "begun_at": occurred_at,
        },
    )
    ilmd = _ilmd(lot, {}, like.master)
    first, between, end = like.told
    told = f"{first}{ilmd.text}{between}{lot.uid}{end}"
    batch.begin(
        event,
        lot,
        like.holder,
        like.micros,
        like.item.values(event_id=event.id, lot_id=lot.id, ilmd=ilmd),
        ledger.entry_values(batch.next_number(), event, [told], like.frame),
    )
    batch.begin_stock((lot.id, like.holder, like.place), like.micros)
    return event, lot


def facts_of(event: Event, items: Sequence[EventItem], moves: str) -> derive.EventFacts:
    """The plain facts ``derive`` works on."""
    return derive.EventFacts(
        id=event.pk,
        organisation=event.organisation_id,
        event_type=event.event_type,
        moves=moves,
        corrects=event.corrects_id,
        items=[
            derive.ItemFacts(
                role=item.role,
                lot=item.lot_id,
                holder=item.holder_id,
                place=item.place_id,
                micros=item.micros,
                transfer=item.transfer_id,
                begins=bool(item.ilmd.get("begins")),
                unit=item.unit_id,
            )
            for item in items
        ],
    )


def _apply(draft: Draft, event: Event, items: list[EventItem], lots: list[Lot]) -> None:
    """Write the derived rows of a fresh event."""
    batch = current()
    if batch is not None and not draft.uses:
        # Lots that begin and nothing else (what ``derive`` says of it): their first stock.
        for item in items:
            batch.begin_stock((item.lot_id, item.holder_id, item.place_id), item.micros)  # type: ignore[arg-type]
        return
    facts = facts_of(event, items, draft.template.moves)
    change = derive.effects(facts)
    refuse_in_batch([item.unit for item in facts.items if item.unit is not None])
    apply_units(facts)
    move_stock(
        change.stock, fresh={lot.pk for new, lot in zip(draft.outputs, lots, strict=True) if new.restates is None}
    )
    keep(
        [
            new(
                LotLink,
                parent_id=link.parent,
                child_id=link.child,
                event=event,
                organisation=draft.organisation,
                input_micros=link.micros,
            )
            for link in change.links
        ]
    )
    begun = {lot.pk for lot in lots}
    for lot_id, micros in change.made.items():
        if lot_id not in begun:
            if batch is not None:
                batch.make(lot_id, micros)
                continue
            Lot.objects.filter(pk=lot_id).update(made_micros=F("made_micros") + micros)
    refuse_in_batch(change.released)
    if change.received and batch is not None:
        batch.answer(change.received, event)
        return
    if change.released:
        Lot.objects.filter(pk__in=change.released, released_by=None).update(released_by=event)
    if change.received:
        answered = list(Transfer.objects.filter(pk__in=change.received))
        for transfer in answered:
            transfer.received_micros = change.received[transfer.pk]
            transfer.received_by = event
            transfer.received_at = event.occurred_at
        Transfer.objects.bulk_update(answered, ["received_micros", "received_by", "received_at"], batch_size=100)


def move_stock(deltas: Mapping[derive.StockKey, int], *, fresh: AbstractSet[int] = frozenset()) -> None:
    """Add signed millionths to stock rows, making those that are not there. Needs the log head held.

    ``fresh`` are lots just begun, which have no stock row yet. Three queries at most per five hundred rows: the head is
    held, so reading and writing back loses nothing.
    """
    batch = current()
    if batch is not None:
        batch.move(deltas)
        return
    wanted = {key: micros for key, micros in deltas.items() if micros}
    lots = {key[0] for key in wanted} - fresh
    rows = Stock.objects.filter(lot__in=lots, organisation__in={key[1] for key in wanted}) if lots else []
    moved: list[Stock] = []
    for row in rows:
        micros = wanted.pop((row.lot_id, row.organisation_id, row.place_id), 0)
        if micros:
            row.micros += micros
            moved.append(row)
    Stock.objects.bulk_update(moved, ["micros"], batch_size=300)
    Stock.objects.bulk_create(
        [
            Stock(lot_id=lot, organisation_id=holder, place_id=place, micros=micros)
            for (lot, holder, place), micros in wanted.items()
        ]
    )


def _flag(
    draft: Draft, event: Event, broken: list[BrokenGuard], lots: Sequence[Lot], now: datetime.datetime
) -> list[Conflict]:
    """One conflict row for each guard a report broke, at the lot it is about: one just made where it is about that."""
    made = {lot.product_id: lot for lot in reversed(lots)}
    conflicts = [
        new(
            Conflict,
            event=event,
            organisation=draft.organisation,
            lot=made.get(guard.product, guard.lot),
            code=guard.code,
            details=guard.as_record(),
            at=now,
        )
        for guard in broken
    ]
    keep(conflicts)
    return conflicts
