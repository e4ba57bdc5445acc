"""The WSGI entry point: `granian --interface wsgi config.wsgi:application`, in the project's folder."""

import os
from collections.abc import Callable, Iterable
from typing import Any

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

_django = get_wsgi_application()


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """The program. Its requests keep the bytes of the path, which Django puts right where they are no UTF-8."""
    environ["trace.path"] = environ["PATH_INFO"]
    return _django(environ, start_response)
