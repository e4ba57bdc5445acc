"""A QR code as SVG for pages that hand a link to a phone (invitations, sign-in cards).

Goods' labels have their own drawing in the labels app; this one only shows a link on a screen or a card.
"""

from __future__ import annotations

import qrcode
from django.utils.html import format_html
from django.utils.safestring import SafeString
from qrcode.constants import ERROR_CORRECT_M

_QUIET = 4


def qr_svg(text: str, label: str) -> SafeString:
    """An ``<svg class="qr">`` of the text with its quiet zone; ``label`` says to a screen reader what it is for."""
    code = qrcode.QRCode(error_correction=ERROR_CORRECT_M, border=_QUIET)
    code.add_data(text)
    code.make(fit=True)
    matrix = code.get_matrix()
    path = "".join(
        f"M{column} {row}h1v1h-1z" for row, line in enumerate(matrix) for column, dark in enumerate(line) if dark
    )
    return format_html(
        '<svg class="qr" viewBox="0 0 {size} {size}" width="240" height="240" role="img" aria-label="{label}"'
        ' shape-rendering="crispEdges"><rect width="{size}" height="{size}" fill="#fff"/>'
        '<path d="{path}" fill="#000"/></svg>',
        size=len(matrix),
        label=label,
        path=path,
    )
