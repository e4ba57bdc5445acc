"""What each kind of person finds at home: what needs them, what they did last, where the territory stands."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Count, Max, Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from desk.lot_page import LotRow, lot_rows
from labels.access import suspicions_visible_to
from labels.models import ScanTally
from recalls.access import campaigns_visible_to, cases_visible_to, signals_visible_to
from recalls.models import Campaign, Publication, Signal
from recalls.notice_states import EscalationStep
from recalls.queries import (
    CampaignRow,
    asked_of_authority,
    asked_of_firm,
    campaign_rows,
    late_notices,
    narrowed,
    published,
    unread_notices,
)
from recalls.readiness import readiness
from recalls.transitions import OPEN, Status
from trace.access import (
    certificates_visible_to,
    conflicts_visible_to,
    entered_for,
    organisations_supervised_by,
    own_products,
    reports_visible_to,
)
from trace.actor import Actor
from trace.chasing import chased, reminded_of
from trace.event_templates import families
from trace.inventory import in_state
from trace.models import (
    Event,
    HoldSet,
    Licence,
    LogHead,
    Lot,
    LotClaim,
    Organisation,
    Shipment,
    TestReport,
    User,
)
from trace.parts import Number
from trace.report_questions import contradictory_reports, waiting_for_answer
from trace.shipping import OVERDUE_DAYS, Line, Wanted, find_shipments, in_hand, lines_of, waiting_for

LAPSING = datetime.timedelta(days=60)
RECENT = 8


@dataclass(frozen=True)
class Need:
    """One thing that waits for the reader: how many, in words, where to go. Only shown where ``count`` is not 0."""

    count: int
    label: str
    url: str
    icon: str
    tone: str = "attention"
    hint: str = ""


@dataclass(frozen=True)
class Doing:
    """One button of the usual work."""

    label: str
    url: str
    icon: str


@dataclass(frozen=True)
class Home:
    """A member's home. ``kind`` chooses the page; lists that do not belong to it are empty."""

    kind: str
    needs: Sequence[Need] = ()
    doings: Sequence[Doing] = ()
    lots: Sequence[LotRow] = ()
    waiting: Sequence[tuple[Shipment, Sequence[Line]]] = ()
    reports: Sequence[TestReport] = ()
    campaigns: Sequence[CampaignRow] = ()
    numbers: Sequence[Number] = ()
    stages: Sequence[tuple[Any, int]] = field(default_factory=tuple)


KINDS = {
    Organisation.Kind.PRODUCER: "producer",
    Organisation.Kind.COOPERATIVE: "producer",
    Organisation.Kind.GROWER: "grower",
    Organisation.Kind.DISTRIBUTOR: "trader",
    Organisation.Kind.RETAILER: "trader",
    Organisation.Kind.CARRIER: "trader",
    Organisation.Kind.LABORATORY: "laboratory",
    Organisation.Kind.ASSOCIATION: "association",
}
"""Which home an organisation has."""


def home_of(actor: Actor, *, now: datetime.datetime | None = None) -> Home:
    """The home of a member of a vetted organisation, a fixed number of queries whatever it has."""
    moment = now or timezone.now()
    if actor.is_regulator:
        return _regulator(actor, moment)
    kind = KINDS.get(Organisation.Kind(actor.owner.kind), "producer")
    if kind == "grower" or actor.on_behalf_of is not None:
        return _grower(actor, moment)
    if kind == "trader":
        return _trader(actor, moment)
    if kind == "laboratory":
        return _laboratory(actor, moment)
    if kind == "association":
        return _association(actor, moment)
    return _producer(actor, moment)


def _kept(needs: Sequence[Need]) -> list[Need]:
    """Only what there is."""
    return [need for need in needs if need.count]


def _links(*wanted: tuple[str, str, str]) -> list[Doing]:
    """Buttons: words, the page's name (or a step's code without colon), icon."""
    return [
        Doing(words, reverse(name) if ":" in name else reverse("trace:step_form", args=[name]), icon)
        for words, name, icon in wanted
    ]


def _harvest_step(actor: Actor) -> str:
    """The harvest form of what the grower grows; where that is not one thing, the page that asks which."""
    grown = [families()[code] for code in set(own_products(actor).values_list("family", flat=True)) & families().keys()]
    codes = {code for family in grown for code in family.templates if code.endswith(".harvest")}
    return codes.pop() if len(codes) == 1 else "trace:lot_new"


