"""Partners' systems: signed deliveries, tried again, never to an inside address; GS1's messages in and out."""

import datetime
import hashlib
import hmac
import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from django.test import Client
from django.utils import timezone

from recalls import posting
from recalls.actions.answers import answer_stock
from recalls.actions.hooks import add_webhook, deliver_due, end_webhook, rotate_secret, try_again
from recalls.api.gs1 import Gs1In, Message, RemovedItem, lot_of
from recalls.gs1 import closeout_notification, recall_notification, removal_confirmation
from recalls.models import Signal, WebhookDelivery
from tests.recalls.story import Chain, announced, answer, notice_to, started
from tests.world import sign_in
from trace.errors import DomainError, StaleState
from trace.models import Lot, Product, ProductVersion
from trace.personal import reveal


class Receiver(http.server.HTTPServer):
    """A partner's system of a few lines on this machine; answers with ``status``."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.status = 200
        self.got: list[tuple[dict[str, str], bytes]] = []


class Answering(http.server.BaseHTTPRequestHandler):
    """Keeps what it is sent."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert isinstance(self.server, Receiver)
        self.server.got.append((dict(self.headers), body))
        self.send_response(self.server.status)
        self.send_header("Location", "http://127.0.0.1:1/")
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        """Quiet."""


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    """A running receiver; private addresses are allowed while it runs."""
    settings.WEBHOOK_ALLOW_PRIVATE = True
    server = Receiver()
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def refusal(run: Any, *args: Any, **kwargs: Any) -> str:
    """The code with which an action refuses."""
    with pytest.raises(DomainError) as refused:
        run(*args, **kwargs)
    return refused.value.code


