"""The trace console: any code in, verdict, numbers, rows and drawing out; nothing of others that may not be told."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests.goods import amount, day, make_lot, passed, receive, released, ship, turn_into
from tests.world import World, make_product, sign_in
from trace.actions.events import Portion, record_event
from trace.actions.holds import place_hold
from trace.actions.transfers import take_back
from trace.finding import find_lots
from trace.models import Lot, LotAlias, Organisation, Product, Shipment, Unit
from trace.picture import MOST_NODES, Node, draw, shorten
from trace.shares import Share
from trace.tracing import answer, percent_text
from trace.tree import LOTS_IN_GROUP
from trace.whereabouts import balances


def text(response: Any) -> str:
    return str(response.content.decode())


def ask(client: Client, lot: Lot, way: str = "back") -> str:
    return text(client.get(reverse("trace:console"), {"lot": str(lot.uid), "way": way}))


@pytest.fixture
def sweets(world: World) -> Product:
    """What the shop makes of the kernels it bought."""
    return make_product(world.shop.organisation, "ZJ", "示例枣夹核桃", family="date_stuffed_walnut")


@pytest.fixture
def chain(world: World, sweets: Product) -> dict[str, Lot]:
    """Grower's walnuts → firm's kernels → shop's sweets, each handed over and confirmed."""
    nuts = make_lot(world.grower, world.fresh_walnuts, "1000", produced_on=day(0).at.date())
    sent = ship(world.grower, world.walnuts.organisation, nuts, "800", when=day(1))
    receive(world.walnuts, sent, when=day(1, 12))
    (kernels,) = turn_into(world.walnuts, [(nuts, "500")], [(world.kernels, "300")], when=day(2))
    released(world.walnuts, world.walnuts_quality, kernels, when=day(3))
    sent = ship(world.walnuts, world.shop.organisation, kernels, "100", when=day(4))
    receive(world.shop, sent, when=day(5))
    (mixed,) = turn_into(world.shop, [(kernels, "60")], [(sweets, "45")], when=day(6))
    return {"nuts": nuts, "kernels": kernels, "sweets": mixed}


def test_the_firm_sees_its_supplier_up_and_its_buyer_down(client: Client, world: World, chain: dict[str, Lot]) -> None:
    sign_in(client, world.walnuts)
    back = ask(client, chain["kernels"])
    assert "示例青皮核桃" in back
    assert "示例种植户甲" in back
    assert "500 千克 用于" in back
    forward = ask(client, chain["kernels"], "forward")
    assert "示例便民商店" in forward
    assert "100 千克" in forward


def test_beyond_one_step_only_region_family_verdict_and_date_are_told(
    client: Client, world: World, chain: dict[str, Lot]
) -> None:
    passed(world.grower, chain["nuts"], when=day(1), number="示例-9")
    sign_in(client, world.shop)
    page = ask(client, chain["sweets"])
    assert "他方批次" in page
    assert "核桃" in page
    assert "合格" in page
    for secret in ("示例种植户甲", "示例青皮核桃", f">{chain['nuts'].code}<", "500 千克", "800 千克", "1,000", "坡头"):
        assert secret not in page, secret
    table = client.get(reverse("trace:console_csv"), {"lot": str(chain["sweets"].uid)}).getvalue().decode("utf-8-sig")
    for secret in ("示例种植户甲", "示例青皮核桃", "500", "800"):
        assert secret not in table, secret
    sign_in(client, world.walnuts)
    down = ask(client, chain["kernels"], "forward")
    for secret in ("示例枣夹核桃", "60 千克", "45 千克"):
        assert secret not in down, secret


def test_a_regulator_sees_everything_of_its_territory(client: Client, world: World, chain: dict[str, Lot]) -> None:
    sign_in(client, world.county)
    page = ask(client, chain["nuts"], "forward")
    assert "示例枣夹核桃" in page
    assert "60 千克" in page
    sign_in(client, world.other_county)
    answer_ = client.get(reverse("trace:console"), {"lot": str(chain["nuts"].uid)})
    assert answer_.status_code == 404


@pytest.mark.parametrize("page", ["console", "console_csv"])
def test_strangers_lots_are_not_found(client: Client, world: World, chain: dict[str, Lot], page: str) -> None:
    url = reverse(f"trace:{page}")
    assert client.get(url)["Location"].startswith("/sign-in/")
    sign_in(client, world.distillery)
    assert client.get(url, {"lot": str(chain["nuts"].uid)}).status_code == 404
    assert client.get(url, {"lot": "no-such-name\x00"}).status_code == 404


