"""Pages of organisations: applying, one's own organisation, growers; vetting by regulators; the operator's pages."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.contrib.auth import login as sign_in_user
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from trace.access import (
    actor_of,
    audience,
    certificates_visible_to,
    grower_for,
    growers_entered_for,
    licence_for,
    organisations_supervised_by,
    supervised_for,
)
from trace.actions.organisations import (
    add_licence,
    admit_organisation,
    apply_again,
    apply_for_admission,
    create_regulator,
    edit_profile,
    end_licence,
    refuse_organisation,
    register_grower,
    resume_organisation,
    set_recall_contact,
    suspend_organisation,
)
from trace.actions.people import head_role, issue_password_link_as_operator, issue_sign_in_card
from trace.actor import Actor
from trace.errors import NotFound
from trace.exports import asked_format, export
from trace.forms.fields import attempt
from trace.forms.organisations import (
    CONTACT_FIELDS,
    AgainForm,
    ApplicationForm,
    ContactPart,
    FindForm,
    GrowerForm,
    LicenceForm,
    NoteForm,
    ProfileForm,
    ReasonForm,
    RegulatorForm,
)
from trace.lists import GROWERS, ORGANISATIONS
from trace.models import Membership, Organisation, Product
from trace.views.account import BACKEND
from trace.views.pages import edits_of, form_page, link_page, page_of, signed_in_user

Status = Organisation.Status
GET = ["GET", "HEAD"]
FORM = ["GET", "HEAD", "POST"]


# --- Applying -------------------------------------------------------------------------------------------------------


@sensitive_post_parameters("password", "password_again")
@audience("public")
@require_http_methods(FORM)
def application_new(request: HttpRequest) -> HttpResponse:
    """An organisation asks to be let in; its first person is signed in at once and sees how the application stands."""
    form = ApplicationForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        made = attempt(form, lambda: apply_for_admission(application=form.application()), form.field_names())
        if made is not None:
            membership = made.memberships.select_related("user").get()
            sign_in_user(request, membership.user, backend=BACKEND)
            request.session["membership"] = str(membership.uid)
            return redirect("trace:organisation")
    return form_page(
        request,
        form,
        title=_("单位申请入驻"),
        back="/",
        submit=_("提交申请"),
        template="trace/organisations/application_new.html",
    )


@audience("signed_in")
@require_http_methods(FORM)
def application_again(request: HttpRequest) -> HttpResponse:
    """A refused applicant puts right what was missing and asks again."""
    actor = actor_of(request)
    organisation = actor.organisation
    if organisation.status != Status.REFUSED:
        raise NotFound(_("没有这个页面。"))
    form = AgainForm(request.POST or None, initial={"uscc": organisation.uscc})
    if attempt(form, lambda: apply_again(organisation=organisation, by=actor, **form.cleaned_data)) is not None:
        messages.success(request, _("已重新提交，请等候审核。"))
        return redirect("trace:organisation")
    return form_page(
        request, form, title=_("重新申请"), back=reverse("trace:organisation"), submit=_("重新提交"), actor=actor
    )


# --- One's own organisation -----------------------------------------------------------------------------------------


@audience("signed_in")
@require_http_methods(GET)
def organisation(request: HttpRequest) -> HttpResponse:
    """The organisation acted for (the grower, when entering on their behalf): state, facts, licences, certificates."""
    actor = actor_of(request)
    mine = Organisation.objects.select_related("division", "cooperative").get(pk=actor.owner.pk)
    context = {
        "organisation_shown": mine,
        "licences": mine.licences.order_by("ended_at", "kind", "number"),
        "certificates": certificates_visible_to(actor).filter(organisation=mine).order_by("-valid_until"),
        "steps": mine.steps.select_related("by_organisation").order_by("-id"),
        "edits": edits_of(f"organisation:{mine.uid}", limit=20),
        "may_edit": _speaks_for(actor),
        "may_manage": actor.role == head_role(actor.organisation) and actor.on_behalf_of is None,
        "waiting": {Status.APPLIED, Status.REFUSED, Status.SUSPENDED} & {mine.status},
    }
    return render(request, "trace/organisations/organisation.html", context)


def _speaks_for(actor: Actor) -> bool:
    """Whether the actor changes the profile of the organisation it acts for (see ``require_head_of``)."""
    if actor.on_behalf_of is not None:
        return actor.can("operator")
    return actor.role == head_role(actor.organisation)


@audience("signed_in")
@require_http_methods(FORM)
def organisation_edit(request: HttpRequest) -> HttpResponse:
    """Name, English name, address."""
    actor = actor_of(request)
    mine = actor.owner
    initial = {"name": mine.name, "name_en": mine.name_en, "address": mine.address}
    form = ProfileForm(request.POST or None, initial=initial)
    if attempt(form, lambda: edit_profile(organisation=mine, profile=form.profile(), by=actor)) is not None:
        messages.success(request, _("已保存，变更已记录。"))
        return redirect("trace:organisation")
    return form_page(request, form, title=_("单位信息"), back=reverse("trace:organisation"))


@audience("signed_in")
@require_http_methods(FORM)
def organisation_contact(request: HttpRequest) -> HttpResponse:
    """Whom to reach in a recall."""
    actor = actor_of(request)
    mine = actor.owner
    initial = {field: getattr(mine, f"recall_contact_{key}") for key, field in CONTACT_FIELDS.items()}
    form = ContactPart(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        done = attempt(
            form, lambda: set_recall_contact(organisation=mine, contact=form.contact(), by=actor), CONTACT_FIELDS
        )
        if done is not None:
            messages.success(request, _("召回联系人已更新。"))
            return redirect("trace:organisation")
    return form_page(
        request,
        form,
        title=_("召回联系人"),
        intro=_("召回通知先发给这个人，请填任何时候都能找到的联系方式。"),
        back=reverse("trace:organisation"),
    )


@audience("signed_in")
@require_http_methods(FORM)
def licence_new(request: HttpRequest) -> HttpResponse:
    """Enter a licence."""
    actor = actor_of(request)
    form = LicenceForm(request.POST or None)
    if attempt(form, lambda: add_licence(organisation=actor.owner, licence=form.licence(), by=actor)) is not None:
        messages.success(request, _("证照已登记。"))
        return redirect("trace:organisation")
    return form_page(request, form, title=_("登记证照"), back=reverse("trace:organisation"))


@audience("signed_in")
@require_POST
def licence_end(request: HttpRequest, uid: uuid.UUID) -> HttpResponse:
    """Say that a licence is no longer held."""
    actor = actor_of(request)
    end_licence(licence=licence_for(actor, uid), by=actor)
    messages.success(request, _("证照已注销。"))
    return redirect("trace:organisation")


# --- Growers of a cooperative ---------------------------------------------------------------------------------------


def _cooperative(request: HttpRequest) -> Actor:
    """The clerk, when the organisation is a cooperative; else there is no such page."""
    actor = actor_of(request)
    if actor.organisation.kind != Organisation.Kind.COOPERATIVE or actor.on_behalf_of is not None:
        raise NotFound(_("没有这个页面。"))
    return actor


@audience("party")
@require_http_methods(GET)
def grower_list(request: HttpRequest) -> HttpResponseBase:
    """The cooperative's growers: enter for them, give them a card."""
    actor = _cooperative(request)
    query = request.GET.get("q", "")[:60].replace("\x00", "")
    rows = actor.organisation.growers.select_related("division").order_by("name", "id")
    if query:
        rows = rows.filter(name__icontains=query)
    if asked_format(request):
        return export(request, GROWERS, rows)
    context = {"page": page_of(request, rows), "query": query, "may_enter": actor.can("operator")}
    return render(request, "trace/organisations/growers.html", context)


