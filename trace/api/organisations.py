"""Organisations: who the caller is, who may be named, outsiders written down, admission by the regulator."""

from typing import Annotated, Literal

from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from ninja import Query
from pydantic import Field

from trace.access import organisation_for, organisations_visible_to
from trace.actions.organisations import (
    RecallContact,
    admit_organisation,
    keep_external,
    refuse_organisation,
)
from trace.api import examples
from trace.api.auth import acting
from trace.api.given import Reason
from trace.api.operations import Area
from trace.api.paging import Page, Paging, turn
from trace.api.schemas import In, Named, Out, Text
from trace.api.shapes import OrganisationOut, OrganisationRef, organisation_out
from trace.errors import Invalid
from trace.models import Division, Organisation

area = Area("organisations", gettext_lazy("单位"))


class Me(Out):
    """Who the caller is and for whom it acts."""

    organisation: OrganisationRef
    on_behalf_of: OrganisationRef | None
    person: str | None
    key: str | None
    role: str
    scopes: list[str] | None
    active: bool


ME = {
    "organisation": examples.ORGANISATION_REF,
    "on_behalf_of": None,
    "person": None,
    "key": "灌装线接口",
    "role": "operator",
    "scopes": ["events:write", "lots:read"],
    "active": True,
}


@area.read("/me", who="signed_in", answer=Me, example=ME, summary=gettext_lazy("我是谁"))
def get_me(request: HttpRequest) -> Me:
    """The caller's organisation, role and scopes."""
    actor = acting(request)
    return Me(
        organisation=OrganisationRef.of(actor.organisation),
        on_behalf_of=OrganisationRef.of(actor.on_behalf_of) if actor.on_behalf_of else None,
        person=actor.user.display_name if actor.user else None,
        key=actor.api_key.name if actor.api_key else None,
        role=actor.role,
        scopes=sorted(actor.scopes) if actor.api_key else None,
        active=actor.organisation.status == Organisation.Status.ACTIVE,
    )


class Wanted(Paging):
    """Which organisations."""

    q: Annotated[str, Text(60)] = Field("", description="Part of the name.")
    kind: Literal[
        "",
        "producer",
        "grower",
        "cooperative",
        "distributor",
        "carrier",
        "retailer",
        "laboratory",
        "regulator",
        "association",
    ] = ""
    status: Literal["", "applied", "active", "refused", "suspended", "external"] = ""


@area.read(
    "/organisations",
    who="signed_in",
    answer=Page[OrganisationOut],
    example=examples.page(examples.ORGANISATION),
    summary=gettext_lazy("列出单位"),
    description=gettext_lazy("已入驻的单位、本单位登记的系统外单位；监管部门另见辖区内的申请。"),
)
def list_organisations(request: HttpRequest, wanted: Query[Wanted]) -> Page[OrganisationOut]:
    """Organisations the caller may name."""
    actor = acting(request)
    rows = organisations_visible_to(actor)
    if wanted.q:
        rows = rows.filter(name__icontains=wanted.q) | rows.filter(name_en__icontains=wanted.q)
    if wanted.kind:
        rows = rows.filter(kind=wanted.kind)
    if wanted.status:
        rows = rows.filter(status=wanted.status)
    return turn(rows, wanted, lambda found: [organisation_out(row, actor) for row in found])


@area.read(
    "/organisations/{uid}",
    who="signed_in",
    answer=OrganisationOut,
    example=examples.ORGANISATION,
    summary=gettext_lazy("查看一个单位"),
)
def get_organisation(request: HttpRequest, uid: Named) -> OrganisationOut:
    """One organisation."""
    actor = acting(request)
    return organisation_out(organisation_for(actor, uid), actor)


class ContactIn(In):
    """Whom to reach when goods must be stopped."""

    name: Annotated[str, Text(60)] = ""
    phone: Annotated[str, Text(40)] = ""
    email: Annotated[str, Text(120)] = ""


class ExternalIn(In):
    """A buyer or supplier who does not use the system."""

    name: Annotated[str, Text(120, required=True)]
    kind: Literal[
        "producer", "grower", "cooperative", "distributor", "carrier", "retailer", "laboratory", "association"
    ]
    division: Annotated[str, Text(12, required=True)] = Field(description="Division code (GB/T 2260).")
    address: Annotated[str, Text(200)] = ""
    uscc: Annotated[str, Text(30)] = ""
    contact: ContactIn | None = None


EXTERNAL_IN = {
    "name": "示例便民商店",
    "kind": "retailer",
    "division": "140100",
    "address": "太原市示例街 2 号",
    "contact": {"name": "示例联系人", "phone": "0351-0000000"},
}


@area.write(
    "/organisations",
    who="party",
    answer=OrganisationOut,
    example={**examples.ORGANISATION, "status": "external"},
    body_example=EXTERNAL_IN,
    summary=gettext_lazy("登记系统外单位"),
    description=gettext_lazy("同名再登记一次会更新资料。至少要有地址、电话或邮箱之一，召回时才能通知到对方。"),
)
def keep_external_organisation(request: HttpRequest, body: ExternalIn) -> OrganisationOut:
    """Write down an outsider."""
    actor = acting(request)
    contact = RecallContact(**body.contact.model_dump()) if body.contact else None
    row = keep_external(
        by=actor,
        name=body.name,
        kind=body.kind,
        division=division_of(body.division),
        address=body.address,
        contact=contact,
        uscc=body.uscc,
    )
    return organisation_out(row, actor)


def division_of(code: str) -> Division:
    """The division with this code; Invalid (``unknown_division``) where there is none."""
    found = Division.objects.filter(code=code).first()
    if found is None:
        raise Invalid(_("没有这个行政区划代码。"), code="unknown_division")
    return found


class DecisionIn(In):
    """A regulator's decision on an application."""

    admit: bool
    reason: Reason = ""


@area.write(
    "/organisations/{uid}/admission",
    who="regulator",
    answer=OrganisationOut,
    example=examples.ORGANISATION,
    body_example={"admit": True},
    status=200,
    summary=gettext_lazy("审核入驻申请"),
)
def decide_admission(request: HttpRequest, uid: Named, body: DecisionIn) -> OrganisationOut:
    """Admit or refuse an applicant of the regulator's territory."""
    actor = acting(request)
    row = organisation_for(actor, uid)
    if body.admit:
        row = admit_organisation(organisation=row, by=actor, reason=body.reason)
    else:
        row = refuse_organisation(organisation=row, by=actor, reason=body.reason)
    return organisation_out(row, actor)
