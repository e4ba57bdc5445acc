"""From the answers of a step's form to what the action takes: doors for every name, exact amounts, checked fields.

Every refusal is put beside the control it is about, all of them at once.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from django.utils import timezone
from django.utils.translation import gettext as _

from trace.access import (
    event_for,
    loose_files_of,
    lot_for,
    organisation_for,
    organisations_visible_to,
    place_for,
    product_for,
    report_for,
)
from trace.actions.capture import NewLot
from trace.actions.events import Portion, When
from trace.actions.evidence import ResultEntry
from trace.actions.old_codes import code_or_old
from trace.actions.registry import PlaceInput
from trace.actions.steps import NewParty, ReportEntry, StepEntry
from trace.crossing import old_code_key
from trace.errors import DomainError, FieldErrors, Invalid, NotFound
from trace.event_templates import (
    Column,
    TemplateField,
    clean_cell,
    parse_day,
    parse_measured,
    parse_moment,
    validate_data,
)
from trace.identifiers import normalise_captured_lot_code, normalise_cma, normalise_lot_code
from trace.models import Division, HoldSet, Lot, Organisation, Place, Product
from trace.packs import sizes_of, unit_code
from trace.scanned import scanned_lot
from trace.text import clean_text, fold_width
from trace.units import UNITS, EnteredAmount, check_number, decimal_text, find_unit, parse_amount, split_amount

if TYPE_CHECKING:
    from trace.forms.steps import StepForm

T = TypeVar("T")
DATA = "d_"
CHINA = 480
# How a report writes its limit; without a sign a limit is an upper one.
_SIGNS = {"<=": "<=", "≤": "<=", "不超过": "<=", "": "<=", ">=": ">=", "≥": ">=", "不低于": ">="}
_LIMIT = re.compile(f"({'|'.join(_SIGNS)})" + r"\s*([0-9]+(?:\.[0-9]+)?)")
_REMARK_MAX = 2000
SUPPLIER_CODE_MAX = 60


class Reader:
    """One reading of one form. Collects refusals on the form; what could not be read is None."""

    def __init__(self, form: StepForm) -> None:
        self.form = form
        self.plan = form.plan
        self.actor = form.offer.actor
        self.failed = False
        self.restated: set[int] = set()

    def raw(self, name: str) -> str:
        """What was typed, or the empty string. Half a character is refused: bytes that are no text arrive as U+FFFD."""
        value = self.form.cleaned_data.get(name)
        if value is None:
            return ""
        text = value if isinstance(value, str) else str(value)
        if "\ufffd" in text[:100_000]:
            raise Invalid(_("文字里有残缺的字符（半个表情符号），请删去后重新输入。"), code="text_surrogate")
        return text

    def typed(self, name: str) -> bool:
        """Whether anything was typed."""
        return bool(str(self.form.cleaned_data.get(name) or "").strip())

    def read(self, name: str, run: Callable[..., T], *args: Any) -> T | None:
        """Run a check for one control; its refusal stands there."""
        try:
            return run(*args)
        except DomainError as error:
            self.refuse(name, error)
            return None

    def refuse(self, name: str, error: DomainError) -> None:
        """Note a refusal."""
        self.failed = True
        self.form.refuse(name, error)

    # --- Time and place ---------------------------------------------------------------------------------------------

    def when(self) -> When | None:
        """Day and minute; without the minute the event is precise to the day."""
        day = self.read("when_on", lambda: parse_day(self._required("when_on")))
        minute = self.read("when_at", self._minute) if self.typed("when_at") else None
        if day is None or (self.typed("when_at") and minute is None):
            return None
        china = datetime.timezone(datetime.timedelta(minutes=CHINA))
        at = datetime.datetime.combine(day, minute or datetime.time(), china)
        if at > timezone.now() + datetime.timedelta(minutes=5):
            self.refuse("when_on", Invalid(_("时间在将来，请核对日期和时间。"), code="in_future"))
            return None
        return When(at, CHINA, "minute" if minute is not None else "day")

    def _minute(self) -> datetime.time:
        return parse_moment(f"2000-01-01 {self.raw('when_at')[:20]}").timetz().replace(tzinfo=None)

    def _required(self, name: str) -> str:
        text = self.raw(name)
        if not text.strip():
            raise Invalid(_("这一项必须填写。"), code="required")
        return text

    def place(self) -> Place | None:
        """The place chosen; asked for where the step cannot do without."""
        if "place" not in self.form.fields:
            return None
        if not self.typed("place"):
            if self.form.fields["place"].required:
                self.refuse("place", Invalid(_("请选择地点。"), code="place_required"))
            return None
        return self.read("place", lambda: self._own(place_for(self.actor, self.raw("place"))))

    def _own(self, place: Place) -> Place:
        """A cooperative's clerk chooses places of whom the step is entered for, not of another grower."""
        if place.organisation_id != self.actor.owner.pk:
            raise NotFound(_("没有找到，或者您无权查看。"))
        return place

    def new_place(self) -> PlaceInput | None:
        """The plot that is registered with the step."""
        if not self.plan.registers_plot or self.typed("place"):
            return None
        name = self.read("plot_name", lambda: clean_text(self.raw("plot_name"), 80, required=True))
        division = self.read("plot_division", lambda: self._division("plot_division"))
        if name is None or division is None:
            return None
        words = {"area_mu": "area_mu", "crop": "variety", "altitude_m": "altitude"}
        facts = {fact: self.raw(f"{DATA}{key}")[:60] for fact, key in words.items()}
        return PlaceInput(name=name, kind=Place.Kind.PLOT, division=division, facts=facts)

    def _division(self, name: str) -> Division:
        found = Division.objects.filter(pk=self.raw(name)[:12]).first() if "\x00" not in self.raw(name) else None
        if found is None:
            raise Invalid(_("请从列表中选择。"), code="division_unknown")
        return found

    # --- Lots -------------------------------------------------------------------------------------------------------

    def portions(self, key: str) -> list[tuple[str, Portion]]:
        """The rows filled in, each with the name of its row."""
        found: list[tuple[str, Portion]] = []
        for number in range(self.form.rows_of(key)):
            name = f"{key}-{number}"
            blank = not any(self.typed(f"{name}-{part}") for part in ("lot", "code", "amount"))
            if blank and number > 0 and not self.form.fields[f"{name}-lot"].required:
                continue
            portion = self._portion(name, asks_amount=f"{name}-amount" in self.form.fields)
            if portion is not None:
                found.append((name, portion))
            elif key == "inputs":
                self._columns(name, self.plan.input_columns)
        return found

    def _portion(self, name: str, *, asks_amount: bool) -> Portion | None:
        """One row: the lot by choice or code, where it lies, how much of it."""
        chosen = not self.typed(f"{name}-code") and bool(self.form.offer.lots or self.form.start.lots)
        found = self.read(f"{name}-lot" if chosen else f"{name}-code", self._lot, name)
        needed = name.startswith("inputs") or self.plan.amount == "required"
        amount = None
        if found is not None and asks_amount and (needed or self.typed(f"{name}-amount")):
            amount = self.amount(name, found[0].product, found[0])
            if amount is None:
                return None
        if found is None:
            if asks_amount and (needed or self.typed(f"{name}-amount")):
                self.read(f"{name}-amount", lambda: check_number(self.raw(f"{name}-amount")))
            return None
        lot, place, unit = found
        return Portion(lot=lot, amount=amount, place=place, unit=unit)

    def _lot(self, name: str) -> tuple[Lot, Place | None, Any]:
        """The lot of a row. What was typed wins: it is what the person has in hand."""
        if self.typed(f"{name}-code"):
            found = scanned_lot(self.actor, self.raw(f"{name}-code"))
            return found.lot, None, found.unit
        if not self.typed(f"{name}-lot"):
            raise Invalid(_("请选择批次，或输入批号。"), code="required")
        uid, _at, where = self.raw(f"{name}-lot").partition("@")
        lot = lot_for(self.actor, uid)
        return lot, self._own(place_for(self.actor, where)) if where else None, None

    def amount(self, name: str, product: Product, lot: Lot | None = None) -> EnteredAmount | None:
        """The amount of a row in its unit, exact. A unit written behind the number (1000斤) goes before the preset one.

        Refused (``unit_twice``) where another unit than the product's own was chosen beside it.
        """
        packs = sizes_of(lot) if lot is not None else product.current.packs if product.current else {}

        def parsed() -> EnteredAmount:
            text, written = split_amount(self.raw(f"{name}-amount"))
            unit = self.raw(f"{name}-unit").strip() or product.base_unit
            if written:
                meant, chosen = (find_unit(one, product.base_unit, packs)[0] for one in (written, unit))
                if chosen not in (meant, product.base_unit):
                    message = _("数量里写了“%(one)s”，单位选了“%(other)s”，请只留一个。")
                    raise Invalid(message % {"one": written[:10], "other": unit[:10]}, code="unit_twice")
                unit = written
            return parse_amount(text, unit, product.base_unit, packs)

        try:
            return parsed()
        except Invalid as error:
            self.refuse(f"{name}-{'unit' if error.code == 'unit_unknown' else 'amount'}", error)
            return None

    def outputs(self) -> list[tuple[str, NewLot]]:
        """The lots that begin, each with the name of its row."""
        found: list[tuple[str, NewLot]] = []
        for number in range(self.form.rows_of("outputs")):
            name = f"outputs-{number}"
            typed = [f"{name}-amount", f"{name}-lot_code", *self._cells(name)]
            if number > 0 and not any(self.typed(part) for part in typed):
                continue
            made = self._output(name)
            if made is not None:
                found.append((name, made))
            else:
                self._columns(name, self.plan.output_columns)
        return found

    def _cells(self, name: str) -> list[str]:
        """Names of the row's own fields that are typed (not chosen)."""
        return [f"{name}-f_{each.key}" for each in self.plan.output_fields] + [
            f"{name}-x_{column.key}" for column in self.plan.output_columns
        ]

    def _output(self, name: str) -> NewLot | None:
        """One row of goods."""
        product = self.read(f"{name}-product", self._product, name)
        amount = self.amount(name, product) if product is not None else None
        if product is None:
            self.read(f"{name}-amount", lambda: check_number(self.raw(f"{name}-amount")))
        lot_code = self.read(f"{name}-lot_code", self._lot_code, name)
        facts = self._facts_of(name, product)
        days = {
            key: self.read(f"{name}-{key}", lambda key=key: parse_day(self.raw(f"{name}-{key}")))
            for key in ("produced_on", "expires_on")
            if self.typed(f"{name}-{key}")
        }
        if product is None or amount is None or lot_code is None or facts is None:
            return None
        restated = self._restated(name, product, lot_code)
        return NewLot(
            product=product,
            amount=amount,
            lot_code=lot_code,
            produced_on=days.get("produced_on"),
            expires_on=days.get("expires_on"),
            restates=restated,
            facts=facts,
        )

    def _product(self, name: str) -> Product:
        if not self.typed(f"{name}-product"):
            raise Invalid(_("请选择产品。"), code="required")
        product = product_for(self.actor, self.raw(f"{name}-product"), write=True)
        if product.organisation_id != self.actor.owner.pk:
            raise NotFound(_("没有找到，或者您无权查看。"))
        return product

    def _lot_code(self, name: str) -> str:
        """The code asked for, in its canonical form; blank where one is made."""
        if not self.typed(f"{name}-lot_code"):
            if self.plan.lot_code_required:
                raise Invalid(_("请填写批号。"), code="lot_code_required")
            return ""
        text = self.raw(f"{name}-lot_code")
        if self.plan.moves != "receive":
            return normalise_lot_code(text)
        code, odd = code_or_old(text, normalise_captured_lot_code)
        return code or clean_text(odd, SUPPLIER_CODE_MAX)

    def _facts_of(self, name: str, product: Product | None) -> dict[str, Any] | None:
        """The template's fields of this one lot, checked; None where something was refused. By-products need none."""
        if not self.plan.template.output_fields:
            return {}
        given = {each.key: self._value(each, f"{name}-f_{each.key}") for each in self.plan.output_fields}
        return self._checked(
            {key: value for key, value in given.items() if value is not None},
            part="output",
            names={each.key: f"{name}-f_{each.key}" for each in self.plan.output_fields},
            spared=product is not None and product.kind == Product.Kind.BYPRODUCT,
        )

    def _restated(self, name: str, product: Product, lot_code: str) -> Lot | None:
        """The lot that keeps its identity in a corrected statement: the same goods under the same code, once."""
        if self.form.start.replaces is None or not self.typed(f"{name}-restates"):
            return None
        lot = self.read("", lambda: lot_for(self.actor, self.raw(f"{name}-restates"), write=True))
        if lot is None or lot.origin_event_id != self.form.start.replaces.pk or lot.voided_by_id is None:
            return None
        same = lot_code in ("", lot.lot_code) or lot.old_codes.filter(key=old_code_key(lot_code)).exists()
        if lot.product_id != product.pk or not same or lot.pk in self.restated:
            return None
        self.restated.add(lot.pk)
        return lot

    # --- The template's own fields ----------------------------------------------------------------------------------

    def data(
        self,
        when: When | None,
        place: Place | None,
        inputs: list[tuple[str, Portion]],
        outputs: list[tuple[str, NewLot]],
    ) -> dict[str, Any] | None:
        """The event's fields, checked by the template; None where something was refused."""
        given: dict[str, Any] = {}
        for each in self.plan.fields:
            value = self._table(each) if each.columns else self._value(each, f"{DATA}{each.key}")
            if value is not None:
                given[each.key] = value
        if self.plan.when is not None and when is not None:
            own = self.plan.when.type == "datetime"
            given[self.plan.when.key] = when.at.isoformat() if own else when.at.date().isoformat()
        if self.plan.place is not None and place is not None:
            given[self.plan.place.key] = str(place.uid)
        given |= self._lists(inputs, outputs)
        if self.plan.counts_pieces and outputs:
            pieces = _pieces([made for _name, made in outputs])
            if pieces is None:
                error = Invalid(_("请按瓶、袋、件等包装单位填写数量（整数）。"), code="amount_not_whole")
                self.refuse("outputs-0-unit", error)
            else:
                given[self.plan.template.amount_field] = pieces
        return self._checked(
            given, part="event", names={each.key: self._control(each.key) for each in self.plan.fields}
        )

    def _lists(self, inputs: list[tuple[str, Portion]], outputs: list[tuple[str, NewLot]]) -> dict[str, Any]:
        """Fields with one row per lot, from the rows of lots and what is asked beside them."""
        template = self.plan.template
        found: dict[str, Any] = {}
        if self.plan.input_columns:
            found[template.input_list_field] = [
                {
                    "lot": str(portion.lot.uid),
                    "litres": decimal_text(portion.amount.micros) if portion.amount else "",
                    **self._columns(name, self.plan.input_columns),
                }
                for name, portion in inputs
            ]
        if self.plan.output_columns:
            found[template.output_list_field] = [
                {
                    "litres": decimal_text(made.micros),
                    **self._columns(name, self.plan.output_columns),
                }
                for name, made in outputs
            ]
        return {key: rows for key, rows in found.items() if rows}

    def _columns(self, name: str, columns: Sequence[Column]) -> dict[str, str]:
        """What stands beside a lot, also beside one that nobody knows; a blank or what cannot be is refused there."""
        row: dict[str, str] = {}
        for column in columns:
            cell = f"{name}-x_{column.key}"
            text = self.read(cell, lambda cell=cell, column=column: clean_cell(column, self._required(cell)))
            row[column.key] = text or "0"
        return row

    def _control(self, key: str) -> str:
        """The control of a field: the first cell of a table, the shared ones of date and place."""
        name = f"{DATA}{key}"
        if name in self.form.fields:
            return name
        return next((each for each in self.form.fields if each.startswith(f"{name}-0-")), "")

    def _value(self, each: TemplateField, name: str) -> Any:
        """What was typed into one field, names of known places and parties turned into their uid; None where blank."""
        if not self.typed(name):
            return None
        text = self.read(name, self.raw, name)
        if text is None:
            return None
        if each.type == "ref:Organisation":
            return self._known_party(text) or text
        if each.type == "list[ref:Location]":
            return self._known_places(text)
        if each.type == "ref:Lot":
            return self._known_lot(text)
        if each.type == "ref:TestReport":
            report = self.read(name, lambda: report_for(self.actor, text))
            return str(report.uid) if report is not None else None
        if each.type == "ref:Location" and each.key != "origin":
            place = self.read(name, lambda: self._own(place_for(self.actor, text)))
            return str(place.uid) if place is not None else None
        if each.type == "ref:Location":
            return next((str(row.uid) for row in self.form.offer.places if row.name == text.strip()), text)
        return text

    def _known_party(self, text: str) -> str | None:
        """The uid of the party with this very name, for what is typed from a list of names."""
        if len(text) > 160 or "\x00" in text:
            return None
        found = organisations_visible_to(self.actor).filter(name=text.strip()).values_list("uid", flat=True)[:2]
        return str(found[0]) if len(found) == 1 else None

    def _known_lot(self, text: str) -> str:
        """The uid of the lot with this code; what is not ours stays as typed (涂料名称与批号)."""
        if len(text) > 200:
            return text
        try:
            return str(scanned_lot(self.actor, text.split(" · ")[0]).lot.uid)
        except DomainError:
            return text

    def _known_places(self, text: str) -> Any:
        """Names one per line; those of own places as their uid."""
        if len(text) > 100_000 or "\x00" in text:
            return text
        names = [name for name in (part.strip() for part in re.split(r"[\n,，、;；]+", text)) if name]
        known = {place.name: str(place.uid) for place in self.form.offer.places}
        return [known.get(name, name) for name in names]

    def _table(self, each: TemplateField) -> list[dict[str, str]] | None:
        """The rows of a list; blank lines are left out."""
        key = f"{DATA}{each.key}"
        rows = []
        for number in range(self.form.rows_of(key)):
            names = {column.key: f"{key}-{number}-{column.key}" for column in each.columns}
            row = {column: self.read(name, self.raw, name) or "" for column, name in names.items() if self.typed(name)}
            if row:
                rows.append(row)
        return rows or None

    def _checked(
        self, given: Mapping[str, Any], *, part: Any, names: Mapping[str, str], spared: bool = False
    ) -> dict[str, Any] | None:
        """The data when the template takes them; otherwise each refusal at its control. Personal fields pass;
        ``spared``: all may be missing.
        """
        template = self.plan.template
        personal = {each.key for each in template.fields if each.personal}
        asked = {each.key for each in (*self.plan.fields, *self.plan.output_fields)}
        elsewhere = {each.key for each in template.fields if each.key not in asked}
        follows = {template.expires_on_field} if self._has_shelf_life() else set()
        kept = {key: value for key, value in given.items() if key not in personal}
        try:
            validate_data(template, kept, part=part, provided=elsewhere | follows | (set(names) if spared else set()))
        except FieldErrors as error:
            for key, wrong in error.fields.items():
                self.refuse(names.get(key, ""), wrong)
            return None
        for key in personal & set(given):
            if self.read(names.get(key, ""), lambda key=key: clean_text(given[key], 200)) is None:
                return None
        return dict(given)

    def _has_shelf_life(self) -> bool:
        """Whether an expiry date follows from the product where none was typed."""
        products = {str(each.uid): each for each in self.form.offer.products}
        chosen = products.get(str(self.form.cleaned_data.get("outputs-0-product") or ""))
        return bool(chosen and chosen.current and chosen.current.shelf_life_days)

    # --- The other side, the report, the rest -----------------------------------------------------------------------

    def party(self) -> Organisation | NewParty | None:
        """Who gave or got the goods: chosen, named, or new."""
        if not self.plan.party:
            return None
        if self.typed("party_name"):
            return self._named_party()
        if not self.typed("party"):
            self.refuse("party", Invalid(_("请选择或登记对方单位。"), code="party_required"))
            return None
        return self.read("party", lambda: organisation_for(self.actor, self.raw("party")))

    def _named_party(self) -> Organisation | NewParty | None:
        """A vetted organisation by its whole name or credit code; any other name is somebody new."""
        name = self.read("party_name", lambda: clean_text(self.raw("party_name"), 120, required=True))
        if name is None:
            return None
        rows = organisations_visible_to(self.actor).exclude(kind=Organisation.Kind.REGULATOR)
        known = rows.filter(status=Organisation.Status.ACTIVE)
        found = known.filter(name=name).first() or known.filter(uscc=name.upper()).first()
        if found is not None:
            return found
        division = self.read("party_division", lambda: self._division("party_division"))
        address = self.read("party_address", lambda: clean_text(self.raw("party_address"), 200))
        phone = self.read("party_phone", lambda: clean_text(self.raw("party_phone"), 40))
        kind = self.read("party_kind", lambda: self._required("party_kind"))
        if division is None or address is None or phone is None or kind is None:
            return None
        return NewParty(name=name, kind=kind, division=division, address=address, phone=phone)

    def report(self) -> ReportEntry | None:
        """The report, where one is given: a test cannot do without, a sample can."""
        if self.plan.moves != "sample" or not (self.plan.is_test or self.typed("report_no")):
            return None
        number = self.read("report_no", lambda: clean_text(self.raw("report_no"), 40, required=True))
        issued = self.read("issued_on", lambda: parse_day(self._required("issued_on")))
        if issued is not None and issued > timezone.localdate():
            self.refuse("issued_on", Invalid(_("报告日期在将来，请核对。"), code="in_future"))
        laboratory, name = self.laboratory(required=True)
        cma = self.read("lab_cma", lambda: normalise_cma(self.raw("lab_cma"))) if self.typed("lab_cma") else ""
        purpose = self.read("purpose", self._purpose)
        results = self._results()
        if number is None or issued is None or purpose is None or cma is None:
            return None
        return ReportEntry(number, issued, laboratory, name, cma, purpose, results)

    def _purpose(self) -> str:
        text = self._required("purpose")
        if text not in ("出厂检验", "型式检验", "委托检验", "监督抽查", "风险监测", "复检"):
            raise Invalid(_("请从列表中选择。"), code="unknown_choice")
        return text

    def laboratory(self, *, required: bool) -> tuple[Organisation | None, str]:
        """Who tested: a laboratory of the system, or a name."""
        if self.typed("lab_name"):
            name = self.read("lab_name", lambda: clean_text(self.raw("lab_name"), 120, required=True)) or ""
            return None, name
        if self.typed("lab"):
            return self.read("lab", lambda: organisation_for(self.actor, self.raw("lab"))), ""
        if required:
            self.refuse("lab", Invalid(_("请选择或填写检验机构。"), code="laboratory_required"))
        return None, ""

    def _results(self) -> list[ResultEntry]:
        """Results in the rows of the form (检验项目, 农残); those in fields of their own are read by the action."""
        found: list[ResultEntry] = []
        for each in self.plan.row_fields:
            for number, row in enumerate(self._table(each) or []):
                made = self.read(f"{DATA}{each.key}-{number}-measured", _result, row)
                if made is not None:
                    found.append(made)
        return found

    def codes(self, name: str) -> list[str]:
        """Codes of units, one per line or separated, each in its canonical form."""
        text = clean_text(self.raw(name), 100_000, True)
        return [unit_code(part) for part in re.split(r"[\s,，;；、]+", text) if part]

    def files(self) -> list[Any]:
        """Files uploaded now or with an earlier, refused sending of this form."""
        return loose_files_of(self.actor, self.form.kept)


