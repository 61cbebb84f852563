"""Every kind of file at every precision becomes a bundle that opens and gives the model's vectors."""

import numpy as np
import pytest
import torch
from export_sets import SPECS, crops, mobile, network, people

from angulus.errors import BundleError
from angulus.export import ExportOptions, export_model
from angulus.export.artefacts import MAKES
from angulus.runtime import Bundle, Embedder

NEEDS = {"onnx": ("onnx", "onnxruntime"), "openvino": ("openvino",), "torch": (), "coreml": ("coremltools",)}
ALL = [(kind, precision) for kind, precisions in MAKES.items() for precision in precisions]
ALLOWED = {"float32": 1e-5, "float16": 1e-3, "int8": 0.05}


def exported(out, kind="onnx", precision="float32", *, make=network, colour="rgb", images=None, note="", **options):
    for needed in (*NEEDS[kind], *(("nncf",) if precision == "int8" else ())):
        pytest.importorskip(needed)
    model, config = make(colour)
    others = people(12, 4, spec=model.input, first=500, name="other") if precision == "int8" else None
    settings = ExportOptions(to=kind, precision=precision, **options)
    how = {"images": images, "quantize_on": others, "config": config, "note": note}
    return export_model(*(model, out, settings), detector=None, **how)


def vectors_of(model, pixels, mirror=False):
    images = model.input.prepare(torch.from_numpy(pixels).permute(0, 3, 1, 2))
    with torch.inference_mode():
        found = model(images) + (model(images.flip(-1)) if mirror else 0)
    return torch.nn.functional.normalize(found).numpy()


TRIED = [
    pytest.param(*pair, marks=pytest.mark.slow) if pair == ("openvino", "int8") else pair
    for pair in ALL
    if pair[0] != "coreml"
]


@pytest.mark.parametrize(("kind", "precision"), TRIED)
def test_a_bundle_gives_the_vectors_of_the_model(tmp_path, kind, precision):
    make = mobile if (kind, precision) == ("onnx", "float32") else network
    given = people() if (kind, precision) in (("onnx", "float32"), ("openvino", "int8")) else None
    allowed = 0.2 if precision == "int8" else ALLOWED[precision]  # random weights bear 8 bits badly
    done = exported(tmp_path / "b", kind, precision, make=make, images=given, tolerance=allowed, note="be careful")
    model, _ = make()
    pixels = people(9, 2, spec=model.input, first=900)
    images = np.stack([pixels.read(place) for place in range(len(pixels))])
    bundle = Bundle(tmp_path / "b")
    assert bundle.artefact.kind == kind
    embedder = Embedder(bundle)
    for count in (1, 2, 7, 18):
        found = embedder.vectors(images[:count], batch=64)
        distances = 1 - (found * vectors_of(model, images[:count])).sum(1)
        assert distances.max() <= allowed
    if given is not None:
        assert bundle.threshold.note.startswith("be careful")
        assert bundle.threshold.artefact == bundle.curves.artefact == bundle.artefact.name
    assert bundle.parity["artefact"] == bundle.artefact.name
    assert done.threshold == bundle.threshold
    assert bundle.parity == done.parity


WAYS = [
    *(("onnx", colour, how, mirror) for colour in SPECS for how in ("inside", "beside") for mirror in (False, True)),
    *((kind, *way) for kind in ("openvino", "torch") for way in (("grey", "inside", True), ("bgr", "beside", False))),
]


@pytest.mark.grid
@pytest.mark.parametrize(("kind", "colour", "preprocessing", "mirror"), WAYS)
def test_every_way_of_preparing(tmp_path, kind, colour, preprocessing, mirror):
    out = tmp_path / "b"
    exported(out, kind, colour=colour, preprocessing=preprocessing, mirror=mirror)
    model, _ = network(colour)
    pixels = crops(5, model.input)
    found = Embedder(Bundle(out)).vectors(pixels)
    np.testing.assert_allclose(found, vectors_of(model, pixels, mirror), atol=1e-5)


@pytest.mark.parametrize("precision", MAKES["coreml"])
def test_core_ml_is_written_and_says_that_it_was_not_run(tmp_path, precision):
    done = exported(tmp_path / "b", "coreml", precision)
    bundle = Bundle(tmp_path / "b")
    assert next(iter(bundle.artefact.files)) == "model.mlpackage/Manifest.json"
    assert bundle.threshold is None
    assert "nothing here runs" in done.missing
    assert "not_run" in bundle.parity
    with pytest.raises(BundleError, match="own system"):
        Embedder(bundle)


def test_a_zip_is_the_same_bundle(tmp_path):
    exported(tmp_path / "b")
    exported(tmp_path / "b.zip")
    folder, packed = Bundle(tmp_path / "b"), Bundle(tmp_path / "b.zip")
    assert folder.artefact.name == packed.artefact.name
    assert list(folder.description.files) == list(packed.description.files)
    pixels = crops(3)
    np.testing.assert_array_equal(Embedder(folder).vectors(pixels), Embedder(packed).vectors(pixels))


