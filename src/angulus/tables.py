"""Tables in text files: the columns of a csv by name."""

import csv
from pathlib import Path

from angulus.errors import DataError


def read_csv(path: Path) -> dict[str, list[str]]:
    """The columns of a csv file as text. Raises DataError for a missing file and for lines of unlike lengths."""
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            rows = csv.reader(file, strict=True)
            names = [name.strip() for name in next(rows, [])]
            if len(set(names)) < len(names):
                raise DataError(f"{path}: two columns have one name: {', '.join(names)}")
            table = []
            for row in rows:
                if row and len(row) != len(names):
                    raise DataError(f"{path}, line {rows.line_num}: must have {len(names)} columns, got {len(row)}")
                if row:
                    table.append(row)
    except (OSError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise DataError(f"cannot read the manifest {path}: {reason}") from error
    return {name: [row[place] for row in table] for place, name in enumerate(names)}
