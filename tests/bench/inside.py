"""The part that runs in one world: builds it if it is not there, measures, prints a line of JSON per number.

DATABASE_URL=… python -m tests.bench.inside 10000 [case …]
"""

from __future__ import annotations

import json
import os
import sys


def main(size: int, wanted: set[str]) -> None:
    """Measure these cases (all of them, if none is named) in the world at hand."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    import django

    django.setup()
    from tests.bench import (
        epcis,  # noqa: F401  (declares its cases)
        labels,  # noqa: F401  (declares its case)
        recalls,  # noqa: F401  (declares its cases)
        worlds,
    )
    from tests.bench.cases import CASES

    facts = worlds.load()
    if facts is None:
        facts = worlds.build(size)
        print(json.dumps({"built": facts.seconds, "lots": facts.lots, "links": facts.links, "events": facts.events}))
    for case in CASES:
        if size in case.sizes and (not wanted or case.name in wanted):
            for number in case.run(facts):
                print(json.dumps({"case": case.name, **number._asdict()}, ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), set(sys.argv[2:]))
