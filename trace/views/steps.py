"""Registering what happened: choose a step, fill in its form, and be told once when it cannot be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from trace.access import actor_of, admit, audience, event_for, loose_files_of, lot_for
from trace.actions.events import OWN_PAGES
from trace.actions.files import FILES_PER_EVENT, store_file
from trace.actions.steps import Recorded, StepEntry, record_step
from trace.actor import Actor
from trace.errors import DomainError, FieldErrors, GuardBroken, Invalid, NotFound
from trace.event_templates import COMMON, EventTemplate, Family, families, family, template, templates_for, usual_next
from trace.forms.step_choices import offer_for
from trace.forms.step_start import from_event, from_lot
from trace.forms.steps import DATA, Start, StepForm
from trace.inventory import states_of
from trace.limits import untested
from trace.models import Event, EventItem, Lot, Membership, Organisation, Product, StoredFile
from trace.steps import Plan, families_made, family_of, plan_for
from trace.templatetags.ui import url_or_none
from trace.views.once import KEY, form_key, once

FORM = ["GET", "HEAD", "POST"]
FOR_REGULATORS = frozenset({"sample", "hold"})
# Where a refusal of the action stands in the form, by its code.
_PLACES_OF_CODES = {
    "in_future": "when_on",
    "place_required": "place",
    "party_required": "party",
    "ship_to_self": "party",
    "receiver_not_active": "party",
    "reason_required": f"{DATA}reason",
    "laboratory_required": "lab",
    "report_exists": "report_no",
    "no_passing_report": "release_reason",
    "unit_unknown": "units",
    "unit_void": "units",
    "children_required": "units",
    "pack_level": "pack",
    "pack_empty": "pack",
    "lot_code_taken": "outputs-0-lot_code",
}
_FIELDS = {"name": "plot_name", "contact.phone": "party_phone", "address": "party_address", "kind": "party_kind"}


# --- Which step -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Choice:
    """One step to choose: its address and what it does, in a few words."""

    template: EventTemplate
    url: str

    @property
    def hint(self) -> str:
        """What goes in and what comes out."""
        into = _("、").join(each.label() for each in self.template.inputs)
        out = _("、").join(each.label() for each in self.template.outputs)
        if self.template.moves in ("transform", "create", "receive") and out and into != out:
            return f"{into} → {out}" if into else out
        return into


@dataclass(frozen=True)
class GoOn:
    """A lot in hand and the steps that usually come next."""

    lot: Lot
    steps: Sequence[Choice]


@audience("party", "operator", "quality")
@require_safe
def event_new(request: HttpRequest) -> HttpResponse:
    """Choose the family and the step; what usually comes next for the lots last made stands first."""
    actor = actor_of(request)
    made = families_made(_products(actor))
    chosen = _chosen_family(request, made)
    lot = lot_for(actor, request.GET["lot"]) if request.GET.get("lot") else None
    query = f"?lot={lot.uid}" if lot is not None else ""
    own = templates_for(chosen.code) if chosen is not None else []
    flow = chosen.flow if chosen is not None else ()
    shared, shared_flow = templates_for(COMMON), family(COMMON).flow
    context = {
        "families": made or [each for each in families().values() if each.code != COMMON],
        "family": chosen,
        "lot": lot,
        "usual": _choices([each for each in own if each.polished or each.code in flow], query),
        "more": _choices([each for each in own if not (each.polished or each.code in flow)], query),
        "common": _choices([each for each in shared if each.polished or each.code in shared_flow], query),
        "common_more": _choices([each for each in shared if not (each.polished or each.code in shared_flow)], query),
        "go_on": [] if lot is not None else _go_on(actor),
        "lot_url": url_or_none("desk:lot_detail", lot.uid) if lot is not None else "",
        "receipts": url_or_none("trace:transfer_list"),
        "products_url": reverse("trace:product_new"),
        "has_products": bool(_products(actor)),
        "growers": _growers(actor),
    }
    return render(request, "trace/steps/choose.html", context)


@audience("party", "operator", "quality")
@require_safe
def lot_new(request: HttpRequest) -> HttpResponse:
    """Register a lot: the steps by which lots begin, the maker's own families first."""
    actor = actor_of(request)
    made = [each.code for each in families_made(_products(actor))]
    steps = [
        each
        for code in [*made, COMMON]
        for each in templates_for(code)
        if each.moves in ("create", "receive") or each.code == "common.process"
    ]
    context = {
        "choices": _choices(steps),
        "has_products": bool(_products(actor)),
        "products_url": reverse("trace:product_new"),
    }
    return render(request, "trace/steps/begin.html", context)


