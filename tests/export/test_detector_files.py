"""A bundle brings its detector: MTCNN in ONNX finds what it finds in torch, other files are copied, names kept."""

from importlib import util

import numpy as np
import pytest
import torch
from export_sets import network
from real_data import SHARED

from angulus.errors import BundleError, FacesError
from angulus.export import ExportOptions, export_model
from angulus.export import detector_files as module
from angulus.export.detector_files import detector_files
from angulus.faces import DetectorChoice
from angulus.faces.detectors.mtcnn_networks import (
    output_network,
    proposal_network,
    refinement_network,
    weight_file,
)
from angulus.faces.photos import read_photo
from angulus.runtime import Bundle
from angulus.runtime.detection import open_detector
from angulus.runtime.networks import open_onnx


@pytest.fixture
def runtimes():
    for package in ("onnx", "onnxruntime"):
        pytest.importorskip(package)


def test_mtcnn_finds_the_same_faces_without_torch(runtimes, tmp_path):
    if not all(util.find_spec(package) for package in ("joblib", "lz4")):
        pytest.skip('the MTCNN weights are not here: pip install "angulus[detect]"')
    try:
        weight_file("pnet")
    except FacesError:
        pytest.skip('the MTCNN weights are not here: pip install "angulus[detect]"')
    if not SHARED.exists():
        pytest.skip("the photos are not here")
    choice = DetectorChoice(name="mtcnn", min_face=30)
    export_model(network()[0], tmp_path / "b", ExportOptions(), detector=choice)
    bundle = Bundle(tmp_path / "b")
    assert set(bundle.description.detector.files) == {"pnet", "rnet", "onet"}
    photo = read_photo(next(iter(sorted((SHARED / "lfw_raw").rglob("*.jpg")))))
    ours, theirs = open_detector(bundle).detect(photo), choice.open().detect(photo)
    assert len(ours) == len(theirs) > 0
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one.landmarks, other.landmarks, atol=0.1)
        assert one.score == pytest.approx(other.score, abs=1e-4)


@pytest.fixture
def made_up_networks(monkeypatch):
    """MTCNN with random weights in the place of the published ones."""
    torch.manual_seed(0)
    makers = {"pnet": proposal_network, "rnet": refinement_network, "onet": output_network}
    networks = {name: make().eval().requires_grad_(False) for name, make in makers.items()}
    monkeypatch.setattr(module, "load_networks", lambda: networks)
    monkeypatch.setattr(module, "installed", lambda: "mtcnn")
    return networks


def test_mtcnns_networks_take_any_size(runtimes, made_up_networks):
    found = detector_files(DetectorChoice(name="mtcnn"))
    assert sorted(found.files) == ["detector/onet.onnx", "detector/pnet.onnx", "detector/rnet.onnx"]
    pnet = open_onnx(found.files["detector/pnet.onnx"], "onnxruntime", 1)
    for height, width in ((12, 12), (13, 50), (200, 75)):
        images = np.random.default_rng(0).normal(size=(1, 3, height, width)).astype(np.float32)
        for ours, theirs in zip(pnet(images), made_up_networks["pnet"](torch.from_numpy(images)), strict=True):
            np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-4)


def test_a_network_that_gives_other_numbers_is_not_brought(runtimes, made_up_networks, monkeypatch):
    class Drifting(torch.nn.Module):
        calls = 0

        def forward(self, images):
            Drifting.calls += 1
            return [images.mean((1, 2, 3)) + Drifting.calls]

    made_up_networks["rnet"] = Drifting()
    with pytest.raises(BundleError, match="rnet gives other numbers"):
        detector_files(DetectorChoice(name="mtcnn"))


def test_nothing_is_brought_where_nothing_is_asked_for():
    assert detector_files(None).described is None


def test_auto_without_any_detector(monkeypatch):
    def none():
        raise FacesError("no face detector is installed")

    monkeypatch.setattr(module, "installed", none)
    assert detector_files(DetectorChoice()).described is None


def test_yuface_is_a_name_alone():
    found = detector_files(DetectorChoice(name="yuface", score=0.7))
    assert found.described.name == "yuface"
    assert found.described.score == 0.7
    assert found.files == {}


def test_a_list_of_landmarks_is_no_detector(tmp_path):
    with pytest.raises(BundleError, match="landmarks"):
        detector_files(DetectorChoice(name="landmarks", file=tmp_path / "list.csv"))


def test_a_file_that_is_no_network(tmp_path):
    pytest.importorskip("onnxruntime")
    with pytest.raises(BundleError, match="cannot be read"):
        detector_files(DetectorChoice(name="scrfd", file=tmp_path / "absent.onnx"))
    (tmp_path / "det.onnx").write_bytes(b"no network")
    with pytest.raises(BundleError, match="cannot open"):
        detector_files(DetectorChoice(name="scrfd", file=tmp_path / "det.onnx"))
