"""What opens when a code is scanned. Reading writes nothing: previews and crawlers leave no trace and cost no count.

The pages set no cookie and ask for none, so the two POSTs here are exempt from the CSRF cookie; what stands in for it
is the signed word of the page (``labels.nonces``).
"""

from __future__ import annotations

import json
import re
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from labels import limits, nonces, provenance, resolve
from labels.actions.scans import count_scan, report_mismatch
from labels.digital_link import build_code_uri, build_lot_uri, build_unit_uri
from labels.elsewhere import issued_elsewhere
from labels.forms import ReportForm
from labels.models import Scan
from labels.places import place_of
from labels.resolve import Target
from trace.access import audience
from trace.errors import DomainError, Invalid
from trace.language import chosen_language
from trace.models import Product
from trace.templatetags.ui import look_of
from trace.text import printable

GS1_VOC = "https://ref.gs1.org/voc/"
_LINK = re.compile(r"(?P<gtin>[^/]+)(?:/22/[^/]+)?(?:/10/(?P<lot>.+?))?(?:/21/(?P<serial>[^/]+))?/?", re.DOTALL)
"""The path after ``/01/`` as it arrives, already unescaped: a captured lot code may itself hold a slash."""


@audience("public")
@require_safe
@gzip_page
def code(request: HttpRequest, code: str) -> HttpResponse:
    """``/c/{code}``: a unit by its serial or a lot by its public code, look-alikes forgiven."""
    given = code.strip("/")
    try:
        target = resolve.by_code(given)
    except Invalid as error:
        return _unknown(request, given, error.message)
    return _answer(request, target, given)


@audience("public")
@require_safe
@gzip_page
def digital_link(request: HttpRequest, rest: str) -> HttpResponse:
    """``/01/{gtin}``, ``…/10/{lot}``, ``…/21/{serial}``, ``…/10/{lot}/21/{serial}`` (GS1 Digital Link)."""
    given = f"/01/{rest}"
    match = _LINK.fullmatch(rest)
    if match is None:
        return _unknown(request, given, _("这个网址不完整，请重新扫码。"), status=400)
    try:
        target = resolve.by_gtin(match["gtin"], lot_code=match["lot"] or "", serial=match["serial"] or "")
    except Invalid as error:
        return _unknown(request, given, error.message, status=400)
    return _answer(request, target, given)


@audience("public")
@require_safe
@gzip_page
def search(request: HttpRequest) -> HttpResponse:
    """Type a code, a lot code, a GTIN or an address; leads to its page, or to a choice where a lot code means several
    lots.
    """
    given = request.GET.get("q", "").strip()
    gtin = request.GET.get("gtin", "")
    if not given:
        return render(request, "labels/search.html", _common(request, given=""))
    target = resolve.by_text(given)
    if target is None and gtin:
        target = _lot_of_product(gtin, given)
    if target is not None:
        return HttpResponseRedirect(_page_url(request, target))
    elsewhere = issued_elsewhere(given)
    if elsewhere:
        answer = render(request, "labels/elsewhere.html", _common(request, given=printable(given, 120), rows=elsewhere))
        answer["Cache-Control"] = "private, no-cache"
        return answer
    lots = list(resolve.labelled_lots(given)[: resolve.MOST_LOTS])
    if len(lots) == 1:
        return HttpResponseRedirect(_page_url(request, Target(lots[0].product, lots[0])))
    if lots:
        return render(request, "labels/search.html", _common(request, given=given, lots=lots))
    return _unknown(request, given, "")


def _lot_of_product(gtin: str, lot_code: str) -> Target | None:
    """The lot typed on a product's page."""
    try:
        return resolve.by_gtin(gtin, lot_code=lot_code)
    except Invalid:
        return None


@audience("public")
@csrf_exempt
@require_POST
def count(request: HttpRequest) -> HttpResponse:
    """Count one view by the signed word of its page: 204 to the beacon, back to the page for a person without
    JavaScript.
    """
    means = Scan.Means.BEACON if request.POST.get("means") == "beacon" else Scan.Means.BUTTON
    done = count_scan(
        word=request.POST.get("word", ""), means=means, place=place_of(request.META.get("REMOTE_ADDR", ""))
    )
    if means == Scan.Means.BEACON:
        return HttpResponse(status=204)
    address = reverse("labels:code", args=[Target(done.lot.product, done.lot, done.unit).code])
    return HttpResponseRedirect(f"{address}?counted=1#scans")


@audience("public")
@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
@gzip_page
def report(request: HttpRequest, code: str = "") -> HttpResponse:
    """信息与实物不符: a form for anybody, also about a code we never issued; gives a receipt number."""
    target = _target_or_none(code)
    if request.method != "POST":
        form = ReportForm(
            initial={"word": nonces.sign(target.code if target else ""), "code_text": code if not target else ""}
        )
        return _report_page(request, form, target)
    if not limits.spend("report", request.META.get("REMOTE_ADDR", ""), limits.REPORTS):
        return _too_many(request)
    form = ReportForm(request.POST)
    if form.is_valid():
        try:
            done = report_mismatch(**form.cleaned_data)
        except Invalid as error:
            form.add_error("words" if error.code == "words_required" else None, error.message)
        else:
            return render(request, "labels/reported.html", _common(request, report=done, target=target))
    return _report_page(request, form, target, status=422)


