"""Bundles: read from folders and .zip files, changed ones refused, thresholds of other artefacts refused."""

import json
import zipfile

import numpy as np
import pytest
from small_bundles import as_json, curves, digest, threshold, write_bundle

from angulus.errors import BundleError
from angulus.runtime import Bundle
from angulus.runtime.curves import Curves
from angulus.runtime.thresholds import Threshold


@pytest.mark.parametrize("name", ["bundle", "bundle.zip"])
def test_a_bundle_is_read_as_it_was_written(tmp_path, name):
    bundle = Bundle(write_bundle(tmp_path / name))
    assert bundle.artefact.kind == "onnx"
    assert bundle.calibrated() == threshold(bundle.artefact.name)
    assert bundle.curves.to_dict() == curves(bundle.artefact.name).to_dict()
    assert bundle.parity is None
    assert bundle.description.model == {"source": "a test"}


def test_the_name_depends_on_the_weights_and_the_preprocessing(tmp_path):
    names = {
        Bundle(write_bundle(tmp_path / str(number), **options)).artefact.name
        for number, options in enumerate([{}, {"seed": 1}, {"inside": False}, {"precision": "float16"}])
    }
    assert len(names) == 4
    assert Bundle(write_bundle(tmp_path / "again")).artefact.name in names


def changed(path, name, change):
    """A file of the bundle with another content, its digest in bundle.json put right."""
    content = as_json(change(json.loads((path / name).read_bytes())))
    (path / name).write_bytes(content)
    if name != "bundle.json":
        description = json.loads((path / "bundle.json").read_bytes())
        description["files"][name] = digest(content)
        (path / "bundle.json").write_bytes(as_json(description))


@pytest.mark.parametrize("name", ["threshold.json", "calibration.json"])
def test_what_was_measured_with_another_artefact_is_refused(tmp_path, name):
    path = write_bundle(tmp_path / "bundle")
    changed(path, name, lambda values: values | {"artefact": "0" * 64})
    with pytest.raises(BundleError, match=f"{name} was measured with another artefact .000000000000, this is"):
        Bundle(path)


def without(values, name):
    return {key: value for key, value in values.items() if key != name}


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("bundle.json", lambda v: v | {"format": 2}, "has format 2, this version reads format 1: update Angulus"),
        ("bundle.json", lambda v: without(v, "artefact"), "has no artefact"),
        ("bundle.json", lambda v: [], "must be an object with names and values, got list"),
        ("bundle.json", lambda v: v | {"artefact": v["artefact"] | {"mirror": True}}, "has been changed: the artefact"),
        ("bundle.json", lambda v: v | {"artefact": v["artefact"] | {"dim": 10**9}}, "dim must be 1 to 65,536"),
        ("bundle.json", lambda v: v | {"files": {}}, "files and artefact.files differ in model.onnx"),
        ("bundle.json", lambda v: v | {"artefact": v["artefact"] | {"kind": "exe"}}, "kind must be one of onnx"),
        ("threshold.json", lambda v: v | {"value": "high"}, "value must be a finite number, got 'high'"),
        ("threshold.json", lambda v: v | {"far": {"estimate": 2, "low": 0, "high": 1}}, "both in 0 to 1, got 2"),
        ("threshold.json", lambda v: v | {"value": True}, "value must be a finite number, got True"),
        ("calibration.json", lambda v: v | {"thresholds": v["thresholds"][::-1]}, "at least two numbers that rise"),
        ("calibration.json", lambda v: v | {"far": {"estimate": [0], "low": [0], "high": [0]}}, "must have 7 numbers"),
        (
            "threshold.json",
            lambda v: v | {"value": -50},
            "a threshold must lie within its interval, and both in -1 to 1",
        ),
        ("threshold.json", lambda v: v | {"level": -3}, "target_far and level must lie in 0 to 1"),
        ("threshold.json", lambda v: v | {"value": 10**400}, "a whole number beyond all bounds"),
        ("threshold.json", lambda v: v | {"note": "\ud800"}, "note must be a text"),
        ("threshold.json", lambda v: v | {"far": {"estimate": 0.9, "low": 0, "high": 0.1}}, "within its interval"),
        ("calibration.json", lambda v: v | {"far": v["far"] | {"low": [1.0] * 7}}, "each within its interval"),
        ("bundle.json", lambda v: v | {"made": "\udc00"}, "made must be a text"),
        ("calibration.json", lambda v: v | {"searches": [{}]}, "searches has no thresholds"),
        ("calibration.json", lambda v: v | {"searches": 5}, "searches must be a list"),
        ("calibration.json", lambda v: v | {"people": -1}, "people must be a whole number, got -1"),
    ],
)
def test_what_is_no_bundle_is_refused_with_a_sentence(tmp_path, name, change, words):
    path = write_bundle(tmp_path / "bundle")
    changed(path, name, change)
    with pytest.raises(BundleError, match=words):
        Bundle(path)


