"""The columns of trace's lists as files; the lists themselves are their pages' (same rows, same filters)."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from trace.chasing import Chase, chases
from trace.conflict_kinds import kind_of
from trace.event_templates import templates
from trace.exports import Column, Table, micros
from trace.identifiers import display_gtin
from trace.inventory import states_of
from trace.models import ApiKey, Certificate, Conflict, Event, EventItem, HoldMember, Lot, Organisation, Shipment
from trace.pack_page import packs_with_counts
from trace.report_questions import contradictions_of
from trace.result_words import basis_words, condition_words, laboratory_word, value_words
from trace.shipping import Line, lines_of, state_of
from trace.templatetags.ui import STATES as BADGES
from trace.units import unit_name


def step_name(code: str) -> str:
    """A step's name; a step that is no longer in the data keeps its code."""
    found = templates().get(code)
    return found.label() if found is not None else code


def event_time(event: Event) -> datetime.datetime | datetime.date:
    """When it happened: only the day where only the day is known."""
    return timezone.localtime(event.occurred_at).date() if event.precision == "day" else event.occurred_at


# --- Lots -----------------------------------------------------------------------------------------------------------


def _with_states(lots: Sequence[Lot], sides: Collection[int] | None = None) -> list[tuple[Lot, str]]:
    states = states_of(lots, sides)
    return [(lot, states[lot.pk]) for lot in lots]


LOTS = Table(
    "lots",
    [
        Column(gettext_lazy("批号"), lambda row: row[0].code),
        Column(gettext_lazy("追溯码"), lambda row: row[0].public_code),
        Column(gettext_lazy("产品"), lambda row: row[0].product_version.label),
        Column(gettext_lazy("生产者"), lambda row: row[0].organisation.label),
        Column(gettext_lazy("生产日期"), lambda row: row[0].produced_on),
        Column(gettext_lazy("保质期至"), lambda row: row[0].expires_on),
        Column(gettext_lazy("产量"), lambda row: micros(row[0].made_micros)),
        Column(gettext_lazy("在手数量"), lambda row: micros(row[0].in_hand)),
        Column(gettext_lazy("计量单位"), lambda row: unit_name(row[0].product.base_unit)),
        Column(gettext_lazy("状态"), lambda row: BADGES[row[1]].words if row[1] else ""),
    ],
    _with_states,
)


def lots_table(sides: Collection[int] | None) -> Table:
    """The lots as a file for these organisations (row numbers; None: for a regulator): holds on what only others have
    do not count.
    """
    return replace(LOTS, lines=lambda lots: _with_states(lots, sides))


# --- Shipments ------------------------------------------------------------------------------------------------------


def shipment_state_words(row: Shipment) -> str:
    """A shipment's state for people."""
    return {
        "unconfirmed": _("待收货方确认"),
        "disputed": _("数量有差异"),
        "confirmed": _("双方已确认"),
        "voided": _("已声明有误"),
    }[state_of(row)]


def _slip_lines(rows: Sequence[Shipment]) -> list[tuple[Shipment, Line]]:
    lines = lines_of(rows)
    return [(row, line) for row in rows for line in lines.get(row.pk, [])]


_GOODS = [
    Column(gettext_lazy("批号"), lambda row: row[1].lot.code),
    Column(gettext_lazy("品名"), lambda row: row[1].lot.product_version.label),
    Column(gettext_lazy("发出数量"), lambda row: micros(row[1].transfer.sent_micros)),
    Column(gettext_lazy("实收数量"), lambda row: micros(row[1].transfer.received_micros)),
    Column(gettext_lazy("单位"), lambda row: unit_name(row[1].unit)),
]
_SLIP = [
    Column(gettext_lazy("发货单号"), lambda row: row[0].number),
    Column(gettext_lazy("发货时间"), lambda row: row[0].sent_at),
    Column(gettext_lazy("发货单位"), lambda row: row[0].organisation.label),
    Column(gettext_lazy("收货单位"), lambda row: row[0].receiver.label),
]
SHIPMENTS = Table(
    "shipments",
    [
        *_SLIP,
        Column(gettext_lazy("状态"), lambda row: shipment_state_words(row[0])),
        *_GOODS,
        Column(gettext_lazy("收货时间"), lambda row: row[1].transfer.received_at),
    ],
    _slip_lines,
)


