"""Registry: places, products and their versions, GTIN claims, certificates; actions and pages."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from tests.world import GTIN, OTHER_GTIN, World, behalf, make_actor, make_organisation, make_product, sign_in
from trace.actions.capture import NewLot
from trace.actions.events import When, record_event
from trace.actions.registry import (
    CertificateInput,
    PlaceInput,
    ProductInput,
    VersionInput,
    claim_gtin,
    create_place,
    create_product,
    decide_gtin_claim,
    edit_place,
    edit_product,
    end_place,
    end_product,
    grant_certificate,
    pack_table,
    reopen_place,
    reopen_product,
    revoke_certificate,
)
from trace.errors import DomainError, FieldErrors, StaleState
from trace.event_templates import templates
from trace.models import Division, EditLog, Product, ProductVersion, Standard
from trace.units import parse_amount

pytestmark = pytest.mark.django_db
TODAY = datetime.date(2026, 11, 1)


def place(name: str = "示例库房", **changes: Any) -> PlaceInput:
    """A sound place."""
    whole: dict[str, Any] = {"name": name, "kind": "store", "division": Division.objects.get(pk="141182101")}
    return PlaceInput(**(whole | changes))


def product(**changes: Any) -> ProductInput:
    """A sound product."""
    whole: dict[str, Any] = {"code": "NEW-1", "track": "food", "base_unit": "KGM"}
    return ProductInput(**(whole | changes))


def fields_of(run: Callable[[], Any]) -> dict[str, str]:
    """The codes of the refused fields."""
    with pytest.raises(FieldErrors) as caught:
        run()
    return {key: error.code for key, error in caught.value.fields.items()}


def code_of(run: Callable[[], Any]) -> str:
    """The code with which a call is refused."""
    with pytest.raises(DomainError) as caught:
        run()
    return caught.value.code


# --- Places ---------------------------------------------------------------------------------------------------------


def test_a_place_keeps_the_facts_of_its_kind(world: World) -> None:
    facts = {"area_mu": "3.5", "crop": "晋龙1号", "capacity": "no plot has one", "altitude_m": ""}
    made = create_place(by=world.grower, place=place("坡头地块二", kind="plot", facts=facts))
    assert made.facts == {"area_mu": "3.5", "crop": "晋龙1号"}


def test_a_clerk_enters_a_growers_place_on_their_behalf(world: World) -> None:
    by = behalf(world.clerk, world.grower.organisation)
    made = create_place(by=by, place=place("坡头地块三", kind="plot"))
    assert made.organisation == world.grower.organisation
    line = EditLog.objects.get(subject=f"place:{made.uid}")
    assert (line.organisation, line.by) == (world.grower.organisation, world.clerk.user)


def test_every_mistake_of_a_place_is_named(world: World) -> None:
    wrong = place(" ", kind="moon", gln="9520000010011")
    assert fields_of(lambda: create_place(by=world.distillery, place=wrong)) == {
        "name": "required",
        "kind": "place_kind",
        "gln": "gln_check",
    }


def test_two_places_have_two_names_also_when_one_has_ended(world: World) -> None:
    end_place(row=world.cellar, by=world.distillery)
    again = place(world.cellar.name)
    assert fields_of(lambda: create_place(by=world.distillery, place=again)) == {"name": "place_name_taken"}
    reopen_place(row=world.cellar, by=world.distillery)
    assert code_of(lambda: reopen_place(row=world.cellar, by=world.distillery)) == "stale_state"
    assert create_place(by=world.walnuts, place=again).name == world.cellar.name


def test_a_changed_place_is_logged_field_by_field(world: World) -> None:
    edit_place(row=world.cellar, place=place("二号酒库"), by=world.distillery)
    changed = EditLog.objects.filter(subject=f"place:{world.cellar.uid}").values_list("field", "old", "new")
    assert ("name", "一号酒库", "二号酒库") in changed
    assert ("division", "141182", "141182101") in changed


def test_a_place_with_goods_cannot_end(world: World) -> None:
    assert _lot(world).stocks.get().place == world.cellar
    assert code_of(lambda: end_place(row=world.cellar, by=world.distillery)) == "place_has_stock"


def _lot(world: World) -> Any:
    """A lot of baijiu in the cellar, made through the kernel."""
    creating = next(found for found in templates().values() if found.moves == "create")
    captured = record_event(
        by=world.distillery,
        code=creating.code,
        when=When(timezone.now()),
        place=world.cellar,
        outputs=[NewLot(world.baijiu, parse_amount("10", "LTR", "LTR"), place=world.cellar)],
        data={},
        insist=True,
    )
    return captured.lots[0]


@pytest.mark.parametrize("who", ["walnuts", "county", "cooperative"])
def test_strangers_change_no_place(world: World, who: str) -> None:
    by = getattr(world, who)
    for run in (
        lambda: edit_place(row=world.cellar, place=place(), by=by),
        lambda: end_place(row=world.cellar, by=by),
        lambda: end_product(row=world.baijiu, by=by),
        lambda: edit_product(row=world.baijiu, version=VersionInput(name="x"), by=by),
        lambda: claim_gtin(row=world.baijiu, gtin="", by=by),
    ):
        assert code_of(run) == "not_found"


def test_regulators_have_no_places(world: World) -> None:
    assert code_of(lambda: create_place(by=world.county, place=place())) == "not_for_regulators"


# --- Products and versions ------------------------------------------------------------------------------------------


def test_a_product_begins_with_its_first_version(world: World) -> None:
    version = VersionInput(
        name="示例清香酒",
        standard=Standard.objects.get(pk="gbt10781_2_2022"),
        licence_number="sc 11514999900019",
        pledge="示例承诺",
        shelf_life_days=3650,
        packs={"瓶": "0.5", "箱": "3", "小瓶": "1/8"},
    )
    made = create_product(by=world.distillery, product=product(base_unit="LTR", gtin=OTHER_GTIN[1:]), version=version)
    assert (made.gtin, made.gtin_claim) == (OTHER_GTIN, "claimed")
    assert made.current is not None
    assert made.current.licence_number == "SC11514999900019"
    assert made.current.packs == {"瓶": "1/2", "箱": "3", "小瓶": "1/8"}
    assert [str(factor) for factor in pack_table(made.current).values()] == ["1/2", "3", "1/8"]


def test_a_change_is_a_new_version_and_the_old_one_stays(world: World) -> None:
    first = world.baijiu.current
    assert first is not None
    second = edit_product(row=world.baijiu, version=VersionInput(name="示例清香白酒(新)"), by=world.distillery, seen=1)
    assert (second.number, second.by) == (2, world.distillery.user)
    assert Product.objects.get(pk=world.baijiu.pk).current == second
    assert ProductVersion.objects.get(pk=first.pk).name == "示例清香白酒"


def test_no_change_is_no_version(world: World) -> None:
    first = edit_product(row=world.kernels, version=VersionInput(name="示例核桃仁"), by=world.walnuts)
    again = edit_product(row=world.kernels, version=VersionInput(name=" 示例核桃仁 "), by=world.walnuts)
    assert (first.number, again.number) == (2, 2)


def test_of_two_editors_the_second_is_told(world: World) -> None:
    edit_product(row=world.kernels, version=VersionInput(name="甲改"), by=world.walnuts, seen=1)
    with pytest.raises(StaleState):
        edit_product(row=world.kernels, version=VersionInput(name="乙改"), by=world.walnuts, seen=1)


def test_every_mistake_of_a_product_is_named(world: World) -> None:
    wrong = product(code="BJ-500", track="drugs", kind="none", gtin="9520000010011")
    version = VersionInput(
        name="",
        standard=Standard.objects.get(pk="gbt10781_2_2022"),
        standard_text="Q/SLJF 0001S-2026",
        licence_number="SC11814999900028",
        shelf_life_days=10**40,
        packs={"箱": "six", "KGM": "1", "x" * 11: "1"},
        spec="5\x0000 mL",
    )
    assert fields_of(lambda: create_product(by=world.distillery, product=wrong, version=version)) == {
        "code": "product_code_taken",
        "track": "track_unknown",
        "kind": "kind_unknown",
        "gtin": "gtin_check",
        "name": "required",
        "standard_text": "standard_twice",
        "licence_number": "licence_unknown",
        "shelf_life_days": "out_of_range",
        "packs.0": "amount_not_a_number",
        "packs.1": "pack_name",
        "packs.2": "text_too_long",
        "spec": "text_nul",
    }


def test_a_withdrawn_edition_is_not_declared_again(world: World) -> None:
    old = Standard.objects.create(key="old", number="GB/T 0-1900", title="示例旧版", ended_on=datetime.date(2000, 1, 1))
    version = VersionInput(name="示例", standard=old)
    assert fields_of(lambda: edit_product(row=world.kernels, version=version, by=world.walnuts)) == {
        "standard": "standard_ended"
    }


def test_an_ended_product_gets_no_version_until_reopened(world: World) -> None:
    end_product(row=world.kernels, by=world.walnuts)
    version = VersionInput(name="晚了")
    assert code_of(lambda: edit_product(row=world.kernels, version=version, by=world.walnuts)) == "product_ended"
    reopen_product(row=Product.objects.get(pk=world.kernels.pk), by=world.walnuts)
    assert edit_product(row=world.kernels, version=version, by=world.walnuts).number == 2


# --- GTIN claims ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gtin", "code"),
    [
        ("9520000010011", "gtin_check"),
        ("952000001001", "gtin_check"),
        ("95200000100", "gtin_length"),
        ("0000000000000", "gtin_zero"),
        ("2000000000008", "gtin_restricted"),
        ("九五二", "gtin_characters"),
        ("1" * 1_000_000, "code_too_long"),
        (GTIN, "gtin_taken"),
    ],
)
def test_a_wrong_gtin_is_refused(world: World, gtin: str, code: str) -> None:
    assert fields_of(lambda: claim_gtin(row=world.kernels, gtin=gtin, by=world.walnuts)) == {"gtin": code}


def test_a_claim_is_confirmed_by_a_regulator_of_the_territory(world: World) -> None:
    claim_gtin(row=world.kernels, gtin=OTHER_GTIN, by=world.walnuts)
    for by in (world.other_county, world.distillery, world.walnuts):
        assert code_of(lambda by=by: decide_gtin_claim(row=world.kernels, confirm=True, by=by)) == "not_found"  # type: ignore[misc]
    decide_gtin_claim(row=world.kernels, confirm=True, by=world.county)
    assert Product.objects.get(pk=world.kernels.pk).gtin_claim == "confirmed"
    assert code_of(lambda: claim_gtin(row=world.kernels, gtin="", by=world.walnuts)) == "gtin_confirmed"
    assert code_of(lambda: decide_gtin_claim(row=world.kernels, confirm=True, by=world.county)) == "stale_state"


def test_of_two_claims_of_one_gtin_one_is_confirmed(world: World) -> None:
    claim_gtin(row=world.kernels, gtin=OTHER_GTIN, by=world.walnuts)
    rival = make_product(world.distillery.organisation, gtin=OTHER_GTIN, claim="claimed")
    decide_gtin_claim(row=world.kernels, confirm=True, by=world.county)
    assert code_of(lambda: decide_gtin_claim(row=rival, confirm=True, by=world.county)) == "gtin_taken"
    assert decide_gtin_claim(row=rival, confirm=False, reason="重码", by=world.county).gtin_claim == "refused"


def test_refusing_a_claim_needs_a_reason_and_it_can_be_made_again(world: World) -> None:
    claim_gtin(row=world.kernels, gtin=OTHER_GTIN, by=world.walnuts)
    assert fields_of(lambda: decide_gtin_claim(row=world.kernels, confirm=False, by=world.county)) == {
        "reason": "required"
    }
    decide_gtin_claim(row=world.kernels, confirm=False, reason="请附条码证书", by=world.county)
    claim_gtin(row=world.kernels, gtin=OTHER_GTIN, by=world.walnuts)
    assert Product.objects.get(pk=world.kernels.pk).gtin_claim == "claimed"
    claim_gtin(row=world.kernels, gtin="", by=world.walnuts)
    assert Product.objects.get(pk=world.kernels.pk).gtin is None


# --- Certificates ---------------------------------------------------------------------------------------------------


def certificate(**changes: Any) -> CertificateInput:
    """A sound certificate."""
    whole: dict[str, Any] = {
        "kind": "gi_use",
        "number": "示例 GI-001",
        "valid_from": TODAY,
        "valid_until": TODAY + datetime.timedelta(days=365),
    }
    return CertificateInput(**(whole | changes))


def test_an_authority_certifies_and_takes_back(world: World) -> None:
    association = make_actor(make_organisation("示例核桃协会", "association"), "owner")
    organisation = world.walnuts.organisation
    row = grant_certificate(organisation=organisation, certificate=certificate(product=world.kernels), by=association)
    assert row.is_valid(TODAY)
    assert not row.is_valid(TODAY - datetime.timedelta(days=1))
    assert code_of(lambda: revoke_certificate(row=row, by=world.county, reason="不是我发的")) == "not_found"
    revoke_certificate(row=row, by=association, reason="违规使用")
    assert not row.is_valid(TODAY)
    assert code_of(lambda: revoke_certificate(row=row, by=association, reason="再次")) == "stale_state"


@pytest.mark.parametrize("who", ["walnuts", "distillery", "other_county", "lab"])
def test_nobody_else_certifies(world: World, who: str) -> None:
    by = getattr(world, who)
    organisation = world.walnuts.organisation
    assert (
        code_of(lambda: grant_certificate(organisation=organisation, certificate=certificate(), by=by)) == "not_found"
    )


def test_every_mistake_of_a_certificate_is_named(world: World) -> None:
    wrong = certificate(kind="beauty", number="", valid_until=datetime.date(2020, 1, 1), product=world.baijiu)
    organisation = world.walnuts.organisation
    assert fields_of(lambda: grant_certificate(organisation=organisation, certificate=wrong, by=world.county)) == {
        "kind": "certificate_kind",
        "number": "required",
        "valid_until": "certificate_dates",
        "product": "not_own",
    }


# --- Pages ----------------------------------------------------------------------------------------------------------

PRODUCT = {
    "name": "示例新酒",
    "code": "XJ-1",
    "track": "food",
    "kind": "finished",
    "base_unit": "LTR",
    "gtin": OTHER_GTIN[1:],
    "standard": "gbt10781_2_2022",
    "licence_number": "SC11514999900019",
    "shelf_life_days": "３６５",
    "pack_name_0": "瓶",
    "pack_size_0": "0.5",
}


def test_a_product_is_registered_changed_and_ended_on_pages(world: World, client: Client) -> None:
    sign_in(client, world.distillery)
    assert client.get("/products/new/").status_code == 200
    assert client.post("/products/new/", PRODUCT).status_code == 302
    made = Product.objects.get(code="XJ-1")
    assert made.current is not None
    assert (made.current.packs, made.current.shelf_life_days) == ({"瓶": "1/2"}, 365)
    path = f"/products/{made.uid}/"
    assert client.get(f"{path}edit/").status_code == 200
    changed = {**PRODUCT, "name": "示例新酒(改)", "seen": "1"}
    assert client.post(f"{path}edit/", changed).status_code == 302
    assert client.post(f"{path}edit/", changed | {"name": "晚了"}).status_code == 422
    page = client.get(path).content.decode()
    assert "<del>" in page
    assert "示例新酒(改)" in page
    assert client.post(f"{path}end/").status_code == 302
    assert client.post(f"{path}end/").status_code == 409
    assert client.post(f"{path}reopen/").status_code == 302


@pytest.mark.parametrize("junk", ["\x00", "9" * 400_000, "\ufffd", "‮", "-1", "1e9", "九"])
def test_a_product_full_of_junk_is_answered_with_words_and_nothing_is_stored(
    world: World, client: Client, junk: str
) -> None:
    sign_in(client, world.distillery)
    before = (Product.objects.count(), ProductVersion.objects.count())
    fields = [*PRODUCT, "brand", "spec", "family", "pledge", "gi_claim", "standard_text", "ingredients", "name_en"]
    answer = client.post("/products/new/", dict.fromkeys(fields, junk))
    assert answer.status_code == 422
    assert len(answer.content) < 200_000
    path = f"/products/{world.baijiu.uid}/edit/"
    assert client.post(path, dict.fromkeys([*fields, "seen"], junk)).status_code == 422
    assert (Product.objects.count(), ProductVersion.objects.count()) == before
    assert client.get("/products/", {"q": junk[:5000]}).status_code == 200
    assert client.get("/places/", {"q": junk[:5000], "page": junk[:5000]}).status_code == 200


def test_a_pack_without_its_size_is_named_at_its_row(world: World, client: Client) -> None:
    sign_in(client, world.distillery)
    packs = {"pack_name_0": "瓶", "pack_size_0": "0.5", "pack_name_2": "箱", "pack_size_2": "six"}
    answer = client.post("/products/new/", PRODUCT | packs)
    assert answer.context["form"].errors.as_data().keys() == {"pack_size_2"}
    answer = client.post("/products/new/", PRODUCT | packs | {"pack_size_2": "", "pack_name_0": ""})
    assert answer.context["form"].errors.as_data().keys() == {"pack_size_2", "pack_name_0"}


def test_a_gtin_goes_from_claim_to_confirmation_on_pages(world: World, client: Client) -> None:
    sign_in(client, world.walnuts)
    path = f"/products/{world.kernels.uid}/"
    assert client.post(f"{path}gtin/", {"gtin": "9520000010011"}).status_code == 422
    assert client.post(f"{path}gtin/", {"gtin": OTHER_GTIN}).status_code == 302
    officer = Client()
    sign_in(officer, world.county)
    assert OTHER_GTIN[1:] in officer.get("/gtin-claims/").content.decode()
    decide = f"/gtin-claims/{world.kernels.uid}/decide/"
    assert officer.get(path).status_code == 200
    assert officer.post(decide, {"decision": "refuse"}).status_code == 422
    assert officer.post(decide, {"decision": "nonsense"}).status_code == 404
    assert officer.post(decide, {"decision": "confirm"}).status_code == 302
    assert client.post(f"{path}gtin/", {"gtin": ""}).status_code == 422
    assert Product.objects.get(pk=world.kernels.pk).gtin_claim == "confirmed"


def test_a_place_is_registered_changed_and_ended_on_pages(world: World, client: Client) -> None:
    sign_in(client, world.distillery)
    assert client.get("/places/new/").status_code == 200
    assert client.get("/places/new/?kind=vessel").status_code == 200
    form = {"name": "陶缸 1 号", "division": "141182101", "fact_capacity": "1000 L", "gln": ""}
    assert client.post("/places/new/?kind=vessel", form | {"gln": "123"}).status_code == 422
    assert client.post("/places/new/?kind=vessel", form).status_code == 302
    made = world.distillery.organisation.places.get(name="陶缸 1 号")
    path = f"/places/{made.uid}/"
    assert client.get(f"{path}edit/").status_code == 200
    assert client.post(f"{path}edit/", form | {"name": "一号酒库"}).status_code == 422
    assert client.post(f"{path}edit/", form | {"fact_capacity": "800 L"}).status_code == 302
    page = client.get(path).content.decode()
    assert "800 L" in page
    assert client.post(f"{path}end/").status_code == 302
    assert client.post(f"{path}end/").status_code == 409
    assert client.post(f"{path}reopen/").status_code == 302


@pytest.mark.parametrize("junk", ["\x00", "9" * 1_000_000, "\ufffd", "‮"])
def test_a_place_full_of_junk_is_answered_with_words(world: World, client: Client, junk: str) -> None:
    sign_in(client, world.distillery)
    fields = ["name", "name_en", "division", "address", "gln", "fact_capacity"]
    before = world.distillery.organisation.places.count()
    assert client.post("/places/new/?kind=vessel", dict.fromkeys(fields, junk)).status_code == 422
    assert client.get("/places/new/", {"kind": junk[:5000]}).status_code == 200
    assert world.distillery.organisation.places.count() == before


def test_a_regulator_certifies_and_revokes_on_pages(world: World, client: Client) -> None:
    sign_in(client, world.county)
    form = {
        "uscc": "91149999DEMD00024Q",
        "kind": "gi_use",
        "number": "示例 GI-9",
        "product_code": "htr-200",
        "valid_from": "2026-01-01",
        "valid_until": "2099/1/1",
    }
    assert client.get("/certificates/new/").status_code == 200
    assert client.post("/certificates/new/", form | {"uscc": "91149999DEMD001101"}).status_code == 422
    assert client.post("/certificates/new/", form | {"product_code": "none"}).status_code == 422
    assert client.post("/certificates/new/", form | {"valid_from": "2026-02-30"}).status_code == 422
    assert client.post("/certificates/new/", form).status_code == 302
    row = world.walnuts.organisation.certificates.get()
    assert row.product == world.kernels
    path = f"/certificates/{row.uid}/revoke/"
    assert client.post(path, {"reason": ""}).status_code == 422
    assert client.post(path, {"reason": "违规用标"}).status_code == 302
    sign_in(client, world.walnuts)
    assert "已撤销" in client.get("/certificates/").content.decode()
    assert client.get(path).status_code == 404
    assert client.get("/certificates/new/").status_code == 404


def test_a_worker_of_a_shop_and_a_viewer_see_but_a_viewer_does_not_enter(world: World, client: Client) -> None:
    viewer = make_actor(world.distillery.organisation, "viewer")
    sign_in(client, viewer)
    assert client.get("/places/").status_code == 200
    assert client.get(f"/products/{world.baijiu.uid}/").status_code == 200
    assert client.get("/products/new/").status_code == 403
    assert client.post(f"/places/{world.cellar.uid}/end/").status_code == 403


@pytest.mark.parametrize("language", ["zh-hans", "en"])
def test_every_page_of_the_registry_opens_in_both_languages(world: World, client: Client, language: str) -> None:
    claim_gtin(row=world.kernels, gtin=OTHER_GTIN, by=world.walnuts)
    edit_product(row=world.baijiu, version=VersionInput(name="改"), by=world.distillery)
    end_place(row=world.cellar, by=world.distillery)
    pages = {
        "distillery": [f"/places/{world.cellar.uid}/", f"/products/{world.baijiu.uid}/", "/organisation/", "/account/"],
        "walnuts": [f"/products/{world.kernels.uid}/edit/", "/certificates/"],
        "county": [f"/products/{world.kernels.uid}/", f"/organisations/{world.distillery.organisation.uid}/"],
        "lab": ["/places/", "/products/", "/organisation/", "/members/invite/"],
    }
    for who, paths in pages.items():
        sign_in(client, getattr(world, who))
        for path in paths:
            assert client.get(path, {"lang": language}).status_code == 200, path
