"""Faults planted in runs of a few seconds are named from what the runs recorded themselves."""

import json
from dataclasses import replace

import pytest
from small_run import small

from angulus.cli import main
from angulus.diagnosis import diagnose
from angulus.errors import NonFiniteError
from angulus.margins import NormFace
from angulus.training import SGD, Identities, SyntheticData, train


def names(folder):
    return [finding.name for finding in diagnose(folder).findings]


def test_a_scale_that_is_too_small(tmp_path):
    train(small(tmp_path / "run", margin=NormFace(scale=1.0), epochs=1))
    assert names(tmp_path / "run")[0] == "scale_small"


def test_a_rate_that_makes_the_loss_explode(tmp_path):
    with pytest.raises(NonFiniteError):
        train(small(tmp_path / "run", optim=SGD(lr=1e30), clip_norm=None, epochs=2))
    assert names(tmp_path / "run")[0] == "rate_high"
    last = json.loads((tmp_path / "run" / "diagnosis.jsonl").read_text().splitlines()[-1])
    assert last["kind"] == "failed"


def test_people_who_are_verified_and_trained_on_and_what_the_command_says(tmp_path, capsys):
    also = SyntheticData(num_identities=8, images_per_identity=3)
    also = replace(also, identities=Identities(parts={"train": 0.0, "test": 1.0}))
    experiment = small(tmp_path / "run", epochs=1)
    train(replace(experiment, evaluation=replace(experiment.evaluation, also={"further": also})))
    assert names(tmp_path / "run")[0] == "people_known"
    page, figures = tmp_path / "page.html", tmp_path / "doctor.json"
    assert main(["doctor", str(tmp_path / "run"), "--report", str(page), "--json", str(figures)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("1. People who are verified were trained on")
    assert "people of further have a name that is trained on" in " ".join(said.split())
    assert page.read_text().count("<svg") >= 7
    assert json.loads(figures.read_text())["findings"][0]["name"] == "people_known"


def test_a_folder_that_is_no_run_is_a_sentence(tmp_path, capsys):
    assert main(["doctor", str(tmp_path)]) == 2
    assert "is no folder of a run" in capsys.readouterr().err
