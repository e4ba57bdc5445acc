"""What an authority does by served documents, what the firm says against it, and where the announcement stands."""

import datetime
from typing import Annotated, Any, Literal

from django.http import FileResponse, HttpRequest
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from pydantic import Field

from recalls.access import campaign_for, reads_papers
from recalls.actions.acts import (
    finding_of,
    issue_act,
    object_to_recall,
    objection_window,
    pending_objection,
    report_defect,
)
from recalls.actions.announcements import prove_publication
from recalls.api import examples
from recalls.api.area import area
from recalls.api.shapes import StepOut
from recalls.channels import channel_for, owed
from recalls.models import Campaign, Publication, PublicationProof, RegulatorAct
from trace.access import parse_uid
from trace.actions.files import path_of
from trace.actor import Actor
from trace.api.auth import acting
from trace.api.given import files_of
from trace.api.schemas import Day, In, Moment, Named, Out, Text, Uid
from trace.api.shapes import OrganisationRef
from trace.errors import NotFound

Words = Annotated[str, Text(1000, multiline=True, required=True)]


def _readable(actor: Actor, uid: str) -> Campaign:
    campaign = campaign_for(actor, uid)
    if not reads_papers(actor, campaign):
        raise NotFound(_("没有找到，或者您无权查看。"))
    return campaign


class ActOut(Out):
    """One act of an authority as served. `file_sha256` is the served document's, empty where none was handed in."""

    uid: str
    kind: str
    number: str
    organisation: OrganisationRef
    officer: str
    legal_basis: str
    content: str
    served_at: datetime.datetime
    due_on: datetime.date | None
    until: datetime.date | None
    file_sha256: str

    @classmethod
    def of(cls, row: RegulatorAct) -> "ActOut":
        """From the row (organisation and officer selected)."""
        return cls(
            uid=str(row.uid),
            kind=row.kind,
            number=row.number,
            organisation=OrganisationRef.of(row.organisation),
            officer=row.officer.display_name,
            legal_basis=row.legal_basis,
            content=row.content,
            served_at=row.served_at,
            due_on=row.due_on,
            until=row.until,
            file_sha256=row.sha256,
        )


ACT = {
    "uid": "0199b0c0-0000-7000-8000-000000000051",
    "kind": "inspection",
    "number": "汾示例检〔2026〕7号",
    "organisation": examples.BUREAU_REF,
    "officer": "示例经办",
    "legal_basis": "《食品召回管理办法（2015）》第三十一条",
    "content": "现场检查停售和封存情况。",
    "served_at": "2026-11-23T02:00:00Z",
    "due_on": None,
    "until": None,
    "file_sha256": "",
}


@area.read(
    "/campaigns/{uid}/acts",
    who="signed_in",
    answer=list[ActOut],
    example=[ACT],
    summary=gettext_lazy("列出监管行为"),
)
def list_acts(request: HttpRequest, uid: Named) -> list[ActOut]:
    """Every act of the authority, the newest first."""
    campaign = _readable(acting(request), uid)
    return [ActOut.of(row) for row in campaign.acts.select_related("organisation", "officer").order_by("-id")[:200]]


class ActIn(In):
    """An act that moves nothing by itself; ordering, extending and strengthening are steps."""

    kind: Literal[
        "order_stop",
        "order_disposal",
        "notify_recall",
        "defect_found",
        "no_defect",
        "require_changes",
        "refuse_extension",
        "ask_report",
        "inspection",
        "evaluation",
        "interview",
    ]
    number: Annotated[str, Text(60, required=True)]
    served_at: Moment
    content: Words
    legal_basis: Annotated[str, Text(300)] = Field("", description="The usual basis of such an act if empty.")
    due_on: Day | None = None
    file: Uid | None = Field(None, description="The served document, uploaded before to `/files`.")


@area.write(
    "/campaigns/{uid}/acts",
    who="signed_in",
    answer=ActOut,
    example=ACT,
    body_example={
        "kind": "inspection",
        "number": "汾示例检〔2026〕7号",
        "served_at": "2026-11-23T10:00:00+08:00",
        "content": "现场检查停售和封存情况。",
    },
    roles=("officer", "approver"),
    summary=gettext_lazy("登记监管行为"),
    description=gettext_lazy("须由本人登录（API 密钥不行）。同一编号、同一内容再登记一次，得到同一条。"),
)
def add_act(request: HttpRequest, uid: Named, body: ActIn) -> ActOut:
    """Write down one act as served."""
    actor = acting(request)
    made = issue_act(
        by=actor,
        campaign=_readable(actor, uid),
        kind=body.kind,
        number=body.number,
        served_at=body.served_at,
        content=body.content,
        legal_basis=body.legal_basis,
        due_on=body.due_on,
        file=files_of(actor, [body.file])[0] if body.file else None,
    )
    return ActOut.of(made)


