"""Goods that came back and goods that are no more, and the frozen figures of reports."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from recalls.models.campaigns import Campaign
from recalls.models.notices import Notice
from trace.identifiers import uuid7


class ReturnReceipt(models.Model):
    """One lot that came back from one holder (收回入库); the event in trace moved the stock. Append-only."""

    class Condition(models.TextChoices):
        SEALED = "sealed", _("包装完好")
        OPENED = "opened", _("已开封")
        EMPTY = "empty", _("空包装")
        DAMAGED = "damaged", _("破损")

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    campaign = models.ForeignKey(Campaign, on_delete=models.PROTECT, related_name="returns")
    notice = models.ForeignKey(Notice, null=True, on_delete=models.PROTECT, related_name="returns")
    organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="+")
    received_by_organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="+")
    lot = models.ForeignKey("trace.Lot", on_delete=models.PROTECT, related_name="recall_returns")
    micros = models.BigIntegerField()
    declared_micros = models.BigIntegerField(null=True)
    condition = models.CharField(_("状况"), max_length=8, choices=Condition, default=Condition.SEALED)
    event = models.ForeignKey("trace.Event", on_delete=models.PROTECT, related_name="recall_returns")
    by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    append_only = True

    class Meta:
        ordering = ["id"]
        verbose_name = _("收回")
        verbose_name_plural = _("收回")
        constraints = [models.CheckConstraint(condition=models.Q(micros__gt=0), name="return_is_something")]

    def __str__(self) -> str:
        return f"{self.campaign_id}: {self.lot_id} {self.micros}"


class Disposal(models.Model):
    """Goods of one lot destroyed or made harmless (处理), where, how, before which witness. Append-only.

    ``announced_at`` is when time and place were reported beforehand (食品安全法 art. 63); empty is shown as missing.
    The witness is another organisation than the one that did it.
    """

    class Method(models.TextChoices):
        DESTROY = "destroy", _("销毁")
        HARMLESS = "harmless", _("无害化处理")
        RECYCLE = "recycle", _("资源化利用")

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    campaign = models.ForeignKey(Campaign, on_delete=models.PROTECT, related_name="disposals")
    notice = models.ForeignKey(Notice, null=True, on_delete=models.PROTECT, related_name="disposals")
    organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="+")
    lot = models.ForeignKey("trace.Lot", on_delete=models.PROTECT, related_name="recall_disposals")
    micros = models.BigIntegerField()
    method = models.CharField(_("方式"), max_length=10, choices=Method)
    place = models.CharField(_("地点"), max_length=120)
    announced_at = models.DateTimeField(_("事先报告时间"), null=True)
    witness = models.ForeignKey("trace.Organisation", null=True, on_delete=models.PROTECT, related_name="+")
    witness_name = models.ForeignKey("trace.PersonalRecord", null=True, on_delete=models.PROTECT, related_name="+")
    event = models.ForeignKey("trace.Event", on_delete=models.PROTECT, related_name="recall_disposals")
    by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    append_only = True

    class Meta:
        ordering = ["id"]
        verbose_name = _("处理")
        verbose_name_plural = _("处理")
        constraints = [
            models.CheckConstraint(condition=models.Q(micros__gt=0), name="disposal_is_something"),
            models.CheckConstraint(
                condition=models.Q(witness__isnull=True) | ~models.Q(witness=models.F("organisation")),
                name="witness_is_another",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.campaign_id}: {self.lot_id} {self.micros}"


class Figures(models.Model):
    """The numbers of a campaign as they stood at one moment, kept for its summary and its closing. Append-only."""

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    campaign = models.ForeignKey(Campaign, on_delete=models.PROTECT, related_name="figures")
    action = models.CharField(max_length=30)
    data = models.JSONField()
    at = models.DateTimeField(default=timezone.now)

    append_only = True

    class Meta:
        ordering = ["id"]
        verbose_name = _("数字")
        verbose_name_plural = _("数字")

    def __str__(self) -> str:
        return f"{self.campaign_id}: {self.action}"
