"""Events of EPCIS written into the ledger: the same lots, genealogy, custody and guards as what is entered by form.

What a partner reports already happened: broken guards become conflicts, never refusals. A chunk of events is planned
from names read together and written together (``trace.batch``); an error declaration takes the event it names back
(``trace.actions.corrections``) and so ends a chunk.
"""

from __future__ import annotations

import datetime
import gc
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from trace import ledger
from trace.access import lots_visible_to
from trace.actions.capture import Beginning, Captured, begin_like, beginning
from trace.actions.corrections import declare_error
from trace.actions.epcis_late import Late, latest_assumed, settle_shortage, short_lots
from trace.actions.epcis_parties import MasterData, Parties, amount_in, keep_master
from trace.actions.epcis_plan import Incoming, Parts, Plan, Refused, code_of, digest_of, is_sample, parsed, side_of
from trace.actions.events import When
from trace.actions.transfers import _shipment_number
from trace.actor import Actor
from trace.among import among_texts, texts_condition, there
from trace.batch import LOT_PARTS, Batch, keep, open_batch, read_lots, settle
from trace.behind import behind, check_references, gathered, go_on
from trace.door.names import READ, Names, chunks
from trace.epcis.documents import Fault
from trace.epcis.event_hash import event_hash
from trace.epcis.facts import Facts, Thing, declared, facts_of, told_besides, with_context
from trace.epcis.formats import serial_gtin
from trace.errors import DomainError
from trace.models import (
    EpcisContent,
    EpcisEvent,
    EpcisName,
    EpcisSeen,
    EpcisTerm,
    Event,
    EventItem,
    LogEntry,
    Lot,
    Organisation,
    Place,
    Shipment,
    Transfer,
    Unit,
)
from trace.packs import contents, micros_of
from trace.prepared import planned_cursor
from trace.rows import insert_values, update

DEPTH = 12
"""How deep packs are looked into."""
CHUNK = 2_000
FEW = 100
"""Events written together after one that had to be written by itself: more of these may follow."""
BLOCK = 256
"""Events planned together, and of these the events written together: nothing is planned while the last are written."""
LOOK = 8
"""Events planned between two looks at whether the server is done with what was sent."""
MEETINGS = 10
"""How often a part is written again because its names were written by somebody else meanwhile."""


@dataclass
class Outcome:
    """What came of events: numbers of the log of those written, how many were there already, what was refused."""

    numbers: list[int] = field(default_factory=list)
    repeated: int = 0
    conflicts: int = 0
    faults: list[Fault] = field(default_factory=list)
    refused: set[int] = field(default_factory=set)
    there: set[int] = field(default_factory=set)
    """``id`` of each event refused, and of each that was there."""


class _ByItself(Exception):
    """One of the events must be written outside of a batch: what was planned of the others is undone."""

    def __init__(self, event: Incoming) -> None:
        super().__init__(event.pointer)
        self.event = event


class _Again(Exception):
    """Some of the events were refused: what was planned of them is undone."""


def id_of(raw: Mapping[str, Any], context: Any) -> str:
    """The event's id, or the CBV event hash of one that has none."""
    given = raw.get("eventID")
    return str(given) if given else event_hash(raw, context)


def incoming(raw: dict[str, Any], pointer: str, context: Any) -> Incoming:
    """An event that passed its check, with its id and facts."""
    eid = id_of(raw, context)
    told = with_context(raw, context)
    return Incoming(told, pointer, eid, told_besides(facts_of(raw, eid), told))


