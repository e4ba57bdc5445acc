"""Importing from Excel and CSV: choose what, download the template, upload, look at what was understood, confirm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from trace.access import actor_of, audience, import_for, imports_visible_to
from trace.actions.imports import confirm_import, drop_import, twin_of, upload_sheet
from trace.errors import DomainError
from trace.event_templates import COMMON, EventTemplate, families, family, templates_for
from trace.exports import asked_format, export
from trace.forms.fields import attempt
from trace.imports.book import error_book, template_book, template_csv
from trace.imports.checking import find_heading
from trace.imports.columns import LOT_STEPS, SHIP, Sheet, importable, sheet_for
from trace.imports.known import Known
from trace.imports.reading import Line
from trace.lists import IMPORTS
from trace.models import Product, SheetImport
from trace.steps import families_made
from trace.templatetags.ui import url_or_none
from trace.views.pages import page_of

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
ROWS_SHOWN = 15
ISSUES_SHOWN = 100
MADE_SHOWN = 60
ALIKE_SHOWN = 10
Status = SheetImport.Status


class SheetForm(forms.Form):
    """One file."""

    file = forms.FileField(
        label=gettext_lazy("填好的文件"),
        help_text=gettext_lazy("Excel（.xlsx）或 CSV，最多 10 MB、10,000 行。"),
        widget=forms.FileInput(attrs={"accept": ".xlsx,.csv,.txt"}),
        error_messages={
            "required": gettext_lazy("请选择文件。"),
            "empty": gettext_lazy("这个文件是空的。请下载模板，填好后再上传。"),
            "invalid": gettext_lazy("请选择文件。"),
        },
    )


@dataclass(frozen=True)
class Choice:
    """Something to import: its name, a few words, its address."""

    label: str
    hint: str
    url: str
    icon: str = "download"


def address(kind: str, step: str = "", *, name: str = "import_new", **more: str) -> str:
    """The page of a kind of sheet."""
    query = urlencode({key: value for key, value in {"step": step, **more}.items() if value})
    return reverse(f"trace:{name}", args=[kind]) + (f"?{query}" if query else "")


@audience("party", "operator", "quality")
@require_safe
def import_list(request: HttpRequest) -> HttpResponseBase:
    """What can be imported, and what was."""
    actor = actor_of(request)
    rows = imports_visible_to(actor).defer("file", "rows", "issues", "made").order_by("-id")
    if asked_format(request):
        return export(request, IMPORTS, rows)
    page = page_of(request, rows)
    for row in page:
        row.label = label_of(row)
    choices = [
        Choice(_("产品"), _("原料、半成品、成品"), address("products"), "bottle"),
        Choice(_("地点"), _("地块、车间、库房、容器"), address("places"), "map"),
        *(
            Choice(_("批次：%(how)s") % {"how": step_label(step)}, _("建立批次"), address("steps", step), "lot")
            for step in LOT_STEPS
        ),
        Choice(_("发货"), _("一行一个批次，几行一张发货单"), address("steps", SHIP), "truck"),
        Choice(_("其他环节"), _("加工、调拨、入库、销售等"), reverse("trace:import_steps"), "edit"),
    ]
    return render(request, "trace/imports/list.html", {"page": page, "choices": choices})


def step_label(step: str) -> str:
    """A step's name."""
    return sheet_for("steps", step).label()


def label_of(row: SheetImport) -> str:
    """What an import is of."""
    try:
        return sheet_for(row.kind, row.step).label()
    except DomainError:
        return row.step or row.get_kind_display()


@audience("party", "operator", "quality")
@require_safe
def import_steps(request: HttpRequest) -> HttpResponse:
    """Choose the step whose rows are to be imported, by family; the families the organisation makes first."""
    actor = actor_of(request)
    products = Product.objects.filter(organisation=actor.owner, ended_at=None).only("family")
    made = families_made(products)
    rest = [each for each in families().values() if each.code != COMMON and each not in made]
    groups = [
        (each.label(), [_choice(step) for step in templates_for(each.code) if importable(step)])
        for each in [*made, family(COMMON), *rest]
    ]
    shown = len(made) + 1
    return render(request, "trace/imports/steps.html", {"groups": groups[:shown], "more": groups[shown:]})


def _choice(step: EventTemplate) -> Choice:
    into = _("、").join(each.label() for each in step.inputs)
    out = _("、").join(each.label() for each in step.outputs)
    return Choice(
        step.label(), f"{into} → {out}" if into and out and into != out else into or out, address("steps", step.code)
    )


