"""What was found: test reports and files; what may not move: holds; what does not fit: conflicts."""

import base64
import io
from typing import Annotated, Literal

from django.db.models import Count
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from ninja import Query
from pydantic import Field

from trace.access import (
    conflict_for,
    conflicts_visible_to,
    file_for,
    hold_for,
    holds_visible_to,
    lot_for,
    report_for,
    reports_visible_to,
)
from trace.actions.conflicts import answer_conflict
from trace.actions.evidence import ResultEntry, answer_report, record_report
from trace.actions.files import store_file
from trace.actions.holds import end_hold, place_hold
from trace.api import examples
from trace.api.auth import acting
from trace.api.errors import inside
from trace.api.given import (
    MOST_LINES,
    Data,
    Happening,
    PortionIn,
    Remark,
    WrittenReason,
    files_of,
    lots_of,
    own_place,
    party,
    portions_of,
)
from trace.api.operations import Area
from trace.api.paging import Feed, Page, turn
from trace.api.schemas import AmountIn, Day, In, Named, Out, Text, Uid
from trace.api.shapes import (
    REPORT_PARTS,
    ConflictOut,
    HoldOut,
    ReportOut,
    reports_out,
)
from trace.errors import Invalid
from trace.models import HoldSet, StoredFile, TestReport

FILE_TEXT_MAX = 9_800_000
"""Base64 that fits a request together with the rest of it."""

evidence = Area("evidence", gettext_lazy("检验报告"))
holds = Area("holds", gettext_lazy("封存与矛盾"))


# --- Reports --------------------------------------------------------------------------------------------------------


class WantedReports(Feed):
    """Which reports."""

    lot: Uid | None = None
    verdict: Literal["", "pass", "fail", "not_judged"] = ""
    naming_me: bool = Field(False, description="Only reports that name the caller as their laboratory.")


@evidence.read(
    "/reports",
    who="signed_in",
    answer=Page[ReportOut],
    example=examples.page(examples.REPORT),
    summary=gettext_lazy("列出检验报告"),
)
def list_reports(request: HttpRequest, wanted: Query[WantedReports]) -> Page[ReportOut]:
    """Reports of lots the caller may open."""
    rows = reports_visible_to(acting(request))
    if wanted.lot:
        rows = rows.filter(lot__uid=wanted.lot)
    if wanted.verdict:
        rows = rows.filter(verdict=wanted.verdict)
    if wanted.naming_me:
        rows = rows.filter(laboratory=acting(request).owner)
    return turn(rows.select_related(*REPORT_PARTS), wanted, reports_out)


@evidence.read(
    "/reports/{uid}",
    who="signed_in",
    answer=ReportOut,
    example=examples.REPORT,
    summary=gettext_lazy("查看一份检验报告"),
)
def get_report(request: HttpRequest, uid: Named) -> ReportOut:
    """One report."""
    return reports_out([report_for(acting(request), uid)])[0]


class ResultIn(In):
    """One measured item: decimal text, or `nd` (not detected) with its limit of quantification; the limit if stated."""

    parameter: Annotated[str, Text(60, required=True)]
    name: Annotated[str, Text(120, required=True)]
    name_en: Annotated[str, Text(120)] = ""
    operator: Literal["=", "<", "nd"] = "="
    value: Annotated[str, Text(40)] = ""
    loq: Annotated[str, Text(40)] = ""
    unit: Annotated[str, Text(20)] = ""
    limit_operator: Literal["", "<=", ">="] = ""
    limit_value: Annotated[str, Text(40)] = ""
    limit_source: Annotated[str, Text(120)] = ""
    method: Annotated[str, Text(80)] = ""


class ReportIn(Happening):
    """A laboratory's report on one lot. `occurred_at` is when the sample was taken."""

    template: Annotated[str, Text(60)] = Field("common.sample", description="The step of taking the sample.")
    report_number: Annotated[str, Text(40, required=True)]
    issued_on: Day
    laboratory: Uid | None = Field(None, description="A laboratory that uses the system; else give its name.")
    laboratory_name: Annotated[str, Text(120)] = ""
    cma_number: Annotated[str, Text(20)] = ""
    purpose: Annotated[str, Text(20)] = "出厂检验"
    results: list[ResultIn] = Field(min_length=1, max_length=MOST_LINES)
    sample: AmountIn | None = Field(None, description="What was taken from stock for it.")
    place: Uid | None = None
    file: Uid | None = Field(None, description="The report itself, uploaded before by `POST /files`.")
    data: Data = Field(default_factory=dict)
    remark: Remark = ""
    insist: bool = False


REPORT_IN = {
    "occurred_at": "2026-11-05T09:00:00+08:00",
    "report_number": "SL-2026-0412",
    "issued_on": "2026-11-10",
    "laboratory_name": "示例检测技术服务有限公司",
    "results": [
        {"parameter": "abv", "name": "酒精度", "value": "53", "unit": "%vol"},
        {"parameter": "methanol", "name": "甲醇", "value": "0.12", "unit": "g/L"},
    ],
}


