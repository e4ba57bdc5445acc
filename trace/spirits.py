"""Strength, alcohol balance and age of liquids, read from the events of their lots.

A lot's strength is what was last recorded of it (a test, a stock-take, the step that made it), else that of what it was
mixed from. What a blender types beside an input is compared with it and never taken instead of it.
"""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, Any

from django.db.models import Q
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

from trace import ages, moments
from trace.balance import evidence_words, inputs_of, outputs_of, typed_content
from trace.batch import current
from trace.composition import is_water
from trace.contents import Amount
from trace.errors import BrokenGuard
from trace.event_templates import parse_measured, template, templates
from trace.genealogy import open_ends, walk
from trace.lot_words import named_to
from trace.models import EventItem, Lot, LotLink, Product, TestResult
from trace.sentences import gettext as _
from trace.sentences import in_each_language
from trace.units import BaseUnit

if TYPE_CHECKING:
    from trace.actions.capture import Draft

ABV = "%vol"
CONTRADICTS = Decimal(1)
"""%vol by which a typed strength may differ from the recorded one: the tolerance of a label (GB/T 10781.2)."""
_CHUNK = 20_000


@dataclass(frozen=True)
class Strength:
    """A recorded strength: %vol, when it was so, and by which record of whom (``by``; 0 for a report on the lot)."""

    abv: Decimal
    at: datetime.datetime
    said: str
    event: str
    report: str = ""
    by: int = 0


@cache
def _strength_fields() -> Mapping[str, tuple[tuple[str, ...], tuple[str, ...], str]]:
    """Per template: fields of the event and of one output that say a strength, and the list of cuts that does."""
    found: dict[str, tuple[tuple[str, ...], tuple[str, ...], str]] = {}
    for code, each in templates().items():
        event = tuple(one.key for one in each.event_fields if one.unit == ABV and one.type == "decimal")
        output = tuple(one.key for one in each.output_fields if one.unit == ABV and one.type == "decimal")
        cuts = next((one.key for one in each.fields if one.type == "list[{grade,litres,abv}]"), "")
        if event or output or cuts:
            found[code] = (event, output, cuts)
    return found


def recorded_strengths(
    lots: Iterable[int], *, until: datetime.datetime | None = None, highest: bool = False
) -> dict[int, Strength]:
    """The last recorded strength of each lot that has one (or its ``highest``), by row number. Two queries per 20,000
    lots.

    Declarations of error and what they undo do not count; ``until`` leaves out what happened later.
    """
    found: dict[int, Strength] = {}
    ids = list(lots)
    for begin in range(0, len(ids), _CHUNK):
        chunk = ids[begin : begin + _CHUNK]
        for lot, strength in (*_from_events(chunk), *_from_reports(chunk)):
            if until is not None and strength.at > until:
                continue
            before = found.get(lot)
            if before is None or (strength.abv > before.abv if highest else strength.at >= before.at):
                found[lot] = strength
    return found


def _from_events(lots: Sequence[int]) -> Iterator[tuple[int, Strength]]:
    """Strengths in the data of events that made the lot or looked at it."""
    rows = (
        EventItem.objects.filter(lot__in=lots, role__in=("output", "subject"))
        .filter(Q(event__template__in=list(_strength_fields())) | Q(event__template="common.sensor"))
        .filter(event__corrections__isnull=True, event__corrects__isnull=True)
        .order_by("event_id", "number")
    )
    columns = ("lot", "role", "micros", "ilmd", "event__template", "event__data", "event__occurred_at", "event__uid")
    for lot, role, micros, ilmd, code, data, at, uid, by in rows.values_list(*columns, "event__organisation"):
        abv = _abv_of(code, role, micros, data, ilmd.get("facts") or {})
        if abv is not None:
            yield lot, Strength(abv, at, template(code).label(), str(uid), by=by)


@cache
def _parts_fields() -> Mapping[str, str]:
    """Per template: the list of parts that says the strength of what goes in."""
    return {code: each.input_list_field for code, each in templates().items() if each.input_list_field}


