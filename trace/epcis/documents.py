"""What an EPCIS 2.0 document in JSON-LD must look like, and where it does not.

Two layers: typed models, checked by pydantic's compiled core, and rules it cannot say: formats of keys and moments,
prefixes, check digits, what belongs into which list. What passes is returned as it came: nothing is filled in or
dropped. Every fault has a JSON pointer. The facts are from the published JSON Schemas of EPCIS 2.0.1; where our rules
go beyond them ``docs/epcis.md`` says so.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, NamedTuple, Required, TypeAlias

from pydantic import ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from trace.epcis import vocabulary
from trace.epcis.formats import check_digit
from trace.epcis.reading import deeper_than

URI_MOST: Final = 500
EPCS_MOST: Final = 20_000
"""Identifiers in one list of one event."""
SKEW: Final = datetime.timedelta(minutes=5)


class Fault(NamedTuple):
    """One thing that is wrong: where (JSON pointer), a stable code, a sentence in English."""

    pointer: str
    code: str
    detail: str


_URI = r"^[A-Za-z][A-Za-z0-9+.\-]*:[^\s\x00-\x1f\x7f<>\"{}|\\^`]+$"
_MOMENT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,12})?(Z|[+-][0-9]{2}:[0-9]{2})$"
Uri: TypeAlias = Annotated[str, StringConstraints(max_length=URI_MOST, pattern=_URI)]
Moment: TypeAlias = Annotated[str, StringConstraints(max_length=40, pattern=_MOMENT)]
Offset: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[+-](0[0-9]|1[0-3]):[0-5][0-9]$|^[+-]14:00$")]
Number: TypeAlias = (
    Annotated[int, Field(strict=True, ge=-(10**15), le=10**15)]
    | Annotated[float, Field(strict=True, allow_inf_nan=False, ge=-1e15, le=1e15)]
)
Amount: TypeAlias = (
    Annotated[int, Field(strict=True, ge=0, le=10**9)]
    | Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0, le=1e9)]
)
Uom: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{2,3}$")]
# Without the characters that XML and PostgreSQL do not have.
Text: TypeAlias = Annotated[
    str, StringConstraints(max_length=10_000, pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]*$")
]
Hex: TypeAlias = Annotated[str, StringConstraints(max_length=10_000, pattern=r"^[A-Fa-f0-9]+$")]
Action: TypeAlias = Literal["ADD", "OBSERVE", "DELETE"]
_OPEN = ConfigDict(extra="allow")
_CLOSED = ConfigDict(extra="forbid")


def _words(words: Iterable[str]) -> Any:
    """One of these bare words, or a URI of somebody's own (never a URN of the CBV, which belongs into XML)."""
    listed = "|".join(sorted(words))
    pattern = rf"^({listed})$|{_URI}"
    return Annotated[str, StringConstraints(max_length=URI_MOST, pattern=pattern)]


BizStep: TypeAlias = _words(vocabulary.BIZ_STEPS)  # type: ignore[valid-type]
Disposition: TypeAlias = _words(vocabulary.DISPOSITIONS)  # type: ignore[valid-type]
Transaction: TypeAlias = _words(vocabulary.TRANSACTIONS)  # type: ignore[valid-type]
SourceDest: TypeAlias = _words(vocabulary.PARTIES)  # type: ignore[valid-type]
Reason: TypeAlias = _words(vocabulary.REASONS)  # type: ignore[valid-type]
# A kind of measurement we do not know is kept: a reading dropped is a fact lost, and no rule here depends on the kind.
Measure: TypeAlias = Annotated[
    str, StringConstraints(max_length=URI_MOST, pattern=rf"^[A-Za-z][A-Za-z0-9_]{{0,79}}$|{_URI}")
]
Component: TypeAlias = _words(vocabulary.COMPONENTS)  # type: ignore[valid-type]
Alert: TypeAlias = _words(vocabulary.ALERTS)  # type: ignore[valid-type]
Epcs: TypeAlias = Annotated[list[Uri], Field(max_length=EPCS_MOST)]


