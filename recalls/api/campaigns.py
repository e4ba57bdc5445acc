"""The recall itself: assess, preview and freeze the scope, take its steps, read its numbers and history."""

import datetime
from collections.abc import Callable
from typing import Annotated, Any, Literal

from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from ninja import Query
from pydantic import Field

from recalls.access import campaign_for, campaigns_visible_to, require_side, signal_for
from recalls.actions import campaigns as act
from recalls.actions.announcements import MOST_PICTURES, Announcement, Shown, draft_notice
from recalls.actions.assessment import Finding, Standing, assess, reassess
from recalls.actions.scopes import expand_scope, freeze_scope, narrow_scope
from recalls.api import examples
from recalls.api.area import area
from recalls.api.shapes import (
    CampaignOut,
    CampaignRow,
    FiguresOut,
    HolderOut,
    PartOut,
    PictureOut,
    ScopeLineOut,
    ScopeOut,
    ScopeRef,
    SeenLotOut,
    StepOut,
    campaign_out,
    campaigns_out,
)
from recalls.effect import effect
from recalls.figures import figures
from recalls.models import Campaign, ScopeVersion
from recalls.parts import WORDS_MAX, Part, PartKind
from recalls.scope import Answer, Question, ScopeLine, latest_scope, preview_scope, question_of
from recalls.sight import Sight, through_choices
from recalls.transitions import OPEN, TERMINAL
from trace.access import lots_visible_to, organisation_for
from trace.actor import Actor
from trace.api.auth import acting
from trace.api.examples import page
from trace.api.given import WrittenReason, files_of, lots_of
from trace.api.paging import Feed, Page, turn
from trace.api.schemas import AmountOut, Day, In, Moment, Named, Out, Text, Uid, Whole
from trace.api.shapes import HoldOut, OrganisationRef
from trace.errors import Invalid, NotFound
from trace.models import Lot, Organisation

MOST_LOTS = 200
Words = Annotated[str, Text(1000, multiline=True)]


class WantedCampaigns(Feed):
    """Which recalls."""

    which: Literal["open", "closed", "drills", "all"] = "all"


@area.read(
    "/campaigns",
    who="signed_in",
    answer=Page[CampaignRow],
    example=page(examples.CAMPAIGN_ROW),
    summary=gettext_lazy("列出召回"),
    description=gettext_lazy("本单位发起的召回；监管部门见辖区内的召回。"),
)
def list_campaigns(request: HttpRequest, wanted: Query[WantedCampaigns]) -> Page[CampaignRow]:
    """Recalls the caller runs or supervises."""
    rows = campaigns_visible_to(acting(request))
    if wanted.which == "drills":
        rows = rows.filter(is_drill=True)
    elif wanted.which != "all":
        rows = rows.filter(is_drill=False, status__in=sorted(OPEN if wanted.which == "open" else TERMINAL))
    return turn(rows, wanted, campaigns_out)


@area.read(
    "/campaigns/{uid}",
    who="signed_in",
    answer=CampaignOut,
    example=examples.CAMPAIGN,
    summary=gettext_lazy("查看一次召回"),
)
def get_campaign(request: HttpRequest, uid: Named) -> CampaignOut:
    """One recall."""
    return campaign_out(campaign_for(acting(request), uid))


@area.read(
    "/campaigns/{uid}/steps",
    who="signed_in",
    answer=Page[StepOut],
    example=page(examples.STEP),
    summary=gettext_lazy("召回经过"),
)
def list_campaign_steps(request: HttpRequest, uid: Named, paging: Query[Feed]) -> Page[StepOut]:
    """Every step, for who has a side in it."""
    actor = acting(request)
    campaign = campaign_for(actor, uid)
    require_side(actor, campaign)
    rows = campaign.steps.select_related("by", "by_organisation")
    return turn(rows, paging, lambda found: [StepOut.of(row) for row in found])


# --- Assessing ------------------------------------------------------------------------------------------------------


class FindingIn(In):
    """What the assessment says. `level` is 1 to 3 for food and farm produce and left out for consumer products."""

    hazard: Literal[
        "microbe",
        "toxin",
        "foreign_body",
        "additive",
        "pesticide",
        "contaminant",
        "illegal",
        "allergen",
        "labelling",
        "quality",
        "tip_over",
        "pinch",
        "edge",
        "emission",
        "strength",
        "glass",
        "other",
    ]
    severity: Literal["serious", "general", "none"]
    probability: Literal["likely", "possible", "remote"]
    verdict: Literal["recall", "withdraw", "correct", "no_recall"]
    basis: Annotated[str, Text(1000, multiline=True, required=True)]
    level: Annotated[int, Whole(1, 3)] | None = None
    population: Annotated[str, Text(200)] = ""
    experts: Annotated[str, Text(500, multiline=True)] = ""


