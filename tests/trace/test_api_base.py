"""What every operation of the API gets by being declared: who may, what is refused, how errors look, repeats, pages."""

import json
import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.test import Client
from django.utils import timezone

from tests.conftest import CommittedDatabase
from tests.trace.api_client import Api, assert_problem, body, machine, make_key
from tests.world import make_actor, make_organisation, make_user, sign_in
from trace.actions.requests import IN_FLIGHT, KEPT, claim_request, finish_request, forget_requests
from trace.actor import Actor
from trace.errors import Clash, StaleState
from trace.models import ApiKey, IdempotencyRecord, Organisation, PersonalRecord, User

pytestmark = pytest.mark.urls("tests.trace.probe_urls")


def signed_in(who: Actor | User, *, csrf: bool = False) -> Api:
    return Api(client=sign_in(Client(enforce_csrf_checks=csrf, raise_request_exception=False), who))


@pytest.fixture
def firm(db: None) -> Organisation:
    return make_organisation("示例酒厂", "producer")


# --- who ----------------------------------------------------------------------------------------------------


def test_nobody_gets_a_problem_with_401_and_how_to_sign_in(firm: Organisation) -> None:
    answer = Api().get("/notes")
    assert_problem(answer, 401, "not_signed_in")
    assert answer["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("secret", ["wrong", "", "密钥", "a b", "x" * 9000])
def test_an_unknown_key_is_401_also_for_who_is_signed_in(firm: Organisation, secret: str) -> None:
    api = signed_in(make_actor(firm))
    header = f"Bearer {secret}".encode().decode("latin-1")
    assert_problem(api.client.get("/api/v1/notes", headers={"authorization": header}), 401, "key_invalid")


def test_a_revoked_key_is_401(firm: Organisation) -> None:
    key, secret = make_key(firm)
    assert Api(secret).get("/notes").status_code == 200
    ApiKey.objects.filter(pk=key.pk).update(revoked_at=timezone.now())
    assert_problem(Api(secret).get("/notes"), 401, "key_invalid")


def test_use_of_a_key_is_noted_at_most_once_a_minute(firm: Organisation) -> None:
    key, secret = make_key(firm)
    Api(secret).get("/notes")
    key.refresh_from_db()
    first = key.last_used_at
    assert first is not None
    Api(secret).get("/notes")
    key.refresh_from_db()
    assert key.last_used_at == first
    ApiKey.objects.filter(pk=key.pk).update(last_used_at=timezone.now() - timedelta(seconds=61))
    Api(secret).get("/notes")
    key.refresh_from_db()
    assert key.last_used_at is not None
    assert key.last_used_at > first - timedelta(seconds=61)


def test_a_key_opens_only_its_scopes(firm: Organisation) -> None:
    reader = machine(firm, scopes=["events:read"])
    assert reader.get("/notes").status_code == 200
    found = assert_problem(reader.post("/notes", {"text": "好"}), 403, "scope_required")
    assert found["details"] == {"scope": "events:write"}
    assert_problem(machine(firm, scopes=["lots:write"]).get("/notes"), 403, "scope_required")
    writer = machine(firm, scopes=["events:write"])
    assert writer.get("/notes").status_code == 200
    assert writer.post("/notes", {"text": "好"}).status_code == 201


def test_a_key_has_a_role_too(firm: Organisation) -> None:
    found = assert_problem(machine(firm, role="viewer").post("/notes", {"text": "好"}), 403, "role_required")
    assert found["details"] == {"roles": ["operator"]}


def test_a_person_signed_in_needs_the_csrf_token_to_write_and_not_to_read(firm: Organisation) -> None:
    api = signed_in(make_actor(firm), csrf=True)
    assert api.get("/notes").status_code == 200
    assert_problem(api.post("/notes", {"text": "好"}), 403, "csrf_failed")
    token = "a" * 32
    api.client.cookies["csrftoken"] = token
    assert api.post("/notes", {"text": "好"}, **{"X-CSRFToken": token}).status_code == 201


def test_a_person_without_organisation_is_told_so(db: None) -> None:
    assert_problem(signed_in(make_user()).get("/notes"), 403, "no_organisation")


def test_an_organisation_not_admitted_reads_and_does_not_write(db: None) -> None:
    applicant = make_organisation("示例酒厂", "producer", status="suspended")
    api = machine(applicant)
    assert api.get("/notes").status_code == 200
    assert_problem(api.post("/notes", {"text": "好"}), 403, "organisation_not_active")


def test_an_operation_for_others_is_404(firm: Organisation) -> None:
    assert_problem(machine(firm).get("/regulators"), 404, "not_found")
    bureau = make_organisation("示例监管局", "regulator", level="county", territory="141182")
    assert machine(bureau, role="officer").get("/regulators").status_code == 200
    assert_problem(machine(bureau, role="officer").get("/notes"), 404, "not_found")


def test_a_public_operation_asks_nobody(db: None) -> None:
    assert body(Api().get("/open")) == {"text": "open", "uid": "-"}


def test_who_may_not_is_told_before_the_body_is_read(firm: Organisation) -> None:
    assert_problem(Api().post("/notes", "{"), 401, "not_signed_in")
    assert_problem(machine(firm, role="viewer").post("/notes", "{"), 403, "role_required")


# --- what is refused ----------------------------------------------------------------------------------------


BAD_BODIES: list[tuple[Any, int, str]] = [
    ("{", 400, "invalid_json"),
    ("", 422, "required"),
    ("[]", 422, "not_an_object"),
    (b"\xff\xfe", 400, "invalid_json"),
    ("[" * 100_000, 400, "invalid_json"),
    ('{"text": "x", "free": ' + "[" * 40 + "]" * 40 + "}", 422, "json_too_deep"),
    ('{"text": NaN}', 422, "number_not_finite"),
    ('{"text": "x", "number": -Infinity}', 422, "number_not_finite"),
    ('{"text": "x", "free": {"a": 1e999}}', 422, "out_of_range"),
    ('{"text": "a\\u0000b"}', 422, "text_nul"),
    ('{"text": "\\ud83d"}', 422, "text_surrogate"),
    ('{"text": "x", "free": {"\\ud83d": 1}}', 422, "text_surrogate"),
    ('{"text": "x", "free": {"a": ["b\\u0000"]}}', 422, "text_nul"),
    ({"text": "x" * 11}, 422, "text_too_long"),
    ({"text": "x" * 1_000_000}, 422, "text_too_long"),
    ({"text": "a\u202eb"}, 422, "text_control"),
    ({"text": "  "}, 422, "required"),
    ({}, 422, "required"),
    ({"text": None}, 422, "text_not_text"),
    ({"text": 5}, 422, "text_not_text"),
    ({"text": "x", "txt": 1}, 422, "unknown_field"),
    ({"text": "x", "number": 2**63}, 422, "out_of_range"),
    ('{"text": "x", "number": ' + "9" * 5000 + "}", 400, "invalid_json"),
    ({"text": "x", "number": -1}, 422, "out_of_range"),
    ({"text": "x", "number": 1.5}, 422, "not_an_integer"),
    ({"text": "x", "number": True}, 422, "not_an_integer"),
    ({"text": "x", "day": "2026-02-30"}, 422, "date_invalid"),
    ({"text": "x", "day": "0001-01-01"}, 422, "date_out_of_range"),
    ({"text": "x", "day": 0}, 422, "date_invalid"),
    ({"text": "x", "moment": "2026-11-22T08:00:00"}, 422, "datetime_invalid"),
    ({"text": "x", "moment": "0001-01-01T00:00:00+14:00"}, 422, "date_out_of_range"),
    ({"text": "x", "moment": "9999-12-31T23:59:59-14:00"}, 422, "date_out_of_range"),
    ({"text": "x", "moment": 1e308}, 422, "date_invalid"),
    ({"text": "x", "amount": 5}, 422, "not_an_object"),
    ({"text": "x", "amount": {"value": []}}, 422, "amount_not_a_number"),
    ({"text": "x", "other": "../../etc"}, 422, "uid_invalid"),
    ({"text": "x", "free": []}, 422, "not_an_object"),
]


@pytest.mark.parametrize(("sent", "status", "code"), BAD_BODIES, ids=lambda value: str(value)[:40])
def test_a_bad_body_is_refused_with_a_code_and_nothing_is_stored(
    firm: Organisation, sent: Any, status: int, code: str
) -> None:
    api = machine(firm)
    assert_problem(api.post("/notes", sent), status, code)
    assert not PersonalRecord.objects.exists()
    api.language = "en"
    assert_problem(api.post("/notes", sent), status, code)


def test_an_error_says_where_it_is(firm: Organisation) -> None:
    found = assert_problem(
        machine(firm).post("/notes", {"text": "", "amount": {"value": "1", "unit": "x" * 99}}), 422, "invalid_fields"
    )
    assert [(error["in"], error["field"], error["code"]) for error in found["errors"]] == [
        ("body", "text", "required"),
        ("body", "amount.unit", "text_too_long"),
    ]


def test_only_json_is_taken(firm: Organisation) -> None:
    key = make_key(firm)[1]
    client = Client(raise_request_exception=False)
    headers = {"authorization": f"Bearer {key}", "idempotency-key": "1"}
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        answer = client.post("/api/v1/notes", '{"text": "x"}', content_type=kind, headers=headers)
        assert_problem(answer, 415, "json_expected")


def test_a_body_beyond_the_limit_is_413(firm: Organisation, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    assert_problem(machine(firm).post("/notes", {"text": "x" * 2000}), 413, "body_too_large")


def test_unknown_addresses_and_methods_are_problems(firm: Organisation) -> None:
    assert_problem(Api().get("/nowhere/at/all"), 404, "not_found")
    answer = machine(firm).client.delete("/api/v1/notes")
    assert_problem(answer, 405, "method_not_allowed")
    assert answer["Allow"] == "GET, POST" or answer["Allow"] == "POST, GET"


def test_answers_are_kept_out_of_shared_caches(firm: Organisation) -> None:
    assert machine(firm).get("/notes")["Cache-Control"] == "private, no-store"


@pytest.mark.parametrize(
    ("text", "status", "code"),
    [
        ("invalid", 422, "probe_refused"),
        ("fields", 422, "invalid_fields"),
        ("guard", 409, "lot_blocked"),
        ("too many", 429, "too_many"),
        ("unicode", 422, "not_storable"),
        ("overflow", 422, "not_storable"),
        ("data", 422, "not_storable"),
        ("race", 409, "conflict"),
        ("busy", 503, "database_unavailable"),
        ("bug", 500, "internal_error"),
    ],
)
def test_what_breaks_in_the_middle_leaves_nothing(firm: Organisation, text: str, status: int, code: str) -> None:
    assert_problem(machine(firm).post("/notes", {"text": text}), status, code)
    assert not PersonalRecord.objects.exists()


def test_details_of_a_refusal_are_for_machines(firm: Organisation) -> None:
    api = machine(firm)
    assert body(api.post("/notes", {"text": "invalid"}))["details"] == {"limit": 3}
    found = body(api.post("/notes", {"text": "fields"}))
    assert found["errors"] == [{"in": "body", "field": "weight", "code": "too_heavy", "detail": "太重"}]
    guards = body(api.post("/notes", {"text": "guard"}))["details"]
    assert guards == {"guards": [{"code": "lot_blocked", "detail": "封存", "lot": None}], "insistable": True}


# --- repeats ------------------------------------------------------------------------------------------------


def test_the_same_request_twice_has_one_effect_and_one_answer(firm: Organisation) -> None:
    api = machine(firm)
    first = api.post("/notes", {"text": "好"}, key="k1")
    second = api.post("/notes", {"text": "好"}, key="k1")
    assert (first.status_code, first.content) == (second.status_code, second.content) == (201, first.content)
    assert second["Content-Type"] == first["Content-Type"]
    assert not first.has_header("Idempotent-Replayed")
    assert second["Idempotent-Replayed"] == "true"
    assert PersonalRecord.objects.count() == 1


def test_another_body_under_the_same_key_is_refused(firm: Organisation) -> None:
    api = machine(firm)
    api.post("/notes", {"text": "好"}, key="k1")
    assert_problem(api.post("/notes", {"text": "坏"}, key="k1"), 422, "idempotency_key_reused")
    assert PersonalRecord.objects.count() == 1


def test_keys_of_two_callers_are_two_keys(firm: Organisation) -> None:
    assert machine(firm).post("/notes", {"text": "好"}, key="k1").status_code == 201
    assert machine(firm).post("/notes", {"text": "坏"}, key="k1").status_code == 201
    assert signed_in(make_actor(firm)).post("/notes", {"text": "嗯"}, key="k1").status_code == 201
    assert PersonalRecord.objects.count() == 3


@pytest.mark.parametrize("key", ["", "a b", "x" * 101, "é"])
def test_a_post_without_a_usable_key_is_refused(firm: Organisation, key: str) -> None:
    assert_problem(machine(firm).post("/notes", {"text": "好"}, key=key), 400, "idempotency_key_required")
    assert not PersonalRecord.objects.exists()


def test_a_refusal_is_an_answer_and_is_replayed(firm: Organisation) -> None:
    api = machine(firm)
    first = api.post("/notes", {"text": "invalid"}, key="k1")
    second = api.post("/notes", {"text": "invalid"}, key="k1")
    assert_problem(second, 422, "probe_refused")
    assert second.content == first.content
    assert second["Idempotent-Replayed"] == "true"


@pytest.mark.parametrize("text", ["too many", "busy", "bug", "race"])
def test_what_is_no_answer_is_not_kept(firm: Organisation, text: str) -> None:
    api = machine(firm)
    for _ in range(2):
        answer = api.post("/notes", {"text": text}, key="k1")
        assert not answer.has_header("Idempotent-Replayed")
    assert not IdempotencyRecord.objects.exists()


def test_a_request_under_way_is_409_and_a_crashed_one_is_taken_over(firm: Organisation) -> None:
    api = machine(firm)
    api.post("/notes", {"text": "好"}, key="k1")
    IdempotencyRecord.objects.update(finished_at=None, status=None, body="")
    assert_problem(api.post("/notes", {"text": "好"}, key="k1"), 409, "idempotency_in_flight")
    assert PersonalRecord.objects.count() == 1
    IdempotencyRecord.objects.update(started_at=timezone.now() - IN_FLIGHT)
    assert api.post("/notes", {"text": "好"}, key="k1").status_code == 201
    assert PersonalRecord.objects.count() == 2


def test_who_was_taken_over_cannot_finish(firm: Organisation) -> None:
    facts: dict[str, Any] = {"organisation": firm, "caller": "x", "key": "k", "request_hash": "h"}
    now = timezone.now()
    slow = claim_request(**facts, at=now)
    quick = claim_request(**facts, at=now + IN_FLIGHT)
    with pytest.raises(StaleState):
        finish_request(claim=slow, status=200, body="slow", content_type="x")
    finish_request(claim=quick, status=200, body="quick", content_type="x")
    with pytest.raises(StaleState):
        finish_request(claim=slow, status=200, body="slow", content_type="x")
    assert claim_request(**facts).record.body == "quick"


def test_of_two_who_take_over_one_wins(firm: Organisation) -> None:
    facts: dict[str, Any] = {"organisation": firm, "caller": "x", "key": "k", "request_hash": "h"}
    now = timezone.now()
    claim_request(**facts, at=now)
    assert not claim_request(**facts, at=now + IN_FLIGHT).answered
    with pytest.raises(Clash) as refused:
        claim_request(**facts, at=now + IN_FLIGHT)
    assert refused.value.code == "idempotency_in_flight"


def test_old_answers_are_forgotten(firm: Organisation) -> None:
    api = machine(firm)
    api.post("/notes", {"text": "好"}, key="k1")
    assert forget_requests() == 0
    assert forget_requests(at=timezone.now() + KEPT + timedelta(seconds=1)) == 1
    assert not IdempotencyRecord.objects.exists()


def test_fifty_at_once_with_one_key_have_one_effect(committed_db: CommittedDatabase) -> None:
    firm = make_organisation("示例酒厂", "producer")
    _key, secret = make_key(firm)
    found: list[tuple[int, bytes]] = []
    together = threading.Barrier(50)

    def call() -> None:
        together.wait()
        try:
            answer = Api(secret).post("/notes", {"text": "好"}, key="k1")
            found.append((answer.status_code, answer.content))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=call) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 50
    assert PersonalRecord.objects.count() == 1
    done = {content for status, content in found if status == 201}
    assert len(done) == 1
    others = [json.loads(content)["code"] for status, content in found if status != 201]
    assert set(others) <= {"idempotency_in_flight"}
    final = Api(secret).post("/notes", {"text": "好"}, key="k1")
    assert (final.status_code, {final.content}) == (201, done)


def test_effect_and_answer_are_one_commit(committed_db: CommittedDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process dies after the work and before its commit: no effect, and a repeat after the wait has one."""
    firm = make_organisation("示例酒厂", "producer")
    api = machine(firm)

    class Killed(BaseException):
        """Stands for SIGKILL: nothing of ours runs after it."""

    def die(**_facts: Any) -> None:
        raise Killed

    monkeypatch.setattr("trace.api.idempotency.finish_request", die)
    monkeypatch.setattr("trace.api.idempotency.abandon_request", lambda **_facts: None)
    with pytest.raises(Killed):
        api.post("/notes", {"text": "好"}, key="k1")
    monkeypatch.undo()
    assert not PersonalRecord.objects.exists()
    assert_problem(api.post("/notes", {"text": "好"}, key="k1"), 409, "idempotency_in_flight")
    IdempotencyRecord.objects.update(started_at=timezone.now() - IN_FLIGHT)
    assert api.post("/notes", {"text": "好"}, key="k1").status_code == 201
    assert PersonalRecord.objects.count() == 1


# --- pages --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["newest", "oldest"])
def test_pages_give_every_row_once_also_while_rows_come(firm: Organisation, order: str) -> None:
    api = machine(firm)
    for number in range(7):
        api.post("/notes", {"text": f"n{number}"})
    seen: list[str] = []
    answer = api.get("/notes", limit=3, order=order)
    while True:
        page = body(answer)
        seen += [item["text"] for item in page["items"]]
        if page["next"] is None:
            assert not answer.has_header("Link")
            break
        address, relation = answer["Link"].split("; ")
        assert relation == 'rel="next"'
        if len(seen) == 3:
            api.post("/notes", {"text": "late"})
        answer = api.get(address.strip("<>").removeprefix("http://testserver"))
    expected = [f"n{number}" for number in range(7)]
    assert seen == (expected[::-1] if order == "newest" else [*expected, "late"])


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"limit": 0}, "out_of_range"),
        ({"limit": 201}, "out_of_range"),
        ({"limit": "9" * 30}, "out_of_range"),
        ({"limit": "viele"}, "not_an_integer"),
        ({"cursor": "forged"}, "cursor_invalid"),
        ({"cursor": "a\x00b"}, "text_nul"),
        ({"cursor": "x" * 5000}, "text_too_long"),
        ({"order": "sideways"}, "unknown_choice"),
    ],
)
def test_a_bad_question_is_422(firm: Organisation, query: dict[str, Any], code: str) -> None:
    assert_problem(machine(firm).get("/notes", **query), 422, code)


def test_a_cursor_of_another_order_is_refused(firm: Organisation) -> None:
    api = machine(firm)
    for number in range(3):
        api.post("/notes", {"text": str(number)})
    cursor = body(api.get("/notes", limit=1, order="newest"))["next"]
    assert_problem(api.get("/notes", limit=1, order="oldest", cursor=cursor), 422, "cursor_invalid")


# --- language and document ----------------------------------------------------------------------------------


def test_errors_speak_the_readers_language(firm: Organisation) -> None:
    api = machine(firm)
    chinese = body(api.post("/notes", {"text": 5}))["detail"]
    assert chinese == "这里应当是文字。"


def test_the_document_says_for_each_operation_who_it_is_for_and_gives_an_example(db: None) -> None:
    document = body(Api().get("/openapi.json"))
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    names = {operation["operationId"] for operation in operations}
    assert names == {"list_notes", "write_note", "for_regulators", "for_everybody"}
    for operation in operations:
        assert operation["x-audience"] in ("public", "party", "regulator", "operator", "signed_in")
        answer = operation["responses"].get("200") or operation["responses"]["201"]
        assert answer["content"]["application/json"]["example"]
    assert document["components"]["schemas"]["Problem"]["properties"]["code"]
    write = document["paths"]["/api/v1/notes"]["post"]
    assert write["parameters"][0]["name"] == "Idempotency-Key"
    assert set(write["security"][0]) == {"KeyAuth"}
    assert document["components"]["securitySchemes"]["KeyAuth"]["scheme"] == "bearer"


def test_the_handbook_of_the_api_is_served_without_foreign_scripts(db: None) -> None:
    page = Api().get("/docs").content.decode()
    assert "swagger-ui-bundle.js" in page
    assert "https://" not in page
