"""A pair list and the encoded images that it names, in the order of a `.bin`: insightface's verification set."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from angulus.cli.inputs.verification_inputs import rows_of_pairs
from angulus.data import Source, bytes_of
from angulus.errors import DataError
from angulus.evaluation import Pairs, read_pairs
from angulus.evaluation.files.verification_bins import consecutive_folds, write_bin


@dataclass(frozen=True, kw_only=True, eq=False)
class EncodedPairs:
    """Encoded images, two for each pair, and `same` bool [p]; distinct: how many images there are without repeats."""

    images: list[bytes]
    same: NDArray[np.bool_]
    distinct: int

    def write(self, target: Path) -> None:
        """Write the `.bin`."""
        write_bin(target, self.images, self.same)


def encoded_pairs(images: Source, target: Path, pairs: Path | None) -> EncodedPairs:
    """The pairs of a list, folds one after the other. Raises DataError where they make no `.bin` at the target."""
    if pairs is None or target.suffix != ".bin":
        raise DataError(f"--pairs and a target NAME.bin belong together, got --pairs {pairs} and {target}")
    if target.exists():
        raise DataError(f"{target} exists already; remove it, or name another target")
    rows, listed = rows_of_pairs(read_pairs(pairs), images)
    order = pairs_by_fold(listed, pairs)
    sides = rows[np.stack([listed.left, listed.right], axis=1)[order].reshape(-1)]
    encoded = [bytes_of(images, int(row)) for row in sides]
    if None in encoded:
        raise DataError(f"{images.keys[int(sides[encoded.index(None)])]} is no encoded image, which a .bin needs")
    found = [image for image in encoded if image is not None]
    return EncodedPairs(images=found, same=listed.same[order], distinct=len(rows))


def pairs_by_fold(listed: Pairs, path: Path) -> NDArray[np.int64]:
    """Pairs [p] in the order of their folds. Raises DataError where these are not cut as a `.bin` is."""
    if listed.fold is None:
        return np.arange(len(listed))
    order = np.argsort(listed.fold, kind="stable")
    folds = listed.fold[order]
    if not np.array_equal(consecutive_folds(len(folds), int(folds.max()) + 1), folds):
        raise DataError(
            f"a .bin is cut into folds of one size, and those of {path} have "
            f"{', '.join(str(count) for count in np.bincount(folds))} pairs; use folds of one size"
        )
    return order