PACKS = Table(
    "packs",
    [
        Column(gettext_lazy("包装码"), lambda row: row[0].code),
        Column(gettext_lazy("层级"), lambda row: row[0].get_level_display()),
        Column(gettext_lazy("里面有"), lambda row: row[1]),
        Column(gettext_lazy("批次"), lambda row: " ".join(lot.code for lot in row[2])),
    ],
    packs_with_counts,
)


def _chase_lines(rows: Sequence[Shipment]) -> list[tuple[Shipment, Line, Chase]]:
    return [(chase.shipment, line, chase) for chase in chases(rows) for line in chase.lines]


CHASES = Table(
    "open-deliveries",
    [
        *_SLIP,
        *_GOODS,
        Column(gettext_lazy("已等天数"), lambda row: row[2].days),
        Column(gettext_lazy("催办次数"), lambda row: len(row[2].reminders)),
        Column(gettext_lazy("最近催办"), lambda row: row[2].last_reminder.at if row[2].last_reminder else None),
        Column(
            gettext_lazy("最近回答"),
            lambda row: row[2].last_answer.get_answer_display() if row[2].last_answer else "",
        ),
    ],
    _chase_lines,
)
CLAIMS = Table(
    "joined-lots",
    [
        Column(gettext_lazy("批号"), lambda row: row.typed_code),
        Column(gettext_lazy("产品"), lambda row: row.lot.product_version.label),
        Column(gettext_lazy("收货单位"), lambda row: row.claimant.label),
        Column(gettext_lazy("供货单位"), lambda row: row.supplier.label),
        Column(gettext_lazy("收到数量"), lambda row: micros(row.external.made_micros)),
        Column(gettext_lazy("计量单位"), lambda row: unit_name(row.external.product.base_unit)),
        Column(gettext_lazy("提出时间"), lambda row: row.at),
        Column(gettext_lazy("状态"), lambda row: row.get_status_display()),
    ],
)

# --- Events ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class EventLine:
    """One lot of one event."""

    event: Event
    item: EventItem | None
    wrong: bool


def _event_lines(events: Sequence[Event]) -> Iterable[EventLine]:
    wrong = set(Event.objects.filter(corrects__in=events).values_list("corrects", flat=True))
    for event in events:
        items: list[EventItem | None] = [*event.items.all()]
        for item in items or [None]:
            yield EventLine(event, item, event.pk in wrong)


def _event_state(line: EventLine) -> str:
    if line.wrong:
        return _("已声明有误")
    return _("有矛盾") if line.event.flags else ""


EVENTS = Table(
    "events",
    [
        Column(gettext_lazy("日志编号"), lambda line: line.event.number),
        Column(gettext_lazy("时间"), lambda line: event_time(line.event)),
        Column(gettext_lazy("环节"), lambda line: step_name(line.event.template)),
        Column(gettext_lazy("单位"), lambda line: line.event.organisation.label),
        Column(gettext_lazy("地点"), lambda line: line.event.place.label if line.event.place else ""),
        Column(gettext_lazy("批号"), lambda line: line.item.lot.code if line.item and line.item.lot else ""),
        Column(gettext_lazy("作用"), lambda line: line.item.get_role_display() if line.item else ""),
        Column(gettext_lazy("数量"), lambda line: line.item.entered if line.item else ""),
        Column(
            gettext_lazy("计量单位"),
            lambda line: unit_name(line.item.entered_unit) if line.item and line.item.entered_unit else "",
        ),
        Column(
            gettext_lazy("登记人"), lambda line: line.event.entered_by.display_name if line.event.entered_by else ""
        ),
        Column(gettext_lazy("登记时间"), lambda line: line.event.recorded_at),
        Column(gettext_lazy("状态"), _event_state),
    ],
    _event_lines,
)