class StandingIn(In):
    """As what the firm recalls. A trader says why it recalls what another made, and how it knows that the producer is
    gone or unknown.
    """

    initiator: Literal["producer", "brand_owner", "trader"] = "producer"
    ground: Literal["", "own_fault", "producer_gone", "unknown"] = Field("", description="A trader's reason.")
    words: Annotated[str, Text(300)] = Field("", description="With producer_gone, unknown: how that is known.")


class FindingAgainIn(FindingIn):
    """Another assessment; `standing` is left out where it stays."""

    standing: StandingIn | None = None


class AssessmentIn(In):
    """Opens a recall. `knew_at` (知悉时间) is set once: it chooses the legal regime and starts the clocks."""

    organisation: Uid | None = Field(None, description="The firm that would recall; the caller's own when left out.")
    track: Literal["food", "consumer_product", "farm_produce"]
    title: Annotated[str, Text(120, required=True)]
    knew_at: Moment
    finding: FindingIn
    signals: list[Uid] = Field(default_factory=list, max_length=50)
    is_drill: bool = False
    standing: StandingIn | None = Field(None, description="The producer's own recall when left out.")


FINDING_IN = {
    "hazard": "toxin",
    "severity": "serious",
    "probability": "possible",
    "verdict": "recall",
    "basis": "黄曲霉毒素B1 7.5 μg/kg，限值 5.0。",
    "level": 1,
}
ASSESSMENT_IN = {
    "track": "food",
    "title": "示例核桃仁 黄曲霉毒素B1 超标",
    "knew_at": "2026-11-22T08:30:00+08:00",
    "finding": FINDING_IN,
    "signals": [examples.SIGNAL["uid"]],
}


@area.write(
    "/campaigns",
    who="signed_in",
    answer=CampaignOut,
    example={**examples.CAMPAIGN, "number": None, "status": "assessing", "scope": None},
    body_example=ASSESSMENT_IN,
    roles=("quality", "owner", "officer", "approver"),
    summary=gettext_lazy("评估并立案"),
)
def open_campaign(request: HttpRequest, body: AssessmentIn) -> CampaignOut:
    """Open a recall by its first assessment."""
    actor = acting(request)
    campaign = assess(
        by=actor,
        organisation=organisation_for(actor, body.organisation) if body.organisation else actor.owner,
        track=body.track,
        title=body.title,
        knew_at=body.knew_at,
        finding=Finding(**body.finding.model_dump()),
        signals=[signal_for(actor, uid) for uid in body.signals],
        is_drill=body.is_drill,
        standing=_standing(body.standing),
    )
    return campaign_out(campaign)


def _standing(said: StandingIn | None) -> Standing | None:
    """As the action takes it."""
    return None if said is None else Standing(said.initiator, said.ground, said.words)


@area.write(
    "/campaigns/{uid}/assessments",
    who="signed_in",
    answer=CampaignOut,
    example={**examples.CAMPAIGN, "status": "assessing"},
    body_example=FINDING_IN,
    summary=gettext_lazy("再次评估"),
)
def assess_again(request: HttpRequest, uid: Named, body: FindingAgainIn) -> CampaignOut:
    """Add another assessment before the decision."""
    actor = acting(request)
    campaign = campaign_for(actor, uid)
    finding = Finding(**body.model_dump(exclude={"standing"}))
    reassess(by=actor, campaign=campaign, finding=finding, standing=_standing(body.standing))
    return campaign_out(campaign_for(actor, uid))


# --- Scope ----------------------------------------------------------------------------------------------------------