@with_config(_CLOSED)
class QuantityElement(TypedDict, total=False):
    """So much of a class."""

    epcClass: Required[Uri]
    quantity: Amount
    uom: Uom


@with_config(_CLOSED)
class BizTransaction(TypedDict, total=False):
    """A business document."""

    type: Transaction
    bizTransaction: Required[Uri]


@with_config(_CLOSED)
class Source(TypedDict, total=False):
    """Where it came from."""

    type: Required[SourceDest]
    source: Required[Uri]


@with_config(_CLOSED)
class Destination(TypedDict, total=False):
    """Where it goes."""

    type: Required[SourceDest]
    destination: Required[Uri]


@with_config(_OPEN)
class Location(TypedDict, total=False):
    """A read point or business location."""

    id: Required[Uri]


@with_config(_OPEN)
class ErrorDeclaration(TypedDict, total=False):
    """The event it stands in was wrong."""

    declarationTime: Required[Moment]
    reason: Reason
    correctiveEventIDs: Annotated[list[Uri], Field(max_length=1000)]


@with_config(_CLOSED)
class PersistentDisposition(TypedDict, total=False):
    """Dispositions that stay until unset."""

    set: Annotated[list[Disposition], Field(max_length=100)]
    unset: Annotated[list[Disposition], Field(max_length=100)]


@with_config(_OPEN)
class SensorMetadata(TypedDict, total=False):
    """What holds for all reports of a sensor element."""

    time: Moment
    startTime: Moment
    endTime: Moment
    deviceID: Uri
    deviceMetadata: Uri
    rawData: Uri
    dataProcessingMethod: Uri
    bizRules: Uri


@with_config(_OPEN)
class SensorReport(TypedDict, total=False):
    """One measured thing."""

    type: Measure
    exception: Alert
    deviceID: Uri
    deviceMetadata: Uri
    rawData: Uri
    dataProcessingMethod: Uri
    bizRules: Uri
    time: Moment
    microorganism: Uri
    chemicalSubstance: Uri
    value: Number
    component: Component
    stringValue: Text
    booleanValue: Annotated[bool, Field(strict=True)]
    hexBinaryValue: Hex
    uriValue: Uri
    minValue: Number
    maxValue: Number
    meanValue: Number
    sDev: Number
    percRank: Number
    percValue: Number
    uom: Uom
    coordinateReferenceSystem: Uri


@with_config(_OPEN)
class SensorElement(TypedDict, total=False):
    """Reports of sensors."""

    sensorMetadata: SensorMetadata
    sensorReport: Required[Annotated[list[SensorReport], Field(min_length=1, max_length=10_000)]]


@with_config(_OPEN)
class _Event(TypedDict, total=False):
    """What all five types have."""

    eventTime: Required[Moment]
    eventTimeZoneOffset: Required[Offset]
    recordTime: Moment
    eventID: Uri
    certificationInfo: Uri | Annotated[list[Uri], Field(max_length=100)]
    errorDeclaration: ErrorDeclaration
    bizStep: BizStep
    disposition: Disposition
    persistentDisposition: PersistentDisposition
    readPoint: Location
    bizLocation: Location
    bizTransactionList: Annotated[list[BizTransaction], Field(max_length=1000)]
    sourceList: Annotated[list[Source], Field(max_length=100)]
    destinationList: Annotated[list[Destination], Field(max_length=100)]
    sensorElementList: Annotated[list[SensorElement], Field(max_length=1000)]


Quantities: TypeAlias = Annotated[list[QuantityElement], Field(max_length=EPCS_MOST)]


@with_config(_OPEN)
class ObjectEvent(_Event, total=False):
    """Something happened to objects."""

    type: Required[Literal["ObjectEvent"]]
    action: Required[Action]
    epcList: Epcs
    quantityList: Quantities
    ilmd: dict[str, Any]


@with_config(_OPEN)
class AggregationEvent(_Event, total=False):
    """Children into or out of a parent."""

    type: Required[Literal["AggregationEvent"]]
    action: Required[Action]
    parentID: Uri
    childEPCs: Epcs
    childQuantityList: Quantities


