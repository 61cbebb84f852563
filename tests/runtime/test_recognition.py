"""Photos to faces, and pairs of them to decisions."""

import json

import numpy as np
import pytest
from faces_drawn import face
from PIL import Image, ImageFilter
from small_bundles import SIDE, matrix, vectors_of, write_bundle

from angulus.errors import BundleError
from angulus.faces import DetectorChoice, align
from angulus.faces.detectors.detection import Face
from angulus.faces.templates import ARCFACE
from angulus.runtime import Bundle, Recognizer, point_of, verify
from angulus.runtime.pictures import compared
from angulus.runtime.quality import remarks_on, sharpness, turn

POINTS = ARCFACE.array()


def photo_of(person, number=0):
    """A photo of 150 pixels with a face of 112 in its middle."""
    page = np.full((150, 150, 3), 90, np.uint8)
    page[19:131, 19:131] = face(person, number, side=112)
    return page


@pytest.fixture
def folder(tmp_path):
    rows = ["source," + ",".join(f"{n}_{a}" for n in NAMES for a in "xy")]
    places = ",".join(f"{value + 19:g}" for value in POINTS.ravel())
    for name, person, number in (("a1", 1, 0), ("a2", 1, 1), ("b1", 2, 0)):
        Image.fromarray(photo_of(person, number)).save(tmp_path / f"{name}.png")
        rows.append(f"{name}.png,{places}")
    Image.fromarray(photo_of(3)).save(tmp_path / "nobody.png")
    (tmp_path / "broken.png").write_bytes(b"no image")
    (tmp_path / "landmarks.csv").write_text("\n".join(rows) + "\n")
    write_bundle(tmp_path / "bundle")
    return tmp_path


NAMES = ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")


def recognizer(folder, **options):
    detector = DetectorChoice(name="landmarks", file=folder / "landmarks.csv")
    return Recognizer(folder / "bundle", detector=detector, **options)


def look(folder, *names):
    return recognizer(folder).look_at([folder / name for name in names], names=names)


def test_a_face_is_cut_out_and_embedded_as_align_and_the_network_do(folder):
    (seen,) = look(folder, "a1.png")
    crop = align(photo_of(1), POINTS + 19, ARCFACE.scaled(SIDE))
    np.testing.assert_array_equal(seen.face.crop, crop)
    np.testing.assert_allclose(seen.face.vector, vectors_of(crop[None], matrix())[0], atol=1e-5)
    assert (seen.height, seen.width, seen.face.number, seen.face.found) == (150, 150, 1, 1)
    assert seen.face.reason == "the only face"


def test_photos_without_a_face_have_a_problem_and_harm_no_other(folder):
    nobody, broken, good = look(folder, "nobody.png", "broken.png", "a1.png")
    assert nobody.problem == "no face was found"
    assert "not an image of a known format" in broken.problem
    assert nobody.face is broken.face is None
    assert good.face is not None


@pytest.mark.parametrize(
    ("names", "decision"),
    [(("a1.png", "a1.png"), "same"), (("a1.png", "b1.png"), "different"), (("a1.png", "nobody.png"), "cannot tell")],
)
def test_the_three_answers(folder, names, decision):
    bundle = Bundle(folder / "bundle")
    verdict = verify(*look(folder, *names), point_of(bundle), bundle=bundle)
    assert verdict.decision == decision
    values = json.loads(json.dumps(verdict.to_dict()))
    assert values["threshold"] == 0.5
    assert values["far"] == {"estimate": 0.001, "low": 0.0004, "high": 0.002}
    if verdict.score is None:
        assert verdict.reason == "nobody.png: no face was found"
    else:
        assert (verdict.score > 0.5) == (decision == "same")
        assert verdict.llr == pytest.approx(20 * verdict.score - 8)


def test_scores_near_the_threshold_can_be_left_undecided(folder):
    bundle = Bundle(folder / "bundle")
    left, right = look(folder, "a1.png", "b1.png")
    score = float(left.face.vector @ right.face.vector)
    point = point_of(bundle, threshold=score)
    assert verify(left, right, point, bundle=bundle).decision == "different"
    undecided = verify(left, right, point, bundle=bundle, undecided=True)
    assert undecided.decision == "cannot tell"
    assert "other people's threshold" in undecided.reason