# --- What waits -----------------------------------------------------------------------------------------------------


def _common_needs(actor: Actor, now: datetime.datetime) -> list[Need]:
    """What may wait for any organisation that deals in goods."""
    mine = entered_for(actor)
    late = now - datetime.timedelta(days=OVERDUE_DAYS)
    silent = find_shipments(actor, Wanted(way="out", state="unconfirmed")).filter(sent_at__lt=late)
    conflicts = conflicts_visible_to(actor).filter(answered_at=None, voided_by=None)
    return [
        Need(unread_notices(actor), _("召回通知等您回答"), reverse("recalls:notice_list"), "recall", "danger"),
        Need(waiting_for(actor).count(), _("发货单等您确认收货"), reverse("trace:inbox"), "receive"),
        Need(conflicts.count(), _("登记有矛盾，请核对说明"), reverse("trace:conflict_list"), "warning"),
        Need(
            silent.filter(organisation__in=mine).count(),
            _("发货超过 %(n)d 天对方没有确认") % {"n": OVERDUE_DAYS},
            f"{reverse('trace:chase_list')}?kind=out&overdue=1",
            "clock",
        ),
        Need(reminded_of(actor).count(), _("对方催您处理的发货单"), _reminded_url(actor), "bell"),
        Need(
            chased(actor, "differences").count(),
            _("发货数量有差异，没有了结"),
            f"{reverse('trace:chase_list')}?kind=differences",
            "scale",
        ),
        Need(
            LotClaim.objects.filter(supplier__in=mine, status=LotClaim.Status.OPEN).count(),
            _("有单位说收到了本单位的批次，请确认"),
            f"{reverse('trace:claim_list')}?state=open",
            "link",
        ),
    ]


def _reminded_url(actor: Actor) -> str:
    """Where the shipments are that the other side reminded us of."""
    waiting = chased(actor, "in").filter(pk__in=reminded_of(actor).values("pk")).exists()
    return reverse("trace:inbox") if waiting else f"{reverse('trace:chase_list')}?kind=differences"


def _lapsing(actor: Actor, now: datetime.datetime) -> Need:
    """Certificates and licences that end within two months or have just ended."""
    today = timezone.localdate(now)
    until = today + LAPSING
    since = today - LAPSING
    mine = entered_for(actor)
    certificates = certificates_visible_to(actor).filter(
        organisation__in=mine, revoked_at=None, valid_until__gte=since, valid_until__lte=until
    )
    licences = Licence.objects.filter(
        organisation__in=mine, ended_at=None, valid_until__gte=since, valid_until__lte=until
    )
    return Need(
        certificates.count() + licences.count(),
        _("证书或证照快到期"),
        reverse("trace:certificate_list"),
        "calendar",
        hint=_("60 天内到期，或刚刚到期"),
    )


def _release_need(actor: Actor) -> Need:
    """Lots that wait for the quality officer."""
    return Need(
        in_state(Lot.objects.filter(organisation__in=entered_for(actor)), "waiting").count(),
        _("批次待放行"),
        _lot_list("waiting"),
        "shield",
        hint="" if actor.can("quality") else _("由质量负责人放行"),
    )


def _lot_list(state: str) -> str:
    """The list of lots narrowed to a state."""
    url = reverse("trace:lot_list")
    return f"{url}?state={state}" if url else ""


def _recall_needs(actor: Actor) -> list[Need]:
    """Open campaigns of one's own and signals nobody looked at."""
    open_ones = campaigns_visible_to(actor).filter(status__in=sorted(OPEN), is_drill=False)
    new = signals_visible_to(actor).filter(status=Signal.Status.NEW, is_drill=False)
    asked = asked_of_firm(open_ones, timezone.now())
    return [
        Need(asked.count(), _("召回：主管部门等您办理"), reverse("recalls:campaign_list"), "recall", "danger"),
        _late_need(
            late_notices(open_ones, EscalationStep.TELEPHONE, EscalationStep.REGULATOR),
            _("召回通知没有答复，请打电话"),
        ),
        Need(open_ones.count(), _("召回正在进行"), reverse("recalls:campaign_list"), "recall", "danger"),
        Need(new.count(), _("新的问题线索"), reverse("recalls:signal_list"), "flag"),
        *case_needs(actor),
    ]