def _products(actor: Actor) -> list[Product]:
    return list(Product.objects.filter(organisation=actor.owner, ended_at=None).only("family"))


def _growers(actor: Actor) -> list[Organisation]:
    """Growers a clerk could enter for, to be reminded of it; none while entering for one."""
    if actor.on_behalf_of is not None or actor.organisation.kind != Organisation.Kind.COOPERATIVE:
        return []
    return list(actor.organisation.growers.order_by("name")[:20])


def _chosen_family(request: HttpRequest, made: Sequence[Family]) -> Family | None:
    """The family asked for, else the one most products belong to."""
    asked = request.GET.get("family", "")
    if asked in families() and asked != COMMON:
        return family(asked)
    return made[0] if made else None


def _choices(steps: Sequence[EventTemplate], query: str = "") -> list[Choice]:
    return [Choice(each, _address(each) + query) for each in steps if each.moves not in OWN_PAGES]


def _address(step: EventTemplate) -> str:
    """Where a step is filled in: sending goods has pages that print the slip."""
    slip = url_or_none("trace:shipment_new") if step.code == "common.ship" else ""
    return slip or reverse("trace:step_form", args=[step.code])


def _go_on(actor: Actor) -> list[GoOn]:
    """The last lots still in hand with what usually follows the step that made them; after its release, what follows
    that. What is recalled, on hold or expired is not proposed: the form would refuse it.
    """
    rows = list(
        Lot.objects.filter(stocks__organisation=actor.owner, stocks__micros__gt=0, voided_by=None)
        .select_related("origin_event", "product", "product_version")
        .distinct()
        .order_by("-id")[:20]
    )
    states = states_of(rows, [actor.owner.pk])
    found = []
    for lot in [each for each in rows if states[each.pk] not in ("recalled", "blocked", "expired")][:4]:
        made = family_of(lot.product)
        family = made.code if made is not None else None
        steps = usual_next(lot.origin_event.template, family)
        if lot.released_by_id is not None and any(each.moves == "release" for each in steps):
            steps = usual_next("common.release", family)
        if steps:
            found.append(GoOn(lot, _choices(steps[:2], f"?lot={lot.uid}")))
    return found


# --- The form -------------------------------------------------------------------------------------------------------


@audience("signed_in")
@require_http_methods(FORM)
def step_form(request: HttpRequest, code: str) -> HttpResponse:
    """Fill in one step. A fact that breaks a guard comes back once with the reason; who insists gets it recorded."""
    plan = plan_for(code)
    actor = _worker(request, plan)
    offer = offer_for(actor, plan)
    replaced = _replaced(request, actor, plan)
    if replaced is not None:
        start = from_event(offer, replaced)
    else:
        start = from_lot(offer, lot_for(actor, request.GET["lot"])) if request.GET.get("lot") else Start()
    if request.method != "POST":
        return _page(request, actor, StepForm(offer, start=start), 200)
    kept, wrong_files = _uploads(request, actor)
    form = StepForm(offer, request.POST, start=start, kept=[str(file.uid) for file in kept])
    if form.wants_row:
        return _page(request, actor, form, 200, kept=kept)
    valid = form.is_valid()
    for error in wrong_files:
        form.refuse("files", error)
    if not valid or wrong_files or form.entry is None:
        return _page(request, actor, form, 422, kept=kept)
    return _record(request, actor, form, form.entry, kept)


def _worker(request: HttpRequest, plan: Plan) -> Actor:
    """Who may fill this in: workers of a party; officers for samples and holds. A strange step is not found."""
    actor = actor_of(request)
    if plan.moves in OWN_PAGES:
        raise NotFound(_("这个环节从批次的页面办理。"))
    if not actor.is_regulator:
        admit(request, "party", "operator", "quality")
        return actor
    admit(request, "regulator", "officer", "approver")
    if plan.moves not in FOR_REGULATORS:
        raise NotFound(_("没有这个页面。"))
    return actor


