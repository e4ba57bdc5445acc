"""The links of goods for the GS1-Conformant Resolver standard: by level from the unit up to the product, as JSON
(RFC 9264), as the Link header, and the choice among them by type, language and country.

Nothing here answers a request; ``labels.views.resolver`` does. One query for a producer's own links.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from django.conf import settings
from django.db.models import Q
from django.utils.translation import gettext as _

from labels.digital_link import build_code_uri, build_lot_uri, build_unit_uri
from labels.link_types import VOCABULARY, link_types
from labels.models import ProductLink
from labels.resolve import Target
from trace.errors import Invalid
from trace.models import Product

INFO = "/info"
"""Under this path the documents lie that our own links lead to: ``/info/recall/01/…``."""
BOTH = ("zh", "en")


@dataclass(frozen=True)
class Link:
    """One link: type (a name of the GS1 vocabulary), target, words, media type, languages and country ("" any)."""

    type: str
    href: str
    title: str
    media: str = "text/html"
    languages: tuple[str, ...] = ()
    context: str = ""
    ours: bool = True

    @property
    def host(self) -> str:
        """The host it leads to, for readers."""
        return urlsplit(self.href).netloc

    def as_json(self) -> dict[str, Any]:
        """The link object of a linkset."""
        found: dict[str, Any] = {"href": self.href, "title": self.title, "type": self.media}
        if self.languages:
            found["hreflang"] = list(self.languages)
        if self.context:
            found["context"] = [self.context]
        return found


@dataclass(frozen=True)
class Level:
    """One identified thing (unit, lot or product) with the links that are about it."""

    anchor: str
    description: str
    links: tuple[Link, ...]


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


def levels_of(target: Target) -> list[Level]:
    """The levels of what a code names, the most particular first, up to the product where it has a GTIN."""
    above: list[Target] = []
    if target.lot is not None and target.unit is not None:
        above.append(Target(target.product, target.lot, gtin=target.gtin))
    confirmed = target.product.gtin_claim == Product.GtinClaim.CONFIRMED and target.product.gtin
    if target.lot is not None and confirmed:
        above.append(Target(target.product, gtin=str(target.product.gtin)))
    theirs = _producer_links(target)
    chain = [target, *above]
    return [_level(each, theirs, last=each is chain[-1]) for each in chain]


def _producer_links(target: Target) -> list[ProductLink]:
    """The open links of the product and of this lot."""
    lots = Q(lot=None) | Q(lot=target.lot) if target.lot is not None else Q(lot=None)
    return list(ProductLink.objects.filter(lots, product=target.product, ended_at=None))


def _level(target: Target, theirs: Sequence[ProductLink], *, last: bool) -> Level:
    """The links about one thing; the last level carries the product's as well."""
    anchor = canonical_url(target)
    found = [_ours("defaultLink", anchor)]
    if target.lot is not None:
        found.append(_ours("traceability", anchor))
        found.append(_ours("epcis", _info("epcis", anchor), media="application/ld+json", languages=()))
    found.append(_ours("recallStatus", _info("recall", anchor), media="application/json", languages=()))
    if last:
        found += [
            _ours("pip", _info("product", anchor)),
            _ours("certificationInfo", _info("certificates", anchor)),
        ]
    if target.unit is None:
        lot = target.lot.pk if target.lot is not None else None
        found += [_theirs(row) for row in theirs if row.lot_id == lot or (last and row.lot_id is None)]
    title = target.lot.product_version.label if target.lot is not None else str(target.product)
    return Level(anchor, title, tuple(found))


def _info(kind: str, anchor: str) -> str:
    """The address of one of our documents about what an address names."""
    return f"{settings.PUBLIC_BASE_URL}{INFO}/{kind}{urlsplit(anchor).path}"


def _ours(name: str, href: str, *, media: str = "text/html", languages: tuple[str, ...] = BOTH) -> Link:
    """A link this system answers itself, in both languages where people read it."""
    return Link(name, href, link_types()[name].label, media, languages)


def _theirs(row: ProductLink) -> Link:
    """A producer's link."""
    return Link(
        row.link_type,
        row.href,
        row.title,
        languages=(row.language,) if row.language else (),
        context=row.context,
        ours=False,
    )


def producer_links(levels: Iterable[Level]) -> list[Link]:
    """A producer's own links among these levels, for the scanned page."""
    return [link for level in levels for link in level.links if not link.ours]


# ---------------------------------------------------------------- as JSON and as header


