"""One of everything, made by the real actions, to be copied a million times.

A generated row is a copy of a row that an action wrote, with its own names, times and amounts put in. So generated
worlds have the shape the program gives its rows today, columns that later migrations add included.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import connection, models

from tests.goods import amount, day, passed
from tests.world import World, make_place, make_product
from trace.actions.capture import NewLot
from trace.actions.events import Portion, record_event
from trace.actions.evidence import release_lot
from trace.actions.transfers import receive_shipment, ship_lots
from trace.models import (
    Event,
    EventItem,
    LogEntry,
    Lot,
    LotLink,
    Organisation,
    Place,
    Product,
    ProductVersion,
    Stock,
    Transfer,
)

Row = list[Any]
KINDS = ("green", "dry", "graded", "pouch")


@dataclass(frozen=True)
class Copier:
    """The values of one row as the database takes them, and where its columns are."""

    model: type[models.Model]
    columns: tuple[str, ...]
    values: tuple[Any, ...]

    @classmethod
    def of(cls, row: models.Model) -> Copier:
        """From a row an action wrote."""
        fields = row._meta.concrete_fields
        values = tuple(each.get_db_prep_save(getattr(row, each.attname), connection) for each in fields)
        return cls(type(row), tuple(str(each.column) for each in fields), values)

    def slots(self, *columns: str) -> tuple[int, ...]:
        """Positions of these columns."""
        return tuple(self.columns.index(each) for each in columns)

    def without(self, *columns: str) -> Copier:
        """The same row with these columns NULL."""
        values = list(self.values)
        for each in columns:
            values[self.columns.index(each)] = None
        return Copier(self.model, self.columns, tuple(values))


class Text:
    """A JSON text of a prototype in which the prototype's own names are places to fill."""

    def __init__(self, text: str, names: Mapping[str, str]) -> None:
        """``names`` maps what stands in the prototype's text to the name of the value that takes its place."""
        text = text.replace("%", "%%")
        for found in sorted(names, key=len, reverse=True):
            text = text.replace(found, f"%({names[found]})s")
        self.text = text

    def fill(self, values: Mapping[str, Any]) -> str:
        """The text for one copy."""
        return self.text % values


@dataclass(frozen=True)
class StepPrototype:
    """One event with its items, as rows and as canonical bytes: what a copy of it starts from."""

    event: Copier
    data: Text
    head: Text
    items: Mapping[str, tuple[Copier, Text, Text]]
    """By role: the row, its ``ilmd`` and its part of the canonical bytes."""


@dataclass(frozen=True)
class Prototypes:
    """Every kind of row the generator copies."""

    steps: Mapping[str, StepPrototype]
    lots: Mapping[str, Copier]
    link: Copier
    stock: Copier
    shipment: Copier
    transfer: Copier
    answered: Copier
    log: Copier
    organisation: Copier
    place: Copier
    products: Mapping[str, tuple[Copier, Copier]]


def make_prototypes(world: World) -> Prototypes:
    """Harvest, dry, grade, pack, release, ship and receive once, by the actions that users call."""
    by, org = world.walnuts, world.walnuts.organisation
    kinds = {"green": "raw", "dry": "intermediate", "graded": "intermediate", "pouch": "finished"}
    names = {"green": "示例青皮核桃", "dry": "示例干核桃", "graded": "示例分级核桃仁", "pouch": "示例核桃仁小袋"}
    products = {
        key: make_product(org, f"BENCH-{key}", names[key], kind=kinds[key], family="walnut_fenzhou") for key in KINDS
    }
    place = make_place(org, "示例测速车间")
    # Amounts and names that occur nowhere else, so that they can be found in the texts.
    green = _begin(world, "common.produce", [], [(products["green"], "7001")], place, 1)
    dry = _begin(world, "common.process", [(green[0], "7001")], [(products["dry"], "5002")], place, 2)
    graded = _begin(world, "common.process", [(dry[0], "5002")], [(products["graded"], "4003")], place, 3)
    pouches = _begin(world, "common.process", [(graded[0], "4003")], [(products["pouch"], "3004")], place, 4)
    pouch = pouches[0]
    passed(by, pouch, when=day(5))
    release_event = release_lot(by=world.walnuts_quality, lot=pouch, when=day(5, 9)).event
    pouch.refresh_from_db()
    shipment = ship_lots(
        by=by,
        receiver=world.distributor.organisation,
        portions=[Portion(pouch, amount("2005", pouch.product), place=place)],
        when=day(6),
        place=place,
    )
    sent = Copier.of(shipment.transfers.get())
    receipt = receive_shipment(
        by=world.distributor,
        shipment=shipment,
        received={shipment.transfers.get(): amount("2005", pouch.product)},
        when=day(7),
        place=world.depot,
    ).event
    stock = Stock.objects.filter(lot=pouch).first()
    link = LotLink.objects.filter(child=pouch).first()
    assert stock is not None, "the actions wrote no stock"
    assert link is not None, "the actions wrote no link"
    return Prototypes(
        steps={
            "create": _step(green[0].origin_event),
            "transform": _step(dry[0].origin_event),
            "release": _step(release_event),
            "ship": _step(shipment.event),
            "receive": _step(receipt),
        },
        lots={
            kind: Copier.of(Lot.objects.get(pk=lot.pk)).without("released_by_id")
            for kind, lot in zip(KINDS, (green[0], dry[0], graded[0], pouch), strict=True)
        },
        link=Copier.of(link),
        stock=Copier.of(stock),
        shipment=Copier.of(shipment),
        transfer=sent,
        answered=Copier.of(Transfer.objects.get(shipment=shipment)),
        log=Copier.of(LogEntry.objects.get(event=receipt)),
        organisation=Copier.of(Organisation.objects.get(pk=org.pk)).without("uscc"),
        place=Copier.of(Place.objects.get(pk=place.pk)),
        products={
            key: (
                Copier.of(Product.objects.get(pk=row.pk)),
                Copier.of(ProductVersion.objects.get(product=row)),
            )
            for key, row in products.items()
        },
    )


