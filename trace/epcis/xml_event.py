"""One EPCIS event in XML, and the document's header, as JSON-LD."""

import re
from collections.abc import Mapping
from typing import Any, Final

from django.utils.translation import gettext as _

from trace.epcis.formats import Vocabulary, compact_word
from trace.epcis.xml_names import (
    EPC_LISTS,
    ORDER,
    OURS,
    QUANTITY_LISTS,
    REPORT_NUMBERS,
    REPORT_WORDS,
    TYPED_LISTS,
    WORDS,
    XSI,
    XSI_NUMBERS,
)
from trace.epcis.xml_nodes import Fault, Node, Prefixes, each, flat, own_attributes
from trace.text import printable

_RANKS: Final = {kind: {name: rank for rank, name in enumerate(names)} for kind, names in ORDER.items()}
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]{1,400}(?:\.[0-9]{0,400})?|\.[0-9]{1,400})(?:[eE][+-]?[0-9]{1,3})?")
_TIMES: Final = ("Time", "time")
_NO_SECONDS: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(?:Z|[+-][0-9]{2}:[0-9]{2})")
_BOOLEANS: Final[Mapping[str, bool]] = {"true": True, "1": True, "false": False, "0": False}
_STANDS_ON_EVENTS: Final = frozenset(("schemaVersion", "creationDate"))


def event_from(node: Node, prefixes: Prefixes, *, old: bool, any_order: bool) -> dict[str, Any]:
    """The event that an element is. ``old``: 1.2, where wrappers stand between and the order is not checked."""
    event: dict[str, Any] = {"type": node.local}
    ranks = _RANKS[node.local]
    last = -1

    def part(child: Node) -> None:
        nonlocal last
        if not child.ours:
            put(event, prefixes.key(child.space, child.local, child.prefix), own_value(child, prefixes))
            return
        rank = ranks.get(child.local)
        if rank is None:
            raise unknown(child)
        if rank < last and not old and not any_order:
            raise Fault(
                "epcis_xml_order",
                _("元素 %(name)s 的位置不对：EPCIS 的 XML 规定了元素的顺序。") % {"name": child.local},
                child.line,
            )
        last = max(last, rank)
        _standard(event, child, prefixes)

    for space, name, _text in own_attributes(node):
        if space or name not in _STANDS_ON_EVENTS:
            raise _attribute(node, name)
    _require_no_text(node)
    each(flat(node), part)
    return event


def unknown(node: Node) -> Fault:
    """The fault of an element where it does not belong."""
    return Fault("epcis_xml_element", _("这里不能有元素 %(name)s。") % {"name": printable(node.local)}, node.line)


def put(target: dict[str, Any], key: str, value: Any) -> None:
    """Set a value; what is met again becomes an array."""
    if key not in target:
        target[key] = value
    elif isinstance(target[key], list):
        target[key].append(value)
    else:
        target[key] = [target[key], value]


# ---------------------------------------------------------------- elements of the standard


def _standard(event: dict[str, Any], node: Node, prefixes: Prefixes) -> None:
    """One element of the standard into the event."""
    name = node.local
    if name == "certificationInfo":
        put(event, name, _plain(node))
        return
    if name in event:
        raise _twice(node)
    if name in EPC_LISTS:
        event[name] = _texts(node, "epc")
    elif name in QUANTITY_LISTS:
        event[name] = _items(node, "quantityElement", prefixes, _quantity)
    elif name in TYPED_LISTS:
        event[name] = _items(node, TYPED_LISTS[name][0], prefixes, _typed)
    elif name == "sensorElementList":
        event[name] = _items(node, "sensorElement", prefixes, _sensor)
    elif name in ("readPoint", "bizLocation"):
        event[name] = _members(node, prefixes, {"id": None})
    elif name == "errorDeclaration":
        event[name] = _declaration(node, prefixes)
    elif name == "persistentDisposition":
        event[name] = _persistent(node)
    elif name == "ilmd":
        event[name] = _ilmd(node, prefixes)
    else:
        text = _plain(node)
        event[name] = compact_word(WORDS[name], text) if name in WORDS else _moment(name, text)


