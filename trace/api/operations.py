"""How an operation is declared: audience, scope, example and idempotency in one place, so none is forgotten."""

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from types import MappingProxyType
from typing import Any, Final, TypeVar

from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import URLPattern, URLResolver, path
from ninja import NinjaAPI, Router
from pydantic import BaseModel, TypeAdapter

from trace.access import Audience
from trace.api import errors
from trace.api.auth import BEHALF_HEADER, Entry, KeyAuth, PersonAuth, acting
from trace.api.idempotency import HEADER, once
from trace.api.paging import Page, next_link
from trace.api.schemas import Problem, StrictParser

View = TypeVar("View", bound=Callable[..., Any])

_KEY_PARAMETER: Final = {
    "in": "header",
    "name": HEADER,
    "required": True,
    "schema": {"type": "string", "minLength": 1, "maxLength": 100, "pattern": "^[!-~]+$"},
    "description": "One new key (for example a UUID) for each thing to be done; send the same key when you repeat it.",
    "example": "7f6c1e0a-3a52-4b0e-9b0e-0a1f5f1f2c3d",
}

_BEHALF_PARAMETER: Final = {
    "in": "header",
    "name": BEHALF_HEADER,
    "required": False,
    "schema": {"type": "string", "format": "uuid"},
    "description": "A cooperative entering for one of its growers names the grower's uid; both names are shown.",
}

_NOTHING_ELSE: Final[Mapping[str, Any]] = MappingProxyType({})


class Area:
    """The operations of one area: a router, the scope an API key needs and the tag they stand under."""

    def __init__(self, name: str, tag: Any) -> None:
        self.name = name
        self.router = Router(tags=[tag])

    def read(
        self,
        route: str,
        *,
        who: Audience,
        answer: Any,
        example: Any,
        summary: Any,
        description: Any = "",
        media_type: str = "application/json",
        also: Mapping[str, Any] = _NOTHING_ELSE,
    ) -> Callable[[View], View]:
        """Declare a GET. ``answer`` is the type of the body; a view may also answer with a response of its own:
        ``also`` has the media types that this may be of, each with an example.
        """

        def declare(view: View) -> View:
            @wraps(view)
            def run(request: HttpRequest, **values: Any) -> HttpResponseBase:
                return shaped(request, view(request, **values), answer, 200)

            self._register(
                ["GET"],
                route,
                run,
                view,
                Entry(who, self.name),
                answer,
                200,
                example,
                summary,
                description,
                media_type,
                also=also,
            )
            return view

        return declare

    def write(
        self,
        route: str,
        *,
        who: Audience,
        answer: Any,
        example: Any,
        summary: Any,
        body_example: Any = None,
        description: Any = "",
        status: int = 201,
        roles: Sequence[str] = (),
        shown_once: Sequence[str] = (),
    ) -> Callable[[View], View]:
        """Declare a POST: it needs an Idempotency-Key and happens once. ``shown_once`` names fields of the answer (a
        secret) that are never kept: the same request again is answered with null there.
        """

        def declare(view: View) -> View:
            @wraps(view)
            def run(request: HttpRequest, **values: Any) -> HttpResponseBase:
                def work() -> HttpResponse:
                    made = shaped(request, view(request, **values), answer, status)
                    if not isinstance(made, HttpResponse):
                        raise TypeError("an answer that is kept for its key is no stream")
                    return made

                return once(request, acting(request), work, shown_once=shown_once)

            entry = Entry(who, self.name, write=True, roles=tuple(roles))
            self._register(
                ["POST"],
                route,
                run,
                view,
                entry,
                answer,
                status,
                example,
                summary,
                description,
                "application/json",
                body_example,
            )
            return view

        return declare

    def _register(
        self,
        methods: list[str],
        route: str,
        run: Callable[..., HttpResponseBase],
        view: Callable[..., Any],
        entry: Entry,
        answer: Any,
        status: int,
        example: Any,
        summary: Any,
        description: Any,
        media_type: str,
        body_example: Any = None,
        also: Mapping[str, Any] = _NOTHING_ELSE,
    ) -> None:
        """Hand the operation to ninja. Its id is the view's name: stable, whatever module it lies in."""
        self.router.api_operation(
            methods,
            route,
            auth=None if entry.who == "public" else [KeyAuth(entry), PersonAuth(entry)],
            response={status: answer if media_type == "application/json" else None},
            operation_id=view.__name__,
            url_name=view.__name__,
            summary=summary,
            description=description or summary,
            openapi_extra=_extra(entry, status, example, media_type, body_example, also),
        )(run)


