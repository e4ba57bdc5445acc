"""The columns of the labels' list as a file: runs of codes, the same rows as the page."""

from __future__ import annotations

from django.utils.translation import gettext_lazy

from labels.models import CodeRun
from trace.exports import Column, Table


def _issuer(run: CodeRun) -> str:
    return run.issued_by.display_name if run.issued_by is not None else run.organisation.label


RUNS = Table(
    "code-runs",
    [
        Column(gettext_lazy("批号"), lambda run: run.lot.code),
        Column(gettext_lazy("产品"), lambda run: run.lot.product_version.label),
        Column(gettext_lazy("标签类型"), lambda run: run.get_kind_display()),
        Column(gettext_lazy("数量"), lambda run: run.count),
        Column(gettext_lazy("状态"), lambda run: run.get_status_display()),
        Column(gettext_lazy("签发单位"), lambda run: run.organisation.label),
        Column(gettext_lazy("签发人"), _issuer),
        Column(gettext_lazy("签发时间"), lambda run: run.at),
    ],
)