def test_any_code_leads_to_the_lot(client: Client, world: World, chain: dict[str, Lot]) -> None:
    kernels = chain["kernels"]
    LotAlias.objects.create(lot=kernels, organisation=world.shop.organisation, code="OWN-1", event=kernels.origin_event)
    unit = Unit.objects.create(code="0123456789AB", organisation=kernels.organisation, lot=kernels, number=1)
    slip = Shipment.objects.get(receiver=world.shop.organisation).number
    typed = [
        kernels.lot_code,
        kernels.lot_code.lower(),
        f"  {kernels.lot_code}\u200b ",
        kernels.public_code,
        kernels.public_code.lower(),
        unit.code,
        "OI23-4567-89AB",
        "own-1",
        slip,
        f"https://old.example.cn/c/{kernels.public_code}?x=1",
        f"https://old.example.cn/01/09520000010010/10/{kernels.lot_code}",
    ]
    for code in typed:
        assert kernels in find_lots(world.shop, code).lots, code
    sign_in(client, world.shop)
    assert f"批次 {kernels.code} 的来源" in text(client.get(reverse("trace:console"), {"q": kernels.public_code}))
    assert find_lots(world.distillery, kernels.public_code).lots == []
    assert find_lots(world.walnuts, "OWN-1").lots == []


@pytest.mark.parametrize(
    "typed", ["", " ", "\x00", "no-such-code", "a" * 1_000_000, "%", "'; DROP TABLE", "https://", "\ud800"]
)
def test_what_names_nothing_is_said_so(world: World, typed: str) -> None:
    assert find_lots(world.walnuts, typed).lots == []


def test_a_code_of_several_lots_asks_which(client: Client, world: World) -> None:
    other = make_product(world.walnuts.organisation, "HTR-500", "示例大袋核桃仁")
    first = make_lot(world.walnuts, world.kernels, "10", lot_code="SAME-1")
    second = make_lot(world.walnuts, other, "10", lot_code="SAME-1")
    sign_in(client, world.walnuts)
    page = text(client.get(reverse("trace:console"), {"q": "same-1"}))
    assert str(first.uid) in page
    assert str(second.uid) in page
    assert "关系图" not in page
    part = text(client.get(reverse("trace:console"), {"q": "SAME"}))
    assert "您要找的是不是" in part


def test_trouble_in_the_chain_is_the_verdict(client: Client, world: World, chain: dict[str, Lot]) -> None:
    sign_in(client, world.walnuts)
    assert "没有发现不合格" in ask(client, chain["kernels"])
    place_hold(by=world.county, kind="hold", reason="示例抽检", lots=[chain["nuts"]])
    page = ask(client, chain["kernels"])
    assert "链上有不合格、封存或召回的批次" in page
    assert "已封存" in page


def test_of_others_lots_a_recall_is_told_and_an_investigation_is_not(
    client: Client, world: World, chain: dict[str, Lot]
) -> None:
    sign_in(client, world.shop)
    place_hold(by=world.county, kind="hold", reason="示例抽检", lots=[chain["nuts"]])
    assert "没有发现不合格、封存或召回" in ask(client, chain["sweets"])
    place_hold(by=world.county, kind="recall", reason="示例召回", lots=[chain["nuts"]])
    page = ask(client, chain["sweets"])
    assert "链上有不合格、封存或召回的批次" in page
    assert "示例抽检" not in page


def test_a_lot_without_past_or_future_says_so(client: Client, world: World) -> None:
    lot = make_lot(world.walnuts, world.kernels, "10")
    sign_in(client, world.walnuts)
    assert "没有更早的来源" in ask(client, lot)
    assert "没有登记用它做别的产品" in ask(client, lot, "forward")


def test_queries_do_not_grow_with_the_chain(client: Client, world: World) -> None:
    sign_in(client, world.walnuts)
    one = make_lot(world.walnuts, world.kernels, "100")
    turn_into(world.walnuts, [(one, "1")], [(world.kernels, "1")])
    many = make_lot(world.walnuts, world.kernels, "100")
    turn_into(world.walnuts, [(many, "50")], [(world.kernels, "1")] * 50)
    with CaptureQueriesContext(connection) as few:
        ask(client, one, "forward")
    with CaptureQueriesContext(connection) as more:
        ask(client, many, "forward")
    assert len(more) == len(few)


def test_a_large_answer_is_paged_and_the_drawing_folds_it(client: Client, world: World) -> None:
    lot = make_lot(world.walnuts, world.kernels, "1000")
    turn_into(world.walnuts, [(lot, "500")], [(world.kernels, "1")] * 120)
    sign_in(client, world.walnuts)
    page = ask(client, lot, "forward")
    assert page.count('class="tree-box') == 2
    assert "120 个批次" in page
    assert "第 1 / 3 页" in page
    found = re.search(r'href="([^"]*open=1\.[^"]*)"', page)
    assert found is not None
    opened = text(client.get(reverse("trace:console") + found[1].replace("&amp;", "&").partition("#")[0]))
    assert opened.count('class="tree-box') == 1 + LOTS_IN_GROUP + 1
    assert "已展开：" in opened
    table = client.get(reverse("trace:console_csv"), {"lot": str(lot.uid), "way": "forward"})
    assert len(table.getvalue().decode("utf-8-sig").strip().splitlines()) == 122


