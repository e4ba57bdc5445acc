"""Hypothesis makes EPCIS documents in JSON-LD that pass the checks of capture.

What differs between equal spellings is drawn too: URN or Digital Link, bare word or Web URI. Values of extensions are
of every kind JSON has. Times lie before 2026.
"""

from typing import Any

from hypothesis import strategies as st

from trace.epcis import formats
from trace.epcis.formats import Vocabulary

CONTEXT = "https://ref.gs1.org/standards/epcis/epcis-context.jsonld"
PREFIXES = {"ext": "https://example.cn/epcis/", "other": "http://ns.example.org/epcis"}
PREFIX = "9521234"

_serials = st.text("ABCxyz0123456789-_.!'()*+,/%\"&<>?", min_size=1, max_size=20)
_texts = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Cn"], exclude_characters="\ufffe\uffff"), min_size=1, max_size=30
).filter(lambda text: text.strip())
_names = st.text("abcXYZ_0123456789-.", min_size=1, max_size=10).map(lambda text: "n" + text)


def _urn(kind: str, body: str, tail: str | None = None) -> str:
    escaped = "".join(f"%{ord(char):02X}" if char in '"#%&/<>?' else char for char in tail or "")
    return f"urn:epc:{kind}:{PREFIX}.{body}" + (f".{escaped}" if tail is not None else "")


def _either(urn: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """The URN, or its Digital Link under some host."""
    hosts = st.sampled_from(["https://id.gs1.org", "https://a.example.cn"])
    return urn | st.builds(formats.to_digital_link, urn, hosts)


items = st.integers(0, 99999).map(lambda number: f"{number:06d}")
epcs = _either(
    st.builds(lambda item, serial: _urn("id:sgtin", item, serial), items, _serials)
    | st.integers(0, 10**10 - 1).map(lambda number: _urn("id:sscc", f"{number:010d}"))
)
classes = _either(
    st.builds(lambda item, lot: _urn("class:lgtin", item, lot), items, _serials)
    | items.map(lambda item: _urn("idpat:sgtin", item) + ".*")
)
places = _either(
    st.builds(
        lambda place, extension: _urn("id:sgln", f"{place:05d}", extension),
        st.integers(0, 99999),
        st.just("0") | _serials,
    )
)
parties = _either(st.integers(0, 99999).map(lambda number: _urn("id:pgln", f"{number:05d}")))


def words(vocabulary: Vocabulary) -> st.SearchStrategy[str]:
    """A word of the standard, bare or as Web URI, or somebody's own."""
    known = st.sampled_from(sorted(vocabulary.words))
    own = st.just("https://example.cn/words/fermenting")
    return known | known.map(lambda word: formats.word_uri(vocabulary, word)) | own


@st.composite
def times(draw: st.DrawFn) -> tuple[str, str]:
    """An event's time and zone offset, which agree."""
    offset = draw(st.sampled_from(["+08:00", "-06:00", "+05:30"]))
    moment = draw(st.datetimes(_datetime(2000), _datetime(2025)))
    fraction = draw(st.sampled_from(["", ".5", ".123", ".9994", ".9995", ".123456789"]))
    return f"{moment:%Y-%m-%dT%H:%M:%S}{fraction}{offset}", offset


def _datetime(year: int) -> Any:
    import datetime

    return datetime.datetime(year, 1, 1)  # noqa: DTZ001


numbers = st.integers(0, 10**9) | st.floats(0, 1e9, allow_nan=False).map(lambda number: round(number, 6))
quantities = st.lists(
    st.fixed_dictionaries({"epcClass": classes}, optional={"quantity": numbers})
    | st.fixed_dictionaries({"epcClass": classes, "quantity": numbers, "uom": st.sampled_from(["KGM", "LTR"])}),
    min_size=1,
    max_size=3,
)
_scalars = _texts | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False)
_keys = st.builds(lambda prefix, name: f"{prefix}:{name}", st.sampled_from(list(PREFIXES)), _names)
extensions = st.dictionaries(
    _keys,
    st.recursive(
        _scalars | st.sampled_from(["007", "7.0", " spaced ", "ext:curie", "a\r\n\tb", "<&>\"'"]),
        lambda inner: st.lists(inner, min_size=2, max_size=3) | st.dictionaries(_keys, inner, min_size=1, max_size=3),
        max_leaves=6,
    ),
    max_size=3,
)


@st.composite
def with_extensions(draw: st.DrawFn, base: st.SearchStrategy[dict[str, Any]]) -> dict[str, Any]:
    """An object of the standard with something of somebody's own in it."""
    return {**draw(base), **draw(extensions)}


_metadata = st.fixed_dictionaries(
    {},
    optional={
        "time": times().map(lambda pair: pair[0]),
        "deviceID": st.just("urn:epc:id:giai:4000001.111"),
        "bizRules": st.just("https://example.cn/rules"),
        "ext:note": _texts,
    },
)
_report = st.fixed_dictionaries(
    {"type": words(Vocabulary.MEASUREMENT)},
    optional={
        "value": numbers | st.floats(-100, 100),
        "minValue": numbers,
        "component": words(Vocabulary.COMPONENT),
        "exception": words(Vocabulary.SENSOR_ALERT),
        "stringValue": _texts,
        "booleanValue": st.booleans(),
        "hexBinaryValue": st.just("00f0"),
        "uom": st.just("CEL"),
        "ext:note": _texts,
    },
)
sensors = st.lists(
    with_extensions(
        st.fixed_dictionaries(
            {"sensorReport": st.lists(_report, min_size=1, max_size=2)}, optional={"sensorMetadata": _metadata}
        )
    ),
    min_size=1,
    max_size=2,
)


