"""Guards at entry, each tried to be fooled: order in time, balance, forbidden ancestors, origin, release."""

from __future__ import annotations

import datetime
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from tests.goods import amount, day, make_lot, passed, receive, released, ship, turn_into
from tests.world import World, make_place, make_product
from trace import moments
from trace.actions.capture import NewLot
from trace.actions.corrections import declare_error
from trace.actions.events import Portion, When, record_event
from trace.actions.evidence import ResultEntry, record_report, release_lot
from trace.actions.rebuild import rebuild
from trace.actions.registry import VersionInput, edit_product, say_material
from trace.actions.transfers import take_in
from trace.composition import materials_named, prohibition_for
from trace.contents import content_of
from trace.errors import FieldErrors, GuardBroken
from trace.models import Conflict, Event, Lot, Organisation, Product, ProductVersion
from trace.solar_terms import solar_term
from trace.units import parse_amount

PADDY = "millet_fenzhou"


def step(
    world: World,
    code: str,
    inputs: list[tuple[Lot, str]],
    outputs: list[tuple[Product, str]],
    *,
    when: When | None = None,
    insist: bool = False,
    by: Any = None,
    facts: dict[str, Any] | None = None,
    **data: Any,
) -> list[Lot]:
    """One step of a template by the distillery (or another party)."""
    return record_event(
        by=by or world.distillery,
        code=code,
        when=when or day(1),
        data=data,
        inputs=[Portion(lot, amount(text, lot.product)) for lot, text in inputs],
        outputs=[NewLot(product=product, amount=amount(text, product), facts=facts or {}) for product, text in outputs],
        insist=insist,
    ).lots


def refused(work: Any) -> list[str]:
    """The codes of the guards that refuse."""
    with pytest.raises(GuardBroken) as error:
        work()
    return [guard.code for guard in error.value.broken]


def spirit(world: World, code: str = "JJ", **more: Any) -> Product:
    return make_product(world.distillery.organisation, code, "示例基酒", base_unit="LTR", kind="intermediate", **more)


def bottled(world: World, **more: Any) -> Product:
    more.setdefault("standard", "gbt10781_2_2022")
    return make_product(
        world.distillery.organisation, base_unit="C62", name="示例清香白酒", net_content="500 mL", **more
    )


# --- Order in time --------------------------------------------------------------------------------------------------


def test_parent_known_to_the_day_may_have_begun_in_its_morning(world: World) -> None:
    parent = make_lot(world.walnuts, world.kernels, "10", when=When(day(5, hour=18).at, precision="day"))
    assert turn_into(world.walnuts, [(parent, "1")], [(world.kernels, "1")], when=day(5, hour=9))
    assert refused(lambda: turn_into(world.walnuts, [(parent, "1")], [(world.kernels, "1")], when=day(4, hour=23))) == [
        "before_parent"
    ]


def test_day_of_an_event_is_the_one_of_its_own_offset(world: World) -> None:
    parent = make_lot(world.walnuts, world.kernels, "10", when=day(5, hour=23))
    early = When(day(5, hour=1).at, tz_offset=330, precision="day")
    assert refused(lambda: turn_into(world.walnuts, [(parent, "1")], [(world.kernels, "1")], when=early)) == [
        "before_parent"
    ]


def test_times_of_two_zones_are_told_with_the_zone_that_is_not_chinas(world: World) -> None:
    parent = make_lot(world.walnuts, world.kernels, "10", when=When(day(5, hour=10).at, tz_offset=540))
    with pytest.raises(GuardBroken) as error:
        turn_into(world.walnuts, [(parent, "1")], [(world.kernels, "1")], when=day(5, hour=9))
    begun, written = "11:00 UTC+09:00", "09:00。"
    assert begun in error.value.message
    assert written in error.value.message
    assert moments.zone_words(-210) == "UTC-03:30"


def test_beginning_moved_behind_its_use_names_the_use_and_is_flagged(world: World) -> None:
    wrong = make_lot(world.walnuts, world.kernels, "10", when=day(0))
    (child,) = turn_into(world.walnuts, [(wrong, "6")], [(world.kernels, "5")], when=day(2))
    declare_error(by=world.walnuts, event=wrong.origin_event, reason="incorrect_data", when=day(4))

    def restate(when: When, insist: bool = False, text: str = "10") -> Event:
        return record_event(
            by=world.walnuts,
            code="common.opening",
            when=when,
            data={"basis": "示例台账"},
            outputs=[NewLot(product=world.kernels, amount=amount(text, world.kernels), restates=wrong)],
            replaces=wrong.origin_event,
            insist=insist,
        ).event

    with pytest.raises(GuardBroken) as error:
        restate(day(3))
    (guard,) = error.value.broken
    assert guard.code == "begins_after_use"
    assert guard.details["other_event"] == child.origin_event.uid
    assert refused(lambda: restate(day(1), text="5")) == ["below_zero"]
    event = restate(day(3), insist=True)
    assert [(row.code, row.lot) for row in event.conflicts.all()] == [("begins_after_use", wrong)]
    assert rebuild(write=False).differences == []


def test_goods_are_not_used_before_they_arrived(world: World) -> None:
    lot = released(world.walnuts, world.walnuts_quality, make_lot(world.walnuts, world.kernels, "10"))
    receive(world.shop, ship(world.walnuts, world.shop.organisation, lot, "4"), when=day(6))

    def sell(when: When) -> Any:
        return record_event(
            by=world.shop,
            code="common.destroy",
            when=when,
            data={"quantity": "1", "method": "填埋"},
            subjects=[Portion(lot, amount("1", world.kernels))],
        )

    assert refused(lambda: sell(day(5))) == ["before_arrival"]
    assert sell(day(6, hour=9))


