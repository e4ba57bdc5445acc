"""Labels on the shelf, scans of them, a recall that is closed and one that is open."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from desk.demo.cast import outsider
from desk.demo.stage import LATER, Stage
from labels.actions.commitments import issue_commitment
from labels.actions.runs import issue_codes, record_print
from labels.actions.scans import count_scan
from labels.actions.sets import issue_packed
from labels.layouts import DEFAULT_SHEET
from labels.models import CodeRun
from labels.nonces import sign
from recalls.access import notice_link
from recalls.actions.acts import issue_act, report_defect
from recalls.actions.announcements import Announcement, draft_notice
from recalls.actions.answers import LotAnswer, acknowledge, acknowledge_by_link, answer_stock, answer_stock_by_link
from recalls.actions.assessment import Finding, Standing, assess
from recalls.actions.campaigns import (
    announce,
    close,
    decide,
    evaluate,
    file_plan,
    finish_collecting,
    finish_disposal,
    start_campaign,
    summarise,
)
from recalls.actions.drills import (
    add_gap,
    ask_contacts,
    confirm_contact,
    contact_link,
    finish_drill,
    start_drill,
    trace_drill,
)
from recalls.actions.goods import GoodsLine, destroy, receive_return
from recalls.actions.packs import order_pack
from recalls.actions.papers import make_drill_report, make_paper
from recalls.actions.scopes import freeze_scope
from recalls.actions.signals import raise_signal
from recalls.actions.tree import Customer, pass_on_by_link
from recalls.channels import channel_for
from recalls.law import regime
from recalls.models import Campaign, Notice, Signal
from recalls.scope import Question
from trace.actions.events import When
from trace.actions.evidence import ResultEntry, answer_report
from trace.actions.pack_shipments import ship_packs
from trace.actions.packs import pack_units
from trace.actions.registry import CertificateInput, grant_certificate
from trace.models import Certificate, Lot, Organisation, Stock, Unit
from trace.report_questions import waiting_for_answer
from trace.units import decimal_text, parse_amount


def build_labels(stage: Stage) -> None:
    """Unit codes and lot labels for what is on sale, certificates, and some scans."""
    for by, lot, count, kind in (
        ("distillery", "bottled_new", 120, CodeRun.Kind.UNIT),
        ("distillery", "bottled_light", 60, CodeRun.Kind.UNIT),
        ("distillery", "bottled_old", 48, CodeRun.Kind.UNIT),
        ("walnuts", "pouch_1", 96, CodeRun.Kind.UNIT),
        ("walnuts", "in_shell_1", 1, CodeRun.Kind.LOT),
        ("dates", "date_walnut_1", 72, CodeRun.Kind.UNIT),
        ("mill", "millet_bags", 1, CodeRun.Kind.LOT),
        *(("furniture", f"table_{number}", 1, CodeRun.Kind.UNIT) for number in range(1, 7)),
    ):
        row = stage.lots[lot]
        released = row.released_by.occurred_at if row.released_by else row.begun_at
        when = When(released + LATER)
        scratched = lot == "bottled_light"
        run = issue_codes(
            by=stage.actors[by],
            lot=row,
            count=count,
            key=f"demo-{lot}",
            kind=kind,
            layout="roll-60x40" if scratched else DEFAULT_SHEET,
            checks=scratched,
            when=when,
            at=when.at + LATER,
        )
        record_print(by=stage.actors[by], run=run, first=1, last=count, at=when.at + LATER)
    _cartons(stage)
    _certificates(stage)
    _laboratory(stage)
    _commitment(stage)
    _scans(stage)


def _cartons(stage: Stage) -> None:
    """A later run of the same bottling, with its cartons: two are packed, by their own labels alone."""
    row, by = stage.lots["bottled_new"], stage.actors["distillery"]
    when = stage.ago(28)
    issue_packed(by=by, lot=row, count=60, key="demo-cartons", per_carton=6, per_pallet=5, when=when, at=when.at)
    cartons = CodeRun.objects.get(organisation=row.organisation, key="demo-cartons/carton")
    record_print(by=by, run=cartons, first=1, last=cartons.count, at=when.at + LATER)
    for unit in Unit.objects.filter(run=cartons.uid).order_by("number")[:2]:
        pack_units(by=by, parent=unit.code, children=[], when=stage.ago(27), at=stage.ago(27).at + LATER)


def _laboratory(stage: Stage) -> None:
    """The laboratory confirms most reports in its name; the newest wait for its word."""
    waiting = list(waiting_for_answer(stage.actors["lab"].organisation))
    for report in waiting[2:]:
        answer_report(by=stage.actors["lab"], report=report, answer="confirmed", at=report.event.recorded_at + LATER)


def _commitment(stage: Stage) -> None:
    """One grower pledged for its harvest before delivering it."""
    lot = Lot.objects.filter(product__track="farm_produce", voided_by=None).order_by("id").first()
    grower = next((each for each in stage.actors.values() if lot and each.owner.pk == lot.organisation_id), None)
    if lot is None or grower is None:
        return
    unit = lot.product.base_unit
    amount = parse_amount(decimal_text(lot.made_micros), unit, unit)
    issue_commitment(by=grower, lot=lot, amount=amount, bases=["control"], pledged=True, at=lot.begun_at + LATER)


def _certificates(stage: Stage) -> None:
    """Granted by the county, never self-asserted: one in force, one about to lapse."""
    for key, product, kind, number, until in (
        ("walnuts", "in_shell", Certificate.Kind.GI_USE, "示例地标用 2026-01", 400),
        ("mill", "millet_bag", Certificate.Kind.GREEN, "示例绿字 2025-18", 20),
    ):
        grant_certificate(
            organisation=stage.actors[key].organisation,
            certificate=CertificateInput(
                kind=kind,
                number=number,
                valid_from=stage.today - datetime.timedelta(days=300),
                valid_until=stage.today + datetime.timedelta(days=until),
                product=stage.products[product],
            ),
            by=stage.actors["county"],
            at=stage.ago(300).at,
        )


def _scans(stage: Stage) -> None:
    """Views of labels by people, some of the same bottle several times."""
    for lot, numbers in (("bottled_new", (1, 1, 2, 5, 9, 9, 9)), ("pouch_1", (3, 4, 4, 8)), ("date_walnut_1", (2, 6))):
        units = list(Unit.objects.filter(lot=stage.lots[lot]).order_by("number")[:20])
        for step, number in enumerate(numbers):
            count_scan(word=sign(units[number].code), at=stage.ago(18 - step, 12 + step % 8).at)


def build_closed_recall(stage: Stage) -> None:
    """A year ago a bottling said a wrong strength on its box: level 3, everything found again, closed with numbers."""
    by = stage.actors
    lot = stage.lots["bottled_old"]
    knew = stage.ago(372, 9)
    signal = raise_signal(
        source=Signal.Source.SELF_CHECK,
        text="抽查发现纸盒酒精度标注与瓶标不一致（示例）。",
        by=by["distillery_quality"],
        lot=lot,
        at=knew.at,
    )
    campaign = assess(
        by=by["distillery_quality"],
        organisation=by["distillery"].organisation,
        track="food",
        title="示例清香白酒 53%vol 纸盒标签标注错误",
        knew_at=knew.at,
        finding=Finding(
            hazard="labelling",
            severity="none",
            probability="likely",
            verdict="recall",
            basis="纸盒酒精度误印，瓶标正确，不影响饮用安全（示例）。",
            level=3,
        ),
        signals=[signal],
        at=stage.ago(372, 11).at,
    )
    _run(
        stage,
        campaign,
        by["distillery_quality"],
        by["distillery"],
        Question.of([lot]),
        stage.ago(372, 14),
        "distillery",
    )
    _answer_all(stage, campaign, stage.ago(369), returned=True)
    piece = stage.amount("1200", stage.products["b53"])
    destroy(
        by=by["distillery"],
        campaign=campaign,
        lines=[GoodsLine(lot, piece)],
        when=stage.ago(352, 10),
        method="destroy",
        place="示例处理厂",
        witness=by["county"].organisation,
        announced_at=stage.ago(354).at,
        at=stage.ago(352, 12).at,
    )
    campaign.refresh_from_db()
    finish_collecting(
        by=by["distillery_quality"], campaign=campaign, reason="各持有单位均已反馈（示例）", at=stage.ago(350).at
    )
    campaign.refresh_from_db()
    finish_disposal(
        by=by["distillery_quality"],
        campaign=campaign,
        reason="其余更换纸盒后封存（示例）",
        at=stage.ago(349).at,
    )
    campaign.refresh_from_db()
    summarise(
        by=by["distillery_quality"],
        campaign=campaign,
        summary="已通知全部持有单位，收回产品部分销毁，其余封存。纸盒供方已更换（示例）。",
        explanation="已售给消费者的部分无法逐瓶收回（示例）。",
        at=stage.ago(345).at,
    )
    campaign.refresh_from_db()
    # Who judges is the authority or above it: by the rule of 2026 the province, for a firm the prefecture licensed.
    judge = "province" if campaign.authority == by["province"].organisation else "prefecture"
    evaluate(by=by[judge], campaign=campaign, at=stage.ago(343).at)
    campaign.refresh_from_db()
    close(by=by[f"{judge}_approver"], campaign=campaign, reason="召回效果符合要求（示例）", at=stage.ago(341).at)
    campaign.refresh_from_db()
    order_pack(by=by[judge], campaign=campaign)  # the worker makes it once the demonstration runs


def build_open_recall(stage: Stage) -> None:
    """The regulator's sample of the kernel pouches holds too much aflatoxin B1: the recall is running."""
    by = stage.actors
    lot = stage.lots["pouch_1"]
    report = stage.test(
        "sampling",
        "county",
        stage.ago(2, 9),
        "pouch_1",
        "示例监抽 2026-0711",
        purpose="监督抽查",
        results=[
            ResultEntry(
                "afb1",
                "黄曲霉毒素B1",
                "7.2",
                unit="μg/kg",
                limit_operator="<=",
                limit_value="5.0",
                limit_source="GB 2761-2017",
                method="GB 5009.22",
                name_en="Aflatoxin B1",
            ),
        ],
    )
    signal = raise_signal(
        source=Signal.Source.SAMPLING,
        text="监督抽检：黄曲霉毒素B1 7.2 μg/kg，限量 5.0 μg/kg（示例）。",
        by=by["county"],
        lot=lot,
        report=report,
        at=stage.ago(2, 14).at,
    )
    campaign = assess(
        by=by["walnuts_quality"],
        organisation=by["walnuts"].organisation,
        track="food",
        title="示例核桃仁黄曲霉毒素B1 超标",
        knew_at=stage.ago(2, 15).at,
        finding=Finding(
            hazard="toxin",
            severity="general",
            probability="possible",
            verdict="recall",
            basis="监督抽检不合格；同一分级批次的核桃可能同样受影响（示例）。",
            level=2,
        ),
        signals=[signal],
        at=stage.ago(2, 17).at,
    )
    question = Question.of([lot], [stage.lots["dried_1"]], same_gear=True)
    _run(stage, campaign, by["walnuts_quality"], by["walnuts"], question, stage.ago(1, 9), "walnuts")
    _answer_all(stage, campaign, stage.ago(0, 8), only={"示例便民商店", "汾阳示例枣夹核桃食品有限公司"})
    _papers(stage, campaign)
    outside = campaign.notices.filter(organisation__status=Organisation.Status.EXTERNAL).order_by("id").first()
    if outside is not None:
        pass_on_by_link(
            token=notice_link(outside),
            name="示例店主",
            customers=[Customer("示例小卖部", phone="13900000000"), Customer("示例面馆", address="示例街 5 号")],
            at=stage.ago(0, 8, 30).at,
        )


