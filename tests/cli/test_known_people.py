"""Evaluations say when their people were trained on: a run knows its classes, embeddings carry the mark."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from angulus.cli import main
from angulus.cli.inputs.words.known_people import COLUMN, marked, note_on_source, notes_on_known
from angulus.embeddings import EmbeddingSet
from angulus.errors import BundleError
from angulus.models import InputSpec, TinyNet, save_model


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A run whose classes are two of ten people, and a folder of the ten."""
    home = tmp_path_factory.mktemp("known")
    random = np.random.default_rng(0)
    for person in ("Ada Lovelace", "Bo", "Cy", "Di", "Ed", "Flo", "Gus", "Hal", "Ivy", "Jo"):
        (home / "people" / person).mkdir(parents=True)
        for number in range(3):
            pixels = random.integers(0, 255, (24, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(home / "people" / person / f"{number}.png")
    config = TinyNet(channels=(8, 8), units=(0, 0), embedding_dim=16, input=InputSpec(height=24, width=24))
    run = home / "run"
    (run / "model").mkdir(parents=True)
    save_model(run / "model", config.build(), config)
    (run / "recipe.json").write_text("{}")
    (run / "classes.json").write_text(json.dumps(["ada_lovelace", "BO", "somebody else"]))
    return home


SAID = "the model was trained on 2 of these 10 people (Ada Lovelace, Bo): the figures say nothing about people"


def test_names_are_compared_folded(home):
    found = EmbeddingSet(
        embeddings=np.eye(4, dtype=np.float32),
        labels=np.array([0, 1, 1, -1]),
        identities=("Ada-Lovelace", "Cy"),
    )
    rows = marked(found, home / "run")
    np.testing.assert_array_equal(rows.columns[COLUMN], [True, False, False, False])
    assert COLUMN not in marked(found, home / "run" / "model").columns
    assert notes_on_known(rows, rows)[0].startswith("the model was trained on 1 of these 4 people (Ada-Lovelace)")
    assert notes_on_known(found) == ()


def test_a_model_on_images_says_it_everywhere(home, capsys):
    out = [home / "evaluation.json", home / "page.html"]
    words = ["evaluate", str(home / "run"), str(home / "people"), "--quiet", "--far", "0.1"]
    assert main([*words, "--json", str(out[0]), "--report", str(out[1])]) == 0
    assert f"note: {SAID}" in capsys.readouterr().out
    assert json.loads(out[0].read_text())["notes"][0].startswith(SAID)
    assert re.search(SAID[1:].replace("(", r"\(").replace(")", r"\)"), out[1].read_text())


def test_a_threshold_of_people_who_were_trained_on_is_not_recommended(home):
    from angulus.data import open_source
    from angulus.evaluation import verify
    from angulus.evaluation.report.recommendation import recommended

    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(60), 6)
    vectors = random.normal(size=(60, 16))[labels] + 0.9 * random.normal(size=(360, 16))
    result = verify(EmbeddingSet(embeddings=vectors.astype(np.float32), labels=labels))
    assert recommended(result).threshold is not None
    note = note_on_source(home / "run", open_source(str(home / "people")))
    assert note.startswith(SAID)
    said = recommended(replace(result, notes=(note,)))
    assert said.threshold is None
    assert "trained on some of these people" in said.sentence
    assert note_on_source(home / "run" / "model", open_source(str(home / "people"))) == ""


def test_export_says_it_and_keeps_it_with_the_threshold(home, monkeypatch):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    given = {}

    def instead(*_, **options):
        given.update(options)
        raise BundleError("enough")

    monkeypatch.setattr("angulus.export.export_model", instead)
    words = ["export", str(home / "run"), str(home / "b"), "--images", str(home / "people"), "--quiet"]
    assert main([*words, "--detector", "none"]) == 2
    assert given["note"].startswith(SAID)


def test_embeddings_carry_it_to_every_protocol(home, capsys):
    file = str(home / "people.npz")
    assert main(["embed", str(home / "run"), str(home / "people"), "--out", file, "--quiet"]) == 0
    for words in (
        ["identify"],
        ["identify", "--fpir", "0.01"],
        ["retrieve"],
        ["calibrate", "--far", "0.2", "--out", str(home / "c.json")],
        [],
    ):
        written = home / "figures.json"
        assert main(["evaluate", *words[:1], file, *words[1:], "--json", str(written)]) == 0
        said = capsys.readouterr().out
        assert SAID in said, words
        advises = words[:1] in ([], ["calibrate"])
        assert ("No threshold is recommended: the model was trained on" in said) == advises
        assert 'Say "same person"' not in said
        assert "Name somebody" not in said
        assert any(note.startswith(SAID) for note in json.loads(written.read_text())["notes"])
