"""A list of changes to a set of images that a person can read, edit and undo; no image is moved or rewritten.

    action,key,identity,to,reason
    drop,Ada/0003.jpg,Ada,,far from the center of Ada     this image is left out
    drop,,Bob,,nobody in particular                       every image of Bob is left out
    relabel,Ada/7.jpg,Ada,Bob,nearest to Bob              this image shows Bob, who may be new
    split,Ada/8.jpg,Ada,Ada (2),a second person           the same; the new identity must not be in the set
    merge,,Robert,Bob,one person                          every image of Robert shows Bob
    keep,Ada/9.jpg,Ada,,looked at                         nothing changes, whatever an earlier list says

The first line of a list that Angulus writes holds a digest of the set it is made for and one of the lines below it, by
which `write_proposed` knows a list that somebody has edited, and leaves it.

A change of one image goes before a change of its identity; a later list goes before an earlier one. Further columns
(angles, scores) are for the reader. Audits, the leak check and purification write such lists, people edit them, and
every source applies them: `data.identities.edits` in a recipe, `--edits` on the command line.
"""

import csv
import hashlib
import logging
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from angulus.data.examples import Source
from angulus.errors import DataError
from angulus.files import read_regular
from angulus.tables import table_rows, table_text
from angulus.text_files import opened_text, read_text

logger = logging.getLogger(__name__)

Action = Literal["drop", "relabel", "split", "merge", "keep"]
ACTIONS: tuple[Action, ...] = get_args(Action)

_COLUMNS = ("action", "key", "identity", "to", "reason")
_HEAD = "# angulus edits; set: "
_LINES = "; lines: "
_NAMES_AT_ONCE = 2**16


@dataclass(frozen=True, kw_only=True)
class Edit:
    """One change. key: the image, or "" for every image of `identity`.  to: the new identity of relabel, split, merge.

    more: further columns by name, for the reader alone.  line: where it stands in its file, 0 for none.
    """

    action: Action
    key: str = ""
    identity: str = ""
    to: str = ""
    reason: str = ""
    more: Mapping[str, str] = field(default_factory=dict)
    line: int = 0


@dataclass(frozen=True, kw_only=True)
class Edits:
    """The changes of one list. origin: the file, for messages.  made_for: digest of the set it is meant for, or ""."""

    rows: tuple[Edit, ...]
    origin: str = "edits"
    made_for: str = ""

    def __len__(self) -> int:
        return len(self.rows)


def read_edits(path: str | Path) -> Edits:
    """Read a list of changes. Raises DataError naming file and line for everything that is not as it must be."""
    path = Path(path)
    # bytes that are no UTF-8 are those of names of files, unless somebody has saved the list
    text = _own_text(path) if _is_unchanged(path) else read_text(path, DataError, "list of edits")
    made_for = ""
    if text.startswith("#"):
        first, _, text = text.partition("\n")
        made_for = first.removeprefix(_HEAD).partition(_LINES)[0].strip() if first.startswith(_HEAD) else ""
        if first.startswith(_HEAD) and not re.fullmatch(r"[0-9a-f]{16}", made_for):
            raise DataError(
                f"{path}, line 1: the set must be 16 digits, got {made_for!r:.40}; the list is cut or damaged"
            )
        text = "\n" + text  # lines keep their numbers
    skipped, line = 1 if text.startswith("\n") else 0, 0
    found: list[Edit] = []
    try:
        reader = table_rows(text.lstrip("\n"))
        line, first_row = next(reader, (0, []))
        names = [name.strip() for name in first_row]
        _check_columns(path, names)
        for line, row in reader:
            found.append(_edit(path, line + skipped, names, row))
        rows = tuple(found)
        lost = [name for name in _COLUMNS if name not in names] if made_for and not rows else []
        if lost:
            raise DataError(
                f"{path}, line 2: the columns {', '.join(lost)} are missing, which every list of Angulus has; it is cut"
                " or damaged: make it anew"
            )
    except csv.Error as error:
        raise DataError(f"{path}, line {line + skipped + 1}: {error}") from error
    _check_contradictions(path, rows)
    if made_for and not text.endswith("\n"):
        logger.warning("%s ends within a line; it may be cut short after %d changes", path, len(rows))
    return Edits(rows=rows, origin=str(path), made_for=made_for)


def write_edits(path: str | Path, rows: Sequence[Edit], *, source: Source | None = None) -> None:
    """Write a list of changes, whole or not at all; `source` is the set it is made for.

    Raises DataError where the file cannot be written.
    """
    _write(Path(path), list_text(rows, source))