@evidence.write(
    "/lots/{uid}/reports",
    who="signed_in",
    answer=ReportOut,
    example=examples.REPORT,
    body_example=REPORT_IN,
    summary=gettext_lazy("登记检验报告"),
    description=gettext_lazy(
        "按生产日期当天有效的标准、产品的承诺和报告所载限值中最严的一个判定；甲醇、氰化物换算到 100%vol。"
        "没有限值的不判定。未检出不是零。"
    ),
)
def add_report(request: HttpRequest, uid: Named, body: ReportIn) -> ReportOut:
    """Record a test of a lot."""
    actor = acting(request)
    lot = lot_for(actor, uid)
    sample = None
    if body.sample is not None:
        sample = portions_of(actor, [PortionIn(lot=str(lot.uid), amount=body.sample, place=body.place)])[0]
    with inside("data"):
        report = record_report(
            by=actor,
            lot=lot,
            report_number=body.report_number,
            issued_on=body.issued_on,
            results=[ResultEntry(**result.model_dump()) for result in body.results],
            when=body.when(),
            laboratory=party(request, body.laboratory),
            laboratory_name=body.laboratory_name,
            cma_number=body.cma_number,
            purpose=body.purpose,
            code=body.template,
            data=body.data,
            sample=sample,
            place=own_place(request, body.place),
            file=files_of(actor, [body.file])[0] if body.file else None,
            remark=body.remark,
            insist=body.insist,
        )
    return reports_out([TestReport.objects.select_related(*REPORT_PARTS).get(pk=report.pk)])[0]


class ReportAnswerIn(In):
    """Whether the laboratory issued the report that names it; a denial needs a reason."""

    answer: Literal["confirmed", "denied"]
    reason: Annotated[str, Text(500, multiline=True)] = ""


@evidence.write(
    "/reports/{uid}/answer",
    who="party",
    answer=ReportOut,
    example={**examples.REPORT, "laboratory_says": "confirmed"},
    body_example={"answer": "confirmed"},
    status=200,
    summary=gettext_lazy("检验机构确认或否认报告"),
    description=gettext_lazy("只有报告写明的检验机构能答复；最后一次答复算数。否认后登记单位和监管部门会看到矛盾。"),
)
def answer_a_report(request: HttpRequest, uid: Named, body: ReportAnswerIn) -> ReportOut:
    """Confirm or deny a report in the caller's name."""
    actor = acting(request)
    row = report_for(actor, uid)
    answer_report(by=actor, report=row, answer=body.answer, reason=body.reason)
    return reports_out([TestReport.objects.select_related(*REPORT_PARTS).get(pk=row.pk)])[0]


# --- Files ----------------------------------------------------------------------------------------------------------


class FileIn(In):
    """A photograph or PDF, in base64. Pictures are made anew: nothing of camera, place or owner is left in them."""

    name: Annotated[str, Text(120, required=True)]
    content: Annotated[str, Field(max_length=FILE_TEXT_MAX)]


class FileOut(Out):
    """A file that was kept; name it in `files` of an event or `file` of a report. `sha256` is of what was kept."""

    uid: str
    name: str
    media_type: str
    size: int
    sha256: str

    @classmethod
    def of(cls, row: StoredFile) -> "FileOut":
        """From the row."""
        return cls(uid=str(row.uid), name=row.name, media_type=row.media_type, size=row.size, sha256=row.sha256)


FILE = {
    "uid": "0199b0c0-0000-7000-8000-00000000000e",
    "name": "报告.pdf",
    "media_type": "application/pdf",
    "size": 48213,
    "sha256": examples.EVENT["sha256"],
}


@evidence.write(
    "/files",
    who="signed_in",
    answer=FileOut,
    example=FILE,
    body_example={"name": "报告.pdf", "content": "JVBERi0xLjQKJSVFT0YK"},
    summary=gettext_lazy("上传凭证"),
    description=gettext_lazy("照片或 PDF，最多约 7 MB。登记环节或报告时写明它的 uid。"),
)
def add_file(request: HttpRequest, body: FileIn) -> FileOut:
    """Keep a file until an event or report names it."""
    try:
        content = base64.b64decode(body.content, validate=True)
    except ValueError:
        raise Invalid(_("文件内容要用 base64 编码。"), code="not_base64") from None
    return FileOut.of(store_file(by=acting(request), name=body.name, content=io.BytesIO(content)))


@evidence.read("/files/{uid}", who="signed_in", answer=FileOut, example=FILE, summary=gettext_lazy("查看一个凭证"))
def get_file(request: HttpRequest, uid: Named) -> FileOut:
    """What is known of a file the caller may open."""
    return FileOut.of(file_for(acting(request), uid))


# --- Holds ----------------------------------------------------------------------------------------------------------


class WantedHolds(Feed):
    """Which holds."""

    active: bool | None = None


def _holds_out(rows: list[HoldSet]) -> list[HoldOut]:
    """Holds with how many lots each has: one query however many."""
    found = HoldSet.objects.filter(pk__in=[row.pk for row in rows]).annotate(n=Count("members__lot", distinct=True))
    counts = dict(found.values_list("pk", "n"))
    return [HoldOut.of(row, counts.get(row.pk, 0)) for row in rows]


