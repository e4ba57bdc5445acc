"""Examples of the API document. A test holds them against the schemas, so they cannot go stale."""

from typing import Any

from trace.api.examples import LOT_REF, ORGANISATION_REF

RUN: dict[str, Any] = {
    "uid": "0199b0c0-0000-7000-8000-000000000030",
    "organisation": ORGANISATION_REF,
    "lot": LOT_REF,
    "kind": "unit",
    "level": "item",
    "count": 600,
    "first_number": 1,
    "status": "issued",
    "layout": "a4-24",
    "material": "smooth",
    "gtin": "09520000010010",
    "public_host": "https://trace.example.cn",
    "checks": False,
    "event": "0199b0c0-0000-7000-8000-000000000031",
    "at": "2026-11-02T01:00:00Z",
}
UNIT: dict[str, Any] = {
    "number": 1,
    "code": "7K3M9PXW2QRT",
    "uri": "https://trace.example.cn/01/09520000010010/21/7K3M9PXW2QRT",
    "level": "item",
    "state": "issued",
}
PRINT: dict[str, Any] = {
    "step": "printed",
    "first": 1,
    "last": 24,
    "at": "2026-11-02T01:05:00Z",
    "media_type": "application/pdf",
    "document": "JVBERi0xLjQK",
}
EXCEPTION: dict[str, Any] = {
    "uid": "0199b0c0-0000-7000-8000-000000000032",
    "code": "7K3M9PXW2QRT",
    "kind": "spoiled",
    "reason": "标签纸卡住",
    "at": "2026-11-02T01:06:00Z",
}
CODE: dict[str, Any] = {
    "verdict": "recalled",
    "code": "7K3M9PXW2QRT",
    "product": "示例核桃仁 200 g",
    "lot_code": "20261101-001",
    "issuer": "汾阳示例核桃加工有限公司",
    "produced_on": "2026-11-01",
    "expires_on": "2027-06-28",
    "scans": 3,
    "phone": "0358-0000000",
    "sibling_recalls": [],
    "recalls": [
        {
            "number": "汾召[2026]1号",
            "title": "示例核桃仁 黄曲霉毒素B1 超标",
            "reason": "黄曲霉毒素B1 超过食品安全标准限量",
            "risk": "长期大量食用可能损害肝脏",
            "what_to_do": "停止食用，退回购买处",
            "phone": "0358-0000000",
            "announced_at": "2026-11-22T08:00:00Z",
        }
    ],
}
