"""Examples of the API document. A test holds them against the schemas, so they cannot go stale."""

from typing import Any

from trace.api.examples import LOT_REF as LOT_REF
from trace.api.examples import ORGANISATION_REF as ORGANISATION_REF
from trace.api.examples import SHOP_REF as SHOP_REF

BUREAU_REF: dict[str, Any] = {"uid": "0199b0c0-0000-7000-8000-000000000020", "name": "汾阳市示例市场监管局"}
CAMPAIGN_UID = "0199b0c0-0000-7000-8000-000000000021"
SIGNAL: dict[str, Any] = {
    "uid": "0199b0c0-0000-7000-8000-000000000022",
    "receipt": "X20261122-7K3M9PXW",
    "source": "self_check",
    "status": "new",
    "organisation": ORGANISATION_REF,
    "lot": LOT_REF,
    "product": LOT_REF["product"]["uid"],
    "code": "",
    "words": "留样复检，黄曲霉毒素B1 7.5 μg/kg，超过限值。",
    "received_at": "2026-11-22T00:30:00Z",
    "campaign": None,
    "is_drill": False,
}
COVERAGE = {"holders": 12, "sent": 12, "acknowledged": 9, "answered": 7, "escalated": 1}
CLOCK: dict[str, Any] = {
    "rule": "level_1_start",
    "label": "启动召回",
    "law": "食品召回管理办法 第十三条",
    "verified": True,
    "provisional": False,
    "started_at": "2026-11-22T00:30:00Z",
    "due_at": "2026-11-23T00:30:00Z",
    "met_at": "2026-11-22T06:10:00Z",
}
CAMPAIGN_ROW: dict[str, Any] = {
    "uid": CAMPAIGN_UID,
    "number": "汾召[2026]1号",
    "title": "示例核桃仁 黄曲霉毒素B1 超标",
    "status": "announced",
    "revision": 5,
    "is_drill": False,
    "kind": "recall",
    "track": "food",
    "regime": "food_2015",
    "form": "voluntary",
    "level": 1,
    "organisation": ORGANISATION_REF,
    "authority": BUREAU_REF,
    "knew_at": "2026-11-22T00:30:00Z",
    "started_at": "2026-11-22T06:10:00Z",
    "announced_at": "2026-11-22T08:00:00Z",
    "ended_at": None,
    "coverage": COVERAGE,
    "next_limit": CLOCK,
}
SCOPE_REF: dict[str, Any] = {
    "uid": "0199b0c0-0000-7000-8000-000000000023",
    "number": 1,
    "reason": "",
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "lots": 3,
    "holders": 12,
    "active": True,
    "calculated_at": "2026-11-22T06:00:00Z",
}
CAMPAIGN: dict[str, Any] = {
    **CAMPAIGN_ROW,
    "summary": "",
    "explanation": "",
    "limits": [CLOCK],
    "scope": SCOPE_REF,
    "actions": ["carry_out", "expand_scope"],
}
STEP: dict[str, Any] = {
    "uid": "0199b0c0-0000-7000-8000-000000000024",
    "action": "start",
    "about": "",
    "old": "decided",
    "new": "started",
    "by": "示例李四",
    "by_organisation": ORGANISATION_REF,
    "reason": "",
    "document": "",
    "at": "2026-11-22T06:10:00Z",
}
SEEN_LOT: dict[str, Any] = {
    "lot": LOT_REF, "label": "示例核桃仁 20261101-001", "region": "汾阳市", "date": "2026-11-01"
}  # fmt: skip
HOLDER: dict[str, Any] = {"organisation": SHOP_REF, "label": "示例便民商店", "region": "汾阳市"}
SCOPE: dict[str, Any] = {
    "frozen": None,
    "sha256": SCOPE_REF["sha256"],
    "cut": False,
    "holders": 12,
    "lots": [
        {
            "lot": SEEN_LOT,
            "shell": "proven",
            "note": "",
            "why": "descends",
            "path": ["示例核桃仁 20261030-002", "示例核桃仁 20261101-001"],
            "holders": [HOLDER],
            "made": {"value": "40", "unit": "KGM"},
            "used": {"value": "0", "unit": "KGM"},
            "shipped": {"value": "38", "unit": "KGM"},
            "conflicts": 0,
            "part": None,
        }
    ],
}
NOTICE: dict[str, Any] = {
    "uid": "0199b0c0-0000-7000-8000-000000000025",
    "campaign": CAMPAIGN_UID,
    "campaign_number": "汾召[2026]1号",
    "title": "示例核桃仁 黄曲霉毒素B1 超标",
    "holder": HOLDER,
    "issuer": ORGANISATION_REF,
    "status": "stock_answered",
    "sent_at": "2026-11-22T06:11:00Z",
    "acknowledged_at": "2026-11-22T07:00:00Z",
    "answered_at": "2026-11-22T07:20:00Z",
    "lots": [
        {
            "lot": LOT_REF,
            "label": "示例核桃仁 20261101-001",
            "on_hand": {"value": "12", "unit": "KGM"},
            "unconfirmed": {"value": "0", "unit": "KGM"},
        }
    ],
    "answers": [
        {
            "lot": LOT_REF["uid"],
            "on_hand": "9",
            "sealed": "9",
            "sold": "3",
            "unknown": "0",
            "at": "2026-11-22T07:20:00Z",
        }
    ],
}
AMOUNTS = {
    "made": "40", "used": "0", "shipped": "38", "recovered": "20", "destroyed": "20", "released": "0", "in_house": "2",
    "held": "9", "sold": "9", "samples": "0", "loss": "0", "unknown": "0", "excess": "0",
}  # fmt: skip
FIGURES: dict[str, Any] = {
    "effect": {
        "holders": 12,
        "acknowledged_rate": 833,
        "answered_rate": 666,
        "trace_seconds": 0.4,
        "start_seconds": 5400,
        "block_seconds": 5400,
        "first_notice_seconds": 0,
        "median_acknowledge_seconds": 3600,
        "clocks": 4,
        "breaches": 0,
        "goods": {
            "KGM": {"recall_of_planned": 500, "recall_of_sold": 571, "returned": 500, "accounted": 600, "unknown": 400}
        },
        "checks_sampled": 2,
        "checks_done": 1,
        "checks_passed": 1000,
        "check_outcomes": {"effective": 1},
    },
    "totals": {"KGM": AMOUNTS},
    "lots": [{"lot": SEEN_LOT, "unit": "KGM", "amounts": AMOUNTS}],
}
GOODS: dict[str, Any] = {
    "uid": "0199b0c0-0000-7000-8000-000000000026",
    "lot": LOT_REF,
    "organisation": SHOP_REF,
    "amount": {"value": "9", "unit": "KGM"},
    "event": "0199b0c0-0000-7000-8000-000000000027",
    "at": "2026-11-24T02:00:00Z",
}
PUBLIC: dict[str, Any] = {
    "uid": CAMPAIGN_UID,
    "number": "汾召[2026]1号",
    "title": "示例核桃仁 黄曲霉毒素B1 超标",
    "status": "announced",
    "level": "一级召回",
    "producer": "汾阳示例核桃加工有限公司",
    "address": "汾阳市示例路 2 号",
    "phone": "0358-0000000",
    "goods": [
        {
            "name": "示例核桃仁", "name_en": "", "brand": "", "spec": "200 g", "gtin": "",
            "maker": "汾阳示例核桃加工有限公司",
            "lots": [{"code": "20261101-001", "produced_on": "2026-11-01", "expires_on": "2027-06-28"}],
        }
    ],
    "identify": "包装背面批号 20261101-001",
    "reason": "黄曲霉毒素B1 超过食品安全标准限量",
    "risk": "长期大量食用可能损害肝脏",
    "begins_on": "2026-11-22",
    "ends_on": "2026-12-02",
    "area": "山西省",
    "duties": "停止销售，封存并反馈库存",
    "what_to_do": "停止食用，退回购买处",
    "compensation": "全额退款",
    "pictures": [
        {
            "number": 1, "caption": "包装背面，批号在右下角",
            "sha256": SCOPE_REF["sha256"],
            "url": f"https://trace.example.cn/recalls/{CAMPAIGN_UID}/pictures/{SCOPE_REF['sha256']}.jpg",
        }
    ],
    "announced_at": "2026-11-22T08:00:00Z",
    "version": 1,
}  # fmt: skip
