"""The data of labels: what was issued and printed, what went wrong with it, and what was scanned."""

from labels.models.commitments import Commitment
from labels.models.runs import CodeException, CodeRun, CodeStep
from labels.models.scans import Scan, ScanReport, ScanTally

__all__ = ["CodeException", "CodeRun", "CodeStep", "Commitment", "Scan", "ScanReport", "ScanTally"]
