"""Making documents of a recall, and handing copies out. What a document says is frozen; a change is another edition."""

from __future__ import annotations

import datetime
import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

from django.db import transaction
from django.template.loader import render_to_string
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from recalls.access import supervises_campaign
from recalls.actions.moves import write_step
from recalls.errors import PaperIncomplete
from recalls.models import Campaign, DisposalPlan, Drill, Notice, Paper, PaperDownload, RegulatorAct
from recalls.papers import notices, reports
from recalls.papers.draft import Draft, moment
from recalls.papers.printing import as_json, as_pdf, digest, words_of
from recalls.papers.source import Source
from recalls.queries import step_words
from recalls.transitions import Status
from trace import typeface
from trace.access import entered_for
from trace.actor import Actor
from trace.errors import Clash, Invalid, NotAllowed, NotFound
from trace.models import LogEntry
from trace.personal import seal

Kind = Paper.Kind
Builder = Callable[[Source, str], Draft]

BUILDERS: Mapping[str, Builder] = {
    Kind.PLAN: reports.plan,
    Kind.ANNOUNCEMENT: notices.announcement,
    Kind.NOTICE: notices.notice,
    Kind.STOP: notices.stop,
    Kind.PROGRESS: reports.progress,
    Kind.SUMMARY: reports.summary,
    Kind.FIVE_DAY: reports.five_day,
    Kind.EXTENSION: reports.extension,
    Kind.DISPOSAL_PLAN: reports.disposal_plan,
    Kind.DISPOSAL: reports.disposal,
    Kind.ORDER: notices.order,
    Kind.DRILL: notices.drill_campaign,
}
"""Who knows what each document of a campaign must say; the contents of the closure pack are made last (``make_pack``).
"""

_SUBJECTS: Mapping[str, type[Notice] | type[DisposalPlan] | type[RegulatorAct]] = {
    Kind.NOTICE: Notice,
    Kind.DISPOSAL_PLAN: DisposalPlan,
    Kind.ORDER: RegulatorAct,
}
LEDGER_MOST = 5_000
"""Entries of the log an excerpt holds."""


def draft_paper(campaign: Campaign, kind: str, subject: str = "", source: Source | None = None) -> Draft:
    """The document as it would be, with what is missing; nothing is written. Who drafts several gives one ``source``,
    which asks the records once. Refuses an unknown kind (``unknown_choice``).
    """
    if kind not in BUILDERS:
        raise Invalid(_("请选择列出的一项。"), code="unknown_choice")
    with translation.override("zh-hans"):
        return BUILDERS[kind](source or Source(campaign), subject)


def may_make(actor: Actor, campaign: Campaign) -> bool:
    """Whether the actor makes documents there: the initiator's quality officer or owner, the supervising regulator."""
    if actor.is_regulator:
        return supervises_campaign(actor, campaign) and actor.can("officer", "approver")
    return campaign.organisation_id in entered_for(actor) and actor.can("quality", "owner")


def _require_maker(by: Actor, campaign: Campaign) -> None:
    if not may_make(by, campaign):
        raise NotAllowed(_("您的岗位不能办理这次召回，请由质量负责人、负责人或监管部门办理。"), code="role_required")


@transaction.atomic
def make_paper(
    *, by: Actor, campaign: Campaign, kind: str, subject: str = "", at: datetime.datetime | None = None
) -> Paper:
    """Make one document of a campaign as it stands (制作文书). Where nothing changed since the last edition, that one
    is given again: doing it twice makes one.

    Refuses who may not (``role_required``), a document whose required contents are not all there
    (``paper_incomplete``, each named), characters the typeface lacks (``glyphs_missing``), the closure pack before the
    campaign is closed (``not_closed``).
    """
    _require_maker(by, campaign)
    if kind == Kind.PACK:
        return _make_pack(by, campaign, at or timezone.now())
    Campaign.objects.select_for_update().get(pk=campaign.pk)
    if subject and kind in _SUBJECTS:
        rows = _SUBJECTS[kind].objects.filter(campaign=campaign)
        if not rows.filter(uid=subject).exists():
            raise NotFound(_("没有找到，或者您无权查看。"))
    draft = draft_paper(campaign, kind, subject)
    subject = next((draft.refers[key] for key in ("notice", "disposal_plan", "act") if key in draft.refers), "")
    paper, new = _keep(draft, by, at or timezone.now(), campaign=campaign, kind=kind, subject=subject)
    if new:
        write_step(campaign, "paper", by, paper.at, data={"kind": kind, "paper": str(paper.uid)})
    return paper


