"""The EPCIS door: what partners' systems send becomes events of the ledger, what the ledger holds is told as EPCIS."""
