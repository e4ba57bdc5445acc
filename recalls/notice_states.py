"""The states of the notice to one partner, who may move it, and when an unanswered one is taken further.

Two sides act on a notice: the issuer (the campaign) and the recipient, who may have no account and answers by
a signed link or by telephone. An answer is taken from every state that is not final, whatever the mail server
reported before. A settled notice stays settled: a wider scope that concerns the same partner is a new notice.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from django.db.models.enums import TextChoices
from django.utils.translation import gettext_lazy as _

from recalls.law.terms import Level

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


class NoticeStatus(TextChoices):
    """How far the notice to one partner has come."""

    CREATED = "created", _("待发")
    SENT = "sent", _("已发")
    DELIVERED = "delivered", _("已送达")
    SEEN = "seen", _("已阅")
    ACKNOWLEDGED = "acknowledged", _("已确认")
    STOCK_ANSWERED = "stock_answered", _("已反馈库存")
    ISOLATED = "isolated", _("已封存")
    RETURNED = "returned", _("已退回")
    DISPOSED_ON_SITE = "disposed_on_site", _("已就地处理")
    SETTLED = "settled", _("已核销")
    REFUSED = "refused", _("拒收")
    UNREACHABLE = "unreachable", _("无法联系")
    ESCALATED = "escalated", _("已升级")
    WITHDRAWN = "withdrawn", _("已撤回")


NOTICE_INITIAL = NoticeStatus.CREATED
NOTICE_TERMINAL = frozenset({NoticeStatus.SETTLED, NoticeStatus.WITHDRAWN})
ANSWERED = frozenset(
    {
        NoticeStatus.STOCK_ANSWERED,
        NoticeStatus.ISOLATED,
        NoticeStatus.RETURNED,
        NoticeStatus.DISPOSED_ON_SITE,
        NoticeStatus.SETTLED,
    }
)
"""The partner has said what it holds."""
REACHED = ANSWERED | {NoticeStatus.ACKNOWLEDGED}
"""The partner has confirmed that it knows."""


class Side(StrEnum):
    """Who moves a notice: the campaign's people, the partner, the supervising regulator, or the program
    (worker, mail server).
    """

    ISSUER = "issuer"
    RECIPIENT = "recipient"
    REGULATOR = "regulator"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class NoticeMove:
    """One row: from ``source`` to ``target`` by ``action``, which one of ``sides`` may take."""

    source: NoticeStatus
    target: NoticeStatus
    action: str
    label: "StrOrPromise"
    sides: frozenset[Side]


def _moves(
    sources: Iterable[NoticeStatus],
    target: NoticeStatus,
    action: str,
    label: "StrOrPromise",
    *sides: Side,
) -> tuple[NoticeMove, ...]:
    """One row per source, in the order of the statuses."""
    wanted = set(sources)
    return tuple(
        NoticeMove(source, target, action, label, frozenset(sides)) for source in NoticeStatus if source in wanted
    )


_N = NoticeStatus
_TROUBLED = frozenset({_N.REFUSED, _N.UNREACHABLE, _N.ESCALATED})
_ON_ITS_WAY = frozenset({_N.SENT, _N.DELIVERED, _N.SEEN})
_UNANSWERED = _ON_ITS_WAY | _TROUBLED
_OPEN = frozenset(NoticeStatus) - NOTICE_TERMINAL

NOTICE_MOVES: tuple[NoticeMove, ...] = (
    *_moves({_N.CREATED}, _N.SENT, "send", _("发送"), Side.ISSUER, Side.SYSTEM),
    *_moves({_N.SENT}, _N.DELIVERED, "deliver", _("送达"), Side.ISSUER, Side.SYSTEM),
    # Opening the page is seen; a recipient who reads after trouble takes the notice back on its way.
    *_moves({_N.SENT, _N.DELIVERED} | _TROUBLED, _N.SEEN, "see", _("查看"), Side.RECIPIENT, Side.SYSTEM),
    # The issuer may write down an answer given by telephone, also before anything was sent.
    *_moves(
        _UNANSWERED | {_N.CREATED},
        _N.ACKNOWLEDGED, "acknowledge", _("确认收到"), Side.RECIPIENT, Side.ISSUER,
    ),
    # An answer about stock confirms receipt with it; a later count replaces the earlier and both stay on
    # record.
    *_moves(
        _UNANSWERED | {_N.CREATED, _N.ACKNOWLEDGED, _N.STOCK_ANSWERED, _N.ISOLATED},
        _N.STOCK_ANSWERED, "answer_stock", _("反馈库存"), Side.RECIPIENT, Side.ISSUER,
    ),
    # Everything that is there stands apart: said with the count, or seen by whoever visits.
    *_moves({_N.STOCK_ANSWERED}, _N.ISOLATED, "isolate", _("封存"), Side.RECIPIENT, Side.ISSUER),
    *_moves(
        {_N.STOCK_ANSWERED, _N.ISOLATED, _N.RETURNED},
        _N.RETURNED, "return", _("退回"), Side.RECIPIENT, Side.ISSUER,
    ),
    *_moves(
        {_N.STOCK_ANSWERED, _N.ISOLATED},
        _N.DISPOSED_ON_SITE, "dispose_on_site", _("就地处理"), Side.RECIPIENT, Side.ISSUER,
    ),
    # Nothing held needs no return; a regulator may settle on the spot for a partner that never answers.
    *_moves(
        {_N.STOCK_ANSWERED, _N.ISOLATED, _N.RETURNED, _N.DISPOSED_ON_SITE}, _N.SETTLED, "settle", _("核销"), Side.ISSUER
    ),
    *_moves({_N.ESCALATED}, _N.SETTLED, "settle", _("核销"), Side.REGULATOR),
    *_moves(_ON_ITS_WAY, _N.REFUSED, "refuse", _("拒收"), Side.RECIPIENT, Side.ISSUER),
    *_moves(
        {_N.CREATED, _N.SENT, _N.DELIVERED},
        _N.UNREACHABLE, "give_up", _("无法联系"), Side.ISSUER, Side.SYSTEM,
    ),
    # Whoever opens a letter that is not for them says so; the issuer looks for the right address.
    *_moves(_UNANSWERED, _N.UNREACHABLE, "disown", _("不是收件单位"), Side.RECIPIENT),
    # An answer that was not the recipient's own is set aside by who judged it; the notice waits for the true one.
    *_moves(
        {_N.ACKNOWLEDGED, _N.STOCK_ANSWERED, _N.ISOLATED},
        _N.SEEN, "set_aside", _("答复作废"), Side.ISSUER, Side.REGULATOR,
    ),
    # Where a confirmation still stands, only the count is waited for again.
    *_moves(
        {_N.STOCK_ANSWERED, _N.ISOLATED},
        _N.ACKNOWLEDGED, "set_aside_count", _("库存答复作废"), Side.ISSUER, Side.REGULATOR,
    ),
    *_moves(
        _ON_ITS_WAY | {_N.ACKNOWLEDGED, _N.REFUSED, _N.UNREACHABLE},
        _N.ESCALATED, "escalate", _("升级"), Side.ISSUER, Side.SYSTEM, Side.REGULATOR,
    ),
    # A cancelled campaign or a narrower scope takes a notice back, and always says so to who was told.
    *_moves(_OPEN, _N.WITHDRAWN, "withdraw", _("撤回"), Side.ISSUER, Side.SYSTEM),
)  # fmt: skip


def notice_move(source: NoticeStatus | str, action: str, side: Side | str) -> NoticeMove | None:
    """The row of this action in this status for this side, or None (the caller refuses)."""
    for row in NOTICE_MOVES:
        if row.source == source and row.action == action and side in row.sides:
            return row
    return None


class EscalationStep(TextChoices):
    """What happens to a notice that is still unanswered; only the last step changes its status."""

    RESEND = "resend", _("再次发送")
    TELEPHONE = "telephone", _("列入电话催办")
    REGULATOR = "regulator", _("报监管部门")


ESCALATION: Mapping[Level, tuple[tuple[timedelta, EscalationStep], ...]] = {
    level: tuple(
        (timedelta(hours=hours * factor), step)
        for hours, step in (
            (2, EscalationStep.RESEND),
            (4, EscalationStep.TELEPHONE),
            (8, EscalationStep.REGULATOR),
        )
    )
    for level, factor in ((Level.ONE, 1), (Level.TWO, 2), (Level.THREE, 3))
}
"""Time since sending after which each step is due, by level. House defaults, not law: levels 2 and 3 wait two
and three times as long as level 1, as the start limits of the 2015 rule do. ``EscalationRule`` rows stand above them.
"""
