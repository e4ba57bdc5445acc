"""Campaigns: the list, the campaign's own page with its tasks, assessing again, reports, the numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_safe

from recalls.access import campaign_for, campaigns_visible_to, require_side, roles_in, supervises_campaign
from recalls.actions.acts import is_competent, leaves_to_another, objection_window, pending_objection
from recalls.actions.assessment import reassess
from recalls.actions.campaigns import STOPPABLE, report_progress, stop_sale
from recalls.actions.clocks import extendable_clocks
from recalls.actions.moves import doers, proposal_of
from recalls.actions.scopes import lots_of
from recalls.channels import channel_for, owed
from recalls.effect import effect
from recalls.figures import Amounts, figures
from recalls.forms import AssessmentForm, ProgressForm, ReasonForm
from recalls.guards import EXPLAINED, drafted_notice, open_guards, red_lines, refusal, releasable, sold_some
from recalls.law import Form, regime, regime_for
from recalls.lists import CAMPAIGNS
from recalls.models import Campaign, CampaignStep, ScopeVersion
from recalls.queries import Coverage, campaign_rows, clocks_of, coverage, returned_plan, step_words
from recalls.scope import Question, latest_scope
from recalls.sight import Sight
from recalls.through import suppliers_of, through_of
from recalls.transitions import FIRM, OPEN, TERMINAL, Doer, Role, Status, Transition, transition, transitions_from
from recalls.views.board import effect_tiles, goods_tiles
from recalls.views.doors import acting, csv_answer, page
from recalls.views.numbers import amount_shares, number_labels, number_tiles
from recalls.views.scopes import address_of
from recalls.views.steps import PROPOSABLE, STEPS, second_words
from trace.access import audience
from trace.actor import Actor
from trace.exports import asked_format, export
from trace.forms.fields import attempt
from trace.models import Product
from trace.parts import Entry, Row, Share, Task
from trace.tables import csv_table
from trace.templatetags.ui import limit_text
from trace.units import decimal_text, format_amount, unit_name

# --- The list -------------------------------------------------------------------------------------------------------


@audience("signed_in")
@require_safe
def campaign_list(request: HttpRequest) -> HttpResponseBase:
    """Campaigns the actor runs or supervises: open ones first by their next limit, with clocks and coverage."""
    actor = acting(request)
    which = request.GET.get("which", "open")
    rows = campaigns_visible_to(actor)
    if which == "closed":
        rows = rows.filter(status__in=sorted(TERMINAL), is_drill=False)
    elif which == "drills":
        rows = rows.filter(is_drill=True)
    else:
        which = "open"
        rows = rows.filter(status__in=sorted(OPEN), is_drill=False)
    if asked_format(request):
        return export(request, CAMPAIGNS, rows)
    listed = Paginator(rows, 20).get_page(request.GET.get("page"))
    tabs = [("open", _("进行中")), ("closed", _("已结束")), ("drills", _("演练"))]
    return page(
        request,
        "recalls/campaign_list.html",
        {
            "rows": campaign_rows(list(listed.object_list)),
            "page": listed,
            "which": which,
            "tabs": tabs,
            "may_raise": actor.can("operator", "quality", "officer", "approver"),
        },
    )


# --- One campaign ---------------------------------------------------------------------------------------------------


@audience("signed_in")
@require_safe
def campaign(request: HttpRequest, uid: str) -> HttpResponse:
    """The campaign as a task list: where it stands, what limits run, what to do next, how far the notices are."""
    actor = acting(request)
    found = campaign_for(actor, uid)
    scope = latest_scope(found)
    one = Campaign.objects.filter(pk=found.pk)
    reached = coverage(one).get(found.pk, Coverage())
    numbers = figures(found, scope) if scope is not None and (found.has_started or found.is_drill) else None
    rule_book = regime(found.regime)
    full = supervises_campaign(actor, found) or found.organisation_id == actor.owner.pk
    buttons = _buttons(actor, found)
    return page(
        request,
        "recalls/campaign.html",
        {
            "campaign": found,
            "full": full,
            "facts": [*_facts(found), *_through_facts(actor, found, scope)],
            "regime": rule_book,
            "asked": _asked(actor, found) if full and found.is_open else [],
            "gaps": [gap for gap in rule_book.gaps if gap.key in ("complete", "contents", "transition")],
            "clocks": clocks_of(one).get(found.pk, []),
            "buttons": buttons,
            "waits": _waits(actor, found) if full and all(one.why_not or one.aside for one in buttons) else [],
            "tasks": _tasks(actor, found, scope, reached) if full else [],
            "reached": reached,
            "coverage": _coverage_shares(reached),
            "amounts": amount_shares(numbers) if numbers and full else [],
            "numbers": number_tiles(numbers) if numbers and full else [],
            "releasable": found.has_started and not found.is_drill and releasable(found),
            "entries": _history(found.steps.select_related("by", "by_organisation")) if full else [],
            "red_lines": [_red_line_words(key) for key in red_lines(found)] if found.has_started and full else [],
            "scope": scope,
            "channel": channel_for(found) if scope is not None and full and not found.is_drill else None,
            "owed": owed(found) if found.announced_at and full else [],
            "acts": found.acts.select_related("organisation").order_by("-id")[:20] if full else [],
            "planned": found.disposal_plans.filter(planned_at__gte=timezone.now()).order_by("planned_at").first()
            if full and found.is_open
            else None,
            "stoppable": found.status in STOPPABLE and not found.is_drill and bool(roles_in(actor, found)),
        },
    )


@dataclass(frozen=True)
class Asked:
    """What one side waits for from the other, with where to do it."""

    title: str
    words: str
    url: str
    link: str


def _asked(actor: Actor, found: Campaign) -> list[Asked]:
    """What the authority asked of the firm, or the firm of the authority, and is not done yet."""
    rows: list[Asked] = []
    acts = reverse("recalls:campaign_acts", args=[found.uid])
    if found.quiet and found.has_started and sold_some(found):
        turn = reverse("recalls:campaign_step", args=[found.uid, "turn_recall"])
        words = _("记录或答复显示已有货物售出。追回只适用于尚未售给消费者的：请转为召回并发布公告，之前不能往下办。")
        rows.append(Asked(_("追回的货物已有售出"), words, turn, _("转为召回")))
    waiting = found.releases.filter(approval=None).count()
    if waiting:
        releases = reverse("recalls:campaign_releases", args=[found.uid])
        words = _("%(n)d 项等另一人批准，批准之前仍然封存。") % {"n": waiting}
        rows.append(Asked(_("有更正后的货物等待放行"), words, releases, _("查看放行")))
    if actor.is_regulator:
        said = pending_objection(found)
        if said is not None:
            rows.append(Asked(_("企业对召回通知提出了异议"), said.reason, acts, _("登记缺陷认定")))
        return rows
    back = returned_plan(found)
    if back is not None:
        plan = reverse("recalls:campaign_step", args=[found.uid, "file_plan"])
        rows.append(Asked(_("主管部门退回了召回计划，请修改后再报"), back.reason, plan, _("修改召回计划")))
    window = objection_window(found)
    if found.status == Status.ASSESSING and window is not None and window.met_at is None:
        words = _("请决定召回；有异议的，在 %(until)s 之前提出。") % {"until": limit_text(window.due_at)}
        if timezone.now() <= window.due_at:
            rows.append(Asked(_("主管部门通知召回"), words, acts, _("查看通知，提出异议")))
    return rows


def _red_line_words(key: str) -> str:
    """A red line in words."""
    return {
        "resold": _("召回启动后仍有范围内批次的出库、使用或销售记录，冲突尚未答复"),
        "not_handled": _("有收回的货物既没有处理，也不在库"),
        "late": _("没有按期公布召回信息，或者消费者的申请超过期限还没有答复"),
        "no_records": _("有单位记为已退回或已就地处理，却没有数量记录，或者留存的证据文件不在了"),
    }[key]


def _facts(found: Campaign) -> list[Row]:
    """Who, since when, by which rule."""
    rule_book = regime(found.regime)
    law = str(rule_book.label)
    if not rule_book.verified:
        law = _("%(law)s（条文未经核实）") % {"law": law}
    return [
        Row(_("召回单位"), found.organisation.label),
        Row(_("主管部门"), found.authority.label if found.authority else _("本系统内没有对应的监管部门")),
        Row(_("方式"), found.get_form_display()),
        Row(_("类型"), found.get_kind_display()),
        Row(_("召回身份"), " · ".join(part for part in _standing(found) if part)),
        Row(_("适用规则"), law),
        *_why_this_law(found),
    ]


def _through_facts(actor: Actor, found: Campaign, scope: ScopeVersion | None) -> list[Row]:
    """Through whose hands the scope is followed, and which suppliers the trader must tell (2015 Measures, article 20:
    a trader that recalls for its own fault tells its suppliers, and they the producer).
    """
    trader = through_of(scope) if scope is not None else None
    if scope is None or trader is None:
        return []
    rows = [Row(_("范围"), _("只涉及经过 %(name)s 的货") % {"name": trader.label})]
    sight = Sight(actor, found)
    suppliers = [sight.holder(one).label for one in suppliers_of(scope, trader)]
    if suppliers:
        words = _("%(names)s。不涉及它们的库存；本系统的单位在批次页上会看到，其他的请打电话告知，由供货商告知生产者。")
        rows.append(Row(_("应告知的供货商"), words % {"names": _("、").join(suppliers)}))
    return rows


def _standing(found: Campaign) -> tuple[str, str, str]:
    """As what the firm recalls, and why."""
    return str(found.get_initiator_display()), str(found.get_ground_display() or ""), found.ground_words


def _why_this_law(found: Campaign) -> list[Row]:
    """By which date the rule was chosen, and which other would apply by another date."""
    choice = regime_for(found.track, found.knew_at)
    if choice.alternative is None or choice.regime.code != found.regime:
        return []
    words = _(
        "知悉日 %(day)s 在这部规则的施行期内。如果不按知悉日计算，可能适用%(other)s（%(from)s起施行）；"
        "没有见到新旧衔接的条款，按知悉日选择是本系统的约定。"
    ) % {
        "day": choice.known_on.isoformat(),
        "other": choice.alternative.label,
        "from": choice.alternative.valid_from.isoformat(),
    }
    mine = next((one for one in choice.regime.rules(found.legal_level, Form(found.form)) if one.key == "start"), None)
    theirs = choice.alternative.rules(found.legal_level, Form(found.form))
    other = next((one for one in theirs if one.key == "start"), None)
    if mine is not None and other is not None and found.legal_level is not None:
        words += _("启动时限：%(mine)s 小时；另一部为 %(other)s 小时。") % {"mine": mine.amount, "other": other.amount}
    return [Row(_("为什么适用这部规则"), words)]


_ASIDE = frozenset(
    {
        *("refuse", "return_plan", "amend_notice", "expand_scope", "narrow_scope"),
        *("grant_extension", "strengthen", "cancel", "turn_recall"),
    }
)
"""Steps that lead aside or back: shown after those that lead on."""


@dataclass(frozen=True)
class Button:
    """One step that can be taken from here, why not yet, and the proposal that waits for it."""

    row: Transition
    url: str
    why_not: str
    proposal: CampaignStep | None
    proposes: bool = False
    words: str = ""
    """What the button says where the step's own name would mislead."""
    later: bool = False
    """Done once already; may be done again."""

    @property
    def aside(self) -> bool:
        """Whether the step leads aside or back."""
        return self.row.action in _ASIDE or self.proposes or self.later


