"""Documents of a recall: what they say, frozen with a hash, and who took a copy away."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from recalls.models.campaigns import Campaign
from recalls.models.drills import Drill
from trace.identifiers import uuid7


class Paper(models.Model):
    """One edition of one document (文书) of a campaign, or of an exercise. Append-only: a change is another edition.

    ``data`` is all that is written but for names of people, which stand sealed in ``people`` by the keys the data
    names (architecture.md, rule 10); page and PDF are made from it. ``sha256`` is of its canonical JSON. ``subject``
    is the uid of what the document is about where a campaign has several (a notice, a report beforehand, an act).
    """

    class Kind(models.TextChoices):
        PLAN = "plan", _("召回计划")
        ANNOUNCEMENT = "announcement", pgettext_lazy("document", "召回公告")
        NOTICE = "notice", _("召回通知书（附回执）")
        STOP = "stop", _("停止生产经营通知")
        PROGRESS = "progress", _("召回阶段性总结")
        SUMMARY = "summary", _("召回总结")
        FIVE_DAY = "five_day", _("五日报告")
        EXTENSION = "extension", _("延期申请")
        DISPOSAL_PLAN = "disposal_plan", _("销毁预报告")
        DISPOSAL = "disposal", _("销毁记录")
        ORDER = "order", _("责令召回通知书")
        DRILL = "drill", _("演练报告")
        PACK = "pack", _("结案卷宗目录")

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    campaign = models.ForeignKey(Campaign, null=True, on_delete=models.PROTECT, related_name="papers")
    drill = models.ForeignKey(Drill, null=True, on_delete=models.PROTECT, related_name="papers")
    kind = models.CharField(_("文书"), max_length=14, choices=Kind)
    subject = models.CharField(max_length=36, blank=True)
    edition = models.PositiveIntegerField(_("版次"))
    is_drill = models.BooleanField(_("演练"), default=False)
    data = models.JSONField()
    people = models.ForeignKey("trace.PersonalRecord", null=True, on_delete=models.PROTECT, related_name="+")
    sha256 = models.CharField(max_length=64)
    by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")
    by_organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    append_only = True

    class Meta:
        ordering = ["id"]
        verbose_name = _("文书")
        verbose_name_plural = _("文书")
        constraints = [
            models.UniqueConstraint(fields=["campaign", "kind", "subject", "edition"], name="one_paper_edition"),
            models.UniqueConstraint(fields=["drill", "edition"], name="one_drill_report_edition"),
            models.CheckConstraint(
                condition=models.Q(campaign__isnull=False, drill__isnull=True)
                | models.Q(campaign__isnull=True, drill__isnull=False, kind="drill", is_drill=True),
                name="paper_has_one_owner",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.edition}"

    @property
    def title(self) -> str:
        """What stands above the document."""
        return str(self.data["title"])

    @property
    def number(self) -> str:
        """The number it is called by: the campaign's, which document, the edition."""
        return f"{self.data['number']} {SIGNS[self.kind]}-{self.edition}"


SIGNS = {
    "plan": "计划",
    "announcement": "公告",
    "notice": "通知",
    "stop": "停产",
    "progress": "阶段",
    "summary": "总结",
    "five_day": "五日",
    "extension": "延期",
    "disposal_plan": "销毁预报",
    "disposal": "销毁",
    "order": "责令",
    "drill": "演练",
    "pack": "卷宗",
}
"""What stands in a document's number for its kind: Chinese whoever reads it, like the document."""


class PackOrder(models.Model):
    """The making of one closure pack (结案卷宗) by the worker: the documents not yet made, the list of contents
    (``paper``), then the ZIP file, kept under ``sha256``.

    A worker claims it by ``lease``; one that dies leaves documents that are whole, and the next begins with the first
    that is missing. A campaign has one order at a time. ``done`` of ``total`` counts documents and lists.
    """

    class Status(models.TextChoices):
        WAITING = "waiting", _("等待中")
        WORKING = "working", _("制作中")
        READY = "ready", _("可以下载")
        FAILED = "failed", _("没有做成")

    campaign = models.ForeignKey(Campaign, on_delete=models.PROTECT, related_name="pack_orders")
    status = models.CharField(_("状态"), max_length=8, choices=Status, default=Status.WAITING)
    paper = models.ForeignKey(Paper, null=True, on_delete=models.PROTECT, related_name="packs")
    sha256 = models.CharField(max_length=64, blank=True)
    size = models.PositiveBigIntegerField(default=0)
    total = models.PositiveIntegerField(default=0)
    done = models.PositiveIntegerField(default=0)
    problem = models.CharField(max_length=300, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")
    by_organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)
    lease = models.UUIDField(null=True)
    leased_until = models.DateTimeField(null=True)

    class Meta:
        ordering = ["id"]
        verbose_name = _("制作卷宗")
        verbose_name_plural = _("制作卷宗")
        indexes = [models.Index(fields=["status", "id"])]
        constraints = [
            models.UniqueConstraint(
                fields=["campaign"],
                condition=models.Q(status__in=["waiting", "working"]),
                name="one_pack_at_a_time",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.campaign_id}: {self.status} {self.done}/{self.total}"

    @property
    def is_open(self) -> bool:
        """Whether the worker is not done with it."""
        return self.status in (self.Status.WAITING, self.Status.WORKING)


class PaperDownload(models.Model):
    """One copy of a document that was taken away: which form, with the hash of its bytes. Append-only."""

    class Form(models.TextChoices):
        PDF = "pdf", "PDF"
        JSON = "json", "JSON"
        ZIP = "zip", "ZIP"

    paper = models.ForeignKey(Paper, on_delete=models.PROTECT, related_name="downloads")
    form = models.CharField(max_length=4, choices=Form)
    sha256 = models.CharField(max_length=64)
    by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")
    by_organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    append_only = True

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["paper", "-id"])]

    def __str__(self) -> str:
        return f"{self.paper_id}: {self.form}"
