"""Three plots to pouches and date-walnuts: the story the aflatoxin finding runs through."""

from __future__ import annotations

from typing import Any

from desk.demo.cast import outsider
from desk.demo.stage import Stage, choice, plus
from trace.actions.evidence import ResultEntry

PLEDGE = "本企业承诺：所售产品符合所标执行标准，信息如有不实，依法承担责任。（示例）"


def build_walnuts(stage: Stage) -> None:
    """From the orchard to the shop shelf, with one receipt nobody has confirmed and one that differed."""
    _registry(stage)
    _orchard(stage)
    _plant(stage)
    _dates(stage)
    _market(stage)


def _registry(stage: Stage) -> None:
    """Plots, halls and products."""
    for key, division, name in (
        ("plot_a", "141182108", "峪道河示例地块"),
        ("plot_b", "141182107", "杨家庄示例地块"),
        ("plot_c", "141182110", "栗家庄示例地块"),
    ):
        grower = f"grower_{key[-1]}"
        stage.place(key, grower, name, "plot", division, facts={"area_mu": "12", "crop": "晋龙1号"})
        stage.product(
            f"green_{key[-1]}",
            grower,
            "QPH",
            track="farm_produce",
            kind="raw",
            family="walnut_fenzhou",
            name="示例青皮核桃",
            name_en="Green-husk walnuts (example)",
        )
    stage.place("walnut_plant", "walnuts", "核桃加工车间", "plant", "141182108", name_en="Walnut processing hall")
    stage.place("dryer", "walnuts", "1号烘干机", "line", "141182108", name_en="Dryer 1")
    stage.place("cold_store", "walnuts", "一号冷库", "store", "141182108", name_en="Cold store 1")
    stage.place("date_plant", "dates", "枣夹核桃车间", "plant", "141182100", name_en="Date-walnut hall")
    stage.place("shop_floor", "shop", "示例便民商店门店", "shop", "141182001", name_en="Example corner shop")
    stage.place("depot", "distributor", "太原示例仓", "store", "140100", name_en="Taiyuan example depot")
    walnut: dict[str, Any] = {"family": "walnut_fenzhou"}
    stage.product(
        "wet_nuts",
        "walnuts",
        "SHT",
        kind="intermediate",
        name="示例湿核桃",
        name_en="Hulled wet walnuts (example)",
        **walnut,
    )
    stage.product(
        "dry_nuts",
        "walnuts",
        "GHT",
        kind="intermediate",
        name="示例干核桃",
        name_en="Dried walnuts (example)",
        **walnut,
    )
    stage.product(
        "sorted_nuts",
        "walnuts",
        "FJHT",
        kind="intermediate",
        name="示例分级核桃",
        name_en="Graded walnuts (example)",
        **walnut,
    )
    stage.product(
        "shells",
        "walnuts",
        "HTK",
        kind="byproduct",
        name="示例核桃壳与次果",
        name_en="Shells and rejects (example)",
        **walnut,
    )
    stage.product(
        "kernels",
        "walnuts",
        "HTR",
        kind="intermediate",
        name="示例核桃仁",
        name_en="Walnut kernels (example)",
        **walnut,
    )
    stage.product(
        "in_shell",
        "walnuts",
        "HT-1000",
        unit="C62",
        gtin="9520000010010",
        name="示例汾州核桃",
        name_en="In-shell walnuts (example)",
        spec="1 kg/袋",
        net_content="1 kg",
        standard="gbt20398_2021",
        grade="特级",
        shelf_life_days=360,
        pledge=PLEDGE,
        gi_claim="汾州核桃",
        licence_number="SC11814999900028",
        ingredients="核桃",
        storage="阴凉干燥",
        packs={"袋": "1", "箱": "10"},
        **walnut,
    )
    stage.product(
        "pouch",
        "walnuts",
        "HTR-500",
        unit="C62",
        gtin="9520000010027",
        name="示例核桃仁",
        name_en="Walnut kernels in pouches (example)",
        spec="500 g/袋",
        net_content="500 g",
        standard="gb19300_2014",
        shelf_life_days=240,
        pledge=PLEDGE,
        licence_number="SC11814999900028",
        ingredients="核桃仁",
        storage="阴凉干燥，开封后冷藏",
        packs={"袋": "1", "箱": "20"},
        **walnut,
    )
    date: dict[str, Any] = {"family": "date_stuffed_walnut"}
    stage.product("dates_raw", "dates", "HZ", kind="raw", name="示例红枣", name_en="Dates (example)", **date)
    stage.product(
        "pitted", "dates", "QHZ", kind="intermediate", name="示例去核枣", name_en="Pitted dates (example)", **date
    )
    stage.product(
        "stuffed",
        "dates",
        "ZJB",
        kind="intermediate",
        name="示例枣夹核桃半成品",
        name_en="Stuffed dates, unpacked (example)",
        **date,
    )
    stage.product(
        "date_walnut",
        "dates",
        "ZJ-250",
        unit="C62",
        gtin="9520000010034",
        name="示例枣夹核桃",
        name_en="Date-stuffed walnuts (example)",
        spec="250 g/袋",
        net_content="250 g",
        standard_text="Q/SLZJ 0001 S-2024（示例企业标准）",
        shelf_life_days=180,
        pledge=PLEDGE,
        licence_number="SC11714999900041",
        ingredients="红枣、核桃仁",
        storage="阴凉干燥",
        packs={"袋": "1", "箱": "24"},
        **date,
    )


