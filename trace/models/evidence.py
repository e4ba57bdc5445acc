"""What was tested and certified: reports with results, certificates with expiry."""

from __future__ import annotations

import datetime
from typing import Literal

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from trace.event_templates import template
from trace.identifiers import uuid7
from trace.units import is_english

Says = Literal["issued", "confirmed", "denied", "unconfirmed", "outside"]


class TestReportQuerySet(models.QuerySet["TestReport"]):
    """Chainable questions about test reports."""

    def standing(self) -> TestReportQuerySet:
        """Those whose registration was not declared wrong."""
        return self.filter(event__corrections__isnull=True)

    def with_answer(self) -> TestReportQuerySet:
        """Each with ``last_answer``: what the laboratory it names said last, or None."""
        last = ReportAnswer.objects.filter(report=models.OuterRef("pk")).order_by("-id").values("answer")[:1]
        return self.annotate(last_answer=models.Subquery(last))

    def counted(self) -> TestReportQuerySet:
        """Standing ones that the laboratory does not deny: what a verdict may rest on."""
        silent_or_not_denied = models.Q(last_answer=None) | ~models.Q(last_answer=ReportAnswer.Answer.DENIED)
        return self.standing().with_answer().filter(silent_or_not_denied)


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

    objects = TestReportQuerySet.as_manager()

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
    def laboratory_says(self) -> Says:
        """``issued`` (the laboratory entered it itself), ``confirmed``, ``denied``, ``unconfirmed`` (asked, has not
        answered) or ``outside`` (a laboratory that does not use the system cannot be asked). Reads ``answers`` and
        ``event``: prefetch both for lists.
        """
        if self.laboratory_id is None:
            return "outside"
        answers = sorted(self.answers.all(), key=lambda each: each.pk)
        if answers:
            return "denied" if answers[-1].answer == ReportAnswer.Answer.DENIED else "confirmed"
        return "issued" if self.event.entered_by_organisation_id == self.laboratory_id else "unconfirmed"

    @property
    def purpose_label(self) -> str:
        """出厂检验, Factory test …; what is not in the template's list is shown as entered."""
        field = template("common.sample").field("purpose")
        return field.choice_label(self.purpose) if field is not None and self.purpose else self.purpose


class TestResult(models.Model):
    """One item of a report: measured value with operator, limit beside it and where the limit is from. Append-only.

    ``operator`` is ``=``, ``<`` or ``nd`` (未检出, below ``loq``, which is not zero). Numbers are decimal text.
    The limit it was judged by is kept as it stood then (value, source, whose, which version of which limit);
    ``reason`` says why an item was not judged (``trace.judging``).
    """

    __test__ = False

    class Operator(models.TextChoices):
        EQUAL = "=", "="
        LESS = "<", "<"
        NOT_DETECTED = "nd", _("未检出")

    class LimitKind(models.TextChoices):
        CATALOGUE = "catalogue", _("标准限值")
        DECLARED = "declared", _("企业承诺限值")
        REPORT = "report", _("报告所载限值")

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
    limit_kind = models.CharField(max_length=10, choices=LimitKind, blank=True)
    limit_basis = models.CharField(max_length=200, blank=True)
    limit_applies = models.CharField(max_length=20, blank=True)
    limit_version = models.PositiveIntegerField(default=0)
    limit = models.ForeignKey("trace.Limit", null=True, on_delete=models.PROTECT, related_name="+")
    method = models.CharField(_("方法"), max_length=80, blank=True)
    verdict = models.CharField(max_length=12, choices=TestReport.Verdict)
    reason = models.CharField(max_length=20, blank=True)

    append_only = True

    class Meta:
        ordering = ["report", "number"]

    def __str__(self) -> str:
        return f"{self.name} {self.operator} {self.value} {self.unit}"

    @property
    def label(self) -> str:
        """The item's name for people, in English where it has one."""
        return self.name_en if self.name_en and is_english(None) else self.name


class ReportAnswer(models.Model):
    """What a laboratory says of a report that names it: issued by it, or not. The last answer counts. Append-only."""

    class Answer(models.TextChoices):
        CONFIRMED = "confirmed", _("确认是本机构出具")
        DENIED = "denied", _("不是本机构出具，或内容不符")

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    report = models.ForeignKey(TestReport, on_delete=models.PROTECT, related_name="answers")
    laboratory = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="report_answers")
    answer = models.CharField(max_length=10, choices=Answer)
    reason = models.CharField(_("理由"), max_length=500, blank=True)
    by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    append_only = True

    class Meta:
        verbose_name = _("检验机构答复")
        verbose_name_plural = _("检验机构答复")
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(answer="confirmed") | ~models.Q(reason=""), name="denial_has_a_reason"
            )
        ]

    def __str__(self) -> str:
        return f"{self.report_id}: {self.answer}"


class Certificate(models.Model):
    """A certificate granted by an authority to an organisation or for a product; it drops from pages when it lapses."""

    class Kind(models.TextChoices):
        ORGANIC = "organic", _("有机产品认证")
        GREEN = "green", _("绿色食品认证")
        GI_USE = "gi_use", _("地理标志专用标志使用")
        FAMOUS = "famous", _("名牌产品")
        LEADER = "leader", _("企业标准领跑者")
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
