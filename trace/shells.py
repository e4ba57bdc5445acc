"""The possible shell: lots that no link joins but that shared a container or a run of equipment with a lot in question.

Two rules, by the fields a template names under ``run``. *Run*: both lots came out of the same equipment of the same
organisation, with the same run number within sixty days or, where no number was written down, at overlapping times (the
whole day where no duration is known). *Vessel*: both lay in the same container at the same time, from their filling
until the last of them was taken out. Records declared wrong do not count.
"""

from __future__ import annotations

import datetime
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import Any

from django.db.models import Max
from django.utils.translation import gettext as _

from trace.event_templates import templates
from trace.event_templates.loader import Run
from trace.genealogy import DEFAULT_LIMIT, Walk, walk
from trace.models import Event, EventItem, Place, Stock

_CHUNK = 5_000
_SAME_NUMBER = datetime.timedelta(days=60)
_LONGEST_RUN = datetime.timedelta(days=120)
_CHINA = datetime.timezone(datetime.timedelta(hours=8))


@dataclass(frozen=True)
class Beside:
    """Two lots beside each other: ``mate`` shared the equipment or container ``where`` with ``anchor``.

    ``kind`` is ``run`` or ``vessel``; ``number`` the run's number where one was written down; ``on`` the day of the
    anchor's step. ``event`` and ``mate_event`` are row numbers of the two steps, ``organisation`` that of whose they
    are.
    """

    anchor: int
    mate: int
    kind: str
    where: str
    number: str
    on: datetime.date
    event: int
    mate_event: int
    organisation: int

    @property
    def words(self) -> str:
        """The reason for people, without the lots' names."""
        if self.kind == "vessel":
            return _("同一容器：%(where)s，存放时间重叠") % {"where": self.where}
        if self.number:
            return _("同一设备、同一炉次：%(where)s，%(number)s") % {"where": self.where, "number": self.number}
        return _("同一设备、时间重叠：%(where)s，%(day)s") % {"where": self.where, "day": self.on.isoformat()}


@dataclass(frozen=True)
class _Mark:
    """One step's use of one piece of equipment or container; ``until`` is None for a vessel nobody has emptied yet."""

    event: int
    organisation: int
    kind: str
    at: str
    number: str
    begin: datetime.datetime
    until: datetime.datetime | None

    def meets(self, other: _Mark) -> bool:
        """Whether both are one run, or lay in the container at one time."""
        if self.number and other.number:
            return self.number == other.number and abs(self.begin - other.begin) <= _SAME_NUMBER
        return (other.until is None or self.begin <= other.until) and (self.until is None or other.begin <= self.until)


@cache
def _runs() -> dict[str, Run]:
    """The templates that name equipment or a container."""
    return {code: step.run for code, step in templates().items() if step.run is not None}


def beside(lots: Iterable[int]) -> list[Beside]:
    """Every lot that shared a run or a container with one of these, once for each; a lot's own step mates included.

    Of several reasons for one pair the first by event counts. Five queries per 5,000 lots: the cost grows with what the
    organisations concerned did with such equipment in those days, not with the world.
    """
    wanted = sorted(set(lots))
    found: dict[tuple[int, int], Beside] = {}
    for begin in range(0, len(wanted), _CHUNK):
        for one in _beside(wanted[begin : begin + _CHUNK]):
            found.setdefault((one.anchor, one.mate), one)
    return list(found.values())


@dataclass(frozen=True)
class Possible:
    """The possible shell of some lots: for each lot its path and the pair that is why, and the walk of all reached.

    A path begins with the ancestor (or the lot in question) that lay in the run; ``ancestors`` are all of them.
    """

    paths: dict[int, tuple[int, ...]]
    pairs: dict[int, Beside]
    wider: Walk
    ancestors: frozenset[int]
    cut: bool = False