def _begin(
    world: World, code: str, taken: list[tuple[Lot, str]], made: list[tuple[Product, str]], place: Place, number: int
) -> list[Lot]:
    """One step of the prototype chain."""
    when = day(number)
    outputs = [
        NewLot(
            product=product,
            amount=amount(text, product),
            place=place,
            lot_code=f"PROTO-{number}",
            produced_on=when.at.date(),
            expires_on=when.at.date().replace(year=2031),
        )
        for product, text in made
    ]
    inputs = [Portion(lot, amount(text, lot.product), place=place) for lot, text in taken]
    return record_event(by=world.walnuts, code=code, when=when, place=place, inputs=inputs, outputs=outputs).lots


def _step(event: Event) -> StepPrototype:
    """An event's rows and texts with what is its own made fillable."""
    event = Event.objects.select_related("organisation", "place", "counterparty", "log").get(pk=event.pk)
    document = json.loads(bytes(event.log.canonical))
    names = {
        str(event.uid): "event",
        str(event.organisation.uid): "org",
        document["eventTime"]: "at",
        document["recordTime"]: "recorded",
    }
    if event.place is not None:
        names[str(event.place.uid)] = "place"
    if event.counterparty is not None:
        names[str(event.counterparty.uid)] = "other"
    items: dict[str, tuple[Copier, Text, Text]] = {}
    rows = EventItem.objects.filter(event=event).select_related(
        "lot__product", "lot__product_version", "holder", "place", "transfer"
    )
    for item, part in zip(rows.order_by("number"), document.pop("items"), strict=True):
        own = names | _item_names(item)
        items[item.role] = (Copier.of(item), Text(json.dumps(item.ilmd), own), Text(_json(part), own))
        names |= _lot_names(item) | {f'"{item.entered}"': "entered_text"}
    document["items"] = "@items@"
    head = Text(_json(document).replace('"@items@"', "[@items@]"), names | {"@items@": "items"})
    return StepPrototype(Copier.of(event), Text(json.dumps(event.data), names), head, items)


def _json(document: Mapping[str, Any]) -> str:
    """As ``trace.ledger`` writes it."""
    return json.dumps(document, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _lot_names(item: EventItem) -> dict[str, str]:
    """What an event's own data may repeat of its lot."""
    lot = item.lot
    assert lot is not None, "a prototype's item names a lot"
    names = {str(lot.uid): "lot", lot.lot_code: "code"}
    if item.role == "output" and lot.produced_on and lot.expires_on:
        names |= {lot.produced_on.isoformat(): "produced", lot.expires_on.isoformat(): "expires"}
    return names


def _item_names(item: EventItem) -> dict[str, str]:
    """What is one item's own in its texts."""
    lot = item.lot
    assert lot is not None, "a prototype's item names a lot"
    names = _lot_names(item) | {
        str(lot.product.uid): "product",
        str(lot.product_version.uid): "version",
        lot.public_code: "public",
        str(item.holder.uid): "holder",
        f'"micros":{item.micros}': "micros_part",
        f'"entered":"{item.entered}"': "entered_part",
        f'"n":{item.number}': "number_part",
        f'"{item.entered}"': "entered_text",
    }
    if item.place is not None:
        names[str(item.place.uid)] = "place"
    if item.transfer is not None:
        names[str(item.transfer.uid)] = "transfer"
    return names
