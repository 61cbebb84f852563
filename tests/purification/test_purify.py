"""The whole round on a run of seconds: what goes, what is left, what is done twice, and every fault as a sentence."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from noisy_run import PEOPLE, noisy_run
from small_run import small

import angulus.purification.rounds as module
from angulus.data import apply_edits, read_edits, truth_of
from angulus.errors import CheckpointError, ConfigError, DataError
from angulus.heads import Sampled
from angulus.margins import AMSoftmax
from angulus.purification import Purification, angles_of, decide, gather, list_noise, purify
from angulus.purification.runs import open_run, training_images
from angulus.training import Head, SyntheticData, UnionData, train
from angulus.training.recipe.data_sources import whole_set


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("purified")
    experiment = noisy_run(folder / "unused", epochs=6)
    return experiment, purify(experiment, folder / "out", Purification(angle="auto"))


@pytest.mark.slow
def test_the_list_holds_what_the_rule_drops(done):
    _, result = done
    run = open_run(result.folder / "round-1" / "subcenters")
    assert run.centers.subcenters == 3
    source = training_images(run)
    angles = angles_of(gather(run.model, source, run.centers), len(source.identities))
    verdict = decide(angles, "subcenter", "auto")
    edits = read_edits(result.lists[0])
    assert {row.key for row in edits.rows} == {source.keys[row] for row in np.flatnonzero(verdict.dropped)}
    assert set(edits.rows[0].more) == {"suspicion", "angle", "center", "dominant", "other", "other_angle", "views"}
    (summary,) = result.figures["rounds"]
    assert summary["dropped"] == len(edits) > 0
    assert summary["scored"]["wrong"] == int(truth_of(source).is_wrong.sum())


def test_cleaning_takes_wrong_labels_rather_than_right_ones(done):
    _, result = done
    scored = result.figures["rounds"][0]["scored"]
    assert scored["average_precision"] > 1.3 * scored["wrong"] / scored["images"]


def test_the_plain_run_is_trained_on_what_is_left(done):
    _, result = done
    plain = open_run(result.retrained)
    assert plain.centers.subcenters == 1
    assert plain.experiment.data.identities.edits == result.lists
    first = open_run(result.folder / "round-1" / "subcenters").experiment
    same = replace(plain.experiment, data=first.data, head=first.head, out=first.out)
    assert same == first  # the schedule too
    dropped = {row.key for row in read_edits(result.lists[0]).rows}
    assert not dropped & set(training_images(plain).keys)
    assert result.figures["retrained"]["held-out/eer"] >= 0


def test_the_list_is_reversible(done):
    _, result = done
    run = open_run(result.retrained)
    whole = whole_set(run.experiment.data, run.model.input)
    edits = read_edits(result.lists[0])
    kept = replace(edits, rows=tuple(replace(row, action="keep") for row in edits.rows))
    assert list(apply_edits(whole, [edits, kept]).keys) == list(whole.keys)


def test_a_second_call_does_nothing_again(done, monkeypatch):
    experiment, result = done
    monkeypatch.setattr(module, "train", None)
    monkeypatch.setattr(module, "gather", None)
    again = purify(experiment, result.folder, Purification(angle="auto"))
    assert again.figures == json.loads(json.dumps(result.figures))


@pytest.mark.slow
@pytest.mark.parametrize("stop", ["gather", "write_edits", "summary_of"])
def test_a_call_that_was_killed_goes_on(done, tmp_path, monkeypatch, stop):
    experiment, result = done
    shutil.copytree(result.folder / "round-1" / "subcenters", tmp_path / "out" / "round-1" / "subcenters")

    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if stop == "write_json":
            patch.setattr(module, "write_edits", killed)
        patch.setattr(module, stop, killed)
        with pytest.raises(KeyboardInterrupt):
            purify(experiment, tmp_path / "out", Purification(angle="auto", retrain=False))
    again = purify(experiment, tmp_path / "out", Purification(angle="auto", retrain=False))
    assert again.lists[0].read_bytes() == result.lists[0].read_bytes()
    assert not list(tmp_path.rglob("*.part*"))


@pytest.mark.slow
def test_two_rounds_drop_more_and_more(done, tmp_path):
    experiment, result = done
    first = result.folder / "round-1" / "subcenters"
    both = purify(experiment, tmp_path / "out", Purification(angle="auto", rounds=2, retrain=False), run=first)
    assert [path.parent.name for path in both.lists] == ["round-1", "round-2"]
    second = open_run(tmp_path / "out" / "round-2" / "subcenters")
    assert second.experiment.data.identities.edits == both.lists[:1]
    one, two = (read_edits(path) for path in both.lists)
    assert not {row.key for row in one.rows} & {row.key for row in two.rows}
    assert one.made_for == two.made_for  # both are lists for the set as it is stored


@pytest.mark.slow
@pytest.mark.parametrize(
    "head",
    [Head(subcenters=2, sharded=True), Head(subcenters=2, strategy=Sampled(rate=0.5))],
    ids=["sharded", "sampled"],
)
def test_any_head_and_margin(tmp_path, head):
    run = train(noisy_run(tmp_path / "run", head=head, margin=AMSoftmax(scale=16.0, m=0.2), epochs=1)).folder
    experiment, summary = list_noise(run, tmp_path / "list", Purification(angle="auto"))
    assert experiment.head == replace(head, from_data=False)
    assert summary["subcenters"] == 2
    assert len(read_edits(tmp_path / "list" / "edits.csv")) == summary["dropped"]


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A run with one center for each identity."""
    return train(noisy_run(tmp_path_factory.mktemp("plain") / "run", epochs=1)).folder


