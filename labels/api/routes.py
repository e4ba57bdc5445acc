"""Labels: issue codes, print them, one code as picture, exceptions; and what a code says to anybody."""

import base64
import datetime
from typing import Annotated, Literal

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from ninja import Query
from pydantic import Field

from labels import limits, preview, provenance, qr, resolve
from labels.access import run_for, runs_visible_to, unit_of, units_of
from labels.actions.runs import (
    MAX_CODES,
    except_units,
    issue_codes,
    note_download,
    record_download,
    record_print,
    void_run,
)
from labels.api import examples
from labels.contents import contents, lot_content, uri_of
from labels.layouts import DEFAULT_SHEET
from labels.layouts import layout as layout_of
from labels.models import CodeException, CodeRun
from labels.queries import printable_units
from labels.sheets import render_sheet
from recalls.queries import PublicRecall
from trace.access import entered_for, lot_for
from trace.api.auth import acting
from trace.api.examples import page
from trace.api.given import WrittenReason, when
from trace.api.operations import Area
from trace.api.paging import Feed, Page, turn
from trace.api.schemas import In, Moment, Named, Out, Text, Uid, Whole
from trace.api.shapes import LotRef, OrganisationRef, lot_ref
from trace.errors import Invalid, NotFound, TooMany
from trace.identifiers import uuid7
from trace.models import Unit

MOST_LABELS = 1000
"""Of one print by the API: the document is kept with the answer, so that a repeat gives the same paper."""

area = Area("labels", gettext_lazy("标签与赋码"))


class RunOut(Out):
    """One order of codes for one lot. `public_host` and `gtin` are frozen: they are what the paper says for ever."""

    uid: str
    organisation: OrganisationRef
    lot: LotRef
    kind: str
    level: str
    count: int
    first_number: int
    status: str
    layout: str
    material: str
    gtin: str
    public_host: str
    checks: bool = Field(description="Whether each label has a check code under a layer.")
    event: str | None
    at: datetime.datetime

    @classmethod
    def of(cls, row: CodeRun) -> "RunOut":
        """From the row (organisation, lot with product and version, event selected)."""
        return cls(
            uid=str(row.uid),
            organisation=OrganisationRef.of(row.organisation),
            lot=lot_ref(row.lot),
            kind=row.kind,
            level=row.level,
            count=row.count,
            first_number=row.first_number,
            status=row.status,
            layout=row.layout,
            material=row.material,
            gtin=row.gtin,
            public_host=row.public_host,
            checks=row.checks,
            event=str(row.event.uid) if row.event else None,
            at=row.at,
        )


class UnitOut(Out):
    """One code of a run with the address its label carries."""

    number: int
    code: str
    uri: str
    level: str
    state: str


class WantedRuns(Feed):
    """Which runs."""

    lot: Uid | None = None


@area.read(
    "/code-runs",
    who="signed_in",
    answer=Page[RunOut],
    example=page(examples.RUN),
    summary=gettext_lazy("列出赋码任务"),
)
def list_code_runs(request: HttpRequest, wanted: Query[WantedRuns]) -> Page[RunOut]:
    """Runs of the caller's; for regulators those of the territory."""
    rows = runs_visible_to(acting(request)).select_related("event")
    if wanted.lot:
        rows = rows.filter(lot__uid=wanted.lot)
    return turn(rows, wanted, lambda found: [RunOut.of(row) for row in found])


@area.read(
    "/code-runs/{uid}",
    who="signed_in",
    answer=RunOut,
    example=examples.RUN,
    summary=gettext_lazy("查看一次赋码"),
)
def get_code_run(request: HttpRequest, uid: Named) -> RunOut:
    """One run."""
    return RunOut.of(run_for(acting(request), uid))


