"""What a newcomer sees: a folder of drawn people is trained on, and the first and the last lines say what was done."""

import json

import pytest
import yaml
from PIL import Image

from angulus.cli import main
from angulus.cli.printing.diagnosis_account import last_lines
from angulus.cli.printing.training_result import best_line, verified_lines
from angulus.data import SyntheticFaces
from angulus.diagnosis import Diagnosis


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """12 drawn people with 4 photos each, two of them in a folder of their own; and what is no photo."""
    root = tmp_path_factory.mktemp("photos") / "my people"
    faces = SyntheticFaces(num_identities=12, images_per_identity=4, height=32, width=32)
    for row in range(len(faces)):
        place = root / faces.identities[int(faces.labels[row])] / ("2019" if row % 4 > 1 else "")
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(faces.read(row)).save(place / f"{row}.png")
    (root / faces.identities[0] / "film.heic").write_bytes(b"x")
    return root


@pytest.fixture(scope="module")
def trained(folder):
    """The folder of a run, and what was printed."""
    return folder.parent / "run"


LAST = ("how good", "also", "best", "model", "threshold", "report", "next", "doctor")
SELDOM = "0.05 x root of batch / 64, with 16, and less since a person is seen only 8 times"
SMALL = ("train.epochs=2", "model={name: tiny, channels: [8, 8], units: [0, 0], input: {height: 32, width: 32}}")


def test_the_first_and_the_last_lines_of_a_run(folder, trained, capsys):
    assert main(["train", f"data.path={folder}", *SMALL, f"out={trained}"]) == 0
    said = capsys.readouterr()
    first = said.err.splitlines()
    names = [line[:10].strip() for line in first if line[:10].strip() in {"data", "network", "loss", "chosen", "run"}]
    assert names == ["data", "network", "loss", "chosen", "run"]
    for part in (
        "48 images of 12 identities",
        "1 .heic; angulus align",
        "training on 10 identities with 40 images, 2 identities with 8 images held out",
        "network   tiny,",
        "32x32 rgb images to",
        "loss      arcface, scale 10",
        "optim.lr 0.0063: ",
        "10 people are few to learn from nothing",
        f"angulus train data.path='{folder}' init=FILE",
        f"kept in {trained}",
        "random network has a loss near",
    ):
        assert part in said.err
    last = said.out.splitlines()
    assert last[0].startswith("how good   EER ")
    for part in (
        "on 2 people who were not trained on: 12 pairs of one person, 16 of two",
        "too few people or pairs for a rate at FAR",
        "threshold  ",
        f"report     {trained / 'report.html'}",
        f"next       angulus evaluate {trained} OTHER_PEOPLE",
        f"angulus evaluate calibrate {trained / 'other.npz'} --far 0.01 --out",
    ):
        assert part in said.out
    assert len(last) <= 14
    assert all(line[:11].strip() in {"", *LAST} and line[10] == " " for line in last)
    assert any(line.startswith("doctor     ") for line in last)
    assert max(len(line) for line in last if str(folder.parent) not in line) <= 140
    reasons = json.loads((trained / "environment.json").read_text())["settings"]
    assert {"key": "optim.lr", "value": 0.0063, "reason": SELDOM} in reasons
    assert main(["train", "--resume", str(trained)]) == 0
    assert capsys.readouterr().out.splitlines() == last


def test_a_run_without_its_files_shows_bare_figures(folder, trained, capsys):
    (trained / "evaluation.json").write_text("[]")
    assert main(["train", "--resume", str(trained)]) == 0
    assert "held-out/eer" in capsys.readouterr().out


def test_a_filled_recipe_is_taken_back_and_is_the_same(folder, tmp_path, capsys):
    words = [f"data.path={folder}", *SMALL]
    assert main(["config", *words]) == 0
    text = capsys.readouterr().out
    assert f"# optim.lr: {SELDOM}\n" in text
    assert "\noptim: {name: sgd, lr: 0.0063" in text
    filled = yaml.safe_load(text)
    assert filled["evaluation"]["hold_out"] == "part"
    assert filled["margin"]["name"] == "arcface"
    (tmp_path / "filled.yaml").write_text(text)
    assert main(["config", str(tmp_path / "filled.yaml")]) == 0
    assert yaml.safe_load(capsys.readouterr().out) == filled
    fixed = ["train.layout=channels_last", "train.threads=1"]  # what is timed may come out otherwise the second time
    for name, recipe in (("a", [str(tmp_path / "filled.yaml")]), ("b", words)):
        assert main(["train", *recipe, *fixed, f"out={tmp_path / name}"]) == 0
    assert (tmp_path / "a/model/model.safetensors").read_bytes() == (
        tmp_path / "b/model/model.safetensors"
    ).read_bytes()


def test_a_recipe_without_its_data_stays_open(tmp_path, capsys):
    for words, part in (([], "nowhere does not exist"), (["--leave-open"], "when the run starts\ndata:")):
        assert main(["config", f"data.path={tmp_path / 'nowhere'}", *words]) == 0
        text = capsys.readouterr().out
        assert part in text
        assert yaml.safe_load(text)["margin"] is None


def told(eer, interval, init):
    """The last lines about held-out people with such an EER."""
    intervals = {"people": 13, "eer": dict(zip(("low", "high"), interval, strict=True)), "tar_at_far": []}
    result = {"eer": {"eer": eer, "threshold": 0.3}, "genuine": 42, "impostors": 486, "tar_at_far": []}
    recipe = {"init": init, "evaluation": {"hold_out": "part"}}
    return "\n".join(text for _, text in verified_lines(None, result | {"intervals": intervals}, recipe))


def test_an_interval_that_says_nothing_is_no_guess_and_advice_that_was_followed_is_not_repeated():
    good = told(0.024, (0.0, 1.0), "068.ckpt")
    assert "EER 2.4% (how much on other people, so few cannot tell)" in good
    assert "guessing" not in good
    for poor in (told(0.45, (0.0, 1.0), "068.ckpt"), told(0.3, (0.2, 0.5), "068.ckpt")):
        assert "guessing" in poor
        assert "init=FILE" not in poor
    assert "init=FILE" in told(0.3, (0.2, 0.5), None)


def test_a_run_whose_first_weights_stayed_the_best_says_so(tmp_path):
    (tmp_path / "best").mkdir()
    (tmp_path / "best" / "model.json").write_text(json.dumps({"extra": {"step": 0, "held-out/eer": 0.02}}))
    rows = [{"step": step, "epoch": step / 4, "held-out/eer": 0.02} for step in (0, 4)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    said = best_line(tmp_path, {"evaluation": {"best_by": "eer"}, "train": {"epochs": 1}})
    assert said.startswith("the weights it began with: no epoch was better on the people held out (EER 2.0%)")


def test_the_doctor_stands_in_the_column_of_the_other_lines(tmp_path):
    first, second = last_lines(Diagnosis(findings=()), tmp_path).splitlines()
    assert first.index("healthy") == second.index("angulus") == len("how good   ")
