"""Which limits hold for a lot: the catalogue's edition valid on the production date, its grade, the producer's pledge.

And the way from a report's items to judged results: items are matched to the tests of the product's family, so that a
limit written into a report can only make the judgement stricter, and methanol and cyanide are judged at 100 %vol
however they were entered (GB 2757-2012).
"""

from __future__ import annotations

import datetime
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction

from django.utils import timezone

from trace import judging
from trace.composition import GRADES, materials_named
from trace.errors import FieldErrors, Invalid
from trace.event_templates import EventTemplate, TemplateField, list_items, parse_measured, templates
from trace.judging import Judgement, Result, Rule
from trace.models import Limit, Lot, Product, ProductVersion, Standard, TestReport
from trace.sentences import gettext as _
from trace.steps import family_of

ABV = "abv"
_CONVERSION = "at_100_vol"


@dataclass(frozen=True)
class ResultEntry:
    """One measured item as entered: decimal text, or 未检出 (``nd``) with its limit of quantification.

    ``limit_…`` is the limit as the report itself states it; the catalogue's is found by the judge.
    """

    parameter: str
    name: str
    value: str = ""
    operator: str = "="
    unit: str = ""
    loq: str = ""
    limit_operator: str = ""
    limit_value: str = ""
    limit_source: str = ""
    method: str = ""
    name_en: str = ""


@dataclass(frozen=True)
class Judged:
    """An item with its judgement."""

    entry: ResultEntry
    judgement: Judgement


def tests_of(product: Product) -> dict[str, TemplateField]:
    """The items the tests of a product's family ask for, by field key; nothing for raw materials, which those tests
    are not about.
    """
    return {field.key: field for step in _tests(product) for field in measured_fields(step)}


def _tests(product: Product) -> list[EventTemplate]:
    family = family_of(product)
    if family is None or product.kind == Product.Kind.RAW:
        return []
    return [templates()[code] for code in family.templates if templates()[code].moves == "sample"]


def measured_fields(found: EventTemplate) -> list[TemplateField]:
    """The fields of a template that hold a result; the amount sampled is none."""
    return [field for field in found.fields if field.type == "decimal" and field.key != found.amount_field]


def untested(lot: Lot, reports: Iterable[TestReport]) -> list[TemplateField]:
    """What the test before release of a lot's family must measure and none of these reports does; nothing for lots that
    need no release. Reads ``results``: prefetch them.
    """
    if not lot.needs_release:
        return []
    rows = [row for report in reports for row in report.results.all()]
    said = {row.parameter for row in rows} | {plain_name(row.name) for row in rows}
    return [
        field
        for step in _tests(lot.product)
        if step.gate == "release"
        for field in measured_fields(step)
        if field.required and not said & {field.key, plain_name(field.zh), plain_name(field.en)}
    ]


def absent_fields(found: EventTemplate) -> list[TemplateField]:
    """The fields of a template that name what must not be found (甜味剂), one result a line."""
    return [field for field in found.fields if field.absent]


