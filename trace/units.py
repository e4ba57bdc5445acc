"""Amounts: exact integers, millionths of a product's one base unit.

SQLite keeps Decimal columns as floating point, where 3 × 0.1 is not 0.3 and ``used <= made`` lies; so the
database only ever sees integers, and this module is the only way from what a person typed to such an integer
and back. Every factor is an exact fraction. What cannot be said exactly in millionths is refused, never
rounded: that is why 亩 (2000/3 m²) is no amount unit.

Unit codes with capitals are UN/ECE Recommendation 20; the rest (``jin``, ``liang``) are ours.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from django.utils.translation import get_language
from django.utils.translation import gettext as _

from trace.errors import Invalid
from trace.sentences import Sentence, in_each_language
from trace.text import fold_width, printable

MICROS = 1_000_000
MAX_BASE_UNITS = 10**9
"""Largest amount.

A million tonnes in kilograms. Sums of nine thousand such amounts still fit the database's integer.
"""

Factor = int | Fraction
Packs = Mapping[str, Factor]
"""A product's pack table: name of a pack as people say it (瓶, 箱, carton …) to base units in one."""


class BaseUnit(StrEnum):
    """The one unit a product is counted in."""

    KGM = "KGM"
    LTR = "LTR"
    C62 = "C62"
    MTQ = "MTQ"
    MTK = "MTK"
    MTR = "MTR"


@dataclass(frozen=True)
class Unit:
    """One unit amounts may be entered in.

    Its factor to ``base`` and its names; ``aliases`` are accepted when typed.
    """

    code: str
    base: BaseUnit
    factor: Fraction
    zh: str
    en: str
    aliases: tuple[str, ...] = ()

    def name(self, lang: str | None = None) -> str:
        """The name shown in a language (current language by default): English for ``en…``, else Chinese."""
        return self.en if is_english(lang) else self.zh


@dataclass(frozen=True)
class EnteredAmount:
    """What was typed and what it means: ``micros`` = ``text`` × ``factor`` × 10⁶ exactly.

    ``text`` is the plain decimal (no separators), ``unit`` the unit code or pack name, ``factor``
    ``"num/den"`` base units.
    """

    text: str
    unit: str
    factor: str
    micros: int


def _units(base: BaseUnit, *rows: tuple[str, str, str, str, str]) -> list[Unit]:
    return [Unit(code, base, Fraction(factor), zh, en, tuple(more.split())) for code, factor, zh, en, more in rows]


UNITS: Mapping[str, Unit] = {
    unit.code: unit
    for unit in [
        *_units(
            BaseUnit.KGM,
            ("KGM", "1", "千克", "kg", "公斤"),
            ("GRM", "1/1000", "克", "g", ""),
            ("MGM", "1/1000000", "毫克", "mg", ""),
            ("TNE", "1000", "吨", "t", ""),
            ("jin", "1/2", "斤", "jin (500 g)", "市斤 jin"),
            ("liang", "1/20", "两", "liang (50 g)", "市两 liang"),
        ),
        *_units(
            BaseUnit.LTR,
            ("LTR", "1", "升", "L", "公升"),
            ("MLT", "1/1000", "毫升", "mL", ""),
            ("K6", "1000", "千升", "kL", ""),
        ),
        *_units(BaseUnit.C62, ("C62", "1", "个", "pcs", "件 只 枚 piece pieces pc")),
        *_units(
            BaseUnit.MTQ,
            ("MTQ", "1", "立方米", "m³", "方 m3"),
            ("DMQ", "1/1000", "立方分米", "dm³", "dm3"),
        ),
        *_units(
            BaseUnit.MTK,
            ("MTK", "1", "平方米", "m²", "平米 m2"),
            ("HAR", "10000", "公顷", "ha", ""),
        ),
        *_units(
            BaseUnit.MTR,
            ("MTR", "1", "米", "m", ""),
            ("CMT", "1/100", "厘米", "cm", ""),
            ("MMT", "1/1000", "毫米", "mm", ""),
        ),
    ]
}
"""Every unit of entry by its code. The first of each base is the base unit itself."""

PACK_NAMES_EN: Mapping[str, str] = {
    "件": "piece",
    "个": "piece",
    "瓶": "bottle",
    "盒": "box",
    "袋": "bag",
    "罐": "tin",
    "包": "pack",
    "箱": "carton",
    "坛": "jar",
    "桶": "barrel",
    "托盘": "pallet",
}
"""English for the pack names people use most; other names are shown as entered."""

