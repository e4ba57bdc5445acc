"""The signed word a scanned page carries, by which one view is counted once and one report taken once.

It holds a random nonce and the code the page was about, signed with the installation's key and stamped with the time.
Who sends it back has therefore been given this page by us, for this code, today: that is what a cross-site request
cannot fake without fetching the page itself, and why the two views that take it are exempt from Django's CSRF cookie,
which these pages never set.
"""

from __future__ import annotations

import functools
import secrets
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.core import signing
from django.utils.translation import gettext as _

from trace.errors import Invalid

MAX_AGE = timedelta(hours=24)
"""A page left open longer is read again before it counts."""
_SALT = "labels.page"


@dataclass(frozen=True)
class Nonce:
    """What a signed word says: the nonce (unique) and the code of the page, "" where no code was found."""

    nonce: str
    code: str


def sign(code: str) -> str:
    """A fresh signed word for a page about this code."""
    return _signer(settings.SECRET_KEY).sign(f"{secrets.token_urlsafe(16)}.{code}")


@functools.lru_cache(maxsize=4)
def _signer(key: str) -> signing.TimestampSigner:
    """The signer of a key."""
    return signing.TimestampSigner(key=key, salt=_SALT)


def read(word: str) -> Nonce:
    """What the word says. Refuses words we did not sign (``page_word_bad``) and old ones (``page_word_old``)."""
    try:
        value = signing.TimestampSigner(salt=_SALT).unsign(word[:300], max_age=MAX_AGE)
    except signing.SignatureExpired:
        raise Invalid(_("页面打开太久，请重新扫码或刷新页面。"), code="page_word_old") from None
    except (signing.BadSignature, UnicodeError):
        raise Invalid(_("页面信息不完整，请重新扫码或刷新页面。"), code="page_word_bad") from None
    nonce, _dot, code = value.partition(".")
    return Nonce(nonce, code)
