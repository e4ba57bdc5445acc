"""What was tested and certified: reports with results, certificates with expiry."""

from __future__ import annotations

import datetime

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from trace.event_templates import template
from trace.identifiers import uuid7
from trace.units import is_english


class TestReport(models.Model):
    """One laboratory report on one lot: issued once, reused by every holder down the graph. Append-only."""

    __test__ = False  # not a test class, whatever its name says to pytest

    class Verdict(models.TextChoices):
        PASS = "pass", _("合格")
        FAIL = "fail", _("不合格")
        NOT_JUDGED = "not_judged", _("未判定")

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="reports")
    laboratory = models.ForeignKey(
        "trace.Organisation", null=True, on_delete=models.PROTECT, related_name="reports_issued"
    )
    laboratory_name = models.CharField(_("检验机构"), max_length=120)
    cma_number = models.CharField(_("CMA 编号"), max_length=12, blank=True)
    report_number = models.CharField(_("报告编号"), max_length=40)
    purpose = models.CharField(_("检验类别"), max_length=20, blank=True)
    lot = models.ForeignKey("trace.Lot", on_delete=models.PROTECT, related_name="reports")
    event = models.ForeignKey("trace.Event", on_delete=models.PROTECT, related_name="reports")
    issued_on = models.DateField(_("签发日期"))
    verdict = models.CharField(max_length=12, choices=Verdict)
    file = models.ForeignKey("trace.StoredFile", null=True, on_delete=models.PROTECT, related_name="+")
    file_sha256 = models.CharField(max_length=64, blank=True)
    at = models.DateTimeField(default=timezone.now)

    append_only = True

    class Meta:
        verbose_name = _("检验报告")
        verbose_name_plural = _("检验报告")
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "laboratory_name", "report_number", "event"], name="one_report"
            )
        ]

    def __str__(self) -> str:
        return f"{self.laboratory_name} {self.report_number}"

    @property
    def laboratory_label(self) -> str:
        """The laboratory for people: as the report writes it, in English by the name it registered."""
        if is_english(None) and self.laboratory is not None:
            return self.laboratory.label
        return self.laboratory_name

    @property
    def purpose_label(self) -> str:
        """出厂检验, Factory test …; what is not in the template's list is shown as entered."""
        field = template("common.sample").field("purpose")
        return field.choice_label(self.purpose) if field is not None and self.purpose else self.purpose


class TestResult(models.Model):
    """One item of a report: measured value with operator, limit beside it and where the limit is from. Append-only.

    ``operator`` is ``=``, ``<`` or ``nd`` (未检出, below ``loq``, which is not zero). Numbers are decimal text.
    """

    __test__ = False

    class Operator(models.TextChoices):
        EQUAL = "=", "="
        LESS = "<", "<"
        NOT_DETECTED = "nd", _("未检出")

    report = models.ForeignKey(TestReport, on_delete=models.PROTECT, related_name="results")
    number = models.PositiveSmallIntegerField()
    parameter = models.CharField(max_length=60)
    name = models.CharField(_("项目"), max_length=120)
    name_en = models.CharField(max_length=120, blank=True)
    operator = models.CharField(max_length=2, choices=Operator, default=Operator.EQUAL)
    value = models.CharField(_("结果"), max_length=40, blank=True)
    loq = models.CharField(_("定量限"), max_length=40, blank=True)
    unit = models.CharField(_("单位"), max_length=20, blank=True)
    limit_operator = models.CharField(max_length=10, blank=True)
    limit_value = models.CharField(_("限值"), max_length=40, blank=True)
    limit_source = models.CharField(_("限值出处"), max_length=120, blank=True)
    limit_verified = models.BooleanField(default=False)
    method = models.CharField(_("方法"), max_length=80, blank=True)
    verdict = models.CharField(max_length=12, choices=TestReport.Verdict)

    append_only = True

    class Meta:
        ordering = ["report", "number"]

    def __str__(self) -> str:
        return f"{self.name} {self.operator} {self.value} {self.unit}"

    @property
    def label(self) -> str:
        """The item's name for people, in English where it has one."""
        return self.name_en if self.name_en and is_english(None) else self.name


class Certificate(models.Model):
    """A certificate granted by an authority to an organisation or for a product; it drops from pages when it lapses."""

    class Kind(models.TextChoices):
        ORGANIC = "organic", _("有机产品认证")
        GREEN = "green", _("绿色食品认证")
        GI_USE = "gi_use", _("地理标志专用标志使用")
        OTHER = "other", _("其他证书")

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="certificates")
    product = models.ForeignKey(
        "trace.Product", null=True, blank=True, on_delete=models.PROTECT, related_name="certificates"
    )
    kind = models.CharField(max_length=10, choices=Kind)
    number = models.CharField(_("证书编号"), max_length=60)
    granted_by = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="certificates_granted")
    valid_from = models.DateField(_("有效期自"))
    valid_until = models.DateField(_("有效期至"))
    revoked_at = models.DateTimeField(null=True, blank=True)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = _("证书")
        verbose_name_plural = _("证书")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(valid_until__gte=models.F("valid_from")), name="certificate_ends_after_start"
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.number}"

    def is_valid(self, on: datetime.date) -> bool:
        """Whether it stands on that day (Asia/Shanghai)."""
        return self.revoked_at is None and self.valid_from <= on <= self.valid_until
