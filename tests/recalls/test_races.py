"""What happens at the same moment, with real commits: nobody who gets goods is left out, nothing happens twice."""

import threading
from collections.abc import Callable

import pytest
from django.db import connection

from recalls.actions.answers import acknowledge
from recalls.actions.campaigns import start_campaign
from recalls.models import Acknowledgement, Campaign, Notice, OutboxMessage
from tests.conftest import CommittedDatabase
from tests.goods import day, ship
from tests.recalls.story import Chain, decided, make_chain, notice_to, started
from tests.world import make_organisation, make_world
from trace.errors import DomainError
from trace.models import HoldSet, Organisation, Transfer


def together(*tasks: Callable[[], object]) -> list[object]:
    """Run tasks at once, each on a connection of its own; their answers or refusals in order."""
    found: list[object] = [None] * len(tasks)
    ready = threading.Barrier(len(tasks))

    def run(index: int, task: Callable[[], object]) -> None:
        ready.wait()
        try:
            found[index] = task()
        except DomainError as refused:
            found[index] = refused
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(index, task)) for index, task in enumerate(tasks)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def _buyers(chain: Chain, count: int) -> list[Organisation]:
    kept_by = chain.world.walnuts.organisation
    return [
        make_organisation(f"示例买家{number}", "retailer", status="external", kept_by=kept_by)
        for number in range(count)
    ]


@pytest.mark.slow
def test_goods_shipped_at_the_moment_of_the_start_are_either_refused_or_recalled(
    committed_db: CommittedDatabase,
) -> None:
    chain = make_chain(make_world())
    campaign = decided(chain)
    buyers = _buyers(chain, 6)
    world = chain.world

    def sell(buyer: Organisation) -> Callable[[], object]:
        return lambda: ship(world.walnuts, buyer, chain.pouch_a, "0.1", when=day(31))

    def begin() -> object:
        return start_campaign(by=world.walnuts_quality, campaign=campaign, stop_order=True)

    answers = together(*(sell(buyer) for buyer in buyers[:3]), begin, *(sell(buyer) for buyer in buyers[3:]))
    assert isinstance(answers[3], Campaign), answers[3]
    got = set(Transfer.objects.filter(receiver__in=buyers).values_list("receiver", flat=True))
    told = set(Notice.objects.filter(organisation__in=buyers).values_list("organisation", flat=True))
    assert told == got
    refused = [answer.code for answer in answers if isinstance(answer, DomainError)]
    assert set(refused) <= {"lot_blocked"}
    assert len(refused) + len(got) == len(buyers)


@pytest.mark.slow
def test_two_people_starting_at_once_start_it_once(committed_db: CommittedDatabase) -> None:
    chain = make_chain(make_world())
    campaign = decided(chain)
    copies = [Campaign.objects.select_related("organisation").get(pk=campaign.pk) for _two in range(2)]
    answers = together(
        lambda: start_campaign(by=chain.world.walnuts, campaign=copies[0], stop_order=True),
        lambda: start_campaign(by=chain.world.walnuts_quality, campaign=copies[1], stop_order=True),
    )
    refused = [answer.code for answer in answers if isinstance(answer, DomainError)]
    assert refused == ["stale_state"]
    assert Notice.objects.count() == 4
    assert OutboxMessage.objects.count() == 4
    assert HoldSet.objects.filter(source=campaign.hold_source, active_from__isnull=False).count() == 1
    assert campaign.steps.filter(action="start").count() == 1


@pytest.mark.slow
def test_one_holder_acknowledging_many_times_at_once_is_one_acknowledgement(
    committed_db: CommittedDatabase,
) -> None:
    chain = make_chain(make_world())
    shop = chain.world.shop
    notice = notice_to(started(chain), shop.organisation)
    copies = [Notice.objects.select_related("campaign__organisation").get(pk=notice.pk) for _four in range(4)]

    def press(copy: Notice) -> Callable[[], object]:
        return lambda: acknowledge(by=shop, notice=copy)

    answers = together(*(press(copy) for copy in copies))
    refused = {answer.code for answer in answers if isinstance(answer, DomainError)}
    assert refused <= {"stale_state"}
    assert Acknowledgement.objects.count() == 1
    assert Notice.objects.get(pk=notice.pk).steps.filter(action="acknowledge").count() == 1
