"""Pages of the registry: places, products with their versions, GTIN claims, certificates."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods, require_POST

from trace.access import (
    actor_of,
    audience,
    certificate_for,
    certificates_visible_to,
    conflicts_visible_to,
    organisations_supervised_by,
    place_readable_for,
    places_readable_by,
    product_readable_for,
    products_readable_by,
)
from trace.actions.organisations import require_supervisor
from trace.actions.registry import (
    PLACE_FACTS,
    claim_gtin,
    create_place,
    create_product,
    decide_gtin_claim,
    edit_place,
    edit_product,
    end_place,
    end_product,
    grant_certificate,
    may_certify,
    reopen_place,
    reopen_product,
    revoke_certificate,
    say_material,
)
from trace.actor import Actor
from trace.errors import Invalid, NotFound
from trace.exports import asked_format, export
from trace.forms.fields import attempt
from trace.forms.organisations import NoteForm, ReasonForm
from trace.forms.registry import (
    CertificateForm,
    GtinForm,
    MaterialForm,
    PlaceForm,
    ProductForm,
    VersionForm,
    harvest_initial,
)
from trace.limits import tests_of
from trace.lists import CERTIFICATES, PLACES, PRODUCTS
from trace.models import Conflict, Organisation, Place, Product, ProductVersion, Stock
from trace.result_words import limit_words
from trace.views.pages import edits_of, form_page, page_of

GET = ["GET", "HEAD"]
FORM = ["GET", "HEAD", "POST"]


# --- Places ---------------------------------------------------------------------------------------------------------


@audience("signed_in")
@require_http_methods(GET)
def place_list(request: HttpRequest) -> HttpResponseBase:
    """The places of the organisation (and, for a cooperative, of its growers); for regulators of their territory."""
    actor = actor_of(request)
    rows = places_readable_by(actor).order_by("ended_at", "organisation__name", "name", "id")
    query = _query(request)
    if query:
        rows = rows.filter(Q(name__icontains=query) | Q(organisation__name__icontains=query))
    if asked_format(request):
        return export(request, PLACES, rows)
    context = {"page": page_of(request, rows), "query": query, "may_edit": _enters(actor), "several": _several(actor)}
    return render(request, "trace/registry/places.html", context)


@audience("party", "operator", "quality")
@require_http_methods(FORM)
def place_new(request: HttpRequest) -> HttpResponse:
    """A new place: first its kind, then what is asked of that kind."""
    actor = actor_of(request)
    kind = request.GET.get("kind", "")
    if kind not in Place.Kind.values:
        return render(request, "trace/registry/place_kinds.html", {"kinds": Place.Kind.choices})
    form = PlaceForm(request.POST or None, kind=kind, initial={"division": actor.owner.division_id})
    if request.method == "POST" and form.is_valid():
        made = attempt(form, lambda: create_place(by=actor, place=form.place()), _fact_names(form))
        if made is not None:
            messages.success(request, _("已登记地点“%(name)s”。") % {"name": made.name})
            return redirect("trace:place", uid=made.uid)
    title = _("登记地点：%(kind)s") % {"kind": Place.Kind(kind).label}
    return form_page(request, form, title=title, back=reverse("trace:place_list"), submit=_("登记"))


def _fact_names(form: PlaceForm) -> dict[str, str]:
    return {f"facts.{key}": field for field, key in form.facts.items()}


@audience("signed_in")
@require_http_methods(GET)
def place(request: HttpRequest, uid: uuid.UUID) -> HttpResponse:
    """One place: what is known of it, what lies there, what was changed."""
    actor = actor_of(request)
    found = place_readable_for(actor, uid)
    words = PLACE_FACTS.get(found.kind, {})
    stocks = Stock.objects.filter(place=found).exclude(micros=0).select_related("lot", "lot__product__current")
    context = {
        "place": found,
        "facts": [(words[key], value) for key, value in found.facts.items() if key in words],
        "stocks": stocks.order_by("-id")[:50],
        "edits": edits_of(f"place:{found.uid}"),
        "may_edit": _may_change(actor, found.organisation_id),
    }
    return render(request, "trace/registry/place.html", context)


@audience("party", "operator", "quality")
@require_http_methods(FORM)
def place_edit(request: HttpRequest, uid: uuid.UUID) -> HttpResponse:
    """Change a place."""
    actor = actor_of(request)
    found = _own_place(actor, uid)
    form = PlaceForm(request.POST or None, kind=found.kind, initial=PlaceForm.initial_of(found))
    if attempt(form, lambda: edit_place(row=found, place=form.place(), by=actor), _fact_names(form)) is not None:
        messages.success(request, _("已保存，变更已记录。"))
        _warn_of_later(request, conflicts_visible_to(actor).filter(lot__origin_place=found))
        return redirect("trace:place", uid=found.uid)
    return form_page(request, form, title=found.name, back=reverse("trace:place", args=[found.uid]))


@audience("party", "operator", "quality")
@require_POST
def place_end(request: HttpRequest, uid: uuid.UUID) -> HttpResponse:
    """Take a place out of use."""
    actor = actor_of(request)
    end_place(row=_own_place(actor, uid), by=actor)
    messages.success(request, _("地点已停用。"))
    return redirect("trace:place", uid=uid)


@audience("party", "operator", "quality")
@require_POST
def place_reopen(request: HttpRequest, uid: uuid.UUID) -> HttpResponse:
    """Use a place again."""
    actor = actor_of(request)
    reopen_place(row=_own_place(actor, uid), by=actor)
    messages.success(request, _("地点已重新启用。"))
    return redirect("trace:place", uid=uid)


def _own_place(actor: Actor, uid: uuid.UUID) -> Place:
    """A place the actor may change: its own, or the grower's it acts for."""
    found = place_readable_for(actor, uid)
    if not _may_change(actor, found.organisation_id):
        raise NotFound(_("没有找到，或者您无权查看。"))
    return found


