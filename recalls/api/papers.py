"""Documents of a recall: the list with what each lacks, making one, its data, copies, the closure pack."""

import datetime
from typing import Annotated, Any, Literal

from django.http import FileResponse, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from recalls.access import campaign_for, drill_for, letter_for, paper_for, reads_papers
from recalls.actions.packs import hand_out_pack, order_pack
from recalls.actions.papers import as_page, hand_out, make_drill_report, make_paper
from recalls.api import examples
from recalls.api.area import area
from recalls.api.beside import NothingIn
from recalls.models import Campaign, PackOrder, Paper
from recalls.paper_lines import Line, paper_lines
from recalls.sight import Sight
from trace.access import parse_uid
from trace.actor import Actor
from trace.api.auth import acting
from trace.api.schemas import In, Named, Out, Text
from trace.api.shapes import OrganisationRef
from trace.errors import NotFound

Form = Literal["pdf", "html", "json", "zip"]
_TYPES = {
    "pdf": "application/pdf",
    "html": "text/html; charset=utf-8",
    "json": "application/json",
    "zip": "application/zip",
}


class PaperRef(Out):
    """One edition of a document: `sha256` is of its frozen data."""

    uid: str
    kind: str
    title: str
    number: str
    edition: int
    is_drill: bool
    sha256: str
    by_organisation: OrganisationRef
    at: datetime.datetime

    @classmethod
    def of(cls, row: Paper) -> "PaperRef":
        """From the row."""
        return cls(
            uid=str(row.uid),
            kind=row.kind,
            title=row.title,
            number=row.number,
            edition=row.edition,
            is_drill=row.is_drill,
            sha256=row.sha256,
            by_organisation=OrganisationRef.of(row.by_organisation),
            at=row.at,
        )


class PaperOut(PaperRef):
    """A document with its frozen data; names of people stand sealed beside it and are only in pages and PDFs."""

    data: dict[str, Any]


class PaperLineOut(Out):
    """One document a recall has or could have. `missing` names required contents that are not there yet; `subject` is
    what it is about where there are several.
    """

    kind: str
    label: str
    subject: str
    about: str
    missing: list[str]
    editions: int
    last: PaperRef | None


PAPER_REF = {
    "uid": "0199b0c0-0000-7000-8000-000000000041",
    "kind": "stop",
    "title": "停止生产经营通知",
    "number": "汾召[2026]1号 停产-1",
    "edition": 1,
    "is_drill": False,
    "sha256": examples.SCOPE_REF["sha256"],
    "by_organisation": examples.ORGANISATION_REF,
    "at": "2026-11-22T06:20:00Z",
}
PAPER = {**PAPER_REF, "data": {"schema": 1, "title": "停止生产经营通知", "blocks": []}}


def _readable(actor: Actor, uid: str) -> Campaign:
    campaign = campaign_for(actor, uid)
    if not reads_papers(actor, campaign):
        raise NotFound(_("没有找到，或者您无权查看。"))
    return campaign


def _paper_out(row: Paper) -> PaperOut:
    return PaperOut(**dict(PaperRef.of(row)), data=row.data)


def _line_out(line: Line) -> PaperLineOut:
    return PaperLineOut(
        kind=line.kind,
        label=line.label,
        subject=line.subject,
        about=line.about,
        missing=line.missing,
        editions=line.editions,
        last=PaperRef.of(line.last) if line.last is not None else None,
    )


@area.read(
    "/campaigns/{uid}/papers",
    who="signed_in",
    answer=list[PaperLineOut],
    example=[
        {
            "kind": "stop",
            "label": "停止生产经营通知",
            "subject": "",
            "about": "",
            "missing": [],
            "editions": 1,
            "last": PAPER_REF,
        }
    ],
    summary=gettext_lazy("列出文书，写明各缺什么"),
)
def list_papers(request: HttpRequest, uid: Named) -> list[PaperLineOut]:
    """Every document of a recall with its last edition and what the next one lacks."""
    return [_line_out(line) for line in paper_lines(_readable(acting(request), uid))]


class PaperIn(In):
    """Which document. `subject` is the uid of what it is about: a notice, a report before destruction, an act."""

    kind: Literal[
        "plan",
        "announcement",
        "notice",
        "stop",
        "progress",
        "summary",
        "five_day",
        "extension",
        "disposal_plan",
        "disposal",
        "order",
        "drill",
    ]
    subject: Annotated[str, Text(36)] = ""


