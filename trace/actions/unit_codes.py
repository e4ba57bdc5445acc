"""Codes given to units: kept beside the event that gave them, and the rows made from them."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Mapping, Sequence
from uuid import UUID

from django.db import transaction

from trace.actions.capture import Draft, Use, capture
from trace.actions.events import When, checked_data
from trace.actor import Actor
from trace.event_templates import template
from trace.models import Event, IssuedCodes, Lot, Unit

_CHUNK = 500


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


def make_units(kept: IssuedCodes, numbers: Mapping[str, int]) -> None:
    """Insert the unit rows of these codes."""
    rows = [
        Unit(
            code=code,
            organisation_id=kept.lot.organisation_id,
            lot_id=kept.lot_id,
            level=kept.level,
            run=kept.run,
            number=number,
        )
        for code, number in numbers.items()
    ]
    Unit.objects.bulk_create(rows, batch_size=_CHUNK)
