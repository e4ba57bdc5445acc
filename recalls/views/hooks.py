"""Addresses of one's own systems and the log of every delivery."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from recalls.actions.hooks import add_webhook, end_webhook, rotate_secret, try_again
from recalls.models import Webhook, WebhookDelivery
from recalls.views.doors import acting, page
from trace.access import audience, parse_uid
from trace.errors import NotFound
from trace.forms.fields import Text, attempt


class HookForm(forms.Form):
    """A new address."""

    url = Text(label=gettext_lazy("网址"), max_length=300, help_text=gettext_lazy("https 开头的公网网址。"))


@audience("signed_in")
@require_http_methods(["GET", "HEAD", "POST"])
def webhook_list(request: HttpRequest) -> HttpResponse:
    """Add, rotate, end; the log beside. A secret is shown once, on the page that made it."""
    actor = acting(request)
    actor.require("owner", "approver")
    what = request.POST.get("do", "")
    form = HookForm(request.POST if what == "add" else None)
    secret = ""
    if what == "add" and form.is_valid():
        made = attempt(form, lambda: add_webhook(by=actor, url=form.cleaned_data["url"]), {"webhook_url": "url"})
        secret = made[1] if made else ""
    elif what in ("rotate", "end"):
        rows = Webhook.objects.filter(organisation=actor.organisation, ended_at=None)
        hook = rows.select_related("secret", "old_secret", "organisation").filter(
            uid=parse_uid(request.POST.get("hook", ""))
        )
        found = hook.first()
        if found is None:
            raise NotFound(_("没有找到，或者您无权查看。"))
        if what == "rotate":
            secret = rotate_secret(by=actor, hook=found)
        else:
            end_webhook(by=actor, hook=found)
            messages.success(request, _("已停止推送。"))
            return redirect("recalls:webhook_list")
    elif what == "again":
        delivery = WebhookDelivery.objects.filter(
            webhook__organisation=actor.organisation, uid=parse_uid(request.POST.get("delivery", ""))
        ).first()
        if delivery is None:
            raise NotFound(_("没有找到，或者您无权查看。"))
        try_again(by=actor, delivery=delivery)
        messages.success(request, _("已重新排队。"))
        return redirect("recalls:webhook_list")
    log = WebhookDelivery.objects.filter(webhook__organisation=actor.organisation).select_related("webhook")
    answer = page(
        request,
        "recalls/webhooks.html",
        {
            "form": form,
            "secret": secret,
            "hooks": Webhook.objects.filter(organisation=actor.organisation, ended_at=None),
            "page": Paginator(log.order_by("-id"), 50).get_page(request.GET.get("page")),
        },
        bad=form.is_bound and bool(form.errors),
    )
    answer["Cache-Control"] = "no-store"
    return answer