def write_proposed(path: str | Path, rows: Sequence[Edit], *, source: Source) -> Path:
    """Write a list as `write_edits`, unless somebody has edited the one that is there: then beside it, NAME-2.csv.

    Returns where it was written, and says so where that is another name. Raises DataError as `write_edits`.
    """
    path, text = Path(path), list_text(rows, source)
    place, number = path, 1
    while place.exists() and not _is_unchanged(place, text):
        number += 1
        place = path.with_name(f"{path.stem}-{number}{path.suffix}")
    if place != path:
        logger.warning("%s was edited and is left as it is; the new list is %s", path, place)
    _write(place, text)
    return place


def list_text(rows: Sequence[Edit], source: Source | None) -> str:
    """What `write_edits` writes."""
    more = list(dict.fromkeys(name for row in rows for name in row.more))
    cells = [[*(getattr(row, name) for name in _COLUMNS), *(row.more.get(name, "") for name in more)] for row in rows]
    text = table_text([[*_COLUMNS, *more], *cells])
    return text if source is None else f"{_HEAD}{names_digest(source)}{_LINES}{_digest(text)}\n{text}"


def _is_unchanged(path: Path, new: str = "") -> bool:
    """Whether a list is as Angulus wrote it, or as it would be written now."""
    try:
        content = read_regular(path).decode("utf-8", "surrogateescape")
    except OSError:
        return False
    first, _, lines = content.partition("\n")
    return content == new or (first.startswith(_HEAD) and first.partition(_LINES)[2] == _digest(lines))


def _digest(lines: str) -> str:
    return hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _own_text(path: Path) -> str:
    with opened_text(path, DataError, "list of edits", other_bytes="surrogateescape") as file:
        return file.read()


def _write(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(text.encode("utf-8", "surrogateescape"))
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise DataError(f"cannot write the list of edits {path}: {error.strerror or error}") from error


def names_digest(source: Source) -> str:
    """A short hex digest of the names of images and identities and of the labels, whatever layout holds them."""
    digest = hashlib.sha256()
    for names in (source.identities, source.keys):
        for begin in range(0, len(names), _NAMES_AT_ONCE):
            block = "\n".join(names[begin : begin + _NAMES_AT_ONCE])
            digest.update(block.encode("utf-8", "surrogateescape") + b"\n")
        digest.update(b"\0")
    digest.update(np.asarray(source.labels, dtype="<i8").tobytes())
    return digest.hexdigest()[:16]


def _check_columns(path: Path, names: Sequence[str]) -> None:
    if "action" not in names or not {"key", "identity"} & set(names):
        raise DataError(
            f"{path} must have the columns action, key, identity, to and reason; it has {', '.join(names) or 'none'}"
        )
    if len(set(names)) < len(names):
        raise DataError(f"{path}: two columns have one name: {', '.join(names)}")


def _edit(path: Path, line: int, names: Sequence[str], row: Sequence[str]) -> Edit:
    where = f"{path}, line {line}"
    if len(row) != len(names):
        raise DataError(f"{where}: must have {len(names)} columns, got {len(row)}")
    cells = dict(zip(names, row, strict=True))
    action = cells["action"].strip().lower()
    if action not in ACTIONS:
        raise DataError(f"{where}: action must be one of {', '.join(ACTIONS)}, got {action!r}")
    known = {name: cells.get(name, "") for name in _COLUMNS[1:]}
    edit = Edit(
        action=action,
        **known,
        more={name: value for name, value in cells.items() if name not in _COLUMNS},
        line=line,
    )
    _check_edit(where, edit)
    return edit


def _check_edit(where: str, edit: Edit) -> None:
    if not edit.key and not edit.identity:
        raise DataError(f"{where}: {edit.action} must name an example (key) or an identity, got neither")
    if edit.action in ("relabel", "split", "merge") and not edit.to:
        raise DataError(f"{where}: {edit.action} must name the new identity in the column to, got none")
    if edit.action == "split" and not edit.key:
        raise DataError(f"{where}: split must name the examples (key) that become {edit.to}, one a line")
    if edit.action == "merge" and edit.key:
        raise DataError(f"{where}: merge is for whole identities; leave key empty, or use relabel for one example")


def _check_contradictions(path: Path, rows: Iterable[Edit]) -> None:
    seen: dict[tuple[str, str], Edit] = {}
    for row in rows:
        name = ("key", row.key) if row.key else ("identity", row.identity)
        first = seen.setdefault(name, row)
        if (first.action, first.to) != (row.action, row.to):
            raise DataError(
                f"{path}, line {row.line}: {row.action} {name[1]}, but line {first.line} says {first.action}; "
                "leave one of the two"
            )