def _buttons(actor: Actor, found: Campaign) -> list[Button]:
    """The rows of the table from here that this actor's roles allow, each with what is missing."""
    roles = roles_in(actor, found)
    buttons: list[Button] = []
    for row in transitions_from(found.status, roles=roles, is_drill=found.is_drill, quiet=found.quiet):
        proposal = proposal_of(found, row.action) if Doer.PROPOSED in row.other_than else None
        missing = [
            refusal(guard).message
            for guard in open_guards(found, row.guards)
            if row.action in STEPS and guard not in EXPLAINED
        ]
        why_not = " ".join(missing)
        if row.action in ("announce", "amend_notice") and drafted_notice(found) is None:
            why_not = _("还没有起草。先在“召回公告：起草”一步写好，再由另一人发布。")
        if not why_not and row.other_than and actor.user is not None:
            fact = row.second_person_missing(actor.user.pk, doers(found, row.action))
            why_not = second_words(found, fact) if fact is not None else ""
        if row.action in STEPS:
            url = reverse("recalls:campaign_step", args=[found.uid, row.action])
        else:
            url = reverse("recalls:campaign_scope", args=[found.uid])
        if row.action == "grant_extension" and (proposal is None or not is_competent(actor, found)):
            continue  # nothing was applied for, or not of this authority
        if leaves_to_another(actor, found, row.action):
            continue
        if row.action == "file_plan" and found.plans.exists() and returned_plan(found) is None:
            buttons.append(Button(row, url, why_not, None, words=_("修改召回计划"), later=True))
            continue
        if row.action in PROPOSABLE and Doer.PROPOSED in row.other_than and proposal is None:
            if row.action != "narrow_scope":  # what is proposed there is chosen on the scope's page first
                url = reverse("recalls:campaign_propose", args=[found.uid, row.action])
            buttons.append(Button(row, url, "", None, proposes=True))
            continue
        if proposal is not None and "question" in proposal.data:
            url += f"?{address_of(Question.from_json(proposal.data['question']))}"
        buttons.append(Button(row, url, why_not, proposal))
    later = transition(found.status, "grant_extension", is_drill=found.is_drill, quiet=found.quiet)
    applies = later is not None and not roles.isdisjoint(FIRM) and extendable_clocks(found).exists()
    if later is not None and applies and proposal_of(found, "grant_extension") is None:
        url = reverse("recalls:campaign_propose", args=[found.uid, "grant_extension"])
        buttons.append(Button(later, url, "", None, proposes=True, words=_("申请延期")))
    return sorted(buttons, key=lambda button: (button.aside, bool(button.why_not)))