class RunIn(In):
    """So many unit codes for a lot, or labels that all carry the lot's own code."""

    count: Annotated[int, Whole(1, MAX_CODES)]
    kind: Literal["unit", "lot"] = "unit"
    level: Literal["item", "box", "carton", "pallet"] = "item"
    layout: Annotated[str, Text(20)] = DEFAULT_SHEET
    material: Annotated[str, Text(12)] = qr.Material.SMOOTH.value
    with_gtin: bool | None = Field(
        None, description="Addresses with the GTIN; by default where its claim is confirmed."
    )
    checks: bool = Field(False, description="A check code under a layer on each label.")
    occurred_at: Moment | None = None


@area.write(
    "/lots/{uid}/code-runs",
    who="party",
    answer=RunOut,
    example=examples.RUN,
    body_example={"count": 600, "kind": "unit", "layout": "a4-24"},
    summary=gettext_lazy("签发追溯码"),
    description=gettext_lazy("只能为本单位生产的批次签发；已封存或召回的批次不能签发（409）。"),
)
def issue_code_run(request: HttpRequest, uid: Named, body: RunIn) -> RunOut:
    """Issue codes for a lot."""
    actor = acting(request)
    run = issue_codes(
        by=actor,
        lot=lot_for(actor, uid, write=True),
        count=body.count,
        key=f"api:{uuid7()}",  # the idempotency key has already made sure that this runs once
        kind=body.kind,
        level=body.level,
        layout=body.layout,
        material=body.material,
        with_gtin=body.with_gtin,
        checks=body.checks,
        when=when(body.occurred_at) if body.occurred_at else None,
    )
    return RunOut.of(run_for(actor, run.uid))


@area.read(
    "/code-runs/{uid}/units",
    who="signed_in",
    answer=Page[UnitOut],
    example=page(examples.UNIT),
    summary=gettext_lazy("列出单件码"),
)
def list_units(request: HttpRequest, uid: Named, paging: Query[Feed]) -> Page[UnitOut]:
    """The codes of a run with their addresses; each page of them is written down."""
    actor = acting(request)
    run = run_for(actor, uid)

    def shape(found: list[Unit]) -> list[UnitOut]:
        if found and run.organisation_id in entered_for(actor):
            places = sorted(row.number - run.first_number + 1 for row in (found[0], found[-1]))
            note_download(by=actor, run=run, first=places[0], last=places[1], what="API units")
        return [
            UnitOut(number=row.number, code=row.code, uri=uri_of(run, row), level=row.level, state=row.state)
            for row in found
        ]

    return turn(units_of(run), paging, shape, by="number")


# --- Pictures and paper ---------------------------------------------------------------------------------------------

Number = Annotated[int, Whole(1, MAX_CODES)]


def _code_of(request: HttpRequest, uid: str, number: int) -> tuple[str, qr.Material]:
    """The address of one label of the caller's run, and what it is printed on; the download is written down. Refused
    for a blocked lot.
    """
    actor = acting(request)
    run = run_for(actor, uid, write=True)
    unit = None if run.kind == CodeRun.Kind.LOT else unit_of(run, number)
    what = f"API {request.path.rpartition('/')[2]}"
    record_download(by=actor, run=run, first=number, last=number, what=what)
    return uri_of(run, unit), qr.Material(run.material)


@area.read(
    "/code-runs/{uid}/code.svg",
    who="party",
    answer=None,
    example="<svg xmlns='http://www.w3.org/2000/svg'/>",
    media_type="image/svg+xml",
    summary=gettext_lazy("单个二维码（SVG）"),
    description=gettext_lazy("number 是这次赋码里的序号，从 1 开始。已封存或召回的批次不提供（409）。"),
)
def get_code_svg(request: HttpRequest, uid: Named, number: Number = 1) -> HttpResponse:
    """One code for one's own artwork."""
    uri, material = _code_of(request, uid, number)
    return HttpResponse(preview.code_svg(uri, material=material), content_type="image/svg+xml")


