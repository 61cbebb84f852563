"""Which threshold the operators chose, who, when and why: all of them stay written down, the last one holds.

A choice holds for the artefact it was made with alone: scores of another one differ.
"""

import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from angulus.errors import ServiceError
from angulus.serve.records.lines import LineFile, read_lines

Use = Literal["verify", "search"]
FILE = "choices.jsonl"


@dataclass(frozen=True, kw_only=True)
class Choice:
    """An operator's choice for verification or for searches, of a threshold or of a wanted rate.

    rate: FAR for verify, FPIR for search.  key: that made it.  by, reason: as the operator wrote them.  time: UTC.
    """

    use: str
    threshold: float | None
    rate: float | None
    key: str
    by: str
    reason: str
    time: str
    artefact: str

    def __post_init__(self) -> None:
        if self.use not in ("verify", "search"):
            raise ServiceError(f"use must be verify or search, got {str(self.use)[:40]!r}")
        if (self.threshold is None) == (self.rate is None):
            raise ServiceError("a choice is of a threshold or of a rate: give one of them")
        if self.threshold is not None and not -1 <= self.threshold <= 1:
            raise ServiceError(f"threshold must lie in -1 to 1, as every score does, got {self.threshold:g}")
        if self.rate is not None and not 0 < self.rate < 1:
            raise ServiceError(f"rate must lie between 0 and 1, got {self.rate:g}")
        for name in ("by", "reason"):
            if not getattr(self, name).strip() or len(getattr(self, name)) > 1000:
                raise ServiceError(f"{name} must say something, in at most 1,000 characters: it is written down")


class Choices:
    """The history in a folder."""

    def __init__(self, folder: Path, artefact: str) -> None:
        self._artefact, self._lock = artefact, threading.Lock()
        self._file = LineFile(folder / FILE)
        self._all = [found for row in read_lines(folder / FILE) if (found := _choice(row)) is not None]

    def current(self, use: Use) -> Choice | None:
        """The choice that holds; None where none was made with this artefact."""
        ours = [one for one in self._all if one.use == use and one.artefact == self._artefact]
        return ours[-1] if ours else None

    def history(self) -> tuple[Choice, ...]:
        """All choices, the newest first."""
        return tuple(reversed(self._all))

    def choose(
        self, use: str, *, threshold: float | None, rate: float | None, key: str, by: str, reason: str
    ) -> Choice:
        """Write a choice down; it holds from then on. Raises ServiceError."""
        made = Choice(
            **{"use": use, "threshold": threshold, "rate": rate, "key": key, "by": by, "reason": reason},
            **{"time": datetime.now(UTC).isoformat(timespec="seconds"), "artefact": self._artefact},
        )
        with self._lock:
            self._file.append([asdict(made)])
            self._all.append(made)
        return made

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _choice(row: Mapping[str, Any]) -> Choice | None:
    """A line of the file; None for what is none."""
    texts = {name: str(row.get(name, "")) for name in ("key", "by", "reason", "time", "artefact")}
    numbers = {name: row.get(name) for name in ("threshold", "rate")}
    if not all(value is None or isinstance(value, int | float) for value in numbers.values()):
        return None
    try:
        return Choice(use=row.get("use", ""), **numbers, **texts)  # pyrefly: ignore[bad-argument-type]
    except (ServiceError, OverflowError):  # the latter from showing a number of hundreds of digits
        return None
