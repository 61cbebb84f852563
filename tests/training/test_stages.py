"""Stages of one run: what changes between them, resumption to the bit, and the mean of the last networks."""

import pytest
import torch
from small_run import small, stop_at

from angulus.margins import ArcFace
from angulus.training import LearningRate, train
from angulus.training.experiment import Stage, StageOptim, StageTraining
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


def test_steps_go_on_counting_and_say_their_stage(tmp_path):
    train(staged(tmp_path / "run"))
    rows = [row for row in losses(tmp_path / "run") if "loss" in row]
    assert [row["step"] for row in rows] == list(range(1, 31))
    assert [row["stage"] for row in rows] == [1] * 10 + [2] * 20
    assert [row["epoch"] for row in rows] == pytest.approx(
        [k / 5 for k in range(1, 11)] + [2 + k / 10 for k in range(1, 21)]
    )


@pytest.mark.parametrize("step", [9, 10, 11, 17], ids=["before", "at the border", "after it", "inside"])
def test_a_resumed_run_is_the_uninterrupted_one(tmp_path, monkeypatch, step):
    train(staged(tmp_path / "whole"))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        stop_at(patch, step)
        train(staged(tmp_path / "cut"))
    train(staged(tmp_path / "cut"), resume=True)
    assert_same(tmp_path / "cut", tmp_path / "whole")
