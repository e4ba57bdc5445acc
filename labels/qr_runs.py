"""Many QR codes at once: for a run of addresses that differ only in their last characters, a hundred times faster.

With version, level and mask fixed, every module of a QR code is an exclusive-or of data bits and a constant: error
correction is linear over GF(2), and the mask is added to it. So the ``qrcode`` library is asked once for one code of
the run and for what each bit of the tail changes, about a hundred calls; each further code is then a dozen
exclusive-ors, and the best mask is chosen by the same penalties (ISO/IEC 18004, 7.8.3). A character of a segment of
bytes is 8 bits of its own; in a segment of letters two characters are 11 bits together.
For the scoring a row of modules is one number of 64 bits: a step is then one operation of numpy for all rows of all
eight masks of many codes. Codes of more modules a side (version 12 and above, addresses of 180 characters or more) are
made one by one.
The result equals that of ``qr.matrix`` bit for bit; a test holds it to that.
"""

import functools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy
import numpy.typing
import qrcode
import qrcode.util

from labels import qr
from labels.qr import Level, QrMatrix

TAIL = 12
"""Characters that may differ: the length of a serial."""
LEARN_FROM = 24
"""Codes of one family from which on learning it pays."""
_MASKS = range(8)
_BASE = 1
"""The value of all symbols in the code that others are compared with; of 0 the library could not make a block."""
_AT_ONCE = 128
_WIDEST = 64
"""Modules a side that fit one number."""
_FAMILIES = 32
"""Families remembered: a file is made in parts, and each code of it is asked for twice."""
_Rows = numpy.typing.NDArray[Any]
"""Of unsigned numbers of 64 bits; the library's own types do not follow its shifts."""
_ONE = numpy.uint64(1)


def matrices(data: Sequence[str], level: Level = Level.M, *, split: bool = True) -> list[QrMatrix]:
    """What ``qr.matrix`` gives for each, in the same order. Refuses what it refuses.

    Texts that are alike but for their last ``TAIL`` characters and are divided into segments at the same place make a
    family; those of small families are made one by one.
    """
    families: dict[tuple[str, int], list[str]] = defaultdict(list)
    for text in dict.fromkeys(data):
        qr.check_data(text)
        if len(text) > TAIL:
            families[text[:-TAIL], qr.tail_start(text) if split else len(text)].append(text)
    found: dict[str, QrMatrix] = {}
    for (prefix, start), texts in families.items():
        if len(texts) >= LEARN_FROM:
            family = _family(prefix, level, start)
            if family is not None:
                found.update(zip(texts, family.matrices(texts), strict=True))
    return [found.get(text) or qr.matrix(text, level, split=split) for text in data]


@dataclass(frozen=True)
class _Symbol:
    """Characters that are encoded together: from ``begin`` to ``end``, as ``bits`` bits."""

    begin: int
    end: int
    bits: int

    def value(self, characters: str) -> int:
        """Their bits as a number: a byte, or by table 5 of ISO/IEC 18004 (45 times the first and the second)."""
        if self.bits == 7:
            return ord(characters)
        value = 0
        for char in characters:
            value = 45 * value + qrcode.util.ALPHA_NUM.index(char.encode("ascii"))
        return value


def _symbols(length: int, start: int) -> list[_Symbol]:
    """The symbols that hold the last ``TAIL`` characters of a text of a length with letters from ``start`` on."""
    tail = length - TAIL
    symbols = [_Symbol(at, at + 1, 7) for at in range(tail, start)]
    # The first pair may begin with a character before the tail: pairs are counted from where the letters begin.
    first = max(start, tail - (tail - start) % 2)
    return symbols + [_Symbol(at, min(at + 2, length), 11 if at + 2 <= length else 6) for at in range(first, length, 2)]


