"""Telling partners' systems: addresses with secrets, deliveries written with the fact, sent by the worker."""

from __future__ import annotations

import datetime
import json
import secrets
import uuid
from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext as _

from recalls import gs1, posting
from recalls.errors import DrillStaysInside
from recalls.models import Notice, Webhook, WebhookDelivery
from trace.actor import Actor
from trace.errors import Clash, Invalid, NotAllowed, StaleState
from trace.models import Organisation
from trace.personal import forget, reveal, seal
from trace.text import clean_text

LEASE = datetime.timedelta(seconds=60)
BACKOFF = (1, 5, 15, 60, 180, 360, 720)
"""Minutes until the next attempt; after the last the delivery is given up and stands in the log as failed."""
OVERLAP = datetime.timedelta(days=1)
MOST = 5
LEAST_SECRET = 32
"""Characters of a secret the receiver brings itself."""


def _secret(own: str) -> str:
    """The receiver's own secret, or a new one. Refuses one that is short or repeats itself (``secret_weak``)."""
    if not own:
        return secrets.token_urlsafe(32)
    if not (LEAST_SECRET <= len(own) <= 200 and own.isascii() and own.isprintable() and " " not in own) or (
        len(set(own)) < 8
    ):
        raise Invalid(_("密钥须为 32 到 200 个可见的 ASCII 字符，由随机数产生。"), code="secret_weak")
    return own


def _require_owner(by: Actor) -> None:
    by.require("owner", "approver")
    if by.user is None:
        raise NotAllowed(_("这一步须由本人登录办理，不能用 API 密钥。"), code="person_required")


@transaction.atomic
def add_webhook(*, by: Actor, url: str, secret: str = "", at: datetime.datetime | None = None) -> tuple[Webhook, str]:
    """Register an address and give its secret, shown this once; ``secret`` is one the receiver made itself. By an
    owner. The same address again is refused (``webhook_twice``), more than five (``too_many_webhooks``), an address
    that is not public https (``webhook_url``), a secret that is none (``secret_weak``).
    """
    _require_owner(by)
    chosen = _secret(secret)
    address = clean_text(url, 300, required=True)
    posting.check_url(address)
    Organisation.objects.select_for_update().get(pk=by.organisation.pk)  # two at once would each find a place
    rows = Webhook.objects.filter(organisation=by.organisation, ended_at=None)
    if rows.filter(url=address).exists():
        raise Clash(_("这个网址已经登记过。"), code="webhook_twice")
    if rows.count() >= MOST:
        raise Clash(_("最多 %(most)d 个推送地址。") % {"most": MOST}, code="too_many_webhooks")
    hook = Webhook.objects.create(
        organisation=by.organisation,
        url=address,
        secret=seal(chosen, organisation=by.organisation, purpose="webhook"),
        created_at=at or timezone.now(),
        by=by.user,
    )
    return hook, chosen


@transaction.atomic
def rotate_secret(*, by: Actor, hook: Webhook, secret: str = "", at: datetime.datetime | None = None) -> str:
    """A new secret (or the receiver's own), shown this once; the old one signs beside it for a day. Refuses an address
    that was ended (``stale_state``), a secret that is none (``secret_weak``).
    """
    _require_owner(by)
    chosen = _secret(secret)
    hook = Webhook.objects.select_for_update().select_related("organisation").get(pk=hook.pk)
    if hook.ended_at is not None:
        raise StaleState(_("这个推送地址已经停用。"))
    now = at or timezone.now()
    older = hook.old_secret
    hook.old_secret, hook.old_until = hook.secret, now + OVERLAP
    hook.secret = seal(chosen, organisation=hook.organisation, purpose="webhook")
    hook.save(update_fields=["secret", "old_secret", "old_until"])
    if older is not None:
        forget(older, at=now)
    return chosen


@transaction.atomic
def end_webhook(*, by: Actor, hook: Webhook, at: datetime.datetime | None = None) -> Webhook:
    """Stop telling an address; what waits is given up. Twice is once."""
    _require_owner(by)
    now = at or timezone.now()
    if Webhook.objects.filter(pk=hook.pk, ended_at=None).update(ended_at=now):
        waiting = WebhookDelivery.objects.filter(webhook=hook, sent_at=None, failed_at=None)
        waiting.update(failed_at=now, error="ended")
        forget(hook.secret, at=now)
        if hook.old_secret is not None:
            forget(hook.old_secret, at=now)
    hook.refresh_from_db()
    return hook


