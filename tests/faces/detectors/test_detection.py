"""Overlapping boxes, choosing among faces, turning a photo, and landmarks from files."""

import numpy as np
import pytest

from angulus.errors import FacesError
from angulus.faces import DetectorChoice, Face, ListedLandmarks, Turning, Yuface, YufaceOptions, choose
from angulus.faces.detectors.detection import keep_apart
from angulus.faces.detectors.landmark_lists import box_around
from angulus.faces.detectors.rotations import turned_back
from angulus.faces.templates import ARCFACE


def face(left, top, side, score=0.9, turned=0):
    box = np.array([left, top, left + side, top + side], dtype=np.float64)
    return Face(box=box, landmarks=ARCFACE.array() * side / 112 + box[:2], score=score, turned=turned)


def test_of_boxes_that_overlap_the_best_is_kept():
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [20, 20, 30, 30], [0, 0, 4, 4]], dtype=np.float64)
    scores = np.array([0.5, 0.9, 0.8, 0.7])
    assert keep_apart(boxes, scores, 0.5).tolist() == [1, 2, 3]
    assert keep_apart(boxes, scores, 0.5, of="smaller").tolist() == [1, 2]
    assert keep_apart(boxes, scores, 0.9).tolist() == [1, 2, 3, 0]
    assert keep_apart(np.empty((0, 4)), np.empty(0), 0.5).tolist() == []


def test_keeping_apart_agrees_with_a_loop_over_pairs():
    random = np.random.default_rng(3)
    corner = random.uniform(0, 60, (80, 2))
    boxes = np.concatenate([corner, corner + random.uniform(5, 30, (80, 2))], axis=1)
    scores = random.permutation(80) / 80.0

    def shared(a, b):
        side = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
        both = max(side[0], 0) * max(side[1], 0)
        return both / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - both)

    kept = []
    for row in np.argsort(-scores):
        if all(shared(boxes[row], boxes[other]) <= 0.4 for other in kept):
            kept.append(int(row))
    assert keep_apart(boxes, scores, 0.4).tolist() == kept


def test_the_choice_says_which_face_and_why():
    faces = [face(0, 0, 40, 0.99), face(90, 90, 30, 0.8), face(150, 10, 60, 0.7)]
    size = (200, 220)
    (largest,) = choose(faces, size, "largest")
    assert (largest.number, largest.found) == (3, 3)
    assert largest.reason == "largest: 60 pixels, the next 40 (3 faces)"
    (central,) = choose(faces, size, "central")
    assert central.number == 2
    assert central.reason.startswith("most central: 7 pixels from the middle")
    (prominent,) = choose(faces, size)  # 60 pixels but 106 from the middle, 30 pixels and 7
    assert prominent.number == 2
    (surest,) = choose(faces, size, "surest")
    assert surest.number == 1
    assert [one.number for one in choose(faces, size, "all")] == [1, 2, 3]
    assert choose(faces[:1], size)[0].reason == "the only face"
    assert choose([], size) == ()
    with pytest.raises(FacesError, match="prominent, largest, central, surest, all, got 'first'"):
        choose(faces, size, "first")


class Upright:
    """Finds the red pixel when the blue one lies below it; landmarks are both."""

    @property
    def settings(self):
        return {"detector": "upright"}

    def detect(self, photo):
        red, blue = (np.argwhere(photo[:, :, channel] == 255)[0] for channel in (0, 2))
        score = 0.99 if blue[0] > red[0] and blue[1] == red[1] else 0.3
        points = np.array([red[::-1], blue[::-1], red[::-1], blue[::-1], red[::-1]], dtype=np.float64)
        return (Face(box=np.array([*points[0], *points[1] + 1]), landmarks=points, score=score),)


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_a_photo_on_its_side_is_turned_until_the_face_is_upright(quarters):
    photo = np.zeros((30, 40, 3), dtype=np.uint8)
    photo[5, 12, 0] = photo[20, 12, 2] = 255
    lying = np.ascontiguousarray(np.rot90(photo, -quarters))
    (found,) = Turning(Upright(), 0.9).detect(lying)
    assert (found.turned, found.score) == (90 * quarters, 0.99)
    for point, channel in zip(found.landmarks[:2], (0, 2), strict=True):
        x, y = np.round(point).astype(int)
        assert lying[y, x, channel] == 255
    assert found.box[2] >= found.box[0]
    assert Turning(Upright(), 0.2).detect(lying)[0].turned == 0
    assert Turning(Upright(), 0.9).settings == {"detector": "upright", "turn_below": 0.9}


