"""The index of names: derived from products and organisations, made again by ``manage.py rebuild``."""

from __future__ import annotations

from django.db import models


class NameTerm(models.Model):
    """One term of the name of one product or organisation (see ``trace.names``).

    ``row`` is the row number of what is named, ``owner`` that of the organisation whose it is (an organisation's own).
    """

    class Kind(models.TextChoices):
        PRODUCT = "product"
        ORGANISATION = "party"

    kind = models.CharField(max_length=8, choices=Kind)
    row = models.BigIntegerField()
    owner = models.BigIntegerField()
    term = models.BinaryField(max_length=48)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["kind", "row", "term"], name="one_name_term")]
        indexes = [
            models.Index(fields=["kind", "term"], name="name_terms"),
            models.Index(fields=["kind", "owner", "term"], name="name_terms_by_owner"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.row}"