def possible(
    lots: Sequence[int],
    *,
    limit: int = DEFAULT_LIMIT,
    with_voided: bool = False,
    organisation: int | None = None,
) -> Possible:
    """What shared a run of equipment or a container with one of these lots or an ancestor of one, and all made of it.

    What else was made of such an ancestor lay in the same run as well, so it is in, and so are the lots themselves and
    what was made of them: the caller leaves out what is proven. With ``organisation`` only its own equipment and
    containers count. Two walks and what ``beside`` asks.
    """
    back = walk(lots, "back", limit=limit, with_voided=with_voided)
    mates: dict[int, Beside] = {}
    anchors: dict[int, Beside] = {}
    pairs = [pair for pair in beside(back.level) if organisation in (None, pair.organisation)]
    for pair in sorted(pairs, key=lambda one: (back.level[one.anchor], one.anchor, one.mate)):
        anchors.setdefault(pair.anchor, pair)
        mates.setdefault(pair.mate, pair)
    wider = walk(sorted({*mates, *anchors}), "forward", limit=limit, with_voided=with_voided)
    found = Possible({}, {}, wider, frozenset(back.level), back.cut or wider.cut)
    for lot, path in wider.paths().items():
        pair = anchors.get(path[0]) or mates[path[0]]
        found.paths[lot] = tuple(path) if path[0] in anchors else (pair.anchor, *path)
        found.pairs[lot] = pair
    return found


def _beside(lots: Sequence[int]) -> Iterator[Beside]:
    """The pairs for one piece of the lots."""
    own = _events_of(lots)
    if not own:
        return
    own_marks = _marks(own)
    members = _members({mark.event for mark in own_marks})
    marks = _emptied(own_marks, members)
    near = _marks(_candidates(marks))
    members |= _members({mark.event for mark in near} - members.keys())
    near = _emptied(near, members)
    by_place: dict[tuple[int, str, str], list[_Mark]] = defaultdict(list)
    for mark in near:
        by_place[(mark.organisation, mark.kind, mark.at)].append(mark)
    names = _names({mark.at for mark in marks})
    inside = set(lots)
    for mark in marks:
        anchors = [lot for lot in members.get(mark.event, ()) if lot in inside]
        for other in by_place[(mark.organisation, mark.kind, mark.at)]:
            if other.event != mark.event and not mark.meets(other):
                continue
            for anchor in anchors:
                for mate in members.get(other.event, ()):
                    if mate != anchor:
                        yield Beside(
                            anchor, mate, mark.kind, names.get(mark.at, mark.at), mark.number,
                            _day(mark.until or mark.begin), mark.event, other.event, mark.organisation,
                        )  # fmt: skip


_Row = tuple[int, int, str, datetime.datetime, Any]


def _events_of(lots: Sequence[int]) -> list[_Row]:
    """The standing steps with equipment or container in which these lots came out or were filled."""
    items = EventItem.objects.filter(
        lot__in=lots, role__in=("output", "subject"), event__template__in=list(_runs()), event__corrections=None
    )
    rows = items.order_by("event").values_list(
        "event", "event__organisation", "event__template", "event__occurred_at", "event__data"
    )
    return list({row[0]: row for row in rows}.values())


def _candidates(marks: Sequence[_Mark]) -> list[_Row]:
    """Steps that may have met one of these: of the same organisations and kinds, near in time."""
    if not marks:
        return []
    codes = [code for code, run in _runs().items() if run.kind in {mark.kind for mark in marks}]
    rows = Event.objects.filter(
        organisation__in={mark.organisation for mark in marks}, template__in=codes, corrections=None, corrects=None
    )
    ends = [mark.until for mark in marks if mark.until is not None]
    if len(ends) == len(marks):
        rows = rows.filter(occurred_at__lte=max(ends) + _LONGEST_RUN)
    if all(mark.kind == "run" for mark in marks):
        rows = rows.filter(occurred_at__gte=min(mark.begin for mark in marks) - _LONGEST_RUN)
    return list(rows.values_list("pk", "organisation", "template", "occurred_at", "data"))