@with_config(_OPEN)
class TransactionEvent(_Event, total=False):
    """Objects tied to business documents."""

    type: Required[Literal["TransactionEvent"]]
    action: Required[Action]
    # What is optional above is required here.
    bizTransactionList: Required[  # type: ignore[misc]
        Annotated[list[BizTransaction], Field(min_length=1, max_length=1000)]
    ]
    parentID: Uri
    epcList: Epcs
    quantityList: Quantities


@with_config(_OPEN)
class TransformationEvent(_Event, total=False):
    """Inputs used up, outputs made."""

    type: Required[Literal["TransformationEvent"]]
    inputEPCList: Epcs
    inputQuantityList: Quantities
    outputEPCList: Epcs
    outputQuantityList: Quantities
    transformationID: Uri
    ilmd: dict[str, Any]


@with_config(_OPEN)
class AssociationEvent(_Event, total=False):
    """Things fastened to other things or places."""

    type: Required[Literal["AssociationEvent"]]
    action: Required[Action]
    parentID: Required[Uri]
    childEPCs: Epcs
    childQuantityList: Quantities


AnyEvent: TypeAlias = Annotated[
    ObjectEvent | AggregationEvent | TransactionEvent | TransformationEvent | AssociationEvent,
    Field(discriminator="type"),
]
_MODELS: Final[Mapping[str, Any]] = {
    "ObjectEvent": ObjectEvent,
    "AggregationEvent": AggregationEvent,
    "TransactionEvent": TransactionEvent,
    "TransformationEvent": TransformationEvent,
    "AssociationEvent": AssociationEvent,
}
CORE: Final = TypeAdapter(AnyEvent)
"""The compiled check alone: what the floors of the benchmarks check."""
_CHECK: Final = CORE.validator.validate_python
_KNOWN: Final[Mapping[str, frozenset[str]]] = {
    name: frozenset(model.__required_keys__ | model.__optional_keys__ | {"@context"}) for name, model in _MODELS.items()
}
_SENSOR: Final = frozenset(SensorElement.__required_keys__ | SensorElement.__optional_keys__)
_META: Final = frozenset(SensorMetadata.__optional_keys__)
_REPORT: Final = frozenset(SensorReport.__optional_keys__)
_DECLARATION: Final = frozenset(ErrorDeclaration.__required_keys__ | ErrorDeclaration.__optional_keys__)
_KEYWORDS: Final = frozenset(["#text", "@id", "@type", "@value", "@language", "@list", "@set", "type", "id"])
_KEY: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_.\-]{0,199}):([A-Za-z_][A-Za-z0-9_.\-]{0,199})", re.ASCII)
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]{0,199}", re.ASCII)
_NO_TEXT: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_KEY_URI: Final = re.compile(r"(?:https?://|urn:)[!-~]{1,400}", re.ASCII)
_LINK: Final = re.compile(r"https?://[^/?#]+(?:/[^?#]*?)?/(01|00|414|417)/([^/?#]+)((?:/[^?#]*)?)")


# --- The document around the events ---------------------------------------------------------------------------------


def prefixes_of(context: Any, pointer: str, faults: list[Fault], known: Mapping[str, str]) -> dict[str, str]:
    """The prefixes that an ``@context`` declares, besides those known. Contexts are never fetched.

    Refused: what is no context, a foreign address, terms of the standard given another meaning.
    """
    found = dict(known)
    for number, entry in enumerate(context if isinstance(context, list) else [context]):
        where = f"{pointer}/{number}" if isinstance(context, list) else pointer
        if isinstance(entry, str):
            if not entry.startswith(vocabulary.CONTEXTS):
                faults.append(
                    Fault(where, "context_unknown", "Contexts are not fetched; only those of GS1 are known here.")
                )
        elif isinstance(entry, dict):
            if len(entry) > 100:
                faults.append(Fault(where, "context_too_large", "A context declares at most 100 prefixes."))
                continue
            for name, meaning in entry.items():
                _declare(name, meaning, f"{where}/{_escaped(name)}", faults, found)
        else:
            faults.append(Fault(where, "context_invalid", "A context is an address or an object of prefixes."))
    return found


