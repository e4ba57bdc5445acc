"""The quick way to a scanned page: one look at how the code stands, and the kept page for that (``labels.kept``).

It is taken before sessions, log-in and messages come into play (``quickly`` is a middleware), because a visitor who
brings no session needs none of them, and only for plain visits: everything else, and every code that is not ordinary,
is None here and takes the long way through ``labels.views.resolver``.
"""

from __future__ import annotations

import copy
import datetime
import functools
import re
from collections.abc import Callable
from typing import Any

from csp.utils import build_policy
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.html import escape
from django.utils.translation import get_language_from_request, override

from labels import glance, linkset, nonces, provenance
from labels.glance import Glance
from labels.kept import CODE, PATH, SHELF, TALLY, WORD, Kept, in_pieces
from labels.provenance import Scans
from labels.resolve import WITH, Target
from labels.views import scan
from labels.views.resolver import OPEN, read_path
from trace.errors import DomainError
from trace.identifiers import display_serial, normalise_serial
from trace.language import PARAMETER, chosen_language
from trace.models import Lot, Unit
from trace.templatetags.ui import groups

_PLAIN_QUERY = frozenset({"", *(f"{PARAMETER}={code}" for code in ("en", "zh", "zh-CN", "zh-hans"))})
_SCANNED = re.compile(r"/(?:c/(?P<code>[^/]{12,30})|01/(?P<rest>.{10,200}))/?", re.DOTALL)


def quickly(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware: the kept page where there is one to give, else whatever else answers."""

    def middleware(request: HttpRequest) -> HttpResponse:
        match = _SCANNED.fullmatch(request.path_info) if _plain(request) else None
        answer = _by_path(request, match) if match is not None else None
        return get_response(request) if answer is None else answer

    return middleware


def _plain(request: HttpRequest) -> bool:
    """Whether it is the page itself that is asked for, by nobody who is signed in."""
    return (
        request.method in ("GET", "HEAD")
        and request.META.get("QUERY_STRING", "") in _PLAIN_QUERY
        and "json" not in request.META.get("HTTP_ACCEPT", "")
        and settings.SESSION_COOKIE_NAME not in request.COOKIES
    )


def _by_path(request: HttpRequest, match: re.Match[str]) -> HttpResponse | None:
    """The page of ``/c/{code}``, ``/01/{gtin}/10/{lot}`` or ``/01/{gtin}/21/{serial}``."""
    request.get_host()  # refuses a host that is not ours, as everywhere
    try:
        if match["code"]:
            code = normalise_serial(match["code"])
            return _answer(request, code, glance.by_code(code))
        named = read_path(match["rest"])
        if named.beyond or not (named.lot or named.serial):
            return None
        if not named.serial:
            return _answer(request, "", glance.by_lot(named.gtin, named.lot))
        code = normalise_serial(named.serial)
        return _answer(request, code, glance.by_serial(named.gtin, code, named.lot))
    except DomainError:
        return None  # the long way says what is wrong


def _answer(request: HttpRequest, code: str, seen: Glance | None) -> HttpResponse | None:
    """The kept page, made first where there is none that holds."""
    if seen is None:
        return None
    asked = (chosen_language(request) or "") if request.META.get("QUERY_STRING") else ""
    language, today = asked or get_language_from_request(request), timezone.localdate()
    which = (seen.lot, seen.unit is not None, seen.run, seen.state, seen.holds)
    key = (*which, language, asked, today, settings.PUBLIC_BASE_URL)
    page = SHELF.find(key, log=seen.log, fresh=seen.fresh)
    if page is None:
        with override(language):
            page = _made(request, seen, language)
        SHELF.put(key, page, log=seen.log)
    return _filled(request, page, code, seen, language)


def _made(request: HttpRequest, seen: Glance, language: str) -> Kept:
    """Make the page with stand-ins for what differs from view to view."""
    asked = copy.copy(request)
    asked.path = asked.path_info = PATH
    asked.LANGUAGE_CODE = language
    target = _target(seen)
    levels = linkset.levels_of(target)
    page = provenance.page_of(target)
    links = linkset.producer_links(levels)
    text = scan.goods_text(asked, page, links=links, word=WORD, tally=TALLY)
    return in_pieces(text, link=linkset.as_header(levels), lots=page.lots, fresh=seen.fresh)


def _target(seen: Glance) -> Target:
    """The goods; a unit under a stand-in for its code."""
    if seen.unit is None:
        lot = Lot.objects.select_related(*WITH).get(pk=seen.lot)
        return Target(lot.product, lot)
    unit = Unit.objects.select_related(*(f"lot__{name}" for name in WITH)).get(pk=seen.unit)
    unit.code = CODE
    return Target(unit.lot.product, unit.lot, unit)


def _filled(request: HttpRequest, page: Kept, code: str, seen: Glance, language: str) -> HttpResponse:
    """The answer with everything in its place, and the headers that the middleware after this one would have set."""
    code = code if seen.unit is not None else seen.public_code
    values = {
        "code": code.encode(),
        "groups": groups(code).encode(),
        "display": display_serial(code).encode(),
        "word": nonces.sign(code).encode(),
        "path": escape(request.path).encode(),
        "tally": _tally(seen.count, seen.first_at, seen.first_place, language),
    }
    zipped = "gzip" in request.META.get("HTTP_ACCEPT_ENCODING", "")
    body = page.compressed(values) if zipped else page.plain(values)
    headers = {
        "Vary": "Accept, Accept-Encoding, Accept-Language, Cookie",
        "Cache-Control": "private, no-cache",
        "Content-Language": language,
        "Content-Security-Policy": _policy(),
        "Content-Length": str(len(body)),
        "X-Frame-Options": settings.X_FRAME_OPTIONS,
        "Link": page.link.replace(CODE, code),
        **OPEN,
    }
    if zipped:
        headers["Content-Encoding"] = "gzip"
    return HttpResponse(body, headers=headers)


@functools.cache
def _policy() -> str:
    """The site's policy for what a page may load; these pages have nothing inline and need no nonce."""
    return build_policy()


@functools.lru_cache(maxsize=4096)
def _tally(count: int, first_at: Any, place: str, language: str) -> bytes:
    """The tally in words; the same for the same numbers."""
    at = datetime.datetime.fromisoformat(first_at) if isinstance(first_at, str) else first_at
    if at is not None and at.tzinfo is None:
        at = at.replace(tzinfo=datetime.UTC)
    with override(language):
        return scan.tally_text(Scans(count, at, place)).encode()
