"""People and how they get in: users, memberships, invitations, API keys."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils.translation import gettext_lazy as _

from trace.identifiers import uuid7


class User(AbstractUser):
    """One person who can sign in. ``is_staff`` marks an operator of the installation, who runs it and owns no goods.

    Growers without e-mail have a user without e-mail and password; they come in by a QR invitation.
    """

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    display_name = models.CharField(_("姓名"), max_length=60)

    class Meta:
        verbose_name = _("用户")
        verbose_name_plural = _("用户")

    def __str__(self) -> str:
        return self.display_name or self.username


class Membership(models.Model):
    """One person's role in one organisation. Never deleted: it ends."""

    class Role(models.TextChoices):
        OWNER = "owner", _("负责人")
        QUALITY = "quality", _("质量负责人")
        OPERATOR = "operator", _("经办人")
        VIEWER = "viewer", _("查看者")
        OFFICER = "officer", _("监管经办")
        APPROVER = "approver", _("监管审批")

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="memberships")
    organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="memberships")
    role = models.CharField(_("岗位"), max_length=12, choices=Role)
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("成员")
        verbose_name_plural = _("成员")
        constraints = [
            models.UniqueConstraint(
                fields=["user", "organisation"],
                condition=models.Q(ended_at__isnull=True),
                name="one_open_membership",
            )
        ]

    def __str__(self) -> str:
        return f"{self.user} · {self.get_role_display()}"


class Invitation(models.Model):
    """A way in for one person: a link or QR shown once, used once, ending by itself. Only its hash is kept."""

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="invitations")
    role = models.CharField(max_length=12, choices=Membership.Role)
    display_name = models.CharField(_("姓名"), max_length=60, blank=True)
    user = models.ForeignKey(User, null=True, blank=True, on_delete=models.PROTECT, related_name="invitations")
    token_hash = models.CharField(max_length=64, unique=True)
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("邀请")
        verbose_name_plural = _("邀请")

    def __str__(self) -> str:
        return f"{self.organisation} · {self.get_role_display()}"


class ApiKey(models.Model):
    """A machine's key to one organisation's data. Only the hash is kept; ``prefix`` tells keys apart in lists."""

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="api_keys")
    name = models.CharField(_("名称"), max_length=60)
    prefix = models.CharField(max_length=12)
    key_hash = models.CharField(max_length=64, unique=True)
    scopes = models.JSONField(default=list)
    role = models.CharField(max_length=12, choices=Membership.Role, default=Membership.Role.OPERATOR)
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("API 密钥")
        verbose_name_plural = _("API 密钥")

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"