_ROLES = {
    Role.QUALITY: gettext_lazy("质量负责人"),
    Role.OWNER: gettext_lazy("负责人"),
    Role.OFFICER: gettext_lazy("监管经办"),
    Role.APPROVER: gettext_lazy("监管审批"),
}


def _waits(actor: Actor, found: Campaign) -> list[tuple[str, str]]:
    """What leads on from here and others must do, with who: nobody should wonder why there is no button."""
    roles = roles_in(actor, found)
    decides = Role.APPROVER in roles and is_competent(actor, found)
    asked = proposal_of(found, "grant_extension") if not decides else None
    whose = _("监管审批办理") if is_competent(actor, found) else _("主管部门答复")
    applied = [(_("延期申请"), whose)] if asked is not None else []
    return applied + [
        (str(row.label), _("%(who)s办理") % {"who": _("或").join(str(_ROLES[one]) for one in _ROLES if one in row.who)})
        for row in transitions_from(found.status, is_drill=found.is_drill, quiet=found.quiet)
        if row.action not in (*_ASIDE, *PROPOSABLE, "refuse", "order", "strengthen", "return_plan")
        and row.target != row.source
        and (row.who.isdisjoint(roles) or leaves_to_another(actor, found, row.action))
    ]


_BEFORE = (Status.STARTED, Status.PLAN_FILED)
"""Stages in which a withdrawal may still be announced."""


