"""The producer's pages of codes: order them, look at one label, print, and write down what went wrong."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from labels import preview, qr
from labels.access import file_for, run_for, runs_visible_to, unit_of, units_of
from labels.actions.checks import forget_checks
from labels.actions.files import order_file, taken_up_at
from labels.actions.runs import (
    apply_codes,
    except_units,
    go_on,
    gtin_for,
    issue_codes,
    record_download,
    record_print,
    require_positions,
    require_range,
    require_unblocked,
    void_run,
)
from labels.actions.sets import CARTON_LAYOUT, issue_packed
from labels.compose import LabelContent
from labels.contents import contents, lot_content, sample_content, uri_of
from labels.forms import APPLIED, ExceptionForm, FileForm, IssueForm, PrintForm, VoidForm
from labels.layouts import Layout
from labels.layouts import layout as layout_of
from labels.lists import RUNS
from labels.models import CodeRun, LabelFile
from labels.packing import carton_size, packings_of, plan_of_run, span
from labels.queries import (
    blocks_of,
    checks_of,
    labelled_products,
    labels_beyond,
    lots_to_label,
    printable_units,
    printed_before,
    tally_of,
)
from labels.sheets import page_count, render_sheet
from trace.access import actor_of, audience, lot_for, product_for
from trace.actions.files import path_of
from trace.actor import Actor
from trace.errors import DomainError, GuardBroken, Invalid, NotFound
from trace.exports import asked_format, export
from trace.identifiers import uuid7
from trace.models import Lot, Unit

PER_PAGE = 50
SUFFIXES = {
    LabelFile.Kind.PDF: (".pdf", "application/pdf"),
    LabelFile.Kind.ZPL: (".zpl", "application/octet-stream"),
    LabelFile.Kind.PACKET: (".zip", "application/zip"),
}


@audience("signed_in")
@require_safe
def run_list(request: HttpRequest) -> HttpResponseBase:
    """Runs, newest first; ``lot`` (a lot code) narrows them."""
    actor = actor_of(request)
    runs = runs_visible_to(actor).order_by("-id")
    wanted = request.GET.get("lot", "").strip()
    if wanted:
        runs = runs.filter(lot__lot_code__iexact=wanted[:40])
    if asked_format(request):
        return export(request, RUNS, runs)
    page = Paginator(runs, PER_PAGE).get_page(request.GET.get("page"))
    return render(request, "labels/runs.html", {"page": page, "wanted": wanted, "may_issue": not actor.is_regulator})


@audience("party")
@require_safe
def choose_product(request: HttpRequest) -> HttpResponse:
    """First step: which product."""
    products = Paginator(labelled_products(actor_of(request)), PER_PAGE).get_page(request.GET.get("page"))
    return render(request, "labels/choose_product.html", {"page": products})


@audience("party")
@require_safe
def choose_lot(request: HttpRequest, uid: str) -> HttpResponse:
    """Second step: which lot. Blocked lots are shown with the reason and cannot be chosen."""
    actor = actor_of(request)
    product = product_for(actor, uid, write=True)
    page = Paginator(lots_to_label(actor, product), PER_PAGE).get_page(request.GET.get("page"))
    blocks = blocks_of(list(page))
    rows = [(lot, blocks[lot.pk][0].hold if lot.pk in blocks else None) for lot in page]
    return render(request, "labels/choose_lot.html", {"product": product, "page": page, "rows": rows})


@audience("party", "operator", "quality")
@require_http_methods(["GET", "HEAD", "POST"])
def order(request: HttpRequest, uid: str) -> HttpResponse:
    """Third step: how many on which labels, look at one at true size, then issue."""
    actor = actor_of(request)
    lot = lot_for(actor, uid, write=True)
    asked = request.POST if request.method == "POST" else request.GET
    form = IssueForm(asked) if "kind" in asked else IssueForm()
    form.fields["per_carton"].help_text = _carton_help(lot)
    context: dict[str, Any] = {"lot": lot, "form": form, "key": str(uuid7()), **_blocked(lot)}
    status = 200
    if form.is_bound and form.is_valid():
        try:
            sample = _sample(lot, form.cleaned_data)  # what does not fit its label is refused before codes are issued
            if request.method == "POST":
                run = _issued(actor, lot, form.cleaned_data)
                messages.success(request, _("已签发 %(n)d 枚。请先试打一枚，再打印。") % {"n": run.count})
                return redirect("labels:run", uid=run.uid)
            context.update(sample)
        except DomainError as error:
            form.add_error(None, error.message)
            status = error.status
    elif form.is_bound:
        status = 422
    return render(request, "labels/order.html", context, status=status)


def _issued(actor: Actor, lot: Lot, wish: dict[str, Any]) -> CodeRun:
    """The run of a wish, with its cartons and pallets where these were wished for."""
    wish = dict(wish)
    carton, pallet = wish.pop("per_carton"), wish.pop("per_pallet")
    if not carton:
        return issue_codes(by=actor, lot=lot, **wish)
    del wish["kind"], wish["level"]
    return issue_packed(by=actor, lot=lot, per_carton=carton, per_pallet=pallet or 0, **wish)


def _blocked(lot: Lot) -> dict[str, Any]:
    """The refusal to show in place of the form where the lot may not be labelled."""
    try:
        require_unblocked(lot)
    except GuardBroken as error:
        return {"refusal": error.message}
    return {}


def _carton_help(lot: Lot) -> str:
    """What the field of the carton's size says: the size the product's entry names."""
    said = carton_size(lot)
    words = _("箱标知道箱里是哪几件：装箱时只扫箱码。不要箱码就不填。")
    return words if said is None else words + _("产品资料写明一箱 %(n)d 件。") % {"n": said}


def _sample(lot: Lot, wish: dict[str, Any]) -> dict[str, Any]:
    """What one label of the wish looks like, and how much paper it takes."""
    found = layout_of(wish["layout"])
    content = sample_content(
        lot,
        kind=wish["kind"],
        public_host=settings.PUBLIC_BASE_URL,
        gtin=gtin_for(lot, wish["kind"], None),
        with_check=wish["checks"],
    )
    return {
        **_looks(content, found, wish["material"]),
        "pages": page_count(wish["count"], found),
        "beyond": labels_beyond(lot, wish["count"]) if _is_of_items(wish) else None,
        "layout": found,
        "wish": wish,
        "cartons": math.ceil(wish["count"] / wish["per_carton"]) if wish["per_carton"] else 0,
        "carton_layout": layout_of(CARTON_LAYOUT),
    }


def _is_of_items(wish: dict[str, Any]) -> bool:
    """Whether the wish is for codes of single items, of which there cannot be more than were made."""
    return bool(wish["kind"] == CodeRun.Kind.UNIT and wish["level"] == Unit.Level.ITEM)


@audience("signed_in")
@require_safe
def run_detail(request: HttpRequest, uid: str) -> HttpResponse:
    """One run: what it is, one label at true size, printing, exceptions, history."""
    return _run_page(request, run_for(actor_of(request), uid))


def _run_page(
    request: HttpRequest, run: CodeRun, *, status: int = 200, error: DomainError | None = None, **forms: Any
) -> HttpResponse:
    """The page of a run, with a form that was wrong where there is one."""
    actor = actor_of(request)
    found = layout_of(run.layout)
    printed = printed_before(run)
    context = {
        "run": run,
        "layout": found,
        **_looks_or_why_not(run, found),
        "tally": tally_of(run) if run.kind == CodeRun.Kind.UNIT else None,
        "steps": run.steps.select_related("by", "by_organisation"),
        "exceptions": run.exceptions.select_related("unit", "by")[:PER_PAGE],
        "printed": printed,
        "uri": uri_of(run, units_of(run).first() if run.kind == CodeRun.Kind.UNIT else None),
        "may_print": not actor.is_regulator and actor.can("operator", "quality") and run.status != CodeRun.Status.VOID,
        "print_form": PrintForm(run=run, layout=found, printed=printed),
        "files": run.files.select_related("by")[:PER_PAGE],
        "file_form": FileForm(run=run, layout=found, before=_file_before(run), initial={"key": str(uuid7())}),
        "beyond": labels_beyond(run.lot) if run.kind == CodeRun.Kind.UNIT else None,
        "packings": packings_of(run) if run.kind == CodeRun.Kind.UNIT else [],
        "checked": checks_of(run) if run.checks else None,
        "exception_form": ExceptionForm(),
        "void_form": VoidForm(),
        "error": error,
        **_blocked(run.lot),
        **forms,
    }
    return render(request, "labels/run.html", context, status=status)


def _looks(content: LabelContent, layout: Layout, material: str) -> dict[str, Any]:
    """One label at true size, and the names of what it has no room for."""
    of = qr.Material(material)
    return {
        "sample": SafeString(preview.label_svg(content, layout, material=of)),
        "left_out": preview.left_out(content, layout, material=of),
    }


def _looks_or_why_not(run: CodeRun, layout: Layout) -> dict[str, Any]:
    """A run's first label, or why its texts do not fit the layout it was issued for."""
    try:
        return _looks(_first_content(run), layout, run.material)
    except Invalid as error:
        return {"does_not_fit": error.message}


