"""What one of several processes does in test_races.py: ship from one lot until it is refused, or write until killed."""

from __future__ import annotations

import json
import os
import re
import sys
import uuid
from collections.abc import Callable
from typing import Any

import django

django.setup()

from django.db import OperationalError  # noqa: E402 (Django must be set up first)
from django.test import Client  # noqa: E402 (Django must be set up first)
from django.urls import reverse  # noqa: E402

from recalls.actions.drills import start_drill  # noqa: E402 (Django must be set up first)
from recalls.actions.hooks import add_webhook  # noqa: E402
from tests.goods import amount, day, make_lot, passed, ship  # noqa: E402 (Django must be set up first)
from tests.trace.api_client import api_of  # noqa: E402
from tests.world import sign_in  # noqa: E402
from trace.actions.limits import LimitInput, add_limit  # noqa: E402
from trace.actions.packs import pack_units  # noqa: E402
from trace.actions.transfers import receive_shipment  # noqa: E402
from trace.actor import Actor  # noqa: E402
from trace.errors import DomainError, GuardBroken  # noqa: E402
from trace.models import Lot, Membership, Organisation, Place, Product, Shipment, Standard  # noqa: E402

BUSY = ("database_unavailable", "refused-503")
"""What somebody is told whom the others let wait for twenty seconds: nothing was written, and one tries again."""


def _actor(name: str) -> Actor:
    membership = Membership.objects.select_related("organisation", "user").get(user__username=name)
    return Actor(
        organisation=membership.organisation, user=membership.user, role=membership.role, membership=membership
    )


def ship_until_refused(username: str, lot_uid: str, receiver_uid: str, text: str) -> None:
    """Ship this much at a time; print how many shipments were accepted."""
    by = _actor(username)
    lot = Lot.objects.select_related("product").get(uid=lot_uid)
    receiver = Organisation.objects.get(uid=receiver_uid)
    shipped = 0
    while True:
        try:
            ship(by, receiver, lot, text, when=day(3))
        except GuardBroken as refused:
            sys.stdout.write(f"{shipped} {refused.code}\n")
            return
        except OperationalError:
            continue
        shipped += 1


def take_by_any_way(
    way: int, start: Callable[[], object], username: str, lot_uid: str, receiver_uid: str, text: str
) -> None:
    """Take this much at a time by one of four ways until it is refused: sent by the action, sent by the API, used by
    the API, used by a form. ``start`` waits for the others to be ready.
    """
    if way == 0:
        start()
        ship_until_refused(username, lot_uid, receiver_uid, text)
        return
    by = _actor(username)
    product = Product.objects.get(organisation=by.organisation, code="USED")
    said = {"value": text, "unit": "KGM"}
    lots = [{"lot": lot_uid, "amount": said}]
    at = day(3).at
    sent = {"receiver": receiver_uid, "occurred_at": at.isoformat(), "lots": lots}
    used = {"template": "common.process", "occurred_at": at.isoformat(), "data": {"process": "示例"},
            "inputs": lots, "outputs": [{"product": str(product.uid), "amount": said}]}  # fmt: skip
    fields = {
        "when_on": at.date().isoformat(), "when_at": "09:30", "d_process": "示例",
        "place": str(Place.objects.filter(organisation=by.organisation)[0].uid),
        "inputs-count": "1", "inputs-0-code": Lot.objects.get(uid=lot_uid).lot_code, "inputs-0-amount": text,
        "inputs-0-unit": "KGM",
        "outputs-count": "1", "outputs-0-product": str(product.uid), "outputs-0-amount": text,
        "outputs-0-unit": "KGM",
    }  # fmt: skip
    api, page, done = api_of(by), sign_in(Client(), by), 0
    address = reverse("trace:step_form", args=["common.process"])
    start()
    while True:
        if way < 3:
            answer = api.post("/shipments", sent) if way == 1 else api.post("/events", used)
            code = "" if answer.status_code == 201 else str(json.loads(answer.content)["code"])
        else:
            answer = page.post(address, fields)
            seen = re.search(r'name="seen" value="([a-z_ ]+)"', answer.content.decode())
            code = "" if answer.status_code == 302 else seen[1] if seen else f"refused-{answer.status_code}"
        if code in BUSY:
            continue
        if code:
            sys.stdout.write(f"{done} {code}\n")
            return
        done += 1


