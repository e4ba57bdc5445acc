"""The catalogue of standards and limits in the hands of regulators: every word said of a limit stays readable.

A limit that a regulator writes or verifies replaces what holds from then on; what was judged before keeps the limit it
was judged by, and the old words stand in ``LimitVersion``. Producers pledge stricter limits in their product's version.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from trace.actor import Actor
from trace.errors import Clash, Invalid, NotAllowed, NotFound, StaleState
from trace.gather import Gather
from trace.judging import number
from trace.limits import tests_of
from trace.models import EditLog, Limit, LimitVersion, Organisation, Product, ProductVersion, Standard
from trace.text import clean_text

OPERATORS = ("<=", ">=", "between")
APPLIES = ("", "<=1y", ">1y")
_SAID = ("operator", "value", "grades", "unit", "basis", "applies", "method")


@dataclass(frozen=True)
class LimitInput:
    """A limit as a regulator states it. ``value`` is a number, ``a~b`` for ``between``, or empty; ``grades`` maps a
    grade of the catalogue to its number. ``source`` says from which text; ``verified`` that it was compared with it.
    """

    operator: str
    value: str = ""
    grades: Mapping[str, str] = field(default_factory=dict)
    unit: str = ""
    basis: str = ""
    applies: str = ""
    method: str = ""
    source: str = ""
    verified: bool = False


@transaction.atomic
def state_limit(
    *, by: Actor, limit: Limit, said: LimitInput, seen: int | None = None, at: datetime.datetime | None = None
) -> LimitVersion:
    """A regulator says what a limit is, or confirms it; the words before stay as a version.

    ``seen`` is the version the editor saw (``stale_state`` when a newer one is there). Refuses others than a
    regulator's officer or approver, no source, numbers that are none (``not_a_number``), a verified limit without
    number (``value_required``), another limit of the same item for the same age (``limit_exists``).
    """
    _require_regulator(by)
    values, source = _checked(said)
    _one_at_a_time(limit.standard)
    limit = Limit.objects.select_for_update().get(pk=limit.pk)
    if seen is not None and seen != limit.version:
        raise StaleState(_("这个限值刚刚被别人更改，请刷新后重新填写。"))
    others = Limit.objects.filter(standard=limit.standard_id, parameter=limit.parameter, applies=values["applies"])
    if others.exclude(pk=limit.pk).exists():
        raise Clash(_("这一项对这个批龄已经有限值。"), code="limit_exists")
    if limit.version == 0:
        LimitVersion.objects.get_or_create(
            limit=limit,
            number=0,
            defaults={
                **{name: getattr(limit, name) for name in _SAID},
                "source": f"standards.yaml: {limit.evidence}"[:300],
                "verified": limit.verified_at is not None,
            },
        )
    return _say(limit, values, source, said.verified, by, at)


@transaction.atomic
def add_limit(
    *,
    by: Actor,
    standard: Standard,
    parameter: str,
    said: LimitInput,
    at: datetime.datetime | None = None,
) -> LimitVersion:
    """A further limit of an item the standard's editions know, for another age of the lot. Refuses as ``state_limit``;
    an item no edition knows (``unknown_choice``).
    """
    _require_regulator(by)
    values, source = _checked(said)
    known = Limit.objects.filter(standard=standard, parameter=parameter).first()
    if known is None:
        raise Invalid(_("请从列表中选择。"), code="unknown_choice")
    _one_at_a_time(standard)
    if Limit.objects.filter(standard=standard, parameter=parameter, applies=values["applies"]).exists():
        raise Clash(_("这一项对这个批龄已经有限值。"), code="limit_exists")
    limit = Limit.objects.create(
        standard=standard, parameter=parameter, name=known.name, evidence="regulator", applies=values["applies"]
    )
    return _say(limit, values, source, said.verified, by, at)


@dataclass(frozen=True)
class EditionInput:
    """An edition as a regulator enters it: its number with the year, and from which day it is in force."""

    number: str
    title: str
    effective_on: datetime.date
    source: str


@transaction.atomic
def add_edition(
    *, by: Actor, standard: Standard, edition: EditionInput, at: datetime.datetime | None = None
) -> Standard:
    """The next edition of a standard: the old one ends the day it begins. Its items are taken over without numbers, so
    that nothing is judged by it until a regulator fills them in.

    Refuses a standard that has a next edition (``already_replaced``), a day not after the old one's
    (``edition_dates``), a number the catalogue has (``edition_exists``).
    """
    _require_regulator(by)
    check = Gather()
    name = check("number", clean_text, edition.number, 80, required=True)
    title = check("title", clean_text, edition.title, 200, required=True)
    source = check("source", clean_text, edition.source, 300, True, required=True)
    key = re.sub(r"[^a-z0-9]+", "_", (name or "").lower()).strip("_")[:60]
    if name and (not key or Standard.objects.filter(pk=key).exists() or Standard.objects.filter(number=name).exists()):
        check.refuse("number", Invalid(_("目录里已经有这个编号。"), code="edition_exists"))
    if standard.effective_on is not None and edition.effective_on <= standard.effective_on:
        check.refuse("effective_on", Invalid(_("新版本的实施日期应晚于旧版本。"), code="edition_dates"))
    check.done()
    standard = Standard.objects.select_for_update(of=("self",)).get(pk=standard.pk)
    if standard.replaced_by_id is not None:
        raise Clash(_("这个标准已经有下一个版本。"), code="already_replaced")
    now = at or timezone.now()
    made = Standard.objects.create(
        key=key,
        number=name,
        title=title,
        kind=standard.kind,
        effective_on=edition.effective_on,
        evidence="regulator",
        source=source,
        verified_by=by.user,
        verified_at=now,
    )
    Limit.objects.bulk_create(
        Limit(
            standard=made,
            parameter=old.parameter,
            name=old.name,
            operator=old.operator,
            unit=old.unit,
            basis=old.basis,
            applies=old.applies,
            evidence="regulator",
        )
        for old in standard.limits.order_by("id")
    )
    _write_standard(standard, {"ended_on": edition.effective_on, "replaced_by_id": made.pk}, source, by, now)
    _log(made, "created", None, {"number": name, "source": source}, by, now)
    return made


@transaction.atomic
def date_standard(
    *,
    by: Actor,
    standard: Standard,
    effective_on: datetime.date | None,
    ended_on: datetime.date | None,
    source: str,
    at: datetime.datetime | None = None,
) -> Standard:
    """A regulator says from when to when an edition is in force (``ended_on`` is the first day it no longer is).

    Refuses no source, an end that is not after the beginning (``edition_dates``).
    """
    _require_regulator(by)
    check = Gather()
    words = check("source", clean_text, source, 300, True, required=True)
    if effective_on is not None and ended_on is not None and ended_on <= effective_on:
        check.refuse("ended_on", Invalid(_("废止日期应晚于实施日期。"), code="edition_dates"))
    check.done()
    row = Standard.objects.select_for_update(of=("self",)).get(pk=standard.pk)
    _write_standard(row, {"effective_on": effective_on, "ended_on": ended_on}, words, by, at or timezone.now())
    return row


@transaction.atomic
def declare_limits(
    *,
    by: Actor,
    row: Product,
    limits: Mapping[str, tuple[str, str]],
    seen: int | None = None,
    at: datetime.datetime | None = None,
) -> ProductVersion:
    """The producer pledges limits of its own: a new version of the product; lots made from now on are judged by the
    stricter of these and the standard's.

    ``limits`` maps a test's field to operator and number; an empty number pledges nothing. Refuses other organisations
    (404), items the product's tests do not have (``unknown_field``), numbers that are none, a product that ended.
    """
    if by.is_regulator or by.owner.pk != row.organisation_id:
        raise NotFound(_("没有找到，或者您无权查看。"))
    by.require("operator", "quality")
    row = Product.objects.select_for_update(of=("self",)).select_related("current", "organisation").get(pk=row.pk)
    if row.ended_at is not None or row.current is None:
        raise Clash(_("这个产品已停用，请先重新启用。"), code="product_ended")
    current = row.current
    if seen is not None and seen != current.number:
        raise StaleState(_("这个产品刚刚被别人更改，请刷新后重新填写。"))
    check = Gather()
    known = tests_of(row)
    declared: dict[str, dict[str, str]] = {}
    for key, (operator, value) in limits.items():
        if not value.strip():
            continue
        if key not in known:
            check.refuse(key, Invalid(_("这个产品的检验没有这一项。"), code="unknown_field"))
            continue
        text = check(key, checked_value, operator, value)
        declared[key] = {"operator": operator, "value": text or ""}
    check.done()
    if declared == current.declared_limits:
        return current
    kept = {each.attname for each in ProductVersion._meta.concrete_fields} - {"id", "uid", "number", "by_id", "at"}
    made = ProductVersion.objects.create(
        **{name: getattr(current, name) for name in kept if name != "declared_limits"},
        declared_limits=declared,
        number=current.number + 1,
        by=by.user,
        at=at or timezone.now(),
    )
    row.current = made
    row.save(update_fields=["current"])
    return made


def checked_value(operator: str, value: str) -> str:
    """A limit's number in its canonical form (``a~b`` for a range). Raises Invalid ``unknown_choice``,
    ``not_a_number``, ``range_order``.
    """
    if operator not in OPERATORS:
        raise Invalid(_("请从列表中选择。"), code="unknown_choice")
    text = clean_text(value, 40).replace("～", "~").replace(" ", "")
    parts = text.split("~") if operator == "between" else [text]
    numbers = [number(part) for part in parts]
    if len(parts) != (2 if operator == "between" else 1) or None in numbers:
        wanted = _("范围请写成 最低~最高，例如 52~54。") if operator == "between" else _("请填写数字。")
        raise Invalid(wanted, code="not_a_number")
    low, high = numbers[0], numbers[-1]
    if low is not None and high is not None and low > high:
        raise Invalid(_("最低值大于最高值，请核对。"), code="range_order")
    return text


# --- What they share ------------------------------------------------------------------------------------------------


def _require_regulator(by: Actor) -> None:
    """Only a vetted regulator's officer or approver speaks for the catalogue."""
    if not by.is_regulator or by.organisation.status != Organisation.Status.ACTIVE:
        raise NotAllowed(_("只有监管部门能更改标准目录。"), code="regulators_only")
    by.require("officer", "approver")


