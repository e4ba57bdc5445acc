"""A coarse place (province or city) for an address, from a table the operator may install; without it the place is
unknown.

The table is a CSV file named by ``SCAN_PLACES_FILE`` with two or three columns without heading,
``network,place[,division]`` (``198.51.100.0/24,山西省太原市,1401``); the third, the beginning of a GB/T 2260 code,
lets scans be held against where goods were sold. No table is shipped: the free ones are not free to ship, and guessing
is worse than 地点未知. Never a position, never a person.
"""

from __future__ import annotations

import csv
import functools
import ipaddress
from bisect import bisect_right
from pathlib import Path

from django.conf import settings

PLACE_MAX = 60
Row = tuple[int, int, str, str]


def place_of(address: str) -> str:
    """The place of an address by the installed table, or ""."""
    return spot_of(address)[0]


def installed() -> bool:
    """Whether there is a table at all; without one every rule about places is off."""
    return bool(settings.SCAN_PLACES_FILE)


def spot_of(address: str) -> tuple[str, str]:
    """Place and division code of an address, each "" where the table does not say."""
    path: str = settings.SCAN_PLACES_FILE
    if not path:
        return "", ""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "", ""
    rows = _table(path)[parsed.version]
    number = int(parsed)
    index = bisect_right(rows, number, key=lambda row: row[0]) - 1
    if index >= 0 and rows[index][0] <= number <= rows[index][1]:
        return rows[index][2], rows[index][3]
    return "", ""


@functools.cache
def _table(path: str) -> dict[int, list[Row]]:
    """Rows (first address, last address, place) by IP version, sorted. A row that is none is a ValueError naming its
    line.
    """
    found: dict[int, list[Row]] = {4: [], 6: []}
    with Path(path).open(encoding="utf-8", newline="") as file:
        for line, row in enumerate(csv.reader(file), start=1):
            if not row:
                continue
            if len(row) not in (2, 3):
                raise ValueError(f"{path}, line {line}: two or three columns are expected")
            network = ipaddress.ip_network(row[0].strip())
            found[network.version].append(
                (
                    int(network.network_address),
                    int(network.broadcast_address),
                    row[1].strip()[:PLACE_MAX],
                    row[2].strip()[:6] if len(row) == 3 else "",
                )
            )
    for rows in found.values():
        rows.sort()
    return found
