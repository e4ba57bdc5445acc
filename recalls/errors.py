"""Errors of recalls that more than one module raises."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from trace.errors import Clash


class DrillStaysInside(Clash):
    """Something of a drill was about to leave the house (a message, a public page). 409."""

    code = "drill_stays_inside"

    def __init__(self) -> None:
        super().__init__(_("这是演练，不对外发布，也不发送通知。"))
