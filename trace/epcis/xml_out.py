"""EPCIS documents from JSON-LD to XML 2.0.

Written for `document_from_xml` to read back without loss of meaning: numbers and truth values of somebody's own carry
``xsi:type``, null ``xsi:nil``, text with space around it ``xml:space``. Elements stand in the schema's order; CBV words
become URNs, which every reader knows, words of sensors Web URIs. The document's own ``id`` has no place.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from django.utils.translation import gettext as _

from trace.epcis.event_hash import namespaces
from trace.epcis.formats import Vocabulary, split_iri, word_uri, word_urn
from trace.epcis.xml_names import (
    EPC_LISTS,
    EPCIS,
    EVENTS,
    KNOWN,
    NAME,
    ORDER,
    QUANTITY_LISTS,
    QUERY,
    REPORT_WORDS,
    SAME,
    SBDH,
    TECHNICAL,
    TYPED_LISTS,
    WORDS,
    XSD,
    XSI,
    XmlInvalid,
    prefix_can_be,
)
from trace.text import printable

MAX_DEPTH = 60
_FORBIDDEN: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TEXT: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"})
_VALUE: Final = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\r": "&#13;", "\n": "&#10;", "\t": "&#9;"}
)
_TOP: Final = frozenset(
    "@context id type schemaVersion creationDate sender receiver instanceIdentifier epcisHeader epcisBody".split()  # noqa: SIM905
)
_SPACE: Final = " \t\r\n"
# What the EPCIS context says is the same.
_ALIASES: Final[Mapping[str, str]] = {"@id": "id", "@type": "type"}


def document_to_xml(document: Mapping[str, Any], *, forgiving: bool = False) -> bytes:
    """An EPCISDocument or EPCISQueryDocument, or an event that stands alone, as XML 2.0 in UTF-8.

    ``forgiving`` is for answers, which must not fail for what one event holds: a character that XML does not have
    becomes U+FFFD, in a name ``_xHHHH_`` (ISO/IEC 9075-14), and a prefix without declaration is its own namespace.

    Refuses, with a JSON pointer as ``path``: ``epcis_xml_root`` (another kind of document), ``epcis_xml_prefix`` (a
    prefix that no @context declares), ``epcis_xml_name`` (a key that cannot name an element), ``epcis_xml_character``
    (one that XML does not have), ``epcis_xml_value`` (a value of the wrong kind in a standard place),
    ``epcis_xml_too_deep``.
    """
    return "".join(pieces(document, forgiving=forgiving)).encode()


def pieces(document: Mapping[str, Any], *, forgiving: bool = False) -> Iterator[str]:
    """The same as `document_to_xml`, piece by piece: an event at a time."""
    kind = document.get("type")
    yield '<?xml version="1.0" encoding="UTF-8"?>\n'
    if kind in EVENTS:
        yield from _Writer(document.get("@context"), "", forgiving=forgiving).event(document, root=True)
        return
    if kind not in ("EPCISDocument", "EPCISQueryDocument"):
        raise _invalid("epcis_xml_root", _("只能写出 EPCISDocument 或 EPCISQueryDocument。"), "/type")
    query = kind == "EPCISQueryDocument"
    writer = _Writer(document.get("@context"), "", forgiving=forgiving)
    prefix, space = ("epcisq", QUERY) if query else ("epcis", EPCIS)
    yield f'<{prefix}:{kind} xmlns:{prefix}="{space}"{writer.declarations(skip=prefix)} schemaVersion="2.0"'
    if "creationDate" in document:
        yield writer.attribute("creationDate", document["creationDate"], "/creationDate")
    yield ">"
    yield from writer.header(document)
    body = _object(document.get("epcisBody"), "/epcisBody")
    yield "<EPCISBody>"
    if query:
        results = _object(body.get("queryResults"), "/epcisBody/queryResults")
        yield "<epcisq:QueryResults>"
        for name in ("queryName", "subscriptionID"):
            if name in results:
                yield writer.leaf(name, results[name], f"/epcisBody/queryResults/{name}")
        inside = _object(results.get("resultsBody"), "/epcisBody/queryResults/resultsBody")
        yield "<resultsBody>"
        yield from _events(document, inside, "/epcisBody/queryResults/resultsBody/eventList", forgiving)
        yield "</resultsBody></epcisq:QueryResults>"
    else:
        yield from _events(document, body, "/epcisBody/eventList", forgiving)
    yield "</EPCISBody>"
    for key, value in document.items():
        if key not in _TOP:
            yield from writer.own(key, value, f"/{_step(key)}", 1, inside=False)
    yield f"</{prefix}:{kind}>\n"


def _events(document: Mapping[str, Any], body: Mapping[str, Any], path: str, forgiving: bool) -> Iterator[str]:
    """The list of events."""
    events = body.get("eventList", [body["event"]] if "event" in body else [])
    yield "<EventList>"
    for number, event in enumerate(_array(events, path)):
        place = f"{path}/{number}"
        _object(event, place)
        writer = _Writer(document.get("@context"), place, event.get("@context"), forgiving=forgiving)
        yield from writer.event(event)
    yield "</EventList>"


def _invalid(code: str, message: str, path: str) -> XmlInvalid:
    return XmlInvalid(message, code=code, path=path or "/")


def _step(key: object) -> str:
    """A key in a JSON pointer (RFC 6901)."""
    return printable(key, 60).replace("~", "~0").replace("/", "~1")


def _object(value: object, path: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _invalid("epcis_xml_value", _("这里应当是一个对象。"), path)
    return value


def _array(value: object, path: str) -> list[Any]:
    """An array; a value that stands alone is an array of one, as in JSON-LD."""
    del path
    return value if isinstance(value, list) else [value]


def _named(key: str) -> str:
    """A name that XML has, made of any text."""
    name = "".join(char if NAME.fullmatch("_" + char) else f"_x{ord(char):04X}_" for char in key[:1_000])
    return name if NAME.fullmatch(name) else "_" + name


class _Writer:
    """One document's or event's prefixes, and how its parts are written."""

    def __init__(self, context: object, path: str, own: object = None, *, forgiving: bool = False) -> None:
        self._forgiving = forgiving
        self._path = path
        self._above = self._spaces(context)
        self._own = {p: s for p, s in self._spaces(own).items() if self._above.get(p) != s} if own is not None else {}
        self._names = {**self._above, **self._own}
        self._parts = {
            **dict.fromkeys(EPC_LISTS, self._epcs),
            **dict.fromkeys(QUANTITY_LISTS, self._quantities),
            **dict.fromkeys(TYPED_LISTS, self._typed),
            "readPoint": self._place,
            "bizLocation": self._place,
            "sensorElementList": self._sensors,
            "persistentDisposition": self._persistent,
            "errorDeclaration": self._declaration,
            "ilmd": self._ilmd,
        }

    def _spaces(self, context: object) -> dict[str, str]:
        """Prefix to XML namespace. Prefixes that cannot be one, or that XML needs itself, are left out."""
        return {
            prefix: SAME.get(space, space)
            for prefix, space in {**KNOWN, **namespaces(context)}.items()
            if space and prefix_can_be(prefix) and space not in TECHNICAL - {XSD} and not _FORBIDDEN.search(space)
        }

    def declarations(self, *, skip: str = "", own: bool = False) -> str:
        """The xmlns attributes of the document, or of an event what it adds."""
        spaces = self._own if own else {p: s for p, s in self._above.items() if p != skip}
        text = "".join(f' xmlns:{prefix}="{space.translate(_VALUE)}"' for prefix, space in spaces.items())
        return text if own else text + f' xmlns:xsi="{XSI}"'

    # ------------------------------------------------------------ small things

    def attribute(self, name: str, value: object, path: str) -> str:
        """`` name="value"``."""
        return f' {name}="{self._scalar(value, path).translate(_VALUE)}"'

    def leaf(self, name: str, value: object, path: str) -> str:
        """An element with a text."""
        text = self._scalar(value, path)
        kept = ' xml:space="preserve"' if text != text.strip(_SPACE) else ""
        return f"<{name}{kept}>{text.translate(_TEXT)}</{name}>"

    def _scalar(self, value: object, path: str) -> str:
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, int) and abs(value) < 10**400:
            return str(value)
        if isinstance(value, float) and value - value == 0:
            return repr(value)
        if not isinstance(value, str):
            raise _invalid("epcis_xml_value", _("这里应当是文字或数字。"), self._path + path)
        if _FORBIDDEN.search(value):
            if self._forgiving:
                return _FORBIDDEN.sub("\ufffd", value)
            raise _invalid("epcis_xml_character", _("文字中有 XML 不允许的字符。"), self._path + path)
        return value

    def _key(self, key: str, path: str, *, inside: bool) -> tuple[str, str]:
        """The name of an element or attribute of somebody's own, and a declaration where the key is written out."""
        prefix, colon, local = key.partition(":")
        if colon and prefix not in self._names and (self._forgiving or local.startswith("//") or prefix == "urn"):
            space, name = split_iri(key)
            if NAME.fullmatch(name) and not _FORBIDDEN.search(space) and space not in TECHNICAL:
                return f"own:{name}", f' xmlns:own="{space.translate(_VALUE)}"'
        if not colon and inside and NAME.fullmatch(_ALIASES.get(key, key)):
            return _ALIASES.get(key, key), ""
        if colon and prefix in self._names and NAME.fullmatch(local):
            return key, ""
        if self._forgiving:
            if colon and prefix in self._names:
                return f"{prefix}:{_named(local)}", ""
            return _named(key), ""
        if not colon:
            raise _invalid(
                "epcis_xml_name", _("“%(key)s”没有命名空间前缀。") % {"key": printable(key)}, self._path + path
            )
        if prefix not in self._names:
            raise _invalid(
                "epcis_xml_prefix",
                _("前缀“%(prefix)s”没有在 @context 中声明。") % {"prefix": printable(prefix)},
                self._path + path,
            )
        raise _invalid(
            "epcis_xml_name", _("“%(key)s”不能作为 XML 的元素名。") % {"key": printable(key)}, self._path + path
        )

    # ------------------------------------------------------------ of somebody's own

    def own(self, key: str, value: object, path: str, depth: int, *, inside: bool) -> Iterator[str]:
        """An element of somebody's own: one for each member of an array."""
        if depth > MAX_DEPTH:
            raise _invalid(
                "epcis_xml_too_deep", _("XML 嵌套超过 %(most)d 层。") % {"most": MAX_DEPTH}, self._path + path
            )
        if isinstance(value, list):
            for number, item in enumerate(value):
                yield from self.own(key, item, f"{path}/{number}", depth + 1, inside=inside)
            return
        if isinstance(value, Mapping) and len(value) == 1 and not value.keys().isdisjoint(("@set", "@list")):
            yield from self.own(key, next(iter(value.values())), path, depth + 1, inside=inside)
            return
        name, declared = self._key(key, path, inside=inside)
        if isinstance(value, Mapping):
            text = value.get("#text", value.get("@value"))
            yield self._open(name, text, declared) if text is not None else f"<{name}{declared}>"
            if text is not None:
                yield self._scalar(text, f"{path}/#text").translate(_TEXT)
            for child, below in value.items():
                if child not in ("#text", "@value"):
                    yield from self.own(child, below, f"{path}/{_step(child)}", depth + 1, inside=True)
            yield f"</{name}>"
        elif value is None:
            yield f'<{name}{declared} xsi:nil="true"/>'
        else:
            yield f"{self._open(name, value, declared)}{self._scalar(value, path).translate(_TEXT)}</{name}>"

    @staticmethod
    def _open(name: str, value: object, declared: str) -> str:
        """The start tag, with what it takes to read the text back as it was."""
        kind = ""
        if isinstance(value, bool):
            kind = ' xsi:type="xsd:boolean"'
        elif isinstance(value, int):
            kind = ' xsi:type="xsd:integer"'
        elif isinstance(value, float):
            kind = ' xsi:type="xsd:double"'
        elif isinstance(value, str) and value != value.strip(_SPACE):
            kind = ' xml:space="preserve"'
        return f"<{name}{declared}{kind}>"

    def _others(self, value: Mapping[str, Any], known: frozenset[str], path: str) -> Iterator[str]:
        """What an element of the standard has of somebody's own."""
        for key, below in value.items():
            if key not in known:
                yield from self.own(key, below, f"{path}/{_step(key)}", 2, inside=False)

    # ------------------------------------------------------------ an event

    def event(self, event: Mapping[str, Any], *, root: bool = False) -> Iterator[str]:
        """One event, its elements in the order of the schema."""
        kind = event.get("type")
        if not isinstance(kind, str) or kind not in ORDER:
            raise _invalid(
                "epcis_xml_root", _("不认识事件类型“%(kind)s”。") % {"kind": printable(kind)}, f"{self._path}/type"
            )
        yield f"<{kind}{self.declarations()}>" if root else f"<{kind}{self.declarations(own=True)}>"
        for name in ORDER[kind]:
            if name in event:
                write = self._parts.get(name, self._plain)
                yield from write(name, event[name], f"/{name}")
        yield from self._others(event, frozenset((*ORDER[kind], "type", "@context")), "")
        yield f"</{kind}>"

    def _plain(self, name: str, value: object, path: str) -> Iterator[str]:
        """An element with a text; several where JSON has an array (certificationInfo)."""
        if isinstance(value, list) and name != "certificationInfo":
            raise _invalid("epcis_xml_value", _("这里应当是文字或数字。"), self._path + path)
        for item in _array(value, path):
            text = word_urn(WORDS[name], item) if name in WORDS and isinstance(item, str) else item
            yield self.leaf(name, text, path)

    def _epcs(self, name: str, value: object, path: str) -> Iterator[str]:
        yield f"<{name}>"
        for number, item in enumerate(_array(value, path)):
            yield self.leaf("epc", item, f"{path}/{number}")
        yield f"</{name}>"

    def _quantities(self, name: str, value: object, path: str) -> Iterator[str]:
        yield f"<{name}>"
        for number, item in enumerate(_array(value, path)):
            place = f"{path}/{number}"
            _object(item, self._path + place)
            yield "<quantityElement>"
            for part in ("epcClass", "quantity", "uom"):
                if part in item:
                    yield self.leaf(part, item[part], f"{place}/{part}")
            yield from self._others(item, frozenset(("epcClass", "quantity", "uom")), place)
            yield "</quantityElement>"
        yield f"</{name}>"

    def _typed(self, name: str, value: object, path: str) -> Iterator[str]:
        item_name, words = TYPED_LISTS[name]
        yield f"<{name}>"
        for number, item in enumerate(_array(value, path)):
            place = f"{path}/{number}"
            _object(item, self._path + place)
            extra = next((key for key in item if key not in ("type", item_name)), None)
            if extra is not None:
                raise _invalid(
                    "epcis_xml_name", _("这里不能有“%(key)s”。") % {"key": printable(extra)}, self._path + place
                )
            kind = item.get("type")
            start = f"<{item_name}"
            if kind is not None:
                start += self.attribute(
                    "type", word_urn(words, kind) if isinstance(kind, str) else kind, f"{place}/type"
                )
            text = self._scalar(item.get(item_name, ""), f"{place}/{item_name}")
            kept = ' xml:space="preserve"' if text != text.strip(_SPACE) else ""
            yield f"{start}{kept}>{text.translate(_TEXT)}</{item_name}>"
        yield f"</{name}>"

    def _place(self, name: str, value: object, path: str) -> Iterator[str]:
        place = _object(value, self._path + path)
        yield f"<{name}>"
        if "id" in place:
            yield self.leaf("id", place["id"], f"{path}/id")
        yield from self._others(place, frozenset(("id",)), path)
        yield f"</{name}>"

    def _sensors(self, name: str, value: object, path: str) -> Iterator[str]:
        yield f"<{name}>"
        for number, item in enumerate(_array(value, path)):
            place = f"{path}/{number}"
            element = _object(item, self._path + place)
            yield "<sensorElement>"
            if "sensorMetadata" in element:
                yield from self._sensor("sensorMetadata", element["sensorMetadata"], f"{place}/sensorMetadata")
            if "sensorReport" in element:
                for count, report in enumerate(_array(element["sensorReport"], place)):
                    yield from self._sensor("sensorReport", report, f"{place}/sensorReport/{count}")
            yield from self._others(element, frozenset(("sensorMetadata", "sensorReport")), place)
            yield "</sensorElement>"
        yield f"</{name}>"

    def _sensor(self, name: str, value: object, path: str) -> Iterator[str]:
        """Attributes; an object or array of somebody's own can be none and stands inside."""
        yield f"<{name}"
        inside = {}
        seen: set[str] = set()
        for key, item in _object(value, self._path + path).items():
            place = f"{path}/{_step(key)}"
            if ":" in key and (item is None or isinstance(item, Mapping | list)):
                inside[key] = item
                continue
            attribute, declared = self._key(key, place, inside=True)
            if declared or attribute in seen:
                inside[key] = item
                continue
            seen.add(attribute)
            if name == "sensorReport" and key in REPORT_WORDS and isinstance(item, str):
                item = word_uri(REPORT_WORDS[key], item)
            yield self.attribute(attribute, item, place)
        yield ">"
        yield from self._others(inside, frozenset(), path)
        yield f"</{name}>"

    def _persistent(self, name: str, value: object, path: str) -> Iterator[str]:
        both = _object(value, self._path + path)
        yield f"<{name}>"
        for part in ("unset", "set"):
            for number, item in enumerate(_array(both.get(part, []), path)):
                word = word_urn(Vocabulary.DISPOSITION, item) if isinstance(item, str) else item
                yield self.leaf(part, word, f"{path}/{part}/{number}")
        extra = next((key for key in both if key not in ("set", "unset")), None)
        if extra is not None:
            raise _invalid("epcis_xml_name", _("这里不能有“%(key)s”。") % {"key": printable(extra)}, self._path + path)
        yield f"</{name}>"

    def _declaration(self, name: str, value: object, path: str) -> Iterator[str]:
        declaration = _object(value, self._path + path)
        yield f"<{name}>"
        if "declarationTime" in declaration:
            yield self.leaf("declarationTime", declaration["declarationTime"], f"{path}/declarationTime")
        if "reason" in declaration:
            reason = declaration["reason"]
            word = word_urn(Vocabulary.ERROR_REASON, reason) if isinstance(reason, str) else reason
            yield self.leaf("reason", word, f"{path}/reason")
        if "correctiveEventIDs" in declaration:
            yield "<correctiveEventIDs>"
            for number, item in enumerate(_array(declaration["correctiveEventIDs"], path)):
                yield self.leaf("correctiveEventID", item, f"{path}/correctiveEventIDs/{number}")
            yield "</correctiveEventIDs>"
        yield from self._others(declaration, frozenset(("declarationTime", "reason", "correctiveEventIDs")), path)
        yield f"</{name}>"

    def _ilmd(self, name: str, value: object, path: str) -> Iterator[str]:
        yield f"<{name}>"
        yield from self._others(_object(value, self._path + path), frozenset(), path)
        yield f"</{name}>"

    # ------------------------------------------------------------ header

    def header(self, document: Mapping[str, Any]) -> Iterator[str]:
        """Sender, receiver and number as a standard business document header; master data; what is somebody's own."""
        given = document.get("epcisHeader")
        header = _object(given, "/epcisHeader") if given is not None else {}
        business = [key for key in ("sender", "receiver", "instanceIdentifier") if key in document]
        if not business and not header:
            return
        yield "<EPCISHeader>"
        if business:
            yield f'<sbdh:StandardBusinessDocumentHeader xmlns:sbdh="{SBDH}">'
            yield "<sbdh:HeaderVersion>1.0</sbdh:HeaderVersion>"
            for key in ("sender", "receiver"):
                if key in document:
                    tag = f"sbdh:{key.capitalize()}"
                    yield f"<{tag}>{self.leaf('sbdh:Identifier', document[key], f'/{key}')}</{tag}>"
            if "instanceIdentifier" in document:
                yield "<sbdh:DocumentIdentification><sbdh:Standard>EPCglobal</sbdh:Standard>"
                yield "<sbdh:TypeVersion>2.0</sbdh:TypeVersion>"
                yield self.leaf("sbdh:InstanceIdentifier", document["instanceIdentifier"], "/instanceIdentifier")
                yield "<sbdh:Type>Events</sbdh:Type></sbdh:DocumentIdentification>"
            yield "</sbdh:StandardBusinessDocumentHeader>"
        if "epcisMasterData" in header:
            yield from self._master_data(_object(header["epcisMasterData"], "/epcisHeader/epcisMasterData"))
        yield from self._others(header, frozenset(("epcisMasterData",)), "/epcisHeader")
        yield "</EPCISHeader>"

    def _master_data(self, data: Mapping[str, Any]) -> Iterator[str]:
        path = "/epcisHeader/epcisMasterData/vocabularyList"
        yield "<extension><EPCISMasterData><VocabularyList>"
        for number, item in enumerate(_array(data.get("vocabularyList", []), path)):
            place = f"{path}/{number}"
            vocabulary = _object(item, place)
            yield f"<Vocabulary{self.attribute('type', vocabulary.get('type', ''), place)}><VocabularyElementList>"
            for count, element in enumerate(_array(vocabulary.get("vocabularyElementList", []), place)):
                yield from self._vocabulary_element(element, f"{place}/vocabularyElementList/{count}")
            yield "</VocabularyElementList></Vocabulary>"
        yield "</VocabularyList></EPCISMasterData></extension>"

    def _vocabulary_element(self, value: object, path: str) -> Iterator[str]:
        element = _object(value, path)
        yield f"<VocabularyElement{self.attribute('id', element.get('id', ''), path)}>"
        for number, item in enumerate(_array(element.get("attributes", []), path)):
            place = f"{path}/attributes/{number}"
            attribute = _object(item, place)
            yield f"<attribute{self.attribute('id', attribute.get('id', ''), place)}"
            inside = attribute.get("attribute", "")
            if isinstance(inside, Mapping):
                yield ">"
                for key, below in inside.items():
                    yield from self.own(key, below, f"{place}/attribute/{_step(key)}", 4, inside=True)
            else:
                text = self._scalar(inside, f"{place}/attribute")
                yield (' xml:space="preserve">' if text != text.strip(_SPACE) else ">") + text.translate(_TEXT)
            yield "</attribute>"
        if "children" in element:
            yield "<children>"
            for number, child in enumerate(_array(element["children"], path)):
                yield self.leaf("id", child, f"{path}/children/{number}")
            yield "</children>"
        yield from self._others(element, frozenset(("id", "attributes", "children")), path)
        yield "</VocabularyElement>"
