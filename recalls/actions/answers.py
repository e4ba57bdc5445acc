"""What holders say: that they know, and what they have. By account, by the letter's link, or by telephone."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from recalls.access import notice_by_link
from recalls.actions.campaigns import carry_out_by_itself
from recalls.actions.hooks import tell_issuer
from recalls.actions.notices import move_notice, note_attempt, side_for
from recalls.asked import still_asked
from recalls.models import Acknowledgement, Notice, StockAnswer
from recalls.notice_states import ANSWERED, REACHED, NoticeStatus, Side
from trace.actor import Actor
from trace.errors import Clash, Invalid
from trace.models import Lot
from trace.personal import reveal, seal
from trace.text import clean_text
from trace.units import MAX_BASE_UNITS, MICROS

Channel = Acknowledgement.Channel


@dataclass(frozen=True)
class LotAnswer:
    """What a holder says of one lot, in millionths of its base unit; ``sealed`` is part of ``on_hand``."""

    lot: Lot
    on_hand: int
    sealed: int
    sold: int
    unknown: int

    def same_as(self, row: StockAnswer) -> bool:
        """Whether a stored answer says the same."""
        return (row.on_hand_micros, row.sealed_micros, row.sold_micros, row.unknown_micros) == (
            self.on_hand,
            self.sealed,
            self.sold,
            self.unknown,
        )


@transaction.atomic
def acknowledge(
    *, by: Actor, notice: Notice, will_act: bool = True, remark: str = "", at: datetime.datetime | None = None
) -> Acknowledgement:
    """The recipient confirms by its account that it knows and will act; the issuer writes down a telephone call.

    Doing it twice is harmless: the first stands. Refuses strangers (``not_your_notice``) and withdrawn or settled
    notices (``notice_state``).
    """
    side = _answering_side(by, notice, "acknowledge")
    channel = Channel.ACCOUNT if side is Side.RECIPIENT else Channel.TELEPHONE
    return _acknowledge(notice, by, side, channel, "", will_act, remark, at or timezone.now())


@transaction.atomic
def acknowledge_by_link(
    *, token: str, name: str, will_act: bool = True, remark: str = "", at: datetime.datetime | None = None
) -> Acknowledgement:
    """Whoever holds the letter confirms with a name, without an account. The page shows the names given, so that a
    forwarded letter is seen to be one. Twice is harmless. Refuses an empty name (``required``).
    """
    notice = notice_by_link(token)
    by = _link_actor(notice)
    _require_open(notice)
    given = clean_text(name, 60, required=True)
    return _acknowledge(notice, by, Side.RECIPIENT, Channel.LINK, given, will_act, remark, at or timezone.now())


@transaction.atomic
def answer_stock(
    *,
    by: Actor,
    notice: Notice,
    lots: Sequence[LotAnswer],
    remark: str = "",
    at: datetime.datetime | None = None,
) -> Acknowledgement:
    """The recipient says per lot what it has, sealed, sold on and cannot account for; confirms receipt with it.

    A later count follows the earlier and counts; the same count again is harmless. Refuses lots left out or not asked
    about (``lots_incomplete``), an answer to a notice that asks about none any more (``nothing_asked``), negative or
    impossible amounts (``amount_negative``, ``sealed_too_much``, ``amount_too_large``).
    """
    side = _answering_side(by, notice, "answer_stock")
    channel = Channel.ACCOUNT if side is Side.RECIPIENT else Channel.TELEPHONE
    return _answer(notice, by, side, channel, "", lots, remark, at or timezone.now())


@transaction.atomic
def answer_stock_by_link(
    *,
    token: str,
    name: str,
    lots: Sequence[LotAnswer],
    remark: str = "",
    at: datetime.datetime | None = None,
) -> Acknowledgement:
    """The stock answer from the letter, without an account."""
    notice = notice_by_link(token)
    _require_open(notice)
    given = clean_text(name, 60, required=True)
    by = _link_actor(notice)
    return _answer(notice, by, Side.RECIPIENT, Channel.LINK, given, lots, remark, at or timezone.now())


def _link_actor(notice: Notice) -> Actor:
    """Nobody in particular, for the recipient."""
    return Actor(organisation=notice.organisation, role="operator", system=True)


def _require_open(notice: Notice) -> None:
    if not notice.is_open:
        raise Clash(
            _("这份通知已经“%(status)s”，不用再答复。") % {"status": notice.get_status_display()},
            code="notice_state",
            status_now=notice.status,
        )


def _answering_side(by: Actor, notice: Notice, action: str) -> Side:
    """The acting side; an answer already given may be given again, so the state does not matter while it is open."""
    if notice.is_open and notice.status in REACHED:
        from recalls.actions.notices import sides_of
        from trace.errors import NotAllowed

        for side in sides_of(by, notice):
            if side in (Side.RECIPIENT, Side.ISSUER):
                return side
        raise NotAllowed(_("这份通知不是发给您的。"), code="not_your_notice")
    return side_for(by, notice, action)


def _acknowledge(
    notice: Notice,
    by: Actor,
    side: Side,
    channel: str,
    name: str,
    will_act: bool,
    remark: str,
    now: datetime.datetime,
) -> Acknowledgement:
    """Write the acknowledgement and move the notice where it is not further already."""
    repeated = _repeated(notice, channel, name, by)
    if repeated is not None and notice.status in REACHED:
        return repeated
    row = _write(notice, by, channel, name, remark, now, with_stock=False, will_act=will_act)
    if notice.status not in REACHED:
        move_notice(
            notice=notice,
            action="acknowledge",
            side=side,
            by=by,
            at=now,
            acknowledged_at=now,
            **_first_sent(notice, now),
        )
    else:
        note_attempt(notice=notice, action="acknowledge", side=side, by=by, at=now)
    carry_out_by_itself(by=by, campaign=notice.campaign, at=now)
    return row


def _repeated(notice: Notice, channel: str, name: str, by: Actor) -> Acknowledgement | None:
    """The same person's earlier acknowledgement."""
    for row in notice.acknowledgements.filter(channel=channel, with_stock=False, set_aside=None).select_related("name"):
        if channel != Channel.LINK:
            if row.by_id == (by.user.pk if by.user else None):
                return row
        elif reveal(row.name) == name:
            return row
    return None


