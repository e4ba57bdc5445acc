"""A distillery from qu and jars through vats, blending and bottling to shops in several cities, over two years."""

from __future__ import annotations

from typing import Any

from desk.demo.cast import outsider
from desk.demo.stage import Stage, plus
from trace.actions.events import When

PLEDGE = "本坊承诺：固态发酵，不添加食用酒精及非自身发酵产生的呈色呈香呈味物质。（示例）"
ROUNDS = (700, 640, 580)
"""Days ago at which each brewing round was discharged."""

_MATERIALS = {"water": "water", "sorghum": "grain", "barley": "grain", "pea": "grain", "qu": "qu", "spirit": "spirit"}
_MATERIALS |= {"base": "spirit", "blend": "spirit"}


def build_baijiu(stage: Stage) -> None:
    """Two years of brewing; two bottlings this year, one a year ago."""
    _registry(stage)
    _brewing(stage)
    _bottling(stage)
    _market(stage)


def _registry(stage: Stage) -> None:
    """Halls, vats and products."""
    by, town = "distillery", "141182101"
    stage.place("brewhouse", by, "酿酒车间", "plant", town, name_en="Brewhouse")
    stage.place("qu_room", by, "曲房", "plant", town, name_en="Qu room")
    for number in (1, 2, 3):
        stage.place(f"vat_{number}", by, f"{number} 号陶坛", "vessel", town, name_en=f"Ceramic vat {number}")
    stage.place("blend_hall", by, "勾调间", "plant", town, name_en="Blending hall")
    stage.place("line_1", by, "一号灌装线", "line", town, name_en="Bottling line 1")
    family: dict[str, Any] = {"family": "baijiu_light_aroma"}
    for key, code, kind, unit, name, name_en in (
        ("sorghum", "GL", "raw", "KGM", "示例高粱", "Sorghum (example)"),
        ("barley", "DM", "raw", "KGM", "示例大麦", "Barley (example)"),
        ("pea", "WD", "raw", "KGM", "示例豌豆", "Peas (example)"),
        ("water", "SHUI", "raw", "LTR", "示例加浆水", "Dilution water (example)"),
        ("bottle", "PZ", "packaging", "C62", "示例玻璃瓶", "Glass bottles (example)"),
        ("qu", "QU", "intermediate", "KGM", "示例大曲", "Daqu (example)"),
        ("spirit", "YJ", "intermediate", "LTR", "示例原酒", "Raw spirit (example)"),
        ("mash", "JZ", "byproduct", "KGM", "示例酒糟", "Spent grain (example)"),
        ("base", "JJ", "intermediate", "LTR", "示例基酒", "Base spirit (example)"),
        ("blend", "GT", "intermediate", "LTR", "示例勾调酒", "Blend (example)"),
    ):
        material = _MATERIALS.get(key, "")
        stage.product(key, by, code, kind=kind, unit=unit, name=name, name_en=name_en, material=material, **family)
    for key, code, gtin, abv in (("b53", "QX53", "9520000010041", "53"), ("b42", "QX42", "9520000010058", "42")):
        stage.product(
            key,
            by,
            code,
            unit="C62",
            gtin=gtin,
            name=f"示例清香白酒 {abv}%vol",
            name_en=f"Light-aroma baijiu {abv} %vol (example)",
            spec="500 mL/瓶",
            net_content="500 mL",
            ingredients="水、高粱、大麦、豌豆",
            grade="优级",
            standard="gbt10781_2_2022",
            licence_number="SC11514999900019",
            pledge=PLEDGE,
            warning="过量饮酒有害健康",
            storage="阴凉干燥，避光",
            packs={"瓶": "1", "箱": "6"},
            **family,
        )


