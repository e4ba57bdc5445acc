"""Complaints and claims for those who must answer: the list, one case, its steps."""

import datetime
from typing import Annotated, Literal

from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from ninja import Query
from pydantic import Field

from recalls.access import case_for, cases_visible_to
from recalls.actions.cases import accept, assign, hand_over, may_read_contact, refuse, reply, settle
from recalls.api import examples
from recalls.api.area import area
from recalls.models import ConsumerCase
from recalls.queries import OPEN_CASES, vetted_organisation
from trace.actor import Actor
from trace.api.auth import acting
from trace.api.examples import page
from trace.api.given import WrittenReason
from trace.api.paging import Feed, Page, turn
from trace.api.schemas import In, Named, Out, Text, Uid, Whole
from trace.api.shapes import LotRef, OrganisationRef, lot_ref
from trace.errors import Invalid, NotFound
from trace.models import User
from trace.personal import reveal


class CaseOut(Out):
    """One complaint or claim. `words` and `contact` only where the caller may read them and they were not deleted."""

    uid: str
    number: str
    kind: str
    what: str
    status: str
    remedy: str
    pieces: int
    lot: LotRef | None
    owner: OrganisationRef | None
    campaign: str | None
    received_at: datetime.datetime
    due_at: datetime.datetime
    words: str
    contact: str


CASE = {
    "uid": "0199b0c0-0000-7000-8000-000000000081",
    "number": "T20261123-7K3M9PXWABCD",
    "kind": "claim",
    "what": "",
    "status": "open",
    "remedy": "refund",
    "pieces": 1,
    "lot": examples.LOT_REF,
    "owner": examples.ORGANISATION_REF,
    "campaign": examples.CAMPAIGN_UID,
    "received_at": "2026-11-23T01:00:00Z",
    "due_at": "2026-11-30T01:00:00Z",
    "words": "",
    "contact": "",
}


def _cases_out(actor: Actor, rows: list[ConsumerCase], *, full: bool = False) -> list[CaseOut]:
    return [
        CaseOut(
            uid=str(row.uid),
            number=row.number,
            kind=row.kind,
            what=row.what,
            status=row.status,
            remedy=row.remedy,
            pieces=row.pieces,
            lot=lot_ref(row.lot) if row.lot is not None else None,
            owner=OrganisationRef.of(row.owner) if row.owner is not None else None,
            campaign=str(row.campaign.uid) if row.campaign is not None else None,
            received_at=row.received_at,
            due_at=row.due_at,
            words=reveal(row.words) if full and row.forgotten_at is None else "",
            contact=reveal(row.contact) if full and row.forgotten_at is None and may_read_contact(actor, row) else "",
        )
        for row in rows
    ]


class WantedCases(Feed):
    """Which cases."""

    which: Literal["open", "all"] = "all"
    kind: Literal["", "complaint", "claim"] = ""


@area.read(
    "/cases",
    who="signed_in",
    answer=Page[CaseOut],
    example=page(CASE),
    summary=gettext_lazy("列出消费者来件"),
    description=gettext_lazy("本单位承办的；监管部门见辖区内的。内容和联系方式在单件里。"),
)
def list_cases(request: HttpRequest, wanted: Query[WantedCases]) -> Page[CaseOut]:
    """Complaints and claims the caller may read."""
    actor = acting(request)
    rows = cases_visible_to(actor).select_related("lot__organisation")
    if wanted.which == "open":
        rows = rows.filter(status__in=OPEN_CASES)
    if wanted.kind:
        rows = rows.filter(kind=wanted.kind)
    return turn(rows, wanted, lambda found: _cases_out(actor, list(found)))


@area.read("/cases/{uid}", who="signed_in", answer=CaseOut, example=CASE, summary=gettext_lazy("查看一件来件"))
def get_case(request: HttpRequest, uid: Named) -> CaseOut:
    """One complaint or claim with its words."""
    actor = acting(request)
    return _cases_out(actor, [case_for(actor, uid)], full=True)[0]


class CaseStepIn(In):
    """What is done with it; `payer` and `paid_cents` (分) for `settle` alone."""

    action: Literal["reply", "accept", "settle", "refuse"]
    words: Annotated[str, Text(1000, multiline=True)] = ""
    payer: Literal["", "producer", "seller", "advance"] = ""
    payer_name: Annotated[str, Text(120)] = ""
    paid_cents: Annotated[int, Whole(0, 10**10)] | None = Field(None)


@area.write(
    "/cases/{uid}/steps",
    who="signed_in",
    answer=CaseOut,
    example={**CASE, "status": "settled"},
    body_example={"action": "settle", "payer": "producer", "paid_cents": 3980, "words": "已退款。"},
    status=200,
    summary=gettext_lazy("办理来件：答复、同意、办结、不予办理"),
)
def take_case_step(request: HttpRequest, uid: Named, body: CaseStepIn) -> CaseOut:
    """One step of a case; the consumer reads it by the receipt."""
    actor = acting(request)
    found = case_for(actor, uid)
    if body.action == "reply":
        reply(by=actor, case=found, words=body.words)
    elif body.action == "accept":
        accept(by=actor, case=found, words=body.words)
    elif body.action == "refuse":
        refuse(by=actor, case=found, words=body.words)
    else:
        if not body.payer:
            raise Invalid(_("请选择列出的一项。"), code="unknown_choice")
        settle(
            by=actor,
            case=found,
            payer=body.payer,
            payer_name=body.payer_name,
            paid_cents=body.paid_cents,
            words=body.words,
        )
    return get_case(request, uid)


class AssignIn(In):
    """Who of the organisation handles it."""

    person: Uid


@area.write(
    "/cases/{uid}/assignment",
    who="signed_in",
    answer=CaseOut,
    example=CASE,
    body_example={"person": "0199b0c0-0000-7000-8000-000000000082"},
    status=200,
    summary=gettext_lazy("指定承办人"),
)
def assign_case(request: HttpRequest, uid: Named, body: AssignIn) -> CaseOut:
    """Name who handles it, a member of the organisation that answers it."""
    actor = acting(request)
    found = case_for(actor, uid)
    person = User.objects.filter(uid=body.person).first()
    if person is None:
        raise NotFound(_("没有这个人。"))
    assign(by=actor, case=found, person=person)
    return get_case(request, uid)


class HandOverIn(In):
    """To whom, by its code (USCC), and why."""

    to: Annotated[str, Text(18, required=True)]
    reason: WrittenReason


@area.write(
    "/cases/{uid}/handover",
    who="signed_in",
    answer=CaseOut,
    example=CASE,
    body_example={"to": "91149999DEMD00010X", "reason": "示例：由品牌方答复"},
    status=200,
    summary=gettext_lazy("转交来件"),
    description=gettext_lazy("监管部门可以转给任何入驻单位，承办单位只能转给监管部门；答复期限不变。"),
)
def hand_case_over(request: HttpRequest, uid: Named, body: HandOverIn) -> CaseOut:
    """Give it to another organisation; the deadline stays."""
    actor = acting(request)
    found = case_for(actor, uid)
    hand_over(by=actor, case=found, to=vetted_organisation(body.to), reason=body.reason)
    return _cases_out(actor, [found])[0]