def announce_to_systems(notices: Sequence[Notice], *, event: str, at: datetime.datetime) -> None:
    """Put deliveries to the recipients' systems beside the messages to their people. Part of an action; no drills."""
    if any(one.campaign.is_drill for one in notices):
        raise DrillStaysInside()
    hooks: dict[int, list[Webhook]] = {}
    for hook in Webhook.objects.filter(ended_at=None):
        hooks.setdefault(hook.organisation_id, []).append(hook)
    rows = [
        WebhookDelivery(webhook=hook, event=event, body=_body(notice, event), created_at=at, next_at=at)
        for notice in notices
        for hook in hooks.get(notice.organisation_id, [])
    ]
    WebhookDelivery.objects.bulk_create(rows, batch_size=500)


def tell_issuer(notice: Notice, *, event: str, at: datetime.datetime) -> None:
    """Tell the initiator's systems that a holder answered. In a drill nothing leaves the house."""
    if notice.campaign.is_drill:
        return
    hooks = Webhook.objects.filter(organisation=notice.campaign.organisation_id, ended_at=None)
    WebhookDelivery.objects.bulk_create(
        [WebhookDelivery(webhook=hook, event=event, body=_body(notice, event), created_at=at) for hook in hooks]
    )


def _body(notice: Notice, event: str) -> dict[str, Any]:
    """The GS1 message that fits the event."""
    if event == "end":
        return gs1.closeout_notification(notice)
    if event == "answered":
        return gs1.removal_confirmation(notice)
    return gs1.recall_notification(notice)


def deliver_due(*, now: datetime.datetime | None = None) -> int:
    """Send the deliveries whose time has come, each under a lease; how many were taken. Run by the worker."""
    moment = now or timezone.now()
    free = Q(lease=None) | Q(leased_until__lt=moment)
    due = WebhookDelivery.objects.filter(free, sent_at=None, failed_at=None, next_at__lte=moment)
    taken = 0
    for pk in list(due.order_by("next_at", "id").values_list("pk", flat=True)[:50]):
        token = uuid.uuid4()
        won = WebhookDelivery.objects.filter(free, pk=pk, sent_at=None, failed_at=None).update(
            lease=token, leased_until=moment + LEASE, attempts=F("attempts") + 1
        )
        if won:
            row = WebhookDelivery.objects.select_related("webhook__secret", "webhook__old_secret").get(pk=pk)
            taken += _deliver(row, token, moment)
    return taken


def _deliver(row: WebhookDelivery, lease: uuid.UUID, now: datetime.datetime) -> bool:
    """One attempt; no transaction is open meanwhile. 2xx is taken, 410 ends it, anything else is tried again."""
    hook = row.webhook
    mine = WebhookDelivery.objects.filter(pk=row.pk, lease=lease)
    body = json.dumps({"id": str(row.uid), "event": row.event, "data": row.body}, ensure_ascii=False).encode()
    stamp = int(timezone.now().timestamp())
    marks = [posting.signature(reveal(hook.secret), stamp, body)]
    if hook.old_secret is not None and hook.old_until is not None and hook.old_until > now:
        marks.append(posting.signature(reveal(hook.old_secret), stamp, body))
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "X-Trace-Delivery": str(row.uid),
        "X-Trace-Timestamp": str(stamp),
        "X-Trace-Signature": ",".join(f"v1={mark}" for mark in marks),
    }
    status, error = None, ""
    try:
        status = posting.post(hook.url, body, headers)
    except posting.CannotPost as problem:
        error = str(problem)[:200]
    kept: dict[str, Any] = {"lease": None, "leased_until": None, "status_code": status, "error": error}
    if status is not None and 200 <= status < 300:
        mine.update(sent_at=now, **kept)
        return True
    if status == 410 or row.attempts > len(BACKOFF):
        mine.update(failed_at=now, **kept)
    else:
        mine.update(next_at=now + datetime.timedelta(minutes=BACKOFF[row.attempts - 1]), **kept)
    return False


@transaction.atomic
def try_again(*, by: Actor, delivery: WebhookDelivery) -> None:
    """Put a failed delivery back into the queue, as the receiver asks. Refuses an address that was ended
    (``stale_state``); one that was taken or still waits is left as it is.
    """
    _require_owner(by)
    if Webhook.objects.filter(pk=delivery.webhook_id).exclude(ended_at=None).exists():
        raise StaleState(_("这个推送地址已经停用。"))
    WebhookDelivery.objects.filter(pk=delivery.pk, webhook__ended_at=None).exclude(failed_at=None).update(
        failed_at=None, attempts=0, next_at=timezone.now(), lease=None, leased_until=None
    )
