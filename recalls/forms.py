"""What people type about recalls, cleaned before an action sees it."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django import forms
from django.forms.boundfield import BoundField
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from recalls.actions.answers import LotAnswer
from recalls.actions.assessment import Finding, Standing
from recalls.actions.goods import GoodsLine
from recalls.channels import Channel
from recalls.law import Level, Regime
from recalls.models import Assessment, Campaign, Disposal, ReturnReceipt, Signal
from recalls.parts import WORDS_MAX, PartKind, hours_words
from recalls.transitions import Guard, Transition
from trace.errors import Invalid
from trace.forms.fields import REQUIRED, Day, Pick, PickSome, Text, plausible, shown_again
from trace.models import Lot, Organisation, Place, Product, StoredFile
from trace.text import fold_width
from trace.units import parse_amount, unit_name, units_for

_YES: dict[str, Any] = {"required": gettext_lazy("请先勾选这一项。")}
_CHINA = datetime.timezone(datetime.timedelta(hours=8))


class Moment(forms.DateTimeField):
    """A day and time by the browser's picker, or typed as 2026-11-22 14:05; Beijing time."""

    default_error_messages = {
        **REQUIRED,
        "invalid": gettext_lazy("没有这个时间，请按 2026-11-22 14:05 的样子填写。"),
    }

    def to_python(self, value: Any) -> datetime.datetime | None:
        """The instant, or None where blank."""
        if isinstance(value, str):
            value = fold_width(value[:40]).strip().replace("/", "-")
        found = super().to_python(value)
        plausible(found)
        return found

    def bound_data(self, data: Any, initial: Any) -> Any:
        """What the page shows again."""
        return shown_again(data)


def now_here() -> datetime.datetime:
    """The present minute, as a form's first value."""
    return timezone.now().replace(second=0, microsecond=0)


def offer(form: forms.Form, name: str, choices: Iterable[tuple[str, Any]]) -> None:
    """Give one field of a form its choices, which depend on who asks."""
    form.fields[name].choices = list(choices)  # type: ignore[attr-defined]


class Yes(forms.BooleanField):
    """A box that must be ticked."""

    default_error_messages = _YES


def lot_choices(lots: Iterable[Lot]) -> list[tuple[str, str]]:
    """Lots for a select: product and code."""
    return [(str(lot.uid), f"{lot.product_version.label} {lot.code}") for lot in lots]


# --- Signals and assessments ----------------------------------------------------------------------------------------


