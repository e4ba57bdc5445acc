"""What stands beside the steps of a recall: rehearsals, reports before destruction, corrected goods, the balance,
calls, disputed answers, goods on their way back.
"""

import datetime
from typing import Annotated, Any, Literal

from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from pydantic import Field

from recalls.access import (
    campaign_for,
    campaign_notice_for,
    drill_for,
    drills_visible_to,
    received_notice_for,
    require_side,
)
from recalls.actions.calls import dispute, log_call
from recalls.actions.disposal import approve_release, explain_difference, propose_release, report_disposal, send_back
from recalls.actions.drills import add_gap, finish_drill, start_drill, trace_drill
from recalls.api import examples
from recalls.api.area import area
from recalls.api.notices import Lines, goods_lines
from recalls.api.shapes import NoticeOut, notices_out
from recalls.balance import Balance, balances
from recalls.figures import figures
from recalls.models import CorrectedRelease, DisposalPlan, Drill, ReturnDispatch
from recalls.sight import Sight, answered_holders
from trace.access import lot_for, parse_uid
from trace.api.auth import acting
from trace.api.given import WrittenReason
from trace.api.schemas import AmountOut, Day, In, Moment, Named, Out, Text, Uid, Whole
from trace.api.shapes import LotRef, OrganisationRef, lot_ref
from trace.errors import Invalid, NotFound
from trace.units import decimal_text

Line = Annotated[str, Text(300, required=True)]
MOST = 200

# --- Rehearsals -----------------------------------------------------------------------------------------------------


class DrillTraceOut(Out):
    """One answer of the genealogy in an exercise; `data` counts what it found."""

    direction: str
    took_ms: int
    data: dict[str, Any]
    at: datetime.datetime


class DrillOut(Out):
    """One exercise: the lot (drawn by `seed` from a pool with this hash, or chosen), its time and traces."""

    uid: str
    organisation: OrganisationRef
    lot: LotRef
    seed: str
    pool_sha256: str
    limit_minutes: int
    started_at: datetime.datetime
    finished_at: datetime.datetime | None
    minutes: int | None
    summary: str
    traces: list[DrillTraceOut]
    gaps: int


def drill_out(row: Drill) -> DrillOut:
    """From the row."""
    return DrillOut(
        uid=str(row.uid),
        organisation=OrganisationRef.of(row.organisation),
        lot=lot_ref(row.lot),
        seed=row.seed,
        pool_sha256=row.pool_sha256,
        limit_minutes=row.limit_minutes,
        started_at=row.started_at,
        finished_at=row.finished_at,
        minutes=row.minutes,
        summary=row.summary,
        traces=[
            DrillTraceOut(direction=one.direction, took_ms=one.took_ms, data=one.data, at=one.at)
            for one in row.traces.all()
        ],
        gaps=len(row.gaps.all()),
    )


DRILL = {
    "uid": "0199b0c0-0000-7000-8000-000000000031",
    "organisation": examples.ORGANISATION_REF,
    "lot": examples.LOT_REF,
    "seed": "07 12 23",
    "pool_sha256": examples.SCOPE_REF["sha256"],
    "limit_minutes": 240,
    "started_at": "2026-11-22T01:00:00Z",
    "finished_at": None,
    "minutes": None,
    "summary": "",
    "traces": [],
    "gaps": 0,
}


@area.read(
    "/drills", who="signed_in", answer=list[DrillOut], example=[DRILL], summary=gettext_lazy("列出演练（最近 200 次）")
)
def list_drills(request: HttpRequest) -> list[DrillOut]:
    """The caller's exercises, the newest first; for regulators those of the territory."""
    rows = drills_visible_to(acting(request)).prefetch_related("traces", "gaps").order_by("-id")[:MOST]
    return [drill_out(row) for row in rows]


class DrillIn(In):
    """Which lot; without one it is drawn from the lots that left the firm, by the seed."""

    lot: Uid | None = None
    seed: Annotated[str, Text(60)] = ""


@area.write(
    "/drills",
    who="party",
    answer=DrillOut,
    example=DRILL,
    body_example={"seed": "07 12 23"},
    roles=("quality", "owner"),
    summary=gettext_lazy("开始演练"),
)
def begin_drill(request: HttpRequest, body: DrillIn) -> DrillOut:
    """Begin an exercise. It blocks nothing and tells nobody."""
    actor = acting(request)
    row = start_drill(by=actor, lot=lot_for(actor, body.lot) if body.lot else None, seed=body.seed)
    return drill_out(drill_for(actor, row.uid))


class NothingIn(In):
    """No fields."""


