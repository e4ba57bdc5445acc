"""Lots, their names, what each holder has of them, single units, and the edges of the genealogy. All derived from
events.
"""

from __future__ import annotations

import re
from typing import Final

from django.db import models
from django.utils.translation import gettext_lazy as _

from trace.identifiers import uuid7
from trace.models.events import filled

UNNUMBERED: Final = re.compile(r"(?:SN|EV)-[0-9A-Z]{12}")
"""Codes of lots of which nobody said a number: one serial alone, several that an event named together."""


class Lot(models.Model):
    """One traceability unit: goods of one product made together by one issuer (GB/T 38155 追溯单元, one lot).

    Identity: unique (issuer, product, lot code). Receiving keeps the lot; mixing, repacking and relabelling make new
    ones. Everything here but the row's names is derived from events; ``voided_by`` names the error declaration that
    undid it.
    """

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    organisation = models.ForeignKey(
        "trace.Organisation", on_delete=models.PROTECT, related_name="lots", db_index=False
    )
    product = models.ForeignKey("trace.Product", on_delete=models.PROTECT, related_name="lots", db_index=False)
    product_version = models.ForeignKey("trace.ProductVersion", on_delete=models.PROTECT, related_name="lots")
    lot_code = models.CharField(_("批号"), max_length=20)
    display_code = models.CharField(_("显示批号"), max_length=40, blank=True)
    public_code = models.CharField(_("追溯码"), max_length=20, unique=True)
    origin_event = models.ForeignKey("trace.Event", on_delete=models.PROTECT, related_name="lots_begun")
    origin_place = models.ForeignKey(
        "trace.Place", null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    begun_at = models.DateTimeField()
    made_micros = models.BigIntegerField(default=0)
    produced_on = models.DateField(_("生产日期"), null=True, blank=True)
    expires_on = models.DateField(_("保质期至"), null=True, blank=True)
    released_by = models.ForeignKey(
        "trace.Event", null=True, on_delete=models.PROTECT, related_name="lots_released", db_index=False
    )
    needs_release = models.BooleanField(default=False)
    is_external = models.BooleanField(default=False)
    voided_by = models.ForeignKey(
        "trace.Event", null=True, on_delete=models.PROTECT, related_name="lots_voided", db_index=False
    )

    class Meta:
        verbose_name = _("批次")
        verbose_name_plural = _("批次")
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "product", "lot_code"],
                condition=models.Q(voided_by__isnull=True),
                name="one_lot_code",
            )
        ]
        indexes = [
            models.Index(fields=["organisation", "-id"]),
            # For beginnings of codes: PostgreSQL finds them only by these classes; SQLite knows none and needs none.
            models.Index(fields=["lot_code"], opclasses=["varchar_pattern_ops"], name="lots_by_code"),
            models.Index(
                fields=["organisation", "lot_code"],
                opclasses=["int8_ops", "varchar_pattern_ops"],
                name="lots_by_owner_and_code",
            ),
            models.Index(fields=["display_code"], name="lots_by_display_code"),
            models.Index(fields=["product", "lot_code"]),
            *filled("lots", "origin_place", "released_by", "voided_by"),
        ]

    def __str__(self) -> str:
        return self.code

    @property
    def code(self) -> str:
        """The lot code a person reads: the display code where there is one."""
        return self.display_code or self.lot_code

    @property
    def unnumbered(self) -> bool:
        """Whether nobody said a lot number: it stands for serials that a partner's event named (docs/epcis.md), the
        first of which and how many others the display code tells.
        """
        return bool(self.display_code) and UNNUMBERED.fullmatch(self.lot_code) is not None


class LotAlias(models.Model):
    """A holder's own code for a lot that keeps its issuer's identity."""

    lot = models.ForeignKey(Lot, on_delete=models.PROTECT, related_name="aliases")
    organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="lot_aliases")
    code = models.CharField(_("本单位批号"), max_length=20)
    event = models.ForeignKey("trace.Event", on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["organisation", "lot", "code"], name="one_alias")]
        indexes = [models.Index(fields=["organisation", "code"])]

    def __str__(self) -> str:
        return self.code


class Stock(models.Model):
    """What one holder has of one lot at one place, in millionths of the product's base unit.

    May go below zero only where reports say more went out than came in; that is then a conflict.
    """

    lot = models.ForeignKey(Lot, on_delete=models.PROTECT, related_name="stocks", db_index=False)
    organisation = models.ForeignKey(
        "trace.Organisation", on_delete=models.PROTECT, related_name="stocks", db_index=False
    )
    place = models.ForeignKey("trace.Place", null=True, on_delete=models.PROTECT, related_name="stocks", db_index=False)
    micros = models.BigIntegerField(default=0)

    class Meta:
        verbose_name = _("库存")
        verbose_name_plural = _("库存")
        constraints = [
            models.UniqueConstraint(fields=["lot", "organisation", "place"], name="one_stock"),
            models.UniqueConstraint(
                fields=["lot", "organisation"], condition=models.Q(place__isnull=True), name="one_stock_without_place"
            ),
        ]
        indexes = [models.Index(fields=["organisation", "lot"]), *filled("stock", "place")]

    def __str__(self) -> str:
        return f"{self.lot_id}@{self.organisation_id}: {self.micros}"


