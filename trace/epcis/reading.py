"""Reading a JSON document event by event, so that a hundred megabytes need the memory of a few.

The scanner of the standard library reads each event; around it only the braces on the way to the list of events are
looked at. What is not on that way (header, context, names) is read whole and bounded.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

CHUNK: Final = 1 << 18
HEAD_MOST: Final = 4 << 20
"""Bytes that one member outside of the list of events (header, context) may have."""
EVENT_MOST: Final = 8 << 20
"""Bytes one event may have."""
DEEPEST: Final = 32

Read = Callable[[int], bytes]


class Unreadable(Exception):
    """The bytes are no JSON document of ours. ``pointer`` says where, ``code`` what (stable), the text what to do."""

    def __init__(self, code: str, detail: str, pointer: str = "") -> None:
        super().__init__(detail)
        self.code = code
        self.pointer = pointer


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _integer(text: str) -> int:
    if len(text) > 40:
        raise ValueError("number is too long")
    return int(text)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


DECODER: Final = json.JSONDecoder(parse_constant=_refuse_constant, parse_int=_integer, object_pairs_hook=_once)


@dataclass
class Document:
    """A document while it is read: ``head`` are the members met so far outside of the list of events.

    ``path`` is the pointer of the list of events, ``context`` may come before or after it.
    """

    head: dict[str, Any] = field(default_factory=dict)
    path: str = ""


class _Text:
    """A growing window on the bytes, decoded as UTF-8 (a byte-order mark is dropped, NUL is refused)."""

    def __init__(self, read: Read) -> None:
        import codecs

        self._read = read
        self._decode = codecs.getincrementaldecoder("utf-8-sig")("strict")
        self.text = ""
        self.at = 0
        self.ended = False

    def more(self) -> bool:
        """Read on; False at the end."""
        if self.ended:
            return False
        data = self._read(CHUNK)
        try:
            new = self._decode.decode(data, final=not data)
        except UnicodeDecodeError:
            raise Unreadable("not_utf8", "The document is not UTF-8.") from None
        if "\x00" in new:
            raise Unreadable("text_nul", "The document contains NUL.")
        self.ended = not data
        if self.at > CHUNK:
            self.text, self.at = self.text[self.at :], 0
        self.text += new
        return not self.ended

    def mark(self) -> str:
        """The next character that is no space, without taking it; empty at the end."""
        while True:
            text, at, end = self.text, self.at, len(self.text)
            while at < end and text[at] in " \t\r\n":
                at += 1
            self.at = at
            if at < end:
                return text[at]
            if not self.more():
                return ""

    def take(self, wanted: str) -> str:
        """Take one of these characters."""
        found = self.mark()
        if not found or found not in wanted:
            raise Unreadable("invalid_json", f"Expected {' or '.join(wanted)} in the JSON.")
        self.at += 1
        return found

    def value(self, most: int, pointer: str) -> Any:
        """The next JSON value. A number at the end of what was read so far may go on, so a mark must follow."""
        self.mark()
        while True:
            try:
                value, end = DECODER.raw_decode(self.text, self.at)
            except RecursionError:
                raise Unreadable("too_deep", "The document is nested too deeply.", pointer) from None
            except json.JSONDecodeError as error:
                if len(self.text) - self.at > most:
                    raise Unreadable("event_too_large", "One member is too large.", pointer) from None
                # Only what broke off near the end can become right by reading on.
                if not self.ended and (error.pos >= len(self.text) - 12 or "Unterminated" in error.msg):
                    self.more()
                    continue
                if not self.ended and self.more():
                    continue
                raise Unreadable("invalid_json", f"Not valid JSON: {error.msg}.", pointer) from None
            except ValueError as error:
                raise Unreadable("invalid_json", f"Not valid JSON: {error}.", pointer) from None
            if end < len(self.text) or self.ended or not self.more():
                self.at = end
                return value

    def key(self) -> str:
        """The name of the next member."""
        if self.mark() != '"':
            raise Unreadable("invalid_json", "Expected a name in the JSON.")
        name = self.value(HEAD_MOST, "")
        self.take(":")
        return str(name)


_WAY: Final = ("epcisBody", "queryResults", "resultsBody", "eventList")


def events_of(read: Read, document: Document) -> Iterator[Any]:
    """The events of an EPCISDocument or EPCISQueryDocument, one by one; ``document.head`` fills on the way.

    A single event in ``epcisBody.event`` is one, too. Raises Unreadable for what is no such document.
    """
    text = _Text(read)
    if text.mark() != "{":
        raise Unreadable("invalid_json", "The document is not a JSON object.")
    yield from _members(text, document, document.head, "")
    if text.mark():
        raise Unreadable("invalid_json", "Something follows after the document.")


def _members(text: _Text, document: Document, into: dict[str, Any], path: str) -> Iterator[Any]:
    """The members of the object that begins here; the way to the events is walked, the rest is kept."""
    text.take("{")
    if text.mark() == "}":
        text.take("}")
        return
    while True:
        name = text.key()
        if name in into:
            raise Unreadable("invalid_json", "A key is there twice.", f"{path}/{name}")
        where = f"{path}/{name}"
        if name == "eventList" and path.startswith("/epcisBody") and text.mark() == "[":
            into[name] = None
            document.path = where
            yield from _list(text, where)
        elif name in _WAY and text.mark() == "{" and path in ("", "/epcisBody", "/epcisBody/queryResults"):
            inner: dict[str, Any] = {}
            into[name] = inner
            yield from _members(text, document, inner, where)
        elif name == "event" and path == "/epcisBody":
            into[name] = None
            document.path = where
            yield text.value(EVENT_MOST, where)
        else:
            into[name] = text.value(HEAD_MOST, where)
        if text.take(",}") == "}":
            return


def _list(text: _Text, where: str) -> Iterator[Any]:
    text.take("[")
    if text.mark() == "]":
        text.take("]")
        return
    number = 0
    while True:
        yield text.value(EVENT_MOST, f"{where}/{number}")
        number += 1
        if text.take(",]") == "]":
            return


def one_value(data: bytes) -> Any:
    """A small JSON value whole, by the same rules."""
    chunks = iter([data])
    text = _Text(lambda _size: next(chunks, b""))
    value = text.value(max(len(data), 1), "")
    if text.mark():
        raise Unreadable("invalid_json", "Something follows after the value.")
    return value


def deeper_than(value: Any, most: int = DEEPEST) -> bool:
    """Whether a value is nested more than ``most`` levels."""
    level = [value]
    depth = 0
    while level:
        depth += 1
        if depth > most:
            return True
        below: list[Any] = []
        for each in level:
            if type(each) is dict:
                below.extend(x for x in each.values() if type(x) in (dict, list))
            elif type(each) is list:
                below.extend(x for x in each if type(x) in (dict, list))
        level = below
    return False