def _file_before(run: CodeRun) -> LabelFile | None:
    """The last file on this layout: its printer is the one that will be used again."""
    return LabelFile.objects.filter(organisation=run.organisation, run__layout=run.layout).order_by("-id").first()


def _first_content(run: CodeRun) -> LabelContent:
    """The run's first label."""
    return lot_content(run) if run.kind == CodeRun.Kind.LOT else contents(run, [unit_of(run, 1)])[0]


@audience("party", "operator", "quality")
@require_POST
def print_run(request: HttpRequest, uid: str) -> HttpResponse:
    """The labels as PDF; the print (or reprint, with its reason) is written down before the paper is handed out."""
    actor = actor_of(request)
    run = run_for(actor, uid, write=True)
    found = layout_of(run.layout)
    if request.POST.get("test"):
        return _print(request, run, found, first=1, last=1, test=True)
    form = PrintForm(request.POST, run=run, layout=found)
    if not form.is_valid():
        return _run_page(request, run, status=422, print_form=form)
    try:
        return _print(
            request,
            run,
            found,
            first=form.cleaned_data["first"],
            last=form.cleaned_data["last"],
            start=form.cleaned_data.get("start") or 1,
            crop_marks=form.cleaned_data.get("crop_marks", False),
            offset=(form.cleaned_data["offset_x"] or 0.0, form.cleaned_data["offset_y"] or 0.0),
            reason=form.cleaned_data["reason"],
        )
    except Invalid as error:
        fields = {
            "bad_offset": "offset_x",
            "reprint_reason_required": "reason",
            "bad_range": "last",
            "too_many_labels": "last",
            "bad_start": "start",
        }
        field = fields.get(error.code)
        form.add_error(field if field in form.fields else None, error.message)
        return _run_page(request, run, status=422, print_form=form)