@holds.read(
    "/holds",
    who="signed_in",
    answer=Page[HoldOut],
    example=examples.page(examples.HOLD),
    summary=gettext_lazy("列出封存"),
)
def list_holds(request: HttpRequest, wanted: Query[WantedHolds]) -> Page[HoldOut]:
    """Holds set by the caller or on lots it may open."""
    rows = holds_visible_to(acting(request)).select_related("organisation")
    if wanted.active is not None:
        active = {"active_from__isnull": False, "ended_at__isnull": True}
        rows = rows.filter(**active) if wanted.active else rows.exclude(**active)
    return turn(rows, wanted, _holds_out)


@holds.read(
    "/holds/{uid}", who="signed_in", answer=HoldOut, example=examples.HOLD, summary=gettext_lazy("查看一项封存")
)
def get_hold(request: HttpRequest, uid: Named) -> HoldOut:
    """One hold."""
    return _holds_out([hold_for(acting(request), uid)])[0]


class HoldIn(In):
    """Lots to stop at once. One authorised person suffices."""

    lots: list[Uid] = Field(min_length=1, max_length=MOST_LINES)
    reason: WrittenReason
    kind: Literal["hold", "stop_sale"] = "hold"
    legal_basis: Annotated[str, Text(120)] = ""


@holds.write(
    "/holds",
    who="signed_in",
    answer=HoldOut,
    example=examples.HOLD,
    body_example={"lots": [examples.LOT_REF["uid"]], "reason": "复检中"},
    summary=gettext_lazy("封存批次"),
    description=gettext_lazy("封存后立即不能使用、发货、销售和赋码。召回随召回流程发起，不在这里。"),
)
def hold_lots(request: HttpRequest, body: HoldIn) -> HoldOut:
    """Hold lots."""
    actor = acting(request)
    lots = list(lots_of(actor, body.lots).values())
    row = place_hold(by=actor, lots=lots, reason=body.reason, kind=body.kind, legal_basis=body.legal_basis)
    return _holds_out([row])[0]


class EndIn(In):
    """Why the hold ends."""

    reason: WrittenReason


@holds.write(
    "/holds/{uid}/end",
    who="signed_in",
    answer=HoldOut,
    example={**examples.HOLD, "active": False, "ended_at": "2026-11-22T02:00:00Z"},
    body_example={"reason": "复检合格"},
    status=200,
    summary=gettext_lazy("解除封存"),
    description=gettext_lazy("只解除这一项；同一批次的其他封存不变。"),
)
def lift_hold(request: HttpRequest, uid: Named, body: EndIn) -> HoldOut:
    """Lift one hold."""
    actor = acting(request)
    return _holds_out([end_hold(by=actor, hold=hold_for(actor, uid), reason=body.reason)])[0]


# --- Conflicts ------------------------------------------------------------------------------------------------------


class WantedConflicts(Feed):
    """Which conflicts."""

    lot: Uid | None = None
    open: bool = Field(False, description="Only those nobody answered.")


@holds.read(
    "/conflicts",
    who="signed_in",
    answer=Page[ConflictOut],
    example=examples.page(examples.CONFLICT),
    summary=gettext_lazy("列出矛盾"),
    description=gettext_lazy("已经登记、但与其他记录对不上的事情。"),
)
def list_conflicts(request: HttpRequest, wanted: Query[WantedConflicts]) -> Page[ConflictOut]:
    """Conflicts of the caller's facts; for regulators those of the territory."""
    rows = conflicts_visible_to(acting(request))
    if wanted.lot:
        rows = rows.filter(lot__uid=wanted.lot)
    if wanted.open:
        rows = rows.filter(answered_at=None, voided_by=None)
    rows = rows.select_related("event", "organisation", "lot__product", "lot__product_version")
    return turn(rows, wanted, lambda found: [ConflictOut.of(row) for row in found])


class ConflictAnswerIn(In):
    """What was behind a conflict, in a sentence. It stays counted; the regulator reads the answer."""

    answer: Annotated[str, Text(500, multiline=True, required=True)]


@holds.write(
    "/conflicts/{uid}/answer",
    who="party",
    answer=ConflictOut,
    example={**examples.CONFLICT, "answered_at": "2026-11-21T02:00:00Z", "answer": "途中破损 3 升。"},
    body_example={"answer": "途中破损 3 升。"},
    status=200,
    summary=gettext_lazy("说明矛盾"),
)
def explain_conflict(request: HttpRequest, uid: Named, body: ConflictAnswerIn) -> ConflictOut:
    """Say what was behind a conflict of the caller's own facts."""
    actor = acting(request)
    answer_conflict(by=actor, conflict=conflict_for(actor, uid), answer=body.answer)
    rows = conflicts_visible_to(actor).select_related("event", "organisation", "lot__product", "lot__product_version")
    return ConflictOut.of(rows.get(uid=uid))
