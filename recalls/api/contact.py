"""How a notice reached its recipient: messages and their fate, calls, trouble, the letter that was posted."""

import datetime
from typing import Annotated, Literal

from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from pydantic import Field

from recalls.access import campaign_for, campaign_notice_for, letter_for, require_side
from recalls.actions.notices import mark_posted, note_trouble, sides_of
from recalls.actions.outbox import note_bounce
from recalls.api import examples
from recalls.api.area import area
from recalls.api.beside import NothingIn
from recalls.api.shapes import NoticeOut, notices_out
from recalls.models import Notice, NoticeStep, OutboxMessage, PhoneCall
from recalls.notice_states import Side
from recalls.sight import Sight, known_notice
from trace.access import parse_uid
from trace.api.auth import acting
from trace.api.schemas import In, Named, Out, Text
from trace.api.shapes import OrganisationRef
from trace.errors import NotFound
from trace.personal import reveal

MOST = 200


class MessageOut(Out):
    """One message to the recipient. `state` says how far it came: `queued`, `sent`, `delivered` (a receipt says so),
    `bounced` (it came back), `refused` (the address does not exist), for letters `to_post` and `posted`.
    """

    uid: str
    channel: str
    kind: str
    round: int
    state: str
    attempts: int
    problem: str
    created_at: datetime.datetime
    sent_at: datetime.datetime | None
    delivered_at: datetime.datetime | None
    bounced_at: datetime.datetime | None
    failed_at: datetime.datetime | None


class CallOut(Out):
    """One telephone call."""

    outcome: str
    called_at: datetime.datetime
    spoke_with: str
    words: str
    by_organisation: OrganisationRef


class AttemptOut(Out):
    """One step of the notice, or one attempt to reach the recipient."""

    action: str
    status: str
    side: str
    by_organisation: OrganisationRef | None
    reason: str
    at: datetime.datetime


class ContactOut(Out):
    """Everything that was tried to reach one recipient, the newest first."""

    notice: str
    status: str
    escalation: str
    escalated_at: datetime.datetime | None
    messages: list[MessageOut]
    calls: list[CallOut]
    steps: list[AttemptOut]


MESSAGE = {
    "uid": "0199b0c0-0000-7000-8000-0000000000a1",
    "channel": "email",
    "kind": "notice",
    "round": 1,
    "state": "bounced",
    "attempts": 1,
    "problem": "550 no such user",
    "created_at": "2026-11-22T06:10:00Z",
    "sent_at": "2026-11-22T06:11:00Z",
    "delivered_at": None,
    "bounced_at": "2026-11-22T06:20:00Z",
    "failed_at": None,
}
CONTACT = {
    "notice": examples.NOTICE["uid"],
    "status": "unreachable",
    "escalation": "",
    "escalated_at": None,
    "messages": [MESSAGE],
    "calls": [
        {
            "outcome": "no_answer",
            "called_at": "2026-11-22T07:00:00Z",
            "spoke_with": "",
            "words": "",
            "by_organisation": examples.ORGANISATION_REF,
        }
    ],
    "steps": [
        {
            "action": "give_up",
            "status": "unreachable",
            "side": "issuer",
            "by_organisation": examples.ORGANISATION_REF,
            "reason": "550 no such user",
            "at": "2026-11-22T06:20:00Z",
        }
    ],
}


def _state(row: OutboxMessage) -> str:
    """How far a message came."""
    letter = row.channel == OutboxMessage.Channel.LETTER
    if row.bounced_at is not None:
        return "bounced"
    if row.failed_at is not None:
        return "refused"
    if row.delivered_at is not None:
        return "delivered"
    if row.sent_at is not None:
        return "posted" if letter else "sent"
    return "to_post" if letter else "queued"


def _message_out(row: OutboxMessage) -> MessageOut:
    """From the row; the address is left out, it stands with the organisation."""
    return MessageOut(
        uid=str(row.uid),
        channel=row.channel,
        kind=row.kind,
        round=row.round,
        state=_state(row),
        attempts=row.attempts,
        problem=row.error,
        created_at=row.created_at,
        sent_at=row.sent_at,
        delivered_at=row.delivered_at,
        bounced_at=row.bounced_at,
        failed_at=row.failed_at,
    )


def _call_out(row: PhoneCall) -> CallOut:
    return CallOut(
        outcome=row.outcome,
        called_at=row.called_at,
        spoke_with=reveal(row.spoke_with),
        words=reveal(row.words),
        by_organisation=OrganisationRef.of(row.by_organisation),
    )


