"""What consumers tell us and ask of us: complaints, claims, subscriptions, and the messages that answer them.

Whatever may name a person (words, contact, photographs, replies) is a ``PersonalRecord`` with a key of its own, so that
one tap or the end of the retention time makes it unreadable while the counts stay.
"""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from recalls.models.campaigns import Campaign
from trace.identifiers import uuid7


class ConsumerCase(models.Model):
    """One complaint about goods, or one claim in an announced recall.

    ``number`` is the receipt: who holds it reads the reply. ``owner`` must answer by ``due_at`` (computed from the
    ``ServiceTarget`` in force, kept in ``due_rule``); null means that the code was never issued here, and any
    regulator may take it. ``flags`` are the codes of what makes a claim implausible (``recalls.plausible``). A claim's
    campaign is never a drill.
    """

    class Kind(models.TextChoices):
        COMPLAINT = "complaint", _("反映")
        CLAIM = "claim", _("召回申请")

    class What(models.TextChoices):
        PRODUCT = "product", _("产品、包装或规格不一样")
        DATES = "dates", _("生产日期或批号不一样")
        COPIED = "copied", _("怀疑标签是复制或伪造的")
        QUALITY = "quality", _("质量有问题（异味、霉变、异物、破损等）")
        HARM = "harm", _("食用或使用后身体不适")
        RECALL = "recall", _("标明已召回，仍在销售")
        OTHER = "other", _("其他")

    class Status(models.TextChoices):
        OPEN = "open", _("待答复")
        ACCEPTED = "accepted", _("已受理")
        ANSWERED = "answered", _("已答复")
        SETTLED = "settled", _("已办结")
        REFUSED = "refused", _("未予支持")

    class Remedy(models.TextChoices):
        RETURN = "return", _("退货")
        EXCHANGE = "exchange", _("换货")
        REPAIR = "repair", _("修理")
        REFUND = "refund", _("退款")

    class Payer(models.TextChoices):
        PRODUCER = "producer", _("生产者")
        SELLER = "seller", _("经营者")
        ADVANCE = "advance", _("先行赔付")

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    number = models.CharField(_("回执号"), max_length=24, unique=True)
    nonce = models.CharField(max_length=32, unique=True)
    kind = models.CharField(_("类型"), max_length=10, choices=Kind)
    what = models.CharField(_("问题"), max_length=10, choices=What)
    fact = models.CharField(_("页面上的哪一项"), max_length=60, blank=True)
    status = models.CharField(_("状态"), max_length=10, choices=Status, default=Status.OPEN)
    lot = models.ForeignKey("trace.Lot", null=True, on_delete=models.PROTECT, related_name="consumer_cases")
    unit = models.ForeignKey("trace.Unit", null=True, on_delete=models.PROTECT, related_name="consumer_cases")
    code = models.CharField(_("所扫的码"), max_length=100, blank=True)
    organisation = models.ForeignKey(
        "trace.Organisation", null=True, on_delete=models.PROTECT, related_name="consumer_cases"
    )
    owner = models.ForeignKey("trace.Organisation", null=True, on_delete=models.PROTECT, related_name="cases_owned")
    person = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")
    due_at = models.DateTimeField(_("答复期限"))
    due_rule = models.JSONField(default=dict)
    campaign = models.ForeignKey(Campaign, null=True, on_delete=models.PROTECT, related_name="claims")
    signal = models.ForeignKey("recalls.Signal", null=True, on_delete=models.PROTECT, related_name="cases")
    remedy = models.CharField(_("要求"), max_length=8, choices=Remedy, blank=True)
    pieces = models.PositiveIntegerField(_("件数"), default=1)
    shop = models.CharField(_("在哪里买的"), max_length=100, blank=True)
    bought_on = models.DateField(_("购买日期"), null=True)
    price_cents = models.PositiveBigIntegerField(_("价款（分）"), null=True)
    payer = models.CharField(_("赔付方"), max_length=8, choices=Payer, blank=True)
    payer_name = models.CharField(_("由谁支付"), max_length=120, blank=True)
    paid_cents = models.PositiveBigIntegerField(_("已付（分）"), null=True)
    flags = models.JSONField(default=list)
    words = models.ForeignKey("trace.PersonalRecord", null=True, on_delete=models.PROTECT, related_name="+")
    contact = models.ForeignKey("trace.PersonalRecord", null=True, on_delete=models.PROTECT, related_name="+")
    share_contact = models.BooleanField(_("同意把联系方式交给生产者"), default=False)
    consented_at = models.DateTimeField(null=True)
    received_at = models.DateTimeField(_("收到时间"), default=timezone.now)
    ended_at = models.DateTimeField(null=True)
    forgotten_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("消费者来件")
        verbose_name_plural = _("消费者来件")
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["owner", "status", "due_at"]),
            models.Index(fields=["lot", "kind"]),
            models.Index(fields=["unit"]),
            models.Index(fields=["campaign", "status"]),
            models.Index(fields=["status", "due_at"]),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(kind="claim", campaign__isnull=False)
                | models.Q(kind="complaint", campaign__isnull=True, remedy=""),
                name="claim_has_campaign",
            ),
            models.CheckConstraint(condition=models.Q(pieces__gte=1), name="case_has_pieces"),
            models.CheckConstraint(
                condition=models.Q(contact__isnull=True) | models.Q(consented_at__isnull=False),
                name="contact_has_consent",
            ),
        ]

    def __str__(self) -> str:
        return self.number

    @property
    def is_ended(self) -> bool:
        """Whether nothing more is expected of the owner."""
        return self.status in (self.Status.ANSWERED, self.Status.SETTLED, self.Status.REFUSED)

    @property
    def is_overdue(self) -> bool:
        """Whether an answer is due and did not come."""
        return not self.is_ended and self.due_at < timezone.now()

    @property
    def code_words(self) -> str:
        """The code as it can be read to somebody: of the unit, the lot, or what was typed."""
        if self.unit is not None:
            return self.unit.code
        return self.lot.public_code if self.lot is not None else self.code


