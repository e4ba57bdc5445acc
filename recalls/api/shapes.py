"""How recalls look from outside. What a side may not know of the others is left out (``recalls.sight``)."""

import datetime
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.urls import reverse
from pydantic import Field

from recalls.asked import still_asked
from recalls.effect import Effect
from recalls.figures import Amounts, CampaignFigures
from recalls.models import (
    Campaign,
    CampaignStep,
    Disposal,
    Notice,
    NoticeLot,
    NoticePicture,
    Publication,
    ReturnReceipt,
    ScopeVersion,
    Signal,
    StockAnswer,
)
from recalls.parts import Part, Through
from recalls.queries import Coverage, RunningClock, campaign_rows, clocks_of, coverage
from recalls.sight import SeenHolder, SeenLot, Sight
from recalls.transitions import transitions_from
from trace.api.schemas import AmountOut, Out
from trace.api.shapes import LotRef, OrganisationRef, lot_ref
from trace.personal import reveal
from trace.units import decimal_text


class SignalOut(Out):
    """A hint that something may be wrong. `words` are shown to who handles it."""

    uid: str
    receipt: str
    source: str
    status: str
    organisation: OrganisationRef | None
    lot: LotRef | None
    product: str | None
    code: str
    words: str
    received_at: datetime.datetime
    campaign: str | None
    is_drill: bool


SIGNAL_PARTS = ("organisation", "lot__product", "lot__product_version", "product", "words", "campaign")


def signal_out(row: Signal) -> SignalOut:
    """From the row (with SIGNAL_PARTS selected)."""
    return SignalOut(
        uid=str(row.uid),
        receipt=row.receipt,
        source=row.source,
        status=row.status,
        organisation=OrganisationRef.of(row.organisation) if row.organisation else None,
        lot=lot_ref(row.lot) if row.lot else None,
        product=str(row.product.uid) if row.product else None,
        code=row.code,
        words=reveal(row.words),
        received_at=row.received_at,
        campaign=str(row.campaign.uid) if row.campaign else None,
        is_drill=row.is_drill,
    )


class CoverageOut(Out):
    """How far the notices have come, in numbers of holders."""

    holders: int
    sent: int
    acknowledged: int
    answered: int
    escalated: int

    @classmethod
    def of(cls, found: Coverage) -> "CoverageOut":
        """From the query's answer."""
        return cls(
            holders=found.holders,
            sent=found.sent,
            acknowledged=found.acknowledged,
            answered=found.answered,
            escalated=found.escalated,
        )


class ClockOut(Out):
    """One time limit, by which law, and whether that is certain."""

    rule: str
    label: str
    law: str
    verified: bool
    provisional: bool
    started_at: datetime.datetime
    due_at: datetime.datetime
    met_at: datetime.datetime | None

    @classmethod
    def of(cls, found: RunningClock) -> "ClockOut":
        """From the query's answer."""
        clock = found.clock
        return cls(
            rule=clock.rule,
            label=found.label,
            law=found.law,
            verified=found.verified,
            provisional=clock.provisional,
            started_at=clock.started_at,
            due_at=clock.due_at,
            met_at=clock.met_at,
        )


class CampaignRow(Out):
    """A recall in a list."""

    uid: str
    number: str | None
    title: str
    status: str
    revision: int
    is_drill: bool
    kind: str
    track: str
    regime: str
    form: str
    level: int | None
    organisation: OrganisationRef
    authority: OrganisationRef | None
    knew_at: datetime.datetime
    started_at: datetime.datetime | None
    announced_at: datetime.datetime | None
    ended_at: datetime.datetime | None
    coverage: CoverageOut
    next_limit: ClockOut | None


class ScopeRef(Out):
    """One frozen version of the scope."""

    uid: str
    number: int
    reason: str
    sha256: str
    lots: int
    holders: int
    active: bool
    calculated_at: datetime.datetime

    @classmethod
    def of(cls, row: ScopeVersion) -> "ScopeRef":
        """From the row (hold selected)."""
        return cls(
            uid=str(row.uid),
            number=row.number,
            reason=row.reason,
            sha256=row.sha256,
            lots=row.lot_count,
            holders=row.holder_count,
            active=row.hold.is_active,
            calculated_at=row.calculated_at,
        )


class StepOut(Out):
    """One step of a recall: what was done, by whom, when, why."""

    uid: str
    action: str
    about: str
    old: str
    new: str
    by: str | None
    by_organisation: OrganisationRef
    reason: str
    document: str
    at: datetime.datetime

    @classmethod
    def of(cls, row: CampaignStep) -> "StepOut":
        """From the row (by and organisation selected)."""
        return cls(
            uid=str(row.uid),
            action=row.action,
            about=row.about,
            old=row.old,
            new=row.new,
            by=row.by.display_name if row.by else None,
            by_organisation=OrganisationRef.of(row.by_organisation),
            reason=row.reason,
            document=row.document,
            at=row.at,
        )


