"""The data of labels: what was issued and printed, what went wrong with it, what was scanned, where links lead."""

from labels.models.checks import CheckAttempt, CheckHashes, CheckTally
from labels.models.commitments import Commitment
from labels.models.freshness import Freshness
from labels.models.links import ProductLink, ProductLinkStep
from labels.models.runs import CodeException, CodeRun, CodeStep, LabelFile, LabelFilePart
from labels.models.scans import (
    Scan,
    ScanKey,
    ScanMark,
    ScanReport,
    ScanRule,
    ScanSuspicion,
    ScanTally,
    ScanThreshold,
)

__all__ = [
    "CheckAttempt",
    "CheckHashes",
    "CheckTally",
    "CodeException",
    "CodeRun",
    "CodeStep",
    "Commitment",
    "Freshness",
    "LabelFile",
    "LabelFilePart",
    "ProductLink",
    "ProductLinkStep",
    "Scan",
    "ScanKey",
    "ScanMark",
    "ScanReport",
    "ScanRule",
    "ScanSuspicion",
    "ScanTally",
    "ScanThreshold",
]
