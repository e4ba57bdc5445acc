"""The words of CBV 2.0 (ISO/IEC 19988) as they stand in JSON, where they come from and how they are written as URIs.

Read from GS1's published JSON Schemas and JSON-LD context for EPCIS 2.0.1, not from the ratified text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from trace.epcis.formats import Vocabulary, compact_word, word_uri

CBV: Final = "https://ref.gs1.org/cbv/"
"""Web URIs of the core business vocabulary begin like this."""

BIZ_STEPS: Final = Vocabulary.BIZ_STEP.words
DISPOSITIONS: Final = Vocabulary.DISPOSITION.words
TRANSACTIONS: Final = Vocabulary.BIZ_TRANSACTION.words
PARTIES: Final = Vocabulary.SOURCE_DEST.words
REASONS: Final = Vocabulary.ERROR_REASON.words
# Ours and the published schema's: a few words of the GS1 Web Vocabulary are in only one of the lists we have seen.
MEASURES: Final = Vocabulary.MEASUREMENT.words | {"Activity", "EffectiveDose", "EffectiveDoseRate"}
COMPONENTS: Final = Vocabulary.COMPONENT.words | {"geocoordinate"}
ALERTS: Final = Vocabulary.SENSOR_ALERT.words

EVENT_TYPES: Final = (
    "ObjectEvent",
    "AggregationEvent",
    "TransactionEvent",
    "TransformationEvent",
    "AssociationEvent",
)

PREFIXES: Final[Mapping[str, str]] = {
    "gs1": "https://gs1.org/voc/",
    "cbv": CBV,
    "cbvmda": "urn:epcglobal:cbv:mda:",
    "epcis": "https://ref.gs1.org/epcis/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
    "owl": "http://www.w3.org/2002/07/owl#",
    "dcterms": "http://purl.org/dc/terms/",
}
"""Prefixes that the context of EPCIS 2.0 brings; every other must be declared in the document."""

OURS: Final = "urn:x-fenyang:"
"""The namespace of what our own installations say besides the standard (``fy:party``, ``fy:step``)."""

CONTEXT: Final = "https://ref.gs1.org/standards/epcis/epcis-context.jsonld"
"""The context we answer with. Contexts of this address, in any edition, are known; none is ever fetched."""
CONTEXTS: Final = (
    "https://ref.gs1.org/standards/epcis/",
    "https://gs1.github.io/EPCIS/",
    "https://gs1.org/voc/",
    "https://ref.gs1.org/voc/",
    "https://ref.gs1.org/cbv/",
)

_KINDS: Final[Mapping[str, Vocabulary]] = {
    "bizStep": Vocabulary.BIZ_STEP,
    "disposition": Vocabulary.DISPOSITION,
    "bizTransaction": Vocabulary.BIZ_TRANSACTION,
    "sourceDest": Vocabulary.SOURCE_DEST,
    "reason": Vocabulary.ERROR_REASON,
}


def word(kind: str, value: str) -> str:
    """One canonical form of a vocabulary value: the bare word of the CBV where it is one, else as it is.

    It arrives as a bare word, as a Web URI (``https://ref.gs1.org/cbv/BizStep-shipping``, also ``cbv:BizStep-…`` and
    the older ``ns.gs1.org``) or, from XML, as a URN.
    """
    return compact_word(_KINDS[kind], value.replace("https://ns.gs1.org/cbv/", CBV, 1))


def as_uri(kind: str, value: str) -> str:
    """The Web URI of a bare word of the CBV; everything else as it is (``GS1-CBV-XML-Format: Always_Web_URI``)."""
    return word_uri(_KINDS[kind], value)


def local(name: str) -> str:
    """The last part of an attribute's name: ``cbvmda:name``, ``urn:epcglobal:cbv:mda:name`` and ``…#name`` are name."""
    for mark in ("#", "/", ":"):
        name = name.rpartition(mark)[2]
    return name