class CaseStep(models.Model):
    """One step of a case. Append-only. ``public`` steps are read with the receipt; their words are sealed."""

    class Step(models.TextChoices):
        FILED = "filed", _("收到")
        ASSIGNED = "assigned", _("指定承办人")
        HANDED = "handed", _("转交")
        ACCEPTED = "accepted", _("受理")
        REPLIED = "replied", _("答复")
        SETTLED = "settled", _("办结")
        REFUSED = "refused", _("不予支持")
        NOTED = "noted", _("内部记录")
        FORGOTTEN = "forgotten", _("删除个人信息")

    case = models.ForeignKey(ConsumerCase, on_delete=models.PROTECT, related_name="steps")
    step = models.CharField(max_length=10, choices=Step)
    public = models.BooleanField(default=True)
    words = models.ForeignKey("trace.PersonalRecord", null=True, on_delete=models.PROTECT, related_name="+")
    data = models.JSONField(default=dict)
    by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")
    by_organisation = models.ForeignKey("trace.Organisation", null=True, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    append_only = True

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.case_id}: {self.step}"


class CasePhoto(models.Model):
    """One photograph of a case (goods, label, receipt), made anew without camera data and sealed. Append-only."""

    class What(models.TextChoices):
        GOODS = "goods", _("商品照片")
        RECEIPT = "receipt", _("购买凭证")

    case = models.ForeignKey(ConsumerCase, on_delete=models.PROTECT, related_name="photos")
    what = models.CharField(max_length=8, choices=What)
    picture = models.ForeignKey("trace.PersonalRecord", on_delete=models.PROTECT, related_name="+")
    size = models.PositiveIntegerField()
    at = models.DateTimeField(default=timezone.now)

    append_only = True

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.case_id}: {self.what}"


