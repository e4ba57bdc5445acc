"""The scope's page: ask the genealogy, look at every lot with its reason and path, leave possible ones out, freeze."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from recalls.access import campaign_for, require_side, roles_in
from recalls.actions.acts import leaves_to_another
from recalls.actions.moves import proposal_of
from recalls.actions.scopes import expand_scope, freeze_scope, narrow_scope
from recalls.comparing import levers
from recalls.forms import FreezeForm, PartForm
from recalls.models import Campaign, ScopeLot, ScopeVersion
from recalls.parts import WORDS_MAX, Part, PartKind, Through, divisible, no_wider, resolved, words_of
from recalls.queries import lots_by_words
from recalls.scope import (
    Answer,
    Question,
    ScopeLine,
    coverage_of,
    drift,
    latest_scope,
    preview_scope,
    question_of,
    sources_of,
)
from recalls.sight import SeenHolder, SeenLot, Sight, through_choices
from recalls.transitions import Status, transition
from recalls.views.doors import acting, csv_answer, page
from trace.access import audience, lots_visible_to, parse_uid
from trace.actor import Actor
from trace.errors import Invalid, NotFound
from trace.forms.fields import attempt
from trace.genealogy import lots_by_pk
from trace.models import Lot, Organisation
from trace.tables import csv_table
from trace.units import decimal_text, unit_name

_BEFORE_START = (Status.ASSESSING, Status.DECIDED, Status.ORDERED)
_PER_PAGE = 100


def _uids(query: QueryDict, key: str) -> list[Any]:
    """The uids of a repeated parameter; what is none is not found."""
    return [parse_uid(value) for value in query.getlist(key)[:500]]


def asked_scope(actor: Actor, campaign: Campaign, query: QueryDict) -> Question:
    """What the address bar asks; without a lot in it, what the version in force asked, else the signals' lots.

    A lot the actor may not open can only be kept, where the version in force names it already.
    """
    scope = latest_scope(campaign)
    if "lot" not in query:
        if scope is not None:
            return question_of(scope)
        named = frozenset(one.lot_id for one in campaign.signals.all() if one.lot_id)
        return Question(named, same_gear=True, through=campaign.organisation_id if campaign.own_fault else None)
    known = question_of(scope) if scope is not None else Question(frozenset())
    named = _lots(actor, _uids(query, "lot"), known.named)
    ancestors = {lot.pk for lot, _level in sources_of(sorted(named))} if query.get("source") else set()
    sources = frozenset(
        Lot.objects.filter(uid__in=_uids(query, "source"), pk__in=ancestors).values_list("pk", flat=True)
    )
    left_out = frozenset(Lot.objects.filter(uid__in=_uids(query, "out")).values_list("pk", flat=True))
    return Question(
        named,
        sources,
        query.get("run") == "1",
        left_out,
        query.get("left_out_reason", "").strip()[:500],
        query.get("gear") == "1",
        _parts(query, known),
        _through(actor, campaign, named, query.get("through", ""), known.through),
    )


def _through(actor: Actor, campaign: Campaign, named: Iterable[int], uid: str, known: int | None) -> int | None:
    """The organisation whose hands are meant; NotFound for one the actor may not name."""
    if not uid:
        return None
    wanted = parse_uid(uid)
    found = next((row for row in through_choices(actor, campaign, named, known) if row.uid == wanted), None)
    if found is None:
        raise NotFound(_("没有找到，或者您无权查看。"))
    return found.pk


def _parts(query: QueryDict, known: Question) -> tuple[Part, ...]:
    """The parts asked for: three parameters each (``part`` lot, ``part_kind``, ``part_words``) and ``part_reason``. One
    that the version in force has already keeps the units it covers.
    """
    kinds, words, reasons = query.getlist("part_kind"), query.getlist("part_words"), query.getlist("part_reason")
    uids = _uids(query, "part")
    if not len(uids) == len(kinds) == len(words) == len(reasons):
        raise NotFound(_("没有找到，或者您无权查看。"))
    rows = {row.uid: row.pk for row in Lot.objects.filter(uid__in=uids)}
    before = {(one.lot, one.kind.value, one.words): one for one in known.parts}
    found: list[Part] = []
    for uid, kind, said, reason in zip(uids, kinds, words, reasons, strict=True):
        if uid not in rows or kind not in list(PartKind):
            raise NotFound(_("没有找到，或者您无权查看。"))
        said, reason = said.strip()[:WORDS_MAX], reason.strip()[:500]
        kept = before.get((rows[uid], kind, said))
        found.append(Part(rows[uid], PartKind(kind), said, reason, kept.ranges if kept else ()))
    return tuple(found)


def _lots(actor: Actor, uids: Sequence[Any], kept: frozenset[int]) -> frozenset[int]:
    """Row numbers of lots the actor may open, or that are already named; NotFound for any other."""
    rows = Lot.objects.filter(uid__in=uids)
    mine = set(lots_visible_to(actor).filter(uid__in=uids).values_list("pk", flat=True))
    found = set(rows.values_list("pk", flat=True))
    if len(found) != len(set(uids)) or not found <= mine | kept:
        raise NotFound(_("没有找到，或者您无权查看。"))
    return frozenset(found)


@dataclass(frozen=True)
class LineView:
    """One line of the table as an actor may see it."""

    line: ScopeLine
    seen: SeenLot
    path: list[SeenLot]
    holders: list[SeenHolder]
    out: bool = False

    @property
    def why(self) -> str:
        """The reason in words; which equipment only where the lot it belongs to may be told."""
        note = self.line.note if self.path and self.path[0].lot is not None and self.seen.lot is not None else ""
        return note or str(self.line.why.label)

    @property
    def shell(self) -> str:
        """Proven or possible, in words."""
        return str(self.line.shell.label)

    @property
    def units(self) -> str:
        """Which units are meant, where only part of the lot is."""
        return words_of(self.line.part.ranges) if self.line.part else ""

    @property
    def passed(self) -> Through | None:
        """What passed through an organisation, where that is what is meant."""
        return self.line.part if isinstance(self.line.part, Through) else None

    @property
    def possible(self) -> bool:
        """Whether a person may leave it out."""
        return self.line.shell == ScopeLot.Shell.POSSIBLE


@dataclass(frozen=True)
class HolderView:
    """One holder over all lots; amounts only where the actor may know them."""

    seen: SeenHolder
    lots: int
    unconfirmed: bool


class Shown:
    """Some lines of an answer as an actor may see them: what is veiled is decided once for all lots of these lines."""

    def __init__(self, actor: Actor, campaign: Campaign | None, answer: Answer, lines: Sequence[ScopeLine]) -> None:
        self.answer = answer
        self.sight = Sight(actor, campaign)
        shown = {pk for line in lines for pk in (line.lot_id, *line.path)}
        answer.lots.read(shown)
        self.opened = self.sight.open_lots(shown)
        self.by_lot: dict[int, list[int]] = {}
        for one in answer.holdings:
            self.by_lot.setdefault(one.lot_id, []).append(one.organisation_id)

    def lot(self, lot: Lot) -> SeenLot:
        """One lot, open or veiled."""
        return self.sight.lot(lot, lot.pk in self.opened)

    def line(self, line: ScopeLine) -> LineView:
        """One line with its path and holders."""
        return LineView(
            line,
            self.lot(line.lot),
            [self.lot(lot) for lot in self.answer.path(line)],
            [
                self.sight.holder(self.answer.organisations[pk])
                for pk in dict.fromkeys(self.by_lot.get(line.lot_id, []))
            ],
        )

    def holders(self) -> list[HolderView]:
        """Everybody, with the number of lots and whether something sent to it was never confirmed."""
        lots: dict[int, int] = {}
        unconfirmed: set[int] = set()
        for one in self.answer.holdings:
            lots[one.organisation_id] = lots.get(one.organisation_id, 0) + 1
            if one.unconfirmed:
                unconfirmed.add(one.organisation_id)
        return [
            HolderView(self.sight.holder(self.answer.organisations[pk]), count, pk in unconfirmed)
            for pk, count in sorted(lots.items(), key=lambda item: (-item[1], item[0]))
        ]


@audience("signed_in")
@require_http_methods(["GET", "HEAD", "POST"])
def campaign_scope(request: HttpRequest, uid: str) -> HttpResponse:
    """Preview and freeze. Everything asked stands in the address bar; a preview writes nothing."""
    actor = acting(request)
    campaign = campaign_for(actor, uid)
    require_side(actor, campaign)
    query = request.POST if request.method == "POST" else request.GET
    question = asked_scope(actor, campaign, query)
    scope = latest_scope(campaign)
    answer, problem = _answer(question)
    mode = _mode(campaign, answer, scope)
    if mode == "narrow" and leaves_to_another(actor, campaign, "narrow_scope"):
        mode = "look"
    form = FreezeForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        done = _freeze(actor, campaign, question, form, mode)
        if done:
            messages.success(request, _("召回范围已存为新的一版。"))
            return redirect("recalls:campaign", campaign.uid)
    context: dict[str, Any] = {
        "campaign": campaign,
        "scope": scope,
        "versions": campaign.scopes.select_related("by", "by_organisation").order_by("-number"),
        "question": question,
        "mode": mode,
        "form": form,
        "problem": problem,
        "add": request.GET.get("add", ""),
        "matches": _matches(actor, request.GET.get("add", "")),
        "may": bool(roles_in(actor, campaign)) and mode != "look",
    }
    context |= _asked(question)
    choices = through_choices(actor, campaign, question.named, question.through)
    context |= {
        "through_choices": choices,
        "through": next((one for one in choices if one.pk == question.through), None),
    }
    context["own_fault"] = campaign.own_fault
    context |= _proposed(campaign, question)
    if answer is not None:
        context |= _shown(request, actor, campaign, answer)
        if scope is not None and campaign.has_started and "lot" not in request.GET:
            change = drift(scope, answer)
            context["drift"] = change if change else None
    return page(request, "recalls/campaign_scope.html", context, bad=form.is_bound)


def _proposed(campaign: Campaign, question: Question) -> dict[str, Any]:
    """Where a narrower scope was proposed: by whom, and the way to it unless it is the one looked at."""
    proposal = proposal_of(campaign, "narrow_scope")
    if proposal is None or "question" not in proposal.data:
        return {"own_address": address_of(question)}
    proposed, own = Question.from_json(proposal.data["question"]), address_of(question)
    looked_at = address_of(replace(proposed, left_out_reason=question.left_out_reason)) == own
    return {"own_address": own, "proposal": proposal, "proposed": "" if looked_at else address_of(proposed)}


def _mode(campaign: Campaign, answer: Answer | None, scope: ScopeVersion | None) -> str:
    """What freezing would mean now: ``freeze`` before the start, ``expand`` or ``narrow`` after it, else ``look``."""
    if campaign.status in _BEFORE_START:
        return "freeze"
    if scope is None or transition(campaign.status, "expand_scope", is_drill=campaign.is_drill) is None:
        return "look"
    covered = coverage_of(scope)
    if answer is None or not no_wider(answer.coverage, covered) or no_wider(covered, answer.coverage):
        return "expand"
    if transition(campaign.status, "narrow_scope", is_drill=campaign.is_drill) is None:
        return "look"
    return "narrow" if proposal_of(campaign, "narrow_scope") is not None else "propose_narrow"


def _freeze(actor: Actor, campaign: Campaign, question: Question, form: FreezeForm, mode: str) -> bool:
    """Take the step that fits the stage; False where the form now says why not."""
    reason = form.cleaned_data["reason"]
    asked = replace(question, left_out_reason=question.left_out_reason or form.cleaned_data["left_out_reason"])
    evidence = form.cleaned_data["evidence"]
    if mode == "freeze":
        return (
            attempt(
                form,
                lambda: freeze_scope(by=actor, campaign=campaign, question=asked, reason=reason, evidence=evidence),
            )
            is not None
        )
    if mode == "expand":
        return (
            attempt(form, lambda: expand_scope(by=actor, campaign=campaign, question=asked, reason=reason)) is not None
        )
    return (
        attempt(
            form,
            lambda: narrow_scope(by=actor, campaign=campaign, question=asked, reason=reason, evidence=evidence),
        )
        is not None
    )


def _answer(question: Question) -> tuple[Answer | None, str]:
    """The preview; a lot left out without a reason yet is shown left out all the same."""
    if not question.named:
        return None, ""
    asked = question
    if question.left_out and not question.left_out_reason:
        asked = replace(question, left_out_reason="-")
    try:
        return preview_scope(asked), ""
    except Invalid as error:
        return None, error.message


def _asked(question: Question) -> dict[str, Any]:
    """The lots of the question by what they are in it."""
    lots = lots_by_pk({*question.named, *question.sources, *question.left_out, *(one.lot for one in question.parts)})
    return {
        "parts": [
            (lots[one.lot], one, f"{one.kind.label}：{one.words[:200]}") for one in question.parts if one.lot in lots
        ],
        "named": [lots[pk] for pk in sorted(question.named) if pk in lots],
        "chosen_sources": {lots[pk].uid for pk in question.sources if pk in lots},
        "left_out": [lots[pk] for pk in sorted(question.left_out) if pk in lots],
    }


def _shown(request: HttpRequest, actor: Actor, campaign: Campaign, answer: Answer) -> dict[str, Any]:
    """The answer's part of the page."""
    listed = Paginator(answer.lines, _PER_PAGE).get_page(request.GET.get("page"))
    shown = Shown(actor, campaign, answer, list(listed.object_list))
    sources = sources_of(sorted(answer.question.named))
    least = levers(answer.lines)[:10]
    opened = shown.sight.open_lots([*(lot.pk for lot, _level in sources), *(one.start for one in least)])
    return {
        "answer": answer,
        "page": listed,
        "lines": [shown.line(line) for line in listed.object_list],
        "holders": shown.holders(),
        "divisible": divisible([line.lot_id for line in listed.object_list]) if not answer.question.through else set(),
        "part_url": f"{reverse('recalls:campaign_scope_part', args=[campaign.uid])}?{address_of(answer.question)}",
        "sources": [(lot, shown.sight.lot(lot, lot.pk in opened), level) for lot, level in sources[:200]],
        "levers": [(one, shown.sight.lot(answer.lots[one.start], one.start in opened)) for one in least],
        "conflicts": sum(line.conflicts for line in answer.lines),
        "proven": sum(line.shell == ScopeLot.Shell.PROVEN for line in answer.lines),
        "possible": sum(line.shell == ScopeLot.Shell.POSSIBLE for line in answer.lines),
        "seconds": f"{answer.took_ms / 1000:.1f}",
        "csv_url": f"{reverse('recalls:campaign_scope_csv', args=[campaign.uid])}?{request.GET.urlencode()}",
    }