def test_goods_that_arrived_within_a_minute_leave_in_that_minute(world: World) -> None:
    lot = released(world.walnuts, world.walnuts_quality, make_lot(world.walnuts, world.kernels, "10"))
    minute = day(6).at.replace(second=0, microsecond=0)
    arrived = When(minute + datetime.timedelta(seconds=20))
    receive(world.distributor, ship(world.walnuts, world.distributor.organisation, lot, "4", when=day(5)), when=arrived)
    assert ship(world.distributor, world.shop.organisation, lot, "1", when=When(minute)), "a form knows no seconds"
    before = When(minute - datetime.timedelta(minutes=1))
    assert refused(lambda: ship(world.distributor, world.shop.organisation, lot, "1", when=before)) == [
        "before_arrival"
    ]


def test_report_signed_before_its_sample_was_taken_is_refused(world: World) -> None:
    lot = make_lot(world.walnuts, world.kernels, "10")

    def report(issued: When, insist: bool = False) -> Any:
        return record_report(
            by=world.walnuts,
            lot=lot,
            report_number="示例-9",
            issued_on=issued.at.date(),
            results=[ResultEntry("afb1", "黄曲霉毒素B1", "1", limit_operator="<=", limit_value="5")],
            when=day(3),
            laboratory_name="示例检测",
            insist=insist,
        )

    assert refused(lambda: report(day(2))) == ["report_before_sample"]
    made = report(day(2), insist=True)
    assert [row.code for row in made.event.conflicts.all()] == ["report_before_sample"]


def test_reason_for_a_missing_report_does_not_excuse_a_release_before_production(world: World) -> None:
    lot = make_lot(world.walnuts, world.kernels, "10", when=day(5))
    with pytest.raises(GuardBroken) as error:
        release_lot(by=world.walnuts_quality, lot=lot, when=day(4), reason="报告随后补上（示例）")
    assert "before_parent" in [guard.code for guard in error.value.broken]
    assert error.value.insistable is False
    lot.refresh_from_db()
    assert lot.released_by is None


def test_lot_is_not_released_before_the_report_it_relies_on(world: World) -> None:
    lot = make_lot(world.walnuts, world.kernels, "10")
    passed(world.walnuts, lot, when=day(4))
    assert refused(lambda: release_lot(by=world.walnuts_quality, lot=lot, when=day(3))) == ["release_before_report"]


def test_override_needs_a_reason_of_words_and_its_reason_is_on_the_conflict(world: World) -> None:
    lot = make_lot(world.walnuts, world.kernels, "10")
    for reason in ("", "  ", "无", "...........", "啊啊啊啊啊"):
        assert refused(
            lambda reason=reason: release_lot(by=world.walnuts_quality, lot=lot, when=day(2), reason=reason)
        ) == ["no_passing_report"]
    captured = release_lot(by=world.walnuts_quality, lot=lot, when=day(2), reason="复检合格，报告在途（示例）")
    conflict = captured.event.conflicts.get()
    assert (conflict.code, conflict.details["reason"]) == ("no_passing_report", "复检合格，报告在途（示例）")
    assert captured.event.mode == "report"


def test_release_against_a_failed_report_names_it(world: World) -> None:
    lot = make_lot(world.walnuts, world.kernels, "10")
    passed(world.walnuts, lot, when=day(1))
    report = passed(world.walnuts, lot, when=day(2), value="9", number="示例-不合格-1")
    with pytest.raises(GuardBroken, match="示例-不合格-1") as error:
        release_lot(by=world.walnuts_quality, lot=lot, when=day(3))
    assert error.value.broken[0].details["report"] == report.uid


def test_shells_beside_kernels_have_no_class_of_kernel(world: World) -> None:
    nuts = make_lot(world.walnuts, world.kernels, "100")
    shells = make_product(world.walnuts.organisation, "HTK", "示例核桃壳", kind="byproduct")

    def crack(*outputs: NewLot) -> list[Lot]:
        portion = Portion(nuts, amount("50", world.kernels))
        return record_event(
            by=world.walnuts, code="walnut.crack", when=day(2), inputs=[portion], outputs=list(outputs)
        ).lots

    classed = NewLot(product=world.kernels, amount=amount("25", world.kernels), facts={"kernel_class": "头路"})
    rest = NewLot(product=shells, amount=amount("24", shells))
    assert len(crack(classed, rest)) == 2
    with pytest.raises(FieldErrors):
        crack(replace(classed, facts={}), rest)


# --- Balance --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "unit", "content"),
    [
        ("500 mL", "LTR", "0.5"),
        ("净含量：500ml", "LTR", "0.5"),
        ("6×500 mL", "LTR", "3"),
        ("250g*2", "KGM", "0.5"),
        ("2.5 kg/袋", "KGM", "2.5"),
        ("１ 斤", "KGM", "0.5"),
    ],
)
def test_net_content_is_read_from_the_label(text: str, unit: str, content: str) -> None:
    found = content_of(text)
    assert found is not None
    assert (found[0], float(found[1])) == (unit, float(content))


