"""An API of one tiny area for the tests of the base: what every operation gets by being declared."""

from typing import Annotated, Any

from django.db import DataError, IntegrityError, OperationalError, connection
from django.http import HttpRequest
from django.urls import include, path
from ninja import Query
from pydantic import Field

from trace.api.auth import acting
from trace.api.operations import Area, HouseAPI
from trace.api.paging import Feed, Page, turn
from trace.api.schemas import AmountIn, Day, In, Moment, Out, Text, Uid, Whole
from trace.errors import BrokenGuard, FieldErrors, GuardBroken, Invalid, TooMany
from trace.models import PersonalRecord
from trace.personal import reveal, seal

area = Area("events", "probe")


class NoteIn(In):
    """A note to keep."""

    text: Annotated[str, Text(10, required=True)]
    number: Annotated[int, Whole(0, 2**63 - 1)] = 0
    day: Day | None = None
    moment: Moment | None = None
    amount: AmountIn | None = None
    other: Uid | None = None
    free: dict[str, Any] = Field(default_factory=dict)


class NoteOut(Out):
    """A note kept."""

    text: str
    uid: str


EXAMPLE = {"text": "好", "uid": "018f0000-0000-7000-8000-000000000000"}


@area.read("/notes", who="party", answer=Page[NoteOut], example={"items": [EXAMPLE], "next": None}, summary="列出")
def list_notes(request: HttpRequest, paging: Query[Feed]) -> Page[NoteOut]:
    """The organisation's notes."""
    rows = PersonalRecord.objects.filter(organisation=acting(request).organisation)
    return turn(rows, paging, lambda found: [NoteOut(text=reveal(row), uid=str(row.uid)) for row in found])


@area.write("/notes", who="party", roles=("operator",), answer=NoteOut, example=EXAMPLE, summary="登记")
def write_note(request: HttpRequest, body: NoteIn) -> NoteOut:
    """Keep a note; some texts break in the middle, after the row is written."""
    row = seal(body.text, organisation=acting(request).organisation, purpose="probe")
    if body.text in BREAKS:
        raise BREAKS[body.text]
    if body.text == "locked":
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    return NoteOut(text=body.text, uid=str(row.uid))


@area.read("/regulators", who="regulator", answer=NoteOut, example=EXAMPLE, summary="监管")
def for_regulators(request: HttpRequest) -> NoteOut:
    """Only for regulators."""
    return NoteOut(text="regulator", uid="-")


@area.read("/open", who="public", answer=NoteOut, example=EXAMPLE, summary="公开")
def for_everybody(request: HttpRequest) -> NoteOut:
    """For anybody."""
    return NoteOut(text="open", uid="-")


BREAKS: dict[str, Exception] = {
    "invalid": Invalid("x", code="probe_refused", limit=3),
    "fields": FieldErrors("x", {"weight": Invalid("太重", code="too_heavy")}),
    "guard": GuardBroken("x", [BrokenGuard("lot_blocked", "封存")]),
    "too many": TooMany("x"),
    "unicode": UnicodeEncodeError("utf-8", "x", 0, 1, "surrogates not allowed"),
    "overflow": OverflowError("too large"),
    "data": DataError("value too long"),
    "race": IntegrityError("unique"),
    "busy": OperationalError("database is locked"),
    "bug": RuntimeError("a fault"),
}

api = HouseAPI(title="probe", version="probe", urls_namespace="probe")
api.add_router("", area.router)

urlpatterns = [path("api/v1/", api.urls), path("", include("config.urls"))]
