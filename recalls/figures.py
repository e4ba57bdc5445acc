"""The numbers of a campaign, computed from records and answers, never typed: what was made, where it is, what nobody
knows.

Per lot: made = used in other lots + destroyed + put right and let go + in transit + stock of every holder + gone (sold
to consumers, sampled, lost or destroyed before). What holders have by record is known only as far as they answered: the
rest is *unknown*, which is shown and never hidden in another number.
"""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Iterable, Mapping, Set
from dataclasses import asdict, dataclass, field, fields
from typing import Any, NamedTuple

from django.db.models import Exists, OuterRef, QuerySet, Sum

from recalls.asked import outdated
from recalls.models import (
    Campaign,
    CorrectedRelease,
    Disposal,
    Notice,
    NoticeLot,
    ReturnReceipt,
    ScopeLot,
    ScopeVersion,
    SetAside,
    StockAnswer,
)
from recalls.released import Released, released_of
from recalls.scope import first_sent
from trace.among import among
from trace.event_templates import template, templates
from trace.genealogy import lots_by_pk
from trace.models import EventItem, Lot, Stock, Transfer
from trace.plain import fetched, uncollected


@dataclass(frozen=True)
class Amounts:
    """Millionths of one base unit.

    ``made`` by the lot's event; ``used`` in other lots; ``shipped`` by the maker to others (``scope.first_sent``);
    ``recovered`` came back; ``destroyed`` or made harmless; ``released`` was put right and let go, wherever it is
    since; ``in_house`` lies with the initiator, blocked; ``held`` is what holders said they have (sealed or about to
    be); ``samples`` and ``loss`` (lost, or destroyed outside the recall) are gone by events that say so; ``sold`` went
    on to consumers otherwise and did not come back; ``unknown`` is by record with somebody who has not said, or cannot;
    ``excess`` was answered or recovered beyond what records allow: it must be explained. Two campaigns on one lot share
    its goods: what came back or was destroyed in either counts in both.
    """

    made: int = 0
    used: int = 0
    shipped: int = 0
    recovered: int = 0
    destroyed: int = 0
    released: int = 0
    in_house: int = 0
    held: int = 0
    sold: int = 0
    samples: int = 0
    loss: int = 0
    unknown: int = 0
    excess: int = 0

    def __add__(self, other: Amounts) -> Amounts:
        return Amounts(**{one.name: getattr(self, one.name) + getattr(other, one.name) for one in fields(Amounts)})

    @property
    def due(self) -> int:
        """What the recall is after: made and not turned into other lots."""
        return self.made - self.used

    @property
    def on_hand(self) -> int:
        """Blocked and known where: with the initiator or with a holder that said so."""
        return self.in_house + self.held

    @property
    def accounted(self) -> int:
        """Destroyed, put right, or blocked and known where."""
        return self.destroyed + self.released + self.on_hand


@dataclass(frozen=True)
class LotAmounts:
    """The numbers of one lot of the scope."""

    lot: Lot
    unit: str
    amounts: Amounts


@dataclass(frozen=True)
class CampaignFigures:
    """All lots of a scope version, and the sums per base unit (litres are not added to kilograms)."""

    lots: list[LotAmounts]
    totals: dict[str, Amounts]
    parties: Mapping[int, frozenset[int]] = field(default_factory=dict)
    """Of lots (row numbers) of which only what passed through one organisation is meant: in whose hands that was."""

    @property
    def inconsistent(self) -> list[LotAmounts]:
        """Lots whose answers and records contradict each other."""
        return [one for one in self.lots if one.amounts.excess]

    def as_json(self) -> dict[str, Any]:
        """The form in which figures are frozen: integers in millionths, lots by uid."""
        return {
            "lots": [
                {"lot": str(one.lot.uid), "code": one.lot.code, "unit": one.unit, **asdict(one.amounts)}
                for one in self.lots
            ],
            "totals": {unit: asdict(amounts) for unit, amounts in self.totals.items()},
        }


LotOrganisation = tuple[int, int]


def figures(campaign: Campaign, scope: ScopeVersion | None = None) -> CampaignFigures:
    """The numbers as records and answers say now, over the lots of the latest scope version. Twelve queries however
    many lots, two more where goods were released.
    """
    with uncollected():
        return _figures(campaign, scope)