def _extra(
    entry: Entry, status: int, example: Any, media_type: str, body_example: Any, also: Mapping[str, Any]
) -> dict[str, Any]:
    """What the OpenAPI document says besides the schemas."""
    answers: dict[Any, Any] = {status: {"content": {media_type: {"example": example}}}}
    for other, shown in also.items():
        answers[status]["content"][other] = {"schema": {"type": "object"}, "example": shown}
    problems = {422: "invalid", 404: "not_found"}
    if entry.who != "public":
        problems |= {401: "not_signed_in", 403: "not_allowed"}
    if entry.write:
        problems |= {400: "idempotency_key_required", 409: "idempotency_in_flight", 415: "json_expected"}
    for number, code in problems.items():
        answers[number] = {
            "description": str(code),
            "content": {errors.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
    extra: dict[str, Any] = {"x-audience": entry.who, "responses": answers}
    if entry.who != "public":
        extra["x-scope"] = f"{entry.area}:{'write' if entry.write else 'read'}"
    if entry.roles:
        extra["x-roles"] = list(entry.roles)
    if entry.write:
        extra["parameters"] = [_KEY_PARAMETER, _BEHALF_PARAMETER]
    if body_example is not None:
        extra["requestBody"] = {"content": {"application/json": {"example": body_example}}}
    return extra


def shaped(request: HttpRequest, result: Any, answer: Any, status: int) -> HttpResponseBase:
    """The response of a view's result: JSON of its declared type, with the Link header where another page follows."""
    if isinstance(result, HttpResponseBase):
        return result
    body = result.model_dump_json(by_alias=True) if isinstance(result, BaseModel) else _dumped(answer, result)
    response = HttpResponse(body, status=status, content_type="application/json; charset=utf-8")
    if isinstance(result, Page) and result.next:
        response["Link"] = next_link(request, result.next)
    return response


def _dumped(answer: Any, result: Any) -> bytes:
    return TypeAdapter(answer).dump_json(result, by_alias=True)


class HouseAPI(NinjaAPI):
    """The API with our parser and error handlers, and problem details also where ninja answers by itself (404, 405)."""

    def __init__(self, **options: Any) -> None:
        entry = Entry("signed_in", "organisations")
        super().__init__(parser=StrictParser(), auth=[KeyAuth(entry), PersonAuth(entry)], **options)
        errors.install(self)

    def _get_urls(self) -> list[URLResolver | URLPattern]:
        found = super()._get_urls()
        found.append(path("<path:rest>", _nothing_here, name="nothing"))
        for pattern in found:
            if isinstance(pattern, URLPattern):
                pattern.callback = self._with_problems(pattern.callback)
        return found

    def _with_problems(self, view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
        """A view whose bare errors become problems and whose answers are kept out of shared caches."""

        @wraps(view)
        def run(request: HttpRequest, *args: Any, **values: Any) -> HttpResponseBase:
            try:
                response = view(request, *args, **values)
            except Http404 as error:
                response = self.on_exception(request, error)
            if response.status_code == 405:
                allowed = response["Allow"]
                response = errors.method_not_allowed()
                response["Allow"] = allowed
            if not response.has_header("Cache-Control"):
                response["Cache-Control"] = "private, no-store"
            return response

        return run

    def get_openapi_schema(self, **options: Any) -> Any:
        """The document with the problem schema that every operation refers to."""
        document = super().get_openapi_schema(**options)
        definition = Problem.model_json_schema(ref_template="#/components/schemas/{model}", mode="serialization")
        for name, schema in definition.pop("$defs", {}).items():
            document["components"]["schemas"][name] = schema
        document["components"]["schemas"]["Problem"] = definition
        return document


def _nothing_here(request: HttpRequest, rest: str) -> HttpResponse:
    """Any other address below the API."""
    raise Http404