@area.read(
    "/campaigns/{uid}/acts/{act}/file",
    who="signed_in",
    answer=None,
    example="%PDF-1.4 …",
    media_type="application/pdf",
    summary=gettext_lazy("下载送达的文书"),
)
def get_act_file(request: HttpRequest, uid: Named, act: Named) -> HttpResponseBase:
    """The served document itself."""
    campaign = _readable(acting(request), uid)
    found = campaign.acts.select_related("file").filter(uid=parse_uid(act)).exclude(file=None).first()
    if found is None or found.file is None or not path_of(found.sha256).exists():
        raise NotFound(_("没有找到，或者您无权查看。"))
    answer = FileResponse(path_of(found.sha256).open("rb"), content_type=found.file.media_type)
    answer["Content-Disposition"] = "attachment"
    answer["X-Content-Type-Options"] = "nosniff"
    return answer


# --- Objections -----------------------------------------------------------------------------------------------------


class ObjectionsOut(Out):
    """The time to object to a notice to recall (null where none was served), what was said in it, whether it still
    waits for an answer, and the last finding on the defect, which is the answer.
    """

    due_at: datetime.datetime | None
    objected_at: datetime.datetime | None
    objections: list[StepOut]
    pending: bool
    finding: ActOut | None


OBJECTIONS: dict[str, Any] = {
    "due_at": "2026-12-14T16:00:00Z",
    "objected_at": None,
    "objections": [],
    "pending": False,
    "finding": None,
}


def _objections(campaign: Campaign) -> ObjectionsOut:
    window = objection_window(campaign)
    rows = campaign.steps.filter(action="object").select_related("by", "by_organisation").order_by("-id")
    finding = finding_of(campaign)
    return ObjectionsOut(
        due_at=window.due_at if window is not None else None,
        objected_at=window.met_at if window is not None else None,
        objections=[StepOut.of(row) for row in rows],
        pending=pending_objection(campaign) is not None,
        finding=ActOut.of(finding) if finding is not None else None,
    )


@area.read(
    "/campaigns/{uid}/objections",
    who="signed_in",
    answer=ObjectionsOut,
    example=OBJECTIONS,
    summary=gettext_lazy("异议和提出异议的期限"),
)
def list_objections(request: HttpRequest, uid: Named) -> ObjectionsOut:
    """Whether one may still object, and what was said."""
    return _objections(_readable(acting(request), uid))


class ObjectionIn(In):
    """Why the firm objects."""

    reason: Words


@area.write(
    "/campaigns/{uid}/objections",
    who="signed_in",
    answer=ObjectionsOut,
    example=OBJECTIONS,
    body_example={"reason": "同批留样复检合格，附报告编号。"},
    roles=("quality", "owner"),
    summary=gettext_lazy("提出异议"),
    description=gettext_lazy("结论是主管部门登记的缺陷认定：`/campaigns/{uid}/acts` 的 defect_found 或 no_defect。"),
)
def add_objection(request: HttpRequest, uid: Named, body: ObjectionIn) -> ObjectionsOut:
    """The firm objects to a notice to recall within its time."""
    actor = acting(request)
    campaign = _readable(actor, uid)
    object_to_recall(by=actor, campaign=campaign, reason=body.reason)
    return _objections(campaign)


# --- The report of a defect ------------------------------------------------------------------------------------------


class DefectReportIn(In):
    """When the defect was reported to the authority, what was said, and the number it was taken under."""

    reported_at: Moment
    words: Words
    number: Annotated[str, Text(60)] = ""


@area.write(
    "/campaigns/{uid}/defect-report",
    who="party",
    answer=StepOut,
    example={**examples.STEP, "action": "report_defect", "old": "assessing", "new": "assessing"},
    body_example={"reported_at": "2026-11-23T10:00:00+08:00", "words": "已电话并书面报告省局。"},
    roles=("quality", "owner"),
    summary=gettext_lazy("登记缺陷信息已报告（消费品，两个工作日）"),
)
def add_defect_report(request: HttpRequest, uid: Named, body: DefectReportIn) -> StepOut:
    """The firm writes down that it reported the defect."""
    actor = acting(request)
    campaign = campaign_for(actor, uid)
    return StepOut.of(
        report_defect(by=actor, campaign=campaign, reported_at=body.reported_at, words=body.words, number=body.number)
    )


