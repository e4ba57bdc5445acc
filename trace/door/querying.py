"""The query parameters of EPCIS 2.0: read, checked, answered page by page by log number.

A page goes along one index: of the rarest names asked for, of what the caller may see, or of event times. So it costs
the same whatever else there is. What no index answers (quantities, extensions) is looked at event by event, a bounded
number for one page.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from django.core import signing
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from trace.access import entered_for
from trace.actor import Actor
from trace.door.looking import PARAMETERS, Look, Wrong, look_of
from trace.door.shaping import Shaper, documents_of
from trace.epcis.documents import moment
from trace.epcis.formats import canonical
from trace.epcis.vocabulary import EVENT_TYPES, PARTIES, TRANSACTIONS, local, word
from trace.models import EpcisEvent, EpcisMaster, EpcisName, EpcisSeen, EpcisTerm, Organisation

PER_PAGE: Final = 30
MOST_PER_PAGE: Final = 1_000
MOST_VALUES: Final = 1_000
MOST_SORTED: Final = 20_000
"""Events that are put in order of their times where no index gives it; more is 413."""
DEEPEST: Final = 12
"""Levels of locations below one another."""
MOST_LOOKED_AT: Final = 10_000
"""Events looked at for one page."""


class QueryFault(Exception):
    """A query that cannot be answered: the exception of the standard, a stable code, a sentence."""

    def __init__(self, kind: str, code: str, detail: str, parameter: str = "") -> None:
        super().__init__(detail)
        self.kind = kind
        self.code = code
        self.parameter = parameter


_TERMS: Final[Mapping[str, tuple[str, ...]]] = {
    "EQ_bizStep": ("bizStep",),
    "EQ_disposition": ("disposition",),
    "EQ_persistentDisposition_set": ("persistentSet",),
    "EQ_persistentDisposition_unset": ("persistentUnset",),
    "EQ_readPoint": ("readPoint",),
    "EQ_bizLocation": ("bizLocation",),
    "EQ_transformationID": ("transformation",),
    "MATCH_epc": ("epc",),
    "MATCH_parentID": ("parent",),
    "MATCH_inputEPC": ("inEpc",),
    "MATCH_outputEPC": ("outEpc",),
    "MATCH_anyEPC": ("epc", "parent", "inEpc", "outEpc"),
    "MATCH_epcClass": ("class",),
    "MATCH_inputEPCClass": ("inClass",),
    "MATCH_outputEPCClass": ("outClass",),
    "MATCH_anyEPCClass": ("class", "inClass", "outClass"),
    "EQ_errorReason": ("reason",),
    "EQ_correctiveEventID": ("corrective",),
}
_RARE: Final = ("epc", "parent", "inEpc", "outEpc", "class", "inClass", "outClass", "transformation", "corrective")
_TYPED: Final = {"EQ_bizTransaction": "transaction", "EQ_source": "source", "EQ_destination": "destination"}
_TIMES: Final = {
    "GE_eventTime": ("event", True),
    "LT_eventTime": ("event", False),
    "GE_recordTime": ("record", True),
    "LT_recordTime": ("record", False),
    "GE_errorDeclarationTime": ("declaration", True),
    "LT_errorDeclarationTime": ("declaration", False),
    "GE_errorDeclaration_Time": ("declaration", True),
    "LT_errorDeclaration_Time": ("declaration", False),
}
_LOCATIONS: Final = {"readPoint": ("readPoint",), "bizLocation": ("bizLocation",)}
_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    **_LOCATIONS,
    "EPCClass": ("class", "inClass", "outClass"),
    "epcClass": ("class", "inClass", "outClass"),
    "bizStep": ("bizStep",),
    "disposition": ("disposition",),
    "parentID": ("parent",),
    "source": ("source",),
    "destination": ("destination",),
    "bizTransaction": ("transaction",),
}
_TYPES: Final[Mapping[str, tuple[str, ...]]] = {
    "source": ("", *sorted(PARTIES)),
    "destination": ("", *sorted(PARTIES)),
    "transaction": ("", *sorted(TRANSACTIONS)),
}
"""Types that stand before the identifiers of these names; a type of somebody's own is not among them."""
_BELOW: Final = re.compile(r"WD_(readPoint|bizLocation)")
_ATTRIBUTES: Final = re.compile(rf"HASATTR_({'|'.join(_FIELDS)})")
_ATTRIBUTE: Final = re.compile(rf"EQ_?ATTR_({'|'.join(_FIELDS)})_([!-~]{{1,300}})")
_NOT_HERE: Final = re.compile(r"HASATTR_.*|EQ_?ATTR_.*")
SUPPORTED: Final = (
    "eventType",
    "EQ_eventID",
    "EQ_action",
    *_TERMS,
    *(f"{name}_{{type}}" for name in _TYPED),
    *_TIMES,
    "EXISTS_errorDeclaration",
    *PARAMETERS,
    *(f"WD_{name}" for name in _LOCATIONS),
    "HASATTR_{field}",
    "EQATTR_{field}_{attribute}",
    "orderBy",
    "orderDirection",
    "eventCountLimit",
    "maxEventCount",
    "perPage",
    "nextPageToken",
)
"""Every parameter that is answered; ``docs/epcis.md`` has the same list, kept so by a test."""
PAGING: Final = frozenset(["perPage", "nextPageToken"])