def _print(
    request: HttpRequest,
    run: CodeRun,
    found: Layout,
    *,
    first: int,
    last: int,
    start: int = 1,
    crop_marks: bool = False,
    offset: tuple[float, float] = (0.0, 0.0),
    reason: str = "",
    test: bool = False,
) -> HttpResponse:
    """Draw, write down, hand out: a drawing that fails leaves no record of a print that never was."""
    require_unblocked(run.lot)
    require_range(run, first, last)
    if run.kind == CodeRun.Kind.LOT:
        wanted = [lot_content(run)] * max(last - first + 1, 0)
    else:
        wanted = contents(run, printable_units(run, first, last), reveal=not test)
    title = f"{run.lot.product_version.label} {run.lot.code}"
    document = render_sheet(
        wanted,
        found,
        start=start,
        crop_marks=crop_marks,
        material=qr.Material(run.material),
        title=title,
        offset=offset,
    )
    record_print(by=actor_of(request), run=run, first=first, last=last, reason=reason, test=test)
    answer = HttpResponse(document, content_type="application/pdf")
    answer["Content-Disposition"] = f'inline; filename="labels-{str(run.uid)[-12:]}-{first}-{last}.pdf"'
    answer["Cache-Control"] = "private, no-store"
    return answer


@audience("party", "operator", "quality")
@require_POST
def make_file(request: HttpRequest, uid: str) -> HttpResponse:
    """Order a file with many labels; the worker makes it."""
    actor = actor_of(request)
    run = run_for(actor, uid, write=True)
    form = FileForm(request.POST, run=run, layout=layout_of(run.layout))
    if not form.is_valid():
        return _run_page(request, run, status=422, file_form=form)
    wish = form.cleaned_data
    try:
        file = order_file(
            by=actor,
            run=run,
            key=wish["key"],
            kind=wish["kind"],
            first=wish["first"],
            last=wish["last"],
            start=wish.get("start") or 1,
            crop_marks=wish.get("crop_marks", False),
            offset=form.offset(),
            reason=wish["reason"],
            with_checks=wish.get("checks", False),
        )
    except DomainError as error:
        fields = {
            "reprint_reason_required": "reason",
            "bad_range": "last",
            "bad_start": "start",
            "bad_offset": "offset_x",
            "zpl_needs_roll": "kind",
        }
        field = fields.get(error.code)
        form.add_error(field if field in form.fields else None, error.message)
        return _run_page(request, run, status=error.status, file_form=form)
    return redirect("labels:file", uid=run.uid, file_uid=file.uid)


