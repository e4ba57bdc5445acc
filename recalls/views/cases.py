"""Complaints and claims as those see them who must answer, and the regulator who sees what is overdue."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from recalls.access import case_for, cases_visible_to, warning_for, warnings_visible_to
from recalls.actions.cases import (
    accept,
    assign,
    hand_over,
    may_handle,
    may_read_contact,
    refuse,
    reply,
    set_target,
    settle,
)
from recalls.actions.warnings import draft_warning, end_warning, may_publish, publish_warning, submit_warning
from recalls.consumer_forms import (
    AcceptForm,
    HandOverForm,
    ReplyForm,
    SettleForm,
    TargetForm,
    WarningForm,
    flags_words,
)
from recalls.forms import ReasonForm
from recalls.lists import CASES, WARNINGS
from recalls.models import CasePhoto, ConsumerCase, RiskWarning, ServiceTarget
from recalls.queries import OPEN_CASES, case_words, narrowed, vetted_organisation
from recalls.service import targets
from recalls.views.doors import acting, page
from trace.access import audience
from trace.actor import Actor
from trace.errors import NotFound
from trace.exports import asked_format, export
from trace.forms.fields import attempt
from trace.models import User
from trace.parts import Entry, Row
from trace.personal import reveal, reveal_bytes

Status = ConsumerCase.Status
OPEN = OPEN_CASES


@audience("signed_in")
@require_safe
def case_list(request: HttpRequest) -> HttpResponseBase:
    """Complaints and claims by kind and state; what is overdue first."""
    actor = acting(request)
    kind, state = request.GET.get("kind", ""), request.GET.get("state", "open")
    rows = narrowed(cases_visible_to(actor), kind, state)
    if asked_format(request):
        return export(request, CASES, rows)
    listed = Paginator(rows, 30).get_page(request.GET.get("page"))
    return page(
        request,
        "recalls/case_list.html",
        {
            "page": listed,
            "kind": kind,
            "state": state,
            "states": [
                ("open", _("待办")),
                ("overdue", _("超期")),
                ("flagged", _("需核实")),
                ("ended", _("已办")),
                ("all", _("全部")),
            ],
            "kinds": [("", _("全部")), *ConsumerCase.Kind.choices],
            "overdue": narrowed(cases_visible_to(actor), "", "overdue").count(),
        },
    )


@audience("signed_in")
@require_safe
def case(request: HttpRequest, uid: str) -> HttpResponse:
    """One case: what was said, photographs, history, and what can be done."""
    actor = acting(request)
    return _case_page(request, actor, case_for(actor, uid))


def _case_page(
    request: HttpRequest, actor: Actor, found: ConsumerCase, bad: forms.Form | None = None, which: str = ""
) -> HttpResponse:
    """The page, with the refused form where there is one."""
    handles = may_handle(actor, found)
    offered: dict[str, forms.Form] = {
        "reply": ReplyForm(),
        "accept": AcceptForm(),
        "settle": SettleForm(),
        "refuse": ReplyForm(),
        "hand": HandOverForm(),
    }
    if bad is not None:
        offered[which] = bad
    home = found.owner or actor.organisation
    people = User.objects.filter(memberships__organisation=home, memberships__ended_at=None).distinct()
    return page(
        request,
        "recalls/case.html",
        {
            "case": found,
            "rows": _rows(actor, found),
            "flags": flags_words(found),
            "entries": _entries(found),
            "photos": list(found.photos.select_related("picture")) if found.forgotten_at is None else [],
            "forms": offered,
            "wrong": offered[which] if which else None,
            "handles": handles,
            "may_reply": handles,
            "people": list(people.order_by("display_name")) if handles and found.status in OPEN else [],
            "open": found.status in OPEN,
        },
        bad=bad is not None,
    )


def _rows(actor: Actor, found: ConsumerCase) -> list[Row]:
    contact = reveal(found.contact)
    if contact and not may_read_contact(actor, found):
        contact = _("申请人没有同意交给生产者，请在这里答复，对方凭回执号查看")
    goods = f"{found.lot.product_version.label} {found.lot.code}" if found.lot is not None else _("未发过的码")
    rows = [
        Row(_("问题"), case_words(found)),
        Row(_("页面上的哪一项"), found.fact),
        Row(_("产品和批次"), goods),
        Row(_("所扫的码"), found.code_words),
        Row(_("承办单位"), found.owner.label if found.owner else _("监管部门（未发过的码）")),
        Row(_("承办人"), found.person.display_name if found.person else ""),
        Row(_("答复期限"), found.due_at),
    ]
    if found.kind == ConsumerCase.Kind.CLAIM:
        price = f"{found.price_cents / 100:.2f}" if found.price_cents is not None else ""
        rows += [
            Row(_("要求"), found.get_remedy_display()),
            Row(_("件数"), found.pieces),
            Row(_("价款（元）"), price),
        ]
    rows += [Row(_("在哪里买的"), found.shop), Row(_("购买日期"), found.bought_on or "")]
    if found.payer:
        paid = f" · {found.paid_cents / 100:.2f}" if found.paid_cents is not None else ""
        rows.append(Row(_("赔付方"), f"{found.get_payer_display()} · {found.payer_name}{paid}"))
    if found.forgotten_at is None:
        rows += [Row(_("内容"), reveal(found.words)), Row(_("联系方式"), contact)]
    return rows


def _entries(found: ConsumerCase) -> list[Entry]:
    """All steps, with who took them."""
    steps = found.steps.select_related("words", "by", "by_organisation")
    return [
        Entry(
            at=step.at,
            title=step.get_step_display(),
            text=reveal(step.words) or (_("（内容已删除）") if step.words_id else str(step.data.get("to", ""))),
            who=" · ".join(
                part
                for part in (
                    step.by.display_name if step.by else "",
                    step.by_organisation.label if step.by_organisation else _("公众"),
                )
                if part
            ),
        )
        for step in steps
    ]


@audience("signed_in")
@require_POST
def case_do(request: HttpRequest, uid: str, action: str) -> HttpResponseBase:
    """One step of a case."""
    actor = acting(request)
    found = case_for(actor, uid)
    steps: dict[str, Callable[[], tuple[forms.Form, object]]] = {
        "reply": lambda: _with(ReplyForm(request.POST), lambda d: reply(by=actor, case=found, words=d["words"])),
        "accept": lambda: _with(AcceptForm(request.POST), lambda d: accept(by=actor, case=found, words=d["words"])),
        "refuse": lambda: _with(ReplyForm(request.POST), lambda d: refuse(by=actor, case=found, words=d["words"])),
        "settle": lambda: _with(
            SettleForm(request.POST),
            lambda d: settle(
                by=actor,
                case=found,
                payer=d["payer"],
                payer_name=d["payer_name"],
                paid_cents=d["paid"],
                words=d["words"],
            ),
            {"payer_required": "payer_name", "amount_required": "paid", "amount_range": "paid"},
        ),
        "hand": lambda: _with(
            HandOverForm(request.POST),
            lambda d: hand_over(by=actor, case=found, to=vetted_organisation(d["to"]), reason=d["reason"]),
            {"not_found_there": "to", "not_active": "to"},
        ),
    }
    if action == "assign":
        person = User.objects.filter(uid__in=_uids(request.POST.get("person", ""))).first()
        if person is None:
            raise NotFound(_("没有这个人。"))
        assign(by=actor, case=found, person=person)
    elif action not in steps:
        raise NotFound(_("没有这个页面。"))
    else:
        form, done = steps[action]()
        if done is None:
            return _case_page(request, actor, found, form, action)
    messages.success(request, _("已记录。"))
    return redirect("recalls:case", found.uid)


def _with(
    form: forms.Form, run: Callable[[dict[str, Any]], object], names: dict[str, str] | None = None
) -> tuple[forms.Form, object]:
    """The form, and what the action made of it (None where refused)."""
    return form, attempt(form, lambda: run(form.cleaned_data), names)


def _uids(text: str) -> list[str]:
    """The one uid of a form's field, if it is one."""
    try:
        return [str(UUID(text))]
    except ValueError:
        return []