@pytest.mark.parametrize("text", ["", "散装", "500 mL 或 1 L", "见包装", "53%vol"])
def test_net_content_that_is_none_or_two_is_not_guessed(text: str) -> None:
    assert content_of(text) is None


def test_bottles_are_weighed_against_litres_by_their_net_content(world: World) -> None:
    base, product = spirit(world), bottled(world)
    jar = make_lot(world.distillery, base, "100")
    with pytest.raises(GuardBroken) as error:
        turn_into(world.distillery, [(jar, "100")], [(product, "201")])
    assert error.value.code == "more_out_than_in"
    assert jar.code in error.value.message
    assert turn_into(world.distillery, [(jar, "100")], [(product, "200")])


def test_bottles_and_caps_going_in_do_not_make_room_for_more_spirit(world: World) -> None:
    base, product = spirit(world), bottled(world)
    glass = make_product(world.distillery.organisation, "PZ", "示例酒瓶", base_unit="C62", kind="packaging")
    jar, bottles = make_lot(world.distillery, base, "100"), make_lot(world.distillery, glass, "500")
    assert refused(lambda: turn_into(world.distillery, [(jar, "100"), (bottles, "300")], [(product, "300")])) == [
        "more_out_than_in"
    ]


def test_units_typed_are_exact_three_tenths_of_a_jin_and_packs(world: World) -> None:
    parent = make_lot(world.walnuts, world.kernels, "0.3")
    inputs = [Portion(parent, parse_amount("0.6", "斤", "KGM"))]

    def into(text: str, unit: str) -> Any:
        return record_event(
            by=world.walnuts,
            code="common.rework",
            when=day(1),
            data={"reason": "示例", "method": "示例"},
            inputs=inputs,
            outputs=[NewLot(product=world.kernels, amount=parse_amount(text, unit, "KGM", {"袋": Fraction(1, 5)}))],
        )

    assert refused(lambda: into("0.300001", "KGM")) == ["more_out_than_in"]
    assert refused(lambda: into("2", "袋")) == ["more_out_than_in"]
    assert into("300", "g")


def test_washing_makes_no_nuts(world: World) -> None:
    wet, clean = (make_product(world.walnuts.organisation, code, f"示例{code}") for code in ("S1", "J1"))
    lot = make_lot(world.walnuts, wet, "20")
    (fine,) = step(world, "walnut.wash", [(lot, "10")], [(clean, "12")], by=world.walnuts, bleach="false")
    (odd,) = step(world, "walnut.wash", [(lot, "10")], [(clean, "900")], by=world.walnuts, bleach="false")
    assert [len(made.origin_event.conflicts.all()) for made in (fine, odd)] == [0, 1]
    assert odd.origin_event.conflicts.get().code == "yield_too_high"


def test_pieces_of_one_product_do_not_multiply_when_split(world: World) -> None:
    product = make_product(world.walnuts.organisation, "HE", "示例礼盒", base_unit="C62")
    lot = make_lot(world.walnuts, product, "10")
    assert refused(lambda: turn_into(world.walnuts, [(lot, "10")], [(product, "6"), (product, "5")])) == [
        "more_out_than_in"
    ]


def test_input_that_cannot_be_weighed_turns_the_refusal_into_a_warning_that_names_it(world: World) -> None:
    odd = make_product(world.walnuts.organisation, "X", "示例零件", base_unit="C62", kind="raw")
    kernels, pieces = make_lot(world.walnuts, world.kernels, "10"), make_lot(world.walnuts, odd, "5")
    (made,) = turn_into(world.walnuts, [(kernels, "10"), (pieces, "1")], [(world.kernels, "12")])
    conflict = made.origin_event.conflicts.get()
    assert (conflict.code, conflict.details["warns"]) == ("more_out_than_in", True)
    assert pieces.code in conflict.details["detail"]
    assert made.origin_event.mode == "command"


def test_more_millet_than_the_paddy_can_give_warns_whatever_was_typed(world: World) -> None:
    paddy = make_product(world.walnuts.organisation, "GZ", "示例谷子", family=PADDY, kind="raw")
    millet = make_product(world.walnuts.organisation, "XM", "示例小米", family=PADDY, kind="intermediate")
    bran = make_product(world.walnuts.organisation, "GK", "示例谷糠", family=PADDY, kind="byproduct")
    lot = make_lot(world.walnuts, paddy, "1000")
    typed: dict[str, Any] = {"input_kg": "1000", "output_kg": "700", "by": world.walnuts}

    def mill(out: str) -> list[Lot]:
        return step(world, "millet.mill", [(lot, "400")], [(millet, out), (bran, "50")], **typed)

    fine = mill("320")
    assert not fine[0].origin_event.flags
    made = mill("321")
    conflict = made[0].origin_event.conflicts.get()
    assert conflict.code == "yield_too_high"
    assert lot.code in conflict.details["detail"]
    assert "80" in conflict.details["detail"]


# --- Alcohol --------------------------------------------------------------------------------------------------------


def vatted(world: World, base: Product, litres: str, abv: str, *, when: When | None = None) -> Lot:
    """Spirit in a vat, with a recorded strength."""
    raw = make_lot(world.distillery, base, litres, when=day(-1))
    place = make_place(world.distillery.organisation, kind="vessel")
    moment = when or day(0)
    return step(
        world,
        "baijiu.vat",
        [(raw, litres)],
        [(base, litres)],
        when=moment,
        vessel=str(place.uid),
        entry_date=moment.at.date().isoformat(),
        abv=abv,
    )[0]


