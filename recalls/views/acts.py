"""What the authority did by served documents, and where the announcement stands."""

from __future__ import annotations

from urllib.parse import quote

from django.contrib import messages
from django.db import transaction
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from recalls.access import campaign_for, reads_papers
from recalls.actions.acts import (
    ALONE,
    BESIDE,
    defect_report_due,
    finding_of,
    is_competent,
    issue_act,
    object_to_recall,
    objection_window,
    pending_objection,
    report_defect,
)
from recalls.actions.announcements import prove_publication
from recalls.actions.moves import proposal_of
from recalls.channels import channel_for, owed
from recalls.forms import ActForm, DefectReportForm, ProofForm, ReasonForm
from recalls.models import Campaign, ClockInstance, Publication, PublicationProof, RegulatorAct
from recalls.views.doors import acting, page
from trace.access import audience, entered_for, parse_uid
from trace.actions.files import path_of, store_file
from trace.actor import Actor
from trace.errors import NotFound
from trace.forms.fields import attempt
from trace.models import StoredFile

Kind = RegulatorAct.Kind


def _readable(actor: Actor, uid: str) -> Campaign:
    campaign = campaign_for(actor, uid)
    if not reads_papers(actor, campaign):
        raise NotFound(_("没有找到，或者您无权查看。"))
    return campaign


def _upload(request: HttpRequest, actor: Actor) -> StoredFile | None:
    upload = request.FILES.get("file")
    return store_file(by=actor, name=upload.name or "", content=upload) if upload is not None else None


@audience("signed_in")
@require_http_methods(["GET", "HEAD", "POST"])
def campaign_acts(request: HttpRequest, uid: str) -> HttpResponse:
    """Every act of the authority in a campaign; the supervising regulator writes down another."""
    actor = acting(request)
    campaign = _readable(actor, uid)
    kinds = _kinds(actor, campaign)
    objecting = request.method == "POST" and request.POST.get("do") == "object"
    objection = ReasonForm(request.POST if objecting else None)
    if objecting and objection.is_valid():
        words = objection.cleaned_data["reason"]
        if attempt(objection, lambda: object_to_recall(by=actor, campaign=campaign, reason=words)) is not None:
            messages.success(request, _("异议已提出，等待缺陷认定。"))
            return redirect("recalls:campaign_acts", campaign.uid)
    telling = request.method == "POST" and request.POST.get("do") == "defect"
    defect = DefectReportForm(request.POST if telling else None)
    if telling and defect.is_valid():
        told = defect.cleaned_data
        fields = {"in_future": "reported_at", "before_knowing": "reported_at"}
        if attempt(defect, lambda: report_defect(by=actor, campaign=campaign, **told), fields) is not None:
            messages.success(request, _("已登记，这项时限到此为止。"))
            return redirect("recalls:campaign_acts", campaign.uid)
    form = ActForm(request.POST if request.method == "POST" and not objecting and not telling else None, kinds=kinds)
    if form.is_bound and form.is_valid():

        def issue() -> RegulatorAct:
            with transaction.atomic():
                return issue_act(by=actor, campaign=campaign, file=_upload(request, actor), **form.cleaned_data)

        if attempt(form, issue, {"number_used": "number", "in_future": "served_at"}) is not None:
            messages.success(request, _("已登记。"))
            return redirect("recalls:campaign_acts", campaign.uid)
    due = defect_report_due(campaign)
    return page(
        request,
        "recalls/acts.html",
        {
            "campaign": campaign,
            "acts": campaign.acts.select_related("organisation", "officer", "file").order_by("-id"),
            "form": form if kinds else None,
            "window": objection_window(campaign),
            "objections": campaign.steps.filter(action="object").select_related("by_organisation").order_by("-id"),
            "unanswered": pending_objection(campaign),
            "finding": finding_of(campaign),
            "defect_due": due,
            "defect_reports": campaign.steps.filter(action="report_defect").select_related("by", "by_organisation"),
            "defect": defect if _may_report(actor, campaign, due) else None,
            "objection": objection if _may_object(actor, campaign) else None,
            "competent": is_competent(actor, campaign) if actor.is_regulator else True,
        },
        bad=form.is_bound or objection.is_bound or defect.is_bound,
    )