def listed_strengths(lots: Mapping[int, Lot], *, holder: int | None = None) -> dict[int, Strength]:
    """What lists of parts say of these lots: the strength stated first, by row number. One query per 20,000 lots.

    All there is of a spirit that was bought or there before the system: nobody noted its strength until it was used.
    With a ``holder`` what an open batch has it use counts, too.
    """
    found: dict[int, Strength] = {}
    ids = list(lots)
    for begin in range(0, len(lots), _CHUNK):
        rows = (
            EventItem.objects.filter(lot__in=ids[begin : begin + _CHUNK], role="input")
            .filter(event__template__in=list(_parts_fields()))
            .filter(event__corrections__isnull=True, event__corrects__isnull=True)
            .order_by("event_id", "number")
        )
        columns = ("lot", "event__template", "event__data", "event__occurred_at", "event__uid", "event__organisation")
        for lot, code, data, at, uid, by in rows.values_list(*columns):
            for abv in _listed(code, data, lots[lot]):
                found.setdefault(lot, Strength(abv, at, template(code).label(), str(uid), by=by))
    batch = current()
    if batch is None or holder is None:
        return found
    for lot in ids:
        for event, _micros in batch.movements.get((lot, holder), ()):
            for abv in _listed(event.template, event.data, lots[lot]):
                name, uid = template(event.template).label(), str(event.uid)
                found.setdefault(lot, Strength(abv, event.occurred_at, name, uid, by=holder))
    return found


def _listed(code: str, data: Mapping[str, Any], lot: Lot) -> list[Decimal]:
    """The strengths a step's list of parts says of a lot."""
    rows = data.get(_parts_fields().get(code, "")) or ()
    said = [_number(row.get("abv")) for row in rows if str(row.get("lot")) == str(lot.uid)]
    return [abv for abv in said if abv is not None]


def _abv_of(code: str, role: str, micros: int, data: Mapping[str, Any], facts: Mapping[str, Any]) -> Decimal | None:
    """The strength one event says of one lot."""
    if code == "common.sensor":
        return _number(data.get("value")) if data.get("quantity_kind") == "AlcoholStrength" else None
    event, output, cuts = _strength_fields()[code]
    if role == "output":
        for key in output:
            if (abv := _number(facts.get(key))) is not None:
                return abv
        litres = Decimal(micros).scaleb(-6)
        same = [_number(row.get("abv")) for row in data.get(cuts) or () if _number(row.get("litres")) == litres]
        if len(set(same)) == 1:
            return same[0]
    return next((abv for key in event if (abv := _number(data.get(key))) is not None), None)


def _from_reports(lots: Sequence[int]) -> Iterator[tuple[int, Strength]]:
    """Strengths that laboratories measured."""
    rows = TestResult.objects.filter(report__lot__in=lots, operator="=", report__event__corrections__isnull=True)
    rows = rows.filter(Q(parameter="abv") | Q(unit=ABV, name__contains="酒精度")).order_by("report_id")
    columns = ("report__lot", "value", "report__event__occurred_at", "report__report_number", "report__event__uid")
    for lot, value, at, number, event, report in rows.values_list(*columns, "report__uid"):
        abv = _number(value)
        if abv is not None:
            yield lot, Strength(abv, at, _("检验报告 %(number)s") % {"number": number}, str(event), str(report))


def _number(value: object) -> Decimal | None:
    """A strength as stored; nothing for what is none or lies outside 0–100 %vol."""
    if value in (None, ""):
        return None
    text = parse_measured(str(value)).value if not str(value).replace(".", "", 1).isdigit() else str(value)
    try:
        number = Decimal(text)
    except ArithmeticError:
        return None
    return number if number >= 0 else None


# --- The spirits of a lot's ancestry --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cellar:
    """What is known of a lot and all liquids above it, by row number: strengths, vat entries, parts; and their lots."""

    spirits: Mapping[int, ages.Spirit]
    lots: Mapping[int, Lot]
    cut: bool = False