@audience("party", "operator", "quality")
@require_http_methods(["GET", "HEAD", "POST"])
def import_new(request: HttpRequest, kind: str) -> HttpResponse:
    """Download the template, fill it in, upload it."""
    actor = actor_of(request)
    sheet = _sheet(request, kind)
    form = SheetForm(request.POST, request.FILES) if request.method == "POST" else SheetForm()

    def take() -> SheetImport:
        file = form.cleaned_data["file"]
        return upload_sheet(by=actor, kind=kind, step=sheet.step, name=file.name or "", data=file.read())

    if request.method == "POST":
        row = attempt(form, take, {"sheet_empty": "file", "file_too_large": "file"})
        if row is not None:
            return redirect("trace:import_detail", uid=row.uid)
    context = {
        "form": form,
        "sheet": sheet,
        "template_url": address(kind, sheet.step, name="import_template"),
        "csv_url": address(kind, sheet.step, name="import_template", format="csv"),
        "required": [column for column in sheet.columns if column.required],
        "optional": [column for column in sheet.columns if not column.required],
    }
    return render(request, "trace/imports/new.html", context, status=422 if form.is_bound and form.errors else 200)


def _sheet(request: HttpRequest, kind: str) -> Sheet:
    return sheet_for(kind, request.GET.get("step", "")[:60])


@audience("party", "operator", "quality")
@require_safe
def import_template(request: HttpRequest, kind: str) -> HttpResponse:
    """The template, made for this organisation and in this language."""
    sheet = _sheet(request, kind)
    known = Known(actor_of(request))
    name = f"{kind}-{sheet.step}" if sheet.step else kind
    if request.GET.get("format") == "csv":
        return _download(template_csv(sheet, known), f"{name}.csv", "text/csv; charset=utf-8")
    return _download(template_book(sheet, known), f"{name}.xlsx", XLSX)


def _download(data: bytes, name: str, media_type: str) -> HttpResponse:
    answer = HttpResponse(data, content_type=media_type)
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


# --- One import -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ShownCell:
    """A cell of the preview with what is wrong in it."""

    text: str
    wrong: str = ""


@dataclass(frozen=True)
class ShownRow:
    """A row of the preview."""

    number: int
    cells: list[ShownCell]
    wrong: bool = False


@dataclass(frozen=True)
class ShownIssue:
    """One thing wrong: where, what stands there, what to do."""

    row: int
    column: str
    text: str
    message: str
    insistable: bool


@dataclass
class Preview:
    """What the page shows of the sheet."""

    head: list[str] = field(default_factory=list)
    rows: list[ShownRow] = field(default_factory=list)
    issues: list[ShownIssue] = field(default_factory=list)
    more_issues: int = 0
    more_rows: int = 0
    alike: list[tuple[int, int]] = field(default_factory=list)
    more_alike: int = 0


@audience("party", "operator", "quality")
@require_safe
def import_detail(request: HttpRequest, uid: str) -> HttpResponse:
    """How far an import is, what is wrong in which cell, or what it made. Can be left and found again."""
    return _page(request, import_for(actor_of(request), uid))


