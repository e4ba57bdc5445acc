"""Where one organisation's records meet another's: claims that two lots are one, codes issued elsewhere, reminders and
answers about goods that changed hands.
"""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from trace.identifiers import uuid7


class LotClaim(models.Model):
    """A receiver says that an external lot of its books is (a part of) a lot its supplier keeps in the system.

    Nothing is joined until the supplier confirms; then ``event`` (step ``common.join``) links ``lot`` to ``external``
    and every walk crosses it. Declaring that event wrong undoes the join; the claim is then withdrawn. A scope counts
    claims that are open or denied as possible.
    """

    class Status(models.TextChoices):
        OPEN = "open", _("待供货方确认")
        CONFIRMED = "confirmed", _("供货方已确认")
        DENIED = "denied", _("供货方否认")
        WITHDRAWN = "withdrawn", _("已撤回")

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    external = models.ForeignKey("trace.Lot", on_delete=models.PROTECT, related_name="claims")
    lot = models.ForeignKey("trace.Lot", on_delete=models.PROTECT, related_name="claimed_as")
    claimant = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="claims_made")
    supplier = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="claims_received")
    typed_code = models.CharField(_("收货方写的批号"), max_length=60)
    status = models.CharField(max_length=10, choices=Status, default=Status.OPEN)
    event = models.ForeignKey("trace.Event", null=True, on_delete=models.PROTECT, related_name="joins")
    at = models.DateTimeField(default=timezone.now)
    by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        verbose_name = _("批次对接")
        verbose_name_plural = _("批次对接")
        constraints = [
            models.UniqueConstraint(
                fields=["external"],
                condition=models.Q(status__in=["open", "confirmed"]),
                name="one_standing_claim_per_lot",
            ),
            models.CheckConstraint(
                condition=models.Q(status="confirmed", event__isnull=False) | ~models.Q(status="confirmed"),
                name="confirmed_claim_has_event",
            ),
        ]
        indexes = [
            models.Index(fields=["supplier", "status"]),
            models.Index(fields=["claimant", "status"]),
            models.Index(fields=["lot", "status"]),
        ]

    def __str__(self) -> str:
        return f"{self.external_id} = {self.lot_id}: {self.status}"


class LotClaimStep(models.Model):
    """One step in the life of a claim: made, confirmed, denied, withdrawn. Append-only."""

    claim = models.ForeignKey(LotClaim, on_delete=models.PROTECT, related_name="steps")
    old = models.CharField(max_length=10, blank=True)
    new = models.CharField(max_length=10)
    by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")
    by_organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="+")
    reason = models.CharField(max_length=500, blank=True)
    at = models.DateTimeField(default=timezone.now)

    append_only = True

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.claim_id}: {self.old} → {self.new}"

    @property
    def new_words(self) -> str:
        """The state reached, for people."""
        return str(LotClaim.Status(self.new).label)


class OldCode(models.Model):
    """A code that was issued elsewhere, before the system was there, and that its bringer says names this lot.

    ``key`` is the text as it is looked up; ``event`` (step ``common.old_codes``) carries how many there were and the
    SHA-256 of all of them. Whose word it is stays with it: we never say that we issued it. Append-only.
    """

    class Kind(models.TextChoices):
        LOT = "lot", _("旧批号")
        LABEL = "label", _("旧标签的码")

    lot = models.ForeignKey("trace.Lot", on_delete=models.PROTECT, related_name="old_codes")
    organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="old_codes")
    kind = models.CharField(max_length=6, choices=Kind)
    text = models.CharField(_("旧码"), max_length=300)
    key = models.CharField(max_length=300)
    issued_by = models.CharField(_("由谁签发"), max_length=120, blank=True)
    event = models.ForeignKey("trace.Event", on_delete=models.PROTECT, related_name="old_codes")
    at = models.DateTimeField(default=timezone.now)

    append_only = True

    class Meta:
        verbose_name = _("旧码")
        verbose_name_plural = _("旧码")
        constraints = [models.UniqueConstraint(fields=["event", "key"], name="one_old_code_per_event")]
        indexes = [models.Index(fields=["key"]), models.Index(fields=["lot"])]

    def __str__(self) -> str:
        return self.text


class Reminder(models.Model):
    """One side of a shipment reminds the other: of a receipt not confirmed, or of a difference not settled.

    ``email`` is where a mail goes, empty where the other side has no address (it then reads it at home in the system).
    ``mailed_at`` is set by the worker when the mail server took it; ``lease_until`` keeps two workers apart.
    """

    class About(models.TextChoices):
        RECEIPT = "receipt", _("请确认收货")
        DIFFERENCE = "difference", _("请处理数量差异")

    shipment = models.ForeignKey("trace.Shipment", on_delete=models.PROTECT, related_name="reminders")
    about = models.CharField(max_length=10, choices=About)
    organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="reminders_sent")
    reminded = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="reminders")
    by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)
    email = models.EmailField(blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_at = models.DateTimeField(default=timezone.now)
    lease_until = models.DateTimeField(null=True)
    mailed_at = models.DateTimeField(null=True)
    failed_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("催办")
        verbose_name_plural = _("催办")
        indexes = [
            models.Index(fields=["shipment", "-id"]),
            models.Index(fields=["reminded", "-id"]),
            models.Index(
                fields=["next_at"],
                condition=models.Q(mailed_at__isnull=True, failed_at__isnull=True) & ~models.Q(email=""),
                name="reminders_to_mail",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.about} {self.shipment_id}"


class DifferenceAnswer(models.Model):
    """What one side says to a difference between sent and received of one transfer, about one receipt. Append-only.

    A corrected receipt is another event, so old answers no longer speak of it. The difference is settled when the
    sender accepts it; ``disputed`` keeps it open.
    """

    class Answer(models.TextChoices):
        ACCEPTED = "accepted", _("认可实收数量")
        DISPUTED = "disputed", _("不认可，发出数量无误")

    transfer = models.ForeignKey("trace.Transfer", on_delete=models.PROTECT, related_name="answers")
    receipt = models.ForeignKey("trace.Event", on_delete=models.PROTECT, related_name="difference_answers")
    organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="+")
    answer = models.CharField(max_length=10, choices=Answer)
    words = models.CharField(max_length=500, blank=True)
    by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    append_only = True

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["transfer", "receipt"])]

    def __str__(self) -> str:
        return f"{self.transfer_id}: {self.answer}"