def _late_need(late: list[tuple[uuid.UUID, int]], label: str) -> Need:
    """Notices nobody answered: to whom to telephone, in the recall with most of them."""
    url = reverse("recalls:campaign_calls", args=[late[0][0]]) if late else ""
    return Need(sum(count for _uid, count in late), label, url, "phone", "danger")


def case_needs(actor: Actor) -> list[Need]:
    """Complaints and claims of consumers that wait, and those nobody answered in time."""
    url = reverse("recalls:case_list")
    waiting = narrowed(cases_visible_to(actor), "", "open").count()
    late = narrowed(cases_visible_to(actor), "", "overdue").count()
    return [
        Need(late, _("消费者来件超过办理目标"), f"{url}?state=overdue", "clock", "danger"),
        Need(waiting - late, _("消费者来件等您答复"), url, "people"),
        Need(
            suspicions_visible_to(actor).filter(status="open").count(),
            _("可疑查询待核实"),
            reverse("labels:suspicion_list"),
            "qr",
        ),
    ]


# --- Homes ----------------------------------------------------------------------------------------------------------


def _recent(actor: Actor) -> list[LotRow]:
    """The lots registered last."""
    mine = entered_for(actor)
    rows = Lot.objects.filter(Q(organisation__in=mine) | Q(origin_event__organisation__in=mine), voided_by=None)
    lots = list(rows.select_related("product", "product_version", "organisation").order_by("-id")[:RECENT])
    return lot_rows(lots, mine)


def _ready(actor: Actor, now: datetime.datetime) -> Need:
    """Whether the firm is ready to recall: yellow and red by themselves as exercises and contact tests grow old. A firm
    without any lot has nothing to recall yet and is not alarmed.
    """
    if not Lot.objects.filter(organisation=actor.owner).exists():
        return Need(0, _("召回准备"), reverse("recalls:drill_list"), "recall")
    state = readiness([actor.owner], now=now)[0]
    hint = state.reasons[0] if state.reasons else ""
    return Need(len(state.reasons), state.label, reverse("recalls:drill_list"), "recall", state.tone, hint)


def _producer(actor: Actor, now: datetime.datetime) -> Home:
    """Producers and cooperatives."""
    needs = [*_common_needs(actor, now), *_recall_needs(actor), _release_need(actor), _lapsing(actor, now)]
    needs.append(_ready(actor, now))
    doings = _links(
        (_("登记批次"), "trace:lot_new", "plus"),
        (_("记录环节"), "trace:event_new", "edit"),
        (_("发货"), "trace:shipment_new", "truck"),
        (_("登记外购进货"), "trace:intake_new", "receive"),
        (_("现场记录（可离线）"), "trace:field", "camera"),
        (_("打印标签"), "labels:run_new", "label"),
        (_("录入检验报告"), "trace:report_new", "flask"),
        *(((_("代种植户录入"), "trace:grower_list", "people"),) if actor.organisation.kind == "cooperative" else ()),
    )
    return Home("producer", needs=_kept(needs), doings=doings, lots=_recent(actor))


def _grower(actor: Actor, now: datetime.datetime) -> Home:
    """Growers, and clerks entering for them: one large button."""
    doings = _links(
        (_("采收登记"), _harvest_step(actor), "leaf"),
        (_("农事记录"), "trace:event_new", "edit"),
        (_("现场记录（可离线）"), "trace:field", "camera"),
        (_("交货"), "trace:shipment_new", "truck"),
    )
    return Home("grower", needs=_kept(_common_needs(actor, now)), doings=doings, lots=_recent(actor))


def _trader(actor: Actor, now: datetime.datetime) -> Home:
    """Shops, distributors and carriers: receipts first, then what is on the shelf."""
    waiting = list(waiting_for(actor)[:3])
    lines = lines_of(waiting)
    lots = list(in_hand(actor)[:RECENT])
    doings = _links(
        (_("发货"), "trace:shipment_new", "truck"),
        (_("登记外购进货"), "trace:intake_new", "receive"),
        (_("登记零售"), "common.sell", "shop"),
        (_("现场记录（可离线）"), "trace:field", "camera"),
        (_("其他环节"), "trace:event_new", "edit"),
        (_("反映问题"), "recalls:signal_new", "flag"),
    )
    return Home(
        "trader",
        needs=_kept([*_common_needs(actor, now), _lapsing(actor, now)]),
        doings=doings,
        lots=lot_rows(lots, entered_for(actor)),
        waiting=[(row, lines.get(row.pk, [])) for row in waiting],
    )