@area.write(
    "/drills/{uid}/traces",
    who="party",
    answer=DrillOut,
    example=DRILL,
    body_example={},
    roles=("quality", "owner"),
    summary=gettext_lazy("演练：双向追溯"),
)
def trace_in_drill(request: HttpRequest, uid: Named, body: NothingIn) -> DrillOut:
    """Trace both ways; every answer stays."""
    actor = acting(request)
    trace_drill(by=actor, drill=drill_for(actor, uid))
    return drill_out(drill_for(actor, uid))


class GapIn(In):
    """A gap that was found, with its measure."""

    gap: Line
    action: Line
    responsible: Annotated[str, Text(60, required=True)]
    due_on: Day


@area.write(
    "/drills/{uid}/gaps",
    who="party",
    answer=DrillOut,
    example={**DRILL, "gaps": 1},
    body_example={"gap": "有客户没有邮箱", "action": "补登记", "responsible": "销售负责人", "due_on": "2026-12-20"},
    roles=("quality", "owner"),
    summary=gettext_lazy("演练：登记差距"),
)
def note_gap(request: HttpRequest, uid: Named, body: GapIn) -> DrillOut:
    """Write a gap down."""
    actor = acting(request)
    add_gap(
        by=actor,
        drill=drill_for(actor, uid),
        gap=body.gap,
        action=body.action,
        responsible=body.responsible,
        due_on=body.due_on,
    )
    return drill_out(drill_for(actor, uid))


class DrillEndIn(In):
    """How it went."""

    summary: Annotated[str, Text(2000, multiline=True, required=True)]


@area.write(
    "/drills/{uid}/end",
    who="party",
    answer=DrillOut,
    example={**DRILL, "summary": "时限内查清。"},
    body_example={"summary": "时限内查清。"},
    roles=("quality", "owner"),
    summary=gettext_lazy("结束演练"),
)
def end_drill(request: HttpRequest, uid: Named, body: DrillEndIn) -> DrillOut:
    """End the exercise."""
    actor = acting(request)
    finish_drill(by=actor, drill=drill_for(actor, uid), summary=body.summary)
    return drill_out(drill_for(actor, uid))


# --- Before destruction ---------------------------------------------------------------------------------------------


class PlanLineOut(Out):
    """How much of one lot."""

    lot: LotRef
    amount: AmountOut


class DisposalPlanOut(Out):
    """A report before destruction: when, where, how, of what."""

    uid: str
    organisation: OrganisationRef
    planned_at: datetime.datetime
    place: str
    method: str
    reported_at: datetime.datetime
    lines: list[PlanLineOut]


def _plan_out(row: DisposalPlan) -> DisposalPlanOut:
    """From the row."""
    return DisposalPlanOut(
        uid=str(row.uid),
        organisation=OrganisationRef.of(row.organisation),
        planned_at=row.planned_at,
        place=row.place,
        method=row.method,
        reported_at=row.reported_at,
        lines=[
            PlanLineOut(lot=lot_ref(one.lot), amount=AmountOut.of(one.micros, one.lot.product.base_unit))
            for one in row.lots.all()
        ],
    )


PLAN = {
    "uid": "0199b0c0-0000-7000-8000-000000000032",
    "organisation": examples.ORGANISATION_REF,
    "planned_at": "2026-12-01T02:00:00Z",
    "place": "汾阳市示例填埋场",
    "method": "destroy",
    "reported_at": "2026-11-26T02:00:00Z",
    "lines": [{"lot": examples.LOT_REF, "amount": {"value": "9", "unit": "KGM"}}],
}
_LOTS = ("lots__lot__product", "lots__lot__product_version", "lots__lot__organisation")


@area.read(
    "/campaigns/{uid}/disposal-plans",
    who="signed_in",
    answer=list[DisposalPlanOut],
    example=[PLAN],
    summary=gettext_lazy("销毁预报告（最近 200 份）"),
)
def list_disposal_plans(request: HttpRequest, uid: Named) -> list[DisposalPlanOut]:
    """The reports before destruction, the newest first."""
    actor = acting(request)
    campaign = campaign_for(actor, uid)
    require_side(actor, campaign)
    rows = campaign.disposal_plans.select_related("organisation").prefetch_related(*_LOTS).order_by("-id")[:MOST]
    return [_plan_out(row) for row in rows]


class DisposalPlanIn(In):
    """When and where what will be destroyed."""

    planned_at: Moment
    place: Annotated[str, Text(120, required=True)]
    method: Literal["destroy", "harmless", "recycle"]
    lines: Lines


