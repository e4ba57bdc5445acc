"""Signing in and out, one's own account, joining by an invitation."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login, update_session_auth_hash
from django.contrib.auth.views import LoginView, LogoutView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from trace.access import audience, growers_entered_for, parse_uid
from trace.actions.people import (
    accept_invitation,
    change_password,
    find_invitation,
    use_password_link,
    use_sign_in_card,
)
from trace.errors import Clash, NotFound
from trace.forms.fields import attempt
from trace.forms.people import ChangePasswordForm, JoinForm, NewPasswordForm, SignInForm
from trace.models import Invitation, Membership, User
from trace.views.pages import signed_in_user

BACKEND = "django.contrib.auth.backends.ModelBackend"
CARD_SESSION = 180 * 24 * 3600
"""A grower who came in by a card stays signed in for half a year, in seconds: the card works once."""


class SignIn(LoginView):
    """User name and password; django-axes counts the failures."""

    template_name = "trace/sign_in.html"
    authentication_form = SignInForm

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """In the demonstration the page lists its log-ins. Django's ``site`` would stand in the way of ours."""
        context = super().get_context_data(**kwargs) | {"demo_logins": demo_logins()}
        return {name: value for name, value in context.items() if name not in ("site", "site_name")}

    def form_invalid(self, form: Any) -> HttpResponse:
        """Show the form again as what it is: not accepted."""
        response = super().form_invalid(form)
        response.status_code = 422
        return response


def demo_logins() -> list[tuple[str, str, str]]:
    """Name, password and what it is for, in the demonstration only; ``DEMO_LOGINS`` names the module that has them."""
    name: str = getattr(settings, "DEMO_LOGINS", "")
    if not settings.DEMO or not name:
        return []
    cast = import_module(name)
    return [(username, cast.PASSWORD, _(who)) for username, who in cast.LOGINS]


sign_in = audience("public")(SignIn.as_view())
sign_out = audience("public")(LogoutView.as_view())


# --- One's own account ----------------------------------------------------------------------------------------------


@audience("signed_in")
@require_http_methods(["GET", "HEAD"])
def account(request: HttpRequest) -> HttpResponse:
    """Who I am, for which organisations I act, and for which growers I may enter."""
    user = signed_in_user(request)
    actor = getattr(request, "actor", None)
    memberships = (
        Membership.objects.filter(user=user, ended_at=None)
        .select_related("organisation")
        .order_by("organisation__name")
    )
    growers = growers_entered_for(actor).order_by("name")[:200] if actor else []
    context = {"memberships": memberships, "growers": growers, "account": user}
    return render(request, "trace/account/account.html", context)


@audience("signed_in")
@require_POST
def switch(request: HttpRequest) -> HttpResponse:
    """Act for another of one's organisations from now on."""
    membership = _own_membership(request, request.POST.get("membership", ""))
    request.session["membership"] = str(membership.uid)
    request.session.pop("on_behalf_of", None)
    messages.success(request, _("现在代表 %(name)s。") % {"name": membership.organisation.label})
    return redirect("/")


def _own_membership(request: HttpRequest, uid: str) -> Membership:
    """One of the user's open memberships, or 404."""
    membership = (
        Membership.objects.filter(user=signed_in_user(request), ended_at=None, uid=parse_uid(uid))
        .select_related("organisation")
        .first()
    )
    if membership is None:
        raise NotFound(_("没有找到，或者您无权查看。"))
    return membership


@sensitive_post_parameters()
@audience("signed_in")
@require_http_methods(["GET", "HEAD", "POST"])
def password(request: HttpRequest) -> HttpResponse:
    """Change one's password; other sessions end."""
    user = signed_in_user(request)
    form: NewPasswordForm
    form = ChangePasswordForm(request.POST or None)
    if not user.has_usable_password():
        form.fields.pop("old")
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        done = attempt(
            form,
            lambda: change_password(user=user, old=data.get("old", ""), new=data["password"]),
            {"new": "password"},
        )
        if done is not None:
            update_session_auth_hash(request, done)
            messages.success(request, _("密码已更改。其他设备上的登录已失效。"))
            return redirect("trace:account")
    return render(request, "trace/account/password.html", {"form": form}, status=422 if form.errors else 200)


# --- Joining --------------------------------------------------------------------------------------------------------


@sensitive_post_parameters()
@never_cache
@audience("public")
@require_http_methods(["GET", "HEAD", "POST"])
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    """What an invitation's link opens. Looking at it changes nothing: chat programs fetch links by themselves."""
    found = find_invitation(token)
    if found.user is None:
        return _join(request, token, found)
    if found.user.has_usable_password():
        return _new_password(request, token, found)
    if request.method == "POST":
        return _enter(request, use_sign_in_card(token=token), CARD_SESSION)
    return render(request, "trace/account/card_entry.html", {"invitation": found})


def _join(request: HttpRequest, token: str, found: Invitation) -> HttpResponse:
    """Accept as who is signed in, or with a new login."""
    user = request.user if isinstance(request.user, User) else None
    fresh = user is None or "new_login" in request.POST
    form = JoinForm(request.POST or None, initial={"display_name": found.display_name}) if fresh else None
    if request.method == "POST":
        if form is None:
            return _enter(request, accept_invitation(token=token, user=user), None)
        if form.is_valid():
            made = attempt(form, lambda: accept_invitation(token=token, login=form.login()))
            if made is not None:
                return _enter(request, made, None)
    context = {"invitation": found, "form": form}
    return render(request, "trace/account/join.html", context, status=422 if form is not None and form.errors else 200)


def _new_password(request: HttpRequest, token: str, found: Invitation) -> HttpResponse:
    """Set a new password by a link from the organisation's head."""
    form = NewPasswordForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        done = attempt(form, lambda: use_password_link(token=token, password=form.cleaned_data["password"]))
        if done is not None:
            messages.success(request, _("新密码已设置。"))
            return _enter(request, done, None)
    context = {"invitation": found, "form": form}
    return render(request, "trace/account/new_password.html", context, status=422 if form.errors else 200)


def _enter(request: HttpRequest, membership: Membership, seconds: int | None) -> HttpResponse:
    """Sign in as the member (who may be signed in already) and act for the organisation joined."""
    if not membership.user.is_active:
        raise Clash(_("这个账号已停用。"), code="account_disabled")
    if request.user != membership.user:
        login(request, membership.user, backend=BACKEND)
    request.session["membership"] = str(membership.uid)
    request.session.pop("on_behalf_of", None)
    if seconds is not None:
        request.session.set_expiry(seconds)
    messages.success(request, _("您好，%(name)s。") % {"name": membership.user})
    return redirect("/")