@dataclass(frozen=True)
class Related:
    """Names that master data lead to: locations ``below`` these and they themselves, or what has one of these
    ``attributes`` (with one of these ``values``).
    """

    kinds: tuple[str, ...]
    below: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    values: tuple[str, ...] = ()


@dataclass
class Query:
    """A query read from its parameters. ``groups`` are names of which each group must match one, ``related`` groups of
    names that only master data tell.
    """

    groups: list[list[tuple[str, str]]] = field(default_factory=list)
    related: list[Related] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    actions: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    bounds: dict[tuple[str, bool], datetime.datetime] = field(default_factory=dict)
    declared: bool = False
    looks: list[Look] = field(default_factory=list)
    order: str = ""
    descending: bool = True
    limit: int | None = None
    most: int | None = None


@dataclass
class Page:
    """One page: rows, and the token of the next page, empty on the last."""

    rows: list[EpcisEvent]
    token: str = ""


# --- Reading --------------------------------------------------------------------------------------------------------


def read_query(parameters: Mapping[str, Sequence[str]]) -> Query:
    """A query from its parameters, each with its values (lists were parted at ``|`` before). Raises QueryFault."""
    query = Query()
    for name, values in parameters.items():
        if name in PAGING:
            continue
        if len(values) > MOST_VALUES:
            raise QueryFault("QueryTooComplexException", "too_many_values", "Too many values.", name)
        if any(len(value) > 1000 or "\x00" in value for value in values):
            raise QueryFault("QueryParameterException", "invalid_value", "A value is too long.", name)
        _read(query, name, list(values))
    if query.limit is not None and query.most is not None:
        raise QueryFault(
            "QueryParameterException", "limits_together", "eventCountLimit and maxEventCount exclude each other."
        )
    return query


def parameters_of(query: Mapping[str, Any]) -> dict[str, list[str]]:
    """The parameters of a query written as JSON: texts, numbers, true, or lists of these."""
    found: dict[str, list[str]] = {}
    for name, value in query.items():
        if name == "@context":
            continue
        listed = value if isinstance(value, list) else [value]
        if any(not isinstance(each, str | int | float) for each in listed) or (not listed):
            raise QueryFault("QueryValidationException", "invalid_value", "Values are texts or numbers.", name[:100])
        if name in PAGING:
            raise QueryFault("QueryParameterException", "not_in_a_query", "Pages are asked for in the URL.", name)
        found[name] = [str(each).lower() if isinstance(each, bool) else str(each) for each in listed]
        if any(0xD800 <= ord(c) <= 0xDFFF for text in (name, *found[name]) for c in text):
            raise QueryFault("QueryValidationException", "invalid_value", "Values are texts or numbers.")
    return found