class QuestionIn(In):
    """What is asked of the genealogy. With nothing but the defaults the question of the version in force is asked
    again; whoever asks anything else names the `lots`.
    """

    lots: list[Uid] = Field(default_factory=list, max_length=MOST_LOTS, description="Lots known to be bad.")
    sources: list[Uid] = Field(
        default_factory=list, max_length=MOST_LOTS, description="Suspected ancestors: everything made of them comes in."
    )
    same_run: bool = Field(True, description="Also lots that came out of the same event as a named lot.")
    same_gear: bool = Field(
        False, description="Also what shared a run of equipment or a container with a named lot or its ancestors."
    )
    left_out: list[Uid] = Field(default_factory=list, max_length=MOST_LOTS, description="Possible lots to leave out.")
    left_out_reason: Annotated[str, Text(500)] = ""
    part_of: list[Uid] = Field(
        default_factory=list,
        max_length=50,
        description="Lots of which only a part is meant (four lists).",
    )
    part_kind: list[Literal["packs", "units", "hours"]] = Field(
        default_factory=list, max_length=50, description="What each part is named by."
    )
    part_words: list[Annotated[str, Text(WORDS_MAX, multiline=True)]] = Field(
        default_factory=list,
        max_length=50,
        description="Codes of packs; unit numbers, ranges (1-120) and codes; or two moments with a slash between.",
    )
    part_reason: list[Annotated[str, Text(500)]] = Field(
        default_factory=list, max_length=50, description="Why the rest of each lot is not affected."
    )
    through: Uid | None = Field(
        None,
        description="Only what passed through this organisation, and what was made of it: the cause lies with it.",
    )


def _question(actor: Actor, campaign: Campaign, asked: QuestionIn) -> Question:
    """The question in lots the caller may open, or that the version in force names already."""
    scope = latest_scope(campaign)
    if not asked.lots:
        other = asked.sources or asked.left_out or asked.part_of or asked.through
        if scope is None or other or asked.same_gear or not asked.same_run:
            raise Invalid(_("请至少指明一个批次。"), code="lots_required")
        return question_of(scope)
    known = {str(row.uid): row for row in scope_lots(scope)} if scope is not None else {}
    wanted = [*asked.lots, *asked.sources, *asked.left_out, *asked.part_of]
    if not len(asked.part_of) == len(asked.part_kind) == len(asked.part_words) == len(asked.part_reason):
        raise Invalid(_("part_of、part_kind、part_words、part_reason 须一样长。"), code="part_unreadable")
    before = {(one.lot, one.kind.value, one.words): one.ranges for one in question_of(scope).parts} if scope else {}
    opened = {str(row.uid): row for row in lots_visible_to(actor).filter(uid__in=wanted)}
    missing = [uid for uid in wanted if uid not in opened and uid not in known]
    if missing:
        raise NotFound(_("没有找到，或者您无权查看。"), lots=missing)
    rows = {**known, **opened}
    return Question.of(
        [rows[uid] for uid in asked.lots],
        [rows[uid] for uid in asked.sources],
        same_run=asked.same_run,
        same_gear=asked.same_gear,
        left_out=[rows[uid] for uid in asked.left_out],
        left_out_reason=asked.left_out_reason,
        parts=[
            Part(rows[uid].pk, PartKind(kind), words, reason, before.get((rows[uid].pk, kind, words), ()))
            for uid, kind, words, reason in zip(
                asked.part_of, asked.part_kind, asked.part_words, asked.part_reason, strict=True
            )
        ],
        through=_through(actor, campaign, [rows[uid].pk for uid in asked.lots], asked.through, scope),
    )


def _through(
    actor: Actor, campaign: Campaign, named: list[int], uid: str | None, scope: ScopeVersion | None
) -> Organisation | None:
    """The organisation whose hands are meant; NotFound for one the caller may not name."""
    if not uid:
        return None
    known = question_of(scope).through if scope is not None else None
    found = next((one for one in through_choices(actor, campaign, named, known) if str(one.uid) == uid), None)
    if found is None:
        raise NotFound(_("没有找到，或者您无权查看。"))
    return found


def scope_lots(scope: ScopeVersion) -> list[Lot]:
    """The lots of a version."""
    return list(Lot.objects.filter(scope_lots__scope=scope))


@area.read(
    "/campaigns/{uid}/scope",
    who="signed_in",
    answer=ScopeOut,
    example=examples.SCOPE,
    summary=gettext_lazy("召回范围预览"),
    description=gettext_lazy(
        "按谱系现在的样子计算，不写入任何内容：每个批次给出确定或可能、理由、路径和持有单位。"
        "不带 lots 时按现行范围的问法重算。"
    ),
)
def preview_campaign_scope(request: HttpRequest, uid: Named, asked: Query[QuestionIn]) -> ScopeOut:
    """The scope as it would be now."""
    actor = acting(request)
    campaign = campaign_for(actor, uid)
    require_side(actor, campaign)
    return _scope_out(actor, campaign, preview_scope(_question(actor, campaign, asked)), None)


