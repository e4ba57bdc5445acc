"""The one table of transitions of a recall campaign.

Buttons, API errors, filters and documentation derive from these rows; nothing else decides who may do what
and when. The module only knows words: the actions check a row's guards against the database and carry out its
effects in the same transaction.

Who counts as second person: deciding, publishing, cancelling, narrowing, ordering and closing take two. A row
names the facts whose doer the acting person must not be (``other_than``); where the doer of such a fact is
not recorded the move is refused, for a pair that cannot be shown is no pair. Holding lots and stopping sale
is protective and takes one.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from django.db.models.enums import TextChoices
from django.utils.translation import gettext_lazy as _

from recalls.law.terms import LegalEvent

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


class Status(TextChoices):
    """The stage a campaign is in. A signal is not yet a campaign."""

    ASSESSING = "assessing", _("评估中")
    REFUSED = "refused", _("不予召回")
    DECIDED = "decided", _("已决定")
    ORDERED = "ordered", _("被责令")
    STARTED = "started", _("已启动")
    PLAN_FILED = "plan_filed", _("计划已报")
    ANNOUNCED = "announced", _("已公告")
    IN_PROGRESS = "in_progress", _("实施中")
    DISPOSING = "disposing", _("处理中")
    AWAITING_SUMMARY = "awaiting_summary", _("待总结")
    SUMMARISED = "summarised", _("已总结")
    EVALUATING = "evaluating", _("评价中")
    CLOSED = "closed", _("已结案")
    CANCELLED = "cancelled", _("已撤销")


INITIAL = Status.ASSESSING
TERMINAL = frozenset({Status.REFUSED, Status.CLOSED, Status.CANCELLED})
OPEN = frozenset(Status) - TERMINAL
PUBLIC = frozenset(
    {
        Status.ANNOUNCED,
        Status.IN_PROGRESS,
        Status.DISPOSING,
        Status.AWAITING_SUMMARY,
        Status.SUMMARISED,
        Status.EVALUATING,
        Status.CLOSED,
    }
)
"""Statuses that a campaign which is no drill has only after its announcement: the public may read it."""


class Role(StrEnum):
    """Who may act: the roles of a member of the initiating firm or of the supervising regulator, or the
    program itself.
    """

    QUALITY = "quality"
    OWNER = "owner"
    OFFICER = "officer"
    APPROVER = "approver"
    SYSTEM = "system"


FIRM = frozenset({Role.QUALITY, Role.OWNER})
REGULATOR = frozenset({Role.OFFICER, Role.APPROVER})


class Doer(StrEnum):
    """A fact of the campaign whose doer may not also take the step that depends on it."""

    ASSESSED = "assessed"
    NOTICE_DRAFTED = "notice_drafted"
    PROPOSED = "proposed"
    SUMMARISED = "summarised"
    EVALUATED = "evaluated"


class Kind(StrEnum):
    """Which campaigns a row is for."""

    ANY = "any"
    REAL = "real"
    DRILL = "drill"
    TOLD = "told"
    """Real, and not one that may do without the public."""
    QUIET = "quiet"
    """A withdrawal, no drill, that was not announced: the goods are with firms and no consumer has any."""


class Guard(StrEnum):
    """A condition that must hold before a move; ``GUARDS`` says what to do when it does not."""

    ASSESSMENT = "assessment"
    LEVEL = "level"
    SCOPE = "scope"
    REASON = "reason"
    SERVED_DOCUMENT = "served_document"
    STOP_ORDER = "stop_order"
    PLAN_COMPLETE = "plan_complete"
    NOTICE_COMPLETE = "notice_complete"
    CHANNEL = "channel"
    SCOPE_GROWS = "scope_grows"
    SCOPE_EVIDENCE = "scope_evidence"
    NOTICES_ANSWERED = "notices_answered"
    RECOVERED_ACCOUNTED = "recovered_accounted"
    SUMMARY_COMPLETE = "summary_complete"
    BALANCED = "balanced"
    RED_LINES = "red_lines"
    NOT_SOLD = "not_sold"


GUARDS: "Mapping[Guard, StrOrPromise]" = {
    Guard.ASSESSMENT: _("请先完成风险评估并写明结论和依据。"),
    Guard.LEVEL: _("请先确定召回级别。"),
    Guard.SCOPE: _("请先划定召回范围，至少包含一个批次。"),
    Guard.REASON: _("请写明理由。"),
    Guard.SERVED_DOCUMENT: _("请登记文书编号和送达时间。"),
    Guard.STOP_ORDER: _("请先记录停止生产经营的决定。"),
    Guard.PLAN_COMPLETE: _("召回计划内容不全，请补齐各项。"),
    Guard.NOTICE_COMPLETE: _("召回公告内容不全，请补齐各项。"),
    Guard.CHANNEL: _("请按销售范围选择公告渠道。"),
    Guard.SCOPE_GROWS: _("扩大范围须包含原有全部批次；缩小范围请另行申请。"),
    Guard.SCOPE_EVIDENCE: _("缩小范围须写明理由并附证据。"),
    Guard.NOTICES_ANSWERED: _("仍有通知未反馈，请催办、升级或说明原因。"),
    Guard.RECOVERED_ACCOUNTED: _("收回数量与处理、放行、封存数量不符，请补录或说明差异。"),
    Guard.SUMMARY_COMPLETE: _("召回总结内容不全，请补齐各项。"),
    Guard.BALANCED: _("数量不平且未说明原因，不能结案。"),
    Guard.RED_LINES: _("效果评价红线未消除，不能结案。"),
    Guard.NOT_SOLD: _("记录或答复显示已有货物售出，只追回不够：请转为召回，并发布召回公告。"),
}


class Effect(StrEnum):
    """What a move does besides changing the status, in the same transaction.

    In a drill the same rows are written, but no goods are blocked, nobody outside is told and nothing is
    published.
    """

    BLOCK_LOTS = "block_lots"
    UNBLOCK_LOTS = "unblock_lots"
    QUEUE_NOTICES = "queue_notices"
    QUEUE_DELTA_NOTICES = "queue_delta_notices"
    TELL_TURNED = "tell_turned"
    QUEUE_END_NOTICES = "queue_end_notices"
    PUBLISH = "publish"
    FREEZE_FIGURES = "freeze_figures"


@dataclass(frozen=True, slots=True)
class Transition:
    """One row: from ``source`` to ``target`` by ``action``.

    ``events`` are the legal facts that happen by the move: they start and stop clocks as the regime's rules
    say. Holding the lots is not undone by closing: each lot leaves its block when it is disposed of or
    released.
    """

    source: Status
    target: Status
    action: str
    label: "StrOrPromise"
    who: frozenset[Role]
    other_than: tuple[Doer, ...] = ()
    guards: tuple[Guard, ...] = ()
    effects: tuple[Effect, ...] = ()
    events: tuple[LegalEvent, ...] = ()
    kind: Kind = Kind.ANY

    @property
    def needs_second_person(self) -> bool:
        """Whether the acting person must be another than the one who prepared the step."""
        return bool(self.other_than)

    @property
    def needs_reason(self) -> bool:
        """Whether a reason in words must be given."""
        return Guard.REASON in self.guards

    def is_for(self, *, is_drill: bool, quiet: bool = False) -> bool:
        """Whether the row is for drills, for real campaigns, for both, or only for withdrawals not announced
        (``quiet``).
        """
        if self.kind in (Kind.QUIET, Kind.TOLD):
            return quiet if self.kind is Kind.QUIET else not is_drill and not quiet
        return self.kind is Kind.ANY or (self.kind is Kind.DRILL) == is_drill

    def second_person_missing(self, by: object, doers: Mapping[Doer, object | None]) -> Doer | None:
        """The first fact that bars ``by``: done by the same person, or by nobody on record. None when two
        people stand.

        ``doers`` maps facts to whatever identifies a person (a user's id); the same kind of value as ``by``.
        """
        for fact in self.other_than:
            doer = doers.get(fact)
            if doer is None or doer == by:
                return fact
        return None


def _rows(
    sources: Iterable[Status],
    target: Status | None,
    action: str,
    label: "StrOrPromise",
    who: frozenset[Role],
    *,
    other_than: tuple[Doer, ...] = (),
    guards: tuple[Guard, ...] = (),
    effects: tuple[Effect, ...] = (),
    events: tuple[LegalEvent, ...] = (),
    kind: Kind = Kind.ANY,
) -> tuple[Transition, ...]:
    """One row per source; ``target`` None stays where it is."""
    return tuple(
        Transition(source, target or source, action, label, who, other_than, guards, effects, events, kind)
        for source in sources
    )


_S, _R, _G, _E, _L = Status, Role, Guard, Effect, LegalEvent

_BEFORE_ANNOUNCEMENT = (_S.STARTED, _S.PLAN_FILED)
_RUNNING = (_S.ANNOUNCED, _S.IN_PROGRESS)
_AFTER_COLLECTING = (_S.DISPOSING, _S.AWAITING_SUMMARY, _S.SUMMARISED, _S.EVALUATING)

TRANSITIONS: tuple[Transition, ...] = (
    # Assessment and decision.
    *_rows(
        (_S.ASSESSING,), _S.REFUSED, "refuse", _("不予召回"), frozenset({_R.OWNER, _R.APPROVER}),
        other_than=(Doer.ASSESSED,), guards=(_G.ASSESSMENT, _G.REASON), events=(_L.CLOSED,),
    ),
    *_rows(
        (_S.ASSESSING,), _S.DECIDED, "decide", _("决定召回"), frozenset({_R.OWNER}),
        other_than=(Doer.ASSESSED,), guards=(_G.ASSESSMENT, _G.LEVEL, _G.SCOPE), events=(_L.DECIDED,),
    ),
    # A firm that does not act can be ordered while it assesses and after it decided.
    *_rows(
        (_S.ASSESSING, _S.DECIDED), _S.ORDERED, "order", _("责令召回"), frozenset({_R.APPROVER}),
        other_than=(Doer.ASSESSED,), guards=(_G.ASSESSMENT, _G.LEVEL, _G.SCOPE, _G.SERVED_DOCUMENT),
        events=(_L.ORDER_SERVED,),
    ),
    # Start: the regulator may carry out its own order, for goods must stop even when the firm does not
    # answer.
    *_rows(
        (_S.DECIDED,), _S.STARTED, "start", _("启动召回"), FIRM,
        guards=(_G.SCOPE, _G.STOP_ORDER), effects=(_E.BLOCK_LOTS, _E.QUEUE_NOTICES), events=(_L.STARTED,),
    ),
    *_rows(
        (_S.ORDERED,), _S.STARTED, "start", _("启动召回"), FIRM | REGULATOR,
        guards=(_G.SCOPE, _G.STOP_ORDER), effects=(_E.BLOCK_LOTS, _E.QUEUE_NOTICES), events=(_L.STARTED,),
    ),
    # The plan. Publication never waits for paperwork, so a plan can also be filed after the announcement.
    *_rows(
        (_S.STARTED,), _S.PLAN_FILED, "file_plan", _("报送召回计划"), FIRM,
        guards=(_G.PLAN_COMPLETE,), events=(_L.PLAN_FILED,),
    ),
    *_rows(
        _RUNNING, None, "file_plan", _("报送召回计划"), FIRM,
        guards=(_G.PLAN_COMPLETE,), events=(_L.PLAN_FILED,),
    ),
    *_rows(
        (_S.PLAN_FILED,), _S.STARTED, "return_plan", _("退回修改计划"), REGULATOR, guards=(_G.REASON,),
    ),
    # Publication takes two and is impossible for a drill, which goes on without it.
    *_rows(
        _BEFORE_ANNOUNCEMENT, _S.ANNOUNCED, "announce", _("发布召回公告"), frozenset({_R.OWNER, _R.APPROVER}),
        other_than=(Doer.NOTICE_DRAFTED,), guards=(_G.SCOPE, _G.NOTICE_COMPLETE, _G.CHANNEL),
        effects=(_E.PUBLISH,), events=(_L.ANNOUNCED,), kind=Kind.REAL,
    ),
    *_rows(
        _BEFORE_ANNOUNCEMENT, _S.IN_PROGRESS, "rehearse", _("转入演练实施"), FIRM | REGULATOR,
        kind=Kind.DRILL,
    ),
    # Goods that no consumer has yet are taken back without telling the public (2015 Measures, article 11); another
    # than who found that none were sold says so. Where some were sold after all it becomes a recall, which one person
    # can do, for it protects; what was written down stays, and the way goes on over the announcement.
    *_rows(
        _BEFORE_ANNOUNCEMENT, _S.IN_PROGRESS, "take_back", _("只追回，不发公告"), frozenset({_R.OWNER, _R.APPROVER}),
        other_than=(Doer.ASSESSED,), guards=(_G.SCOPE, _G.NOT_SOLD, _G.REASON), kind=Kind.QUIET,
    ),
    *_rows(
        _BEFORE_ANNOUNCEMENT, None, "turn_recall", _("转为召回"), FIRM | REGULATOR, guards=(_G.REASON,),
        effects=(_E.TELL_TURNED,), kind=Kind.QUIET,
    ),
    *_rows(
        (_S.IN_PROGRESS, *_AFTER_COLLECTING), _S.STARTED, "turn_recall", _("转为召回"), FIRM | REGULATOR,
        guards=(_G.REASON,), effects=(_E.TELL_TURNED,), kind=Kind.QUIET,
    ),
    *_rows(
        (*_RUNNING, *_AFTER_COLLECTING), None, "amend_notice", _("更正或补充公告"),
        frozenset({_R.OWNER, _R.APPROVER}), other_than=(Doer.NOTICE_DRAFTED,),
        guards=(_G.NOTICE_COMPLETE, _G.CHANNEL, _G.REASON), effects=(_E.PUBLISH,), kind=Kind.TOLD,
    ),
    # Carrying out: the first answer or return moves it by itself.
    *_rows(
        (_S.ANNOUNCED,), _S.IN_PROGRESS, "carry_out", _("开始实施"), FIRM | REGULATOR | {_R.SYSTEM},
        kind=Kind.REAL,
    ),
    # A wider scope blocks at once and takes one person; a narrower one frees goods and takes two.
    *_rows(
        (_S.STARTED, _S.PLAN_FILED, *_RUNNING), None, "expand_scope", _("扩大召回范围"), FIRM | REGULATOR,
        guards=(_G.SCOPE_GROWS, _G.REASON), effects=(_E.BLOCK_LOTS, _E.QUEUE_DELTA_NOTICES),
    ),
    *_rows(
        _AFTER_COLLECTING, _S.IN_PROGRESS, "expand_scope", _("扩大召回范围"), FIRM | REGULATOR,
        guards=(_G.SCOPE_GROWS, _G.REASON), effects=(_E.BLOCK_LOTS, _E.QUEUE_DELTA_NOTICES),
    ),
    *_rows(
        (_S.STARTED, _S.PLAN_FILED, *_RUNNING), None, "narrow_scope", _("缩小召回范围"),
        frozenset({_R.OWNER, _R.APPROVER}), other_than=(Doer.PROPOSED,),
        guards=(_G.SCOPE, _G.SCOPE_EVIDENCE, _G.REASON),
        effects=(_E.UNBLOCK_LOTS, _E.QUEUE_DELTA_NOTICES),
    ),
    # Extension is the authority's alone.
    *_rows(
        _RUNNING, None, "grant_extension", _("同意延期"), frozenset({_R.APPROVER}),
        other_than=(Doer.PROPOSED,), guards=(_G.SERVED_DOCUMENT, _G.REASON),
    ),
    # Disposal, summary, evaluation.
    *_rows(
        (_S.IN_PROGRESS,), _S.DISPOSING, "finish_collecting", _("收回完成，转入处理"), FIRM,
        guards=(_G.NOT_SOLD, _G.NOTICES_ANSWERED), events=(_L.COLLECTED,),
    ),
    *_rows(
        (_S.DISPOSING,), _S.AWAITING_SUMMARY, "finish_disposal", _("处理完成"), FIRM,
        guards=(_G.RECOVERED_ACCOUNTED,), events=(_L.DISPOSED,),
    ),
    *_rows(
        (_S.AWAITING_SUMMARY,), _S.SUMMARISED, "summarise", _("报送召回总结"), FIRM,
        guards=(_G.NOT_SOLD, _G.SUMMARY_COMPLETE), effects=(_E.FREEZE_FIGURES,), events=(_L.SUMMARISED,),
    ),
    *_rows((_S.SUMMARISED,), _S.EVALUATING, "evaluate", _("开始评价"), REGULATOR),
    *_rows(
        (_S.SUMMARISED, _S.EVALUATING), _S.IN_PROGRESS, "strengthen", _("责令加强召回"),
        frozenset({_R.APPROVER}),
        guards=(_G.REASON, _G.SERVED_DOCUMENT),
    ),
    # The authority may evaluate but need not (2015 rule, art. 34), so a summary can be closed at once.
    *_rows(
        (_S.SUMMARISED,), _S.CLOSED, "close", _("结案"), frozenset({_R.APPROVER}),
        other_than=(Doer.SUMMARISED,), guards=(_G.NOT_SOLD, _G.BALANCED, _G.RED_LINES),
        effects=(_E.FREEZE_FIGURES, _E.QUEUE_END_NOTICES), events=(_L.CLOSED,), kind=Kind.REAL,
    ),
    *_rows(
        (_S.EVALUATING,), _S.CLOSED, "close", _("结案"), frozenset({_R.APPROVER}),
        other_than=(Doer.SUMMARISED, Doer.EVALUATED), guards=(_G.NOT_SOLD, _G.BALANCED, _G.RED_LINES),
        effects=(_E.FREEZE_FIGURES, _E.QUEUE_END_NOTICES), events=(_L.CLOSED,), kind=Kind.REAL,
    ),
    # A drill is the firm's own exercise, so its owner may end it.
    *_rows(
        (_S.SUMMARISED, _S.EVALUATING), _S.CLOSED, "close", _("结束演练"), frozenset({_R.OWNER, _R.APPROVER}),
        other_than=(Doer.SUMMARISED,), effects=(_E.FREEZE_FIGURES,), events=(_L.CLOSED,), kind=Kind.DRILL,
    ),
    # Cancelling is possible until the public has been told; an order is withdrawn by who gave it.
    *_rows(
        (_S.DECIDED,), _S.CANCELLED, "cancel", _("撤销"), frozenset({_R.OWNER}),
        other_than=(Doer.PROPOSED,), guards=(_G.REASON,), events=(_L.CLOSED,),
    ),
    *_rows(
        (_S.ORDERED,), _S.CANCELLED, "cancel", _("撤销"), frozenset({_R.APPROVER}),
        other_than=(Doer.PROPOSED,), guards=(_G.REASON,), events=(_L.CLOSED,),
    ),
    *_rows(
        _BEFORE_ANNOUNCEMENT, _S.CANCELLED, "cancel", _("撤销"), frozenset({_R.OWNER, _R.APPROVER}),
        other_than=(Doer.PROPOSED,), guards=(_G.REASON,), effects=(_E.UNBLOCK_LOTS, _E.QUEUE_END_NOTICES),
        events=(_L.CLOSED,),
    ),
)  # fmt: skip


def transition(source: Status | str, action: str, *, is_drill: bool = False, quiet: bool = False) -> Transition | None:
    """The row of this action in this status, or None when the table has none (the caller refuses)."""
    for row in TRANSITIONS:
        if row.source == source and row.action == action and row.is_for(is_drill=is_drill, quiet=quiet):
            return row
    return None


def transitions_from(
    source: Status | str, *, roles: Collection[str] | None = None, is_drill: bool = False, quiet: bool = False
) -> tuple[Transition, ...]:
    """What can be done in this status, by anybody or by a person with one of ``roles``; guards are not asked
    here.
    """
    return tuple(
        row
        for row in TRANSITIONS
        if row.source == source
        and row.is_for(is_drill=is_drill, quiet=quiet)
        and (roles is None or not row.who.isdisjoint(roles))
    )
