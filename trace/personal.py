"""Words that may name a person, kept so that they can be forgotten (architecture.md, rule 10).

Each record is encrypted with a key of its own; the key is kept wrapped by the installation's key. Destroying the
record's key makes the words unreadable everywhere, also in backups made afterwards of append-only rows that refer to
it.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import logging

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _

from trace.models import Organisation, PersonalRecord

log = logging.getLogger(__name__)


def _installation() -> Fernet:
    """The cipher that wraps record keys, from ``PERSONAL_DATA_KEY`` (or the secret key where that is not set)."""
    secret = getattr(settings, "PERSONAL_DATA_KEY", "") or settings.SECRET_KEY
    return Fernet(base64.urlsafe_b64encode(hashlib.sha256(f"personal:{secret}".encode()).digest()))


def seal(text: str, *, organisation: Organisation | None, purpose: str) -> PersonalRecord:
    """Store words encrypted; returns the record to refer to."""
    record = sealed(text, organisation=organisation, purpose=purpose)
    record.save(force_insert=True)
    return record


def seal_bytes(data: bytes, *, organisation: Organisation | None, purpose: str) -> PersonalRecord:
    """Store bytes (a photograph that may show a person) encrypted; read again with ``reveal_bytes``."""
    key = Fernet.generate_key()
    return PersonalRecord.objects.create(
        organisation=organisation, purpose=purpose, key=_installation().encrypt(key), secret=Fernet(key).encrypt(data)
    )


def reveal_bytes(record: PersonalRecord | None) -> bytes:
    """The bytes of a record; empty where there is none, its key was destroyed, or the installation's key changed."""
    if record is None or record.key is None:
        return b""
    try:
        return Fernet(_installation().decrypt(bytes(record.key))).decrypt(bytes(record.secret))
    except InvalidToken:
        log.error("personal record %s was sealed with another key: see PERSONAL_DATA_KEY", record.pk)
        return b""


def keyed_hash(text: str, purpose: str) -> str:
    """A hash of words that only this installation can make (32 hex digits): to find equal ones without keeping them."""
    secret = getattr(settings, "PERSONAL_DATA_KEY", "") or settings.SECRET_KEY
    return hmac.new(f"{purpose}:{secret}".encode(), text.encode(), hashlib.sha256).hexdigest()[:32]


def sealed(text: str, *, organisation: Organisation | None, purpose: str) -> PersonalRecord:
    """Words encrypted in a record that is not stored yet."""
    key = Fernet.generate_key()
    return PersonalRecord(
        organisation=organisation,
        purpose=purpose,
        key=_installation().encrypt(key),
        secret=Fernet(key).encrypt(text.encode()),
    )


def reveal(record: PersonalRecord | None) -> str:
    """The words of a record; empty where there is none or its key was destroyed. Where it was sealed with another
    installation key than the present one, a sentence that says so: a page must not fail for a remark.
    """
    if record is None or record.key is None:
        return ""
    try:
        key = _installation().decrypt(bytes(record.key))
        return Fernet(key).decrypt(bytes(record.secret)).decode()
    except InvalidToken:
        log.error("personal record %s was sealed with another key: see PERSONAL_DATA_KEY", record.pk)
        return _("（无法读取：加密密钥已经更换，请与系统管理员联系）")


def forget(record: PersonalRecord, *, at: datetime.datetime | None = None) -> None:
    """Destroy the key of a record. The row stays, since append-only rows refer to it."""
    PersonalRecord.objects.filter(pk=record.pk, key__isnull=False).update(key=None, destroyed_at=at or timezone.now())
