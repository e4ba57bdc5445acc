"""The cast of every test, and small functions that make what a test needs.

`make_world()` is the whole cast; the fixture `world` gives it. Everything is fictional: names contain 示例, identifiers
lie in the unassigned region 149999, GTINs under 952.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

from django.test import Client

from trace.actor import Actor
from trace.models import Division, Licence, Membership, Organisation, Place, Product, ProductVersion, User

FENYANG = "141182"
XIAOYI = "141181"
XINGHUACUN = "141182101"
USCCS = {
    "distillery": "91149999DEMD00016X",
    "walnuts": "91149999DEMD00024Q",
    "cooperative": "93149999DEMD00032D",
    "lab": "91149999DEMD00083U",
    "carrier": "91149999DEMD00091N",
    "shop": "92149999DEMD001049",
    "distributor": "91149999DEMD001101",
    "county": "11149999DEMD00120A",
    "prefecture": "11149999DEMD00130B",
    "province": "11149999DEMD00140C",
    "other_county": "11149999DEMD00150D",
}
SPARE_USCCS = ["91149999DEMD001606", "91149999DEMD001707", "91149999DEMD001808"]
"""For organisations that a test makes itself."""
GTIN = "09520000010010"
OTHER_GTIN = "09520000010027"
PASSWORD = "a long enough 示例 password"

_numbers = itertools.count(1)


@dataclass(frozen=True)
class World:
    """The cast: one actor per person (``.organisation``, ``.user``), a place and a product for who makes something.

    ``distillery``, ``walnuts``, ``shop`` … are owners; ``distillery_quality`` releases lots; ``clerk`` works for the
    cooperative of ``grower``; each regulator has an officer and (``…_approver``) a second person; ``consumer`` has no
    organisation.
    """

    distillery: Actor
    distillery_quality: Actor
    distillery_worker: Actor
    walnuts: Actor
    walnuts_quality: Actor
    cooperative: Actor
    clerk: Actor
    grower: Actor
    distributor: Actor
    carrier: Actor
    shop: Actor
    lab: Actor
    county: Actor
    county_approver: Actor
    prefecture: Actor
    prefecture_approver: Actor
    province: Actor
    province_approver: Actor
    other_county: Actor
    other_county_approver: Actor
    operator: User
    consumer: User
    cellar: Place
    plant: Place
    plot: Place
    depot: Place
    counter: Place
    baijiu: Product
    kernels: Product
    fresh_walnuts: Product


def make_world() -> World:
    """The whole cast in the test database."""
    distillery = make_party("distillery", "汾阳示例清香酒坊有限公司", "producer", name_en="Fenyang Example Distillery")
    walnuts = make_party("walnuts", "汾阳示例核桃加工有限公司", "producer", name_en="Fenyang Example Walnuts")
    cooperative = make_party("cooperative", "示例坡头核桃专业合作社", "cooperative", division=XINGHUACUN)
    grower = make_organisation("示例种植户甲", "grower", cooperative=cooperative.organisation, division=XINGHUACUN)
    distributor = make_party("distributor", "示例商贸有限公司", "distributor", division="140100")
    shop = make_party("shop", "示例便民商店", "retailer")
    make_licence(distillery.organisation, "sc", "SC11514999900019")
    make_licence(walnuts.organisation, "sc", "SC11814999900028")
    lab = make_party("lab", "示例检测技术服务有限公司", "laboratory", division="140100")
    make_licence(lab.organisation, "cma", "231400340123")
    regulators = {
        "county": make_regulator("county", "汾阳市示例市场监管局", "county", FENYANG),
        "prefecture": make_regulator("prefecture", "吕梁市示例市场监管局", "prefecture", "141100"),
        "province": make_regulator("province", "山西省示例市场监管局", "province", "140000"),
        "other_county": make_regulator("other_county", "孝义市示例市场监管局", "county", XIAOYI),
    }
    return World(
        distillery=distillery,
        distillery_quality=make_actor(distillery.organisation, "quality"),
        distillery_worker=make_actor(distillery.organisation, "operator"),
        walnuts=walnuts,
        walnuts_quality=make_actor(walnuts.organisation, "quality"),
        cooperative=cooperative,
        clerk=make_actor(cooperative.organisation, "operator", display_name="示例文书"),
        grower=make_actor(grower, "owner", display_name="示例种植户甲"),
        distributor=distributor,
        carrier=make_party("carrier", "示例物流有限公司", "carrier"),
        shop=shop,
        lab=lab,
        **{name: officer for name, (officer, _approver) in regulators.items()},
        **{f"{name}_approver": approver for name, (_officer, approver) in regulators.items()},
        operator=make_user("operator", is_staff=True),
        consumer=make_user("consumer"),
        cellar=make_place(distillery.organisation, "一号酒库", "store"),
        plant=make_place(walnuts.organisation, "加工车间", "plant"),
        plot=make_place(grower, "坡头地块一", "plot", division=XINGHUACUN),
        depot=make_place(distributor.organisation, "太原仓库", "store", division="140100"),
        counter=make_place(shop.organisation, "门店", "shop"),
        baijiu=make_product(
            distillery.organisation,
            "BJ-500",
            "示例清香白酒",
            gtin=GTIN,
            base_unit="LTR",
            family="baijiu_light_aroma",
            packs={"瓶": "1/2", "箱": "3"},
            standard="gbt10781_2_2022",
            licence_number="SC11514999900019",
        ),
        kernels=make_product(
            walnuts.organisation,
            "HTR-200",
            "示例核桃仁",
            family="walnut_fenzhou",
            packs={"袋": "1/5"},
            shelf_life_days=240,
        ),
        fresh_walnuts=make_product(
            grower, "QPH", "示例青皮核桃", family="walnut_fenzhou", track="farm_produce", kind="raw"
        ),
    )


# --- People and organisations ---------------------------------------------------------------------------------------


def make_user(username: str = "", *, display_name: str = "", is_staff: bool = False) -> User:
    """A user who can sign in with PASSWORD; the name is made up where none is given."""
    number = next(_numbers)
    username = username or f"user{number}"
    return User.objects.create_user(
        username, password=PASSWORD, display_name=display_name or f"示例{username}", is_staff=is_staff
    )


def make_organisation(name: str, kind: str, *, division: str = FENYANG, **fields: Any) -> Organisation:
    """A vetted organisation (or, by ``status=``, one in any state)."""
    fields.setdefault("status", Organisation.Status.ACTIVE)
    fields.setdefault("recall_contact_name", "示例联系人")
    fields.setdefault("recall_contact_phone", "0358-0000000")
    return Organisation.objects.create(name=name, kind=kind, division=Division.objects.get(pk=division), **fields)


def make_actor(
    organisation: Organisation, role: str = "owner", *, user: User | None = None, display_name: str = ""
) -> Actor:
    """A person with this role in the organisation, as the actor that actions take."""
    user = user or make_user(display_name=display_name)
    membership = Membership.objects.create(user=user, organisation=organisation, role=role)
    return Actor(organisation=organisation, user=user, role=role, membership=membership)


def make_party(who: str, name: str, kind: str, **fields: Any) -> Actor:
    """A vetted organisation of the cast with its owner."""
    return make_actor(make_organisation(name, kind, uscc=USCCS[who], **fields), "owner")


def make_regulator(who: str, name: str, level: str, division: str) -> tuple[Actor, Actor]:
    """A regulator of the cast: its officer and its approver. The territory is the code without trailing zero pairs."""
    territory = division
    while territory.endswith("00"):
        territory = territory[:-2]
    organisation = make_organisation(
        name, "regulator", uscc=USCCS[who], division=division, level=level, territory=territory
    )
    return make_actor(organisation, "officer"), make_actor(organisation, "approver")


def make_licence(organisation: Organisation, kind: str, number: str) -> Licence:
    """A licence of the organisation's."""
    return Licence.objects.create(organisation=organisation, kind=kind, number=number)


