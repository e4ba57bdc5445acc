"""Every list exports what it shows: the same rows with the same filters, in the reader's language, and no formula."""

from __future__ import annotations

import csv
import datetime
import io
import re
import tracemalloc
from typing import Any

import openpyxl
import pytest
from django.test import Client, RequestFactory
from django.urls import get_resolver, reverse

from labels.actions.runs import issue_codes
from recalls.scope import latest_scope
from tests.goods import amount, day, make_lot, passed, receive, ship, turn_into
from tests.recalls.story import make_chain, started
from tests.trace.test_access_routes import routes
from tests.world import World, make_organisation, make_product, sign_in
from trace.actions.holds import place_hold
from trace.actions.joins import claim_lot
from trace.actions.organisations import keep_external
from trace.actions.people import create_api_key
from trace.actions.transfers import take_in
from trace.actor import Actor
from trace.exports import Column, Table, export
from trace.models import Certificate, Division, HoldSet, Organisation, Product, User
from trace.tables import plain_cell

NO_FILE = {
    "trace:gtin_claim_list",
    "recalls:public_list",
    "recalls:campaign_notice_list",
    "recalls:target_list",
    "recalls:webhook_list",
    "labels:threshold_list",
}
"""Lists walked elsewhere: what is public is a feed, notices of a campaign need one; and pages of settings."""
EVIL = "=1+1"


@pytest.fixture
def full(world: World) -> World:
    """At least two of everything a list shows, one of each with a name that a spreadsheet would run."""
    make_chain(world)
    lots = [make_lot(world.walnuts, world.kernels, "10", lot_code=f"EX-{n}", display_code=EVIL) for n in (1, 2)]
    turn_into(world.walnuts, [(lots[0], "99")], [(world.kernels, "1")], when=day(3), insist=True)
    passed(world.walnuts, lots[0], number=EVIL)
    passed(world.walnuts, lots[1], number="示例-2")
    place_hold(by=world.walnuts_quality, kind="hold", reason=EVIL, lots=[lots[0]])
    place_hold(by=world.walnuts_quality, kind="hold", reason="示例", lots=[lots[1]])
    receive(world.shop, ship(world.walnuts, world.shop.organisation, lots[1], "2", insist=True), "1")
    ship(world.walnuts, world.shop.organisation, lots[1], "1", insist=True)
    buyer = keep_external(
        by=world.walnuts, name=EVIL, kind="retailer", division=Division.objects.get(pk="141182"), address="示例"
    )
    ship(world.walnuts, buyer, lots[1], "1", insist=True)
    keep_external(
        by=world.walnuts, name="示例乙", kind="retailer", division=Division.objects.get(pk="141182"), address="+1"
    )
    material = make_product(world.distillery.organisation, "HTR", EVIL, kind="raw")
    external = take_in(
        by=world.distillery,
        supplier=world.walnuts.organisation,
        product=material,
        supplier_lot="EX-2",
        amount=amount("1", material),
        when=day(4),
        data={"inspection_result": "合格"},
    ).lots[0]
    claim_lot(by=world.distillery, external=external, code="EX-2")
    for number in ("A-1", EVIL):
        Certificate.objects.create(
            organisation=world.walnuts.organisation,
            kind="organic",
            number=number,
            valid_from=datetime.date(2026, 1, 1),
            valid_until=datetime.date(2027, 1, 1),
            granted_by=world.county.organisation,
        )
    Organisation.objects.filter(pk=world.plant.organisation_id).update(name_en="=Walnuts")
    world.plant.name = "@1"
    world.plant.save()
    issue_codes(
        by=world.walnuts, lot=make_lot(world.walnuts, world.kernels, "5"), kind="lot", count=3, layout="a4-24", key="k"
    )
    make_organisation("=申请", "producer", status="applied")
    create_api_key(by=world.walnuts, name=EVIL, role="viewer", scopes=["events:read"])
    return world


def walked() -> list[str]:
    """Every list page without an object in its address."""
    names = {name for name, where, _entry in routes(get_resolver()) if name.endswith(("_list", ":inbox"))}
    lists = {name for name in names if ":" in name and not name.startswith("api")}
    return sorted(
        name
        for name, where, _entry in routes(get_resolver())
        if name in lists and "<" not in where and name not in NO_FILE and not where.startswith("api/")
    )


def read_csv(answer: Any) -> list[list[str]]:
    assert answer["Content-Type"].startswith("text/csv"), answer["Content-Type"]
    return list(csv.reader(io.StringIO(answer.getvalue().decode("utf-8-sig"))))


