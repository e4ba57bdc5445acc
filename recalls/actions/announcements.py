"""Drafting what the public will be told. Publishing takes another person (``campaigns.announce``)."""

from __future__ import annotations

import datetime
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import URLValidator
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from recalls.access import require_side
from recalls.actions.moves import one_at_a_time, turn_page, write_step
from recalls.channels import channel_for
from recalls.errors import DrillStaysInside
from recalls.law import regime
from recalls.models import Campaign, NoticePicture, Publication, PublicationProof, PublicNotice, ScopeVersion
from recalls.scope import latest_scope
from recalls.through import through_of
from trace.actor import Actor
from trace.among import among
from trace.errors import Clash, Invalid, NotFound
from trace.event_templates import templates
from trace.models import EventItem, Lot, Organisation, Product, StoredFile, Transfer
from trace.personal import reveal, seal
from trace.text import clean_text


@dataclass(frozen=True)
class Announcement:
    """The four groups of article 16 as a person fills them in; the goods come from the scope."""

    producer: str
    address: str
    legal_representative: str
    person_in_charge: str
    phone: str
    reason: str
    risk: str
    begins_on: datetime.date
    area: str
    duties: str
    what_to_do: str
    compensation: str
    email: str = ""
    ends_on: datetime.date | None = None
    identify: str = ""


MOST_PICTURES = 6


@dataclass(frozen=True)
class Shown:
    """A picture for the public: the stored file and what it shows."""

    file: StoredFile
    caption: str = ""


_LENGTHS = {
    "producer": 120,
    "address": 200,
    "phone": 40,
    "reason": 500,
    "risk": 500,
    "area": 200,
    "duties": 500,
    "what_to_do": 500,
    "compensation": 500,
}


@transaction.atomic
def draft_notice(
    *,
    by: Actor,
    campaign: Campaign,
    announcement: Announcement,
    kind: str = PublicNotice.Kind.ANNOUNCEMENT,
    pictures: Sequence[Shown] = (),
    keep: Collection[int] | None = None,
    at: datetime.datetime | None = None,
) -> PublicNotice:
    """Write the next version of the announcement, not yet published. Each change is a version of its own.

    Pictures of the version before stay (with ``keep`` those of these numbers), ``pictures`` come after them; at most
    six, all pictures (``too_many_pictures``, ``file_type``), of the drafting organisation (``not_found``).

    Refuses a drill (``drill_stays_inside``), a campaign without scope (``guard_scope``) or ended (``no_such_step``),
    empty items (``required``; where the rule lists the contents, as the 2015 Measures do in article 16, also
    ``end_required`` and ``email_required``), an end before the beginning (``ends_before_start``).
    """
    now = at or timezone.now()
    require_side(by, campaign)
    if campaign.is_drill:
        raise DrillStaysInside()
    if not campaign.is_open:
        raise Clash(_("召回已经结束。"), code="no_such_step")
    scope = latest_scope(campaign)
    if scope is None:
        raise Clash(_("请先划定召回范围，至少包含一个批次。"), code="guard_scope")
    if kind not in PublicNotice.Kind.values:
        raise Invalid(_("请选择列出的一项。"), code="unknown_choice")
    if announcement.ends_on is not None and announcement.ends_on < announcement.begins_on:
        raise Invalid(_("截止日期早于开始日期，请核对。"), code="ends_before_start")
    if regime(campaign.regime).announcement_items:
        if announcement.ends_on is None:
            raise Invalid(_("召回公告须写明起止日期，请填写截止日期。"), code="end_required")
        if not announcement.email.strip():
            raise Invalid(_("召回公告须写明电子邮箱。"), code="email_required")
    texts: dict[str, Any] = {
        name: clean_text(getattr(announcement, name), length, multiline=length > 200, required=True)
        for name, length in _LENGTHS.items()
    }
    people = {
        "legal_representative": clean_text(announcement.legal_representative, 60, required=True),
        "person_in_charge": clean_text(announcement.person_in_charge, 60, required=True),
    }
    one_at_a_time(campaign)
    last = campaign.public_notices.order_by("-number").first()
    notice = PublicNotice.objects.create(
        campaign=campaign,
        number=last.number + 1 if last else 1,
        kind=kind,
        scope=scope,
        people=seal(
            json.dumps(people, ensure_ascii=False), organisation=campaign.organisation, purpose="recall_public"
        ),
        email=clean_text(announcement.email, 254),
        goods=goods_of(scope),
        identify=clean_text(announcement.identify, 300, multiline=True),
        begins_on=announcement.begins_on,
        ends_on=announcement.ends_on,
        by=by.user,
        by_organisation=by.organisation,
        at=now,
        **texts,
    )
    _show(notice, last, pictures, keep, by)
    write_step(campaign, "draft_notice", by, now, data={"notice": notice.number})
    turn_page(campaign)
    return notice