@contextmanager
def no_collection() -> Iterator[None]:
    """Thousands of events or rows are made and all of them stay until they are written: looking for garbage among them
    again and again takes a quarter of the time. What there is waits for the end of the part.
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

    ``context`` is the document's ``@context``: it goes with each event whose prefixes it declares. ``held`` says that
    the transaction holds the head already, ``last`` which entry of the log is its last, where that is known.
    """

    def __init__(
        self,
        by: Actor,
        *,
        master: MasterData | None = None,
        children: Mapping[str, str] | None = None,
        context: Any = None,
        held: bool = False,
        last: int | None = None,
    ) -> None:
        self.by = by
        self.held = held
        self.last = last
        self.owner = by.owner
        self.names = Names(by.owner)
        self.parties = Parties(by, self.names, master or {})
        self.children = children or {}
        self.told_master = not (master or children)
        self.context = context
        self.now = timezone.now()

    def write(self, events: Sequence[Incoming]) -> Outcome:
        """Write these events in their order. Needs the head of the log: takes it, where it is not held."""
        with no_collection():
            return self._write(events)

    def _write(self, events: Sequence[Incoming]) -> Outcome:
        outcome = Outcome()
        if not self.held:
            self.last = ledger.lock_log_head()
        # Not before: what waited for a recall to start is recorded after it.
        self.now = timezone.now()
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
        for part in chunks(list({each.eid for each in events}), READ):
            wanted, given = texts_condition("eid", part)
            with planned_cursor() as cursor:
                cursor.execute(
                    f"SELECT eid, declared_at FROM trace_epcisevent WHERE owner_id = %s AND {wanted}",  # noqa: S608
                    [self.owner.pk, given],
                )
                known |= set(cursor.fetchall())
        fresh: list[Incoming] = []
        for each in events:
            if each.key in known:
                outcome.repeated += 1
                outcome.there.add(id(each))
                continue
            known.add(each.key)
            fresh.append(each)
        return fresh

    def _together(self, events: Sequence[Incoming], outcome: Outcome) -> None:
        """Write events together; one that tells late how goods began stands between those before and after it."""
        waiting = deque([events])
        while waiting:
            part = waiting.popleft()
            late = self._part(part, outcome)
            if late is None:
                continue
            if part[0] is late:
                self._by_itself(late, outcome)
                waiting.extendleft(reversed(list(chunks(part[1:], FEW))))
                continue
            # Nothing of it was written: those before come first.
            at = next(number for number, each in enumerate(part) if each is late)
            waiting.extendleft(reversed([part[:at], [late], *chunks(part[at + 1 :], FEW)]))

    def _by_itself(self, late: Incoming, outcome: Outcome) -> None:
        """Write one event outside of a batch: lots may be stated again."""
        part = Outcome()
        try:
            with transaction.atomic():
                Chunk(self, [late], part, alone=True).write_alone()
                if part.faults:
                    raise _Again
        except _Again:
            outcome.faults += part.faults
            outcome.refused |= part.refused
        else:
            outcome.numbers += part.numbers
            outcome.conflicts += part.conflicts
        self._anew()

    def _part(self, events: Sequence[Incoming], outcome: Outcome) -> Incoming | None:
        """Write events together; where some are refused nothing of them stays, and the others are written again. The
        first of them that must be written by itself, where one must: then none was written.
        """
        again = 0
        while events:
            part = Outcome()
            try:
                with transaction.atomic():
                    Chunk(self, events, part).write()
                    if part.faults:
                        raise _Again
            except _ByItself as found:
                self._anew()
                return found.event
            except IntegrityError as error:
                if "one_epcis_name" not in str(error) or again > MEETINGS:
                    raise
                # Whoever indexes the log met one of these names meanwhile; it is there now.
                again += 1
                self._anew()
                continue
            except _Again:
                self._anew()
                outcome.faults += part.faults
                wrong = part.refused
                outcome.refused |= wrong
                events = [each for each in events if id(each) not in wrong]
                continue
            outcome.numbers += part.numbers
            outcome.conflicts += part.conflicts
            return None
        return None

    def _anew(self) -> None:
        """What was read and made is not true any more: the part was taken back."""
        self.names.clear()
        self.parties = Parties(self.by, self.names, self.parties.master)

    def _declare(self, found: Incoming, outcome: Outcome) -> None:
        """An error declaration: the event it repeats is taken back, where it is here and stands."""
        self.last = None
        wrong = EpcisEvent.objects.filter(owner=self.owner, eid=found.eid).select_related("event")
        original = wrong.filter(declared_at="").first()
        reason = found.raw["errorDeclaration"].get("reason", "")
        if original is None or original.event.corrections.exists() or original.event.corrects_id is not None:
            self._together([found], outcome)
            return
        when = datetime.datetime.fromisoformat(found.facts.declared_at)
        before = ledger.last_number()
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
            outcome.refused.add(id(found))
            return
        taken_back = Event.objects.filter(log__number__gt=before, corrects__isnull=False).values("corrects")
        free_names(self.owner, Lot.objects.filter(origin_event__in=taken_back).values_list("pk", flat=True))
        self._anew()
        self.names.load(found.terms)
        index([(ledger.last_number(), captured.event, found, None)], self)
        outcome.numbers.append(ledger.last_number())


