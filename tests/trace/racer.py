"""What one of several processes does in test_races.py: ship from one lot until it is refused, or write until killed."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable

import django

django.setup()

from django.test import Client  # noqa: E402 (Django must be set up first)
from django.urls import reverse  # noqa: E402

from tests.goods import day, make_lot, ship  # noqa: E402 (Django must be set up first)
from tests.trace.api_client import api_of  # noqa: E402
from tests.world import sign_in  # noqa: E402
from trace.actions.packs import pack_units  # noqa: E402
from trace.actor import Actor  # noqa: E402
from trace.errors import GuardBroken  # noqa: E402
from trace.models import Lot, Membership, Organisation, Place, Product  # noqa: E402


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
    amount = {"value": text, "unit": "KGM"}
    lots = [{"lot": lot_uid, "amount": amount}]
    at = day(3).at
    sent = {"receiver": receiver_uid, "occurred_at": at.isoformat(), "lots": lots}
    used = {"template": "common.process", "occurred_at": at.isoformat(), "data": {"process": "示例"},
            "inputs": lots, "outputs": [{"product": str(product.uid), "amount": amount}]}  # fmt: skip
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
        if code:
            sys.stdout.write(f"{done} {code}\n")
            return
        done += 1


def race(count: str, *arguments: str) -> None:
    """The same in as many processes of their own, which start together: the program is loaded once and forked. Each
    fourth takes another way.
    """
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
                take_by_any_way(number % 4, start, *arguments)
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


def pack_each_alone(username: str, codes: str) -> None:
    """Pack each of these units into a new carton of its own; print how many were packed and why the others were not."""
    by = _actor(username)
    packed, refusals = 0, set()
    for code in codes.split(","):
        try:
            pack_units(by=by, parent="", children=[code], when=day(5))
            packed += 1
        except GuardBroken as refused:
            refusals.add(refused.code)
    sys.stdout.write(f"{packed} {','.join(sorted(refusals))}\n")


if __name__ == "__main__":
    if sys.argv[1] == "race":
        race(*sys.argv[2:])
    elif sys.argv[1] == "pack":
        pack_each_alone(*sys.argv[2:])
    else:
        write_until_killed(*sys.argv[2:])
