"""The log of changed master data: one row per field, in the words of before and after."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from django.db import models
from django.utils import timezone

from trace.models import EditLog, Organisation, User
from trace.personal import seal


def subject_of(row: models.Model) -> str:
    """The name of a row in the log: its kind and its UUID, for example ``place:0190…``."""
    return f"{row._meta.model_name}:{getattr(row, 'uid')}"  # noqa: B009  (every logged model has a uid; Model has none)


def log_edit(
    *,
    row: models.Model,
    organisation: Organisation,
    field: str,
    old: Any,
    new: Any,
    by: User | None,
    public: bool = False,
    at: datetime.datetime | None = None,
) -> EditLog:
    """Write one line of the log. ``old`` and ``new`` are JSON-ready and must not name a person (see
    ``log_personal``).
    """
    return EditLog.objects.create(
        organisation=organisation,
        subject=subject_of(row),
        field=field,
        old=old,
        new=new,
        by=by,
        public=public,
        at=at or timezone.now(),
    )


def log_personal(
    *,
    row: models.Model,
    organisation: Organisation,
    field: str,
    old: str,
    new: str,
    by: User | None,
    at: datetime.datetime | None = None,
) -> EditLog:
    """The same for personal data: the log refers to sealed records, so that forgetting stays possible."""
    sealed = [
        {"personal": str(seal(text, organisation=organisation, purpose="edit").uid)} if text else None
        for text in (old, new)
    ]
    return log_edit(row=row, organisation=organisation, field=field, old=sealed[0], new=sealed[1], by=by, at=at)


def log_changes(
    *,
    row: models.Model,
    organisation: Organisation,
    changes: Mapping[str, Any],
    by: User | None,
    public: frozenset[str] = frozenset(),
    at: datetime.datetime | None = None,
) -> list[str]:
    """Set the changed fields of ``row``, save them and log each; returns the names of what really changed."""
    changed = [name for name, new in changes.items() if getattr(row, name) != new]
    for name in changed:
        old, new = getattr(row, name), changes[name]
        log_edit(
            row=row,
            organisation=organisation,
            field=name,
            old=_plain(old),
            new=_plain(new),
            by=by,
            public=name in public,
            at=at,
        )
        setattr(row, name, new)
    if changed:
        row.save(update_fields=changed)
    return changed


def _plain(value: Any) -> Any:
    """A value as JSON keeps it."""
    if isinstance(value, models.Model):
        return str(value.pk)
    if isinstance(value, datetime.date | datetime.datetime):
        return value.isoformat()
    return value
