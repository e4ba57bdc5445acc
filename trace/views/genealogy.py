"""The trace console: one box for any code, three questions (来源, 去向, 召回范围), answered as far as one may know."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, Literal
from urllib.parse import urlencode

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from trace.access import actor_of, audience, lot_for
from trace.actor import Actor
from trace.exports import export_rows, micros
from trace.finding import (
    TEXT_MAX,
    Found,
    find_lots,
    find_names,
    lots_of_organisation,
    lots_of_product,
    wanted_text,
)
from trace.models import Lot
from trace.parts import Number
from trace.picture import Node, Picture, draw
from trace.templatetags.ui import STATES, url_or_none
from trace.tracing import Answer, Step, answer, edge_words, handed_over, percent_text, table
from trace.tree import Fold, Folded, Leaf, fold
from trace.units import unit_name
from trace.whereabouts import balances

ROWS = 50
LINKS = 4
"""Connections told in one row; the file has them all."""
BOXES = 160
"""Boxes of a drawing at most; folding keeps it far below."""
Way = Literal["back", "forward", "scope"]


@audience("signed_in")
@require_safe
def console(request: HttpRequest) -> HttpResponseBase:
    """Ask where a lot came from or went. The whole question stands in the address: ``lot`` or ``q``, ``way``, filters,
    order and what is unfolded in the drawing. What a recall must cover (``way=scope``) is answered next door.
    """
    actor = actor_of(request)
    question = request.GET.get("q", "")[:TEXT_MAX]
    way = _way(request)
    lot, found = _asked(request, actor, question)
    scope = url_or_none("desk:scope")
    if lot is not None and way == "scope" and scope:
        return HttpResponseRedirect(f"{scope}?{urlencode({'lot': lot.uid})}")
    context: dict[str, Any] = {
        "question": lot.code if lot is not None and not question else wanted_text(question),
        "way": way,
        "lot": lot,
        "found": found,
        "names": find_names(actor, question) if lot is None and question.strip() else None,
    }
    if lot is None:
        context |= _listed(request, actor)
    else:
        context |= _answered(request, actor, lot, "forward" if way == "scope" else way)
    return render(request, "trace/genealogy/console.html", context)


def _way(request: HttpRequest) -> Way:
    """The question asked: where from, unless where to or what to recall."""
    asked = request.GET.get("way", "")
    return "forward" if asked == "forward" else "scope" if asked == "scope" else "back"


def _asked(request: HttpRequest, actor: Actor, question: str) -> tuple[Lot | None, Found | None]:
    """The lot the address names, or what the typed code may mean."""
    if request.GET.get("lot"):
        return lot_for(actor, request.GET["lot"][:40]), None
    if not question.strip():
        return None, None
    found = find_lots(actor, question)
    if found.exact and len(found.lots) == 1:
        return found.lots[0], found
    return None, found


def _listed(request: HttpRequest, actor: Actor) -> dict[str, Any]:
    """The lots of a product or an organisation somebody chose among the names found."""
    if request.GET.get("product"):
        product, rows = lots_of_product(actor, request.GET["product"][:40])
        title = str(product)
    elif request.GET.get("party"):
        party, rows = lots_of_organisation(actor, request.GET["party"][:40])
        title = party.label
    else:
        return {}
    return {"title": title, "page": Paginator(rows, ROWS).get_page(request.GET.get("page"))}


def _answered(request: HttpRequest, actor: Actor, lot: Lot, way: Literal["back", "forward"]) -> dict[str, Any]:
    """Everything the page says about one lot."""
    found = answer(actor, lot, way)
    names = {step.seen.number: step.name for step in found.steps}
    wanted = ordered(request, filtered(request, found.others))
    page = Paginator(wanted, ROWS).get_page(request.GET.get("page"))
    start = found.steps[0]
    told = [step.seen.lot for step in [start, *page] if step.seen.lot is not None]
    known = balances(actor, told)
    rows = [
        {
            "step": step,
            "url": lot_page(step),
            "words": [edge_words(edge, names, way) for edge in step.towards[:LINKS]],
            "more": max(len(step.towards) - LINKS, 0),
            "carried": percent_text(step.carried),
            "content": percent_text(step.content),
            "balance": known.get(step.seen.lot.pk) if step.seen.lot is not None else None,
        }
        for step in page
    ]
    tree = folded(request, found) if found.others else None
    return {
        "answer": found,
        "start": start,
        "start_url": lot_page(start),
        "balance": known.get(lot.pk),
        "rows": rows,
        "page": page,
        "wanted": len(wanted),
        "choices": choices(found.others),
        "asked": {key: request.GET.get(key, "")[:60] for key in FILTERS},
        "is_filtered": any(request.GET.get(key) for key in FILTERS),
        "sort": request.GET.get("sort", ""),
        "numbers": numbers(found),
        "picture": picture(request, found, tree) if tree is not None else None,
        "folds": [(name, _fold_words(found, name), _opened(request, name)) for name in tree.opened] if tree else [],
        "query": urlencode({"lot": lot.uid, "way": way}),
        "lot_query": urlencode({"lot": lot.uid}),
        "file_query": file_query(request, lot, way),
    }


def lot_page(step: Step) -> str:
    """Where a lot's own page is, for lots that may be opened."""
    return url_or_none("desk:lot_detail", step.seen.lot.uid) if step.seen.lot is not None else ""


