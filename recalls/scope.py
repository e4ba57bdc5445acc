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
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from typing import Any, NamedTuple

from django.db.models import Count
from django.utils.translation import gettext as _

from recalls.models import Campaign, ScopeHolding, ScopeLot, ScopeVersion
from recalls.parts import Coverage, Part, held_of, resolved, within, words_of
from trace.among import among, rows_among
from trace.crossing import claimed_of, joined_to, same_code_elsewhere
from trace.errors import Clash, Invalid
from trace.genealogy import LotsOnDemand, lots_by_pk, walk
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
    its rest is not affected.
    """

    named: frozenset[int]
    sources: frozenset[int] = frozenset()
    same_run: bool = True
    left_out: frozenset[int] = frozenset()
    left_out_reason: str = ""
    same_gear: bool = False
    parts: tuple[Part, ...] = ()

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
        )


class ScopeLine(NamedTuple):
    """One lot of the answer with its reason and the path to it, its amounts by record (millionths) and how many
    conflicts lie on it. ``note`` names the equipment or container shared; it belongs to the first lot of the path.
    ``part`` is what of it is covered where that is not all: the amounts are then the part's, ``rest`` is the rest's.
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
    part: Part | None = None
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
        return {line.lot_id: line.part.ranges if line.part else () for line in self.lines}

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


def preview_scope(question: Question, *, limit: int = LIMIT) -> Answer:
    """Answer a question; writes nothing. About a dozen queries whatever the size of the scope.

    Refuses no lots (``lots_required``), a source that is no ancestor of a named lot (``not_a_source``), and leaving out
    lots that are proven (``proven_left_out``) or without a reason (``reason_required``), parts as ``resolved`` does and
    those of a lot that is not in the scope (``part_not_in_scope``).
    """
    began = time.monotonic()
    if not question.named:
        raise Invalid(_("请至少指明一个批次。"), code="lots_required")
    found, notes, cut = _reasons(question, limit)
    _check_left_out(question, found)
    kept = {pk: reason for pk, reason in found.items() if pk not in question.left_out}
    question = _with_parts(question, kept)
    lots = LotsOnDemand({*kept, *question.left_out, *chain.from_iterable(path for _why, path in kept.values())})
    began_by = {
        pk: (issuer, made) for pk, issuer, made in rows_among(Lot, "id", ("organisation_id", "made_micros"), kept)
    }
    moves = _moves(began_by)
    lines = _lines(kept, lots, began_by, moves, notes)
    holdings = _holdings(began_by, moves)
    for part in question.parts:
        lines, holdings = _narrowed_to(part, lots[part.lot], began_by[part.lot], lines, holdings)
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
        cut,
        round((time.monotonic() - began) * 1000),
        [lots[pk] for pk in sorted(question.left_out) if pk in lots],
    )


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
    part: Part, lot: Lot, begun: tuple[int, int], lines: list[ScopeLine], holdings: list[HoldingLine]
) -> tuple[list[ScopeLine], list[HoldingLine]]:
    """Lines and holdings with one lot's amounts and holders reduced to a part of it. Whose goods of the lot all lie
    outside is no holder.
    """
    issuer, made = begun
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


