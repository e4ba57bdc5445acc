"""How tests call the EPCIS door: a machine's key, documents in, events out."""

from __future__ import annotations

import datetime
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.test import Client

from tests.trace.api_client import make_key
from trace.models import Organisation

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as Answer

CONTEXT = "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"
PREFIX = "https://id.gs1.org"


@dataclass
class Door:
    """A caller of the door. Without ``secret`` nobody."""

    secret: str = ""
    client: Client = field(default_factory=lambda: Client(raise_request_exception=False))

    def headers(self, **more: str) -> dict[str, str]:
        """The headers of each request."""
        found = dict(more)
        if self.secret:
            found["authorization"] = f"Bearer {self.secret}"
        return found

    def get(self, path: str, **query: Any) -> Answer:
        """GET below /epcis/, or an address the door gave."""
        return self.client.get(self._address(path), query or None, headers=self.headers())

    def send(self, method: str, path: str, data: Any = b"", media: str = "application/json", **headers: str) -> Answer:
        """Any method with a body: bytes and texts as they are, else as JSON."""
        body = data if isinstance(data, (bytes, str)) else json.dumps(data)
        return self.client.generic(
            method, self._address(path), body, content_type=media, headers=self.headers(**headers)
        )

    def capture(self, document: Any, *, proceed: bool = False, media: str = "application/json") -> dict[str, Any]:
        """POST a document and answer with its job."""
        answer = self.send(
            "POST", "capture", document, media, **{"GS1-Capture-Error-Behaviour": "proceed" if proceed else "rollback"}
        )
        assert answer.status_code == 202, answer.content
        job: dict[str, Any] = told(self.get(answer["Location"]))
        return job

    def captured(self, document: Any, *, media: str = "application/json", **options: Any) -> dict[str, Any]:
        """The same of a document that must be taken."""
        job = self.capture(document, media=media, **options)
        assert job["success"], job["errors"]
        assert not job["running"], job
        return job

    def events(self, path: str = "events", **query: Any) -> list[dict[str, Any]]:
        """The events of one page."""
        listed: list[dict[str, Any]] = told(self.get(path, **query))["epcisBody"]["queryResults"]["resultsBody"][
            "eventList"
        ]
        return listed

    @staticmethod
    def _address(path: str) -> str:
        for start in ("http://testserver", "https://testserver"):
            if path.startswith(start):
                return path[len(start) :]
        return path if path.startswith("/") else f"/epcis/{path}"


def door_of(organisation: Organisation, **options: Any) -> Door:
    """A machine of an organisation."""
    return Door(make_key(organisation, **options)[1])


def told(answer: Answer, status: int = 200) -> Any:
    """The JSON of an answer of this status."""
    assert answer.status_code == status, (answer.status_code, answer.content)
    return json.loads(answer.content)


def problem(answer: Answer, status: int, kind: str) -> dict[str, Any]:
    """The problem details of an answer: of the standard's family and this status."""
    found: dict[str, Any] = told(answer, status)
    assert answer["Content-Type"] == "application/problem+json"
    assert found["type"] == f"epcisException:{kind}", found
    assert found["status"] == status
    return found


def document(*events: dict[str, Any], **more: Any) -> dict[str, Any]:
    """An EPCISDocument with these events."""
    return {
        "@context": [CONTEXT],
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": "2026-10-01T00:00:00Z",
        **more,
        "epcisBody": {"eventList": list(events)},
    }


_COUNT = iter(range(1, 10**6))


def event(kind: str = "ObjectEvent", **fields: Any) -> dict[str, Any]:
    """An event, each a minute after the one before."""
    moment = datetime.datetime(2026, 10, 1, tzinfo=datetime.UTC) + datetime.timedelta(minutes=next(_COUNT))
    found = {
        "type": kind,
        "eventTime": moment.isoformat(timespec="milliseconds"),
        "eventTimeZoneOffset": "+00:00",
        **fields,
    }
    if kind != "TransformationEvent":
        found.setdefault("action", "OBSERVE")
    return found


def lot_class(gtin: str, code: str) -> str:
    """A lot as a class."""
    return f"{PREFIX}/01/{gtin}/10/{code}"
