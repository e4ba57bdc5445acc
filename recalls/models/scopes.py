"""What a campaign covers: numbered, frozen versions of lots with their reasons, and who holds them."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from recalls.models.campaigns import Campaign
from trace.identifiers import uuid7


class ScopeVersion(models.Model):
    """One version of a campaign's scope (召回范围), as calculated and frozen. Append-only: a change is a new version.

    ``question`` is what was asked of the genealogy (lots named, sources suspected, lots left out and why), so that it
    can be asked again; ``sha256`` is the hash of the canonical answer. ``hold`` blocks the version's lots once it is
    active. ``trace_ms`` is how long the answer took.
    """

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    campaign = models.ForeignKey(Campaign, on_delete=models.PROTECT, related_name="scopes")
    number = models.PositiveIntegerField()
    question = models.JSONField(default=dict)
    reason = models.CharField(max_length=500, blank=True)
    evidence = models.CharField(max_length=500, blank=True)
    sha256 = models.CharField(max_length=64)
    lot_count = models.PositiveIntegerField()
    holder_count = models.PositiveIntegerField()
    trace_ms = models.PositiveIntegerField(default=0)
    hold = models.ForeignKey("trace.HoldSet", on_delete=models.PROTECT, related_name="+")
    calculated_at = models.DateTimeField(default=timezone.now)
    by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")
    by_organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="+")

    append_only = True

    class Meta:
        verbose_name = _("召回范围")
        verbose_name_plural = _("召回范围")
        ordering = ["number"]
        constraints = [models.UniqueConstraint(fields=["campaign", "number"], name="one_scope_number")]

    def __str__(self) -> str:
        return f"{self.campaign_id}: {self.number}"


class ScopeLot(models.Model):
    """One lot of one scope version: the shell it lies in, why, by which path, and its amounts then. Append-only.

    ``note`` names the equipment or container it shared, where that is why. ``part`` is empty where the whole lot is
    covered; else it says which part (``kind``, ``words``), as which unit numbers (``ranges``), why the rest is not
    affected (``reason``) and how much that is (``rest_micros``); the amounts are then those of the part. Where only
    what passed through one organisation is covered (``kind`` through), ``through`` is its outside name, ``ranges`` its
    units if codes tell all of them (``apart``), and ``loose`` from whom uncoded goods may have come to it.
    """

    class Shell(models.TextChoices):
        PROVEN = "proven", _("确定")
        POSSIBLE = "possible", _("可能")

    class Why(models.TextChoices):
        NAMED = "named", _("指定的批次")
        DESCENDS = "descends", _("由指定批次制成")
        SOURCE = "source", _("指定批次的来源")
        SAME_RUN = "same_run", _("与指定批次同一次加工")
        SHARES_SOURCE = "shares_source", _("与指定批次有共同来源")
        SAME_LOT = "same_lot", _("与指定批次是供货方的同一批货")
        CLAIMED = "claimed", _("收货方说是这批货，供货方没有确认")
        SAME_GEAR = "same_gear", _("同一设备或同一容器")

    scope = models.ForeignKey(ScopeVersion, on_delete=models.PROTECT, related_name="lots")
    lot = models.ForeignKey("trace.Lot", on_delete=models.PROTECT, related_name="scope_lots")
    shell = models.CharField(_("把握"), max_length=8, choices=Shell)
    why = models.CharField(_("理由"), max_length=14, choices=Why)
    path = models.JSONField(default=list)
    note = models.CharField(max_length=200, blank=True, default="")
    part = models.JSONField(default=dict)
    made_micros = models.BigIntegerField(default=0)
    used_micros = models.BigIntegerField(default=0)
    shipped_micros = models.BigIntegerField(default=0)
    conflicts = models.PositiveIntegerField(default=0)

    append_only = True

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["scope", "lot"], name="one_scope_lot")]
        indexes = [models.Index(fields=["lot", "scope"])]

    def __str__(self) -> str:
        return f"{self.scope_id}: {self.lot_id}"

    @property
    def ranges(self) -> list[list[int]]:
        """The unit numbers covered; empty where the whole lot is."""
        found: list[list[int]] = self.part.get("ranges", [])
        return found

    @property
    def exact(self) -> tuple[tuple[int, int], ...]:
        """The same as pairs."""
        return tuple((first, last) for first, last in self.ranges)

    @property
    def through(self) -> str:
        """The outside name of the organisation whose goods of the lot alone are covered; empty for any other lot."""
        found: str = self.part.get("through", "")
        return found


class ScopeHolding(models.Model):
    """What one organisation had to do with one lot of a scope version, by record. Append-only.

    ``unconfirmed_micros`` was sent to it and never confirmed: it may be there.
    """

    scope = models.ForeignKey(ScopeVersion, on_delete=models.PROTECT, related_name="holdings")
    lot = models.ForeignKey("trace.Lot", on_delete=models.PROTECT, related_name="+")
    organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="scope_holdings")
    received_micros = models.BigIntegerField(default=0)
    shipped_micros = models.BigIntegerField(default=0)
    on_hand_micros = models.BigIntegerField(default=0)
    unconfirmed_micros = models.BigIntegerField(default=0)

    append_only = True

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["scope", "lot", "organisation"], name="one_scope_holding"),
        ]
        indexes = [models.Index(fields=["organisation", "scope"])]

    def __str__(self) -> str:
        return f"{self.scope_id}: {self.lot_id}@{self.organisation_id}"
