"""What is made: products with versioned master data, and the catalogue of standards and limits."""

from __future__ import annotations

import datetime

from django.db import models
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from trace.identifiers import uuid7


class Standard(models.Model):
    """One edition of a standard, law or notice, loaded from ``trace/data/standards.yaml`` with its evidence word, or
    written down by a regulator.

    In force from ``effective_on`` (empty: not known, taken as always) up to the day before ``ended_on``, the first day
    it no longer is. ``replaced_by`` is the edition after it.
    """

    key = models.CharField(max_length=60, primary_key=True)
    number = models.CharField(_("编号"), max_length=80)
    title = models.CharField(_("名称"), max_length=200)
    kind = models.CharField(max_length=40, blank=True)
    effective_on = models.DateField(null=True, blank=True)
    ended_on = models.DateField(null=True, blank=True)
    replaced_by = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="replaces", verbose_name=_("被替代为")
    )
    evidence = models.CharField(max_length=20, default="memory")
    source = models.TextField(blank=True)
    note = models.TextField(blank=True)
    verified_by = models.ForeignKey("trace.User", null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    verified_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("标准")
        verbose_name_plural = _("标准")

    def __str__(self) -> str:
        return f"{self.number} {self.title}"

    @property
    def is_verified(self) -> bool:
        """Whether a regulator has confirmed this row against the text."""
        return self.verified_at is not None

    def in_force_on(self, day: datetime.date) -> bool:
        """Whether it is the edition to go by on this day."""
        return (self.effective_on is None or self.effective_on <= day) and (
            self.ended_on is None or day < self.ended_on
        )


class Limit(models.Model):
    """One limit of one parameter in one edition; ``value`` is the text of a decimal number, empty where nobody knows
    it.

    ``grades`` maps a quality grade to its own value; ``applies`` is a condition on the lot's age (``<=1y``). A limit
    without verification is shown as unverified. The row is what holds now; what was said before stands in its versions.
    ``version`` 0 is the catalogue's own.
    """

    standard = models.ForeignKey(Standard, on_delete=models.PROTECT, related_name="limits")
    parameter = models.CharField(max_length=60)
    name = models.CharField(_("项目"), max_length=120)
    operator = models.CharField(max_length=10, blank=True)
    value = models.CharField(max_length=40, blank=True)
    grades = models.JSONField(default=dict, blank=True)
    unit = models.CharField(max_length=20, blank=True)
    basis = models.CharField(max_length=200, blank=True)
    applies = models.CharField(max_length=20, blank=True)
    method = models.CharField(max_length=80, blank=True)
    evidence = models.CharField(max_length=200, default="memory")
    verified_by = models.ForeignKey("trace.User", null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    verified_at = models.DateTimeField(null=True, blank=True)
    version = models.PositiveIntegerField(default=0)

    class Meta:
        verbose_name = _("限量")
        verbose_name_plural = _("限量")
        constraints = [
            models.UniqueConstraint(fields=["standard", "parameter", "applies"], name="one_limit_per_parameter_and_age")
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.operator} {self.value} {self.unit}"


class LimitVersion(models.Model):
    """What one limit said from one moment on: by whom, from which text. Number 0 keeps the catalogue's own words.
    Append-only.
    """

    limit = models.ForeignKey(Limit, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    operator = models.CharField(max_length=10, blank=True)
    value = models.CharField(max_length=40, blank=True)
    grades = models.JSONField(default=dict, blank=True)
    unit = models.CharField(max_length=20, blank=True)
    basis = models.CharField(max_length=200, blank=True)
    applies = models.CharField(max_length=20, blank=True)
    method = models.CharField(max_length=80, blank=True)
    verified = models.BooleanField(default=False)
    source = models.CharField(_("依据"), max_length=300, blank=True)
    by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")
    by_organisation = models.ForeignKey("trace.Organisation", null=True, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    append_only = True

    class Meta:
        verbose_name = _("限量版本")
        verbose_name_plural = _("限量版本")
        ordering = ["limit", "number"]
        constraints = [models.UniqueConstraint(fields=["limit", "number"], name="one_limit_version")]

    def __str__(self) -> str:
        return f"{self.limit_id} v{self.number}: {self.operator} {self.value} {self.unit}"


class Product(models.Model):
    """A kind of goods of one organisation. What it says of itself lies in its versions; a lot pins one of them.

    ``gtin`` is a GTIN-14 or null: a thing without GTIN gets a code under the permanent host, never an invented GTIN.
    ``track`` decides which recall law applies. ``base_unit`` is the one unit its amounts are counted in. ``material``
    says
    what it is (a key of ``trace/data/composition.yaml``; empty where nobody said), which some standards forbid
    upstream.
    """

    class Track(models.TextChoices):
        FOOD = "food", _("食品")
        CONSUMER = "consumer_product", _("消费品")
        FARM = "farm_produce", _("食用农产品")

    class Kind(models.TextChoices):
        RAW = "raw", _("原料")
        INTERMEDIATE = "intermediate", _("半成品")
        FINISHED = "finished", _("成品")
        PACKAGING = "packaging", _("包装材料")
        BYPRODUCT = "byproduct", _("副产品")

    class GtinClaim(models.TextChoices):
        NONE = "none", _("无条码")
        CLAIMED = "claimed", _("已声明，待确认")
        CONFIRMED = "confirmed", _("已确认")
        REFUSED = "refused", _("未通过")

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="products")
    code = models.CharField(_("内部编号"), max_length=20)
    family = models.CharField(_("品类"), max_length=40, blank=True)
    track = models.CharField(_("适用类别"), max_length=20, choices=Track)
    kind = models.CharField(_("类型"), max_length=14, choices=Kind, default=Kind.FINISHED)
    base_unit = models.CharField(_("计量单位"), max_length=8)
    material = models.CharField(_("是什么"), max_length=20, blank=True, default="")
    gtin = models.CharField("GTIN", max_length=14, null=True, blank=True)
    gtin_claim = models.CharField(max_length=10, choices=GtinClaim, default=GtinClaim.NONE)
    current = models.ForeignKey(
        "trace.ProductVersion", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("产品")
        verbose_name_plural = _("产品")
        constraints = [
            models.UniqueConstraint(fields=["organisation", "code"], name="one_product_code"),
            models.UniqueConstraint(
                fields=["gtin"], condition=models.Q(gtin_claim="confirmed"), name="one_confirmed_gtin"
            ),
            models.CheckConstraint(
                condition=models.Q(gtin__isnull=True, gtin_claim="none")
                | (models.Q(gtin__isnull=False) & ~models.Q(gtin_claim="none")),
                name="gtin_and_claim_together",
            ),
        ]

    def __str__(self) -> str:
        return self.current.label if self.current else self.code


class ProductVersion(models.Model):
    """What a product said of itself from one day on. Append-only: a change is a new version.

    ``declared_limits`` are the limits the producer pledges beyond the law, by the field of the product's test:
    ``{"methanol_100": {"operator": "<=", "value": "0.4"}}``, in that field's unit.
    """

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    name = models.CharField(_("品名"), max_length=120)
    name_en = models.CharField(_("英文品名"), max_length=160, blank=True)
    brand = models.CharField(_("商标"), max_length=80, blank=True)
    spec = models.CharField(_("规格"), max_length=80, blank=True)
    net_content = models.CharField(_("净含量"), max_length=40, blank=True)
    ingredients = models.CharField(_("配料"), max_length=300, blank=True)
    grade = models.CharField(_("质量等级"), max_length=20, blank=True)
    standard = models.ForeignKey(Standard, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    standard_text = models.CharField(_("执行标准"), max_length=120, blank=True)
    licence_number = models.CharField(_("生产许可证编号"), max_length=40, blank=True)
    pledge = models.CharField(_("质量承诺"), max_length=500, blank=True)
    gi_claim = models.CharField(_("地理标志声明"), max_length=60, blank=True)
    shelf_life_days = models.PositiveIntegerField(_("保质期(天)"), null=True, blank=True)
    storage = models.CharField(_("贮存条件"), max_length=120, blank=True)
    warning = models.CharField(_("警示语"), max_length=120, blank=True)
    packs = models.JSONField(default=dict, blank=True)
    declared_limits = models.JSONField(_("承诺限值"), default=dict, blank=True)
    by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    append_only = True

    class Meta:
        verbose_name = _("产品版本")
        verbose_name_plural = _("产品版本")
        ordering = ["product", "number"]
        constraints = [models.UniqueConstraint(fields=["product", "number"], name="one_version_number")]

    def __str__(self) -> str:
        return self.label

    @property
    def label(self) -> str:
        """The product's name in the reader's language, with specification."""
        english = (get_language() or "").startswith("en") and self.name_en
        return f"{self.name_en if english else self.name} {self.spec}".strip()