@area.read(
    "/code-runs/{uid}/code.png",
    who="party",
    answer=None,
    example="PNG",
    media_type="image/png",
    summary=gettext_lazy("单个二维码（PNG）"),
)
def get_code_png(
    request: HttpRequest, uid: Named, number: Number = 1, dpi: Annotated[int, Whole(150, 1200)] = 300
) -> HttpResponse:
    """One code as black-and-white picture, a module being whole dots of the printer."""
    uri, material = _code_of(request, uid, number)
    return HttpResponse(preview.code_png(uri, dpi=dpi, material=material), content_type="image/png")


class PrintIn(In):
    """Labels `first` to `last` of a run (positions from 1). Printing a label again is a reprint and needs a reason."""

    first: Number
    last: Number
    start: Annotated[int, Whole(1, 500)] = Field(1, description="Place on a partly used sheet where printing begins.")
    crop_marks: bool = False
    reason: Annotated[str, Text(300, multiline=True)] = ""
    test: bool = Field(False, description="A test print on plain paper: one label.")


class PrintOut(Out):
    """What was printed, written down, and the paper as PDF in base64."""

    step: str
    first: int
    last: int
    at: datetime.datetime
    media_type: str
    document: str


@area.write(
    "/code-runs/{uid}/prints",
    who="party",
    answer=PrintOut,
    example=examples.PRINT,
    body_example={"first": 1, "last": 24},
    summary=gettext_lazy("打印标签（PDF）"),
    description=gettext_lazy(
        "记录和文件一起生成，画不出来就不记录。同一个幂等键重发得到同一份文件，不算补打。一次最多 1000 枚。"
    ),
)
def print_labels(request: HttpRequest, uid: Named, body: PrintIn) -> PrintOut:
    """Write down and draw in one transaction: a drawing that fails leaves no record of a print that never was."""
    actor = acting(request)
    run = run_for(actor, uid, write=True)
    if body.last - body.first >= MOST_LABELS:
        raise Invalid(
            _("一次最多打印 %(most)d 枚，请分几次打印。") % {"most": MOST_LABELS}, code="bad_range", most=MOST_LABELS
        )
    step = record_print(by=actor, run=run, first=body.first, last=body.last, reason=body.reason, test=body.test)
    if run.kind == CodeRun.Kind.LOT:
        wanted = [lot_content(run)] * (body.last - body.first + 1)
    else:
        wanted = contents(run, printable_units(run, body.first, body.last), reveal=not body.test)
    document = render_sheet(
        wanted,
        layout_of(run.layout),
        start=body.start,
        crop_marks=body.crop_marks,
        material=qr.Material(run.material),
        title=f"{run.lot.product_version.label} {run.lot.code}",
    )
    return PrintOut(
        step=step.step,
        first=step.first,
        last=step.last,
        at=step.at,
        media_type="application/pdf",
        document=base64.b64encode(document).decode(),
    )


class ExceptionIn(In):
    """Labels that are spoiled, or codes that must not be in use; nothing brings them back."""

    first: Number
    last: Number
    kind: Literal["spoiled", "void"]
    reason: WrittenReason


class ExceptionOut(Out):
    """One exception of one code."""

    uid: str
    code: str
    kind: str
    reason: str
    at: datetime.datetime


@area.write(
    "/code-runs/{uid}/exceptions",
    who="party",
    answer=list[ExceptionOut],
    example=[examples.EXCEPTION],
    body_example={"first": 3, "last": 3, "kind": "spoiled", "reason": "标签纸卡住"},
    summary=gettext_lazy("登记损坏或作废"),
)
def add_code_exceptions(request: HttpRequest, uid: Named, body: ExceptionIn) -> list[ExceptionOut]:
    """Mark codes spoiled or void."""
    actor = acting(request)
    run = run_for(actor, uid, write=True)
    if not body.first <= body.last <= run.count:
        raise Invalid(
            _("范围应在第 1 到第 %(most)d 枚之间，且起始不大于结束。") % {"most": run.count}, code="bad_range"
        )
    begin = run.first_number
    units = list(units_of(run).filter(number__gte=begin + body.first - 1, number__lte=begin + body.last - 1))
    rows = except_units(by=actor, units=units, kind=body.kind, reason=body.reason)
    codes = {unit.pk: unit.code for unit in units}
    return [_exception_out(row, codes) for row in rows]


