"""Queries built once read the same rows as the ORM."""

from __future__ import annotations

import pytest
from django.db import connection
from django.forms.models import model_to_dict

from tests.trace.api_client import make_key
from tests.world import World, make_world
from trace.models import ApiKey
from trace.prepared import AGAIN, Prepared, planned_cursor


@pytest.fixture
def world(db: None) -> World:
    return make_world()


def test_a_prepared_query_finds_what_the_query_finds(world: World, django_assert_num_queries: object) -> None:
    prepared = Prepared(
        lambda digest: ApiKey.objects.filter(key_hash=digest, revoked_at=None).select_related(
            "organisation__division", "created_by"
        )
    )
    for party in (world.distillery, world.shop, world.county):
        key, _secret = make_key(party.organisation)
        for _again in range(2):
            found = prepared.first(key.key_hash)
            assert found is not None
            with django_assert_num_queries(0):  # type: ignore[operator]
                organisation, person = found.organisation, found.created_by
                assert organisation.division.code == party.organisation.division.code
            plain = ApiKey.objects.select_related("organisation__division", "created_by").get(pk=key.pk)
            for ours, theirs in ((found, plain), (organisation, plain.organisation), (person, plain.created_by)):
                assert (ours is None) == (theirs is None)
                if ours is not None and theirs is not None:
                    names = [field.attname for field in ours._meta.concrete_fields]
                    assert [getattr(ours, name) for name in names] == [getattr(theirs, name) for name in names]
                    assert model_to_dict(ours) == model_to_dict(theirs)
        ApiKey.objects.filter(pk=key.pk).update(revoked_at=key.created_at)
        assert prepared.first(key.key_hash) is None, "nothing is remembered"
    assert prepared.first("nobody's") is None


@pytest.mark.postgresql
def test_postgresql_plans_once_what_is_asked_again(db: None) -> None:
    for number in range(AGAIN + 5):
        with planned_cursor() as cursor:
            cursor.execute("SELECT %s + 1 AS asked_again", [number])
            assert cursor.fetchone() == (number + 1,)
    with connection.cursor() as cursor:
        cursor.execute("SELECT statement FROM pg_prepared_statements WHERE strpos(statement, 'asked_again') > 0")
        assert cursor.fetchall() == [("SELECT $1 + 1 AS asked_again",)]
