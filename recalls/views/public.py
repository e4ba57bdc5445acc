"""What the public reads: the list, one recall as text, the feed. Drills and drafts never get here."""

from __future__ import annotations

import re
from typing import Any

from django.conf import settings
from django.core.paginator import Paginator
from django.db import transaction
from django.db.models import Q
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.feedgenerator import Atom1Feed
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from recalls.access import campaign_for, require_side
from recalls.actions.announcements import MOST_PICTURES, Announcement, Shown, draft_notice, goods_of, people_of
from recalls.first_words import first_announcement
from recalls.forms import AnnouncementForm
from recalls.guards import drafted_notice
from recalls.models import Campaign, NoticePicture, Publication, PublicNotice, RiskWarning
from recalls.queries import claim_words, publication_in_force, published
from recalls.scope import latest_scope
from recalls.through import through_of
from recalls.transitions import Status
from recalls.views.doors import acting, page
from trace.access import audience
from trace.actions.files import path_of, store_file
from trace.actor import Actor
from trace.errors import NotFound
from trace.forms.fields import attempt
from trace.models import Product
from trace.parts import Row

_FEED_ITEMS = 50
_UID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def in_force(limit: int | None = None) -> list[Publication]:
    """The publication in force of every announced campaign, the newest announcement first."""
    found: dict[int, Publication] = {}
    for publication in published():
        found.setdefault(publication.notice.campaign_id, publication)
        if limit is not None and len(found) >= limit:
            break
    return list(found.values())


@audience("public")
@require_safe
def public_list(request: HttpRequest) -> HttpResponse:
    """Announced recalls, newest first, searchable by product, lot, firm or number."""
    rows = narrowed_by(request, in_force())
    listed = Paginator(rows, 20).get_page(request.GET.get("page"))
    return page(
        request,
        "recalls/public_list.html",
        {
            "page": listed,
            "q": _words(request),
            "chosen": {name: request.GET.get(name, "") for name in ("state", "track", "year")},
            "states": [("", _("全部")), ("open", _("进行中")), ("closed", _("已结案"))],
            "tracks": [("", _("全部")), *Product.Track.choices],
            "years": sorted({_year(row) for row in in_force()}, reverse=True),
            "warnings": RiskWarning.objects.filter(status=RiskWarning.Status.PUBLISHED).order_by("-published_at")[:3],
        },
    )


def _words(request: HttpRequest) -> str:
    return request.GET.get("q", "").strip()[:60]


def narrowed_by(request: HttpRequest, rows: list[Publication]) -> list[Publication]:
    """The publications that the address asks for: words, open or closed, kind of goods, year of the announcement. What
    is no known value narrows nothing.
    """
    words, state = _words(request), request.GET.get("state", "")
    track, year = request.GET.get("track", ""), request.GET.get("year", "")
    if words:
        rows = [row for row in rows if _matches(row, words)]
    if state in ("open", "closed"):
        rows = [row for row in rows if (row.notice.campaign.status == Status.CLOSED) == (state == "closed")]
    if track in Product.Track.values:
        rows = [row for row in rows if row.notice.campaign.track == track]
    if year.isascii() and year.isdigit() and len(year) == 4:
        rows = [row for row in rows if _year(row) == int(year)]
    return rows


def _year(publication: Publication) -> int:
    """The year of an announcement by the calendar here: the first eight hours of a year are the last of the one before
    by universal time.
    """
    return timezone.localdate(publication.at).year


def _matches(publication: Publication, words: str) -> bool:
    """Whether number, title, firm, product or a lot code contains the words."""
    notice = publication.notice
    texts = [notice.campaign.number or "", notice.campaign.title, notice.producer]
    for goods in notice.goods:
        texts += [goods["name"], goods.get("name_en", ""), goods.get("gtin", "")]
        texts += [lot["code"] for lot in goods["lots"]]
    return any(words.lower() in text.lower() for text in texts)