def _plain(node: Node) -> str:
    """The text of an element that has nothing else."""
    if node.children:
        raise _inside(node.children[0])
    for _space, name, _text in own_attributes(node):
        raise _attribute(node, name)
    return node.value


def _texts(node: Node, name: str) -> list[str]:
    """A list of elements with a text each."""
    found: list[str] = []

    def item(child: Node) -> None:
        if not child.ours or child.local != name:
            raise unknown(child)
        found.append(_plain(child))

    _require_bare(node)
    each(node.children, item)
    return found


def _items(node: Node, name: str, prefixes: Prefixes, make: Any) -> list[dict[str, Any]]:
    """A list of elements of one kind."""
    found: list[dict[str, Any]] = []

    def item(child: Node) -> None:
        if not child.ours or child.local != name:
            raise unknown(child)
        found.append(make(child, prefixes))

    _require_bare(node)
    each(flat(node), item)
    return found


def _members(node: Node, prefixes: Prefixes, known: Mapping[str, Vocabulary | None]) -> dict[str, Any]:
    """An element with these plain members, and elements of somebody's own."""
    found: dict[str, Any] = {}

    def member(child: Node) -> None:
        if not child.ours:
            put(found, prefixes.key(child.space, child.local, child.prefix), own_value(child, prefixes))
            return
        if child.local not in known:
            raise unknown(child)
        if child.local in found:
            raise _twice(child)
        text, words = _plain(child), known[child.local]
        found[child.local] = compact_word(words, text) if words else text

    _require_bare(node)
    each(flat(node), member)
    return found


def _quantity(node: Node, prefixes: Prefixes) -> dict[str, Any]:
    """epcClass, quantity as a number, uom. An empty quantity or uom, which published examples have, is none."""
    found = _members(node, prefixes, {"epcClass": None, "quantity": None, "uom": None})
    for name in ("quantity", "uom"):
        if found.get(name) == "":
            del found[name]
    if "quantity" in found:
        place = next(child for child in node.children if child.local == "quantity" and child.ours)
        each([place], lambda child: found.update(quantity=_number(found["quantity"], child)))
    return found


def _typed(node: Node, _prefixes: Prefixes) -> dict[str, Any]:
    """A business transaction, source or destination: the type is an attribute, the rest text."""
    if node.children:
        raise _inside(node.children[0])
    found: dict[str, Any] = {}
    for space, name, text in own_attributes(node):
        if space or name != "type":
            raise _attribute(node, name)
        words = Vocabulary.BIZ_TRANSACTION if node.local == "bizTransaction" else Vocabulary.SOURCE_DEST
        found["type"] = compact_word(words, text.strip())
    found[node.local] = node.value
    return found


def _sensor(node: Node, prefixes: Prefixes) -> dict[str, Any]:
    """A sensor element: metadata, reports, and what is somebody's own."""
    found: dict[str, Any] = {}

    def part(child: Node) -> None:
        if not child.ours:
            put(found, prefixes.key(child.space, child.local, child.prefix), own_value(child, prefixes))
        elif child.local == "sensorMetadata":
            if "sensorMetadata" in found:
                raise _twice(child)
            found["sensorMetadata"] = _attributes(child, prefixes)
        elif child.local == "sensorReport":
            found.setdefault("sensorReport", []).append(_attributes(child, prefixes))
        else:
            raise unknown(child)

    _require_bare(node)
    each(flat(node), part)
    return found


def _attributes(node: Node, prefixes: Prefixes) -> dict[str, Any]:
    """The attributes of sensorMetadata or sensorReport, and elements of somebody's own inside."""
    found: dict[str, Any] = {}
    report = node.local == "sensorReport"
    for space, name, raw in own_attributes(node):
        text = raw.strip()
        if space not in OURS:
            put(found, prefixes.key(space, name, ""), raw)
        elif report and name in REPORT_NUMBERS:
            found[name] = _number(text, node, f"/@{name}")
        elif report and name == "booleanValue":
            found[name] = _boolean(text, node)
        elif report and name in REPORT_WORDS:
            found[name] = compact_word(REPORT_WORDS[name], text)
        else:
            found[name] = raw if name == "stringValue" else _moment(name, text)

    def own(child: Node) -> None:
        if child.ours:
            raise unknown(child)
        put(found, prefixes.key(child.space, child.local, child.prefix), own_value(child, prefixes))

    _require_no_text(node)
    each(flat(node), own)
    return found