def _laboratory(actor: Actor, now: datetime.datetime) -> Home:
    """Laboratories: reports."""
    reports = list(
        reports_visible_to(actor)
        .filter(Q(organisation__in=entered_for(actor)) | Q(laboratory=actor.owner))
        .select_related("lot__product_version", "lot__organisation")
        .order_by("-id")[:RECENT]
    )
    doings = _links((_("录入检验报告"), "trace:report_new", "plus"), (_("全部报告"), "trace:report_list", "flask"))
    waiting = Need(
        waiting_for_answer(actor.owner).count(),
        _("以本机构名义登记的报告等您确认"),
        reverse("trace:report_named"),
        "flask",
        hint=_("是本机构出具的就确认，不是就否认"),
    )
    return Home("laboratory", needs=_kept([waiting, _lapsing(actor, now)]), doings=doings, reports=reports)


def _association(actor: Actor, now: datetime.datetime) -> Home:
    """Trade associations: certificates they granted."""
    doings = _links((_("登记证书"), "trace:certificate_new", "plus"), (_("全部证书"), "trace:certificate_list", "file"))
    return Home("association", needs=_kept(_common_needs(actor, now)), doings=doings)


def _regulator(actor: Actor, now: datetime.datetime) -> Home:
    """The regulator's one screen: open campaigns with their clocks, what waits, and the territory in numbers."""
    running = campaigns_visible_to(actor).filter(status__in=sorted(OPEN), is_drill=False)
    open_ones = list(running.order_by("-id")[:20])
    counted = dict(running.order_by().values_list("status").annotate(n=Count("pk")).values_list("status", "n"))
    stages = [(status.label, counted[status.value]) for status in Status if status.value in counted]
    supervised = organisations_supervised_by(actor)
    late = now - datetime.timedelta(days=OVERDUE_DAYS)
    silent = find_shipments(actor, Wanted(state="unconfirmed")).filter(sent_at__lt=late)
    conflicts = conflicts_visible_to(actor).filter(answered_at=None, voided_by=None)
    signals = signals_visible_to(actor).filter(status=Signal.Status.NEW, is_drill=False)
    claims = reverse("trace:gtin_claim_list")
    failed = TestReport.objects.standing().filter(
        verdict=TestReport.Verdict.FAIL,
        at__gte=now - datetime.timedelta(days=30),
        lot__organisation__division__code__startswith=actor.organisation.territory,
    )
    asked = asked_of_authority(
        Campaign.objects.filter(authority=actor.organisation, is_drill=False, status__in=sorted(OPEN))
    )
    led = Campaign.objects.filter(
        Q(authority=actor.organisation) | Q(organisation__division__code__startswith=actor.organisation.territory),
        is_drill=False,
        status__in=sorted(OPEN),
    )
    needs = [
        _late_need(late_notices(led, EscalationStep.REGULATOR), _("召回通知一直没有答复，已报监管部门")),
        Need(
            asked.count(), _("召回：企业的异议或延期申请等您答复"), reverse("recalls:campaign_list"), "recall", "danger"
        ),
        Need(signals.count(), _("问题线索待处理"), reverse("recalls:signal_list"), "flag", "danger"),
        *case_needs(actor),
        Need(
            supervised.filter(status=Organisation.Status.APPLIED).count(),
            _("入驻申请待审核"),
            reverse("trace:application_list"),
            "shield",
        ),
        Need(
            supervised.filter(products__gtin_claim="claimed").values("products").distinct().count(),
            _("商品条码声明待核对"),
            claims,
            "qr",
        ),
        Need(conflicts.count(), _("登记矛盾未说明"), reverse("trace:conflict_list"), "warning"),
        Need(
            silent.count(),
            _("发货超过 %(n)d 天没有确认") % {"n": OVERDUE_DAYS},
            f"{reverse('trace:chase_list')}?kind=out&overdue=1",
            "truck",
        ),
        Need(
            chased(actor, "differences").count(),
            _("收发数量有差异，没有了结"),
            f"{reverse('trace:chase_list')}?kind=differences",
            "scale",
        ),
        Need(
            failed.count(),
            _("近 30 天不合格报告"),
            f"{reverse('trace:report_list')}?verdict=fail",
            "flask",
            "danger",
        ),
        Need(
            contradictory_reports(actor).count(),
            _("检验报告有矛盾"),
            reverse("trace:report_contradictions"),
            "flask",
        ),
    ]
    doings = _links(
        (_("登记线索"), "recalls:signal_new", "flag"),
        (_("追溯查询"), "trace:console", "graph"),
        (_("录入抽检结果"), "trace:report_new", "flask"),
    )
    return Home(
        "regulator",
        needs=_kept(needs),
        doings=doings,
        campaigns=campaign_rows(open_ones),
        stages=stages,
        numbers=_territory(actor, now),
    )


