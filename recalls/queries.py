"""Questions about recalls for other apps and for pages; nothing here writes."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db.models import Count, Exists, Max, Min, OuterRef, Q, QuerySet, Subquery
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from recalls.access import campaigns_visible_to, notices_received_by
from recalls.law import ClockRule, Due, WorkCalendar, due, regime
from recalls.law.calendar import DayRow
from recalls.models import (
    HOLD_SOURCE,
    CalendarLoad,
    Campaign,
    CampaignStep,
    ClockInstance,
    ConsumerCase,
    Notice,
    Paper,
    Publication,
    RegulatorAct,
    ScopeLot,
    ScopeVersion,
    WorkCalendarDay,
)
from recalls.notice_states import ANSWERED, NOTICE_TERMINAL, EscalationStep, NoticeStatus
from recalls.transitions import PUBLIC, TRANSITIONS, Status
from trace.access import entered_for, lots_visible_to
from trace.actor import Actor
from trace.errors import Invalid
from trace.models import Lot, LotAlias, Organisation, Product, Unit


@dataclass(frozen=True)
class PublicRecall:
    """What the scanned page says of an announced recall. ``url`` is the path of the public page; where it has ``ended``
    nobody can claim there any more.
    """

    number: str
    title: str
    url: str
    reason: str
    risk: str
    what_to_do: str
    phone: str
    announced_at: datetime.datetime
    compensation: str = ""
    level: str = ""
    producer: str = ""
    ended: bool = False


def published() -> QuerySet[Publication]:
    """Publications the public may read, newest first: of campaigns that were announced and are no drills."""
    return (
        Publication.objects.filter(
            notice__campaign__is_drill=False,
            notice__campaign__status__in=sorted(PUBLIC),
            notice__campaign__announced_at__isnull=False,
        )
        .select_related("notice__campaign__organisation", "notice__campaign__authority", "notice__scope")
        .order_by("-at", "-id")
    )


def publication_in_force(campaign: Campaign) -> Publication | None:
    """The last publication of one campaign, None where the public may read none; one query, none where the campaign
    says so. Its notice's campaign is the one given.
    """
    if campaign.announced_at is None or campaign.is_drill:
        return None
    rows = published().filter(notice__campaign=campaign).select_related(None).select_related("notice__scope").order_by()
    found: Publication | None = max(rows, key=lambda row: (row.at, row.pk), default=None)
    if found is not None:
        found.notice.campaign = campaign
    return found


def latest_publication(campaigns: Iterable[Campaign] | QuerySet[Campaign]) -> dict[int, Publication]:
    """The publication in force of each campaign (the last one), by campaign row number; one query."""
    found: dict[int, Publication] = {}
    # Put in order here: for a query of many columns the ORM spends longer on ORDER BY than the database on everything.
    rows = published().filter(notice__campaign__in=campaigns).order_by()
    for publication in sorted(rows, key=lambda row: (row.at, row.pk)):
        found[publication.notice.campaign_id] = publication
    return found


def campaign_uids(hold_sources: Iterable[str]) -> list[uuid.UUID]:
    """The campaigns named by the ``source`` of holds; other sources are left out."""
    found: list[uuid.UUID] = []
    for source in hold_sources:
        if source.startswith(HOLD_SOURCE):
            try:
                found.append(uuid.UUID(source.removeprefix(HOLD_SOURCE)))
            except ValueError:
                continue
    return found


def public_recall_for(hold_sources: Sequence[str]) -> list[PublicRecall]:
    """The announced recalls behind these holds, newest first; one query, none where no hold names a campaign.

    Before the announcement (and for a stop of sale) the list is empty and the page shows the hold's own reason. Drills
    never appear.
    """
    wanted = campaign_uids(hold_sources)
    if not wanted:
        return []
    found: dict[int, PublicRecall] = {}
    for publication in published().filter(notice__campaign__uid__in=wanted):
        campaign = publication.notice.campaign
        if campaign.pk not in found:
            found[campaign.pk] = as_public(publication)
    return list(found.values())


def as_public(publication: Publication) -> PublicRecall:
    """The short public form of one publication."""
    notice = publication.notice
    campaign = notice.campaign
    return PublicRecall(
        number=campaign.number or "",
        title=campaign.title,
        url=reverse("recalls:public_recall", args=[campaign.uid]),
        reason=notice.reason,
        risk=notice.risk,
        what_to_do=notice.what_to_do,
        phone=notice.phone,
        announced_at=campaign.announced_at or publication.at,
        compensation=notice.compensation,
        level=campaign.level_label,
        producer=notice.producer,
        ended=campaign.ended_at is not None,
    )


def claim_words(campaign: Campaign) -> str:
    """What consumers ask for in a recall: food is not repaired."""
    if campaign.track == Product.Track.CONSUMER:
        return _("申请退货、换货、修理或退款")
    return _("申请退货、换货或退款")


def case_words(case: ConsumerCase) -> str:
    """What a complaint or claim is about, in words."""
    if case.kind == ConsumerCase.Kind.CLAIM:
        harm = case.what == ConsumerCase.What.HARM
        return _("召回申请，身体不适或受到伤害") if harm else _("召回申请")
    return str(case.get_what_display())


OPEN_CASES = (ConsumerCase.Status.OPEN, ConsumerCase.Status.ACCEPTED)
"""Something is still expected of the owner."""


def narrowed(rows: QuerySet[ConsumerCase], kind: str, state: str) -> QuerySet[ConsumerCase]:
    """The rows of one kind in one state, the nearest deadline first."""
    if kind in ConsumerCase.Kind.values:
        rows = rows.filter(kind=kind)
    if state == "open":
        return rows.filter(status__in=OPEN_CASES).order_by("due_at", "id")
    if state == "overdue":
        return rows.filter(status__in=OPEN_CASES, due_at__lt=timezone.now()).order_by("due_at", "id")
    if state == "flagged":
        return rows.filter(status__in=OPEN_CASES).exclude(flags=[]).order_by("due_at", "id")
    if state == "ended":
        return rows.exclude(status__in=OPEN_CASES).order_by("-id")
    return rows.order_by("-id")


# --- The workspaces -------------------------------------------------------------------------------------------------


def work_calendar() -> WorkCalendar:
    """The working days on record; one query."""
    return WorkCalendar(
        DayRow(on, is_workday, official)
        for on, is_workday, official in WorkCalendarDay.objects.values_list("on", "is_workday", "official")
    )


def vetted_organisation(code: str) -> Organisation:
    """A vetted organisation by its USCC, as typed. Refuses any other (``not_found_there``)."""
    found = Organisation.objects.filter(uscc=code.strip().upper()).exclude(status=Organisation.Status.EXTERNAL).first()
    if found is None:
        raise Invalid(_("没有这个单位，请核对代码。"), code="not_found_there")
    return found


def calendar_sources() -> list[dict[str, object]]:
    """Where the known days come from: ``source``, ``first``, ``last``, ``days``, in order of time; one query."""
    rows = WorkCalendarDay.objects.values("source").annotate(first=Min("on"), last=Max("on"), days=Count("on"))
    return [dict(row) for row in rows.order_by("first")]


def calendar_loads() -> list[CalendarLoad]:
    """The notices loaded on pages, the newest first; one query."""
    return list(CalendarLoad.objects.select_related("by", "by_organisation").order_by("-id")[:50])


@dataclass(frozen=True)
class Coverage:
    """How far the notices of a campaign have come, in numbers of holders."""

    holders: int = 0
    sent: int = 0
    acknowledged: int = 0
    answered: int = 0
    escalated: int = 0

    @property
    def silent(self) -> int:
        """Holders that have not said anything."""
        return self.holders - self.acknowledged


def coverage(campaigns: Iterable[Campaign] | QuerySet[Campaign]) -> dict[int, Coverage]:
    """Coverage of each campaign by row number; one query. Withdrawn notices do not count."""
    rows = (
        Notice.objects.filter(campaign__in=campaigns)
        .exclude(status=NoticeStatus.WITHDRAWN)
        .values("campaign")
        .annotate(
            holders=Count("pk"),
            sent=Count("pk", filter=Q(sent_at__isnull=False)),
            acknowledged=Count("pk", filter=Q(acknowledged_at__isnull=False)),
            answered=Count("pk", filter=Q(answered_at__isnull=False)),
            escalated=Count("pk", filter=~Q(escalation="")),
        )
    )
    return {
        row["campaign"]: Coverage(row["holders"], row["sent"], row["acknowledged"], row["answered"], row["escalated"])
        for row in rows
    }


@dataclass(frozen=True)
class RunningClock:
    """One time limit as a page shows it: what is due, by which law, whether that is certain."""

    clock: ClockInstance
    label: str
    law: str
    verified: bool
    explanation: str

    @property
    def due_at(self) -> datetime.datetime:
        """The last instant in time."""
        return self.clock.due_at


def clocks_of(campaigns: Iterable[Campaign] | QuerySet[Campaign]) -> dict[int, list[RunningClock]]:
    """The clocks of each campaign, nearest first, without those another level replaced; two queries."""
    found: dict[int, list[RunningClock]] = {}
    rows = ClockInstance.objects.filter(campaign__in=campaigns, superseded_at=None).order_by()
    clocks = sorted(
        rows.select_related("campaign"),
        key=lambda one: (one.met_at is not None, one.due_at, one.met_at or one.due_at, one.pk),
    )
    calendar = work_calendar() if clocks else None
    for clock in clocks:
        found.setdefault(clock.campaign_id, []).append(running_clock(clock, calendar))
    return found


def counted_anew(clock: ClockInstance, rule: ClockRule, calendar: WorkCalendar) -> Due:
    """When a clock ends by this calendar. A report that recurs is counted from the beginning of the first; what began
    again after it had ended is counted from its own.
    """
    return due(rule, clock.started_at, calendar, clock.occurrence if rule.recurring else 1)


def running_clock(clock: ClockInstance, calendar: WorkCalendar | None = None) -> RunningClock:
    """A clock in the words of its rule as it was when it began; the way it was counted where the rule still stands."""
    snapshot = clock.snapshot
    english = (get_language() or "").startswith("en")
    label = snapshot["en"] if english and snapshot.get("en") else snapshot["zh"]
    rule = next((one for one in regime(clock.campaign.regime).clocks if one.id == clock.rule), None)
    words: list[str] = []
    if rule is not None and rule.snapshot() == snapshot:
        if rule.condition:
            label = _("%(label)s（%(condition)s）") % {"label": label, "condition": rule.condition}
        counted = counted_anew(clock, rule, calendar or work_calendar())
        words.append(counted.explanation if not clock.extension else "")
        words.append(str(rule.note))
    if clock.extension:
        words.append(_("主管部门已同意延期，文书 %(document)s。") % {"document": clock.extension})
    law = snapshot["legal_basis"]
    if not snapshot["verified"]:
        law = _("%(law)s（条文未经核实）") % {"law": law}
    return RunningClock(clock, label, law, bool(snapshot["verified"]), " ".join(word for word in words if word))


def step_words(step: CampaignStep) -> str:
    """What a step was, in words of the table."""
    beside = {
        "assess": _("风险评估"),
        "scope": _("划定召回范围"),
        "propose": _("提出"),
        "draft_notice": _("起草公告"),
        "report_progress": _("报告进展"),
        "check": _("有效性核查"),
        "stop_sale": _("先行停止销售"),
        "paper": _("制作文书"),
        "act": _("监管行为"),
        "object": _("提出异议"),
        "report_defect": _("报告缺陷信息"),
        "refuse_extension": _("不予延期"),
        "distribution": _("上传分销名单"),
        "propose_release": _("提出放行"),
        "release": _("批准放行"),
    }
    labels = {row.action: str(row.label) for row in reversed(TRANSITIONS)}  # the first row of an action names it
    words = beside.get(step.action) or labels.get(step.action, step.action)
    if (step.action, step.about) == ("propose", "grant_extension"):
        return _("申请延期")  # The firm applies; what it applies for is the authority's step.
    what = labels.get(step.about, step.about) if step.about and step.action != "refuse_extension" else _made(step)
    return _("%(step)s：%(what)s") % {"step": words, "what": what} if what else words


def _made(step: CampaignStep) -> str:
    """Which document was made, which act was served."""
    kinds = {"paper": Paper.Kind, "act": RegulatorAct.Kind}.get(step.action)
    kind = step.data.get("kind")
    return str(kinds(kind).label) if kinds is not None and kind in kinds.values else ""


def returned_plan(campaign: Campaign) -> CampaignStep | None:
    """The step by which the authority returned the plan for changes, until another plan was filed."""
    last = campaign.steps.filter(action__in=["file_plan", "return_plan"]).order_by("-id").first()
    return last if last is not None and last.action == "return_plan" else None


def _last_of(*wanted: Q) -> Subquery:
    """What the last of these steps of a campaign was."""
    either = wanted[0]
    for one in wanted[1:]:
        either |= one
    rows = CampaignStep.objects.filter(either, campaign=OuterRef("pk")).order_by("-id")
    return Subquery(rows.values("action")[:1])


def asked_of_firm(campaigns: QuerySet[Campaign], now: datetime.datetime) -> QuerySet[Campaign]:
    """Those of these campaigns in which the authority asked the firm for something that is not done: a plan came back,
    or a notice to recall may still be objected to.
    """
    window = ClockInstance.objects.filter(
        campaign=OuterRef("pk"), key="objection", superseded_at=None, met_at=None, due_at__gt=now
    )
    rows = campaigns.annotate(planned=_last_of(Q(action__in=["file_plan", "return_plan"])))
    return rows.filter(Q(planned="return_plan") | (Exists(window) & Q(status=Status.ASSESSING)))


def asked_of_authority(campaigns: QuerySet[Campaign]) -> QuerySet[Campaign]:
    """Those of these campaigns in which the firm waits for the authority's answer: an objection without a finding on
    the defect, an application for more time.
    """
    found = Q(action="act", data__kind__in=["defect_found", "no_defect"])
    more = Q(about="grant_extension", action__in=["propose", "refuse_extension"]) | Q(action="grant_extension")
    rows = campaigns.annotate(objected=_last_of(Q(action="object"), found), applied=_last_of(more))
    return rows.filter(Q(objected="object") | Q(applied="propose"))


def late_notices(campaigns: QuerySet[Campaign], *steps: EscalationStep) -> list[tuple[uuid.UUID, int]]:
    """The notices of these campaigns that nobody answered and that came as far as these steps of the ladder: how many
    of which campaign, most first; one query.
    """
    rows = Notice.objects.filter(campaign__in=campaigns, acknowledged_at=None, escalation__in=steps)
    open_ones = rows.exclude(status__in=sorted(NOTICE_TERMINAL)).order_by().values("campaign__uid")
    return list(open_ones.annotate(found=Count("pk")).order_by("-found").values_list("campaign__uid", "found"))


@dataclass(frozen=True)
class CampaignRow:
    """One campaign in a list: its next limit and how far its notices have come."""

    campaign: Campaign
    next_clock: RunningClock | None
    coverage: Coverage


def campaign_rows(campaigns: Sequence[Campaign]) -> list[CampaignRow]:
    """List rows for these campaigns; three queries for any number."""
    ids = [campaign.pk for campaign in campaigns]
    rows = Campaign.objects.filter(pk__in=ids)
    reached = coverage(rows)
    clocks = clocks_of(rows)
    found: list[CampaignRow] = []
    for campaign in campaigns:
        running = [one for one in clocks.get(campaign.pk, []) if one.clock.met_at is None]
        found.append(CampaignRow(campaign, running[0] if running else None, reached.get(campaign.pk, Coverage())))
    return found


def unread_notices(actor: Actor) -> int:
    """How many notices the actor has not answered: the number beside 召回通知. One query."""
    waiting = notices_received_by(actor).filter(campaign__ended_at=None)
    return waiting.exclude(status__in=sorted(ANSWERED | {NoticeStatus.WITHDRAWN, NoticeStatus.ESCALATED})).count()


@dataclass(frozen=True)
class LotRecall:
    """A campaign that covers a lot, for the lot's page."""

    campaign: Campaign
    shell: str
    why: str


