"""What the authority does in a recall by a document it serves: written down once, checked where a step needs it."""

from __future__ import annotations

import datetime

from django.db import transaction
from django.utils import timezone, translation
from django.utils.translation import gettext as _

from recalls.access import supervises_campaign
from recalls.actions.clocks import record_fact
from recalls.actions.moves import proposal_of, write_step
from recalls.errors import DrillStaysInside
from recalls.guards import Given
from recalls.law import LegalEvent, Tier, competent_authority, regime
from recalls.law.authority import DIGITS
from recalls.models import Campaign, CampaignStep, ClockInstance, RegulatorAct
from trace.access import entered_for
from trace.actor import Actor
from trace.errors import Clash, Invalid, NotAllowed
from trace.models import StoredFile
from trace.text import clean_text

Kind = RegulatorAct.Kind

BY_STEP = frozenset({Kind.ORDER_RECALL, Kind.EXTENSION_GRANTED, Kind.STRENGTHEN, Kind.RECALL_AGAIN})
"""Acts that move the campaign: they are written with the step itself."""
BESIDE = tuple(kind for kind in Kind if kind not in BY_STEP)
"""Acts a regulator writes down by themselves."""
ALONE = frozenset({Kind.ASK_REPORT, Kind.INSPECTION, Kind.REQUIRE_CHANGES})
"""Acts an officer may write down; all others take an approver."""


WEIGHED = frozenset({"refuse", "cancel", "narrow_scope", "take_back", "evaluate", "strengthen", "close"})
"""Steps by which an authority judges a recall as a whole, ends it or frees goods: the competent one's, or of one above
it. What protects is not among them (ordering, starting, widening, announcing), for goods must stop whoever is nearest
(food safety law, article 63: the departments from the county up).
"""


def usual_basis(campaign: Campaign, kind: str) -> str:
    """The article an act of this kind usually rests on, in Chinese; a regime whose text was not checked says so."""
    law = regime(campaign.regime)
    food = campaign.track != "consumer_product"
    articles = {
        Kind.ORDER_RECALL: "第十二条",
        Kind.ORDER_STOP: "第八条",
        Kind.ORDER_DISPOSAL: "第二十三条",
        Kind.REQUIRE_CHANGES: "第十四条",
        Kind.EXTENSION_GRANTED: "第十八条",
        Kind.EXTENSION_REFUSED: "第十八条",
        Kind.STRENGTHEN: "第三十四条",
        Kind.RECALL_AGAIN: "第三十四条",
        Kind.EVALUATION: "第三十四条",
        Kind.ASK_REPORT: "第三十三条",
        Kind.INSPECTION: "第三十一条",
    }
    article = articles.get(Kind(kind), "")
    with translation.override("zh-hans"):
        own = f"《{law.label.zh}》"
    own += article if law.code == "CN-FOOD-2015" and article else "（条款号待核实）"
    if food and kind in (Kind.ORDER_RECALL, Kind.ORDER_STOP, Kind.ORDER_DISPOSAL):
        return f"《食品安全法》第六十三条；{own}"
    if food and kind == Kind.INTERVIEW:
        return "《食品安全法》第一百一十四条"
    return own


def is_competent(by: Actor, campaign: Campaign) -> bool:
    """Whether the regulator decides in this campaign: its authority, or one above it. A county officer does not decide
    for a firm that the regime puts under the province (2026 rule, article 5).
    """
    if not supervises_campaign(by, campaign):
        return False
    territory = by.organisation.territory
    if campaign.authority is not None:
        return campaign.authority_id == by.organisation.pk or (
            len(territory) < len(campaign.authority.territory) and campaign.authority.territory.startswith(territory)
        )
    rule = competent_authority(regime(campaign.regime), Tier(campaign.licence_tier), _county(campaign))
    return len(territory) <= DIGITS[rule.tier]


def _county(campaign: Campaign) -> str:
    return campaign.organisation.division_id.ljust(6, "0")


def withdrawal_basis(campaign: Campaign) -> str:
    """On what taking goods back without an announcement rests: 2015 Measures, article 11. Whether the rule that applies
    to this recall still allows it is said to be unknown where its text was not checked.
    """
    law = regime(campaign.regime)
    if any(one.number == "11" and one.verified for one in law.articles):
        return _("%(law)s第十一条：尚未售给消费者的，立即追回。") % {"law": law.label}
    return _(
        "2015年《食品召回管理办法》第十一条准许只追回尚未售给消费者的食品。这次适用的%(law)s是否仍准许，条文未经核实："
        "请先问主管部门，没有把握的就发布公告。"
    ) % {"law": law.label}


