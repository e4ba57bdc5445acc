"""Many events in one transaction: rows kept in memory and written together, guards judging the sum so far.

``capture`` and the actions around it read and write through the functions here. Outside of a batch these do at once
what they say. Inside one (an import) the head of the log is taken once, lots, stock and holds are read once, and rows
are inserted hundreds at a time. Guards and results are the same; a test enters the same facts both ways.

A *trial* writes nothing and takes no lock: it is how an import finds out before what guards will say.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from django.db import connection, transaction
from django.db.models import Max, Model, Q
from django.utils.translation import gettext as _

from trace.behind import run
from trace.errors import Invalid
from trace.identifiers import new_serials, uuid7s
from trace.models import (
    Conflict,
    Event,
    EventItem,
    HoldMember,
    LogEntry,
    Lot,
    LotLink,
    OldCode,
    PersonalRecord,
    Place,
    Product,
    ProductVersion,
    Shipment,
    Stock,
    Transfer,
)
from trace.rows import PART, insert, insert_values, names_of, new, numbers_of, update
from trace.turns import turn

if TYPE_CHECKING:
    from trace.derive import StockKey
    from trace.models import Organisation

Row = TypeVar("Row", bound=Model)
Found = TypeVar("Found")
P = ParamSpec("P")
AHEAD = 10_000
"""Row numbers left free on SQLite for what others write while an import is judged without holding the head."""
ORDER: Sequence[type[Model]] = (
    PersonalRecord, Event, Lot, Shipment, Transfer, EventItem, LotLink, Conflict, OldCode, LogEntry,
)  # fmt: skip
"""What rows name comes before them: on PostgreSQL each statement looks (``trace.references``)."""
NUMBERED = frozenset({PersonalRecord, Event, Lot, Shipment, Transfer})
CHUNK = 500
FEW = 20
"""Lots up to which their products are read with each."""
TOGETHER = 64
"""Names and public codes made at a time."""
EntryValues = tuple[int, int, bytes, str]
"""Number, event, bytes and hash of an entry of the log."""
_ENTRY = ("number", "event_id", "canonical", "sha256")
_STOCK = ("id", "lot_id", "organisation_id", "place_id", "micros")
LOT_PARTS = ("product", "product_version__standard", "released_by", "origin_event")


def read_lots(numbers: Sequence[int]) -> dict[int, Lot]:
    """Lots by row number, with what guards ask of them (``LOT_PARTS``). Where they are many, a product is read once and
    not with each of its lots.
    """
    found: dict[int, Lot] = {}
    if len(numbers) <= FEW:
        return Lot.objects.select_related(*LOT_PARTS).in_bulk(numbers) if numbers else found
    for part in _chunks(numbers):
        found |= Lot.objects.select_related("released_by", "origin_event").in_bulk(part)
    products: dict[int, Product] = {}
    versions: dict[int, ProductVersion] = {}
    for part in _chunks(sorted({lot.product_id for lot in found.values()})):
        products |= Product.objects.in_bulk(part)
    for part in _chunks(sorted({lot.product_version_id for lot in found.values()})):
        versions |= ProductVersion.objects.select_related("standard").in_bulk(part)
    for lot in found.values():
        # Past the descriptors, which look whether the other side must know.
        known = lot._state.fields_cache
        known["product"], known["product_version"] = products[lot.product_id], versions[lot.product_version_id]
    return found


class NeedsHead(Exception):
    """Something can only be judged when rows of the batch are in the database."""


class Batch:
    """The rows of one import on their way, and what is known of the lots they touch.

    It ``writes`` with the head of the log held, in the caller's transaction; or, ``ahead``, it is judged first without
    the head and written afterwards in a moment, if ``still_holds``. Otherwise it is a trial. ``size`` is about how many
    rows of a model there will be: so many row numbers are taken at a time.
    """

    def __init__(self, *, writes: bool, number: int = 0, ahead: bool = False, size: int = PART) -> None:
        self.writes = writes
        self.ahead = ahead
        self.size = size
        self.number = number
        self.seen = number
        self._told = -1
        self.first: dict[type[Model], int] = {}
        self.lots: dict[int, Lot] = {}
        self.stock: dict[StockKey, int] = {}
        self.places: dict[int, Place] = {}
        self.unwritten: set[int] = set()
        self.holds: dict[int, list[HoldMember]] = {}
        self.memo: dict[tuple[str, Any], Any] = {}
        self.codes: dict[tuple[int, int], set[str]] = defaultdict(set)
        self.asked_codes: set[str] = set()
        self.products: set[int] = set()
        self.movements: dict[tuple[int, int], list[tuple[Event, int]]] = defaultdict(list)
        self.arrived: dict[tuple[int, int], list[tuple[Event, int]]] = defaultdict(list)
        self._places_of: dict[tuple[int, int], list[int | None]] = defaultdict(list)
        self._stock_of: set[tuple[int, int]] = set()
        self._stock_rows: dict[StockKey, Stock] = {}
        self._new_stock: dict[StockKey, int] = {}
        self._moved: set[StockKey] = set()
        self.transfers: dict[int, Transfer] = {}
        self._transfers_of: dict[int, list[Transfer]] = defaultdict(list)
        self._made: dict[int, int] = defaultdict(int)
        self._answered: dict[int, Transfer] = {}
        self._waiting: dict[type[Model], list[Any]] = defaultdict(list)
        self._items: list[Sequence[Any]] = []
        self._entries: list[EntryValues] = []
        self._ids: dict[type[Model], Iterator[int]] = {}
        self._uids: list[uuid.UUID] = []
        self._serials: list[str] = []
        self.alike: dict[Any, Any] = {}
        """What rows of this batch have in common, by what tells them alike (``trace.actions.capture``)."""

    # --- Numbers ----------------------------------------------------------------------------------------------------

    def next_number(self) -> int:
        """The number of the next entry of the log."""
        return self.number + 1

    def new_id(self, model: type[Model]) -> int:
        """A row number before the row is written: others refer to it. In a trial it is negative and nobody's."""
        if model not in self._ids:
            if not self.writes:
                self._ids[model] = iter(range(-1, -(10**9), -1))
            else:
                # Most events begin a lot with some stock; numbers of stock are not taken ahead of the head.
                models = (Event, Lot) if self.ahead else (Event, Lot, Stock)
                wanted = models if model is Event else (model,)
                self._ids |= numbers_of(wanted, part=self.size, leave=AHEAD if self.ahead else 0)
        number = next(self._ids[model])
        self.first.setdefault(model, number)
        return number

    def next_uid(self) -> uuid.UUID:
        """A name for a row: some hundred are made at a time."""
        if not self._uids:
            self._uids = uuid7s(TOGETHER)[::-1]
        return self._uids.pop()

    def next_serial(self) -> str:
        """A public code, likewise."""
        if not self._serials:
            self._serials = new_serials(TOGETHER)
        return self._serials.pop()

    # --- Known before -----------------------------------------------------------------------------------------------

    def prepare(
        self, *, lots: Iterable[int], holder: Organisation, codes: Iterable[str] = (), products: Iterable[int] = ()
    ) -> None:
        """Read what the rows will ask for, hundreds at a time: lots, the holder's stock of them, codes given out."""
        numbers = sorted(set(lots))
        self.fresh_lots(numbers)
        self.load_stock(numbers, [holder.pk])
        self.asked_codes |= set(codes)
        self.products |= set(products)
        for part in _chunks(sorted(self.asked_codes)):
            rows = Lot.objects.filter(product__in=self.products, lot_code__in=part, voided_by=None)
            for issuer, product, code in rows.values_list("organisation", "product", "lot_code"):
                self.codes[(issuer, product)].add(code)

    def fresh_lots(self, numbers: Iterable[int]) -> dict[int, Lot]:
        """Lots by row number as they are now: read once while the head is held, since only we change them."""
        wanted = list(numbers)
        self.lots |= read_lots([number for number in wanted if number not in self.lots])
        return {number: self.lots[number] for number in wanted}

    def load_stock(self, lots: Iterable[int], holders: Iterable[int]) -> None:
        """Read the stock rows of these lots and holders that were not read yet."""
        holders = sorted(set(holders))
        missing = [lot for lot in lots if any((lot, holder) not in self._stock_of for holder in holders)]
        for part in _chunks([lot for lot in missing if lot not in self.unwritten]):
            for row in Stock.objects.filter(lot__in=part, organisation__in=holders).order_by("id"):
                key = (row.lot_id, row.organisation_id, row.place_id)
                if (row.lot_id, row.organisation_id) not in self._stock_of:
                    self._stock_rows[key] = row
                    self._put(key, row.micros)
        self._stock_of |= {(lot, holder) for lot in missing for holder in holders}

    def place(self, number: int | None) -> Place | None:
        """A place by its row number."""
        if number is None:
            return None
        if number not in self.places:
            self.places[number] = Place.objects.get(pk=number)
        return self.places[number]

    # --- Changes ----------------------------------------------------------------------------------------------------

    def keep(self, rows: Sequence[Model]) -> None:
        """Take rows of one model to be written with the rest; they get their row numbers now."""
        if not rows:
            return
        model = type(rows[0])
        if model in NUMBERED:
            # Past Django's ``pk``, which looks for the column each time.
            key = model._meta.pk.attname
            for row in rows:
                row.__dict__[key] = self.new_id(model)
        self._waiting[model] += rows
        note = _NOTED.get(model)
        if note is not None:
            for row in rows:
                note(self, row)

    def begin(self, event: Event, lot: Lot, holder: int, micros: int, item: Sequence[Any], entry: EntryValues) -> None:
        """``keep`` of an event that begins one lot and of that, which have their numbers; of its item and its entry of
        the log the values are enough.
        """
        self._waiting[Event].append(event)
        self._waiting[Lot].append(lot)
        self._begin(lot)
        self._items.append(item)
        self._moved_by(event, lot.id, holder, micros)
        self._entries.append(entry)
        self.number = entry[0]

    def _begin(self, lot: Lot) -> None:
        """A lot that others of this batch may name."""
        self.lots[lot.id] = lot
        self.unwritten.add(lot.id)
        pair = (lot.organisation_id, lot.product_id)
        self.codes[pair].add(lot.lot_code)
        self.memo[("last_code", pair)] = lot.lot_code

    def _log(self, entry: LogEntry) -> None:
        self.number = entry.number

    def _remember(self, item: EventItem) -> None:
        """What came and left of lots, for guards that ask."""
        if item.lot_id is not None:
            self._moved_by(item.event, item.lot_id, item.holder_id, item.micros)

    def _moved_by(self, event: Event, lot: int, holder: int, micros: int) -> None:
        if micros:
            self.movements[lot, holder].append((event, micros))
        if micros > 0:
            self.arrived[lot, holder].append((event, micros))

    def make(self, lot: int, micros: int) -> None:
        """Add to what was made of a lot that this batch knows, or count on to be written with the rest."""
        row = self.fresh_lots([lot])[lot]
        row.made_micros += micros
        if lot not in self.unwritten:
            self._made[lot] += micros

    def _bring(self, transfer: Transfer) -> None:
        if transfer.pk not in self.transfers:
            self.transfers[transfer.pk] = transfer
            self._transfers_of[transfer.lot_id].append(transfer)

    def open_transfers(self, lot: int, receiver: int) -> list[Transfer]:
        """What is on its way of a lot to a receiver, the oldest first; what this batch sent, too."""
        if lot not in self.unwritten:
            rows = Transfer.objects.filter(lot=lot, receiver=receiver, received_by=None, voided_by=None)
            for row in rows.select_related("shipment__event", "lot__product").order_by("id"):
                self._bring(row)
        found = [row for row in self._transfers_of[lot] if row.receiver_id == receiver and row.received_by_id is None]
        return sorted(found, key=lambda row: row.pk)

    def answer(self, received: Mapping[int, int], event: Event) -> None:
        """Write down what arrived of transfers that ``transfers`` brought in."""
        for number, micros in received.items():
            transfer = self.transfers[number]
            transfer.received_micros = micros
            transfer.received_by = event
            transfer.received_at = event.occurred_at
            self._answered[number] = transfer

    def move(self, deltas: Mapping[StockKey, int]) -> None:
        """Add signed millionths to the stock."""
        for key, micros in deltas.items():
            if micros:
                self.load_stock([key[0]], [key[1]])
                self._put(key, self.stock.get(key, 0) + micros)
                self._moved.add(key)

    def begin_stock(self, key: StockKey, micros: int) -> None:
        """The stock of a lot that has just begun: nobody had any of it."""
        self._stock_of.add((key[0], key[1]))
        if micros:
            self._put(key, micros)
            self._moved.add(key)

    def _put(self, key: StockKey, micros: int) -> None:
        if key not in self.stock:
            self._places_of[(key[0], key[1])].append(key[2])
        self.stock[key] = micros

    def places_of(self, lot: int, holder: int) -> list[tuple[int | None, int]]:
        """Where a holder has how much of a lot, in the order in which it came there."""
        return [(place, self.stock[(lot, holder, place)]) for place in self._places_of[(lot, holder)]]

    def still_holds(self, number: int, owner: Organisation) -> bool:
        """Whether what was judged before the head was taken is true with it held; ``number`` is the last entry now.

        Others' events change nothing for us unless they touch our lots or take something back; holds are asked again.
        """
        since = Event.objects.filter(log__number__gt=self.seen)
        if number != self.seen and since.filter(Q(organisation=owner) | Q(corrects__isnull=False)).exists():
            return False
        lots = [lot for lot in self.lots if lot not in self.unwritten]
        for part in _chunks(lots):
            if number != self.seen and EventItem.objects.filter(lot__in=part, event__in=since).exists():
                return False
            active = HoldMember.objects.filter(lot__in=part, hold__active_from__isnull=False, hold__ended_at=None)
            if set(active.values_list("pk", flat=True)) != {row.pk for lot in part for row in self.holds.get(lot, [])}:
                return False
        if connection.vendor == "postgresql":
            return True
        return all(
            (model._default_manager.aggregate(last=Max("pk"))["last"] or 0) < first
            for model, first in self.first.items()
        )

    def write_after(self, number: int) -> None:
        """Write what was judged ahead, its log entries following ``number``."""
        for entry in self._waiting[LogEntry]:
            entry.number += number - self.seen
        self.number += number - self.seen
        self.ahead = False
        self.flush()

    def flush(self) -> None:
        """Write what waits. Guards that look at the genealogy of a lot of this import find it in the database then."""
        if not self.writes or self.ahead:
            return
        # Before the rows are on their way, since what is asked waits for them.
        stock = self._new_stock_rows()
        for model in ORDER:
            insert(self._waiting.pop(model, []))
            if model is EventItem:
                insert_values(EventItem, names_of(EventItem), self._items)
            elif model is LogEntry:
                insert_values(LogEntry, _ENTRY, self._entries)
        self._items, self._entries = [], []
        insert_values(Stock, _STOCK, stock)
        update([self.lots[lot] for lot in self._made], "made_micros")
        self._made.clear()
        update(list(self._answered.values()), "received_micros", "received_by_id", "received_at")
        self._answered.clear()
        self.unwritten.clear()
        # From now on the database says what came and left.
        self.movements.clear()
        self.arrived.clear()
        self.memo = {key: value for key, value in self.memo.items() if key[0] != "arrived"}
        if self._told != self.number:
            run(f"UPDATE trace_loghead SET last = {self.number:d} WHERE id = 1")  # noqa: S608 (a number)
            self._told = self.number

    def _new_stock_rows(self) -> list[tuple[int | None, ...]]:
        """Write what changed of stock that is there; answers with the rows of what is not."""
        for key in self._moved & self._new_stock.keys():
            # Written by this batch before: it becomes a row when it changes again.
            self._stock_rows[key] = new(
                Stock, id=self._new_stock.pop(key), lot_id=key[0], organisation_id=key[1], place_id=key[2]
            )
        there = [key for key in self._moved if key in self._stock_rows]
        fresh = [key for key in self._moved if key not in self._stock_rows]
        for key in there:
            self._stock_rows[key].micros = self.stock[key]
        update([self._stock_rows[key] for key in there], "micros")
        made = {key: self.new_id(Stock) for key in fresh}
        self._new_stock |= made
        self._moved.clear()
        return [(number, *key, self.stock[key]) for key, number in made.items()]


