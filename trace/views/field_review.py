"""Pages of an organisation's devices in the field, and of entries that were refused and kept for its head."""

from __future__ import annotations

import uuid
from dataclasses import replace

from django.contrib import messages
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from trace.access import actor_of, audience, device_for, devices_of, kept_entries_of, kept_entry_for
from trace.actions.field import accept_kept_entry, content_of, dismiss_kept_entry, revoke_device
from trace.actions.people import head_role
from trace.errors import DomainError, GuardBroken, NotFound
from trace.exports import asked_format, export
from trace.forms.field import step_name
from trace.lists import DEVICES
from trace.models import FieldEntry
from trace.views.field import reading_of

MOST = 100


@audience("party")
@require_safe
def device_list(request: HttpRequest) -> HttpResponseBase:
    """The devices of the organisation (for others than its head: their own), and what waits for review."""
    actor = actor_of(request)
    heads = actor.role == head_role(actor.organisation)
    rows = devices_of(actor).annotate(
        recorded=Count("entries", filter=Q(entries__status=FieldEntry.Status.RECORDED)),
        waiting=Count("entries", filter=Q(entries__status=FieldEntry.Status.REVIEW)),
    )
    kept = kept_entries_of(actor).order_by("-id")
    if not heads:
        rows = rows.filter(user=actor.user)
        kept = kept.none()
    if asked_format(request):
        return export(request, DEVICES, rows.order_by("revoked_at", "-seen_at"))
    context = {
        "devices": rows.order_by("revoked_at", "-seen_at")[:MOST],
        "kept": [(row, step_name(row.step)) for row in kept[:MOST]],
        "heads": heads,
    }
    return render(request, "trace/field/devices.html", context)


@audience("party")
@require_POST
def device_revoke(request: HttpRequest, uid: uuid.UUID) -> HttpResponse:
    """Shut a device out."""
    actor = actor_of(request)
    device = revoke_device(device=device_for(actor, uid), by=actor)
    messages.success(request, _("已停用“%(name)s”，它已退出登录。") % {"name": device.name})
    return redirect("trace:device_list")


@audience("party", "owner")
@require_http_methods(["GET", "HEAD", "POST"])
def entry_review(request: HttpRequest, uid: uuid.UUID) -> HttpResponse:
    """Read an entry that was refused and kept, and record it in one's own name or dismiss it."""
    actor = actor_of(request)
    entry = kept_entry_for(actor, uid)
    by = replace(actor, on_behalf_of=entry.on_behalf_of)
    content = content_of(entry)
    error: DomainError | None = None
    html = ""
    if entry.status == FieldEntry.Status.REVIEW and content:
        try:
            reading = reading_of(by, content, entry)
        except DomainError as refusal:
            error, reading = refusal, None
        if request.method == "POST" and request.POST.get("decision") == "dismiss":
            dismiss_kept_entry(entry=entry, by=actor)
            messages.success(request, _("这条记录不入账。"))
            return redirect("trace:device_list")
        if request.method == "POST" and reading is not None and reading.work is not None:
            seen = request.POST.get("seen", "")[:2000].split() if request.POST.get("insist") else []
            try:
                done = accept_kept_entry(entry=entry, by=by, work=reading.work, seen=seen)
            except DomainError as refusal:
                error = refusal
            else:
                messages.success(request, _("已记录。"))
                return redirect(
                    reverse("trace:event_detail", args=[done.event.uid]) if done.event else "trace:device_list"
                )
        if reading is not None:
            html = reading.html(None)
    elif request.method == "POST":
        raise NotFound(_("这条记录已经处理过。"))
    broken = error if isinstance(error, GuardBroken) else None
    context = {
        "entry": entry,
        "step": step_name(entry.step),
        "html": html,
        "error": error if broken is None else None,
        "broken": broken,
        "seen": " ".join(each.code for each in broken.broken) if broken is not None else "",
        "photos": len(content.get("files", [])),
    }
    return render(request, "trace/field/review.html", context, status=error.status if error is not None else 200)
