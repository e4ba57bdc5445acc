"""Forms of labels: their fields and words. The rules lie in the actions; a form only collects."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from labels.actions.links import TITLE_MAX
from labels.actions.runs import KEY_MAX, MAX_CODES, MAX_PRINTED, REASON_MAX
from labels.actions.scans import CODE_TEXT_MAX, WORDS_MAX
from labels.commitment import words
from labels.layouts import DEFAULT_SHEET, Layout, layouts
from labels.link_types import TARGET_MAX, producer_types
from labels.models import CodeException, CodeRun, LabelFile, ProductLink, ScanReport
from labels.qr import Material
from recalls.consumer_forms import ToldFields
from trace.actions.packs import MOST
from trace.forms.fields import Text
from trace.models import Unit

MATERIALS = [
    (Material.SMOOTH.value, _("光滑的不干胶或铜版纸")),
    (Material.KRAFT.value, _("牛皮纸、布袋等粗糙材料")),
    (Material.WALNUT.value, _("木材、核桃等深色材料")),
    (Material.CURVED_GLASS.value, _("弧面玻璃瓶")),
]


APPLIED = "applied"


class ReportForm(ToldFields):
    """What a person with the goods tells us. ``word`` is the page's signed word and stands in for the CSRF cookie."""

    word = forms.CharField(widget=forms.HiddenInput, max_length=300)
    fact = forms.CharField(widget=forms.HiddenInput, max_length=60, required=False)
    what = forms.ChoiceField(label=_("哪里不符"), choices=ScanReport.What.choices, widget=forms.RadioSelect)
    code_text = Text(
        label=_("标签上的码"), required=False, max_length=CODE_TEXT_MAX, help_text=_("有多少写多少；没有可以不填。")
    )
    words = Text(
        label=_("请说明情况"),
        required=False,
        max_length=WORDS_MAX,
        multiline=True,
        widget=forms.Textarea(attrs={"rows": 5}),
        help_text=_("例如：包装上写的生产日期和页面上不一样；在哪里、什么时候买的。"),
    )