def _declare(name: str, meaning: Any, where: str, faults: list[Fault], found: dict[str, str]) -> None:
    if name.startswith("@"):
        if name not in ("@version", "@vocab"):
            faults.append(Fault(where, "context_invalid", "Only prefixes may be declared here."))
        return
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.\-]*", name, re.ASCII):
        faults.append(Fault(where, "prefix_invalid", "A prefix is made of ASCII letters and digits."))
    elif not isinstance(meaning, str) or not 1 < len(meaning) <= URI_MOST or ":" not in meaning:
        faults.append(Fault(where, "prefix_invalid", "A prefix stands for a URI."))
    else:
        found[name] = meaning


def check_head(head: Mapping[str, Any]) -> tuple[dict[str, str], list[Fault]]:
    """The members around the list of events; answers the prefixes declared and what is wrong."""
    faults: list[Fault] = []
    kind = head.get("type")
    if kind not in ("EPCISDocument", "EPCISQueryDocument"):
        faults.append(Fault("/type", "type_invalid", "The type is EPCISDocument or EPCISQueryDocument."))
    if "@context" not in head:
        faults.append(Fault("/@context", "required", "The document has no @context."))
    prefixes = prefixes_of(head.get("@context", []), "/@context", faults, vocabulary.PREFIXES)
    version = head.get("schemaVersion")
    if not isinstance(version, str) or not re.fullmatch(r"2\.[0-9]+(\.[0-9]+)?", version):
        faults.append(Fault("/schemaVersion", "version_unsupported", "The schemaVersion is 2.0 (or 2.0.x)."))
    if moment(head.get("creationDate")) is None:
        faults.append(Fault("/creationDate", "moment_invalid", "The creationDate is a date-time with its offset."))
    body = head.get("epcisBody")
    if not isinstance(body, Mapping):
        faults.append(Fault("/epcisBody", "required", "The document has no epcisBody."))
    for key in head:
        if key not in _HEAD and not _extension_key(key, prefixes):
            faults.append(Fault(f"/{_escaped(key)}", "unknown_field", "No such member of a document."))
    return prefixes, faults


_HEAD: Final = frozenset(
    [
        "@context",
        "id",
        "type",
        "schemaVersion",
        "creationDate",
        "epcisHeader",
        "epcisBody",
        "sender",
        "receiver",
        "instanceIdentifier",
    ]
)


# --- One event ------------------------------------------------------------------------------------------------------


def check_event(
    event: Any, pointer: str, prefixes: Mapping[str, str], now: datetime.datetime, *, xml: bool = False
) -> list[Fault]:
    """What is wrong with one event; empty where nothing is. ``xml`` allows what only arises from XML.

    The event is not changed. A few dozen microseconds for a small event.
    """
    try:
        _CHECK(event)
    except ValidationError as error:
        return _told(error, event, pointer)
    except (RecursionError, OverflowError):
        return [Fault(pointer, "too_deep", "The event is nested too deeply.")]
    faults: list[Fault] = []
    if "@context" in event:
        prefixes = prefixes_of(event["@context"], f"{pointer}/@context", faults, prefixes)
    _times(event, pointer, now, faults)
    _what(event, pointer, faults, twice=xml)
    _vocabulary(event, pointer, faults)
    extra = event.keys() - _KNOWN[event["type"]]
    for key in extra:
        _extension(key, event[key], f"{pointer}/{_escaped(key)}", prefixes, faults)
    if extra and deeper_than(event):
        faults.append(Fault(pointer, "too_deep", "The event is nested too deeply."))
    if "ilmd" in event:
        _ilmd(event, pointer, prefixes, faults)
    for name in ("readPoint", "bizLocation"):
        place = event.get(name)
        if place is not None and len(place) > 1:
            for key in place.keys() - {"id"}:
                _extension(key, place[key], f"{pointer}/{name}/{_escaped(key)}", prefixes, faults)
    declaration = event.get("errorDeclaration")
    if declaration is not None:
        declared, where = moment(declaration["declarationTime"]), f"{pointer}/errorDeclaration/declarationTime"
        if declared is None:
            faults.append(Fault(where, "moment_invalid", "No such moment."))
        elif declared > now + SKEW:
            faults.append(Fault(where, "in_future", "The declarationTime lies in the future."))
        for key in declaration.keys() - _DECLARATION:
            _extension(key, declaration[key], f"{pointer}/errorDeclaration/{_escaped(key)}", prefixes, faults)
    if "sensorElementList" in event:
        _sensors(event["sensorElementList"], f"{pointer}/sensorElementList", prefixes, faults)
    return faults


