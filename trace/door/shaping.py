"""What the ledger holds, told as EPCIS: events entered by form, their places, parties, lots and units."""

from __future__ import annotations

import datetime
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any
from urllib.parse import quote

from django.conf import settings

from trace.among import among
from trace.epcis.formats import EpcInvalid, canonical, parse, prefix_lengths
from trace.epcis.vocabulary import CONTEXT, OURS, word
from trace.event_templates import template
from trace.models import EpcisEvent, EpcisName, Event, EventItem, Lot, Organisation, Place, Unit

GS1 = "https://id.gs1.org"
FORMATS = ("Always_GS1_Digital_Link", "Always_EPC_URN", "No_Preference", "Never_Translates")
WITH = ("organisation", "place", "counterparty", "corrects")


# --- Names ----------------------------------------------------------------------------------------------------------


def lot_uri(lot: Lot) -> str:
    """The identifier of a lot as a class: by GTIN and lot code, else by its code under our host. Needs the product."""
    if lot.product.gtin:
        return canonical(f"{GS1}/01/{lot.product.gtin}/10/{quote(lot.lot_code, safe='')}")
    return f"{settings.PUBLIC_BASE_URL}/c/{lot.public_code}"


def unit_uri(unit: Unit) -> str:
    """The identifier of one unit or pack."""
    if len(unit.code) == 18 and unit.code.isdigit():
        return f"{GS1}/00/{unit.code}"
    if unit.lot.product.gtin and unit.level == Unit.Level.ITEM:
        return canonical(f"{GS1}/01/{unit.lot.product.gtin}/21/{quote(unit.code, safe='')}")
    return f"{settings.PUBLIC_BASE_URL}/c/{unit.code}"


def place_uri(place: Place) -> str:
    """The identifier of a place."""
    return f"{GS1}/414/{place.gln}" if place.gln else f"{settings.PUBLIC_BASE_URL}/id/place/{place.uid}"


def party_uri(party: Organisation) -> str:
    """The identifier of a party."""
    return f"{settings.PUBLIC_BASE_URL}/id/party/{party.uid}"


# --- One event ------------------------------------------------------------------------------------------------------


@dataclass
class Shaped:
    """Events told as EPCIS, with the words for what they name (for the header's master data)."""

    events: list[dict[str, Any]] = field(default_factory=list)
    lots: dict[str, Lot] = field(default_factory=dict)
    parties: dict[str, Organisation] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)


