"""Taking a step of a campaign: one page for every row of the transition table, made from its guards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from recalls.access import campaign_for, is_one_person_firm, roles_in
from recalls.actions import campaigns as act
from recalls.actions.acts import (
    is_competent,
    leaves_to_another,
    not_competent_words,
    usual_basis,
    withdrawal_basis,
)
from recalls.actions.moves import doers, proposal_of, require_row, second_person_words
from recalls.channels import channel_for
from recalls.effect import effect
from recalls.figures import figures
from recalls.first_words import first_plan
from recalls.forms import ProposalForm, StepForm
from recalls.guards import EXPLAINED, drafted_notice, open_guards, refusal, sold_some
from recalls.law import regime
from recalls.models import Campaign
from recalls.queries import coverage
from recalls.scope import drift, latest_scope, lot_ids_of, preview_scope
from recalls.sight import Sight
from recalls.transitions import Doer, Guard, Status, transition
from recalls.views.board import effect_tiles, goods_tiles
from recalls.views.doors import acting, page
from recalls.views.numbers import number_tiles
from recalls.views.public import article_16
from recalls.views.scopes import address_of, asked_scope
from trace.access import audience
from trace.actions.files import store_file
from trace.actor import Actor
from trace.errors import DomainError, NotFound
from trace.forms.fields import attempt
from trace.models import Lot
from trace.parts import Row

Step = Callable[[Campaign, Actor, StepForm], Campaign]


def _reason(form: StepForm) -> str:
    return str(form.cleaned_data.get("reason", ""))


def _served(form: StepForm) -> dict[str, Any]:
    data = form.cleaned_data
    words = act.ActWords(
        legal_basis=data["legal_basis"],
        content=data.get("content", ""),
        due_on=data.get("due_on"),
        file=form.stored_file,
    )
    return {"document": data["document"], "served_at": data["served_at"], "act": words}


def _sites(form: StepForm) -> dict[str, Any]:
    """Where the announcement is published; words only where the regime names no places."""
    data = form.cleaned_data
    if "sites" not in data:
        return {"channel": data["channel"]}
    return {"channel": data["channel"], "sites": data["sites"], "why": data["why"]}


STEPS: dict[str, Step] = {
    "refuse": lambda c, by, f: act.refuse_recall(by=by, campaign=c, reason=_reason(f)),
    "decide": lambda c, by, f: act.decide(by=by, campaign=c),
    "order": lambda c, by, f: act.order(by=by, campaign=c, reason=_reason(f), **_served(f)),
    "start": lambda c, by, f: act.start_campaign(
        by=by, campaign=c, stop_order=f.cleaned_data["stop_order"], reason=_reason(f)
    ),
    "file_plan": lambda c, by, f: act.file_plan(by=by, campaign=c, items=f.plan()),
    "return_plan": lambda c, by, f: act.return_plan(by=by, campaign=c, reason=_reason(f)),
    "announce": lambda c, by, f: act.announce(by=by, campaign=c, **_sites(f)),
    "take_back": lambda c, by, f: act.take_back(by=by, campaign=c, reason=_reason(f)),
    "turn_recall": lambda c, by, f: act.turn_recall(by=by, campaign=c, reason=_reason(f)),
    "amend_notice": lambda c, by, f: act.amend_notice(by=by, campaign=c, reason=_reason(f), **_sites(f)),
    "rehearse": lambda c, by, f: act.rehearse(by=by, campaign=c),
    "carry_out": lambda c, by, f: act.carry_out(by=by, campaign=c),
    "grant_extension": lambda c, by, f: act.grant_extension(
        by=by, campaign=c, until=f.cleaned_data["until"], reason=_reason(f), **_served(f)
    ),
    "finish_collecting": lambda c, by, f: act.finish_collecting(by=by, campaign=c, reason=_reason(f)),
    "finish_disposal": lambda c, by, f: act.finish_disposal(by=by, campaign=c, reason=_reason(f)),
    "summarise": lambda c, by, f: act.summarise(
        by=by, campaign=c, summary=f.cleaned_data["summary"], explanation=f.cleaned_data["explanation"]
    ),
    "evaluate": lambda c, by, f: act.evaluate(by=by, campaign=c),
    "strengthen": lambda c, by, f: act.strengthen(
        by=by, campaign=c, reason=_reason(f), again=f.cleaned_data["again"] == "again", **_served(f)
    ),
    "close": lambda c, by, f: act.close(by=by, campaign=c, reason=_reason(f)),
    "cancel": lambda c, by, f: act.cancel(by=by, campaign=c, reason=_reason(f)),
}
"""The action behind each row that has a page here; the scope's rows have the scope's page."""

_ACTS = {"order": "order_recall", "grant_extension": "grant_extension", "strengthen": "strengthen"}
"""The act each step rests on."""


def _take(campaign: Campaign, actor: Actor, form: StepForm, action: str, request: HttpRequest) -> Campaign:
    """The step, with the served document's file where one was handed in."""
    upload = request.FILES.get("file")
    with transaction.atomic():
        if upload is not None and action in _ACTS:
            form.stored_file = store_file(by=actor, name=upload.name or "", content=upload)
        return STEPS[action](campaign, actor, form)