@audience("signed_in")
@require_safe
def case_photo(request: HttpRequest, uid: str, number: str) -> HttpResponse:
    """One photograph of a case, for those who may read it. Never cached."""
    found = case_for(acting(request), uid)
    if not number.isascii() or not number.isdigit() or len(number) > 15:
        raise NotFound(_("没有这张照片。"))
    photo = CasePhoto.objects.filter(case=found, pk=int(number)).select_related("picture").first()
    data = reveal_bytes(photo.picture) if photo is not None else b""
    if not data:
        raise NotFound(_("没有这张照片。"))
    answer = HttpResponse(data, content_type="image/jpeg")
    answer["Cache-Control"] = "private, no-store"
    answer["Content-Disposition"] = "inline"
    answer["X-Content-Type-Options"] = "nosniff"
    return answer


@audience("regulator")
@require_http_methods(["GET", "HEAD", "POST"])
def target_list(request: HttpRequest) -> HttpResponse:
    """How long things may take here, who said so and why; approvers set it anew."""
    actor = acting(request)
    form = TargetForm(request.POST or None)
    if request.method == "POST":
        done = attempt(
            form,
            lambda: set_target(
                by=actor,
                key=form.cleaned_data["key"],
                hours=form.cleaned_data["hours"],
                reason=form.cleaned_data["reason"],
            ),
        )
        if done is not None:
            messages.success(request, _("已设定，从现在起的新来件适用。"))
            return redirect("recalls:target_list")
    labels = dict(ServiceTarget.Key.choices)
    history = ServiceTarget.objects.select_related("by", "by_organisation").order_by("-id")[:50]
    return page(
        request,
        "recalls/targets.html",
        {
            "aims": [(labels[key], aim) for key, aim in targets().items()],
            "history": list(history),
            "form": form,
            "may_set": actor.can("approver"),
        },
        bad=form.is_bound,
    )


