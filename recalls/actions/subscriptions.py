"""告诉我召回: asking for it, confirming, ending, and telling each subscriber of each recall exactly once.

Nothing is sent to an address that has not confirmed itself but the one message that asks for that.
"""

from __future__ import annotations

import datetime
import logging
import smtplib
import uuid
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage, get_connection
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from recalls.actions.outbox import BACKOFF, LEASE
from recalls.models import Campaign, Fanout, Publication, PublicMessage, ScopeLot, ServiceTarget, Subscription
from recalls.parts import Extent, within
from recalls.queries import published
from recalls.service import target
from recalls.sms import SmsLater, SmsRefused, gateway
from recalls.tokens import subscription_token
from trace.errors import Invalid
from trace.models import Lot, Organisation, Product
from trace.personal import forget, keyed_hash, reveal, seal
from trace.text import clean_text

CHUNK = 500
Status = Subscription.Status
Scope = Subscription.Scope
Kind = PublicMessage.Kind
logger = logging.getLogger(__name__)


def channels() -> list[tuple[str, str]]:
    """The ways a consumer can be told here."""
    found = [(Subscription.Channel.EMAIL.value, str(Subscription.Channel.EMAIL.label))]
    if gateway() is not None:
        found.append((Subscription.Channel.SMS.value, str(Subscription.Channel.SMS.label)))
    return found


def subscribe(
    *,
    nonce: str,
    channel: str,
    address: str,
    scope: str,
    consent: bool,
    lot: Lot | None = None,
    product: Product | None = None,
    firm: Organisation | None = None,
    language: str = "zh-hans",
    at: datetime.datetime | None = None,
) -> Subscription:
    """Ask to be told of recalls. It counts only once confirmed from the address (``confirm``).

    The same wish of the same address again answers with the first and sends nothing more, so that nobody's inbox is
    filled by asking in their name. Refuses a missing consent (``consent_required``), an address that is none
    (``address_bad``), a way we do not have (``unknown_choice``), a scope without its goods (``unknown_choice``).
    """
    earlier = Subscription.objects.filter(nonce=nonce).first()
    if earlier is not None:
        return earlier
    now = at or timezone.now()
    if not consent:
        raise Invalid(_("请先勾选同意，我们才能保存您的地址。"), code="consent_required")
    if channel not in dict(channels()):
        raise Invalid(_("请选择列出的一项。"), code="unknown_choice")
    goods = {Scope.LOT: lot, Scope.PRODUCT: product, Scope.FIRM: firm, Scope.ALL: True}
    if scope not in Scope.values or not goods[Scope(scope)]:
        raise Invalid(_("请选择想知道哪些产品的召回。"), code="unknown_choice")
    where = _address(channel, address)
    digest = keyed_hash(f"{channel}:{where}", "subscription")
    with transaction.atomic():
        same = Subscription.objects.filter(
            address_hash=digest,
            scope=scope,
            lot=lot if scope == Scope.LOT else None,
            product=product if scope == Scope.PRODUCT else None,
            firm=firm if scope == Scope.FIRM else None,
        ).exclude(status=Status.ENDED)
        found = same.order_by("id").first()
        if found is not None:
            return found
        try:
            with transaction.atomic():
                row = Subscription.objects.create(
                    channel=channel,
                    scope=scope,
                    lot=lot if scope == Scope.LOT else None,
                    product=product if scope == Scope.PRODUCT else None,
                    firm=firm if scope == Scope.FIRM else None,
                    address=seal(where, organisation=None, purpose="subscription"),
                    address_hash=digest,
                    language="en" if language.startswith("en") else "zh-hans",
                    nonce=nonce,
                    consented_at=now,
                )
        except IntegrityError:
            return Subscription.objects.get(nonce=nonce)
        PublicMessage.objects.create(kind=Kind.CONFIRM, subscription=row, created_at=now, next_at=now)
    return row


def _address(channel: str, address: str) -> str:
    """The address in its one form."""
    text = clean_text(address, 254)
    if channel == Subscription.Channel.SMS:
        digits = "".join(char for char in text if char.isdigit()).removeprefix("86")
        if len(digits) != 11 or not digits.startswith("1"):
            raise Invalid(_("请填写 11 位手机号码。"), code="address_bad")
        return digits
    try:
        validate_email(text)
    except ValidationError:
        raise Invalid(_("请填写完整的电子邮箱地址。"), code="address_bad") from None
    local, _at, host = text.rpartition("@")
    return f"{local}@{host.lower()}"