def _reasons(question: Question, limit: int) -> tuple[Reasons, dict[int, str], bool]:
    """Why and by which path each lot is in; the strongest reason wins, whatever the order of walks. And the words of
    those that shared equipment.
    """
    forward = walk(sorted(question.named), "forward", limit=limit, with_voided=True)
    found: Reasons = {}
    for pk, path in forward.paths().items():
        found[pk] = (Why.NAMED if pk in question.named else Why.DESCENDS, path)
    cut = forward.cut
    if question.sources:
        back = walk(sorted(question.named), "back", limit=limit, with_voided=True)
        if not question.sources <= set(back.level):
            raise Invalid(_("所选来源不是指定批次的上游批次，请重新选择。"), code="not_a_source")
        wider = walk(sorted(question.sources), "forward", limit=limit, with_voided=True)
        cut = cut or back.cut or wider.cut
        for pk, path in wider.paths().items():
            found.setdefault(pk, (Why.SOURCE if pk in question.sources else Why.SHARES_SOURCE, path))
    if question.same_run:
        siblings = _same_run(question.named)
        beside = walk(sorted(siblings), "forward", limit=limit, with_voided=True)
        cut = cut or beside.cut
        for pk, path in beside.paths().items():
            whole = (siblings[path[0]], *path)
            if pk not in found or (found[pk][0] is Why.SHARES_SOURCE and pk in siblings):
                found[pk] = (Why.SAME_RUN, whole)
    notes: dict[int, str] = {}
    if question.same_gear:
        gear = possible(sorted(question.named), limit=limit, with_voided=True)
        notes = {pk: pair.words for pk, pair in gear.pairs.items() if pk not in found}
        found |= {pk: (Why.SAME_GEAR, gear.paths[pk]) for pk in notes}
        cut = cut or gear.cut
    cut = _rest_of_joined(question, found, limit) or cut
    cut = _claimed(found, limit) or cut
    return found, notes, cut


def _rest_of_joined(question: Question, found: Reasons, limit: int) -> bool:
    """Named lots that a receiver took in and joined with its supplier's: the rest of that lot may be as bad. Says
    whether the limit cut it.
    """
    joined = joined_to(question.named)
    if not joined:
        return False
    taken = {supplier: external for external, supplier in sorted(joined.items(), reverse=True)}
    beside = walk(sorted(taken), "forward", limit=limit, with_voided=True)
    for pk, path in beside.paths().items():
        found.setdefault(pk, (Why.SAME_LOT, (taken[path[0]], *path)))
    return beside.cut


def _claimed(found: Reasons, limit: int) -> bool:
    """Goods outside that their receiver says are of these lots, by a claim or by reporting their GTIN and lot code from
    its own system, and what was made of them. Says whether the limit cut it.
    """
    cut = False
    claims = LotClaim.objects.filter(status__in=(LotClaim.Status.OPEN, LotClaim.Status.DENIED)).exists()
    reports = EpcisName.objects.filter(kind="class", lot__isnull=False).exists()
    if not claims and not reports:
        return cut
    asked: set[int] = set()
    while fresh := set(found) - asked:
        asked |= fresh
        said = (claimed_of(fresh) if claims else {}) | (same_code_elsewhere(fresh) if reports else {})
        claimed = {external: lot for external, lot in said.items() if external not in found}
        wider = walk(sorted(claimed), "forward", limit=limit, with_voided=True)
        cut = cut or wider.cut
        for pk, path in wider.paths().items():
            found.setdefault(pk, (Why.CLAIMED, (*found[claimed[path[0]]][1], *path)))
    return cut


def _same_run(named: Iterable[int]) -> dict[int, int]:
    """Lots that came out of the same event as a named lot, each with the named lot (the first by number)."""
    ids = sorted(named)
    runs: dict[int, int] = {}
    for chunk in _chunks(ids):
        outputs = EventItem.objects.filter(lot__in=chunk, role="output").order_by("-lot")
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


Move = tuple[int, int, int, int, int | None]
"""Row numbers of lot, sender and receiver, what was sent and what arrived (None: nobody confirmed)."""


def _moves(ids: Iterable[int]) -> list[Move]:
    """Every hand-over of these lots on a slip that stands, in the order of lots."""
    columns = ("sender_id", "receiver_id", "sent_micros", "received_micros")
    return rows_among(Transfer, "lot_id", columns, ids, where="voided_by_id IS NULL")


