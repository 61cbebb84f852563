"""The closed form finds known similarities, agrees with Umeyama's, and refuses points that give none."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.umeyama import umeyama

from angulus.errors import FacesError
from angulus.faces.similarity_transform import apply, inverse, misfit, scale_of, similarity
from angulus.faces.templates import ARCFACE, SPHEREFACE, template_named

coordinate = st.floats(-3000, 3000)
angle = st.floats(-np.pi, np.pi)
scale = st.floats(0.01, 100)


def of(turn, size, x, y):
    return np.array([[size * np.cos(turn), -size * np.sin(turn), x], [size * np.sin(turn), size * np.cos(turn), y]])


@given(angle, scale, coordinate, coordinate)
def test_a_known_similarity_is_found(turn, size, x, y):
    known = of(turn, size, x, y)
    found = similarity(ARCFACE.array(), apply(known, ARCFACE.array()))
    np.testing.assert_allclose(found, known, rtol=1e-9, atol=1e-9 * (size + abs(x) + abs(y) + 1))
    assert scale_of(found) == pytest.approx(size)


@given(st.integers(0, 10_000), st.integers(2, 9))
@settings(max_examples=60)
def test_agrees_with_the_svd_where_no_reflection_is_better(seed, count):
    random = np.random.default_rng(seed)
    source = random.normal(size=(count, 2)) * 50
    target = apply(of(random.uniform(-3, 3), random.uniform(0.1, 3), 5, -7), source) + random.normal(size=(count, 2))
    np.testing.assert_allclose(similarity(source, target), umeyama(source, target), atol=1e-7)


@given(st.integers(0, 1000))
@settings(max_examples=30)
def test_no_similarity_nearby_is_closer(seed):
    random = np.random.default_rng(seed)
    source, target = random.normal(size=(5, 2)) * 40, ARCFACE.array()
    found = similarity(source, target)
    best = ((apply(found, source) - target) ** 2).sum()
    for change in (of(0.01, 1, 0, 0), of(0, 1.01, 0, 0), of(0, 1, 0.1, 0), of(0, 1, 0, -0.1)):
        assert ((apply(change, apply(found, source)) - target) ** 2).sum() >= best - 1e-9


@given(angle, scale, coordinate, coordinate)
def test_the_inverse_undoes(turn, size, x, y):
    points = ARCFACE.array()
    known = of(turn, size, x, y)
    np.testing.assert_allclose(apply(inverse(known), apply(known, points)), points, atol=1e-6)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (np.ones((5, 2)), "apart from each other"),
        (np.full((5, 2), np.nan), "must be finite"),
        (np.ones((5, 3)), "points \\[n, 2\\]"),
        (ARCFACE.array()[:4], "as many points, got 4 and 5"),
    ],
)
def test_points_that_give_no_direction_are_refused(source, words):
    with pytest.raises(FacesError, match=words):
        similarity(source, ARCFACE.array())


def test_an_order_that_fits_no_rotation_is_refused():
    square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    with pytest.raises(FacesError, match="fit no rotation"):
        similarity(square, square * [-1, 1])
    with pytest.raises(FacesError, match="at least 2 points, got 1"):
        similarity([[1, 2]], [[3, 4]])


def test_the_misfit_is_small_for_the_template_and_large_for_swapped_eyes():
    points = ARCFACE.array()
    assert misfit(similarity(points, points), points, points) == pytest.approx(0, abs=1e-12)
    swapped = points[[1, 0, 2, 4, 3]]
    assert misfit(similarity(swapped, points), swapped, points) > 0.5


def test_templates_are_the_published_ones():
    assert (ARCFACE.height, ARCFACE.width, SPHEREFACE.height, SPHEREFACE.width) == (112, 112, 112, 96)
    np.testing.assert_allclose(ARCFACE.array()[[0, 4]], [[38.2946, 51.6963], [70.7299, 92.2041]])
    np.testing.assert_allclose(ARCFACE.array() - SPHEREFACE.array(), np.tile([8, 0], (5, 1)))


def test_a_template_grows_around_the_edge_of_the_first_pixel():
    large = ARCFACE.scaled(224)
    np.testing.assert_allclose(large.array() + 0.5, 2 * (ARCFACE.array() + 0.5))
    assert (SPHEREFACE.scaled(224).width, template_named("sphereface", 56).width) == (192, 48)
    with pytest.raises(FacesError, match=r"multiple of 7, .* got 128"):
        SPHEREFACE.scaled(128)
    with pytest.raises(FacesError, match="arcface, sphereface, got 'dlib'"):
        template_named("dlib")