class Shaper:
    """Shapes events with a fixed number of queries per call."""

    def __init__(self) -> None:
        self.found = Shaped()
        self._given: dict[int, str] = {}
        self._asked: set[int] = set()

    def shape(self, events: Sequence[Event]) -> dict[int, dict[str, Any]]:
        """The documents of events entered by form, by row number; those that name nothing have none."""
        wrong = [event.corrects_id for event in events if event.corrects_id is not None]
        originals = {row.pk: row for row in Event.objects.filter(pk__in=wrong).select_related(*WITH)}
        told = {event.pk: originals.get(event.corrects_id or 0, event) for event in events}
        items: dict[int, list[EventItem]] = defaultdict(list)
        rows = EventItem.objects.filter(event__in={event.pk for event in told.values()})
        about = ("product", "product_version", "organisation")
        with_lots = [f"{start}{name}" for start in ("lot__", "unit__lot__") for name in about]
        for item in rows.select_related(*with_lots).order_by("event_id", "number"):
            items[item.event_id].append(item)
        self._names_given(items.values())
        found: dict[int, dict[str, Any]] = {}
        for event in events:
            shaped = self._one(told[event.pk], items[told[event.pk].pk])
            if shaped is None:
                continue
            if event.corrects_id is not None:
                shaped["errorDeclaration"] = {
                    "declarationTime": _local(event),
                    "reason": event.error_reason or "incorrect_data",
                }
            shaped["recordTime"] = _utc(event.recorded_at)
            found[event.pk] = shaped
        return found

    def name(self, lots: Sequence[Lot]) -> None:
        """Take these lots with their issuers into what was found, for the header. They need product, version and
        organisation.
        """
        self._read_names({lot.pk for lot in lots})
        for lot in lots:
            self._lot(lot)
            self.party(lot.organisation)

    def _names_given(self, items: Iterable[Sequence[EventItem]]) -> None:
        """Lots that came in by the door keep the identifier they came under."""
        lots = {item.lot_id for listed in items for item in listed if item.lot_id is not None}
        self._read_names(lots)

    def _read_names(self, lots: set[int]) -> None:
        lots = lots - self._asked
        self._asked |= lots
        if not lots:
            return
        rows = EpcisName.objects.filter(among("lot", lots), kind__in=("class", "epc")).order_by("kind", "id")
        for lot, value in rows.values_list("lot", "value"):
            if lot is not None:
                self._given.setdefault(lot, value)

    def _lot(self, lot: Lot) -> str:
        uri = lot_uri(lot)
        if not lot.product.gtin and lot.pk in self._given:
            uri = self._given[lot.pk]
        self.found.lots[uri] = lot
        return uri

    def party(self, party: Organisation) -> str:
        """The identifier of a party, which the header names then."""
        uri = party_uri(party)
        self.found.parties[uri] = party
        return uri

    def _one(self, event: Event, items: Sequence[EventItem]) -> dict[str, Any] | None:
        plan = template(event.template)
        lots = [item for item in items if item.lot is not None]
        units = [item.unit for item in items if item.unit is not None]
        if not lots and not units:
            return None
        ins = [item for item in lots if item.role == "input"]
        outs = [item for item in lots if item.role == "output"]
        shaped: dict[str, Any] = {
            "type": event.event_type,
            "eventID": f"urn:uuid:{event.uid}",
            "eventTime": _local(event),
            "eventTimeZoneOffset": _offset(event.tz_offset),
        }
        if ins and outs:
            shaped["type"] = "TransformationEvent"
            shaped["inputQuantityList"] = [self._quantity(item) for item in ins]
            shaped["outputQuantityList"] = [self._quantity(item) for item in outs]
        elif event.event_type == "AggregationEvent" and units:
            shaped["action"] = event.action or "OBSERVE"
            shaped["parentID"] = unit_uri(units[0])
            shaped["childEPCs"] = [unit_uri(unit) for unit in units[1:]]
            if lots and not units[1:]:
                shaped["childQuantityList"] = [self._quantity(item) for item in lots]
        else:
            shaped["type"] = "ObjectEvent"
            shaped["action"] = event.action or "OBSERVE"
            if units:
                shaped["epcList"] = list(dict.fromkeys(unit_uri(unit) for unit in units))
            if lots:
                shaped["quantityList"] = [self._quantity(item) for item in _each_once(lots)]
        shaped["bizStep"] = event.biz_step or "other"
        if event.disposition:
            shaped["disposition"] = event.disposition
        if event.place is not None:
            uri = place_uri(event.place)
            self.found.places[uri] = event.place
            shaped["readPoint"] = {"id": uri}
            shaped["bizLocation"] = {"id": uri}
        self._sides(event, plan.moves, shaped)
        # What the standard has no words for: whose step it was, and which.
        shaped["fy:party"] = self.party(event.organisation)
        shaped["fy:step"] = event.template
        if event.precision == Event.Precision.DAY:
            shaped["fy:precision"] = "day"
        named = {unit_uri(unit): unit for unit in (units[1:] if "parentID" in shaped else units)}
        if named and shaped["type"] != "TransformationEvent":
            # Of which lot each identifier is, in their order; a pack is of none.
            packs = [unit.container or unit.level != Unit.Level.ITEM for unit in named.values()]
            shaped["fy:lots"] = [
                "" if pack else self._lot(unit.lot) for unit, pack in zip(named.values(), packs, strict=True)
            ]
        shaped["@context"] = {"fy": OURS}
        if len(outs) == 1 and outs[0].ilmd.get("begins"):
            ilmd = _ilmd(outs[0])
            if ilmd and (shaped["type"] == "TransformationEvent" or shaped.get("action") == "ADD"):
                shaped["ilmd"] = ilmd
        return shaped

    def _sides(self, event: Event, moves: str, shaped: dict[str, Any]) -> None:
        """Who gave and who got."""
        if event.counterparty is None or moves not in ("ship", "receive", "return"):
            return
        here, there = self.party(event.organisation), self.party(event.counterparty)
        giver, taker = (here, there) if moves == "ship" else (there, here)
        shaped["sourceList"] = [{"type": "possessing_party", "source": giver}]
        shaped["destinationList"] = [{"type": "possessing_party", "destination": taker}]

    def _quantity(self, item: EventItem) -> dict[str, Any]:
        if item.lot is None:
            raise ValueError("no lot")
        found: dict[str, Any] = {"epcClass": self._lot(item.lot)}
        micros = abs(item.micros) or _entered(item)
        if micros:
            found["quantity"] = _number(micros)
            if item.lot.product.base_unit != "C62":
                found["uom"] = item.lot.product.base_unit
        return found