def _state(done: bool, begun: bool = False) -> str:
    return "done" if done else "open" if begun else "todo"


def _tasks(actor: Actor, found: Campaign, scope: ScopeVersion | None, reached: Coverage) -> list[Task]:
    """The way from the assessment to the end, with what is done."""
    uid = found.uid
    published = found.announced_at is not None
    draft = drafted_notice(found)
    after = [Status.DISPOSING, Status.AWAITING_SUMMARY, Status.SUMMARISED, Status.EVALUATING, Status.CLOSED]
    returned = found.returns.exists()
    disposed = found.disposals.exists()

    own = found.organisation_id == actor.owner.pk  # who supervises reads in the numbers what was destroyed

    def link(name: str) -> str:
        return reverse(f"recalls:{name}", args=[uid])

    words = {
        "scope": _("%(lots)s 个批次，%(holders)s 个单位") % {"lots": scope.lot_count, "holders": scope.holder_count}
        if scope
        else "",
        "notices": _("%(ack)s/%(all)s 已确认，%(answered)s/%(all)s 已反馈")
        % {"ack": reached.acknowledged, "answered": reached.answered, "all": reached.holders},
    }
    tasks = [
        Task(_("风险评估"), _state(True), link("campaign_assess")),
        Task(_("召回范围"), _state(scope is not None), link("campaign_scope"), hint=words["scope"]),
        Task(_("决定（第二人）"), _state(found.decided_at is not None)),
        Task(_("启动：封存批次、通知各单位"), _state(found.has_started)),
    ]
    tasks.append(
        Task(
            _("召回计划"),
            _state(found.plans.exists() and returned_plan(found) is None, found.plans.exists()),
            link("campaign_plan") if found.plans.exists() else "",
            hint=_("退回修改") if returned_plan(found) is not None else "",
        )
    )
    if not found.is_drill and not (found.quiet and found.has_started and found.status not in _BEFORE):
        tasks += [
            Task(
                _("召回公告：起草"),
                _state(published or draft is not None),
                link("campaign_notice") if scope else "",
                hint=_("第 %(number)s 版待发布") % {"number": draft.number} if draft else "",
            ),
            Task(_("召回公告：发布（第二人）"), _state(published)),
        ]
    tasks += [
        Task(
            _("通知与反馈"),
            _state(reached.holders > 0 and reached.answered >= reached.holders, found.has_started),
            link("campaign_notices") if found.has_started else "",
            hint=words["notices"] if found.has_started else "",
        ),
        Task(
            _("收回入库"),
            _state(found.status in after, returned),
            link("campaign_notices") if found.has_started and found.is_open and not found.is_drill else "",
        ),
        Task(
            _("处理（销毁）"),
            _state(found.status in after[1:], disposed),
            link("campaign_disposal" if own else "campaign_figures")
            if found.has_started and found.is_open and not found.is_drill
            else "",
        ),
        Task(_("总结"), _state(found.status in after[2:]), link("campaign_figures") if found.has_started else ""),
        Task(_("结案（第二人）"), _state(found.status == Status.CLOSED)),
    ]
    return tasks


