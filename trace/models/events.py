"""The truth about goods: append-only events, their items, the log they lie in, and what was found wrong with them."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from trace.identifiers import uuid7
from trace.sentences import say


def filled(name: str, *fields: str) -> list[models.Index]:
    """An index for each of these columns that holds only rows that have something in it."""
    return [
        models.Index(fields=[field], name=f"{name}_by_{field}", condition=models.Q((f"{field}__isnull", False)))
        for field in fields
    ]


class Event(models.Model):
    """One EPCIS 2.0 event (ISO/IEC 19987) as captured. Append-only: a correction is another event naming this one.

    Vocabulary is CBV 2.0; ``local_step`` is ours. ``data`` are the template's fields (never personal data: remarks and
    photographs are ``PersonalRecord`` rows). ``flags`` are the guards a report broke, one conflict row each. Instants
    are UTC with the entered offset; ``precision`` says whether the minute or only the day is known. ``corrects`` makes
    this an error declaration about another event; ``replaces`` says it is the corrected statement of an event declared
    wrong (EPCIS lists it as corrective event id). ``mode`` says whether guards refused (command) or flagged (report).
    """

    class Mode(models.TextChoices):
        COMMAND = "command", _("指令")
        REPORT = "report", _("报告")

    class Precision(models.TextChoices):
        MINUTE = "minute", _("到分钟")
        DAY = "day", _("到日")

    class ErrorReason(models.TextChoices):
        DID_NOT_OCCUR = "did_not_occur", _("没有发生")
        INCORRECT_DATA = "incorrect_data", _("数据有误")

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    organisation = models.ForeignKey(
        "trace.Organisation", on_delete=models.PROTECT, related_name="events", db_index=False
    )
    entered_by_organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="+")
    entered_by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    template = models.CharField(max_length=60)
    event_type = models.CharField(max_length=24)
    action = models.CharField(max_length=8, blank=True)
    biz_step = models.CharField(max_length=40)
    disposition = models.CharField(max_length=40, blank=True)
    local_step = models.CharField(max_length=40, blank=True)
    mode = models.CharField(max_length=8, choices=Mode, default=Mode.COMMAND)
    occurred_at = models.DateTimeField()
    tz_offset = models.SmallIntegerField(default=480)
    precision = models.CharField(max_length=8, choices=Precision, default=Precision.MINUTE)
    recorded_at = models.DateTimeField(default=timezone.now)
    place = models.ForeignKey("trace.Place", null=True, on_delete=models.PROTECT, related_name="events", db_index=False)
    counterparty = models.ForeignKey(
        "trace.Organisation", null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    data = models.JSONField(default=dict)
    corrects = models.ForeignKey(
        "self", null=True, on_delete=models.PROTECT, related_name="corrections", db_index=False
    )
    error_reason = models.CharField(max_length=20, blank=True)
    replaces = models.ForeignKey(
        "self", null=True, on_delete=models.PROTECT, related_name="replacements", db_index=False
    )
    remark = models.ForeignKey(
        "trace.PersonalRecord", null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    flags = models.JSONField(default=list)

    append_only = True

    class Meta:
        verbose_name = _("事件")
        verbose_name_plural = _("事件")
        indexes = [
            models.Index(fields=["organisation", "-id"]),
            models.Index(fields=["template"]),
            models.Index(fields=["occurred_at"]),
            # Most events have none of these: no entry for what is not there.
            *filled("events", "entered_by", "place", "counterparty", "replaces", "remark"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["corrects"], condition=models.Q(corrects__isnull=False), name="one_declaration_per_event"
            )
        ]

    def __str__(self) -> str:
        return f"{self.template} {self.uid}"


class EventItem(models.Model):
    """One lot (or unit) in one event, with what happened to its amount. Append-only.

    ``micros`` is signed: plus for goods that came to be or came in at (``holder``, ``place``), minus for goods used
    up, sent or destroyed there, 0 where the lot was only the subject. Stock is the plain sum of these rows that are
    not undone. The entered text, its unit and the factor of that day stand beside it.
    """

    class Role(models.TextChoices):
        INPUT = "input", _("投入")
        OUTPUT = "output", _("产出")
        SUBJECT = "subject", _("对象")

    event = models.ForeignKey(Event, on_delete=models.PROTECT, related_name="items", db_index=False)
    number = models.PositiveSmallIntegerField()
    role = models.CharField(max_length=8, choices=Role)
    lot = models.ForeignKey("trace.Lot", null=True, on_delete=models.PROTECT, related_name="items", db_index=False)
    unit = models.ForeignKey("trace.Unit", null=True, on_delete=models.PROTECT, related_name="items", db_index=False)
    holder = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="+", db_index=False)
    place = models.ForeignKey("trace.Place", null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    micros = models.BigIntegerField(default=0)
    entered = models.CharField(max_length=30, blank=True)
    entered_unit = models.CharField(max_length=12, blank=True)
    factor = models.CharField(max_length=40, blank=True)
    transfer = models.ForeignKey(
        "trace.Transfer", null=True, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    ilmd = models.JSONField(default=dict)

    append_only = True

    class Meta:
        constraints = [models.UniqueConstraint(fields=["event", "number"], name="one_item_number")]
        # Holder and place are always asked together with the lot.
        indexes = [models.Index(fields=["lot", "event"]), *filled("items", "unit", "transfer")]

    def __str__(self) -> str:
        return f"{self.event_id}#{self.number}"


class LogHead(models.Model):
    """The one row holding the last log number; taking it orders commits (see ``LogEntry``)."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    last = models.BigIntegerField(default=0)

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="one_log_head")]

    def __str__(self) -> str:
        return str(self.last)


