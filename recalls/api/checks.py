"""Effectiveness checks on a drawn sample, and whether a firm is ready: exercises, contacts, measures."""

import datetime
from typing import Annotated, Literal

from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from pydantic import Field

from recalls.access import campaign_for, check_sample_for, drill_for, require_side
from recalls.actions.checks import draw_check, record_check
from recalls.actions.drills import ask_contacts, finish_gap
from recalls.api import examples
from recalls.api.area import area
from recalls.api.beside import DRILL, DrillOut, NothingIn, drill_out
from recalls.api.shapes import HolderOut
from recalls.models import Campaign, CheckRound, CheckSample
from recalls.readiness import Readiness, readiness
from recalls.sight import Sight
from trace.access import organisations_supervised_by, parse_uid
from trace.actor import Actor
from trace.api.auth import acting
from trace.api.schemas import In, Moment, Named, Out, Text, Whole
from trace.api.shapes import OrganisationRef
from trace.errors import NotFound
from trace.models import Organisation

MOST = 500


class CheckSampleOut(Out):
    """One sampled holder: `name` (round and place) is how results name it; the last result counts."""

    name: str
    notice: str
    holder: HolderOut
    method: str
    outcome: str
    checked_at: datetime.datetime | None


class CheckRoundOut(Out):
    """One round: level, share, how many of how many, the seed and the hash of the list it was drawn from."""

    number: int
    level: str
    percent: int
    population: int
    size: int
    seed: str
    pool_sha256: str
    at: datetime.datetime
    samples: list[CheckSampleOut]


ROUND = {
    "number": 1,
    "level": "B",
    "percent": 50,
    "population": 12,
    "size": 6,
    "seed": "07 12 23",
    "pool_sha256": examples.SCOPE_REF["sha256"],
    "at": "2026-11-24T01:00:00Z",
    "samples": [
        {
            "name": "1-1",
            "notice": "0199b0c0-0000-7000-8000-000000000026",
            "holder": {"organisation": examples.SHOP_REF, "label": "示例便民店", "region": "汾阳市"},
            "method": "phone",
            "outcome": "effective",
            "checked_at": "2026-11-24T02:00:00Z",
        }
    ],
}


def _rounds_out(actor: Actor, campaign: Campaign) -> list[CheckRoundOut]:
    """The rounds with at most 500 samples each, five queries."""
    sight = Sight(actor, campaign)
    rows = campaign.check_rounds.prefetch_related("samples__notice__organisation__division", "samples__results")
    return [_round_out(row, sight) for row in rows.order_by("-number")[:50]]


def _round_out(row: CheckRound, sight: Sight) -> CheckRoundOut:
    return CheckRoundOut(
        number=row.number,
        level=row.level,
        percent=row.percent,
        population=row.population,
        size=row.size,
        seed=row.seed,
        pool_sha256=row.pool_sha256,
        at=row.at,
        samples=[_sample_out(one, row.number, sight) for one in list(row.samples.all())[:MOST]],
    )


def _sample_out(row: CheckSample, number: int, sight: Sight) -> CheckSampleOut:
    last = max(row.results.all(), key=lambda one: one.pk, default=None)
    return CheckSampleOut(
        name=f"{number}-{row.position}",
        notice=str(row.notice.uid),
        holder=HolderOut.of(sight.holder(row.notice.organisation)),
        method=last.method if last else "",
        outcome=last.outcome if last else "",
        checked_at=last.checked_at if last else None,
    )


@area.read(
    "/campaigns/{uid}/checks",
    who="signed_in",
    answer=list[CheckRoundOut],
    example=[ROUND],
    summary=gettext_lazy("列出有效性核查"),
)
def list_checks(request: HttpRequest, uid: Named) -> list[CheckRoundOut]:
    """The rounds with their samples and results, the newest first."""
    actor = acting(request)
    campaign = campaign_for(actor, uid)
    require_side(actor, campaign)
    return _rounds_out(actor, campaign)


