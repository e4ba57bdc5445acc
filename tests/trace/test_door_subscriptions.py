"""Named queries and those who are told: signed, at least once, in the order of the log."""

from __future__ import annotations

import datetime
import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.utils import timezone

from tests.trace.door_client import CONTEXT, Door, document, door_of, event, problem, told
from tests.trace.test_door_queries import serial
from tests.world import World
from trace.actions.epcis_subscriptions import signature, tell_next
from trace.door.shaping import party_uri
from trace.models import EpcisSubscription

SECRET = "-".join(["signed", "with", "this"])


class Receiver(http.server.BaseHTTPRequestHandler):
    """Keeps what it is sent and answers with what ``answers`` says, else 200."""

    got: list[tuple[dict[str, str], bytes]]
    answers: list[int]

    def do_POST(self) -> None:
        """Take one call."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.got.append((dict(self.headers), body))
        self.send_response(self.answers.pop(0) if self.answers else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def receiver(settings: Any) -> Iterator[tuple[str, type[Receiver]]]:
    """A partner's server on this machine, named by the operator, and what it got."""
    handler = type("Here", (Receiver,), {"got": [], "answers": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    host = f"127.0.0.1:{server.server_port}"
    settings.EPCIS_CALLBACK_HOSTS = [host]
    yield f"http://{host}/epcis", handler
    server.shutdown()
    server.server_close()


@pytest.fixture
def door(world: World) -> Door:
    return door_of(world.distillery.organisation)


def test_a_named_query_is_kept_answered_and_forgotten(world: World, door: Door) -> None:
    door.captured(document(event(bizStep="shipping", epcList=[serial(1)]), event(epcList=[serial(2)])))
    body = {"name": "shipments", "query": {"EQ_bizStep": ["shipping"], "eventType": "ObjectEvent"}}
    answer = door.send("POST", "queries", body)
    assert answer.status_code == 201, answer.content
    assert answer["Location"].endswith("/epcis/queries/shipments")
    problem(door.send("POST", "queries", body), 409, "ResourceAlreadyExistsException")
    assert [each["epcList"] for each in door.events("queries/shipments/events")] == [[serial(1)]]
    assert [each["name"] for each in told(door.get("queries"))] == ["shipments"]
    theirs = door_of(world.walnuts.organisation)
    problem(theirs.get("queries/shipments"), 404, "NoSuchNameException")
    problem(theirs.send("DELETE", "queries/shipments"), 404, "NoSuchNameException")
    refused: list[Any] = [
        {"name": "x y", "query": {}},
        {"name": "x", "query": {"EQ_nonsense": "1"}},
        {"name": "x", "query": 7},
        [],
    ]
    for wrong in refused:
        assert door.send("POST", "queries", wrong).status_code == 400, wrong
    problem(Door().send("POST", "queries", body), 401, "SecurityException")
    assert door.send("DELETE", "queries/shipments").status_code == 204
    problem(door.get("queries/shipments"), 404, "NoSuchNameException")


def test_a_subscriber_is_told_signed_at_least_once_and_in_order(
    world: World, door: Door, receiver: tuple[str, type[Receiver]]
) -> None:
    url, partner = receiver
    door.captured(document(event(bizStep="shipping", epcList=[serial(1)])))
    door.send("POST", "queries", {"name": "out", "query": {"EQ_bizStep": "shipping"}})
    answer = door.send("POST", "queries/out/subscriptions", {"dest": url, "signatureToken": SECRET, "stream": True})
    assert answer.status_code == 201, answer.content
    assert SECRET not in answer.content.decode()
    assert not tell_next(), "nothing new yet"
    door.captured(
        document(*(event(bizStep="shipping", epcList=[serial(n)]) for n in (2, 3)), event(epcList=[serial(4)]))
    )
    partner.answers += [500]
    assert tell_next()
    row = EpcisSubscription.objects.get()
    assert row.failures == 1
    assert not tell_next(), "it waits before it tries again"
    assert tell_next(now=timezone.now() + datetime.timedelta(minutes=1))
    assert len(partner.got) == 2
    assert partner.got[0][1] == partner.got[1][1] or len(partner.got[0][1]) == len(partner.got[1][1])
    headers, body = partner.got[1]
    assert headers["GS1-Signature"] == signature(SECRET, body)
    sent = json.loads(body)
    results = sent["epcisBody"]["queryResults"]
    assert (results["queryName"], results["subscriptionID"]) == ("out", str(row.uid))
    assert [each["epcList"] for each in results["resultsBody"]["eventList"]] == [[serial(2)], [serial(3)]]
    assert not tell_next(now=timezone.now() + datetime.timedelta(minutes=1)), "told once it was taken"
    shown = told(door.get("queries/out/subscriptions"))
    assert [each["lastStatus"] for each in shown] == ["200"]
    theirs = door_of(world.walnuts.organisation)
    problem(theirs.get(f"queries/out/subscriptions/{row.uid}"), 404, "NoSuchNameException")
    assert door.send("DELETE", f"queries/out/subscriptions/{row.uid}").status_code == 204
    assert told(door.get("queries/out/subscriptions")) == []


def test_a_subscription_by_the_clock_reports_at_its_time(door: Door, receiver: tuple[str, type[Receiver]]) -> None:
    url, partner = receiver
    door.send("POST", "queries", {"name": "all", "query": {}})
    body = {"dest": url, "signatureToken": SECRET, "schedule": {"minute": "0"}, "reportIfEmpty": True}
    assert door.send("POST", "queries/all/subscriptions", body).status_code == 201
    assert not tell_next()
    due = EpcisSubscription.objects.get().next_at
    assert due.minute == 0
    assert tell_next(now=due)
    assert len(partner.got) == 1
    assert EpcisSubscription.objects.get().next_at == due + datetime.timedelta(hours=1)


def test_no_subscription_looks_into_our_own_network(door: Door) -> None:
    door.send("POST", "queries", {"name": "all", "query": {}})
    good = {"dest": "https://partner.example.org/hook", "signatureToken": SECRET, "stream": True}
    for dest in (
        "http://partner.example.org/",
        "https://localhost/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://169.254.169.254/latest",
        "https://10.0.0.8/",
        "https://printer/",
        "https://a:b@partner.example.org/",
        "file:///etc/passwd",
        "https://partner.example.org:0/",
        7,
        None,
    ):
        assert door.send("POST", "queries/all/subscriptions", {**good, "dest": dest}).status_code == 400, dest
    for change in (
        {"signatureToken": "short"},
        {"stream": False},
        {"schedule": {"minute": "99"}, "stream": None},
        {"schedule": {"second": "0"}},
        {"nonsense": 1},
        {"initialRecordTime": "soon"},
    ):
        assert door.send("POST", "queries/all/subscriptions", {**good, **change}).status_code == 400, change
    assert door.send("POST", "queries/all/subscriptions", good).status_code == 201


def test_a_query_that_is_none_is_refused_and_what_it_cannot_say_is_not_dropped(door: Door) -> None:
    bad: list[tuple[dict[str, Any], str]] = [
        ({"name": "q"}, "QueryValidationException"),
        ({"name": "q", "query": []}, "QueryValidationException"),
        ({"name": "a/b", "query": {}}, "QueryValidationException"),
        ({"name": "q", "query": {"perPage": 5}}, "QueryParameterException"),
        ({"name": "q", "query": {"nextPageToken": "x"}}, "QueryParameterException"),
    ]
    for body, kind in bad:
        problem(door.send("POST", "queries", body), 400, kind)
    told(door.send("POST", "queries", {"name": "q", "query": {"EQ_ex:said": True}}), 201)
    context = {"@context": [CONTEXT, {"ex": "https://example.org/"}]}
    said: dict[str, Any] = {"ex:said": True}
    door.captured(document(event(bizStep="storing", epcList=[serial(1)], **said), **context))
    assert len(door.events("queries/q/events")) == 1
    problem(door.get("queries/q/events", EQ_bizStep="shipping"), 400, "QueryParameterException")
    body = {"dest": "https://example.org/", "signatureToken": "x" * 16, "stream": True, "reportIfEmpty": "yes"}
    problem(door.send("POST", "queries/q/subscriptions", body), 400, "SubscriptionControlsException")
    problem(door.get("bizSteps/%00"), 404, "NoSuchResourceException")


def test_who_has_no_events_of_its_own_is_told_of_those_it_may_see_from_a_time_on(
    world: World, door: Door, receiver: tuple[str, type[Receiver]]
) -> None:
    """A shop that records nothing subscribes from yesterday: what was sent to it since is told."""
    url, here = receiver
    to = [{"type": "possessing_party", "destination": party_uri(world.shop.organisation)}]
    door.captured(document(event(bizStep="shipping", epcList=[serial(2)], destinationList=to)))
    shop = door_of(world.shop.organisation)
    told(shop.send("POST", "queries", {"name": "q", "query": {}}), 201)
    since = (timezone.now() - datetime.timedelta(days=1)).isoformat()
    body = {"dest": url, "signatureToken": "x" * 16, "stream": True, "initialRecordTime": since}
    told(shop.send("POST", "queries/q/subscriptions", body), 201)
    assert tell_next()
    (call,) = here.got
    assert serial(2) in call[1].decode()