class CampaignOut(CampaignRow):
    """A recall. `actions` are the steps its table of transitions has in this stage, whoever may take them."""

    summary: str
    explanation: str
    limits: list[ClockOut]
    scope: ScopeRef | None
    actions: list[str]


def campaigns_out(rows: Sequence[Campaign]) -> list[CampaignRow]:
    """List rows: a fixed number of queries however many."""
    return [
        CampaignRow(
            **_facts(found.campaign),
            coverage=CoverageOut.of(found.coverage),
            next_limit=ClockOut.of(found.next_clock) if found.next_clock else None,
        )
        for found in campaign_rows(rows)
    ]


def campaign_out(row: Campaign) -> CampaignOut:
    """One recall with its limits and scope."""
    alone = Campaign.objects.filter(pk=row.pk)
    limits = [ClockOut.of(clock) for clock in clocks_of(alone).get(row.pk, [])]
    scope = row.scopes.select_related("hold").order_by("-number").first()
    return CampaignOut(
        **_facts(row),
        coverage=CoverageOut.of(coverage(alone).get(row.pk, Coverage())),
        next_limit=next((limit for limit in limits if limit.met_at is None), None),
        summary=row.summary,
        explanation=row.explanation,
        limits=limits,
        scope=ScopeRef.of(scope) if scope else None,
        actions=[step.action for step in transitions_from(row.status, is_drill=row.is_drill, quiet=row.quiet)],
    )


def _facts(row: Campaign) -> dict[str, Any]:
    """What a list and the whole have in common."""
    return {
        "uid": str(row.uid),
        "number": row.number,
        "title": row.title,
        "status": row.status,
        "revision": row.revision,
        "is_drill": row.is_drill,
        "kind": row.kind,
        "track": row.track,
        "regime": row.regime,
        "form": row.form,
        "level": row.level,
        "organisation": OrganisationRef.of(row.organisation),
        "authority": OrganisationRef.of(row.authority) if row.authority else None,
        "knew_at": row.knew_at,
        "started_at": row.started_at,
        "announced_at": row.announced_at,
        "ended_at": row.ended_at,
    }


class SeenLotOut(Out):
    """A lot of a scope. `lot` is null where it is another's: then only the rest may be told."""

    lot: LotRef | None
    label: str
    region: str
    date: datetime.date | None

    @classmethod
    def of(cls, seen: SeenLot) -> "SeenLotOut":
        """From what the side may see."""
        return cls(lot=lot_ref(seen.lot) if seen.lot else None, label=seen.label, region=seen.region, date=seen.date)


class HolderOut(Out):
    """A holder. `organisation` is null where only its region may be told."""

    organisation: OrganisationRef | None
    label: str
    region: str

    @classmethod
    def of(cls, seen: SeenHolder) -> "HolderOut":
        """From what the side may see."""
        known = OrganisationRef.of(seen.organisation) if seen.organisation else None
        return cls(organisation=known, label=seen.label, region=seen.region)


class PartOut(Out):
    """What of a lot is covered: how it was named, its unit numbers, why the rest is not affected, how much that is.

    `kind` is `through` where it is what passed through the organisation of the question; `told_apart` is then false
    where unit codes do not tell which units these are.
    """

    kind: str
    words: str
    ranges: list[list[int]]
    reason: str
    rest: AmountOut
    told_apart: bool = True

    @classmethod
    def of(cls, part: Part | Through, rest: int, unit: str) -> "PartOut":
        """From a part of the answer."""
        return cls(
            told_apart=part.apart if isinstance(part, Through) else True,
            kind=str(part.kind),
            words=part.words,
            ranges=[list(pair) for pair in part.ranges],
            reason=part.reason,
            rest=AmountOut.of(rest, unit),
        )


class ScopeLineOut(Out):
    """One lot of a scope: proven or possible, why, by which path, and who has or had some of it. `note` names the
    equipment or container it shared.
    """

    lot: SeenLotOut
    shell: str
    why: str
    note: str
    path: list[str]
    holders: list[HolderOut]
    made: AmountOut | None
    used: AmountOut | None
    shipped: AmountOut | None
    conflicts: int
    part: PartOut | None


class ScopeOut(Out):
    """An answer of the genealogy. `frozen` is null for a preview."""

    frozen: ScopeRef | None
    sha256: str
    cut: bool
    holders: int
    lots: list[ScopeLineOut]
    through: OrganisationRef | None = Field(None, description="Through whose hands alone the goods are followed.")


class NoticeLotOut(Out):
    """A lot a notice asks about, with what the holder had by record. Not `in_scope`: it is recalled no longer and needs
    no answer.
    """

    lot: LotRef | None
    label: str
    on_hand: AmountOut | None
    unconfirmed: AmountOut | None
    in_scope: bool = True


