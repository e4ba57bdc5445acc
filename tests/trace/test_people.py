"""People: logins, memberships, invitations, sign-in cards, API keys; actions and pages."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from tests.world import (
    PASSWORD,
    World,
    behalf,
    make_actor,
    make_organisation,
    make_user,
    make_world,
    membership_of,
    sign_in,
)
from trace.actions.organisations import register_grower
from trace.actions.people import (
    NewLogin,
    accept_invitation,
    change_password,
    change_role,
    create_api_key,
    create_login,
    end_membership,
    find_invitation,
    invite_member,
    issue_password_link,
    issue_password_link_as_operator,
    issue_sign_in_card,
    revoke_api_key,
    revoke_invitation,
    use_password_link,
    use_sign_in_card,
)
from trace.errors import Clash, DomainError, FieldErrors, Invalid, NotAllowed, NotFound
from trace.models import ApiKey, Division, Invitation, Membership, User


def login(name: str = "newcomer") -> NewLogin:
    """A sound login."""
    return NewLogin(name, "示例新人", PASSWORD)


def code_of(run: Callable[[], Any], kind: type[DomainError] = DomainError) -> str:
    """The code with which a call is refused."""
    with pytest.raises(kind) as caught:
        run()
    return caught.value.code


# --- Logins ---------------------------------------------------------------------------------------------------------


def test_user_names_differ_whatever_their_case(world: World) -> None:
    create_login(login=login("Zhang"))
    with pytest.raises(FieldErrors) as caught:
        create_login(login=login("zhang"))
    assert caught.value.fields["username"].code == "username_taken"


@pytest.mark.parametrize("password", ["short", "1234567890123", "password123", "newcomer12"])
def test_weak_passwords_are_refused(db: None, password: str) -> None:
    with pytest.raises(FieldErrors) as caught:
        create_login(login=NewLogin("newcomer", "示例", password))
    assert caught.value.fields["password"].code == "password_weak"


@pytest.mark.parametrize(
    ("password", "code"),
    [("a\x00" + PASSWORD, "text_nul"), ("\ud800" + PASSWORD, "text_surrogate"), ("x" * 1_000_000, "text_too_long")],
)
def test_passwords_that_are_no_text_are_refused(db: None, password: str, code: str) -> None:
    with pytest.raises(FieldErrors) as caught:
        create_login(login=NewLogin("newcomer", "示例", password))
    assert caught.value.fields["password"].code == code


def test_a_password_is_changed_by_who_knows_the_old_one(world: World) -> None:
    user = world.shop.user
    assert user is not None
    with pytest.raises(FieldErrors) as caught:
        change_password(user=user, old="wrong", new="another long 示例 one")
    assert caught.value.fields["old"].code == "password_wrong"
    change_password(user=user, old=PASSWORD, new="another long 示例 one")
    assert User.objects.get(pk=user.pk).check_password("another long 示例 one")


# --- Invitations ----------------------------------------------------------------------------------------------------


def test_an_invitation_lets_one_person_in(world: World) -> None:
    issued = invite_member(by=world.distillery, role="quality", display_name="示例质量")
    membership = accept_invitation(token=issued.token, login=login())
    assert (membership.organisation, membership.role) == (world.distillery.organisation, "quality")
    assert code_of(lambda: accept_invitation(token=issued.token, login=login("second"))) == "invitation_used"
    assert not User.objects.filter(username="second").exists()


def test_of_a_token_only_the_hash_is_kept(world: World) -> None:
    issued = invite_member(by=world.distillery, role="viewer")
    row = Invitation.objects.values().get(pk=issued.invitation.pk)
    assert row["token_hash"] == hashlib.sha256(issued.token.encode()).hexdigest()
    assert issued.token not in str(row)


def test_invitations_expire(world: World) -> None:
    issued = invite_member(by=world.distillery, role="viewer")
    late = timezone.now() + datetime.timedelta(days=7, seconds=1)
    assert code_of(lambda: accept_invitation(token=issued.token, login=login(), at=late)) == "invitation_expired"


def test_invitations_can_be_taken_back(world: World) -> None:
    issued = invite_member(by=world.distillery, role="viewer")
    assert code_of(lambda: revoke_invitation(invitation=issued.invitation, by=world.walnuts)) == "not_found"
    revoke_invitation(invitation=issued.invitation, by=world.distillery)
    assert code_of(lambda: accept_invitation(token=issued.token, login=login())) == "invitation_revoked"


@pytest.mark.parametrize("token", ["", "nonsense", "\x00", "\ud800", "x" * 1_000_000])
def test_a_token_never_issued_is_unknown(db: None, token: str) -> None:
    assert code_of(lambda: find_invitation(token), NotFound) == "invitation_unknown"


def test_a_member_who_accepts_again_leaves_the_invitation_open(world: World) -> None:
    issued = invite_member(by=world.distillery, role="viewer")
    assert code_of(lambda: accept_invitation(token=issued.token, user=world.distillery_worker.user)) == "already_member"
    assert accept_invitation(token=issued.token, user=world.consumer).user == world.consumer


@pytest.mark.parametrize("who", ["distillery_worker", "distillery_quality", "county"])
def test_only_heads_invite(world: World, who: str) -> None:
    assert code_of(lambda: invite_member(by=getattr(world, who), role="viewer"), NotAllowed) == "role_required"


def test_roles_belong_to_kinds_of_organisations(world: World) -> None:
    assert code_of(lambda: invite_member(by=world.distillery, role="approver"), Invalid) == "role_unknown"
    assert code_of(lambda: invite_member(by=world.county_approver, role="owner"), Invalid) == "role_unknown"
    assert invite_member(by=world.county_approver, role="officer").invitation.role == "officer"


def test_of_two_uses_at_once_one_wins(committed_db: Any) -> None:
    world = make_world()
    issued = invite_member(by=world.distillery, role="viewer")

    def use(number: int) -> str:
        try:
            accept_invitation(token=issued.token, login=login(f"racer{number}"))
        except Clash as error:
            return error.code
        finally:
            connection.close()
        return "in"

    with ThreadPoolExecutor(4) as pool:
        answers = sorted(pool.map(use, range(4)))
    assert answers == ["in", "invitation_used", "invitation_used", "invitation_used"]
    assert User.objects.filter(username__startswith="racer").count() == 1


# --- Members --------------------------------------------------------------------------------------------------------


def test_the_last_owner_stays(world: World) -> None:
    owner = membership_of(world.distillery)
    assert code_of(lambda: end_membership(membership=owner, by=world.distillery)) == "last_owner"
    assert code_of(lambda: change_role(membership=owner, role="viewer", by=world.distillery)) == "last_owner"
    second = make_actor(world.distillery.organisation, "owner")
    end_membership(membership=owner, by=world.distillery)
    assert code_of(lambda: end_membership(membership=membership_of(second), by=second)) == "last_owner"


def test_a_member_may_leave_and_an_owner_may_part(world: World) -> None:
    worker = world.distillery_worker
    end_membership(membership=membership_of(worker), by=worker)
    assert Membership.objects.get(pk=membership_of(worker).pk).ended_at is not None
    quality = membership_of(world.distillery_quality)
    assert code_of(lambda: end_membership(membership=quality, by=worker), NotAllowed) == "role_required"
    assert end_membership(membership=quality, by=world.distillery).ended_at is not None


def test_roles_are_changed_by_heads_of_the_same_organisation(world: World) -> None:
    worker = membership_of(world.distillery_worker)
    assert code_of(lambda: change_role(membership=worker, role="quality", by=world.walnuts)) == "not_found"
    assert code_of(lambda: change_role(membership=worker, role="officer", by=world.distillery)) == "role_unknown"
    assert change_role(membership=worker, role="quality", by=world.distillery).role == "quality"
    assert Membership.objects.get(pk=worker.pk).role == "quality"


def test_two_owners_cannot_end_each_other(committed_db: Any) -> None:
    world = make_world()
    other = make_actor(world.distillery.organisation, "owner")
    pairs = [(world.distillery, other.membership), (other, world.distillery.membership)]

    def end(pair: Any) -> str:
        by, membership = pair
        try:
            end_membership(membership=membership, by=by)
        except DomainError as error:
            return error.code
        finally:
            connection.close()
        return "ended"

    with ThreadPoolExecutor(2) as pool:
        answers = sorted(pool.map(end, pairs))
    assert answers == ["ended", "last_owner"]


# --- Sign-in cards and password links -------------------------------------------------------------------------------


def fresh_grower(world: World) -> tuple[Any, str]:
    """A grower registered by the clerk, and the token of the first card."""
    made = register_grower(by=world.clerk, name="示例种植户乙", division=Division.objects.get(pk="141182101"))
    return made.organisation, made.card.token


def test_a_card_signs_in_once(world: World) -> None:
    grower, token = fresh_grower(world)
    assert use_sign_in_card(token=token).organisation == grower
    assert code_of(lambda: use_sign_in_card(token=token)) == "invitation_used"


def test_a_new_card_ends_the_old_one_and_its_sessions(world: World) -> None:
    grower, token = fresh_grower(world)
    before = User.objects.get(memberships__organisation=grower).get_session_auth_hash()
    issued = issue_sign_in_card(by=world.clerk, grower=grower)
    assert code_of(lambda: use_sign_in_card(token=token)) == "invitation_revoked"
    assert User.objects.get(memberships__organisation=grower).get_session_auth_hash() != before
    assert use_sign_in_card(token=issued.token).organisation == grower


def test_cards_are_issued_by_the_growers_own_cooperative(world: World) -> None:
    grower, _token = fresh_grower(world)
    strange = make_actor(make_organisation("示例别的合作社", "cooperative"), "owner")
    for by in (strange, world.distillery, world.county, behalf(world.clerk, grower)):
        assert code_of(lambda by=by: issue_sign_in_card(by=by, grower=grower)) == "not_found"  # type: ignore[misc]


def test_who_has_a_password_gets_no_card(world: World) -> None:
    assert code_of(lambda: issue_sign_in_card(by=world.clerk, grower=world.grower.organisation)) == "has_password"


def test_a_member_who_left_cannot_use_the_card(world: World) -> None:
    grower, token = fresh_grower(world)
    Membership.objects.filter(organisation=grower).update(ended_at=timezone.now())
    assert code_of(lambda: use_sign_in_card(token=token)) == "invitation_revoked"


def test_an_owner_lets_a_member_set_a_new_password(world: World) -> None:
    worker = membership_of(world.distillery_worker)
    issued = issue_password_link(membership=worker, by=world.distillery)
    assert code_of(lambda: use_sign_in_card(token=issued.token)) == "password_required"
    use_password_link(token=issued.token, password="quite another 示例 password")
    assert User.objects.get(pk=worker.user_id).check_password("quite another 示例 password")
    assert code_of(lambda: use_password_link(token=issued.token, password=PASSWORD)) == "invitation_used"


def test_an_owner_does_not_get_into_other_organisations_by_a_password(world: World) -> None:
    worker = world.distillery_worker
    membership = membership_of(worker)
    make_actor(world.walnuts.organisation, "owner", user=worker.user)
    assert code_of(lambda: issue_password_link(membership=membership, by=world.distillery)) == "reset_elsewhere"
    assert issue_password_link_as_operator(membership=membership, by=world.operator).token


def test_operators_passwords_are_not_reset_from_pages(world: World) -> None:
    staff = membership_of(make_actor(world.shop.organisation, "viewer", user=make_user(is_staff=True)))
    assert code_of(lambda: issue_password_link(membership=staff, by=world.shop)) == "reset_elsewhere"
    assert code_of(lambda: issue_password_link_as_operator(membership=staff, by=world.operator)) == "reset_elsewhere"


# --- API keys -------------------------------------------------------------------------------------------------------


def test_a_key_is_shown_once_and_kept_as_a_hash(world: World) -> None:
    issued = create_api_key(by=world.distillery, name="ERP 示例", scopes=["lots:read", "events:write"])
    row = ApiKey.objects.get(pk=issued.key.pk)
    assert row.key_hash == hashlib.sha256(issued.secret.encode()).hexdigest()
    assert issued.secret.startswith(row.prefix)
    assert issued.secret not in str(ApiKey.objects.values().get(pk=row.pk))
    assert row.scopes == ["lots:read", "events:write"]


def test_keys_cannot_release_or_manage(world: World) -> None:
    for role in ("owner", "quality", "approver"):
        with pytest.raises(FieldErrors) as caught:
            create_api_key(by=world.distillery, name="示例", scopes=["lots:read"], role=role)
        assert caught.value.fields["role"].code == "role_unknown"


def test_who_is_not_admitted_gets_no_key(world: World) -> None:
    applicant = make_actor(make_organisation("示例申请单位", "producer", status="applied"))
    refused = code_of(lambda: create_api_key(by=applicant, name="示例", scopes=["lots:read"]), NotAllowed)
    assert refused == "organisation_not_active"


def test_a_key_needs_a_name_and_known_scopes(world: World) -> None:
    with pytest.raises(FieldErrors) as caught:
        create_api_key(by=world.distillery, name="", scopes=["everything"])
    assert {key: error.code for key, error in caught.value.fields.items()} == {
        "name": "required",
        "scopes": "unknown_scope",
    }


def test_a_key_is_revoked_by_its_organisation_only(world: World) -> None:
    key = create_api_key(by=world.distillery, name="示例", scopes=["lots:read"]).key
    assert code_of(lambda: revoke_api_key(key=key, by=world.walnuts)) == "not_found"
    revoke_api_key(key=key, by=world.distillery)
    first = ApiKey.objects.get(pk=key.pk).revoked_at
    revoke_api_key(key=key, by=world.distillery)
    assert ApiKey.objects.get(pk=key.pk).revoked_at == first is not None


# --- Pages ----------------------------------------------------------------------------------------------------------


def test_people_sign_in_and_out_whatever_the_case_of_their_name(world: World, client: Client) -> None:
    create_login(login=login("Zhang"))
    answer = client.post("/sign-in/", {"username": "zhang", "password": PASSWORD})
    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert client.get("/account/").status_code == 200
    client.post("/sign-out/")
    assert client.get("/account/").status_code == 302


def test_a_wrong_password_says_no_more_than_a_wrong_name(world: World, client: Client) -> None:
    create_login(login=login("zhang"))
    first = client.post("/sign-in/", {"username": "zhang", "password": "wrong"})
    second = client.post("/sign-in/", {"username": "nobody", "password": "wrong"})
    assert first.status_code == second.status_code == 422
    assert first.context["form"].errors.as_json() == second.context["form"].errors.as_json()


def test_who_guesses_passwords_is_locked_out(world: World, client: Client) -> None:
    create_login(login=login("zhang"))
    for _number in range(6):
        answer = client.post("/sign-in/", {"username": "zhang", "password": "wrong"})
    assert answer.status_code == 429
    assert client.post("/sign-in/", {"username": "zhang", "password": PASSWORD}).status_code == 429


@pytest.mark.parametrize("name", ["a\x00b", "x" * 1_000_000, "\ufffd\ufffd"])
def test_sign_in_survives_any_name(db: None, client: Client, name: str) -> None:
    assert client.post("/sign-in/", {"username": name, "password": name}).status_code == 422
    assert client.post(f"/join/{'x' * 5000}/").status_code == 404


def test_sign_in_leads_back_but_never_away(world: World, client: Client) -> None:
    create_login(login=login("zhang"))
    data = {"username": "zhang", "password": PASSWORD}
    assert client.post("/sign-in/", data | {"next": "/places/"})["Location"] == "/places/"
    assert client.post("/sign-in/", data | {"next": "https://example.org/"})["Location"] == "/"


def test_looking_at_a_card_signs_nobody_in(world: World, client: Client) -> None:
    _grower, token = fresh_grower(world)
    for _look in range(2):
        answer = client.get(f"/join/{token}/")
        assert answer.status_code == 200
        assert "示例种植户乙" in answer.content.decode()
    assert client.get("/account/").status_code == 302
    assert Invitation.objects.get(organisation__name="示例种植户乙").used_at is None


def test_a_card_signs_a_phone_in_for_half_a_year(world: World, client: Client) -> None:
    grower, token = fresh_grower(world)
    assert client.post(f"/join/{token}/").status_code == 302
    assert client.session.get_expiry_age() == 180 * 24 * 3600
    assert grower.name in client.get("/organisation/").content.decode()
    assert client.get(f"/join/{token}/").status_code == 409
    issue_sign_in_card(by=world.clerk, grower=grower)
    assert client.get("/organisation/").status_code == 302


def test_a_newcomer_joins_by_the_link_that_the_page_shows(world: World, client: Client) -> None:
    sign_in(client, world.distillery)
    answer = client.post("/members/invite/", {"role": "operator", "display_name": "示例小李"})
    assert answer["Cache-Control"] == "no-store"
    path = answer.context["cards"][0].url.removeprefix("http://testserver")
    client.logout()
    wrong = client.post(path, {"display_name": "示例小李", "username": "xiaoli", "password": PASSWORD})
    assert wrong.status_code == 422
    data = {"display_name": "示例小李", "username": "xiaoli", "password": PASSWORD, "password_again": PASSWORD}
    assert client.post(path, data).status_code == 302
    assert Membership.objects.get(user__username="xiaoli").organisation == world.distillery.organisation
    assert client.get("/places/").status_code == 200


def test_who_is_signed_in_joins_with_one_button(world: World, client: Client) -> None:
    issued = invite_member(by=world.distillery, role="viewer")
    sign_in(client, world.walnuts)
    assert client.get(f"/join/{issued.token}/").context["form"] is None
    assert client.post(f"/join/{issued.token}/").status_code == 302
    assert world.distillery.organisation.name in client.get("/organisation/").content.decode()
    other = Membership.objects.get(user=world.walnuts.user, organisation=world.walnuts.organisation)
    client.post("/account/switch/", {"membership": str(other.uid)})
    assert world.walnuts.organisation.name in client.get("/organisation/").content.decode()


def test_nobody_switches_to_an_organisation_of_others(world: World, client: Client) -> None:
    sign_in(client, world.walnuts)
    for uid in (str(membership_of(world.distillery).uid), "nonsense", ""):
        assert client.post("/account/switch/", {"membership": uid}).status_code == 404


def test_a_member_sets_a_new_password_by_the_heads_link(world: World, client: Client) -> None:
    sign_in(client, world.distillery)
    worker = membership_of(world.distillery_worker)
    answer = client.post(f"/members/{worker.uid}/password/")
    path = answer.context["cards"][0].url.removeprefix("http://testserver")
    client.logout()
    assert client.get(path).status_code == 200
    new = "quite another 示例 password"
    assert client.post(path, {"password": new, "password_again": "different"}).status_code == 422
    assert client.post(path, {"password": new, "password_again": new}).status_code == 302
    assert User.objects.get(pk=worker.user_id).check_password(new)


def test_changing_the_password_ends_other_sessions(world: World, client: Client) -> None:
    other = Client()
    sign_in(other, world.shop)
    sign_in(client, world.shop)
    new = "quite another 示例 password"
    data = {"old": PASSWORD, "password": new, "password_again": new}
    assert client.post("/account/password/", data | {"old": "wrong"}).status_code == 422
    assert client.post("/account/password/", data).status_code == 302
    assert client.get("/account/").status_code == 200
    assert other.get("/account/").status_code == 302


def test_ending_a_membership_takes_effect_with_the_next_request(world: World, client: Client) -> None:
    sign_in(client, world.distillery_worker)
    assert client.get("/places/").status_code == 200
    end_membership(membership=membership_of(world.distillery_worker), by=world.distillery)
    assert client.get("/places/").status_code == 403


def test_only_the_head_opens_keys_and_invitations(world: World, client: Client) -> None:
    sign_in(client, world.distillery_worker)
    for path in ("/keys/", "/keys/new/", "/members/invite/"):
        assert client.get(path).status_code == 403
    assert client.get("/members/").status_code == 200


def test_a_key_is_made_shown_and_revoked_on_pages(world: World, client: Client) -> None:
    sign_in(client, world.distillery)
    bad = client.post("/keys/new/", {"name": "x" * 61, "role": "owner", "scopes": ["everything"]})
    assert bad.status_code == 422
    answer = client.post("/keys/new/", {"name": "示例 ERP", "role": "operator", "scopes": ["lots:read"]})
    issued = answer.context["issued"]
    assert issued.secret in answer.content.decode()
    assert issued.secret not in client.get("/keys/").content.decode()
    client.post(f"/keys/{issued.key.uid}/revoke/")
    assert ApiKey.objects.get(pk=issued.key.pk).revoked_at is not None


def test_an_owner_changes_roles_and_ends_memberships_on_pages(world: World, client: Client) -> None:
    sign_in(client, world.distillery)
    worker = membership_of(world.distillery_worker)
    assert client.get(f"/members/{worker.uid}/").status_code == 200
    assert client.post(f"/members/{worker.uid}/", {"role": "approver"}).status_code == 422
    assert client.post(f"/members/{worker.uid}/", {"role": "quality"}).status_code == 302
    me = membership_of(world.distillery)
    assert client.post(f"/members/{me.uid}/", {"role": "viewer"}).status_code == 422
    assert client.post(f"/members/{me.uid}/end/").status_code == 409
    assert client.post(f"/members/{worker.uid}/end/").status_code == 302
    assert Membership.objects.get(pk=worker.pk).ended_at is not None
