"""One label for each verdict a scanned page can give, so that all of them can be seen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from desk.demo.stage import LATER, Stage, plus
from labels.actions.runs import except_units, issue_codes, judge_copy, record_print
from labels.contents import uri_of
from labels.digital_link import build_unit_uri
from labels.models import CodeException, CodeRun
from labels.verdict import Verdict
from trace.actions.holds import place_hold
from trace.models import Unit

NEVER_ISSUED = "0" * 12
EXAMPLES = {
    Verdict.OK: ("demo-bottled_new", 1),
    Verdict.RECALLED: ("demo-pouch_1", 4),
    Verdict.MAYBE_RECALLED: ("demo-millet_bags-units", 5),
    Verdict.VOID: ("demo-bottled_light", 60),
    Verdict.SUSPICIOUS: ("demo-bottled_new", 10),
    Verdict.HELD: ("demo-millet_held", 1),
    Verdict.EXPIRED: ("demo-millet_old", 1),
}
"""Key of the run and position of a label; of 查无此码 there is no label by its nature."""
SOUND: dict[str, Any] = {
    "moisture": "12.3",
    "imperfect": "0.6",
    "impurity": "0.2",
    "broken": "2.0",
    "cadmium": "0.02",
    "lead": "0.05",
    "afb1": "0.5",
}
VERDICT_WORDS = {
    Verdict.OK: "信息正常",
    Verdict.RECALLED: "已召回",
    Verdict.MAYBE_RECALLED: "可能已召回，请核对在哪里买的",
    Verdict.VOID: "已作废",
    Verdict.SUSPICIOUS: "疑似复制",
    Verdict.HELD: "封存调查中",
    Verdict.EXPIRED: "已过保质期",
    Verdict.UNKNOWN: "查无此码",
}


def build_verdicts(stage: Stage) -> None:
    """A void label, one that a person judged to be copied, a lot put on hold and a lot past its date."""
    for key, days, code in (("millet_old", 400, "CX2410"), ("millet_held", 90, "CX2508")):
        when = stage.ago(days)
        stage.step(
            "common.opening",
            "mill",
            when,
            place="mill_hall",
            outputs=[(key, "millet_bag", "24")],
            codes={key: code},
            basis="示例盘点表",
            production_date=plus(when, -5),
            best_before=plus(when, 355),
        )
        stage.test(f"test_{key}", "mill", stage.ago(days - 1), key, f"示例检字 {code}", code="millet.test", **SOUND)
        stage.release("mill_quality", stage.ago(days - 2), key)
        printed = stage.ago(days - 2, 14)
        run = issue_codes(
            by=stage.actors["mill"], lot=stage.lots[key], count=24, key=f"demo-{key}", when=printed, at=printed.at
        )
        record_print(by=stage.actors["mill"], run=run, first=1, last=24, at=printed.at + LATER)
    place_hold(
        by=stage.actors["mill_quality"],
        lots=[stage.lots["millet_held"]],
        reason="出厂复检水分偏高，等待第二次检测结果",
        when=stage.ago(6),
        at=stage.ago(6).at,
    )
    void, copied = _labelled(*EXAMPLES[Verdict.VOID]), _labelled(*EXAMPLES[Verdict.SUSPICIOUS])
    if void is not None and copied is not None:
        except_units(
            by=stage.actors["distillery"],
            units=[void[1]],
            kind=CodeException.Kind.VOID,
            reason="标签贴在破损的瓶上，瓶已报废",
            at=stage.ago(30).at,
        )
        judge_copy(
            by=stage.actors["distillery_quality"],
            lot=copied[1].lot,
            unit=copied[1],
            copied=True,
            reason="一天内在三个省被扫，经电话核实，两处的瓶子不是本厂的",
            at=stage.ago(2).at,
        )


def _labelled(key: str, position: int) -> tuple[CodeRun, Unit] | None:
    """One label of the demonstration; None where this is another database."""
    run = CodeRun.objects.filter(key=key).first()
    if run is None:
        return None
    unit = Unit.objects.select_related("lot").filter(run=run.uid, number=run.first_number + position - 1).first()
    return (run, unit) if unit is not None else None


def example_links() -> Iterator[tuple[Verdict, str]]:
    """Each verdict with the address, on the running server, of a label that gives it. (A label keeps the address it was
    printed with.)
    """
    for verdict, where in EXAMPLES.items():
        found = _labelled(*where)
        if found is not None:
            printed = urlsplit(uri_of(*found))
            yield verdict, settings.PUBLIC_BASE_URL.rstrip("/") + printed._replace(scheme="", netloc="").geturl()
    yield Verdict.UNKNOWN, build_unit_uri(settings.PUBLIC_BASE_URL, gtin=None, serial=NEVER_ISSUED)