def file_query(request: HttpRequest, lot: Lot, way: str) -> str:
    """The address of the file that has what the table shows."""
    kept = {key: request.GET[key][:60] for key in (*FILTERS, "sort") if request.GET.get(key)}
    return urlencode({"lot": lot.uid, "way": way, **kept})


# --- The table: filters and order -----------------------------------------------------------------------------------

FILTERS = ("level", "org", "product", "shell", "state")


def group_words(step: Step) -> str:
    """Whose lot it is in words."""
    if step.seen.lot is not None:
        return step.seen.lot.organisation.label
    return _("他方（%(region)s）") % {"region": step.seen.region}


def product_of(step: Step) -> str:
    """A short name of the product, or of the family where only that may be told."""
    return f"p{step.seen.lot.product.uid.hex[-12:]}" if step.seen.lot is not None else f"f{step.seen.family}"


_TESTS: dict[str, Callable[[Step, str], bool]] = {
    "level": lambda step, asked: str(step.seen.level) == asked and not step.why,
    "org": lambda step, asked: step.group == asked,
    "product": lambda step, asked: product_of(step) == asked,
    "shell": lambda step, asked: bool(step.why) == (asked == "possible"),
    "state": lambda step, asked: step.state in ("failed", "blocked", "recalled") if asked == "troubled" else True,
}


def filtered(request: HttpRequest, steps: Sequence[Step]) -> list[Step]:
    """The rows the address asks for."""
    asked = {key: request.GET[key][:60] for key in FILTERS if request.GET.get(key)}
    return [step for step in steps if all(_TESTS[key](step, value) for key, value in asked.items())]


_ORDERS: dict[str, Callable[[Step], Any]] = {
    "level": lambda step: (bool(step.why), step.seen.level),
    "lot": lambda step: step.name,
    "product": lambda step: step.product,
    "org": lambda step: step.holder,
    "date": lambda step: step.seen.date.isoformat() if step.seen.date else "",
    "carried": lambda step: step.carried.value if step.carried else Fraction(-1),
    "content": lambda step: step.content.value if step.content else Fraction(-1),
    "state": lambda step: step.state,
}


def ordered(request: HttpRequest, steps: list[Step]) -> list[Step]:
    """The rows in the order the address asks for (``-`` before the name turns it round), by level otherwise."""
    name = request.GET.get("sort", "")
    key = _ORDERS.get(name.removeprefix("-"), _ORDERS["level"])
    return sorted(steps, key=key, reverse=name.startswith("-"))


def choices(steps: Sequence[Step]) -> dict[str, list[tuple[str, str]]]:
    """What the filters offer: levels, whose lots, products, each with how many."""
    counts: dict[str, dict[str, tuple[str, int]]] = {}
    for kind, value_of, words_of in (
        ("level", lambda step: "" if step.why else str(step.seen.level), lambda step: str(step.seen.level)),
        ("org", lambda step: step.group, group_words),
        ("product", product_of, lambda step: step.product),
    ):
        found: Counter[str] = Counter()
        first: dict[str, Step] = {}
        for step in steps:
            value = value_of(step)
            found[value] += 1
            first.setdefault(value, step)
        counts[kind] = {value: (words_of(first[value]), n) for value, n in found.items() if value}
    return {
        kind: [(value, f"{words} ({n})") for value, (words, n) in sorted(named.items(), key=_by_words)][:200]
        for kind, named in counts.items()
    }


