"""Every route declares its audience; a stranger's object is 404; who is not signed in is sent to the sign-in page."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from ninja import NinjaAPI

from config.api import api
from tests.world import OTHER_GTIN, World, behalf, make_actor, make_organisation, make_product, sign_in
from trace.access import Audience
from trace.actions.organisations import register_grower
from trace.actions.people import create_api_key, invite_member
from trace.actor import Actor
from trace.models import Division, Organisation

AUDIENCES = set(get_args(Audience))
DJANGOS_OWN = {"set_language"}
"""Views of Django's that anybody may call: they change nothing but the caller's own language."""
NINJAS_OWN = {"openapi-json", "openapi-view", "api-root", "nothing"}
"""Views of django-ninja's around the operations: the documentation, and 404 as a problem."""


def routes(resolver: URLResolver, namespace: str = "", prefix: str = "") -> Iterator[tuple[str, str, URLPattern]]:
    """Every URL pattern under a resolver: its full name, its path as written, and itself."""
    for entry in resolver.url_patterns:
        where = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            inner = f"{namespace}{entry.namespace}:" if entry.namespace else namespace
            yield from routes(entry, inner, where)
        else:
            yield f"{namespace}{entry.name}", where, entry


ALL = list(routes(get_resolver()))
PAGES = [(name, where, entry) for name, where, entry in ALL if not name.startswith(f"{api.urls_namespace}:")]


def test_there_are_routes_to_look_at() -> None:
    assert len(PAGES) > 50


@pytest.mark.parametrize(("name", "where", "entry"), PAGES, ids=[where for _name, where, _entry in PAGES])
def test_every_page_declares_its_audience(name: str, where: str, entry: URLPattern) -> None:
    if name in DJANGOS_OWN:
        return
    assert getattr(entry.callback, "audience", None) in AUDIENCES, f"{where} ({name}) declares no audience"


def operations(of: NinjaAPI) -> Iterator[tuple[str, Any]]:
    """Every operation of the API with its path."""
    for _prefix, router in of._routers:
        for where, view in router.path_operations.items():
            for operation in view.operations:
                yield f"{sorted(operation.methods)} {where}", operation


def test_every_operation_of_the_api_declares_its_audience() -> None:
    found = list(operations(api))
    assert found
    for where, operation in found:
        declared = (operation.openapi_extra or {}).get("x-audience")
        assert declared in AUDIENCES, f"{where} declares no audience"
        assert declared == "public" or operation.auth_callbacks, f"{where} is {declared} but asks for no key or session"


def test_the_api_has_no_routes_besides_its_operations() -> None:
    known = {operation.url_name for _where, operation in operations(api)} | NINJAS_OWN
    names = {name.partition(":")[2] for name, _where, _entry in ALL if name.startswith(f"{api.urls_namespace}:")}
    assert names <= known, names - known


def address(entry: URLPattern, where: str) -> str:
    """A path for the pattern with made-up values for what stands in it."""
    path = where
    for key, converter in entry.pattern.converters.items():
        kind = type(converter).__name__
        value = {"UUIDConverter": str(uuid.UUID(int=7)), "IntConverter": "7"}.get(kind, "x")
        for written in (f"<uuid:{key}>", f"<int:{key}>", f"<str:{key}>", f"<slug:{key}>", f"<path:{key}>", f"<{key}>"):
            path = path.replace(written, value)
    return "/" + path


CLOSED = [
    (where, address(entry, where))
    for _name, where, entry in PAGES
    if getattr(entry.callback, "audience", "public") != "public" and "<" not in address(entry, where)
]


@pytest.mark.django_db
@pytest.mark.parametrize("path", [path for _where, path in CLOSED], ids=[where for where, _path in CLOSED])
def test_nobody_signed_in_gets_no_further_than_the_sign_in_page(path: str, client: Client) -> None:
    for answer in (client.get(path), client.post(path)):
        sent_away = answer.status_code == 302 and answer["Location"].startswith(reverse("trace:sign_in"))
        assert sent_away or answer.status_code == 405, f"{path} answered {answer.status_code}"


# --- A stranger's objects -------------------------------------------------------------------------------------------