@audience("party")
@require_safe
def file_detail(request: HttpRequest, uid: str, file_uid: str) -> HttpResponse:
    """One file: how far the worker is, then its parts."""
    file = file_for(actor_of(request), uid, file_uid)
    context = {
        "file": file,
        "run": file.run,
        "parts": file.parts.all(),
        "refresh": file.is_open,
        "taken_up_at": taken_up_at(file, timezone.now()),
        **_blocked(file.run.lot),
    }
    return render(request, "labels/file.html", context)


@audience("party", "operator", "quality")
@require_POST
def file_part(request: HttpRequest, uid: str, file_uid: str, number: int) -> HttpResponseBase:
    """One part of a released file; the download is written down first. Refused for a blocked lot, as printing is."""
    actor = actor_of(request)
    file = file_for(actor, uid, file_uid)
    part = file.parts.filter(number=number).first() if file.status == LabelFile.Status.RELEASED else None
    if part is None:
        raise NotFound(_("没有找到，或者您无权查看。"))
    path = path_of(part.sha256)
    if not part.size or not path.exists():
        raise NotFound(_("这份文件已过保存期，请重新制作。"), code="file_gone")
    suffix, media_type = SUFFIXES[LabelFile.Kind(file.kind)]
    name = f"labels-{str(file.run.uid)[-12:]}-{part.first}-{part.last}{suffix}"
    what = name
    if file.checks:
        what = _("%(name)s（含校验码）") % {"name": name}
    record_download(by=actor, run=file.run, first=part.first, last=part.last, what=what)
    answer = FileResponse(path.open("rb"), content_type=media_type, as_attachment=True, filename=name)
    answer["Cache-Control"] = "private, no-store"
    return answer


@audience("party", "operator", "quality")
@require_POST
def resume(request: HttpRequest, uid: str) -> HttpResponse:
    """Let a run go on that stopped while it was issued."""
    actor = actor_of(request)
    run = run_for(actor, uid, write=True)
    try:
        go_on(by=actor, run=run)
    except DomainError as error:
        messages.error(request, error.message)
    return redirect("labels:run", uid=run.uid)


