"""Repeated requests made safe: claim a client's key, keep the answer, take over what a crash left behind."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from trace.errors import Clash, Invalid, StaleState
from trace.models import ApiKey, IdempotencyRecord, Organisation

IN_FLIGHT = datetime.timedelta(minutes=2)
"""How long a claim without an answer keeps others out; longer than any request lives."""

KEPT = datetime.timedelta(days=30)
"""How long an answer is replayed."""

_USED_AGAIN = datetime.timedelta(minutes=1)


@dataclass(frozen=True)
class Claim:
    """One request's hold on its key. ``answered`` is the record to replay; None where the work is still to be done.

    ``started_at`` fences: if somebody took the key over meanwhile, finishing fails and the effect is rolled back.
    """

    record: IdempotencyRecord
    started_at: datetime.datetime
    answered: bool


def claim_request(
    *, organisation: Organisation, caller: str, key: str, request_hash: str, at: datetime.datetime | None = None
) -> Claim:
    """Claim a key for one request, committed at once so that others see it while the work is under way.

    Refuses another request under the same key (``idempotency_key_reused``, 422) and one whose work is under way
    (``idempotency_in_flight``, 409). A claim older than ``IN_FLIGHT`` without an answer was left by a crash and is
    taken over by a conditional update, so that only one of several repeats goes on.
    """
    now = at or timezone.now()
    record, created = IdempotencyRecord.objects.get_or_create(
        organisation=organisation,
        caller=caller,
        key=key,
        defaults={"request_hash": request_hash, "started_at": now},
    )
    if created:
        return Claim(record, record.started_at, answered=False)
    if record.request_hash != request_hash:
        raise Invalid(_("这个幂等键已经用在另一个请求上。新的请求请用新的键。"), code="idempotency_key_reused")
    if record.finished_at is not None:
        return Claim(record, record.started_at, answered=True)
    if now - record.started_at >= IN_FLIGHT and _take_over(record, now):
        return Claim(record, now, answered=False)
    raise Clash(_("同一个请求正在办理，请稍候用同一个键再问一次。"), code="idempotency_in_flight")


def _take_over(record: IdempotencyRecord, now: datetime.datetime) -> bool:
    """Make a crashed request's claim ours; false where another repeat was first."""
    unfinished = IdempotencyRecord.objects.filter(pk=record.pk, started_at=record.started_at, finished_at=None)
    return unfinished.update(started_at=now) == 1


def finish_request(
    *, claim: Claim, status: int, body: str, content_type: str, at: datetime.datetime | None = None
) -> None:
    """Keep the answer, in the same transaction as the effect. Refuses (``stale_state``) a claim that was taken over."""
    ours = IdempotencyRecord.objects.filter(pk=claim.record.pk, started_at=claim.started_at, finished_at=None)
    kept = ours.update(status=status, body=body, content_type=content_type, finished_at=at or timezone.now())
    if not kept:
        raise StaleState(_("这个请求用时太长，已由重发的请求接手。请用同一个键再问一次。"))


def abandon_request(*, claim: Claim) -> None:
    """Give up a claim whose work was rolled back, so that a repeat need not wait."""
    IdempotencyRecord.objects.filter(pk=claim.record.pk, started_at=claim.started_at, finished_at=None).delete()


@transaction.atomic
def forget_requests(*, at: datetime.datetime | None = None) -> int:
    """Delete answers older than ``KEPT`` (they may hold names) and return how many; run daily."""
    before = (at or timezone.now()) - KEPT
    return IdempotencyRecord.objects.filter(started_at__lt=before).delete()[0]


def note_key_used(*, key: ApiKey, at: datetime.datetime | None = None) -> None:
    """Remember that a key was used, at most once a minute: a write per request would queue all readers behind
    writers.
    """
    now = at or timezone.now()
    if key.last_used_at is not None and now - key.last_used_at < _USED_AGAIN:
        return
    ApiKey.objects.filter(pk=key.pk).filter(Q(last_used_at=None) | Q(last_used_at__lt=now - _USED_AGAIN)).update(
        last_used_at=now
    )
