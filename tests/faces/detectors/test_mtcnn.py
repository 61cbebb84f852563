"""Shapes and steps of the cascade on made-up weights; faces on real photos where weights and photos are here."""

from importlib import metadata

import numpy as np
import pytest
import torch
from real_data import SHARED, needs_shared

from angulus.errors import FacesError
from angulus.faces import ListedLandmarks, Mtcnn, MtcnnOptions, Turning
from angulus.faces.detectors.mtcnn import mirrored_back, moved, points_in, prepared, pyramid, square, widen, windows
from angulus.faces.detectors.mtcnn_networks import (
    fill,
    in_torch,
    output_network,
    proposal_network,
    published,
    read_arrays,
    refinement_network,
)
from angulus.faces.photos import read_photo


def has(*packages):
    try:
        return all(metadata.version(package) for package in packages)
    except metadata.PackageNotFoundError:
        return False


needs_weights = pytest.mark.skipif(
    not has("mtcnn", "joblib", "lz4"), reason='the MTCNN weights are not here: pip install "angulus[detect]"'
)


@pytest.mark.parametrize(
    ("make", "shape", "outputs"),
    [
        (proposal_network, (1, 3, 12, 12), [(1, 4, 1, 1), (1, 2, 1, 1)]),
        (proposal_network, (2, 3, 31, 40), [(2, 4, 11, 15), (2, 2, 11, 15)]),
        (refinement_network, (3, 3, 24, 24), [(3, 4), (3, 2)]),
        (output_network, (3, 3, 48, 48), [(3, 4), (3, 10), (3, 2)]),
    ],
)
def test_networks_have_the_published_shapes(make, shape, outputs):
    assert [tuple(part.shape) for part in make()(torch.zeros(shape))] == outputs


def keras_arrays(network, seed=0):
    """Weights in Keras layouts for a network."""
    random = np.random.default_rng(seed)
    for parameter in network.parameters():
        shape = tuple(parameter.shape)
        if len(shape) == 4:
            shape = (shape[2], shape[3], shape[1], shape[0])
        elif len(shape) == 2:
            shape = shape[::-1]
        yield random.normal(size=shape).astype(np.float32)


def test_weights_are_turned_from_keras_layouts():
    network = refinement_network()
    arrays = list(keras_arrays(network))
    fill(network, arrays, "rnet")
    images = np.random.default_rng(1).normal(size=(1, 3, 24, 24)).astype(np.float32)
    seen = network.body[0](torch.from_numpy(images)).detach().numpy()
    # the first convolution by hand, from the array as Keras keeps it
    patch = images[0, :, 4:7, 9:12].transpose(1, 2, 0)
    np.testing.assert_allclose(seen[0, 5, 4, 9], (patch * arrays[0][..., 5]).sum() + arrays[1][5], rtol=1e-4)
    # the dense layer sees the map in the order width, height, channel
    maps = np.random.default_rng(2).normal(size=(1, 64, 3, 3)).astype(np.float32)
    rows = network.body[9](network.body[8](torch.from_numpy(maps))).detach().numpy()
    expected = maps[0].transpose(2, 1, 0).ravel() @ arrays[9] + arrays[10]
    np.testing.assert_allclose(rows[0], expected, rtol=1e-4, atol=1e-4)


def test_weights_of_another_shape_are_refused():
    network = output_network()
    arrays = list(keras_arrays(network))
    with pytest.raises(FacesError, match="onet has 21 arrays of weights, the file holds 20"):
        fill(network, arrays[:-1], "onet")
    arrays[0] = arrays[0][:2]
    with pytest.raises(FacesError, match=r"onet.body.0.weight must be \[32, 3, 3, 3\]"):
        fill(network, arrays, "onet")


def test_the_pyramid_ends_where_a_window_no_longer_fits():
    levels = list(pyramid(np.zeros((100, 150, 3), np.uint8), MtcnnOptions(min_face=24, step=0.5)))
    assert [level.shape[:2] for level in levels] == [(50, 75), (25, 38), (13, 19)]
    assert list(pyramid(np.zeros((30, 150, 3), np.uint8), MtcnnOptions(min_face=40))) == []


def test_windows_stand_two_pixels_apart():
    logits = torch.full((2, 3, 4), -5.0)
    logits[1, 2, 1] = 5.0
    logits[0] = 0.0
    shifts = torch.zeros(4, 3, 4)
    shifts[:, 2, 1] = torch.tensor([0.25, 0.0, -0.25, 0.5])
    boxes, scores = windows(shifts.numpy(), logits.numpy(), 0.6)
    assert boxes.tolist() == [[5, 4, 11, 22]]
    assert scores[0] == pytest.approx(1 / (1 + np.exp(-5)))