def _papers(stage: Stage, campaign: Campaign) -> None:
    """The open recall's plan, documents, and a requirement of the county."""
    by = stage.actors
    items = {item.key: f"{item.label.zh}：见公告和范围（示例）" for item in regime(campaign.regime).plan_items}
    campaign.refresh_from_db()
    at = stage.ago(0, 8, 45).at
    file_plan(by=by["walnuts"], campaign=campaign, items=items or {"plan": "范围、措施、时限见公告（示例）"}, at=at)
    issue_act(
        by=by["county"],
        campaign=campaign,
        kind="ask_report",
        number="汾市监示例报〔2026〕1号",
        served_at=at,
        content="每两个工作日报告一次收回数量（示例）",
        at=at,
    )
    for kind in ("stop", "plan", "announcement"):
        make_paper(by=by["walnuts_quality"], campaign=campaign, kind=kind, at=at)


def build_furniture_recall(stage: Stage) -> None:
    """Tables that tip over when a child climbs on them: consumer products sold into two provinces, planned, announced,
    and waiting for the holders.
    """
    by = stage.actors
    lots = [stage.lots[f"table_{number}"] for number in range(1, 6)]
    signal = raise_signal(
        source=Signal.Source.INCIDENT,
        text="消费者反映：儿童攀爬时餐桌倾倒，手臂擦伤（示例）。",
        by=by["furniture_quality"],
        lot=lots[0],
        at=stage.ago(6, 10).at,
    )
    campaign = assess(
        by=by["furniture_quality"],
        organisation=by["furniture"].organisation,
        track="consumer_product",
        title="示例核桃木餐桌 受力倾倒",
        knew_at=stage.ago(6, 11).at,
        finding=Finding(
            hazard="tip_over",
            severity="serious",
            probability="possible",
            verdict="recall",
            basis="复测：桌面边缘受力时倾翻，同一批部件制成的 5 张桌子均可能受影响（示例）。",
            population="儿童",
        ),
        signals=[signal],
        at=stage.ago(6, 15).at,
    )
    report_defect(
        by=by["furniture_quality"],
        campaign=campaign,
        reported_at=stage.ago(6, 16).at,
        words="已向省局书面报告缺陷和事故情况（示例）。",
        number="示例受理 2026-31",
        at=stage.ago(6, 16, 30).at,
    )
    _run(
        stage,
        campaign,
        by["furniture_quality"],
        by["furniture"],
        Question.of(lots, same_run=False),
        stage.ago(4, 9),
        "furniture",
    )