def _each_once(items: Sequence[EventItem]) -> list[EventItem]:
    """Goods that go from one hand or place to another have a line for each side: said once, as what arrives."""
    came = {item.lot_id for item in items if item.micros > 0}
    return [item for item in items if item.micros >= 0 or item.lot_id not in came]


def _entered(item: EventItem) -> int:
    """Millionths of what was entered beside a lot that did not move."""
    if not item.entered or not item.factor:
        return 0
    return int(Fraction(item.entered) * Fraction(item.factor) * 1_000_000)


def _number(micros: int) -> int | float:
    return micros // 1_000_000 if micros % 1_000_000 == 0 else micros / 1_000_000


def _ilmd(item: EventItem) -> dict[str, Any]:
    lot = item.lot
    if lot is None:
        return {}
    found: dict[str, Any] = {"cbvmda:lotNumber": lot.lot_code}
    if lot.produced_on is not None:
        found["cbvmda:productionDate"] = lot.produced_on.isoformat()
    if lot.expires_on is not None:
        found["cbvmda:itemExpirationDate"] = lot.expires_on.isoformat()
    return found


def _local(event: Event) -> str:
    """The moment in the offset it was entered in."""
    zone = datetime.timezone(datetime.timedelta(minutes=event.tz_offset))
    return event.occurred_at.astimezone(zone).isoformat(timespec="milliseconds")


