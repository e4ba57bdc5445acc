"""The types of the API: strangers' values made safe before they reach a rule, and the shapes several routers answer
with.
"""

import datetime
import json
import re
import uuid
from dataclasses import dataclass
from typing import Annotated, Any

from django.http import HttpRequest
from django.utils.translation import gettext as _
from ninja.parser import Parser
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError, core_schema

from trace.errors import Invalid
from trace.text import clean_int, clean_text
from trace.units import decimal_text

_DEEPEST = 30
_INTEGER_BOUND = 2**63
_SURROGATE = re.compile("[\ud800-\udfff]")


class In(BaseModel):
    """What a client sends. A name we do not know is refused: a misspelt optional field must not be lost in silence."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Out(BaseModel):
    """What we answer."""

    model_config = ConfigDict(frozen=True)


def refused(error: Invalid) -> PydanticCustomError:
    """A rule's refusal as pydantic's, so that it is reported with its place."""
    return PydanticCustomError(error.code, "{detail}", {"detail": error.message})


@dataclass(frozen=True)
class Text:
    """Marks a string: cleaned by ``trace.text.clean_text`` (NFC, no NUL, surrogates, controls), at most
    ``max_length``.
    """

    max_length: int
    multiline: bool = False
    required: bool = False

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Replace pydantic's own string check."""
        return core_schema.no_info_plain_validator_function(self._clean)

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """What the OpenAPI document says of it."""
        return {"type": "string", "maxLength": self.max_length} | ({"minLength": 1} if self.required else {})

    def _clean(self, value: Any) -> str:
        try:
            text = value if value is not None else 0  # null is no text; an optional field says so in its type
            return clean_text(text, self.max_length, self.multiline, required=self.required)
        except Invalid as error:
            raise refused(error) from None


@dataclass(frozen=True)
class Whole:
    """Marks a whole number between two bounds, both included, so that it fits every column it may reach."""

    minimum: int
    maximum: int

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Replace pydantic's own integer check."""
        return core_schema.no_info_plain_validator_function(self._clean)

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """What the OpenAPI document says of it."""
        return {"type": "integer", "minimum": self.minimum, "maximum": self.maximum}

    def _clean(self, value: Any) -> int:
        try:
            return clean_int(value, self.minimum, self.maximum)
        except Invalid as error:
            raise refused(error) from None


def _only_text(value: Any) -> Any:
    """Refuse numbers where a date is meant: pydantic would read them as seconds since 1970."""
    if isinstance(value, (datetime.date, str)):
        return value
    raise PydanticCustomError("date_invalid", "{detail}", {"detail": _("日期和时间要写成文字，例如 2026-11-22。")})


def _plausible_day(value: datetime.date) -> datetime.date:
    """Refuse years that conversions between time zones would carry out of the calendar."""
    if not 1900 <= value.year <= 2199:
        raise PydanticCustomError("date_out_of_range", "{detail}", {"detail": _("年份应在 1900 到 2199 之间。")})
    return value


def _plausible_moment(value: datetime.datetime) -> datetime.datetime:
    _plausible_day(value)
    return value


def _day_written(value: Any) -> Any:
    """Only ``YYYY-MM-DD``: pydantic takes more spellings than we promise."""
    if isinstance(value, str) and not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        raise PydanticCustomError(
            "date_invalid", "{detail}", {"detail": _("没有这个日期。日期要写成 2026-11-22 的样子。")}
        )
    return _only_text(value)


Day = Annotated[
    datetime.date,
    BeforeValidator(_day_written),
    AfterValidator(_plausible_day),
    WithJsonSchema({"type": "string", "format": "date"}),
]
"""A calendar day, Asia/Shanghai."""