def free_names(owner: Organisation, lots: Iterable[int]) -> set[int]:
    """Give the names of void lots free where no other event names the lot: serials that went over from lots without a
    number are of those again, what else was named is of none until it is met again. Where other events name the lot its
    goods are there, and the names stay. Which of the lots these were.
    """
    void = Lot.objects.filter(pk__in=list(lots), voided_by__isnull=False)
    others = EventItem.objects.filter(lot__in=void, event__corrects=None, event__corrections=None)
    begun: dict[int, list[int]] = defaultdict(list)
    for lot, origin in void.exclude(pk__in=others.values("lot")).values_list("pk", "origin_event"):
        begun[origin].append(lot)
    back: dict[int, list[str]] = {}
    for origin, free in begun.items():
        names = EpcisName.objects.filter(lot__in=free)
        serials = list(names.filter(owner=owner, kind="epc").values_list("value", flat=True))
        back |= _were_of(serials, owner, origin)
        names.update(lot=None)
    for lot, values in back.items():
        for part in chunks(values):
            EpcisName.objects.filter(among_texts("value", part), owner=owner, kind="epc", lot=None).update(lot=lot)
    return {lot for free in begun.values() for lot in free}


def _were_of(serials: Sequence[str], owner: Organisation, wrong: int) -> dict[int, list[str]]:
    """Of these serials those that were of a lot without a number before this event, by lots."""
    lots = Lot.objects.filter(items__event=wrong, items__role="input", voided_by=None).distinct()
    inputs = [lot.pk for lot in lots if lot.unnumbered]
    if not inputs or not serials:
        return {}
    touched: dict[int, set[int]] = defaultdict(set)
    before = LogEntry.objects.get(event=wrong).number
    items = EventItem.objects.filter(lot__in=inputs, event__log__number__lt=before)
    for number, lot in items.values_list("event__log__number", "lot"):
        touched[number].add(lot)
    found: dict[str, set[int]] = defaultdict(set)
    for part in chunks(serials):
        terms = EpcisTerm.objects.filter(
            among_texts("name__value", part),
            name__owner=owner,
            name__kind__in=("epc", "inEpc", "outEpc"),
            number__lt=before,
        )
        for serial, number in terms.values_list("name__value", "number"):
            found[serial] |= touched.get(number, set())
    back: dict[int, list[str]] = defaultdict(list)
    for serial, candidates in found.items():
        if len(candidates) == 1:
            back[candidates.pop()].append(serial)
    return back


def _all_names(events: Sequence[Incoming]) -> Iterable[tuple[str, str]]:
    """Every name of these events, those of goods also under what they are (``epc``, ``class``)."""
    for each in events:
        facts = each.facts
        # What stands among ``things`` has the same name there.
        yield from each.terms
        for thing in (*facts.inputs, *facts.outputs):
            yield ("class" if thing.is_class else "epc"), thing.uri
        if facts.parent:
            yield "epc", facts.parent


