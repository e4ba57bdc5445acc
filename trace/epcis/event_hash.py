"""The EPCIS event hash id of CBV 2.0 (section 8.9.2): one name for one event, whoever computes it.

Rules and canonical order are those of the standard as its authors republish them with their reference implementation
(known to us from there, not from the text itself [S]); the numbers below are theirs. In short: the values of an event
are written one after the other in a fixed order, each in one canonical form (times in UTC with milliseconds, GS1 keys
as canonical Digital Links, CBV words as Web URIs, numbers without needless zeros), and the string is hashed.

Where the text leaves room we follow the reference implementation (PyPI ``epcis_event_hash_generator`` 1.9.3), which the
tests measure against: the lists of business transactions, sources and destinations stand with ILMD and extensions at
the end, in alphabetical order; an extension inside a standard field stands there when its namespace ends in ``/`` and
at the end otherwise. Where it breaks the rules we keep them:

* a time of .9995 s or more carries into the next second, and an exact half rounds up (CBV 2.1, rule 9);
* a time without a zone is UTC, not the zone of the machine;
* ``007`` and ``7`` are two values, so are ``1e3`` and ``1000`` as text, and a long number keeps all its digits;
* a transaction, source or destination without type is hashed, and its type stands first in whatever order JSON has it;
* true is ``true`` in JSON as in XML (rule 11 of the requirements: one hash for both);
* gs1:, cbv: and epcis: are expanded everywhere (rule 15), and so are prefixes that the event's own @context declares;
* bare words are expanded in the fields whose words they are, never elsewhere.

Pure: no network (contexts are never fetched), no clock.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Final

from django.utils.translation import gettext as _

from trace.epcis.formats import Vocabulary, canonical, serial_link, split_iri, word_uri
from trace.errors import Invalid

MAX_DEPTH = 64
MDA_NAMESPACE: Final = "urn:epcglobal:cbv:mda"
KNOWN_PREFIXES: Final[Mapping[str, str]] = {
    "gs1": "https://gs1.org/voc/",
    "cbv": "https://ref.gs1.org/cbv/",
    "epcis": "https://ref.gs1.org/epcis/",
    "cbvmda": MDA_NAMESPACE,
}
_IGNORED: Final = frozenset(("#text", "rdfs:comment", "comment", "@context"))
_IGNORED_ABOVE: Final = _IGNORED | {"recordTime", "eventID", "type", "errorDeclaration"}
_CBV_STEMS: Final = tuple((v.urn_stem, v.uri_stem) for v in Vocabulary if v.urn_stem)


@dataclass(frozen=True)
class Field:
    """A standard element: its name, that of its items when it is a list, its members in canonical order, its words."""

    name: str
    item: str = ""
    members: "Order" = field(default_factory=dict)
    words: Vocabulary | None = None
    time: bool = False
    number: bool = False


Order = Mapping[str, tuple[int, Field]]
"""The members of an element by name, each with its place."""


def _in_order(*fields: Field) -> Order:
    """These members in this order."""
    return {field.name: (place, field) for place, field in enumerate(fields)}


def _plain(names: str) -> tuple[Field, ...]:
    """Elements with a value and nothing else."""
    return tuple(Field(name) for name in names.split())


def _numbers(names: str) -> tuple[Field, ...]:
    """Elements with a number."""
    return tuple(Field(name, number=True) for name in names.split())


_QUANTITY: Final = _in_order(Field("epcClass"), Field("quantity", number=True), Field("uom"))
_ID: Final = _in_order(Field("id"))
_METADATA: Final = _in_order(
    Field("time", time=True),
    Field("startTime", time=True),
    Field("endTime", time=True),
    *_plain("deviceID deviceMetadata rawData dataProcessingMethod bizRules"),
)
_REPORT: Final = _in_order(
    Field("type", words=Vocabulary.MEASUREMENT),
    Field("exception", words=Vocabulary.SENSOR_ALERT),
    *_plain("deviceID deviceMetadata rawData dataProcessingMethod"),
    Field("time", time=True),
    *_plain("microorganism chemicalSubstance"),
    Field("value", number=True),
    Field("component", words=Vocabulary.COMPONENT),
    *_plain("stringValue booleanValue hexBinaryValue uriValue"),
    *_numbers("minValue maxValue meanValue sDev percRank percValue"),
    *_plain("uom coordinateReferenceSystem"),
)
ORDER: Final = (
    Field("eventTime", time=True),
    *_plain("eventTimeZoneOffset certificationInfo parentID"),
    Field("epcList", "epc"),
    Field("inputEPCList", "epc"),
    Field("childEPCs", "epc"),
    Field("quantityList", "quantityElement", _QUANTITY),
    Field("childQuantityList", "quantityElement", _QUANTITY),
    Field("inputQuantityList", "quantityElement", _QUANTITY),
    Field("outputEPCList", "epc"),
    Field("outputQuantityList", "quantityElement", _QUANTITY),
    *_plain("action transformationID"),
    Field("bizStep", words=Vocabulary.BIZ_STEP),
    Field("disposition", words=Vocabulary.DISPOSITION),
    Field(
        "persistentDisposition",
        members=_in_order(Field("set", words=Vocabulary.DISPOSITION), Field("unset", words=Vocabulary.DISPOSITION)),
    ),
    Field("readPoint", members=_ID),
    Field("bizLocation", members=_ID),
    Field(
        "sensorElementList",
        "sensorElement",
        _in_order(Field("sensorMetadata", members=_METADATA), Field("sensorReport", members=_REPORT)),
    ),
)
"""The canonical property order, as far as it is kept: see `_PAIRS` for the three lists that come after."""
_EVENT: Final = _in_order(*ORDER)
_PAIRS: Final = {
    "bizTransactionList": ("bizTransaction", Vocabulary.BIZ_TRANSACTION),
    "sourceList": ("source", Vocabulary.SOURCE_DEST),
    "destinationList": ("destination", Vocabulary.SOURCE_DEST),
}
Namespaces = Mapping[str, str]


def event_hash(event: Mapping[str, Any], context: object = None) -> str:
    """``ni:///sha-256;…?ver=CBV2.0`` of one JSON-LD event; ``context`` is the @context of its document.

    eventID, recordTime and errorDeclaration do not count, so an error declaration has the hash of its original.
    Refuses ``event_too_deep``.
    """
    digest = hashlib.sha256(pre_hash(event, context).encode("utf-8", "surrogatepass")).hexdigest()
    return f"ni:///sha-256;{digest}?ver=CBV2.0"


def pre_hash(event: Mapping[str, Any], context: object = None) -> str:
    """The string that `event_hash` hashes, to see where two events differ. Refuses ``event_too_deep``."""
    names = namespaces(context)
    if "@context" in event:
        names = {**names, **namespaces(event["@context"])}
    elif names is KNOWN_PREFIXES:
        plain = _plain_pre_hash(event)
        if plain is not None:
            return plain
    text, rest = _members(event, _EVENT, names, _IGNORED_ABOVE, 0)
    return "".join((f"eventType={event.get('type', '')}", text, *sorted(rest)))


_OWN: Final = _IGNORED_ABOVE | {"eventTime", "epcList"}


def _plain_pre_hash(event: Mapping[str, Any]) -> str | None:
    """The string of an event that says, besides its time and its instances, only texts: what lines report by the
    thousand, the same texts each time. None for any other.
    """
    told: list[tuple[str, str | None, str]] = []
    for key, value in event.items():
        if key in _OWN:
            continue
        inner = None
        if type(value) is dict and len(value) == 1:
            ((inner, value),) = value.items()
        if type(value) is not str or len(value) > 200:
            return None
        told.append((key, inner, value))
    time, epcs = event.get("eventTime"), event.get("epcList")
    if type(time) is not str or type(epcs) is not list or not all(type(each) is str for each in epcs):
        return None
    before, after = _around(tuple(told))
    when = _element(_EVENT["eventTime"][1], "eventTime", time, KNOWN_PREFIXES, 0)[0]
    listed = _field(_EVENT["epcList"][1], epcs, KNOWN_PREFIXES, 0)[0]
    return f"eventType={event.get('type', '')}{when}{before}{listed}{after}"


@lru_cache(maxsize=1_024)
def _around(told: tuple[tuple[str, str | None, str], ...]) -> tuple[str, str]:
    """What these members say between the event's time and its instances, and after them."""
    event = {key: value if inner is None else {inner: value} for key, inner, value in told}
    listed = _EVENT["epcList"][0]
    first = {key: value for key, value in event.items() if key in _EVENT and _EVENT[key][0] < listed}
    before, left = _members(first, _EVENT, KNOWN_PREFIXES, _IGNORED_ABOVE, 0)
    others = {key: value for key, value in event.items() if key not in first}
    after, rest = _members(others, _EVENT, KNOWN_PREFIXES, _IGNORED_ABOVE, 0)
    return before, "".join((after, *sorted([*left, *rest])))