# --- Registry -------------------------------------------------------------------------------------------------------

_OWNER = Column(gettext_lazy("单位"), lambda row: row.organisation.label)
PLACES = Table(
    "places",
    [
        Column(gettext_lazy("名称"), lambda row: row.label),
        Column(gettext_lazy("类型"), lambda row: row.get_kind_display()),
        Column(gettext_lazy("所在地"), lambda row: row.division.label),
        Column(gettext_lazy("地址"), lambda row: row.address),
        Column("GLN", lambda row: row.gln),
        _OWNER,
        Column(gettext_lazy("停用时间"), lambda row: row.ended_at),
    ],
)
PRODUCTS = Table(
    "products",
    [
        Column(gettext_lazy("产品编号"), lambda row: row.code),
        Column(gettext_lazy("名称"), lambda row: row.current.label if row.current else ""),
        Column(gettext_lazy("净含量"), lambda row: row.current.net_content if row.current else ""),
        Column(gettext_lazy("类型"), lambda row: row.get_kind_display()),
        Column(gettext_lazy("商品条码"), lambda row: display_gtin(row.gtin) if row.gtin else ""),
        Column(gettext_lazy("条码声明"), lambda row: row.get_gtin_claim_display()),
        Column(gettext_lazy("计量单位"), lambda row: unit_name(row.base_unit)),
        Column(
            gettext_lazy("执行标准"),
            lambda row: (
                (row.current.standard.number if row.current.standard else row.current.standard_text)
                if row.current
                else ""
            ),
        ),
        _OWNER,
        Column(gettext_lazy("停用时间"), lambda row: row.ended_at),
    ],
)


def certificate_state(row: Certificate) -> str:
    """Whether a certificate stands today, in words."""
    today = timezone.localdate()
    if row.revoked_at is not None:
        return _("已撤销")
    if row.is_valid(today):
        return _("有效")
    return _("尚未生效") if today < row.valid_from else _("已过期")


CERTIFICATES = Table(
    "certificates",
    [
        Column(gettext_lazy("证书编号"), lambda row: row.number),
        Column(gettext_lazy("类型"), lambda row: row.get_kind_display()),
        _OWNER,
        Column(gettext_lazy("产品"), lambda row: str(row.product) if row.product else ""),
        Column(gettext_lazy("有效期自"), lambda row: row.valid_from),
        Column(gettext_lazy("有效期至"), lambda row: row.valid_until),
        Column(gettext_lazy("发证单位"), lambda row: row.granted_by.label if row.granted_by else ""),
        Column(gettext_lazy("状态"), certificate_state),
    ],
)
REPORTS = Table(
    "reports",
    [
        Column(gettext_lazy("报告编号"), lambda row: row.report_number),
        Column(gettext_lazy("检验机构"), lambda row: row.laboratory_label),
        Column(gettext_lazy("产品"), lambda row: row.lot.product_version.label),
        Column(gettext_lazy("批号"), lambda row: row.lot.code),
        Column(gettext_lazy("出具日期"), lambda row: row.issued_on),
        Column(gettext_lazy("检验结论"), lambda row: row.get_verdict_display()),
        Column(gettext_lazy("登记单位"), lambda row: row.organisation.label),
        Column(gettext_lazy("状态"), lambda row: _("已声明有误") if row.wrong else ""),
        Column(gettext_lazy("检验机构答复"), lambda row: laboratory_word(row).words),
    ],
)
NAMED_REPORTS = Table(
    "named-reports",
    [*REPORTS.columns[:-2], Column(gettext_lazy("答复"), lambda row: laboratory_word(row).words)],
)
CONTRADICTORY_REPORTS = Table(
    "contradictory-reports",
    [*REPORTS.columns[:-2], Column(gettext_lazy("矛盾"), lambda row: _("；").join(contradictions_of(row)))],
)
HOLDS = Table(
    "holds",
    [
        Column(gettext_lazy("种类"), lambda row: row.get_kind_display()),
        Column(gettext_lazy("原因"), lambda row: row.reason),
        _OWNER,
        Column(gettext_lazy("批次数"), lambda row: row.lots),
        Column(gettext_lazy("开始时间"), lambda row: row.active_from),
        Column(gettext_lazy("结束时间"), lambda row: row.ended_at),
    ],
)


