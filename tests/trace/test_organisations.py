"""Organisations: applying and vetting, regulators, growers, profile, licences; actions and pages."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.world import (
    FENYANG,
    PASSWORD,
    SPARE_USCCS,
    XINGHUACUN,
    World,
    behalf,
    make_actor,
    make_organisation,
    make_place,
    make_product,
    membership_of,
    sign_in,
)
from trace.access import actor_for_session, entered_for, organisations_supervised_by
from trace.actions.organisations import (
    Application,
    LicenceInput,
    Profile,
    RecallContact,
    add_licence,
    admit_organisation,
    apply_again,
    apply_for_admission,
    create_regulator,
    edit_profile,
    end_licence,
    keep_external,
    level_of,
    refuse_organisation,
    register_grower,
    resume_organisation,
    set_recall_contact,
    suspend_organisation,
    territory_of,
)
from trace.actions.people import NewLogin, accept_invitation, create_api_key, use_sign_in_card
from trace.actor import Actor
from trace.errors import FieldErrors, NotAllowed, NotFound, StaleState
from trace.models import Division, EditLog, Membership, Organisation, OrganisationStep, PersonalRecord, User
from trace.personal import reveal

pytestmark = pytest.mark.django_db


def application(**changes: Any) -> Application:
    """A sound application of a producer in Fenyang."""
    whole: dict[str, Any] = {
        "name": "汾阳示例新厂有限公司",
        "kind": "producer",
        "uscc": SPARE_USCCS[0],
        "division": Division.objects.get(pk=XINGHUACUN),
        "login": NewLogin("xinchang", "示例厂长", PASSWORD),
        "licences": [LicenceInput("sc", "SC11814999900028")],
        "contact": RecallContact("示例厂长", "0358-7220000"),
    }
    return Application(**(whole | changes))


# --- Applying -------------------------------------------------------------------------------------------------------


def test_an_applicant_waits_with_its_owner_and_licence() -> None:
    organisation = apply_for_admission(application=application())
    assert organisation.status == "applied"
    assert organisation.memberships.get().role == "owner"
    assert organisation.licences.get().number == "SC11814999900028"
    assert [(step.old, step.new) for step in organisation.steps.all()] == [("", "applied")]


def test_every_mistake_of_an_application_is_named_and_nothing_is_stored() -> None:
    broken = application(
        name="  ",
        uscc=SPARE_USCCS[0][:-1] + "Y",
        kind="regulator",
        licences=[LicenceInput("sc", "SC11814999900029"), LicenceInput("cma", "12")],
        login=NewLogin("a b", "", "short"),
        contact=RecallContact("", "call me"),
    )
    before = (Organisation.objects.count(), User.objects.count())
    with pytest.raises(FieldErrors) as caught:
        apply_for_admission(application=broken)
    assert {key: error.code for key, error in caught.value.fields.items()} == {
        "name": "required",
        "uscc": "uscc_check",
        "kind": "kind_not_here",
        "licences.0.number": "sc_check",
        "licences.1.number": "cma_shape",
        "login.username": "username_characters",
        "login.display_name": "required",
        "login.password": "password_weak",
        "contact.name": "required",
        "contact.phone": "phone_shape",
    }
    assert (Organisation.objects.count(), User.objects.count()) == before


@pytest.mark.parametrize(
    ("uscc", "code"),
    [
        ("", "uscc_length"),
        ("91149999DEMD0016O6", "uscc_letters"),
        ("9114X999DEMD001606", "uscc_characters"),
        ("91149999DEMD001605", "uscc_check"),
        ("9" * 1_000_000, "code_too_long"),
    ],
)
def test_a_wrong_uscc_is_refused_with_its_reason(uscc: str, code: str) -> None:
    with pytest.raises(FieldErrors) as caught:
        apply_for_admission(application=application(uscc=uscc))
    assert caught.value.fields["uscc"].code == code


def test_a_uscc_is_used_once_until_its_applicant_is_refused(world: World) -> None:
    first = apply_for_admission(application=application(licences=[]))
    again = application(licences=[], login=NewLogin("xinchang2", "示例", PASSWORD))
    with pytest.raises(FieldErrors) as caught:
        apply_for_admission(application=again)
    assert caught.value.fields["uscc"].code == "uscc_taken"
    refuse_organisation(organisation=first, by=world.county, reason="材料不全")
    assert apply_for_admission(application=again).status == "applied"
    with pytest.raises(FieldErrors) as caught:
        apply_again(organisation=first, by=owner_of(first))
    assert caught.value.fields["uscc"].code == "uscc_taken"


def test_a_production_licence_of_somebody_else_is_refused(world: World) -> None:
    with pytest.raises(FieldErrors) as caught:
        apply_for_admission(application=application())
    assert caught.value.fields["licences.0.number"].code == "licence_taken"


@pytest.mark.parametrize(
    ("name", "code"),
    [("示例\x00厂", "text_nul"), ("示例\ud800厂", "text_surrogate"), ("示" * 1_000_000, "text_too_long")],
)
def test_text_that_a_database_would_choke_on_is_refused(name: str, code: str) -> None:
    with pytest.raises(FieldErrors) as caught:
        apply_for_admission(application=application(name=name, login=NewLogin(name, name, name)))
    assert {caught.value.fields[key].code for key in ("name", "login.username", "login.display_name")} == {code}
    assert not User.objects.exists()


def owner_of(organisation: Organisation) -> Actor:
    """The first owner of an organisation as an actor."""
    membership = organisation.memberships.select_related("user").get(role="owner")
    organisation.refresh_from_db()
    return Actor(organisation=organisation, user=membership.user, role="owner", membership=membership)


# --- Vetting --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["county", "county_approver", "prefecture", "province"])
def test_regulators_of_the_territory_admit(world: World, who: str) -> None:
    organisation = apply_for_admission(application=application(licences=[]))
    admit_organisation(organisation=organisation, by=getattr(world, who))
    organisation.refresh_from_db()
    assert organisation.status == "active"
    step = organisation.steps.last()
    assert step is not None
    assert (step.new, step.by_organisation) == ("active", getattr(world, who).organisation)
    assert EditLog.objects.filter(subject=f"organisation:{organisation.uid}", field="status", new="active").exists()


@pytest.mark.parametrize("who", ["other_county", "distillery", "cooperative"])
def test_nobody_else_admits(world: World, who: str) -> None:
    organisation = apply_for_admission(application=application(licences=[]))
    with pytest.raises(NotFound):
        admit_organisation(organisation=organisation, by=getattr(world, who))
    organisation.refresh_from_db()
    assert organisation.status == "applied"


def test_a_regulators_viewer_does_not_admit(world: World) -> None:
    organisation = apply_for_admission(application=application(licences=[]))
    viewer = dataclasses.replace(world.county, role="viewer")
    with pytest.raises(NotAllowed) as caught:
        admit_organisation(organisation=organisation, by=viewer)
    assert caught.value.code == "role_required"


def test_a_refusal_needs_a_reason_and_can_be_answered(world: World) -> None:
    organisation = apply_for_admission(application=application(licences=[]))
    with pytest.raises(FieldErrors) as caught:
        refuse_organisation(organisation=organisation, by=world.county, reason=" ")
    assert caught.value.fields["reason"].code == "required"
    refuse_organisation(organisation=organisation, by=world.county, reason="代码与名称不符")
    apply_again(organisation=organisation, by=owner_of(organisation), uscc=SPARE_USCCS[1])
    organisation.refresh_from_db()
    assert (organisation.status, organisation.uscc) == ("applied", SPARE_USCCS[1])


def test_an_application_is_decided_once(world: World) -> None:
    organisation = apply_for_admission(application=application(licences=[]))
    same = Organisation.objects.get(pk=organisation.pk)
    admit_organisation(organisation=organisation, by=world.county)
    with pytest.raises(StaleState):
        refuse_organisation(organisation=same, by=world.prefecture, reason="晚了")
    assert OrganisationStep.objects.filter(organisation=organisation).count() == 2


def test_a_suspended_organisation_comes_back(world: World) -> None:
    suspend_organisation(organisation=world.shop.organisation, by=world.county, reason="停业整顿")
    assert Organisation.objects.get(pk=world.shop.organisation.pk).status == "suspended"
    resume_organisation(organisation=world.shop.organisation, by=world.county, reason="整改完成")
    assert Organisation.objects.get(pk=world.shop.organisation.pk).status == "active"


def test_regulators_do_not_suspend_regulators(world: World) -> None:
    with pytest.raises(NotFound):
        suspend_organisation(organisation=world.county.organisation, by=world.province, reason="越级")


# --- Regulators -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "territory", "level"),
    [("141182", "141182", "county"), ("141100", "1411", "prefecture"), ("140000", "14", "province")],
)
def test_level_and_territory_follow_from_the_division(code: str, territory: str, level: str) -> None:
    division = Division.objects.get(pk=code)
    assert (territory_of(division), level_of(division)) == (territory, level)


def test_an_operator_sets_up_a_regulator_with_two_people(world: World) -> None:
    made = create_regulator(by=world.operator, name="晋中市示例局", division=Division.objects.get(pk="140700"))
    assert (made.organisation.level, made.organisation.territory) == ("prefecture", "1407")
    for issued, role in ((made.approver, "approver"), (made.officer, "officer")):
        membership = accept_invitation(token=issued.token, login=NewLogin(f"jz-{role}", "示例", PASSWORD))
        assert (membership.organisation, membership.role) == (made.organisation, role)


def test_nobody_but_an_operator_sets_up_regulators(world: World) -> None:
    assert world.county.user is not None
    with pytest.raises(NotAllowed) as caught:
        create_regulator(by=world.county.user, name="自封示例局", division=Division.objects.get(pk=FENYANG))
    assert caught.value.code == "operator_required"


def test_a_township_has_no_regulator(world: World) -> None:
    with pytest.raises(FieldErrors) as caught:
        create_regulator(by=world.operator, name="镇示例局", division=Division.objects.get(pk=XINGHUACUN))
    assert caught.value.fields["division"].code == "division_too_small"


def test_regulators_see_what_lies_in_their_territory(world: World) -> None:
    def seen(actor: Actor) -> set[str]:
        return set(organisations_supervised_by(actor).values_list("name", flat=True))

    assert world.distillery.organisation.name in seen(world.county)
    assert world.grower.organisation.name in seen(world.county)
    assert world.distributor.organisation.name not in seen(world.prefecture)
    assert world.distributor.organisation.name in seen(world.province)
    assert seen(world.other_county) == set()
    assert seen(world.distillery) == set()


# --- Growers and outsiders ------------------------------------------------------------------------------------------


def test_a_clerk_registers_a_grower_who_signs_in_by_card(world: World) -> None:
    made = register_grower(by=world.clerk, name="示例种植户乙", division=Division.objects.get(pk=XINGHUACUN))
    grower = made.organisation
    assert (grower.status, grower.kind, grower.cooperative) == ("active", "grower", world.cooperative.organisation)
    assert grower.recall_contact_phone == world.cooperative.organisation.recall_contact_phone
    membership = use_sign_in_card(token=made.card.token)
    assert (membership.organisation, membership.user.has_usable_password()) == (grower, False)


def test_only_a_cooperative_registers_growers(world: World) -> None:
    for by in (world.distillery, world.grower, world.county, behalf(world.clerk, world.grower.organisation)):
        with pytest.raises(NotAllowed) as caught:
            register_grower(by=by, name="示例种植户丙", division=Division.objects.get(pk=FENYANG))
        assert caught.value.code == "cooperative_required"


def test_two_growers_of_a_cooperative_have_two_names(world: World) -> None:
    with pytest.raises(FieldErrors) as caught:
        register_grower(by=world.clerk, name="示例种植户甲", division=Division.objects.get(pk=FENYANG))
    assert caught.value.fields["name"].code == "grower_name_taken"


def test_a_session_enters_for_a_grower_of_its_cooperative_only(world: World, rf: Any) -> None:
    request = rf.get("/")
    request.user = world.clerk.user
    request.session = {"on_behalf_of": str(world.grower.organisation.uid)}
    actor = actor_for_session(request)
    assert actor is not None
    assert (actor.on_behalf_of, actor.organisation) == (world.grower.organisation, world.cooperative.organisation)
    assert entered_for(actor) == [world.grower.organisation.pk]
    stranger = make_organisation("示例别社种植户", "grower")
    for uid in (stranger.uid, world.distillery.organisation.uid):
        request.session = {"on_behalf_of": str(uid)}
        other = actor_for_session(request)
        assert other is not None
        assert other.on_behalf_of is None


def test_an_outsider_is_kept_once_with_how_to_reach_them(world: World) -> None:
    division = Division.objects.get(pk="140100")
    first = keep_external(
        by=world.distillery, name="示例饭店", kind="retailer", division=division, address="迎泽示例街"
    )
    again = keep_external(
        by=world.distillery,
        name="示例饭店",
        kind="retailer",
        division=division,
        contact=RecallContact("", "13800000000"),
    )
    assert first.pk == again.pk
    assert (again.status, again.kept_by) == ("external", world.distillery.organisation)
    assert again.recall_contact_phone == "13800000000"


def test_an_outsider_nobody_can_reach_is_refused(world: World) -> None:
    with pytest.raises(FieldErrors) as caught:
        keep_external(by=world.distillery, name="示例路人", kind="retailer", division=Division.objects.get(pk=FENYANG))
    assert caught.value.fields["address"].code == "contact_required"


# --- What they say of themselves ------------------------------------------------------------------------------------


def test_a_new_name_keeps_the_old_one_and_is_logged(world: World) -> None:
    old = world.distillery.organisation.name
    organisation = edit_profile(
        organisation=world.distillery.organisation, profile=Profile(name="汾阳示例老酒坊"), by=world.distillery
    )
    assert organisation.former_names == [old]
    line = EditLog.objects.get(subject=f"organisation:{organisation.uid}", field="name")
    assert (line.old, line.new, line.public, line.by) == (old, "汾阳示例老酒坊", True, world.distillery.user)


def test_the_log_of_a_recall_contact_can_be_forgotten(world: World) -> None:
    contact = RecallContact("示例王某", "13900000000", "recall@example.cn")
    set_recall_contact(organisation=world.distillery.organisation, contact=contact, by=world.distillery)
    lines = EditLog.objects.filter(field__startswith="recall_contact")
    assert lines.count() == 3
    assert "13900000000" not in str(list(lines.values("old", "new")))
    new = lines.get(field="recall_contact_phone").new
    assert new is not None
    kept = PersonalRecord.objects.get(uid=new["personal"])
    assert reveal(kept) == "13900000000"


@pytest.mark.parametrize("who", ["walnuts", "county", "province"])
def test_a_stranger_edits_nothing(world: World, who: str) -> None:
    by = getattr(world, who)
    organisation = world.distillery.organisation
    with pytest.raises(NotFound):
        edit_profile(organisation=organisation, profile=Profile(name="抢注"), by=by)
    with pytest.raises(NotFound):
        add_licence(organisation=organisation, licence=LicenceInput("other", "1"), by=by)


def test_a_worker_does_not_speak_for_the_organisation(world: World) -> None:
    with pytest.raises(NotAllowed) as caught:
        edit_profile(organisation=world.distillery.organisation, profile=Profile(name="x"), by=world.distillery_worker)
    assert caught.value.code == "role_required"


# --- Licences -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "number", "code"),
    [
        ("sc", "SC11514999900010", "sc_check"),
        ("sc", "QS140099990001", "sc_prefix"),
        ("sc", "SC1151499990001", "sc_length"),
        ("cma", "1234", "cma_shape"),
        ("other", " ", "required"),
    ],
)
def test_a_wrong_licence_number_is_refused(world: World, kind: str, number: str, code: str) -> None:
    with pytest.raises(FieldErrors) as caught:
        add_licence(organisation=world.shop.organisation, licence=LicenceInput(kind, number), by=world.shop)
    assert caught.value.fields["number"].code == code


def test_a_lapsed_licence_is_refused(world: World) -> None:
    licence = LicenceInput("other", "示例 1", valid_until=datetime.date(2020, 1, 1))
    with pytest.raises(FieldErrors) as caught:
        add_licence(organisation=world.shop.organisation, licence=licence, by=world.shop)
    assert caught.value.fields["valid_until"].code == "licence_lapsed"


def test_an_ended_licence_can_be_entered_again(world: World) -> None:
    licence = world.distillery.organisation.licences.get()
    end_licence(licence=licence, by=world.distillery)
    with pytest.raises(StaleState):
        end_licence(licence=licence, by=world.distillery)
    again = add_licence(
        organisation=world.distillery.organisation, licence=LicenceInput("sc", licence.number), by=world.distillery
    )
    assert (again.pk, again.ended_at) == (licence.pk, None)


def test_membership_roles_are_those_the_model_knows(world: World) -> None:
    assert {membership.role for membership in Membership.objects.all()} <= set(Membership.Role.values)


# --- Pages ----------------------------------------------------------------------------------------------------------

FORM = {
    "name": "汾阳示例新厂有限公司",
    "kind": "producer",
    "uscc": SPARE_USCCS[0],
    "division": XINGHUACUN,
    "sc_number": "",
    "contact_name": "示例厂长",
    "contact_phone": "0358-7220000",
    "display_name": "示例厂长",
    "username": "xinchang",
    "password": PASSWORD,
    "password_again": PASSWORD,
}


def test_the_whole_way_from_application_to_the_first_place(world: World, client: Client) -> None:
    assert client.get("/apply/").status_code == 200
    assert client.post("/apply/", FORM)["Location"] == "/organisation/"
    assert client.get("/places/new/?kind=plant").status_code == 403
    page = client.get("/organisation/").content.decode()
    assert "等待审核" in page
    organisation = Organisation.objects.get(uscc=SPARE_USCCS[0])
    officer = Client()
    sign_in(officer, world.county)
    assert organisation.name in officer.get("/applications/").content.decode()
    assert officer.get(f"/organisations/{organisation.uid}/").status_code == 200
    assert officer.post(f"/organisations/{organisation.uid}/decide/", {"decision": "refuse"}).status_code == 422
    assert officer.post(f"/organisations/{organisation.uid}/decide/", {"decision": "admit"}).status_code == 302
    place = {"name": "示例车间", "division": XINGHUACUN}
    assert client.post("/places/new/?kind=plant", place).status_code == 302
    assert organisation.places.get().name == "示例车间"


def test_a_refused_applicant_reads_why_and_asks_again(world: World, client: Client) -> None:
    client.post("/apply/", FORM)
    organisation = Organisation.objects.get(uscc=SPARE_USCCS[0])
    assert client.get("/organisation/apply-again/").status_code == 404
    refuse_organisation(organisation=organisation, by=world.county, reason="执照照片不清楚")
    assert "执照照片不清楚" in client.get("/organisation/").content.decode()
    assert client.post("/organisation/apply-again/", {"uscc": "91149999DEMD00016X"}).status_code == 422
    assert client.post("/organisation/apply-again/", {"uscc": SPARE_USCCS[1], "reason": "已补"}).status_code == 302
    organisation.refresh_from_db()
    assert (organisation.status, organisation.uscc) == ("applied", SPARE_USCCS[1])


@pytest.mark.parametrize("junk", ["\x00", "9" * 400_000, "\ufffd", "‮", "１" * 400])
def test_an_application_full_of_junk_is_answered_with_words_and_nothing_is_stored(
    world: World, client: Client, junk: str
) -> None:
    before = (Organisation.objects.count(), User.objects.count())
    answer = client.post("/apply/", dict.fromkeys([*FORM, "name_en", "address", "cma_number", "contact_email"], junk))
    assert answer.status_code == 422
    assert answer.context["form"].errors
    assert len(answer.content) < 200_000
    assert (Organisation.objects.count(), User.objects.count()) == before


def test_bytes_that_are_no_text_are_answered_with_words(world: World, client: Client) -> None:
    body = b"name=%ED%A0%80&uscc=%00%FF&kind=%80&division=%C0%AF&username=%ED%B0%80"
    answer = client.post("/apply/", body, content_type="application/x-www-form-urlencoded")
    assert answer.status_code == 422


def test_the_owner_edits_the_organisation_on_pages(world: World, client: Client) -> None:
    sign_in(client, world.distillery)
    assert client.get("/organisation/edit/").status_code == 200
    assert client.post("/organisation/edit/", {"name": ""}).status_code == 422
    assert client.post("/organisation/edit/", {"name": "汾阳示例老酒坊"}).status_code == 302
    contact = {"contact_name": "示例王某", "contact_phone": "打我电话"}
    assert client.post("/organisation/contact/", contact).status_code == 422
    assert client.post("/organisation/contact/", contact | {"contact_phone": "13900000000"}).status_code == 302
    assert client.post("/organisation/licences/new/", {"kind": "sc", "number": "SC1"}).status_code == 422
    licence = {"kind": "other", "number": "示例许可 1", "valid_until": "2099-01-01"}
    assert client.post("/organisation/licences/new/", licence).status_code == 302
    row = world.distillery.organisation.licences.get(number="示例许可 1")
    assert client.post(f"/organisation/licences/{row.uid}/end/").status_code == 302
    page = client.get("/organisation/").content.decode()
    assert "汾阳示例老酒坊" in page
    assert "13900000000" in page


def test_a_clerk_registers_a_grower_and_enters_for_them(world: World, client: Client) -> None:
    sign_in(client, world.clerk)
    assert client.get("/growers/").status_code == 200
    answer = client.post("/growers/new/", {"name": "示例种植户乙", "division": XINGHUACUN})
    assert answer.status_code == 200
    assert "<svg" in answer.content.decode()
    grower = Organisation.objects.get(name="示例种植户乙")
    assert client.post(f"/growers/{grower.uid}/enter/").status_code == 302
    page = client.get("/places/").content.decode()
    assert world.cooperative.organisation.name in page
    assert grower.name in page
    client.post("/places/new/?kind=plot", {"name": "坡头地块九", "division": XINGHUACUN, "fact_area_mu": "2"})
    assert grower.places.get().facts == {"area_mu": "2"}
    client.post("/growers/leave/")
    assert "on_behalf_of" not in client.session


def test_pages_of_growers_are_for_cooperatives(world: World, client: Client) -> None:
    sign_in(client, world.distillery)
    for path in ("/growers/", "/growers/new/"):
        assert client.get(path).status_code == 404


def test_regulators_find_organisations_of_their_territory(world: World, client: Client) -> None:
    sign_in(client, world.county)
    page = client.get("/organisations/", {"q": "酒坊"}).content.decode()
    assert world.distillery.organisation.name in page
    assert world.walnuts.organisation.name not in page
    assert world.distributor.organisation.name not in client.get("/organisations/").content.decode()
    for query in ({"q": "\x00"}, {"status": "nonsense"}, {"page": "9" * 400}, {"page": "-1"}, {"q": "x" * 10_000}):
        assert client.get("/organisations/", query).status_code == 200


def test_a_suspended_organisation_reads_but_does_not_act(world: World, client: Client) -> None:
    officer = Client()
    sign_in(officer, world.county)
    path = f"/organisations/{world.shop.organisation.uid}/decide/"
    assert officer.post(path, {"decision": "suspend", "reason": "停业整顿"}).status_code == 302
    assert officer.post(path, {"decision": "admit"}).status_code == 422
    assert officer.post(path, {"decision": "nonsense"}).status_code == 404
    sign_in(client, world.shop)
    assert "停业整顿" in client.get("/organisation/").content.decode()
    assert client.get("/places/new/?kind=shop").status_code == 403


def test_an_operator_sets_up_a_regulator_on_pages(world: World, client: Client) -> None:
    sign_in(client, world.operator)
    assert client.get("/operator/").status_code == 200
    form = {"name": "晋中市示例局", "division": "140700", "approver_name": "示例甲", "officer_name": "示例乙"}
    assert client.post("/operator/regulators/new/", form | {"division": XINGHUACUN}).status_code == 422
    answer = client.post("/operator/regulators/new/", form)
    assert [card.invitation.role for card in answer.context["cards"]] == ["approver", "officer"]
    made = Organisation.objects.get(name="晋中市示例局")
    assert client.get(f"/operator/organisations/{made.uid}/").status_code == 200
    worker = membership_of(world.distillery_worker)
    assert client.post(f"/operator/members/{worker.uid}/password/").status_code == 200


@pytest.mark.parametrize("path", ["/operator/", "/operator/regulators/new/"])
def test_operators_pages_are_hidden_from_everybody_else(world: World, client: Client, path: str) -> None:
    for who in (world.province_approver, world.distillery, world.consumer):
        sign_in(client, who)
        assert client.get(path).status_code == 404


@pytest.mark.parametrize(
    ("who", "path"),
    [
        ("county", "/applications/"),
        ("county", "/organisations/"),
        ("county", "/gtin-claims/"),
        ("county", "/certificates/"),
        ("county", "/products/"),
        ("county", "/places/"),
        ("clerk", "/growers/"),
        ("clerk", "/places/"),
        ("clerk", "/products/"),
        ("distillery", "/members/"),
        ("distillery", "/keys/"),
        ("operator", "/operator/"),
    ],
)
def test_a_list_asks_as_many_questions_for_fifty_rows_as_for_one(
    world: World, client: Client, who: str, path: str
) -> None:
    actor = getattr(world, who)
    sign_in(client, actor)
    with CaptureQueriesContext(connection) as few:
        client.get(path)
    for number in range(40):
        maker = make_organisation(f"示例厂{number}", "producer", status="applied" if number % 2 else "active")
        grower = make_organisation(f"示例户{number}", "grower", cooperative=world.cooperative.organisation)
        for owner in (maker, grower):
            make_place(owner)
            make_product(owner, gtin=f"0952000{number:06d}0" if owner is maker else None, claim="claimed")
        make_certificate(maker, world.county.organisation, number)
        make_actor(world.distillery.organisation, "viewer")
        create_api_key(by=world.distillery, name=f"示例{number}", scopes=["lots:read"])
    with CaptureQueriesContext(connection) as many:
        client.get(path)
    assert len(many) <= len(few) + 2, "\n".join(query["sql"] for query in many.captured_queries)


def make_certificate(organisation: Organisation, authority: Organisation, number: int) -> None:
    """A certificate in force."""
    organisation.certificates.create(
        kind="other",
        number=f"示例 {number}",
        granted_by=authority,
        valid_from=datetime.date(2026, 1, 1),
        valid_until=datetime.date(2099, 1, 1),
    )
