"""Pairs above a threshold, streamed, are those that a loop finds; hashes are compared by the same products."""

import numpy as np
import pytest
from faces_drawn import clustered
from reference import inspection as oracle

from angulus.inspection import nearest
from angulus.inspection.hashing import BITS, distances
from angulus.inspection.nearest import cosine_of, near_pairs, together


def found(pairs):
    return set(zip(pairs.left.tolist(), pairs.right.tolist(), strict=True))


@pytest.mark.parametrize("block", [7, 64, 2048])
@pytest.mark.parametrize("both", [False, True])
def test_pairs_are_those_of_a_loop(monkeypatch, block, both):
    monkeypatch.setitem(nearest._BLOCKS, "cpu", block)
    rows, _ = clustered([3] * 20)
    others = clustered([2] * 15, seed=1)[0] if both else None
    pairs = near_pairs(rows, others, threshold=0.3)
    assert found(pairs) == oracle.near_pairs(rows, others, 0.3)
    assert pairs.found == len(pairs) > 0
    assert (np.diff(pairs.scores) <= 0).all()


def test_the_most_alike_are_kept_and_all_are_counted_until_then():
    rows, _ = clustered([4] * 30)
    every, few = near_pairs(rows, threshold=-1.0), near_pairs(rows, threshold=-1.0, most=10)
    assert len(every) == 120 * 119 // 2
    assert found(few) == set(list(zip(every.left.tolist(), every.right.tolist(), strict=True))[:10])


def test_hashes_are_compared_by_their_bits():
    hashes = np.random.default_rng(0).integers(0, 256, (50, BITS // 8), dtype=np.uint8)
    hashes[40] = hashes[3]
    hashes[40, 0] ^= 0b111
    pairs = near_pairs(hashes, threshold=cosine_of(3, BITS))
    assert found(pairs) == {(3, 40)}
    assert not found(near_pairs(hashes, threshold=cosine_of(2, BITS)))
    assert distances(hashes[[3]], hashes[[40]]).tolist() == [3]


def test_nothing_near():
    rows, _ = clustered([1] * 5)
    assert len(near_pairs(rows, threshold=0.999)) == 0
    assert len(near_pairs(rows[:0], threshold=0.0)) == 0


@pytest.mark.parametrize("parts", [1, 2, 5])
@pytest.mark.parametrize("most", [1000, 1_000_000])
@pytest.mark.parametrize("both", [False, True])
def test_parts_make_the_list_of_one_pass(monkeypatch, parts, most, both):
    """Every pair is looked at once, and equally alike ones (hashes: most of them) come in one order."""
    monkeypatch.setitem(nearest._BLOCKS, "cpu", 16)
    random = np.random.default_rng(0)
    hashes = random.integers(0, 256, (150, 4), dtype=np.uint8)
    others = random.integers(0, 256, (90, 4), dtype=np.uint8) if both else None
    how = {"threshold": cosine_of(16, 32), "most": most}
    whole = near_pairs(hashes, others, **how)
    found = together([near_pairs(hashes, others, **how, share=(part, parts)) for part in range(parts)], most)
    for name in ("left", "right", "scores"):
        np.testing.assert_array_equal(getattr(found, name), getattr(whole, name))
    assert found.compared == whole.compared == (150 * 90 if both else 150 * 149 // 2)
    assert len(whole) == min(most, len(whole))
