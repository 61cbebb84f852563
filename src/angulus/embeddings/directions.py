"""Rows put on the unit sphere, however long they are: squares of 1e25 or 1e-25 are beyond float32, the rows are not."""

import numpy as np
from numpy.typing import NDArray

_SAFE = 1e-15, 1e18
"""Norms of float32 rows between these are those of their squares; what float64 holds is safe in any case."""


def unit_rows(matrix: NDArray[np.floating]) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Rows of length 1 [n, d] in the type of `matrix`, and their norms [n]; a row of zeros stays one, of norm 0.

    A norm beyond the type is infinite, its row is of length 1 all the same. NaN and infinity in a row stay there.
    """
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        norms = np.linalg.norm(matrix, axis=1)
        unit = matrix / np.where(norms == 0, 1, norms)[:, None]
        odd = np.flatnonzero(~((norms > _SAFE[0]) & (norms < _SAFE[1])))
        if len(odd):
            rows = matrix[odd].astype(np.float64)
            largest = np.abs(rows).max(axis=1, initial=0)
            scaled = rows / np.where(largest == 0, 1, largest)[:, None]
            lengths = np.linalg.norm(scaled, axis=1)
            unit[odd] = scaled / np.where(lengths == 0, 1, lengths)[:, None]
            norms[odd] = lengths * largest
    return unit, norms


def row_norms(matrix: NDArray[np.floating]) -> NDArray[np.floating]:
    """Euclidean norms [n], infinite only where the type cannot hold them."""
    return unit_rows(matrix)[1]
