"""Montages: every picture in its cell, and a sentence for what cannot be laid out."""

import numpy as np
import pytest

from angulus.data.picture_grid import montage


def test_pictures_lie_in_rows():
    images = [np.full((4, 6, 3), level, np.uint8) for level in (10, 20, 30)]
    page = montage(images, 2, padding=1, background=200)
    assert page.shape == (11, 15, 3)
    assert page.dtype == np.uint8
    np.testing.assert_array_equal(page[1:5, 1:7], images[0])
    np.testing.assert_array_equal(page[1:5, 8:14], images[1])
    np.testing.assert_array_equal(page[6:10, 1:7], images[2])
    assert (page[6:10, 7:] == 200).all()


def test_smaller_pictures_sit_in_the_middle():
    images = [np.zeros((6, 6, 3), np.uint8), np.zeros((2, 4, 3), np.uint8)]
    page = montage(images, 2, padding=0)
    assert (page[2:4, 7:11] == 0).all()
    assert (page[:2, 6:] == 255).all()


@pytest.mark.parametrize(
    ("images", "columns", "sentence"),
    [
        ([], 2, "at least one image"),
        ([np.zeros((2, 2, 3), np.uint8)], 0, "columns must be at least 1, got 0"),
        ([np.zeros((2, 2), np.uint8)], 1, r"must be uint8 \[h, w, 3\], got uint8 \[2, 2\] at 0"),
        ([np.zeros((2, 2, 3))], 1, "got float64"),
    ],
)
def test_bad_input_is_named(images, columns, sentence):
    with pytest.raises(ValueError, match=sentence):
        montage(images, columns)