class Chunk:
    """Some events planned together and written together."""

    def __init__(self, writer: Writer, events: Sequence[Incoming], outcome: Outcome, *, alone: bool = False) -> None:
        self.writer = writer
        self.alone = alone
        self.assumed: dict[tuple[int, int], datetime.datetime] = {}
        self.short: set[int] = set()
        self.settled: dict[int, Event] = {}
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
        self.transformations: dict[str, tuple[Parts, Parts]] = {}
        self.begun: dict[Any, Beginning | None] = {}

    def write(self) -> None:
        """Read what they name, plan each, write all."""
        self.names.load(_all_names(self.events), hold=True)
        self._find_lots()
        # What was told with the head of the log holds until something is written.
        last, self.writer.last = self.writer.last, None
        batch = Batch(writes=True, number=ledger.last_number() if last is None else last, size=len(self.events))
        blocks = list(chunks(self.events, BLOCK))
        # What was planned is written while the next is planned; of one block all at the end.
        with behind() if len(blocks) > 1 else gathered(), open_batch(batch):
            # Read with the head of the log held: nobody changed them since.
            batch.lots |= self.lots
            batch.prepare(lots=list(self.lots), holder=self.owner)
            self._read_codes(batch)
            for block in blocks:
                written = self._plan(block, batch)
                batch.flush()
                # Names met by events to come are written with what they stand for then.
                last = block is blocks[-1]
                self._write_names(None if last else _all_names(block))
                self._keep_contents()
                index(written, self.writer)
                if not last:
                    check_references()
                self.outcome.numbers += [number for number, _event, _found, _other in written]
        self._settle()

    def _settle(self) -> None:
        for lot, event in self.settled.items():
            settle_shortage(lot, event)

    def write_alone(self) -> None:
        """The same of one event, without a batch."""
        (each,) = self.events
        self.names.load(_all_names(self.events), hold=True)
        self._find_lots()
        planned = self._planned(each)
        if planned is None:
            return
        captured, other = planned
        number = LogEntry.objects.get(event=captured.event).number
        self._write_names()
        self._keep_contents()
        index([(number, captured.event, each, other)], self.writer)
        self._settle()
        self.outcome.numbers.append(number)

    def _plan(self, events: Sequence[Incoming], batch: Batch) -> list[Written]:
        """Plan each, and keep its rows to be written.

        Most events of large documents meet serials nobody met before, like the one before them: the first of each kind
        is planned and judged, the others are written after it.
        """
        written: list[Written] = []
        for each in events:
            kind = self._beginning_kind(each)
            like = None if kind is None else self.begun.get(kind)
            event, other = None if like is None else self._begin_like(each, like), None
            if event is None:
                before, planned = batch.number, self._planned(each)
                if planned is None:
                    continue
                event, other = planned[0].event, planned[1]
                if kind is not None and kind not in self.begun:
                    # What another event stands beside is planned each time.
                    by_itself = batch.number == before + 1 and other is None
                    self.begun[kind] = beginning(planned[0]) if by_itself else None
            written.append((batch.number, event, each, other))
            if not len(written) % LOOK:
                go_on()
        return written

    def _planned(self, each: Incoming) -> tuple[Captured, Organisation | None] | None:
        """One event planned and kept to be written; None where it is refused."""
        try:
            captured, other = self._one(each)
        except Late:
            raise _ByItself(each) from None
        except Refused as refused:
            self.outcome.faults.append(refused.fault)
            self.outcome.refused.add(id(each))
            return None
        except DomainError as error:
            self.outcome.faults.append(Fault(each.pointer, error.code, error.message))
            self.outcome.refused.add(id(each))
            return None
        self.outcome.conflicts += bool(captured.conflicts)
        return captured, other

    # --- What is named ----------------------------------------------------------------------------------------------

    def _find_lots(self) -> None:
        """Lots that names stand for already, and lots of the ledger that names met for the first time may mean."""
        goods = {
            row.id: row
            for each in self.events
            for thing in (*each.facts.things, *each.facts.inputs, *each.facts.outputs)
            if (row := self.names.known[("class" if thing.is_class else "epc", thing.uri)])
        }
        self.know_lots(sorted({row.__dict__["lot_id"] for row in goods.values()} - {None}))
        self.free_void()
        self.ask_ledger([row for row in goods.values() if row.__dict__["lot_id"] is None])
        if self.lots:
            self.assumed, self.short = latest_assumed(list(self.lots)), short_lots(list(self.lots), self.owner)

    def free_void(self) -> None:
        """Names of known lots that were declared wrong, by form too, and that nothing else names, are free again."""
        void = [pk for pk, lot in self.lots.items() if lot.voided_by_id is not None]
        freed = free_names(self.owner, void) if void else set()
        rows = [row for row in self.names.known.values() if row.__dict__["lot_id"] in freed] if freed else []
        for part in chunks(rows):
            now = dict(EpcisName.objects.filter(pk__in=[row.pk for row in part]).values_list("pk", "lot"))
            for row in part:
                row.__dict__["lot_id"] = now.get(row.pk)
        self.know_lots(sorted({row.__dict__["lot_id"] for row in rows} - {None}))

    def know_lots(self, ids: Sequence[int]) -> None:
        self.lots |= read_lots([pk for pk in ids if pk not in self.lots])

    def lot_row(self, uri: str) -> EpcisName:
        """What the name of a lot stands for."""
        key = ("class", uri)
        if key not in self.names.known:
            self.names.load([key])
            row = self.names.known[key]
            if row.lot_id is None:
                self.ask_ledger([row])
            elif row.lot_id not in self.lots:
                self.know_lots([row.lot_id])
                self.free_void()
        return self.names.known[key]

    def _bind_told(self, lots: Mapping[str, str]) -> None:
        """Instances that one of our own installations says to be of a lot that is known here."""
        for name, uri in lots.items():
            row = self.names.known["epc", name]
            if uri and row.lot_id is None:
                known = self.lot_row(uri)
                lot = self.lots.get(known.lot_id or 0) or known.lot
                if lot is not None:
                    self.bind(row, lot)

    def read_again(self, lot: Lot) -> Lot:
        """A lot as it is now, after its beginning was stated again."""
        self.lots[lot.pk] = Lot.objects.select_related(*LOT_PARTS).get(pk=lot.pk)
        return self.lots[lot.pk]

    def _read_codes(self, batch: Batch) -> None:
        """The codes that goods met for the first time will have, as far as they are given out already: read together
        for every product, so that a batch need not ask for each lot.
        """
        known = self.names.known
        codes: set[str] = set()
        for each in self.events:
            facts = each.facts
            if len(facts.things) == 1 and not (facts.inputs or facts.outputs):
                (thing,) = facts.things
                if not thing.is_class and serial_gtin(thing.uri):
                    # What most events of a line name.
                    if known["epc", thing.uri].__dict__["lot_id"] is None:
                        codes.add(f"SN-{digest_of(thing.uri)}")
                    continue
            # The first of serials that begin a lot together names it (``Plan._close``), otherwise than one alone.
            first: dict[tuple[str, int | None], str] = {}
            several: set[tuple[str, int | None]] = set()
            for thing in (*facts.things, *facts.inputs, *facts.outputs):
                row = known[("class" if thing.is_class else "epc", thing.uri)].__dict__
                if row["lot_id"] is not None:
                    continue
                gtin = "" if thing.is_class else serial_gtin(thing.uri)
                if gtin and (gtin, row["alike_id"]) in first:
                    several.add((gtin, row["alike_id"]))
                    continue
                epc = parsed(thing.uri)
                if epc is None or not epc.gtin:
                    codes.add(f"ID-{digest_of(thing.uri)}")
                elif epc.lot:
                    codes.add(epc.lot)
                elif (epc.gtin, row["alike_id"]) not in first:
                    first[(epc.gtin, row["alike_id"])] = thing.uri
                else:
                    several.add((epc.gtin, row["alike_id"]))
            for key, uri in first.items():
                codes.add(f"SN-{digest_of(uri)}")
                if key in several:
                    codes.add(code_of(each.eid, uri))
        ours = ", ".join(["%s"] * len(self.parties.mine))
        for part in chunks(sorted(codes), READ):
            wanted, given = texts_condition("lot_code", part)
            with planned_cursor() as cursor:
                cursor.execute(
                    f"SELECT organisation_id, product_id, lot_code FROM trace_lot WHERE {wanted} "  # noqa: S608
                    "AND voided_by_id IS NULL AND organisation_id IN "
                    f"(SELECT id FROM trace_organisation WHERE kept_by_id = %s OR id IN ({ours}))",
                    [given, self.owner.pk, *self.parties.mine],
                )
                for issuer, product, code in cursor.fetchall():
                    batch.codes[(issuer, product)].add(code)
        batch.asked_codes |= codes

    def ask_ledger(self, rows: Sequence[EpcisName]) -> None:
        """Lots entered by form or owned by others that this organisation may open: by GTIN and lot code, by serial, by
        the code under our own host.
        """
        by_lot: dict[tuple[str, str], list[EpcisName]] = defaultdict(list)
        by_code: dict[str, list[EpcisName]] = defaultdict(list)
        start = settings.PUBLIC_BASE_URL + "/c/"
        for row in rows:
            if row.kind == "epc" and serial_gtin(row.value):
                by_code[row.value.rpartition("/")[2]].append(row)
                continue
            if row.value.startswith(start):
                by_code[row.value[len(start) :]].append(row)
                continue
            epc = parsed(row.value)
            if epc is None:
                continue
            if epc.lot:
                by_lot[(epc.gtin, epc.lot)].append(row)
            elif epc.serial and epc.gtin:
                by_code[epc.serial].append(row)
            elif epc.scheme.name == "sscc":
                by_code[epc.key].append(row)
        for pairs in chunks(list(by_lot)):
            # Whether there are any costs little; which of them may be opened costs much, and mostly there are none.
            if not there((Lot, "lot_code"), texts=[lot for _gtin, lot in pairs])[0]:
                continue
            found = self._visible().filter(
                product__gtin__in={gtin for gtin, _lot in pairs}, lot_code__in={lot for _gtin, lot in pairs}
            )
            for lot in found.select_related(*LOT_PARTS).order_by("is_external", "id"):
                for row in by_lot.get((lot.product.gtin or "", lot.lot_code), ()):
                    if row.lot_id is None:
                        self.bind(row, lot)
        for codes in chunks(list(by_code), READ):
            lots, units_there = there((Lot, "public_code"), (Unit, "code"), texts=codes)
            if lots:
                for lot in self._visible().filter(among_texts("public_code", codes)).select_related(*LOT_PARTS):
                    for row in by_code[lot.public_code]:
                        self.bind(row, lot)
            if not units_there:
                continue
            units = Unit.objects.filter(among_texts("code", codes)).select_related("lot__product", "parent__parent")
            rest = []
            for unit in units.filter(lot__in=lots_visible_to(self.by)):
                for row in by_code[unit.code]:
                    self._meet_unit(row, unit)
                    rest.append(unit.pk)
            for unit in units.exclude(pk__in=rest):
                for row in by_code[unit.code]:
                    epc = parsed(row.value)
                    if epc is not None and epc.gtin and epc.gtin == unit.lot.product.gtin:
                        row.alike_id = unit.lot_id

    def _visible(self) -> QuerySet[Lot]:
        return lots_visible_to(self.by).filter(voided_by=None)

    def _meet_unit(self, row: EpcisName, unit: Unit) -> None:
        """A code issued here: one thing is of its lot, a pack is what lies in it."""
        epc = parsed(row.value)
        if epc is not None and epc.gtin and epc.gtin != unit.lot.product.gtin:
            return
        self.units[row.value] = unit
        if not unit.container and unit.level == Unit.Level.ITEM:
            self.know_lots([unit.lot_id])
            self.bind(row, self.lots[unit.lot_id])

    def bind(self, row: EpcisName, lot: Lot) -> None:
        self.lots[lot.pk] = lot
        # Past the descriptor, which takes ten times as long: thousands of serials are of one lot.
        row.__dict__["lot_id"] = lot.pk
        self.bound.append(row)

    def bind_all(self, rows: Sequence[EpcisName], lot: Lot) -> None:
        """The same of many rows."""
        self.lots[lot.pk] = lot
        for row in rows:
            row.__dict__["lot_id"] = lot.pk
        self.bound += rows

    # --- One event --------------------------------------------------------------------------------------------------

    def _beginning_kind(self, found: Incoming) -> Any:
        """What tells alike, apart from times and serials, events that only name plain serials of one product which
        nobody met and which say nothing of a lot. None for any other event.
        """
        facts = found.facts
        things = facts.things
        if not things or facts.parent or facts.inputs or facts.outputs or facts.declared_at or "ilmd" in found.raw:
            return None
        # Which lots they are of, and when those were made, may be said elsewhere.
        if facts.lots or things[0].uri in self.parties.master:
            return None
        known, gtin = self.names.known, serial_gtin(things[0].uri)
        stem = things[0].uri[: things[0].uri.rfind("/") + 1]
        for thing in things:
            uri = thing.uri
            if thing.is_class or not uri.startswith(stem) or not serial_gtin(uri) or uri in self.units:
                return None
            row = known["epc", thing.uri].__dict__
            if row["lot_id"] is not None or row["alike_id"] is not None:
                return None
        if not gtin or (len(things) > 1 and len({thing.uri for thing in things}) < len(things)):
            return None
        return (
            facts.kind,
            facts.action,
            facts.biz_step,
            facts.disposition,
            facts.read_point,
            facts.biz_location,
            facts.performer,
            facts.step,
            facts.tz_offset,
            facts.by_day,
            tuple(facts.sources),
            tuple(facts.destinations),
            gtin,
            len(things),
        )

    def _begin_like(self, found: Incoming, like: Beginning) -> Event | None:
        """An event written like the one of its kind that was planned; None where it has to be looked at."""
        things = found.facts.things
        first = things[0].uri
        display = first[first.rfind("/") + 1 :]
        if len(things) == 1:
            code = f"SN-{digest_of(first)}"
        else:
            code, display = code_of(found.eid, first), f"{display} +{len(things) - 1}"
        begun = begin_like(
            like, occurred_at=found.facts.event_time, data=found.proof, lot_code=code, display_code=display
        )
        if begun is None:
            return None
        event, lot = begun
        self.bind_all([self.names.known["epc", thing.uri] for thing in things], lot)
        return event

    def _one(self, found: Incoming) -> tuple[Captured, Organisation | None]:
        """Plan and write one event; answers with it the other registered side, if one is named."""
        facts = found.facts
        if facts.lots:
            self._bind_told(facts.lots)
        if facts.declared_at:
            return self._nothing_taken_back(found), None
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
        told = self.parties.party(facts.performer) if facts.performer else None
        for uri in (facts.biz_location, facts.read_point):
            party, place = self.parties.at(uri, told)
            if party is not None:
                break
        if told is not None and (party is None or party.pk != told.pk):
            party, place = told, None
        named = side_of(side)
        if named and (party is None or party.pk not in self.parties.mine):
            party = self.parties.party(named)
            if place is not None and place.organisation_id != party.pk and place.organisation_id in self.parties.mine:
                place = None
        return party or self.owner, place

    def _tell(self, found: Incoming, things: Sequence[Thing]) -> Captured:
        """Nothing moves: the lots are named. What was never met begins as goods of whoever reports them."""
        performer, place = self._performer(found.facts)
        plan = Plan(self, found, performer, place)
        for thing in things:
            plan.observe(thing)
        return plan.capture("common.reported")

    def _nothing_taken_back(self, found: Incoming) -> Captured:
        """An error declaration of what is not here or was taken back already: it is kept and moves nothing."""
        facts = found.facts
        performer, place = self._performer(facts)
        plan = Plan(self, found, performer, place)
        for thing in (*facts.things, *facts.inputs, *facts.outputs):
            if plan.is_known(thing):
                plan.observe(thing)
        return plan.capture("common.reported")

    def _object(self, found: Incoming) -> tuple[Captured, Organisation | None]:
        facts = found.facts
        step = facts.biz_step
        if facts.action == "ADD":
            performer, place = self._performer(facts)
            plan = Plan(self, found, performer, place)
            plan.name_first(facts.things)
            for thing in facts.things:
                plan.make(thing)
            return plan.capture("common.produce"), None
        if facts.action == "DELETE" or step in ("destroying", "retail_selling", "dispensing"):
            sold = step in ("retail_selling", "dispensing") and facts.action != "DELETE"
            return self._use_up(found, "common.sell" if sold else "common.destroy"), None
        if step in ("shipping", "consigning"):
            return self._ship(found)
        if step in ("receiving", "accepting"):
            return self._receive(found), None
        if is_sample(facts.step):
            return self._use_up(found, "common.sample"), None
        return self._tell(found, facts.things), None

    def _use_up(self, found: Incoming, code: str) -> Captured:
        """Goods leave for good: sold, destroyed, taken as a sample."""
        performer, place = self._performer(found.facts)
        plan = Plan(self, found, performer, place)
        plan.begin_unknown(found.facts.things)
        for thing in found.facts.things:
            plan.take(thing)
        return plan.capture(code)

    def _ship(self, found: Incoming) -> tuple[Captured, Organisation | None]:
        """Goods leave; with the other party named they are on their way to it, as by a slip."""
        facts = found.facts
        performer, place = self._performer(facts, facts.sources)
        to = side_of(facts.destinations)
        receiver = self.parties.party(to) if to else self._location_party(facts.destinations)
        if receiver is None or receiver.pk == performer.pk:
            return self._tell(found, facts.things), None
        plan = Plan(self, found, performer, place)
        plan.begin_unknown(facts.things)
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
        came_from = side_of(facts.sources)
        source = self.parties.party(came_from) if came_from else self._location_party(facts.sources)
        plan = Plan(self, found, performer, place)
        for thing in facts.things:
            plan.arrive(thing, source)
        return plan.capture("common.receive", counterparty=source)

    def _transform(self, found: Incoming) -> Captured:
        facts = found.facts
        performer, place = self._performer(facts)
        plan = Plan(self, found, performer, place)
        plan.begin_unknown(facts.inputs)
        plan.name_first(facts.outputs)
        for thing in facts.inputs:
            plan.use_up(thing)
        for thing in facts.outputs:
            plan.make(thing)
        if facts.transformation:
            plan.join(self._parts_of(facts.transformation))
        captured = plan.capture("common.process" if plan.links else "common.reported")
        if facts.transformation:
            ins, outs = self.transformations.setdefault(facts.transformation, ([], []))
            ins += [(use.lot, abs(use.micros)) for use in plan.uses if use.role == "input" and use.lot is not None]
            outs += [(lot, new.micros) for lot, new in zip(captured.lots, plan.outputs, strict=True)]
            outs += [(use.lot, use.micros) for use in plan.uses if use.role == "output" and use.lot is not None]
        return captured

    def _parts_of(self, transformation: str) -> tuple[Parts, Parts]:
        """Inputs and outputs that earlier events with this transformation id named."""
        if transformation in self.transformations:
            return self.transformations[transformation]
        name = self.names.known[("transformation", transformation)]
        numbers = EpcisTerm.objects.filter(name=name).values("number")
        items = EventItem.objects.filter(event__log__number__in=numbers, lot__isnull=False)
        items = items.filter(event__corrections__isnull=True, role__in=("input", "output"))
        moved: dict[tuple[int, str], int] = defaultdict(int)
        for pk, role, micros in items.values_list("lot", "role", "micros"):
            moved[pk, role] += abs(micros)
        self.know_lots(sorted({pk for pk, _role in moved}))
        parts = (
            [(self.lots[pk], micros) for (pk, role), micros in moved.items() if role == "input"],
            [(self.lots[pk], micros) for (pk, role), micros in moved.items() if role == "output"],
        )
        self.transformations[transformation] = parts
        return parts

    def _aggregate(self, found: Incoming) -> Captured:
        """Into or out of a pack: the lots are named, and what lies in the pack is remembered for when it moves."""
        facts = found.facts
        performer, place = self._performer(facts)
        plan = Plan(self, found, performer, place)
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

    def _repack(self, pack: EpcisName, facts: Facts, plan: Plan) -> None:
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
        # The lots that names stand for are written before the names.
        settle(row.lot_id for row in (*self.names.held.values(), *self.bound) if row.lot_id is not None)
        self._write_names()
        self._keep_contents()

    def _write_names(self, keys: Iterable[tuple[str, str]] | None = None) -> None:
        """Write names met here (all, or these), and of others what changed: which lots they stand for, in which packs
        they lie.
        """
        fresh, held = {each.id for each in self.names.write(keys)}, self.names.held
        bound = {row.id: row for row in self.bound if row.id not in fresh and (row.kind, row.value) not in held}
        packed = {row.id: row for row in self.parents if row.id not in fresh and (row.kind, row.value) not in held}
        update(list(bound.values()), "lot_id", "alike_id")
        update(list(packed.values()), "parent_id")
        self.bound.clear()
        self.parents.clear()

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
            self.know_lots([share.lot for share in shares])
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
        self.know_lots([*pieces, *by_class])
        found: dict[Lot, int] = defaultdict(int)
        for pk, count in pieces.items():
            amount = amount_in(self.lots[pk].product, count, "")
            found[self.lots[pk]] += amount.micros if amount is not None else 0
        for pk, micros in by_class.items():
            found[self.lots[pk]] += micros
        return dict(found)


