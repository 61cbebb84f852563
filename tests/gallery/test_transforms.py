"""A rotation from a key is orthogonal, the same everywhere, and keeps cosines."""

import numpy as np
import pytest
from gallery_people import KEY, units

from angulus.errors import GalleryError
from angulus.gallery import KeyedRotation
from angulus.gallery.transforms import normal_numbers, rotation

FIRST = [0.15933157620964772, 0.8917742956228051, -0.05517847008322047]


def test_it_is_orthogonal_and_keeps_cosines() -> None:
    turned = rotation(KEY, 48)
    np.testing.assert_allclose(turned @ turned.T, np.eye(48), atol=1e-12)
    vectors = units(20, 48)
    transform = KeyedRotation(KEY, 48)
    np.testing.assert_allclose(transform.apply(vectors) @ transform.apply(vectors).T, vectors @ vectors.T, atol=1e-5)
    np.testing.assert_allclose(transform.undo(transform.apply(vectors)), vectors, atol=1e-5)


def test_its_numbers_are_normal_and_always_the_same() -> None:
    drawn = normal_numbers(KEY, 40_001)
    assert len(drawn) == 40_001
    assert abs(drawn.mean()) < 0.02
    assert abs(drawn.std() - 1) < 0.02
    assert abs((drawn**4).mean() - 3) < 0.2
    assert np.abs(np.corrcoef(drawn[:-1:2], drawn[1::2])[0, 1]) < 0.02
    np.testing.assert_allclose(normal_numbers(KEY, 3), FIRST, rtol=1e-12)


def test_keys_give_unlinkable_vectors() -> None:
    vectors = units(200, 64)
    one, other = KeyedRotation(KEY, 64).apply(vectors), KeyedRotation(bytes(32), 64).apply(vectors)
    assert np.abs((one * other).sum(axis=1)).max() < 0.6
    assert abs((one * other).sum(axis=1).mean()) < 0.05
    assert KeyedRotation(KEY, 64).as_dict() != KeyedRotation(bytes(32), 64).as_dict()


def test_fewer_dimensions_nearly_keep_cosines() -> None:
    transform = KeyedRotation(KEY.hex(), 256, keep=128)
    assert not transform.is_lossless
    vectors = units(1, 256)
    beside = vectors + 0.02 * units(1, 256, 3)
    beside /= np.linalg.norm(beside)
    assert (transform.apply(vectors) @ transform.apply(beside).T).item() > 0.99
    with pytest.raises(GalleryError, match="keeps 128 of 256 dimensions cannot be undone"):
        transform.undo(transform.apply(vectors))


@pytest.mark.parametrize(
    ("dim", "keep", "says"), [(1, None, "2 to 4096"), (5000, None, "2 to 4096"), (8, 9, "2 to 8"), (8, 1, "2 to 8")]
)
def test_odd_sizes(dim, keep, says) -> None:
    with pytest.raises(GalleryError, match=says):
        KeyedRotation(KEY, dim, keep)