def _conflict_state(row: Conflict) -> str:
    if row.voided_by_id is not None:
        return _("已随更正撤销")
    return _("已说明") if row.answered_at else _("待说明")


def _other_records(row: Conflict) -> str:
    """The other records it names, where the list looked them up."""
    return _("；").join(f"{each.what} {each.name}" for each in getattr(row, "others", ()))


CONFLICTS = Table(
    "conflicts",
    [
        Column(gettext_lazy("记下时间"), lambda row: row.at),
        Column(gettext_lazy("环节"), lambda row: step_name(row.event.template)),
        Column(gettext_lazy("环节时间"), lambda row: event_time(row.event)),
        Column(gettext_lazy("登记单位"), lambda row: row.organisation.label),
        Column(gettext_lazy("产品"), lambda row: row.lot.product_version.label if row.lot else ""),
        Column(gettext_lazy("批号"), lambda row: row.lot.code if row.lot else ""),
        Column(gettext_lazy("类别"), lambda row: kind_of(row.code).words),
        Column(gettext_lazy("代码"), lambda row: row.code),
        Column(gettext_lazy("矛盾"), lambda row: row.sentence),
        Column(gettext_lazy("另一记录"), _other_records),
        Column(gettext_lazy("当时写明的理由"), lambda row: row.details.get("reason", "")),
        Column(gettext_lazy("情况说明"), lambda row: row.answer),
        Column(gettext_lazy("说明时间"), lambda row: row.answered_at),
        Column(gettext_lazy("状态"), _conflict_state),
    ],
)


def _covered(member: HoldMember) -> str:
    """Which part of a lot a hold covers."""
    if member.unit_from is not None:
        return _("第 %(a)d–%(b)d 件") % {"a": member.unit_from, "b": member.unit_to}
    return _("%(holder)s 手中的") % {"holder": member.holder.label} if member.holder else _("整批")


HELD_LOTS = Table(
    "held-lots",
    [
        Column(gettext_lazy("批次"), lambda row: row.lot.code),
        Column(gettext_lazy("追溯码"), lambda row: row.lot.public_code),
        Column(gettext_lazy("产品"), lambda row: row.lot.product_version.label),
        Column(gettext_lazy("生产者"), lambda row: row.lot.organisation.label),
        Column(gettext_lazy("范围"), _covered),
    ],
)
LIMITS = Table(
    "limits",
    [
        Column(gettext_lazy("标准"), lambda row: row.standard.number),
        Column(gettext_lazy("项目"), lambda row: row.name),
        Column(
            gettext_lazy("限值"),
            lambda row: value_words(row.operator, row.value, row.grades, unit_name(row.unit) if row.unit else ""),
        ),
        Column(
            gettext_lazy("适用"),
            lambda row: " ".join(filter(None, (condition_words(row.applies), basis_words(row.basis)))),
        ),
        Column(gettext_lazy("检验方法"), lambda row: row.method),
        Column(gettext_lazy("核实时间"), lambda row: row.verified_at),
    ],
)
STANDARDS = Table(
    "standards",
    [
        Column(gettext_lazy("编号"), lambda row: row.number or row.key),
        Column(gettext_lazy("名称"), lambda row: row.title),
        Column(gettext_lazy("限值项数"), lambda row: row.n),
        Column(gettext_lazy("已核对项数"), lambda row: row.checked),
    ],
)
IMPORTS = Table(
    "imports",
    [
        Column(gettext_lazy("文件"), lambda row: row.name),
        Column(gettext_lazy("种类"), lambda row: row.get_kind_display()),
        Column(gettext_lazy("环节"), lambda row: step_name(row.step) if row.step else ""),
        Column(gettext_lazy("行数"), lambda row: row.total),
        Column(gettext_lazy("状态"), lambda row: row.get_status_display()),
    ],
)
EPCIS_DOCUMENTS = Table(
    "epcis-documents",
    [
        Column(gettext_lazy("收到时间"), lambda row: row.created_at),
        Column(gettext_lazy("提交者"), lambda row: row.api_key.name if row.api_key else row.by.display_name),
        Column(gettext_lazy("状态"), lambda row: row.get_status_display()),
        Column(gettext_lazy("环节数"), lambda row: row.total),
        Column(gettext_lazy("已写入"), lambda row: row.captured),
        Column(gettext_lazy("被拒绝"), lambda row: row.faulty),
        Column(gettext_lazy("矛盾"), lambda row: row.conflicts),
    ],
)
DEVICES = Table(
    "devices",
    [
        Column(gettext_lazy("设备"), lambda row: row.name),
        Column(gettext_lazy("姓名"), lambda row: row.user.display_name),
        Column(gettext_lazy("登记时间"), lambda row: row.created_at),
        Column(gettext_lazy("最近使用"), lambda row: row.seen_at),
        Column(gettext_lazy("停用时间"), lambda row: row.revoked_at),
        Column(gettext_lazy("已登记"), lambda row: row.recorded),
        Column(gettext_lazy("待核对"), lambda row: row.waiting),
    ],
)