def _scope_out(actor: Actor, campaign: Campaign, answer: Answer, frozen: ScopeVersion | None) -> ScopeOut:
    """An answer as the side may see it."""
    sight = Sight(actor, campaign)
    opened = sight.open_lots(answer.lots)
    holders: dict[int, list[int]] = {}
    for one in answer.holdings:
        holders.setdefault(one.lot_id, []).append(one.organisation_id)
    return ScopeOut(
        frozen=ScopeRef.of(frozen) if frozen else None,
        sha256=answer.sha256(),
        cut=answer.cut,
        holders=len(answer.holder_ids),
        lots=[_line_out(line, answer, sight, opened, holders) for line in answer.lines],
        through=_trader_out(answer),
    )


def _trader_out(answer: Answer) -> OrganisationRef | None:
    """Through whose hands the answer was followed."""
    trader = answer.organisations.get(answer.question.through or 0)
    return OrganisationRef.of(trader) if trader is not None else None


def _line_out(
    line: ScopeLine, answer: Answer, sight: Sight, opened: set[int], holders: dict[int, list[int]]
) -> ScopeLineOut:
    """One line of it; amounts only of lots the side may open."""
    unit = line.lot.product.base_unit
    is_open = line.lot.pk in opened
    return ScopeLineOut(
        lot=SeenLotOut.of(sight.lot(line.lot, is_open)),
        shell=line.shell.value,
        why=line.why.value,
        note=line.note if is_open and line.path and line.path[0] in opened else "",
        path=[sight.lot(lot, lot.pk in opened).label for lot in answer.path(line)],
        holders=[
            HolderOut.of(sight.holder(answer.organisations[pk])) for pk in dict.fromkeys(holders.get(line.lot.pk, []))
        ],
        made=AmountOut.of(line.made, unit) if is_open else None,
        used=AmountOut.of(line.used, unit) if is_open else None,
        shipped=AmountOut.of(line.shipped, unit) if is_open else None,
        conflicts=line.conflicts,
        part=PartOut.of(line.part, line.rest, unit) if line.part and is_open else None,
    )


class ScopeIn(QuestionIn):
    """Freeze the answer as the next version: the first ones before the start, wider or narrower ones after it."""

    change: Literal["freeze", "expand", "narrow"] = Field(
        "freeze", description="narrow frees goods: proposed by one person, done by another, with evidence."
    )
    reason: Words = ""
    evidence: Annotated[str, Text(500, multiline=True)] = ""


@area.write(
    "/campaigns/{uid}/scopes",
    who="signed_in",
    answer=CampaignOut,
    example=examples.CAMPAIGN,
    body_example={"lots": [examples.LOT_REF["uid"]]},
    summary=gettext_lazy("划定召回范围"),
)
def set_scope(request: HttpRequest, uid: Named, body: ScopeIn) -> CampaignOut:
    """Freeze, widen or narrow the scope."""
    actor = acting(request)
    campaign = campaign_for(actor, uid)
    require_side(actor, campaign)
    question = _question(actor, campaign, body)
    if body.change == "freeze":
        freeze_scope(by=actor, campaign=campaign, question=question, reason=body.reason, evidence=body.evidence)
    elif body.change == "expand":
        expand_scope(by=actor, campaign=campaign, question=question, reason=body.reason)
    else:
        narrow_scope(by=actor, campaign=campaign, question=question, reason=body.reason, evidence=body.evidence)
    return campaign_out(campaign_for(actor, uid))


# --- Steps ----------------------------------------------------------------------------------------------------------