@audience("signed_in")
@require_http_methods(["GET", "HEAD", "POST"])
def campaign_scope_part(request: HttpRequest, uid: str) -> HttpResponse:
    """Say which part of one lot is meant; goes back to the preview with the part in the address, writing nothing."""
    actor = acting(request)
    campaign = campaign_for(actor, uid)
    require_side(actor, campaign)
    query = request.POST if request.method == "POST" else request.GET
    question = asked_scope(actor, campaign, query)
    lot = Lot.objects.filter(uid=parse_uid(query.get("of", ""))).select_related("product_version").first()
    if lot is None or lot.pk not in lots_visible_to(actor).filter(pk=lot.pk).values_list("pk", flat=True):
        raise NotFound(_("没有找到，或者您无权查看。"))
    form = PartForm(request.POST or None)
    others = tuple(one for one in question.parts if one.lot != lot.pk)
    if request.method == "POST" and form.is_valid():
        part = Part(lot.pk, PartKind(form.cleaned_data["kind"]), form.words(), form.cleaned_data["reason"])
        if attempt(form, lambda: resolved(part)) is not None:
            asked = replace(question, parts=(*others, part))
            return redirect(f"{reverse('recalls:campaign_scope', args=[campaign.uid])}?{address_of(asked)}")
    whole = address_of(replace(question, parts=others))
    return page(
        request,
        "recalls/campaign_scope_part.html",
        {
            "campaign": campaign,
            "lot": lot,
            "form": form,
            "question": question,
            "kept": [(key, value) for key, values in QueryDict(address_of(question)).lists() for value in values],
            "numbered": lot.units.filter(number__gt=0).count() if divisible([lot.pk]) else 0,
            "whole": whole if len(others) < len(question.parts) else "",
        },
        bad=form.is_bound,
    )