def blend(
    world: World,
    inputs: list[tuple[Lot, str]],
    out: tuple[Product, str, str],
    *,
    typed: dict[Lot, tuple[str, str]],
    insist: bool = False,
    when: When | None = None,
    **data: Any,
) -> list[Lot]:
    """A blend: what goes in, what is typed of it, litres and strength of what comes out."""
    product, litres, abv = out
    parts = [{"lot": str(lot.uid), "litres": text, "abv": strength} for lot, (text, strength) in typed.items()]
    return step(
        world,
        "baijiu.blend",
        inputs,
        [(product, litres)],
        when=when or day(3),
        insist=insist,
        parts=parts,
        output_abv=abv,
        **data,
    )


@pytest.fixture
def hall(world: World) -> tuple[Product, Lot, Lot]:
    """Base spirit of 65 %vol and water."""
    base = spirit(world)
    water = make_product(
        world.distillery.organisation, "SHUI", "示例加浆水", base_unit="LTR", kind="raw", material="water"
    )
    return base, vatted(world, base, "1000", "65"), make_lot(world.distillery, water, "1000")


def test_bought_spirit_is_as_strong_in_one_blend_as_in_another(world: World) -> None:
    base = spirit(world)
    bought = make_lot(world.distillery, base, "300")
    blend(world, [(bought, "100")], (base, "100", "70"), typed={bought: ("100", "70")}, when=day(4))

    def again(abv: str, when: When, rows: int = 1) -> Lot:
        parts = [{"lot": str(bought.uid), "litres": "20", "abv": each} for each in (abv, "70")[:rows]]
        out = [(base, f"{20 * rows}")]
        litres = f"{20 * rows}"
        return step(
            world, "baijiu.blend", [(bought, litres)], out, when=when, parts=parts, output_abv=abv, insist=False
        )[0]

    for when in (day(3), day(5)):
        with pytest.raises(GuardBroken) as error:
            again("80", when)
        assert "70.0 %vol" in error.value.message
        assert error.value.broken[0].details["other_event"] == str(bought.items.get(role="input").event.uid)
    with pytest.raises(GuardBroken, match="70 和 80 %vol"):
        again("80", day(5), rows=2)
    assert again("70.5", day(5))


def test_a_stranger_reads_neither_which_step_nor_when_of_the_other_user_of_a_spirit(world: World) -> None:
    bought = make_lot(world.distillery, spirit(world), "300")
    for actor in (world.distributor, world.shop):
        receive(actor, ship(world.distillery, actor.organisation, bought, "100"))
        mixed = make_product(actor.organisation, "HH", "示例调和酒", base_unit="LTR", kind="intermediate")
        parts = [{"lot": str(bought.uid), "litres": "100", "abv": "70" if actor is world.distributor else "80"}]
        blend = {"when": day(5), "by": actor, "parts": parts, "output_abv": parts[0]["abv"]}
        if actor is world.distributor:
            step(world, "baijiu.blend", [(bought, "100")], [(mixed, "100")], **blend)  # type: ignore[arg-type]
            continue
        with pytest.raises(GuardBroken) as error:
            step(world, "baijiu.blend", [(bought, "100")], [(mixed, "100")], **blend)  # type: ignore[arg-type]
    broken = next(each for each in error.value.broken if each.code == "abv_contradicts")
    assert broken.details == {}
    assert broken.message == f"批次 {bought.code} 的酒精度填了 80 %vol，而别的单位记的是 70.0 %vol。"


def test_blending_with_water_is_no_contradiction(world: World, hall: tuple[Product, Lot, Lot]) -> None:
    base, jar, water = hall
    (made,) = blend(world, [(jar, "100"), (water, "22.6")], (base, "122.5", "53"), typed={jar: ("100", "65")})
    assert made.origin_event.flags == []


def test_water_that_was_stated_counts(world: World, hall: tuple[Product, Lot, Lot]) -> None:
    base, jar, _water = hall
    typed = {jar: ("100", "52")}

    def dilute(litres: str, water: str) -> list[Lot]:
        return blend(world, [(jar, "100")], (base, litres, "42"), typed=typed, insist=False, water_l=water)

    assert "more_out_than_in" in refused(lambda: dilute("124", "0"))
    assert "more_out_than_in" in refused(lambda: dilute("124", "20"))
    blend(world, [(jar, "100")], (base, "154", "42"), typed={jar: ("100", "65")}, water_l="55")


def test_more_alcohol_out_than_in_is_found(world: World, hall: tuple[Product, Lot, Lot]) -> None:
    base, jar, water = hall

    def work(insist: bool = False) -> list[Lot]:
        inputs, typed = [(jar, "100"), (water, "30")], {jar: ("100", "65")}
        return blend(world, inputs, (base, "130", "53"), typed=typed, insist=insist)

    with pytest.raises(GuardBroken) as error:
        work()
    assert error.value.code == "undeclared_alcohol"
    assert jar.code in error.value.message
    (made,) = work(insist=True)
    assert [row.code for row in made.origin_event.conflicts.all()] == ["undeclared_alcohol"]


def test_stronger_input_than_was_recorded_is_not_believed(world: World, hall: tuple[Product, Lot, Lot]) -> None:
    base, jar, water = hall
    codes = refused(
        lambda: blend(world, [(jar, "100"), (water, "30")], (base, "130", "53"), typed={jar: ("100", "70")})
    )
    assert sorted(codes) == ["abv_contradicts", "undeclared_alcohol"]


