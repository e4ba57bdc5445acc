"""One uploaded sheet carried through: read, tried against what is recorded, written in one transaction."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from trace import ledger
from trace.actions.registry import checked_place, checked_product, create_places, create_products
from trace.actions.steps import Recorded, record_step
from trace.actor import Actor
from trace.batch import Batch, NeedsHead, open_batch
from trace.errors import Clash, DomainError, FieldErrors, GuardBroken, Invalid
from trace.guards import blocking
from trace.identifiers import fold_code, normalise_captured_lot_code
from trace.imports.checking import (
    Checked,
    Facts,
    Heading,
    Issue,
    check_sheet,
    find_heading,
    issues_beside,
    issues_of_refusal,
)
from trace.imports.columns import Sheet
from trace.imports.earlier import Carried
from trace.imports.reading import Line
from trace.models import Place, Product

Progress = Callable[[int], None]
"""Told how many rows of the whole are done."""
EVERY = 100
MOST_LEANING = 1_000
"""Rows of a sheet whose rows lean on one another: while it is checked nobody else writes."""
AHEAD_ATTEMPTS = 2
"""Times a sheet is judged without the head of the log before it is judged with it: enough where others write a lot."""


@dataclass
class Outcome:
    """What came of writing: kind, uid and name of each thing, and how many were flagged as contradictions."""

    made: list[tuple[str, str, str]] = field(default_factory=list)
    conflicts: int = 0


class Changed(Exception):
    """What was checked before cannot be written now; a fresh check will say where."""

    def __init__(self, error: DomainError) -> None:
        super().__init__(error.message)
        self.error = error


def try_out(sheet: Sheet, lines: Sequence[Line], by: Actor, insisted: Sequence[str], told: Progress) -> Checked:
    """Read a sheet and find out what the actions would refuse, writing nothing and locking nothing."""
    checked = read(sheet, lines, by, lambda done: told(done // 2))
    if not checked.facts:
        return checked
    heading, _rows = find_heading(sheet, lines)
    unread = {(issue.row, issue.column) for issue in checked.issues}
    for number, (facts, error) in enumerate(_refusals(sheet, checked, by, insisted), start=1):
        if error is not None and facts.half:
            checked.issues += issues_beside(sheet, heading, facts, error, unread)
        elif error is not None:
            checked.issues += issues_of_refusal(sheet, heading, facts, error)
        if number % EVERY == 0:
            told((checked.total + number) // 2)
    checked.issues.sort(key=lambda issue: (issue.row, issue.column))
    return checked


def read(sheet: Sheet, lines: Sequence[Line], by: Actor, told: Progress) -> Checked:
    """All facts of a sheet with what is wrong in its cells."""
    checked = Checked()
    for number, (_facts, so_far) in enumerate(check_sheet(sheet, lines, by), start=1):
        checked = so_far
        if number % EVERY == 0:
            told(number)
    return checked


def _refusals(
    sheet: Sheet, checked: Checked, by: Actor, insisted: Sequence[str]
) -> Iterator[tuple[Facts, DomainError | None]]:
    """Each fact with what its action would refuse."""
    if sheet.plan is None:
        yield from _registry_refusals(checked, by)
        return
    if checked.leaning:
        yield from _rehearsed(checked, by, insisted)
        return
    batch = prepared(Batch(writes=False), checked.facts, by)
    with open_batch(batch):
        yield from _each(batch, checked, by, insisted)


def _each(
    batch: Batch, checked: Checked, by: Actor, insisted: Sequence[str]
) -> Iterator[tuple[Facts, DomainError | None]]:
    """Each fact with what its action refuses, in the batch that is open."""
    blocking(batch.lots)
    carried = Carried(checked.promised)
    for facts in checked.facts:
        try:
            record_facts(facts, by, insisted, carried)
        except DomainError as error:
            yield facts, error
        else:
            yield facts, None


class _TakenBack(Exception):
    """Ends a rehearsal."""


def _rehearsed(checked: Checked, by: Actor, insisted: Sequence[str]) -> Iterator[tuple[Facts, DomainError | None]]:
    """The same for rows that lean on rows before them: guards must find those in the database, so all is written and
    taken back, while others wait. Hence such a sheet may have fewer rows.
    """
    if len(checked.facts) > MOST_LEANING:
        message = _("用到本表前面产生的批次、或登记新单位的表，一次最多 %(n)d 行，请分成几个文件。")
        yield checked.facts[MOST_LEANING], Invalid(message % {"n": MOST_LEANING}, code="too_many_leaning")
        return
    found: list[tuple[Facts, DomainError | None]] = []
    with suppress(_TakenBack), transaction.atomic():
        batch = prepared(Batch(writes=True, number=ledger.take_log_head() - 1), checked.facts, by)
        with open_batch(batch):
            found += _each(batch, checked, by, insisted)
            raise _TakenBack
    yield from found


def _registry_refusals(checked: Checked, by: Actor) -> Iterator[tuple[Facts, DomainError | None]]:
    """Products and places: what the checks refuse, and what stands twice in the sheet itself."""
    seen: dict[tuple[str, str], int] = {}
    for facts in checked.facts:
        try:
            row = registry_row(facts, by)
            _refuse_twice(row, facts, seen)
        except DomainError as error:
            yield facts, _and_twice(error, facts, seen)
        else:
            yield facts, None


def _and_twice(error: DomainError, facts: Facts, seen: dict[tuple[str, str], int]) -> DomainError:
    """A row's refusal, with the name it shares with a row before it."""
    if facts.product is not None:
        key, name = "code", fold_code(facts.product[0].code)
    else:
        key, name = "name", facts.place.name.strip() if facts.place is not None else ""
    first = seen.setdefault((key, name), facts.lines[0].number) if name else facts.lines[0].number
    if first == facts.lines[0].number or not isinstance(error, FieldErrors):
        return error
    return FieldErrors(error.message, {key: _row_twice(first), **error.fields})


