"""Anything a client may think of: generated requests to every operation never meet a fault of ours, on either database.

`API_FUZZ=500` asks for more examples per operation than a suite has time for.
"""

import os
import uuid
from collections.abc import Mapping
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from config.wsgi import application
from tests.goods import make_lot, receive, released, ship
from tests.trace.api_client import make_key
from tests.world import World, make_world
from trace.actions.holds import place_hold

EXAMPLES = int(os.environ.get("API_FUZZ", "6"))
schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", application)


@pytest.fixture
def world(db: None) -> World:
    return make_world()


def things(world: World) -> dict[str, str]:
    """What there really is, by the name under which requests mean it: path segments and fields of bodies."""
    lot = released(world.walnuts, world.walnuts_quality, make_lot(world.walnuts, world.kernels, place=world.plant))
    spirit = make_lot(world.distillery, world.baijiu)
    sent = ship(world.distillery, world.walnuts.organisation, spirit, "1", insist=True)
    arrived = ship(world.walnuts, world.shop.organisation, lot, "1")
    receive(world.shop, arrived)
    hold = place_hold(by=world.walnuts_quality, lots=[make_lot(world.walnuts, world.kernels)], reason="复检")
    line = sent.transfers.get()
    report = lot.reports.get()
    named: dict[str, Any] = {
        "lots": lot, "lot": lot, "events": lot.origin_event, "replaces": lot.origin_event, "products": world.kernels,
        "product": world.kernels, "places": world.plant, "place": world.plant, "shipments": sent, "transfer": line,
        "holds": hold, "reports": report, "organisations": world.shop.organisation,
        "receiver": world.shop.organisation, "supplier": world.shop.organisation, "source": world.shop.organisation,
        "counterparty": world.shop.organisation, "laboratory": world.lab.organisation,
    }  # fmt: skip
    return {name: str(row.uid) for name, row in named.items()}


def real(value: Any, known: Mapping[str, str], name: str = "") -> Any:
    """The request with every well-formed UUID replaced by one of a thing there is, so that requests reach the rules."""
    if isinstance(value, dict):
        return {key: real(inner, known, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [real(inner, known, name) for inner in value]
    if isinstance(value, str) and name in known:
        try:
            uuid.UUID(value)
        except ValueError:
            return value
        return known[name]
    return value


@pytest.mark.slow
@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_no_request_meets_a_fault_of_ours(case: Any, world: World) -> None:
    raw = case.operation.definition.raw
    actor = world.county_approver if raw["x-audience"] == "regulator" else world.walnuts
    if not hasattr(world, "_things"):
        object.__setattr__(world, "_things", things(world))
        object.__setattr__(world, "_key", make_key(actor.organisation, role=(raw.get("x-roles") or [actor.role])[0])[1])
    known: dict[str, str] = world._things  # type: ignore[attr-defined]
    if "uid" in (case.path_parameters or {}):
        segment = case.operation.path.removeprefix("/api/v1").split("/")[1]
        case.path_parameters = {**case.path_parameters, **real({segment: case.path_parameters["uid"]}, known)}
        case.path_parameters["uid"] = case.path_parameters.pop(segment)
    case.body = real(case.body, known)
    case.call_and_validate(
        headers={
            "Authorization": f"Bearer {world._key}",  # type: ignore[attr-defined]
            "Idempotency-Key": str(uuid.uuid4()),
        },
        checks=[not_a_server_error, content_type_conformance, response_schema_conformance],
    )
