"""Pages of the buyers and suppliers outside the system that an organisation keeps."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from trace.access import actor_of, audience, outsider_for, outsiders_of
from trace.actions.outsiders import OutsiderDetails, edit_outsider, link_outsider, unlink_outsider
from trace.exports import asked_format, export
from trace.forms.crossing import LinkForm
from trace.forms.fields import attempt
from trace.forms.shipments import PARTY_FIELDS, PartyForm
from trace.lists import OUTSIDERS
from trace.models import Lot, Shipment
from trace.views.pages import edits_of, form_page, page_of

FORM = ["GET", "HEAD", "POST"]


@audience("party")
@require_safe
def outsider_list(request: HttpRequest) -> HttpResponseBase:
    """The outsiders we keep, by name."""
    actor = actor_of(request)
    rows = outsiders_of(actor).order_by("name", "id")
    text = request.GET.get("q", "").replace("\x00", "").strip()[:60]
    if text:
        rows = rows.filter(Q(name__icontains=text) | Q(uscc__iexact=text) | Q(address__icontains=text))
    if asked_format(request):
        return export(request, OUTSIDERS, rows)
    context = {"page": page_of(request, rows), "text": text}
    return render(request, "trace/outsiders/list.html", context)


@audience("party")
@require_safe
def outsider(request: HttpRequest, uid: uuid.UUID) -> HttpResponse:
    """One outsider: how to reach it, what went there and came from it, whether it joined the system."""
    actor = actor_of(request)
    row = outsider_for(actor, uid)
    context = {
        "row": row,
        "sent": Shipment.objects.filter(receiver=row).order_by("-id")[:10],
        "lots": Lot.objects.filter(organisation=row, is_external=True)
        .select_related("product_version", "product")
        .order_by("-id")[:20],
        "edits": edits_of(f"organisation:{row.uid}"),
        "may_edit": actor.can("operator"),
    }
    return render(request, "trace/outsiders/outsider.html", context)


@audience("party", "operator")
@require_http_methods(FORM)
def outsider_edit(request: HttpRequest, uid: uuid.UUID) -> HttpResponse:
    """Change name, kind, place, contact, credit code."""
    actor = actor_of(request)
    row = outsider_for(actor, uid)
    initial = {
        "name": row.name,
        "kind": row.kind,
        "division": row.division_id,
        "address": row.address,
        "contact_name": row.recall_contact_name,
        "contact_phone": row.recall_contact_phone,
        "contact_email": row.recall_contact_email,
        "uscc": row.uscc or "",
    }
    form = PartyForm(request.POST or None, initial=initial)
    back = reverse("trace:outsider", args=[row.uid])

    def save() -> bool:
        data = form.cleaned_data
        details = OutsiderDetails(
            name=data["name"],
            kind=data["kind"],
            division=data["division"],
            address=data["address"],
            contact=form.contact(),
            uscc=data["uscc"],
        )
        edit_outsider(by=actor, outsider=row, details=details)
        return True

    if request.method == "POST" and attempt(form, save, PARTY_FIELDS):
        messages.success(request, _("已保存。"))
        return redirect(back)
    return form_page(request, form, title=_("更改：%(name)s") % {"name": row.label}, back=back)


@audience("party", "operator")
@require_http_methods(FORM)
def outsider_link(request: HttpRequest, uid: uuid.UUID) -> HttpResponse:
    """Say as which registered organisation it joined."""
    actor = actor_of(request)
    row = outsider_for(actor, uid)
    form = LinkForm(request.POST or None, initial={"uscc": row.uscc or ""})
    back = reverse("trace:outsider", args=[row.uid])
    if request.method == "POST" and form.is_valid():
        done = attempt(form, lambda: link_outsider(by=actor, outsider=row, uscc=form.cleaned_data["uscc"]))
        if done is not None:
            messages.success(request, _("已关联。以后收发货请选入驻单位；以前的记录不变。"))
            return redirect(back)
    return form_page(
        request,
        form,
        title=_("关联入驻单位：%(name)s") % {"name": row.label},
        intro=_("对方入驻之后，填它的统一社会信用代码。以前的收发货记录不变，外购批次可以与它的批次对接。"),
        back=back,
        submit=_("关联"),
    )


@audience("party", "operator")
@require_POST
def outsider_unlink(request: HttpRequest, uid: uuid.UUID) -> HttpResponse:
    """Take a wrong link back."""
    actor = actor_of(request)
    row = outsider_for(actor, uid)
    unlink_outsider(by=actor, outsider=row)
    messages.success(request, _("已解除关联。"))
    return redirect("trace:outsider", uid=row.uid)
