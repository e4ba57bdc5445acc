"""A partner's system at the EPCIS door: a delivery told, a document with a fault, a named query."""

from __future__ import annotations

import datetime
import io
import json
from typing import Any

from desk.demo.stage import Stage
from trace.actions.epcis_jobs import run_at_once, take_document
from trace.actions.epcis_subscriptions import make_query
from trace.door.shaping import party_uri
from trace.epcis.vocabulary import CONTEXT

PARTNER_GTIN = "09529990000018"
GLASSES_GTIN = "09529990000025"
PARTNER = "https://id.gs1.org/417/9529990000001"


def build_exchange(stage: Stage) -> None:
    """What the distillery's grain supplier told from its own system."""
    by = stage.actors["distillery"]
    grain = {"epcClass": f"https://id.gs1.org/01/{PARTNER_GTIN}/10/SL-0917", "quantity": 12_000, "uom": "KGM"}
    sides: dict[str, Any] = {"sourceList": [{"type": "possessing_party", "source": PARTNER}]}
    arrival = _event(stage.ago(40).at, "receiving", quantityList=[grain], **sides)
    check = _event(stage.ago(39).at, "inspecting", quantityList=[grain])
    # Serials without a lot number: they are one lot, and part by pieces.
    boxes = [f"https://id.gs1.org/01/{GLASSES_GTIN}/21/{number}" for number in range(7001, 7007)]
    glasses = _event(stage.ago(38).at, "receiving", epcList=boxes, **sides)
    shop = party_uri(stage.actors["shop"].organisation)
    away = [{"type": "possessing_party", "destination": shop}]
    sold_on = _event(stage.ago(37).at, "shipping", epcList=boxes[:2], destinationList=away)
    wrong = _event(stage.ago(39, 15).at, "weighing", quantityList=[grain])
    for name, events, behaviour in (
        ("delivery.jsonld", [arrival, check], "rollback"),
        ("inspection.jsonld", [check, wrong], "proceed"),
        ("glasses.jsonld", [glasses, sold_on], "rollback"),
    ):
        document = {
            "@context": [CONTEXT],
            "type": "EPCISDocument",
            "schemaVersion": "2.0",
            "creationDate": stage.ago(39).at.isoformat(),
            "epcisHeader": {"epcisMasterData": {"vocabularyList": _words(str(grain["epcClass"]))}},
            "epcisBody": {"eventList": events},
        }
        content = io.BytesIO(json.dumps(document, ensure_ascii=False).encode())
        job = take_document(by=by, content=content, behaviour=behaviour, name=name, at=stage.ago(39, 16).at)
        run_at_once(job=job)
    make_query(by=by, body={"name": "shipments", "query": {"EQ_bizStep": "shipping"}})


def _event(when: datetime.datetime, step: str, **fields: Any) -> dict[str, Any]:
    return {
        "type": "ObjectEvent",
        "eventTime": when.isoformat(),
        "eventTimeZoneOffset": "+08:00",
        "action": "OBSERVE",
        "bizStep": step,
        **fields,
    }


def _words(grain: str) -> list[dict[str, Any]]:
    """What the supplier and its grain are called."""
    said = (
        (PARTNER, "Location", "name", "示例粮食合作社（EPCIS 对接）"),
        (grain, "EPCClass", "descriptionShort", "示例红高粱"),
        (f"https://id.gs1.org/01/{GLASSES_GTIN}", "EPCClass", "descriptionShort", "示例酒杯礼盒"),
    )
    return [
        {
            "type": f"urn:epcglobal:epcis:vtype:{kind}",
            "vocabularyElementList": [{"id": uri, "attributes": [{"id": f"cbvmda:{key}", "attribute": value}]}],
        }
        for uri, kind, key, value in said
    ]
