"""Goods sent that nobody confirmed, and amounts that differ: reminding the other side, answering, sending the mails."""

from __future__ import annotations

import datetime
import logging
import smtplib
from collections.abc import Mapping

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models import F, Q
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from trace.access import entered_for
from trace.actions.transfers import slip_token
from trace.actor import Actor
from trace.errors import Clash, FieldErrors, Invalid, NotAllowed, TooMany
from trace.ledger import lock_log_head
from trace.models import DifferenceAnswer, Event, Reminder, Shipment, Transfer
from trace.text import clean_text

PAUSE = datetime.timedelta(hours=20)
"""Between two reminders of the same slip: once a working day is a reminder, more is a nuisance."""
LEASE = datetime.timedelta(minutes=3)
BACKOFF_MINUTES = (5, 30, 120, 720)
MOST_ATTEMPTS = 5
WORDS_MAX = 500

logger = logging.getLogger(__name__)


@transaction.atomic
def remind(*, by: Actor, shipment: Shipment, at: datetime.datetime | None = None) -> Reminder:
    """Remind the other side of a shipment: the receiver of its receipt, or the sender of a difference not settled.

    The other side sees it at home; where it has an e-mail address a mail goes out by the worker (to a receiver without
    account with the link to answer). Refuses who is no side (``not_own``), a slip declared wrong (``shipment_void``),
    nothing left to do (``nothing_open``), a second reminder within 20 hours (``reminded_already``).
    """
    by.require("operator", "quality")
    mine = entered_for(by)
    now = at or timezone.now()
    if shipment.organisation_id not in mine and shipment.receiver_id not in mine:
        raise NotAllowed(_("只有收发双方能催办。"), code="not_own")
    lock_log_head()
    shipment = Shipment.objects.select_related("organisation", "receiver").get(pk=shipment.pk)
    if shipment.voided_by_id is not None:
        raise Clash(_("这张发货单已被发货单位声明有误。"), code="shipment_void")
    waits = shipment.transfers.filter(received_by=None).exists()
    about = Reminder.About.RECEIPT if waits else Reminder.About.DIFFERENCE
    to_receiver = waits or shipment.organisation_id in mine
    if waits and shipment.organisation_id not in mine:
        raise Invalid(_("这张单等本单位确认收货，不用催对方。"), code="nothing_open")
    if not waits and not open_differences([shipment.pk]):
        raise Invalid(_("这张单没有未了的事。"), code="nothing_open")
    last = shipment.reminders.filter(organisation__in=mine).order_by("-id").first()
    if last is not None and now - last.at < PAUSE:
        raise TooMany(_("今天已经催过，请明天再催，或打电话联系对方。"), code="reminded_already")
    other = shipment.receiver if to_receiver else shipment.organisation
    return Reminder.objects.create(
        shipment=shipment,
        about=about,
        organisation=by.owner,
        reminded=other,
        by=by.user,
        at=now,
        next_at=now,
        email=other.recall_contact_email,
    )


def open_differences(shipments: list[int] | None = None) -> list[int]:
    """Transfers (row numbers) of these shipments whose difference the sender has not accepted."""
    rows = Transfer.objects.filter(received_micros__isnull=False, voided_by=None).exclude(
        received_micros=F("sent_micros")
    )
    if shipments is not None:
        rows = rows.filter(shipment__in=shipments)
    accepted = DifferenceAnswer.objects.filter(
        answer=DifferenceAnswer.Answer.ACCEPTED, transfer__in=rows, receipt=F("transfer__received_by")
    )
    return list(rows.exclude(pk__in=accepted.values("transfer")).values_list("pk", flat=True))


@transaction.atomic
def answer_differences(
    *,
    by: Actor,
    shipment: Shipment,
    answers: Mapping[Transfer, str],
    words: str = "",
    at: datetime.datetime | None = None,
) -> list[DifferenceAnswer]:
    """The sender accepts what the receiver counted or disputes it; the receiver may answer a dispute with words.

    Only the sender's acceptance settles a difference. A dispute needs words (``FieldErrors`` under ``words``). The
    receiver who counted wrong corrects its receipt instead. Refuses who is no side (``not_own``), a line without an
    open difference (``nothing_open``), the receiver accepting its own count (``not_sender``).
    """
    by.require("operator", "quality")
    mine = entered_for(by)
    is_sender = shipment.organisation_id in mine
    if not is_sender and shipment.receiver_id not in mine:
        raise NotAllowed(_("只有收发双方能回答。"), code="not_own")
    text = _words(words, needed=DifferenceAnswer.Answer.DISPUTED in answers.values())
    lock_log_head()
    open_ones = set(open_differences([shipment.pk]))
    if not answers or not {transfer.pk for transfer in answers} <= open_ones:
        raise Invalid(_("这处差异已经了结，请刷新页面。"), code="nothing_open")
    if not is_sender and DifferenceAnswer.Answer.ACCEPTED in answers.values():
        raise NotAllowed(_("差异由发货单位认可。收货数量填错了的，请更正收货记录。"), code="not_sender")
    now = at or timezone.now()
    rows = []
    for transfer, answer in answers.items():
        if answer not in DifferenceAnswer.Answer.values:
            raise Invalid(_("请从列表中选择。"), code="unknown_choice")
        receipt = Transfer.objects.values_list("received_by", flat=True).get(pk=transfer.pk)
        rows.append(
            DifferenceAnswer(
                transfer=transfer,
                receipt=Event.objects.get(pk=receipt),
                organisation=by.owner,
                answer=answer,
                words=text,
                by=by.user,
                at=now,
            )
        )
    return DifferenceAnswer.objects.bulk_create(rows)


