"""`angulus plan` prints what a recipe takes, for data at hand and for pretended sizes."""

import json
import re
from pathlib import Path

import pytest

from angulus.cli import main

TINY = ["data=synthetic", "data.num_identities=12", "data.images_per_identity=2", "train.batch_size=8", "device=cpu"]
TINY += ["model={name: tiny, channels: [8, 8], units: [1, 0], embedding_dim: 16, input: {height: 24, width: 24}}"]
TINY += ["data.identities.parts={train: 0.5, test: 0.5}"]


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


def test_a_plan_names_parts_strategies_and_a_recommendation(capsys):
    assert main(["plan", *TINY, "--json", "plan.json"]) == 0
    out = capsys.readouterr().out
    lines = [line.split() for line in out.splitlines()]
    assert ["strategy", "weights", "gradient", "state", "logits", "working", "total", "step"] in lines
    assert [line[1] for line in lines if line[:1] == [">"]] == ["dense"]
    assert "optimizer state" in out
    assert "fits" in out.splitlines()[-1]
    written = json.loads(Path("plan.json").read_text())
    assert sum(row["is_own"] for row in written["rows"]) == 1
    assert all(row["seconds"] > 0 for row in written["rows"])


def test_pretended_sizes_need_no_data_and_no_device(capsys):
    words = ["data.path=nowhere", "model=tiny", "device=cuda"]
    assert main(["plan", *words, "--classes", "3000000", "--memory", "4GB", "--processes", "2"]) == 0
    out = capsys.readouterr().out
    assert "3,000,000 identities" in out
    assert "sharded" in out
    assert "does not fit" in out
    assert "step times are left out" in out.lower()
    assert "nowhere" not in out


def test_other_people_than_there_are_have_as_many_images_each(capsys):
    assert main(["plan", *TINY]) == 0
    there = re.search(r"training on +([\d,]+) images of ([\d,]+) identities", capsys.readouterr().out)
    images, people = (int(number.replace(",", "")) for number in there.groups())
    assert main(["plan", *TINY, "--classes", str(100 * people)]) == 0
    out = capsys.readouterr().out
    assert f"{100 * images:,} images of {100 * people:,} identities" in out
    assert f"{100 * images:,} images: as many a person as those of the data have; --images says otherwise" in out


def test_the_recommended_settings_can_be_passed(capsys):
    words = ["data.path=nowhere", "model=tiny", "--classes", "3000000", "--memory", "6GB", "--images", "9000000"]
    assert main(["plan", *words]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    settings = [word for word in last.split() if word.startswith("head.")]
    assert settings
    assert main(["plan", *words, *settings]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("The recipe's own choice")
    assert last.endswith("fits.")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--clases", "5"], "--classes"),
        (["head.stratgy=dense"], "did you mean head.strategy?"),
        (["head.strategy=streammed"], "did you mean streamed?"),
        (["--memory", "much"], "as in 80GB"),
        (["--classes", "0"], "--classes must be at least 1, got 0"),
    ],
)
def test_mistakes_are_sentences(capsys, words, sentence):
    assert main(["plan", *TINY, *words]) == 2
    assert sentence in capsys.readouterr().err


def test_a_terminal_gets_a_table(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "160")
    assert main(["plan", *TINY, "--memory", "1GB"]) == 0
    assert "streamed recompute" in capsys.readouterr().out


def test_a_step_on_a_cluster_is_told_with_what_was_assumed(tmp_path, capsys) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("data: {name: folder, path: nowhere}\nmodel: {name: tiny}\ntrain: {batch_size: 64}\n")
    shown = ["plan", str(recipe), "--gpus", "8", "--classes", "1000000", "--quiet"]
    assert main([*shown, "--nodes", "2", "--json", str(tmp_path / "step.json")]) == 0
    said = capsys.readouterr().out
    assert said.startswith("a step on 2 machines with 8 GPUs, 4 images for each")
    assert "Assumed, not measured" in said
    step = json.loads((tmp_path / "step.json").read_text())
    assert step["images"] == 4
    assert step["memory"]["class weights and momentum"] == 2 * 4 * 62_500 * 128
    assert main([*shown, "--nodes", "64"]) == 2
    assert "train.batch_size must be at least one image for each of 512 GPUs, got 64" in capsys.readouterr().err
    assert main(["plan", str(recipe), "--nodes", "2"]) == 2
    assert "--nodes needs the number of identities" in capsys.readouterr().err