def read_xlsx(answer: Any) -> list[list[Any]]:
    book = openpyxl.load_workbook(io.BytesIO(answer.getvalue()))
    assert all(cell.data_type != "f" for row in book.active.rows for cell in row)
    return [["" if cell is None else cell for cell in row] for row in book.active.iter_rows(values_only=True)]


def shown(client: Client, url: str, query: dict[str, str]) -> int | None:
    """How many things the page counts, or None where it is not for this reader."""
    answer = client.get(url, query)
    if answer.status_code != 200:
        return None
    context = answer.context
    for key in ("page", "rows", "lines", "members", "keys", "devices"):
        found = context.get(key) if context is not None else None
        if found is None:
            continue
        return found.paginator.count if hasattr(found, "paginator") else len(found)
    raise AssertionError(f"{url} shows no list")


def distinct(name: str, rows: list[list[Any]]) -> int:
    """How many things the file tells of: shipments and events give a row per lot."""
    if name in ("trace:transfer_list", "trace:inbox", "trace:chase_list", "trace:event_list"):
        return len({str(row[0]) for row in rows})
    return len(rows)


FILTERS: dict[str, list[dict[str, str]]] = {
    "trace:lot_list": [{"q": "EX-2"}, {"state": "blocked"}, {"q": "没有"}],
    "trace:transfer_list": [{"way": "out"}, {"state": "disputed"}],
    "trace:chase_list": [{"kind": "differences"}, {"kind": "in"}],
    "trace:event_list": [{"step": "common.opening"}, {"q": "EX-1"}],
    "trace:report_list": [{"q": "示例-2"}],
    "trace:hold_list": [{"state": "ended"}],
    "trace:conflict_list": [{"state": "answered"}],
    "trace:claim_list": [{"state": "open"}, {"state": "denied"}],
    "trace:product_list": [{"q": "HTR-200"}],
    "trace:place_list": [{"q": "@"}],
    "trace:outsider_list": [{"q": "乙"}],
    "trace:supervised_list": [{"kind": "retailer"}, {"q": "示例"}],
    "recalls:signal_list": [{"status": "all"}],
    "recalls:campaign_list": [{"which": "closed"}],
    "labels:run_list": [{"lot": "没有"}],
}


@pytest.mark.once
def test_every_list_exports_the_rows_it_shows_with_its_filters_and_no_formula(client: Client, full: World) -> None:
    seen: dict[str, int] = {}
    readers: dict[Actor | User, list[str]] = {
        full.walnuts: walked(),
        full.county: walked(),
        full.cooperative: ["trace:grower_list"],
        full.operator: ["trace:operator_list"],
    }
    for who, names in readers.items():
        sign_in(client, who)
        for name in names:
            for query in [{}, *(FILTERS.get(name, []) if who is full.walnuts else [])]:
                count = shown(client, reverse(name), query)
                if count is None:
                    continue
                rows = read_csv(client.get(reverse(name), {**query, "format": "csv"}))
                assert distinct(name, rows[1:]) == count, (name, query, who)
                if not query:
                    sheet = read_xlsx(client.get(reverse(name), {"format": "xlsx"}))
                    assert len(sheet) == len(rows), name
                    assert [str(cell) for cell in sheet[0]] == rows[0]
                for row in rows[1:]:
                    assert not [cell for cell in row if plain_cell(cell) != cell], (name, row)
                seen[name] = max(seen.get(name, 0), count)
    assert set(seen) == set(walked())
    empty = {name for name, count in seen.items() if not count}
    recalls = {"recalls:notice_list", "recalls:campaign_list", "recalls:signal_list"}
    assert empty <= {
        *recalls,
        "trace:grower_list",
        "trace:inbox",
        "trace:pack_list",
        "trace:device_list",
        "trace:epcis_list",
        "trace:import_list",
        "recalls:case_list",
        "recalls:warning_list",
        "recalls:drill_list",
        "labels:suspicion_list",
    }, empty


def test_a_file_names_on_its_page_where_it_is_found(client: Client, full: World) -> None:
    sign_in(client, full.walnuts)
    for name in ("trace:lot_list", "trace:event_list", "trace:product_list", "labels:run_list", "trace:member_list"):
        page = client.get(reverse(name)).content.decode()
        assert re.search(r'href="\?[^"]*format=csv', page), name
        assert re.search(r'href="\?[^"]*format=xlsx', page), name


