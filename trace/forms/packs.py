"""Forms around packs: codes scanned one after another, what they become, where they go."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from trace.access import own_places, place_for
from trace.actions.events import When
from trace.actions.packs import MOST, REASON_MAX
from trace.actor import Actor
from trace.forms.fields import Pick, Text, Whole, checked
from trace.forms.shipments import Moment, minute_now, place_choices
from trace.identifiers import normalise_gs1_prefix
from trace.models import Place, Unit

CODES_MAX = 100 * MOST
"""Characters of a scanning session: addresses from QR codes are longer than codes."""
_BETWEEN = re.compile(r"[\s,，;；、]+")
LEVELS = (Unit.Level.BOX, Unit.Level.CARTON, Unit.Level.PALLET)


class Codes(Text):
    """Codes scanned or typed, one a line; cleans to their list as given. What was scanned is never cut when shown
    again. A script that can scan finds the field by ``data-scan``.
    """

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("label", gettext_lazy("扫描或输入编码，每行一个"))
        kwargs.setdefault(
            "widget",
            forms.Textarea(
                attrs={
                    "rows": "8",
                    "data-scan": "many",
                    "autofocus": True,
                    "autocapitalize": "characters",
                    "spellcheck": "false",
                    "autocomplete": "off",
                    "class": "code",
                }
            ),
        )
        super().__init__(max_length=CODES_MAX, multiline=True, **kwargs)

    def clean(self, value: Any) -> Any:
        """The codes in the order given."""
        return [part for part in _BETWEEN.split(super().clean(value) or "") if part]

    def bound_data(self, data: Any, initial: Any) -> Any:
        """All that was scanned."""
        if not isinstance(data, str):
            return data
        return "".join(char for char in data[:CODES_MAX] if char != "\x00" and not "\ud800" <= char <= "\udfff")


def _one_code(**kwargs: Any) -> Text:
    """A field for one code."""
    attrs = {"data-scan": "one", "autocapitalize": "characters", "spellcheck": "false", "autocomplete": "off"}
    return Text(max_length=400, widget=forms.TextInput(attrs=attrs), **kwargs)


class HappeningForm(forms.Form):
    """When and where; the rest is for subclasses."""

    when = Moment(label=gettext_lazy("时间"))
    place = Pick(label=gettext_lazy("地点"), choices=list, required=False)
    remark = Text(label=gettext_lazy("备注"), max_length=500, multiline=True, required=False)

    def __init__(self, *args: Any, actor: Actor, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.actor = actor
        self.fields["when"].initial = minute_now()
        self.fields["place"].choices = place_choices(actor)  # type: ignore[attr-defined]

    def happened(self) -> When:
        """When it happened."""
        return When(self.cleaned_data["when"])

    def where(self) -> Place | None:
        """Where it happened."""
        uid = self.cleaned_data.get("place")
        return place_for(self.actor, uid) if uid else None


class PackForm(HappeningForm):
    """Units into a pack."""

    level = Pick(
        label=gettext_lazy("装成"), choices=[(level.value, level.label) for level in LEVELS], widget=forms.RadioSelect
    )
    parent = _one_code(
        label=gettext_lazy("包装码"),
        required=False,
        help_text=gettext_lazy("扫已有的箱码、托盘码或 SSCC；不填就由系统编一个新码。"),
    )
    codes = Codes(
        label=gettext_lazy("装进去的码，每行一个"),
        required=False,
        help_text=gettext_lazy("箱码是和单件码一起签发的：只扫箱码，这里不填，就按签发时配好的登记。"),
    )
    field_order = ["level", "parent", "codes", "when", "place", "remark"]


class UnpackForm(HappeningForm):
    """Units out of a pack."""

    codes = Codes(label=gettext_lazy("拆出的码，每行一个"), required=False, help_text=gettext_lazy("不填则全部拆出。"))
    field_order = ["codes", "when", "place", "remark"]


class ReplaceForm(forms.Form):
    """A new code for a damaged one."""

    reason = Text(
        label=gettext_lazy("为什么换"), max_length=REASON_MAX, help_text=gettext_lazy("例如：标签刮破，扫不出来")
    )
    new = _one_code(
        label=gettext_lazy("新码"),
        required=False,
        help_text=gettext_lazy("扫同一批次没用过的备用标签；不填就由系统编一个新码，再打印贴上。"),
    )
    when = Moment(label=gettext_lazy("时间"))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["when"].initial = minute_now()

    def happened(self) -> When:
        """When it happened."""
        return When(self.cleaned_data["when"])


class ShipPacksForm(HappeningForm):
    """Packs to one receiver."""

    codes = Codes(label=gettext_lazy("要发的托盘码、箱码或单件码，每行一个"))
    waybill = Text(label=gettext_lazy("运单号"), max_length=60, required=False)
    vehicle = Text(
        label=gettext_lazy("车牌"), max_length=20, required=False, help_text=gettext_lazy("单独加密保存，不会公开。")
    )
    field_order = ["codes", "when", "waybill", "vehicle", "remark"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        del self.fields["place"]

    def data_fields(self) -> dict[str, str]:
        """The template's fields that were filled in."""
        return {key: self.cleaned_data[key] for key in ("waybill", "vehicle") if self.cleaned_data.get(key)}


class ScanInForm(HappeningForm):
    """Packs that arrive or come back."""

    codes = Codes(label=gettext_lazy("收到的托盘码、箱码或单件码，每行一个"))
    field_order = ["codes", "when", "place", "remark"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        places = own_places(self.actor)
        if places.count() == 1:
            self.fields["place"].initial = str(places.get().uid)


class PrefixForm(forms.Form):
    """The organisation's GS1 company prefix."""

    number = Text(
        label=gettext_lazy("GS1 厂商识别代码"),
        max_length=20,
        required=False,
        help_text=gettext_lazy(
            "系统成员证书上的 7 至 10 位数字。填了以后，新的箱和托盘按 SSCC 编码；清空则用系统编的码。"
        ),
        widget=forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "off"}),
    )

    def clean_number(self) -> str:
        """The digits."""
        text: str = self.cleaned_data["number"]
        return checked(normalise_gs1_prefix, text) if text else ""


class ReserveForm(forms.Form):
    """How many SSCC labels to print before packing."""

    count = Whole(label=gettext_lazy("张数"), least=1, most=100, initial=10)


def level_of(text: str) -> str:
    """A pack's level from an address; a carton where it says none."""
    return text if text in LEVELS else Unit.Level.CARTON


def level_words() -> dict[str, str]:
    """What is done at each level, for links."""
    return {Unit.Level.BOX: _("装盒"), Unit.Level.CARTON: _("装箱"), Unit.Level.PALLET: _("码垛")}
