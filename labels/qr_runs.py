"""Many QR codes at once: for a run of addresses that differ only in their last characters, a hundred times faster.

With version, level and mask fixed, every module of a QR code is an exclusive-or of data bits and a constant: error
correction is linear over GF(2), and the mask is added to it. So the ``qrcode`` library is asked once for one code of
the run and for what each bit of the tail changes, about a hundred calls; each further code is then a dozen
exclusive-ors of big integers, and the best mask is chosen by the same penalties (ISO/IEC 18004, 7.8.3) counted in them.
A character of a segment of bytes is 8 bits of its own; in a segment of letters two characters are 11 bits together.
All eight masked codes lie side by side in one integer, so that a step of the scoring is one operation for all of them;
numpy counts the bits of many codes at once.
The result equals that of ``qr.matrix`` bit for bit; a test holds it to that.
"""

import functools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

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
_POINTS = numpy.array([1, 1, 2, 2, 3, 40, 40, 40, 40])


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
            family = _Family.learn(prefix, level, start)
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

    ``plain`` holds, for each mask, the code whose symbols are all ``_BASE`` as it is printed; ``scored`` all eight as
    ``qrcode`` scores them (without the format information), side by side. ``changes`` holds, for each symbol of the
    tail, what each of its bits changes, ``known`` what the characters met in its place change.
    """

    level: Level
    version: int
    size: int
    plain: tuple[int, ...]
    scored: int
    symbols: tuple[_Symbol, ...]
    changes: tuple[tuple[int, ...], ...]
    known: tuple[dict[str, int], ...]
    scoring: "_Scoring"

    @classmethod
    def learn(cls, prefix: str, level: Level, start: int) -> "_Family":
        """Ask ``qrcode`` for the code of ``_BASE`` under each mask, and with each single bit of the tail.

        ``start`` is where the segment of letters begins, the length of the texts where there is none.
        """
        length = len(prefix) + TAIL
        symbols = _symbols(length, start)
        empty = bytearray(length)
        empty[: len(prefix)] = prefix.encode("ascii")
        for symbol in symbols:
            empty[symbol.begin : symbol.end] = _characters(symbol, _BASE)
        code = qr.unmade(bytes(empty), level, start)
        size = int(code.version) * 4 + 17
        plain = tuple(_modules(code, False, mask) for mask in _MASKS)
        scoring = _scoring(size)
        scored = scoring.side_by_side([_modules(code, True, mask) for mask in _MASKS])
        changes = []
        for symbol in symbols:
            bits = []
            for bit in range(symbol.bits):
                other = empty.copy()
                other[symbol.begin : symbol.end] = _characters(symbol, _BASE ^ 1 << bit)
                bits.append(_modules(qr.unmade(bytes(other), level, start), False, 0) ^ plain[0])
            changes.append(tuple(bits))
        known: tuple[dict[str, int], ...] = tuple({} for _symbol in symbols)
        return cls(level, int(code.version), size, plain, scored, tuple(symbols), tuple(changes), known, scoring)

    def matrices(self, texts: Sequence[str]) -> list[QrMatrix]:
        """The codes of texts of the family."""
        found = []
        for begin in range(0, len(texts), _AT_ONCE):
            some = texts[begin : begin + _AT_ONCE]
            changes = [self._change(text) for text in some]
            scoring = self.scoring
            best = scoring.best([scoring.marks(self.scored ^ scoring.eightfold(change)) for change in changes])
            found += [
                QrMatrix(text, self.level, self.version, self.plain[mask] ^ change)
                for text, change, mask in zip(some, changes, best, strict=True)
            ]
        return found

    def _change(self, text: str) -> int:
        """What a text's tail changes."""
        change = 0
        for number, symbol in enumerate(self.symbols):
            characters = text[symbol.begin : symbol.end]
            modules = self.known[number].get(characters)
            change ^= self._changed(number, characters) if modules is None else modules
        return change

    def _changed(self, number: int, characters: str) -> int:
        """What characters change in the place of a symbol, kept for the next code."""
        modules, value = 0, self.symbols[number].value(characters) ^ _BASE
        for bit, change in enumerate(self.changes[number]):
            if value >> bit & 1:
                modules ^= change
        self.known[number][characters] = modules
        return modules


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


