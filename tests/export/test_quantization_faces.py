"""Int8 is made on faces, and never judged on the people or the images that it was made on."""

import pytest
from export_sets import network, people

from angulus.errors import BundleError
from angulus.export import ExportOptions, export_model
from angulus.export.quantization_faces import MOST_FACES, QuantizationFaces

INT8 = ExportOptions(to="openvino", precision="int8")


def refused(tmp_path, match, options=INT8, **sources):
    with pytest.raises(BundleError, match=match):
        export_model(network()[0], tmp_path / "b", options, detector=None, **sources)
    assert list(tmp_path.iterdir()) == []


def test_int8_without_faces(tmp_path):
    pytest.importorskip("openvino")
    refused(tmp_path, "at least 32 faces .* got 0", images=people())
    refused(tmp_path, "at least 32 faces .* got 12", images=people(), quantize_on=people(3, 4, first=50, name="other"))


def test_faces_without_int8(tmp_path):
    pytest.importorskip("onnx")
    refused(tmp_path, "leave quantize_on out", ExportOptions(), quantize_on=people(first=50))


def test_nobody_is_on_both_sides(tmp_path):
    refused(tmp_path, r"2 such people \(person022, person023\)", images=people(), quantize_on=people(first=22))
    shouted = people(first=11, name="PERSON")
    refused(tmp_path, "PERSON011", images=people(), quantize_on=shouted)


def test_no_image_is_on_both_sides_under_another_name(tmp_path):
    for package in ("openvino", "nncf"):
        pytest.importorskip(package)
    refused(
        tmp_path, "alias000/0.png of the former is person000/0.png", images=people(), quantize_on=people(name="alias")
    )


def test_so_many_are_drawn_the_same_every_time():
    source = people(100, 5)
    first, second = (QuantizationFaces.drawn(source) for _ in range(2))
    assert len(first.crops) == MOST_FACES
    assert first.images == second.images
