"""Networks for speech become bundles that take recordings of any length and give the model's vectors."""

import dataclasses
import json
import zipfile

import numpy as np
import pytest
import torch
from speech_exports import NETWORKS, drawn, speech_network

from angulus.errors import BundleError
from angulus.export import ExportOptions, export_model
from angulus.export.artefacts import SPEECH_MAKES
from angulus.export.deployed import speech_preparation
from angulus.export.proofs.recordings import drawn_recordings
from angulus.extract import embed
from angulus.faces import DetectorChoice
from angulus.runtime import Bundle, Embedder, Recognizer
from angulus.runtime.speech_preparation import SpeechPreparation

NEEDS = {"onnx": ("onnx", "onnxruntime"), "openvino": ("openvino",), "torch": ()}
ALL = [(kind, precision) for kind, precisions in SPEECH_MAKES.items() for precision in precisions]
CASES = [*(("tiny", *each) for each in ALL), *((name, "onnx", "float32") for name in NETWORKS if name != "tiny")]
CASES += [(name, "openvino", "float32") for name in ("features", "edges")]
FEW = (1, 2, 5, 40)
"""Lengths of the larger networks: five seconds of them take long."""


def exported(out, name="tiny", kind="onnx", precision="float32", *, images=None, **options):
    for needed in NEEDS.get(kind, ()):
        pytest.importorskip(needed)
    model, config = speech_network(name)
    return export_model(
        *(model, out, ExportOptions(to=kind, precision=precision, **options)), images=images, config=config
    )


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """Nothing is timed for long, and few recordings are drawn."""
    monkeypatch.setattr("angulus.export.parity.TIMED", (1,))
    monkeypatch.setattr("angulus.export.proofs.recordings.DRAWN", 2)


@pytest.mark.grid
@pytest.mark.parametrize(("name", "kind", "precision"), CASES)
def test_a_bundle_gives_the_vectors_of_the_model_at_every_length(tmp_path, monkeypatch, name, kind, precision) -> None:
    if name != "tiny":
        monkeypatch.setattr("angulus.export.proofs.recordings.FRAMES", FEW)
    done = exported(tmp_path / "b", name, kind, precision)
    model, _ = speech_network(name)
    allowed = 1e-5 if precision == "float32" else 1e-3
    assert done.parity["largest_distance"] <= allowed
    least = 5 if name == "speechbrain" else 1
    lengths = (1, 2, 5, 99, 500) if name == "tiny" else FEW
    wanted = {f"{frames} frames" for frames in lengths if frames >= least} | {"silence"}
    assert set(done.parity["at_lengths"]) == wanted
    embedder = Embedder(Bundle(tmp_path / "b"))
    for frames in (5, 30, 137):
        given = drawn_recordings(model.input, frames)
        with torch.inference_mode():
            found = torch.nn.functional.normalize(model.embeddings_of(torch.from_numpy(given))).numpy()
        for kinds in (given.dtype, np.float32):
            vectors = embedder.vectors(given.astype(kinds))
            assert (1 - (vectors * found).sum(1)).max() <= allowed


@pytest.mark.slow
def test_its_threshold_is_that_of_the_vectors_of_recordings(tmp_path) -> None:
    people = drawn(20, 3, seconds=(0.2, 0.4))
    done = exported(tmp_path / "b.zip", images=people, far=0.01)
    bundle = Bundle(tmp_path / "b.zip")
    assert bundle.threshold == done.threshold
    assert bundle.threshold is not None
    assert bundle.parity["people"] == 20
    assert bundle.parity["examples"] == "recordings"
    assert bundle.parity["distance"]["images"] == len(people)
    assert bundle.description.detector is None


def test_without_recordings_it_says_why_there_is_no_threshold(tmp_path) -> None:
    assert exported(tmp_path / "b", kind="torch").missing.startswith("no recordings were given")