@transaction.atomic
def confirm(*, subscription: Subscription, at: datetime.datetime | None = None) -> Subscription:
    """The holder of the address says yes. Harmless twice; an ended one stays ended."""
    now = at or timezone.now()
    Subscription.objects.filter(pk=subscription.pk, status=Status.WAITING).update(
        status=Status.ACTIVE, confirmed_at=now
    )
    subscription.refresh_from_db()
    return subscription


@transaction.atomic
def end(*, subscription: Subscription, at: datetime.datetime | None = None) -> Subscription:
    """No more messages: the address is destroyed at once, unsent messages with it. Harmless twice."""
    now = at or timezone.now()
    if (
        Subscription.objects.filter(pk=subscription.pk)
        .exclude(status=Status.ENDED)
        .update(status=Status.ENDED, ended_at=now, address_hash="")
    ):
        forget(subscription.address, at=now)
        PublicMessage.objects.filter(subscription=subscription, sent_at=None, failed_at=None).update(
            failed_at=now, error="ended", lease=None, leased_until=None
        )
    subscription.refresh_from_db()
    return subscription


def forget_unconfirmed(*, now: datetime.datetime | None = None) -> int:
    """The retention job: whoever did not confirm in time is forgotten."""
    moment = now or timezone.now()
    until = moment - target(ServiceTarget.Key.KEEP_WAITING).span
    rows = Subscription.objects.filter(status=Status.WAITING, consented_at__lt=until).select_related("address")
    done = 0
    for row in list(rows.order_by("id")[:1000]):
        end(subscription=row, at=moment)
        done += 1
    return done


# --- Telling --------------------------------------------------------------------------------------------------------


def concerned(publication: Publication) -> QuerySet[Subscription]:
    """Active subscriptions that this publication concerns: by lot, product, firm, or all."""
    return _concerned(publication.notice.campaign, ScopeLot.objects.filter(scope=publication.notice.scope_id))


def _concerned(campaign: Campaign, covered: QuerySet[ScopeLot]) -> QuerySet[Subscription]:
    """Active subscriptions that a recall of these lots concerns."""
    lots = covered.values("lot")
    wanted = (
        Q(scope=Scope.LOT, lot__in=lots)
        | Q(scope=Scope.PRODUCT, product__in=Lot.objects.filter(pk__in=lots).values("product"))
        | Q(scope=Scope.FIRM, firm=campaign.organisation_id)
        | Q(scope=Scope.FIRM, firm__in=Lot.objects.filter(pk__in=lots).values("organisation"))
        | Q(scope=Scope.ALL)
    )
    return Subscription.objects.filter(wanted, status=Status.ACTIVE)


def _more(publication: Publication) -> QuerySet[ScopeLot]:
    """What this publication covers beyond the one before it: other lots, and those of which more is covered. A lot that
    was in an earlier one and out in the last is among them, for whoever looked in between read that it is not meant.
    """
    notice = publication.notice
    before = published().filter(Q(at__lt=publication.at) | Q(at=publication.at, pk__lt=publication.pk))
    last = before.filter(notice__campaign=notice.campaign_id).first()
    earlier = ScopeLot.objects.filter(scope=last.notice.scope_id if last is not None else None)
    now = ScopeLot.objects.filter(scope=notice.scope_id)
    told = {lot: Extent.from_json(part) for lot, part in earlier.exclude(part={}).values_list("lot", "part")}
    covered = now.filter(lot__in=list(told)).values_list("lot", "part")
    wider = [lot for lot, part in covered if not within(Extent.from_json(part), told[lot])]
    return now.filter(~Exists(earlier.filter(lot=OuterRef("lot"))) | Q(lot__in=wider))


