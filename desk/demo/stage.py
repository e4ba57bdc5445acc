"""What every story of the demonstration needs: the clock, and short ways to call the actions users call."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from trace.actions.capture import Captured, NewLot
from trace.actions.events import Portion, When, record_event
from trace.actions.evidence import ResultEntry, entries_from_data, record_report, release_lot
from trace.actions.registry import (
    PlaceInput,
    ProductInput,
    VersionInput,
    create_place,
    create_product,
    decide_gtin_claim,
)
from trace.actions.transfers import receive_by_slip, receive_shipment, ship_lots, slip_token, take_in
from trace.actor import Actor
from trace.event_templates import template
from trace.models import Division, Lot, Organisation, Place, Product, Shipment, Standard, TestReport
from trace.units import EnteredAmount, decimal_text, parse_amount

CHINA = datetime.timezone(datetime.timedelta(hours=8))
LATER = datetime.timedelta(minutes=40)


def choice(code: str, key: str, number: int = 0) -> str:
    """One of the choices a template's field offers."""
    found = template(code).field(key)
    if found is None:
        raise KeyError(key)
    return found.choices[number].value


def plus(when: When, days: int) -> str:
    """The date so many days after a moment, as typed."""
    return (when.at.date() + datetime.timedelta(days=days)).isoformat()


