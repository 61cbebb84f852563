"""Tables in text files: the columns of a csv by name."""

import csv
from pathlib import Path

from angulus.errors import DataError
from angulus.text_files import opened_text


def read_csv(path: Path) -> dict[str, list[str]]:
    """The columns of a csv file as text. Raises DataError for a missing file and for lines of unlike lengths."""
    with opened_text(path, DataError, "manifest") as file:
        rows = csv.reader(file, strict=True)
        try:
            names = [name.strip() for name in next(rows, [])]
            if len(set(names)) < len(names):
                raise DataError(f"{path}: two columns have one name: {', '.join(names)}")
            table = []
            for row in rows:
                if row and len(row) != len(names):
                    raise DataError(f"{path}, line {rows.line_num}: must have {len(names)} columns, got {len(row)}")
                if row:
                    table.append(row)
        except csv.Error as error:
            raise DataError(f"cannot read the manifest {path}: {error}") from error
    return {name: [row[place] for row in table] for place, name in enumerate(names)}