@audience("party", "operator", "quality")
@require_POST
def destroy_checks(request: HttpRequest, uid: str) -> HttpResponse:
    """Destroy what a run's check codes are made from, after printing."""
    actor = actor_of(request)
    run = run_for(actor, uid, write=True)
    try:
        forget_checks(by=actor, run=run)
    except DomainError as error:
        messages.error(request, error.message)
    else:
        messages.success(request, _("校验码的原文已销毁。消费者仍可核对，标签不能再打印。"))
    return redirect("labels:run", uid=run.uid)


@audience("signed_in")
@require_safe
def label_svg(request: HttpRequest, uid: str) -> HttpResponse:
    """One label of a run as SVG at true size (``number``, from 1). Refused for a blocked lot, as printing is."""
    run = run_for(actor_of(request), uid)
    require_unblocked(run.lot)
    content = lot_content(run) if run.kind == CodeRun.Kind.LOT else contents(run, [_asked_unit(request, run)])[0]
    drawn = preview.label_svg(content, layout_of(run.layout), material=qr.Material(run.material))
    return HttpResponse(drawn, content_type="image/svg+xml")


@audience("party", "operator", "quality")
@require_POST
def code_svg(request: HttpRequest, uid: str) -> HttpResponse:
    """One code alone as SVG, for one's own artwork; the download is written down first. Refused for a blocked lot."""
    uri, material = _handed_out(request, uid, "code.svg")
    answer = HttpResponse(preview.code_svg(uri, material=material), content_type="image/svg+xml")
    answer["Content-Disposition"] = 'attachment; filename="code.svg"'
    return answer


@audience("party", "operator", "quality")
@require_POST
def code_png(request: HttpRequest, uid: str) -> HttpResponse:
    """One code alone as PNG at 300 dpi; the download is written down first. Refused for a blocked lot."""
    uri, material = _handed_out(request, uid, "code.png")
    answer = HttpResponse(preview.code_png(uri, material=material), content_type="image/png")
    answer["Content-Disposition"] = 'attachment; filename="code.png"'
    return answer


@audience("party", "operator", "quality")
@require_POST
def label_png(request: HttpRequest, uid: str) -> HttpResponse:
    """One whole label as PNG at 600 dpi, for one's own artwork, a check code hidden; the download is written down
    first. Refused for a blocked lot.
    """
    actor = actor_of(request)
    run = run_for(actor, uid, write=True)
    unit = None if run.kind == CodeRun.Kind.LOT else unit_of(run, _number(request.POST.get("number", "1")))
    content = lot_content(run) if unit is None else contents(run, [unit])[0]
    drawn = preview.label_png(content, layout_of(run.layout), material=qr.Material(run.material))
    place = 1 if unit is None else unit.number - run.first_number + 1
    record_download(by=actor, run=run, first=place, last=place, what="label.png")
    answer = HttpResponse(drawn, content_type="image/png")
    answer["Content-Disposition"] = 'attachment; filename="label.png"'
    return answer


def _handed_out(request: HttpRequest, uid: str, what: str) -> tuple[str, qr.Material]:
    """The address of one label of a run, and what it is printed on, with the download written down."""
    actor = actor_of(request)
    run = run_for(actor, uid, write=True)
    unit = None if run.kind == CodeRun.Kind.LOT else unit_of(run, _number(request.POST.get("number", "1")))
    place = 1 if unit is None else unit.number - run.first_number + 1
    record_download(by=actor, run=run, first=place, last=place, what=what)
    return uri_of(run, unit), qr.Material(run.material)


def _asked_unit(request: HttpRequest, run: CodeRun) -> Unit:
    """The unit at the position the address asks for (``number``, from 1; the first by default)."""
    return unit_of(run, _number(request.GET.get("number", "1")))


