"""Stages of one run: what changes between them, resumption to the bit, and the mean of the last networks."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_run import small, stop_at

from angulus.errors import CheckpointError, ConfigError
from angulus.heads import Auto, Sampled, Streamed
from angulus.margins import ArcFace, L2Softmax, Learned, Linear
from angulus.models import load_model
from angulus.speech.augmentation import SpeechAugment
from angulus.training import Evaluation, Head, LearningRate, train
from angulus.training.experiment import FineTuning, Stage, StageHead, StageOptim, StageTraining
from angulus.training.recipe.data_sources import open_sources
from angulus.training.recipe.defaults import filled
from angulus.training.recording.record_file import Records
from angulus.training.stages.averaging import mean_of, mean_of_run
from angulus.training.stages.legs import leg_at, legs_of
from angulus.training.storage.checkpoint import Checkpoints, load_content
from angulus.training.storage.run_folder import Metrics

LARGE = Stage(
    name="large margin",
    epochs=2,
    margin=ArcFace(scale=16.0, m=0.4),
    optim=StageOptim(lr=0.01),
    learning_rate=LearningRate(decay="exponential", final=0.005),
    train=StageTraining(batch_size=10),
)


def staged(out, *stages, **changes):
    """2 epochs of 5 steps, then the stages: `LARGE` has 2 of 10."""
    return small(out, **{"epochs": 2, **changes, "stages": stages or (LARGE,)})


def losses(folder):
    return [
        {name: value for name, value in row.items() if name not in ("images_per_second", "waiting_for_data")}
        for row in Metrics(folder / "metrics.jsonl").rows()
    ]


def weights(folder):
    content = load_content(Checkpoints(folder / "checkpoints", 1).paths()[-1], torch.device("cpu"))
    return {**content.tensors["backbone"], **{f"head {name}": x for name, x in content.tensors["head"].items()}}


def assert_same(one, other):
    assert losses(one) == losses(other)
    found, expected = weights(one), weights(other)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        same = torch.equal(found[name], value) if isinstance(value, torch.Tensor) else found[name] == value
        assert same, name


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of an uninterrupted run: the first stage with a mean of 2 networks, then `LARGE`."""
    return train(staged(tmp_path_factory.mktemp("stages") / "whole", average_last=2)).folder


def cut_at(monkeypatch, step, experiment):
    """Let a run die at a step, and resume it."""
    with monkeypatch.context() as patch:
        stop_at(patch, step)
        with pytest.raises(KeyboardInterrupt):
            train(experiment)
    return train(experiment, resume=True).folder


def test_steps_go_on_counting_and_say_their_stage(whole):
    rows = [row for row in losses(whole) if "loss" in row]
    assert [row["step"] for row in rows] == list(range(1, 31))
    assert [row["stage"] for row in rows] == [1] * 10 + [2] * 20
    epochs = [step / 5 for step in range(1, 11)] + [2 + step / 10 for step in range(1, 21)]
    assert [row["epoch"] for row in rows] == pytest.approx(epochs)
    expected = [0.01 * 0.5 ** (step / 20) * min(1, (step + 1) / 4) for step in range(20)]  # a fifth of 2 epochs
    assert [row["lr"] for row in rows[10:]] == pytest.approx(expected)


@pytest.mark.parametrize("step", [7, 10, 17], ids=["in the first", "at the border", "in the second"])
def test_a_resumed_run_is_the_uninterrupted_one(tmp_path, monkeypatch, whole, step):
    cut = cut_at(monkeypatch, step, staged(tmp_path / "cut", average_last=2))
    assert_same(cut, whole)
    assert kinds(cut) == kinds(whole)


def kinds(folder):
    return [(row["kind"], row["step"]) for row in Records(folder).rows()]


def test_a_damaged_checkpoint_of_a_later_stage_gives_way_to_one_of_the_first(tmp_path, monkeypatch, whole):
    experiment = staged(tmp_path / "cut", average_last=2)
    with monkeypatch.context() as patch:
        stop_at(patch, 13)
        with pytest.raises(KeyboardInterrupt):
            train(experiment)
    newest = Checkpoints(tmp_path / "cut" / "checkpoints", 1).paths()[-1]
    assert newest.name == "step-00000012.pt"
    newest.write_bytes(newest.read_bytes()[:-100])
    assert_same(train(experiment, resume=True).folder, whole)


def test_what_the_folder_says_of_stages(whole):
    report = (whole / "report.html").read_text()
    assert "2. large margin: 2 epochs of 10 steps" in report
    filled = json.loads((whole / "recipe.json").read_text())["stages"][0]
    assert filled["learning_rate"]["warmup_epochs"] == 0.4
    assert filled["train"] == {"batch_size": 10, "frames": None, "sampling": None, "average_last": 2}
    assert filled["fine_tuning"] == {"backbone_rate": 1.0, "head_epochs": 0}
    assert [row["step"] for row in losses(whole) if "held-out/eer" in row] == [10, 30]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sampled inside", "frozen", "other loss"])
