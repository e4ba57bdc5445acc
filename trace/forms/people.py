"""Forms of people: signing in, passwords, invitations, roles, API keys."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.forms import AuthenticationForm, UsernameField
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from trace.actions.people import key_roles_for, roles_for
from trace.forms.fields import Password, Pick, PickSome, Text, shown_again
from trace.forms.organisations import LoginPart
from trace.models import Organisation, User
from trace.scopes import AREAS, SCOPES


class _Name(UsernameField):
    """The user name as typed, shown again without what a page cannot hold."""

    def bound_data(self, data: Any, initial: Any) -> Any:
        """What the page shows again."""
        return shown_again(data)


class SignInForm(AuthenticationForm):
    """User name and password. One sentence for a wrong name and a wrong password, so that names cannot be tried out."""

    username = _Name(label=gettext_lazy("用户名"), max_length=150)
    password = Password(label=gettext_lazy("密码"), autocomplete="current-password")
    error_messages = {
        "invalid_login": gettext_lazy("用户名或密码不对，请重新输入。"),
        "inactive": gettext_lazy("这个账号已停用。"),
    }

    def clean_username(self) -> str:
        """The name as it is kept: telephones like to begin words with a capital."""
        typed: str = self.cleaned_data["username"]
        kept = User.objects.filter(username__iexact=typed).values_list("username", flat=True)[:2]
        return kept[0] if len(kept) == 1 else typed


class JoinForm(LoginPart):
    """A newcomer's login on accepting an invitation."""


class NewPasswordForm(forms.Form):
    """A new password, twice."""

    password = Password(
        label=gettext_lazy("新密码"),
        help_text=gettext_lazy("至少 10 个字符，不要全是数字。"),
        autocomplete="new-password",
    )
    password_again = Password(label=gettext_lazy("再输一次新密码"), autocomplete="new-password")

    def clean(self) -> dict[str, Any]:
        """Both are the same."""
        data: dict[str, Any] = super().clean() or self.cleaned_data
        first, again = data.get("password"), data.get("password_again")
        if first and again and first != again:
            self.add_error("password_again", forms.ValidationError(_("两次输入的密码不同。"), code="password_differs"))
        return data


class ChangePasswordForm(NewPasswordForm):
    """The old password and a new one."""

    old = Password(label=gettext_lazy("现在的密码"), autocomplete="current-password")
    field_order = ["old", "password", "password_again"]


class InviteForm(forms.Form):
    """Whom to invite as what."""

    display_name = Text(label=gettext_lazy("姓名"), max_length=60, required=False)
    role = Pick(label=gettext_lazy("岗位"), widget=forms.RadioSelect)

    def __init__(self, *args: Any, organisation: Organisation, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        role = self.fields["role"]
        assert isinstance(role, Pick)  # noqa: S101  (tells the type checker)
        role.choices = [(one.value, one.label) for one in roles_for(organisation)]


class RoleForm(InviteForm):
    """Another role for a member."""

    display_name = None  # type: ignore[assignment]


class KeyForm(forms.Form):
    """A new API key."""

    name = Text(label=gettext_lazy("名称"), max_length=60, help_text=gettext_lazy("例如用它的系统的名字"))
    role = Pick(label=gettext_lazy("岗位"), widget=forms.RadioSelect)
    scopes = PickSome(
        label=gettext_lazy("权限范围"),
        help_text=gettext_lazy("只勾选用得着的。能写就能读。"),
        choices=lambda: [
            (
                scope,
                (_("%(area)s：读") if scope.endswith("read") else _("%(area)s：写"))
                % {"area": AREAS[scope.partition(":")[0]]},
            )
            for scope in SCOPES
        ],
    )

    def __init__(self, *args: Any, organisation: Organisation, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        role = self.fields["role"]
        assert isinstance(role, Pick)  # noqa: S101  (tells the type checker)
        role.choices = [(one.value, one.label) for one in key_roles_for(organisation)]
