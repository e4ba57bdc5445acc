"""Sending what lies in the outbox: claimed by a lease, sent, marked. A worker that dies loses nothing.

A claim is one conditional update. If the worker dies before the mail server answered, the lease runs out and the
message is sent; if it dies after, the message is sent again under the same Message-ID. So every message goes out at
least once and is read once.
"""

from __future__ import annotations

import datetime
import logging
import smtplib
import uuid

from django.core.mail import get_connection
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext as _

from recalls import sms
from recalls.actions.notices import move_notice, note_attempt, sides_of
from recalls.letters import compose, compose_sms
from recalls.models import Notice, OutboxMessage
from recalls.notice_states import NoticeStatus, Side
from trace.actor import Actor
from trace.errors import NotAllowed
from trace.text import clean_text

LEASE = datetime.timedelta(seconds=120)
"""Longer than the mail server's time limit (20 s): a living worker is not overtaken."""
BACKOFF = (1, 2, 5, 15, 30, 60)
"""Minutes until the next attempt after the first, second … failure; the last value repeats."""
SENT_BY_US = (OutboxMessage.Channel.EMAIL, OutboxMessage.Channel.SMS)

logger = logging.getLogger(__name__)


def due_messages(now: datetime.datetime) -> list[int]:
    """Row numbers of e-mails and text messages whose time has come and that nobody is sending, oldest first; at most
    a hundred.
    """
    free = Q(lease=None) | Q(leased_until__lt=now)
    rows = OutboxMessage.objects.filter(free, channel__in=SENT_BY_US, sent_at=None, failed_at=None, next_at__lte=now)
    return list(rows.order_by("next_at", "id").values_list("pk", flat=True)[:100])


def claim(*, message_id: int, now: datetime.datetime, lease: datetime.timedelta = LEASE) -> OutboxMessage | None:
    """Take one message for this worker; None where another was faster. The attempt is counted with the claim."""
    token = uuid.uuid4()
    won = (
        OutboxMessage.objects.filter(
            Q(lease=None) | Q(leased_until__lt=now), pk=message_id, sent_at=None, failed_at=None
        )
        .filter(next_at__lte=now)
        .update(lease=token, leased_until=now + lease, attempts=F("attempts") + 1)
    )
    if not won:
        return None
    return OutboxMessage.objects.select_related("notice__campaign__organisation", "notice__organisation").get(
        pk=message_id, lease=token
    )


def send_one(*, message: OutboxMessage, now: datetime.datetime | None = None) -> bool:
    """Send a claimed message and write down what came of it; True when the mail server took it.

    No transaction is open while the mail server is spoken to. A server that cannot be reached or says "later" is asked
    again later; an address it refuses for good ends the message, and the notice is marked as unreachable unless
    another channel has reached the holder.
    """
    moment = now or timezone.now()
    try:
        if message.channel == OutboxMessage.Channel.SMS:
            _text(message)
        else:
            email = compose(message)
            email.connection = get_connection()
            email.send()
    except sms.SmsRefused as refusal:
        _fail(message, str(refusal), moment)
        return False
    except sms.SmsLater as problem:
        _retry(message, str(problem), moment)
        return False
    except smtplib.SMTPRecipientsRefused as refusal:
        codes = [code for code, _words in refusal.recipients.values()]
        if codes and all(500 <= code < 600 for code in codes):
            _fail(message, str(codes), moment)
        else:
            _retry(message, str(codes), moment)
        return False
    except (smtplib.SMTPException, OSError) as problem:
        _retry(message, f"{type(problem).__name__}: {problem}", moment)
        return False
    _sent(message, moment)
    return True


def _text(message: OutboxMessage) -> None:
    """Hand a text message to the gateway; one switched off meanwhile is asked again later."""
    gateway = sms.gateway()
    if gateway is None:
        raise sms.SmsLater("SMS_BACKEND is off")
    gateway.send(number=message.address, text=compose_sms(message), key=str(message.uid))


@transaction.atomic
def _sent(message: OutboxMessage, now: datetime.datetime) -> None:
    """Mark as sent, if the lease is still ours, and move the notice on."""
    won = OutboxMessage.objects.filter(pk=message.pk, lease=message.lease, sent_at=None).update(
        sent_at=now, lease=None, leased_until=None, error=""
    )
    if not won:
        return
    notice = message.notice
    notice.refresh_from_db()
    by = Actor(organisation=notice.campaign.organisation, system=True)
    if notice.status == NoticeStatus.CREATED:
        move_notice(notice=notice, action="send", side=Side.SYSTEM, by=by, at=now, sent_at=now)
    else:
        word = "sms" if message.channel == OutboxMessage.Channel.SMS else "mail"
        note_attempt(notice=notice, action=f"{word}_{message.kind}", side=Side.SYSTEM, by=by, at=now)


