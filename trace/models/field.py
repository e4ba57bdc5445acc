"""Phones in the field: devices that keep entries while there is no network, and what became of each entry."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from trace.identifiers import uuid7


class Device(models.Model):
    """One phone or tablet on which one person records for one organisation. Never deleted: it is revoked.

    ``session_key`` is the session it was last seen with, so that revoking a lost phone signs it out at once.
    """

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="devices")
    user = models.ForeignKey("trace.User", on_delete=models.PROTECT, related_name="devices")
    name = models.CharField(_("设备"), max_length=60)
    session_key = models.CharField(max_length=40, blank=True)
    created_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    revoked_by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        verbose_name = _("设备")
        verbose_name_plural = _("设备")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(revoked_at__isnull=True, revoked_by__isnull=True)
                | models.Q(revoked_at__isnull=False, revoked_by__isnull=False),
                name="device_revoked_by_somebody",
            )
        ]

    def __str__(self) -> str:
        return self.name


class FieldEntry(models.Model):
    """One entry of a device's queue that the server has answered for good, known by the nonce the device gave it.

    ``recorded``: it became ``event``. ``review``: refused (``code``) and kept sealed in ``kept`` for the organisation's
    head, who records or dismisses it. What the person at the device can still mend leaves no row.
    """

    class Status(models.TextChoices):
        RECORDED = "recorded", _("已记录")
        REVIEW = "review", _("待审")
        DISMISSED = "dismissed", _("不予记录")

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    user = models.ForeignKey("trace.User", on_delete=models.PROTECT, related_name="field_entries")
    nonce = models.UUIDField()
    device = models.ForeignKey(Device, on_delete=models.PROTECT, related_name="entries")
    organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="field_entries")
    on_behalf_of = models.ForeignKey("trace.Organisation", null=True, on_delete=models.PROTECT, related_name="+")
    step = models.CharField(max_length=60)
    fingerprint = models.CharField(max_length=64)
    status = models.CharField(max_length=10, choices=Status)
    event = models.ForeignKey("trace.Event", null=True, on_delete=models.PROTECT, related_name="field_entries")
    code = models.CharField(max_length=40, blank=True)
    kept = models.ForeignKey("trace.PersonalRecord", null=True, on_delete=models.PROTECT, related_name="+")
    entered_at = models.DateTimeField()
    tz_offset = models.SmallIntegerField()
    received_at = models.DateTimeField()
    decided_by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")
    decided_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("现场记录")
        verbose_name_plural = _("现场记录")
        indexes = [models.Index(fields=["organisation", "status", "-id"], name="field_entries_by_status")]
        constraints = [
            models.UniqueConstraint(fields=["user", "nonce"], name="one_entry_per_nonce"),
            models.CheckConstraint(
                condition=models.Q(status="recorded", event__isnull=False)
                | (~models.Q(status="recorded") & models.Q(event__isnull=True)),
                name="recorded_entry_has_event",
            ),
        ]

    def __str__(self) -> str:
        return str(self.nonce)
