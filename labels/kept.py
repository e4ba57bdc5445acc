"""Rendered pages kept in this process: one for all units of a run, with holes for what differs from view to view.

A kept page is given out only while nothing it shows has changed: every request asks the database how the code stands
(``labels.glance``), and the page it gets is the one made for exactly that standing, holds and recalls included. So a
recall is on the first request after it starts, whatever is kept. What else a page shows changes by events (the log is
followed: a page goes when an event names its lot or one of its ancestors) or is counted (``labels.freshness``).

Holes are the unit's code, the signed word, the path and the tally. A page is compressed in pieces between the holes,
and the holes are put in uncompressed (RFC 1951, stored blocks), so that a view costs no compression.
"""

from __future__ import annotations

import re
import secrets
import struct
import threading
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from trace.identifiers import SERIAL_ALPHABET, display_serial
from trace.models import LogEntry
from trace.templatetags.ui import groups

MOST_PAGES = 600
MOST_EVENTS = 500
"""How many new events are looked at one by one; after more, everything kept goes."""


LATE = 50
"""How far a thread may be behind the others; a log further back is another log."""


def _token(length: int, alphabet: str = SERIAL_ALPHABET) -> str:
    """Letters nobody can guess, so that no text of a producer is taken for a hole."""
    return "".join(secrets.choice(alphabet) for _ in range(length))


CODE, WORD, PATH, TALLY = _token(12), _token(24), f"/{_token(24)}", _token(24)
"""What stands for each hole while a page is made."""
_HOLES = {CODE: "code", groups(CODE): "groups", display_serial(CODE): "display", WORD: "word", PATH: "path"} | {
    TALLY: "tally"
}
_HOLE = re.compile("|".join(re.escape(each) for each in sorted(_HOLES, key=len, reverse=True)))


@dataclass(slots=True)
class Kept:
    """One page in pieces: texts (and the same compressed) with the names of holes between them. ``lots`` are the lots
    it tells of; ``link`` the Link header, with holes.
    """

    texts: list[bytes]
    packed: list[bytes]
    holes: list[str]
    lots: frozenset[int]
    fresh: int
    link: str

    def plain(self, values: Mapping[str, bytes]) -> bytes:
        """The page with its holes filled."""
        return b"".join(self._woven(self.texts, values))

    def compressed(self, values: Mapping[str, bytes]) -> bytes:
        """The same as a gzip member (RFC 1952)."""
        stored = {name: _stored(value) for name, value in values.items()}
        body = b"".join(self._woven(self.packed, stored))
        checksum = size = 0
        for piece in self._woven(self.texts, values):
            checksum = zlib.crc32(piece, checksum)
            size += len(piece)
        return b"".join((_HEAD, body, _TAIL, struct.pack("<LL", checksum, size & 0xFFFFFFFF)))

    def _woven(self, pieces: Sequence[bytes], values: Mapping[str, bytes]) -> Iterable[bytes]:
        """Pieces and holes in turn."""
        found = [pieces[0]]
        for hole, piece in zip(self.holes, pieces[1:], strict=True):
            found += (values[hole], piece)
        return found


_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_TAIL = b"\x03\x00"
"""An empty last block."""


def _stored(data: bytes) -> bytes:
    """Bytes as stored blocks; it begins at a byte's edge, since the piece before was flushed."""
    blocks = []
    for start in range(0, len(data), 0xFFFF):
        part = data[start : start + 0xFFFF]
        blocks.append(struct.pack("<BHH", 0, len(part), len(part) ^ 0xFFFF) + part)
    return b"".join(blocks)


def _packed(data: bytes) -> bytes:
    """A piece compressed for itself, ending at a byte's edge."""
    if len(data) < 24:
        return _stored(data)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush(zlib.Z_FULL_FLUSH)


def in_pieces(page: str, *, link: str, lots: Iterable[int], fresh: int) -> Kept:
    """Cut a page made with the stand-ins at its holes."""
    texts: list[bytes] = []
    holes: list[str] = []
    end = 0
    for match in _HOLE.finditer(page):
        texts.append(page[end : match.start()].encode())
        holes.append(_HOLES[match[0]])
        end = match.end()
    texts.append(page[end:].encode())
    return Kept(texts, [_packed(text) for text in texts], holes, frozenset(lots), fresh, link)


@dataclass
class Shelf:
    """The pages of this process by key, and the number of the log up to which they are known to hold."""

    pages: dict[tuple[object, ...], Kept] = field(default_factory=dict)
    seen: int = -1
    lock: threading.Lock = field(default_factory=threading.Lock)

    def find(self, key: tuple[object, ...], *, log: int, fresh: int) -> Kept | None:
        """The page of a key, if it still holds at this state of the log and of the counter."""
        if log != self.seen:
            self._follow(log)
        found = self.pages.get(key)
        return found if found is not None and found.fresh == fresh else None

    def put(self, key: tuple[object, ...], page: Kept, *, log: int) -> None:
        """Keep a page made after the log stood at ``log``; not if others have followed it further meanwhile, since
        what they found may be missing in it.
        """
        with self.lock:
            if self.seen == log:
                while len(self.pages) >= MOST_PAGES:
                    self.pages.pop(next(iter(self.pages)))
                self.pages[key] = page

    def clear(self) -> None:
        """Forget everything."""
        with self.lock:
            self.pages.clear()
            self.seen = -1

    def _follow(self, log: int) -> None:
        """Let pages go that new events tell of. A number far below the last one (a restored backup), or many at once,
        lets all go.
        """
        with self.lock:
            if log == self.seen:
                return
            if self.seen - LATE <= log < self.seen:
                return  # asked a moment before another thread followed the log further; what is kept is newer
            if not self.pages or log < self.seen:
                self.pages.clear()
                self.seen = log
                return
            touched = _touched(self.seen, log)
            if touched is None:
                self.pages.clear()
            else:
                for key in [key for key, page in self.pages.items() if page.lots & touched]:
                    del self.pages[key]
            self.seen = log


def _touched(after: int, last: int) -> set[int] | None:
    """The lots that events after one number name; None where they are many or name something else than lots."""
    if last - after > MOST_EVENTS:
        return None
    rows = LogEntry.objects.filter(number__gt=after, number__lte=last).values_list("number", "event__items__lot")
    lots = {cast("int | None", lot) for _number, lot in rows}
    return None if None in lots else {lot for lot in lots if lot is not None}


SHELF = Shelf()