# --- The index of the door ------------------------------------------------------------------------------------------

_TOLD = (
    "number", "event_id", "owner_id", "eid", "declared_at", "kind", "action", "event_time", "record_time", "document",
)  # fmt: skip


Written = tuple[int, Event, Incoming, Organisation | None]
"""An event that was planned: its number in the log, itself, as it came, the other registered side."""


def index(written: Sequence[Written], writer: Writer) -> None:
    """What the door shows and finds of events just written: one row each, and one per name."""
    known = writer.names.known
    owner = writer.owner.pk
    told, seen, terms = [], [], []
    for number, event, found, other in written:
        facts, at = found.facts, event.occurred_at
        told.append(
            (
                number,
                event.id,
                owner,
                found.eid,
                facts.declared_at,
                facts.kind,
                facts.action,
                at,
                event.recorded_at,
                found.text,
            )
        )
        seen.append((owner, number, at))
        terms += [(known[key].id, number) for key in found.terms]
        if other is not None:
            names = Names(other)
            names.load(found.terms)
            seen.append((other.pk, number, at))
            terms += [(names.known[key].pk, number) for key in found.terms]
    insert_values(EpcisEvent, _TOLD, told)
    insert_values(EpcisSeen, ("owner_id", "number", "event_time"), seen)
    insert_values(EpcisTerm, ("name_id", "number"), terms)


__all__ = ["Incoming", "Outcome", "Writer", "declared", "id_of", "incoming", "index"]
