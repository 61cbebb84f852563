"""`angulus data report` and `leaks`, and `embed` and `evaluate` on every layout with edits."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from faces_drawn import face
from PIL import Image

from angulus.cli import main
from angulus.data import apply_edits, convert, open_source, read_edits
from angulus.embeddings import EmbeddingSet
from angulus.models import InputSpec, TinyNet, TinySpeech, save_model
from angulus.speech.wave_files import wave_file


def write_people(root, people):
    for person in people:
        for photo in (1, 2, 3):
            path = root / f"Person_{person:02d}" / f"{photo}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(face(person, photo, side=32)).save(path)
    return root


@pytest.fixture
def home(monkeypatch, tmp_path):
    """Sets of fourteen people, of whom four are in both, and a tiny model."""
    write_people(tmp_path / "train", range(14))
    write_people(tmp_path / "test", range(10, 24))
    torch.manual_seed(0)
    config = TinyNet(channels=(4, 8), units=(0, 0), embedding_dim=8, input=InputSpec(height=32, width=32))
    save_model(tmp_path / "model", config.build(), config)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_report_with_an_unreadable_image_and_a_copy(home, capsys):
    (home / "train" / "Person_03" / "bad.png").write_bytes(b"no image")
    (home / "train" / "Person_02" / "twice.png").write_bytes((home / "train" / "Person_02" / "1.png").read_bytes())
    assert main(["data", "report", "train", "--out", "seen"]) == 0
    assert "44 images of 14 identities, 1 unreadable; 2 to drop and" in capsys.readouterr().out
    figures = json.loads(Path("seen/report.json").read_text())
    assert [each["key"] for each in figures["unreadable"]] == ["Person_03/bad.png"]
    assert figures["formats"] == {"PNG RGB": 43}
    (copy,) = [each for each in figures["copies"] if each["kind"] == "same bytes"]
    assert (copy["left"], copy["right"]) == ("Person_02/1.png", "Person_02/twice.png")
    page = Path("seen/report.html").read_text()
    assert "data:image/jpeg;base64," in page
    assert "http://" not in page
    assert "not looked at: give a model" in page
    kept = apply_edits(open_source("train"), [read_edits("seen/edits.csv")])
    assert len(kept) == 42
    assert list(home.glob("seen/.*")) == []


@pytest.mark.parametrize("layout", ["train", "train.packed", "train.tar", "train.rec"])
def test_a_report_with_a_model_on_every_layout(home, capsys, layout):
    if layout != "train":
        convert(open_source("train"), layout)
    assert main(["data", "report", layout, "--model", "model", "--out", "seen", "--quiet"]) == 0
    figures = json.loads(Path("seen/report.json").read_text())
    assert (figures["images"], figures["identities"]) == (42, 14)
    assert figures["same_person"]["pairs_compared"] == 91
    read_edits("seen/edits.csv")


def test_leaks_by_name_and_the_figures_with_and_without(home, capsys):
    assert main(["data", "leaks", "train", "test", "--model", "model", "--out", "leaks", "--far", "0.1"]) == 0
    shown = capsys.readouterr().out
    assert "whole: 42 images" in shown
    figures = json.loads(Path("leaks/leaks.json").read_text())
    assert sum(each["same_name"] for each in figures["suspects"]) == 4
    assert figures["copied_images"] >= 12
    assert figures["metrics"]["whole"]["images"] == 42
    assert figures["metrics"]["without what leaked"]["images"] <= 30
    kept = apply_edits(open_source("train"), [read_edits("leaks/removal.csv")])
    assert not {f"Person_{person}" for person in range(10, 14)} & set(kept.identities)


def test_hidden_names_and_no_model(home, capsys):
    assert main(["data", "leaks", "train", "test", "--hide-names", "--remove-from", "test", "--out", "leaks"]) == 0
    figures = json.loads(Path("leaks/leaks.json").read_text())
    assert figures["leaked_people"] == 0
    assert figures["copied_images"] >= 12
    assert figures["metrics"] == {}
    kept = apply_edits(open_source("test"), [read_edits("leaks/removal.csv")])
    assert len(kept) <= 30


def test_embed_takes_layouts_and_edits(home, capsys):
    main(["embed", "model", "train", "--out", "folder.npz", "--quiet"])
    convert(open_source("train"), "train.packed")
    Path("edits.csv").write_text("action,key,identity,to,reason\ndrop,,Person_00,,no\nmerge,,Person_01,Person_02,one\n")
    assert main(["embed", "model", "train.packed", "--out", "packed.npz", "--edits", "edits.csv", "--quiet"]) == 0
    plain, edited = EmbeddingSet.load("folder.npz"), EmbeddingSet.load("packed.npz")
    assert len(edited) == 39
    assert edited.identities == plain.identities[2:]
    np.testing.assert_allclose(edited.embeddings, plain.embeddings[3:], atol=1e-5)
    assert main(["evaluate", "model", "train.packed", "--edits", "edits.csv", "--json", "x.json", "--quiet"]) == 0
    assert json.loads(Path("x.json").read_text())["images"] == 39


def test_mistakes_are_sentences(home, capsys):
    for tokens, sentence in (
        (["data", "report", "nowhere", "--out", "x"], "there is no data at nowhere"),
        (["data", "leaks", "train", "test", "--out", "x", "--pairs", "p.txt"], "name one with --model"),
        (["evaluate", "x.npz", "--edits", "e.csv"], "edits are for sets of images, and x.npz holds embeddings"),
    ):
        assert main(tokens) == 2
        assert sentence in capsys.readouterr().err
    (home / "loose").mkdir()
    Image.fromarray(face(1)).save(home / "loose" / "1.png")
    assert main(["embed", "model", "loose", "--out", "x.npz", "--edits", "e.csv", "--fit", "resize"]) == 2
    assert "leave --edits out" in capsys.readouterr().err


@pytest.fixture
def speech(monkeypatch, tmp_path):
    """Two sets of fourteen drawn speakers, of whom four are in both by name, a copy in both, and a tiny model."""
    pytest.importorskip("soundfile")
    for name, people in (("train", range(14)), ("test", range(10, 24))):
        for person in people:
            for number in range(2):
                random = np.random.default_rng([person, number, name == "test"])
                time = np.arange(8000) / 16_000
                tones = sum(np.sin(2 * np.pi * hertz * time) for hertz in random.uniform(150, 3000, 4))
                swell = np.repeat(random.uniform(0.1, 1, 10), 800)
                file = tmp_path / name / f"s{person:02d}" / f"{number}.wav"
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(wave_file((3000 * tones * swell).astype(np.int16), rate=16_000))
    (tmp_path / "test" / "s20" / "0.wav").write_bytes((tmp_path / "train" / "s03" / "0.wav").read_bytes())
    torch.manual_seed(0)
    config = TinySpeech(embedding_dim=8)
    save_model(tmp_path / "model", config.build(), config)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_a_report_and_leaks_of_recordings_with_a_model(speech, capsys, monkeypatch):
    # an untrained network finds nearly all pairs alike; laying them over each other is tested elsewhere
    monkeypatch.setattr("angulus.inspection.looks.recordings.agreement_of", lambda one, other: 0.5)
    assert main(["data", "report", "train", "--model", "model", "--out", "seen", "--quiet"]) == 0
    assert "28 recordings of 14 identities, 0 unreadable" in capsys.readouterr().out
    figures = json.loads(Path("seen/report.json").read_text())
    assert figures["same_person"]["pairs_compared"] == 91
    assert figures["recordings"] == 28
    convert(open_source("test"), "test.packed")
    assert main(["data", "leaks", "train", "test.packed", "--model", "model", "--out", "leaks", "--quiet"]) == 0
    assert "speakers and 1 recording of test.packed are in train" in capsys.readouterr().out
    figures = json.loads(Path("leaks/leaks.json").read_text())
    assert sum(each["same_name"] for each in figures["suspects"]) == 4
    assert ("same bytes", "s03/0.wav") in {(each["kind"], each["train"]) for each in figures["copies"]}
    read_edits("leaks/removal.csv")


def test_a_model_for_speech_and_a_set_of_images(speech, capsys):
    write_people(speech / "photos", range(2))
    assert main(["data", "report", "photos", "--model", "model", "--out", "x"]) == 2
    assert capsys.readouterr().err