@audience("public")
@require_safe
def public_recall(request: HttpRequest, ref: str) -> HttpResponseBase:
    """One announced recall with all of article 16, and every earlier version of its announcement."""
    campaign = public_campaign(ref)
    if str(campaign.uid) != ref:
        return redirect("recalls:public_recall", campaign.uid)
    publications = list(
        Publication.objects.filter(notice__campaign=campaign)
        .select_related("notice__people", "notice__scope", "by_organisation")
        .order_by("-at", "-id")
    )
    current = publications[0]
    return page(
        request,
        "recalls/public_recall.html",
        {
            "campaign": campaign,
            "publication": current,
            "notice": current.notice,
            "pictures": current.notice.pictures.order_by("number"),
            "rows": article_16(current.notice),
            "earlier": publications[1:],
            "ended": campaign.status == Status.CLOSED,
            "claim_words": claim_words(campaign),
            "through": through_of(current.notice.scope),
        },
    )


def public_campaign(ref: str) -> Campaign:
    """An announced campaign by uid or number (either kind of brackets); NotFound for all others, drills included."""
    if not ref.isprintable():
        raise NotFound(_("没有这个召回公告。"))
    text = ref.replace("〔", "[").replace("〕", "]")[:60]
    rows = Campaign.objects.filter(notice_is_public()).select_related("organisation", "authority")
    found = rows.filter(number=text).first()
    if found is None and _UID.fullmatch(ref):
        found = rows.filter(uid=ref).first()
    if found is None:
        raise NotFound(_("没有这个召回公告。"))
    return found


def notice_is_public() -> Q:
    """Campaigns with a publication in force."""
    return Q(pk__in=published().values("notice__campaign"))


def article_16(notice: PublicNotice) -> list[tuple[str, list[Row]]]:
    """The four groups of the announcement (2015 Measures, article 16), the goods apart."""
    people = people_of(notice)
    campaign = notice.campaign
    return [
        (
            campaign.as_whom,
            [
                Row(_("名称"), notice.producer),
                Row(_("住所"), notice.address),
                Row(_("法定代表人"), people["legal_representative"]),
                Row(_("具体负责人"), people["person_in_charge"]),
                Row(_("联系电话"), notice.phone),
                Row(_("电子邮箱"), notice.email),
            ],
        ),
        (
            _("原因、级别、日期和区域"),
            [
                Row(_("召回原因"), notice.reason),
                Row(_("可能的危害"), notice.risk),
                Row(_("级别"), campaign.level_label),
                Row(_("方式"), campaign.get_form_display()),
                Row(_("开始日期"), notice.begins_on),
                *([Row(_("截止日期"), notice.ends_on)] if notice.ends_on else []),
                Row(_("区域范围"), notice.area),
            ],
        ),
        (
            _("怎么办"),
            [
                Row(_("经营者应当做什么"), notice.duties),
                Row(_("消费者怎么办"), notice.what_to_do),
                Row(_("退货和赔偿"), notice.compensation),
            ],
        ),
    ]


@audience("public")
@require_safe
def public_feed(request: HttpRequest) -> HttpResponse:
    """Announced recalls as an Atom feed (RFC 4287), in the language of the request; entries keep their id for good."""
    base = settings.PUBLIC_BASE_URL
    rows = in_force(_FEED_ITEMS)
    feed = Atom1Feed(
        title=_("召回公告"),
        link=base + reverse("recalls:public_list"),
        description=_("已公告的召回"),
        language=get_language() or "zh-hans",
        feed_url=base + reverse("recalls:public_feed"),
        feed_guid=base + reverse("recalls:public_feed"),
    )
    for row in rows:
        notice = row.notice
        campaign = notice.campaign
        comma = _("、")
        names = comma.join(
            f"{goods['name']} {comma.join(lot['code'] for lot in goods['lots'])}" for goods in notice.goods
        )
        feed.add_item(
            title=f"{campaign.number} {campaign.title}",
            link=base + reverse("recalls:public_recall", args=[campaign.uid]),
            description=f"{names}{_('。')} {notice.reason} {notice.what_to_do} {notice.phone}",
            unique_id=f"urn:uuid:{campaign.uid}",
            pubdate=campaign.announced_at,
            updateddate=row.at,
            author_name=notice.producer,
        )
    answer = HttpResponse(content_type="application/atom+xml; charset=utf-8")
    feed.write(answer, "utf-8")
    return answer