@dataclass(frozen=True)
class _Family:
    """The codes of one prefix: matrices as integers, the first module of the first row in the highest bit.

    ``plain`` holds, for each mask, the code whose symbols are all ``_BASE`` as it is printed; ``scored`` the rows of
    all eight as ``qrcode`` scores them (without the format information). ``changes`` holds, for each symbol of the
    tail, what each of its bits changes, ``known`` what the characters met in its place change, with its rows.
    """

    level: Level
    version: int
    size: int
    plain: tuple[int, ...]
    scored: _Rows
    symbols: tuple[_Symbol, ...]
    changes: tuple[tuple[int, ...], ...]
    known: tuple[dict[str, tuple[int, _Rows]], ...]

    @classmethod
    def learn(cls, prefix: str, level: Level, start: int) -> "_Family":
        """Ask ``qrcode`` for the code of ``_BASE`` under each mask, and with each single bit of the tail.

        ``start`` is where the segment of letters begins, the length of the texts where there is none.
        """
        symbols = _symbols(len(prefix) + TAIL, start)
        empty = _empty(prefix, symbols)
        code = qr.unmade(bytes(empty), level, start)
        size = int(code.version) * 4 + 17
        plain = tuple(_modules(code, False, mask) for mask in _MASKS)
        scored = numpy.stack([_rows(_modules(code, True, mask), size) for mask in _MASKS])
        changes = []
        for symbol in symbols:
            bits = []
            for bit in range(symbol.bits):
                other = empty.copy()
                other[symbol.begin : symbol.end] = _characters(symbol, _BASE ^ 1 << bit)
                bits.append(_modules(qr.unmade(bytes(other), level, start), False, 0) ^ plain[0])
            changes.append(tuple(bits))
        known: tuple[dict[str, tuple[int, _Rows]], ...] = tuple({} for _symbol in symbols)
        return cls(level, int(code.version), size, plain, scored, tuple(symbols), tuple(changes), known)

    def matrices(self, texts: Sequence[str]) -> list[QrMatrix]:
        """The codes of texts of the family."""
        found = []
        for begin in range(0, len(texts), _AT_ONCE):
            some = texts[begin : begin + _AT_ONCE]
            changes = [0] * len(some)
            rows = numpy.zeros((len(some), self.size), numpy.uint64)
            for number, symbol in enumerate(self.symbols):
                known = self.known[number]
                met = [
                    known.get(characters) or self._changed(number, characters)
                    for characters in [text[symbol.begin : symbol.end] for text in some]
                ]
                changes = [change ^ modules for change, (modules, _rows) in zip(changes, met, strict=True)]
                rows ^= numpy.array([each for _modules, each in met])
            best = penalties(self.scored ^ rows[:, None, :], self.size).argmin(axis=1).tolist()
            found += [
                QrMatrix(text, self.level, self.version, self.plain[mask] ^ change)
                for text, change, mask in zip(some, changes, best, strict=True)
            ]
        return found

    def _changed(self, number: int, characters: str) -> tuple[int, _Rows]:
        """What characters change in the place of a symbol, kept for the next code."""
        modules, value = 0, self.symbols[number].value(characters) ^ _BASE
        for bit, change in enumerate(self.changes[number]):
            if value >> bit & 1:
                modules ^= change
        self.known[number][characters] = modules, _rows(modules, self.size)
        return self.known[number][characters]


def _empty(prefix: str, symbols: Sequence[_Symbol]) -> bytearray:
    """The text whose symbols are all ``_BASE``."""
    empty = bytearray(prefix.encode("ascii") + bytes(TAIL))
    for symbol in symbols:
        empty[symbol.begin : symbol.end] = _characters(symbol, _BASE)
    return empty