def _attempt_out(row: NoticeStep) -> AttemptOut:
    return AttemptOut(
        action=row.action,
        status=row.new,
        side=row.side,
        by_organisation=OrganisationRef.of(row.by_organisation) if row.by_organisation is not None else None,
        reason=row.reason,
        at=row.at,
    )


def _contact(found: Notice) -> ContactOut:
    calls = found.calls.select_related("spoke_with", "words", "by_organisation").order_by("-id")[:MOST]
    steps = found.steps.select_related("by_organisation").order_by("-id")[:MOST]
    return ContactOut(
        notice=str(found.uid),
        status=found.status,
        escalation=found.escalation,
        escalated_at=found.escalated_at,
        messages=[_message_out(row) for row in found.messages.order_by("-id")[:MOST]],
        calls=[_call_out(row) for row in calls],
        steps=[_attempt_out(row) for row in steps],
    )


@area.read(
    "/campaigns/{uid}/notices/{notice}/contact",
    who="signed_in",
    answer=ContactOut,
    example=CONTACT,
    summary=gettext_lazy("怎样联系过收件单位：消息、电话、经过"),
    description=gettext_lazy("退信、被拒收的地址、待寄的信函都在这里。看不到名称的下游单位没有这一页。"),
)
def get_contact(request: HttpRequest, uid: Named, notice: Named) -> ContactOut:
    """Messages, calls and steps of one notice."""
    return _contact(known_notice(acting(request), uid, notice)[1])


class BounceIn(In):
    """What the returned mail says."""

    reason: Annotated[str, Text(300)] = ""


@area.write(
    "/campaigns/{uid}/notices/{notice}/messages/{message}/bounce",
    who="party",
    answer=ContactOut,
    example=CONTACT,
    body_example={"reason": "550 no such user"},
    status=200,
    summary=gettext_lazy("登记退信"),
    description=gettext_lazy("已发出的邮件或短信退回来了：改寄信函，没有别的办法时通知记为无法联系。"),
)
def add_bounce(request: HttpRequest, uid: Named, notice: Named, message: Named, body: BounceIn) -> ContactOut:
    """A message came back into the issuer's mailbox."""
    actor = acting(request)
    _campaign, found = known_notice(actor, uid, notice)
    row = found.messages.filter(uid=parse_uid(message)).first()
    if row is None:
        raise NotFound(_("没有找到，或者您无权查看。"))
    note_bounce(message=row, reason=body.reason or _("收到退信"), by=actor)
    found.refresh_from_db()
    return _contact(found)


class TroubleIn(In):
    """What happened: the recipient refuses, nobody can be reached, it goes to the authority, or it is settled."""

    action: Literal["refuse", "give_up", "escalate", "settle"]
    reason: Annotated[str, Text(300, multiline=True)] = Field("", description="Needed for all but settle.")


@area.write(
    "/campaigns/{uid}/notices/{notice}/steps",
    who="signed_in",
    answer=NoticeOut,
    example={**examples.NOTICE, "status": "refused"},
    body_example={"action": "refuse", "reason": "门卫拒收信函。"},
    status=200,
    summary=gettext_lazy("登记通知的情况：拒收、无法联系、升级、核销"),
)
def take_notice_step(request: HttpRequest, uid: Named, notice: Named, body: TroubleIn) -> NoticeOut:
    """Write down trouble with a notice, or settle it."""
    actor = acting(request)
    campaign = campaign_for(actor, uid)
    require_side(actor, campaign)
    found = campaign_notice_for(actor, campaign, notice)
    note_trouble(by=actor, notice=found, action=body.action, reason=body.reason)
    return notices_out([campaign_notice_for(actor, campaign, notice)], Sight(actor, campaign))[0]


@area.write(
    "/notices/{uid}/posted",
    who="signed_in",
    answer=NoticeOut,
    example=examples.NOTICE,
    body_example={},
    status=200,
    summary=gettext_lazy("登记信函已寄出"),
)
def add_posting(request: HttpRequest, uid: Named, body: NothingIn) -> NoticeOut:
    """The letter was posted or handed over, by the issuer or by who knows the outsider."""
    actor = acting(request)
    found = letter_for(actor, uid)
    sight = Sight(actor, found.campaign)
    if Side.ISSUER not in sides_of(actor, found) or not sight.knows(found.organisation_id):
        raise NotFound(_("没有找到，或者您无权查看。"))
    mark_posted(by=actor, notice=found)
    return notices_out([letter_for(actor, uid)], sight)[0]
