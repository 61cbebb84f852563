"""A list of changes to a set of images that a person can read, edit and undo; no image is moved or rewritten.

    action,key,identity,to,reason
    drop,Ada/0003.jpg,Ada,,far from the center of Ada     this image is left out
    drop,,Bob,,nobody in particular                       every image of Bob is left out
    relabel,Ada/7.jpg,Ada,Bob,nearest to Bob              this image shows Bob, who may be new
    split,Ada/8.jpg,Ada,Ada (2),a second person           the same; the new identity must not be in the set
    merge,,Robert,Bob,one person                          every image of Robert shows Bob
    keep,Ada/9.jpg,Ada,,looked at                         nothing changes, whatever an earlier list says

A change of one image goes before a change of its identity; a later list goes before an earlier one. Further columns
(angles, scores) are for the reader. Audits, the leak check and purification write such lists, people edit them, and
every source applies them: `data.identities.edits` in a recipe, `--edits` on the command line.
"""

import csv
import hashlib
import io
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from angulus.data.examples import Drop, Source, account_of
from angulus.data.relabelled import Relabelled
from angulus.data.split import Subset, select
from angulus.errors import DataError

logger = logging.getLogger(__name__)

Action = Literal["drop", "relabel", "split", "merge", "keep"]
ACTIONS: tuple[Action, ...] = get_args(Action)

_COLUMNS = ("action", "key", "identity", "to", "reason")
_HEAD = "# angulus edits; set: "
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
    try:
        text = path.read_text(encoding="utf-8-sig", errors="surrogateescape")
    except OSError as error:
        raise DataError(f"cannot read the list of edits {path}: {error.strerror or error}") from error
    made_for = ""
    if text.startswith("#"):
        first, _, text = text.partition("\n")
        made_for = first.removeprefix(_HEAD).strip() if first.startswith(_HEAD) else ""
        text = "\n" + text  # lines keep their numbers
    reader = csv.reader(io.StringIO(text.lstrip("\n"), newline=""), strict=True)
    skipped = 1 if text.startswith("\n") else 0
    try:
        names = [name.strip() for name in next(reader, [])]
        _check_columns(path, names)
        rows = tuple(_edit(path, reader.line_num + skipped, names, row) for row in reader if row)
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num + skipped}: {error}") from error
    _check_contradictions(path, rows)
    return Edits(rows=rows, origin=str(path), made_for=made_for)


def write_edits(path: str | Path, rows: Sequence[Edit], *, source: Source | None = None) -> None:
    """Write a list of changes, whole or not at all; `source` is the set it is made for.

    Raises DataError where the file cannot be written.
    """
    path = Path(path)
    more = list(dict.fromkeys(name for row in rows for name in row.more))
    text = io.StringIO(newline="")
    if source is not None:
        text.write(f"{_HEAD}{names_digest(source)}\n")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*_COLUMNS, *more])
    for row in rows:
        writer.writerow([*(getattr(row, name) for name in _COLUMNS), *(row.more.get(name, "") for name in more)])
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(text.getvalue().encode("utf-8", "surrogateescape"))
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise DataError(f"cannot write the list of edits {path}: {error.strerror or error}") from error


def apply_edits(source: Source, edits: Sequence[Edits]) -> Subset:
    """The source with every change made; identities that are left without an image vanish, new ones come last.

    Raises DataError for an image or an identity that is not in the set (the list was made for other data), and for
    identities that are merged in a circle.
    """
    images, people = _resolved(edits)
    _check_names(source, edits, people)
    rows = _rows_of(source, edits, images)
    names = list(source.identities)
    place = {name: label for label, name in enumerate(names)}
    labels = _targets(names, place, people)[np.asarray(source.labels, dtype=np.int64)]
    for key, said in images.items():
        old = int(source.labels[rows[key]])
        labels[rows[key]] = _label_of_image(said, old, len(source.identities), names, place, people)
    kept = np.flatnonzero(labels >= 0)
    if not len(kept):
        raise DataError(f"no image is left after the edits of {', '.join(made.origin for made in edits)}")
    return _chosen(source, kept, labels, names, edits)


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
        raise DataError(f"{where}: {edit.action} must name an image (key) or an identity, got neither")
    if edit.action in ("relabel", "split", "merge") and not edit.to:
        raise DataError(f"{where}: {edit.action} must name the new identity in the column to, got none")
    if edit.action == "split" and not edit.key:
        raise DataError(f"{where}: split must name the images (key) that become {edit.to}, one a line")
    if edit.action == "merge" and edit.key:
        raise DataError(f"{where}: merge is for whole identities; leave key empty, or use relabel for one image")


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


