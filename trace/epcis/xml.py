"""EPCIS in XML: 2.0 and 1.2 in, 2.0 out. The JSON-LD form is the one everything else works with."""

from trace.epcis.xml_in import EventStream, document_from_xml, iter_events
from trace.epcis.xml_names import XmlInvalid
from trace.epcis.xml_out import document_to_xml, pieces

__all__ = ["EventStream", "XmlInvalid", "document_from_xml", "document_to_xml", "iter_events", "pieces"]