def pack_and_receive(way: int, start: Callable[[], object], packer: str, codes: str, receiver: str, slips: str) -> None:
    """Pack each of these units into a new carton of its own and answer each of these slips, by one of three ways: the
    action, the form, the API. Print how many cartons were made, how many slips answered, and the refusals' codes.
    """
    by, to = _actor(packer), _actor(receiver)
    pages, apis = (sign_in(Client(), by), sign_in(Client(), to)), (api_of(by), api_of(to))
    at, refusals = day(5).at.isoformat()[:16], set()

    def done(code: str) -> int:
        if code:
            refusals.add(code)
        return not code

    def pack(code: str) -> str:
        if way == 0:
            return _refusal(lambda: pack_units(by=by, parent="", children=[code], when=day(5)))
        if way == 1:
            fields = {"level": "carton", "codes": code, "when": at, "form_key": str(uuid.uuid4())}
            answer = pages[0].post(reverse("trace:pack_new"), fields)
            seen = re.search(r'name="seen" value="([a-z_ ]+)"', answer.content.decode())
            return "" if answer.status_code == 302 else seen[1] if seen else f"refused-{answer.status_code}"
        return _code_of(apis[0].post("/packs", {"occurred_at": f"{at}:00+08:00", "units": [code]}))

    def answer_slip(uid: str) -> str:
        row = Shipment.objects.get(uid=uid)
        lines = list(row.transfers.select_related("lot__product__current"))
        if way == 0:
            received = {line: amount("2", line.lot.product) for line in lines}
            return _refusal(lambda: receive_shipment(by=to, shipment=row, received=received, when=day(6)))
        if way == 1:
            fields = {"arrived_on": at[:10], "inspection_result": "合格"}
            fields |= {f"amount_{line.pk}": "2" for line in lines} | {f"unit_{line.pk}": "KGM" for line in lines}
            answer = pages[1].post(reverse("trace:receive", args=[uid]), fields, follow=True)
            said = answer.content.decode()
            if answer.status_code == 503:
                return BUSY[0]
            # Refused: led to the slip, told by the action, or, where it was answered between two looks, by the form.
            refused = answer.status_code in (200, 409, 422)
            return "" if "已登记收货" in said else "already_received" if refused else f"odd-{answer.status_code}"
        given = [{"transfer": str(line.uid), "amount": {"value": "2", "unit": "KGM"}} for line in lines]
        return _code_of(apis[1].post(f"/shipments/{uid}/receipt", {"occurred_at": f"{at}:00+08:00", "lines": given}))

    def at_last(work: Callable[[str], str], what: str) -> str:
        while (code := work(what)) in BUSY:
            pass
        return code

    start()
    packed = sum(done(at_last(pack, code)) for code in codes.split(","))
    received = sum(done(at_last(answer_slip, uid)) for uid in slips.split(","))
    sys.stdout.write(f"{packed} {received} {','.join(sorted(refusals))}\n")


def record_reports(_way: int, start: Callable[[], object], username: str, lot_uid: str, numbers: str) -> None:
    """Record a report of each of these numbers; print how many were accepted, and the refusals' codes."""
    by, lot = _actor(username), Lot.objects.select_related("product_version").get(uid=lot_uid)
    start()
    codes = []
    for number in numbers.split(","):
        while (code := _refusal(lambda number=number: passed(by, lot, number=number))) in BUSY:  # type: ignore[misc]
            pass
        codes.append(code)
    sys.stdout.write(f"{codes.count('')} {','.join(sorted({code for code in codes if code}))}\n")


def once(_way: int, start: Callable[[], object], username: str, what: str, *about: str) -> None:
    """What can be there once: begin an exercise on a lot, state a limit, register an address; print the refusal."""
    by = _actor(username)
    said = LimitInput(">=", "0.60", unit="g/L", applies=">1y", source="示例")
    work: Callable[[], object] = {
        "drill": lambda: start_drill(by=by, lot=Lot.objects.get(uid=about[0])),
        "limit": lambda: add_limit(
            by=by, standard=Standard.objects.get(pk=about[0]), parameter="total_acid", said=said
        ),
        "hook": lambda: add_webhook(by=by, url=about[0]),
    }[what]
    start()
    while (code := _refusal(work)) in BUSY:
        pass
    sys.stdout.write(f"{code or 'begun'}\n")


def _refusal(work: Callable[[], object]) -> str:
    """The code an action refuses with; "" where it does not."""
    try:
        work()
    except DomainError as refused:
        return refused.code
    except OperationalError:
        return BUSY[0]
    return ""


def _code_of(answer: Any) -> str:
    """The code an answer of the API refuses with; "" where it does not."""
    return "" if answer.status_code == 201 else str(json.loads(answer.content)["code"])


def race(what: str, count: str, *arguments: str) -> None:
    """The same in as many processes of their own, which start together: the program is loaded once and forked. Each
    takes another way than the one before.
    """
    runners: dict[str, tuple[Callable[..., None], int]] = {
        "take": (take_by_any_way, 4),
        "hands": (pack_and_receive, 3),
        "reports": (record_reports, 1),
        "once": (once, 1),
    }
    runner, ways = runners[what]
    reverse("trace:lot_list")  # reads every address and what answers it, once for all
    children = []
    (ready, tell), (go, hold) = os.pipe(), os.pipe()

    def start() -> None:
        os.write(tell, b".")
        os.close(hold)
        os.read(go, 1)

    for number in range(int(count)):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                runner(number % ways, start, *arguments)
                sys.stdout.flush()
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    os.close(tell)
    waiting = len(children)
    while waiting > 0 and (said := os.read(ready, waiting)):
        waiting -= len(said)
    os.close(hold)
    sys.exit(max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))


def write_until_killed(username: str) -> None:
    """Begin lots for ever; print the code of each once its transaction is committed."""
    by = _actor(username)
    product = Product.objects.select_related("current").filter(organisation=by.organisation).get()
    while True:
        lot = make_lot(by, product, "1", when=day(0))
        sys.stdout.write(f"{lot.public_code}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    if sys.argv[1] == "race":
        race(*sys.argv[2:])
    else:
        write_until_killed(*sys.argv[2:])