_Said = dict[str, tuple[Edit, str]]


def _resolved(edits: Sequence[Edits]) -> tuple[_Said, _Said]:
    """The last word on each image and on each identity, with the list that says it; `keep` takes a word back."""
    images: _Said = {}
    people: _Said = {}
    for made in edits:
        for edit in made.rows:
            name, said = (edit.key, images) if edit.key else (edit.identity, people)
            said[name] = (edit, made.origin)
    return images, {name: word for name, word in people.items() if word[0].action != "keep"}


def _check_names(source: Source, edits: Sequence[Edits], people: _Said) -> None:
    wanted = {edit.identity for made in edits for edit in made.rows if edit.identity}
    missing = wanted.difference(source.identities)
    if missing:
        name = min(missing)
        said = next(made for made in edits if any(edit.identity == name for edit in made.rows))
        edit = next(edit for edit in said.rows if edit.identity == name)
        raise _other_data(source, said, edit, f"the identity {name}")


def _other_data(source: Source, said: Edits, edit: Edit, what: str) -> DataError:
    origin = account_of(source).origin
    other = "" if not said.made_for or said.made_for == names_digest(source) else ": the list was made for another set"
    return DataError(
        f"{said.origin}, line {edit.line}: {what} is not in {origin}{other}; use the list with its own data"
    )


def _rows_of(source: Source, edits: Sequence[Edits], images: _Said) -> dict[str, int]:
    """Where each image that is named lies. Only images of the identities that the list names are looked at."""
    rows: dict[str, int] = {}
    if not images:
        return rows
    for index in _candidates(source, images):
        key = source.keys[index]
        if key in images:
            rows[key] = index
    by_origin = {made.origin: made for made in edits}
    for key, (edit, origin) in images.items():
        if key not in rows:
            of = f" of {edit.identity}" if edit.identity else ""
            raise _other_data(source, by_origin[origin], edit, f"the image {key}{of}")
    return rows


def _candidates(source: Source, images: _Said) -> Iterable[int]:
    owners = {edit.identity for edit, _ in images.values()}
    if "" in owners:
        return range(len(source))
    wanted = np.fromiter((name in owners for name in source.identities), dtype=bool, count=len(source.identities))
    return np.flatnonzero(wanted[source.labels]).tolist()


def _targets(names: list[str], place: dict[str, int], people: _Said) -> NDArray[np.int64]:
    """The new label of every old identity, -1 for those that are dropped; new names are appended to `names`."""
    target = np.arange(len(names), dtype=np.int64)
    for name in people:
        last = _followed(name, people)
        target[place[name]] = -1 if last in people else _label(last, names, place)
    return target


def _followed(name: str, people: _Said) -> str:
    """The name that an identity has after all merges; one that is dropped ends the chain."""
    seen = [name]
    while seen[-1] in people and people[seen[-1]][0].action != "drop":
        edit, origin = people[seen[-1]]
        if edit.to in seen:
            raise DataError(
                f"{origin}, line {edit.line}: identities are merged in a circle: {' -> '.join([*seen, edit.to])}; "
                "leave one of them out"
            )
        seen.append(edit.to)
    return seen[-1]


def _label_of_image(
    said: tuple[Edit, str], old: int, originals: int, names: list[str], place: dict[str, int], people: _Said
) -> int:
    edit, origin = said
    if edit.action == "drop":
        return -1
    if edit.action == "keep":
        return old
    if edit.action == "split" and place.get(edit.to, originals) < originals:
        raise DataError(
            f"{origin}, line {edit.line}: split must name a new identity, and {edit.to} is in the set; use relabel"
        )
    return _label(_followed(edit.to, people), names, place)


def _label(name: str, names: list[str], place: dict[str, int]) -> int:
    if name not in place:
        place[name] = len(names)
        names.append(name)
    return place[name]


def _chosen(
    source: Source, kept: NDArray[np.int64], labels: NDArray[np.int64], names: Sequence[str], edits: Sequence[Edits]
) -> Subset:
    old = np.asarray(source.labels, dtype=np.int64)
    changed = int(((labels >= 0) & (labels != old)).sum())
    before = len(source.identities)
    drop = Drop.of(
        f"dropped by {', '.join(Path(made.origin).name for made in edits)}",
        (),
        images=len(source) - len(kept),
        identities=before - int((np.unique(labels[kept]) < before).sum()),
    )
    if not changed:
        return select(source, kept, drop)
    logger.info("%s: %d images show another identity after the edits", account_of(source).origin, changed)
    other = np.where(labels < 0, old, labels)  # images that are left out keep theirs, which nobody reads
    return select(Relabelled(source=source, labels=other, identities=names), kept, drop)