def _orchard(stage: Stage) -> None:
    """Registering plots, using inputs, harvesting: entered by the clerk for the growers."""
    for letter, weight, day in (("a", "1800", 0), ("b", "2200", 1), ("c", "2000", 3)):
        by, plot = f"grower_{letter}", f"plot_{letter}"
        uid = str(stage.places[plot].uid)
        stage.step(
            "walnut.register_plot", by, stage.season(-160), place=plot, plot=uid, area_mu="12", variety="晋龙1号"
        )
        stage.step(
            "walnut.input_use",
            by,
            stage.season(-90),
            place=plot,
            input_name="示例有机肥",
            dose="200 千克/亩",
            used_on=stage.season(-90).at.date().isoformat(),
        )
        stage.step(
            "walnut.harvest",
            by,
            stage.season(day, 16),
            place=plot,
            outputs=[(f"harvest_{letter}", f"green_{letter}", weight)],
            harvest_date=stage.season(day).at.date().isoformat(),
            weight=weight,
        )
        stage.ship(
            f"to_plant_{letter}",
            by,
            stage.season(day, 17),
            stage.actors["walnuts"].organisation,
            [(f"harvest_{letter}", weight)],
        )
        stage.receive(f"to_plant_{letter}", "walnuts", stage.season(day, 19), "walnut_plant")


