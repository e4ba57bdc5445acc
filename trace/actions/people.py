"""Who may sign in and as what: logins, memberships, invitations, sign-in cards, API keys."""

from __future__ import annotations

import datetime
import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from django.contrib.auth.password_validation import validate_password
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from trace.actor import Actor
from trace.edits import log_edit
from trace.errors import Clash, Invalid, NotAllowed, NotFound, StaleState
from trace.gather import Gather, unique
from trace.models import ApiKey, Invitation, Membership, Organisation, User
from trace.scopes import checked_scopes
from trace.text import clean_text

Role = Membership.Role
MEMBER_ROLES = (Role.OWNER, Role.QUALITY, Role.OPERATOR, Role.VIEWER)
REGULATOR_ROLES = (Role.APPROVER, Role.OFFICER, Role.VIEWER)
KEY_ROLES = (Role.OPERATOR, Role.VIEWER)
REGULATOR_KEY_ROLES = (Role.OFFICER, Role.VIEWER)
INVITED_FOR = datetime.timedelta(days=7)
CARD_FOR = datetime.timedelta(days=30)
USERNAME_MAX = 60
PASSWORD_MAX = 128
"""Hashing megabytes of "password" would only cost the server time."""


@dataclass(frozen=True)
class NewLogin:
    """What a person chooses on first coming in."""

    username: str
    display_name: str
    password: str


@dataclass(frozen=True)
class IssuedInvitation:
    """An invitation with its token, which is shown now and never again."""

    invitation: Invitation
    token: str


@dataclass(frozen=True)
class IssuedKey:
    """An API key with its secret, which is shown now and never again."""

    key: ApiKey
    secret: str


# --- Logins ---------------------------------------------------------------------------------------------------------


@transaction.atomic
def create_login(*, login: NewLogin) -> User:
    """A new user with a password.

    Refuses (``FieldErrors``): a name of other than letters, digits and ``@ . + - _`` (``username_characters``), one
    that is taken whatever its case (``username_taken``), weak passwords (``password_weak``).
    """
    check = Gather()
    username = check("username", _checked_username, login.username)
    display_name = check("display_name", clean_text, login.display_name, 60, required=True)
    check("password", _check_password, login.password, User(username=username or "", display_name=display_name or ""))
    check.done()
    with unique("username", _username_taken()):
        return User.objects.create_user(username, password=login.password, display_name=display_name)


@transaction.atomic
def change_password(*, user: User, old: str, new: str) -> User:
    """Set a new password; every other session of the user ends. Refuses ``password_wrong``, ``password_weak``.

    A user who came in by a sign-in card and has no password yet sets the first one without an old one.
    """
    check = Gather()
    if user.has_usable_password() and not user.check_password(clean_password(old)):
        check.refuse("old", Invalid(_("现在的密码不对，请重新输入。"), code="password_wrong"))
    check("new", _check_password, new, user)
    check.done()
    user.set_password(new)
    user.save(update_fields=["password"])
    return user


def clean_password(value: object) -> str:
    """The text of a password as typed; refuses what is no text, NUL and surrogates, and more than 128 characters.

    Spaces around a password belong to it.
    """
    if not isinstance(value, str):
        raise Invalid(_("这里应当是文字。"), code="text_not_text")
    clean_text(value.replace("\n", " "), PASSWORD_MAX)
    return value


def _check_password(password: str, user: User) -> None:
    clean_password(password)
    if not password:
        raise Invalid(_("请填写密码。"), code="required")
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise Invalid(" ".join(error.messages), code="password_weak") from error


def _checked_username(value: str) -> str:
    username = User.normalize_username(clean_text(value, USERNAME_MAX, required=True))
    try:
        UnicodeUsernameValidator()(username)
    except ValidationError as error:
        raise Invalid(_("用户名只能用字母、汉字、数字和 @ . + - _ 这些符号。"), code="username_characters") from error
    if User.objects.filter(username__iexact=username).exists():
        raise _username_taken()
    return username


def _username_taken() -> Invalid:
    return Invalid(_("这个用户名已有人使用，请换一个。"), code="username_taken")


