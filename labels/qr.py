"""QR codes: the matrix, its forms (SVG, PNG, bit rows for PDF) and the rules for printing it so that it
scans.

Print rules (GS1 General Specifications, QR Code with GS1 Digital Link in retail: X-dimension 0.396 to 0.990
mm, quiet zone 4 modules; ISO/IEC 18004 for levels). A module is a whole number of printer dots: a fraction
makes modules of unequal width, the commonest reason why a label scans on the screen and not on the carton. So
203 dpi needs 4 dots (0.501 mm; 3 would be 0.375 mm) and 300 dpi at least 5.

Nothing of Django is used but the translation of messages.
"""

import functools
import io
import math
import re
from dataclasses import dataclass
from enum import StrEnum

import qrcode
import qrcode.constants
import qrcode.exceptions
import qrcode.util
from django.utils.translation import gettext as _
from PIL import Image

from trace.errors import Invalid

QUIET_ZONE = 4
MIN_MODULE_MM = 0.396
MAX_MODULE_MM = 0.990
AIM_MODULE_MM = 0.495
MM_PER_INCH = 25.4
PRINTER_DPI = (203, 300, 600)
MAX_CHARACTERS = 300
_TAIL_FROM = 7
"""Letters from which on a segment of their own saves bits in every version: 5.5 for each instead of 8, for 15 at most
of its head (ISO/IEC 18004, 7.4.4)."""
_PRINTABLE = re.compile(r"[!-~]*")
_LETTERS = re.compile(r"[0-9A-Z $%*+\-./:]*\Z")
_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Level(StrEnum):
    """Error correction: the share of code words that may be lost (ISO/IEC 18004: L 7 %, M 15 %, Q 25 %, H 30
    %).
    """

    L = "L"
    M = "M"
    Q = "Q"
    H = "H"


class Material(StrEnum):
    """What the code is printed on. Rough, dark or curved grounds need a stronger level."""

    SMOOTH = "smooth"
    KRAFT = "kraft"
    WALNUT = "walnut"
    CURVED_GLASS = "curved_glass"


# With 7 % of the area damaged, level M was read in 3 of 100 trials and Q in all (measured); smooth labels
# lose less.
LEVEL_FOR = {
    Material.SMOOTH: Level.M,
    Material.KRAFT: Level.Q,
    Material.WALNUT: Level.Q,
    Material.CURVED_GLASS: Level.Q,
}
CORRECTION = {
    Level.L: qrcode.constants.ERROR_CORRECT_L,
    Level.M: qrcode.constants.ERROR_CORRECT_M,
    Level.Q: qrcode.constants.ERROR_CORRECT_Q,
    Level.H: qrcode.constants.ERROR_CORRECT_H,
}


@dataclass(frozen=True)
class QrMatrix:
    """One code without its quiet zone. ``modules`` has a bit for each module, 1 where it is dark, row after row, the
    upper left one in the highest bit.
    """

    data: str
    level: Level
    version: int
    modules: int

    @property
    def size(self) -> int:
        """Modules a side, without the quiet zone: 17 + 4 × version."""
        return 17 + 4 * self.version

    @property
    def rows(self) -> tuple[tuple[bool, ...], ...]:
        """``rows[y][x]`` is true where the module is dark."""
        digits = f"{self.modules:0{self.size * self.size}b}"
        return tuple(
            tuple(digit == "1" for digit in digits[start : start + self.size])
            for start in range(0, len(digits), self.size)
        )

    @property
    def full_size(self) -> int:
        """Modules a side with the quiet zone of four on each side."""
        return self.size + 2 * QUIET_ZONE


@dataclass(frozen=True)
class QrFit:
    """How a code is printed in a given width: ``side_mm`` and ``full_size`` include the quiet zone."""

    level: Level
    version: int
    dpi: int
    module_dots: int
    module_mm: float
    full_size: int
    side_mm: float


def check_data(data: str) -> bytes:
    """The bytes to encode. Only printable ASCII: readers disagree on the meaning of anything else."""
    if not data:
        raise Invalid(_("二维码没有内容。"), code="qr_empty")
    if len(data) > MAX_CHARACTERS:
        raise Invalid(
            _("二维码内容有 %(length)d 个字符，最多 %(most)d 个：请缩短网址。")
            % {"length": len(data), "most": MAX_CHARACTERS},
            code="qr_too_long",
            length=len(data),
            most=MAX_CHARACTERS,
        )
    if _PRINTABLE.fullmatch(data) is None:
        raise Invalid(_("二维码内容只能用英文字母、数字和网址符号：其他字符请先按网址规则编码。"), code="qr_not_ascii")
    return data.encode("ascii")


def tail_start(data: str) -> int:
    """Where the tail begins that stands in a segment of its own: the capitals, digits and marks of alphanumeric mode at
    the end of an address (ISO/IEC 18004, table 5), which take 5.5 bits each there instead of 8. The length of the text
    where they are too few to pay.

    No other place is asked about, so that addresses that differ in such a tail have one form and one version.
    """
    found = _LETTERS.search(data)
    start = found.start() if found else len(data)
    return start if len(data) - start >= _TAIL_FROM else len(data)


