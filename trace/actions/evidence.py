"""Test reports and the release they allow."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.db import transaction
from django.utils import timezone

from trace.access import entered_for
from trace.actions.capture import Captured, Draft, Use, capture
from trace.actions.events import Portion, When, attach_files, checked_data, portion_use, prepare
from trace.actions.failures import failed_upstream, flag_released, settle_denied
from trace.actor import Actor
from trace.divided import goods_of
from trace.errors import BrokenGuard, Clash, GuardBroken, Invalid, NotAllowed, NotFound
from trace.event_templates import COMMON, EventTemplate, template
from trace.guards import blocking
from trace.identifiers import normalise_cma
from trace.judging import ABSENT, is_amount, number, overall
from trace.ledger import lock_log_head
from trace.limits import Judged, ResultEntry, absent_fields, entries_from_data, judge_entries, plain_name, untested
from trace.models import (
    Conflict,
    Event,
    Licence,
    Lot,
    Organisation,
    Place,
    ReportAnswer,
    StoredFile,
    TestReport,
    TestResult,
)
from trace.sentences import gettext as _
from trace.sentences import in_each_language
from trace.text import clean_text
from trace.units import decimal_text

__all__ = ["ResultEntry", "answer_report", "entries_from_data", "record_report", "release_lot"]
REASON_MIN, REASON_MAX = 4, 500
"""Characters of the reason for a release without a passing report: the regulator must be able to read why."""


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
    """Record a test of one lot: the sampling event, the report, its results, each judged by ``trace.limits``.

    A laboratory of the system is found by its name or CMA number also where it was only typed: it is asked to confirm.

    Who: the lot's issuer or holder, a laboratory, a regulator. Refuses no results (``results_required``), a report
    dated before the sampling was possible is a guard's matter, a doubled report number of the same laboratory for this
    lot (``report_exists``), wrong CMA shape, values that are no numbers.
    """
    by.require("operator", "quality", "officer", "approver")
    found = template(code)
    if data and found.family != COMMON:
        # What stands in the step's own fields is a result, too, whether or not it is said again.
        # Of what must not be found several items have one field.
        several = {field.key for field in absent_fields(found)}
        given = {(entry.parameter, plain_name(entry.name) if entry.parameter in several else "") for entry in results}
        results = [
            *results,
            *(
                each
                for each in entries_from_data(found, data)
                if (each.parameter, plain_name(each.name) if each.parameter in several else "") not in given
            ),
        ]
    if not results:
        raise Invalid(_("请至少填写一个检验项目。"), code="results_required")
    name = laboratory.name if laboratory else laboratory_name.strip()
    if not name:
        raise Invalid(_("请填写检验机构。"), code="laboratory_required")
    _check_numbers(results)
    if issued_on > timezone.localdate(at):
        raise Invalid(_("报告日期在将来，请核对。"), code="in_future")
    cma = normalise_cma(cma_number) if cma_number else ""
    laboratory = laboratory or _laboratory_named(name, cma)
    lock_log_head()  # two at once would each find the other's report not there
    same = TestReport.objects.filter(lot=lot, laboratory_name=name, report_number=report_number)
    if same.filter(event__corrections__isnull=True).exists():
        raise Clash(_("这份报告已经登记过。"), code="report_exists")
    tested_on = timezone.localtime(when.at).date()
    judged = judge_entries(lot, results, tested_on=tested_on, found=found if found.family != COMMON else None)
    _check_amounts(judged)
    event = _sampling_event(
        found,
        by,
        lot,
        sample,
        when,
        place,
        _report_data(found, data, name, cma, report_number, purpose, file, laboratory, judged, sample),
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
        verdict=overall([each.judgement.verdict for each in judged]),
        file=file,
        file_sha256=file.sha256 if file else "",
    )
    TestResult.objects.bulk_create(_result(report, number, each) for number, each in enumerate(judged, start=1))
    if file is not None:
        attach_files(event, [file])
    flag_released(report, at)
    return report


def _check_numbers(results: Sequence[ResultEntry]) -> None:
    """Refuse results and limits that are no numbers (``not_a_number``); 未检出 may come without its limit."""
    for entry in results:
        needed = [entry.value] if entry.operator != "nd" else []
        for text in (*needed, entry.loq, entry.limit_value):
            if (text or text in needed) and number(text) is None:
                raise Invalid(_("“%(text)s”不是合理的数值。") % {"text": text[:20]}, code="not_a_number")


def _check_amounts(judged: Sequence[Judged]) -> None:
    """Refuse less than nothing of a substance (``below_zero``): it would keep every limit."""
    for entry in (each.entry for each in judged):
        for text in (entry.value, entry.loq):
            if is_amount(entry.unit) and (number(text) or 0) < 0:
                raise Invalid(_("“%(text)s”小于零，请核对。") % {"text": text[:20]}, code="below_zero")


def _laboratory_named(name: str, cma: str) -> Organisation | None:
    """The laboratory of the system that a report names: by its own name, else by a CMA number it has entered."""
    rows = Organisation.objects.vetted().filter(kind=Organisation.Kind.LABORATORY)
    found = rows.filter(name=name).first()
    if found is None and cma:
        found = rows.filter(licences__kind=Licence.Kind.CMA, licences__number=cma, licences__ended_at=None).first()
    return found


def _result(report: TestReport, place: int, judged: Judged) -> TestResult:
    """One row, with the limit it was judged by as it stands now."""
    entry, rule = judged.entry, judged.judgement.rule
    row = TestResult(
        report=report,
        number=place,
        parameter=entry.parameter,
        name=entry.name,
        name_en=entry.name_en,
        operator=entry.operator,
        value=entry.value,
        loq=entry.loq,
        unit=entry.unit,
        method=entry.method,
        verdict=judged.judgement.verdict,
        reason=judged.judgement.reason,
    )
    if rule is not None:
        row.limit_kind = rule.kind
        row.limit_operator, row.limit_value = rule.operator, rule.value[:40]
        row.limit_source = rule.source
        row.limit_verified = rule.verified
        row.limit_basis, row.limit_applies = rule.basis, rule.applies
        row.limit_version = rule.version
        row.limit_id = rule.limit
        row.method = entry.method or rule.method
    return row


def _report_data(
    found: EventTemplate,
    data: Mapping[str, Any] | None,
    name: str,
    cma: str,
    report_number: str,
    purpose: str,
    file: StoredFile | None,
    laboratory: Organisation | None,
    judged: Sequence[Judged],
    sample: Portion | None,
) -> dict[str, Any]:
    """The event's data: what the template asks for, filled from the report where the fields exist."""
    offered: dict[str, Any] = {
        "lab": str(laboratory.uid) if laboratory else name,
        "lab_cma": cma or "-",
        "report_no": report_number,
        "report_hash": file.sha256 if file else "-",
        "purpose": purpose,
        "sample_qty": decimal_text(sample.amount.micros) if sample and sample.amount else "0",
        "items": [_item(each) for each in judged],
    }
    known = {field.key for field in found.fields}
    return {**{key: value for key, value in offered.items() if key in known}, **(data or {})}


