"""Keeping the index of names right: called by every action that gives a product or an organisation a name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from django.db import transaction

from trace.models import NameTerm, Organisation, Product, ProductVersion
from trace.names import terms

_CHUNK = 1_000


@transaction.atomic
def index_product(product: Product) -> None:
    """Write the terms of a product's current names and code."""
    version = product.current
    _keep(NameTerm.Kind.PRODUCT, product.pk, product.organisation_id, _product_names(product, version))


@transaction.atomic
def index_organisation(organisation: Organisation) -> None:
    """Write the terms of an organisation's names, former ones too."""
    _keep(NameTerm.Kind.ORGANISATION, organisation.pk, organisation.pk, _organisation_names(organisation))


def _product_names(product: Product, version: ProductVersion | None) -> list[str]:
    """What a product is called."""
    named = [version.name, version.name_en, version.brand] if version is not None else []
    return [product.code, *named]


def _organisation_names(organisation: Organisation) -> list[str]:
    """What an organisation is and was called."""
    return [organisation.name, organisation.name_en, organisation.uscc or "", *organisation.former_names]


def _keep(kind: str, row: int, owner: int, texts: Iterable[str]) -> None:
    """Make the stored terms of one row what its names say. Two to four queries."""
    wanted = terms(texts)
    stored = {bytes(term): pk for pk, term in NameTerm.objects.filter(kind=kind, row=row).values_list("pk", "term")}
    stale = [pk for term, pk in stored.items() if term not in wanted]
    if stale:
        NameTerm.objects.filter(pk__in=stale).delete()
    fresh = sorted(wanted - stored.keys())
    NameTerm.objects.bulk_create([NameTerm(kind=kind, row=row, owner=owner, term=term) for term in fresh])


def misnamed(*, write: bool) -> Iterator[str]:
    """Each product and organisation whose terms are not what its names say, put right with ``write``; and how many rows
    were compared is the caller's to count.
    """
    for product in Product.objects.select_related("current").order_by("pk").iterator(chunk_size=_CHUNK):
        names = _product_names(product, product.current)
        yield from _compared(NameTerm.Kind.PRODUCT, product.pk, product.organisation_id, names, write)
    for organisation in Organisation.objects.order_by("pk").iterator(chunk_size=_CHUNK):
        names = _organisation_names(organisation)
        yield from _compared(NameTerm.Kind.ORGANISATION, organisation.pk, organisation.pk, names, write)


def _compared(kind: str, row: int, owner: int, texts: list[str], write: bool) -> Iterator[str]:
    stored = {bytes(term) for term in NameTerm.objects.filter(kind=kind, row=row).values_list("term", flat=True)}
    if stored != terms(texts):
        yield f"names of {kind} {row} are not in the index as they are"
        if write:
            _keep(kind, row, owner, texts)