def namespaces(context: object) -> Namespaces:
    """The prefixes that an @context declares, nothing fetched, and those every document knows."""
    declaring = [part for part in (context if isinstance(context, list) else [context]) if isinstance(part, dict)]
    if not declaring:
        return KNOWN_PREFIXES
    found = dict(KNOWN_PREFIXES)
    for part in declaring:
        for prefix, target in part.items():
            uri = target.get("@id") if isinstance(target, dict) else target
            if isinstance(uri, str) and not prefix.startswith("@"):
                # XML has this namespace without the colon that the JSON-LD context needs.
                found[prefix] = MDA_NAMESPACE if uri == MDA_NAMESPACE + ":" else uri
    return found


# ---------------------------------------------------------------- elements


def _members(
    value: Mapping[str, Any], order: Order, names: Namespaces, ignored: frozenset[str], depth: int
) -> tuple[str, list[str]]:
    """The members of an element: those of the standard in order, then what has no place among them."""
    texts = [""] * len(order)
    rest: list[str] = []
    inside: list[str] = []
    for key, child in value.items():
        if key in order:
            place, field = order[key]
            if type(child) is str and not field.item and not field.time and len(child) <= 60 and ":" not in child:
                texts[place] = _short(field.name, field.words, field.number, child)
                continue
            texts[place], left = _field(field, child, names, depth)
            if left:
                rest.append(left)
        elif key in ignored:
            continue
        elif depth == 0 and key in _PAIRS:
            rest.append(_pairs(key, child, names))
        else:
            name = _key(key, names)
            here = depth > 0 and len(value) > 1 and name.startswith("{") and "/}" in name
            (inside if here else rest).extend(_extension(name, child, names, depth))
    return "".join(texts) + "".join(sorted(inside)), rest