def penalty(modules: int, size: int) -> int:
    """The penalty of a matrix of ``size`` modules a side by the four rules of ISO/IEC 18004, 7.8.3, table 11."""
    scoring = _scoring(size)
    return int(scoring.penalties([scoring.marks(scoring.eightfold(modules))])[0, 0])


class _Scoring:
    """The penalties of eight matrices of ``size`` modules a side, side by side in one integer, each in ``stride`` bytes
    with its last module in the lowest bit.

    A bit says something about its module and those to the right of or below it. The last column and the last row never
    begin anything, so that no pattern runs on into the next matrix.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.stride = (size * size + 7) // 8
        self.everywhere = self.side_by_side([1] * len(_MASKS))
        full = (1 << size * size) - 1
        last_column = sum(1 << size * row for row in range(size))
        self.not_last_column = (full & ~last_column) * self.everywhere
        self.not_last_row = (full & ~((1 << size) - 1)) * self.everywhere
        fits = size - 10
        row = (1 << fits) - 1 << 10
        self.room_across = sum(row << size * i for i in range(size)) * self.everywhere
        self.room_down = ((1 << size * fits) - 1 << size * 10) * self.everywhere

    def side_by_side(self, matrices: Sequence[int]) -> int:
        """Eight matrices in one integer, the first in the highest bits."""
        joined = b"".join(matrix.to_bytes(self.stride, "big") for matrix in matrices)
        return int.from_bytes(joined, "big")

    def eightfold(self, matrix: int) -> int:
        """The same matrix eight times."""
        return int.from_bytes(matrix.to_bytes(self.stride, "big") * len(_MASKS), "big")

    def marks(self, modules: int) -> bytes:
        """What costs points, a bit each: ten sets of bits for each of the eight matrices, to be counted and weighed."""
        size = self.size
        # A bit of `across`: a module equals the one to its right; of `down`: it equals the one below it.
        across = ~(modules ^ modules << 1) & self.not_last_column
        down = ~(modules ^ modules << size) & self.not_last_row
        five_across, five_down = _five(across, 1), _five(down, size)
        found = (
            # Runs of n >= 5 equal modules cost n - 2 points: one for each five in a row, two where the first begins.
            five_across,
            five_down,
            five_across & ~(five_across >> 1),
            five_down & ~(five_down >> size),
            across & across << size & down,
            *_finder_like(modules, self.room_across, 1),
            *_finder_like(modules, self.room_down, size),
            modules,
        )
        return b"".join([bits.to_bytes(self.stride * len(_MASKS), "big") for bits in found])

    def penalties(self, marks: Sequence[bytes]) -> "numpy.typing.NDArray[numpy.int64]":
        """The penalty of each of the eight matrices, for each of the given sets of marks."""
        bits = numpy.frombuffer(b"".join(marks), numpy.uint8).reshape(len(marks), 10, len(_MASKS), self.stride)
        counts = numpy.bitwise_count(bits).sum(axis=3, dtype=numpy.int64)
        uneven = (abs(counts[:, 9] / (self.size * self.size) * 100 - 50) / 5).astype(numpy.int64)
        weighed: numpy.typing.NDArray[numpy.int64] = numpy.tensordot(counts[:, :9], _POINTS, axes=([1], [0]))
        weighed += 10 * uneven
        return weighed

    def best(self, marks: Sequence[bytes]) -> list[int]:
        """The mask with the fewest points, the first of several, for each of the given sets of marks."""
        return [int(mask) for mask in self.penalties(marks).argmin(axis=1)]


@functools.cache
def _scoring(size: int) -> _Scoring:
    """The scoring of one size."""
    return _Scoring(size)


def _five(equal: int, step: int) -> int:
    """Where five equal modules in a row begin."""
    two = equal & equal << step
    return two & two << 2 * step


def _finder_like(modules: int, room: int, step: int) -> tuple[int, int]:
    """Where 1011101 begins with four light modules behind it, and where with four before it, in rows or columns."""
    second = modules << 2 * step
    # 1 0 1 1 1 0 1 from a module on; the dark ones first.
    core = modules & second & modules << 3 * step & modules << 4 * step & modules << 6 * step
    core &= ~(modules << step) & ~(modules << 5 * step)
    any_two = modules | modules << step
    any_four = any_two | any_two << 2 * step
    return core & ~(any_four << 7 * step) & room, core << 4 * step & ~any_four & room
