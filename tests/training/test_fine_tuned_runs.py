"""Runs that begin with weights: two rates, a first stage in which the network rests, and what is chosen for them."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_run import small, stop_at

from angulus.errors import CheckpointError
from angulus.heads import MarginHead, Streamed
from angulus.margins import ArcFace
from angulus.models import InputSpec, TinyNet, load_model
from angulus.training import SGD, AdamW, Head, judge, train
from angulus.training.experiment import Evaluation, FineTuning
from angulus.training.optimization import build_optimizer
from angulus.training.step import update

PLAIN = FineTuning(backbone_rate=1.0, head_epochs=0)


def rows(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def losses(folder):
    return [(row["step"], row["loss"], row["gradient_norm"], row["lr"]) for row in rows(folder) if "loss" in row]


def states(*folders):
    return [load_model(folder / "model").state_dict() for folder in folders]


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """A model to begin with."""
    return train(small(tmp_path_factory.mktemp("runs") / "first", epochs=2)).folder / "model"


@pytest.fixture(scope="module")
def tuned(start, tmp_path_factory):
    """Two epochs of five steps, of which the first is the head's alone; everything else is chosen by the defaults."""
    return train(tuning(start, tmp_path_factory.mktemp("tuned") / "whole"))


def tuning(start, folder, **changes):
    return small(folder, **{"init": start, "epochs": 2, **changes})


@pytest.mark.parametrize("config", [SGD(lr=1.0, weight_decay=0.1), AdamW(lr=1.0), SGD(lr=1.0, decay_all=True)])
def test_the_network_takes_a_share_of_the_rate_in_every_step(config):
    model = TinyNet(channels=(8, 8), units=(1, 0), embedding_dim=16, input=InputSpec(height=16, width=16)).build()
    head = MarginHead(16, 5, ArcFace(scale=16.0))
    optimizer = build_optimizer(config, model, head, FineTuning(backbone_rate=0.25))
    whole = build_optimizer(config, model, head)
    decay = {id(one): group["weight_decay"] for group in whole.param_groups for one in group["params"]}
    own = {id(parameter) for parameter in model.parameters()}
    for rate in (0.5, 0.125):
        for parameter in (*model.parameters(), *head.parameters()):
            parameter.grad = torch.zeros_like(parameter)
        update(optimizer, model, rate, None)
        seen = {id(one): group for group in optimizer.param_groups for one in group["params"]}
        assert len(seen) == sum(len(group["params"]) for group in optimizer.param_groups) == len(decay)
        assert all(group["lr"] == rate * (0.25 if name in own else 1.0) for name, group in seen.items())
        assert all(group["weight_decay"] == decay[name] for name, group in seen.items())


def test_one_rate_for_all_has_the_groups_of_older_checkpoints():
    model = TinyNet(channels=(8, 8), units=(1, 0), embedding_dim=16, input=InputSpec(height=16, width=16)).build()
    groups = build_optimizer(SGD(lr=1.0), model, MarginHead(16, 5, ArcFace(scale=16.0))).param_groups
    assert len(groups) == 2
    assert not any("rate" in group for group in groups)


@pytest.mark.slow
def test_what_is_chosen_is_recorded_and_told(tuned, start, tmp_path, caplog):
    recipe = json.loads((tuned.folder / "recipe.json").read_text())
    assert 0 < recipe["fine_tuning"]["backbone_rate"] < 1
    assert recipe["fine_tuning"]["head_epochs"] == 1
    assert recipe["head"]["from_data"] is True
    assert recipe["train"]["batch_norm"] == "frozen"
    caplog.set_level("INFO", "angulus")
    said = small(tmp_path / "said", init=start, fine_tuning=PLAIN, head=Head(from_data=False), batch_norm="local")
    said = replace(said, train=replace(said.train, epochs=None))
    folder = train(said).folder
    recipe = json.loads((folder / "recipe.json").read_text())
    assert recipe["fine_tuning"] == {"backbone_rate": 1.0, "head_epochs": 0}
    assert (recipe["head"]["from_data"], recipe["train"]["batch_norm"]) == (False, "local")
    assert f"train.epochs {recipe['train']['epochs']}: most is learned already" in caplog.text
    assert "backbone_rate" not in caplog.text


def test_without_weights_nothing_of_it_is_done(tmp_path):
    folder = train(small(tmp_path / "plain", epochs=1)).folder
    recipe = json.loads((folder / "recipe.json").read_text())
    assert recipe["fine_tuning"] == {"backbone_rate": 1.0, "head_epochs": 0}
    assert (recipe["head"]["from_data"], recipe["train"]["batch_norm"]) == (False, "local")
    with pytest.raises(ValueError, match=r"name them with init=FILE"):
        small(tmp_path / "no", fine_tuning=FineTuning(backbone_rate=0.1))
    with pytest.raises(ValueError, match=r"backbone_rate must be a factor of at least 0, got -1"):
        FineTuning(backbone_rate=-1.0)


@pytest.mark.slow
@pytest.mark.parametrize("optim", [SGD(lr=0.05), AdamW(lr=1e-2)])
def test_a_resting_network_keeps_every_weight_and_statistic(start, tmp_path, optim):
    rest = {"fine_tuning": FineTuning(head_epochs=2), "margin": ArcFace(scale=16.0, m=0.1), "optim": optim}
    folder = train(tuning(start, tmp_path / "rests", **rest, batch_norm="local")).folder
    before, after = states(start.parent, folder)
    assert all(torch.equal(before[name], after[name]) for name in before)
    passes = np.array_split([loss for _, loss, *_ in losses(folder)], 2)
    assert passes[1].mean() < passes[0].mean()  # the head has learned
    moved = train(tuning(start, tmp_path / "moves", fine_tuning=PLAIN, optim=optim, batch_norm="local")).folder
    after = load_model(moved / "model").state_dict()
    assert not all(torch.equal(before[name], after[name]) for name in before if "running" in name)