def _words(words: str, *, needed: bool) -> str:
    try:
        return clean_text(words, WORDS_MAX, True, required=needed)
    except Invalid as error:
        raise FieldErrors(error.message, {"words": error}) from error


# --- The mails ------------------------------------------------------------------------------------------------------


def send_reminders(*, now: datetime.datetime | None = None) -> int:
    """Mail every reminder whose time has come; returns how many the mail server took. Run by the worker.

    Each is leased by one conditional update, so two workers do not send it twice; a server that cannot be reached is
    asked again, five times in all. A receipt confirmed meanwhile is no longer asked for.
    """
    moment = now or timezone.now()
    free = Q(lease_until=None) | Q(lease_until__lt=moment)
    due = Reminder.objects.filter(free, mailed_at=None, failed_at=None, next_at__lte=moment).exclude(email="")
    sent = 0
    for pk in list(due.order_by("next_at", "id").values_list("pk", flat=True)[:50]):
        won = Reminder.objects.filter(free, pk=pk, mailed_at=None, failed_at=None).update(
            lease_until=moment + LEASE, attempts=F("attempts") + 1
        )
        if won:
            row = Reminder.objects.select_related("shipment", "organisation", "reminded").get(pk=pk)
            sent += _send(row, moment)
    return sent


def _send(row: Reminder, now: datetime.datetime) -> bool:
    """Send one leased reminder and write down what came of it. No transaction is open meanwhile."""
    try:
        _mail(row).send()
    except (smtplib.SMTPException, OSError) as problem:
        last = row.attempts >= MOST_ATTEMPTS
        wait = datetime.timedelta(minutes=BACKOFF_MINUTES[min(row.attempts, len(BACKOFF_MINUTES)) - 1])
        Reminder.objects.filter(pk=row.pk).update(lease_until=None, next_at=now + wait, failed_at=now if last else None)
        logger.warning("reminder %s not sent (attempt %s): %s", row.pk, row.attempts, type(problem).__name__)
        return False
    Reminder.objects.filter(pk=row.pk).update(mailed_at=now, lease_until=None)
    return True


def _mail(row: Reminder) -> EmailMessage:
    """The letter, in Chinese: who asks for what, and where to answer."""
    shipment = row.shipment
    with translation.override("zh-hans"):
        if row.about == Reminder.About.RECEIPT and row.reminded.is_external:
            path = reverse("trace:slip", args=[slip_token(shipment)])
        elif row.about == Reminder.About.RECEIPT:
            path = reverse("trace:receive", args=[shipment.uid])
        else:
            path = reverse("trace:difference", args=[shipment.uid])
        facts = {
            "name": row.organisation.name,
            "number": shipment.number,
            "day": timezone.localtime(shipment.sent_at).date().isoformat(),
            "url": settings.PUBLIC_BASE_URL + path,
        }
        if row.about == Reminder.About.RECEIPT:
            subject = _("请确认收货：发货单 %(number)s") % facts
            told = _("%(name)s 于 %(day)s 向贵单位发货，发货单 %(number)s，还没有收到确认。") % facts
            body = "\n".join([told, _("请打开下面的链接，填写实收数量："), facts["url"], ""])
        else:
            subject = _("请处理数量差异：发货单 %(number)s") % facts
            told = _("发货单 %(number)s（%(day)s）的发出与实收数量不一致，%(name)s 请贵单位回答：") % facts
            body = "\n".join([told, facts["url"], ""])
    headers = {"Message-ID": f"<reminder-{row.pk}-{shipment.uid}@{settings.DEFAULT_FROM_EMAIL.partition('@')[2]}>"}
    return EmailMessage(subject, body, settings.DEFAULT_FROM_EMAIL, [row.email], headers=headers)
