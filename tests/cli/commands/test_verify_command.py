"""`angulus verify` from the command line, on crops and on photos; and that it needs no torch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from faces_drawn import face
from PIL import Image
from small_bundles import SIDE, write_bundle

from angulus.cli import main
from angulus.runtime import Bundle
from angulus.runtime.verification import OperatingPoint

NEEDS_NO_TORCH = """
import sys
for name in ("torch", "safetensors", "scipy", "onnx"):
    sys.modules[name] = None
from angulus.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def crops(tmp_path):
    for name, person, number in (("a1", 1, 0), ("a2", 1, 1), ("b1", 2, 0), ("b2", 2, 1)):
        Image.fromarray(face(person, number, side=SIDE)).save(tmp_path / f"{name}.png")
    write_bundle(tmp_path / "bundle.zip")
    return tmp_path


def said(capsys, *words):
    status = main([str(word) for word in words])
    out, err = capsys.readouterr()
    return status, out, err


def pair(folder, left, right, *more):
    photos = (folder / f"{left}.png", folder / f"{right}.png")
    return ("verify", *photos, "--bundle", folder / "bundle.zip", "--crops", *more)


@pytest.mark.parametrize(("right", "status", "words"), [("a1", 0, "SAME PERSON"), ("b1", 1, "DIFFERENT PEOPLE")])
def test_the_answer_its_rates_and_the_exit_status(capsys, crops, right, status, words):
    file = crops / "answer.json"
    got, out, err = said(capsys, *pair(crops, "a1", right, "--json", file))
    assert (got, err) == (status, "")
    assert out.startswith(words)
    assert "threshold 0.500 (calibration)" in out
    assert "strangers taken for one person: 1 in 1,000 pairs (95 %: 1 in 2,500 to 1 in 500)" in out
    assert "turned away: 5 of 100 pairs of one person (3 to 8)" in out
    assert "log-likelihood ratio" in out
    assert "a1.png: taken as it is" in out
    values = json.loads(file.read_text())
    assert values["artefact"] == Bundle(crops / "bundle.zip").artefact.name
    assert values["decision"] == ("same" if status == 0 else "different")


def test_another_threshold_or_far(capsys, crops):
    _, out, _ = said(capsys, *pair(crops, "a1", "a1", "--far", "0.01"))
    assert "threshold 0.300 (wanted FAR)" in out
    status, out, _ = said(capsys, *pair(crops, "a1", "b1", "--threshold", "-0.99"))
    assert status == 0
    assert "threshold -0.990 (chosen by hand)" in out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["verify", "--bundle", "BUNDLE"], "give two photos"),
        (["verify", "a1.png", "--bundle", "BUNDLE"], "give two photos"),
        (["verify", "a1.png", "gone.png", "--bundle", "BUNDLE"], "gone.png is not there; name a photo"),
        (["verify", "a1.png", ".", "--bundle", "BUNDLE"], "is a folder; name a photo"),
        (["verify", "a1.png", "a2.png", "--bundle", "nothing"], "there is no bundle at"),
        (["verify", "a1.png", "a2.png", "--bundle", "a1.png"], "is no bundle"),
        (["verify", "a1.png", "a2.png", "--bundle", "BUNDLE", "--far", "5"], "must be a rate between 0 and 1, got 5"),
        (
            ["verify", "a1.png", "a2.png", "--bundle", "BUNDLE", "--far", "1e-9"],
            "one of the calibration's 300,000 pairs",
        ),
        (["verify", "a1.png", "a2.png", "--bundle", "BUNDLE", "--out", "x.csv"], "--out goes with --pairs"),
        (["verify", "--pairs", "p.csv", "--picture", "x.png", "--bundle", "BUNDLE"], "--picture goes with two photos"),
        (["verify", "a1.png", "a2.png", "--bundle", "BUNDLE"], "brings no detector"),
        (["verify", "--pairs", "p.csv", "--bundle", "BUNDLE"], "p.csv"),
    ],
)
def test_what_is_wrong_is_said(capsys, crops, monkeypatch, words, sentence):
    monkeypatch.chdir(crops)
    status, out, err = said(capsys, *(word.replace("BUNDLE", "bundle.zip") for word in words))
    assert (status, out) == (2, "")
    assert sentence in err