def behalf(clerk: Actor, grower: Organisation) -> Actor:
    """The clerk entering on a grower's behalf."""
    return Actor(
        organisation=clerk.organisation,
        user=clerk.user,
        role=clerk.role,
        membership=clerk.membership,
        on_behalf_of=grower,
    )


# --- What they have -------------------------------------------------------------------------------------------------


def make_place(
    organisation: Organisation, name: str = "", kind: str = "plant", *, division: str = "", **fields: Any
) -> Place:
    """A place of the organisation, in its own division unless told otherwise."""
    name = name or f"示例地点{next(_numbers)}"
    return Place.objects.create(
        organisation=organisation, name=name, kind=kind, division_id=division or organisation.division_id, **fields
    )


def make_product(
    organisation: Organisation,
    code: str = "",
    name: str = "示例产品",
    *,
    gtin: str | None = None,
    claim: str = "confirmed",
    base_unit: str = "KGM",
    track: str = "food",
    kind: str = "finished",
    family: str = "",
    standard: str | None = None,
    material: str = "",
    **version: Any,
) -> Product:
    """A product with its first version; a GTIN is confirmed unless ``claim`` says otherwise."""
    product = Product.objects.create(
        organisation=organisation,
        code=code or f"P{next(_numbers)}",
        base_unit=base_unit,
        material=material,
        track=track,
        kind=kind,
        family=family,
        gtin=gtin,
        gtin_claim=claim if gtin else "none",
    )
    product.current = ProductVersion.objects.create(
        product=product, number=1, name=name, standard_id=standard, **version
    )
    product.save(update_fields=["current"])
    return product


# --- The browser's side ---------------------------------------------------------------------------------------------


def sign_in(client: Client, who: Actor | User) -> Client:
    """Let the test client act as this person for this organisation (and, with ``on_behalf_of``, for a grower)."""
    user = who.user if isinstance(who, Actor) else who
    assert user is not None, "an actor without a user cannot sign in"
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    session = client.session
    if isinstance(who, Actor):
        assert who.membership is not None
        session["membership"] = str(who.membership.uid)
        if who.on_behalf_of is not None:
            session["on_behalf_of"] = str(who.on_behalf_of.uid)
    session.save()
    return client


def membership_of(who: Actor) -> Membership:
    """The membership by which a person acts."""
    assert who.membership is not None, "a machine has no membership"
    return who.membership