def _plant(stage: Stage) -> None:
    """Hull, wash, dry, grade, crack, pack. A small lot shares the first run of the dryer, goes in the shell and stays
    unsold: what a finding in the kernels must reach although no link joins them.
    """
    hall: dict[str, Any] = {"place": "walnut_plant"}
    stage.step(
        "walnut.hull",
        "walnuts",
        stage.season(6),
        inputs=[("harvest_a", "1800"), ("harvest_b", "2200")],
        outputs=[("hulled_1", "wet_nuts", "1900")],
        method=choice("walnut.hull", "method"),
        pile_days="4",
        **hall,
    )
    stage.step(
        "walnut.hull",
        "walnuts",
        stage.season(8),
        inputs=[("harvest_c", "2000")],
        outputs=[("hulled_2", "wet_nuts", "960")],
        method=choice("walnut.hull", "method"),
        pile_days="4",
        **hall,
    )
    for turn, pile, wet, washed_on, dried_on in ((1, 1, "1900", 7, 10), (3, 2, "240", 9, 10), (2, 2, "720", 9, 12)):
        washed, dried = f"washed_{turn}", f"dried_{turn}"
        stage.step(
            "walnut.wash",
            "walnuts",
            stage.season(washed_on),
            inputs=[(f"hulled_{pile}", wet)],
            outputs=[(washed, "wet_nuts", str(int(wet) + 40))],
            bleach=False,
            **hall,
        )
        dry_weight = {1: "1100", 2: "420", 3: "150"}[turn]
        stage.step(
            "walnut.dry",
            "walnuts",
            stage.season(dried_on),
            inputs=[(washed, str(int(wet) + 40))],
            outputs=[(dried, "dry_nuts", dry_weight)],
            method="热风烘干",
            dryer=str(stage.places["dryer"].uid),
            run_no=f"烘{stage.season(dried_on).at:%m%d}",
            hours="20",
            max_temp="40",
            moisture_out="7.2",
            weight_out=dry_weight,
            **hall,
        )
    stage.step(
        "walnut.grade",
        "walnuts",
        stage.season(14),
        inputs=[("dried_1", "1100"), ("dried_2", "420")],
        outputs=[("top", "sorted_nuts", "600"), ("second", "sorted_nuts", "820"), ("rejects", "shells", "90")],
        facts={"top": {"grade": "特级"}, "second": {"grade": "二级"}, "rejects": {"grade": "等外"}},
        **hall,
    )
    stage.step(
        "walnut.grade",
        "walnuts",
        stage.season(15),
        inputs=[("dried_3", "150")],
        outputs=[("top_3", "sorted_nuts", "120"), ("rejects_3", "shells", "20")],
        facts={"top_3": {"grade": "特级"}, "rejects_3": {"grade": "等外"}},
        **hall,
    )
    stage.step(
        "walnut.crack",
        "walnuts",
        stage.season(17),
        inputs=[("second", "820")],
        outputs=[("kernel", "kernels", "330"), ("pieces", "kernels", "60")],
        facts={"kernel": {"kernel_class": "头路"}, "pieces": {"kernel_class": "碎仁"}},
        **hall,
    )
    pack = stage.season(20)
    best = {"in_shell": 360, "pouch": 240}
    for key, source, used, product, bags, content in (
        ("in_shell_1", "top", "500", "in_shell", "500", "1000"),
        ("in_shell_2", "top_3", "110", "in_shell", "110", "1000"),
        ("pouch_1", "kernel", "200", "pouch", "400", "500"),
    ):
        stage.step(
            "walnut.pack",
            "walnuts",
            pack,
            inputs=[(source, used)],
            outputs=[(key, product, bags)],
            production_date=pack.at.date().isoformat(),
            best_before=plus(pack, best[product]),
            net_content=content,
            bags=bags,
            allergen=True,
            **hall,
        )
        stage.test(
            f"test_{key}",
            "walnuts",
            stage.season(22, 10),
            key,
            f"示例检字 {key[-1]}{bags}",
            code="walnut.test",
            moisture="4.6",
            acid_value="0.9",
            peroxide="0.03",
            afb1="0.8",
            lead="0.04",
        )
        stage.release("walnuts_quality", stage.season(23, 9), key)