def _declaration(node: Node, prefixes: Prefixes) -> dict[str, Any]:
    """An error declaration."""
    found: dict[str, Any] = {}

    def part(child: Node) -> None:
        if not child.ours:
            put(found, prefixes.key(child.space, child.local, child.prefix), own_value(child, prefixes))
        elif child.local in found:
            raise _twice(child)
        elif child.local == "correctiveEventIDs":
            found["correctiveEventIDs"] = _texts(child, "correctiveEventID")
        elif child.local == "reason":
            found["reason"] = compact_word(Vocabulary.ERROR_REASON, _plain(child))
        elif child.local == "declarationTime":
            found["declarationTime"] = _moment(child.local, _plain(child))
        else:
            raise unknown(child)

    _require_bare(node)
    each(flat(node), part)
    return found


def _persistent(node: Node) -> dict[str, Any]:
    """The persistent dispositions set and unset."""
    found: dict[str, Any] = {}

    def part(child: Node) -> None:
        if not child.ours or child.local not in ("set", "unset"):
            raise unknown(child)
        found.setdefault(child.local, []).append(compact_word(Vocabulary.DISPOSITION, _plain(child)))

    _require_bare(node)
    each(flat(node), part)
    return found


def _ilmd(node: Node, prefixes: Prefixes) -> dict[str, Any]:
    """Instance and lot master data: all of it somebody's own."""
    found: dict[str, Any] = {}

    def part(child: Node) -> None:
        if child.ours:
            raise unknown(child)
        put(found, prefixes.key(child.space, child.local, child.prefix), own_value(child, prefixes))

    _require_bare(node)
    each(flat(node), part)
    return found


# ---------------------------------------------------------------- elements of somebody's own


def own_value(node: Node, prefixes: Prefixes) -> Any:
    """Text, a number or truth value that ``xsi:type`` declares, null for ``xsi:nil``, an object of what is inside."""
    if node.attributes.get((XSI, "nil")) in ("true", "1"):
        return None
    attributes = own_attributes(node)
    if not attributes and not node.children:
        return _scalar(node)
    found: dict[str, Any] = {}
    for space, name, text in attributes:
        put(found, prefixes.key(space or node.space, name, "" if space else node.prefix), text)

    def inside(child: Node) -> None:
        key = child.local if child.ours else prefixes.key(child.space, child.local, child.prefix)
        put(found, key, own_value(child, prefixes))

    each(node.children, inside)
    if node.value:
        found["#text"] = _scalar(node)
    return found


def _scalar(node: Node) -> Any:
    """The text, or what it is declared to be."""
    text = node.value
    kind = node.attributes.get((XSI, "type"), "").rpartition(":")[2]
    if kind in XSI_NUMBERS and _NUMBER.fullmatch(text):
        return _number(text, node)
    return _BOOLEANS.get(text, text) if kind == "boolean" else text


# ---------------------------------------------------------------- header


def business_header(node: Node) -> dict[str, str]:
    """Sender, receiver and number of a standard business document header: what JSON has a place for."""
    found: dict[str, str] = {}
    for child in node.children:
        inside = {grandchild.local: grandchild.value for grandchild in reversed(child.children)}
        if child.local in ("Sender", "Receiver") and "Identifier" in inside:
            found.setdefault(child.local.lower(), inside["Identifier"])
        elif child.local == "DocumentIdentification" and "InstanceIdentifier" in inside:
            found["instanceIdentifier"] = inside["InstanceIdentifier"]
    return found


