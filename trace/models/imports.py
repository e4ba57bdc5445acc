"""Sheets that were uploaded to be imported, from the upload to what came of it."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from trace.identifiers import uuid7


class SheetImport(models.Model):
    """One uploaded sheet: read and checked by the worker, confirmed by a person, written all at once or not at all.

    ``file`` holds the uploaded bytes until they are read, ``rows`` the cells as text (``[[number, [cell, …]], …]``)
    until thirty days after; ``issues`` what is wrong, one per cell. ``insisted`` are codes of guards that the person
    saw and insisted on at the end. ``made`` names what was written. A claim by a worker is ``lease`` and
    ``leased_until``; a worker that dies leaves the row to the next one.
    """

    class Kind(models.TextChoices):
        """What the rows are."""

        PRODUCTS = "products", _("产品")
        PLACES = "places", _("地点")
        STEPS = "steps", _("环节")

    class Status(models.TextChoices):
        """How far it is."""

        WAITING = "waiting", _("等待检查")
        CHECKING = "checking", _("正在检查")
        READY = "ready", _("等待确认")
        FAULTY = "faulty", _("有错误")
        UNREADABLE = "unreadable", _("无法读取")
        CONFIRMED = "confirmed", _("等待写入")
        WRITING = "writing", _("正在写入")
        DONE = "done", _("已导入")
        FAILED = "failed", _("未完成")
        DROPPED = "dropped", _("已放弃")

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="+")
    owner = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="sheet_imports")
    by = models.ForeignKey("trace.User", on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    step = models.CharField(max_length=60, blank=True)
    language = models.CharField(max_length=10, default="zh-hans")
    name = models.CharField(max_length=120)
    sha256 = models.CharField(max_length=64)
    file = models.BinaryField(null=True)
    rows = models.JSONField(default=list)
    issues = models.JSONField(default=list)
    insisted = models.JSONField(default=list)
    made = models.JSONField(default=list)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.WAITING)
    total = models.PositiveIntegerField(default=0)
    checked = models.PositiveIntegerField(default=0)
    conflicts = models.PositiveIntegerField(default=0)
    problem = models.TextField(blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    lease = models.UUIDField(null=True)
    leased_until = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=timezone.now)
    confirmed_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("表格导入")
        verbose_name_plural = _("表格导入")
        indexes = [
            models.Index(fields=["owner", "-id"]),
            models.Index(fields=["status", "id"]),
            models.Index(fields=["owner", "sha256"]),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_under_way(self) -> bool:
        """Whether a worker has it, or will."""
        return self.status in ("waiting", "checking", "confirmed", "writing")