def _first_sent(notice: Notice, now: datetime.datetime) -> dict[str, Any]:
    """Who answers has got it: a notice answered before the mail server said so counts as sent then."""
    return {} if notice.sent_at else {"sent_at": now}


def _write(
    notice: Notice,
    by: Actor,
    channel: str,
    name: str,
    remark: str,
    now: datetime.datetime,
    *,
    with_stock: bool,
    will_act: bool = True,
) -> Acknowledgement:
    words = clean_text(remark, 500, multiline=True)
    return Acknowledgement.objects.create(
        notice=notice,
        channel=channel,
        with_stock=with_stock,
        will_act=will_act,
        name=seal(name, organisation=notice.organisation, purpose="recall_answer") if name else None,
        remark=seal(words, organisation=notice.organisation, purpose="recall_answer") if words else None,
        by=by.user,
        by_organisation=by.organisation,
        at=now,
    )


def _answer(
    notice: Notice,
    by: Actor,
    side: Side,
    channel: str,
    name: str,
    lots: Sequence[LotAnswer],
    remark: str,
    now: datetime.datetime,
) -> Acknowledgement:
    """Check the count, write it, move the notice."""
    _check(notice, lots)
    latest = latest_answers(notice)
    if latest and all(one.lot.pk in latest and one.same_as(latest[one.lot.pk]) for one in lots):
        return latest[lots[0].lot.pk].acknowledgement
    row = _write(notice, by, channel, name, remark, now, with_stock=True)
    StockAnswer.objects.bulk_create(
        [
            StockAnswer(
                acknowledgement=row,
                notice=notice,
                lot=one.lot,
                on_hand_micros=one.on_hand,
                sealed_micros=one.sealed,
                sold_micros=one.sold,
                unknown_micros=one.unknown,
                at=now,
            )
            for one in lots
        ]
    )
    if notice.status in (ANSWERED - {NoticeStatus.STOCK_ANSWERED, NoticeStatus.ISOLATED}):
        note_attempt(notice=notice, action="answer_stock", side=side, by=by, at=now)
    else:
        move_notice(
            notice=notice,
            action="answer_stock",
            side=side,
            by=by,
            at=now,
            acknowledged_at=notice.acknowledged_at or now,
            answered_at=now,
            **_first_sent(notice, now),
        )
        if any(one.on_hand for one in lots) and all(one.sealed == one.on_hand for one in lots):
            move_notice(notice=notice, action="isolate", side=side, by=by, at=now)
    tell_issuer(notice, event="answered", at=now)
    carry_out_by_itself(by=by, campaign=notice.campaign, at=now)
    return row


def _check(notice: Notice, lots: Sequence[LotAnswer]) -> None:
    """Every lot that is still asked about is answered once, with amounts that can be. An answer about a lot that left
    the recall meanwhile does no harm.
    """
    asked = set(notice.lots.values_list("lot", flat=True))
    still = set(still_asked(notice.lots.all(), of=notice).values_list("lot", flat=True))
    said = {one.lot.pk for one in lots}
    if not said and not still:
        raise Clash(_("这份通知已没有要填写的批次：请按后来的通知填写。"), code="nothing_asked")
    if not still <= said <= asked or len(lots) != len(said):
        raise Invalid(_("请逐个批次填写，没有的填 0。"), code="lots_incomplete")
    for one in lots:
        amounts = (one.on_hand, one.sealed, one.sold, one.unknown)
        if min(amounts) < 0:
            raise Invalid(_("数量不能是负数。"), code="amount_negative")
        if max(amounts) > MAX_BASE_UNITS * MICROS:
            raise Invalid(_("数量太大，请核对数字和单位。"), code="amount_too_large")
        if one.sealed > one.on_hand:
            raise Invalid(_("已封存的数量不能多于现有库存。"), code="sealed_too_much")


def latest_answers(notice: Notice) -> dict[int, StockAnswer]:
    """The last stock answer per lot of one notice that nobody set aside."""
    rows = notice.stock.filter(acknowledgement__set_aside=None).select_related("acknowledgement", "lot")
    return {row.lot_id: row for row in rows.order_by("at", "id")}


def names_given(notice: Notice) -> list[tuple[str, datetime.datetime]]:
    """Who acknowledged by the link, in words they gave: shown to whoever opens the same link."""
    rows = notice.acknowledgements.filter(channel=Channel.LINK, set_aside=None).select_related("name").order_by()
    seen: dict[str, datetime.datetime] = {}
    for row in sorted(rows, key=attrgetter("pk")):
        seen.setdefault(reveal(row.name), row.at)
    return [(name, at) for name, at in seen.items() if name]


def last_name(notice: Notice) -> dict[str, str]:
    """The name given last by the link, for the next form of the same letter: nobody types it three times."""
    names = names_given(notice)
    return {"name": names[-1][0]} if names else {}
