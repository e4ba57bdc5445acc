"""What a conflict is about, in groups for people, and the other records it names."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from trace.access import events_visible_to, holds_visible_to, lots_visible_to, shipments_visible_to
from trace.actor import Actor
from trace.event_templates import templates
from trace.models import Conflict, TestReport
from trace.templatetags.ui import url_or_none


@dataclass(frozen=True)
class Kind:
    """One group: its words and the codes of the guards in it."""

    key: str
    words: Promise
    codes: frozenset[str]


KINDS: Sequence[Kind] = (
    Kind(
        "time",
        gettext_lazy("时间先后"),
        frozenset(
            {
                "before_parent",
                "before_release",
                "before_shipping",
                "before_arrival",
                "begins_after_use",
                "produced_after_event",
                "produced_before_parent",
                "expires_before_made",
                "expires_too_late",
                "expires_after_source",
                "made_of_itself",
            }
        ),
    ),
    Kind(
        "amount",
        gettext_lazy("数量"),
        frozenset(
            {
                "not_enough",
                "not_enough_then",
                "more_out_than_in",
                "yield_too_high",
                "below_zero",
                "count_differs",
                "joined_more_than_made",
                "unit_not_counted",
            }
        ),
    ),
    Kind(
        "alcohol",
        gettext_lazy("酒精度"),
        frozenset({"undeclared_alcohol", "alcohol_lost", "alcohol_unknown", "abv_contradicts", "parts_differ"}),
    ),
    Kind("origin", gettext_lazy("产地"), frozenset({"gi_foreign", "gi_unproven", "early_harvest", "source_dropped"})),
    Kind("material", gettext_lazy("禁用原料"), frozenset({"forbidden_ancestor"})),
    Kind(
        "release",
        gettext_lazy("未凭合格报告放行"),
        frozenset(
            {
                "no_passing_report",
                "release_lost_report",
                "failed_after_release",
                "shipped_unreleased",
                "ancestor_failed",
                "more_after_release",
                "own_limits_only",
            }
        ),
    ),
    Kind(
        "report",
        gettext_lazy("检验报告"),
        frozenset({"report_before_sample", "release_before_report", "report_denied"}),
    ),
    Kind(
        "blocked",
        gettext_lazy("未放行、封存或过期"),
        frozenset({"not_released", "lot_blocked", "lot_expired", "lot_closed", "joined_blocked"}),
    ),
    Kind("receipt", gettext_lazy("收发不一致"), frozenset({"received_differs", "packs_missing", "not_on_slip"})),
    Kind(
        "pack",
        gettext_lazy("单件与包装"),
        frozenset(
            {
                "already_packed",
                "pack_of_another_lot",
                "packed_more_than_stock",
                "not_in_pack",
                "not_in_custody",
                "not_in_stock",
                "unit_in_transit",
            }
        ),
    ),
    Kind("unseen", gettext_lazy("来源没有查完"), frozenset({"walk_cut"})),
    Kind("void", gettext_lazy("已声明有误"), frozenset({"lot_void", "descends_from_void"})),
)
OTHER = Kind("other", gettext_lazy("其他"), frozenset())
_BY_CODE: Mapping[str, Kind] = {code: kind for kind in KINDS for code in kind.codes}


def kind_of(code: str) -> Kind:
    """The group a guard's code is in."""
    return _BY_CODE.get(code, OTHER)


def kind_for(key: str) -> Kind | None:
    """The group with this key, if there is one."""
    return next((kind for kind in (*KINDS, OTHER) if kind.key == key), None)


def grouped_codes() -> frozenset[str]:
    """Every code that is in a group: what is in none is in ``OTHER``."""
    return frozenset(_BY_CODE)


@dataclass(frozen=True)
class Record:
    """Another record a conflict names: what it is, its name, and its page where the actor may open it."""

    what: str
    name: str
    url: str


def records_of(actor: Actor, conflicts: Iterable[Conflict]) -> dict[int, list[Record]]:
    """The other records that conflicts name, by the conflict's row number, each only as far as the actor may open it.

    Five queries at most, however many conflicts.
    """
    rows = list(conflicts)
    lots = _uids(rows, "other_lot")
    events = _uids(rows, "other_event")
    reports = _uids(rows, "report")
    holds = _uids(rows, "hold")
    numbers = {str(row.details["shipment"]) for row in rows if row.details.get("shipment")}
    found: dict[str, Record] = {}
    if lots:
        for lot in lots_visible_to(actor).filter(uid__in=lots).select_related("product_version"):
            url = url_or_none("desk:lot_detail", lot.uid)
            found[str(lot.uid)] = Record(_("批次"), f"{lot.code} {lot.product_version.label}", url or "")
    if events:
        for event in events_visible_to(actor).filter(uid__in=events):
            url = reverse("trace:event_detail", args=[event.uid])
            found[str(event.uid)] = Record(_("另一环节"), _step(event.template), url)
    if reports:
        visible = lots_visible_to(actor)
        for report in TestReport.objects.filter(uid__in=reports, lot__in=visible):
            url = reverse("trace:report_detail", args=[report.uid])
            found[str(report.uid)] = Record(_("检验报告"), report.report_number, url)
    if holds:
        for hold in holds_visible_to(actor).filter(uid__in=holds):
            url = reverse("trace:hold_detail", args=[hold.uid])
            found[str(hold.uid)] = Record(hold.get_kind_display(), hold.reason, url)
    if numbers:
        for shipment in shipments_visible_to(actor).filter(number__in=numbers):
            url = reverse("trace:shipment", args=[shipment.uid])
            found[shipment.number] = Record(_("发货单"), shipment.number, url)
    keys = ("other_lot", "other_event", "report", "hold", "shipment")
    return {
        row.pk: [found[str(row.details[key])] for key in keys if str(row.details.get(key)) in found] for row in rows
    }


def _uids(rows: Sequence[Conflict], key: str) -> set[uuid.UUID]:
    """The names under one key that are UUIDs."""
    found = set()
    for row in rows:
        try:
            found.add(uuid.UUID(str(row.details.get(key))))
        except ValueError:
            continue
    return found


def _step(code: str) -> str:
    step = templates().get(code)
    return step.label() if step is not None else code
