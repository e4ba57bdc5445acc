"""Effectiveness checks (有效性核查): who of those told was asked again by somebody else, and what was found."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from recalls.models.campaigns import Campaign
from recalls.models.notices import Notice
from trace.identifiers import uuid7


class CheckRound(models.Model):
    """One sample of a campaign's notices, drawn by a recorded seed; at level E of nobody, without a seed. Append-only.

    ``percent`` is the level's (or, at level B, the one chosen), ``population`` how many holders there were,
    ``pool_sha256`` the hash of their names in order, ``rule`` the size rule with its source as it was then.
    """

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    campaign = models.ForeignKey(Campaign, on_delete=models.PROTECT, related_name="check_rounds")
    number = models.PositiveSmallIntegerField()
    level = models.CharField(_("核查级别"), max_length=1)
    percent = models.PositiveSmallIntegerField(_("比例（%）"))
    population = models.PositiveIntegerField()
    size = models.PositiveIntegerField()
    seed = models.CharField(_("随机种子"), max_length=60)
    pool_sha256 = models.CharField(max_length=64)
    rule = models.JSONField(default=dict)
    by = models.ForeignKey("trace.User", on_delete=models.PROTECT, related_name="+")
    by_organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    append_only = True

    class Meta:
        ordering = ["number"]
        verbose_name = _("有效性核查")
        verbose_name_plural = _("有效性核查")
        constraints = [models.UniqueConstraint(fields=["campaign", "number"], name="one_check_round_number")]

    def __str__(self) -> str:
        return f"{self.campaign_id}: {self.level} {self.number}"


class CheckSample(models.Model):
    """One notice that was drawn. Append-only."""

    round = models.ForeignKey(CheckRound, on_delete=models.PROTECT, related_name="samples")
    notice = models.ForeignKey(Notice, on_delete=models.PROTECT, related_name="checks")
    position = models.PositiveIntegerField()

    append_only = True

    class Meta:
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["round", "notice"], name="one_check_of_a_notice")]

    def __str__(self) -> str:
        return f"{self.round_id}: {self.notice_id}"

    @property
    def name(self) -> str:
        """How the address bar names it: round and position. Read ``round`` along."""
        return f"{self.round.number}-{self.position}"


class CheckResult(models.Model):
    """What the checker found at one sampled holder; the last one counts. Append-only. The words are sealed."""

    class Method(models.TextChoices):
        PHONE = "phone", _("电话回访")
        VISIT = "visit", _("现场检查")
        DOCUMENT = "document", _("查验资料")
        QUESTIONNAIRE = "questionnaire", _("问卷")

    class Outcome(models.TextChoices):
        EFFECTIVE = "effective", _("收到通知并已照办")
        NOT_ACTED = "not_acted", _("收到通知，没有照办")
        NOT_INFORMED = "not_informed", _("没有收到通知")
        ON_SALE = "on_sale", _("仍在销售")
        NO_CONTACT = "no_contact", _("联系不上")

    sample = models.ForeignKey(CheckSample, on_delete=models.PROTECT, related_name="results")
    method = models.CharField(_("核查方法"), max_length=14, choices=Method)
    outcome = models.CharField(_("结果"), max_length=14, choices=Outcome)
    words = models.ForeignKey("trace.PersonalRecord", null=True, on_delete=models.PROTECT, related_name="+")
    checked_at = models.DateTimeField(_("核查时间"))
    by = models.ForeignKey("trace.User", on_delete=models.PROTECT, related_name="+")
    by_organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    append_only = True

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.sample_id}: {self.outcome}"