def _number(text: str) -> int:
    """A position as it was typed; 0, which is nobody's, for what is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0


@audience("signed_in")
@require_safe
def run_codes(request: HttpRequest, uid: str) -> HttpResponse:
    """The codes of a run, in pages."""
    run = run_for(actor_of(request), uid)
    page = Paginator(units_of(run), PER_PAGE).get_page(request.GET.get("page"))
    plan = plan_of_run(run)
    rows = [(unit, span(plan, unit.number).replace("-", "–") if plan is not None else "") for unit in page]
    return render(request, "labels/codes.html", {"run": run, "page": page, "rows": rows, "plan": plan})


class _Echo:
    """A file that hands back what is written to it, so that a CSV can be streamed row by row."""

    def write(self, value: str) -> str:
        """The row itself."""
        return value


@audience("party", "operator", "quality")
@require_POST
def codes_csv(request: HttpRequest, uid: str) -> StreamingHttpResponse:
    """All usable codes of a run with their addresses, for a printer of one's own; the download is written down first.
    Refused for a blocked lot.
    """
    run = run_for(actor_of(request), uid, write=True)
    name = f"codes-{str(run.uid)[-12:]}.csv"
    record_download(by=actor_of(request), run=run, first=1, last=run.issued, what=name)
    answer = StreamingHttpResponse(_csv_rows(run), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


def _csv_rows(run: CodeRun) -> Iterator[str]:
    """The rows; a byte order mark first, by which spreadsheet programs know the encoding."""
    writer = csv.writer(_Echo())
    yield "\ufeff" + str(writer.writerow([_("序号"), _("码"), _("网址")]))
    if run.kind == CodeRun.Kind.LOT:
        yield str(writer.writerow([1, run.lot.public_code, uri_of(run, None)]))
        return
    units = units_of(run).exclude(state__in=[Unit.State.SPOILED, Unit.State.VOID])
    for unit in units.iterator(chunk_size=2000):
        yield str(writer.writerow([unit.number, unit.code, uri_of(run, unit)]))


@audience("party", "operator", "quality")
@require_POST
def except_codes(request: HttpRequest, uid: str) -> HttpResponse:
    """Write down that labels are spoiled or codes void."""
    actor = actor_of(request)
    run = run_for(actor, uid, write=True)
    form = ExceptionForm(request.POST)
    if not form.is_valid():
        return _run_page(request, run, status=422, exception_form=form)
    first = form.cleaned_data["first"]
    last = form.cleaned_data["last"] or first
    try:
        if form.cleaned_data["kind"] == APPLIED:
            n = apply_codes(by=actor, run=run, first=first, last=last, reason=form.cleaned_data["reason"])
            messages.success(request, _("已登记 %(n)d 枚。") % {"n": n})
            return redirect("labels:run", uid=run.uid)
        require_positions(run, first, last)
        units = units_of(run).filter(number__gte=run.first_number + first - 1, number__lte=run.first_number + last - 1)
        done = except_units(
            by=actor, units=list(units), kind=form.cleaned_data["kind"], reason=form.cleaned_data["reason"]
        )
    except DomainError as error:
        form.add_error("last" if error.code == "bad_range" else None, error.message)
        return _run_page(request, run, status=error.status, exception_form=form)
    messages.success(request, _("已登记 %(n)d 枚。") % {"n": len(done)})
    return redirect("labels:run", uid=run.uid)


@audience("party", "operator", "quality")
@require_http_methods(["GET", "HEAD", "POST"])
def void(request: HttpRequest, uid: str) -> HttpResponse:
    """Make every code of a run void, after a page that says what that means."""
    actor = actor_of(request)
    run = run_for(actor, uid, write=True)
    form = VoidForm(request.POST or None)
    status = 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            try:
                void_run(by=actor, run=run, reason=form.cleaned_data["reason"])
            except DomainError as error:
                form.add_error(None, error.message)
                status = error.status
            else:
                messages.success(request, _("这次签发的码已全部作废。"))
                return redirect("labels:run", uid=run.uid)
    return render(request, "labels/void.html", {"run": run, "form": form, "tally": tally_of(run)}, status=status)