@area.write(
    "/campaigns/{uid}/disposal-plans",
    who="party",
    answer=DisposalPlanOut,
    example=PLAN,
    body_example={
        "planned_at": "2026-12-01T10:00:00+08:00",
        "place": "汾阳市示例填埋场",
        "method": "destroy",
        "lines": [{"lot": examples.LOT_REF["uid"], "amount": {"value": "9"}}],
    },
    summary=gettext_lazy("报送销毁预报告"),
)
def add_disposal_plan(request: HttpRequest, uid: Named, body: DisposalPlanIn) -> DisposalPlanOut:
    """Report time and place of a destruction beforehand (food safety law, article 63)."""
    actor = acting(request)
    campaign = campaign_for(actor, uid)
    plan = report_disposal(
        by=actor,
        campaign=campaign,
        lines=[(line.lot, line.amount.micros) for line in goods_lines(campaign, body.lines)],
        planned_at=body.planned_at,
        place=body.place,
        method=body.method,
    )
    rows = DisposalPlan.objects.select_related("organisation").prefetch_related(*_LOTS)
    return _plan_out(rows.get(pk=plan.pk))


# --- Corrected goods ------------------------------------------------------------------------------------------------


class ReleaseOut(Out):
    """Goods whose label was put right; `approved_at` is null until a second person let them go."""

    uid: str
    lot: LotRef
    holder: OrganisationRef
    amount: AmountOut
    units: list[int] | None
    correction: str
    at: datetime.datetime
    approved_at: datetime.datetime | None


def _release_out(row: CorrectedRelease) -> ReleaseOut:
    """From the row (lot, holder and approval selected)."""
    approval = getattr(row, "approval", None)
    return ReleaseOut(
        uid=str(row.uid),
        lot=lot_ref(row.lot),
        holder=OrganisationRef.of(row.holder),
        amount=AmountOut.of(row.micros, row.lot.product.base_unit),
        units=[row.unit_from, row.unit_to or row.unit_from] if row.unit_from else None,
        correction=row.correction,
        at=row.at,
        approved_at=approval.at if approval else None,
    )


RELEASE = {
    "uid": "0199b0c0-0000-7000-8000-000000000033",
    "lot": examples.LOT_REF,
    "holder": examples.ORGANISATION_REF,
    "amount": {"value": "9", "unit": "KGM"},
    "units": None,
    "correction": "加贴酒精度更正标签",
    "at": "2026-11-26T02:00:00Z",
    "approved_at": None,
}
_RELEASE_PARTS = ("lot__product", "lot__product_version", "lot__organisation", "holder", "approval", "campaign")


@area.read(
    "/campaigns/{uid}/releases",
    who="signed_in",
    answer=list[ReleaseOut],
    example=[RELEASE],
    summary=gettext_lazy("更正后放行（最近 200 条）"),
)
def list_releases(request: HttpRequest, uid: Named) -> list[ReleaseOut]:
    """What was put right, the newest first."""
    actor = acting(request)
    campaign = campaign_for(actor, uid)
    require_side(actor, campaign)
    return [_release_out(row) for row in campaign.releases.select_related(*_RELEASE_PARTS).order_by("-id")[:MOST]]


class CorrectedIn(In):
    """What was put right and how; `units` where only these numbers of one lot were (first and last)."""

    lines: Lines
    correction: Line
    holder: Uid | None = Field(None, description="Who has the goods and answered its notice; else the caller.")
    units: tuple[Annotated[int, Whole(1, 2**31 - 1)], Annotated[int, Whole(1, 2**31 - 1)]] | None = None


@area.write(
    "/campaigns/{uid}/releases",
    who="party",
    answer=list[ReleaseOut],
    example=[RELEASE],
    body_example={
        "correction": "加贴酒精度更正标签",
        "lines": [{"lot": examples.LOT_REF["uid"], "amount": {"value": "9"}}],
    },
    roles=("quality", "owner"),
    summary=gettext_lazy("提出更正后放行"),
    description=gettext_lazy("只有仅因标签、不影响安全的召回可以；由另一人在页面上或用 approval 批准。"),
)
def add_release(request: HttpRequest, uid: Named, body: CorrectedIn) -> list[ReleaseOut]:
    """Propose to let goods go whose label was put right."""
    actor = acting(request)
    campaign = campaign_for(actor, uid)
    if body.units is not None and len(body.lines) > 1:
        raise Invalid(_("件号范围只用于一个批次。"), code="range_wrong")
    holder = None
    if body.holder is not None:
        holder = next((one for one in answered_holders(actor, campaign) if str(one.uid) == body.holder), None)
        if holder is None:
            raise NotFound(_("没有找到，或者您无权查看。"))
    rows = [
        propose_release(
            holder=holder,
            by=actor,
            campaign=campaign,
            lot=line.lot,
            micros=line.amount.micros,
            correction=body.correction,
            units=body.units,
        )
        for line in goods_lines(campaign, body.lines)
    ]
    found = campaign.releases.select_related(*_RELEASE_PARTS).filter(pk__in=[row.pk for row in rows])
    return [_release_out(row) for row in found.order_by("id")]