def _retry(message: OutboxMessage, error: str, now: datetime.datetime) -> None:
    """Give the lease back and try again later."""
    wait = datetime.timedelta(minutes=BACKOFF[min(message.attempts, len(BACKOFF)) - 1])
    OutboxMessage.objects.filter(pk=message.pk, lease=message.lease, sent_at=None).update(
        next_at=now + wait, lease=None, leased_until=None, error=error[:300]
    )
    logger.warning("message %s not sent (attempt %s): %s", message.uid, message.attempts, error[:200])


@transaction.atomic
def _fail(message: OutboxMessage, error: str, now: datetime.datetime) -> None:
    """The address does not exist: end the message, make a letter, and mark the notice where no other way is left."""
    won = OutboxMessage.objects.filter(pk=message.pk, lease=message.lease, sent_at=None).update(
        failed_at=now, lease=None, leased_until=None, error=error[:300]
    )
    if not won:
        return
    notice = message.notice
    notice.refresh_from_db()
    by = Actor(organisation=notice.campaign.organisation, system=True)
    OutboxMessage.objects.get_or_create(
        notice=notice,
        channel=OutboxMessage.Channel.LETTER,
        kind=message.kind,
        round=message.round,
        defaults={"created_at": now, "next_at": now},
    )
    if notice.status == NoticeStatus.CREATED and not _other_way(message):
        move_notice(notice=notice, action="give_up", side=Side.SYSTEM, by=by, at=now, reason=error)
    else:
        note_attempt(notice=notice, action="mail_refused", side=Side.SYSTEM, by=by, at=now, reason=error)
    logger.warning("message %s refused for good: %s", message.uid, error[:200])


def _other_way(message: OutboxMessage) -> bool:
    """Whether another message about the same is on its way or arrived."""
    others = OutboxMessage.objects.filter(notice=message.notice, failed_at=None, bounced_at=None).exclude(
        Q(pk=message.pk) | Q(channel=OutboxMessage.Channel.LETTER)
    )
    return others.exists()


@transaction.atomic
def note_delivered(*, message: OutboxMessage, at: datetime.datetime | None = None) -> OutboxMessage:
    """A receipt says that a message arrived. Twice is harmless; of one that came back it is not believed."""
    now = at or timezone.now()
    fresh = OutboxMessage.objects.filter(pk=message.pk, delivered_at=None, bounced_at=None, sent_at__isnull=False)
    if fresh.update(delivered_at=now):
        notice = Notice.objects.select_related("campaign__organisation").get(pk=message.notice_id)
        if notice.status == NoticeStatus.SENT:
            by = Actor(organisation=notice.campaign.organisation, system=True)
            move_notice(notice=notice, action="deliver", side=Side.SYSTEM, by=by, at=now)
    message.refresh_from_db()
    return message


@transaction.atomic
def note_bounce(
    *, message: OutboxMessage, reason: str, by: Actor | None = None, at: datetime.datetime | None = None
) -> OutboxMessage:
    """A message that had been sent came back (退信): a letter is made, and the notice is unreachable where no other
    way is left. Twice is harmless; an answer already given stands. ``by`` is a person of the issuer, else the program.
    """
    now = at or timezone.now()
    notice = Notice.objects.select_related("campaign__organisation").get(pk=message.notice_id)
    if by is not None and Side.ISSUER not in sides_of(by, notice):
        raise NotAllowed(_("这份通知不是由您发出的。"), code="not_your_notice")
    words = clean_text(reason[:300], 300)
    fresh = OutboxMessage.objects.filter(pk=message.pk, bounced_at=None, sent_at__isnull=False).exclude(
        channel=OutboxMessage.Channel.IN_APP
    )
    if fresh.update(bounced_at=now, delivered_at=None, error=words):
        actor = by or Actor(organisation=notice.campaign.organisation, system=True)
        side = Side.ISSUER if by else Side.SYSTEM
        OutboxMessage.objects.get_or_create(
            notice=notice,
            channel=OutboxMessage.Channel.LETTER,
            kind=message.kind,
            round=message.round,
            defaults={"created_at": now, "next_at": now},
        )
        if notice.status in (NoticeStatus.SENT, NoticeStatus.DELIVERED) and not _other_way(message):
            move_notice(notice=notice, action="give_up", side=side, by=actor, at=now, reason=words)
        else:
            note_attempt(notice=notice, action="bounce", side=side, by=actor, at=now, reason=words)
    message.refresh_from_db()
    return message


def send_due(*, now: datetime.datetime | None = None, lease: datetime.timedelta = LEASE) -> int:
    """Claim and send every message whose time has come; returns how many the mail server took. Run by the worker."""
    sent = 0
    for pk in due_messages(now or timezone.now()):
        message = claim(message_id=pk, now=now or timezone.now(), lease=lease)
        if message is not None:
            sent += send_one(message=message, now=now)
    return sent
