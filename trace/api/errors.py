"""Every error of the API as RFC 9457 problem details, in the reader's language, with a stable ``code``."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from django.core.exceptions import BadRequest, PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.core.serializers.json import DjangoJSONEncoder
from django.core.signals import got_request_exception
from django.db import DataError, IntegrityError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, UnreadablePostError
from django.http.request import RawPostDataException
from django.utils.translation import gettext as _
from ninja import NinjaAPI
from ninja.errors import HttpError, Throttled, ValidationError

from trace.errors import DomainError, FieldErrors, NotSignedIn
from trace.text import printable

log = logging.getLogger("trace.api")

MEDIA_TYPE = "application/problem+json"
_MOST_ERRORS = 50


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    errors: Sequence[Mapping[str, Any]] = (),
    details: Mapping[str, Any] | None = None,
) -> HttpResponse:
    """One problem document. ``errors`` say what is wrong where (``in``, ``field``, ``code``, ``detail``); ``details``
    are facts.

    ``type`` is ``about:blank`` (RFC 9457, 4.2.1): the status and ``code`` say it all, and ``title`` is the status in
    words.
    """
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": _title(status),
        "status": status,
        "detail": detail,
        "code": code,
    }
    if errors:
        body["errors"] = list(errors)
    if details:
        body["details"] = dict(details)
    response = JsonResponse(
        body,
        status=status,
        content_type=MEDIA_TYPE,
        encoder=DjangoJSONEncoder,
        json_dumps_params={"ensure_ascii": False},
    )
    if status == 401:
        response["WWW-Authenticate"] = "Bearer"
    return response


def _title(status: int) -> str:
    """The status in words."""
    titles = {
        400: _("请求无法读懂"),
        401: _("没有登录"),
        403: _("没有权限"),
        404: _("没有找到"),
        405: _("不支持这种请求方法"),
        409: _("与现状冲突"),
        413: _("请求太大"),
        415: _("格式不支持"),
        422: _("内容有误"),
        429: _("请求太多"),
        503: _("暂时不能办理"),
    }
    return titles.get(status) or _("出错了")


def problem_of(error: DomainError) -> HttpResponse:
    """The problem document of a broken rule."""
    details = {key: value for key, value in error.details.items() if key != "fields"}
    fields: Mapping[str, Mapping[str, str]] = error.details.get("fields", {})
    errors = [{"in": "body", "field": key, **found} for key, found in fields.items()]
    return problem(error.status, error.code, error.message, errors=errors, details=details)


@contextmanager
def inside(name: str) -> Iterator[None]:
    """Report wrong fields of a nested object under its name: ``data.weight``, as a client sent it."""
    try:
        yield
    except FieldErrors as error:
        raise FieldErrors(error.message, {f"{name}.{key}": wrong for key, wrong in error.fields.items()}) from error


def install(api: NinjaAPI) -> None:
    """Give the API its one set of handlers."""
    handlers: dict[type[Exception], Callable[[HttpRequest, Any], HttpResponse]] = {
        DomainError: _domain,
        ValidationError: _validation,
        Throttled: _throttled,
        HttpError: _http,
        Http404: _not_found,
        PermissionDenied: _denied,
        RequestDataTooBig: _too_big,
        SuspiciousOperation: _unreadable,
        BadRequest: _unreadable,
        UnreadablePostError: _unreadable,
        RawPostDataException: _unreadable,
        UnicodeError: _not_storable,
        OverflowError: _not_storable,
        DataError: _not_storable,
        IntegrityError: _raced,
        OperationalError: _busy,
        Exception: _unexpected,
    }
    for kind, handler in handlers.items():
        api.add_exception_handler(kind, handler)


def _domain(request: HttpRequest, error: DomainError) -> HttpResponse:
    return problem_of(error)


def _validation(request: HttpRequest, error: ValidationError) -> HttpResponse:
    found = [field_error(entry) for entry in error.errors[:_MOST_ERRORS]]
    first = found[0]["detail"] if len(found) == 1 else _("有 %(count)d 处填写有误。") % {"count": len(error.errors)}
    return problem(422, found[0]["code"] if len(found) == 1 else "invalid_fields", first, errors=found)


def _throttled(request: HttpRequest, error: Throttled) -> HttpResponse:
    return problem(429, "too_many", _("请求太频繁，请稍后再试。"))


def _http(request: HttpRequest, error: HttpError) -> HttpResponse:
    cause = error.__cause__
    if isinstance(cause, DomainError):
        return problem_of(cause)
    if error.status_code == 401:
        return problem_of(NotSignedIn(_("请先登录，或在 Authorization 头里给出有效的 API 密钥。")))
    if error.status_code == 400:
        return problem(400, "invalid_json", _("请求正文不是有效的 JSON(UTF-8)。"))
    return problem(error.status_code, "error", printable(str(error), 200))


def _not_found(request: HttpRequest, error: Http404) -> HttpResponse:
    return problem(404, "not_found", _("没有找到，或者您无权查看。"))


def _denied(request: HttpRequest, error: PermissionDenied) -> HttpResponse:
    return problem(403, "not_allowed", _("您没有办理这件事的权限。"))


def _too_big(request: HttpRequest, error: RequestDataTooBig) -> HttpResponse:
    return problem(413, "body_too_large", _("请求正文太大，请分几次提交。"))


def method_not_allowed() -> HttpResponse:
    """The problem of a method this address does not know."""
    return problem(405, "method_not_allowed", _("这个地址不支持这种请求方法。"))


def _unreadable(request: HttpRequest, error: Exception) -> HttpResponse:
    return problem(400, "unreadable", _("请求无法读懂。"))


def _not_storable(request: HttpRequest, error: Exception) -> HttpResponse:
    """A net under the typed schemas: what they let through and a database refuses. Logged, since a schema is too
    wide.
    """
    log.error("a value passed the schemas and was refused below: %s %s", request.method, request.path, exc_info=error)
    return problem(422, "not_storable", _("有一个值不能保存，请检查文字和数字。"))


def _raced(request: HttpRequest, error: IntegrityError) -> HttpResponse:
    """Two requests wrote the same at once; the loser reads again. Logged, since an action's own check should say
    what.
    """
    log.error("a constraint refused what an action wrote: %s %s", request.method, request.path, exc_info=error)
    return problem(409, "conflict", _("刚才有人写了同样的内容，请重新读取后再试。"))


def _busy(request: HttpRequest, error: OperationalError) -> HttpResponse:
    log.error("the database did not answer: %s %s", request.method, request.path, exc_info=error)
    response = problem(503, "database_unavailable", _("数据库暂时不能用，没有保存任何内容，请稍后用同一个幂等键重发。"))
    response["Retry-After"] = "5"
    return response


def _unexpected(request: HttpRequest, error: Exception) -> HttpResponse:
    """A fault of ours: logged with its trace and announced to Django's signal (tests and monitors listen there)."""
    log.error("unexpected error: %s %s", request.method, request.path, exc_info=error)
    got_request_exception.send(sender=None, request=request)
    return problem(500, "internal_error", _("系统出错，已记录。没有保存任何内容，请稍后用同一个幂等键重发。"))