def _replaced(request: HttpRequest, actor: Actor, plan: Plan) -> Event | None:
    """The event declared wrong that is stated again here; of another step it is not found."""
    uid = request.GET.get("replaces", "")
    if not uid:
        return None
    event = event_for(actor, uid, write=True)
    if event.template != plan.template.code or not event.corrections.exists():
        raise NotFound(_("没有找到，或者您无权查看。"))
    return event


def _uploads(request: HttpRequest, actor: Actor) -> tuple[list[StoredFile], list[Invalid]]:
    """Files sent with the form, stored at once so that none is lost when the form comes back."""
    try:
        kept = loose_files_of(actor, request.POST.getlist("kept")[:FILES_PER_EVENT])
    except NotFound:
        kept = []
    errors: list[Invalid] = []
    sent = request.FILES.getlist("files")
    if len(kept) + len(sent) > FILES_PER_EVENT:
        return kept, [Invalid(_("最多上传 %(most)d 个文件。") % {"most": FILES_PER_EVENT}, code="too_many_files")]
    for upload in sent:
        try:
            kept.append(store_file(by=actor, name=upload.name or "", content=upload))
        except Invalid as error:
            errors.append(error)
    return kept, errors


def _record(
    request: HttpRequest, actor: Actor, form: StepForm, entry: StepEntry, kept: Sequence[StoredFile]
) -> HttpResponse:
    """Record it: first as a command; where a guard refuses what the person saw and insists on, as a report."""

    def work() -> str:
        try:
            return _told(request, form.plan, record_step(entry=entry, by=actor))
        except GuardBroken as error:
            if not _insisted(request, error):
                raise
            return _told(request, form.plan, record_step(entry=entry, by=actor, insist=True))

    try:
        return once(request, actor, work)
    except GuardBroken as error:
        if "release_reason" in form.fields and error.code == "no_passing_report":
            form.refuse("release_reason", error)
            return _page(request, actor, form, error.status, kept=kept)
        return _page(request, actor, form, error.status, kept=kept, broken=error)
    except DomainError as error:
        if error.status not in (403, 404, 409, 422):
            raise
        put_refusal(form, error)
        return _page(request, actor, form, error.status, kept=kept)


def put_refusal(form: StepForm, error: DomainError) -> None:
    """Say in the form what the action refused: each field's error beside it, any other where it belongs."""
    if isinstance(error, FieldErrors):
        for key, wrong in error.fields.items():
            form.refuse(_control_of(form, key), wrong)
    else:
        form.refuse(_control_of_code(form, error), error)


def _insisted(request: HttpRequest, error: GuardBroken) -> bool:
    """Whether the person insisted on just these reasons: new ones are shown first."""
    seen = set(request.POST.get("seen", "")[:2000].split())
    return error.insistable and bool(request.POST.get("insist")) and {guard.code for guard in error.broken} <= seen


def _control_of(form: StepForm, key: str) -> str:
    """The control of a template's field or of a field of the action."""
    names = [f"{DATA}{key}", f"outputs-0-f_{key}", _FIELDS.get(key, ""), key]
    if key == form.plan.template.lot_code_field:
        names.insert(0, "outputs-0-lot_code")
    if key == form.plan.template.amount_field:
        names.append("outputs-0-amount")
    return next((name for name in names if name in form.fields), "")


def _control_of_code(form: StepForm, error: DomainError) -> str:
    """The control a refusal is about; a doubled lot code stands at the row it was typed in."""
    if error.code == "lot_code_taken":
        taken = error.details.get("lot_code")
        for number in range(form.rows_of("outputs")):
            name = f"outputs-{number}-lot_code"
            if str(form.data.get(name, "")).strip().upper() == str(taken).upper():
                return name
    name = _PLACES_OF_CODES.get(error.code, "")
    return name if name in form.fields else ""


