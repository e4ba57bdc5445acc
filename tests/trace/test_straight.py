"""The straight way to the EPCIS door gives the answers of the long one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.conf import settings
from django.db import transaction
from django.http import HttpRequest
from django.test import Client
from django.urls import resolve

from tests.trace.api_client import make_key
from tests.trace.door_client import CONTEXT, event
from tests.world import World, sign_in
from trace.models import EpcisEvent
from trace.views import straight
from trace.views.straight import DOOR, _paths

WITHOUT = [name for name in settings.MIDDLEWARE if "straight" not in name]
PATHS = (
    "", "capture", "capture/x", "events", "events/urn:uuid:1", "events/a/b", "queries", "queries/q", "queries/q/events",
    "queries/q/subscriptions", "queries/q/subscriptions/s", "nextPageToken/t", "eventTypes", "bizSteps/inspecting",
    "bizSteps/inspecting/events", "epcs/https://id.gs1.org/01/1/21/2/events", "no such thing", "汾",
)  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_both_ways_end_at_the_same_view(path: str) -> None:
    long, short = resolve(DOOR + path), _paths().resolve(DOOR + path)
    assert (long.func, long.args, long.kwargs) == (short.func, short.args, short.kwargs)


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each request took the straight way."""
    ways: list[bool] = []
    answer = straight._answer

    def noted(request: HttpRequest) -> Any:
        found = answer(request)
        ways.append(found is not None)
        return found

    monkeypatch.setattr(straight, "_answer", noted)
    return ways


def test_answers_are_the_same_on_both_ways(world: World, settings: Any, taken: list[bool]) -> None:
    secret = make_key(world.distillery.organisation)[1]
    reader = make_key(world.distillery.organisation, scopes=["events:read"])[1]
    good = {"@context": [CONTEXT], **event(epcList=["https://id.gs1.org/01/09521141012345/21/1"])}
    media, key = "application/json", f"Bearer {secret}"
    asked: list[tuple[str, str, Any, str, dict[str, str]]] = [
        ("POST", "events", good, media, {"authorization": key}),
        ("POST", "events", {"@context": [CONTEXT], "type": "ObjectEvent"}, media, {"authorization": key}),
        ("POST", "events", good, "text/plain", {"authorization": key}),
        ("POST", "events", good, media, {"authorization": f"Bearer {reader}"}),
        ("POST", "events", good, media, {"authorization": f"Bearer {reader}", "accept-language": "en"}),
        ("POST", "events?lang=en", good, media, {"authorization": "Bearer wrong"}),
        ("POST", "events", good, media, {"authorization": "Basic wrong", "accept-language": "en-GB, zh;q=0.5"}),
        ("GET", "events", b"", media, {"authorization": key}),
        ("HEAD", "events", b"", media, {"authorization": key}),
        ("OPTIONS", "events", b"", media, {"authorization": key}),
        ("PATCH", "events", b"", media, {"authorization": key}),
        ("GET", "events/none", b"", media, {"authorization": key, "accept-language": "en"}),
        ("GET", "events", b"", media, {"authorization": ""}),
        ("GET", "no such thing", b"", media, {"authorization": key}),
        ("GET", "events?EQ_nothing=1", b"", media, {"authorization": key}),
        ("GET", "events", b"", media, {"authorization": key, "host": "elsewhere.example"}),
        ("GET", "", b"", media, {"authorization": key}),
    ]
    middleware = list(settings.MIDDLEWARE)
    for method, path, body, kind, headers in asked:
        answers = []
        for chain in (WITHOUT, middleware):
            settings.MIDDLEWARE = chain
            with transaction.atomic():
                answer = Client(raise_request_exception=False).generic(
                    method, DOOR + path, body if isinstance(body, bytes) else json.dumps(body), kind, headers=headers
                )
                told = answer.content
                if b"creationDate" in told:
                    told = b""  # the moment it was asked
                answers.append((answer.status_code, dict(sorted(answer.headers.items())), told))
                transaction.set_rollback(True)
        assert answers[0] == answers[1], (method, path, headers)
    assert len(taken) == len(asked) - 1, "an empty header shows no key"
    assert taken.count(False) == 1, "another host is refused by the long way"


def test_browsers_and_other_pages_take_the_long_way(world: World, taken: list[bool]) -> None:
    client = Client()
    sign_in(client, world.distillery)
    assert client.get(f"{DOOR}events").status_code == 200
    secret = make_key(world.distillery.organisation)[1]
    headers = {"authorization": f"Bearer {secret}"}
    assert client.get(f"{DOOR}events", headers=headers).status_code == 200
    assert Client().get(f"{DOOR}events").status_code == 401
    assert Client().get("/api/v1/lots/", headers=headers).status_code in (200, 404)
    assert taken == []
    assert Client().get(f"{DOOR}events", headers=headers).status_code == 200
    assert taken == [True]
    assert not EpcisEvent.objects.exists()