def unmade(data: bytes, level: Level, start: int) -> qrcode.QRCode:
    """A code of the library's with its version chosen, not yet drawn: one segment of bytes, and from ``start`` on one
    of letters.
    """
    code = qrcode.QRCode(error_correction=CORRECTION[level], border=0, box_size=1)
    if start:
        code.add_data(qrcode.util.QRData(data[:start], mode=qrcode.util.MODE_8BIT_BYTE))
    if start < len(data):
        code.add_data(qrcode.util.QRData(data[start:], mode=qrcode.util.MODE_ALPHA_NUM))
    code.best_fit()
    return code


@functools.lru_cache(maxsize=512)
def matrix(data: str, level: Level = Level.M, *, split: bool = True) -> QrMatrix:
    """The QR code of ``data`` at ``level``, with the best of the eight masks.

    Bytes, and the capitals at the end in a segment of their own (``tail_start``), which is often a version smaller;
    with ``split`` false bytes alone. Refuses empty text, more than ``MAX_CHARACTERS`` and anything but printable ASCII
    without blanks (``qr_empty``, ``qr_too_long``, ``qr_not_ascii``).
    """
    payload = check_data(data)
    code = unmade(payload, Level(level), tail_start(data) if split else len(data))
    code.make(fit=False)
    modules = int("".join("1" if dark else "0" for row in code.modules for dark in row), 2)
    return QrMatrix(data=data, level=Level(level), version=int(code.version), modules=modules)


def bit_rows(code: QrMatrix, *, quiet: int = 0) -> tuple[bytes, ...]:
    """The rows packed eight modules a byte, first module in the highest bit, 1 for dark, each row padded with
    0.

    With ``quiet`` light modules around. This is the order of a PDF image mask and of PIL's mode ``1``.
    """
    width = code.size + 2 * quiet
    stride = math.ceil(width / 8)
    blank = bytes(stride)
    size, room, one = code.size, stride * 8 - quiet - code.size, (1 << code.size) - 1
    packed = tuple(
        ((code.modules >> below & one) << room).to_bytes(stride, "big") for below in range(size * (size - 1), -1, -size)
    )
    return (blank,) * quiet + packed + (blank,) * quiet


def runs(code: QrMatrix) -> list[tuple[int, int, int]]:
    """The dark modules as horizontal runs ``(x, y, length)``, in modules from the upper left, without quiet
    zone.
    """
    found = []
    for y, row in enumerate(code.rows):
        x = 0
        while x < len(row):
            if row[x]:
                start = x
                while x < len(row) and row[x]:
                    x += 1
                found.append((start, y, x - start))
            else:
                x += 1
    return found


def svg_path(code: QrMatrix, *, quiet: int = QUIET_ZONE) -> str:
    """The ``d`` of one SVG path that fills the dark modules, in units of a module, quiet zone included."""
    return "".join(f"M{x + quiet} {y + quiet}h{length}v1h-{length}z" for x, y, length in runs(code))


def svg(code: QrMatrix, *, side_mm: float | None = None, title: str = "") -> str:
    """A complete SVG document with quiet zone, white ground and no script, ``side_mm`` wide (default: 0.495
    mm a module).

    ``title`` is read out by screen readers.
    """
    side = side_mm if side_mm is not None else code.full_size * AIM_MODULE_MM
    label = f"<title>{escape_xml(title)}</title>" if title else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{side:.3f}mm" height="{side:.3f}mm" '
        f'viewBox="0 0 {code.full_size} {code.full_size}" shape-rendering="crispEdges" role="img">{label}'
        f'<rect width="{code.full_size}" height="{code.full_size}" fill="#fff"/>'
        f'<path d="{svg_path(code)}" fill="#000"/></svg>'
    )


def escape_xml(text: str) -> str:
    """Text for an XML element or attribute. Characters that XML 1.0 forbids become a replacement mark."""
    return (
        _NOT_XML.sub("\ufffd", text)
        .replace("&", "&amp;")
        .replace("<", "&lt;")
        .replace(">", "&gt;")
        .replace('"', "&quot;")
    )


def png(code: QrMatrix, *, dpi: int = 300, module_dots: int | None = None) -> bytes:
    """A black-and-white PNG with quiet zone, a module being a whole number of dots, the resolution written in
    the file.

    Without ``module_dots`` the one nearest to 0.495 mm that the rules allow at ``dpi``. Refuses an unknown
    resolution (``qr_bad_dpi``) and a module outside 0.396–0.990 mm (``qr_bad_module``).
    """
    dots = module_dots if module_dots is not None else best_dots(dpi)
    require_module(dots, dpi)
    width = code.full_size
    image = Image.frombytes("1", (width, width), b"".join(bit_rows(code, quiet=QUIET_ZONE)), "raw", "1;I")
    image = image.resize((width * dots, width * dots), Image.Resampling.NEAREST)
    out = io.BytesIO()
    image.save(out, "PNG", dpi=(dpi, dpi), optimize=True)
    return out.getvalue()


