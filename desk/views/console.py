"""The third question of the trace console: what a recall would have to cover, before there is one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlencode

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from recalls.scope import Answer, Question, links_of, preview_scope
from recalls.views.scopes import LineView, Shown
from trace.access import actor_of, audience, entered_for, lot_for
from trace.actor import Actor
from trace.errors import NotFound
from trace.exports import Cell, export_rows, micros
from trace.inventory import states_of
from trace.models import Lot
from trace.parts import Number
from trace.picture import Node, Picture, draw
from trace.templatetags.ui import STATES, url_or_none
from trace.tree import Fold, Leaf, fold
from trace.units import unit_name

ROWS = 50
BOXES = 160


class Asked:
    """One preview as one actor may see it: the answer, its lines by what may be told, the amounts of one's own side.

    What shared equipment or a step with the lot is told to who made it and to regulators; of others' lots it would tell
    what they keep to themselves.
    """

    def __init__(self, actor: Actor, lot: Lot, query: QueryDict) -> None:
        self.actor, self.lot = actor, lot
        self.mine = set(entered_for(actor))
        self.whole = actor.is_regulator or lot.organisation_id in self.mine
        wide = self.whole and query.get("shell") != "proven"
        self.wide = wide
        self.answer: Answer = preview_scope(Question.of([lot], same_run=wide, same_gear=wide))
        shown = Shown(actor, None, self.answer, self.answer.lines)
        self.shown = shown
        self.views = [shown.line(line) for line in self.answer.lines]

    def counts(self, organisation: int) -> bool:
        """Whether this organisation's amounts are the actor's to know."""
        return self.shown.sight.knows(organisation) if self.actor.is_regulator else organisation in self.mine

    def in_hand(self) -> dict[int, int]:
        """Millionths of each lot still with holders whose amounts may be told."""
        found: dict[int, int] = {}
        for one in self.answer.holdings:
            if self.counts(one.organisation_id):
                found[one.lot_id] = found.get(one.lot_id, 0) + max(one.on_hand, 0)
        return found

    @property
    def proven(self) -> list[LineView]:
        """Named lots and what was made of them."""
        return [view for view in self.views if not view.possible]

    @property
    def possible(self) -> list[LineView]:
        """Lots a person has to judge."""
        return [view for view in self.views if view.possible]


@audience("signed_in")
@require_safe
def scope(request: HttpRequest) -> HttpResponse:
    """What a recall of this lot would have to cover: proven and possible, who has it, what is left. Writes nothing; the
    whole question stands in the address (``lot``, ``shell``, ``only``, ``page``, ``open``).
    """
    actor = actor_of(request)
    lot = lot_for(actor, _one(request))
    asked = Asked(actor, lot, request.GET)
    only = request.GET.get("only", "")
    views = {"proven": asked.proven, "possible": asked.possible}.get(only, asked.views)
    page = Paginator(views, ROWS).get_page(request.GET.get("page"))
    hand = asked.in_hand()
    known = [view.line.lot for view in page if view.seen.lot is not None]
    states = states_of(known, None if actor.is_regulator else entered_for(actor))
    may_signal = actor.can("operator", "quality", "officer", "approver")
    signal = url_or_none("recalls:signal_new") if may_signal else ""
    context: dict[str, Any] = {
        "lot": lot,
        "question": lot.code,
        "asked": asked,
        "only": only,
        "page": page,
        "rows": [(view, hand.get(view.line.lot.pk, 0), states.get(view.line.lot.pk, ""), _url(view)) for view in page],
        "left": sum(1 for view in asked.views if hand.get(view.line.lot.pk)),
        "holders": asked.shown.holders() if asked.whole else _known_holders(asked),
        "numbers": _numbers(asked, hand),
        "picture": _picture(request, asked) if len(asked.views) > 1 else None,
        "query": urlencode({"lot": lot.uid}),
        "signal": f"{signal}?{urlencode({'lot': lot.uid})}" if signal else "",
    }
    return render(request, "desk/scope.html", context)


def _one(request: HttpRequest) -> str:
    """The lot named; refuses an address without one (404)."""
    if not request.GET.get("lot"):
        raise NotFound(_("没有找到，或者您无权查看。"))
    return request.GET["lot"][:40]


def _url(view: LineView) -> str:
    """Where the lot's page is, for lots that may be opened."""
    return url_or_none("desk:lot_detail", view.seen.lot.uid) if view.seen.lot is not None else ""


def _known_holders(asked: Asked) -> list[Any]:
    """Holders the actor dealt with itself; how many others there are is not its to know."""
    return [one for one in asked.shown.holders() if one.seen.organisation is not None]