# --- Organisations and people ---------------------------------------------------------------------------------------

ORGANISATIONS = Table(
    "organisations",
    [
        Column(gettext_lazy("名称"), lambda row: row.label),
        Column(gettext_lazy("类型"), lambda row: row.get_kind_display()),
        Column(gettext_lazy("状态"), lambda row: row.get_status_display()),
        Column(gettext_lazy("统一社会信用代码"), lambda row: row.uscc or ""),
        Column(gettext_lazy("所在地"), lambda row: row.division.label),
        Column(gettext_lazy("地址"), lambda row: row.address),
        Column(gettext_lazy("申请时间"), lambda row: row.created_at),
    ],
)
GROWERS = Table("growers", [*ORGANISATIONS.columns[:3], *ORGANISATIONS.columns[4:]])


def _registered(row: Organisation) -> str:
    return row.registered_as.label if row.registered_as is not None else ""


OUTSIDERS = Table(
    "outsiders",
    [
        Column(gettext_lazy("名称"), lambda row: row.label),
        Column(gettext_lazy("类型"), lambda row: row.get_kind_display()),
        Column(gettext_lazy("所在地"), lambda row: row.division.label),
        Column(gettext_lazy("地址"), lambda row: row.address),
        Column(gettext_lazy("联系人"), lambda row: row.recall_contact_name),
        Column(gettext_lazy("电话"), lambda row: row.recall_contact_phone),
        Column(gettext_lazy("邮箱"), lambda row: row.recall_contact_email),
        Column(gettext_lazy("统一社会信用代码"), lambda row: row.uscc or ""),
        Column(gettext_lazy("关联的入驻单位"), _registered),
    ],
)
MEMBERS = Table(
    "members",
    [
        Column(gettext_lazy("姓名"), lambda row: row.user.display_name),
        Column(gettext_lazy("用户名"), lambda row: row.user.username),
        Column(gettext_lazy("岗位"), lambda row: row.get_role_display()),
    ],
)


def _key_state(row: ApiKey) -> str:
    return _("已撤销") if row.revoked_at else _("有效")


KEYS = Table(
    "keys",
    [
        Column(gettext_lazy("名称"), lambda row: row.name),
        Column(gettext_lazy("岗位"), lambda row: row.get_role_display()),
        Column(gettext_lazy("创建时间"), lambda row: row.created_at),
        Column(gettext_lazy("状态"), _key_state),
    ],
)
