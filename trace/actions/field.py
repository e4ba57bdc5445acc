"""Phones in the field: registering and revoking them, and recording what they kept while there was no network."""

from __future__ import annotations

import datetime
import json
import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from trace.actions.people import head_role
from trace.actions.steps import Recorded
from trace.actor import Actor
from trace.edits import log_edit
from trace.errors import BrokenGuard, Clash, GuardBroken, NotAllowed, StaleState, TooMany
from trace.models import Device, Event, FieldEntry, Membership, User
from trace.personal import forget, reveal, seal
from trace.text import clean_text

MOST_DEVICES = 20
"""Devices of one person in one organisation that are not revoked; more is a program gone wild."""


@dataclass(frozen=True)
class EntryNote:
    """What the server keeps of an entry beside its event.

    ``fingerprint`` is the SHA-256 of what the person entered; ``entered_at`` is when they pressed save, by the device's
    clock, with the offset in minutes it showed.
    """

    nonce: uuid.UUID
    step: str
    fingerprint: str
    entered_at: datetime.datetime
    tz_offset: int


# --- Devices --------------------------------------------------------------------------------------------------------


@transaction.atomic
def register_device(*, by: Actor, name: str, session_key: str = "", at: datetime.datetime | None = None) -> Device:
    """Write down the phone a person records on. Refuses machines and more than 20 at once (``too_many_devices``)."""
    by.require("operator", "quality")
    if by.user is None:
        raise NotAllowed(_("设备由人登录后登记。"), code="person_required")
    mine = Device.objects.filter(user=by.user, organisation=by.organisation, revoked_at=None)
    if mine.count() >= MOST_DEVICES:
        raise TooMany(_("登记的设备太多，请先在“成员 → 离线设备”里停用不用的。"), code="too_many_devices")
    now = at or timezone.now()
    return Device.objects.create(
        organisation=by.organisation,
        user=by.user,
        name=clean_text(name, 60) or _("手机"),
        session_key=session_key,
        created_at=now,
        seen_at=now,
    )


def note_device_seen(*, device: Device, session_key: str, at: datetime.datetime | None = None) -> None:
    """Remember when and with which session a device was last here, so that revoking it ends that session."""
    Device.objects.filter(pk=device.pk).update(seen_at=at or timezone.now(), session_key=session_key)


@transaction.atomic
def revoke_device(*, device: Device, by: Actor, at: datetime.datetime | None = None) -> Device:
    """Shut a device out: it is signed out at once, and what it still sends is kept for review instead of recorded.

    By the head of the organisation or by the person it belongs to. Refuses a device revoked before (``stale_state``).
    """
    if by.user is None or by.user.pk != device.user_id:
        by.require(head_role(by.organisation))
    if device.organisation_id != by.organisation.pk or by.user is None:
        raise NotAllowed(_("只能停用本单位的设备。"), code="not_own")
    now = at or timezone.now()
    if not Device.objects.filter(pk=device.pk, revoked_at=None).update(revoked_at=now, revoked_by=by.user):
        raise StaleState(_("这台设备已经停用。"))
    log_edit(
        row=device,
        organisation=device.organisation,
        field="revoked_at",
        old=None,
        new=now.isoformat(),
        by=by.user,
        at=at,
    )
    if device.session_key:
        import_module(settings.SESSION_ENGINE).SessionStore(device.session_key).delete()
    device.revoked_at, device.revoked_by = now, by.user
    return device


# --- Entries --------------------------------------------------------------------------------------------------------


@transaction.atomic
def record_field_entry(
    *,
    note: EntryNote,
    device: Device,
    by: Actor,
    work: Callable[[], Recorded],
    seen: Collection[str] = (),
    at: datetime.datetime | None = None,
) -> FieldEntry:
    """Record an entry once: ``work`` writes the event, and the nonce commits with it or neither does.

    What arrives from the field already happened, so ``work`` records it as a report (architecture.md, rule 1). A
    contradiction that the person has not ``seen`` is shown first (``GuardBroken``) and nothing is kept. Refuses what
    ``work`` refuses. A nonce recorded meanwhile by a repeat of the request breaks a unique constraint: the caller reads
    the entry then.
    """
    recorded = work()
    check_seen(recorded.event, seen)
    return FieldEntry.objects.create(
        **_facts(note, device, by),
        status=FieldEntry.Status.RECORDED,
        event=recorded.event,
        received_at=at or timezone.now(),
    )


