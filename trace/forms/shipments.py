"""Forms of goods changing hands: who, which lots, how much, when."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.forms.boundfield import BoundField
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from trace.access import own_places, own_products
from trace.actions.events import Portion, When
from trace.actions.organisations import APPLICANT_KINDS, RecallContact, checked_email, checked_phone
from trace.actor import Actor
from trace.errors import Invalid
from trace.event_templates import template
from trace.forms.fields import REQUIRED, Code, Day, DivisionField, Pick, Text, shown_again
from trace.identifiers import normalise_captured_lot_code, normalise_uscc
from trace.models import Lot, Organisation, Place, Product
from trace.packs import sizes_of
from trace.shipping import Holding, Line, sent_again, unit_choices
from trace.text import fold_width
from trace.units import EnteredAmount, format_amount, parse_amount, unit_name, units_for

AMOUNT_MAX = 40
_EARLIEST = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)


class Moment(forms.DateTimeField):
    """A moment here (Asia/Shanghai) to the minute, by the browser's picker or typed as 2026-11-22 14:05."""

    default_error_messages = {
        **REQUIRED,
        "invalid": gettext_lazy("没有这个时间，请按 2026-11-22 14:05 的样子填写。"),
    }

    def to_python(self, value: Any) -> datetime.datetime | None:
        """The aware instant, or None where blank; full-width digits are understood."""
        if isinstance(value, str):
            value = fold_width(value[:40]).strip().replace("/", "-")
        found = super().to_python(value)
        if found is not None and not (_EARLIEST <= found <= timezone.now() + datetime.timedelta(days=366)):
            raise ValidationError(self.error_messages["invalid"], code="invalid")
        return found

    def bound_data(self, data: Any, initial: Any) -> Any:
        """What the page shows again."""
        return shown_again(data)


def minute_now() -> datetime.datetime:
    """This minute here, as the default of a form."""
    return timezone.localtime().replace(second=0, microsecond=0)


def place_choices(actor: Actor) -> list[tuple[str, str]]:
    """The actor's places for a select."""
    rows = own_places(actor).order_by("name")
    return [("", _("不填")), *((str(row.uid), row.label) for row in rows)]


class PartyForm(forms.Form):
    """A buyer or supplier outside the system: who, and how a recall reaches them."""

    name = Text(label=gettext_lazy("名称"), max_length=120, help_text=gettext_lazy("单位名称，或个体户、个人的称呼"))
    kind = Pick(
        label=gettext_lazy("类型"),
        choices=[("", gettext_lazy("请选择")), *((kind.value, kind.label) for kind in APPLICANT_KINDS)],
    )
    division = DivisionField(label=gettext_lazy("所在地"))
    address = Text(
        label=gettext_lazy("地址"),
        max_length=200,
        required=False,
        help_text=gettext_lazy("地址、电话、邮箱至少填一项，召回时靠它通知到对方。"),
    )
    contact_name = Text(label=gettext_lazy("联系人"), max_length=60, required=False)
    contact_phone = Code(checked_phone, label=gettext_lazy("电话"), max_length=40, required=False)
    contact_email = Code(checked_email, label=gettext_lazy("邮箱"), max_length=254, required=False)
    uscc = Code(
        normalise_uscc,
        label=gettext_lazy("统一社会信用代码"),
        required=False,
        help_text=gettext_lazy("知道就填；将来对方入驻时能对上。"),
    )

    def contact(self) -> RecallContact:
        """What the action takes."""
        data = self.cleaned_data
        return RecallContact(data["contact_name"], data["contact_phone"], data["contact_email"])


PARTY_FIELDS = {f"contact.{key}": f"contact_{key}" for key in ("name", "phone", "email")}
"""The action's names of a contact's fields and this form's."""


@dataclass(frozen=True)
class AmountRow:
    """One lot's row in a form, for the page: its bound fields and what is known of it."""

    lot: Lot
    amount: BoundField
    unit: BoundField
    place: BoundField | None = None
    alias: BoundField | None = None
    line: Line | None = None
    holding: Holding | None = None