def uid_of(actor: Actor) -> uuid.UUID:
    """The UUID of an actor's membership."""
    assert actor.membership is not None
    return actor.membership.uid


def objects(world: World) -> list[tuple[str, uuid.UUID]]:
    """One object route each with an object of the distillery, the cooperative or the county."""
    key = create_api_key(by=world.distillery, name="示例", scopes=["lots:read"]).key
    invitation = invite_member(by=world.distillery, role="viewer").invitation
    claimed = make_product(world.distillery.organisation, gtin=OTHER_GTIN, claim="claimed")
    applicant = make_organisation("示例申请单位", "producer", status=Organisation.Status.APPLIED)
    grower = register_grower(
        by=world.clerk, name="示例种植户乙", division=Division.objects.get(pk="141182101")
    ).organisation
    certificate = world.distillery.organisation.certificates.create(
        kind="other",
        number="示例 1",
        granted_by=world.county.organisation,
        valid_from="2026-01-01",
        valid_until="2027-01-01",
    )
    return [
        ("trace:licence_end", world.distillery.organisation.licences.get().uid),
        ("trace:member", uid_of(world.distillery_worker)),
        ("trace:member_end", uid_of(world.distillery_worker)),
        ("trace:member_password", uid_of(world.distillery_worker)),
        ("trace:invitation_revoke", invitation.uid),
        ("trace:key_revoke", key.uid),
        ("trace:place", world.cellar.uid),
        ("trace:place_edit", world.cellar.uid),
        ("trace:place_end", world.cellar.uid),
        ("trace:place_reopen", world.cellar.uid),
        ("trace:product", world.baijiu.uid),
        ("trace:product_edit", world.baijiu.uid),
        ("trace:product_gtin", world.baijiu.uid),
        ("trace:product_material", world.baijiu.uid),
        ("trace:product_end", world.baijiu.uid),
        ("trace:product_reopen", world.baijiu.uid),
        ("trace:gtin_claim_decide", claimed.uid),
        ("trace:certificate_revoke", certificate.uid),
        ("trace:supervised", applicant.uid),
        ("trace:decide", applicant.uid),
        ("trace:grower_card", grower.uid),
        ("trace:behalf_start", grower.uid),
        ("trace:operator_organisation", world.distillery.organisation.uid),
        ("trace:operator_password", uid_of(world.distillery_worker)),
    ]


OBJECT_ROUTES = [
    name
    for name, _where, entry in PAGES
    if name.startswith("trace:")
    and entry.callback.__module__
    in {
        "trace.views.organisations",
        "trace.views.people",
        "trace.views.registry",
    }
    and "uid" in entry.pattern.converters
]


def strangers(world: World) -> list[Actor]:
    """Another producer, another county's regulator, and another cooperative's owner."""
    return [
        world.walnuts,
        world.other_county,
        world.other_county_approver,
        make_actor(make_organisation("示例别的合作社", "cooperative"), "owner"),
        behalf(world.clerk, world.grower.organisation),
    ]


@pytest.mark.django_db
@pytest.mark.parametrize("number", range(5))
def test_a_strangers_object_is_not_found(world: World, client: Client, number: int) -> None:
    found = objects(world)
    assert {name for name, _uid in found} == set(OBJECT_ROUTES), "an object route is missing here"
    stranger = strangers(world)[number]
    sign_in(client, stranger)
    for name, uid in found:
        if name == "trace:behalf_start" and stranger.on_behalf_of is not None:
            continue  # the clerk's own grower
        path = reverse(name, args=[uid])
        answers = {client.get(path).status_code, client.post(path, {"decision": "admit", "reason": "x"}).status_code}
        assert 404 in answers, f"{name} answered {answers} to {stranger.organisation}"
        assert answers <= {404, 405}, f"{name} answered {answers} to {stranger.organisation}"


@pytest.mark.django_db
def test_an_object_that_never_was_is_not_found_either(world: World, client: Client) -> None:
    sign_in(client, world.distillery)
    for name in ("trace:place", "trace:product", "trace:member"):
        assert client.get(reverse(name, args=[uuid.UUID(int=7)])).status_code == 404
    assert client.get("/places/nonsense/").status_code == 404
