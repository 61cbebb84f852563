"""Batches for losses that compare images (P identities with K images each), and draws by weight."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from angulus.data.index.groups import Groups
from angulus.data.index.permutation import Permutation, key_of, uniform
from angulus.data.order.sampling import batches_in, check_batch, check_sizes, places_of
from angulus.errors import DataError


@dataclass(frozen=True, kw_only=True, eq=False)
class PKSampler:
    """P different identities with K images each in every batch, the images of an identity next to each other.

    Identities come in shuffled rounds of all, cut into batches; those that do not fill the last batch of a round are
    left out of it (others in each round). The K images differ where an identity has so many; one with fewer repeats
    them as evenly as can be. An epoch has as many batches as one over all images.

    A. Hermans, L. Beyer, B. Leibe, "In defense of the triplet loss for person re-identification", 2017.

    Args:
        groups: the examples of each identity.
        identities: P.
        images: K.
        seed: another seed gives other batches.
    """

    groups: Groups
    identities: int
    images: int
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("identities", "images"):
            if getattr(self, name) < 1:
                raise DataError(f"{name} of a batch must be at least 1, got {getattr(self, name)}")
        if self.identities > len(self.groups):
            raise DataError(
                f"a batch of {self.batch_size} examples with {self.images} of each identity needs {self.identities} "
                f"identities, and the data has {len(self.groups)}; lower the batch size or take more examples of each"
            )

    @property
    def num_examples(self) -> int:
        """Size of the set."""
        return self.groups.num_examples

    @property
    def batch_size(self) -> int:
        """P x K."""
        return self.identities * self.images

    @property
    def batches_per_epoch(self) -> int:
        """At least 1."""
        return batches_in(self.num_examples, self.batch_size, drop_last=True)

    def batch(self, epoch: int, index: int) -> NDArray[np.int64]:
        """Positions [P x K] of the examples in batch `index` (from 0) of `epoch`."""
        check_batch(self, epoch, index)
        turn, place = divmod(index, len(self.groups) // self.identities)
        order = Permutation(len(self.groups), key_of(self.seed, epoch, 1, turn))
        which = order(np.arange(place * self.identities, (place + 1) * self.identities))
        turns = np.full(self.identities, turn)
        return self.groups.drawn(which, turns, self.images, key_of(self.seed, epoch, 2)).reshape(-1)

    def position(self, step: int) -> tuple[int, int]:
        """Epoch and batch of the step that many batches after the start of the run."""
        return divmod(step, self.batches_per_epoch)


@dataclass(frozen=True, kw_only=True, eq=False)
class WeightedSampler:
    """Examples as often as their weights say; an epoch keeps its length n. Build it with one of the two methods.

    The range [0, 1) is divided among the examples by weight, and one point is drawn in each of n equal parts of it, in
    shuffled order. So an example of weight w (of a sum of 1) comes n w times an epoch on average, and never two times
    more or less than that.

    Args:
        ends: [n] or [c], where the share of each example, or of each identity, ends in [0, 1].
        groups: the examples of each identity, among which its share is divided evenly; None where `ends` is that of
            the examples.
        num_examples, batch_size, seed, drop_last: as in `EpochSampler`.
    """

    ends: NDArray[np.float64]
    groups: Groups | None
    num_examples: int
    batch_size: int
    seed: int = 0
    drop_last: bool = True

    def __post_init__(self) -> None:
        check_sizes(self.num_examples, self.batch_size)

    @staticmethod
    def of_images(weights: ArrayLike, *, batch_size: int, seed: int = 0, drop_last: bool = True) -> "WeightedSampler":
        """Weights [n] of the examples. Raises DataError for weights below 0, not finite, or all 0."""
        ends = _ends(weights)
        return WeightedSampler(
            ends=ends, groups=None, num_examples=len(ends), batch_size=batch_size, seed=seed, drop_last=drop_last
        )

    @staticmethod
    def of_identities(
        groups: Groups, weights: ArrayLike, *, batch_size: int, seed: int = 0, drop_last: bool = True
    ) -> "WeightedSampler":
        """Weights [c] of the identities in `groups`; within an identity all examples are equal."""
        ends = _ends(weights)
        if len(ends) != len(groups):
            raise DataError(f"weights must have one entry for each of the {len(groups)} identities, got {len(ends)}")
        return WeightedSampler(
            ends=ends,
            groups=groups,
            num_examples=groups.num_examples,
            batch_size=batch_size,
            seed=seed,
            drop_last=drop_last,
        )

    @property
    def batches_per_epoch(self) -> int:
        """At least 1."""
        return batches_in(self.num_examples, self.batch_size, drop_last=self.drop_last)

    def batch(self, epoch: int, index: int) -> NDArray[np.int64]:
        """Positions of the examples in batch `index` (from 0) of `epoch`."""
        places = places_of(self, epoch, index)
        parts = Permutation(self.num_examples, key_of(self.seed, epoch, 1))(places)
        points = (parts + uniform(places, key_of(self.seed, epoch, 2))) / self.num_examples
        # rounding may give 1 itself, which belongs to nobody
        points = np.minimum(points, np.nextafter(1.0, 0.0))
        found = np.searchsorted(self.ends, points, side="right")
        if self.groups is None:
            return found
        begins = np.where(found > 0, self.ends[found - 1], 0.0)
        counts = self.groups.counts[found]
        ranks = ((points - begins) / (self.ends[found] - begins) * counts).astype(np.int64)
        return self.groups.at(self.groups.starts[found] + np.minimum(ranks, counts - 1))

    def position(self, step: int) -> tuple[int, int]:
        """Epoch and batch of the step that many batches after the start of the run."""
        return divmod(step, self.batches_per_epoch)


def _ends(weights: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(weights, dtype=np.float64)
    if values.ndim != 1 or not len(values):
        raise DataError(f"weights must be a list of at least 1 number, got the shape {values.shape}")
    bad = np.flatnonzero(~(np.isfinite(values) & (values >= 0)))
    if len(bad):
        raise DataError(f"weights must be finite and at least 0, got {values[bad[0]]} at place {bad[0]}")
    ends = np.cumsum(values)
    if not (np.isfinite(ends[-1]) and ends[-1] > 0):
        raise DataError(f"weights must have a finite sum above 0, got {ends[-1]}")
    ends /= ends[-1]
    return ends