@area.write(
    "/campaigns/{uid}/releases/{release}/approval",
    who="signed_in",
    answer=ReleaseOut,
    example={**RELEASE, "approved_at": "2026-11-26T03:00:00Z"},
    body_example={},
    summary=gettext_lazy("批准更正后放行"),
)
def let_release_go(request: HttpRequest, uid: Named, release: Named, body: NothingIn) -> ReleaseOut:
    """The second person lets corrected goods go; needs a person, no key."""
    actor = acting(request)
    campaign = campaign_for(actor, uid)
    rows = campaign.releases.select_related(*_RELEASE_PARTS, "campaign__organisation", "by")
    row = rows.filter(uid=parse_uid(release)).first()
    if row is None:
        raise NotFound(_("没有找到，或者您无权查看。"))
    approve_release(by=actor, release=row)
    return _release_out(campaign.releases.select_related(*_RELEASE_PARTS).get(pk=row.pk))


# --- The balance ----------------------------------------------------------------------------------------------------


class BalanceOut(Out):
    """The mass balance of one lot: made = used + on hand + sold + samples + loss + destroyed + released + unknown.
    `excess` was answered or recovered beyond what records allow; `explained` is why.
    """

    lot: LotRef
    unit: str
    made: str
    used: str
    on_hand: str
    sold: str
    samples: str
    loss: str
    destroyed: str
    released: str
    unknown: str
    difference: str
    excess: str
    balanced: bool
    explained: str


def _balance_out(one: Balance) -> BalanceOut:
    """From the balance."""
    amounts = one.amounts
    return BalanceOut(
        lot=lot_ref(one.lot),
        unit=one.unit,
        made=decimal_text(amounts.made),
        used=decimal_text(amounts.used),
        on_hand=decimal_text(amounts.on_hand),
        sold=decimal_text(amounts.sold),
        samples=decimal_text(amounts.samples),
        loss=decimal_text(amounts.loss),
        destroyed=decimal_text(amounts.destroyed),
        released=decimal_text(amounts.released),
        unknown=decimal_text(amounts.unknown),
        difference=decimal_text(one.difference),
        excess=decimal_text(amounts.excess),
        balanced=one.balanced,
        explained=one.explained,
    )


BALANCE = {
    "lot": examples.LOT_REF,
    "unit": "KGM",
    "made": "40",
    "used": "0",
    "on_hand": "20",
    "sold": "10",
    "samples": "0",
    "loss": "0",
    "destroyed": "8",
    "released": "0",
    "unknown": "2",
    "difference": "0",
    "excess": "0",
    "balanced": True,
    "explained": "",
}


@area.read(
    "/campaigns/{uid}/balance",
    who="signed_in",
    answer=list[BalanceOut],
    example=[BALANCE],
    summary=gettext_lazy("逐批平衡"),
    description=gettext_lazy("只列出您可以查看的批次。"),
)
def get_balance(request: HttpRequest, uid: Named) -> list[BalanceOut]:
    """The balance lot by lot, of lots the caller may open."""
    actor = acting(request)
    campaign = campaign_for(actor, uid)
    require_side(actor, campaign)
    numbers = figures(campaign)
    opened = Sight(actor, campaign).open_lots([one.lot.pk for one in numbers.lots])
    notes = {note.lot_id: note.explanation for note in campaign.balance_notes.order_by("id")}
    return [_balance_out(one) for one in balances(numbers, notes) if one.lot.pk in opened]


class ExplanationIn(In):
    """Why one lot does not add up."""

    lot: Uid
    explanation: Annotated[str, Text(500, multiline=True, required=True)]


@area.write(
    "/campaigns/{uid}/balance",
    who="party",
    answer=list[BalanceOut],
    example=[{**BALANCE, "excess": "1", "balanced": False, "explained": "门店多退了一件"}],
    body_example={"lot": examples.LOT_REF["uid"], "explanation": "门店多退了一件"},
    roles=("quality", "owner"),
    summary=gettext_lazy("说明数量差异"),
)
def explain_balance(request: HttpRequest, uid: Named, body: ExplanationIn) -> list[BalanceOut]:
    """Say why a lot does not add up; answers with its balance."""
    actor = acting(request)
    campaign = campaign_for(actor, uid)
    require_side(actor, campaign)
    lot = lot_for(actor, body.lot)
    explain_difference(by=actor, campaign=campaign, lot=lot, explanation=body.explanation)
    notes = {note.lot_id: note.explanation for note in campaign.balance_notes.order_by("id")}
    return [_balance_out(one) for one in balances(figures(campaign), notes) if one.lot.pk == lot.pk]


