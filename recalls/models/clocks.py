"""Working days, the legal facts time is counted from, and the time limits that run."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from recalls.law.terms import LegalEvent
from recalls.models.campaigns import Campaign


class WorkCalendarDay(models.Model):
    """One day of the working calendar, seeded from ``recalls/data/workdays.csv``; a new yearly notice is loaded over
    it.

    Days without an official row are guessed (Monday to Friday) and every limit counted over them is 暂定.
    """

    on = models.DateField(primary_key=True)
    is_workday = models.BooleanField()
    official = models.BooleanField(default=True)
    source = models.CharField(_("出处"), max_length=200, blank=True)

    class Meta:
        verbose_name = _("工作日")
        verbose_name_plural = _("工作日")

    def __str__(self) -> str:
        return self.on.isoformat()


class CalendarLoad(models.Model):
    """One holiday notice that was loaded: by whom, from which text (hash), how many days were new or changed, how many
    limits moved. Append-only; the days themselves stand in ``WorkCalendarDay``.
    """

    source = models.CharField(_("通知文号"), max_length=200)
    first_on = models.DateField()
    last_on = models.DateField()
    days = models.PositiveIntegerField()
    new = models.PositiveIntegerField()
    changed = models.PositiveIntegerField()
    moved = models.PositiveIntegerField(_("重新计算的时限"))
    sha256 = models.CharField(max_length=64)
    by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")
    by_organisation = models.ForeignKey("trace.Organisation", null=True, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    append_only = True

    class Meta:
        ordering = ["-id"]
        verbose_name = _("放假安排录入")
        verbose_name_plural = _("放假安排录入")

    def __str__(self) -> str:
        return self.source


class LegalFact(models.Model):
    """One fact of a campaign from which the law counts time or at which it stops. Append-only; the clocks follow from
    it.
    """

    campaign = models.ForeignKey(Campaign, on_delete=models.PROTECT, related_name="facts")
    event = models.CharField(max_length=20, choices=LegalEvent.choices())
    happened_at = models.DateTimeField()
    by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")
    recorded_at = models.DateTimeField(default=timezone.now)

    append_only = True

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["campaign", "event"])]

    def __str__(self) -> str:
        return f"{self.campaign_id}: {self.event}"


class ClockInstance(models.Model):
    """One time limit of one campaign: the rule as it was, from when it runs, when it ends.

    ``snapshot`` is the rule's row at that time: later law does not change the past. ``due_at`` is the last instant
    in time; ``provisional`` (暂定) when the calendar was guessed or the rule is unverified. ``met_at`` ends it;
    ``superseded_at`` says that another level or form made it not apply. ``occurrence`` counts the reports of what
    recurs, and how often what ended has begun again.
    """

    campaign = models.ForeignKey(Campaign, on_delete=models.PROTECT, related_name="clocks")
    rule = models.CharField(max_length=60)
    key = models.CharField(max_length=30)
    snapshot = models.JSONField(default=dict)
    occurrence = models.PositiveSmallIntegerField(default=1)
    started_at = models.DateTimeField()
    due_at = models.DateTimeField()
    unknown_from = models.DateField(null=True)
    provisional = models.BooleanField(default=False)
    met_at = models.DateTimeField(null=True)
    superseded_at = models.DateTimeField(null=True)
    extension = models.CharField(max_length=60, blank=True)

    class Meta:
        verbose_name = _("时限")
        verbose_name_plural = _("时限")
        ordering = ["due_at", "id"]
        constraints = [
            models.UniqueConstraint(fields=["campaign", "rule", "occurrence"], name="one_clock_per_rule"),
            models.CheckConstraint(condition=models.Q(due_at__gte=models.F("started_at")), name="clock_runs_forward"),
        ]

    def __str__(self) -> str:
        return f"{self.campaign_id}: {self.rule}"


class ClockChange(models.Model):
    """A limit that moved: the calendar of a new year came out, or the authority granted an extension. Append-only."""

    clock = models.ForeignKey(ClockInstance, on_delete=models.PROTECT, related_name="changes")
    old_due_at = models.DateTimeField()
    new_due_at = models.DateTimeField()
    reason = models.CharField(max_length=300)
    by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    append_only = True

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.clock_id}: {self.new_due_at.isoformat()}"
