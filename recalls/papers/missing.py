"""What a document lacks, in the language of who reads the list. Documents are Chinese whoever makes them; what is still
missing is told to a person, and translated when it is shown.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.utils.translation import gettext, gettext_noop

_WORDS = (
    gettext_noop("演练不起草、不发布公告"),
    gettext_noop("起草的召回公告"),
    gettext_noop("召回的产品"),
    gettext_noop("收件单位（请在“通知与反馈”中选择）"),
    gettext_noop("召回的批次"),
    gettext_noop("停止生产经营的决定（启动召回或先行停止销售时登记）"),
    gettext_noop("已登记的责令召回决定"),
    gettext_noop("这不是演练"),
    gettext_noop("向上追溯"),
    gettext_noop("向下追溯"),
    gettext_noop("已报送的召回计划"),
    gettext_noop("进展报告（在“逐批数字”页报送）"),
    gettext_noop("总结时存档的数字"),
    gettext_noop("适用规则没有五日报告这一项"),
    gettext_noop("处理完成（尚未登记）"),
    gettext_noop("已提出的延期申请"),
    gettext_noop("可以延长的时限"),
    gettext_noop("登记的销毁预报告"),
    gettext_noop("已登记的销毁"),
    gettext_noop("召回总结"),
    gettext_noop("申请延长到"),
    gettext_noop("理由"),
)
"""What the documents name as missing, beside the names of their fields."""


def missing_words(missing: Iterable[str]) -> list[str]:
    """The same in the language in force; what names a lot or a person's own words stays as it is."""
    return [gettext(one) for one in missing if one]
