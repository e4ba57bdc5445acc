"""An event of EPCIS taken apart: which things it names in which part, and the words it is found by. Pure."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from trace.epcis.documents import URI_MOST, moment
from trace.epcis.formats import canonical, serial_link
from trace.epcis.vocabulary import OURS, word


class Thing(NamedTuple):
    """One identifier in one list: canonical URI, whether it is a class, the entered amount (None: not said) and
    unit.
    """

    uri: str
    is_class: bool
    quantity: int | float | None
    uom: str


@dataclass(slots=True)
class Facts:
    """What the door asks an event. ``inputs`` and ``outputs`` are those of a transformation, ``things`` all others."""

    kind: str
    action: str
    eid: str
    declared_at: str
    event_time: datetime.datetime
    tz_offset: int
    biz_step: str
    disposition: str
    read_point: str
    biz_location: str
    parent: str
    transformation: str
    things: list[Thing] = field(default_factory=list)
    inputs: list[Thing] = field(default_factory=list)
    outputs: list[Thing] = field(default_factory=list)
    sources: list[tuple[str, str]] = field(default_factory=list)
    destinations: list[tuple[str, str]] = field(default_factory=list)
    transactions: list[tuple[str, str]] = field(default_factory=list)
    more: list[tuple[str, str]] = field(default_factory=list)
    performer: str = ""
    """Whose step it was, where one of our own installations says so (``fy:party``)."""
    step: str = ""
    """Which of our own steps it was (``fy:step``)."""
    by_day: bool = False
    """Whether only its day is known (``fy:precision``)."""
    lots: Mapping[str, str] = field(default_factory=dict)
    """By instance the lot it is of, empty for a pack (``fy:lots``)."""

    def terms(self) -> Iterator[tuple[str, str]]:
        """Kind and canonical value of everything this event may be found by."""
        if self.biz_step:
            yield "bizStep", self.biz_step
        if self.disposition:
            yield "disposition", self.disposition
        if self.read_point:
            yield "readPoint", self.read_point
        if self.biz_location:
            yield "bizLocation", self.biz_location
        if self.parent:
            yield "parent", self.parent
        if self.transformation:
            yield "transformation", self.transformation
        for thing in self.things:
            yield ("class" if thing.is_class else "epc"), thing.uri
        for thing in self.inputs:
            yield ("inClass" if thing.is_class else "inEpc"), thing.uri
        for thing in self.outputs:
            yield ("outClass" if thing.is_class else "outEpc"), thing.uri
        for kind, value in self.sources:
            yield "source", f"{kind} {value}"
        for kind, value in self.destinations:
            yield "destination", f"{kind} {value}"
        for kind, value in self.transactions:
            yield "transaction", f"{kind} {value}"
        for uri in self.lots:
            yield "epc", uri
        yield from self.more


def offset_minutes(text: str) -> int:
    """``+08:00`` as minutes."""
    sign = -1 if text[0] == "-" else 1
    return sign * (int(text[1:3]) * 60 + int(text[4:6]))


def declared(event: Mapping[str, Any]) -> str:
    """The declaration time of an error declaration in UTC; empty for an event that declares nothing."""
    declaration = event.get("errorDeclaration")
    when = moment(declaration["declarationTime"]) if declaration else None
    return when.astimezone(datetime.UTC).isoformat() if when is not None else ""


def facts_of(event: Mapping[str, Any], eid: str) -> Facts:
    """The facts of an event that passed its check, known under this id."""
    kind = event["type"]
    when = moment(event["eventTime"])
    if when is None:
        raise ValueError("the event was not checked")
    place, location = event.get("readPoint"), event.get("bizLocation")
    parent = event.get("parentID")
    step, state = event.get("bizStep"), event.get("disposition")
    named: tuple[list[Thing], list[Thing], list[Thing]] = ([], [], [])
    if kind == "TransformationEvent":
        named = (
            [],
            _things(event, "inputEPCList", "inputQuantityList"),
            _things(event, "outputEPCList", "outputQuantityList"),
        )
    elif kind in ("AggregationEvent", "AssociationEvent"):
        named = (_things(event, "childEPCs", "childQuantityList"), [], [])
    else:
        named = (_things(event, "epcList", "quantityList"), [], [])
    transformation = event.get("transformationID")
    return Facts(
        kind=kind,
        action=event.get("action", ""),
        eid=eid,
        declared_at=declared(event),
        event_time=when,
        tz_offset=offset_minutes(event["eventTimeZoneOffset"]),
        biz_step=word("bizStep", step) if step else "",
        disposition=word("disposition", state) if state else "",
        read_point=canonical(place["id"]) if place else "",
        biz_location=canonical(location["id"]) if location else "",
        parent=canonical(parent) if parent else "",
        transformation=canonical(transformation) if transformation else "",
        things=named[0],
        inputs=named[1],
        outputs=named[2],
        sources=_pairs(event, "sourceList", "source", "sourceDest"),
        destinations=_pairs(event, "destinationList", "destination", "sourceDest"),
        transactions=_pairs(event, "bizTransactionList", "bizTransaction", "bizTransaction"),
        more=list(_seldom(event)),
    )


def _seldom(event: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Terms that few events have."""
    held = event.get("persistentDisposition")
    if held:
        for value in dict.fromkeys(held.get("set", ())):
            yield "persistentSet", word("disposition", value)
        for value in dict.fromkeys(held.get("unset", ())):
            yield "persistentUnset", word("disposition", value)
    declaration = event.get("errorDeclaration")
    if declaration:
        if "reason" in declaration:
            yield "reason", word("reason", declaration["reason"])
        for value in dict.fromkeys(declaration.get("correctiveEventIDs", ())):
            yield "corrective", value


