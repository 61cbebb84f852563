"""Embedding sets: views, norms, files, and what is wrong with a set."""

import numpy as np
import pytest
from real_data import SHARED, needs_shared

from angulus.embeddings import EmbeddingSet
from angulus.errors import EvaluationError


def small_set(**changes):
    given = {
        "embeddings": np.array([[3.0, 4.0], [0.0, 2.0], [1.0, 0.0]], dtype=np.float32),
        "flipped": np.array([[3.0, 0.0], [0.0, 2.0], [-1.0, 1.0]], dtype=np.float32),
        "labels": np.array([0, 1, 1]),
        "keys": ("Ada/1", "Bea/1", "Bea/2"),
        "identities": ("Ada", "Bea"),
    }
    return EmbeddingSet(**{**given, **changes})


def test_views_and_norms():
    found = small_set()
    np.testing.assert_array_equal(found.combined("sum")[0], [6, 4])
    np.testing.assert_array_equal(found.combined("concat")[0], [3, 4, 3, 0])
    np.testing.assert_allclose(found.norms(), [5, 2, 1])
    np.testing.assert_allclose(np.linalg.norm(found.unit("concat"), axis=1), 1, rtol=1e-6)
    assert (len(found), found.dim) == (3, 2)


def test_values_take_their_stated_types():
    found = EmbeddingSet(
        embeddings=np.ones((2, 3), np.float16), labels=np.array([0, 1], np.int32), keys=np.array([b"a", b"b"])
    )
    assert found.embeddings.dtype == np.float32
    assert found.labels.dtype == np.int64
    assert found.keys == ("a", "b")


def test_select_keeps_rows_together():
    found = small_set().select(np.array([False, True, True]))
    assert found.keys == ("Bea/1", "Bea/2")
    assert found.identities == ("Ada", "Bea")
    np.testing.assert_array_equal(found.labels, [1, 1])
    np.testing.assert_array_equal(small_set().select([2, 0]).flipped, [[-1, 1], [3, 0]])


def test_save_and_load_give_the_same_set(tmp_path):
    saved = small_set()
    loaded = EmbeddingSet.load(saved.save(tmp_path / "deep" / "set.npz"))
    for name in ("embeddings", "flipped", "labels"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(saved, name))
    assert (loaded.keys, loaded.identities) == (saved.keys, saved.identities)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["set.npz"]


def test_save_and_load_without_the_optional_parts(tmp_path):
    loaded = EmbeddingSet.load(EmbeddingSet(embeddings=np.eye(3)).save(tmp_path / "set.npz"))
    assert (loaded.labels, loaded.keys, loaded.identities, loaded.flipped) == (None, None, None, None)


def test_load_takes_the_names_of_other_tools(tmp_path):
    np.savez(
        tmp_path / "other.npz",
        emb=np.ones((2, 3), np.float16),
        emb_flip=np.zeros((2, 3), np.float16),
        names=np.array([b"a.jpg", b"b.jpg"]),
        label=np.array([0, 0], np.int32),
        identity=np.array([b"Ada"]),
        pairs=np.zeros((1, 2)),
    )
    loaded = EmbeddingSet.load(tmp_path / "other.npz")
    assert (loaded.keys, loaded.identities, len(loaded), loaded.flipped.sum()) == (("a.jpg", "b.jpg"), ("Ada",), 2, 0)


@needs_shared
def test_load_stored_lfw():
    found = EmbeddingSet.load(SHARED / "lfw_embeddings" / "lfw_mobilefacenet128.npz")
    assert (len(found), found.dim, len(found.identities)) == (13_233, 128, 5_749)
    assert found.keys[0].startswith(found.identities[found.labels[0]])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"embeddings": np.array([[1, 2], [np.nan, 1], [1, 1]])}, r'row 1 \("Bea/1"\)'),
        ({"flipped": np.array([[1, 2], [1, 1], [np.inf, 1]])}, r'flipped must be finite.*row 2 \("Bea/2"\)'),
        ({"embeddings": np.ones(3)}, r"shape \[images, dimensions\], got \[3\]"),
        ({"flipped": np.ones((3, 4))}, r"flipped must have the shape of embeddings \[3, 2\], got \[3, 4\]"),
        ({"labels": np.array([0, 1])}, "labels must have one entry for each of the 3 embeddings, got 2"),
        ({"keys": ("a",)}, "keys must have one entry for each of the 3 embeddings, got 1"),
        ({"labels": np.array([0.5, 1, 1])}, "labels must be whole numbers"),
        ({"labels": np.array([0, 1, 2])}, "labels must be below the 2 identities named, got 2"),
    ],
)
def test_bad_sets_are_refused(changes, message):
    with pytest.raises(EvaluationError, match=message):
        small_set(**changes)


def test_zero_embedding_is_named_when_its_direction_is_asked_for():
    found = small_set(embeddings=np.array([[1, 1], [0, 0], [0, 0]]), flipped=None)
    with pytest.raises(EvaluationError, match=r'zeros in row 1 \("Bea/1"\) \(2 such rows\)'):
        found.unit()


def test_views_that_do_not_exist():
    with pytest.raises(EvaluationError, match="view must be one of plain, sum, concat, got 'mean'"):
        small_set().combined("mean")
    with pytest.raises(EvaluationError, match="needs the embeddings of the mirrored images"):
        small_set(flipped=None).unit("sum")


def test_unreadable_files(tmp_path):
    with pytest.raises(EvaluationError, match="does not exist"):
        EmbeddingSet.load(tmp_path / "none.npz")
    (tmp_path / "bad.npz").write_bytes(b"not a zip")
    with pytest.raises(EvaluationError, match="not a readable"):
        EmbeddingSet.load(tmp_path / "bad.npz")
    np.savez(tmp_path / "empty.npz", other=np.ones(2))
    with pytest.raises(EvaluationError, match="no array named embeddings"):
        EmbeddingSet.load(tmp_path / "empty.npz")
    with pytest.raises(EvaluationError, match=r"stored as \.npz"):
        small_set().save(tmp_path / "set.txt")


@pytest.mark.parametrize("scale", [1e-38, 1e-30, 1e-20, 1e10, 1e19, 1e25, 1e38])
def test_rows_of_any_norm_have_their_direction(scale):
    rows = np.random.default_rng(0).uniform(-1, 1, (5, 8)).astype(np.float32)
    expected = rows.astype(np.float64) / np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    far = (rows.astype(np.float64) * scale).astype(np.float32)
    np.testing.assert_allclose(EmbeddingSet(embeddings=far).unit(), expected, atol=1e-6)
    norms = np.linalg.norm(far.astype(np.float64), axis=1)
    np.testing.assert_allclose(EmbeddingSet(embeddings=far).norms(), norms, rtol=1e-6)


def test_ordinary_rows_keep_every_bit():
    rows = np.random.default_rng(0).standard_normal((50, 16), dtype=np.float32)
    expected = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    np.testing.assert_array_equal(EmbeddingSet(embeddings=rows).unit(), expected)


def test_a_sum_of_views_beyond_float32_is_refused_with_its_row():
    rows = np.ones((3, 2), dtype=np.float32)
    rows[1] = 3e38
    with pytest.raises(EvaluationError, match=r"beyond float32 in row 1 \(1 such rows\)"):
        EmbeddingSet(embeddings=rows, flipped=rows).unit("sum")