def _brewing(stage: Stage) -> None:
    """Qu, two fermentations a round, vats."""
    grain = outsider(stage, "distillery", "示例粮食贸易商行", "distributor", "140700")
    glass = outsider(stage, "distillery", "示例玻璃制品厂", "producer", "370000")
    origin = str(stage.place("grain_origin", "distillery", "晋中示例产区", "plot", "140700").uid)
    buying = stage.ago(755)
    for key, material, code, text in (
        ("sorghum_1", "高粱", "GL2410", "60000"),
        ("barley_1", "大麦", "DM2410", "12000"),
        ("pea_1", "豌豆", "WD2410", "8000"),
        ("water_1", "酿造用水", "SHUI01", "30000"),
    ):
        product = key.split("_")[0]
        weight = {} if product == "water" else {"weight": text}
        stage.buy(
            key,
            "distillery",
            buying,
            grain,
            product,
            code,
            text,
            "brewhouse",
            code="baijiu.receive_raw",
            material=material,
            origin=origin,
            **({"weight": text} | weight),
        )
    stage.buy("bottle_1", "distillery", stage.ago(420), glass, "bottle", "PZ2501", "20000", "line_1")
    stage.step(
        "baijiu.make_qu",
        "distillery",
        stage.ago(752),
        place="qu_room",
        inputs=[("barley_1", "6000"), ("pea_1", "4000")],
        outputs=[("qu_1", "qu", "8800")],
        qu_type="清茬曲",
        ratio="60:40",
        max_temp="46",
        culture_days="28",
    )
    for number, days in enumerate(ROUNDS, start=1):
        _round(stage, number, days)


def _round(stage: Stage, number: int, days: int) -> None:
    """One jar group: first and second fermentation, two grades each, all into one vat."""
    first, second = stage.ago(days, 15), stage.ago(days - 30, 15)
    stage.step(
        "baijiu.brew_round_1",
        "distillery",
        first,
        place="brewhouse",
        inputs=[("sorghum_1", "9000"), ("qu_1", "900")],
        outputs=[
            (f"first_top_{number}", "spirit", "1500"),
            (f"first_good_{number}", "spirit", "1900"),
            (f"mash_{number}", "mash", "11000"),
        ],
        jar_group=f"{number} 组",
        jars="60",
        loaded_on=plus(first, -28),
        discharged_on=plus(first, 0),
        peak_temp="31",
        cuts=[{"grade": "特级", "litres": "1500", "abv": "67"}, {"grade": "优级", "litres": "1900", "abv": "65"}],
    )
    stage.step(
        "baijiu.brew_round_2",
        "distillery",
        second,
        place="brewhouse",
        inputs=[(f"mash_{number}", "11000"), ("qu_1", "800")],
        outputs=[(f"second_good_{number}", "spirit", "1400")],
        jar_group=f"{number} 组",
        loaded_on=plus(second, -28),
        discharged_on=plus(second, 0),
        cuts=[{"grade": "优级", "litres": "1400", "abv": "64"}],
    )
    entry = stage.ago(days - 32, 10)
    stage.step(
        "baijiu.vat",
        "distillery",
        entry,
        place=f"vat_{number}",
        inputs=[(f"first_top_{number}", "1500"), (f"first_good_{number}", "1900"), (f"second_good_{number}", "1400")],
        outputs=[(f"base_{number}", "base", "4800")],
        vessel=str(stage.places[f"vat_{number}"].uid),
        vessel_kind="陶坛",
        entry_date=plus(entry, 0),
        abv="65.4",
    )


def _bottling(stage: Stage) -> None:
    """Three blends and their bottlings; each tested at the factory and released."""
    _bottle(stage, "old", "b53", 400, [("base_1", "1500"), ("base_2", "900")], "560", "2950", "53", "5800", "5760")
    _bottle(stage, "new", "b53", 60, [("base_1", "2200"), ("base_3", "2000")], "980", "5170", "53", "10200", "10140")
    _bottle(stage, "light", "b42", 45, [("base_2", "2400"), ("base_3", "600")], "1640", "4630", "42", "3000", "3000")


