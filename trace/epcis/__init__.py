"""EPCIS 2.0 (ISO/IEC 19987) and CBV 2.0 (ISO/IEC 19988): the door for partners' systems."""