def _field(field: Field, value: Any, names: Namespaces, depth: int) -> tuple[str, str]:
    """A standard element, and what of it has no place: to be written at the end of the event, under its name again."""
    if not field.item and not isinstance(value, (list, dict)):
        return _element(field, field.name, value, names, depth)
    deeper = depth + (2 if field.item else 1)
    if field.item == "epc" and type(value) is list and all(type(item) is str for item in value):
        listed = [f"epc={text}" for item in value if (text := serial_link(item) or _value(item, names))]
        text = "".join(sorted(listed))
        return (field.name + text if text else ""), ""
    pairs = [_element(field, field.item or field.name, item, names, deeper) for item in _flat(value)]
    text = "".join(sorted(text for text, _left in pairs))
    rest = sorted(left for _text, left in pairs if left)
    if not field.item:
        return text, "".join(rest)
    return (field.name + text if text else ""), (field.name + "".join(rest) if rest else "")


def _element(field: Field, name: str, value: Any, names: Namespaces, depth: int) -> tuple[str, str]:
    """One element or one item of a list."""
    _require_depth(depth)
    if type(value) is str and not field.time and len(value) <= 60 and ":" not in value:
        return _short(name, field.words, field.number, value), ""
    if not isinstance(value, dict):
        text = _standard_value(field, value, names)
        return (f"{name}={text}" if text else ""), ""
    own = _standard_value(field, value["#text"], names) if "#text" in value else ""
    head = f"{name}={own}" if own else name
    inner, rest = _members(value, field.members, names, _IGNORED, depth)
    return (head + inner if own or inner else ""), (head + "".join(sorted(rest)) if rest else "")


