"""Two versions of a scope beside each other, and the list of buyers of goods that were never registered here."""

from typing import Annotated

from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from ninja import Query
from pydantic import Field

from recalls.access import campaign_for, require_side
from recalls.actions.distribution import COLUMNS, HEADERS, check_list, tell_buyers
from recalls.api import examples
from recalls.api.area import area
from recalls.api.shapes import HolderOut, ScopeRef, SeenLotOut
from recalls.comparing import compare, what_would_shrink
from recalls.models import ScopeLot
from recalls.sight import Sight
from trace.api.auth import acting
from trace.api.schemas import In, Named, Out, Text, Whole
from trace.errors import FieldErrors, Invalid, NotFound
from trace.imports.reading import Line

MOST = 500
"""Rows of each kind a comparison shows, as on its page."""


class PartChangeOut(Out):
    """A lot in both versions of which another part is meant; null means all of it."""

    lot: SeenLotOut
    before: str | None
    after: str | None
    reason: str


class ShrinkingOut(Out):
    """Why lots are only possible, how many, and what evidence would take them out."""

    why: str
    lots: int
    evidence: str


class ComparisonOut(Out):
    """What the later version has more and less: at most 500 rows of each kind, `counts` has all of them."""

    earlier: ScopeRef
    later: ScopeRef
    kept: int
    counts: dict[str, int]
    lots_in: list[SeenLotOut]
    lots_out: list[SeenLotOut]
    holders_in: list[HolderOut]
    holders_out: list[HolderOut]
    changed: list[PartChangeOut]
    shrinking: list[ShrinkingOut]


class WantedVersions(In):
    """Which two versions, by number; the last two if left out."""

    a: Annotated[int, Whole(1, 999_999)] | None = None
    b: Annotated[int, Whole(1, 999_999)] | None = None


@area.read(
    "/campaigns/{uid}/scopes/comparison",
    who="signed_in",
    answer=ComparisonOut,
    example={
        "earlier": examples.SCOPE_REF,
        "later": {**examples.SCOPE_REF, "number": 2, "lots": 4},
        "kept": 3,
        "counts": {"lots_in": 1, "lots_out": 0, "holders_in": 1, "holders_out": 0, "changed": 0},
        "lots_in": [examples.SEEN_LOT],
        "lots_out": [],
        "holders_in": [examples.HOLDER],
        "holders_out": [],
        "changed": [],
        "shrinking": [],
    },
    summary=gettext_lazy("比较两版召回范围"),
)
def compare_scopes(request: HttpRequest, uid: Named, wanted: Query[WantedVersions]) -> ComparisonOut:
    """The difference of two frozen versions, and what would make the last one smaller."""
    actor = acting(request)
    campaign = campaign_for(actor, uid)
    require_side(actor, campaign)
    versions = list(campaign.scopes.select_related("hold").order_by("number"))
    by_number = {one.number: one for one in versions}
    if len(versions) < 2:
        raise NotFound(_("没有找到，或者您无权查看。"))
    first = wanted.a if wanted.a is not None else versions[-2].number
    second = wanted.b if wanted.b is not None else versions[-1].number
    if first not in by_number or second not in by_number:
        raise NotFound(_("没有找到，或者您无权查看。"))
    found = compare(by_number[min(first, second)], by_number[max(first, second)])
    sight, changed = Sight(actor, campaign), found.changed[:MOST]
    lots = [*found.lots_in[:MOST], *found.lots_out[:MOST], *(one.lot for one in changed)]
    opened = sight.open_lots([lot.pk for lot in lots])
    reasons = versions[-1].lots.filter(shell=ScopeLot.Shell.POSSIBLE).values_list("why", flat=True)
    parts = ("lots_in", "lots_out", "holders_in", "holders_out", "changed")
    return ComparisonOut(
        earlier=ScopeRef.of(found.earlier),
        later=ScopeRef.of(found.later),
        kept=found.kept,
        counts={part: len(getattr(found, part)) for part in parts},
        lots_in=[SeenLotOut.of(sight.lot(lot, lot.pk in opened)) for lot in found.lots_in[:MOST]],
        lots_out=[SeenLotOut.of(sight.lot(lot, lot.pk in opened)) for lot in found.lots_out[:MOST]],
        holders_in=[HolderOut.of(sight.holder(row)) for row in found.holders_in[:MOST]],
        holders_out=[HolderOut.of(sight.holder(row)) for row in found.holders_out[:MOST]],
        changed=[
            PartChangeOut(
                lot=SeenLotOut.of(sight.lot(one.lot, one.lot.pk in opened)),
                before=one.before,
                after=one.after,
                reason=one.reason,
            )
            for one in changed
        ],
        shrinking=[
            ShrinkingOut(why=one.why, lots=one.lots, evidence=one.evidence) for one in what_would_shrink(list(reasons))
        ],
    )


class BuyerIn(In):
    """One buyer: who has how much (in the lot's base unit) of which lot, and one way to reach it."""

    name: Annotated[str, Text(120)]
    lot: Annotated[str, Text(100)] = Field(description="The lot code, as on the goods.")
    amount: Annotated[str, Text(30)]
    phone: Annotated[str, Text(30)] = ""
    email: Annotated[str, Text(200)] = ""
    address: Annotated[str, Text(200)] = ""


class DistributionIn(In):
    """The list of buyers."""

    rows: Annotated[list[BuyerIn], Field(min_length=1, max_length=1000)]


class DistributionOut(Out):
    """How many rows there were and how many notices are new."""

    rows: int
    notices: int


@area.write(
    "/campaigns/{uid}/distribution",
    who="party",
    answer=DistributionOut,
    example={"rows": 1, "notices": 1},
    body_example={"rows": [{"name": "示例便民商店", "lot": "20261101-001", "amount": "2", "phone": "13900000001"}]},
    roles=("quality", "owner"),
    summary=gettext_lazy("上传分销名单"),
    description=gettext_lazy("有一处不对就全部不发，逐处写明（rows.0.amount）。通知过的不再通知。"),
)
def add_distribution(request: HttpRequest, uid: Named, body: DistributionIn) -> DistributionOut:
    """Tell everybody on a list of buyers; nothing is sent until all of it is right."""
    actor = acting(request)
    campaign = campaign_for(actor, uid)
    require_side(actor, campaign)
    lines = [Line(0, list(COLUMNS))]
    lines += [Line(at, [getattr(row, key) for key in COLUMNS]) for at, row in enumerate(body.rows, 1)]
    buyers, errors = check_list(campaign, lines)
    if errors:
        keys = {names[0]: key for key, names in HEADERS.items()}
        wrong = {f"rows.{one.line - 1}.{keys[one.column]}": Invalid(one.why, code="bad_cell") for one in errors[:200]}
        raise FieldErrors(_("名单里有不对的地方，没有发出任何通知。"), wrong)
    made = tell_buyers(by=actor, campaign=campaign, buyers=buyers)
    return DistributionOut(rows=len(buyers), notices=len(made))