def _by_words(item: tuple[str, tuple[str, int]]) -> tuple[int, str]:
    """Numbers in their order, words in theirs."""
    words = item[1][0]
    return (int(words) if words.isascii() and words.isdigit() else 0, words)


# --- Four numbers ---------------------------------------------------------------------------------------------------


def numbers(found: Answer) -> list[Number]:
    """The four numbers under the verdict."""
    troubled = Number(
        _("其中有问题"),
        len(found.troubled),
        note=_("不合格、封存或召回"),
        tone="danger" if found.troubled else "",
        url=f"?{urlencode({'lot': found.lot.uid, 'way': found.direction, 'state': 'troubled'})}#rows"
        if found.troubled
        else "",
    )
    if found.direction == "back":
        return [
            Number(_("上游批次"), len(found.others), note=_("去重后，全部层级")),
            Number(_("层级"), found.levels),
            Number(_("源头批次"), len(found.ends), note=_("再往上没有登记")),
            troubled,
        ]
    waiting = found.handed.waiting
    return [
        Number(
            _("下游批次"),
            len(found.proven),
            note=_("另有 %(n)d 个可能相关") % {"n": len(found.possible)} if found.possible else _("去重后，全部层级"),
        ),
        Number(_("收货单位"), found.handed.parties, note=_("本单位可见的")),
        Number(_("收货未确认"), waiting, tone="attention" if waiting else ""),
        troubled,
    ]


# --- The drawing ----------------------------------------------------------------------------------------------------


def folded(request: HttpRequest, found: Answer) -> Folded:
    """The answer folded as the address asks."""
    leaves = [Leaf(step.seen.number, step.seen.level, _group(step)) for step in found.steps]
    edges = [(edge.parent, edge.child) for edge in found.seen.edges]
    return fold(leaves, edges, frozenset(value[:40] for value in request.GET.getlist("open")[:50]))


def _group(step: Step) -> str:
    """The group of a lot in the drawing: what is only possible stands apart."""
    return f"x{step.group}" if step.why else step.group


def _opened(request: HttpRequest, name: str) -> str:
    """The address with a box opened, or closed where it is open."""
    query = request.GET.copy()
    names = [value for value in query.getlist("open") if value != name]
    query.setlist("open", names if len(names) < len(query.getlist("open")) else [*names, name])
    return f"?{query.urlencode()}#drawing"


def _fold_words(found: Answer, name: str) -> str:
    """An opened box in words."""
    level, _dot, group = name.partition(".")
    words = _("第 %(level)s 层") % {"level": level}
    step = next((one for one in found.others if str(one.seen.level) == level and _group(one) == group), None)
    return f"{words} · {group_words(step)}" if step is not None else words


def picture(request: HttpRequest, found: Answer, tree: Folded) -> Picture:
    """The drawing: time runs from left to right in both questions."""
    back = found.direction == "back"
    by_number = {step.seen.number: step for step in found.steps}
    names = {step.seen.number: step.name for step in found.steps}
    nodes = [
        _lot_node(request, found, by_number[box.key])
        if len(box.lots) == 1
        else _fold_node(request, found, box, [by_number[lot] for lot in box.lots])
        for box in tree.boxes
    ]
    single = {
        (edge.parent, edge.child): edge for edge in found.seen.edges if tree.edges.get((edge.parent, edge.child)) == 1
    }
    edges = [
        (a, b, edge_words(single[a, b], names, "back") if (a, b) in single else _("%(n)d 处相连") % {"n": count})
        for (a, b), count in tree.edges.items()
    ]
    label = _("来源图：左边是源头") if back else _("去向图：右边是最后的产品")
    return draw(nodes, edges, label=label, most=BOXES)