def _read(query: Query, name: str, values: list[str]) -> None:
    if name in _TERMS:
        kinds = _TERMS[name]
        query.groups.append([(kind, _canonical(kind, value)) for value in values for kind in kinds])
    elif name.rpartition("_")[0] in _TYPED or name.startswith(tuple(f"{each}_" for each in _TYPED)):
        start = next(each for each in _TYPED if name.startswith(each + "_"))
        kind = word("bizTransaction" if start == "EQ_bizTransaction" else "sourceDest", name[len(start) + 1 :])
        query.groups.append([(_TYPED[start], f"{kind} {canonical(value)}") for value in values])
    elif name in _TIMES:
        what, least = _TIMES[name]
        when = moment(values[0]) if len(values) == 1 else None
        if when is None:
            raise QueryFault("QueryParameterException", "moment_invalid", "Not a date-time with its offset.", name)
        query.bounds[(what, least)] = when
    elif name == "eventType":
        wrong = [value for value in values if value not in EVENT_TYPES]
        if wrong:
            raise QueryFault("QueryParameterException", "type_unknown", "Not one of the five event types.", name)
        query.types += values
    elif name == "EQ_action":
        if any(value not in ("ADD", "OBSERVE", "DELETE") for value in values):
            raise QueryFault("QueryParameterException", "unknown_choice", "ADD, OBSERVE or DELETE.", name)
        query.actions += values
    elif name == "EQ_eventID":
        query.ids += values
    elif name == "EXISTS_errorDeclaration":
        query.declared = True
    elif name in ("eventCountLimit", "maxEventCount"):
        number = whole(values, name, 1, 10**6)
        if name == "eventCountLimit":
            query.limit = number
        else:
            query.most = number
    elif name == "orderBy":
        if values not in (["eventTime"], ["recordTime"]):
            raise QueryFault("QueryParameterException", "unknown_choice", "eventTime or recordTime.", name)
        query.order = values[0]
    elif name == "orderDirection":
        if values not in (["ASC"], ["DESC"]):
            raise QueryFault("QueryParameterException", "unknown_choice", "ASC or DESC.", name)
        query.descending = values == ["DESC"]
    elif (below := _BELOW.fullmatch(name)) is not None:
        query.related.append(Related(_LOCATIONS[below[1]], below=tuple(canonical(value) for value in values)))
    elif (about := _ATTRIBUTES.fullmatch(name)) is not None:
        query.related.append(Related(_FIELDS[about[1]], attributes=tuple(local(value) for value in values)))
    elif (equal := _ATTRIBUTE.fullmatch(name)) is not None:
        query.related.append(Related(_FIELDS[equal[1]], attributes=(local(equal[2]),), values=tuple(values)))
    elif (look := _look(name, values)) is not None:
        query.looks.append(look)
    elif _NOT_HERE.fullmatch(name):
        raise QueryFault("ImplementationException", "not_implemented", "This parameter is not implemented.", name)
    else:
        raise QueryFault("QueryParameterException", "unknown_parameter", "There is no such parameter.", name)


def _canonical(kind: str, value: str) -> str:
    if kind == "bizStep":
        return word("bizStep", value)
    if kind in ("disposition", "persistentSet", "persistentUnset"):
        return word("disposition", value)
    if kind == "reason":
        return word("reason", value)
    return value if kind == "corrective" else canonical(value)


def whole(values: Sequence[str], name: str, least: int, most: int) -> int:
    """A whole number within bounds; QueryFault else."""
    text = values[0] if len(values) == 1 else ""
    if not (text.isascii() and text.isdigit() and len(text) < 10 and least <= int(text) <= most):
        raise QueryFault("QueryParameterException", "not_an_integer", f"A whole number from {least} to {most}.", name)
    return int(text)


def _look(name: str, values: Sequence[str]) -> Look | None:
    try:
        return look_of(name, values)
    except Wrong as wrong:
        raise QueryFault("QueryParameterException", wrong.code, str(wrong), name) from None


# --- Answering ------------------------------------------------------------------------------------------------------


def owners_for(actor: Actor) -> list[int]:
    """Whose events the caller may see: its own and those it enters for; a regulator those of its territory."""
    if actor.is_regulator:
        rows = Organisation.objects.in_territory(actor.organisation.territory)
        return list(rows.values_list("pk", flat=True))
    return entered_for(actor)


_SIGNER: Final = signing.Signer(salt="trace.epcis.page")


