"""Millet from two plots to bags, and walnut-wood furniture pieces with serials."""

from __future__ import annotations

from typing import Any

from desk.demo.cast import outsider
from desk.demo.stage import Stage, plus

PLEDGE = "本企业承诺：信息真实，如有不实依法承担责任。（示例）"


def build_millet(stage: Stage) -> None:
    """Two plots, one mill, one bagging; sold by the corner shop and in Taiyuan."""
    family: dict[str, Any] = {"family": "millet_fenzhou"}
    for letter, division, name in (("d", "141182105", "三泉示例地块"), ("e", "141182106", "石庄示例地块")):
        by = f"grower_{letter}"
        stage.place(f"field_{letter}", by, name, "plot", division, facts={"area_mu": "20", "crop": "晋谷21号"})
        stage.product(
            f"paddy_{letter}",
            by,
            "GZ",
            track="farm_produce",
            kind="raw",
            name="示例谷子",
            name_en="Unhusked millet (example)",
            **family,
        )
        plot: dict[str, Any] = {"place": f"field_{letter}"}
        uid = str(stage.places[f"field_{letter}"].uid)
        stage.step("millet.register_plot", by, stage.season(-150), plot=uid, area_mu="20", variety="晋谷21号", **plot)
        stage.step(
            "millet.sow", by, stage.season(-130), sow_date=plus(stage.season(-130), 0), seed_source="示例种子站", **plot
        )
        harvest = stage.season(8, 15)
        weight = {"d": "4200", "e": "3600"}[letter]
        stage.step(
            "millet.harvest",
            by,
            harvest,
            outputs=[(f"paddy_{letter}", f"paddy_{letter}", weight)],
            harvest_date=plus(harvest, 0),
            weight=weight,
            moisture="13.2",
            **plot,
        )
        stage.step(
            "millet.commit_cert",
            by,
            stage.season(9),
            subjects=[(f"paddy_{letter}", "")],
            product_name="示例谷子",
            quantity=weight,
            origin=uid,
            issued_on=plus(stage.season(9), 0),
            issuer=str(stage.actors[by].owner.uid),
            basis="质量安全控制符合要求",
            pledge="不使用禁用农药，承诺信息真实（示例）",
            **plot,
        )
        stage.ship(
            f"paddy_{letter}", by, stage.season(10), stage.actors["mill"].organisation, [(f"paddy_{letter}", weight)]
        )
    stage.place("mill_hall", "mill", "碾米车间", "plant", "141182105", name_en="Milling hall")
    for letter in "de":
        stage.receive(f"paddy_{letter}", "mill", stage.season(11), "mill_hall")
    stage.product(
        "millet", "mill", "XM", kind="intermediate", name="示例小米（散）", name_en="Millet in bulk (example)", **family
    )
    stage.product(
        "bran",
        "mill",
        "GK",
        kind="byproduct",
        name="示例谷糠与碎米",
        name_en="Bran and broken millet (example)",
        **family,
    )
    stage.product(
        "millet_bag",
        "mill",
        "XM-2500",
        unit="C62",
        gtin="9520000010065",
        name="示例汾州小米",
        name_en="Fenzhou millet (example)",
        spec="2.5 kg/袋",
        net_content="2.5 kg",
        standard="gbt11766",
        grade="一级",
        shelf_life_days=360,
        pledge=PLEDGE,
        gi_claim="汾州小米",
        licence_number="SC10114999900031",
        ingredients="谷子",
        storage="阴凉干燥",
        packs={"袋": "1", "箱": "8"},
        **family,
    )
    stage.step(
        "millet.mill",
        "mill",
        stage.season(14),
        place="mill_hall",
        inputs=[("paddy_d", "4200"), ("paddy_e", "3600")],
        outputs=[("millet", "millet", "5600"), ("bran", "bran", "1900")],
        input_kg="7800",
        output_kg="5600",
        milling_degree="96",
    )
    stage.step(
        "millet.colour_sort",
        "mill",
        stage.season(15),
        place="mill_hall",
        inputs=[("millet", "5600")],
        outputs=[("sorted_millet", "millet", "5520"), ("sorted_out", "bran", "80")],
        reject_kg="80",
    )
    pack = stage.season(17)
    stage.step(
        "millet.pack",
        "mill",
        pack,
        place="mill_hall",
        inputs=[("sorted_millet", "5000")],
        outputs=[("millet_bags", "millet_bag", "2000")],
        production_date=plus(pack, 0),
        best_before=plus(pack, 360),
        net_content="2500",
        vacuum=True,
        grade="一级",
    )
    stage.test(
        "test_millet",
        "mill",
        stage.season(19),
        "millet_bags",
        "示例检字 X019",
        code="millet.test",
        moisture="12.1",
        imperfect="0.6",
        impurity="0.2",
        broken="2.1",
        cadmium="0.02",
        lead="0.05",
        afb1="0.5",
    )
    stage.release("mill_quality", stage.season(20), "millet_bags")
    stage.ship("millet_shop", "mill", stage.season(22), stage.actors["shop"].organisation, [("millet_bags", "20 箱")])
    stage.receive("millet_shop", "shop", stage.season(22, 16), "shop_floor")
    stage.ship(
        "millet_taiyuan",
        "mill",
        stage.season(24),
        stage.actors["distributor"].organisation,
        [("millet_bags", "120 箱")],
    )
    stage.receive("millet_taiyuan", "distributor", stage.season(25), "depot")


