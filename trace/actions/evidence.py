"""Test reports and the release they allow."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from trace.access import entered_for
from trace.actions.capture import Captured, Draft, Use, capture
from trace.actions.events import Portion, When, attach_files, checked_data, portion_use, prepare
from trace.actor import Actor
from trace.errors import BrokenGuard, Clash, GuardBroken, Invalid, NotAllowed
from trace.event_templates import EventTemplate, TemplateField, compute_data, parse_measured, template
from trace.guards import blocking
from trace.identifiers import normalise_cma
from trace.models import (
    Event,
    Limit,
    Lot,
    Organisation,
    Place,
    StoredFile,
    TestReport,
    TestResult,
)
from trace.text import clean_text

REASON_MIN, REASON_MAX = 4, 500
"""Characters of the reason for a release without a passing report: the regulator must be able to read why."""
_COMPARE = {
    "<=": lambda measured, limit: measured <= limit,
    ">=": lambda measured, limit: measured >= limit,
}


@dataclass(frozen=True)
class ResultEntry:
    """One measured item as entered: decimal text, or 未检出 (``nd``) with its limit of quantification."""

    parameter: str
    name: str
    value: str = ""
    operator: str = "="
    unit: str = ""
    loq: str = ""
    limit_operator: str = ""
    limit_value: str = ""
    limit_source: str = ""
    limit_verified: bool = False
    method: str = ""
    name_en: str = ""


def judge(entry: ResultEntry) -> str:
    """Pass, fail or not judged for one result against the limit beside it.

    未检出 (and "less than") passes an upper limit when its limit of quantification is not above it, and is not judged
    where that is unknown; it is never taken as zero. No limit, no judgement.
    """
    if not entry.limit_value or entry.limit_operator not in _COMPARE:
        return TestReport.Verdict.NOT_JUDGED
    limit = _decimal(entry.limit_value)
    if entry.operator in ("nd", "<"):
        bound = entry.loq if entry.operator == "nd" else entry.value
        if entry.limit_operator != "<=" or not bound or _decimal(bound) > limit:
            return TestReport.Verdict.NOT_JUDGED
        return TestReport.Verdict.PASS
    passed = _COMPARE[entry.limit_operator](_decimal(entry.value), limit)
    return TestReport.Verdict.PASS if passed else TestReport.Verdict.FAIL


def overall(verdicts: Sequence[str]) -> str:
    """A report fails if any item fails, passes if some item passes and none fails, else it is not judged."""
    if TestReport.Verdict.FAIL in verdicts:
        return TestReport.Verdict.FAIL
    return TestReport.Verdict.PASS if TestReport.Verdict.PASS in verdicts else TestReport.Verdict.NOT_JUDGED


def _decimal(text: str) -> Decimal:
    """Exact number of a result or limit; refuses anything else."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise Invalid(_("“%(text)s”不是数字。") % {"text": text[:20]}, code="not_a_number") from None
    if not number.is_finite() or abs(number) > 10**9:
        raise Invalid(_("“%(text)s”不是合理的数值。") % {"text": text[:20]}, code="not_a_number")
    return number


def entries_from_data(found: EventTemplate, data: Mapping[str, Any]) -> list[ResultEntry]:
    """Results out of a test template's own fields (``walnut.test``: moisture, afb1 …), with the catalogue's limits
    beside. The amount sampled is no result; 未检出 keeps its limit of quantification.

    A limit that is stated at 100 %vol stands beside the converted value only (GB 2757-2012): the measured one is
    shown unjudged, or half-strength spirit could hold twice the methanol.
    """
    refs = [field.limit_ref for field in found.fields if field.limit_ref]
    limits = _limits(refs)
    data = {**data, **compute_data(found, data)}
    converted = {key for field in found.fields if field.computed for key in field.computed_from}
    entries: list[ResultEntry] = []
    for field in found.fields:
        value = data.get(field.key)
        if field.type != "decimal" or field.key == found.amount_field or value in (None, ""):
            continue
        judged_here = field.key not in converted or field.key == "abv"
        entries.append(_entry(field, str(value), limits.get(field.limit_ref or "") if judged_here else None))
    return entries


def _entry(field: TemplateField, value: str, limit: Limit | None) -> ResultEntry:
    """One result from one field."""
    measured = parse_measured(value)
    return ResultEntry(
        parameter=field.key,
        name=field.zh,
        name_en=field.en,
        operator=measured.operator,
        value=measured.value,
        loq=measured.loq,
        unit=field.unit or "",
        limit_operator=limit.operator if limit else "",
        limit_value=limit.value if limit else "",
        limit_source=limit.standard.number if limit else "",
        limit_verified=limit.verified_at is not None if limit else False,
        method=limit.method if limit else "",
    )


