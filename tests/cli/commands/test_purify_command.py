"""`angulus purify` and `angulus audit labels`: from words to the library and back, on runs of seconds."""

import json
import re
from pathlib import Path

import pytest
from small_sets import write_folder

from angulus.cli import main
from angulus.cli.inputs.audited_sets import of_images
from angulus.data import read_edits
from angulus.models import InputSpec, TinyNet, save_model

RECIPE = """
data:
  name: noisy
  flips: 0.3
  base: {name: synthetic, num_identities: 24, images_per_identity: 6}
  identities: {parts: {train: 0.65, test: 0.35}}
model: {name: tiny, channels: [8, 8], units: [0, 0], embedding_dim: 16, input: {height: 24, width: 24}}
margin: {name: arcface, scale: 16, m: 0.1}
train: {epochs: 1, batch_size: 20}
optim: {lr: 0.008}
evaluation: {every: null, fars: [0.1]}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("purify")
    (place / "recipe.yaml").write_text(RECIPE)
    return place


@pytest.fixture(scope="module")
def run(folder):
    out = folder / "runs" / "three"
    assert main(["train", str(folder / "recipe.yaml"), "head.subcenters=3", f"out={out}", "--quiet"]) == 0
    return out


@pytest.mark.slow
def test_a_recipe_goes_all_the_way(folder, capsys):
    out = folder / "runs" / "x"
    words = ["purify", str(folder / "recipe.yaml"), f"out={out}", "--angle", "auto", "--json", str(folder / "x.json")]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert "round 1: " in shown
    assert f"the plain run: {out}_purified/retrained" in shown
    kept = json.loads((folder / "x.json").read_text())
    assert kept["rounds"][0]["subcenters"] == 3
    assert kept["retrained"]["held-out/eer"] >= 0
    assert main(words) == 0  # nothing is done twice
    assert capsys.readouterr().out == shown


@pytest.mark.slow
def test_a_finished_run_takes_the_first_training(run, capsys):
    assert main(["purify", str(run), "--no-retrain", "--rule", "strict", "--angle", "100"]) == 0
    place = run.with_name("three_purified")
    assert "the plain run" not in capsys.readouterr().out
    assert not (place / "round-1" / "subcenters").exists()
    summary = json.loads((place / "round-1" / "summary.json").read_text())
    assert (summary["rule"], summary["angle"]) == ("strict", 100.0)
    assert len(read_edits(place / "round-1" / "edits.csv")) == summary["dropped"]


@pytest.mark.slow
def test_faults_are_sentences(folder, run, capsys):
    one = folder / "runs" / "one"
    assert main(["train", str(folder / "recipe.yaml"), f"out={one}", "--quiet"]) == 0
    capsys.readouterr()
    for words, sentence in (
        (["purify", str(one)], "at least 2 sub-centers"),
        (["purify", str(run), "--angle", "wide"], "--angle must be a number of degrees or auto, got 'wide'"),
        (["purify", str(run), "--angle", "200"], "angle must be between 0 and 180 degrees"),
        (["purify", str(folder), str(folder / "runs")], "purify takes one folder of images"),
        (["audit", "labels", str(one), "--out", str(folder / "a")], "or name its data"),
        (["audit", "labels", str(run / "model"), "--out", str(folder / "a")], "name a set beside the model"),
    ):
        assert main(words) == 2
        assert sentence in capsys.readouterr().err


def test_a_folder_beside_a_recipe_is_the_data(folder, tmp_path, capsys):
    assert main(["purify", str(folder / "recipe.yaml"), str(tmp_path), "--quiet"]) == 2
    assert "data.path" in capsys.readouterr().err  # noisy data have a base and no path


@pytest.mark.slow
def test_an_audit_of_a_run_uses_its_head(run, tmp_path, capsys):
    out = tmp_path / "audit"
    assert main(["audit", "labels", str(run), "--out", str(out), "--json", str(tmp_path / "x.json")]) == 0
    assert str(out / "index.html") in capsys.readouterr().out
    kept = json.loads((tmp_path / "x.json").read_text())
    assert kept["centers"] == "head"
    assert kept["scored"]["wrong"] > 0
    assert kept["scored"]["relabelled"] >= kept["scored"]["to the right person"]
    assert re.match("# angulus edits; set: ", (out / "edits.csv").read_text())


def test_an_audit_of_a_folder_makes_its_own_centers(tmp_path, capsys):
    images = write_folder(tmp_path / "people", {"Ada": 4, "Bob": 5, "Eve": 1}, height=24, width=24)
    config = TinyNet(channels=(4, 4), units=(0, 0), embedding_dim=8, input=InputSpec(height=24, width=24))
    save_model(tmp_path / "model", config.build(), config)
    assert main(["audit", "labels", str(tmp_path / "model"), str(images), "--out", str(tmp_path / "audit")]) == 0
    assert "10 images of 3 identities" in capsys.readouterr().out
    _, source, _, centers = of_images(tmp_path / "model", Path(images), "auto", None)
    assert centers is None
    assert len(source) == 10