def test_four_quarters_are_none():
    one = face(3, 5, 20)
    back = turned_back(one, 4, (50, 60))
    np.testing.assert_array_equal(back.box, one.box)


def test_yuface_coordinates_come_back_to_the_photo():
    seen = []

    def find(picture, conf):
        seen.append((picture, conf))
        points = [[10, 20, 30, 20, 20, 30, 12, 40, 28, 40]]
        return np.array([92]), np.array([[4, 6, 30, 60]], dtype=np.int16), np.array(points, dtype=np.int16)

    photo = np.zeros((50, 80, 3), dtype=np.uint8)
    photo[:, :, 0] = 7
    (found,) = Yuface(YufaceOptions(enlarge=2, score=0.5), find=find).detect(photo)
    assert seen[0][0].shape == (100, 160, 3)
    assert seen[0][0][0, 0].tolist() == [0, 0, 7]  # blue, green, red
    assert found.box.tolist() == [2, 3, 17, 33]
    assert found.landmarks[0].tolist() == [4.75, 9.75]  # the middle of pixel (10, 20), at half the size
    assert (found.score, seen[0][1]) == (0.92, 0.5)
    with pytest.raises(FacesError, match="side must lie in 32 to 960"):
        YufaceOptions(side=2000)


def test_landmarks_are_read_from_lfw_lists_and_from_csv(tmp_path):
    numbers = "\t".join(str(10 * n) for n in range(10))
    (tmp_path / "lfw.txt").write_text(f"Ada/1.jpg\t{numbers}\nAda/1.jpg\t{numbers}\nBob/2.jpg\t{numbers}\n")
    listed = ListedLandmarks.read(tmp_path / "lfw.txt")
    assert len(listed.of("Ada/1.jpg")) == 2
    assert listed.of("Bob/2.jpg")[0].landmarks.tolist() == [[0, 10], [20, 30], [40, 50], [60, 70], [80, 90]]
    assert listed.of("nobody.jpg") == ()
    names = ",".join(
        f"{name}_{axis}" for name in ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth") for axis in "xy"
    )
    (tmp_path / "own.csv").write_text(f"score,source,{names}\n0.5,Ada/1.jpg,{numbers.replace(chr(9), ',')}\n")
    assert ListedLandmarks.read(tmp_path / "own.csv").of("Ada/1.jpg")[0].landmarks[4].tolist() == [80, 90]
    points = ARCFACE.array()
    box = box_around(points)
    assert (box[:2] < points.min(0)).all()
    assert (box[2:] > points.max(0)).all()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a.jpg\t1\t2\n", r"line 1 must be a path and ten finite numbers"),
        ("a.jpg,1,2,3,4,5,6,7,8,9,x\n", "line 1 must be"),
        ("a.jpg,1,2,3,4,5,6,7,8,9,nan\n", "line 1 must be"),
        ("", "lists no landmarks"),
    ],
)
def test_wrong_landmark_files_name_the_line(tmp_path, text, words):
    (tmp_path / "bad.csv").write_text(text)
    with pytest.raises(FacesError, match=words):
        ListedLandmarks.read(tmp_path / "bad.csv")
    with pytest.raises(FacesError, match="the file does not exist"):
        ListedLandmarks.read(tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": "opencv"}, "detector must be one of auto, mtcnn"),
        ({"name": "scrfd"}, "needs an ONNX file that you have: --file PATH"),
        ({"name": "landmarks"}, "needs a file of landmarks"),
        ({"score": 2.0}, "score must lie in 0 to 1, got 2"),
        ({"turn": -1.0}, "turn must lie in 0 to 1, got -1"),
    ],
)
def test_a_choice_that_cannot_be_is_refused(options, words):
    with pytest.raises(FacesError, match=words):
        DetectorChoice(**options)


def test_without_a_detector_the_sentence_says_what_to_install(monkeypatch):
    from angulus.faces.detectors import catalogue as detectors
    from angulus.faces.detectors import mtcnn_networks

    def missing(name):
        raise detectors.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(detectors.metadata, "version", missing)
    monkeypatch.setattr(mtcnn_networks.metadata, "files", missing)
    monkeypatch.setattr(detectors.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FacesError, match=r'no face detector is installed: pip install "angulus\[detect\]"'):
        DetectorChoice().open()
    with pytest.raises(FacesError, match="package mtcnn, which is not installed"):
        mtcnn_networks.weight_file("pnet")
