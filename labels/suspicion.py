"""What makes scans of a code suspicious. Pure: facts and thresholds in, findings out; words for people beside them.

A finding is a hint. Shops, families and couriers scan too; only a person says 疑似复制.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _


@dataclass(frozen=True)
class Seen:
    """One scan: when, from which coarse place and region ("" unknown), by which viewer of the day ("" unknown)."""

    at: datetime.datetime
    place: str = ""
    region: str = ""
    who: str = ""


@dataclass(frozen=True)
class Threshold:
    """From which value on a rule speaks (0: never), within so many hours."""

    value: int
    hours: int = 24


DEFAULTS: Mapping[str, Threshold] = {
    "places": Threshold(3, 24),
    "people": Threshold(20, 24),
    "volume": Threshold(300),
    "before_sale": Threshold(1),
    "after_end": Threshold(1),
    "elsewhere": Threshold(2),
    "series": Threshold(1),
}
"""Where nobody has set anything. ``volume``: per cent of the pieces made. Chosen by this project, from no standard."""


@dataclass(frozen=True)
class CodeFacts:
    """What is known of the code: whether it is one unit's, how many pieces the lot has (None: not counted in pieces),
    when the goods first left their maker, when the code ended (void, spoiled), and to which regions goods were sent.
    """

    is_unit: bool
    pieces: int | None = None
    sent_at: datetime.datetime | None = None
    ended_at: datetime.datetime | None = None
    sold_to: frozenset[str] = frozenset()
    total: int = 0


@dataclass(frozen=True)
class Finding:
    """One rule that speaks, with the numbers that made it."""

    rule: str
    facts: dict[str, Any]


def findings(scans: Sequence[Seen], code: CodeFacts, limits: Mapping[str, Threshold]) -> list[Finding]:
    """Every rule that speaks about one code, in the order of the rules. ``scans`` may come in any order."""
    rows = sorted(scans, key=lambda scan: scan.at)
    found: list[Finding | None] = []
    if code.is_unit:
        found.append(_most("places", rows, [scan.place for scan in rows], limits["places"]))
        found.append(_most("people", rows, [scan.who for scan in rows], limits["people"]))
    else:
        found.append(_volume(code, limits["volume"]))
    if code.is_unit and code.sent_at is not None:
        found.append(_outside("before_sale", [s for s in rows if s.at < code.sent_at], code.sent_at, limits))
    if code.ended_at is not None:
        found.append(_outside("after_end", [s for s in rows if s.at > code.ended_at], code.ended_at, limits))
    if code.sold_to:
        found.append(_elsewhere(rows, code.sold_to, limits["elsewhere"]))
    return [one for one in found if one is not None]


def _most(rule: str, rows: Sequence[Seen], names: Sequence[str], limit: Threshold) -> Finding | None:
    """The most different names within any window of so many hours."""
    if not limit.value:
        return None
    window = datetime.timedelta(hours=limit.hours)
    counts: dict[str, int] = {}
    best, start, shown = 0, 0, []
    for end, name in enumerate(names):
        if name:
            counts[name] = counts.get(name, 0) + 1
        while rows[end].at - rows[start].at > window:
            left = names[start]
            if left:
                counts[left] -= 1
                if not counts[left]:
                    del counts[left]
            start += 1
        if len(counts) > best:
            best, shown = len(counts), sorted(counts)
    if best < limit.value:
        return None
    facts: dict[str, Any] = {"count": best, "hours": limit.hours}
    if rule == "places":
        facts["places"] = shown[:10]
    return Finding(rule, facts)


def _volume(code: CodeFacts, limit: Threshold) -> Finding | None:
    """A lot's code looked up far more often than there are pieces."""
    if not limit.value or not code.pieces or code.total * 100 <= code.pieces * limit.value:
        return None
    return Finding("volume", {"count": code.total, "pieces": code.pieces, "percent": limit.value})


def _outside(
    rule: str, rows: Sequence[Seen], moment: datetime.datetime, limits: Mapping[str, Threshold]
) -> Finding | None:
    """Scans on the wrong side of a moment."""
    if not limits[rule].value or len(rows) < limits[rule].value:
        return None
    return Finding(rule, {"count": len(rows), "moment": moment.isoformat(), "first": rows[0].at.isoformat()})


def _elsewhere(rows: Sequence[Seen], sold_to: frozenset[str], limit: Threshold) -> Finding | None:
    """Scans in provinces or cities where nothing of the goods was sent; compared as finely as the table knows."""
    away = [scan for scan in rows if scan.region and not near(scan.region, sold_to)]
    if not limit.value or len(away) < limit.value:
        return None
    places = sorted({scan.place or scan.region for scan in away})
    return Finding("elsewhere", {"count": len(away), "places": places[:10], "sold_to": sorted(sold_to)[:10]})


def near(region: str, sold_to: frozenset[str]) -> bool:
    """Whether a scan's region holds, or lies in, the city of a place the goods were sent to."""
    code = region.rstrip("0") if len(region) == 6 else region
    code = code if len(code) % 2 == 0 else code + "0"
    return any(sold[:4].startswith(code[:4]) or code.startswith(sold[:4]) for sold in sold_to)


def why(rule: str, facts: Mapping[str, Any]) -> str:
    """A finding in a sentence."""
    comma = _("、")
    given = {**facts, "places": comma.join(facts.get("places", []))}
    if rule == "places":
        return _("%(hours)s 小时内在 %(count)s 个地方查询过：%(places)s。") % given
    if rule == "people":
        return _("%(hours)s 小时内有 %(count)s 个不同的网络查询过同一件商品的码。") % given
    if rule == "volume":
        return _("批次共 %(pieces)s 件，码被查询 %(count)s 次，超过设定的 %(percent)s%%。") % given
    if rule == "before_sale":
        return _("商品发货之前已有 %(count)s 次查询；也可能是出厂检查时扫的。") % given
    if rule == "after_end":
        return _("码作废、标签损坏或整批商品销毁之后仍有 %(count)s 次查询。") % given
    if rule == "elsewhere":
        return _("有 %(count)s 次查询来自没有发过货的地区：%(places)s。也可能是消费者带走或转送的。") % given
    return _("同一网络连续查询了很多没有签发过的码（%(day)s 有 %(count)s 次被限制）。") % {
        "day": facts.get("day", ""),
        "count": facts.get("count", 0),
    }