REFUSED = {
    "core ml": (ExportOptions(to="coreml"), "onnx, openvino or torch, got coreml"),
    "half onnx": (ExportOptions(precision="float16"), "'float16': energies .* take float32, or to openvino"),
    "eight bits": (ExportOptions(to="openvino", precision="int8"), "must be float32 or float16, got 'int8'"),
    "beside": (ExportOptions(preprocessing="beside"), "must be inside: its filter bank"),
    "mirrored": (ExportOptions(mirror=True), "no mirror image; leave --mirror out"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_file_for_speech_cannot_be(tmp_path, name) -> None:
    options, said = REFUSED[name]
    with pytest.raises(BundleError, match=said):
        export_model(speech_network()[0], tmp_path / "b", options)
    assert not (tmp_path / "b").exists()


def test_what_a_bundle_for_speech_does_not_take(tmp_path) -> None:
    model, config = speech_network()
    with pytest.raises(BundleError, match="no detector of faces, got yuface"):
        export_model(model, tmp_path / "b", detector=DetectorChoice(name="yuface"))
    with pytest.raises(BundleError, match="quantize_on is for int8"):
        export_model(model, tmp_path / "b", quantize_on=drawn(2, 2))
    export_model(model, tmp_path / "b", ExportOptions(to="torch"), config=config)
    with pytest.raises(BundleError, match="takes recordings of speech, and this works with photos"):
        Recognizer(tmp_path / "b")
    embedder = Embedder(Bundle(tmp_path / "b"))
    with pytest.raises(BundleError, match="at least 200 samples, one frame, got 199"):
        embedder.vectors(np.zeros((1, 199), np.int16))
    with pytest.raises(BundleError, match=r"numbers \[n, samples\], got uint8 \[1, 8, 8, 3\]"):
        embedder.vectors(np.zeros((1, 8, 8, 3), np.uint8))


@pytest.mark.parametrize("name", ["tiny", "edges", "features"])
def test_the_runtime_knows_the_numbers_of_the_model(name) -> None:
    model, _ = speech_network(name)
    spec, told = model.speech_input(), speech_preparation(model)
    assert SpeechPreparation.from_dict(json.loads(json.dumps(told.to_dict())), "here") == told
    np.testing.assert_array_equal(told.formula(3), spec.vectors(3).numpy())
    assert [told.length_of(frames) for frames in (1, 2, 77)] == [spec.length_of(frames) for frames in (1, 2, 77)]


BAD = {
    "content": "pictures",
    "window": "round",
    "rate": 0,
    "bands": 10_000,
    "hop_ms": 0.0,
    "scale": 0.0,
    "offset": float("nan"),
    "frames": 100_000,
}


@pytest.mark.parametrize("key", BAD)
def test_numbers_of_a_stranger_are_refused(key) -> None:
    told = speech_preparation(speech_network()[0])
    larger = {"window_ms": 5000.0, "hop_ms": 5000.0} if key == "frames" else {}
    with pytest.raises(BundleError, match=f"preprocessing{'' if key in ('scale', 'offset') else f'.{key}'} must"):
        dataclasses.replace(told, **{**larger, key: BAD[key]})


def test_a_changed_filter_bank_is_refused(tmp_path) -> None:
    exported(tmp_path / "b.zip", kind="torch")
    with zipfile.ZipFile(tmp_path / "b.zip") as file:
        contents = {name: file.read(name) for name in file.namelist()}
    contents["bundle.json"] = contents["bundle.json"].replace(b'"hop_ms": 10.0', b'"hop_ms": 11.0')
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as file:
        for name, content in contents.items():
            file.writestr(name, content)
    with pytest.raises(BundleError, match="has been changed"):
        Bundle(tmp_path / "c.zip")


def test_windows_of_long_recordings_are_averaged_as_the_model_does(tmp_path) -> None:
    from angulus.cli.inputs.bundled_models import bundled_model

    exported(tmp_path / "b")
    model, _ = speech_network()
    recordings = [drawn(1, 1, seconds=(seconds, seconds)).read(0) for seconds in (0.3, 1.0, 3.5)]
    wanted = embed(model, recordings, window=1.0)
    found = embed(bundled_model(tmp_path / "b", 1), recordings, window=1.0)
    np.testing.assert_allclose(found.embeddings, wanted.embeddings, rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(found.columns["seconds"], wanted.columns["seconds"])