def plain_name(text: str) -> str:
    """An item's name for comparing: without what stands in brackets, without case, width and spaces."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return re.sub(r"\s+", "", re.sub(r"\([^()]*\)", "", folded))


# --- The catalogue --------------------------------------------------------------------------------------------------


class Book:
    """The limits of a product version for goods produced on one day. Two queries however many items are asked for."""

    def __init__(
        self,
        version: ProductVersion,
        fields: Iterable[TemplateField],
        produced_on: datetime.date,
        tested_on: datetime.date,
    ) -> None:
        self.version = version
        self.produced_on = produced_on
        self.tested_on = tested_on
        wanted = {parameter_of(field.limit_ref) for field in fields if field.limit_ref}
        self.standards = {row.key: row for row in Standard.objects.all()} if wanted else {}
        rows = Limit.objects.filter(parameter__in=wanted) if wanted else Limit.objects.none()
        self.limits: dict[tuple[str, str], list[Limit]] = {}
        for row in rows.order_by("id"):
            self.limits.setdefault((row.standard_id, row.parameter), []).append(row)

    def rules(self, field: TemplateField) -> tuple[list[Rule], str]:
        """The rules for one item, and the reason where there are none."""
        rules, why = self._absent(field) if field.absent else self._catalogue(field)
        declared = self.version.declared_limits.get(field.key)
        if declared:
            rules.append(
                Rule(
                    operator=str(declared.get("operator", "")),
                    value=str(declared.get("value", "")),
                    unit=field.unit,
                    at_100_vol=field.computed_rule == _CONVERSION,
                    kind=judging.DECLARED,
                )
            )
        return rules, why

    def _absent(self, field: TemplateField) -> tuple[list[Rule], str]:
        """The rule that nothing of it may be found, where its standard was in force."""
        standard = self.edition(field.limit_ref)
        if standard is None:
            return [], judging.NO_EDITION
        return [Rule(judging.ABSENT, "0", source=standard.number)], ""

    def edition(self, reference: str) -> Standard | None:
        """The edition of the referenced standard in force on the production date, if the catalogue has it."""
        chain = self._chain(reference.split(".")[0])
        return next((row for row in chain if row.in_force_on(self.produced_on)), None)

    def _chain(self, key: str) -> list[Standard]:
        """A standard, the editions it replaced and those that replaced it, newest first."""
        found: dict[str, Standard] = {}
        queue = [key]
        while queue:
            row = self.standards.get(queue.pop())
            if row is None or row.key in found:
                continue
            found[row.key] = row
            queue += [each.key for each in self.standards.values() if each.replaced_by_id == row.key]
            queue += [row.replaced_by_id] if row.replaced_by_id else []
        return sorted(found.values(), key=lambda row: row.effective_on or datetime.date.min, reverse=True)

    def _catalogue(self, field: TemplateField) -> tuple[list[Rule], str]:
        """The catalogue's rule for one item."""
        if not field.limit_ref:
            return [], judging.NO_LIMIT
        standard = self.edition(field.limit_ref)
        if standard is None:
            return [], judging.NO_EDITION
        limits = self.limits.get((standard.key, parameter_of(field.limit_ref)), [])
        now = [each for each in limits if judging.applies_at(each.applies, self.produced_on, self.tested_on)]
        if not now:
            return [], judging.OTHER_AGE if limits else judging.NO_LIMIT
        # A limit for this very age before one for every age.
        limit = min(now, key=lambda each: (not each.applies, each.pk))
        value, why = value_for(limit, self.version.grade)
        rule = Rule(
            operator=limit.operator,
            value=value,
            unit=limit.unit,
            at_100_vol="100%vol" in limit.basis,
            source=standard.number,
            verified=limit.verified_at is not None,
            basis=limit.basis,
            applies=limit.applies,
            method=limit.method,
            limit=limit.pk,
            version=limit.version,
        )
        return [rule], why


def parameter_of(reference: str) -> str:
    """The parameter of a reference ``standard.parameter``."""
    return reference.partition(".")[2]


def value_for(limit: Limit, grade: str) -> tuple[str, str]:
    """A limit's value for goods of this grade (empty where unknown), and the reason where there is none."""
    if limit.operator == "between" and limit.grades:
        return f"{limit.grades.get('from', '')}~{limit.grades.get('to', '')}", ""
    if limit.value or not limit.grades:
        return limit.value, ""
    said = grade.strip()
    for key in (said, *GRADES.get(said.removesuffix("品"), ())):
        if key in limit.grades:
            return str(limit.grades[key]), ""
    return "", judging.GRADE_UNKNOWN


# --- A report's items -----------------------------------------------------------------------------------------------


def entries_from_data(found: EventTemplate, data: Mapping[str, object]) -> list[ResultEntry]:
    """Items out of a test template's own fields (``walnut.test``: moisture, afb1 …), computed ones left to the judge.

    未检出 keeps its limit of quantification. Of what must not be found each line is an item (糖精钠 未检出); one
    without a result is refused (``FieldErrors``, ``not_a_number``).
    """
    entries = []
    for field in measured_fields(found):
        value = data.get(field.key)
        if field.computed or value in (None, ""):
            continue
        try:
            measured = parse_measured(value)
        except Invalid as error:
            raise FieldErrors(error.message, {field.key: error}) from error
        entries.append(
            ResultEntry(
                field.key, field.zh, measured.value, measured.operator, field.unit, measured.loq, name_en=field.en
            )
        )
    for field in absent_fields(found):
        try:
            entries += _absent_entries(field, list_items(data.get(field.key)))
        except Invalid as error:
            raise FieldErrors(error.message, {field.key: error}) from error
    return entries