@transaction.atomic
def issue_act(
    *,
    by: Actor,
    campaign: Campaign,
    kind: str,
    number: str,
    served_at: datetime.datetime,
    content: str,
    legal_basis: str = "",
    due_on: datetime.date | None = None,
    until: datetime.date | None = None,
    file: StoredFile | None = None,
    at: datetime.datetime | None = None,
) -> RegulatorAct:
    """Write down one act as served (登记监管行为). The same number with the same act is the same act; a step is written
    beside it.

    Refuses who does not supervise or whose role it is not (``role_required``), a decision on an extension by an
    authority below the competent one (``not_competent``), a number used for another act (``number_used``), a time in
    the future (``in_future``), an empty number or content (``required``), a granted extension without its last day
    (``required``), an answer to no application (``no_proposal``), a campaign that has ended (``no_such_step``).
    """
    now = at or timezone.now()
    if kind not in Kind.values:
        raise Invalid(_("请选择列出的一项。"), code="unknown_choice")
    by_name = Kind(kind)
    if by.user is None:
        raise NotAllowed(_("这一步须由本人登录办理，不能用 API 密钥。"), code="person_required")
    if not supervises_campaign(by, campaign):
        raise NotAllowed(_("监管行为由主管部门登记。"), code="role_required")
    by.require(*(("officer", "approver") if by_name in ALONE else ("approver",)))
    if not campaign.is_open:
        raise Clash(_("召回已经结束。"), code="no_such_step")
    if by_name in (Kind.EXTENSION_GRANTED, Kind.EXTENSION_REFUSED):
        require_competent(by, campaign)
    if served_at > now:
        raise Invalid(_("时间在将来，请核对日期和时间。"), code="in_future")
    if by_name == Kind.EXTENSION_GRANTED and until is None:
        raise Invalid(_("请填写延长到哪一天。"), code="required")
    proposal = proposal_of(campaign, "grant_extension")
    if by_name == Kind.EXTENSION_REFUSED and proposal is None:
        raise Clash(_("没有等待答复的延期申请。"), code="no_proposal")
    facts = {
        "campaign": campaign,
        "kind": kind,
        "legal_basis": clean_text(legal_basis, 300) or usual_basis(campaign, kind),
        "content": clean_text(content, 1000, multiline=True, required=True),
        "served_at": served_at,
        "due_on": due_on,
        "until": until,
        "file": file,
        "sha256": file.sha256 if file else "",
    }
    words = clean_text(number, 60, required=True)
    old = RegulatorAct.objects.filter(organisation=by.organisation, number=words).first()
    if old is not None:
        if all(getattr(old, name) == value for name, value in facts.items() if name not in ("file", "legal_basis")):
            return old
        raise Clash(_("文书编号 %(number)s 已经用过，请核对。") % {"number": words}, code="number_used")
    act = RegulatorAct.objects.create(organisation=by.organisation, number=words, officer=by.user, at=now, **facts)
    if by_name == Kind.NOTIFY_RECALL:
        record_fact(campaign=campaign, event=LegalEvent.NOTICE_SERVED, by=by, happened_at=served_at, at=now)
    if by_name not in BY_STEP:
        given = Given(reason=act.content, document=act.number, served_at=served_at)
        about = "grant_extension" if by_name == Kind.EXTENSION_REFUSED else ""
        action = Kind.EXTENSION_REFUSED.value if about else "act"
        write_step(campaign, action, by, now, about=about, given=given, data={"act": str(act.uid), "kind": kind})
    return act


def require_competent(by: Actor, campaign: Campaign) -> None:
    """Refuse (``not_competent``) an authority below the competent one."""
    if not is_competent(by, campaign):
        raise NotAllowed(not_competent_words(campaign), code="not_competent")


def not_competent_words(campaign: Campaign) -> str:
    """Whose matter a step is."""
    whose = campaign.authority.label if campaign.authority else _("主管部门")
    return _("这次召回由%(authority)s主管，由它决定。") % {"authority": whose}


def require_weighing(by: Actor, campaign: Campaign, action: str) -> None:
    """Refuse (``not_competent``) an authority below the competent one where a recall is judged, ended or made less."""
    if leaves_to_another(by, campaign, action):
        require_competent(by, campaign)


def leaves_to_another(by: Actor, campaign: Campaign, action: str) -> bool:
    """Whether a step is for the competent authority and this regulator is one below it: it reads along."""
    return action in WEIGHED and by.is_regulator and not campaign.is_drill and not is_competent(by, campaign)


# --- The report of a defect ------------------------------------------------------------------------------------------


def defect_report_due(campaign: Campaign) -> ClockInstance | None:
    """The time in which a defect must be reported to the authority (消费品召回管理暂行规定, article 8, read in an
    excerpt); None where the regime has no such duty.
    """
    stops = {rule.id for rule in regime(campaign.regime).clocks if rule.stop_event is LegalEvent.INCIDENT_REPORTED}
    return campaign.clocks.filter(rule__in=stops, superseded_at=None).order_by("id").first()


