"""Numbers that name organisations, licences, goods and places: normalise what was typed, refuse what cannot
be right.

Every function takes text as a person or machine wrote it (full-width digits, spaces, lower case) and returns
the canonical form, or raises ``Invalid`` with a code of its own and a sentence saying what to do. A check
digit proves that a number was copied rightly, never that it was issued: existence is for the registers. Pure:
no database, no request.
"""

import random
import re
import secrets
import struct
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from os import urandom as _urandom

from django.utils.translation import gettext as _
from stdnum import ean
from stdnum.cn import uscc
from stdnum.iso7064 import mod_11_10

from trace.errors import Invalid
from trace.text import fold_width, printable

USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
"""GB 32100-2015: digits and capital letters without I, O, S, V, Z."""
USCC_LOOKALIKES = {"I": "1", "O": "0", "Z": "2", "S": "5", "V": "U"}
LOT_CODE_MAX = 20
"""GS1 General Specifications, AI (10) and AI (21): at most 20 characters."""
CSET82 = frozenset("!\"%&'()*+,-./0123456789:;<=>?ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz")
"""The 82 characters GS1 allows in a lot code or serial (General Specifications, figure 7.11-1)."""
SERIAL_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""32 characters without I, L, O and U, which are misread or make words."""
SERIAL_LENGTH = 12

_IGNORED = re.compile(r"[\s\u200b\ufeff]+")
_DASHES = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2212\uff0d"), "-")
_RAW_MAX = 100
_ISSUED_LOT_CODE = re.compile(r"[0-9A-Z-]+")
# 256 = 8 × 32, so taking a byte modulo 32 favours no character.
_SERIAL_TABLE = bytes(SERIAL_ALPHABET[byte % 32].encode()[0] for byte in range(256))
_SERIAL_FORGIVE = str.maketrans({"I": "1", "L": "1", "O": "0", "U": "V", "-": None, "_": None, ".": None, "·": None})


def fold_code(value: object) -> str:
    """The bare code.

    Full-width to ASCII, all dashes to ``-``, no spaces, capitals. Raises ``text_not_text``,
    ``code_too_long``.
    """
    if not isinstance(value, str):
        raise Invalid(_("这里应当是文字。"), code="text_not_text")
    if len(value) > _RAW_MAX:
        raise Invalid(_("编号太长，请核对是否粘贴了多余的内容。"), code="code_too_long")
    return _IGNORED.sub("", fold_width(value)).translate(_DASHES).upper()


# ---------------------------------------------------------------- organisations and licences


def normalise_uscc(value: object) -> str:
    """统一社会信用代码, 18 characters, GB 32100-2015: length, alphabet, division digits and check character.

    The organisation code inside it and the existence of the division are not checked.
    Raises: ``uscc_length``, ``uscc_letters`` (I O Z S V), ``uscc_characters``, ``uscc_check`` (details:
    ``expected``).
    """
    code = fold_code(value).replace("-", "")
    if len(code) != 18:
        raise Invalid(
            _("统一社会信用代码应为 18 位，现在是 %(length)d 位，请对照营业执照补全或删去多余的字符。")
            % {"length": len(code)},
            code="uscc_length",
            length=len(code),
        )
    for position, char in enumerate(code, start=1):
        if char in USCC_LOOKALIKES:
            raise Invalid(
                _(
                    "统一社会信用代码不使用字母 I、O、Z、S、V。第 %(position)d 位是 %(char)s,"
                    "请核对是否应为 %(instead)s。"
                )
                % {"position": position, "char": char, "instead": USCC_LOOKALIKES[char]},
                code="uscc_letters",
                position=position,
            )
        # Positions 3–8 are the division code; python-stdnum wants digits in 1–2 also, but N1, A1 … exist
        # (agriculture, army).
        if char not in USCC_ALPHABET or (3 <= position <= 8 and not char.isdigit()):
            raise Invalid(
                _("统一社会信用代码第 %(position)d 位的“%(char)s”不对：只用数字和大写字母，第 3 至 8 位只用数字。")
                % {"position": position, "char": printable(char)},
                code="uscc_characters",
                position=position,
            )
    expected = uscc.calc_check_digit(code[:17])
    if code[17] != expected:
        raise Invalid(
            _(
                "统一社会信用代码的校验码不对：按前 17 位计算末位应为 %(expected)s，现在是 %(given)s。"
                "请逐位核对营业执照。"
            )
            % {"expected": expected, "given": code[17]},
            code="uscc_check",
            expected=expected,
        )
    return code


def normalise_sc_licence(value: object) -> str:
    """食品生产许可证编号: SC and 14 digits: category 3 (1 food or 2 additive, then 01–32), division 6, serial
    4, check 1.

    Check digit ISO 7064 MOD 11,10 (GB/T 17710).
    Raises: ``sc_prefix``, ``sc_length``, ``sc_characters``, ``sc_category``, ``sc_check`` (details:
    ``expected``).
    """
    code = fold_code(value).replace("-", "")
    if not code.startswith("SC"):
        raise Invalid(_("食品生产许可证编号以 SC 开头，后接 14 位数字。以 QS 开头的旧编号已停用。"), code="sc_prefix")
    digits = code[2:]
    if not (digits.isascii() and digits.isdigit()) and digits:
        raise Invalid(_("食品生产许可证编号在 SC 之后只能是数字，请逐位核对。"), code="sc_characters")
    if len(digits) != 14:
        raise Invalid(
            _("食品生产许可证编号在 SC 之后应为 14 位数字，现在是 %(length)d 位。") % {"length": len(digits)},
            code="sc_length",
            length=len(digits),
        )
    if digits[0] not in "12" or not 1 <= int(digits[1:3]) <= 32:
        raise Invalid(
            _("食品生产许可证编号的食品类别“%(category)s”不存在：首位为 1 或 2，后两位为 01 至 32。")
            % {"category": digits[:3]},
            code="sc_category",
            category=digits[:3],
        )
    expected = mod_11_10.calc_check_digit(digits[:13])
    if digits[13] != expected:
        raise Invalid(
            _(
                "食品生产许可证编号的校验码不对：按前 13 位计算末位应为 %(expected)s，现在是 %(given)s。"
                "请逐位核对许可证。"
            )
            % {"expected": expected, "given": digits[13]},
            code="sc_check",
            expected=expected,
        )
    return "SC" + digits


def normalise_cma(value: object) -> str:
    """检验检测机构资质认定 (CMA) certificate number: 12 digits = year 2, authority 2, field 2, department 2,
    serial 4.

    Only the shape can be checked. Raises: ``cma_shape``.
    """
    code = fold_code(value).removeprefix("CMA").replace("-", "")
    if not _digits(code, 12):
        raise Invalid(_("CMA 证书编号应为 12 位数字，请对照资质认定证书填写。"), code="cma_shape")
    return code


def normalise_organic(value: object) -> str:
    """有机码.

    17 digits = certification body 3, year 2, random 12. Only the shape can be checked. Raises:
    ``organic_shape``.
    """
    code = fold_code(value).replace("-", "")
    if not _digits(code, 17):
        raise Invalid(_("有机码应为 17 位数字，请对照有机产品认证标志填写。"), code="organic_shape")
    return code


def normalise_division(value: object) -> str:
    """行政区划代码 (GB/T 2260, GB/T 10114): 6 digits for a county, 9 for a township, 12 for a village.

    Whether the division exists is for ``trace.divisions``. Raises: ``division_shape``.
    """
    code = fold_code(value).replace("-", "")
    if not any(_digits(code, length) for length in (6, 9, 12)) or not "11" <= code[:2] <= "82":
        raise Invalid(
            _("行政区划代码应为 6 位(县)、9 位(乡镇)或 12 位(村)数字，例如 141182101。"), code="division_shape"
        )
    return code


# ---------------------------------------------------------------- GS1 keys


def gs1_check_digit(body: str) -> str:
    """The GS1 mod-10 check digit for a string of digits without it (General Specifications, section 7.9)."""
    return ean.calc_check_digit(body)


def normalise_gtin(value: object) -> str:
    """A GTIN-8, -12, -13 or -14 as 14 digits, padded with zeros on the left.

    Raises: ``gtin_characters``, ``gtin_length``, ``gtin_check`` (details: ``expected``), ``gtin_zero``.
    """
    code = fold_code(value).replace("-", "")
    if not (code.isascii() and code.isdigit()) and code:
        raise Invalid(_("商品条码(GTIN)只含数字，请核对条码下方的号码。"), code="gtin_characters")
    if len(code) not in (8, 12, 13, 14):
        raise Invalid(
            _("商品条码(GTIN)应为 8、12、13 或 14 位数字，现在是 %(length)d 位。") % {"length": len(code)},
            code="gtin_length",
            length=len(code),
        )
    if not code.strip("0"):
        raise Invalid(_("商品条码(GTIN)不能全为 0。没有条码的产品请留空，不要编造。"), code="gtin_zero")
    expected = gs1_check_digit(code[:-1])
    if code[-1] != expected:
        raise Invalid(
            _("商品条码(GTIN)的校验码不对：末位应为 %(expected)s，现在是 %(given)s。请核对条码下方的号码。")
            % {"expected": expected, "given": code[-1]},
            code="gtin_check",
            expected=expected,
        )
    return code.zfill(14)


def display_gtin(gtin14: str) -> str:
    """A GTIN-14 as people know it: 13 digits when it is a GTIN-13 or shorter, else 14."""
    return gtin14[1:] if gtin14.startswith("0") else gtin14


def normalise_gln(value: object) -> str:
    """A Global Location Number, 13 digits with check digit.

    Raises: ``gln_shape``, ``gln_check`` (details: ``expected``).
    """
    return _gs1_key(value, 13, "gln", _("全球位置码(GLN)"))


def normalise_sscc(value: object) -> str:
    """A Serial Shipping Container Code, 18 digits with check digit; ``(00)`` in front is dropped.

    Raises: ``sscc_shape``, ``sscc_check`` (details: ``expected``).
    """
    code = fold_code(value).removeprefix("(00)")
    if _digits(code, 20) and code.startswith("00"):
        code = code[2:]
    return _gs1_key(code, 18, "sscc", _("物流单元代码(SSCC)"))


GS1_PREFIX_LENGTHS = range(4, 13)
"""How many digits a GS1 company prefix may have (in China 7 to 10)."""


def normalise_gs1_prefix(value: object) -> str:
    """A GS1 company prefix (厂商识别代码), 4 to 12 digits. Whose it is cannot be checked here.

    Raises: ``gs1_prefix_shape``.
    """
    code = fold_code(value).replace("-", "")
    if not (code.isascii() and code.isdigit() and len(code) in GS1_PREFIX_LENGTHS):
        raise Invalid(
            _("GS1 厂商识别代码应为 4 至 12 位数字（国内为 7 至 10 位），请对照系统成员证书填写。"),
            code="gs1_prefix_shape",
        )
    return code


def sscc_of(prefix: str, number: int) -> str:
    """The SSCC with this serial number under a GS1 company prefix: extension digit, prefix, serial reference, check.

    Seventeen digits before the check digit: the serial reference fills what the prefix leaves, and what overflows it
    goes on in the extension digit. Raises ValueError when all are used up (from a hundred thousand on at least).
    """
    places = 16 - len(prefix)
    extension, serial = divmod(number, 10**places)
    if not 0 <= extension <= 9 or number < 0:
        raise ValueError("no serial reference left under this prefix")
    body = f"{extension}{prefix}{serial:0{places}d}"
    return body + gs1_check_digit(body)


def _gs1_key(value: object, length: int, kind: str, name: str) -> str:
    code = fold_code(value).replace("-", "")
    if not _digits(code, length):
        raise Invalid(
            _("%(name)s应为 %(length)d 位数字，请核对。") % {"name": name, "length": length},
            code=f"{kind}_shape",
            length=len(code),
        )
    expected = gs1_check_digit(code[:-1])
    if code[-1] != expected:
        raise Invalid(
            _("%(name)s的校验码不对：末位应为 %(expected)s，现在是 %(given)s。")
            % {"name": name, "expected": expected, "given": code[-1]},
            code=f"{kind}_check",
            expected=expected,
        )
    return code


# ---------------------------------------------------------------- lot codes


def normalise_lot_code(value: object) -> str:
    """A lot code we issue: ``[0-9A-Z-]``, 1 to 20 characters (architecture rule 2; GB/T 33993 forbids ``% & /
    < > ?``).

    Raises: ``lot_code_required``, ``lot_code_length``, ``lot_code_characters``.
    """
    code = fold_code(value)
    _check_lot_code_length(code)
    if not _ISSUED_LOT_CODE.fullmatch(code):
        raise Invalid(_("批号只能用数字、大写字母和短横线。中文名称请填在“显示批号”里。"), code="lot_code_characters")
    return code


def normalise_captured_lot_code(value: object) -> str:
    """A lot code or serial somebody else issued: GS1's 82 characters, at most 20, case kept.

    Only spaces around it are dropped: changing anything else would change whose lot it is.
    Raises: ``lot_code_required``, ``lot_code_length``, ``lot_code_characters``.
    """
    if not isinstance(value, str):
        raise Invalid(_("这里应当是文字。"), code="text_not_text")
    code = value[: _RAW_MAX + 1].strip()
    _check_lot_code_length(code)
    wrong = next((char for char in code if char not in CSET82), None)
    if wrong is not None:
        raise Invalid(
            _("批号里的“%(char)s”不是 GS1 允许的字符，请按包装上的批号填写字母、数字和常用符号。")
            % {"char": printable(wrong)},
            code="lot_code_characters",
        )
    return code


def _check_lot_code_length(code: str) -> None:
    if not code:
        raise Invalid(_("请填写批号。"), code="lot_code_required")
    if len(code) > LOT_CODE_MAX:
        raise Invalid(
            _("批号最多 %(max)d 个字符，现在有 %(length)d 个，请缩短。") % {"max": LOT_CODE_MAX, "length": len(code)},
            code="lot_code_length",
            length=len(code),
        )


# ---------------------------------------------------------------- unit serials


_told: ContextVar[random.Random | None] = ContextVar("told", default=None)


@contextmanager
def repeatable(seed: int, start: datetime) -> Iterator[None]:
    """Inside, serials and UUIDs follow from the seed alone: for the demonstration, which must come out the same again.

    Never around codes of a real installation: whoever knows the seed knows them all.
    """
    source = random.Random(seed)  # noqa: S311
    token = _told.set(source)
    clock = _told_clock.set([int(start.timestamp() * 1000)])
    try:
        yield
    finally:
        _told.reset(token)
        _told_clock.reset(clock)


_told_clock: ContextVar[list[int] | None] = ContextVar("told_clock", default=None)


def _bytes(count: int) -> bytes:
    """Random bytes from the system, or from the seed inside ``repeatable``."""
    source = _told.get()
    return secrets.token_bytes(count) if source is None else source.randbytes(count)


def new_serials(count: int) -> list[str]:
    """``count`` different serials of 12 characters (60 random bits each) from the system's random source.

    One call to the source and one table for all of them: a million take about a second. Uniqueness across
    calls is the database's task. Raises ValueError for a negative count: a programmer's error, not a
    person's.
    """
    if count < 0:
        raise ValueError("count must not be negative")
    if count == 1:
        return [_bytes(SERIAL_LENGTH).translate(_SERIAL_TABLE).decode("ascii")]
    found: dict[str, None] = {}
    while len(found) < count:
        missing = count - len(found)
        letters = _bytes(missing * SERIAL_LENGTH).translate(_SERIAL_TABLE).decode("ascii")
        for start in range(0, len(letters), SERIAL_LENGTH):
            found[letters[start : start + SERIAL_LENGTH]] = None
    return list(found)


def display_serial(serial: str) -> str:
    """A serial in three groups of four, for people to read and type: ``7K3M-0QX9-ZB2T``."""
    return "-".join(serial[start : start + 4] for start in range(0, len(serial), 4))


def normalise_serial(value: object) -> str:
    """A serial as typed from a label: I and L become 1, O becomes 0, U becomes V; spaces, hyphens and case do
    not matter.

    Raises: ``serial_length``, ``serial_characters``.
    """
    code = fold_code(value).translate(_SERIAL_FORGIVE)
    if len(code) != SERIAL_LENGTH:
        raise Invalid(
            _("单件码应为 12 位，现在是 %(length)d 位，请对照标签上的三组四位字符输入。") % {"length": len(code)},
            code="serial_length",
            length=len(code),
        )
    if any(char not in SERIAL_ALPHABET for char in code):
        raise Invalid(_("单件码只含数字和英文字母，请对照标签重新输入。"), code="serial_characters")
    return code


# ---------------------------------------------------------------- names on the outside

_uuid7_lock = threading.Lock()
_uuid7_last = 0
_uuid7_last_at: dict[int, int] = {}


def uuid7(at: datetime | None = None) -> uuid.UUID:
    """A UUID version 7 (RFC 9562): 48 bits of milliseconds, then a 42-bit counter seeded at random, then 32
    random bits.

    Without ``at`` each value is greater than the one before in this process, also when the clock steps back.
    With ``at`` (the demonstration writes the past) values of one millisecond are in order of calls and
    nothing else is promised.
    """
    global _uuid7_last
    clock = _told_clock.get()
    if clock is not None:
        clock[0] += 1
        told = int.from_bytes(_bytes(10), "big")
        return uuid.UUID(int=clock[0] << 80 | 0x7 << 76 | (told >> 62 & 0xFFF) << 64 | 0b10 << 62 | told & (2**62 - 1))
    chance = int.from_bytes(_urandom(10), "big")
    tail, chance = chance & (2**32 - 1), chance >> 32
    with _uuid7_lock:
        if at is None:
            candidate = (time.time_ns() // 1_000_000) << 42 | chance & (2**41 - 1)
            if candidate <= _uuid7_last:
                candidate = _uuid7_last + 1 + (chance & (2**16 - 1))
            _uuid7_last = candidate
        else:
            millis = int(at.timestamp() * 1000)
            if millis < 0:
                raise ValueError("UUIDv7 cannot express an instant before 1970")
            previous = _uuid7_last_at.get(millis)
            candidate = millis << 42 | chance & (2**41 - 1) if previous is None else previous + 1
            _uuid7_last_at.clear()
            _uuid7_last_at[millis] = candidate
    return _version7(candidate, tail)


def uuid7s(count: int) -> list[uuid.UUID]:
    """So many values as ``uuid7`` gives them, each greater than the one before: the clock, the source of chance and the
    lock are asked once for all of them.
    """
    global _uuid7_last
    if _told_clock.get() is not None:
        return [uuid7() for _number in range(count)]
    (seed,), chances = struct.unpack("<Q", _urandom(8)), struct.iter_unpack("<IH", _urandom(6 * count))
    with _uuid7_lock:
        last = max((time.time_ns() // 1_000_000) << 42 | seed & (2**41 - 1), _uuid7_last)
        _uuid7_last = last + count * 2**16
    found = []
    for tail, step in chances:
        last += 1 + (step & 0x7FFF)
        found.append(_version7(last, tail))
    return found


def _version7(number: int, tail: int) -> uuid.UUID:
    """The UUID of a moment with its counter, and what is random behind them."""
    millis, counter = number >> 42, number & (2**42 - 1)
    value = millis << 80 | 0x7 << 76 | (counter >> 30) << 64 | 0b10 << 62 | (counter & (2**30 - 1)) << 32 | tail
    # What ``uuid.UUID(int=value)`` does, past looking which of six ways a value is given: half of the time.
    found = object.__new__(uuid.UUID)
    object.__setattr__(found, "int", value)
    object.__setattr__(found, "is_safe", uuid.SafeUUID.unknown)
    return found


def _digits(code: str, length: int) -> bool:
    return len(code) == length and code.isascii() and code.isdigit()