@area.write(
    "/campaigns/{uid}/papers",
    who="signed_in",
    answer=PaperOut,
    example=PAPER,
    body_example={"kind": "stop"},
    summary=gettext_lazy("制作文书"),
    description=gettext_lazy("内容冻结并附哈希；没有变化时得到原来的一版。缺少的内容逐项写明。"),
)
def make_paper_of(request: HttpRequest, uid: Named, body: PaperIn) -> PaperOut:
    """Make one document as the records stand."""
    actor = acting(request)
    campaign = _readable(actor, uid)
    subject = str(parse_uid(body.subject)) if body.subject else ""
    if body.kind == "notice" and subject:
        notice = letter_for(actor, subject)
        if not Sight(actor, campaign).knows(notice.organisation_id):
            raise NotFound(_("没有找到，或者您无权查看。"))
    made = make_paper(by=actor, campaign=campaign, kind=body.kind, subject=subject)
    return _paper_out(paper_for(actor, made.uid))


@area.read("/papers/{uid}", who="signed_in", answer=PaperOut, example=PAPER, summary=gettext_lazy("查看一份文书的数据"))
def get_paper(request: HttpRequest, uid: Named) -> PaperOut:
    """One document as it was frozen."""
    return _paper_out(paper_for(acting(request), uid))


@area.read(
    "/papers/{uid}/copy",
    who="signed_in",
    answer=None,
    example="%PDF-1.4 …",
    media_type="application/pdf",
    summary=gettext_lazy("下载文书：PDF、网页、JSON；卷宗为 ZIP"),
    description=gettext_lazy("每次下载都有记录。演练文书每页有“演练”水印。"),
)
def get_paper_copy(request: HttpRequest, uid: Named, form: Form = "pdf") -> HttpResponseBase:
    """A copy to take away, written down with the hash of its bytes."""
    actor = acting(request)
    found = paper_for(actor, uid)
    answer: HttpResponseBase
    if form == "zip":
        path, _order = hand_out_pack(by=actor, paper=found)
        answer = FileResponse(path.open("rb"), content_type=_TYPES[form])
    elif form == "html":
        answer = HttpResponse(as_page(found), content_type=_TYPES[form])
    else:
        answer = HttpResponse(hand_out(by=actor, paper=found, form=form), content_type=_TYPES[form])
    name = f"{'drill-' if found.is_drill else ''}{found.kind}-{found.uid.hex[-8:]}-{found.edition}.{form}"
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


@area.write(
    "/drills/{uid}/report",
    who="signed_in",
    answer=PaperOut,
    example={**PAPER, "kind": "drill", "is_drill": True, "title": "追溯与召回演练报告"},
    body_example={},
    summary=gettext_lazy("制作演练报告"),
)
def make_report_of_drill(request: HttpRequest, uid: Named, body: NothingIn) -> PaperOut:
    """Make the report of an exercise; its copies are under `/papers`."""
    actor = acting(request)
    made = make_drill_report(by=actor, drill=drill_for(actor, uid))
    return _paper_out(paper_for(actor, made.uid))


# --- The closure pack -----------------------------------------------------------------------------------------------


class ClosurePackOut(Out):
    """A closure pack and how far the worker is with it. `paper` is its list of contents once it is ready: the ZIP is a
    copy of that document.
    """

    status: str
    done: int
    total: int
    problem: str
    size: int
    sha256: str
    paper: str | None
    created_at: datetime.datetime
    finished_at: datetime.datetime | None

    @classmethod
    def of(cls, row: PackOrder) -> "ClosurePackOut":
        """From the row (paper selected)."""
        return cls(
            status=row.status,
            done=row.done,
            total=row.total,
            problem=row.problem,
            size=row.size,
            sha256=row.sha256,
            paper=str(row.paper.uid) if row.paper is not None else None,
            created_at=row.created_at,
            finished_at=row.finished_at,
        )


PACK = {
    "status": "waiting",
    "done": 0,
    "total": 0,
    "problem": "",
    "size": 0,
    "sha256": "",
    "paper": None,
    "created_at": "2026-12-20T01:00:00Z",
    "finished_at": None,
}


@area.read(
    "/campaigns/{uid}/packs",
    who="signed_in",
    answer=list[ClosurePackOut],
    example=[PACK],
    summary=gettext_lazy("列出结案卷宗和制作进度"),
)
def list_packs(request: HttpRequest, uid: Named) -> list[ClosurePackOut]:
    """The packs ordered, the newest first."""
    campaign = _readable(acting(request), uid)
    return [ClosurePackOut.of(row) for row in campaign.pack_orders.select_related("paper").order_by("-id")[:20]]


@area.write(
    "/campaigns/{uid}/packs",
    who="signed_in",
    answer=ClosurePackOut,
    example=PACK,
    body_example={},
    summary=gettext_lazy("制作结案卷宗"),
    description=gettext_lazy("由后台制作；正在制作时再要一次，得到同一个。"),
)
def order_pack_of(request: HttpRequest, uid: Named, body: NothingIn) -> ClosurePackOut:
    """Order the pack of a closed recall."""
    actor = acting(request)
    return ClosurePackOut.of(order_pack(by=actor, campaign=_readable(actor, uid)))