def _lot_node(request: HttpRequest, found: Answer, step: Step) -> Node:
    """A lot's own box; it leads to the same question about that lot."""
    query = urlencode({"lot": step.seen.lot.uid, "way": found.direction}) if step.seen.lot is not None else ""
    possible = _("可能") if step.why else ""
    under = " · ".join(part for part in (possible, _under(step)) if part)
    tone = STATES[step.state].tone if step.state else "attention" if step.why else "mute"
    return Node(
        key=step.seen.number,
        layer=-step.seen.level if found.direction == "back" else step.seen.level,
        lines=[step.name, step.product, under],
        title=_("，").join(part for part in (step.name, step.product, step.holder, _under(step), step.why) if part),
        tone=tone,
        url=f"{request.path}?{query}" if query and step.seen.level else "",
        start=step.seen.level == 0,
        dashed=bool(step.why),
    )


def _fold_node(request: HttpRequest, found: Answer, box: Fold, steps: Sequence[Step]) -> Node:
    """A box of many lots: how many, whose, the worst of them; it leads to itself unfolded, or to its rows."""
    whose = group_words(steps[0]) if box.groups == 1 else _("%(n)d 个单位") % {"n": box.groups}
    count = _("%(n)d 个批次") % {"n": len(steps)}
    bad = sum(1 for step in steps if step.state in ("failed", "blocked", "recalled"))
    state = _("%(n)d 个有问题") % {"n": bad} if bad else _("展开 ▸") if box.name else _("见表 ▸")
    query = {"lot": str(found.lot.uid), "way": found.direction, "level": str(box.level)}
    if box.groups == 1:
        query["org"] = steps[0].group
    url = _opened(request, box.name) if box.name else f"{request.path}?{urlencode(query)}#rows"
    level = _("第 %(level)s 层") % {"level": box.level}
    return Node(
        key=box.key,
        layer=-box.level if found.direction == "back" else box.level,
        lines=[count, f"{level} · {whose}", state],
        title=_("，").join(
            part for part in (level, whose, count, _("%(n)d 个有问题") % {"n": bad} if bad else "") if part
        ),
        tone="danger" if bad else "mute",
        url=url,
        stacked=True,
    )


def _under(step: Step) -> str:
    """The third line of a box: the state's words, else the date."""
    words = str(STATES[step.state].words) if step.state else ""
    day = step.seen.date.isoformat() if step.seen.date else ""
    return " · ".join(part for part in (words, day) if part)


# --- Files ----------------------------------------------------------------------------------------------------------


@audience("signed_in")
@require_safe
def console_csv(request: HttpRequest) -> HttpResponseBase:
    """The answer as a table, however many lots; with the page's filters and order. ``table=transfers`` gives who gave
    the lots to whom. CSV, or Excel with ``format=xlsx``.
    """
    actor = actor_of(request)
    lot = lot_for(actor, request.GET.get("lot", "")[:40])
    way: Literal["back", "forward"] = "back" if _way(request) == "back" else "forward"
    found = answer(actor, lot, way)
    name = f"trace-{way}-{lot.public_code}"
    if request.GET.get("table") == "transfers":
        return export_rows(request, f"shipments-{name}", *transfer_table(actor, found))
    asked = any(request.GET.get(key) for key in (*FILTERS, "sort"))
    steps = ordered(request, filtered(request, found.others)) if asked else found.steps
    return export_rows(request, name, *table(found, steps))


def transfer_table(actor: Actor, found: Answer) -> tuple[list[str], Any]:
    """Every hand-over of the lots of an answer that the actor may know."""
    header = [_("批号"), _("品名"), _("发货单位"), _("收货单位"), _("发货单"), _("发出"), _("实收"), _("计量单位")]
    lots = [step.seen.lot.pk for step in found.steps if step.seen.lot is not None]
    rows = handed_over(actor, lots, found.direction).select_related(
        "lot__product", "lot__product_version", "sender", "receiver", "shipment"
    )
    return header, (
        [
            row.lot.code,
            row.lot.product_version.label,
            row.sender.label,
            row.receiver.label,
            row.shipment.number,
            micros(row.sent_micros),
            micros(row.received_micros),
            unit_name(row.lot.product.base_unit),
        ]
        for row in rows.iterator(chunk_size=1000)
    )
