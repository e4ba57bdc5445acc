"""How long an answer may take and how long personal data is kept: the installation's own aims, with their history."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from django.utils.translation import gettext as _

from recalls.models import ServiceTarget

Key = ServiceTarget.Key
DEFAULTS = {Key.COMPLAINT: 168, Key.HARM: 24, Key.CLAIM: 168, Key.KEEP_CONTACT: 720, Key.KEEP_WAITING: 48}
"""Hours where nobody has set anything. Aims chosen by this project, not taken from a law."""


@dataclass(frozen=True)
class Target:
    """One aim in force: since when and by whom, or the default (``row`` None)."""

    key: str
    hours: int
    row: ServiceTarget | None = None

    @property
    def span(self) -> datetime.timedelta:
        """The time as a span."""
        return datetime.timedelta(hours=self.hours)

    @property
    def words(self) -> str:
        """The time for people: whole days where it is."""
        if self.hours % 24 == 0:
            return _("%(n)d 天") % {"n": self.hours // 24}
        return _("%(n)d 小时") % {"n": self.hours}

    def snapshot(self) -> dict[str, int | str]:
        """What is kept beside a deadline computed by it."""
        return {"key": self.key, "hours": self.hours, "set": self.row.at.isoformat() if self.row else ""}


def targets() -> dict[str, Target]:
    """All aims in force, by key; one query."""
    found = {key.value: Target(key.value, hours) for key, hours in DEFAULTS.items()}
    for row in ServiceTarget.objects.select_related("by", "by_organisation").order_by("id"):
        found[row.key] = Target(row.key, row.hours, row)
    return found


def target(key: str) -> Target:
    """One aim in force."""
    row = ServiceTarget.objects.filter(key=key).order_by("-id").first()
    return Target(key, row.hours if row else DEFAULTS[Key(key)], row)