def _figures(campaign: Campaign, scope: ScopeVersion | None) -> CampaignFigures:
    version = scope or campaign.scopes.order_by("-number").first()
    if version is None:
        return CampaignFigures([], {})
    inside = ScopeLot.objects.filter(scope=version).values("lot")
    found = lots_by_pk(inside.values_list("lot", flat=True))
    lots = [found[pk] for pk in sorted(found)]
    sums = _Sums(campaign, inside, version, {lot.pk: lot.organisation_id for lot in lots})
    rows = [LotAmounts(lot, lot.product.base_unit, sums.of(lot)) for lot in lots]
    totals: dict[str, Amounts] = defaultdict(Amounts)
    for row in rows:
        totals[row.unit] = totals[row.unit] + row.amounts
    return CampaignFigures(rows, dict(totals), _parties(version, sums.parts))


def _parties(version: ScopeVersion, parts: Iterable[int]) -> dict[int, frozenset[int]]:
    """In whose hands goods were that passed through one organisation, for the lots of which these alone are meant."""
    if "through" not in version.question:
        return {}
    found: dict[int, set[int]] = {lot: set() for lot in parts}
    for lot, party in version.holdings.filter(among("lot", found)).values_list("lot", "organisation"):
        found[lot].add(party)
    return {lot: frozenset(parties) for lot, parties in found.items()}


