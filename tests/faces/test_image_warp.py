"""The warp puts pixels where the matrix says, and averages where a photo is shrunk."""

import numpy as np
import pytest
from reference.bilinear import bilinear_warp

from angulus.errors import FacesError
from angulus.faces.image_warp import align, samples_for, warp
from angulus.faces.similarity_transform import apply, similarity
from angulus.faces.templates import ARCFACE

IDENTITY = np.array([[1.0, 0, 0], [0, 1, 0]])


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def turned(degrees, scale, x, y):
    a = np.deg2rad(degrees)
    return np.array([[scale * np.cos(a), -scale * np.sin(a), x], [scale * np.sin(a), scale * np.cos(a), y]])


def test_the_identity_and_whole_shifts_copy_pixels():
    photo = noise(20, 30)
    np.testing.assert_array_equal(warp(photo, IDENTITY, 20, 30), photo)
    np.testing.assert_array_equal(warp(photo, turned(0, 1, -3, -2), 10, 10), photo[2:12, 3:13])


@pytest.mark.parametrize("matrix", [turned(17, 0.9, 4, -3), turned(-100, 1.3, 3, 60), turned(0, 1, 0.5, 0.25)])
def test_agrees_with_bilinear_sampling_by_hand(matrix):
    photo = noise(40, 50)
    expected, inside = bilinear_warp(photo, matrix, 32, 28)
    found = warp(photo, matrix, 32, 28, samples=1)
    assert inside.mean() > 0.2
    assert np.abs(found[inside].astype(int) - expected[inside]).max() <= 1
    assert abs((found[inside].astype(int) - expected[inside]).mean()) < 0.02  # neither darker nor brighter


def test_beyond_the_photo_is_black():
    photo = np.full((10, 10, 3), 200, dtype=np.uint8)
    crop = warp(photo, turned(0, 1, 20, 0), 10, 40)
    assert not crop[:, :19].any()
    assert (crop[:, 21:29] == 200).all()


def test_a_crop_from_a_corner_of_a_large_photo_is_that_of_the_part():
    photo, matrix = noise(300, 400), turned(33, 0.8, 0, 0)
    matrix[:, 2] = [30, 25] - matrix[:, :2] @ [250, 200]  # the middle of the crop
    nearer = matrix.copy()
    nearer[:, 2] += matrix[:, :2] @ [100, 100]
    found, part = warp(photo, matrix, 50, 60), warp(photo[100:, 100:], nearer, 50, 60)
    assert np.abs(found.astype(int) - part).max() <= 1
    assert not warp(photo, turned(0, 1, 5000, 0), 50, 60).any()


def test_a_larger_crop_averaged_is_the_smaller_one():
    rows, columns = np.mgrid[:160, :160]
    smooth = np.stack([127 + 100 * np.sin(rows / 9 + k) * np.cos(columns / 11) for k in range(3)], axis=2)
    photo = smooth.astype(np.uint8)
    landmarks = apply(turned(8, 1.1, 10, 14), ARCFACE.array())
    small, large = align(photo, landmarks, ARCFACE), align(photo, landmarks, ARCFACE.scaled(224))
    halved = large.astype(float).reshape(112, 2, 112, 2, 3).mean((1, 3))
    assert np.abs(halved - small)[10:-10, 10:-10].max() < 2.5


def test_shrinking_averages_instead_of_skipping():
    stripes = np.zeros((800, 800, 3), dtype=np.uint8)
    stripes[:, ::2] = 255  # as fine as can be: grey from afar
    matrix = turned(0, 0.125, 0.01, 0.01)
    assert samples_for(0.125) == 8
    assert np.abs(warp(stripes, matrix, 100, 100)[5:-5, 5:-5].astype(int) - 127).max() <= 3
    checks = np.kron(np.indices((100, 100)).sum(0) % 2 * 255, np.ones((8, 8))).astype(np.uint8)
    skipped = warp(np.repeat(checks[:, :, None], 3, 2), turned(30, 0.09, 30, 0), 60, 60, samples=1)
    averaged = warp(np.repeat(checks[:, :, None], 3, 2), turned(30, 0.09, 30, 0), 60, 60)
    assert averaged[20:40, 20:40].std() < 0.7 * skipped[20:40, 20:40].std()


def test_samples_near_the_own_size_are_one():
    assert [samples_for(scale) for scale in (4, 1, 0.7, 0.5, 0.1, 1e-9)] == [1, 1, 1, 2, 10, 48]


def test_landmarks_arrive_at_the_template():
    landmarks = apply(turned(25, 2, 100, 40), ARCFACE.array())
    photo = np.zeros((400, 400, 3), dtype=np.uint8)
    for x, y in landmarks:
        rows, columns = np.mgrid[:400, :400]
        photo[np.hypot(columns - x, rows - y) < 5] = 255
    crop = align(photo, landmarks, ARCFACE)[:, :, 0]
    for x, y in ARCFACE.array():
        near = crop[round(y) - 5 : round(y) + 6, round(x) - 5 : round(x) + 6].astype(float)
        rows, columns = np.mgrid[round(y) - 5 : round(y) + 6, round(x) - 5 : round(x) + 6]
        centre = [(near * columns).sum() / near.sum(), (near * rows).sum() / near.sum()]
        np.testing.assert_allclose(centre, [x, y], atol=0.1)
    np.testing.assert_allclose(apply(similarity(landmarks, ARCFACE.array()), landmarks), ARCFACE.array(), atol=1e-9)


def test_what_is_no_photo_is_refused():
    with pytest.raises(FacesError, match="uint8"):
        warp(np.zeros((4, 4, 3)), IDENTITY, 2, 2)
    with pytest.raises(FacesError, match="samples must be at least 1, got 0"):
        warp(noise(4, 4), IDENTITY, 2, 2, samples=0)