def check_seen(event: Event, seen: Collection[str]) -> None:
    """Refuse (``GuardBroken``) an event flagged with a guard, more than a warning, that the person was not shown."""
    if {str(flag["code"]) for flag in event.flags if not flag.get("warns")} - set(seen):
        broken = [
            BrokenGuard(str(flag["code"]), str(flag["detail"]), warns=bool(flag.get("warns"))) for flag in event.flags
        ]
        raise GuardBroken(" ".join(guard.message for guard in broken), broken)


def _facts(note: EntryNote, device: Device, by: Actor | None) -> dict[str, Any]:
    """The columns that say whose entry it is and which."""
    return {
        "user": device.user,
        "nonce": note.nonce,
        "device": device,
        "organisation": device.organisation,
        "on_behalf_of": by.on_behalf_of if by is not None else None,
        "step": note.step,
        "fingerprint": note.fingerprint,
        "entered_at": note.entered_at,
        "tz_offset": note.tz_offset,
    }


@transaction.atomic
def keep_for_review(
    *,
    note: EntryNote,
    device: Device,
    code: str,
    content: Mapping[str, Any],
    by: Actor | None = None,
    at: datetime.datetime | None = None,
) -> FieldEntry:
    """Keep an entry of a revoked device or of somebody who may no longer record: it may be true, but who says so is
    not believed any more.

    The content is sealed; the head of the organisation reads and decides.
    """
    kept = seal(json.dumps(content, ensure_ascii=False), organisation=device.organisation, purpose="field_entry")
    return FieldEntry.objects.create(
        **_facts(note, device, by),
        status=FieldEntry.Status.REVIEW,
        code=code,
        kept=kept,
        received_at=at or timezone.now(),
    )


def content_of(entry: FieldEntry) -> dict[str, Any]:
    """What was entered in an entry kept for review; empty where it was deleted."""
    text = reveal(entry.kept)
    found: dict[str, Any] = json.loads(text) if text else {}
    return found


@transaction.atomic
def accept_kept_entry(
    *,
    entry: FieldEntry,
    by: Actor,
    work: Callable[[], Recorded],
    seen: Collection[str] = (),
    at: datetime.datetime | None = None,
) -> FieldEntry:
    """Record an entry kept for review, in the name of the head who answers for it. Refuses a second decision."""
    _require_reviewer(entry, by)
    event = work().event
    check_seen(event, seen)
    moved = FieldEntry.objects.filter(pk=entry.pk, status=FieldEntry.Status.REVIEW).update(
        status=FieldEntry.Status.RECORDED, event=event, decided_by=by.user, decided_at=at or timezone.now()
    )
    if not moved:
        raise _decided()
    if entry.kept is not None:
        forget(entry.kept, at=at)
    entry.refresh_from_db()
    return entry


@transaction.atomic
def dismiss_kept_entry(*, entry: FieldEntry, by: Actor, at: datetime.datetime | None = None) -> FieldEntry:
    """Say that an entry kept for review is not recorded; its content stays sealed. Refuses a second decision."""
    _require_reviewer(entry, by)
    moved = FieldEntry.objects.filter(pk=entry.pk, status=FieldEntry.Status.REVIEW).update(
        status=FieldEntry.Status.DISMISSED, decided_by=by.user, decided_at=at or timezone.now()
    )
    if not moved:
        raise _decided()
    entry.refresh_from_db()
    return entry


def _require_reviewer(entry: FieldEntry, by: Actor) -> None:
    """Deciding is for the head of the organisation whose entry it is."""
    by.require(head_role(by.organisation))
    if entry.organisation_id != by.organisation.pk:
        raise NotAllowed(_("只能处理本单位的记录。"), code="not_own")


def _decided() -> Clash:
    return StaleState(_("这条记录已经处理过。"))


def open_membership(user: User, device: Device) -> Membership | None:
    """The membership by which a person may still record for the device's organisation, or None when it ended."""
    rows = Membership.objects.filter(user=user, organisation=device.organisation, ended_at=None)
    return rows.select_related("organisation__division", "user").first()