class StepIn(In):
    """One step of the table of transitions with what that step needs; the rest is left out.

    `revision` is the one you saw: if somebody moved the recall since, the step is refused (`stale_state`).
    """

    action: Literal[
        "refuse",
        "decide",
        "order",
        "start",
        "file_plan",
        "return_plan",
        "announce",
        "take_back",
        "turn_recall",
        "amend_notice",
        "rehearse",
        "carry_out",
        "grant_extension",
        "finish_collecting",
        "finish_disposal",
        "summarise",
        "evaluate",
        "strengthen",
        "close",
        "cancel",
    ]
    revision: Annotated[int, Whole(0, 2**31 - 1)] | None = None
    reason: Words = ""
    stop_order: bool = Field(False, description="start: making and selling is stopped.")
    document: Annotated[str, Text(60)] = Field(
        "", description="order, strengthen, grant_extension: the served document."
    )
    served_at: Moment | None = None
    legal_basis: Annotated[str, Text(300)] = Field("", description="With a document: its law; the usual one if empty.")
    content: Annotated[str, Text(1000, multiline=True)] = Field("", description="With a document: what is required.")
    due_on: Day | None = Field(None, description="order, strengthen: until when.")
    file: Uid | None = Field(None, description="With a document: the document itself, uploaded before to `/files`.")
    again: bool = Field(False, description="strengthen: the whole recall again (责令重新召回).")
    channel: Annotated[str, Text(200)] = Field("", description="announce, amend_notice: where it is published.")
    sites: list[Annotated[str, Text(30)]] | None = Field(
        None, max_length=20, description="announce, amend_notice: the places by key, see `/campaigns/{uid}/channels`."
    )
    why: Annotated[str, Text(300)] = Field("", description="announce, amend_notice: why a required place is left out.")
    plan: dict[str, Annotated[str, Text(2000, multiline=True)]] = Field(
        default_factory=dict, description="file_plan: the items of the plan by their key."
    )
    until: Day | None = Field(None, description="grant_extension: the new last day.")
    summary: Annotated[str, Text(4000, multiline=True)] = Field("", description="summarise")
    explanation: Annotated[str, Text(2000, multiline=True)] = Field("", description="summarise: what does not add up.")

    def served(self, by: Actor) -> dict[str, Any]:
        """The served document; refuses where one is missing."""
        if self.served_at is None:
            raise Invalid(_("请登记文书编号和送达时间。"), code="guard_served_document")
        words = act.ActWords(
            content=self.content,
            legal_basis=self.legal_basis,
            due_on=self.due_on,
            file=files_of(by, [self.file])[0] if self.file else None,
        )
        return {"document": self.document, "served_at": self.served_at, "act": words}

    def published(self) -> dict[str, Any]:
        """Where it stands, as announcing takes it."""
        return {"channel": self.channel, "sites": self.sites, "why": self.why}

    def last_day(self) -> datetime.date:
        """The new last day; refuses where it is missing."""
        if self.until is None:
            raise Invalid(_("请写明延长到哪一天。"), code="until_required")
        return self.until


STEPS: dict[str, Callable[[Campaign, Actor, StepIn], Campaign]] = {
    "refuse": lambda c, by, s: act.refuse_recall(by=by, campaign=c, reason=s.reason),
    "decide": lambda c, by, s: act.decide(by=by, campaign=c),
    "order": lambda c, by, s: act.order(by=by, campaign=c, reason=s.reason, **s.served(by)),
    "start": lambda c, by, s: act.start_campaign(by=by, campaign=c, stop_order=s.stop_order, reason=s.reason),
    "file_plan": lambda c, by, s: act.file_plan(by=by, campaign=c, items=s.plan),
    "return_plan": lambda c, by, s: act.return_plan(by=by, campaign=c, reason=s.reason),
    "announce": lambda c, by, s: act.announce(by=by, campaign=c, **s.published()),
    "take_back": lambda c, by, s: act.take_back(by=by, campaign=c, reason=s.reason),
    "turn_recall": lambda c, by, s: act.turn_recall(by=by, campaign=c, reason=s.reason),
    "amend_notice": lambda c, by, s: act.amend_notice(by=by, campaign=c, reason=s.reason, **s.published()),
    "rehearse": lambda c, by, s: act.rehearse(by=by, campaign=c),
    "carry_out": lambda c, by, s: act.carry_out(by=by, campaign=c),
    "grant_extension": lambda c, by, s: act.grant_extension(
        by=by, campaign=c, until=s.last_day(), reason=s.reason, **s.served(by)
    ),
    "finish_collecting": lambda c, by, s: act.finish_collecting(by=by, campaign=c, reason=s.reason),
    "finish_disposal": lambda c, by, s: act.finish_disposal(by=by, campaign=c, reason=s.reason),
    "summarise": lambda c, by, s: act.summarise(by=by, campaign=c, summary=s.summary, explanation=s.explanation),
    "evaluate": lambda c, by, s: act.evaluate(by=by, campaign=c),
    "strengthen": lambda c, by, s: act.strengthen(by=by, campaign=c, reason=s.reason, again=s.again, **s.served(by)),
    "close": lambda c, by, s: act.close(by=by, campaign=c, reason=s.reason),
    "cancel": lambda c, by, s: act.cancel(by=by, campaign=c, reason=s.reason),
}
"""The action behind each step; the scope's rows have their own operation."""


