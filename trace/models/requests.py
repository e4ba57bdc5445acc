"""What makes repeated requests safe."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class IdempotencyRecord(models.Model):
    """One client's key for one POST, the hash of its body and, once done, the answer to replay."""

    organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="+")
    caller = models.CharField(max_length=60)
    key = models.CharField(max_length=100)
    request_hash = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(null=True)
    body = models.TextField(blank=True)
    content_type = models.CharField(max_length=60, blank=True)
    started_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["organisation", "caller", "key"], name="one_idempotency_key")]

    def __str__(self) -> str:
        return self.key
