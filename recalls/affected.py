"""Whether a lot (and a firm) is affected by an announced recall: for anybody who asks. Nothing here writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db.models import Q

from recalls.asked import over
from recalls.models import Campaign, NoticeLot, PublicNotice, ScopeLot
from recalls.notice_states import NoticeStatus
from recalls.parts import covers
from recalls.queries import latest_publication, published
from recalls.through import Passed, standing_through, through_of
from recalls.transitions import Status
from trace.guards import Blocking, blocking
from trace.models import HoldSet, Lot, LotAlias, Organisation, Unit
from trace.packs import numbers_of


@dataclass(frozen=True)
class Affected:
    """One announced recall that covers the lot asked about; ``listed`` says whether the name given was told of it
    (None where no name was given). ``through`` is the trader where only what passed through its hands is recalled.
    """

    campaign: Campaign
    notice: PublicNotice
    lots: Sequence[Lot]
    listed: bool | None
    through: Organisation | None = None

    @property
    def over(self) -> bool:
        """Whether it is closed: goods set apart must still not be sold."""
        return self.campaign.status == Status.CLOSED


def lots_called(words: str) -> list[Lot]:
    """Lots with exactly this code, public code or a unit's code, whoever made them; at most fifty."""
    text = words.strip().rpartition("/")[2][:100]
    if not text or not text.isprintable():
        return []
    names = _names(words)
    rows = Lot.objects.filter(
        Q(lot_code__in=names)
        | Q(display_code__in=names)
        | Q(public_code__in=names)
        | Q(pk__in=LotAlias.objects.filter(code__in=names).values("lot"))
        | Q(pk__in=Unit.objects.filter(code__in=names).values("lot"))
    )
    return list(rows.select_related("product_version", "organisation").order_by("-id")[:50])


def _names(words: str) -> set[str]:
    """How the code may be written."""
    text = words.strip().rpartition("/")[2][:100]
    return {text, text.upper(), text.replace("-", "").replace(" ", "").upper()}


def _meant(row: ScopeLot, units: Mapping[int, Unit]) -> bool:
    """Whether the goods asked about are covered: of a lot of which only part is, a unit outside it is not. What nobody
    can tell apart is.
    """
    unit = units.get(row.lot_id)
    if unit is not None and row.through:
        through = standing_through([row.scope.hold_id], row.lot, unit)
        return all(one.passed is not Passed.NO for one in through.values())
    if unit is None or not row.ranges:
        return True
    return covers(row.ranges, numbers_of([unit], row.lot_id) | {unit.number})


def stopped(words: str) -> list[Lot]:
    """Lots of this code whose sale is stopped or that are recalled, announced or not: nobody may be told that there is
    nothing to do. An inquiry inside a firm (封存调查) is not told to strangers. Two queries.
    """
    lots = lots_called(words)
    units = {unit.lot_id: unit for unit in Unit.objects.filter(code__in=_names(words), lot__in=lots)}
    found = blocking(lots)
    return [lot for lot in lots if any(_stops(one, lot, units.get(lot.pk)) for one in found.get(lot.pk, []))]


def _stops(one: Blocking, lot: Lot, unit: Unit | None) -> bool:
    """Whether a hold keeps these goods from being sold; of a unit outside a part it does not, nor of one that did not
    pass through the trader whose goods are meant.
    """
    if one.hold.kind == HoldSet.Kind.HOLD:
        return False
    if one.holder_id is not None:
        through = standing_through([one.hold.pk], lot, unit).get(one.hold.pk)
        return through is not None and through.passed is not Passed.NO
    if unit is None or one.unit_from is None:
        return True
    numbers = numbers_of([unit], one.lot_id) | {unit.number}
    return covers([(one.unit_from, one.unit_to or one.unit_from)], numbers)


def affected_by(words: str, name: str = "") -> list[Affected]:
    """The announced recalls (no drills, no drafts) whose scope in force covers a lot of this code.

    The name counts only together with a lot code, which stands on goods one has in hand, so that nobody can ask his way
    through a firm's list of customers; it must be the whole name.
    """
    lots = {lot.pk: lot for lot in lots_called(words)}
    if not lots:
        return []
    campaigns = {one.notice.campaign_id for one in published().filter(notice__campaign__scopes__lots__lot__in=lots)}
    units = {unit.lot_id: unit for unit in Unit.objects.filter(code__in=_names(words), lot__in=lots)}
    found: list[Affected] = []
    in_force = latest_publication(Campaign.objects.filter(pk__in=campaigns))
    for publication in in_force.values():
        campaign = publication.notice.campaign
        version = campaign.scopes.order_by("-number").first()
        rows = list(version.lots.filter(lot__in=lots).select_related("scope", "lot")) if version else []
        covered = {row.lot_id for row in rows if _meant(row, units)}
        if not covered:
            continue
        listed = None
        if name.strip():
            told = NoticeLot.objects.filter(
                ~over(), notice__campaign=campaign, notice__organisation__name=name.strip(), lot__in=covered
            )
            listed = told.exclude(notice__status=NoticeStatus.WITHDRAWN).exists()
        shown = [lots[pk] for pk in sorted(covered)]
        parted = any(row.through for row in rows if row.lot_id in covered)
        trader = through_of(version) if version is not None and parted else None
        found.append(Affected(campaign, publication.notice, shown, listed, trader))
    return found