def master_data(node: Node, prefixes: Prefixes) -> dict[str, Any]:
    """``{"vocabularyList": [{"type", "vocabularyElementList": [{"id", "attributes", "children"}]}]}``."""
    vocabularies: list[dict[str, Any]] = []

    def vocabulary(child: Node) -> None:
        _require_named(child, "Vocabulary")
        elements: list[dict[str, Any]] = []

        def element(one: Node) -> None:
            _require_named(one, "VocabularyElement")
            elements.append(_vocabulary_element(one, prefixes))

        each(flat(child), lambda listed: _require_named(listed, "VocabularyElementList"))
        each(flat(child), lambda listed: each(flat(listed), element))
        vocabularies.append({"type": child.attributes.get(("", "type"), ""), "vocabularyElementList": elements})

    each(flat(node), lambda listed: _require_named(listed, "VocabularyList"))
    each(flat(node), lambda listed: each(flat(listed), vocabulary))
    return {"vocabularyList": vocabularies}


def _vocabulary_element(node: Node, prefixes: Prefixes) -> dict[str, Any]:
    found: dict[str, Any] = {"id": node.attributes.get(("", "id"), "")}

    def part(child: Node) -> None:
        if child.ours and child.local == "attribute":
            value: Any = child.value
            if child.children:
                value = {}
                each(
                    child.children,
                    lambda inside: put(
                        value,
                        inside.local if inside.ours else prefixes.key(inside.space, inside.local, inside.prefix),
                        own_value(inside, prefixes),
                    ),
                )
            found.setdefault("attributes", []).append({"id": child.attributes.get(("", "id"), ""), "attribute": value})
        elif child.ours and child.local == "children" and "children" not in found:
            found["children"] = _texts(child, "id")
        elif child.ours:
            raise unknown(child)
        else:
            put(found, prefixes.key(child.space, child.local, child.prefix), own_value(child, prefixes))

    each(flat(node), part)
    return found


# ---------------------------------------------------------------- values and faults


def _require_named(node: Node, name: str) -> None:
    if not node.ours or node.local != name:
        raise unknown(node)


def _require_bare(node: Node) -> None:
    """No attributes and no text between the elements."""
    for _space, name, _text in own_attributes(node):
        raise _attribute(node, name)
    _require_no_text(node)


def _require_no_text(node: Node) -> None:
    text = "".join(node.parts).strip()
    if text:
        raise Fault(
            "epcis_xml_value",
            _("元素 %(name)s 里不能有文字“%(text)s”。") % {"name": node.local, "text": printable(text, 40)},
            node.line,
        )


def _number(text: str, node: Node, step: str = "") -> int | float:
    """A number; whole ones as integers."""
    if _NUMBER.fullmatch(text):
        if text.lstrip("+-").isdigit():
            return int(text)
        number = float(text)
        if number.is_integer() and abs(number) < 1e15:
            return int(number)
        if abs(number) < float("inf"):
            return number
    fault = Fault("epcis_xml_value", _("“%(text)s”不是数字。") % {"text": printable(text, 40)}, node.line)
    if step:
        fault.steps.append(step)
    raise fault


def _moment(name: str, text: str) -> str:
    """A time to which published examples do not give seconds gets them; any other text is as it was."""
    return text[:16] + ":00" + text[16:] if name.endswith(_TIMES) and _NO_SECONDS.fullmatch(text) else text


def _boolean(text: str, node: Node) -> bool:
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    fault = Fault("epcis_xml_value", _("“%(text)s”应为 true 或 false。") % {"text": printable(text, 40)}, node.line)
    fault.steps.append("/@booleanValue")
    raise fault


def _inside(node: Node) -> Fault:
    fault = unknown(node)
    fault.steps.append(node.step)
    return fault


def _twice(node: Node) -> Fault:
    return Fault("epcis_xml_twice", _("元素 %(name)s 只能出现一次。") % {"name": node.local}, node.line)


def _attribute(node: Node, name: str) -> Fault:
    fault = Fault("epcis_xml_attribute", _("这里不能有属性 %(name)s。") % {"name": printable(name)}, node.line)
    fault.steps.append(f"/@{printable(name, 40)}")
    return fault
