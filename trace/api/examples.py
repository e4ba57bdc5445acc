"""Examples of the API document. A test holds them against the schemas, so they cannot go stale."""

from typing import Any

ORGANISATION_REF: dict[str, Any] = {"uid": "0199b0c0-0000-7000-8000-000000000001", "name": "汾阳示例清香酒坊有限公司"}
SHOP_REF: dict[str, Any] = {"uid": "0199b0c0-0000-7000-8000-000000000002", "name": "示例便民商店"}
CONTACT = {"name": "示例联系人", "phone": "0358-0000000", "email": "recall@example.cn"}
ORGANISATION: dict[str, Any] = {
    **ORGANISATION_REF,
    "name_zh": "汾阳示例清香酒坊有限公司",
    "name_en": "Fenyang Example Distillery",
    "kind": "producer",
    "status": "active",
    "uscc": "91149999DEMD00016X",
    "division": "141182",
    "address": "汾阳市杏花村镇示例路 1 号",
    "recall_contact": CONTACT,
}
PLACE_REF: dict[str, Any] = {"uid": "0199b0c0-0000-7000-8000-000000000003", "name": "一号酒库"}
PLACE: dict[str, Any] = {
    **PLACE_REF,
    "organisation": ORGANISATION_REF,
    "name_zh": "一号酒库",
    "name_en": "Cellar 1",
    "kind": "store",
    "division": "141182101",
    "address": "",
    "gln": "",
}
VERSION: dict[str, Any] = {
    "number": 1,
    "name": "示例清香白酒",
    "name_en": "Example light-aroma baijiu",
    "brand": "",
    "spec": "53%vol 500 mL",
    "net_content": "500 mL",
    "ingredients": "水、高粱、大麦、豌豆",
    "grade": "优级",
    "standard": "gbt10781_2_2022",
    "standard_text": "",
    "licence_number": "SC11514999900019",
    "pledge": "",
    "gi_claim": "",
    "shelf_life_days": None,
    "storage": "",
    "warning": "过量饮酒有害健康",
    "packs": {"瓶": "0.5", "箱": "3"},
    "at": "2026-01-05T09:00:00Z",
}
PRODUCT: dict[str, Any] = {
    "uid": "0199b0c0-0000-7000-8000-000000000004",
    "organisation": ORGANISATION_REF,
    "code": "BJ-500",
    "family": "baijiu",
    "track": "food",
    "kind": "finished",
    "base_unit": "LTR",
    "material": "",
    "gtin": "09520000010010",
    "gtin_claim": "confirmed",
    "current": VERSION,
}
PRODUCT_REF: dict[str, Any] = {
    "uid": PRODUCT["uid"],
    "name": "示例清香白酒 53%vol 500 mL",
    "gtin": "09520000010010",
    "base_unit": "LTR",
}
LOT_REF: dict[str, Any] = {
    "uid": "0199b0c0-0000-7000-8000-000000000005",
    "code": "20261101-001",
    "lot_code": "20261101-001",
    "product": PRODUCT_REF,
}
AMOUNT = {"value": "1250.5", "unit": "LTR"}
LOT: dict[str, Any] = {
    **LOT_REF,
    "issuer": ORGANISATION_REF,
    "display_code": "",
    "public_code": "7K3M9PXW2QRT",
    "begun_at": "2026-11-01T00:30:00Z",
    "produced_on": "2026-11-01",
    "expires_on": None,
    "needs_release": True,
    "released": True,
    "external": False,
    "void": False,
    "made": AMOUNT,
    "blocked": [],
    "stock": [{"holder": ORGANISATION_REF, "place": PLACE_REF, "amount": AMOUNT}],
}
EVENT: dict[str, Any] = {
    "uid": "0199b0c0-0000-7000-8000-000000000006",
    "number": 4711,
    "template": "common.produce",
    "name": "生产",
    "event_type": "ObjectEvent",
    "action": "ADD",
    "biz_step": "commissioning",
    "disposition": "active",
    "local_step": "",
    "mode": "command",
    "occurred_at": "2026-11-01T08:30:00+08:00",
    "precision": "minute",
    "recorded_at": "2026-11-01T00:31:12Z",
    "organisation": ORGANISATION_REF,
    "entered_by": ORGANISATION_REF,
    "entered_by_person": "示例张三",
    "place": PLACE_REF,
    "counterparty": None,
    "data": {},
    "items": [
        {
            "role": "output",
            "lot": LOT_REF,
            "unit": None,
            "holder": ORGANISATION_REF,
            "place": PLACE_REF,
            "amount": AMOUNT,
            "entered": "1250.5",
            "entered_unit": "LTR",
        }
    ],
    "flags": [],
    "corrects": None,
    "error_reason": "",
    "replaces": None,
    "declared_wrong_by": None,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
}
CONFLICT: dict[str, Any] = {
    "uid": "0199b0c0-0000-7000-8000-000000000007",
    "code": "received_differs",
    "detail": "批次 20261101-001 发出 300 升，收到 297 升，数量不一致。",
    "event": EVENT["uid"],
    "organisation": SHOP_REF,
    "lot": LOT_REF,
    "at": "2026-11-20T02:00:00Z",
    "answered_at": None,
    "answer": "",
    "void": False,
}
RECORDED: dict[str, Any] = {"event": EVENT, "lots": [LOT], "conflicts": []}
SHIPMENT: dict[str, Any] = {
    "uid": "0199b0c0-0000-7000-8000-000000000008",
    "number": "S20261118-7K3M9PXW",
    "sender": ORGANISATION_REF,
    "receiver": SHOP_REF,
    "sent_at": "2026-11-18T01:00:00Z",
    "confirmed": False,
    "void": False,
    "event": EVENT["uid"],
    "transfers": [
        {
            "uid": "0199b0c0-0000-7000-8000-000000000009",
            "lot": LOT_REF,
            "sent": {"value": "300", "unit": "LTR"},
            "received": None,
            "received_at": None,
        }
    ],
}
REPORT: dict[str, Any] = {
    "uid": "0199b0c0-0000-7000-8000-00000000000a",
    "lot": LOT_REF,
    "organisation": ORGANISATION_REF,
    "laboratory": "示例检测技术服务有限公司",
    "laboratory_uid": None,
    "cma_number": "231400340123",
    "report_number": "SL-2026-0412",
    "purpose": "出厂检验",
    "issued_on": "2026-11-10",
    "verdict": "pass",
    "declared_wrong": False,
    "laboratory_says": "unconfirmed",
    "file_sha256": "",
    "event": EVENT["uid"],
    "results": [
        {
            "parameter": "methanol_100",
            "name": "甲醇(折100%vol,计算)",
            "operator": "=",
            "value": "0.2264",
            "loq": "",
            "unit": "g/L",
            "limit_operator": "<=",
            "limit_value": "0.6",
            "limit_source": "GB 2757-2012",
            "limit_verified": False,
            "limit_kind": "catalogue",
            "limit_basis": "converted to 100%vol; grain raw material (others 2.0)",
            "limit_applies": "",
            "limit_version": 0,
            "method": "GB 5009.266",
            "verdict": "pass",
            "reason": "",
        }
    ],
}
HOLD: dict[str, Any] = {
    "uid": "0199b0c0-0000-7000-8000-00000000000b",
    "organisation": ORGANISATION_REF,
    "kind": "hold",
    "reason": "复检中",
    "legal_basis": "",
    "active": True,
    "active_from": "2026-11-20T02:00:00Z",
    "ended_at": None,
    "lots": 1,
}
CHAIN: dict[str, Any] = {
    "@context": ["https://ref.gs1.org/standards/epcis/epcis-context.jsonld"],
    "type": "EPCISQueryDocument",
    "schemaVersion": "2.0",
    "creationDate": "2026-11-28T03:00:00.000Z",
    "epcisBody": {"queryResults": {"queryName": "SimpleEventQuery", "resultsBody": {"eventList": []}}},
}

