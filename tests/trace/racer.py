"""What one of several processes does in test_races.py: ship from one lot until it is refused, or write until killed."""

from __future__ import annotations

import os
import sys

import django

django.setup()

from tests.goods import day, make_lot, ship  # noqa: E402 (Django must be set up first)
from trace.actions.packs import pack_units  # noqa: E402
from trace.actor import Actor  # noqa: E402
from trace.errors import GuardBroken  # noqa: E402
from trace.models import Lot, Membership, Organisation, Product  # noqa: E402


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


def race(count: str, *arguments: str) -> None:
    """The same in as many processes of their own, which start together: the program is loaded once and forked."""
    children = []
    for _number in range(int(count)):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                ship_until_refused(*arguments)
                sys.stdout.flush()
                status = 0
            finally:
                os._exit(status)
        children.append(child)
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