def _bottle(
    stage: Stage,
    key: str,
    product: str,
    days: int,
    vats: list[tuple[str, str]],
    water: str,
    litres: str,
    abv: str,
    bottles: str,
    good: str,
) -> None:
    """Blend, filter, bottle, test, release."""
    when = stage.ago(days, 8)
    parts = [{"lot": str(stage.lots[vat].uid), "litres": text, "abv": "65.4"} for vat, text in vats]
    stage.step(
        "baijiu.blend",
        "distillery",
        when,
        place="blend_hall",
        inputs=[*vats, ("water_1", water)],
        outputs=[(f"blend_{key}", "blend", litres)],
        parts=parts,
        water_l=water,
        output_abv=abv,
    )
    stage.step(
        "baijiu.filter",
        "distillery",
        When(when.at.replace(hour=14)),
        place="blend_hall",
        inputs=[(f"blend_{key}", litres)],
        outputs=[(f"filtered_{key}", "blend", litres)],
        filter_medium="硅藻土",
    )
    filling = stage.ago(days - 2, 9)
    stage.step(
        "baijiu.bottle",
        "distillery",
        filling,
        place="line_1",
        inputs=[(f"filtered_{key}", str(int(bottles) // 2)), ("bottle_1", bottles)],
        outputs=[(f"bottled_{key}", product, good)],
        codes={f"bottled_{key}": f"{filling.at:%Y%m%d}-1"},
        line=str(stage.places["line_1"].uid),
        production_date=plus(filling, 0),
        batch_no=f"{filling.at:%Y%m%d}-1",
        net_content="500",
        label_abv=abv,
        bottles=good,
        standard="GB/T 10781.2-2022",
        quality_grade="优级",
    )
    stage.test(
        f"test_{key}",
        "distillery",
        stage.ago(days - 4, 10),
        f"bottled_{key}",
        f"示例检字 J{days:03d}",
        code="baijiu.factory_test",
        abv=f"{abv}.1",
        total_acid="0.62",
        total_ester="1.24",
        ethyl_acetate="0.78",
        solids="0.22",
        methanol="0.18",
        cyanide="0.6",
        lead="0.05",
        sample_qty="6",
        sample="6",
    )
    stage.release("distillery_quality", stage.ago(days - 6, 9), f"bottled_{key}")


def _market(stage: Stage) -> None:
    """To Taiyuan, and from there or directly to shops in Beijing, Shanghai and Xi'an."""
    distributor, shop = stage.actors["distributor"].organisation, stage.actors["shop"].organisation
    xian = outsider(stage, "distillery", "西安示例烟酒店", "retailer", "610100")
    shanghai = outsider(stage, "distributor", "上海示例名酒行", "retailer", "310000")
    zhengzhou = outsider(stage, "distributor", "郑州示例超市", "retailer", "410100")
    stage.ship("old_taiyuan", "distillery", stage.ago(390), distributor, [("bottled_old", "600 箱")])
    stage.receive("old_taiyuan", "distributor", stage.ago(388), "depot")
    stage.ship("old_zhengzhou", "distributor", stage.ago(380), zhengzhou, [("bottled_old", "200 箱")])
    stage.receive("old_zhengzhou", "", stage.ago(377))
    stage.ship("old_shop", "distillery", stage.ago(389), shop, [("bottled_old", "40 箱")])
    stage.receive("old_shop", "shop", stage.ago(388, 16), "shop_floor")
    stage.ship(
        "new_taiyuan",
        "distillery",
        stage.ago(38),
        distributor,
        [("bottled_new", "800 箱"), ("bottled_light", "200 箱")],
    )
    stage.receive("new_taiyuan", "distributor", stage.ago(36), "depot")
    stage.ship("new_shanghai", "distributor", stage.ago(30), shanghai, [("bottled_new", "120 箱")])
    stage.receive("new_shanghai", "", stage.ago(27))
    stage.ship("new_xian", "distillery", stage.ago(35), xian, [("bottled_new", "60 箱")])
    stage.receive("new_xian", "", stage.ago(32))
    stage.ship("light_shop", "distillery", stage.ago(36), shop, [("bottled_light", "20 箱")])
    stage.receive("light_shop", "shop", stage.ago(36, 17), "shop_floor")
