"""Errors of recalls that more than one module raises."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from trace.errors import Clash, Invalid


class DrillStaysInside(Clash):
    """Something of a drill was about to leave the house (a message, a public page). 409."""

    code = "drill_stays_inside"

    def __init__(self) -> None:
        super().__init__(_("这是演练，不对外发布，也不发送通知。"))


class PaperIncomplete(Invalid):
    """A document lacks contents it must have; each is named. 422."""

    code = "paper_incomplete"

    def __init__(self, title: str, missing: Sequence[str]) -> None:
        self.missing = list(missing)
        words = gettext("“%(title)s”还不能制作，缺少：%(missing)s。") % {
            "title": title,
            "missing": gettext("、").join(self.missing),
        }
        super().__init__(words, missing=self.missing)