def moment(value: Any) -> datetime.datetime | None:
    """An aware instant from its text; None for what is none, or lies beyond what can be told in UTC."""
    return _moment(value) if isinstance(value, str) and len(value) <= 40 else None


@lru_cache(maxsize=4_096)
def _moment(value: str) -> datetime.datetime | None:
    try:
        found = datetime.datetime.fromisoformat(value)
        found.astimezone(datetime.UTC)
    except (ValueError, OverflowError):
        return None
    return found if found.tzinfo is not None and "T" in value else None


def _times(event: Mapping[str, Any], pointer: str, now: datetime.datetime, faults: list[Fault]) -> None:
    text, offset = event["eventTime"], event["eventTimeZoneOffset"]
    when = moment(text)
    if when is None:
        faults.append(Fault(f"{pointer}/eventTime", "moment_invalid", "No such moment."))
        return
    if when > now + SKEW:
        faults.append(Fault(f"{pointer}/eventTime", "in_future", "The eventTime lies in the future."))
    if when.year < 1900:
        faults.append(Fault(f"{pointer}/eventTime", "moment_invalid", "The eventTime lies before 1900."))
    if text[-1] != "Z" and text[-6:] != offset and text[-6:] not in ("+00:00", "-00:00"):
        faults.append(
            Fault(f"{pointer}/eventTimeZoneOffset", "offset_differs", "eventTime is written in another zone than this.")
        )


_LISTS: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "ObjectEvent": (("epcList",), ("quantityList",)),
    "AggregationEvent": (("childEPCs",), ("childQuantityList",)),
    "TransactionEvent": (("epcList",), ("quantityList",)),
    "TransformationEvent": (("inputEPCList", "outputEPCList"), ("inputQuantityList", "outputQuantityList")),
    "AssociationEvent": (("childEPCs",), ("childQuantityList",)),
}


def _what(event: Mapping[str, Any], pointer: str, faults: list[Fault], *, twice: bool) -> None:
    """The lists of identifiers: something in them, the right kind in each, check digits, nothing twice (but in XML)."""
    kind = event["type"]
    instances, classes = _LISTS[kind]
    some = False
    for name in instances:
        for number, uri in enumerate(event.get(name, ())):
            some = True
            _instance(uri, f"{pointer}/{name}/{number}", faults)
        listed = event.get(name)
        if listed and not twice and len(set(listed)) != len(listed):
            faults.append(Fault(f"{pointer}/{name}", "epc_twice", "An identifier is there twice."))
    for name in classes:
        for number, element in enumerate(event.get(name, ())):
            some = True
            _class(element, f"{pointer}/{name}/{number}", faults)
    parent = event.get("parentID")
    if parent is not None:
        _instance(parent, f"{pointer}/parentID", faults)
    if kind == "AggregationEvent" or kind == "AssociationEvent":
        if parent is None and event["action"] != "OBSERVE":
            faults.append(Fault(f"{pointer}/parentID", "required", "ADD and DELETE need the parentID."))
        if not some and event["action"] == "ADD":
            faults.append(Fault(f"{pointer}/childEPCs", "nothing_named", "Nothing is put together."))
        if parent is not None and parent in event.get("childEPCs", ()):
            faults.append(Fault(f"{pointer}/childEPCs", "parent_in_itself", "The parent is among its children."))
    elif kind == "TransformationEvent":
        named = [bool(event.get(name)) for name in (*instances, *classes)]
        ins, outs = named[0] or named[2], named[1] or named[3]
        if not (ins or outs):
            faults.append(Fault(f"{pointer}/inputEPCList", "nothing_named", "Neither inputs nor outputs are named."))
        elif "transformationID" not in event and not (ins and outs):
            missing = "outputEPCList" if ins else "inputEPCList"
            faults.append(
                Fault(f"{pointer}/{missing}", "required", "Without a transformationID inputs and outputs are needed.")
            )
    elif not some and parent is None:
        where = "epcList" if kind == "ObjectEvent" else "parentID"
        if kind == "TransactionEvent" or not (
            "sensorElementList" in event and ("readPoint" in event or "bizLocation" in event)
        ):
            faults.append(
                Fault(f"{pointer}/{where}", "nothing_named", "Neither epcList nor quantityList name anything.")
            )


