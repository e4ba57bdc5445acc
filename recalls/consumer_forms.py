"""What consumers fill in, and what the people who answer them fill in. The rules lie in the actions."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from recalls.actions.cases import CODE_MAX, CONTACT_MAX, PIECES_MAX, REPLY_MAX, WORDS_MAX, Photo, Told
from recalls.actions.subscriptions import channels
from recalls.models import CasePhoto, ConsumerCase, ServiceTarget, Subscription
from recalls.plausible import flag_words
from trace.forms.fields import REQUIRED, Day, Pick, Text, shown_again
from trace.models import Product
from trace.text import fold_width


class Money(forms.Field):
    """An amount in yuan with at most two decimals; cleans to cents, or None where blank."""

    def to_python(self, value: Any) -> Any:
        """Cents."""
        text = fold_width(str(value or "")[:30]).strip().replace(",", "").removeprefix("¥").removeprefix("￥")
        if not text:
            return None
        try:
            amount = Decimal(text)
            cents = amount * 100
            if not amount.is_finite() or cents != cents.to_integral_value() or not 0 <= cents <= 10**12:
                raise InvalidOperation
        except InvalidOperation:
            raise ValidationError(_("请按 58 或 58.50 的样子填写金额。"), code="amount_range") from None
        return int(cents)

    def bound_data(self, data: Any, initial: Any) -> Any:
        """What the page shows again."""
        return shown_again(data)


class Picture(forms.FileField):
    """A photograph from the phone; looked at by the action."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            required=False, allow_empty_file=True, widget=forms.FileInput(attrs={"accept": "image/*"}), **kwargs
        )


class ToldFields(forms.Form):
    """The fields a complaint and a claim share: photographs, contact, and consent apart from everything else."""

    photo = Picture(
        label=gettext_lazy("商品和标签的照片"), help_text=gettext_lazy("拍照或选一张图片；拍摄地点等信息会去掉。")
    )
    receipt = Picture(
        label=gettext_lazy("购买凭证的照片"), help_text=gettext_lazy("小票、订单截图都可以；没有也能提交。")
    )
    contact = Text(
        label=gettext_lazy("联系方式"),
        required=False,
        max_length=CONTACT_MAX,
        help_text=gettext_lazy("电话或邮箱，加密保存。不想留可以不填：凭回执号就能看到答复。"),
    )
    consent = forms.BooleanField(
        label=gettext_lazy("同意保存我的联系方式，只用来答复这件事；办结后按期删除，我也可以随时一键删除"),
        required=False,
    )
    share = forms.BooleanField(
        label=gettext_lazy("同意把联系方式交给生产者（不勾选的，只有监管部门能看到）"), required=False
    )

    def told(self) -> Told:
        """What was said, for the action."""
        data = self.cleaned_data
        photos = [
            Photo(data[name].name, data[name], what)
            for name, what in (("photo", CasePhoto.What.GOODS), ("receipt", CasePhoto.What.RECEIPT))
            if data.get(name)
        ]
        return Told(
            words=data.get("words", ""),
            contact=data["contact"],
            consent=data["consent"],
            share=data["share"],
            shop=data.get("shop", ""),
            bought_on=data.get("bought_on"),
            photos=photos,
        )


class ClaimForm(ToldFields):
    """A claim in an announced recall, for the goods with one code."""

    word = forms.CharField(widget=forms.HiddenInput, max_length=300, required=False)
    code = Text(
        label=gettext_lazy("标签上的码"),
        max_length=CODE_MAX,
        help_text=gettext_lazy("二维码旁边的字符，12 位；分不清 0 和 O、1 和 I 没有关系。"),
    )
    remedy = Pick(label=gettext_lazy("您的要求"), choices=ConsumerCase.Remedy.choices, widget=forms.RadioSelect)
    pieces = forms.IntegerField(
        label=gettext_lazy("件数"), min_value=1, max_value=PIECES_MAX, initial=1, error_messages=REQUIRED
    )
    shop = Text(label=gettext_lazy("在哪里买的"), required=False, max_length=100)
    bought_on = Day(label=gettext_lazy("购买日期"), required=False)
    price = Money(label=gettext_lazy("价款（元）"), required=False)
    harm = forms.BooleanField(label=gettext_lazy("食用或使用后身体不适或受到伤害"), required=False)
    words = Text(label=gettext_lazy("其他要说明的"), required=False, max_length=WORDS_MAX, multiline=True)
    field_order = [
        "word",
        "code",
        "remedy",
        "pieces",
        "price",
        "shop",
        "bought_on",
        "harm",
        "words",
        "photo",
        "receipt",
        "contact",
        "consent",
        "share",
    ]

    def __init__(self, *args: Any, track: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if track != Product.Track.CONSUMER:
            # Food is not repaired.
            kept = [one for one in ConsumerCase.Remedy.choices if one[0] != ConsumerCase.Remedy.REPAIR]
            self.fields["remedy"].choices = kept  # type: ignore[attr-defined]


class SubscribeForm(forms.Form):
    """Who wants to be told of which recalls. Consent stands apart."""

    word = forms.CharField(widget=forms.HiddenInput, max_length=300, required=False)
    scope = Pick(label=gettext_lazy("哪些召回"), widget=forms.RadioSelect)
    channel = Pick(label=gettext_lazy("怎样告诉您"), widget=forms.RadioSelect, initial=Subscription.Channel.EMAIL)
    address = Text(label=gettext_lazy("邮箱或手机号码"), max_length=254)
    consent = forms.BooleanField(
        label=gettext_lazy("同意保存这个地址，只用来发召回提醒；可以随时一键取消，取消时地址立即删除"), required=False
    )

    def __init__(self, *args: Any, scopes: list[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["scope"].choices = scopes  # type: ignore[attr-defined]
        self.fields["channel"].choices = ways = channels()  # type: ignore[attr-defined]
        if len(ways) == 1:
            self.fields["channel"] = forms.CharField(widget=forms.HiddenInput, initial=ways[0][0])
            self.fields["address"].label = gettext_lazy("电子邮箱")


class ReceiptForm(forms.Form):
    """A receipt number, typed."""

    number = Text(label=gettext_lazy("回执号"), max_length=40)


class ReplyForm(forms.Form):
    """What the consumer will read."""

    words = Text(label=gettext_lazy("答复"), max_length=REPLY_MAX, multiline=True)


class AcceptForm(forms.Form):
    """That a claim is accepted, and what happens next."""

    words = Text(
        label=gettext_lazy("告诉申请人"),
        required=False,
        max_length=REPLY_MAX,
        multiline=True,
        help_text=gettext_lazy("例如：寄回地址、上门时间。"),
    )


class SettleForm(forms.Form):
    """How a claim was carried out and who paid."""

    payer = Pick(label=gettext_lazy("由谁赔付"), choices=ConsumerCase.Payer.choices, widget=forms.RadioSelect)
    payer_name = Text(
        label=gettext_lazy("支付的单位"),
        required=False,
        max_length=120,
        help_text=gettext_lazy("经营者或先行赔付的，写明是哪个单位。"),
    )
    paid = Money(label=gettext_lazy("金额（元）"), required=False)
    words = Text(label=gettext_lazy("告诉申请人"), required=False, max_length=REPLY_MAX, multiline=True)


class HandOverForm(forms.Form):
    """To whom a case goes, and why."""

    to = Text(
        label=gettext_lazy("统一社会信用代码"),
        max_length=18,
        help_text=gettext_lazy("转给已入驻的单位，例如先被要求赔付的经营者。"),
    )
    reason = Text(label=gettext_lazy("理由"), max_length=300, multiline=True)


class TargetForm(forms.Form):
    """A new aim for one kind of case."""

    key = Pick(label=gettext_lazy("事项"), choices=ServiceTarget.Key.choices)
    hours = forms.IntegerField(label=gettext_lazy("小时"), min_value=1, max_value=87_600, error_messages=REQUIRED)
    reason = Text(label=gettext_lazy("理由"), max_length=300, multiline=True)


class WarningForm(forms.Form):
    """A risk warning's items."""

    title = Text(label=gettext_lazy("标题"), max_length=120)
    goods = Text(label=gettext_lazy("涉及的产品"), max_length=300, multiline=True)
    text = Text(label=gettext_lazy("风险是什么"), max_length=2000, multiline=True)
    advice = Text(label=gettext_lazy("公众应当怎么做"), max_length=1000, multiline=True)
    area = Text(label=gettext_lazy("影响区域"), max_length=200)
    basis = Text(label=gettext_lazy("依据"), max_length=500, multiline=True)


def flags_words(case: ConsumerCase) -> list[str]:
    """What is implausible about a claim, in words."""
    return [flag_words(code) for code in case.flags]