def test_hundreds_of_lots_are_answered_with_as_many_queries_as_two(client: Client, world: World) -> None:
    """The page's time is measured in tests/bench; here that nothing is asked per lot."""
    sign_in(client, world.walnuts)
    pair = make_lot(world.walnuts, world.kernels, "10")
    turn_into(world.walnuts, [(pair, "1")], [(world.kernels, "1")])
    lot = make_lot(world.walnuts, world.kernels, "5000")
    first = turn_into(world.walnuts, [(lot, "5000")], [(world.kernels, "100")] * 12)
    for child in first:
        turn_into(world.walnuts, [(child, "50")], [(world.kernels, "1")] * 30, when=day(2))
    with CaptureQueriesContext(connection) as few:
        ask(client, pair, "forward")
    with CaptureQueriesContext(connection) as many:
        page = ask(client, lot, "forward")
    assert len(many) == len(few) <= 45
    assert f"查到 {12 + 12 * 30} 个下游批次" in page
    assert page.count('class="tree-box') == 3
    assert len(page) < 400_000


def test_rows_are_filtered_and_ordered_by_the_address(client: Client, world: World, chain: dict[str, Lot]) -> None:
    sign_in(client, world.county)
    base = {"lot": str(chain["nuts"].uid), "way": "forward"}

    def order(asked: str = "") -> list[str]:
        page = client.get(f"{reverse('trace:console')}?{urlencode(base)}&{asked}")
        return [row["step"].name for row in page.context["rows"]]

    kernels, sweets = chain["kernels"].code, chain["sweets"].code
    assert order() == [kernels, sweets]
    assert order("sort=-date") == [sweets, kernels]
    assert order("level=2") == [sweets]
    assert order(f"org=o{world.shop.organisation.uid.hex[-12:]}") == [sweets]
    assert order(f"product=p{world.kernels.uid.hex[-12:]}") == [kernels]
    assert order("state=troubled") == order("level=no") == order("shell=possible") == []
    table = client.get(reverse("trace:console_csv"), {**base, "level": "2"}).getvalue().decode("utf-8-sig")
    assert sweets in table
    assert kernels not in table.splitlines()[1]


def test_shares_along_the_chain_are_told_to_who_may_know_them(
    client: Client, world: World, chain: dict[str, Lot]
) -> None:
    """500 of 1,000 became 300, of these 60 became the sweets, which are of nothing else: 50 % × 20 %."""
    found = {step.seen.lot: step for step in answer(world.county, chain["nuts"], "forward").steps}
    assert percent_text(found[chain["kernels"]].carried) == "50%"
    assert percent_text(found[chain["sweets"]].carried) == "10%"
    assert percent_text(found[chain["sweets"]].content) == "100%"
    up = {step.seen.lot: step for step in answer(world.county, chain["sweets"], "back").steps}
    assert (percent_text(up[chain["nuts"]].carried), percent_text(up[chain["nuts"]].content)) == ("10%", "100%")
    mine = {step.seen.lot: step for step in answer(world.shop, chain["kernels"], "forward").steps}
    assert percent_text(mine[chain["sweets"]].carried) == "60%", "of what the shop got, not of what was made"
    firm = answer(world.walnuts, chain["nuts"], "forward")
    assert [percent_text(step.carried) for step in firm.others] == ["62.5%", ""], "500 of 800; the shop's is the shop's"


def test_the_balance_of_a_lot_adds_up_and_each_part_leads_to_its_events(
    client: Client, world: World, chain: dict[str, Lot]
) -> None:
    kernels = chain["kernels"]
    late = ship(world.walnuts, world.shop.organisation, kernels, "30", when=day(7))
    short = ship(world.walnuts, world.shop.organisation, kernels, "20", when=day(7))
    receive(world.shop, short, "18", when=day(8))
    record_event(
        by=world.walnuts, code="common.destroy", when=day(9),
        data={"method": "示例"},
        subjects=[Portion(kernels, amount("5", world.kernels))],
    )  # fmt: skip
    one = balances(world.walnuts, [kernels])[kernels.pk]
    assert (one.made, one.used, one.shipped, one.lost, one.in_hand, one.unaccounted) == tuple(
        n * 1_000_000 for n in (300, 0, 118, 5, 145, 32)
    )
    assert one.holds
    theirs = balances(world.shop, [kernels])[kernels.pk]
    assert (theirs.received, theirs.used, theirs.in_hand) == (118_000_000, 60_000_000, 58_000_000)
    assert theirs.holds
    assert balances(world.county, [kernels])[kernels.pk] == one
    sign_in(client, world.walnuts)
    page = ask(client, kernels, "forward")
    assert f"lot={kernels.uid}&amp;part=lost" in page
    listed = client.get(reverse("trace:event_list"), {"lot": str(kernels.uid), "part": "shipped"})
    assert {line.event for line in listed.context["lines"]} == {
        late.event, short.event, Shipment.objects.order_by("pk")[1].event
    }  # fmt: skip
    assert client.get(reverse("trace:event_list"), {"lot": str(world.cellar.uid)}).status_code == 404


