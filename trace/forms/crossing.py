"""Forms of what crosses from one organisation's books to another's: joining lots, opening stock, old codes, answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from trace.access import own_products
from trace.actions.events import When
from trace.actions.old_codes import MOST_CODES
from trace.actor import Actor
from trace.chasing import OpenLine
from trace.forms.fields import Code, Day, Pick, Text, shown_again
from trace.forms.shipments import AMOUNT_MAX, GoodsForm, moment_of, place_choices, units_of
from trace.identifiers import normalise_uscc
from trace.models import DifferenceAnswer, Product
from trace.units import unit_name

ROWS_BYTES = 400_000


class Lines(forms.CharField):
    """Many codes, one per line; what cannot be a code is refused by the action with its line."""

    widget = forms.Textarea

    def to_python(self, value: Any) -> list[str]:  # type: ignore[override]
        """The lines that are not blank."""
        text = value if isinstance(value, str) else ""
        if len(text) > ROWS_BYTES:
            raise ValidationError(_("一次最多带入 %(n)d 个码，请分几次。") % {"n": MOST_CODES}, code="too_many_items")
        return [line.strip() for line in text.splitlines() if line.strip()]

    def validate(self, value: Any) -> None:
        """Required means at least one line."""
        if self.required and not value:
            raise ValidationError(_("请至少填一个码。"), code="required")

    def run_validators(self, value: Any) -> None:
        """The action checks each code."""

    def bound_data(self, data: Any, initial: Any) -> Any:
        """What the page shows again."""
        return shown_again(data)


class JoinForm(forms.Form):
    """The supplier's lot code, as it stands on the goods or papers."""

    code = Text(
        label=gettext_lazy("供货方的批号或追溯码"),
        max_length=300,
        help_text=gettext_lazy("照对方标签、合格证或送货单写全，也可以粘贴标签二维码的网址。"),
    )


class ClaimAnswerForm(forms.Form):
    """The supplier's words when it denies, or either side's when it withdraws."""

    reason = Text(label=gettext_lazy("说明"), max_length=500, multiline=True, required=False)


class CodesForm(forms.Form):
    """Codes issued elsewhere for one lot."""

    issued_by = Text(
        label=gettext_lazy("旧码由谁签发"),
        max_length=120,
        help_text=gettext_lazy("例如 某某追溯平台、本单位自印标签。公众查旧码时会看到。"),
    )
    codes = Lines(
        label=gettext_lazy("旧码"),
        help_text=gettext_lazy("每行一个，照旧标签写：数字、字母，或二维码里的网址。"),
    )


class OpeningForm(GoodsForm):
    """Stock that was there before records began."""

    product = Pick(label=gettext_lazy("是什么货"), choices=list)
    amount = Text(
        label=gettext_lazy("现有数量"),
        max_length=AMOUNT_MAX,
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
    )
    unit = Pick(label=gettext_lazy("单位"), choices=list)
    place = Pick(label=gettext_lazy("放在哪里"), choices=list, required=False)
    old_lot_code = Text(
        label=gettext_lazy("原来的批号"),
        max_length=60,
        required=False,
        help_text=gettext_lazy("照原来的标签或台账写；没有就不填，系统编一个。"),
    )
    basis = Text(
        label=gettext_lazy("依据"), max_length=200, help_text=gettext_lazy("例如 2026 年 9 月盘点表、旧台账第 12 页。")
    )
    counted_on = Day(label=gettext_lazy("盘点日期"))
    produced_on = Day(label=gettext_lazy("生产日期"), required=False)
    expires_on = Day(label=gettext_lazy("保质期至"), required=False)
    issued_by = Text(label=gettext_lazy("旧码由谁签发"), max_length=120, required=False)
    codes = Lines(
        label=gettext_lazy("旧标签上的码"),
        required=False,
        help_text=gettext_lazy("每行一个。以后有人查旧码，会如实看到它不是本系统签发、由谁在何时带入。"),
    )

    def __init__(self, *args: Any, actor: Actor, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rows = list(own_products(actor).filter(current__isnull=False).order_by("code"))
        self.products = {str(row.uid): row for row in rows}
        products = [("", _("请选择")), *((uid, f"{row} · {row.code}") for uid, row in self.products.items())]
        self.fields["product"].choices = products  # type: ignore[attr-defined]
        self.fields["place"].choices = place_choices(actor)  # type: ignore[attr-defined]
        units = dict.fromkeys(name for row in rows for name in units_of(row))
        self.fields["unit"].choices = [(name, unit_name(name)) for name in units]  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        """What all such forms check, and an issuer where there are old codes."""
        data = super().clean()
        if data.get("codes") and not data.get("issued_by"):
            self.add_error("issued_by", ValidationError(_("请写明旧码由谁签发。"), code="required"))
        return data

    def chosen(self) -> Product:
        """The product picked."""
        return self.products[self.cleaned_data["product"]]

    def moment(self) -> When:
        """When it was counted."""
        return moment_of(self.cleaned_data["counted_on"])


class LinkForm(forms.Form):
    """The credit code of the organisation that joined."""

    uscc = Code(
        normalise_uscc,
        label=gettext_lazy("统一社会信用代码"),
        help_text=gettext_lazy("对方入驻时填的代码，18 位。"),
    )


class DifferenceForm(forms.Form):
    """What the sender says to each line that differs."""

    words = Text(
        label=gettext_lazy("说明"),
        max_length=500,
        multiline=True,
        required=False,
        help_text=gettext_lazy("不认可时必须写明，例如 出库过磅单号、监控时间。"),
    )

    def __init__(self, *args: Any, lines: Sequence[OpenLine], is_sender: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lines = [one for one in lines if not one.settled]
        self.is_sender = is_sender
        for one in self.lines if is_sender else ():
            self.fields[f"answer_{one.line.transfer.pk}"] = Pick(
                label=_("批次 %(lot)s 的差异") % {"lot": one.line.lot.code},
                choices=DifferenceAnswer.Answer.choices,
                widget=forms.RadioSelect,
            )

    def answers(self) -> dict[Any, str]:
        """The answer per transfer; the receiver only comments."""
        disputed = DifferenceAnswer.Answer.DISPUTED
        return {
            one.line.transfer: self.cleaned_data[f"answer_{one.line.transfer.pk}"] if self.is_sender else disputed
            for one in self.lines
        }