def _signed(secret: str, headers: dict[str, str], body: bytes) -> bool:
    """Whether one of the signatures is this secret's."""
    wanted = hmac.new(secret.encode(), f"{headers['X-Trace-Timestamp']}.".encode() + body, hashlib.sha256).hexdigest()
    return f"v1={wanted}" in headers["X-Trace-Signature"].split(",")


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/",
        "https://user:pass@example.org/",
        "https://example.org:22/",
        "https://",
        "ftp://example.org/",
        "https://example.org/a b",
        "https://例子.cn/",
        "https://example.org:99999/",
        "https://[::1",
    ],
)
def test_addresses_that_are_not_public_https_are_refused(url: str) -> None:
    assert refusal(posting.check_url, url) == "webhook_url"


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "::1",
        "fe80::1",
        "::ffff:10.0.0.1",
        "240.0.0.1",
    ],
)
def test_a_name_that_leads_inside_is_not_spoken_to(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def resolved(*args: Any, **kwargs: Any) -> Any:
        return [(2, 1, 6, "", ("93.184.216.34", 443)), (2, 1, 6, "", (address, 443))]

    monkeypatch.setattr("socket.getaddrinfo", resolved)
    with pytest.raises(posting.CannotPost, match="not a public address"):
        posting.post("https://partner.example/", b"{}", {})


def test_a_delivery_is_signed_retried_rotated_and_sent_once(chain: Chain, receiver: Receiver) -> None:
    by = chain.world.distributor
    url = f"http://127.0.0.1:{receiver.server_port}/hook"
    hook, secret = add_webhook(by=by, url=url)
    assert refusal(add_webhook, by=by, url=url) == "webhook_twice"
    assert refusal(add_webhook, by=chain.world.distillery_worker, url=url) == "role_required"
    started(chain, is_drill=True)
    assert not WebhookDelivery.objects.exists()
    campaign = started(chain)
    row = WebhookDelivery.objects.get()
    assert row.event == "notice"
    receiver.status = 503
    assert deliver_due() == 0
    row.refresh_from_db()
    assert (row.attempts, row.status_code, row.lease) == (1, 503, None)
    receiver.status = 302
    assert deliver_due(now=row.next_at) == 0
    receiver.status = 200
    fresh = rotate_secret(by=by, hook=hook)
    row.refresh_from_db()
    assert deliver_due(now=row.next_at) == 1
    assert deliver_due(now=timezone.now() + datetime.timedelta(days=1)) == 0
    assert len(receiver.got) == 3
    headers, body = receiver.got[-1]
    assert _signed(secret, headers, body)
    assert _signed(fresh, headers, body)
    assert len({got[0]["X-Trace-Delivery"] for got in receiver.got}) == 1
    said = json.loads(body)
    assert said["data"]["messageType"] == "productRecallNotification"
    assert said["data"]["recallNumber"] == campaign.number
    end_webhook(by=by, hook=hook)
    WebhookDelivery.objects.update(failed_at=timezone.now(), sent_at=None)
    with pytest.raises(StaleState):
        try_again(by=by, delivery=row)
    row.refresh_from_db()
    assert row.failed_at is not None


def test_a_receiver_that_never_answers_is_given_up_and_gone_ends_at_once(chain: Chain, receiver: Receiver) -> None:
    by = chain.world.distributor
    add_webhook(by=by, url=f"http://127.0.0.1:{receiver.server_port}/hook")
    started(chain)
    receiver.status = 500
    moment = timezone.now()
    for _attempt in range(9):
        deliver_due(now=moment)
        moment += datetime.timedelta(days=1)
    row = WebhookDelivery.objects.get()
    assert (row.attempts, row.failed_at is not None) == (8, True)
    try_again(by=by, delivery=row)
    receiver.status = 410
    deliver_due(now=moment)
    row.refresh_from_db()
    assert (row.attempts, row.status_code, row.failed_at is not None) == (1, 410, True)


def test_the_three_messages_say_what_the_records_say(chain: Chain) -> None:
    campaign = announced(chain)
    by = chain.world.distributor
    told = notice_to(campaign, by.organisation)
    message = recall_notification(told)
    assert message["pRNVersionStatusCode"] == "INITIAL"
    assert message["recalledTradeItem"][0]["batchNumber"] == chain.pouch_a.code
    assert removal_confirmation(told)["removalStatusCode"] == "NOT_STARTED"
    answer_stock(by=by, notice=told, lots=[answer(chain.pouch_a, 16, 16, 14)])
    told.refresh_from_db()
    (item,) = removal_confirmation(told)["removedTradeItem"]
    assert (item["quantityOnHand"], item["quantityRemoved"], item["quantitySold"]) == ("16", "16", "14")
    assert closeout_notification(told)["closeoutStatusCode"] == "OPEN"


def test_messages_come_in_by_the_api(chain: Chain, client: Client) -> None:
    campaign = announced(chain)
    by = chain.world.distributor
    told = notice_to(campaign, by.organisation)
    sign_in(client, by)
    keys = iter(range(100))

    def post(path: str, body: dict[str, Any]) -> Any:
        headers = {"Idempotency-Key": f"gs1-{next(keys)}"}
        return client.post(f"/api/v1{path}", json.dumps(body), content_type="application/json", headers=headers)

    url = f"/api/v1/notices/{told.uid}/gs1/productRecallNotification"
    assert client.get(url).json()["message"]["pRNTitle"] == campaign.title
    assert client.get(url[:-3]).status_code in (404, 422)
    item = {"batchNumber": chain.pouch_a.code, "quantityOnHand": "16", "quantityRemoved": "16", "quantitySold": "14"}
    confirmation = {"messageType": "productRemovalConfirmation", "noticeIdentification": str(told.uid)}
    assert post("/gs1/messages", confirmation).status_code == 422
    wrong = {**confirmation, "removedTradeItem": [item | {"batchNumber": "x"}]}
    assert post("/gs1/messages", wrong).status_code == 422
    taken = post("/gs1/messages", {**confirmation, "removedTradeItem": [item]})
    assert (taken.status_code, taken.json()["became"]) == (200, "answer")
    told.refresh_from_db()
    assert told.status == "isolated"
    # What is given out is taken in, whole: the partner's system is as ours.
    given = {kind: client.get(f"{url.rpartition('/')[0]}/{kind}").json()["message"] for kind in get_args(Message)}
    before = Signal.objects.count()
    assert post("/gs1/messages", given["productRemovalConfirmation"]).json()["became"] == "answer"
    signal = post("/gs1/messages", given["productRecallNotification"]).json()
    words = reveal(Signal.objects.get(uid=signal["uid"]).words)
    assert chain.pouch_a.code in words
    assert campaign.title in words
    assert post("/gs1/messages", given["productRecallCloseoutNotification"]).json()["became"] == "signal"
    assert Signal.objects.count() == before + 2
    assert post("/gs1/messages", {"messageType": "productRecallNotification"}).status_code == 422
    notification = {"messageType": "productRecallNotification", "pRNTitle": "示例", "batchNumbers": ["A1"]}
    before = Signal.objects.count()
    assert post("/gs1/messages", notification).json()["became"] == "signal"
    assert Signal.objects.count() == before + 1
    made = post(f"/notices/{told.uid}/customers", {"customers": [{"name": "示例小店", "phone": "13900000000"}]})
    assert made.status_code == 201, made.content
    sign_in(client, chain.world.distillery)
    assert client.get(url).status_code == 404
    other = post("/gs1/messages", {**confirmation, "removedTradeItem": [item]})
    assert other.status_code == 404


@pytest.mark.once
def test_a_message_may_be_about_as_many_lots_as_a_notice() -> None:
    items = [{"batchNumber": f"A{n}", "quantityOnHand": "1", "quantityRemoved": "1"} for n in range(600)]
    whole = {"messageType": "productRemovalConfirmation", "removedTradeItem": items, "recalledTradeItem": items}
    assert len(Gs1In.model_validate(whole).removedTradeItem) == 600


@pytest.mark.once
def test_an_answer_to_two_lots_of_one_code_says_which_is_meant() -> None:
    lots = [
        Lot(pk=pk, lot_code="A1", product=Product(gtin=gtin), product_version=ProductVersion(name=name))
        for pk, gtin, name in ((1, "06900000000014", "示例酒"), (2, None, "示例核桃"))
    ]

    def meant(asked: tuple[int, ...] = (1, 2), /, **said: str) -> Lot:
        amounts = {"quantityOnHand": "1", "quantityRemoved": "1"}
        return lot_of(RemovedItem.model_validate({"batchNumber": "A1", **amounts, **said}), lots, asked)

    assert meant(gtin="6900000000014") is lots[0]
    assert meant(tradeItemDescription="示例核桃") is lots[1]
    for unclear in ({}, {"gtin": "6900000000021"}):
        with pytest.raises(DomainError, match="不止一个批次叫 A1"):
            meant(**unclear)
    assert meant((2,)) is lots[1], "the other one is recalled no longer"
    assert meant((2,), gtin="6900000000014") is lots[0], "an answer about it does no harm"
    # An answer about another product's lot of that code is none about this one, however many are left.
    lots[0].product.gtin_claim = Product.GtinClaim.CONFIRMED
    del lots[1]
    assert meant(gtin="06900000000014") is lots[0]
    assert meant(gtin="16900000000011") is lots[0], "a carton of it"
    with pytest.raises(DomainError, match="没有问到批次 A1 6900000000021"):
        meant(gtin="6900000000021")


def test_the_page_of_addresses_shows_a_secret_once(chain: Chain, client: Client) -> None:
    url = "/recall/webhooks/"
    sign_in(client, chain.world.distillery_worker)
    assert client.get(url).status_code == 403
    sign_in(client, chain.world.distributor)
    assert client.post(url, {"do": "add", "url": "http://127.0.0.1/"}).status_code == 422
    made = client.post(url, {"do": "add", "url": "https://partner.example/hook"})
    assert "密钥只显示这一次" in made.content.decode()
    body = client.get(url).content.decode()
    assert "partner.example" in body
    assert "密钥只显示这一次" not in body
    hook = chain.world.distributor.organisation.webhooks.get()
    sign_in(client, chain.world.shop)
    assert client.post(url, {"do": "end", "hook": str(hook.uid)}).status_code == 404