def field_error(entry: Mapping[str, Any]) -> dict[str, str]:
    """One of pydantic's findings in our words: where, a stable code, a sentence."""
    place, *path = entry["loc"]
    if path and path[0] == "body":
        path = path[1:]
    code, detail = _said(entry["type"], entry.get("ctx") or {})
    return {"in": str(place), "field": printable(".".join(_plain(path)), 120), "code": code, "detail": detail}


def _plain(path: Iterable[Any]) -> list[str]:
    """The path without the names pydantic gives to branches of a union."""
    return [str(step) for step in path if not str(step).startswith(("function-", "lax-or-strict", "nullable"))]


def _said(kind: str, facts: Mapping[str, Any]) -> tuple[str, str]:
    """Code and sentence for a kind of finding; our own types bring both."""
    if "detail" in facts:
        return kind, str(facts["detail"])
    for prefix, code, sentence in (
        ("missing", "required", _("这一项必须填写。")),
        ("extra_forbidden", "unknown_field", _("没有这一项，请检查名称。")),
        ("string_too_long", "text_too_long", _("文字太长，请缩短。")),
        ("string_too_short", "required", _("这一项必须填写。")),
        ("string", "text_not_text", _("这里应当是文字。")),
        ("int", "not_an_integer", _("这里应当是整数。")),
        ("bool", "not_a_boolean", _("这里应当是 true 或 false。")),
        ("datetime", "datetime_invalid", _("时间要写成 2026-11-22T08:30:00+08:00 的样子。")),
        ("timezone", "datetime_invalid", _("时间要写成 2026-11-22T08:30:00+08:00 的样子。")),
        ("date", "date_invalid", _("没有这个日期。日期要写成 2026-11-22 的样子。")),
        ("uuid", "uid_invalid", _("这里应当是 UUID。")),
        ("too_long", "too_many_items", _("项数太多，请分几次提交。")),
        ("too_short", "too_few_items", _("至少要有一项。")),
        ("list", "not_a_list", _("这里应当是列表。")),
        ("dict", "not_an_object", _("这里应当是对象。")),
        ("model", "not_an_object", _("这里应当是对象。")),
    ):
        if kind.startswith(prefix):
            return code, sentence
    if kind in ("literal_error", "enum"):
        return "unknown_choice", _("只能是这些值之一：%(choices)s。") % {"choices": facts.get("expected", "")}
    return "invalid_value", _("这个值的格式不对。")
