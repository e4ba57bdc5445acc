"""Events of EPCIS written into the ledger: the same lots, genealogy, custody and guards as what is entered by form.

What a partner reports already happened: broken guards become conflicts, never refusals. A chunk of events is planned
from names read together and written together (``trace.batch``); an error declaration takes the event it names back
(``trace.actions.corrections``) and so ends a chunk.
"""

from __future__ import annotations

import datetime
import gc
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, lru_cache
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from trace import ledger
from trace.access import lots_visible_to
from trace.actions.capture import Captured, Draft, NewLot, Use, capture
from trace.actions.corrections import declare_error
from trace.actions.epcis_parties import MasterData, NotExact, Parties, amount_in, keep_master
from trace.actions.events import When, stock_place
from trace.actions.transfers import _shipment_number
from trace.actor import Actor
from trace.batch import LOT_PARTS, Batch, current, keep, open_batch
from trace.door.names import Names, chunks
from trace.epcis.documents import Fault
from trace.epcis.event_hash import event_hash
from trace.epcis.facts import Facts, Thing, declared, facts_of, with_context
from trace.epcis.formats import Epc, EpcInvalid, canonical, parse
from trace.errors import DomainError
from trace.event_templates import EventTemplate, template
from trace.identifiers import CSET82
from trace.models import (
    EpcisContent,
    EpcisEvent,
    EpcisName,
    EpcisSeen,
    EpcisTerm,
    Event,
    EventItem,
    Lot,
    Organisation,
    Place,
    Product,
    Shipment,
    Transfer,
    Unit,
)
from trace.packs import contents, micros_of
from trace.rows import insert, insert_values, new, update
from trace.units import EnteredAmount, decimal_text

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
DEPTH = 12
"""How deep packs are looked into."""
CHUNK = 500


@dataclass
class Incoming:
    """One event on its way in: as it came, where it stood, its id and facts."""

    raw: dict[str, Any]
    pointer: str
    eid: str
    facts: Facts

    @property
    def key(self) -> tuple[str, str]:
        """What makes it the same event: id and declaration time."""
        return self.eid, self.facts.declared_at

    @cached_property
    def terms(self) -> list[tuple[str, str]]:
        """What it is found by, each once."""
        return list(dict.fromkeys(self.facts.terms()))

    @cached_property
    def text(self) -> str:
        """The event as it is kept."""
        return _ENCODER.encode(self.raw)

    @cached_property
    def proof(self) -> dict[str, str]:
        """What ties the log to the event as it came."""
        return {"epcis_sha256": hashlib.sha256(self.text.encode("utf-8", "surrogatepass")).hexdigest()}


@dataclass
class Outcome:
    """What came of events: numbers of the log of those written, how many were there already, what was refused."""

    numbers: list[int] = field(default_factory=list)
    repeated: int = 0
    conflicts: int = 0
    faults: list[Fault] = field(default_factory=list)
    refused: set[int] = field(default_factory=set)


class _Again(Exception):
    """Some of the events were refused: what was planned of them is undone."""


class Refused(Exception):
    """One event cannot be written; it says where and why."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.detail)
        self.fault = fault


def id_of(raw: Mapping[str, Any], context: Any) -> str:
    """The event's id, or the CBV event hash of one that has none."""
    given = raw.get("eventID")
    return str(given) if given else event_hash(dict(raw), context)


def incoming(raw: dict[str, Any], pointer: str, context: Any) -> Incoming:
    """An event that passed its check, with its id and facts."""
    eid = id_of(raw, context)
    return Incoming(with_context(raw, context), pointer, eid, facts_of(raw, eid))