def build_traders_recall(stage: Stage) -> None:
    """Millet got damp in the trader's store: it recalls what went through its hands. The mill and the mill's other
    buyer are not concerned. Of the coded bags one went to the shop and one through the trader by its code; of the rest
    nobody can tell.
    """
    by = stage.actors
    lot = stage.lots["millet_bags"]
    printed = stage.season(21, 8)
    run = issue_codes(
        by=by["mill"], lot=lot, count=24, key="demo-millet_bags-units", when=printed, at=printed.at + LATER
    )
    record_print(by=by["mill"], run=run, first=1, last=24, at=printed.at + LATER)
    units = list(Unit.objects.filter(run=run.uid).order_by("number"))
    sent, gone = stage.season(26), stage.season(28)
    shop, chain = by["shop"].organisation, outsider(stage, "distributor", "太原示例粮油店", "retailer", "140100")
    ship_packs(by=by["mill"], receiver=shop, packs=[units[0].code], when=sent, at=sent.at + LATER)
    slip = ship_packs(by=by["distributor"], receiver=chain, packs=[units[9].code], when=gone, at=gone.at + LATER)
    stage.shipments["millet_chain_unit"] = slip
    stage.ship("millet_chain", "distributor", gone, chain, [("millet_bags", "30 箱")])
    stage.receive("millet_chain", "", stage.season(29))
    knew = stage.ago(3, 9)
    signal = raise_signal(
        source=Signal.Source.SELF_CHECK,
        text="太原仓库顶棚漏水，小米受潮结块（示例）。",
        by=by["distributor_quality"],
        lot=lot,
        at=knew.at,
    )
    campaign = assess(
        by=by["distributor_quality"],
        organisation=by["distributor"].organisation,
        track="food",
        title="示例小米 仓库受潮",
        knew_at=knew.at,
        finding=Finding(
            hazard="microbe",
            severity="general",
            probability="possible",
            verdict="recall",
            basis="受潮的货已在本单位仓库存放，生产者留样正常（示例）。",
            level=2,
        ),
        signals=[signal],
        standing=Standing("trader", "own_fault", "仓库漏水记录和照片（示例）"),
        at=stage.ago(3, 11).at,
    )
    question = Question.of([lot], through=by["distributor"].organisation)
    _run(stage, campaign, by["distributor_quality"], by["distributor"], question, stage.ago(2, 9), "distributor")
    for kind in ("stop", "announcement"):
        make_paper(by=by["distributor_quality"], campaign=campaign, kind=kind, at=stage.ago(1, 9).at)


