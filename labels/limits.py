"""How often one address may ask for what does not exist, and how often it may write to us without an account.

Counted across all server processes of the machine (``trace.throttle``). The limit protects the machine, not the codes:
with 60 random bits, a billion issued codes and a thousand guesses a second, a hit takes about 13 days, and what it
would show is public anyway. Codes that exist are never refused: a recall must not hide behind somebody else's traffic.
"""

from __future__ import annotations

from trace.throttle import spend

__all__ = ["CHECKS", "REPORTS", "UNKNOWN_CODES", "spend"]

UNKNOWN_CODES = (30, 60)
"""Unknown codes one address may look up: so many in so many seconds."""
CHECKS = (20, 600)
"""Check codes one address may try: so many in so many seconds. Each label has a limit of its own besides."""
REPORTS = (10, 600)
"""Reports one address may send: so many in so many seconds."""