def test_more_litres_in_the_list_than_go_in_are_not_believed(world: World, hall: tuple[Product, Lot, Lot]) -> None:
    base, jar, water = hall
    codes = refused(
        lambda: blend(world, [(jar, "100"), (water, "30")], (base, "130", "53"), typed={jar: ("110", "65")})
    )
    assert sorted(codes) == ["parts_differ", "undeclared_alcohol"]


def test_part_that_does_not_go_in_is_named(world: World, hall: tuple[Product, Lot, Lot]) -> None:
    base, jar, water = hall
    other = vatted(world, base, "50", "65")
    codes = refused(
        lambda: blend(
            world,
            [(jar, "100"), (water, "22")],
            (base, "122", "53"),
            typed={jar: ("100", "65"), other: ("20", "65")},
        )
    )
    assert codes == ["parts_differ"]


def test_strength_is_carried_through_a_merge_that_asks_for_none(world: World, hall: tuple[Product, Lot, Lot]) -> None:
    base, jar, _water = hall
    (merged,) = turn_into(world.distillery, [(jar, "200")], [(base, "200")], when=day(2))
    codes = refused(lambda: blend(world, [(merged, "100")], (base, "100", "64.5"), typed={merged: ("100", "70")}))
    assert codes == ["abv_contradicts"]
    assert blend(world, [(merged, "100")], (base, "100", "64.5"), typed={merged: ("100", "65")})


def test_later_test_of_the_vat_counts_more_than_its_first_entry(world: World, hall: tuple[Product, Lot, Lot]) -> None:
    base, jar, _water = hall
    record_report(
        by=world.distillery,
        lot=jar,
        report_number="示例-7",
        issued_on=day(2).at.date(),
        results=[ResultEntry("abv", "酒精度", "60", unit="%vol")],
        when=day(2),
        laboratory_name="示例检测",
    )
    assert refused(lambda: blend(world, [(jar, "100")], (base, "100", "65"), typed={jar: ("100", "65")})) == [
        "abv_contradicts",
        "undeclared_alcohol",
    ]


def test_strength_taken_back_no_longer_counts(world: World, hall: tuple[Product, Lot, Lot]) -> None:
    base, jar, _water = hall
    seen = record_event(
        by=world.distillery,
        code="baijiu.age",
        when=day(1),
        data={"volume": "1000", "abv": "40"},
        subjects=[Portion(jar, amount("1000", base))],
    ).event
    assert "abv_contradicts" in refused(
        lambda: blend(world, [(jar, "100")], (base, "100", "65"), typed={jar: ("100", "65")})
    )
    declare_error(by=world.distillery, event=seen, reason="incorrect_data", when=day(2))
    assert blend(world, [(jar, "100")], (base, "100", "65"), typed={jar: ("100", "65")})


def test_much_less_alcohol_out_than_in_only_warns(world: World, hall: tuple[Product, Lot, Lot]) -> None:
    base, jar, _water = hall
    (made,) = blend(world, [(jar, "100")], (base, "95", "65"), typed={jar: ("100", "65")})
    assert [flag["code"] for flag in made.origin_event.flags] == ["alcohol_lost"]
    assert made.origin_event.mode == "command"


# --- Forbidden ancestors --------------------------------------------------------------------------------------------


def test_edible_alcohol_two_steps_up_is_found_under_the_standard(world: World) -> None:
    base, product = spirit(world), bottled(world)
    bad = make_product(
        world.distillery.organisation, "JJ2", "示例调味液", base_unit="LTR", kind="raw", material="edible_alcohol"
    )
    one, two = make_lot(world.distillery, base, "100"), make_lot(world.distillery, bad, "10")
    (mixed,) = turn_into(world.distillery, [(one, "100"), (two, "10")], [(base, "110")], when=day(1))
    (again,) = turn_into(world.distillery, [(mixed, "110")], [(base, "100")], when=day(2))
    with pytest.raises(GuardBroken) as error:
        turn_into(world.distillery, [(again, "100")], [(product, "180")], when=day(3))
    (guard,) = error.value.broken
    assert guard.code == "forbidden_ancestor"
    assert two.code in guard.message
    assert guard.details["other_lot"] == two.uid


def test_innocent_answer_does_not_hide_what_the_name_says(world: World) -> None:
    base, product = spirit(world), bottled(world)
    bad = make_product(
        world.distillery.organisation, "A1", "食用酒精（示例）", base_unit="LTR", kind="raw", material="water"
    )
    sweet = make_product(
        world.distillery.organisation, "A2", "示例糖浆", base_unit="LTR", kind="raw", ingredients="水、三氯蔗糖"
    )
    for culprit in (bad, sweet):
        one, two = make_lot(world.distillery, base, "100"), make_lot(world.distillery, culprit, "10")
        assert refused(lambda o=one, t=two: turn_into(world.distillery, [(o, "100"), (t, "1")], [(product, "10")])) == [
            "forbidden_ancestor"
        ]


def test_words_that_deny_it_accuse_nobody() -> None:
    assert materials_named("", "本品不含食用酒精、未添加甜味剂") == set()
    assert materials_named("", "无添加香精") == set()
    assert materials_named("", "水、食用酒精") == {"edible_alcohol"}
    assert materials_named("", "不含糖，含食用酒精") == {"edible_alcohol"}