@lru_cache(maxsize=4_096)
def _fine(stem: str) -> bool:
    """Whether a plain serial behind this makes a right identifier of one thing."""
    faults: list[Fault] = []
    _judge_instance(f"{stem}A", "", faults)
    return not faults


def _instance(uri: str, where: str, faults: list[Fault]) -> None:
    end = uri.rfind("/") + 1
    if not (uri[end:].isalnum() and uri.endswith("/21/", 0, end) and _fine(uri[:end])):
        _judge_instance(uri, where, faults)


def _judge_instance(uri: str, where: str, faults: list[Fault]) -> None:
    if uri.startswith(("urn:epc:class:", "urn:epc:idpat:")):
        faults.append(Fault(where, "class_in_epc_list", "A class is no single thing; it belongs into a quantity list."))
        return
    if uri.startswith("http"):
        found = _LINK.match(uri)
        if found is not None:
            _check_digit(found, where, faults)
            if found[1] == "01" and "/21/" not in found[3] and "/235/" not in found[3]:
                faults.append(
                    Fault(where, "class_in_epc_list", "A GTIN without serial number is a class, no single thing.")
                )


def _class(element: Mapping[str, Any], where: str, faults: list[Fault]) -> None:
    uri = element["epcClass"]
    if uri.startswith("urn:epc:id:") and not uri.startswith("urn:epc:id:grai:"):
        faults.append(Fault(f"{where}/epcClass", "instance_in_quantity_list", "A single thing is no class."))
    elif uri.startswith("http"):
        found = _LINK.match(uri)
        if found is not None:
            _check_digit(found, f"{where}/epcClass", faults)
            if found[1] == "01" and "/21/" in found[3]:
                faults.append(Fault(f"{where}/epcClass", "instance_in_quantity_list", "A single thing is no class."))
    if "uom" in element and "quantity" not in element:
        faults.append(Fault(f"{where}/quantity", "required", "A unit without a quantity."))


_LENGTHS: Final = {"01": 14, "00": 18, "414": 13, "417": 13}


def _check_digit(found: re.Match[str], where: str, faults: list[Fault]) -> None:
    """The GS1 key of a Digital Link: its length and check digit (GS1 General Specifications 7.9)."""
    digits = found[2]
    if found[1] == "01" and digits.isascii() and digits.isdigit() and len(digits) in (8, 12, 13):
        digits = digits.zfill(14)
    if not (digits.isascii() and digits.isdigit() and len(digits) == _LENGTHS[found[1]]):
        faults.append(Fault(where, "key_length", f"After /{found[1]}/ come {_LENGTHS[found[1]]} digits."))
        return
    if check_digit(digits[:-1]) != digits[-1]:
        faults.append(Fault(where, "check_digit", "The check digit is wrong."))


