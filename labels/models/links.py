"""Links a producer sets on its product or lot, for the resolver and the scanned page."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from trace.identifiers import uuid7


class ProductLink(models.Model):
    """One link a producer set: from a product (or one lot of it) to an https address, with type, words and language.

    A link is not edited: it is ended and another is set, so its steps are its whole history. ``link_type`` is a name of
    the GS1 Web Vocabulary; ``host`` is shown to readers beside the words; ``language`` and ``context`` (a country code)
    are what the resolver chooses by, empty where they do not matter.
    """

    class Language(models.TextChoices):
        ANY = "", _("不分语言")
        ZH = "zh", _("中文")
        EN = "en", _("英文")

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="product_links")
    product = models.ForeignKey("trace.Product", on_delete=models.PROTECT, related_name="links")
    lot = models.ForeignKey("trace.Lot", null=True, on_delete=models.PROTECT, related_name="links")
    link_type = models.CharField(_("链接类型"), max_length=40)
    title = models.CharField(_("链接文字"), max_length=80)
    href = models.CharField(_("网址"), max_length=500)
    host = models.CharField(max_length=253)
    language = models.CharField(_("语言"), max_length=2, choices=Language, blank=True)
    context = models.CharField(_("适用国家或地区"), max_length=2, blank=True)
    at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("产品链接")
        verbose_name_plural = _("产品链接")
        ordering = ["id"]
        indexes = [models.Index(fields=["product", "lot"])]
        constraints = [
            models.UniqueConstraint(
                fields=["product", "link_type", "href", "language", "context"],
                condition=models.Q(ended_at__isnull=True, lot__isnull=True),
                name="one_link_of_a_product",
            ),
            models.UniqueConstraint(
                fields=["lot", "link_type", "href", "language", "context"],
                condition=models.Q(ended_at__isnull=True, lot__isnull=False),
                name="one_link_of_a_lot",
            ),
            models.CheckConstraint(condition=models.Q(href__startswith="https://"), name="link_is_https"),
        ]

    def __str__(self) -> str:
        return f"{self.link_type} {self.href}"


class ProductLinkStep(models.Model):
    """One step of a link: set or ended, by whom, when, why. Append-only."""

    class Step(models.TextChoices):
        ADDED = "added", _("设置")
        ENDED = "ended", _("取消")

    link = models.ForeignKey(ProductLink, on_delete=models.PROTECT, related_name="steps")
    step = models.CharField(max_length=8, choices=Step)
    by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")
    by_organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="+")
    reason = models.CharField(_("原因"), max_length=300, blank=True)
    at = models.DateTimeField(default=timezone.now)

    append_only = True

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.link_id}: {self.step}"