def _show(
    notice: PublicNotice,
    last: PublicNotice | None,
    pictures: Sequence[Shown],
    keep: Collection[int] | None,
    by: Actor,
) -> None:
    """Write the pictures of a version: those kept from the one before, then the new ones."""
    old = last.pictures.select_related("file").order_by("number") if last is not None else []
    shown = [Shown(one.file, one.caption) for one in old if keep is None or one.number in keep]
    for new in pictures:
        if new.file.organisation_id != by.owner.pk:
            raise NotFound(_("没有找到，或者您无权查看。"))
        if new.file.media_type != "image/jpeg":
            raise Invalid(_("公告里只能放照片，不能放 PDF。"), code="file_type")
    shown += pictures
    if len(shown) > MOST_PICTURES:
        raise Invalid(_("最多放 %(most)s 张照片。") % {"most": MOST_PICTURES}, code="too_many_pictures")
    NoticePicture.objects.bulk_create(
        [
            NoticePicture(
                notice=notice,
                number=number,
                file=one.file,
                sha256=one.file.sha256,
                caption=clean_text(one.caption, 120),
            )
            for number, one in enumerate(shown, 1)
        ]
    )


def goods_of(scope: ScopeVersion) -> list[dict[str, Any]]:
    """The goods of a scope as the public can recognise them: per product name, trade mark, specification, its lots with
    dates.

    ``units`` are the unit numbers (ranges) where only part of a lot is covered, ``through`` names the trader where only
    what passed through its hands is. Finished goods, and what else went to a retailer or was sold to consumers (nuts
    and grain by weight): what never left a factory as such is not for the public. All, where there are none of these.
    """
    lots = Lot.objects.filter(scope_lots__scope=scope).select_related("product", "product_version", "organisation")
    rows = list(lots.order_by("product_version", "lot_code", "id"))
    parts = dict(scope.lots.exclude(part={}).values_list("lot", "part"))
    trader = through_of(scope)
    over_the_counter = _sold_loose([lot.pk for lot in rows if lot.product.kind != Product.Kind.FINISHED])
    public = [lot for lot in rows if lot.product.kind == Product.Kind.FINISHED or lot.pk in over_the_counter]
    grouped: dict[int, dict[str, Any]] = {}
    for lot in public or rows:
        version = lot.product_version
        goods = grouped.setdefault(
            version.pk,
            {
                "name": version.name,
                "name_en": version.name_en,
                "brand": version.brand,
                "spec": version.spec,
                "gtin": lot.product.gtin or "",
                "maker": lot.organisation.name,
                "lots": [],
            },
        )
        goods["lots"].append(
            {
                "code": lot.code,
                "produced_on": lot.produced_on.isoformat() if lot.produced_on else "",
                "expires_on": lot.expires_on.isoformat() if lot.expires_on else "",
                **({"units": parts[lot.pk]["ranges"]} if parts.get(lot.pk, {}).get("ranges") else {}),
                **({"through": trader.name} if trader is not None and "through" in parts.get(lot.pk, {}) else {}),
            }
        )
    return list(grouped.values())


def _sold_loose(lots: Sequence[int]) -> set[int]:
    """Those of these lots that a retailer got or that were sold to consumers."""
    if not lots:
        return set()
    sent = Transfer.objects.filter(among("lot", lots), voided_by=None, receiver__kind=Organisation.Kind.RETAILER)
    selling = [code for code, one in templates().items() if one.moves == "retail"]
    sold = EventItem.objects.filter(
        among("lot", lots), event__template__in=selling, event__corrections__isnull=True, event__corrects=None
    )
    return {pk for rows in (sent, sold) for pk in rows.order_by().values_list("lot", flat=True).distinct() if pk}


def people_of(notice: PublicNotice) -> dict[str, str]:
    """The names on an announcement; empty where they were forgotten."""
    words = reveal(notice.people)
    return dict(json.loads(words)) if words else {"legal_representative": "", "person_in_charge": ""}


@transaction.atomic
def prove_publication(
    *,
    by: Actor,
    publication: Publication,
    site: str,
    url: str = "",
    file: StoredFile | None = None,
    seen_at: datetime.datetime,
    at: datetime.datetime | None = None,
) -> PublicationProof:
    """Write down that an announcement was seen at one place: its address (https or http) or a picture of it.

    By who may prepare steps of the campaign. Refuses an unknown place (``unknown_choice``), neither address nor picture
    (``proof_required``), an address that is none (``url_wrong``), a time in the future (``in_future``).
    """
    now = at or timezone.now()
    campaign = publication.notice.campaign
    require_side(by, campaign)
    channel = channel_for(campaign)
    if channel is None or site not in {one.key for one in channel.sites}:
        raise Invalid(_("请选择列出的一项。"), code="unknown_choice")
    address = clean_text(url, 300)
    if not address and file is None:
        raise Invalid(_("请填写网址，或上传截图。"), code="proof_required")
    if address:
        try:
            URLValidator(schemes=["https", "http"])(address)
        except ValidationError as problem:
            raise Invalid(_("这不是网址，请从 https:// 开始填写。"), code="url_wrong") from problem
    if seen_at > now:
        raise Invalid(_("时间在将来，请核对日期和时间。"), code="in_future")
    return PublicationProof.objects.create(
        publication=publication,
        site=site,
        url=address,
        file=file,
        sha256=file.sha256 if file else "",
        seen_at=seen_at,
        by=by.user,
        by_organisation=by.organisation,
        at=now,
    )
