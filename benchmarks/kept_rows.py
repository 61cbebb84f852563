"""Rows of a benchmark that lasts for hours, by name, in a JSON file that is whole whenever the benchmark is stopped."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import machines

Row = dict[str, Any]


class KeptRows:
    """The rows that a file has, and those that are added. facts: what else the file shall say of how they were made."""

    def __init__(self, file: Path, facts: Row) -> None:
        self.file, self.facts = file, facts
        self.rows: dict[str, Row] = json.loads(file.read_text())["rows"] if file.exists() else {}

    def __contains__(self, name: str) -> bool:
        return name in self.rows

    def add(self, name: str, row: Row) -> None:
        """One more row, on the disk at once."""
        self.rows[name] = row
        about = {"date": datetime.now(UTC).date().isoformat(), **self.facts, **machines.about()}
        part = self.file.with_suffix(".partial")
        part.write_text(json.dumps({"about": about, "rows": self.rows}, indent=1) + "\n")
        os.replace(part, self.file)
        print(name, json.dumps(row), flush=True)