# --- Memberships ----------------------------------------------------------------------------------------------------


def roles_for(organisation: Organisation) -> tuple[Membership.Role, ...]:
    """The roles that members of this organisation can hold."""
    return REGULATOR_ROLES if organisation.kind == Organisation.Kind.REGULATOR else MEMBER_ROLES


def head_role(organisation: Organisation) -> Membership.Role:
    """The role that manages members: 负责人, in a regulator 监管审批. An organisation is never left without one."""
    return Role.APPROVER if organisation.kind == Organisation.Kind.REGULATOR else Role.OWNER


def _require_head(by: Actor) -> None:
    """Members, invitations and keys are the head's business."""
    by.require(head_role(by.organisation))


def add_member(*, organisation: Organisation, user: User, role: str, at: datetime.datetime | None = None) -> Membership:
    """Begin a membership. Refuses who is a member already (``already_member``) and roles not of this kind."""
    _check_role(organisation, role)
    if Membership.objects.filter(user=user, organisation=organisation, ended_at=None).exists():
        raise Clash(_("您已经是这个单位的成员。"), code="already_member")
    return Membership.objects.create(user=user, organisation=organisation, role=role)


def _check_role(organisation: Organisation, role: str) -> None:
    if role not in [str(allowed) for allowed in roles_for(organisation)]:
        raise Invalid(_("本单位没有这个岗位，请从列表中选择。"), code="role_unknown")


@transaction.atomic
def change_role(*, membership: Membership, role: str, by: Actor, at: datetime.datetime | None = None) -> Membership:
    """Give a member another role. Refuses the last head (``last_owner``) and other kinds' roles (``role_unknown``)."""
    _require_head(by)
    _same_organisation(membership, by)
    _check_role(membership.organisation, role)
    old = _lock(membership)
    if old.role == role:
        return old
    _keep_a_head(old)
    moved = Membership.objects.filter(pk=old.pk, role=old.role, ended_at=None).update(role=role)
    if not moved:
        raise StaleState(_("该成员刚刚被别人更改，请刷新后再试。"))
    log_edit(row=old, organisation=old.organisation, field="role", old=old.role, new=str(role), by=by.user, at=at)
    old.role = role
    return old


@transaction.atomic
def end_membership(*, membership: Membership, by: Actor, at: datetime.datetime | None = None) -> Membership:
    """End a membership: by the head, or by the member who leaves. The last head cannot go (``last_owner``).

    The person's sign-in cards of this organisation end with it; sessions stop acting for it with the next request.
    """
    _same_organisation(membership, by)
    if by.membership is None or by.membership.pk != membership.pk:
        _require_head(by)
    old = _lock(membership)
    _keep_a_head(old)
    now = at or timezone.now()
    if not Membership.objects.filter(pk=old.pk, ended_at=None).update(ended_at=now):
        raise StaleState(_("该成员已经离开。"))
    Invitation.objects.filter(user=old.user, organisation=old.organisation, used_at=None, revoked_at=None).update(
        revoked_at=now
    )
    log_edit(row=old, organisation=old.organisation, field="ended_at", old=None, new=now.isoformat(), by=by.user, at=at)
    old.ended_at = now
    return old


def _same_organisation(membership: Membership, by: Actor) -> None:
    if membership.organisation_id != by.organisation.pk:
        raise NotFound(_("没有找到，或者您无权查看。"))


def _lock(membership: Membership) -> Membership:
    """The row as it is now, others who change this organisation's members waiting (SQLite's writers wait anyway).

    Without it two heads could each end the other.
    """
    Organisation.objects.select_for_update().get(pk=membership.organisation_id)
    return Membership.objects.select_related("organisation", "user").get(pk=membership.pk)


def _keep_a_head(leaving: Membership) -> None:
    head = head_role(leaving.organisation)
    others = Membership.objects.filter(organisation=leaving.organisation, role=head, ended_at=None)
    if leaving.role == head and not others.exclude(pk=leaving.pk).exists():
        raise Clash(
            _("%(name)s 是唯一的%(role)s，请先让另一位同事担任。") % {"name": leaving.user, "role": head.label},
            code="last_owner",
        )