def read_entry(form: StepForm) -> StepEntry | None:
    """What the form says, or None when anything was refused."""
    reader = Reader(form)
    plan = form.plan
    when, place, new_place = reader.when(), reader.place(), reader.new_place()
    inputs = reader.portions("inputs") if plan.inputs else []
    subjects = reader.portions("subjects") if plan.subjects else []
    outputs = reader.outputs() if plan.outputs else []
    data = reader.data(when, place, inputs, outputs)
    party, report = reader.party(), reader.report()
    remark = reader.read("remark", lambda: clean_text(reader.raw("remark"), _REMARK_MAX, True))
    more = _own_answers(reader)
    if plan.moves == "sample" and report is None and data is not None and not plan.is_test:
        data |= _sample_data(reader)
    if reader.failed or when is None or data is None:
        return None
    if report is not None:
        data.pop("items", None)  # the report gives them with their verdicts
    return StepEntry(
        code=plan.template.code,
        when=when,
        place=place,
        new_place=new_place,
        data=data,
        inputs=[portion for _name, portion in inputs],
        outputs=[made for _name, made in outputs],
        subjects=[portion for _name, portion in subjects],
        party=party,
        remark=remark or "",
        files=reader.files(),
        replaces=form.start.replaces,
        report=report,
        **more,
    )


