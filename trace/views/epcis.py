"""The EPCIS 2.0 door under ``/epcis/``: capture, events, collections, named queries, subscriptions, and what it can do.

Not part of ``/api/v1``: paths, headers, errors and paging are the standard's. A caller shows an API key
(``Authorization: Bearer``) with the scope ``events:read`` or ``events:write``; a signed-in person may read.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from django.conf import settings
from django.core.exceptions import BadRequest, RequestDataTooBig, SuspiciousOperation
from django.core.signals import got_request_exception
from django.db import DataError, IntegrityError, OperationalError
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt

from trace.access import actor_for_session, entered_for, parse_uid
from trace.actions.epcis_index import index_log
from trace.actions.epcis_jobs import AT_ONCE, capture_event, run_at_once, take_document
from trace.actions.epcis_subscriptions import delete_query, make_query, subscribe, unsubscribe
from trace.actor import Actor
from trace.api.auth import Entry, KeyAuth
from trace.door import querying
from trace.door.querying import QueryFault
from trace.door.shaping import FORMATS, documents_of, hoisted, query_document, translated
from trace.epcis.documents import Fault, check_event, prefixes_of
from trace.epcis.reading import DEEPEST, Unreadable, deeper_than, one_value
from trace.epcis.vocabulary import CONTEXT, OURS, PREFIXES
from trace.epcis.xml import XmlInvalid, document_from_xml, document_to_xml
from trace.errors import DomainError, NotSignedIn
from trace.models import CaptureJob, EpcisEvent, EpcisQuery, EpcisSeen, EpcisSubscription, Organisation

log = logging.getLogger("trace.epcis")

VERSIONS: Final = {
    "GS1-EPCIS-Version": "2.0.0",
    "GS1-EPCIS-Min": "2.0.0",
    "GS1-EPCIS-Max": "2.0.0",
    "GS1-CBV-Version": "2.0.0",
    "GS1-CBV-Min": "2.0.0",
    "GS1-CBV-Max": "2.0.0",
    # As prefix=namespace: what our own events say besides the standard.
    "GS1-Extensions": f"fy={OURS}",
}
JSON_TYPES: Final = ("application/json", "application/ld+json")
XML_TYPES: Final = ("application/xml", "text/xml")
URI_MOST: Final = 8_000
_WEIGHT: Final = re.compile(r"[01](\.[0-9]{0,3})?", re.ASCII)
_VERSION: Final = re.compile(r"([0-9]{1,3})(?:\.([0-9]{1,3}))?(?:\.[0-9]{1,3})?", re.ASCII)
_BOUNDS: Final[Mapping[str, Callable[[tuple[int, int]], bool]]] = {
    "Version": lambda asked: asked == (2, 0),
    "Min": lambda asked: asked <= (2, 0),
    "Max": lambda asked: asked >= (2, 0),
}
EVENT_BYTES: Final = 1 << 20
QUERY_BYTES: Final = 1 << 18
_TITLES: Final = {
    "ValidationException": 400,
    "QueryValidationException": 400,
    "QueryParameterException": 400,
    "SubscriptionControlsException": 400,
    "SecurityException": 401,
    "NoSuchResourceException": 404,
    "NoSuchNameException": 404,
    "NotAcceptableException": 406,
    "ResourceAlreadyExistsException": 409,
    "CaptureLimitExceededException": 413,
    "QueryTooLargeException": 413,
    "QueryTooComplexException": 413,
    "URITooLongException": 414,
    "UnsupportedMediaTypeException": 415,
    "ImplementationException": 501,
}
View = Callable[..., HttpResponse]


class Problem(Exception):
    """An answer of the standard's family of exceptions."""

    def __init__(
        self, kind: str, detail: str, *, status: int = 0, code: str = "", errors: Sequence[Fault] = (), **more: Any
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.status = status or _TITLES[kind]
        self.code = code
        self.errors = errors
        self.more = more
        self.headers: dict[str, str] = {}

    def response(self) -> HttpResponse:
        """Problem details (RFC 9457) of the type ``epcisException:…``."""
        body: dict[str, Any] = {
            "type": f"epcisException:{self.kind}",
            "title": self.kind,
            "status": self.status,
            "detail": str(self),
        }
        if self.code:
            body["code"] = self.code
        if self.errors:
            body["errors"] = [fault._asdict() for fault in self.errors]
        body |= self.more
        response = _json(body, status=self.status, media="application/problem+json")
        if self.status == 401:
            response["WWW-Authenticate"] = "Bearer"
        for name, value in self.headers.items():
            response[name] = value
        return response


def _json(body: Any, *, status: int = 200, media: str = "application/json") -> HttpResponse:
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return HttpResponse(text.encode("utf-8", "replace"), status=status, content_type=media)


def endpoint(**methods: View) -> Callable[..., HttpResponse]:
    """One path of the door: its methods, OPTIONS, the headers of the standard, who may call, and every error as the
    standard's problem.
    """
    allow = ", ".join([*(name.upper() for name in methods), *(["HEAD"] if "get" in methods else []), "OPTIONS"])

    @csrf_exempt
    def run(request: HttpRequest, *args: Any, **values: Any) -> HttpResponse:
        try:
            response = _answer(request, methods, args, values)
        except Problem as problem:
            response = problem.response()
        except QueryFault as fault:
            response = Problem(fault.kind, str(fault), code=fault.code, parameter=fault.parameter or None).response()
        except DomainError as error:
            response = _of_domain(error).response()
        except RequestDataTooBig:
            response = Problem("CaptureLimitExceededException", "The body is too large.").response()
        except (SuspiciousOperation, BadRequest, UnreadablePostError):
            response = Problem("ValidationException", "The request cannot be read.", code="unreadable").response()
        except (UnicodeError, OverflowError, DataError) as error:
            log.error("a value passed the checks and was refused below: %s", request.path, exc_info=error)
            response = Problem("ValidationException", "A value cannot be stored.", code="not_storable").response()
        except IntegrityError as error:
            log.error("a constraint refused what an action wrote: %s", request.path, exc_info=error)
            # Writers wait for each other: only two who name a query alike get here without a fault of ours.
            if "one_epcis_" in str(error) or "epcisquery" in str(error):
                response = Problem("ResourceAlreadyExistsException", "Somebody wrote the same just now.").response()
            else:
                response = Problem("ImplementationException", "A fault of ours; it was logged.", status=500).response()
        except OperationalError as error:
            log.error("the database did not answer: %s", request.path, exc_info=error)
            response = Problem(
                "ImplementationException", "The database is busy; nothing was written.", status=503
            ).response()
            response["Retry-After"] = "5"
        except Exception as error:
            log.error("unexpected error: %s %s", request.method, request.path, exc_info=error)
            got_request_exception.send(sender=None, request=request)
            response = Problem("ImplementationException", "A fault of ours; it was logged.", status=500).response()
        if not response.content and request.method != "HEAD":
            # Nothing has no type (RFC 9110, 8.3).
            del response["Content-Type"]
        response["Allow"] = allow
        for name, value in VERSIONS.items():
            response.setdefault(name, value)
        response["Cache-Control"] = "private, no-store"
        return response

    run.audience = "public"  # type: ignore[attr-defined]  # a key is asked for inside, with the standard's answers
    return run


def _answer(request: HttpRequest, methods: Mapping[str, View], args: Any, values: Any) -> HttpResponse:
    method = (request.method or "").lower()
    if len(request.get_full_path()) > URI_MOST:
        raise Problem("URITooLongException", "The URI is too long; use POST /epcis/queries.")
    if method == "options":
        return _limits(HttpResponse(status=204))
    view = methods.get("get" if method == "head" else method)
    if view is None:
        return Problem("ImplementationException", "This method is not known here.", status=405).response()
    actor = _caller(request, write=method in ("post", "delete", "put"))
    _check_versions(request)
    response = view(request, actor, *args, **values)
    if method == "head":
        response.content = b""
    return response


def _caller(request: HttpRequest, *, write: bool) -> Actor:
    """Who calls: a key with the scope; a signed-in person for reading."""
    entry = _Scope("signed_in", "events", write=write)
    header = request.headers.get("Authorization", "")
    if header:
        scheme, _space, token = header.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Problem("SecurityException", "Authorization: Bearer <API key>.")
        try:
            return KeyAuth(entry).authenticate(request, token)
        except NotSignedIn as error:
            raise Problem("SecurityException", error.message, code=error.code) from None
    actor = actor_for_session(request) if not write and request.user.is_authenticated else None
    if actor is None:
        raise Problem("SecurityException", _("请在 Authorization 头里给出 API 密钥。"), code="not_signed_in")
    return actor


class _Scope(Entry):
    """The API's entry without its word about bodies: here XML is welcome."""

    def admit(self, request: HttpRequest, actor: Actor | None) -> None:
        """Scope and standing of the caller."""
        if actor is None:
            raise NotSignedIn(_("请先登录。"))
        if actor.api_key is not None:
            self._check_scope(actor)
        if self.write and actor.organisation.status != Organisation.Status.ACTIVE:
            self._check_standing(actor)


def _of_domain(error: DomainError) -> Problem:
    """A broken rule of the house in the standard's words."""
    kind = getattr(error, "kind", "") or {
        401: "SecurityException",
        403: "SecurityException",
        404: "NoSuchResourceException",
        409: "ResourceAlreadyExistsException",
        413: "CaptureLimitExceededException",
    }.get(error.status, "ValidationException")
    status = error.status if kind != "ValidationException" else 400
    return Problem(kind, error.message, status=status, code=error.code)


def _limits(response: HttpResponse) -> HttpResponse:
    """The limits of capture, announced."""
    response["GS1-EPCIS-Capture-Limit"] = str(settings.EPCIS_MAX_EVENTS)
    response["GS1-EPCIS-Capture-File-Size-Limit"] = str(settings.EPCIS_MAX_BYTES)
    response["GS1-Capture-Error-Behaviour"] = "rollback, proceed"
    return response


# --- What is asked for ----------------------------------------------------------------------------------------------


def _media(request: HttpRequest) -> str:
    """``json`` or ``xml`` by the content type. What is packed is refused: nobody knows how large it is."""
    if request.headers.get("Content-Encoding", "identity").strip().lower() not in ("identity", ""):
        problem = Problem("UnsupportedMediaTypeException", "Send the document as it is.", code="content_encoding")
        problem.headers["Accept-Encoding"] = "identity"
        raise problem
    if request.content_type in JSON_TYPES:
        return "json"
    if request.content_type in XML_TYPES:
        return "xml"
    raise Problem("UnsupportedMediaTypeException", "application/json, application/ld+json or application/xml.")


def _wants_xml(request: HttpRequest) -> bool:
    """Whether the answer is wanted as XML; refuses what we cannot answer in."""
    asked = _asked_types(request.headers.get("Accept") or "*/*")

    def weight(kinds: Sequence[str]) -> tuple[float, int]:
        named = [asked[kind] for kind in kinds if kind in asked]
        return max(named or [asked.get("application/*") or asked.get("*/*") or (0.0, 0)])

    json_weight, xml_weight = weight((*JSON_TYPES, "application/problem+json")), weight(XML_TYPES)
    if not json_weight[0] and not xml_weight[0]:
        raise Problem("NotAcceptableException", "Answers are application/ld+json, application/json or application/xml.")
    return xml_weight > json_weight


def _asked_types(accept: str) -> dict[str, tuple[float, int]]:
    """Each type of an Accept header with its weight (RFC 9110, 12.5.1); of equal ones the first counts more."""
    found: dict[str, tuple[float, int]] = {}
    for place, part in enumerate(accept.split(",")):
        kind, *more = (each.strip().lower() for each in part.split(";"))
        weight = next((each[2:] for each in more if each.startswith("q=")), "1")
        found.setdefault(kind, (float(weight) if _WEIGHT.fullmatch(weight) else 0.0, -place))
    return found


def _check_versions(request: HttpRequest) -> None:
    """Refuse what is asked for in a version that we have not. Documents come in as 1.2, too."""
    for standard in ("EPCIS", "CBV"):
        for bound, fits in _BOUNDS.items():
            asked = request.headers.get(f"GS1-{standard}-{bound}", "")
            number = _VERSION.fullmatch(asked)
            old = bound == "Version" and request.method == "POST" and asked.startswith("1.")
            if asked and not old and (number is None or not fits((int(number[1]), int(number[2] or 0)))):
                raise Problem("NotAcceptableException", f"{standard} 2.0 is what there is.", code="version")


def _format(request: HttpRequest) -> str:
    wanted = request.headers.get("GS1-EPC-Format", "") or FORMATS[0]
    if wanted not in FORMATS:
        raise Problem("NotAcceptableException", f"GS1-EPC-Format is one of {', '.join(FORMATS)}.")
    return wanted


def _words(request: HttpRequest) -> str:
    wanted = request.headers.get("GS1-CBV-XML-Format", "") or "Always_Web_URI"
    if wanted not in ("Always_Web_URI", "Always_URN", "No_Preference", "Never_Translates"):
        raise Problem("NotAcceptableException", "GS1-CBV-XML-Format is Always_Web_URI, Always_URN or No_Preference.")
    return wanted


def _body(request: HttpRequest, most: int) -> bytes:
    """The body, at most so many bytes, read before Django's own limit is asked."""
    length = request.META.get("CONTENT_LENGTH") or "0"
    if length.isdigit() and int(length) > most:
        raise _limits_problem()
    body, data = _Stream(request), b""
    while len(data) <= most and (more := body.read(most + 1 - len(data))):
        data += more
    if len(data) > most:
        raise _limits_problem()
    return data


def _limits_problem() -> Problem:
    return Problem("CaptureLimitExceededException", "The body is larger than the limit announced.", code="too_large")


def _per_page(request: HttpRequest) -> int:
    text = request.GET.get("perPage", "")
    if not text:
        return querying.PER_PAGE
    return min(querying.whole([text], "perPage", 1, 10**6), querying.MOST_PER_PAGE)


def _parameters(request: HttpRequest) -> dict[str, list[str]]:
    """The query parameters of the URL, lists parted at ``|``."""
    found: dict[str, list[str]] = {}
    for name, values in request.GET.lists():
        if len(values) > 1 and name not in querying.PAGING:
            raise QueryFault("QueryParameterException", "parameter_twice", "A parameter is there twice.", name[:100])
        if any("\x00" in value or any(0xD800 <= ord(c) <= 0xDFFF for c in value) for value in (name, *values)):
            raise QueryFault("QueryParameterException", "invalid_value", "A value contains what is no text.")
        found[name] = [part for value in values for part in value.split("|") if part]
        if not found[name] and not name.startswith("EXISTS_"):
            raise QueryFault("QueryParameterException", "value_missing", "The parameter has no value.", name[:100])
    return found


def _link(request: HttpRequest, response: HttpResponse, token: str) -> HttpResponse:
    """The Link header of the next page, and its token."""
    if token:
        question = request.GET.copy()
        question["nextPageToken"] = token
        where = request.build_absolute_uri(request.path)
        response["Link"] = f'<{where}?{question.urlencode()}>; rel="next"'
        response["GS1-Next-Page-Token-Expires"] = "9999-12-31T00:00:00Z"
    return response


# --- Discovery ------------------------------------------------------------------------------------------------------


def _discover(request: HttpRequest, actor: Actor) -> HttpResponse:
    """What there is."""
    names = ["capture", "events", *querying.COLLECTIONS, "queries"]
    links = {name: request.build_absolute_uri(f"{reverse('trace:epcis_root')}{name}") for name in names}
    return _limits(_json({"@set": list(links), "links": links}))


# --- Capture --------------------------------------------------------------------------------------------------------


def _capture(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Take a document in: 202 and where its job is told. A small one is done by then."""
    media = _media(request)
    behaviour = request.headers.get("GS1-Capture-Error-Behaviour", "rollback").strip().lower()
    if behaviour not in CaptureJob.Behaviour.values:
        raise Problem("ValidationException", "GS1-Capture-Error-Behaviour is rollback or proceed.")
    length = request.META.get("CONTENT_LENGTH") or "0"
    if length.isdigit() and int(length) > settings.EPCIS_MAX_BYTES:
        raise _limits_problem()
    job = take_document(by=actor, content=_Stream(request), media=media, behaviour=behaviour)  # type: ignore[arg-type]
    if job.size <= AT_ONCE:
        job = run_at_once(job=job)
    response = HttpResponse(status=202)
    response["Location"] = request.build_absolute_uri(reverse("trace:epcis_job", args=[job.uid]))
    response["GS1-Capture-Error-Behaviour"] = job.behaviour
    return _limits(response)


class _Stream:
    """The request's body as a file, whatever its size, and whether its length was told or it comes in chunks: Django
    takes a body without a length for none.
    """

    def __init__(self, request: HttpRequest) -> None:
        chunked = "chunked" in request.headers.get("Transfer-Encoding", "").lower()
        self.source = request.META["wsgi.input"] if chunked and "wsgi.input" in request.META else request

    def read(self, size: int) -> bytes:
        """The next bytes."""
        try:
            return bytes(self.source.read(size))
        except OSError as error:
            raise UnreadablePostError(*error.args) from error


def jobs_of(actor: Actor) -> Any:
    """Capture jobs of whoever the caller writes for."""
    return CaptureJob.objects.filter(owner__in=entered_for(actor))


def job_body(job: CaptureJob) -> dict[str, Any]:
    """A job as the standard tells it, with our counts beside."""
    return {
        "captureID": str(job.uid),
        "createdAt": job.created_at.isoformat(),
        "finishedAt": job.finished_at.isoformat() if job.finished_at else None,
        "running": job.is_running,
        "success": bool(job.success) if not job.is_running else True,
        "captureErrorBehaviour": job.behaviour,
        "errors": [
            {
                "type": "epcisException:ValidationException",
                "title": each["code"],
                "status": 400,
                "detail": each["detail"],
                "instance": each["pointer"],
            }
            for each in job.errors
        ],
        "eventsTotal": job.total,
        "eventsCaptured": job.captured,
        "eventsRepeated": job.repeated,
        "eventsRefused": job.faulty,
        "conflicts": job.conflicts,
    }


def _jobs(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The capture jobs, newest first."""
    per_page = _per_page(request)
    rows = jobs_of(actor)
    token = request.GET.get("nextPageToken", "")
    if token:
        rows = rows.filter(pk__lt=querying.values_of(token, 1)[0])
    found = list(rows.order_by("-id")[: per_page + 1])
    response = _json([job_body(job) for job in found[:per_page]])
    return _link(request, response, querying.token_of([found[per_page - 1].pk]) if len(found) > per_page else "")


def _job(request: HttpRequest, actor: Actor, uid: str) -> HttpResponse:
    """One capture job."""
    job = jobs_of(actor).filter(uid=parse_uid(uid)).first()
    if job is None:
        raise Problem("NoSuchResourceException", "There is no such capture job.")
    return _json(job_body(job))


# --- Events ---------------------------------------------------------------------------------------------------------


def _post_event(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Capture one event: 201 and where it is; 409 if it is there already."""
    xml = _media(request) == "xml"
    data = _body(request, EVENT_BYTES)
    try:
        event = document_from_xml(data) if xml else one_value(data)
    except XmlInvalid as error:
        fault = Fault(str(error.details["path"]), error.code, error.message)
        raise Problem("ValidationException", error.message, code=error.code, errors=[fault]) from None
    except Unreadable as error:
        raise Problem("ValidationException", str(error), code=error.code) from None
    if not isinstance(event, dict) or deeper_than(event, DEEPEST):
        raise Problem("ValidationException", "The body is one event.", code="not_an_object")
    faults: list[Fault] = []
    context = event.get("@context")
    if context is None:
        faults.append(Fault("/@context", "required", "The event has no @context."))
    prefixes = prefixes_of(context or [], "/@context", faults, PREFIXES)
    bare = {key: value for key, value in event.items() if key != "@context"}
    faults += check_event(bare, "", prefixes, timezone.now())
    if faults:
        raise Problem("ValidationException", f"{faults[0].pointer}: {faults[0].detail}", errors=faults)
    found, outcome = capture_event(by=actor, event=bare, context=context)
    if outcome.faults:
        raise Problem("ValidationException", outcome.faults[0].detail, errors=outcome.faults)
    if outcome.repeated:
        raise Problem("ResourceAlreadyExistsException", "This event was captured before.", code="event_exists")
    response = HttpResponse(status=201)
    response["Location"] = request.build_absolute_uri(
        f"{reverse('trace:epcis_root')}events/{quote(found.eid, safe='')}"
    )
    return response


def _prefixes_of(actor: Actor) -> list[str]:
    """Company prefixes whose length we know."""
    rows = Organisation.objects.exclude(gs1_prefix="").values_list("gs1_prefix", flat=True)
    return list(rows)


def _told(request: HttpRequest, actor: Actor, rows: Sequence[EpcisEvent]) -> list[dict[str, Any]]:
    """Events as this caller wants them."""
    wanted = _format(request)
    known = _prefixes_of(actor) if wanted == "Always_EPC_URN" else ()
    return [translated(event, wanted, known) for event in documents_of(rows)]


def _answered(
    request: HttpRequest, actor: Actor, query: querying.Query, *, name: str = "SimpleEventQuery"
) -> HttpResponse:
    """A page of events as an EPCISQueryDocument."""
    index_log()
    as_xml = _wants_xml(request)
    per_page = _per_page(request)
    token = request.GET.get("nextPageToken", "")
    if query.most is not None:
        per_page = max(per_page, min(query.most, querying.MOST_SORTED) + 1)
    page = querying.answer(query, actor, per_page=per_page, token=token)
    querying.check_count(query, page, actor)
    document = query_document(_told(request, actor, page.rows), query=name, now=timezone.now())
    return _link(request, _document(request, document, as_xml), page.token)


def _document(request: HttpRequest, document: dict[str, Any], as_xml: bool) -> HttpResponse:
    if as_xml:
        response = HttpResponse(document_to_xml(document, forgiving=True), content_type="application/xml")
    else:
        media = "application/json" if "application/json" in request.headers.get("Accept", "") else "application/ld+json"
        response = _json(document, media=media)
    response["GS1-EPC-Format"] = _format(request)
    return response


def _events(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Events by the standard's query parameters."""
    return _answered(request, actor, querying.read_query(_parameters(request)))


def _event(request: HttpRequest, actor: Actor, eid: str) -> HttpResponse:
    """One event by its id; with its error declaration where there is one."""
    index_log()
    as_xml = _wants_xml(request)
    owners = querying.owners_for(actor)
    rows = EpcisEvent.objects.filter(eid=eid[:500]).order_by("number")
    numbers = EpcisSeen.objects.filter(owner__in=owners, number__in=list(rows.values_list("number", flat=True)[:200]))
    seen = set(numbers.values_list("number", flat=True))
    found = [row for row in rows[:200] if row.number in seen]
    if not found or "\x00" in eid:
        raise Problem("NoSuchResourceException", "There is no such event.")
    events = _told(request, actor, found)
    if as_xml or len(events) > 1:
        return _document(request, query_document(events, now=timezone.now()), as_xml)
    context, (event,) = hoisted(events)
    body = {"@context": context, **event}
    response = _json(body, media="application/ld+json")
    response["GS1-EPC-Format"] = _format(request)
    return response


# --- Collections ----------------------------------------------------------------------------------------------------


def _collection(request: HttpRequest, actor: Actor, collection: str) -> HttpResponse:
    """The values of one dimension."""
    index_log()
    values, token = querying.members(
        collection, actor, per_page=_per_page(request), token=request.GET.get("nextPageToken", "")
    )
    kind = "Collection"
    return _link(request, _json({"@context": [CONTEXT], "type": kind, "member": values}), token)


def _member(request: HttpRequest, actor: Actor, collection: str, value: str) -> HttpResponse:
    """What there is below one value."""
    index_log()
    if not querying.is_member(collection, value, actor):
        raise Problem("NoSuchResourceException", "No event you may see names this.")
    return _json({"@context": [CONTEXT], "type": "Collection", "member": ["events"]})


def _member_events(request: HttpRequest, actor: Actor, collection: str, value: str) -> HttpResponse:
    """The events of one value."""
    index_log()
    if not querying.is_member(collection, value, actor):
        raise Problem("NoSuchResourceException", "No event you may see names this.")
    parameters = _parameters(request)
    name = querying.FILTER[collection]
    if name in parameters:
        raise QueryFault("QueryParameterException", "parameter_twice", "The path says this already.", name)
    return _answered(request, actor, querying.read_query({**parameters, name: [value]}))


# --- Named queries and subscriptions --------------------------------------------------------------------------------


def _queries_of(actor: Actor) -> Any:
    return EpcisQuery.objects.filter(owner__in=entered_for(actor))


def _query_body(row: EpcisQuery) -> dict[str, Any]:
    return {"name": row.name, "query": row.query, "createdAt": row.created_at.isoformat()}


def _list_queries(request: HttpRequest, actor: Actor) -> HttpResponse:
    """The named queries."""
    per_page = _per_page(request)
    rows = _queries_of(actor)
    token = request.GET.get("nextPageToken", "")
    if token:
        rows = rows.filter(pk__gt=querying.values_of(token, 1)[0])
    found = list(rows.order_by("id")[: per_page + 1])
    response = _json([_query_body(row) for row in found[:per_page]])
    return _link(request, response, querying.token_of([found[per_page - 1].pk]) if len(found) > per_page else "")


def _small_json(request: HttpRequest) -> dict[str, Any]:
    if _media(request) != "json":
        raise Problem("UnsupportedMediaTypeException", "Queries come as JSON.")
    try:
        body = one_value(_body(request, QUERY_BYTES))
    except Unreadable as error:
        raise Problem("QueryValidationException", str(error), code=error.code) from None
    if not isinstance(body, dict) or deeper_than(body, 8):
        raise Problem("QueryValidationException", "The body is an object.", code="not_an_object")
    return body


def _make_query(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Name a query."""
    row = make_query(by=actor, body=_small_json(request))
    response = _json(_query_body(row), status=201)
    response["Location"] = request.build_absolute_uri(
        f"{reverse('trace:epcis_root')}queries/{quote(row.name, safe='')}"
    )
    return response


def _the_query(actor: Actor, name: str) -> EpcisQuery:
    row: EpcisQuery | None = _queries_of(actor).filter(name=name[:100]).first() if "\x00" not in name else None
    if row is None:
        raise Problem("NoSuchNameException", "There is no query of this name.")
    return row


def _get_query(request: HttpRequest, actor: Actor, name: str) -> HttpResponse:
    """One named query."""
    return _json(_query_body(_the_query(actor, name)))


def _delete_query(request: HttpRequest, actor: Actor, name: str) -> HttpResponse:
    """Forget a named query with its subscriptions."""
    delete_query(by=actor, query=_the_query(actor, name))
    return HttpResponse(status=204)


def _query_events(request: HttpRequest, actor: Actor, name: str) -> HttpResponse:
    """The events a named query asks for."""
    row = _the_query(actor, name)
    strange = sorted(set(request.GET) - querying.PAGING)
    if strange:
        detail = "A named query has its parameters already."
        raise QueryFault("QueryParameterException", "unknown_parameter", detail, strange[0][:100])
    return _answered(request, actor, querying.read_query(querying.parameters_of(row.query)), name=row.name)


def _subscription_body(row: EpcisSubscription) -> dict[str, Any]:
    return {
        "subscriptionID": str(row.uid),
        "dest": row.url,
        "stream": row.stream,
        "schedule": row.schedule or None,
        "reportIfEmpty": row.report_if_empty,
        "createdAt": row.created_at.isoformat(),
        "lastNotifiedAt": row.last_told_at.isoformat() if row.last_told_at else None,
        "failures": row.failures,
        "lastStatus": row.last_status,
    }


def _subscriptions(request: HttpRequest, actor: Actor, name: str) -> HttpResponse:
    """The subscriptions of a named query."""
    rows = EpcisSubscription.objects.filter(query=_the_query(actor, name)).order_by("id")
    return _json([_subscription_body(row) for row in rows[:1000]])


def _subscribe(request: HttpRequest, actor: Actor, name: str) -> HttpResponse:
    """Subscribe to a named query."""
    row = subscribe(by=actor, query=_the_query(actor, name), body=_small_json(request), epc_format=_format(request))
    response = _json(_subscription_body(row), status=201)
    response["Location"] = request.build_absolute_uri(f"{request.path.rstrip('/')}/{row.uid}")
    return response


def _the_subscription(actor: Actor, name: str, uid: str) -> EpcisSubscription:
    row = EpcisSubscription.objects.filter(query=_the_query(actor, name), uid=parse_uid(uid)).first()
    if row is None:
        raise Problem("NoSuchResourceException", "There is no such subscription.")
    return row


def _subscription(request: HttpRequest, actor: Actor, name: str, uid: str) -> HttpResponse:
    """One subscription."""
    return _json(_subscription_body(_the_subscription(actor, name, uid)))


def _unsubscribe(request: HttpRequest, actor: Actor, name: str, uid: str) -> HttpResponse:
    """End a subscription."""
    unsubscribe(by=actor, subscription=_the_subscription(actor, name, uid))
    return HttpResponse(status=204)


def _forget_token(request: HttpRequest, actor: Actor, token: str) -> HttpResponse:
    """A page token is no longer needed: nothing is kept for it here."""
    return HttpResponse(status=204)


def _nothing(request: HttpRequest, actor: Actor, rest: str) -> HttpResponse:
    """Any other path of the door."""
    raise Problem("NoSuchResourceException", "There is no such path.")


root = endpoint(get=_discover)
capture = endpoint(get=_jobs, post=_capture)
capture_job = endpoint(get=_job)
events = endpoint(get=_events, post=_post_event)
event = endpoint(get=_event)
collection = endpoint(get=_collection)
member = endpoint(get=_member)
member_events = endpoint(get=_member_events)
queries = endpoint(get=_list_queries, post=_make_query)
query = endpoint(get=_get_query, delete=_delete_query)
query_events = endpoint(get=_query_events)
subscriptions = endpoint(get=_subscriptions, post=_subscribe)
subscription = endpoint(get=_subscription, delete=_unsubscribe)
page_token = endpoint(delete=_forget_token)
nothing = endpoint(get=_nothing)
