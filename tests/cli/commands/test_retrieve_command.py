"""`angulus evaluate retrieve` and `embed` from a model and a set of re-identification, by the published rules."""

import json

import pytest
import torch
from data.formats.reid_sets import market, msmt

from angulus.cli import main
from angulus.embeddings import EmbeddingSet
from angulus.models import InputSpec, TinyNet, save_model


@pytest.fixture
def model(tmp_path):
    torch.manual_seed(0)
    config = TinyNet(channels=(4, 8), units=(0, 0), embedding_dim=16, input=InputSpec(height=32, width=16))
    network = config.build()
    network.train()
    network(torch.randn(8, 3, 32, 16))
    return str(save_model(tmp_path / "model", network.eval(), config))


def retrieved(tmp_path, *words):
    """The figures of the command."""
    figures = tmp_path / "figures.json"
    assert main(["evaluate", "retrieve", *map(str, words), "--json", str(figures), "--quiet"]) == 0
    return json.loads(figures.read_text())


@pytest.mark.parametrize(("make", "rule"), [(market, "market-1501"), (msmt, "msmt17")])
def test_a_model_and_a_known_set_give_its_published_figures(model, tmp_path, make, rule):
    found = retrieved(tmp_path, model, make(tmp_path / "set"))
    assert (found["rule"], found["queries"], found["gallery"]) == (rule, 2, 6 if make is market else 4)


def test_embeddings_keep_cameras_and_say_the_same(model, tmp_path):
    folder = market(tmp_path / "set")
    files = [tmp_path / "query.npz", tmp_path / "bounding_box_test.npz"]
    for file in files:
        assert main(["embed", model, str(folder / file.stem), "--out", str(file), "--quiet"]) == 0
    gallery = EmbeddingSet.load(files[1])
    assert gallery.column("camera").tolist() == [3, 3, 1, 2, 1, 2]
    assert gallery.identities == ("-1", "0000", "0001", "0002")
    whole, parts = retrieved(tmp_path, model, folder), retrieved(tmp_path, *files, "--rule", "market-1501")
    for figure in ("map", "recall", "notes", "without_match"):
        assert whole[figure] == parts[figure]


def test_a_page_shows_what_was_found(model, tmp_path, capsys):
    page = tmp_path / "page.html"
    found = retrieved(tmp_path, model, market(tmp_path / "set"), "--report", page)
    assert f"report  {page}" in capsys.readouterr().out
    text = page.read_text()
    assert f"{100 * found['map']:.2f}%" in text
    assert "rule market-1501" in text


def test_any_set_of_images_is_searched_in_itself(model, tmp_path):
    folder = market(tmp_path / "set") / "bounding_box_train"
    found = retrieved(tmp_path, model, folder)
    assert (found["rule"], found["queries"]) == ("plain", 8)
    assert retrieved(tmp_path, model, folder, "--rule", "msmt17")["rule"] == "msmt17"


def test_a_model_without_images_is_told_what_to_do(model, capsys):
    assert main(["evaluate", "retrieve", model]) != 0
    assert "to search images with a model, name them after" in capsys.readouterr().err
