"""Versions of a scope beside each other, and what would make one smaller."""

import pytest
from django.test import Client

from recalls.actions.scopes import expand_scope
from recalls.compare import changes, levers
from recalls.scope import Question, preview_scope
from tests.recalls.story import announced, make_chain
from tests.world import World, sign_in


def test_versions_are_compared_and_the_page_says_what_changed(world: World, client: Client) -> None:
    chain = make_chain(world)
    campaign = announced(chain)
    url = f"/recall/campaigns/{campaign.uid}/scope/versions/"
    sign_in(client, world.walnuts)
    assert "只有一版范围" in client.get(url).content.decode()
    wider = Question.of([chain.pouch_a, chain.pouch_b], same_run=False)
    expand_scope(by=world.walnuts_quality, campaign=campaign, question=wider, reason="同一次加工")
    first, second = campaign.scopes.order_by("number")
    found = changes(first, second)
    assert found.lots_in == [chain.pouch_b.pk]
    assert found.named_in == [chain.pouch_b.pk]
    assert found.lots_out == []
    assert found.reasons == []
    assert changes(second, first).lots_out == [chain.pouch_b.pk]
    page = client.get(url).content.decode()
    assert "新列入的批次" in page
    assert chain.pouch_b.code in page
    assert "同一次加工" in page
    assert "不再列入的批次" in client.get(url, {"a": "2", "b": "1"}).content.decode()
    for hostile in ("3", "x", "\x00", "9" * 5000, ""):
        assert client.get(url, {"a": hostile}).status_code == 404
    sign_in(client, world.distillery)
    assert client.get(url).status_code == 404
    client.logout()
    assert client.get(url).status_code == 302


@pytest.mark.parametrize("suspect", [False, True])
def test_the_scope_page_says_what_evidence_would_shrink_it(world: World, client: Client, suspect: bool) -> None:
    chain = make_chain(world)
    campaign = announced(chain)
    question = Question.of([chain.pouch_a], [chain.mother] if suspect else [], same_run=True)
    answer = preview_scope(question)
    possible = [line for line in answer.lines if line.shell == "possible"]
    assert sum(one.lots for one in levers(answer.lines)) == len(possible) > 0
    sign_in(client, world.walnuts)
    asked = {"lot": str(chain.pouch_a.uid), "run": "1"} | ({"source": str(chain.mother.uid)} if suspect else {})
    page = client.get(f"/recall/campaigns/{campaign.uid}/scope/", asked).content.decode()
    assert "什么证据能缩小范围" in page
    assert ("共同来源批次的检验报告合格" in page) or ("清场之后" in page)