@audience("signed_in")
@require_http_methods(["GET", "HEAD", "POST"])
def campaign_notice_draft(request: HttpRequest, uid: str) -> HttpResponse:
    """Draft the announcement; the goods come from the scope. Each saving is a version; publishing takes another."""
    actor = acting(request)
    campaign = campaign_for(actor, uid)
    require_side(actor, campaign)
    scope = latest_scope(campaign)
    form = AnnouncementForm(request.POST or None, initial=_first_words(campaign))
    if campaign.initiator != Campaign.Initiator.PRODUCER:
        form.fields["producer"].label = _("召回单位名称")
    if request.method == "POST" and form.is_valid():
        kind = PublicNotice.Kind.CORRECTION if campaign.announced_at else PublicNotice.Kind.ANNOUNCEMENT
        row = attempt(
            form,
            lambda: _draft(request, actor, campaign, Announcement(**form.cleaned_data), kind),
            {"ends_before_start": "ends_on", "end_required": "ends_on", "email_required": "email"},
        )
        if row is not None:
            return redirect("recalls:campaign", campaign.uid)
    return page(
        request,
        "recalls/campaign_notice_draft.html",
        {
            "campaign": campaign,
            "form": form,
            "goods": goods_of(scope) if scope else [],
            "pictures": _last_pictures(campaign),
            "draft": drafted_notice(campaign),
            "in_force": publication_in_force(campaign),
        },
        bad=form.is_bound,
    )


def _draft(
    request: HttpRequest, actor: Actor, campaign: Campaign, announcement: Announcement, kind: str
) -> PublicNotice:
    """The next version with its pictures: those still ticked, and what was uploaded."""
    kept = {int(one) for one in request.POST.getlist("keep") if one.isascii() and one.isdigit() and len(one) < 3}
    caption = request.POST.get("caption", "")
    with transaction.atomic():
        pictures = [
            Shown(store_file(by=actor, name=upload.name or "", content=upload), caption)
            for upload in request.FILES.getlist("pictures")[: MOST_PICTURES + 1]
        ]
        return draft_notice(
            by=actor,
            campaign=campaign,
            announcement=announcement,
            kind=kind,
            pictures=pictures,
            keep=kept if "pictures_shown" in request.POST else None,
        )


def _last_pictures(campaign: Campaign) -> list[NoticePicture]:
    """The pictures of the last version."""
    last = campaign.public_notices.order_by("-number").first()
    return list(last.pictures.order_by("number")) if last is not None else []


@audience("public")
@require_safe
def public_picture(request: HttpRequest, ref: str, sha256: str) -> HttpResponseBase:
    """One picture of an announced recall, by its hash: of a version that was published, never of a draft or a drill."""
    campaign = public_campaign(ref)
    rows = NoticePicture.objects.filter(notice__campaign=campaign, notice__publication__isnull=False)
    found = rows.filter(sha256=sha256).first() if re.fullmatch(r"[0-9a-f]{64}", sha256) else None
    if found is None or not path_of(found.sha256).exists():
        raise NotFound(_("没有这张照片。"))
    return _jpeg(found)


@audience("signed_in")
@require_safe
def draft_picture(request: HttpRequest, uid: str, number: str) -> HttpResponseBase:
    """One picture of the last version, for who prepares the announcement."""
    actor = acting(request)
    campaign = campaign_for(actor, uid)
    require_side(actor, campaign)
    found = next((one for one in _last_pictures(campaign) if str(one.number) == number), None)
    if found is None or not path_of(found.sha256).exists():
        raise NotFound(_("没有这张照片。"))
    return _jpeg(found)


def _jpeg(picture: NoticePicture) -> FileResponse:
    answer = FileResponse(path_of(picture.sha256).open("rb"), content_type="image/jpeg")
    answer["X-Content-Type-Options"] = "nosniff"
    answer["Content-Disposition"] = "inline"
    answer["Cache-Control"] = "private, max-age=86400"
    return answer


def _first_words(campaign: Campaign) -> dict[str, Any]:
    """The last version, or what is known of the firm and the finding."""
    last = campaign.public_notices.select_related("people").order_by("-number").first()
    if last is not None:
        names = [name for name in AnnouncementForm.base_fields if hasattr(last, name)]
        return {name: getattr(last, name) for name in names} | people_of(last)
    return first_announcement(campaign)
