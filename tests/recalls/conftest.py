"""The chain of tests/recalls/story.py, built once."""

from collections.abc import Iterator

import pytest
from pytest_django import DjangoDbBlocker

from tests.recalls.story import Chain, make_chain
from tests.stages import Stage
from tests.world import World


@pytest.fixture(scope="session")
def chain_stage(world_stage: Stage[World], django_db_blocker: DjangoDbBlocker) -> Iterator[Stage[Chain]]:
    """The database with the cast and the chain."""
    with Stage.built(make_chain, django_db_blocker, on=world_stage) as stage:
        yield stage


@pytest.fixture
def chain(chain_stage: Stage[Chain], world: World) -> Iterator[Chain]:
    """The supply chain of the story in this test's database."""
    with chain_stage.played(world) as chain:
        yield chain