def test_goods_a_customer_returned_are_no_further_goods(world: World, chain: dict[str, Lot]) -> None:
    kernels, buyer = chain["kernels"], world.distributor
    receive(buyer, ship(world.walnuts, buyer.organisation, kernels, "10", when=day(7)), when=day(8))
    receive(world.shop, ship(buyer, world.shop.organisation, kernels, "5", when=day(9)), when=day(10))
    back = [Portion(kernels, amount("2", world.kernels))]
    take_back(by=buyer, source=world.shop.organisation, portions=back, when=day(11))
    mixed = make_product(buyer.organisation, "HH", "示例什锦", kind="raw")
    (made,) = turn_into(buyer, [(kernels, "6")], [(mixed, "6")], when=day(12))
    (step,) = [step for step in answer(buyer, kernels, "forward").steps if step.seen.lot == made]
    assert step.carried == Share(Fraction(6, 10))


def test_the_table_of_the_chain_runs_no_formula(client: Client, world: World, chain: dict[str, Lot]) -> None:
    Organisation.objects.filter(pk=world.grower.organisation.pk).update(name="@SUM(1+1)")
    sign_in(client, world.walnuts)
    table = client.get(reverse("trace:console_csv"), {"lot": str(chain["kernels"].uid)}).getvalue().decode("utf-8-sig")
    assert "'@SUM" in table
    assert ",@SUM" not in table


def test_origins_and_levels_are_counted(world: World, chain: dict[str, Lot]) -> None:
    found = answer(world.county, chain["sweets"], "back")
    assert found.levels == 2
    assert [step.seen.lot for step in found.ends] == [chain["nuts"]]
    assert answer(world.county, chain["sweets"], "forward").others == []


# --- The drawing ----------------------------------------------------------------------------------------------------


def nodes(count: int, layer: int = 0) -> list[Node]:
    return [Node(number, layer if number else 0, [f"N{number}"], f"N{number}") for number in range(count)]


def places(svg: str) -> list[tuple[int, int]]:
    return [(int(x), int(y)) for x, y in re.findall(r'<rect x="(\d+)" y="(\d+)"', svg)]


def test_boxes_stand_in_columns_and_never_on_each_other() -> None:
    drawn = draw(nodes(30, 1), [(0, number, "") for number in range(1, 30)], label="x")
    found = places(drawn.svg)
    assert len(found) == len(set(found)) == 30
    assert len({x for x, _y in found}) == 2
    assert not drawn.cut


def test_every_line_runs_to_the_right_where_it_can() -> None:
    """A lot that went into its neighbour of the same level stands a column further from the start."""
    forward = [Node(0, 0, ["a"], "a"), Node(1, 1, ["b"], "b"), Node(2, 1, ["c"], "c")]
    columns = [x for x, _y in places(draw(forward, [(0, 1, ""), (0, 2, ""), (1, 2, "")], label="x").svg)]
    assert columns[0] < columns[1] < columns[2]
    back = [Node(0, 0, ["a"], "a"), Node(1, -1, ["b"], "b"), Node(2, -1, ["c"], "c")]
    columns = [x for x, _y in places(draw(back, [(1, 0, ""), (2, 0, ""), (2, 1, "")], label="x").svg)]
    assert columns[2] < columns[1] < columns[0]


def test_a_cycle_is_drawn_and_too_many_are_left_out() -> None:
    assert draw(nodes(2), [(0, 1, ""), (1, 0, ""), (1, 1, "")], label="x").svg.count("<path") == 2 + 2 + 1
    drawn = draw(nodes(MOST_NODES + 5, 1), [(0, MOST_NODES + 2, "")], label="x")
    assert (drawn.shown, drawn.total, drawn.cut) == (MOST_NODES, MOST_NODES + 5, True)


def test_words_in_a_box_are_escaped_and_shortened() -> None:
    svg = draw([Node(1, 0, ["<b>&"], '"><script>', url='/x?a=1&b="')], [], label="<").svg
    assert "<script>" not in svg
    assert "&lt;b&gt;&amp;" in svg
    assert shorten("示例" * 30, 20).endswith("…")
    assert shorten("SHORT", 20) == "SHORT"