def token_of(values: Sequence[Any]) -> str:
    """A page token."""
    return _SIGNER.sign_object(list(values))


def values_of(token: str, length: int) -> list[Any]:
    """What a page token says; QueryFault for one that is forged or of another query."""
    try:
        values = _SIGNER.unsign_object(token)
    except (signing.BadSignature, ValueError, UnicodeError):
        values = None
    if not isinstance(values, list) or len(values) != length:
        raise QueryFault("QueryParameterException", "token_invalid", "This page token is not valid.", "nextPageToken")
    return values


def answer(
    query: Query, actor: Actor, *, per_page: int, token: str = "", after: int | None = None, upto: int | None = None
) -> Page:
    """One page of what a query asks. ``after`` and ``upto`` bound log numbers (subscriptions).

    Ordered by log number, or by event time where the query says so or begins at one: then the first page notes the
    last number and later pages keep to it, so that nothing is skipped or told twice while events arrive.
    """
    owners = owners_for(actor)
    if query.ids:
        return _by_id(query, owners, per_page)
    groups = _name_ids(query, owners)
    if groups is None:
        return Page([])
    by_time = query.order == "eventTime" or (
        not query.order and not groups and any(what == "event" for what, _least in query.bounds)
    )
    if by_time and after is None:
        return _by_time(query, owners, groups, per_page, token)
    return _by_number(query, owners, groups, per_page, token, after, upto)


def _by_id(query: Query, owners: Sequence[int], per_page: int) -> Page:
    rows = EpcisEvent.objects.filter(eid__in=query.ids).filter(
        Exists(EpcisSeen.objects.filter(owner__in=owners, number=OuterRef("number")))
    )
    found = [row for row in rows.order_by("number")[:1000] if _passes(query, row)]
    return Page(_looked(query, found)[: query.limit or per_page])


def _name_ids(query: Query, owners: Sequence[int]) -> list[list[int]] | None:
    """Row numbers of the names of each group, the rarest kinds first; None where one group matches nothing."""
    found: list[tuple[bool, list[int]]] = []
    for group in [*query.groups, *(_related(each, owners) for each in query.related)]:
        if not group:
            return None
        by_kind: dict[str, list[str]] = {}
        for kind, value in group:
            by_kind.setdefault(kind, []).append(value[:500])
        ids: list[int] = []
        for kind, values in by_kind.items():
            rows = EpcisName.objects.filter(owner__in=owners, kind=kind, value__in=values)
            ids += rows.values_list("pk", flat=True)
        if not ids:
            return None
        found.append((group[0][0] not in _RARE, ids))
    return [ids for _common, ids in sorted(found, key=lambda each: (each[0], len(each[1])))]


def _related(wanted: Related, owners: Sequence[int]) -> list[tuple[str, str]]:
    """The names that master data lead to."""
    rows = EpcisMaster.objects.filter(owner__in=owners)
    if wanted.below:
        found = list(dict.fromkeys(wanted.below))
        level = found
        for _depth in range(DEEPEST):
            listed = rows.filter(parent__in=level).exclude(value__in=found).values_list("value", flat=True)
            level = list(listed.distinct()[: MOST_VALUES + 1])
            found += level
            _require_few(found)
            if not level:
                break
    else:
        there = Q()
        for name in wanted.attributes:
            there |= Q(attributes__has_key=name)
        pairs = list(rows.filter(there).values_list("value", "attributes")[: MOST_VALUES + 1])
        _require_few(pairs)
        found = [
            value
            for value, attributes in pairs
            if not wanted.values or any(attributes.get(name) in wanted.values for name in wanted.attributes)
        ]
    return [
        (kind, f"{what} {value}" if kind in _TYPES else _canonical(kind, value))
        for value in found
        for kind in wanted.kinds
        for what in _TYPES.get(kind, ("",))
    ]


def _require_few(found: Sequence[Any]) -> None:
    if len(found) > MOST_VALUES:
        raise QueryFault("QueryTooComplexException", "too_many_values", "Master data lead to too many names.")


