"""Who told whom, and the answers on a notice with who gave them: judged where they were not the recipient's own."""

import datetime

from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from ninja import Query
from pydantic import Field

from recalls.access import campaign_for, require_side
from recalls.actions.calls import set_aside, uphold
from recalls.api import examples
from recalls.api.area import area
from recalls.api.shapes import HolderOut
from recalls.models import Notice
from recalls.sight import Sight, known_notice
from recalls.tree import tiers
from trace.access import parse_uid
from trace.api.auth import acting
from trace.api.examples import page
from trace.api.given import WrittenReason
from trace.api.paging import Feed, Page, turn
from trace.api.schemas import In, Named, Out, Uid
from trace.errors import NotFound
from trace.personal import reveal


class TierOut(Out):
    """The counts of one tier: 1 was told by records, the rest by those before them."""

    tier: int
    notices: int
    acknowledged: int
    answered: int


@area.read(
    "/campaigns/{uid}/tiers",
    who="signed_in",
    answer=list[TierOut],
    example=[{"tier": 1, "notices": 12, "acknowledged": 9, "answered": 7}],
    summary=gettext_lazy("各层进度"),
)
def list_tiers(request: HttpRequest, uid: Named) -> list[TierOut]:
    """How far each tier is."""
    actor = acting(request)
    campaign = campaign_for(actor, uid)
    require_side(actor, campaign)
    return [
        TierOut(tier=one.number, notices=one.notices, acknowledged=one.reached, answered=one.answered)
        for one in tiers(campaign)
    ]


class TwigOut(Out):
    """One notice in the tree: `parent` is the notice whose recipient passed it on, null for those of the records."""

    notice: str
    parent: str | None
    tier: int
    holder: HolderOut
    status: str
    escalation: str


def _twigs(rows: list[Notice], sight: Sight) -> list[TwigOut]:
    return [
        TwigOut(
            notice=str(row.uid),
            parent=str(row.parent.uid) if row.parent is not None else None,
            tier=row.tier,
            holder=HolderOut.of(sight.holder(row.organisation)),
            status=row.status,
            escalation=row.escalation,
        )
        for row in rows
    ]


@area.read(
    "/campaigns/{uid}/tree",
    who="signed_in",
    answer=Page[TwigOut],
    example=page(
        {
            "notice": "0199b0c0-0000-7000-8000-000000000026",
            "parent": None,
            "tier": 1,
            "holder": {"organisation": examples.SHOP_REF, "label": "示例便民店", "region": "汾阳市"},
            "status": "acknowledged",
            "escalation": "",
        }
    ),
    summary=gettext_lazy("通知树：谁通知了谁"),
)
def list_tree(request: HttpRequest, uid: Named, paging: Query[Feed]) -> Page[TwigOut]:
    """Every notice with whose recipient passed it on and how far it was escalated."""
    actor = acting(request)
    campaign = campaign_for(actor, uid)
    require_side(actor, campaign)
    sight = Sight(actor, campaign)
    rows = Notice.objects.filter(campaign=campaign).select_related("organisation__division", "parent")
    return turn(rows, paging, lambda found: _twigs(list(found), sight))


# --- Answers --------------------------------------------------------------------------------------------------------


class GivenOut(Out):
    """One answer: who gave it and how; `set_aside_at` where it was judged not to be the recipient's own."""

    uid: str
    channel: str
    name: str
    at: datetime.datetime
    set_aside_at: datetime.datetime | None


GIVEN = {
    "uid": "0199b0c0-0000-7000-8000-000000000071",
    "channel": "link",
    "name": "示例店主",
    "at": "2026-11-22T07:00:00Z",
    "set_aside_at": None,
}


def _given(found: Notice) -> list[GivenOut]:
    rows = found.acknowledgements.select_related("name", "by", "set_aside").order_by("-id")[:100]
    return [
        GivenOut(
            uid=str(row.uid),
            channel=row.channel,
            name=reveal(row.name) or (row.by.display_name if row.by else ""),
            at=row.at,
            set_aside_at=row.set_aside.at if getattr(row, "set_aside", None) is not None else None,
        )
        for row in rows
    ]


@area.read(
    "/campaigns/{uid}/notices/{notice}/answers",
    who="signed_in",
    answer=list[GivenOut],
    example=[GIVEN],
    summary=gettext_lazy("一份通知的全部答复"),
)
def list_answers(request: HttpRequest, uid: Named, notice: Named) -> list[GivenOut]:
    """Every answer on a notice with who gave it, the newest first."""
    return _given(known_notice(acting(request), uid, notice)[1])


class JudgementIn(In):
    """Why. `answer` is the one to set aside; left out, what was disputed stands."""

    reason: WrittenReason
    answer: Uid | None = Field(None)


@area.write(
    "/campaigns/{uid}/notices/{notice}/answers",
    who="signed_in",
    answer=list[GivenOut],
    example=[{**GIVEN, "set_aside_at": "2026-11-22T09:00:00Z"}],
    body_example={"answer": GIVEN["uid"], "reason": "电话核实：不是收件单位作的。"},
    status=200,
    summary=gettext_lazy("核实答复：作废一条，或维持"),
)
def judge_answer(request: HttpRequest, uid: Named, notice: Named, body: JudgementIn) -> list[GivenOut]:
    """Set an answer aside, or let it stand."""
    actor = acting(request)
    _campaign, found = known_notice(actor, uid, notice)
    if body.answer is None:
        uphold(by=actor, notice=found, reason=body.reason)
    else:
        row = found.acknowledgements.filter(uid=parse_uid(body.answer)).first()
        if row is None:
            raise NotFound(_("没有找到，或者您无权查看。"))
        set_aside(by=actor, notice=found, acknowledgement=row, reason=body.reason)
    return _given(found)