def tell_next() -> bool:
    """One chunk of one publication's subscribers gets its messages written; whether there was any. Run by the worker.

    Who was told of the recall is told again where this announcement covers more of what the subscription is about
    than the one before. Only publications of announced campaigns that are no drills (``published``). A kill between
    two chunks loses nothing; the unique pair of subscription and publication makes a second message impossible.
    """
    waiting = published().exclude(fanout__done_at__isnull=False).order_by("at", "id").first()
    if waiting is None:
        return False
    now = timezone.now()
    with transaction.atomic():
        fanout, _new = Fanout.objects.get_or_create(publication=waiting)
        held = Fanout.objects.select_for_update().get(pk=fanout.pk)
        if held.done_at is not None:
            return True
        rows = list(concerned(waiting).filter(pk__gt=held.after).order_by("pk").values_list("pk", flat=True)[:CHUNK])
        campaign = waiting.notice.campaign
        known = set(
            PublicMessage.objects.filter(campaign=campaign, subscription__in=rows).values_list(
                "subscription", flat=True
            )
        )
        if known and (more := _more(waiting)).exists():
            known -= set(_concerned(campaign, more).filter(pk__in=known).values_list("pk", flat=True))
        facts: dict[str, Any] = {"campaign": campaign, "publication": waiting, "created_at": now, "next_at": now}
        PublicMessage.objects.bulk_create(
            [PublicMessage(kind=Kind.RECALL, subscription_id=pk, **facts) for pk in rows if pk not in known],
            ignore_conflicts=True,
        )
        Fanout.objects.filter(pk=held.pk).update(
            after=rows[-1] if rows else held.after,
            told=F("told") + len(set(rows) - known),
            done_at=None if len(rows) == CHUNK else now,
        )
    return True


def due(now: datetime.datetime) -> list[int]:
    """Messages whose time has come and that nobody is sending; at most a hundred."""
    rows = PublicMessage.objects.filter(
        Q(lease=None) | Q(leased_until__lt=now), sent_at=None, failed_at=None, next_at__lte=now
    )
    return list(rows.order_by("next_at", "id").values_list("pk", flat=True)[:100])


def send_next(*, now: datetime.datetime | None = None, lease: datetime.timedelta = LEASE) -> bool:
    """Claim and send one message; whether there was one. Run by the worker, safe to kill and to run twice."""
    moment = now or timezone.now()
    for pk in due(moment):
        token = uuid.uuid4()
        won = PublicMessage.objects.filter(
            Q(lease=None) | Q(leased_until__lt=moment), pk=pk, sent_at=None, failed_at=None, next_at__lte=moment
        ).update(lease=token, leased_until=moment + lease, attempts=F("attempts") + 1)
        if won:
            message = PublicMessage.objects.select_related(
                "subscription__address",
                "subscription__lot__product_version",
                "subscription__product__current",
                "subscription__firm",
                "campaign",
                "step__case__contact",
            ).get(pk=pk)
            _send(message, moment)
            return True
    return False


def _send(message: PublicMessage, now: datetime.datetime) -> None:
    """Send a claimed message and write down what came of it. No transaction is open while the server is spoken to."""
    where, channel, language = _whither(message)
    if not where:
        _fail(message, "no address", now)
        return
    with translation.override(language):
        subject, body = _words(message)
    try:
        if channel == Subscription.Channel.SMS:
            chosen = gateway()
            if chosen is None:
                raise OSError("no gateway")
            chosen.send(number=where, text=f"{subject} {body}", key=str(message.uid))
        else:
            _mail(message, where, subject, body)
    except smtplib.SMTPRecipientsRefused as refusal:
        codes = [code for code, _text in refusal.recipients.values()]
        if codes and all(500 <= code < 600 for code in codes):
            _fail(message, str(codes), now)
        else:
            _again(message, str(codes), now)
        return
    except SmsRefused:
        _fail(message, "SmsRefused", now)
        return
    except (smtplib.SMTPException, SmsLater, OSError) as problem:
        _again(message, type(problem).__name__, now)
        return
    PublicMessage.objects.filter(pk=message.pk, lease=message.lease, sent_at=None).update(
        sent_at=now, lease=None, leased_until=None, error=""
    )


def _whither(message: PublicMessage) -> tuple[str, str, str]:
    """Address, channel and language; no address where it was forgotten or is not one we can write to."""
    if message.subscription is not None:
        row = message.subscription
        wanted = Status.WAITING if message.kind == Kind.CONFIRM else Status.ACTIVE
        if row.status != wanted:
            return "", row.channel, row.language
        return reveal(row.address), row.channel, row.language
    contact = reveal(message.step.case.contact) if message.step is not None else ""
    try:
        validate_email(contact)
    except ValidationError:
        digits = "".join(char for char in contact if char.isdigit())
        if len(digits) == 11 and digits.startswith("1") and gateway() is not None:
            return digits, Subscription.Channel.SMS, "zh-hans"
        return "", Subscription.Channel.EMAIL, "zh-hans"
    return contact, Subscription.Channel.EMAIL, "zh-hans"