# --- Calls, disputes, goods on their way ----------------------------------------------------------------------------


class CallIn(In):
    """One telephone call about a notice."""

    outcome: Literal["reached", "call_back", "no_answer", "wrong_number", "refused"]
    called_at: Moment
    spoke_with: Annotated[str, Text(60)] = ""
    words: Annotated[str, Text(500, multiline=True)] = ""


@area.write(
    "/campaigns/{uid}/notices/{notice}/calls",
    who="signed_in",
    answer=NoticeOut,
    example=examples.NOTICE,
    body_example={"outcome": "no_answer", "called_at": "2026-11-22T14:00:00+08:00"},
    summary=gettext_lazy("登记电话记录"),
)
def add_call(request: HttpRequest, uid: Named, notice: Named, body: CallIn) -> NoticeOut:
    """Write down a call; names and words are sealed."""
    actor = acting(request)
    campaign = campaign_for(actor, uid)
    row = campaign_notice_for(actor, campaign, notice)
    log_call(
        by=actor,
        notice=row,
        outcome=body.outcome,
        called_at=body.called_at,
        spoke_with=body.spoke_with,
        words=body.words,
    )
    return notices_out([campaign_notice_for(actor, campaign, notice)], Sight(actor, campaign))[0]


class DisputeIn(In):
    """Why an answer was not the recipient's own."""

    reason: WrittenReason


@area.write(
    "/notices/{uid}/dispute",
    who="signed_in",
    answer=NoticeOut,
    example=examples.NOTICE,
    body_example={"reason": "答复不是本单位作的。"},
    status=200,
    summary=gettext_lazy("声明答复不是本单位作的"),
)
def dispute_answer(request: HttpRequest, uid: Named, body: DisputeIn) -> NoticeOut:
    """Say that an answer on a notice was not one's own; it counts until somebody has judged."""
    actor = acting(request)
    dispute(by=actor, notice=received_notice_for(actor, uid), reason=body.reason)
    return notices_out([received_notice_for(actor, uid)])[0]


class DispatchIn(In):
    """What is sent back, and by whom."""

    lines: Lines
    sent_at: Moment
    carrier: Annotated[str, Text(60)] = ""
    parcel: Annotated[str, Text(60)] = ""


class DispatchOut(Out):
    """Goods on their way back."""

    uid: str
    lot: LotRef
    amount: AmountOut
    carrier: str
    parcel: str
    sent_at: datetime.datetime


def dispatch_out(row: ReturnDispatch) -> DispatchOut:
    """From the row (lot selected)."""
    return DispatchOut(
        uid=str(row.uid),
        lot=lot_ref(row.lot),
        amount=AmountOut.of(row.micros, row.lot.product.base_unit),
        carrier=row.carrier,
        parcel=row.parcel,
        sent_at=row.sent_at,
    )


DISPATCH = {
    "uid": "0199b0c0-0000-7000-8000-000000000034",
    "lot": examples.LOT_REF,
    "amount": {"value": "9", "unit": "KGM"},
    "carrier": "示例快运",
    "parcel": "SF0001",
    "sent_at": "2026-11-23T02:00:00Z",
}


@area.write(
    "/notices/{uid}/dispatches",
    who="signed_in",
    answer=list[DispatchOut],
    example=[DISPATCH],
    body_example={
        "sent_at": "2026-11-23T10:00:00+08:00",
        "carrier": "示例快运",
        "parcel": "SF0001",
        "lines": [{"lot": examples.LOT_REF["uid"], "amount": {"value": "9"}}],
    },
    summary=gettext_lazy("寄回货物"),
)
def add_dispatch(request: HttpRequest, uid: Named, body: DispatchIn) -> list[DispatchOut]:
    """Say what is sent back; it moves no stock until the initiator has received it."""
    actor = acting(request)
    notice = received_notice_for(actor, uid)
    rows = send_back(
        by=actor,
        notice=notice,
        lines=[(line.lot, line.amount.micros) for line in goods_lines(notice.campaign, body.lines)],
        sent_at=body.sent_at,
        carrier=body.carrier,
        parcel=body.parcel,
    )
    return [dispatch_out(row) for row in rows]
