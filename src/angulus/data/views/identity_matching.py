"""Who is who in several sets of images: one person under one name, or the people of every set for themselves.

Joined by names, an identity of one set and an identity of another are one person where their names are equal; a table
with the columns set, name and person says so where they are spelt differently. Kept apart, an identity is called
set/name. People are numbered as they come, set by set.
"""

import csv
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from angulus.data.views.split import folded_name
from angulus.errors import DataError
from angulus.tables import table_rows
from angulus.text_files import read_text

Spelling = Literal["exact", "folded"]
People = dict[tuple[str, str], str]
"""(set, name in the set) -> the person's name."""

COLUMNS = ("set", "name", "person")


@dataclass(frozen=True, eq=False)
class Joined:
    """identities: names of the people, by label.  labels: [number of its identities] for each set: their new labels."""

    identities: list[str]
    labels: dict[str, NDArray[np.int64]]

    def shared(self) -> list[str]:
        """The people that more than one set has."""
        counts = np.zeros(len(self.identities), dtype=np.int64)
        for labels in self.labels.values():
            counts[np.unique(labels)] += 1
        return [self.identities[label] for label in np.flatnonzero(counts > 1)]


def keep_apart(names: Mapping[str, Sequence[str]]) -> Joined:
    """Every identity of every set is somebody else, whatever the names. names: of the identities of each set."""
    identities = [f"{name}/{person}" for name, people in names.items() for person in people]
    ends = np.cumsum([len(people) for people in names.values()])
    labels = {name: np.arange(end - len(names[name]), end) for name, end in zip(names, ends, strict=True)}
    return Joined(identities, labels)


def join(
    names: Mapping[str, Sequence[str]],
    *,
    people: People | None = None,
    spelling: Spelling = "exact",
    numbers_are_names: bool = False,
) -> Joined:
    """The people of several sets; a person of the first spelling of the first set that has them.

    Args:
        names: of the identities of each set.
        people: who somebody of a set is; whoever it does not name goes by the own name, or, where that is a number
            alone, stays apart as set/name.
        spelling: "folded" ignores case and takes " ", "-" and "_" as equal.
        numbers_are_names: trust names that are numbers alone to mean the same person in every set.

    Raises DataError where sets share names that are numbers alone and nothing says what these mean.
    """
    known: dict[str, int] = {}
    identities: list[str] = []
    labels: dict[str, NDArray[np.int64]] = {}
    for name, own_names in names.items():
        labels[name] = np.empty(len(own_names), dtype=np.int64)
        for place, own in enumerate(own_names):
            person = own if people is None else people.get((name, own), own)
            if people is not None and not numbers_are_names and own.isdecimal() and (name, own) not in people:
                person = f"{name}/{own}"
            key = folded_name(person) if spelling == "folded" else person
            if key not in known:
                known[key] = len(identities)
                identities.append(person)
            labels[name][place] = known[key]
    found = Joined(identities, labels)
    if not numbers_are_names:
        check_numbers(found)
    return found


def check_numbers(joined: Joined) -> None:
    """Raise DataError where a name that sets share is a number, which rarely means one person in two sets."""
    numbers = [name for name in joined.shared() if name.isdecimal()]
    if numbers:
        raise DataError(
            f"join: {len(numbers)} names that several sets share are numbers alone ({', '.join(numbers[:3])}), which "
            "number the people of a set: take join=separate, a table of who is who (join=FILE.csv), or "
            "numbers_are_names=true where they do mean the same people"
        )


def read_people(path: Path) -> People:
    """Who is who, from a csv table with the columns set, name and person.

    Raises DataError with the line that is incomplete or says something else than an earlier one.
    """
    people: People = {}
    try:
        rows = table_rows(read_text(path, DataError, "table of people"))
        _, names = next(rows, (0, []))
        missing = [column for column in COLUMNS if column not in names]
        if missing:
            raise DataError(f"{path} must have the columns {', '.join(COLUMNS)}; it lacks {', '.join(missing)}")
        for line, row in rows:
            add(people, dict(zip_longest(names, row[: len(names)])), f"{path}, line {line}")
    except csv.Error as error:
        raise DataError(f"the table of people {path} cannot be read: {error}") from error
    return people


def add(people: People, row: Mapping[str, str | None], where: str) -> None:
    values = {column: (row[column] or "").strip() for column in COLUMNS}
    empty = [column for column, value in values.items() if not value]
    if empty:
        raise DataError(f"{where}: {' and '.join(empty)} must not be empty")
    key, person = (values["set"], values["name"]), values["person"]
    if people.setdefault(key, person) != person:
        raise DataError(f"{where}: {key[1]!r} of {key[0]} is {person!r} here and {people[key]!r} in an earlier line")


def check_people(path: Path, people: People, names: Mapping[str, Sequence[str]]) -> None:
    """Raise DataError where the table names a set or an identity that is not there."""
    sets = list(dict.fromkeys(name for name, _ in people))
    unknown = [name for name in sets if name not in names]
    if unknown:
        raise DataError(
            f"{path} names the set {unknown[0]!r}, which is none of {', '.join(names)}{did_you_mean(unknown[0], names)}"
        )
    for name in sets:
        known = frozenset(names[name])
        gone = [own for owner, own in people if owner == name and own not in known]
        if gone:
            more = f" (and {len(gone) - 1} more)" if len(gone) > 1 else ""
            raise DataError(
                f"{path} names {gone[0]!r}{more}, which is no identity of the set {name}"
                f"{did_you_mean(gone[0], names[name])}"
            )


def did_you_mean(word: str, known: Mapping[str, object] | Sequence[str]) -> str:
    found = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {found[0]}?" if found else ""