def _typed(name: str, vocabulary: Vocabulary, ids: st.SearchStrategy[str], *, typed: bool) -> st.SearchStrategy[Any]:
    kind = {"type": words(vocabulary)}
    entry = st.fixed_dictionaries({name: ids, **kind} if typed else {name: ids}, optional={} if typed else kind)
    return st.lists(entry, min_size=1, max_size=3)


_declaration = with_extensions(
    st.fixed_dictionaries(
        {"declarationTime": times().map(lambda pair: pair[0])},
        optional={
            "reason": words(Vocabulary.ERROR_REASON),
            "correctiveEventIDs": st.lists(st.uuids().map(lambda uid: f"urn:uuid:{uid}"), min_size=1, max_size=2),
        },
    )
)
_some_epcs = st.lists(epcs, min_size=1, max_size=4, unique=True)
_disposition_lists = st.lists(words(Vocabulary.DISPOSITION), min_size=1, max_size=2, unique=True)
_common: dict[str, Any] = {
    "eventID": st.uuids().map(lambda uid: f"urn:uuid:{uid}"),
    "certificationInfo": st.just("https://example.cn/certificates/1"),
    "errorDeclaration": _declaration,
    "bizStep": words(Vocabulary.BIZ_STEP),
    "disposition": words(Vocabulary.DISPOSITION),
    "readPoint": with_extensions(st.fixed_dictionaries({"id": places})),
    "bizLocation": with_extensions(st.fixed_dictionaries({"id": places})),
    "bizTransactionList": _typed(
        "bizTransaction", Vocabulary.BIZ_TRANSACTION, st.just("https://a.cn/po/1"), typed=False
    ),
    "sourceList": _typed("source", Vocabulary.SOURCE_DEST, parties, typed=True),
    "destinationList": _typed("destination", Vocabulary.SOURCE_DEST, parties, typed=True),
    "sensorElementList": sensors,
    "persistentDisposition": st.fixed_dictionaries({"set": _disposition_lists}, optional={"unset": _disposition_lists}),
}
_ilmd = with_extensions(st.fixed_dictionaries({}, optional={"cbvmda:lotNumber": _texts}))
_actions = st.sampled_from(["ADD", "OBSERVE", "DELETE"])
_KINDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "ObjectEvent": (
        {"action": _actions, "epcList": _some_epcs},
        {"quantityList": quantities, "ilmd": _ilmd},
    ),
    "AggregationEvent": (
        {"action": _actions, "parentID": epcs, "childEPCs": _some_epcs},
        {"childQuantityList": quantities},
    ),
    "TransactionEvent": (
        {"action": _actions, "epcList": _some_epcs, "bizTransactionList": _common["bizTransactionList"]},
        {"parentID": epcs, "quantityList": quantities},
    ),
    "TransformationEvent": (
        {"inputQuantityList": quantities, "outputQuantityList": quantities},
        {
            "inputEPCList": _some_epcs,
            "outputEPCList": _some_epcs,
            "ilmd": _ilmd,
            "transformationID": st.just("urn:epc:id:gdti:0614141.12345.400"),
        },
    ),
    "AssociationEvent": (
        {"action": _actions, "parentID": epcs, "childEPCs": _some_epcs},
        {"childQuantityList": quantities},
    ),
}


@st.composite
def events(draw: st.DrawFn) -> dict[str, Any]:
    """One event of any of the five kinds; its prefixes are those of `PREFIXES`."""
    kind = draw(st.sampled_from(sorted(_KINDS)))
    needed, possible = _KINDS[kind]
    moment, offset = draw(times())
    chosen = draw(st.lists(st.sampled_from(sorted({**_common, **possible})), max_size=5, unique=True))
    event: dict[str, Any] = {"type": kind, "eventTime": moment, "eventTimeZoneOffset": offset}
    for name, strategy in needed.items():
        event[name] = draw(strategy)
    for name in chosen:
        if name not in event:
            event[name] = draw({**_common, **possible}[name])
    # Master data of instances come with ADD; nothing is packed into itself.
    if kind == "ObjectEvent" and event["action"] != "ADD":
        event.pop("ilmd", None)
    if "childEPCs" in event and formats.canonical(event["parentID"]) in map(formats.canonical, event["childEPCs"]):
        event["parentID"] = f"urn:epc:id:sscc:{PREFIX}.9{'9' * 9}"
    return {**event, **draw(extensions)}


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """An EPCISDocument with up to three events, sometimes with a header."""
    document: dict[str, Any] = {
        "@context": [CONTEXT, PREFIXES],
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": "2025-11-28T05:33:17Z",
    }
    if draw(st.booleans()):
        document.update(sender="urn:epc:id:pgln:9521234.00001", receiver="urn:epc:id:pgln:9521234.00002")
        document["instanceIdentifier"] = draw(_texts).strip()
        document["epcisHeader"] = {
            "epcisMasterData": {
                "vocabularyList": [
                    {
                        "type": "urn:epcglobal:epcis:vtype:BusinessLocation",
                        "vocabularyElementList": [
                            {
                                "id": draw(places),
                                "attributes": [{"id": "cbvmda:name", "attribute": draw(_texts)}],
                                "children": ["urn:epc:id:sgln:9521234.00003.0"],
                            }
                        ],
                    }
                ]
            }
        }
    document["epcisBody"] = {"eventList": draw(st.lists(events(), max_size=3))}
    return document
