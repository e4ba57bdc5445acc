"""Form fields that refuse what a database would choke on, with the house's codes and sentences.

Every field cleans by the same function the action checks with, so pages and API answer alike. A refused value is
shown again shortened and without invisible characters.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from trace.errors import DomainError, FieldErrors, Invalid
from trace.models import Division
from trace.text import clean_int, clean_text, fold_width

T = TypeVar("T")
Choices = Iterable[tuple[Any, Any]]
REQUIRED: dict[str, Any] = {"required": gettext_lazy("这一项必须填写。")}
NOT_A_CHOICE = gettext_lazy("请从列表中选择。")
_SHOWN_MAX = 2000


def checked(run: Callable[..., T], *args: Any) -> T:
    """Run a check and turn its refusal into what Django's forms expect, code and all."""
    try:
        return run(*args)
    except Invalid as error:
        raise ValidationError(error.message, code=error.code) from error


def shown_again(data: Any) -> Any:
    """What a refused field repeats: no more than a screenful, nothing that cannot be written into a page."""
    if not isinstance(data, str):
        return data
    return "".join(char for char in data[:_SHOWN_MAX] if char != "\x00" and not "\ud800" <= char <= "\udfff")


class Text(forms.Field):
    """One line of text (or, with ``multiline``, several), at most ``max_length`` characters. Cleans to a string."""

    widget = forms.TextInput
    default_error_messages = REQUIRED

    def __init__(self, *, max_length: int, multiline: bool = False, autocomplete: str = "", **kwargs: Any) -> None:
        self.max_length = max_length
        self.multiline = multiline
        self.autocomplete = autocomplete
        if multiline:
            kwargs.setdefault("widget", forms.Textarea)
        super().__init__(**kwargs)

    def to_python(self, value: Any) -> str:
        """The cleaned text; blank is the empty string."""
        return checked(clean_text, value, self.max_length, self.multiline)

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        """The browser's own limit, and what it may fill in by itself."""
        attrs: dict[str, Any] = {"maxlength": str(self.max_length)}
        if self.autocomplete:
            attrs["autocomplete"] = self.autocomplete
        return attrs

    def bound_data(self, data: Any, initial: Any) -> Any:
        """What the page shows again."""
        return shown_again(data)


class Code(Text):
    """A number or code that ``normalise`` brings into its canonical form, or empty where not required.

    The browser gets no ``maxlength``: people paste codes with spaces, and the check says what is wrong.
    """

    def __init__(self, normalise: Callable[[str], str], **kwargs: Any) -> None:
        self.normalise = normalise
        kwargs.setdefault("max_length", 100)
        super().__init__(**kwargs)

    def to_python(self, value: Any) -> str:
        """The canonical form."""
        text = super().to_python(value)
        return checked(self.normalise, text) if text else ""

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        """Codes are no words: no autocorrection."""
        return {"autocapitalize": "characters", "spellcheck": "false", "autocomplete": self.autocomplete or "off"}


class Password(forms.CharField):
    """A password: kept as typed, 128 characters at most, never shown again."""

    widget = forms.PasswordInput
    default_error_messages = REQUIRED

    def __init__(self, *, autocomplete: str, **kwargs: Any) -> None:
        widget = forms.PasswordInput(attrs={"autocomplete": autocomplete})
        super().__init__(max_length=128, strip=False, widget=widget, **kwargs)


class Whole(forms.IntegerField):
    """A whole number between two bounds; full-width digits are understood, huge ones refused before conversion."""

    default_error_messages = REQUIRED

    def __init__(self, *, least: int, most: int, **kwargs: Any) -> None:
        self.least, self.most = least, most
        super().__init__(**kwargs)

    def to_python(self, value: Any) -> int | None:
        """The number, or None where blank."""
        if value is None or (isinstance(value, str) and not fold_width(value[:100]).strip()):
            return None
        return checked(clean_int, value, self.least, self.most)

    def bound_data(self, data: Any, initial: Any) -> Any:
        """What the page shows again."""
        return shown_again(data)