@pytest.mark.once
def test_other_names_of_the_same_substance_are_known() -> None:
    for name in ("食用酒\u00ad精", "Food grade alcohol", "Grain alcohol 95%"):
        assert materials_named("", name) == {"edible_alcohol"}, name
    for name in ("蛋白糖", "示例AK糖", "安塞蜜", "木糖醇", "甜味素", "罗汉果甜苷"):
        assert materials_named("", name) == {"sweetener"}, name
    assert materials_named("", "酒用己酸乙酯") == {"flavouring"}
    assert materials_named("", "核桃、蔗糖、赤小豆") == set()


@pytest.mark.parametrize(
    "typed",
    [
        "GB/T 10781.2-2022",
        "gb/t10781.2",
        "ＧＢ/Ｔ １０７８１.2",
        "GB/T10781-2",
        "GBT 10781.2",
        "ＧＢ／Ｔ　１０７８１．２",
        "gb/t 10781．2-2006",
        "GB∕T 10781 第2部分",
        "国标 10781.2",
        "GB/T lO781.2",
        "GB/T 10781.1-2021、10781.2-2022",
        "GB 2757、GB/T 10781.2",
        "GB2757,GB/T10781.2-2022",
        "GB/T 10345 GB/T10781.2",
        "Q/FJ 0001 GB/T 10781.2",
        "GB 2757、10781.2-2022",
        "GB/T 10781.2 2022",
        "国家标准 GB/T 10781.2",
    ],
)
def test_standard_typed_in_words_is_the_same_standard(typed: str) -> None:
    assert prohibition_for(None, typed) is not None


@pytest.mark.parametrize(
    "typed",
    [
        "GB/T 10781.20",
        "GB/T 20822-2007",
        "GB/T 10781-2022",
        "Q/FJ 10781.2-2020",
        "DB14/T 10781.2-2020",
        "DB1411/T 10781.2-2020",
        "Q/FJ 0001、10781.2",
        "GB 110781.2",
    ],
)
def test_other_part_of_the_standard_is_another_standard(typed: str) -> None:
    assert prohibition_for(None, typed) is None


def test_an_edition_of_the_catalogue_typed_as_text_is_that_edition(world: World) -> None:
    for typed, key, text in (
        ("gb/t 10781．2—2022 清香型白酒", "gbt10781_2_2022", ""),
        ("GB/T10781.2 2022《白酒质量要求 第2部分：清香型白酒》", "gbt10781_2_2022", ""),
        ("10781.2-2022", "gbt10781_2_2022", ""),
        ("GB/T 10781.2-2022 固液法白酒", None, "GB/T 10781.2-2022 固液法白酒"),
        ("企业标准 10781.2-2022", None, "企业标准 10781.2-2022"),
        ("团体标准10781.2-2022", None, "团体标准10781.2-2022"),
        ("T/10781.2-2022", None, "T/10781.2-2022"),
        ("Q/FJ 0001S（参照 GB/T 10781.2-2022）", None, "Q/FJ 0001S（参照 GB/T 10781.2-2022）"),
        ("GBT 10781.2", None, "GBT 10781.2"),
    ):
        edit_product(row=world.kernels, version=VersionInput(name="示例", standard_text=typed), by=world.walnuts)
        version = Product.objects.get(pk=world.kernels.pk).current
        assert version is not None
        assert (version.standard_id, version.standard_text) == (key, text)


def test_a_grade_typed_behind_the_edition_is_the_grade(world: World) -> None:
    typed_first, another = "GB/T 10781.2-2022 优级", "GB/T10781.2—2022 清香型白酒（一级品）"
    for typed, chosen, key, grade in (
        (typed_first, "", "gbt10781_2_2022", "优级"),
        (typed_first, "优级品", "gbt10781_2_2022", "优级品"),
        (another, "", "gbt10781_2_2022", "一级"),
        (typed_first, "一级", None, "一级"),
        ("GB/T 10781.2-2022 固液法 优级", "", None, ""),
    ):
        version = VersionInput(name="示例", standard_text=typed, grade=chosen)
        edit_product(row=world.kernels, version=version, by=world.walnuts)
        now = Product.objects.get(pk=world.kernels.pk).current
        assert now is not None
        assert (now.standard_id, now.grade) == (key, grade)
        assert now.standard_text == ("" if key else typed)


def test_product_of_another_standard_may_contain_it(world: World) -> None:
    base, product = spirit(world), bottled(world, standard="gbt20822_2007", code="GY")
    bad = make_product(
        world.distillery.organisation, "JJ2", "示例酒精", base_unit="LTR", kind="raw", material="edible_alcohol"
    )
    one, two = make_lot(world.distillery, base, "100"), make_lot(world.distillery, bad, "10")
    assert turn_into(world.distillery, [(one, "100"), (two, "10")], [(product, "200")])