# --- Products -------------------------------------------------------------------------------------------------------


@audience("signed_in")
@require_http_methods(GET)
def product_list(request: HttpRequest) -> HttpResponseBase:
    """The products of the organisation (and, for a cooperative, of its growers); for regulators of their territory."""
    actor = actor_of(request)
    rows = products_readable_by(actor).order_by("ended_at", "organisation__name", "code", "id")
    query = _query(request)
    if query:
        rows = rows.filter(
            Q(code__icontains=query)
            | Q(current__name__icontains=query)
            | Q(current__name_en__icontains=query)
            | Q(gtin__endswith=query)
            | Q(organisation__name__icontains=query)
        )
    if asked_format(request):
        return export(request, PRODUCTS, rows)
    context = {"page": page_of(request, rows), "query": query, "may_edit": _enters(actor), "several": _several(actor)}
    return render(request, "trace/registry/products.html", context)


@audience("party", "operator", "quality")
@require_http_methods(FORM)
def product_new(request: HttpRequest) -> HttpResponse:
    """A new product with its first version; of a grower, who registers on a phone, first only what it must say."""
    actor = actor_of(request)
    grower = actor.owner.kind == Organisation.Kind.GROWER
    form = ProductForm(
        request.POST or None, organisation=actor.owner, initial=harvest_initial(actor.owner) if grower else None
    )
    if request.method == "POST" and form.is_valid():
        made = attempt(
            form,
            lambda: create_product(by=actor, product=form.product(), version=form.version()),
            form.pack_errors(),
        )
        if made is not None:
            messages.success(request, _("已登记产品“%(name)s”。") % {"name": form.cleaned_data["name"]})
            return redirect("trace:lot_new") if grower else redirect("trace:product", uid=made.uid)
    return form_page(
        request,
        form,
        short=grower and not (set(form.errors) - {"name", "code", "family", "base_unit"}),
        title=_("登记产品"),
        back=reverse("trace:product_list"),
        submit=_("登记产品"),
        template="trace/registry/product_form.html",
    )


LABELS = {
    "packs": gettext_lazy("包装"),
    "standard": gettext_lazy("执行标准"),
    "standard_text": gettext_lazy("企业标准"),
}


@dataclass(frozen=True)
class Change:
    """One field that a version changed."""

    label: str
    old: Any
    new: Any


@dataclass(frozen=True)
class VersionStory:
    """One version with what it changed against the one before (nothing for the first)."""

    version: ProductVersion
    changes: list[Change]


