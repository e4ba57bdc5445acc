"""Signed words of the public's pages: a form's own word, and links that only the holder of an address was sent.

The public pages set no cookie. A form carries a word that we signed for this form today; whoever sends it back was
given the page by us. That stands in for Django's CSRF cookie there, and its random part makes a doubled submit one.
"""

from __future__ import annotations

import secrets
import uuid
from datetime import timedelta

from django.core import signing
from django.utils.translation import gettext as _

from trace.errors import Invalid, NotFound

MAX_AGE = timedelta(hours=24)
_FORM = "recalls.public.form"
_LINK = signing.Signer(salt="recalls.subscription", sep="~")


def form_word(purpose: str) -> str:
    """A fresh word for one form (``purpose`` says which and for what)."""
    return signing.TimestampSigner(salt=_FORM).sign(f"{secrets.token_urlsafe(16)}.{purpose}")


def read_form_word(word: str, purpose: str) -> str:
    """The random part. Refuses words not ours or for another form (``page_word_bad``), old ones (``page_word_old``)."""
    try:
        value = signing.TimestampSigner(salt=_FORM).unsign(word[:300], max_age=MAX_AGE)
    except signing.SignatureExpired:
        raise Invalid(_("页面打开太久，请刷新后再填一次。"), code="page_word_old") from None
    except (signing.BadSignature, UnicodeError):
        value = ""
    nonce, _dot, said = value.partition(".")
    if not nonce or said != purpose:
        raise Invalid(_("页面信息不完整，请刷新后再填一次。"), code="page_word_bad")
    return nonce


def subscription_token(uid: uuid.UUID) -> str:
    """What the links in a subscriber's messages carry."""
    return _LINK.sign(uid.hex)


def read_subscription_token(token: str) -> uuid.UUID:
    """The subscription a link names. NotFound for a forged one."""
    try:
        return uuid.UUID(_LINK.unsign(token[:200]))
    except (signing.BadSignature, ValueError, UnicodeError):
        raise NotFound(_("这个链接无效，请从我们发给您的消息里打开。")) from None