DANGEROUS = frozenset({"start", "announce", "order", "close"})
"""Steps that cannot be undone: checked before, confirmed after."""


@audience("signed_in")
@require_http_methods(["GET", "HEAD", "POST"])
def campaign_step(request: HttpRequest, uid: str, action: str) -> HttpResponse:
    """Check the answers, give what the step asks for, take it."""
    actor = acting(request)
    campaign = campaign_for(actor, uid)
    row = transition(campaign.status, action, is_drill=campaign.is_drill, quiet=campaign.quiet)
    if action not in STEPS:
        raise NotFound(_("没有这个步骤。"))
    if row is None or request.method == "POST":
        posted = request.POST.get("revision", "")
        if posted.isdecimal():
            campaign.revision = int(posted[:9])
    if row is None:
        require_row(campaign, action, actor)
        raise NotFound(_("没有这个步骤。"))
    form = StepForm(
        request.POST or None,
        initial={"revision": campaign.revision, **_begins(campaign, action)},
        row=row,
        regime=regime(campaign.regime),
        channel=channel_for(campaign) if Guard.CHANNEL in row.guards else None,
        basis=usual_basis(campaign, _ACTS[action]) if action in _ACTS else "",
    )
    if campaign.is_drill and "stop_order" in form.fields:
        form.fields["stop_order"].help_text = _("演练：只记录这个决定，货物照常。")
    if request.method == "POST" and form.is_valid():
        moved = attempt(form, lambda: _take(campaign, actor, form, action, request), {"channel_wrong": "sites"})
        if moved is not None:
            messages.success(
                request,
                _("已办理：%(step)s。召回现在处于“%(status)s”。")
                % {"step": row.label, "status": moved.get_status_display()},
            )
            if action in DANGEROUS:
                return redirect("recalls:campaign_done", moved.uid, action)
            return redirect("recalls:campaign", moved.uid)
    still_open = open_guards(campaign, row.guards)
    blocked = [refusal(guard).message for guard in still_open if guard not in EXPLAINED]
    barred = ""
    if row.other_than and actor.user is not None:
        fact = row.second_person_missing(actor.user.pk, doers(campaign, action))
        barred = second_words(campaign, fact) if fact is not None else ""
    asked_alone = action == "grant_extension" and actor.is_regulator and not is_competent(actor, campaign)
    if asked_alone or leaves_to_another(actor, campaign, action):
        barred = not_competent_words(campaign)
    allowed = not row.who.isdisjoint(roles_in(actor, campaign))
    return page(
        request,
        "recalls/campaign_step.html",
        {
            "campaign": campaign,
            "row": row,
            "form": form,
            "blocked": blocked,
            "explain": [refusal(guard).message for guard in still_open if guard in EXPLAINED],
            "barred": barred,
            "allowed": allowed,
            "ready": allowed and not blocked and not barred,
            "rows": _check_rows(campaign, action),
            "proposal": proposal_of(campaign, action),
            "with_file": action in _ACTS,
            "dangerous": action in DANGEROUS,
            **_figures(campaign, action),
        },
        bad=form.is_bound,
    )


def _begins(campaign: Campaign, action: str) -> dict[str, Any]:
    """What the form of a step begins with: the plan from the records, the day an extension was applied for."""
    if action == "file_plan":
        return first_plan(campaign)
    asked = proposal_of(campaign, action) if action == "grant_extension" else None
    return {"until": asked.data.get("until", "")} if asked is not None else {}


