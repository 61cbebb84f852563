"""How a recipe says in which order examples are seen: `train.sampling`, one small record for each way.

Each makes its sampler once the data is open. A class of your own needs the method `sampler` and nothing else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from angulus.data.examples import Source
from angulus.data.index.groups import Groups
from angulus.data.index.rows import names_at
from angulus.data.order.blocks import BlockSampler
from angulus.data.order.identity_sampling import PKSampler, WeightedSampler
from angulus.data.order.sampling import BalancedSampler, EpochSampler, Sampler
from angulus.errors import DataError
from angulus.tables import read_csv


class Sampling(Protocol):
    """A way of ordering examples."""

    def sampler(self, source: Source, *, batch_size: int, seed: int) -> Sampler:
        """The order of the examples of a source. Raises DataError where the source does not allow it."""
        ...


@dataclass(frozen=True, kw_only=True)
class Uniform:
    """Every image once an epoch, in shuffled order."""

    def sampler(self, source: Source, *, batch_size: int, seed: int) -> Sampler:
        return EpochSampler(num_examples=len(source), batch_size=batch_size, seed=seed)


@dataclass(frozen=True, kw_only=True)
class Balanced:
    """Every identity equally often, whatever its number of images."""

    def sampler(self, source: Source, *, batch_size: int, seed: int) -> Sampler:
        return BalancedSampler(groups=Groups.of(source), batch_size=batch_size, seed=seed)


@dataclass(frozen=True, kw_only=True)
class PK:
    """P identities with K images each in every batch, for losses that compare images; P is train.batch_size / images.

    images: K, of each identity; one with fewer repeats them.
    """

    images: int = 4

    def __post_init__(self) -> None:
        if self.images < 1:
            raise ValueError(f"images must be at least 1, got {self.images}")

    def sampler(self, source: Source, *, batch_size: int, seed: int) -> Sampler:
        return PKSampler(groups=Groups.of(source), identities=batch_size // self.images, images=self.images, seed=seed)


@dataclass(frozen=True, kw_only=True)
class Weighted:
    """Images as often as weights say: those of a file, or a power of the number of images of their identity.

    weights: a csv file with the columns identity and weight (shared evenly by its images), or key and weight. Names
        that are not in the data are passed over.
    unlisted: the weight of what the file does not name; null refuses a file that does not name all.
    identity_power: an identity with n images comes as often as n to this power says: 0 is balanced, 1 uniform.
    """

    weights: Path | None = None
    unlisted: float | None = None
    identity_power: float | None = None

    def __post_init__(self) -> None:
        if (self.weights is None) == (self.identity_power is None):
            raise ValueError("weighted sampling needs either weights (a csv file) or identity_power, one of the two")
        if self.unlisted is not None and not self.unlisted >= 0:
            raise ValueError(f"unlisted must be at least 0, got {self.unlisted}")

    def sampler(self, source: Source, *, batch_size: int, seed: int) -> Sampler:
        if self.weights is None:
            groups = Groups.of(source)
            weights = groups.counts ** (self.identity_power or 0.0)
            return WeightedSampler.of_identities(groups, weights, batch_size=batch_size, seed=seed)
        kind, listed = read_weights(self.weights)
        if kind == "key":
            weights = self._found(listed, source.keys, kind)
            return WeightedSampler.of_images(weights, batch_size=batch_size, seed=seed)
        groups = Groups.of(source)
        names = names_at(source.identities, groups.labels)
        return WeightedSampler.of_identities(groups, self._found(listed, names, kind), batch_size=batch_size, seed=seed)

    def _found(self, listed: dict[str, float], names: Sequence[str], kind: str) -> NDArray[np.float64]:
        default = np.nan if self.unlisted is None else self.unlisted
        weights = np.fromiter((listed.get(name, default) for name in names), dtype=np.float64, count=len(names))
        missing = np.flatnonzero(np.isnan(weights))
        if len(missing):
            raise DataError(
                f"{self.weights} must give every {kind} a weight, and {len(missing):,} of {len(names):,} are missing, "
                f"such as {names[int(missing[0])]}; add them, or set train.sampling.unlisted to their weight"
            )
        return weights


@dataclass(frozen=True, kw_only=True)
class Blocks:
    """Every image once an epoch, block after block of what lies together, for slow disks and object stores.

    block: images that are read together.  window: blocks that are shuffled together; more mix better, and take more
        of the memory in which the system keeps what was read.
    """

    block: int = 1024
    window: int = 64

    def __post_init__(self) -> None:
        for name in ("block", "window"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")

    def sampler(self, source: Source, *, batch_size: int, seed: int) -> Sampler:
        return BlockSampler(
            num_examples=len(source), batch_size=batch_size, seed=seed, block=self.block, window=self.window
        )


SAMPLINGS: dict[str, type] = {
    "uniform": Uniform,
    "balanced": Balanced,
    "pk": PK,
    "weighted": Weighted,
    "blocks": Blocks,
}


def read_weights(path: Path) -> tuple[str, dict[str, float]]:
    """What a csv file weighs, "identity" or "key", and the weight of each name.

    Raises DataError naming the file and the line of what is no weight.
    """
    columns = read_csv(path)
    kinds = [kind for kind in ("identity", "key") if kind in columns]
    if "weight" not in columns or len(kinds) != 1:
        raise DataError(f"{path} must have the columns identity (or key) and weight; it has {', '.join(columns)}")
    weights: dict[str, float] = {}
    for row, (name, text) in enumerate(zip(columns[kinds[0]], columns["weight"], strict=True)):
        if name in weights:
            raise DataError(f"{path}, line {row + 2}: {name!r} stands twice; every {kinds[0]} has one weight")
        try:
            weights[name] = float(text)
        except ValueError:
            weights[name] = -1.0
        if not 0 <= weights[name] < float("inf"):
            raise DataError(f"{path}, line {row + 2}: the weight of {name!r} must be a number from 0, got {text!r}")
    return kinds[0], weights
