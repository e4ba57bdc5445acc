"""What a recall must cover, from the genealogy: a question, and its answer. Nothing here writes.

Two shells. *Proven*: the lots named and everything made of them. *Possible*: sources somebody suspects, what else was
made of those, what was made in the same run as a named lot, the rest of the supplier's lot that a named lot was joined
with, goods somebody says are of these lots without the supplier's confirmation, and whatever shared equipment or a
container with a named lot or one of its ancestors (``trace.shells``). The answer does not depend on the order of lots
and follows links that were declared wrong as well: a scope asks generously.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from typing import Any, NamedTuple

from django.utils.translation import gettext as _

from recalls.models import Campaign, ScopeHolding, ScopeLot, ScopeVersion
from recalls.parts import Coverage, Extent, Part, Through, held_of, resolved, within, words_of
from recalls.through import Passage, Passing, through_of
from trace.among import among, rows_among
from trace.crossing import claimed_of, joined_to, left_behind, same_code_elsewhere
from trace.errors import Clash, Invalid
from trace.genealogy import LotsOnDemand, Walk, lots_by_pk, walk
from trace.models import (
    Conflict,
    EpcisName,
    EventItem,
    Lot,
    LotClaim,
    LotLink,
    Organisation,
    Stock,
    Transfer,
)
from trace.plain import uncollected
from trace.shells import possible

LIMIT = 200_000
"""Largest scope; beyond it nothing is frozen, so that no scope is silently cut."""

_CHUNK = 5_000
_NO_LOT = -1
"""Stands behind the last row, so that reading beside each other ends."""

Shell = ScopeLot.Shell
Why = ScopeLot.Why
_SHELL = {
    Why.NAMED: Shell.PROVEN,
    Why.DESCENDS: Shell.PROVEN,
    Why.SOURCE: Shell.POSSIBLE,
    Why.SAME_RUN: Shell.POSSIBLE,
    Why.SHARES_SOURCE: Shell.POSSIBLE,
    Why.SAME_LOT: Shell.POSSIBLE,
    Why.CLAIMED: Shell.POSSIBLE,
    Why.SAME_GEAR: Shell.POSSIBLE,
}


@dataclass(frozen=True)
class Question:
    """What is asked, by row numbers of lots.

    ``named`` are known to be bad. ``sources`` are ancestors of theirs that are suspected: everything made of them
    comes in. ``same_run`` brings in lots that came out of the same event as a named lot, ``same_gear`` what shared a
    run of equipment or a container with a named lot or one of its ancestors. ``left_out`` are possible lots a person
    excluded, ``left_out_reason`` says why. ``parts`` names lots of which only a part is meant, each with the reason why
    its rest is not affected. ``through`` (row number of an organisation) covers only what passed through its hands and
    what was made of that: the cause lies with it (``recalls.through``).
    """

    named: frozenset[int]
    sources: frozenset[int] = frozenset()
    same_run: bool = True
    left_out: frozenset[int] = frozenset()
    left_out_reason: str = ""
    same_gear: bool = False
    parts: tuple[Part, ...] = ()
    through: int | None = None

    @classmethod
    def of(
        cls,
        named: Iterable[Lot],
        sources: Iterable[Lot] = (),
        *,
        same_run: bool = True,
        left_out: Iterable[Lot] = (),
        left_out_reason: str = "",
        same_gear: bool = False,
        parts: Iterable[Part] = (),
        through: Organisation | None = None,
    ) -> Question:
        """The question in lots instead of row numbers."""
        return cls(
            frozenset(lot.pk for lot in named),
            frozenset(lot.pk for lot in sources),
            same_run,
            frozenset(lot.pk for lot in left_out),
            left_out_reason.strip(),
            same_gear,
            tuple(sorted(parts, key=lambda part: part.lot)),
            through.pk if through is not None else None,
        )

    def as_json(self, lots: Mapping[int, Lot]) -> dict[str, Any]:
        """By the lots' outside names, sorted, so that the same question is the same text."""

        def names(ids: Iterable[int]) -> list[str]:
            return sorted(str(lots[pk].uid) for pk in ids if pk in lots)

        return {
            "named": names(self.named),
            "sources": names(self.sources),
            "same_run": self.same_run,
            "left_out": names(self.left_out),
            "left_out_reason": self.left_out_reason,
            **({"same_gear": True} if self.same_gear else {}),
            **(
                {"parts": [one.as_json(str(lots[one.lot].uid)) for one in self.parts if one.lot in lots]}
                if self.parts
                else {}
            ),
            **({"through": str(Organisation.objects.get(pk=self.through).uid)} if self.through is not None else {}),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Question:
        """The question of a frozen version, to be asked again."""
        parts = data.get("parts", [])
        uids = {*data["named"], *data["sources"], *data["left_out"], *(one["lot"] for one in parts)}
        known = {str(uid): pk for pk, uid in Lot.objects.filter(uid__in=uids).values_list("pk", "uid")}

        def ids(key: str) -> frozenset[int]:
            return frozenset(known[uid] for uid in data[key] if uid in known)

        return cls(
            ids("named"),
            ids("sources"),
            bool(data["same_run"]),
            ids("left_out"),
            data.get("left_out_reason", ""),
            bool(data.get("same_gear")),
            tuple(Part.from_json(one, known[one["lot"]]) for one in parts if one["lot"] in known),
            Organisation.objects.values_list("pk", flat=True).get(uid=data["through"]) if "through" in data else None,
        )


def same_question(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two questions as they are kept ask the same: the words beside them and the unit numbers that a part comes
    to today are no part of what is asked.
    """

    def asked(data: Mapping[str, Any]) -> dict[str, Any]:
        parts = [{key: part[key] for key in ("lot", "kind", "words")} for part in data.get("parts", [])]
        return {**data, "left_out_reason": "", "parts": parts}

    return asked(one) == asked(other)


class ScopeLine(NamedTuple):
    """One lot of the answer with its reason and the path to it, its amounts by record (millionths) and how many
    conflicts lie on it. ``note`` names the equipment or container shared; it belongs to the first lot of the path.
    ``part`` is what of it is covered where that is not all: the amounts are then the part's, ``rest`` is the rest's. Of
    what passed through an organisation, ``made`` is how much came to it and ``shipped`` how much it sent out.
    A plain tuple, with the lot read when it is looked at: an answer may have a hundred thousand of them.
    """

    lot_id: int
    why: ScopeLot.Why
    path: tuple[int, ...]
    lots: Mapping[int, Lot]
    made: int = 0
    used: int = 0
    shipped: int = 0
    conflicts: int = 0
    note: str = ""
    part: Part | Through | None = None
    rest: int = 0

    @property
    def lot(self) -> Lot:
        """The lot itself."""
        return self.lots[self.lot_id]

    @property
    def shell(self) -> ScopeLot.Shell:
        """Proven or possible."""
        return _SHELL[self.why]


class HoldingLine(NamedTuple):
    """What one organisation had to do with one lot, by record, in millionths."""

    lot_id: int
    organisation_id: int
    received: int = 0
    shipped: int = 0
    on_hand: int = 0
    unconfirmed: int = 0


@dataclass(frozen=True)
class Answer:
    """The scope as calculated: lines in order of reason and lot, holdings, every lot named in a path (read when looked
    at; ``lots.read`` brings those of a page at once).

    ``cut`` is true when the limit stopped the walk; such an answer cannot be frozen. ``took_ms`` is how long it took.
    """

    question: Question
    lines: list[ScopeLine]
    holdings: list[HoldingLine]
    lots: LotsOnDemand
    organisations: dict[int, Organisation]
    cut: bool = False
    took_ms: int = 0
    left_out: list[Lot] = field(default_factory=list)

    @property
    def lot_ids(self) -> frozenset[int]:
        """Row numbers of the lots covered."""
        return frozenset(line.lot_id for line in self.lines)

    @property
    def holder_ids(self) -> frozenset[int]:
        """Row numbers of everybody who has or had some."""
        return frozenset(one.organisation_id for one in self.holdings)

    @property
    def pairs(self) -> frozenset[tuple[int, int]]:
        """(lot, organisation) of every holding."""
        return frozenset((one.lot_id, one.organisation_id) for one in self.holdings)

    @cached_property
    def uids(self) -> dict[int, str]:
        """The outside name of every lot."""
        return {pk: str(uid) for pk, uid in Lot.objects.filter(among("pk", self.lots)).values_list("pk", "uid")}

    @property
    def coverage(self) -> Coverage:
        """What of each lot is covered."""
        return {line.lot_id: Extent.of(line.part) for line in self.lines}

    def path(self, line: ScopeLine) -> list[Lot]:
        """The lots from where the suspicion starts to this one."""
        return [self.lots[pk] for pk in line.path]

    def canonical(self) -> bytes:
        """The answer as sorted JSON of outside names: what is hashed when it is frozen."""
        organisation = {pk: str(one.uid) for pk, one in self.organisations.items()}
        lot = self.uids
        document = {
            "question": self.question.as_json(self.lots),
            "lots": sorted(
                [
                    lot[line.lot_id],
                    line.why.value,
                    [lot[pk] for pk in line.path],
                    line.made,
                    line.used,
                    line.shipped,
                    *([line.part.as_json(lot[line.lot_id])] if line.part else []),
                ]
                for line in self.lines
            ),
            "holdings": sorted(
                [
                    lot[one.lot_id],
                    organisation[one.organisation_id],
                    one.received,
                    one.shipped,
                    one.on_hand,
                    one.unconfirmed,
                ]
                for one in self.holdings
            ),
        }
        return json.dumps(document, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()

    def sha256(self) -> str:
        """The hash of ``canonical``."""
        return hashlib.sha256(self.canonical()).hexdigest()


@uncollected()
def preview_scope(question: Question, *, limit: int = LIMIT) -> Answer:
    """Answer a question; writes nothing. About a dozen queries whatever the size of the scope.

    Refuses no lots (``lots_required``), a source that is no ancestor of a named lot (``not_a_source``), and leaving out
    lots that are proven (``proven_left_out``) or without a reason (``reason_required``), parts as ``resolved`` does and
    those of a lot that is not in the scope (``part_not_in_scope``). With ``through``: lots that organisation never had
    (``through_not_held``), parts beside it (``part_through``).
    """
    began = time.monotonic()
    if not question.named:
        raise Invalid(_("请至少指明一个批次。"), code="lots_required")
    if question.through is not None:
        return _through_answer(question, question.through, limit, began)
    reach = _reached(question, limit)
    _check_left_out(question, reach.reasons)
    kept = {pk: reason for pk, reason in reach.reasons.items() if pk not in question.left_out}
    question = _with_parts(question, kept)
    lots = LotsOnDemand({*kept, *question.left_out, *chain.from_iterable(path for _why, path in kept.values())})
    begun: list[Begun] = rows_among(Lot, "id", ("organisation_id", "made_micros"), kept)
    moves: list[Move] = rows_among(Transfer, "lot_id", _MOVE, kept, where="voided_by_id IS NULL")
    used = _used(kept if reach.cut else kept.keys() & reach.parents)
    lines = _lines(kept, lots, begun, moves, used, reach.notes)
    holdings = _holdings(begun, rows_among(Stock, "lot_id", ("organisation_id", "micros"), kept), moves)
    for part in question.parts:
        lines, holdings = _narrowed_to(part, lots[part.lot], lines, holdings)
    everybody = {one.organisation_id for one in holdings}
    organisations = {
        row.pk: row for row in Organisation.objects.filter(among("pk", everybody)).select_related("division", "kept_by")
    }
    return Answer(
        question,
        lines,
        holdings,
        lots,
        organisations,
        reach.cut,
        round((time.monotonic() - began) * 1000),
        [lots[pk] for pk in sorted(question.left_out) if pk in lots],
    )


def _through_answer(question: Question, through: int, limit: int, began: float) -> Answer:
    """The answer of a question about what passed through one organisation."""
    if question.parts:
        raise Invalid(_("按经手单位划定的范围不能再按箱码、编号划定。"), code="part_through")
    passing = Passing(through, limit)
    reasons, notes = _passed_reasons(question, passing)
    _check_left_out(question, reasons)
    kept = {pk: reason for pk, reason in reasons.items() if pk not in question.left_out}
    lots = LotsOnDemand({*kept, *question.left_out, *chain.from_iterable(path for _why, path in kept.values())})
    conflicts = _conflicts_of(kept)
    everybody = {party for pk in kept for party in passing.found[pk].arrivals}
    organisations = {
        row.pk: row
        for row in Organisation.objects.filter(among("pk", {*everybody, *_suppliers(passing)})).select_related(
            "division", "kept_by"
        )
    }
    uid = str(Organisation.objects.values_list("uid", flat=True).get(pk=through))
    order = list(Why)
    lines = [
        _passed_line(passing, pk, kept[pk], lots, organisations, uid, conflicts.get(pk, 0), notes.get(pk, ""))
        for pk in sorted(kept, key=lambda pk: (order.index(kept[pk][0]), pk))
    ]
    holdings = [one for pk in sorted(kept) for one in _passed_holdings(passing.found[pk], through)]
    return Answer(
        question,
        lines,
        holdings,
        lots,
        organisations,
        passing.cut,
        round((time.monotonic() - began) * 1000),
        [lots[pk] for pk in sorted(question.left_out) if pk in lots],
    )


def _passed_reasons(question: Question, passing: Passing) -> tuple[Reasons, dict[int, str]]:
    """Why and by which path each lot is in: the strongest reason wins. What lay beside a named lot counts where it did
    so in the organisation's own steps, equipment or containers.
    """
    through = passing.through
    reasons: Reasons = {}
    notes: dict[int, str] = {}

    def spread(seeds: Mapping[int, tuple[int, ...]], first: ScopeLot.Why, then: ScopeLot.Why) -> list[int]:
        fresh = passing.spread(seeds)
        for pk in fresh:
            reasons[pk] = (first if pk in seeds else then, passing.paths[pk])
        return fresh

    had = passing.had(question.named)
    seeds: dict[int, tuple[int, ...]] = {pk: (pk,) for pk in sorted(had)}
    for pk in sorted(question.named):
        own = passing.joined(pk)
        if pk not in had and not own:
            code = Lot.objects.get(pk=pk).code
            raise Invalid(
                _("经手单位没有收到、持有过批次 %(lot)s。") % {"lot": code}, code="through_not_held", lot=code
            )
        seeds |= {one: (pk, one) for one in own if one not in seeds}
    spread({pk: path for pk, path in seeds.items() if pk in question.named}, Why.NAMED, Why.DESCENDS)
    spread(seeds, Why.DESCENDS, Why.DESCENDS)
    if question.sources:
        back = walk(sorted(question.named), "back", limit=passing.limit, with_voided=True)
        if not question.sources <= set(back.level) or passing.had(question.sources) != set(question.sources):
            raise Invalid(_("所选来源不是指定批次的上游批次，请重新选择。"), code="not_a_source")
        spread({pk: (pk,) for pk in sorted(question.sources)}, Why.SOURCE, Why.SHARES_SOURCE)
    if question.same_run:
        mates = _same_run(question.named, through)
        spread({pk: (mate, pk) for pk, mate in sorted(mates.items())}, Why.SAME_RUN, Why.SAME_RUN)
    if question.same_gear:
        gear = possible(sorted(question.named), limit=passing.limit, with_voided=True, organisation=through)
        marked = {lot for pair in gear.pairs.values() for lot in (pair.anchor, pair.mate)}
        first = {pk: gear.paths[pk] for pk in sorted(marked & gear.paths.keys())}
        held = passing.had(first)
        for pk in spread({pk: first[pk] for pk in sorted(held)}, Why.SAME_GEAR, Why.SAME_GEAR):
            start = next((one for one in reversed(passing.paths[pk]) if one in gear.pairs), pk)
            notes[pk] = gear.pairs[start].words if start in gear.pairs else ""
        passing.cut = passing.cut or gear.cut
    _passed_claims(passing, reasons, notes)
    return reasons, notes


def _passed_claims(passing: Passing, reasons: Reasons, notes: dict[int, str]) -> None:
    """Goods outside that their receiver says are of these lots. From whom they came is asked first: from somebody in
    whose hands none of the goods were, they are other goods of the lot; where nobody knows, they are in.
    """
    asked: set[int] = set()
    while fresh := set(reasons) - asked:
        asked |= fresh
        claims, reports = claimed_of(fresh), same_code_elsewhere(fresh) | left_behind(fresh)
        said = {external: lot for external, lot in {**claims, **reports}.items() if external not in reasons}
        rows = Lot.objects.filter(among("pk", said)).select_related("organisation", "origin_event")
        seeds: dict[int, tuple[int, ...]] = {}
        for external in rows:
            lot = said[external.pk]
            arrivals, issuer = passing.found[lot].arrivals, external.organisation
            supplier = issuer.registered_as_id if issuer.is_external else issuer.pk
            maker = passing.found[lot].goods.origin
            if external.pk in claims:
                supplier = maker
            if external.origin_event.organisation_id == passing.through or supplier in arrivals or supplier is None:
                seeds[external.pk] = (*reasons[lot][1], external.pk)
                if supplier is None:
                    notes[external.pk] = _("收货方报了这个批号，没有说明从谁处收到，无法确定是否经过经手单位")
        for pk in passing.spread(seeds):
            reasons[pk] = (Why.CLAIMED, passing.paths[pk])


def _suppliers(passing: Passing) -> set[int]:
    """From whom uncoded goods may have come."""
    return {party for passage in passing.found.values() for party in passage.told.loose}


def _passed_line(
    passing: Passing,
    pk: int,
    reason: tuple[ScopeLot.Why, tuple[int, ...]],
    lots: Mapping[int, Lot],
    organisations: Mapping[int, Organisation],
    uid: str,
    conflicts: int,
    note: str,
) -> ScopeLine:
    """One lot of what passed through: all of it, or so much of it."""
    passage, (why, path) = passing.found[pk], reason
    goods, amount, used = passage.goods, passing.amount(passage), passing.used(passage)
    sender = goods.origin if passage.whole else passing.through
    shipped = sum(move.sent for move in passage.moves() if move.source == sender)
    if passage.whole:
        return ScopeLine(pk, why, path, lots, goods.made, used, shipped, conflicts, note)
    told = passage.told
    loose = tuple(sorted(str(organisations[one].uid) for one in told.loose))
    part = Through(pk, uid, told.ranges, told.apart, loose)
    return ScopeLine(
        pk, why, path, lots, amount, used, shipped, conflicts, note, part, max(goods.made - amount, 0)
    )  # fmt: skip


def _passed_holdings(passage: Passage, through: int) -> list[HoldingLine]:
    """Who has or had goods of one lot that passed through, with amounts that may be of them: of a mixed stock no more
    than came to it that way.
    """
    received: defaultdict[int, int] = defaultdict(int)
    shipped: defaultdict[int, int] = defaultdict(int)
    unconfirmed: defaultdict[int, int] = defaultdict(int)
    for move in passage.moves():
        shipped[move.source] += move.sent
    for move in [*passage.moves(), *passage.first()]:
        if move.arrived is None:
            unconfirmed[move.to] += move.sent
        else:
            received[move.to] += move.arrived
    found: list[HoldingLine] = []
    for party in sorted(passage.arrivals):
        there = max(passage.goods.stock.get(party, 0), 0)
        if not passage.whole and party != through:
            # What was destroyed in a recall was of what came through.
            there = min(there, max(received[party] - passage.goods.destroyed.get(party, 0), 0))
        found.append(HoldingLine(passage.goods.lot, party, received[party], shipped[party], there, unconfirmed[party]))
    return found


def _with_parts(question: Question, kept: Reasons) -> Question:
    """The question with its parts as unit numbers."""
    if not question.parts:
        return question
    if len({part.lot for part in question.parts}) < len(question.parts):
        raise Invalid(_("一个批次只能划定一个部分，请合并填写。"), code="part_twice")
    if any(part.lot not in kept for part in question.parts):
        raise Invalid(_("只划定一部分的批次须在召回范围内。"), code="part_not_in_scope")
    return replace(question, parts=tuple(resolved(part) for part in question.parts))


def _narrowed_to(
    part: Part, lot: Lot, lines: list[ScopeLine], holdings: list[HoldingLine]
) -> tuple[list[ScopeLine], list[HoldingLine]]:
    """Lines and holdings with one lot's amounts and holders reduced to a part of it. Whose goods of the lot all lie
    outside is no holder.
    """
    issuer, made = lot.organisation_id, lot.made_micros
    held = held_of(lot, part)
    narrowed = [
        line._replace(part=part, made=held.micros, rest=max(made - held.micros, 0), used=0, shipped=0)
        if line.lot_id == part.lot
        else line
        for line in lines
    ]
    parties = {issuer, *held.located, *held.possible, *held.had}
    mine = [
        HoldingLine(part.lot, pk, 0, 0, held.located.get(pk, 0), held.possible.get(pk, 0)) for pk in sorted(parties)
    ]
    return narrowed, [one for one in holdings if one.lot_id != part.lot] + mine


def sources_of(named: Sequence[Lot | int]) -> list[tuple[Lot, int]]:
    """Every ancestor of these lots with its distance, farthest last: where a cause could lie."""
    back = walk(named, "back", with_voided=True)
    lots = lots_by_pk(back.reached)
    return [(lots[pk], back.level[pk]) for pk in back.reached]


Reasons = dict[int, tuple[ScopeLot.Why, tuple[int, ...]]]


@dataclass
class _Reach:
    """What the walks of a question found: why and by which path each lot is in, the words of those that shared
    equipment, the lots that something was made of, and whether a limit stopped a walk.
    """

    limit: int
    reasons: Reasons = field(default_factory=dict)
    notes: dict[int, str] = field(default_factory=dict)
    parents: set[int] = field(default_factory=set)
    cut: bool = False

    def forward(self, lots: Iterable[int]) -> dict[int, tuple[int, ...]]:
        """Walk on from these lots: all that was made of them, each with its path."""
        return self.over(walk(sorted(lots), "forward", limit=self.limit, with_voided=True)).paths()

    def over(self, walked: Walk) -> Walk:
        """Note what a walk met."""
        self.cut = self.cut or walked.cut
        self.parents.update(link[1] for link in walked.links)
        return walked


def _reached(question: Question, limit: int) -> _Reach:
    """Why and by which path each lot is in; the strongest reason wins, whatever the order of walks."""
    reach = _Reach(limit)
    found = reach.reasons
    named, descends = Why.NAMED, Why.DESCENDS
    for pk, path in reach.forward(question.named).items():
        found[pk] = (named if pk in question.named else descends, path)
    if question.sources:
        back = reach.over(walk(sorted(question.named), "back", limit=limit, with_voided=True))
        if not question.sources <= set(back.level):
            raise Invalid(_("所选来源不是指定批次的上游批次，请重新选择。"), code="not_a_source")
        for pk, path in reach.forward(question.sources).items():
            found.setdefault(pk, (Why.SOURCE if pk in question.sources else Why.SHARES_SOURCE, path))
    if question.same_run:
        siblings = _same_run(question.named)
        for pk, path in reach.forward(siblings).items():
            whole = (siblings[path[0]], *path)
            if pk not in found or (found[pk][0] is Why.SHARES_SOURCE and pk in siblings):
                found[pk] = (Why.SAME_RUN, whole)
    if question.same_gear:
        gear = possible(sorted(question.named), limit=limit, with_voided=True)
        reach.over(gear.wider)
        reach.notes = {pk: pair.words for pk, pair in gear.pairs.items() if pk not in found}
        found |= {pk: (Why.SAME_GEAR, gear.paths[pk]) for pk in reach.notes}
        reach.cut = reach.cut or gear.cut
    _rest_of_joined(question, reach)
    _claimed(reach)
    return reach


def _rest_of_joined(question: Question, reach: _Reach) -> None:
    """Named lots that a receiver took in and joined with its supplier's: the rest of that lot may be as bad."""
    joined = joined_to(question.named)
    taken = {supplier: external for external, supplier in sorted(joined.items(), reverse=True)}
    for pk, path in reach.forward(taken).items():
        reach.reasons.setdefault(pk, (Why.SAME_LOT, (taken[path[0]], *path)))


def _claimed(reach: _Reach) -> None:
    """Goods outside that their receiver says are of these lots, by a claim or by reporting their GTIN and lot code from
    its own system, and what was made of them.
    """
    claims = LotClaim.objects.filter(status__in=(LotClaim.Status.OPEN, LotClaim.Status.DENIED)).exists()
    reports = EpcisName.objects.filter(kind__in=("class", "epc"), lot__isnull=False).exists()
    if not claims and not reports:
        return
    found = reach.reasons
    asked: set[int] = set()
    while fresh := set(found) - asked:
        asked |= fresh
        said = claimed_of(fresh) if claims else {}
        if reports:
            said |= same_code_elsewhere(fresh) | left_behind(fresh)
        claimed = {external: lot for external, lot in said.items() if external not in found}
        for pk, path in reach.forward(claimed).items():
            found.setdefault(pk, (Why.CLAIMED, (*found[claimed[path[0]]][1], *path)))


def _same_run(named: Iterable[int], organisation: int | None = None) -> dict[int, int]:
    """Lots that came out of the same event (of this organisation alone, if given) as a named lot, each with the named
    lot (the first by number).
    """
    ids = sorted(named)
    runs: dict[int, int] = {}
    for chunk in _chunks(ids):
        outputs = EventItem.objects.filter(lot__in=chunk, role="output").order_by("-lot")
        if organisation is not None:
            outputs = outputs.filter(event__organisation=organisation)
        for event, lot in outputs.values_list("event", "lot"):
            if lot is not None:
                runs[event] = lot
    found: dict[int, int] = {}
    for chunk in _chunks(sorted(runs)):
        beside = EventItem.objects.filter(event__in=chunk, role="output", lot__isnull=False)
        for event, lot in beside.values_list("event", "lot").order_by("-event"):
            if lot is not None and lot not in named:
                found[lot] = min(runs[event], found.get(lot, runs[event]))
    return found


def _check_left_out(question: Question, found: Reasons) -> None:
    """Only possible lots may be left out, and not without a word."""
    if not question.left_out:
        return
    if not question.left_out_reason:
        raise Invalid(_("请写明为什么排除这些批次。"), code="reason_required")
    if any(_SHELL[found[pk][0]] is Shell.PROVEN for pk in question.left_out if pk in found):
        raise Invalid(_("“确定”的批次不能排除，只能排除“可能”的批次。"), code="proven_left_out")


Begun = tuple[int, int, int]
"""Row numbers of lot and issuer, and what was made."""
Move = tuple[int, int, int, int, int | None]
"""Row numbers of lot, sender and receiver, what was sent and what arrived (None: nobody confirmed)."""
_MOVE = ("sender_id", "receiver_id", "sent_micros", "received_micros")
Held = tuple[int, int, int]
"""Row numbers of lot and holder, and what is there."""


def _lines(
    kept: Reasons,
    lots: Mapping[int, Lot],
    begun: Iterable[Begun],
    moves: Iterable[Move],
    used: Mapping[int, int],
    notes: Mapping[int, str],
) -> list[ScopeLine]:
    """The lines with amounts, proven first, then by reason and lot."""
    issuers = {pk: issuer for pk, issuer, _made in begun}
    shipped = first_sent(issuers, moves)
    conflicts = _conflicts_of(issuers)
    lines: dict[ScopeLot.Why, list[ScopeLine]] = {why: [] for why in Why}
    line = ScopeLine._make
    for pk, _issuer, made in begun:
        why, path = kept[pk]
        amounts = (made, used.get(pk, 0), shipped.get(pk, 0), conflicts.get(pk, 0))
        lines[why].append(line((pk, why, path, lots, *amounts, notes.get(pk, ""), None, 0)))
    return [line for some in lines.values() for line in some]


def first_sent(issuers: Mapping[int, int], moves: Iterable[Move]) -> dict[int, int]:
    """How much of each lot its maker sent out, in millionths. Of a lot of a maker outside, which reports nothing,
    what those sent out who took it in: the brand owner or trader that registered it, even where some came back to it,
    and whoever else had it from nobody here. One query where there may be such lots.
    """
    moves = list(moves)
    shipped: defaultdict[int, int] = defaultdict(int)
    for lot, sender, _receiver, sent, _received in moves:
        if sender == issuers[lot]:
            shipped[lot] += sent
    others = [one for one in moves if one[0] not in shipped]
    if others:
        outside = Lot.objects.filter(among("pk", {one[0] for one in others}), is_external=True)
        first = dict(outside.values_list("pk", "origin_event__organisation"))
        given = {(lot, receiver) for lot, _sender, receiver, _sent, _received in others} - first.items()
        others = [one for one in others if one[0] in first and (one[0], one[1]) not in given]
    for lot, _sender, _receiver, sent, _received in others:
        shipped[lot] += sent
    return shipped


def _conflicts_of(lots: Iterable[int]) -> dict[int, int]:
    """How many conflicts lie on each lot."""
    return Counter(lot for (lot,) in rows_among(Conflict, "lot_id", (), lots, where="voided_by_id IS NULL"))


def _used(ids: Iterable[int]) -> dict[int, int]:
    """What went into other lots, in millionths: once per lot and step, however many lots came out of it. Links know it,
    and only lots that were used have any; items would be read for every movement.
    """
    found: defaultdict[int, int] = defaultdict(int)
    columns = ("event_id", "input_micros")
    for lot, _event, micros in rows_among(
        LotLink, "parent_id", columns, ids, where="voided_by_id IS NULL", distinct=True
    ):
        found[lot] += micros
    return found


def _holdings(begun: Iterable[Begun], stock: Iterable[Held], moves: Iterable[Move]) -> list[HoldingLine]:
    """Everybody who has, had, was sent or made any of the lots, with the amounts on record.

    Sent is enough: a slip that was declared wrong is left out, one nobody confirmed is not. Lots, stock and moves come
    in the order of lots and are read beside each other: one table of all pairs took three times as long.
    """
    in_hand, moved = chain(stock, [(_NO_LOT, 0, 0)]), chain(moves, [(_NO_LOT, 0, 0, 0, None)])
    lot, holder, there = next(in_hand)
    slip, sender, receiver, sent, arrived = next(moved)
    found: list[tuple[int, int, int, int, int, int]] = []
    for pk, issuer, _made in begun:
        on_hand = {issuer: 0}
        while lot == pk:
            on_hand[holder] = on_hand.get(holder, 0) + there
            lot, holder, there = next(in_hand)
        if slip != pk:
            found += [(pk, party, 0, 0, on_hand[party], 0) for party in sorted(on_hand)]
            continue
        received: dict[int, int] = {}
        shipped: dict[int, int] = {}
        unconfirmed: dict[int, int] = {}
        while slip == pk:
            shipped[sender] = shipped.get(sender, 0) + sent
            if arrived is None:
                unconfirmed[receiver] = unconfirmed.get(receiver, 0) + sent
            else:
                received[receiver] = received.get(receiver, 0) + arrived
            slip, sender, receiver, sent, arrived = next(moved)
        for party in sorted({*on_hand, *received, *shipped, *unconfirmed}):
            amounts = (received.get(party, 0), shipped.get(party, 0), on_hand.get(party, 0), unconfirmed.get(party, 0))
            found.append((pk, party, *amounts))
    return list(map(HoldingLine._make, found))


def _chunks(ids: Sequence[int]) -> Iterable[Sequence[int]]:
    """Pieces small enough for one query's parameters."""
    for begin in range(0, len(ids), _CHUNK):
        yield ids[begin : begin + _CHUNK]


# --- Frozen versions ------------------------------------------------------------------------------------------------


def latest_scope(campaign: Campaign) -> ScopeVersion | None:
    """The version in force."""
    return campaign.scopes.select_related("hold").order_by("-number").first()


def question_of(version: ScopeVersion) -> Question:
    """What was asked when the version was frozen."""
    return Question.from_json(version.question)


def lot_ids_of(version: ScopeVersion) -> frozenset[int]:
    """Row numbers of the lots of a frozen version."""
    return frozenset(ScopeLot.objects.filter(scope=version).values_list("lot", flat=True))


def coverage_of(version: ScopeVersion) -> Coverage:
    """What of each lot a frozen version covers."""
    rows = ScopeLot.objects.filter(scope=version)
    return {lot: Extent.from_json(part) for lot, part in rows.values_list("lot", "part")}


def version_in_force(campaign: Campaign) -> ScopeVersion | None:
    """The version in force without its hold and figures: what pages and letters ask of it. One query."""
    return campaign.scopes.only("campaign", "number", "question").order_by("-number").first()


def parts_in_force(version: ScopeVersion | None) -> dict[int, str]:
    """By lot (row number) which units of it the version in force covers, in words, for lots of which only part is."""
    if version is None:
        return {}
    rows = ScopeLot.objects.filter(scope=version).exclude(part={}).order_by().values_list("lot", "part")
    return {lot: words_of(part["ranges"]) for lot, part in rows if part["ranges"]}


def passed_in_force(version: ScopeVersion | None) -> tuple[Organisation | None, frozenset[int]]:
    """The trader whose hands the version in force follows, and the lots (row numbers) of which only what passed through
    them is covered. No query where there is none.
    """
    trader = through_of(version) if version is not None else None
    if version is None or trader is None:
        return None, frozenset()
    return trader, frozenset(lot for lot, extent in coverage_of(version).items() if extent.through)


def pairs_of(version: ScopeVersion) -> frozenset[tuple[int, int]]:
    """(lot, organisation) of a frozen version."""
    return frozenset(ScopeHolding.objects.filter(scope=version).values_list("lot", "organisation"))


@dataclass(frozen=True)
class Drift:
    """What has come to be since a version was frozen: lots and holders that the same question brings in now; ``wider``
    where it covers more of a lot of which only part was covered, by its extent or by amount.
    """

    answer: Answer
    new_lots: frozenset[int]
    new_pairs: frozenset[tuple[int, int]]
    wider: bool = False

    def __bool__(self) -> bool:
        return bool(self.new_lots or self.new_pairs or self.wider)


def _looser(now: Extent, before: Extent) -> bool:
    """Whether goods without codes may now have come from one they could not before, where no codes tell. A supplier
    that drops out makes the extent no smaller: it is still what passed through the same hands.
    """
    return bool(before.through and not before.ranges and not now.loose <= before.loose)


def drift(version: ScopeVersion, answer: Answer | None = None) -> Drift:
    """Ask the question of a frozen version again: events reported since may have brought lots and holders. Who has
    just asked brings the answer.
    """
    now = answer or preview_scope(question_of(version))
    before = coverage_of(version)
    wider = any(
        not within(extent, before[lot]) or _looser(extent, before[lot])
        for lot, extent in now.coverage.items()
        if lot in before
    )
    parts = version.lots.exclude(part={}).order_by()
    amounts = dict(parts.values_list("lot", "made_micros"))
    wider = wider or any(line.part and line.made > amounts.get(line.lot_id, line.made) for line in now.lines)
    return Drift(now, now.lot_ids - frozenset(before), now.pairs - pairs_of(version), wider)


def require_whole(answer: Answer) -> None:
    """Refuse (``scope_cut``) an answer that the limit stopped."""
    if answer.cut:
        raise Clash(
            _("范围超过 %(limit)s 个批次，没有算完。请分成几次召回，或与系统运维联系。") % {"limit": LIMIT},
            code="scope_cut",
            at=datetime.datetime.now(datetime.UTC).isoformat(),
        )


def links_of(ids: Iterable[int]) -> list[tuple[int, int]]:
    """(parent, child) links among these lots, for a drawing."""
    inside = set(ids)
    found: list[tuple[int, int]] = []
    for chunk in _chunks(sorted(inside)):
        rows = LotLink.objects.filter(parent__in=chunk).values_list("parent", "child").distinct()
        found += [(parent, child) for parent, child in rows if child in inside]
    return sorted(set(found))