_NOT_FOUND = re.compile(
    r"(?P<name>.*?)[\s:,=]*(?:未检出|阴性|(?<![a-z])n\.?d\b\.?|not detected)(?P<rest>.*)", re.IGNORECASE
)
_FOUND = re.compile(
    r"(?P<name>.*?)[\s:,=]*(?P<value>[<≤]?\s*(?<![a-z0-9.])\d+(?:\.\d+)?)"
    r"\s*(?P<unit>(?:(?!e[+-]?\d)[^\d\s.:,=<>()]\S{0,19})?)",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_AMOUNT = re.compile(r"\d\s*(?:[a-zμ]*g/|%|ppm|ppb)", re.IGNORECASE)
_NO_NAME = re.compile(r"(?:^|[^0-9a-z.])[\d.,+-]+e?$|(?:gb|sn|ny|bjs|db\d*)(?:/t)?[^0-9a-z]*$|方法$", re.IGNORECASE)
"""What stands before a number that is no result: its beginning (1 of 1 000), or whose number it is (GB 5009.28)."""
_LIMIT_OF = re.compile(
    r"(?:方法)?(?:定量限|检出限|检测限|最低检出浓度|loq|lod|mdl|limit of (?:quantification|detection))"
    r"[\s:=<为是]*(?P<loq>\d+(?:\.\d+)?)\s*(?:[^\d\s.]\S{0,19})?",
    re.IGNORECASE,
)
_NEXT = re.compile(r"[;、\n]|(?<!\d),|,(?!\d)")


def _absent_entries(field: TemplateField, lines: Sequence[str]) -> list[ResultEntry]:
    """Each line as an item; a line that only says what could be found (检出限 0.01 g/kg) belongs to the one before."""
    found: list[ResultEntry] = []
    for text in (part.strip() for line in lines for part in _NEXT.split(unicodedata.normalize("NFKC", line))):
        limit = _LIMIT_OF.fullmatch(text)
        if limit is not None and found:
            found[-1] = replace(found[-1], loq=limit["loq"])
        elif text:
            found.append(_absent_entry(field, text))
    return found


def _absent_entry(field: TemplateField, line: str) -> ResultEntry:
    """``糖精钠 0.5 g/kg`` or ``安赛蜜 未检出(<0.01)`` as an item."""
    match = _NOT_FOUND.fullmatch(line)
    if match is not None and not _AMOUNT.search(match["name"]):
        loq = _NUMBER.search(match["rest"])
        return ResultEntry(field.key, _named(match, field), operator="nd", loq=loq[0] if loq else "")
    match = _FOUND.fullmatch(line) if match is None else None
    if match is None or _NO_NAME.search(line[: match.start("value")].rstrip(" :,=")):
        raise Invalid(
            _("“%(text)s”没有写明结果，请写成例如“糖精钠 未检出”或“糖精钠 0.02 g/kg”。") % {"text": line[:40]},
            code="not_a_number",
        )
    measured = parse_measured(match["value"])
    return ResultEntry(field.key, _named(match, field), measured.value, measured.operator, match["unit"], measured.loq)


def _named(match: re.Match[str], field: TemplateField) -> str:
    return match["name"].strip()[:120] or field.zh


def judge_entries(
    lot: Lot, entries: Sequence[ResultEntry], *, tested_on: datetime.date, found: EventTemplate | None = None
) -> list[Judged]:
    """Each item judged by the limits of the lot's product on its production date, converted items beside their sources.

    An item is matched to a test of the template it was entered by, else of the product's family, by its key or its
    name. What is not matched is judged by the limit the report states, if any.
    """
    steps = _tests(lot.product) + ([found] if found is not None else [])
    fields = {field.key: field for step in steps for field in (*measured_fields(step), *absent_fields(step))}
    names = {
        plain_name(name): field
        for field in reversed(fields.values())
        if not field.computed
        for name in (field.zh, field.en)
    }
    matched = [_matched(entry, fields, names) for entry in entries]
    produced_on = lot.produced_on or timezone.localtime(lot.begun_at).date()
    book = Book(lot.product_version, fields.values(), produced_on, tested_on)
    by_key = {field.key: entry for entry, field in matched if field is not None}
    strengths = [_strength(entry) for entry, field in matched if field is not None and field.key == ABV]
    # Of several the lowest: by it most stands at 100 %vol.
    strength = min((each for each in strengths if each is not None), default=None)
    converted = {
        field.computed_from[0]: field
        for field in fields.values()
        if _is_conversion(field) and field.computed_from[0] in by_key
    }
    typed_over = {field.key for field in converted.values()}
    judged: list[Judged] = []
    for entry, field in matched:
        if field is not None and field.key in typed_over:
            continue  # computed from what was measured, whatever was typed
        if field is None or field.key not in converted:
            judged.append(Judged(entry, _judge(entry, field, book)))
            continue
        target = converted[field.key]
        why = judging.CONVERTED if strength is not None else judging.STRENGTH_UNKNOWN
        judged.append(Judged(entry, Judgement(judging.NOT_JUDGED, why)))
        if strength is not None:
            judged.append(_converted(entry, target, book, strength))
    return judged


def _matched(
    entry: ResultEntry, fields: Mapping[str, TemplateField], names: Mapping[str, TemplateField]
) -> tuple[ResultEntry, TemplateField | None]:
    """The test an item is, by its key or its name; an item given by key alone has that test's unit."""
    field = fields.get(entry.parameter)
    if field is not None:
        return (entry if entry.unit else replace(entry, unit=field.unit)), field
    field = names.get(plain_name(entry.name))
    if field is not None:
        if not field.computed and _says_converted(entry.name):
            done = (each for each in fields.values() if _is_conversion(each) and each.computed_from[0] == field.key)
            field = next(done, field)
        return entry, field
    named = materials_named("", entry.name, entry.name_en)
    return entry, next((each for each in fields.values() if each.absent in named), None)


def _says_converted(name: str) -> bool:
    """Whether an item's name says that its result stands at 100 %vol already: 甲醇（以100%酒精度计）."""
    return "100%" in unicodedata.normalize("NFKC", name).replace(" ", "")


def _strength(entry: ResultEntry) -> Fraction | None:
    """The measured alcohol by volume, if it is a number."""
    found = judging.number(entry.value) if entry.operator == "=" else None
    return found if found is not None and 0 < found <= 100 else None


def _judge(entry: ResultEntry, field: TemplateField | None, book: Book) -> Judgement:
    """One item that needs no conversion; the report's own limit counts where it is the stricter one."""
    rules, why = book.rules(field) if field is not None else ([], "")
    # A result typed as converted already stands at 100 %vol: only its strength is not looked at again.
    rules = [replace(rule, at_100_vol=False) for rule in rules] if _is_conversion(field) else rules
    if entry.limit_operator and entry.limit_value:
        rules.append(
            Rule(entry.limit_operator, entry.limit_value, entry.unit, kind=judging.REPORT, source=entry.limit_source)
        )
    return judging.judge(Result(entry.operator, entry.value, entry.loq, entry.unit), rules, why_none=why)


def _is_conversion(field: TemplateField | None) -> bool:
    return field is not None and field.computed_rule == _CONVERSION


def _converted(entry: ResultEntry, field: TemplateField, book: Book, strength: Fraction) -> Judged:
    """The converted item: shown rounded, judged exactly."""
    rules, why = book.rules(field)
    rules = [replace(rule, at_100_vol=True) for rule in rules]
    result = Result(entry.operator, entry.value, entry.loq, entry.unit or field.unit)
    shown = replace(
        entry,
        parameter=field.key,
        name=field.zh,
        name_en=field.en,
        value=shown_at_100_vol(entry.value, strength),
        unit=result.unit,
        loq=shown_at_100_vol(entry.loq, strength),
        limit_operator="",
        limit_value="",
        limit_source="",
    )
    return Judged(shown, judging.judge(result, rules, strength=strength, why_none=why))


def shown_at_100_vol(text: str, strength: Fraction) -> str:
    """A measured number at 100 %vol with four significant digits, for people; the judge takes the exact one."""
    value = judging.number(text)
    if not value:
        return text
    converted = value * 100 / strength
    exact = Decimal(converted.numerator) / Decimal(converted.denominator)
    return format(exact.quantize(Decimal(1).scaleb(min(0, exact.adjusted() - 3))), "f")