@lru_cache(maxsize=4_096)
def _short(name: str, words: Vocabulary | None, number: bool, value: str) -> str:
    """An element whose value has no colon and so no prefix: most events say the same words again."""
    text = _standard_value(Field(name, words=words, number=number), value, KNOWN_PREFIXES)
    return f"{name}={text}" if text else ""


def _pairs(key: str, value: Any, names: Namespaces) -> str:
    """A list of business transactions, sources or destinations: in each the type, then what it is the type of."""
    name, words = _PAIRS[key]
    texts = []
    for item in _flat(value):
        if not isinstance(item, dict):
            item = {name: item}
        text = ""
        if item.get("type"):
            text = "type=" + _standard_value(Field("type", words=words), item["type"], names)
        if name in item:
            text += f"{name}={_value(item[name], names)}"
        others = [
            line
            for other, child in item.items()
            if other not in ("type", name) and other not in _IGNORED
            for line in _extension(_key(other, names), child, names, 2)
        ]
        texts.append(text + "".join(sorted(others)))
    return key + "".join(sorted(texts))


def _extension(name: str, value: Any, names: Namespaces, depth: int) -> list[str]:
    """An element of somebody's own: a line for each member of an array, members in alphabetical order."""
    _require_depth(depth)
    if isinstance(value, list):
        return [line for item in value for line in _extension(name, item, names, depth + 1)]
    if not isinstance(value, dict):
        text = _value(value, names)
        return [f"{name}={text}" if text else name]
    own = _value(value["#text"], names) if "#text" in value else ""
    lines = [
        line
        for key, child in value.items()
        if key not in _IGNORED
        for line in _extension(_key(key, names), child, names, depth + 1)
    ]
    return [(f"{name}={own}" if own else name) + "".join(sorted(lines))]


def _flat(value: Any) -> list[Any]:
    """The items of a list, however it is nested; of anything else the thing itself."""
    if not isinstance(value, list):
        return [value]
    items, waiting = [], list(reversed(value))
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting.extend(reversed(item))
        else:
            items.append(item)
    return items


def _require_depth(depth: int) -> None:
    """Stop before Python's own stack does."""
    if depth > MAX_DEPTH:
        raise Invalid(
            _("事件的内容嵌套超过 %(most)d 层。") % {"most": MAX_DEPTH}, code="event_too_deep", most=MAX_DEPTH
        )


def _key(key: str, names: Namespaces) -> str:
    """``{namespace}local`` for a key with a known prefix or one that is written out (rules 19 and 20)."""
    prefix, colon, local = key.partition(":")
    if colon and prefix in names and not local.startswith("//"):
        return f"{{{names[prefix]}}}{local}"
    if local.startswith("//") or prefix == "urn":
        space, name = split_iri(key)
        return f"{{{space}}}{name}" if name else key
    return key


# ---------------------------------------------------------------- values


def _standard_value(field: Field, value: Any, names: Namespaces) -> str:
    """The value of a standard element in its canonical form."""
    if field.time and isinstance(value, str):
        return utc_milliseconds(value.strip())
    if field.number and isinstance(value, str):
        return _number(value.strip())
    if field.words and isinstance(value, str):
        return _value(word_uri(field.words, value.strip()), names)
    return _value(value, names)


