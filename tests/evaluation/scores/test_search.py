"""The streamed search against a loop over all scores, ties, duplicates and small blocks included."""

import importlib

import numpy as np
import pytest
import torch
from evaluation.unit_sets import random_units, some_labels, unit_vectors
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import identification as oracle

from angulus.errors import EvaluationError
from angulus.evaluation.scores.search import search_gallery

search_module = importlib.import_module("angulus.evaluation.scores.search")
quick = settings(max_examples=60, deadline=None)


@pytest.fixture(params=[(2, 3), (512, 4096)], ids=["small blocks", "large blocks"], scope="module")
def blocks(request):
    before = search_module.BLOCKS["cpu"]
    search_module.BLOCKS["cpu"] = request.param
    yield request.param
    search_module.BLOCKS["cpu"] = before


@st.composite
def problems(draw):
    probes, gallery, crowd = draw(unit_vectors()), draw(unit_vectors()), draw(unit_vectors(least=0))
    return probes, gallery, crowd, draw(some_labels(len(probes))), draw(some_labels(len(gallery)))


@pytest.mark.slow
@quick
@given(problem=problems(), top=st.integers(1, 5))
def test_a_search_is_the_loop(blocks, problem, top):
    probes, gallery, crowd, probe_labels, gallery_labels = problem
    found = search_gallery(
        probes,
        gallery,
        probe_labels=probe_labels,
        gallery_labels=gallery_labels,
        distractors=[crowd[:1], crowd[1:]],
        top=top,
    )
    entries = [*gallery, *crowd]
    expected = oracle.search(probes, entries, probe_labels, [*gallery_labels, *(-1 for _ in crowd)])
    for row, (scores, mate, above, tied, nonmate) in enumerate(expected):
        assert found.scores[row].tolist() == (sorted(scores, reverse=True) + [-np.inf] * top)[:top]
        listed = [(scores[entry] if entry >= 0 else -np.inf) for entry in found.rows[row]]
        assert listed == found.scores[row].tolist()
        assert len({*found.rows[row]} - {-1}) == (found.rows[row] >= 0).sum()
        assert found.mate_scores[row] == (-np.inf if mate is None else mate)
        assert (found.above[row], found.tied[row]) == (above, tied)
        assert found.nonmate_scores[row] == (-np.inf if nonmate is None else nonmate)
        assert found.ranks[row] == (0 if mate is None else 1 + above + tied)
        assert found.optimistic_ranks[row] == (0 if mate is None else 1 + above)
        if mate is not None:
            assert gallery_labels[found.mate_rows[row]] == probe_labels[row]
    assert (found.gallery, found.distractors) == (len(gallery), len(crowd))


def test_results_do_not_depend_on_blocks(monkeypatch):
    probes, gallery = random_units(40, 33, 1), random_units(700, 33, 2)
    gallery[300:340] = probes  # duplicates of the probes under other labels
    labels = {"probe_labels": np.arange(40), "gallery_labels": np.arange(700) % 350}
    results = []
    for sizes in ((7, 11), (40, 700), (1, 64)):
        monkeypatch.setitem(search_module.BLOCKS, "cpu", sizes)
        results.append(search_gallery(probes, gallery, top=4, **labels))
    for other in results[1:]:
        for name in ("rows", "scores", "mate_rows", "mate_scores", "above", "tied", "nonmate_scores", "nonmate_rows"):
            np.testing.assert_array_equal(getattr(results[0], name), getattr(other, name))


def test_a_duplicate_of_the_mate_is_a_tie():
    vectors = random_units(3, 512, 3)
    gallery = np.concatenate([vectors[:1], random_units(50, 512, 4), vectors[:1]])
    probe = (vectors[0] + 0.3 * vectors[1])[None]
    probe /= np.linalg.norm(probe)
    found = search_gallery(probe, gallery, probe_labels=[0], gallery_labels=np.arange(52))
    assert (found.above[0], found.tied[0], found.ranks[0], found.optimistic_ranks[0]) == (0, 1, 2, 1)


def test_lists_of_equal_scores_name_lower_rows_first():
    gallery = np.tile(random_units(1, 8), (6, 1))
    found = search_gallery(gallery[:1], gallery, top=3)
    assert found.rows.tolist() == [[0, 1, 2]]
    assert not found.mated.any()


def test_a_memory_mapped_crowd(tmp_path):
    crowd = random_units(500, 16, 5)
    np.save(tmp_path / "crowd.npy", crowd)
    mapped = np.load(tmp_path / "crowd.npy", mmap_mode="r")
    probes, gallery = random_units(5, 16, 6), random_units(9, 16, 7)
    one, other = (search_gallery(probes, gallery, distractors=part, top=3) for part in (mapped, crowd))
    np.testing.assert_array_equal(one.rows, other.rows)
    np.testing.assert_array_equal(one.scores, other.scores)


def test_what_is_refused():
    unit, labels = random_units(6, 4), np.arange(6)
    nan, long = unit.copy(), unit * 2
    nan[4, 1] = np.nan
    cases = [
        ((nan, unit), {}, "probes must be unit vectors, got NaN or infinity in row 4"),
        ((unit, nan), {}, "gallery must be unit vectors, got NaN or infinity in row 4"),
        ((unit, long), {}, "gallery must be unit vectors, got the norm 2 in row 0"),
        ((unit, unit[:, :3]), {}, r"gallery must have the shape \[rows, 4\]"),
        ((unit, unit), {"distractors": [unit, nan]}, "distractors must be unit vectors, got NaN or infinity in row 16"),
        ((unit, unit), {"distractors": [unit[0]]}, "distractors must be an array"),
        ((unit, unit), {"probe_labels": labels}, "must both be given"),
        ((unit, unit), {"probe_labels": labels, "gallery_labels": labels[:5]}, "gallery_labels must be whole numbers"),
        ((unit, unit), {"probe_labels": labels - 1, "gallery_labels": labels}, "probe_labels must be at least 0"),
        ((unit, unit), {"top": 0}, "top must be at least 1"),
        ((unit, unit), {"device": "meta"}, "runs on cpu or cuda, got the device 'meta'"),
    ]
    for arrays, options, message in cases:
        with pytest.raises(EvaluationError, match=message):
            search_gallery(*arrays, **options)


def test_products_of_fewer_bits_are_refused():
    torch.set_float32_matmul_precision("high")
    try:
        with pytest.raises(EvaluationError, match="full precision"):
            search_gallery(random_units(2, 4), random_units(2, 4))
    finally:
        torch.set_float32_matmul_precision("highest")


def test_blocks_follow_free_memory() -> None:
    from angulus.evaluation.scores.search import rows_that_fit

    assert rows_that_fit(4096, 65_536, 100 * 2**30) == 65_536
    assert rows_that_fit(4096, 65_536, 2 * 2**30) == 32_768
    assert rows_that_fit(4096, 65_536, 1) == 4096
