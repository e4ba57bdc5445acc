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

    A large run is issued in pieces by the worker: ``issued`` codes are there, ``stopped`` says why no more came.

    ``checks`` says that each label has a check code under a layer; ``seed`` is what they are made from, sealed, and
    unreadable once they have been printed.
    """

    class Kind(models.TextChoices):
        UNIT = "unit", _("一物一码")
        LOT = "lot", _("批次标签")

    class Status(models.TextChoices):
        ISSUING = "issuing", _("签发中")
        ISSUED = "issued", _("已签发，未打印")
        PRINTED = "printed", _("已打印")
        VOID = "void", _("已作废")

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="code_runs")
    lot = models.ForeignKey("trace.Lot", on_delete=models.PROTECT, related_name="code_runs")
    kind = models.CharField(_("标签类型"), max_length=4, choices=Kind)
    level = models.CharField(max_length=8, blank=True)
    count = models.PositiveIntegerField(_("数量"))
    issued = models.PositiveIntegerField(default=0)
    stopped = models.CharField(max_length=300, blank=True)
    first_number = models.PositiveIntegerField(default=0)
    public_host = models.CharField(max_length=200)
    gtin = models.CharField(max_length=14, blank=True)
    layout = models.CharField(_("标签版式"), max_length=20)
    material = models.CharField(_("标签材料"), max_length=12, default="smooth")
    checks = models.BooleanField(_("刮开式校验码"), default=False)
    seed = models.ForeignKey("trace.PersonalRecord", null=True, on_delete=models.PROTECT, related_name="+")
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
    """One step in a run's life: issued, printed, reprinted, put on goods, handed out as a file, void. Append-only.

    ``first`` and ``last`` are positions within the run (from 1) of what the step is about.
    """

    class Step(models.TextChoices):
        ISSUED = "issued", _("签发")
        TEST_PRINTED = "test_printed", _("试打印")
        PRINTED = "printed", _("打印")
        REPRINTED = "reprinted", _("补打")
        APPLIED = "applied", _("贴到商品上")
        DOWNLOADED = "downloaded", _("下载")
        VOID = "void", _("作废")
        CHECKS_FORGOTTEN = "no_checks", _("销毁校验码原文")

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


class LabelFile(models.Model):
    """One order of a file with the labels of a run: PDF, ZPL or the packet of a print house. The worker makes it in
    parts, reads every code back, and then releases it; nobody gets a file before that.

    ``key`` makes a doubled order one. ``lease`` names the worker that has it; a claim that ran out is taken over and
    goes on with the first part that is missing. Offsets are hundredths of a millimetre. ``checks`` says that the file
    has the labels' check codes in it.
    """

    class Kind(models.TextChoices):
        PDF = "pdf", _("PDF（办公打印机、标签打印机）")
        ZPL = "zpl", _("ZPL（斑马等条码打印机）")
        PACKET = "packet", _("码包（CSV，交给印刷厂）")

    class Status(models.TextChoices):
        WAITING = "waiting", _("等待中")
        WORKING = "working", _("制作中")
        RELEASED = "released", _("已校验，可以使用")
        FAILED = "failed", _("没有做成")

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    run = models.ForeignKey(CodeRun, on_delete=models.PROTECT, related_name="files")
    organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="label_files")
    key = models.CharField(max_length=100)
    kind = models.CharField(_("文件"), max_length=6, choices=Kind)
    first = models.PositiveIntegerField()
    last = models.PositiveIntegerField()
    start = models.PositiveSmallIntegerField(default=1)
    crop_marks = models.BooleanField(default=False)
    checks = models.BooleanField(default=False)
    offset_x = models.SmallIntegerField(default=0)
    offset_y = models.SmallIntegerField(default=0)
    reason = models.CharField(_("补打原因"), max_length=300, blank=True)
    status = models.CharField(_("状态"), max_length=8, choices=Status, default=Status.WAITING)
    done = models.PositiveIntegerField(default=0)
    problem = models.CharField(max_length=300, blank=True)
    lease = models.UUIDField(null=True)
    leased_until = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")
    by_organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("标签文件")
        verbose_name_plural = _("标签文件")
        constraints = [
            models.UniqueConstraint(fields=["organisation", "key"], name="one_file_per_key"),
            models.CheckConstraint(condition=models.Q(first__gte=1), name="file_has_labels"),
        ]
        indexes = [models.Index(fields=["status", "id"]), models.Index(fields=["run", "-id"])]

    def __str__(self) -> str:
        return f"{self.kind} {self.run_id} {self.first}-{self.last}"

    @property
    def total(self) -> int:
        """Labels asked for."""
        return self.last - self.first + 1

    @property
    def is_open(self) -> bool:
        """Whether the worker still has something to do with it."""
        return self.status in (self.Status.WAITING, self.Status.WORKING)


class LabelFilePart(models.Model):
    """One finished part of a label file, its bytes kept under their SHA-256. ``first`` and ``last`` are positions in
    the run.
    """

    file = models.ForeignKey(LabelFile, on_delete=models.PROTECT, related_name="parts")
    number = models.PositiveSmallIntegerField()
    first = models.PositiveIntegerField()
    last = models.PositiveIntegerField()
    labels = models.PositiveIntegerField()
    sha256 = models.CharField(max_length=64)
    size = models.PositiveIntegerField()

    class Meta:
        ordering = ["number"]
        constraints = [models.UniqueConstraint(fields=["file", "number"], name="one_part_per_number")]

    def __str__(self) -> str:
        return f"{self.file_id}.{self.number}"
