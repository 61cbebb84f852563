"""`angulus export`: from the folder of a model to a bundle, in words; and a bundle where a model is taken."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from angulus.cli import main
from angulus.embeddings import EmbeddingSet
from angulus.models import InputSpec, TinyNet, save_model
from angulus.runtime import Bundle

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def places(tmp_path_factory) -> tuple[Path, Path]:
    home = tmp_path_factory.mktemp("export")
    torch.manual_seed(0)
    spec = InputSpec(height=16, width=16, colour="bgr", mean=(1.0, 2.0, 3.0), std=4.0)
    config = TinyNet(channels=(8,), units=(0,), embedding_dim=8, input=spec)
    save_model(home / "model", config.build(), config)
    random = np.random.default_rng(0)
    for person in range(24):
        (home / "people" / f"p{person}").mkdir(parents=True)
        face = random.integers(0, 256, (16, 16, 3))
        for number in range(4):
            pixels = (face + random.normal(0, 20, face.shape)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(home / "people" / f"p{person}" / f"{number}.png")
    return home / "model", home / "people"


@pytest.mark.slow
def test_a_bundle_with_its_threshold(places, tmp_path, capsys) -> None:
    model, people = places
    out, figures = tmp_path / "b.zip", tmp_path / "b.json"
    words = ["export", str(model), str(out), "--images", str(people), "--detector", "none", "--json", str(figures)]
    assert main([*words, "--quiet"]) == 0
    said = capsys.readouterr().out
    for part in ("onnx, float32", "size: ", "speed: ", "difference: ", "threshold: ", "FAR", "TAR"):
        assert part in said
    assert said.strip().endswith(f"next: angulus verify a.jpg b.jpg --bundle {out}")
    bundle = Bundle(out)
    assert bundle.threshold is not None
    assert json.loads(figures.read_text())["threshold"] == bundle.threshold.to_dict()
    assert bundle.description.model["file"] == "model"
    assert main([*words, "--quiet"]) == 2
    assert "exists already" in capsys.readouterr().err


def test_without_images_it_says_why_there_is_no_threshold(places, tmp_path, capsys) -> None:
    assert main(["export", str(places[0]), str(tmp_path / "b"), "--detector", "none", "--quiet", "--to", "torch"]) == 0
    assert "no threshold: " in capsys.readouterr().out
    assert Bundle(tmp_path / "b").artefact.kind == "torch"


def test_a_bundle_is_taken_where_a_model_is(places, tmp_path, capsys) -> None:
    model, people = places
    out = tmp_path / "b"
    assert main(["export", str(model), str(out), "--detector", "none", "--quiet"]) == 0
    for name in (model, out):
        assert main(["embed", str(name), str(people), "--out", str(tmp_path / f"{name.name}.npz"), "--quiet"]) == 0
    ours, theirs = (EmbeddingSet.load(tmp_path / name) for name in ("b.npz", "model.npz"))
    np.testing.assert_allclose(ours.unit(), theirs.unit(), atol=1e-5)
    np.testing.assert_allclose(ours.embeddings, theirs.embeddings, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(ours.flipped, theirs.flipped, rtol=1e-3, atol=1e-3)
    found = []
    for name in (model, out):
        figures = str(tmp_path / f"{name.name}.json")
        assert main(["evaluate", str(name), str(people), "--no-intervals", "--json", figures, "--quiet"]) == 0
        found.append(json.loads(Path(figures).read_text())["eer"])
    assert found[0] == pytest.approx(found[1], abs=2e-3)


@pytest.mark.parametrize("words", [["--runtime", "onnxruntime"], ["--stamp"]])
def test_what_a_bundle_cannot_do_is_one_sentence(places, tmp_path, capsys, words) -> None:
    model, people = places
    out = tmp_path / "b"
    assert main(["export", str(model), str(out), "--detector", "none", "--quiet"]) == 0
    assert main(["embed", str(out), str(people), "--out", str(tmp_path / "e.npz"), "--quiet", *words]) == 2
    assert f"leave {words[0]} out" in capsys.readouterr().err
    assert main(["data", "report", str(people), "--model", str(out), "--out", str(tmp_path / "seen")]) == 2
    assert "is a bundle, not a model" in capsys.readouterr().err