class Subscription(models.Model):
    """告诉我召回: who wants to hear of recalls of what. It counts once confirmed from the address itself.

    ``address`` is sealed; ``address_hash`` finds the same address again without keeping it and is emptied when the
    subscription ends.
    """

    class Channel(models.TextChoices):
        EMAIL = "email", _("电子邮件")
        SMS = "sms", _("短信")

    class Scope(models.TextChoices):
        LOT = "lot", _("这个批次")
        PRODUCT = "product", _("这个产品")
        FIRM = "firm", _("这个生产者的所有产品")
        ALL = "all", _("所有召回")

    class Status(models.TextChoices):
        WAITING = "waiting", _("待确认")
        ACTIVE = "active", _("已生效")
        ENDED = "ended", _("已取消")

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    channel = models.CharField(_("方式"), max_length=8, choices=Channel, default=Channel.EMAIL)
    scope = models.CharField(_("范围"), max_length=8, choices=Scope)
    lot = models.ForeignKey("trace.Lot", null=True, on_delete=models.PROTECT, related_name="+")
    product = models.ForeignKey("trace.Product", null=True, on_delete=models.PROTECT, related_name="+")
    firm = models.ForeignKey("trace.Organisation", null=True, on_delete=models.PROTECT, related_name="+")
    address = models.ForeignKey("trace.PersonalRecord", on_delete=models.PROTECT, related_name="+")
    address_hash = models.CharField(max_length=32, blank=True)
    language = models.CharField(max_length=8, default="zh-hans")
    status = models.CharField(_("状态"), max_length=8, choices=Status, default=Status.WAITING)
    nonce = models.CharField(max_length=32, unique=True)
    consented_at = models.DateTimeField(default=timezone.now)
    confirmed_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("召回订阅")
        verbose_name_plural = _("召回订阅")
        indexes = [
            models.Index(fields=["lot", "status"]),
            models.Index(fields=["product", "status"]),
            models.Index(fields=["firm", "status"]),
            models.Index(fields=["scope", "status"]),
            models.Index(fields=["address_hash"]),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(scope="lot", lot__isnull=False)
                | models.Q(scope="product", product__isnull=False)
                | models.Q(scope="firm", firm__isnull=False)
                | models.Q(scope="all"),
                name="subscription_names_goods",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.scope} {self.uid}"


class PublicMessage(models.Model):
    """One message to a consumer: written with the fact it tells of, sent by the worker under a lease, sent once.

    The address is read from the sealed record when it is sent and lies nowhere else. One row per subscription and
    publication of a recall: whoever was told is told again only of an announcement that newly concerns it. (Rows of
    before that rule name no publication.)
    """

    class Kind(models.TextChoices):
        CONFIRM = "confirm", _("确认订阅")
        RECALL = "recall", _("召回提醒")
        REPLY = "reply", _("答复提醒")

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    kind = models.CharField(max_length=8, choices=Kind)
    subscription = models.ForeignKey(Subscription, null=True, on_delete=models.PROTECT, related_name="messages")
    campaign = models.ForeignKey(Campaign, null=True, on_delete=models.PROTECT, related_name="public_messages")
    publication = models.ForeignKey(
        "recalls.Publication", null=True, on_delete=models.PROTECT, related_name="public_messages"
    )
    step = models.OneToOneField(CaseStep, null=True, on_delete=models.PROTECT, related_name="message")
    created_at = models.DateTimeField(default=timezone.now)
    next_at = models.DateTimeField(default=timezone.now)
    attempts = models.PositiveIntegerField(default=0)
    lease = models.UUIDField(null=True)
    leased_until = models.DateTimeField(null=True)
    sent_at = models.DateTimeField(null=True)
    failed_at = models.DateTimeField(null=True)
    error = models.CharField(max_length=200, blank=True)

    class Meta:
        verbose_name = _("公众消息")
        verbose_name_plural = _("公众消息")
        indexes = [
            models.Index(
                fields=["next_at"],
                name="public_message_due",
                condition=models.Q(sent_at__isnull=True, failed_at__isnull=True),
            )
        ]
        constraints = [
            models.UniqueConstraint(fields=["subscription", "publication"], name="told_once_of_a_publication"),
            models.UniqueConstraint(
                fields=["subscription"], condition=models.Q(kind="confirm"), name="one_confirmation"
            ),
            models.CheckConstraint(
                condition=models.Q(sent_at__isnull=True) | models.Q(failed_at__isnull=True),
                name="public_message_sent_or_failed",
            ),
            models.CheckConstraint(
                condition=models.Q(kind="recall", subscription__isnull=False, campaign__isnull=False)
                | models.Q(kind="confirm", subscription__isnull=False, campaign__isnull=True)
                | models.Q(kind="reply", step__isnull=False),
                name="public_message_has_subject",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.uid}"


class Fanout(models.Model):
    """How far the subscribers of one publication have been found: the worker goes on after a kill where it stopped."""

    publication = models.OneToOneField("recalls.Publication", on_delete=models.PROTECT, related_name="fanout")
    after = models.BigIntegerField(default=0)
    told = models.PositiveIntegerField(default=0)
    begun_at = models.DateTimeField(default=timezone.now)
    done_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.publication_id}: {self.told}"