def _numbers(owners: Sequence[int], groups: Sequence[Sequence[int]]) -> QuerySet[Any]:
    """The numbers that carry a name of each group, or all the caller sees."""
    rows: QuerySet[Any]
    if groups:
        rows = EpcisTerm.objects.filter(name__in=groups[0])
        rest = groups[1:]
    else:
        rows = EpcisSeen.objects.filter(owner__in=owners)
        rest = groups
    for ids in rest:
        rows = rows.filter(Exists(EpcisTerm.objects.filter(number=OuterRef("number"), name__in=ids)))
    return rows


def _by_number(
    query: Query,
    owners: Sequence[int],
    groups: Sequence[Sequence[int]],
    per_page: int,
    token: str,
    after: int | None,
    upto: int | None,
) -> Page:
    """Along the log: newest last, or newest first where recordTime is asked for in descending order."""
    newest = query.order == "recordTime" and query.descending
    at, given = (values_of(token, 2)) if token else (after, 0)
    rows = _numbers(owners, groups)
    if upto is not None:
        rows = rows.filter(number__lte=upto)
    many = len(owners) > 1 or (groups and len(groups[0]) > 1)
    room = per_page if query.limit is None else min(per_page, max(0, query.limit - given))
    found: list[EpcisEvent] = []
    looked = 0
    while True:
        step = min(max(per_page + 1, 64) * (1 if not looked else 4), 2_000)
        part = rows if at is None else rows.filter(number__lt=at) if newest else rows.filter(number__gt=at)
        values = part.order_by("-number" if newest else "number").values_list("number", flat=True)
        numbers = list((values.distinct() if many else values)[:step])
        events = EpcisEvent.objects.filter(number__in=numbers).in_bulk()
        for number in numbers:
            row = events.get(number)
            if row is None or not _passes(query, row) or not _looked(query, [row]):
                at = number
                continue
            if len(found) == room:
                ended = query.limit is not None and given + len(found) >= query.limit
                return Page(found, "" if ended else token_of([at, given + len(found)]))
            found.append(row)
            at = number
        looked += len(numbers)
        if len(numbers) < step:
            return Page(found)
        if looked >= MOST_LOOKED_AT:
            return Page(found, token_of([at, given + len(found)]))


def _by_time(query: Query, owners: Sequence[int], groups: Sequence[Sequence[int]], per_page: int, token: str) -> Page:
    """In order of event times, of the events recorded up to the first page."""
    descending = query.descending if query.order == "eventTime" else False
    if token:
        text, number, last, given = values_of(token, 4)
        at: tuple[datetime.datetime, int] | None = (datetime.datetime.fromisoformat(text), number) if text else None
    else:
        at, given = None, 0
        last = (
            EpcisSeen.objects.filter(owner__in=owners).order_by("-number").values_list("number", flat=True).first() or 0
        )
    rows = EpcisSeen.objects.filter(owner__in=owners, number__lte=last)
    if groups:
        numbers = list(
            _numbers(owners, groups).filter(number__lte=last).values_list("number", flat=True)[: MOST_SORTED + 1]
        )
        if len(numbers) > MOST_SORTED:
            raise QueryFault(
                "QueryTooLargeException", "too_many_to_sort", "Too many events to sort; narrow the query.", "orderBy"
            )
        rows = EpcisSeen.objects.filter(owner__in=owners, number__in=numbers)
    least, most = query.bounds.get(("event", True)), query.bounds.get(("event", False))
    if least is not None:
        rows = rows.filter(event_time__gte=least)
    if most is not None:
        rows = rows.filter(event_time__lt=most)
    room = per_page if query.limit is None else min(per_page, max(0, query.limit - given))
    found: list[EpcisEvent] = []
    seen: set[int] = set()
    looked = 0
    while True:
        part = rows
        if at is not None:
            # A row comparison, which both engines answer by the index.
            part = _beyond(rows, at, descending)
        order = ("-event_time", "-number") if descending else ("event_time", "number")
        step = max(per_page + 1, 64)
        pairs = list(part.order_by(*order).values_list("event_time", "number")[:step])
        events = EpcisEvent.objects.filter(number__in=[number for _when, number in pairs]).in_bulk()
        for when, number in pairs:
            row = events.get(number)
            fits = row is not None and number not in seen and _passes(query, row) and bool(_looked(query, [row]))
            if fits and len(found) == room:
                ended = query.limit is not None and given + len(found) >= query.limit
                return Page(found, "" if ended or at is None else _time_token(at, last, given + len(found)))
            at = (when, number)
            seen.add(number)
            if fits and row is not None:
                found.append(row)
        looked += len(pairs)
        if len(pairs) < step:
            return Page(found)
        if looked >= MOST_LOOKED_AT and at is not None:
            return Page(found, _time_token(at, last, given + len(found)))