def build_drill(stage: Stage) -> None:
    """The distillery has rehearsed: drawn by a seed, traced both ways, one gap open; the others have not."""
    by = stage.actors["distillery"]
    began = stage.ago(20, 9).at
    drill = start_drill(by=by, seed="示例种子 07 12 23", at=began)
    trace_drill(by=by, drill=drill)
    for test in ask_contacts(by=by, drill=drill, at=began)[:3]:
        confirm_contact(token=contact_link(test).rpartition("/")[2], at=stage.ago(20, 11).at)
    add_gap(
        by=by,
        drill=drill,
        gap="有客户没有登记邮箱（示例）",
        action="发货前补登记邮箱或手机",
        responsible="销售负责人",
        due_on=stage.ago(-30, 9).at.date(),
    )
    drill = finish_drill(by=by, drill=drill, summary="来源、去向都在时限内查清（示例）。", at=stage.ago(20, 11, 30).at)
    make_drill_report(by=by, drill=drill, at=stage.ago(20, 12).at)


def _run(
    stage: Stage, campaign: Campaign, quality: object, owner: object, question: Question, when: When, firm: str
) -> None:
    """Scope, decision by a second person, start, announcement drafted by one and published by another."""
    by = stage.actors
    hour = datetime.timedelta(hours=1)
    freeze_scope(by=by[f"{firm}_quality"], campaign=campaign, question=question, at=when.at)
    campaign.refresh_from_db()
    decide(by=by[firm], campaign=campaign, at=when.at + hour)
    campaign.refresh_from_db()
    start_campaign(by=by[firm], campaign=campaign, stop_order=True, at=when.at + 2 * hour)
    campaign.refresh_from_db()
    goods = campaign.track == "consumer_product"
    if goods:
        file_plan(by=by[f"{firm}_quality"], campaign=campaign, items=_plan(campaign), at=when.at + 2 * hour)
        campaign.refresh_from_db()
    organisation = campaign.organisation
    draft_notice(
        by=by[f"{firm}_quality"],
        campaign=campaign,
        announcement=Announcement(
            producer=organisation.name,
            address=f"山西省吕梁市汾阳市{organisation.address}",
            legal_representative="示例法人",
            person_in_charge=organisation.recall_contact_name,
            phone=organisation.recall_contact_phone,
            email=organisation.recall_contact_email,
            reason=campaign.title,
            risk=_risk(campaign),
            begins_on=(when.at + 3 * hour).date(),
            ends_on=(when.at + datetime.timedelta(days=28)).date(),
            area="山西、陕西（示例）" if goods else "山西、北京、上海、陕西、河南等销售地区（示例）",
            duties="立即停止销售、封存库存，并在 24 小时内通过通知中的链接反馈库存（示例）。",
            what_to_do="请立即停用并靠墙放置，不要让儿童靠近；来电预约，免费上门加装防倾装置（示例）。"
            if goods
            else "停止使用，凭实物或照片到购买处退货（示例）。",
            compensation="免费加装或退货退款，上门和运输费用由生产者承担（示例）。"
            if goods
            else f"全额退款，邮寄费用由{'本单位' if campaign.own_fault else '生产者'}承担（示例）。",
            identify="批号与二维码在包装背面；扫码即可看到是否在召回范围内。",
        ),
        at=when.at + 3 * hour,
    )
    campaign.refresh_from_db()
    channel = channel_for(campaign)
    announce(
        by=by[firm],
        campaign=campaign,
        channel="本系统公告栏与企业网站（示例）",
        sites=[*channel.needed, "own_site"] if channel else None,
        at=when.at + 4 * hour,
    )
    campaign.refresh_from_db()


