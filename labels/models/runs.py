"""Runs of codes: what was issued for which lot, how it was printed, and the exceptions. The units themselves lie in
trace.
"""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from trace.identifiers import uuid7


class CodeRun(models.Model):
    """One order of codes for one lot: so many unit codes, or labels that all carry the lot's own code.

    ``public_host`` (scheme and host) and ``gtin`` are frozen when the run is issued: they are what the paper says for
    ever, whatever the installation or the product is called later. ``first_number`` is the number of the run's first
    unit within its lot; holds name ranges of these numbers. Issued once: a repeat with the same ``key`` answers with
    this run.
    """

    class Kind(models.TextChoices):
        UNIT = "unit", _("一物一码")
        LOT = "lot", _("批次标签")

    class Status(models.TextChoices):
        ISSUED = "issued", _("已签发，未打印")
        PRINTED = "printed", _("已打印")
        VOID = "void", _("已作废")

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="code_runs")
    lot = models.ForeignKey("trace.Lot", on_delete=models.PROTECT, related_name="code_runs")
    kind = models.CharField(_("标签类型"), max_length=4, choices=Kind)
    level = models.CharField(max_length=8, blank=True)
    count = models.PositiveIntegerField(_("数量"))
    first_number = models.PositiveIntegerField(default=0)
    public_host = models.CharField(max_length=200)
    gtin = models.CharField(max_length=14, blank=True)
    layout = models.CharField(_("标签版式"), max_length=20)
    material = models.CharField(_("标签材料"), max_length=12, default="smooth")
    status = models.CharField(_("状态"), max_length=8, choices=Status, default=Status.ISSUED)
    key = models.CharField(max_length=100)
    event = models.ForeignKey("trace.Event", null=True, on_delete=models.PROTECT, related_name="+")
    issued_by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = _("赋码任务")
        verbose_name_plural = _("赋码任务")
        constraints = [
            models.UniqueConstraint(fields=["organisation", "key"], name="one_run_per_key"),
            models.CheckConstraint(condition=models.Q(count__gte=1), name="run_has_codes"),
            models.CheckConstraint(
                condition=models.Q(kind="unit", first_number__gte=1, event__isnull=False)
                | models.Q(kind="lot", first_number=0, event__isnull=True),
                name="unit_run_has_numbers_and_event",
            ),
        ]
        indexes = [
            models.Index(fields=["organisation", "-id"]),
            models.Index(fields=["lot", "kind"]),
            models.Index(fields=["gtin"]),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.uid}"

    @property
    def last_number(self) -> int:
        """The number of the run's last unit within its lot; 0 for labels of the lot."""
        return self.first_number + self.count - 1 if self.first_number else 0


class CodeStep(models.Model):
    """One step in a run's life: issued, test print, printed, reprinted, void. Append-only.

    ``first`` and ``last`` are positions within the run (from 1) of what the step is about.
    """

    class Step(models.TextChoices):
        ISSUED = "issued", _("签发")
        TEST_PRINTED = "test_printed", _("试打印")
        PRINTED = "printed", _("打印")
        REPRINTED = "reprinted", _("补打")
        VOID = "void", _("作废")

    run = models.ForeignKey(CodeRun, on_delete=models.PROTECT, related_name="steps")
    step = models.CharField(max_length=12, choices=Step)
    first = models.PositiveIntegerField(default=0)
    last = models.PositiveIntegerField(default=0)
    by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")
    by_organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="+")
    reason = models.CharField(_("原因"), max_length=300, blank=True)
    at = models.DateTimeField(default=timezone.now)

    append_only = True

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.run_id}: {self.step} {self.first}-{self.last}"


class CodeException(models.Model):
    """One exception of one code: spoiled, void, reprinted, found copied, or cleared of that. Append-only.

    ``unit`` is the code; without one it is the lot's own code of ``lot``. 疑似复制 is only ever said by a person,
    with a reason.
    """

    class Kind(models.TextChoices):
        SPOILED = "spoiled", _("损坏")
        VOID = "void", _("作废")
        REPRINTED = "reprinted", _("补打")
        COPIED = "copied", _("确认疑似复制")
        CLEARED = "cleared", _("解除疑似复制")

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="code_exceptions")
    lot = models.ForeignKey("trace.Lot", on_delete=models.PROTECT, related_name="code_exceptions")
    unit = models.ForeignKey("trace.Unit", null=True, on_delete=models.PROTECT, related_name="exceptions")
    run = models.ForeignKey(CodeRun, null=True, on_delete=models.PROTECT, related_name="exceptions")
    kind = models.CharField(max_length=10, choices=Kind)
    reason = models.CharField(_("原因"), max_length=300)
    by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")
    by_organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    append_only = True

    class Meta:
        verbose_name = _("码的异常")
        verbose_name_plural = _("码的异常")
        ordering = ["id"]
        indexes = [models.Index(fields=["unit"]), models.Index(fields=["lot", "unit"])]
        constraints = [
            models.CheckConstraint(condition=~models.Q(reason=""), name="exception_has_reason"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.unit_id or self.lot_id}"