class AnswerOut(Out):
    """What a holder said of one lot; the latest counts."""

    lot: str
    on_hand: str
    sealed: str
    sold: str
    unknown: str
    at: datetime.datetime


class NoticeOut(Out):
    """A notice to one holder. Of holders the reader may not know only the region is told, and no amounts."""

    uid: str
    campaign: str
    campaign_number: str | None
    title: str
    holder: HolderOut
    issuer: OrganisationRef
    status: str
    sent_at: datetime.datetime | None
    acknowledged_at: datetime.datetime | None
    answered_at: datetime.datetime | None
    lots: list[NoticeLotOut]
    answers: list[AnswerOut]


def notices_out(rows: Sequence[Notice], sight: Sight | None = None) -> list[NoticeOut]:
    """Notices with their lots and answers: a fixed number of queries however many.

    ``sight`` is the issuing side's; the recipient (None) reads its own notices whole.
    """
    ids = [row.pk for row in rows]
    known = {row.pk for row in rows if sight is None or sight.knows(row.organisation_id)}
    asked = NoticeLot.objects.filter(notice__in=ids).select_related(
        "lot__product", "lot__product_version", "lot__organisation__division", "lot__origin_place__division"
    )
    asked_lots = list(asked.order_by("id"))
    still = set(still_asked(NoticeLot.objects.filter(notice__in=ids)).values_list("pk", flat=True))
    opened = {found.lot_id for found in asked_lots}
    if sight is not None:
        opened = sight.open_lots(opened)
    lots: dict[int, list[NoticeLotOut]] = {}
    for found in asked_lots:
        unit = found.lot.product.base_unit
        seen = Sight.lot(found.lot, found.lot_id in opened)
        amounts = found.notice_id in known and seen.lot is not None
        lots.setdefault(found.notice_id, []).append(
            NoticeLotOut(
                lot=lot_ref(seen.lot) if seen.lot else None,
                label=seen.label,
                on_hand=AmountOut.of(found.on_hand_micros, unit) if amounts else None,
                unconfirmed=AmountOut.of(found.unconfirmed_micros, unit) if amounts else None,
                in_scope=found.pk in still,
            )
        )
    answers: dict[int, dict[int, AnswerOut]] = {}
    standing = StockAnswer.objects.filter(notice__in=ids, acknowledgement__set_aside=None)
    for said in standing.select_related("lot").order_by("at", "id"):
        answers.setdefault(said.notice_id, {})[said.lot_id] = AnswerOut(
            lot=str(said.lot.uid),
            on_hand=decimal_text(said.on_hand_micros),
            sealed=decimal_text(said.sealed_micros),
            sold=decimal_text(said.sold_micros),
            unknown=decimal_text(said.unknown_micros),
            at=said.at,
        )
    return [
        _notice_out(row, row.pk in known, lots.get(row.pk, []), list(answers.get(row.pk, {}).values())) for row in rows
    ]


def _notice_out(row: Notice, known: bool, lots: list[NoticeLotOut], answers: list[AnswerOut]) -> NoticeOut:
    """One notice with what was gathered for it."""
    kind = str(row.organisation.get_kind_display())
    holder = SeenHolder(row.organisation if known else None, row.organisation.division.label, kind)
    return NoticeOut(
        uid=str(row.uid),
        campaign=str(row.campaign.uid),
        campaign_number=row.campaign.number,
        title=row.campaign.title,
        holder=HolderOut.of(holder),
        issuer=OrganisationRef.of(row.campaign.organisation),
        status=row.status,
        sent_at=row.sent_at,
        acknowledged_at=row.acknowledged_at,
        answered_at=row.answered_at,
        lots=lots,
        answers=answers if known else [],
    )


class AmountsOut(Out):
    """The numbers of a recall in one unit; `released` was put right and let go; `samples` and `loss` are gone without
    having been sold; `excess` is what answers claim beyond what records allow.
    """

    made: str
    used: str
    shipped: str
    recovered: str
    destroyed: str
    released: str
    in_house: str
    held: str
    sold: str
    samples: str
    loss: str
    unknown: str
    excess: str

    @classmethod
    def of(cls, found: Amounts) -> "AmountsOut":
        """From integers in millionths."""
        return cls(**{name: decimal_text(getattr(found, name)) for name in cls.model_fields})


class LotFiguresOut(Out):
    """The numbers of one lot; null where it is another's."""

    lot: SeenLotOut
    unit: str
    amounts: AmountsOut | None


class GoodsRatesOut(Out):
    """Shares of goods of one base unit in per mille; null where there is nothing to divide by. `returned` is the 退回率
    of GB/T 40993; `unknown` is what nobody knows.
    """

    recall_of_planned: int | None
    recall_of_sold: int | None
    returned: int | None
    accounted: int | None
    unknown: int | None


