"""What EPCIS in XML and in JSON share or spell differently: namespaces, elements, their order and their words."""

import re
from collections.abc import Mapping
from typing import Final

from trace.epcis.formats import Vocabulary
from trace.errors import Invalid

CONTEXT: Final = "https://ref.gs1.org/standards/epcis/epcis-context.jsonld"
EPCIS: Final = "urn:epcglobal:epcis:xsd:2"
QUERY: Final = "urn:epcglobal:epcis-query:xsd:2"
SBDH: Final = "http://www.unece.org/cefact/namespaces/StandardBusinessDocumentHeader"
XSI: Final = "http://www.w3.org/2001/XMLSchema-instance"
XSD: Final = "http://www.w3.org/2001/XMLSchema"
XML: Final = "http://www.w3.org/XML/1998/namespace"
OURS: Final = frozenset(
    (
        "",
        EPCIS,
        QUERY,
        "urn:epcglobal:epcis:xsd:1",
        "urn:epcglobal:epcis-query:xsd:1",
        "urn:epcglobal:epcis-masterdata:xsd:1",
        "urn:epcglobal:epcis-masterdata:xsd:2",
    )
)
"""The namespaces of the standard's own elements: they stand without a prefix in JSON."""
TECHNICAL: Final = OURS | {SBDH, XSI, XSD, XML, "urn:epcglobal:xsd:1", "urn:epcglobal:xsd:2"}
KNOWN: Final[Mapping[str, str]] = {
    "cbvmda": "urn:epcglobal:cbv:mda",
    "gs1": "https://gs1.org/voc/",
    "cbv": "https://ref.gs1.org/cbv/",
    "epcis": "https://ref.gs1.org/epcis/",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "owl": "http://www.w3.org/2002/07/owl#",
    "xsd": XSD,
    "dcterms": "http://purl.org/dc/terms/",
}
"""Prefixes that every EPCIS JSON-LD document knows, with their namespaces in XML."""
SAME: Final[Mapping[str, str]] = {
    "urn:epcglobal:cbv:mda:": KNOWN["cbvmda"],
    "https://ref.gs1.org/voc/": KNOWN["gs1"],
    "http://www.w3.org/2000/01/rdf-schema#/": KNOWN["rdfs"],
    XSD + "#": XSD,
}
"""Namespaces that are met in other spellings."""

EVENTS: Final = ("ObjectEvent", "AggregationEvent", "TransactionEvent", "TransformationEvent", "AssociationEvent")
_HEAD: Final = ["eventTime", "recordTime", "eventTimeZoneOffset", "eventID", "errorDeclaration", "certificationInfo"]
_PLACE: Final = ["bizStep", "disposition", "readPoint", "bizLocation"]
_TAIL: Final = ["sourceList", "destinationList", "sensorElementList", "persistentDisposition"]
ORDER: Final[Mapping[str, tuple[str, ...]]] = {
    "ObjectEvent": (*_HEAD, "epcList", "action", *_PLACE, "bizTransactionList", "quantityList", *_TAIL, "ilmd"),
    "AggregationEvent": (
        *(*_HEAD, "parentID", "childEPCs", "action", *_PLACE, "bizTransactionList"),
        *("childQuantityList", *_TAIL),
    ),
    "TransactionEvent": (
        *(*_HEAD, "bizTransactionList", "parentID", "epcList", "action", *_PLACE),
        *("quantityList", *_TAIL),
    ),
    "TransformationEvent": (
        *(*_HEAD, "inputEPCList", "inputQuantityList", "outputEPCList", "outputQuantityList", "transformationID"),
        *(*_PLACE, "bizTransactionList", *_TAIL, "ilmd"),
    ),
    "AssociationEvent": (
        *(*_HEAD, "parentID", "childEPCs", "childQuantityList", "action", *_PLACE, "bizTransactionList"),
        *_TAIL,
    ),
}
"""The elements of each event in the order of the XML schema (EPCglobal-epcis-2_0.xsd)."""
EPC_LISTS: Final = frozenset(("epcList", "childEPCs", "inputEPCList", "outputEPCList"))
QUANTITY_LISTS: Final = frozenset(("quantityList", "childQuantityList", "inputQuantityList", "outputQuantityList"))
TYPED_LISTS: Final[Mapping[str, tuple[str, Vocabulary]]] = {
    "bizTransactionList": ("bizTransaction", Vocabulary.BIZ_TRANSACTION),
    "sourceList": ("source", Vocabulary.SOURCE_DEST),
    "destinationList": ("destination", Vocabulary.SOURCE_DEST),
}
WORDS: Final[Mapping[str, Vocabulary]] = {
    "bizStep": Vocabulary.BIZ_STEP,
    "disposition": Vocabulary.DISPOSITION,
}
REPORT_WORDS: Final[Mapping[str, Vocabulary]] = {
    "type": Vocabulary.MEASUREMENT,
    "exception": Vocabulary.SENSOR_ALERT,
    "component": Vocabulary.COMPONENT,
}
REPORT_NUMBERS: Final = frozenset(["value", "minValue", "maxValue", "meanValue", "sDev", "percRank", "percValue"])
XSI_NUMBERS: Final = frozenset(
    ["integer", "int", "long", "short", "decimal", "double", "float", "nonNegativeInteger", "positiveInteger"]
)


_START: Final = (
    r"A-Z_a-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02ff\u0370-\u037d\u037f-\u1fff\u200c\u200d\u2070-\u218f\u2c00-\u2fef"
    r"\u3001-\ud7ff\uf900-\ufdcf\ufdf0-\ufffd\U00010000-\U000effff"
)
NAME: Final = re.compile(rf"[{_START}][{_START}.0-9\u00b7\u0300-\u036f\u203f\u2040-]*")
"""A name without a colon (XML 1.0, productions 4 and 4a; Namespaces in XML, NCName)."""
_RESERVED: Final = frozenset(("xsi", "epcis", "epcisq", "sbdh"))


def prefix_can_be(prefix: str) -> bool:
    """The prefix may stand for a namespace of somebody's own in a document that we write."""
    return bool(NAME.fullmatch(prefix)) and not prefix.lower().startswith("xml") and prefix not in _RESERVED


class XmlInvalid(Invalid):
    """A document that cannot be read as EPCIS, or not be written as XML.

    ``code`` begins with ``epcis_xml_``; ``details["path"]`` points to the place (names of elements with their number
    among those named alike, from 1; for writing, a JSON pointer), ``details["line"]`` is the line where it is known.
    """

    code = "epcis_xml_invalid"
