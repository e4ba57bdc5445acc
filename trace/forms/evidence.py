"""Forms about what is recorded already: declare an event wrong, end a hold, answer a conflict."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

from trace.actions.conflicts import ANSWER_MAX
from trace.forms.fields import Pick, Text
from trace.models import Event, ReportAnswer

REMARK_MAX = 2000
REASON_MAX = 300


class CorrectionForm(forms.Form):
    """Why an event is wrong."""

    reason = Pick(
        label=_("哪里不对"),
        widget=forms.RadioSelect,
        choices=[
            (Event.ErrorReason.INCORRECT_DATA, _("数据有误：事情发生了，但填错了（接着可以重新填写）")),
            (Event.ErrorReason.DID_NOT_OCCUR, _("没有发生：这件事根本没有")),
        ],
    )
    remark = Text(
        label=_("说明"),
        max_length=REMARK_MAX,
        multiline=True,
        required=False,
        help_text=_("加密保存，只有本单位和监管部门能看。"),
    )


class EndHoldForm(forms.Form):
    """Why a hold ends."""

    reason = Text(
        label=_("解除原因"),
        max_length=REASON_MAX,
        multiline=True,
        help_text=_("例如：复检合格，报告编号……。会留在记录里。"),
    )


class AnswerForm(forms.Form):
    """What was behind a conflict."""

    answer = Text(
        label=_("情况说明"),
        max_length=ANSWER_MAX,
        multiline=True,
        help_text=_("一两句话说清楚发生了什么、怎样处理。监管部门能看到；不要写个人信息。"),
    )


class ReportAnswerForm(forms.Form):
    """Whether a laboratory issued the report that names it."""

    answer = Pick(label=_("这份报告是本机构出具的吗？"), widget=forms.RadioSelect, choices=ReportAnswer.Answer.choices)
    reason = Text(
        label=_("理由"),
        max_length=500,
        multiline=True,
        required=False,
        help_text=_("否认时必须写明，例如：没有这个编号；结果与留底不符。登记单位和监管部门能看到。"),
    )
