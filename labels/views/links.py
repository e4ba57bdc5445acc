"""A producer's links: which products have some, the links of one, their history, setting and ending them."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from labels.access import link_of
from labels.actions.links import add_link, end_link
from labels.forms import EndLinkForm, LinkForm
from labels.lists import LINKS
from labels.models import ProductLink, ProductLinkStep
from trace.access import actor_of, audience, entered_for, own_products, product_for
from trace.actor import Actor
from trace.errors import Invalid, NotFound
from trace.exports import asked_format, export
from trace.forms.fields import attempt
from trace.models import Lot, Product

PER_PAGE = 50


@audience("party")
@require_safe
def link_list(request: HttpRequest) -> HttpResponseBase:
    """The actor's products with how many links each has."""
    rows = own_products(actor_of(request)).filter(ended_at=None)
    rows = rows.annotate(n_links=Count("links", filter=Q(links__ended_at=None))).order_by("-n_links", "code")
    if asked_format(request):
        return export(request, LINKS, rows)
    page = Paginator(rows, PER_PAGE).get_page(request.GET.get("page"))
    return render(request, "labels/link_list.html", {"page": page})


@audience("signed_in")
@require_http_methods(["GET", "HEAD", "POST"])
def product_links(request: HttpRequest, uid: uuid.UUID) -> HttpResponse:
    """The links of a product and its lots, open and ended, and the form to set one for who owns it."""
    actor = actor_of(request)
    product = product_for(actor, uid)
    form = LinkForm(request.POST or None) if _may(actor, product) else None
    if request.method == "POST":
        if form is None:
            raise NotFound(_("没有找到，或者您无权查看。"))
        made = attempt(form, lambda: _add(actor, product, form), _FIELDS)
        if made is not None:
            messages.success(request, _("已设置链接，扫码页和解析服务立即可见。"))
            return redirect("labels:product_links", uid=product.uid)
    steps = ProductLinkStep.objects.filter(link__product=product).order_by("-id")
    context = {
        "product": product,
        "links": ProductLink.objects.filter(product=product, ended_at=None).select_related("lot"),
        "steps": steps.select_related("link__lot", "by", "by_organisation")[:PER_PAGE],
        "form": form,
    }
    wrong = form is not None and bool(form.errors)
    return render(request, "labels/product_links.html", context, status=422 if wrong else 200)


_FIELDS = {
    "link_type": "link_type",
    "link_target": "href",
    "link_exists": "href",
    "link_title": "title",
    "link_language": "language",
    "link_context": "context",
    "lot_unknown": "lot_code",
}


def _may(actor: Actor, product: Product) -> bool:
    """Whether the actor sets links of this product."""
    own = not actor.is_regulator and product.organisation_id in entered_for(actor)
    return own and actor.can("operator", "quality")


def _add(actor: Actor, product: Product, form: LinkForm) -> ProductLink:
    """Set what the form says."""
    data = form.cleaned_data
    return add_link(
        by=actor,
        product=product,
        lot=_lot(product, data["lot_code"]),
        link_type=data["link_type"],
        title=data["title"],
        href=data["href"],
        language=data["language"],
        context=data["context"],
    )


def _lot(product: Product, code: str) -> Lot | None:
    """The lot of a product by its code; None where none was named. Refuses a code the product has not."""
    wanted = code.strip()
    if not wanted:
        return None
    found = Lot.objects.filter(product=product, voided_by=None)
    lot = found.filter(Q(lot_code=wanted.upper()) | Q(display_code=wanted)).order_by("-id").first()
    if lot is None:
        raise Invalid(_("这个产品没有批号 %(lot)s。") % {"lot": wanted}, code="lot_unknown")
    return lot


@audience("party")
@require_http_methods(["GET", "HEAD", "POST"])
def end(request: HttpRequest, uid: uuid.UUID, link_uid: uuid.UUID) -> HttpResponse:
    """End one link, with a reason."""
    actor = actor_of(request)
    product = product_for(actor, uid, write=True)
    link = link_of(product, link_uid)
    form = EndLinkForm(request.POST or None)
    ended = None
    if request.method == "POST":
        ended = attempt(form, lambda: end_link(by=actor, link=link, reason=form.cleaned_data["reason"]), _END)
    if ended is not None:
        messages.success(request, _("已取消链接，历史里仍然看得到。"))
        return redirect("labels:product_links", uid=product.uid)
    context = {"product": product, "link": link, "form": form}
    return render(request, "labels/link_end.html", context, status=422 if form.errors else 200)


_END = {"reason_required": "reason"}