class LogEntry(models.Model):
    """The place of one event in the log: its canonical bytes and their SHA-256, the leaf of the Merkle tree.
    Append-only.

    Numbers follow commit order because the head row stays locked until the transaction ends; they are the cursor of
    every feed and page (a time stamp skips what commits late on PostgreSQL).
    """

    number = models.BigIntegerField(primary_key=True)
    event = models.OneToOneField(Event, on_delete=models.PROTECT, related_name="log")
    canonical = models.BinaryField()
    sha256 = models.CharField(max_length=64)

    append_only = True

    class Meta:
        verbose_name_plural = "log entries"

    def __str__(self) -> str:
        return f"{self.number} {self.sha256[:12]}"


class Conflict(models.Model):
    """A recorded fact that broke a guard: which rule, which event, which lots. Derived; answered by people, never
    deleted.
    """

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    event = models.ForeignKey(Event, on_delete=models.PROTECT, related_name="conflicts")
    organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="conflicts")
    lot = models.ForeignKey("trace.Lot", null=True, on_delete=models.PROTECT, related_name="conflicts")
    code = models.CharField(max_length=40)
    details = models.JSONField(default=dict)
    at = models.DateTimeField(default=timezone.now)
    answered_at = models.DateTimeField(null=True)
    answered_by = models.ForeignKey("trace.User", null=True, on_delete=models.PROTECT, related_name="+")
    answer = models.CharField(max_length=500, blank=True)
    voided_by = models.ForeignKey(Event, null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        verbose_name = _("冲突")
        verbose_name_plural = _("冲突")
        indexes = [models.Index(fields=["organisation", "-id"]), models.Index(fields=["lot"])]

    def __str__(self) -> str:
        return f"{self.code} {self.event_id}"

    @property
    def sentence(self) -> str:
        """What contradicts what, in the reader's language; rows from before sentences were kept so, as recorded."""
        text = str(self.details.get("detail", ""))
        try:
            return say(self.details["said"]) if "said" in self.details else text
        except (AttributeError, KeyError, TypeError, ValueError):
            return text


class PersonalRecord(models.Model):
    """Free words or contact data that may name a person, encrypted with a key of its own; deleting destroys the key."""

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    organisation = models.ForeignKey("trace.Organisation", null=True, on_delete=models.PROTECT, related_name="+")
    purpose = models.CharField(max_length=30)
    key = models.BinaryField(null=True)
    secret = models.BinaryField()
    created_at = models.DateTimeField(default=timezone.now)
    destroyed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(key__isnull=True, destroyed_at__isnull=False)
                | models.Q(key__isnull=False, destroyed_at__isnull=True),
                name="key_gone_when_destroyed",
            )
        ]

    def __str__(self) -> str:
        return f"{self.purpose} {self.uid}"


class StoredFile(models.Model):
    """One uploaded file by its SHA-256; images are re-encoded before they get here, so no place or name is left in
    them.
    """

    uid = models.UUIDField(default=uuid7, unique=True, editable=False)
    organisation = models.ForeignKey("trace.Organisation", on_delete=models.PROTECT, related_name="files")
    event = models.ForeignKey(Event, null=True, on_delete=models.PROTECT, related_name="files")
    sha256 = models.CharField(max_length=64)
    size = models.PositiveIntegerField()
    media_type = models.CharField(max_length=60)
    name = models.CharField(max_length=120)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = _("文件")
        verbose_name_plural = _("文件")

    def __str__(self) -> str:
        return self.name
