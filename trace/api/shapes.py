"""How things look from outside: UUIDs and codes, decimal amounts with their unit, never row numbers."""

import datetime
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.db.models import prefetch_related_objects
from django.utils import timezone
from pydantic import Field

from trace.access import entered_for, supervises
from trace.actor import Actor
from trace.api.schemas import AmountOut, Out
from trace.event_templates import template
from trace.guards import blocking
from trace.models import (
    Conflict,
    Event,
    EventItem,
    HoldSet,
    Lot,
    Organisation,
    Place,
    Product,
    ProductVersion,
    Shipment,
    Stock,
    TestReport,
    Transfer,
)
from trace.models.evidence import Says

SHANGHAI = datetime.timezone(datetime.timedelta(hours=8))


class OrganisationRef(Out):
    """A party by name."""

    uid: str
    name: str

    @classmethod
    def of(cls, row: Organisation) -> "OrganisationRef":
        """From the row."""
        return cls(uid=str(row.uid), name=row.label)


class OrganisationOut(OrganisationRef):
    """A party of the chain. `recall_contact` is shown to itself, to who keeps it and to its regulator."""

    name_zh: str
    name_en: str
    kind: str
    status: str
    uscc: str | None
    division: str
    address: str
    recall_contact: dict[str, str] | None = None


def organisation_out(row: Organisation, actor: Actor) -> OrganisationOut:
    """An organisation as this actor may see it; contacts and unpublished states stay with who is concerned."""
    near = row.pk in (actor.organisation.pk, actor.owner.pk) or row.kept_by_id == actor.organisation.pk
    contact = None
    if near or supervises(actor, row):
        contact = {
            "name": row.recall_contact_name,
            "phone": row.recall_contact_phone,
            "email": row.recall_contact_email,
        }
    return OrganisationOut(
        uid=str(row.uid),
        name=row.label,
        name_zh=row.name,
        name_en=row.name_en,
        kind=row.kind,
        status=row.status,
        uscc=row.uscc,
        division=row.division_id,
        address=row.address,
        recall_contact=contact,
    )


class PlaceOut(Out):
    """A place goods are at."""

    uid: str
    organisation: OrganisationRef
    name: str
    name_zh: str
    name_en: str
    kind: str
    division: str
    address: str
    gln: str

    @classmethod
    def of(cls, row: Place) -> "PlaceOut":
        """From the row (organisation selected)."""
        return cls(
            uid=str(row.uid),
            organisation=OrganisationRef.of(row.organisation),
            name=row.label,
            name_zh=row.name,
            name_en=row.name_en,
            kind=row.kind,
            division=row.division_id,
            address=row.address,
            gln=row.gln,
        )


class PlaceRef(Out):
    """A place by name."""

    uid: str
    name: str

    @classmethod
    def of(cls, row: Place | None) -> "PlaceRef | None":
        """From the row, or null."""
        return cls(uid=str(row.uid), name=row.label) if row is not None else None


class VersionOut(Out):
    """What a product says of itself from one day on."""

    number: int
    name: str
    name_en: str
    brand: str
    spec: str
    net_content: str
    ingredients: str
    grade: str
    standard: str | None
    standard_text: str
    licence_number: str
    pledge: str
    gi_claim: str
    shelf_life_days: int | None
    storage: str
    warning: str
    packs: dict[str, str]
    at: datetime.datetime

    @classmethod
    def of(cls, row: ProductVersion) -> "VersionOut":
        """From the row."""
        return cls(
            number=row.number,
            name=row.name,
            name_en=row.name_en,
            brand=row.brand,
            spec=row.spec,
            net_content=row.net_content,
            ingredients=row.ingredients,
            grade=row.grade,
            standard=row.standard_id,
            standard_text=row.standard_text,
            licence_number=row.licence_number,
            pledge=row.pledge,
            gi_claim=row.gi_claim,
            shelf_life_days=row.shelf_life_days,
            storage=row.storage,
            warning=row.warning,
            packs={name: str(factor) for name, factor in row.packs.items()},
            at=row.at,
        )


class ProductOut(Out):
    """A kind of goods and its current version."""

    uid: str
    organisation: OrganisationRef
    code: str
    family: str
    track: str
    kind: str
    base_unit: str
    material: str
    gtin: str | None
    gtin_claim: str
    current: VersionOut | None

    @classmethod
    def of(cls, row: Product) -> "ProductOut":
        """From the row (organisation and current version selected)."""
        return cls(
            uid=str(row.uid),
            organisation=OrganisationRef.of(row.organisation),
            code=row.code,
            family=row.family,
            track=row.track,
            kind=row.kind,
            base_unit=row.base_unit,
            material=row.material,
            gtin=row.gtin,
            gtin_claim=row.gtin_claim,
            current=VersionOut.of(row.current) if row.current else None,
        )