@audience("party", "operator")
@require_http_methods(FORM)
def grower_new(request: HttpRequest) -> HttpResponse:
    """Register a grower; the answer shows the card, once."""
    actor = _cooperative(request)
    form = GrowerForm(request.POST or None, initial={"division": actor.organisation.division_id})
    if request.method == "POST" and form.is_valid():
        made = attempt(form, lambda: register_grower(by=actor, **form.cleaned_data))
        if made is not None:
            return link_page(
                request,
                made.card,
                title=_("已登记 %(name)s") % {"name": made.organisation.name},
                text=_("请让本人用手机扫这张登录卡。卡只显示这一次，可以打印交给本人。"),
                back=reverse("trace:grower_list"),
            )
    return form_page(
        request,
        form,
        title=_("登记种植户"),
        intro=_("登记后立即生效，由本社负责。种植户不需要邮箱和密码，用二维码登录卡登录。"),
        back=reverse("trace:grower_list"),
        submit=_("登记并生成登录卡"),
    )


@audience("party", "operator")
@require_POST
def grower_card(request: HttpRequest, uid: uuid.UUID) -> HttpResponse:
    """A new sign-in card; the one before and the phones signed in by it stop working."""
    actor = _cooperative(request)
    grower = grower_for(actor, uid)
    return link_page(
        request,
        issue_sign_in_card(by=actor, grower=grower),
        title=_("%(name)s 的登录卡") % {"name": grower.name},
        text=_("旧卡和用旧卡登录的手机已失效。卡只显示这一次，可以打印交给本人。"),
        back=reverse("trace:grower_list"),
    )