def _refuse_twice(row: Any, facts: Facts, seen: dict[tuple[str, str], int]) -> None:
    row = row[0] if isinstance(row, tuple) else row
    names = {"code": row.code, "gtin": row.gtin} if isinstance(row, Product) else {"name": row.name}
    for key, value in names.items():
        if not value:
            continue
        first = seen.setdefault((key, value), facts.lines[0].number)
        if first != facts.lines[0].number:
            error = _row_twice(first)
            raise FieldErrors(error.message, {key: error})


def _row_twice(first: int) -> Invalid:
    message = _("与第 %(row)d 行相同。请删去一行，或改正其中一行。") % {"row": first}
    return Invalid(message, code="row_twice")


def registry_row(facts: Facts, by: Actor) -> Any:
    """The unwritten row of a product (with its version's fields) or a place."""
    if facts.product is not None:
        product, version = facts.product
        return checked_product(by=by, product=product, version=version)
    if facts.place is not None:
        return checked_place(by=by, place=facts.place)
    raise ValueError("no registry row")


def prepared(batch: Batch, facts: Sequence[Facts], by: Actor) -> Batch:
    """The batch with everything these facts will ask for read before, hundreds at a time."""
    entries = [each.entry for each in facts if each.entry is not None]
    lots = {portion.lot.pk for entry in entries for portion in (*entry.inputs, *entry.subjects) if portion.lot.pk > 0}
    codes = {new.lot_code for entry in entries for new in entry.outputs} | {
        str(entry.data.get(field_, "")) for entry in entries for field_ in _code_fields(entry.code)
    }
    products = {new.product.pk for entry in entries for new in entry.outputs}
    batch.prepare(lots=lots, holder=by.owner, codes=_canonical(codes), products=products)
    return batch


def _code_fields(code: str) -> Sequence[str]:
    from trace.event_templates import template

    name = template(code).lot_code_field
    return (name,) if name else ()


def _canonical(codes: set[str]) -> set[str]:
    """Lot codes as they are stored, both ways of writing."""
    found: set[str] = set()
    for code in codes - {""}:
        try:
            found |= {normalise_captured_lot_code(code), code.strip().upper()}
        except Invalid:
            continue
    return found


