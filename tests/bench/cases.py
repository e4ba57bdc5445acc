"""What is measured in one world. Each case says in which worlds it makes sense and yields named numbers.

A number is a ``Number``; those named alike in several worlds are compared by the caller (cost must not grow with the
world).
"""

from __future__ import annotations

import datetime
import io
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from django.db import connection, connections, transaction
from django.test import Client
from django.urls import reverse

from labels.models import ScanTally
from labels.recording import Recorder, View, write
from recalls.scope import Question, preview_scope
from tests.bench.floors import bare_copy, plain_django, plain_tables
from tests.bench.measuring import in_turn, queries, seconds
from tests.bench.peers import walk_per_node, walk_per_path
from tests.bench.worlds import RUNGS, SHALLOW_RUNGS, Facts, undone
from tests.goods import amount
from tests.trace.epcis.reference_hash import reference_pre_hashes
from tests.trace.sheets import imported, steps_file
from tests.world import sign_in
from trace.actions.capture import NewLot
from trace.actions.epcis_jobs import run_at_once, take_document
from trace.actions.events import Portion, When, record_event
from trace.actions.transfers import receive_shipment, ship_lots
from trace.actor import Actor
from trace.epcis.event_hash import pre_hash
from trace.epcis.formats import canonical
from trace.epcis.vocabulary import CONTEXT
from trace.finding import find_lots
from trace.genealogy import walk
from trace.models import Lot, Membership, Organisation, Shipment, Stock
from trace.tracing import answer

SMALL, MIDDLE, LARGE = 10_000, 100_000, 1_000_000
SIZES = (SMALL, MIDDLE, LARGE)


class Number(NamedTuple):
    """One number: its name, value and unit, what it must not exceed (None: nobody said), and the best run of it where
    worlds are compared.
    """

    name: str
    value: float
    unit: str
    target: float | None = None
    best: float | None = None


Run = Callable[[Facts], Iterator[Number]]


@dataclass(frozen=True)
class Case:
    """One measurement and the worlds it is made in."""

    name: str
    sizes: tuple[int, ...]
    run: Run


CASES: list[Case] = []


def case(name: str, *sizes: int) -> Callable[[Run], Run]:
    """Declare a case for worlds of these sizes."""

    def declare(run: Run) -> Run:
        CASES.append(Case(name, sizes, run))
        return run

    return declare


def _actor(membership: str) -> Actor:
    """The person of a membership, as the middleware makes it."""
    found = Membership.objects.select_related("organisation", "user").get(uid=membership)
    return Actor(organisation=found.organisation, user=found.user, role=found.role, membership=found)


# --- Walking ----------------------------------------------------------------------------------------------------------

BARE = """
    WITH RECURSIVE reached(lot) AS (
        VALUES (CAST(%s AS bigint))
        UNION
        SELECT link.child_id FROM trace_lotlink link JOIN reached ON link.parent_id = reached.lot
        WHERE link.voided_by_id IS NULL
    )
"""
BARE_LOTS = f"{BARE} SELECT lot FROM reached"
BARE_EDGES = f"""{BARE} SELECT link.id, link.parent_id, link.child_id, link.event_id, link.input_micros
    FROM reached JOIN trace_lotlink link ON link.parent_id = reached.lot WHERE link.voided_by_id IS NULL"""


def _bare(sql: str, lot: int) -> int:
    """Run a bare query and fetch all of it."""
    with connection.cursor() as cursor:
        cursor.execute(sql, [lot])
        return len(cursor.fetchall())


