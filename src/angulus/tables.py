"""Tables in text files (csv), written so that a spreadsheet executes no cell, and read back as they were.

A cell that begins with = + - @, a tab or a line break, and is no plain number, would be a formula. It is written with
an apostrophe before it, and so is one that begins with apostrophes and goes on like that; reading takes one away.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from angulus.errors import DataError
from angulus.text_files import read_text

FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n")
_NUMBER = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_QUOTED = re.compile('[",\r\n]')


def is_formula(text: str) -> bool:
    """Whether a spreadsheet would execute a cell."""
    return text.startswith(FORMULAS) and not _NUMBER.fullmatch(text)


def escaped(text: str) -> str:
    """A cell as it is written."""
    return f"'{text}" if is_formula(text.lstrip("'")) else text


def unescaped(cell: str) -> str:
    """The inverse of `escaped`."""
    return cell[1:] if cell.startswith("'") and is_formula(cell.lstrip("'")) else cell


def table_text(rows: Iterable[Sequence[Any]]) -> str:
    """The rows as csv, the names of the columns among them."""
    return "".join(",".join(_cell(str(value), alone=len(row) == 1) for value in row) + "\n" for row in rows)


def table_rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """The line at which each row ends, and its cells; blank lines are left out. Raises csv.Error."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    for row in reader:
        if row:
            yield reader.line_num, [unescaped(cell) for cell in row]


def read_csv(path: Path) -> dict[str, list[str]]:
    """The columns of a csv file as text. Raises DataError for a missing file and for lines of unlike lengths."""
    table: list[list[str]] = []
    try:
        rows = table_rows(read_text(path, DataError, "manifest"))
        names = [name.strip() for name in next(rows, (0, []))[1]]
        if len(set(names)) < len(names):
            raise DataError(f"{path}: two columns have one name: {', '.join(names)}")
        for line, row in rows:
            if len(row) != len(names):
                raise DataError(f"{path}, line {line}: must have {len(names)} columns, got {len(row)}")
            table.append(row)
    except csv.Error as error:
        raise DataError(f"cannot read the manifest {path}: {error}") from error
    return {name: [row[place] for row in table] for place, name in enumerate(names)}


def _cell(text: str, *, alone: bool) -> str:
    text = escaped(text)
    if _QUOTED.search(text) or (alone and not text):  # a row of one empty cell would be a blank line
        return '"' + text.replace('"', '""') + '"'
    return text