def _marks(rows: Iterable[_Row]) -> list[_Mark]:
    """What the steps say of equipment and containers; one mark for each piece named."""
    found = []
    for event, organisation, code, at, data in rows:
        run = _runs()[code]
        number = str(data.get(run.number) or "").strip() if run.number else ""
        begin, until = _span(run, at, data)
        for key in run.at:
            value = data.get(key)
            for name in value if isinstance(value, list) else [value]:
                if isinstance(name, str) and name.strip():
                    found.append(_Mark(event, organisation, run.kind, name.strip(), number, begin, until))
    return found


def _span(run: Run, at: datetime.datetime, data: dict[str, Any]) -> tuple[datetime.datetime, datetime.datetime | None]:
    """When the equipment or container was in use by this step."""
    if run.kind == "vessel":
        return at, None
    try:
        hours = Decimal(str(data.get(run.last) or "0")) * run.hours if run.last else Decimal(0)
    except InvalidOperation:
        hours = Decimal(0)
    if 0 < hours <= _LONGEST_RUN.days * 24:
        return at - datetime.timedelta(hours=float(hours)), at
    day = at.astimezone(_CHINA).replace(hour=0, minute=0, second=0, microsecond=0)
    return day, day + datetime.timedelta(days=1, microseconds=-1)


def _members(events: set[int]) -> dict[int, list[int]]:
    """The lots that came out of, or were the subject of, each step."""
    found: dict[int, list[int]] = defaultdict(list)
    ids = sorted(events)
    for begin in range(0, len(ids), _CHUNK):
        rows = EventItem.objects.filter(
            event__in=ids[begin : begin + _CHUNK], role__in=("output", "subject"), lot__isnull=False
        )
        for event, lot in rows.order_by("event", "number").values_list("event", "lot"):
            if lot is not None and lot not in found[event]:
                found[event].append(lot)
    return found


def _emptied(marks: Sequence[_Mark], members: dict[int, list[int]]) -> list[_Mark]:
    """The same marks with the time a container was emptied: when its lots were last taken from, if nothing is left."""
    vessels = {lot for mark in marks if mark.kind == "vessel" for lot in members.get(mark.event, ())}
    if not vessels:
        return list(marks)
    last: dict[int, datetime.datetime] = {}
    left: set[int] = set()
    ids = sorted(vessels)
    for begin in range(0, len(ids), _CHUNK):
        part = ids[begin : begin + _CHUNK]
        rows = EventItem.objects.filter(lot__in=part, micros__lt=0, event__corrections=None)
        last.update(rows.values("lot").annotate(at=Max("event__occurred_at")).values_list("lot", "at"))
        left.update(_still_there(part))
    return [replace(mark, until=_until(mark, members, last, left)) if mark.kind == "vessel" else mark for mark in marks]


def _still_there(lots: Sequence[int]) -> set[int]:
    """Those of which somebody still has some."""
    return set(Stock.objects.filter(lot__in=lots, micros__gt=0).values_list("lot", flat=True))


def _until(
    mark: _Mark, members: dict[int, list[int]], last: dict[int, datetime.datetime], left: set[int]
) -> datetime.datetime | None:
    """When the container was empty again; None while something is in it."""
    lots = members.get(mark.event, [])
    if not lots or any(lot in left or lot not in last for lot in lots):
        return None
    return max(mark.begin, *(last[lot] for lot in lots))


def _names(places: set[str]) -> dict[str, str]:
    """The labels of equipment that is a registered place, by what the field says (its uid)."""
    uids = {}
    for text in places:
        try:
            uids[uuid.UUID(text)] = text
        except ValueError:
            continue
    return {uids[place.uid]: place.label for place in Place.objects.filter(uid__in=uids)}


def _day(at: datetime.datetime) -> datetime.date:
    """The day in China."""
    return at.astimezone(_CHINA).date()
