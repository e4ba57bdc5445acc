"""What a failed report says of goods made of what it is on: flagged while it stands, settled when none stands."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable, Iterator

from django.utils import timezone

from trace.among import among
from trace.divided import goods_of, parts_of
from trace.errors import BrokenGuard
from trace.genealogy import MOST_REACHED, made_of, walk
from trace.lot_words import named_to
from trace.models import Conflict, Event, Lot, ReportAnswer, TestReport
from trace.sentences import gettext as _
from trace.unseen import not_all_above, not_all_below

ANSWER_MAX = 500
_SHOWN = ("lot__product_version", "lot__origin_event", "lot__organisation__division__parent")


def failed_upstream(lot: Lot, line: set[int]) -> Iterator[BrokenGuard]:
    """The newest report that failed on each lot this one was made of, other than the goods it is (``line``): flagged
    when it is released all the same; and that not all of them were looked at.
    """
    back = walk([lot], "back")
    for row in _failing([pk for pk in back.level if pk not in line]).values():
        yield _ancestor_failed(lot, row, row.lot)
    if back.cut:
        name = _("批次 %(lot)s") % {"lot": lot.code}
        yield not_all_above(back, name, _("其余有没有检验不合格的，没有查"), lot=lot)


def flag_released(report: TestReport, at: datetime.datetime | None) -> None:
    """A failed report contradicts the releases of the lot and of what was only divided off it: a conflict for each
    (``failed_after_release``). What was made of it and is released already is flagged as it would have been at its
    release (``ancestor_failed``). What this report is flagged for and open already is not doubled.
    """
    if report.verdict != TestReport.Verdict.FAIL:
        return
    parts = parts_of(Lot.objects.select_related("released_by", "organisation").get(pk=report.lot_id))
    same = {lot.pk for lot in parts}
    forward = walk([report.lot_id], "forward", limit=MOST_REACHED)
    below = [pk for pk in forward.level if pk not in same]
    there = {
        (row.lot_id, row.code)
        for row in _open_of(("failed_after_release", "ancestor_failed"), [*same, *below])
        if row.details.get("report") == str(report.uid)
    }
    source = Lot.objects.select_related("product_version", "origin_event", "organisation__division__parent")
    tested = source.get(pk=report.lot_id)
    made = Lot.objects.filter(among("pk", below), released_by__isnull=False, voided_by=None)
    found = [
        (report.event, _failed_after_release(lot, report, lot.released_by))
        for lot in parts
        if lot.released_by is not None
    ]
    found += [
        (lot.released_by, _ancestor_failed(lot, report, tested))
        for lot in made.select_related("released_by").order_by("pk")
        if lot.released_by is not None
    ]
    if forward.cut:
        found.append((report.event, not_all_below(forward, tested)))
    Conflict.objects.bulk_create(
        [
            Conflict(
                event=event,
                organisation_id=guard.lot.organisation_id,
                lot=guard.lot,
                code=guard.code,
                details=guard.as_record(),
                at=at or timezone.now(),
            )
            for event, guard in found
            if (guard.lot.pk, guard.code) not in there
        ],
        batch_size=500,
    )


def settle_wrong(report: TestReport, declaration: Event) -> None:
    """Undo, along with a failed report declared wrong, what goods made of what it is on were flagged for."""
    Conflict.objects.filter(among("pk", _settled_with(report))).update(voided_by=declaration)


def settle_denied(report: TestReport, answer: ReportAnswer) -> None:
    """Answer what goods were flagged for by a failed report that its laboratory denies now: in its name."""
    words = _("检验机构“%(lab)s”否认了报告 %(number)s，所说的不合格不再作数。") % {
        "lab": answer.laboratory.name,
        "number": report.report_number,
    }
    own = _open_of(("failed_after_release",), [lot.pk for lot in parts_of(report.lot)])
    denied = [row.pk for row in own if row.details.get("report") == str(report.uid)]
    rows = Conflict.objects.filter(among("pk", [*denied, *_settled_with(report)]))
    rows.update(answered_at=answer.at, answered_by=answer.by, answer=words[:ANSWER_MAX])


def _settled_with(report: TestReport) -> list[int]:
    """The open conflicts of goods made of what a report is on, above which no failed report is left now that this one
    says nothing any more. What people have answered stays as it is. Needs the log head held; two walks.
    """
    if report.verdict != TestReport.Verdict.FAIL:
        return []
    reached = walk([report.lot_id], "forward", limit=MOST_REACHED).level
    return _no_longer_failed(_open_of(("ancestor_failed",), reached))


def _open_of(codes: Collection[str], lots: Iterable[int]) -> list[Conflict]:
    """Conflicts of these kinds on these lots that nobody has answered and nothing has undone."""
    rows = Conflict.objects.filter(among("lot", lots), code__in=codes, answered_at=None, voided_by=None)
    return list(rows.select_related("lot").order_by("pk"))


def _failing(lots: Iterable[int]) -> dict[int, TestReport]:
    """Of the lots whose newest counted report failed, that report, by the lot's row number."""
    rows = TestReport.objects.counted().filter(among("lot", lots))
    newest: dict[int, TestReport] = {}
    for row in rows.select_related(*_SHOWN).order_by("-issued_on", "-id"):
        newest.setdefault(row.lot_id, row)
    return {lot: row for lot, row in newest.items() if row.verdict == TestReport.Verdict.FAIL}


def _no_longer_failed(rows: Collection[Conflict]) -> list[int]:
    """Those of some conflicts above whose lots no failed report is left. None where not all ancestors were seen."""
    lots = {row.lot.pk: row.lot for row in rows if row.lot is not None}
    if not lots:
        return []
    back = walk(list(lots), "back", limit=MOST_REACHED)
    if back.cut:
        return []
    lines = {pk: {each.pk for each in line} for pk, line in goods_of(list(lots.values())).items()}
    still: set[int] = set()
    for failed in _failing(back.level):
        still |= {pk for pk in made_of(back, [failed]) & lots.keys() if failed not in lines[pk]}
    return [row.pk for row in rows if row.lot_id not in still]


def _ancestor_failed(lot: Lot, report: TestReport, tested: Lot) -> BrokenGuard:
    """What a lot was made of had failed; a stranger's lot is named by its region only."""
    message = _("批次 %(lot)s 用的%(other)s检验不合格（报告 %(report)s）。请说明怎样处理过。") % {
        "lot": lot.code,
        "other": named_to(lot.organisation_id, tested),
        "report": report.report_number,
    }
    return BrokenGuard("ancestor_failed", message, lot=lot, warns=True, report=report.uid, other_lot=tested.uid)


def _failed_after_release(lot: Lot, report: TestReport, release: Event) -> BrokenGuard:
    """Goods that were let go failed afterwards."""
    message = _("批次 %(lot)s 已经放行，报告 %(report)s 却不合格。请立即核查，必要时封存、召回。") % {
        "lot": lot.code,
        "report": report.report_number,
    }
    return BrokenGuard("failed_after_release", message, lot=lot, report=report.uid, other_event=release.uid)
