"""Questions of the label pages. They never write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Case, Count, Q, QuerySet, Value, When

from labels.models import CodeRun, CodeStep
from trace.access import entered_for
from trace.actor import Actor
from trace.guards import Blocking, blocking
from trace.models import Lot, Product, Unit


@dataclass(frozen=True)
class Tally:
    """How the units of a run stand: still good, spoiled, void."""

    good: int
    spoiled: int
    void: int


def tally_of(run: CodeRun) -> Tally:
    """Count the units of a run by state. One query."""
    counted = Unit.objects.filter(run=run.uid).aggregate(
        spoiled=Count("id", filter=Q(state=Unit.State.SPOILED)),
        void=Count("id", filter=Q(state=Unit.State.VOID)),
        everything=Count("id"),
    )
    return Tally(counted["everything"] - counted["spoiled"] - counted["void"], counted["spoiled"], counted["void"])


def printable_units(run: CodeRun, first: int, last: int) -> list[Unit]:
    """The units at positions ``first`` to ``last`` (from 1) of a run that are neither spoiled nor void, in order."""
    begin = run.first_number + first - 1
    rows = Unit.objects.filter(run=run.uid, number__gte=begin, number__lte=run.first_number + last - 1)
    rows = rows.filter(replaced_by=None).exclude(state__in=[Unit.State.SPOILED, Unit.State.VOID])
    return list(rows.order_by("number"))


def labelled_products(actor: Actor) -> QuerySet[Product]:
    """Products of the actor's own that have lots to label, finished goods first."""
    rows = Product.objects.filter(organisation__in=entered_for(actor), ended_at=None)
    rows = rows.annotate(n_lots=Count("lots", filter=Q(lots__voided_by=None, lots__is_external=False))).filter(
        n_lots__gt=0
    )
    finished_first = Case(When(kind=Product.Kind.FINISHED, then=Value(0)), default=Value(1))
    return rows.select_related("current", "organisation").order_by(finished_first, "code")


def lots_to_label(actor: Actor, product: Product) -> QuerySet[Lot]:
    """Standing lots of a product that the actor's organisation issued, newest first, with how many runs they have."""
    rows = Lot.objects.filter(
        product=product, organisation__in=entered_for(actor), voided_by=None, is_external=False
    ).annotate(n_runs=Count("code_runs"))
    return rows.select_related("product", "product_version", "organisation").order_by("-id")


def blocks_of(lots: Sequence[Lot]) -> dict[int, list[Blocking]]:
    """What blocks which of these lots. One query."""
    return blocking(lots)


def printed_before(run: CodeRun) -> int:
    """The last position of a run that was printed; 0 where none was."""
    steps = run.steps.filter(step__in=[CodeStep.Step.PRINTED, CodeStep.Step.REPRINTED])
    return max(steps.values_list("last", flat=True), default=0)
