"""EPCIS XML 2.0 and 1.2 read into the JSON-LD form: one pass, nothing fetched, everything bounded.

The parser is Python's own expat. A document type is refused where it begins, so there are no entities and nothing to
fetch; depth, size, number of elements and length of a token are bounded. Events are made one by one as they end, so the
memory used grows with what is made, not with the XML: `iter_events` never holds more than one.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any
from xml.parsers import expat

from django.utils.translation import gettext as _

from trace.epcis.xml_event import business_header, event_from, master_data, own_value, put, unknown
from trace.epcis.xml_names import CONTEXT, EVENTS, SBDH, XmlInvalid
from trace.epcis.xml_nodes import Fault, Node, Prefixes, each, flat
from trace.text import printable

MAX_BYTES = 100_000_000
MAX_DEPTH = 64
MAX_ELEMENTS = 5_000_000
MAX_AT_ONCE = 200_000
"""Elements and attributes of one event, and of all that is no event: what is in memory at a time."""
_PIECE = 1 << 18
_MAX_TOKEN = 1 << 22


def document_from_xml(data: bytes, *, any_order: bool = False) -> dict[str, Any]:
    """An EPCISDocument or EPCISQueryDocument in XML 2.0 or 1.2 as JSON-LD; of an event that stands alone, the event.

    CBV words are compact, schemaVersion is 2.0, numbers and booleans of the standard's own elements are such. An
    element of somebody's own is text, an object of its children, or an array where it is repeated; its text beside
    children and attributes is ``#text``; ``xsi:type`` makes numbers and booleans. Whether the event makes sense is not
    asked here.

    Refuses, with path and line: ``epcis_xml_syntax``, ``epcis_xml_doctype``, ``epcis_xml_too_large``, ``…_too_deep``,
    ``…_too_many``, ``…_root`` (no EPCIS), ``…_version``, ``…_element`` (unknown there), ``…_attribute``, ``…_twice``,
    ``…_order`` (the schema's order; not with ``any_order``, and not in 1.2), ``…_value`` (a number or truth value that
    is none).
    """
    if len(data) > MAX_BYTES:
        raise _too_large(MAX_BYTES)
    events: list[dict[str, Any]] = []
    reader = Reader(events.append, any_order=any_order)
    for start in range(0, len(data), _PIECE):
        reader.feed(data[start : start + _PIECE])
    reader.close()
    return reader.document(events)


class EventStream:
    """The events of a document that comes in pieces, one at a time, in the form `document_from_xml` gives them.

    ``head`` is the rest of the document as far as it was read: at the first event its @context, version, dates and
    header. Refuses as `document_from_xml`; what is wrong after an event is found only after that event was given.
    """

    def __init__(self, chunks: Iterable[bytes], *, any_order: bool = False, own_context: bool = False) -> None:
        self._chunks = chunks
        self._waiting: list[dict[str, Any]] = []
        self._reader = Reader(self._waiting.append, any_order=any_order, own_context=own_context)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for chunk in self._chunks:
            for start in range(0, len(chunk), _PIECE):
                self._reader.feed(chunk[start : start + _PIECE])
                yield from self._waiting
                self._waiting.clear()
        self._reader.close()
        self._reader.document([])
        yield from self._waiting
        self._waiting.clear()

    @property
    def head(self) -> dict[str, Any]:
        """The document without its body; empty where an event stands alone."""
        return self._reader.document([], whole=False)


def iter_events(chunks: Iterable[bytes], *, any_order: bool = False) -> Iterator[dict[str, Any]]:
    """The events of an `EventStream`, each with an @context of its own that says all of its prefixes."""
    return iter(EventStream(chunks, any_order=any_order, own_context=True))


def _too_large(most: int) -> XmlInvalid:
    """The error for a document, or one piece of it, that is too long."""
    return XmlInvalid(
        _("XML 文档太大，最多 %(most)d 字节。") % {"most": most}, code="epcis_xml_too_large", path="/", most=most
    )


# ---------------------------------------------------------------- the parser


class Reader:
    """Pushed XML in, events out through ``emit``; the rest of the document afterwards from `document`."""

    def __init__(
        self, emit: Callable[[dict[str, Any]], object], *, any_order: bool = False, own_context: bool = False
    ) -> None:
        self._emit = emit
        self._any_order = any_order
        self._own_context = own_context
        self._stack: list[Node] = []
        self._counts: list[dict[str, int]] = [{}]
        self._text: list[str] = []
        self._elements = 0
        self._in_event = self._outside = 0
        self._fed = 0
        self._root: Node | None = None
        self._old = False
        self._prefixes = Prefixes()
        self._event_prefixes: Prefixes | None = None
        self._event_depth = 0
        self._single: dict[str, Any] | None = None
        parser = expat.ParserCreate(namespace_separator="\x1f")
        parser.namespace_prefixes = True
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text.append
        parser.StartNamespaceDeclHandler = self._declared
        parser.StartDoctypeDeclHandler = self._doctype
        self._parser = parser

    def feed(self, data: bytes) -> None:
        """The next piece. Refuses as `document_from_xml`."""
        self._fed += len(data)
        if self._fed > MAX_BYTES:
            raise _too_large(MAX_BYTES)
        self._parse(data, False)
        # A token without an end is read again from its beginning at each piece.
        if self._fed - max(self._parser.CurrentByteIndex, 0) > _MAX_TOKEN:
            raise _too_large(_MAX_TOKEN)

    def close(self) -> None:
        """The document is over."""
        self._parse(b"", True)

    def _parse(self, data: bytes, last: bool) -> None:
        try:
            self._parser.Parse(data, last)
        except expat.ExpatError as wrong:
            raise XmlInvalid(
                _("不是格式正确的 XML：第 %(line)d 行第 %(column)d 列（%(reason)s）。")
                % {"line": wrong.lineno, "column": wrong.offset + 1, "reason": expat.ErrorString(wrong.code)},
                code="epcis_xml_syntax",
                path=self._path(),
                line=wrong.lineno,
            ) from None
        except (ValueError, LookupError) as wrong:
            raise XmlInvalid(
                _("XML 的字符编码无法识别，请使用 UTF-8。"), code="epcis_xml_syntax", path=self._path()
            ) from wrong
        except Fault as fault:
            raise XmlInvalid(
                str(fault),
                code=fault.code,
                path=self._path() + "".join(fault.steps),
                line=fault.line or self._parser.CurrentLineNumber,
            ) from None

    def _path(self) -> str:
        """Where the parser is: /EPCISDocument/EPCISBody/EventList/ObjectEvent[2]."""
        steps = [
            node.step
            + (f"[{counts[node.local]}]" if depth and (counts[node.local] > 1 or node.local in EVENTS) else "")
            for depth, (node, counts) in enumerate(zip(self._stack, self._counts, strict=False))
        ]
        return "".join(steps) or "/"

    # ------------------------------------------------------------ handlers

    def _doctype(self, *_declared: object) -> None:
        raise self._fault("epcis_xml_doctype", _("XML 文档不得包含 DOCTYPE 声明。"))

    def _declared(self, prefix: str | None, space: str | None) -> None:
        (self._event_prefixes or self._coming()).declare(prefix or "", space or "")

    def _coming(self) -> Prefixes:
        """Declarations are told before the element that carries them: in the list of events, they are the event's."""
        if self._stack and self._stack[-1].local in ("EventList", "extension") and self._stack[-1].ours:
            self._event_prefixes = Prefixes(self._prefixes)
            return self._event_prefixes
        return self._prefixes

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        line = self._parser.CurrentLineNumber
        space, local, prefix = _split(name)
        node = Node(space, local, prefix, {_split(key)[:2]: text for key, text in attributes.items()}, line)
        size = 1 + len(attributes)
        self._elements += size
        if self._event_depth:
            self._in_event += size
        elif not self._in_event_list():
            self._outside += size
        if len(self._stack) >= MAX_DEPTH:
            raise self._fault("epcis_xml_too_deep", _("XML 嵌套超过 %(most)d 层。") % {"most": MAX_DEPTH})
        if self._elements > MAX_ELEMENTS or max(self._in_event, self._outside) > MAX_AT_ONCE:
            raise self._fault("epcis_xml_too_many", _("XML 的元素太多。"))
        if self._stack:
            self._take_text(self._stack[-1])
            if not self._event_depth and self._is_event(node):
                self._begin_event()
            elif not self._in_event_list():
                self._stack[-1].children.append(node)
        else:
            self._begin(node)
        counts = self._counts[-1]
        counts[local] = counts.get(local, 0) + 1
        self._stack.append(node)
        self._counts.append({})

    def _begin(self, root: Node) -> None:
        """The root says what the document is."""
        self._root = root
        if not root.ours or root.local not in ("EPCISDocument", "EPCISQueryDocument", *EVENTS):
            raise self._fault(
                "epcis_xml_root",
                _("根元素 %(name)s 不是 EPCISDocument 或 EPCISQueryDocument。") % {"name": printable(root.local)},
            )
        version = root.attributes.get(("", "schemaVersion"), "2.0" if root.local in EVENTS else "")
        self._old = version.startswith("1") or root.space.endswith("xsd:1")
        if root.local not in EVENTS and version not in ("2.0", "2.0.0", "2.0.1", "1", "1.0", "1.1", "1.2"):
            raise self._fault(
                "epcis_xml_version",
                _("不支持 EPCIS 版本“%(version)s”：应为 2.0 或 1.2。") % {"version": printable(version, 20)},
            )
        if root.local in EVENTS:
            self._begin_event(1)

    def _begin_event(self, depth: int = 0) -> None:
        self._event_depth = depth or len(self._stack) + 1
        self._in_event = 1
        if self._event_prefixes is None:
            self._event_prefixes = Prefixes(self._prefixes)

    def _in_event_list(self) -> bool:
        """Directly in the list of events, or in the wrappers that 1.2 puts there."""
        return not self._event_depth and any(node.local == "EventList" and node.ours for node in self._stack)

    def _is_event(self, node: Node) -> bool:
        """An event in its list. Anything else there is refused."""
        if not self._in_event_list():
            return False
        if node.ours and node.local in EVENTS:
            return True
        if node.ours and node.local == "extension" and self._old:
            self._event_prefixes = None
            return False
        fault = unknown(node)
        fault.steps.append(node.step)
        raise fault

    def _end(self, _name: str) -> None:
        node = self._stack[-1]
        self._take_text(node)
        if self._event_depth and len(self._stack) == self._event_depth:
            self._end_event(node)
        self._stack.pop()
        self._counts.pop()
        if not self._stack or (not self._event_depth and node.local in EVENTS):
            self._event_prefixes = None

    def _end_event(self, node: Node) -> None:
        prefixes = self._event_prefixes or Prefixes(self._prefixes)
        event = event_from(node, prefixes, old=self._old, any_order=self._any_order)
        own = prefixes.all() if self._own_context or len(self._stack) == 1 else prefixes.own
        if len(self._stack) == 1 or self._own_context:
            event = {"@context": [CONTEXT, *([own] if own else [])], **event}
        elif own:
            event = {"type": event.pop("type"), "@context": [own], **event}
        node.children.clear()
        self._event_depth = 0
        if len(self._stack) == 1:
            self._single = event
        self._emit(event)

    def _take_text(self, node: Node) -> None:
        if self._text:
            node.add(self._text)
            self._text.clear()

    def _fault(self, code: str, message: str) -> Fault:
        return Fault(code, message, self._parser.CurrentLineNumber)

    # ------------------------------------------------------------ the document

    def document(self, events: list[dict[str, Any]], *, whole: bool = True) -> dict[str, Any]:
        """The document with these events in its body, or what of it was read so far without a body."""
        if self._root is None or self._root.local in EVENTS:
            return self._single or {} if whole else {}
        root = self._root
        try:
            return self._whole(root, events, whole)
        except Fault as fault:
            raise XmlInvalid(
                str(fault), code=fault.code, path=f"/{root.local}" + "".join(fault.steps), line=fault.line or root.line
            ) from None

    def _whole(self, root: Node, events: list[dict[str, Any]], whole: bool) -> dict[str, Any]:
        document: dict[str, Any] = {"@context": [CONTEXT], "type": root.local, "schemaVersion": "2.0"}
        created = root.attributes.get(("", "creationDate"))
        if created is not None:
            document["creationDate"] = created

        def part(child: Node) -> None:
            if child.ours and child.local == "EPCISBody" and not whole:
                return
            if child.ours and child.local == "EPCISBody" and "epcisBody" not in document:
                document["epcisBody"] = self._body(child, root.local, events)
            elif child.ours and child.local == "EPCISHeader":
                self._header(child, document)
            elif child.ours:
                raise unknown(child)
            else:
                put(document, self._key(child), own_value(child, self._prefixes))

        each(flat(root), part)
        if whole and "epcisBody" not in document:
            raise Fault("epcis_xml_element", _("缺少 EPCISBody。"), root.line)
        if self._prefixes.own:
            document["@context"].append(dict(self._prefixes.own))
        return document

    def _key(self, node: Node) -> str:
        return self._prefixes.key(node.space, node.local, node.prefix)

    def _body(self, body: Node, kind: str, events: list[dict[str, Any]]) -> dict[str, Any]:
        names = [child.local for child in body.children if child.ours]
        if kind == "EPCISDocument":
            if names != ["EventList"]:
                raise Fault("epcis_xml_element", _("EPCISBody 里应当有一个 EventList。"), body.line)
            return {"eventList": events}
        if names != ["QueryResults"]:
            raise Fault("epcis_xml_element", _("只接受 QueryResults，不接受其他查询内容。"), body.line)
        results: dict[str, Any] = {}

        def part(child: Node) -> None:
            if child.ours and child.local in ("queryName", "subscriptionID"):
                results[child.local] = child.value
            elif child.ours and child.local == "resultsBody":
                results["resultsBody"] = {"eventList": events}
            else:
                raise unknown(child)

        each(flat(next(child for child in body.children if child.ours)), part)
        if "resultsBody" not in results:
            raise Fault("epcis_xml_element", _("EPCISBody 里应当有一个 EventList。"), body.line)
        return {"queryResults": results}

    def _header(self, header: Node, document: dict[str, Any]) -> None:
        """The standard business document header and the master data."""
        found: dict[str, Any] = {}

        def part(child: Node) -> None:
            if child.space == SBDH:
                document.update(business_header(child))
            elif child.ours and child.local == "EPCISMasterData":
                found["epcisMasterData"] = master_data(child, self._prefixes)
            elif child.ours:
                raise unknown(child)
            else:
                put(found, self._key(child), own_value(child, self._prefixes))

        each(flat(header), part)
        if found:
            document["epcisHeader"] = found


def _split(name: str) -> tuple[str, str, str]:
    """Namespace, local name and prefix of a name as expat gives it."""
    parts = name.split("\x1f")
    if len(parts) == 1:
        return "", name, ""
    return parts[0], parts[1], parts[2] if len(parts) > 2 else ""
