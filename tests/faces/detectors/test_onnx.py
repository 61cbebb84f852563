"""Decoding heads on hand-made outputs: a face is written into the layout of each network and must come back.

No real file of the three networks is at hand; the layouts are those of their published exports.
"""

from types import SimpleNamespace

import numpy as np
import pytest

from angulus.errors import FacesError
from angulus.faces import OnnxDetector, OnnxOptions
from angulus.faces.detectors.anchors import STRIDES, decode_retinaface, decode_scrfd, decode_yunet, retinaface_priors
from angulus.faces.detectors.onnx import blob, fitted
from angulus.faces.templates import ARCFACE

SIDE = 96
BOX = np.array([20.0, 24, 60, 72])
POINTS = ARCFACE.array() * 0.4 + [18, 20]
STRIDE, COLUMN, ROW = 16, 2, 3  # the cell that answers


def empty(widths, repeated=1):
    shapes = [((SIDE // stride) ** 2 * repeated, wide) for wide in widths for stride in STRIDES]
    return [np.zeros(shape, dtype=np.float32) for shape in shapes]


def scrfd():
    outputs = empty((1, 4, 10), repeated=2)
    level, cell = STRIDES.index(STRIDE), ROW * (SIDE // STRIDE) + COLUMN
    centre, place = np.array([COLUMN, ROW]) * STRIDE, 2 * cell + 1
    outputs[level][place] = 0.9
    outputs[3 + level][place] = np.concatenate([centre - BOX[:2], BOX[2:] - centre]) / STRIDE
    outputs[6 + level][place] = ((POINTS - centre) / STRIDE).ravel()
    return outputs


def retinaface():
    centres, sides = retinaface_priors(SIDE, SIDE)
    boxes, kinds, points = (np.zeros((1, len(centres), wide), dtype=np.float32) for wide in (4, 2, 10))
    kinds[..., 0] = 1
    wanted = (np.array([COLUMN, ROW]) + 0.5) * STRIDE
    place = np.flatnonzero((centres == wanted).all(1) & (sides[:, 0] == 64))[0]
    middle, size = (BOX[:2] + BOX[2:]) / 2, BOX[2:] - BOX[:2]
    boxes[0, place] = np.concatenate([(middle - wanted) / 64 / 0.1, np.log(size / 64) / 0.2])
    kinds[0, place] = [0.1, 0.9]
    points[0, place] = ((POINTS - wanted) / 64 / 0.1).ravel()
    return [boxes, kinds, points]


def yunet():
    outputs = [part[None] for part in empty((1, 1, 4, 10))]
    level, cell = STRIDES.index(STRIDE), ROW * (SIDE // STRIDE) + COLUMN
    middle, size = (BOX[:2] + BOX[2:]) / 2, BOX[2:] - BOX[:2]
    outputs[level][0, cell], outputs[3 + level][0, cell] = 0.9, 0.9
    outputs[6 + level][0, cell] = np.concatenate([middle / STRIDE - [COLUMN, ROW], np.log(size / STRIDE)])
    outputs[9 + level][0, cell] = (POINTS / STRIDE - [COLUMN, ROW]).ravel()
    return outputs


OUTPUTS = {"scrfd": scrfd, "retinaface": retinaface, "yunet": yunet}
DECODE = {"scrfd": decode_scrfd, "retinaface": decode_retinaface, "yunet": decode_yunet}


@pytest.mark.parametrize("kind", list(OUTPUTS))
def test_a_face_written_into_the_outputs_comes_back(kind):
    found = DECODE[kind](OUTPUTS[kind](), SIDE, SIDE)
    (place,) = np.flatnonzero(found.scores > 0.5)
    np.testing.assert_allclose(found.boxes[place], BOX, atol=1e-4)
    np.testing.assert_allclose(found.landmarks[place], POINTS, atol=1e-4)
    assert found.scores[place] == pytest.approx(0.9)


class Session:
    def __init__(self, outputs, shape):
        self.outputs, self.shape, self.fed = outputs, shape, None

    def get_inputs(self):
        return [SimpleNamespace(name="input.1", shape=self.shape)]

    def run(self, names, feed):
        self.fed = feed["input.1"]
        return self.outputs


@pytest.mark.parametrize("kind", list(OUTPUTS))
@pytest.mark.parametrize("shape", [[1, 3, SIDE, SIDE], ["batch", 3, "?", "?"]])
def test_coordinates_come_back_to_the_photo(kind, shape):
    session = Session(OUTPUTS[kind](), shape)
    detector = OnnxDetector("det.onnx", OnnxOptions(kind=kind, side=SIDE), session=session)
    photo = np.full((150, 192, 3), 50, dtype=np.uint8)
    (found,) = detector.detect(photo)  # shrunk by two
    np.testing.assert_allclose(found.box, 2 * BOX, atol=1e-3)
    np.testing.assert_allclose(found.landmarks, 2 * POINTS - 0.5, atol=1e-3)
    assert session.fed.shape == (1, 3, SIDE, SIDE)
    assert detector.settings["file"] == "det.onnx"


def test_pixels_are_what_each_network_wants():
    picture = np.zeros((2, 2, 3), dtype=np.uint8)
    picture[:] = [255, 100, 0]
    assert blob(picture, "scrfd")[0, :, 0, 0].tolist() == pytest.approx([127.5 / 128, -27.5 / 128, -127.5 / 128])
    assert blob(picture, "retinaface")[0, :, 0, 0].tolist() == [-104, -17, 132]
    assert blob(picture, "yunet")[0, :, 0, 0].tolist() == [0, 100, 255]


def test_a_small_photo_is_enlarged_by_no_more_than_two():
    page, ratio = fitted(np.full((10, 20, 3), 9, dtype=np.uint8), 96, 96)
    assert ratio.tolist() == [0.5, 0.5]
    assert (page[:20, :40] == 9).all()
    assert page[20:].max() == 0


@pytest.mark.parametrize(
    ("decode", "outputs", "words"),
    [
        (decode_scrfd, scrfd()[:6], "9 outputs, got 6"),
        (decode_retinaface, retinaface()[:2], "outputs \\[1, n, 4\\]"),
        (decode_yunet, yunet()[:9], "12 outputs, got 9"),
    ],
)
def test_other_layouts_are_refused(decode, outputs, words):
    with pytest.raises(FacesError, match=words):
        decode(outputs, SIDE, SIDE)


def test_outputs_of_another_size_are_refused():
    for kind, make in OUTPUTS.items():
        with pytest.raises(FacesError, match="another layout"):
            DECODE[kind](make(), 2 * SIDE, SIDE - 32)


def test_options_and_files_that_cannot_be(tmp_path):
    with pytest.raises(FacesError, match="side must be a multiple of 32"):
        OnnxOptions(kind="scrfd", side=100)
    with pytest.raises(FacesError, match="kind must be one of scrfd"):
        OnnxOptions(kind="ssd")
    with pytest.raises(FacesError, match="there is no ONNX file"):
        OnnxDetector(tmp_path / "none.onnx", OnnxOptions(kind="scrfd"))
