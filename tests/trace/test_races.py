"""Several real processes on one database, and processes that are killed: nothing is shipped twice, nothing acknowledged
is lost.
"""

from __future__ import annotations

import time

from tests.conftest import CommittedDatabase
from tests.goods import day, make_lot, released, ship, stock_of
from tests.loaded import Loaded
from tests.trace.test_packs import Hall
from tests.world import make_product, make_world
from trace import ledger
from trace.actions.rebuild import rebuild
from trace.models import Event, EventItem, Lot, Unit


def _start(database: CommittedDatabase, *arguments: str) -> Loaded:
    """One racer as a process of its own."""
    return Loaded("-m", "tests.trace.racer", *arguments, env=database.env())


def test_sixteen_processes_taking_from_one_lot_by_four_ways_take_it_once(
    committed_db: CommittedDatabase,
) -> None:
    world = make_world()
    lot = released(world.walnuts, world.walnuts_quality, make_lot(world.walnuts, world.kernels, "100"))
    make_product(world.walnuts.organisation, "USED", "示例碎仁", kind="raw")
    assert world.walnuts.user is not None
    # Ten at a time: sixteen processes want 160 of 100 in their first round already, and each is refused at last.
    arguments = (world.walnuts.user.username, str(lot.uid), str(world.shop.organisation.uid), "10")
    racer = _start(committed_db, "race", "take", "16", *arguments)
    out, error = racer.communicate(timeout=240)
    assert racer.returncode == 0, error
    answers = [line.split() for line in out.splitlines()]
    assert len(answers) == 16
    assert sum(int(accepted) for accepted, _code in answers) == 10
    assert {code for _accepted, code in answers} == {"not_enough"}
    assert stock_of(lot, world.walnuts.organisation) == 0
    taken = EventItem.objects.filter(lot=lot, micros__lt=0).values_list("micros", flat=True)
    assert sum(taken) == -100_000_000
    assert rebuild(write=False).differences == []


def test_sixteen_processes_packing_and_receiving_the_same_by_three_ways_do_it_once(
    committed_db: CommittedDatabase,
) -> None:
    world = make_world()
    bottles = Hall(world, world.distillery).lot(4)
    nuts = released(world.walnuts, world.walnuts_quality, make_lot(world.walnuts, world.kernels, "10"))
    slips = [ship(world.walnuts, world.distributor.organisation, nuts, "2", when=day(4)) for _number in range(2)]
    assert world.distillery.user is not None
    assert world.distributor.user is not None
    arguments = (
        world.distillery.user.username, ",".join(Unit.objects.filter(lot=bottles).values_list("code", flat=True)),
        world.distributor.user.username, ",".join(str(slip.uid) for slip in slips),
    )  # fmt: skip
    racer = _start(committed_db, "race", "hands", "16", *arguments)
    out, error = racer.communicate(timeout=240)
    assert racer.returncode == 0, error
    answers = [line.split() for line in out.splitlines()]
    assert len(answers) == 16
    assert [sum(int(answer[which]) for answer in answers) for which in (0, 1)] == [4, 2]
    codes = {code for answer in answers for part in answer[2:] for code in part.split(",")}
    assert codes <= {"already_packed", "already_received", "refused-409"}
    assert Unit.objects.filter(level="carton").count() == 4
    assert stock_of(nuts, world.distributor.organisation) == 4_000_000
    assert Event.objects.filter(template="common.receive").count() == 2
    assert rebuild(write=False).differences == []


def test_eight_processes_recording_the_same_reports_record_each_once(committed_db: CommittedDatabase) -> None:
    world = make_world()
    lot = make_lot(world.walnuts, world.kernels, "10")
    assert world.walnuts.user is not None
    numbers = [f"示例-{number}" for number in range(6)]
    racer = _start(committed_db, "race", "reports", "8", world.walnuts.user.username, str(lot.uid), ",".join(numbers))
    out, error = racer.communicate(timeout=240)
    assert racer.returncode == 0, error
    answers = [line.split() for line in out.splitlines()]
    assert len(answers) == 8
    assert {code for _accepted, *codes in answers for code in codes} == {"report_exists"}
    assert sum(int(answer[0]) for answer in answers) == 6
    assert sorted(lot.reports.values_list("report_number", flat=True)) == numbers


def test_eight_processes_doing_at_once_what_is_done_once_do_it_once(committed_db: CommittedDatabase) -> None:
    world = make_world()
    lot = make_lot(world.walnuts, world.kernels, "10")
    for by, what, about, refusal in (
        (world.walnuts, "drill", str(lot.uid), "drill_running"),
        (world.county, "limit", "gbt10781_2_2022", "limit_exists"),
        (world.walnuts, "hook", "https://8.8.8.8/recalls", "webhook_twice"),
    ):
        assert by.user is not None
        racer = _start(committed_db, "race", "once", "8", by.user.username, what, about)
        out, error = racer.communicate(timeout=240)
        assert racer.returncode == 0, error
        assert sorted(out.split()) == ["begun", *[refusal] * 7]


def test_killed_writers_lose_nothing_acknowledged_and_leave_no_half_event(committed_db: CommittedDatabase) -> None:
    world = make_world()
    assert world.walnuts.user is not None
    said: set[str] = set()
    for round_number in range(2):
        writers = [_start(committed_db, "write", world.walnuts.user.username) for _number in range(3)]
        deadline = time.monotonic() + 60
        while Lot.objects.count() < len(said) + 9 and time.monotonic() < deadline:
            time.sleep(0.05)
        for writer in writers:
            writer.kill()
        for writer in writers:
            out, _error = writer.communicate(timeout=30)
            said |= {line for line in out.split("\n")[:-1] if line}
        assert said, f"nobody wrote in round {round_number}"
        assert said <= set(Lot.objects.values_list("public_code", flat=True))
        assert list(ledger.verify()) == []
        assert rebuild(write=False).differences == []
        assert Event.objects.filter(log__isnull=True).count() == 0
