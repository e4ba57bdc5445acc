"""Telling the holders and hearing from them: notices, the outbox, acknowledgements and stock answers."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from recalls.models.campaigns import Campaign
from recalls.models.scopes import ScopeVersion
from recalls.notice_states import NOTICE_TERMINAL, EscalationStep, NoticeStatus
from trace.identifiers import uuid7


class Notice(models.Model):
    """The notice of one campaign to one holder about some lots (召回通知). A wider scope makes another one.

    ``status`` moves only by the rows of ``recalls.notice_states``. ``carrier`` is the member that knows an outsider
    (``Organisation.kept_by``) and can hand the letter on. ``parent`` is the notice whose recipient passed it on to this
    one (its own customer), ``tier`` how many hands lie between. ``link_round`` is signed into the letter's link:
    counting it up makes earlier links worthless. ``disputed_at`` is when somebody said that an answer was not theirs.
    """

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    campaign = models.ForeignKey(Campaign, on_delete=models.PROTECT, related_name="notices")
    scope = models.ForeignKey(ScopeVersion, on_delete=models.PROTECT, related_name="notices")
    organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="recall_notices")
    carrier = models.ForeignKey(
        "trace.Organisation", null=True, on_delete=models.PROTECT, related_name="recall_notices_carried"
    )
    parent = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="children")
    tier = models.PositiveSmallIntegerField(_("层级"), default=1)
    link_round = models.PositiveSmallIntegerField(default=1)
    status = models.CharField(_("状态"), max_length=16, choices=NoticeStatus.choices, default=NoticeStatus.CREATED)
    created_at = models.DateTimeField(default=timezone.now)
    sent_at = models.DateTimeField(null=True)
    seen_at = models.DateTimeField(null=True)
    acknowledged_at = models.DateTimeField(null=True)
    answered_at = models.DateTimeField(null=True)
    escalation = models.CharField(max_length=10, choices=EscalationStep.choices, blank=True)
    escalated_at = models.DateTimeField(null=True)
    disputed_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("召回通知")
        verbose_name_plural = _("召回通知")
        ordering = ["id"]
        indexes = [models.Index(fields=["organisation", "-id"]), models.Index(fields=["campaign", "status"])]
        constraints = [
            models.UniqueConstraint(fields=["campaign", "organisation", "scope"], name="one_notice_per_scope"),
            models.CheckConstraint(
                condition=models.Q(escalation="", escalated_at__isnull=True)
                | (~models.Q(escalation="") & models.Q(escalated_at__isnull=False)),
                name="escalation_facts_together",
            ),
            models.CheckConstraint(
                condition=~models.Q(status="stock_answered") | models.Q(answered_at__isnull=False),
                name="answered_notice_has_time",
            ),
            models.CheckConstraint(
                condition=~models.Q(status__in=["acknowledged", "stock_answered"])
                | models.Q(acknowledged_at__isnull=False),
                name="acknowledged_notice_has_time",
            ),
            models.CheckConstraint(
                condition=models.Q(parent__isnull=True, tier=1) | models.Q(parent__isnull=False, tier__gt=1),
                name="passed_on_notice_has_tier",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.campaign_id} → {self.organisation_id}"

    @property
    def is_open(self) -> bool:
        """Whether the recipient can still answer."""
        return self.status not in NOTICE_TERMINAL


class NoticeLot(models.Model):
    """One lot that a notice asks about, with what the recipient had by record. Append-only."""

    notice = models.ForeignKey(Notice, on_delete=models.PROTECT, related_name="lots")
    lot = models.ForeignKey("trace.Lot", on_delete=models.PROTECT, related_name="+")
    on_hand_micros = models.BigIntegerField(default=0)
    unconfirmed_micros = models.BigIntegerField(default=0)

    append_only = True

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["notice", "lot"], name="one_notice_lot")]

    def __str__(self) -> str:
        return f"{self.notice_id}: {self.lot_id}"


class NoticeStep(models.Model):
    """One step of a notice, or one attempt to reach the recipient. Append-only."""

    notice = models.ForeignKey(Notice, on_delete=models.PROTECT, related_name="steps")
    old = models.CharField(max_length=16, blank=True)
    new = models.CharField(max_length=16)
    action = models.CharField(max_length=20)
    side = models.CharField(max_length=10)
    by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")
    by_organisation = models.ForeignKey("trace.Organisation", null=True, on_delete=models.PROTECT, related_name="+")
    reason = models.CharField(max_length=500, blank=True)
    at = models.DateTimeField(default=timezone.now)

    append_only = True

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.notice_id}: {self.action}"


class OutboxMessage(models.Model):
    """One message that must not be lost: written with the fact it tells of, sent by the worker, sent once.

    A worker claims it by a conditional update that sets ``lease`` and ``leased_until``; if it dies, the lease runs
    out and another sends again under the same Message-ID, which mail programs show once. ``next_at`` grows with each
    failed attempt; nothing is given up but addresses the mail server refuses for good (``failed_at``).
    """

    class Channel(models.TextChoices):
        EMAIL = "email", _("电子邮件")
        SMS = "sms", _("短信")
        LETTER = "letter", _("信函")
        IN_APP = "in_app", _("站内通知")

    class Kind(models.TextChoices):
        NOTICE = "notice", _("召回通知")
        REMINDER = "reminder", _("催办")
        CHANGE = "change", _("范围变更")
        TURNED = "turned", _("转为召回")
        END = "end", _("结束通知")

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    notice = models.ForeignKey(Notice, on_delete=models.PROTECT, related_name="messages")
    channel = models.CharField(_("渠道"), max_length=8, choices=Channel)
    kind = models.CharField(_("内容"), max_length=10, choices=Kind, default=Kind.NOTICE)
    round = models.PositiveSmallIntegerField(default=1)
    address = models.CharField(_("地址"), max_length=254, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    next_at = models.DateTimeField(default=timezone.now)
    attempts = models.PositiveIntegerField(default=0)
    lease = models.UUIDField(null=True)
    leased_until = models.DateTimeField(null=True)
    sent_at = models.DateTimeField(null=True)
    failed_at = models.DateTimeField(null=True)
    delivered_at = models.DateTimeField(null=True)
    bounced_at = models.DateTimeField(null=True)
    error = models.CharField(max_length=300, blank=True)

    class Meta:
        verbose_name = _("待发消息")
        verbose_name_plural = _("待发消息")
        ordering = ["id"]
        indexes = [
            models.Index(
                fields=["next_at"],
                name="outbox_due",
                condition=models.Q(sent_at__isnull=True, failed_at__isnull=True),
            )
        ]
        constraints = [
            models.UniqueConstraint(fields=["notice", "channel", "kind", "round"], name="one_message"),
            models.CheckConstraint(
                condition=models.Q(sent_at__isnull=True) | models.Q(failed_at__isnull=True), name="sent_or_failed"
            ),
            models.CheckConstraint(
                condition=models.Q(lease__isnull=True, leased_until__isnull=True)
                | models.Q(lease__isnull=False, leased_until__isnull=False),
                name="lease_facts_together",
            ),
            models.CheckConstraint(
                condition=~models.Q(channel__in=["email", "sms"]) | ~models.Q(address=""), name="email_has_address"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.channel} {self.uid}"


class Acknowledgement(models.Model):
    """One answer of a recipient: that it knows, or what it has. Append-only; a later one stands beside the earlier.

    ``name`` is what a person without account wrote (sealed), shown to whoever opens the same link.
    """

    class Channel(models.TextChoices):
        ACCOUNT = "account", _("登录确认")
        LINK = "link", _("凭信函链接")
        TELEPHONE = "telephone", _("电话记录")

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    notice = models.ForeignKey(Notice, on_delete=models.PROTECT, related_name="acknowledgements")
    channel = models.CharField(_("方式"), max_length=10, choices=Channel)
    with_stock = models.BooleanField(default=False)
    will_act = models.BooleanField(default=True)
    name = models.ForeignKey("trace.PersonalRecord", null=True, on_delete=models.PROTECT, related_name="+")
    remark = models.ForeignKey("trace.PersonalRecord", null=True, on_delete=models.PROTECT, related_name="+")
    by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")
    by_organisation = models.ForeignKey("trace.Organisation", null=True, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    append_only = True

    class Meta:
        ordering = ["id"]
        verbose_name = _("回执")
        verbose_name_plural = _("回执")

    def __str__(self) -> str:
        return f"{self.notice_id}: {self.channel}"


class StockAnswer(models.Model):
    """What a recipient says of one lot, in millionths of its base unit. Append-only; the latest per lot counts.

    ``sealed_micros`` is the part of ``on_hand_micros`` set apart; ``sold_micros`` went on to customers or dealers;
    ``unknown_micros`` it cannot account for.
    """

    acknowledgement = models.ForeignKey(Acknowledgement, on_delete=models.PROTECT, related_name="stock")
    notice = models.ForeignKey(Notice, on_delete=models.PROTECT, related_name="stock")
    lot = models.ForeignKey("trace.Lot", on_delete=models.PROTECT, related_name="stock_answers")
    on_hand_micros = models.BigIntegerField(default=0)
    sealed_micros = models.BigIntegerField(default=0)
    sold_micros = models.BigIntegerField(default=0)
    unknown_micros = models.BigIntegerField(default=0)
    at = models.DateTimeField(default=timezone.now)

    append_only = True

    class Meta:
        ordering = ["id"]
        verbose_name = _("库存反馈")
        verbose_name_plural = _("库存反馈")
        constraints = [
            models.UniqueConstraint(fields=["acknowledgement", "lot"], name="one_answer_per_lot"),
            models.CheckConstraint(
                condition=models.Q(
                    on_hand_micros__gte=0, sealed_micros__gte=0, sold_micros__gte=0, unknown_micros__gte=0
                )
                & models.Q(sealed_micros__lte=models.F("on_hand_micros")),
                name="stock_answer_makes_sense",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.notice_id}: {self.lot_id}"