def _told(request: HttpRequest, plan: Plan, recorded: Recorded) -> str:
    """Say that it is recorded and where to read on."""
    name = plan.template.label()
    if recorded.conflicts:
        messages.warning(request, _("已登记“%(step)s”，并记为矛盾，请尽快说明情况。") % {"step": name})
    elif recorded.lots:
        alike = len({lot.code for lot in recorded.lots}) < len(recorded.lots)
        codes = _("、").join(f"{lot.code} {lot.product_version.label}" if alike else lot.code for lot in recorded.lots)
        messages.success(request, _("已登记“%(step)s”，批号：%(codes)s") % {"step": name, "codes": codes})
    else:
        messages.success(request, _("已登记“%(step)s”。") % {"step": name})
    for words in recorded.warnings:
        messages.warning(request, words)
    if recorded.shipment is not None:
        slip = url_or_none("trace:shipment", recorded.shipment.uid)
        if slip:
            return slip
    return reverse("trace:event_detail", args=[recorded.event.uid])


def _page(
    request: HttpRequest,
    actor: Actor,
    form: StepForm,
    status: int,
    *,
    kept: Sequence[StoredFile] = (),
    broken: GuardBroken | None = None,
) -> HttpResponse:
    """The form with everything typed, what was refused, and what is known about the step."""
    plan = form.plan
    reports = _reports_of(form) if plan.moves == "release" else []
    context = {
        "form": form,
        "plan": plan,
        "step": plan.template,
        "status_code": status,
        "kept": kept,
        "broken": broken,
        "seen": " ".join(guard.code for guard in broken.broken) if broken is not None else "",
        "insist_checked": False,
        "form_key": form_key(request),
        "form_key_name": KEY,
        "replaces": form.start.replaces,
        "may_release": plan.moves != "release" or actor.can("quality"),
        "invite_url": reverse("trace:member_invite") if plan.moves == "release" and _lacks_quality(actor) else "",
        "labels_url": url_or_none("labels:run_new") if plan.moves == "code" else "",
        "receipts_url": url_or_none("trace:transfer_list") if plan.moves == "receive" else "",
        "slips_url": url_or_none("trace:shipment_new") if plan.template.code == "common.ship" else "",
        "back": reverse("trace:event_new") if not actor.is_regulator else reverse("trace:report_list"),
        "upload_max": settings.UPLOAD_MAX_BYTES,
        "datalists": datalists_of(form),
        "reports": reports,
        "untested": [field.label() for field in untested(reports[0].lot, reports)] if reports else [],
    }
    return render(request, "trace/steps/form.html", context, status=status)


def _lacks_quality(actor: Actor) -> bool:
    """Whether an owner's organisation has nobody yet who may release."""
    if not actor.can("owner"):
        return False
    return not Membership.objects.filter(organisation=actor.owner, role="quality", ended_at=None).exists()


def datalists_of(form: StepForm) -> dict[str, list[str]]:
    """Names to choose from while typing."""
    used = {str(each.widget.attrs.get("list", "")) for each in form.fields.values()}
    offer = form.offer
    lists = {
        "known-standards": offer.standards,
        "known-lots": [f"{each.lot.lot_code} · {each.lot.product_version.label}" for each in offer.lots],
        "known-regions": [*(row.name for row in offer.places), *(row.label for row in offer.divisions)],
    }
    if "known-parties" in used:
        lists["known-parties"] = [row.name for row in offer.lately or _near(offer.actor)]
    return {name: values for name, values in lists.items() if name in used}


def _near(actor: Actor) -> list[Organisation]:
    """Vetted organisations of the same county, for names typed into a field."""
    rows = Organisation.objects.vetted().filter(division__code__startswith=actor.owner.division_id[:6])
    return list(rows.exclude(kind=Organisation.Kind.REGULATOR).order_by("name")[:50])


def _reports_of(form: StepForm) -> list[Any]:
    """The reports of the lot to be released, the newest first."""
    chosen = form["subjects-0-lot"].value() if "subjects-0-lot" in form.fields else ""
    uid = str(chosen or "").partition("@")[0]
    return [row for row in form.offer.reports if str(row.lot.uid) == uid]


def items_of(event: Event) -> list[EventItem]:
    """An event's items with what a page says of them."""
    rows = event.items.select_related(
        "lot__product", "lot__product_version", "lot__organisation", "place", "holder", "unit"
    )
    return list(rows.order_by("number"))


def next_steps(event: Event, lots: Sequence[Lot]) -> list[Choice]:
    """What usually follows, with the first lot begun here already chosen."""
    found = template(event.template)
    made = family_of(lots[0].product) if lots else None
    query = f"?lot={lots[0].uid}" if lots else ""
    return _choices(usual_next(found.code, made.code if made is not None else None)[:3], query)