def record_facts(
    facts: Facts,
    by: Actor,
    insisted: Sequence[str],
    carried: Carried | None = None,
    at: datetime.datetime | None = None,
) -> Recorded:
    """Record one step: first as a command; where only rules refuse that the person insisted on, as a report.

    ``carried`` is what the rows before it brought about.
    """
    assert facts.entry is not None  # noqa: S101  (steps have entries)
    entry = carried.settled(facts.entry) if carried is not None else facts.entry
    try:
        recorded = record_step(entry=entry, by=by, at=at)
    except GuardBroken as error:
        codes = {guard.code for guard in error.broken}
        if not error.insistable or not (facts.insist or codes <= set(insisted)):
            raise
        recorded = record_step(entry=entry, by=by, insist=True, at=at)
    if carried is not None:
        carried.learn(facts.entry, facts.makes, recorded)
    return recorded


def write(
    sheet: Sheet, lines: Sequence[Line], by: Actor, insisted: Sequence[str], finish: Callable[[Outcome], None]
) -> Outcome:
    """Write all of a sheet in one transaction; ``finish`` runs inside it.

    Everything that can be read and checked before is; the head of the log is held only while guards judge and rows are
    inserted. Raises Changed where something is refused that was not before: then nothing is written.
    """
    checked = read(sheet, lines, by, lambda done: None)
    if checked.issues:
        raise Changed(Clash(checked.issues[0].message, code=checked.issues[0].code))
    try:
        if sheet.plan is None:
            return _write_registry(checked, by, finish)
        return _write_steps(checked, by, insisted, finish)
    except DomainError as error:
        raise Changed(error) from error


def _write_registry(checked: Checked, by: Actor, finish: Callable[[Outcome], None]) -> Outcome:
    seen: dict[tuple[str, str], int] = {}
    rows = [registry_row(facts, by) for facts in checked.facts]
    for row, facts in zip(rows, checked.facts, strict=True):
        _refuse_twice(row, facts, seen)
    with transaction.atomic():
        made: Sequence[Product | Place]
        made = create_places(rows=rows, by=by) if checked.facts[0].place else create_products(rows=rows, by=by)
        outcome = Outcome([(type(row).__name__.lower(), str(row.uid), str(row)) for row in made])
        finish(outcome)
    return outcome


def _write_steps(checked: Checked, by: Actor, insisted: Sequence[str], finish: Callable[[Outcome], None]) -> Outcome:
    for _attempt in range(0 if checked.leaning else AHEAD_ATTEMPTS):
        # Judging thousands of rows takes seconds in which others should write: only inserting is done with the head.
        batch = Batch(writes=True, number=ledger.last_number(), ahead=True)
        try:
            outcome = _judged(batch, checked, by, insisted)
            with transaction.atomic():
                number = ledger.take_log_head() - 1
                if not batch.still_holds(number, by.owner):
                    raise NeedsHead
                batch.write_after(number)
                finish(outcome)
        except NeedsHead:
            continue
        return outcome
    with transaction.atomic():
        outcome = _judged(Batch(writes=True, number=ledger.take_log_head() - 1), checked, by, insisted)
        finish(outcome)
    return outcome


def _judged(batch: Batch, checked: Checked, by: Actor, insisted: Sequence[str]) -> Outcome:
    """All facts of a sheet captured into a batch."""
    outcome = Outcome()
    with open_batch(prepared(batch, checked.facts, by)):
        blocking(batch.lots)
        carried = Carried(checked.promised)
        for facts in checked.facts:
            recorded = record_facts(facts, by, insisted, carried)
            outcome.made += _names(recorded)
            outcome.conflicts += bool(recorded.conflicts)
    return outcome


def _names(recorded: Recorded) -> Iterator[tuple[str, str, str]]:
    """What a step made, as the page of the import links it."""
    if recorded.shipment is not None:
        yield "shipment", str(recorded.shipment.uid), recorded.shipment.number
    elif recorded.lots:
        for lot in recorded.lots:
            yield "lot", str(lot.uid), lot.code
    else:
        yield "event", str(recorded.event.uid), ""


__all__ = ["Changed", "Checked", "Heading", "Issue", "Outcome", "record_facts", "try_out", "write"]