def _limits(refs: Sequence[str]) -> dict[str, Limit]:
    """Catalogue limits by reference ``standard.parameter`` (or the parameter's own id)."""
    wanted = {ref.split(".")[-1] for ref in refs}
    found: dict[str, Limit] = {}
    for limit in Limit.objects.filter(parameter__in=wanted).select_related("standard"):
        found[limit.parameter] = limit
        found[f"{limit.standard_id}.{limit.parameter}"] = limit
    return {ref: found[key] for ref in refs for key in (ref, ref.split(".")[-1]) if key in found}


@transaction.atomic
def record_report(
    *,
    by: Actor,
    lot: Lot,
    report_number: str,
    issued_on: datetime.date,
    results: Sequence[ResultEntry],
    when: When,
    laboratory: Organisation | None = None,
    laboratory_name: str = "",
    cma_number: str = "",
    purpose: str = "出厂检验",
    code: str = "common.sample",
    data: Mapping[str, Any] | None = None,
    sample: Portion | None = None,
    place: Place | None = None,
    file: StoredFile | None = None,
    remark: str = "",
    insist: bool = False,
    replaces: Event | None = None,
    at: datetime.datetime | None = None,
) -> TestReport:
    """Record a test of one lot: the sampling event, the report, its results, each judged against the limit beside it.

    Who: the lot's issuer or holder, a laboratory, a regulator. Refuses no results (``results_required``), a report
    dated before the sampling was possible is a guard's matter, a doubled report number of the same laboratory for this
    lot (``report_exists``), wrong CMA shape, values that are no numbers.
    """
    by.require("operator", "quality", "officer", "approver")
    if not results:
        raise Invalid(_("请至少填写一个检验项目。"), code="results_required")
    name = laboratory.name if laboratory else laboratory_name.strip()
    if not name:
        raise Invalid(_("请填写检验机构。"), code="laboratory_required")
    if issued_on > timezone.localdate(at):
        raise Invalid(_("报告日期在将来，请核对。"), code="in_future")
    cma = normalise_cma(cma_number) if cma_number else ""
    same = TestReport.objects.filter(lot=lot, laboratory_name=name, report_number=report_number)
    if same.filter(event__corrections__isnull=True).exists():
        raise Clash(_("这份报告已经登记过。"), code="report_exists")
    verdicts = [judge(entry) for entry in results]
    found = template(code)
    event = _sampling_event(
        found,
        by,
        lot,
        sample,
        when,
        place,
        _report_data(found, data, name, cma, report_number, purpose, file, laboratory, results, verdicts, sample),
        remark,
        insist,
        replaces,
        at,
        issued_on,
    ).event
    report = TestReport.objects.create(
        organisation=by.owner,
        laboratory=laboratory,
        laboratory_name=name,
        cma_number=cma,
        report_number=report_number,
        purpose=purpose,
        lot=lot,
        event=event,
        issued_on=issued_on,
        verdict=overall(verdicts),
        file=file,
        file_sha256=file.sha256 if file else "",
    )
    TestResult.objects.bulk_create(
        [
            TestResult(
                report=report,
                number=number,
                parameter=entry.parameter,
                name=entry.name,
                name_en=entry.name_en,
                operator=entry.operator,
                value=entry.value,
                loq=entry.loq,
                unit=entry.unit,
                limit_operator=entry.limit_operator,
                limit_value=entry.limit_value,
                limit_source=entry.limit_source,
                limit_verified=entry.limit_verified,
                method=entry.method,
                verdict=verdict,
            )
            for number, (entry, verdict) in enumerate(zip(results, verdicts, strict=True), start=1)
        ]
    )
    if file is not None:
        attach_files(event, [file])
    return report


def _report_data(
    found: EventTemplate,
    data: Mapping[str, Any] | None,
    name: str,
    cma: str,
    report_number: str,
    purpose: str,
    file: StoredFile | None,
    laboratory: Organisation | None,
    results: Sequence[ResultEntry],
    verdicts: Sequence[str],
    sample: Portion | None,
) -> dict[str, Any]:
    """The event's data: what the template asks for, filled from the report where the fields exist."""
    offered: dict[str, Any] = {
        "lab": str(laboratory.uid) if laboratory else name,
        "lab_cma": cma or "-",
        "report_no": report_number,
        "report_hash": file.sha256 if file else "-",
        "purpose": purpose,
        "sample_qty": sample.amount.text if sample and sample.amount else "0",
        "items": [
            {
                "parameter": entry.name,
                "measured": _measured(entry),
                "unit": entry.unit,
                "limit": f"{entry.limit_operator}{entry.limit_value}",
                "method": entry.method,
                "verdict": str(verdict),
            }
            for entry, verdict in zip(results, verdicts, strict=True)
        ],
    }
    known = {field.key for field in found.fields}
    return {**{key: value for key, value in offered.items() if key in known}, **(data or {})}