def version_stories(product: Product) -> list[VersionStory]:
    """All versions of a product, newest first, each with its changes."""
    versions = list(product.versions.select_related("by", "standard").order_by("number"))
    tests = {key: field.label() for key, field in tests_of(product).items()}
    stories = []
    for before, version in zip([None, *versions], versions, strict=False):
        changes = []
        for model_field in ProductVersion._meta.fields:
            name = model_field.name
            if name in ("id", "uid", "product", "number", "by", "at") or before is None:
                continue
            old, new = (_shown(getattr(each, name), tests) for each in (before, version))
            if old != new:
                label = (
                    _("包装") if name == "packs" else _("执行标准") if name == "standard" else model_field.verbose_name
                )
                changes.append(Change(str(label), old, new))
        stories.append(VersionStory(version, changes))
    return stories[::-1]


def _shown(value: Any, tests: Mapping[str, str]) -> str:
    """A version's value in words; ``tests`` names the items of declared limits."""
    if isinstance(value, dict):
        words = {
            tests.get(name, name): each if isinstance(each, str) else limit_words(each["operator"], each["value"], "")
            for name, each in value.items()
        }
        return _("、").join(f"{name}={size}" for name, size in words.items())
    return "" if value is None else str(value)


@audience("signed_in")
@require_http_methods(GET)
def product(request: HttpRequest, uid: uuid.UUID) -> HttpResponse:
    """One product: what it says of itself now, and every version before."""
    actor = actor_of(request)
    found = product_readable_for(actor, uid)
    return _product_page(request, actor, found, None)


def _product_page(request: HttpRequest, actor: Actor, found: Product, form: forms.Form | None) -> HttpResponse:
    context = {
        "product": found,
        "version": found.current,
        "stories": version_stories(found),
        "edits": edits_of(f"product:{found.uid}"),
        "certificates": certificates_visible_to(actor).filter(product=found).order_by("-valid_until"),
        "may_edit": _may_change(actor, found.organisation_id),
        "may_decide": actor.is_regulator and actor.can("officer", "approver"),
        "form": form or NoteForm(),
    }
    status = 422 if form is not None and form.errors else 200
    return render(request, "trace/registry/product.html", context, status=status)


def _own_product(actor: Actor, uid: uuid.UUID) -> Product:
    """A product the actor may change: its own, or the grower's it acts for."""
    found = product_readable_for(actor, uid)
    if not _may_change(actor, found.organisation_id):
        raise NotFound(_("没有找到，或者您无权查看。"))
    return found


@audience("party", "operator", "quality")
@require_http_methods(FORM)
def product_edit(request: HttpRequest, uid: uuid.UUID) -> HttpResponse:
    """A change of what a product says of itself: a new version."""
    actor = actor_of(request)
    found = _own_product(actor, uid)
    current = found.current
    if current is None:
        raise NotFound(_("没有找到，或者您无权查看。"))
    form = VersionForm(
        request.POST or None,
        organisation=found.organisation,
        base_unit=found.base_unit,
        initial=VersionForm.initial_of(current),
    )
    if request.method == "POST" and form.is_valid():
        seen = request.POST.get("seen", "")
        number = int(seen) if seen.isascii() and seen.isdigit() and len(seen) < 9 else None
        made = attempt(
            form,
            lambda: edit_product(row=found, version=form.version(), by=actor, seen=number),
            form.pack_errors(),
        )
        if made is not None:
            words = _("没有变化。") if made == current else _("已保存为第 %(number)d 版。") % {"number": made.number}
            messages.success(request, words)
            if made != current:
                _warn_of_later(request, conflicts_visible_to(actor).filter(lot__product=found))
            return redirect("trace:product", uid=found.uid)
    return form_page(
        request,
        form,
        title=_("更改 %(name)s") % {"name": current.label},
        back=reverse("trace:product", args=[found.uid]),
        submit=_("保存为新版本"),
        template="trace/registry/product_form.html",
        product=found,
        seen=current.number,
    )