def test_a_file_is_in_the_readers_language_and_shows_only_what_the_page_does(client: Client, full: World) -> None:
    sign_in(client, full.walnuts)
    assert "Lot code" in read_csv(client.get(reverse("trace:lot_list"), {"format": "csv", "lang": "en"}))[0]
    assert "批号" in read_csv(client.get(reverse("trace:lot_list"), {"format": "csv"}))[0]
    sign_in(client, full.distributor)
    text = client.get(reverse("trace:lot_list"), {"format": "csv"}).getvalue().decode()
    assert "EX-2" not in text
    assert client.get(reverse("trace:supervised_list"), {"format": "csv"}).status_code == 404
    client.logout()
    assert client.get(reverse("trace:lot_list"), {"format": "csv"}).status_code in (302, 401)


def test_ten_times_the_rows_cost_no_more_memory(db: None) -> None:
    table = Table("t", [Column("甲", lambda row: row), Column("乙", lambda row: "示例" * 20), Column("丙", str)])
    for kind in ("csv", "xlsx"):
        peaks = {}
        for count in (2_000, 20_000):
            tracemalloc.start()
            answer: Any = export(RequestFactory().get("/", {"format": kind}), table, range(count))
            size = sum(len(part) for part in answer)
            peaks[count] = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            answer.close()
            assert size > count * 5
        assert peaks[20_000] < 1.5 * peaks[2_000], (kind, peaks)


def test_queries_of_a_file_do_not_grow_with_its_rows(
    client: Client, world: World, django_assert_max_num_queries: Any
) -> None:
    for number in range(25):
        make_lot(world.walnuts, world.kernels, "1", lot_code=f"Q-{number}")
    sign_in(client, world.walnuts)
    for name in ("trace:lot_list", "trace:event_list", "trace:transfer_list"):
        with django_assert_max_num_queries(20):
            client.get(reverse(name), {"format": "csv"}).getvalue()
    assert Product.objects.count()


# --- The trace console ----------------------------------------------------------------------------------------------


def test_the_console_exports_its_answers_as_csv_and_excel_with_its_filters(client: Client, world: World) -> None:
    chain = make_chain(world)
    world.walnuts.organisation.name = EVIL
    world.walnuts.organisation.save()
    sign_in(client, world.county)
    lot = {"lot": str(chain.mother.uid)}
    asked: list[tuple[str, str, dict[str, str]]] = [
        ("trace:console", "trace:console_csv", {**lot, "way": "forward"}),
        ("trace:console", "trace:console_csv", {**lot, "way": "forward", "level": "1", "sort": "-lot"}),
        ("trace:console", "trace:console_csv", {**lot, "way": "forward", "table": "transfers"}),
        ("desk:scope", "desk:scope_csv", lot),
    ]
    for page, name, query in asked:
        rows = read_csv(client.get(reverse(name), query))
        sheet = read_xlsx(client.get(reverse(name), {**query, "format": "xlsx"}))
        assert len(sheet) == len(rows) > 1
        assert sheet[0] == rows[0]
        kinds = {type(cell) for row in sheet[1:] for cell in row}
        assert kinds & {int, float}, "amounts are numbers"
        if "日期" in rows[0]:
            assert datetime.datetime in kinds, "days are days"
        assert f"'{EVIL}" in {cell for row in rows for cell in row} or page == "desk:scope"
        english = read_xlsx(client.get(reverse(name), {**query, "format": "xlsx", "lang": "en"}))
        assert all(str(cell).isascii() for cell in english[0])
        assert client.get(reverse(name), {**query, "lang": "zh-hans"}).getvalue()
        answer = client.get(reverse(page), query).content.decode()
        assert re.search(rf'href="{reverse(name)}[^"]*format=xlsx', answer), page
        assert len(client.get(reverse(name), {**query, "format": "nonsense"}).getvalue())
    sign_in(client, world.distillery)
    for _page, name, query in asked:
        assert client.get(reverse(name), {**query, "format": "xlsx"}).status_code == 404


# --- The sortable trace table ---------------------------------------------------------------------------------------


def test_the_trace_table_has_one_row_per_event_with_all_that_belongs_to_it(client: Client, world: World) -> None:
    chain = make_chain(world)
    sign_in(client, world.county)
    url = reverse("trace:lot_events", args=[chain.pouch_a.uid])
    rows = read_csv(client.get(url, {"format": "csv"}))
    head, body = rows[0], rows[1:]
    at = {name: place for place, name in enumerate(head)}
    assert len(body) == len({row[at["日志编号"]] for row in body}) == client.get(url).context["count"]
    made = next(row for row in body if row[at["产出批次"]])
    assert chain.mother.code in text_of(body, at["涉及批次"]) + text_of(body, at["产出批次"])
    assert (made[at["单位"]], made[at["计量单位"]]) == (world.walnuts.organisation.name, "千克")
    split = next(row for row in body if row[at["投入批次"]])
    assert split[at["投入批次"]] == f"{chain.mother.code} 90 千克"
    assert (split[at["投入数量"]], split[at["产出数量"]]) == ("90", "90")
    sent = [row for row in body if row[at["对方单位"]] == world.distributor.organisation.name]
    assert any(re.fullmatch(r"S\d{8}-\w{8}", row[at["单据号"]]) for row in sent)
    assert all(row[at["登记时间"]] and row[at["事件编号"]] for row in body)
    sheet = read_xlsx(client.get(url, {"format": "xlsx"}))
    assert len(sheet) == len(rows)