class IssueForm(forms.Form):
    """How many codes of which kind on which labels. ``key`` makes a doubled submit harmless."""

    key = forms.CharField(widget=forms.HiddenInput, max_length=KEY_MAX, required=False)
    kind = forms.ChoiceField(
        label=_("标签类型"),
        choices=[
            (CodeRun.Kind.UNIT, _("一物一码：每件商品一个不同的码，可以查到是哪一件")),
            (CodeRun.Kind.LOT, _("批次标签：同一批都印批次的码")),
        ],
        widget=forms.RadioSelect,
        initial=CodeRun.Kind.UNIT,
    )
    level = forms.ChoiceField(
        label=_("贴在"),
        choices=Unit.Level.choices,
        initial=Unit.Level.ITEM,
        required=False,
        help_text=_("一物一码时：贴在单件、盒、箱还是托盘上。"),
    )
    count = forms.IntegerField(
        label=_("数量"),
        min_value=1,
        max_value=MAX_CODES,
        initial=24,
        error_messages={
            "min_value": _("至少 1 枚。"),
            "max_value": _("一次最多 %(limit_value)s 枚，请分几次签发。"),
        },
    )
    layout = forms.ChoiceField(label=_("标签版式"), widget=forms.RadioSelect, initial=DEFAULT_SHEET)
    material = forms.ChoiceField(
        label=_("标签材料"),
        choices=MATERIALS,
        initial=Material.SMOOTH.value,
        help_text=_("粗糙、深色或弯曲的材料会用更耐污损的二维码。"),
    )
    per_carton = forms.IntegerField(
        label=_("同时签发箱码，每箱"),
        required=False,
        min_value=2,
        max_value=MOST,
        help_text=_("箱标知道箱里是哪几件：装箱时只扫箱码。不要箱码就不填。"),
    )
    per_pallet = forms.IntegerField(
        label=_("同时签发托盘码，每托"), required=False, min_value=2, max_value=MOST, help_text=_("不要托盘码就不填。")
    )
    checks = forms.BooleanField(
        label=_("每枚标签加一个刮开式校验码"),
        required=False,
        help_text=_("六位，印好后须贴刮刮膜或由印刷厂加涂层。只有一物一码、标签上放得下时可以选。"),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["layout"] = forms.ChoiceField(
            label=_("标签版式"),
            choices=[(key, found.name) for key, found in layouts().items()],
            widget=forms.RadioSelect,
            initial=DEFAULT_SHEET,
        )

    def clean_level(self) -> str:
        """A single item where nobody says otherwise."""
        return str(self.cleaned_data["level"] or Unit.Level.ITEM)

    def clean(self) -> dict[str, Any]:
        """Cartons are issued for single items, pallets for cartons."""
        found = super().clean() or self.cleaned_data
        carton, pallet = found.get("per_carton"), found.get("per_pallet")
        if pallet and not carton:
            self.add_error("per_pallet", _("托盘上放的是箱：请先填每箱几件。"))
        if carton and (found.get("kind") != CodeRun.Kind.UNIT or found.get("level") != Unit.Level.ITEM):
            self.add_error("per_carton", _("箱码和单件的一物一码一起签发；其他标签请不填。"))
        return found


class PrintForm(forms.Form):
    """Which labels of a run to print, and where on the sheet to begin."""

    first = forms.IntegerField(label=_("从第几枚"), min_value=1, initial=1)
    last = forms.IntegerField(label=_("到第几枚"), min_value=1)
    start = forms.IntegerField(
        label=_("从纸上第几格开始"),
        min_value=1,
        initial=1,
        required=False,
        help_text=_("用过一部分的纸，从第一个空格开始，按行数。"),
    )
    crop_marks = forms.BooleanField(label=_("加裁切线（普通纸打印后裁开时用）"), required=False)
    offset_x = forms.FloatField(
        label=_("向右移"), required=False, initial=0, help_text=_("打印偏左时填正数，偏右时填负数，毫米。")
    )
    offset_y = forms.FloatField(
        label=_("向下移"), required=False, initial=0, help_text=_("打印偏上时填正数，偏下时填负数，毫米。")
    )
    reason = forms.CharField(
        label=_("补打原因"), required=False, max_length=REASON_MAX, help_text=_("打印过的标签再打一次，须写明原因。")
    )

    def __init__(self, *args: Any, run: CodeRun, layout: Layout, printed: int = 0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        first = printed + 1 if printed < run.issued else 1
        self.fields["first"].initial = first
        self.fields["last"].initial = min(run.issued, first + MAX_PRINTED - 1)
        if not layout.is_sheet:
            del self.fields["start"]
            del self.fields["crop_marks"]


class FileForm(forms.Form):
    """Which labels of a run go into a file, of which kind, and how they lie on the paper. ``key`` makes a doubled
    submit harmless.
    """

    key = forms.CharField(widget=forms.HiddenInput, max_length=KEY_MAX, required=False)
    kind = forms.ChoiceField(label=_("文件"), choices=LabelFile.Kind.choices, widget=forms.RadioSelect, initial="pdf")
    first = forms.IntegerField(label=_("从第几枚"), min_value=1, initial=1)
    last = forms.IntegerField(label=_("到第几枚"), min_value=1)
    start = forms.IntegerField(label=_("从纸上第几格开始"), min_value=1, initial=1, required=False)
    crop_marks = forms.BooleanField(label=_("加裁切线（普通纸打印后裁开时用）"), required=False)
    offset_x = forms.FloatField(
        label=_("向右移"), required=False, initial=0, help_text=_("打印偏左时填正数，偏右时填负数，毫米。")
    )
    offset_y = forms.FloatField(
        label=_("向下移"), required=False, initial=0, help_text=_("打印偏上时填正数，偏下时填负数，毫米。")
    )
    reason = forms.CharField(
        label=_("补打原因"), required=False, max_length=REASON_MAX, help_text=_("打印过的标签再打一次，须写明原因。")
    )
    checks = forms.BooleanField(
        label=_("码包里包含校验码"),
        required=False,
        help_text=_("只有印刷厂要印涂层下的校验码时才选；谁拿到它，就能冒充刮开过。下载会记下来。"),
    )

    def __init__(
        self, *args: Any, run: CodeRun, layout: Layout, before: LabelFile | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.fields["last"].initial = run.issued
        if not run.checks:
            del self.fields["checks"]
        if before is not None:
            # The same printer is off by the same distance as last time.
            self.fields["offset_x"].initial = before.offset_x / 100
            self.fields["offset_y"].initial = before.offset_y / 100
        if layout.is_sheet:
            kinds = [choice for choice in LabelFile.Kind.choices if choice[0] != LabelFile.Kind.ZPL]
            self.fields["kind"] = forms.ChoiceField(
                label=_("文件"), choices=kinds, widget=forms.RadioSelect, initial="pdf"
            )
        else:
            del self.fields["start"]
            del self.fields["crop_marks"]

    def offset(self) -> tuple[float, float]:
        """How far everything moves to the right and down, in millimetres."""
        return self.cleaned_data["offset_x"] or 0.0, self.cleaned_data["offset_y"] or 0.0


class ExceptionForm(forms.Form):
    """Which codes of a run were put on goods, are ruined or must not be in use, and why."""

    first = forms.IntegerField(label=_("从第几枚"), min_value=1)
    last = forms.IntegerField(label=_("到第几枚"), min_value=1, required=False, help_text=_("只有一枚可以不填。"))
    kind = forms.ChoiceField(
        label=_("情况"),
        choices=[
            (APPLIED, _("已贴：标签贴到商品上了")),
            (CodeException.Kind.SPOILED, _("损坏：标签打坏、撕坏，没有用出去")),
            (CodeException.Kind.VOID, _("作废：标签遗失，或贴错后已处理")),
        ],
        widget=forms.RadioSelect,
    )
    reason = forms.CharField(
        label=_("原因"), max_length=REASON_MAX, required=False, help_text=_("损坏和作废须写明原因；已贴可以不填。")
    )


class VoidForm(forms.Form):
    """Why a whole run is made void."""

    reason = forms.CharField(label=_("作废原因"), max_length=REASON_MAX)


class CommitmentForm(forms.Form):
    """How much a 承诺达标合格证 is for, on which basis, and the pledge itself."""

    amount = forms.CharField(label=_("数量（重量）"), max_length=40)
    bases = forms.MultipleChoiceField(label=_("承诺依据"), widget=forms.CheckboxSelectMultiple, required=False)
    pledged = forms.BooleanField(label=_("我承诺以上内容属实"), required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        bases = self.fields["bases"]
        assert isinstance(bases, forms.MultipleChoiceField)  # noqa: S101 (declared above)
        bases.choices = [(each.key, each.label) for each in words().bases]


class LinkForm(forms.Form):
    """One link of a product: what it is, where it leads, in which language."""

    link_type = forms.ChoiceField(label=_("链接类型"), choices=[])
    title = forms.CharField(label=_("链接文字"), max_length=TITLE_MAX, help_text=_("例如：开瓶与保存方法"))
    href = forms.CharField(
        label=_("网址"),
        max_length=TARGET_MAX,
        help_text=_("https:// 开头的完整网址。扫码页会把域名写在链接旁边。"),
        widget=forms.TextInput(attrs={"inputmode": "url", "autocomplete": "url"}),
    )
    language = forms.ChoiceField(label=_("语言"), choices=ProductLink.Language.choices, required=False)
    context = forms.CharField(
        label=_("适用国家或地区"), max_length=2, required=False, help_text=_("两位字母，例如 CN；不分国家就不填。")
    )
    lot_code = forms.CharField(
        label=_("只用于一个批次"), max_length=40, required=False, help_text=_("填批号；用于所有批次就不填。")
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        chosen = self.fields["link_type"]
        assert isinstance(chosen, forms.ChoiceField)  # noqa: S101 (declared above)
        chosen.choices = [(each.name, each.label) for each in producer_types()]


class EndLinkForm(forms.Form):
    """Why a link is ended."""

    reason = forms.CharField(label=_("原因"), max_length=REASON_MAX)
