"""The live board of a campaign, and the effectiveness checks: who was told, who answered, how well it works."""

from __future__ import annotations

from collections import Counter
from typing import Any

from django import forms
from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_safe

from recalls.access import campaign_for, campaign_notices, check_sample_for, require_side
from recalls.actions.checks import concerned, draw_check, record_check
from recalls.effect import Effect, duration, effect, percent
from recalls.figures import figures
from recalls.forms import Moment, now_here
from recalls.law.checking import LEVELS
from recalls.models import Campaign, CheckResult, CheckSample, Notice
from recalls.notice_states import ANSWERED, NoticeStatus
from recalls.queries import clocks_of
from recalls.sight import Sight
from recalls.views.doors import acting, page
from recalls.views.notices import tone
from recalls.views.numbers import amount_shares, number_tiles
from trace.access import audience
from trace.actor import Actor
from trace.forms.fields import Pick, Text, Whole, attempt
from trace.models import Division
from trace.paging import WidePaginator
from trace.parts import Number, Share
from trace.personal import reveal
from trace.units import format_amount, unit_name

_PER_PAGE = 50
REFRESH_SECONDS = 30

# --- In words -------------------------------------------------------------------------------------------------------


def effect_tiles(found: Effect) -> list[Number]:
    """Rates and times as tiles: what is good or bad is said by the number, not by its colour."""
    checks = found.checks
    tiles = [
        Number(_("确认率"), percent(found.acknowledged_rate), note=f"{found.acknowledged}/{found.holders}"),
        Number(_("库存反馈率"), percent(found.answered_rate), note=f"{found.answered}/{found.holders}"),
        Number(_("追溯用时"), duration(found.trace_seconds), note=_("从提问到得出范围")),
        Number(_("知悉到封存"), duration(found.block_seconds)),
        Number(_("知悉到启动"), duration(found.start_seconds)),
        Number(_("启动到首个通知"), duration(found.first_notice_seconds)),
        Number(_("确认用时（中位数）"), duration(found.median_acknowledge_seconds)),
        Number(
            _("超过时限"),
            found.breaches,
            note=_("共 %(n)d 项时限") % {"n": found.clocks},
            tone="attention" if found.breaches else "",
        ),
    ]
    if checks.rounds:
        tiles.append(
            Number(
                _("核查有效率"),
                percent(checks.passed),
                note=_("抽取 %(all)d，已查 %(n)d") % {"all": checks.sampled, "n": checks.checked}
                if checks.sampled
                else _("E 级：不核查"),
            )
        )
    return tiles


def goods_tiles(found: Effect) -> list[tuple[str, list[Number]]]:
    """Per base unit: the recall rate in both forms, 退回率, accounted, and what nobody knows apart."""
    return [
        (
            unit_name(unit),
            [
                Number(
                    _("召回率（收回/应召回）"),
                    percent(one.recall_of_planned),
                    note=_("应召回 %(n)s") % {"n": format_amount(one.planned_micros, unit)},
                ),
                Number(
                    _("召回率（收回/已销售）"),
                    percent(one.recall_of_sold),
                    note=_("已销售 %(n)s") % {"n": format_amount(one.sold_micros, unit)},
                ),
                Number(_("退回率（GB/T 40993）"), percent(one.returned), note=_("消费者已处理和流通环节收回")),
                Number(_("已查明率"), percent(one.accounted), note=_("已处理、更正后放行，或封存在库")),
                Number(
                    _("去向不明"),
                    percent(one.unknown),
                    note=format_amount(one.unknown_micros, unit),
                    tone="attention" if one.unknown_micros else "",
                ),
            ],
        )
        for unit, one in found.goods.items()
    ]


# --- The board ------------------------------------------------------------------------------------------------------

_FILTERS = {
    "all": gettext_lazy("全部"),
    "silent": gettext_lazy("未确认"),
    "uncounted": gettext_lazy("未反馈库存"),
    "late": gettext_lazy("已催办或升级"),
    "answered": gettext_lazy("已反馈"),
}


def _narrowed(rows: QuerySet[Notice], which: str, region: str) -> QuerySet[Notice]:
    """The notices of one tab and county."""
    if which == "silent":
        rows = rows.filter(acknowledged_at=None)
    elif which == "uncounted":
        rows = rows.filter(answered_at=None)
    elif which == "late":
        rows = rows.exclude(escalation="")
    elif which == "answered":
        rows = rows.filter(status__in=sorted(ANSWERED))
    return rows.filter(organisation__division__code__startswith=region) if region else rows