def address_of(question: Question) -> str:
    """The question as the address bar says it."""
    ids = {*question.named, *question.sources, *question.left_out, *(one.lot for one in question.parts)}
    uid = {pk: str(name) for pk, name in Lot.objects.filter(pk__in=ids).values_list("pk", "uid")}
    pairs = [("lot", uid[pk]) for pk in sorted(question.named)]
    pairs += [("source", uid[pk]) for pk in sorted(question.sources)]
    pairs += [("out", uid[pk]) for pk in sorted(question.left_out)]
    pairs += [("run", "1")] if question.same_run else []
    pairs += [("gear", "1")] if question.same_gear else []
    if question.through is not None:
        pairs.append(("through", str(Organisation.objects.values_list("uid", flat=True).get(pk=question.through))))
    pairs += [("left_out_reason", question.left_out_reason)] if question.left_out_reason else []
    for one in question.parts:
        pairs += [
            ("part", uid[one.lot]),
            ("part_kind", one.kind.value),
            ("part_words", one.words),
            ("part_reason", one.reason),
        ]
    return urlencode(pairs)


def _matches(actor: Actor, words: str) -> list[Lot]:
    """Lots called as somebody typed."""
    return lots_by_words(actor, words) if words else []


@audience("signed_in")
@require_safe
def campaign_scope_csv(request: HttpRequest, uid: str) -> HttpResponse:
    """The previewed scope as a table: one line per lot and holder, veiled as on the page."""
    actor = acting(request)
    campaign = campaign_for(actor, uid)
    require_side(actor, campaign)
    answer, problem = _answer(asked_scope(actor, campaign, request.GET))
    if answer is None:
        raise Invalid(problem or _("请至少指明一个批次。"), code="lots_required")
    shown = Shown(actor, campaign, answer, answer.lines)
    holdings: dict[int, list[Any]] = {}
    for one in answer.holdings:
        holdings.setdefault(one.lot_id, []).append(one)
    rows: list[list[object]] = []
    for line in answer.lines:
        view = shown.line(line)
        for one in holdings.get(line.lot_id, []):
            known = view.seen.lot is not None and shown.sight.knows(one.organisation_id)
            amounts = (one.received, one.shipped, one.on_hand, one.unconfirmed)
            rows.append(
                [
                    view.seen.product,
                    view.seen.code,
                    view.shell,
                    view.why,
                    " → ".join(lot.label for lot in view.path),
                    shown.sight.holder(answer.organisations[one.organisation_id]).label,
                    unit_name(line.lot.product.base_unit),
                    *(decimal_text(n) if known else "" for n in amounts),
                    line.conflicts,
                ]
            )
    header = [
        _("产品"),
        _("批号"),
        _("把握"),
        _("理由"),
        _("路径"),
        _("单位名称"),
        _("计量单位"),
        _("收到"),
        _("发出"),
        _("在库"),
        _("未确认"),
        _("冲突"),
    ]
    return csv_answer(csv_table(header, rows), f"recall-{campaign.uid.hex[:8]}-scope.csv")