def test_the_network_moves_after_its_rest_and_frozen_statistics_never_do(start, tuned):
    before, after = states(start.parent, tuned.folder)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved
    assert not any("running" in name or "tracked" in name for name in moved)
    assert [norm == 0 for *_, norm, _ in losses(tuned.folder)] == [True] * 5 + [False] * 5


def test_a_network_that_rested_may_have_the_whole_rate(start, tmp_path):
    tuning_of_it = FineTuning(backbone_rate=1.0, head_epochs=1)
    folder = train(tuning(start, tmp_path / "whole", fine_tuning=tuning_of_it)).folder
    before, after = states(start.parent, folder)
    assert any(not torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("step", [2, 4, 7])
def test_resume_in_either_stage_equals_the_uninterrupted_run_to_the_bit(start, tuned, tmp_path, monkeypatch, step):
    experiment = tuning(start, tmp_path / "cut")
    with monkeypatch.context() as patch:
        stop_at(patch, step)
        with pytest.raises(KeyboardInterrupt):
            train(experiment)
    resumed = train(experiment, resume=True)
    assert losses(resumed.folder) == losses(tuned.folder)
    whole, again = states(tuned.folder, resumed.folder)
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    assert len([row for row in rows(resumed.folder) if row["step"] == 0]) == 1


@pytest.mark.slow
def test_an_older_run_goes_on_as_it_began(start, tmp_path, monkeypatch):
    """Its recipe lacks the fields, and what was None in the user's recipe was chosen by other rules."""
    open_recipe = tuning(start, tmp_path / "old")
    old = replace(open_recipe, fine_tuning=PLAIN, head=Head(from_data=False))
    old = replace(old, train=replace(old.train, batch_norm="local"))
    whole = train(replace(old, out=tmp_path / "whole"))
    with monkeypatch.context() as patch:
        stop_at(patch, 4)
        with pytest.raises(KeyboardInterrupt):
            train(old)
    path = tmp_path / "old" / "recipe.json"
    recipe = json.loads(path.read_text())
    del recipe["fine_tuning"], recipe["stages"], recipe["learning_rate"]["final"], recipe["head"]["triplet"]
    del recipe["head"]["center"]
    for name in ("frames", "speeds", "average_last"):
        del recipe["train"][name]
    path.write_text(json.dumps(recipe))
    shutil.copytree(tmp_path / "old", tmp_path / "other")
    resumed = train(open_recipe, resume=True)
    assert losses(resumed.folder) == losses(whole.folder)
    other = replace(open_recipe, out=tmp_path / "other", fine_tuning=FineTuning(backbone_rate=0.5))
    with pytest.raises(CheckpointError, match=r"fine_tuning.backbone_rate was 1.0, now 0.5"):
        train(other, resume=True)


@pytest.mark.slow
def test_an_update_inside_the_backward_pass_goes_on_while_the_network_rests(start, tmp_path):
    rest = {"fine_tuning": FineTuning(head_epochs=1), "optim": SGD(lr=0.05, weight_decay=0.0)}
    whole = train(tuning(start, tmp_path / "whole", **rest)).folder
    strategy = Streamed(chunk=3, mode="recompute")
    inside = train(tuning(start, tmp_path / "in", **rest, head=Head(strategy=strategy, update_in_backward=True))).folder
    for (_, loss, norm, _), (_, other, other_norm, _) in zip(losses(whole), losses(inside), strict=True):
        assert loss == pytest.approx(other, rel=1e-3)
        assert norm == pytest.approx(other_norm, rel=1e-2)


def test_weights_that_were_better_are_kept_and_told(start, tmp_path, caplog, monkeypatch):
    original = judge.figures_of
    rates = iter((0.1, 0.2))

    def worsening(results, prefix):
        found = original(results, prefix)  # of people that are trained on too
        return {**found, "held-out/eer": next(rates)} if prefix == "held-out" else found

    monkeypatch.setattr(judge, "figures_of", worsening)
    experiment = tuning(start, tmp_path / "ruin")
    folder = train(replace(experiment, evaluation=replace(experiment.evaluation, every=9))).folder
    assert [row["step"] for row in rows(folder) if "held-out/eer" in row] == [0, 10]
    assert "the weights of init were better on the held-out people" in caplog.text
    before, best = load_model(start).state_dict(), load_model(folder / "best").state_dict()
    assert all(torch.equal(before[name], best[name]) for name in before)


@pytest.mark.slow
@pytest.mark.parametrize("hold_out", ["nobody", "folds"])
def test_weights_without_people_who_are_held_out(start, tmp_path, hold_out):
    """Nobody is looked at before training: there is nobody, or a model of its own looks at each fold."""
    evaluation = Evaluation(hold_out=hold_out, every=1, folds=2, fars=(0.1,))
    done = train(tuning(start, tmp_path / "run", evaluation=evaluation, epochs=1))
    assert (done.folder / "model" / "model.json").is_file()
    assert ("held-out/eer" in done.figures) == (hold_out == "folds")