@case("forward-scope", LARGE)
def forward_scope(facts: Facts) -> Iterator[Number]:
    """The forward walk of a lot that reached 100,000, beside bare recursive SQL that fetches the same."""
    lot = facts.big

    walked = walk([lot], "forward", limit=200_000)
    yield Number("forward walk: lots reached", len(walked.level), "lots")
    ours, lots_only, plain = in_turn(
        5, lambda: walk([lot], "forward", limit=200_000), lambda: _bare(BARE_LOTS, lot), lambda: _bare(BARE_EDGES, lot)
    )
    yield Number("forward walk of 100,000 lots", ours.best, "s", 2.0)
    yield Number("bare recursive SQL, the lots alone", lots_only.best, "s")
    yield Number("bare recursive SQL, lots and edges", plain.best, "s")
    yield Number("forward walk / bare SQL with edges", ours.best / plain.best, "×", 1.5)
    question = Question(frozenset([lot]), same_run=False)
    whole = seconds(lambda: preview_scope(question), 2)
    yield Number("recall scope of 100,000 lots, with amounts and holders", whole.best, "s", 2.0)


@case("world", *SIZES)
def grows_with_the_answer(facts: Facts) -> Iterator[Number]:
    """The same questions in worlds of three sizes."""
    walked = seconds(lambda: walk([facts.wide], "forward"), 15)
    yield Number("walk of 2,000 lots", walked.best * 1000, "ms", best=walked.best)
    backward = seconds(lambda: walk([facts.wide + 1500], "back"), 300)
    yield Number("backward walk from one lot", backward.best * 1000, "ms", best=backward.best)
    question = Question(frozenset([facts.wide]))
    scope = seconds(lambda: preview_scope(question), 5)
    yield Number("recall scope of 2,000 lots", scope.best * 1000, "ms", best=scope.best)
    actor = _actor(facts.probe_membership)
    lot = Lot.objects.get(pk=facts.wide)
    told = seconds(lambda: answer(actor, lot, "forward"), 15)
    yield Number("answer of 2,000 lots for its producer", told.best * 1000, "ms", best=told.best)


@case("ladder", SMALL)
def ladder(facts: Facts) -> Iterator[Number]:
    """Blends of two into two, one after another: 2^64 paths, 128 lots."""
    short, tall = (facts.ladders[str(rungs)] for rungs in RUNGS)
    half, whole = in_turn(60, lambda: walk([short], "forward"), lambda: walk([tall], "forward"))
    yield Number("ladder of 64 blends", whole.best * 1000, "ms")
    yield Number("ladder of 64 blends / ladder of 32", whole.best / half.best, "×", 2.5)


@case("peers", SMALL)
def peers(facts: Facts) -> Iterator[Number]:
    """The walks other systems use, on the same lots."""
    ours, theirs = in_turn(3, lambda: walk([facts.wide], "forward"), lambda: walk_per_node(facts.wide))
    yield Number("peers: a query per node, 2,000 lots", theirs.best * 1000, "ms")
    yield Number("peers: a query per node / one recursive query", theirs.best / ours.best, "×")
    yield Number("peers: queries for 2,000 lots", queries(lambda: walk_per_node(facts.wide)), "queries")
    yield Number("our queries for 2,000 lots", queries(lambda: walk([facts.wide], "forward")), "queries", 3)
    shallow = facts.ladders[str(SHALLOW_RUNGS)]
    yield Number(
        f"peers: a query per path, {SHALLOW_RUNGS} blends in one", queries(lambda: walk_per_path(shallow)), "queries"
    )
    yield Number(
        f"our queries for {SHALLOW_RUNGS} blends in one", queries(lambda: walk([shallow], "forward")), "queries", 3
    )


