"""What pages of documents need beside the words."""

from __future__ import annotations

from django import template
from django.utils.safestring import SafeString

from recalls.letters import qr_svg

register = template.Library()


@register.filter
def paper_code(address: str) -> SafeString:
    """An address as QR."""
    return qr_svg(address)


@register.filter
def named(labels: dict[str, str], key: str) -> str:
    """The label of a key, the key where it has none."""
    return labels.get(key, key)