# --- Channels -------------------------------------------------------------------------------------------------------


class SiteOut(Out):
    """A place an announcement may stand at."""

    key: str
    label: str
    needed: bool


class ProofOut(Out):
    """That the announcement was seen at one place."""

    site: str
    url: str
    sha256: str
    seen_at: datetime.datetime
    by_organisation: OrganisationRef


class PublicationOut(Out):
    """One published version: the places named, and the proofs."""

    version: int
    channel: str
    sites: list[str]
    why: str
    at: datetime.datetime
    proofs: list[ProofOut]


class ChannelsOut(Out):
    """Where the announcement must stand by where the goods went, where it does, and what is still owed."""

    provinces: list[str]
    words: str
    sites: list[SiteOut]
    owed: list[str]
    publications: list[PublicationOut]


CHANNELS = {
    "provinces": ["140000"],
    "words": "货物只在一个省份（山西省）：依食品召回管理办法（2015）第十七条，应在省级媒体发布。",
    "sites": [{"key": "province_site", "label": "省级市场监督管理部门网站", "needed": True}],
    "owed": ["省级主要媒体"],
    "publications": [
        {
            "version": 1,
            "channel": "本系统召回公告页",
            "sites": ["province_site"],
            "why": "",
            "at": "2026-11-22T08:00:00Z",
            "proofs": [
                {
                    "site": "province_site",
                    "url": "https://example.com/recall/1",
                    "sha256": "",
                    "seen_at": "2026-11-22T09:00:00Z",
                    "by_organisation": examples.ORGANISATION_REF,
                }
            ],
        }
    ],
}


def _published(campaign: Campaign) -> list[Publication]:
    rows = Publication.objects.filter(notice__campaign=campaign).select_related("notice")
    return list(rows.prefetch_related("proofs__by_organisation").order_by("-id")[:50])


def _proof_out(row: PublicationProof) -> ProofOut:
    return ProofOut(
        site=row.site,
        url=row.url,
        sha256=row.sha256,
        seen_at=row.seen_at,
        by_organisation=OrganisationRef.of(row.by_organisation),
    )


def _channels(campaign: Campaign) -> ChannelsOut:
    channel = channel_for(campaign)
    return ChannelsOut(
        provinces=[f"{code}0000" for code, _label in channel.provinces] if channel is not None else [],
        words=channel.words if channel is not None else "",
        sites=[
            SiteOut(key=site.key, label=str(site.label), needed=site.key in channel.needed) for site in channel.sites
        ]
        if channel is not None
        else [],
        owed=owed(campaign),
        publications=[
            PublicationOut(
                version=row.notice.number,
                channel=row.channel,
                sites=row.sites,
                why=row.why,
                at=row.at,
                proofs=[_proof_out(one) for one in row.proofs.all()],
            )
            for row in _published(campaign)
        ],
    )


@area.read(
    "/campaigns/{uid}/channels",
    who="signed_in",
    answer=ChannelsOut,
    example=CHANNELS,
    summary=gettext_lazy("公告渠道：应在哪里、在哪里、还缺哪里"),
)
def get_channels(request: HttpRequest, uid: Named) -> ChannelsOut:
    """Where the announcement must stand and where it does."""
    return _channels(_readable(acting(request), uid))


class ProofIn(In):
    """An address at which the announcement stands, or a picture of it uploaded before to `/files`."""

    site: Annotated[str, Text(30, required=True)]
    seen_at: Moment
    url: Annotated[str, Text(300)] = ""
    file: Uid | None = None


@area.write(
    "/campaigns/{uid}/channels",
    who="signed_in",
    answer=ChannelsOut,
    example=CHANNELS,
    body_example={
        "site": "province_site",
        "url": "https://example.com/recall/1",
        "seen_at": "2026-11-22T17:00:00+08:00",
    },
    summary=gettext_lazy("登记发布证据"),
)
def add_proof(request: HttpRequest, uid: Named, body: ProofIn) -> ChannelsOut:
    """Write down that the announcement in force was seen at one place."""
    actor = acting(request)
    campaign = _readable(actor, uid)
    last = next(iter(_published(campaign)), None)
    if last is None:
        raise NotFound(_("还没有发布公告。"))
    prove_publication(
        by=actor,
        publication=last,
        site=body.site,
        url=body.url,
        file=files_of(actor, [body.file])[0] if body.file else None,
        seen_at=body.seen_at,
    )
    return _channels(campaign)
