"""The EPCIS door: documents taken in, events as they came, what they are found by, and who is told of new ones."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from trace.identifiers import uuid7
from trace.models.events import filled


class CaptureJob(models.Model):
    """One document on its way in (``POST /epcis/capture``): kept as a file until it is worked off, then its outcome.

    ``behaviour`` is the standard's GS1-Capture-Error-Behaviour. ``total`` counts the events met, ``captured`` those
    written, ``repeated`` those that were there already, ``faulty`` those refused; ``errors`` tells the first of them
    with a pointer each. ``position`` is how many events of the document are done with: a job with *proceed* goes on
    behind it after a crash, one with *rollback* has written nothing and begins anew. A claim by a worker is ``lease``
    and ``leased_until``.
    """

    class Behaviour(models.TextChoices):
        """What an event that is refused means for the others."""

        ROLLBACK = "rollback", _("全有或全无")
        PROCEED = "proceed", _("跳过有错的")

    class Status(models.TextChoices):
        """How far it is."""

        WAITING = "waiting", _("等待处理")
        RUNNING = "running", _("正在处理")
        DONE = "done", _("已完成")
        FAILED = "failed", _("没有写入")

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="+")
    owner = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="capture_jobs")
    api_key = models.ForeignKey("trace.ApiKey", null=True, on_delete=models.PROTECT, related_name="+")
    by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=120, blank=True)
    media = models.CharField(max_length=4, default="json")
    sha256 = models.CharField(max_length=64)
    size = models.BigIntegerField(default=0)
    behaviour = models.CharField(max_length=8, choices=Behaviour, default=Behaviour.ROLLBACK)
    status = models.CharField(max_length=8, choices=Status, default=Status.WAITING)
    total = models.PositiveIntegerField(default=0)
    position = models.PositiveIntegerField(default=0)
    captured = models.PositiveIntegerField(default=0)
    repeated = models.PositiveIntegerField(default=0)
    faulty = models.PositiveIntegerField(default=0)
    conflicts = models.PositiveIntegerField(default=0)
    errors = models.JSONField(default=list)
    attempts = models.PositiveSmallIntegerField(default=0)
    lease = models.UUIDField(null=True)
    leased_until = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("EPCIS 文件")
        verbose_name_plural = _("EPCIS 文件")
        indexes = [models.Index(fields=["owner", "-id"]), models.Index(fields=["status", "id"])]

    def __str__(self) -> str:
        return self.name or str(self.uid)

    @property
    def is_running(self) -> bool:
        """Whether a worker has it, or will."""
        return self.status in (self.Status.WAITING, self.Status.RUNNING)

    @property
    def success(self) -> bool | None:
        """The standard's answer: everything in it was captured; None while it runs."""
        return None if self.is_running else self.status == self.Status.DONE and not self.faulty


class EpcisEvent(models.Model):
    """One event as the door shows it, under its number in the log. Append-only.

    A captured event keeps the ``document`` it came as; of what was entered by form it is empty and shaped on reading.
    ``declared_at`` is the declaration time of an error declaration, which repeats the id of the event it is about.
    """

    number = models.BigIntegerField(primary_key=True)
    event = models.OneToOneField("trace.Event", on_delete=models.PROTECT, related_name="epcis")
    owner = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="+", db_index=False)
    eid = models.CharField(max_length=500)
    declared_at = models.CharField(max_length=40, blank=True)
    kind = models.CharField(max_length=20)
    action = models.CharField(max_length=8, blank=True)
    event_time = models.DateTimeField()
    record_time = models.DateTimeField()
    document = models.TextField(blank=True)

    append_only = True

    class Meta:
        constraints = [models.UniqueConstraint(fields=["owner", "eid", "declared_at"], name="one_epcis_event")]

    def __str__(self) -> str:
        return self.eid


