"""GS1's three recall messages as JSON, with the names of its XML standard (Product Recall Notification, Product Removal
Confirmation, Product Recall Closeout Notification). Pure shapes from rows; the reading side is in the API.

Field names follow the published samples; identification is a GDTI where the firm has a GS1 prefix, else our own name.
"""

from __future__ import annotations

from typing import Any

from recalls.asked import still_asked
from recalls.models import Campaign, Notice, ScopeVersion
from recalls.queries import publication_in_force
from recalls.scope import latest_scope, passed_in_force
from trace.models import Lot, Organisation
from trace.units import decimal_text

_STATUS = {"closed": "COMPLETED", "cancelled": "CANCELLED"}


def _party(row: Organisation) -> dict[str, Any]:
    """A party by name, with its registration number where it has one."""
    found: dict[str, Any] = {"organisationName": row.name}
    if row.uscc:
        found["additionalPartyIdentification"] = {"typeCode": "CN_USCC", "value": row.uscc}
    return found


def identification(campaign: Campaign, version: int) -> dict[str, Any]:
    """The name of one version of the notification; the first version's is the original."""
    return {"entityIdentification": f"{campaign.uid}/{version}", "contentOwner": _party(campaign.organisation)}


def _in_force(notice: Notice) -> ScopeVersion:
    """The version that a notice is about now: the one in force. All three messages name the same."""
    return latest_scope(notice.campaign) or notice.scope


def _item(lot: Lot, trader: Organisation | None = None) -> dict[str, Any]:
    """One lot as a trade item; with the trader where only what passed through its hands is recalled."""
    version = lot.product_version
    return {
        **({"onlyThroughParty": _party(trader)} if trader is not None else {}),
        "gtin": lot.product.gtin if lot.product.gtin_claim == "confirmed" else None,
        "tradeItemDescription": version.label,
        "batchNumber": lot.code,
        "productionDate": lot.produced_on.isoformat() if lot.produced_on else None,
    }


def recall_notification(notice: Notice) -> dict[str, Any]:
    """The Product Recall Notification to one recipient."""
    campaign = notice.campaign
    version = _in_force(notice)
    number = version.number
    lots = Lot.objects.filter(pk__in=still_asked(notice.lots.all(), of=notice).values("lot")).select_related(
        "product", "product_version"
    )
    public = publication_in_force(campaign)
    trader, passed = passed_in_force(version)
    return {
        "messageType": "productRecallNotification",
        "pRNIdentification": identification(campaign, number),
        "originalPRNIdentification": identification(campaign, 1),
        "pRNStatusCode": _STATUS.get(campaign.status, "ISSUED"),
        "pRNVersionStatusCode": "INITIAL" if number == 1 else "UPDATE",
        "pRNTitle": campaign.title,
        "incidentRiskLevelCode": f"CLASS_{campaign.level}" if campaign.level else None,
        "recallNumber": campaign.number,
        "productRecallInitiator": {
            **_party(campaign.organisation),
            "contact": {
                "name": campaign.organisation.recall_contact_name,
                "telephone": campaign.organisation.recall_contact_phone,
                "email": campaign.organisation.recall_contact_email,
            },
        },
        "impactedRecipient": {**_party(notice.organisation), "noticeIdentification": str(notice.uid)},
        "productRecallReason": {
            "reasonCode": (campaign.assessments.order_by("-id").values_list("hazard", flat=True).first() or "").upper(),
            "text": public.notice.reason if public else campaign.title,
            "languageCode": "zh",
        },
        "recallActions": ["STOP_SALE", "QUARANTINE", "NOTIFY_CUSTOMERS", "REPORT_STOCK"],
        "recalledTradeItem": [_item(lot, trader if lot.pk in passed else None) for lot in lots.order_by("pk")],
    }


def removal_confirmation(notice: Notice) -> dict[str, Any]:
    """The Product Removal Confirmation that the recipient's last answers amount to."""
    from recalls.actions.answers import latest_answers

    asked = set(still_asked(notice.lots.all()).values_list("lot", flat=True))
    rows = {lot: row for lot, row in latest_answers(notice).items() if lot in asked}
    lots = {lot.pk: lot for lot in Lot.objects.filter(pk__in=rows).select_related("product", "product_version")}
    return {
        "messageType": "productRemovalConfirmation",
        "pRNIdentification": identification(notice.campaign, _in_force(notice).number),
        "noticeIdentification": str(notice.uid),
        "confirmingParty": _party(notice.organisation),
        "removalStatusCode": "COMPLETED" if rows and notice.answered_at else "NOT_STARTED",
        "confirmationDateTime": notice.answered_at.isoformat() if notice.answered_at else None,
        "removedTradeItem": [
            {
                **_item(lots[pk]),
                "quantityOnHand": decimal_text(row.on_hand_micros),
                "quantityRemoved": decimal_text(row.sealed_micros),
                "quantitySold": decimal_text(row.sold_micros),
                "quantityUnknown": decimal_text(row.unknown_micros),
                "measurementUnitCode": lots[pk].product.base_unit,
            }
            for pk, row in sorted(rows.items())
        ],
    }


def closeout_notification(notice: Notice) -> dict[str, Any]:
    """The Product Recall Closeout Notification to one recipient; its status says whether the recall is closed yet."""
    campaign = notice.campaign
    return {
        "messageType": "productRecallCloseoutNotification",
        "pRNIdentification": identification(campaign, _in_force(notice).number),
        "noticeIdentification": str(notice.uid),
        "closeoutStatusCode": _STATUS.get(campaign.status, "OPEN"),
        "closeoutDateTime": campaign.ended_at.isoformat() if campaign.ended_at else None,
        "productRecallInitiator": _party(campaign.organisation),
        "instructions": "Goods set apart must not be sold.",
    }
