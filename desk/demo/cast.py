"""Who plays: regulators, firms, growers and the people who sign in for them. Every name says 示例."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext_noop

from desk.demo.stage import Stage
from trace.actions.operators import create_first_operator
from trace.actions.organisations import (
    Application,
    LicenceInput,
    RecallContact,
    admit_organisation,
    apply_for_admission,
    create_regulator,
    keep_external,
    register_grower,
)
from trace.actions.people import NewLogin, accept_invitation, invite_member
from trace.actor import Actor
from trace.models import Division, Membership, Organisation, User

PASSWORD = "fenyang-demo-2026"  # noqa: S105 (printed by `make run`; exists in the demonstration only)
FENYANG = "141182"


@dataclass(frozen=True)
class Firm:
    """One organisation of the cast with the names of its owner and, where it releases lots, its quality officer."""

    key: str
    name: str
    name_en: str
    kind: str
    uscc: str
    division: str
    address: str
    owner: str
    licences: tuple[LicenceInput, ...] = ()
    quality: str = ""


FIRMS = (
    Firm("distillery", "汾阳示例清香酒坊有限公司", "Fenyang Example Light-Aroma Distillery", "producer",
         "91149999DEMD00016X", "141182101", "示例路 1 号", "示例酒坊负责人",
         (LicenceInput("sc", "SC11514999900019", "吕梁市市场监督管理局（示例）"),), "示例酒坊质量负责人"),
    Firm("walnuts", "汾阳示例核桃加工有限公司", "Fenyang Example Walnut Processing", "producer",
         "91149999DEMD00024Q", "141182108", "示例路 2 号", "示例核桃负责人",
         (LicenceInput("sc", "SC11814999900028", "汾阳市市场监督管理局（示例）"),), "示例核桃质量负责人"),
    Firm("cooperative", "示例坡头核桃专业合作社", "Example Potou Walnut Cooperative", "cooperative",
         "93149999DEMD00032D", "141182108", "示例坡头村", "示例核桃社理事长"),
    Firm("millet_cooperative", "示例边山谷子专业合作社", "Example Bianshan Millet Cooperative", "cooperative",
         "93149999DEMD000408", "141182105", "示例边山村", "示例谷子社理事长"),
    Firm("mill", "汾阳示例小米加工厂", "Fenyang Example Millet Mill", "producer",
         "91149999DEMD00059B", "141182105", "示例路 5 号", "示例小米厂负责人",
         (LicenceInput("sc", "SC10114999900031", "汾阳市市场监督管理局（示例）"),), "示例小米厂质量负责人"),
    Firm("furniture", "汾阳示例核桃木家具工坊", "Fenyang Example Walnut-Wood Furniture", "producer",
         "91149999DEMD000676", "141182100", "示例路 6 号", "示例家具坊负责人", (), "示例家具坊质量负责人"),
    Firm("dates", "汾阳示例枣夹核桃食品有限公司", "Fenyang Example Date-Walnut Foods", "producer",
         "91149999DEMD000751", "141182100", "示例路 7 号", "示例枣夹核桃负责人",
         (LicenceInput("sc", "SC11714999900041", "汾阳市市场监督管理局（示例）"),), "示例枣夹核桃质量负责人"),
    Firm("lab", "示例检测技术服务有限公司", "Example Testing Services", "laboratory",
         "91149999DEMD00083U", "140100", "太原示例街 8 号", "示例检测负责人",
         (LicenceInput("cma", "231400340123", "示例资质认定部门"),)),
    Firm("carrier", "示例物流有限公司", "Example Logistics", "carrier",
         "91149999DEMD00091N", FENYANG, "示例路 9 号", "示例物流负责人"),
    Firm("shop", "示例便民商店", "Example Corner Shop", "retailer",
         "92149999DEMD001049", "141182001", "示例街 10 号", "示例便民商店店主"),
    Firm("distributor", "太原示例商贸有限公司", "Taiyuan Example Trading", "distributor",
         "91149999DEMD002446", "140100", "太原示例街 11 号", "示例商贸负责人", (), "示例商贸质量负责人"),
)  # fmt: skip

LOGINS: tuple[tuple[str, str], ...] = (
    ("distillery", gettext_noop("酒坊：负责人")),
    ("distillery-quality", gettext_noop("酒坊：质量负责人")),
    ("walnuts", gettext_noop("核桃加工：负责人")),
    ("walnuts-quality", gettext_noop("核桃加工：质量负责人")),
    ("cooperative", gettext_noop("核桃合作社：理事长（可代种植户录入）")),
    ("dates", gettext_noop("枣夹核桃：负责人")),
    ("dates-quality", gettext_noop("枣夹核桃：质量负责人")),
    ("mill", gettext_noop("小米厂：负责人")),
    ("furniture", gettext_noop("家具坊：负责人")),
    ("furniture-quality", gettext_noop("家具坊：质量负责人")),
    ("lab", gettext_noop("检验机构")),
    ("distributor", gettext_noop("经销商")),
    ("distributor-quality", gettext_noop("经销商：质量负责人")),
    ("shop", gettext_noop("便民商店")),
    ("county", gettext_noop("汾阳市监管：经办")),
    ("county-approver", gettext_noop("汾阳市监管：审批")),
    ("prefecture", gettext_noop("吕梁市监管：经办")),
    ("prefecture-approver", gettext_noop("吕梁市监管：审批")),
    ("province", gettext_noop("山西省监管：经办")),
    ("province-approver", gettext_noop("山西省监管：审批")),
    ("operator", gettext_noop("系统运维")),
)
"""Login names `make run` prints, with what they are for. All share one password, in the demonstration only."""


def build_cast(stage: Stage) -> None:
    """Operator, regulators, firms, growers, and the outsiders some firms sell to or buy from."""
    operator = create_first_operator(username="operator", display_name="示例运维", password=PASSWORD)
    _regulators(stage, operator)
    for firm in FIRMS:
        _firm(stage, firm)
    _growers(stage)


def _login(username: str, display_name: str) -> NewLogin:
    return NewLogin(username=username, display_name=display_name, password=PASSWORD)


def _actor(membership: Membership) -> Actor:
    """The actor of a membership just made."""
    return Actor(
        organisation=membership.organisation, user=membership.user, role=membership.role, membership=membership
    )


def _regulators(stage: Stage, operator: User) -> None:
    """County, prefecture and province, each with an officer and an approver."""
    rows = (
        ("county", "汾阳市市场监督管理局（示例）", "Fenyang Market Regulation Bureau (example)", FENYANG),
        ("prefecture", "吕梁市市场监督管理局（示例）", "Lüliang Market Regulation Bureau (example)", "141100"),
        ("province", "山西省市场监督管理局（示例）", "Shanxi Market Regulation Bureau (example)", "140000"),
    )
    for key, name, name_en, division in rows:
        made = create_regulator(
            by=operator,
            name=name,
            name_en=name_en,
            division=Division.objects.get(pk=division),
            at=stage.ago(770).at,
        )
        at = stage.ago(769).at
        officer = accept_invitation(token=made.officer.token, login=_login(key, f"示例{name[:3]}经办"), at=at)
        approver = accept_invitation(
            token=made.approver.token, login=_login(f"{key}-approver", f"示例{name[:3]}审批"), at=at
        )
        stage.actors[key] = _actor(officer)
        stage.actors[f"{key}_approver"] = _actor(approver)


def _firm(stage: Stage, firm: Firm) -> None:
    """One firm applies and its regulator admits it; a quality officer is invited where it releases lots."""
    organisation = apply_for_admission(
        application=Application(
            name=firm.name,
            name_en=firm.name_en,
            kind=firm.kind,
            uscc=firm.uscc,
            division=Division.objects.get(pk=firm.division),
            address=firm.address,
            licences=firm.licences,
            contact=RecallContact(firm.owner, "0358-0000000", f"{firm.key.replace('_', '-')}@example.com"),
            login=_login(firm.key.replace("_", "-"), firm.owner),
        ),
        at=stage.ago(768).at,
    )
    regulator = "county" if firm.division.startswith(FENYANG) else "province"
    admit_organisation(organisation=organisation, by=stage.actors[regulator], at=stage.ago(766).at)
    organisation.refresh_from_db()
    owner = _actor(organisation.memberships.select_related("organisation", "user").get())
    stage.actors[firm.key] = owner
    if firm.quality:
        invitation = invite_member(by=owner, role=Membership.Role.QUALITY, at=stage.ago(765).at)
        membership = accept_invitation(
            token=invitation.token,
            login=_login(f"{firm.key}-quality", firm.quality),
            at=stage.ago(764).at,
        )
        stage.actors[f"{firm.key}_quality"] = _actor(membership)


def _growers(stage: Stage) -> None:
    """Growers of the two cooperatives; the clerk enters for them."""
    rows = (
        ("grower_a", "cooperative", "示例种植户甲", "141182108"),
        ("grower_b", "cooperative", "示例种植户乙", "141182107"),
        ("grower_c", "cooperative", "示例种植户丙", "141182110"),
        ("grower_d", "millet_cooperative", "示例种植户丁", "141182105"),
        ("grower_e", "millet_cooperative", "示例种植户戊", "141182106"),
    )
    for key, cooperative, name, division in rows:
        clerk = stage.actors[cooperative]
        grower = register_grower(
            by=clerk,
            name=name,
            division=Division.objects.get(pk=division),
            address="示例村",
            phone="0358-0000001",
            at=stage.ago(760).at,
        ).organisation
        stage.actors[key] = Actor(
            organisation=clerk.organisation,
            user=clerk.user,
            role=clerk.role,
            membership=clerk.membership,
            on_behalf_of=grower,
        )


def outsider(stage: Stage, by: str, name: str, kind: str, division: str, phone: str = "000-0000000") -> Organisation:
    """A buyer or supplier who does not use the system, kept by one of the firms with address and contact."""
    return keep_external(
        by=stage.actors[by],
        name=name,
        kind=kind,
        division=Division.objects.get(pk=division),
        address="示例街 1 号",
        contact=RecallContact("示例联系人", phone, f"outside{sum(name.encode()) % 997}@example.com"),
        at=stage.ago(740).at,
    )