@audience("party", "operator")
@require_POST
def behalf_start(request: HttpRequest, uid: uuid.UUID) -> HttpResponse:
    """From now on enter for this grower (代录)."""
    actor = actor_of(request)
    grower = growers_entered_for(actor).filter(uid=uid).first()
    if grower is None:
        raise NotFound(_("没有找到，或者您无权查看。"))
    request.session["on_behalf_of"] = str(grower.uid)
    return redirect("/")


@audience("signed_in")
@require_POST
def behalf_end(request: HttpRequest) -> HttpResponse:
    """Enter for one's own organisation again."""
    request.session.pop("on_behalf_of", None)
    return redirect("/")


# --- Vetting and supervising ----------------------------------------------------------------------------------------

DECISIONS = {
    "admit": admit_organisation,
    "refuse": refuse_organisation,
    "suspend": suspend_organisation,
    "resume": resume_organisation,
}


@audience("regulator")
@require_http_methods(GET)
def application_list(request: HttpRequest) -> HttpResponseBase:
    """Applicants of the territory that wait for a decision, oldest first."""
    actor = actor_of(request)
    rows = organisations_supervised_by(actor).filter(status=Status.APPLIED).order_by("created_at", "id")
    if asked_format(request):
        return export(request, ORGANISATIONS, rows)
    claims = Product.objects.filter(
        gtin_claim=Product.GtinClaim.CLAIMED, organisation__in=organisations_supervised_by(actor)
    ).count()
    return render(request, "trace/organisations/applications.html", {"page": page_of(request, rows), "claims": claims})


@audience("regulator")
@require_http_methods(GET)
def supervised_list(request: HttpRequest) -> HttpResponseBase:
    """Every organisation of the territory, found by name, code, state and kind."""
    actor = actor_of(request)
    form = FindForm(request.GET or None)
    rows = organisations_supervised_by(actor).order_by("name", "id")
    if form.is_valid():
        rows = _found(rows, form)
    if asked_format(request):
        return export(request, ORGANISATIONS, rows)
    return render(request, "trace/organisations/supervised_list.html", {"page": page_of(request, rows), "form": form})


def _found(rows: QuerySet[Organisation], form: FindForm) -> QuerySet[Organisation]:
    """The organisations a search asks for."""
    query, status, kind = (form.cleaned_data[name] for name in ("q", "status", "kind"))
    if query:
        rows = rows.filter(Q(name__icontains=query) | Q(name_en__icontains=query) | Q(uscc__istartswith=query))
    if status:
        rows = rows.filter(status=status)
    return rows.filter(kind=kind) if kind else rows


@audience("regulator")
@require_http_methods(GET)
def supervised(request: HttpRequest, uid: uuid.UUID) -> HttpResponse:
    """One organisation of the territory with all a regulator needs to decide about it."""
    return _supervised_page(request, supervised_for(actor_of(request), uid))


