"""diagnosis.jsonl in the folder of a run: a line for each stretch of it, its beginning, verifications and end."""

import json
import logging
import os
from pathlib import Path
from typing import Any

from angulus.errors import CheckpointError
from angulus.files import open_in_place, read_regular
from angulus.json_files import parse_json
from angulus.training.storage.atomic_files import write_text

log = logging.getLogger(__name__)

FILE = "diagnosis.jsonl"
KINDS = ("start", "stage", "stretch", "judged", "end", "failed")
Row = dict[str, Any]


class Records:
    """The file: lines are appended as they come and cut back to a step on resume."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE

    def rows(self) -> list[Row]:
        """All lines that are records, others are passed over. Raises CheckpointError for an unreadable file."""
        try:
            content = read_regular(self.path)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise CheckpointError(f"{self.path} cannot be read: {error.strerror}; remove it, or look later") from error
        found = [row_of(line) for line in content.decode("utf-8", "replace").splitlines()]
        rows = [row for row in found if row is not None]
        if len(rows) < len(found):
            log.warning("%s has lines that are no records of a run, %d, left out", self.path, len(found) - len(rows))
        return rows

    def cut(self, step: int, total: int) -> None:
        """Forget what came after a step, a failure, and the end of a run that has `total` steps."""
        kept = [
            row
            for row in self.rows()
            if row["step"] <= step
            and row["kind"] not in ("end", "failed")
            and not (row["kind"] == "stage" and row["step"] == step)  # it begins again
            and not (row["kind"] == "judged" and row["step"] == total)
        ]
        write_text(self.path, "".join(f"{json.dumps(row)}\n" for row in kept))

    def begin(self) -> None:
        """Forget everything."""
        write_text(self.path, "")

    def append(self, row: Row) -> None:
        try:
            with os.fdopen(open_in_place(self.path), "a", encoding="utf-8") as file:
                file.write(json.dumps(finite(row)) + "\n")
        except OSError as error:
            raise CheckpointError(
                f"{self.path} could not be written: {error.strerror}; resume the run later"
            ) from error


def row_of(line: str) -> Row | None:
    """A record, None for what is none."""
    try:
        row = parse_json(line)
    except ValueError:
        return None
    is_record = isinstance(row, dict) and type(row.get("step")) is int and row["step"] >= 0
    return row if is_record and row.get("kind") in KINDS else None


def finite(value: Any) -> Any:
    """Numbers rounded to 6 digits; what JSON has no number for becomes null."""
    if isinstance(value, float):
        return float(f"{value:.6g}") if value - value == 0.0 else None
    if isinstance(value, dict):
        return {name: finite(each) for name, each in value.items()}
    return [finite(each) for each in value] if isinstance(value, list | tuple) else value
