"""Settings of the server that is measured: the test suite's, with an empty view beside the pages, and (BENCH_BARE=1)
without any middleware.
"""

import os

from tests.settings import *  # noqa: F403

ROOT_URLCONF = "tests.bench.serving_urls"
if os.environ.get("BENCH_BARE") == "1":
    MIDDLEWARE = []
