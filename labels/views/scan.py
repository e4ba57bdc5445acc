"""What opens when a code is scanned. Reading writes nothing: previews and crawlers leave no trace and cost no count.

The pages set no cookie and ask for none, so the two POSTs here are exempt from the CSRF cookie; what stands in for it
is the signed word of the page (``labels.nonces``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from labels import limits, nonces, provenance, resolve
from labels.actions.checks import attempt_of, try_check
from labels.actions.scans import count_scan, report_mismatch
from labels.actions.suspicions import note_series
from labels.elsewhere import issued_elsewhere
from labels.forms import ReportForm
from labels.linkset import Link
from labels.models import CheckAttempt, Scan
from labels.places import spot_of
from labels.provenance import Page, Scans
from labels.recall_state import recalls_of_product
from labels.resolve import Target
from trace.access import audience
from trace.errors import DomainError, Invalid
from trace.language import chosen_language
from trace.templatetags.ui import look_of
from trace.text import printable


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
        return render(request, "labels/search.html", common(request, given=""))
    target = resolve.by_text(given)
    if target is None and gtin:
        target = _lot_of_product(gtin, given)
    if target is not None:
        return HttpResponseRedirect(_page_url(request, target))
    elsewhere = issued_elsewhere(given)
    if elsewhere:
        answer = render(request, "labels/elsewhere.html", common(request, given=printable(given, 120), rows=elsewhere))
        answer["Cache-Control"] = "private, no-cache"
        return answer
    lots = list(resolve.labelled_lots(given)[: resolve.MOST_LOTS])
    if len(lots) == 1:
        return HttpResponseRedirect(_page_url(request, Target(lots[0].product, lots[0])))
    if lots:
        return render(request, "labels/search.html", common(request, given=given, lots=lots))
    return unknown_page(request, given, "")


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
    address = request.META.get("REMOTE_ADDR", "")
    place, region = spot_of(address)
    done = count_scan(word=request.POST.get("word", ""), means=means, place=place, region=region, address=address)
    if means == Scan.Means.BEACON:
        return HttpResponse(status=204)
    page = reverse("labels:code", args=[Target(done.lot.product, done.lot, done.unit).code])
    return HttpResponseRedirect(f"{page}?counted=1#scans")


@audience("public")
@csrf_exempt
@require_POST
def check(request: HttpRequest) -> HttpResponse:
    """Try the check code from under the layer; leads back to the page, which says what became of it."""
    address = request.META.get("REMOTE_ADDR", "")
    if not limits.spend("check", address, limits.CHECKS):
        return _too_many(request, limits.CHECKS[1])
    place, _region = spot_of(address)
    asked = {"lang": language} if (language := chosen_language(request)) else {}
    try:
        attempt, unit = try_check(word=request.POST.get("word", ""), typed=request.POST.get("check", ""), place=place)
    except Invalid as error:
        if error.code != "check_characters":
            raise
        code, asked = nonces.read(request.POST.get("word", "")).code, {"checked": "unclear", **asked}
    else:
        code, asked = unit.code, {"checked": attempt.nonce, **asked}
    return HttpResponseRedirect(f"{reverse('labels:code', args=[code])}?{urlencode(asked)}#check")


def _checked(request: HttpRequest, target: Target) -> CheckAttempt | str | None:
    """What became of the attempt that led here, for a day; a word where what was typed can be no check code."""
    nonce = printable(request.GET.get("checked", ""), 40)
    if not nonce or target.unit is None:
        return None
    return "unclear" if nonce == "unclear" else attempt_of(target.unit, nonce)


@audience("public")
@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
@gzip_page
def report(request: HttpRequest, code: str = "") -> HttpResponse:
    """信息与实物不符: a form for anybody, also about a code we never issued; gives a receipt number."""
    target = _target_or_none(code)
    if request.method != "POST":
        form = ReportForm(
            initial={
                "word": nonces.sign(target.code if target else ""),
                "code_text": code if not target else "",
                "fact": printable(request.GET.get("fact", "")[:40], 40),
            }
        )
        return _report_page(request, form, target)
    if not limits.spend("report", request.META.get("REMOTE_ADDR", ""), limits.REPORTS):
        return _too_many(request)
    form = ReportForm(request.POST, request.FILES)
    if form.is_valid():
        data = form.cleaned_data
        try:
            done = report_mismatch(
                word=data["word"], what=data["what"], told=form.told(), code_text=data["code_text"], fact=data["fact"]
            )
        except Invalid as error:
            places = {"words_required": "words", "consent_required": "contact", "file_type": "photo"}
            form.add_error(places.get(error.code), error.message)
        else:
            return render(request, "labels/reported.html", common(request, report=done, target=target))
    return _report_page(request, form, target, status=422)


def _report_page(request: HttpRequest, form: ReportForm, target: Target | None, status: int = 200) -> HttpResponse:
    """The form, fresh or with what was wrong."""
    answer = render(request, "labels/report.html", common(request, form=form, target=target), status=status)
    answer["Cache-Control"] = "private, no-store"
    return answer


def _target_or_none(code: str) -> Target | None:
    """The goods a report is about, if the code is one of ours."""
    try:
        return resolve.by_code(code) if code else None
    except Invalid:
        return None


# ---------------------------------------------------------------- answers


def common(request: HttpRequest, **more: Any) -> dict[str, Any]:
    """What every public page's template is given besides its own."""
    return {"report_url": reverse("labels:report"), "language_asked": chosen_language(request) or "", **more}


