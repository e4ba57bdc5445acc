"""Forms of organisations: application, profile, licences, growers, decisions, regulators."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from trace.actions.organisations import (
    APPLICANT_KINDS,
    Application,
    LicenceInput,
    Profile,
    RecallContact,
    checked_email,
    checked_phone,
)
from trace.actions.people import USERNAME_MAX, NewLogin
from trace.forms.fields import Code, Day, DivisionField, Password, Pick, Text
from trace.identifiers import normalise_cma, normalise_sc_licence, normalise_uscc
from trace.models import Licence, Organisation

KINDS = [("", gettext_lazy("请选择")), *((kind.value, kind.label) for kind in APPLICANT_KINDS)]
USCC_HINT = gettext_lazy("18 位，见营业执照。没有字母 I、O、Z、S、V。")
PHONE_HINT = gettext_lazy("例如 0358-7220000 或 13800000000")


class LoginPart(forms.Form):
    """What a person chooses on first coming in."""

    display_name = Text(label=gettext_lazy("您的姓名"), max_length=60, autocomplete="name")
    username = Text(
        label=gettext_lazy("用户名"),
        max_length=USERNAME_MAX,
        help_text=gettext_lazy("登录时用。可用字母、汉字和数字，不分大小写。"),
        autocomplete="username",
    )
    password = Password(
        label=gettext_lazy("密码"),
        help_text=gettext_lazy("至少 10 个字符，不要全是数字。"),
        autocomplete="new-password",
    )
    password_again = Password(label=gettext_lazy("再输一次密码"), autocomplete="new-password")

    def clean(self) -> dict[str, Any]:
        """Both passwords are the same."""
        data: dict[str, Any] = super().clean() or self.cleaned_data
        first, again = data.get("password"), data.get("password_again")
        if first and again and first != again:
            self.add_error("password_again", forms.ValidationError(_("两次输入的密码不同。"), code="password_differs"))
        return data

    def login(self) -> NewLogin:
        """What the action takes."""
        data = self.cleaned_data
        return NewLogin(data["username"], data["display_name"], data["password"])


class ContactPart(forms.Form):
    """Whom to reach in a recall."""

    contact_name = Text(label=gettext_lazy("召回联系人"), max_length=60, autocomplete="name")
    contact_phone = Code(
        checked_phone, label=gettext_lazy("召回电话"), max_length=40, help_text=PHONE_HINT, autocomplete="tel"
    )
    contact_email = Code(
        checked_email, label=gettext_lazy("召回邮箱"), max_length=254, required=False, autocomplete="email"
    )

    def contact(self) -> RecallContact:
        """What the action takes."""
        data = self.cleaned_data
        return RecallContact(data["contact_name"], data["contact_phone"], data["contact_email"])


CONTACT_FIELDS = {"name": "contact_name", "phone": "contact_phone", "email": "contact_email"}
"""The action's names of a contact's fields and the form's."""


class ApplicationForm(ContactPart, LoginPart):
    """An organisation asks to be let in, with its first person."""

    name = Text(label=gettext_lazy("单位名称"), max_length=120, help_text=gettext_lazy("与营业执照一致"))
    name_en = Text(label=gettext_lazy("英文名称"), max_length=160, required=False)
    kind = Pick(label=gettext_lazy("单位类型"), choices=KINDS)
    uscc = Code(normalise_uscc, label=gettext_lazy("统一社会信用代码"), help_text=USCC_HINT)
    division = DivisionField(
        label=gettext_lazy("所在地"), help_text=gettext_lazy("由当地监管部门审核。汾阳市内请选到乡镇、街道。")
    )
    address = Text(label=gettext_lazy("详细地址"), max_length=200, required=False, autocomplete="street-address")
    sc_number = Code(
        normalise_sc_licence,
        label=gettext_lazy("食品生产许可证编号"),
        required=False,
        help_text=gettext_lazy("SC 加 14 位数字。生产食品的单位填写。"),
    )
    cma_number = Code(
        normalise_cma,
        label=gettext_lazy("检验检测机构资质认定（CMA）编号"),
        required=False,
        help_text=gettext_lazy("12 位数字。检验机构填写。"),
    )

    # The order of the page, which is also the order of the error summary.
    field_order = [
        *("name", "name_en", "kind", "uscc", "division", "address", "sc_number", "cma_number"),
        *("contact_name", "contact_phone", "contact_email"),
        *("display_name", "username", "password", "password_again"),
    ]

    def application(self) -> Application:
        """What the action takes."""
        data = self.cleaned_data
        licences = [
            LicenceInput(kind, data[field])
            for kind, field in ((Licence.Kind.SC, "sc_number"), (Licence.Kind.CMA, "cma_number"))
            if data[field]
        ]
        return Application(
            name=data["name"],
            name_en=data["name_en"],
            kind=data["kind"],
            uscc=data["uscc"],
            division=data["division"],
            address=data["address"],
            licences=licences,
            contact=self.contact(),
            login=self.login(),
        )

    def field_names(self) -> dict[str, str]:
        """The action's names of fields and this form's."""
        licences = [field for field in ("sc_number", "cma_number") if self.cleaned_data.get(field)]
        return {
            **{f"contact.{key}": name for key, name in CONTACT_FIELDS.items()},
            **{f"login.{key}": key for key in ("username", "display_name", "password")},
            **{f"licences.{number}.number": field for number, field in enumerate(licences)},
        }