def as_json(levels: Iterable[Level]) -> str:
    """The linkset of these levels (RFC 9264; GS1's schema)."""
    entries = []
    for level in levels:
        entry: dict[str, Any] = {"anchor": level.anchor, "itemDescription": level.description}
        for link in level.links:
            entry.setdefault(VOCABULARY + link.type, []).append(link.as_json())
        entries.append(entry)
    return json.dumps({"linkset": entries}, ensure_ascii=False)


def as_header(levels: Sequence[Level]) -> str:
    """The Link header: canonical address, default link, our own links and where the linkset is.

    Producers' links are left to the linkset: a header has no room for thirty of them.
    """
    here = levels[0].anchor
    parts = [f'<{here}>; rel="canonical"']
    told: set[str] = set()
    for level in levels:
        for link in level.links:
            if link.ours and link.type not in told:
                told.add(link.type)
                parts.append(_header_link(link))
    words = quote(_("全部链接"))
    parts.append(f'<{here}?linkType=linkset>; rel="linkset"; type="application/linkset+json"; title*=UTF-8\'\'{words}')
    return ", ".join(parts)


def _header_link(link: Link) -> str:
    """One link of ours; its title in the encoding of RFC 8187, since it may be Chinese."""
    spoken = "".join(f'; hreflang="{each}"' for each in link.languages)
    return (
        f'<{link.href}>; rel="{VOCABULARY}{link.type}"; type="{link.media}"{spoken}'
        f"; title*=UTF-8''{quote(link.title)}"
    )


# ---------------------------------------------------------------- choosing


def choose(levels: Sequence[Level], name: str, *, languages: Sequence[str], context: str) -> list[Link]:
    """The links of one type that answer best: of the most particular level that has it, by language (in the order of
    preference, then those without language), then by country. One is an answer, several are a choice for the
    asker, none is none.
    """
    for level in levels:
        found = [link for link in level.links if link.type == name]
        if found:
            return _by_context(_by_language(found, languages), context)
    return []


def _by_language(found: list[Link], languages: Sequence[str]) -> list[Link]:
    """Those in the language wanted most; else those that say none; else all."""
    for wanted in languages:
        matching = [link for link in found if wanted in link.languages]
        if matching:
            return matching
    return [link for link in found if not link.languages] or found


def _by_context(found: list[Link], context: str) -> list[Link]:
    """Those for the country asked for; else those that say none; else all."""
    matching = [link for link in found if context and link.context == context]
    return matching or [link for link in found if not link.context] or found


def wanted_languages(accept_language: str, asked: str = "") -> list[str]:
    """Two-letter languages in the order of an Accept-Language header (RFC 9110, 12.5.4), a language asked for by the
    address first.
    """
    weighed: list[tuple[float, int, str]] = []
    for number, part in enumerate(accept_language.split(",")[:20]):
        tag, _semicolon, rest = part.strip().partition(";")
        quality = _quality(rest)
        if quality > 0 and tag and tag != "*":
            weighed.append((-quality, number, tag.lower()[:2]))
    ordered = [tag for _quality_, _number, tag in sorted(weighed)]
    return list(dict.fromkeys(([asked[:2]] if asked else []) + ordered))


def wants_linkset(accept: str) -> bool:
    """Whether an Accept header prefers the linkset (or plain JSON) to a page."""
    qualities = {"html": 0.0, "linkset": 0.0}
    for part in accept.split(",")[:20]:
        kind, _semicolon, rest = part.strip().partition(";")
        quality = _quality(rest)
        kind = kind.strip().lower()
        if kind in ("application/linkset+json", "application/json"):
            qualities["linkset"] = max(qualities["linkset"], quality)
        elif kind in ("text/html", "application/xhtml+xml", "*/*", "text/*"):
            qualities["html"] = max(qualities["html"], quality)
    return qualities["linkset"] > 0 and qualities["linkset"] >= qualities["html"]


def _quality(parameters: str) -> float:
    """The q of a header's parameters; 1 where none is given, 0 where it is no number."""
    for parameter in parameters.split(";"):
        name, _equals, value = parameter.strip().partition("=")
        if name.strip().lower() == "q":
            try:
                return min(max(float(value), 0.0), 1.0)
            except ValueError:
                return 0.0
    return 1.0


def with_query(href: str, query: str) -> str:
    """A target with the query string of the request passed on, before its fragment."""
    if not query:
        return href
    address, hash_, fragment = href.partition("#")
    return f"{address}{'&' if '?' in address else '?'}{query}{hash_}{fragment}"
