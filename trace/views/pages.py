"""What the pages of organisations, people and registry share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django import forms
from django.conf import settings
from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from trace.actions.people import IssuedInvitation
from trace.errors import NotSignedIn
from trace.models import EditLog, Invitation, User
from trace.qr import qr_svg
from trace.text import clean_int

PAGE_SIZE = 50


def signed_in_user(request: HttpRequest) -> User:
    """The user of a request that passed its audience."""
    if not isinstance(request.user, User):
        raise NotSignedIn(_("请先登录。"))
    return request.user


def form_page(
    request: HttpRequest,
    form: forms.Form,
    *,
    title: str,
    back: str,
    intro: str = "",
    submit: str = "",
    template: str = "trace/form_page.html",
    **more: Any,
) -> HttpResponse:
    """A page that asks for one form; 422 when it was refused. ``back`` is where giving up leads."""
    context = {"form": form, "title": title, "intro": intro, "back": back, "submit": submit or _("保存"), **more}
    return render(request, template, context, status=422 if form.is_bound and form.errors else 200)


def page_of(request: HttpRequest, rows: QuerySet[Any]) -> Page[Any]:
    """The page of a list that the address asks for; a nonsensical number is the first page, one too large the last."""
    asked = request.GET.get("page", "1")[:20]
    number = int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 10 else 1
    return Paginator(rows, PAGE_SIZE).get_page(clean_int(number, 0, 10**9) or 1)


@dataclass(frozen=True)
class LinkCard:
    """An invitation as a page shows it: for whom, as what, until when, its address and QR."""

    invitation: Invitation
    url: str
    qr: SafeString


def link_page(request: HttpRequest, *issued: IssuedInvitation, title: str, text: str, back: str) -> HttpResponse:
    """The links and QRs of invitations, shown this once: only their hashes are kept. Never cached."""
    cards = []
    for one in issued:
        url = settings.PUBLIC_BASE_URL + reverse("trace:invitation", args=[one.token])
        cards.append(LinkCard(one.invitation, url, qr_svg(url, _("邀请二维码"))))
    context = {"title": title, "text": text, "back": back, "cards": cards}
    return once_shown(render(request, "trace/people/link.html", context))


def once_shown(response: HttpResponse) -> HttpResponse:
    """An answer with a secret in it: no cache may keep it."""
    response["Cache-Control"] = "no-store"
    return response


def edits_of(subject: str, *, limit: int = 50) -> list[EditLog]:
    """The last changes of one row of master data, newest first."""
    return list(EditLog.objects.filter(subject=subject).select_related("by").order_by("-id")[:limit])
