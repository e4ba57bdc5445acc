"""Where a lot came from and where it went, as JSON and as a table."""

import datetime
import json
from typing import Literal

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from trace.access import lot_for
from trace.api import examples
from trace.api.auth import acting
from trace.api.lots import area as area
from trace.api.schemas import AmountOut, Named, Out
from trace.api.shapes import LotRef, OrganisationRef, lot_ref
from trace.disclosure import SeenLot, SeenWalk, seen_walk
from trace.door.chain import chain_document
from trace.genealogy import walk
from trace.models import Lot, TestReport
from trace.tables import csv_table
from trace.units import decimal_text

Way = Literal["back", "forward"]


class WalkLotOut(Out):
    """One lot of the walk. `lot` and `issuer` are null where it is another's: then only the rest may be told."""

    number: int
    level: int
    lot: LotRef | None
    issuer: OrganisationRef | None
    region: str
    family: str
    verdict: str
    date: datetime.date | None


class WalkEdgeOut(Out):
    """`parent` went into `child` (numbers of the lots above); `amount` of the parent where the caller may know it."""

    parent: int
    child: int
    amount: AmountOut | None


class TraceOut(Out):
    """All levels, across organisations, each lot once. `cut` says that it was too large and stops somewhere."""

    direction: Way
    lot: LotRef
    cut: bool
    lots: list[WalkLotOut]
    edges: list[WalkEdgeOut]


@area.read(
    "/lots/{uid}/trace",
    who="signed_in",
    answer=TraceOut,
    example=examples.TRACE,
    summary=gettext_lazy("追溯：向前查来源，向后查去向"),
    description=gettext_lazy(
        "direction=back 查来源，direction=forward 查去向。他人的批次只给出地区、品类、检验结论和日期。"
        "format=epcis 给出可见的整条链（两个方向）的全部环节，为一个 EPCISQueryDocument。"
    ),
    also={"application/ld+json": examples.CHAIN},
)
def trace_lot(
    request: HttpRequest,
    uid: Named,
    direction: Way = "back",
    format: Literal["json", "epcis"] = "json",  # noqa: A002
) -> TraceOut | HttpResponse:
    """The genealogy of a lot; with ``format=epcis`` its whole chain, both ways, as one EPCISQueryDocument."""
    if format == "epcis":
        actor = acting(request)
        lot = lot_for(actor, uid)
        text = json.dumps(chain_document(actor, lot, now=timezone.now()), ensure_ascii=False, separators=(",", ":"))
        response = HttpResponse(text.encode(), content_type="application/ld+json")
        response["Content-Disposition"] = f'attachment; filename="chain-{lot.public_code}.jsonld"'
        return response
    lot, seen = _walked(request, uid, direction)
    return TraceOut(
        direction=direction,
        lot=lot_ref(lot),
        cut=seen.cut,
        lots=[_step(found) for found in seen.lots],
        edges=[
            WalkEdgeOut(
                parent=edge.parent,
                child=edge.child,
                amount=None if edge.micros is None else AmountOut.of(edge.micros, edge.unit),
            )
            for edge in seen.edges
        ],
    )


@area.read(
    "/lots/{uid}/trace.csv",
    who="signed_in",
    answer=None,
    example="编号,层级,批号,品名,单位,地区,品类,检验结论,日期,上一环节,数量,计量单位\r\n",
    media_type="text/csv",
    summary=gettext_lazy("追溯表（CSV）"),
)
def trace_lot_table(request: HttpRequest, uid: Named, direction: Way = "back") -> HttpResponse:
    """The genealogy as a table: one row per lot and edge towards the start."""
    lot, seen = _walked(request, uid, direction)
    header = [
        _("编号"),
        _("层级"),
        _("批号"),
        _("品名"),
        _("单位"),
        _("地区"),
        _("品类"),
        _("检验结论"),
        _("日期"),
        _("上一环节"),
        _("数量"),
        _("计量单位"),
    ]
    response = HttpResponse(csv_table(header, _rows(seen, direction)), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="trace-{direction}-{lot.public_code}.csv"'
    return response


def _walked(request: HttpRequest, uid: str, direction: Way) -> tuple[Lot, SeenWalk]:
    """The lot and its walk as the caller may see it."""
    actor = acting(request)
    lot = lot_for(actor, uid)
    return lot, seen_walk(actor, walk([lot], direction))


def _step(found: SeenLot) -> WalkLotOut:
    """One lot of the walk."""
    return WalkLotOut(
        number=found.number,
        level=found.level,
        lot=lot_ref(found.lot) if found.lot else None,
        issuer=OrganisationRef.of(found.lot.organisation) if found.lot else None,
        region=found.region,
        family=found.family,
        verdict=found.verdict,
        date=found.date,
    )


def _rows(seen: SeenWalk, direction: Way) -> list[list[object]]:
    """One row per lot and step towards the start; the start has one row without a step."""
    towards: dict[int, list[tuple[int, str, str]]] = {}
    for edge in seen.edges:
        far, near = (edge.child, edge.parent) if direction == "forward" else (edge.parent, edge.child)
        amount = "" if edge.micros is None else decimal_text(edge.micros)
        towards.setdefault(far, []).append((near, amount, edge.unit if amount else ""))
    verdicts = dict(TestReport.Verdict.choices)
    rows: list[list[object]] = []
    for found in seen.lots:
        facts: list[object] = [
            found.number,
            found.level,
            found.lot.code if found.lot else "",
            found.lot.product_version.label if found.lot else "",
            found.lot.organisation.label if found.lot else "",
            found.region,
            found.family,
            verdicts.get(found.verdict, ""),
            found.date.isoformat() if found.date else "",
        ]
        rows += [[*facts, *step] for step in towards.get(found.number, [("", "", "")])]
    return rows
