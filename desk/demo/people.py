"""Consumers in the demonstration: complaints, a claim, a subscription, a code scanned too far apart, a risk warning."""

from __future__ import annotations

import datetime
import io

from PIL import Image, ImageDraw

from desk.demo.stage import Stage
from labels.actions.scans import count_scan, report_mismatch
from labels.actions.suspicions import examine
from labels.nonces import sign
from labels.places import spot_of
from recalls.actions.cases import Photo, Told, accept, file_claim, reply, settle
from recalls.actions.subscriptions import confirm, subscribe
from recalls.actions.warnings import draft_warning, publish_warning, submit_warning
from recalls.models import Campaign, ConsumerCase
from trace.models import Unit

HOUR = datetime.timedelta(hours=1)


def build_people(stage: Stage) -> None:
    """What consumers told and asked, and what was answered."""
    _complaints(stage)
    _claims(stage)
    _scans(stage)
    _warning(stage)


def _photo() -> Photo:
    """A drawn picture of a label: the demonstration ships no photographs."""
    image = Image.new("RGB", (320, 200), "#f4ecd8")
    draw = ImageDraw.Draw(image)
    draw.rectangle((12, 12, 308, 188), outline="#7a5c2e", width=4)
    draw.text((30, 80), "DEMO LABEL 2025-08", fill="#402a10")
    out = io.BytesIO()
    image.save(out, "JPEG")
    out.seek(0)
    return Photo("label.jpg", out)


def _complaints(stage: Stage) -> None:
    """One answered, one new, one that nobody answered in time."""
    units = list(Unit.objects.filter(lot=stage.lots["bottled_new"]).order_by("number")[:30])
    answered = report_mismatch(
        word=sign(units[4].code),
        what="dates",
        fact="生产日期",
        told=Told(words="瓶身喷码比页面早一天（示例）。", photos=[_photo()]),
        at=stage.ago(9, 10).at,
    )
    case = ConsumerCase.objects.get(number=answered.number)
    reply(
        by=stage.actors["distillery_quality"],
        case=case,
        words="喷码机当日未换班次日期，已更正；批次和检验结果无误（示例）。",
        at=stage.ago(7, 15).at,
    )
    report_mismatch(
        word=sign(units[9].code),
        what="quality",
        told=Told(words="开瓶有异味（示例）。", contact="consumer@example.org", consent=True, shop="示例便民商店"),
        at=stage.ago(12, 9).at,
    )
    report_mismatch(
        word=sign(units[9].code), what="copied", told=Told(words="同一个码见过两瓶（示例）。"), at=stage.ago(1, 20).at
    )


def _claims(stage: Stage) -> None:
    """Two claims in the running recall, one of them paid in advance by the shop; and who wants to hear of recalls."""
    campaign = Campaign.objects.filter(is_drill=False, announced_at__isnull=False).order_by("-id").first()
    if campaign is None:
        return
    campaign.refresh_from_db()
    lot = stage.lots["pouch_1"]
    units = list(Unit.objects.filter(lot=lot).order_by("number")[:12])
    owner = stage.actors["walnuts_quality"]
    first = file_claim(
        nonce="demo-claim-1",
        campaign=campaign,
        code=units[3].code,
        remedy="refund",
        pieces=1,
        price_cents=3980,
        told=Told(shop="示例便民商店", photos=[_photo()]),
        at=stage.ago(0, 9).at,
    )
    accept(by=owner, case=first, words="请凭实物到购买处退款（示例）。", at=stage.ago(0, 9).at + HOUR / 2)
    settle(
        by=owner,
        case=first,
        payer="advance",
        payer_name="示例便民商店",
        paid_cents=3980,
        words="门店已先行退款（示例）。",
        at=stage.ago(0, 10).at,
    )
    file_claim(
        nonce="demo-claim-2",
        campaign=campaign,
        code=units[3].code,
        remedy="refund",
        pieces=6,
        told=Told(words="买了六袋（示例）。"),
        at=stage.ago(0, 10).at + HOUR / 2,
    )
    row = subscribe(
        nonce="demo-subscription",
        channel="email",
        address="subscriber@example.org",
        scope="product",
        consent=True,
        product=stage.lots["bottled_new"].product,
        at=stage.ago(20, 10).at,
    )
    confirm(subscription=row, at=stage.ago(20, 11).at)


def _scans(stage: Stage) -> None:
    """One bottle's code, scanned in four cities within a day."""
    unit = Unit.objects.filter(lot=stage.lots["bottled_new"]).order_by("number")[14]
    for step, address in enumerate(("198.51.100.9", "198.51.100.70", "198.51.100.140", "198.51.100.200")):
        place, region = spot_of(address)
        count_scan(word=sign(unit.code), place=place, region=region, address=address, at=stage.ago(3, 9 + 3 * step).at)
    examine(lot_id=unit.lot_id, unit_id=unit.pk, at=stage.ago(2, 8).at)


def _warning(stage: Stage) -> None:
    """The county drafted a warning and submitted it; the province published it."""
    warning = draft_warning(
        by=stage.actors["county"],
        title="示例：不要食用发苦、变色的核桃仁",
        text="霉变核桃仁可能含有黄曲霉毒素（示例）。",
        advice="发现霉变、发苦的请勿食用，保留包装并拨打 12315（示例）。",
        goods="散装和预包装核桃仁（示例）",
        area="山西省（示例）",
        basis="监督抽检结果（示例）",
        at=stage.ago(1, 9).at,
    )
    submit_warning(by=stage.actors["county"], warning=warning)
    approver = stage.actors.get("province_approver")
    if approver is not None:
        publish_warning(by=approver, warning=warning, at=stage.ago(1, 15).at)
