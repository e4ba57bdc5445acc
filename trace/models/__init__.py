"""The data of trace: what happened to goods, and who and what they belong to."""

from trace.models.crossing import DifferenceAnswer, LotClaim, LotClaimStep, OldCode, Reminder
from trace.models.epcis import (
    CaptureJob,
    EpcisContent,
    EpcisEvent,
    EpcisHead,
    EpcisMaster,
    EpcisName,
    EpcisQuery,
    EpcisSeen,
    EpcisSubscription,
    EpcisTerm,
)
from trace.models.events import (
    Conflict,
    Event,
    EventItem,
    LogEntry,
    LogHead,
    PersonalRecord,
    StoredFile,
)
from trace.models.evidence import Certificate, ReportAnswer, TestReport, TestResult
from trace.models.field import Device, FieldEntry
from trace.models.holds import HoldMember, HoldRelease, HoldSet, HoldStep
from trace.models.imports import SheetImport
from trace.models.lots import IssuedCodes, Lot, LotAlias, LotLink, PackPlan, PackSeries, Shipment, Stock, Transfer, Unit
from trace.models.organisations import Division, EditLog, Licence, Organisation, OrganisationStep, Place
from trace.models.people import ApiKey, Invitation, Membership, User
from trace.models.products import Limit, LimitVersion, Product, ProductVersion, Standard
from trace.models.requests import IdempotencyRecord
from trace.models.search import NameTerm

__all__ = [
    "ApiKey",
    "CaptureJob",
    "Certificate",
    "Conflict",
    "Device",
    "DifferenceAnswer",
    "Division",
    "EditLog",
    "EpcisContent",
    "EpcisEvent",
    "EpcisHead",
    "EpcisMaster",
    "EpcisName",
    "EpcisQuery",
    "EpcisSeen",
    "EpcisSubscription",
    "EpcisTerm",
    "Event",
    "EventItem",
    "FieldEntry",
    "HoldMember",
    "HoldRelease",
    "HoldSet",
    "HoldStep",
    "IdempotencyRecord",
    "Invitation",
    "IssuedCodes",
    "Licence",
    "Limit",
    "LimitVersion",
    "LogEntry",
    "LogHead",
    "Lot",
    "LotAlias",
    "LotClaim",
    "LotClaimStep",
    "LotLink",
    "Membership",
    "NameTerm",
    "OldCode",
    "Organisation",
    "OrganisationStep",
    "PackPlan",
    "PackSeries",
    "PersonalRecord",
    "Place",
    "Product",
    "ProductVersion",
    "Reminder",
    "ReportAnswer",
    "SheetImport",
    "Shipment",
    "Standard",
    "Stock",
    "StoredFile",
    "TestReport",
    "TestResult",
    "Transfer",
    "Unit",
    "User",
]
