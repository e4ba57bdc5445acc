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