_NUMBER_AND_UNIT = re.compile(r"([0-9][0-9,.]*)\s*([^\W\d_].*)")
_NUMBER = re.compile(r"(?:[0-9]+|[0-9]{1,3}(?:,[0-9]{3})+)(?:\.[0-9]*)?|\.[0-9]+")
_TEXT_MAX = 40
_STOPS = str.maketrans({"。": ".", "、": ",", "−": "-", "\u200b": None, "\ufeff": None})


def is_english(lang: str | None) -> bool:
    """Whether names are wanted in English; ``None`` asks for the current language."""
    return (lang or get_language() or "zh").lower().startswith("en")


def units_for(base_unit: str, packs: Packs | None = None) -> list[tuple[str, Factor]]:
    """The unit codes and pack names allowed for a product, with base units in one.

    What a form offers, base unit first.
    """
    known: list[tuple[str, Factor]] = [(u.code, u.factor) for u in UNITS.values() if u.base == BaseUnit(base_unit)]
    return known + [(name, factor) for name, factor in (packs or {}).items()]


def unit_name(unit: str, lang: str | None = None) -> str:
    """The name of a unit code or pack for people."""
    known = UNITS.get(unit)
    if known is not None:
        return known.name(lang)
    return PACK_NAMES_EN.get(unit, unit) if is_english(lang) else unit


def find_unit(unit: str, base_unit: str, packs: Packs | None = None) -> tuple[str, Fraction]:
    """The unit code (or pack name) and exact factor for what was typed: a code, a name in either language, or
    a pack.

    A pack of the product wins over a general name, so that 件 may be a carton of six where the product says
    so.
    Raises Invalid ``unit_unknown`` naming the permitted units.
    """
    base = BaseUnit(base_unit)
    asked = fold_width(unit).strip() if isinstance(unit, str) else ""
    packs = packs or {}
    if asked in packs:
        return asked, Fraction(packs[asked])
    for known in UNITS.values():
        names = (known.code, known.zh, known.en, *known.aliases)
        if known.base == base and (asked in names or asked.lower() in (name.lower() for name in names)):
            return known.code, known.factor
    allowed = [unit_name(code) for code, _factor in units_for(base, packs)]
    raise Invalid(
        _("不认识单位“%(unit)s”。这个产品可用的单位：%(allowed)s。")
        % {"unit": printable(unit, 20), "allowed": _("、").join(allowed)},
        code="unit_unknown",
        allowed=[code for code, _factor in units_for(base, packs)],
    )


def split_amount(text: str) -> tuple[str, str]:
    """A number and the unit written behind it (``1000斤``, ``12.5 kg``); the unit is empty when there is none."""
    folded = fold_width(text[:200]).strip()
    both = _NUMBER_AND_UNIT.fullmatch(folded)
    return (both[1], both[2].strip()) if both is not None else (folded, "")


def parse_amount(
    text: str | int | Decimal,
    unit: str,
    base_unit: str,
    packs: Packs | None = None,
    *,
    allow_zero: bool = False,
) -> EnteredAmount:
    """An amount as typed (``1,234.5``, full-width digits) in ``unit``, as exact millionths of ``base_unit``.

    Raises Invalid: ``amount_required`` (blank), ``amount_not_a_number`` (also NaN, infinity, exponents, 1,5),
    ``amount_negative``,
    ``amount_zero`` (unless ``allow_zero``), ``amount_too_precise`` (finer than a millionth),
    ``amount_not_whole`` (part of a piece), ``amount_too_large`` (more than 10⁹ base units), ``unit_unknown``.
    """
    code, factor = find_unit(unit, base_unit, packs)
    plain = _plain_decimal(text)
    exact = Fraction(plain) * factor
    if exact == 0 and not allow_zero:
        raise Invalid(_("数量必须大于 0。"), code="amount_zero")
    if exact > MAX_BASE_UNITS:
        raise _too_large(base_unit)
    if BaseUnit(base_unit) is BaseUnit.C62 and exact.denominator != 1:
        raise Invalid(_("按件计的产品数量应为整数，请改填整数或换成更小的单位。"), code="amount_not_whole")
    micros = exact * MICROS
    if micros.denominator != 1:
        raise Invalid(
            _("数量太精细：换算成%(unit)s后最多 6 位小数，请少填几位小数。") % {"unit": unit_name(base_unit)},
            code="amount_too_precise",
        )
    return EnteredAmount(plain, code, f"{factor.numerator}/{factor.denominator}", micros.numerator)


