"""A coarse place (province or city) for an address, from a table the operator may install; without it the place is
unknown.

The table is a CSV file named by ``SCAN_PLACES_FILE`` with two columns without heading, ``network,place``
(``198.51.100.0/24,山西省太原市``). No table is shipped: the free ones are not free to ship, and guessing is worse
than 地点未知. Never a position, never a person.
"""

from __future__ import annotations

import csv
import functools
import ipaddress
from bisect import bisect_right
from pathlib import Path

from django.conf import settings

PLACE_MAX = 60
Row = tuple[int, int, str]


def place_of(address: str) -> str:
    """The place of an address by the installed table, or ""."""
    path: str = settings.SCAN_PLACES_FILE
    if not path:
        return ""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return ""
    rows = _table(path)[parsed.version]
    number = int(parsed)
    index = bisect_right(rows, number, key=lambda row: row[0]) - 1
    if index >= 0 and rows[index][0] <= number <= rows[index][1]:
        return rows[index][2]
    return ""


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
            if len(row) != 2:
                raise ValueError(f"{path}, line {line}: two columns are expected")
            network = ipaddress.ip_network(row[0].strip())
            found[network.version].append(
                (int(network.network_address), int(network.broadcast_address), row[1].strip()[:PLACE_MAX])
            )
    for rows in found.values():
        rows.sort()
    return found