TRACE: dict[str, Any] = {
    "direction": "forward",
    "lot": LOT_REF,
    "cut": False,
    "lots": [
        {
            "number": 1,
            "level": 0,
            "lot": LOT_REF,
            "issuer": ORGANISATION_REF,
            "region": "汾阳市",
            "family": "baijiu",
            "verdict": "pass",
            "date": "2026-11-01",
        },
        {
            "number": 2,
            "level": 1,
            "lot": None,
            "issuer": None,
            "region": "太原市",
            "family": "baijiu",
            "verdict": "",
            "date": "2026-11-12",
        },
    ],
    "edges": [{"parent": 1, "child": 2, "amount": None}],
}
FIELD: dict[str, Any] = {
    "key": "moisture",
    "name": "水分",
    "type": "decimal",
    "unit": "%",
    "required": True,
    "public": True,
    "computed": False,
    "per_output": False,
    "choices": [],
    "usual_from": "0",
    "usual_to": "8",
}
TEMPLATE: dict[str, Any] = {
    "code": "walnut.test",
    "name": "检验",
    "family": "walnut",
    "event_type": "ObjectEvent",
    "biz_step": "inspecting",
    "action": "OBSERVE",
    "moves": "sample",
    "own_action": None,
    "fields": [FIELD],
}


def page(*items: Any) -> dict[str, Any]:
    """A last page with these items."""
    return {"items": list(items), "next": None, "position": "WzQ3MTFd:Yk3vX0…"}
