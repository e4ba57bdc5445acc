"""What belongs to the ladder of notices beside them: waiting times, calls, answers set aside, work in progress."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from recalls.law.terms import Level
from recalls.models.campaigns import Campaign
from recalls.models.notices import Acknowledgement, Notice
from recalls.models.scopes import ScopeVersion


class EscalationRule(models.Model):
    """How long an unanswered notice of one level waits before each step, for the whole installation. Append-only: the
    latest row of a level counts, none means the house's defaults.
    """

    level = models.PositiveSmallIntegerField(_("级别"), choices=Level.choices())
    resend_minutes = models.PositiveIntegerField(_("再次发送（分钟）"))
    telephone_minutes = models.PositiveIntegerField(_("列入电话催办（分钟）"))
    regulator_minutes = models.PositiveIntegerField(_("报监管部门（分钟）"))
    reason = models.CharField(_("理由"), max_length=500)
    by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")
    by_organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    append_only = True

    class Meta:
        ordering = ["id"]
        verbose_name = _("催办时限")
        verbose_name_plural = _("催办时限")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(resend_minutes__gte=5)
                & models.Q(telephone_minutes__gt=models.F("resend_minutes"))
                & models.Q(regulator_minutes__gt=models.F("telephone_minutes")),
                name="escalation_steps_in_order",
            )
        ]

    def __str__(self) -> str:
        return f"{self.level}: {self.resend_minutes}/{self.telephone_minutes}/{self.regulator_minutes}"


class PhoneCall(models.Model):
    """One telephone call about a notice (电话记录): when, whether anybody was reached, what was said. Append-only.

    The name of who answered and the words are sealed.
    """

    class Outcome(models.TextChoices):
        REACHED = "reached", _("已接通，已告知")
        CALL_BACK = "call_back", _("已接通，要求回电")
        NO_ANSWER = "no_answer", _("无人接听")
        WRONG_NUMBER = "wrong_number", _("号码不对")
        REFUSED = "refused", _("拒绝配合")

    notice = models.ForeignKey(Notice, on_delete=models.PROTECT, related_name="calls")
    outcome = models.CharField(_("结果"), max_length=12, choices=Outcome)
    spoke_with = models.ForeignKey("trace.PersonalRecord", null=True, on_delete=models.PROTECT, related_name="+")
    words = models.ForeignKey("trace.PersonalRecord", null=True, on_delete=models.PROTECT, related_name="+")
    called_at = models.DateTimeField(_("通话时间"))
    by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")
    by_organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    append_only = True

    class Meta:
        ordering = ["id"]
        verbose_name = _("电话记录")
        verbose_name_plural = _("电话记录")

    def __str__(self) -> str:
        return f"{self.notice_id}: {self.outcome}"


class SetAside(models.Model):
    """An answer judged not to be the recipient's own: it stays on record and no longer counts. Append-only."""

    acknowledgement = models.OneToOneField(Acknowledgement, on_delete=models.PROTECT, related_name="set_aside")
    reason = models.CharField(max_length=500)
    by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")
    by_organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    append_only = True

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.acknowledgement_id}"


class NoticeRun(models.Model):
    """The making of the notices of one scope version by the worker, where there are too many to wait for.

    A worker claims it by ``lease``; each thousand holders is one transaction, so a worker that dies leaves whole
    thousands, and the next goes on with who has no notice yet.
    """

    campaign = models.ForeignKey(Campaign, on_delete=models.PROTECT, related_name="runs")
    scope = models.OneToOneField(ScopeVersion, on_delete=models.PROTECT, related_name="run")
    by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")
    by_organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="+")
    total = models.PositiveIntegerField(default=0)
    done = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)
    lease = models.UUIDField(null=True)
    leased_until = models.DateTimeField(null=True)

    class Meta:
        ordering = ["id"]
        verbose_name = _("生成通知")
        verbose_name_plural = _("生成通知")

    def __str__(self) -> str:
        return f"{self.scope_id}: {self.done}/{self.total}"