def test_operating_points(tmp_path):
    bundle = Bundle(write_bundle(tmp_path / "b"))
    deployed, wanted, by_hand = point_of(bundle), point_of(bundle, far=1e-3), point_of(bundle, threshold=0.45)
    assert (deployed.source, wanted.source, by_hand.source) == ("calibration", "wanted FAR", "chosen by hand")
    assert wanted.threshold == pytest.approx(0.4)
    assert wanted.far.estimate == pytest.approx(1e-3)
    assert by_hand.far.estimate == pytest.approx(1e-3)  # that of 0.4, the worse one
    with pytest.raises(BundleError, match="a wanted FAR or a threshold, not both"):
        point_of(bundle, far=0.1, threshold=0.1)
    bare = Bundle(write_bundle(tmp_path / "bare", calibrated=False))
    for options in ({}, {"far": 0.01}, {"threshold": 0.5}):
        with pytest.raises(BundleError, match="--images PEOPLE"):
            point_of(bare, **options)


def test_crops_are_taken_as_they_are_and_larger_ones_in_their_middle(tmp_path):
    one = Recognizer(write_bundle(tmp_path / "b"))
    crop = face(1, side=SIDE)
    (seen,) = one.take_crops([crop])
    np.testing.assert_allclose(seen.face.vector, vectors_of(crop[None], matrix())[0], atol=1e-5)
    wide = np.pad(crop, ((0, 0), (4, 4), (0, 0)))
    np.testing.assert_array_equal(one.take_crops([wide])[0].face.crop, crop)
    for wrong in (face(1, side=15), face(1, side=32), np.pad(crop, ((0, 0), (4, 5), (0, 0)))):
        with pytest.raises(BundleError, match="is no aligned crop: it must have 16x16 pixels"):
            one.take_crops([wrong], names=["x.png"])


def test_a_bundle_without_a_detector_says_so(tmp_path):
    with pytest.raises(BundleError, match=r"brings no detector.*--crops"):
        Recognizer(write_bundle(tmp_path / "b")).look(photo_of(1))


def test_photos_come_as_paths_bytes_and_pixels(folder):
    one = recognizer(folder)
    path = folder / "a1.png"
    for given in (path, str(path), path.read_bytes(), photo_of(1)):
        assert one.look(given, name="a1.png").face is not None
    assert "uint8" in one.look(photo_of(1).astype(np.float32), name="a1.png").problem


def sharp(person):
    """A crop with fine detail."""
    noise = np.random.default_rng(0).normal(scale=12, size=(112, 112, 1))
    return (face(person, side=112) * 0.7 + 40 + noise).clip(0, 255).astype(np.uint8)


def test_remarks_name_what_makes_a_face_less_sure():
    crop = sharp(1)
    good = Face(box=np.array([0.0, 0, 112, 112]), landmarks=POINTS, score=0.9)
    assert remarks_on(good, crop, 1.0) == ()
    (small,) = remarks_on(good, crop, 2.5)
    assert small == "the face is small (112 pixels): it was enlarged 2.5 times"
    blurred = np.asarray(Image.fromarray(crop).filter(ImageFilter.GaussianBlur(4)))
    assert any("blurred" in remark for remark in remarks_on(good, blurred, 1.0))
    for side, word in ((25.0, "right"), (-25.0, "left")):
        points = POINTS.copy()
        points[2, 0] += side
        turned = Face(box=good.box, landmarks=points, score=0.9)
        assert f"turned away, to the {word} of the picture" in remarks_on(turned, crop, 1.0)[0]
    assert "too dark" in remarks_on(good, (crop // 8).astype(np.uint8), 1.0)[-1]
    assert "too bright" in remarks_on(good, 255 - crop // 8, 1.0)[-1]


def test_sharpness_and_turn_do_not_depend_on_contrast_and_position():
    crop = sharp(1)
    assert sharpness(crop // 2) == pytest.approx(sharpness(crop), rel=0.2)
    assert abs(turn(POINTS)) < 0.1
    turned = POINTS.copy()
    turned[2] += [20, 0]
    rotation = np.array([[0.0, -1], [1, 0]])
    assert turn(turned @ rotation.T + 7) == pytest.approx(turn(turned))
    assert turn(np.zeros((5, 2))) == 0


def test_the_picture_shows_both_photos_and_the_crops(folder):
    seen = look(folder, "a1.png", "broken.png")
    page = compared(seen, [photo_of(1), None])
    assert page.width == 150 + 480 + 3 * 8
    green = np.asarray(page)[..., 1].astype(int) - np.asarray(page)[..., 0]
    assert (green > 120).sum() > 100  # the box