def second_words(campaign: Campaign, fact: Doer) -> str:
    """Why another person must take a step, and who that is where the firm has nobody else."""
    words = second_person_words(fact)
    of_the_firm = fact in (Doer.ASSESSED, Doer.NOTICE_DRAFTED, Doer.PROPOSED)
    if of_the_firm and is_one_person_firm(campaign.organisation):
        words += _("这个单位没有另一位负责人，由主管部门的审批人办理。")
    return words


_WEIGHED = frozenset({"finish_collecting", "finish_disposal", "summarise", "evaluate", "strengthen", "close"})
"""Steps before which a person looks at what became of the goods."""
_JUDGED = frozenset({"evaluate", "strengthen", "close"})
"""Those before which an authority also looks at how well the recall worked."""


def _figures(campaign: Campaign, action: str) -> dict[str, Any]:
    """The board's figures beside a step that rests on them."""
    if action not in _WEIGHED:
        return {}
    numbers = figures(campaign)
    found = {"numbers": number_tiles(numbers)}
    if action not in _JUDGED:
        return found
    working = effect(campaign, numbers)
    return {**found, "goods": goods_tiles(working), "effect": effect_tiles(working)}


def _check_rows(campaign: Campaign, action: str) -> list[Row]:
    """What a person should look at before taking this step."""
    scope = latest_scope(campaign)
    rows = [Row(_("召回"), campaign.label), Row(_("级别"), campaign.level_label)]
    if scope is not None:
        rows.append(
            Row(
                _("范围"),
                _("第 %(number)s 版：%(lots)s 个批次，%(holders)s 个单位")
                % {"number": scope.number, "lots": scope.lot_count, "holders": scope.holder_count},
            )
        )
    if action in ("decide", "start") and campaign.quiet and sold_some(campaign):
        words = _("记录显示范围内已有货物售出。追回只适用于尚未售给消费者的，请重新评估；启动之后，请转为召回。")
        rows.append(Row(_("注意"), words))
    if action == "take_back":
        rows.append(Row(_("依据"), withdrawal_basis(campaign)))
    if action == "start" and scope is not None:
        change = drift(scope)
        notified = len(change.answer.holder_ids - {campaign.organisation_id})
        rows.append(Row(_("将通知"), _("%(count)s 个单位") % {"count": notified}))
        if change:
            rows.append(
                Row(
                    _("范围确定之后"),
                    _("又新增 %(lots)s 个批次、%(pairs)s 条持有记录，启动时一并纳入")
                    % {"lots": len(change.new_lots), "pairs": len(change.new_pairs)},
                )
            )
    if action in ("decide", "refuse", "order"):
        last = campaign.assessments.select_related("by", "by_organisation").order_by("-id").first()
        if last is not None:
            who = last.by.display_name if last.by else last.by_organisation.label
            rows.append(Row(_("评估结论"), f"{last.get_verdict_display()} · {who}"))
            rows.append(Row(_("依据"), last.basis))
    plan = campaign.plans.order_by("-number").first() if action == "return_plan" else None
    if plan is not None:
        labels = {item.key: str(item.label) for item in regime(campaign.regime).plan_items}
        rows += [Row(labels.get(key, key), value) for key, value in plan.items.items()]
    draft = drafted_notice(campaign)
    if action in ("announce", "amend_notice") and draft is not None:
        goods = [
            " ".join([one["name"], one.get("spec", ""), _("、").join(lot["code"] for lot in one["lots"][:50])])
            for one in draft.goods
        ]
        rows += [
            Row(_("公告"), _("第 %(number)s 版") % {"number": draft.number}),
            Row(_("召回的产品"), _("；").join(goods[:20])),
            *(row for _title, group in article_16(draft) for row in group),
            Row(_("怎样辨认"), draft.identify),
        ]
    if action in ("summarise", "close"):
        reached = coverage(Campaign.objects.filter(pk=campaign.pk)).get(campaign.pk)
        if reached is not None:
            rows.append(
                Row(
                    _("通知"),
                    _("共 %(all)s，已确认 %(ack)s，已反馈库存 %(answered)s")
                    % {"all": reached.holders, "ack": reached.acknowledged, "answered": reached.answered},
                )
            )
        odd = figures(campaign).inconsistent
        if odd:
            rows.append(Row(_("数量有出入的批次"), _("、").join(one.lot.code for one in odd[:20])))
        if campaign.explanation:
            rows.append(Row(_("差异说明"), campaign.explanation))
        if action == "close" and campaign.summary:
            rows.append(Row(_("召回总结"), campaign.summary))
    return rows