def _warn_of_later(request: HttpRequest, conflicts: QuerySet[Conflict]) -> None:
    """Say how many lots there are that a standard or a claim of origin does not fit."""
    open_ones = conflicts.filter(code__in=("forbidden_ancestor", "gi_foreign"), answered_at=None, voided_by=None)
    count = open_ones.values("lot").distinct().count()
    if count:
        words = ngettext(
            "%(count)d 个已登记的批次与声明的标准或产地不符，已列为矛盾，监管部门也看得到。",
            "%(count)d 个已登记的批次与声明的标准或产地不符，已列为矛盾，监管部门也看得到。",
            count,
        )
        messages.warning(request, words % {"count": count})


@audience("party", "operator", "quality")
@require_http_methods(FORM)
def product_gtin(request: HttpRequest, uid: uuid.UUID) -> HttpResponse:
    """Which GTIN a product carries."""
    actor = actor_of(request)
    found = _own_product(actor, uid)
    form = GtinForm(request.POST or None, initial={"gtin": found.gtin or ""})
    if attempt(form, lambda: claim_gtin(row=found, by=actor, gtin=form.cleaned_data["gtin"])) is not None:
        messages.success(request, _("已保存。条码由当地监管部门确认后才能印在标签上。"))
        return redirect("trace:product", uid=found.uid)
    return form_page(request, form, title=_("商品条码"), back=reverse("trace:product", args=[found.uid]))


@audience("party", "operator", "quality")
@require_http_methods(FORM)
def product_material(request: HttpRequest, uid: uuid.UUID) -> HttpResponse:
    """What a product is: water, edible alcohol, walnuts."""
    actor = actor_of(request)
    found = _own_product(actor, uid)
    form = MaterialForm(request.POST or None, initial={"material": found.material})
    if attempt(form, lambda: say_material(row=found, by=actor, material=form.cleaned_data["material"])) is not None:
        messages.success(request, _("已保存。"))
        return redirect("trace:product", uid=found.uid)
    return form_page(request, form, title=_("是什么"), back=reverse("trace:product", args=[found.uid]))


@audience("party", "operator", "quality")
@require_POST
def product_end(request: HttpRequest, uid: uuid.UUID) -> HttpResponse:
    """Stop making a product."""
    actor = actor_of(request)
    end_product(row=_own_product(actor, uid), by=actor)
    messages.success(request, _("产品已停用，不能再建新批次。"))
    return redirect("trace:product", uid=uid)


@audience("party", "operator", "quality")
@require_POST
def product_reopen(request: HttpRequest, uid: uuid.UUID) -> HttpResponse:
    """Make a product again."""
    actor = actor_of(request)
    reopen_product(row=_own_product(actor, uid), by=actor)
    messages.success(request, _("产品已重新启用。"))
    return redirect("trace:product", uid=uid)


# --- GTIN claims ----------------------------------------------------------------------------------------------------


@audience("regulator")
@require_http_methods(GET)
def gtin_claim_list(request: HttpRequest) -> HttpResponseBase:
    """GTINs of the territory that wait to be confirmed."""
    actor = actor_of(request)
    rows = products_readable_by(actor).filter(
        gtin_claim=Product.GtinClaim.CLAIMED, organisation__in=organisations_supervised_by(actor)
    )
    if asked_format(request):
        return export(request, PRODUCTS, rows.order_by("id"))
    return render(request, "trace/registry/gtin_claims.html", {"page": page_of(request, rows.order_by("id"))})


@audience("regulator", "officer", "approver")
@require_POST
def gtin_claim_decide(request: HttpRequest, uid: uuid.UUID) -> HttpResponse:
    """Confirm or refuse a GTIN."""
    actor = actor_of(request)
    found = product_readable_for(actor, uid)
    require_supervisor(actor, found.organisation)
    decision = request.POST.get("decision", "")
    if decision not in ("confirm", "refuse"):
        raise NotFound(_("没有这个页面。"))
    confirm = decision == "confirm"
    form = NoteForm(request.POST) if confirm else ReasonForm(request.POST)
    if form.is_valid():
        reason = form.cleaned_data["reason"]
        done = attempt(form, lambda: decide_gtin_claim(row=found, confirm=confirm, by=actor, reason=reason))
        if done is not None:
            messages.success(request, _("条码已确认。") if confirm else _("条码声明未通过，对方会看到理由。"))
            return redirect("trace:gtin_claim_list")
    return _product_page(request, actor, found, form)