def _risk(campaign: Campaign) -> str:
    """What may happen, in plain words."""
    if campaign.track == "consumer_product":
        return "桌面边缘受力时桌子可能倾倒，压伤或砸伤人，儿童尤其危险（示例）。"
    if campaign.level == 3:
        return "不影响饮用安全，标签标注有误（示例）。"
    return "请勿食用；已食用且感到不适的，请就医并保留包装（示例）。"


def _plan(campaign: Campaign) -> dict[str, str]:
    """Every item the regime asks for, in a line each."""
    said = {
        "scope": "2026 年制成的 5 张餐桌，追溯码见召回范围（示例）。",
        "defect": "桌面边缘受力时倾翻（示例）。",
        "measures": "停止生产和销售；上门加装防倾装置，或退货退款（示例）。",
    }
    items = regime(campaign.regime).plan_items
    return {item.key: said.get(item.key, f"{item.label}：按企业召回制度执行（示例）。") for item in items} or {
        "plan": " ".join(said.values())
    }


def _answer_all(
    stage: Stage, campaign: Campaign, when: When, *, only: set[str] | None = None, returned: bool = False
) -> None:
    """Holders confirm and say what they have, by account where they have one, else by the letter's link."""
    accounts = {actor.organisation.pk: actor for key, actor in stage.actors.items() if "_" not in key}
    for notice in campaign.notices.select_related("organisation").order_by("id"):
        holder = notice.organisation
        if only is not None and holder.name not in only:
            continue
        actor = accounts.get(holder.pk)
        lots = _stock_answers(notice, holder)
        if actor is not None:
            acknowledge(by=actor, notice=notice, at=when.at)
            answer_stock(by=actor, notice=notice, lots=lots, at=when.at + LATER)
        else:
            token = notice_link(notice)
            acknowledge_by_link(token=token, name="示例联系人", at=when.at)
            answer_stock_by_link(token=token, name="示例联系人", lots=lots, at=when.at + LATER)
        if returned and holder.pk != campaign.organisation_id:
            _send_back(stage, campaign, holder, lots, When(when.at + datetime.timedelta(days=8)))