def _dates(stage: Stage) -> None:
    """Dates from outside, kernels from the walnut plant, stuffed and packed."""
    orchard = outsider(stage, "dates", "和田示例枣业合作社", "cooperative", "653200")
    origin = str(stage.place("date_origin", "dates", "和田示例枣园", "plot", "653200").uid)
    for number, weight in ((1, "300"), (2, "250")):
        stage.buy(
            f"dates_{number}",
            "dates",
            stage.season(20 + number),
            orchard,
            "dates_raw",
            f"HT-0{number}",
            weight,
            "date_plant",
            code="datewalnut.receive_dates",
            origin=origin,
            moisture="22",
            grade=choice("datewalnut.receive_dates", "grade"),
        )
        stage.step(
            "datewalnut.wash_pit",
            "dates",
            stage.season(23 + number),
            place="date_plant",
            inputs=[(f"dates_{number}", weight)],
            outputs=[(f"pitted_{number}", "pitted", {1: "250", 2: "205"}[number])],
        )
    stage.ship(
        "kernels_to_dates", "walnuts", stage.season(21, 14), stage.actors["dates"].organisation, [("kernel", "120")]
    )
    stage.receive("kernels_to_dates", "dates", stage.season(22, 10), "date_plant")
    stage.step(
        "datewalnut.stuff",
        "dates",
        stage.season(26),
        place="date_plant",
        inputs=[("pitted_1", "250"), ("pitted_2", "150"), ("kernel", "120")],
        outputs=[("stuffed_1", "stuffed", "510")],
        date_kg="400",
        kernel_kg="120",
        ratio_pct="23.1",
    )
    stage.step(
        "datewalnut.dry_sterilise",
        "dates",
        stage.season(27),
        place="date_plant",
        inputs=[("stuffed_1", "510")],
        outputs=[("stuffed_2", "stuffed", "480")],
        method=choice("datewalnut.dry_sterilise", "method"),
        moisture_out="18",
    )
    pack = stage.season(28)
    stage.step(
        "datewalnut.pack",
        "dates",
        pack,
        place="date_plant",
        inputs=[("stuffed_2", "475")],
        outputs=[("date_walnut_1", "date_walnut", "1900")],
        production_date=pack.at.date().isoformat(),
        best_before=plus(pack, 180),
        net_content="250",
        standard="Q/SLZJ 0001 S-2024",
        allergen=True,
    )
    stage.test(
        "test_date_walnut_1",
        "dates",
        stage.season(30, 10),
        "date_walnut_1",
        "示例检字 Z001",
        results=[
            ResultEntry("moisture", "水分", "17.5", unit="%", name_en="Moisture"),
            ResultEntry(
                "peroxide",
                "过氧化值",
                "0.04",
                unit="g/100g",
                limit_operator="<=",
                limit_value="0.50",
                limit_source="GB 19300-2014",
                name_en="Peroxide value",
            ),
            ResultEntry("so2", "二氧化硫", operator="nd", loq="0.003", unit="g/kg", name_en="Sulphur dioxide"),
        ],
    )
    stage.release("dates_quality", stage.season(31, 9), "date_walnut_1")


def _market(stage: Stage) -> None:
    """To shops in several cities; one slip answered without an account, one never answered, one that differed."""
    shop, distributor = stage.actors["shop"].organisation, stage.actors["distributor"].organisation
    xian = outsider(stage, "walnuts", "西安示例特产店", "retailer", "610100")
    beijing = outsider(stage, "distributor", "北京示例食品店", "retailer", "110000")
    shanghai = outsider(stage, "dates", "上海示例干果行", "retailer", "310000")
    stage.ship("pouch_shop", "walnuts", stage.season(25, 10), shop, [("pouch_1", "6 箱")])
    stage.receive("pouch_shop", "shop", stage.season(26, 11), "shop_floor", short={"pouch_1": "118"})
    stage.ship(
        "pouch_taiyuan", "walnuts", stage.season(25, 15), distributor, [("pouch_1", "8 箱"), ("in_shell_1", "20 箱")]
    )
    stage.receive("pouch_taiyuan", "distributor", stage.season(27, 10), "depot")
    stage.ship("pouch_beijing", "distributor", stage.season(32, 10), beijing, [("pouch_1", "60 袋")])
    stage.receive("pouch_beijing", "", stage.season(35, 15))
    stage.ship("pouch_xian", "walnuts", stage.season(40, 10), xian, [("pouch_1", "3 箱")])
    stage.ship("dw_shop", "dates", stage.season(33, 9), shop, [("date_walnut_1", "10 箱")])
    stage.receive("dw_shop", "shop", stage.season(34, 9), "shop_floor")
    stage.ship("dw_taiyuan", "dates", stage.season(33, 14), distributor, [("date_walnut_1", "30 箱")])
    stage.receive("dw_taiyuan", "distributor", stage.season(35, 9), "depot")
    stage.ship("dw_shanghai", "dates", stage.season(36, 14), shanghai, [("date_walnut_1", "20 箱")])
    stage.receive("dw_shanghai", "", stage.season(39, 14))
    sold = stage.season(45, 18)
    stage.step(
        "common.sell", "shop", sold, place="shop_floor", subjects=[("pouch_1", "46 袋")], sold_at=sold.at.isoformat()
    )