# --- Invitations ----------------------------------------------------------------------------------------------------


@transaction.atomic
def invite_member(
    *,
    by: Actor,
    role: str,
    display_name: str = "",
    valid_for: datetime.timedelta = INVITED_FOR,
    at: datetime.datetime | None = None,
) -> IssuedInvitation:
    """Invite one person to the actor's organisation by a link or QR: usable once, ending after ``valid_for``.

    Only the head may; refuses roles not of this kind (``role_unknown``).
    """
    _require_head(by)
    return issue_invitation(
        organisation=by.organisation,
        role=role,
        created_by=person(by),
        display_name=display_name,
        valid_for=valid_for,
        at=at,
    )


def issue_invitation(
    *,
    organisation: Organisation,
    role: str,
    created_by: User,
    display_name: str = "",
    user: User | None = None,
    valid_for: datetime.timedelta = INVITED_FOR,
    at: datetime.datetime | None = None,
) -> IssuedInvitation:
    """Write an invitation; whether the creator may is for the caller. Of the token only the hash stays."""
    _check_role(organisation, role)
    check = Gather()
    display_name = check("display_name", clean_text, display_name, 60)
    check.done()
    token = secrets.token_urlsafe(24)
    invitation = Invitation.objects.create(
        organisation=organisation,
        role=role,
        display_name=display_name,
        user=user,
        token_hash=_hash(token),
        created_by=created_by,
        expires_at=(at or timezone.now()) + valid_for,
    )
    return IssuedInvitation(invitation, token)


def find_invitation(token: str, *, at: datetime.datetime | None = None) -> Invitation:
    """The invitation of a token that can still be used.

    Refuses: NotFound ``invitation_unknown``; Clash ``invitation_used``, ``invitation_revoked``,
    ``invitation_expired``.
    """
    invitation = (
        Invitation.objects.filter(token_hash=_hash(token)).select_related("organisation", "user", "created_by").first()
    )
    if invitation is None:
        raise NotFound(_("没有这个邀请，请核对链接，或请对方重新发出。"), code="invitation_unknown")
    if invitation.used_at is not None:
        raise Clash(_("这个邀请已经用过。每个邀请只能用一次，请让对方重新发出。"), code="invitation_used")
    if invitation.revoked_at is not None:
        raise Clash(_("这个邀请已被收回，请用新的邀请。"), code="invitation_revoked")
    if invitation.expires_at <= (at or timezone.now()):
        raise Clash(_("这个邀请已过期，请让对方重新发出。"), code="invitation_expired")
    return invitation


@transaction.atomic
def accept_invitation(
    *, token: str, user: User | None = None, login: NewLogin | None = None, at: datetime.datetime | None = None
) -> Membership:
    """Join by an invitation, as the user who is signed in or with a new login.

    Of two uses at once one wins (``invitation_used``). Refuses who is a member already (``already_member``); the
    invitation then stays open. A sign-in card is not for this (``invitation_is_card``).
    """
    invitation = find_invitation(token, at=at)
    if invitation.user is not None:
        raise Clash(_("这是登录卡，请直接登录。"), code="invitation_is_card")
    _use(invitation, at)
    if user is None:
        if login is None:
            raise ValueError("either user or login")
        user = create_login(login=login)
    return add_member(organisation=invitation.organisation, user=user, role=invitation.role, at=at)


@transaction.atomic
def use_sign_in_card(*, token: str, at: datetime.datetime | None = None) -> Membership:
    """Use a card made for one person: returns the membership to sign in with. Once only (``invitation_used``).

    Refuses a card of somebody who is no member any more (``invitation_revoked``) and one that asks for a new password
    (``password_required``; see ``use_password_link``).
    """
    invitation = find_invitation(token, at=at)
    if invitation.user is None:
        raise Clash(_("这是入职邀请，不是登录卡。"), code="invitation_is_no_card")
    if invitation.user.has_usable_password():
        raise Clash(_("请先设置新密码。"), code="password_required")
    _use(invitation, at)
    return _card_membership(invitation)


