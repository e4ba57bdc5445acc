"""The columns of the lists of labels as files: runs of codes, suspicious codes, links; the same rows as the page."""

from __future__ import annotations

from django.utils.translation import gettext_lazy

from labels.models import CodeRun
from labels.suspicion import why
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
SUSPICIONS = Table(
    "suspicious-codes",
    [
        Column(gettext_lazy("产品"), lambda row: row.lot.product_version.label if row.lot else ""),
        Column(gettext_lazy("批号"), lambda row: row.lot.code if row.lot else ""),
        Column(gettext_lazy("码"), lambda row: row.unit.code if row.unit else ""),
        Column(gettext_lazy("规则"), lambda row: row.get_rule_display()),
        Column(gettext_lazy("原因"), lambda row: why(row.rule, row.facts)),
        Column(gettext_lazy("状态"), lambda row: row.get_status_display()),
        Column(gettext_lazy("签发单位"), lambda row: row.organisation.label if row.organisation else ""),
        Column(gettext_lazy("最近一次"), lambda row: row.last_at),
        Column(gettext_lazy("理由"), lambda row: row.reason),
    ],
)
LINKS = Table(
    "product-links",
    [
        Column(gettext_lazy("产品"), str),
        Column(gettext_lazy("链接"), lambda product: product.n_links),
    ],
)
