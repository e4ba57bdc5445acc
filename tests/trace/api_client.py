"""How tests call the API: a machine's key or a person's session, JSON in and out, a fresh idempotency key each time."""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.world import sign_in
from trace.actor import Actor
from trace.models import ApiKey, Membership, Organisation, User
from trace.scopes import SCOPES

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as Answer


def make_key(
    organisation: Organisation, *, role: str = "operator", scopes: Any = SCOPES, name: str = "接口"
) -> tuple[ApiKey, str]:
    """A key of an organisation and its secret."""
    secret = f"test_{uuid.uuid4().hex}"
    person = User.objects.filter(memberships__organisation=organisation).first()
    if person is None:
        person = User.objects.create(username=uuid.uuid4().hex, display_name="示例员工")
        Membership.objects.create(user=person, organisation=organisation, role="owner")
    key = ApiKey.objects.create(
        organisation=organisation,
        name=name,
        prefix=secret[:12],
        key_hash=hashlib.sha256(secret.encode()).hexdigest(),
        scopes=list(scopes),
        role=role,
        created_by=person,
    )
    return key, secret


@dataclass
class Api:
    """A caller of the API. Without ``secret`` it is whoever the client is signed in as, perhaps nobody."""

    secret: str = ""
    client: Client = field(default_factory=lambda: Client(raise_request_exception=False))
    language: str = "zh-hans"

    def headers(self, **more: str) -> dict[str, str]:
        """The headers of each request."""
        found = {"accept-language": self.language, **more}
        if self.secret:
            found["authorization"] = f"Bearer {self.secret}"
        return found

    def get(self, path: str, **query: Any) -> Answer:
        """GET below /api/v1, or an address that begins with it."""
        address = path if path.startswith("/api/") else f"/api/v1{path}"
        return self.client.get(address, query or None, headers=self.headers())

    def post(self, path: str, body: Any = None, *, key: str | None = None, **headers: str) -> Answer:
        """POST JSON; ``key=""`` leaves the idempotency key out."""
        sent = self.headers(**headers)
        if key != "":
            sent["idempotency-key"] = key or str(uuid.uuid4())
        data = body if isinstance(body, (str, bytes)) else json.dumps(body if body is not None else {})
        return self.client.post(f"/api/v1{path}", data, content_type="application/json", headers=sent)


def machine(organisation: Organisation, **options: Any) -> Api:
    """A machine of an organisation."""
    return Api(make_key(organisation, **options)[1])


def api_of(actor: Actor, **options: Any) -> Api:
    """A machine of the actor's organisation, by default with the actor's role."""
    return machine(actor.organisation, role=options.pop("role", actor.role), **options)


def person(actor: Actor) -> Api:
    """The actor in person."""
    api = Api()
    sign_in(api.client, actor)
    return api


def queries(api: Api, path: str, **query: Any) -> int:
    """How many queries one request asks, the second time (the first notes that the key was used)."""
    api.get(path, **query)
    with CaptureQueriesContext(connection) as found:
        answer = api.get(path, **query)
    assert answer.status_code == 200, answer.content
    return len(found)


def body(response: Answer) -> Any:
    """The answer's JSON."""
    return json.loads(response.content)


def assert_problem(response: Answer, status: int, code: str) -> dict[str, Any]:
    """Fail unless this is problem details with that status and code; returns the document."""
    assert response["Content-Type"] == "application/problem+json", (response.status_code, response.content[:500])
    found: dict[str, Any] = body(response)
    assert (response.status_code, found["code"]) == (status, code), found
    assert found["status"] == status
    assert found["type"] == "about:blank"
    assert found["title"]
    assert found["detail"]
    return found
