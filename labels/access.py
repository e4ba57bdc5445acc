"""The only doors to the objects of labels for an actor. A stranger's run is 404."""

from __future__ import annotations

import uuid

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from labels.models import CodeRun, LabelFile, ProductLink, ScanSuspicion
from trace.access import entered_for, parse_uid
from trace.actor import Actor
from trace.errors import NotFound
from trace.models import Product, Unit

_WITH = ("organisation", "lot__organisation", "lot__product", "lot__product_version__standard", "issued_by", "seed")


def runs_visible_to(actor: Actor) -> QuerySet[CodeRun]:
    """Runs of the actor's own; for a regulator those of issuers in its territory."""
    rows = CodeRun.objects.select_related(*_WITH)
    if actor.is_regulator:
        return rows.filter(organisation__division__code__startswith=actor.organisation.territory)
    return rows.filter(organisation__in=entered_for(actor))


def run_for(actor: Actor, uid: str | uuid.UUID, *, write: bool = False) -> CodeRun:
    """One run the actor may open; ``write`` asks for one it may print and void (its own)."""
    rows = runs_visible_to(actor)
    if write:
        rows = rows.filter(organisation__in=entered_for(actor))
    found = rows.filter(uid=parse_uid(uid)).first()
    if found is None:
        raise NotFound(_("没有找到，或者您无权查看。"))
    return found


def units_of(run: CodeRun) -> QuerySet[Unit]:
    """The units of a run in the order of their numbers; the run came through ``run_for``."""
    return Unit.objects.filter(run=run.uid).order_by("number")


def unit_of(run: CodeRun, number: int) -> Unit:
    """The unit at position ``number`` (from 1) of a run."""
    found = units_of(run).filter(number=run.first_number + number - 1).first() if 1 <= number <= run.count else None
    if found is None:
        raise NotFound(_("这次签发里没有这个序号。"))
    return found


def link_of(product: Product, uid: uuid.UUID) -> ProductLink:
    """One link of a product; the product came through ``product_for``."""
    found = ProductLink.objects.filter(product=product, uid=uid).select_related("lot").first()
    if found is None:
        raise NotFound(_("没有找到，或者您无权查看。"))
    return found


def suspicions_visible_to(actor: Actor) -> QuerySet[ScanSuspicion]:
    """Suspicious codes of the actor's own; for a regulator those of its territory and codes never issued."""
    rows = ScanSuspicion.objects.select_related(
        "organisation",
        "lot__product_version",
        "lot__product",
        "lot__organisation",
        "unit",
        "decided_by",
        "decided_by_organisation",
    )
    if actor.is_regulator:
        return rows.filter(Q(organisation__division__code__startswith=actor.organisation.territory) | Q(lot=None))
    return rows.filter(organisation__in=entered_for(actor))


def suspicion_for(actor: Actor, uid: str | uuid.UUID) -> ScanSuspicion:
    """One suspicion the actor may open."""
    found = suspicions_visible_to(actor).filter(uid=parse_uid(uid)).first()
    if found is None:
        raise NotFound(_("没有找到，或者您无权查看。"))
    return found


def file_for(actor: Actor, uid: str, file_uid: str) -> LabelFile:
    """One label file of a run of the actor's own organisation."""
    run = run_for(actor, uid, write=True)
    file = run.files.filter(uid=parse_uid(file_uid)).select_related("run__lot__product_version", "by").first()
    if file is None:
        raise NotFound(_("没有找到，或者您无权查看。"))
    return file