class ProductRef(Out):
    """A product by name; `base_unit` is what its amounts are counted in."""

    uid: str
    name: str
    gtin: str | None
    base_unit: str


class LotRef(Out):
    """A lot by its names."""

    uid: str
    code: str
    lot_code: str
    product: ProductRef


def lot_ref(row: Lot) -> LotRef:
    """From the row (product and product version selected)."""
    return LotRef(
        uid=str(row.uid),
        code=row.code,
        lot_code=row.lot_code,
        product=ProductRef(
            uid=str(row.product.uid),
            name=row.product_version.label,
            gtin=row.product.gtin,
            base_unit=row.product.base_unit,
        ),
    )


class BlockOut(Out):
    """An active hold on a lot. It may not be used, shipped, sold or labelled."""

    hold: str
    kind: str
    reason: str
    since: datetime.datetime
    units: list[int] | None = None


class StockOut(Out):
    """What one holder has at one place."""

    holder: OrganisationRef
    place: PlaceRef | None
    amount: AmountOut


class LotOut(LotRef):
    """A lot. `made` is told to its issuer and regulators only; `stock` is what the caller may know of who has how
    much.
    """

    issuer: OrganisationRef
    display_code: str
    public_code: str
    begun_at: datetime.datetime
    produced_on: datetime.date | None
    expires_on: datetime.date | None
    needs_release: bool
    released: bool
    external: bool
    void: bool
    made: AmountOut | None
    blocked: list[BlockOut]
    stock: list[StockOut]


LOT_PARTS = ("organisation", "product", "product_version", "released_by")


def lots_out(rows: Sequence[Lot], actor: Actor) -> list[LotOut]:
    """Lots as this actor may see them: two queries however many (holds, stock)."""
    mine = set(entered_for(actor))
    holds = blocking(rows, sides=None if actor.is_regulator else mine)
    stocks: dict[int, list[Stock]] = {}
    known = Stock.objects.filter(lot__in=[row.pk for row in rows]).exclude(micros=0)
    if not actor.is_regulator:
        known = known.filter(organisation__in=mine)
    for stock in known.select_related("organisation", "place").order_by("id"):
        stocks.setdefault(stock.lot_id, []).append(stock)
    return [_lot_out(row, actor, mine, holds, stocks.get(row.pk, [])) for row in rows]


def _lot_out(
    row: Lot, actor: Actor, mine: set[int], holds: Mapping[int, Sequence[Any]], stocks: Iterable[Stock]
) -> LotOut:
    """One lot with what was gathered for it."""
    unit = row.product.base_unit
    return LotOut(
        **lot_ref(row).model_dump(),
        issuer=OrganisationRef.of(row.organisation),
        display_code=row.display_code,
        public_code=row.public_code,
        begun_at=row.begun_at,
        produced_on=row.produced_on,
        expires_on=row.expires_on,
        needs_release=row.needs_release,
        released=row.released_by_id is not None,
        external=row.is_external,
        void=row.voided_by_id is not None,
        made=AmountOut.of(row.made_micros, unit) if row.organisation_id in mine or actor.is_regulator else None,
        blocked=[
            BlockOut(
                hold=str(block.hold.uid),
                kind=block.hold.kind,
                reason=block.hold.reason,
                since=block.hold.active_from,
                units=None if block.unit_from is None else [block.unit_from, block.unit_to],
            )
            for block in holds.get(row.pk, [])
        ],
        stock=[
            StockOut(
                holder=OrganisationRef.of(stock.organisation),
                place=PlaceRef.of(stock.place),
                amount=AmountOut.of(stock.micros, unit),
            )
            for stock in stocks
        ],
    )


class ItemOut(Out):
    """One lot in an event. `amount` is signed: minus what left or was used up, plus what came in or came to be."""

    role: str
    lot: LotRef | None
    unit: str | None
    holder: OrganisationRef
    place: PlaceRef | None
    amount: AmountOut | None
    entered: str
    entered_unit: str


class EventOut(Out):
    """One event as captured. `number` is its place in the log; `declared_wrong_by` names the correction if there is
    one.
    """

    uid: str
    number: int
    template: str
    name: str
    event_type: str
    action: str
    biz_step: str
    disposition: str
    local_step: str
    mode: str
    occurred_at: datetime.datetime
    precision: str
    recorded_at: datetime.datetime
    organisation: OrganisationRef
    entered_by: OrganisationRef
    entered_by_person: str | None
    place: PlaceRef | None
    counterparty: OrganisationRef | None
    data: dict[str, Any]
    items: list[ItemOut]
    flags: list[dict[str, Any]]
    corrects: str | None
    error_reason: str
    replaces: str | None
    declared_wrong_by: str | None
    sha256: str