def _coverage_shares(reached: Coverage) -> list[Share]:
    """Holders: counted, acknowledged only, told only, not told."""
    acknowledged_only = reached.acknowledged - reached.answered
    told_only = reached.sent - reached.acknowledged
    return [
        Share(_("已反馈库存"), reached.answered, "good"),
        Share(_("仅确认收到"), max(acknowledged_only, 0), "info"),
        Share(_("已发未答复"), max(told_only, 0), "attention"),
        Share(_("尚未送出"), max(reached.holders - reached.sent, 0), "mute"),
    ]


def _history(steps: Iterable[CampaignStep]) -> list[Entry]:
    """Every step, the newest first."""
    return [
        Entry(
            at=step.at,
            title=step_words(step),
            text=" ".join(
                part
                for part in (step.reason, _("文书 %(no)s") % {"no": step.document} if step.document else "")
                if part
            ),
            who=" · ".join(
                part for part in (step.by.display_name if step.by else "", step.by_organisation.label) if part
            ),
            source="regulator" if step.by_organisation.kind == "regulator" else "self_declared",
        )
        for step in sorted(steps, key=lambda row: -row.pk)
    ]


# --- Beside the table -----------------------------------------------------------------------------------------------


@audience("signed_in")
@require_http_methods(["GET", "HEAD", "POST"])
def campaign_assess(request: HttpRequest, uid: str) -> HttpResponse:
    """The assessments so far; another one while nothing is decided."""
    actor = acting(request)
    found = campaign_for(actor, uid)
    last = found.assessments.order_by("-id").first()
    initial = (
        {
            "hazard": last.hazard,
            "severity": last.severity,
            "probability": last.probability,
            "population": last.population,
            "verdict": last.verdict,
            "level": str(last.level or ""),
            "initiator": found.initiator,
            "ground": found.ground,
            "ground_words": found.ground_words,
        }
        if last
        else {}
    )
    editable = found.status == Status.ASSESSING and bool(roles_in(actor, found))
    form = AssessmentForm(request.POST or None, initial=initial, track=found.track, first=False)
    if request.method == "POST" and form.is_valid():
        row = attempt(
            form,
            lambda: reassess(by=actor, campaign=found, finding=form.finding(), standing=form.standing()),
            {"level_required": "level", "ground_required": "ground", "ground_words_required": "ground_words"},
        )
        if row is not None:
            messages.success(request, _("评估已登记。"))
            return redirect("recalls:campaign", found.uid)
    return page(
        request,
        "recalls/assessment.html",
        {
            "form": form if editable else None,
            "campaign": found,
            "assessments": found.assessments.select_related("by", "by_organisation").order_by("-id"),
            "consumer": found.track == Product.Track.CONSUMER,
            "back": reverse("recalls:campaign", args=[found.uid]),
        },
        bad=form.is_bound,
    )