class _Sums:
    """Everything summed once for all lots of a scope."""

    def __init__(
        self, campaign: Campaign, inside: QuerySet[Any, Any], version: ScopeVersion, issuers: Mapping[int, int]
    ) -> None:
        self.initiator = campaign.organisation_id
        standing = {"event__corrections__isnull": True}
        inputs = EventItem.objects.filter(lot__in=inside, role="input", **standing)
        self.used = dict(inputs.values("lot").annotate(n=Sum("micros")).values_list("lot", "n"))
        transfers = Transfer.objects.filter(lot__in=inside, voided_by=None).order_by()
        self.transit: dict[int, dict[int, int]] = defaultdict(lambda: defaultdict(int))
        sent_to = transfers.values_list("lot", "sender", "receiver", "sent_micros", "received_micros")
        moves = fetched(sent_to)
        self.shipped = first_sent(issuers, moves)
        for lot, _sender, receiver, sent, received in moves:
            self.transit[lot][receiver] += sent - (received or 0)
        self.stock: dict[int, dict[int, int]] = defaultdict(dict)
        rows = Stock.objects.filter(lot__in=inside).order_by().values_list("lot", "organisation", "micros")
        for lot, organisation, micros in fetched(rows):
            self.stock[lot][organisation] = self.stock[lot].get(organisation, 0) + micros
        told = _Told(campaign, outdated(campaign, version))
        self.answers = _latest_answers(inside, told)
        self.answered_at: dict[LotOrganisation, datetime.datetime] = {}
        self.beyond: dict[int, set[int]] = defaultdict(set)
        self.listed: dict[int, dict[int, int]] = defaultdict(dict)
        asked = NoticeLot.objects.filter(lot__in=inside).order_by()
        own, stock, transit = told.own, self.stock, self.transit
        nowhere: list[tuple[int, int, int, int, int]] = []
        for pk, notice, lot, micros in fetched(asked.values_list("pk", "notice", "lot", "unconfirmed_micros")):
            organisation = own.get(notice)
            if organisation is None or organisation in transit[lot] or stock[lot].get(organisation, 0) > 0:
                continue
            if (notice, lot) in told.over:
                continue
            if issuers[lot] != organisation:
                nowhere.append((pk, notice, lot, organisation, micros))
        for _pk, notice, lot, organisation, micros in sorted(nowhere):
            if micros and notice not in told.passed_on:
                self.listed[lot][organisation] = micros
            else:
                self.beyond[lot].add(organisation)
        self.recovered: dict[int, int] = defaultdict(int)
        self.destroyed: dict[int, int] = defaultdict(int)
        self.left_since: dict[int, dict[int, int]] = defaultdict(lambda: defaultdict(int))
        moved = ("lot", "organisation", "micros", "at")
        returns = list(ReturnReceipt.objects.filter(lot__in=inside, **standing).values_list(*moved))
        disposals = list(Disposal.objects.filter(lot__in=inside, **standing).values_list(*moved))
        self.answered_at = _answered_at(inside, {row[1] for row in [*returns, *disposals]}, told)
        for lot, organisation, micros, at in returns:
            self.recovered[lot] += micros
            self._left(lot, organisation, micros, at)
        for lot, organisation, micros, at in disposals:
            self.destroyed[lot] += micros
            self._left(lot, organisation, micros, at)
        self.parts = _parts(version)
        for lot in self.parts:
            self._only_part(version, lot)
        self.gone_by = _gone_by(inside, _parties(version, self.parts))
        self.released: dict[int, int] = {}
        self.let_go: dict[int, dict[int, int]] = defaultdict(dict)
        self.put_right: dict[int, Mapping[int, int]] = {}
        for lot, one in released_of(campaign).items():
            self._release(lot, one)

    def _release(self, lot: int, one: Released) -> None:
        """What was put right and let go is no longer among the goods looked for: not in stock, not under way. Of a
        part, the stock is that of the day it was frozen.
        """
        taken = 0
        self.put_right[lot] = one.at_first
        for organisation, micros in (one.at_first if lot in self.parts else one.there).items():
            stock, transit = self.stock[lot], self.transit[lot]
            had = max(stock.get(organisation, 0), 0) + transit.get(organisation, 0)
            mine = min(max(micros, 0), had)
            _take(stock, transit, organisation, mine)
            self.let_go[lot][organisation] = mine
            taken += mine
        self.released[lot] = taken if lot in self.parts else one.micros

    def _only_part(self, version: ScopeVersion, lot: int) -> None:
        """Where only part of a lot is covered: what holders had of it when the version was frozen, less what came back
        or was destroyed since. It cannot have moved otherwise, for it is blocked.
        """
        stock: dict[int, int] = {}
        transit: dict[int, int] = defaultdict(int)
        left = self.parts[lot]
        rows = list(version.holdings.filter(lot=lot).order_by("id"))
        for one in rows:
            stock[one.organisation_id] = min(one.on_hand_micros, left)
            left -= stock[one.organisation_id]
        for one in rows:
            transit[one.organisation_id] = min(one.unconfirmed_micros, left)
            left -= transit[one.organisation_id]
        # Of a part told by units nothing was used; of what passed through a trader, what it and its buyers used.
        self.used[lot] = -version.lots.values_list("used_micros", flat=True).get(lot=lot)
        self.shipped[lot] = self.parts[lot] - stock.get(self.initiator, 0) - transit.get(self.initiator, 0)
        since = {"lot": lot, "event__corrections__isnull": True, "at__gt": version.calculated_at}
        for organisation, micros in ReturnReceipt.objects.filter(**since).values_list("organisation", "micros"):
            _take(stock, transit, organisation, micros)
            stock[self.initiator] = stock.get(self.initiator, 0) + micros
        for organisation, micros in Disposal.objects.filter(**since).values_list("organisation", "micros"):
            _take(stock, transit, organisation, micros)
        # What may still lie with the initiator is in its house: it is blocked there with the rest of the part.
        stock[self.initiator] = stock.get(self.initiator, 0) + transit.pop(self.initiator, 0)
        self.stock[lot], self.transit[lot] = stock, transit

    def _left(self, lot: int, organisation: int, micros: int, at: datetime.datetime) -> None:
        """Goods a holder gave back or destroyed after it had answered lower what it still has."""
        answered = self.answered_at.get((lot, organisation))
        if answered is not None and at >= answered:
            self.left_since[lot][organisation] += micros

    def of(self, lot: Lot) -> Amounts:
        """The numbers of one lot."""
        stock, transit = self.stock[lot.pk], self.transit[lot.pk]
        answers, left_since, let_go = self.answers[lot.pk], self.left_since[lot.pk], self.let_go[lot.pk]
        put_right = self.put_right.get(lot.pk, {})
        used = -self.used.get(lot.pk, 0)
        in_house = stock.get(self.initiator, 0)
        listed = self.listed[lot.pk]
        beyond = self.beyond[lot.pk].difference(listed)
        moving = sum(transit.values())
        made = self.parts.get(lot.pk, lot.made_micros)
        gone = made - used - self.destroyed[lot.pk] - moving - sum(stock.values())
        lie = sum(let_go.values())
        released = lie + max(min(self.released.get(lot.pk, 0) - lie, gone - lie), 0)
        gone -= released
        held = sold = unknown = 0
        excess = max(-in_house, 0) + max(-gone, 0)
        # Ten thousand holders and more: no step here but those that one needs.
        for organisation in ({*stock, *transit}).difference(beyond, listed, (self.initiator,)):
            rest = stock.get(organisation, 0) + transit.get(organisation, 0)
            answer = answers.get(organisation)
            if answer is not None:
                has = max(answer.on_hand_micros - left_since.get(organisation, 0), 0)
                # Said before it was put right; it may be sold since.
                mine = max(let_go.get(organisation, 0), put_right.get(organisation, 0))
                has -= min(max(has - rest, 0), mine)
                rest -= has
                passed_on = min(answer.sold_micros, max(rest, 0))
                held += has
                sold += passed_on
                rest -= passed_on
            if rest > 0:
                unknown += rest
            else:
                excess -= rest
        for organisation in sorted(beyond):
            # What a partner's own customer has is part of what the partner said it sold on.
            answer = answers.get(organisation)
            has = max(answer.on_hand_micros - left_since.get(organisation, 0), 0) if answer else 0
            came = has - stock.get(organisation, 0)
            held += has
            covered = min(max(came, 0), sold)
            sold -= covered
            short = max(came, 0) - covered
            unknown, excess = max(unknown - short, 0), excess + max(short - unknown, 0)
        left = max(gone, 0)
        for organisation in sorted(listed):
            # Who is known from a list only has part of what is gone; what it has not said is unknown, not sold.
            answer = answers.get(organisation)
            has = max(answer.on_hand_micros - left_since.get(organisation, 0), 0) if answer else 0
            said = has + (answer.sold_micros if answer else 0)
            held += has
            excess += max(has - left, 0)
            left = max(left - has, 0)
            silent = min(max(listed[organisation] - said, 0), left)
            unknown, left = unknown + silent, left - silent
        taken = self.gone_by[lot.pk]
        samples = min(taken["sample"], sold + left)
        loss = max(min(taken["destroy"] - self.destroyed[lot.pk], sold + left - samples), 0)
        return Amounts(
            made=made,
            used=used,
            shipped=self.shipped.get(lot.pk, 0),
            recovered=self.recovered[lot.pk],
            destroyed=self.destroyed[lot.pk],
            released=released,
            in_house=max(in_house, 0),
            held=held,
            sold=sold + left - samples - loss,
            samples=samples,
            loss=loss,
            unknown=unknown + max(transit.get(self.initiator, 0), 0),
            excess=excess,
        )