def test_saying_later_what_the_ancestor_was_flags_what_was_made_of_it(world: World) -> None:
    base, product = spirit(world), bottled(world)
    unknown = make_product(world.distillery.organisation, "YL", "示例原料", base_unit="LTR", kind="raw")
    one, two = make_lot(world.distillery, base, "100"), make_lot(world.distillery, unknown, "10")
    (mixed,) = turn_into(world.distillery, [(one, "100"), (two, "10")], [(base, "110")], when=day(1))
    (made,) = turn_into(world.distillery, [(mixed, "100")], [(product, "180")], when=day(2))
    assert not Conflict.objects.exists()
    say_material(row=unknown, material="edible_alcohol", by=world.distillery)
    conflict = Conflict.objects.get()
    assert (conflict.code, conflict.lot, conflict.event) == ("forbidden_ancestor", made, made.origin_event)
    say_material(row=unknown, material="", by=world.distillery)
    say_material(row=unknown, material="sweetener", by=world.distillery)
    assert Conflict.objects.count() == 1
    assert refused(lambda: release_lot(by=world.distillery_quality, lot=made, when=day(4), reason="示例理由充分"))[
        -1
    ] == ("forbidden_ancestor")


def test_beginning_stated_again_with_a_forbidden_input_is_found_under_its_descendants(world: World) -> None:
    base, product = spirit(world), bottled(world)
    bad = make_product(
        world.distillery.organisation, "JJ2", "示例酒精", base_unit="LTR", kind="raw", material="edible_alcohol"
    )
    one, two = make_lot(world.distillery, base, "100"), make_lot(world.distillery, bad, "10")
    (mixed,) = turn_into(world.distillery, [(one, "100")], [(base, "100")], when=day(1))
    (made,) = turn_into(world.distillery, [(mixed, "90")], [(product, "180")], when=day(2))
    declare_error(by=world.distillery, event=mixed.origin_event, reason="incorrect_data", when=day(3))

    def restate(insist: bool) -> Event:
        return record_event(
            by=world.distillery,
            code="common.rework",
            when=day(1),
            data={"reason": "示例", "method": "示例"},
            inputs=[Portion(one, amount("100", base)), Portion(two, amount("5", bad))],
            outputs=[NewLot(product=base, amount=amount("100", base), restates=mixed)],
            replaces=mixed.origin_event,
            insist=insist,
        ).event

    with pytest.raises(GuardBroken) as error:
        restate(insist=False)
    (guard,) = error.value.broken
    assert (guard.code, guard.lot) == ("forbidden_ancestor", made)
    assert restate(insist=True).conflicts.get().lot == made


def test_smaller_bottle_said_later_does_not_make_room_for_more_of_the_old_ones(world: World) -> None:
    base, product = spirit(world), bottled(world)
    vat = make_lot(world.distillery, base, "100")
    (made,) = turn_into(world.distillery, [(vat, "100")], [(product, "200")], when=day(1))
    old = product.current
    assert old is not None
    product.current = ProductVersion.objects.create(
        product=product, number=old.number + 1, name=old.name, standard_id=old.standard_id, net_content="250 mL"
    )
    product.save(update_fields=["current"])
    declare_error(by=world.distillery, event=made.origin_event, reason="incorrect_data", when=day(3))
    made.refresh_from_db()
    again = NewLot(product=product, amount=amount("400", product), restates=made)
    assert refused(
        lambda: record_event(
            by=world.distillery,
            code="common.rework",
            when=day(1),
            data={"reason": "示例", "method": "示例"},
            inputs=[Portion(vat, amount("100", base))],
            outputs=[again],
            replaces=made.origin_event,
        )
    ) == ["more_out_than_in"]


# --- Origin ---------------------------------------------------------------------------------------------------------


def nuts(world: World, code: str, **more: Any) -> Product:
    return make_product(world.walnuts.organisation, code, "示例核桃", family="walnut_fenzhou", **more)


@pytest.fixture
def claimed(world: World) -> Product:
    """A product that claims to be Fenzhou walnuts."""
    return nuts(world, "HT", gi_claim="汾州核桃")


def harvested(world: World, division: str, *, kind: str = "plot") -> Lot:
    """Walnuts begun at a place of this division."""
    raw = Product.objects.filter(code="QP").first() or nuts(world, "QP", kind="raw")
    place = make_place(world.walnuts.organisation, kind=kind, division=division)
    return make_lot(world.walnuts, raw, "10", place=place)


def test_walnuts_of_every_fenyang_township_bear_the_claim(world: World, claimed: Product) -> None:
    lots = [harvested(world, code) for code in ("141182101", "141182003", "141182")]
    (made,) = turn_into(world.walnuts, [(lot, "10") for lot in lots], [(claimed, "20")])
    assert made.origin_event.flags == []


def test_one_foreign_plot_among_many_breaks_the_claim_and_is_named(world: World, claimed: Product) -> None:
    lots = [harvested(world, "141182101"), harvested(world, "650000")]
    with pytest.raises(GuardBroken) as error:
        turn_into(world.walnuts, [(lot, "10") for lot in lots], [(claimed, "15")])
    (guard,) = error.value.broken
    assert guard.code == "gi_foreign"
    assert lots[1].code in guard.message


@pytest.mark.parametrize("division", ["141181", "141100", "140000"])
def test_origin_that_may_be_inside_cannot_be_shown(world: World, claimed: Product, division: str) -> None:
    (made,) = turn_into(world.walnuts, [(harvested(world, division), "10")], [(claimed, "5")])
    conflict = made.origin_event.conflicts.get()
    assert (conflict.code, conflict.details["warns"]) == ("gi_unproven", True)


