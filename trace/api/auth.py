"""Who calls: a person by session (with CSRF), a machine by its key. Audience, role and scope are checked before the
body is read.
"""

import hashlib
from dataclasses import dataclass, replace
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils.translation import gettext as _
from ninja.security import APIKeyCookie, HttpBearer
from ninja.utils import check_csrf

from trace.access import Audience, actor_for_session, parse_uid
from trace.actions.requests import note_key_used
from trace.actor import Actor
from trace.errors import DomainError, NotAllowed, NotFound, NotSignedIn
from trace.models import ApiKey, Organisation
from trace.prepared import Prepared
from trace.scopes import permits

BEHALF_HEADER = "On-Behalf-Of"
"""Names the grower a cooperative enters for, by its uid."""

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class UnsupportedMedia(DomainError):
    """A body that is not JSON. 415."""

    status = 415
    code = "json_expected"


@dataclass(frozen=True)
class Entry:
    """What one operation asks of its caller; ``area`` is the scope's, ``roles`` one of which is needed."""

    who: Audience
    area: str
    write: bool = False
    roles: tuple[str, ...] = ()

    def admit(self, request: HttpRequest, actor: Actor | None) -> None:
        """Let the caller pass or raise: 401 nobody, 403 scope, role or organisation, 404 an operation not for this
        kind.
        """
        _json_only(request)
        if actor is not None and actor.api_key is not None:
            self._check_scope(actor)
        if self.who == "signed_in" and not self.write:
            return
        if self.who == "operator":
            if not getattr(request.user, "is_staff", False):
                raise NotFound(_("没有找到，或者您无权查看。"))
            return
        if actor is None:
            raise NotAllowed(_("您还没有加入任何单位。请申请入驻，或请本单位负责人邀请您。"), code="no_organisation")
        if (self.who == "party" and actor.is_regulator) or (self.who == "regulator" and not actor.is_regulator):
            raise NotFound(_("没有找到，或者您无权查看。"))
        self._check_standing(actor)

    def _check_scope(self, actor: Actor) -> None:
        if not permits(actor.scopes, self.area, write=self.write):
            needed = f"{self.area}:{'write' if self.write else 'read'}"
            raise NotAllowed(
                _("这个 API 密钥没有“%(scope)s”权限。") % {"scope": needed}, code="scope_required", scope=needed
            )

    def _check_standing(self, actor: Actor) -> None:
        """Who is not (or no longer) admitted may read its own, but write nothing."""
        if self.write and actor.organisation.status != Organisation.Status.ACTIVE:
            raise NotAllowed(_("本单位还没有通过审核，通过后才能办理。"), code="organisation_not_active")
        if self.roles:
            actor.require(*self.roles)


def _json_only(request: HttpRequest) -> None:
    """Refuse a body in another form: browsers send those across sites without asking first."""
    length = request.META.get("CONTENT_LENGTH") or "0"
    if request.method not in SAFE_METHODS and length != "0" and request.content_type != "application/json":
        raise UnsupportedMedia(_("请求正文要用 JSON，并写明 Content-Type: application/json。"))


def _on_behalf(request: HttpRequest, actor: Actor) -> Actor:
    """The actor entering for the grower named in ``On-Behalf-Of`` (代录); another's grower is 404."""
    uid = request.headers.get(BEHALF_HEADER, "")
    if not uid:
        return actor
    grower = actor.organisation.growers.filter(uid=parse_uid(uid), status=Organisation.Status.ACTIVE).first()
    if grower is None:
        raise NotFound(_("没有找到，或者您无权查看。"))
    return replace(actor, on_behalf_of=grower)


_BY_HASH = Prepared(
    lambda digest: ApiKey.objects.filter(key_hash=digest, revoked_at=None).select_related(
        "organisation__division", "created_by"
    )
)


class KeyAuth(HttpBearer):
    """``Authorization: Bearer <key>``. Unknown, revoked or misplaced keys are 401; a session is then not asked."""

    openapi_description = "An organisation's API key."

    def __init__(self, entry: Entry) -> None:
        super().__init__()
        self.entry = entry

    def authenticate(self, request: HttpRequest, token: str) -> Actor:
        """The actor of a key; sets ``request.actor``."""
        digest = hashlib.sha256(token.strip().encode(errors="replace")).hexdigest()
        key = _BY_HASH.first(digest)
        if key is None:
            raise NotSignedIn(_("API 密钥无效或已吊销。"), code="key_invalid")
        note_key_used(key=key)
        actor = Actor(organisation=key.organisation, role=key.role, api_key=key, scopes=frozenset(key.scopes))
        actor = _on_behalf(request, actor)
        request.actor = actor  # type: ignore[attr-defined]
        self.entry.admit(request, actor)
        return actor


class PersonAuth(APIKeyCookie):
    """A signed-in session. Requests that write need the CSRF token in ``X-CSRFToken``."""

    param_name = settings.SESSION_COOKIE_NAME

    def __init__(self, entry: Entry) -> None:
        super().__init__(csrf=True)
        self.entry = entry

    def __call__(self, request: HttpRequest) -> Any:
        """The user's actor, or the user where there is no organisation yet; None where nobody is signed in (401)."""
        if not request.user.is_authenticated:
            return None
        if check_csrf(request):
            raise NotAllowed(_("缺少或过期的 CSRF 令牌，请刷新页面。"), code="csrf_failed")
        actor = actor_for_session(request)
        if actor is not None:
            actor = _on_behalf(request, actor)
        request.actor = actor  # type: ignore[attr-defined]
        self.entry.admit(request, actor)
        return actor or request.user

    def authenticate(self, request: HttpRequest, key: str | None) -> Any:
        """Not used: ``__call__`` asks Django's session instead of the cookie's text."""
        return None


def acting(request: HttpRequest) -> Actor:
    """The actor of a request that passed its entry."""
    actor: Actor | None = getattr(request, "actor", None)
    if actor is None:
        raise NotAllowed(_("您还没有加入任何单位。请申请入驻，或请本单位负责人邀请您。"), code="no_organisation")
    return actor