class EffectOut(Out):
    """How well the recall works: rates in per mille, times in seconds, null where not known (yet)."""

    holders: int
    acknowledged_rate: int | None
    answered_rate: int | None
    trace_seconds: float | None
    start_seconds: int | None
    block_seconds: int | None
    first_notice_seconds: int | None
    median_acknowledge_seconds: int | None
    clocks: int
    breaches: int
    goods: dict[str, GoodsRatesOut]
    checks_sampled: int
    checks_done: int
    checks_passed: int | None
    check_outcomes: dict[str, int]

    @classmethod
    def of(cls, found: Effect) -> "EffectOut":
        """From the figures."""
        names = cls.model_fields.keys() - {"goods", "checks_sampled", "checks_done", "checks_passed", "check_outcomes"}
        return cls(
            **{name: getattr(found, name) for name in names},
            goods={
                unit: GoodsRatesOut(**{name: getattr(one, name) for name in GoodsRatesOut.model_fields})
                for unit, one in found.goods.items()
            },
            checks_sampled=found.checks.sampled,
            checks_done=found.checks.checked,
            checks_passed=found.checks.passed,
            check_outcomes=dict(found.checks.outcomes),
        )


class FiguresOut(Out):
    """Produced, shipped, recovered, destroyed, unknown: per lot, and per unit over all; how well the recall works."""

    totals: dict[str, AmountsOut]
    effect: EffectOut
    lots: list[LotFiguresOut]

    @classmethod
    def of(cls, found: CampaignFigures, working: Effect, sight: Sight) -> "FiguresOut":
        """From the query's answer, as a side may see it."""
        opened = sight.open_lots([one.lot.pk for one in found.lots])
        return cls(
            totals={unit: AmountsOut.of(amounts) for unit, amounts in found.totals.items()},
            effect=EffectOut.of(working),
            lots=[
                LotFiguresOut(
                    lot=SeenLotOut.of(Sight.lot(one.lot, one.lot.pk in opened)),
                    unit=one.unit,
                    amounts=AmountsOut.of(one.amounts) if one.lot.pk in opened else None,
                )
                for one in found.lots
            ],
        )


class GoodsOut(Out):
    """Recalled goods that came back or were destroyed: one row per lot."""

    uid: str
    lot: LotRef
    organisation: OrganisationRef
    amount: AmountOut
    event: str
    at: datetime.datetime


def goods_out(rows: Sequence[ReturnReceipt] | Sequence[Disposal]) -> list[GoodsOut]:
    """Rows just written."""
    return [
        GoodsOut(
            uid=str(row.uid),
            lot=lot_ref(row.lot),
            organisation=OrganisationRef.of(row.organisation),
            amount=AmountOut.of(row.micros, row.lot.product.base_unit),
            event=str(row.event.uid),
            at=row.at,
        )
        for row in rows
    ]


class PictureOut(Out):
    """A picture of the goods in a version of the announcement: `url` answers once that version is published."""

    number: int
    caption: str
    sha256: str
    url: str

    @classmethod
    def of(cls, row: NoticePicture) -> "PictureOut":
        """From the row (notice and campaign selected)."""
        where = reverse("recalls:public_picture", args=[row.notice.campaign.uid, row.sha256])
        return cls(number=row.number, caption=row.caption, sha256=row.sha256, url=f"{settings.PUBLIC_BASE_URL}{where}")


class PublicRecallOut(Out):
    """An announced recall, as the public reads it."""

    uid: str
    number: str
    title: str
    status: str
    level: str
    producer: str
    address: str
    phone: str
    goods: list[dict[str, Any]]
    identify: str
    reason: str
    risk: str
    begins_on: datetime.date
    ends_on: datetime.date | None
    area: str
    duties: str
    what_to_do: str
    compensation: str
    pictures: list[PictureOut]
    announced_at: datetime.datetime
    version: int

    @classmethod
    def of(cls, row: Publication) -> "PublicRecallOut":
        """From the publication in force (notice, campaign and pictures fetched)."""
        notice = row.notice
        campaign = notice.campaign
        return cls(
            uid=str(campaign.uid),
            number=campaign.number or "",
            title=campaign.title,
            status=campaign.status,
            level=campaign.level_label,
            producer=notice.producer,
            address=notice.address,
            phone=notice.phone,
            goods=notice.goods,
            identify=notice.identify,
            reason=notice.reason,
            risk=notice.risk,
            begins_on=notice.begins_on,
            ends_on=notice.ends_on,
            area=notice.area,
            duties=notice.duties,
            what_to_do=notice.what_to_do,
            compensation=notice.compensation,
            pictures=[PictureOut.of(one) for one in notice.pictures.all()],
            announced_at=campaign.announced_at or row.at,
            version=notice.number,
        )
