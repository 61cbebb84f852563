"""What a doctor says: findings, the gravest first."""

from dataclasses import dataclass
from typing import Any, Literal

Severity = Literal["stops", "harms", "costs"]
"""stops: the run learns nothing, or its figures mean nothing.  harms: it learns less well.  costs: it takes longer."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is wrong.

    name: short, of the rule.  title: a sentence.  evidence: what was seen, with numbers.  advice: what to change.
    keys: the keys of the recipe that the advice is about, or what takes their place.
    """

    name: str
    title: str
    severity: Severity
    evidence: str
    advice: str
    keys: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        return {**vars(self), "keys": list(self.keys)}


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """findings: the one to act on first.  notes: what could not be looked at, and why."""

    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()

    @property
    def is_healthy(self) -> bool:
        return not self.findings

    def as_dict(self) -> dict[str, Any]:
        return {
            "healthy": self.is_healthy,
            "findings": [finding.as_dict() for finding in self.findings],
            "notes": list(self.notes),
        }
