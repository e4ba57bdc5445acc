"""Fields nobody types: computed from the other data of the same event.

Rules that need the genealogy (酒龄) or the register (the contact on a certificate) are not here: their fields
stay out of the data and are shown from where they are known.
"""

import datetime
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

from trace.event_templates.loader import EventTemplate, TemplateField

KG_PER_LITRE_AT_65_VOL = Decimal("0.8976")
"""Density of 65 %vol spirit at 20 °C, from the alcohol tables (65 %vol is 57.15 % by mass); from memory."""


def compute_data(template: EventTemplate, data: Mapping[str, object]) -> dict[str, str | int]:
    """The computed fields of cleaned data as decimal text.

    Those whose sources are missing or make no sense are left out.
    """
    found: dict[str, str | int] = {}
    for field in template.fields:
        rule = _RULES.get(field.computed_rule)
        sources = [data.get(key) for key in field.computed_from]
        if rule is None or any(source is None for source in sources):
            continue
        value = rule(*sources)
        if value is not None:
            found[field.key] = int(value) if field.type == "int" else value
    return found


def _plain(number: Decimal, places: str) -> str:
    return format(number.quantize(Decimal(places)), "f")


def _percentage(part: object, whole: object) -> str | None:
    """Part of whole in percent, one decimal."""
    total = Decimal(str(whole))
    return _plain(Decimal(str(part)) / total * 100, "0.1") if total > 0 else None


def _days_between(start: object, end: object) -> str | None:
    """Days from one ISO date to another; nothing when they are the wrong way round."""
    days = (datetime.date.fromisoformat(str(end)) - datetime.date.fromisoformat(str(start))).days
    return str(days) if days >= 0 else None


def _at_100_vol(measured: object, abv: object) -> str | None:
    """A measured concentration converted to 100 %vol (GB 2757-2012).

    Measured ÷ (abv ÷ 100); 未检出 converts its limit.
    """
    strength = Decimal(str(abv)) / 100
    if not 0 < strength <= 1:
        return None
    text = str(measured)
    if text == "未检出":
        return text
    before, after = ("", "")
    if text.startswith("未检出(<"):
        before, text, after = "未检出(<", text[5:-1], ")"
    elif text.startswith("<"):
        before, text = "<", text[1:]
    value = Decimal(text) / strength
    digits = max(0, 3 - value.adjusted()) if value else 0
    return f"{before}{_plain(value, f'1E-{digits}')}{after}"


def _pure_litres(rows: object) -> Decimal:
    """Litres of pure alcohol in rows of litres and abv."""
    assert isinstance(rows, Sequence)  # noqa: S101 (cleaned data: a list of rows)
    return sum((Decimal(row["litres"]) * Decimal(row["abv"]) / 100 for row in rows), Decimal())


def _alcohol_balance(parts: object, litres: object, abv: object) -> str | None:
    """Pure alcohol out against in, in percent.

    +2 means two percent more came out than went in (违法勾兑?).
    """
    went_in = _pure_litres(parts)
    came_out = Decimal(str(litres)) * Decimal(str(abv)) / 100
    return _plain((came_out - went_in) / went_in * 100, "0.01") if went_in > 0 else None


def _spirit_yield(cuts: object, grain: object) -> str | None:
    """出酒率: kilograms of spirit counted as 65 %vol for 100 kg of grain."""
    return _percentage(_pure_litres(cuts) / Decimal("0.65") * KG_PER_LITRE_AT_65_VOL, grain)


_RULES: Mapping[str, Callable[..., str | None]] = {
    "percentage": _percentage,
    "days_between": _days_between,
    "at_100_vol": _at_100_vol,
    "alcohol_balance": _alcohol_balance,
    "spirit_yield": _spirit_yield,
}
ELSEWHERE = frozenset(("youngest_age", "weighted_age", "organisation_contact"))
"""Rules whose sources are not in the event's data."""


def is_local(field: TemplateField) -> bool:
    """Whether a computed field is computed here."""
    return field.computed_rule in _RULES
