"""What an authority did in a recall by a document it served."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from recalls.models.campaigns import Campaign
from trace.identifiers import uuid7


class RegulatorAct(models.Model):
    """One act of an authority in a campaign (监管行为): an order, an answer to an application, a requirement, with the
    number of its document, by which law, when served. Append-only; what it permits is checked where a step needs it.

    ``until`` is the last day an extension grants; ``due_on`` until when something is required. ``file`` is the
    document itself with the hash it had then. ``officer`` is who issued it.
    """

    class Kind(models.TextChoices):
        ORDER_RECALL = "order_recall", _("责令召回")
        ORDER_STOP = "order_stop", _("责令停止生产经营")
        ORDER_DISPOSAL = "order_disposal", _("责令处理")
        NOTIFY_RECALL = "notify_recall", _("通知召回")
        DEFECT_FOUND = "defect_found", _("缺陷认定：存在缺陷")
        NO_DEFECT = "no_defect", _("缺陷认定：不存在缺陷")
        REQUIRE_CHANGES = "require_changes", _("要求修改召回计划")
        EXTENSION_GRANTED = "grant_extension", _("同意延期")
        EXTENSION_REFUSED = "refuse_extension", _("不予延期")
        STRENGTHEN = "strengthen", _("责令加强召回")
        RECALL_AGAIN = "recall_again", _("责令重新召回")
        ASK_REPORT = "ask_report", _("要求报告")
        INSPECTION = "inspection", _("现场检查")
        EVALUATION = "evaluation", _("报告评价")
        INTERVIEW = "interview", _("责任约谈")

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    campaign = models.ForeignKey(Campaign, on_delete=models.PROTECT, related_name="acts")
    organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="recall_acts")
    kind = models.CharField(_("行为"), max_length=20, choices=Kind)
    number = models.CharField(_("文书编号"), max_length=60)
    officer = models.ForeignKey("trace.User", on_delete=models.PROTECT, related_name="+")
    legal_basis = models.CharField(_("法律依据"), max_length=300)
    content = models.CharField(_("内容"), max_length=1000)
    served_at = models.DateTimeField(_("送达时间"))
    due_on = models.DateField(_("期限"), null=True)
    until = models.DateField(_("延长到"), null=True)
    file = models.ForeignKey("trace.StoredFile", null=True, on_delete=models.PROTECT, related_name="+")
    sha256 = models.CharField(max_length=64, blank=True)
    at = models.DateTimeField(default=timezone.now)

    append_only = True

    class Meta:
        ordering = ["id"]
        verbose_name = _("监管行为")
        verbose_name_plural = _("监管行为")
        indexes = [models.Index(fields=["campaign", "kind", "-id"])]
        constraints = [
            models.UniqueConstraint(fields=["organisation", "number"], name="one_act_per_document_number"),
            models.CheckConstraint(
                condition=~models.Q(kind="grant_extension") | models.Q(until__isnull=False),
                name="granted_extension_has_end",
            ),
            models.CheckConstraint(
                condition=models.Q(file__isnull=True, sha256="")
                | (models.Q(file__isnull=False) & ~models.Q(sha256="")),
                name="act_file_has_hash",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.campaign_id}: {self.number}"
