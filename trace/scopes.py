"""What an API key may do: one word per area, read or write. Kept in ``ApiKey.scopes`` as ``area:read`` and
``area:write``.
"""

from collections.abc import Iterable
from typing import Final

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from trace.errors import Invalid

AREAS: Final = {
    "organisations": gettext_lazy("单位"),
    "registry": gettext_lazy("地点与产品"),
    "lots": gettext_lazy("批次与谱系"),
    "events": gettext_lazy("环节"),
    "shipments": gettext_lazy("发货与收货"),
    "evidence": gettext_lazy("检验报告与证书"),
    "holds": gettext_lazy("封存与冲突"),
    "labels": gettext_lazy("标签与赋码"),
    "recalls": gettext_lazy("召回"),
}
"""Every area of the API with its name for people."""

SCOPES: Final = tuple(f"{area}:{access}" for area in AREAS for access in ("read", "write"))
"""Every scope a key may hold, in the order a form shows them."""


def permits(scopes: Iterable[str], area: str, *, write: bool) -> bool:
    """Whether these scopes open an area; who may write may also read."""
    held = set(scopes)
    return f"{area}:write" in held or (not write and f"{area}:read" in held)


def checked_scopes(scopes: Iterable[str]) -> list[str]:
    """The scopes in house order, each once. Refuses an unknown one or none at all (``scopes_required``,
    ``unknown_scope``).
    """
    asked = set(scopes)
    unknown = sorted(asked - set(SCOPES))
    if unknown:
        raise Invalid(_("没有这样的权限范围。"), code="unknown_scope", allowed=list(SCOPES))
    if not asked:
        raise Invalid(_("请至少选择一个权限范围。"), code="scopes_required", allowed=list(SCOPES))
    return [scope for scope in SCOPES if scope in asked]