def _item(judged: Judged) -> dict[str, str]:
    """A judged item as the event keeps it."""
    entry, rule = judged.entry, judged.judgement.rule
    return {
        "parameter": entry.name,
        "measured": _measured(entry),
        "unit": entry.unit,
        "limit": "" if rule is None else "不得检出" if rule.operator == ABSENT else f"{rule.operator}{rule.value}",
        "method": entry.method,
        "verdict": judged.judgement.verdict,
    }


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
    The report is one on these very goods: on this lot or on the one it was only divided from (`trace.divided`). One on
    what it was made of is shown beside it and does not stand in for it; where such a report failed the release is
    flagged (``ancestor_failed``).
    """
    by.require("quality")
    if lot.organisation_id not in entered_for(by):
        raise NotAllowed(_("只能放行本单位的批次。"), code="not_own")
    lock_log_head()
    if Lot.objects.select_for_update().get(pk=lot.pk).released_by_id is not None:
        raise Clash(_("这个批次已经放行。"), code="already_released")
    held = blocking([lot], holder=lot.organisation)
    if held:
        hold = held[lot.pk][0].hold
        message = _("批次 %(lot)s 处于“%(kind)s”，不能放行。原因：%(reason)s") % {
            "lot": lot.code,
            "kind": in_each_language(hold.get_kind_display),
            "reason": hold.reason,
        }
        raise GuardBroken(message, [BrokenGuard("lot_blocked", message, lot=lot)], insistable=False)
    line = {each.pk for each in goods_of([lot])[lot.pk]}
    reports = TestReport.objects.counted().filter(lot__in=line)
    latest = reports.order_by("-issued_on", "-id").first()
    passing = (reports.filter(pk=report.pk).first() if report is not None else None) or latest
    failed = reports.filter(verdict=TestReport.Verdict.FAIL).order_by("-issued_on", "-id").first()
    broken = passing is None or passing.verdict != TestReport.Verdict.PASS or failed is not None
    named: dict[str, Any] = {"report": failed.uid} if failed is not None else {}
    if failed is not None:
        message = _("批次 %(lot)s 的检验报告 %(report)s 不合格。仍要放行须写明理由，监管部门可见。") % {
            "lot": lot.code,
            "report": failed.report_number,
        }
    else:
        message = _("批次 %(lot)s 没有合格的检验报告。仍要放行须写明理由，监管部门可见。") % {"lot": lot.code}
    if report is not None and report.lot_id not in line:
        broken = True
        message = _(
            "报告 %(report)s 检验的是批次 %(other)s。放行要凭对批次 %(lot)s 本身、或它由之拆分分装而来的批次的"
            "合格报告；没有而仍要放行，须写明理由，监管部门可见。"
        ) % {"report": report.report_number, "other": report.lot.code, "lot": lot.code}
    reason = clean_text(reason, REASON_MAX, multiline=True)
    # Dots and one letter over and over are no words.
    if broken and len({sign for sign in reason if sign.isalnum()}) < REASON_MIN:
        raise GuardBroken(message, [BrokenGuard("no_passing_report", message, lot=lot, **named)])
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
        found=[
            *([BrokenGuard("no_passing_report", message, lot=lot, reason=reason, **named)] if broken else []),
            *([] if broken or passing is None else _by_own_limits(lot, passing)),
            *failed_upstream(lot, line),
        ],
    )
    return capture(draft=draft, by=by, at=at)


def _by_own_limits(lot: Lot, report: TestReport) -> Iterator[BrokenGuard]:
    """A report that measures nothing of what is due before release and passes by limits it states itself alone: whoever
    measures what nobody limits passes always. The release stands and is flagged.
    """
    due = untested(lot, [])
    kinds = set(report.results.filter(verdict=TestReport.Verdict.PASS).values_list("limit_kind", flat=True))
    if due and len(untested(lot, [report])) == len(due) and kinds <= {TestResult.LimitKind.REPORT, ""}:
        message = _("批次 %(lot)s 凭报告 %(report)s 放行，出厂检验应检的项目它一项也没有，合格只按它自己写的限值。") % {
            "lot": lot.code,
            "report": report.report_number,
        }
        yield BrokenGuard("own_limits_only", message, lot=lot, warns=True, report=report.uid)


@transaction.atomic
def answer_report(
    *, by: Actor, report: TestReport, answer: str, reason: str = "", at: datetime.datetime | None = None
) -> ReportAnswer:
    """The laboratory a report names says whether it issued it; the last answer counts, earlier ones stay.

    A denial is a contradiction (``Conflict``) for who recorded the report and for the regulator, until the laboratory
    confirms. What a failed report was flagged for is settled by its denial, and flagged again where the laboratory
    takes that back. Refuses other organisations (404), an unknown answer (``unknown_choice``), a denial without reason
    (``required``), the same answer again (``already_answered``).
    """
    if report.laboratory_id is None or report.laboratory_id != by.owner.pk:
        raise NotFound(_("没有找到，或者您无权查看。"))
    by.require("operator", "quality")
    if answer not in ReportAnswer.Answer.values:
        raise Invalid(_("请从列表中选择。"), code="unknown_choice")
    denied = answer == ReportAnswer.Answer.DENIED
    words = clean_text(reason, 500, True, required=denied)
    lock_log_head()  # no lot is released between what is asked here and what follows from it
    TestReport.objects.select_for_update().get(pk=report.pk)
    last = report.answers.order_by("id").last()
    if last is not None and last.answer == answer and last.reason == words:
        raise Clash(_("已经这样答复过了。"), code="already_answered")
    now = at or timezone.now()
    row = ReportAnswer.objects.create(
        report=report, laboratory=by.owner, answer=answer, reason=words, by=by.user, at=now
    )
    open_ones = Conflict.objects.filter(event=report.event, code="report_denied", answered_at=None)
    if not denied:
        open_ones.update(answered_at=now, answered_by=by.user, answer=_("检验机构后来确认了这份报告。"))
        if last is not None and last.answer == ReportAnswer.Answer.DENIED and not report.event.corrections.exists():
            flag_released(report, now)
    elif not open_ones.exists():
        Conflict.objects.create(
            event=report.event,
            organisation=report.organisation,
            lot=report.lot,
            code="report_denied",
            details=BrokenGuard(
                "report_denied",
                _("检验机构“%(lab)s”否认报告 %(number)s：%(reason)s")
                % {"lab": by.owner.name, "number": report.report_number, "reason": words},
                lot=report.lot,
                report=report.uid,
            ).as_record(),
            at=now,
        )
    if denied:
        settle_denied(report, row)
    return row