def test_pairs_from_a_table_are_answered_and_added_up(capsys, crops):
    (crops / "pairs.csv").write_text("a,b,same\na1.png,a1.png,1\na1.png,b1.png,0\nb2.png,b2.png,0\na1.png,b2.png,1\n")
    words = ("verify", "--pairs", crops / "pairs.csv", "--bundle", crops / "bundle.zip", "--crops", "--quiet")
    status, out, _ = said(capsys, *words, "--out", crops / "out.csv", "--json", crops / "out.json")
    assert status == 0
    assert "4 pairs: 2 same, 2 different, 0 cannot tell" in out
    assert "false accepts: 1 of 2 (50.00%)" in out
    assert "false rejects: 1 of 2 (50.00%)" in out
    assert "measured before, at threshold 0.500" in out
    lines = (crops / "out.csv").read_text().splitlines()
    assert lines[0] == "a,b,same,decision,score,reason"
    assert lines[1].startswith("a1.png,a1.png,1,same,1.000000,")
    assert json.loads((crops / "out.json").read_text())["answers"] == {"same": 2, "different": 2, "cannot tell": 0}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("left,right\nx,y\n", "must have the columns a and b"),
        ("a,b\n", "lists no pairs"),
        ("a,b,same\na1.png,a2.png,maybe\n", "pair 1: same must be 1 or 0, got 'maybe'"),
        ("a,b\na1.png,gone.png\nlost.png,a1.png\n", "2 of 3 photos are not in"),
    ],
)
def test_tables_that_cannot_be_used(capsys, crops, text, sentence):
    (crops / "pairs.csv").write_text(text)
    status, _, err = said(capsys, "verify", "--pairs", crops / "pairs.csv", "--bundle", crops / "bundle.zip", "--crops")
    assert status == 2
    assert sentence in err


def test_neither_torch_nor_anything_that_trains_is_needed(crops):
    words = [str(word) for word in pair(crops, "a1", "b1", "--json", crops / "a.json")]
    source = str(Path(__file__).parents[3] / "src")
    environment = os.environ | {"PYTHONPATH": source}
    command = [sys.executable, "-c", NEEDS_NO_TORCH, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith("DIFFERENT PEOPLE")
    command = [sys.executable, "-c", NEEDS_NO_TORCH, "train", "data.path=x"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 2
    assert 'this command needs torch, which is not installed: pip install "angulus[torch]"' in done.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--picture", "bundle/bundle.json"), "bundle/bundle.json is read by this command (bundle, bundle)"),
        (("--picture", "bundle/new.png"), "bundle/new.png is read by this command"),
        (("--picture", "a1.png"), "a1.png is read by this command (a1.png, left); name another file for picture"),
        (("--json", "here/../b1.png"), "is read by this command"),
        (("--json", "x", "--picture", "x"), "is named for two results"),
        (("--json", "/dev/null"), "/dev/null is a device or a pipe"),
        (("--json", "link"), "link is a link"),
    ],
)
def test_nothing_that_is_read_is_written_over(capsys, crops, monkeypatch, words, sentence):
    monkeypatch.chdir(crops)
    write_bundle(crops / "bundle")
    (crops / "here").mkdir()
    (crops / "link").symlink_to("/dev/stdout")
    before = {path: path.read_bytes() for path in crops.rglob("*") if path.is_file() and not path.is_symlink()}
    status, _, err = said(capsys, "verify", "a1.png", "b1.png", "--bundle", "bundle", "--crops", *words)
    assert (status, sentence in err) == (2, True), err
    assert {path: path.read_bytes() for path in before} == before
    assert Path("/dev/null").is_char_device()


def test_a_table_is_not_written_over(capsys, crops):
    (crops / "pairs.csv").write_text("a,b\na1.png,b1.png\n")
    words = ("verify", "--pairs", crops / "pairs.csv", "--bundle", crops / "bundle.zip", "--crops")
    status, _, err = said(capsys, *words, "--out", crops / "pairs.csv")
    assert (status, "is read by this command" in err) == (2, True)
    assert (crops / "pairs.csv").read_text().startswith("a,b\n")


def test_rates_that_say_nothing_are_said_to_say_nothing():
    from angulus.cli.printing.verdict_account import likelihood, rates
    from angulus.runtime import Rate

    wide = Rate(estimate=0.5, low=0.01, high=0.99)
    none = Rate(estimate=0.0, low=0.0, high=0.004)
    values = {"threshold": 0.5, "low": 0.5, "high": 0.5, "level": 0.95, "source": "calibration"}
    lines = rates(OperatingPoint(**values, far=none, frr=wide))
    assert lines == [
        "  strangers taken for one person: no pair (95 %: at most 1 in 250)",
        "  pairs of one person turned away: cannot be told from so few people",
    ]
    assert rates(OperatingPoint(**values, far=None, frr=None)) == [
        "  how often this threshold is wrong was not measured"
    ]
    assert "7.4 times as likely for one person as for two people" in likelihood(2.0)
    assert "such a score is 2,200 times as likely for one" in likelihood(7.7)
    assert "more than a million times as likely for two people" in likelihood(-50.0)