def _value(value: Any, names: Namespaces) -> str:
    """Any value in its canonical form (rules 5 to 7 and 14 to 18)."""
    if isinstance(value, str):
        text = value.strip()
        prefix, colon, local = text.partition(":")
        if colon and prefix in names and not local.startswith("//"):
            text = names[prefix] + local
        return _text(text)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if value.bit_length() < 10_000 else str(Decimal(value))
    return _number(repr(value)) if isinstance(value, float) else str(value)


_BEGINS_NUMBER: Final = frozenset("-0123456789")
_FRACTION: Final = re.compile(r"-?(?:0|[1-9][0-9]*)\.[0-9]+|-0")


def _text(text: str) -> str:
    """A text value: CBV's URNs become Web URIs, GS1 keys canonical Digital Links, 23.0 is 23; 007 stays what it is."""
    if "urn:epcglobal:cbv:" in text:
        for urn, uri in _CBV_STEMS:
            text = text.replace(urn, uri)
    if text[:1] in _BEGINS_NUMBER and _FRACTION.fullmatch(text):
        return _number(text)
    return canonical(text)


def _number(text: str) -> str:
    """A number without needless zeros and signs, to the last digit; what is none comes back as it is."""
    if len(text) > 400:
        return text
    try:
        number = Decimal(text)
        if not number.is_finite() or abs(number.adjusted()) > 400 or "_" in text:
            return text
        if number == number.to_integral_value():
            return str(int(number))
    except (InvalidOperation, ValueError):
        return text
    short = repr(float(number))
    return short if Decimal(short) == number else format(number.normalize(), "f")


_TIME: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d+))?)?\s?([Zz]|[+-]\d\d(?::?\d\d)?)?", re.ASCII
)
_WHOLE_SECONDS: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{3})?[+-](?:[01]\d|2[0-3]):[0-5]\d", re.ASCII)
_CANONICAL_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT[01]\d:\d\d:[0-5]\d\.\d{3}Z", re.ASCII)


def utc_milliseconds(text: str) -> str:
    """A time as ``YYYY-MM-DDTHH:MM:SS.mmmZ`` (rules 8 and 9), rounded half up; without a zone it is UTC.

    What is no time comes back as it is: to refuse it is for the validation.
    """
    if text.endswith("Z") and _CANONICAL_TIME.fullmatch(text):
        return text
    if _WHOLE_SECONDS.fullmatch(text):
        # What most events say, three times as fast; what has no such day or hour goes the long way.
        try:
            return datetime.fromisoformat(text).astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
        except (ValueError, OverflowError):
            pass
    match = _TIME.fullmatch(text)
    if match is None:
        return text
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    digits = ((fraction or "") + "0000")[:4]
    milliseconds = int(digits[:3]) + (digits[3] >= "5")
    midnight = hour == "24"
    if midnight and (int(minute) or int(second or 0) or milliseconds):
        return text
    try:
        moment = datetime(int(year), int(month), int(day), 0 if midnight else int(hour), int(minute), int(second or 0))  # noqa: DTZ001
        moment += timedelta(days=midnight, milliseconds=milliseconds) - _offset(zone)
    except (ValueError, OverflowError):
        return text
    return moment.isoformat(timespec="milliseconds") + "Z"


def _offset(zone: str | None) -> timedelta:
    """How far a zone is ahead of UTC. ValueError beyond a day."""
    if not zone or zone in "Zz":
        return timedelta()
    hours, minutes = int(zone[1:3]), int(zone[3:].lstrip(":") or 0)
    if hours > 23 or minutes > 59:
        raise ValueError(zone)
    ahead = timedelta(hours=hours, minutes=minutes)
    return -ahead if zone[0] == "-" else ahead