@case("event-hash", SMALL)
def event_hashes(_facts: Facts) -> Iterator[Number]:
    """The EPCIS event hash of 200 events of ten things each, ours with cold caches, against the reference's on the same
    document.
    """
    events = [
        {
            "type": "ObjectEvent",
            "eventTime": f"2026-11-28T08:{number // 60:02d}:{number % 60:02d}+08:00",
            "eventTimeZoneOffset": "+08:00",
            "action": "OBSERVE",
            "bizStep": "shipping",
            "disposition": "in_transit",
            "epcList": [f"urn:epc:id:sgtin:9521234.012345.{number}-{serial}" for serial in range(10)],
            "readPoint": {"id": "urn:epc:id:sgln:9521234.00001.0"},
            "bizTransactionList": [{"type": "po", "bizTransaction": f"https://example.cn/po/{number}"}],
        }
        for number in range(200)
    ]

    def ours() -> list[str]:
        canonical.cache_clear()
        return [pre_hash(event) for event in events]

    assert ours() == reference_pre_hashes(events), "the two do not agree"
    quick, slow = in_turn(3, ours, lambda: reference_pre_hashes(events))
    yield Number("event hash, ten EPCs", quick.best / len(events) * 1e6, "µs")
    yield Number("event hash: the reference", slow.best / len(events) * 1e6, "µs")
    yield Number("event hash / the reference", quick.best / slow.best, "×", 0.1)


@case("epcis", SMALL)
def epcis_capture(facts: Facts) -> Iterator[Number]:
    """2,000 events of one EPC and of ten that nobody met, one document captured through a job. Beside it two floors
    (``tests.bench.floors``): what a plain Django program takes for the same document, and bare COPY. Nothing stays:
    foreign keys are checked in all three, what a commit waits for the disk is in none. Then 2,000 events of goods that
    were met, each of which is planned and judged by itself.
    """
    by = _actor(facts.probe_membership)
    for each in (1, 10):
        data = _epcis_document(2_000, each)

        def ours(data: bytes = data) -> None:
            with _checked():
                job = run_at_once(job=take_document(by=by, content=io.BytesIO(data)))
                assert job.captured == 2_000, job.errors

        def plain(data: bytes = data) -> None:
            with _checked():
                plain_django(data)

        def bare(data: bytes = data) -> None:
            with _checked():
                bare_copy(data)

        with plain_tables():
            captured, django, least = in_turn(5, ours, plain, bare)
        words = f"2,000 events × {each} EPC"
        yield Number(f"EPCIS capture, {words}", 2_000 / captured.best, "1/s")
        yield Number(f"EPCIS Django floor, {words}", 2_000 / django.best, "1/s")
        yield Number(f"EPCIS capture / Django floor, {words}", captured.best / django.best, "×", 2)
        yield Number(f"EPCIS bare COPY, {words}", 2_000 / least.best, "1/s")
        yield Number(f"EPCIS capture / bare COPY, {words}", captured.best / least.best, "×")
    first, then = _epcis_document(2_000, 1), _epcis_document(2_000, 1, day=2, step="storing")

    def captured_whole(data: bytes) -> None:
        assert run_at_once(job=take_document(by=by, content=io.BytesIO(data))).captured == 2_000

    def again() -> None:
        with _checked():
            captured_whole(then)

    with undone():
        captured_whole(first)
        yield Number("EPCIS capture, 2,000 events × 1 EPC met before", 2_000 / seconds(again).best, "1/s")


@contextmanager
def _checked() -> Iterator[None]:
    """Taken back at the end, checked as by a commit: PostgreSQL checks foreign keys then, SQLite has done so."""
    with undone():
        yield
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def _epcis_document(events: int, each: int, *, day: int = 1, step: str = "inspecting") -> bytes:
    """A document of what was done to somebody's goods on a day: the same goods on each."""
    listed = [
        {
            "type": "ObjectEvent",
            "eventTime": f"2026-10-{day:02d}T{number // 3600:02d}:{number // 60 % 60:02d}:{number % 60:02d}+08:00",
            "eventTimeZoneOffset": "+08:00",
            "action": "OBSERVE",
            "bizStep": step,
            "epcList": [f"https://id.gs1.org/01/09521141012345/21/B{number}x{serial}" for serial in range(each)],
        }
        for number in range(events)
    ]
    document = {
        "@context": [CONTEXT],
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": f"2026-10-{day + 1:02d}T00:00:00Z",
        "epcisBody": {"eventList": listed},
    }
    return json.dumps(document).encode()


# --- Scans ---------------------------------------------------------------------------------------------------------