def test_boxes_are_moved_squared_and_widened():
    boxes = np.array([[10.0, 20, 30, 60]])
    assert moved(boxes, np.array([[0.1, 0.1, -0.1, 0.0]])).tolist() == [[12, 24, 28, 60]]
    assert square(boxes).tolist() == [[0, 20, 40, 60]]
    assert widen(boxes, 0.5).tolist() == [[5, 10, 35, 70]]


def test_landmarks_count_from_the_middle_of_the_first_pixel():
    points = np.array([[0, 0.5, 1, 0, 1, 0, 0.5, 1, 1, 0]])
    found = points_in(np.array([[0.0, 10, 20, 30]]), points)
    assert found[0].tolist() == [[-0.5, 9.5], [9.5, 19.5], [19.5, 29.5], [-0.5, 29.5], [19.5, 9.5]]


def test_a_mirrored_face_has_its_landmarks_exchanged():
    points = np.array([[0.3, 0.7, 0.45, 0.35, 0.65, 0.4, 0.42, 0.6, 0.8, 0.79]])
    mirrored = np.concatenate([(1 - points[:, :5])[:, [1, 0, 2, 4, 3]], points[:, 5:][:, [1, 0, 2, 4, 3]]], axis=1)
    np.testing.assert_allclose(mirrored_back(mirrored), points)


def test_pixels_lie_between_minus_one_and_one():
    values = prepared(np.array([[[[0, 128, 255]]]], dtype=np.uint8))
    assert values.shape == (1, 3, 1, 1)
    assert values.flatten().tolist() == pytest.approx([-127.5 / 128, 0.5 / 128, 127.5 / 128])


def test_photos_without_anything_have_no_faces():
    networks = {"pnet": proposal_network(), "rnet": refinement_network(), "onet": output_network()}
    for network in networks.values():
        for parameter in network.parameters():
            torch.nn.init.zeros_(parameter)
    detector = Mtcnn(in_torch({name: network.eval() for name, network in networks.items()}))
    assert detector.detect(np.zeros((60, 90, 3), np.uint8)) == ()
    assert detector.detect(np.zeros((4, 4, 3), np.uint8)) == ()
    # everything is half a face: boxes beyond the edges, several passes, averaged landmarks
    lenient = Mtcnn(in_torch(networks), MtcnnOptions(thresholds=(0.4, 0.4, 0.4), most=40))
    assert len(lenient.detect(np.zeros((60, 90, 3), np.uint8))) > 0
    assert lenient.settings["thresholds"] == "0.4 0.4 0.4"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"min_face": 5}, "min_face must be at least 12 pixels, got 5"),
        ({"thresholds": (0.5, 0.5, 1.5)}, "thresholds must lie in 0 to 1"),
        ({"step": 1.0}, "step must lie in 0.3 to 1, got 1"),
    ],
)
def test_options_that_cannot_be_are_refused(options, words):
    with pytest.raises(FacesError, match=words):
        MtcnnOptions(**options)


@needs_weights
def test_the_installed_weights_fit():
    assert [len(read_arrays(name)) for name in ("pnet", "rnet", "onet")] == [13, 16, 21]
    assert Mtcnn(published()).settings["detector"] == "mtcnn"


@needs_weights
@needs_shared
def test_real_faces_are_found_where_they_are():
    listed = ListedLandmarks.read(SHARED / "lfw_protocol" / "lfw_landmark.txt")
    detector = Mtcnn(published())
    keys = sorted(path.relative_to(SHARED / "lfw_raw").as_posix() for path in (SHARED / "lfw_raw").glob("*/*.jpg"))[
        ::40
    ]
    distances = []
    for key in keys:
        faces = detector.detect(read_photo(SHARED / "lfw_raw" / key))
        assert faces, key
        known = listed.of(key)[0].landmarks
        near = min(np.linalg.norm(face.landmarks - known, axis=1).mean() for face in faces)
        distances.append(near / np.linalg.norm(known[1] - known[0]))
    assert np.mean(distances) < 0.05
    assert max(distances) < 0.12


@needs_weights
@needs_shared
@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_real_photo_on_its_side(quarters):
    photo = read_photo(sorted((SHARED / "lfw_raw").glob("*/*.jpg"))[0])
    upright = Mtcnn(published()).detect(photo)[0]
    lying = np.ascontiguousarray(np.rot90(photo, -quarters))
    (found, *_) = Turning(Mtcnn(published()), 0.99).detect(lying)
    assert found.turned == 90 * quarters
    back = np.ascontiguousarray(np.rot90(lying, quarters))
    np.testing.assert_array_equal(back, photo)
    assert found.score == pytest.approx(upright.score, abs=1e-6)