class AgainForm(forms.Form):
    """A refused applicant asks again."""

    uscc = Code(normalise_uscc, label=gettext_lazy("统一社会信用代码"), help_text=USCC_HINT)
    reason = Text(label=gettext_lazy("补充说明"), max_length=500, multiline=True, required=False)


class ProfileForm(forms.Form):
    """What an organisation may change about itself."""

    name = Text(
        label=gettext_lazy("单位名称"),
        max_length=120,
        help_text=gettext_lazy("更名后，原名称仍会显示在变更记录里。"),
        autocomplete="organization",
    )
    name_en = Text(label=gettext_lazy("英文名称"), max_length=160, required=False)
    address = Text(label=gettext_lazy("详细地址"), max_length=200, required=False, autocomplete="street-address")

    def profile(self) -> Profile:
        """What the action takes."""
        return Profile(**self.cleaned_data)


class LicenceForm(forms.Form):
    """One licence."""

    kind = Pick(label=gettext_lazy("证照类型"), choices=Licence.Kind.choices, widget=forms.RadioSelect)
    number = Text(
        label=gettext_lazy("证照编号"), max_length=100, help_text=gettext_lazy("SC 编号和 CMA 编号会核对格式与校验码。")
    )
    issued_by = Text(
        label=gettext_lazy("发证机关"),
        max_length=120,
        required=False,
        help_text=gettext_lazy("照证照上的全称填写：召回由哪一级主管，按它确定。"),
    )
    valid_until = Day(label=gettext_lazy("有效期至"), required=False)

    def licence(self) -> LicenceInput:
        """What the action takes."""
        return LicenceInput(**self.cleaned_data)


class GrowerForm(forms.Form):
    """A cooperative registers a grower."""

    name = Text(label=gettext_lazy("姓名或家庭农场名称"), max_length=60)
    division = DivisionField(label=gettext_lazy("所在乡镇"))
    address = Text(label=gettext_lazy("村名或地址"), max_length=200, required=False)
    phone = Code(
        checked_phone,
        label=gettext_lazy("电话"),
        max_length=40,
        required=False,
        help_text=gettext_lazy("没有就留空，召回时联系合作社。"),
    )
    uscc = Code(
        normalise_uscc,
        label=gettext_lazy("统一社会信用代码"),
        required=False,
        help_text=gettext_lazy("有营业执照的家庭农场填写，个人不填。"),
    )


class ReasonForm(forms.Form):
    """Why something is decided."""

    reason = Text(label=gettext_lazy("理由"), max_length=500, multiline=True)


class NoteForm(ReasonForm):
    """A remark on a decision, if any."""

    reason = Text(label=gettext_lazy("理由或备注"), max_length=500, multiline=True, required=False)


class RegulatorForm(forms.Form):
    """The installation's operator sets up a regulator."""

    name = Text(label=gettext_lazy("部门名称"), max_length=120)
    name_en = Text(label=gettext_lazy("英文名称"), max_length=160, required=False)
    division = DivisionField(
        label=gettext_lazy("辖区"), counties_up=True, help_text=gettext_lazy("级别（县、市、省）由辖区决定。")
    )
    uscc = Code(normalise_uscc, label=gettext_lazy("统一社会信用代码"), required=False)
    address = Text(label=gettext_lazy("地址"), max_length=200, required=False)
    approver_name = Text(label=gettext_lazy("审批人姓名"), max_length=60)
    officer_name = Text(label=gettext_lazy("经办人姓名"), max_length=60)


class FindForm(forms.Form):
    """A search box over a list of organisations, by name or USCC and by state and kind."""

    q = Text(label=gettext_lazy("名称或统一社会信用代码"), max_length=60, required=False)
    status = Pick(
        label=gettext_lazy("状态"),
        required=False,
        choices=[
            ("", gettext_lazy("全部状态")),
            *((value, label) for value, label in Organisation.Status.choices if value != "external"),
        ],
    )
    kind = Pick(
        label=gettext_lazy("类型"),
        required=False,
        choices=[("", gettext_lazy("全部类型")), *Organisation.Kind.choices],
    )
