"""Stages (tests/stages.py): what is built once is what would be built anew, and no test leaves anything to the next."""

from __future__ import annotations

import pytest

from tests.stages import Stage
from tests.world import World, make_place, make_world
from trace.models import Organisation, Place


def summary(world: World) -> list[tuple[str, str, str]]:
    """The places of a cast, without what is new each time."""
    places = Place.objects.order_by("pk").values_list("organisation__name", "name", "kind")
    assert world.plant in Place.objects.all()
    return list(places)


def test_a_stage_equals_the_cast_in_an_empty_database(db: None, world_stage: Stage[World]) -> None:
    assert not Organisation.objects.exists()
    with world_stage.played() as world:
        on_the_stage = summary(world)
    assert summary(make_world()) == on_the_stage != []


def test_what_is_written_on_a_stage_is_taken_back(db: None, world_stage: Stage[World]) -> None:
    for _ in range(2):
        with world_stage.played() as world:
            world.plant.name = "改过的车间"
            world.plant.save()
            made = make_place(world.walnuts.organisation)
    with world_stage.played() as world:
        assert world.plant.name == "加工车间"
        assert not Place.objects.filter(pk=made.pk).exists()
    assert not Place.objects.exists()


def test_what_was_written_before_is_not_lost_in_silence(db: None, world_stage: Stage[World]) -> None:
    with world_stage.played() as world:
        make_place(world.walnuts.organisation)
        with pytest.raises(AssertionError, match="name that one first"), world_stage.played():
            pass