class Pick(forms.ChoiceField):
    """One of a list; what is not in it is not repeated in the error."""

    default_error_messages = {**REQUIRED, "invalid_choice": NOT_A_CHOICE}

    def bound_data(self, data: Any, initial: Any) -> Any:
        """What the page shows again."""
        return shown_again(data)


class PickSome(forms.MultipleChoiceField):
    """Some of a list, as check boxes."""

    widget = forms.CheckboxSelectMultiple
    default_error_messages = {
        "required": gettext_lazy("请至少选择一项。"),
        "invalid_choice": NOT_A_CHOICE,
        "invalid_list": NOT_A_CHOICE,
    }


def plausible(day: datetime.date | None) -> None:
    """Refuse years that conversions between time zones would carry out of the calendar (``out_of_range``)."""
    if day is not None and not 1900 <= day.year <= 2199:
        raise ValidationError(_("年份应在 1900 到 2199 之间，请核对。"), code="out_of_range")


class Day(forms.DateField):
    """A day by the browser's date picker, or typed as 2026-11-22."""

    default_error_messages = {**REQUIRED, "invalid": gettext_lazy("没有这个日期，请按 2026-11-22 的样子填写。")}

    def to_python(self, value: Any) -> datetime.date | None:
        """The date, or None where blank; full-width digits are understood."""
        if isinstance(value, str):
            value = fold_width(value[:40]).strip().replace("/", "-").replace(".", "-")
        found = super().to_python(value)
        plausible(found)
        return found

    def bound_data(self, data: Any, initial: Any) -> Any:
        """What the page shows again."""
        return shown_again(data)


class DivisionField(Pick):
    """An administrative division from the list; cleans to the ``Division``. ``counties_up`` leaves townships out."""

    def __init__(self, *, counties_up: bool = False, **kwargs: Any) -> None:
        super().__init__(choices=lambda: division_choices(counties_up=counties_up), **kwargs)

    def clean(self, value: Any) -> Division | None:
        """The division, or None where blank and not required."""
        code = super().clean(value)
        return Division.objects.get(pk=code) if code else None

    def prepare_value(self, value: Any) -> Any:
        """The code, also when the initial value is a division."""
        return value.pk if isinstance(value, Division) else value


def division_choices(*, counties_up: bool = False) -> list[tuple[str, Any]]:
    """Divisions for a select: the county and its townships first, then the province, then everything else."""
    near: list[tuple[str, str]] = []
    province: list[tuple[str, str]] = []
    far: list[tuple[str, str]] = []
    names = {row.pk: row for row in Division.objects.order_by("code")}
    for code, row in names.items():
        parent = names.get(row.parent_id or "")
        label = f"{parent.label} {row.label}" if parent is not None and len(code) == 6 else row.label
        if code.startswith("141182"):
            if len(code) == 6 or not counties_up:
                near.append((code, label))
        elif code.startswith("14"):
            province.append((code, label))
        else:
            far.append((code, label))
    return [("", _("请选择")), (_("汾阳市"), near), (_("山西省"), province), (_("其他地区"), far)]


def attempt(form: forms.BaseForm, run: Callable[[], T], fields: dict[str, str] | None = None) -> T | None:
    """Run an action with a valid form; None when the form is empty or wrong, or the action refused and the form says
    why.

    ``fields`` maps the action's names of fields to the form's where they differ; what belongs to no field stands
    above the form. Objects of strangers (404) and missing roles (403) are not for forms and pass through.
    """
    if not form.is_valid():
        return None
    try:
        return run()
    except FieldErrors as error:
        for key, wrong in error.fields.items():
            _put(form, (fields or {}).get(key, key), wrong)
    except DomainError as error:
        if error.status not in (409, 422):
            raise
        _put(form, (fields or {}).get(error.code, ""), error)
    return None


def _put(form: forms.BaseForm, name: str, error: DomainError) -> None:
    form.add_error(name if name in form.fields else None, ValidationError(error.message, code=error.code))
