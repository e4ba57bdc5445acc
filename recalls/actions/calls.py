"""The telephone, disputed answers, and how long the ladder waits."""

from __future__ import annotations

import datetime

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from recalls.access import notice_by_link, supervises_campaign
from recalls.actions.notices import move_notice, note_attempt, side_for, sides_of
from recalls.law import Level
from recalls.models import Acknowledgement, EscalationRule, Notice, PhoneCall, SetAside
from recalls.notice_states import NoticeStatus, Side, notice_move
from trace.actor import Actor
from trace.errors import Clash, Invalid, NotAllowed, StaleState
from trace.personal import seal
from trace.text import clean_text

LONGEST = 30 * 24 * 60
"""Minutes; whoever waits longer than a month for an answer is not escalating."""


@transaction.atomic
def log_call(
    *,
    by: Actor,
    notice: Notice,
    outcome: str,
    called_at: datetime.datetime,
    spoke_with: str = "",
    words: str = "",
    at: datetime.datetime | None = None,
) -> PhoneCall:
    """Write down one call about a notice (电话记录): by the issuer, who knows the outsider, or the supervising
    regulator.

    A wrong number makes a notice nobody has answered unreachable, a refusal makes it refused; an answer about stock is
    written down with ``answer_stock``. Refuses strangers (``not_your_notice``), a time to come (``in_future``), an
    unknown outcome (``unknown_choice``), a drill's notice is called like any other.
    """
    now = at or timezone.now()
    sides = [side for side in sides_of(by, notice) if side in (Side.ISSUER, Side.REGULATOR)]
    if not sides:
        raise NotAllowed(_("这份通知不是由您发出的。"), code="not_your_notice")
    if outcome not in PhoneCall.Outcome.values:
        raise Invalid(_("请选择列出的一项。"), code="unknown_choice")
    if called_at > now + datetime.timedelta(minutes=5):
        raise Invalid(_("通话时间不能晚于现在。"), code="in_future")
    person, said = clean_text(spoke_with, 60), clean_text(words, 500, multiline=True)
    call = PhoneCall.objects.create(
        notice=notice,
        outcome=outcome,
        spoke_with=seal(person, organisation=notice.organisation, purpose="recall_call") if person else None,
        words=seal(said, organisation=notice.organisation, purpose="recall_call") if said else None,
        called_at=called_at,
        by=by.user,
        by_organisation=by.organisation,
        at=now,
    )
    side = sides[0]
    action = {PhoneCall.Outcome.WRONG_NUMBER: "give_up", PhoneCall.Outcome.REFUSED: "refuse"}.get(
        PhoneCall.Outcome(outcome), ""
    )
    label = str(PhoneCall.Outcome(outcome).label)
    if action and notice_move(notice.status, action, side) is not None:
        move_notice(notice=notice, action=action, side=side, by=by, at=now, reason=label)
    else:
        note_attempt(notice=notice, action="call", side=side, by=by, at=now, reason=label)
    return call


def mark_seen(*, notice: Notice, by: Actor | None, at: datetime.datetime | None = None) -> Notice:
    """The recipient opened it. Programs that look at mail open links too, so this proves nothing, stops no reminder and
    takes no notice back from trouble. Only the first time writes; the others begin no transaction.
    """
    if notice.status not in (NoticeStatus.SENT, NoticeStatus.DELIVERED):
        return notice
    return _see(notice, by, at)


@transaction.atomic
def _see(notice: Notice, by: Actor | None, at: datetime.datetime | None) -> Notice:
    """Note the first look, unless another one did meanwhile."""
    now = at or timezone.now()
    actor = by or Actor(organisation=notice.organisation, system=True)
    try:
        return move_notice(notice=notice, action="see", side=Side.RECIPIENT, by=actor, at=now, seen_at=now)
    except StaleState:
        notice.refresh_from_db()
        return notice


@transaction.atomic
def disown_by_link(*, token: str, reason: str, at: datetime.datetime | None = None) -> Notice:
    """Whoever holds the letter says it is not for them (我们不是收件单位): the notice counts as unreachable and the
    issuer looks for the right address. An answer given before is disputed instead; it is for a person to judge.
    """
    notice = notice_by_link(token)
    words = clean_text(reason, 500, multiline=True, required=True)
    by = Actor(organisation=notice.organisation, role="operator", system=True)
    if notice_move(notice.status, "disown", Side.RECIPIENT) is not None:
        return move_notice(notice=notice, action="disown", side=Side.RECIPIENT, by=by, at=at, reason=words)
    return _dispute(notice, by, words, at or timezone.now())


@transaction.atomic
def dispute_by_link(*, token: str, reason: str, at: datetime.datetime | None = None) -> Notice:
    """Whoever holds the letter says that the answer on it was not theirs. It keeps counting until the issuer or the
    regulator has judged, because the one who disputes may be the stranger. Refuses where there is no answer
    (``no_answer_yet``).
    """
    notice = notice_by_link(token)
    words = clean_text(reason, 500, multiline=True, required=True)
    return _dispute(notice, Actor(organisation=notice.organisation, role="operator", system=True), words, at)


