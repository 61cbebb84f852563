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
    """stolen: one photo of each attacked person, in the order of the names.  others: their further photos.

    strangers: photos of people who are not attacked.  names: the attacked people.
    """

    names: tuple[str, ...]
    stolen: Subset
    others: Subset
    strangers: Subset


def choose_people(
    source: Source,
    count: int,
    *,
    attack: Sequence[str] | None = None,
    others: int = 4,
    strangers: int = 300,
    stranger_images: int = 3,
    seed: int = 0,
) -> AuditPeople:
    """Draw `count` people with two or more photos, or take those named in `attack` (a closed set: its classes).

    others: at most so many further photos of each.  strangers, stranger_images: people, and photos of each, who are not
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
    chosen = subset(several, identities=names, max_images_per_identity=1 + others, seed=seed)
    first = _first_rows(chosen)
    rest = np.setdiff1d(np.arange(len(chosen)), first)
    bystanders = subset(
        several, identities=left, max_identities=strangers, max_images_per_identity=stranger_images, seed=seed
    )
    return AuditPeople(names=names, stolen=select(chosen, first), others=select(chosen, rest), strangers=bystanders)


def _first_rows(source: Subset) -> NDArray[np.int64]:
    """For each identity, in order, the row of its photo of the least key."""
    keys = np.array(source.keys)
    rows = [np.flatnonzero(source.labels == label) for label in range(len(source.identities))]
    return np.array([int(own[np.argmin(keys[own])]) for own in rows])