def _own_answers(reader: Reader) -> dict[str, Any]:
    """What only one kind of step asks."""
    moves = reader.plan.moves
    if moves == "hold":
        kind = reader.read("hold_kind", reader._required, "hold_kind")
        if kind not in (None, HoldSet.Kind.HOLD, HoldSet.Kind.STOP_SALE):
            reader.refuse("hold_kind", Invalid(_("请从列表中选择。"), code="unknown_choice"))
        return {"hold_kind": kind}
    if moves == "release":
        chosen = reader.typed("release_report")
        report = (
            reader.read("release_report", lambda: report_for(reader.actor, reader.raw("release_report")))
            if chosen
            else None
        )
        reason = reader.read("release_reason", lambda: clean_text(reader.raw("release_reason"), 500, True))
        return {"release_report": report, "release_reason": reason or ""}
    if moves in ("pack", "unpack"):
        pack = reader.read("pack", lambda: unit_code(clean_text(reader._required("pack"), 400)))
        return {"pack": pack or "", "units": reader.read("units", reader.codes, "units") or []}
    if moves == "correct":
        wrong = reader.read("wrong", lambda: event_for(reader.actor, reader._required("wrong"), write=True))
        reason = reader.read("wrong_reason", reader._required, "wrong_reason")
        return {"wrong": wrong, "wrong_reason": reason or ""}
    return {}


