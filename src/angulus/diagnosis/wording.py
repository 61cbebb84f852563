"""What is an example of a run called? Rules are written of images; a run on speech has recordings."""

import re
from dataclasses import replace

from angulus.diagnosis.findings import Finding
from angulus.diagnosis.records import Record

_WORD = re.compile(r"(?<![\w.=/])image(s?)\b(?!=)")


def is_of_recordings(record: Record) -> bool:
    """Whether the network of the run takes speech."""
    return record.setting("model.input.content") is not None


def worded(text: str, record: Record) -> str:
    """The text with recordings in place of images where the run is on recordings; keys of the recipe stay."""
    if not is_of_recordings(record):
        return text
    return _WORD.sub(r"recording\1", re.sub(r"\b([Aa])n(?= image\b)", r"\1", text))


def worded_finding(finding: Finding, record: Record) -> Finding:
    """A finding in the words of the run."""
    title, evidence, advice = (worded(text, record) for text in (finding.title, finding.evidence, finding.advice))
    return replace(finding, title=title, evidence=evidence, advice=advice)
