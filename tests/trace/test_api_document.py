"""The whole API by its own document: every operation of every app, whatever it does."""

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jsonschema_rs
import pytest
from pydantic import BaseModel

from config.api import api as house
from tests.trace.api_client import Api, assert_problem, body, machine
from tests.world import World
from trace.api.schemas import In, Out


@dataclass(frozen=True)
class Operation:
    """One operation of the document."""

    method: str
    path: str
    said: dict[str, Any]

    def __str__(self) -> str:
        return str(self.said["operationId"])

    def at(self, **names: str) -> str:
        """Its address below /api/v1 with these names filled in."""
        return self.path.removeprefix("/api/v1").format(**names)

    @property
    def names(self) -> list[str]:
        """The names in its path."""
        return [each["name"] for each in self.said["parameters"] if each["in"] == "path"]

    def call(self, api: Api, sent: Any = None, *, key: str | None = None, name: str = "") -> Any:
        """Ask it with every name in the path the same."""
        address = self.at(**dict.fromkeys(self.names, name or str(uuid.uuid4())))
        return api.get(address) if self.method == "get" else api.post(address, sent, key=key)


DOCUMENT: dict[str, Any] = json.loads(json.dumps(house.get_openapi_schema(path_prefix="/api/v1/"), default=str))
OPERATIONS = [
    Operation(method, path, said) for path, methods in DOCUMENT["paths"].items() for method, said in methods.items()
]
FOREIGN = {"take_gs1"}
CLOSED = [each for each in OPERATIONS if each.said["x-audience"] != "public"]


def suitable(world: World, operation: Operation) -> Api:
    """A caller this operation is for."""
    regulator = operation.said["x-audience"] == "regulator"
    role = (operation.said.get("x-roles") or ["approver" if regulator else "owner"])[0]
    return machine((world.county if regulator else world.walnuts).organisation, role=role)


def schema_of(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema of the document that can be validated with."""
    return {**schema, "components": DOCUMENT["components"]}


def examples() -> Iterator[tuple[str, dict[str, Any], Any]]:
    for operation in OPERATIONS:
        for status, answer in operation.said["responses"].items():
            for media in answer.get("content", {}).values():
                if "schema" in media and "example" in media:
                    yield f"{operation} {status}", media["schema"], media["example"]
        content = operation.said.get("requestBody", {}).get("content", {}).get("application/json")
        if content:
            yield f"{operation} body", content["schema"], content["example"]


@pytest.mark.parametrize(("schema", "example"), [pytest.param(s, e, id=name) for name, s, e in examples()])
def test_examples_fit_their_schema(schema: dict[str, Any], example: Any) -> None:
    jsonschema_rs.validator_for(schema_of(schema)).validate(example)


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_every_operation_says_what_it_is(operation: Operation) -> None:
    said = operation.said
    assert said["x-audience"] in ("public", "signed_in", "party", "regulator", "operator")
    assert said["summary"]
    assert said["tags"]
    good = [answer for status, answer in said["responses"].items() if status in ("200", "201")]
    assert len(good) == 1
    assert all(media.get("example") is not None for media in good[0]["content"].values())
    if said["x-audience"] != "public":
        assert said["x-scope"].partition(":")[2] == ("write" if operation.method == "post" else "read")
    if operation.method == "post":
        assert said["x-audience"] != "public"


def test_operation_ids_are_names_of_their_own() -> None:
    names = [str(each) for each in OPERATIONS]
    assert len(names) == len(set(names))


NO_NAMES = ("", "not-a-uuid", "%00", "0", "'; DROP TABLE trace_lot; --")


@pytest.mark.once
@pytest.mark.parametrize("operation", CLOSED, ids=str)
def test_every_operation_defends_itself(operation: Operation, world: World) -> None:
    """Nobody, no scope, no such thing, no idempotency key, an unknown field: each has its status and code."""
    assert_problem(operation.call(Api(), {}), 401, "not_signed_in")
    without_scope = machine(world.walnuts.organisation, scopes=[])
    assert_problem(operation.call(without_scope, {}), 403, "scope_required")
    api = suitable(world, operation)
    example = None
    if operation.method == "post":
        example = operation.said["requestBody"]["content"]["application/json"]["example"]
        assert_problem(operation.call(api, example, key=""), 400, "idempotency_key_required")
        answer = operation.call(api, {"no such field": 1})
        found = assert_problem(answer, 422, body(answer)["code"])
        codes = [error["code"] for error in found["errors"]]
        # A message of another standard is taken with what it says besides.
        assert ("unknown_field" in codes) is (str(operation) not in FOREIGN)
    if "uid" in operation.names:
        for name in NO_NAMES:
            assert_problem(operation.call(api, example, name=name), 404, "not_found")


def test_two_shapes_never_share_a_name() -> None:
    """The document names schemas by class: two classes of one name would overwrite each other there."""
    owners: dict[str, set[str]] = {}
    waiting: list[type[BaseModel]] = [In, Out]
    while waiting:
        shape = waiting.pop()
        waiting += shape.__subclasses__()
        if shape.__module__.partition(".")[0] != "tests":
            owners.setdefault(shape.__name__, set()).add(shape.__module__)
    assert {name: places for name, places in owners.items() if len(places) > 1} == {}


def test_the_address_of_the_document_serves_it(db: None) -> None:
    assert body(Api().get("/openapi.json"))["paths"].keys() == DOCUMENT["paths"].keys()
