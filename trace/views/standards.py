"""The catalogue of standards for everybody, its editing by regulators, and a product's own stricter limits."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from django.contrib import messages
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from trace.access import actor_of, audience, product_readable_for
from trace.actions.limits import (
    add_edition,
    add_limit,
    date_standard,
    declare_limits,
    state_limit,
    subject_of_standard,
)
from trace.actor import Actor
from trace.errors import NotFound
from trace.event_templates import TemplateField
from trace.exports import asked_format, export
from trace.forms.fields import attempt
from trace.forms.limits import DatesForm, DeclaredForm, EditionForm, LimitForm, NewLimitForm
from trace.limits import Book, tests_of
from trace.lists import LIMITS, STANDARDS
from trace.models import Limit, LimitVersion, Product, Standard
from trace.result_words import basis_words, condition_words, limit_words, value_words
from trace.templatetags.ui import unit_name
from trace.views.pages import edits_of, form_page

FORM = ["GET", "HEAD", "POST"]


@dataclass(frozen=True)
class LimitLine:
    """One limit in words; ``state`` is ``verified``, ``unverified`` or ``unknown`` (no number: judges nothing)."""

    limit: Limit
    words: str
    condition: str
    basis: str
    state: str


def limit_line(limit: Limit) -> LimitLine:
    """A limit as the catalogue's pages show it."""
    words = value_words(limit.operator, limit.value, limit.grades, unit_name(limit.unit) if limit.unit else "")
    state = "unknown" if not words else "verified" if limit.verified_at is not None else "unverified"
    return LimitLine(limit, words, condition_words(limit.applies), basis_words(limit.basis), state)


@audience("public")
@require_safe
def standard_list(request: HttpRequest) -> HttpResponseBase:
    """Every edition of the catalogue with how many limits it has and how many of these were checked."""
    query = "".join(char for char in request.GET.get("q", "")[:60] if char.isprintable()).strip()
    rows = Standard.objects.annotate(
        n=Count("limits"), checked=Count("limits", filter=Q(limits__verified_at__isnull=False))
    )
    if query:
        rows = rows.filter(Q(number__icontains=query) | Q(title__icontains=query) | Q(limits__name__icontains=query))
    if asked_format(request):
        return export(request, STANDARDS, rows.distinct().order_by("number"))
    context = {"rows": rows.distinct().order_by("number"), "query": query, "today": timezone.localdate()}
    return render(request, "trace/standards/list.html", context)


@audience("public")
@require_safe
def standard(request: HttpRequest, key: str) -> HttpResponseBase:
    """One edition: when it is in force, its limits with how they are known, what was changed by whom."""
    row = _standard(key)
    if asked_format(request):
        return export(request, LIMITS, row.limits.select_related("standard").order_by("id"))
    versions = LimitVersion.objects.filter(limit__standard=row, number__gt=0).select_related("limit", "by_organisation")
    context = {
        "standard": row,
        "today": timezone.localdate(),
        "lines": [limit_line(limit) for limit in row.limits.select_related("verified_by").order_by("id")],
        "before": list(row.replaces.all()),
        "versions": [_version_line(version) for version in versions.order_by("-at", "-id")[:50]],
        "edits": edits_of(subject_of_standard(row)),
        "may_edit": _edits(getattr(request, "actor", None)),
    }
    return render(request, "trace/standards/detail.html", context)


@dataclass(frozen=True)
class VersionLine:
    """One thing said of a limit, in words."""

    version: LimitVersion
    words: str
    condition: str


def _version_line(version: LimitVersion) -> VersionLine:
    unit = unit_name(version.unit) if version.unit else ""
    words = value_words(version.operator, version.value, version.grades, unit)
    return VersionLine(version, words, condition_words(version.applies))


def _edits(actor: Actor | None) -> bool:
    """Whether the reader edits the catalogue."""
    return actor is not None and actor.is_regulator and actor.can("officer", "approver")


def _standard(key: str) -> Standard:
    row = Standard.objects.select_related("replaced_by", "verified_by").filter(pk=key).first()
    if row is None:
        raise NotFound(_("标准目录里没有这个版本。"))
    return row


@audience("regulator", "officer", "approver")
@require_http_methods(FORM)
def limit_edit(request: HttpRequest, key: str, number: int) -> HttpResponse:
    """A regulator writes or verifies one limit; everything said of it before stands below the form."""
    row = _standard(key)
    limit = row.limits.filter(pk=number).first() if number < 2**63 else None
    if limit is None:
        raise NotFound(_("没有找到，或者您无权查看。"))
    form = LimitForm(request.POST or None, limit=limit, initial=LimitForm.initial_of(limit))
    if request.method == "POST" and form.is_valid():
        seen = request.POST.get("seen", "")
        version = int(seen) if seen.isascii() and seen.isdigit() and len(seen) < 9 else None
        done = attempt(
            form,
            lambda: state_limit(by=actor_of(request), limit=limit, said=form.said(), seen=version),
            form.field_names(),
        )
        if done is not None:
            messages.success(request, _("已保存。改动只用于以后登记的报告，以前的判定不变。"))
            return redirect("trace:standard", key=row.key)
    versions = limit.versions.select_related("by", "by_organisation").order_by("-number")
    return form_page(
        request,
        form,
        title=_("%(number)s：%(name)s") % {"number": row.number, "name": limit.name},
        intro=_("改动只用于以后登记的报告，以前的判定不变。"),
        back=reverse("trace:standard", args=[row.key]),
        template="trace/standards/limit.html",
        versions=[_version_line(version) for version in versions],
        seen=limit.version,
        line=limit_line(limit),
    )


