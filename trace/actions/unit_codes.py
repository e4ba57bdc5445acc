"""Codes given to units: kept beside the event that gave them, and the rows made from them."""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Mapping, Sequence
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Model

from trace.actions.capture import Draft, Use, capture
from trace.actions.events import When, checked_data
from trace.actor import Actor
from trace.event_templates import template
from trace.models import Event, IssuedCodes, Lot, Unit


@transaction.atomic
def commission_units(
    *,
    by: Actor,
    lot: Lot,
    codes: Sequence[str],
    level: str,
    first_number: int,
    label_template: str,
    when: When,
    run: UUID | None = None,
    at: datetime.datetime | None = None,
) -> Event:
    """Give a lot's units these codes, all of one length, in the order of their numbers from ``first_number`` on.

    The event carries the SHA-256 of the codes and the log proves it; the codes lie beside it, and the units follow.
    By guards: lots on hold or void. Raises IntegrityError where a code is a unit's already.
    """
    by.require("operator", "quality")
    if len({len(code) for code in codes}) != 1:
        raise ValueError("codes of one event have the same length")
    found = template("common.code")
    text = "".join(codes).encode("ascii")
    data = {"count": len(codes), "serial_from": codes[0], "serial_to": codes[-1], "label_template": label_template}
    issued = {
        "level": level,
        "run": str(run) if run else "",
        "first_number": first_number,
        "codes_sha256": hashlib.sha256(text).hexdigest(),
    }
    draft = Draft(
        template=found,
        organisation=by.owner,
        occurred_at=when.at,
        precision=when.precision,
        tz_offset=when.tz_offset,
        uses=[Use(lot=lot, role="subject", holder=by.owner)],
        data=checked_data(found, data) | {"issued": issued},
    )
    event = capture(draft=draft, by=by, at=at).event
    kept = IssuedCodes.objects.create(
        event=event,
        lot=lot,
        level=level,
        run=run,
        first_number=first_number,
        width=len(codes[0]),
        codes=text,
    )
    make_units(kept, dict(zip(codes, range(first_number, first_number + len(codes)), strict=True)))
    return event


_GIVEN = ("code", "number")
_SOURCES = {
    "sqlite": "SELECT key, value{rest} FROM json_each(%s) ORDER BY key",
    "postgresql": "SELECT code, number{rest} FROM unnest(string_to_array(%s, ','), string_to_array(%s, ',')::integer[])"
    " AS given (code, number)",
}
_MANY = 20_000
_ROOM = "PRAGMA cache_size = -65536"
"""64 MB: the index of a million codes fits, and each new code lies at some random place of it."""


def make_units(kept: IssuedCodes, numbers: Mapping[str, int]) -> None:
    """Insert the unit rows of these codes: one statement with one parameter for them all, since a million rows made one
    by one take a minute. On SQLite in the order of the codes, so that each page of their index is met once per
    statement; PostgreSQL gains nothing by it.
    """
    pattern = Unit(
        organisation_id=kept.lot.organisation_id, lot_id=kept.lot_id, level=kept.level, run=kept.run, code="", number=0
    )
    rest = [field for field in Unit._meta.concrete_fields if not field.primary_key and field.name not in _GIVEN]
    names = [*_GIVEN, *(str(field.column) for field in rest)]
    columns = ", ".join(map(connection.ops.quote_name, names))
    # PostgreSQL takes a bare parameter in a SELECT for text; each is told its column's type.
    places = "".join(
        f", CAST(%s AS {field.rel_db_type(connection) if field.remote_field else field.db_type(connection)})"
        for field in rest
    )
    source = _SOURCES[connection.vendor].format(rest=places)
    values = [field.get_db_prep_save(field.pre_save(pattern, True), connection) for field in rest]
    if connection.vendor == "postgresql":
        given = [",".join(numbers), ",".join(map(str, numbers.values()))]
    else:
        given = [json.dumps(dict(numbers))]
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite" and len(numbers) >= _MANY:
            cursor.execute(_ROOM)
        # Columns and places are the model's own words.
        cursor.execute(
            f"INSERT INTO {connection.ops.quote_name(Unit._meta.db_table)} ({columns}) {source}", [*values, *given]
        )


_CODES: dict[type[Model], str] = {Unit: "code", Lot: "public_code"}


def any_taken(codes: Sequence[str], *models: type[Model]) -> bool:
    """Whether a row of these models (a unit, a lot) has one of these codes: they share the path ``/c/…``."""
    # One text, since a parameter that is a list is quoted item by item.
    postgresql = connection.vendor == "postgresql"
    among = "= ANY(string_to_array(%s, ','))" if postgresql else "IN (SELECT value FROM json_each(%s))"
    wanted = ",".join(codes) if postgresql else json.dumps(list(codes))
    with connection.cursor() as cursor:
        for model in models:
            table = connection.ops.quote_name(model._meta.db_table)
            cursor.execute(f"SELECT 1 FROM {table} WHERE {_CODES[model]} {among} LIMIT 1", [wanted])  # noqa: S608
            if cursor.fetchone():
                return True
    return False