def _gone_by(inside: QuerySet[Any, Any], parties: Mapping[int, frozenset[int]]) -> dict[int, dict[str, int]]:
    """By lot, what events took as samples and what was destroyed, in the recall or outside it; of a lot of which only
    what passed through a trader is meant, in those hands.
    """
    found: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    taking = [code for code, one in templates().items() if one.moves in ("sample", "destroy")]
    rows = EventItem.objects.filter(
        lot__in=inside, micros__lt=0, event__template__in=taking, event__corrections__isnull=True
    ).exclude(role="input")
    grouped = rows.order_by().values("lot", "event__template", "holder").annotate(n=Sum("micros"))
    for lot, code, holder, micros in grouped.values_list("lot", "event__template", "holder", "n"):
        if lot is not None and (lot not in parties or holder in parties[lot]):
            found[lot][template(code).moves] -= micros
    return found


def _parts(version: ScopeVersion) -> dict[int, int]:
    """How much of each lot of which only part is covered (millionths)."""
    rows = ScopeLot.objects.filter(scope=version).exclude(part={})
    return dict(rows.values_list("lot", "made_micros"))


def _take(stock: dict[int, int], transit: dict[int, int], organisation: int, micros: int) -> None:
    """Take so much from what an organisation has, first from what is known to be there."""
    known = min(stock.get(organisation, 0), micros)
    stock[organisation] = stock.get(organisation, 0) - known
    transit[organisation] = max(transit.get(organisation, 0) - (micros - known), 0)


class Said(NamedTuple):
    """What a holder said it has and sold."""

    on_hand_micros: int
    sold_micros: int