def _supervised_page(request: HttpRequest, found: Organisation, form: ReasonForm | None = None) -> HttpResponse:
    actor = actor_of(request)
    context = {
        "organisation_shown": found,
        "licences": found.licences.order_by("ended_at", "kind", "number"),
        "certificates": certificates_visible_to(actor).filter(organisation=found).order_by("-valid_until"),
        "products": found.products.select_related("current", "current__standard").order_by("-id")[:20],
        "places": found.places.select_related("division").order_by("-id")[:20],
        "steps": found.steps.select_related("by", "by_organisation").order_by("-id"),
        "edits": edits_of(f"organisation:{found.uid}", limit=20),
        "form": form or NoteForm(),
        "may_decide": actor.can("officer", "approver"),
    }
    return render(
        request, "trace/organisations/supervised.html", context, status=422 if form is not None and form.errors else 200
    )


@audience("regulator", "officer", "approver")
@require_POST
def decide(request: HttpRequest, uid: uuid.UUID) -> HttpResponse:
    """Admit, refuse, suspend or resume. All but admitting ask for a reason."""
    actor = actor_of(request)
    found = supervised_for(actor, uid)
    decision = request.POST.get("decision", "")
    run = DECISIONS.get(decision)
    if run is None:
        raise NotFound(_("没有这个页面。"))
    form = NoteForm(request.POST) if decision == "admit" else ReasonForm(request.POST)
    if form.is_valid():
        reason = form.cleaned_data["reason"]
        if attempt(form, lambda: run(organisation=found, by=actor, reason=reason)) is not None:
            messages.success(request, _("已办理，对方登录后即可看到。"))
            return redirect("trace:supervised", uid=found.uid)
    return _supervised_page(request, Organisation.objects.select_related("division").get(pk=found.pk), form)


# --- The installation's operator ------------------------------------------------------------------------------------


@audience("operator")
@require_http_methods(GET)
def operator_list(request: HttpRequest) -> HttpResponseBase:
    """Every organisation of the installation."""
    form = FindForm(request.GET or None)
    rows: QuerySet[Organisation] = Organisation.objects.exclude(status=Status.EXTERNAL).select_related("division")
    if form.is_valid():
        rows = _found(rows, form)
    rows = rows.annotate(members=Count("memberships", filter=Q(memberships__ended_at=None)))
    rows = rows.order_by("-kind", "name", "id")
    if asked_format(request):
        return export(request, ORGANISATIONS, rows)
    return render(request, "trace/organisations/operator_list.html", {"page": page_of(request, rows), "form": form})


@audience("operator")
@require_http_methods(FORM)
def regulator_new(request: HttpRequest) -> HttpResponse:
    """Set up a regulator; the answer shows the links for its first two people, once."""
    form = RegulatorForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        made = attempt(form, lambda: create_regulator(by=signed_in_user(request), **form.cleaned_data))
        if made is not None:
            return link_page(
                request,
                made.approver,
                made.officer,
                title=_("已登记 %(name)s") % {"name": made.organisation.name},
                text=_("把下面两个邀请分别交给审批人和经办人。链接只显示这一次。"),
                back=reverse("trace:operator_list"),
            )
    return form_page(
        request,
        form,
        title=_("登记监管部门"),
        back=reverse("trace:operator_list"),
        submit=_("登记并生成邀请"),
    )


@audience("operator")
@require_http_methods(GET)
def operator_organisation(request: HttpRequest, uid: uuid.UUID) -> HttpResponse:
    """One organisation with its members."""
    found = get_object_or_404(Organisation.objects.select_related("division"), uid=uid)
    members = found.memberships.filter(ended_at=None).select_related("user").order_by("id")
    return render(
        request, "trace/organisations/operator_organisation.html", {"organisation_shown": found, "members": members}
    )


@audience("operator")
@require_POST
def operator_password(request: HttpRequest, uid: uuid.UUID) -> HttpResponse:
    """A link by which a member sets a new password."""
    membership = get_object_or_404(Membership.objects.select_related("user", "organisation"), uid=uid)
    issued = issue_password_link_as_operator(membership=membership, by=signed_in_user(request))
    return link_page(
        request,
        issued,
        title=_("%(name)s 的重设密码链接") % {"name": membership.user},
        text=_("请当面或通过可靠的方式交给本人。链接只显示这一次。"),
        back=reverse("trace:operator_organisation", args=[membership.organisation.uid]),
    )
