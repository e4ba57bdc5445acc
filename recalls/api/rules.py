"""What holds for every recall: working days, how long the ladder waits, risk warnings, addresses told of notices."""

import datetime
from typing import Annotated, Any, Literal

from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from ninja import Query
from pydantic import Field

from recalls.access import campaign_for, require_side, warning_for, warnings_visible_to
from recalls.actions.calls import LONGEST, set_waiting_times
from recalls.actions.clocks import load_notice, preview_notice
from recalls.actions.hooks import add_webhook, end_webhook, rotate_secret, try_again
from recalls.actions.notices import waiting_times
from recalls.actions.warnings import draft_warning, end_warning, publish_warning, submit_warning
from recalls.api import examples
from recalls.api.area import area
from recalls.api.beside import NothingIn
from recalls.api.shapes import ClockOut
from recalls.law import Level
from recalls.models import ClockInstance, EscalationRule, RiskWarning, Webhook, WebhookDelivery
from recalls.queries import calendar_loads, calendar_sources, running_clock, work_calendar
from trace.access import parse_uid
from trace.actor import Actor
from trace.api.auth import acting
from trace.api.examples import page
from trace.api.paging import Feed, Page, turn
from trace.api.schemas import In, Named, Out, Text, Whole
from trace.api.shapes import OrganisationRef
from trace.errors import NotFound

# --- Working days ---------------------------------------------------------------------------------------------------


class KnownDaysOut(Out):
    """Days known from one source: the first, the last, how many."""

    source: str
    first: datetime.date
    last: datetime.date
    days: int


class LoadOut(Out):
    """One notice that was loaded: its days, how many were new or changed, how many limits moved."""

    source: str
    first: datetime.date
    last: datetime.date
    days: int
    new: int
    changed: int
    moved: int
    sha256: str
    at: datetime.datetime


class WorkdaysOut(Out):
    """What is known of working days, and the last fifty notices loaded."""

    known: list[KnownDaysOut]
    loads: list[LoadOut]


SOURCE = "国办发明电〔示例〕1号 · 汾阳市示例市场监管局"
WORKDAYS = {
    "known": [{"source": SOURCE, "first": "2027-01-01", "last": "2027-12-31", "days": 365}],
    "loads": [
        {
            "source": SOURCE,
            "first": "2027-01-01",
            "last": "2027-12-31",
            "days": 365,
            "new": 365,
            "changed": 0,
            "moved": 2,
            "sha256": examples.SCOPE_REF["sha256"],
            "at": "2026-11-22T06:00:00Z",
        }
    ],
}


@area.read(
    "/workdays", who="regulator", answer=WorkdaysOut, example=WORKDAYS, summary=gettext_lazy("已知的工作日和录入记录")
)
def get_workdays(request: HttpRequest) -> WorkdaysOut:
    """Where the known days come from; a limit beyond them is provisional."""
    return WorkdaysOut(
        known=[KnownDaysOut(**row) for row in calendar_sources()],  # type: ignore[arg-type]
        loads=[
            LoadOut(
                source=row.source,
                first=row.first_on,
                last=row.last_on,
                days=row.days,
                new=row.new,
                changed=row.changed,
                moved=row.moved,
                sha256=row.sha256,
                at=row.at,
            )
            for row in calendar_loads()
        ],
    )


class WorkdaysIn(In):
    """A holiday notice. With `only_check` nothing changes: the answer says what loading it would do."""

    source: Annotated[str, Text(120, required=True)] = Field(description="The notice's number.")
    text: Annotated[str, Text(20_000, multiline=True, required=True)] = Field(
        description="One day a line without gaps: `2027-01-01,0`; 1 is a working day, 0 is none."
    )
    only_check: bool = False


class LoadedOut(Out):
    """What a notice does or would do. `moves` are the limits that get another time."""

    loaded: bool
    first: datetime.date
    last: datetime.date
    workdays: int
    makeup_days: list[datetime.date]
    weekday_holidays: list[datetime.date]
    new: int
    changed: int
    moves: int


