"""The reference implementation of the event hash, asked so that its known faults do not show.

Known faults of ``epcis_event_hash_generator`` 1.9.3 that have nothing to do with the algorithm: it remembers the
prefixes of every document it has seen, knows contexts by two addresses only and would fetch others, takes an event's
own @context for an extension, writes Python's True where XML has true, and does not know gs1:, cbv:, epcis: and
cbvmda: in JSON.
"""

import copy
import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from epcis_event_hash_generator import hash_generator, json_to_py, xml_to_py

CONTEXT = "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"
_KNOWN = {
    "gs1": "{https://gs1.org/voc/}",
    "cbv": "{https://ref.gs1.org/cbv/}",
    "epcis": "{https://ref.gs1.org/epcis/}",
    "cbvmda": "{urn:epcglobal:cbv:mda}",
}


def reference_pre_hash(event: dict[str, Any], context: object = None) -> str | None:
    """The package's pre-hash string of an event; None where it gives none."""
    event = dict(_booleans_as_text(event))
    parts = [part for part in (*_parts(context), *_parts(event.pop("@context", None))) if not isinstance(part, str)]
    document = {
        "@context": [CONTEXT, *parts],
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": "2026-01-01T00:00:00Z",
        "epcisBody": {"eventList": [event]},
    }
    json_to_py._namespaces.clear()
    json_to_py._namespaces.update(_KNOWN)
    return next(iter(_answer(lambda: json_to_py.event_list_from_epcis_document_json(document))), None)


def raw_reference_pre_hash(event: Mapping[str, Any]) -> str | None:
    """The same without a hand to help it, for events that need none."""
    return next(iter(reference_pre_hashes([event])), None)


def reference_pre_hashes(events: Sequence[Mapping[str, Any]]) -> list[str]:
    """The package's pre-hash strings of a document with these events and no prefixes."""
    document = {"@context": [CONTEXT], "type": "EPCISDocument", "epcisBody": {"eventList": copy.deepcopy(list(events))}}
    json_to_py._namespaces.clear()
    return _answer(lambda: json_to_py.event_list_from_epcis_document_json(document))


def reference_pre_hashes_of_xml(text: str) -> list[str]:
    """The package's pre-hash strings of an XML document; empty where it gives none."""
    return _answer(lambda: xml_to_py.event_list_from_epcis_document_str(text))


def _answer(read: Callable[[], Any]) -> list[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        try:
            answer: list[str] = hash_generator.derive_prehashes_from_events(read())
        except Exception:  # noqa: BLE001 - whatever it falls over, it gives no hash
            return []
        finally:
            logging.disable(logging.NOTSET)
    return answer


def _parts(context: object) -> list[Any]:
    if context is None:
        return []
    return context if isinstance(context, list) else [context]


def _booleans_as_text(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return [_booleans_as_text(item) for item in value]
    if isinstance(value, dict):
        return {key: _booleans_as_text(item) for key, item in value.items()}
    return value