class AmountsForm(forms.Form):
    """An amount and a unit for each of some lots; subclasses say when and where."""

    def add_amount(self, prefix: str, lot: Lot, *, amount: str = "", unit: str = "", required: bool = True) -> None:
        """Add the two fields of one lot."""
        units = unit_choices(lot, unit)
        self.fields[f"amount_{prefix}"] = Text(
            label=_("批次 %(lot)s 的数量") % {"lot": lot.code},
            max_length=AMOUNT_MAX,
            initial=amount,
            required=required,
            widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
        )
        self.fields[f"unit_{prefix}"] = Pick(
            label=_("批次 %(lot)s 的单位") % {"lot": lot.code},
            choices=[(name, unit_name(name)) for name in units],
            initial=units[0],
        )

    def clean_amount(self, prefix: str, lot: Lot, *, allow_zero: bool = False) -> EnteredAmount | None:
        """The amount typed for one lot in exact millionths; None where it was refused (the field then says why)."""
        text, unit = self.cleaned_data.get(f"amount_{prefix}"), self.cleaned_data.get(f"unit_{prefix}")
        if not text or not unit:
            return None
        product = lot.product
        try:
            return parse_amount(text, unit, product.base_unit, sizes_of(lot), allow_zero=allow_zero)
        except Invalid as error:
            self.add_error(f"amount_{prefix}", ValidationError(error.message, code=error.code))
            return None