@transaction.atomic
def make_drill_report(*, by: Actor, drill: Drill, at: datetime.datetime | None = None) -> Paper:
    """Make the report of an exercise (演练报告), always watermarked. Refuses as ``make_paper``."""
    own = drill.organisation_id in entered_for(by) and by.can("quality", "owner")
    over = by.is_regulator and drill.organisation.division_id.startswith(by.organisation.territory)
    if not own and not over:
        raise NotAllowed(_("演练报告由本单位质量负责人、负责人或监管部门制作。"), code="role_required")
    Drill.objects.select_for_update().get(pk=drill.pk)
    with translation.override("zh-hans"):
        draft = notices.drill_report(drill)
    return _keep(draft, by, at or timezone.now(), drill=drill, kind=Kind.DRILL)[0]


def _keep(
    draft: Draft,
    by: Actor,
    at: datetime.datetime,
    *,
    kind: str,
    campaign: Campaign | None = None,
    drill: Drill | None = None,
    subject: str = "",
) -> tuple[Paper, bool]:
    """Freeze a draft as the next edition, or find that it is the last one; whether it is new."""
    if draft.missing:
        raise PaperIncomplete(draft.title, list(dict.fromkeys(draft.missing)))
    texts = [cell for block in draft.blocks for row in block.rows for cell in row if block.kind != "code"]
    plain = "".join(texts).translate({0xE000: None, 0xE001: None})
    typeface.require_glyphs(draft.title, draft.to, plain, *draft.people.values())
    data = draft.as_data()
    sha256 = digest(data)
    last = Paper.objects.filter(campaign=campaign, drill=drill, kind=kind, subject=subject).order_by("-edition").first()
    if last is not None and last.sha256 == sha256:
        return last, False
    owner = campaign.organisation if campaign is not None else drill.organisation if drill is not None else None
    people = json.dumps(draft.people, ensure_ascii=False, sort_keys=True)
    made = Paper.objects.create(
        campaign=campaign,
        drill=drill,
        kind=kind,
        subject=subject,
        edition=last.edition + 1 if last else 1,
        is_drill=drill is not None or (campaign is not None and campaign.is_drill),
        data=data,
        people=seal(people, organisation=owner, purpose="recall_paper") if draft.people else None,
        sha256=sha256,
        by=by.user,
        by_organisation=by.organisation,
        at=at,
    )
    return made, True


# --- The closure pack -----------------------------------------------------------------------------------------------


def _expected(campaign: Campaign) -> list[str]:
    """The documents a closed campaign should have, in the order of its course."""
    kinds: list[str] = [Kind.STOP, Kind.PLAN]
    if campaign.acts.filter(kind=RegulatorAct.Kind.ORDER_RECALL).exists():
        kinds.insert(0, Kind.ORDER)
    if not campaign.is_drill:
        kinds.append(Kind.ANNOUNCEMENT)
    if campaign.figures.filter(action="report_progress").exists():
        kinds.append(Kind.PROGRESS)
    if campaign.disposal_plans.exists():
        kinds.append(Kind.DISPOSAL_PLAN)
    if campaign.disposals.exists():
        kinds.append(Kind.DISPOSAL)
    kinds.append(Kind.SUMMARY)
    if any(rule.key == "report" for rule in Source(campaign).law.clocks) and not campaign.is_drill:
        kinds.append(Kind.FIVE_DAY)
    if campaign.is_drill:
        kinds.append(Kind.DRILL)
    return kinds


def _make_pack(by: Actor, campaign: Campaign, at: datetime.datetime) -> Paper:
    """结案卷宗: every document in its last edition, made now where it is not yet; what could not be made is listed with
    what is missing, for a closed campaign can no longer be completed. With the steps and the entries of the log.
    """
    if campaign.status != Status.CLOSED:
        raise Clash(_("结案之后才能制作结案卷宗。"), code="not_closed")
    gaps: list[list[str]] = []
    for kind in _expected(campaign):
        try:
            make_paper(by=by, campaign=campaign, kind=kind, at=at)
        except PaperIncomplete as refusal:
            gaps.append([str(Kind(kind).label), "；".join(refusal.missing)])
    with translation.override("zh-hans"):
        draft = _contents(campaign, gaps)
    return _keep(draft, by, at, campaign=campaign, kind=Kind.PACK)[0]


def last_editions(campaign: Campaign) -> list[Paper]:
    """The last edition of every document but the pack itself."""
    found: dict[tuple[str, str], Paper] = {}
    for paper in campaign.papers.exclude(kind=Kind.PACK).select_related("people", "by_organisation").order_by("id"):
        found[(paper.kind, paper.subject)] = paper
    order = [*Kind.values]
    return sorted(found.values(), key=lambda one: (order.index(one.kind), one.pk))