def _vocabulary(event: Mapping[str, Any], pointer: str, faults: list[Fault]) -> None:
    """CBV words as URNs belong into XML; a Web URI of the CBV must be one of its words."""
    for kind in ("bizStep", "disposition"):
        value = event.get(kind)
        if value is not None:
            _cbv(kind, value, f"{pointer}/{kind}", faults)
    held = event.get("persistentDisposition")
    if held:
        for name in ("set", "unset"):
            for number, value in enumerate(held.get(name, ())):
                _cbv("disposition", value, f"{pointer}/persistentDisposition/{name}/{number}", faults)
        if not held.get("set") and not held.get("unset"):
            faults.append(Fault(f"{pointer}/persistentDisposition", "required", "Neither set nor unset says anything."))
    for name, kind in (
        ("bizTransactionList", "bizTransaction"),
        ("sourceList", "sourceDest"),
        ("destinationList", "sourceDest"),
    ):
        for number, element in enumerate(event.get(name, ())):
            if "type" in element:
                _cbv(kind, element["type"], f"{pointer}/{name}/{number}/type", faults)


def _cbv(kind: str, value: str, where: str, faults: list[Fault]) -> None:
    if value.startswith("urn:epcglobal:cbv:"):
        faults.append(Fault(where, "cbv_urn", "In JSON the words of the CBV stand without their URN."))
    elif value.startswith(("https://ref.gs1.org/cbv/", "https://ns.gs1.org/cbv/")) and ":" in vocabulary.word(
        kind, value
    ):
        faults.append(Fault(where, "cbv_unknown", "The CBV has no such word."))


# --- Extensions -----------------------------------------------------------------------------------------------------


def _extension_key(key: str, prefixes: Mapping[str, str]) -> bool:
    found = _KEY.fullmatch(key)
    if found is not None and found[1] in prefixes:
        return True
    return _KEY_URI.fullmatch(key) is not None and not (found is not None and found[1] not in ("urn",))


def _extension(key: str, value: Any, where: str, prefixes: Mapping[str, str], faults: list[Fault]) -> None:
    """One extension with all below it. Its own key carries a declared prefix; names below it may be plain."""
    if not _extension_key(key, prefixes):
        if key.isascii() and _KEY.fullmatch(key):
            faults.append(Fault(where, "prefix_undeclared", "This prefix is not declared in the @context."))
        elif not key.isascii():
            faults.append(Fault(where, "key_not_ascii", "Keys are ASCII; other writing belongs into values."))
        else:
            faults.append(Fault(where, "unknown_field", "No such field; an extension needs a declared prefix."))
        return
    _below(value, where, prefixes, faults, 0)


def _below(value: Any, where: str, prefixes: Mapping[str, str], faults: list[Fault], depth: int) -> None:
    if depth > 32 or len(faults) > 50:
        return
    if isinstance(value, dict):
        for key, inner in value.items():
            inside = f"{where}/{_escaped(key)}"
            if key in _KEYWORDS or _NAME.fullmatch(key):
                # Below a prefixed key plain names are the extension's own.
                _below(inner, inside, prefixes, faults, depth + 1)
            else:
                _extension(key, inner, inside, prefixes, faults)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            if isinstance(inner, dict | list | str):
                _below(inner, f"{where}/{number}", prefixes, faults, depth + 1)
    elif isinstance(value, str) and _NO_TEXT.search(value):
        faults.append(Fault(where, "text_character", "The text has a character that XML and databases do not have."))


def _ilmd(event: Mapping[str, Any], pointer: str, prefixes: Mapping[str, str], faults: list[Fault]) -> None:
    if event["type"] == "ObjectEvent" and event["action"] != "ADD":
        faults.append(Fault(f"{pointer}/ilmd", "ilmd_not_here", "Master data of instances come with ADD alone."))
    for key, value in event["ilmd"].items():
        _extension(key, value, f"{pointer}/ilmd/{_escaped(key)}", prefixes, faults)


def _sensors(elements: Any, pointer: str, prefixes: Mapping[str, str], faults: list[Fault]) -> None:
    for number, element in enumerate(elements):
        where = f"{pointer}/{number}"
        for key in element.keys() - _SENSOR:
            _extension(key, element[key], f"{where}/{_escaped(key)}", prefixes, faults)
        about = element.get("sensorMetadata", {})
        for key in about.keys() - _META:
            _extension(key, about[key], f"{where}/sensorMetadata/{_escaped(key)}", prefixes, faults)
        for key in ("time", "startTime", "endTime"):
            if key in about and moment(about[key]) is None:
                faults.append(Fault(f"{where}/sensorMetadata/{key}", "moment_invalid", "No such moment."))
        for at, report in enumerate(element["sensorReport"]):
            inside = f"{where}/sensorReport/{at}"
            for key in report.keys() - _REPORT:
                _extension(key, report[key], f"{inside}/{_escaped(key)}", prefixes, faults)
            if "time" in report and moment(report["time"]) is None:
                faults.append(Fault(f"{inside}/time", "moment_invalid", "No such moment."))