@contextmanager
def _no_collection() -> Iterator[None]:
    """Thousands of rows are made and all of them stay until they are written: looking for garbage among them again and
    again takes a quarter of the time. What there is waits for the end of the part.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


# --- Writing --------------------------------------------------------------------------------------------------------


class Writer:
    """Writes events of one document for one actor. Use it inside a transaction that holds the head of the log.

    ``context`` is the document's ``@context``: it goes with each event whose prefixes it declares.
    """

    def __init__(
        self,
        by: Actor,
        *,
        master: MasterData | None = None,
        children: Mapping[str, str] | None = None,
        context: Any = None,
    ) -> None:
        self.by = by
        self.owner = by.owner
        self.names = Names(by.owner)
        self.parties = Parties(by, self.names, master or {})
        self.children = children or {}
        self.told_master = not (master or children)
        self.context = context
        self.number = 0
        self.now = timezone.now()

    def write(self, events: Sequence[Incoming]) -> Outcome:
        """Write these events in their order. Needs the head of the log: takes it."""
        with _no_collection():
            return self._write(events)

    def _write(self, events: Sequence[Incoming]) -> Outcome:
        outcome = Outcome()
        self.now = timezone.now()
        ledger.lock_log_head()
        if not self.told_master:
            keep_master(self.owner, self.parties.master, self.children)
            self.told_master = True
        fresh = self._not_there(events, outcome)
        at = 0
        while at < len(fresh):
            end = at
            while end < len(fresh) and not fresh[end].facts.declared_at:
                end += 1
            for part in chunks(fresh[at:end], CHUNK):
                self._together(part, outcome)
            if end < len(fresh):
                self._declare(fresh[end], outcome)
                end += 1
            at = end
        self.names.forget()
        return outcome

    def _not_there(self, events: Sequence[Incoming], outcome: Outcome) -> list[Incoming]:
        """The events that are not there yet, each once."""
        known: set[tuple[str, str]] = set()
        for part in chunks(list({each.eid for each in events})):
            rows = EpcisEvent.objects.filter(owner=self.owner, eid__in=part)
            known |= set(rows.values_list("eid", "declared_at"))
        fresh: list[Incoming] = []
        for each in events:
            if each.key in known:
                outcome.repeated += 1
                continue
            known.add(each.key)
            fresh.append(each)
        return fresh

    def _together(self, events: Sequence[Incoming], outcome: Outcome) -> None:
        """Write events together; where some are refused nothing of them stays, and the others are written again."""
        while events:
            part = Outcome()
            try:
                with transaction.atomic():
                    _Chunk(self, events, part).write()
                    if part.faults:
                        raise _Again
            except _Again:
                self.names.known.clear()
                self.parties = Parties(self.by, self.names, self.parties.master)
                outcome.faults += part.faults
                wrong = part.refused
                events = [each for each in events if id(each) not in wrong]
                continue
            outcome.numbers += part.numbers
            outcome.conflicts += part.conflicts
            return

    def _declare(self, found: Incoming, outcome: Outcome) -> None:
        """An error declaration: the event it repeats is taken back, where it is here and stands."""
        wrong = EpcisEvent.objects.filter(owner=self.owner, eid=found.eid).select_related("event")
        original = wrong.filter(declared_at="").first()
        reason = found.raw["errorDeclaration"].get("reason", "")
        if original is None or original.event.corrections.exists() or original.event.corrects_id is not None:
            self._together([found], outcome)
            return
        when = datetime.datetime.fromisoformat(found.facts.declared_at)
        try:
            captured = declare_error(
                by=self.by,
                event=Event.objects.select_related("organisation", "place").get(pk=original.event_id),
                reason=reason if reason in Event.ErrorReason.values else Event.ErrorReason.INCORRECT_DATA,
                when=When(min(when, self.now), found.facts.tz_offset),
                at=self.now,
            )
        except DomainError as error:
            outcome.faults.append(Fault(f"{found.pointer}/errorDeclaration", error.code, error.message))
            return
        self.names.load(found.terms)
        index([(ledger.last_number(), captured.event, found, None)], self)
        outcome.numbers.append(ledger.last_number())


class _Chunk:
    """Some events planned together and written together."""

    def __init__(self, writer: Writer, events: Sequence[Incoming], outcome: Outcome) -> None:
        self.writer = writer
        self.by = writer.by
        self.owner = writer.owner
        self.names = writer.names
        self.parties = writer.parties
        self.events = events
        self.outcome = outcome
        self.lots: dict[int, Lot] = {}
        self.parents: set[EpcisName] = set()
        self.bound: list[EpcisName] = []
        self.contents: dict[tuple[int, int], int] = defaultdict(int)
        self.units: dict[str, Unit] = {}
        self.transformations: dict[str, tuple[list[Lot], list[Lot]]] = {}

    def write(self) -> None:
        """Read what they name, plan each, write all."""
        self.names.load(self._all_names())
        self._find_lots()
        batch = Batch(writes=True, number=ledger.last_number())
        written: list[tuple[int, Event, Incoming, Organisation | None]] = []
        with open_batch(batch):
            batch.prepare(lots=list(self.lots), holder=self.owner)
            self._read_codes(batch)
            for each in self.events:
                try:
                    captured, other = self._one(each)
                except Refused as refused:
                    self.outcome.faults.append(refused.fault)
                    self.outcome.refused.add(id(each))
                    continue
                except DomainError as error:
                    self.outcome.faults.append(Fault(each.pointer, error.code, error.message))
                    self.outcome.refused.add(id(each))
                    continue
                written.append((batch.number, captured.event, each, other))
                self.outcome.conflicts += bool(captured.conflicts)
        _write_bound(self.bound)
        EpcisName.objects.bulk_update(self.parents, ["parent"], batch_size=200)
        self._keep_contents()
        index(written, self.writer)
        self.outcome.numbers += [number for number, _event, _found, _other in written]

    # --- What is named ----------------------------------------------------------------------------------------------

    def _all_names(self) -> Iterable[tuple[str, str]]:
        """Every name of these events, those of goods also under what they are (``epc``, ``class``)."""
        for each in self.events:
            facts = each.facts
            yield from each.terms
            for thing in (*facts.things, *facts.inputs, *facts.outputs):
                yield ("class" if thing.is_class else "epc"), thing.uri
            if facts.parent:
                yield "epc", facts.parent

    def _find_lots(self) -> None:
        """Lots that names stand for already, and lots of the ledger that names met for the first time may mean."""
        goods = {
            (row.kind, row.value): row
            for each in self.events
            for thing in (*each.facts.things, *each.facts.inputs, *each.facts.outputs)
            if (row := self.names.known[("class" if thing.is_class else "epc", thing.uri)])
        }
        self._known_lots(sorted({row.lot_id for row in goods.values() if row.lot_id is not None}))
        self._ask_ledger([row for row in goods.values() if row.lot_id is None])

    def _known_lots(self, ids: Sequence[int]) -> None:
        missing = [pk for pk in ids if pk not in self.lots]
        for part in chunks(missing):
            self.lots |= Lot.objects.filter(pk__in=part).select_related(*LOT_PARTS).in_bulk()

    def _read_codes(self, batch: Batch) -> None:
        """The codes that goods met for the first time will have, as far as they are given out already: read together
        for every product, so that a batch need not ask for each lot.
        """
        codes = {
            (epc.lot or f"SN-{_digest(row.value)}") if epc is not None and epc.gtin else f"ID-{_digest(row.value)}"
            for row in self.names.known.values()
            if row.kind in ("class", "epc") and row.lot_id is None
            for epc in (_parsed(row.value),)
        }
        mine = Organisation.objects.filter(Q(kept_by=self.owner) | Q(pk__in=self.parties.mine)).values("pk")
        for part in chunks(sorted(codes)):
            rows = Lot.objects.filter(lot_code__in=part, organisation__in=mine, voided_by=None)
            for issuer, product, code in rows.values_list("organisation", "product", "lot_code"):
                batch.codes[(issuer, product)].add(code)
        batch.asked_codes |= codes

    def _ask_ledger(self, rows: Sequence[EpcisName]) -> None:
        """Lots entered by form or owned by others that this organisation may open: by GTIN and lot code, by serial, by
        the code under our own host.
        """
        by_lot: dict[tuple[str, str], list[EpcisName]] = defaultdict(list)
        by_code: dict[str, list[EpcisName]] = defaultdict(list)
        start = settings.PUBLIC_BASE_URL + "/c/"
        for row in rows:
            if row.value.startswith(start):
                by_code[row.value[len(start) :]].append(row)
                continue
            epc = _parsed(row.value)
            if epc is None:
                continue
            if epc.lot:
                by_lot[(epc.gtin, epc.lot)].append(row)
            elif epc.serial and epc.gtin:
                by_code[epc.serial].append(row)
            elif epc.scheme.name == "sscc":
                by_code[epc.key].append(row)
        visible = lots_visible_to(self.by).filter(voided_by=None)
        for pairs in chunks(list(by_lot)):
            found = visible.filter(
                product__gtin__in={gtin for gtin, _lot in pairs}, lot_code__in={lot for _gtin, lot in pairs}
            )
            for lot in found.select_related(*LOT_PARTS).order_by("is_external", "id"):
                for row in by_lot.get((lot.product.gtin or "", lot.lot_code), ()):
                    if row.lot_id is None:
                        self._bind(row, lot)
        for codes in chunks(list(by_code)):
            for lot in visible.filter(public_code__in=codes).select_related(*LOT_PARTS):
                for row in by_code[lot.public_code]:
                    self._bind(row, lot)
            units = Unit.objects.filter(code__in=codes).select_related("lot__product", "parent__parent")
            if not units.exists():
                continue
            rest = []
            for unit in units.filter(lot__in=lots_visible_to(self.by)):
                for row in by_code[unit.code]:
                    self._meet_unit(row, unit)
                    rest.append(unit.pk)
            for unit in units.exclude(pk__in=rest):
                for row in by_code[unit.code]:
                    epc = _parsed(row.value)
                    if epc is not None and epc.gtin and epc.gtin == unit.lot.product.gtin:
                        row.alike_id = unit.lot_id

    def _meet_unit(self, row: EpcisName, unit: Unit) -> None:
        """A code issued here: one thing is of its lot, a pack is what lies in it."""
        epc = _parsed(row.value)
        if epc is not None and epc.gtin and epc.gtin != unit.lot.product.gtin:
            return
        self.units[row.value] = unit
        if not unit.container and unit.level == Unit.Level.ITEM:
            self._known_lots([unit.lot_id])
            self._bind(row, self.lots[unit.lot_id])

    def _bind(self, row: EpcisName, lot: Lot) -> None:
        self.lots[lot.pk] = lot
        row.lot = lot
        self.bound.append(row)

    # --- One event --------------------------------------------------------------------------------------------------

    def _one(self, found: Incoming) -> tuple[Captured, Organisation | None]:
        """Plan and write one event; answers with it the other registered side, if one is named."""
        facts = found.facts
        if facts.kind == "TransformationEvent":
            return self._transform(found), None
        if facts.kind == "ObjectEvent":
            return self._object(found)
        if facts.kind == "AggregationEvent":
            return self._aggregate(found), None
        return self._tell(found, facts.things), None

    def _performer(self, facts: Facts, side: Sequence[tuple[str, str]] = ()) -> tuple[Organisation, Place | None]:
        """Who did it, and where: the party named on this side, else whose place it is, else who reports."""
        place: Place | None = None
        party: Organisation | None = None
        for uri in (facts.biz_location, facts.read_point):
            party, place = self.parties.at(uri)
            if party is not None:
                break
        named = _side(side)
        if named and (party is None or party.pk not in self.parties.mine):
            party = self.parties.party(named)
            if place is not None and place.organisation_id != party.pk and place.organisation_id in self.parties.mine:
                place = None
        return party or self.owner, place

    def _tell(self, found: Incoming, things: Sequence[Thing]) -> Captured:
        """Nothing moves: the lots are named. What was never met begins as goods of whoever reports them."""
        performer, place = self._performer(found.facts)
        plan = _Plan(self, found, performer, place)
        for thing in things:
            plan.observe(thing)
        return plan.capture("common.reported")

    def _object(self, found: Incoming) -> tuple[Captured, Organisation | None]:
        facts = found.facts
        step = facts.biz_step
        if facts.action == "ADD":
            performer, place = self._performer(facts)
            plan = _Plan(self, found, performer, place)
            for thing in facts.things:
                plan.make(thing)
            return plan.capture("common.produce"), None
        if facts.action == "DELETE" or step in ("destroying", "retail_selling", "dispensing"):
            performer, place = self._performer(facts)
            plan = _Plan(self, found, performer, place)
            for thing in facts.things:
                plan.take(thing)
            sold = step in ("retail_selling", "dispensing") and facts.action != "DELETE"
            return plan.capture("common.sell" if sold else "common.destroy"), None
        if step in ("shipping", "consigning"):
            return self._ship(found)
        if step in ("receiving", "accepting"):
            return self._receive(found), None
        return self._tell(found, facts.things), None

    def _ship(self, found: Incoming) -> tuple[Captured, Organisation | None]:
        """Goods leave; with the other party named they are on their way to it, as by a slip."""
        facts = found.facts
        performer, place = self._performer(facts, facts.sources)
        to = _side(facts.destinations)
        receiver = self.parties.party(to) if to else self._location_party(facts.destinations)
        if receiver is None or receiver.pk == performer.pk:
            return self._tell(found, facts.things), None
        plan = _Plan(self, found, performer, place)
        for thing in facts.things:
            plan.take(thing)
        captured = plan.capture("common.ship", counterparty=receiver)
        sent = plan.sent()
        if sent and plan.counts:
            shipment = Shipment(
                number=_shipment_number(facts.event_time),
                organisation=performer,
                receiver=receiver,
                event=captured.event,
                sent_at=facts.event_time,
            )
            keep([shipment])
            keep(
                [
                    Transfer(shipment=shipment, lot=lot, sender=performer, receiver=receiver, sent_micros=micros)
                    for lot, micros in sent
                ]
            )
        other = receiver if not receiver.is_external and receiver.pk not in self.parties.mine else None
        return captured, other

    def _location_party(self, pairs: Sequence[tuple[str, str]]) -> Organisation | None:
        place = next((uri for kind, uri in pairs if kind == "location"), "")
        return self.parties.at(place)[0] if place else None

    def _receive(self, found: Incoming) -> Captured:
        """Goods arrive: a slip that waits for them is answered, else they come from the source, known or not."""
        facts = found.facts
        performer, place = self._performer(facts, facts.destinations)
        came_from = _side(facts.sources)
        source = self.parties.party(came_from) if came_from else self._location_party(facts.sources)
        plan = _Plan(self, found, performer, place)
        for thing in facts.things:
            plan.arrive(thing, source)
        return plan.capture("common.receive", counterparty=source)

    def _transform(self, found: Incoming) -> Captured:
        facts = found.facts
        performer, place = self._performer(facts)
        plan = _Plan(self, found, performer, place)
        plan.begin_unknown(facts.inputs)
        for thing in facts.inputs:
            plan.use_up(thing)
        for thing in facts.outputs:
            plan.make(thing)
        if facts.transformation:
            plan.join(self._parts_of(facts.transformation))
        captured = plan.capture("common.process" if plan.links else "common.reported")
        if facts.transformation:
            ins, outs = self.transformations.setdefault(facts.transformation, ([], []))
            ins += [use.lot for use in plan.uses if use.role == "input" and use.lot is not None]
            outs += captured.lots + [use.lot for use in plan.uses if use.role == "output" and use.lot is not None]
        return captured

    def _parts_of(self, transformation: str) -> tuple[list[Lot], list[Lot]]:
        """Inputs and outputs that earlier events with this transformation id named."""
        if transformation in self.transformations:
            return self.transformations[transformation]
        name = self.names.known[("transformation", transformation)]
        numbers = EpcisTerm.objects.filter(name=name).values("number")
        items = EventItem.objects.filter(event__log__number__in=numbers, lot__isnull=False)
        items = items.filter(event__corrections__isnull=True, role__in=("input", "output"))
        roles: dict[int, str] = dict(items.values_list("lot", "role"))
        self._known_lots(sorted(roles))
        parts = (
            [self.lots[pk] for pk, role in roles.items() if role == "input"],
            [self.lots[pk] for pk, role in roles.items() if role == "output"],
        )
        self.transformations[transformation] = parts
        return parts

    def _aggregate(self, found: Incoming) -> Captured:
        """Into or out of a pack: the lots are named, and what lies in the pack is remembered for when it moves."""
        facts = found.facts
        performer, place = self._performer(facts)
        plan = _Plan(self, found, performer, place)
        pack = self.names.known[("epc", facts.parent)] if facts.parent else None
        for thing in facts.things:
            plan.observe(thing)
        if pack is not None and not facts.things and facts.action == "DELETE":
            for lot, micros in self.inside(pack).items():
                plan.name(lot, micros)
        captured = plan.capture("common.reported")
        if pack is not None and facts.action in ("ADD", "DELETE"):
            self._repack(pack, facts, plan)
        return captured

    def _repack(self, pack: EpcisName, facts: Facts, plan: _Plan) -> None:
        into = facts.action == "ADD"
        for thing in facts.things:
            if thing.is_class:
                for lot, micros in plan.amounts_of(thing):
                    self.contents[(pack.pk, lot.pk)] += micros if into else -micros
                continue
            row = self.names.known[("epc", thing.uri)]
            row.parent = pack if into else None
            self.parents.add(row)
        if not into and not facts.things:
            self._flush_contents()
            for row in EpcisName.objects.filter(parent=pack):
                known = self.names.known.get((row.kind, row.value), row)
                known.parent = None
                self.parents.add(known)
            for row in [each for each in self.names.known.values() if each.parent_id == pack.pk]:
                row.parent = None
                self.parents.add(row)
            EpcisContent.objects.filter(pack=pack).update(micros=0)

    def _flush_contents(self) -> None:
        EpcisName.objects.bulk_update(self.parents, ["parent"], batch_size=200)
        self._keep_contents()

    def _keep_contents(self) -> None:
        """Write what was put into packs by class."""
        wanted = {key: micros for key, micros in self.contents.items() if micros}
        self.contents.clear()
        if not wanted:
            return
        rows = {
            (row.pack_id, row.lot_id): row for row in EpcisContent.objects.filter(pack__in={pack for pack, _ in wanted})
        }
        for key, micros in wanted.items():
            if key in rows:
                rows[key].micros = max(0, rows[key].micros + micros)
        EpcisContent.objects.bulk_update([rows[key] for key in wanted if key in rows], ["micros"], batch_size=200)
        EpcisContent.objects.bulk_create(
            [
                EpcisContent(pack_id=pack, lot_id=lot, micros=max(0, micros))
                for (pack, lot), micros in wanted.items()
                if (pack, lot) not in rows
            ],
            batch_size=200,
        )

    def inside(self, pack: EpcisName) -> dict[Lot, int]:
        """The lots in a pack with their amounts, however deep; what forms packed and what events packed."""
        unit = self.units.get(pack.value)
        if unit is not None and (unit.container or unit.level != Unit.Level.ITEM):
            shares = contents([unit.pk]).get(unit.pk, ())
            self._known_lots([share.lot for share in shares])
            held: dict[Lot, int] = defaultdict(int)
            for share in shares:
                held[self.lots[share.lot]] += micros_of(self.lots[share.lot], {share.level: share.count}) or 0
            return dict(held)
        self._flush_contents()
        level = [pack.pk]
        pieces: dict[int, int] = defaultdict(int)
        by_class: dict[int, int] = defaultdict(int)
        for _depth in range(DEPTH):
            rows = list(EpcisName.objects.filter(parent__in=level).values_list("pk", "lot")) if level else []
            for pk, micros in EpcisContent.objects.filter(pack__in=level, micros__gt=0).values_list("lot", "micros"):
                by_class[pk] += micros
            for _pk, lot in rows:
                if lot is not None:
                    pieces[lot] += 1
            level = [pk for pk, _lot in rows]
            if not level:
                break
        self._known_lots([*pieces, *by_class])
        found: dict[Lot, int] = defaultdict(int)
        for pk, count in pieces.items():
            amount = amount_in(self.lots[pk].product, count, "")
            found[self.lots[pk]] += amount.micros if amount is not None else 0
        for pk, micros in by_class.items():
            found[self.lots[pk]] += micros
        return dict(found)


@dataclass
class _Line:
    """How much of one lot one event names: the entered numbers added up."""

    lot: Lot | None
    new: NewLot | None
    micros: int
    entered: EnteredAmount | None
    said: bool


class _Plan:
    """One event while it is planned: uses of known lots, lots that begin."""

    def __init__(self, chunk: _Chunk, found: Incoming, performer: Organisation, place: Place | None) -> None:
        self.chunk = chunk
        self.found = found
        self.performer = performer
        self.place = place
        # What a registered organisation has is its own to say: of its goods only the names are taken.
        self.counts = performer.is_external or performer.pk in chunk.parties.mine
        self.uses: list[Use] = []
        self.outputs: list[NewLot] = []
        self.waiting: list[list[EpcisName]] = []
        self.new_by_uri: dict[str, int] = {}
        self.amounts: dict[str, list[tuple[Lot, int]]] = {}

    @property
    def links(self) -> bool:
        """Whether inputs and outputs are both there."""
        ins = any(use.role == "input" for use in self.uses)
        return ins and (bool(self.outputs) or any(use.role == "output" for use in self.uses))

    # --- What things are --------------------------------------------------------------------------------------------

    def _row(self, thing: Thing) -> EpcisName:
        return self.chunk.names.known[("class" if thing.is_class else "epc", thing.uri)]

    def _lots(self, thing: Thing) -> list[tuple[Lot, EnteredAmount | None]] | None:
        """The known lots behind a thing with their amounts; None where it is goods nobody met, empty where no goods."""
        row = self._row(thing)
        if row.lot_id is not None:
            lot = self.chunk.lots.get(row.lot_id) or row.lot
            if lot is None:
                return []
            self.chunk.lots[lot.pk] = lot
            return [(lot, self._amount(lot.product, thing))]
        kind = _kind(thing)
        if kind == "pack":
            return [
                (lot, EnteredAmount(decimal_text(micros), lot.product.base_unit, "1/1", micros))
                for lot, micros in self.chunk.inside(row).items()
            ]
        return None if kind == "goods" else []

    def _amount(self, product: Product, thing: Thing) -> EnteredAmount | None:
        try:
            return self.chunk.parties.amount(product, thing.quantity, thing.uom)
        except NotExact:
            raise Refused(
                Fault(self.found.pointer, "amount_not_exact", "An amount is too large or too fine for millionths.")
            ) from None

    def _begin(self, thing: Thing, *, begins: bool = True) -> NewLot | None:
        """The lot that begins for goods nobody met."""
        uri, gtin, code, display = self._identity(thing)
        product = self.chunk.parties.product(uri, gtin, self.performer, thing.uom)
        amount = self._amount(product, thing) or EnteredAmount("0", product.base_unit, "1/1", 0)
        if not self.counts:
            amount = EnteredAmount("0", product.base_unit, "1/1", 0)
        own = product.organisation_id in self.chunk.parties.mine
        batch = current()
        if batch is not None:
            # ``_read_codes`` has read the codes of every product these could be of.
            batch.products.add(product.pk)
        made, until = _dates(self.found.raw.get("ilmd"))
        return NewLot(
            product=product,
            amount=amount,
            place=self.place,
            lot_code=code,
            display_code=display,
            produced_on=made if begins else None,
            expires_on=until if begins else None,
            is_external=not own,
            issuer=product.organisation,
            captured=True,
        )

    def _identity(self, thing: Thing) -> tuple[str, str, str, str]:
        """URI, GTIN, lot code and the code people read, of goods that begin here."""
        epc = _parsed(thing.uri)
        if epc is not None and epc.lot:
            return thing.uri, epc.gtin, epc.lot, ""
        if epc is not None and epc.gtin:
            code = _lot_number(self.found.raw.get("ilmd"))
            if code:
                return f"https://id.gs1.org/01/{epc.gtin}", epc.gtin, code, ""
            return thing.uri, epc.gtin, f"SN-{_digest(thing.uri)}", epc.serial[:40]
        about = self.chunk.parties.master.get(thing.uri, {})
        code = about.get("lotNumber", "") or _lot_number(self.found.raw.get("ilmd"))
        if not _is_code(code):
            code = f"ID-{_digest(thing.uri)}"
        return thing.uri, "", code, ""

    def _lot_name(self, thing: Thing) -> EpcisName | None:
        """The name of the lot that an instance says it is of (``ilmd`` lotNumber)."""
        epc = _parsed(thing.uri)
        code = "" if thing.is_class or epc is None or not epc.gtin else _lot_number(self.found.raw.get("ilmd"))
        if not code or epc is None:
            return None
        uri = f"https://id.gs1.org/01/{epc.gtin}/10/{quote(code, safe='')}"
        key = ("class", canonical(uri))
        if key not in self.chunk.names.known:
            self.chunk.names.load([key])
            row = self.chunk.names.known[key]
            if row.lot_id is None:
                self.chunk._ask_ledger([row])
            elif row.lot_id not in self.chunk.lots:
                self.chunk._known_lots([row.lot_id])
        return self.chunk.names.known[key]

    # --- What happens to them ---------------------------------------------------------------------------------------

    def _use(self, lot: Lot, role: str, sign: int, amount: EnteredAmount | None, **more: Any) -> None:
        """One line of the event; lines of the same lot, role and sign become one."""
        holder = more.pop("holder", self.performer)
        place = self.place
        sign = sign if self.counts and amount is not None else 0
        if sign < 0:
            place = stock_place(lot, holder, self.place if holder.pk == self.performer.pk else None)
        for number, use in enumerate(self.uses):
            if (
                use.lot is not None
                and (use.lot.pk, use.role, use.sign, use.holder.pk) == (lot.pk, role, sign, holder.pk)
                and use.transfer is more.get("transfer")
            ):
                self.uses[number] = replace(use, amount=_sum(use.amount, amount))
                return
        self.uses.append(Use(lot=lot, role=role, holder=holder, amount=amount, sign=sign, place=place, **more))

    def _new(self, thing: Thing, *, begins: bool = True) -> None:
        """A lot begins with this thing; serials of one new lot add up."""
        row = self._row(thing)
        lot_name = self._lot_name(thing)
        if lot_name is not None and lot_name.lot_id is not None:
            lot = self.chunk.lots.get(lot_name.lot_id) or lot_name.lot
            if lot is not None:
                self.chunk._bind(row, lot)
                self._use(lot, "output" if begins else "subject", 1, self._amount(lot.product, thing))
                return
        new = self._begin(thing, begins=begins)
        if new is None:
            return
        shared = lot_name.value if lot_name is not None else thing.uri
        at = self.new_by_uri.get(shared)
        if at is not None:
            known = self.outputs[at]
            self.outputs[at] = replace(known, amount=_sum(known.amount, new.amount) or new.amount)
            self.waiting[at].append(row)
            return
        self.new_by_uri[shared] = len(self.outputs)
        self.outputs.append(new)
        self.waiting.append([row] if lot_name is None else [row, lot_name])

    def observe(self, thing: Thing) -> None:
        """Only named. Goods nobody met begin here: they were there."""
        known = self._lots(thing)
        if known is None:
            self._new(thing, begins=False)
            return
        for lot, amount in known:
            self._remember(thing, lot, amount)
            self._use(lot, "subject", 0, amount)

    def name(self, lot: Lot, micros: int) -> None:
        """A lot named with so much of it."""
        self._use(lot, "subject", 0, EnteredAmount(decimal_text(micros), lot.product.base_unit, "1/1", micros))

    def make(self, thing: Thing) -> None:
        """Comes to be: a lot begins, or more of one that there is."""
        known = self._lots(thing)
        if known is None:
            self._new(thing)
            return
        for lot, amount in known:
            self._use(lot, "output", 1, amount)

    def use_up(self, thing: Thing) -> None:
        """Goes in."""
        for lot, amount in self._lots(thing) or ():
            self._use(lot, "input", -1, amount)

    def take(self, thing: Thing) -> None:
        """Leaves: sent, sold, destroyed. What nobody met and an outsider has was there before."""
        known = self._lots(thing)
        if known is None:
            self._first(thing)
            known = self._lots(thing) or []
        for lot, amount in known:
            self._use(lot, "subject", -1, amount)

    def arrive(self, thing: Thing, source: Organisation | None) -> None:
        """Comes in: by a slip that waits, from what the source has of it, or from nowhere we know."""
        known = self._lots(thing)
        if known is None:
            self._new(thing, begins=False)
            return
        for lot, amount in known:
            transfer = self._slip(lot)
            if transfer is not None:
                self._use(lot, "subject", 1, amount or _nothing(lot), transfer=transfer)
                continue
            if source is not None and source.is_external and amount is not None and self._has(lot, source):
                self._use(lot, "subject", -1, amount, holder=source)
            self._use(lot, "subject", 1, amount)

    def _has(self, lot: Lot, holder: Organisation) -> bool:
        batch = current()
        if batch is None:
            return False
        batch.load_stock([lot.pk], [holder.pk])
        return any(micros > 0 for _place, micros in batch.places_of(lot.pk, holder.pk))

    def _slip(self, lot: Lot) -> Transfer | None:
        """The oldest hand-over of this lot to the performer that nobody answered."""
        batch = current()
        if batch is None:
            return None
        if lot.pk not in batch.unwritten:
            rows = Transfer.objects.filter(lot=lot, receiver=self.performer, received_by=None, voided_by=None)
            for row in rows.select_related("shipment__event", "lot__product").order_by("id"):
                batch.transfers.setdefault(row.pk, row)
        for transfer in batch.transfers.values():
            if (
                transfer.lot_id == lot.pk
                and transfer.receiver_id == self.performer.pk
                and transfer.received_by_id is None
                and all(use.transfer is not transfer for use in self.uses)
            ):
                return transfer
        return None

    def _first(self, thing: Thing) -> None:
        """Goods met for the first time when they leave or are used: they begin by an event of their own before."""
        self.begin_unknown([thing])

    def begin_unknown(self, things: Sequence[Thing]) -> None:
        """Goods that go in and were never met: what the system knows of them begins now, their past is unknown."""
        unknown = [thing for thing in things if self._lots(thing) is None]
        if not unknown:
            return
        before = _Plan(self.chunk, self.found, self.performer, self.place)
        for thing in unknown:
            before._new(thing, begins=False)
        if not (before.outputs or before.uses):
            return
        if self.performer.pk in self.chunk.parties.mine:
            # Of our own stock we know: what was never entered is not there, and the guard will say so.
            before.outputs = [
                replace(new, amount=EnteredAmount("0", new.product.base_unit, "1/1", 0)) for new in before.outputs
            ]
        before.capture("common.opening", data={"basis": "EPCIS", **self.found.proof})

    def join(self, parts: tuple[list[Lot], list[Lot]]) -> None:
        """Inputs and outputs told by other events of the same transformation: linked, no amount counted twice."""
        ins, outs = parts
        here = {use.lot.pk for use in self.uses if use.lot is not None}
        if self.outputs or any(use.role == "output" for use in self.uses):
            for lot in ins:
                if lot.pk not in here:
                    self.uses.append(Use(lot=lot, role="input", holder=self.performer))
        if any(use.role == "input" for use in self.uses):
            for lot in outs:
                if lot.pk not in here:
                    self.uses.append(Use(lot=lot, role="output", holder=self.performer))

    # --- The event itself -------------------------------------------------------------------------------------------

    def _remember(self, thing: Thing, lot: Lot, amount: EnteredAmount | None) -> None:
        self.amounts.setdefault(thing.uri, []).append((lot, amount.micros if amount is not None else 0))

    def amounts_of(self, thing: Thing) -> list[tuple[Lot, int]]:
        """The lots behind a class just captured, with their amounts."""
        if thing.uri in self.amounts:
            return self.amounts[thing.uri]
        return [(lot, amount.micros if amount else 0) for lot, amount in self._lots(thing) or ()]

    def sent(self) -> list[tuple[Lot, int]]:
        """What left, one sum per lot."""
        totals: dict[int, tuple[Lot, int]] = {}
        for use in self.uses:
            if use.lot is not None and use.sign < 0:
                lot, micros = totals.get(use.lot.pk, (use.lot, 0))
                totals[lot.pk] = (lot, micros - use.micros)
        return [(lot, micros) for lot, micros in totals.values() if micros > 0]

    def capture(
        self, code: str, *, counterparty: Organisation | None = None, data: Mapping[str, Any] | None = None
    ) -> Captured:
        """Write the event; the lots it began are what its names stand for from now on."""
        facts = self.found.facts
        opening = code == "common.opening"
        draft = Draft(
            template=template(code) if opening else _told_as(code, facts.kind, facts.action, facts.biz_step),
            organisation=self.chunk.owner,
            occurred_at=facts.event_time,
            tz_offset=facts.tz_offset,
            place=self.place,
            uses=self.uses,
            outputs=self.outputs,
            data=data or self.found.proof,
            counterparty=counterparty,
            disposition=None if opening else facts.disposition[:40] if ":" not in facts.disposition else "",
        )
        captured = capture(draft=draft, by=self.chunk.by, insist=True, at=self.chunk.writer.now)
        for begun, lot, rows in zip(self.outputs, captured.lots, self.waiting, strict=True):
            lot.product = begun.product
            for row in rows:
                self.chunk._bind(row, lot)
        return captured


def _write_bound(rows: Sequence[EpcisName]) -> None:
    """Write which lots names stand for."""
    update(rows, "lot_id", "alike_id")


# --- Small rules ----------------------------------------------------------------------------------------------------


@cache
def _told_as(code: str, kind: str, action: str, step: str) -> EventTemplate:
    """A template with the words of the event that came."""
    known = step if len(step) <= 40 and ":" not in step else ""
    local = "" if known or not step else step.rpartition("/")[2].rpartition(":")[2][-40:]
    return replace(template(code), event_type=kind, action=action, biz_step=known, local_step=local, run=None)


def _sum(one: EnteredAmount | None, other: EnteredAmount | None) -> EnteredAmount | None:
    """Two entries of one lot as one; in base units where they were entered in different ones."""
    if one is None or other is None:
        return one or other
    total = one.micros + other.micros
    if one.unit == other.unit and one.factor == other.factor:
        from decimal import Decimal

        return EnteredAmount(format(Decimal(one.text) + Decimal(other.text), "f"), one.unit, one.factor, total)
    return EnteredAmount(decimal_text(total), "", "1/1", total)


def _nothing(lot: Lot) -> EnteredAmount:
    return EnteredAmount("0", lot.product.base_unit, "1/1", 0)


@lru_cache(maxsize=16_384)
def _parsed(uri: str) -> Epc | None:
    try:
        return parse(uri)
    except EpcInvalid:
        return None


def _kind(thing: Thing) -> str:
    """Goods, a pack, or something that is no goods (an asset, a document, a class without lot)."""
    epc = _parsed(thing.uri)
    if epc is None:
        if thing.uri.startswith(("urn:epc:", "https://id.gs1.org/")):
            return "none"
        return "goods"
    if epc.scheme.name == "sscc":
        return "pack"
    if thing.is_class:
        return "goods" if epc.lot else "none"
    return "goods" if epc.gtin else "none"


def _side(pairs: Sequence[tuple[str, str]]) -> str:
    """The party of a source or destination list: who possesses, else who owns."""
    found = dict(reversed(pairs))
    return found.get("possessing_party", "") or found.get("owning_party", "")


def _lot_number(ilmd: Any) -> str:
    """The lot code in master data of instances."""
    if not isinstance(ilmd, Mapping):
        return ""
    for key, value in ilmd.items():
        if key.rpartition(":")[2] in ("lotNumber", "hasBatchLotNumber") and isinstance(value, str) and _is_code(value):
            return value
    return ""


def _is_code(code: str) -> bool:
    return 0 < len(code) <= 20 and all(character in CSET82 for character in code)


def _dates(ilmd: Any) -> tuple[datetime.date | None, datetime.date | None]:
    """Production and expiry date in master data of instances."""
    made: datetime.date | None = None
    until: datetime.date | None = None
    for key, value in ilmd.items() if isinstance(ilmd, Mapping) else ():
        name = key.rpartition(":")[2]
        if name in ("productionDate", "itemProductionDate", "manufacturingDate"):
            made = made or _day(value)
        elif name in ("itemExpirationDate", "expirationDate", "bestBeforeDate", "sellByDate"):
            until = until or _day(value)
    return made, until


def _day(value: Any) -> datetime.date | None:
    try:
        return datetime.date.fromisoformat(value[:10]) if isinstance(value, str) else None
    except ValueError:
        return None


@lru_cache(maxsize=16_384)
def _digest(uri: str) -> str:
    """Twelve letters and digits that stand for a URI."""
    number = int.from_bytes(hashlib.sha256(uri.encode("utf-8", "surrogatepass")).digest()[:8], "big")
    letters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    return "".join(letters[number >> shift & 31] for shift in range(0, 60, 5))


# --- The index of the door ------------------------------------------------------------------------------------------


def index(
    written: Sequence[tuple[int, Event, Incoming, Organisation | None]],
    writer: Writer,
) -> None:
    """What the door shows and finds of events just written: one row each, and one per name."""
    known = writer.names.known
    owner = writer.owner
    insert(
        [
            new(
                EpcisEvent,
                number=number,
                event=event,
                owner=owner,
                eid=found.eid,
                declared_at=found.facts.declared_at,
                kind=found.facts.kind,
                action=found.facts.action,
                event_time=found.facts.event_time,
                record_time=event.recorded_at,
                document=found.text,
            )
            for number, event, found, _other in written
        ]
    )
    seen = [(owner.pk, number, found.facts.event_time) for number, _event, found, _other in written]
    terms = [(known[key].pk, number) for number, _event, found, _other in written for key in found.terms]
    for number, _event, found, other in written:
        if other is not None:
            names = Names(other)
            names.load(found.terms)
            seen.append((other.pk, number, found.facts.event_time))
            terms += [(names.known[key].pk, number) for key in found.terms]
    insert_values(EpcisSeen, ("owner_id", "number", "event_time"), seen)
    insert_values(EpcisTerm, ("name_id", "number"), terms)


__all__ = ["Incoming", "Outcome", "Writer", "declared", "id_of", "incoming", "index"]