def cellar_of(lots: Sequence[Lot | int], *, until: datetime.datetime | None = None, highest: bool = False) -> Cellar:
    """The liquids among these lots and their ancestors, each with its last recorded strength or its ``highest``; what
    nothing is known of with the one it was listed with when it was used.

    A fixed number of queries, plus some per 20,000 lots.
    """
    back = walk(lots, "back")
    rows = _liquids(list(back.level))
    recorded = recorded_strengths(rows, until=until, highest=highest)
    parts: dict[int, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for edge in back.edges:
        if edge.parent in rows and edge.child in rows:
            # A join says that an external lot is its supplier's lot, without an amount: it is all of it.
            parts[edge.child][edge.parent] += edge.micros or rows[edge.child].made_micros
    for pk in open_ends(back):
        # Of a lot some of whose parts were not reached nobody knows what the others make of it.
        parts.pop(pk, None)
    rows = _poured(rows, parts)
    recorded = (
        listed_strengths({pk: lot for pk, lot in rows.items() if pk not in recorded and not parts[pk]}) | recorded
    )
    spirits = {
        pk: ages.Spirit(
            entered_on=_entered_on(lot),
            abv=recorded[pk].abv if pk in recorded else None,
            water=_is_water(lot.product, lot.product_version.name, lot.product_version.ingredients),
            parts=[ages.Part(up, _litres(rows[up], micros)) for up, micros in parts[pk].items() if up in rows],
        )
        for pk, lot in rows.items()
    }
    return Cellar(spirits, rows, back.cut)


def _poured(rows: dict[int, Lot], parts: Mapping[int, Mapping[int, int]]) -> dict[int, Lot]:
    """Without pieces that no liquid went into (caps, boxes): they are no spirit, whatever their product says."""
    kept = {pk for pk, lot in rows.items() if lot.product.base_unit == BaseUnit.LTR.value}
    children: dict[int, list[int]] = defaultdict(list)
    for child, above in parts.items():
        for parent in above:
            children[parent].append(child)
    ready = list(kept)
    while ready:
        for child in children[ready.pop()]:
            if child not in kept:
                kept.add(child)
                ready.append(child)
    return {pk: lot for pk, lot in rows.items() if pk in kept}


def _litres(lot: Lot, micros: int) -> Decimal:
    """Litres of an amount; pieces by their net content, or as they are where it is not known."""
    bulk = Amount(lot.product, lot.product_version, micros).bulk()
    if bulk is None or bulk[0] != BaseUnit.LTR.value:
        return Decimal(micros).scaleb(-6)
    return _decimal(bulk[1])


def _decimal(number: Fraction) -> Decimal:
    return Decimal(number.numerator) / Decimal(number.denominator)


def _is_measured(cellar: Cellar, pk: int) -> bool:
    """Whether the litres of all that was mixed to a lot are known, up to the lots whose strength is recorded."""
    waiting, seen = [pk], {pk}
    while waiting:
        spirit = cellar.spirits[waiting.pop()]
        for part in spirit.parts:
            lot = cellar.lots[part.lot]
            bulk = Amount(lot.product, lot.product_version, 1_000_000).bulk()
            if bulk is None or bulk[0] != BaseUnit.LTR.value:
                return False
            if part.lot not in seen and cellar.spirits[part.lot].abv is None:
                seen.add(part.lot)
                waiting.append(part.lot)
    return True


def _liquids(ids: Sequence[int]) -> dict[int, Lot]:
    """The lots counted in litres, and what was filled from them: packaging and grain are no spirit."""
    found: dict[int, Lot] = {}
    for begin in range(0, len(ids), _CHUNK):
        rows = Lot.objects.filter(pk__in=ids[begin : begin + _CHUNK]).exclude(product__kind=Product.Kind.PACKAGING)
        rows = rows.filter(Q(product__base_unit=BaseUnit.LTR.value) | Q(product__base_unit=BaseUnit.C62.value))
        rows = rows.select_related("product", "product_version", "origin_event").only(
            "lot_code",
            "display_code",
            "uid",
            "produced_on",
            "is_external",
            "made_micros",
            "begun_at",
            "product__kind",
            "product__base_unit",
            "product__material",
            "product__family",
            "product_version__name",
            "product_version__ingredients",
            "product_version__net_content",
            "product_version__spec",
            "organisation",
            "origin_event__organisation",
            "origin_event__template",
            "origin_event__data",
        )
        found.update({lot.pk: lot for lot in rows})
    return found


def _entered_on(lot: Lot) -> datetime.date | None:
    """The day the lot's spirit was put into a vat.

    By a vatting step its own date; for spirit that was there before the system or came from outside, the production
    date
    written down for it.
    """
    step = templates().get(lot.origin_event.template)
    if step is not None and step.ageing_from:
        value = lot.origin_event.data.get(step.ageing_from)
        return datetime.date.fromisoformat(str(value)) if value else lot.produced_on
    if step is not None and step.moves in ("create", "receive") and lot.product.base_unit == BaseUnit.LTR.value:
        return lot.produced_on
    return None


def _is_water(product: Product, *texts: str) -> bool:
    return is_water(product.material, *texts)


# --- Age ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Age:
    """The age of a lot's spirit on the day it was made up: both numbers in years, or why there is none.

    ``applies`` is false for what is no spirit at all. ``problem`` may name a lot, ``reason`` says it for
    everybody.
    """

    applies: bool = False
    on: datetime.date | None = None
    youngest: Decimal | None = None
    average: Decimal | None = None
    problem: str = ""
    reason: str = ""
    method: str = ""

    @property
    def text(self) -> str:
        """Both ages in a sentence, or why there is none, for everybody."""
        known = []
        if self.youngest is not None:
            known.append(_("最短 %(years)s 年") % {"years": self.youngest})
        if self.average is not None:
            known.append(_("按纯酒精量加权平均 %(years)s 年") % {"years": self.average})
        return _("；").join([*known, *([self.reason] if self.reason else [])])


def can_age(product: Product) -> bool:
    """Whether lots of a product may be spirit: counted in litres or pieces, of a family that has vats or of none."""
    return product.base_unit in (BaseUnit.LTR.value, BaseUnit.C62.value) and product.family in _vatted() | {""}


def _vatted() -> set[str]:
    """The families whose steps have vats."""
    return {each.family for each in templates().values() if each.ageing_from}


def age_of(lot: Lot) -> Age:
    """The age of a lot, computed from its ancestors. A fixed number of queries; none for what cannot be spirit."""
    if not can_age(lot.product) or lot.voided_by_id is not None:
        return Age()
    cellar = cellar_of([lot])
    spirit = cellar.spirits.get(lot.pk)
    if spirit is None or spirit.water or not _has_spirit(cellar, lot):
        return Age()
    on = lot.produced_on if lot.product.base_unit == BaseUnit.C62.value and lot.produced_on else None
    on = on or timezone.localdate(lot.begun_at)
    found = ages.Ageing(problem="cut") if cellar.cut else ages.ageing(cellar.spirits, lot.pk)
    if found.problem == "no_spirit":
        return Age()
    return Age(
        applies=True,
        on=on,
        youngest=ages.years(found.youngest, on) if found.youngest is not None else None,
        average=ages.years(found.average, on) if found.average is not None else None,
        problem=_problem(found, cellar, lot),
        reason=str(_REASONS[found.problem]) if found.problem else "",
        method=_("从各组分首次入坛（罐）之日算到本批次做成之日；加权按各组分的纯酒精量（体积 × 酒精度），水不计。"),
    )


def _has_spirit(cellar: Cellar, lot: Lot) -> bool:
    """Whether anything above the lot was vatted, or the lot calls itself spirit."""
    if any(spirit.entered_on is not None for pk, spirit in cellar.spirits.items() if pk != lot.pk):
        return True
    spirit = cellar.spirits[lot.pk]
    return spirit.entered_on is not None or any(
        each.abv is not None and each.abv > 0 for each in cellar.spirits.values()
    )


def _problem(found: ages.Ageing, cellar: Cellar, here: Lot) -> str:
    """Why a number is missing, naming the lot it fails on."""
    if not found.problem:
        return ""
    lot = cellar.lots.get(found.at_fault) if found.at_fault is not None else None
    if found.problem == "no_entry" and found.at_fault == here.pk:
        return _("还没有入库贮存（入坛），酒龄从入坛之日算起。")
    near = {part.lot for part in cellar.spirits[here.pk].parts}
    mine = (here.organisation_id, here.origin_event.organisation_id)
    own = lot is not None and (lot.pk in near or {lot.organisation_id, lot.origin_event.organisation_id} & set(mine))
    if not own:
        return str(_REASONS[found.problem])
    words = {
        "no_entry": _("算不出：批次 %(lot)s 没有入库贮存（入坛）记录。如果它是水，请在产品资料里注明。"),
        "no_abv": _("加权酒龄算不出：批次 %(lot)s 没有酒精度记录。"),
        "cycle": _("算不出：批次 %(lot)s 的来源记录互相循环。"),
    }
    return words[found.problem] % {"lot": lot.code if lot is not None else ""}


_REASONS: Mapping[str, Promise] = {
    "no_entry": gettext_lazy("算不出：来源里有的批次没有入库贮存（入坛）记录。"),
    "no_abv": gettext_lazy("加权酒龄算不出：来源里有的批次没有酒精度记录。"),
    "cycle": gettext_lazy("算不出：来源记录互相循环。"),
    "cut": gettext_lazy("算不出：来源批次太多，没有查完。"),
}


# --- The guard ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Input:
    """One liquid that goes in: litres, the strength counted, the recorded one, and what was typed."""

    amount: Amount
    litres: Fraction
    counted: Decimal | None
    recorded: Strength | None
    typed: Decimal | None


def alcohol_guards(draft: Draft) -> Iterator[BrokenGuard]:
    """Σ litres × %vol that come out against those that went in; typed strengths against recorded ones.

    Only for steps whose template says so. Inputs that a blend's list of parts leaves out count for nothing unless a
    strength is recorded of them: that is how water goes in, and how undeclared spirit is found.
    """
    yield from _rising(draft)
    yield from _beyond_starch(draft)
    rule = draft.template.alcohol
    if rule is None:
        return
    yield from _not_in_litres(draft)
    typed = _typed_parts(draft)
    liquids = [each for each in inputs_of(draft) if each.lot and _pours(each, typed)]
    if not liquids:
        return
    inputs = _strengths_in(draft, liquids, typed)
    yield from _contradictions(draft, inputs, typed)
    went_in = sum((each.litres * _fraction(each.counted) for each in inputs if each.counted is not None), Fraction())
    listed = draft.template.input_list_field
    if not listed and all(each.counted is None for each in inputs):
        return
    # Beside a known strength, pieces of an unknown one (empty bottles that state what they hold) bring none.
    vague = [each for each in inputs if each.amount.product.base_unit == BaseUnit.LTR.value or _uid(each) in typed]
    if any(each.counted is None and (not listed or _uid(each) in typed) for each in vague):
        return
    came_out = _out(draft, Fraction(0))
    least_out = _out(draft, Fraction(rule.off_label))
    if came_out is None or least_out is None:
        return
    amounts = {"went_in": f"{float(went_in) / 100:.1f}", "lots": _names(inputs)}
    evidence = evidence_words(rule.evidence, rule.verified)
    if least_out > went_in * (1 + Fraction(rule.gain) / 100):
        missing = [each for each in inputs if each.counted is None]
        words = _(
            "纯酒精对不上：投入合 %(went_in)s 升（批次 %(lots)s），产出合 %(came_out)s 升，多出 %(percent)s %%，"
            "超过允许的 %(gain)s %%（%(evidence)s）。请核对体积和酒精度，或补上漏记的酒。"
        )
        yield BrokenGuard(
            "undeclared_alcohol",
            words
            % {
                **amounts,
                "came_out": f"{float(came_out) / 100:.1f}",
                "percent": _percent(came_out - went_in, went_in, str(rule.gain)),
                "gain": rule.gain,
                "evidence": evidence,
            }
            + (_("批次 %(lot)s 没有酒精度记录，按水计。") % {"lot": _names(missing)} if missing else ""),
            lot=inputs[0].amount.lot,
        )
    elif came_out < went_in * (1 - Fraction(rule.loss) / 100):
        words = _(
            "纯酒精少了 %(percent)s %%：投入合 %(went_in)s 升（批次 %(lots)s），产出合 %(came_out)s 升，超过通常的损耗"
            " %(loss)s %%（%(evidence)s）。请核对体积和酒精度。"
        )
        yield BrokenGuard(
            "alcohol_lost",
            words
            % {
                **amounts,
                "came_out": f"{float(came_out) / 100:.1f}",
                "percent": _percent(went_in - came_out, went_in, str(rule.loss)),
                "loss": rule.loss,
                "evidence": evidence,
            },
            lot=inputs[0].amount.lot,
            warns=True,
        )


STARCH = Fraction(72, 100)
"""Litres of pure alcohol that a kilogram of starch can give at most: 180 g of glucose from 162 g of starch, 92 g of
ethanol from these, at 0.789 kg/L. Grain gives less, so more than this was added."""


def _beyond_starch(draft: Draft) -> Iterator[BrokenGuard]:
    """Spirit that steps say was made of goods counted in kilograms (grain, mash), against what starch can give."""
    if draft.template.moves != "transform" or draft.template.code not in _strength_fields():
        return
    inputs = inputs_of(draft)
    if not inputs or any(each.product.base_unit != BaseUnit.KGM.value for each in inputs):
        return
    kilos = sum((Fraction(each.micros, 1_000_000) for each in inputs), Fraction())
    made = Fraction()
    for new in draft.outputs:
        abv = _abv_of(draft.template.code, "output", new.micros, draft.data, new.facts)
        if abv is not None and new.product.base_unit == BaseUnit.LTR.value:
            made += Fraction(new.micros, 1_000_000) * Fraction(abv) / 100
    if made > kilos * STARCH:
        lots = [each.lot.code for each in inputs if each.lot is not None]
        yield BrokenGuard(
            "undeclared_alcohol",
            _(
                "产出合纯酒精 %(made)s 升，而 %(kilos)s 千克淀粉最多只能出 %(most)s 升（投入批次 %(lots)s）。"
                "请核对数量，或补上漏记的酒。"
            )
            % {
                "made": f"{float(made):.1f}",
                "kilos": f"{float(kilos):.1f}",
                "most": f"{float(kilos * STARCH):.1f}",
                "lots": _("、").join(lots[:3]),
            },
            lot=inputs[0].lot,
        )


def _rising(draft: Draft) -> Iterator[BrokenGuard]:
    """A strength noted or measured of spirit that lies still is no higher than the one before: what rises had spirit
    poured in that nobody wrote down.
    """
    if draft.template.moves not in ("observe", "sample"):
        return
    said = _said_of_subject(draft)
    lots = [use.lot for use in draft.uses if use.lot is not None and use.lot.product.base_unit == BaseUnit.LTR.value]
    if said is None or not lots:
        return
    until = moments.span(draft.occurred_at, draft.precision, draft.tz_offset).last
    before = recorded_strengths([lot.pk for lot in lots], until=until)
    rest = [lot for lot in lots if lot.pk not in before]
    # What a parent was found to be after it was poured says nothing against what was poured.
    cellar = cellar_of(rest, until=until, highest=True) if rest else None
    for lot in lots:
        record = before.get(lot.pk)
        if record is None and cellar is not None:
            yield from _stronger_than_made(draft, lot, said, cellar)
        if record is None or said <= record.abv + CONTRADICTS:
            continue
        words, others = _record_said(draft, lot, record)
        yield BrokenGuard(
            "abv_contradicts",
            _("批次 %(lot)s 的酒精度填了 %(typed)s %%vol，而%(record)s记的是 %(recorded)s %%vol。")
            % {
                "lot": lot.code,
                "typed": f"{said.normalize():f}",
                "recorded": f"{record.abv:.1f}",
                "record": words,
            },
            lot=lot,
            # What a laboratory measured is a fact: it is recorded and flagged.
            warns=draft.template.moves == "sample",
            **others,
        )


def _record_said(draft: Draft, lot: Lot, record: Strength) -> tuple[str, dict[str, Any]]:
    """What a strength was recorded by, in words and as a guard's details. Of a stranger that had the lot, too, neither
    which step nor when.
    """
    if record.by not in (0, draft.organisation.pk, lot.organisation_id):
        return _("别的单位"), {}
    words = _("“%(name)s”（%(day)s）") % {"name": record.said, "day": moments.words(record.at, "day")}
    return words, {"other_event": record.event, **({"report": record.report} if record.report else {})}


def _stronger_than_made(draft: Draft, lot: Lot, said: Decimal, cellar: Cellar) -> Iterator[BrokenGuard]:
    """A first strength said of a lot against the alcohol that went into it: what has more had spirit poured in.

    Nothing is said where an input's strength is not known, or the litres its pieces held, or where grain or mash went
    in, too.
    """
    spirit, known = cellar.spirits.get(lot.pk), ages.strengths(cellar.spirits)
    if spirit is None or spirit.water or not spirit.parts or lot.made_micros <= 0 or not _is_measured(cellar, lot.pk):
        return
    above = LotLink.objects.filter(child=lot, voided_by=None).exclude(parent__in=[part.lot for part in spirit.parts])
    if above.exclude(parent__product__kind=Product.Kind.PACKAGING).exists():
        return
    parts = [(part.litres, known.get(part.lot)) for part in spirit.parts]
    if any(abv is None for _litres, abv in parts):
        return
    pure = sum((litres * (abv or Decimal()) for litres, abv in parts), Decimal())
    most = pure / Decimal(lot.made_micros).scaleb(-6)
    if said <= most + CONTRADICTS:
        return
    source = cellar.lots[max(spirit.parts, key=lambda part: part.litres).lot]
    yield BrokenGuard(
        "abv_contradicts",
        _("批次 %(lot)s 的酒精度填了 %(typed)s %%vol，而按投入（%(source)s等）的纯酒精最多 %(most)s %%vol。")
        % {
            "lot": lot.code,
            "typed": f"{said.normalize():f}",
            "source": named_to(draft.organisation.pk, source),
            "most": f"{most:.1f}",
        },
        lot=lot,
        warns=draft.template.moves == "sample",
        other_lot=source.uid,
    )


def _said_of_subject(draft: Draft) -> Decimal | None:
    """The strength an observation or a test says of its lot."""
    for row in draft.data.get("items") or ():
        if isinstance(row, Mapping) and row.get("unit") == ABV and "酒精度" in str(row.get("parameter")):
            return _number(row.get("measured"))
    if draft.template.code in _strength_fields() or draft.template.code == "common.sensor":
        return _abv_of(draft.template.code, "subject", 0, draft.data, {})
    return None


def _not_in_litres(draft: Draft) -> Iterator[BrokenGuard]:
    """Goods of an alcohol step that are counted in kilograms: the balance cannot be drawn up, and says so."""
    strange = [
        each
        for each in (*outputs_of(draft), *(one for one in inputs_of(draft) if one.product.family in _vatted()))
        if each.product.base_unit == BaseUnit.KGM.value
        and each.product.kind not in (Product.Kind.BYPRODUCT, Product.Kind.RAW)
    ]
    if strange:
        first = strange[0]
        yield BrokenGuard(
            "alcohol_unknown",
            _("“%(product)s”按千克计，纯酒精对不了账。酒请按升登记。") % {"product": _label(first)},
            lot=first.lot,
            warns=True,
        )


def _label(each: Amount) -> str:
    return in_each_language(lambda: each.version.label if each.version is not None else str(each.product))


def _percent(part: Fraction, whole: Fraction, beyond: str = "") -> str:
    """A share in percent; with a second digit where one would read like the bound it goes ``beyond``."""
    if not whole:
        return "100"
    share = float(part / whole * 100)
    return f"{share:.1f}" if f"{share:.1f}" != f"{float(beyond or -1):.1f}" else f"{share:.2f}"


def _fraction(number: Decimal) -> Fraction:
    return Fraction(number)


def _uid(each: _Input) -> str:
    return str(each.amount.lot.uid) if each.amount.lot is not None else ""


def _names(inputs: Sequence[_Input]) -> str:
    codes = [each.amount.lot.code for each in inputs if each.amount.lot is not None]
    return _("、").join([*codes[:3], *(["…"] if len(codes) > 3 else [])])


def _typed_parts(draft: Draft) -> dict[str, tuple[Decimal, Decimal]]:
    """The list of parts as typed: litres and %vol by the lot's uid; rows of one lot are added up."""
    found: dict[str, tuple[Decimal, Decimal]] = {}
    for row in draft.data.get(draft.template.input_list_field) or ():
        litres, abv = _number(row.get("litres")), _number(row.get("abv"))
        if litres is None or abv is None:
            continue
        before, strong = found.get(str(row.get("lot")), (Decimal(), abv))
        found[str(row.get("lot"))] = (before + litres, max(strong, abv))
    return found


def _pours(each: Amount, typed: Mapping[str, tuple[Decimal, Decimal]]) -> bool:
    """Whether an input is a liquid: counted in litres, in bottles that state litres, or listed with its litres."""
    if each.product.base_unit == BaseUnit.LTR.value:
        return True
    bulk = each.bulk() if each.product.base_unit == BaseUnit.C62.value else None
    if bulk is not None:
        return bulk[0] == BaseUnit.LTR.value
    return each.product.base_unit == BaseUnit.C62.value and each.lot is not None and str(each.lot.uid) in typed


def _poured_litres(each: Amount, said: tuple[Decimal, Decimal] | None) -> Fraction:
    """Litres of a liquid that goes in; those listed where its pieces state none or were not quite full."""
    bulk = each.bulk()
    if bulk is None or bulk[0] != BaseUnit.LTR.value:
        return Fraction(said[0]) if said is not None else Fraction()
    if said is not None and each.product.base_unit == BaseUnit.C62.value:
        return min(bulk[1], Fraction(said[0]))
    return bulk[1]


def _strengths_in(
    draft: Draft, liquids: Sequence[Amount], typed: Mapping[str, tuple[Decimal, Decimal]]
) -> list[_Input]:
    """Each liquid with the strength that counts: recorded, else mixed from its ancestors, else listed when it was used
    before, else typed.
    """
    until = moments.span(draft.occurred_at, draft.precision, draft.tz_offset).last
    lots = [each.lot for each in liquids if each.lot is not None]
    recorded = recorded_strengths([lot.pk for lot in lots], until=until)
    rest = {lot.pk: lot for lot in lots if lot.pk not in recorded}
    cellar = cellar_of(list(rest.values()), until=until) if rest else Cellar({}, {})
    mixed = ages.strengths(cellar.spirits)
    bare = {pk: lot for pk, lot in rest.items() if pk in cellar.spirits and not cellar.spirits[pk].parts}
    recorded |= listed_strengths(bare, holder=draft.organisation.pk)
    found = []
    for each in liquids:
        assert each.lot is not None  # noqa: S101 (tells the type checker)
        record = recorded.get(each.lot.pk)
        said = typed.get(str(each.lot.uid))
        counted = record.abv if record is not None else mixed.get(each.lot.pk)
        if counted is None and said is not None:
            counted = said[1]
        found.append(_Input(each, _poured_litres(each, said), counted, record, said[1] if said is not None else None))
    return found


def _contradictions(
    draft: Draft, inputs: Sequence[_Input], typed: Mapping[str, tuple[Decimal, Decimal]]
) -> Iterator[BrokenGuard]:
    """What the list of parts says against what is recorded and what goes in."""
    for each in inputs:
        lot = each.amount.lot
        if lot is None or each.typed is None:
            continue
        if each.counted is not None and abs(each.typed - each.counted) > CONTRADICTS:
            words, others = _record_said(draft, lot, each.recorded) if each.recorded else (_("它的来源"), {})
            yield BrokenGuard(
                "abv_contradicts",
                _("批次 %(lot)s 的酒精度填了 %(typed)s %%vol，而%(record)s记的是 %(recorded)s %%vol。")
                % {
                    "lot": lot.code,
                    "typed": f"{each.typed.normalize():f}",
                    "recorded": f"{each.counted:.1f}",
                    "record": words,
                },
                lot=lot,
                **others,
            )
        if Fraction(typed[str(lot.uid)][0]) != each.litres:
            yield BrokenGuard(
                "parts_differ",
                _("组分表里批次 %(lot)s 是 %(typed)s 升，投入的却是 %(used)s 升，请改成一致。")
                % {
                    "lot": lot.code,
                    "typed": f"{typed[str(lot.uid)][0].normalize():f}",
                    "used": f"{_decimal(each.litres).normalize():f}",
                },
                lot=lot,
            )
        said_of = _listed(draft.template.code, draft.data, lot)
        if max(said_of) - min(said_of) > CONTRADICTS:
            yield BrokenGuard(
                "abv_contradicts",
                _("组分表里批次 %(lot)s 的酒精度前后不一：%(least)s 和 %(most)s %%vol。")
                % {
                    "lot": lot.code,
                    "least": f"{min(said_of).normalize():f}",
                    "most": f"{max(said_of).normalize():f}",
                },
                lot=lot,
            )
    known = {_uid(each) for each in inputs}
    if draft.template.input_list_field and set(typed) - known:
        yield BrokenGuard(
            "parts_differ",
            _("组分表里有 %(n)d 个批次不在投入里。请把它们也填到投入批次。") % {"n": len(set(typed) - known)},
            lot=inputs[0].amount.lot,
        )


def _out(draft: Draft, off: Fraction) -> Fraction | None:
    """Litres × %vol that come out, each strength ``off`` %vol lower; None where strength or litres are not known."""
    rule = draft.template.alcohol
    assert rule is not None  # noqa: S101 (the caller asked only where there is one)
    total = Fraction()
    facts = [new.facts for new in draft.outputs]
    for number, each in enumerate(outputs_of(draft)):
        own = facts[number] if number < len(facts) else {}
        abv = _number(own.get(rule.abv_field) or draft.data.get(rule.abv_field))
        bulk = each.bulk(typed_content(draft))
        if each.product.kind == Product.Kind.BYPRODUCT and (bulk is None or bulk[0] != BaseUnit.LTR.value):
            continue
        if abv is None or bulk is None or bulk[0] != BaseUnit.LTR.value:
            return None
        total += bulk[1] * max(Fraction(abv) - off, Fraction())
    return total
