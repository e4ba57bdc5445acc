"""How often anything changed that a kept page is made of."""

from __future__ import annotations

from django.db import models


class Freshness(models.Model):
    """One slot of the counter of changes to what scanned pages show; the sum over all slots is the counter.

    Triggers add to it (``labels.freshness``), so a change counts however it is made and in the moment it is committed.
    PostgreSQL's writers take any slot nobody holds and make one where none is free, so that nobody waits; SQLite has
    one writer and one slot.
    """

    n = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.pk}: {self.n}"