class ServiceTarget(models.Model):
    """How long something may take, as somebody set it and why. Append-only: the last row of a key is in force.

    These are aims of the installation, not legal limits, and pages say so. ``hours`` run through nights and holidays.
    """

    class Key(models.TextChoices):
        COMPLAINT = "complaint", _("反映：答复")
        HARM = "harm", _("身体不适或伤害：答复")
        CLAIM = "claim", _("召回申请：办理")
        KEEP_CONTACT = "keep_contact", _("办结后保留联系方式、内容和照片")
        KEEP_WAITING = "keep_waiting", _("没有确认的订阅保留")

    key = models.CharField(_("事项"), max_length=14, choices=Key)
    hours = models.PositiveIntegerField(_("小时"))
    reason = models.CharField(_("理由"), max_length=300)
    by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")
    by_organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    append_only = True

    class Meta:
        verbose_name = _("办理时限")
        verbose_name_plural = _("办理时限")
        ordering = ["id"]
        indexes = [models.Index(fields=["key", "-id"])]
        constraints = [
            models.CheckConstraint(condition=models.Q(hours__gte=1, hours__lte=87600), name="target_makes_sense"),
        ]

    def __str__(self) -> str:
        return f"{self.key}: {self.hours} h"


class RiskWarning(models.Model):
    """A food-safety risk warning (食品安全风险警示). Only a national or provincial authority may publish one.

    Food Safety Law 2021, article 118: published uniformly by the State Council's department; where its effect is
    limited to a region also by the province's. A lower authority may draft one and submit it. The database refuses a
    published row of any other level.
    """

    class Status(models.TextChoices):
        DRAFT = "draft", _("草稿")
        SUBMITTED = "submitted", _("已报省级")
        PUBLISHED = "published", _("已发布")
        ENDED = "ended", _("已解除")

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    title = models.CharField(_("标题"), max_length=120)
    text = models.TextField(_("风险是什么"), max_length=2000)
    advice = models.TextField(_("公众应当怎么做"), max_length=1000)
    goods = models.CharField(_("涉及的产品"), max_length=300)
    area = models.CharField(_("影响区域"), max_length=200)
    basis = models.CharField(_("依据"), max_length=500)
    status = models.CharField(_("状态"), max_length=10, choices=Status, default=Status.DRAFT)
    drafted_by = models.ForeignKey("trace.User", on_delete=models.PROTECT, related_name="+")
    organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="risk_warnings")
    drafted_at = models.DateTimeField(default=timezone.now)
    publisher = models.ForeignKey("trace.Organisation", null=True, on_delete=models.PROTECT, related_name="+")
    publisher_level = models.CharField(max_length=12, blank=True)
    published_by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")
    published_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    end_reason = models.CharField(_("解除理由"), max_length=300, blank=True)

    class Meta:
        verbose_name = _("风险警示")
        verbose_name_plural = _("风险警示")
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(status__in=["draft", "submitted"], published_at__isnull=True)
                | models.Q(
                    status__in=["published", "ended"],
                    publisher_level__in=["nation", "province"],
                    published_at__isnull=False,
                    publisher__isnull=False,
                ),
                name="warning_published_by_province_or_above",
            ),
        ]

    def __str__(self) -> str:
        return self.title