def _stock_answers(notice: Notice, holder: Organisation) -> list[LotAnswer]:
    """What the holder says of each lot it was asked about: what is on its shelf by record, the rest sold."""
    answers = []
    for holding in notice.lots.select_related("lot"):
        there = sum(Stock.objects.filter(lot=holding.lot, organisation=holder).values_list("micros", flat=True))
        there = max(there, 0)
        answers.append(LotAnswer(holding.lot, on_hand=there, sealed=there, sold=0, unknown=0))
    return answers


def _send_back(stage: Stage, campaign: Campaign, holder: Organisation, lots: Sequence[LotAnswer], when: When) -> None:
    """Everything sealed goes back to the maker."""
    from trace.units import decimal_text, parse_amount

    maker = next(actor for actor in stage.actors.values() if actor.organisation.pk == campaign.organisation_id)
    lines = [
        GoodsLine(answer.lot, parse_amount(decimal_text(answer.sealed), _unit(answer.lot), _unit(answer.lot)))
        for answer in lots
        if answer.sealed
    ]
    if lines:
        receive_return(by=maker, campaign=campaign, organisation=holder, lines=lines, when=when, at=when.at + LATER)


def _unit(lot: Lot) -> str:
    """The base unit of the lot's product."""
    return lot.product.base_unit