def _measured(entry: ResultEntry) -> str:
    """A result as a laboratory writes it."""
    if entry.operator == "nd":
        return f"未检出（<{entry.loq}）" if entry.loq else "未检出"
    return f"<{entry.value}" if entry.operator == "<" else entry.value


def _sampling_event(
    found: EventTemplate,
    by: Actor,
    lot: Lot,
    sample: Portion | None,
    when: When,
    place: Place | None,
    data: Mapping[str, Any],
    remark: str,
    insist: bool,
    replaces: Event | None,
    at: datetime.datetime | None,
    issued_on: datetime.date,
) -> Captured:
    """The event of taking the sample; goods leave the holder's stock only where an amount was given."""
    taken = sample if sample and sample.amount and sample.amount.micros else None
    if taken is not None:
        use = portion_use(taken, "subject", -1, by, place)
    else:
        use = Use(lot=lot, role="subject", holder=by.owner)
    ready = prepare(found, data, subjects=[taken] if taken else (), remark=remark)
    draft = Draft(
        template=found,
        organisation=by.owner,
        occurred_at=when.at,
        precision=when.precision,
        tz_offset=when.tz_offset,
        place=place,
        uses=[use],
        data=ready.data,
        remark=ready.remark,
        replaces=replaces,
        issued_on=issued_on,
    )
    return capture(draft=draft, by=by, insist=insist, at=at)


@transaction.atomic
def release_lot(
    *,
    by: Actor,
    lot: Lot,
    when: When,
    report: TestReport | None = None,
    reason: str = "",
    remark: str = "",
    at: datetime.datetime | None = None,
) -> Captured:
    """The quality officer (质量负责人) lets a finished lot leave: shipping is refused before.

    Refuses who is not quality officer (``role_required``), a lot already released (``already_released``), a lot on hold
    (``lot_blocked``), and a lot without a passing report, or with a failed one (``no_passing_report``) unless
    ``reason`` says why: that override is recorded as a conflict the regulator sees. The reason is for the report only:
    every other guard (a release before the lot was made, before its report, a forbidden ancestor) still refuses.
    """
    by.require("quality")
    if lot.organisation_id not in entered_for(by):
        raise NotAllowed(_("只能放行本单位的批次。"), code="not_own")
    if lot.released_by_id is not None:
        raise Clash(_("这个批次已经放行。"), code="already_released")
    held = blocking([lot])
    if held:
        hold = held[lot.pk][0].hold
        message = _("批次 %(lot)s 处于“%(kind)s”，不能放行。原因：%(reason)s") % {
            "lot": lot.code,
            "kind": hold.get_kind_display(),
            "reason": hold.reason,
        }
        raise GuardBroken(message, [BrokenGuard("lot_blocked", message, lot=lot)], insistable=False)
    reports = TestReport.objects.filter(lot=lot, event__corrections__isnull=True)
    latest = reports.order_by("-issued_on", "-id").first()
    passing = report if report is not None and report.lot_id == lot.pk else latest
    failed = reports.filter(verdict=TestReport.Verdict.FAIL).exists()
    broken = passing is None or passing.verdict != TestReport.Verdict.PASS or failed
    message = _("批次 %(lot)s 没有合格的检验报告，或有不合格报告。仍要放行须写明理由，监管部门可见。") % {
        "lot": lot.code
    }
    reason = clean_text(reason, REASON_MAX, multiline=True)
    if broken and len(reason) < REASON_MIN:
        raise GuardBroken(message, [BrokenGuard("no_passing_report", message, lot=lot)])
    found = template("common.release")
    draft = Draft(
        template=found,
        organisation=by.owner,
        occurred_at=when.at,
        precision=when.precision,
        tz_offset=when.tz_offset,
        uses=[Use(lot=lot, role="subject", holder=by.owner)],
        data=checked_data(
            found,
            {
                "released_by": by.membership.get_role_display() if by.membership else by.role,
                "test_report": str(passing.uid) if passing else "-",
            },
        ),
        remark=remark,
        found=[BrokenGuard("no_passing_report", message, lot=lot, reason=reason)] if broken else [],
    )
    return capture(draft=draft, by=by, at=at)