def _utc(when: datetime.datetime) -> str:
    return when.astimezone(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _offset(minutes: int) -> str:
    sign = "-" if minutes < 0 else "+"
    return f"{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"


# --- What the door answers ------------------------------------------------------------------------------------------


_GIVES, _TAKES = ("shipping", "consigning"), ("receiving", "accepting")


def _with_sender(event: dict[str, Any], row: EpcisEvent, shaper: Shaper) -> dict[str, Any]:
    """A captured event that says neither where nor who is its sender's: elsewhere that must be said."""
    step, context = word("bizStep", event.get("bizStep", "")), event.get("@context", {})
    said = ["readPoint", "bizLocation", "fy:party"]
    said += ["sourceList"] if step in _GIVES else ["destinationList"] if step in _TAKES else []
    if any(name in event for name in said) or not isinstance(context, dict) or "fy" in context:
        return event
    return {**event, "fy:party": shaper.party(row.owner), "@context": {**context, "fy": OURS}}


def documents_of(
    rows: Sequence[EpcisEvent], shaper: Shaper | None = None, *, senders: bool = False
) -> list[dict[str, Any]]:
    """The events of these rows as EPCIS, with our record time; captured ones as they came, with ``senders`` with whose
    they are where nothing in them says so. A fixed number of queries (``senders`` needs the owners).
    """
    shaper = shaper or Shaper()
    formed = [row.event_id for row in rows if not row.document]
    events = Event.objects.filter(pk__in=formed).select_related(*WITH, "organisation", "counterparty")
    shaped = shaper.shape(list(events)) if formed else {}
    found: list[dict[str, Any]] = []
    for row in rows:
        if row.document:
            event = json.loads(row.document)
            event["eventID"] = row.eid
            event["recordTime"] = _utc(row.record_time)
            if senders:
                event = _with_sender(event, row, shaper)
        else:
            told = shaped.get(row.event_id)
            if told is None:
                continue
            event = told
        found.append(event)
    return found


_EPC_LISTS = ("epcList", "childEPCs", "inputEPCList", "outputEPCList")
_CLASS_LISTS = ("quantityList", "childQuantityList", "inputQuantityList", "outputQuantityList")


def translated(event: Mapping[str, Any], wanted: str, prefixes: Sequence[str] = ()) -> dict[str, Any]:
    """The event with its identifiers in the wanted format (GS1-EPC-Format). What cannot be said in it stays as it is:
    a URN needs the length of the company prefix, which only our own prefixes tell.
    """
    if wanted not in ("Always_GS1_Digital_Link", "Always_EPC_URN"):
        return dict(event)
    known = prefix_lengths(prefixes)

    def turn(uri: str) -> str:
        try:
            epc = parse(uri)
            return epc.digital_link() if wanted == "Always_GS1_Digital_Link" else epc.urn(known)
        except EpcInvalid:
            return uri

    def link(uri: str) -> str:
        # Of a Digital Link the host and the lot beside a serial are the sender's to choose: it stays.
        if wanted == "Always_GS1_Digital_Link" and not uri.startswith("urn:"):
            return uri
        return turn(uri)

    found = dict(event)
    for name in _EPC_LISTS:
        if name in found:
            found[name] = [link(uri) for uri in found[name]]
    for name in _CLASS_LISTS:
        if name in found:
            found[name] = [{**element, "epcClass": link(element["epcClass"])} for element in found[name]]
    for name in ("parentID", "transformationID"):
        if name in found:
            found[name] = link(found[name])
    for name in ("readPoint", "bizLocation"):
        if name in found:
            found[name] = {**found[name], "id": link(found[name]["id"])}
    for name, key in (
        ("bizTransactionList", "bizTransaction"),
        ("sourceList", "source"),
        ("destinationList", "destination"),
    ):
        if name in found:
            found[name] = [{**element, key: link(element[key])} for element in found[name]]
    return found


def hoisted(events: Sequence[dict[str, Any]]) -> tuple[list[Any], list[dict[str, Any]]]:
    """The ``@context`` of a document with these events: prefixes they agree on move up, the others stay."""
    meanings: dict[str, set[str]] = defaultdict(set)
    for event in events:
        own = event.get("@context")
        for entry in own if isinstance(own, list) else [own]:
            if isinstance(entry, Mapping):
                for name, meaning in entry.items():
                    meanings[name].add(str(meaning))
    shared = {name: next(iter(found)) for name, found in meanings.items() if len(found) == 1}
    kept: list[dict[str, Any]] = []
    for event in events:
        if "@context" not in event:
            kept.append(event)
            continue
        own = event["@context"]
        entries: list[Any] = []
        for entry in own if isinstance(own, list) else [own]:
            if isinstance(entry, Mapping):
                rest = {name: meaning for name, meaning in entry.items() if name not in shared}
                if rest:
                    entries.append(rest)
            else:
                entries.append(entry)
        plain = {key: value for key, value in event.items() if key != "@context"}
        kept.append({**plain, "@context": entries} if entries else plain)
    return [CONTEXT, *([shared] if shared else [])], kept


def query_document(
    events: Sequence[dict[str, Any]],
    *,
    query: str = "SimpleEventQuery",
    subscription: str = "",
    header: Mapping[str, Any] | None = None,
    now: datetime.datetime,
) -> dict[str, Any]:
    """An EPCISQueryDocument with these events."""
    context, listed = hoisted(events)
    results: dict[str, Any] = {"queryName": query, "resultsBody": {"eventList": listed}}
    if subscription:
        results = {"subscriptionID": subscription, **results}
    document: dict[str, Any] = {
        "@context": context,
        "type": "EPCISQueryDocument",
        "schemaVersion": "2.0",
        "creationDate": _utc(now),
    }
    if header:
        document["epcisHeader"] = dict(header)
    document["epcisBody"] = {"queryResults": results}
    return document


def _about(lot: Lot, found: Shaped) -> list[dict[str, str]]:
    """What a lot is called, its dates, and what the standard has no words for: its kind, its unit, whose it is."""
    said = {
        "cbvmda:descriptionShort": lot.product_version.name,
        "cbvmda:lotNumber": lot.lot_code,
        "cbvmda:productionDate": lot.produced_on.isoformat() if lot.produced_on else "",
        "cbvmda:itemExpirationDate": lot.expires_on.isoformat() if lot.expires_on else "",
        f"{OURS}kind": lot.product.kind,
        f"{OURS}unit": lot.product.base_unit,
        f"{OURS}issuer": party_uri(lot.organisation) if party_uri(lot.organisation) in found.parties else "",
    }
    return [{"id": name, "attribute": value} for name, value in said.items() if value]


def header_of(found: Shaped) -> dict[str, Any]:
    """Master data: what the places, parties and lots named in events are called."""
    vocabularies: list[dict[str, Any]] = []
    locations = [
        {"id": uri, "attributes": [{"id": "cbvmda:name", "attribute": place.name}]}
        for uri, place in found.places.items()
    ]
    locations += [
        {"id": uri, "attributes": [{"id": "cbvmda:name", "attribute": party.name}]}
        for uri, party in found.parties.items()
    ]
    classes = [{"id": uri, "attributes": _about(lot, found)} for uri, lot in found.lots.items()]
    of_gtin = {lot.product.gtin: lot.product_version.name for lot in found.lots.values() if lot.product.gtin}
    classes += [
        {"id": f"{GS1}/01/{gtin}", "attributes": [{"id": "cbvmda:descriptionShort", "attribute": name}]}
        for gtin, name in of_gtin.items()
    ]
    if locations:
        vocabularies.append({"type": "urn:epcglobal:epcis:vtype:BusinessLocation", "vocabularyElementList": locations})
    if classes:
        vocabularies.append({"type": "urn:epcglobal:epcis:vtype:EPCClass", "vocabularyElementList": classes})
    return {"epcisMasterData": {"vocabularyList": vocabularies}} if vocabularies else {}
