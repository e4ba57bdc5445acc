"""The conditions of the transition table, asked of the database. They never write."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from django.utils import timezone

from recalls.figures import LotAmounts, figures, recovered_against
from recalls.law import LegalEvent, regime
from recalls.models import Assessment, Campaign, ConsumerCase, DisposalFile, PublicNotice, ScopeVersion
from recalls.notice_states import ANSWERED, NOTICE_TERMINAL, NoticeStatus
from recalls.parts import no_wider
from recalls.scope import coverage_of, latest_scope
from recalls.transitions import GUARDS, Guard
from trace.actions.files import path_of
from trace.errors import Clash, DomainError, Invalid
from trace.models import Conflict, Product

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise as StrOrPromise


@dataclass(frozen=True)
class Given:
    """What the acting person brings to a move: words, a served document, what was stopped, where it is published.

    ``sites`` are the keys of the places an announcement stands at, None where only words were given; ``channel_why``
    says why it is not where the regime asks. ``scope`` is the version a move goes to (already frozen), ``plan`` the
    items of a recall plan by their key.
    """

    reason: str = ""
    document: str = ""
    served_at: datetime.datetime | None = None
    stop_order: bool = False
    channel: str = ""
    sites: tuple[str, ...] | None = None
    channel_why: str = ""
    evidence: str = ""
    summary: str = ""
    explanation: str = ""
    plan: Mapping[str, str] = field(default_factory=dict)
    scope: ScopeVersion | None = None


def _assessment(campaign: Campaign, given: Given) -> bool:
    return campaign.assessments.exists()


def _level(campaign: Campaign, given: Given) -> bool:
    return campaign.level is not None or campaign.track == Product.Track.CONSUMER


def _scope(campaign: Campaign, given: Given) -> bool:
    version = given.scope or latest_scope(campaign)
    return version is not None and version.lot_count > 0


def _reason(campaign: Campaign, given: Given) -> bool:
    return bool(given.reason.strip())


def _served_document(campaign: Campaign, given: Given) -> bool:
    """A served act of the authority with this number; each carries one step."""
    number = given.document.strip()[:60]
    if not number or given.served_at is None:
        return False
    served = campaign.acts.filter(number=number, kind__in=CARRIES)
    used = campaign.steps.filter(action__in=["order", "grant_extension", "strengthen"], document=number)
    return served.exists() and not used.exists()


CARRIES = ("order_recall", "grant_extension", "strengthen", "recall_again")
"""Acts on which a step of the campaign rests."""


def _stop_order(campaign: Campaign, given: Given) -> bool:
    return given.stop_order


def _plan_complete(campaign: Campaign, given: Given) -> bool:
    return not missing_plan_items(campaign, given.plan)


def missing_plan_items(campaign: Campaign, plan: Mapping[str, str]) -> list[str]:
    """Keys of the plan's items that are empty; where the rule's text was not seen, one item is enough to be words."""
    items = regime(campaign.regime).plan_items
    if not items:
        return [] if any(value.strip() for value in plan.values()) else ["plan"]
    return [item.key for item in items if not plan.get(item.key, "").strip()]


def _notice_complete(campaign: Campaign, given: Given) -> bool:
    draft = drafted_notice(campaign)
    scope = latest_scope(campaign)
    return draft is not None and scope is not None and draft.scope_id == scope.pk


def drafted_notice(campaign: Campaign) -> PublicNotice | None:
    """The last version of the announcement that is not published yet."""
    last = campaign.public_notices.select_related("publication", "scope", "people").order_by("-number").first()
    return last if last is not None and not hasattr(last, "publication") else None


def _channel(campaign: Campaign, given: Given) -> bool:
    return bool(given.channel.strip())


def _scope_grows(campaign: Campaign, given: Given) -> bool:
    if given.scope is None:
        return False
    before = campaign.scopes.filter(number__lt=given.scope.number).order_by("-number").first()
    return before is None or no_wider(coverage_of(before), coverage_of(given.scope))


def _scope_evidence(campaign: Campaign, given: Given) -> bool:
    return bool(given.evidence.strip())


def _notices_answered(campaign: Campaign, given: Given) -> bool:
    settled = ANSWERED | NOTICE_TERMINAL | {NoticeStatus.ESCALATED}
    return bool(given.reason.strip()) or not campaign.notices.exclude(status__in=sorted(settled)).exists()


def _recovered_accounted(campaign: Campaign, given: Given) -> bool:
    return bool(given.reason.strip()) or not any(one.unaccounted for one in recovered_against(campaign))


def _summary_complete(campaign: Campaign, given: Given) -> bool:
    return bool(given.summary.strip())


def _balanced(campaign: Campaign, given: Given) -> bool:
    return bool(campaign.explanation.strip() or given.explanation.strip()) or not unexplained(campaign)


def unexplained(campaign: Campaign) -> list[LotAmounts]:
    """Lots that do not add up and whose present difference nobody has explained; a note on another difference is not
    enough.
    """
    notes: dict[int, int] = {}
    for lot, micros in campaign.balance_notes.order_by("id").values_list("lot", "micros"):
        notes[lot] = micros
    return [one for one in figures(campaign).inconsistent if notes.get(one.lot.pk) != one.amounts.excess]


def label_only(campaign: Campaign) -> bool:
    """Whether the last assessment says that nothing but the label is wrong: only then may goods be put right and sold
    (2015 Measures, article 25).
    """
    last = campaign.assessments.order_by("-id").first()
    return last is not None and last.hazard == Assessment.Hazard.LABELLING and last.severity == Assessment.Severity.NONE


def releasable(campaign: Campaign) -> bool:
    """Whether recalled goods may be put right and sold: where only the label is wrong, and consumer products once the
    defect is removed (消费品召回管理暂行规定, article 20, from memory and unverified: replaced and returned goods are
    not sold again unless the defect is removed).
    """
    return campaign.track == Product.Track.CONSUMER or label_only(campaign)


def sold_some(campaign: Campaign) -> bool:
    """Whether records or answers say that some of the goods were sold (2015 Measures, article 11: to withdraw is for
    what was not).
    """
    return any(one.amounts.sold > 0 for one in figures(campaign).lots)


def _not_sold(campaign: Campaign, given: Given) -> bool:
    return not campaign.quiet or not sold_some(campaign)


def _red_lines(campaign: Campaign, given: Given) -> bool:
    return not red_lines(campaign)


RED_LINES = ("late", "not_handled", "resold", "no_records")


def red_lines(campaign: Campaign) -> list[str]:
    """The red lines of the Shanxi effectiveness rule (2025-09-01 to 2030-08-31) that the records show crossed, as far
    as they still are.

    ``late``: the time to publish is over and nothing is published, or claims wait beyond their answering time;
    ``not_handled``: goods came back and are neither destroyed nor there; ``resold``: goods of the scope were sold,
    shipped or used after the start and nobody has answered the conflict; ``no_records``: a holder's goods count as sent
    back or destroyed without a record of how much, or a file kept as evidence is gone.
    """
    found: list[str] = []
    version = latest_scope(campaign)
    if version is not None and campaign.started_at is not None and not campaign.is_drill:
        resold = Conflict.objects.filter(
            lot__in=version.lots.values("lot"),
            code="lot_blocked",
            at__gte=campaign.started_at,
            answered_at=None,
            voided_by=None,
        )
        if resold.exists():
            found.append("resold")
    if any(one.unaccounted for one in recovered_against(campaign)) and not campaign.explanation.strip():
        found.append("not_handled")
    if not campaign.is_drill and _late(campaign):
        found.append("late")
    if not campaign.is_drill and _records_missing(campaign):
        found.append("no_records")
    return sorted(found, key=RED_LINES.index)


def _late(campaign: Campaign) -> bool:
    """Whether publishing or answering is overdue now."""
    now = timezone.now()
    overdue = campaign.clocks.filter(met_at=None, superseded_at=None, due_at__lt=now)
    if any(clock.snapshot.get("stop_event") == LegalEvent.ANNOUNCED.value for clock in overdue):
        return True
    waiting = [ConsumerCase.Status.OPEN, ConsumerCase.Status.ACCEPTED]
    return campaign.claims.filter(status__in=waiting, due_at__lt=now).exists()


def _records_missing(campaign: Campaign) -> bool:
    """Whether something counts as done of which no record stands."""
    standing = {"event__corrections__isnull": True}
    back = campaign.returns.filter(**standing).values("notice")
    gone = campaign.disposals.filter(**standing).values("notice")
    if campaign.notices.filter(status=NoticeStatus.RETURNED).exclude(pk__in=back.exclude(notice=None)).exists():
        return True
    on_site = campaign.notices.filter(status=NoticeStatus.DISPOSED_ON_SITE)
    if on_site.exclude(pk__in=gone.exclude(notice=None)).exists():
        return True
    files = DisposalFile.objects.filter(disposal__campaign=campaign).values_list("sha256", flat=True).distinct()
    return any(not path_of(sha256).exists() for sha256 in files[:500])


CHECKS: Mapping[Guard, Callable[[Campaign, Given], bool]] = {
    Guard.ASSESSMENT: _assessment,
    Guard.LEVEL: _level,
    Guard.SCOPE: _scope,
    Guard.REASON: _reason,
    Guard.SERVED_DOCUMENT: _served_document,
    Guard.STOP_ORDER: _stop_order,
    Guard.PLAN_COMPLETE: _plan_complete,
    Guard.NOTICE_COMPLETE: _notice_complete,
    Guard.CHANNEL: _channel,
    Guard.SCOPE_GROWS: _scope_grows,
    Guard.SCOPE_EVIDENCE: _scope_evidence,
    Guard.NOTICES_ANSWERED: _notices_answered,
    Guard.RECOVERED_ACCOUNTED: _recovered_accounted,
    Guard.SUMMARY_COMPLETE: _summary_complete,
    Guard.BALANCED: _balanced,
    Guard.RED_LINES: _red_lines,
    Guard.NOT_SOLD: _not_sold,
}

FROM_THE_PERSON = frozenset(
    {
        Guard.REASON,
        Guard.SERVED_DOCUMENT,
        Guard.STOP_ORDER,
        Guard.PLAN_COMPLETE,
        Guard.CHANNEL,
        Guard.SCOPE_EVIDENCE,
        Guard.SUMMARY_COMPLETE,
    }
)
"""Guards about what the person gives with the move: a form asks for it; the rest is the campaign's own state."""


EXPLAINED = frozenset({Guard.NOTICES_ANSWERED, Guard.RECOVERED_ACCOUNTED})
"""Guards that a reason written with the move stands in for: the page lets the person write it."""


def refusal(guard: Guard) -> DomainError:
    """The error of a guard that does not hold: 422 where the person left something out, else 409. The code is the
    guard's name.
    """
    words: StrOrPromise = GUARDS[guard]
    return (Invalid if guard in FROM_THE_PERSON else Clash)(words, code=f"guard_{guard.value}")


def open_guards(campaign: Campaign, guards: tuple[Guard, ...]) -> list[Guard]:
    """Guards of a row that do not hold yet and are not asked of the person: why a button is not there yet."""
    return [guard for guard in guards if guard not in FROM_THE_PERSON and not CHECKS[guard](campaign, Given(reason=""))]
