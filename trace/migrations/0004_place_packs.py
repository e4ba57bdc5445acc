"""Units packed before: who has them, and which of them are packs."""

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

from trace import derive

_MOVES = {"common.pack": "pack", "common.palletise": "pack", "common.unpack": "unpack"}


def place_units(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Say of units packed before who has them and which of them are packs, from the events that packed them."""
    Event, Item, Unit = (apps.get_model("trace", name) for name in ("Event", "EventItem", "Unit"))
    events = Event.objects.filter(template__in=_MOVES, corrections__isnull=True, log__isnull=False)
    facts = []
    for event in events.order_by("log__number"):
        rows = Item.objects.filter(event=event, unit__isnull=False).order_by("number")
        items = [derive.ItemFacts("subject", None, row.holder_id, None, 0, unit=row.unit_id) for row in rows]
        facts.append(derive.EventFacts(event.pk, event.organisation_id, "", _MOVES[event.template], items))
    for unit, state in derive.fold_units(facts).items():
        Unit.objects.filter(pk=unit).update(
            parent=state.parent, holder=state.holder, transit=state.transit, container=state.container
        )


def leave(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Nothing to take back: the columns go."""


class Migration(migrations.Migration):
    """Data only: the columns came with the migration before."""

    dependencies = [("trace", "0003_packs")]

    operations = [migrations.RunPython(place_units, leave)]
