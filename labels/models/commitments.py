"""承诺达标合格证: certificates by which producers of farm produce pledge for one lot."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from trace.identifiers import uuid7


class Commitment(models.Model):
    """One certificate as it was issued for one lot: what it says is frozen, only the contact is read from the register.
    Append-only: it is kept for good (the law asks for six months); a changed pledge is a new certificate.

    ``bases`` and ``pledge`` are keys of ``labels/data/commitment.yaml``; their words are kept beside (``words``).
    """

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="commitments")
    lot = models.ForeignKey("trace.Lot", on_delete=models.PROTECT, related_name="commitments")
    number = models.CharField(_("合格证编号"), max_length=30, unique=True)
    product_name = models.CharField(_("农产品名称"), max_length=120)
    micros = models.BigIntegerField()
    unit = models.CharField(max_length=8)
    origin = models.CharField(_("产地"), max_length=200)
    issued_on = models.DateField(_("开具日期"))
    bases = models.JSONField(default=list)
    words = models.JSONField(default=dict)
    report = models.ForeignKey("trace.TestReport", null=True, on_delete=models.PROTECT, related_name="+")
    by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    append_only = True

    class Meta:
        verbose_name = _("承诺达标合格证")
        verbose_name_plural = _("承诺达标合格证")
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.number