@transaction.atomic
def use_password_link(*, token: str, password: str, at: datetime.datetime | None = None) -> Membership:
    """Set a new password by a link that the organisation's head issued; once only."""
    invitation = find_invitation(token, at=at)
    if invitation.user is None:
        raise Clash(_("这是入职邀请，不是登录卡。"), code="invitation_is_no_card")
    check = Gather()
    check("password", _check_password, password, invitation.user)
    check.done()
    _use(invitation, at)
    membership = _card_membership(invitation)
    membership.user.set_password(password)
    membership.user.save(update_fields=["password"])
    return membership


def _card_membership(invitation: Invitation) -> Membership:
    membership = (
        Membership.objects.filter(user=invitation.user, organisation=invitation.organisation, ended_at=None)
        .select_related("user", "organisation")
        .first()
    )
    if membership is None or not membership.user.is_active:
        raise Clash(_("这个邀请已被收回，请用新的邀请。"), code="invitation_revoked")
    return membership


def _use(invitation: Invitation, at: datetime.datetime | None) -> None:
    """Mark it used by a conditional update: of two requests at once the second finds no row."""
    now = at or timezone.now()
    used = Invitation.objects.filter(pk=invitation.pk, used_at=None, revoked_at=None, expires_at__gt=now).update(
        used_at=now
    )
    if not used:
        raise Clash(_("这个邀请已经用过。每个邀请只能用一次，请让对方重新发出。"), code="invitation_used")


@transaction.atomic
def revoke_invitation(*, invitation: Invitation, by: Actor, at: datetime.datetime | None = None) -> None:
    """Take an open invitation back; one that is used, revoked or expired stays as it is."""
    _require_head(by)
    if invitation.organisation_id != by.organisation.pk:
        raise NotFound(_("没有找到，或者您无权查看。"))
    Invitation.objects.filter(pk=invitation.pk, used_at=None, revoked_at=None).update(revoked_at=at or timezone.now())


@transaction.atomic
def issue_sign_in_card(
    *,
    by: Actor,
    grower: Organisation,
    valid_for: datetime.timedelta = CARD_FOR,
    at: datetime.datetime | None = None,
) -> IssuedInvitation:
    """A QR card by which a grower without e-mail signs in on their phone, made by their cooperative.

    Cards made before and the sessions begun with them end: a lost card or phone is worth nothing. Refuses growers of
    others (404) and growers who sign in with a password (``has_password``).
    """
    if grower.cooperative_id != by.organisation.pk or by.on_behalf_of is not None:
        raise NotFound(_("没有找到，或者您无权查看。"))
    by.require(Role.OWNER, Role.OPERATOR)
    membership = (
        Membership.objects.filter(organisation=grower, role=Role.OWNER, ended_at=None)
        .select_related("user")
        .order_by("id")
        .first()
    )
    if membership is None:
        raise NotFound(_("没有找到，或者您无权查看。"))
    user = membership.user
    if user.has_usable_password():
        raise Clash(_("%(name)s 已设置密码，请用用户名和密码登录。") % {"name": user}, code="has_password")
    _revoke_open(user, at)
    user.set_unusable_password()  # a new random mark: sessions are tied to it and end
    user.save(update_fields=["password"])
    return issue_invitation(
        organisation=grower,
        role=membership.role,
        created_by=person(by),
        display_name=user.display_name,
        user=user,
        valid_for=valid_for,
        at=at,
    )


@transaction.atomic
def issue_password_link(*, membership: Membership, by: Actor, at: datetime.datetime | None = None) -> IssuedInvitation:
    """A link by which a member who forgot the password sets a new one, made by the organisation's head.

    Refuses members who also act for another organisation or run the installation (``reset_elsewhere``): the head of
    one organisation must not get into another; the installation's operator issues the link then.
    """
    _require_head(by)
    _same_organisation(membership, by)
    user = membership.user
    elsewhere = Membership.objects.filter(user=user, ended_at=None).exclude(pk=membership.pk).exists()
    if elsewhere or user.is_staff:
        raise NotAllowed(
            _("%(name)s 还为其他单位办事，请联系系统运维人员重设密码。") % {"name": user}, code="reset_elsewhere"
        )
    return _password_link(membership, person(by), at)


