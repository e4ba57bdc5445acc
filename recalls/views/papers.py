"""Documents of a recall: the list with what each lacks, making one, reading it, taking a copy away."""

from __future__ import annotations

from django.contrib import messages
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from recalls.access import campaign_for, drills_visible_to, paper_for, reads_papers
from recalls.actions.packs import hand_out_pack, order_pack
from recalls.actions.papers import hand_out, make_drill_report, make_paper, may_make
from recalls.errors import PaperIncomplete
from recalls.models import Campaign, Paper
from recalls.paper_lines import paper_lines
from recalls.papers.printing import is_whole, words_of
from recalls.sight import Sight
from recalls.transitions import Status
from recalls.views.doors import acting, page
from recalls.views.notices import notice_to_hand_on
from trace.access import audience, parse_uid
from trace.actor import Actor
from trace.errors import Clash, Invalid, NotFound

Kind = Paper.Kind
_TYPES = {"pdf": "application/pdf", "json": "application/json", "zip": "application/zip"}


@audience("signed_in")
@require_http_methods(["GET", "HEAD", "POST"])
def campaign_papers(request: HttpRequest, uid: str) -> HttpResponse:
    """Every document of a campaign with its state; POST makes one."""
    actor = acting(request)
    campaign = campaign_for(actor, uid)
    if not reads_papers(actor, campaign):
        raise NotFound(_("没有找到，或者您无权查看。"))
    refusal = ""
    if request.method == "POST":
        kind, subject = request.POST.get("kind", ""), request.POST.get("subject", "")
        if kind == Kind.NOTICE:
            raise NotFound(_("没有这个页面。"))
        if subject:
            subject = str(parse_uid(subject))
        try:
            if kind == Kind.PACK:
                order_pack(by=actor, campaign=campaign)
                messages.success(request, _("已开始制作，做好后在本页下载。"))
                return redirect("recalls:campaign_papers", campaign.uid)
            made = make_paper(by=actor, campaign=campaign, kind=kind, subject=subject)
        except (PaperIncomplete, Invalid, Clash) as error:
            refusal = error.message
        else:
            messages.success(request, _("已制作：%(title)s，第 %(n)s 版。") % {"title": made.title, "n": made.edition})
            return redirect("recalls:paper", made.uid)
    lines = paper_lines(campaign)
    packs = list(campaign.pack_orders.select_related("paper").order_by("-id")[:5])
    return page(
        request,
        "recalls/papers.html",
        {
            "campaign": campaign,
            "lines": lines,
            "notices": _notice_papers(actor, campaign),
            "may": may_make(actor, campaign),
            "closed": campaign.status == Status.CLOSED,
            "packs": packs,
            "refresh": 3 if any(one.is_open for one in packs) else 0,
            "refusal": refusal,
        },
        bad=bool(refusal),
    )


def _notice_papers(actor: Actor, campaign: Campaign) -> list[tuple[Paper, str]]:
    """The notices made as documents, to holders the actor may know."""
    papers = list(campaign.papers.filter(kind=Kind.NOTICE).order_by("-id")[:100])
    holders = {
        str(one.uid): one.organisation
        for one in campaign.notices.filter(uid__in=[paper.subject for paper in papers]).select_related("organisation")
    }
    sight = Sight(actor, campaign)
    return [
        (paper, holders[paper.subject].label)
        for paper in papers
        if paper.subject in holders and sight.knows(holders[paper.subject].pk)
    ]


@audience("signed_in")
@require_safe
def paper(request: HttpRequest, uid: str) -> HttpResponse:
    """One document as a page, to read and to print, with its editions and copies."""
    actor = acting(request)
    found = paper_for(actor, uid)
    editions = Paper.objects.filter(
        campaign=found.campaign, drill=found.drill, kind=found.kind, subject=found.subject
    ).order_by("-edition")
    inside = found.campaign is None or reads_papers(actor, found.campaign)
    back = reverse("recalls:drill", args=[found.drill.uid]) if found.drill else ""
    if found.campaign is not None:
        back = reverse("recalls:campaign_papers", args=[found.campaign.uid]) if inside else ""
    return page(
        request,
        "recalls/paper.html",
        {
            "paper": found,
            "words": words_of(found),
            "whole": is_whole(found),
            "campaign": {"is_drill": found.is_drill},
            "editions": editions[:50] if inside else [],
            "downloads": found.downloads.select_related("by", "by_organisation").order_by("-id")[:20] if inside else [],
            "back": back,
        },
    )


@audience("signed_in")
@require_safe
def paper_file(request: HttpRequest, uid: str, form: str) -> HttpResponseBase:
    """A copy as PDF, JSON or (the closure pack) ZIP; each is written down."""
    actor = acting(request)
    found = paper_for(actor, uid)
    if form not in _TYPES or (form == "zip" and found.kind != Kind.PACK):
        raise NotFound(_("没有这个页面。"))
    if request.method == "HEAD":
        return HttpResponse(content_type=_TYPES[form])
    drill = "drill-" if found.is_drill else ""
    name = f"{drill}{found.kind}-{found.uid.hex[-8:]}-{found.edition}.{form}"
    if form == "zip":
        path, _order = hand_out_pack(by=actor, paper=found)
        return _private(FileResponse(path.open("rb"), content_type=_TYPES[form]), name)
    data = hand_out(by=actor, paper=found, form=form)
    return _private(HttpResponse(data, content_type=_TYPES[form]), name)


def _private(answer: HttpResponseBase, name: str) -> HttpResponseBase:
    """A copy under its name that no cache keeps."""
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    answer["Cache-Control"] = "private, no-store"
    return answer


@audience("signed_in")
@require_POST
def notice_paper(request: HttpRequest, uid: str) -> HttpResponse:
    """Make the notice to one holder as a document with its receipt."""
    actor = acting(request)
    found = notice_to_hand_on(actor, uid)
    made = make_paper(by=actor, campaign=found.campaign, kind=Kind.NOTICE, subject=str(found.uid))
    return redirect("recalls:paper", made.uid)


@audience("signed_in")
@require_POST
def drill_paper(request: HttpRequest, uid: str) -> HttpResponse:
    """Make the report of an exercise."""
    actor = acting(request)
    found = drills_visible_to(actor).filter(uid=parse_uid(uid)).first()
    if found is None:
        raise NotFound(_("没有找到，或者您无权查看。"))
    made = make_drill_report(by=actor, drill=found)
    return redirect("recalls:paper", made.uid)
