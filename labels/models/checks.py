"""Scratch-off check codes: their hashes, and what became of every attempt."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class CheckHashes(models.Model):
    """The keyed hashes of the check codes of one piece of a run, 16 bytes each, in the order of the units' numbers
    from ``first_number`` on. Append-only.
    """

    run = models.ForeignKey("labels.CodeRun", on_delete=models.PROTECT, related_name="check_hashes")
    first_number = models.PositiveIntegerField()
    hashes = models.BinaryField()

    append_only = True

    class Meta:
        verbose_name_plural = "check hashes"
        constraints = [models.UniqueConstraint(fields=["run", "first_number"], name="one_piece_of_hashes")]

    def __str__(self) -> str:
        return f"{self.run_id} {self.first_number}"


class CheckTally(models.Model):
    """What was tried on one unit: ``matched`` times right, first at ``first_at``; ``wrong`` times wrong since
    ``since``, in all ``wrong_ever``. Derived from ``CheckAttempt`` and written with it; the limit is counted here.
    """

    unit = models.OneToOneField("trace.Unit", on_delete=models.PROTECT, related_name="check_tally")
    run = models.ForeignKey("labels.CodeRun", on_delete=models.PROTECT, related_name="check_tallies")
    matched = models.PositiveIntegerField(default=0)
    first_at = models.DateTimeField(null=True)
    first_place = models.CharField(max_length=60, blank=True, default="")
    wrong = models.PositiveSmallIntegerField(default=0)
    wrong_ever = models.PositiveIntegerField(default=0)
    since = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.unit_id}: {self.matched}/{self.wrong}"


class CheckAttempt(models.Model):
    """One check code typed for one unit, and what was answered. Append-only; what was typed is not kept.

    ``nonce`` is the page's: the same form sent twice is one attempt. ``left`` is how many were left that day.
    ``before_at`` and ``before_place`` say when and where the code had been checked first.
    """

    class Answer(models.TextChoices):
        FIRST = "first", _("第一次核对，一致")
        AGAIN = "again", _("一致，以前核对过")
        WRONG = "wrong", _("不一致")
        LOCKED = "locked", _("当天次数已用完")

    unit = models.ForeignKey("trace.Unit", on_delete=models.PROTECT, related_name="check_attempts")
    nonce = models.CharField(max_length=32, unique=True)
    answer = models.CharField(max_length=6, choices=Answer)
    left = models.PositiveSmallIntegerField(default=0)
    times = models.PositiveIntegerField(default=0)
    before_at = models.DateTimeField(null=True)
    before_place = models.CharField(max_length=60, blank=True, default="")
    place = models.CharField(max_length=60, blank=True, default="")
    at = models.DateTimeField(default=timezone.now)

    append_only = True

    class Meta:
        verbose_name = _("校验码核对")
        verbose_name_plural = _("校验码核对")

    def __str__(self) -> str:
        return f"{self.unit_id}: {self.answer}"