def _may_object(actor: Actor, campaign: Campaign) -> bool:
    """Whether the firm can still object."""
    window = objection_window(campaign)
    own = campaign.organisation_id in entered_for(actor) and actor.can("quality", "owner")
    return own and window is not None and window.met_at is None and timezone.now() <= window.due_at


def _may_report(actor: Actor, campaign: Campaign, due: ClockInstance | None) -> bool:
    """Whether the firm still has the defect to report."""
    own = campaign.organisation_id in entered_for(actor) and actor.can("quality", "owner")
    return own and campaign.is_open and due is not None and due.met_at is None


def _kinds(actor: Actor, campaign: Campaign) -> list[tuple[str, str]]:
    """The acts this person can write down here."""
    if not actor.is_regulator or not campaign.is_open or not actor.can("officer", "approver"):
        return []
    waits = proposal_of(campaign, "grant_extension") is not None and is_competent(actor, campaign)
    return [
        (kind.value, str(kind.label))
        for kind in BESIDE
        if (kind in ALONE or actor.can("approver")) and (kind != Kind.EXTENSION_REFUSED or waits)
    ]


@audience("signed_in")
@require_safe
def act_file(request: HttpRequest, uid: str, act: str) -> HttpResponseBase:
    """The served document itself, for the firm and who supervises."""
    actor = acting(request)
    campaign = _readable(actor, uid)
    found = campaign.acts.select_related("file").filter(uid=parse_uid(act)).exclude(file=None).first()
    if found is None or found.file is None or not path_of(found.sha256).exists():
        raise NotFound(_("没有找到，或者您无权查看。"))
    answer = FileResponse(path_of(found.sha256).open("rb"), content_type=found.file.media_type)
    answer["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(found.file.name)}"
    answer["X-Content-Type-Options"] = "nosniff"
    return answer


@audience("signed_in")
@require_http_methods(["GET", "HEAD", "POST"])
def campaign_channels(request: HttpRequest, uid: str) -> HttpResponse:
    """Where the announcement must stand, by where the goods went, where it does, and the evidence."""
    actor = acting(request)
    campaign = _readable(actor, uid)
    channel = channel_for(campaign)
    published = (
        Publication.objects.filter(notice__campaign=campaign)
        .select_related("notice", "by_organisation")
        .prefetch_related("proofs__by_organisation", "proofs__file")
        .order_by("-id")
    )
    last = published.first()
    form = ProofForm(
        request.POST or None, sites=[(site.key, str(site.label)) for site in channel.sites] if channel else []
    )
    if request.method == "POST" and last is None:
        raise NotFound(_("没有这个页面。"))
    if request.method == "POST" and form.is_valid() and last is not None:

        def prove() -> PublicationProof:
            with transaction.atomic():
                return prove_publication(by=actor, publication=last, file=_upload(request, actor), **form.cleaned_data)

        if attempt(form, prove, {"proof_required": "url", "url_wrong": "url", "in_future": "seen_at"}) is not None:
            messages.success(request, _("已登记。"))
            return redirect("recalls:campaign_channels", campaign.uid)
    rows = [(one, [channel.label(key) if channel else key for key in one.sites], one.proofs.all()) for one in published]
    return page(
        request,
        "recalls/channels.html",
        {
            "campaign": campaign,
            "channel": channel,
            "rows": rows,
            "owed": owed(campaign),
            "form": form if last is not None and channel is not None else None,
            "labels": {site.key: str(site.label) for site in channel.sites} if channel else {},
        },
        bad=form.is_bound,
    )
