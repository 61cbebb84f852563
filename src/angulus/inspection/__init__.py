"""What is in a set of images or recordings, what of it looks wrong, and what of a test set is in a training set."""

from angulus.inspection.contents import Contents, scan, typical_spectrum
from angulus.inspection.copies import Copy, Seen, find_copies
from angulus.inspection.findings import Findings, find, look_at, readable_part
from angulus.inspection.leaks import Leaks, Suspect, find_leaks, removal
from angulus.inspection.leaks_page import write_leaks
from angulus.inspection.nearest import NearPairs, near_pairs
from angulus.inspection.registration import agreement
from angulus.inspection.report import write_data_report
from angulus.inspection.suggestions import suggested_edits

__all__ = [
    "Contents",
    "Copy",
    "Findings",
    "Leaks",
    "NearPairs",
    "Seen",
    "Suspect",
    "agreement",
    "find",
    "find_copies",
    "find_leaks",
    "look_at",
    "near_pairs",
    "readable_part",
    "removal",
    "scan",
    "suggested_edits",
    "typical_spectrum",
    "write_data_report",
    "write_leaks",
]
