"""The file of benchmarks/heads.py: whole after every head, and gone on with where settings and machine are the same."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

# What may differ between two calls whose rows stand side by side.
PASSING = ("date", "command", "load_average", "runs")


class Records:
    """Sizes and their heads, in a JSON file."""

    def __init__(self, path: Path, about: dict[str, Any], again: bool, order: list[str]) -> None:
        self.path, self.about, self.order = path, about, order
        self.runs: list[dict[str, Any]] = []
        if path.exists() and not again:
            kept = json.loads(path.read_text(encoding="utf-8"))
            if comparable(kept) == comparable(json.loads(json.dumps(about))):
                self.runs = kept["runs"]

    def run(self, size: dict[str, Any]) -> dict[str, Any]:
        """What is known of a size, which is begun where it is new."""
        found = next((run for run in self.runs if size.items() <= run.items()), None)
        if found is None:
            found = {**size, "compared_with": "", "peak": None, "heads": {}, "left_out": []}
            self.runs.append(found)
        return found

    def add(self, run: dict[str, Any], name: str, known: dict[str, Any]) -> None:
        """Keep what was found of a head."""
        heads = {**run["heads"], name: known}
        run["heads"] = {each: heads[each] for each in self.order if each in heads}
        self.write()

    def write(self) -> None:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        content = {"date": now, **self.about, "runs": self.runs}
        part = self.path.with_suffix(".part")
        part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        part.replace(self.path)


def comparable(content: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in content.items() if name not in PASSING}
