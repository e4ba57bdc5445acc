"""Anything a client may think of: generated requests to every operation never meet a fault of ours, on either database.

`API_FUZZ=500` asks for more examples per operation than a suite has time for: it has four well-formed ones and two
ill-formed, which seldom get as far as the database. On PostgreSQL it asks the first two and one of them.
"""

import os
import uuid
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, connection
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from config.wsgi import application
from labels.actions.runs import issue_codes
from tests.goods import make_lot, receive, released, ship
from tests.recalls.story import make_chain, notice_to, started
from tests.trace.api_client import make_key
from tests.world import World, make_world
from trace.actions.holds import place_hold

FEWER = connection.vendor == "postgresql" and "API_FUZZ" not in os.environ
EXAMPLES = int(os.environ.get("API_FUZZ", "2" if FEWER else "4"))
PARTS = 4
"""Pieces that several workers can take."""


@cache
def operations() -> list[Any]:
    """Every operation of the document; read when a test asks, as most workers never do."""
    schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", application)
    return [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]


@pytest.fixture
def world(db: None) -> Iterator[World]:
    """The cast. A request's end must not close the connection with the test's transaction in it: Django's own client
    keeps it from that, the WSGI application called by others does not.
    """
    for moment in (request_started, request_finished):
        moment.disconnect(close_old_connections)
    yield make_world()
    for moment in (request_started, request_finished):
        moment.connect(close_old_connections)


def things(world: World) -> dict[str, str]:
    """What there really is, by the name under which requests mean it: path segments and fields of bodies."""
    lot = released(world.walnuts, world.walnuts_quality, make_lot(world.walnuts, world.kernels, place=world.plant))
    spirit = make_lot(world.distillery, world.baijiu)
    sent = ship(world.distillery, world.walnuts.organisation, spirit, "1", insist=True)
    receive(world.shop, ship(world.walnuts, world.shop.organisation, lot, "1"))
    ship(world.walnuts, world.shop.organisation, lot, "9999", insist=True)
    hold = place_hold(by=world.walnuts_quality, lots=[make_lot(world.walnuts, world.kernels)], reason="复检")
    line = sent.transfers.get()
    run = issue_codes(by=world.walnuts, lot=lot, count=3, key="示例")
    chain = make_chain(world)
    campaign = started(chain)
    notice = notice_to(campaign, chain.outsider)
    report = lot.reports.get()
    named: dict[str, Any] = {
        "lots": lot, "lot": lot, "events": lot.origin_event, "replaces": lot.origin_event, "products": world.kernels,
        "product": world.kernels, "places": world.plant, "place": world.plant, "shipments": sent, "transfer": line,
        "holds": hold, "reports": report, "report": report, "code-runs": run, "campaigns": campaign,
        "notices": notice, "notice": notice, "signals": campaign.signals.get(),
        "conflicts": lot.conflicts.get(code="not_enough"),
        "organisation": world.walnuts.organisation, "witness": world.county.organisation,
        "organisations": world.shop.organisation,
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
        return known[name] if is_uuid(value) else value
    return value


def is_uuid(value: str) -> bool:
    """Whether a client meant a name."""
    try:
        uuid.UUID(value)
    except ValueError:
        return False
    return True


def ask(case: Any, known: Mapping[str, str], secret: str) -> None:
    """Send one request about things there are; any answer will do but a fault of ours or one the document denies."""
    if "uid" in (case.path_parameters or {}):
        segment = case.operation.path.removeprefix("/api/v1").split("/")[1]
        found = real({segment: case.path_parameters["uid"]}, known)
        case.path_parameters = {**case.path_parameters, "uid": found[segment]}
    case.body = real(case.body, known)
    (case.headers or {}).pop("On-Behalf-Of", None)  # made-up growers would turn every request away
    case.call_and_validate(
        headers={"Authorization": f"Bearer {secret}", "Idempotency-Key": str(uuid.uuid4())},
        checks=[not_a_server_error, content_type_conformance, response_schema_conformance],
    )


def throw(operation: Any, mode: GenerationMode, known: Mapping[str, str], secret: str) -> None:
    """A handful of generated requests to one operation, well-formed or not."""

    @settings(
        max_examples=EXAMPLES if mode is GenerationMode.POSITIVE else max(1, EXAMPLES // 2),
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case: Any) -> None:
        ask(case, known, secret)

    try:
        send()
    except Unsatisfiable:  # an operation without parameters cannot be asked wrongly
        assert mode is GenerationMode.NEGATIVE


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_no_request_meets_a_fault_of_ours(world: World, part: int) -> None:
    known = things(world)
    assert len(operations()) > 60
    for operation in operations()[part::PARTS]:
        raw = operation.definition.raw
        actor = world.county_approver if raw["x-audience"] == "regulator" else world.walnuts
        secret = make_key(actor.organisation, role=(raw.get("x-roles") or [actor.role])[0])[1]
        for mode in GenerationMode:
            throw(operation, mode, known, secret)