@audience("signed_in")
@require_safe
def campaign_board(request: HttpRequest, uid: str) -> HttpResponse:
    """Where a campaign stands now, on one page that asks again by itself: clocks, coverage, goods, figures and the
    holders page by page. The number of statements does not grow with the holders.
    """
    actor = acting(request)
    campaign = campaign_for(actor, uid)
    require_side(actor, campaign)
    which = request.GET.get("which", "all")
    which = which if which in _FILTERS else "all"
    region = request.GET.get("region", "")
    region = region if region.isascii() and region.isdigit() and len(region) == 6 else ""
    standing = campaign_notices(actor, campaign).exclude(status=NoticeStatus.WITHDRAWN)
    numbers = figures(campaign)
    found = effect(campaign, numbers)
    # The campaign is one and known: its rows and those of its scope need not come along with each notice.
    rows = _narrowed(standing, which, region).select_related(None).select_related("organisation__division")
    rows = rows.order_by("id")
    listed = WidePaginator(rows, _PER_PAGE).get_page(request.GET.get("page"))
    sight = Sight(actor, campaign, [row.organisation_id for row in listed.object_list])
    still = request.GET.get("still") == "1"
    reached = _reached(standing)
    context = {
        "campaign": campaign,
        "clocks": [
            one
            for one in clocks_of(Campaign.objects.filter(pk=campaign.pk)).get(campaign.pk, [])
            if one.clock.met_at is None
        ],
        "stages": _stages(reached),
        "effect": effect_tiles(found),
        "goods": goods_tiles(found),
        "numbers": number_tiles(numbers),
        "shares": amount_shares(numbers),
        "lines": [
            (row, sight.holder(row.organisation), tone(row), NoticeStatus(row.status).label)
            for row in listed.object_list
        ],
        "page": listed,
        "which": which,
        "region": region,
        "tabs": list(_FILTERS.items()),
        "regions": _regions(reached),
        "runs": list(campaign.runs.filter(finished_at=None)),
        "still": still,
        "refresh": 0 if still or not campaign.is_open else REFRESH_SECONDS,
        "now": timezone.now(),
    }
    return page(request, "recalls/campaign_board.html", context)


Reached = list[tuple[str, str, int]]
"""Code of a division, status, how many holders."""


def _reached(standing: QuerySet[Notice]) -> Reached:
    """How many holders stand where, by division; one query."""
    rows = standing.order_by().values_list("organisation__division", "status")
    return list(rows.annotate(n=Count("pk")).values_list("organisation__division", "status", "n"))


def _stages(reached: Reached) -> list[Share]:
    """How many holders stand where, furthest first."""
    counts: Counter[str] = Counter()
    for _division, status, n in reached:
        counts[status] += n
    steps = [
        (_("已核销"), ("settled",), "good"),
        (_("已退回或就地处理"), ("returned", "disposed_on_site"), "good"),
        (_("已封存"), ("isolated",), "good"),
        (_("已反馈库存"), ("stock_answered",), "info"),
        (_("已确认"), ("acknowledged",), "info"),
        (_("已看到"), ("seen",), "attention"),
        (_("已送出"), ("sent", "delivered"), "attention"),
        (_("拒收、联系不上或已升级"), ("refused", "unreachable", "escalated"), "attention"),
        (_("尚未送出"), ("created",), "mute"),
    ]
    return [Share(label, sum(counts[key] for key in keys), tone_) for label, keys, tone_ in steps]


def _regions(reached: Reached) -> list[tuple[str, str, int]]:
    """The counties of the holders with how many there are, most first; one query."""
    counted: Counter[str] = Counter()
    for pk, _status, n in reached:
        counted[pk] += n
    found: dict[str, tuple[str, int]] = {}
    for division in Division.objects.filter(pk__in=counted):
        label, before = found.get(division.code[:6], (division.name, 0))
        name = division.name if len(division.code) == 6 else label
        found[division.code[:6]] = (name, before + counted[division.pk])
    return sorted(((code, name, n) for code, (name, n) in found.items()), key=lambda one: (-one[2], one[0]))[:100]


# --- Effectiveness checks -------------------------------------------------------------------------------------------