class Unit(models.Model):
    """One unit or pack with a code of its own (bottle, piece, carton, pallet): one row each.

    ``code`` is the serial; the URI is built from the product's GTIN where there is one. ``run`` is the opaque name of
    the code run that issued it (labels keep the runs).

    Where it is follows from events and is written by ``trace.actions.unit_states`` alone: ``parent`` the pack it lies
    in; ``holder`` who has it and ``transit`` the shipping event it is on its way by, both only on what lies in no pack
    (everything inside goes with it); ``replaced_by`` the code that took its place. A unit that no event has named yet
    has none of these: it is wherever its lot is. ``container`` says that it was packed: its goods are what lies in it,
    and its own ``lot`` is only the first that was put in.
    """

    class State(models.TextChoices):
        ISSUED = "issued", _("已发码")
        APPLIED = "applied", _("已贴标")
        SPOILED = "spoiled", _("损坏")
        VOID = "void", _("已作废")

    class Level(models.TextChoices):
        ITEM = "item", _("件")
        BOX = "box", _("盒")
        CARTON = "carton", _("箱")
        PALLET = "pallet", _("托盘")

    code = models.CharField(_("唯一码"), max_length=20)
    organisation = models.ForeignKey(
        "trace.Organisation", on_delete=models.PROTECT, related_name="units", db_index=False
    )
    lot = models.ForeignKey(Lot, on_delete=models.PROTECT, related_name="units", db_index=False)
    level = models.CharField(max_length=8, choices=Level, default=Level.ITEM)
    parent = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="children", db_index=False
    )
    state = models.CharField(max_length=8, choices=State, default=State.ISSUED)
    run = models.UUIDField(null=True)
    number = models.PositiveIntegerField(default=0)
    container = models.BooleanField(default=False)
    holder = models.ForeignKey(
        "trace.Organisation", null=True, on_delete=models.PROTECT, related_name="units_held", db_index=False
    )
    transit = models.ForeignKey(
        "trace.Event", null=True, on_delete=models.PROTECT, related_name="units_in_transit", db_index=False
    )
    replaced_by = models.ForeignKey(
        "self", null=True, on_delete=models.PROTECT, related_name="replaces", db_index=False
    )

    class Meta:
        verbose_name = _("单件")
        verbose_name_plural = _("单件")
        # A million new codes are rows with nothing in these four: an index of the whole column costs more than the row.
        indexes = [
            models.Index(fields=["lot", "id"]),
            models.Index(fields=["run", "number"], name="units_by_run"),
            models.Index(fields=["lot", "parent"], name="units_packed", condition=models.Q(parent__isnull=False)),
            *(
                models.Index(fields=[name], name=f"units_by_{name}", condition=models.Q((f"{name}__isnull", False)))
                for name in ("parent", "holder", "transit", "replaced_by")
            ),
        ]
        # A constraint, not ``unique=True``, which has PostgreSQL keep another index for LIKE that nobody asks.
        constraints = [models.UniqueConstraint(fields=["code"], name="one_unit_per_code")]

    def __str__(self) -> str:
        return self.code

    @property
    def top(self) -> Unit:
        """The outermost pack it lies in, or itself. Asks nothing where ``parent__parent__parent`` was read along."""
        found = self
        while found.parent is not None:
            found = found.parent
        return found


class IssuedCodes(models.Model):
    """The codes one commissioning event gave to a lot's units, in the order of their numbers. Append-only.

    The event's data carry their SHA-256, so the log proves them; they lie here so that lists of events stay light, and
    so that unit rows can be made again. ``codes`` are the codes one after another, ``width`` characters each.
    """

    event = models.OneToOneField("trace.Event", on_delete=models.PROTECT, related_name="issued_codes")
    lot = models.ForeignKey(Lot, on_delete=models.PROTECT, related_name="+")
    level = models.CharField(max_length=8, choices=Unit.Level)
    run = models.UUIDField(null=True)
    first_number = models.PositiveIntegerField()
    width = models.PositiveSmallIntegerField()
    codes = models.BinaryField()

    append_only = True

    class Meta:
        verbose_name_plural = "issued codes"

    def __str__(self) -> str:
        return f"{self.lot_id} {self.first_number}+{len(self.codes) // self.width}"

    def listed(self) -> list[str]:
        """The codes, one for each number from ``first_number`` on."""
        text = bytes(self.codes).decode("ascii")
        return [text[start : start + self.width] for start in range(0, len(text), self.width)]


