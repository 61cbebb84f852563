"""Whom an audit attacks, and whose photos it measures with: people of one image set, told apart by name.

Attacked are the first so many people in an order that depends on names and seed alone; the thresholds and the strangers
come from the others. Of each attacked person the first photo (by name) is the one whose template is stolen.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from angulus.data import Source, select, subset
from angulus.data.views.split import Subset, position
from angulus.errors import DataError


@dataclass(frozen=True, kw_only=True, eq=False)
class AuditPeople:
    """stolen: the photos of each attacked person that the stored template was made of, in the order of the names.

    first: the first of these of each.  others: their further photos.  strangers: photos of people who are not attacked.
    names: the attacked people.
    """

    names: tuple[str, ...]
    stolen: Subset
    first: Subset
    others: Subset
    strangers: Subset


def choose_people(
    source: Source,
    count: int,
    *,
    attack: Sequence[str] | None = None,
    stolen: int = 1,
    others: int = 4,
    strangers: int = 300,
    stranger_images: int = 3,
    seed: int = 0,
) -> AuditPeople:
    """Draw `count` people with two or more photos, or take those named in `attack` (a closed set: its classes).

    stolen: at most so many photos of each make the stored template; one is left at least.  others: at most so many
    further photos of each.  strangers, stranger_images: people, and photos of each, who are not
    attacked. Raises DataError where there are too few people.
    """
    several = subset(source, min_images=2)
    known = set(several.identities)
    pool = [name for name in (several.identities if attack is None else attack) if name in known]
    ranked = sorted(pool, key=lambda name: position(name, seed))
    if count < 2 or len(ranked) < count:
        raise DataError(
            f"an audit needs at least 2 people to attack who have two or more photos, and {count} were asked for; "
            f"there are {len(ranked)}: lower --people or give more images"
        )
    names = tuple(sorted(ranked[:count]))
    taken = set(names) | set(attack or ())
    left = [name for name in several.identities if name not in taken]
    if len(left) < 8:
        raise DataError(
            f"thresholds need at least 8 people who are not attacked, there are {len(left)}; lower --people"
        )
    if stolen < 1:
        raise DataError(f"a template must be made of at least 1 photo, got {stolen}")
    chosen = subset(several, identities=names, max_images_per_identity=stolen + others, seed=seed)
    taken_rows = _first_rows(chosen, stolen)
    first, made_of = (np.array(rows) for rows in ([own[0] for own in taken_rows], np.concatenate(taken_rows)))
    rest = np.setdiff1d(np.arange(len(chosen)), made_of)
    bystanders = subset(
        several, identities=left, max_identities=strangers, max_images_per_identity=stranger_images, seed=seed
    )
    return AuditPeople(
        names=names,
        stolen=select(chosen, made_of),
        first=select(chosen, first),
        others=select(chosen, rest),
        strangers=bystanders,
    )


def _first_rows(source: Subset, count: int) -> list[NDArray[np.int64]]:
    """For each identity, in order, the rows of its photos of the least keys, and one photo is left."""
    keys = np.array(source.keys)
    rows = [np.flatnonzero(source.labels == label) for label in range(len(source.identities))]
    return [own[np.argsort(keys[own])][: min(count, len(own) - 1)] for own in rows]
