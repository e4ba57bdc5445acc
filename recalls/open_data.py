"""Announced recalls as data: one record each, with lots, quantities and places as fields, by a versioned schema.

openFDA's recalls keep lots and places in free text, which nobody can search by; RappelConso numbers the versions of its
data set. Here each lot is a field with its dates and amounts, places are GB/T 2260 codes, and ``VERSION`` follows the
rules of semantic versioning: a field may be added in a minor version, changed or removed only in a major one.
Drills never get here: records are made of ``published()`` alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.urls import reverse

from recalls.models import Campaign, Publication, ScopeHolding, ScopeLot
from recalls.transitions import Status
from trace.among import among_texts
from trace.models import Division
from trace.units import decimal_text

VERSION = "1.2.0"


def records(publications: Sequence[Publication]) -> list[dict[str, Any]]:
    """One record per publication in force; three queries for any number."""
    scopes = {publication.notice.scope_id for publication in publications}
    lots: dict[int, dict[Named, list[ScopeLot]]] = {}
    rows = ScopeLot.objects.filter(scope__in=scopes)
    for row in rows.select_related("lot__product", "lot__product_version", "lot__organisation"):
        version, made_on = row.lot.product_version, row.lot.produced_on
        name = (version.name, version.brand, version.spec, row.lot.code, made_on.isoformat() if made_on else "")
        lots.setdefault(row.scope_id, {}).setdefault(name, []).append(row)
    counties: dict[int, set[str]] = {}
    held = ScopeHolding.objects.filter(scope__in=scopes)
    for scope, code in held.values_list("scope", "organisation__division").distinct():
        counties.setdefault(scope, set()).add(code[:6])
    names = dict(
        Division.objects.filter(among_texts("code", set().union(*counties.values()))).values_list("code", "name")
    )
    places = {scope: [(code, names.get(code, code)) for code in codes] for scope, codes in counties.items()}
    return [
        record(one, lots.get(one.notice.scope_id, {}), sorted(places.get(one.notice.scope_id, [])))
        for one in publications
    ]


Named = tuple[str, str, str, str, str]
"""What tells a lot of an announcement apart: name, trade mark and specification of the goods, its code, its day."""


def _lot_of(goods: dict[str, Any], lot: dict[str, Any], lots: dict[Named, list[ScopeLot]]) -> ScopeLot | None:
    """The lot of the scope that a lot of the announcement is; of several named alike that of its maker, and none where
    that leaves doubt: no amount is better than another lot's.
    """
    name = (goods["name"], goods.get("brand", ""), goods.get("spec", ""), lot["code"], lot["produced_on"])
    found = lots.get(name, [])
    if len(found) > 1:
        found = [one for one in found if one.lot.organisation.name == goods.get("maker")]
    return found[0] if len(found) == 1 else None


def record(
    publication: Publication, lots: dict[Named, list[ScopeLot]], places: Sequence[tuple[str, str]]
) -> dict[str, Any]:
    """The record of one publication."""
    notice = publication.notice
    campaign = notice.campaign
    base = settings.PUBLIC_BASE_URL
    goods = []
    for one in notice.goods:
        rows = []
        for lot in one["lots"]:
            known = _lot_of(one, lot, lots)
            rows.append(
                {
                    "code": lot["code"],
                    "unit_ranges": lot.get("units", []),
                    "through": lot.get("through") or None,
                    "produced_on": lot["produced_on"] or None,
                    "expires_on": lot["expires_on"] or None,
                    "certainty": known.shell if known else None,
                    "made": decimal_text(known.made_micros) if known else None,
                    "shipped": decimal_text(known.shipped_micros) if known else None,
                    "unit": known.lot.product.base_unit if known else None,
                }
            )
        goods.append(
            {
                "name": one["name"],
                "name_en": one.get("name_en") or None,
                "brand": one.get("brand") or None,
                "spec": one.get("spec") or None,
                "gtin": one.get("gtin") or None,
                "maker": one.get("maker") or None,
                "lots": rows,
            }
        )
    return {
        "version": VERSION,
        "id": str(campaign.uid),
        "number": campaign.number or None,
        "title": campaign.title,
        "status": "closed" if campaign.status == Status.CLOSED else "open",
        "track": campaign.track,
        "level": campaign.level,
        "form": campaign.form,
        "kind": campaign.kind,
        "initiator": campaign.initiator,
        "notice_version": notice.number,
        "announced_at": campaign.announced_at.isoformat() if campaign.announced_at else None,
        "updated_at": publication.at.isoformat(),
        "url": base + reverse("recalls:public_recall", args=[campaign.uid]),
        "claim_url": base + reverse("recalls:claim", args=[campaign.uid]),
        "authority": campaign.authority.name if campaign.authority else None,
        "producer": {
            "name": notice.producer,
            "address": notice.address,
            "phone": notice.phone,
            "email": notice.email or None,
        },
        "reason": notice.reason,
        "risk": notice.risk,
        "how_to_identify": notice.identify or None,
        "what_to_do": notice.what_to_do,
        "remedy": notice.compensation,
        "begins_on": notice.begins_on.isoformat(),
        "ends_on": notice.ends_on.isoformat() if notice.ends_on else None,
        "area": notice.area,
        "places": [{"code": code, "name": name} for code, name in places],
        "goods": goods,
    }


COLUMNS = [
    "version",
    "id",
    "number",
    "title",
    "status",
    "track",
    "level",
    "form",
    "announced_at",
    "updated_at",
    "producer",
    "phone",
    "product",
    "brand",
    "spec",
    "gtin",
    "lot",
    "produced_on",
    "expires_on",
    "certainty",
    "made",
    "shipped",
    "unit",
    "reason",
    "risk",
    "what_to_do",
    "remedy",
    "place_codes",
    "url",
    "kind",
    "initiator",
]


def lot_rows(found: Sequence[dict[str, Any]]) -> list[list[str]]:
    """One row per lot, in the order of ``COLUMNS``."""
    rows = []
    for one in found:
        common = {**one, "producer": one["producer"]["name"], "phone": one["producer"]["phone"]}
        common["place_codes"] = " ".join(place["code"] for place in one["places"])
        for goods in one["goods"]:
            for lot in goods["lots"]:
                cells = {**common, **goods, **lot, "product": goods["name"], "lot": lot["code"]}
                rows.append([("" if cells.get(name) is None else str(cells[name])) for name in COLUMNS])
    return rows


def json_ld(one: dict[str, Any]) -> dict[str, Any]:
    """The record in the words of schema.org, for search engines; what they have no word for is left to the record."""
    return {
        "@context": "https://schema.org",
        "@type": "SpecialAnnouncement",
        "@id": one["url"],
        "identifier": one["number"],
        "name": one["title"],
        "text": f"{one['reason']} {one['what_to_do']}",
        "datePosted": one["announced_at"],
        "expires": one["ends_on"],
        "url": one["url"],
        "spatialCoverage": [
            {"@type": "AdministrativeArea", "name": place["name"], "identifier": place["code"]}
            for place in one["places"]
        ],
        "publisher": {"@type": "Organization", "name": one["producer"]["name"]},
        "about": [
            {
                "@type": "Product",
                "name": goods["name"],
                "brand": goods["brand"],
                "gtin": goods["gtin"],
                "manufacturer": {"@type": "Organization", "name": goods["maker"]},
                "additionalProperty": [
                    {"@type": "PropertyValue", "propertyID": "lot", "value": lot["code"]} for lot in goods["lots"]
                ],
            }
            for goods in one["goods"]
        ],
    }


_TEXT = {"type": "string"}
_MAYBE = {"type": ["string", "null"]}


def _object(**fields: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": fields,
        "required": sorted(fields),
        "additionalProperties": True,
    }


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of one record."""
    lot = _object(
        code=_TEXT,
        unit_ranges={"type": "array", "items": {"type": "array", "items": {"type": "integer"}, "minItems": 2}},
        produced_on=_MAYBE,
        expires_on=_MAYBE,
        certainty={"enum": ["proven", "possible", None]},
        made=_MAYBE,
        shipped=_MAYBE,
        unit=_MAYBE,
    )
    goods = _object(
        name=_TEXT,
        name_en=_MAYBE,
        brand=_MAYBE,
        spec=_MAYBE,
        gtin=_MAYBE,
        maker=_MAYBE,
        lots={"type": "array", "items": lot},
    )
    found = _object(
        version={"const": VERSION},
        id={"type": "string", "format": "uuid"},
        number=_MAYBE,
        title=_TEXT,
        status={"enum": ["open", "closed"]},
        track=_TEXT,
        level={"type": ["integer", "null"]},
        form=_TEXT,
        kind={"enum": list(Campaign.Kind.values)},
        initiator={"enum": list(Campaign.Initiator.values)},
        notice_version={"type": "integer", "minimum": 1},
        announced_at=_MAYBE,
        updated_at=_TEXT,
        url=_TEXT,
        claim_url=_TEXT,
        authority=_MAYBE,
        producer=_object(name=_TEXT, address=_TEXT, phone=_TEXT, email=_MAYBE),
        reason=_TEXT,
        risk=_TEXT,
        how_to_identify=_MAYBE,
        what_to_do=_TEXT,
        remedy=_TEXT,
        begins_on=_TEXT,
        ends_on=_MAYBE,
        area=_TEXT,
        places={"type": "array", "items": _object(code=_TEXT, name=_TEXT)},
        goods={"type": "array", "items": goods},
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": settings.PUBLIC_BASE_URL + reverse("recalls:open_schema"),
        "title": f"Recall {VERSION}",
        **found,
    }
