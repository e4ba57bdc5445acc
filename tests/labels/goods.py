"""Goods to put labels on, made by the kernel that every form goes through."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from tests.world import World
from trace.actions.capture import Draft, NewLot, Use, capture
from trace.actions.holds import activate_hold, prepare_hold
from trace.actor import Actor
from trace.event_templates import template
from trace.models import HoldSet, Lot, Place, Product
from trace.units import parse_amount

SHANGHAI = datetime.timezone(datetime.timedelta(hours=8))
BOTTLED_AT = datetime.datetime(2025, 9, 1, 9, 0, tzinfo=SHANGHAI)


def made(
    by: Actor,
    product: Product,
    *,
    code: str = "",
    amount: str = "100",
    parents: Sequence[tuple[Lot, str]] = (),
    step: str = "",
    at: datetime.datetime = BOTTLED_AT,
    place: Place | None = None,
    data: Mapping[str, Any] | None = None,
    **facts: Any,
) -> Lot:
    """A lot made of so much of each parent (or from the field, without parents)."""
    found = template(step or ("baijiu.bottle" if parents else "walnut.harvest"))
    uses = [
        Use(
            lot=parent,
            role="input",
            holder=by.owner,
            amount=parse_amount(used, parent.product.base_unit, parent.product.base_unit),
            sign=-1,
            place=parent.origin_place,
        )
        for parent, used in parents
    ]
    new = NewLot(product, parse_amount(amount, product.base_unit, product.base_unit), lot_code=code, **facts)
    draft = Draft(found, by.owner, at, uses=uses, outputs=[new], place=place, data=dict(data or {}))
    return capture(draft=draft, by=by).lots[0]


def bottled(world: World, *, product: Product | None = None, code: str = "L1", **facts: Any) -> Lot:
    """A finished lot of the distillery."""
    facts.setdefault("produced_on", BOTTLED_AT.date())
    return made(world.distillery, product or world.baijiu, code=code, place=world.cellar, **facts)


def held(world: World, lot: Lot, kind: str, reason: str = "示例原因", *, source: str = "", **member: Any) -> HoldSet:
    """An active hold on a lot, or (``unit_from``, ``unit_to``, ``holder``) on part of it."""
    whole = not member
    hold = prepare_hold(by=world.county, kind=kind, lots=[lot] if whole else [], reason=reason, source=source)
    if not whole:
        hold.members.create(lot=lot, **member)
    return activate_hold(by=world.county, hold=hold)