def _one_at_a_time(standard: Standard) -> None:
    """Whether a limit is there is asked while nobody else can state one of this standard."""
    Standard.objects.select_for_update(of=("self",)).get(pk=standard.pk)


def _checked(said: LimitInput) -> tuple[dict[str, Any], str]:
    """The checked words of a limit and their source."""
    check = Gather()
    if said.operator not in OPERATORS:
        check.refuse("operator", Invalid(_("请从列表中选择。"), code="unknown_choice"))
    value = check("value", checked_value, said.operator, said.value) if said.value.strip() else ""
    grades = {
        grade: check(f"grades.{grade}", checked_value, said.operator, text)
        for grade, text in said.grades.items()
        if text.strip()
    }
    if said.applies not in APPLIES:
        check.refuse("applies", Invalid(_("请从列表中选择。"), code="unknown_choice"))
    if said.verified and not value and not grades:
        check.refuse("value", Invalid(_("核对过的限值要有数字。"), code="value_required"))
    values = {
        "operator": said.operator,
        "value": value,
        "grades": grades,
        "unit": check("unit", clean_text, said.unit, 20),
        "basis": check("basis", clean_text, said.basis, 200),
        "applies": said.applies,
        "method": check("method", clean_text, said.method, 80),
    }
    source = check("source", clean_text, said.source, 300, True, required=True)
    check.done()
    return values, source or ""


