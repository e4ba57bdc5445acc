"""What every page knows: the site, who acts for whom, how much is unread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils.translation import gettext as _


@dataclass(frozen=True)
class Site:
    """Facts about this installation that the frame of a page shows.

    ``demo`` puts the ribbon 演示数据 on every page; ``address`` is the official host, by which a person tells
    this site from an imitation.
    """

    name: str
    demo: bool
    address: str


def site(request: HttpRequest) -> dict[str, Any]:
    """Context processor: ``site``, ``actor``, ``organisation`` (whose facts are entered) and ``unread``.

    It asks the database nothing: ``request.actor`` and ``request.unread`` are set, lazily if they like, by
    whoever knows.
    """
    actor = getattr(request, "actor", None)
    return {
        "site": Site(
            name=_("汾阳产品追溯"),
            demo=bool(getattr(settings, "DEMO", False)),
            address=str(getattr(settings, "PUBLIC_BASE_URL", "")).partition("://")[2],
        ),
        "actor": actor,
        "organisation": actor.owner if actor else None,
        "unread": getattr(request, "unread", 0),
    }
