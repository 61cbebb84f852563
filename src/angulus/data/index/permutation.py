"""Which example stands at a place of a shuffled order of n, without the order: a keyed bijection of 0..n-1.

A number x < a b, with a b hardly above n, is written as (l, r) = divmod(x, b) and goes through rounds that change one
part by a hash of the other (a Feistel network over two remainders, each round of which is undone by subtracting):

    l <- l + h(r, k_0) mod a;   r <- r + h(l, k_1) mod b;   l <- l + h(r, k_2) mod a;   ...

A result of n or more goes through again until it is below n (cycle walking), which keeps it a bijection of 0..n-1.
h is the finaliser of splitmix64. Good for sampling; no cipher.

M. Luby, C. Rackoff, "How to construct pseudorandom permutations from pseudorandom functions", 1988; J. Black,
P. Rogaway, "Ciphers with arbitrary finite domains", 2002; G. Steele et al., "Fast splittable pseudorandom number
generators", 2014.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import isqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from angulus.errors import DataError

ROUNDS = 16  # with fewer, some of the 720 orders of 6 examples come visibly more often
MOST = 2**62
_SIDES_TRIED = 512
_GOLDEN, _FIRST, _SECOND = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_S27, _S30, _S31, _S32 = (np.uint64(bits) for bits in (27, 30, 31, 32))

_Words = NDArray[np.uint64]


@dataclass(frozen=True)
class Permutation:
    """A shuffled order of `size` examples: the one at place i is `permutation(i)`; another `key` is another order.

    Raises DataError for a size that is not in 1..2**62.
    """

    size: int
    key: int = 0
    _network: "_Network" = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 1 <= self.size <= MOST:
            raise DataError(f"the size of a permutation must be in 1..2**62, got {self.size}")
        left, right = _sides(self.size)
        numbers = np.array([[left], [right], [self.size], [self.key % 2**64]], dtype=np.uint64)
        network = _Network(numbers[0], numbers[1], numbers[2], _round_keys(numbers[3]))
        object.__setattr__(self, "_network", network)

    def __call__(self, places: ArrayLike) -> NDArray[np.int64]:
        """The examples [n] at the places [n], each in 0..size-1. Raises DataError for a place out of this range."""
        return self._walk(places, self._network.forward)

    def inverse(self, examples: ArrayLike) -> NDArray[np.int64]:
        """The places [n] of examples [n]: permutation.inverse(permutation(places)) == places."""
        return self._walk(examples, self._network.backward)

    def _walk(self, values: ArrayLike, step: Callable[[_Words], _Words]) -> NDArray[np.int64]:
        given = np.asarray(values, dtype=np.int64)
        if given.size and not (given.min() >= 0 and given.max() < self.size):
            raise DataError(f"places must be in 0..{self.size - 1}, got {given.min()} to {given.max()}")
        found = step(given.reshape(-1).astype(np.uint64))
        while len(outside := np.flatnonzero(found >= self.size)):
            found[outside] = step(found[outside])
        return found.astype(np.int64).reshape(given.shape)


def permuted(places: NDArray[np.int64], sizes: NDArray[np.int64], keys: _Words) -> NDArray[np.int64]:
    """The examples at `places` of as many shuffled orders, each with a size and a key of its own.

    All broadcast against each other; 0 <= places < sizes. Another order than `Permutation` of the same size and key.
    """
    places, sizes, keys = np.broadcast_arrays(places, sizes, keys)
    size = sizes.reshape(-1).astype(np.uint64)
    left = np.ceil(np.sqrt(size)).astype(np.uint64)
    right = (size + left - np.uint64(1)) // left
    network = _Network(left, right, size, _round_keys(keys.reshape(-1)))
    found = network.forward(places.reshape(-1).astype(np.uint64))
    while len(outside := np.flatnonzero(found >= size)):
        found[outside] = network.at(outside).forward(found[outside])
    return found.astype(np.int64).reshape(places.shape)


def key_of(*numbers: int) -> int:
    """One key of 64 bits from whole numbers of at least 0, such as (seed, epoch)."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0])


def mixed(values: ArrayLike) -> _Words:
    """Whole numbers as 64 bits that look random: the finaliser of splitmix64, a bijection."""
    bits = np.atleast_1d(np.asarray(values)).astype(np.uint64) + _GOLDEN
    bits ^= bits >> _S30
    bits *= _FIRST
    bits ^= bits >> _S27
    bits *= _SECOND
    bits ^= bits >> _S31
    return bits


def uniform(values: ArrayLike, key: int) -> NDArray[np.float64]:
    """Numbers [n] in [0, 1) that depend on `values` [n] and `key` alone."""
    return (mixed(mixed(values) ^ np.uint64(key)) >> np.uint64(11)).astype(np.float64) / 2**53


@dataclass(frozen=True, eq=False)
class _Network:
    # left, right, size: [1] or [n]; keys: [rounds, 1] or [rounds, n]
    left: _Words
    right: _Words
    size: _Words
    keys: _Words

    def forward(self, values: _Words) -> _Words:
        left, right = np.divmod(values, self.right)
        for turn, key in enumerate(self.keys):
            if turn % 2 == 0:
                left = _added(left, _below(right, key, self.left), self.left)
            else:
                right = _added(right, _below(left, key, self.right), self.right)
        return left * self.right + right

    def backward(self, values: _Words) -> _Words:
        left, right = np.divmod(values, self.right)
        for turn, key in reversed(list(enumerate(self.keys))):
            if turn % 2 == 0:
                left = _added(left, self.left - _below(right, key, self.left), self.left)
            else:
                right = _added(right, self.right - _below(left, key, self.right), self.right)
        return left * self.right + right

    def at(self, rows: NDArray[np.int64]) -> "_Network":
        return _Network(self.left[rows], self.right[rows], self.size[rows], self.keys[:, rows])


def _below(values: _Words, key: _Words, bound: _Words) -> _Words:
    # the high half of the hash, scaled to 0..bound-1; bounds are below 2**32
    return ((mixed(values ^ key) >> _S32) * bound) >> _S32


def _added(values: _Words, more: _Words, bound: _Words) -> _Words:
    total = values + more
    return np.minimum(total, total - bound)  # below the bound, total - bound wraps around to a huge number


def _round_keys(key: _Words) -> _Words:
    turns = np.arange(1, ROUNDS + 1, dtype=np.uint64)[:, None]
    return mixed(key + mixed(turns))


def _sides(size: int) -> tuple[int, int]:
    """Two numbers near the root of `size` whose product is hardly above it, so that few results are walked on."""
    root = isqrt(size - 1) + 1
    lefts = np.arange(max(1, root - min(_SIDES_TRIED, root // 2)), root + 1, dtype=np.int64)
    rights = -(-size // lefts)
    best = int(np.argmin(lefts * rights))
    return int(lefts[best]), int(rights[best])