def check_number(text: str) -> None:
    """Refuse what is no amount whatever the unit: for a row whose product or lot, and so unit, is not known.

    Raises Invalid: ``amount_required``, ``amount_not_a_number``, ``amount_negative``, ``amount_zero``.
    """
    number, _unit = split_amount(text)
    if not Fraction(_plain_decimal(number)):
        raise Invalid(_("数量必须大于 0。"), code="amount_zero")


def recompute_micros(entered: EnteredAmount) -> int:
    """``text × factor × 10⁶`` again from the stored entry.

    What ``rebuild --check`` compares the stored number with.
    """
    return int(Fraction(entered.text) * Fraction(entered.factor) * MICROS)


def to_micros(base_units: int | str | Decimal | Fraction) -> int:
    """An exact number of base units as millionths, for code (not people).

    Raises ValueError when it is not exact.
    """
    micros = Fraction(base_units) * MICROS
    if micros.denominator != 1:
        raise ValueError(f"{base_units} is finer than a millionth")
    return micros.numerator


def decimal_text(micros: int) -> str:
    """Millionths as a plain decimal without trailing zeros.

    ``1234500000`` is ``"1234.5"``. The form for JSON and CSV.
    """
    whole, rest = divmod(abs(micros), MICROS)
    fraction = f"{rest:06d}".rstrip("0")
    return ("-" if micros < 0 else "") + str(whole) + ("." + fraction if fraction else "")


def format_amount(micros: int, base_unit: str, lang: str | None = None, *, noun: str = "") -> str:
    """An amount for people.

    ``1,234.5 千克``, ``1,234.5 kg``. ``noun`` replaces 个 for counted products (瓶, 件).
    """
    whole, _dot, fraction = decimal_text(micros).partition(".")
    number = f"{int(whole):,}" if whole != "-0" else "-0"
    number += f".{fraction}" if fraction else ""
    return f"{number} {unit_name(noun or base_unit, lang)}"


def amount_said(micros: int, base_unit: str) -> Sentence:
    """``format_amount`` for a sentence that is kept."""
    return in_each_language(lambda: format_amount(micros, base_unit))


def _plain_decimal(text: object) -> str:
    """The typed number as ``digits[.digits]`` without separators or needless zeros in front."""
    if isinstance(text, bool) or not isinstance(text, (str, int, Decimal)):
        raise _not_a_number(text)
    if isinstance(text, Decimal):
        if not text.is_finite():
            raise _not_a_number(str(text))
        if text.adjusted() > _TEXT_MAX:
            raise _too_large_number()
        text = format(text, "f")
    elif isinstance(text, int):
        if abs(text) > 10**_TEXT_MAX:
            raise _too_large_number()
        text = str(text)
    if len(text) > 10 * _TEXT_MAX:
        raise _too_large_number()
    typed = fold_width(text).translate(_STOPS).strip()
    if not typed:
        raise Invalid(_("请填写数量。"), code="amount_required")
    if typed.startswith("-") and _NUMBER.fullmatch(typed[1:].strip()):
        raise Invalid(_("数量不能是负数。"), code="amount_negative")
    typed = typed.removeprefix("+")
    if not _NUMBER.fullmatch(typed):
        raise _not_a_number(text)
    whole, _dot, fraction = typed.replace(",", "").partition(".")
    plain = (whole.lstrip("0") or "0") + ("." + fraction if fraction else "")
    if len(plain) > _TEXT_MAX:
        raise (
            _too_large_number()
            if len(whole) > 20
            else Invalid(_("数量的小数位太多，请少填几位小数。"), code="amount_too_precise")
        )
    return plain


def _not_a_number(text: object) -> Invalid:
    return Invalid(
        _("“%(text)s”不是数量。请填数字，例如 1234.5；千位可以用逗号，小数点用 “.”。") % {"text": printable(text, 20)},
        code="amount_not_a_number",
    )


def _too_large(base_unit: str) -> Invalid:
    return Invalid(
        _("数量太大：最多 %(max)s，请核对数字和单位。") % {"max": format_amount(MAX_BASE_UNITS * MICROS, base_unit)},
        code="amount_too_large",
    )


def _too_large_number() -> Invalid:
    return Invalid(_("数字太大，请核对。"), code="amount_too_large")