class SignalForm(forms.Form):
    """A signal raised by a firm's or a regulator's own people."""

    source = Pick(label=gettext_lazy("来源"))
    lot = Text(
        label=gettext_lazy("批号或追溯码"),
        max_length=100,
        required=False,
        help_text=gettext_lazy("知道是哪一批就填，可以扫码或抄标签上的码。"),
    )
    text = Text(label=gettext_lazy("发现了什么"), max_length=2000, multiline=True)
    received_at = Moment(label=gettext_lazy("什么时候知道的"), initial=now_here)
    contact = Text(label=gettext_lazy("反映人联系方式"), max_length=200, required=False)
    is_drill = forms.BooleanField(
        label=gettext_lazy("这是演练"),
        required=False,
        help_text=gettext_lazy("演练用同样的步骤和真实的批次，不封存货物，不通知任何人，不对外公布。"),
    )

    def __init__(self, *args: Any, regulator: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        sources = [
            (value, label)
            for value, label in Signal.Source.choices
            if value not in (Signal.Source.SCAN_REPORT, Signal.Source.DRILL)
        ]
        offer(self, "source", sources)
        self.fields["source"].initial = Signal.Source.SAMPLING if regulator else Signal.Source.SELF_CHECK
        if regulator:
            del self.fields["is_drill"]


class ReasonForm(forms.Form):
    """A reason in words."""

    reason = Text(label=gettext_lazy("理由"), max_length=500, multiline=True)


class AssessmentForm(forms.Form):
    """The assessment; with ``first`` also what opens the campaign."""

    title = Text(
        label=gettext_lazy("召回名称"),
        max_length=120,
        help_text=gettext_lazy("一看就懂的一句话，例如：示例核桃仁 2026年10月12日批次 黄曲霉毒素超标。扫码页会显示。"),
    )
    knew_at = Moment(
        label=gettext_lazy("知悉时间"),
        help_text=gettext_lazy("从这一刻起计算法定时限，登记后不能修改。"),
    )
    hazard = Pick(label=gettext_lazy("危害类别"), choices=[("", gettext_lazy("请选择")), *Assessment.Hazard.choices])
    severity = Pick(label=gettext_lazy("严重程度"), choices=Assessment.Severity.choices, widget=forms.RadioSelect)
    probability = Pick(label=gettext_lazy("发生可能"), choices=Assessment.Probability.choices, widget=forms.RadioSelect)
    population = Text(label=gettext_lazy("可能受影响的人群"), max_length=200, required=False)
    verdict = Pick(label=gettext_lazy("结论"), choices=Assessment.Verdict.choices, widget=forms.RadioSelect)
    level = Pick(label=gettext_lazy("建议召回级别"), required=False)
    basis = Text(
        label=gettext_lazy("依据"),
        max_length=1000,
        multiline=True,
        help_text=gettext_lazy("检验报告编号、限量标准、事实经过。不要写个人姓名。"),
    )
    experts = Text(label=gettext_lazy("咨询意见"), max_length=500, multiline=True, required=False)
    initiator = Pick(
        label=gettext_lazy("以什么身份召回"),
        choices=Campaign.Initiator.choices,
        widget=forms.RadioSelect,
        initial=Campaign.Initiator.PRODUCER,
        required=False,
    )
    ground = Pick(
        label=gettext_lazy("由经营者召回的原因"),
        choices=[("", gettext_lazy("不是经营者召回")), *Campaign.Ground.choices],
        required=False,
    )
    ground_words = Text(
        label=gettext_lazy("说明和证据"),
        max_length=300,
        required=False,
        help_text=gettext_lazy("生产者已不在或无法确定的，写明怎样知道的：登记机关信息、退信、电话记录。"),
    )

    def __init__(self, *args: Any, track: str, first: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not first:
            del self.fields["title"], self.fields["knew_at"]
        if track == Product.Track.CONSUMER:
            del self.fields["level"]
        else:
            offer(self, "level", [("", _("未定级")), *((str(value), label) for value, label in Level.choices())])

    def standing(self) -> Standing:
        """As what the firm recalls."""
        data = self.cleaned_data
        return Standing(data["initiator"] or Campaign.Initiator.PRODUCER, data["ground"], data["ground_words"])

    def finding(self) -> Finding:
        """The assessment as the action takes it."""
        data = self.cleaned_data
        level = data.get("level") or ""
        return Finding(
            hazard=data["hazard"],
            severity=data["severity"],
            probability=data["probability"],
            verdict=data["verdict"],
            basis=data["basis"],
            level=int(level) if level else None,
            population=data["population"],
            experts=data["experts"],
        )


# --- Steps of a campaign --------------------------------------------------------------------------------------------


class StepForm(forms.Form):
    """What a row of the transition table asks of the person who takes it; the fields follow from its guards."""

    stored_file: StoredFile | None = None

    revision = forms.IntegerField(widget=forms.HiddenInput)

    def __init__(
        self,
        *args: Any,
        row: Transition,
        regime: Regime,
        channel: Channel | None = None,
        basis: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        guards = set(row.guards)
        if Guard.SERVED_DOCUMENT in guards:
            self.fields["document"] = Text(label=_("文书编号"), max_length=60)
            self.fields["served_at"] = Moment(label=_("送达时间"), initial=now_here)
            self.fields["legal_basis"] = Text(label=_("法律依据"), max_length=300, initial=basis)
            if row.action != "grant_extension":
                self.fields["content"] = Text(label=_("要求的内容"), max_length=1000, multiline=True)
                self.fields["due_on"] = Day(label=_("期限"), required=False)
        if row.action == "strengthen":
            self.fields["again"] = Pick(
                label=_("行为"),
                choices=[("", _("责令加强召回")), ("again", _("责令重新召回"))],
                required=False,
            )
        if row.action == "grant_extension":
            self.fields["until"] = Day(label=_("延长到"))
        if Guard.STOP_ORDER in guards:
            self.fields["stop_order"] = Yes(
                label=_("已决定停止生产、销售和使用范围内的产品"),
                help_text=_("启动后，范围内批次的出库、使用和赋码一律被拒绝。"),
            )
        if Guard.CHANNEL in guards:
            if channel is not None:
                self.fields["sites"] = PickSome(
                    label=_("在哪里发布"),
                    choices=[(site.key, str(site.label)) for site in channel.sites],
                    initial=list(channel.needed),
                    required=False,
                    help_text=channel.words,
                )
                self.fields["why"] = Text(
                    label=_("未用规定渠道的原因"),
                    max_length=300,
                    required=False,
                    help_text=_("应当用的渠道没有勾选时填写；公众先知道要紧，欠缺的渠道会一直显示到补上为止。"),
                )
            self.fields["channel"] = Text(
                label=_("发布渠道（写给公众看的话）"),
                max_length=200,
                initial=_("本系统召回公告页；%(place)s")
                % {"place": _("、").join(channel.label(key) for key in channel.needed)}
                if channel is not None
                else _("本系统召回公告页"),
            )
        if Guard.PLAN_COMPLETE in guards:
            items = regime.plan_items
            for item in items:
                self.fields[f"plan_{item.key}"] = Text(label=str(item.label), max_length=2000, multiline=True)
            if not items:
                self.fields["plan_plan"] = Text(
                    label=_("召回计划"),
                    max_length=2000,
                    multiline=True,
                    help_text=_("适用规则对计划内容的规定尚未取得正式文本，请写明范围、措施、时限和负责人。"),
                )
        if Guard.SUMMARY_COMPLETE in guards:
            self.fields["summary"] = Text(label=_("召回总结"), max_length=4000, multiline=True)
            self.fields["explanation"] = Text(
                label=_("差异说明"),
                max_length=2000,
                multiline=True,
                required=False,
                help_text=_("数量对不上的地方，逐条写明原因。"),
            )
        if row.action in ("finish_collecting", "finish_disposal", "close", "order", "start"):
            self.fields["reason"] = Text(label=_("说明"), max_length=500, multiline=True, required=False)
        elif Guard.REASON in guards:
            self.fields["reason"] = Text(label=_("理由"), max_length=500, multiline=True)

    def plan(self) -> dict[str, str]:
        """The items of a plan by key."""
        return {
            name.removeprefix("plan_"): value for name, value in self.cleaned_data.items() if name.startswith("plan_")
        }


class ProposalForm(ReasonForm):
    """Why a step is proposed; for an extension also until when."""

    until = Day(label=gettext_lazy("申请延长到"))

    def __init__(self, *args: Any, action: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if action != "grant_extension":
            del self.fields["until"]


class ActForm(forms.Form):
    """An act of the authority that moves nothing by itself."""

    kind = Pick(label=gettext_lazy("行为"))
    number = Text(label=gettext_lazy("文书编号"), max_length=60)
    served_at = Moment(label=gettext_lazy("送达时间"), initial=now_here)
    content = Text(label=gettext_lazy("要求的内容"), max_length=1000, multiline=True)
    legal_basis = Text(
        label=gettext_lazy("法律依据"),
        max_length=300,
        required=False,
        help_text=gettext_lazy("留空就按这类行为的通常依据填写；没有核实的条文会标明。"),
    )
    due_on = Day(label=gettext_lazy("期限"), required=False)

    def __init__(self, *args: Any, kinds: Iterable[tuple[str, Any]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        offer(self, "kind", kinds)


class ProofForm(forms.Form):
    """Where an announcement was seen."""

    site = Pick(label=gettext_lazy("渠道"))
    url = Text(label=gettext_lazy("网址"), max_length=300, required=False)
    seen_at = Moment(label=gettext_lazy("看到的时间"), initial=now_here)

    def __init__(self, *args: Any, sites: Iterable[tuple[str, Any]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        offer(self, "site", sites)


class DefectReportForm(forms.Form):
    """That a defect was reported to the authority: when, under which number, what was said."""

    reported_at = Moment(label=gettext_lazy("报告时间"), initial=now_here)
    number = Text(label=gettext_lazy("受理编号"), max_length=60, required=False)
    words = Text(
        label=gettext_lazy("报告内容"),
        max_length=1000,
        multiline=True,
        help_text=gettext_lazy("向哪个部门、用什么方式、报告了什么。"),
    )


class ProgressForm(forms.Form):
    """A periodic report."""

    text = Text(label=gettext_lazy("本期进展"), max_length=1000, multiline=True)


class AnnouncementForm(forms.Form):
    """The announcement's four groups (2015 Measures, article 16); the goods come from the scope."""

    producer = Text(label=gettext_lazy("生产者名称"), max_length=120)
    address = Text(label=gettext_lazy("住所"), max_length=200)
    legal_representative = Text(label=gettext_lazy("法定代表人"), max_length=60)
    person_in_charge = Text(label=gettext_lazy("具体负责人"), max_length=60)
    phone = Text(label=gettext_lazy("联系电话"), max_length=40)
    email = Text(label=gettext_lazy("电子邮箱"), max_length=254, required=False)
    identify = Text(
        label=gettext_lazy("怎样辨认"),
        max_length=300,
        multiline=True,
        required=False,
        help_text=gettext_lazy("批号印在包装的什么地方，怎样看。"),
    )
    reason = Text(label=gettext_lazy("召回原因"), max_length=500, multiline=True)
    risk = Text(
        label=gettext_lazy("可能的危害"),
        max_length=500,
        multiline=True,
        help_text=gettext_lazy("写清楚会怎样，不要用“个别”“预防性”之类淡化的话。"),
    )
    begins_on = Day(label=gettext_lazy("召回开始日期"))
    ends_on = Day(
        label=gettext_lazy("召回截止日期"),
        required=False,
        help_text=gettext_lazy("食品召回公告须写明起止日期；预填的是法定完成期限的最后一天。"),
    )
    area = Text(label=gettext_lazy("区域范围"), max_length=200)
    duties = Text(label=gettext_lazy("经营者应当做什么"), max_length=500, multiline=True)
    what_to_do = Text(label=gettext_lazy("消费者怎么办"), max_length=500, multiline=True)
    compensation = Text(label=gettext_lazy("退货和赔偿"), max_length=500, multiline=True)


# --- The scope ------------------------------------------------------------------------------------------------------


class FreezeForm(forms.Form):
    """Freezing what the preview shows."""

    reason = Text(label=gettext_lazy("说明"), max_length=500, multiline=True, required=False)
    left_out_reason = Text(label=gettext_lazy("为什么排除这些批次"), max_length=500, required=False)
    evidence = Text(label=gettext_lazy("证据"), max_length=500, required=False)


class PartForm(forms.Form):
    """Which part of one lot is meant, and why the rest is not affected."""

    kind = Pick(label=gettext_lazy("怎样划定这一部分"), choices=PartKind.choices(), widget=forms.RadioSelect)
    codes = Text(
        label=gettext_lazy("箱码、托盘码，或单件编号、单件码"),
        max_length=WORDS_MAX,
        multiline=True,
        required=False,
        help_text=gettext_lazy("用空格或换行隔开；编号可以写区间，例如：1-120 130。"),
    )
    begins = Moment(label=gettext_lazy("装箱时间从"), required=False)
    ends = Moment(
        label=gettext_lazy("装箱时间到"),
        required=False,
        help_text=gettext_lazy("没有装箱记录的单件不知道是什么时候的，一律算在内。"),
    )
    reason = Text(
        label=gettext_lazy("为什么其余部分不受影响"),
        max_length=500,
        multiline=True,
        help_text=gettext_lazy("例如：换垫片之前灌装的留样全部合格，见检验报告编号。"),
    )

    def words(self) -> str:
        """The part as it is kept."""
        if self.cleaned_data["kind"] == PartKind.HOURS:
            return hours_words(self.cleaned_data["begins"], self.cleaned_data["ends"])
        return str(self.cleaned_data["codes"])

    def clean(self) -> dict[str, Any]:
        """What the way chosen needs."""
        data = super().clean() or {}
        if data.get("kind") == PartKind.HOURS:
            for name in ("begins", "ends"):
                if not data.get(name) and name not in self.errors:
                    self.add_error(name, forms.ValidationError(_("请填写这一项。"), code="required"))
        elif data.get("kind") and not data.get("codes") and "codes" not in self.errors:
            self.add_error("codes", forms.ValidationError(_("请填写这一项。"), code="required"))
        return data


# --- Answers and goods ----------------------------------------------------------------------------------------------


class LotGroup:
    """The fields of one lot in a form of many lots, as a template lays them out. ``asked`` stands once in a form, with
    the first lot (``LotsForm``).
    """

    def __init__(self, lot: Lot, known: int, fields: dict[str, BoundField], asked: str = "") -> None:
        self.lot = lot
        self.known = known
        self.fields = fields
        self.asked = asked


def unit_choices(lot: Lot) -> list[tuple[str, str]]:
    """The units a lot may be counted in, packs first: a shop counts bottles, not litres."""
    packs = lot.product_version.packs
    names = [code for code, _factor in units_for(lot.product.base_unit, packs)]
    first = [name for name in packs if name in names]
    return [(name, unit_name(name)) for name in [*first, *(name for name in names if name not in first)]]


class LotsForm(forms.Form):
    """Fields for each of some lots, told apart by their place. Between opening and sending it the list may change (the
    recall is narrowed, goods leave), so which lots it was made for goes along, and what was typed follows its lot.
    """

    PARTS: tuple[str, ...] = ()

    def __init__(
        self, data: Mapping[str, Any] | None = None, *args: Any, lots: Sequence[tuple[Lot, int]], **kwargs: Any
    ) -> None:
        self.asked = list(lots)
        self.lost = False
        """Whether something was typed for a lot that is not among them any more."""
        super().__init__(data if data is None else self._placed(data), *args, **kwargs)

    def _placed(self, data: Mapping[str, Any]) -> Mapping[str, Any]:
        """What was sent, each value at the place its lot has now."""
        places = {lot.uid.hex: number for number, (lot, _known) in enumerate(self.asked)}
        sent = str(data.get("asked", "")).split(".")
        if sent == list(places) or "asked" not in data:
            return data
        names = (*self.PARTS, "unit")
        moved = {
            key: value
            for key, value in data.items()
            if not any(key.removeprefix(f"{name}_").isdecimal() for name in names)
        }
        for number, uid in enumerate(sent):
            found = {name: data[f"{name}_{number}"] for name in names if f"{name}_{number}" in data}
            if uid in places:
                moved |= {f"{name}_{places[uid]}": value for name, value in found.items()}
            elif any(str(value).strip() for name, value in found.items() if name != "unit"):
                self.lost = True
        return moved

    def group(self, number: int) -> LotGroup:
        """The fields of one of the lots."""
        lot, known = self.asked[number]
        asked = ".".join(one.uid.hex for one, _known in self.asked) if not number else ""
        return LotGroup(lot, known, {name: self[f"{name}_{number}"] for name in (*self.PARTS, "unit")}, asked)

    def groups(self) -> list[LotGroup]:
        """The fields lot by lot."""
        return [self.group(number) for number in range(len(self.asked))]


class StockForm(LotsForm):
    """Per lot: what is there, what of it is sealed, what was sold on, what cannot be accounted for."""

    PARTS = ("on_hand", "sealed", "sold", "unknown")

    def __init__(self, *args: Any, with_name: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        labels = {
            "on_hand": _("现有"),
            "sealed": _("其中已封存"),
            "sold": _("已售出"),
            "unknown": _("说不清去向"),
        }
        for number, (lot, _known) in enumerate(self.asked):
            self.fields[f"unit_{number}"] = Pick(label=_("计量单位"), choices=unit_choices(lot))
            for part in self.PARTS:
                self.fields[f"{part}_{number}"] = Text(
                    label=labels[part], max_length=30, initial="" if part == "on_hand" else "0", required=True
                )
                self.fields[f"{part}_{number}"].widget.attrs["inputmode"] = "decimal"
        if with_name:
            self.fields["name"] = Text(label=_("您的姓名"), max_length=60, autocomplete="name")
        self.fields["remark"] = Text(label=_("说明"), max_length=500, multiline=True, required=False)

    def clean(self) -> dict[str, Any]:
        """Every amount in millionths, each wrong one named at its field."""
        data = super().clean() or {}
        self.answers: list[LotAnswer] = []
        for number, (lot, _known) in enumerate(self.asked):
            unit = data.get(f"unit_{number}")
            amounts: dict[str, int] = {}
            for part in self.PARTS:
                text = data.get(f"{part}_{number}")
                if unit is None or text is None:
                    continue
                try:
                    amounts[part] = parse_amount(
                        text, unit, lot.product.base_unit, lot.product_version.packs, allow_zero=True
                    ).micros
                except Invalid as error:
                    self.add_error(f"{part}_{number}", forms.ValidationError(error.message, code=error.code))
            if len(amounts) == len(self.PARTS):
                self.answers.append(LotAnswer(lot, **amounts))
        return data


class NameForm(forms.Form):
    """The name of who acknowledges from a letter."""

    name = Text(label=gettext_lazy("您的姓名"), max_length=60, autocomplete="name")


class _GoodsForm(LotsForm):
    """Amounts of lots; those left empty are not meant."""

    PARTS = ("amount",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for number, (lot, _known) in enumerate(self.asked):
            self.fields[f"amount_{number}"] = Text(label=_("数量"), max_length=30, required=False)
            self.fields[f"amount_{number}"].widget.attrs["inputmode"] = "decimal"
            self.fields[f"unit_{number}"] = Pick(label=_("计量单位"), choices=unit_choices(lot))

    def clean(self) -> dict[str, Any]:
        """The lines that were filled in."""
        data = super().clean() or {}
        self.lines: list[GoodsLine] = []
        for number, (lot, _known) in enumerate(self.asked):
            text, unit = data.get(f"amount_{number}"), data.get(f"unit_{number}")
            if not text or unit is None:
                continue
            try:
                amount = parse_amount(text, unit, lot.product.base_unit, lot.product_version.packs)
            except Invalid as error:
                self.add_error(f"amount_{number}", forms.ValidationError(error.message, code=error.code))
            else:
                self.lines.append(GoodsLine(lot, amount))
        if self.lost:
            raise forms.ValidationError(
                _("所列批次刚刚有了变化，您填的批次有的已不在其中。请核对后再提交。"), code="lots_changed"
            )
        if not self.lines and not self.errors:
            raise forms.ValidationError(_("请至少填写一个批次的数量。"), code="subjects_required")
        return data


class ReturnForm(_GoodsForm):
    """Goods that came back from one holder."""

    condition = Pick(
        label=gettext_lazy("状况"),
        choices=[pair for pair in ReturnReceipt.Condition.choices if pair[0] != ReturnReceipt.Condition.EMPTY],
    )
    place = Pick(label=gettext_lazy("存放地点"), required=False)
    when = Moment(label=gettext_lazy("收到时间"), initial=now_here)
    remark = Text(label=gettext_lazy("说明"), max_length=500, multiline=True, required=False)

    def __init__(self, *args: Any, places: Sequence[Place], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        offer(self, "place", [("", _("不指明")), *((str(row.uid), row.label) for row in places)])


class DisposalForm(_GoodsForm):
    """Goods destroyed or made harmless."""

    method = Pick(label=gettext_lazy("处理方式"), choices=Disposal.Method.choices, widget=forms.RadioSelect)
    where = Text(label=gettext_lazy("处理地点"), max_length=120)
    when = Moment(label=gettext_lazy("处理时间"), initial=now_here)
    announced_at = Moment(
        label=gettext_lazy("事先报告的时间"),
        required=False,
        help_text=gettext_lazy("把时间和地点报告主管部门的时间；没有报告的留空，会如实显示。"),
    )
    witness = Pick(label=gettext_lazy("见证单位"), required=False)
    witness_name = Text(label=gettext_lazy("见证人"), max_length=60, required=False)
    remark = Text(label=gettext_lazy("说明"), max_length=500, multiline=True, required=False)

    def __init__(self, *args: Any, witnesses: Sequence[Organisation], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        offer(self, "witness", [("", _("没有单位见证")), *((str(row.uid), row.label) for row in witnesses)])
