"""From what files say of who is shown (a number, a name or both) to labels and the names of the identities."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from angulus.errors import DataError

_NUMBER = re.compile(r"-?(0|[1-9]\d{0,15})(\.\d{1,15})?")


def labelled(
    origin: str, numbers: Sequence[int] | NDArray[np.int64] | None, names: Sequence[str] | None
) -> tuple[NDArray[np.int64], list[str]]:
    """Labels [n] from 0, and the name of each identity.

    By names alone, the identities are the sorted names; by numbers, they follow the numbers, which may have gaps, and
    are called by these where there are no names. Raises DataError, beginning with `origin`, where a number has two
    names, or a name two numbers.
    """
    if numbers is None:
        assert names is not None
        identities = sorted(set(names))
        place = {name: label for label, name in enumerate(identities)}
        return np.fromiter((place[name] for name in names), dtype=np.int64, count=len(names)), identities
    values, first, labels = np.unique(np.asarray(numbers, dtype=np.int64), return_index=True, return_inverse=True)
    if names is None:
        return labels.astype(np.int64), numbered(values)
    identities = [names[row] for row in first.tolist()]
    for row, label in enumerate(labels.tolist()):
        if names[row] != identities[label]:
            raise DataError(
                f"{origin}: the label {values[label]} stands for {identities[label]!r} and for {names[row]!r} "
                f"(example {row}); a label must have one name"
            )
    if len(set(identities)) < len(identities):
        twice = next(name for name in identities if identities.count(name) > 1)
        raise DataError(f"{origin}: {twice!r} has two labels; an identity must have one")
    return labels.astype(np.int64), identities


def column_values(texts: Sequence[str]) -> NDArray[Any]:
    """A column of a table [n]: numbers where all are written as such, else text. "007" is a text."""
    if not len(texts) or not all(map(_NUMBER.fullmatch, texts)):
        return np.array(texts, dtype=str)
    return np.array(texts, dtype=np.float64 if any("." in text for text in texts) else np.int64)


def numbered(values: NDArray[np.int64]) -> list[str]:
    """Names for identities that have a number alone, which sort as the numbers do."""
    width = max(7, len(str(values[-1]))) if len(values) else 7
    return [f"{value:0{width}d}" for value in values.tolist()]


def whole_number(text: str | bytes | int | float, where: str) -> int:
    """A label as a whole number from 0. Raises DataError that says where it stands and what is there instead."""
    try:
        number = int(text)
        if number != (text if isinstance(text, int | float) else number) or not 0 <= number < 2**31:
            raise ValueError
    except (ValueError, TypeError, OverflowError):
        shown = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
        raise DataError(f"{where}: the label must be a whole number from 0, got {str(shown)[:40]!r}") from None
    return number


def check_unique(origin: str, keys: Sequence[str]) -> None:
    """Raises DataError naming a key that two examples have."""
    if len(set(keys)) < len(keys):
        seen: set[str] = set()
        twice = next(key for key in keys if key in seen or seen.add(key))
        raise DataError(f"{origin}: two examples have the key {twice!r}; every one needs its own")