@area.write(
    "/campaigns/{uid}/steps",
    who="signed_in",
    answer=CampaignOut,
    example=examples.CAMPAIGN,
    body_example={"action": "start", "revision": 2, "stop_order": True},
    status=200,
    summary=gettext_lazy("办理召回的一步"),
    description=gettext_lazy(
        "决定、启动、公告、结案等都在这里。哪一步由谁办理、要什么条件，由召回的流程表决定；"
        "决定、公告和结案须由另一人办理，启动须由本人登录（API 密钥不行）。启动当即封存全部批次并通知每个持有单位。"
    ),
)
def take_step(request: HttpRequest, uid: Named, body: StepIn) -> CampaignOut:
    """Take one step."""
    actor = acting(request)
    campaign = campaign_for(actor, uid)
    if body.revision is not None:
        campaign.revision = body.revision
    STEPS[body.action](campaign, actor, body)
    return campaign_out(campaign_for(actor, uid))


class ProposalIn(In):
    """A step one person proposes and another takes: cancelling, narrowing, extending."""

    action: Literal["cancel", "narrow_scope", "grant_extension"]
    reason: WrittenReason
    until: Day | None = Field(None, description="grant_extension: the last day asked for.")
    scope: QuestionIn | None = Field(
        None, description="narrow_scope: what the narrower scope covers; the other person approves this alone."
    )


@area.write(
    "/campaigns/{uid}/proposals",
    who="signed_in",
    answer=StepOut,
    example={**examples.STEP, "action": "propose", "about": "cancel"},
    body_example={"action": "cancel", "reason": "复检合格，原样品混淆。"},
    summary=gettext_lazy("提出一步，由另一人批准"),
)
def propose_step(request: HttpRequest, uid: Named, body: ProposalIn) -> StepOut:
    """Propose a step."""
    actor = acting(request)
    campaign = campaign_for(actor, uid)
    question = _question(actor, campaign, body.scope) if body.scope is not None else None
    step = act.propose(
        by=actor, campaign=campaign, action=body.action, reason=body.reason, until=body.until, question=question
    )
    return StepOut.of(step)


class PictureIn(In):
    """A picture uploaded before to `/files` (a photograph, no PDF); once published it is public."""

    file: Uid
    caption: Annotated[str, Text(120)] = ""


class AnnouncementIn(In):
    """The four groups of article 16 of the 2015 Measures; the goods come from the scope."""

    producer: Annotated[str, Text(120, required=True)]
    address: Annotated[str, Text(200, required=True)]
    legal_representative: Annotated[str, Text(60, required=True)]
    person_in_charge: Annotated[str, Text(60, required=True)]
    phone: Annotated[str, Text(40, required=True)]
    email: Annotated[str, Text(254)] = ""
    reason: Annotated[str, Text(500, multiline=True, required=True)]
    risk: Annotated[str, Text(500, multiline=True, required=True)]
    begins_on: Day
    ends_on: Day | None = None
    area: Annotated[str, Text(200, required=True)]
    duties: Annotated[str, Text(500, multiline=True, required=True)]
    what_to_do: Annotated[str, Text(500, multiline=True, required=True)]
    compensation: Annotated[str, Text(500, multiline=True, required=True)]
    identify: Annotated[str, Text(300, multiline=True)] = ""
    kind: Literal["announcement", "correction", "supplement"] = "announcement"
    pictures: list[PictureIn] = Field(
        default_factory=list, max_length=MOST_PICTURES, description="Added after those of the version before."
    )
    keep: list[Annotated[int, Whole(1, MOST_PICTURES)]] | None = Field(
        None, max_length=MOST_PICTURES, description="Numbers of the version before that stay; all when left out."
    )


class DraftOut(Out):
    """A version of the announcement, not yet published."""

    uid: str
    number: int
    kind: str
    goods: list[dict[str, Any]]
    pictures: list[PictureOut]