def _sample_data(reader: Reader) -> dict[str, Any]:
    """A sample without its report yet: where it goes and what for."""
    laboratory, name = reader.laboratory(required=True)
    purpose = reader.read("purpose", reader._purpose)
    return {"lab": str(laboratory.uid) if laboratory else name or "-", "purpose": purpose or ""}


def _pieces(outputs: list[NewLot]) -> str | None:
    """How many packs came to be: as typed where packs were counted; None where the amount is no number of packs."""
    total = 0
    for new in outputs:
        counted = new.amount.unit not in UNITS or new.product.base_unit == "C62"
        if not counted or not new.amount.text.isdigit():
            return None
        total += int(new.amount.text)
    return str(total)


def _result(row: Mapping[str, str]) -> ResultEntry:
    """One row of 检验项目 as a result, its limit read from what stands in the report (≤5.0)."""
    measured = parse_measured(row.get("measured", ""))
    name = clean_text(row.get("parameter", ""), 120, required=True)
    limit = _LIMIT.fullmatch(fold_width(clean_text(row.get("limit", ""), 40)))
    return ResultEntry(
        parameter=name[:60],
        name=name,
        value=measured.value,
        operator=measured.operator,
        loq=measured.loq,
        unit=clean_text(row.get("unit", ""), 20),
        limit_operator=_SIGNS[limit[1]] if limit else "",
        limit_value=limit[2] if limit else "",
        limit_source=_("报告所载") if limit else "",
        method=clean_text(row.get("method", ""), 80),
    )