class PackPlan(models.Model):
    """Which units of one run are meant to lie in the packs of another: both were issued together, so that a line packs
    by scanning the carton's label alone. Append-only.

    A plan, not a record: where a unit lies say the events. Unit number ``inside_first`` and the next ``each`` - 1
    belong into pack number ``first_number``, and so on to ``inside_last``; all numbers are of one lot.
    """

    lot = models.ForeignKey(Lot, on_delete=models.PROTECT, related_name="+")
    run = models.UUIDField(unique=True)
    first_number = models.PositiveIntegerField()
    inside = models.UUIDField(unique=True)
    inside_first = models.PositiveIntegerField()
    inside_last = models.PositiveIntegerField()
    each = models.PositiveSmallIntegerField()

    append_only = True

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(each__gte=1), name="plan_has_units")]

    def __str__(self) -> str:
        return f"{self.lot_id}: {self.inside_first}-{self.inside_last} / {self.each}"

    def numbers(self, pack: int) -> tuple[int, int]:
        """The first and last number that belong into the pack of a number."""
        first = self.inside_first + (pack - self.first_number) * self.each
        return first, min(first + self.each - 1, self.inside_last)


class PackSeries(models.Model):
    """The next serial reference of an organisation's SSCC numbers under one GS1 prefix. GS1 asks that a number is not
    given again within a year; here it never is.
    """

    organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="pack_series")
    prefix = models.CharField(max_length=12)
    next_number = models.BigIntegerField(default=1)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["organisation", "prefix"], name="one_pack_series")]

    def __str__(self) -> str:
        return f"{self.prefix}: {self.next_number}"


class LotLink(models.Model):
    """One edge of the genealogy: ``parent`` went into ``child`` by ``event``. The table every walk uses."""

    parent = models.ForeignKey(Lot, on_delete=models.PROTECT, related_name="links_down", db_index=False)
    child = models.ForeignKey(Lot, on_delete=models.PROTECT, related_name="links_up", db_index=False)
    event = models.ForeignKey("trace.Event", on_delete=models.PROTECT, related_name="links", db_index=False)
    organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="+")
    input_micros = models.BigIntegerField(default=0)
    voided_by = models.ForeignKey("trace.Event", null=True, on_delete=models.PROTECT, related_name="+", db_index=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["event", "parent", "child"], name="one_link")]
        indexes = [
            models.Index(fields=["parent", "child"]),
            models.Index(fields=["child", "parent"]),
            *filled("links", "voided_by"),
        ]

    def __str__(self) -> str:
        return f"{self.parent_id} → {self.child_id}"


class Shipment(models.Model):
    """One slip: goods sent by one party to one other, by one shipping event. Its token lets the buyer answer without
    account.
    """

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    number = models.CharField(_("发货单号"), max_length=24, unique=True)
    organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="shipments_out")
    receiver = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="shipments_in")
    event = models.OneToOneField("trace.Event", on_delete=models.PROTECT, related_name="shipment")
    sent_at = models.DateTimeField()
    voided_by = models.ForeignKey("trace.Event", null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        verbose_name = _("发货单")
        verbose_name_plural = _("发货单")
        indexes = [models.Index(fields=["receiver", "-id"]), models.Index(fields=["organisation", "-id"])]

    def __str__(self) -> str:
        return self.number


class Transfer(models.Model):
    """How much of one lot one party gave to another, and what the other said it received.

    ``received_by`` is the receiving event; sent ≠ received is a difference both sides see. ``refused`` marks goods the
    receiver says never arrived or sent back at the door.
    """

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    shipment = models.ForeignKey(Shipment, on_delete=models.PROTECT, related_name="transfers", db_index=False)
    lot = models.ForeignKey(Lot, on_delete=models.PROTECT, related_name="transfers", db_index=False)
    sender = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="+")
    receiver = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="+", db_index=False)
    sent_micros = models.BigIntegerField()
    received_micros = models.BigIntegerField(null=True)
    received_by = models.ForeignKey("trace.Event", null=True, on_delete=models.PROTECT, related_name="transfers_in")
    received_at = models.DateTimeField(null=True)
    voided_by = models.ForeignKey("trace.Event", null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        verbose_name = _("交接")
        verbose_name_plural = _("交接")
        indexes = [
            models.Index(fields=["lot", "receiver"]),
            models.Index(fields=["lot", "sender"]),
            models.Index(fields=["receiver", "received_by"]),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(received_by__isnull=True, received_micros__isnull=True)
                | models.Q(received_by__isnull=False, received_micros__isnull=False),
                name="received_facts_together",
            ),
            models.UniqueConstraint(fields=["shipment", "lot"], name="one_transfer_per_lot"),
        ]

    def __str__(self) -> str:
        return f"{self.sender_id} → {self.receiver_id}: {self.lot_id}"

    @property
    def difference_micros(self) -> int | None:
        """Received minus sent; None while nobody confirmed."""
        return None if self.received_micros is None else self.received_micros - self.sent_micros
