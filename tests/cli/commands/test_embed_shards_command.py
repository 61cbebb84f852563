"""`angulus embed --shard` and `--merge`: many workers, one folder, one file; and evaluations that read the folder."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from small_sets import write_folder

from angulus.cli import main
from angulus.embeddings import EmbeddingSet
from angulus.models import InputSpec, TinyNet, save_model


@pytest.fixture(scope="module")
def places(tmp_path_factory) -> tuple[Path, Path]:
    home = tmp_path_factory.mktemp("shards")
    torch.manual_seed(0)
    config = TinyNet(channels=(8,), units=(0,), embedding_dim=8, input=InputSpec(height=12, width=10))
    save_model(home / "model", config.build(), config)
    return home / "model", write_folder(home / "people", {"ada": 4, "bea": 3, "cy": 5})


def embed(places, out: Path, *options: str) -> int:
    return main(["embed", *map(str, places), "--out", str(out), "--quiet", *options])


def test_workers_fill_a_folder_that_evaluations_read(places, tmp_path, monkeypatch, capsys) -> None:
    parts = tmp_path / "parts"
    shared = ("--block", "5", "--stamp")
    assert embed(places, parts, "--shard", "1/2", *shared) == 0
    assert "1 shard made (5 images" in (said := capsys.readouterr().out)
    assert "2 of 3 are still lacking" in said
    assert main(["evaluate", str(parts)]) == 2
    assert "angulus embed MODEL IMAGES" in capsys.readouterr().err
    for name, value in (("RANK", "0"), ("WORLD_SIZE", "2")):
        monkeypatch.setenv(name, value)
    assert main(["embed", *map(str, places), "--out", str(parts), "--shard", "auto", *shared]) == 0
    assert "worker 0 of 2 (from 0), by RANK and WORLD_SIZE" in (said := capsys.readouterr().out)
    assert f"angulus embed --merge {parts}" in said
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name)
    assert embed(places, tmp_path / "one.npz", "--stamp") == 0
    wanted, found = EmbeddingSet.load(tmp_path / "one.npz"), EmbeddingSet.load(parts)
    assert (found.keys, found.identities, list(found.columns)) == (wanted.keys, wanted.identities, ["model"])
    np.testing.assert_array_equal(found.labels, wanted.labels)
    np.testing.assert_allclose(found.embeddings, wanted.embeddings, atol=1e-5)
    merged = tmp_path / "all.npz"
    assert main(["embed", "--merge", str(parts), "--out", str(merged), "--json", str(tmp_path / "a.json")]) == 0
    assert json.loads((tmp_path / "a.json").read_text())["images"] == 12
    figures = []
    for what in (parts, merged):
        assert main(["evaluate", str(what), "--json", str(tmp_path / "figures.json"), "--no-intervals"]) == 0
        figures.append(json.loads((tmp_path / "figures.json").read_text()))
    assert figures[0]["tar_at_far"] == figures[1]["tar_at_far"]
    for part in ("0/2", "1/2"):  # the folder is divided as a file is
        assert main(["evaluate", str(parts), "--part", part, "--out", str(tmp_path / f"{part[0]}.counts")]) == 0
    counts = [str(tmp_path / f"{part}.counts") for part in (0, 1)]
    assert main(["evaluate", str(parts), "--json", str(tmp_path / "whole.json")]) == 0
    assert main(["evaluate", "--add", *counts, "--json", str(tmp_path / "added.json")]) == 0
    whole, added = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("whole", "added"))
    assert {name for name in whole if whole[name] != added[name]} <= {"seconds"}
    for command in (["evaluate", "identify", str(parts)], ["evaluate", "compare", str(parts), str(merged)]):
        assert main(command) == 0


def test_loose_images_have_nobody(places, tmp_path) -> None:
    loose = write_folder(tmp_path / "people", {"ada": 3}) / "ada"
    assert embed((places[0], loose), tmp_path / "parts", "--shard", "0/1", "--block", "2") == 0
    found = EmbeddingSet.load(tmp_path / "parts")
    assert (found.labels, found.identities, len(found)) == (None, None, 3)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--block", "5"], "--block divides the work of --shard"),
        (["--shard", "2/2"], "got 2/2"),
        (["--shard", "0/1", "--runtime", "auto"], "must be named for shards"),
    ],
)
def test_what_cannot_be_is_a_sentence(places, tmp_path, capsys, words, sentence) -> None:
    assert embed(places, tmp_path / "out", *words) == 2
    assert sentence in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()


def test_words_that_do_not_go_together_are_a_sentence(places, tmp_path, capsys) -> None:
    def refused(*words: str) -> str:
        assert main(["embed", *words]) == 2
        return " ".join(capsys.readouterr().err.split())

    model, people = map(str, places)
    assert "needs a model and a set of images" in refused("--out", str(tmp_path / "a.npz"))
    assert "needs no model" in refused(model, "--merge", str(tmp_path), "--out", str(tmp_path / "a.npz"))
    assert "is no set of embeddings" in refused("--merge", str(tmp_path), "--out", str(tmp_path.with_suffix(".npz")))
    assert "writes to a folder" in refused(model, people, "--shard", "0/1", "--out", str(tmp_path / "a.npz"))
    assert "which is read" in refused(model, people, "--shard", "0/1", "--out", str(Path(people) / "parts"))


def test_how_shards_are_embedded_is_said_once(places, tmp_path, capsys) -> None:
    assert main(["embed", *map(str, places), "--out", str(tmp_path / "parts"), "--shard", "0/1", "--block", "5"]) == 0
    assert capsys.readouterr().err.count("images per pass") == 1
