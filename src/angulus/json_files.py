"""JSON files from strangers, read as `storage.json_texts` reads: only an OSError or a ValueError is raised."""

from pathlib import Path
from typing import Any

from angulus.files import BoundedReader
from angulus.storage.json_texts import MOST_BYTES, MOST_DEEP, parse_json

__all__ = ["MOST_BYTES", "MOST_DEEP", "parse_json", "read_json"]


def read_json(path: str | Path) -> Any:
    """The value in a JSON file. Raises OSError for a file that cannot be read, ValueError as `parse_json`."""
    with BoundedReader(path) as file:
        if file.size > MOST_BYTES:
            raise ValueError(f"JSON must have at most {MOST_BYTES:,} bytes, got {file.size:,}")
        return parse_json(file.read().decode("utf-8-sig"))