def build_furniture(stage: Stage) -> None:
    """Timber to six walnut-wood tables, each a piece with a serial, and a coating lot under them all."""
    by = "furniture"
    family: dict[str, Any] = {"family": "walnut_furniture", "track": "consumer_product"}
    town = "141182100"
    stage.place("workshop", by, "木工车间", "plant", town, name_en="Joinery")
    stage.place("kiln", by, "干燥窑", "plant", town, name_en="Kiln")
    wood = outsider(stage, by, "示例林场", "producer", "141181")
    paint = outsider(stage, by, "示例涂料厂", "producer", "320000")
    origin = str(stage.place("forest", by, "孝义示例林地", "plot", "141181").uid)
    stage.product(
        "timber", by, "MC", kind="raw", unit="MTQ", name="示例核桃木原木", name_en="Walnut logs (example)", **family
    )
    stage.product(
        "boards",
        by,
        "BC",
        kind="intermediate",
        unit="MTQ",
        name="示例核桃木板材",
        name_en="Walnut boards (example)",
        **family,
    )
    stage.product(
        "parts", by, "BJ", kind="intermediate", unit="C62", name="示例桌部件", name_en="Table parts (example)", **family
    )
    stage.product("coating", by, "TL", kind="raw", name="示例木蜡油", name_en="Wood wax oil (example)", **family)
    stage.product(
        "frame",
        by,
        "ZJ",
        kind="intermediate",
        unit="C62",
        name="示例桌白坯",
        name_en="Unfinished table (example)",
        **family,
    )
    stage.product(
        "table",
        by,
        "CZ-180",
        unit="C62",
        gtin="9520000010072",
        name="示例核桃木餐桌",
        name_en="Walnut-wood dining table (example)",
        spec="1800 × 900 × 750 mm",
        standard="gbt3324_2024",
        pledge=PLEDGE,
        ingredients="核桃木、木蜡油",
        warning="请固定放平，避免儿童攀爬",
        packs={"件": "1"},
        **family,
    )
    stage.buy(
        "timber_1",
        by,
        stage.ago(240),
        wood,
        "timber",
        "MC2603",
        "3.2",
        "workshop",
        code="furniture.receive_timber",
        species="核桃木 (Juglans regia)",
        origin=origin,
        permit_no="示例采字 26 号",
    )
    stage.buy("coating_1", by, stage.ago(200), paint, "coating", "TL-118", "40", "workshop")
    stage.step(
        "furniture.kiln",
        by,
        stage.ago(210),
        place="kiln",
        inputs=[("timber_1", "3.2")],
        outputs=[("boards_1", "boards", "2.6")],
        kiln=str(stage.places["kiln"].uid),
        days="24",
        max_temp="62",
        moisture_out="9.5",
    )
    stage.step(
        "furniture.cut",
        by,
        stage.ago(190),
        place="workshop",
        inputs=[("boards_1", "2.4")],
        outputs=[("parts_1", "parts", "60")],
        parts=["桌面", "桌腿", "牙条"],
    )
    for number in range(1, 7):
        serial = f"CZ180-26{number:04d}"
        stage.step(
            "furniture.joinery",
            by,
            stage.ago(185 - number),
            place="workshop",
            inputs=[("parts_1", "10")],
            outputs=[(f"frame_{number}", "frame", "1")],
            serial=serial,
            joint_type="榫卯",
        )
        stage.step(
            "furniture.finish",
            by,
            stage.ago(170 - number),
            place="workshop",
            inputs=[(f"frame_{number}", "1"), ("coating_1", "2.5")],
            outputs=[(f"table_{number}", "table", "1")],
            codes={f"table_{number}": serial},
            coating=str(stage.lots["coating_1"].uid),
            coats="3",
            cure_hours="72",
        )
        stage.test(
            f"test_table_{number}",
            by,
            stage.ago(150 - number),
            f"table_{number}",
            f"示例检字 M{number:03d}",
            code="furniture.test",
            formaldehyde="0.02",
            stability="通过",
        )
        _release(stage, number)
    shop = stage.actors["distributor"].organisation
    stage.ship("tables", by, stage.ago(120), shop, [(f"table_{number}", "1") for number in (1, 2, 3)])
    stage.receive("tables", "distributor", stage.ago(118), "depot")
    xian = outsider(stage, by, "西安示例家居馆", "retailer", "610100")
    stage.ship("tables_xian", by, stage.ago(110), xian, [("table_4", "1"), ("table_5", "1")])


def _release(stage: Stage, number: int) -> None:
    """The limit values of GB 18584-2024 are not known here, so the report judges nothing: released with a reason."""
    from trace.actions.evidence import release_lot

    lot, when = stage.lots[f"table_{number}"], stage.ago(140 - number)
    release_lot(
        by=stage.actors["furniture_quality"],
        lot=lot,
        when=when,
        reason="限量值待核对原文，按企业内控指标放行（示例）",
        at=when.at,
    )
    lot.refresh_from_db()
