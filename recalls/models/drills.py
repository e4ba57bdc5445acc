"""Rehearsals (演练): a real lot traced both ways against the clock, contacts tested, gaps and what is done about them.

Rows of their own, apart from notices, messages and announcements: nothing here can become a recall.
"""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from trace.identifiers import uuid7


class Drill(models.Model):
    """One exercise of one firm on one real lot. ``seed`` and ``pool_sha256`` (over the sorted names of the lots it
    could have been) let anybody repeat a random pick. ``limit_minutes`` is what it is held against; facts are set once.
    """

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="drills")
    lot = models.ForeignKey("trace.Lot", on_delete=models.PROTECT, related_name="+")
    seed = models.CharField(_("随机种子"), max_length=60, blank=True)
    pool = models.PositiveIntegerField(_("候选批次数"), default=0)
    pool_sha256 = models.CharField(max_length=64, blank=True)
    limit_minutes = models.PositiveIntegerField(_("时限（分钟）"), default=240)
    started_at = models.DateTimeField(_("开始"), default=timezone.now)
    by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")
    finished_at = models.DateTimeField(_("结束"), null=True)
    finished_by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")
    summary = models.TextField(_("小结"), blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("演练")
        verbose_name_plural = _("演练")
        indexes = [models.Index(fields=["organisation", "-id"])]

    def __str__(self) -> str:
        return f"{self.organisation_id}: {self.lot_id}"

    @property
    def minutes(self) -> int | None:
        """How long it took, in whole minutes begun; None while it runs."""
        if self.finished_at is None:
            return None
        return -int(-(self.finished_at - self.started_at).total_seconds() // 60)

    @property
    def in_time(self) -> bool:
        """Whether it ended within its limit."""
        return self.minutes is not None and self.minutes <= self.limit_minutes


class DrillTrace(models.Model):
    """What tracing found, one direction at a time, with how long the answer took. Append-only."""

    class Direction(models.TextChoices):
        BACK = "back", _("向上：来源")
        FORWARD = "forward", _("向下：去向")

    drill = models.ForeignKey(Drill, on_delete=models.PROTECT, related_name="traces")
    direction = models.CharField(max_length=8, choices=Direction)
    took_ms = models.PositiveIntegerField()
    data = models.JSONField()
    at = models.DateTimeField(default=timezone.now)

    append_only = True

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.drill_id}: {self.direction}"


class DrillGap(models.Model):
    """One gap an exercise showed, and the corrective action (CAPA): what, by whom, until when, whether done."""

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    drill = models.ForeignKey(Drill, on_delete=models.PROTECT, related_name="gaps")
    gap = models.CharField(_("差距"), max_length=300)
    action = models.CharField(_("纠正措施"), max_length=300)
    responsible = models.CharField(_("负责岗位"), max_length=60)
    due_on = models.DateField(_("完成期限"))
    done_at = models.DateTimeField(null=True)
    done_words = models.CharField(_("完成情况"), max_length=300, blank=True)
    by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["id"]
        verbose_name = _("差距和措施")
        verbose_name_plural = _("差距和措施")

    def __str__(self) -> str:
        return self.gap


class ContactTest(models.Model):
    """One question to a contact whether it would be reached in a recall (联系方式测试, always with the word 演练).

    Sent by the worker under a lease like a notice, but from a table of its own, so that a test never looks like one.
    """

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="contact_tests")
    contact = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="+")
    drill = models.ForeignKey(Drill, null=True, on_delete=models.PROTECT, related_name="tests")
    address = models.CharField(max_length=254, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    next_at = models.DateTimeField(default=timezone.now)
    attempts = models.PositiveIntegerField(default=0)
    lease = models.UUIDField(null=True)
    leased_until = models.DateTimeField(null=True)
    sent_at = models.DateTimeField(null=True)
    failed_at = models.DateTimeField(null=True)
    confirmed_at = models.DateTimeField(null=True)
    by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        ordering = ["id"]
        verbose_name = _("联系方式测试")
        verbose_name_plural = _("联系方式测试")
        indexes = [models.Index(fields=["organisation", "-id"])]

    def __str__(self) -> str:
        return f"{self.organisation_id} → {self.contact_id}"
