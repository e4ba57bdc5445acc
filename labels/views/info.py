"""The documents our own links lead to: what the product is, its certificates, whether it is recalled (JSON), and the
public part of its events (EPCIS JSON-LD). Nothing here writes.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.gzip import gzip_page

from labels import evidence, facts, limits, provenance, resolve
from labels.linkset import canonical_url
from labels.public_events import epcis_document
from labels.recall_state import recalled_lots_of, recalls_of_product
from labels.resolve import Target
from labels.verdict import Verdict
from labels.views import scan
from labels.views.resolver import open_to_all, read_path
from recalls.queries import PublicRecall
from trace.access import audience
from trace.errors import Invalid
from trace.models import Product


def _target(path: str) -> Target | None:
    """What a path as on a label names: ``01/…`` or ``c/…``."""
    key, _slash, rest = path.partition("/")
    try:
        if key == "c":
            return resolve.by_code(rest.strip("/"))
        return read_path(rest).target() if key == "01" else None
    except Invalid:
        return None


@audience("public")
@open_to_all
@gzip_page
def document(request: HttpRequest, kind: str, path: str) -> HttpResponse:
    """``/info/{product|certificates|recall|epcis}/{path of the label's address}``."""
    target, show = _target(path), _DOCUMENTS.get(kind)
    if show is None or target is None or (kind == "epcis" and target.lot is None):
        return _nothing(request, kind, path)
    answer = show(request, target)
    answer["Cache-Control"] = "private, no-cache"
    answer["Link"] = f'<{canonical_url(target)}>; rel="about"'
    return answer


def _nothing(request: HttpRequest, kind: str, path: str) -> HttpResponse:
    """404 as a page, or as a problem where a program asked; counted against the asker like any code never issued."""
    if kind not in ("recall", "epcis"):
        return scan.unknown_page(request, f"/{path}", "")
    if not limits.spend("unknown", request.META.get("REMOTE_ADDR", ""), limits.UNKNOWN_CODES):
        return _problem(429, "Too Many Requests", "too_many", str(_("查询或提交太频繁，请过一会儿再试。")))
    return _problem(404, "Not Found", "code_unknown", str(_("没有这个码。")))


def _problem(status: int, title: str, code: str, detail: str) -> HttpResponse:
    """Problem details (RFC 9457)."""
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, "code": code}
    return JsonResponse(body, status=status, content_type="application/problem+json")


def _product(request: HttpRequest, target: Target) -> HttpResponse:
    """What every lot of the product has in common."""
    return scan.product_page(request, _as_product(target))


def _as_product(target: Target) -> Target:
    """The product of a target, as its own page."""
    confirmed = target.product.gtin_claim == Product.GtinClaim.CONFIRMED
    return Target(target.product, gtin=str(target.product.gtin) if confirmed else "")


def _certificates(request: HttpRequest, target: Target) -> HttpResponse:
    """The certificates of producer and product that stand today."""
    product = target.product
    rows = facts.certificate_rows(evidence.valid_certificates(product.organisation, product, timezone.localdate()))
    context = scan.common(request, rows=rows, product=product, target=target)
    return render(request, "labels/certificates.html", context)


def _recall(request: HttpRequest, target: Target) -> HttpResponse:
    """Whether the goods are recalled now: ``recallStatus`` is ``recalled``, ``partly`` (some of what the address names;
    for one unit: nothing tells whether it is meant, ``through`` says where it must have been bought) or ``none``. Never
    cached, and a drill is never in it.
    """
    found: dict[str, Any] = {
        "anchor": canonical_url(target),
        "gtin": target.gtin or (target.product.gtin or ""),
        "lot": target.lot.lot_code if target.lot is not None else "",
        "serial": target.unit.code if target.unit is not None else "",
        "checkedAt": timezone.now().astimezone(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
    }
    found |= _of_product(target) if target.lot is None else _of_goods(target)
    return JsonResponse(found, json_dumps_params={"ensure_ascii": False})


def _of_product(target: Target) -> dict[str, Any]:
    """Recalls of any lot of a product."""
    recalls, lots = recalls_of_product(target.product), recalled_lots_of(target.product)
    return {
        "recallStatus": "partly" if lots else "none",
        "recalledLots": lots,
        "recalls": [_recall_json(each) for each in recalls],
    }


def _of_goods(target: Target) -> dict[str, Any]:
    """The state of a lot or unit."""
    state = provenance.state_of(target)
    standing = state.standing
    recalled = state.verdict == Verdict.RECALLED
    maybe = standing.maybe and not recalled
    return {
        "recallStatus": "partly" if maybe else ("partly" if standing.partly else "recalled") if recalled else "none",
        "verdict": state.verdict.value,
        "stopSale": standing.recalled or standing.maybe or standing.held,
        "through": [one.label for one in (*standing.through, *standing.spared_through)],
        "since": standing.since.astimezone(datetime.UTC).isoformat(timespec="seconds") if standing.since else None,
        "unitRanges": [list(pair) for pair in standing.ranges] if recalled else [],
        "recalls": [_recall_json(each) for each in (*standing.recalls, *standing.maybe_recalls)],
        "siblingRecalls": [_recall_json(each) for each in standing.siblings],
    }


def _recall_json(recall: PublicRecall) -> dict[str, Any]:
    """One announced recall as its public notice says it."""
    return {
        "number": recall.number,
        "title": recall.title,
        "reason": recall.reason,
        "risk": recall.risk,
        "whatToDo": recall.what_to_do,
        "compensation": recall.compensation,
        "phone": recall.phone,
        "announcedAt": recall.announced_at.astimezone(datetime.UTC).isoformat(timespec="seconds"),
        "notice": recall.url,
    }


def _epcis(request: HttpRequest, target: Target) -> HttpResponse:
    """The public events of the lot."""
    assert target.lot is not None  # noqa: S101 (seen in ``document``)
    found = epcis_document(target.lot, canonical_url(Target(target.product, target.lot)), timezone.now())
    answer = JsonResponse(found, json_dumps_params={"ensure_ascii": False}, content_type="application/ld+json")
    answer["GS1-EPCIS-Version"] = "2.0.0"
    return answer


_DOCUMENTS: dict[str, Callable[[HttpRequest, Target], HttpResponse]] = {
    "product": _product,
    "certificates": _certificates,
    "recall": _recall,
    "epcis": _epcis,
}