class LotsForm(AmountsForm):
    """How much of each chosen lot, when and where: shipping and taking back."""

    when = Moment(label=gettext_lazy("发货时间"))
    remark = Text(label=gettext_lazy("备注"), max_length=500, multiline=True, required=False)

    def __init__(self, *args: Any, holdings: Sequence[Holding], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.holdings = list(holdings)
        self.fields["when"].initial = minute_now()
        for holding in self.holdings:
            prefix = str(holding.lot.pk)
            self.add_amount(prefix, holding.lot)
            if len(holding.places) > 1:
                self.fields[f"place_{prefix}"] = Pick(
                    label=_("从哪里发"),
                    required=False,
                    choices=[
                        (str(place.uid) if place else "", self._place_words(holding.lot, place, micros))
                        for place, micros in holding.places
                    ],
                )

    @staticmethod
    def _place_words(lot: Lot, place: Place | None, micros: int) -> str:
        """A place and how much lies there."""
        return f"{place.label if place else _('未填地点')} · {format_amount(micros, lot.product.base_unit)}"

    def rows(self) -> list[AmountRow]:
        """One row per lot for the page."""
        return [
            AmountRow(
                lot=holding.lot,
                amount=self[f"amount_{holding.lot.pk}"],
                unit=self[f"unit_{holding.lot.pk}"],
                place=self[f"place_{holding.lot.pk}"] if len(holding.places) > 1 else None,
                holding=holding,
            )
            for holding in self.holdings
        ]

    def clean(self) -> dict[str, Any]:
        """Amounts become exact."""
        data: dict[str, Any] = super().clean() or self.cleaned_data
        self.portions = [self._portion(holding) for holding in self.holdings]
        return data

    def _portion(self, holding: Holding) -> Portion:
        """One lot's portion, from the place chosen (or the only one)."""
        chosen = self.cleaned_data.get(f"place_{holding.lot.pk}", "")
        places = {str(place.uid): place for place, _micros in holding.places if place is not None}
        place = places.get(chosen)
        return Portion(lot=holding.lot, amount=self.clean_amount(str(holding.lot.pk), holding.lot), place=place)

    def moment(self) -> When:
        """When it happened."""
        return When(self.cleaned_data["when"])


class ShipForm(LotsForm):
    """A shipment: amounts, when, and what the slip says besides."""

    waybill = Text(label=gettext_lazy("运单号"), max_length=60, required=False)
    carrier = Pick(label=gettext_lazy("承运人"), choices=list, required=False)
    vehicle = Text(
        label=gettext_lazy("车牌"), max_length=20, required=False, help_text=gettext_lazy("单独加密保存，不会公开。")
    )
    market = Pick(
        label=gettext_lazy("销售市场"),
        required=False,
        choices=lambda: [("", _("不填")), *_template_choices("common.ship", "market")],
    )
    field_order = ["when", "waybill", "carrier", "vehicle", "market", "remark"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        carriers = Organisation.objects.vetted().filter(kind=Organisation.Kind.CARRIER).order_by("name")[:200]
        choices = [("", _("自送或不填")), *((str(row.uid), row.label) for row in carriers)]
        self.fields["carrier"].choices = choices  # type: ignore[attr-defined]

    def data_fields(self) -> dict[str, str]:
        """The template's fields that were filled in."""
        return {
            key: self.cleaned_data[key]
            for key in ("waybill", "carrier", "vehicle", "market")
            if self.cleaned_data.get(key)
        }


class TakeBackForm(LotsForm):
    """Goods that came back."""

    when = Moment(label=gettext_lazy("收到退货的时间"))
    place = Pick(label=gettext_lazy("放在哪里"), choices=list, required=False)
    field_order = ["when", "place", "remark"]

    def __init__(self, *args: Any, actor: Actor, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["place"].choices = place_choices(actor)  # type: ignore[attr-defined]


def _template_choices(code: str, key: str) -> list[tuple[str, str]]:
    """The choices of a template's field in the reader's language."""
    field = template(code).field(key)
    return [(choice.value, choice.label()) for choice in field.choices] if field is not None else []


class SlipForm(AmountsForm):
    """What arrived of each line of a slip, and on which day: for who answers without an account."""

    arrived_on = Day(label=gettext_lazy("收货日期"))
    remark = Text(
        label=gettext_lazy("说明"),
        max_length=500,
        multiline=True,
        required=False,
        help_text=gettext_lazy("例如 少一箱、破损两瓶。"),
    )

    def __init__(self, *args: Any, lines: Sequence[Line], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lines = list(lines)
        self.fields["arrived_on"].initial = timezone.localdate()
        for line in self.lines:
            amount, unit = sent_again(line)
            self.add_amount(str(line.transfer.pk), line.lot, amount=amount, unit=unit)

    def rows(self) -> list[AmountRow]:
        """One row per line for the page."""
        return [
            AmountRow(
                lot=line.lot,
                amount=self[f"amount_{line.transfer.pk}"],
                unit=self[f"unit_{line.transfer.pk}"],
                alias=self[f"alias_{line.transfer.pk}"] if f"alias_{line.transfer.pk}" in self.fields else None,
                line=line,
            )
            for line in self.lines
        ]

    def clean(self) -> dict[str, Any]:
        """Amounts become exact; zero says that nothing arrived."""
        data: dict[str, Any] = super().clean() or self.cleaned_data
        self.received = {
            line.transfer: amount
            for line in self.lines
            if (amount := self.clean_amount(str(line.transfer.pk), line.lot, allow_zero=True)) is not None
        }
        return data

    def moment(self) -> When:
        """Now for today; for an earlier day, that day."""
        return moment_of(self.cleaned_data["arrived_on"])


def moment_of(day: datetime.date) -> When:
    """Now for today; for another day only that day is known."""
    if day == timezone.localdate():
        return When(timezone.now())
    return When(timezone.make_aware(datetime.datetime.combine(day, datetime.time(12))), precision="day")


class ReceiptForm(SlipForm):
    """A receipt by a member: also where the goods were put, own lot codes and the result of the incoming check."""

    place = Pick(label=gettext_lazy("放在哪里"), choices=list, required=False)
    inspection_result = Pick(
        label=gettext_lazy("进货查验结论"),
        choices=lambda: _template_choices("common.receive", "inspection_result"),
        initial="合格",
        widget=forms.RadioSelect,
    )
    doc_no = Text(label=gettext_lazy("对方单据号"), max_length=60, required=False)
    field_order = ["arrived_on", "place", "inspection_result", "doc_no", "remark"]

    def __init__(
        self, *args: Any, actor: Actor, lines: Sequence[Line], place: Place | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, lines=lines, **kwargs)
        self.fields["place"].choices = place_choices(actor)  # type: ignore[attr-defined]
        self.fields["place"].initial = str(place.uid) if place is not None else ""
        for line in self.lines:
            self.fields[f"alias_{line.transfer.pk}"] = Code(
                normalise_captured_lot_code,
                label=_("本单位批号"),
                required=False,
                help_text=_("本单位另有批号时填写，以后用哪个批号都能查到。"),
            )

    def aliases(self) -> dict[Any, str]:
        """The receiver's own codes by transfer."""
        return {line.transfer: self.cleaned_data.get(f"alias_{line.transfer.pk}", "") for line in self.lines}

    def data_fields(self) -> dict[str, str]:
        """The template's fields."""
        return {key: self.cleaned_data[key] for key in ("inspection_result", "doc_no") if self.cleaned_data.get(key)}


class GoodsForm(forms.Form):
    """What forms of goods that enter the books have in common: one of our products, an amount of it, its dates."""

    products: dict[str, Product]

    def clean(self) -> dict[str, Any]:
        """The amount in the product's base unit; dates in their order."""
        data: dict[str, Any] = super().clean() or self.cleaned_data
        product = self.products.get(data.get("product", ""))
        self.entered: EnteredAmount | None = None
        if product is not None and data.get("amount") and data.get("unit"):
            packs = product.current.packs if product.current else {}
            try:
                self.entered = parse_amount(data["amount"], data["unit"], product.base_unit, packs)
            except Invalid as error:
                name = "unit" if error.code == "unit_unknown" else "amount"
                self.add_error(name, ValidationError(error.message, code=error.code))
        made, ends = data.get("produced_on"), data.get("expires_on")
        if made and ends and ends < made:
            self.add_error("expires_on", ValidationError(_("保质期不能早于生产日期。"), code="expires_before_made"))
        return data


class IntakeForm(GoodsForm):
    """Goods of a supplier that came without a slip of this system (食品安全法 art. 50)."""

    product = Pick(label=gettext_lazy("是什么货"), choices=list, help_text=gettext_lazy("本单位登记的原料或商品。"))
    supplier_lot = Text(
        max_length=60,
        label=gettext_lazy("供货方的批号"),
        help_text=gettext_lazy("照包装或送货单写；没有批号就写生产日期，例如 20260815。"),
    )
    amount = Text(
        label=gettext_lazy("数量"),
        max_length=AMOUNT_MAX,
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
    )
    unit = Pick(label=gettext_lazy("单位"), choices=list)
    arrived_on = Day(label=gettext_lazy("进货日期"))
    place = Pick(label=gettext_lazy("放在哪里"), choices=list, required=False)
    inspection_result = Pick(
        label=gettext_lazy("进货查验结论"),
        choices=lambda: _template_choices("common.receive", "inspection_result"),
        initial="合格",
        widget=forms.RadioSelect,
    )
    origin = DivisionField(
        label=gettext_lazy("产地"),
        required=False,
        help_text=gettext_lazy("农产品和粮食写长在哪里，到乡镇最好。产品声明地理标志时按它核对。"),
    )
    produced_on = Day(label=gettext_lazy("生产日期"), required=False)
    expires_on = Day(label=gettext_lazy("保质期至"), required=False)
    doc_no = Text(label=gettext_lazy("单据号"), max_length=60, required=False)
    remark = Text(label=gettext_lazy("备注"), max_length=500, multiline=True, required=False)

    def __init__(self, *args: Any, actor: Actor, product: Product | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.actor = actor
        rows = list(own_products(actor).filter(current__isnull=False).order_by("code"))
        groups = []
        for kind in Product.Kind:
            found = [(str(row.uid), f"{row} · {row.code}") for row in rows if row.kind == kind]
            groups += [(kind.label, found)] if found else []
        self.fields["product"].choices = [("", _("请选择")), *groups]  # type: ignore[attr-defined]
        self.fields["place"].choices = place_choices(actor)  # type: ignore[attr-defined]
        self.fields["arrived_on"].initial = timezone.localdate()
        units = dict.fromkeys(name for row in rows for name in units_of(row))
        self.fields["unit"].choices = [(name, unit_name(name)) for name in units]  # type: ignore[attr-defined]
        self.products = {str(row.uid): row for row in rows}
        if product is not None:
            self.fields["product"].initial = str(product.uid)
            self.fields["unit"].initial = next(iter(units_of(product)))

    def chosen(self) -> Product:
        """The product picked."""
        return self.products[self.cleaned_data["product"]]

    def moment(self) -> When:
        """When the goods came."""
        return moment_of(self.cleaned_data["arrived_on"])

    def data_fields(self) -> dict[str, str]:
        """The template's fields."""
        given = {key: self.cleaned_data[key] for key in ("inspection_result", "doc_no") if self.cleaned_data.get(key)}
        origin = self.cleaned_data.get("origin")
        return {**given, **({"origin": origin.pk} if origin is not None else {})}


def units_of(product: Product) -> list[str]:
    """Units of a product's amounts, its packs first."""
    packs = product.current.packs if product.current else {}
    return list(dict.fromkeys([*packs, *(name for name, _factor in units_for(product.base_unit))]))