class DrawIn(In):
    """Which level; `percent` for level B alone; a seed that is kept (made where none is sent)."""

    level: Literal["A", "B", "C", "D"]
    percent: Annotated[int, Whole(1, 99)] | None = None
    seed: Annotated[str, Text(60)] = ""


@area.write(
    "/campaigns/{uid}/checks",
    who="signed_in",
    answer=list[CheckRoundOut],
    example=[ROUND],
    body_example={"level": "B", "percent": 50, "seed": "07 12 23"},
    summary=gettext_lazy("抽取核查样本"),
    description=gettext_lazy("由没有办理过这次召回、也没有通知过持有单位的人登录抽取（API 密钥不行）。"),
)
def draw_check_of(request: HttpRequest, uid: Named, body: DrawIn) -> list[CheckRoundOut]:
    """Draw a sample of the notices."""
    actor = acting(request)
    campaign = campaign_for(actor, uid)
    draw_check(by=actor, campaign=campaign, level=body.level, percent=body.percent, seed=body.seed)
    return _rounds_out(actor, campaign)


class CheckResultIn(In):
    """What was found at one sampled holder; the words are sealed."""

    method: Literal["phone", "visit", "document", "questionnaire"]
    outcome: Literal["effective", "not_acted", "not_informed", "on_sale", "no_contact"]
    checked_at: Moment | None = Field(None, description="Now, where left out.")
    words: Annotated[str, Text(500, multiline=True)] = ""


@area.write(
    "/campaigns/{uid}/checks/{sample}/results",
    who="signed_in",
    answer=CheckSampleOut,
    example=ROUND["samples"][0],
    body_example={"method": "phone", "outcome": "effective", "checked_at": "2026-11-24T10:00:00+08:00"},
    summary=gettext_lazy("登记核查结果"),
)
def add_check_result(request: HttpRequest, uid: Named, sample: str, body: CheckResultIn) -> CheckSampleOut:
    """Write down what was found; a later word follows an earlier one."""
    actor = acting(request)
    campaign = campaign_for(actor, uid)
    require_side(actor, campaign)
    found = check_sample_for(campaign, sample)
    record_check(
        by=actor,
        sample=found,
        method=body.method,
        outcome=body.outcome,
        words=body.words,
        checked_at=body.checked_at,
    )
    return _sample_out(found, found.round.number, Sight(actor, campaign))


# --- Readiness ------------------------------------------------------------------------------------------------------


class ReadinessOut(Out):
    """Whether a firm is ready to recall: `state` (good, attention, danger) fades by itself; `reasons` say why."""

    organisation: OrganisationRef
    state: str
    reasons: list[str]
    last_drill_at: datetime.datetime | None
    contacts_tested: int
    contacts_confirmed: int

    @classmethod
    def of(cls, one: Readiness) -> "ReadinessOut":
        """From the state."""
        return cls(
            organisation=OrganisationRef.of(one.organisation),
            state=one.tone,
            reasons=one.reasons,
            last_drill_at=one.last_drill.finished_at if one.last_drill else None,
            contacts_tested=one.tested,
            contacts_confirmed=one.confirmed,
        )


READY = {
    "organisation": examples.ORGANISATION_REF,
    "state": "danger",
    "reasons": ["还没有做过演练"],
    "last_drill_at": None,
    "contacts_tested": 0,
    "contacts_confirmed": 0,
}
_KINDS = (Organisation.Kind.PRODUCER, Organisation.Kind.COOPERATIVE)