def _report_page(request: HttpRequest, form: ReportForm, target: Target | None, status: int = 200) -> HttpResponse:
    """The form, fresh or with what was wrong."""
    answer = render(request, "labels/report.html", _common(request, form=form, target=target), status=status)
    answer["Cache-Control"] = "private, no-store"
    return answer


def _target_or_none(code: str) -> Target | None:
    """The goods a report is about, if the code is one of ours."""
    try:
        return resolve.by_code(code) if code else None
    except Invalid:
        return None


# ---------------------------------------------------------------- answers


def _common(request: HttpRequest, **more: Any) -> dict[str, Any]:
    """What every public page's template is given besides its own."""
    return {"report_url": reverse("labels:report"), "language_asked": chosen_language(request) or "", **more}


def _answer(request: HttpRequest, target: Target | None, given: str) -> HttpResponse:
    """The page of what was found, at once and without a redirect, with the links of the GS1 resolver standard in its
    head.

    Declared deviation from that standard: the default link is answered with 200 instead of a redirect, since the
    browsers inside messengers warn at every redirect. ``?linkType=linkset`` (or asking for the type) gives the links
    as JSON.
    """
    if target is None:
        return _unknown(request, given, "")
    links = _links(target)
    if request.GET.get("linkType") in ("linkset", "all") or "application/linkset+json" in request.headers.get(
        "Accept", ""
    ):
        return HttpResponse(_linkset(target, links), content_type="application/linkset+json")
    answer = _product(request, target) if target.lot is None else _goods(request, target)
    answer["Link"] = ", ".join(f'<{url}>; rel="{rel}"' for rel, url in links)
    answer["Cache-Control"] = "private, no-cache"
    return answer


def _goods(request: HttpRequest, target: Target) -> HttpResponse:
    """The page of a lot or unit."""
    page = provenance.page_of(target)
    context = _common(
        request,
        page=page,
        verdict_words=look_of(page.verdict).words,
        word=nonces.sign(target.code),
        just_counted=request.GET.get("counted") == "1",
    )
    context["report_url"] = reverse("labels:report", args=[target.code])
    return render(request, "labels/scan.html", context)


def _product(request: HttpRequest, target: Target) -> HttpResponse:
    """The page of a bare GTIN."""
    return render(request, "labels/product.html", _common(request, page=provenance.product_page_of(target)))


def _unknown(request: HttpRequest, given: str, reason: str, status: int = 404) -> HttpResponse:
    """查无此码, with what to do; who asks for too many such codes is told to wait."""
    if not limits.spend("unknown", request.META.get("REMOTE_ADDR", ""), limits.UNKNOWN_CODES):
        return _too_many(request)
    context = _common(request, given=printable(given, 80), reason=reason)
    answer = render(request, "labels/unknown.html", context, status=status)
    answer["Cache-Control"] = "private, no-cache"
    return answer


def _too_many(request: HttpRequest) -> HttpResponse:
    """429 in words. Codes that exist are still answered meanwhile."""
    error = DomainError(_("查询或提交太频繁，请过一会儿再试。"), code="too_many")
    answer = render(request, "trace/error.html", {"error": error, "status": 429}, status=429)
    answer["Retry-After"] = str(limits.UNKNOWN_CODES[1])
    return answer


# ---------------------------------------------------------------- links


def canonical_url(target: Target) -> str:
    """The address of the goods under today's public host, with the GTIN where its claim stands."""
    gtin = target.product.gtin if target.product.gtin_claim == Product.GtinClaim.CONFIRMED else None
    base = settings.PUBLIC_BASE_URL
    if target.lot is None:
        return f"{base}/01/{target.gtin}"
    try:
        if target.unit is not None:
            return build_unit_uri(base, gtin=gtin, serial=target.unit.code)
        return build_lot_uri(base, gtin=gtin, lot_code=target.lot.lot_code, public_code=target.lot.public_code)
    except Invalid:
        # A lot code captured from a supplier may hold characters we would not print.
        return build_code_uri(base, target.code)


def _links(target: Target) -> list[tuple[str, str]]:
    """Relation and address of each thing we have about the goods."""
    here = canonical_url(target)
    kind = "pip" if target.lot is None else "traceability"
    return [
        ("canonical", here),
        (f"{GS1_VOC}defaultLink", here),
        (f"{GS1_VOC}{kind}", here),
        ("linkset", f"{here}?linkType=linkset"),
    ]


def _linkset(target: Target, links: list[tuple[str, str]]) -> str:
    """The links as RFC 9264 JSON."""
    anchor = canonical_url(target)
    title = target.lot.product_version.label if target.lot is not None else str(target.product)
    entry: dict[str, Any] = {"anchor": anchor, "itemDescription": title}
    for rel, url in links:
        if rel.startswith(GS1_VOC):
            entry[rel] = [{"href": url, "type": "text/html", "hreflang": ["zh-CN", "en"], "title": title}]
    return json.dumps({"linkset": [entry]}, ensure_ascii=False)


def _page_url(request: HttpRequest, target: Target) -> str:
    """The path of a target's page, keeping the language that was asked for."""
    path = reverse("labels:code", args=[target.code]) if target.lot is not None else f"/01/{target.gtin}"
    language = chosen_language(request)
    return f"{path}?lang={language}" if language else path