# --- Risk warnings --------------------------------------------------------------------------------------------------


@audience("regulator")
@require_safe
def warning_list(request: HttpRequest) -> HttpResponseBase:
    """Drafts of one's own, what lower authorities submitted, and what is published."""
    actor = acting(request)
    found = warnings_visible_to(actor).order_by("-id")
    if asked_format(request):
        return export(request, WARNINGS, found)
    rows = Paginator(found, 30).get_page(request.GET.get("page"))
    return page(
        request,
        "recalls/warning_list.html",
        {"page": rows, "may_publish": may_publish(actor.organisation), "may_draft": actor.can("officer", "approver")},
    )


@audience("regulator")
@require_http_methods(["GET", "HEAD", "POST"])
def warning_new(request: HttpRequest) -> HttpResponse:
    """Draft a risk warning."""
    actor = acting(request)
    actor.require("officer", "approver")
    form = WarningForm(request.POST or None)
    if request.method == "POST":
        row = attempt(form, lambda: draft_warning(by=actor, **form.cleaned_data))
        if row is not None:
            return redirect("recalls:warning_detail", row.uid)
    return page(
        request,
        "recalls/warning_new.html",
        {"form": form, "may_publish": may_publish(actor.organisation)},
        bad=form.is_bound,
    )


@audience("regulator")
@require_http_methods(["GET", "HEAD", "POST"])
def warning_detail(request: HttpRequest, uid: str) -> HttpResponse:
    """One risk warning: submit it, publish it (province), lift it (who published it)."""
    actor = acting(request)
    found = warning_for(actor, uid)
    form = ReasonForm(request.POST if request.POST.get("do") == "end" else None)
    if request.method == "POST":
        do = request.POST.get("do", "")
        if do == "submit":
            submit_warning(by=actor, warning=found)
        elif do == "publish":
            publish_warning(by=actor, warning=found)
        elif do == "end":
            done = attempt(form, lambda: end_warning(by=actor, warning=found, reason=form.cleaned_data["reason"]))
            if done is None:
                return _warning_page(request, actor, found, form)
        else:
            raise NotFound(_("没有这个页面。"))
        return redirect("recalls:warning_detail", found.uid)
    return _warning_page(request, actor, found, form)


def _warning_page(request: HttpRequest, actor: Actor, found: RiskWarning, form: ReasonForm) -> HttpResponse:
    draft = found.status in (RiskWarning.Status.DRAFT, RiskWarning.Status.SUBMITTED)
    officer = actor.can("officer", "approver")
    return page(
        request,
        "recalls/warning_detail.html",
        {
            "warning": found,
            "form": form,
            "may_submit": officer
            and found.status == RiskWarning.Status.DRAFT
            and found.organisation_id == actor.organisation.pk
            and not may_publish(actor.organisation),
            "may_publish": draft and may_publish(actor.organisation) and actor.can("approver"),
            "is_drafter": actor.user is not None and actor.user.pk == found.drafted_by_id,
            "too_low": draft and not may_publish(actor.organisation),
            "may_end": found.status == RiskWarning.Status.PUBLISHED
            and found.publisher_id == actor.organisation.pk
            and actor.can("approver"),
        },
        bad=form.is_bound,
    )