def with_context(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """The event with the prefixes of its document that it uses, so that it can be told alone."""
    declared = _prefixes(context)
    if not declared:
        return event
    own = _prefixes(event.get("@context"))
    text = json.dumps(event, ensure_ascii=False)
    used = {name: meaning for name, meaning in declared.items() if f'"{name}:' in text and name not in own}
    return {**event, "@context": {**used, **own}} if used else event


def _prefixes(context: Any) -> dict[str, str]:
    """The prefixes that a context declares itself."""
    found: dict[str, str] = {}
    for entry in context if isinstance(context, list) else [context]:
        if type(entry) is not str and isinstance(entry, Mapping):
            found |= {name: str(meaning) for name, meaning in entry.items() if not name.startswith("@")}
    return found


def _named_lots(facts: Facts, lots: list[Any]) -> dict[str, str]:
    """The instances of an event with the lots they are said to be of; none where the lists are not of one length."""
    named = [thing.uri for thing in facts.things if not thing.is_class]
    if len(named) != len(lots) or not all(isinstance(uri, str) and len(uri) <= URI_MOST for uri in lots):
        return {}
    return {name: canonical(uri) if ":" in uri else "" for name, uri in zip(named, lots, strict=True)}


OUR_FIELDS = ("fy:party", "fy:step", "fy:precision", "fy:lots")
"""What one of our own installations says of an event besides."""


def told_besides(facts: Facts, event: Mapping[str, Any]) -> Facts:
    """The facts with what one of our own installations says of its event beside the standard; ``event`` has its
    context (``with_context``).
    """
    if not any(name in event for name in OUR_FIELDS) or _prefixes(event.get("@context")).get("fy") != OURS:
        return facts
    party, step, lots = event.get("fy:party"), event.get("fy:step"), event.get("fy:lots", [])
    named = _named_lots(facts, lots if isinstance(lots, list) else [lots])
    counted = bool(step) and any(thing.is_class for thing in facts.things)
    return replace(
        facts,
        performer=canonical(party) if isinstance(party, str) and ":" in party and len(party) <= URI_MOST else "",
        step=step if isinstance(step, str) and len(step) <= URI_MOST else "",
        by_day=event.get("fy:precision") == "day",
        lots=named,
        # Beside amounts of lots our own events name the instances and packs these are: nothing is counted twice.
        things=[thing for thing in facts.things if thing.is_class or not (counted and thing.uri in named)],
    )


def _things(event: Mapping[str, Any], instances: str, classes: str) -> list[Thing]:
    found = [Thing(serial_link(uri) or canonical(uri), False, 1, "") for uri in event.get(instances, ())]
    for element in event.get(classes, ()):
        found.append(Thing(canonical(element["epcClass"]), True, element.get("quantity"), element.get("uom", "")))
    return found


def _pairs(event: Mapping[str, Any], name: str, key: str, kind: str) -> list[tuple[str, str]]:
    listed = event.get(name)
    if not listed:
        return []
    pairs = [(word(kind, each["type"]) if "type" in each else "", canonical(each[key])) for each in listed]
    return list(dict.fromkeys(pairs))