ANNOUNCEMENT_IN = {
    key: examples.PUBLIC[key]
    for key in (
        "producer",
        "address",
        "phone",
        "reason",
        "risk",
        "begins_on",
        "ends_on",
        "area",
        "duties",
        "what_to_do",
        "compensation",
        "identify",
    )
} | {"legal_representative": "示例王五", "person_in_charge": "示例赵六", "email": "recall@example.com"}


@area.write(
    "/campaigns/{uid}/announcements",
    who="signed_in",
    answer=DraftOut,
    example={
        "uid": "0199b0c0-0000-7000-8000-000000000028",
        "number": 1,
        "kind": "announcement",
        "goods": examples.PUBLIC["goods"],
        "pictures": examples.PUBLIC["pictures"],
    },
    body_example=ANNOUNCEMENT_IN,
    summary=gettext_lazy("起草召回公告"),
    description=gettext_lazy("起草后由另一人用 announce 发布。"),
)
def draft_announcement(request: HttpRequest, uid: Named, body: AnnouncementIn) -> DraftOut:
    """Write the next version of the announcement."""
    actor = acting(request)
    notice = draft_notice(
        by=actor,
        campaign=campaign_for(actor, uid),
        announcement=Announcement(**body.model_dump(exclude={"kind", "pictures", "keep"})),
        kind=body.kind,
        pictures=[Shown(files_of(actor, [one.file])[0], one.caption) for one in body.pictures],
        keep=body.keep,
    )
    return DraftOut(
        uid=str(notice.uid),
        number=notice.number,
        kind=notice.kind,
        goods=notice.goods,
        pictures=[PictureOut.of(one) for one in notice.pictures.order_by("number")],
    )


class StopSaleIn(In):
    """Lots whose sale stops at once. One authorised person suffices, for it protects."""

    lots: list[Uid] = Field(min_length=1, max_length=MOST_LOTS)
    reason: WrittenReason


@area.write(
    "/campaigns/{uid}/stop-sale",
    who="signed_in",
    answer=HoldOut,
    example={
        "uid": "0199b0c0-0000-7000-8000-00000000000b",
        "organisation": examples.ORGANISATION_REF,
        "kind": "stop_sale",
        "reason": "评估期间停止销售",
        "legal_basis": "",
        "active": True,
        "active_from": "2026-11-22T01:00:00Z",
        "ended_at": None,
        "lots": 1,
    },
    body_example={"lots": [examples.LOT_REF["uid"]], "reason": "评估期间停止销售"},
    summary=gettext_lazy("停止销售"),
)
def stop_sale_of_lots(request: HttpRequest, uid: Named, body: StopSaleIn) -> HoldOut:
    """Stop the sale of lots while the risk is being assessed."""
    actor = acting(request)
    campaign = campaign_for(actor, uid)
    lots = list(lots_of(actor, body.lots).values())
    hold = act.stop_sale(by=actor, lots=lots, reason=body.reason, campaign=campaign)
    return HoldOut.of(hold, len(lots))


# --- Numbers --------------------------------------------------------------------------------------------------------


@area.read(
    "/campaigns/{uid}/figures",
    who="signed_in",
    answer=FiguresOut,
    example=examples.FIGURES,
    summary=gettext_lazy("召回数字"),
    description=gettext_lazy("生产、发出、收回、销毁、去向不明；按单位合计，并逐批列出。"),
)
def get_figures(request: HttpRequest, uid: Named) -> FiguresOut:
    """The numbers as records and answers say now."""
    actor = acting(request)
    campaign = campaign_for(actor, uid)
    require_side(actor, campaign)
    numbers = figures(campaign)
    return FiguresOut.of(numbers, effect(campaign, numbers), Sight(actor, campaign))


class ProgressIn(In):
    """A periodic report; the numbers are kept with it."""

    text: Annotated[str, Text(1000, multiline=True, required=True)]


@area.write(
    "/campaigns/{uid}/reports",
    who="signed_in",
    answer=FiguresOut,
    example=examples.FIGURES,
    body_example={"text": "已收回 20 千克，全部销毁。"},
    summary=gettext_lazy("报送进展"),
)
def add_progress_report(request: HttpRequest, uid: Named, body: ProgressIn) -> FiguresOut:
    """File a progress report."""
    actor = acting(request)
    campaign = campaign_for(actor, uid)
    act.report_progress(by=actor, campaign=campaign, text=body.text)
    numbers = figures(campaign)
    return FiguresOut.of(numbers, effect(campaign, numbers), Sight(actor, campaign))