VIEWERS = 32


@case("viral-code", SMALL)
def viral_code(facts: Facts) -> Iterator[Number]:
    """32 people look at one code at once: each scan acknowledged after its commit, in batches and one by one. The count
    must be exact. The scans stay in the world.
    """
    lot = Lot.objects.get(pk=facts.shipped)

    def view() -> View:
        return View(lot.pk, None, secrets.token_urlsafe(16), "beacon", "", "", "", datetime.datetime.now(datetime.UTC))

    def many(record: Callable[[View], object], each: int) -> float:
        def run() -> None:
            for _scan in range(each):
                record(view())
            connections.close_all()

        threads = [threading.Thread(target=run) for _viewer in range(VIEWERS)]
        began = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return VIEWERS * each / (time.perf_counter() - began)

    def counted() -> int:
        return sum(ScanTally.objects.filter(lot=lot, unit=None).values_list("count", flat=True))

    before = counted()
    single = many(lambda one: write([one]), 20)
    batched = many(Recorder().record, 60)
    lost = before + VIEWERS * 80 - counted()
    yield Number("scans of a viral code in batches", batched, "1/s")
    yield Number("scans of a viral code: one commit each / in batches", single / batched, "×", 0.5)
    yield Number("scans of a viral code: acknowledged and not counted", abs(lost), "scans", 0)


# --- Pages ------------------------------------------------------------------------------------------------------------


def _get(membership: str, url: str) -> Callable[[], None]:
    """A signed-in person asking for a page."""
    client = sign_in(Client(), _actor(membership))

    def get() -> None:
        response = client.get(url)
        assert response.status_code == 200, f"{url} answers {response.status_code}"
        assert response.content, "an empty page"

    return get


@case("shipments", SMALL, LARGE)
def ten_thousand_shipments(facts: Facts) -> Iterator[Number]:
    """One lot sent out 10,000 times: its page, its answer, its holders."""
    lot = Lot.objects.get(pk=facts.shipped)
    actor = _actor(facts.probe_membership)
    page = seconds(_get(facts.probe_membership, reverse("desk:lot_detail", args=[lot.uid])), 3)
    yield Number("lot page with 10,000 shipments", page.best, "s", 1.0, page.best)
    told = seconds(lambda: answer(actor, lot, "forward"), 3)
    yield Number("where to, with 10,000 shipments", told.best, "s", 1.0, told.best)
    question = Question(frozenset([lot.pk]))
    scope = seconds(lambda: preview_scope(question), 3)
    yield Number("recall scope with 10,000 shipments", scope.best, "s", 1.0, scope.best)


@case("console", SMALL, LARGE)
def console(facts: Facts) -> Iterator[Number]:
    """The first page of the trace console for an answer of 2,000 lots."""
    lot = Lot.objects.get(pk=facts.wide)
    url = f"{reverse('trace:console')}?lot={lot.uid}&way=forward"
    for who, membership in (("its producer", facts.probe_membership), ("the regulator", facts.regulator_membership)):
        page = seconds(_get(membership, url), 5)
        yield Number(f"console, 2,000 lots, for {who}", page.best * 1000, "ms", 300, page.best)


@case("search", SMALL, LARGE)
def search(facts: Facts) -> Iterator[Number]:
    """The search box: a whole lot code, part of one, a public code."""
    regulator, producer = _actor(facts.regulator_membership), _actor(facts.probe_membership)
    lot = Lot.objects.get(pk=facts.wide)
    asked = (
        ("a whole lot code, regulator", regulator, facts.a_code),
        ("part of a lot code, producer", producer, lot.lot_code[4:]),
        ("part of a lot code, regulator", regulator, facts.a_code[4:]),
        ("a public code", producer, lot.public_code),
        ("what nobody has, regulator", regulator, "QQQQ-QQ"),
    )
    for what, actor, text in asked:
        taken = seconds(lambda actor=actor, text=text: find_lots(actor, text), 15)  # type: ignore[misc]
        yield Number(f"search: {what}", taken.best * 1000, "ms", 300, taken.best)


