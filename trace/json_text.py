"""JSON as it is kept and hashed: no spaces, every character as it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any


def _encoder(*, sort_keys: bool) -> Callable[[Any], str]:
    """A function that tells a value as JSON. The standard library makes its compiled encoder anew for each value, which
    takes as long as telling a small one; here it is made once. Values must not hold themselves.
    """
    encoder = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=sort_keys, check_circular=False)
    compiled = getattr(json.encoder, "c_make_encoder", None)
    if compiled is None:
        return encoder.encode
    parts = compiled(None, encoder.default, json.encoder.encode_basestring, None, ":", ",", sort_keys, False, True)
    return lambda value: "".join(parts(value, 0))


json_of = _encoder(sort_keys=False)
"""A value as JSON, members in their order."""
sorted_json_of = _encoder(sort_keys=True)
"""A value as JSON, members sorted by name."""
