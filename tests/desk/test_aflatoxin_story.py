"""The story the demonstration is built around: what a finding in the kernels reaches, and one in the dates."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import translation
from pytest_django import DjangoDbBlocker

from desk.demo.cast import build_cast
from desk.demo.stage import CHINA, Stage
from desk.demo.walnuts import build_walnuts
from recalls.models import ScopeLot
from recalls.scope import Question, preview_scope
from tests import stages
from tests.world import sign_in
from trace.identifiers import repeatable
from trace.models import Stock

Why, Shell = ScopeLot.Why, ScopeLot.Shell


def walnuts() -> Stage:
    """The walnut part of the demonstration."""
    today = datetime.date(2026, 11, 22)
    start = datetime.datetime.combine(today, datetime.time(0), CHINA) - datetime.timedelta(days=770)
    with repeatable(1, start), translation.override("zh-hans"):
        stage = Stage(today)
        build_cast(stage)
        build_walnuts(stage)
    return stage


@pytest.fixture(scope="module")
def walnut_stage(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[stages.Stage[Stage]]:
    """The database with that part, built once."""
    with stages.Stage.built(walnuts, django_db_blocker) as stage:
        yield stage


@pytest.fixture
def stage(walnut_stage: stages.Stage[Stage], db: None) -> Iterator[Stage]:
    """The walnut part of the demonstration in this test's database."""
    with walnut_stage.played() as stage:
        yield stage


def reached(stage: Stage, *named: str, gear: bool = True) -> dict[str, tuple[str, str]]:
    """What the scope of these lots covers, by the demonstration's own names: shell and reason."""
    names = {lot.pk: key for key, lot in stage.lots.items()}
    answer = preview_scope(Question.of([stage.lots[key] for key in named], same_gear=gear))
    return {names[line.lot.pk]: (line.shell.value, line.why.value) for line in answer.lines}


def test_the_kernels_reach_pouches_date_walnuts_and_the_unsold_nuts_of_the_same_dryer_run(stage: Stage) -> None:
    found = reached(stage, "kernel")
    proven = {key for key, (shell, _why) in found.items() if shell == Shell.PROVEN}
    assert proven == {"kernel", "pouch_1", "stuffed_1", "stuffed_2", "date_walnut_1"}
    assert found["in_shell_2"] == (Shell.POSSIBLE, Why.SAME_GEAR)
    unsold = Stock.objects.get(lot=stage.lots["in_shell_2"])
    assert (unsold.micros, unsold.organisation) == (110_000_000, stage.actors["walnuts"].organisation)
    assert not stage.lots["in_shell_2"].transfers.exists()
    assert "in_shell_2" not in reached(stage, "kernel", gear=False)


def test_the_reason_names_dryer_and_run_and_begins_with_the_lot_that_lay_in_it(stage: Stage) -> None:
    answer = preview_scope(Question.of([stage.lots["kernel"]], same_gear=True))
    line = next(line for line in answer.lines if line.lot == stage.lots["in_shell_2"])
    assert "1号烘干机" in line.note
    assert "烘" in line.note
    assert answer.path(line)[:2] == [stage.lots["dried_1"], stage.lots["dried_3"]]


def test_the_dates_reach_only_date_walnuts(stage: Stage) -> None:
    assert set(reached(stage, "dates_1")) == {"dates_1", "pitted_1", "stuffed_1", "stuffed_2", "date_walnut_1"}


def test_the_console_tells_the_producer_proven_and_possible_apart(client: Client, stage: Stage) -> None:
    sign_in(client, stage.actors["walnuts"])
    kernel, unsold = stage.lots["kernel"], stage.lots["in_shell_2"]
    page = client.get(reverse("desk:scope"), {"lot": str(kernel.uid)}).content.decode()
    for words in (unsold.code, "1号烘干机", "110 个", "提出安全线索", "可能"):
        assert words in page, words
    assert unsold.code not in client.get(reverse("desk:scope"), {"lot": str(kernel.uid), "shell": "proven"}).text
    forward = client.get(reverse("trace:console"), {"lot": str(kernel.uid), "way": "forward"})
    apart = {step.seen.lot.pk for step in forward.context["answer"].possible if step.seen.lot is not None}
    assert unsold.pk in apart
    assert "可能相关，没有直接相连" in forward.text
    table = client.get(reverse("desk:scope_csv"), {"lot": str(kernel.uid)}).getvalue().decode("utf-8-sig")
    assert unsold.code in table
    moved = client.get(reverse("trace:console"), {"q": kernel.public_code, "way": "scope"})
    assert moved["Location"] == f"{reverse('desk:scope')}?lot={kernel.uid}"


def test_a_buyer_sees_what_it_may_and_strangers_nothing(client: Client, stage: Stage) -> None:
    kernel, unsold = stage.lots["kernel"], stage.lots["in_shell_2"]
    sign_in(client, stage.actors["dates"])
    page = client.get(reverse("desk:scope"), {"lot": str(kernel.uid)})
    assert page.context["asked"].possible == []
    for secret in (unsold.code, "烘干机", "110 个", "西安示例特产店", "330", "200"):
        assert secret not in page.text.split("<main", 1)[1].split("</main", 1)[0].replace("2002", ""), secret
    sign_in(client, stage.actors["distillery"])
    assert client.get(reverse("desk:scope"), {"lot": str(kernel.uid)}).status_code == 404
    assert client.get(reverse("desk:scope")).status_code == 404
    assert client.get(reverse("desk:scope_csv"), {"lot": "x\x00"}).status_code == 404
