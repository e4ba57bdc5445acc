"""What one request must know of a code before anything else, in one statement: the code, what stands against it, how
far the log has come, how often the page's other rows changed, and the tally.

A ``Glance`` is found only for what is ordinary: one standing lot or unit, not void, replaced or found copied, nothing
held by unit number or holder or let go in part. Everything else takes the long way (``labels.provenance``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import connection

from trace.models import Product, Unit
from trace.prepared import planned_cursor

_GOOD = (Unit.State.ISSUED, Unit.State.APPLIED)


@dataclass(frozen=True, slots=True)
class Glance:
    """One ordinary code at one moment. ``holds`` are the row numbers of the active holds on the whole lot, ``log`` and
    ``fresh`` the state of everything else; ``count``, ``first_at`` and ``first_place`` the tally, as the database gives
    them.
    """

    unit: int | None
    lot: int
    public_code: str
    run: str
    state: str
    holds: tuple[str, ...]
    log: int
    fresh: int
    count: int
    first_at: Any
    first_place: str


_HOLDS = """
    FROM trace_holdmember m JOIN trace_holdset h ON h.id = m.hold_id
    WHERE m.lot_id = l.id AND h.active_from IS NOT NULL AND h.ended_at IS NULL
"""
# "p" marks a hold on part of the lot, or one from which some units were let go: it takes the long way.
_ONE_HOLD = """
    CAST(h.id AS varchar(20)) || CASE WHEN m.unit_from IS NULL AND m.holder_id IS NULL
        AND NOT EXISTS (SELECT 1 FROM trace_holdrelease r WHERE r.hold_id = h.id AND r.lot_id = l.id)
    THEN '' ELSE 'p' END
"""
_COMMON = """
    (SELECT last FROM trace_loghead WHERE id = 1),
    (SELECT {total} FROM labels_freshness),
    (SELECT {gathered} {holds}),
    l.id, l.public_code, l.voided_by_id, l.lot_code, p.gtin, p.gtin_claim, t.count, t.first_at, t.first_place
"""
_UNIT = """
    SELECT {common}, u.id, u.run, u.state, u.replaced_by_id, u.level,
        EXISTS (SELECT 1 FROM labels_codeexception x WHERE x.unit_id = u.id)
    FROM trace_unit u JOIN trace_lot l ON l.id = u.lot_id JOIN trace_product p ON p.id = l.product_id
    LEFT JOIN labels_scantally t ON t.unit_id = u.id
    WHERE u.code = %s
"""
_LOT = """
    SELECT {common}, NULL, NULL, 'issued', NULL, 'item',
        EXISTS (SELECT 1 FROM labels_codeexception x WHERE x.lot_id = l.id AND x.unit_id IS NULL)
    FROM trace_lot l JOIN trace_product p ON p.id = l.product_id
    LEFT JOIN labels_scantally t ON t.lot_id = l.id AND t.unit_id IS NULL
    WHERE {where}
"""
_BY_CODE = "l.public_code = %s"
_BY_GTIN = "p.gtin = %s AND p.gtin_claim = 'confirmed' AND l.lot_code = %s LIMIT 2"


def _statements(vendor: str) -> dict[str, str]:
    """The statements in one engine's words."""
    postgresql = vendor == "postgresql"
    common = _COMMON.format(
        total="CAST(sum(n) AS bigint)" if postgresql else "sum(n)",
        gathered=f"string_agg({_ONE_HOLD}, ',')" if postgresql else f"group_concat({_ONE_HOLD}, ',')",
        holds=_HOLDS,
    )
    return {
        "unit": _UNIT.format(common=common),
        "code": _LOT.format(common=common, where=_BY_CODE),
        "gtin": _LOT.format(common=common, where=_BY_GTIN),
    }


_READY: dict[str, dict[str, str]] = {}


def _rows(kind: str, parameters: tuple[str, ...]) -> list[tuple[Any, ...]]:
    """What a statement finds."""
    found = _READY.get(connection.vendor)
    if found is None:
        found = _READY[connection.vendor] = _statements(connection.vendor)
    with planned_cursor() as cursor:
        cursor.execute(found[kind], parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def by_code(code: str) -> Glance | None:
    """A unit by its serial, else a lot by its public code, both as printed. One query, two for a lot."""
    return _one(_rows("unit", (code,)) or _rows("code", (code,)))


def by_serial(gtin: str, serial: str, lot_code: str = "") -> Glance | None:
    """A unit by GTIN and serial, where the GTIN's claim stands and the lot, if named, is its lot. One query."""
    rows = [
        row
        for row in _rows("unit", (serial,))
        if row[7] == gtin and row[8] == Product.GtinClaim.CONFIRMED and lot_code in ("", row[6])
    ]
    return _one(rows)


def by_lot(gtin: str, lot_code: str) -> Glance | None:
    """A lot by GTIN and lot code, where the claim stands and one lot alone has that code. One query."""
    return _one(_rows("gtin", (gtin, lot_code)))


def _one(rows: list[tuple[Any, ...]]) -> Glance | None:
    """The one row as a glance, where it is ordinary."""
    if len(rows) != 1:
        return None
    log, fresh, holds, lot, public_code, voided, _code, _gtin, _claim, count, first_at, place, *unit = rows[0]
    number, run, state, replaced, level, excepted = unit
    ordinary = voided is None and replaced is None and level == Unit.Level.ITEM and state in _GOOD and not excepted
    if not ordinary or (holds and "p" in holds) or (number is not None and run is None):
        return None
    return Glance(
        unit=number,
        lot=lot,
        public_code=public_code,
        run=str(run or ""),
        state=state,
        holds=tuple(sorted(holds.split(","))) if holds else (),
        log=log or 0,
        fresh=fresh or 0,
        count=count or 0,
        first_at=first_at,
        first_place=place or "",
    )
