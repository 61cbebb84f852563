"""Who is in the images of one name, by their embeddings alone: groups that look like one person each.

A center begins at the image that is like the most others (cosine at least t), moves to the mean of those that are
like it until that stays the same, and takes them; the next one begins among what is left, up to K. A wrong image
does not pull the center of the others, as it would pull a mean. t is what images of two different names reach with a
chance of one in a thousand, so that it suits any model. Every image is compared with centers that it did not help to
make: its own is left out of its group's sum.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from angulus.errors import DataError
from angulus.purification.centers import Centers

_DEVIATIONS = 3.09  # of a normal distribution, beyond which one in a thousand lies
_ONE_DEVIATION_BELOW = 0.1587
_PAIRS = 200_000
_ROUNDS = 10
_AT_ONCE = 3000  # images of one name that are compared with each other; of more, a seeded choice makes the centers


@dataclass(frozen=True, kw_only=True, eq=False)
class Groups:
    """Of n images: group int64 [n], -1 for images like none; own float32 [n, k], the cosine to each center of the own
    name, the image itself left out.  centers: of c names.  sizes: int64 [c, k].  alike: the cosine t.
    """

    group: NDArray[np.int64]
    own: NDArray[np.float32]
    centers: Centers
    sizes: NDArray[np.int64]
    alike: float


def group_images(
    units: NDArray[np.float32], labels: NDArray[np.int64], names: list[str], *, subcenters: int = 3, seed: int = 0
) -> Groups:
    """Group the images of every name. units: [n, d], of length 1.  labels: [n], positions in `names`.

    Raises DataError where there is one name alone.
    """
    if subcenters < 1:
        raise DataError(f"subcenters must be at least 1, got {subcenters}")
    alike = alike_by_chance(units, labels, seed=seed)
    group = np.full(len(units), -1, dtype=np.int64)
    own = np.full((len(units), subcenters), -1.0, dtype=np.float32)
    sizes = np.zeros((len(names), subcenters), dtype=np.int64)
    directions = np.zeros((len(names), subcenters, units.shape[1]), dtype=np.float32)
    order = np.argsort(labels, kind="stable")
    edges = np.searchsorted(labels[order], np.arange(len(names) + 1))
    for label in range(len(names)):
        rows = order[edges[label] : edges[label + 1]]
        if len(rows):
            group[rows], directions[label] = grouped(units[rows], alike, subcenters, seed)
            sizes[label] = np.bincount(group[rows][group[rows] >= 0], minlength=subcenters)
            own[rows] = left_out(units[rows], group[rows], subcenters)
    centers = Centers(names=tuple(names), directions=torch.from_numpy(directions))
    return Groups(group=group, own=own, centers=centers, sizes=sizes, alike=alike)


def alike_by_chance(units: NDArray[np.float32], labels: NDArray[np.int64], *, seed: int = 0) -> float:
    """The cosine that images of two people reach with a probability of about 1e-3.

    Taken from pairs of images of two names: median + 3.09 deviations of the half below it. In the half above lie the
    pairs of one person under two names, which wrong labels make.
    """
    random = np.random.default_rng(seed)
    left, right = random.integers(len(units), size=(2, _PAIRS))
    other = labels[left] != labels[right]
    if not other.any():
        raise DataError(f"an audit of labels needs at least 2 identities, got {len(np.unique(labels))}")
    cosines = np.einsum("nd,nd->n", units[left[other]], units[right[other]])
    low, middle = np.quantile(cosines, [_ONE_DEVIATION_BELOW, 0.5])
    return float(middle + _DEVIATIONS * (middle - low))


def grouped(
    units: NDArray[np.float32], alike: float, subcenters: int, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The group of each image of one name, -1 for none, and the centers [k, d], zeros where there are fewer."""
    group = np.full(len(units), -1, dtype=np.int64)
    directions = np.zeros((subcenters, units.shape[1]), dtype=np.float32)
    for place in range(subcenters):
        left = np.flatnonzero(group < 0)
        if not len(left):
            break
        taken, directions[place] = largest_group(units[left], alike, seed)
        group[left[taken]] = place
    return group, directions


def largest_group(units: NDArray[np.float32], alike: float, seed: int) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """The images that are like the center with the most of them around it, bool [m], and that center [d]."""
    chosen = units
    if len(units) > _AT_ONCE:
        chosen = units[np.random.default_rng(seed).choice(len(units), _AT_ONCE, replace=False)]
    neighbours = (chosen @ chosen.T >= alike).sum(axis=1)
    center = chosen[int(neighbours.argmax())]
    before = taken = units @ center >= alike
    for _ in range(_ROUNDS):
        before, center = taken, units[taken].sum(axis=0)
        center = center / max(float(np.linalg.norm(center)), 1e-12)
        taken = units @ center >= alike
        if (taken == before).all() or not taken.any():
            break
    return (taken if taken.any() else before), center


def left_out(units: NDArray[np.float32], group: NDArray[np.int64], subcenters: int) -> NDArray[np.float32]:
    """The cosine [m, k] of each image to the sum of each group of its name without itself; -1 for an empty group.

    An image that is a group by itself is compared with all the others instead. A name with one image has nothing to be
    compared with: 1.
    """
    if len(units) == 1:
        return np.ones((1, subcenters), dtype=np.float32)
    member = (group[:, None] == np.arange(subcenters)).astype(np.float32)
    sums = np.einsum("mk,md->kd", member, units)
    rest = sums[None] - member[:, :, None] * units[:, None]
    alone = (member * (member.sum(axis=0) == 1)).astype(bool)
    rest = np.where(alone[:, :, None], (units.sum(axis=0) - units)[:, None], rest)
    norms = np.linalg.norm(rest, axis=2)
    cosines = np.einsum("md,mkd->mk", units, rest) / np.maximum(norms, 1e-6)
    return np.where(norms > 1e-4, cosines, -1.0).astype(np.float32)
