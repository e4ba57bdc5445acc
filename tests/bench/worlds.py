"""A generated world: many plants' seasons, from harvest to shops, and a few lots whose answers have a known size.

Seeded: the same size gives the same graph. Every plant's season is a closed group of about a hundred lots:
24 harvests → 8 dryings of three → 4 gradings of two into two → 60 pouch lots, half of them released and shipped to
shops, most slips confirmed. Copied from what the actions wrote (``prototypes``); a test rebuilds a small world and
finds no difference.
Left out: test reports (one in the prototype), labels, holds and conflicts.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from django.db import connection, models

from tests.bench.prototypes import KINDS, Copier, Prototypes, StepPrototype, make_prototypes
from tests.bench.sinks import Sink, finish, unhindered
from tests.world import World, make_world, membership_of
from trace.identifiers import SERIAL_ALPHABET
from trace.models import (
    Division,
    Event,
    EventItem,
    LogEntry,
    LogHead,
    Lot,
    LotLink,
    Organisation,
    Place,
    Product,
    ProductVersion,
    Shipment,
    Stock,
    Transfer,
)

VERSION = 1
"""Raised when the generator writes other rows than before: cached worlds are then made anew."""
KILO = 1_000_000
BIG = 100_000
WIDE = 2_000
SHIPMENTS = 10_000
RUNGS = (32, 64)
SHALLOW_RUNGS = 12
_FIRST = datetime.datetime(2023, 9, 10, tzinfo=datetime.UTC)
_SPAN = datetime.timedelta(days=1000).total_seconds()


class Party(NamedTuple):
    """An organisation with the place it works at: row numbers and outside names."""

    id: int
    uid: str
    place: int
    place_uid: str


class Goods(NamedTuple):
    """A product with its version: row numbers and outside names."""

    kind: str
    id: int
    uid: str
    version: int
    version_uid: str


class Begun(NamedTuple):
    """A lot just begun, as later steps refer to it."""

    id: int
    uid: str
    code: str
    micros: int


@dataclass
class Plant:
    """One producer: who it is, its products, and the number of its last lot."""

    party: Party
    goods: dict[str, Goods]
    last: int = 0


@dataclass
class Facts:
    """Where to find what is measured, by row number; kept in the database beside the world."""

    version: int
    size: int
    lots: int = 0
    links: int = 0
    events: int = 0
    wide: int = 0
    shipped: int = 0
    ladders: dict[str, int] = field(default_factory=dict)
    big: int = 0
    probe_membership: str = ""
    regulator_membership: str = ""
    a_code: str = ""
    seconds: float = 0.0


class Generator:
    """Writes copies of the prototypes. Row numbers are given here, so that nothing is read back."""

    def __init__(self, prototypes: Prototypes, *, seed: int) -> None:
        self.random = random.Random(seed)
        self.prototypes = prototypes
        self.sink = Sink()
        self.next: dict[type[models.Model], int] = {}
        self.stock: dict[tuple[int, int, int], int] = defaultdict(int)
        self.made = {Lot: 0, LotLink: 0, Event: 0}
        self.log = LogHead.objects.values_list("last", flat=True).get(id=1)
        self._clock = _FIRST.timestamp()
        self._suffix = "+00" if connection.vendor == "postgresql" else ""
        self._slots = _Slots(prototypes)

    # --- Names and times --------------------------------------------------------------------------------------------

    def number(self, model: type[models.Model]) -> int:
        """The next row number of a table."""
        if model not in self.next:
            self.next[model] = (model._default_manager.aggregate(n=models.Max("pk"))["n"] or 0) + 1
        found = self.next[model]
        self.next[model] = found + 1
        return found

    def name(self) -> tuple[str, str]:
        """A new UUID as 32 digits and with dashes."""
        digits = f"{int(self._clock * 1000):012x}7{self.random.getrandbits(76):019x}"
        return digits, f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"

    def serial(self) -> str:
        """A public code."""
        bits = self.random.getrandbits(60)
        return "".join([SERIAL_ALPHABET[bits >> shift & 31] for shift in range(0, 60, 5)])

    def at(self, seconds: float) -> None:
        """Set the clock of the next events."""
        self._clock = seconds

    def _instants(self) -> tuple[str, str, str, str]:
        """When it happened and was recorded, as the columns and as the log have them; the clock goes on a minute."""
        self._clock += 60
        at = datetime.datetime.fromtimestamp(int(self._clock), datetime.UTC).isoformat()
        recorded = datetime.datetime.fromtimestamp(int(self._clock) + 30, datetime.UTC).isoformat()
        return (
            at[:10] + " " + at[11:19] + self._suffix,
            recorded[:10] + " " + recorded[11:19] + self._suffix,
            at,
            recorded,
        )

    # --- Rows ---------------------------------------------------------------------------------------------------------

    def put(self, copier: Copier, row: list[Any]) -> None:
        """One copied row."""
        self.sink.add(copier.model, copier.columns, row)

    def event(
        self,
        step: str,
        by: Party,
        *,
        place: Party | None = None,
        other: Party | None = None,
        taken: Sequence[tuple[Begun, int]] = (),
        made: Sequence[tuple[Goods, int]] = (),
        plant: Plant | None = None,
        subjects: Sequence[tuple[Begun, int, str, int]] = (),
    ) -> tuple[int, list[Begun], str]:
        """One event with its items, lots, links, stock and log entry. ``subjects`` are lot, signed micros and the
        transfer they answer (outside name and row number, empty and 0 where none).
        """
        prototype = self.prototypes.steps[step]
        # The release of a lot happens nowhere in particular.
        somewhere = prototype.event.values[self._slots.event[6]] is not None
        where = (place or by) if somewhere else by._replace(place=0)
        number = self.number(Event)
        digits, uid = self.name()
        occurred, recorded, at, recorded_at = self._instants()
        values: dict[str, Any] = {
            "event": uid,
            "org": by.uid,
            "holder": by.uid,
            "place": where.place_uid,
            "other": other.uid if other else "",
            "at": at,
            "recorded": recorded_at,
            "produced": at[:10],
            "expires": f"{int(at[:4]) + 2}{at[4:8]}28",
        }
        parts: list[str] = []
        for lot, micros in taken:
            parts.append(self._item(prototype, "input", number, len(parts), lot, -micros, by, where, values))
        for lot, micros, transfer, transfer_id in subjects:
            values["transfer"] = transfer
            parts.append(
                self._item(prototype, "subject", number, len(parts), lot, micros, by, where, values, transfer_id)
            )
        lots: list[Begun] = []
        for goods, micros in made:
            assert plant is not None, "lots begin at a plant"
            lot = self._begin(plant, goods, micros, number, occurred, values)
            parts.append(self._item(prototype, "output", number, len(parts), lot, micros, by, where, values))
            lots.append(lot)
        for lot, micros in taken:
            for child in lots:
                self._link(lot.id, child.id, number, by.id, micros)
        values["items"] = ",".join(parts)
        row = list(prototype.event.values)
        for slot, value in zip(
            self._slots.event,
            (number, digits, by.id, by.id, occurred, recorded, where.place or None, other.id if other else None),
            strict=True,
        ):
            row[slot] = value
        row[self._slots.event_data] = prototype.data.fill(values)
        self.put(prototype.event, row)
        self._log(number, prototype.head.fill(values).encode())
        self.made[Event] += 1
        return number, lots, occurred

    def _item(
        self,
        prototype: StepPrototype,
        role: str,
        event: int,
        number: int,
        lot: Begun,
        micros: int,
        holder: Party,
        place: Party,
        values: dict[str, Any],
        transfer: int = 0,
    ) -> str:
        """One item row and its stock; returns its part of the canonical bytes."""
        copier, ilmd, part = prototype.items[role]
        entered = str(abs(micros) // KILO) if micros else ""
        values.update(
            lot=lot.uid,
            code=lot.code,
            entered_text=f'"{entered}"',
            entered_part=f'"entered":"{entered}"',
            micros_part=f'"micros":{micros}',
            number_part=f'"n":{number}',
        )
        row = list(copier.values)
        for slot, value in zip(
            self._slots.item,
            (
                self.number(EventItem),
                event,
                number,
                lot.id,
                holder.id,
                place.place or None,
                micros,
                entered,
                transfer or None,
            ),
            strict=True,
        ):
            row[slot] = value
        row[self._slots.item_ilmd] = ilmd.fill(values)
        self.put(copier, row)
        if micros:
            self.stock[(lot.id, holder.id, place.place)] += micros
        return part.fill(values)

    def _begin(
        self, plant: Plant, goods: Goods, micros: int, event: int, occurred: str, values: dict[str, Any]
    ) -> Begun:
        """One lot row."""
        copier = self.prototypes.lots[goods.kind]
        plant.last += 1
        code = f"{values['produced'].replace('-', '')}-{plant.last:06d}"
        digits, uid = self.name()
        public = self.serial()
        number = self.number(Lot)
        row = list(copier.values)
        for slot, value in zip(
            self._slots.lot,
            (
                number, digits, plant.party.id, goods.id, goods.version, code, public, event, plant.party.place,
                occurred, micros, values["produced"], values["expires"],
            ),
            strict=True,
        ):  # fmt: skip
            row[slot] = value
        self.put(copier, row)
        values.update(product=goods.uid, version=goods.version_uid, public=public)
        self.made[Lot] += 1
        return Begun(number, uid, code, micros)

    def release_row(self, lots: Sequence[Begun], event: int) -> None:
        """Note that waiting lot rows were released; their rows have not been flushed yet."""
        wanted = {lot.id for lot in lots}
        for row in reversed(self.sink.waiting(Lot)):
            if row[self._slots.lot[0]] in wanted:
                row[self._slots.lot_released] = event
                wanted.discard(row[self._slots.lot[0]])
                if not wanted:
                    return
        raise AssertionError("a lot was released after its row was written")

    def _link(self, parent: int, child: int, event: int, by: int, micros: int) -> None:
        """One edge."""
        copier = self.prototypes.link
        row = list(copier.values)
        for slot, value in zip(self._slots.link, (self.number(LotLink), parent, child, event, by, micros), strict=True):
            row[slot] = value
        self.put(copier, row)
        self.made[LotLink] += 1

    def _log(self, event: int, data: bytes) -> None:
        """One entry of the log."""
        copier = self.prototypes.log
        self.log += 1
        row = list(copier.values)
        for slot, value in zip(self._slots.log, (self.log, event, data, hashlib.sha256(data).hexdigest()), strict=True):
            row[slot] = value
        self.put(copier, row)

    def ship(self, sender: Party, receiver: Party, portions: Sequence[tuple[Begun, int]], *, confirmed: bool) -> None:
        """One slip: the shipping event, its rows and, where it was confirmed, the receipt."""
        event, _lots, sent_at = self.event(
            "ship", sender, other=receiver, subjects=[(lot, -micros, "", 0) for lot, micros in portions]
        )
        shipment = self.number(Shipment)
        digits, _uid = self.name()
        copier = self.prototypes.shipment
        row = list(copier.values)
        slip = f"S{sent_at[:10].replace('-', '')}-{self.serial()[:8]}"
        for slot, value in zip(
            self._slots.shipment, (shipment, digits, slip, sender.id, receiver.id, event, sent_at), strict=True
        ):
            row[slot] = value
        self.put(copier, row)
        names = [(self.number(Transfer), *self.name()) for _portion in portions]
        answer = None
        answered_at = ""
        if confirmed:
            subjects = [
                (lot, micros, uid, number)
                for (lot, micros), (number, _digits, uid) in zip(portions, names, strict=True)
            ]
            answer, _lots, answered_at = self.event("receive", receiver, other=sender, subjects=subjects)
        copier = self.prototypes.answered if confirmed else self.prototypes.transfer
        for (lot, micros), (number, digits, _uid) in zip(portions, names, strict=True):
            row = list(copier.values)
            for slot, value in zip(
                self._slots.transfer,
                (
                    number, digits, shipment, lot.id, sender.id, receiver.id, micros,
                    micros if confirmed else None, answer, answered_at or None,
                ),
                strict=True,
            ):  # fmt: skip
                row[slot] = value
            self.put(copier, row)

    def settle(self) -> None:
        """Write the stock of a closed group of steps, and what waits if it is much."""
        copier = self.prototypes.stock
        for (lot, holder, place), micros in self.stock.items():
            row = list(copier.values)
            for slot, value in zip(self._slots.stock, (self.number(Stock), lot, holder, place, micros), strict=True):
                row[slot] = value
            self.put(copier, row)
        self.stock.clear()
        self.sink.flush_some()


class _Slots:
    """Where the columns that differ from copy to copy are."""

    def __init__(self, made: Prototypes) -> None:
        event = made.steps["create"].event
        item = made.steps["create"].items["output"][0]
        lot = made.lots["pouch"]
        self.event = event.slots(
            "id", "uid", "organisation_id", "entered_by_organisation_id", "occurred_at", "recorded_at", "place_id",
            "counterparty_id",
        )  # fmt: skip
        (self.event_data,) = event.slots("data")
        self.item = item.slots(
            "id", "event_id", "number", "lot_id", "holder_id", "place_id", "micros", "entered", "transfer_id"
        )
        (self.item_ilmd,) = item.slots("ilmd")
        self.lot = lot.slots(
            "id", "uid", "organisation_id", "product_id", "product_version_id", "lot_code", "public_code",
            "origin_event_id", "origin_place_id", "begun_at", "made_micros", "produced_on", "expires_on",
        )  # fmt: skip
        (self.lot_released,) = lot.slots("released_by_id")
        self.link = made.link.slots("id", "parent_id", "child_id", "event_id", "organisation_id", "input_micros")
        self.stock = made.stock.slots("id", "lot_id", "organisation_id", "place_id", "micros")
        self.log = made.log.slots("number", "event_id", "canonical", "sha256")
        self.shipment = made.shipment.slots(
            "id", "uid", "number", "organisation_id", "receiver_id", "event_id", "sent_at"
        )
        self.transfer = made.transfer.slots(
            "id", "uid", "shipment_id", "lot_id", "sender_id", "receiver_id", "sent_micros", "received_micros",
            "received_by_id", "received_at",
        )  # fmt: skip


# --- The cast of a generated world ------------------------------------------------------------------------------------


def _party(make: Generator, name: str, kind: str, division: str) -> Party:
    """One organisation with one place."""
    copier = make.prototypes.organisation
    number, (digits, uid) = make.number(Organisation), make.name()
    row = list(copier.values)
    for slot, value in zip(
        copier.slots("id", "uid", "name", "name_en", "kind", "division_id"),
        (number, digits, name, "", kind, division),
        strict=True,
    ):
        row[slot] = value
    make.put(copier, row)
    return _at_place(make, number, uid, division)


def _at_place(make: Generator, organisation: int, uid: str, division: str) -> Party:
    """The organisation with a place of its own."""
    copier = make.prototypes.place
    number, (digits, place_uid) = make.number(Place), make.name()
    row = list(copier.values)
    for slot, value in zip(
        copier.slots("id", "uid", "organisation_id", "name", "division_id"),
        (number, digits, organisation, f"示例场所{number}", division),
        strict=True,
    ):
        row[slot] = value
    make.put(copier, row)
    return Party(organisation, uid, number, place_uid)


def _plant(make: Generator, party: Party) -> Plant:
    """A producer with the four products of its chain."""
    goods: dict[str, Goods] = {}
    for kind in KINDS:
        product, version = make.prototypes.products[kind]
        number, (digits, uid) = make.number(Product), make.name()
        version_number, (version_digits, version_uid) = make.number(ProductVersion), make.name()
        row = list(product.values)
        for slot, value in zip(
            product.slots("id", "uid", "organisation_id", "code", "current_id"),
            (number, digits, party.id, f"G{number}", version_number),
            strict=True,
        ):
            row[slot] = value
        make.put(product, row)
        row = list(version.values)
        for slot, value in zip(
            version.slots("id", "uid", "product_id"), (version_number, version_digits, number), strict=True
        ):
            row[slot] = value
        make.put(version, row)
        goods[kind] = Goods(kind, number, uid, version_number, version_uid)
    return Plant(party, goods)


# --- What happens -----------------------------------------------------------------------------------------------------


def _season(make: Generator, plant: Plant, shops: Sequence[Party]) -> None:
    """About a hundred lots from harvest to shops."""
    rng, by = make.random, plant.party
    goods = plant.goods
    harvests: list[Begun] = []
    for _number in range(24):
        micros = rng.randrange(600, 2400) * KILO
        harvests += make.event("create", by, made=[(goods["green"], micros)], plant=plant)[1]
    dries: list[Begun] = []
    for number in range(8):
        three = harvests[number * 3 : number * 3 + 3]
        total = sum(lot.micros for lot in three) // KILO
        dries += make.event(
            "transform", by, taken=[(lot, lot.micros) for lot in three],
            made=[(goods["dry"], total * 2 // 5 * KILO)], plant=plant,
        )[1]  # fmt: skip
    graded: list[Begun] = []
    for number in range(4):
        two = dries[number * 2 : number * 2 + 2]
        half = sum(lot.micros for lot in two) // KILO * 9 // 20
        graded += make.event(
            "transform", by, taken=[(lot, lot.micros) for lot in two],
            made=[(goods["graded"], half * KILO)] * 2, plant=plant,
        )[1]  # fmt: skip
    pouches: list[Begun] = []
    for number, lot in enumerate(graded):
        pouches += _split(make, plant, lot, 8 if number % 2 else 7)
    _to_shops(make, plant, pouches[: len(pouches) // 2], shops)
    make.settle()


def _split(make: Generator, plant: Plant, lot: Begun, count: int, kind: str = "pouch") -> list[Begun]:
    """All of a lot into this many, in one event."""
    share = lot.micros // KILO // count * KILO
    return make.event(
        "transform", plant.party, taken=[(lot, share * count)], made=[(plant.goods[kind], share)] * count, plant=plant
    )[1]


def _to_shops(make: Generator, plant: Plant, lots: Sequence[Begun], shops: Sequence[Party], slip: int = 3) -> None:
    """Release these lots one by one and send a part of each, several on a slip; four slips of five are confirmed."""
    for lot in lots:
        event, _lots, _at = make.event("release", plant.party, subjects=[(lot, 0, "", 0)])
        make.release_row([lot], event)
    for begin in range(0, len(lots), slip):
        portions = [(lot, lot.micros // KILO * 2 // 3 * KILO) for lot in lots[begin : begin + slip]]
        make.ship(plant.party, make.random.choice(shops), portions, confirmed=make.random.random() < 0.8)


def _ladder(make: Generator, plant: Plant, rungs: int) -> Begun:
    """Blends of two lots into two, one after another: 2^rungs paths lead through; returns the lot at the bottom."""
    goods = plant.goods["dry"]
    pair = [make.event("create", plant.party, made=[(goods, 900 * KILO)], plant=plant)[1][0] for _side in "ab"]
    first = pair[0]
    for _rung in range(rungs):
        taken = [(lot, 400 * KILO) for lot in pair]
        pair = make.event("transform", plant.party, taken=taken, made=[(goods, 400 * KILO)] * 2, plant=plant)[1]
    make.settle()
    return first


def _fan(make: Generator, plant: Plant, total: int, shops: Sequence[Party]) -> Begun:
    """One lot whose forward walk reaches this many lots (itself included), on three levels, mixed on the way."""
    goods = plant.goods
    wide = max(10, int((total / 4) ** 0.5) // 2 * 2)
    root = make.event("create", plant.party, made=[(goods["green"], 1_000_000 * KILO)], plant=plant)[1][0]
    dries = _split(make, plant, root, wide, "dry")
    graded: list[Begun] = []
    for begin in range(0, wide, 2):
        two = dries[begin : begin + 2]
        half = two[0].micros // KILO * 9 // 10 * KILO
        graded += make.event(
            "transform", plant.party, taken=[(lot, lot.micros) for lot in two],
            made=[(goods["graded"], half)] * 2, plant=plant,
        )[1]  # fmt: skip
    left = total - 1 - 2 * wide
    for number, lot in enumerate(graded):
        count = left // (wide - number)
        left -= count
        for portion in _halves(lot, count):
            pouches = _split(make, plant, *portion)
            _to_shops(make, plant, pouches, shops, slip=10)
            make.sink.flush_some()
    make.settle()
    return root


def _halves(lot: Begun, count: int) -> Iterator[tuple[Begun, int]]:
    """One packing run for up to 500 pouch lots, several beyond."""
    runs = -(-count // 500)
    micros = lot.micros // KILO // runs * KILO
    for number in range(runs):
        part = count // runs + (number < count % runs)
        yield lot._replace(micros=micros), part


def _shipped(make: Generator, plant: Plant, shops: Sequence[Party]) -> Begun:
    """One lot with 10,000 shipments."""
    goods = plant.goods["pouch"]
    lot = make.event("create", plant.party, made=[(goods, 50_000 * KILO)], plant=plant)[1][0]
    event, _lots, _at = make.event("release", plant.party, subjects=[(lot, 0, "", 0)])
    make.release_row([lot], event)
    for _number in range(SHIPMENTS):
        make.ship(plant.party, make.random.choice(shops), [(lot, 3 * KILO)], confirmed=make.random.random() < 0.7)
    make.settle()
    return lot


def generate(size: int, *, world: World | None = None, probes: bool = True, seed: int = 952) -> Facts:
    """Write a world of this many lots into the database at hand; ``probes`` are lots whose answers have known sizes.

    Without ``unhindered`` it only inserts, so a test may call it inside its transaction.
    """
    world = world or make_world()
    make = Generator(make_prototypes(world), seed=seed)
    facts = Facts(version=VERSION, size=size)
    divisions = list(Division.objects.filter(code__startswith="1411").order_by("code").values_list("code", flat=True))
    shops = [
        _party(make, f"示例商店{number}", "retailer", make.random.choice(divisions))
        for number in range(max(20, size // 1000))
    ]
    org = world.walnuts.organisation
    own = _plant(make, _at_place(make, org.pk, str(org.uid), org.division_id))
    if probes:
        buyers = [_party(make, f"示例门店{number}", "retailer", make.random.choice(divisions)) for number in range(500)]
        make.at(_FIRST.timestamp() - 100 * 86400)
        facts.wide = _fan(make, own, WIDE, buyers[:50]).id
        facts.shipped = _shipped(make, own, buyers).id
        facts.ladders = {str(rungs): _ladder(make, own, rungs).id for rungs in (SHALLOW_RUNGS, *RUNGS)}
        if size >= 10 * BIG:
            facts.big = _fan(make, own, BIG, buyers[:300]).id
    plants = [
        _plant(make, _party(make, f"示例核桃加工厂{number}", "producer", make.random.choice(divisions)))
        for number in range(max(2, size // 2000))
    ]
    left = max(1, (size - make.made[Lot]) // 100)
    for number in range(left):
        make.at(_FIRST.timestamp() + _SPAN * number / left)
        _season(make, plants[number % len(plants)], shops)
    make.sink.flush()
    LogHead.objects.filter(id=1).update(last=make.log)
    facts.lots, facts.links, facts.events = make.made[Lot], make.made[LotLink], make.made[Event]
    facts.a_code = (
        Lot.objects.filter(organisation_id=plants[0].party.id).order_by("id").values_list("lot_code", flat=True)[0]
    )
    facts.probe_membership = str(membership_of(world.walnuts).uid)
    facts.regulator_membership = str(membership_of(world.prefecture).uid)
    return facts


TABLES = [
    Organisation, Place, Product, ProductVersion, Event, EventItem, Lot, LotLink, Stock, Shipment, Transfer, LogEntry,
]  # fmt: skip


def build(size: int) -> Facts:
    """Migrate an empty database and fill it with a world; the facts are written last, as the sign that all is there."""
    import time

    from django.core.management import call_command

    began = time.monotonic()
    call_command("migrate", verbosity=0)
    world = make_world()
    with unhindered():
        facts = generate(size, world=world)
    finish([model for model in TABLES if model is not LogEntry])
    facts.seconds = round(time.monotonic() - began, 1)
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE bench_world (facts text)")
        cursor.execute("INSERT INTO bench_world VALUES (%s)", [json.dumps(asdict(facts))])
    return facts


def load() -> Facts | None:
    """The facts of the world in this database; None where there is none, or one of another version."""
    if "bench_world" not in connection.introspection.table_names():
        return None
    with connection.cursor() as cursor:
        cursor.execute("SELECT facts FROM bench_world")
        row = cursor.fetchone()
    facts = Facts(**json.loads(row[0])) if row else None
    return facts if facts is not None and facts.version == VERSION else None


@contextmanager
def undone() -> Iterator[None]:
    """Whatever is written inside is taken back, so that a cached world stays as it is."""
    from django.db import transaction

    class _TakeBack(Exception):
        pass

    try:
        with transaction.atomic():
            yield
            raise _TakeBack
    except _TakeBack:
        pass