def _page(request: HttpRequest, row: SheetImport, *, refused: DomainError | None = None) -> HttpResponse:
    broken = sorted({code for issue in row.issues for code in issue["guards"]})
    context = {
        "row": row,
        "label": label_of(row),
        "preview": preview_of(row) if row.status in (Status.READY, Status.FAULTY) else None,
        "broken": broken,
        "flagged_rows": len({issue["row"] for issue in row.issues}),
        "twin": twin_of(row) if row.status == Status.READY else None,
        "refused": refused,
        "percent": min(100, row.checked * 100 // row.total) if row.total else 0,
        "made": [_made(each) for each in row.made[:MADE_SHOWN]],
        "more_made": max(0, len(row.made) - MADE_SHOWN),
        "again_url": address(row.kind, row.step),
        "refresh": row.is_under_way,
    }
    return render(request, "trace/imports/detail.html", context, status=refused.status if refused is not None else 200)


def _made(each: Sequence[str]) -> tuple[str, str]:
    """Name and address of one thing made."""
    kind, uid, name = each
    routes = {
        "lot": "desk:lot_detail",
        "shipment": "trace:shipment",
        "event": "trace:event_detail",
        "product": "trace:product",
        "place": "trace:place",
    }
    return name or _("环节记录"), url_or_none(routes[kind], uid)


def preview_of(row: SheetImport) -> Preview:
    """The heading, the first wrong rows (or the first rows), what is wrong in words, and the first rows that say the
    very same as one before them.
    """
    lines = [Line(number, cells) for number, cells in row.rows]
    if not lines:
        return Preview()
    heading, rest = find_heading(sheet_for(row.kind, row.step), lines)
    head = [_text(cell) for cell in heading.line.cells]
    wrong: dict[int, dict[int, str]] = {}
    for issue in row.issues:
        wrong.setdefault(issue["row"], {}).setdefault(issue["column"], issue["message"])
    bad = [line for line in rest if line.number in wrong]
    shown = (bad or list(rest))[:ROWS_SHOWN]
    by_number = {line.number: line for line in lines}
    alike = _alike(rest)
    return Preview(
        head=head,
        rows=[_shown_row(line, len(head), wrong.get(line.number, {})) for line in shown],
        issues=[_shown_issue(issue, head, by_number) for issue in row.issues[:ISSUES_SHOWN]],
        more_issues=max(0, len(row.issues) - ISSUES_SHOWN),
        more_rows=max(0, len(bad or rest) - len(shown)),
        alike=alike[:ALIKE_SHOWN],
        more_alike=max(0, len(alike) - ALIKE_SHOWN),
    )


def _alike(lines: Sequence[Line]) -> list[tuple[int, int]]:
    """Numbers of rows that say the very same as a row before them, and of that row."""
    first: dict[tuple[str, ...], int] = {}
    found = []
    for line in lines:
        before = first.setdefault(tuple(_text(cell) for cell in line.cells), line.number)
        if before != line.number:
            found.append((line.number, before))
    return found


def _text(cell: Any) -> str:
    return cell if isinstance(cell, str) else str(cell.get("f") or cell.get("e") or "")


def _shown_row(line: Line, width: int, wrong: Mapping[int, str]) -> ShownRow:
    cells = [_text(cell)[:80] for cell in line.cells[:width]]
    cells += [""] * (width - len(cells))
    return ShownRow(
        line.number, [ShownCell(text, wrong.get(at, "")) for at, text in enumerate(cells)], wrong=bool(wrong)
    )


def _shown_issue(issue: Mapping[str, Any], head: Sequence[str], lines: Mapping[int, Line]) -> ShownIssue:
    at, line = issue["column"], lines.get(issue["row"])
    text = _text(line.cells[at])[:60] if line is not None and 0 <= at < len(line.cells) else ""
    column = head[at].rstrip(" *") if 0 <= at < len(head) else ""
    return ShownIssue(issue["row"], column, text, issue["message"], bool(issue["guards"]) and issue["insistable"])


@audience("party", "operator", "quality")
@require_POST
def import_confirm(request: HttpRequest, uid: str) -> HttpResponse:
    """Write it: all or nothing. Sent twice it is written once."""
    actor = actor_of(request)
    row = import_for(actor, uid)
    insist = request.POST.get("seen", "")[:2000].split() if request.POST.get("insist") else []
    try:
        confirm_import(row=row, by=actor, insist=insist, again=bool(request.POST.get("again")))
    except DomainError as error:
        if error.status not in (409, 422):
            raise
        return _page(request, import_for(actor, uid), refused=error)
    return redirect("trace:import_detail", uid=row.uid)


@audience("party", "operator", "quality")
@require_POST
def import_drop(request: HttpRequest, uid: str) -> HttpResponse:
    """Give it up; nothing was written."""
    actor = actor_of(request)
    row = import_for(actor, uid)
    drop_import(row=row, by=actor)
    messages.success(request, _("已放弃，没有导入任何内容。"))
    return redirect(address(row.kind, row.step))


@audience("party", "operator", "quality")
@require_safe
def import_errors(request: HttpRequest, uid: str) -> HttpResponse:
    """The uploaded sheet with the wrong cells marked and commented."""
    row = import_for(actor_of(request), uid)
    lines = [Line(number, cells) for number, cells in row.rows]
    heading_row = find_heading(sheet_for(row.kind, row.step), lines)[0].line.number if lines else 1
    rows = [(line.number, line.cells) for line in lines]
    return _download(error_book(rows, row.issues, heading_row=heading_row), "errors.xlsx", XLSX)
