"""The class centers of a finished run by the names of the identities; any margin, strategy, number of processes.

A head with K sub-centers has K directions for each identity. The dominant center is the one that most images of the
identity are nearest to; wrong labels gather at the others (Deng et al. 2020, Sub-center ArcFace, section 3).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from angulus.errors import CheckpointError, DataError
from angulus.training.head_initialisation import read_weights

SHOWN = 3


@dataclass(frozen=True, kw_only=True, eq=False)
class Centers:
    """names: c identities.  directions: float32 [c, k, d], of length 1, or zeros where an identity has fewer than k."""

    names: Sequence[str]
    directions: Tensor

    @property
    def subcenters(self) -> int:
        """k, centers per identity."""
        return self.directions.shape[1]

    def in_order(self, names: Sequence[str]) -> "Centers":
        """The centers of these identities, in this order. Raises DataError naming those that have none."""
        place = {name: row for row, name in enumerate(self.names)}
        missing = [name for name in names if name not in place]
        if missing:
            shown = ", ".join(missing[:SHOWN]) + (", ..." if len(missing) > SHOWN else "")
            raise DataError(
                f"labels must be those of the head: {len(missing)} of {len(names)} identities of the data have no "
                f"class in it ({shown}); use the data that the run was trained on, or train a run on this data"
            )
        return Centers(names=tuple(names), directions=self.directions[[place[name] for name in names]])


def centers_of_run(run: Path) -> Centers:
    """The class weights of a run folder (its newest checkpoint, of any kind) as directions.

    Raises CheckpointError where there is no checkpoint or it does not hold the names of its classes.
    """
    weights = read_weights(run, asked="purification")
    rows = weights.weight.float()
    if rows.ndim not in (2, 3):
        raise CheckpointError(f"{run} must hold class weights [c, d] or [c, k, d], got {list(rows.shape)}")
    stacked = rows if rows.ndim == 3 else rows[:, None]
    return Centers(names=tuple(weights.names), directions=torch.nn.functional.normalize(stacked, dim=-1))


def dominant_centers(
    labels: NDArray[np.int64], nearest: NDArray[np.integer], classes: int, subcenters: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which center most images of each class are nearest to [c], the first among equals; and the counts [c, k]."""
    places = np.asarray(labels, dtype=np.int64) * subcenters + nearest
    counts = np.bincount(places, minlength=classes * subcenters).reshape(classes, subcenters)
    return counts.argmax(axis=1), counts
