"""Questions of the label pages. They never write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from django.db.models import Case, Count, Q, QuerySet, Sum, Value, When

from labels.models import CheckTally, CodeRun, CodeStep
from trace.access import entered_for
from trace.actor import Actor
from trace.guards import Blocking, blocking
from trace.models import EventItem, Lot, Product, Unit
from trace.packs import pack_of_level


@dataclass(frozen=True)
class Tally:
    """The ledger of codes: issued = applied + spoiled + void + open."""

    issued: int
    applied: int
    spoiled: int
    void: int

    @property
    def open(self) -> int:
        """Issued and neither put on goods nor ruined: labels that must still lie somewhere."""
        return self.issued - self.applied - self.spoiled - self.void

    @property
    def good(self) -> int:
        """Codes that may be on goods."""
        return self.applied + self.open


def _tally(units: QuerySet[Unit]) -> Tally:
    """Count units by state. One query."""
    by_state = dict(units.values_list("state").annotate(n=Count("id")).order_by())
    states = Unit.State
    counts = (by_state.get(state, 0) for state in (states.APPLIED, states.SPOILED, states.VOID))
    return Tally(sum(by_state.values()), *counts)


def tally_of(run: CodeRun) -> Tally:
    """The ledger of one run. One query."""
    return _tally(Unit.objects.filter(run=run.uid))


def tally_of_lot(lot: Lot) -> Tally:
    """The ledger of all codes that runs issued for a lot's units. One query."""
    return _tally(Unit.objects.filter(lot=lot, run__isnull=False))


def units_made(lot: Lot) -> int | None:
    """How many units (pieces, or smallest packs) were made of a lot by its standing events; None where its product does
    not say what one is, or nothing was made yet. One query.
    """
    pack = pack_of_level(lot, Unit.Level.ITEM)
    rows = EventItem.objects.filter(lot=lot, role="output", event__corrects=None, event__corrections=None)
    made = rows.aggregate(made=Sum("micros"))["made"]
    return int(Fraction(made, 1_000_000) / pack[1]) if pack and made and made > 0 else None


def labels_beyond(lot: Lot, more: int = 0) -> tuple[int, int] | None:
    """How many unit labels a lot has (with so many ``more``) and how many units were made of it, where there are more
    labels than units; None where there are not, or where nobody can say what one unit is.

    A unit is a piece of what is counted in pieces, else the smallest pack the product's entry names.
    """
    made = units_made(lot)
    if made is None:
        return None
    tally = _tally(Unit.objects.filter(lot=lot, run__isnull=False, level=Unit.Level.ITEM))
    labels = tally.good + more
    return (labels, made) if labels > made else None


@dataclass(frozen=True)
class Checks:
    """What became of a run's check codes: labels scratched and checked, those checked again, wrong attempts, and
    whether they can still be printed.
    """

    units: int
    again: int
    wrong: int
    printable: bool


def checks_of(run: CodeRun) -> Checks:
    """The ledger of a run's check codes. One query."""
    found = CheckTally.objects.filter(run=run).aggregate(
        units=Count("pk", filter=Q(matched__gte=1)),
        again=Count("pk", filter=Q(matched__gte=2)),
        wrong=Sum("wrong_ever"),
    )
    printable = run.seed is not None and run.seed.key is not None
    return Checks(found["units"], found["again"], found["wrong"] or 0, printable)


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
    """What blocks which of these lots in their issuers' hands. One query."""
    return blocking(lots, sides={lot.organisation_id for lot in lots})


def printed_before(run: CodeRun) -> int:
    """The last position of a run that was printed; 0 where none was."""
    steps = run.steps.filter(step__in=[CodeStep.Step.PRINTED, CodeStep.Step.REPRINTED])
    return max(steps.values_list("last", flat=True), default=0)