def goods_page(request: HttpRequest, target: Target, links: Sequence[Link] = ()) -> HttpResponse:
    """The page of a lot or unit."""
    page = provenance.page_of(target)
    text = goods_text(
        request,
        page,
        links=links,
        word=nonces.sign(target.code),
        tally=tally_text(page.scans),
        just_counted=request.GET.get("counted") == "1",
        checked=_checked(request, target) if page.issue.checks else None,
    )
    return HttpResponse(text)


def goods_text(
    request: HttpRequest,
    page: Page,
    *,
    links: Sequence[Link],
    word: str,
    tally: str,
    just_counted: bool = False,
    checked: CheckAttempt | str | None = None,
) -> str:
    """The page as text, with the signed word and the tally it is given."""
    context = common(
        request,
        page=page,
        verdict_words=look_of(page.verdict).words,
        links=links,
        word=word,
        tally=tally,
        just_counted=just_counted,
        checked=checked,
    )
    context["report_url"] = reverse("labels:report", args=[page.target.code])
    return render_to_string("labels/scan.html", context, request)


def tally_text(scans: Scans) -> str:
    """How often the code was looked up before, and when and where first."""
    return render_to_string("labels/parts/tally.html", {"scans": scans})


def product_page(request: HttpRequest, target: Target, links: Sequence[Link] = ()) -> HttpResponse:
    """The page of a bare GTIN."""
    context = common(request, page=provenance.product_page_of(target), links=links)
    return render(request, "labels/product.html", context)


def unknown_page(
    request: HttpRequest, given: str, reason: str, status: int = 404, above: Target | None = None
) -> HttpResponse:
    """查无此码, with what to do and, where the product or lot above it is ours, how that stands; who asks for too many
    such codes is told to wait.
    """
    if not limits.spend("unknown", request.META.get("REMOTE_ADDR", ""), limits.UNKNOWN_CODES):
        note_series(request.META.get("REMOTE_ADDR", ""))
        return _too_many(request)
    context = common(request, given=printable(given, 80), reason=reason, above=above)
    if above is not None and above.lot is not None:
        context["state"] = provenance.state_of(above)
    elif above is not None:
        context["recalls"] = recalls_of_product(above.product)
    answer = render(request, "labels/unknown.html", context, status=status)
    answer["Cache-Control"] = "private, no-cache"
    return answer


def _too_many(request: HttpRequest, wait: int = limits.UNKNOWN_CODES[1]) -> HttpResponse:
    """429 in words. Codes that exist are still answered meanwhile."""
    error = DomainError(_("查询或提交太频繁，请过一会儿再试。"), code="too_many")
    answer = render(request, "trace/error.html", {"error": error, "status": 429}, status=429)
    answer["Retry-After"] = str(wait)
    return answer


def _page_url(request: HttpRequest, target: Target) -> str:
    """The path of a target's page, keeping the language that was asked for."""
    path = reverse("labels:code", args=[target.code]) if target.lot is not None else f"/01/{target.gtin}"
    language = chosen_language(request)
    return f"{path}?lang={language}" if language else path