# --- Entering ---------------------------------------------------------------------------------------------------------


@case("entry", SMALL, LARGE)
def entry(facts: Facts) -> Iterator[Number]:
    """Entering events: a processing step, a slip, its receipt. Taken back afterwards, so the commit is not in it."""
    actor = _actor(facts.probe_membership)
    lot = Lot.objects.select_related("product", "organisation").get(pk=facts.shipped)
    place = Stock.objects.filter(lot=lot, organisation=actor.organisation).select_related("place")[0].place
    receiver = Organisation.objects.filter(kind="distributor", status="active").order_by("id")[0]
    receiving = Actor(organisation=receiver, role="operator", system=True)
    portion = Portion(lot, amount("2", lot.product), place=place)
    slips: list[Shipment] = []

    def process() -> None:
        with transaction.atomic():
            record_event(
                by=actor,
                code="common.process",
                when=_after(lot),
                place=place,
                inputs=[portion],
                outputs=[NewLot(product=lot.product, amount=amount("1", lot.product), place=place)] * 2,
            )

    def ship() -> None:
        slips.append(ship_lots(by=actor, receiver=receiver, portions=[portion], when=_after(lot), place=place))

    def receive() -> None:
        slip = slips.pop()
        given = {each: amount("2", lot.product) for each in slip.transfers.select_related("lot__product")}
        receive_shipment(by=receiving, shipment=slip, received=given, when=_after(lot))

    with undone():
        for name, function in (("a processing step", process), ("a slip", ship), ("a receipt", receive)):
            if function is receive:
                ship()
                count = queries(receive)
                for _each in range(61):
                    ship()
            else:
                count = queries(function)
            taken = seconds(function, 60)
            yield Number(f"entering {name}", taken.best * 1000, "ms", best=taken.best)
            yield Number(f"entering {name}: statements", count, "queries", best=count)


def _after(lot: Lot) -> When:
    """A moment at which the lot was there and released."""
    return When(lot.begun_at + datetime.timedelta(days=1))


# --- Large files ------------------------------------------------------------------------------------------------------


@case("event-table", LARGE)
def event_table(facts: Facts) -> Iterator[Number]:
    """The regulator's table of a lot whose chain has more than 100,000 events, as a CSV file, once."""
    lot = Lot.objects.get(pk=facts.big)
    client = sign_in(Client(), _actor(facts.regulator_membership))
    began = time.perf_counter()
    response = client.get(f"{reverse('trace:lot_events', args=[lot.uid])}?way=forward&format=csv")
    lines = sum(part.count(b"\n") for part in response)
    taken = time.perf_counter() - began
    yield Number("regulator's event table: rows", lines, "rows")
    yield Number("regulator's event table, per 100,000 rows", taken * 100_000 / max(lines, 1), "s", 60)


@case("import", SMALL)
def import_rows(facts: Facts) -> Iterator[Number]:
    """An Excel file with 5,000 steps: read, checked, confirmed and written; taken back afterwards."""
    actor = _actor(facts.probe_membership)
    lot = Lot.objects.select_related("product", "origin_place").get(pk=facts.shipped)
    assert lot.origin_place is not None, "the lot began at a place"
    day = _after(lot).at.date().isoformat()
    one = {
        "when_on": day,
        "place": lot.origin_place.name,
        "d_basis": "示例盘点表",
        "outputs-*-product": lot.product.code,
        "outputs-*-amount": 250,
        "outputs-*-unit": "千克",
    }
    data = steps_file("common.opening", [one] * 5000)
    with undone():
        began = time.perf_counter()
        done = imported(actor, "steps", data, step="common.opening")
        taken = time.perf_counter() - began
        yield Number("import of 5,000 rows", taken, "s", 60)
        yield Number("import: lots written", len(done.made), "lots")