@pytest.mark.slow
def test_a_run_without_subcenters_is_a_sentence_that_offers_the_angle(plain, tmp_path):
    with pytest.raises(ConfigError, match=r"at least 2 sub-centers .* got 1; .* --rule nearest"):
        purify(noisy_run(plain), tmp_path / "out", run=plain)
    assert not (tmp_path / "out").exists()
    found = purify(
        noisy_run(plain), tmp_path / "out", Purification(subcenters=1, rule="nearest", retrain=False), run=plain
    )
    assert found.figures["rounds"][0]["subcenters"] == 1


def test_other_words_for_the_same_folder_are_a_sentence(done):
    experiment, result = done
    with pytest.raises(CheckpointError, match=r"asked for otherwise: options.angle was auto, now 60"):
        purify(experiment, result.folder, Purification(angle=60.0))


def test_a_set_where_all_would_go_is_a_sentence_and_leaves_no_list(plain, tmp_path):
    with pytest.raises(DataError, match=r"the rule nearest at 0.0 degrees drops \d+ of \d+ images and leaves 0 of"):
        list_noise(plain, tmp_path / "list", Purification(subcenters=1, rule="nearest", angle=0.0))
    assert not (tmp_path / "list" / "edits.csv").exists()


def test_a_head_of_other_people_is_a_sentence(plain, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(plain, copy)
    recipe = json.loads((copy / "recipe.json").read_text())
    recipe["data"]["base"]["first_identity"] = 1000
    (copy / "recipe.json").write_text(json.dumps(recipe))
    with pytest.raises(DataError, match=r"labels must be those of the head: \d+ of \d+ identities .*synthetic-001"):
        list_noise(copy, tmp_path / "list", Purification(subcenters=1, rule="nearest"))


def test_a_list_for_other_data_is_a_sentence(done, tmp_path):
    _, result = done
    experiment = small(tmp_path / "run")
    identities = replace(experiment.data.identities, edits=result.lists)
    other = replace(experiment, data=replace(experiment.data, num_identities=3, identities=identities))
    with pytest.raises(DataError, match="the list was made for another set"):
        train(other)


def test_a_run_that_is_not_finished_is_a_sentence(plain, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(plain, copy)
    (copy / "result.json").unlink()
    with pytest.raises(CheckpointError, match="is not finished; go on with it first: angulus train --resume"):
        open_run(copy)


def test_several_processes_are_a_sentence(tmp_path, monkeypatch):
    for name, value in {"WORLD_SIZE": "2", "RANK": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match="purify must run as one process"):
        purify(noisy_run(tmp_path), tmp_path / "out")


def test_sets_that_are_joined_are_cleaned_together(tmp_path):
    west, east = (SyntheticData(num_identities=14, images_per_identity=5, first_identity=first) for first in (0, 50))
    data = UnionData(sets={"west": west, "east": east}, identities=PEOPLE)
    experiment = replace(small(tmp_path / "run", epochs=1), data=data)
    found = purify(experiment, tmp_path / "out", Purification(angle=90.0))
    assert len(read_edits(found.lists[0])) == found.figures["rounds"][0]["dropped"]
    with pytest.raises(ConfigError, match="needs one head for all sets"):
        purify(replace(experiment, data=replace(data, join="separate")), tmp_path / "other")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"subcenters": 0}, "subcenters must be at least 1, got 0"),
        ({"rounds": 0}, "rounds must be at least 1, got 0"),
        ({"rule": "mean"}, "rule must be one of subcenter, strict, nearest, combined, got 'mean'"),
        ({"angle": 200.0}, "angle must be between 0 and 180 degrees, or auto, got 200"),
        ({"subcenters": 1}, "at least 2 sub-centers"),
    ],
)
def test_options_that_cannot_be(options, message):
    with pytest.raises(ConfigError, match=message):
        Purification(**options)
