"""The recall itself: the campaign, every step of it, what it rests on and what the authority did."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from recalls.law.terms import Form, Level, Tier
from recalls.transitions import OPEN, TERMINAL, Status
from trace.identifiers import uuid7
from trace.models import Product

HOLD_SOURCE = "recalls:campaign:"
"""What stands before a campaign's uid in ``HoldSet.source``."""


def _pair(first: str, second: str) -> models.Q:
    """Both null or both set."""
    return models.Q(**{f"{first}__isnull": True, f"{second}__isnull": True}) | models.Q(
        **{f"{first}__isnull": False, f"{second}__isnull": False}
    )


class Campaign(models.Model):
    """One recall from its assessment to its end (召回活动).

    ``organisation`` is the initiator (producer, brand owner, trader or importer), ``authority`` the regulator that
    supervises. ``status`` moves only by the rows of ``recalls.transitions``; ``revision`` grows with each move, so
    that whoever decides on an old page is told (``stale_state``). ``knew_at`` (知悉时间) is set once: the law counts
    from it. A drill uses the same rows and can never be announced (the database refuses).
    """

    class Kind(models.TextChoices):
        RECALL = "recall", pgettext_lazy("kind", "召回")
        WITHDRAWAL = "withdrawal", _("追回（尚未售给消费者）")
        LABEL = "label", _("标签更正（不影响安全）")

    class Initiator(models.TextChoices):
        """As what the firm recalls (2015 Measures, articles 3, 12, 20 to 22; the brand owner by the 2025 draft)."""

        PRODUCER = "producer", _("生产者")
        BRAND_OWNER = "brand_owner", _("委托方（品牌所有人）")
        TRADER = "trader", _("经营者")

    class Ground(models.TextChoices):
        """Why a trader recalls what another made (2015 Measures, articles 20 to 22)."""

        OWN_FAULT = "own_fault", _("经营者自身原因（储存、运输、分装等）")
        PRODUCER_GONE = "producer_gone", _("生产者已破产或不再经营")
        PRODUCER_UNKNOWN = "unknown", _("生产者无法确定")

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    number = models.CharField(_("编号"), max_length=30, null=True, unique=True)
    title = models.CharField(_("名称"), max_length=120)
    status = models.CharField(_("阶段"), max_length=20, choices=Status.choices, default=Status.ASSESSING)
    revision = models.PositiveIntegerField(default=0)
    is_drill = models.BooleanField(_("演练"), default=False)
    kind = models.CharField(_("类型"), max_length=12, choices=Kind, default=Kind.RECALL)
    track = models.CharField(_("适用类别"), max_length=20, choices=Product.Track)
    regime = models.CharField(_("适用规则"), max_length=30)
    form = models.CharField(_("方式"), max_length=12, choices=Form.choices(), default=Form.VOLUNTARY.value)
    level = models.PositiveSmallIntegerField(_("级别"), null=True, choices=Level.choices())
    organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="campaigns")
    initiator = models.CharField(_("召回身份"), max_length=12, choices=Initiator, default=Initiator.PRODUCER)
    ground = models.CharField(_("由经营者召回的原因"), max_length=14, choices=Ground, blank=True, default="")
    ground_words = models.CharField(_("说明和证据"), max_length=300, blank=True, default="")
    opened_by_organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="+")
    authority = models.ForeignKey(
        "trace.Organisation", null=True, on_delete=models.PROTECT, related_name="campaigns_supervised"
    )
    licence_tier = models.CharField(_("发证级别"), max_length=12, choices=Tier.choices(), blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    knew_at = models.DateTimeField(_("知悉时间"))
    decided_at = models.DateTimeField(null=True)
    decided_by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")
    started_at = models.DateTimeField(null=True)
    started_by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")
    announced_at = models.DateTimeField(null=True)
    announced_by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")
    ended_at = models.DateTimeField(null=True)
    ended_by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")
    summary = models.TextField(_("召回总结"), blank=True)
    explanation = models.TextField(_("差异说明"), blank=True)

    class Meta:
        verbose_name = _("召回")
        verbose_name_plural = _("召回")
        ordering = ["-id"]
        indexes = [models.Index(fields=["organisation", "-id"]), models.Index(fields=["status", "-id"])]
        constraints = [
            models.CheckConstraint(condition=_pair("decided_at", "decided_by"), name="decided_facts_together"),
            models.CheckConstraint(condition=_pair("started_at", "started_by"), name="started_facts_together"),
            models.CheckConstraint(condition=_pair("announced_at", "announced_by"), name="announced_facts_together"),
            models.CheckConstraint(condition=_pair("ended_at", "ended_by"), name="ended_facts_together"),
            models.CheckConstraint(
                condition=models.Q(status__in=sorted(TERMINAL), ended_at__isnull=False)
                | models.Q(status__in=sorted(OPEN), ended_at__isnull=True),
                name="ended_campaign_is_terminal",
            ),
            models.CheckConstraint(
                condition=models.Q(is_drill=False) | models.Q(announced_at__isnull=True), name="drill_never_announced"
            ),
            models.CheckConstraint(
                condition=models.Q(number__isnull=True)
                | models.Q(is_drill=True, number__startswith="演-")
                | (models.Q(is_drill=False) & ~models.Q(number__startswith="演-")),
                name="drill_has_its_own_numbers",
            ),
            models.CheckConstraint(
                condition=models.Q(status__in=["assessing", "refused"], decided_at__isnull=True)
                | (~models.Q(status__in=["assessing", "refused"]) & models.Q(decided_at__isnull=False)),
                name="decided_campaign_is_past_assessing",
            ),
        ]

    def __str__(self) -> str:
        return self.label

    @property
    def label(self) -> str:
        """Number and title; before the decision there is no number."""
        return f"{self.number} {self.title}" if self.number else self.title

    @property
    def quiet(self) -> bool:
        """Whether it is a withdrawal that the public was not told of: no consumer has the goods, as far as is known.
        Not of consumer products: that goods are taken back without a word to the public is the 2015 Measures' (article
        11), which are about food. Nor where the authority ordered the recall: whoever obeys an order to recall does
        not choose to do with less.
        """
        told = self.is_drill or self.announced_at is not None or self.track == Product.Track.CONSUMER
        told = told or self.form == Form.ORDERED
        return self.kind == self.Kind.WITHDRAWAL and not told

    @property
    def hold_source(self) -> str:
        """How the campaign's holds name it in trace."""
        return f"{HOLD_SOURCE}{self.uid}"

    @property
    def own_fault(self) -> bool:
        """Whether a trader recalls for its own fault: what it had is meant, not the whole lot of its maker."""
        return self.initiator == Campaign.Initiator.TRADER and self.ground == Campaign.Ground.OWN_FAULT

    @property
    def as_whom(self) -> str:
        """Who stands first in the announcement: its maker, or as what another recalls in its place (2015 Measures,
        articles 20 to 22).
        """
        if self.initiator == Campaign.Initiator.BRAND_OWNER:
            return gettext("召回单位（委托方，产品由他人生产）")
        if self.initiator != Campaign.Initiator.TRADER:
            return gettext("生产者")
        return {
            Campaign.Ground.OWN_FAULT.value: gettext("召回单位（经营者，原因在本单位）"),
            Campaign.Ground.PRODUCER_GONE.value: gettext("召回单位（经营者；生产者已破产或不再经营）"),
            Campaign.Ground.PRODUCER_UNKNOWN.value: gettext("召回单位（经营者；生产者无法确定）"),
        }.get(self.ground, gettext("召回单位（经营者）"))

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        return self.status not in TERMINAL

    @property
    def has_started(self) -> bool:
        """Whether goods were stopped by it."""
        return self.started_at is not None

    @property
    def legal_level(self) -> Level | None:
        """The level as the law module knows it; None for consumer products, whose law has none."""
        return Level(self.level) if self.level else None

    @property
    def level_label(self) -> str:
        """一级召回 …, or that there is none yet."""
        if self.level:
            return str(Level(self.level).label)
        return gettext("不分级") if self.track == Product.Track.CONSUMER else gettext("未定级")


class CampaignStep(models.Model):
    """One step of a campaign: what was done, by whom, when, why, on which document. Append-only.

    ``action`` is a row of the transition table, or one of the steps beside it (``assess``, ``propose``,
    ``draft_notice``, ``scope``, ``report_progress``, ``stop_sale``); ``about`` then says what is proposed.
    """

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    campaign = models.ForeignKey(Campaign, on_delete=models.PROTECT, related_name="steps")
    old = models.CharField(max_length=20, blank=True)
    new = models.CharField(max_length=20)
    action = models.CharField(max_length=30)
    about = models.CharField(max_length=30, blank=True)
    by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")
    by_organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="+")
    reason = models.CharField(max_length=1000, blank=True)
    document = models.CharField(_("文书编号"), max_length=60, blank=True)
    served_at = models.DateTimeField(_("送达时间"), null=True)
    data = models.JSONField(default=dict)
    at = models.DateTimeField(default=timezone.now)

    append_only = True

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["campaign", "action", "-id"])]

    def __str__(self) -> str:
        return f"{self.campaign_id}: {self.action}"