def recalls_of_lot(actor: Actor, lot: Lot) -> list[LotRecall]:
    """Campaigns visible to the actor whose scope in force covers this lot; two queries."""
    campaigns = {one.pk: one for one in campaigns_visible_to(actor).filter(scopes__lots__lot=lot).distinct()}
    found: list[LotRecall] = []
    rows = ScopeLot.objects.filter(lot=lot, scope__campaign__in=campaigns).select_related("scope")
    latest: dict[int, ScopeLot] = {}
    for row in rows.order_by("scope__number"):
        latest[row.scope.campaign_id] = row
    newest = dict(
        ScopeVersion.objects.filter(campaign__in=campaigns)
        .values("campaign")
        .annotate(n=Max("number"))
        .values_list("campaign", "n")
    )
    for pk, row in latest.items():
        if row.scope.number == newest[pk]:
            found.append(LotRecall(campaigns[pk], row.get_shell_display(), row.get_why_display()))
    return found


def lots_by_words(actor: Actor, words: str, *, limit: int = 20) -> list[Lot]:
    """Lots the actor may open that are called so: lot code, display code, own alias, public code or a unit's code. Two
    queries.
    """
    text = words.strip().rpartition("/")[2][:100]
    if not text.isprintable() or not text:
        return []
    names = {text, text.upper(), text.replace("-", "").replace(" ", "").upper()}
    rows = lots_visible_to(actor).filter(
        Q(lot_code__in=names)
        | Q(display_code__in=names)
        | Q(public_code__in=names)
        | Q(pk__in=LotAlias.objects.filter(code__in=names, organisation__in=entered_for(actor)).values("lot"))
        | Q(pk__in=Unit.objects.filter(code__in=names).values("lot"))
    )
    return list(rows.select_related("product", "product_version", "organisation").order_by("-id")[:limit])


def one_of_words(found: Sequence[Lot]) -> str:
    """What to write instead of a code that several lots have: each with its product, firm and own code."""
    named = _("；").join(
        f"{lot.product_version.label}（{lot.organisation.label}）{lot.public_code}" for lot in found[:5]
    )
    return _("有几个批次都叫这个批号，请改填其中一个的追溯码：%(lots)s") % {"lots": named}