def _territory(actor: Actor, now: datetime.datetime) -> list[Number]:
    """The territory in numbers."""
    month = now - datetime.timedelta(days=30)
    lots = Lot.objects.filter(organisation__division__code__startswith=actor.organisation.territory, voided_by=None)
    active = organisations_supervised_by(actor).filter(status=Organisation.Status.ACTIVE)
    held = HoldSet.objects.filter(
        active_from__isnull=False, ended_at=None, organisation__division__code__startswith=actor.organisation.territory
    )
    counted = lots.aggregate(all=Count("pk"), fresh=Count("pk", filter=Q(begun_at__gte=month)))
    return [
        Number(_("入驻单位"), active.count(), url=reverse("trace:supervised_list")),
        Number(
            _("已登记批次"),
            counted["all"],
            note=_("近 30 天 %(n)d 个") % {"n": counted["fresh"]},
            url=reverse("trace:lot_list"),
        ),
        Number(_("封存、停售、召回中"), held.count(), note=_("次决定"), url=reverse("trace:hold_list")),
    ]


# --- Operators and strangers ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class OperatorHome:
    """What the installation's operator watches."""

    numbers: Sequence[Number]
    needs: Sequence[Need]
    last_event_at: datetime.datetime | None


def operator_home(*, now: datetime.datetime | None = None) -> OperatorHome:
    """Counts of the whole installation; no goods of anybody."""
    states = dict(Organisation.objects.values_list("status").annotate(n=Count("pk")).values_list("status", "n"))
    regulators = Organisation.objects.filter(kind=Organisation.Kind.REGULATOR).count()
    head = LogHead.objects.values_list("last", flat=True).first() or 0
    needs = [
        Need(
            0 if regulators else 1,
            _("还没有监管部门：登记之后，别的单位才有人审核"),
            reverse("trace:operator_list"),
            "shield",
        ),
        Need(
            states.get(Organisation.Status.APPLIED, 0),
            _("入驻申请等监管部门审核"),
            reverse("trace:operator_list"),
            "people",
        ),
    ]
    return OperatorHome(
        numbers=[
            Number(_("已入驻单位"), states.get(Organisation.Status.ACTIVE, 0), url=reverse("trace:operator_list")),
            Number(_("可登录的人"), User.objects.filter(is_active=True).count()),
            Number(_("登记的事件"), head, note=_("日志编号到此为止")),
            Number(_("被扫描的码"), ScanTally.objects.count()),
        ],
        needs=_kept(needs),
        last_event_at=Event.objects.aggregate(at=Max("recorded_at"))["at"],
    )


@dataclass(frozen=True)
class Portal:
    """The public front: recalls announced last, and what the system holds."""

    recalls: Sequence[Publication]
    numbers: Sequence[Number]


def portal() -> Portal:
    """What strangers see at the front door. Four queries."""
    seen: dict[int, Publication] = {}
    for publication in published()[:12]:
        seen.setdefault(publication.notice.campaign_id, publication)
    active = Organisation.objects.vetted().exclude(kind=Organisation.Kind.REGULATOR).count()
    return Portal(
        recalls=list(seen.values())[:3],
        numbers=[
            Number(_("入驻单位"), active),
            Number(_("已登记批次"), Lot.objects.filter(voided_by=None).count()),
            Number(_("已公告召回"), Campaign.objects.filter(is_drill=False, announced_at__isnull=False).count()),
        ],
    )
