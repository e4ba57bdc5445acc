"""What was scanned and what scanners told us. Nobody's address, position or device is kept."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from recalls.models import ConsumerCase


class Scan(models.Model):
    """One counted view of one code's page. Append-only.

    ``nonce`` is the random part of the signed word the page carried; it is unique, so a view is counted once however
    often the browser sends it back. ``place`` is a coarse name from a table the operator installed, else empty
    (地点未知).
    """

    class Means(models.TextChoices):
        BEACON = "beacon", _("页面自动登记")
        BUTTON = "button", _("用户点按登记")

    lot = models.ForeignKey("trace.Lot", on_delete=models.PROTECT, related_name="scans")
    unit = models.ForeignKey("trace.Unit", null=True, on_delete=models.PROTECT, related_name="scans")
    nonce = models.CharField(max_length=32, unique=True)
    means = models.CharField(max_length=6, choices=Means)
    place = models.CharField(max_length=60, blank=True)
    at = models.DateTimeField(default=timezone.now)

    append_only = True

    class Meta:
        verbose_name = _("查询记录")
        verbose_name_plural = _("查询记录")
        indexes = [models.Index(fields=["unit", "at"]), models.Index(fields=["lot", "at"])]

    def __str__(self) -> str:
        return f"{self.lot_id}/{self.unit_id} {self.at:%Y-%m-%d %H:%M}"


class ScanTally(models.Model):
    """How often one code was scanned and when first; derived from ``Scan`` rows and written with them.

    It is there because a code that goes viral would otherwise be counted row by row on every view.
    """

    lot = models.ForeignKey("trace.Lot", on_delete=models.PROTECT, related_name="scan_tallies")
    unit = models.OneToOneField("trace.Unit", null=True, on_delete=models.PROTECT, related_name="scan_tally")
    count = models.PositiveBigIntegerField(default=0)
    first_at = models.DateTimeField()
    first_place = models.CharField(max_length=60, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["lot"], condition=models.Q(unit__isnull=True), name="one_tally_of_a_lot_code"
            )
        ]

    def __str__(self) -> str:
        return f"{self.lot_id}/{self.unit_id}: {self.count}"


class ScanReport(models.Model):
    """That a person holding the goods reported something from a page of ours. Append-only.

    What was said lies sealed in the case that recalls made of it; ``number`` is the receipt by which the reporter reads
    the reply, ``signal`` the cluster it belongs to. ``nonce`` makes a doubled submit one report.
    """

    What = ConsumerCase.What

    nonce = models.CharField(max_length=32, unique=True)
    lot = models.ForeignKey("trace.Lot", null=True, on_delete=models.PROTECT, related_name="scan_reports")
    unit = models.ForeignKey("trace.Unit", null=True, on_delete=models.PROTECT, related_name="scan_reports")
    what = models.CharField(_("哪里不符"), max_length=10, choices=What)
    number = models.CharField(_("回执号"), max_length=24)
    signal = models.UUIDField()
    at = models.DateTimeField(default=timezone.now)

    append_only = True

    class Meta:
        verbose_name = _("消费者反映")
        verbose_name_plural = _("消费者反映")
        indexes = [models.Index(fields=["lot", "-id"])]

    def __str__(self) -> str:
        return self.number