def test_goods_bought_outside_are_not_from_where_they_were_received(world: World, claimed: Product) -> None:
    raw = nuts(world, "QP", kind="raw")
    seller = Organisation.objects.create(
        name="示例外地商行",
        kind="distributor",
        status="external",
        division_id="650000",
        kept_by=world.walnuts.organisation,
    )
    lot = take_in(
        by=world.walnuts,
        supplier=seller,
        product=raw,
        supplier_lot="X1",
        amount=amount("10", raw),
        when=day(0),
        place=world.plant,
        data={"inspection_result": "合格"},
    ).lots[0]
    (made,) = turn_into(world.walnuts, [(lot, "10")], [(claimed, "5")])
    assert made.origin_event.conflicts.get().code == "gi_unproven"


@pytest.mark.parametrize(
    ("origin", "code"),
    [
        ("650000", ["gi_foreign"]),
        ("云南省楚雄州大姚县", ["gi_foreign"]),
        ("云南", ["gi_foreign"]),
        ("Yunnan", ["gi_foreign"]),
        ("山西省汾阳市杏花村镇", []),
        ("141182101", []),
        ("山西省", ["gi_unproven"]),
        ("云南路市场", ["gi_unproven"]),
        ("山里", ["gi_unproven"]),
        ("", ["gi_unproven"]),
    ],
)
def test_goods_bought_are_from_where_the_receipt_says_they_grew(
    world: World, claimed: Product, origin: str, code: list[str]
) -> None:
    raw = nuts(world, "QP", kind="raw")
    data = {"inspection_result": "合格", **({"origin": origin} if origin else {})}
    lot = take_in(
        by=world.walnuts, supplier=world.shop.organisation, product=raw, supplier_lot="X1", amount=amount("10", raw),
        when=day(0), place=world.plant, data=data,
    ).lots[0]  # fmt: skip
    if code == ["gi_foreign"]:
        assert refused(lambda: turn_into(world.walnuts, [(lot, "10")], [(claimed, "5")])) == code
    else:
        (made,) = turn_into(world.walnuts, [(lot, "10")], [(claimed, "5")])
        assert [row.code for row in made.origin_event.conflicts.all()] == code


def test_stock_begun_in_a_store_proves_no_origin(world: World, claimed: Product) -> None:
    (made,) = turn_into(world.walnuts, [(harvested(world, "141182101", kind="store"), "10")], [(claimed, "5")])
    assert made.origin_event.conflicts.get().code == "gi_unproven"


def test_foreign_nuts_said_to_be_dates_still_count_for_their_family(world: World, claimed: Product) -> None:
    raw = nuts(world, "ZAO", kind="raw", material="date")
    place = make_place(world.walnuts.organisation, kind="plot", division="650000")
    lot = make_lot(world.walnuts, raw, "10", place=place)
    assert refused(lambda: turn_into(world.walnuts, [(lot, "10")], [(claimed, "5")])) == ["gi_foreign"]


def test_millet_is_from_the_seven_townships_only(world: World) -> None:
    paddy = make_product(world.walnuts.organisation, "GZ", "示例谷子", family=PADDY, kind="raw")
    bag = make_product(world.walnuts.organisation, "XM", "示例小米", family=PADDY, gi_claim="汾州香小米")
    for division, fine in (("141182108", True), ("141182102", False)):
        place = make_place(world.walnuts.organisation, kind="plot", division=division)
        lot = make_lot(world.walnuts, paddy, "10", place=place)
        if fine:
            (made,) = turn_into(world.walnuts, [(lot, "10")], [(bag, "5")])
            assert made.origin_event.flags == []
        else:
            assert refused(lambda lot=lot: turn_into(world.walnuts, [(lot, "10")], [(bag, "5")])) == ["gi_foreign"]


def test_correcting_a_plot_later_is_held_against_what_was_made_of_it(world: World, claimed: Product) -> None:
    lot = harvested(world, "141182101")
    (made,) = turn_into(world.walnuts, [(lot, "10")], [(claimed, "5")])
    declare_error(by=world.walnuts, event=lot.origin_event, reason="incorrect_data", when=day(2))
    elsewhere = make_place(world.walnuts.organisation, kind="plot", division="650000")
    event = record_event(
        by=world.walnuts,
        code="common.opening",
        when=day(0),
        place=elsewhere,
        data={"basis": "示例台账"},
        outputs=[NewLot(product=lot.product, amount=amount("10", lot.product), place=elsewhere, restates=lot)],
        replaces=lot.origin_event,
        insist=True,
    ).event
    assert [(row.code, row.lot) for row in event.conflicts.all()] == [("gi_foreign", made)]


# --- Harvest --------------------------------------------------------------------------------------------------------


def test_white_dew_is_the_published_day() -> None:
    # Days of 白露 in September as published by the Purple Mountain Observatory's calendars, 2015–2030.
    days = [8, 7, 7, 8, 8, 7, 7, 7, 8, 7, 7, 7, 8, 7, 7, 7]
    assert [solar_term("白露", 2015 + number).day for number in range(len(days))] == days


def test_harvest_before_white_dew_warns_and_is_recorded(world: World) -> None:
    def harvest(day_of_september: int) -> Event:
        moment = datetime.datetime(2026, 9, day_of_september, 10, tzinfo=day(0).at.tzinfo)
        return record_event(
            by=world.walnuts,
            code="walnut.harvest",
            when=When(moment),
            place=world.plant,
            data={"harvest_date": moment.date().isoformat()},
            outputs=[NewLot(product=world.kernels, amount=amount("10", world.kernels))],
        ).event

    assert [flag["code"] for flag in harvest(6).flags] == ["early_harvest"]
    assert harvest(7).flags == []