@transaction.atomic
def report_defect(
    *,
    by: Actor,
    campaign: Campaign,
    reported_at: datetime.datetime,
    words: str,
    number: str = "",
    at: datetime.datetime | None = None,
) -> CampaignStep:
    """The firm writes down that it reported the defect to the authority (缺陷信息报告): when, what, under which number.
    The limit of two working days ends there. The supervising authority reads it among the steps.

    By the firm's quality officer or owner. Refuses a regime without the duty (``no_such_duty``), a second report
    (``reported_before``), a time in the future or before the firm knew (``in_future``, ``before_knowing``), no words
    (``required``), an ended campaign (``no_such_step``).
    """
    now = at or timezone.now()
    by.require("quality", "owner")
    if campaign.organisation_id not in entered_for(by):
        raise NotAllowed(_("缺陷信息由召回单位报告。"), code="role_required")
    if campaign.is_drill:
        raise DrillStaysInside()
    told = clean_text(words, 1000, multiline=True, required=True)
    document = clean_text(number, 60)
    Campaign.objects.select_for_update().get(pk=campaign.pk)
    clock = defect_report_due(campaign)
    if clock is None:
        raise Clash(_("这次召回适用的规则没有这项报告。"), code="no_such_duty")
    if clock.met_at is not None and campaign.is_open:
        raise Clash(_("缺陷信息已经报告过。"), code="reported_before")
    if not campaign.is_open:
        raise Clash(_("召回已经结束。"), code="no_such_step")
    if reported_at > now:
        raise Invalid(_("时间在将来，请核对日期和时间。"), code="in_future")
    if reported_at < campaign.knew_at:
        raise Invalid(_("报告的时间早于知悉时间，请核对。"), code="before_knowing")
    record_fact(campaign=campaign, event=LegalEvent.INCIDENT_REPORTED, by=by, happened_at=reported_at, at=now)
    given = Given(reason=told, document=document, served_at=reported_at)
    return write_step(campaign, "report_defect", by, now, given=given)


# --- Objection ------------------------------------------------------------------------------------------------------


def objection_window(campaign: Campaign) -> ClockInstance | None:
    """The time in which the producer may object to a notice to recall (消费品召回管理暂行规定, articles 12 to 14,
    unverified); None where none was served or the regime knows none.
    """
    return campaign.clocks.filter(key="objection", superseded_at=None).order_by("id").first()


def finding_of(campaign: Campaign) -> RegulatorAct | None:
    """The last finding on the defect (缺陷认定), which decides about an objection; None where there is none."""
    rows = campaign.acts.filter(kind__in=[Kind.DEFECT_FOUND, Kind.NO_DEFECT]).select_related("organisation")
    return rows.order_by("-id").first()


def pending_objection(campaign: Campaign) -> CampaignStep | None:
    """An objection that no finding on the defect has answered yet."""
    last = campaign.steps.filter(action="object").order_by("-id").first()
    answered = campaign.steps.filter(action="act", data__kind__in=[Kind.DEFECT_FOUND.value, Kind.NO_DEFECT.value])
    if last is None or answered.filter(id__gt=last.pk).exists():
        return None
    return last


@transaction.atomic
def object_to_recall(
    *, by: Actor, campaign: Campaign, reason: str, at: datetime.datetime | None = None
) -> CampaignStep:
    """The producer objects to a notice to recall within its time (提出异议); an expert finding on the defect follows.

    By the firm's quality officer or owner. Refuses where no notice was served (``no_notice``), after the window or a
    second time (``window_over``), without a reason (``required``).
    """
    now = at or timezone.now()
    by.require("quality", "owner")
    if campaign.organisation_id not in entered_for(by):
        raise NotAllowed(_("异议由收到召回通知的单位提出。"), code="role_required")
    words = clean_text(reason, 1000, multiline=True, required=True)
    window = objection_window(campaign)
    if window is None:
        raise Clash(_("没有可以提出异议的召回通知。"), code="no_notice")
    if window.met_at is not None or now > window.due_at or not campaign.is_open:
        raise Clash(_("提出异议的时间已过，或者已经提出过。"), code="window_over")
    record_fact(campaign=campaign, event=LegalEvent.OBJECTED, by=by, happened_at=now, at=now)
    return write_step(campaign, "object", by, now, given=Given(reason=words))


def check_objection(campaign: Campaign, reason: str, now: datetime.datetime) -> None:
    """Before an order: refuse it where a finding said there is no defect (``no_defect``), and where the window to
    object is open or an objection unanswered unless the order says why it cannot wait (``objection_open``): danger does
    not wait for a procedure whose text nobody has verified.
    """
    finding = finding_of(campaign)
    if finding is not None and finding.kind == Kind.NO_DEFECT:
        raise Clash(_("缺陷认定的结论是不存在缺陷，不能责令召回。"), code="no_defect")
    window = objection_window(campaign)
    running = window is not None and window.met_at is None and now <= window.due_at and finding is None
    if (running or pending_objection(campaign) is not None) and not reason.strip():
        raise Invalid(
            _("企业提出异议的期限未满，或者异议还没有作出缺陷认定。现在就要责令的，请写明不能等的理由。"),
            code="objection_open",
        )
