"""A new run that takes over the class weights of another one by the names of the identities."""

import json
import logging
import shutil
from dataclasses import replace

import pytest
import torch
from small_run import small
from test_run import losses

from angulus.errors import CheckpointError, ConfigError
from angulus.heads.sharding.resharding import read_tensors
from angulus.training import Head, train
from angulus.training.loop import Run


class Stop(Exception):
    pass


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return train(small(tmp_path_factory.mktemp("runs") / "whole", epochs=2))


@pytest.fixture(scope="module")
def divided(tmp_path_factory):
    return train(small(tmp_path_factory.mktemp("runs") / "divided", epochs=1, head=Head(sharded=True)))


def names_of(folder):
    return json.loads((folder / "classes.json").read_text())


def weights_of(folder):
    path = sorted((folder / "checkpoints").glob("step-*"))[-1]
    if path.is_dir():
        return read_tensors(path, ("weight",))["weight"]
    return torch.load(path, weights_only=True)["tensors"]["head"]["weight"]


def other_people(folder, finished, **head):
    """Two of the identities are gone and there are new ones."""
    experiment = small(folder, epochs=1, init=finished.folder / "model")
    rules = replace(experiment.data.identities, exclude=tuple(names_of(finished.folder)[:2]))
    data = replace(experiment.data, num_identities=44, identities=rules)
    return replace(experiment, data=data, head=Head(weights_from=finished.folder, **head))


def first_weights(experiment, monkeypatch):
    """The class weights and their names just before the first step."""
    found = {}

    def look(run):
        found.update(zip(run.trained.classes, run.head.weight.detach().clone(), strict=True))
        raise Stop

    with monkeypatch.context() as patch:
        patch.setattr(Run, "wrapped", look)
        with pytest.raises(Stop):
            train(experiment)
    return found


@pytest.mark.grid
@pytest.mark.parametrize("source", ["finished", "divided"])
@pytest.mark.parametrize("sharded", [False, True])
def test_identities_keep_their_weights(request, tmp_path, monkeypatch, caplog, source, sharded):
    before = request.getfixturevalue(source)
    old = dict(zip(names_of(before.folder), weights_of(before.folder), strict=True))
    with caplog.at_level(logging.INFO):
        now = first_weights(other_people(tmp_path / "new", before, sharded=sharded), monkeypatch)
    kept, new = [name for name in now if name in old], [name for name in now if name not in old]
    assert kept
    assert new
    assert all(torch.equal(now[name], old[name]) for name in kept)
    assert all(0.0 < now[name].norm() < 0.1 for name in new)
    assert f"{len(kept)} taken over by name, 0 merged, {len(new)} new, 2 dropped" in caplog.text


def test_new_identities_begin_at_their_mean_and_merged_ones_between_the_old(finished, tmp_path, monkeypatch):
    old = dict(zip(names_of(finished.folder), weights_of(finished.folder), strict=True))
    gone = names_of(finished.folder)[:2]
    plain = first_weights(other_people(tmp_path / "plain", finished), monkeypatch)
    new = next(name for name in plain if name not in old)
    means = first_weights(other_people(tmp_path / "means", finished, from_data=True), monkeypatch)
    assert all(torch.equal(plain[name], means[name]) == (name in old) for name in plain)
    merged = first_weights(
        other_people(tmp_path / "m", finished, from_data=True, merged={new: tuple(gone)}), monkeypatch
    )
    middle = sum(torch.nn.functional.normalize(old[name], dim=0) for name in gone)
    assert torch.cosine_similarity(merged[new], middle, dim=0) > 0.9999


def test_a_run_goes_on_from_a_checkpoint_where_it_would_not_from_random(finished, tmp_path):
    newest = sorted((finished.folder / "checkpoints").iterdir())[-1]
    start = {"epochs": 1, "init": finished.folder / "model"}
    cold = train(small(tmp_path / "cold", **start, head=Head(from_data=False)))
    warm = train(small(tmp_path / "warm", **start, head=Head(weights_from=newest)))
    assert losses(warm.folder)[0][1] < 0.9 * losses(cold.folder)[0][1]


def test_mistakes_are_sentences(finished, tmp_path):
    name = names_of(finished.folder)[0]
    base = small(tmp_path / "x", epochs=1)
    cases = [
        ({"weights_from": tmp_path / "nowhere"}, CheckpointError, "must be a run folder or a checkpoint"),
        ({"weights_from": finished.folder, "merged": {name: ("nobody",)}}, ConfigError, "'nobody', which is no old"),
        ({"weights_from": finished.folder, "subcenters": 3}, ConfigError, "subcenters must be those of the old"),
    ]
    for head, kind, sentence in cases:
        shutil.rmtree(tmp_path / "x", ignore_errors=True)
        with pytest.raises(kind, match=sentence):
            train(replace(base, head=Head(**head)))
    with pytest.raises(ValueError, match="merged joins classes of weights_from, which is not set"):
        Head(merged={"a": ("b",)})
    with pytest.raises(ValueError, match="merged must name at least one old identity for each new one, got none"):
        Head(weights_from=finished.folder, merged={"a": ()})


def test_a_run_is_not_resumed_with_other_identities(finished, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(finished.folder, folder)
    names = names_of(folder)
    (folder / "classes.json").write_text(json.dumps(["somebody", *names[1:]]))
    with pytest.raises(CheckpointError, match=rf"1 are gone \(somebody\), 1 are new \({names[0]}\)"):
        train(small(folder, epochs=2), resume=True)
    (folder / "classes.json").write_text(json.dumps([names[1], names[0], *names[2:]]))
    with pytest.raises(CheckpointError, match=rf"class 0 was {names[1]}, now {names[0]}"):
        train(small(folder, epochs=2), resume=True)
    (folder / "classes.json").unlink()
    (folder / "result.json").unlink()  # a finished run is left as it is
    newest = sorted((folder / "checkpoints").iterdir())[-1]
    content = torch.load(newest, weights_only=True)
    torch.save({**content, "classes": ["somebody", *names[1:]], "format": 1}, newest)
    with pytest.raises(CheckpointError, match=rf"{newest.name} was trained on other identities"):
        train(small(folder, epochs=2), resume=True)


def test_a_checkpoint_without_names_is_resumed_as_before(finished, tmp_path):
    folder = tmp_path / "old"
    shutil.copytree(finished.folder, folder)
    (folder / "classes.json").unlink()
    for path in (folder / "checkpoints").iterdir():
        content = torch.load(path, weights_only=True)
        del content["classes"]
        torch.save({**content, "format": 1}, path)
    with pytest.raises(CheckpointError, match="holds no names of identities"):
        train(small(tmp_path / "new", epochs=1, head=Head(weights_from=folder)))
    assert train(small(folder, epochs=2), resume=True).figures


def test_a_recipe_names_merged_identities():
    from angulus.config import load

    experiment = load([], ["data.path=x", "head.weights_from=runs/a", "head.merged={ada: [ben, cleo]}"])
    assert experiment.head.merged == {"ada": ("ben", "cleo")}