Moment = Annotated[
    AwareDatetime,
    BeforeValidator(_only_text),
    AfterValidator(_plausible_moment),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""An instant with its offset."""


def _uid(value: Any) -> str:
    """A UUID's text in the usual form."""
    if isinstance(value, str) and len(value) <= 60:
        try:
            return str(uuid.UUID(value))
        except ValueError:
            pass
    raise PydanticCustomError("uid_invalid", "{detail}", {"detail": _("这里应当是 UUID。")})


Uid = Annotated[str, BeforeValidator(_uid), WithJsonSchema({"type": "string", "format": "uuid"})]
"""The outside name of a thing, in a body or query."""

Named = Annotated[str, WithJsonSchema({"type": "string", "format": "uuid"})]
"""The outside name of a thing in a path: what is no UUID is simply not found."""


def _number(value: Any) -> str:
    """An amount as typed: decimal text, or a JSON number as written."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if isinstance(value, int) and abs(value) >= _INTEGER_BOUND:
            raise PydanticCustomError("amount_too_large", "{detail}", {"detail": _("数字太大，请核对。")})
        return repr(value)
    if isinstance(value, str):
        try:
            return clean_text(value, 60, required=True)
        except Invalid as error:
            raise refused(error) from None
    raise PydanticCustomError("amount_not_a_number", "{detail}", {"detail": _('数量要写成数字，例如 "1234.5"。')})


Number = Annotated[str, BeforeValidator(_number), WithJsonSchema({"type": ["string", "number"]})]
"""An exact decimal number. Send text: many JSON libraries round numbers."""

Code = Annotated[str, Text(82, required=True)]
"""A lot code, serial or other code as printed."""


class AmountIn(In):
    """How much, as the person counts: a decimal number and a unit code or one of the product's packs."""

    value: Number = Field(examples=["1250.5"])
    unit: Annotated[str, Text(12)] = Field(
        "", description="Unit code (KGM, LTR, C62, jin …) or pack name; the product's base unit when left out."
    )


class AmountOut(Out):
    """How much, exactly, in the product's base unit."""

    value: str = Field(examples=["1250.5"])
    unit: str = Field(examples=["KGM"])

    @classmethod
    def of(cls, micros: int, unit: str) -> "AmountOut":
        """From the integer millionths the database keeps."""
        return cls(value=decimal_text(micros), unit=unit)


class FieldProblem(Out):
    """One thing that is wrong and where."""

    in_: str = Field(serialization_alias="in", description="body, query, path or header")
    field: str
    code: str
    detail: str


class Problem(Out):
    """RFC 9457 problem details. Rely on `status` and `code`; `title` and `detail` are for people, in their language."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str
    errors: list[FieldProblem] = []
    details: dict[str, Any] = {}


class StrictParser(Parser):
    """JSON as both databases can keep it: no NaN, NUL, lone surrogates or integers beyond 64 bit anywhere."""

    def parse_body(self, request: HttpRequest) -> Any:
        """The document; refuses with a stable code what no column can hold."""
        document = json.loads(request.body.decode("utf-8-sig"), parse_constant=_no_constant)
        _check(document, 0)
        return document


def _no_constant(name: str) -> Any:
    """NaN and Infinity are not JSON."""
    raise Invalid(_("JSON 里不能有 %(name)s。") % {"name": name}, code="number_not_finite")


def _check(value: Any, depth: int) -> None:
    """Walk a parsed document and refuse what cannot be stored, wherever it stands."""
    if depth > _DEEPEST:
        raise Invalid(_("JSON 嵌套太深。"), code="json_too_deep")
    if isinstance(value, str):
        if "\x00" in value:
            raise Invalid(_("文字里有看不见的空字符（NUL），请删去后重新输入。"), code="text_nul")
        if _SURROGATE.search(value):
            raise Invalid(_("文字里有残缺的字符（半个表情符号），请删去后重新输入。"), code="text_surrogate")
    elif isinstance(value, float):
        if value in (float("inf"), float("-inf")):
            raise Invalid(_("数字太大，请核对。"), code="out_of_range")
    elif isinstance(value, int):
        if abs(value) >= _INTEGER_BOUND:
            raise Invalid(_("数字太大，请核对。"), code="out_of_range")
    elif isinstance(value, dict):
        for key, inner in value.items():
            _check(key, depth)
            _check(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            _check(inner, depth + 1)