def _say(
    limit: Limit, values: dict[str, Any], source: str, verified: bool, by: Actor, at: datetime.datetime | None
) -> LimitVersion:
    """Write the version and bring the row up to it."""
    now = at or timezone.now()
    old = limit.version
    said = LimitVersion.objects.create(
        limit=limit,
        number=old + 1,
        verified=verified,
        source=source,
        by=by.user,
        by_organisation=by.organisation,
        at=now,
        **values,
    )
    changed = {
        **values,
        "version": old + 1,
        "verified_by": by.user if verified else None,
        "verified_at": now if verified else None,
    }
    if not Limit.objects.filter(pk=limit.pk, version=old).update(**changed):
        raise StaleState(_("这个限值刚刚被别人更改，请刷新后重新填写。"))
    return said


def _write_standard(row: Standard, changes: Mapping[str, Any], source: str, by: Actor, now: datetime.datetime) -> None:
    """Change an edition's dates; old and new stand in the log with their source."""
    for name, new in changes.items():
        old = getattr(row, name)
        if old != new:
            _log(row, name, _plain(old), {"value": _plain(new), "source": source}, by, now)
            setattr(row, name, new)
    row.verified_by, row.verified_at = by.user, now
    row.save(update_fields=[*(name.removesuffix("_id") for name in changes), "verified_by", "verified_at"])


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime.date) else value


def _log(row: Standard, name: str, old: Any, new: Any, by: Actor, now: datetime.datetime) -> None:
    EditLog.objects.create(
        organisation=by.organisation,
        subject=subject_of_standard(row),
        field=name,
        old=old,
        new=new,
        public=True,
        by=by.user,
        at=now,
    )


def subject_of_standard(row: Standard) -> str:
    """The name of an edition in the log of changed master data."""
    return f"standard:{row.key}"