def module_mm(dots: int, dpi: int) -> float:
    """The width of a module of ``dots`` printer dots, in millimetres."""
    return dots * MM_PER_INCH / dpi


def least_dots(dpi: int) -> int:
    """The fewest dots that make a module of at least 0.396 mm: 4 at 203 dpi, 5 at 300, 10 at 600."""
    _require_dpi(dpi)
    return math.ceil(MIN_MODULE_MM * dpi / MM_PER_INCH)


def most_dots(dpi: int) -> int:
    """The most dots that keep a module within 0.990 mm: 7 at 203 dpi, 11 at 300, 23 at 600."""
    _require_dpi(dpi)
    return math.floor(MAX_MODULE_MM * dpi / MM_PER_INCH)


def best_dots(dpi: int) -> int:
    """The whole number of dots nearest to the aim of 0.495 mm within the rules: 4 at 203 dpi, 6 at 300, 12 at
    600.
    """
    return min(max(round(AIM_MODULE_MM * dpi / MM_PER_INCH), least_dots(dpi)), most_dots(dpi))


def require_module(dots: int, dpi: int) -> None:
    """Refuse a module that is too small or too large to be read everywhere, or an unknown resolution."""
    least, most = least_dots(dpi), most_dots(dpi)
    if not least <= dots <= most:
        raise Invalid(
            _("每个模块 %(dots)d 点在 %(dpi)d dpi 下不符合印刷规则：请用 %(least)d 到 %(most)d 点。")
            % {"dots": dots, "dpi": dpi, "least": least, "most": most},
            code="qr_bad_module",
            least=least,
            most=most,
        )


def require_side(code: QrMatrix, side_mm: float) -> None:
    """Refuse a side (quiet zone included) whose modules are too small or too large to be read everywhere."""
    least, most = code.full_size * MIN_MODULE_MM, code.full_size * MAX_MODULE_MM
    if not least <= side_mm <= most:
        raise Invalid(
            _("这个二维码的边长应在 %(least).1f 到 %(most).1f 毫米之间（含四周空白）。")
            % {"least": least, "most": most},
            code="qr_bad_side",
            least_mm=math.ceil(least * 10) / 10,
            most_mm=math.floor(most * 10) / 10,
        )


def _require_dpi(dpi: int) -> None:
    """Refuse a resolution that no label printer has."""
    if dpi not in PRINTER_DPI:
        raise Invalid(
            _("不认识的打印分辨率 %(dpi)s：请选 %(known)s dpi。")
            % {"dpi": dpi, "known": _("、").join(str(known) for known in PRINTER_DPI)},
            code="qr_bad_dpi",
            known=list(PRINTER_DPI),
        )


def fit(data: str, width_mm: float, dpi: int, material: Material = Material.SMOOTH) -> QrFit:
    """The largest printing of ``data`` in a square of ``width_mm`` (quiet zone included) on a printer of
    ``dpi``.

    The level follows the material; the module is the largest whole number of dots within the rules. When not
    even the smallest fits, ``qr_does_not_fit`` says which width would do and how many characters this width
    has room for.
    """
    return fit_matrix(matrix(data, LEVEL_FOR[Material(material)]), width_mm, dpi)


def fit_matrix(code: QrMatrix, width_mm: float, dpi: int) -> QrFit:
    """The largest printing of a code that is there already; see ``fit``."""
    least, most = least_dots(dpi), most_dots(dpi)
    dots = min(math.floor(width_mm * dpi / MM_PER_INCH / code.full_size + 1e-9), most)
    if dots < least:
        needed = math.ceil(code.full_size * module_mm(least, dpi) * 10) / 10
        room = _room(math.floor(width_mm / module_mm(least, dpi) + 1e-9), code.level)
        raise Invalid(
            _(
                "二维码印不下：在 %(dpi)d dpi 下它需要 %(needed).1f 毫米宽，这里只有 %(width).1f 毫米。"
                "请换大一些的标签、分辨率更高的打印机，或把网址从 %(length)d 个字符缩短到 %(room)d 个以内。"
            )
            % {"dpi": dpi, "needed": needed, "width": width_mm, "length": len(code.data), "room": room},
            code="qr_does_not_fit",
            needed_mm=needed,
            width_mm=width_mm,
            length=len(code.data),
            room=room,
        )
    size = module_mm(dots, dpi)
    return QrFit(
        level=code.level,
        version=code.version,
        dpi=dpi,
        module_dots=dots,
        module_mm=size,
        full_size=code.full_size,
        side_mm=code.full_size * size,
    )


@functools.cache
def _room(full_size: int, level: Level) -> int:
    """How many ASCII characters a code of at most ``full_size`` modules (with quiet zone) holds."""
    version = (full_size - 2 * QUIET_ZONE - 17) // 4
    if version < 1:
        return 0
    bits = qrcode.util.BIT_LIMIT_TABLE[CORRECTION[level]][min(version, 40)]
    return int((bits - 4 - (8 if version < 10 else 16)) // 8)