@audience("signed_in")
@require_http_methods(["GET", "HEAD"])
def campaign_done(request: HttpRequest, uid: str, action: str) -> HttpResponse:
    """The confirmation after a step that cannot be undone, with the number to keep."""
    actor = acting(request)
    campaign = campaign_for(actor, uid)
    done = campaign.steps.filter(action=action).order_by("-id").first()
    if done is None or action not in DANGEROUS:
        raise NotFound(_("没有这个步骤。"))
    return page(
        request,
        "recalls/campaign_done.html",
        {
            "campaign": campaign,
            "action": action,
            "done": done,
            "reached": coverage(Campaign.objects.filter(pk=campaign.pk)).get(campaign.pk),
            "scope": latest_scope(campaign),
            "plan_first": not campaign.plans.exists(),
        },
    )


@audience("signed_in")
@require_http_methods(["GET", "HEAD", "POST"])
def campaign_propose(request: HttpRequest, uid: str, action: str) -> HttpResponse:
    """Propose a step that another person then approves: cancelling, narrowing, extending."""
    actor = acting(request)
    campaign = campaign_for(actor, uid)
    row = transition(campaign.status, action, is_drill=campaign.is_drill, quiet=campaign.quiet)
    if row is None or Doer.PROPOSED not in row.other_than:
        raise NotFound(_("没有这个步骤。"))
    form = ProposalForm(request.POST or None, action=action)
    asked: dict[str, Any] = {}
    kept: list[tuple[str, str]] = []
    if action == "narrow_scope":
        query = request.POST if request.method == "POST" else request.GET
        if "lot" not in query:
            return redirect("recalls:campaign_scope", campaign.uid)
        asked = {"question": asked_scope(actor, campaign, query)}
        kept = [(key, each) for key, values in QueryDict(address_of(asked["question"])).lists() for each in values]
    if request.method == "POST" and form.is_valid():
        step = attempt(
            form,
            lambda: act.propose(by=actor, campaign=campaign, action=action, **asked, **form.cleaned_data),
        )
        if step is not None:
            applied = _("延期申请已提出，等主管部门答复。")
            proposed = _("已提出“%(step)s”，请另一位有权限的同事批准。") % {"step": row.label}
            messages.success(request, applied if action == "grant_extension" else proposed)
            return redirect("recalls:campaign", campaign.uid)
    return page(
        request,
        "recalls/campaign_propose.html",
        {
            "campaign": campaign,
            "row": row,
            "form": form,
            "action": action,
            "kept": kept,
            **_leaves(actor, campaign, asked),
        },
        bad=form.is_bound,
    )


def _leaves(actor: Actor, campaign: Campaign, asked: dict[str, Any]) -> dict[str, Any]:
    """What a proposed narrower scope would leave of the lots in force, as the actor may see them; nothing where it
    cannot be computed.
    """
    scope = latest_scope(campaign)
    if scope is None or not asked:
        return {}
    try:
        answer = preview_scope(asked["question"])
    except DomainError as error:
        return {"problem": error.message}
    out = sorted(lot_ids_of(scope) - answer.lot_ids)
    freed = out[:20]
    rows = Lot.objects.filter(pk__in=freed).order_by("id")
    lots = rows.select_related("product", "product_version", "organisation__division", "origin_place__division")
    sight = Sight(actor, campaign, ())
    opened = sight.open_lots(freed)
    labels = [sight.lot(lot, lot.pk in opened).label for lot in lots]
    return {"scope": scope, "left": len(answer.lines), "freed": labels, "freed_count": len(out)}


PROPOSABLE = tuple(
    dict.fromkeys(
        row.action
        for status in Status
        for row in (transition(status, action) for action in ("cancel", "narrow_scope", "grant_extension"))
        if row is not None
    )
)
"""Steps one person proposes and another takes."""
