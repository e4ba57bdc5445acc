"""The words recall law is written in, each with its code for storage and its label for people.

They are plain enumerations, without the framework's model layer, so that the rules can be used and tested
alone. A model field takes them as ``choices=Form.choices``.
"""

from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


class Term(StrEnum):
    """One word of the law: a stable code that is stored, and a translated label."""

    label: "StrOrPromise"

    def __new__(cls, value: str, label: "StrOrPromise" = "") -> "Term":
        """Make a member whose value is the code and whose label is kept beside it."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.label = label
        return member

    @classmethod
    def choices(cls) -> list[tuple[str, "StrOrPromise"]]:
        """(code, label) pairs for a form or a model field."""
        return [(member.value, member.label) for member in cls]


class Track(Term):
    """Which family of recall law a product falls under; the same codes as on the product."""

    FOOD = "food", _("食品")
    CONSUMER_PRODUCT = "consumer_product", _("消费品")
    FARM_PRODUCE = "farm_produce", _("食用农产品")


class Form(Term):
    """Who made the recall happen: the firm itself, or an authority by order."""

    VOLUNTARY = "voluntary", _("主动召回")
    ORDERED = "ordered", _("责令召回")


class Unit(Term):
    """What a time limit is counted in."""

    HOUR = "hour", _("小时")
    WORKDAY = "workday", _("工作日")
    MONTH = "month", _("个月")


class Duty(Term):
    """Whether a limit binds the firm, or is the time in which it may use a right (objection)."""

    DUTY = "duty", _("义务")
    RIGHT = "right", _("权利")


class LegalEvent(Term):
    """A fact of a campaign from which the law counts time, or at which it stops counting."""

    KNEW = "knew", _("知悉")
    INCIDENT_REPORTED = "incident_reported", _("缺陷信息已报告")
    NOTICE_SERVED = "notice_served", _("召回通知送达")
    OBJECTED = "objected", _("提出异议")
    DECIDED = "decided", _("决定召回")
    ORDER_SERVED = "order_served", _("责令召回决定送达")
    STARTED = "started", _("启动召回")
    PLAN_FILED = "plan_filed", _("召回计划已报")
    ANNOUNCED = "announced", _("发布公告")
    COLLECTED = "collected", _("收回完成")
    DISPOSED = "disposed", _("处理完成")
    SUMMARISED = "summarised", _("总结已报")
    CLOSED = "closed", _("结案")


class Evidence(Term):
    """How the authors of a data row know it. Only ``SEEN_FULL`` may be marked verified."""

    SEEN_FULL = "seen_full", _("已见全文")
    SEEN_EXCERPT = "seen_excerpt", _("仅见摘录")
    DRAFT = "draft", _("仅见征求意见稿")
    MEMORY = "memory", _("待核实")
    ASSUMED = "assumed", _("系统约定")


class Tier(Term):
    """A level of the administration, of an authority or of the one that issued a licence."""

    PROVINCE = "province", _("省级")
    PREFECTURE = "prefecture", _("市级")
    COUNTY = "county", _("县级")
    NONE = "", _("无许可证")


class Level(IntEnum):
    """The level of a food recall, 1 the gravest. Consumer products have none: their rules hold for all."""

    ONE = 1
    TWO = 2
    THREE = 3

    @property
    def label(self) -> "StrOrPromise":
        """The level's name."""
        return _LEVELS[self]

    @classmethod
    def choices(cls) -> list[tuple[int, "StrOrPromise"]]:
        """(number, label) pairs for a form or a model field."""
        return [(int(member), member.label) for member in cls]


_LEVELS: "dict[Level, StrOrPromise]" = {
    Level.ONE: _("一级召回"),
    Level.TWO: _("二级召回"),
    Level.THREE: _("三级召回"),
}
