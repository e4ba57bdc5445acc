"""What may not move: holds as sets whose members are written before the set is made active."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from trace.identifiers import uuid7


class HoldSet(models.Model):
    """A reason why goods may not be used, shipped, sold or labelled. Members lie in ``HoldMember``.

    Activating is one row's change, so 100,000 lots are blocked at one instant. Blocked = any active set contains the
    lot. Ending one set never lifts another. ``source`` is an opaque URI of what stands behind it (a campaign); trace
    does not know campaigns.
    """

    class Kind(models.TextChoices):
        HOLD = "hold", _("封存调查")
        STOP_SALE = "stop_sale", _("停止销售")
        RECALL = "recall", pgettext_lazy("kind", "召回")

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="holds")
    kind = models.CharField(max_length=10, choices=Kind)
    reason = models.CharField(_("原因"), max_length=300)
    legal_basis = models.CharField(_("依据"), max_length=120, blank=True)
    source = models.CharField(max_length=120, blank=True, db_index=True)
    created_at = models.DateTimeField(default=timezone.now)
    active_from = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("封存")
        verbose_name_plural = _("封存")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(ended_at__isnull=True) | models.Q(active_from__isnull=False),
                name="hold_ends_after_start",
            )
        ]
        indexes = [models.Index(fields=["organisation", "-id"])]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.uid}"

    @property
    def is_active(self) -> bool:
        """Whether it blocks now."""
        return self.active_from is not None and self.ended_at is None


class HoldMember(models.Model):
    """One lot in a hold, whole or in part: only these units' numbers, only what one holder has, or only these units at
    one holder.

    ``keep_micros`` says that the holder must keep so much of the lot and may move the rest: goods that came back to
    their maker and lie apart from the rest of its stock. What it takes back while the hold is active is kept as well,
    less what it destroys (``trace.guards.blocking``).
    """

    hold = models.ForeignKey(HoldSet, on_delete=models.PROTECT, related_name="members")
    lot = models.ForeignKey("trace.Lot", on_delete=models.PROTECT, related_name="hold_members")
    holder = models.ForeignKey("trace.Organisation", null=True, on_delete=models.PROTECT, related_name="+")
    unit_from = models.PositiveIntegerField(null=True)
    unit_to = models.PositiveIntegerField(null=True)
    keep_micros = models.BigIntegerField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["hold", "lot"],
                condition=models.Q(holder__isnull=True, unit_from__isnull=True),
                name="one_whole_lot_member",
            ),
            models.UniqueConstraint(
                fields=["hold", "lot", "holder"],
                condition=models.Q(holder__isnull=False, unit_from__isnull=True),
                name="one_holder_member",
            ),
            models.UniqueConstraint(
                fields=["hold", "lot", "unit_from"],
                condition=models.Q(unit_from__isnull=False, holder__isnull=True),
                name="one_range_member",
            ),
            models.UniqueConstraint(
                fields=["hold", "lot", "holder", "unit_from"],
                condition=models.Q(unit_from__isnull=False, holder__isnull=False),
                name="one_holder_range_member",
            ),
            models.CheckConstraint(
                condition=models.Q(unit_from__isnull=True, unit_to__isnull=True)
                | models.Q(unit_from__isnull=False, unit_to__gte=models.F("unit_from")),
                name="unit_range_is_whole",
            ),
        ]
        indexes = [models.Index(fields=["lot", "hold"])]

    def __str__(self) -> str:
        return f"{self.hold_id}: {self.lot_id}"


class HoldStep(models.Model):
    """One step of a hold: prepared, activated, ended. Append-only."""

    hold = models.ForeignKey(HoldSet, on_delete=models.PROTECT, related_name="steps")
    step = models.CharField(max_length=12)
    by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")
    by_organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="+")
    reason = models.CharField(max_length=300, blank=True)
    at = models.DateTimeField(default=timezone.now)

    append_only = True

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.hold_id}: {self.step}"


class HoldRelease(models.Model):
    """Some of a held lot that one holder may move all the same, although the hold stays (更正后放行). Append-only.

    ``micros`` is how much, counted from ``at``; ``unit_from`` to ``unit_to`` are the numbers of the units meant, where
    units can be told apart. Opaque to trace: whoever set the hold decides, and what was put right is in ``words``.
    """

    hold = models.ForeignKey(HoldSet, on_delete=models.PROTECT, related_name="releases")
    lot = models.ForeignKey("trace.Lot", on_delete=models.PROTECT, related_name="hold_releases")
    holder = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="+")
    micros = models.BigIntegerField()
    unit_from = models.PositiveIntegerField(null=True)
    unit_to = models.PositiveIntegerField(null=True)
    words = models.CharField(max_length=300)
    by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")
    by_organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    append_only = True

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["lot", "holder"])]
        constraints = [models.CheckConstraint(condition=models.Q(micros__gt=0), name="hold_release_is_something")]

    def __str__(self) -> str:
        return f"{self.hold_id}: {self.lot_id} {self.micros}"
