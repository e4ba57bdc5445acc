"""Settings of the server that is measured: the test suite's, with an empty view beside the pages, the pool of
connections that production has and tests do without, and (BENCH_BARE=1) without any middleware.
"""

import os

from tests.settings import *  # noqa: F403
from tests.settings import DATABASES

ROOT_URLCONF = "tests.bench.serving_urls"
if DATABASES["default"]["ENGINE"].endswith("postgresql"):
    DATABASES["default"]["OPTIONS"]["pool"] = {"min_size": 1, "max_size": 10, "timeout": 10}
if os.environ.get("BENCH_BARE") == "1":
    MIDDLEWARE = []