# --- Words for pydantic's findings ----------------------------------------------------------------------------------

_CODES: Final = {
    "missing": ("required", "This must be there."),
    "extra_forbidden": ("unknown_field", "No such field here."),
    "union_tag_invalid": ("type_unknown", "The type is one of the five event types."),
    "union_tag_not_found": ("required", "The event has no type."),
    "literal_error": ("unknown_choice", "Not one of the allowed words."),
    "string_pattern_mismatch": ("format", "Not of the form this must have, or not one of the allowed words."),
    "string_too_long": ("text_too_long", "This is too long."),
    "string_type": ("text_not_text", "This must be text."),
    "too_long": ("too_many_items", "Too many items in one event."),
    "too_short": ("too_few_items", "At least one item must be there."),
    "greater_than_equal": ("number_range", "The number is too small."),
    "less_than_equal": ("number_range", "The number is too large."),
    "list_type": ("not_a_list", "This must be a list."),
    "dict_type": ("not_an_object", "This must be an object."),
    "int_type": ("not_a_number", "This must be a number."),
    "float_type": ("not_a_number", "This must be a number."),
    "bool_type": ("not_a_boolean", "This must be true or false."),
    "string_unicode": ("text_surrogate", "The text contains half a character."),
}
_BRANCHES: Final = frozenset([*vocabulary.EVENT_TYPES, "int", "float"])


def _told(error: ValidationError, event: Any, pointer: str) -> list[Fault]:
    """Pydantic's findings in our words, each place once."""
    found: dict[str, Fault] = {}
    for entry in error.errors(include_url=False, include_context=False, include_input=False)[:50]:
        path = [
            step
            for step in entry["loc"]
            if step not in _BRANCHES and not (isinstance(step, str) and step.startswith(("constrained-", "list[")))
        ]
        kind = entry["type"]
        if kind == "union_tag_not_found" or kind == "union_tag_invalid":
            path = ["type"]
        where = pointer + "".join(f"/{_escaped(str(step))}" for step in path)
        code, detail = _CODES.get(kind, ("invalid_value", "Not allowed here."))
        found.setdefault(where, Fault(where, code, detail))
    return list(found.values())


def _escaped(name: str) -> str:
    """One step of a JSON pointer (RFC 6901)."""
    return name.replace("~", "~0").replace("/", "~1")


def check_document(document: Mapping[str, Any], now: datetime.datetime) -> Iterator[Fault]:
    """Everything that is wrong with a document already in memory (XML, tests)."""
    prefixes, faults = check_head(document)
    yield from faults
    events, pointer = listed_events(document)
    if events is None:
        yield Fault("/epcisBody/eventList", "required", "The document has no list of events.")
        return
    for number, event in enumerate(events):
        yield from check_event(event, f"{pointer}/{number}", prefixes, now)


def listed_events(document: Mapping[str, Any]) -> tuple[list[Any] | None, str]:
    """The list of events of a document and its pointer."""
    body = document.get("epcisBody")
    if not isinstance(body, Mapping):
        return None, ""
    if isinstance(body.get("eventList"), list):
        return body["eventList"], "/epcisBody/eventList"
    if isinstance(body.get("event"), Mapping):
        return [body["event"]], "/epcisBody/event"
    results = body.get("queryResults")
    found = results.get("resultsBody") if isinstance(results, Mapping) else None
    if isinstance(found, Mapping) and isinstance(found.get("eventList"), list):
        return found["eventList"], "/epcisBody/queryResults/resultsBody/eventList"
    return None, ""