class _Told:
    """To whom the notices of a campaign went (``own``), which of them were passed on by a holder, and to whom those of
    others went that answers belong to. Answers to notices about lots that are ``over`` do not count.

    Read once and looked up: joined to ten thousand answers and lots of notices, an engine looks each notice up anew.
    """

    def __init__(self, campaign: Campaign, over: Set[tuple[int, int]]) -> None:
        self.over = over
        self.is_drill = campaign.is_drill
        rows = fetched(Notice.objects.filter(campaign=campaign).order_by().values_list("pk", "organisation", "parent"))
        self.own: dict[int, int] = {pk: organisation for pk, organisation, _parent in rows}
        self.passed_on: set[int] = {pk for pk, _organisation, parent in rows if parent is not None}

    def counting(self, notices: Iterable[int]) -> dict[int, int]:
        """By notice to whom it went, for these; without those whose answers stay out: a drill's in all others, and all
        others' in a drill. One query where there are notices of other campaigns.
        """
        strange = {pk for pk in notices if pk not in self.own}
        if not strange or self.is_drill:
            return self.own
        rows = Notice.objects.filter(among("pk", strange), campaign__is_drill=False).order_by()
        return self.own | dict(fetched(rows.values_list("pk", "organisation")))


def _latest_answers(inside: QuerySet[Any, Any], told: _Told) -> dict[int, dict[int, Said]]:
    """By lot and holder the last stock answer, to whichever campaign; what was answered in a drill stays in it."""
    rows = fetched(_answers(inside).values_list("lot", "notice", "on_hand_micros", "sold_micros"))
    holders = told.counting(row[1] for row in rows)
    found: dict[int, dict[int, Said]] = defaultdict(dict)
    for lot, notice, has, sold in rows:
        if (holder := holders.get(notice)) is not None and (notice, lot) not in told.over:
            found[lot][holder] = Said(has, sold)
    return found


def _answers(inside: QuerySet[Any, Any]) -> QuerySet[StockAnswer]:
    """The answers that may count, the oldest first; not yet told apart by whose campaign's they are."""
    gone = SetAside.objects.filter(acknowledgement=OuterRef("acknowledgement"))
    return StockAnswer.objects.filter(~Exists(gone), lot__in=inside).order_by("at", "id")


def _answered_at(
    inside: QuerySet[Any, Any], organisations: set[int], told: _Told
) -> dict[LotOrganisation, datetime.datetime]:
    """When the last answers of these holders were given; asked of those alone whose goods moved, since times are slow
    to read.
    """
    if not organisations:
        return {}
    rows = list(
        _answers(inside).filter(among("notice__organisation", organisations)).values_list("lot", "notice", "at")
    )
    holders = told.counting(row[1] for row in rows)
    counting = (row for row in rows if row[1] in holders and (row[1], row[0]) not in told.over)
    return {(lot, holders[notice]): at for lot, notice, at in counting}


@dataclass(frozen=True)
class Recovered:
    """What came back to the initiator against what became of it, in one unit."""

    unit: str
    recovered: int
    destroyed: int
    released: int
    in_house: int

    @property
    def unaccounted(self) -> int:
        """Came back and is neither destroyed, put right, nor there."""
        return max(self.recovered - self.destroyed - self.released - self.in_house, 0)


def recovered_against(campaign: Campaign) -> list[Recovered]:
    """Per lot: recovered goods must be destroyed, put right or still there (food safety law, article 63: they must not
    go back to market). What was put right where it lay, with others, never came back and does not count.
    """
    version = campaign.scopes.order_by("-number").first()
    if version is None or not ReturnReceipt.objects.filter(lot__in=version.lots.values("lot")).exists():
        return []
    rows = [one for one in figures(campaign, version).lots if one.amounts.recovered]
    own: dict[int, int] = defaultdict(int)
    destroyed = Disposal.objects.filter(
        organisation=campaign.organisation, lot__in=[one.lot.pk for one in rows], event__corrections__isnull=True
    )
    for lot, micros in destroyed.values_list("lot", "micros"):
        own[lot] += micros
    here = CorrectedRelease.objects.filter(
        campaign=campaign, holder=campaign.organisation, lot__in=[one.lot.pk for one in rows], approval__isnull=False
    )
    released: dict[int, int] = defaultdict(int)
    for lot, micros in here.values_list("lot", "micros"):
        released[lot] += micros
    return [
        Recovered(
            one.unit,
            one.amounts.recovered,
            own[one.lot.pk],
            min(released[one.lot.pk], one.amounts.released),
            one.amounts.in_house,
        )
        for one in rows
    ]