class CampaignSeries(models.Model):
    """The last running number of one series (real or drill) in one year; taken by a conditional update."""

    series = models.CharField(max_length=8)
    year = models.PositiveSmallIntegerField()
    last = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["series", "year"], name="one_series_per_year")]

    def __str__(self) -> str:
        return f"{self.series}{self.year}: {self.last}"


class Assessment(models.Model):
    """One assessment of the risk, by one person; a later one does not replace it but follows. Append-only."""

    class Hazard(models.TextChoices):
        MICROBE = "microbe", _("微生物")
        TOXIN = "toxin", _("真菌毒素")
        FOREIGN_BODY = "foreign_body", _("异物")
        ADDITIVE = "additive", _("添加剂")
        PESTICIDE = "pesticide", _("农药残留")
        CONTAMINANT = "contaminant", _("重金属等污染物")
        ILLEGAL = "illegal", _("非食品原料")
        ALLERGEN = "allergen", _("致敏物质")
        LABELLING = "labelling", _("标签标识")
        QUALITY = "quality", _("质量指标")
        TIP_OVER = "tip_over", _("倾倒")
        PINCH = "pinch", _("夹伤")
        EDGE = "edge", _("锐边")
        EMISSION = "emission", _("甲醛/挥发物")
        STRENGTH = "strength", _("承重断裂")
        GLASS = "glass", _("玻璃破裂")
        OTHER = "other", _("其他")

    class Severity(models.TextChoices):
        SERIOUS = "serious", _("可能造成严重伤害或死亡")
        GENERAL = "general", _("可能造成一般伤害")
        NONE = "none", _("不造成健康损害")

    class Probability(models.TextChoices):
        LIKELY = "likely", _("很可能发生")
        POSSIBLE = "possible", _("可能发生")
        REMOTE = "remote", _("不太可能发生")

    class Verdict(models.TextChoices):
        RECALL = "recall", _("应当召回")
        WITHDRAW = "withdraw", _("追回即可（尚未售给消费者）")
        CORRECT = "correct", _("更正标签即可（不影响安全）")
        NO_RECALL = "no_recall", _("不需要召回")

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    campaign = models.ForeignKey(Campaign, on_delete=models.PROTECT, related_name="assessments")
    hazard = models.CharField(_("危害类别"), max_length=14, choices=Hazard)
    severity = models.CharField(_("严重程度"), max_length=10, choices=Severity)
    probability = models.CharField(_("发生可能"), max_length=10, choices=Probability)
    population = models.CharField(_("可能受影响的人群"), max_length=200, blank=True)
    verdict = models.CharField(_("结论"), max_length=12, choices=Verdict)
    level = models.PositiveSmallIntegerField(_("建议级别"), null=True, choices=Level.choices())
    basis = models.CharField(_("依据"), max_length=1000)
    experts = models.CharField(_("咨询意见"), max_length=500, blank=True)
    by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")
    by_organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    append_only = True

    class Meta:
        verbose_name = _("风险评估")
        verbose_name_plural = _("风险评估")
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.campaign_id}: {self.get_verdict_display()}"


class RecallPlan(models.Model):
    """One version of the recall plan: the items the regime asks for, as filed. Append-only."""

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    campaign = models.ForeignKey(Campaign, on_delete=models.PROTECT, related_name="plans")
    number = models.PositiveIntegerField()
    items = models.JSONField(default=dict)
    by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")
    by_organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    append_only = True

    class Meta:
        verbose_name = _("召回计划")
        verbose_name_plural = _("召回计划")
        ordering = ["number"]
        constraints = [models.UniqueConstraint(fields=["campaign", "number"], name="one_plan_number")]

    def __str__(self) -> str:
        return f"{self.campaign_id}: {self.number}"
