"""Beside goods that came back and were destroyed: reports beforehand, files, oddities, releases, differences."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from recalls.models.campaigns import Campaign
from recalls.models.goods import Disposal
from recalls.models.notices import Notice
from trace.identifiers import uuid7


class DisposalPlan(models.Model):
    """The report of a destruction before it happens (销毁预报告): when, where, how, how much. Append-only.

    Food safety law, article 63: time and place are reported to the county-level authority beforehand, which may attend.
    """

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    campaign = models.ForeignKey(Campaign, on_delete=models.PROTECT, related_name="disposal_plans")
    organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="+")
    planned_at = models.DateTimeField(_("计划时间"))
    place = models.CharField(_("地点"), max_length=120)
    method = models.CharField(_("方式"), max_length=10, choices=Disposal.Method)
    reported_at = models.DateTimeField(_("报告时间"), default=timezone.now)
    by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")
    by_organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="+")

    append_only = True

    class Meta:
        ordering = ["id"]
        verbose_name = _("销毁预报告")
        verbose_name_plural = _("销毁预报告")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(planned_at__gt=models.F("reported_at")), name="disposal_reported_beforehand"
            )
        ]

    def __str__(self) -> str:
        return f"{self.campaign_id}: {self.planned_at.isoformat()}"


class DisposalPlanLot(models.Model):
    """How much of one lot a report beforehand names. Append-only."""

    plan = models.ForeignKey(DisposalPlan, on_delete=models.PROTECT, related_name="lots")
    lot = models.ForeignKey("trace.Lot", on_delete=models.PROTECT, related_name="+")
    micros = models.BigIntegerField()

    append_only = True

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["plan", "lot"], name="one_planned_lot"),
            models.CheckConstraint(condition=models.Q(micros__gt=0), name="planned_disposal_is_something"),
        ]

    def __str__(self) -> str:
        return f"{self.plan_id}: {self.lot_id}"


class DisposalFact(models.Model):
    """What belongs to one disposal beside its row: the report beforehand, who executed it (sealed). Append-only."""

    disposal = models.OneToOneField(Disposal, on_delete=models.PROTECT, related_name="fact")
    plan = models.ForeignKey(DisposalPlan, null=True, on_delete=models.PROTECT, related_name="disposals")
    executor = models.ForeignKey("trace.PersonalRecord", null=True, on_delete=models.PROTECT, related_name="+")

    append_only = True

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.disposal_id}"


class DisposalFile(models.Model):
    """One photograph or certificate of a disposal with the hash it had when it was handed in. Append-only."""

    disposal = models.ForeignKey(Disposal, on_delete=models.PROTECT, related_name="files")
    file = models.ForeignKey("trace.StoredFile", on_delete=models.PROTECT, related_name="+")
    sha256 = models.CharField(max_length=64)

    append_only = True

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.sha256


class ReturnDispatch(models.Model):
    """What a holder says it sends back (寄回): one lot, the carrier, the number of the parcel. Append-only; moves no
    stock. The receipt names what arrived, and the difference stands beside it.
    """

    class Channel(models.TextChoices):
        ACCOUNT = "account", _("登录登记")
        LINK = "link", _("凭信函链接")

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    notice = models.ForeignKey(Notice, on_delete=models.PROTECT, related_name="dispatches")
    lot = models.ForeignKey("trace.Lot", on_delete=models.PROTECT, related_name="+")
    micros = models.BigIntegerField()
    carrier = models.CharField(_("承运人"), max_length=60, blank=True)
    parcel = models.CharField(_("运单号"), max_length=60, blank=True)
    channel = models.CharField(max_length=8, choices=Channel)
    by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")
    sent_at = models.DateTimeField(_("寄出时间"))
    at = models.DateTimeField(default=timezone.now)

    append_only = True

    class Meta:
        ordering = ["id"]
        verbose_name = _("寄回")
        verbose_name_plural = _("寄回")
        constraints = [models.CheckConstraint(condition=models.Q(micros__gt=0), name="dispatch_is_something")]

    def __str__(self) -> str:
        return f"{self.notice_id}: {self.lot_id}"


class ReturnOddity(models.Model):
    """Something that came back and is no recalled goods: a wrong lot, empty bottles, goods of others. Append-only; it
    moves no stock and counts in no figure.
    """

    class Kind(models.TextChoices):
        WRONG_LOT = "wrong_lot", _("不是召回批次")
        EMPTY = "empty", _("空瓶空袋")
        FOREIGN = "foreign", _("不是本单位产品")
        UNREADABLE = "unreadable", _("批号看不清")

    class Handling(models.TextChoices):
        APART = "apart", _("单独存放待处理")
        SENT_BACK = "sent_back", _("退还寄件单位")
        DISCARDED = "discarded", _("按废品处理")

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    campaign = models.ForeignKey(Campaign, on_delete=models.PROTECT, related_name="oddities")
    notice = models.ForeignKey(Notice, on_delete=models.PROTECT, related_name="oddities")
    kind = models.CharField(_("是什么"), max_length=10, choices=Kind)
    code = models.CharField(_("标签上的批号或码"), max_length=100, blank=True)
    count = models.PositiveIntegerField(_("件数"))
    handling = models.CharField(_("怎样处理"), max_length=10, choices=Handling)
    words = models.CharField(_("说明"), max_length=300, blank=True)
    by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    append_only = True

    class Meta:
        ordering = ["id"]
        verbose_name = _("退回异常")
        verbose_name_plural = _("退回异常")

    def __str__(self) -> str:
        return f"{self.notice_id}: {self.kind}"


class CorrectedRelease(models.Model):
    """Goods whose label was put right and that may be sold again (补救后放行): how much of one lot with one holder,
    what was corrected, shown to buyers. Append-only; it lets goods go only once ``ReleaseApproval`` stands beside it.
    """

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    campaign = models.ForeignKey(Campaign, on_delete=models.PROTECT, related_name="releases")
    holder = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="+")
    lot = models.ForeignKey("trace.Lot", on_delete=models.PROTECT, related_name="recall_releases")
    micros = models.BigIntegerField()
    unit_from = models.PositiveIntegerField(_("件号从"), null=True)
    unit_to = models.PositiveIntegerField(_("件号到"), null=True)
    correction = models.CharField(_("更正了什么"), max_length=300)
    by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")
    by_organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    append_only = True

    class Meta:
        ordering = ["id"]
        verbose_name = _("更正后放行")
        verbose_name_plural = _("更正后放行")
        constraints = [
            models.CheckConstraint(condition=models.Q(micros__gt=0), name="release_is_something"),
            models.CheckConstraint(
                condition=models.Q(unit_from__isnull=True, unit_to__isnull=True)
                | models.Q(unit_from__isnull=False, unit_to__gte=models.F("unit_from")),
                name="released_range_is_whole",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.campaign_id}: {self.lot_id} {self.micros}"


class ReleaseApproval(models.Model):
    """The second person's word that lets corrected goods go. Append-only."""

    release = models.OneToOneField(CorrectedRelease, on_delete=models.PROTECT, related_name="approval")
    by = models.ForeignKey("trace.User", on_delete=models.PROTECT, related_name="+")
    by_organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    append_only = True

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.release_id}"


class BalanceNote(models.Model):
    """Why the numbers of one lot do not add up (差异说明), and how large the difference was then. Append-only; it
    explains that difference and no other.
    """

    campaign = models.ForeignKey(Campaign, on_delete=models.PROTECT, related_name="balance_notes")
    lot = models.ForeignKey("trace.Lot", on_delete=models.PROTECT, related_name="+")
    micros = models.BigIntegerField(_("差异"))
    explanation = models.CharField(_("说明"), max_length=500)
    by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")
    by_organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    append_only = True

    class Meta:
        ordering = ["id"]
        verbose_name = _("差异说明")
        verbose_name_plural = _("差异说明")

    def __str__(self) -> str:
        return f"{self.campaign_id}: {self.lot_id}"
