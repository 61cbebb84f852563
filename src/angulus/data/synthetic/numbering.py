"""Drawn sets are ranges of numbered identities with as many examples each: their labels, their names, their limits."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from angulus.errors import DataError


def check_numbers(values: Mapping[str, object], least: Mapping[str, int], most: int = 2**63) -> None:
    """Raise DataError for a value that is no whole number from its least one up to below `most`."""
    for name, limit in least.items():
        value = values[name]
        if isinstance(value, bool) or not isinstance(value, int | np.integer):
            raise DataError(f"{name} must be a whole number, got {value!r}")
        if value < limit:
            raise DataError(f"{name} must be at least {limit}, got {value}")
        if value >= most:
            raise DataError(f"{name} must be below {most:,}, got {value}")


def numbered_labels(identities: int, each: int) -> NDArray[np.int64]:
    """[identities x each]: the label of every example, those of one identity together."""
    return np.repeat(np.arange(identities, dtype=np.int64), each)


def numbered_names(prefix: str, first: int, count: int) -> list[str]:
    """Names such as synthetic-000123, by the number of the identity."""
    return [f"{prefix}-{first + label:06d}" for label in range(count)]


def placed(index: int, identities: int, each: int) -> tuple[int, int]:
    """The label of an example, and its number among those of its identity. Raises IndexError."""
    if not 0 <= index < identities * each:
        raise IndexError(f"index must be from 0 to {identities * each - 1}, got {index}")
    return divmod(int(index), each)