def test_a_file_that_was_changed_is_refused_when_it_is_read(tmp_path):
    path = write_bundle(tmp_path / "bundle")
    bundle = Bundle(path)
    (path / "model.onnx").write_bytes(b"another")
    with pytest.raises(BundleError, match=r"model.onnx is damaged or was changed"):
        bundle.read("model.onnx")
    (path / "threshold.json").write_bytes(b"{")
    with pytest.raises(BundleError, match=r"threshold.json is damaged or was changed"):
        Bundle(path)
    with pytest.raises(BundleError, match=r"has no other.bin"):
        bundle.read("other.bin")


def test_what_is_not_there_and_what_is_no_bundle(tmp_path):
    with pytest.raises(BundleError, match=r"there is no bundle at .*angulus export MODEL"):
        Bundle(tmp_path / "nothing")
    with pytest.raises(BundleError, match=r"has no bundle.json"):
        Bundle(tmp_path)
    (tmp_path / "text.zip").write_text("hello")
    with pytest.raises(BundleError, match=r"neither a folder nor a readable .zip file"):
        Bundle(tmp_path / "text.zip")
    with zipfile.ZipFile(tmp_path / "empty.zip", "w") as file:
        file.writestr("inner/bundle.json", "{}")
    with pytest.raises(BundleError, match=r"no bundle.json at its top"):
        Bundle(tmp_path / "empty.zip")
    (tmp_path / "bundle.json").write_text("{" * 100_000)
    with pytest.raises(BundleError, match=r"not readable JSON"):
        Bundle(tmp_path)


def test_nothing_outside_of_a_bundle_is_read(tmp_path):
    (tmp_path / "secret").write_text("secret")
    path = write_bundle(tmp_path / "bundle")
    (path / "link.onnx").symlink_to(tmp_path / "secret")
    plain = "a plain name within it"
    names = {"../secret": plain, "link.onnx": "leads out of the bundle", "x" * 5000: plain, "/etc/passwd": plain}
    for name, words in names.items():

        def pointed(values, name=name):
            values["files"] |= {name: digest(b"secret")}
            return values

        changed(path, "bundle.json", pointed)
        bundle = Bundle(path)
        with pytest.raises(BundleError, match=words):
            bundle.read(name)


def test_a_zip_that_says_less_than_it_holds_takes_no_more_memory(tmp_path):
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("bundle.json", b" " * 2**25)
    with pytest.raises(BundleError, match=r"must have at most 16,777,216 bytes, got 33,554,432"):
        Bundle(path)


def test_a_bundle_without_a_threshold_says_how_to_get_one(tmp_path):
    bundle = Bundle(write_bundle(tmp_path / "bundle", calibrated=False))
    assert bundle.threshold is None
    assert bundle.curves is None
    with pytest.raises(BundleError, match=r"has no threshold: it was exported without labelled.*--images PEOPLE"):
        bundle.calibrated()


def test_thresholds_and_curves_survive_their_json():
    one = threshold("a" * 64)
    assert Threshold.from_dict(json.loads(json.dumps(one.to_dict()))) == one
    both = curves("a" * 64)
    again = Curves.from_dict(json.loads(json.dumps(both.to_dict())))
    assert again.to_dict() == both.to_dict()
    np.testing.assert_array_equal(again.far.values, both.far.values)