@audience("signed_in")
@require_http_methods(["GET", "HEAD", "POST"])
def campaign_stop(request: HttpRequest, uid: str) -> HttpResponse:
    """Stop the sale of the scope's lots (or of the signal's) at once; one person."""
    actor = acting(request)
    found = campaign_for(actor, uid)
    require_side(actor, found)
    scope = latest_scope(found)
    lots = lots_of(scope) if scope else [one.lot for one in found.signals.select_related("lot") if one.lot]
    form = ReasonForm(request.POST or None, initial={"reason": found.title})
    if request.method == "POST" and form.is_valid():
        hold = attempt(
            form,
            lambda: stop_sale(by=actor, lots=lots, reason=form.cleaned_data["reason"], campaign=found),
        )
        if hold is not None:
            messages.success(request, _("已停止销售 %(count)s 个批次。") % {"count": len(lots)})
            return redirect("recalls:campaign", found.uid)
    return page(
        request, "recalls/campaign_stop.html", {"campaign": found, "lots": lots, "form": form}, bad=form.is_bound
    )


@audience("signed_in")
@require_http_methods(["GET", "HEAD", "POST"])
def campaign_figures(request: HttpRequest, uid: str) -> HttpResponse:
    """The numbers per lot and in sum, what does not add up, the reports filed; file a progress report."""
    actor = acting(request)
    found = campaign_for(actor, uid)
    require_side(actor, found)
    form = ProgressForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        kept = attempt(form, lambda: report_progress(by=actor, campaign=found, text=form.cleaned_data["text"]))
        if kept is not None:
            messages.success(request, _("进展报告已报送，数字已存档。"))
            return redirect("recalls:campaign_figures", found.uid)
    numbers = figures(found)
    working = effect(found, numbers)
    sight = Sight(actor, found)
    opened = sight.open_lots([one.lot.pk for one in numbers.lots])
    labels = number_labels(numbers, (one.amounts for one in numbers.lots))
    lines = [
        (
            sight.lot(one.lot, one.lot.pk in opened),
            [(label, format_amount(_value(one.amounts, key), one.unit)) for key, label in labels]
            if one.lot.pk in opened
            else [],
            bool(one.amounts.excess),
        )
        for one in numbers.lots[:500]
    ]
    return page(
        request,
        "recalls/campaign_figures.html",
        {
            "campaign": found,
            "numbers": number_tiles(numbers),
            "releasable": releasable(found),
            "goods": goods_tiles(working),
            "effect": effect_tiles(working),
            "shares": amount_shares(numbers),
            "labels": [label for _key, label in labels],
            "lines": lines,
            "more": max(len(numbers.lots) - 500, 0),
            "inconsistent": [one for one in numbers.inconsistent if one.lot.pk in opened],
            "form": form if found.has_started and found.is_open else None,
            "kept": found.figures.order_by("-id")[:20],
        },
        bad=form.is_bound,
    )


def _value(amounts: Amounts, key: str) -> int:
    value: int = getattr(amounts, key)
    return value


@audience("signed_in")
@require_safe
def campaign_figures_csv(request: HttpRequest, uid: str) -> HttpResponse:
    """The numbers per lot as a table; lots that may not be shown stand by kind only, without amounts."""
    actor = acting(request)
    found = campaign_for(actor, uid)
    require_side(actor, found)
    numbers = figures(found)
    sight = Sight(actor, found)
    opened = sight.open_lots([one.lot.pk for one in numbers.lots])
    keys = number_labels(numbers)
    rows = []
    for one in numbers.lots:
        seen = sight.lot(one.lot, one.lot.pk in opened)
        values = [decimal_text(_value(one.amounts, key)) for key, _label in keys] if seen.lot else [""] * len(keys)
        rows.append([seen.product, seen.code, unit_name(one.unit), *values])
    data = csv_table([_("产品"), _("批号"), _("计量单位"), *(label for _key, label in keys)], rows)
    return csv_answer(data, f"recall-{found.uid.hex[:8]}-figures.csv")


@audience("signed_in")
@require_safe
def campaign_plan(request: HttpRequest, uid: str) -> HttpResponse:
    """The plans filed, the newest first, item by item."""
    actor = acting(request)
    found = campaign_for(actor, uid)
    require_side(actor, found)
    labels = {item.key: str(item.label) for item in regime(found.regime).plan_items}
    plans = [
        (plan, [Row(labels.get(key, key), value) for key, value in plan.items.items()])
        for plan in found.plans.select_related("by", "by_organisation").order_by("-number")
    ]
    return page(request, "recalls/campaign_plan.html", {"campaign": found, "plans": plans})