@area.write(
    "/workdays",
    who="regulator",
    answer=LoadedOut,
    example={
        "loaded": True,
        "first": "2027-01-01",
        "last": "2027-01-03",
        "workdays": 1,
        "makeup_days": ["2027-01-03"],
        "weekday_holidays": ["2027-01-01"],
        "new": 3,
        "changed": 0,
        "moves": 0,
    },
    body_example={"source": "国办发明电〔示例〕1号", "text": "2027-01-01,0\n2027-01-02,0\n2027-01-03,1"},
    roles=("approver",),
    summary=gettext_lazy("录入放假安排"),
)
def add_workdays(request: HttpRequest, body: WorkdaysIn) -> LoadedOut:
    """Load the days of a notice; running limits are counted again."""
    actor = acting(request)
    seen = preview_notice(by=actor, text=body.text)
    moves = seen.moves if body.only_check else load_notice(by=actor, text=body.text, source=body.source)
    return LoadedOut(
        loaded=not body.only_check,
        first=seen.first,
        last=seen.last,
        workdays=seen.workdays,
        makeup_days=seen.makeup_days,
        weekday_holidays=seen.weekday_holidays,
        new=seen.new,
        changed=seen.changed,
        moves=moves,
    )


# --- How long the ladder waits --------------------------------------------------------------------------------------


class WaitOut(Out):
    """Minutes without an answer after which a notice of this level is sent again, telephoned, reported."""

    level: int
    resend: int
    telephone: int
    regulator: int


WAITS = [{"level": 1, "resend": 120, "telephone": 240, "regulator": 480}]


