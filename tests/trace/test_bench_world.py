"""The worlds of `make bench` are made of rows like the ones that actions write."""

from tests.bench.worlds import generate
from tests.world import World
from trace.actions.rebuild import rebuild
from trace.models import Lot, LotLink


def test_generated_world_follows_from_its_events(world: World) -> None:
    """Every derived row and every hash of the log: what the generator wrote is what its events say."""
    facts = generate(200, world=world, probes=False)
    assert facts.lots == 200
    report = rebuild(write=False)
    assert report.differences == []
    assert report.events > facts.events
    Lot.objects.filter(pk=LotLink.objects.order_by("-id")[0].child_id).update(made_micros=1)
    assert len(rebuild(write=False).differences) == 1