EVENT_PARTS = (
    "organisation",
    "entered_by_organisation",
    "entered_by",
    "place",
    "counterparty",
    "corrects",
    "replaces",
    "log",
)


def events_out(rows: Sequence[Event]) -> list[EventOut]:
    """Events with their items: two queries however many."""
    ids = [row.pk for row in rows]
    items: dict[int, list[EventItem]] = {}
    found = EventItem.objects.filter(event__in=ids).select_related(
        "lot__product", "lot__product_version", "unit", "holder", "place"
    )
    for item in found.order_by("event_id", "number"):
        items.setdefault(item.event_id, []).append(item)
    wrong = dict(Event.objects.filter(corrects__in=ids).values_list("corrects", "uid"))
    return [_event_out(row, items.get(row.pk, []), wrong.get(row.pk)) for row in rows]


def _event_out(row: Event, items: Iterable[EventItem], wrong: Any) -> EventOut:
    """One event with what was gathered for it; the entered offset is kept."""
    zone = datetime.timezone(datetime.timedelta(minutes=row.tz_offset))
    return EventOut(
        uid=str(row.uid),
        number=row.log.number,
        template=row.template,
        name=template(row.template).label(),
        event_type=row.event_type,
        action=row.action,
        biz_step=row.biz_step,
        disposition=row.disposition,
        local_step=row.local_step,
        mode=row.mode,
        occurred_at=row.occurred_at.astimezone(zone),
        precision=row.precision,
        recorded_at=row.recorded_at,
        organisation=OrganisationRef.of(row.organisation),
        entered_by=OrganisationRef.of(row.entered_by_organisation),
        entered_by_person=row.entered_by.display_name if row.entered_by else None,
        place=PlaceRef.of(row.place),
        counterparty=OrganisationRef.of(row.counterparty) if row.counterparty else None,
        data=row.data,
        items=[_item_out(item) for item in items],
        flags=row.flags,
        corrects=str(row.corrects.uid) if row.corrects else None,
        error_reason=row.error_reason,
        replaces=str(row.replaces.uid) if row.replaces else None,
        declared_wrong_by=str(wrong) if wrong else None,
        sha256=row.log.sha256,
    )


def _item_out(item: EventItem) -> ItemOut:
    """One item."""
    return ItemOut(
        role=item.role,
        lot=lot_ref(item.lot) if item.lot else None,
        unit=item.unit.code if item.unit else None,
        holder=OrganisationRef.of(item.holder),
        place=PlaceRef.of(item.place),
        amount=AmountOut.of(item.micros, item.lot.product.base_unit) if item.lot and item.micros else None,
        entered=item.entered,
        entered_unit=item.entered_unit,
    )


class TransferOut(Out):
    """How much of one lot was sent, and what the receiver said arrived (null while nobody answered)."""

    uid: str
    lot: LotRef
    sent: AmountOut
    received: AmountOut | None
    received_at: datetime.datetime | None


class ShipmentOut(Out):
    """One slip."""

    uid: str
    number: str
    sender: OrganisationRef
    receiver: OrganisationRef
    sent_at: datetime.datetime
    confirmed: bool
    void: bool
    event: str
    transfers: list[TransferOut]


SHIPMENT_PARTS = ("organisation", "receiver", "event")


def shipments_out(rows: Sequence[Shipment]) -> list[ShipmentOut]:
    """Shipments with their lines: one query however many."""
    lines: dict[int, list[Transfer]] = {}
    found = Transfer.objects.filter(shipment__in=[row.pk for row in rows]).select_related(
        "lot__product", "lot__product_version"
    )
    for line in found.order_by("id"):
        lines.setdefault(line.shipment_id, []).append(line)
    return [_shipment_out(row, lines.get(row.pk, [])) for row in rows]


def _shipment_out(row: Shipment, lines: Sequence[Transfer]) -> ShipmentOut:
    """One shipment with its lines."""
    return ShipmentOut(
        uid=str(row.uid),
        number=row.number,
        sender=OrganisationRef.of(row.organisation),
        receiver=OrganisationRef.of(row.receiver),
        sent_at=row.sent_at,
        confirmed=all(line.received_by_id is not None for line in lines),
        void=row.voided_by_id is not None,
        event=str(row.event.uid),
        transfers=[
            TransferOut(
                uid=str(line.uid),
                lot=lot_ref(line.lot),
                sent=AmountOut.of(line.sent_micros, line.lot.product.base_unit),
                received=(
                    AmountOut.of(line.received_micros, line.lot.product.base_unit)
                    if line.received_micros is not None
                    else None
                ),
                received_at=line.received_at,
            )
            for line in lines
        ],
    )


