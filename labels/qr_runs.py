"""Many QR codes at once: for a run of addresses that differ only in their last characters, a hundred times faster.

With version, level and mask fixed, every module of a QR code is an exclusive-or of data bits and a constant: error
correction is linear over GF(2), and the mask is added to it. So the ``qrcode`` library is asked once for one code of
the run and for what each bit of the tail changes, about a hundred calls; each further code is then a few dozen
exclusive-ors of big integers, and the best mask is chosen by the same penalties (ISO/IEC 18004, 7.8.3) counted in them.
The result equals that of ``qr.matrix`` bit for bit; a test holds it to that.
"""

import functools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import qrcode
import qrcode.util

from labels import qr
from labels.qr import Level, QrMatrix

TAIL = 12
"""Characters that may differ: the length of a serial."""
LEARN_FROM = 24
"""Codes of one family from which on learning it pays."""
_MASKS = range(8)


def matrices(data: Sequence[str], level: Level = Level.M) -> list[QrMatrix]:
    """What ``qr.matrix`` gives for each, in the same order. Refuses what it refuses."""
    families: dict[str, list[str]] = defaultdict(list)
    for text in dict.fromkeys(data):
        qr.check_data(text)
        if len(text) > TAIL:
            families[text[:-TAIL]].append(text)
    found = {}
    for prefix, texts in families.items():
        if len(texts) >= LEARN_FROM:
            family = _Family.learn(prefix, level)
            found.update({text: family.matrix(text) for text in texts})
    return [found.get(text) or qr.matrix(text, level) for text in data]


@dataclass(frozen=True)
class _Family:
    """The codes of one prefix: matrices as integers, the first module of the first row in the highest bit.

    ``plain`` and ``scored`` hold, for each mask, the code whose tail is NUL: as printed, and as ``qrcode`` scores it
    (without the format information). ``changes`` holds what each of the tail's 7-bit characters' bits changes.
    """

    level: Level
    version: int
    size: int
    plain: tuple[int, ...]
    scored: tuple[int, ...]
    changes: tuple[tuple[int, ...], ...]

    @classmethod
    def learn(cls, prefix: str, level: Level) -> "_Family":
        """Ask ``qrcode`` for the code without tail under each mask, and with each single bit of the tail."""
        empty = prefix.encode("ascii") + bytes(TAIL)
        code = _made(empty, level)
        plain = tuple(_modules(code, False, mask) for mask in _MASKS)
        scored = tuple(_modules(code, True, mask) for mask in _MASKS)
        changes = []
        for position in range(len(prefix), len(empty)):
            bits = []
            for bit in range(7):
                other = bytearray(empty)
                other[position] = 1 << bit
                bits.append(_modules(_made(bytes(other), level), False, 0) ^ plain[0])
            changes.append(tuple(bits))
        return cls(level, int(code.version), int(code.version) * 4 + 17, plain, scored, tuple(changes))

    def matrix(self, text: str) -> QrMatrix:
        """The code of one text of the family."""
        change = 0
        for char, bits in zip(text[-TAIL:].encode("ascii"), self.changes, strict=True):
            for bit, modules in enumerate(bits):
                if char >> bit & 1:
                    change ^= modules
        mask = min(_MASKS, key=lambda mask: (penalty(self.scored[mask] ^ change, self.size), mask))
        digits = f"{self.plain[mask] ^ change:0{self.size * self.size}b}"
        rows = tuple(
            tuple(digit == "1" for digit in digits[start : start + self.size])
            for start in range(0, len(digits), self.size)
        )
        return QrMatrix(text, self.level, self.version, rows)


def _made(data: bytes, level: Level) -> qrcode.QRCode:
    """A code of the library's with its version chosen, not yet drawn."""
    code = qrcode.QRCode(error_correction=qr.CORRECTION[level], border=0, box_size=1)
    code.add_data(qrcode.util.QRData(data, mode=qrcode.util.MODE_8BIT_BYTE))
    code.best_fit()
    return code


def _modules(code: qrcode.QRCode, test: bool, mask: int) -> int:
    """The code under a mask as an integer; ``test`` is the form that the library scores."""
    code.makeImpl(test, mask)
    return int("".join("1" if dark else "0" for row in code.modules for dark in row), 2)


def penalty(modules: int, size: int) -> int:
    """The penalty of a matrix of ``size`` modules a side by the four rules of ISO/IEC 18004, 7.8.3, table 11."""
    full = (1 << size * size) - 1
    last_column = sum(1 << size * row for row in range(size))
    # A bit of `across`: a module equals the one to its right; of `down`: it equals the one below it.
    across = ~(modules ^ modules << 1) & full & ~last_column
    down = ~(modules ^ modules << size) & full & ~((1 << size) - 1)
    points = _runs(across, 1) + _runs(down, size)
    points += 3 * (across & across << size & down & full).bit_count()
    points += 40 * (_finder_like(modules, full, 1, size) + _finder_like(modules, full, size, size))
    share = modules.bit_count() / size**2
    return points + 10 * int(abs(share * 100 - 50) / 5)


def _runs(equal: int, step: int) -> int:
    """Runs of n ≥ 5 equal modules cost n - 2 points. ``equal`` has n - 1 bits for such a run, ``step`` apart."""
    of_five = equal & equal << step & equal << 2 * step & equal << 3 * step
    starts = of_five & ~(of_five >> step)
    return of_five.bit_count() + 2 * starts.bit_count()


def _finder_like(modules: int, full: int, step: int, size: int) -> int:
    """How often 1011101 occurs with four light modules before or after it, along rows or columns."""
    room = _room(size, step)
    dark = [modules << step * i for i in range(11)]
    return sum(_matches(pattern, dark, full & room).bit_count() for pattern in ("10111010000", "00001011101"))


@functools.cache
def _room(size: int, step: int) -> int:
    """The modules at which a pattern of eleven can begin."""
    fits = size - 10
    if step == 1:
        row = (1 << fits) - 1 << 10
        return sum(row << size * i for i in range(size))
    return (1 << size * fits) - 1 << size * 10


def _matches(pattern: str, dark: Sequence[int], places: int) -> int:
    """The places at which a pattern begins."""
    for digit, modules in zip(pattern, dark, strict=True):
        places &= modules if digit == "1" else ~modules
    return places