class DrawForm(forms.Form):
    """Which level, and the seed."""

    level = Pick(
        label=gettext_lazy("核查级别"),
        choices=[(one.key, one.label) for one in LEVELS],
        widget=forms.RadioSelect,
    )
    percent = Whole(label=gettext_lazy("B 级的比例（%）"), least=1, most=99, required=False)
    seed = Text(
        label=gettext_lazy("随机种子"),
        max_length=60,
        required=False,
        help_text=gettext_lazy("例如当天的福彩号码；留空由系统产生。种子和名单的哈希会存档，谁都能重算。"),
    )


class ResultForm(forms.Form):
    """What was found at one holder."""

    method = Pick(label=gettext_lazy("核查方法"), choices=CheckResult.Method.choices)
    outcome = Pick(label=gettext_lazy("结果"), choices=CheckResult.Outcome.choices, widget=forms.RadioSelect)
    checked_at = Moment(label=gettext_lazy("核查时间"), initial=now_here)
    words = Text(label=gettext_lazy("说明"), max_length=500, multiline=True, required=False)


@audience("signed_in")
@require_http_methods(["GET", "HEAD", "POST"])
def campaign_checks(request: HttpRequest, uid: str) -> HttpResponse:
    """The rounds of checks with their samples and results; an independent person draws another."""
    actor = acting(request)
    campaign = campaign_for(actor, uid)
    require_side(actor, campaign)
    form = DrawForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        drawn = attempt(
            form,
            lambda: draw_check(
                by=actor, campaign=campaign, level=data["level"], percent=data["percent"], seed=data["seed"]
            ),
            {"percent_required": "percent", "level_unknown": "level"},
        )
        if drawn is not None:
            drew = _("已抽取 %(n)d 个单位。") % {"n": drawn.size}
            messages.success(request, drew if drawn.size else _("已登记：不核查。"))
            return redirect("recalls:campaign_checks", campaign.uid)
    found = effect(campaign)
    samples = (
        CheckSample.objects.filter(round__campaign=campaign)
        .select_related("notice__organisation__division", "round")
        .prefetch_related("results__by")
        .order_by("-round__number", "position")
    )
    listed = Paginator(samples, _PER_PAGE).get_page(request.GET.get("page"))
    sight = Sight(actor, campaign)
    context: dict[str, Any] = {
        "campaign": campaign,
        "rounds": campaign.check_rounds.select_related("by", "by_organisation").order_by("-number"),
        "lines": [(row, sight.holder(row.notice.organisation), _last(row)) for row in listed.object_list],
        "page": listed,
        "form": form if campaign.has_started else None,
        "levels": LEVELS,
        "effect": effect_tiles(found),
        "outcomes": [(label, found.checks.outcomes.get(value, 0)) for value, label in CheckResult.Outcome.choices]
        if found.checks.checked
        else [],
        "independent": _independent(actor, campaign),
    }
    return page(request, "recalls/campaign_checks.html", context, bad=form.is_bound)


def _last(sample: CheckSample) -> CheckResult | None:
    """The result that counts; asks nothing where results were read along."""
    return max(sample.results.all(), key=lambda row: row.pk, default=None)


def _independent(actor: Actor, campaign: Campaign) -> bool:
    """Whether this person may check."""
    return actor.user is not None and actor.user.pk not in concerned(campaign)


@audience("signed_in")
@require_http_methods(["GET", "HEAD", "POST"])
def campaign_check(request: HttpRequest, uid: str, sample: str) -> HttpResponse:
    """Write down what was found at one sampled holder."""
    actor = acting(request)
    campaign = campaign_for(actor, uid)
    require_side(actor, campaign)
    found = check_sample_for(campaign, sample)
    form = ResultForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        done = attempt(
            form,
            lambda: record_check(
                by=actor,
                sample=found,
                method=data["method"],
                outcome=data["outcome"],
                words=data["words"],
                checked_at=data["checked_at"],
            ),
            {"in_future": "checked_at"},
        )
        if done is not None:
            messages.success(request, _("核查结果已登记。"))
            return redirect("recalls:campaign_checks", campaign.uid)
    results = found.results.select_related("by", "by_organisation", "words").order_by("-id")
    return page(
        request,
        "recalls/campaign_check.html",
        {
            "campaign": campaign,
            "sample": found,
            "holder": Sight(actor, campaign).holder(found.notice.organisation),
            "results": [(row, reveal(row.words) if row.words else "") for row in results],
            "form": form,
            "independent": _independent(actor, campaign),
        },
        bad=form.is_bound,
    )
