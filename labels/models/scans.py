"""What was scanned and what scanners told us. Nobody's address, position or device is kept."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from recalls.models import ConsumerCase
from trace.identifiers import uuid7


class Scan(models.Model):
    """One counted view of one code's page. Append-only.

    ``nonce`` is the random part of the signed word the page carried; it is unique, so a view is counted once however
    often the browser sends it back. ``place`` is a coarse name from a table the operator installed, else empty
    (地点未知); ``region`` its division code (province or city) where the table has one. ``who`` tells two viewers of
    one day apart: a hash of the network by a key destroyed after two days (``ScanKey``), which names nobody then.
    """

    class Means(models.TextChoices):
        BEACON = "beacon", _("页面自动登记")
        BUTTON = "button", _("用户点按登记")

    lot = models.ForeignKey("trace.Lot", on_delete=models.PROTECT, related_name="scans")
    unit = models.ForeignKey("trace.Unit", null=True, on_delete=models.PROTECT, related_name="scans")
    nonce = models.CharField(max_length=32, unique=True)
    means = models.CharField(max_length=6, choices=Means)
    place = models.CharField(max_length=60, blank=True)
    region = models.CharField(max_length=6, blank=True, default="")
    who = models.CharField(max_length=16, blank=True, default="")
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


class ScanKey(models.Model):
    """The random key of one day by which viewers of that day are told apart. Destroyed after two days."""

    day = models.DateField(unique=True)
    key = models.BinaryField(null=True)
    destroyed_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.day.isoformat()


class ScanMark(models.Model):
    """How far scans have been examined: the number of the last one. One row."""

    name = models.CharField(max_length=20, unique=True)
    after = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.name}: {self.after}"


class ScanRule(models.TextChoices):
    """What makes a code suspicious."""

    PLACES = "places", _("短时间内在多地查询")
    PEOPLE = "people", _("短时间内很多人查询")
    VOLUME = "volume", _("查询次数远多于生产件数")
    BEFORE_SALE = "before_sale", _("发货之前已有查询")
    AFTER_END = "after_end", _("作废或销毁之后仍有查询")
    ELSEWHERE = "elsewhere", _("在销售地区之外查询")
    SERIES = "series", _("连续试探没有签发过的码")


class ScanThreshold(models.Model):
    """From when on a rule speaks, as somebody set it and why. Append-only: the last row of a rule is in force.

    ``organisation`` null: for the whole installation. ``value`` 0 turns the rule off. ``hours`` is the window of rules
    that have one.
    """

    organisation = models.ForeignKey("trace.Organisation", null=True, on_delete=models.PROTECT, related_name="+")
    rule = models.CharField(_("规则"), max_length=12, choices=ScanRule)
    value = models.PositiveIntegerField(_("数值"))
    hours = models.PositiveIntegerField(_("小时"), default=24)
    reason = models.CharField(_("理由"), max_length=300)
    by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")
    by_organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    append_only = True

    class Meta:
        verbose_name = _("查询预警规则")
        verbose_name_plural = _("查询预警规则")
        indexes = [models.Index(fields=["organisation", "rule", "-id"])]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(hours__gte=1, hours__lte=8760, value__lte=1_000_000), name="threshold_makes_sense"
            )
        ]

    def __str__(self) -> str:
        return f"{self.rule}: {self.value}"


class ScanSuspicion(models.Model):
    """What the rules found about one code (or, without lot, about codes never issued). A hint, not a verdict.

    Only a person turns it into 疑似复制 on the scanned page (``CodeException``). ``facts`` are the numbers and places
    that made the rule speak, rewritten while the suspicion is open.
    """

    class Status(models.TextChoices):
        OPEN = "open", _("待核实")
        CONFIRMED = "confirmed", _("确认疑似复制")
        DISMISSED = "dismissed", _("查明无碍")

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    organisation = models.ForeignKey(
        "trace.Organisation", null=True, on_delete=models.PROTECT, related_name="scan_suspicions"
    )
    lot = models.ForeignKey("trace.Lot", null=True, on_delete=models.PROTECT, related_name="scan_suspicions")
    unit = models.ForeignKey("trace.Unit", null=True, on_delete=models.PROTECT, related_name="scan_suspicions")
    rule = models.CharField(_("规则"), max_length=12, choices=ScanRule)
    facts = models.JSONField(default=dict)
    status = models.CharField(_("状态"), max_length=10, choices=Status, default=Status.OPEN)
    first_at = models.DateTimeField(default=timezone.now)
    last_at = models.DateTimeField(default=timezone.now)
    decided_by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")
    decided_by_organisation = models.ForeignKey(
        "trace.Organisation", null=True, on_delete=models.PROTECT, related_name="+"
    )
    decided_at = models.DateTimeField(null=True)
    reason = models.CharField(_("理由"), max_length=300, blank=True)

    class Meta:
        verbose_name = _("可疑查询")
        verbose_name_plural = _("可疑查询")
        ordering = ["-last_at", "-id"]
        indexes = [models.Index(fields=["organisation", "status", "-last_at"])]
        constraints = [
            models.UniqueConstraint(
                fields=["unit", "rule"],
                condition=models.Q(status="open", unit__isnull=False),
                name="one_open_suspicion_of_a_unit",
            ),
            models.UniqueConstraint(
                fields=["lot", "rule"],
                condition=models.Q(status="open", unit__isnull=True, lot__isnull=False),
                name="one_open_suspicion_of_a_lot",
            ),
            models.CheckConstraint(
                condition=models.Q(status="open", decided_at__isnull=True)
                | (~models.Q(status="open") & models.Q(decided_at__isnull=False) & ~models.Q(reason="")),
                name="suspicion_decided_with_reason",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.rule} {self.uid}"