@transaction.atomic
def issue_password_link_as_operator(
    *, membership: Membership, by: User, at: datetime.datetime | None = None
) -> IssuedInvitation:
    """The same by an operator of the installation, for any member who is not an operator (``reset_elsewhere``)."""
    if not by.is_staff or membership.user.is_staff:
        raise NotAllowed(_("运维人员的密码只能在服务器上重设。"), code="reset_elsewhere")
    return _password_link(membership, by, at)


def _password_link(membership: Membership, created_by: User, at: datetime.datetime | None) -> IssuedInvitation:
    if membership.ended_at is not None:
        raise StaleState(_("该成员已经离开。"))
    if not membership.user.has_usable_password():
        raise Clash(_("%(name)s 没有密码，请发登录卡。") % {"name": membership.user}, code="no_password")
    _revoke_open(membership.user, at)
    return issue_invitation(
        organisation=membership.organisation,
        role=membership.role,
        created_by=created_by,
        display_name=membership.user.display_name,
        user=membership.user,
        at=at,
    )


def _revoke_open(user: User, at: datetime.datetime | None) -> None:
    Invitation.objects.filter(user=user, used_at=None, revoked_at=None).update(revoked_at=at or timezone.now())


def person(by: Actor) -> User:
    """The person behind an actor; machines do not let people in (NotAllowed, ``person_required``)."""
    if by.user is None:
        raise NotAllowed(_("这件事须由本人登录办理，不能用 API 密钥。"), code="person_required")
    return by.user


def _hash(secret: str) -> str:
    """What is kept of a token or key. They are random, 192 bits and more: a plain hash cannot be guessed back."""
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()


# --- API keys -------------------------------------------------------------------------------------------------------


def key_roles_for(organisation: Organisation) -> tuple[Membership.Role, ...]:
    """Roles a machine may hold: it works and reads, but never releases lots, decides or manages people."""
    return REGULATOR_KEY_ROLES if organisation.kind == Organisation.Kind.REGULATOR else KEY_ROLES


@transaction.atomic
def create_api_key(
    *, by: Actor, name: str, scopes: Iterable[str], role: str = Role.OPERATOR, at: datetime.datetime | None = None
) -> IssuedKey:
    """A machine's key to the actor's organisation, made by its head.

    Refuses (``FieldErrors``): no name, scopes unknown or none, a role machines do not hold (``role_unknown``).
    """
    _require_head(by)
    if by.organisation.status != Organisation.Status.ACTIVE:
        raise NotAllowed(_("本单位还没有通过审核，通过后才能办理。"), code="organisation_not_active")
    check = Gather()
    name = check("name", clean_text, name, 60, required=True)
    held = check("scopes", checked_scopes, scopes)
    if role not in [str(allowed) for allowed in key_roles_for(by.organisation)]:
        check.refuse("role", Invalid(_("密钥不能担任这个岗位，请从列表中选择。"), code="role_unknown"))
    check.done()
    secret = f"fy_{secrets.token_urlsafe(32)}"
    key = ApiKey.objects.create(
        organisation=by.organisation,
        name=name,
        prefix=secret[:10],
        key_hash=_hash(secret),
        scopes=held,
        role=role,
        created_by=person(by),
    )
    log_edit(row=key, organisation=by.organisation, field="created", old=None, new=held, by=by.user, at=at)
    return IssuedKey(key, secret)


@transaction.atomic
def revoke_api_key(*, key: ApiKey, by: Actor, at: datetime.datetime | None = None) -> None:
    """End a key at once; one that is revoked already stays as it is."""
    _require_head(by)
    if key.organisation_id != by.organisation.pk:
        raise NotFound(_("没有找到，或者您无权查看。"))
    now = at or timezone.now()
    if ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=now):
        log_edit(
            row=key, organisation=by.organisation, field="revoked_at", old=None, new=now.isoformat(), by=by.user, at=at
        )