def _exception_out(row: CodeException, codes: dict[int, str]) -> ExceptionOut:
    """One row just written."""
    return ExceptionOut(
        uid=str(row.uid), code=codes.get(row.unit_id or 0, ""), kind=row.kind, reason=row.reason, at=row.at
    )


class VoidIn(In):
    """Why every code of a run is void."""

    reason: WrittenReason


@area.write(
    "/code-runs/{uid}/void",
    who="party",
    answer=RunOut,
    example={**examples.RUN, "status": "void"},
    body_example={"reason": "整卷标签印错品名"},
    status=200,
    summary=gettext_lazy("整次作废"),
)
def void_code_run(request: HttpRequest, uid: Named, body: VoidIn) -> RunOut:
    """Make every code of a run void."""
    actor = acting(request)
    run = void_run(by=actor, run=run_for(actor, uid, write=True), reason=body.reason)
    return RunOut.of(run_for(actor, run.uid))


# --- What a code says to anybody ------------------------------------------------------------------------------------


class CodeRecallOut(Out):
    """An announced recall that covers the code."""

    number: str
    title: str
    reason: str
    risk: str
    what_to_do: str
    phone: str
    announced_at: datetime.datetime

    @classmethod
    def of(cls, found: PublicRecall) -> "CodeRecallOut":
        """From the public form."""
        return cls(**{name: getattr(found, name) for name in cls.model_fields})


class CodeOut(Out):
    """The public state of a code: recalled, maybe_recalled (what passed through the traders named is recalled, and
    nothing tells whether these goods did), void, suspicious, held, expired, or ok (nothing is known against it).
    """

    verdict: str
    code: str
    product: str
    lot_code: str
    issuer: str
    produced_on: datetime.date | None
    expires_on: datetime.date | None
    scans: int
    phone: str
    recalls: list[CodeRecallOut]
    sibling_recalls: list[CodeRecallOut] = Field(description="Recalls of other units of the lot.")
    through: list[str] = Field(
        default_factory=list, description="Of a recall of what passed through traders' hands: whose."
    )


@area.read(
    "/public/codes",
    who="public",
    answer=CodeOut,
    example=examples.CODE,
    summary=gettext_lazy("查询一个码的公开状态"),
    description=gettext_lazy(
        "q 是扫到或输入的内容：网址、追溯码、GS1 元素串。查询不计入扫码次数。“信息正常”只表示没有不利记录。"
    ),
)
def get_code(request: HttpRequest, q: Annotated[str, Text(500, required=True)]) -> CodeOut:
    """What stands against a code now. Reading writes nothing."""
    target = resolve.by_text(q)
    if target is None or target.lot is None:
        if not limits.spend("unknown", request.META.get("REMOTE_ADDR", ""), limits.UNKNOWN_CODES):
            raise TooMany(_("查询或提交太频繁，请过一会儿再试。"))
        raise NotFound(_("查无此码。请核对后重新输入。"), code="unknown_code")
    page = provenance.page_of(target)
    return CodeOut(
        verdict=page.verdict.value,
        code=target.code,
        product=page.version.label,
        lot_code=page.lot.code,
        issuer=page.lot.organisation.label,
        produced_on=page.lot.produced_on,
        expires_on=page.lot.expires_on,
        scans=page.scans.count,
        phone=page.recall_phone,
        recalls=[CodeRecallOut.of(found) for found in (*page.standing.recalls, *page.standing.maybe_recalls)],
        sibling_recalls=[CodeRecallOut.of(found) for found in page.standing.siblings],
        through=[one.label for one in (*page.standing.through, *page.standing.spared_through)],
    )
