"""Small functions that make goods move in tests, through the same actions that users call."""

from __future__ import annotations

import datetime
from typing import Any

from trace.actions.capture import NewLot
from trace.actions.events import Portion, When, record_event
from trace.actions.evidence import ResultEntry, record_report, release_lot
from trace.actions.transfers import receive_shipment, ship_lots
from trace.actor import Actor
from trace.models import Lot, Organisation, Place, Product, Shipment, TestReport
from trace.units import EnteredAmount, parse_amount

START = datetime.datetime(2026, 9, 20, 8, 0, tzinfo=datetime.timezone(datetime.timedelta(hours=8)))


def day(number: int, hour: int = 8) -> When:
    """The moment this many days after the start of the test's season, at this hour of China."""
    return When(START + datetime.timedelta(days=number, hours=hour - 8))


def amount(text: str, product: Product, unit: str = "") -> EnteredAmount:
    """An amount as a person enters it, in the product's base unit unless told otherwise."""
    packs = product.current.packs if product.current else {}
    return parse_amount(text, unit or product.base_unit, product.base_unit, packs)


def make_lot(
    by: Actor,
    product: Product,
    text: str = "100",
    *,
    when: When | None = None,
    place: Place | None = None,
    **fields: Any,
) -> Lot:
    """A lot begun as stock on hand: what most tests start from."""
    captured = record_event(
        by=by,
        code="common.opening",
        when=when or day(0),
        place=place,
        data={"basis": "示例台账"},
        outputs=[NewLot(product=product, amount=amount(text, product), place=place, **fields)],
    )
    return captured.lots[0]


def turn_into(
    by: Actor,
    parents: list[tuple[Lot, str]],
    children: list[tuple[Product, str]],
    *,
    when: When | None = None,
    insist: bool = False,
) -> list[Lot]:
    """Use amounts of lots up and begin new ones; returns the new lots."""
    captured = record_event(
        by=by,
        code="common.rework",
        when=when or day(1),
        data={"reason": "示例", "method": "示例"},
        inputs=[Portion(lot, amount(text, lot.product)) for lot, text in parents],
        outputs=[NewLot(product=product, amount=amount(text, product)) for product, text in children],
        insist=insist,
    )
    return captured.lots


def sampled(by: Actor, lot: Lot, text: str, *, when: When) -> None:
    """A sample for a laboratory is taken from a lot, whatever stands against it."""
    data = {
        "lab": "示例",
        "lab_cma": "-",
        "report_no": "1",
        "report_hash": "-",
        "purpose": "出厂检验",
        "sample_qty": text,
    }
    subjects = [Portion(lot, amount(text, lot.product))]
    record_event(by=by, code="common.sample", when=when, data=data, subjects=subjects, insist=True)


def passed(by: Actor, lot: Lot, *, when: When | None = None, value: str = "1.0", number: str = "示例-1") -> TestReport:
    """A report on a lot with one item; fails above 5."""
    return record_report(
        by=by,
        lot=lot,
        report_number=number,
        issued_on=(when or day(2)).at.date(),
        results=[ResultEntry("afb1", "黄曲霉毒素B1", value, unit="ug/kg", limit_operator="<=", limit_value="5.0")],
        when=when or day(2),
        laboratory_name="示例检测技术服务有限公司",
    )


def released(by: Actor, quality: Actor, lot: Lot, *, when: When | None = None) -> Lot:
    """A lot tested and released by the quality officer."""
    passed(by, lot, when=when)
    release_lot(by=quality, lot=lot, when=when or day(2))
    lot.refresh_from_db()
    return lot


def ship(
    by: Actor, receiver: Organisation, lot: Lot, text: str, *, when: When | None = None, insist: bool = False
) -> Shipment:
    """Send an amount of a lot."""
    return ship_lots(
        by=by, receiver=receiver, portions=[Portion(lot, amount(text, lot.product))], when=when or day(3), insist=insist
    )


def receive(
    by: Actor, shipment: Shipment, text: str = "", *, when: When | None = None, place: Place | None = None
) -> Any:
    """Confirm a shipment: all of it, or of its single line this amount."""
    received = {
        transfer: amount(text, transfer.lot.product) if text else _sent(transfer.lot, transfer.sent_micros)
        for transfer in shipment.transfers.select_related("lot__product__current")
    }
    return receive_shipment(by=by, shipment=shipment, received=received, when=when or day(4), place=place)


def _sent(lot: Lot, micros: int) -> EnteredAmount:
    """The sent amount as an entry."""
    from trace.units import decimal_text

    return parse_amount(decimal_text(micros), lot.product.base_unit, lot.product.base_unit)


def stock_of(lot: Lot, organisation: Organisation) -> int:
    """Millionths this holder has of the lot, over all places."""
    return sum(lot.stocks.filter(organisation=organisation).values_list("micros", flat=True))