class EpcisName(models.Model):
    """One thing an organisation's events name: an identifier, a step, a place, a party. What events are found by, and
    what an identifier means here.

    ``value`` is canonical: URIs of one thing are equal whatever their spelling. ``lot`` is the lot an identifier of
    goods stands for, ``alike`` the lot of somebody else's books that the same serial names (for recalls only),
    ``parent`` the pack it lies in by the events of this organisation; ``party`` and ``place`` the named outsider or own
    place behind a location or party. Derived from events.
    """

    owner = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="+", db_index=False)
    kind = models.CharField(max_length=16)
    value = models.CharField(max_length=500)
    lot = models.ForeignKey(
        "trace.Lot", null=True, on_delete=models.PROTECT, related_name="epcis_names", db_index=False
    )
    alike = models.ForeignKey("trace.Lot", null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    parent = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="children", db_index=False)
    party = models.ForeignKey(
        "trace.Organisation", null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    place = models.ForeignKey("trace.Place", null=True, on_delete=models.PROTECT, related_name="+", db_index=False)

    class Meta:
        indexes = filled("epcis_names", "lot", "alike", "parent", "party", "place")
        constraints = [models.UniqueConstraint(fields=["owner", "kind", "value"], name="one_epcis_name")]

    def __str__(self) -> str:
        return f"{self.kind} {self.value}"


class EpcisTerm(models.Model):
    """That an event names something: from the name to the numbers of the log, in order. Derived."""

    name = models.ForeignKey(EpcisName, on_delete=models.PROTECT, related_name="terms", db_index=False)
    number = models.BigIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["name", "number"], name="one_epcis_term")]

    def __str__(self) -> str:
        return f"{self.name_id} {self.number}"


class EpcisSeen(models.Model):
    """That an organisation may see an event: its own and what names it as the other party. Derived."""

    owner = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="+", db_index=False)
    number = models.BigIntegerField()
    event_time = models.DateTimeField()

    class Meta:
        verbose_name_plural = "epcis seen"
        constraints = [models.UniqueConstraint(fields=["owner", "number"], name="one_epcis_seen")]
        indexes = [models.Index(fields=["owner", "event_time", "number"], name="epcis_seen_by_time")]

    def __str__(self) -> str:
        return f"{self.owner_id} {self.number}"


class EpcisMaster(models.Model):
    """What documents an organisation captured said of one thing in their headers: its attributes by their local names,
    and the thing it lies in (``parent``, canonical). Asked by ``WD_``, ``HASATTR_`` and ``EQATTR_`` alone: what anybody
    is or is trusted with never follows from it.
    """

    owner = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="+", db_index=False)
    value = models.CharField(max_length=500)
    parent = models.CharField(max_length=500, blank=True)
    attributes = models.JSONField(default=dict)

    class Meta:
        verbose_name_plural = "epcis master data"
        constraints = [models.UniqueConstraint(fields=["owner", "value"], name="one_epcis_master")]
        indexes = [models.Index(fields=["owner", "parent"], name="epcis_master_below")]

    def __str__(self) -> str:
        return self.value


class EpcisContent(models.Model):
    """How much of a lot was put into a pack by class and quantity. Derived from events."""

    pack = models.ForeignKey(EpcisName, on_delete=models.PROTECT, related_name="contents", db_index=False)
    lot = models.ForeignKey("trace.Lot", on_delete=models.PROTECT, related_name="+")
    micros = models.BigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["pack", "lot"], name="one_epcis_content")]

    def __str__(self) -> str:
        return f"{self.pack_id}: {self.lot_id}"


class EpcisHead(models.Model):
    """The one row that says up to which number of the log events entered elsewhere are known to the door."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    last = models.BigIntegerField(default=0)

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="one_epcis_head")]

    def __str__(self) -> str:
        return str(self.last)


class EpcisQuery(models.Model):
    """A query an organisation gave a name (``POST /epcis/queries``)."""

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    owner = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=100)
    query = models.JSONField(default=dict)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["owner", "name"], name="one_epcis_query")]

    def __str__(self) -> str:
        return self.name


class EpcisSubscription(models.Model):
    """Somebody who is told by a call to ``url`` when new events answer a named query. At least once, in log order.

    ``cursor`` is the last number told: it moves only after the receiver said 200. The body is signed with ``secret``.
    ``stream`` tells at once; else ``schedule`` says when (the standard's fields) and ``next_at`` is the next time.
    """

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    query = models.ForeignKey(EpcisQuery, on_delete=models.CASCADE, related_name="subscriptions")
    owner = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="+")
    api_key = models.ForeignKey("trace.ApiKey", null=True, on_delete=models.PROTECT, related_name="+")
    url = models.CharField(max_length=500)
    secret = models.CharField(max_length=200)
    stream = models.BooleanField(default=True)
    schedule = models.JSONField(default=dict)
    report_if_empty = models.BooleanField(default=False)
    epc_format = models.CharField(max_length=30, default="Always_GS1_Digital_Link")
    cursor = models.BigIntegerField(default=0)
    next_at = models.DateTimeField(default=timezone.now)
    lease = models.UUIDField(null=True)
    leased_until = models.DateTimeField(null=True)
    failures = models.PositiveIntegerField(default=0)
    last_status = models.CharField(max_length=200, blank=True)
    last_told_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [models.Index(fields=["next_at"])]

    def __str__(self) -> str:
        return f"{self.query_id} → {self.url}"
