"""Vectors through a bundle: what they are, and that another network is not taken for the exported one."""

import threading

import numpy as np
import pytest
import torch
from small_bundles import DIM, SIDE, matrix, network, vectors_of, write_bundle

from angulus.errors import BundleError
from angulus.models import InputSpec
from angulus.runtime import Bundle, Embedder
from angulus.runtime.networks import runtime_for
from angulus.runtime.preparation import Preprocessing, formula_crops


def crops(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, SIDE, SIDE, 3)).astype(np.uint8)


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("count", [0, 1, 2, 33])
def test_vectors_are_those_of_the_network_and_of_length_one(tmp_path, inside, runtime, count):
    pytest.importorskip(runtime)
    embedder = Embedder(Bundle(write_bundle(tmp_path / "b", inside=inside)), runtime=runtime)
    found = embedder.vectors(crops(count))
    assert (found.dtype, found.shape) == (np.float32, (count, DIM))
    np.testing.assert_allclose(found, vectors_of(crops(count), matrix()), atol=1e-5)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_several_threads_get_their_own_vectors(tmp_path, runtime):
    pytest.importorskip(runtime)
    embedder = Embedder(Bundle(write_bundle(tmp_path / "b")), runtime=runtime)
    wrong = []

    def work(seed):
        for _ in range(20):
            given = crops(5, seed)
            if not np.allclose(embedder.vectors(given), vectors_of(given, matrix()), atol=1e-5):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"content": network(matrix(1))}, "gives other vectors here than where it was exported .cosine distance"),
        ({"content": network(matrix(0, 9))}, "the network gave .2, 9. for 2 examples, bundle.json says dim 8"),
        ({"content": network(0 * matrix())}, "without a direction"),
        ({"content": b"nothing"}, "onnxruntime cannot open the network"),
        ({"vector": np.zeros((0, DIM))}, "must have 1 to 8 vectors"),
        ({"vector": np.ones((9, DIM))}, "must have 1 to 8 vectors"),
        ({"files": {"vector.json": b'{"vectors": [[1.0], [1.0, 2.0]]}'}.items()}, "must have vectors of one length"),
        ({"vector": np.ones((2, 3))}, r"must be \[2, 8\], got \[2, 3\]"),
    ],
)
def test_another_network_is_refused(tmp_path, options, words):
    bundle = Bundle(write_bundle(tmp_path / "b", **options))
    with pytest.raises(BundleError, match=words):
        Embedder(bundle, runtime="onnxruntime")


@pytest.mark.parametrize("given", [np.zeros((2, 8, 16, 3), np.uint8), np.zeros((2, 16, 16, 3), np.float32)])
def test_crops_of_another_form_are_refused(tmp_path, given):
    with pytest.raises(BundleError, match=r"crops must be uint8 \[n, 16, 16, 3\], got"):
        Embedder(Bundle(write_bundle(tmp_path / "b"))).vectors(given)


@pytest.mark.parametrize(
    ("kind", "wanted", "words"),
    [
        ("coreml", "auto", "opened on its own system only"),
        ("onnx", "torch", "torch cannot open onnx files; onnxruntime or openvino can"),
    ],
)
def test_a_runtime_that_cannot_open_the_file_is_refused(kind, wanted, words):
    with pytest.raises(BundleError, match=words):
        runtime_for(kind, wanted)


def test_a_missing_runtime_is_named_with_its_install(monkeypatch):
    monkeypatch.setattr("angulus.runtime.networks.util.find_spec", lambda name: None)
    with pytest.raises(BundleError, match=r'needs onnxruntime: pip install "angulus\[runtime\]"'):
        runtime_for("onnx")


@pytest.mark.parametrize("colour", ["rgb", "bgr", "grey"])
@pytest.mark.parametrize(("mean", "std"), [(127.5, 128.0), (91.5, 60.0)])
def test_preprocessing_is_the_same_to_the_bit_as_the_one_in_torch(colour, mean, std):
    channels = 1 if colour == "grey" else 3
    means, stds = ((value,) * channels for value in (mean, std))
    ours = Preprocessing(
        **{"height": 12, "width": 10, "colour": colour, "mean": means, "std": stds},
        **{"template": "arcface", "inside": False},
    )
    spec = InputSpec(height=12, width=10, colour=colour, mean=means, std=stds)
    given = np.random.default_rng(0).integers(0, 256, (3, 12, 10, 3)).astype(np.uint8)
    wanted = spec.prepare(torch.from_numpy(given).permute(0, 3, 1, 2))
    np.testing.assert_array_equal(ours.prepare(given), wanted.numpy())
    assert Preprocessing.from_dict(ours.to_dict(), "here") == ours


def test_the_formula_is_the_one_of_stored_models():
    wanted = InputSpec(height=9, width=7).vectors(3).permute(0, 2, 3, 1).numpy()
    np.testing.assert_array_equal(formula_crops(9, 7, 3), wanted)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"height": 5000}, "height must be 1 to 1024 pixels, got 5000"),
        ({"colour": "cmyk"}, "colour must be one of rgb, bgr, grey"),
        ({"mean": [1.0]}, "mean must be 3 finite numbers"),
        ({"std": [1.0, 0.0, 1.0]}, "std must be above 0"),
        ({"template": "dog"}, "template must be one of arcface, sphereface"),
        ({"inside": 1}, "inside must be true or false, got 1"),
    ],
)
def test_preprocessing_that_cannot_be_is_refused(change, words):
    good = {"height": 9, "width": 9, "colour": "rgb", "mean": [1.0] * 3, "std": [1.0] * 3}
    with pytest.raises(BundleError, match=words):
        Preprocessing.from_dict({**good, "template": "arcface", "inside": True, **change}, "bundle.json")
