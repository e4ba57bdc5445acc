"""One search: codes whole or from their beginning, products and organisations by any part of a Chinese name."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from tests.goods import day, make_lot, receive, released, ship
from tests.world import World, sign_in
from trace.actions.names import index_organisation, index_product, misnamed
from trace.actions.organisations import Profile, edit_profile
from trace.actions.registry import ProductInput, VersionInput, create_product, edit_product
from trace.finding import find_lots, find_names
from trace.models import Lot, NameTerm, Product
from trace.names import LETTERS, folded, span, terms


@pytest.fixture
def indexed(world: World) -> World:
    """The cast as actions would have named it."""
    assert list(misnamed(write=True))
    return world


@given(st.text(alphabet="汾阳核桃仁 abcAB12-·", max_size=24), st.data())
def test_every_part_of_a_name_that_begins_with_a_chinese_character_is_found(name: str, data: st.DataObject) -> None:
    letters = folded(name)
    starts = [at for at, char in enumerate(letters) if "\u4e00" <= char <= "\u9fff"]
    if not starts:
        return
    at = data.draw(st.sampled_from(starts))
    asked = letters[at : at + data.draw(st.integers(1, LETTERS))]
    bounds = span(asked)
    assert bounds is not None
    assert any(bounds[0] <= term < bounds[1] for term in terms([name]))


def test_two_characters_of_a_name_find_product_and_firm(indexed: World) -> None:
    found = find_names(indexed.walnuts, "核桃")
    assert indexed.kernels in found.products
    assert indexed.walnuts.organisation in found.organisations
    assert indexed.cooperative.organisation in found.organisations
    assert indexed.baijiu not in found.products
    assert find_names(indexed.walnuts, "桃仁").products == [indexed.kernels]
    assert find_names(indexed.walnuts, "ｅｘａｍｐｌｅ　ＷＡＬ").organisations == [indexed.walnuts.organisation]
    assert find_names(indexed.distillery, "桃仁").products == [], "another's product, never sent"
    assert find_names(indexed.county, "桃仁").products == [indexed.kernels]
    assert find_names(indexed.other_county, "桃仁").products == []


@pytest.mark.parametrize("asked", ["", " ", "·", "\x00", "\ud800", "没有这样的名字", "%", "核" * 5000])
def test_what_names_nothing_finds_nothing(indexed: World, asked: str) -> None:
    assert not find_names(indexed.county, asked)


def test_the_same_name_comes_before_one_that_only_contains_it(indexed: World) -> None:
    exact = create_product(
        by=indexed.walnuts,
        product=ProductInput(code="P-9", track="food", base_unit="KGM", kind="finished", family="walnut_fenzhou"),
        version=VersionInput(name="核桃"),
    )
    assert find_names(indexed.walnuts, "核桃").products[0] == exact


def test_a_change_of_name_changes_what_finds_it(indexed: World) -> None:
    product = Product.objects.get(pk=indexed.kernels.pk)
    edit_product(row=product, version=VersionInput(name="示例琥珀桃仁"), by=indexed.walnuts)
    assert find_names(indexed.walnuts, "琥珀").products == [indexed.kernels]
    firm = indexed.walnuts.organisation
    edit_profile(organisation=firm, profile=Profile(name="汾阳示例琥珀食品有限公司"), by=indexed.walnuts)
    assert find_names(indexed.walnuts, "琥珀").organisations == [firm]
    assert firm in find_names(indexed.walnuts, "核桃加工").organisations, "by the former name, too"
    assert list(misnamed(write=False)) == []


def test_the_index_is_made_again_where_it_is_wrong(indexed: World) -> None:
    NameTerm.objects.filter(row=indexed.kernels.pk, kind="product").delete()
    with pytest.raises(CommandError):
        call_command("rebuild", "--names", "--check")
    call_command("rebuild", "--names")
    call_command("rebuild", "--names", "--check")
    assert find_names(indexed.walnuts, "桃仁").products == [indexed.kernels]
    index_product(indexed.kernels)
    index_organisation(indexed.walnuts.organisation)


def test_a_code_is_found_from_its_beginning_by_who_may_open_the_lot(indexed: World) -> None:
    lot = make_lot(indexed.walnuts, indexed.kernels, "10", lot_code="HTR-2609-01")
    released(indexed.walnuts, indexed.walnuts_quality, lot)
    for asked in ("HTR-26", "htr-2609"):
        assert find_lots(indexed.walnuts, asked).lots == [lot]
        assert find_lots(indexed.county, asked).lots == [lot]
        assert find_lots(indexed.shop, asked).lots == []
    receive(indexed.shop, ship(indexed.walnuts, indexed.shop.organisation, lot, "1", when=day(4)), when=day(5))
    assert find_lots(indexed.shop, "htr-26").lots == [lot]
    assert indexed.kernels in find_names(indexed.shop, "桃仁").products


def test_a_name_leads_to_lots_and_strangers_get_none(client: Client, indexed: World) -> None:
    lot = make_lot(indexed.walnuts, indexed.kernels, "10")
    url = reverse("trace:console")
    sign_in(client, indexed.walnuts)
    page = client.get(url, {"q": "桃仁"}).text
    assert f"product={indexed.kernels.uid}" in page
    assert str(lot.uid) in client.get(url, {"product": str(indexed.kernels.uid)}).text
    assert str(lot.uid) in client.get(url, {"party": str(indexed.walnuts.organisation.uid)}).text
    sign_in(client, indexed.distillery)
    assert client.get(url, {"product": str(indexed.kernels.uid)}).status_code == 404
    assert str(lot.uid) not in client.get(url, {"party": str(indexed.walnuts.organisation.uid)}).text
    assert client.get(url, {"product": "no\x00"}).status_code == 404


@pytest.mark.sqlite
def test_no_question_reads_the_whole_table_of_lots(indexed: World) -> None:
    """Each statement is answered by an index; the table of lots is never scanned. On PostgreSQL the plan of a small
    table is always a scan.
    """
    make_lot(indexed.walnuts, indexed.kernels, "10")
    for actor in (indexed.walnuts, indexed.county):
        for asked in ("HTR-2609-01", "20260920-001", "2026", "核桃"):
            with CaptureQueriesContext(connection) as queries:
                find_lots(actor, asked)
                find_names(actor, asked)
            assert len(queries) <= 14
            for query in queries:
                with connection.cursor() as cursor:
                    cursor.execute(f"EXPLAIN QUERY PLAN {query['sql']}")
                    plan = [row[3] for row in cursor.fetchall()]
                assert not [step for step in plan if step.startswith(("SCAN trace_lot", "SCAN trace_nameterm"))], query
    assert Lot.objects.exists()