@area.read(
    "/readiness",
    who="signed_in",
    answer=list[ReadinessOut],
    example=[READY],
    summary=gettext_lazy("召回准备状态"),
    description=gettext_lazy("本单位的；监管部门见辖区内每个生产单位的，最差的在前（最多 1000 个）。"),
)
def list_readiness(request: HttpRequest) -> list[ReadinessOut]:
    """The state of the caller's firm, or of every producer of the territory, worst first."""
    actor = acting(request)
    if not actor.is_regulator:
        return [ReadinessOut.of(one) for one in readiness([actor.owner])]
    firms = organisations_supervised_by(actor).filter(kind__in=_KINDS, status=Organisation.Status.ACTIVE)
    order = {"danger": 0, "attention": 1, "good": 2}
    states = sorted(readiness(firms.order_by("id")[:1000]), key=lambda one: (order[one.tone], one.organisation.pk))
    return [ReadinessOut.of(one) for one in states]


@area.read("/drills/{uid}", who="signed_in", answer=DrillOut, example=DRILL, summary=gettext_lazy("查看一次演练"))
def get_drill(request: HttpRequest, uid: Named) -> DrillOut:
    """One exercise with its traces."""
    return drill_out(drill_for(acting(request), uid))


class ContactTestsOut(Out):
    """How many were asked whether they would be reached, and how many have said so."""

    asked: int
    confirmed: int


@area.write(
    "/drills/{uid}/contact-tests",
    who="party",
    answer=ContactTestsOut,
    example={"asked": 7, "confirmed": 0},
    body_example={},
    roles=("quality", "owner"),
    summary=gettext_lazy("测试联系方式"),
    description=gettext_lazy("向每个客户发一条写明“演练”的消息，每天最多一次。"),
)
def test_contacts(request: HttpRequest, uid: Named, body: NothingIn) -> ContactTestsOut:
    """Ask everybody shipped to whether they would be reached."""
    actor = acting(request)
    drill = drill_for(actor, uid)
    ask_contacts(by=actor, drill=drill)
    tests = drill.tests.all()
    return ContactTestsOut(asked=tests.count(), confirmed=tests.exclude(confirmed_at=None).count())


class GapOut(Out):
    """A gap and its measure."""

    uid: str
    gap: str
    action: str
    responsible: str
    due_on: datetime.date
    done_at: datetime.datetime | None
    done_words: str


GAP = {
    "uid": "0199b0c0-0000-7000-8000-000000000061",
    "gap": "有客户没有邮箱",
    "action": "补登记",
    "responsible": "销售负责人",
    "due_on": "2026-12-20",
    "done_at": None,
    "done_words": "",
}


@area.read(
    "/drills/{uid}/gaps", who="signed_in", answer=list[GapOut], example=[GAP], summary=gettext_lazy("差距和措施")
)
def list_gaps(request: HttpRequest, uid: Named) -> list[GapOut]:
    """What an exercise showed and what is done about it."""
    rows = drill_for(acting(request), uid).gaps.all()[:200]
    return [
        GapOut(
            uid=str(row.uid),
            gap=row.gap,
            action=row.action,
            responsible=row.responsible,
            due_on=row.due_on,
            done_at=row.done_at,
            done_words=row.done_words,
        )
        for row in rows
    ]


class GapDoneIn(In):
    """What was done."""

    words: Annotated[str, Text(300, required=True)]


@area.write(
    "/drills/{uid}/gaps/{gap}/done",
    who="party",
    answer=list[GapOut],
    example=[{**GAP, "done_at": "2026-12-10T01:00:00Z", "done_words": "已补登记"}],
    body_example={"words": "已补登记"},
    roles=("quality", "owner"),
    status=200,
    summary=gettext_lazy("措施已完成"),
)
def finish_gap_of(request: HttpRequest, uid: Named, gap: Named, body: GapDoneIn) -> list[GapOut]:
    """The measure was taken."""
    actor = acting(request)
    found = drill_for(actor, uid).gaps.select_related("drill").filter(uid=parse_uid(gap)).first()
    if found is None:
        raise NotFound(_("没有找到，或者您无权查看。"))
    finish_gap(by=actor, gap=found, words=body.words)
    return list_gaps(request, uid)
