"""Rows that are proposed: those with the highest scores, whatever the chunk, the threads and the type of number."""

import numpy as np
import pytest
from gallery_people import units
from hypothesis import given
from hypothesis import strategies as st

from angulus.errors import GalleryError
from angulus.gallery.folder.row_matrix import Change, HeldMatrix, Layout, encoded
from angulus.gallery.folder.row_scan import ScanPlan, best_rows, chosen_plan, widened


@given(
    st.integers(0, 200), st.integers(1, 60), st.integers(1, 70), st.integers(1, 3), st.sampled_from(["float16", "int8"])
)
def test_the_best_rows_are_found(count, wanted, chunk, threads, storage) -> None:
    layout = Layout(dim=9, storage=storage, gallery=bytes(16))
    rows = encoded(units(count, 9), layout) if count else np.zeros(0, layout.row)
    nobody = np.arange(count) % 5 == 3
    rows[nobody] = np.zeros(1, layout.row)
    queries = units(4, 9, seed=1)
    found = best_rows(rows, queries, wanted, ScanPlan(chunk=chunk, threads=threads))
    scores = queries @ rows["values"].astype(np.float32).T * rows["scale"]
    scores[:, nobody] = -np.inf
    some = min(wanted, count - int(nobody.sum()))
    for mine, every in zip(found, scores, strict=True):
        mine = mine[mine >= 0]
        assert len(mine) == len(set(mine)) == some
        np.testing.assert_allclose(np.sort(every[mine]), np.sort(every)[len(every) - some :], atol=1e-6)


def test_widening_is_exact() -> None:
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    finite = every[np.isfinite(every)][None]
    np.testing.assert_array_equal(widened(finite), finite.astype(np.float32))
    bytes_ = np.arange(-128, 128).astype(np.int8)[None]
    np.testing.assert_array_equal(widened(bytes_), bytes_.astype(np.float32))


def test_a_plan_is_chosen_by_timing_and_can_be_given() -> None:
    layout = Layout(dim=4, storage="int8", gallery=bytes(16))
    plan = chosen_plan(encoded(units(500, 4), layout))
    assert plan.chunk in (1024, 4096, 16384)
    assert "ms with" in plan.reason
    given_ = ScanPlan(chunk=7)
    matrix = HeldMatrix(given_)
    matrix.reset(layout)
    matrix.reserve(3)
    matrix.update(np.arange(3), units(3, 4))
    matrix.settle(Change(number=1, token=b"12345678"))
    matrix.candidates(units(1, 4), 2)
    assert matrix.plan is given_
    with pytest.raises(GalleryError, match="at least 1, got 0 and 1"):
        ScanPlan(chunk=0)
