"""What people type about passing on, calling, disputing and waiting, cleaned before an action sees it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy

from recalls.actions.tree import Customer, parse_customers
from recalls.forms import Moment, now_here
from recalls.law import Level
from recalls.models import PhoneCall
from trace.forms.fields import Pick, Text, Whole


class PassOnForm(forms.Form):
    """One's own customers, a line each; from a letter with the name of who tells."""

    customers = Text(
        label=gettext_lazy("您的客户"),
        max_length=20_000,
        multiline=True,
        help_text=gettext_lazy("一行一个：名称，电话，邮箱或地址。例如：示例小卖部，13900000000，示例村 3 号"),
    )
    name = Text(label=gettext_lazy("您的姓名"), max_length=60, autocomplete="name")

    def __init__(self, *args: Any, with_name: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not with_name:
            del self.fields["name"]

    def named(self) -> list[Customer]:
        """The customers as typed."""
        return parse_customers(self.cleaned_data["customers"])


class DisputeForm(forms.Form):
    """That an answer, or the whole letter, is not ours."""

    what = Pick(
        label=gettext_lazy("哪里不对"),
        choices=[
            ("answer", gettext_lazy("上面的答复不是我们作的")),
            ("addressee", gettext_lazy("我们不是这份通知的收件单位")),
        ],
        widget=forms.RadioSelect,
    )
    reason = Text(label=gettext_lazy("说明"), max_length=500, multiline=True)


class CallForm(forms.Form):
    """One telephone call."""

    outcome = Pick(label=gettext_lazy("结果"), choices=PhoneCall.Outcome.choices, widget=forms.RadioSelect)
    called_at = Moment(label=gettext_lazy("通话时间"), initial=now_here)
    spoke_with = Text(label=gettext_lazy("接听人"), max_length=60, required=False)
    words = Text(label=gettext_lazy("说了什么"), max_length=500, multiline=True, required=False)


class WaitingForm(forms.Form):
    """After how many minutes an unanswered notice goes a step further."""

    level = Pick(label=gettext_lazy("级别"), choices=Level.choices())
    resend = Whole(label=gettext_lazy("再次发送（分钟）"), least=5, most=43_200)
    telephone = Whole(label=gettext_lazy("列入电话催办（分钟）"), least=5, most=43_200)
    regulator = Whole(label=gettext_lazy("报监管部门（分钟）"), least=5, most=43_200)
    reason = Text(label=gettext_lazy("理由"), max_length=500, multiline=True)


class AffectedForm(forms.Form):
    """Whether one is affected: the lot code on the goods, and, if one likes, one's own name."""

    lot = Text(
        label=gettext_lazy("批号"),
        max_length=100,
        help_text=gettext_lazy("印在包装上的批号，或标签上的追溯码。"),
    )
    name = Text(
        label=gettext_lazy("您单位的全称"),
        max_length=120,
        required=False,
        help_text=gettext_lazy("想知道通知名单里有没有您，请填营业执照上的全称。"),
    )