# --- Certificates ---------------------------------------------------------------------------------------------------


@audience("signed_in")
@require_http_methods(GET)
def certificate_list(request: HttpRequest) -> HttpResponseBase:
    """Certificates held or granted; for regulators those of the territory."""
    actor = actor_of(request)
    rows = certificates_visible_to(actor).order_by("-valid_until", "-id")
    if asked_format(request):
        return export(request, CERTIFICATES, rows)
    context = {"page": page_of(request, rows), "may_grant": _certifies(actor), "me": actor.organisation}
    return render(request, "trace/registry/certificates.html", context)


def _certifies(actor: Actor) -> bool:
    """Whether the actor's organisation grants certificates at all."""
    return actor.is_regulator or actor.organisation.kind == Organisation.Kind.ASSOCIATION


@audience("signed_in")
@require_http_methods(FORM)
def certificate_new(request: HttpRequest) -> HttpResponse:
    """An authority enters a certificate it granted."""
    actor = actor_of(request)
    if not _certifies(actor):
        raise NotFound(_("没有这个页面。"))
    actor.require("officer", "approver", "operator")
    form = CertificateForm(request.POST or None, initial={"uscc": request.GET.get("uscc", "")[:18]})
    if request.method == "POST" and form.is_valid():
        made = attempt(form, lambda: _grant(actor, form))
        if made is not None:
            messages.success(request, _("证书已登记。"))
            return redirect("trace:certificate_list")
    return form_page(request, form, title=_("登记证书"), back=reverse("trace:certificate_list"), submit=_("登记证书"))


def _grant(actor: Actor, form: CertificateForm) -> object:
    """Find whom and what the certificate is for, then grant it."""
    holder = Organisation.objects.vetted().filter(uscc=form.cleaned_data["uscc"]).first()
    if holder is None or not may_certify(actor, holder):
        raise Invalid(_("没有找到这个代码的入驻单位，或者不在您的发证范围内。"), code="uscc")
    code = form.cleaned_data["product_code"]
    product = holder.products.filter(code__iexact=code).first() if code else None
    if code and product is None:
        raise Invalid(_("这个单位没有编号为 %(code)s 的产品。") % {"code": code}, code="product_code")
    return grant_certificate(organisation=holder, certificate=form.certificate(product), by=actor)


@audience("signed_in")
@require_http_methods(FORM)
def certificate_revoke(request: HttpRequest, uid: uuid.UUID) -> HttpResponse:
    """Who granted a certificate takes it back."""
    actor = actor_of(request)
    found = certificate_for(actor, uid)
    if found.granted_by_id != actor.organisation.pk:
        raise NotFound(_("没有找到，或者您无权查看。"))
    form = ReasonForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        done = attempt(form, lambda: revoke_certificate(row=found, by=actor, reason=form.cleaned_data["reason"]))
        if done is not None:
            messages.success(request, _("证书已撤销，页面不再显示。"))
            return redirect("trace:certificate_list")
    return form_page(
        request,
        form,
        title=_("撤销证书 %(number)s") % {"number": found.number},
        intro=_("撤销后不能恢复，需要时另行登记新证书。"),
        back=reverse("trace:certificate_list"),
        submit=_("撤销证书"),
    )


# --- What they share ------------------------------------------------------------------------------------------------


def _query(request: HttpRequest) -> str:
    """The search words of a list; what no database should see is dropped."""
    return "".join(char for char in request.GET.get("q", "")[:60] if char.isprintable()).strip()


def _enters(actor: Actor) -> bool:
    """Whether the actor enters places and products at all."""
    return not actor.is_regulator and actor.can("operator", "quality")


def _may_change(actor: Actor, organisation_id: int) -> bool:
    """Whether the actor changes what belongs to this organisation."""
    return _enters(actor) and actor.owner.pk == organisation_id


def _several(actor: Actor) -> bool:
    """Whether lists name the organisation of each row."""
    return actor.is_regulator or (
        actor.organisation.kind == Organisation.Kind.COOPERATIVE and actor.on_behalf_of is None
    )
