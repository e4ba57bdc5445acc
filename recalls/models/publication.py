"""What the public is told: versions of the announcement, and the act of publishing one."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from recalls.models.campaigns import Campaign
from recalls.models.scopes import ScopeVersion
from trace.identifiers import uuid7


class PublicNotice(models.Model):
    """One version of the announcement (召回公告) as drafted. Append-only; a change is another version.

    The four groups of article 16 of the 2015 Measures: who, which goods (taken from the scope), why and when, what to
    do. The names of people stand in ``people`` (sealed JSON), as rule 10 asks; they are shown only while published.
    """

    class Kind(models.TextChoices):
        ANNOUNCEMENT = "announcement", _("首次公告")
        CORRECTION = "correction", _("更正公告")
        SUPPLEMENT = "supplement", _("补充公告")

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    campaign = models.ForeignKey(Campaign, on_delete=models.PROTECT, related_name="public_notices")
    number = models.PositiveIntegerField()
    kind = models.CharField(_("类型"), max_length=12, choices=Kind, default=Kind.ANNOUNCEMENT)
    scope = models.ForeignKey(ScopeVersion, on_delete=models.PROTECT, related_name="+")
    producer = models.CharField(_("生产者名称"), max_length=120)
    address = models.CharField(_("住所"), max_length=200)
    people = models.ForeignKey("trace.PersonalRecord", on_delete=models.PROTECT, related_name="+")
    phone = models.CharField(_("联系电话"), max_length=40)
    email = models.CharField(_("电子邮箱"), max_length=254, blank=True)
    goods = models.JSONField(default=list)
    identify = models.CharField(_("怎样辨认"), max_length=300, blank=True)
    reason = models.CharField(_("召回原因"), max_length=500)
    risk = models.CharField(_("可能的危害"), max_length=500)
    begins_on = models.DateField(_("召回开始日期"))
    ends_on = models.DateField(_("召回截止日期"), null=True)
    area = models.CharField(_("区域范围"), max_length=200)
    duties = models.CharField(_("经营者应当做什么"), max_length=500)
    what_to_do = models.CharField(_("消费者怎么办"), max_length=500)
    compensation = models.CharField(_("退货和赔偿"), max_length=500)
    by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")
    by_organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    append_only = True

    class Meta:
        verbose_name = _("召回公告")
        verbose_name_plural = _("召回公告")
        ordering = ["number"]
        constraints = [models.UniqueConstraint(fields=["campaign", "number"], name="one_public_notice_number")]

    def __str__(self) -> str:
        return f"{self.campaign_id}: {self.number}"


class NoticePicture(models.Model):
    """One picture of the goods in one version of the announcement: made anew from what was uploaded, public once the
    version is published. Append-only; a later version names its pictures again.
    """

    notice = models.ForeignKey(PublicNotice, on_delete=models.PROTECT, related_name="pictures")
    number = models.PositiveSmallIntegerField()
    file = models.ForeignKey("trace.StoredFile", on_delete=models.PROTECT, related_name="+")
    sha256 = models.CharField(max_length=64)
    caption = models.CharField(_("图片说明"), max_length=120, blank=True)

    append_only = True

    class Meta:
        ordering = ["number"]
        constraints = [models.UniqueConstraint(fields=["notice", "number"], name="one_notice_picture_number")]

    def __str__(self) -> str:
        return f"{self.notice_id}: {self.number}"


class Publication(models.Model):
    """The act of publishing one version, by another person than its author. Append-only.

    ``sites`` are the keys of the places named, ``needed`` those the regime asked for by where the goods went
    (``provinces``, codes of two digits), ``why`` the words where they differ.
    """

    notice = models.OneToOneField(PublicNotice, on_delete=models.PROTECT, related_name="publication")
    channel = models.CharField(_("发布渠道"), max_length=200)
    sites = models.JSONField(default=list)
    needed = models.JSONField(default=list)
    provinces = models.JSONField(default=list)
    why = models.CharField(_("未用规定渠道的原因"), max_length=300, blank=True, default="")
    by = models.ForeignKey("trace.User", on_delete=models.PROTECT, related_name="+")
    by_organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    append_only = True

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.notice_id}: {self.at.isoformat()}"


class PublicationProof(models.Model):
    """Evidence that a publication stands at one place: its address or a picture of it with the hash. Append-only."""

    publication = models.ForeignKey(Publication, on_delete=models.PROTECT, related_name="proofs")
    site = models.CharField(_("渠道"), max_length=30)
    url = models.URLField(_("网址"), max_length=300, blank=True)
    file = models.ForeignKey("trace.StoredFile", null=True, on_delete=models.PROTECT, related_name="+")
    sha256 = models.CharField(max_length=64, blank=True)
    seen_at = models.DateTimeField(_("看到的时间"))
    by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")
    by_organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    append_only = True

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=~models.Q(url="") | models.Q(file__isnull=False), name="publication_proof_is_something"
            )
        ]

    def __str__(self) -> str:
        return f"{self.publication_id}: {self.site}"
