"""How stable a product is: one tested item over its lots, as a chart with the limits, a table and a CSV."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from fractions import Fraction

from django.db.models import F, QuerySet
from django.db.models.functions import Coalesce, TruncDate
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_safe

from trace.access import actor_of, audience, product_readable_for
from trace.chart import Point, draw
from trace.exports import Cell, asked_format, export_rows
from trace.judging import number, unit_factor
from trace.models import Product, TestReport, TestResult
from trace.parts import Number
from trace.result_words import BADGES, ResultLine, result_line
from trace.tables import csv_table
from trace.templatetags.ui import unit_name
from trace.text import clean_text

MOST_SHOWN = 60
MOST_ROWS = 5000
COLUMNS = [
    gettext_lazy("批号"),
    gettext_lazy("生产日期"),
    gettext_lazy("项目"),
    gettext_lazy("结果"),
    gettext_lazy("定量限"),
    gettext_lazy("单位"),
    gettext_lazy("限值"),
    gettext_lazy("限值出处"),
    gettext_lazy("结论"),
    gettext_lazy("检验机构"),
    gettext_lazy("报告编号"),
    gettext_lazy("签发日期"),
]


@dataclass(frozen=True)
class Row:
    """One lot's result in the table."""

    result: TestResult
    line: ResultLine
    badge: str


@audience("signed_in")
@require_safe
def product_stability(request: HttpRequest, uid: uuid.UUID) -> HttpResponse:
    """One item over the newest lots of a product; denied and corrected reports are left out."""
    actor = actor_of(request)
    product = product_readable_for(actor, uid)
    items = _items(product)
    parameter = _asked(request, items)
    newest = list(_results(product, parameter).reverse()[: MOST_SHOWN + 1])
    results = newest[:MOST_SHOWN][::-1]
    points, left_out = _points(results)
    context = {
        "product": product,
        "items": items,
        "parameter": parameter,
        "name": items.get(parameter, ""),
        "chart": _chart(points, results, items.get(parameter, "")) if points else None,
        "rows": [Row(row, result_line(row), BADGES[row.verdict]) for row in reversed(results)],
        "numbers": _numbers(points, results),
        "left_out": left_out,
        "more": len(newest) > MOST_SHOWN,
        "most": MOST_SHOWN,
    }
    return render(request, "trace/standards/stability.html", context)


@audience("signed_in")
@require_safe
def stability_csv(request: HttpRequest, uid: uuid.UUID) -> HttpResponseBase:
    """The same as a table for spreadsheets (``format=xlsx`` for Excel), oldest first, at most ``MOST_ROWS`` rows of the
    newest lots.
    """
    product = product_readable_for(actor_of(request), uid)
    parameter = _asked(request, _items(product))
    rows = list(_results(product, parameter).reverse()[:MOST_ROWS])[::-1]
    header = [str(column) for column in COLUMNS]
    if asked_format(request) == "xlsx":
        return export_rows(request, "stability", header, [_cells(row) for row in rows])
    table = csv_table(header, [_cells(row) for row in rows])
    response = HttpResponse(table, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="stability.csv"'
    return response


def _items(product: Product) -> dict[str, str]:
    """The items that were ever tested on the product's lots, by parameter, with their newest name."""
    rows = TestResult.objects.filter(report__lot__product=product).order_by("parameter", "id")
    found: dict[str, str] = {}
    for row in rows.values("parameter", "name", "name_en").distinct():
        found[row["parameter"]] = TestResult(name=row["name"], name_en=row["name_en"]).label
    return found


def _asked(request: HttpRequest, items: dict[str, str]) -> str:
    """The item asked for; else the first one."""
    asked = clean_text(request.GET.get("parameter", "")[:60].replace("\x00", ""), 60)
    return asked if asked in items else next(iter(items), "")


def _results(product: Product, parameter: str) -> QuerySet[TestResult]:
    """The counted results of one item over the product's lots in the order of production."""
    counted = TestReport.objects.counted().filter(lot__product=product)
    rows = TestResult.objects.filter(report__in=counted.values("pk"), parameter=parameter)
    rows = rows.select_related("report__lot", "report__laboratory")
    made = Coalesce(F("report__lot__produced_on"), TruncDate("report__lot__begun_at"))
    return rows.annotate(made=made).order_by("made", "report__lot_id", "id")


def _points(results: list[TestResult]) -> tuple[list[Point], int]:
    """What can be drawn, in the unit of the first result; and how many could not (other unit, no number)."""
    unit = results[0].unit if results else ""
    points = []
    for row in results:
        text = row.loq if row.operator == "nd" else row.value
        value, factor = number(text) if text else None, unit_factor(row.unit, unit)
        if value is None or factor is None:
            continue
        upper, lower = _limits(row, factor)
        points.append(
            Point(
                label=row.report.lot.code,
                title=f"{row.report.lot.code}: {result_line(row).measured}",
                value=float(value * factor),
                below=row.operator in ("nd", "<"),
                failed=row.verdict == TestReport.Verdict.FAIL,
                upper=upper,
                lower=lower,
            )
        )
    return points, len(results) - len(points)


def _limits(row: TestResult, factor: Fraction) -> tuple[float | None, float | None]:
    """Upper and lower limit the result was judged by."""
    if row.limit_operator == "between":
        low, _tilde, high = row.limit_value.partition("~")
        ends = (number(high), number(low))
    else:
        value = number(row.limit_value)
        ends = (value if row.limit_operator == "<=" else None, value if row.limit_operator == ">=" else None)
    upper, lower = (float(end * factor) if end is not None else None for end in ends)
    return upper, lower


def _chart(points: list[Point], results: list[TestResult], name: str) -> SafeString:
    unit = unit_name(results[0].unit) if results[0].unit else ""
    label = _("%(name)s：%(n)d 个批次的检验结果，从旧到新") % {"name": name, "n": len(points)}
    return draw(points, label=label, unit=unit)


def _numbers(points: list[Point], results: list[TestResult]) -> list[Number]:
    """How many, their mean and spread, how many failed. What was not detected has no value and is left out of these."""
    if not points:
        return []
    unit = unit_name(results[0].unit) if results[0].unit else ""
    values = [point.value for point in points if not point.below]
    failed = sum(point.failed for point in points)
    found = [Number(_("结果"), len(points), note=_("未检出 %(n)d 个") % {"n": len(points) - len(values)})]
    if values:
        found += [
            Number(_("平均"), f"{sum(values) / len(values):.4g}", unit),
            Number(_("最低"), f"{min(values):.4g}", unit),
            Number(_("最高"), f"{max(values):.4g}", unit),
        ]
    return [*found, Number(_("不合格"), failed, tone="attention" if failed else "good")]


def _cells(row: TestResult) -> list[Cell]:
    """One line of the CSV."""
    line = result_line(row)
    return [
        row.report.lot.code,
        row.report.lot.produced_on or "",
        row.label,
        _("未检出") if row.operator == "nd" else f"{'<' if row.operator == '<' else ''}{row.value}",
        row.loq,
        row.unit,
        line.limit,
        line.source,
        row.report.Verdict(row.verdict).label,
        row.report.laboratory_label,
        row.report.report_number,
        row.report.issued_on,
    ]
