"""`angulus embed`: what was chosen stands in the figures, and what cannot be had is one sentence."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from angulus.cli import main
from angulus.embeddings import EmbeddingSet
from angulus.inference.runtimes import RUNTIMES
from angulus.models import InputSpec, TinyNet, save_model


@pytest.fixture(scope="module")
def places(tmp_path_factory) -> tuple[Path, Path]:
    home = tmp_path_factory.mktemp("embed")
    torch.manual_seed(0)
    config = TinyNet(channels=(8,), units=(0,), embedding_dim=8, input=InputSpec(height=16, width=16))
    save_model(home / "model", config.build(), config)
    random = np.random.default_rng(0)
    for person in ("ada", "bea"):
        (home / "people" / person).mkdir(parents=True)
        for number in range(3):
            pixels = random.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(home / "people" / person / f"{number}.png")
    return home / "model", home / "people"


def embed(places, out: Path, *options: str) -> int:
    model, people = places
    return main(["embed", str(model), str(people), "--out", str(out), *options])


def test_what_was_chosen_stands_in_the_figures(places, tmp_path) -> None:
    assert embed(places, tmp_path / "a.npz", "--json", str(tmp_path / "a.json")) == 0
    by = json.loads((tmp_path / "a.json").read_text())["by"]
    assert (by["runtime"], by["workers"], by["distance"]) == ("torch", 0, None)
    assert by["layout"] in by["seconds"]
    assert embed(places, tmp_path / "b.npz", "--workers", "2", "--batch-size", "2") == 0
    found = [EmbeddingSet.load(tmp_path / name) for name in ("a.npz", "b.npz")]
    np.testing.assert_allclose(found[0].embeddings, found[1].embeddings, atol=1e-5)


def test_what_cannot_be_had_is_one_sentence(places, tmp_path, monkeypatch, capsys) -> None:
    absent = replace(RUNTIMES["openvino"], needs=("no_such_module",))
    monkeypatch.setitem(RUNTIMES, "openvino", absent)
    assert embed(places, tmp_path / "a.npz", "--runtime", "openvino") == 2
    assert 'pip install "angulus[openvino]"' in capsys.readouterr().err
    assert embed(places, tmp_path / "a.npz", "--workers", "-1") == 2
    assert "--workers must be at least 0, got -1" in capsys.readouterr().err
    assert not (tmp_path / "a.npz").exists()


def test_an_ending_that_cannot_be_written_is_refused_before_the_work(places, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr("angulus.extract.embed", lambda *args, **how: pytest.fail("images were embedded"))
    assert embed(places, tmp_path / "a.txt") == 2
    assert "embeddings are stored as .npz, .safetensors, .npy, got the file name 'a.txt'" in capsys.readouterr().err
