"""`angulus embed` and `angulus evaluate`: models, folders, pair lists and stored embeddings of every layout."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from real_data import SHARED, needs_shared

from angulus.cli import main
from angulus.cli.inputs.models_and_images import choose_fit, open_model
from angulus.embeddings import EmbeddingSet
from angulus.errors import DataError, ModelError
from angulus.models import InputSpec, TinyNet, save_model


@pytest.fixture
def home(monkeypatch, tmp_path):
    """A current folder with images of six people, 24x20 pixels, and a tiny model for 24x16."""
    random = np.random.default_rng(0)
    for person in range(6):
        face = random.integers(0, 256, (24, 20, 3))
        for number in range(1, 4):
            noisy = (face + random.normal(0, 20, face.shape)).clip(0, 255).astype(np.uint8)
            path = tmp_path / "faces" / f"P{person}" / f"P{person}_{number:04d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(noisy).save(path)
    save_tiny(tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def save_tiny(folder: Path, height: int = 24, width: int = 16) -> None:
    torch.manual_seed(0)
    config = TinyNet(channels=(4, 8), units=(0, 0), embedding_dim=8, input=InputSpec(height=height, width=width))
    save_model(folder, config.build(), config)


def write_pairs(path: Path) -> None:
    lines = ["2\t3"]
    for fold in range(2):
        people = [f"P{fold * 3 + k}" for k in range(3)]
        lines += [f"{name}\t1\t2" for name in people]
        lines += [f"{people[k]}\t1\t{people[(k + 1) % 3]}\t2" for k in range(3)]
    path.write_text("\n".join(lines) + "\n")


def test_a_folder_becomes_embeddings_and_these_are_evaluated(home, capsys):
    assert main(["embed", "model", "faces", "--out", "e.npz", "--json", "embed.json"]) == 0
    assert "18 images of 6 people, 8 dimensions" in capsys.readouterr().out
    assert json.loads(Path("embed.json").read_text())["images"] == 18
    stored = EmbeddingSet.load("e.npz")
    assert stored.flipped is not None
    assert stored.keys is not None
    assert stored.keys[0] == "P0/P0_0001.png"
    assert main(["evaluate", "e.npz", "--far", "0.1", "--json", "x.json", "--report", "x.html"]) == 0
    figures = json.loads(Path("x.json").read_text())
    assert (figures["genuine"], figures["impostors"]) == (18, 135)
    assert [point["target_far"] for point in figures["tar_at_far"]] == [0.1]
    assert "<svg" in Path("x.html").read_text()


def test_a_model_and_images_give_what_stored_embeddings_give(home, capsys):
    write_pairs(home / "pairs.txt")
    main(["embed", "model", "faces", "--out", "e.npz", "--quiet"])
    for protocol in ("plain", "mean-centred", "insightface"):
        options = ["--pairs", "pairs.txt", "--protocol", protocol, "--quiet"]
        assert main(["evaluate", "e.npz", *options, "--json", "a.json"]) == 0
        assert main(["evaluate", "model", "faces", *options, "--json", "b.json"]) == 0
        one, other = (json.loads(Path(name).read_text()) for name in ("a.json", "b.json"))
        assert one["accuracy"] == other["accuracy"]
        assert one["eer"] == other["eer"]


def test_only_the_images_of_the_pairs_are_read(home, capsys):
    write_pairs(home / "pairs.txt")
    (home / "faces" / "P0" / "P0_0003.png").write_bytes(b"no image")
    assert main(["evaluate", "model", "faces", "--pairs", "pairs.txt", "--json", "x.json"]) == 0
    assert json.loads(Path("x.json").read_text())["images"] == 12
    assert main(["evaluate", "model", "faces"]) == 2
    assert "P0_0003.png" in capsys.readouterr().err


def test_a_flat_folder_has_no_labels(home, capsys):
    assert main(["embed", "model", "faces/P0", "--out", "e.npz", "--no-flip"]) == 0
    stored = EmbeddingSet.load("e.npz")
    assert stored.labels is None
    assert stored.flipped is None
    assert stored.keys == ("P0_0001.png", "P0_0002.png", "P0_0003.png")
    assert main(["evaluate", "e.npz"]) == 2
    assert "all pairs of a set need labels" in capsys.readouterr().err


def test_damaged_images_can_be_left_out(home, capsys):
    (home / "faces" / "P1" / "P1_0001.png").write_bytes(b"no image")
    assert main(["embed", "model", "faces", "--out", "e.npz"]) == 2
    assert not Path("e.npz").exists()
    assert main(["embed", "model", "faces", "--out", "e.npz", "--skip-unreadable"]) == 0
    assert len(EmbeddingSet.load("e.npz")) == 17


def test_a_run_gives_its_last_model_and_its_way_of_fitting(home):
    run = home / "run"
    save_tiny(run / "best")
    (run / "recipe.json").write_text(json.dumps({"data": {"name": "folder", "path": "faces", "fit": "resize"}}))
    opened = open_model(run)
    assert (opened.path, opened.fit) == (run / "best", "resize")
    save_tiny(run / "model")
    assert open_model(run).path == run / "model"
    assert main(["evaluate", "run", "faces", "--quiet"]) == 0


def test_a_run_without_a_model_says_how_to_finish_it(home):
    (home / "run").mkdir()
    (home / "run" / "recipe.json").write_text("{}")
    with pytest.raises(ModelError, match="has no model yet; finish it with: angulus train --resume"):
        open_model(home / "run")


def test_a_network_of_ones_own_is_imported_only_when_named(home, monkeypatch):
    (home / "network_of_mine.py").write_text(
        "from dataclasses import dataclass\nfrom angulus.models import TinyNet\n\n\n"
        "@dataclass(frozen=True, kw_only=True)\nclass Mine(TinyNet):\n    pass\n"
    )
    monkeypatch.syspath_prepend(home)
    import network_of_mine

    config = network_of_mine.Mine(channels=(4, 8), units=(0, 0), embedding_dim=8, input=InputSpec(height=24, width=16))
    save_model(home / "own", config.build(), config)
    with pytest.raises(ModelError, match="allow its import with --network network_of_mine:Mine"):
        open_model("own")
    assert open_model("own", network="network_of_mine:Mine").model.embedding_dim == 8
    with pytest.raises(ModelError, match="--network: module network_of_mine has no 'Mime'; did you mean Mine"):
        open_model("own", network="network_of_mine:Mime")


@pytest.mark.parametrize(
    ("image", "model", "fit"),
    [
        ((112, 112), (112, 96), "crop"),
        ((112, 112), (96, 112), "crop"),
        ((112, 112), (112, 112), "proportional"),
        ((250, 250), (112, 112), "proportional"),
        ((112, 92), (112, 112), None),
        ((250, 250), (112, 96), None),
    ],
)
def test_how_images_are_fitted_unless_it_is_said(tmp_path, image, model, fit):
    path = tmp_path / "x.png"
    Image.new("RGB", image[::-1]).save(path)
    if fit is None:
        with pytest.raises(DataError, match=r"another shape; crop photos .* --fit resize or --fit crop"):
            choose_fit(path, model, "auto")
    else:
        assert choose_fit(path, model, "auto") == fit
    assert choose_fit(path, model, "resize") == "resize"


def test_a_device_that_is_not_here(home, capsys):
    assert main(["embed", "model", "faces", "--out", "e.npz", "--device", "tpu"]) == 2
    assert "error: --device must be auto, cpu, cuda or cuda:N, got 'tpu'" in capsys.readouterr().err


@needs_shared
@pytest.mark.parametrize(("protocol", "accuracy"), [("mean-centred", 0.9920), ("insightface", 0.9895)])
def test_the_figures_of_the_stored_lfw_embeddings(tmp_path, protocol, accuracy):
    embeddings = SHARED / "lfw_embeddings" / "lfw_mobilefacenet128.npz"
    pairs = SHARED / "lfw_protocol" / "pairs.txt"
    out = tmp_path / "x.json"
    assert main(["evaluate", str(embeddings), "--pairs", str(pairs), "--protocol", protocol, "--json", str(out)]) == 0
    assert json.loads(out.read_text())["accuracy"]["mean"] == pytest.approx(accuracy, abs=3e-4)