def _contents(campaign: Campaign, gaps: list[list[str]]) -> Draft:
    source = Source(campaign)
    draft = Draft("召回结案卷宗目录", source.number, source.to)
    source.recall_fields(draft)
    papers = last_editions(campaign)
    draft.table(
        "文书",
        ["文书", "编号", "版次", "内容 SHA-256"],
        [[one.title, one.number, f"{one.edition}", one.sha256] for one in papers],
    )
    draft.table("未能制作的文书", ["文书", "缺少的内容"], gaps)
    steps = campaign.steps.exclude(action="paper").select_related("by_organisation").order_by("id")
    draft.table(
        "经过",
        ["时间", "步骤", "单位", "文书编号"],
        [[moment(one.at), step_words(one), one.by_organisation.name, one.document] for one in steps],
    )
    entries = _ledger(campaign)
    draft.table(
        "追溯日志摘录",
        ["日志号", "事件时间", "SHA-256"],
        [[str(n), moment(when), sha] for n, when, sha, _bytes in entries],
    )
    draft.refers = {
        "papers": [{"uid": str(one.uid), "kind": one.kind, "sha256": one.sha256} for one in papers],
        "ledger": [{"number": n, "sha256": sha} for n, _when, sha, _bytes in entries],
    }
    return draft


def _ledger(campaign: Campaign) -> list[tuple[int, datetime.datetime, str, bytes]]:
    """The entries of the log in which recalled goods came back or were destroyed: number, time, hash, bytes."""
    events = {*campaign.returns.values_list("event", flat=True), *campaign.disposals.values_list("event", flat=True)}
    rows = LogEntry.objects.filter(event__in=sorted(events)).order_by("number")
    return [
        (number, when, sha, bytes(canonical))
        for number, when, sha, canonical in rows.values_list("number", "event__occurred_at", "sha256", "canonical")[
            :LEDGER_MOST
        ]
    ]


def pack_bytes(paper: Paper) -> bytes:
    """The pack as ZIP: the list, each document as PDF, page and data, the steps, the log's bytes, and SHA256SUMS over
    all of them. The same bytes for the same edition.
    """
    campaign = paper.campaign
    if campaign is None:
        raise NotFound(_("没有找到，或者您无权查看。"))
    uids = [one["uid"] for one in paper.data["refers"]["papers"]]
    found = {
        str(one.uid): one for one in Paper.objects.filter(uid__in=uids).select_related("people", "by_organisation")
    }
    files: dict[str, bytes] = {}
    for number, one in enumerate([paper, *(found[uid] for uid in uids)]):
        name = f"{number:02d}-{one.kind}-{one.edition}"
        files[f"{name}.pdf"] = as_pdf(one)
        files[f"{name}.html"] = as_page(one)
        files[f"{name}.json"] = as_json(one)
    files["steps.json"] = _steps(campaign, paper.at)
    listed = {one["number"] for one in paper.data["refers"]["ledger"]}
    leaves = [raw for number, _when, _sha, raw in _ledger(campaign) if number in listed]
    files["ledger.jsonl"] = b"".join(leaf + b"\n" for leaf in leaves)
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(files.items()))
    files["SHA256SUMS"] = sums.encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted(files.items()):
            entry = zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data)
    return out.getvalue()


def _steps(campaign: Campaign, until: datetime.datetime) -> bytes:
    """The campaign's own history up to the making of the pack, by organisation, no people."""
    rows: list[dict[str, Any]] = [
        {
            "at": one.at.isoformat(),
            "action": one.action,
            "about": one.about,
            "old": one.old,
            "new": one.new,
            "organisation": one.by_organisation.name,
            "reason": one.reason,
            "document": one.document,
            "data": one.data,
        }
        for one in campaign.steps.filter(at__lte=until).select_related("by_organisation").order_by("id")
    ]
    facts = [
        {"event": one.event, "happened_at": one.happened_at.isoformat(), "recorded_at": one.recorded_at.isoformat()}
        for one in campaign.facts.filter(recorded_at__lte=until).order_by("id")
    ]
    return json.dumps({"steps": rows, "facts": facts}, ensure_ascii=False, indent=1, sort_keys=True).encode()


def as_page(paper: Paper) -> bytes:
    """The document as a page that needs nothing else."""
    return render_to_string("recalls/paper_file.html", {"paper": paper, "words": words_of(paper)}).encode()


# --- Copies ---------------------------------------------------------------------------------------------------------


@transaction.atomic
def hand_out(*, by: Actor, paper: Paper, form: str, at: datetime.datetime | None = None) -> bytes:
    """A copy to take away, written down with the hash of its bytes. Refuses a form this document does not have
    (``unknown_choice``). The door to the document is the caller's.
    """
    makers: dict[str, Callable[[Paper], bytes]] = {"pdf": as_pdf, "json": as_json}
    if paper.kind == Kind.PACK:
        makers["zip"] = pack_bytes
    if form not in makers:
        raise Invalid(_("请选择列出的一项。"), code="unknown_choice")
    data = makers[form](paper)
    PaperDownload.objects.create(
        paper=paper,
        form=form,
        sha256=hashlib.sha256(data).hexdigest(),
        by=by.user,
        by_organisation=by.organisation,
        at=at or timezone.now(),
    )
    return data
