"""Making documents of a recall, and handing copies out. What a document says is frozen; a change is another edition."""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Callable, Mapping

from django.db import transaction
from django.template.loader import render_to_string
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from recalls.access import supervises_campaign
from recalls.actions.moves import write_step
from recalls.errors import PaperIncomplete
from recalls.models import Campaign, DisposalPlan, Drill, Notice, Paper, PaperDownload, RegulatorAct
from recalls.papers import notices, reports
from recalls.papers.draft import Draft
from recalls.papers.missing import missing_words
from recalls.papers.printing import as_json, as_pdf, digest, words_of
from recalls.papers.source import Source
from trace import typeface
from trace.access import entered_for
from trace.actor import Actor
from trace.errors import Invalid, NotAllowed, NotFound
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
"""Who knows what each document of a campaign must say."""

_SUBJECTS: Mapping[str, type[Notice] | type[DisposalPlan] | type[RegulatorAct]] = {
    Kind.NOTICE: Notice,
    Kind.DISPOSAL_PLAN: DisposalPlan,
    Kind.ORDER: RegulatorAct,
}


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


def require_maker(by: Actor, campaign: Campaign) -> None:
    if not may_make(by, campaign):
        raise NotAllowed(_("您的岗位不能办理这次召回，请由质量负责人、负责人或监管部门办理。"), code="role_required")


@transaction.atomic
def make_paper(
    *, by: Actor, campaign: Campaign, kind: str, subject: str = "", at: datetime.datetime | None = None
) -> Paper:
    """Make one document of a campaign as it stands (制作文书). Where nothing changed since the last edition, that one
    is given again: doing it twice makes one.

    Refuses who may not (``role_required``), a document whose required contents are not all there
    (``paper_incomplete``, each named), characters the typeface lacks (``glyphs_missing``). The closure pack
    is the worker's (``packs.order_pack``).
    """
    require_maker(by, campaign)
    Campaign.objects.select_for_update().get(pk=campaign.pk)
    if subject and kind in _SUBJECTS:
        rows = _SUBJECTS[kind].objects.filter(campaign=campaign)
        if not rows.filter(uid=subject).exists():
            raise NotFound(_("没有找到，或者您无权查看。"))
    draft = draft_paper(campaign, kind, subject)
    subject = next((draft.refers[key] for key in ("notice", "disposal_plan", "act") if key in draft.refers), "")
    paper, new = keep_edition(draft, by, at or timezone.now(), campaign=campaign, kind=kind, subject=subject)
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
    return keep_edition(draft, by, at or timezone.now(), drill=drill, kind=Kind.DRILL)[0]


def keep_edition(
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
        raise PaperIncomplete(draft.title, missing_words(dict.fromkeys(draft.missing)))
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


def last_editions(campaign: Campaign) -> list[Paper]:
    """The last edition of every document but the pack itself."""
    found: dict[tuple[str, str], Paper] = {}
    for paper in campaign.papers.exclude(kind=Kind.PACK).select_related("people", "by_organisation").order_by("id"):
        found[(paper.kind, paper.subject)] = paper
    order = [*Kind.values]
    return sorted(found.values(), key=lambda one: (order.index(one.kind), one.pk))


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
    if form not in makers:
        raise Invalid(_("请选择列出的一项。"), code="unknown_choice")
    data = makers[form](paper)
    note_copy(by=by, paper=paper, form=form, sha256=hashlib.sha256(data).hexdigest(), at=at)
    return data


def note_copy(*, by: Actor, paper: Paper, form: str, sha256: str, at: datetime.datetime | None = None) -> None:
    """Write down that a copy with these bytes was taken away. Part of handing one out."""
    PaperDownload.objects.create(
        paper=paper, form=form, sha256=sha256, by=by.user, by_organisation=by.organisation, at=at or timezone.now()
    )
