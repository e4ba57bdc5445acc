"""A world of any size for measurements: chains of generated lots, by the same actions, in steps that fit in memory."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from itertools import islice

from django.db import transaction

from desk.demo.stage import CHINA, Stage
from trace.actions.capture import NewLot
from trace.actions.events import Portion, When, record_event
from trace.actions.transfers import receive_shipment, ship_lots
from trace.models import Lot, Product, Shipment
from trace.units import EnteredAmount, decimal_text, parse_amount

CHAIN = 16
"""Lots in one chain: five raw, one mix, ten parts of it."""
STEP = 50
"""Chains written in one transaction."""
LINKED = 20
"""So many chains in a row are linked, each taking part of the one before: walks are deep but bounded."""


def build_bulk(stage: Stage, lots: int) -> int:
    """Add about this many lots (whole chains); returns how many were added. Cost grows linearly with the number."""
    product = stage.product(
        "bulk", "walnuts", "BULK", kind="intermediate", name="示例散装核桃", name_en="Walnuts in bulk (example)"
    )
    numbers = iter(range((lots + CHAIN - 1) // CHAIN))
    made = 0
    before: Lot | None = None
    while chunk := list(islice(numbers, STEP)):
        with transaction.atomic():
            for number in chunk:
                before = _chain(stage, product, number, before if number % LINKED else None)
                made += CHAIN
    return made


def _moments(number: int, today: datetime.date) -> Iterator[When]:
    """The moments of one chain, an hour apart, on a day within the last year."""
    day = today - datetime.timedelta(days=300 - number % 280)
    start = datetime.datetime.combine(day, datetime.time(6), CHINA)
    for hour in range(8):
        yield When(start + datetime.timedelta(hours=hour))


def _chain(stage: Stage, product: Product, number: int, before: Lot | None) -> Lot:
    """One chain: five raw lots, mixed with part of the chain before, parted in ten, shipped and received."""
    by, place = stage.actors["walnuts"], stage.places["walnut_plant"]
    when = _moments(number, stage.today)

    def lot(text: str, code: str) -> NewLot:
        return NewLot(product=product, amount=_kg(text), place=place, lot_code=code)

    first = next(when)
    raw = record_event(
        by=by,
        code="common.opening",
        when=first,
        place=place,
        data={"basis": "示例"},
        outputs=[lot("100", f"R{number}-{part}") for part in range(5)],
        at=first.at,
    ).lots
    second = next(when)
    inputs = [Portion(row, _kg("100"), place) for row in raw]
    if before is not None:
        inputs.append(Portion(before, _kg("10"), place))
    mixed = record_event(
        by=by,
        code="common.process",
        when=second,
        place=place,
        inputs=inputs,
        outputs=[lot("500", f"M{number}")],
        at=second.at,
    ).lots[0]
    third = next(when)
    parts = record_event(
        by=by,
        code="common.split",
        when=third,
        place=place,
        inputs=[Portion(mixed, _kg("500"), place)],
        outputs=[lot("50", f"P{number}-{part}") for part in range(10)],
        at=third.at,
    ).lots
    _deliver(stage, parts, when)
    return parts[0]


def _deliver(stage: Stage, parts: list[Lot], when: Iterator[When]) -> None:
    """Ship the parts (keeping some of the first) to the distributor, who confirms."""
    sent, got = next(when), next(when)
    shipment: Shipment = ship_lots(
        by=stage.actors["walnuts"],
        receiver=stage.actors["distributor"].organisation,
        portions=[Portion(row, _kg("40"), stage.places["walnut_plant"]) for row in parts],
        when=sent,
        at=sent.at,
    )
    receive_shipment(
        by=stage.actors["distributor"],
        shipment=shipment,
        received={row: _kg(decimal_text(row.sent_micros)) for row in shipment.transfers.all()},
        when=got,
        place=stage.places["depot"],
        at=got.at,
    )


def _kg(text: str) -> EnteredAmount:
    """Kilograms."""
    return parse_amount(text, "KGM", "KGM")
