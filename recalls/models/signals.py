"""What somebody noticed: the beginning of every campaign, and of many that never become one."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from trace.identifiers import uuid7


class Signal(models.Model):
    """One hint that something may be wrong (线索): who raised it, about which goods, in which words.

    ``organisation`` is the firm whose goods it concerns; null where the code named was never issued here. Words and
    contact may name a person and are ``PersonalRecord`` rows. ``dedup_key`` makes raising the same thing twice
    harmless: the receipt of the first is given again.
    """

    class Source(models.TextChoices):
        SELF_CHECK = "self_check", _("自检自查")
        SAMPLING = "sampling", _("监督抽检")
        COMPLAINT = "complaint", _("消费者投诉")
        SCAN_REPORT = "scan_report", _("扫码反映")
        TRADER = "trader", _("经营者告知")
        SUPPLIER = "supplier", _("供应商通知")
        REGULATOR = "regulator", _("监管部门告知")
        LABORATORY = "laboratory", _("检验机构")
        INCIDENT = "incident", _("伤害事故")
        ABROAD = "abroad", _("境外召回")
        DRILL = "drill", _("演练设定")

    class Status(models.TextChoices):
        NEW = "new", _("待处理")
        LINKED = "linked", _("已转评估")
        DISMISSED = "dismissed", _("不予处理")

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    receipt = models.CharField(_("回执号"), max_length=24, unique=True)
    source = models.CharField(_("来源"), max_length=12, choices=Source)
    organisation = models.ForeignKey(
        "trace.Organisation", null=True, on_delete=models.PROTECT, related_name="recall_signals"
    )
    lot = models.ForeignKey("trace.Lot", null=True, on_delete=models.PROTECT, related_name="recall_signals")
    product = models.ForeignKey("trace.Product", null=True, on_delete=models.PROTECT, related_name="recall_signals")
    unit = models.ForeignKey("trace.Unit", null=True, on_delete=models.PROTECT, related_name="recall_signals")
    report = models.ForeignKey("trace.TestReport", null=True, on_delete=models.PROTECT, related_name="recall_signals")
    code = models.CharField(_("所扫的码"), max_length=100, blank=True)
    words = models.ForeignKey("trace.PersonalRecord", on_delete=models.PROTECT, related_name="+")
    contact = models.ForeignKey("trace.PersonalRecord", null=True, on_delete=models.PROTECT, related_name="+")
    raised_by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")
    raised_by_organisation = models.ForeignKey(
        "trace.Organisation", null=True, on_delete=models.PROTECT, related_name="+"
    )
    received_at = models.DateTimeField(_("收到时间"), default=timezone.now)
    dedup_key = models.CharField(max_length=64, unique=True)
    status = models.CharField(_("状态"), max_length=10, choices=Status, default=Status.NEW)
    campaign = models.ForeignKey("recalls.Campaign", null=True, on_delete=models.PROTECT, related_name="signals")
    is_drill = models.BooleanField(_("演练"), default=False)

    class Meta:
        verbose_name = _("线索")
        verbose_name_plural = _("线索")
        ordering = ["-id"]
        indexes = [models.Index(fields=["organisation", "status", "-id"]), models.Index(fields=["lot"])]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(status="linked", campaign__isnull=False)
                | (~models.Q(status="linked") & models.Q(campaign__isnull=True)),
                name="linked_signal_has_campaign",
            ),
        ]

    def __str__(self) -> str:
        return self.receipt


class SignalStep(models.Model):
    """One step of a signal: raised, linked to a campaign, dismissed with a reason. Append-only."""

    signal = models.ForeignKey(Signal, on_delete=models.PROTECT, related_name="steps")
    old = models.CharField(max_length=10, blank=True)
    new = models.CharField(max_length=10)
    by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")
    by_organisation = models.ForeignKey("trace.Organisation", null=True, on_delete=models.PROTECT, related_name="+")
    reason = models.CharField(max_length=500, blank=True)
    at = models.DateTimeField(default=timezone.now)

    append_only = True

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.signal_id}: {self.old} → {self.new}"
