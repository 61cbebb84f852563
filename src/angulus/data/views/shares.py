"""How many identities go to each part: shares in whole people, and who they are.

Exact shares take the names in the order of their hashes: the first n_1 of them are the first part, the next n_2 the
second, and so on, with n_k from the largest remainders of share x count. By name, each identity is placed on its own.
"""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Shares = Literal["auto", "exact", "by_name"]

FEW = 1_000
"""From so many identities on, `auto` places each by its name alone: the shares come out near enough by themselves."""


def is_exact(shares: Shares, count: int) -> bool:
    """Whether so many identities are shared out exactly."""
    return shares == "exact" or (shares == "auto" and count < FEW)


def whole_shares(fractions: Sequence[float], count: int, fewest: int) -> list[int]:
    """How many of `count` identities each part has: the largest remainders, then at least `fewest` in each part.

    What a part lacks comes from the largest one, or from those that no part has; where there are not enough identities
    for `fewest` in all of them, the last parts stay short.
    """
    rest = max(0.0, 1.0 - sum(fractions))
    exact = [share * count for share in (*fractions, rest)]
    sizes = [math.floor(size + 1e-9) for size in exact]
    order = sorted(range(len(exact)), key=lambda part: (sizes[part] - exact[part], part))
    for part in order[: count - sum(sizes)]:
        sizes[part] += 1
    for part in range(len(fractions)):
        while sizes[part] < fewest:
            giver = max(range(len(sizes)), key=lambda one: (sizes[one] - (0 if one == len(fractions) else fewest), one))
            if sizes[giver] <= (0 if giver == len(fractions) else fewest):
                break
            sizes[giver] -= 1
            sizes[part] += 1
    return sizes[:-1]


def exact_parts(places: NDArray[np.float64], fractions: Sequence[float], fewest: int) -> NDArray[np.uint16]:
    """The part [c] of every identity, from its place [c] in [0, 1); len(fractions) for one that is in none.

    Equal places (one name in two sets) stay together, and count as one.
    """
    different, which = np.unique(places, return_inverse=True)
    sizes = whole_shares(fractions, len(different), fewest)
    ends = np.cumsum(sizes)
    return np.searchsorted(ends, np.arange(len(different)), side="right").astype(np.uint16)[which]