def _words(message: PublicMessage) -> tuple[str, str]:
    """Subject and text in the language in force. A drill has no words: it never gets here (``published``)."""
    base = settings.PUBLIC_BASE_URL
    if message.kind == Kind.REPLY and message.step is not None:
        url = base + reverse("recalls:receipt", args=[message.step.case.number])
        return _("您反映的事项有了答复"), _("回执号 %(number)s 有新的办理情况，请打开查看：%(url)s") % {
            "number": message.step.case.number,
            "url": url,
        }
    subscription = message.subscription
    assert subscription is not None  # noqa: S101 (the database says so)
    link = base + reverse("recalls:subscription", args=[subscription_token(subscription.uid)])
    if message.kind == Kind.CONFIRM:
        return _("请确认：有召回时告诉您"), _(
            "有人用这个地址登记了召回提醒（%(what)s）。是您本人的，请打开下面的网页按“确认”：\n\n%(url)s\n\n"
            "不是您登记的，不用理会：没有确认的登记会自动删除。"
        ) % {"what": what_words(subscription), "url": link}
    campaign = message.campaign
    if campaign is None or campaign.is_drill:
        raise ValueError("a recall message without an announced recall")
    facts = {
        "what": what_words(subscription),
        "number": campaign.number or "",
        "title": campaign.title,
        "url": base + reverse("recalls:public_recall", args=[campaign.uid]),
        "stop": link,
    }
    if campaign.public_messages.filter(subscription=subscription, pk__lt=message.pk).exists():
        return _("召回范围扩大：%(title)s") % {"title": campaign.title}, _(
            "您关注的产品（%(what)s）的召回 %(number)s 范围扩大了：%(title)s。\n\n"
            "上次看过、批号不在内的，请再核对一次；先停止食用或使用：\n%(url)s\n\n"
            "不想再收到：%(stop)s"
        ) % facts
    return _("召回提醒：%(title)s") % {"title": campaign.title}, _(
        "您关注的产品（%(what)s）有召回公告 %(number)s：%(title)s。\n\n"
        "请先停止食用或使用，打开公告查看批号和退货办法：\n%(url)s\n\n"
        "不想再收到：%(stop)s"
    ) % facts


def what_words(subscription: Subscription) -> str:
    """What a subscription is about, in words."""
    if subscription.lot is not None:
        return f"{subscription.lot.product_version.label} {subscription.lot.code}"
    if subscription.product is not None:
        return str(subscription.product)
    if subscription.firm is not None:
        return subscription.firm.label
    return str(Scope.ALL.label)


def _mail(message: PublicMessage, where: str, subject: str, body: str) -> None:
    """One e-mail; a subscriber's can be ended by one click of the mail program (RFC 8058)."""
    host = settings.PUBLIC_BASE_URL.partition("://")[2].partition(":")[0]
    headers = {"Message-ID": f"<{message.uid}@{host}>", "Auto-Submitted": "auto-generated"}
    if message.subscription is not None:
        stop = reverse("recalls:subscription_end", args=[subscription_token(message.subscription.uid)])
        headers["List-Unsubscribe"] = f"<{settings.PUBLIC_BASE_URL}{stop}>"
        headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    email = EmailMessage(subject=" ".join(subject.split()), body=body, to=[where], headers=headers)
    email.connection = get_connection()
    email.send()


def _again(message: PublicMessage, error: str, now: datetime.datetime) -> None:
    """Give the lease back and try later. The log names no address."""
    wait = datetime.timedelta(minutes=BACKOFF[min(message.attempts, len(BACKOFF)) - 1])
    PublicMessage.objects.filter(pk=message.pk, lease=message.lease, sent_at=None).update(
        next_at=now + wait, lease=None, leased_until=None, error=error[:200]
    )
    logger.warning("public message %s not sent (attempt %s): %s", message.uid, message.attempts, error[:100])


def _fail(message: PublicMessage, error: str, now: datetime.datetime) -> None:
    """Given up for good."""
    PublicMessage.objects.filter(pk=message.pk, lease=message.lease, sent_at=None).update(
        failed_at=now, lease=None, leased_until=None, error=error[:200]
    )