def _lines(
    kept: Reasons,
    lots: Mapping[int, Lot],
    began_by: Mapping[int, tuple[int, int]],
    moves: Iterable[Move],
    notes: Mapping[int, str],
) -> list[ScopeLine]:
    """The lines with amounts, proven first, then by reason and lot."""
    ids = sorted(kept)
    used = _used(ids)
    shipped: defaultdict[int, int] = defaultdict(int)
    for lot, sender, _receiver, sent, _received in moves:
        if sender == began_by[lot][0]:
            shipped[lot] += sent
    flagged = Conflict.objects.filter(among("lot", ids), voided_by=None)
    conflicts = dict(flagged.order_by().values("lot").annotate(n=Count("pk")).values_list("lot", "n"))
    lines: dict[ScopeLot.Why, list[ScopeLine]] = {why: [] for why in Why}
    for pk in ids:
        why, path = kept[pk]
        lines[why].append(
            ScopeLine(
                pk,
                why,
                path,
                lots,
                began_by[pk][1],
                used.get(pk, 0),
                shipped.get(pk, 0),
                conflicts.get(pk, 0),
                notes.get(pk, ""),
            )
        )
    return [line for some in lines.values() for line in some]


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


def _holdings(began_by: Mapping[int, tuple[int, int]], moves: Iterable[Move]) -> list[HoldingLine]:
    """Everybody who has, had, was sent or made any of the lots, with the amounts on record.

    Sent is enough: a slip that was declared wrong is left out, one nobody confirmed is not. Lots, stock and moves come
    in the order of lots and are read beside each other: one table of all pairs took three times as long.
    """
    stock = rows_among(Stock, "lot_id", ("organisation_id", "micros"), began_by)
    held = chain(stock, [(_NO_LOT, 0, 0)])
    handed = chain(moves, [(_NO_LOT, 0, 0, 0, None)])
    in_hand, move = next(held), next(handed)
    found: list[HoldingLine] = []
    for pk, (issuer, _made) in began_by.items():
        # Received, shipped, on hand, unconfirmed.
        parties: dict[int, list[int]] = {issuer: [0, 0, 0, 0]}
        while in_hand[0] == pk:
            parties.setdefault(in_hand[1], [0, 0, 0, 0])[2] += in_hand[2]
            in_hand = next(held)
        while move[0] == pk:
            _lot, sender, receiver, sent, received = move
            parties.setdefault(sender, [0, 0, 0, 0])[1] += sent
            got = parties.setdefault(receiver, [0, 0, 0, 0])
            if received is None:
                got[3] += sent
            else:
                got[0] += received
            move = next(handed)
        found += [HoldingLine(pk, party, *parties[party]) for party in sorted(parties)]
    return found


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
    return {
        lot: tuple((first, last) for first, last in part.get("ranges", []))
        for lot, part in rows.values_list("lot", "part")
    }


def parts_in_force(campaign: Campaign) -> dict[int, str]:
    """By lot (row number) which units of it are covered, in words, for lots of which only part is. Two queries."""
    version = campaign.scopes.order_by("-number").first()
    if version is None:
        return {}
    rows = version.lots.exclude(part={}).values_list("lot", "part")
    return {lot: words_of(part["ranges"]) for lot, part in rows}


def pairs_of(version: ScopeVersion) -> frozenset[tuple[int, int]]:
    """(lot, organisation) of a frozen version."""
    return frozenset(ScopeHolding.objects.filter(scope=version).values_list("lot", "organisation"))


@dataclass(frozen=True)
class Drift:
    """What has come to be since a version was frozen: lots and holders that the same question brings in now; ``wider``
    where it covers more of a lot of which only part was covered.
    """

    answer: Answer
    new_lots: frozenset[int]
    new_pairs: frozenset[tuple[int, int]]
    wider: bool = False

    def __bool__(self) -> bool:
        return bool(self.new_lots or self.new_pairs or self.wider)


def drift(version: ScopeVersion, answer: Answer | None = None) -> Drift:
    """Ask the question of a frozen version again: events reported since may have brought lots and holders. Who has
    just asked brings the answer.
    """
    now = answer or preview_scope(question_of(version))
    before = coverage_of(version)
    wider = any(lot in before and not within(ranges, before[lot]) for lot, ranges in now.coverage.items())
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
