"""Template filters for master data: what changed, GTINs, pack sizes, certificates."""

from __future__ import annotations

import datetime
from fractions import Fraction
from typing import Any

from django import template
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from trace.composition import materials
from trace.identifiers import display_gtin
from trace.models import Certificate, EditLog, Organisation
from trace.templatetags.ui import badge
from trace.units import decimal_text

register = template.Library()

FIELD_WORDS = {
    "name": gettext_lazy("名称"),
    "name_en": gettext_lazy("英文名称"),
    "address": gettext_lazy("地址"),
    "status": gettext_lazy("状态"),
    "uscc": gettext_lazy("统一社会信用代码"),
    "division": gettext_lazy("所在地"),
    "kind": gettext_lazy("类型"),
    "gln": "GLN",
    "facts": gettext_lazy("其他信息"),
    "created": gettext_lazy("登记"),
    "ended_at": gettext_lazy("停用"),
    "gtin": gettext_lazy("商品条码"),
    "material": gettext_lazy("是什么"),
    "gtin_claim": gettext_lazy("条码声明"),
    "recall_contact_name": gettext_lazy("召回联系人"),
    "recall_contact_phone": gettext_lazy("召回电话"),
    "recall_contact_email": gettext_lazy("召回邮箱"),
    "licence": gettext_lazy("证照"),
    "role": gettext_lazy("岗位"),
    "registered_as": gettext_lazy("关联的入驻单位"),
}


@register.filter
def edit_words(edit: EditLog) -> str:
    """One line of the log in words: what was changed from what to what. Personal data only says that it changed."""
    label = FIELD_WORDS.get(edit.field, edit.field)
    if _is_personal(edit.old) or _is_personal(edit.new):
        return _("%(field)s 已更改") % {"field": label}
    old, new = _value_words(edit, edit.old), _value_words(edit, edit.new)
    if edit.field == "ended_at":
        return _("停用") if edit.new else _("重新启用")
    if not old:
        return _("%(field)s：%(new)s") % {"field": label, "new": new or "—"}
    return _("%(field)s：%(old)s → %(new)s") % {"field": label, "old": old, "new": new or "—"}


def _is_personal(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {"personal"}


def _value_words(edit: EditLog, value: Any) -> str:
    if value in (None, "", {}, []):
        return ""
    if edit.field == "status" and value in Organisation.Status.values:
        return str(Organisation.Status(value).label)
    if edit.field == "material":
        return material(str(value))
    if isinstance(value, dict):
        return ", ".join(str(part) for part in value.values() if part)
    return str(value)


@register.filter
def material(key: str) -> str:
    """What a product is, in the reader's language."""
    known = materials().get(key)
    return known.label() if known is not None else key


@register.filter
def gtin(gtin14: str | None) -> str:
    """A GTIN as people know it."""
    return display_gtin(gtin14) if gtin14 else ""


@register.filter
def decimal(size: str) -> str:
    """A pack's exact size (``1/2``) as a decimal number for people."""
    return decimal_text(int(Fraction(size) * 1_000_000))


@register.simple_tag
def certificate_badge(row: Certificate, on: datetime.date | None = None) -> SafeString:
    """Whether a certificate stands today, in words."""
    today = on or timezone.localdate()
    if row.revoked_at is not None:
        return badge("mute", _("已撤销"))
    if row.is_valid(today):
        return badge("good", _("有效"))
    return badge("attention", _("尚未生效") if today < row.valid_from else _("已过期"))