def test_the_runtimes_agree_on_an_onnx_file(tmp_path):
    pytest.importorskip("openvino")
    exported(tmp_path / "b")
    bundle, pixels = Bundle(tmp_path / "b"), crops(4)
    ours, theirs = (Embedder(bundle, runtime=name).vectors(pixels) for name in ("onnxruntime", "openvino"))
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "precision"), [("onnx", "float32"), ("onnx", "float16"), ("openvino", "float32")])
def test_the_same_model_makes_the_same_bytes(tmp_path, kind, precision):
    for name in ("a", "b"):
        exported(tmp_path / name, kind, precision)
    assert Bundle(tmp_path / "a").artefact.name == Bundle(tmp_path / "b").artefact.name


def test_int8_says_on_whom_it_was_made(tmp_path):
    exported(tmp_path / "b", "openvino", "int8", tolerance=0.5)
    assert Bundle(tmp_path / "b").description.model["quantised_on"] == {"images": 48, "people": 12}


def test_of_one_person_there_is_no_threshold_and_a_reason(tmp_path):
    done = exported(tmp_path / "b", images=people(1, 20))
    assert done.threshold is None
    assert "one person is too few" in done.missing
    assert Bundle(tmp_path / "b").curves is None


def test_few_people_are_told(tmp_path):
    assert "9 people are too few" in exported(tmp_path / "b", images=people(9, 2)).missing
    assert "no threshold could be calibrated" in exported(tmp_path / "c", images=people(10, 1)).missing


def test_without_images_made_up_pictures_are_compared(tmp_path):
    done = exported(tmp_path / "b")
    assert done.parity["images"] == "made up"
    assert done.parity["distance"]["images"] == 64
    assert done.threshold is None


@pytest.mark.slow
def test_what_was_compared_is_complete(tmp_path):
    parity = exported(tmp_path / "b", far=0.1, images=people()).parity
    assert list(parity["at_batches"]) == ["1", "2", "7", "64"]
    assert parity["scores"]["pairs"] == 96 * 95 // 2
    assert parity["scores"]["mean"] <= parity["scores"]["quantile_99"] <= parity["scores"]["largest"] < 1e-5
    assert parity["verification"]["far"] == 0.1
    before, after = (parity["verification"][name] for name in ("before", "after"))
    assert before["tar"]["estimate"] == pytest.approx(after["tar"]["estimate"], abs=0.02)
    assert {"estimate", "low", "high"} <= set(after["tar"])
    assert all(value > 0 for side in parity["seconds_an_image"].values() for value in side.values())
    assert parity["bytes"]["after"] > 0


def left_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_beyond_the_tolerance_nothing_is_written(tmp_path):
    with pytest.raises(BundleError, match=r"float16 file must lie within 1e-12 .* --precision float32, --tolerance"):
        exported(tmp_path / "b", "onnx", "float16", tolerance=1e-12)
    assert left_in(tmp_path) == []


def test_what_lies_there_is_kept(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "mine").write_text("mine")
    with pytest.raises(BundleError, match="exists already"):
        exported(tmp_path / "b")
    assert left_in(tmp_path / "b") == ["mine"]
    assert left_in(tmp_path) == ["b"]


def test_an_empty_folder_may_be_filled(tmp_path):
    (tmp_path / "b").mkdir()
    exported(tmp_path / "b")
    assert Bundle(tmp_path / "b").artefact.kind == "onnx"


def test_an_unreadable_image_leaves_nothing(tmp_path, monkeypatch):
    from angulus.errors import DataError

    class Broken(type(people())):
        def read(self, index):
            if index == 80:
                raise DataError("person020/80.png is damaged")
            return super().read(index)

    whole = people()
    with pytest.raises(DataError, match="damaged"):
        exported(tmp_path / "b", images=Broken(whole.labels, whole.identities, whole.height, whole.width))
    assert left_in(tmp_path) == []


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"to": "tflite"}, "to must be one of onnx, openvino, coreml, torch"),
        ({"to": "torch", "precision": "int8"}, "precision of torch files must be float32, got 'int8'; take onnx or"),
        ({"preprocessing": "outside"}, "inside or beside"),
        ({"far": 1.5}, "far must lie"),
        ({"tolerance": -1.0}, "tolerance must be"),
    ],
)
def test_settings_that_make_no_sense(options, match):
    with pytest.raises(BundleError, match=match):
        ExportOptions(**options)


def test_torch_needs_to_know_what_was_built(tmp_path):
    with pytest.raises(BundleError, match="config"):
        export_model(network()[0], tmp_path / "b", ExportOptions(to="torch"), detector=None)


def test_a_shape_without_a_template(tmp_path):
    from angulus.models import InputSpec, TinyNet

    model = TinyNet(input=InputSpec(height=40, width=24), embedding_dim=8).build()
    with pytest.raises(BundleError, match="40x24"):
        export_model(model, tmp_path / "b", detector=None)
    assert left_in(tmp_path) == []
