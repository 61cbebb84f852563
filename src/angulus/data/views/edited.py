"""A list of changes applied to a set: a view without what goes and with the new names; nothing is rewritten."""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from angulus.data.examples import Drop, Source, account_of, noun_of
from angulus.data.views.edits import Edit, Edits, names_digest
from angulus.data.views.label_corrections import Relabelled
from angulus.data.views.split import Subset, select
from angulus.errors import DataError
from angulus.plain_numbers import counted
from angulus.text_files import slashed

logger = logging.getLogger(__name__)

_Said = dict[str, tuple[Edit, str]]


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
        raise DataError(f"no example is left after the edits of {', '.join(made.origin for made in edits)}")
    return _chosen(source, kept, labels, names, edits)


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
    named = {slashed(key): key for key in images}
    for index in _candidates(source, images):
        key = named.get(slashed(source.keys[index]))
        if key is not None:
            rows[key] = index
    by_origin = {made.origin: made for made in edits}
    for key, (edit, origin) in images.items():
        if key not in rows:
            of = f" of {edit.identity}" if edit.identity else ""
            raise _other_data(source, by_origin[origin], edit, f"the {noun_of(source)} {key}{of}")
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
    what = counted(changed, noun_of(source))
    logger.info("%s: %s of another identity after the edits", account_of(source).origin, what)
    other = np.where(labels < 0, old, labels)  # images that are left out keep theirs, which nobody reads
    return select(Relabelled(source=source, labels=other, identities=names), kept, drop)
