"""Pages of an organisation's people and machines: members, invitations, API keys."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from trace.access import actor_of, audience, invitation_for, key_for, keys_of, member_for, members_of
from trace.actions.people import (
    change_role,
    create_api_key,
    end_membership,
    head_role,
    invite_member,
    issue_password_link,
    revoke_api_key,
    revoke_invitation,
)
from trace.exports import asked_format, export
from trace.forms.fields import attempt
from trace.forms.people import InviteForm, KeyForm, RoleForm
from trace.lists import KEYS, MEMBERS
from trace.models import Invitation, Membership
from trace.views.pages import form_page, link_page, once_shown

GET = ["GET", "HEAD"]
FORM = ["GET", "HEAD", "POST"]


@audience("signed_in")
@require_http_methods(GET)
def member_list(request: HttpRequest) -> HttpResponseBase:
    """Members of the organisation and open invitations; the head invites, changes roles and ends memberships."""
    actor = actor_of(request)
    now = timezone.now()
    invitations = Invitation.objects.filter(
        organisation=actor.organisation, used_at=None, revoked_at=None, expires_at__gt=now
    ).select_related("created_by", "user")
    if asked_format(request):
        return export(request, MEMBERS, members_of(actor).order_by("id"))
    context = {
        "members": members_of(actor).order_by("id"),
        "invitations": invitations.order_by("-id")[:50],
        "may_manage": actor.role == head_role(actor.organisation),
        "me": actor.membership,
    }
    return render(request, "trace/people/members.html", context)


@audience("signed_in")
@require_http_methods(FORM)
def member_invite(request: HttpRequest) -> HttpResponse:
    """Invite a person; the answer shows link and QR, once."""
    actor = actor_of(request)
    actor.require(head_role(actor.organisation))
    usual = Membership.Role.OFFICER if actor.is_regulator else Membership.Role.OPERATOR
    form = InviteForm(request.POST or None, organisation=actor.organisation, initial={"role": usual})
    if request.method == "POST" and form.is_valid():
        issued = attempt(form, lambda: invite_member(by=actor, **form.cleaned_data))
        if issued is not None:
            return link_page(
                request,
                issued,
                title=_("邀请已生成"),
                text=_("把链接发给对方，或让对方用手机扫码。链接只显示这一次，只能用一次。"),
                back=reverse("trace:member_list"),
            )
    return form_page(request, form, title=_("邀请成员"), back=reverse("trace:member_list"), submit=_("生成邀请"))


@audience("signed_in")
@require_http_methods(FORM)
def member(request: HttpRequest, uid: uuid.UUID) -> HttpResponse:
    """One member: another role, a new password, the end."""
    actor = actor_of(request)
    found = member_for(actor, uid)
    form = RoleForm(request.POST or None, organisation=actor.organisation, initial={"role": found.role})
    if attempt(form, lambda: change_role(membership=found, by=actor, role=form.cleaned_data["role"])) is not None:
        messages.success(request, _("岗位已更改。"))
        return redirect("trace:member_list")
    return form_page(
        request,
        form,
        title=str(found.user),
        back=reverse("trace:member_list"),
        submit=_("更改岗位"),
        template="trace/people/member.html",
        membership=found,
        may_manage=actor.role == head_role(actor.organisation),
        is_me=actor.membership is not None and actor.membership.pk == found.pk,
    )


@audience("signed_in")
@require_POST
def member_end(request: HttpRequest, uid: uuid.UUID) -> HttpResponse:
    """End a membership; one's own leads to the account."""
    actor = actor_of(request)
    found = member_for(actor, uid)
    end_membership(membership=found, by=actor)
    messages.success(request, _("%(name)s 已不再是本单位成员。") % {"name": found.user})
    if actor.membership is not None and actor.membership.pk == found.pk:
        request.session.pop("membership", None)
        return redirect("trace:account")
    return redirect("trace:member_list")


@audience("signed_in")
@require_POST
def member_password(request: HttpRequest, uid: uuid.UUID) -> HttpResponse:
    """A link by which a member who forgot the password sets a new one."""
    actor = actor_of(request)
    found = member_for(actor, uid)
    return link_page(
        request,
        issue_password_link(membership=found, by=actor),
        title=_("%(name)s 的重设密码链接") % {"name": found.user},
        text=_("请当面或通过可靠的方式交给本人。链接只显示这一次。"),
        back=reverse("trace:member_list"),
    )


@audience("signed_in")
@require_POST
def invitation_revoke(request: HttpRequest, uid: uuid.UUID) -> HttpResponse:
    """Take an open invitation back."""
    actor = actor_of(request)
    revoke_invitation(invitation=invitation_for(actor, uid), by=actor)
    messages.success(request, _("邀请已收回。"))
    return redirect("trace:member_list")


@audience("signed_in")
@require_http_methods(GET)
def key_list(request: HttpRequest) -> HttpResponseBase:
    """The organisation's API keys."""
    actor = actor_of(request)
    actor.require(head_role(actor.organisation))
    if asked_format(request):
        return export(request, KEYS, keys_of(actor).order_by("revoked_at", "-id"))
    return render(request, "trace/people/keys.html", {"keys": keys_of(actor).order_by("revoked_at", "-id")[:200]})


@audience("signed_in")
@require_http_methods(FORM)
def key_new(request: HttpRequest) -> HttpResponse:
    """Make a key; the answer shows its secret, once."""
    actor = actor_of(request)
    actor.require(head_role(actor.organisation))
    form = KeyForm(request.POST or None, organisation=actor.organisation, initial={"role": Membership.Role.VIEWER})
    if request.method == "POST" and form.is_valid():
        issued = attempt(form, lambda: create_api_key(by=actor, **form.cleaned_data))
        if issued is not None:
            return once_shown(render(request, "trace/people/key_made.html", {"issued": issued}))
    return form_page(request, form, title=_("新建 API 密钥"), back=reverse("trace:key_list"), submit=_("生成密钥"))


@audience("signed_in")
@require_POST
def key_revoke(request: HttpRequest, uid: uuid.UUID) -> HttpResponse:
    """End a key at once."""
    actor = actor_of(request)
    revoke_api_key(key=key_for(actor, uid), by=actor)
    messages.success(request, _("密钥已吊销，立即失效。"))
    return redirect("trace:key_list")