def _numbers(asked: Asked, hand: dict[int, int]) -> list[Number]:
    """The four numbers under the verdict."""
    waiting = sum(
        1 for one in asked.answer.holdings if one.unconfirmed and asked.shown.sight.knows(one.organisation_id)
    )
    holders = asked.shown.holders() if asked.whole else _known_holders(asked)
    return [
        Number(_("确定的批次"), len(asked.proven), note=_("指定的批次和用它做成的")),
        Number(
            _("可能的批次"),
            len(asked.possible),
            note=_("同一次加工、同一设备、同一容器") if asked.wide else _("没有算入"),
            tone="attention" if asked.possible else "",
        ),
        Number(_("持有过的单位"), len(holders), note=_("收过货、在库或发出过的")),
        Number(_("收货未确认"), waiting, tone="attention" if waiting else ""),
    ]


def _picture(request: HttpRequest, asked: Asked) -> Picture:
    """The scope as a drawing; possible lots in dashed boxes, many folded into one."""
    views = {view.line.lot.pk: view for view in asked.views}
    numbers = {pk: number for number, pk in enumerate(views, start=1)}
    by_number = {number: views[pk] for pk, number in numbers.items()}
    leaves = [
        Leaf(numbers[pk], len(view.line.path) - 1, f"{'x' if view.possible else ''}{_group(view)}")
        for pk, view in views.items()
    ]
    edges = [(numbers[a], numbers[b]) for a, b in links_of(views)]
    tree = fold(leaves, edges, frozenset(value[:40] for value in request.GET.getlist("open")[:50]))
    nodes = [_node(request, asked, box, [by_number[lot] for lot in box.lots]) for box in tree.boxes]
    lines = [(a, b, _("%(n)d 处相连") % {"n": n} if n > 1 else "") for (a, b), n in tree.edges.items()]
    return draw(nodes, lines, label=_("召回范围图：右边是最后的产品"), most=BOXES)


def _group(view: LineView) -> str:
    """A short name for whose lot it is."""
    return f"o{view.line.lot.organisation.uid.hex[-12:]}" if view.seen.lot is not None else "r"


def _node(request: HttpRequest, asked: Asked, box: Fold, views: Sequence[LineView]) -> Node:
    """One box: a lot, or many folded into one that unfolds when it is followed."""
    view = views[0]
    if len(views) == 1:
        words = [view.seen.code or view.seen.product, view.seen.product, view.shell]
        start = view.line.lot == asked.lot
        return Node(
            box.key, box.level, words, _("，").join([view.seen.label, view.shell, view.why]),
            tone="attention" if view.possible else "danger" if start else STATES["ok"].tone,
            url=_url(view), start=start, dashed=view.possible,
        )  # fmt: skip
    count = _("%(n)d 个批次") % {"n": len(views)}
    whose = view.line.lot.organisation.label if box.groups == 1 and view.seen.lot is not None else ""
    query = request.GET.copy()
    names = query.getlist("open")
    query.setlist("open", [*names, box.name] if box.name else names)
    return Node(
        box.key, box.level, [count, whose or view.shell, _("展开 ▸") if box.name else _("见表 ▸")],
        _("，").join(part for part in (count, whose, view.shell) if part),
        tone="attention" if view.possible else "mute",
        url=f"?{query.urlencode()}#drawing" if box.name else "#rows",
        dashed=view.possible, stacked=True,
    )  # fmt: skip


@audience("signed_in")
@require_safe
def scope_csv(request: HttpRequest) -> HttpResponseBase:
    """The preview as a table, one row per lot, veiled as on the page. CSV, or Excel with ``format=xlsx``."""
    actor = actor_of(request)
    asked = Asked(actor, lot_for(actor, _one(request)), request.GET)
    header = [_("把握"), _("理由"), _("路径"), _("产品"), _("批号"), _("地区"), _("日期"), _("在库"), _("计量单位")]
    return export_rows(request, f"scope-{asked.lot.public_code}", header, _rows(asked))


def _rows(asked: Asked) -> Iterator[list[Cell]]:
    """The rows of the file."""
    hand = asked.in_hand()
    for view in asked.views:
        lot = view.line.lot
        yield [
            view.shell,
            view.why,
            " → ".join(step.label for step in view.path),
            view.seen.product,
            view.seen.code,
            view.seen.region,
            view.seen.date,
            micros(hand.get(lot.pk)),
            unit_name(lot.product.base_unit) if lot.pk in hand else "",
        ]