@audience("regulator", "officer", "approver")
@require_http_methods(FORM)
def limit_new(request: HttpRequest, key: str) -> HttpResponse:
    """A further limit of an item for another age of the lot."""
    row = _standard(key)
    form = NewLimitForm(request.POST or None, standard=row)
    if request.method == "POST" and form.is_valid():
        done = attempt(
            form,
            lambda: add_limit(
                by=actor_of(request), standard=row, parameter=form.cleaned_data["parameter"], said=form.said()
            ),
            form.field_names(),
        )
        if done is not None:
            messages.success(request, _("已保存。改动只用于以后登记的报告，以前的判定不变。"))
            return redirect("trace:standard", key=row.key)
    return form_page(
        request, form, title=_("另加一个批龄的限值"), back=reverse("trace:standard", args=[row.key]), intro=str(row)
    )


@audience("regulator", "officer", "approver")
@require_http_methods(FORM)
def edition_new(request: HttpRequest, key: str) -> HttpResponse:
    """The next edition of a standard."""
    row = _standard(key)
    form = EditionForm(request.POST or None, initial={"title": row.title})
    if request.method == "POST" and form.is_valid():
        made = attempt(form, lambda: add_edition(by=actor_of(request), standard=row, edition=form.edition()))
        if made is not None:
            messages.success(request, _("新版本已登记，请逐项补录限值；补录之前不判定。"))
            return redirect("trace:standard", key=made.key)
    return form_page(
        request,
        form,
        title=_("登记 %(number)s 的新版本") % {"number": row.number or row.title},
        intro=_("旧版本到新版本实施之日为止。生产日期在这之前的批次仍按旧版本判定。"),
        back=reverse("trace:standard", args=[row.key]),
    )


@audience("regulator", "officer", "approver")
@require_http_methods(FORM)
def standard_dates(request: HttpRequest, key: str) -> HttpResponse:
    """From when to when an edition is in force."""
    row = _standard(key)
    form = DatesForm(request.POST or None, initial={"effective_on": row.effective_on, "ended_on": row.ended_on})
    if request.method == "POST" and form.is_valid():
        done = attempt(form, lambda: date_standard(by=actor_of(request), standard=row, **form.cleaned_data))
        if done is not None:
            messages.success(request, _("已保存，变更已记录。"))
            return redirect("trace:standard", key=row.key)
    return form_page(request, form, title=str(row), back=reverse("trace:standard", args=[row.key]))


# --- A product's own limits -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DeclaredLine:
    """One item of a product's tests: the standard's limit for goods made today, and the fields of the form."""

    test: TemplateField
    law: str
    source: str
    operator: str
    field: str
    value: str
    sign: str


@audience("signed_in")
@require_http_methods(FORM)
def product_limits(request: HttpRequest, uid: uuid.UUID) -> HttpResponse:
    """The limits a product is judged by: the standard's, and the producer's pledge where it is stricter."""
    actor = actor_of(request)
    product = product_readable_for(actor, uid)
    if product.current is None:
        raise NotFound(_("没有找到，或者您无权查看。"))
    tests = _declarable(product)
    may_edit = not actor.is_regulator and actor.owner.pk == product.organisation_id
    may_edit = may_edit and actor.can("operator", "quality") and product.ended_at is None
    declared = product.current.declared_limits
    rows = _declared_lines(product, tests)
    usual = {row.test.key: row.sign for row in rows}
    form = DeclaredForm(request.POST or None, tests=tests, declared=declared, usual=usual) if may_edit else None
    if request.method == "POST" and form is None:
        raise NotFound(_("没有找到，或者您无权查看。"))
    if form is not None and request.method == "POST" and form.is_valid():
        seen = request.POST.get("seen", "")
        number = int(seen) if seen.isascii() and seen.isdigit() and len(seen) < 9 else None
        names = {test.key: f"value_{test.key}" for test in tests}
        limits = form.limits()
        made = attempt(form, lambda: declare_limits(by=actor, row=product, limits=limits, seen=number), names)
        if made is not None:
            messages.success(request, _("已保存为第 %(number)d 版，用于以后的批次。") % {"number": made.number})
            return redirect("trace:product_limits", uid=product.uid)
    context = {
        "product": product,
        "rows": rows,
        "form": form,
        "seen": product.current.number,
    }
    status = 422 if form is not None and form.errors else 200
    return render(request, "trace/standards/product.html", context, status=status)


def _declarable(product: Product) -> list[TemplateField]:
    """The items a producer may pledge a limit for: what is converted is pledged at 100 %vol, not as measured."""
    tests = tests_of(product)
    sources = {test.computed_from[0] for test in tests.values() if test.computed_rule == "at_100_vol"}
    return [test for key, test in tests.items() if key not in sources]


def _declared_lines(product: Product, tests: Sequence[TemplateField]) -> list[DeclaredLine]:
    """The rows of the page."""
    version = product.current
    if version is None:
        return []
    today = timezone.localdate()
    book = Book(version, tests, today, today)
    lines = []
    for test in tests:
        rules, _why = book.rules(test)
        law = next((rule for rule in rules if rule.kind == "catalogue"), None)
        unit = unit_name(test.unit) if test.unit else ""
        said = version.declared_limits.get(test.key)
        lines.append(
            DeclaredLine(
                test=test,
                law=limit_words(law.operator, law.value, unit_name(law.unit) if law.unit else "") if law else "",
                source=law.source if law else "",
                operator=f"op_{test.key}",
                field=f"value_{test.key}",
                value=limit_words(said["operator"], said["value"], unit) if said else "",
                sign=law.operator if law and law.operator else "<=",
            )
        )
    return lines