def _characters(symbol: _Symbol, value: int) -> bytes:
    """The characters that a symbol's value stands for."""
    if symbol.bits == 7:
        return bytes([value])
    letters = qrcode.util.ALPHA_NUM
    return bytes([letters[value // 45], letters[value % 45]] if symbol.bits == 11 else [letters[value]])


def _modules(code: qrcode.QRCode, test: bool, mask: int) -> int:
    """The code under a mask as an integer; ``test`` is the form that the library scores."""
    code.makeImpl(test, mask)
    return int("".join("1" if dark else "0" for row in code.modules for dark in row), 2)


@functools.lru_cache(_FAMILIES)
def _family(prefix: str, level: Level, start: int) -> _Family | None:
    """The family of a prefix; None where its codes are too wide for the scoring."""
    empty = _empty(prefix, _symbols(len(prefix) + TAIL, start))
    size = int(qr.unmade(bytes(empty), level, start).version) * 4 + 17
    return _Family.learn(prefix, level, start) if size <= _WIDEST else None


def _rows(modules: int, size: int) -> _Rows:
    """The rows of a matrix, the last module of each in the lowest bit."""
    row = (1 << size) - 1
    return numpy.array([modules >> size * place & row for place in reversed(range(size))], numpy.uint64)


def penalty(modules: int, size: int) -> int:
    """The penalty of a matrix of ``size`` modules a side by the four rules of ISO/IEC 18004, 7.8.3, table 11."""
    return int(penalties(_rows(modules, size), size))


def penalties(rows: _Rows, size: int) -> _Rows:
    """The penalties of matrices of at most 64 modules a side; the last axis is that of their rows.

    A bit says something about its module and those to the right of or below it.
    """
    full = numpy.uint64((1 << size) - 1)
    # A bit of `across`: a module equals the one to its right; of `down`: it equals the one below it.
    across = ~(rows ^ rows << _ONE) & full & ~_ONE
    down = ~(rows[..., :-1] ^ rows[..., 1:]) & full
    pairs = across & across << _ONE
    five_across = pairs & pairs << numpy.uint64(2)
    pairs = down[..., :-1] & down[..., 1:]
    five_down = pairs[..., :-2] & pairs[..., 2:]
    # Runs of n >= 5 equal modules cost n - 2 points: one for each five in a row, two where the first begins.
    points = _count(five_across) + _count(five_down)
    points += 2 * _count(five_across & ~(five_across >> _ONE))
    points += 2 * (_count(five_down[..., :1]) + _count(five_down[..., 1:] & ~five_down[..., :-1]))
    points += 3 * _count(across[..., :-1] & across[..., 1:] & down)
    points += 40 * (_finder_like_across(rows, size) + _finder_like_down(rows, size))
    uneven = abs(_count(rows) / (size * size) * 100 - 50) / 5
    points += 10 * uneven.astype(numpy.int64)
    return points


def _count(bits: _Rows) -> _Rows:
    """How many bits are set in the rows of each matrix."""
    counts: _Rows = numpy.bitwise_count(bits).sum(axis=-1, dtype=numpy.int64)
    return counts


def _finder_like_across(rows: _Rows, size: int) -> _Rows:
    """How often 1011101 stands in a row with four light modules behind it or before it."""
    at = [rows << numpy.uint64(step) for step in range(7)]
    core = rows & at[2] & at[3] & at[4] & at[6] & ~(at[1] | at[5])
    any_four = rows | at[1] | at[2] | at[3]
    room = numpy.uint64((1 << size - 10) - 1 << 10)
    return _count(core & ~(any_four << numpy.uint64(7)) & room) + _count(core << numpy.uint64(4) & ~any_four & room)


def _finder_like_down(rows: _Rows, size: int) -> _Rows:
    """The same in the columns."""
    at = [rows[..., step : size - 6 + step] for step in range(7)]
    core = at[0] & at[2] & at[3] & at[4] & at[6] & ~(at[1] | at[5])
    any_four = rows[..., :-3] | rows[..., 1:-2] | rows[..., 2:-1] | rows[..., 3:]
    return _count(core[..., :-4] & ~any_four[..., 7:]) + _count(core[..., 4:] & ~any_four[..., :-7])
