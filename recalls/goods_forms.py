"""What people type about goods coming back, being destroyed, corrected or missing, cleaned before an action sees it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from recalls.forms import DisposalForm, Moment, _GoodsForm, now_here, offer
from recalls.models import Disposal, DisposalPlan, ReturnOddity
from trace.forms.fields import Pick, Text, Whole
from trace.moments import words


class DeedForm(DisposalForm):
    """A disposal with its report beforehand, who did it, and photographs."""

    plan = Pick(label=gettext_lazy("销毁预报告"), required=False)
    executor = Text(
        label=gettext_lazy("处理人"),
        max_length=60,
        required=False,
        help_text=gettext_lazy("不填就是您本人。处理人不能兼作见证人。"),
    )

    def __init__(self, *args: Any, plans: list[DisposalPlan], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [(str(row.uid), f"{words(row.planned_at)} {row.place}") for row in plans]
        offer(self, "plan", [("", _("没有在本系统预报告")), *choices])


class PlanForm(_GoodsForm):
    """Time and place of a destruction to come."""

    method = Pick(label=gettext_lazy("处理方式"), choices=Disposal.Method.choices, widget=forms.RadioSelect)
    where = Text(label=gettext_lazy("处理地点"), max_length=120)
    planned_at = Moment(label=gettext_lazy("计划时间"))


class SendBackForm(_GoodsForm):
    """What goes back."""

    carrier = Text(label=gettext_lazy("承运人"), max_length=60, required=False)
    parcel = Text(label=gettext_lazy("运单号"), max_length=60, required=False)
    sent_at = Moment(label=gettext_lazy("寄出时间"), initial=now_here)


class OddityForm(forms.Form):
    """Something that came back and is no recalled goods."""

    kind = Pick(label=gettext_lazy("是什么"), choices=ReturnOddity.Kind.choices, widget=forms.RadioSelect)
    code = Text(label=gettext_lazy("标签上的批号或码"), max_length=100, required=False)
    count = Whole(label=gettext_lazy("件数"), least=1, most=1_000_000)
    handling = Pick(label=gettext_lazy("怎样处理"), choices=ReturnOddity.Handling.choices, widget=forms.RadioSelect)
    words = Text(label=gettext_lazy("说明"), max_length=300, required=False)


class ReleaseForm(_GoodsForm):
    """Goods whose label was put right."""

    correction = Text(
        label=gettext_lazy("更正了什么"),
        max_length=300,
        help_text=gettext_lazy("买的人会看到，例如：加贴标签，补上过敏原“核桃”。"),
    )
    unit_from = Whole(label=gettext_lazy("件号从"), least=1, most=100_000_000, required=False)
    unit_to = Whole(label=gettext_lazy("件号到"), least=1, most=100_000_000, required=False)


class DifferenceForm(forms.Form):
    """Why one lot does not add up."""

    lot = Pick(label=gettext_lazy("批次"))
    explanation = Text(label=gettext_lazy("说明"), max_length=500, multiline=True)