def _waits() -> list[WaitOut]:
    found = []
    for level in Level:
        resend, telephone, regulator = (int(after.total_seconds() // 60) for after, _step in waiting_times(level))
        found.append(WaitOut(level=level.value, resend=resend, telephone=telephone, regulator=regulator))
    return found


@area.read("/waiting-times", who="signed_in", answer=list[WaitOut], example=WAITS, summary=gettext_lazy("各级催办时限"))
def list_waiting_times(request: HttpRequest) -> list[WaitOut]:
    """The times in force, level by level."""
    acting(request)
    return _waits()


class WaitRuleOut(WaitOut):
    """One statement of the times of a level: who said so when, and why. The latest of a level counts."""

    reason: str
    by_organisation: OrganisationRef | None
    at: datetime.datetime


@area.read(
    "/waiting-times/history",
    who="regulator",
    answer=Page[WaitRuleOut],
    example=page(
        {
            **WAITS[0],
            "reason": "示例：春节期间值班安排",
            "by_organisation": examples.BUREAU_REF,
            "at": "2026-11-22T06:00:00Z",
        }
    ),
    summary=gettext_lazy("催办时限的历次规定"),
)
def list_waiting_rules(request: HttpRequest, paging: Query[Feed]) -> Page[WaitRuleOut]:
    """Every statement of the times, the newest first; none means the house's defaults."""
    acting(request)
    rows = EscalationRule.objects.select_related("by_organisation")
    return turn(rows, paging, lambda found: [_rule_out(row) for row in found])


def _rule_out(row: EscalationRule) -> WaitRuleOut:
    return WaitRuleOut(
        level=row.level,
        resend=row.resend_minutes,
        telephone=row.telephone_minutes,
        regulator=row.regulator_minutes,
        reason=row.reason,
        by_organisation=OrganisationRef.of(row.by_organisation) if row.by_organisation is not None else None,
        at=row.at,
    )


Minutes = Annotated[int, Whole(5, LONGEST)]


class WaitIn(In):
    """Other times for one level, for the whole installation, and why."""

    level: Annotated[int, Whole(1, 9)]
    resend: Minutes
    telephone: Minutes
    regulator: Minutes
    reason: Annotated[str, Text(500, multiline=True, required=True)]


@area.write(
    "/waiting-times",
    who="regulator",
    answer=list[WaitOut],
    example=WAITS,
    body_example={**WAITS[0], "reason": "示例：春节期间值班安排"},
    roles=("approver",),
    summary=gettext_lazy("规定催办时限"),
)
def add_waiting_times(request: HttpRequest, body: WaitIn) -> list[WaitOut]:
    """State the times of a level; earlier ones stay in the history."""
    set_waiting_times(
        by=acting(request),
        level=body.level,
        resend=body.resend,
        telephone=body.telephone,
        regulator=body.regulator,
        reason=body.reason,
    )
    return _waits()


# --- Limits of one recall, and how they moved -----------------------------------------------------------------------


class ClockMoveOut(Out):
    """One time a limit moved: the calendar came out, or the authority granted an extension."""

    old_due_at: datetime.datetime
    new_due_at: datetime.datetime
    reason: str
    at: datetime.datetime


class ClockHistoryOut(ClockOut):
    """A limit with every time it moved. `occurrence` counts periodic ones and those that began again, `superseded_at`
    says that another level or form made it not apply, `unknown_from` is the first day nobody knows to be a working day.
    """

    occurrence: int
    unknown_from: datetime.date | None
    superseded_at: datetime.datetime | None
    extension: str
    moves: list[ClockMoveOut]


@area.read(
    "/campaigns/{uid}/limits",
    who="signed_in",
    answer=list[ClockHistoryOut],
    example=[
        {
            **examples.CLOCK,
            "occurrence": 1,
            "unknown_from": None,
            "superseded_at": None,
            "extension": "",
            "moves": [
                {
                    "old_due_at": "2027-01-04T16:00:00Z",
                    "new_due_at": "2027-01-05T16:00:00Z",
                    "reason": "放假安排已公布，重新计算。",
                    "at": "2026-11-22T06:00:00Z",
                }
            ],
        }
    ],
    summary=gettext_lazy("一次召回的时限，以及历次变动"),
)
def list_limits(request: HttpRequest, uid: Named) -> list[ClockHistoryOut]:
    """Every limit, also those replaced, with how it moved."""
    actor = acting(request)
    campaign = campaign_for(actor, uid)
    require_side(actor, campaign)
    rows = ClockInstance.objects.filter(campaign=campaign).select_related("campaign").prefetch_related("changes")
    calendar = work_calendar()
    return [
        ClockHistoryOut(
            **dict(ClockOut.of(running_clock(row, calendar))),
            occurrence=row.occurrence,
            unknown_from=row.unknown_from,
            superseded_at=row.superseded_at,
            extension=row.extension,
            moves=[
                ClockMoveOut(old_due_at=one.old_due_at, new_due_at=one.new_due_at, reason=one.reason, at=one.at)
                for one in row.changes.all()
            ],
        )
        for row in rows.order_by("due_at", "id")
    ]


# --- Risk warnings --------------------------------------------------------------------------------------------------


class WarningOut(Out):
    """One risk warning; `publisher` is null until a province published it (food safety law, article 118)."""

    uid: str
    title: str
    text: str
    advice: str
    goods: str
    area: str
    basis: str
    status: str
    organisation: OrganisationRef
    drafted_at: datetime.datetime
    publisher: OrganisationRef | None
    published_at: datetime.datetime | None
    ended_at: datetime.datetime | None
    end_reason: str

    @classmethod
    def of(cls, row: RiskWarning) -> "WarningOut":
        """From the row (organisations selected)."""
        return cls(
            uid=str(row.uid),
            title=row.title,
            text=row.text,
            advice=row.advice,
            goods=row.goods,
            area=row.area,
            basis=row.basis,
            status=row.status,
            organisation=OrganisationRef.of(row.organisation),
            drafted_at=row.drafted_at,
            publisher=OrganisationRef.of(row.publisher) if row.publisher is not None else None,
            published_at=row.published_at,
            ended_at=row.ended_at,
            end_reason=row.end_reason,
        )


WORDS = {
    "title": "示例：散装核桃仁黄曲霉毒素风险警示",
    "text": "示例：抽检发现多家散装核桃仁超标。",
    "advice": "不食用霉变、有哈喇味的核桃仁。",
    "goods": "散装核桃仁",
    "area": "山西省",
    "basis": "示例抽检报告",
}
WARNING = {
    "uid": "0199b0c0-0000-7000-8000-000000000091",
    **WORDS,
    "status": "draft",
    "organisation": examples.BUREAU_REF,
    "drafted_at": "2026-11-23T02:00:00Z",
    "publisher": None,
    "published_at": None,
    "ended_at": None,
    "end_reason": "",
}


@area.read(
    "/warnings",
    who="signed_in",
    answer=Page[WarningOut],
    example=page(WARNING),
    summary=gettext_lazy("列出风险警示"),
    description=gettext_lazy("已发布的；监管部门另见本单位的草稿和下级上报的。"),
)
def list_warnings(request: HttpRequest, paging: Query[Feed]) -> Page[WarningOut]:
    """Risk warnings the caller may read."""
    rows = warnings_visible_to(acting(request))
    return turn(rows, paging, lambda found: [WarningOut.of(row) for row in found])


@area.read(
    "/warnings/{uid}", who="signed_in", answer=WarningOut, example=WARNING, summary=gettext_lazy("查看一条风险警示")
)
def get_warning(request: HttpRequest, uid: Named) -> WarningOut:
    """One risk warning."""
    return WarningOut.of(warning_for(acting(request), uid))


class WarningIn(In):
    """The words of a risk warning: all of them are needed."""

    title: Annotated[str, Text(120, required=True)]
    text: Annotated[str, Text(2000, multiline=True, required=True)]
    advice: Annotated[str, Text(1000, multiline=True, required=True)]
    goods: Annotated[str, Text(300, multiline=True, required=True)]
    area: Annotated[str, Text(200, required=True)]
    basis: Annotated[str, Text(500, multiline=True, required=True)]


@area.write(
    "/warnings",
    who="regulator",
    answer=WarningOut,
    example=WARNING,
    body_example=WORDS,
    roles=("officer", "approver"),
    summary=gettext_lazy("起草风险警示"),
    description=gettext_lazy("须由本人登录（API 密钥不行）。"),
)
def add_warning(request: HttpRequest, body: WarningIn) -> WarningOut:
    """Draft a risk warning; nobody else sees it yet."""
    return WarningOut.of(draft_warning(by=acting(request), **body.model_dump()))


class WarningStepIn(In):
    """What is done with it; `reason` for `end` alone."""

    action: Literal["submit", "publish", "end"]
    reason: Annotated[str, Text(300, multiline=True)] = ""


@area.write(
    "/warnings/{uid}/steps",
    who="regulator",
    answer=WarningOut,
    example={**WARNING, "status": "submitted"},
    body_example={"action": "submit"},
    status=200,
    roles=("officer", "approver"),
    summary=gettext_lazy("上报、发布、解除风险警示"),
    description=gettext_lazy("发布只能由国家或省级部门，且不是起草人。"),
)
def take_warning_step(request: HttpRequest, uid: Named, body: WarningStepIn) -> WarningOut:
    """Report a draft to the province, publish it there, or lift it."""
    actor = acting(request)
    found = warning_for(actor, uid)
    if body.action == "submit":
        submit_warning(by=actor, warning=found)
    elif body.action == "publish":
        publish_warning(by=actor, warning=found)
    else:
        end_warning(by=actor, warning=found, reason=body.reason)
    return WarningOut.of(found)


# --- Addresses told of notices --------------------------------------------------------------------------------------


class WebhookOut(Out):
    """One address of one's own; `old_until` is how long the secret before signs too."""

    uid: str
    url: str
    created_at: datetime.datetime
    old_until: datetime.datetime | None
    ended_at: datetime.datetime | None

    @classmethod
    def of(cls, row: Webhook) -> "WebhookOut":
        """From the row; secrets are never shown again."""
        return cls(
            uid=str(row.uid), url=row.url, created_at=row.created_at, old_until=row.old_until, ended_at=row.ended_at
        )


WEBHOOK: dict[str, Any] = {
    "uid": "0199b0c0-0000-7000-8000-000000000092",
    "url": "https://erp.example.com/recalls",
    "created_at": "2026-11-22T06:00:00Z",
    "old_until": None,
    "ended_at": None,
}


def _owner(request: HttpRequest) -> Actor:
    actor = acting(request)
    actor.require("owner", "approver")
    return actor


@area.read(
    "/webhooks",
    who="signed_in",
    answer=list[WebhookOut],
    example=[WEBHOOK],
    summary=gettext_lazy("列出推送地址"),
)
def list_webhooks(request: HttpRequest) -> list[WebhookOut]:
    """The addresses in use."""
    rows = Webhook.objects.filter(organisation=_owner(request).organisation, ended_at=None)
    return [WebhookOut.of(row) for row in rows]


class SecretOut(WebhookOut):
    """An address with its secret. `secret` is in the first answer alone and never kept: the same request again (and
    every other answer) has null. Whoever lost it changes it.
    """

    secret: str | None

    @classmethod
    def made(cls, row: Webhook, secret: str) -> "SecretOut":
        """From the row and the secret just made."""
        return cls(**dict(WebhookOut.of(row)), secret=secret)


Secret = Annotated[str, Text(200)]
_OWN = gettext_lazy(
    "可以自带密钥（32 到 200 个可见的 ASCII 字符，由随机数产生），不带就由系统生成。"
    "密钥只在第一次答复里，不保存在请求记录里：同一请求再发一次，secret 为空；"
    "没收到的，请更换。须由本人登录（API 密钥不行）。"
)
SECRET = {**WEBHOOK, "secret": "c2f1b7…"}


class WebhookIn(In):
    """An address: https, public; and the receiver's own secret, if it brings one."""

    url: Annotated[str, Text(300, required=True)]
    secret: Secret = ""


@area.write(
    "/webhooks",
    who="signed_in",
    answer=SecretOut,
    example=SECRET,
    body_example={"url": WEBHOOK["url"]},
    summary=gettext_lazy("登记推送地址"),
    description=_OWN,
    shown_once=("secret",),
)
def add_address(request: HttpRequest, body: WebhookIn) -> SecretOut:
    """Register an address to be told at."""
    return SecretOut.made(*add_webhook(by=_owner(request), url=body.url, secret=body.secret))


class SecretIn(In):
    """The receiver's own secret, if it brings one."""

    secret: Secret = ""


def _hook(actor: Actor, uid: str) -> Webhook:
    rows = Webhook.objects.select_related("secret", "old_secret", "organisation")
    found = rows.filter(organisation=actor.organisation, uid=parse_uid(uid)).first()
    if found is None:
        raise NotFound(_("没有找到，或者您无权查看。"))
    return found


@area.write(
    "/webhooks/{uid}/secret",
    who="signed_in",
    answer=SecretOut,
    example={**SECRET, "old_until": "2026-11-24T06:00:00Z"},
    body_example={},
    status=200,
    summary=gettext_lazy("更换推送密钥（旧密钥再用一天）"),
    description=_OWN,
    shown_once=("secret",),
)
def change_secret(request: HttpRequest, uid: Named, body: SecretIn) -> SecretOut:
    """Change the secret of an address; the one before signs beside it for a day."""
    actor = _owner(request)
    secret = rotate_secret(by=actor, hook=_hook(actor, uid), secret=body.secret)
    return SecretOut.made(_hook(actor, uid), secret)


@area.write(
    "/webhooks/{uid}/end",
    who="signed_in",
    answer=WebhookOut,
    example={**WEBHOOK, "ended_at": "2026-11-23T06:00:00Z"},
    body_example={},
    status=200,
    summary=gettext_lazy("停止推送"),
    description=gettext_lazy("须由本人登录（API 密钥不行）。"),
)
def stop_webhook(request: HttpRequest, uid: Named, body: NothingIn) -> WebhookOut:
    """Stop telling an address; what waits is given up."""
    actor = _owner(request)
    return WebhookOut.of(end_webhook(by=actor, hook=_hook(actor, uid)))


class DeliveryOut(Out):
    """One message to one address: `sent_at` when it was taken, `failed_at` when it was given up."""

    uid: str
    webhook: str
    event: str
    created_at: datetime.datetime
    attempts: int
    status_code: int | None
    error: str
    sent_at: datetime.datetime | None
    failed_at: datetime.datetime | None

    @classmethod
    def of(cls, row: WebhookDelivery) -> "DeliveryOut":
        """From the row (address selected)."""
        return cls(
            uid=str(row.uid),
            webhook=str(row.webhook.uid),
            event=row.event,
            created_at=row.created_at,
            attempts=row.attempts,
            status_code=row.status_code,
            error=row.error,
            sent_at=row.sent_at,
            failed_at=row.failed_at,
        )


DELIVERY = {
    "uid": "0199b0c0-0000-7000-8000-000000000093",
    "webhook": WEBHOOK["uid"],
    "event": "notice",
    "created_at": "2026-11-22T06:10:00Z",
    "attempts": 1,
    "status_code": 204,
    "error": "",
    "sent_at": "2026-11-22T06:10:02Z",
    "failed_at": None,
}


@area.read(
    "/webhook-deliveries",
    who="signed_in",
    answer=Page[DeliveryOut],
    example=page(DELIVERY),
    summary=gettext_lazy("推送记录"),
)
def list_deliveries(request: HttpRequest, paging: Query[Feed]) -> Page[DeliveryOut]:
    """What was sent to one's addresses and how that went."""
    rows = WebhookDelivery.objects.filter(webhook__organisation=_owner(request).organisation).select_related("webhook")
    return turn(rows, paging, lambda found: [DeliveryOut.of(row) for row in found])


@area.write(
    "/webhook-deliveries/{uid}/again",
    who="signed_in",
    answer=DeliveryOut,
    example={**DELIVERY, "status_code": None, "attempts": 0, "sent_at": None},
    body_example={},
    status=200,
    summary=gettext_lazy("再推送一次"),
    description=gettext_lazy("须由本人登录（API 密钥不行）。"),
)
def send_delivery_again(request: HttpRequest, uid: Named, body: NothingIn) -> DeliveryOut:
    """Put a delivery that was given up back into the queue."""
    actor = _owner(request)
    rows = WebhookDelivery.objects.filter(webhook__organisation=actor.organisation).select_related("webhook")
    found = rows.filter(uid=parse_uid(uid)).first()
    if found is None:
        raise NotFound(_("没有找到，或者您无权查看。"))
    try_again(by=actor, delivery=found)
    found.refresh_from_db()
    return DeliveryOut.of(found)