def _time_token(at: tuple[datetime.datetime, int], last: int, given: int) -> str:
    return token_of([at[0].isoformat(), at[1], last, given])


def _beyond(rows: QuerySet[EpcisSeen], at: tuple[datetime.datetime, int], descending: bool) -> QuerySet[EpcisSeen]:
    when, number = at
    if descending:
        return rows.filter(event_time__lte=when).filter(Q(event_time__lt=when) | Q(number__lt=number))
    return rows.filter(event_time__gte=when).filter(Q(event_time__gt=when) | Q(number__gt=number))


def _passes(query: Query, row: EpcisEvent) -> bool:
    """What the row itself says."""
    if query.types and row.kind not in query.types:
        return False
    if query.actions and row.action not in query.actions:
        return False
    if (query.declared or any(what == "declaration" for what, _least in query.bounds)) and not row.declared_at:
        return False
    for (what, least), when in query.bounds.items():
        if what == "event":
            there = row.event_time
        elif what == "record":
            there = row.record_time
        else:
            there = datetime.datetime.fromisoformat(row.declared_at)
        if (there < when) if least else (there >= when):
            return False
    return True


def _looked(query: Query, rows: list[EpcisEvent]) -> list[EpcisEvent]:
    """Those of these rows whose documents pass what no index answers."""
    if not query.looks or not rows:
        return rows
    documents = documents_of(rows, Shaper())
    if len(documents) != len(rows):
        return []
    return [row for row, event in zip(rows, documents, strict=True) if all(look(event) for look in query.looks)]


def check_count(query: Query, page: Page, actor: Actor) -> None:
    """Refuse a query whose answer is larger than its maxEventCount."""
    if query.most is None:
        return
    if len(page.rows) > query.most:
        raise QueryFault("QueryTooLargeException", "more_than_maximum", "The answer has more events.", "maxEventCount")


# --- Collections ----------------------------------------------------------------------------------------------------

COLLECTIONS: Final[Mapping[str, str]] = {
    "eventTypes": "",
    "epcs": "epc",
    "bizSteps": "bizStep",
    "bizLocations": "bizLocation",
    "readPoints": "readPoint",
    "dispositions": "disposition",
}
FILTER: Final[Mapping[str, str]] = {
    "eventTypes": "eventType",
    "epcs": "MATCH_anyEPC",
    "bizSteps": "EQ_bizStep",
    "bizLocations": "EQ_bizLocation",
    "readPoints": "EQ_readPoint",
    "dispositions": "EQ_disposition",
}


def members(collection: str, actor: Actor, *, per_page: int, token: str = "") -> tuple[list[str], str]:
    """The values of a collection that the caller's events name, page by page in order, and the next page's token."""
    if collection == "eventTypes":
        return list(EVENT_TYPES), ""
    rows = EpcisName.objects.filter(owner__in=owners_for(actor), kind=COLLECTIONS[collection])
    if token:
        rows = rows.filter(value__gt=str(values_of(token, 1)[0]))
    values = list(rows.order_by("value").values_list("value", flat=True).distinct()[: per_page + 1])
    more = len(values) > per_page
    return values[:per_page], token_of([values[per_page - 1]]) if more else ""


def is_member(collection: str, value: str, actor: Actor) -> bool:
    """Whether the caller's events name this value."""
    if collection == "eventTypes":
        return value in EVENT_TYPES
    if "\x00" in value:
        return False
    kind = COLLECTIONS[collection]
    rows = EpcisName.objects.filter(owner__in=owners_for(actor), kind=kind, value=_canonical(kind, value)[:500])
    return rows.exists()


def now() -> datetime.datetime:
    """The moment of an answer."""
    return timezone.now()
