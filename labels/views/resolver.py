"""The resolver: from the address on a label to the page, a link or the list of links (GS1-Conformant Resolver; what it
keeps and its one deviation stand in docs/resolver.md, which a test compares with what is answered here).

Declared deviation: the default link is answered with the page itself (200 and a Link header) instead of a redirect,
since the browsers inside messengers warn at every redirect. Nothing here writes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.gzip import gzip_page

from labels import linkset, resolve
from labels.digital_link import RULES, check_query, check_value, parse_uri
from labels.link_types import VOCABULARY, link_type_name
from labels.linkset import Level, Link
from labels.resolve import Target
from labels.views import scan
from trace.access import audience
from trace.errors import Invalid
from trace.language import chosen_language

METHODS = ("GET", "HEAD", "OPTIONS")
LINKSET = "application/linkset+json"
_LINK = re.compile(
    r"(?P<gtin>[^/]+)(?:/22/(?P<variant>[^/]+))?(?:/10/(?P<lot>.+?))?(?:/21/(?P<serial>[^/]+)|/235/(?P<tpx>[^/]+))?/?",
    re.DOTALL,
)
"""The path after ``/01/`` as it arrives, already unescaped: a captured lot code may itself hold a slash."""
OTHER_KEYS = sorted(ai for ai, rule in RULES.items() if rule.qualifiers is not None and ai not in ("00", "01"))
"""Keys answered here besides (01); (00), the number of a pack, opens the pack for who may see it (trace)."""

OPEN = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": ", ".join(METHODS),
    "Access-Control-Expose-Headers": "Link, Location",
}
"""What lets scripts of other sites read, without credentials."""

Answer = Callable[..., HttpResponse]


def open_to_all(view: Answer) -> Answer:
    """GET, HEAD and OPTIONS from anywhere: CORS without credentials, and which headers a script may read. All else is
    405, before anybody asks for a form's token.
    """

    @csrf_exempt
    @wraps(view)
    def answering(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.method == "OPTIONS":
            answer = HttpResponse(status=204)
            answer["Allow"] = ", ".join(METHODS)
            answer["Access-Control-Allow-Headers"] = "Accept, Accept-Language"
            answer["Access-Control-Max-Age"] = "86400"
        elif request.method not in METHODS:
            answer = HttpResponseNotAllowed(METHODS)
        else:
            answer = view(request, *args, **kwargs)
        for name, value in OPEN.items():
            answer[name] = value
        return answer

    return answering


@dataclass(frozen=True)
class Named:
    """What the path of an address names, checked: a GTIN of 14 digits, and lot code and serial as captured."""

    gtin: str
    lot: str = ""
    serial: str = ""
    beyond: bool = False
    """It names something this system never issues (a third party's serial extension)."""

    def target(self) -> Target | None:
        """The goods, if they are ours."""
        return None if self.beyond else resolve.by_gtin(self.gtin, lot_code=self.lot, serial=self.serial)

    def above(self) -> Target | None:
        """The nearest level above that is ours."""
        if not (self.lot or self.serial or self.beyond):
            return None
        return resolve.walk_up(self.gtin, lot_code=self.lot if self.serial or self.beyond else "")


def read_path(rest: str, query: str = "") -> Named:
    """Take the path after ``/01/`` apart and check every AI in it and in the query. Refuses what is no Digital Link."""
    match = _LINK.fullmatch(rest)
    if match is None:
        raise Invalid(_("这个网址不完整，请重新扫码。"), code="dl_bad_order")
    given = [("01", match["gtin"]), ("22", match["variant"]), ("10", match["lot"]), ("21", match["serial"])]
    given.append(("235", match["tpx"]))
    values = {ai: check_value(ai, value) for ai, value in given if value is not None}
    if "235" in values and len(values) > 2:
        raise Invalid(_("这个网址不完整，请重新扫码。"), code="dl_bad_order")
    check_query(list(values), query)
    return Named(values["01"], values.get("10", ""), values.get("21", ""), "235" in values)


def require_encoding(request: HttpRequest) -> None:
    """Refuse a path whose bytes are no UTF-8 (``dl_bad_escape``).

    The server hands the path on unescaped, so that a ``%`` without two hexadecimal digits and one rightly written
    ``%25`` look the same: it stands for itself, and where a value may hold none that is refused. ``trace.path`` is
    kept by ``config.wsgi``.
    """
    try:
        request.META.get("trace.path", "").encode("latin-1").decode("utf-8")
    except UnicodeError:
        raise Invalid(
            _("这个网址的编码不对：百分号后面应是两位十六进制数，内容应是 UTF-8。请重新扫码。"), code="dl_bad_escape"
        ) from None


@audience("public")
@open_to_all
@gzip_page
def digital_link(request: HttpRequest, rest: str) -> HttpResponse:
    """``/01/{gtin}``, ``…/10/{lot}``, ``…/21/{serial}``, ``…/10/{lot}/21/{serial}`` (GS1 Digital Link)."""
    given = f"/01/{rest}"
    try:
        require_encoding(request)
        named = read_path(rest, request.META.get("QUERY_STRING", ""))
        target = named.target()
    except Invalid as error:
        return scan.unknown_page(request, given, error.message, status=400)
    if target is None:
        return _not_ours(request, given, named.above())
    return resolve_target(request, target)


@audience("public")
@open_to_all
@gzip_page
def code(request: HttpRequest, code: str) -> HttpResponse:
    """``/c/{code}``: a unit by its serial or a lot by its public code, look-alikes forgiven."""
    given = code.strip("/")
    try:
        target = resolve.by_code(given)
    except Invalid as error:
        return scan.unknown_page(request, given, error.message)
    return scan.unknown_page(request, given, "") if target is None else resolve_target(request, target)


@audience("public")
@open_to_all
def other_key(request: HttpRequest, key: str, rest: str) -> HttpResponse:
    """Digital Links whose key is none this system labels (places, parties, logistic units …): 400 in bad syntax, else
    404.
    """
    address = f"https://path.invalid/{key}/{quote(rest.rstrip('/'))}"
    query = request.META.get("QUERY_STRING", "")
    try:
        require_encoding(request)
        parse_uri(f"{address}?{query}" if query else address, ignore_unknown=True)
    except Invalid as error:
        return scan.unknown_page(request, f"/{key}/{rest}", error.message, status=400)
    return scan.unknown_page(request, f"/{key}/{rest}", "")


@audience("public")
@open_to_all
def compressed(request: HttpRequest, text: str) -> HttpResponse:
    """A compressed Digital Link, which this system openly does not take: its labels never carry one."""
    words = _("本系统不支持压缩的 GS1 网址，请使用未压缩的网址，或输入标签上的码。")
    return scan.unknown_page(request, f"/{text}", words, status=400)


@audience("public")
@open_to_all
def description(request: HttpRequest) -> HttpResponse:
    """``/.well-known/gs1resolver``: what this resolver is and takes."""
    return JsonResponse(
        {
            "name": str(_("汾阳产品追溯")),
            "resolverRoot": settings.PUBLIC_BASE_URL,
            "supportedPrimaryKeys": ["01"],
            "supportedLinkType": [{"namespace": VOCABULARY, "prefix": "gs1:"}],
            "supportedContextValuesEnumerated": [],
            "linkTypeDefaultCanBeLinkset": False,
            "validatesAIs": True,
            "compressionSupported": False,
            "defaultLinkAnsweredWith": 200,
            "conformance": f"{settings.PUBLIC_BASE_URL}/help/",
        }
    )


# ---------------------------------------------------------------- answers


def resolve_target(request: HttpRequest, target: Target) -> HttpResponse:
    """The page, a link, or the list of links of goods that are ours."""
    levels = linkset.levels_of(target)
    answer = _asked_links(request, levels)
    if answer is None:
        page = scan.product_page if target.lot is None else scan.goods_page
        answer = page(request, target, linkset.producer_links(levels))
        answer["Cache-Control"] = "private, no-cache"
    return _with_links(answer, levels)


def _not_ours(request: HttpRequest, given: str, above: Target | None) -> HttpResponse:
    """Walk up: links that were asked for are given from the nearest level that is ours; a person is told that the
    code itself was never issued, and how the product or lot above it stands.
    """
    levels = linkset.levels_of(above) if above is not None else []
    answer = _asked_links(request, levels) if levels else None
    if answer is None:
        answer = scan.unknown_page(request, given, "", above=above)
    return _with_links(answer, levels)


def _with_links(answer: HttpResponse, levels: list[Level]) -> HttpResponse:
    """The answer with its Link header, and what it depends on."""
    if levels:
        answer["Link"] = linkset.as_header(levels)
    vary = {part.strip() for part in answer.get("Vary", "").split(",") if part.strip()}
    answer["Vary"] = ", ".join(sorted(vary | {"Accept", "Accept-Language"}))
    return answer


def _asked_links(request: HttpRequest, levels: list[Level]) -> HttpResponse | None:
    """What was asked for by link type or media type; None where the page is wanted."""
    asked = request.GET.get("linkType", request.GET.get("linktype", "")).strip()
    name = link_type_name(asked)
    if name in ("linkset", "all") or (not name and linkset.wants_linkset(request.headers.get("Accept", ""))):
        return _json(linkset.as_json(levels))
    if not name or name == "defaultLink":
        return None
    languages = linkset.wanted_languages(request.headers.get("Accept-Language", ""), chosen_language(request) or "")
    context = request.GET.get("context", "").strip().upper()
    found = linkset.choose(levels, name, languages=languages, context=context)
    if len(found) == 1:
        return None if _is_here(request, found[0]) else _redirect(request, found[0])
    return _choice(request, levels, found) if found else _no_such_link(request, levels, asked)


def _is_here(request: HttpRequest, link: Link) -> bool:
    """Whether a link leads to the very address that was asked: its page is the answer, a redirect would never end."""
    return unquote(urlsplit(link.href).path) == request.path.rstrip("/")


def _redirect(request: HttpRequest, link: Link) -> HttpResponse:
    """307 to the link, with the query string of the request passed on. The target stands in the register."""
    answer = HttpResponse(status=307)
    answer["Location"] = linkset.with_query(link.href, request.META.get("QUERY_STRING", ""))
    answer["Cache-Control"] = "private, no-cache"
    return answer


def _choice(request: HttpRequest, levels: list[Level], found: list[Link]) -> HttpResponse:
    """300: several links answer alike, so the asker chooses."""
    if _wants_json(request):
        only = [Level(levels[0].anchor, levels[0].description, tuple(found))]
        return _json(linkset.as_json(only), status=300)
    return render(request, "labels/links.html", {"links": found, "name": levels[0].description}, status=300)


def _no_such_link(request: HttpRequest, levels: list[Level], asked: str) -> HttpResponse:
    """404: nothing of this type; the links there are instead."""
    if _wants_json(request):
        body = {
            "type": "about:blank",
            "title": "Not Found",
            "status": 404,
            "detail": str(_("没有这种类型的链接。")),
            "code": "link_type_absent",
        }
        return JsonResponse(body, status=404, content_type="application/problem+json")
    links = [link for level in levels for link in level.links]
    context = {"links": links, "name": levels[0].description, "asked": asked[:80]}
    return render(request, "labels/links.html", context, status=404)


def _wants_json(request: HttpRequest) -> bool:
    """Whether the asker is a program rather than a browser."""
    return linkset.wants_linkset(request.headers.get("Accept", ""))


def _json(text: str, status: int = 200) -> HttpResponse:
    """A linkset."""
    answer = HttpResponse(text, content_type=LINKSET, status=status)
    answer["Cache-Control"] = "private, no-cache"
    return answer
