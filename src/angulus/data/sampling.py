"""In which order the examples are seen: a pure function of the seed, the epoch and the number of the batch.

Nothing has a state to save, so a run that resumes in the middle of an epoch sees exactly what it would have seen.
Batches are global; a process takes its slice of them in `angulus.data.loader`.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from angulus.errors import DataError


@dataclass(frozen=True, kw_only=True, eq=False)
class EpochSampler:
    """Shuffled batches; a set smaller than `batch_size` is one batch.

    Args:
        num_examples: size of the set.
        batch_size: examples of a global batch, over all processes.
        seed: another seed gives another order.
        drop_last: whether the rest that does not fill a batch is left out of an epoch (another rest each epoch).
        balanced: draws identities equally often whatever their number of images; an epoch keeps its length.
        labels: [num_examples], needed when `balanced`.
    """

    num_examples: int
    batch_size: int
    seed: int = 0
    drop_last: bool = True
    balanced: bool = False
    labels: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        if self.num_examples < 1:
            raise DataError(f"num_examples must be at least 1, got {self.num_examples}")
        if self.batch_size < 1:
            raise DataError(f"batch_size must be at least 1, got {self.batch_size}")
        if self.balanced and (self.labels is None or len(self.labels) != self.num_examples):
            given = "none" if self.labels is None else len(self.labels)
            raise DataError(f"balanced sampling needs {self.num_examples} labels, got {given}")

    @property
    def batches_per_epoch(self) -> int:
        """At least 1."""
        full, rest = divmod(self.num_examples, self.batch_size)
        return max(1, full if self.drop_last else full + bool(rest))

    def batch(self, epoch: int, index: int) -> NDArray[np.int64]:
        """Positions of the examples in batch `index` (from 0) of `epoch`."""
        if epoch < 0 or not 0 <= index < self.batches_per_epoch:
            raise DataError(
                f"batch must be in 0..{self.batches_per_epoch - 1} of an epoch from 0, got {index} of {epoch}"
            )
        order = _epoch_order(self, epoch)
        return order[index * self.batch_size : (index + 1) * self.batch_size].copy()

    def position(self, step: int) -> tuple[int, int]:
        """Epoch and batch of the step that many batches after the start of the run."""
        return divmod(step, self.batches_per_epoch)


@lru_cache(maxsize=2)
def _epoch_order(sampler: EpochSampler, epoch: int) -> NDArray[np.int64]:
    rng = np.random.default_rng([sampler.seed, epoch])
    if sampler.balanced and sampler.labels is not None:
        return _balanced_order(sampler.labels, rng)
    return rng.permutation(sampler.num_examples).astype(np.int64)


def _balanced_order(labels: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    # Identities follow one another in shuffled rounds; each goes through its own images in shuffled rounds too.
    by_label = np.argsort(labels, kind="stable")
    _, starts, counts = np.unique(labels[by_label], return_index=True, return_counts=True)
    rounds = -(-len(labels) // len(counts))
    order = np.empty((rounds, len(counts)), dtype=np.int64)
    shuffled = by_label[np.lexsort((rng.random(len(labels)), labels[by_label]))]
    for turn in range(rounds):
        images = shuffled[starts + turn % counts]
        order[turn] = images[rng.permutation(len(counts))]
    return order.reshape(-1)[: len(labels)]
