"""Text as people make it: UTF-8 with or without a byte-order mark and with any line ends; all else gets one sentence.

Every list and table that a person may write by hand is read here: pairs, trials, names, labels, edits, manifests.
"""

import csv
import io
import os
import re
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from angulus.errors import AngulusError
from angulus.files import open_regular, read_regular

_ENDS = re.compile("\r\n|\n|\r")
_WIDE = (b"\xff\xfe", b"\xfe\xff")
_WIDE_TEXT = "it must be UTF-8 text, and is UTF-16 or no text at all; save it as UTF-8"


@contextmanager
def opened_text(
    path: str | Path, error: type[AngulusError], what: str, *, other_bytes: str = "strict"
) -> Generator[TextIO]:
    """A file for reading line by line, line ends as they are; other_bytes: what becomes of those that are no UTF-8.

    Raises `error`, in words that call the file a `what`, where it does not exist, is no regular file or is not UTF-8.
    """
    try:
        with os.fdopen(open_regular(path), "rb") as file:
            if _is_wide(file.peek()):
                raise error(f"{path} is not a readable {what}: {_WIDE_TEXT}")
            with io.TextIOWrapper(file, encoding="utf-8-sig", errors=other_bytes, newline="") as text:
                yield text
    except FileNotFoundError:
        raise error(f"no {what} at {path}: the file does not exist") from None
    except UnicodeDecodeError:
        raise error(f"{path} is not a readable {what}: {_other_encoding(path)}") from None
    except OSError as problem:
        raise error(f"{path} is not a readable {what}: {problem.strerror or problem}") from problem


def read_text(path: str | Path, error: type[AngulusError], what: str) -> str:
    """The text of a file, line ends as they are; raises `error` as `opened_text`."""
    with opened_text(path, error, what) as file:
        return file.read()


def read_lines(path: str | Path, error: type[AngulusError], what: str) -> list[str]:
    """The lines of a file without their ends and without blank last lines; raises `error` as `opened_text`."""
    return lines_of(read_text(path, error, what))


def read_entries(path: str | Path, error: type[AngulusError], what: str) -> list[str]:
    """The lines of a file that are not blank, without the blanks around them; raises `error` as `opened_text`."""
    return [line.strip() for line in read_lines(path, error, what) if line.strip()]


def read_rows(
    path: str | Path, error: type[AngulusError], what: str, separator: str = ","
) -> Iterator[tuple[int, list[str]]]:
    """The number and the cells of every row of a table that is not empty; raises `error` as `opened_text`."""
    with opened_text(path, error, what) as file:
        yield from parse_rows(file, path, error, separator, strict=True)


def parse_rows(
    lines: Iterable[str], path: str | Path, error: type[AngulusError], separator: str = ",", *, strict: bool = False
) -> Iterator[tuple[int, list[str]]]:
    """The same of lines that were read from a file. strict: a quote within a cell is an error.

    Raises `error` for what is no table, and for a cell of more than 131,072 characters.
    """
    rows = csv.reader(lines, delimiter=separator, strict=strict)
    try:
        yield from ((rows.line_num, row) for row in rows if row)
    except csv.Error as problem:
        raise error(f"{path}, line {rows.line_num}: {problem}") from problem


def lines_of(text: str) -> list[str]:
    """The lines of a text without their ends and without blank last lines."""
    lines = _ENDS.split(text)
    while lines and not lines[-1].strip():
        lines.pop()
    return lines


def slashed(name: str) -> str:
    """A path as it is written elsewhere than on Windows."""
    return name.replace("\\", "/")


def printable(text: str) -> str:
    """A text with names of files in it, as UTF-8 can hold it: bytes of a name that are no UTF-8 stand as \\xe9."""
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # half a character, which no file's name has
        return text.encode("utf-8", "backslashreplace").decode()


def is_utf8(name: str) -> bool:
    """Whether the name of a file is UTF-8; those of old archives may be in another encoding."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_wide(begin: bytes) -> bool:
    return begin.startswith(_WIDE) or b"\0" in begin


def _other_encoding(path: str | Path) -> str:
    content = read_regular(path)
    try:
        content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = content.count(b"\n", 0, problem.start) + 1
        return (
            f"it must be UTF-8 text, and line {line} has the byte 0x{content[problem.start]:02x}, as Latin-1 writes"
            " letters; save it as UTF-8"
        )
    return "it must be UTF-8 text; save it as UTF-8"  # it was changed meanwhile
