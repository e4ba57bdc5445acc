"""Addresses of partners' systems that are told of what concerns them, and every delivery to them."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from recalls.models.notices import OutboxMessage
from trace.identifiers import uuid7


class Webhook(models.Model):
    """One address of one organisation. ``secret`` signs each delivery; after a rotation ``old_secret`` signs too until
    ``old_until``, so that the receiver changes over in its own time. Secrets are sealed.
    """

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="webhooks")
    url = models.CharField(_("网址"), max_length=300)
    secret = models.ForeignKey("trace.PersonalRecord", on_delete=models.PROTECT, related_name="+")
    old_secret = models.ForeignKey("trace.PersonalRecord", null=True, on_delete=models.PROTECT, related_name="+")
    old_until = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=timezone.now)
    by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["id"]
        verbose_name = _("推送地址")
        verbose_name_plural = _("推送地址")
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "url"], condition=models.Q(ended_at=None), name="one_open_webhook"
            )
        ]

    def __str__(self) -> str:
        return self.url


class WebhookDelivery(models.Model):
    """One message to one address: written with the fact it tells of, sent by the worker under a lease, tried again with
    growing pauses for about a day. The same ``uid`` with every attempt lets the receiver drop a second one.
    """

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    webhook = models.ForeignKey(Webhook, on_delete=models.PROTECT, related_name="deliveries")
    event = models.CharField(_("事项"), max_length=30)
    body = models.JSONField()
    created_at = models.DateTimeField(default=timezone.now)
    next_at = models.DateTimeField(default=timezone.now)
    attempts = models.PositiveIntegerField(default=0)
    lease = models.UUIDField(null=True)
    leased_until = models.DateTimeField(null=True)
    status_code = models.PositiveSmallIntegerField(null=True)
    error = models.CharField(max_length=200, blank=True)
    sent_at = models.DateTimeField(null=True)
    failed_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("推送记录")
        verbose_name_plural = _("推送记录")
        indexes = [
            models.Index(
                fields=["next_at"],
                name="delivery_due",
                condition=models.Q(sent_at__isnull=True, failed_at__isnull=True),
            )
        ]

    def __str__(self) -> str:
        return f"{self.event} {self.uid}"

    @property
    def event_label(self) -> str:
        """What is told, in words."""
        labels = {**dict(OutboxMessage.Kind.choices), "answered": _("客户的答复")}
        return str(labels.get(self.event, self.event))
