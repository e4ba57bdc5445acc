"""How often one address may ask for what does not exist, and how often it may write to us without an account.

Counts lie in Django's cache: a GET must not write to the database. The default cache belongs to one process, so with
n server processes the limit is up to n times as high; installations that want it exact configure a shared cache. The
limit protects the machine, not the codes: with 60 random bits, a billion issued codes and a thousand guesses a
second, a hit takes about 13 days, and what it would show is public anyway. Codes that exist are never refused: a
recall must not hide behind somebody else's traffic.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress

from django.conf import settings
from django.core.cache import cache

UNKNOWN_CODES = (30, 60)
"""Unknown codes one address may look up: so many in so many seconds."""
REPORTS = (10, 600)
"""Reports one address may send: so many in so many seconds."""


def spend(bucket: str, address: str, limit: tuple[int, int]) -> bool:
    """Take one from the allowance of an address; False when it is used up. The window is fixed, from the first
    request on.
    """
    most, seconds = limit
    key = f"labels:{bucket}:{_who(address)}"
    if cache.add(key, 1, timeout=seconds):
        return True
    try:
        return cache.incr(key) <= most
    except ValueError:  # it ran out between the two calls
        cache.add(key, 1, timeout=seconds)
        return True


def _who(address: str) -> str:
    """A keyed hash of an address, so that the cache holds none; an IPv6 client owns a /64 and is counted as one."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        network = "unknown"
    else:
        network = str(parsed if parsed.version == 4 else ipaddress.ip_network((parsed, 64), strict=False))
    return hmac.new(settings.SECRET_KEY.encode(), network.encode(), hashlib.sha256).hexdigest()[:32]