@dataclass
class Stage:
    """The world being built. ``today`` is the day of the demonstration, ``harvest`` the 20 September before it."""

    today: datetime.date
    actors: dict[str, Actor] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)
    products: dict[str, Product] = field(default_factory=dict)
    lots: dict[str, Lot] = field(default_factory=dict)
    reports: dict[str, TestReport] = field(default_factory=dict)
    shipments: dict[str, Shipment] = field(default_factory=dict)

    @property
    def harvest(self) -> datetime.date:
        """The first day of the last walnut harvest that is at least sixty days past."""
        day = datetime.date(self.today.year, 9, 20)
        return day if (self.today - day).days >= 60 else day.replace(year=day.year - 1)

    def season(self, days: int, hour: int = 9, minute: int = 0) -> When:
        """So many days after the first day of harvest, at this hour of China; never later than today."""
        return self._when(min(self.harvest + datetime.timedelta(days=days), self.today), hour, minute)

    def ago(self, days: int, hour: int = 9, minute: int = 0) -> When:
        """So many days before today."""
        return self._when(self.today - datetime.timedelta(days=days), hour, minute)

    def _when(self, day: datetime.date, hour: int, minute: int) -> When:
        return When(datetime.datetime.combine(day, datetime.time(hour, minute), CHINA))

    def place(self, key: str, by: str, name: str, kind: str, division: str, **more: Any) -> Place:
        """Register a place."""
        facts = PlaceInput(name=name, kind=kind, division=Division.objects.get(pk=division), **more)
        self.places[key] = create_place(by=self.actors[by], place=facts, at=self.ago(760).at)
        return self.places[key]

    def product(
        self,
        key: str,
        by: str,
        code: str,
        *,
        track: str = "food",
        unit: str = "KGM",
        kind: str = "finished",
        family: str = "",
        gtin: str = "",
        standard: str = "",
        material: str = "",
        **version: Any,
    ) -> Product:
        """Register a product; its GTIN is confirmed by the county."""
        row = create_product(
            by=self.actors[by],
            product=ProductInput(
                code=code, track=track, base_unit=unit, kind=kind, family=family, gtin=gtin, material=material
            ),
            version=VersionInput(standard=Standard.objects.get(pk=standard) if standard else None, **version),
            at=self.ago(755).at,
        )
        if gtin:
            decide_gtin_claim(row=row, confirm=True, by=self.actors["county"], at=self.ago(750).at)
        self.products[key] = row
        return row

    def amount(self, text: str, product: Product) -> EnteredAmount:
        """An amount as a clerk enters it: ``1800``, ``900 斤``, ``20 箱``."""
        number, _space, unit = text.partition(" ")
        packs = product.current.packs if product.current else {}
        return parse_amount(number, unit or product.base_unit, product.base_unit, packs)

    def step(
        self,
        code: str,
        by: str,
        when: When,
        *,
        place: str = "",
        inputs: Sequence[tuple[str, str]] = (),
        outputs: Sequence[tuple[str, str, str]] = (),
        subjects: Sequence[tuple[str, str]] = (),
        facts: Mapping[str, Mapping[str, Any]] | None = None,
        remark: str = "",
        insist: bool = False,
        codes: Mapping[str, str] | None = None,
        **data: Any,
    ) -> Captured:
        """Record one step. ``outputs`` are (key, product key, amount); ``facts`` the fields of one output."""
        captured = record_event(
            by=self.actors[by],
            code=code,
            when=when,
            place=self.places[place] if place else None,
            data=data,
            inputs=[self.portion(key, text) for key, text in inputs],
            outputs=[
                NewLot(
                    product=self.products[product],
                    amount=self.amount(text, self.products[product]),
                    place=self.places[place] if place else None,
                    lot_code=(codes or {}).get(key, ""),
                    facts=(facts or {}).get(key, {}),
                )
                for key, product, text in outputs
            ],
            subjects=[self.portion(key, text) for key, text in subjects],
            remark=remark,
            insist=insist,
            at=when.at + LATER,
        )
        for (key, _product, _text), lot in zip(outputs, captured.lots, strict=True):
            self.lots[key] = lot
        return captured

    def portion(self, key: str, text: str = "") -> Portion:
        """An amount of a lot remembered."""
        lot = self.lots[key]
        return Portion(lot, self.amount(text, lot.product) if text else None)

    def buy(
        self,
        key: str,
        by: str,
        when: When,
        supplier: Organisation,
        product: str,
        lot_code: str,
        text: str,
        place: str,
        code: str = "common.receive",
        **data: Any,
    ) -> Lot:
        """Take in material from a supplier outside the system."""
        if code == "common.receive":
            data = {"inspection_result": "合格", **data}
        captured = take_in(
            by=self.actors[by],
            supplier=supplier,
            product=self.products[product],
            supplier_lot=lot_code,
            amount=self.amount(text, self.products[product]),
            when=when,
            place=self.places[place],
            code=code,
            data=data,
            at=when.at + LATER,
        )
        self.lots[key] = captured.lots[0]
        return captured.lots[0]

    def ship(
        self, key: str, by: str, when: When, receiver: Organisation, lines: Sequence[tuple[str, str]], **data: Any
    ) -> Shipment:
        """Send lots to a party."""
        self.shipments[key] = ship_lots(
            by=self.actors[by],
            receiver=receiver,
            portions=[self.portion(lot, text) for lot, text in lines],
            when=when,
            data={"market": "国内", **data},
            at=when.at + LATER,
        )
        return self.shipments[key]

    def receive(self, key: str, by: str, when: When, place: str = "", short: Mapping[str, str] | None = None) -> None:
        """Confirm a shipment as a member of the receiver (or, ``by`` empty, from the slip without an account)."""
        shipment = self.shipments[key]
        received = {
            transfer: self._got(transfer.lot, transfer.sent_micros, short or {})
            for transfer in shipment.transfers.select_related("lot__product__current")
        }
        at = when.at + LATER
        if not by:
            receive_by_slip(token=slip_token(shipment), received=received, when=when, at=at)
            return
        receive_shipment(
            by=self.actors[by],
            shipment=shipment,
            received=received,
            when=when,
            place=self.places[place] if place else None,
            at=at,
        )

    def _got(self, lot: Lot, sent: int, short: Mapping[str, str]) -> EnteredAmount:
        """What arrived of a lot: what was sent, or the amount said."""
        for key, text in short.items():
            if self.lots[key].pk == lot.pk:
                return self.amount(text, lot.product)
        return parse_amount(decimal_text(sent), lot.product.base_unit, lot.product.base_unit)

    def test(
        self,
        key: str,
        by: str,
        when: When,
        lot: str,
        number: str,
        *,
        code: str = "common.sample",
        purpose: str = "出厂检验",
        results: Sequence[ResultEntry] = (),
        sample: str = "",
        **data: Any,
    ) -> TestReport:
        """A laboratory's report on a lot; with a template of its own the fields are the results."""
        laboratory = self.actors["lab"].organisation
        found = template(code)
        self.reports[key] = record_report(
            by=self.actors[by],
            lot=self.lots[lot],
            report_number=number,
            issued_on=when.at.astimezone(CHINA).date(),
            results=list(results) or entries_from_data(found, data),
            when=when,
            laboratory=laboratory,
            cma_number="231400340123",
            purpose=purpose,
            code=code,
            data=data,
            sample=self.portion(lot, sample) if sample else None,
            at=when.at + LATER,
        )
        return self.reports[key]

    def release(self, by: str, when: When, *lots: str) -> None:
        """The quality officer lets lots leave."""
        for lot in lots:
            self.lots[lot].refresh_from_db()
            release_lot(by=self.actors[by], lot=self.lots[lot], when=when, at=when.at + LATER)
            self.lots[lot].refresh_from_db()
