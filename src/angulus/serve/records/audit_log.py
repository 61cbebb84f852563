"""Who asked for what, when, and what was decided: one line each, on the disk before the answer leaves.

No images and no vectors. People are named as in the gallery. When a person is removed, the lines about them are
emptied: time, request and who asked stay, so that it can be shown that something was done; which operation, who was
found, with which score, and the names of others in the same line go. No pseudonym takes the name's place, as it would
only be another name.
"""

import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from angulus.errors import ServiceError
from angulus.serve.queues.batcher import Batcher
from angulus.serve.records.lines import LineFile, read_lines, write_lines
from angulus.whole_files import reason_of

CURRENT = "audit.jsonl"
_ROTATED = re.compile(r"audit-(\d{8}T\d{6})-(\d{8})\.jsonl")
_STAMP = "%Y%m%dT%H%M%S"
KEPT_OF_FORGOTTEN = ("time", "request", "key")
MOST_TOGETHER = 256


@dataclass(frozen=True, kw_only=True)
class Forget:
    """The person whose lines are to be emptied, by name and by id in the gallery."""

    name: str
    person: str


class AuditLog:
    """The log in a folder.  most_bytes: of a file, before the next is begun.  keep_days: None keeps all.

    Lines of many requests are written together, and wait for the disk together.
    """

    def __init__(
        self,
        folder: Path,
        *,
        most_bytes: int = 16 * 2**20,
        keep_days: float | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.folder, self._most, self._keep_days, self._now = folder, most_bytes, keep_days, now
        self._file = LineFile(folder / CURRENT)
        self._begun = self._first_time()
        self._number = max((number for _, number in map(_parts, self.files()[:-1])), default=0)
        self._drop_old()
        self._queue: Batcher[dict[str, Any] | Forget, int] = Batcher(
            self._write,
            **{"most": MOST_TOGETHER, "wait": 0.0, "waiting": 4 * MOST_TOGETHER, "name": "audit"},
        )

    @property
    def queued(self) -> int:
        """Lines that wait."""
        return self._queue.queued

    def note(self, line: Mapping[str, Any]) -> "Future[int]":
        """Write a line, with the time; done when it is on the disk. Raises ServiceError."""
        return self._queue.submit({"time": self._now().isoformat(timespec="milliseconds"), **line})

    def forget(self, name: str, person: str) -> "Future[int]":
        """Empty all lines about a person, and say how many there were; done when that is on the disk.

        Raises ServiceError (503) where that cannot be written; it may be asked for again.
        """
        return self._queue.submit(Forget(name=name, person=person))

    def lines(self, most: int) -> list[dict[str, Any]]:
        """The newest lines, the newest first."""
        found: list[dict[str, Any]] = []
        for path in reversed(self.files()):
            found.extend(reversed(list(read_lines(path))))
            if len(found) >= most:
                break
        return found[:most]

    def files(self) -> list[Path]:
        """All files of the log, the oldest first."""
        rotated = sorted(path for path in self.folder.iterdir() if _ROTATED.fullmatch(path.name))
        return [*rotated, self.folder / CURRENT]

    def close(self) -> None:
        """Write what waits, then close the file."""
        self._queue.close()
        self._file.close()

    def _write(self, batch: Sequence[dict[str, Any] | Forget]) -> list[int]:
        """How many lines each piece emptied.

        Lines come last: a batch that fails is done again piece by piece, and no line is written twice then, while
        emptying lines twice does no harm.
        """
        self._rotate_if_due()
        rows: list[dict[str, Any]] = []
        counts = [0] * len(batch)
        for place, one in enumerate(batch):
            if isinstance(one, dict):
                rows.append(one)
            else:  # of lines that were given before, as of those on the disk
                counts[place] = sum(_names(row, one) for row in rows)
                rows = [emptied(row, one) for row in rows]
        gone = {place: one for place, one in enumerate(batch) if isinstance(one, Forget)}
        if gone:
            for place, count in self._forget(gone).items():
                counts[place] += count
        if rows:
            self._file.append(rows)
        return counts

    def _forget(self, people: Mapping[int, Forget]) -> dict[int, int]:
        """How many lines about each there were. A file that names none of them stays as it is."""
        counts = dict.fromkeys(people, 0)
        self._file.close()
        try:
            for path in self.files():
                found = {place: _count(path, whom) for place, whom in people.items()}
                if any(found.values()):
                    write_lines(path, (emptied(row, *people.values()) for row in read_lines(path)))
                counts = {place: count + found[place] for place, count in counts.items()}
        except OSError as error:
            raise ServiceError(
                f"lines of the log about who was removed cannot be emptied ({reason_of(error)}): remove the person"
                " again when there is room",
                **{"status": 503, "code": "not_written", "retry_after": 10},
            ) from error
        finally:
            self._file = LineFile(self.folder / CURRENT)
        return counts

    def _rotate_if_due(self) -> None:
        """A file is full, or, where lines are to go one day, a day old."""
        is_old = self._keep_days is not None and self._now() - self._begun > timedelta(days=1)
        if self._file.size and (self._file.size >= self._most or is_old):
            self._file.close()
            try:
                self._number += 1
                name = f"audit-{self._now().strftime(_STAMP)}-{self._number:08}.jsonl"
                (self.folder / CURRENT).rename(self.folder / name)
            finally:
                self._file = LineFile(self.folder / CURRENT)
            self._begun = self._now()
        self._drop_old()

    def _drop_old(self) -> None:
        """Remove files whose last line is older than the days that lines are kept."""
        if self._keep_days is None:
            return
        for path in self.files()[:-1]:
            ended, _ = _parts(path)
            if self._now() - ended > timedelta(days=self._keep_days):
                path.unlink(missing_ok=True)
                logging.getLogger(__name__).info("%s is older than %g days: removed", path, self._keep_days)

    def _first_time(self) -> datetime:
        first = next(read_lines(self.folder / CURRENT), {})
        try:
            return datetime.fromisoformat(str(first.get("time")))
        except ValueError:
            return self._now()


def _parts(path: Path) -> tuple[datetime, int]:
    """When a file ended, and its number."""
    match = _ROTATED.fullmatch(path.name)
    assert match is not None
    return datetime.strptime(match[1], _STAMP).replace(tzinfo=UTC), int(match[2])


def emptied(row: dict[str, Any], *people: Forget) -> dict[str, Any]:
    """A line as it stays when people are forgotten."""
    if not any(_names(row, whom) for whom in people):
        return row
    return {**{name: row[name] for name in KEPT_OF_FORGOTTEN if name in row}, "forgotten": True}


def _count(path: Path, whom: Forget) -> int:
    return sum(_names(row, whom) for row in read_lines(path))


def _names(row: Mapping[str, Any], whom: Forget) -> bool:
    return any(_is_of(one, whom) for one in _people(row))


def _people(row: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    people = row.get("people")
    for one in people if isinstance(people, list) else ():
        if isinstance(one, dict):
            yield one


def _is_of(one: Mapping[str, Any], whom: Forget) -> bool:
    return one.get("name") == whom.name or (bool(whom.person) and one.get("id") == whom.person)