class ResultOut(Out):
    """One measured item; `operator` is `=`, `<` or `nd` (not detected, below `loq`, which is not zero).

    The limit is the one it was judged by, as it stood then; `reason` says why an item was not judged.
    """

    parameter: str
    name: str
    operator: str
    value: str
    loq: str
    unit: str
    limit_operator: str
    limit_value: str
    limit_source: str
    limit_verified: bool
    limit_kind: str = Field(description="Whose limit: `catalogue`, `declared` (by the producer) or `report`.")
    limit_basis: str
    limit_applies: str = Field(description="A condition on the lot's age, `<=1y` or `>1y`.")
    limit_version: int = Field(description="Which version of the catalogue's limit; 0 is the catalogue's own.")
    method: str
    verdict: str
    reason: str


class ReportOut(Out):
    """A laboratory's report on one lot."""

    uid: str
    lot: LotRef
    organisation: OrganisationRef
    laboratory: str
    laboratory_uid: str | None
    cma_number: str
    report_number: str
    purpose: str
    issued_on: datetime.date
    verdict: str
    declared_wrong: bool
    laboratory_says: Says = Field(description="Whether the laboratory named stands by it; `outside` cannot be asked.")
    file_sha256: str
    event: str
    results: list[ResultOut]


REPORT_PARTS = ("lot__product", "lot__product_version", "organisation", "laboratory", "event")


def reports_out(rows: Sequence[TestReport]) -> list[ReportOut]:
    """Reports with their results and their laboratories' answers: three queries however many."""
    prefetch_related_objects(rows, "answers")
    wrong = set(Event.objects.filter(corrects__in=[row.event_id for row in rows]).values_list("corrects", flat=True))
    results: dict[int, list[ResultOut]] = {}
    for found in rows[0].results.model.objects.filter(report__in=[row.pk for row in rows]) if rows else ():
        results.setdefault(found.report_id, []).append(
            ResultOut(**{name: getattr(found, name) for name in ResultOut.model_fields})
        )
    return [
        ReportOut(
            uid=str(row.uid),
            lot=lot_ref(row.lot),
            organisation=OrganisationRef.of(row.organisation),
            laboratory=row.laboratory_name,
            laboratory_uid=str(row.laboratory.uid) if row.laboratory else None,
            cma_number=row.cma_number,
            report_number=row.report_number,
            purpose=row.purpose,
            issued_on=row.issued_on,
            verdict=row.verdict,
            declared_wrong=row.event_id in wrong,
            laboratory_says=row.laboratory_says,
            file_sha256=row.file_sha256,
            event=str(row.event.uid),
            results=results.get(row.pk, []),
        )
        for row in rows
    ]


class HoldOut(Out):
    """A set of lots that may not move while it is active."""

    uid: str
    organisation: OrganisationRef
    kind: str
    reason: str
    legal_basis: str
    active: bool
    active_from: datetime.datetime | None
    ended_at: datetime.datetime | None
    lots: int

    @classmethod
    def of(cls, row: HoldSet, lots: int) -> "HoldOut":
        """From the row (organisation selected)."""
        return cls(
            uid=str(row.uid),
            organisation=OrganisationRef.of(row.organisation),
            kind=row.kind,
            reason=row.reason,
            legal_basis=row.legal_basis,
            active=row.is_active,
            active_from=row.active_from,
            ended_at=row.ended_at,
            lots=lots,
        )


class ConflictOut(Out):
    """A recorded fact that broke a rule."""

    uid: str
    code: str
    detail: str
    event: str
    organisation: OrganisationRef
    lot: LotRef | None
    at: datetime.datetime
    answered_at: datetime.datetime | None
    answer: str
    void: bool

    @classmethod
    def of(cls, row: Conflict) -> "ConflictOut":
        """From the row (event, organisation, lot with product selected)."""
        return cls(
            uid=str(row.uid),
            code=row.code,
            detail=row.sentence,
            event=str(row.event.uid),
            organisation=OrganisationRef.of(row.organisation),
            lot=lot_ref(row.lot) if row.lot else None,
            at=row.at,
            answered_at=row.answered_at,
            answer=row.answer,
            void=row.voided_by_id is not None,
        )


def today() -> datetime.date:
    """The day in China."""
    return timezone.localdate()
