"""Blocks of a triangle shared there and back: each once, and as many pairs for every part."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from angulus.errors import EvaluationError
from angulus.evaluation.scores.streaming.kept import common_windows, narrowed
from angulus.evaluation.scores.streaming.passes import stream_pairs
from angulus.evaluation.scores.streaming.shares import blocks_of
from angulus.evaluation.scores.streaming.steps import Windows


@given(st.integers(1, 2000), st.integers(1, 70), st.integers(1, 12))
def test_every_block_falls_to_one_part(rows: int, size: int, parts: int) -> None:
    found = [top for part in range(parts) for top in blocks_of((part, parts), rows, size)]
    assert sorted(found) == list(range(0, rows, size))


@given(st.integers(1, 40), st.integers(1, 12))
def test_parts_are_as_large_as_can_be(turns: int, parts: int) -> None:
    rows = 2 * parts * turns
    sizes = [sum(rows - top for top in blocks_of((part, parts), rows, 1)) for part in range(parts)]
    assert max(sizes) == min(sizes)
    odd = [sum(rows + 3 - top for top in blocks_of((part, parts), rows + 3, 1)) for part in range(parts)]
    assert max(odd) - min(odd) <= 3 + 2 * 3  # what is left over are the three shortest rows


@pytest.mark.parametrize("share", [(2, 2), (-1, 3), (0, 0)])
def test_a_share_that_is_not_there_is_refused(share: tuple[int, int]) -> None:
    with pytest.raises(EvaluationError, match="0 <= part < parts"):
        stream_pairs(np.eye(4, dtype=np.float32), np.arange(4), Windows(tail=0), share=share)


def test_windows_that_differ_are_narrowed_to_what_both_kept() -> None:
    one = Windows(tail=90_000, middle=((70_000, 80_000), (60_000, 60_010)))
    other = Windows(tail=88_000, middle=((75_000, 82_000),))
    common = common_windows([one, other])
    assert common == Windows(tail=90_000, middle=((75_000, 80_000),))
    random = np.random.default_rng(0)
    vectors = random.standard_normal((400, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    labels = random.integers(0, 30, 400)
    wanted = stream_pairs(vectors, labels, common)
    for windows in (one, other):
        found = narrowed(stream_pairs(vectors, labels, windows), common)
        for name in ("tail", "tail_left", "tail_right", "middle", "counts"):
            np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name))