def text_of(rows: list[list[str]], place: int) -> str:
    return " ".join(row[place] for row in rows)


def test_the_trace_table_is_sorted_as_asked_on_screen_and_in_the_file(client: Client, world: World) -> None:
    chain = make_chain(world)
    sign_in(client, world.county)
    url = reverse("trace:lot_events", args=[chain.pouch_a.uid])
    names = {"time": "发生时间", "recorded": "登记时间", "organisation": "单位", "number": "日志编号"}
    for sort, name in names.items():
        for turn in ("", "-"):
            rows = read_csv(client.get(url, {"format": "csv", "sort": turn + sort}))
            found = [row[rows[0].index(name)] for row in rows[1:]]
            if sort == "number":
                numbers = [int(cell) for cell in found]
                assert numbers == sorted(numbers, reverse=bool(turn))
            elif sort in ("time", "recorded"):
                assert found == sorted(found, reverse=bool(turn))
            page = client.get(url, {"sort": turn + sort})
            assert [str(row[rows[0].index(name)]) for row in page.context["rows"]] == found
    assert 'aria-sort="descending"' in client.get(url, {"sort": "-time"}).content.decode()
    for nonsense in ("x", "-", "number; drop", "lot", "-amount", "partner", "step", "place"):
        assert client.get(url, {"sort": nonsense}).status_code == 200


def test_who_reads_the_trace_table_sees_the_events_it_may_read(client: Client, world: World) -> None:
    chain = make_chain(world)
    url = reverse("trace:lot_events", args=[chain.pouch_a.uid])
    counts = {}
    for name, who in (("county", world.county), ("walnuts", world.walnuts), ("distributor", world.distributor)):
        sign_in(client, who)
        counts[name] = client.get(url).context["count"]
    assert counts["county"] > counts["walnuts"] > counts["distributor"] > 0
    rows = read_csv(client.get(url, {"format": "csv"}))
    places = {row[rows[0].index("地点")] for row in rows[1:] if row[3] != world.distributor.organisation.name}
    assert places <= {""}
    sign_in(client, world.distillery)
    assert client.get(url).status_code == 404


def test_the_trace_table_of_a_recall_covers_the_lots_in_scope(client: Client, world: World) -> None:
    chain = make_chain(world)
    campaign = started(chain)
    sign_in(client, world.county)
    url = reverse("recalls:campaign_events", args=[campaign.uid])
    page = client.get(url)
    assert page.status_code == 200
    scope = latest_scope(campaign)
    assert scope is not None
    assert page.context["lot_count"] == scope.lot_count
    rows = read_csv(client.get(url, {"format": "csv", "shell": "proven"}))
    assert any(chain.pouch_a.code in "".join(row) for row in rows[1:])
    sign_in(client, world.distillery)
    assert client.get(url).status_code == 404


def test_tables_inside_pages_export_too(client: Client, full: World) -> None:
    hold = HoldSet.objects.filter(organisation=full.walnuts.organisation).latest("id")
    for who, url, words in (
        (full.lab, reverse("trace:report_named") + "?state=all", "答复"),
        (full.county, reverse("trace:report_contradictions"), "矛盾"),
        (full.walnuts, reverse("trace:hold_detail", args=[hold.uid]), "范围"),
        (full.shop, reverse("trace:standard", args=["gb2761_2017"]), "限值"),
    ):
        sign_in(client, who)
        page = client.get(url)
        more = "&" if "?" in url else "?"
        rows = read_csv(client.get(f"{url}{more}format=csv"))
        assert words in rows[0], url
        assert read_xlsx(client.get(f"{url}{more}format=xlsx"))[0] == rows[0]
        shown_rows = page.content.decode().count('<th scope="row"')
        assert len(rows) - 1 == shown_rows, url
        if shown_rows:
            assert "format=xlsx" in page.content.decode(), url
    sign_in(client, full.distillery)
    assert client.get(reverse("trace:hold_detail", args=[hold.uid]), {"format": "csv"}).status_code == 404