def test_what_else_may_change(tmp_path, monkeypatch, name):
    """Also with class weights that move inside the backward pass, and with parameters that a stage adds."""
    sampled = Head(strategy=Sampled(rate=0.5), update_in_backward=True)
    exact = StageHead(strategy=Streamed(chunk=7))
    changes, stage = {
        "sampled inside": (
            {"head": sampled},
            Stage(name="exact", epochs=1, head=exact),
        ),
        "frozen": ({}, Stage(name="head alone", epochs=1, fine_tuning=FineTuning(head_epochs=1))),
        "other loss": (
            {"margin": L2Softmax(scale=Learned(8.0))},
            Stage(name="arcface", epochs=1, margin=ArcFace(m=0.2)),
        ),
    }[name]
    experiment = staged(tmp_path / "whole", stage, epochs=1, **changes)
    folder = train(experiment).folder
    resting = [row["gradient_norm"] == 0 for row in losses(folder) if row.get("stage") == 2 and "loss" in row]
    assert resting == [name == "frozen"] * 5
    cut = cut_at(monkeypatch, 7, replace(experiment, out=tmp_path / "cut"))
    assert_same(cut, folder)


def test_class_weights_and_network_begin_where_the_stage_before_ended(tmp_path):
    """With a rate near 0 the second stage is the first one, seen with another margin."""
    still = replace(LARGE, optim=StageOptim(lr=1e-12), learning_rate=LearningRate(decay="constant"))
    folder = train(staged(tmp_path / "still", still, epochs=1, evaluation=Evaluation(every=None))).folder
    alone = train(small(tmp_path / "alone", epochs=1, evaluation=Evaluation(every=None))).folder
    found, expected = weights(folder), weights(alone)
    for name in (name for name in expected if name.endswith("weight")):
        assert torch.allclose(found[name], expected[name], atol=1e-6), name


def legs(tmp_path, *stages, **changes):
    experiment = staged(tmp_path, *stages, **changes)
    experiment = filled(experiment, 105, 21, torch.device("cpu"))
    return legs_of(experiment, open_sources(experiment, experiment.model.input))


def test_a_schedule_that_a_stage_takes_over_stays_at_its_last_value(tmp_path):
    ramp = Linear(start=0.2, end=0.5, until=1.0, unit="run")
    longer = Stage(name="longer", epochs=2)
    risen = Stage(name="risen", epochs=2, margin=ArcFace(scale=16.0, m=ramp))
    first, second, third, fourth = legs(tmp_path, longer, risen, replace(longer, name="last"))
    assert first.margin.m.at(5) == pytest.approx(0.2)
    assert second.margin.m == pytest.approx(0.2)
    assert [third.margin.m.at(step) for step in (20, 25, 30)] == pytest.approx([0.2, 0.35, 0.5])
    assert fourth.margin.m == pytest.approx(0.5)
    assert [leg.margin.scale for leg in (first, second, third, fourth)] == [16.0] * 4
    assert [(leg.first_step, leg.end, leg.first_epoch) for leg in (first, third)] == [(0, 10, 0), (20, 30, 4)]
    assert [leg_at((first, second, third, fourth), step).number for step in (0, 10, 11, 20, 40)] == [1, 1, 2, 2, 4]


def test_the_network_is_the_mean_of_those_after_the_last_epochs(tmp_path):
    plain = train(small(tmp_path / "plain", epochs=3, keep_last=9, checkpoint_every=5)).folder
    mean = train(small(tmp_path / "mean", epochs=3, average_last=2)).folder
    paths = Checkpoints(plain / "checkpoints", 1).paths()[-2:]
    assert [path.name for path in paths] == ["step-00000010.pt", "step-00000015.pt"]
    networks = [load_content(path, torch.device("cpu")).tensors["backbone"] for path in paths]
    model, last = (load_model(mean / name).state_dict() for name in ("model", "last"))
    assert any(name.endswith("running_var") for name in model)
    for name, value in model.items():
        one, two = (network[name] for network in networks)
        naive = ((one.double() + two.double()) / 2).to(one.dtype) if value.is_floating_point() else two
        assert torch.equal(value, naive), name
        assert torch.equal(last[name], two), name
        assert torch.equal(mean_of_run(plain, 2)[name], naive), name
    assert Metrics(mean / "metrics.jsonl").rows()[-1]["held-out/eer"] >= 0


def test_a_mean_of_nothing_and_of_other_networks_is_refused(tmp_path):
    with pytest.raises(ValueError, match="at least 1 network"):
        mean_of([])
    with pytest.raises(ValueError, match="same weights"):
        mean_of([{"a": torch.ones(1)}, {"b": torch.ones(1)}])
    with pytest.raises(CheckpointError, match="has 0 checkpoints, and the mean is of 2"):
        mean_of_run(tmp_path, 2)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"augment": SpeechAugment.off()}, "augment must be of the kind of the recipe's augment, Augment"),
        (
            {"train": StageTraining(batch_size=1)},
            r"stages\[0\] \(large margin\): train.batch_size=1 .* one example",
        ),
    ],
)
def test_a_stage_that_cannot_be_trained_is_refused_before_the_run_begins(tmp_path, change, sentence):
    with pytest.raises(ConfigError, match=sentence):
        train(staged(tmp_path / "run", replace(LARGE, **change)))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: replace(LARGE, name=" "), "name must be"),
        (lambda: replace(LARGE, epochs=0), "epochs must be at least 1, got 0"),
        (lambda: replace(LARGE, fine_tuning=FineTuning(head_epochs=3)), "at most the epochs of the stage, 2, got 3"),
        (lambda: StageHead(strategy=Auto()), "strategy must be named in a stage"),
        (lambda: StageOptim(lr=-1.0), "lr must be above 0"),
        (
            lambda: staged(Path("x"), replace(LARGE, train=StageTraining(average_last=3))),
            "at most the epochs, 2, got 3",
        ),
    ],
)
def test_stages_that_cannot_be(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
