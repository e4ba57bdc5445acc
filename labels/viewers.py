"""Telling the viewers of one day apart without knowing who they are: a hash by a key that is thrown away."""

from __future__ import annotations

import datetime
import hashlib
import hmac
import secrets

from django.utils import timezone

from labels.models import ScanKey
from trace.throttle import network_of

KEEP_DAYS = 2


def viewer(address: str, at: datetime.datetime) -> str:
    """Sixteen digits that are equal for one network on one day and say nothing once the day's key is destroyed; "" for
    no address.
    """
    network = network_of(address)
    if network == "unknown":
        return ""
    return hmac.new(_key(timezone.localdate(at)), network.encode(), hashlib.sha256).hexdigest()[:16]


def _key(day: datetime.date) -> bytes:
    """The key of a day; made by whoever comes first. A destroyed one gives a throw-away key."""
    row, _new = ScanKey.objects.get_or_create(day=day, defaults={"key": secrets.token_bytes(32)})
    return bytes(row.key) if row.key is not None else secrets.token_bytes(32)


def destroy_old_keys(now: datetime.datetime | None = None) -> int:
    """Throw away the keys of days that are over; how many."""
    moment = now or timezone.now()
    last = timezone.localdate(moment) - datetime.timedelta(days=KEEP_DAYS)
    return ScanKey.objects.filter(day__lt=last, key__isnull=False).update(key=None, destroyed_at=moment)