@transaction.atomic
def dispute(*, by: Actor, notice: Notice, reason: str, at: datetime.datetime | None = None) -> Notice:
    """The same by account."""
    if Side.RECIPIENT not in sides_of(by, notice):
        raise NotAllowed(_("这份通知不是发给您的。"), code="not_your_notice")
    return _dispute(notice, by, clean_text(reason, 500, multiline=True, required=True), at)


def _dispute(notice: Notice, by: Actor, words: str, at: datetime.datetime | None) -> Notice:
    now = at or timezone.now()
    if not notice.acknowledgements.filter(set_aside=None).exists():
        raise Clash(_("这份通知还没有答复。"), code="no_answer_yet")
    Notice.objects.filter(pk=notice.pk).update(disputed_at=now)
    notice.disputed_at = now
    note_attempt(notice=notice, action="dispute", side=Side.RECIPIENT, by=by, at=now, reason=words)
    return notice


@transaction.atomic
def set_aside(
    *, by: Actor, notice: Notice, acknowledgement: Acknowledgement, reason: str, at: datetime.datetime | None = None
) -> Notice:
    """Judge that an answer was not the recipient's own: it stays readable and counts no more. Where none is left, the
    notice waits for an answer again; where only a confirmation is, for the count. Letters sent so far lead nowhere: a
    new link must be sent.

    By the issuer or the supervising regulator, with a reason. Refuses the answer of another notice (``not_found``) and
    one set aside before (``stale_state``).
    """
    now = at or timezone.now()
    words = clean_text(reason, 500, multiline=True, required=True)
    sides = [side for side in sides_of(by, notice) if side in (Side.ISSUER, Side.REGULATOR)]
    if not sides:
        raise NotAllowed(_("这份通知不是由您发出的。"), code="not_your_notice")
    if acknowledgement.notice_id != notice.pk or SetAside.objects.filter(acknowledgement=acknowledgement).exists():
        raise StaleState(_("这份通知刚刚有了变化，请刷新页面。"))
    SetAside.objects.create(
        acknowledgement=acknowledgement, reason=words, by=by.user, by_organisation=by.organisation, at=now
    )
    left = notice.acknowledgements.filter(set_aside=None)
    changes = {"disputed_at": None, "link_round": notice.link_round + 1}
    action, open_again = "", {"answered_at": None}
    if not left.exists():
        action, open_again = "set_aside", {"acknowledged_at": None, "answered_at": None}
    elif not notice.stock.filter(acknowledgement__in=left).exists():
        action = "set_aside_count"
    if action and notice_move(notice.status, action, sides[0]) is not None:
        side = side_for(by, notice, action)
        return move_notice(
            notice=notice, action=action, side=side, by=by, at=now, reason=words, **open_again, **changes
        )
    Notice.objects.filter(pk=notice.pk).update(**changes)
    notice.disputed_at, notice.link_round = None, notice.link_round + 1
    note_attempt(notice=notice, action="set_aside", side=sides[0], by=by, at=now, reason=words)
    return notice


@transaction.atomic
def uphold(*, by: Actor, notice: Notice, reason: str, at: datetime.datetime | None = None) -> Notice:
    """Judge that a disputed answer stands, with a reason."""
    words = clean_text(reason, 500, multiline=True, required=True)
    sides = [side for side in sides_of(by, notice) if side in (Side.ISSUER, Side.REGULATOR)]
    if not sides:
        raise NotAllowed(_("这份通知不是由您发出的。"), code="not_your_notice")
    Notice.objects.filter(pk=notice.pk).update(disputed_at=None)
    notice.disputed_at = None
    note_attempt(notice=notice, action="uphold", side=sides[0], by=by, at=at, reason=words)
    return notice


@transaction.atomic
def set_waiting_times(
    *, by: Actor, level: int, resend: int, telephone: int, regulator: int, reason: str
) -> EscalationRule:
    """State for the whole installation after how many minutes an unanswered notice of a level is sent again, called and
    reported; the earlier rows stay. By a regulator's approver, with a reason.

    Refuses times out of order or under five minutes (``times_out_of_order``), over thirty days (``times_too_long``).
    """
    if not by.is_regulator:
        raise NotAllowed(_("催办时限由监管部门规定。"), code="role_required")
    by.require("approver")
    if level not in [one.value for one in Level]:
        raise Invalid(_("请选择列出的一项。"), code="unknown_choice")
    words = clean_text(reason, 500, multiline=True, required=True)
    if not 5 <= resend < telephone < regulator:
        raise Invalid(_("三个时间须依次变长，最短 5 分钟。"), code="times_out_of_order")
    if regulator > LONGEST:
        raise Invalid(_("最长 30 天。"), code="times_too_long")
    return EscalationRule.objects.create(
        level=level,
        resend_minutes=resend,
        telephone_minutes=telephone,
        regulator_minutes=regulator,
        reason=words,
        by=by.user,
        by_organisation=by.organisation,
    )


def may_judge(actor: Actor, notice: Notice) -> bool:
    """Whether the actor decides about disputed answers."""
    return Side.ISSUER in sides_of(actor, notice) or supervises_campaign(actor, notice.campaign)