_NOTED: dict[type[Model], Callable[[Batch, Any], None]] = {
    EventItem: Batch._remember,
    Lot: Batch._begin,
    LogEntry: Batch._log,
    Transfer: Batch._bring,
}
"""What a batch remembers of rows on their way."""
_current: ContextVar[Batch | None] = ContextVar("batch", default=None)


def current() -> Batch | None:
    """The batch that is open here, if one is."""
    return _current.get()


@contextmanager
def open_batch(batch: Batch) -> Iterator[Batch]:
    """Let all that is captured here go into this batch; written at the end, unless something was refused."""
    token = _current.set(batch)
    try:
        yield batch
        batch.flush()
    finally:
        _current.reset(token)


def whole(action: Callable[P, Found]) -> Callable[P, Found]:
    """An action that happens whole or not at all: in a transaction of its own, or as part of the batch that is open.

    In a batch it needs no savepoint: a guard refuses before anything is kept, and any other refusal ends the batch.
    """

    @wraps(action)
    def run(*args: P.args, **kwargs: P.kwargs) -> Found:
        if current() is not None:
            return action(*args, **kwargs)
        with turn(), transaction.atomic():
            return action(*args, **kwargs)

    return run


def keep(rows: Sequence[Row]) -> Sequence[Row]:
    """Insert rows now, or with the batch that is open."""
    batch = current()
    if batch is not None:
        batch.keep(rows)
    elif rows:
        type(rows[0])._default_manager.bulk_create(rows)
    return rows


def once_per_batch(name: str, key: Any, find: Callable[[], Found]) -> Found:
    """What cannot change while the head of the log is held, asked once in a batch and each time outside of one."""
    batch = current()
    if batch is None:
        return find()
    if (name, key) not in batch.memo:
        batch.memo[(name, key)] = find()
    found: Found = batch.memo[(name, key)]
    return found


def refuse_in_batch(what: object) -> None:
    """Some facts are entered one by one: corrections, releases, receipts."""
    if what and current() is not None:
        raise Invalid(_("这个环节不能批量导入，请逐条登记。"), code="not_in_batch")


def settle(lots: Iterable[int]) -> None:
    """Have written what an open batch knows of these lots, for guards that ask the database about them."""
    batch = current()
    if batch is not None and not batch.unwritten.isdisjoint(lots):
        if batch.ahead:
            raise NeedsHead
        batch.flush()


def _chunks(items: Sequence[Found]) -> Iterator[Sequence[Found]]:
    for start in range(0, len(items), CHUNK):
        yield items[start : start + CHUNK]
