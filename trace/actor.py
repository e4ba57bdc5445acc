"""Who acts: a person or a machine, for one organisation, perhaps on a grower's behalf."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.utils.translation import gettext as _

from trace.errors import NotAllowed

if TYPE_CHECKING:
    from trace.models import ApiKey, Membership, Organisation, User


@dataclass(frozen=True)
class Actor:
    """One acting party, made per request or by the demonstration and handed to actions as ``by``.

    ``organisation`` is the organisation acted for and ``role`` one of ``Membership.Role``. ``on_behalf_of`` is set
    when a cooperative's clerk enters for a grower (代录): facts then belong to the grower and both names are shown.
    ``system`` marks the program itself (worker, slip of a person without account); it has no user.
    """

    organisation: Organisation
    user: User | None = None
    role: str = "viewer"
    membership: Membership | None = None
    api_key: ApiKey | None = None
    on_behalf_of: Organisation | None = None
    system: bool = False
    scopes: frozenset[str] = frozenset()

    @property
    def owner(self) -> Organisation:
        """The organisation whose facts are written: the grower when entering on their behalf."""
        return self.on_behalf_of or self.organisation

    @property
    def is_regulator(self) -> bool:
        """True for an actor of a vetted regulator."""
        return self.organisation.kind == "regulator"

    @property
    def name(self) -> str:
        """The name shown beside what was done."""
        if self.user is not None:
            return self.user.display_name
        if self.api_key is not None:
            return self.api_key.name
        return self.organisation.name

    def can(self, *roles: str) -> bool:
        """Whether the actor holds one of these roles (an owner holds every producer's role but quality officer)."""
        if self.system or self.role in roles:
            return True
        return self.role == "owner" and any(role in ("operator", "viewer") for role in roles)

    def require(self, *roles: str) -> None:
        """Refuse (NotAllowed, ``role_required``) unless the actor holds one of the roles."""
        if not self.can(*roles):
            raise NotAllowed(_("您的岗位不能做这件事，请由有权限的同事办理。"), code="role_required", roles=list(roles))
